"""Training: from datasets to a finished run, resumable at the epoch in which it was stopped."""

import csv
import io
import itertools
import json
import logging
import platform
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from dataset.errors import ConfigError
from dataset.folder import locked, make_folder, unwritable, write_whole
from dataset.progress import Progress
from dataset.tray import Train
from train import backbones, features, heads, models, report, trays
from train.adding import essence, folder_of, fresh, recalled, require_addable
from train.backend import tf
from train.board import BOARD, logged, require_tensorboard
from train.data import Dataset, Part, Photo, Pixels, decode_all, read_all, require_enough
from train.evaluate import Judged, cooled, temperature, threshold
from train.forward import by_keras
from train.learn import Epoch, Learned, Network, Row, feeds_of, learn
from train.runs import FORMAT, HISTORY, ITEMS, METRICS, MODEL, RUN, SUSPECTS, Run, finished, open_run
from train.where import looking

PLAN = "plan.json"
"""What a run is going to be; the mark by which an interrupted one is found again."""
WORK = ".training"
"""What an interrupted run needs to go on; removed when it is finished."""

Array = np.ndarray[Any, Any]
HELD_BACK: tuple[Part, ...] = ("val", "test")
BATCH = 64
"""Pictures judged at once."""
log = logging.getLogger("tray")


def train(
    datasets: Mapping[str, Path], runs: Path, settings: Train, *, name: str, to: Run | None = None
) -> Iterator[Progress | Run]:
    """Train one classifier per dataset in one run below ``runs/<name>``; yield progress and, last, the run.

    Several datasets give one Keras model with an output named after each; several items may share one folder, whose
    classes they are. What was finished with the same settings and the same data is returned as it is; what was
    interrupted goes on at the epoch in which it stopped.

    With ``to``, the new run has all classifiers of that one, as they are to the bit, and those of the datasets beside
    them; the settings have to be its.
    Raises ConfigError for an unknown model, or one that ``to`` does not have, NotEnoughImages for too few pictures,
    FolderLocked when another process trains under the same name.
    """
    if not datasets:
        raise ConfigError("Expected a dataset to train on. Received: none. Name a folder, or items of tray.toml.")
    if to:
        require_addable(to, settings, datasets)
    settings = effective(settings)
    data = read_all(datasets, apart=bool(to))
    if to:
        data = fresh(to, data)
        if not data:
            log.info("Nothing to do: %s has %s, trained on the same pictures.", to.path, ", ".join(datasets))
            yield to
            return
    for dataset in data.values():
        require_enough(dataset)
    plan = Plan(settings, data, to)
    with locked(runs / name):
        done = next((run for run in finished(runs / name) if _same(run.record, plan)), None)
        if done:
            log.info("Nothing to do: %s was trained on the same pictures with the same settings.", done.path)
            yield done
            return
        folder = _interrupted(runs / name, plan) or _new_folder(runs / name, plan)
        try:
            yield from _train(folder, plan)
        except OSError as error:
            raise unwritable(folder, error) from error


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is going to be: effective settings, the dataset of each classifier, and the run they are added to."""

    settings: Train
    data: dict[str, Dataset]
    to: Run | None = None

    @property
    def record(self) -> dict[str, Any]:
        """Return the plan as run.json begins."""
        items = {
            item: {
                "class_names": list(one.class_names),
                "fingerprint": one.fingerprint,
                "data": str(one.path.absolute()),
                "pictures": sum(photo.part != "tray" for photo in one.photos),
            }
            for item, one in self.data.items()
        }
        record = {"format": FORMAT, "config": asdict(self.settings), "items": items}
        if self.to is None:
            return record
        earlier = {"run": str(self.to.path.absolute()), "items": list(self.to.items)}
        return record | {"items": {**self.to.record["items"], **items}, "added_to": earlier}

    @property
    def photos(self) -> dict[str, Photo]:
        """Return the distinct photos of all datasets by their sha256."""
        return {photo.sha256: photo for dataset in self.data.values() for photo in dataset.photos}


def effective(settings: Train) -> Train:
    """Return the settings with the model's own values where none were given.

    Raises ConfigError for an unknown model, and for weights or a size that do not go with it.
    """
    chosen: Sequence[backbones.Backbone | models.Network] = backbones.find_all(settings.model)
    if not chosen:
        chosen = [models.named(settings.model)]
        if settings.weights:
            raise ConfigError(
                f"Expected no weights for {settings.model!r}, which trains from nothing. Received: "
                f"{settings.weights}. Leave them out, or choose a backbone."
            )
        if settings.robust:
            raise ConfigError(
                f"Expected a backbone for --robust, whose heads tell in seconds which labels the others contradict. "
                f"Received: {settings.model!r}, which trains from nothing. Name a backbone, or leave --robust out."
            )
    elif settings.augment_by or settings.mixed_precision or settings.schedule != "constant":
        raise ConfigError(
            f"Expected augment_by, mixed_precision and schedule with a network that trains from nothing, such as cnn. "
            f"Received: {settings.model!r}, a backbone whose head is computed. Leave them out."
        )
    if settings.fine_tune and (settings.robust or settings.independent or not backbones.find_all(settings.model)):
        raise ConfigError(
            f"Expected fine_tune with a backbone, and without robust and independent: what is tuned believes all "
            f"labels, and is shared by all items. Received: model = {settings.model!r}, robust = {settings.robust}, "
            f"independent = {settings.independent}. Leave one of them out."
        )
    if settings.tensorboard:
        require_tensorboard()
    size = settings.image_size or max(one.size for one in chosen)
    smallest = max(one.smallest for one in chosen)
    if size < smallest:
        raise ConfigError(f"Expected an image_size of {smallest} or more for {settings.model!r}. Received: {size}.")
    return replace(settings, image_size=size)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training gave, whichever way it went."""

    model: Any
    """The joined Keras model, from pixels to probabilities."""
    input_size: int
    data: dict[str, Dataset]
    """The datasets without their unreadable photos."""
    histories: dict[str, list[Row]]
    best: dict[str, int]
    found: dict[str, Judged]
    errors: dict[str, str]
    """Why photos could not be read, by sha256."""
    suspects: dict[str, Judged] = field(default_factory=dict)
    """The training photos, each judged by a head that was fitted without it."""


def _train(folder: Path, plan: Plan) -> Iterator[Progress | Run]:
    started = time.monotonic()
    if plan.settings.trays:
        laid = yield from trays.lay(plan.data, folder / WORK / "trays", seed=plan.settings.seed)
        plan = replace(plan, data=laid)
    steps = _apart(folder, plan) if plan.settings.independent else _way(plan)(folder, plan)
    outcome = yield from logged(steps, folder / BOARD) if plan.settings.tensorboard else steps
    record = _save(folder, plan, outcome)
    if plan.settings.trays:
        record = yield from _on_trays(Run(folder, record), outcome.data)
    record = _report(folder, plan, outcome, record) | {"seconds": round(time.monotonic() - started, 2)}
    if plan.settings.independent and len(plan.data) > 1:
        _keep_each(folder, outcome.model, record)
    write_whole(folder / RUN, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
    shutil.rmtree(folder / WORK, ignore_errors=True)
    (folder / PLAN).unlink(missing_ok=True)
    yield open_run(folder)


def _way(plan: Plan) -> Callable[[Path, Plan], Generator[Progress, None, Outcome]]:
    return _on_features if backbones.find_all(plan.settings.model) else _from_nothing


def _apart(folder: Path, plan: Plan) -> Generator[Progress, None, Outcome]:
    """Train each classifier as if there were no other, and put their models side by side."""
    outcomes = {}
    for item, dataset in plan.data.items():
        outcomes[item] = yield from _way(plan)(folder, replace(plan, data={item: dataset}))
    single = {item: models.taken_apart(one.model, (item,)) for item, one in outcomes.items()}
    first = next(iter(single.values()))
    return Outcome(
        model=models.joined(
            {item: one.parts[item] for item, one in single.items()},
            trunk=first.trunk,
            scales={item: one.scales[item] for item, one in single.items() if one.scales},
        ),
        input_size=next(iter(outcomes.values())).input_size,
        **{
            name: {key: value for one in outcomes.values() for key, value in getattr(one, name).items()}
            for name in ("data", "histories", "best", "found", "errors", "suspects")
        },
    )


def _from_nothing(folder: Path, plan: Plan) -> Generator[Progress, None, Outcome]:
    """Train a network per classifier on the pixels, epoch by epoch."""
    settings, photos = plan.settings, plan.photos.values()
    size = settings.image_size or 0
    scratch = folder / WORK / next(iter(plan.data)) if settings.independent else folder / WORK
    pixels = yield from decode_all(photos, size, scratch=scratch)
    data = _readable(plan, pixels.errors)
    learned: dict[str, Learned] = {}
    networks: dict[int, Network] = {}
    for item, dataset in data.items():
        classes = len(dataset.class_names)
        network = networks.get(classes) or networks.setdefault(classes, Network(settings, classes))
        feeds = feeds_of(dataset, pixels, settings)
        learned[item] = yield from learn(network, feeds, item=item, work=folder / WORK)
    parts = {}
    for item, dataset in data.items():
        parts[item] = models.build(settings.model, size=size, classes=len(dataset.class_names))
        parts[item].set_weights(learned[item].weights)
    answers = _ask(by_keras(models.joined(parts), size, tuple(data)), data, pixels)
    temperatures = {}
    for item, dataset in data.items():
        val = dataset.part("val")
        said = np.stack([answers[item][photo.sha256] for photo in val])
        temperatures[item] = temperature(said, np.array([photo.label for photo in val]))
        answers[item] = {sha256: cooled(one[None], temperatures[item])[0] for sha256, one in answers[item].items()}
    thresholds = {item: _threshold(dataset, answers[item], settings) for item, dataset in data.items()}
    earlier = models.taken_apart(plan.to.model, plan.to.items) if plan.to else models.Parts()
    scales = {item: 1 / one for item, one in temperatures.items()}
    return Outcome(
        model=models.joined(earlier.parts | parts, scales=earlier.scales | scales),
        input_size=size,
        data=data,
        histories={item: one.history for item, one in learned.items()},
        best={item: one.best for item, one in learned.items()},
        found=_judge(data, answers, thresholds),
        errors=pixels.errors,
    )


def _ask(
    ask: Callable[[Array], dict[str, Array]], data: Mapping[str, Dataset], pixels: Pixels
) -> dict[str, dict[str, Array]]:
    """Return what each classifier says about every val and test photo, by sha256."""
    shas = list({photo.sha256: None for one in data.values() for part in HELD_BACK for photo in one.part(part)})
    answers: dict[str, dict[str, Array]] = {item: {} for item in data}
    for some in (shas[n : n + BATCH] for n in range(0, len(shas), BATCH)):
        for item, said in ask(pixels.array[[pixels.rows[sha256] for sha256 in some]]).items():
            answers[item] |= zip(some, said, strict=True)
    return answers


def _on_features(folder: Path, plan: Plan) -> Generator[Progress, None, Outcome]:
    """Run the frozen backbone once over every photo, and fit a head per classifier on what it gives."""
    settings = plan.settings
    earlier = models.taken_apart(plan.to.model, plan.to.items) if plan.to else models.Parts()
    with_ = features.extractor_of(earlier.trunk, settings) if plan.to else features.extractor(settings)
    found, errors = yield from features.embed(plan.photos, with_, folder.parent.parent / features.STORE)
    data = _readable(plan, errors)
    fitted: dict[str, tuple[heads.Head, list[Row]]] = {}
    suspects = {}
    for some in _side_by_side(data):
        fitted |= yield from _fit_heads(some, found, settings, mixes=with_.mixes)
    for item, dataset in data.items():
        photos = _distinct(dataset.part("train"))
        labels = np.array([photo.label for photo in photos], np.int64)
        suspects[item] = Judged(dataset.class_names, tuple(photos), labels, fitted[item][0].left_out, "train")
    answers, thresholds = {}, {}
    for item, dataset in data.items():
        photos = [photo for part in HELD_BACK for photo in dataset.part(part)]
        probabilities = fitted[item][0].probabilities(np.stack([found[photo.sha256] for photo in photos]))
        answers[item] = {photo.sha256: row for photo, row in zip(photos, probabilities, strict=True)}
        # What was widened by trays is another head than the one that each photo was left out of.
        left_out = None if dataset.part("tray") else suspects[item]
        thresholds[item] = _threshold(dataset, answers[item], settings, left_out)
    if settings.fine_tune:
        return (yield from _tuned(folder, plan, with_, found, Frozen(data, errors, suspects)))
    parts = {item: models.machine(head) for item, (head, _) in fitted.items()}
    return Outcome(
        model=models.joined(earlier.parts | parts, trunk=with_.model),
        input_size=with_.input_size,
        data=data,
        histories={item: rows for item, (_, rows) in fitted.items()},
        best={item: len(rows) for item, (_, rows) in fitted.items()},
        found=_judge(data, answers, thresholds),
        errors=errors,
        suspects=suspects,
    )


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a frozen backbone told before it is tuned."""

    data: dict[str, Dataset]
    errors: dict[str, str]
    suspects: dict[str, Judged]


def _tuned(
    folder: Path, plan: Plan, with_: features.Extractor, found: Mapping[str, Array], known: Frozen
) -> Generator[Progress, None, Outcome]:
    """Tune the top of the backbone along with the classifiers, all together."""
    from train.tune import tune

    settings, data = plan.settings, known.data
    tuned = yield from tune(with_, data, found, settings, work=folder / WORK / "tune")
    now = features.extractor_of(with_.model, settings)
    held = {photo.sha256: photo for one in data.values() for part in HELD_BACK for photo in one.part(part)}
    seen, _ = yield from features.embed(held, now, folder / WORK / features.STORE)
    answers, scales, thresholds = {}, {}, {}
    for item, dataset in data.items():
        photos = [photo for part in HELD_BACK for photo in dataset.part(part)]
        inputs = np.stack([seen[photo.sha256] for photo in photos])
        said = heads.softmax(np.asarray(tuned.parts[item](inputs)))
        val = np.array([photo.part == "val" for photo in photos])
        by = temperature(said[val], np.array([photo.label for photo in dataset.part("val")]))
        answers[item] = dict(zip((photo.sha256 for photo in photos), cooled(said, by), strict=True))
        scales[item] = 1 / by
        thresholds[item] = _threshold(dataset, answers[item], settings)
    return Outcome(
        model=models.joined(tuned.parts, trunk=with_.model, scales=scales),
        input_size=with_.input_size,
        data=data,
        histories=dict.fromkeys(data, tuned.learned.history),
        best=dict.fromkeys(data, tuned.learned.best),
        found=_judge(data, answers, thresholds),
        errors=known.errors,
        suspects=known.suspects,
    )


def _side_by_side(data: Mapping[str, Dataset]) -> list[dict[str, Dataset]]:
    """Return the classifiers in groups that learn from the same photos."""
    groups: dict[tuple[tuple[str, str], ...], dict[str, Dataset]] = {}
    for item, dataset in data.items():
        photos = tuple((photo.part, photo.sha256) for photo in dataset.photos if photo.part != "tray")
        groups.setdefault(photos, {})[item] = dataset
    return list(groups.values())


def _fit_heads(
    data: Mapping[str, Dataset], found: Mapping[str, Array], settings: Train, *, mixes: Array
) -> Generator[Epoch, None, dict[str, tuple[heads.Head, list[Row]]]]:
    """Fit heads on growing parts of the same training photos, the last on all; yield how each did, return the last."""
    any_ = next(iter(data.values()))
    inputs = {
        part: np.stack([found[photo.sha256] for photo in photos])
        for part, photos in (("train", _distinct(any_.part("train"))), ("val", any_.part("val")))
    }
    labels = {item: np.array([photo.label for photo in _distinct(one.part("train"))]) for item, one in data.items()}
    held_back = {item: np.array([photo.label for photo in one.part("val")]) for item, one in data.items()}
    # The class folders, also where an item stands against the rest of them: all of them grow alike.
    names = [photo.path.parent.name for photo in _distinct(any_.part("train"))]
    kinds = np.unique(names, return_inverse=True)[1]
    turns = _turns(kinds)
    most = int(turns.max()) + 1
    sizes = [most // share for share in (8, 4, 2) if most // share >= 4] + [most]
    rows: dict[str, list[Row]] = {item: [] for item in data}
    fitted: dict[str, heads.Head] = {}
    for step, size in enumerate(sizes, start=1):
        started = time.perf_counter()
        some = turns < size
        known = {item: one[some] for item, one in labels.items()}
        if settings.robust or len(any_.class_names) > 2:
            fit = heads.fit_doubting if settings.robust else heads.fit
            for item, one in known.items():
                classes = len(data[item].class_names)
                fitted[item] = fit(inputs["train"][some], one, classes, seed=settings.seed, mixes=mixes)
        else:
            fitted = heads.fit_side_by_side(inputs["train"][some], known, kinds[some], seed=settings.seed, mixes=mixes)
        seconds = (time.perf_counter() - started) / len(data)
        for item, head in fitted.items():
            told = _figures(head.left_out, known[item], "")
            told |= _figures(head.probabilities(inputs["val"]), held_back[item], "val_")
            rows[item].append(told | {"pictures": int(some.sum()), "seconds": seconds})
            yield Epoch(
                stage=f"train {item}".strip() if len(data) == 1 else "train heads",
                done=step,
                total=len(sizes),
                unit="step",
                note=f"{item} pictures={int(some.sum())} val_accuracy={told['val_accuracy']:.3f}".strip(),
                item=item,
                seconds=seconds,
                **told,
            )
    for item, dataset in data.items():
        tray = dataset.part("tray")
        if tray:
            more = heads.Known(np.stack([found[photo.sha256] for photo in tray]), np.array([one.label for one in tray]))
            photos, val = heads.Known(inputs["train"], labels[item]), heads.Known(inputs["val"], held_back[item])
            fitted[item] = heads.widened(fitted[item], photos, more, val, seed=settings.seed)
    return {item: (head, rows[item]) for item, head in fitted.items()}


def _figures(probabilities: Array, labels: Array, prefix: str) -> Row:
    given = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-7)
    right = probabilities.argmax(axis=1) == labels
    return {f"{prefix}loss": float(-np.log(given).mean()), f"{prefix}accuracy": float(right.mean())}


def _turns(labels: Array) -> Array:
    """Return for each photo how many of its class come before it."""
    turns = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        mine = labels == label
        turns[mine] = np.arange(mine.sum())
    return turns


def _distinct(photos: Sequence[Photo]) -> list[Photo]:
    """Return each photo once, by hash: copies would be in and out of a leave-one-out at the same time."""
    return [photo for _, photo in sorted({photo.sha256: photo for photo in photos}.items())]


def _readable(plan: Plan, errors: Mapping[str, str]) -> dict[str, Dataset]:
    """Return the datasets without the photos that can't be read; raises NotEnoughImages when too few are left."""
    data = {item: dataset.without(errors) for item, dataset in plan.data.items()}
    for dataset in data.values():
        require_enough(dataset)
    return data


def _held_back(dataset: Dataset) -> tuple[list[Photo], Part]:
    """Return the photos to judge by: the test part, or val where there is none."""
    part: Part = "test" if dataset.part("test") else "val"
    return dataset.part(part), part


def _threshold(dataset: Dataset, said: Mapping[str, Array], settings: Train, left_out: Judged | None = None) -> float:
    """Return the threshold that validation asks for, and the training photos where each was judged without itself."""
    if len(dataset.class_names) != 2:
        return 0.5
    val = dataset.part("val")
    probabilities = np.stack([said[photo.sha256] for photo in val])
    truth = np.array([photo.label for photo in val], np.int64)
    if left_out:
        probabilities = np.concatenate([probabilities, left_out.probabilities])
        truth = np.concatenate([truth, left_out.truth])
    return threshold(probabilities, truth, precision=settings.wanted_precision)


def _judge(
    data: Mapping[str, Dataset], answers: Mapping[str, Mapping[str, Array]], thresholds: Mapping[str, float]
) -> dict[str, Judged]:
    """Judge what each classifier said about its held-back photos, by sha256."""
    found = {}
    for item, dataset in data.items():
        photos, part = _held_back(dataset)
        labels = np.array([photo.label for photo in photos], np.int64)
        said = np.stack([answers[item][photo.sha256] for photo in photos])
        found[item] = Judged(dataset.class_names, tuple(photos), labels, said, part, thresholds[item])
    return found


def _save(folder: Path, plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """Write the model, and return what run.json is to say of it."""
    outcome.model.save(make_folder(folder / WORK) / MODEL)
    (folder / WORK / MODEL).replace(folder / MODEL)
    record = plan.record | {"name": folder.parent.name, "input_size": outcome.input_size}
    for item in outcome.data:
        one = record["items"][item]
        one |= {"epochs": len(outcome.histories[item]), "best_epoch": outcome.best[item]}
        if len(one["class_names"]) == 2:
            one["threshold"] = outcome.found[item].threshold
    return record


def _keep_each(folder: Path, model: Any, record: Mapping[str, Any]) -> None:
    """Make a run of each classifier by itself, where its report lies."""
    for item, one in record["items"].items():
        inside = folder / ITEMS / item
        models.alone(model, item).save(folder / WORK / MODEL)
        (folder / WORK / MODEL).replace(inside / MODEL)
        metrics = json.loads((inside / METRICS).read_text(encoding="utf-8"))
        told = {key: metrics[key] for key in record["metrics"]}
        mine = {**record, "name": item, "items": {item: one}, "metrics": told}
        write_whole(inside / RUN, (json.dumps(mine, indent=2, ensure_ascii=False) + "\n").encode())


def _on_trays(run: Run, data: Mapping[str, Dataset]) -> Generator[Progress, None, dict[str, Any]]:
    """Let validation photos choose how trays are looked at, and held-back ones judge it; return what run.json says."""
    seed = int(run.config["seed"])
    look = yield from trays.choose(run, trays.kitchen_of(data, "val"), seed=seed + 1)
    record = {**run.record, "tray": asdict(look)}
    part: Part = "test" if all(one.part("test") for one in data.values()) else "val"
    kitchen = trays.kitchen_of(data, part)
    some = min(trays.TRAYS, kitchen.size)
    scores = yield from trays.judge(Run(run.path, record), kitchen, some, seed=seed + 2)
    record["tray"]["scores"] = asdict(scores)
    return record


def _report(folder: Path, plan: Plan, outcome: Outcome, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write histories, figures and report, and return all that run.json is to say."""
    earlier = _histories(plan.to) if plan.to else {}
    histories = earlier | outcome.histories
    _write_history(folder / HISTORY, histories)
    for item, rows in histories.items() if len(histories) > 1 else ():
        _write_history(make_folder(folder / ITEMS / item) / HISTORY, {item: rows})
    paths = {sha256: photo.path for sha256, photo in plan.photos.items()}
    unreadable = {paths[sha256]: why for sha256, why in outcome.errors.items()}
    page = report.Page(
        title=folder.parent.name,
        config=record["config"],
        items=record["items"],
        datasets=outcome.data,
        histories=histories,
        best=outcome.best,
        unreadable=unreadable,
        suspects=outcome.suspects,
        trays=record.get("tray", {}).get("scores"),
        look=looking(outcome.model, outcome.input_size, tuple(record["items"])),
        written={item: folder_of(plan.to, item) for item in plan.to.items} if plan.to else {},
    )
    found = recalled(plan.to) if plan.to else {}
    metrics = report.write_all(folder, {**found, **outcome.found}, page)
    if plan.to and (plan.to.path / SUSPECTS).is_file():
        _merge_suspects(folder / SUSPECTS, plan.to.path / SUSPECTS)
    return {
        **record,
        "metrics": {key: metrics[key] for key in ("judged_on", "n", "accuracy", "macro_f1", "f1")},
        "unreadable": {
            **(plan.to.record["unreadable"] if plan.to else {}),
            **{str(p): w for p, w in unreadable.items()},
        },
        "versions": _versions(),
        "devices": sorted(device.device_type for device in tf.config.list_logical_devices()),
    }


def _histories(run: Run) -> dict[str, list[Row]]:
    """Return the history of each classifier of a finished run."""
    found: dict[str, list[Row]] = {item: [] for item in run.items}
    for row in run.history:
        item = str(row.get("item", run.items[0]))
        found[item].append({key: value for key, value in row.items() if key not in {"item", "epoch"}})
    return found


def _merge_suspects(path: Path, earlier: Path) -> None:
    """Add the doubted labels of an earlier run to those in a file, the worst first."""
    files = [one.read_text(encoding="utf-8") for one in (earlier, path) if one.is_file()]
    lines = sorted("".join(files).splitlines(), key=lambda line: -json.loads(line)["score"])
    write_whole(path, "".join(f"{line}\n" for line in lines).encode())


def _write_history(path: Path, histories: Mapping[str, list[Row]]) -> None:
    file = io.StringIO()
    several = len(histories) > 1
    grown = any("pictures" in row for rows in histories.values() for row in rows)
    columns = [
        *(["item"] if several else []),
        "epoch",
        *(["pictures"] if grown else []),
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "seconds",
    ]
    table = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
    table.writeheader()
    for item, rows in histories.items():
        for number, row in enumerate(rows, start=1):
            table.writerow({"item": item, "epoch": number} | {key: f"{value:.6g}" for key, value in row.items()})
    write_whole(path, file.getvalue().encode())


def _same(record: Mapping[str, Any], plan: Plan) -> bool:
    """Tell whether a run, finished or not, is what a plan asks for; where the data lies does not matter."""

    def items(one: Mapping[str, Any]) -> dict[str, tuple[str, list[str]]]:
        return {item: (it["fingerprint"], list(it["class_names"])) for item, it in one["items"].items()}

    mine = plan.record
    return essence(record["config"]) == essence(mine["config"]) and items(record) == items(mine)


def _interrupted(runs: Path, plan: Plan) -> Path | None:
    """Return the newest run folder that was to become what the plan asks for and was not finished."""
    for path in sorted(runs.glob(f"*/{PLAN}"), reverse=True):
        if not (path.parent / RUN).exists() and _same(json.loads(path.read_text(encoding="utf-8")), plan):
            log.info("Going on with %s, which was interrupted.", path.parent)
            return path.parent
    return None


def _new_folder(runs: Path, plan: Plan) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (stamp if n == 1 else f"{stamp}-{n}" for n in itertools.count(1))
    folder = make_folder(next(runs / name for name in names if not (runs / name).exists()))
    make_folder(folder / WORK)
    write_whole(folder / PLAN, json.dumps(plan.record, indent=2, ensure_ascii=False).encode())
    return folder


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("tray", "keras", "tensorflow", "numpy", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
