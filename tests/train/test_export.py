"""An exported file stands alone and says what its run says."""

import dataclasses
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dataset.errors import ConfigError, TrayError
from tests.train.conftest import COLOURS
from train.export import TOLERANCES, Exported, Format, Precision, _decisions, export
from train.runs import Run, open_run

RED = COLOURS["tomato"]
WITH_ONNX = pytest.mark.skipif(importlib.util.find_spec("tf2onnx") is None, reason="ONNX's packages are an extra")
KINDS: list[Any] = [
    pytest.param("keras", "float", id="keras"),
    pytest.param("savedmodel", "float", id="savedmodel"),
    pytest.param("tflite", "float", id="tflite"),
    pytest.param("tflite", "float16", id="tflite-float16"),
    pytest.param("tflite", "int8", id="tflite-int8"),
    pytest.param("onnx", "float", id="onnx", marks=WITH_ONNX),
]


@pytest.fixture(scope="module")
def exported(items_run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Exported]:
    """Return what was exported so far: each kind is written once."""
    return {}


def once(run: Run, exported: dict[tuple[str, str], Exported], folder: Path, kind: tuple[Format, Precision]) -> Exported:
    """Return a run's export, written where it is asked for first; opened afresh, as the command opens it."""
    if kind not in exported:
        exported[kind] = export(open_run(run.path), folder / "out", format=kind[0], precision=kind[1])
    return exported[kind]


@pytest.mark.parametrize(("kind", "precision"), KINDS)
def test_each_file_says_what_the_run_says(
    items_run: Run, exported: Any, tmp_path_factory: pytest.TempPathFactory, kind: Format, precision: Precision
) -> None:
    """Probabilities agree within the stated tolerance on photos of the run's own datasets."""
    result = once(items_run, exported, tmp_path_factory.mktemp("export"), (kind, precision))
    tolerance = TOLERANCES[kind if precision == "float" else f"{kind} {precision}"]

    assert result.real
    assert result.pictures >= 32
    assert result.largest_difference <= tolerance.largest
    assert result.mean_difference <= tolerance.mean
    assert result.decisions > 50
    assert result.same_decision >= tolerance.same_decision
    assert result.bytes > 1000


@pytest.mark.parametrize(("kind", "precision"), KINDS)
def test_the_example_runs_alone(
    items_run: Run, exported: Any, tmp_path_factory: pytest.TempPathFactory, kind: Format, precision: Precision
) -> None:
    """A process that never sees tray loads the file as its README says and finds the tomato, on nothing but white."""
    result = once(items_run, exported, tmp_path_factory.mktemp("export"), (kind, precision))
    image = Image.new("RGBA", (64, 48), (*COLOURS["plum"], 0))
    ImageDraw.Draw(image).ellipse((14, 6, 50, 42), fill=(*RED, 255))
    image.save(result.folder.parent / "red.png")
    program = (result.folder / "example.py").read_text()
    assert program in (result.folder / "README.md").read_text()
    command = [sys.executable, "-P", "-c", program, str(result.folder.parent / "red.png")]
    done = subprocess.run(command, cwd=result.folder, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    said: dict[str, float] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            said |= json.loads(line.replace("'", '"'))
    assert set(said) == {*COLOURS, *(f"not_{name}" for name in COLOURS)}
    assert said["tomato"] > 0.5
    assert said["plum"] < 0.5


def test_labels_thresholds_and_input_travel_along(
    items_run: Run, exported: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """labels.json holds all that using the file takes."""
    card = json.loads(
        (
            once(items_run, exported, tmp_path_factory.mktemp("export"), ("keras", "float")).folder / "labels.json"
        ).read_text()
    )

    assert card["input"]["shape"] == [None, items_run.image_size, items_run.image_size, 3]
    assert card["input"]["range"] == [0, 255]
    assert {one["name"]: (tuple(one["labels"]), one["threshold"]) for one in card["outputs"]} == {
        item: (items_run.labels[item], items_run.thresholds[item]) for item in items_run.items
    }


def test_int8_is_smaller(items_run: Run, exported: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """float16 halves the file and int8 quarters it, about."""
    float32, float16, int8 = (
        once(items_run, exported, tmp_path_factory.mktemp("export"), ("tflite", precision)).bytes
        for precision in get_args(Precision)
    )

    assert float16 < 0.7 * float32
    assert int8 < 0.5 * float32


def test_a_run_of_one_classifier_has_one_output(plain_run: Run, tmp_path: Path) -> None:
    """What has no name is called probabilities; the export is written anew over an earlier one."""
    export(plain_run, tmp_path / "out", format="tflite")
    result = export(plain_run, tmp_path / "out", format="savedmodel")
    (output,) = json.loads((tmp_path / "out" / "labels.json").read_text())["outputs"]

    assert (output["name"], output["labels"]) == ("probabilities", ["not_tomato", "tomato"])
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "README.md",
        "example.py",
        "labels.json",
        "savedmodel",
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_second_export_does_nothing(plain_run: Run, tmp_path: Path) -> None:
    """The same run with the same options is there already; what was damaged or asked otherwise is written anew."""

    def times() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in out.iterdir()}

    out = tmp_path / "out"
    first = export(plain_run, out, format="tflite")
    written = times()
    second = export(plain_run, out, format="tflite")
    assert second == dataclasses.replace(first, unchanged=True)
    assert times() == written

    first.file.write_bytes(first.file.read_bytes()[:-1])
    assert export(plain_run, out, format="tflite") == first
    assert not export(plain_run, out, format="tflite", precision="float16").unchanged
    retrained = Run(tmp_path / "retrained", plain_run.record)
    shutil.copytree(plain_run.path, retrained.path)
    assert export(retrained, tmp_path / "other", format="keras").file.is_file()
    (retrained.path / "run.json").write_text((retrained.path / "run.json").read_text() + "\n")
    assert not export(retrained, tmp_path / "other", format="keras").unchanged


def test_decisions_are_compared_where_there_is_one_to_make() -> None:
    """A file may be near the run's probabilities and still decide otherwise; hair-breadth decisions do not count."""
    expected = np.array([[0.3, 0.7], [0.9, 0.1], [0.52, 0.48]])
    (by_threshold, margin), (by_most, lead) = _decisions(expected, 0.6), _decisions(expected, None)

    assert by_threshold.tolist() == [True, False, False]
    assert margin == pytest.approx([0.1, 0.5, 0.12])
    assert by_most.tolist() == [1, 0, 0]
    assert lead == pytest.approx([0.4, 0.8, 0.04])


def without_pictures(run: Run, tmp_path: Path) -> Run:
    """Return the run as it is when its datasets are gone."""
    items = {item: one | {"data": str(tmp_path / "gone")} for item, one in run.record["items"].items()}
    return Run(run.path, dict(run.record) | {"items": items})


def test_without_its_photos_a_run_is_compared_on_drawn_pictures(plain_run: Run, tmp_path: Path) -> None:
    """The comparison takes place all the same, and says on what."""
    result = export(without_pictures(plain_run, tmp_path), tmp_path / "out", format="tflite")

    assert not result.real
    assert "drawn pictures" in (result.folder / "README.md").read_text()


def test_int8_needs_pictures(plain_run: Run, plain_data: Path, tmp_path: Path) -> None:
    """Without any, int8 is refused; others can stand in."""
    gone = without_pictures(plain_run, tmp_path)
    with pytest.raises(TrayError, match=r"calibrate int8"):
        export(gone, tmp_path / "out", format="tflite", precision="int8")
    result = export(
        gone, tmp_path / "out", format="tflite", precision="int8", pictures=sorted(plain_data.rglob("*.jpg"))[:40]
    )

    assert result.real
    assert result.mean_difference < 0.03


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"format": "coreml"}, r"out of keras, savedmodel, tflite, onnx"),
        ({"format": "tflite", "precision": "int4"}, r"out of float, float16, int8"),
        ({"format": "keras", "precision": "int8"}, r"with tflite"),
    ],
)
def test_what_does_not_exist_is_refused(plain_run: Run, tmp_path: Path, wanted: Any, said: str) -> None:
    """An unknown format or precision is a ConfigError, and nothing is written."""
    with pytest.raises(ConfigError, match=said):
        export(plain_run, tmp_path / "out", **wanted)

    assert not (tmp_path / "out").exists()


def test_other_peoples_folders_stay(plain_run: Run, tmp_path: Path) -> None:
    """A folder that holds something else than an export is not replaced."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match=r"holds something else"):
        export(plain_run, tmp_path, format="keras")

    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_file_that_says_something_else_is_not_written(
    plain_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the file is too far off, the sentence says how far, and no folder is left."""
    strict = dataclasses.replace(TOLERANCES["tflite float16"], largest=-1.0)
    monkeypatch.setattr("train.export.TOLERANCES", {**TOLERANCES, "tflite float16": strict})
    with pytest.raises(TrayError, match=r"Nothing was written"):
        export(plain_run, tmp_path / "out", format="tflite", precision="float16")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(importlib.util.find_spec("tf2onnx") is not None, reason="ONNX's packages are here")
def test_onnx_names_what_it_lacks(plain_run: Run, tmp_path: Path) -> None:
    """Without its packages, the sentence says how to get them."""
    with pytest.raises(TrayError, match=r"pip install .*tf2onnx"):
        export(plain_run, tmp_path / "out", format="onnx")


def test_pixels_are_those_of_predict(plain_run: Run, plain_data: Path, tmp_path: Path) -> None:
    """The Keras file, given a photo as labels.json describes it, answers as the run does."""
    from train.backend import keras
    from train.predict import predict

    photo = next(plain_data.rglob("*.jpg"))
    result = export(plain_run, tmp_path / "out", format="keras")
    size = plain_run.image_size
    pixels = np.asarray(Image.open(photo).convert("RGB").resize((size, size), Image.Resampling.BILINEAR), np.float32)
    said = np.asarray(keras.models.load_model(result.file, compile=False)(pixels[None]))[0]
    (expected,) = predict(plain_run, [photo])

    assert dict(zip(plain_run.labels[""], said.tolist(), strict=True)) == pytest.approx(
        expected.probabilities, abs=0.02
    )


def test_an_item_is_exported_alone(items_run: Run, tmp_path: Path) -> None:
    """One classifier out of several stands alone, says what the run says of it, and nothing of the others."""
    result = export(items_run.only("plum"), tmp_path / "plum", format="keras")
    card = json.loads((result.folder / "labels.json").read_text())

    assert [one["item"] for one in card["outputs"]] == ["plum"]
    assert result.largest_difference < 1e-4
    assert result.bytes < (items_run.path / "model.keras").stat().st_size / 2
    assert export(items_run.only("plum"), tmp_path / "plum", format="keras").unchanged
    with pytest.raises(ConfigError, match="tomato, lettuce, plum"):
        items_run.only("pear")
