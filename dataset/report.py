"""A class folder, a folder of them, or a built dataset as one HTML page that needs nothing else."""

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import jinja2

from dataset.build import CACHE, METADATA, REJECTED, Analysis, analyse
from dataset.errors import TrayError
from dataset.folder import DATASET, POOL, class_folders, pictures, records, source_of, write_whole
from dataset.images import read, to_jpeg
from dataset.progress import Progress
from dataset.scan import WORKERS
from dataset.splits import SPLITS
from dataset.tray import Build

PAGE: Final = "report.html"
THUMBNAIL: Final = 112
"""Longer side of the page's pictures in pixels."""
SHEET: Final = 48
"""Pictures per class on the page; larger classes show an even choice."""
SAMPLES: Final = 18
"""Pictures per reason and per flag, groups and conflicts on the page."""
FEW, LOPSIDED, MANY_FLAGGED, POOR_TERM = 50, 3.0, 0.15, 0.3


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture on the page, with the words under it."""

    path: Path
    words: str = ""
    title: str = ""
    thumbnail: str = ""


@dataclass(slots=True)
class Sheet:
    """Everything that the page says."""

    title: str
    kind: str
    classes: dict[str, dict[str, int]]
    """Pictures by class and column (``train``, ``val``, ``test``, or ``kept``)."""
    rejected: dict[str, int]
    sheets: dict[str, list[Shown]]
    reasons: dict[str, list[list[Shown]]] = field(default_factory=dict)
    """For each reason rows of pictures: the one that went, and beside it the one that stayed."""
    copies: list[list[Shown]] = field(default_factory=list)
    related: list[list[Shown]] = field(default_factory=list)
    conflicts: list[list[Shown]] = field(default_factory=list)
    flags: dict[str, list[Shown]] = field(default_factory=dict)
    flag_counts: dict[str, int] = field(default_factory=dict)
    origins: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Tables by ``class and term``, ``engine``, ``kind``: tried, kept, and the commonest reasons."""
    advice: list[str] = field(default_factory=list)
    """What is most worth mending, the worst first."""


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a class folder, a folder of class folders or a built dataset; return its path.

    Raises TrayError when it is none of these or can't be written.
    """
    if not folder.is_dir():
        raise TrayError(f"Expected a class folder, a folder of them or a built dataset. Received: {folder}.")
    sheet = _of_dataset(folder) if (folder / DATASET).exists() else _of_folders(folder)
    sheet.advice = _advice(sheet)
    path = folder / PAGE
    write_whole(path, _render(sheet).encode())
    return path


def _of_dataset(folder: Path) -> Sheet:
    described = json.loads((folder / DATASET).read_text(encoding="utf-8"))
    rows = _lines(folder / METADATA)
    gone = _lines(folder / REJECTED)
    root = source_of(folder)
    counts = {
        name: {split: described["counts"].get(split, {}).get(name, 0) for split in SPLITS}
        for name in described["class_names"]
    }
    by_class: dict[str, list[Shown]] = defaultdict(list)
    by_flag: dict[str, list[Shown]] = defaultdict(list)
    by_group: dict[str, list[Shown]] = defaultdict(list)
    place = {}
    for row in rows:
        size = f"{row['width']}x{row['height']}"
        shown = Shown(folder / row["file_name"], row["split"], f"{row['source']}\n{size}\n{', '.join(row['terms'])}")
        by_class[row["label"]].append(shown)
        by_group[row["group"]].append(shown)
        place[row["source"]] = shown
        for flag in row["flags"]:
            by_flag[flag].append(Shown(shown.path, row["label"], shown.title))
    sheet = Sheet(
        described["name"], "dataset", counts, described["rejected"],
        {name: _evenly(by_class[name], SHEET) for name in described["class_names"]},
    )  # fmt: skip
    sheet.flags = {flag: _evenly(shown, SAMPLES) for flag, shown in sorted(by_flag.items())}
    sheet.flag_counts = {flag: len(shown) for flag, shown in sorted(by_flag.items())}
    sheet.related = [_evenly(group, SAMPLES) for group in by_group.values() if len(group) > 1][:SAMPLES]
    _show_rejected(sheet, gone, root, place)
    if root:
        names = sorted({row["source"].split("/")[0] for row in (*rows, *gone)})
        sheet.origins = _origins({name: root / name for name in names})
    return sheet


def _of_folders(folder: Path) -> Sheet:
    """Describe raw class folders: what a build with the usual settings would do with them."""
    inside = next(pictures(folder), None)
    folders = {folder.resolve().name: folder} if inside else class_folders(folder)
    root = folder.resolve().parent if inside else folder
    found = _analysed(root, {name: root / name for name in folders})
    kept = found.choice.kept
    gone = [asdict(one) for one in found.choice.rejected]
    counts = {name: {"kept": sum(name in one.classes for one in kept)} for name in folders}
    rejected = Counter(one["reason"] for one in gone)
    by_class: dict[str, list[Shown]] = defaultdict(list)
    by_flag: dict[str, list[Shown]] = defaultdict(list)
    place = {}
    for one in kept:
        title = f"{one.source}\n{one.width}x{one.height}\n{', '.join(one.terms)}"
        shown = Shown(root / one.source, ", ".join(one.terms[:1]), title)
        place[one.source] = shown
        for name in one.classes:
            by_class[name].append(shown)
        for flag in one.flags:
            by_flag[flag].append(Shown(shown.path, one.source.split("/")[0], title))
    sheet = Sheet(
        folder.resolve().name, "class folder" if inside else "class folders", counts, dict(sorted(rejected.items())),
        {name: _evenly(by_class[name], SHEET) for name in folders},
    )  # fmt: skip
    sheet.flags = {flag: _evenly(shown, SAMPLES) for flag, shown in sorted(by_flag.items())}
    sheet.flag_counts = {flag: len(shown) for flag, shown in sorted(by_flag.items())}
    keys: dict[str, list[Shown]] = defaultdict(list)
    for one in kept:
        keys[found.groups[one.sha256]].append(place[one.source])
    sheet.related = [_evenly(group, SAMPLES) for group in keys.values() if len(group) > 1][:SAMPLES]
    _show_rejected(sheet, gone, root, place)
    sheet.origins = _origins({name: root / name for name in folders})
    return sheet


def _analysed(root: Path, folders: Mapping[str, Path]) -> Analysis:
    cache = next((path for path in (root / POOL / CACHE, root.parent / "pool" / CACHE) if path.exists()), None)
    result = None
    for step in analyse(root, dict(folders), Build(), cache=cache):
        if not isinstance(step, Progress):
            result = step
    assert result is not None
    return result


def _show_rejected(
    sheet: Sheet, gone: Sequence[Mapping[str, Any]], root: Path | None, place: Mapping[str, Shown]
) -> None:
    """Fill in what went and why, with the pictures as far as they are still there."""
    by_kept: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in gone:
        if one["reason"] in {"near duplicate", "duplicate bytes"}:
            by_kept[one["kept"]].append(one)
        elif one["reason"] == "conflict" and root:
            row = [_gone(one, root), Shown(root / one["kept"], one["kept"].split("/")[0], one["kept"])]
            if not any({shown.path for shown in row} == {shown.path for shown in other} for other in sheet.conflicts):
                sheet.conflicts.append(row)
        elif root and len(sheet.reasons.setdefault(one["reason"], [])) < SAMPLES:
            sheet.reasons[one["reason"]].append([_gone(one, root)])
    sheet.conflicts = sheet.conflicts[:SAMPLES]
    near = sorted(by_kept.items(), key=lambda row: -max(float(one["score"]) for one in row[1]))
    for source, copies in near[: 2 * SAMPLES]:
        kept = place.get(source)
        path = kept.path if kept else root / source if root else None
        if path is None or root is None:
            continue
        sheet.copies.append([Shown(path, "kept", source), *(_gone(one, root) for one in copies[:6])])


def _gone(one: Mapping[str, Any], root: Path) -> Shown:
    words = "same bytes" if one["reason"] == "duplicate bytes" else one["detail"].split(" kept over ")[-1]
    return Shown(root / one["source"], words or one["label"], f"{one['source']}\n{one['detail']}")


def _origins(folders: Mapping[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """Return, as the manifests tell it, how much came by each term, engine and kind of address."""
    tables: dict[str, dict[tuple[str, ...], Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for name, folder in folders.items():
        for record in records(folder):
            outcome = "kept" if record.kept and not record.copy_of else "copy" if record.kept else record.error
            for title, key in (
                ("term", (name, record.term)), ("engine", (record.engine,)), ("kind", (record.kind if record.kept else "",))
            ):  # fmt: skip
                if key[-1]:
                    tables[title][key][outcome or "rejected"] += 1
    return {
        title: [
            {
                "name": " · ".join(key),
                "tried": counts.total(),
                "kept": counts["kept"],
                "copies": counts["copy"],
                "rejected": ", ".join(
                    f"{count} {reason}" for reason, count in counts.most_common() if reason not in {"kept", "copy"}
                ),
            }
            for key, counts in sorted(table.items())
        ]
        for title, table in tables.items()
    }


def _advice(sheet: Sheet) -> list[str]:
    """Return what is most worth mending, in sentences, the worst first."""
    found: list[tuple[float, str]] = []
    totals = {name: sum(counts.values()) for name, counts in sheet.classes.items()}
    for name, total in totals.items():
        if total < FEW:
            word = "picture" if total == 1 else "pictures"
            found.append((90 - total / 10, f"Class {name} has only {total} {word}: scrape more terms for it."))
    for one, other in combinations(sorted(totals, key=lambda name: totals[name]), 2):
        if totals[other] > LOPSIDED * max(1, totals[one]) and one == min(totals, key=lambda name: totals[name]):
            times = totals[other] / max(1, totals[one])
            found.append((50 + times, f"Class {other} has {times:.0f} times the pictures of {one}."))
    if sheet.conflicts:
        count = sheet.rejected.get("conflict", len(sheet.conflicts))
        found.append((80, f"{count} files show one picture under two classes: say in a review which class is right."))
    for row in sheet.origins.get("term", []):
        if row["tried"] >= 20 and row["kept"] < POOR_TERM * row["tried"]:
            found.append((40, f"Of what {row['name']} brought, {row['kept']} of {row['tried']} are new pictures."))
    everything = max(1, sum(totals.values()))
    for flag, count in sheet.flag_counts.items():
        if count > MANY_FLAGGED * everything:
            found.append((30 + 20 * count / everything, f"{count} of {everything} pictures are flagged: {flag}."))
    copies = sheet.rejected.get("near duplicate", 0) + sheet.rejected.get("duplicate bytes", 0)
    if copies > 0.3 * (everything + copies):
        found.append((20, f"{copies} files are copies of others: the terms bring much the same pictures."))
    held = sheet.rejected.get("held out", 0)
    if held:
        found.append((25, f"{held} new pictures tie groups of two splits and are held out of both."))
    return [sentence for _, sentence in sorted(found, key=lambda one: (-one[0], one[1]))][:8]


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []


def _evenly(shown: Sequence[Shown], count: int) -> list[Shown]:
    """Return at most ``count`` of a row, spread over all of it."""
    if len(shown) <= count:
        return list(shown)
    return [shown[at * len(shown) // count] for at in range(count)]


def _render(sheet: Sheet) -> str:
    rows: list[list[Shown]] = [
        *sheet.sheets.values(), *sheet.flags.values(), *sheet.copies, *sheet.related, *sheet.conflicts,
        *(row for rows in sheet.reasons.values() for row in rows),
    ]  # fmt: skip
    paths = sorted({shown.path for row in rows for shown in row})
    with ThreadPoolExecutor(WORKERS) as threads:
        thumbnails = dict(zip(paths, threads.map(_thumbnail, paths), strict=True))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dataset", "pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.jinja").render(sheet=sheet, thumbnails=thumbnails, splits=SPLITS)


def _thumbnail(path: Path) -> str:
    """Return a small picture as a data URI; empty when the file can't be read."""
    try:
        image = read(path.read_bytes(), max_side=THUMBNAIL)
    except Exception:  # noqa: BLE001 - decoders raise what they like, and a broken picture is what the page is about
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(to_jpeg(image, quality=70)).decode()
