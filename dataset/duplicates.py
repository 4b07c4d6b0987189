"""When two pictures are the same picture, when they only belong together, and which of the same ones stays.

A pair is looked at up to three times: the hashes say whether and how the pictures may lie over each other; a
registration of 64x64 grey levels confirms it; and where the picture is flat (a product on white: its silhouette says
little) or the agreement is not perfect, a second one looks at 128x128 and at the colours.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from dataset.detail import is_enlarged, suspicious, whole
from dataset.errors import TrayError
from dataset.glance import COARSE, Glance, glances, placed, structures
from dataset.images import SMALL_SIDE, look, stored
from dataset.overlay import Overlay, Values, band, overlay, residue, warp
from dataset.prints import NEAR, SIDE, TURNS, Levels, Match, Print, make_print, square, turned
from dataset.veil import is_greyed, is_marked

Verdict = Literal["same", "related", "different"]
Box = tuple[float, float, float, float]
Closer = Callable[[], tuple[Image.Image, Image.Image]]

CLOSE = 128
SURE = 0.985
"""Correlation from which a photograph needs no closer look."""
CHROMA, PLAIN_CHROMA = 30.0, 20.0
"""Levels by which colours may differ here and there; on a plain ground one thing's colour is all there is to see."""
LOUD = 7.0
"""Levels by which a block of a copy on a plain ground may differ: encodings stay below, other labels lie above."""
MARGIN = 5
"""Pixels of 64 at the edges of a crop that say nothing: there its surroundings end, and the other's do not."""
ALIKE = 0.6
"""Correlation from which two photographs with near hashes belong together."""
AKIN = ALIKE + 0.05
"""The same at first glance: of 301 such pairs a longer walk correlated less by at most .049."""
OUTLINE = 0.9
"""The same where a picture is flat."""
ALIGNED, WORDED = 0.85, 0.92
"""Correlation at 128 pixels that copies have at least, and from which no place of a photograph is looked at alone."""
TILTED = 0.015
"""Tangent of the angle, about a degree, from which a turn has left corners that say nothing."""
SOUND = 0.95
"""Correlation of the finest structure away from the edges from which a flat picture is looked at again all the same:
corners that a turn left black and the rest of a bar spoil the outline. Of 3,353 pairs of other things none has .85."""
MARKED = 32
"""Bits of 256 up to which a flat picture that correlates less may yet be the other under marks."""
FAR, HARDLY = 36, 0.12
"""Bits of 256 beyond which only turns, crops and logos take a copy, and the share of its blocks that may then differ:
two forms that were filled in differently agree in all that is printed."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two pictures compare: the distance of their hashes, what the closer looks saw, and the verdict."""

    verdict: Verdict
    stage: str
    """Which look decided: ``hash``, ``64 pixels``, ``128 pixels`` or ``colour``."""
    distance: int
    """Bits of 256, the least over turns, trimmed bars and crops."""
    turn: str = ""
    crop: bool = False
    """Whether one shows a part of the other."""
    correlation: float = 0.0
    """Of the fine structure at 64 pixels, -1 to 1."""
    closer: float = 0.0
    """The same at 128 pixels; 0 when that was not needed."""
    chroma: float = 0.0
    """Local difference of colour, in levels of 256; 0 where other things decided."""
    enlarged: str = ""
    """SHA-256 of the larger of two that are the same, where it is but an enlargement of the other; empty else."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two files count as the same, related or different."""

    a: Path
    b: Path
    same_bytes: bool
    reason: str
    """The comparison as a sentence."""
    comparison: Comparison


def compare(a: Print, b: Print, closer: Closer, glance: Glance | None = None) -> Comparison:
    """Say whether two pictures are the same, related or different: a function of the two alone.

    ``closer`` brings both as RGB of at least 128 pixels a side where they have them; it is called only when needed.
    ``glance`` is what a first look saw of them, where it was taken of many at once.
    """
    glance = glance or glances([(a, b)])[0]
    if glance.found[0].distance > NEAR:
        return Comparison("different", "hash", glance.found[0].distance)
    seen, over = _from_afar(a, b, glance)
    if over is None:
        return seen
    both, views = closer(), glance.best.views
    boxes = a.boxes[views[0]], b.boxes[views[1]]
    first, second = (_inside(image, box) for image, box in zip(both, boxes, strict=True))
    grounds = both if glance.flat and all(_on_plain_ground(one.views[0]) for one in (a, b)) else None
    outlined = _is_outlined(glance, over) if glance.flat else None
    return _closer(seen, over, (first, second), outlined=outlined, grounds=grounds)


def _from_afar(a: Print, b: Print, glance: Glance) -> tuple[Comparison, Overlay | None]:
    """Return how two pictures compare by their prints; and, where only a closer look can tell, one laid over the other.

    What can't be the same is different where one is flat, and else related where it agrees in part.
    """
    nearest, match = glance.found[0].distance, glance.best
    seen = Comparison("different", "64 pixels", nearest, TURNS[match.turn], match.crop is not None)
    if glance.strange and glance.flat:
        return replace(seen, correlation=round(glance.fine, 3)), None
    if glance.strange and glance.coarse >= AKIN:
        return replace(seen, verdict="related", correlation=round(glance.coarse, 3)), None
    first, second = (one[0] for one in structures([(a, b, match)], COARSE))
    over = overlay(first, second, np.array(glance.placing), margin=MARGIN if match.crop else 0)
    seen = replace(seen, correlation=round(over.correlation, 3))
    if over.correlation < ALIKE or (glance.flat and not _is_outlined(glance, over) and nearest > MARKED):
        return seen, None
    if over.correlation > SURE and not glance.flat and _lies_plainly(match, over):
        one, other = (
            Image.fromarray(np.ascontiguousarray(each)) for each in (turned(a.colours, match.turn), b.colours)
        )
        apart = tint_difference(one, other, np.zeros(6), strict=False)
        if apart <= CHROMA:
            return replace(seen, verdict="same", chroma=apart), None
    if placed(a, b, glance, over.placing).strange:
        return seen if glance.flat else replace(seen, verdict="related"), None
    return seen, over


def _is_outlined(glance: Glance, over: Overlay) -> bool:
    """Return whether the outlines of flat pictures agree."""
    return over.correlation >= OUTLINE or glance.fine >= SOUND


def _lies_plainly(match: Match, over: Overlay) -> bool:
    """Return whether both are whole pictures, place on place."""
    return bool(match.crop is None and match.views == (0, 0) and np.abs(over.placing).max() < 0.5)


def _closer(
    seen: Comparison,
    over: Overlay,
    images: tuple[Image.Image, Image.Image],
    *,
    outlined: bool | None,
    grounds: tuple[Image.Image, Image.Image] | None,
) -> Comparison:
    """Look again at 128 pixels, and at the colours of what is the same there.

    ``outlined`` says of flat pictures whether their outlines agree; None where neither is flat. ``grounds``, the whole
    pictures, only where both are things on a plain ground.
    """
    first, second = images
    if seen.turn != TURNS[0]:
        first = Image.fromarray(np.ascontiguousarray(turned(np.asarray(first), TURNS.index(seen.turn))))
    # Only what both show, and both at the size of the smaller one: what only one can show is no difference.
    boxes = _shared(first, second, over)
    wide, high = (max(8, min(CLOSE, *(round(box[end] - box[end - 2]) for box in boxes))) for end in (2, 3))
    first, second = (
        image.resize((wide, high), Image.Resampling.LANCZOS, box=box)
        for image, box in zip((first, second), boxes, strict=True)
    )
    plain = [square(image.convert("L"), CLOSE) for image in (first, second)]
    lit = _as_bright(first, second)
    levels = plain if lit is None else [square(image.convert("L"), CLOSE) for image in lit]
    tilt = over.placing * (0, 1, 0, 1, 0, 0)
    tilted = np.abs(tilt).max() > TILTED
    fine = [band(one, 3, 9) for one in levels]
    close = overlay(fine[0], fine[1], tilt if tilted else None, margin=MARGIN if tilted else 0)
    seen = replace(seen, stage="128 pixels", closer=round(close.correlation, 3))
    # Photographs whose hashes are near and whose structure agrees in part: one scene, one thing, one burst.
    related = outlined is None or (close.correlation >= ALIGNED and outlined)
    same = related and close.correlation >= ALIGNED and _agrees(close, seen.distance, flat=outlined is not None)
    one = plain[0].astype(np.float64)
    moved, inside = warp(plain[1].astype(np.float64), close.placing)
    if not same and not is_marked(one, moved, inside):
        return replace(seen, verdict="related" if related else "different")
    seen = replace(seen, chroma=tint_difference(first, second, close.placing, strict=grounds is not None))
    recoloured = seen.chroma > PLAIN_CHROMA or relit(first, second, grounds) if grounds else seen.chroma > CHROMA
    if recoloured and not is_greyed(first, second, (one, moved), inside):
        return replace(seen, verdict="related", stage="colour")
    return replace(seen, verdict="same")


def _agrees(close: Overlay, distance: int, *, flat: bool) -> bool:
    """Return whether two pictures that correlate at 128 pixels differ nowhere by more than copies do."""
    left = residue(close)
    if distance > FAR and left.stirred > HARDLY:
        return False
    if flat:
        # Two things of one outline agree in almost everything: no place may differ.
        return left.loudest <= LOUD
    # Two pages of text agree in their lines and not in one word.
    worded = close.correlation < WORDED and left.unlike > 0.45
    return left.good >= 0.55 and left.strange <= 0.04 and not worded


def _as_bright(first: Image.Image, second: Image.Image) -> tuple[Image.Image, Image.Image] | None:
    """Return both with the darker one as bright as the other, so that both have lost the same lights.

    None where they are as bright already.
    """
    levels = [
        np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX), np.float64) for image in (first, second)
    ]
    (dark, bright), swapped = (levels, False) if levels[0].mean() < levels[1].mean() else (levels[::-1], True)
    whole = (dark > 16) & (bright < 235)
    gain = float(np.median(bright[whole] / dark[whole])) if whole.any() else 1.0
    if not 1.03 < gain < 3:
        return None
    table = [min(255, round(gain * level)) for level in range(256)] * 3
    return (first, second.point(table)) if swapped else (first.point(table), second)


def _inside(image: Image.Image, box: Values) -> Image.Image:
    left, top, right, bottom = (round(edge * side) for edge, side in zip(box, image.size * 2, strict=True))
    return image.crop((left, top, max(left + 1, right), max(top + 1, bottom)))


def _shared(first: Image.Image, second: Image.Image, over: Overlay) -> tuple[Box, Box]:
    """Return the boxes in both pictures that show the same, as the first overlay has it, rotation aside."""
    (left, right, left2, right2), (top, bottom, top2, bottom2) = (
        _shared_span(over.placing[at], over.placing[at + 2 - at // 4], first.size[axis], second.size[axis])
        for axis, at in enumerate((0, 4))
    )
    return (left, top, right, bottom), (left2, top2, right2, bottom2)


def _shared_span(stretch: float, shift: float, length: int, other: int) -> tuple[float, float, float, float]:
    """Return along one axis where the part that both show begins and ends in the first and in the second picture."""
    scale, shift = max(0.2, 1 + stretch), shift / SIDE
    # A point at x from the first one's centre lies at scale * x + shift from the second one's; both span 1.
    low, high = max(-0.5, (-0.5 - shift) / scale), min(0.5, (0.5 - shift) / scale)
    if high - low < 0.3:
        low, high = -0.5, 0.5
    there = [min(1.0, max(0.0, scale * edge + shift + 0.5)) * other for edge in (low, high)]
    return (low + 0.5) * length, (high + 0.5) * length, there[0], there[1]


def tint_difference(first: Image.Image, second: Image.Image, placing: Values, *, strict: bool) -> float:
    """Return how far the colours of two overlaid RGB pictures lie apart, in levels.

    ``strict`` takes the second largest of a hundred places, so that one coloured part counts; else the tenth, so that
    a logo does not, with an overall tint aside, and a grey picture has no colours to compare: 0.
    """
    a, b = (_chroma(image) for image in (first, second))
    if not strict and min(a.std(), b.std()) < 2.5:
        return 0.0
    scale = 16 / CLOSE
    moved, inside = warp(b, placing * (1, 1, scale, 1, 1, scale))
    apart = np.abs(a - moved)[:, inside]
    if strict:
        return round(float(np.percentile(apart.max(axis=0), 99)), 1)
    apart = np.abs(apart - np.median(apart, axis=1, keepdims=True)).max(axis=0)
    return round(float(np.percentile(apart, 90)), 1)


def relit(first: Image.Image, second: Image.Image, wholes: tuple[Image.Image, Image.Image]) -> bool:
    """Return whether one has much less contrast than the other on a ground as bright: a thing of another shade.

    Where the ground is darker too, it is the light; ``wholes`` are the whole pictures, with their grounds.
    """
    greys = [np.asarray(one.convert("L").resize((32, 32), Image.Resampling.BOX), np.float64) for one in (first, second)]
    low, high = sorted(float(grey.std()) for grey in greys)
    return low < 0.75 * high and abs(_ground(wholes[0]) - _ground(wholes[1])) < 10


def _on_plain_ground(grey: Levels) -> bool:
    """Return whether a picture's edges are of one level nearly all around."""
    edges = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]).astype(np.int16)
    return float((np.abs(edges - np.median(edges)) <= 16).mean()) > 0.8


def _ground(image: Image.Image) -> float:
    """Return the level of a picture's bright parts."""
    return float(np.percentile(np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX)), 95))


def _chroma(image: Image.Image) -> Values:
    rgb = np.asarray(image.resize((16, 16), Image.Resampling.BOX), np.float64)
    red, green, blue = np.moveaxis(rgb, -1, 0)
    return np.stack([-0.169 * red - 0.331 * green + 0.5 * blue, 0.5 * red - 0.419 * green - 0.081 * blue])


@dataclass(frozen=True, slots=True)
class Star:
    """One picture that stays and the copies that go, each with the comparison that says so."""

    kept: str
    copies: tuple[tuple[str, Comparison], ...] = ()


def stars(order: Iterable[str], same: dict[str, dict[str, Comparison]]) -> list[Star]:
    """Group pictures, the best first, so that every copy matches the one that stays, not merely another copy."""
    taken: set[str] = set()
    found = []
    for centre in order:
        if centre in taken:
            continue
        copies = tuple((one, how) for one, how in sorted(same.get(centre, {}).items()) if one not in taken)
        taken.update((centre, *(one for one, _ in copies)))
        found.append(Star(centre, copies))
    return found


def components(keys: Iterable[str], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return for each key the least key that it hangs together with."""
    parents = {key: key for key in keys}

    def root(key: str) -> str:
        while parents[key] != key:
            parents[key] = parents[parents[key]]
            key = parents[key]
        return key

    for a, b in links:
        first, second = sorted((root(a), root(b)))
        parents[second] = first
    return {key: root(key) for key in parents}


def explain(a: Path, b: Path) -> Explanation:
    """Say why two files count as the same, related or different.

    Raises TrayError when one of them is no picture.
    """
    first, second = _read(a), _read(b)
    # The order of content and the sizes of a build, so that both say the same.
    one, other = sorted(((first, a), (second, b)), key=lambda file: hashlib.sha256(file[0]).digest())
    prints = [make_print(_small(*file, side=SMALL_SIDE)) for file in (one, other)]
    comparison = compare(prints[0], prints[1], lambda: (_small(*one, side=CLOSE), _small(*other, side=CLOSE)))
    if first == second:
        return Explanation(a, b, same_bytes=True, reason="the same bytes", comparison=comparison)
    comparison = weighed(comparison, one[0], other[0])
    why = reason(comparison)
    if comparison.enlarged:
        larger = one if hashlib.sha256(one[0]).hexdigest() == comparison.enlarged else other
        why = f"{why}; {larger[1]} is larger, and holds no more detail"
    return Explanation(a, b, same_bytes=False, reason=why, comparison=comparison)


def weighed(how: Comparison, first: bytes, second: bytes) -> Comparison:
    """Return a comparison of two files with whether the larger one is but an enlargement."""
    if how.verdict != "same" or how.crop:
        return how
    small, large = sorted(((stored(one)[0], one) for one in (first, second)), key=lambda file: min(file[0]))
    if not suspicious(small[0], large[0]):
        return how
    seen = whole(large[1]), whole(small[1])
    if seen[0] and seen[1] and is_enlarged(seen[0], seen[1]):
        return replace(how, enlarged=hashlib.sha256(large[1]).hexdigest())
    return how


def reason(how: Comparison) -> str:
    """Return what a comparison saw, and what follows from it, as a sentence."""
    if how.stage == "hash":
        return f"their hashes lie {how.distance} of 256 bits apart, and those of copies within {NEAR}"
    turn = "" if how.turn == TURNS[0] else f", one {how.turn}"
    part = ", one a part of the other" if how.crop else ""
    near = f"their hashes lie {how.distance} of 256 bits apart{turn}{part}"
    seen = f"at 64 pixels their structure correlates by {how.correlation}"
    if how.stage != "64 pixels":
        seen = f"{seen}, at {CLOSE} by {how.closer}"
    if how.stage == "colour":
        return f"{near}, {seen}, but colours or shades differ (colours by {how.chroma} of 256 levels)"
    ends = {
        "same": "no place differs by more than copies do",
        "related": "some places differ by more than copies do",
        "different": "copies agree better",
    }
    return f"{near}, {seen}: {ends[how.verdict]}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrayError(f"Expected a picture at {path}. Received: {error.strerror}.") from None


def _small(data: bytes, path: Path, *, side: int) -> Image.Image:
    info, small = look(data, min_side=1, side=side)
    if small is None:
        raise TrayError(f"Expected a picture at {path}. Received: {info.error}.")
    return small
