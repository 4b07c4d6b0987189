"""What a training is going to be: its settings in full, its data, and the run folder that is to hold it."""

import itertools
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dataset.errors import ConfigError
from dataset.folder import make_folder, write_whole
from dataset.tray import Train
from train import backbones, models
from train.adding import essence
from train.board import require_tensorboard
from train.data import Dataset, Photo
from train.runs import FORMAT, RUN, Run

PLAN = "plan.json"
"""What a run is going to be; the mark by which an interrupted one is found again."""
WORK = ".training"
"""What an interrupted run needs to go on; removed when it is finished."""

FEW = 5000
"""Training pictures below which a pretrained network is recommended: on 700 it was right in 95 % instead of 70, and
what learned from nothing on 17,494 pictures of ten foods got 82."""

log = logging.getLogger("tray")


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
        several = any(len(one.class_names) > 2 for one in self.data.values())
        config = asdict(self.settings) | {"mode": "multiclass" if several else "binary"}
        record = {"format": FORMAT, "config": config, "items": items}
        if self.to is None:
            return record
        earlier = {"run": str(self.to.path.absolute()), "items": list(self.to.items)}
        there = {
            item: {**one, "data": str(self.to.data_of(item).absolute())}
            for item, one in self.to.record["items"].items()
        }
        return record | {"items": {**there, **items}, "added_to": earlier}

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


def is_same(record: Mapping[str, Any], plan: Plan) -> bool:
    """Tell whether a run, finished or not, is what a plan asks for; where the data lies does not matter."""

    def items(one: Mapping[str, Any]) -> dict[str, tuple[str, list[str]]]:
        return {item: (it["fingerprint"], list(it["class_names"])) for item, it in one["items"].items()}

    def settings(one: Mapping[str, Any]) -> dict[str, Any]:
        # The classes tell the mode; older runs noted the one that was asked for.
        return {name: value for name, value in essence(one["config"]).items() if name != "mode"}

    mine = plan.record
    return settings(record) == settings(mine) and items(record) == items(mine)


def interrupted(runs: Path, plan: Plan) -> Path | None:
    """Return the newest run folder that was to become what the plan asks for and was not finished."""
    others = []
    for path in sorted(runs.glob(f"*/{PLAN}"), reverse=True):
        if (path.parent / RUN).exists():
            continue
        try:
            same = is_same(json.loads(path.read_text(encoding="utf-8")), plan)
        except (ValueError, KeyError, TypeError):
            same = False
        if same:
            log.info("Going on with %s, which was interrupted.", path.parent)
            return path.parent
        others.append(path.parent)
    for folder in others:
        log.info("%s was interrupted with other settings or pictures, and stays: delete it if you need it not.", folder)
    return None


def advise(plan: Plan) -> None:
    """Say what is mostly better where a network is to learn from nothing on few pictures."""
    training = len({photo.sha256 for one in plan.data.values() for photo in one.part("train")})
    if training < FEW and not backbones.find_all(plan.settings.model):
        log.info(
            "%s learns from nothing, and %d training pictures are few for that: a network that others trained is "
            "mostly better, such as --model mobilenetv2.",
            plan.settings.model, training,
        )  # fmt: skip


def new_folder(runs: Path, plan: Plan) -> Path:
    """Return a new run folder that says what it is going to be."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (stamp if n == 1 else f"{stamp}-{n}" for n in itertools.count(1))
    folder = make_folder(next(runs / name for name in names if not (runs / name).exists()))
    make_folder(folder / WORK)
    write_whole(folder / PLAN, json.dumps(plan.record, indent=2, ensure_ascii=False).encode())
    return folder
