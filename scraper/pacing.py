"""The human rhythm: how far a hand scrolls, how long eyes rest, how long a shut door stays shut."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

GLIDE: Final = (0.6, 0.9)
"""Shares of the window's height that one turn of the wheel goes down."""
GLIDE_SECONDS: Final = (0.4, 0.9)
PAUSE: Final = (1.0, 0.5)
"""Median in seconds and sigma of the log-normal pause after a turn."""
PAUSE_LIMITS: Final = (0.3, 6.0)
DWELL: Final = 0.12
"""Seconds that the mouse stays on a picture."""
REST: Final = (10.0, 30.0)
REST_AFTER: Final = (150, 250)
"""Results between two rests."""
RECENT: Final = 30
"""Results whose share of full sizes is looked at."""
FALLEN: Final = 0.6
"""Part of the best share at or below which it has fallen."""
THINNED: Final = 0.67
"""Part of what came of late that is asked for once fewer full sizes come."""
BETWEEN_TERMS: Final = (14.0, 0.5)
BETWEEN_TERMS_LIMITS: Final = (8.0, 60.0)
BACK_OFF: Final = (60.0, 1800.0)
"""First wait after a refusal, doubled each time, and the longest."""
MINUTE: Final = 60.0
"""Seconds over which an engine is taken to count what it is asked for, at least."""
REMEMBERED: Final = 600.0
TELLING: Final = 2
"""Answers before a refusal from which on it is about their number."""


class FullShare:
    """Watches how many of an engine's results still name their picture's full size.

    An engine that has had enough of a visitor gives thumbnails only, some time before it refuses.
    """

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._best = 0.0

    def falls(self, results: Iterable[bool]) -> bool:
        """Count results, each true when it names a full size; return whether their share has fallen well below."""
        self._recent.extend(results)
        if len(self._recent) < RECENT:
            return False
        share = sum(self._recent) / RECENT
        self._best = max(self._best, share)
        # An engine that never named one has not begun to hold them back.
        if not self._best or share > FALLEN * self._best:
            return False
        # The next word is about other results, and is measured by what came before all this.
        self._recent.clear()
        return True


class Allowance:
    """How much an engine may be asked in a minute: anything, until it has refused; then half of what it gave before.

    Pages and what their scripts fetch count alike, as both are what an engine counts. Browsers side by side share one,
    and it holds for all searches of a run.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = 0
        """Answers in a period; 0 for any number."""
        self.period = MINUTE
        self._clock = clock
        self._times: list[float] = []
        self._lock = threading.Lock()

    def count(self, *ages: float) -> None:
        """Note answers that came so many seconds ago."""
        now = self._clock()
        with self._lock:
            self._times = sorted([*self._times, *(now - age for age in ages)])
            self._times = [one for one in self._times if now - one <= REMEMBERED]

    def lower(self, *, share: float, wait: float = 0.0) -> None:
        """Allow this share of what came of late; ``wait`` is for how long the engine wants to be left alone.

        An engine that wants more than a minute may well count over more than one, and so may one that bears no less
        than a page asks for by itself. A single answer tells nothing about their number: who refuses the first visit
        has another reason.
        """
        with self._lock:
            before = self.most, self.period
            self.period = max(self.period, min(wait, REMEMBERED))
            came = self._recent()
            if came < TELLING:
                return
            self.most = max(1, min(int(came * share), self.most or came))
            if (self.most, self.period) == before:
                self.period = min(2 * self.period, REMEMBERED)

    def wait(self) -> float:
        """Return the seconds until the engine may be asked again."""
        with self._lock:
            if not self.most or self._recent() < self.most:
                return 0.0
            return max(0.0, self._times[-self.most] + self.period - self._clock())

    def _recent(self) -> int:
        now = self._clock()
        return sum(now - one <= self.period for one in self._times)


class Rhythm:
    """The seeded pauses of one engine; ``sleep`` is called with every one of them, in seconds.

    ``pace`` is a factor on all of them. ``door`` is the factor on the wait after a refusal: that is no human pause, so
    only a site of one's own may shorten it.
    """

    def __init__(
        self, pace: float, seed: int | str, *, door: float = 1.0, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self.spent = 0.0
        """Seconds that the pauses and scrolls took so far, as they were asked for."""
        self.pace = pace
        self._door = door
        self._random = Random(seed)
        self._sleep = sleep
        self._slowness = 1.0
        self._until_rest = self._random.randint(*REST_AFTER)
        self.allowance = Allowance()

    def before_asking(self) -> None:
        """Wait while the engine was asked for as much as it bears."""
        if wait := self.allowance.wait():
            self._sleep(wait)

    def glide(self) -> tuple[float, float]:
        """Return how far to scroll, as a share of the window's height, and in how many seconds."""
        seconds = self._random.uniform(*GLIDE_SECONDS) * self.pace
        self.spent += seconds
        if self._random.random() < 0.05:
            return -self._random.uniform(0.05, 0.1), seconds
        return self._random.uniform(*GLIDE), seconds

    def dwell(self) -> float:
        """Return how many seconds the mouse stays on a picture."""
        return DWELL * self.pace * self._slowness

    def pause(self, results: int = 0) -> None:
        """Pause after a scroll that brought so many results; rest longer now and then."""
        self._until_rest -= results
        if self._until_rest <= 0:
            self._until_rest = self._random.randint(*REST_AFTER)
            self.rest()
        else:
            self._wait(self._log_normal(PAUSE, PAUSE_LIMITS))

    def rest(self) -> None:
        """Rest as one does who has seen enough for a while."""
        self._wait(self._random.uniform(*REST))

    def between_terms(self) -> None:
        """Pause before the next search."""
        self._wait(self._log_normal(BETWEEN_TERMS, BETWEEN_TERMS_LIMITS))

    def slow_down(self, *, share: float = 0.5, wait: float = 0.0) -> None:
        """Make every later pause half as long again, up to eight times the first, and ask for this share at most.

        ``wait`` is for how long the engine asked to be left alone.
        """
        self._slowness = min(8.0, self._slowness * 1.5)
        self.allowance.lower(share=share, wait=wait)

    def shut_for(self, refusals: int, asked: float = 0.0) -> float:
        """Return the seconds to wait after so many refusals in a row, at least as many as were asked for."""
        first, longest = BACK_OFF
        seconds: float = min(longest, first * 2.0 ** (refusals - 1)) * self._random.uniform(0.8, 1.2) * self._door
        return max(seconds, min(asked, longest))

    def back_off(self, seconds: float) -> None:
        """Leave the engine alone for so long; that is no human pause."""
        self._sleep(seconds)

    def _log_normal(self, shape: tuple[float, float], limits: tuple[float, float]) -> float:
        median, sigma = shape
        seconds: float = self._random.lognormvariate(math.log(median), sigma)
        return min(limits[1], max(limits[0], seconds))

    def _wait(self, seconds: float) -> None:
        seconds *= self.pace * self._slowness
        self.spent += seconds
        self._sleep(seconds)
