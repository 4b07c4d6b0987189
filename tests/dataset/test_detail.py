"""Of two copies the one with more detail stays, whichever is larger."""

import json
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from dataset.choose import MERITS
from dataset.detail import is_enlarged, suspicious, whole
from dataset.duplicates import explain
from dataset.tray import Build, Split
from tests.dataset.conftest import built, drawn, encoded, fill

R = Image.Resampling


def enlarged(large: Image.Image, small: Image.Image) -> bool:
    """Say whether the first is but an enlargement, as JPEGs show it."""
    first, second = (whole(encoded(one, quality=85)) for one in (large, small))
    assert first
    assert second
    return is_enlarged(first, second)


def by(image: Image.Image, factor: float, how: R = R.LANCZOS) -> Image.Image:
    """Return a picture in another size."""
    return image.resize((round(image.width * factor), round(image.height * factor)), how)


@pytest.mark.parametrize(("factor", "how"), [(1.5, R.BILINEAR), (2, R.BICUBIC), (2.3, R.LANCZOS), (4, R.BICUBIC)])
def test_an_enlargement_is_told_from_an_original(factor: float, how: R) -> None:
    """The same two sizes: enlarged from the smaller one, or the smaller one reduced from the larger."""
    original = drawn(1, (480, 360))

    assert enlarged(by(original, factor, how), original)
    assert not enlarged(original, by(original, 1 / factor))


def test_a_softer_or_plain_small_copy_wins_over_nothing() -> None:
    """A blurred thumbnail holds less than an enlargement; a smooth picture looks the same at any size."""
    original = drawn(2, (480, 360))
    smooth = original.filter(ImageFilter.GaussianBlur(30))

    assert not enlarged(by(original, 2), original.filter(ImageFilter.GaussianBlur(1.5)))
    assert not enlarged(by(smooth, 2), smooth)


def test_only_sizes_of_one_shape_are_suspicious() -> None:
    """Turned or not; crops, stretched copies and those of nearly the same size are left alone."""
    assert suspicious((400, 300), (800, 600))
    assert suspicious((600, 800), (400, 300))
    assert not suspicious((400, 300), (440, 330))
    assert not suspicious((400, 300), (800, 500))


def test_the_sharper_original_stays_and_the_reason_is_said(tmp_path: Path) -> None:
    """A build keeps the original over its enlargement, and the larger original over its reduction."""
    for name in ("cat", "dog"):
        fill(tmp_path / "raw" / name, range(3) if name == "cat" else range(10, 13))
    first, second = (drawn(seed, (480, 360)) for seed in (20, 21))
    files = {"sharp": first, "blown_up": by(first, 2), "whole": second, "thumbnail": by(second, 0.5)}
    for name, image in files.items():
        (tmp_path / "raw" / "cat" / f"{name}.jpg").write_bytes(encoded(image))
    built(tmp_path / "raw", tmp_path / "out", Build(max_side=96, split=Split(val=0, test=0)))
    rejected = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]

    assert [(one["source"], one["kept"]) for one in rejected] == [
        ("cat/blown_up.jpg", "cat/sharp.jpg"),
        ("cat/thumbnail.jpg", "cat/whole.jpg"),
    ]
    assert f"480x360 kept over 960x720, {MERITS[1]}" in rejected[0]["detail"]
    large, small = tmp_path / "raw" / "cat" / "blown_up.jpg", tmp_path / "raw" / "cat" / "sharp.jpg"
    assert f"{large} is larger, and holds no more detail" in explain(small, large).reason
