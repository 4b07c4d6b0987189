"""Many downloads at once: which may start now, few at each host, and never more than pictures are missing."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from dataset.folder import Kind
from scraper.download import host_of, short_name
from scraper.engines import Candidate
from scraper.gathering import Gathering, Room

Result = TypeVar("Result")
NO_HOST: Final = ""
IDLE_SECONDS: Final = 60.0
SLOWER: Final = (0.5, 5.0)
"""Seconds between two requests to a host that was asked too much: the fewest and the most."""


@dataclass(slots=True, eq=False)
class Job:
    """One picture on its way: the addresses still to be tried, and those that failed."""

    candidate: Candidate
    gathering: Gathering
    addresses: deque[tuple[str, Kind]]
    name: str
    """Short name of the best address, under which the job is known while it is under way."""
    known: tuple[str, ...] = ()
    """Short names of better addresses that an earlier run or another result tried."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why each address failed that this job tried, by its short name."""
    passing: list[tuple[str, Kind]] = field(default_factory=list)
    """Of these, the addresses that may answer yet."""
    last_try: bool = False
    """Whether these had their second try."""
    waiting: list[Candidate] = field(default_factory=list)
    """Other results with the same best address: they try their other ones if this job fails."""
    likeness: str = ""
    """Perceptual hash of its thumbnail, where an earlier run brought that."""
    host_asked: str = ""
    batch: dict["Job", Any] | None = None
    """The thumbnails that are written together with this one."""

    @property
    def key(self) -> tuple[Gathering, str]:
        """What the job counts for: its class folder and its term."""
        return self.gathering, self.candidate.term

    @property
    def hopeful(self) -> bool:
        """Whether an address failed in passing, and is still to have its second try."""
        return bool(self.passing) and not self.last_try

    def try_again(self) -> None:
        """Put back what failed in passing, before what is left, as if it had not been tried."""
        self.last_try = True
        for url, _ in self.passing:
            del self.failed[short_name(url)]
        self.addresses.extendleft(reversed(self.passing))

    @property
    def host(self) -> str:
        """The host of the next address; empty for a data: address."""
        return host_of(self.addresses[0][0]) if self.addresses else NO_HOST


class Pool(Generic[Result]):
    """Threads that do the jobs' work.

    ``work(job)`` runs in a thread and returns a result, or None to have the job queued again for its next address.
    ``done(job, result)`` is told each result; whoever has dealt with it calls ``retire``. ``dropped(job)`` is told of
    jobs that have no room and never will, ``failed(error)`` of a thread that ends by an error.
    """

    def __init__(  # noqa: PLR0913 - three listeners and three limits
        self,
        work: Callable[[Job], Result | None],
        *,
        done: Callable[[Job, Result], None],
        dropped: Callable[[Job], None],
        failed: Callable[[BaseException], None],
        threads: int,
        per_host: int,
        spacing: float,
    ) -> None:
        self.active: Counter[tuple[Gathering, str]] = Counter()
        """Jobs that started and were not retired, by their keys."""
        self._work = work
        self._done = done
        self._dropped = dropped
        self._failed = failed
        self._most_threads = threads
        self._per_host = per_host
        self._spacing = spacing
        self._lanes: dict[str, deque[Job]] = {}
        self._at_host: Counter[str] = Counter()
        self._next_at: dict[str, float] = {}
        self._slowed: dict[str, float] = {}
        self._started: set[Job] = set()
        self._changed = threading.Condition()
        self._stopped = False
        self._threads: list[threading.Thread] = []

    def put(self, job: Job) -> None:
        """Queue a job."""
        with self._changed:
            self._lanes.setdefault(job.host, deque()).append(job)
            if len(self._threads) < self._most_threads:
                thread = threading.Thread(target=self._run, name=f"download-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def retire(self, job: Job) -> None:
        """Count a job as over."""
        with self._changed:
            if job in self._started:
                self._started.discard(job)
                self.active[job.key] -= 1
            # What ends makes room for one: waking all would have each look through all lanes.
            self._changed.notify()

    def slow_down(self, host: str, seconds: float) -> None:
        """Leave a host alone for so long; then ask it one thing at a time, and slower each time it complains."""
        least, most = SLOWER
        with self._changed:
            pause = self._slowed[host] = min(most, max(least, 1.5 * self._slowed.get(host, self._spacing)))
            self._next_at[host] = max(self._next_at.get(host, 0.0), time.monotonic() + max(seconds, pause))

    def wake(self) -> None:
        """Have the room of every queued job asked for again."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Start no more jobs; the threads end after the work at hand."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def join(self, seconds: float) -> None:
        """Wait for the threads to end, so many seconds at most."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        try:
            while job := self._take():
                self._do(job)
        except BaseException as error:
            self._failed(error)
            raise

    def _do(self, job: Job) -> None:
        host = job.host_asked = job.host
        try:
            result = self._work(job)
        finally:
            with self._changed:
                self._at_host[host] -= 1
                if host in self._slowed:
                    # Its answer may have taken long, and tries of its own.
                    self._next_at[host] = max(self._next_at[host], time.monotonic() + self._slowed[host])
                self._changed.notify()
        if result is None:
            self.put(job)
        else:
            self._done(job, result)

    def _take(self) -> Job | None:
        """Return a job whose host and class folder have room, as soon as there is one; None when the pool closes."""
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                soonest = IDLE_SECONDS
                for host in list(self._lanes):
                    wait = self._next_at.get(host, 0.0) - now if host else 0.0
                    if wait > 0:
                        soonest = min(soonest, wait)
                    elif (not host or self._at_host[host] < self._most_at(host)) and (job := self._from_lane(host)):
                        self._at_host[host] += 1
                        self._next_at[host] = now + self._slowed.get(host, self._spacing)
                        return job
                self._changed.wait(soonest)
            return None

    def _most_at(self, host: str) -> int:
        return 1 if host in self._slowed else self._per_host

    def _from_lane(self, host: str) -> Job | None:
        """Take the first job of a host that may start."""
        lane = self._lanes.pop(host)
        job = None
        for _ in range(len(lane)):
            first = lane.popleft()
            room: Room = "start" if first in self._started else first.gathering.room(first.candidate.term, self.active)
            if room == "start":
                job = first
                break
            if room == "wait":
                lane.append(first)
            else:
                self._dropped(first)
        if lane:
            # At the end again: the next host's turn comes first next time.
            self._lanes[host] = lane
        if job and job not in self._started:
            self._started.add(job)
            self.active[job.key] += 1
        return job
