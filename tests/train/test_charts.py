"""The charts of a report: whole SVG, round marks, everything inside."""

import base64
from xml.etree import ElementTree as ET

import pytest

from train.charts import BLUE, Line, Panel, Spot, drawn, ticks

SVG = "{http://www.w3.org/2000/svg}"


def test_a_chart_is_a_picture_with_its_words_and_points() -> None:
    """Titles are text and never markup; each point is a spot, higher up where it is larger."""
    lines = [Line([(100, 0.5), (200, 0.75), (400, 0.9)], BLUE, "left & right", spots=True)]
    source = drawn([Panel("<loss>", "pictures", lines), Panel("even", "x", [], [Spot(0.5, 0.5, 8)], (0, 1))])
    kind, _, data = source.partition(",")
    root = ET.fromstring(base64.b64decode(data))  # noqa: S314 - our own
    circles = [(float(one.get("cx", "")), float(one.get("cy", ""))) for one in root.iter(f"{SVG}circle")]

    assert kind == "data:image/svg+xml;base64"
    assert {"<loss>", "pictures", "left & right", "even"} <= {one.text for one in root.iter(f"{SVG}text")}
    assert len(circles) == 4
    assert circles[0][0] < circles[1][0] < circles[2][0]
    assert circles[0][1] > circles[1][1] > circles[2][1]
    assert all(0 < x < 300 and 0 < y < 300 for x, y in circles)


@pytest.mark.parametrize(
    ("span", "whole", "marks"),
    [
        ((-0.02, 1.02), False, [0, 0.25, 0.5, 0.75, 1]),
        ((0.9, 3.1), True, [1, 2, 3]),
        ((60, 840), False, [200, 400, 600, 800]),
        ((2.0, 2.0), False, [2]),
    ],
)
def test_marks_are_round_numbers(span: tuple[float, float], whole: bool, marks: list[float]) -> None:
    """A few of them, inside the span."""
    assert ticks(span, whole=whole) == pytest.approx(marks)
