"""How well a run lists what lies on trays: those put together from held-back photos, and photos of real ones."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from PIL import Image

from dataset.errors import TrayError
from dataset.folder import make_folder, write_whole
from dataset.importers.tables import lines
from dataset.progress import Progress
from train import trays
from train.composites import Kitchen, composites
from train.data import Part, read_dataset
from train.evaluate import require_unchanged, to_judge
from train.report import THUMBNAIL, Shown, inlined, rendered
from train.runs import METRICS, REPORT, Run

LABELS: Final = "trays.csv"
"""Beside photos of trays: a column ``file`` and a column ``items``, parted by commas or semicolons."""
log = logging.getLogger("tray")


def evaluate_trays(
    run: Run, data: Path | None = None, out: Path | None = None
) -> Iterator[Progress | trays.TrayScores]:
    """Yield progress and, last, how well a run lists what lies on trays; write metrics and a report to ``out``.

    The trays are photos where ``data`` holds ``trays.csv``; else they are put together from the photos of that folder,
    or from those that were held back from the run's own training. Raises TrayError for an item the run does not know.
    """
    unreadable: dict[Path, str] = {}
    if data and (data / LABELS).is_file():
        known = read_labels(run, data / LABELS)
        counts = sorted({len(items) for items in known.values()})
        foods = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
        asked = _photos(run, known, unreadable)
        scores, wrong = yield from trays.score(run, asked, len(known), foods=foods, judged_on=data.name)
    else:
        kitchen = _kitchen(run, data)
        n = min(trays.TRAYS, kitchen.size)
        laid = trays.laid(run, composites(kitchen, n, seed=int(run.config["seed"]) + 2))
        scores, wrong = yield from trays.score(run, laid, n, foods="2 to 6", judged_on=kitchen.part)
    if out:
        write_whole(make_folder(out) / METRICS, (json.dumps({"trays": asdict(scores)}, indent=2) + "\n").encode())
        title = f"{run.path.parent.name}: trays of {scores.judged_on}"
        values = {"title": title, "trays": asdict(scores), "config": run.config, "unreadable": unreadable}
        page = rendered("trays.html.jinja", wrong=[_shown(one) for one in wrong], **values)
        write_whole(out / REPORT, page.encode())
    yield scores


def read_labels(run: Run, table: Path) -> dict[Path, frozenset[str]]:
    """Return what lies on each photo that a table names.

    Raises TrayError for a table without the two columns or that is none, and for an item that the run does not know.
    """
    known = set(trays.labels_on_trays(run))
    found = {}
    rows = ((number, cells) for number, cells in lines(table) if cells)
    number, names = next(rows, (1, []))
    if not {"file", "items"} <= set(names):
        raise _nameless(table, names, number)
    at, first = names.index("file"), names.index("items")
    for number, cells in rows:
        if len(cells) <= max(at, first):
            raise _nameless(table, cells, number)
        # Items that nobody put into quotes are cells of their own, which go without a heading.
        listed = ",".join([cells[first], *cells[len(names) :]])
        items = frozenset(filter(None, (item.strip() for item in re.split("[,;]", listed))))
        if not items <= known:
            raise TrayError(
                f"Expected items out of {', '.join(sorted(known))} in {table}. Received: "
                f"{', '.join(sorted(items - known))} in line {number}. Correct it, or leave it out."
            )
        found[table.parent / cells[at]] = items
    if not found:
        raise TrayError(f"Expected a photo a line in {table}, below file,items. Received: none. Add some.")
    return found


def _nameless(table: Path, cells: list[str], number: int) -> TrayError:
    """Return what to say of a line without a cell for the file or the items."""
    return TrayError(
        f'Expected columns file and items in {table}, such as: lunch.jpg,"pizza, apple". Received: '
        f"{', '.join(cells)} in line {number}. Name the columns so."
    )


def _kitchen(run: Run, data: Path | None) -> Kitchen:
    """Return the photos that trays are put together from: none that the run learned from."""
    if data is None:
        datasets = run.datasets()
        require_unchanged(run, datasets)
        part: Part = "test" if all(one.part("test") for one in datasets.values()) else "val"
        return trays.kitchen_of(datasets, part)
    dataset = read_dataset(data)
    photos, judged_on = to_judge(dataset, own=False)
    known = trays.labels_on_trays(run)
    foods: dict[str, list[Path]] = {}
    clutter: list[Path] = []
    for photo in photos:
        name = dataset.class_names[photo.label]
        (foods.setdefault(name, []) if name in known else clutter).append(photo.path)
    if not foods:
        raise TrayError(
            f"Expected class folders named as the run's items in {data}: {', '.join(known)}; or photos of trays, and "
            f"{LABELS} beside them. Received: {', '.join(dataset.class_names)}. Rename them."
        )
    return Kitchen(foods, clutter, judged_on)


def _photos(run: Run, known: Mapping[Path, frozenset[str]], unreadable: dict[Path, str]) -> Iterator[trays.Laid]:
    """Yield photos of trays as the run looks at them, and note why others can't be read."""
    scales = trays.look_of(run).scales
    for file, found in trays.ahead(known, lambda file: trays.opened(file.read_bytes(), run.image_size, scales)):
        if isinstance(found, str):
            unreadable[file] = found
            log.warning("%s can't be read and is left out: %s", file, found)
        else:
            yield trays.Laid(file.name, known[file], found)


def _shown(one: trays.Told) -> Shown:
    """Return a tray whose list is not right, with what lies on it."""
    found = one.laid.windows
    scale = 2 * THUMBNAIL / max(found.width, found.height)
    side = (max(1, round(scale * found.width)), max(1, round(scale * found.height)))
    said = ", ".join(f"{item} {chance:.2f}" for item, chance in one.said.items()) or "nothing known"
    truth = ", ".join(sorted(one.laid.names)) or "nothing known"
    return Shown(inlined(Image.fromarray(found.pixels[0]).resize(side)), said, f"is {truth}", one.laid.name)
