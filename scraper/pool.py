"""Many downloads at once: which may start now, few at each host, and never more than pictures are missing."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from dataset.folder import Kind
from scraper.engines import Candidate

Room = Literal["start", "wait", "drop"]
NO_HOST: Final = ""


@dataclass(slots=True, eq=False)
class Job:
    """One picture on its way: the addresses still to be tried, and those that failed."""

    candidate: Candidate
    key: Hashable
    """What the job counts for: its class folder and term."""
    addresses: deque[tuple[str, Kind]]
    tried: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    waiting: list[Candidate] = field(default_factory=list)
    """Results of other engines with the same best address: they try their other ones if this job fails."""
    fetching: str = ""
    """The host that is being asked."""
    collect: Callable[["Job", Any], Any] | None = None
    """What deals with the result instead of the one who deals with all others."""

    @property
    def host(self) -> str:
        """The host of the next address; empty for a data: address."""
        return urlsplit(self.addresses[0][0]).netloc.lower() if self.addresses else NO_HOST


class Pool:
    """Threads that do the jobs' work.

    ``work(job)`` runs in a thread and returns a result, or None to have the job queued again for its next address.
    ``room(job)`` says, under the pool's lock, whether a job may start. Each result is put into ``results`` with its
    job; whoever has dealt with it calls ``retire``.
    """

    def __init__(
        self,
        work: Callable[[Job], Any],
        room: Callable[[Job, Counter[Hashable]], Room],
        *,
        threads: int,
        per_host: int,
        spacing: float,
    ) -> None:
        self.results: SimpleQueue[tuple[Job, Any]] = SimpleQueue()
        self.active: Counter[Hashable] = Counter()
        """Jobs that started and were not retired, by their keys."""
        self._work = work
        self._room = room
        self._threads = threads
        self._per_host = per_host
        self._spacing = spacing
        self._lanes: dict[str, deque[Job]] = {}
        self._at_host: Counter[str] = Counter()
        self._next_at: dict[str, float] = {}
        self._started: set[Job] = set()
        self._changed = threading.Condition()
        self._stopped = False
        self._running: list[threading.Thread] = []
        self._queued = 0
        self.dropped: Callable[[Job], None] = lambda _job: None
        """Told of each job that has no room and never will."""
        self.failed: Callable[[BaseException], None] = lambda _error: None
        """Told when a thread ends by an error."""

    def put(self, job: Job) -> None:
        """Queue a job."""
        with self._changed:
            self._lanes.setdefault(job.host, deque()).append(job)
            self._queued += 1
            if len(self._running) < self._threads:
                thread = threading.Thread(target=self._run, name=f"download-{len(self._running)}", daemon=True)
                self._running.append(thread)
                thread.start()
            self._changed.notify()

    def backlog(self) -> int:
        """Return how many jobs are queued and not started."""
        return self._queued

    def retire(self, job: Job) -> None:
        """Count a job as over."""
        with self._changed:
            if job in self._started:
                self._started.discard(job)
                self.active[job.key] -= 1
            self._changed.notify_all()

    def rest(self, host: str, seconds: float) -> None:
        """Leave a host alone for so long."""
        with self._changed:
            self._next_at[host] = max(self._next_at.get(host, 0.0), time.monotonic() + seconds)

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
        for thread in self._running:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        try:
            self._jobs()
        except BaseException as error:
            self.failed(error)
            raise

    def _jobs(self) -> None:
        while job := self._take():
            host = job.fetching = job.host
            try:
                result = self._work(job)
            finally:
                with self._changed:
                    self._at_host[host] -= 1
                    self._changed.notify_all()
            if result is None:
                self.put(job)
            else:
                self.results.put((job, result))

    def _take(self) -> Job | None:
        """Return a job whose host and class folder have room, as soon as there is one; None when the pool closes."""
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                soonest = 60.0
                for host in list(self._lanes):
                    if not self._lanes[host]:
                        del self._lanes[host]
                        continue
                    if host and self._at_host[host] >= self._per_host:
                        continue
                    if host and self._next_at.get(host, 0.0) > now:
                        soonest = min(soonest, self._next_at[host] - now)
                        continue
                    if job := self._from_lane(host):
                        self._at_host[host] += 1
                        self._next_at[host] = now + self._spacing
                        # The next host's turn comes first next time.
                        self._lanes[host] = self._lanes.pop(host)
                        return job
                self._changed.wait(soonest)
            return None

    def _from_lane(self, host: str) -> Job | None:
        lane = self._lanes[host]
        for _ in range(len(lane)):
            job = lane.popleft()
            room: Room = "start" if job in self._started else self._room(job, self.active)
            if room == "wait":
                lane.append(job)
                continue
            self._queued -= 1
            if room == "drop":
                self.dropped(job)
                continue
            if job not in self._started:
                self._started.add(job)
                self.active[job.key] += 1
            return job
        return None
