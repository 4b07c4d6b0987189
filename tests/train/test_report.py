"""The training report: what it shows of mistakes."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from train.data import decode, read_dataset
from train.evaluate import Judged
from train.report import Page, write_all
from train.runs import Run
from train.where import Eye


def test_the_report_shows_where_the_model_looked(plain_run: Run, plain_data: Path, tmp_path: Path) -> None:
    """Each of the surest mistakes is shown again, brighter where the model found what it called it."""
    photos = tuple(read_dataset(plain_data).part("val")[:8])
    truth = np.array([photo.label for photo in photos])
    wrong = np.eye(2)[1 - truth] * 0.8 + 0.1
    eye, asked = Eye(plain_run.model, plain_run.probabilities), []

    def look(path: Path, item: str, label: int) -> np.ndarray:
        asked.append((path, label, eye.heat(decode(path, plain_run.image_size), item, label).rows))
        return asked[-1][2]

    write_all(tmp_path, {"": Judged(plain_run.labels[""], photos, truth, wrong, "val")}, Page("tomato", look=look))
    page = (tmp_path / "report.html").read_text()
    section = page[page.index("Where the model looked") : page.index("Right predictions")]
    shown = [base64.b64decode(one) for one in re.findall(r"data:image/jpeg;base64,([\w+/=]+)", section)]

    assert len(shown) == len(asked) == 6
    assert all(label == 1 - photo.label for photo in photos for path, label, _ in asked if path == photo.path)
    compared = 0
    for (path, _, rows), data in zip(asked, shown, strict=True):
        with Image.open(io.BytesIO(data)) as image, Image.open(path) as photo:
            glow = np.asarray(image.convert("L"), float) / np.maximum(
                np.asarray(photo.convert("L").resize(image.size), float), 20
            )
        heat = np.asarray(Image.fromarray((255 * rows).astype(np.uint8)).resize((glow.shape[1], glow.shape[0])))
        if heat.max() and (heat < 26).any() and (heat > 204).any():
            compared += 1
            assert glow[heat > 204].mean() > 1.3 * glow[heat < 26].mean()
    assert compared


def test_without_an_eye_the_section_is_missing(plain_run: Run, plain_data: Path, tmp_path: Path) -> None:
    """A judgement without its model shows the mistakes alone."""
    photos = tuple(read_dataset(plain_data).part("val")[:4])
    truth = np.array([photo.label for photo in photos])
    write_all(tmp_path, {"": Judged(plain_run.labels[""], photos, truth, np.eye(2)[1 - truth], "val")}, Page("tomato"))

    page = (tmp_path / "report.html").read_text()

    assert "Where the model looked" not in page
    # A table that is wider than a telephone moves within its own frame: else the whole page shrinks to fit it.
    assert len(re.findall("<table", page)) == len(re.findall(r'<div class="wide">\s*<table', page)) > 2
