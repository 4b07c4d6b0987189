"""The ways to learn: networks from nothing, heads on a frozen backbone, a backbone that is tuned along with them."""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dataset.progress import Progress
from dataset.tray import Train
from train import backbones, belief, features, heads, models
from train.adding import Shape, agreed
from train.archive import Enlarged
from train.data import Dataset, Part, Photo, Pixels, decode_all, distinct, let_go, require_enough
from train.evaluate import Judged, cooled, temperature, threshold
from train.forward import by_keras
from train.learn import Epoch, Learned, Network, Row, feeds_of, learn
from train.plan import WORK, Plan

Array = np.ndarray[Any, Any]
HELD_BACK: tuple[Part, ...] = ("val", "test")
BATCH = 64
"""Pictures judged at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training gave, whichever way it went."""

    model: Any
    """The joined Keras model, from pixels to probabilities; or what is put into that of the run that is added to."""
    input_size: int
    data: dict[str, Dataset]
    """The datasets without their unreadable photos."""
    histories: dict[str, list[Row]]
    best: dict[str, int]
    found: dict[str, Judged]
    errors: dict[str, str]
    """Why photos could not be read, by sha256."""
    features: str = ""
    """The key of the features that heads were fitted to, where the backbone is frozen."""
    suspects: dict[str, Judged] = field(default_factory=dict)
    """The training photos, each judged by a head that was fitted without it."""
    kernels: dict[str, Shape] = field(default_factory=dict)
    """The kernels that were chosen for binary heads, and not taken from the run that they are added to."""
    temperatures: dict[str, float] = field(default_factory=dict)
    """What validation chose to divide the logits by; heads are calibrated by the photos left out in turn instead."""


def carry_out(folder: Path, plan: Plan) -> Generator[Progress, None, Outcome]:
    """Learn what a plan asks for, in the way that its settings name; yield progress, return what came of it.

    What an interruption needs to go on lies in the run's folder. Raises NotEnoughImages when too few photos are read.
    """
    steps = _apart(folder, plan) if plan.settings.independent else _way(plan)(folder, plan)
    return (yield from steps)


def _way(plan: Plan) -> Callable[[Path, Plan], Generator[Progress, None, Outcome]]:
    return _on_features if backbones.find_all(plan.settings.model) else _from_nothing


def _apart(folder: Path, plan: Plan) -> Generator[Progress, None, Outcome]:
    """Train each classifier as if there were no other, and put their models side by side."""
    outcomes = {}
    for item, dataset in plan.data.items():
        outcomes[item] = yield from _way(plan)(folder, replace(plan, data={item: dataset}))
    single = [models.taken_apart(one.model, (item,)) for item, one in outcomes.items()]
    parts = {item: part for one in single for item, part in one.by_item.items()}
    return Outcome(
        model=models.joined(models.Parts(parts, single[0].trunk)),
        input_size=next(iter(outcomes.values())).input_size,
        features="",
        **{
            name: {key: value for one in outcomes.values() for key, value in getattr(one, name).items()}
            for name in ("data", "histories", "best", "found", "errors", "suspects", "kernels", "temperatures")
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
    parts, temperatures = {}, {}
    for item, dataset in data.items():
        parts[item] = models.Classifier(models.build(settings.model, size=size, classes=len(dataset.class_names)))
        parts[item].layer.set_weights(learned[item].weights)
    answers = _ask(by_keras(models.joined(models.Parts(parts)), size, tuple(data)), data, pixels)
    for item, dataset in data.items():
        val = dataset.part("val")
        said = np.stack([answers[item][photo.sha256] for photo in val])
        temperatures[item] = temperature(said, np.array([photo.label for photo in val]))
        answers[item] = {sha256: cooled(one[None], temperatures[item])[0] for sha256, one in answers[item].items()}
    thresholds = {item: _threshold(dataset, answers[item], settings) for item, dataset in data.items()}
    earlier = models.taken_apart(plan.to.model, plan.to.items).by_item if plan.to else {}
    cool = {item: replace(part, scale=1 / temperatures[item]) for item, part in parts.items()}
    return Outcome(
        model=models.joined(models.Parts(earlier | cool)),
        input_size=size,
        data=data,
        histories={item: one.history for item, one in learned.items()},
        best={item: one.best for item, one in learned.items()},
        found=_judge(data, answers, thresholds),
        errors=pixels.errors,
        temperatures=temperatures,
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
        let_go(pixels.array)
    return answers


def _on_features(folder: Path, plan: Plan) -> Generator[Progress, None, Outcome]:
    """Run the frozen backbone once over every photo, and fit a head per classifier on what it gives."""
    settings = plan.settings
    store = folder.parent.parent / features.STORE
    with_ = features.known_extractor(plan.to, store) if plan.to else features.extractor(settings)
    found, errors = yield from features.embed(plan.photos, with_, store)
    data = _readable(plan, errors)
    fitted: dict[str, tuple[heads.Head, list[Row]]] = {}
    answers: dict[str, dict[str, Array]] = {}
    suspects = {}
    kernel = agreed(plan.to) if plan.to else None
    for some in _side_by_side(data):
        group = yield from _fit_heads(some, found, settings, mixes=with_.mixes, kernel=kernel)
        fitted |= group
        held = [photo.sha256 for part in HELD_BACK for photo in next(iter(some.values())).part(part)]
        said = heads.answers({item: head for item, (head, _) in group.items()}, np.stack([found[one] for one in held]))
        answers |= {item: dict(zip(held, rows, strict=True)) for item, rows in said.items()}
    for item, dataset in data.items():
        # Copies would be in and out of a leave-one-out at the same time.
        photos = distinct(dataset.part("train"))
        labels = np.array([photo.label for photo in photos], np.int64)
        suspects[item] = Judged(dataset.class_names, tuple(photos), labels, fitted[item][0].left_out, "train")
    thresholds = {}
    for item, dataset in data.items():
        # What was widened by trays is another head than the one that each photo was left out of.
        left_out = None if dataset.part("tray") else suspects[item]
        thresholds[item] = _threshold(dataset, answers[item], settings, left_out)
    if settings.fine_tune:
        return (yield from _tuned(folder, plan, with_, found, Frozen(data, errors, suspects)))
    new = {item: head for item, (head, _) in fitted.items()}
    return Outcome(
        model=Enlarged(plan.to, new) if plan.to else models.joined(models.Parts(models.of_heads(new), with_.model())),
        input_size=with_.input_size,
        features=with_.key,
        data=data,
        histories={item: rows for item, (_, rows) in fitted.items()},
        best={item: len(rows) for item, (_, rows) in fitted.items()},
        found=_judge(data, answers, thresholds),
        errors=errors,
        suspects=suspects,
        kernels={} if kernel else {item: _kernel(head, with_.mixes) for item, head in new.items()},
    )


def _kernel(head: heads.Head, mixes: Array) -> Shape:
    return Shape(int((mixes == head.mix).all(axis=1).argmax()), head.gamma)


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
    now = features.extractor_of(with_.model(), settings)
    held = {photo.sha256: photo for one in data.values() for part in HELD_BACK for photo in one.part(part)}
    seen, _ = yield from features.embed(held, now, folder / WORK / features.STORE)
    answers, parts, temperatures, thresholds = {}, {}, {}, {}
    for item, dataset in data.items():
        photos = [photo for part in HELD_BACK for photo in dataset.part(part)]
        inputs = np.stack([seen[photo.sha256] for photo in photos])
        said = belief.softmax(np.asarray(tuned.parts[item](inputs)))
        val = np.array([photo.part == "val" for photo in photos])
        by = temperature(said[val], np.array([photo.label for photo in dataset.part("val")]))
        answers[item] = dict(zip((photo.sha256 for photo in photos), cooled(said, by), strict=True))
        parts[item] = models.Classifier(tuned.parts[item], scale=1 / by)
        temperatures[item] = by
        thresholds[item] = _threshold(dataset, answers[item], settings)
    return Outcome(
        model=models.joined(models.Parts(parts, with_.model())),
        input_size=with_.input_size,
        data=data,
        histories=dict.fromkeys(data, tuned.learned.history),
        best=dict.fromkeys(data, tuned.learned.best),
        found=_judge(data, answers, thresholds),
        errors=known.errors,
        suspects=known.suspects,
        temperatures=temperatures,
    )


def _side_by_side(data: Mapping[str, Dataset]) -> list[dict[str, Dataset]]:
    """Return the classifiers in groups that learn from the same photos."""
    groups: dict[tuple[tuple[str, str], ...], dict[str, Dataset]] = {}
    for item, dataset in data.items():
        photos = tuple((photo.part, photo.sha256) for photo in dataset.photos if photo.part != "tray")
        groups.setdefault(photos, {})[item] = dataset
    return list(groups.values())


def _fit_heads(
    data: Mapping[str, Dataset], found: Mapping[str, Array], settings: Train, *, mixes: Array, kernel: Shape | None
) -> Generator[Epoch, None, dict[str, tuple[heads.Head, list[Row]]]]:
    """Fit heads on growing parts of the same training photos, the last on all; yield how each did, return the last.

    Where no kernel is given, each binary head chooses its own.
    """
    any_ = next(iter(data.values()))
    inputs = {
        part: np.stack([found[photo.sha256] for photo in photos])
        for part, photos in (("train", distinct(any_.part("train"))), ("val", any_.part("val")))
    }
    labels = {item: np.array([photo.label for photo in distinct(one.part("train"))]) for item, one in data.items()}
    held_back = {item: np.array([photo.label for photo in one.part("val")]) for item, one in data.items()}
    # The class folders, also where an item stands against the rest of them: all of them grow alike.
    names = [photo.path.parent.name for photo in distinct(any_.part("train"))]
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
            fitted = heads.fit_side_by_side(
                inputs["train"][some],
                known,
                kinds[some],
                seed=settings.seed,
                mixes=mixes[[kernel.mix]] if kernel else mixes,
                gamma=kernel.gamma if kernel else None,
            )
        seconds = (time.perf_counter() - started) / len(data)
        said = heads.answers(fitted, inputs["val"])
        for item, head in fitted.items():
            told = _figures(head.left_out, known[item], "")
            told |= _figures(said[item], held_back[item], "val_")
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
