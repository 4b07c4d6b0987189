"""Filling class folders: one browser in each engine's thread, a pool of downloads, results written by one thread."""

import json
import logging
import math
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from dataset.errors import BrowserError, EngineBlocked, EngineBroken, TrayError
from dataset.folder import ClassFolder, Kind, Record, make_folder, unwritable, write_whole
from dataset.images import inspect
from dataset.tray import ClassPlan, Scrape
from scraper.browser import Window
from scraper.chromium import chromium, display_for, kill
from scraper.download import Fetcher, short_name
from scraper.engines import Candidate, Engine
from scraper.guard import guard_for
from scraper.pacing import Rhythm
from scraper.pool import Job, Pool, Room
from scraper.search import Ended, search

log: Final = logging.getLogger("tray")

PROGRESS: Final = "progress.jsonl"
BACKLOG: Final = 200
"""Results that wait for their download before a search stops to scroll on."""
REFUSALS: Final = 3
RESTARTS: Final = 3
BROKEN_TERMS: Final = 2
LIMIT: Final = "limit reached"
SHARE: Final = "share reached"
# Failures that are the owner's word, not bad luck: no other copy of the picture is taken either.
FINAL: Final = frozenset({"opted out", "stopped"})


@dataclass(frozen=True, slots=True)
class Search:
    """What one engine gave for one term."""

    name: str
    """Name of the class folder."""
    term: str
    seen: int
    kept: int
    stopped_because: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What one engine gave in one run, and why it gave no more."""

    engine: str
    seen: int
    """Results with an address, each counted once per search."""
    known: int
    """Of these, results whose picture was there already or had been tried before."""
    kept: int
    """Pictures written, copies of others included."""
    copies: int
    """Of these, pictures that look like one that was there already; they do not count for the limit."""
    rejected: int
    rejected_by_reason: dict[str, int]
    kinds: dict[str, int]
    """Pictures written by what they are: full, cached, thumbnail."""
    stopped_because: str
    searches: tuple[Search, ...] = ()


@dataclass(slots=True, eq=False)
class _Class:
    """One class folder while it is being filled."""

    plan: ClassPlan
    folder: ClassFolder
    finished: set[tuple[str, str]]
    """Engine and term of searches that have nothing more to give."""
    distinct: int = 0
    by_term: Counter[str] = field(default_factory=Counter)
    kept_urls: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    """Addresses that failed while their picture was given another chance."""
    under_way: dict[str, Job] = field(default_factory=dict)
    pending: Counter[tuple[str, str]] = field(default_factory=Counter)
    deferred: list[Job] = field(default_factory=list)
    engines: set[str] = field(default_factory=set)
    """Engines that may still bring results."""
    ended: dict[tuple[str, str], Ended] = field(default_factory=dict)
    sharing: bool = True
    """Whether each term is held to its share of the limit."""

    @property
    def missing(self) -> int:
        return max(0, self.plan.limit - self.distinct)

    @property
    def share(self) -> int:
        return math.ceil(self.plan.limit / len(self.plan.terms))

    def wants(self, term: str) -> bool:
        """Whether more pictures of the term are wanted now."""
        return self.missing > 0 and not (self.sharing and self.by_term[term] >= self.share)


@dataclass(slots=True)
class _Tally:
    """What one engine gave so far."""

    seen: int = 0
    known: int = 0
    kept: int = 0
    copies: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    seen_by: Counter[tuple[str, str]] = field(default_factory=Counter)
    kept_by: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)
    error: TrayError | None = None


@dataclass(frozen=True, slots=True)
class _Got:
    """What became of a job: a record to write, and its bytes when it is kept."""

    record: Record
    data: bytes = b""
    deferred: bool = False


def scrape(
    plans: Sequence[ClassPlan],
    into: Path,
    settings: Scrape,
    *,
    engines: Sequence[Engine],
    site: str | None = None,
) -> Iterator[Record | Summary]:
    """Fill the class folders ``into/<name>``; yield each Record as it is written, and a Summary per engine at the end.

    What an earlier run finished is not done again. Close the generator to stop at once; what was kept stays. Raises
    EngineBlocked, EngineBroken or BrowserError when every engine failed and there is not one picture.
    """
    with ExitStack() as stack:
        classes = [_open(stack, plan, into / plan.name, settings) for plan in plans]
        run = _Run(classes, into, settings, engines, site)
        stack.callback(run.close)
        yield from run.go()
        summaries = [run.summary(engine.name) for engine in engines]
        yield from summaries
        errors = [error for engine in engines if (error := run.tallies[engine.name].error)]
        if len(errors) == len(engines) and not any(one.distinct for one in classes):
            raise _worst(errors)


def preview(
    plans: Sequence[ClassPlan], settings: Scrape, *, engines: Sequence[Engine], site: str | None = None
) -> Iterator[Candidate]:
    """Yield what would be tried, without a download: up to each plan's limit of different addresses."""
    found: dict[str, set[str]] = {plan.name: set() for plan in plans}
    for engine in engines:
        rhythm = _rhythm(settings, engine, site, threading.Event())
        display = display_for(engine, settings, site=site)
        with chromium(settings, display=display, site=site) as driver:
            for plan in plans:
                for term in plan.terms:
                    yield from _previewed(Window(driver), engine, term, rhythm, found[plan.name], plan.limit)


def _previewed(  # noqa: PLR0913 - one search of a preview
    window: Window, engine: Engine, term: str, rhythm: Rhythm, found: set[str], limit: int
) -> Iterator[Candidate]:
    if len(found) >= limit:
        return
    with closing(search(window, engine, term, rhythm, keep_page=_kept_page(Path(), engine))) as steps:
        for step in steps:
            if isinstance(step, Ended):
                return
            for candidate in step:
                if candidate.urls[0] not in found:
                    found.add(candidate.urls[0])
                    yield candidate
                if len(found) >= limit:
                    return


class _Run:
    """One run over all class folders: threads and browsers are held open between ``go`` and ``close``."""

    def __init__(
        self, classes: list[_Class], into: Path, settings: Scrape, engines: Sequence[Engine], site: str | None
    ) -> None:
        self.classes = classes
        self.tallies = {engine.name: _Tally() for engine in engines}
        self._into = into
        self._settings = settings
        self._engines = engines
        self._site = site
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._events: SimpleQueue[Callable[[], Iterator[Record]]] = SimpleQueue()
        self._fetcher = Fetcher(settings, guard_for(site, settings.allow_networks))
        self._decoding = threading.BoundedSemaphore(max(2, os.cpu_count() or 2))
        self._drivers: list[Any] = []
        self._threads: list[threading.Thread] = []
        self._first_passes: set[str] = set()
        self._pool = Pool(
            self._work,
            self._room,
            threads=settings.downloads,
            per_host=settings.per_host,
            spacing=settings.host_spacing * min(1.0, settings.pace),
        )
        self._pool.results = _Results(self._events, self._written)  # type: ignore[assignment]
        self._pool.dropped = self._dropped
        self._pool.failed = self._failed

    # ------------------------------------------------------------ the caller's thread

    def go(self) -> Iterator[Record]:
        """Run until nothing is wanted or nothing more comes; yield the records as they are written."""
        for engine in self._engines:
            to_do = [one for one in self.classes if _searches(one, engine)]
            for one in to_do:
                one.engines.add(engine.name)
            if to_do:
                thread = threading.Thread(target=self._engine, args=(engine, to_do), name=engine.name, daemon=True)
                self._threads.append(thread)
        self._first_passes = {thread.name for thread in self._threads}
        for thread in self._threads:
            thread.start()
        while not self._over():
            with suppress(Empty):
                yield from self._events.get(timeout=1.0)()

    def close(self) -> None:
        """Stop threads, downloads and browsers."""
        self._stop.set()
        self._fetcher.close()
        self._pool.close()
        with self._lock:
            drivers = list(self._drivers)
        for driver in drivers:
            kill(driver)
        for thread in self._threads:
            thread.join(10)
        self._pool.join(5)

    def summary(self, name: str) -> Summary:
        """Return what an engine gave."""
        tally = self.tallies[name]
        searches = tuple(
            Search(plan, term, tally.seen_by[plan, term], tally.kept_by[plan, term], reason)
            for (plan, term), reason in tally.reasons.items()
        )
        return Summary(
            engine=name,
            seen=tally.seen,
            known=tally.known,
            kept=tally.kept,
            copies=tally.copies,
            rejected=tally.rejected.total(),
            rejected_by_reason=dict(tally.rejected.most_common()),
            kinds=dict(tally.kinds.most_common()),
            stopped_because=_in_words(tally, full=all(one.missing == 0 for one in self.classes)),
            searches=searches,
        )

    def _over(self) -> bool:
        """Whether every class is done; starts the thumbnails of those whose searches have all ended."""
        with self._lock:
            done = True
            for one in self.classes:
                if one.engines:
                    done = False
                elif one.pending.total() > len(one.deferred):
                    done = False
                elif one.deferred and one.missing:
                    self._start_deferred(one)
                    done = False
                else:
                    self._release_deferred(one)
            return done

    def _written(self, job: Job, got: _Got) -> Iterator[Record]:
        """Deal with what became of a job: write it, and let go of what waited for it."""
        one = job.key[0]  # type: ignore[index]
        if got.deferred:
            self._put_off(one, job)
            return
        if got.record.error == "stopped":
            return
        with self._lock:
            wanted = one.missing > 0 or not got.data
        if wanted:
            record = one.folder.keep(got.record, got.data) if got.data else one.folder.reject(got.record)
            self._counted(one, record)
            yield record
        self._settled(one, job, good=bool(got.data))

    def _counted(self, one: _Class, record: Record) -> None:
        tally = self.tallies[record.engine]
        with self._lock:
            if record.kept:
                tally.kept += 1
                tally.copies += bool(record.copy_of)
                tally.kinds[record.kind] += 1
                tally.kept_by[one.plan.name, record.term] += 1
                if not record.copy_of:
                    one.distinct += 1
                    one.by_term[record.term] += 1
            else:
                tally.rejected[record.error] += 1
            if record.kept or record.error == "duplicate bytes":
                one.kept_urls.add(record.url)

    def _settled(self, one: _Class, job: Job, *, good: bool) -> None:
        """Count a job as over; those that waited for it take their own other addresses when it failed."""
        self._pool.retire(job)
        with self._lock:
            self._no_longer(one, job)
            self._less_pending(one, job.candidate)
            waiting, job.waiting = job.waiting, []
            if not good:
                one.failed.update(job.tried)
        for candidate in waiting:
            if good:
                self.tallies[candidate.engine].known += 1
            else:
                self._offer(one, candidate, again=True)
            self._less_pending(one, candidate)

    def _put_off(self, one: _Class, job: Job) -> None:
        """Keep a picture's thumbnail for later: another engine may have the picture itself."""
        self._pool.retire(job)
        with self._lock:
            self._no_longer(one, job)
            one.failed.update(job.tried)
            one.deferred.append(job)
            waiting, job.waiting = job.waiting, []
        for candidate in waiting:
            self._offer(one, candidate, again=True)
            self._less_pending(one, candidate)

    def _start_deferred(self, one: _Class) -> None:
        """Fetch the thumbnails that were kept for last, in an order that does not depend on the threads."""
        order = {engine.name: place for place, engine in enumerate(self._engines)}
        one.deferred.sort(key=lambda job: (order[job.candidate.engine], job.candidate.term, job.candidate.rank))
        batch, one.deferred = one.deferred[: one.missing], one.deferred[one.missing :]
        results: dict[int, _Got] = {}

        def collect(place: int, job: Job, got: _Got) -> Iterator[Record]:
            results[place] = got
            self._pool.retire(job)
            if len(results) < len(batch):
                return
            for each, last in enumerate(batch):
                yield from self._write_thumbnail(one, last, results[each])

        one.sharing = False
        for place, job in enumerate(batch):
            job.collect = lambda job, got, place=place: collect(place, job, got)
            self._pool.put(job)

    def _write_thumbnail(self, one: _Class, job: Job, got: _Got) -> Iterator[Record]:
        """Write a thumbnail, unless the picture itself came from elsewhere meanwhile."""
        twin = one.folder.look_alike(got.record.phash) if got.data else ""
        if twin:
            got = _Got(replace(got.record, file="", copy_of=twin, error="thumbnail of a picture that is there"))
        yield from self._written(job, got)

    def _release_deferred(self, one: _Class) -> None:
        """Let go of thumbnails that nobody wants any more."""
        jobs, one.deferred = one.deferred, []
        for job in jobs:
            self._less_pending(one, job.candidate)

    def _failed(self, error: BaseException) -> None:
        """Raise a download thread's own failure where the caller sees it."""

        def raised() -> Iterator[Record]:
            raise error
            yield

        self._events.put(raised)

    def _dropped(self, job: Job) -> None:
        """Count a job as over that the pool did not start, as its class is full or its term has its share."""

        def after() -> Iterator[Record]:
            one = job.key[0]  # type: ignore[index]
            with self._lock:
                self._no_longer(one, job)
                # What was not even tried keeps its search unfinished.
                one.ended.pop((job.candidate.engine, job.candidate.term), None)
                one.pending[job.candidate.engine, job.candidate.term] -= 1
                for candidate in job.waiting:
                    one.ended.pop((candidate.engine, candidate.term), None)
                    one.pending[candidate.engine, candidate.term] -= 1
            yield from ()

        self._events.put(after)

    def _no_longer(self, one: _Class, job: Job) -> None:
        for name in [name for name, other in one.under_way.items() if other is job]:
            del one.under_way[name]

    def _less_pending(self, one: _Class, candidate: Candidate) -> None:
        with self._lock:
            one.pending[candidate.engine, candidate.term] -= 1
            self._note_progress(one, candidate.engine, candidate.term)

    def _note_progress(self, one: _Class, engine: str, term: str) -> None:
        """Write down that a search has nothing more to give, once all its pictures are dealt with."""
        ended = one.ended.get((engine, term))
        if not ended or not ended.finished or one.pending[engine, term] > 0 or (engine, term) in one.finished:
            return
        one.finished.add((engine, term))
        note = {
            "engine": engine,
            "term": term,
            "kinds": self._settings.kinds,
            "stopped_because": ended.reason,
            "ended": _now(),
        }
        path = one.folder.path / PROGRESS
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(note, ensure_ascii=False) + "\n")
        except OSError as error:
            raise unwritable(path, error) from error

    # ------------------------------------------------------------ the downloads' threads

    def _room(self, job: Job, active: Counter[Hashable]) -> Room:
        one, term = job.key  # type: ignore[misc]
        if job.collect:
            return "start" if one.missing else "drop"
        if not one.missing:
            return "drop"
        in_flight = sum(count for key, count in active.items() if key[0] is one)  # type: ignore[index]
        if in_flight >= one.missing:
            return "wait"
        if one.sharing and one.by_term[term] + active[job.key] >= one.share:
            return "wait"
        return "start"

    def _work(self, job: Job) -> _Got | None:
        """Fetch a job's next address and look at what came; None when another address is to be tried."""
        url, kind = job.addresses.popleft()
        candidate, host = job.candidate, job.fetching
        fetched = self._fetcher.fetch(url, referer=candidate.page)
        record = Record(
            url=short_name(url),
            page=candidate.page,
            engine=candidate.engine,
            term=candidate.term,
            rank=candidate.rank,
            title=candidate.title,
            fetched=_now(),
            kind=kind,
            error=fetched.error,
            status=fetched.status,
            tried=tuple(job.tried),
            failures=tuple(job.failures),
            opt_out=fetched.opt_out,
        )
        if fetched.retry_after:
            self._pool.rest(host, min(fetched.retry_after, 60.0))
        if not fetched.error:
            record = self._inspected(record, fetched.data)
        if not record.error:
            return _Got(record, fetched.data)
        job.tried.append(record.url)
        job.failures.append(record.error)
        if record.error in FINAL or not job.addresses:
            return _Got(record)
        if job.addresses[0][1] == "thumbnail" and not job.collect:
            return _Got(record, deferred=True)
        return None

    def _inspected(self, record: Record, data: bytes) -> Record:
        with self._decoding:
            info = inspect(
                data,
                max_pixels=self._settings.max_pixels,
                max_bytes=self._settings.max_bytes,
                min_side=self._settings.min_side,
            )
        return replace(
            record,
            file=info.extension,
            sha256=info.sha256,
            width=info.width,
            height=info.height,
            format=info.format,
            phash=info.phash,
            error=info.error,
        )

    # ------------------------------------------------------------ an engine's thread

    def _engine(self, engine: Engine, classes: list[_Class]) -> None:
        tally = self.tallies[engine.name]
        try:
            with self._browsers(engine) as browsers:
                self._all_terms(engine, classes, browsers)
        except TrayError as error:
            if not self._stop.is_set():
                tally.error = error
                log.warning("%s: %s", engine.name, error)
        except Exception as error:  # one engine's trouble is not the others'
            if not self._stop.is_set():
                log.debug("", exc_info=True)
                text = (str(getattr(error, "msg", None) or error).splitlines() or [""])[0]
                tally.error = BrowserError(
                    f"Expected {engine.name}'s browser to go on. Received: {type(error).__name__}: {text}. "
                    f"Run the same command again; what was kept stays."
                )
                log.warning("%s: %s", engine.name, tally.error)
        finally:
            self._events.put(lambda: self._gone(engine, classes))

    def _gone(self, engine: Engine, classes: list[_Class]) -> Iterator[Record]:
        self._first_passes.discard(engine.name)
        with self._lock:
            for one in classes:
                one.engines.discard(engine.name)
        yield from ()

    @contextmanager
    def _browsers(self, engine: Engine) -> Iterator["_Browsers"]:
        browsers = _Browsers(self, engine)
        try:
            yield browsers
        finally:
            browsers.close()

    def _all_terms(self, engine: Engine, classes: list[_Class], browsers: "_Browsers") -> None:
        """Search all terms, then once more those that were cut short at their share while others brought less."""
        rhythm = _rhythm(self._settings, engine, self._site, self._stop)
        first, broken = True, 0
        for second in (False, True):
            if second:
                self._all_first_passes_over(engine)
            for one, term in [(one, term) for one in classes for term in one.plan.terms]:
                if self._stop.is_set():
                    return
                if second and self.tallies[engine.name].reasons.get((one.plan.name, term)) != SHARE:
                    continue
                if (engine.name, term) in one.finished:
                    continue
                if not one.wants(term):
                    self.tallies[engine.name].reasons.setdefault((one.plan.name, term), LIMIT if not one.missing else SHARE)
                    continue
                if not first:
                    rhythm.between_terms()
                first = False
                try:
                    ended = self._one_term(engine, one, term, rhythm, browsers)
                    broken = 0
                except EngineBroken as error:
                    broken += 1
                    if broken >= BROKEN_TERMS or len(one.plan.terms) == 1:
                        raise
                    log.warning("%s: %s", engine.name, error)
                    self.tallies[engine.name].reasons[one.plan.name, term] = "layout changed"
                    continue
                self._events.put(lambda one=one, term=term, ended=ended: self._ended(engine, one, term, ended))

    def _all_first_passes_over(self, engine: Engine) -> None:
        """Wait until every engine has been through its terms once; then no term is held to its share any more."""
        self._first_passes.discard(engine.name)
        while self._first_passes and not self._stop.wait(0.1):
            pass
        for one in self.classes:
            one.sharing = False
        self._pool.wake()

    def _ended(self, engine: Engine, one: _Class, term: str, ended: Ended) -> Iterator[Record]:
        with self._lock:
            self.tallies[engine.name].reasons[one.plan.name, term] = ended.reason
            if ended.finished and not (one.missing == 0):
                one.ended[engine.name, term] = ended
            self._note_progress(one, engine.name, term)
        yield from ()

    def _one_term(  # noqa: PLR0913 - one search and all it needs
        self, engine: Engine, one: _Class, term: str, rhythm: Rhythm, browsers: "_Browsers"
    ) -> Ended:
        """Search one term to its end, over refusals and crashes."""
        refusals = restarts = 0
        while True:
            try:
                return self._scrolled(engine, one, term, rhythm, browsers)
            except EngineBlocked as error:
                refusals += 1
                if refusals > REFUSALS or self._stop.is_set():
                    raise
                log.warning("%s refuses (%s of %s); waiting.", engine.name, refusals, REFUSALS)
                rhythm.slow_down()
                seconds = rhythm.back_off(refusals)
                log.debug("%s: waited %.0f s after: %s", engine.name, seconds, error)
            except TrayError:
                raise
            except Exception as error:  # Selenium and urllib3 each have their own ways to say that a browser died
                restarts += 1
                if restarts > RESTARTS or self._stop.is_set():
                    raise
                log.info("%s: its browser broke down (%s); starting another.", engine.name, type(error).__name__)
                log.debug("", exc_info=True)
                browsers.close()

    def _scrolled(  # noqa: PLR0913
        self, engine: Engine, one: _Class, term: str, rhythm: Rhythm, browsers: "_Browsers"
    ) -> Ended:
        keep_page = _kept_page(self._into, engine)
        with closing(search(browsers.window(), engine, term, rhythm, keep_page=keep_page)) as steps:
            for step in steps:
                if isinstance(step, Ended):
                    return step
                for candidate in step:
                    self._offer(one, candidate)
                while one.pending[engine.name, term] > BACKLOG and one.wants(term) and not self._stop.wait(0.1):
                    pass
                if self._stop.is_set():
                    break
                if not one.wants(term):
                    return Ended(LIMIT if not one.missing else SHARE, finished=False)
        return Ended("stopped", finished=False)

    def _offer(self, one: _Class, candidate: Candidate, *, again: bool = False) -> None:
        """Queue a result's download, unless its picture is there, was tried, or is on its way."""
        tally = self.tallies[candidate.engine]
        with self._lock:
            if not again:
                tally.seen += 1
                tally.seen_by[one.plan.name, candidate.term] += 1
            named = [(short_name(url), url, kind) for url, kind in _chosen(candidate, self._settings.kinds)]
            tried = [name for name, _, _ in named if name in one.folder.seen or name in one.failed]
            left = [(url, kind) for name, url, kind in named if name not in tried]
            if not left or any(name in one.kept_urls for name, _, _ in named):
                tally.known += 1
                return
            one.pending[candidate.engine, candidate.term] += 1
            first = short_name(left[0][0])
            if first in one.under_way:
                one.under_way[first].waiting.append(candidate)
                return
            job = Job(candidate, (one, candidate.term), deque(left), tried)
            if tried and left[0][1] == "thumbnail":
                one.deferred.append(job)
                return
            one.under_way[first] = job
        self._pool.put(job)


class _Browsers:
    """An engine's browser: started when it is first needed, and again after it broke down."""

    def __init__(self, run: _Run, engine: Engine) -> None:
        self._run = run
        self._engine = engine
        self._stack = ExitStack()
        self._window: Window | None = None

    def window(self) -> Window:
        """Return the window to search in."""
        if self._window is None:
            run = self._run
            display = display_for(self._engine, run._settings, site=run._site)  # noqa: SLF001 - a part of the run
            driver = self._stack.enter_context(chromium(run._settings, display=display, site=run._site))  # noqa: SLF001
            with run._lock:  # noqa: SLF001
                run._drivers.append(driver)  # noqa: SLF001
            if run._stop.is_set():  # noqa: SLF001
                kill(driver)
            self._window = Window(driver)
        return self._window

    def close(self) -> None:
        """End the browser, if there is one."""
        self._window = None
        self._stack.close()
        self._stack = ExitStack()


@dataclass(frozen=True, slots=True)
class _Results:
    """Puts a job's result where the caller's thread finds it, among all other events."""

    events: SimpleQueue[Callable[[], Iterator[Record]]]
    write: Callable[[Job, _Got], Iterator[Record]]

    def put(self, result: tuple[Job, _Got]) -> None:
        job, got = result
        write = job.collect or self.write
        self.events.put(lambda: write(job, got))


def _open(stack: ExitStack, plan: ClassPlan, path: Path, settings: Scrape) -> _Class:
    folder = stack.enter_context(ClassFolder(path))
    one = _Class(plan, folder, finished=_finished(path, settings), distinct=len(folder))
    for record in folder:
        if record.kept and not record.copy_of:
            one.by_term[record.term] += 1
        if record.kept or record.error == "duplicate bytes":
            one.kept_urls.add(record.url)
    return one


def _finished(path: Path, settings: Scrape) -> set[tuple[str, str]]:
    """Return engine and term of the searches that an earlier run took to their end."""
    finished = set()
    with suppress(FileNotFoundError):
        for line in (path / PROGRESS).read_text(encoding="utf-8").splitlines():
            # A line that a killed process left torn is as good as none.
            with suppress(ValueError, KeyError, TypeError):
                note = json.loads(line)
                if note["kinds"] == settings.kinds:
                    finished.add((note["engine"], note["term"]))
    return finished


def _searches(one: _Class, engine: Engine) -> list[str]:
    """Return the terms of a class that an engine is still to be asked for."""
    if not one.missing:
        return []
    return [term for term in one.plan.terms if (engine.name, term) not in one.finished]


def _chosen(candidate: Candidate, kinds: str) -> list[tuple[str, Kind]]:
    """Return the addresses that may be tried, best first."""
    pairs = list(zip(candidate.urls, candidate.kinds, strict=True))
    if kinds == "full-only":
        return [pair for pair in pairs if pair[1] == "full"]
    if kinds == "thumbnails":
        return [pair for pair in pairs if pair[1] == "thumbnail"]
    return pairs


def _rhythm(settings: Scrape, engine: Engine, site: str | None, stop: threading.Event) -> Rhythm:
    # Only a site of one's own may shorten the wait after a refusal.
    door = min(1.0, settings.pace) if site else 1.0
    return Rhythm(settings.pace, f"{settings.seed}/{engine.name}", door=door, sleep=stop.wait)


def _kept_page(into: Path, engine: Engine) -> Callable[[str], Path]:
    """Return what saves a page that was not understood."""

    def keep(html: str) -> Path:
        path = make_folder(into / ".pages") / f"{engine.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.html"
        write_whole(path, html.encode("utf-8", "replace"))
        return path

    return keep


def _in_words(tally: _Tally, *, full: bool) -> str:
    """Return why an engine gave no more, over all its searches."""
    if tally.error:
        kind = {EngineBlocked: "blocked", EngineBroken: "layout changed"}.get(type(tally.error), "failed")
        return f"{kind}: {tally.error}"
    reasons = Counter(LIMIT if reason == SHARE else reason for reason in tally.reasons.values())
    if not reasons:
        return LIMIT if full else "nothing left to search"
    if len(reasons) == 1:
        return next(iter(reasons))
    return ", ".join(f"{reason} ({count} terms)" if count > 1 else f"{reason} (1 term)" for reason, count in reasons.most_common())


def _worst(errors: Sequence[TrayError]) -> TrayError:
    """Return the error that says most: a refusal, a changed page, a browser that failed."""
    for kind in (EngineBlocked, EngineBroken, BrowserError):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
