"""Training: from datasets to a finished run, resumable at the epoch in which it was stopped."""

import csv
import io
import json
import logging
import platform
import shutil
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from dataset.errors import ConfigError, TrayError
from dataset.folder import locked, make_folder, unwritable, write_whole
from dataset.progress import Progress
from dataset.tray import Train
from train import models, report, trays
from train.adding import fresh, recalled, require_addable
from train.archive import Enlarged
from train.board import BOARD, logged
from train.data import Dataset, Part, read_all, require_enough
from train.forward import devices
from train.hashes import HASHES
from train.learn import Row
from train.plan import PLAN, WORK, Plan, advise, effective, interrupted, is_same, new_folder
from train.runs import HISTORY, ITEMS, METRICS, MODEL, RUN, SUSPECTS, Run, finished, open_run
from train.ways import Outcome, carry_out
from train.where import looking

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
    data = read_all(datasets, apart=bool(to), store=runs / HASHES)
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
        done = next((run for run in finished(runs / name) if is_same(run.record, plan)), None)
        if done:
            log.info("Nothing to do: %s was trained on the same pictures with the same settings.", done.path)
            yield done
            return
        advise(plan)
        folder = interrupted(runs / name, plan) or new_folder(runs / name, plan)
        try:
            yield from _train(folder, plan)
        except OSError as error:
            raise unwritable(folder, error) from error
        finally:
            _discard_empty(folder)


def _discard_empty(folder: Path) -> None:
    """Remove a run's folder when what ended the run left nothing in it to go on with."""
    if not (folder / RUN).exists() and not any(folder.glob(f"{WORK}/*")):
        shutil.rmtree(folder, ignore_errors=True)


def _train(folder: Path, plan: Plan) -> Iterator[Progress | Run]:
    started = time.monotonic()
    earlier = plan.to.datasets() if plan.to and plan.settings.trays else {}
    if plan.settings.trays:
        laid = yield from trays.lay(plan.data, folder / WORK / "trays", seed=plan.settings.seed, beside=earlier)
        plan = replace(plan, data=laid)
    steps = carry_out(folder, plan)
    outcome = yield from logged(steps, folder / BOARD) if plan.settings.tensorboard else steps
    for item, judged in outcome.found.items():
        if not np.isfinite(judged.probabilities).all():
            raise TrayError(
                f"Expected a network whose probabilities are numbers. Received: one for {item!r} that ran out of them "
                f"at a learning rate of {plan.settings.learning_rate:g}. Lower it; --find-lr tells one."
            )
    record = _save(folder, plan, outcome)
    if plan.settings.trays:
        known = trays.look_of(plan.to) if plan.to else None
        record = yield from _on_trays(Run(folder, record), {**earlier, **outcome.data}, known)
    record = _report(folder, plan, outcome, record) | {"seconds": round(time.monotonic() - started, 2)}
    if plan.settings.independent and len(plan.data) > 1:
        _keep_each(folder, outcome.model, record)
    write_whole(folder / RUN, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
    shutil.rmtree(folder / WORK, ignore_errors=True)
    (folder / PLAN).unlink(missing_ok=True)
    yield open_run(folder)


def _save(folder: Path, plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """Write the model, and return what run.json is to say of it."""
    outcome.model.save(make_folder(folder / WORK) / MODEL)
    (folder / WORK / MODEL).replace(folder / MODEL)
    record = plan.record | {"name": folder.parent.name, "at": str(folder.absolute()), "input_size": outcome.input_size}
    if outcome.features:
        record["features"] = outcome.features
    for item in outcome.data:
        one = record["items"][item]
        one |= {"epochs": len(outcome.histories[item]), "best_epoch": outcome.best[item]}
        if item in outcome.temperatures:
            one["temperature"] = outcome.temperatures[item]
        if len(one["class_names"]) == 2:
            one["threshold"] = outcome.found[item].threshold
            if item in outcome.kernels:
                one["kernel"] = asdict(outcome.kernels[item])
    return record


def _keep_each(folder: Path, model: Any, record: Mapping[str, Any]) -> None:
    """Make a run of each classifier by itself, where its report lies."""
    for item, one in record["items"].items():
        inside = folder / ITEMS / item
        models.alone(model, item).save(folder / WORK / MODEL)
        (folder / WORK / MODEL).replace(inside / MODEL)
        metrics = json.loads((inside / METRICS).read_text(encoding="utf-8"))
        told = {key: metrics[key] for key in record["metrics"]}
        mine = {**record, "name": item, "at": str(inside.absolute()), "items": {item: one}, "metrics": told}
        write_whole(inside / RUN, (json.dumps(mine, indent=2, ensure_ascii=False) + "\n").encode())


def _on_trays(
    run: Run, data: Mapping[str, Dataset], known: trays.Look | None
) -> Generator[Progress, None, dict[str, Any]]:
    """Let validation photos choose how trays are looked at, and held-back ones judge it; return what run.json says.

    ``known`` is how the run that was added to looks at them.
    """
    seed = int(run.config["seed"])
    look = yield from trays.choose(run, trays.kitchen_of(data, "val"), seed=seed + 1, known=known)
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
    names = tuple(record["items"])
    _write_history(folder / HISTORY, histories)
    for item, rows in outcome.histories.items() if len(histories) > 1 else ():
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
        look=None
        if isinstance(outcome.model, Enlarged)
        else looking(outcome.model, outcome.input_size, names[-report.LOOKED :]),
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
        "devices": devices(),
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


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("tray", "keras", "tensorflow", "numpy", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
