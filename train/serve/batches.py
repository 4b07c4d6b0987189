"""How requests that come at the same time share one forward pass."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]
Answer = dict[str, Array]
MOST: Final = 32


class Batches:
    """Answers pixels from many threads by one forward pass at a time; what waits meanwhile goes into the next.

    Nobody waits for others to come: a lone request is computed at once.
    """

    def __init__(self, forward: Callable[[Array], Answer], *, most: int = MOST) -> None:
        self._forward = forward
        self._most = most
        self._waiting: queue.SimpleQueue[tuple[Array, Future[Answer]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def __call__(self, pixels: Array) -> Answer:
        """Return the probabilities of each classifier, (n, classes), for (n, size, size, 3) pixels."""
        future: Future[Answer] = Future()
        self._waiting.put((pixels, future))
        return future.result()

    @property
    def waiting(self) -> int:
        """Return how many requests wait for the next pass."""
        return self._waiting.qsize()

    def close(self) -> None:
        """Answer what waits, and end."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            together, last = [first], False
            while sum(len(pixels) for pixels, _ in together) < self._most and not self._waiting.empty():
                one = self._waiting.get()
                if one is None:
                    last = True
                    break
                together.append(one)
            self._answer(together)
            if last:
                return

    def _answer(self, together: list[tuple[Array, Future[Answer]]]) -> None:
        try:
            found = self._forward(np.concatenate([pixels for pixels, _ in together]))
        except Exception as error:  # noqa: BLE001 - it belongs to those who asked, and the next may succeed
            for _, future in together:
                future.set_exception(error)
            return
        start = 0
        for pixels, future in together:
            end = start + len(pixels)
            future.set_result({item: rows[start:end] for item, rows in found.items()})
            start = end
