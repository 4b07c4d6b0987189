"""The drawn pictures of the built-in search site: their kinds, and how a scene around one thing is composed."""

# ruff: noqa: RUF005 - outlines are numpy arrays, which "+" moves

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from scraper.simulator import foods, things
from scraper.simulator.brush import TURN, Brush, Points, blob, box, mix, scatter, tint
from scraper.simulator.garnish import GREENS, WALLS, WOODS, pick, specks
from scraper.simulator.tableware import DISHES, backdrop, nothing, plate, surface, wall

LONG_SIDE = 640  # pixels of the canvas; every picture is developed from it


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of picture: its painter, where it is seen, how it is served, and how many may lie together."""

    paint: Callable[[Brush], None]
    place: str = "table"
    dishes: tuple[str, ...] = ("plate", "plate", "tray", "board", "paper", "bare")
    most: int = 1
    turns: bool = True
    squash: float = 0.62  # how flat a low camera may make it; a ball stays round


BARE = ("bare",)

TABLE: dict[str, Kind] = {
    "pizza": Kind(foods.pizza, dishes=("plate", "plate", "tray", "board", "board", "paper", "bare"), most=2),
    "burger": Kind(foods.burger, "counter", turns=False, most=2),
    "salad": Kind(foods.salad, dishes=("bowl", "bowl", "plate", "tray")),
    "cookie": Kind(foods.cookie, most=9),
    "apple": Kind(foods.apple, most=5, squash=0.9),
    "fries": Kind(foods.fries, "counter", turns=False),
    "banana": Kind(foods.banana, most=2),
    "donut": Kind(foods.donut, most=6),
    "fried_egg": Kind(foods.fried_egg, dishes=("plate", "plate", "pan", "board", "tray"), most=3),
    "soup": Kind(foods.soup, dishes=("plate", "tray", "bare", "board")),
    "spaghetti": Kind(foods.spaghetti, dishes=("plate", "plate", "bowl", "tray", "pan")),
    "sandwich": Kind(foods.sandwich, "counter", turns=False),
    "quiche": Kind(foods.quiche),
    "frittata": Kind(foods.frittata),
    "pie": Kind(foods.pie),
    "tomato": Kind(foods.tomato, most=6, squash=0.9),
    "empty_tray": Kind(nothing, dishes=("tray",)),
    "empty_plate": Kind(nothing, dishes=("plate", "plate", "bowl")),
    "cup": Kind(things.cup, "counter", BARE, turns=False, most=2),
    "people": Kind(things.people, "outside", BARE, turns=False),
    "car": Kind(things.car, "outside", BARE, turns=False),
    "vegetable": Kind(things.vegetable, most=3),
    "tree": Kind(things.tree, "outside", BARE, turns=False, most=3),
    "building": Kind(things.building, "outside", BARE, turns=False),
    "table": Kind(things.table, "room", BARE, turns=False),
}

KINDS: tuple[str, ...] = tuple(TABLE)

EDGE_FOODS = ("salad", "cookie", "apple", "banana", "donut", "soup", "spaghetti", "tomato", "vegetable")


def draw(kind: str, seed: int, size: tuple[int, int]) -> Image.Image:
    """Return the picture of a kind with a seed (0 or more) as RGB of exactly `size` (width, height) pixels.

    The same kind, seed and aspect give the same composition at every size. Raises ValueError for an unknown kind.
    """
    if kind not in TABLE:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}. Received: {kind!r}.")
    rng = np.random.default_rng([zlib.crc32(kind.encode()), seed])
    scale = LONG_SIDE / max(size)
    image = Image.new("RGB", (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))))
    brush = Brush.on(image, rng)
    SCENES[TABLE[kind].place](brush, kind)
    finished = developed(image, rng)
    return finished if finished.size == size else finished.resize(size, Image.Resampling.BICUBIC)


def on_table(brush: Brush, kind: str) -> None:
    """Compose a view from above: surface, clutter, dish, food, and what lies in front."""
    rng = brush.rng
    camera = brush.tilted(rng.choice([0.0, rng.uniform(0, 0.35)]))
    surface(camera)
    wide, high = brush.half
    size = rng.uniform(0.42, 1.15)
    room = np.maximum(np.array([wide, high]) - size * 0.8, 0.05)
    centre = rng.uniform(-1, 1, 2) * room * 0.7
    clutter(camera, kind, centre, size, int(rng.integers(2, 8)))
    if rng.random() < 0.25:
        specks(camera, 30, [pick(rng, WOODS), pick(rng, GREENS)], 0.02, 1.2)
    if rng.random() < 0.3:
        soften(brush)
    squash = rng.uniform(TABLE[kind].squash, 1.0)
    spot = camera.at(centre[0], centre[1], size, squash=squash)
    settle(spot, kind)
    clutter(camera, kind, centre, size * 1.1, int(rng.integers(0, 2)))


def settle(spot: Brush, kind: str) -> None:
    """Draw the dish and on it one or several of the kind."""
    rng, what = spot.rng, TABLE[kind]
    DISHES[what.dishes[rng.integers(len(what.dishes))]](spot)
    count = 1 if rng.random() < 0.5 else int(rng.integers(1, what.most + 1))
    share = 1.0 if count == 1 else 1.05 / np.sqrt(count)
    places = np.zeros((1, 2)) if count == 1 else scatter(rng, count, 0.75, share * 0.8)
    for x, y in places:
        turn = rng.uniform(0, TURN) if what.turns else rng.normal(0, 0.07)
        what.paint(spot.at(x, y, 0.85 * share * rng.uniform(0.88, 1.1), turn=turn))


def on_counter(brush: Brush, kind: str) -> None:
    """Compose a view from the side: a wall, a surface, the dish seen flat, and the food standing on it."""
    rng = brush.rng
    wide, high = brush.half
    horizon = rng.uniform(-0.9, 0.25) * high
    wall(brush, horizon)
    with brush.only_inside(box(8, 4) + (0, horizon + 2)):
        surface(brush.tilted(0.45))
        brush.line([(-3, horizon), (3, horizon)], 0.03, (10, 8, 8, 80))
    size = rng.uniform(0.3, 0.82)
    x, y = rng.uniform(-0.6, 0.6) * (wide - size * 0.7), rng.uniform(-0.3, 0.5) * (1 - size * 0.5)
    for _ in range(int(rng.integers(0, 4))):
        backdrop(brush.at(rng.uniform(-wide, wide), y + size * 0.6 - rng.uniform(0.1, 0.4), rng.uniform(0.15, 0.5)))
    if rng.random() < 0.5:
        soften(brush)
    what = TABLE[kind]
    dish = what.dishes[rng.integers(len(what.dishes))]
    foot = brush.at(x, y + size * 0.8, size * 1.25, squash=rng.uniform(0.25, 0.45))
    DISHES[dish](foot)
    count = int(rng.integers(1, what.most + 1)) if rng.random() < 0.4 else 1
    for offset in np.linspace(-0.6, 0.6, count) if count > 1 else (0.0,):
        what.paint(brush.at(x + offset * size * 1.3, y, size * (0.7 if count > 1 else 1), turn=rng.normal(0, 0.06)))
    for _ in range(int(rng.integers(0, 3))):
        small_thing(brush.at(rng.uniform(-wide, wide), rng.uniform(y + size, high + 0.2), squash=0.5))


def outside(brush: Brush, kind: str) -> None:
    """Compose a view outdoors: sky, hills or houses far away, grass or street, and the thing on it."""
    rng = brush.rng
    wide, high = brush.half
    horizon = rng.uniform(-0.2, 0.6) * high
    low, top = (
        pick(rng, [(206, 220, 232), (240, 214, 180), (190, 196, 200)]),
        pick(rng, [(90, 140, 200), (150, 160, 170), (110, 120, 180), (200, 206, 212)]),
    )
    for k in np.linspace(0, 1, 10):
        brush.fill(box(2 * wide + 1, high + 1) + (0, -high + (horizon + high) * k + (high + 1) / 2), mix(top, low, k))
    for _ in range(int(rng.integers(0, 5))):
        cloud = brush.at(rng.uniform(-wide, wide), rng.uniform(-high, horizon), rng.uniform(0.15, 0.6), squash=0.4)
        cloud.fill(blob(rng, 0.3), (255, 255, 255, 130))
    for _ in range(int(rng.integers(1, 5))):
        far = brush.at(rng.uniform(-wide, wide), horizon, rng.uniform(0.3, 1.1), squash=rng.uniform(0.3, 1.2))
        shape = box(1, 2) if rng.random() < 0.4 else blob(rng, 0.12)
        far.fill(shape, mix(pick(rng, [*WALLS, *GREENS], 0.15), low, 0.35))
    ground = pick(rng, [(110, 140, 70), (120, 120, 122), (180, 164, 130), (80, 110, 60), (226, 228, 232)], 0.1)
    brush.fill(box(2 * wide + 1, 4) + (0, horizon + 2), ground)
    for y in horizon + rng.uniform(0, 1, 30) ** 2 * (high - horizon):
        brush.fill(
            blob(rng, 0.2, 14) * (rng.uniform(0.1, 0.7), 0.03) + (rng.uniform(-wide, wide), y), tint(rng, ground, 0.1)
        )
    if rng.random() < 0.5:
        soften(brush)
    what = TABLE[kind]
    count = int(rng.integers(1, what.most + 1)) if rng.random() < 0.4 else 1
    for _ in range(count):
        size = rng.uniform(0.35, 0.95) / np.sqrt(count)
        middle = max(horizon + (high - horizon) * rng.uniform(0.1, 0.7) - size * 0.85, size * 0.92 - high)
        what.paint(brush.at(rng.uniform(-0.8, 0.8) * max(wide - size * 0.7, 0.1), middle, size))


def in_room(brush: Brush, kind: str) -> None:
    """Compose a view indoors: a wall with pictures or a window, a floor, and the furniture."""
    rng = brush.rng
    wide, high = brush.half
    horizon = rng.uniform(0.0, 0.5) * high
    wall(brush, horizon)
    with brush.only_inside(box(8, 4) + (0, horizon + 2)):
        surface(brush.tilted(0.6))
    size = rng.uniform(0.45, 1.0)
    x = rng.uniform(-0.7, 0.7) * max(wide - size * 0.8, 0.1)
    TABLE[kind].paint(brush.at(x, rng.uniform(0.0, 0.3) + (horizon - 0.2) * 0.4, size))


SCENES: dict[str, Callable[[Brush, str], None]] = {
    "table": on_table,
    "counter": on_counter,
    "outside": outside,
    "room": in_room,
}

CLUTTER: list[tuple[Callable[[Brush], None], float]] = [
    (things.fork, 0.5),
    (things.knife, 0.55),
    (things.spoon, 0.45),
    (things.glass, 0.3),
    (things.napkin, 0.4),
    (things.shaker, 0.16),
    (things.phone, 0.35),
    (things.citrus, 0.18),
]


def small_thing(brush: Brush) -> None:
    """Draw one thing from the clutter of a table in its own size and turn."""
    paint, size = CLUTTER[brush.rng.integers(len(CLUTTER))]
    paint(brush.at(0, 0, size * brush.rng.uniform(0.7, 1.3), turn=brush.rng.uniform(0, TURN)))


def place_clutter(brush: Brush, place: Points, kind: str) -> None:
    """Put one small thing, or an edge of another food, at a place."""
    rng = brush.rng
    if rng.random() < 0.88:
        small_thing(brush.at(place[0], place[1]))
        return
    other = EDGE_FOODS[rng.integers(len(EDGE_FOODS))]
    if other == kind:
        return
    outward = 1.05 * place / max(float(np.abs(place / brush.half).max()), 1e-6)
    spot = brush.at(outward[0], outward[1], rng.uniform(0.25, 0.5))
    if rng.random() < 0.5:
        plate(spot)
    TABLE[other].paint(spot.at(0, 0, 0.85, turn=rng.uniform(0, TURN)))


def clutter(brush: Brush, kind: str, centre: Points, size: float, count: int) -> None:
    """Put small things around the place where the dish will stand."""
    rng = brush.rng
    for _ in range(count):
        place = rng.uniform(-1.05, 1.05, 2) * brush.half
        if np.hypot(*(place - centre)) > size * 0.9:
            place_clutter(brush, place, kind)


def soften(brush: Brush) -> None:
    """Blur what has been drawn so far, as a lens does behind the thing in focus."""
    small = brush.image.reduce(4).filter(ImageFilter.GaussianBlur(brush.rng.uniform(0.5, 2.0)))
    brush.image.paste(small.resize(brush.image.size, Image.Resampling.BICUBIC))


def light_field(rng: np.random.Generator, shape: tuple[int, int]) -> Points:
    """Return light (rows, columns, 3) around 1: exposure, direction, colour temperature, vignette, soft stains."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    angle = rng.uniform(0, TURN)
    field = rng.uniform(0.85, 1.3) * (1 + rng.uniform(0, 0.38) * (np.cos(angle) * x + np.sin(angle) * y))
    field *= 1 - rng.uniform(0, 0.22) * (x * x + y * y)
    stains = rng.normal(0, rng.uniform(0.02, 0.14), (5, 6)).astype(np.float32)
    field *= 1 + np.asarray(Image.fromarray(stains).resize(shape[::-1], Image.Resampling.BICUBIC))
    warm = rng.normal(0, 0.07)
    colour: Points = np.array([1 + warm, 1 + rng.normal(0, 0.015), 1 - warm])
    return np.asarray(field[..., None] * colour)


def developed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture as a camera keeps it: its own sharpness, light, grain, and sometimes JPEG marks."""
    sharpness = rng.uniform(0.5, 1.0)
    image = image.resize((round(image.width * sharpness), round(image.height * sharpness)), Image.Resampling.BILINEAR)
    field = light_field(rng, (24, 32)) * (1 + rng.normal(0, rng.uniform(0, 0.03), (24, 32, 1)))
    dim = Image.fromarray(np.clip(field * 127, 0, 255).astype(np.uint8)).resize(image.size, Image.Resampling.BILINEAR)
    lit = np.asarray(image, dtype=np.uint16) * np.asarray(dim, dtype=np.uint16) >> 7
    strength = int(rng.integers(0, 8))
    grain = rng.integers(-strength, strength + 1, (image.height, image.width, 1), dtype=np.int16)
    image = Image.fromarray(np.clip(lit.astype(np.int16) + grain, 0, 255).astype(np.uint8))
    if rng.random() < 0.2:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=int(rng.integers(25, 60)))
        image = Image.open(stream).convert("RGB")
    return image
