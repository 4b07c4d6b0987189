"""What a run answers about pictures that were sent: in words and numbers, alone or in batches."""

import base64
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dataset.errors import TrayError
from dataset.images import read, to_jpeg
from train import trays
from train.data import threads
from train.predict import describe
from train.runs import Run
from train.serve.batches import Batches
from train.serve.pictures import Limits, Refused, Sent, decode, opened

# It brings TensorFlow along, which only those wait for who ask where a run looked.
if TYPE_CHECKING:
    from train.where import Eye

Array = np.ndarray[Any, Any]
Fetch = Callable[[str], bytes]
"""Returns the bytes behind an address; raises TrayError, or Refused with the status to answer with."""
TOP: Final = 5
FETCHED_AT_ONCE: Final = 8
LARGEST_PREVIEW: Final = 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be told about each picture."""

    top: int = TOP
    """Labels with their probabilities at most."""
    preview: int = 0
    """Longer side in pixels of a copy of the picture to go along as data: address; 0 for none."""
    tray: bool = False
    """Whether windows of the picture are looked at too, and what lies where is told."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where a label stands among a run's answers."""

    item: str
    column: int


class Service:
    """A run, warmed up and held open for many threads that ask at once."""

    def __init__(self, run: Run, *, fetch: Fetch | None = None, limits: Limits | None = None) -> None:
        self.run = run
        self.limits = limits or Limits()
        self._fetch = fetch
        self._batches = Batches(run.probabilities)
        # Decoded pictures are large: as many at once as can be worked on, not as there are clients.
        self._decoding = threading.BoundedSemaphore(threads())
        self._fetching = ThreadPoolExecutor(FETCHED_AT_ONCE, thread_name_prefix="fetch")
        self._counted = itertools.count()
        self._answered = 0
        self._started = time.monotonic()
        run.probabilities(np.zeros((1, run.image_size, run.image_size, 3), np.uint8))

    def close(self) -> None:
        """Answer what waits, and let go of the threads."""
        self._fetching.shutdown(cancel_futures=True)
        self._batches.close()

    def answer(self, pictures: Sequence[Sent], wanted: Wanted) -> list[dict[str, Any]]:
        """Return an answer for each picture in its order; of several, one that is refused is an answer with an error.

        Raises Refused for a single one.
        """
        found = list(self._fetching.map(self._data, pictures) if len(pictures) > 1 else map(self._data, pictures))
        if wanted.tray:
            return self._trays(pictures, found, wanted)
        decoded = [self._decoded(data) for data in found]
        if len(pictures) == 1 and isinstance(decoded[0], Refused):
            raise decoded[0]
        pixels = [one[0] for one in decoded if not isinstance(one, Refused)]
        answers = self._batches(np.stack(pixels)) if pixels else {}
        row = itertools.count()
        told = []
        for picture, data, one in zip(pictures, found, decoded, strict=True):
            if isinstance(one, Refused):
                told.append({"file": picture.name, "error": str(one), "status": one.status})
            else:
                place = next(row)
                of_this = {item: rows[place] for item, rows in answers.items()}
                told.append(self._told(picture, one, of_this, wanted) | _preview(data, wanted))
        self._answered = next(self._counted) + 1
        return told

    def _trays(
        self, pictures: Sequence[Sent], found: Sequence[bytes | Refused], wanted: Wanted
    ) -> list[dict[str, Any]]:
        """Return what lies where on each picture, by windows of it; raises Refused for a single one that is refused."""
        told = []
        for picture, data in zip(pictures, found, strict=True):
            try:
                said = trays.answer(self.run, Path(picture.name), self._windows(data), self._look, self._batches)
            except Refused as error:
                if len(pictures) == 1:
                    raise
                told.append({"file": picture.name, "error": str(error), "status": error.status})
                continue
            answer = {name: value for name, value in asdict(said).items() if name != "error"}
            shown = {one.item: one.probability for one in said.seen[: wanted.top]}
            told.append(answer | {"file": picture.name, "probabilities": shown} | _preview(data, wanted))
        self._answered = next(self._counted) + 1
        return told

    def _windows(self, data: bytes | Refused) -> trays.Windows:
        if isinstance(data, Refused):
            raise data
        with self._decoding:
            size, scales = self.run.image_size, self._look.scales
            info, image = opened(data, self.limits, side=trays.least_side(size, scales))
            found = trays.windows_of(image, (info.width, info.height), size, scales)
        if isinstance(found, str):
            raise Refused(f"Expected a picture that can be looked at by windows. Received: {found}.", 422)
        return found

    def answer_item(self, picture: Sent, item: str) -> dict[str, Any]:
        """Return whether one item is on a picture; raises Refused for an item the run does not know."""
        if item == self.run.record["name"] and item not in self.run.items:
            return self.answer([picture], Wanted())[0]
        output = self.output(item)
        pixels, width, height = self._sure(picture)
        probabilities = self._batches(pixels[None])[output.item][0]
        labels = self.run.labels[output.item]
        probability = float(probabilities[output.column])
        threshold = self.run.thresholds.get(output.item)
        present = probability >= threshold if threshold else int(np.argmax(probabilities)) == output.column
        self._answered = next(self._counted) + 1
        return {
            "file": picture.name,
            "item": item,
            "present": bool(present),
            "probability": probability,
            "threshold": threshold,
            "probabilities": dict(zip(labels, map(float, probabilities), strict=True)),
            "width": width,
            "height": height,
        }

    def where(self, picture: Sent, label: str | None) -> dict[str, Any]:
        """Return where a picture speaks for a label, the most probable one unless it is named."""
        pixels, _, _ = self._sure(picture)
        answers = {item: rows[0] for item, rows in self._batches(pixels[None]).items()}
        probabilities = describe(self.run, Path(picture.name), answers, top=len(self.labels)).probabilities
        label = label or next(iter(probabilities))
        output = self.output(label)
        heat = self._eye.heat(pixels, output.item, output.column)
        return {
            "file": picture.name,
            "label": label,
            "probability": float(answers[output.item][output.column]),
            "method": heat.method,
            "rows": np.round(heat.rows, 3).tolist(),
        }

    def knows(self, label: str) -> bool:
        """Return whether something is a label, or the name of a binary item."""
        return label in self.labels or bool(label and label in self.run.thresholds)

    def output(self, label: str) -> Output:
        """Return where a label, or an item's name, stands among the answers; raises Refused for an unknown one."""
        if not self.knows(label):
            known = ", ".join(self.labels)
            raise Refused(f"Expected a label of this run: {known}. Received: {label[:100]!r}.", 404)
        return self.labels.get(label) or Output(label, 1)

    @cached_property
    def labels(self) -> dict[str, Output]:
        """Return every label that answers tell a probability of."""
        run = self.run
        if len(run.items) > 1:
            return {names[-1]: Output(item, len(names) - 1) for item, names in run.labels.items()}
        return {name: Output(item, n) for item, names in run.labels.items() for n, name in enumerate(names)}

    @cached_property
    def card(self) -> dict[str, Any]:
        """Return what the model is, for people and programs."""
        run = self.run
        return {
            "name": run.record["name"],
            "run": run.path.name,
            "mode": "binary" if run.thresholds else "multiclass",
            "labels": list(self.labels),
            "items": [
                {"name": item, "labels": list(labels), "threshold": run.thresholds.get(item)}
                for item, labels in run.labels.items()
            ],
            "network": run.config["model"],
            "image_size": run.image_size,
            "metrics": run.record.get("metrics", {}),
            "versions": run.record.get("versions", {}),
            "limits": asdict(self.limits),
            "fetches": self._fetch is not None,
        }

    @property
    def health(self) -> dict[str, Any]:
        """Return that the service lives, since how many seconds, and how many requests it answered."""
        seconds = round(time.monotonic() - self._started, 1)
        return {"status": "ok", "name": self.run.record["name"], "seconds": seconds, "answered": self._answered}

    @cached_property
    def _look(self) -> trays.Look:
        return trays.look_of(self.run)

    @cached_property
    def _eye(self) -> "Eye":
        from train.where import Eye

        return Eye(self.run.model, self.run.probabilities)

    def _told(
        self, picture: Sent, one: tuple[Array, int, int], answers: dict[str, Array], wanted: Wanted
    ) -> dict[str, Any]:
        told = asdict(describe(self.run, Path(picture.name), answers, top=wanted.top))
        told.pop("error")
        return told | {"file": picture.name, "width": one[1], "height": one[2]}

    def _sure(self, picture: Sent) -> tuple[Array, int, int]:
        decoded = self._decoded(self._data(picture))
        if isinstance(decoded, Refused):
            raise decoded
        return decoded

    def _data(self, picture: Sent) -> bytes | Refused:
        """Return a picture's bytes, fetched where they are elsewhere."""
        if not picture.address:
            return picture.data
        if self._fetch is None:
            return Refused("Expected a picture's bytes: this service fetches no addresses. Send the file.", 501)
        try:
            data = self._fetch(picture.address)
        except Refused as error:
            return error
        except TrayError as error:
            return Refused(str(error), 502)
        return data

    def _decoded(self, data: bytes | Refused) -> tuple[Array, int, int] | Refused:
        if isinstance(data, Refused):
            return data
        try:
            with self._decoding:
                return decode(data, self.run.image_size, self.limits)
        except Refused as error:
            return error


def _preview(data: bytes | Refused, wanted: Wanted) -> dict[str, str]:
    """Return a smaller copy of a picture as data: address; a page can show it whatever the format and the source."""
    if isinstance(data, Refused) or not wanted.preview:
        return {}
    jpeg = to_jpeg(read(data, max_side=min(wanted.preview, LARGEST_PREVIEW)), quality=85)
    return {"preview": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"}
