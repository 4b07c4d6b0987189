"""Pictures of trays put together from photos: several foods on one table, each with the place where it lies."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from dataset.images import shrunk
from train.data import UNREADABLE

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom lie outside."""
Colour = tuple[int, int, int]
SIDES = (640, 480)
"""Width and height of a tray's picture; every third stands upright."""
MOST_OVERLAP = 0.25
"""Share of the smaller of two foods that the other may cover at most, by their boxes."""
TRIES = 40
SHOWN = 0.6
"""Share of a food that a window must hold to show it; or else the food fills half of the window."""
LEAST = 0.15
"""Share of a window that a food must fill to be shown."""


@dataclass(frozen=True, slots=True)
class Portion:
    """One food on a tray and where it lies."""

    name: str
    box: Box


@dataclass(frozen=True, slots=True)
class Composite:
    """A picture of a tray, and what lies on it; a later portion may lie over an earlier one."""

    image: Image.Image
    portions: tuple[Portion, ...]

    @property
    def names(self) -> frozenset[str]:
        """Return what lies on the tray."""
        return frozenset(portion.name for portion in self.portions)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A window of a tray: what it shows, and what may or may not count as shown; it shows nothing else."""

    box: Box
    shows: frozenset[str]
    unclear: frozenset[str]


@dataclass(frozen=True, slots=True)
class Kitchen:
    """The photos that trays are made from: of each food, and of what is no food of interest."""

    foods: Mapping[str, Sequence[Path]]
    clutter: Sequence[Path] = ()
    part: str = ""
    """Which photos they are."""

    @property
    def size(self) -> int:
        """Return how many photos there are."""
        return sum(map(len, self.foods.values())) + len(self.clutter)


def composites(kitchen: Kitchen, n: int, *, foods: tuple[int, int] = (2, 6), seed: int = 0) -> Iterator[Composite]:
    """Yield ``n`` trays with between ``foods[0]`` and ``foods[1]`` different foods; the same seed gives the same trays.

    Where there are fewer foods than that, each lies on half of the trays, among dishes of other things.
    """
    for number in range(n):
        yield compose(kitchen, np.random.default_rng((seed, number)), foods=foods)


def compose(kitchen: Kitchen, rng: np.random.Generator, *, foods: tuple[int, int] = (2, 6)) -> Composite:
    """Return one tray: foods on plates, in dishes or on the table itself, among cutlery and other things."""
    count = int(rng.integers(foods[0], foods[1] + 1))
    names = list(kitchen.foods)
    chosen = list(rng.permutation(names)[:count]) if count <= len(names) else [n for n in names if rng.random() < 0.5]
    width, height = SIDES if rng.random() < 2 / 3 else SIDES[::-1]
    image = _table(width, height, rng)
    taken: list[Box] = []
    clutter = int(rng.integers(0, 4))
    for _ in range(clutter):
        _lay_clutter(image, kitchen.clutter, taken, rng)
    portions = []
    others = [""] * (count - len(chosen)) if kitchen.clutter else []
    for name in [*map(str, chosen), *others]:
        photo = _photo(kitchen.foods[name] if name else kitchen.clutter, rng)
        box = _place(image.size, _side(image.size, len(chosen), rng), float(rng.uniform(0.75, 1.33)), taken, rng)
        if box and photo:
            _serve(image, photo, box, rng)
            portions += [Portion(name, box)] if name else []
    return Composite(_lit(image, rng), tuple(portions))


def _photo(paths: Sequence[Path], rng: np.random.Generator) -> Image.Image | None:
    """Return one of some photos, or None where that one can't be read."""
    try:
        return shrunk(paths[int(rng.integers(len(paths)))].read_bytes(), side=SIDES[1])
    except UNREADABLE:
        return None


def lessons(tray: Composite, rng: np.random.Generator, *, windows: Sequence[Box], most: int) -> Iterator[Lesson]:
    """Yield windows of a tray to learn from: one around each portion, not quite centred, and some by chance."""
    width, height = tray.image.size
    around = []
    for portion in tray.portions:
        left, top, right, bottom = portion.box
        side = min(max(right - left, bottom - top) * float(rng.uniform(0.7, 1.5)), width, height)
        shift = rng.uniform(-0.2, 0.2, 2) * side
        x = min(max(0.0, (left + right - side) / 2 + shift[0]), width - side)
        y = min(max(0.0, (top + bottom - side) / 2 + shift[1]), height - side)
        around.append((int(x), int(y), int(x + side), int(y + side)))
    free = rng.permutation(len(windows))[: max(0, most - len(around))]
    for box in [*around, *(windows[int(n)] for n in free)]:
        said = {portion.name: _shows(portion.box, box) for portion in tray.portions}
        yield Lesson(box, *(frozenset(name for name, one in said.items() if one is which) for which in (True, None)))


def _shows(portion: Box, window: Box) -> bool | None:
    """Tell whether a window shows a portion; None where too little of it is there to say."""
    common = shared(portion, window)
    inside, fills = common / area(portion), common / area(window)
    if (inside >= SHOWN and fills >= LEAST) or fills >= 0.5:
        return True
    return False if inside < LEAST and fills < LEAST / 3 else None


def _side(size: tuple[int, int], count: int, rng: np.random.Generator) -> float:
    """Return how large a food is, so that many still find room."""
    return float(rng.uniform(0.38, 0.62)) * min(size) * min(1.1, math.sqrt(3 / max(count, 1)))


def _place(size: tuple[int, int], side: float, ratio: float, taken: list[Box], rng: np.random.Generator) -> Box | None:
    """Return a free place for something of ``side`` pixels and a ratio of width to height; smaller if it must be."""
    for attempt in range(TRIES):
        shrink = 1 - 0.5 * attempt / TRIES
        width, height = round(side * shrink * math.sqrt(ratio)), round(side * shrink / math.sqrt(ratio))
        left = int(rng.integers(0, max(1, size[0] - width)))
        top = int(rng.integers(0, max(1, size[1] - height)))
        box = (left, top, left + width, top + height)
        if all(overlap(box, other) <= MOST_OVERLAP for other in taken):
            taken.append(box)
            return box
    return None


def overlap(one: Box, other: Box) -> float:
    """Return the share of the smaller of two boxes that the other covers."""
    return shared(one, other) / max(1, min(area(one), area(other)))


def shared(one: Box, other: Box) -> int:
    """Return how many pixels two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)


def area(box: Box) -> int:
    """Return how many pixels a box has."""
    return (box[2] - box[0]) * (box[3] - box[1])


# ---------------------------------------------------------------- how a food is served


def _serve(image: Image.Image, photo: Image.Image, box: Box, rng: np.random.Generator) -> None:
    """Paint a food into a box: on a plate, in a dish, or with soft edges on the table itself."""
    size = (box[2] - box[0], box[3] - box[1])
    way = rng.choice(["plate", "dish", "table"], p=[0.45, 0.25, 0.3])
    _shadow(image, box, round_=way != "dish")
    if way == "table":
        mask = _shape(size, rng).filter(ImageFilter.GaussianBlur(max(2, min(size) * 0.04)))
    else:
        china = tuple(int(c) for c in np.clip(rng.normal([236, 234, 228], 14), 0, 255))
        if rng.random() < 0.25:
            china = tuple(int(c) for c in rng.integers(30, 220, 3))
        outer = _ellipse(size, 0.0) if way == "plate" else _rounded(size, 0.0)
        image.paste(Image.new("RGB", size, china), box[:2], outer)
        rim = float(rng.uniform(0.03, 0.16))
        shaded = tuple(int(c * 0.88) for c in china)
        line = ImageChops.subtract(outer, _ellipse(size, rim * 0.8) if way == "plate" else _rounded(size, rim * 0.8))
        image.paste(Image.new("RGB", size, shaded), box[:2], line.point(lambda v: v // 2))
        mask = _ellipse(size, rim) if way == "plate" else _rounded(size, rim)
        mask = mask.filter(ImageFilter.GaussianBlur(1.5))
    image.paste(_cut(photo, size, rng), box[:2], mask)


def _cut(photo: Image.Image, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Return most of a photo, perhaps mirrored and turned a little, at a size."""
    if rng.random() < 0.5:
        photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    keep = float(rng.uniform(0.75, 1.0))
    angle = float(rng.uniform(-20, 20)) if rng.random() < 0.4 else 0.0
    # What is turned loses its corners.
    keep *= 1 - 0.3 * abs(math.sin(math.radians(2 * angle)))
    wide, high = photo.size
    ratio = size[0] / size[1]
    width, height = (min(wide, high * ratio) * keep, min(high, wide / ratio) * keep)
    left = (wide - width) / 2 + float(rng.uniform(-0.3, 0.3)) * (wide - width)
    top = (high - height) / 2 + float(rng.uniform(-0.3, 0.3)) * (high - height)
    if angle:
        photo = photo.rotate(angle, Image.Resampling.BILINEAR, center=(left + width / 2, top + height / 2))
    return photo.resize(size, Image.Resampling.BILINEAR, (left, top, left + width, top + height), reducing_gap=2)


def _shape(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Return the outline of a heap: round with a few soft bumps, or nearly square."""
    if rng.random() < 0.4:
        return _rounded(size, 0.05)
    turns = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    reach = np.full(72, 0.9)
    for wave in (2, 3, 5):
        reach += rng.uniform(0, 0.04) * np.cos(wave * turns + rng.uniform(0, 2 * np.pi))
    x = (1 + reach * np.cos(turns)) * size[0] / 2
    y = (1 + reach * np.sin(turns)) * size[1] / 2
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=255)
    return mask


def _ellipse(size: tuple[int, int], rim: float) -> Image.Image:
    mask = Image.new("L", size, 0)
    edge = (rim * size[0], rim * size[1])
    ImageDraw.Draw(mask).ellipse((*edge, size[0] - 1 - edge[0], size[1] - 1 - edge[1]), fill=255)
    return mask


def _rounded(size: tuple[int, int], rim: float) -> Image.Image:
    mask = Image.new("L", size, 0)
    edge = rim * min(size)
    corners = (edge, edge, size[0] - 1 - edge, size[1] - 1 - edge)
    ImageDraw.Draw(mask).rounded_rectangle(corners, radius=0.15 * min(size), fill=255)
    return mask


def _shadow(image: Image.Image, box: Box, *, round_: bool) -> None:
    size = (box[2] - box[0], box[3] - box[1])
    reach = max(4, min(size) // 12)
    mask = Image.new("L", (size[0] + 4 * reach, size[1] + 4 * reach), 0)
    draw = ImageDraw.Draw(mask)
    inside = (2 * reach, 2 * reach, 2 * reach + size[0], 2 * reach + size[1])
    (draw.ellipse if round_ else draw.rectangle)(inside, fill=110)
    mask = mask.filter(ImageFilter.GaussianBlur(reach))
    image.paste((0, 0, 0), (box[0] - 2 * reach + reach // 2, box[1] - 2 * reach + reach // 2), mask)


# ---------------------------------------------------------------- tables, light and clutter


def _table(width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """Return a bare table: wood, cloth, stone or one colour."""
    kind = rng.choice(["wood", "cloth", "stone", "plain"])
    base = rng.uniform(40, 225, 3) if kind in {"plain", "cloth"} else rng.uniform([90, 60, 30], [215, 180, 150])
    if kind == "stone":
        base = np.full(3, rng.uniform(70, 220)) + rng.normal(0, 6, 3)
    if kind == "wood":
        grain = _noise(width, height, (3, int(rng.integers(30, 90))), rng) * 30
        grain += _noise(width, height, (4, 240), rng) * 12
    elif kind == "stone":
        grain = _noise(width, height, (40, 30), rng) * 18 + rng.normal(0, 7, (height, width))
    elif kind == "cloth":
        period = int(rng.integers(24, 90))
        rows, columns = np.mgrid[:height, :width]
        checks = (rows // period % 2 + columns // period % 2) * rng.uniform(-35, 35)
        grain = checks + rng.normal(0, 4, (height, width))
    else:
        grain = _noise(width, height, (3, 3), rng) * 14 + rng.normal(0, 2, (height, width))
    pixels = np.clip(base + np.asarray(grain)[..., None], 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def _noise(width: int, height: int, cells: tuple[int, int], rng: np.random.Generator) -> Array:
    """Return smooth noise, (height, width), with so many cells across and down."""
    coarse = rng.normal(0, 1, (int(cells[1]), int(cells[0]))).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _lit(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture under a lamp: a cast of colour, brighter on one side, with a camera's noise."""
    pixels = np.asarray(image, np.float32)
    height, width = pixels.shape[:2]
    slope = rng.uniform(-0.15, 0.15, 2)
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = rng.uniform(0.82, 1.15) + slope[0] * rows + slope[1] * columns
    pixels = pixels * light[..., None] * rng.uniform(0.94, 1.06, 3)
    pixels = pixels + rng.normal(0, rng.uniform(0, 4), pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _lay_clutter(image: Image.Image, photos: Sequence[Path], taken: list[Box], rng: np.random.Generator) -> None:
    """Lay something on the table that is no food: cutlery, a napkin, a glass, or a thing from a photo."""
    kinds = ["cutlery", "napkin", "glass", *(["thing"] * 3 if len(photos) else [])]
    kind = rng.choice(kinds)
    side = float(rng.uniform(0.15, 0.3)) * min(image.size)
    ratio = float(rng.choice([0.12, 8.0])) if kind == "cutlery" else float(rng.uniform(0.8, 1.25))
    box = _place(image.size, side, ratio, taken, rng)
    if box is None:
        return
    size = (box[2] - box[0], box[3] - box[1])
    if kind == "thing":
        photo = _photo(photos, rng)
        if photo:
            mask = _shape(size, rng).filter(ImageFilter.GaussianBlur(2))
            image.paste(_cut(photo, size, rng), box[:2], mask)
        return
    _shadow(image, box, round_=kind == "glass")
    draw = ImageDraw.Draw(image)
    edges = (box[0], box[1], box[2] - 1, box[3] - 1)
    if kind == "cutlery":
        metal = int(rng.integers(140, 215))
        draw.rounded_rectangle(edges, radius=min(size) / 2, fill=(metal, metal, metal + 8))
        end = (box[0], box[1], box[0] + 2 * min(size), box[1] + 2 * min(size))
        draw.ellipse(end, fill=(metal - 12, metal - 12, metal - 4))
    elif kind == "napkin":
        draw.rectangle(edges, fill=tuple(int(c) for c in rng.integers(120, 250, 3)))
        draw.line((box[0], box[1], box[2], box[3]), fill=(150, 150, 150))
    else:
        drink = tuple(int(c) for c in rng.integers(40, 235, 3))
        draw.ellipse(edges, fill=(225, 230, 232))
        inset = max(2, min(size) // 10)
        draw.ellipse((box[0] + inset, box[1] + inset, box[2] - inset, box[3] - inset), fill=drink)
