"""From class folders to honest datasets: scan, compare, choose, split, normalise, write."""

import hashlib
import json
import logging
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

from dataset.choose import Choice, Contradict, Kept, Rejected, choose, groups, provenance, reviews
from dataset.errors import NotEnoughImages, TrayError
from dataset.folder import (
    DATASET,
    FORGOTTEN,
    MANIFEST,
    METADATA,
    POOL,
    REJECTED,
    REPORT,
    REVIEW,
    class_folders,
    class_of,
    holds_pictures,
    link,
    locked,
    make_folder,
    passed_over,
    pictures,
    records,
    subfolders,
    unreadable,
    unwritable,
    write_whole,
)
from dataset.images import ImageInfo, normalise
from dataset.origin import MADE_BY, Raw, is_built, itemless, moved_terms, origin, raw
from dataset.progress import Progress
from dataset.quality import is_blank
from dataset.relations import relate
from dataset.scan import SHARD, VERSION, Memory, Picture, remembering, scan
from dataset.selection import Chosen, Plan, lacking, select
from dataset.splits import SPLITS, Group, deal, place, read_ledger, splits_of, wanted, write_ledger
from dataset.tray import BACKGROUND, MULTICLASS, Build, Checks, Tray, class_plans
from dataset.workers import Workers, hired
from dataset.written import DIGEST, digests, forget, is_as_written, note_written, put_aside

log: Final = logging.getLogger("tray")
LEDGER = "splits.jsonl"
CACHE = ".cache.sqlite"
STAGING = ".part"
LINE_ENDS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
"""Characters that JSON leaves as they are and that many a reader of lines, Python's too, ends a line at."""

Counts = dict[str, dict[str, int]]
Datasets = Mapping[str, Sequence[Chosen]]
Decision = tuple[Datasets, Choice, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made, or with ``dry_run`` would make."""

    paths: tuple[Path, ...]
    """Folders of the datasets."""
    kept: int
    """Distinct pictures in all datasets together."""
    dropped: dict[str, int]
    """Files that were left out, by reason."""
    splits: dict[str, Counts]
    """Pictures by dataset, split and class."""
    conflicts: int
    """Pairs of files of different classes that show one picture."""
    flags: dict[str, int]
    """Kept pictures that a person should look at, by flag."""
    rejected: tuple[Rejected, ...] = ()
    available: dict[str, dict[str, int]] = field(default_factory=dict)
    """Clean pictures by dataset and class, before they were capped and balanced."""
    unchanged: bool = False
    """Whether everything was there already, so that nothing was done."""
    short: tuple[str, ...] = ()
    """With ``dry_run``, the sentences with which a build would end: a class that does not reach into every split."""


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that a build needs to know before it begins."""

    root: Path
    folders: dict[str, Path]
    plans: tuple[Plan, ...]
    pool: Path
    settings: Build
    contradict: Contradict


def build(tray: Tray, names: tuple[str, ...] = (), *, dry_run: bool = False) -> Iterator[Progress | Built]:
    """Build one binary dataset per item, and a multi-class one when no item is named and there are two or more.

    Yields Progress and, last, a Built. Raises ConfigError for an unknown item, NotEnoughImages, FolderLocked, and
    TrayError when a folder is missing or can't be written.
    """
    chosen = tray.select(names)
    if not chosen:
        raise TrayError(f"Expected an [items.*] table to build. Received: {tray.file} without items. Add one.")
    for name in chosen:
        if not _has_pictures(tray.raw / name):
            unused = " or ".join(map(str, itemless(tray.raw, tray)))
            renamed = f"; or is {name!r} a new name of what lies in {unused}? Then rename that folder" if unused else ""
            raise TrayError(
                f"Expected pictures of {name!r} in {tray.raw / name}, and there are none. "
                f"Scrape first: tray scrape {name}{renamed}."
            )
    items = [name for name in tray.items if _has_pictures(tray.raw / name)]
    look_alikes = [f"not_{name}" for name in tray.items if _has_pictures(tray.raw / f"not_{name}")]
    rest = [BACKGROUND] if _has_pictures(tray.raw / BACKGROUND) else []
    folders = {name: tray.raw / name for name in (*items, *look_alikes, *rest)}
    plans = []
    for name in chosen:
        others = tuple(one for one in items if one != name)
        kinds = tuple(kind for kind in (_there(f"not_{name}", folders), _there(BACKGROUND, folders), others) if kind)
        if not kinds:
            raise NotEnoughImages(
                f"Expected pictures that are not {name!r}, and there are none: give {tray.file} another item, "
                f"a [background] or negatives of [items.{name}], and scrape them."
            )
        classes = {name: ((name,),), f"not_{name}": kinds}
        plans.append(Plan(name, tray.built / name, classes, name))
    if not names and len(items) > 1:
        plans.append(Plan(MULTICLASS, tray.built / MULTICLASS, {name: ((name,),) for name in items}))
    work = Work(tray.raw, folders, tuple(plans), tray.pool, tray.build, _item_clash(items))
    for step in _run(work, dry_run=dry_run):
        if isinstance(step, Built) and not step.unchanged:
            _tell_what_the_items_lack(tray)
        yield step


def _tell_what_the_items_lack(tray: Tray) -> None:
    """Tell what a tray.toml that has changed leaves behind, and what it asks for that is not there yet."""
    if missing := [plan.name for plan in class_plans(tray) if not _has_pictures(tray.raw / plan.name)]:
        log.warning("%s asks for pictures of %s, and there are none: tray scrape.", tray.file, ", ".join(missing))
    if unused := itemless(tray.raw, tray):
        log.warning("No item of %s is built from %s.", tray.file, ", ".join(map(str, unused)))
    for old in itemless(tray.built, tray):
        log.warning("%s is of no item of %s any more; it stays as it was built.", old, tray.file)
    for name, owner, terms, count in moved_terms(tray):
        log.warning(
            "%s: %s picture%s found for %s, which %s asks for now, still count%s as %s. tray review relabels them; its "
            "filters show them by term.",
            tray.raw / name, f"{count:,}", "s" * (count != 1), ", ".join(map(repr, terms)), owner, "s" * (count == 1),
            name,
        )  # fmt: skip


def build_folder(source: Path, out: Path, settings: Build, *, dry_run: bool = False) -> Iterator[Progress | Built]:
    """Build one dataset from any folder of class folders, which stays as it is, into ``out``.

    Yields Progress and, last, a Built. Raises NotEnoughImages, FolderLocked, and TrayError when ``source`` is no folder
    of class folders or ``out`` holds something else than a dataset of ours.
    """
    folders = class_folders(source)
    if loose := sum(1 for _ in pictures(source)):
        log.warning("%s: passed over %d picture%s in no class folder.", source, loose, "s" * (loose != 1))
    _tell_what_is_passed_over(path for path in subfolders(source) if path.name not in folders)
    if out.resolve() == source.resolve() or source.resolve() in out.resolve().parents:
        raise TrayError(f"Expected a folder outside {source} for the dataset. Received: {out}. Name another.")
    if len(folders) < 2:
        raise TrayError(
            f"Expected at least two class folders in {source}. Received: {', '.join(folders)}. "
            f"A classifier needs something to tell it from."
        )
    _check_out(out)
    plan = Plan(out.name, out, {name: ((name,),) for name in folders})
    work = Work(source, folders, (plan,), out / POOL, settings, lambda names: len(names) > 1)
    yield from _run(work, dry_run=dry_run)


def _has_pictures(folder: Path) -> bool:
    return folder.is_dir() and holds_pictures(folder)


def _there(name: str, folders: Mapping[str, Path]) -> tuple[str, ...]:
    return (name,) if name in folders else ()


def _item_clash(items: Sequence[str]) -> Contradict:
    """Return the test whether one picture can't be all of these: two items, or an item and what it is not."""

    def contradict(names: frozenset[str]) -> bool:
        mine = [name for name in names if name in items]
        return len(mine) > 1 or any(f"not_{name}" in names or BACKGROUND in names for name in mine)

    return contradict


def _check_out(out: Path) -> None:
    """Refuse a folder with anything in it that no build of ours has left."""
    if not out.exists():
        return
    if not out.is_dir():
        raise TrayError(f"Expected a folder for the dataset. Received: {out}, which is a file. Name another.")
    inside = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    if inside and not (out / POOL).is_dir() and not is_built(out):
        raise TrayError(
            f"Expected an empty folder or an earlier dataset for the result. Received: {out}, which holds "
            f"{', '.join(sorted(inside)[:3])}. Name another folder."
        )


def _run(work: Work, *, dry_run: bool) -> Iterator[Progress | Built]:
    with ExitStack() as held:
        cache = work.pool / CACHE
        if not dry_run:
            held.enter_context(locked(work.pool))
        found = {name: raw(folder) for name, folder in work.folders.items()}
        files = [f"{name}/{file}" for name, one in found.items() for file in one.sizes]
        limits = (work.settings.max_pixels, work.settings.max_bytes)
        memory = held.enter_context(
            remembering(None if dry_run else cache, limits=limits, copy=cache if dry_run else None)
        )
        state = _state(work, files)
        if not dry_run and memory.recall("state") == state and all(_intact(plan.out, memory) for plan in work.plans):
            yield replace(_from_json(memory.recall("built")), unchanged=True)
            return
        _tell_what_is_passed_over(work.folders.values())
        workers = held.enter_context(hired(work.settings.engine, work.settings.scheduler))
        while True:
            datasets, choice, sides = yield from _decide(work, files, memory, workers)
            short = [
                why for plan in work.plans for why in lacking(plan, datasets[plan.name], choice.rejected, work.settings)
            ]
            if dry_run:
                yield replace(_summary(work, datasets, choice), short=tuple(short))
                return
            if short:
                raise NotEnoughImages(short[0])
            spoilt = yield from _fill_pool(work, datasets, memory, workers)
            if not spoilt:
                break
            _remember_damage(memory, spoilt)
        write_ledger(work.pool / LEDGER, sides, work.settings.split, seed=work.settings.seed)
        for plan in work.plans:
            yield from _write(plan, work, datasets[plan.name], choice, found=found, memory=memory)
        built = _summary(work, datasets, choice)
        memory.note("built", _to_json(built))
        memory.note("state", state)
        yield built


def _unreadable(work: Work) -> Iterator[tuple[str, str]]:
    """Yield the path of each name that leads to no file, and why."""
    for name, folder in work.folders.items():
        for file, why in unreadable(folder):
            yield f"{name}/{file}", why


def _tell_what_is_passed_over(folders: Iterable[Path]) -> None:
    for folder in folders:
        if others := passed_over(folder):
            what = ", ".join(f"{name} ({count:,})" for name, count in others.most_common())
            log.warning("%s: passed over %s; a picture's name ends in .jpg, .png or the like.", folder, what)


def _comparable(picture: Picture, checks: Checks) -> bool:
    """Whether a picture has anything to be compared by: blanks are all alike."""
    return picture.measures is not None and not is_blank(picture.measures, checks)


def _choose(
    work: Work, files: Sequence[str], memory: Memory, ledger: Mapping[str, str], workers: Workers
) -> Generator[Progress, None, tuple[Choice, list[str]]]:
    """Scan, compare and choose; yields Progress and returns the choice and the usable contents."""
    scanned = list(zip(files, (yield from scan(work.root, files, memory, workers)), strict=True))
    scanned += [(source, Picture(ImageInfo(error=why), 0, None)) for source, why in _unreadable(work)]
    checks = work.settings.checks
    usable = {picture.info.sha256: source for source, picture in scanned if _comparable(picture, checks)}
    pairs = yield from relate(work.root, usable, memory, workers)
    choice = choose(
        scanned,
        pairs,
        order=list(work.folders),
        contradict=work.contradict,
        known=provenance(work.folders),
        said=reviews(work.folders),
        settings=work.settings,
        dealt=ledger,
    )
    return choice, sorted(usable)


def _decide(work: Work, files: Sequence[str], memory: Memory, workers: Workers) -> Generator[Progress, None, Decision]:
    """Choose and deal; yields Progress and returns the datasets, the choice and the ledger to come."""
    shares, seed = work.settings.split, work.settings.seed
    ledger = read_ledger(work.pool / LEDGER, shares, seed=seed)
    for plan in () if ledger else work.plans:
        ledger |= splits_of(plan.out, shares, seed=seed)
    choice, contents = yield from _choose(work, files, memory, ledger, workers)
    sides, keys = _deal(choice, contents, ledger, work.settings)
    datasets = {plan.name: select(plan, choice.kept, sides, keys, work.settings) for plan in work.plans}
    return datasets, choice, ledger | {sha: sides[one.sha256] for one in choice.kept for sha in one.members}


def _deal(
    choice: Choice, contents: Sequence[str], ledger: Mapping[str, str], settings: Build
) -> tuple[dict[str, str], dict[str, str]]:
    """Return by the content of each kept picture its split and the key of its group."""
    keys = groups(choice, contents, ledger)
    members: dict[str, list[Kept]] = defaultdict(list)
    for one in choice.kept:
        members[keys[one.sha256]].append(one)
    dealt_groups = []
    names = {}
    for key, kept in members.items():
        # The earliest picture names the group: what is fetched later does not rename it.
        shas = sorted({sha for one in kept for sha in one.members})
        earliest = min(kept, key=lambda one: (one.fetched or "~", place(one.sha256, seed=settings.seed)))
        names[key] = earliest.sha256[:16]
        sizes = Counter(name for one in kept for name in one.classes)
        dealt_groups.append(Group(earliest.sha256[:16], sizes, tuple(shas)))
    dealt = deal(dealt_groups, settings.split, seed=settings.seed, before=ledger)
    own = {one.sha256: names[keys[one.sha256]] for one in choice.kept}
    return {sha: dealt[key] for sha, key in own.items()}, own


def _fill_pool(
    work: Work, datasets: Datasets, memory: Memory, workers: Workers
) -> Generator[Progress, None, list[str]]:
    """Normalise what the pool lacks; yields Progress and returns the contents that could not be normalised."""
    settings, pool = work.settings, work.pool
    stamp = json.dumps({"max_side": settings.max_side, "quality": settings.quality, "version": 2})
    if _text(pool / "pool.json") != stamp:
        for path in pool.glob("*.jpg"):
            path.unlink()
        forget(memory)
        write_whole(pool / "pool.json", stamp.encode())
    for part in pool.glob(".*.part"):
        part.unlink(missing_ok=True)
    needed = {row.kept.sha256: row.kept.source for rows in datasets.values() for row in rows}
    forgotten = {one.sha256 for folder in work.folders.values() for one in records(folder) if one.error == FORGOTTEN}
    for sha in forgotten - needed.keys():
        (pool / f"{sha[:16]}.jpg").unlink(missing_ok=True)
    there = digests(memory, [pool / f"{sha[:16]}.jpg" for sha in sorted(needed)])
    missing = sorted(sha for sha in needed if f"{sha[:16]}.jpg" not in there)
    files = [((work.root / needed[sha]).absolute(), (pool / f"{sha[:16]}.jpg").absolute()) for sha in missing]
    shards = [files[at : at + SHARD] for at in range(0, len(files), SHARD)]
    make = partial(normalise_all, max_side=settings.max_side, quality=settings.quality)
    good: list[bool] = []
    for made in workers.map(make, shards):
        good += made
        yield Progress("normalise", len(good), len(missing))
    return [sha for sha, fine in zip(missing, good, strict=True) if not fine]


def normalise_all(files: Sequence[tuple[Path, Path]], *, max_side: int, quality: int) -> list[bool]:
    """Normalise the first of each pair of files into the second; return which could be, for the rest is damaged.

    Raises TrayError when a file can't be opened or written.
    """
    return [_normalised(source, target, max_side=max_side, quality=quality) for source, target in files]


def _normalised(source: Path, target: Path, *, max_side: int, quality: int) -> bool:
    try:
        data = source.read_bytes()
    except OSError as error:
        raise TrayError(f"Expected to read {source}. Received: {error.strerror}. Run the command again.") from error
    try:
        plain = normalise(data, max_side=max_side, quality=quality)
    except TrayError:
        return False
    write_whole(target, plain)
    return True


def _remember_damage(memory: Memory, spoilt: Sequence[str]) -> None:
    """Note that contents which passed the small decode fail the whole one."""
    for sha in spoilt:
        log.info("%s can't be decoded whole; it is left out as damaged", sha[:16])
        (info,) = memory.base.execute("SELECT info FROM pictures WHERE sha256 = ?", (sha,)).fetchone()
        info = json.dumps(json.loads(info) | {"error": "damaged"})
        memory.base.execute("UPDATE pictures SET info = ?, measures = '' WHERE sha256 = ?", (info, sha))
    memory.base.commit()


def _write(  # noqa: PLR0913 - everything that a dataset consists of
    plan: Plan, work: Work, rows: Sequence[Chosen], choice: Choice, *, found: Mapping[str, Raw], memory: Memory
) -> Iterator[Progress]:
    """Write a dataset beside the one that is there, then put it in its place; ``dataset.json`` comes last."""
    made = digests(memory, (work.pool / row.pooled for row in rows))
    # Line by line, twice: the text of all would be the most that a build holds.
    files: dict[str, Callable[[], Iterator[str]]] = {
        METADATA: lambda: (_line(row, made.get(row.pooled, "")) for row in rows),
        REJECTED: lambda: (_json(asdict(one)) for one in _of(plan, choice.rejected)),
    }
    digest = hashlib.sha256()
    for line in chain.from_iterable(lines() for lines in files.values()):
        digest.update(line.encode())
    source = origin(work.root, {name: found[name] for name in plan.sources}, out=plan.out)
    described = _describe(plan, work, rows, choice, digest.hexdigest()) | source
    document = (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode()
    if _intact(plan.out, memory) and (plan.out / DATASET).read_bytes() == document:
        return
    make_folder(plan.out)
    try:
        yield from _stage(plan, work, rows, files)
        put_aside(plan.out, work.root)
        # Without dataset.json a folder is no finished dataset: it goes first and comes last.
        (plan.out / DATASET).unlink(missing_ok=True)
        # A page about what was here before would lie about what is here now.
        (plan.out / REPORT).unlink(missing_ok=True)
        for split in SPLITS:
            shutil.rmtree(plan.out / split, ignore_errors=True)
        for path in sorted((plan.out / STAGING).iterdir()):
            path.replace(plan.out / path.name)
        (plan.out / STAGING).rmdir()
    except OSError as error:
        raise unwritable(plan.out, error) from error
    write_whole(plan.out / DATASET, document)
    note_written(plan.out, plan.out / METADATA, memory)


def _stage(
    plan: Plan, work: Work, rows: Sequence[Chosen], files: Mapping[str, Callable[[], Iterator[str]]]
) -> Iterator[Progress]:
    """Write everything but ``dataset.json`` beside the dataset that is there."""
    staging = plan.out / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    for split in wanted(work.settings.split):
        for name in plan.class_names:
            (staging / split / name).mkdir(parents=True)
    for done, row in enumerate(rows, 1):
        link(work.pool / row.pooled, staging / row.file_name)
        if done % 64 == 0 or done == len(rows):
            yield Progress(f"write {plan.name}", done, len(rows))
    for name, lines in files.items():
        with (staging / name).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines())


def _line(row: Chosen, made: str) -> str:
    one = row.kept
    return _json(
        {
            "file_name": row.file_name,
            "label": row.label,
            "split": row.split,
            "group": row.group,
            "sha256": one.sha256,
            "source": one.source,
            "copies": one.copies,
            "urls": one.urls,
            "pages": one.pages,
            "terms": one.terms,
            "engines": one.engines,
            "width": one.width,
            "height": one.height,
            "flags": one.flags,
            DIGEST: made,
        }
    )


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False).translate(LINE_ENDS) + "\n"


def _of(plan: Plan, rejected: Sequence[Rejected]) -> list[Rejected]:
    sources = plan.sources
    return [one for one in rejected if class_of(one.source) in sources or one.label in sources]


def _describe(plan: Plan, work: Work, rows: Sequence[Chosen], choice: Choice, digest: str) -> dict[str, Any]:
    return {
        "made_by": MADE_BY,
        "format": 1,
        "name": plan.name,
        "class_names": plan.class_names,
        "positive": plan.positive or None,
        "pictures": len(rows),
        "counts": _counts(plan, rows),
        "available": _available(plan, choice),
        "rejected": dict(sorted(Counter(one.reason for one in _of(plan, choice.rejected)).items())),
        "flags": dict(sorted(Counter(flag for row in rows for flag in row.kept.flags).items())),
        "sources": {label: [list(kind) for kind in plan.classes[label]] for label in plan.class_names},
        "config": asdict(_decisive(work.settings)),
        "fingerprint": digest,
    }


def _available(plan: Plan, choice: Choice) -> dict[str, int]:
    """Return how many clean pictures each class could have."""
    sources = {label: plan.sources_of(label) for label in plan.class_names}
    return {label: sum(bool(one.classes & names) for one in choice.kept) for label, names in sources.items()}


def _decisive(settings: Build) -> Build:
    """Return the settings without those that change no byte of the result."""
    return replace(settings, engine="threads", scheduler=None)


def _counts(plan: Plan, rows: Sequence[Chosen]) -> Counts:
    counts = Counter((row.split, row.label) for row in rows)
    names = [split for split in SPLITS if any(row.split == split for row in rows)]
    return {split: {label: counts[split, label] for label in plan.class_names} for split in names}


def _summary(work: Work, datasets: Datasets, choice: Choice) -> Built:
    kept = {row.kept.sha256: row.kept for rows in datasets.values() for row in rows}
    return Built(
        paths=tuple(plan.out for plan in work.plans),
        kept=len(kept),
        dropped=dict(sorted(Counter(one.reason for one in choice.rejected).items())),
        splits={plan.name: _counts(plan, datasets[plan.name]) for plan in work.plans},
        conflicts=len(choice.conflicts),
        flags=dict(sorted(Counter(flag for one in kept.values() for flag in one.flags).items())),
        rejected=tuple(choice.rejected),
        available={plan.name: _available(plan, choice) for plan in work.plans},
    )


def _to_json(built: Built) -> str:
    return json.dumps(asdict(built), default=str)


def _from_json(text: str) -> Built:
    values = json.loads(text)
    values["paths"] = tuple(Path(path) for path in values["paths"])
    values["short"] = ()  # what was built had enough
    values["rejected"] = tuple(Rejected(**one) for one in values["rejected"])
    return Built(**values)


def _state(work: Work, files: Sequence[str]) -> str:
    """Return a digest of everything that a build depends on, without opening a picture."""
    digest = hashlib.sha256(f"{VERSION} {_decisive(work.settings)} {work.plans} {sorted(work.folders)}".encode())
    for plan in work.plans:
        digest.update(os.path.relpath(work.root, plan.out).encode())
    for source in files:
        status = os.stat(f"{work.root}/{source}")  # noqa: PTH116 - a Path for each would take longer
        digest.update(f"{source} {status.st_size} {status.st_mtime_ns}\n".encode())
    for source, why in sorted(_unreadable(work)):
        digest.update(f"{source} {why}\n".encode())
    for folder in work.folders.values():
        for path in (folder / MANIFEST, folder / REVIEW):
            if path.exists():
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _intact(out: Path, memory: Memory) -> bool:
    """Return whether a finished dataset lies there with all its pictures as they were written."""
    try:
        described = json.loads((out / DATASET).read_bytes())
        there = sum(
            sum(1 for _ in (out / split / name).iterdir())
            for split in described["counts"]
            for name in described["class_names"]
        )
        found = hashlib.sha256((out / METADATA).read_bytes() + (out / REJECTED).read_bytes()).hexdigest()
        whole = bool(there == described["pictures"] and found == described["fingerprint"])
        return whole and is_as_written(out, out / METADATA, memory)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
