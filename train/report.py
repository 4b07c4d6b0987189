"""A run or an evaluation as figures for programs and as one self-contained HTML page for people."""

import base64
import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from dataset.folder import link, make_folder, write_whole
from dataset.images import read
from train import charts
from train.adding import Recalled
from train.data import UNREADABLE, Dataset, Photo
from train.evaluate import Judged, doubts, expected_error, together, with_more
from train.ranking import precision_recall, roc
from train.runs import HISTORY, ITEMS, METRICS, PREDICTIONS, REPORT, SUSPECTS

SAMPLES = 24
SHOWN = 12
"""Right and wrong predictions shown, each."""
LOOKED = 6
"""Mistakes of a run at most that show where the model looked; each takes a pass forward and back."""
THUMBNAIL = 132
"""Longer side of a shown picture in pixels."""

Array = np.ndarray[Any, Any]


Look = Callable[[Path, str, int], Array]
"""Returns where on a photo what speaks for a class of a classifier was found: rows from the top, values of 0..1."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a report shows besides the judgement; an evaluation of a finished run has no datasets and no histories."""

    title: str
    config: Mapping[str, Any] = field(default_factory=dict)
    items: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What run.json says about each classifier."""
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    histories: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    best: Mapping[str, int] = field(default_factory=dict)
    unreadable: Mapping[Path, str] = field(default_factory=dict)
    suspects: Mapping[str, Judged] = field(default_factory=dict)
    """Training photos, each judged by a classifier that was trained without it."""
    trays: Mapping[str, Any] | None = None
    """How the run did on trays put together from photos."""
    look: Look | None = None
    """Tells where a model looked."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of a grid, as an inline address, with its caption."""

    source: str
    caption: str
    detail: str
    name: str


def write_all(folder: Path, found: Mapping[str, Judged], page: Page) -> dict[str, Any]:
    """Write metrics.json, predictions.csv and report.html, with a folder per item where there are several.

    Return what metrics.json says.
    """
    metrics = asdict(together({item: one.evaluation for item, one in found.items()}))
    if page.trays:
        metrics["trays"] = dict(page.trays)
    _write_json(folder / METRICS, metrics)
    write_whole(folder / PREDICTIONS, _predictions(found).encode())
    if page.suspects:
        write_whole(folder / SUSPECTS, _suspect_lines(page.suspects.values()).encode())
    if len(found) == 1:
        ((item, one),) = found.items()
        write_whole(folder / REPORT, _page(item, one, page).encode())
        return metrics
    for item, one in found.items():
        inside = make_folder(folder / ITEMS / item)
        if isinstance(one, Recalled):
            for name in (HISTORY, METRICS, PREDICTIONS, REPORT):
                link(one.folder / name, inside / name)
            continue
        _write_json(inside / METRICS, metrics["items"][item])
        write_whole(inside / PREDICTIONS, _predictions({item: one}).encode())
        write_whole(inside / REPORT, _page(item, one, page, several=True).encode())
    write_whole(folder / REPORT, _overview(found, page, metrics).encode())
    return metrics


def _page(item: str, one: Judged, page: Page, *, several: bool = False) -> str:
    """Return one classifier's report."""
    dataset = page.datasets.get(item)
    history = page.histories.get(item)
    wrong, right = _telling(one)
    return rendered(
        "report.html.jinja",
        title=f"{page.title}: {item}" if several else page.title,
        several=several,
        evaluation=one.evaluation,
        class_names=one.class_names,
        threshold=one.threshold if len(one.class_names) == 2 else None,
        temperature=page.items.get(item, {}).get("temperature"),
        curves=_curves(history, page.best.get(item, 0)) if history else "",
        grown=bool(history and "pictures" in history[0]),
        expected=_expected(history) if history and "pictures" in history[0] else None,
        history=history,
        best=page.best.get(item, 0),
        ranking=_ranking(one),
        by_chance=expected_error(one.probabilities),
        suspects=_suspects(page.suspects[item]) if item in page.suspects else None,
        counts=_counts(dataset) if dataset else None,
        dataset=dataset,
        samples=_samples(dataset) if dataset else [],
        trays=None if several else page.trays,
        wrong=wrong,
        right=right,
        looked=_looked(one, item, page),
        wrong_in_all=int((one.called != one.truth).sum()),
        config=page.config,
        unreadable=page.unreadable,
    )


def _overview(found: Mapping[str, Judged], page: Page, metrics: Mapping[str, Any]) -> str:
    """Return the page that links the items' reports."""
    return rendered(
        "overview.html.jinja",
        title=page.title,
        metrics=metrics,
        trained=any("pictures" not in row for rows in page.histories.values() for row in rows),
        rows=[
            (item, one.evaluation, one.class_names[-1], len(page.histories.get(item, ())), _mistakes(one, 4))
            for item, one in found.items()
        ],
        items=page.items if page.histories else {},
        trays=page.trays,
        config=page.config,
        unreadable=page.unreadable,
    )


def rendered(name: str, **values: Any) -> str:
    """Return a page of the folder pages with its values filled in."""
    return _rooms().get_template(name).render(**values)


@cache
def _rooms() -> jinja2.Environment:
    rooms = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    rooms.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    return rooms


def _write_json(path: Path, values: Any) -> None:
    write_whole(path, (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())


def _predictions(found: Mapping[str, Judged]) -> str:
    """Return the judged photos as CSV: what each is, what it was called, and the probability of each class."""
    file = io.StringIO()
    several = len(found) > 1
    names = ["positive"] if several else [f"p_{name}" for one in found.values() for name in one.class_names]
    table = csv.writer(file, lineterminator="\n")
    table.writerow([*(["item"] if several else []), "file", "part", "label", "predicted", *names])
    for item, one in found.items():
        if isinstance(one, Recalled):
            file.write(one.lines)
            continue
        for photo, is_label, said, row in zip(one.photos, one.truth, one.called, one.probabilities, strict=True):
            shown = [f"{value:.6f}" for value in (row[1:] if several else row)]
            start = [item] if several else []
            table.writerow([*start, photo.path, photo.part, one.class_names[is_label], one.class_names[said], *shown])
    return file.getvalue()


def _telling(one: Judged) -> tuple[list[Shown], list[Shown]]:
    """Return the most confident mistakes, and as many right answers from the most to the least sure."""
    sure = one.probabilities[np.arange(len(one.called)), one.called]
    right = np.flatnonzero(one.called == one.truth)
    right = right[np.argsort(-sure[right], kind="stable")]
    if len(right) > SHOWN:
        right = right[np.linspace(0, len(right) - 1, SHOWN).astype(int)]
    return _mistakes(one, SHOWN), [shown for n in right if (shown := _answer(one, int(n)))]


def _suspects(one: Judged) -> list[Shown]:
    """Return the training photos whose label is contradicted most, as confident learning ranks them."""
    return [shown for n in _contradicted(one)[:SHOWN] if (shown := _answer(one, n))]


def _contradicted(one: Judged) -> list[int]:
    doubted = doubts(one)
    return [int(n) for n in np.argsort(-doubted, kind="stable") if doubted[n] > 0]


def _suspect_lines(found: Iterable[Judged]) -> str:
    """Return the contradicted labels of all classifiers as JSON lines, the worst first."""
    rows = []
    for one in found:
        likeliest = one.probabilities.argmax(axis=1)
        for n in _contradicted(one):
            own, said = (float(one.probabilities[n, label]) for label in (one.truth[n], likeliest[n]))
            is_label, looks = one.class_names[one.truth[n]], one.class_names[likeliest[n]]
            detail = f"{said:.0%} {looks}, {own:.0%} {is_label}"
            row = {"file": str(one.photos[n].path.absolute()), "score": round(max(0.5, 1 - own), 4)}
            rows.append((said - own, row | {"reason": f"looks like {looks}", "detail": detail}))
    ordered = sorted(rows, key=lambda pair: -pair[0])
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for _, row in ordered)


def _mistakes(one: Judged, most: int) -> list[Shown]:
    return [shown for row in _wrong(one, most) if (shown := _answer(one, row))]


def _wrong(one: Judged, most: int) -> list[int]:
    """Return the rows of the most confident mistakes."""
    sure = one.probabilities[np.arange(len(one.called)), one.called]
    wrong = np.flatnonzero(one.called != one.truth)
    return [int(row) for row in wrong[np.argsort(-sure[wrong], kind="stable")][:most]]


def _looked(one: Judged, item: str, page: Page) -> list[Shown]:
    """Return the most confident mistakes again, brighter and warmer where the model found what it called them."""
    if page.look is None:
        return []
    found = []
    # Of many items only the last have a picture: each takes a while.
    each = LOOKED // max(1, len(page.items)) or int(item in list(page.items)[-LOOKED:])
    for row in _wrong(one, each):
        photo, called = one.photos[row], int(one.called[row])
        try:
            small = read(photo.path.read_bytes(), max_side=THUMBNAIL)
            rows = page.look(photo.path, item, called)
        except UNREADABLE:
            continue
        shown = _answer(one, row)
        if shown:
            found.append(replace(shown, source=inlined(_warmed(small, rows))))
    return found


def _warmed(image: Image.Image, rows: Array) -> Image.Image:
    """Return a picture that is dark where ``rows`` are 0 and glows where they are 1."""
    heat = Image.fromarray((255 * rows).astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    dark = Image.blend(image, Image.new("RGB", image.size), 0.55)
    glowing = Image.blend(image, Image.new("RGB", image.size, charts.ORANGE), 0.25)
    return Image.composite(glowing, dark, heat)


def _answer(one: Judged, row: int) -> Shown | None:
    called = one.called[row]
    probability = one.probabilities[row, called]
    is_label = one.class_names[one.truth[row]]
    detail = "" if called == one.truth[row] else f"is {is_label}"
    return _shown(one.photos[row], f"{one.class_names[called]} {probability:.2f}", detail)


def _samples(dataset: Dataset) -> list[Shown]:
    """Return training photos with their labels, equally many of each class, chosen by chance but always the same."""
    photos = sorted(dataset.part("train"), key=lambda photo: photo.sha256)
    each = max(2, SAMPLES // len(dataset.class_names))
    chosen = [[photo for photo in photos if photo.label == n][:each] for n in range(len(dataset.class_names))]
    return [
        shown
        for photos in chosen[:SAMPLES]
        for photo in photos
        if (shown := _shown(photo, dataset.class_names[photo.label], ""))
    ]


def _shown(photo: Photo, caption: str, detail: str) -> Shown | None:
    try:
        source = _thumbnail(photo.path)
    except UNREADABLE:
        return None
    return Shown(source, caption, detail, f"{photo.path.parent.name}/{photo.path.name}")


@lru_cache(maxsize=1024)
def _thumbnail(path: Path) -> str:
    """Return a small copy of a photo; items that share their photos show many of them again."""
    return inlined(read(path.read_bytes(), max_side=THUMBNAIL))


def inlined(image: Image.Image) -> str:
    """Return a picture as an address that holds all of it."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Return how many photos of each class lie in each part."""
    return {
        name: {
            part: sum(photo.label == label and photo.part == part for photo in dataset.photos)
            for part in ("train", "val", "test")
        }
        for label, name in enumerate(dataset.class_names)
    }


def _ranking(one: Judged) -> str:
    """Return ROC and precision-recall of a binary classifier, and how far confidence can be trusted, as a picture."""
    said, span = one.evaluation, (-0.02, 1.02)
    panels = []
    if said.roc_auc is not None:
        line = charts.Line(_points(*roc(one.truth, one.probabilities[:, 1])), charts.BLUE)
        panels.append(charts.Panel(f"ROC, area {said.roc_auc:.3f}", "false positives", [line], span=span))
        line = charts.Line(_points(*precision_recall(one.truth, one.probabilities[:, 1])), charts.BLUE)
        panels.append(charts.Panel(f"precision, mean {said.average_precision:.3f}", "recall", [line], span=span))
    confidence, hit = one.probabilities.max(axis=1), one.probabilities.argmax(axis=1) == one.truth
    place = np.minimum((confidence * 10).astype(int), 9)
    spots = [
        charts.Spot(float(confidence[here].mean()), float(hit[here].mean()), 5 + 12 * float(here.mean()) ** 0.5)
        for here in (place == n for n in range(10))
        if here.any()
    ]
    even = charts.Line([(0, 0), (1, 1)], charts.GREY, dotted=True)
    title = f"share right, ECE {said.calibration_error:.3f}"
    return charts.drawn([*panels, charts.Panel(title, "confidence", [even], spots, span)])


def _points(across: Array, up: Array) -> list[tuple[float, float]]:
    return list(zip(across.tolist(), up.tolist(), strict=True))


def _expected(history: Sequence[Mapping[str, float]]) -> float | None:
    """Return the accuracy that 200 more training pictures promise, by the photos left out in turn."""
    errors = with_more([row["pictures"] for row in history], [1 - row["accuracy"] for row in history])
    return None if errors is None else 1 - errors


def _curves(history: Sequence[Mapping[str, float]], best: int) -> str:
    """Return accuracy and loss, over epochs or pictures, as an inline picture that reads on light and on dark."""
    grown = "pictures" in history[0]
    steps = [row["pictures"] if grown else number for number, row in enumerate(history, start=1)]
    panels = []
    for name in ("accuracy", "loss"):
        both = ((name, charts.BLUE, "left out in turn" if grown else "training"),
                (f"val_{name}", charts.ORANGE, "validation"))  # fmt: skip
        lines = [
            charts.Line([(step, row[key]) for step, row in zip(steps, history, strict=True)], colour, label, spots=True)
            for key, colour, label in both
        ]
        if best and not grown:
            values = [value for line in lines for _, value in line.points]
            lines.append(charts.Line([(best, min(values)), (best, max(values))], charts.GREY, dotted=True))
        panels.append(charts.Panel(name, "training pictures" if grown else "epoch", lines))
    return charts.drawn(panels, wide=450)
