"""What lies on a tray: a run asked about a whole picture and about overlapping windows of it."""

import hashlib
import logging
import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dataset.errors import NotEnoughImages
from dataset.folder import make_folder, write_whole
from dataset.images import look as inspected
from dataset.images import read as upright
from dataset.images import to_jpeg
from dataset.progress import Progress
from dataset.tray import BACKGROUND
from train.composites import Box, Composite, Kitchen, Lesson, Portion, area, composites, lessons, shared
from train.data import UNREADABLE, Dataset, Part, Photo, reason, threads
from train.evaluate import threshold
from train.predict import NOTHING, labels_of
from train.ranking import average_precision
from train.runs import Run

SCALES = (0.7, 0.5, 0.35)
"""Sides of the windows, as shares of the picture's shorter side."""
STEP = 0.5
"""How far neighbouring windows lie apart at most, as a share of their side."""
MOST_WINDOWS = 400
"""Windows of a picture at most: one that is ten times as long as wide has fewer."""
LESSONS = 300
"""Trays that a classifier learns from at most; never more than there are photos."""
PER_TRAY = 10
"""Windows of each that it sees."""
TRAYS = 60
"""Trays of validation photos that choose the look, and of test photos that judge it, at most."""
WORST = 12
"""Lists that a report shows, of those that are not right."""
SHARPNESSES = (1.0, 2.0, 4.0, 32.0)
DRAWN = 1280
"""Longer side in pixels of a copy with boxes at most."""
INKS = ("#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#be123c", "#0f766e")
AHEAD = 2
SURE = 1e-6
"""Probabilities are kept this far from 0 and 1."""
APART = 0.01
"""How strongly the items' offsets are held together: few trays must not say much about a single item."""
ALIKE = 0.3
"""Windows that share this much of their union with the best one say together where the item was seen."""

Array = np.ndarray[Any, Any]
Ask = Callable[[Array], Mapping[str, Array]]
log = logging.getLogger("tray")


@dataclass(frozen=True, slots=True)
class Sighting:
    """One item: how likely it lies on the tray, whether that is enough, and where it was seen, in pixels."""

    item: str
    probability: float
    present: bool
    box: Box


@dataclass(frozen=True, slots=True)
class TrayPrediction:
    """What a run says about one picture of a tray; ``error`` says why it could not be read."""

    file: Path
    label: str = ""
    """The items on the tray, most probable first, or ``nothing known``."""
    items: dict[str, float] = field(default_factory=dict)
    """The items on the tray with their probabilities."""
    seen: tuple[Sighting, ...] = ()
    """Every item, most probable first."""
    width: int = 0
    height: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How a tray is looked at, and how what is said about its windows becomes one probability per item."""

    scales: tuple[float, ...] = SCALES
    sharpness: float = 2.0
    """Between the mean of the windows' log-odds (0) and their maximum (infinity): that of a log-mean-exp."""
    slope: float = 1.0
    offsets: Mapping[str, float] = field(default_factory=dict)
    """What is added to each item's log-odds, 0 where nothing is."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """The probability from which an item counts as present, 0.5 where nothing is said."""


def look_of(run: Run) -> Look:
    """Return how a run looks at trays: as its training on trays chose, or else by its thresholds for photos."""
    told = run.record.get("tray")
    if told:
        known = {name: value for name, value in told.items() if name != "scores"}
        return Look(**{**known, "scales": tuple(told["scales"])})
    return Look(thresholds={run.labels[item][-1]: threshold for item, threshold in run.thresholds.items()})


def survey(run: Run, files: Iterable[Path]) -> Iterator[TrayPrediction]:
    """Yield what lies on each picture of a tray, in order; all windows of a picture are one batch."""
    look = look_of(run)
    for file, found in ahead(files, lambda file: opened(file.read_bytes(), run.image_size, look.scales)):
        yield TrayPrediction(file, error=found) if isinstance(found, str) else answer(run, file, found, look)


@dataclass(frozen=True, slots=True)
class Windows:
    """A picture's windows, the whole first, and their pixels as a model takes them, (n, size, size, 3)."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    pixels: Array


def opened(data: bytes, size: int, scales: Sequence[float]) -> Windows | str:
    """Return the windows of the picture that some bytes are, or why it can't be read."""
    info, image = inspected(data, min_side=1, side=least_side(size, scales))
    return info.error if image is None else windows_of(image, (info.width, info.height), size, scales)


def least_side(size: int, scales: Sequence[float]) -> int:
    """Return how many pixels a picture's shorter side needs for its smallest windows to have ``size``."""
    return round(size / min(scales))


def windows_of(image: Image.Image, of: tuple[int, int], size: int, scales: Sequence[float]) -> Windows | str:
    """Return the windows of a picture whose width and height were ``of`` before it was made smaller, or why none."""
    boxes = windows(*of, scales)
    return cut(image, boxes, size, of) if len(boxes) <= MOST_WINDOWS else "too narrow for windows"


def cut(image: Image.Image, boxes: Sequence[Box], size: int, of: tuple[int, int] | None = None) -> Windows:
    """Return windows of a picture; ``of`` are the width and height that the boxes speak of, if not the picture's."""
    width, height = of or image.size
    x, y = image.width / width, image.height / height
    inside = [(box[0] * x, box[1] * y, box[2] * x, box[3] * y) for box in boxes]
    found = [image.resize((size, size), Image.Resampling.BILINEAR, box, reducing_gap=2) for box in inside]
    return Windows(width, height, tuple(boxes), np.stack([np.asarray(one) for one in found]))


def windows(width: int, height: int, scales: Sequence[float] = SCALES) -> list[Box]:
    """Return the whole picture, and squares whose sides are shares of its shorter side, each half over the next."""
    boxes = [(0, 0, width, height)]
    for scale in scales:
        side = max(1, round(scale * min(width, height)))
        for top in _starts(height, side):
            boxes += [(left, top, left + side, top + side) for left in _starts(width, side)]
    return boxes


def _starts(length: int, side: int) -> list[int]:
    steps = max(0, math.ceil((length - side) / (STEP * side) - 1e-6))
    return [round(n * (length - side) / max(1, steps)) for n in range(steps + 1)]


def answer(run: Run, file: Path, found: Windows, look: Look, ask: Ask | None = None) -> TrayPrediction:
    """Return what lies on a tray by what a run says about its windows; ``ask`` gives the run's answers another way."""
    odds = log_odds(run, found.pixels, ask)
    labels = labels_on_trays(run)
    chances = probabilities(odds, look, labels)
    seen = [
        Sighting(item, float(chance), bool(chance >= look.thresholds.get(item, 0.5)), place(found.boxes, odds[:, n]))
        for n, (item, chance) in enumerate(zip(labels, chances, strict=True))
    ]
    seen.sort(key=lambda one: -one.probability)
    items = {one.item: one.probability for one in seen if one.present}
    return TrayPrediction(file, ", ".join(items) or NOTHING, items, tuple(seen), found.width, found.height)


def drawn(found: Iterable[TrayPrediction], folder: Path) -> Iterator[TrayPrediction]:
    """Yield predictions, and put a copy of each picture with a box around every item on the tray into a folder."""
    make_folder(folder)
    taken: set[str] = set()
    for one in found:
        image = None if one.error else _upright(one.file)
        if image:
            scale = image.width / one.width
            pen, font = ImageDraw.Draw(image), ImageFont.load_default(max(12, image.width // 40))
            for n, sighting in enumerate(one.seen):
                if sighting.present:
                    left, top, right, bottom = (edge * scale for edge in sighting.box)
                    colour = INKS[n % len(INKS)]
                    pen.rectangle((left, top, right, bottom), outline=colour, width=max(2, image.width // 200))
                    said = f" {sighting.item} {sighting.probability:.2f} "
                    pen.rectangle(pen.textbbox((left, top), said, font=font), fill=colour)
                    pen.text((left, top), said, fill="white", font=font)
            name = next(name for name in _names(one.file) if name not in taken)
            taken.add(name)
            write_whole(folder / name, to_jpeg(image, quality=88))
        yield one


def _upright(file: Path) -> Image.Image | None:
    """Return a picture to draw on, or None where it has gone since it was looked at."""
    try:
        return upright(file.read_bytes(), max_side=DRAWN)
    except UNREADABLE as error:
        log.warning("%s can't be drawn: %s", file, reason(error))
        return None


def _names(file: Path) -> Iterator[str]:
    """Yield names for a copy: files of several folders may share one."""
    yield f"{file.stem}.jpg"
    yield from (f"{file.stem}-{n}.jpg" for n in count(2))


def labels_on_trays(run: Run) -> list[str]:
    """Return what a run can find on a tray: its items, or the classes of a multi-class run."""
    if run.thresholds:
        return [names[-1] for names in run.labels.values()]
    return [name for name in labels_of(run) if name != BACKGROUND]


def log_odds(run: Run, pixels: Array, ask: Ask | None = None) -> Array:
    """Return how sure a run is of each item, (n, items), for (n, size, size, 3) pixels."""
    said = (ask or run.probabilities)(pixels)
    if run.thresholds:
        columns = [said[item][:, -1:] for item in run.items]
    else:
        (only,) = run.items
        columns = [said[only][:, [name != BACKGROUND for name in run.labels[only]]]]
    chances = np.clip(np.concatenate(columns, axis=1).astype(np.float64), SURE, 1 - SURE)
    return np.asarray(np.log(chances / (1 - chances)))


def pooled(odds: Array, sharpness: float) -> Array:
    """Return one number per item, (items,), for the log-odds of a tray's windows, (windows, items)."""
    most = odds.max(axis=0)
    return np.asarray(most + np.log(np.exp(sharpness * (odds - most)).mean(axis=0)) / sharpness)


def probabilities(odds: Array, look: Look, labels: Sequence[str]) -> Array:
    """Return each item's probability, (items,), for the log-odds of a tray's windows, (windows, items)."""
    offsets = np.array([look.offsets.get(item, 0.0) for item in labels])
    return np.asarray(1 / (1 + np.exp(-(look.slope * pooled(odds, look.sharpness) + offsets))))


def place(boxes: Sequence[Box], odds: Array) -> Box:
    """Return where an item was seen: the mean of the windows that see it best and lie on the same place."""
    best = boxes[int(odds[1:].argmax()) + 1] if len(boxes) > 1 else boxes[0]
    near = [n for n, box in enumerate(boxes) if alike(best, box) >= ALIKE]
    weights = np.exp(odds[near] - odds[near].max())
    left, top, right, bottom = np.round(np.average([boxes[n] for n in near], axis=0, weights=weights)).astype(int)
    return int(left), int(top), int(right), int(bottom)


def alike(one: Box, other: Box) -> float:
    """Return the share of their union that two boxes have in common."""
    common = shared(one, other)
    return common / (area(one) + area(other) - common)


def ahead(files: Iterable[Path], prepare: Callable[[Path], Windows | str]) -> Iterator[tuple[Path, Windows | str]]:
    """Yield each file with its windows, or with why it has none; threads work a few files ahead."""

    def safely(file: Path) -> Windows | str:
        try:
            return prepare(file)
        except UNREADABLE as error:
            return reason(error)

    left = iter(files)
    waiting: deque[tuple[Path, Future[Windows | str]]] = deque()
    with ThreadPoolExecutor(threads()) as pool:
        while True:
            waiting += [(file, pool.submit(safely, file)) for file in islice(left, AHEAD + 1 - len(waiting))]
            if not waiting:
                return
            file, future = waiting.popleft()
            yield file, future.result()


# ---------------------------------------------------------------- learning from trays, and judging by them


@dataclass(frozen=True, slots=True)
class TrayScores:
    """How a run did on trays put together from photos that took no part in training."""

    n: int
    foods: str
    """How many foods lay on each."""
    judged_on: str
    mean_average_precision: float
    """Mean over the items of the average precision with which trays are ranked by the item's probability."""
    exactly_right: float
    """Share of trays whose list is exactly what lies on them."""
    found_right: float | None
    """Share of the items rightly listed whose place has its middle on the item; None where places are not known."""
    whole_alone: float
    """The mean average precision when the picture is only looked at as a whole."""
    whole_exactly_right: float


def kitchen_of(data: Mapping[str, Dataset], part: Part) -> Kitchen:
    """Return the foods and the clutter that a part of the photos offers."""
    foods: dict[str, list[Path]] = {}
    rest: dict[str, Path] = {}
    shown = set()
    for dataset in data.values():
        names = dataset.class_names
        wanted = [n for n, name in enumerate(names) if name != BACKGROUND] if len(names) > 2 else [1]
        for photo in {photo.sha256: photo for photo in dataset.part(part)}.values():
            if photo.label in wanted:
                foods.setdefault(names[photo.label], []).append(photo.path)
                shown.add(photo.sha256)
            else:
                rest[photo.sha256] = photo.path
    return Kitchen(foods, [path for sha256, path in rest.items() if sha256 not in shown], part)


def lay(
    data: Mapping[str, Dataset], folder: Path, *, seed: int, beside: Mapping[str, Dataset] | None = None
) -> Generator[Progress, None, dict[str, Dataset]]:
    """Yield progress and return the datasets with windows of trays as their part ``tray``, whose files are in a folder.

    The trays are made of training photos alone; the foods of the datasets ``beside`` lie on them too. A window counts
    for an item when it shows it, and against it when there is none of it; of several classes only windows that show a
    single one can be learned from.
    """
    kitchen = kitchen_of({**(beside or {}), **data}, "train")
    total = min(LESSONS, kitchen.size)
    make_folder(folder)
    found: dict[str, list[Photo]] = {item: [] for item in data}
    for number, tray in enumerate(composites(kitchen, total, seed=seed)):
        rng = np.random.default_rng((seed, number, 1))
        for n, lesson in enumerate(lessons(tray, rng, windows=windows(*tray.image.size)[1:], most=PER_TRAY)):
            jpeg = to_jpeg(tray.image.crop(lesson.box), quality=92)
            path = folder / f"{number:04}-{n:02}.jpg"
            path.write_bytes(jpeg)
            sha256 = hashlib.sha256(jpeg).hexdigest()
            for item, dataset in data.items():
                label = _label(dataset.class_names, lesson)
                if label is not None:
                    found[item].append(Photo(path, label, "tray", sha256))
        yield Progress("lay trays", number + 1, total)
    return {item: replace(one, photos=(*one.photos, *found[item])) for item, one in data.items()}


def _label(names: Sequence[str], lesson: Lesson) -> int | None:
    """Return what a window teaches a classifier of some classes, or None where it teaches nothing."""
    if len(names) == 2:
        return None if names[1] in lesson.unclear else int(names[1] in lesson.shows)
    if len(lesson.shows) == 1 and not lesson.unclear:
        return names.index(next(iter(lesson.shows)))
    return None


def choose(run: Run, kitchen: Kitchen, *, seed: int, known: Look | None = None) -> Generator[Progress, None, Look]:
    """Yield progress and return the look that says best what lies on trays of validation photos.

    Where the run is to reach a precision, each item's threshold reaches it on these trays; elsewhere it is a half.
    A look that is ``known`` stays as it is for the items that it was chosen for, and the others are fitted to it.
    """
    labels = labels_on_trays(run)
    odds, truth = [], []
    total = min(TRAYS, kitchen.size)
    for done, tray in enumerate(composites(kitchen, total, seed=seed), start=1):
        odds.append(log_odds(run, cut(tray.image, windows(*tray.image.size), run.image_size).pixels))
        truth.append([item in tray.names for item in labels])
        yield Progress("look at trays", done, total)
    lies = np.array(truth)
    if known:
        look = _fitted(known, odds, lies, labels)
    else:
        tried = {sharpness: np.array([pooled(one, sharpness) for one in odds]) for sharpness in SHARPNESSES}
        sharpness = max(tried, key=lambda one: mean_average_precision(tried[one], lies))
        slope, offsets = _calibrated(tried[sharpness], lies)
        look = Look(sharpness=sharpness, slope=slope, offsets=dict(zip(labels, offsets.tolist(), strict=True)))
    precision = run.config.get("wanted_precision")
    if precision is None:
        return look
    chances = np.array([probabilities(one, look, labels) for one in odds])
    both = np.stack([1 - chances, chances], axis=2)
    found = {item: threshold(both[:, n], lies[:, n], precision=precision) for n, item in enumerate(labels)}
    return replace(look, thresholds={**found, **look.thresholds})


@dataclass(frozen=True, slots=True)
class Laid:
    """A tray whose items are known: its windows, and where each item lies, if that is known."""

    name: str
    names: frozenset[str]
    windows: Windows
    places: tuple[Portion, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What a run said about a tray whose items are known."""

    laid: Laid
    said: dict[str, float]
    """The items that the run lists, with their probabilities."""


def laid(run: Run, trays: Iterable[Composite]) -> Iterator[Laid]:
    """Yield trays that were put together as a run looks at them."""
    scales = look_of(run).scales
    for number, tray in enumerate(trays, start=1):
        found = cut(tray.image, windows(*tray.image.size, scales), run.image_size)
        yield Laid(f"tray {number}", tray.names, found, tray.portions)


def judge(
    run: Run, kitchen: Kitchen, n: int, *, foods: tuple[int, int] = (2, 6), seed: int = 0
) -> Generator[Progress, None, TrayScores]:
    """Yield progress and return how well a run lists what lies on ``n`` trays made of some photos."""
    told = f"{foods[0]} to {foods[1]}" if foods[0] < foods[1] else str(foods[0])
    trays = composites(kitchen, n, foods=foods, seed=seed)
    scores, _ = yield from score(run, laid(run, trays), n, foods=told, judged_on=kitchen.part)
    return scores


def score(
    run: Run, trays: Iterable[Laid], n: int, *, foods: str, judged_on: str
) -> Generator[Progress, None, tuple[TrayScores, list[Told]]]:
    """Yield progress and return how well a run lists what lies on ``n`` trays, and the worst of its lists."""
    look = look_of(run)
    labels = labels_on_trays(run)
    least = np.array([look.thresholds.get(item, 0.5) for item in labels])
    said, alone, truth, places = [], [], [], []
    worst: list[tuple[int, int, Told]] = []
    for done, tray in enumerate(trays, start=1):
        odds = log_odds(run, tray.windows.pixels)
        said.append(probabilities(odds, look, labels))
        alone.append(1 / (1 + np.exp(-odds[0])))
        truth.append([item in tray.names for item in labels])
        for portion in tray.places:
            column = labels.index(portion.name)
            if said[-1][column] >= least[column]:
                places.append(_hits(place(tray.windows.boxes, odds[:, column]), portion.box))
        listed = said[-1] >= least
        wrong = int((listed != truth[-1]).sum())
        if wrong:
            chances = zip(labels, said[-1].tolist(), listed, strict=True)
            # The whole is enough to be shown.
            kept = replace(tray, windows=replace(tray.windows, pixels=tray.windows.pixels[:1].copy()))
            worst.append((-wrong, done, Told(kept, {item: chance for item, chance, is_ in chances if is_})))
            worst = sorted(worst, key=lambda one: one[:2])[:WORST]
        yield Progress("judge trays", done, n)
    if not truth:
        raise NotEnoughImages(f"Expected trays that can be read in {judged_on}. Received: none.")
    lies, chances_, whole = np.array(truth), np.array(said), np.array(alone)
    of_photos = {run.labels[item][-1]: threshold for item, threshold in run.thresholds.items()}
    photo_least = np.array([of_photos.get(item, 0.5) for item in labels])
    scores = TrayScores(
        n=len(lies),
        foods=foods,
        judged_on=judged_on,
        mean_average_precision=mean_average_precision(chances_, lies),
        exactly_right=float(((chances_ >= least) == lies).all(axis=1).mean()),
        found_right=float(np.mean(places)) if places else None,
        whole_alone=mean_average_precision(whole, lies),
        whole_exactly_right=float(((whole >= photo_least) == lies).all(axis=1).mean()),
    )
    return scores, [one for _, _, one in worst]


def mean_average_precision(scores: Array, truth: Array) -> float:
    """Return the mean over the columns of the average precision of scores, for those that are there and missing."""
    columns = [n for n in range(truth.shape[1]) if 0 < truth[:, n].sum() < len(truth)]
    return float(np.mean([average_precision(truth[:, n], scores[:, n]) for n in columns])) if columns else 0.0


def _hits(box: Box, portion: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return portion[0] <= x < portion[2] and portion[1] <= y < portion[3]


def _fitted(known: Look, odds: Sequence[Array], truth: Array, labels: Sequence[str]) -> Look:
    """Return a look with an offset for each item that it had none for, held near those of the others."""
    from scipy.optimize import minimize_scalar

    scores = known.slope * np.array([pooled(one, known.sharpness) for one in odds])
    usual = float(np.mean(list(known.offsets.values())))

    def best(column: Array, lies: Array) -> float:
        def loss(offset: float) -> float:
            odds = column + offset
            return float((np.logaddexp(0, odds) - lies * odds).mean() + APART * (offset - usual) ** 2)

        return float(minimize_scalar(loss).x)

    new = {item: best(scores[:, n], truth[:, n]) for n, item in enumerate(labels) if item not in known.offsets}
    return replace(known, offsets={**known.offsets, **new})


def _calibrated(scores: Array, truth: Array) -> tuple[float, Array]:
    """Return a slope for all items and an offset for each that make scores, (trays, items), the best log-odds."""
    from scipy.optimize import minimize

    def loss(parameters: Array) -> tuple[float, Array]:
        odds = parameters[0] * scores + parameters[1:]
        slack = (1 / (1 + np.exp(-odds)) - truth) / truth.size
        apart = parameters[1:] - parameters[1:].mean()
        value = (np.logaddexp(0, odds) - truth * odds).mean() + APART * (apart**2).mean()
        return value, np.concatenate([[(slack * scores).sum()], slack.sum(axis=0) + 2 * APART * apart / len(apart)])

    found = minimize(loss, np.array([1.0, *np.zeros(truth.shape[1])]), jac=True, method="L-BFGS-B")
    return float(max(found.x[0], 1e-3)), np.asarray(found.x[1:])
