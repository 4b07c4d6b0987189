"""Filling class folders: one browser in each engine's thread, a pool of downloads, results written by one thread."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from dataset.errors import BrowserError, EngineBlocked, EngineBroken, TrayError
from dataset.folder import FORGOTTEN, ClassFolder, Kind, Record, bits_apart
from dataset.images import inspect
from dataset.tray import ClassPlan, Scrape
from scraper.again import PASSING, UNCOMPARED, second_chances
from scraper.browser import Window
from scraper.chromium import chromium, display_for
from scraper.download import TOO_MANY, Fetcher, short_name
from scraper.engines import Candidate, Engine, Inquiry
from scraper.filters import Filtered, filtered, misfit, sweeps
from scraper.forget import concerns, listed
from scraper.gathering import Gathering
from scraper.guard import guard_for
from scraper.hunt import Desk, Hunt, asked_of, page_keeper, rhythm_of
from scraper.outlook import Outlook, outlook
from scraper.pool import Job, Pool
from scraper.search import Ended, search
from scraper.tally import Place, Search, Summary, Tally

__all__ = ["Outlook", "Search", "Summary", "preview", "scrape"]

log: Final = logging.getLogger("tray")

# Failures that are the owner's word, not bad luck: no other copy of the picture is taken either.
FINAL: Final = frozenset({"opted out", FORGOTTEN, "stopped"})
ANOTHER: Final = "another picture"
UNLIKE_BITS: Final = 80
"""Bits of 256 between the hashes of a picture and its thumbnail; those of two pictures lie 128 apart on average."""
TOLD_EVERY: Final = 0.5
"""Seconds between two looks at what it will come to."""
LONGEST_REST: Final = 60.0
"""Seconds for which a host is left alone at its word, at most: the run is to end."""


@dataclass(frozen=True, slots=True)
class Got:
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
) -> Iterator[Record | Outlook | Summary]:
    """Fill the class folders ``into/<name>``; yield each Record as it is written, and a Summary per engine at the end.

    In between, an Outlook says what it will come to, as soon as that can be told and whenever it changes. What an
    earlier run finished is not done again. Close the generator to stop at once; what was kept stays. Raises
    EngineBlocked, EngineBroken or BrowserError at the very end when every engine failed and pictures are missing.
    """
    with ExitStack() as stack:
        gatherings = [
            Gathering(plan, stack.enter_context(ClassFolder(into / plan.name)), settings.kinds) for plan in plans
        ]
        run = Run(gatherings, into, settings, engines=engines, site=site)
        stack.callback(run.close)
        yield from run.go()
        full = not any(one.missing for one in gatherings)
        _tell_of_chances(gatherings)
        yield from [tally.summary(name, full=full) for name, tally in run.tallies.items()]
        errors = [tally.error for tally in run.tallies.values() if tally.error]
        if len(errors) == len(run.tallies) and not full:
            raise _worst(errors)


def preview(
    plans: Sequence[ClassPlan], into: Path, settings: Scrape, *, engines: Sequence[Engine], site: str | None = None
) -> Iterator[Candidate]:
    """Yield what would be tried, without a download: up to each plan's limit of different addresses.

    All terms come first; then, where the settings say so, their sweeps. An engine that fails is named and left out;
    raises its error when no other one found anything. Nothing is written below ``into``: a page that was not
    understood lies in the system's folder for temporary files, where the error says.
    """
    found: dict[str, set[str]] = {plan.name: set() for plan in plans}
    forgotten = {plan.name: listed(into / plan.name) for plan in plans}
    errors: dict[str, TrayError] = {}
    swept = settings.sweep if settings.sweep is not None else site is None
    for narrower, engine in [(narrower, engine) for narrower in (False, True)[: 1 + swept] for engine in engines]:
        if engine.name in errors or all(len(found[plan.name]) >= plan.limit for plan in plans):
            continue
        try:
            with chromium(settings, display=display_for(engine, settings, site=site), site=site) as driver:
                window = Window(driver, page_seconds=settings.page_timeout)
                rhythm, searched = rhythm_of(settings, engine, site, threading.Event()), narrower
                for plan, term, asked in _asked(plans, settings, engine, narrower=narrower):
                    if len(found[plan.name]) < plan.limit and not window.lost:
                        if searched:
                            rhythm.between_terms()
                        searched = True
                        keep = page_keeper(None, engine)
                        steps = search(window, asked.engine, term, rhythm, keep_page=keep)
                        allowed = _remembered(steps, forgotten[plan.name])
                        for candidate in _distinct(allowed, found[plan.name], plan.limit):
                            yield replace(candidate, filters=asked.words)
        except TrayError as error:
            log.warning("%s: %s", engine.name, error)
            errors[engine.name] = error
    if len(errors) == len(engines) and not any(found.values()):
        raise _worst(list(errors.values()))


def _tell_of_chances(gatherings: Sequence[Gathering]) -> None:
    """Say how many results the same command would try again later."""
    later = datetime.max.replace(tzinfo=UTC)
    if count := sum(1 for one in gatherings if one.missing for _ in second_chances(one.folder, later)):
        log.info("%s of the results failed in passing; after an hour, the same command tries them again.", count)


def _asked(
    plans: Sequence[ClassPlan], settings: Scrape, engine: Engine, *, narrower: bool
) -> Iterator[tuple[ClassPlan, str, Filtered]]:
    """Yield the searches of one engine: the terms themselves, or all that is narrower."""
    filters = [one for _, one in sweeps(engine, settings.filters)] if narrower else [settings.filters]
    for each in filters:
        asked = filtered(engine, each) if narrower else asked_of(engine, each)
        yield from ((plan, term, asked) for plan in plans for term in plan.terms)


def _remembered(steps: Iterator[list[Candidate] | Ended], forgotten: frozenset[str]) -> Iterator[Candidate]:
    for candidate in (one for step in steps if not isinstance(step, Ended) for one in step):
        if not concerns(forgotten, (*candidate.urls, candidate.page)):
            yield candidate


def _distinct(candidates: Iterator[Candidate], found: set[str], limit: int) -> Iterator[Candidate]:
    for candidate in candidates:
        if candidate.urls[0] not in found:
            found.add(candidate.urls[0])
            yield candidate
        if len(found) >= limit:
            return


class Run:
    """One run over all class folders: threads and browsers are held open between ``go`` and ``close``.

    Hunts offer results from their threads, downloads happen in the pool's, and both leave what follows as events for
    the caller's thread, the only one that writes.
    """

    def __init__(
        self,
        gatherings: Sequence[Gathering],
        into: Path,
        settings: Scrape,
        *,
        engines: Sequence[Engine],
        site: str | None,
    ) -> None:
        self.gatherings = gatherings
        self.tallies = {engine.name: Tally() for engine in engines}
        self._settings = settings
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._events: SimpleQueue[Callable[[], Iterator[Record]]] = SimpleQueue()
        self._fetcher = Fetcher(
            settings,
            guard_for(site, settings.allow_networks),
            busy=lambda host, seconds: self._pool.slow_down(host, min(seconds, LONGEST_REST)),
        )
        self._decoding = threading.BoundedSemaphore(max(2, os.cpu_count() or 2))
        self._pool: Pool[Got] = Pool(
            self._work,
            done=lambda job, got: self._events.put(lambda: self._written(job, got)),
            dropped=lambda job: self._events.put(lambda: self._dropped(job)),
            failed=self._failed,
            threads=settings.downloads,
            per_host=settings.per_host,
            # Picture hosts bear no more because somebody is in haste; a site of one's own does.
            spacing=settings.host_spacing * (min(1.0, settings.pace) if site else 1.0),
        )
        desk = Desk(self.offer, self._ended, self._all_had_a_turn, self._all_had_their_terms)
        self._hunts = [
            Hunt(engine, settings, self.tallies[engine.name], desk, into=into, site=site) for engine in engines
        ]
        self._threads: list[threading.Thread] = []
        self._first_turns: set[str] = set()
        self._plain: set[str] = set()

    # The caller's thread

    def go(self) -> Iterator[Record | Outlook]:
        """Run until nothing is wanted or nothing more comes; yield the records as they are written, and the outlook."""
        planned: dict[str, list[tuple[Gathering, Place]]] = {}
        for hunt in self._hunts:
            to_do = [one for one in self.gatherings if hunt.has_work(one)]
            for one in to_do:
                one.engines.add(hunt.engine.name)
            planned[hunt.engine.name] = [(one, place) for one in to_do for place in hunt.places(one)]
            if to_do:
                arguments = (hunt, to_do)
                self._threads.append(
                    threading.Thread(target=self._hunt, args=arguments, name=hunt.engine.name, daemon=True)
                )
        self._try_again()
        self._first_turns = {thread.name for thread in self._threads}
        self._plain = set(self._first_turns)
        for thread in self._threads:
            thread.start()
        told: Outlook | None = None
        tell_at = 0.0
        while not self._over():
            with suppress(Empty):
                yield from self._events.get(timeout=1.0)()
            if time.monotonic() >= tell_at:
                tell_at = time.monotonic() + TOLD_EVERY
                now = outlook(planned, self.tallies, self.gatherings, sweeps=any(hunt.sweeps for hunt in self._hunts))
                if now != told and (now.firm or told):
                    told = now
                    yield now

    def _try_again(self) -> None:
        """Queue what failed in passing in an earlier run, as far as pictures are missing."""
        for one in self.gatherings:
            for chance in one.chances if one.missing else ():
                candidate, tally = chance.candidate, self.tallies.get(chance.candidate.engine)
                named = [(short_name(url), url, kind) for url, kind in _chosen(candidate, self._settings.kinds)]
                if tally and named and not concerns(one.forgotten, (*candidate.urls, candidate.page)):
                    tally.again += 1
                    left = deque((url, kind) for _, url, kind in named)
                    one.pending[candidate.search] += 1
                    job = Job(candidate, one, left, name=named[0][0], likeness=chance.likeness)
                    one.under_way[job.name] = job
                    self._pool.put(job)

    def close(self) -> None:
        """Stop threads, downloads and browsers."""
        self._stop.set()
        self._fetcher.close()
        self._pool.close()
        for hunt in self._hunts:
            hunt.kill()
        for thread in self._threads:
            thread.join(10)
        self._pool.join(5)

    def _over(self) -> bool:
        """Whether every class is done; starts what was put off in those whose searches have all ended."""
        over = True
        for one in self.gatherings:
            if one.engines or one.pending.total() > len(one.deferred):
                over = False
            elif one.deferred and one.missing:
                self._start_put_off(one)
                over = False
            else:
                jobs, one.deferred = one.deferred, []
                for job in jobs:
                    self._less_pending(one, job.candidate)
                with self._lock:
                    one.note_sweeps()
        return over

    def _written(self, job: Job, got: Got) -> Iterator[Record]:
        """Deal with what became of a job: write it, and let go of what waited for it."""
        one = job.gathering
        if got.record.error == "stopped":
            return
        if job.batch is not None:
            yield from self._thumbnail_came(job, got)
        elif got.deferred:
            self._put_off(job)
        else:
            yield from self._kept_or_rejected(one, job, got)

    def _kept_or_rejected(self, one: Gathering, job: Job, got: Got) -> Iterator[Record]:
        if one.missing or not got.data:
            record = one.folder.keep(got.record, got.data) if got.data else one.folder.reject(got.record)
            with self._lock:
                one.note(record)
                self.tallies[record.engine].count(one.plan.name, record)
            yield record
        self._settled(job, good=bool(got.data))

    def _settled(self, job: Job, *, good: bool) -> None:
        """Count a job as over; those that waited for it take their own other addresses when it failed."""
        one = job.gathering
        self._pool.retire(job)
        for candidate in self._let_go(job, good=good):
            if good:
                self.tallies[candidate.engine].known += 1
            else:
                self.offer(one, candidate, again=True)
            self._less_pending(one, candidate)
        self._less_pending(one, job.candidate)

    def _put_off(self, job: Job) -> None:
        """Keep for last what failed in passing, and thumbnails: another engine may have the picture itself."""
        self._pool.retire(job)
        waiting = self._let_go(job, good=False)
        job.gathering.deferred.append(job)
        for candidate in waiting:
            self.offer(job.gathering, candidate, again=True)
            self._less_pending(job.gathering, candidate)

    def _let_go(self, job: Job, *, good: bool) -> list[Candidate]:
        """Take a job off the list of those under way; return the results that waited for it."""
        one = job.gathering
        with self._lock:
            if one.under_way.get(job.name) is job:
                del one.under_way[job.name]
            if not good:
                one.failed.update(job.known, job.failed)
            waiting, job.waiting = job.waiting, []
        return waiting

    def _start_put_off(self, one: Gathering) -> None:
        """Try again what failed in passing, now that the line is free; after that fetch the thumbnails."""
        one.sharing = False
        hopeful = [job for job in one.deferred if job.hopeful]
        if not hopeful:
            self._start_thumbnails(one)
            return
        self._fetcher.look_again()
        one.deferred = [job for job in one.deferred if not job.hopeful]
        for job in hopeful:
            job.try_again()
            self._pool.put(job)

    def _start_thumbnails(self, one: Gathering) -> None:
        """Fetch the thumbnails that were kept for last, as many as are missing."""
        # Their order must not depend on the threads: of two thumbnails of one picture the same one wins each time.
        order = {name: place for place, name in enumerate(self.tallies)}
        one.deferred.sort(key=lambda job: (order[job.candidate.engine], job.candidate.term, job.candidate.rank))
        jobs, one.deferred = one.deferred[: one.missing], one.deferred[one.missing :]
        batch: dict[Job, Got | None] = dict.fromkeys(jobs)
        for job in jobs:
            job.batch = batch
            self._pool.put(job)

    def _thumbnail_came(self, job: Job, got: Got) -> Iterator[Record]:
        """Write a batch of thumbnails when its last one came, without those whose picture came from elsewhere."""
        one = job.gathering
        assert job.batch is not None
        job.batch[job] = got
        self._pool.retire(job)
        if any(each is None for each in job.batch.values()):
            return
        for last, each in job.batch.items():
            result: Got = each
            twin = one.folder.look_alike(result.record.phash) if result.data else ""
            if twin:
                error = "thumbnail of a picture that is there"
                result = Got(replace(result.record, file="", copy_of=twin, error=error))
            yield from self._kept_or_rejected(one, last, result)

    def _dropped(self, job: Job) -> Iterator[Record]:
        """Count a job as over that was not started, as its class is full: its search remains unfinished."""
        one = job.gathering
        for candidate in (job.candidate, *self._let_go(job, good=True)):
            with self._lock:
                one.ended.pop(candidate.search, None)
                one.pending[candidate.search] -= 1
        yield from ()

    def _less_pending(self, one: Gathering, candidate: Candidate) -> None:
        with self._lock:
            one.pending[candidate.search] -= 1
            one.note_progress(candidate.search)

    # The downloads' threads

    def _work(self, job: Job) -> Got | None:
        """Fetch a job's next address and look at what came; None when another address is to be tried."""
        url, kind = job.addresses.popleft()
        fetched = self._fetcher.fetch(url, referer=job.candidate.page, forgotten=job.gathering.forgotten)
        record = replace(
            _begun(job, short_name(url), kind),
            error=fetched.error,
            status=fetched.status,
            opt_out=fetched.opt_out,
            landed=fetched.landed,
        )
        if not record.error:
            record = self._inspected(record, fetched.data)
        if not record.error:
            record = replace(record, error=self._doubt(job, record))
        if not record.error:
            return Got(record, fetched.data)
        job.failed[record.url] = record.error
        # Who said that it is too much is left alone for the rest of the run.
        if record.error in PASSING and record.status != TOO_MANY:
            job.passing.append((url, kind))
        if record.error in FINAL:
            return Got(record)
        if not job.addresses:
            return Got(record, deferred=job.hopeful)
        if job.addresses[0][1] == "thumbnail" and job.batch is None:
            return Got(record, deferred=True)
        return None

    def _inspected(self, record: Record, data: bytes) -> Record:
        limits = self._settings
        with self._decoding:
            info = inspect(data, max_pixels=limits.max_pixels, max_bytes=limits.max_bytes, min_side=limits.min_side)
        return replace(
            record,
            file=info.extension,
            sha256=info.sha256,
            width=info.width,
            height=info.height,
            format=info.format,
            phash=info.phash,
            error=info.error or misfit(limits.filters, info.width, info.height),
        )

    def _doubt(self, job: Job, record: Record) -> str:
        """Return why a picture may not be the one that the engine showed, such as a host's own "hotlinking denied".

        One whose size is not what the engine says, or of which it says none, is held against the engine's thumbnail;
        the former is only kept when that came.
        """
        if job.likeness:
            return ANOTHER if bits_apart(job.likeness, record.phash) > UNLIKE_BITS else ""
        shown = {job.candidate.width, job.candidate.height}
        thumbnails = [
            url for url, kind in zip(job.candidate.urls, job.candidate.kinds, strict=True) if kind == "thumbnail"
        ]
        if shown == {record.width, record.height} or record.kind != "full" or not thumbnails:
            return ""
        fetched = self._fetcher.fetch(thumbnails[0], referer=job.candidate.page, forgotten=job.gathering.forgotten)
        if fetched.error and 0 in shown:
            return ""
        if fetched.error:
            return "stopped" if fetched.error == "stopped" else UNCOMPARED
        with self._decoding:
            shown_as = inspect(fetched.data, min_side=1).phash
        return ANOTHER if shown_as and bits_apart(shown_as, record.phash) > UNLIKE_BITS else ""

    def _failed(self, error: BaseException) -> None:
        """Raise a download thread's own failure where the caller sees it."""

        def raised() -> Iterator[Record]:
            raise error
            yield

        self._events.put(raised)

    # The engines' threads

    def _hunt(self, hunt: Hunt, gatherings: Sequence[Gathering]) -> None:
        """Run one engine's hunt; its trouble is not the others'."""
        name = hunt.engine.name
        try:
            hunt.run(gatherings)
        except TrayError as error:
            if not self._stop.is_set():
                hunt.tally.error = error
        except Exception as error:
            if not self._stop.is_set():
                log.debug("", exc_info=True)
                text = (str(getattr(error, "msg", None) or error).splitlines() or [""])[0]
                hunt.tally.error = BrowserError(
                    f"Expected {name}'s browser to go on. Received: {type(error).__name__}: {text}. "
                    f"Run the same command again; what was kept stays."
                )
        finally:
            self._first_turns.discard(name)
            self._plain.discard(name)
            self._events.put(lambda: self._gone(name))

    def _gone(self, name: str) -> Iterator[Record]:
        for one in self.gatherings:
            one.engines.discard(name)
        yield from ()

    def _all_had_a_turn(self, engine: Engine) -> None:
        """Wait until every engine has been through its terms once; then no term is held to its share any more."""
        self._first_turns.discard(engine.name)
        while self._first_turns and not self._stop.wait(0.1):
            pass
        for one in self.gatherings:
            one.sharing = False
        self._pool.wake()

    def _all_had_their_terms(self, engine: Engine) -> None:
        """Wait until every engine has searched all terms to the end, and what they brought is dealt with."""
        self._plain.discard(engine.name)
        while (self._plain or any(one.missing and one.under_way_of() for one in self.gatherings)) and (
            not self._stop.wait(0.1)
        ):
            pass

    def _ended(self, one: Gathering, inquiry: Inquiry, ended: Ended) -> None:
        def noted() -> Iterator[Record]:
            with self._lock:
                if one.missing:
                    one.ended[inquiry] = ended
                    one.note_progress(inquiry)
            yield from ()

        self._events.put(noted)

    def offer(self, one: Gathering, candidate: Candidate, *, again: bool = False) -> None:
        """Queue a result's download, unless its picture is there, was tried, or is on its way."""
        tally = self.tallies[candidate.engine]
        named = [(short_name(url), url, kind) for url, kind in _chosen(candidate, self._settings.kinds)]
        with self._lock:
            if not again:
                tally.seen += 1
                tally.seen_by[one.plan.name, candidate.term, candidate.filters] += 1
            tried = [name for name, _, _ in named if name in one.folder.seen or name in one.failed]
            left = [(url, kind) for name, url, kind in named if name not in tried]
            forgotten = concerns(one.forgotten, (*candidate.urls, candidate.page))
            if not left or forgotten or any(name in one.good for name, _, _ in named):
                tally.known += 1
                return
            one.pending[candidate.search] += 1
            job = Job(candidate, one, deque(left), name=short_name(left[0][0]), known=tuple(tried))
            if job.name in one.under_way:
                one.under_way[job.name].waiting.append(candidate)
                return
            if tried and left[0][1] == "thumbnail":
                one.deferred.append(job)
                return
            one.under_way[job.name] = job
        self._pool.put(job)


def _begun(job: Job, name: str, kind: Kind) -> Record:
    """Return the record of an address that is being tried."""
    candidate = job.candidate
    return Record(
        url=name,
        page=candidate.page,
        engine=candidate.engine,
        term=candidate.term,
        rank=candidate.rank,
        title=candidate.title,
        filters=candidate.filters,
        fetched=datetime.now(UTC).isoformat(timespec="seconds"),
        kind=kind,
        tried=(*job.known, *job.failed),
        failures=tuple(job.failed.values()),
    )


def _chosen(candidate: Candidate, kinds: str) -> list[tuple[str, Kind]]:
    """Return the addresses that may be tried, best first."""
    pairs = list(zip(candidate.urls, candidate.kinds, strict=True))
    wanted = {"full-only": "full", "thumbnails": "thumbnail"}.get(kinds)
    return [(url, kind) for url, kind in pairs if wanted in {None, kind}]


def _worst(errors: Sequence[TrayError]) -> TrayError:
    """Return the error that says most: a refusal, a changed page, a browser that failed."""
    for kind in (EngineBlocked, EngineBroken, BrowserError):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0]
