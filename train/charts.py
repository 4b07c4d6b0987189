"""Charts of a report, drawn as SVG: a page of twenty items has forty of them, and they must cost nothing."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

# Readable on white and on black alike.
GREY, BLUE, ORANGE = "#8a8f98", "#3b82f6", "#f59e0b"
WIDTH: Final = 300
HEIGHT: Final = 300
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 28, 44
TICKS: Final = 5
"""Marks along an axis, about."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined in their order; dotted, or with a spot at each point, where asked."""

    points: Sequence[tuple[float, float]]
    colour: str
    label: str = ""
    dotted: bool = False
    spots: bool = False


@dataclass(frozen=True, slots=True)
class Spot:
    """A round spot of some pixels across."""

    x: float
    y: float
    size: float


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: its title, what lies along, and what is drawn."""

    title: str
    along: str
    lines: Sequence[Line]
    spots: Sequence[Spot] = ()
    span: Span | None = None
    """From where to where both axes go; by default as far as the lines."""


def drawn(panels: Sequence[Panel], *, wide: int = WIDTH) -> str:
    """Return panels side by side, each ``wide`` pixels, as an address that holds the picture."""
    inside = "".join(f'<g transform="translate({n * wide} 0)">{_panel(one, wide)}</g>' for n, one in enumerate(panels))
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide * len(panels)} {HEIGHT}" '
        f'width="{wide * len(panels)}" height="{HEIGHT}" font-family="sans-serif" font-size="11" fill="{GREY}">'
        f"{inside}</svg>"
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}"


def ticks(span: Span, *, whole: bool = False) -> list[float]:
    """Return round values inside a span, about ``TICKS`` of them; whole numbers alone where asked."""
    low, high = span
    rough = (high - low) / TICKS or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 2.5, 5, 10) if power * one >= rough * 0.999)
    if whole:
        step = max(1.0, math.ceil(step))
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _panel(one: Panel, wide: int) -> str:
    across = one.span or _reach([x for line in one.lines for x, _ in line.points])
    up = one.span or _reach([y for line in one.lines for _, y in line.points])

    def x(value: float) -> float:
        return round(LEFT + (value - across[0]) / (across[1] - across[0]) * (wide - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - up[0]) / (up[1] - up[0]) * (HEIGHT - TOP - BOTTOM), 1)

    right, floor = wide - RIGHT, HEIGHT - BOTTOM
    found = [
        f'<text x="{(LEFT + right) / 2}" y="16" text-anchor="middle" font-size="13">{escape(one.title)}</text>',
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(one.along)}</text>',
        f'<path d="M{LEFT} {TOP}V{floor}H{right}" fill="none" stroke="{GREY}"/>',
    ]
    for value in ticks(across, whole=one.span is None):
        found.append(f'<path d="M{x(value)} {floor}V{TOP}" stroke="{GREY}" opacity=".2"/>')
        found.append(f'<text x="{x(value)}" y="{floor + 15}" text-anchor="middle">{value:g}</text>')
    for value in ticks(up):
        found.append(f'<path d="M{LEFT} {y(value)}H{right}" stroke="{GREY}" opacity=".2"/>')
        found.append(f'<text x="{LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{value:.6g}</text>')
    for line in one.lines:
        places = [(x(a), y(b)) for a, b in line.points]
        dots = ' stroke-dasharray="2 4"' if line.dotted else ""
        path = " ".join(f"{a},{b}" for a, b in places)
        found.append(f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="1.8"{dots}/>')
        found += [f'<circle cx="{a}" cy="{b}" r="3" fill="{line.colour}"/>' for a, b in places if line.spots]
    found += [f'<circle cx="{x(a.x)}" cy="{y(a.y)}" r="{a.size / 2:.1f}" fill="{ORANGE}"/>' for a in one.spots]
    labelled = [line for line in one.lines if line.label]
    third = (across[1] - across[0]) / 3
    points = [point for line in labelled for point in line.points]
    # The names stand where the lines reach less high.
    highest_left = max((b for a, b in points if a < across[0] + third), default=up[0])
    highest_right = max((b for a, b in points if a > across[1] - third), default=up[0])
    start = LEFT + 10 if highest_left <= highest_right else right - 110
    for n, line in enumerate(labelled):
        height = TOP + 12 + 15 * n
        found.append(f'<path d="M{start} {height - 4}h18" stroke="{line.colour}" stroke-width="2"/>')
        found.append(f'<text x="{start + 24}" y="{height}">{escape(line.label)}</text>')
    return "".join(found)


def _reach(values: Sequence[float]) -> Span:
    low, high = min(values), max(values)
    edge = 0.05 * (high - low) or 0.5
    return low - edge, high + edge
