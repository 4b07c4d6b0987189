"""The shapes that the drawn pictures are made of, and the brush that puts them on a picture at a place of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, ...]
Points = NDArray[np.float64]

TURN = 2 * np.pi


@lru_cache(maxsize=256)
def ring(count: int = 40, start: float = 0.0, end: float = TURN) -> Points:
    """Return `count` points (count, 2) on the unit circle from one angle to another, in radians."""
    angles = np.linspace(start, end, count, endpoint=end - start < TURN)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points.flags.writeable = False
    return points


def blob(rng: np.random.Generator, wobble: float = 0.1, count: int = 36, waves: int = 5) -> Points:
    """Return a closed outline around the unit circle whose radius swings smoothly by about `wobble`."""
    angles = np.linspace(0, TURN, count, endpoint=False)
    order = np.arange(2, 2 + waves)
    swing = np.cos(angles[:, None] * order + rng.uniform(0, TURN, waves)) @ rng.normal(0, 1, waves) / np.sqrt(waves)
    return np.asarray(np.stack([np.cos(angles), np.sin(angles)], axis=1) * (1 + wobble * swing)[:, None])


def frill(count: int, depth: float) -> Points:
    """Return a circle with `count` round teeth of the given depth."""
    points = ring(count * 6)
    return points * (1 + depth * np.cos(np.linspace(0, TURN * count, len(points), endpoint=False)))[:, None]


def annulus(hole: float) -> Points:
    """Return one outline of a wide disc around the centre that leaves a round hole."""
    closed = ring(41)[np.append(np.arange(41), 0)]
    return np.concatenate([closed * 3, closed[::-1] * hole])


def wedge(start: float, end: float, reach: float = 1.0) -> Points:
    """Return a slice of a disc between two angles in radians."""
    return np.concatenate([[[0.0, 0.0]], ring(30, start, min(end, start + TURN - 1e-6)) * reach])


def box(width: float, height: float, corner: float = 0.0) -> Points:
    """Return a rectangle around the centre (full width and height) with round corners."""
    half = np.array([width / 2 - corner, height / 2 - corner])
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    arcs = [s * half + corner * ring(5, k * TURN / 4, (k + 1) * TURN / 4) for k, s in enumerate(signs)]
    return np.concatenate(arcs)


def ribbon(path: ArrayLike, width: ArrayLike) -> Points:
    """Return the outline of a line (n, 2) drawn with a width, or with one width per point."""
    line = np.asarray(path, dtype=float)
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    side = np.stack([-along[:, 1], along[:, 0]], axis=1) * np.broadcast_to(np.asarray(width) / 2, len(line))[:, None]
    return np.concatenate([line + side, (line - side)[::-1]])


def curl(rng: np.random.Generator, length: float, bend: float, count: int = 10) -> Points:
    """Return a line of the given length that wanders; `bend` is the turn between two points in radians."""
    angles = rng.uniform(0, TURN) + np.cumsum(rng.normal(rng.normal(0, bend), bend, count))
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=1) * length / count
    line = np.cumsum(steps, axis=0)
    return np.asarray(line - line.mean(axis=0))


def scatter(rng: np.random.Generator, count: int, reach: float = 1.0, gap: float = 0.0) -> Points:
    """Return up to `count` places in a disc, each pair at least `gap` apart."""
    tries = rng.uniform(-reach, reach, (count * 6 + 8, 2))
    tries = tries[np.hypot(tries[:, 0], tries[:, 1]) <= reach]
    if gap <= 0:
        return tries[:count]
    kept: list[NDArray[np.float64]] = []
    for place in tries:
        if len(kept) == count:
            break
        if all((place[0] - k[0]) ** 2 + (place[1] - k[1]) ** 2 > gap * gap for k in kept):
            kept.append(place)
    return np.array(kept).reshape(-1, 2)


def spun(points: Points, angle: float) -> Points:
    """Return the points turned around the centre."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]))


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return the colour on the way from one to the other."""
    return tuple(int(a + (b - a) * share) for a, b in zip(one[:3], other[:3], strict=True))


def shade(colour: Colour, factor: float) -> Colour:
    """Return the colour made lighter (factor above 1) or darker."""
    return tuple(max(0, min(255, int(c * factor))) for c in colour[:3])


def tint(rng: np.random.Generator, colour: Colour, amount: float = 0.08) -> Colour:
    """Return a colour near the given one: its brightness and its hue moved by about `amount`."""
    factors = (1 + rng.normal(0, amount)) * (1 + rng.normal(0, amount / 2, 3))
    return tuple(max(0, min(255, int(c * f))) for c, f in zip(colour, factors, strict=False))


def glaze(colour: Colour, strength: float) -> Colour:
    """Return the colour as a see-through layer, strength from 0 to 1."""
    return (*colour[:3], int(255 * strength))


@dataclass(frozen=True, slots=True)
class Brush:
    """A place on a picture with its own centre, unit and turn; what is drawn there is seen by the picture's camera."""

    image: Image.Image
    rng: np.random.Generator
    matrix: NDArray[np.float64]
    origin: NDArray[np.float64]
    light: NDArray[np.float64]
    lean: float
    solid: ImageDraw.ImageDraw
    clear: ImageDraw.ImageDraw

    @classmethod
    def on(cls, image: Image.Image, rng: np.random.Generator) -> "Brush":
        """Return a brush at the middle of the picture whose unit is half the picture's shorter side."""
        unit = min(image.size) / 2
        middle = np.array(image.size) / 2
        angle = rng.uniform(np.pi, TURN)  # light comes from somewhere above, as in most photographs
        light = np.array([np.cos(angle), np.sin(angle)])
        solid, clear = ImageDraw.Draw(image), ImageDraw.Draw(image, "RGBA")
        return cls(image, rng, np.eye(2) * unit, middle, light, 0.0, solid, clear)

    @property
    def half(self) -> tuple[float, float]:
        """Half the width and half the height of the picture in the units of a brush made by `on`."""
        unit = min(self.image.size)
        return self.image.width / unit, self.image.height / unit

    def at(self, x: float, y: float, size: float = 1.0, *, turn: float = 0.0, squash: float = 1.0) -> "Brush":
        """Return a brush at another place: moved, then scaled, turned (radians) and flattened in this brush's frame."""
        cos, sin = np.cos(turn), np.sin(turn)
        local = np.array([[1, 0], [0, squash]]) @ np.array([[cos, -sin], [sin, cos]]) * size
        return replace(self, matrix=self.matrix @ local, origin=self.matrix @ np.array([x, y]) + self.origin)

    def tilted(self, lean: float) -> "Brush":
        """Return this brush under a camera that makes the upper part of the picture farther away."""
        return replace(self, lean=lean)

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return points (..., 2) of this place as pixels of the picture."""
        flat = np.asarray(points) @ self.matrix.T + self.origin
        if self.lean:
            middle = np.array(self.image.size) / 2
            flat = middle + (flat - middle) / np.maximum(1 + self.lean * (middle - flat)[..., 1:] / middle[1], 0.2)
        return flat

    def fill(self, points: ArrayLike, colour: Colour) -> None:
        """Fill an outline; a colour with four parts lies on the picture like glass."""
        layer = self.clear if len(colour) == 4 else self.solid
        layer.polygon(self.project(points).ravel().tolist(), fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self.fill(ring(28) * radius + (x, y), colour)

    def line(self, path: ArrayLike, width: ArrayLike, colour: Colour) -> None:
        """Draw a line with a width in this brush's units."""
        self.fill(ribbon(path, width), colour)

    def spray(self, places: Points, shapes: list[Points], sizes: tuple[float, float], colours: list[Colour]) -> None:
        """Put small shapes (all with as many points) of random turn, size (range) and colour on many places."""
        count = len(places)
        angles, scale = self.rng.uniform(0, TURN, count), self.rng.uniform(*sizes, count)
        cos, sin = np.cos(angles) * scale, np.sin(angles) * scale
        turns = np.stack([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)], axis=1)
        outlines = np.stack(shapes)[self.rng.integers(len(shapes), size=count)] @ turns + places[:, None]
        chosen = self.rng.integers(len(colours), size=count)
        for outline, index in zip(
            self.project(outlines).reshape(count, 2 * len(shapes[0])).tolist(), chosen, strict=True
        ):
            colour = colours[index]
            (self.clear if len(colour) == 4 else self.solid).polygon(outline, fill=colour)

    def toward_light(self, length: float) -> NDArray[np.float64]:
        """Return a step of about `length` units from this brush's centre towards the light."""
        step = np.linalg.solve(self.matrix, self.light)
        return np.asarray(step / max(float(np.hypot(*step)), 1e-9) * length)

    def ball(self, outline: Points, colour: Colour, *, depth: float = 0.45, steps: int = 9) -> None:
        """Fill an outline as a round body: dark at its edge, bright where the light falls."""
        dark, bright = shade(colour, 1 - depth), shade(colour, 1 + depth * 0.55)
        step = self.toward_light(0.3)
        for k in np.linspace(0, 1, steps):
            self.fill(outline * (1 - 0.85 * k) + step * k, mix(dark, bright, np.sqrt(k)))

    def shadow(self, outline: Points, *, reach: float = 0.12, strength: float = 0.5) -> None:
        """Darken the ground around an outline, softly and away from the light."""
        step = self.toward_light(-reach)
        for k in range(5):
            self.fill(outline * (1.08 - 0.03 * k + reach / 2) + step, (10, 8, 12, int(strength * 55)))

    @contextmanager
    def only_inside(self, outline: Points) -> Iterator[None]:
        """Let nothing that is drawn meanwhile show outside an outline."""
        before = self.image.copy()
        yield
        mask = Image.new("L", self.image.size, 255)
        ImageDraw.Draw(mask).polygon(self.project(outline).ravel().tolist(), fill=0)
        self.image.paste(before, (0, 0), mask)
