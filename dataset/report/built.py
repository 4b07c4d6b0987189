"""What a built dataset holds: its metadata, what the build rejected, and where the raw pictures lie."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from dataset.choose import reviews
from dataset.folder import DATASET, METADATA, REJECTED, Record, class_of, records
from dataset.origin import led_to, source_of, staleness
from dataset.report.holdings import DUPLICATES, Copies, Refused, Shown, Side, Survey, together
from dataset.review.catalogue import json_lines

_FORMATS: Final = {"JPG": "JPEG", "TIF": "TIFF"}

Place = Callable[[str], Path | None]


def built(root: Path) -> Survey | None:
    """Return what a built dataset holds; None when there is nothing of one."""
    rows = list(json_lines(root / METADATA))
    described = _described(root)
    away = list(json_lines(root / REJECTED))
    raw = source_of(root)
    names = {class_of(str(row.get("source", ""))) for row in (*rows, *away)} - {"", ".", ".."}
    known = {f"{name}/{one.file}": one for name in sorted(names) if raw for one in records(raw / name) if one.kept}
    said = reviews({name: raw / name for name in names} if raw else {})
    shown = []
    of_source: dict[str, Shown] = {}
    for row in rows:
        path = root / str(row.get("file_name", ""))
        if not path.is_file() or not path.resolve().is_relative_to(root):
            continue
        one = _from_row(path, row, known.get(str(row.get("source", ""))))
        if one.name in said:
            one = replace(one, verdict=said[one.name].verdict)
        shown.append(one)
        of_source[one.name] = one
    if not shown and not away:
        return None

    def place(source: str) -> Path | None:
        if source in of_source:
            return of_source[source].path
        return led_to(raw, source) if raw and source else None

    drawn_on = _drawn_on(described)
    refused = [_refused_row(row, place, known.get(str(row.get("source", ""))), drawn_on) for row in away]
    counted = dict.fromkeys([*_texts(described.get("class_names")), *sorted({one.label for one in shown})])
    return Survey(
        root,
        "dataset",
        tuple(counted),
        tuple(shown),
        tuple(refused),
        tuple(_copies(refused, of_source, place)),
        tuple(_conflicts(away, place)),
        looked=len(shown),
        gone=len(rows) - len(shown),
        stale=staleness(root),
        described=described,
    )


def _described(root: Path) -> dict[str, Any]:
    try:
        found = json.loads((root / DATASET).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _from_row(path: Path, row: Mapping[str, Any], record: Record | None) -> Shown:
    source = str(row.get("source") or row.get("file_name"))
    suffix = Path(source).suffix.lstrip(".").upper()
    engines, terms, pages, said = (_texts(row.get(key)) for key in ("engines", "terms", "pages", "flags"))
    return Shown(
        path, source, str(row.get("label") or path.parent.name), str(row.get("split") or ""),
        _number(row.get("width")), _number(row.get("height")),
        record.format if record and record.format else _FORMATS.get(suffix, suffix), path.stat().st_size,
        record.kind if record else "", engines, terms, pages[0] if pages else "", record.title if record else "",
        str(row.get("sha256") or ""), "", said,
    )  # fmt: skip


def _texts(values: object) -> tuple[str, ...]:
    return tuple(map(str, values)) if isinstance(values, list) else ()


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _drawn_on(described: Mapping[str, Any]) -> dict[str, str]:
    """Return for each class folder which class of the dataset draws on it."""
    sources = described.get("sources")
    found: dict[str, str] = {}
    for label, kinds in sources.items() if isinstance(sources, dict) else ():
        for kind in kinds if isinstance(kinds, list) else ():
            found |= {name: label for name in _texts(kind) if name not in found}
    return found


def _refused_row(row: Mapping[str, Any], place: Place, record: Record | None, drawn_on: Mapping[str, str]) -> Refused:
    source, reason = str(row.get("source") or ""), str(row.get("reason") or "not said")
    label = str(row.get("label") or class_of(source))
    one = record or Record(url="")
    return Refused(
        drawn_on.get(label, label), reason, source, place(source), one.url, one.page, one.title, one.engine, one.term,
        str(row.get("kept") or ""), str(row.get("detail") or ""),
    )  # fmt: skip


def _copies(refused: Iterable[Refused], of_source: Mapping[str, Shown], place: Place) -> Iterator[Copies]:
    groups: dict[str, list[Refused]] = defaultdict(list)
    for one in refused:
        if one.reason in DUPLICATES and one.kept:
            groups[one.kept].append(one)
    for source, copies in sorted(groups.items()):
        kept = of_source.get(source)
        where = f"kept, in {kept.split or 'the dataset'}" if kept else "kept; not drawn for this dataset"
        size = f"{kept.width}x{kept.height}" if kept and kept.width else ""
        yield Copies(
            Side(source, copies[0].label, place(source), "; ".join(text for text in (size, where) if text)),
            tuple(Side(one.name, one.label, one.path, one.detail or "the same bytes") for one in copies),
        )


def _conflicts(away: Iterable[Mapping[str, Any]], place: Place) -> Iterator[tuple[Side, ...]]:
    away = [row for row in away if row.get("reason") == "conflict" and row.get("kept") and row.get("source")]
    labels = {str(row["source"]): str(row.get("label") or "") for row in away}
    for names in together((str(row["source"]), str(row["kept"])) for row in away):
        yield tuple(_clashing(name, labels.get(name) or class_of(name), place) for name in names)


def _clashing(name: str, label: str, place: Place) -> Side:
    return Side(name, label, place(name), "" if label == class_of(name) else f"relabelled, lies in {class_of(name)}")
