"""A folder of pictures as one self-contained HTML page: what it holds, what was rejected, what to fix first."""

import base64
import os
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import quote, urlsplit

import jinja2

from dataset.folder import REPORT, write_whole
from dataset.progress import Progress
from dataset.report.findings import FEW, findings, share, spoken
from dataset.report.holdings import DUPLICATES, Copies, Refused, Shown, Side, Survey, evenly
from dataset.report.looks import AS_EVER, look_at
from dataset.report.survey import survey
from dataset.splits import SPLITS
from dataset.tray import Build
from dataset.workers import HERE

ROOM: Final = 12_000_000
"""Characters of the page that pictures may take; later ones are links."""
SHEETS: Final = 1000
"""Thumbnails in all contact sheets together."""
SHEET: Final = 60
"""Thumbnails in one contact sheet at most."""
GROUPS: Final = 100
"""Groups of near-duplicates shown."""
GROUP: Final = 8
"""Pictures of one group shown."""
CONFLICTS: Final = 60
"""Conflicts shown."""
REASONS: Final = 30
"""Reasons of rejection with a list of their own."""
REASON: Final = 24
"""Rejected pictures shown for one reason."""
FLAGGED: Final = 24
"""Pictures shown for one flag."""
ROWS: Final = 300
"""Rows of a table."""
SIDES: Final = (
    ("below 128", 128),
    ("128 to 255", 256),
    ("256 to 511", 512),
    ("512 to 1023", 1024),
    ("1024 and more", 0),
)
"""Classes of the shorter side in pixels, each up to its limit."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a table of counts."""

    name: str
    cells: tuple[int | str, ...]
    part: float = 0.0
    """Length of its bar, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture on the page; ``source`` is an inline address, empty when there is no picture to show."""

    source: str
    link: str
    name: str
    caption: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Pictures with a heading, and how many there are in all."""

    name: str
    tiles: tuple[Tile, ...]
    total: int
    rows: tuple[Refused, ...] = ()
    note: str = ""


def write_report(folder: Path, settings: Build = AS_EVER) -> Iterator[Progress | Path]:
    """Write ``report.html`` into a class folder, a folder of class folders or a built dataset.

    Yields Progress and, last, the page's path. The page needs nothing but itself; raw pictures are flagged by the
    limits of ``settings``. Raises TrayError when the folder holds nothing to tell of or can't be written.
    """
    found = yield from survey(folder, settings)
    path = folder / REPORT
    text = yield from page(found)
    write_whole(path, text.encode("utf-8", "replace"))
    yield path


def page(found: Survey) -> Generator[Progress, None, str]:
    """Return the report as HTML; yield Progress while its thumbnails are made."""
    plan = _Plan(found)
    yield from plan.make_thumbnails()
    return _template().render(
        found=found,
        title="/".join(found.root.parts[-2:]) if found.form == "class folders" else found.root.name,
        findings=findings(found),
        few=FEW,
        counts=_counts(found),
        engines=_engines(found),
        terms=_terms(found),
        rows=ROWS,
        kinds=_bars(Counter(one.kind for one in found.pictures if one.kind)),
        formats=_bars(Counter(one.format or "unknown" for one in found.pictures)),
        sizes=_sizes(found.pictures),
        megabytes=sum(one.bytes for one in found.pictures) / 1e6,
        sheets=plan.sheets(),
        flagged=plan.flagged(),
        groups=plan.groups(),
        bare=not any(side.path for group in plan.group_rows for side in group.copies),
        conflicts=plan.conflicts(),
        rejected=plan.rejected(),
        settings=_settings(found.described),
    )


def _template() -> jinja2.Template:
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    pages.filters["web"] = web
    pages.filters["number"] = lambda value: f"{value:,}" if isinstance(value, int) else value
    return pages.get_template("report.html.jinja")


def web(address: str) -> str:
    """Return an address that is safe to link, or nothing: only whole http and https ones are."""
    try:
        parts = urlsplit(str(address))
    except ValueError:
        return ""
    whole = parts.scheme in {"http", "https"} and parts.netloc and address.isprintable() and " " not in address
    return address if whole else ""


class _Plan:
    """Which pictures the page shows: each is chosen first, so that all are decoded together and only once."""

    def __init__(self, found: Survey) -> None:
        self.found = found
        self.inline: dict[Path, str] = {}
        self.room = ROOM
        each = max(1, min(SHEET, SHEETS // max(1, len(found.labels))))
        by_label: dict[str, list[Shown]] = defaultdict(list)
        for one in sorted(found.pictures, key=lambda one: one.name):
            by_label[one.label].append(one)
        self.by_label = by_label
        self.sheet_rows = {label: evenly(by_label[label], each) for label in found.labels[:SHEETS]}
        by_flag: dict[str, list[Shown]] = defaultdict(list)
        for one in found.pictures:
            for flag in () if one.verdict else one.flags:
                by_flag[flag].append(one)
        self.by_flag = by_flag
        self.flag_rows = {flag: evenly(rows, FLAGGED) for flag, rows in sorted(by_flag.items())}
        self.group_rows = sorted(found.copies, key=lambda one: (-len(one.copies), one.kept.name))[:GROUPS]
        self.conflict_rows = found.conflicts[:CONFLICTS]
        by_reason: dict[str, list[Refused]] = defaultdict(list)
        for lost in found.refused:
            by_reason[lost.reason].append(lost)
        self.reasons = sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))
        self.reason_rows = {reason: evenly(rows, REASON) for reason, rows in self.reasons[:REASONS]}

    def paths(self) -> set[Path]:
        """Return every file that is shown."""
        shown = [one.path for rows in (*self.sheet_rows.values(), *self.flag_rows.values()) for one in rows]
        sides = [side for row in self.conflict_rows for side in row[:GROUP]]
        for group in self.group_rows:
            sides += [group.kept, *group.copies[: GROUP - 1]]
        refused = [one for rows in self.reason_rows.values() for one in rows if not _has_place(one)]
        return {path for path in (*shown, *(side.path for side in sides), *(one.path for one in refused)) if path}

    def make_thumbnails(self) -> Iterator[Progress]:
        """Decode what the survey has not decoded already."""
        wanted = self.paths()
        missing = sorted(wanted - self.found.thumbnails.keys())
        made: dict[Path, bytes] = {}
        for path, seen in zip(missing, HERE.map(look_at, missing), strict=True):
            made[path] = seen.thumbnail
            yield Progress("draw", len(made), len(missing))
        for path in wanted:
            data = self.found.thumbnails.get(path) or made.get(path)
            self.inline[path] = _inline(data) if data else ""

    def _tile(self, path: Path | None, name: str, caption: str = "", note: str = "") -> Tile:
        if not path:
            return Tile("", "", name, caption, note)
        link = quote(os.path.relpath(path, self.found.root).encode("utf-8", "surrogateescape"))
        source = self.inline.get(path, "")
        source = source if len(source) <= self.room else ""
        self.room -= len(source)
        return Tile(source, link, name, caption, note)

    def sheets(self) -> list[Sheet]:
        """Return the contact sheet of each class."""
        return [
            Sheet(label, tuple(self._tile(one.path, one.name, one.split) for one in rows), len(self.by_label[label]))
            for label, rows in self.sheet_rows.items()
        ]

    def flagged(self) -> list[Sheet]:
        """Return the flagged pictures by flag, the commonest flag first."""
        found = [
            Sheet(flag, tuple(self._tile(one.path, one.name, one.label) for one in rows), len(self.by_flag[flag]))
            for flag, rows in self.flag_rows.items()
        ]
        return sorted(found, key=lambda sheet: (-sheet.total, sheet.name))

    def groups(self) -> list[Sheet]:
        """Return the groups of near-duplicates, the largest first; the first tile of each is the one that is kept."""
        return [self._group(group) for group in self.group_rows]

    def _group(self, group: Copies) -> Sheet:
        sides = (group.kept, *group.copies[: GROUP - 1])
        return Sheet(group.kept.label, tuple(self._side(side) for side in sides), 1 + len(group.copies))

    def conflicts(self) -> list[Sheet]:
        """Return the pictures that lie in two classes or more."""
        return [
            Sheet("", tuple(self._side(side, side.label) for side in sides[:GROUP]), len(sides))
            for sides in self.conflict_rows
        ]

    def _side(self, side: Side, caption: str = "") -> Tile:
        return self._tile(side.path, side.name, caption or side.name, side.note)

    def rejected(self) -> list[Sheet]:
        """Return what was rejected by reason, the commonest first: pictures where there are any, else lines."""
        return [self._reason(reason, rows) for reason, rows in self.reasons]

    def _reason(self, reason: str, everything: Sequence[Refused]) -> Sheet:
        name = spoken(reason)
        if all(_has_place(one) for one in everything):
            return Sheet(name, (), len(everything), note="Shown above, side by side.")
        rows = self.reason_rows.get(reason, [])
        shown = [one for one in rows if one.path and self.inline.get(one.path)]
        tiles = tuple(self._tile(one.path, one.name or one.title, one.label, _said(one)) for one in shown)
        return Sheet(name, tiles, len(everything), tuple(one for one in rows if one not in shown))


def _has_place(one: Refused) -> bool:
    """Return whether a rejected file is shown among the near-duplicates or the conflicts."""
    return bool(one.name and one.kept) and (one.reason in DUPLICATES or one.reason == "conflict")


def _said(one: Refused) -> str:
    found = f"{one.engine.capitalize()} “{one.term}”" if one.engine else ""
    repeats = f"{'repeats' if one.reason in DUPLICATES else 'see'} {one.kept}" if one.kept else ""
    return "; ".join(text for text in (found, repeats, one.detail) if text)


def _inline(data: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


# Tables


def _counts(found: Survey) -> Mapping[str, Any]:
    """Return the table of counts per class: its columns, its rows and their sum."""
    splits = [split for split in SPLITS if any(one.split == split for one in found.pictures)]
    pictures = Counter(one.label for one in found.pictures)
    by_split = Counter((one.label, one.split) for one in found.pictures)
    copies = Counter(group.kept.label for group in found.copies for _ in group.copies)
    refused = Counter(one.label for one in found.refused)
    built = found.form == "dataset"
    columns = [*splits, "pictures", *([] if built else ["of them copies"]), "rejected"]
    labels = list(found.labels)
    labels += sorted(refused.keys() - set(labels))
    largest = max(pictures.values(), default=0)
    rows = []
    for label in labels:
        own = [] if built else [copies[label]]
        cells = (*(by_split[label, split] for split in splits), pictures[label], *own, refused[label])
        rows.append(Bar(label, cells, pictures[label] / largest if largest else 0))
    sums = tuple(sum(int(row.cells[n]) for row in rows) for n in range(len(columns)))
    return {"columns": columns, "rows": rows, "sums": sums, "splits": splits}


def _engines(found: Survey) -> list[Bar]:
    kept = Counter(engine for one in found.pictures for engine in one.engines)
    refused: dict[str, Counter[str]] = defaultdict(Counter)
    for one in found.refused:
        if one.engine:
            refused[one.engine][one.reason] += 1
    rows = []
    for engine in sorted(kept.keys() | refused.keys()):
        lost = refused[engine].total()
        why = ", ".join(f"{spoken(reason)} {count:,}" for reason, count in _commonest(refused[engine], 3))
        rows.append(Bar(engine.capitalize(), (kept[engine], lost, share(lost, lost + kept[engine]), why)))
    return rows


def _terms(found: Survey) -> list[Bar]:
    kept = Counter((one.label, term) for one in found.pictures for term in one.terms)
    refused = Counter((one.label, one.term) for one in found.refused if one.term)
    largest = max(kept.values(), default=0)
    return [
        Bar(label, (term, kept[label, term], refused[label, term]), kept[label, term] / largest if largest else 0)
        for label, term in sorted(kept.keys() | refused.keys())
    ]


def _commonest(counts: Counter[str], most: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def _bars(counts: Counter[str]) -> list[Bar]:
    total = counts.total()
    return [Bar(name, (count, share(count, total)), count / total) for name, count in _commonest(counts, ROWS)]


def _sizes(pictures: Iterable[Shown]) -> Mapping[str, Any]:
    """Return how long the shorter sides are, in pixels."""
    sides = [min(one.width, one.height) for one in pictures if one.width]
    counts: Counter[str] = Counter()
    for side in sides:
        counts[next(name for name, limit in SIDES if not limit or side < limit)] += 1
    rows = [
        Bar(name, (counts[name], share(counts[name], len(sides))), counts[name] / len(sides) if sides else 0)
        for name, _ in SIDES
    ]
    return {"rows": rows if sides else [], "least": min(sides, default=0), "middle": round(median(sides or [0])),
            "most": max(sides, default=0)}  # fmt: skip


def _settings(described: Mapping[str, Any]) -> list[tuple[str, Any]]:
    rows = {name: described[key] for name, key in (("positive class", "positive"),) if described.get(key)}
    config = described.get("config")
    for key, value in config.items() if isinstance(config, dict) else ():
        inside = value.items() if isinstance(value, dict) else [("", value)]
        rows |= {f"{key}.{name}".rstrip("."): one for name, one in inside}
    if described.get("fingerprint"):
        rows["fingerprint"] = described["fingerprint"]
    return list(rows.items())
