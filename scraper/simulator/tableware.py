"""What food lies on and stands before: table tops, walls, dishes."""

# ruff: noqa: RUF005 - outlines are numpy arrays, which "+" moves

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from scraper.simulator.brush import TURN, Brush, Colour, blob, box, curl, glaze, ring, scatter, shade, spun, tint
from scraper.simulator.garnish import PAINTS, WALLS, WOODS, pick

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


def nothing(_brush: Brush) -> None:
    """Draw nothing: the dish is the picture."""


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
