"""Drawn photographs, and folders of them."""

import io
from collections.abc import Callable, Generator, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dataset.build import Built, build_folder
from dataset.report.page import write_report
from dataset.tray import Build

Draw = Callable[..., Image.Image]


def drawn(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Draw a picture as rich as a photograph: soft light, some things, fine grain; another seed, another picture."""
    return _drawn_once(seed, size).copy()


@lru_cache(maxsize=512)
def _drawn_once(seed: int, size: tuple[int, int]) -> Image.Image:
    chance = np.random.default_rng(seed)
    light = Image.fromarray(chance.integers(30, 225, (7, 9, 3), np.uint8)).resize((480, 360), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(light)
    for _ in range(14):
        x, y = (int(value) for value in chance.integers((0, 0), (480, 360)))
        wide, high = (int(value) for value in chance.integers(12, 110, 2))
        colour = tuple(int(value) for value in chance.integers(0, 255, 3))
        shape = pen.ellipse if chance.random() < 0.6 else pen.rectangle
        shape((x - wide // 2, y - high // 2, x + wide // 2, y + high // 2), fill=colour)
    grain = chance.normal(0, 7, (360, 480, 1))
    noisy = np.clip(np.asarray(light, np.float64) + grain, 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).resize(size, Image.Resampling.LANCZOS)


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    """Return a picture's bytes in a format; JPEGs have quality 90 unless told otherwise."""
    out = io.BytesIO()
    image.save(out, form, **({"quality": 90} if form == "JPEG" else {}) | options)
    return out.getvalue()


def fill(folder: Path, seeds: Iterable[int]) -> Path:
    """Write one drawn picture per seed into a class folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / f"{seed:05}.jpg").write_bytes(encoded(drawn(seed)))
    return folder


def built(source: Path, out: Path, settings: Build | None = None, **options: Any) -> Built:
    """Run a build to its end and return what it made."""
    *_, last = build_folder(source, out, settings or Build(), **options)
    assert isinstance(last, Built)
    return last


def written(folder: Path, settings: Build | None = None) -> Path:
    """Write a report to its end and return the page."""
    *_, last = write_report(folder, settings or Build())
    assert isinstance(last, Path)
    return last


def returned(steps: Generator[Any, None, Any]) -> Any:
    """Run a part of a stage to its end and return what it returns."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def tree(folder: Path) -> dict[str, bytes]:
    """Return the visible files below a folder and their bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draw pictures."""
    return drawn
