"""Which learning rate suits a network and its pictures: tried from tiny to huge before any training."""

import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset.errors import ConfigError
from dataset.progress import Progress
from dataset.tray import Train
from train import backbones
from train.data import Dataset, Feed, decode_all, read_all, require_enough
from train.learn import Network, feeds_of

Array = np.ndarray[Any, Any]
LOWEST, HIGHEST = 1e-5, 0.5
STEPS = 100
"""Batches, each at a higher rate."""
SMOOTHING = 0.85
"""Share of the smoothed loss that the batches before speak for."""
START = 25
"""Batches at rates too low to change much: what the loss is at first, and how it scatters."""
CLEAR = 3.0
"""Deviations of the smoothed loss by which it has to fall below that to have fallen."""
LOST = 3.0
"""Times its lowest value at which the loss is beyond return."""
SAFETY = 10
"""By how much the rate to train at lies below the one where the loss turns (Smith, 2017, arXiv:1506.01186)."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The learning rates that were tried, the smoothed loss at each, and the one to train at."""

    suggested: float | None
    """None where no rate made the loss fall clearly."""
    rates: tuple[float, ...]
    losses: tuple[float, ...]


def find_rates(datasets: Mapping[str, Path], settings: Train) -> Iterator[Progress | dict[str, Rates]]:
    """Yield progress and, last, a learning rate for each dataset's network; nothing is written.

    ``settings`` are effective ones. Raises ConfigError for a backbone, whose head is computed and not learned.
    """
    if backbones.find_all(settings.model):
        raise ConfigError(
            f"Expected a network that trains from nothing, such as cnn. Received: {settings.model!r}, whose head needs "
            f"no learning rate. Train it as it is."
        )
    found = {}
    for item, dataset in read_all(datasets).items():
        found[item] = yield from _find(item, dataset, settings)
    yield found


def _find(item: str, dataset: Dataset, settings: Train) -> Generator[Progress, None, Rates]:
    require_enough(dataset)
    tried = np.geomspace(LOWEST, HIGHEST, STEPS)
    raw: list[float] = []
    losses: list[float] = []
    mean = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        pixels = yield from decode_all(dataset.photos, settings.image_size or 0, scratch=Path(scratch))
        dataset = dataset.without(pixels.errors)
        require_enough(dataset)
        network = Network(settings, len(dataset.class_names))
        batches = _endless(network, feeds_of(dataset, pixels, settings)["train"])
        for number, rate in enumerate(tried, start=1):
            network.rate = float(rate)
            network.model.reset_metrics()
            next(batches)
            raw.append(network.figures()["loss"])
            mean = SMOOTHING * mean + (1 - SMOOTHING) * raw[-1]
            losses.append(mean / (1 - SMOOTHING**number))
            yield Progress(f"try rates {item}".strip(), number, STEPS, "rate", f"rate={rate:.2g} loss={losses[-1]:.3f}")
            if not losses[-1] < LOST * min(losses):
                break
    return Rates(suggested(tried, raw, losses), tuple(map(float, tried[: len(losses)])), tuple(losses))


def suggested(tried: Array, raw: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the rate to train at, a tenth of that of the lowest smoothed loss; None where that did not clearly fall.

    ``raw`` are the losses of the batches, ``losses`` the same smoothed.
    """
    lowest = START + int(np.nanargmin([*losses[START:], np.inf]))
    scatter = float(np.std(raw[:START])) * ((1 - SMOOTHING) / (1 + SMOOTHING)) ** 0.5
    if lowest >= len(losses) or not losses[lowest] < np.mean(raw[:START]) - CLEAR * scatter:
        return None
    return float(tried[lowest]) / SAFETY


def _endless(network: Network, feed: Feed) -> Iterator[int]:
    while True:
        yield from network.steps(feed)
        feed.epoch += 1
