"""The faster runtime: it says what Keras says, or Keras says it."""

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.conftest import draw
from train import models
from train.backend import keras
from train.forward import Lite, by_keras, drawn, fastest
from train.predict import predict
from train.runs import LITE, Run, open_run

ITEMS = ("plum", "apple", "soup")


@pytest.fixture(scope="module")
def model() -> Any:
    """Return a small model with an output for each item, none like another."""
    keras.utils.set_random_seed(3)
    parts = {item: models.Classifier(models.build("cnn", size=32, classes=n)) for n, item in enumerate(ITEMS, start=2)}
    return models.joined(models.Parts(parts))


def never() -> Any:
    """Fail where a model is not to be asked for."""
    raise AssertionError("the model was asked for")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return what the program says."""
    logging.getLogger("tray").propagate = True
    caplog.set_level(logging.INFO, "tray")
    return caplog


@pytest.mark.parametrize("n", [1, 8, 19])
def test_each_item_gets_its_own_outputs(model: Any, tmp_path: Path, n: int) -> None:
    """One picture, a full pass, and passes with a rest: each item's numbers are Keras's."""
    pixels = np.random.default_rng(1).integers(0, 256, (n, 32, 32, 3)).astype(np.uint8)
    fast = fastest(lambda: model, 32, ITEMS, store=tmp_path, key="a")
    said, expected = fast(pixels), by_keras(model, 32, ITEMS)(pixels)

    assert isinstance(fast, Lite)
    assert {item: one.shape for item, one in said.items()} == {"plum": (n, 2), "apple": (n, 3), "soup": (n, 4)}
    for item in ITEMS:
        assert said[item] == pytest.approx(expected[item], abs=1e-5)


def test_what_was_made_is_kept_for_the_same_weights(model: Any, tmp_path: Path) -> None:
    """The second time the model is not loaded; with another key it is, and the old file goes."""
    pixels = drawn(2, 32)
    first = fastest(lambda: model, 32, ITEMS, store=tmp_path, key="a")(pixels)
    again = fastest(never, 32, ITEMS, store=tmp_path, key="a")(pixels)
    with pytest.raises(AssertionError, match="asked for"):
        fastest(never, 32, ITEMS, store=tmp_path, key="b")
    fastest(lambda: model, 32, ITEMS, store=tmp_path, key="b")

    assert again["soup"] == pytest.approx(first["soup"])
    assert len(list(tmp_path.iterdir())) == 1


def test_a_runtime_that_differs_is_not_used(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    """Keras computes instead, now and the next time, and a line says so."""
    monkeypatch.setattr("train.forward.LARGEST_DIFFERENCE", -1.0)
    found = fastest(lambda: model, 32, ITEMS, store=tmp_path, key="a")
    monkeypatch.undo()
    again = fastest(lambda: model, 32, ITEMS, store=tmp_path, key="a")

    assert not isinstance(found, Lite)
    assert not isinstance(again, Lite)
    assert again(drawn(2, 32))["apple"].shape == (2, 3)
    assert "Keras computes this model: LiteRT differs from it by" in told.text


def test_a_model_beyond_the_runtime_is_computed_by_keras(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    """Singular values are nothing that LiteRT knows: Keras computes them, and a line says so."""
    pixels = keras.Input((8, 8, 3))
    strange = keras.Model(pixels, keras.ops.svd(pixels, compute_uv=False)[:, :, 0])
    found = fastest(lambda: strange, 8, ("",), store=tmp_path, key="a")(drawn(3, 8))

    assert found[""].shape == (3, 8)
    assert "LiteRT can't" in told.text


def test_where_nothing_can_be_kept_it_is_made_all_the_same(model: Any, tmp_path: Path) -> None:
    """A store that can't be written costs time and nothing else."""
    (tmp_path / "file").write_text("in the way")
    found = fastest(lambda: model, 32, ITEMS, store=tmp_path / "file" / "store", key="a")

    assert isinstance(found, Lite)


def test_threads_take_turns(model: Any, tmp_path: Path) -> None:
    """Asked from many threads at once, each gets the answers to its own pictures."""
    fast = fastest(lambda: model, 32, ITEMS, store=tmp_path, key="a")
    pixels = drawn(12, 32)
    alone = [fast(pixels[n : n + 1])["plum"][0] for n in range(12)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda n: fast(pixels[n % 12 :][:1])["plum"][0], range(120)))

    assert np.stack(together) == pytest.approx(np.stack(alone * 10))


def test_a_run_predicts_by_what_it_kept(plain_run: Run, tmp_path: Path) -> None:
    """The first prediction leaves LiteRT's file in the run; the next ones load neither the model nor TensorFlow."""
    draw(tmp_path / "red.jpg", (200, 40, 30), [91])
    (first,) = predict(open_run(plain_run.path), [tmp_path / "red.jpg"])
    again = open_run(plain_run.path)
    (second,) = predict(again, [tmp_path / "red.jpg"])

    assert len(list((plain_run.path / LITE).glob("*.tflite"))) == 1
    assert "model" not in vars(again)
    assert second.probabilities == pytest.approx(first.probabilities)

    program = (
        "import sys; from pathlib import Path; from train.predict import predict; from train.runs import open_run\n"
        "print(*predict(open_run(Path(sys.argv[1])), [Path(sys.argv[2])]), 'tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(plain_run.path), str(tmp_path / "red.jpg")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert first.label in said
    assert said.endswith("False\n")
