"""The small pieces that foods are strewn with, and the colours that painters share."""

# ruff: noqa: RUF005 - outlines are numpy arrays, which "+" moves

from collections.abc import Callable

import numpy as np

from scraper.simulator.brush import (
    TURN,
    Brush,
    Colour,
    Points,
    blob,
    box,
    glaze,
    ribbon,
    ring,
    scatter,
    shade,
    spun,
    tint,
)

PAINTS: list[Colour] = [
    (186, 40, 36),
    (40, 84, 150),
    (236, 236, 232),
    (50, 52, 56),
    (150, 156, 160),
    (220, 170, 40),
    (60, 120, 80),
]

WALLS: list[Colour] = [
    (206, 190, 164),
    (170, 96, 76),
    (226, 220, 210),
    (130, 136, 144),
    (196, 160, 110),
    (110, 130, 150),
]

WOODS: list[Colour] = [(150, 98, 56), (196, 150, 98), (98, 62, 40), (220, 190, 150)]

CRUSTS: list[Colour] = [(205, 150, 84), (181, 120, 62), (222, 176, 112), (160, 101, 52)]

GREENS: list[Colour] = [(74, 128, 44), (106, 158, 62), (48, 98, 38), (142, 182, 84), (88, 140, 30)]

BRIGHT: list[Colour] = [
    (240, 80, 90),
    (250, 200, 60),
    (90, 170, 240),
    (250, 250, 250),
    (110, 200, 110),
    (240, 130, 200),
]


def pick(rng: np.random.Generator, colours: list[Colour], amount: float = 0.06) -> Colour:
    """Return one of the colours, slightly changed."""
    return tint(rng, colours[rng.integers(len(colours))], amount)


def leaf(length: float = 1.0, width: float = 0.45) -> Points:
    """Return the outline of a pointed leaf."""
    along = np.linspace(-1, 1, 12)
    return ribbon(np.stack([along * length, 0.12 * along**2], axis=1), 2 * width * np.sqrt(1 - along**2 * 0.98))


def spin(angle: float) -> Points:
    """Return the matrix that turns row vectors."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def specks(brush: Brush, count: int, colours: list[Colour], size: float = 0.02, reach: float = 0.8) -> None:
    """Strew small irregular crumbs, herbs or spots."""
    shapes = [blob(brush.rng, 0.25, 7, 3) for _ in range(3)]
    brush.spray(scatter(brush.rng, count, reach), shapes, (size * 0.5, size * 1.4), colours)


def patches(brush: Brush, count: int, colours: list[Colour], size: float, reach: float = 0.8) -> None:
    """Lay large see-through spots: melted, browned, wet."""
    shapes = [blob(brush.rng, 0.3, 16) for _ in range(3)]
    clear = [glaze(colour, strength) for colour in colours for strength in (0.25, 0.5)]
    brush.spray(scatter(brush.rng, count, reach), shapes, (size * 0.4, size * 1.3), clear)


def strew(brush: Brush, piece: Callable[[Brush], None], size: float, count: int, reach: float = 0.7) -> None:
    """Put many of one piece on a dish, each with its own turn."""
    for x, y in scatter(brush.rng, count, reach, size * 1.3):
        piece(brush.at(x, y, size * brush.rng.uniform(0.8, 1.25), turn=brush.rng.uniform(0, TURN)))


def sprinkles(brush: Brush, count: int, inner: float, outer: float) -> None:
    """Strew short bright rods between two radii."""
    places = scatter(brush.rng, count * 2, outer)
    places = places[np.hypot(places[:, 0], places[:, 1]) > inner][:count]
    brush.spray(places, [box(2, 0.6, 0.3)], (0.035, 0.05), BRIGHT)


def pepperoni(brush: Brush) -> None:
    """Draw one slice of salami."""
    colour = tint(brush.rng, (176, 52, 36), 0.12)
    brush.fill(blob(brush.rng, 0.04, 20), shade(colour, 0.7))
    brush.fill(ring(20) * 0.86, colour)
    specks(brush, 5, [shade(colour, 1.35), (214, 130, 90)], 0.13, 0.7)


def mushroom(brush: Brush) -> None:
    """Draw one slice of mushroom: a cap and a stem."""
    colour = tint(brush.rng, (222, 204, 172))
    brush.fill(ring(14, np.pi, TURN), shade(colour, 0.72))
    brush.fill(ring(14, np.pi, TURN) * 0.84, colour)
    brush.fill(box(0.5, 0.9, 0.15) + (0, 0.35), shade(colour, 0.93))


def pepper_arc(brush: Brush) -> None:
    """Draw a strip of bell pepper."""
    colour = pick(brush.rng, [(70, 140, 50), (210, 50, 40), (240, 180, 50)])
    brush.line(ring(12, 0, brush.rng.uniform(2, 4.5)), 0.34, shade(colour, 0.75))
    brush.line(ring(12, 0.1, 2.0) * 0.98, 0.16, shade(colour, 1.2))


def olive(brush: Brush) -> None:
    """Draw a ring of olive."""
    colour = pick(brush.rng, [(40, 34, 40), (96, 104, 44)])
    brush.disc(0, 0, 0.62, colour)
    brush.disc(0.05, 0.03, 0.26, (206, 150, 70))


def basil(brush: Brush) -> None:
    """Draw a leaf with its rib."""
    colour = pick(brush.rng, GREENS)
    brush.fill(leaf(), colour)
    brush.line([(-0.9, 0.1), (0, 0), (0.9, 0.1)], 0.06, shade(colour, 1.4))


def tomato_slice(brush: Brush) -> None:
    """Draw a cut tomato: skin, flesh, chambers with seeds."""
    colour = tint(brush.rng, (206, 52, 36))
    brush.disc(0, 0, 1, shade(colour, 0.85))
    brush.disc(0, 0, 0.88, shade(colour, 1.2))
    for angle in np.arange(5) * TURN / 5:
        brush.fill(blob(brush.rng, 0.1, 10) * (0.26, 0.2) @ spin(angle) + spun(np.array([[0.52, 0]]), angle), colour)
        brush.fill(ring(8) * 0.06 + spun(np.array([[0.5, 0.05]]), angle), (240, 190, 110))


def onion_ring(brush: Brush) -> None:
    """Draw a thin ring of onion."""
    colour = pick(brush.rng, [(230, 220, 220), (190, 120, 160)])
    brush.line(ring(18, 0, brush.rng.uniform(3, 6)), 0.16, colour)


def ham(brush: Brush) -> None:
    """Draw a ragged square of ham."""
    brush.fill(box(1.5, 1.2, 0.2) + brush.rng.normal(0, 0.1, (20, 2)), tint(brush.rng, (226, 138, 132)))


def cucumber(brush: Brush) -> None:
    """Draw a slice of cucumber."""
    brush.disc(0, 0, 1, tint(brush.rng, (60, 110, 40)))
    brush.disc(0, 0, 0.88, tint(brush.rng, (206, 224, 150), 0.04))
    for angle in np.arange(6) * TURN / 6:
        brush.fill(ring(8) * (0.14, 0.06) @ spin(angle) + spun(np.array([[0.42, 0]]), angle), (232, 236, 190))


def egg_half(brush: Brush) -> None:
    """Draw half a boiled egg."""
    brush.fill(ring(24) * (1, 0.78), (250, 246, 238))
    brush.disc(0.12, 0, 0.46, tint(brush.rng, (244, 186, 54)))


def crouton(brush: Brush) -> None:
    """Draw a cube of toasted bread."""
    colour = pick(brush.rng, CRUSTS)
    brush.fill(box(1.8, 1.7, 0.2), shade(colour, 0.75))
    brush.fill(box(1.5, 1.4, 0.2) - (0.1, 0.1), colour)
