"""The drawn pictures of the built-in search site: their kinds, and how a scene around one thing is composed."""

# ruff: noqa: RUF005 - outlines are numpy arrays, which "+" moves

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageFilter

from scraper.simulator import foods, things
from scraper.simulator.brush import (
    TURN,
    Brush,
    Colour,
    Points,
    blob,
    box,
    curl,
    glaze,
    mix,
    ring,
    scatter,
    shade,
    spun,
    tint,
)
from scraper.simulator.foods import pick
from scraper.simulator.things import PAINTS, WALLS, WOODS

LONG_SIDE = 640  # pixels of the canvas; every picture is developed from it
PLAIN: list[Colour] = [
    (236, 234, 230),
    (170, 78, 74),
    (64, 92, 130),
    (206, 190, 150),
    (90, 120, 90),
    (50, 48, 50),
    (150, 146, 140),
    (206, 166, 172),
    (110, 92, 110),
]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of picture: its painter, where it is seen, how it is served, and how many may lie together."""

    paint: Callable[[Brush], None]
    place: str = "table"
    dishes: tuple[str, ...] = ("plate", "plate", "tray", "board", "paper", "bare")
    most: int = 1
    turns: bool = True
    squash: float = 0.62  # how flat a low camera may make it; a ball stays round


def nothing(_brush: Brush) -> None:
    """Draw nothing: the dish is the picture."""


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


# --- scenes --------------------------------------------------------------------------------------------------------


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
        foods.specks(camera, 30, [pick(rng, WOODS), pick(rng, foods.GREENS)], 0.02, 1.2)
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
        far.fill(shape, mix(pick(rng, [*WALLS, *foods.GREENS], 0.15), low, 0.35))
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


# --- surfaces ------------------------------------------------------------------------------------------------------


def surface(brush: Brush) -> None:
    """Cover the whole picture with one of the table tops, turned at random."""
    rng = brush.rng
    SURFACES[rng.integers(len(SURFACES))](brush.at(0, 0, rng.uniform(0.8, 1.6), turn=rng.uniform(0, TURN)))


def planks(brush: Brush) -> None:
    """Draw wooden boards with grain."""
    rng = brush.rng
    wood, spread = pick(rng, WOODS, 0.15), rng.uniform(0.02, 0.16)
    edges = np.cumsum(rng.uniform(0.25, 0.6, 14)) - 2.8
    brush.fill(box(8, 8), wood)
    for low, top in pairwise(edges):
        colour = tint(rng, wood, spread)
        brush.fill([(-4, low), (4, low), (4, top), (-4, top)], colour)
        for y in rng.uniform(low, top, 2):
            x = np.linspace(-3, 3, 9)
            grain = np.stack([x, y + rng.normal(0, 0.012, 9)], axis=1)
            brush.line(grain, rng.uniform(0.005, 0.03), glaze(shade(colour, 0.75), 0.5))
        brush.line([(-4, top), (4, top)], 0.02, shade(colour, 0.5))


def check(brush: Brush) -> None:
    """Draw a checked or striped cloth."""
    rng = brush.rng
    cloth = pick(rng, [(246, 244, 238), (226, 216, 196), (70, 80, 100)])
    brush.fill(box(8, 8), cloth)
    step, stripe = rng.uniform(0.2, 0.7), glaze(pick(rng, PLAIN, 0.1), rng.uniform(0.3, 0.6))
    for turned in (0.0, TURN / 4) if rng.random() < 0.6 else (0.0,):
        for offset in np.arange(-3, 3, step):
            brush.fill(spun(box(7, step * 0.5) + (0, offset), turned), stripe)


def marble(brush: Brush) -> None:
    """Draw stone with veins."""
    rng = brush.rng
    stone = pick(rng, [(232, 230, 226), (60, 62, 64), (206, 196, 184), (150, 156, 150)])
    brush.fill(box(8, 8), stone)
    for _ in range(12):
        vein = curl(rng, 4, 0.3, 24) + rng.uniform(-2, 2, 2)
        brush.line(
            vein, rng.uniform(0.005, 0.12, 24) * rng.uniform(0.3, 1), glaze(shade(stone, rng.choice([0.7, 1.25])), 0.4)
        )


def tiles(brush: Brush) -> None:
    """Draw square tiles with joints."""
    rng = brush.rng
    tile, step = pick(rng, PLAIN, 0.1), rng.uniform(0.4, 1.0)
    brush.fill(box(8, 8), shade(tile, rng.choice([0.6, 1.2])))
    for x in np.arange(-2.4, 2.5, step):
        for y in np.arange(-2.4, 2.5, step):
            brush.fill(box(step * 0.95, step * 0.95) + (x, y), tint(rng, tile, 0.05))


def plain(brush: Brush) -> None:
    """Draw an even top with a few large stains of tone."""
    rng = brush.rng
    colour = pick(rng, PLAIN, 0.12)
    brush.fill(box(8, 8), colour)
    for x, y in scatter(rng, 9, 2.0):
        brush.fill(
            blob(rng, 0.25) * rng.uniform(0.2, 1.2) + (x, y), glaze(shade(colour, rng.choice([0.82, 1.15])), 0.3)
        )


def terrazzo(brush: Brush) -> None:
    """Draw stone with coloured chips."""
    rng = brush.rng
    base = pick(rng, PLAIN, 0.1)
    brush.fill(box(8, 8), base)
    chips = [shade(base, 0.7), shade(base, 1.25), pick(rng, PLAIN), pick(rng, WOODS)]
    brush.spray(scatter(rng, 120, 2.2), [blob(rng, 0.25, 7) for _ in range(4)], (0.02, 0.1), chips)


SURFACES = [planks, planks, check, marble, tiles, plain, plain, terrazzo]


def wall(brush: Brush, horizon: float) -> None:
    """Draw what stands behind: a plain, panelled or tiled wall, with a window, shelf or frames."""
    rng = brush.rng
    wide, high = brush.half
    colour = pick(rng, [*WALLS, *PLAIN], 0.1)
    brush.fill(box(8, 8), colour)
    if rng.random() < 0.4:
        step = rng.uniform(0.15, 0.5)
        for x in np.arange(-wide, wide, step):
            brush.fill(box(step * 0.92, 4) + (x, -1), tint(rng, colour, 0.05))
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(-wide, wide), rng.uniform(-high, horizon)
        frame = box(rng.uniform(0.2, 0.9), rng.uniform(0.2, 1.0))
        brush.fill(frame + (x, y), shade(pick(rng, PLAIN), 0.8))
        brush.fill(frame * 0.88 + (x, y), pick(rng, [*PLAIN, (226, 236, 244)], 0.2))


def backdrop(brush: Brush) -> None:
    """Draw something that stands behind the food: a bottle, a glass, a pot."""
    rng = brush.rng
    colour = pick(rng, [*PAINTS, (60, 90, 50), (200, 220, 226)], 0.15)
    wide = rng.uniform(0.3, 0.8)
    brush.ball(box(wide * 2, 2, wide * 0.3), colour, depth=0.35, steps=4)
    if rng.random() < 0.5:
        brush.fill(box(wide * 0.7, 1.4, 0.05) + (0, -1.3), shade(colour, 0.8))


# --- dishes --------------------------------------------------------------------------------------------------------


def plate(brush: Brush) -> None:
    """Draw a plate with its rim."""
    rng = brush.rng
    china = pick(
        rng, [(246, 245, 241), (246, 245, 241), (236, 226, 206), (70, 74, 80), (120, 150, 170), (206, 120, 90)], 0.05
    )
    outer = rng.uniform(1.1, 1.45)
    shape = ring(48) if rng.random() < 0.85 else box(1.9, 1.9, 0.3)
    brush.shadow(shape * outer, reach=0.07)
    brush.fill(shape * outer, shade(china, 0.86))
    brush.fill(shape * outer * 0.98 + brush.toward_light(0.015), china)
    if rng.random() < 0.4:
        brush.fill(shape * outer * 0.92, pick(rng, PLAIN))
        brush.fill(shape * outer * 0.88, china)
    inner = outer * rng.uniform(0.7, 0.82)
    brush.fill(shape * inner, shade(china, 0.88))
    brush.fill(shape * inner * 0.98 + brush.toward_light(-0.02), shade(china, 1.02))


def bowl(brush: Brush) -> None:
    """Draw a bowl from above."""
    colour = pick(brush.rng, [(240, 238, 232), (70, 90, 120), (120, 80, 50), (60, 56, 54), (190, 200, 190)], 0.08)
    brush.shadow(ring() * 1.15, reach=0.2)
    brush.disc(0, 0, 1.15, colour)
    brush.disc(0, 0, 1.06, shade(colour, 0.6))
    brush.fill(ring() * 0.98 + brush.toward_light(-0.06), shade(colour, 0.8))


def pan(brush: Brush) -> None:
    """Draw a black pan with a handle."""
    turned = brush.at(0, 0, 1, turn=brush.rng.uniform(0, TURN))
    brush.shadow(ring() * 1.25, reach=0.1)
    turned.line([(1, 0), (2.6, 0)], [0.3, 0.22], (36, 34, 34))
    brush.disc(0, 0, 1.25, (66, 64, 64))
    brush.disc(0, 0, 1.18, (24, 23, 23))
    brush.fill(ring() * 1.06 + brush.toward_light(-0.03), (42, 40, 40))


def tray(brush: Brush) -> None:
    """Draw a canteen tray with a raised rim, sometimes with compartments."""
    rng = brush.rng
    plastic = pick(
        rng,
        [
            (150, 98, 62),
            (120, 126, 130),
            (70, 110, 80),
            (206, 110, 50),
            (60, 84, 120),
            (190, 186, 176),
            (196, 198, 202),
        ],
        0.08,
    )
    turned = brush.at(
        rng.normal(0, 0.1),
        rng.normal(0, 0.1),
        rng.uniform(1.0, 1.35),
        turn=rng.normal(0, 0.25) + rng.choice([0, TURN / 4]),
    )
    wide = rng.uniform(2.6, 3.2)
    turned.shadow(box(wide, 2.3, 0.2), reach=0.06)
    turned.fill(box(wide, 2.3, 0.22), shade(plastic, 0.75))
    turned.fill(box(wide - 0.06, 2.24, 0.2), shade(plastic, 1.15))
    turned.fill(box(wide - 0.2, 2.1, 0.16), shade(plastic, 0.8))
    turned.fill(box(wide - 0.26, 2.04, 0.14) + turned.toward_light(-0.02), plastic)
    if rng.random() < 0.35:
        for x, y, w, h in ((wide * 0.28, -0.5, 0.8, 0.8), (wide * 0.28, 0.5, 0.8, 0.8)):
            turned.fill(box(w, h, 0.12) + (x, y), shade(plastic, 0.82))
            turned.fill(box(w - 0.06, h - 0.06, 0.1) + (x, y + 0.02), shade(plastic, 1.04))
    elif rng.random() < 0.5:
        turned.fill(box(wide - 0.6, 1.6) + rng.normal(0, 0.05, 2), pick(rng, [(244, 242, 236), *PLAIN], 0.05))


def board(brush: Brush) -> None:
    """Draw a wooden board, round or square."""
    rng = brush.rng
    wood = pick(rng, WOODS, 0.1)
    turned = brush.at(0, 0, 1.2, turn=rng.uniform(0, TURN))
    shape = ring(48) if rng.random() < 0.4 else box(2.3, 1.9, 0.15)
    turned.shadow(shape, reach=0.06)
    turned.line([(0.8, 0), (1.7, 0)], 0.35, shade(wood, 0.95))
    turned.fill(shape, shade(wood, 0.75))
    turned.fill(shape * 0.98 + turned.toward_light(0.02), wood)
    for y in rng.uniform(-0.7, 0.7, 8):
        turned.line([(-0.65, y), (0, y + rng.normal(0, 0.02)), (0.65, y)], 0.014, glaze(shade(wood, 0.75), 0.6))


def paper(brush: Brush) -> None:
    """Draw a sheet of baking or wrapping paper."""
    rng = brush.rng
    turned = brush.at(0, 0, 1.15, turn=rng.uniform(0, TURN))
    sheet = box(2.3, 1.9) + rng.normal(0, 0.06, (20, 2))
    colour = pick(rng, [(240, 232, 214), (196, 160, 116), (250, 250, 248), (200, 202, 206)])
    turned.shadow(sheet, reach=0.04, strength=0.3)
    turned.fill(sheet, colour)
    for _ in range(6):
        turned.line(rng.uniform(-0.9, 0.9, (2, 2)), 0.02, glaze(shade(colour, rng.choice([0.85, 1.1])), 0.7))


DISHES: dict[str, Callable[[Brush], None]] = {
    "plate": plate,
    "bowl": bowl,
    "pan": pan,
    "tray": tray,
    "board": board,
    "paper": paper,
    "bare": nothing,
}


# --- clutter -------------------------------------------------------------------------------------------------------

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


# --- light and camera ----------------------------------------------------------------------------------------------


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
