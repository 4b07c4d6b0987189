"""How everything but food is drawn: cups, vegetables, people, cars, trees, houses, furniture."""

# ruff: noqa: RUF005 - outlines are numpy arrays, which "+" moves

import numpy as np

from scraper.simulator.brush import TURN, Brush, Colour, blob, box, curl, glaze, mix, ring, scatter, shade, spun, tint
from scraper.simulator.garnish import GREENS, PAINTS, WALLS, WOODS, pick, specks

SKINS: list[Colour] = [(236, 196, 164), (206, 154, 116), (150, 98, 66), (96, 62, 44)]


def cup(brush: Brush) -> None:
    """Draw a mug from the side, with or without steam."""
    rng = brush.rng
    glaze_colour, wide, tall = pick(rng, PAINTS), rng.uniform(0.55, 0.75), rng.uniform(0.6, 0.9)
    side = rng.choice([-1, 1])
    brush.fill(ring() * (wide * 1.4, 0.16) + (0.1, tall), (10, 8, 8, 100))
    if rng.random() < 0.5:
        brush.fill(ring() * (wide * 1.6, 0.2) + (0, tall), shade(glaze_colour, 0.8))
        brush.fill(ring() * (wide * 1.45, 0.16) + (0, tall - 0.03), shade(glaze_colour, 1.1))
    brush.line(ring(24) * (0.3, 0.36) + (side * wide, 0.05), 0.13, shade(glaze_colour, 0.85))
    low = wide * rng.uniform(0.6, 1.0)
    wall = np.array(
        [(-wide, -tall), (wide, -tall), (low, tall * 0.9), (low * 0.6, tall), (-low * 0.6, tall), (-low, tall * 0.9)]
    )
    for k in np.linspace(0, 1, 7):
        brush.fill(
            wall * (1 - 0.8 * k, 1) + (-0.25 * wide * k, 0), mix(shade(glaze_colour, 0.7), shade(glaze_colour, 1.15), k)
        )
    brush.fill(ring() * (wide, 0.17) + (0, -tall), shade(glaze_colour, 1.2))
    brush.fill(
        ring() * (wide * 0.9, 0.13) + (0, -tall + 0.02), pick(rng, [(66, 38, 22), (150, 100, 60), (190, 120, 40)])
    )
    if rng.random() < 0.4:
        for x in (-0.2, 0.15):
            y = np.linspace(0, -0.7, 12)
            brush.line(np.stack([x + 0.08 * np.sin(y * 9), y - tall - 0.1], axis=1), 0.07, (255, 255, 255, 60))


def vegetable(brush: Brush) -> None:
    """Draw broccoli or carrots."""
    rng = brush.rng
    if rng.random() < 0.5:
        broccoli(brush)
        return
    count = int(rng.integers(1, 5))
    for k in range(count):
        spot = brush.at(0, (k - (count - 1) / 2) * 0.36, 1, turn=rng.normal(0, 0.15))
        carrot(spot)


def broccoli(brush: Brush) -> None:
    """Draw one head of broccoli: a pale stem and a crown of green bubbles."""
    rng = brush.rng
    green = pick(rng, [(58, 110, 44), (74, 128, 50), (48, 92, 52)])
    stem = tint(rng, (158, 184, 100))
    brush.shadow(ring() * 0.9)
    for x in (-0.3, 0.0, 0.3):
        brush.line([(x * 0.4, 0.95), (x * 0.6, 0.4), (x * 1.8, -0.2)], [0.4, 0.28, 0.2], shade(stem, 1 - abs(x) * 0.5))
    for x, y in sorted(scatter(rng, 26, 0.62).tolist(), key=lambda p: p[1]):
        spot = brush.at(x * 1.4, y * 0.8 - 0.35, rng.uniform(0.2, 0.34))
        spot.ball(blob(rng, 0.1, 18), tint(rng, green, 0.1), depth=0.3, steps=4)
        specks(spot, 9, [shade(green, 1.35), shade(green, 0.7)], 0.13, 0.8)


def carrot(brush: Brush) -> None:
    """Draw one carrot with its tuft."""
    rng = brush.rng
    orange = tint(rng, (232, 122, 34), 0.06)
    along = np.linspace(-0.9, 0.95, 14)
    path = np.stack([along, rng.normal(0, 0.05) * np.cos(along * 3)], axis=1)
    width = np.interp(along, [-0.9, -0.8, -0.5, 0.95], [0.16, 0.36, 0.38, 0.03])
    brush.line(path - (0.02, -0.06), width, (10, 8, 8, 90))
    brush.line(path, width, shade(orange, 0.8))
    brush.line(path - (0, 0.03), width * 0.7, orange)
    brush.line(path - (0, 0.06), width * 0.3, shade(orange, 1.2))
    for x in rng.uniform(-0.7, 0.5, 6):
        half = float(np.interp(x, along, width)) * 0.4
        brush.line([(x, -half), (x + 0.01, half * rng.uniform(-0.4, 0.6))], 0.016, shade(orange, 0.65))
    for angle in rng.normal(np.pi, 0.35, 6):
        tip = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.4, 0.7) + (-0.85, 0)
        brush.line(np.stack([(-0.86, 0), tip * (1, 0.6), tip]), [0.06, 0.08, 0.03], pick(rng, GREENS))


def people(brush: Brush) -> None:
    """Draw one to four stylised persons, standing or as a portrait."""
    rng = brush.rng
    if rng.random() < 0.35:
        portrait(brush)
        return
    count = int(rng.integers(1, 5))
    for x in rng.permutation(np.linspace(-0.62, 0.62, count) if count > 1 else np.zeros(1)):
        person(brush.at(x + rng.normal(0, 0.06), rng.normal(0, 0.05), rng.uniform(0.85, 1.05)))


def person(brush: Brush) -> None:
    """Draw one whole person from shoe to hair."""
    rng = brush.rng
    skin, top, legs = (
        pick(rng, SKINS),
        pick(rng, PAINTS, 0.15),
        pick(rng, [(50, 60, 90), (40, 40, 44), (150, 130, 100)]),
    )
    brush.fill(ring() * (0.4, 0.07) + (0.05, 0.98), (10, 8, 8, 110))
    for side in (-1, 1):
        brush.line(
            [(side * 0.1, 0.2), (side * 0.13, 0.6), (side * rng.uniform(0.1, 0.25), 0.95)], [0.2, 0.17, 0.13], legs
        )
        hand = (side * rng.uniform(0.3, 0.5), rng.uniform(-0.6, 0.35))
        brush.line([(side * 0.2, -0.42), (side * 0.33, -0.1), hand], [0.14, 0.13, 0.1], shade(top, 0.85))
        brush.disc(*hand, 0.06, skin)
    brush.fill(box(0.48, 0.8, 0.12) + (0, -0.1), top)
    brush.fill(box(0.2, 0.76, 0.09) + (-0.08, -0.1), shade(top, 1.12))
    head(brush.at(0, -0.74, 0.2), skin)


def portrait(brush: Brush) -> None:
    """Draw head and shoulders."""
    rng = brush.rng
    skin, top = pick(rng, SKINS), pick(rng, PAINTS, 0.15)
    brush.fill(ring(40, np.pi, TURN) * (1.05, 0.75) + (0, 1.2), top)
    brush.fill(box(1.9, 1.2) + (0, 1.75), top)
    brush.fill(box(0.36, 0.6, 0.1) + (0, 0.4), shade(skin, 0.8))
    head(brush.at(0, -0.15, 0.55), skin)


def head(brush: Brush, skin: Colour) -> None:
    """Draw a head with hair and a face."""
    rng = brush.rng
    hair = pick(rng, [(40, 28, 22), (96, 62, 36), (200, 160, 90), (150, 150, 150), (130, 50, 30)], 0.1)
    if rng.random() < 0.45:
        brush.fill(blob(rng, 0.05) * (1.1, 1.35) + (0, 0.25), hair)
    brush.fill(ring() * (0.8, 1.0), skin)
    brush.fill(ring() * (0.62, 0.85) + (-0.08, 0.02), shade(skin, 1.07))
    brush.fill(ring(24, np.pi * 1.02, TURN * 0.99) * (0.86, rng.uniform(0.75, 1.05)) - (0, 0.22), hair)
    for side in (-1, 1):
        brush.fill(ring(12) * (0.13, 0.08) + (side * 0.3, -0.02), (250, 250, 250))
        brush.disc(side * 0.3, -0.02, 0.07, (50, 36, 30))
        brush.line([(side * 0.16, -0.2), (side * 0.45, -0.2)], 0.06, shade(hair, 0.8))
    brush.line([(0, 0.0), (0.07, 0.26), (-0.03, 0.27)], 0.04, shade(skin, 0.75))
    brush.line(ring(10, 0.5, 2.6) * (0.3, 0.2) + (0, 0.4), 0.08, (170, 60, 60))


def car(brush: Brush) -> None:
    """Draw a car from the side: saloon, hatchback or van."""
    rng = brush.rng
    paint, side = pick(rng, PAINTS, 0.12), rng.choice([-1.0, 1.0])
    roof = np.array(
        [
            [(-0.6, -0.1), (-0.35, -0.48), (0.3, -0.48), (0.62, -0.1)],
            [(-0.95, -0.1), (-0.85, -0.5), (0.25, -0.5), (0.6, -0.1)],
            [(-1.0, -0.1), (-0.98, -0.75), (0.5, -0.75), (0.8, -0.1)],
        ][rng.integers(3)]
    )
    flip = np.array([side, 1.0])
    brush.fill(ring() * (1.15, 0.1) + (0, 0.5), (10, 8, 8, 140))
    brush.fill(roof * flip, shade(paint, 0.85))
    centre = roof.mean(axis=0)
    glass = (roof - centre) * (0.86, 0.74) + centre + (0, 0.02)
    brush.fill(glass * flip, pick(rng, [(60, 76, 90), (150, 180, 200), (30, 36, 40)]))
    brush.fill((box(0.05, 0.5) + (centre[0], -0.3)) * flip, shade(paint, 0.85))
    body = np.array([(-1.05, -0.08), (0.6, -0.12), (1.0, 0.02), (1.08, 0.22), (1.05, 0.4), (-1.05, 0.4), (-1.1, 0.1)])
    brush.fill(body * flip, paint)
    brush.fill((body * (0.98, 0.3) + (0, -0.02)) * flip, shade(paint, 1.18))
    brush.line(np.array([(-1.0, 0.3), (1.04, 0.3)]) * flip, 0.05, shade(paint, 0.7))
    brush.fill((box(0.1, 0.1, 0.03) + (1.02, 0.12)) * flip, (250, 244, 200))
    brush.fill((box(0.07, 0.12, 0.03) + (-1.04, 0.1)) * flip, (190, 30, 30))
    for x in (-0.62, 0.64):
        brush.disc(x * side, 0.4, 0.23, (24, 24, 26))
        brush.disc(x * side, 0.4, 0.13, (170, 172, 176))
        brush.disc(x * side, 0.4, 0.05, (60, 60, 64))


def tree(brush: Brush) -> None:
    """Draw a broad-leaved tree, a conifer or a bare one."""
    rng = brush.rng
    bark, green = (
        pick(rng, [(92, 66, 44), (70, 56, 46), (200, 196, 186)]),
        pick(rng, [*GREENS, (196, 120, 40), (180, 70, 40)], 0.12),
    )
    brush.fill(ring() * (0.7, 0.08) + (0, 1.0), (10, 14, 8, 110))
    brush.line([(0, 1.02), (0.03, 0.5), (-0.02, -0.1)], [0.28, 0.18, 0.12], bark)
    kind = rng.random()
    if kind < 0.25:
        for k in range(5):
            y, wide = 0.55 - 0.34 * k, 0.72 - 0.13 * k
            x = np.linspace(-wide, wide, 9)
            skirt = np.stack([x, y + 0.07 * (np.arange(9) % 2)], axis=1)
            brush.fill(np.concatenate([skirt, [[0, y - 0.62]]]), shade(green, 0.7 + 0.08 * k))
        return
    for angle in rng.uniform(-2.6, -0.5, 9):
        tip = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.5, 0.9)
        brush.line(np.stack([(0, 0.2), tip * 0.5, tip - (0, 0.1)]), [0.1, 0.06, 0.02], bark)
    if kind < 0.35:
        for x, y in scatter(rng, 24, 0.7):
            brush.line(curl(rng, 0.5, 0.2, 6) + (x, y - 0.35), 0.02, bark)
        return
    for x, y in sorted(scatter(rng, 34, 0.62).tolist(), key=lambda p: -p[1]):
        spot = brush.at(x * 1.15, y - 0.35, rng.uniform(0.18, 0.36))
        spot.fill(blob(rng, 0.12, 22, 7), shade(tint(rng, green, 0.1), 0.8 - 0.4 * y))
        specks(spot, 9, [shade(green, 1.3), shade(green, 0.65)], 0.14, 0.9)


def building(brush: Brush) -> None:
    """Draw a house with a roof, or one to three blocks of flats."""
    rng = brush.rng
    if rng.random() < 0.45:
        block(brush.at(0, 0.1, 0.9), 1.7, 1.5, roof=True)
        return
    for x in rng.permutation(np.linspace(-0.65, 0.65, int(rng.integers(1, 4)))):
        block(brush.at(x, 0, 1), rng.uniform(0.55, 0.9), rng.uniform(1.2, 2.3), roof=False)


def block(brush: Brush, wide: float, tall: float, *, roof: bool) -> None:
    """Draw one house of the given width and height that stands on y = 1."""
    rng = brush.rng
    wall, pane = pick(rng, WALLS, 0.1), pick(rng, [(70, 90, 110), (180, 200, 214), (240, 214, 130), (50, 56, 66)])
    top = 1 - tall
    if roof:
        tiles = pick(rng, [(150, 62, 44), (90, 84, 86), (120, 90, 70)])
        brush.fill([(-wide * 0.6, top + 0.05), (0, top - rng.uniform(0.4, 0.7)), (wide * 0.6, top + 0.05)], tiles)
    brush.fill(box(wide, tall) + (0, 1 - tall / 2), wall)
    brush.fill(box(wide * 0.2, tall) + (wide * 0.4, 1 - tall / 2), shade(wall, 0.82))
    columns, rows = int(rng.integers(2, 6)), 2 if roof else int(rng.integers(4, 9))
    cell = np.array([wide / columns, (tall - 0.2) / rows])
    size = cell * rng.uniform(0.45, 0.75, 2)
    for column in range(columns):
        for row in range(rows):
            spot = box(*size) + (-wide / 2 + cell[0] * (column + 0.5), top + 0.08 + cell[1] * (row + 0.5))
            brush.fill(spot, tint(rng, pane, 0.12))
    brush.fill(box(min(0.22, wide / 4), 0.3) + (wide * rng.uniform(-0.3, 0.3), 0.85), shade(pick(rng, PAINTS), 0.7))


def table(brush: Brush) -> None:
    """Draw a table as furniture, round or long, maybe with chairs and a vase."""
    rng = brush.rng
    wood, leg = pick(rng, [*WOODS, (230, 228, 224), (50, 48, 48)], 0.1), rng.uniform(0.05, 0.12)
    round_top, depth = rng.random() < 0.4, rng.uniform(0.12, 0.26)
    brush.fill(ring() * (1.0, 0.16) + (0, 0.85), (10, 8, 8, 90))
    for side in (-1, 1):
        if rng.random() < 0.5:
            chair(brush.at(side * rng.uniform(0.75, 1.15), 0.1, 0.75), pick(rng, [*WOODS, *PAINTS]), -side)
    if round_top:
        brush.line([(0, -0.1), (0, 0.5), (0, 0.8)], [0.12, 0.1, 0.5], shade(wood, 0.6))
        top = ring() * (1, depth)
    else:
        slant = rng.uniform(0.05, 0.3)
        top = np.array([(-1 + slant, -depth), (1 - slant * 0.6, -depth), (1, depth), (-1, depth)])
        for x, y, length in (
            (-0.92, depth, 0.85),
            (0.92, depth, 0.85),
            (-0.9 + slant, 0, 0.7),
            (0.88 - slant * 0.6, 0, 0.7),
        ):
            brush.line([(x, y - 0.1), (x * 0.98, y + length)], leg, shade(wood, 0.65))
    brush.fill(top + (0, 0.08), shade(wood, 0.6))
    brush.fill(top, wood)
    with brush.only_inside(top):
        for y in np.linspace(-depth, depth, 6):
            brush.line([(-1, y), (1, y + rng.normal(0, 0.02))], 0.012, glaze(shade(wood, 0.7), 0.6))
    if rng.random() < 0.45:
        brush.ball(box(0.2, 0.36, 0.09) + (rng.uniform(-0.5, 0.5), -0.16), pick(rng, PAINTS), depth=0.3, steps=4)


def chair(brush: Brush, wood: Colour, facing: float) -> None:
    """Draw a chair from the side that faces left or right."""
    for x in (-0.35, 0.35):
        brush.line([(x, 0.3), (x * 1.1, 1.0)], 0.08, shade(wood, 0.75))
    brush.fill(box(0.85, 0.12, 0.04) + (0, 0.28), wood)
    brush.line([(-0.37 * facing, 0.3), (-0.5 * facing, -0.7)], 0.1, shade(wood, 0.9))


def fork(brush: Brush) -> None:
    """Draw a fork of unit length along x."""
    metal = tint(brush.rng, (186, 188, 192), 0.05)
    brush.line(np.array([(-1, 0.03), (0.4, 0.03), (1, 0.03)]), [0.13, 0.07, 0.2], (10, 8, 8, 90))
    brush.line([(-1, 0), (0, 0), (0.45, 0)], [0.13, 0.08, 0.06], metal)
    brush.fill(box(0.22, 0.24, 0.08) + (0.5, 0), metal)
    for y in np.linspace(-0.1, 0.1, 4):
        brush.line([(0.55, y), (1, y * 1.1)], 0.035, metal)


def knife(brush: Brush) -> None:
    """Draw a knife of unit length along x."""
    metal = tint(brush.rng, (196, 198, 204), 0.05)
    grip = pick(brush.rng, [(186, 188, 192), (40, 36, 34), (120, 76, 44)])
    brush.line([(-1, 0.04), (1, 0.04)], [0.14, 0.06], (10, 8, 8, 90))
    brush.line([(-1, 0), (-0.1, 0)], [0.15, 0.12], grip)
    brush.line([(-0.1, 0), (0.7, 0), (1, 0.03)], [0.16, 0.16, 0.02], metal)
    brush.line([(-0.1, -0.03), (0.8, -0.03)], 0.03, shade(metal, 1.2))


def spoon(brush: Brush) -> None:
    """Draw a spoon of unit length along x."""
    metal = tint(brush.rng, (188, 188, 190), 0.05)
    brush.line([(-1, 0.03), (0.5, 0.03)], [0.14, 0.08], (10, 8, 8, 90))
    brush.line([(-1, 0), (0, 0), (0.5, 0)], [0.13, 0.07, 0.07], metal)
    brush.fill(ring(20) * (0.34, 0.21) + (0.68, 0), metal)
    brush.fill(ring(20) * (0.25, 0.14) + (0.7, 0.02), shade(metal, 0.75))


def glass(brush: Brush) -> None:
    """Draw a drinking glass from above."""
    drink = pick(brush.rng, [(200, 220, 226), (226, 130, 30), (120, 40, 30), (90, 46, 26), (220, 220, 200)])
    brush.shadow(ring(), reach=0.3, strength=0.35)
    brush.fill(ring(), (235, 240, 244, 120))
    brush.fill(ring() * 0.86, (*drink, 200))
    brush.line(ring(20, 0.4, 2.2) * 0.93, 0.06, (255, 255, 255, 190))


def napkin(brush: Brush) -> None:
    """Draw a folded napkin."""
    cloth = pick(brush.rng, [(244, 242, 238), (180, 50, 46), (90, 120, 160), (120, 140, 90), (226, 190, 110)], 0.1)
    brush.shadow(box(2, 1.7), reach=0.08, strength=0.3)
    brush.fill(box(2, 1.7, 0.05), cloth)
    brush.fill([(-1, -0.85), (1, -0.85), (-1, 0.85)], shade(cloth, 0.88))
    brush.line([(-0.9, 0.6), (0.9, 0.6)], 0.06, shade(cloth, 0.75))


def shaker(brush: Brush) -> None:
    """Draw a salt shaker or a jar from above."""
    lid = pick(brush.rng, [(180, 182, 186), (200, 30, 30), (40, 40, 44), (240, 200, 60)])
    brush.shadow(ring(), reach=0.3)
    brush.ball(ring(), lid, depth=0.35, steps=5)
    specks(brush, 9, [(40, 40, 40)], 0.09, 0.5)


def phone(brush: Brush) -> None:
    """Draw a telephone that lies on the table."""
    brush.shadow(box(1.1, 2, 0.15), reach=0.1)
    brush.fill(box(1.1, 2.0, 0.16), (26, 26, 30))
    brush.fill(box(0.98, 1.86, 0.1), pick(brush.rng, [(16, 18, 26), (90, 140, 200), (230, 230, 236), (60, 110, 90)]))


def citrus(brush: Brush) -> None:
    """Draw a slice of lemon, lime or orange."""
    peel = pick(brush.rng, [(240, 206, 60), (130, 176, 60), (240, 150, 40)])
    brush.disc(0, 0, 1, peel)
    brush.disc(0, 0, 0.88, (252, 248, 226))
    for angle in np.arange(8) * TURN / 8:
        brush.fill(spun(np.array([(0.1, 0), (0.78, -0.26), (0.82, 0), (0.78, 0.26)]), angle), shade(peel, 1.1))
