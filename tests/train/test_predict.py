"""Predictions as people and programs read them."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

import tray
from tests.train.conftest import draw
from train.answers import written
from train.predict import labels_of, predict
from train.runs import Run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with two pictures and a file that is none."""
    for name, colour in (("green", (50, 160, 50)), ("red", (200, 40, 30))):
        draw(tmp_path / "photos" / f"{name}.jpg", colour, [93])
    (tmp_path / "photos" / "page.jpg").write_text("<html>")
    return tmp_path / "photos"


def ask(run: Run, photos: Path, kind: str) -> str:
    """Return what `tray predict` prints."""
    result = CliRunner().invoke(tray.main, ["predict", str(run.path), str(photos), "--format", kind, "-q"])
    assert result.exit_code == 0
    return result.stdout


def test_every_form_tells_the_same(items_run: Run, photos: Path) -> None:
    """JSON, JSON lines and CSV hold the same probabilities, in the order of the files."""
    as_list = json.loads(ask(items_run, photos, "json"))
    as_lines = [json.loads(line) for line in ask(items_run, photos, "jsonl").splitlines()]
    as_csv = list(csv.DictReader(ask(items_run, photos, "csv").splitlines()))

    assert as_list == as_lines
    assert [Path(row["file"]).name for row in as_csv] == ["green.jpg", "page.jpg", "red.jpg"]
    for told, row in zip(as_list, as_csv, strict=True):
        assert (told["file"], told["label"], told["error"]) == (row["file"], row["label"], row["error"])
        for label, probability in told["probabilities"].items():
            assert float(row[f"p_{label}"]) == pytest.approx(probability, abs=1e-6)


def test_what_cant_be_read_is_told_and_counted(items_run: Run, photos: Path) -> None:
    """A file that is no picture has its row, and the last line on stderr counts such files."""
    result = CliRunner().invoke(tray.main, ["predict", str(items_run.path), str(photos)])

    assert result.exit_code == 0
    assert "page.jpg  not an image" in result.stdout
    assert "1 of 3 files could not be read" in result.stderr


def test_nothing_that_can_be_read_is_an_error(items_run: Run, photos: Path) -> None:
    """Where not one picture can be read, the rows say why, JSON is whole, and the command fails with a sentence."""
    bad = str(photos / "page.jpg")
    result = CliRunner().invoke(tray.main, ["predict", str(items_run.path), bad, bad, "--format", "json", "-q"])

    assert result.exit_code == 1
    assert [one["error"] for one in json.loads(result.stdout)] == ["not an image"] * 2
    assert result.stderr == "tray: Expected pictures that can be read. Received: 2 that can't; the rows say why.\n"


def test_class_folders_are_named(items_run: Run, photos: Path) -> None:
    """Of a folder whose pictures lie deeper it is said that nobody looks there, and what to name."""
    result = CliRunner().invoke(tray.main, ["predict", str(items_run.path), str(photos.parent)])

    assert f"Name them: tray predict {items_run.path} " in result.stderr
    assert str(photos) in result.stderr.split()


def test_any_number_of_labels_may_be_asked_for(items_run: Run, photos: Path) -> None:
    """More labels than there are is all of them, however many."""
    result = CliRunner().invoke(tray.main, ["predict", str(items_run.path), str(photos / "red.jpg"), "--top", "9" * 30])

    assert result.exit_code == 0, result.output


def test_what_leads_to_no_file_is_told(items_run: Run, tmp_path: Path) -> None:
    """A folder whose links lead nowhere is not called empty without a word of them."""
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    result = CliRunner().invoke(tray.main, ["predict", str(items_run.path), str(tmp_path)])

    assert f"{tmp_path / 'gone.jpg'} is left out: unreadable: No such file" in result.stderr


def test_csv_holds_any_file_name(items_run: Run, photos: Path) -> None:
    """A name with a line break, commas or quotes is one cell of one row."""
    names = ["a\nb.jpg", "c\rd.jpg", 'e,"f".jpg']
    for name in names:
        (photos / name).write_bytes((photos / "red.jpg").read_bytes())
    run = str(items_run.path)
    # As bytes: a runner's text has other line breaks.
    said = CliRunner().invoke(tray.main, ["predict", run, *(str(photos / one) for one in names), "--format", "csv"])
    rows = list(csv.reader(io.StringIO(said.stdout_bytes.decode(), newline="")))

    assert [Path(row[0]).name for row in rows[1:]] == names
    assert {len(row) for row in rows} == {len(rows[0])}


def test_csv_tells_every_label(items_run: Run, photos: Path) -> None:
    """However few labels are shown elsewhere, a table for programs has a number in each of its columns."""
    result = CliRunner().invoke(
        tray.main, ["predict", str(items_run.path), str(photos / "red.jpg"), "--format", "csv", "--top", "1"]
    )
    (row,) = csv.DictReader(result.stdout.splitlines())

    assert {name for name in row if name.startswith("p_")} == {"p_tomato", "p_lettuce", "p_plum"}
    assert all(0 <= float(value) <= 1 for name, value in row.items() if name.startswith("p_"))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "table"])
def test_an_answer_comes_before_the_next_question(items_run: Run, photos: Path, kind: str) -> None:
    """The first line is there while the later files have not been asked for."""
    asked = 0

    def files() -> Iterator[Path]:
        nonlocal asked
        for number in range(1, 301):
            asked = number
            yield photos / "red.jpg"

    lines = written(predict(items_run, files()), kind, labels=labels_of(items_run))  # type: ignore[arg-type]
    first = [next(lines), next(lines)]

    assert asked < 100
    assert len(first) + sum(1 for _ in lines) == (301 if kind == "csv" else 300)


def test_nothing_to_predict_is_an_empty_list(items_run: Run, tmp_path: Path) -> None:
    """An empty folder gives JSON all the same, and a word to whoever reads."""
    (tmp_path / "empty").mkdir()

    assert json.loads(ask(items_run, tmp_path / "empty", "json")) == []
    said = CliRunner().invoke(tray.main, ["predict", str(items_run.path), str(tmp_path / "empty")])
    assert "There are no pictures in" in said.stderr


def test_each_photo_is_decoded_once_and_small(items_run: Run, decodes: list[tuple[int, int]], tmp_path: Path) -> None:
    """A prediction costs one decode, at the least size of 1/8, 1/4, 1/2 or 1 that the model can be fed from."""
    for name in ("a.jpg", "b.jpg"):
        Image.effect_noise((960, 720), 50).convert("RGB").save(tmp_path / name)
    decodes.clear()
    found = list(predict(items_run, sorted(tmp_path.iterdir())))
    least = min(side for side in (90, 180, 360, 720) if side >= items_run.image_size)

    assert [one.error for one in found] == ["", ""]
    assert decodes == [(least * 4 // 3, least)] * 2
