"""How each food is drawn: a painter fills about the unit circle of the brush that it gets."""

# ruff: noqa: RUF005 - outlines are numpy arrays, which "+" moves

from collections.abc import Callable

import numpy as np

from scraper.simulator.brush import (
    TURN,
    Brush,
    Colour,
    Points,
    annulus,
    blob,
    box,
    curl,
    frill,
    glaze,
    mix,
    ribbon,
    ring,
    scatter,
    shade,
    spun,
    tint,
    wedge,
)
from scraper.simulator.garnish import (
    BRIGHT,
    CRUSTS,
    GREENS,
    basil,
    crouton,
    cucumber,
    egg_half,
    ham,
    leaf,
    mushroom,
    olive,
    onion_ring,
    patches,
    pepper_arc,
    pepperoni,
    pick,
    specks,
    sprinkles,
    strew,
    tomato_slice,
)

ICINGS: list[Colour] = [
    (236, 140, 170),
    (84, 48, 30),
    (250, 246, 236),
    (120, 190, 220),
    (190, 150, 220),
    (226, 178, 84),
]


def served(brush: Brush, cover: Callable[[Brush], None], *, whole: float = 0.6, slice_of: float = 0.2) -> None:
    """Draw a round dish whole, as one slice that lies in the middle, or with a piece missing."""
    rng = brush.rng
    start, chance = rng.uniform(0, TURN), rng.random()
    if chance < whole:
        brush.shadow(ring(), reach=0.08)
        cover(brush)
        return
    width = TURN * rng.uniform(0.6, 0.9)
    if chance < whole + slice_of:
        width = rng.uniform(0.7, 1.1)
        middle = start + width / 2
        brush = brush.at(-np.cos(middle), -np.sin(middle), 1.6)
    part = wedge(start, start + width)
    brush.shadow(part, reach=0.06)
    brush.fill(part + brush.toward_light(-0.05), (120, 78, 40))
    with brush.only_inside(part * 1.3):
        cover(brush)


TOPPINGS: list[list[tuple[Callable[[Brush], None], float]]] = [
    [],
    [(basil, 0.13), (tomato_slice, 0.16)],
    [(pepperoni, 0.15)],
    [(pepperoni, 0.13), (olive, 0.09), (pepper_arc, 0.1)],
    [(mushroom, 0.12), (ham, 0.1)],
    [(mushroom, 0.13), (basil, 0.1)],
    [(pepper_arc, 0.12), (onion_ring, 0.13), (olive, 0.09), (tomato_slice, 0.13)],
    [(ham, 0.1), (olive, 0.08)],
    [(basil, 0.12), (olive, 0.09), (onion_ring, 0.12)],
]


def pizza_top(brush: Brush) -> None:
    """Draw the whole round of a pizza."""
    rng = brush.rng
    crust, cheese = pick(rng, CRUSTS), tint(rng, (238, 194, 96), 0.07)
    sauce = pick(rng, [(186, 58, 28), (170, 44, 26), (205, 84, 36)])
    rim = rng.uniform(0.08, 0.2)
    brush.ball(blob(rng, 0.025), crust, depth=0.3, steps=4)
    specks(brush, int(rng.integers(0, 40)), [shade(crust, 0.55), shade(crust, 0.75)], 0.05, 1.0)
    brush.fill(blob(rng, 0.03) * (1 - rim * 0.8), sauce)
    brush.fill(blob(rng, 0.06) * (0.96 - rim), mix(cheese, sauce, rng.uniform(0, 0.5)))
    patches(brush, int(rng.integers(10, 34)), [shade(cheese, 1.15), (250, 232, 180), sauce, (196, 120, 50)], 0.17, 0.7)
    for piece, size in TOPPINGS[rng.integers(len(TOPPINGS))]:
        strew(brush, piece, size * rng.uniform(0.85, 1.25), int(rng.integers(5, 16)))
    if rng.random() < 0.4:
        specks(brush, 24, [(60, 90, 30), (120, 60, 30)], 0.025)
    if rng.random() < 0.5:
        for angle in rng.uniform(0, 1) + np.arange(rng.choice([3, 4])) * np.pi / rng.choice([3, 4]):
            brush.line(
                spun(np.array([[-1, 0], [0, rng.normal(0, 0.02)], [1, 0]]), angle), 0.02, glaze((90, 40, 20), 0.7)
            )


def pizza(brush: Brush) -> None:
    """Draw a pizza: whole, with slices missing, or one slice."""
    served(brush, pizza_top, whole=0.5, slice_of=0.28)


def quiche_top(brush: Brush) -> None:
    """Draw the whole round of a quiche: fluted crust, smooth yellow custard, browned spots."""
    rng = brush.rng
    crust, custard = pick(rng, CRUSTS), pick(rng, [(236, 196, 92), (226, 176, 84), (242, 212, 130)])
    brush.fill(frill(int(rng.integers(24, 44)), 0.03), shade(crust, 0.85))
    brush.fill(frill(int(rng.integers(24, 44)), 0.02) * 0.93, shade(crust, 1.1))
    brush.ball(blob(rng, 0.01) * 0.86, custard, depth=0.12, steps=4)
    patches(brush, int(rng.integers(6, 24)), [(170, 96, 36), (200, 130, 56)], rng.uniform(0.1, 0.3))
    if rng.random() < 0.5:
        specks(brush, int(rng.integers(10, 50)), [(84, 120, 50), (110, 140, 60)], 0.03)
    if rng.random() < 0.4:
        specks(brush, 14, [(214, 140, 124), (226, 160, 150)], 0.07)


def quiche(brush: Brush) -> None:
    """Draw a quiche: whole, cut, or one slice."""
    served(brush, quiche_top, whole=0.45, slice_of=0.3)


def frittata_top(brush: Brush) -> None:
    """Draw the whole round of a frittata: uneven egg without any crust, browned, with herbs or potato in it."""
    rng = brush.rng
    egg = pick(rng, [(232, 190, 76), (222, 170, 60), (240, 206, 110)])
    brush.ball(blob(rng, 0.03), egg, depth=0.28, steps=5)
    patches(brush, int(rng.integers(20, 40)), [(176, 104, 36), (250, 224, 140), (204, 146, 50)], 0.2, 0.9)
    if rng.random() < 0.6:
        strew(brush, lambda b: b.fill(blob(rng, 0.2, 10), glaze(pick(rng, GREENS), 0.8)), 0.06, 22, 0.85)
    if rng.random() < 0.5:
        strew(brush, lambda b: b.fill(blob(rng, 0.1, 12), glaze((246, 226, 160), 0.7)), 0.14, 10, 0.8)


def frittata(brush: Brush) -> None:
    """Draw a frittata, sometimes in its black pan."""
    if brush.rng.random() < 0.35:
        brush.shadow(ring() * 1.15)
        brush.line([(1, 0), (2.4, 0)], 0.25, (34, 32, 32))
        brush.disc(0, 0, 1.16, (52, 50, 50))
        brush.disc(0, 0, 1.08, (28, 27, 27))
        frittata_top(brush)
        return
    served(brush, frittata_top, whole=0.5, slice_of=0.25)


def pie_top(brush: Brush) -> None:
    """Draw the whole round of a pie: fluted rim over fruit, with a lattice, a lid with vents, or crumble."""
    rng = brush.rng
    crust = pick(rng, CRUSTS)
    fruit = pick(rng, [(140, 20, 34), (58, 34, 84), (206, 140, 60), (180, 60, 40), (120, 70, 40)])
    brush.fill(frill(int(rng.integers(18, 34)), 0.045), shade(crust, 0.9))
    brush.fill(ring() * 0.86, fruit)
    specks(brush, 40, [shade(fruit, 1.4), shade(fruit, 0.7)], 0.08)
    kind = rng.random()
    if kind < 0.55:
        with brush.only_inside(ring() * 0.9):
            for turned in (0.0, TURN / 4):
                for offset in np.linspace(-0.75, 0.75, int(rng.integers(4, 7))):
                    strip = spun(ribbon([(-1, offset), (1, offset)], 0.14), turned)
                    brush.fill(strip + (0.015, 0.02), shade(crust, 0.6))
                    brush.fill(strip, tint(rng, shade(crust, 1.1), 0.04))
    elif kind < 0.85:
        brush.ball(ring() * 0.88, shade(crust, 1.05), depth=0.25, steps=5)
        for angle in np.arange(5) * TURN / 5:
            brush.line(
                spun(np.array([[0.2, 0], [0.36, 0.03], [0.55, 0]]), angle), [0.01, 0.06, 0.01], shade(fruit, 0.8)
            )
    else:
        specks(brush, 110, [crust, shade(crust, 1.2), shade(crust, 0.8)], 0.1)


def pie(brush: Brush) -> None:
    """Draw a pie: whole, cut, or one slice."""
    served(brush, pie_top, whole=0.55, slice_of=0.25)


def tomato(brush: Brush) -> None:
    """Draw a tomato with its green star, or a cut one."""
    rng = brush.rng
    colour = pick(rng, [(206, 40, 26), (222, 70, 34), (186, 28, 24), (230, 110, 40)])
    brush.shadow(ring(), reach=0.2)
    if rng.random() < 0.22:
        brush.disc(0, 0, 1, shade(colour, 0.7))
        tomato_slice(brush.at(0, 0, 0.96))
        return
    brush.ball(blob(rng, 0.035, waves=3) * (1.0, 0.92), colour)
    hub = brush.at(rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3), 0.45, turn=rng.uniform(0, TURN))
    for angle in np.arange(5) * TURN / 5 + rng.normal(0, 0.15, 5):
        hub.fill(spun(leaf(0.55, 0.14) + (0.5, 0), angle), pick(rng, GREENS))
    hub.disc(0, 0, 0.16, (90, 120, 50))
    brush.fill(blob(rng, 0.2, 12) * 0.14 + brush.toward_light(0.62), (255, 255, 255, 170))


def burger(brush: Brush) -> None:
    """Draw a burger from the side, layer on layer."""
    rng = brush.rng
    bun, wide = pick(rng, [(206, 138, 66), (188, 116, 52), (222, 164, 92)]), rng.uniform(0.85, 1.05)
    brush.fill(ring() * (1.1, 0.2) + (0, 0.82), (10, 8, 8, 110))
    brush.ball(box(1.8 * wide, 0.42, 0.18) + (0, 0.62), bun, depth=0.3, steps=5)
    layers = [patty, patty, cheese_sheet, lettuce_frill, tomato_sheet, onion_sheet]
    chosen = [patty, *(layers[i] for i in rng.permutation(len(layers))[: rng.integers(2, 6)])]
    rise = 0.42
    for layer in chosen:
        rise = layer(brush.at(rng.normal(0, 0.02), rise, wide), rise)
    dome = ring(30, np.pi, TURN) * (0.98 * wide, rng.uniform(0.55, 0.8)) + (0, rise + 0.08)
    brush.ball(np.concatenate([dome, [[0.9 * wide, rise + 0.16], [-0.9 * wide, rise + 0.16]]]), bun, depth=0.0, steps=1)
    for k in np.linspace(0.1, 0.8, 6):
        brush.fill((dome - (0, rise)) * (1 - k * 0.8) + (-0.12 * k, rise - 0.2 * k), mix(bun, shade(bun, 1.3), k))
    if rng.random() < 0.75:
        for x, y in scatter(rng, 26, 0.8, 0.1):
            brush.fill(ring(8) * (0.05, 0.03) + (x * wide * 0.85, rise - 0.33 + y * 0.22), (248, 230, 186))


def patty(brush: Brush, rise: float) -> float:
    """Draw the meat and return where the next layer lies."""
    colour = tint(brush.rng, (92, 54, 34), 0.1)
    brush.fill(box(1.88, 0.32, 0.14) + brush.rng.normal(0, 0.012, (20, 2)), colour)
    brush.fill(box(1.8, 0.12, 0.06) + (0, -0.07), shade(colour, 1.25))
    return rise - 0.24


def cheese_sheet(brush: Brush, rise: float) -> float:
    """Draw a sheet of cheese with hanging corners."""
    drip = brush.rng.uniform(0.05, 0.34, 7)
    x = np.linspace(-0.98, 0.98, 7)
    low = np.stack([x, drip * (np.arange(7) % 2)], axis=1)
    brush.fill(np.concatenate([low, [[0.98, -0.08], [-0.98, -0.08]]]), tint(brush.rng, (246, 184, 50)))
    return rise - 0.08


def lettuce_frill(brush: Brush, rise: float) -> float:
    """Draw the wavy edge of a leaf."""
    x = np.linspace(-1.08, 1.08, 40)
    wave = np.stack([x, 0.07 * np.sin(x * brush.rng.uniform(14, 22)) + brush.rng.normal(0, 0.02, 40)], axis=1)
    colour = pick(brush.rng, GREENS)
    brush.line(wave, 0.2, colour)
    brush.line(wave - (0, 0.03), 0.07, shade(colour, 1.3))
    return rise - 0.13


def tomato_sheet(brush: Brush, rise: float) -> float:
    """Draw slices of tomato from the side."""
    for x in (-0.48, 0.45):
        brush.fill(box(0.9, 0.16, 0.08) + (x, 0), tint(brush.rng, (206, 48, 34)))
    return rise - 0.12


def onion_sheet(brush: Brush, rise: float) -> float:
    """Draw rings of onion from the side."""
    for x in brush.rng.uniform(-0.7, 0.7, 3):
        brush.fill(box(0.6, 0.09, 0.04) + (x, 0), tint(brush.rng, (226, 200, 220)))
    return rise - 0.06


def sandwich(brush: Brush) -> None:
    """Draw a sandwich: one or two cut triangles seen from the side, a toast square, or a long roll."""
    rng = brush.rng
    bread = pick(rng, [(226, 186, 124), (196, 148, 90), (240, 214, 164)])
    shape = rng.random()
    if shape < 0.4:
        for x in rng.permutation([-0.3, 0.42])[: rng.integers(1, 3)]:
            triangle(brush.at(x, 0, 0.85 if rng.random() < 0.5 else 0.75), bread)
        return
    wide = 0.95 if shape < 0.7 else 1.25
    brush.fill(ring() * (1.1 * wide, 0.16) + (0, 0.5), (10, 8, 8, 110))
    corner = 0.08 if shape < 0.7 else 0.2
    brush.ball(box(2 * wide, 0.42, corner) + (0, 0.35), bread, depth=0.25, steps=4)
    rise = 0.14
    for layer in rng.permutation(np.array([cheese_sheet, lettuce_frill, tomato_sheet, ham_sheet], dtype=object)):
        rise = layer(brush.at(0, rise, wide), rise)
    brush.ball(box(2 * wide, 0.46, corner * 1.1) + (0, rise - 0.12), shade(bread, 1.06), depth=0.25, steps=4)
    specks(brush.at(0, rise - 0.14, 1, squash=0.25), 16, [shade(bread, 0.7), shade(bread, 1.2)], 0.06, 0.9)


def ham_sheet(brush: Brush, rise: float) -> float:
    """Draw folded ham from the side."""
    x = np.linspace(-0.95, 0.95, 16)
    brush.line(np.stack([x, 0.03 * np.sin(x * 11)], axis=1), 0.12, tint(brush.rng, (230, 140, 136)))
    return rise - 0.09


def triangle(brush: Brush, bread: Colour) -> None:
    """Draw one cut triangle: crumb, filling, crumb, seen on its cut face."""
    rng = brush.rng
    tip = np.array([[-0.95, 0.75], [0.95, 0.75], [rng.normal(0, 0.3), -0.8]])
    brush.fill(tip * 1.05 + (0.05, 0.06), (10, 8, 8, 100))
    brush.fill(tip * 1.05, shade(bread, 0.7))
    with brush.only_inside(tip):
        brush.fill(box(4, 4), shade(bread, 1.12))
        specks(brush, 40, [shade(bread, 0.95), shade(bread, 1.2)], 0.05, 1.0)
        y = 0.32
        for colour in rng.permutation([(230, 140, 136), (110, 160, 60), (246, 190, 60), (206, 48, 34)]):
            x = np.linspace(-1, 1, 16)
            brush.line(np.stack([x, y + 0.03 * np.sin(x * 12)], axis=1), 0.13, tint(rng, tuple(int(c) for c in colour)))
            y -= 0.11


def salad(brush: Brush) -> None:
    """Draw a heap of torn leaves with tomato, cucumber, onion, egg, croutons or olives in it."""
    rng = brush.rng
    brush.shadow(ring() * 0.95)
    brush.disc(0, 0, 0.9, (50, 84, 34))
    greens = [pick(rng, GREENS, 0.12) for _ in range(5)]
    if rng.random() < 0.25:
        greens.append((96, 40, 66))
    extras = [
        (tomato_slice, 0.17),
        (cucumber, 0.17),
        (onion_ring, 0.16),
        (egg_half, 0.18),
        (crouton, 0.1),
        (olive, 0.1),
    ]
    chosen = [extras[i] for i in rng.permutation(len(extras))[: rng.integers(1, 5)]]
    for reach in (0.9, 0.75, 0.6):
        for x, y in scatter(rng, 15, reach):
            spot = brush.at(x, y, rng.uniform(0.2, 0.36), turn=rng.uniform(0, TURN), squash=rng.uniform(0.5, 1))
            green = greens[rng.integers(len(greens))]
            shape = blob(rng, 0.2, 22, 8)
            spot.fill(shape * 1.08 + (0.06, 0.08), shade(green, 0.6))
            spot.fill(shape, green)
            spot.line([(-0.8, 0), (0, 0.1), (0.8, 0)], [0.12, 0.08, 0.02], shade(green, 1.4))
        for piece, size in chosen:
            strew(brush, piece, size * rng.uniform(0.8, 1.2), int(rng.integers(1, 4)), reach * 0.9)


def cookie(brush: Brush) -> None:
    """Draw a cookie: chocolate chip, dark, oat or iced; sometimes bitten."""
    rng = brush.rng
    dough = pick(rng, [(206, 152, 88), (184, 124, 66), (222, 180, 120), (96, 60, 38)])
    body = blob(rng, rng.uniform(0.01, 0.06))
    brush.shadow(body, reach=0.12)
    if rng.random() < 0.25:
        with brush.only_inside(annulus(rng.uniform(0.3, 0.5)) + ring(24)[rng.integers(24)]):
            cookie_top(brush, body, dough)
    else:
        cookie_top(brush, body, dough)


def cookie_top(brush: Brush, body: Points, dough: Colour) -> None:
    """Draw one whole cookie and what is baked into it or lies on it."""
    rng = brush.rng
    brush.ball(body, dough, depth=0.28, steps=6)
    specks(brush, 26, [shade(dough, 0.85), shade(dough, 1.15)], 0.08, 0.85)
    kind = rng.random()
    if kind < 0.5:
        chip = pick(rng, [(62, 36, 24), (84, 50, 32), (244, 232, 206)])
        for x, y in scatter(rng, int(rng.integers(7, 20)), 0.8, 0.2):
            spot = brush.at(x, y, rng.uniform(0.08, 0.16))
            spot.fill(blob(rng, 0.15, 12), shade(chip, 0.75))
            spot.fill(blob(rng, 0.15, 10) * 0.75 + spot.toward_light(0.15), shade(chip, 1.1))
    elif kind < 0.72:
        specks(brush, 60, [(238, 214, 160), shade(dough, 0.7), (130, 80, 44)], 0.09, 0.88)
    else:
        icing = pick(rng, ICINGS)
        brush.fill(blob(rng, 0.05) * 0.82, shade(icing, 0.85))
        brush.fill(blob(rng, 0.05) * 0.79 + brush.toward_light(0.03), icing)
        if rng.random() < 0.7:
            sprinkles(brush, 28, 0.0, 0.7)


def donut(brush: Brush) -> None:
    """Draw a ring of dough with icing, sugar or sprinkles."""
    rng = brush.rng
    hole = rng.uniform(0.22, 0.36)
    dough, icing = pick(rng, CRUSTS), pick(rng, ICINGS)
    brush.shadow(ring(), reach=0.14)
    with brush.only_inside(annulus(hole)):
        brush.ball(blob(rng, 0.012), dough, depth=0.3, steps=5)
        brush.disc(0, 0, hole + 0.12, shade(dough, 0.7))
        if rng.random() < 0.85:
            with brush.only_inside(annulus(hole + 0.06)):
                brush.fill(blob(rng, 0.04, waves=9) * 0.9, shade(icing, 0.85))
                brush.fill(blob(rng, 0.03, waves=9) * 0.86 + brush.toward_light(0.03), icing)
                shine = spun(ribbon(ring(14, -0.7, 0.7) * 0.66, 0.1), float(np.arctan2(*brush.toward_light(1)[::-1])))
                brush.fill(shine, (255, 255, 255, 80))
                garnish = rng.random()
                if garnish < 0.5:
                    sprinkles(brush, 46, hole + 0.1, 0.82)
                elif garnish < 0.75:
                    x = np.linspace(-0.9, 0.9, 24)
                    stripe = np.stack([x, 0.6 * np.sin(x * 14)], axis=1)
                    brush.line(spun(stripe, rng.uniform(0, TURN)), 0.05, pick(rng, ICINGS))
        else:
            specks(brush, 150, [(250, 246, 240), (240, 232, 220)], 0.025, 0.95)


def apple(brush: Brush) -> None:
    """Draw an apple: green, red, yellow or two-coloured; whole or halved."""
    rng = brush.rng
    skins: list[Colour] = [(142, 186, 58), (186, 30, 34), (226, 200, 76), (204, 62, 46), (160, 22, 40)]
    skin = pick(rng, skins)
    body = ring(44) * (1, 0.95)
    angle = np.arctan2(body[:, 1], body[:, 0])
    body *= (
        1 - 0.16 * np.exp(-(((angle + np.pi / 2) / 0.42) ** 2)) - 0.05 * np.exp(-(((angle - np.pi / 2) / 0.3) ** 2))
    )[:, None]
    body += (0, -0.02)
    brush.shadow(body, reach=0.18)
    if rng.random() < 0.18:
        brush.fill(body, skin)
        brush.fill(body * 0.94, tint(rng, (246, 234, 196), 0.03))
        brush.fill(ring(20) * (0.2, 0.34), (230, 210, 160))
        for side in (-0.1, 0.1):
            brush.fill(ring(10) * (0.05, 0.11) + (side, 0.02), (80, 46, 26))
    else:
        brush.ball(body, skin, depth=0.42)
        if rng.random() < 0.5:
            blush = shade(pick(rng, skins), 1.05)
            for angle in rng.normal(rng.uniform(0, TURN), rng.uniform(0.5, 1.2), 46):
                streak = ribbon([(0.1, 0), (0.5, 0.02), (rng.uniform(0.6, 0.95), 0)], [0.03, 0.14, 0.02])
                brush.fill(spun(streak, angle) - (0, 0.05), glaze(blush, 0.3))
        specks(brush, 40, [shade(skin, 1.35)], 0.02, 0.75)
        brush.fill(ring(20) * (0.26, 0.1) + (0, -0.72), shade(skin, 0.55))
        brush.fill(blob(rng, 0.15, 12) * (0.12, 0.2) + brush.toward_light(0.55), (255, 255, 255, 130))
    brush.line([(0, -0.7), (0.04, -0.95), (0.14, -1.2)], [0.06, 0.07, 0.1], (88, 60, 36))
    if rng.random() < 0.4:
        brush.fill(spun(leaf(0.32, 0.16), -0.5) + (0.42, -1.08), pick(rng, GREENS))


def banana(brush: Brush) -> None:
    """Draw one banana or a hand of up to four."""
    rng = brush.rng
    peel = pick(rng, [(244, 212, 70), (236, 196, 60), (208, 204, 80), (226, 176, 60)])
    count = int(rng.choice([1, 1, 2, 3, 4]))
    bend = rng.uniform(1.2, 1.9)
    for k in range(count):
        spot = brush.at(0, 0, 1, turn=(k - (count - 1) / 2) * 0.26)
        arc = ring(20, np.pi / 2 - bend / 2, np.pi / 2 + bend / 2)
        path = (arc - arc.mean(axis=0)) * 1.9 / np.ptp(arc[:, 0]) + (0, 0.12 * k)
        along = np.linspace(0, 1, 20)
        width = 0.46 * np.clip(np.sin(np.pi * np.clip(along, 0.06, 0.94)) ** 0.55, 0.16, 1)
        width[:2], width[-2:] = 0.11, 0.1
        colour = tint(rng, peel, 0.03)
        spot.shadow(ribbon(path, width), reach=0.07)
        spot.fill(ribbon(path, width), shade(colour, 0.78))
        spot.line(path - (0, 0.03), width * 0.72, colour)
        spot.line(path - (0, 0.07), width * 0.3, shade(colour, 1.12))
        spot.line(path[:2], 0.12, (84, 70, 40))
        spot.line(path[-2:], 0.11, (70, 52, 34))
        if rng.random() < 0.5:
            for i in rng.integers(3, 17, 12):
                spot.fill(ring(8) * rng.uniform(0.01, 0.04) + path[i] + rng.normal(0, 0.06, 2), (110, 76, 36))


def fries(brush: Brush) -> None:
    """Draw fries: a heap, or sticks that stand in a carton."""
    rng = brush.rng
    potato = pick(rng, [(238, 196, 92), (226, 176, 72), (244, 212, 124)])
    if rng.random() < 0.5:
        brush.shadow(ring() * 0.9)
        for x, y in scatter(rng, 46, 0.75):
            stick(brush.at(x, y, 1, turn=rng.uniform(0, TURN)), tint(rng, potato, 0.08), rng.uniform(0.5, 1.0))
        if rng.random() < 0.4:
            brush.ball(
                blob(rng, 0.12) * 0.24 + (0.5, 0.4), pick(rng, [(190, 26, 20), (248, 236, 200)]), depth=0.2, steps=4
            )
        return
    carton = pick(rng, [(204, 30, 34), (240, 236, 228), (226, 170, 50), (60, 90, 150), (180, 140, 96)])
    brush.fill(ring() * (0.75, 0.12) + (0, 0.98), (10, 8, 8, 110))
    for x in rng.permutation(np.linspace(-0.62, 0.62, 22)):
        length = rng.uniform(0.7, 1.2)
        spot = brush.at(x, -0.3 - rng.uniform(0, 0.25), 1, turn=np.pi / 2 + x * 0.35 + rng.normal(0, 0.1))
        stick(spot, tint(rng, potato, 0.08), length)
    front = np.array([(-0.74, -0.12), (-0.3, 0.1), (0.3, 0.1), (0.74, -0.12), (0.55, 1.0), (-0.55, 1.0)])
    brush.fill(front, carton)
    brush.fill(front * (0.45, 1) + (-0.33, 0.03), shade(carton, 1.12))
    if rng.random() < 0.5:
        brush.disc(0, 0.55, 0.22, pick(rng, BRIGHT))


def stick(brush: Brush, colour: Colour, length: float) -> None:
    """Draw one fry with a bright and a dark side."""
    brush.fill(box(length + 0.02, 0.15, 0.03) + (0.01, 0.02), shade(colour, 0.62))
    brush.fill(box(length, 0.125, 0.03), colour)
    brush.fill(box(length * 0.95, 0.05, 0.02) - (0, 0.03), shade(colour, 1.15))


def fried_egg(brush: Brush) -> None:
    """Draw a fried egg: an uneven white, one or two yolks, sometimes a brown edge and pepper."""
    rng = brush.rng
    white = blob(rng, 0.13, 44, 6)
    brush.shadow(white, reach=0.05)
    brush.fill(white, mix((190, 130, 70), (236, 228, 214), rng.random()))
    brush.fill(white * 0.96, (246, 243, 236))
    brush.fill(white * 0.75 + brush.toward_light(0.05), (253, 252, 249))
    yolk = pick(rng, [(246, 178, 30), (250, 200, 60), (236, 146, 26)])
    for place in [(-0.3, 0.1), (0.32, -0.1)] if rng.random() < 0.2 else scatter(rng, 1, 0.25):
        spot = brush.at(float(place[0]), float(place[1]), rng.uniform(0.3, 0.4))
        spot.disc(0.04, 0.06, 1.08, (214, 196, 160))
        spot.ball(blob(rng, 0.03), yolk, depth=0.22, steps=6)
        spot.fill(blob(rng, 0.2, 10) * 0.18 + spot.toward_light(0.45), (255, 255, 255, 200))
    if rng.random() < 0.5:
        specks(brush, 30, [(50, 40, 36), (90, 130, 60)], 0.025)


def soup(brush: Brush) -> None:
    """Draw a bowl of soup from above: tomato, pea, pumpkin, mushroom or a clear broth, with something in it."""
    rng = brush.rng
    bowl = pick(rng, [(240, 238, 232), (70, 90, 120), (60, 56, 54), (214, 190, 150), (170, 70, 50)])
    liquid = pick(rng, [(196, 60, 26), (120, 140, 52), (226, 134, 38), (170, 140, 104), (214, 168, 84)])
    brush.shadow(ring(), reach=0.2)
    brush.fill(ring(), bowl)
    brush.fill(ring() * 0.93 + brush.toward_light(0.03), shade(bowl, 1.1))
    brush.disc(0, 0, 0.86, shade(bowl, 0.72))
    brush.fill(ring() * 0.8 + brush.toward_light(-0.03), shade(liquid, 0.9))
    brush.disc(0, 0, 0.78, liquid)
    patches(brush, 8, [shade(liquid, 1.25), shade(liquid, 0.8)], 0.25, 0.55)
    kind = rng.integers(4)
    if kind == 0:
        spiral = ring(40, 0, TURN - 0.01) * np.linspace(0.1, 0.5, 40)[:, None]
        brush.line(spiral, 0.07, (250, 242, 224, 220))
    elif kind == 1:
        strew(brush, crouton, 0.09, 9, 0.5)
    elif kind == 2:
        for x, y in scatter(rng, 14, 0.5):
            brush.line(curl(rng, 0.7, 0.25) * 0.6 + (x, y), 0.04, (240, 214, 140))
        strew(brush, lambda b: b.disc(0, 0, 1, (226, 120, 40)), 0.09, 6, 0.55)
    specks(brush, int(rng.integers(0, 40)), GREENS, 0.035, 0.6)
    if rng.random() < 0.4:
        strew(brush, basil, 0.12, 3, 0.3)
    if rng.random() < 0.4:
        spoon = spun(np.array([(0.2, 0.0), (0.8, 0.02), (1.6, 0.0)]), rng.uniform(0, TURN))
        brush.line(spoon, [0.07, 0.09, 0.13], (170, 170, 174))


def spaghetti(brush: Brush) -> None:
    """Draw a heap of long noodles with sauce, and with meatballs or basil."""
    rng = brush.rng
    noodle = tint(rng, (234, 200, 112))
    sauce = pick(rng, [(176, 44, 22), (196, 66, 30), (236, 222, 186), (96, 130, 44), (130, 56, 34)])
    brush.shadow(ring() * 0.9)
    brush.fill(blob(rng, 0.06) * 0.88, shade(noodle, 0.6))
    for x, y in scatter(rng, 75, 0.62):
        colour = tint(rng, noodle, 0.08)
        path = curl(rng, rng.uniform(1.0, 1.9), 0.4, 14) * 0.6 + (x, y)
        brush.line(path + (0.012, 0.02), 0.06, shade(colour, 0.65))
        brush.line(path, 0.045, colour)
    patches(brush, 10, [sauce], 0.3, 0.45)
    brush.fill(blob(rng, 0.25, 30) * rng.uniform(0.25, 0.5), sauce)
    specks(brush, 40, [shade(sauce, 0.7), shade(sauce, 1.25)], 0.06, 0.45)
    for x, y in scatter(rng, 12, 0.6):
        brush.line(curl(rng, 1.0, 0.4, 12) * 0.6 + (x, y), 0.045, tint(rng, noodle, 0.08))
    garnish = rng.random()
    if garnish < 0.4:
        strew(brush, lambda b: b.ball(blob(rng, 0.06), (104, 58, 34)), 0.17, int(rng.integers(2, 6)), 0.45)
    elif garnish < 0.8:
        strew(brush, basil, 0.14, int(rng.integers(1, 5)), 0.25)
    specks(brush, 30, [(250, 240, 210)], 0.03, 0.5)
