"""Backbones tuned from the top: cut in two without a difference, and better for what they learn."""

import csv
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.errors import ConfigError, TrayError
from dataset.tray import Train
from tests.train.conftest import finish, train_and_die
from train import backbones, features, tune
from train.backend import keras
from train.data import Dataset, decode, read_all, read_dataset
from train.export import export
from train.features import Extractor
from train.fit import train
from train.folds import cross_validate
from train.forward import drawn
from train.learn import Epoch
from train.plan import effective
from train.predict import predict
from train.runs import HISTORY, open_run
from train.where import Eye


@pytest.fixture(scope="module")
def tuning(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Return settings of a small backbone whose topmost convolutions learn too; it is used to drawn pictures."""
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(32, 32, 3))
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(drawn(64, 32) / 127.5 - 1, training=True)
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    network.save_weights(path)
    settings = Train(model="mobilenet_0.25_32", weights=str(path), batch_size=16)
    return effective(replace(settings, fine_tune=3, epochs=5, patience=5, learning_rate=0.1))


def tuned(
    data: dict[str, Dataset], settings: Train, work: Path, *, stop: int = 0
) -> tuple[Extractor, dict[str, Any], list[dict[str, Any]], list[int]]:
    """Tune a fresh extractor, up to an epoch or to the end; return it, the heads, the history, the epochs it took."""
    with_ = features.extractor(settings)
    photos = {photo.sha256: photo for one in data.values() for photo in one.photos}
    pixels = np.stack([decode(photo.path, with_.input_size) for photo in photos.values()])
    found = dict(zip(photos, np.asarray(with_.model()(pixels.astype(np.float32))), strict=True))
    steps = tune.tune(with_, data, found, settings, work=work)
    took = []
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return with_, end.value.parts, end.value.learned.history, took
        if isinstance(step, Epoch):
            took.append(step.epoch)
            if step.epoch == stop:
                steps.close()
                return with_, {}, [], took


@pytest.mark.parametrize(("name", "convolutions"), [("mobilenet_0.25_32", 99), ("mobilenetv2_0.35_32", 5)])
def test_a_cut_backbone_says_what_it_said_whole(name: str, convolutions: int) -> None:
    """What lies above the cut makes of what lies below it the maps of the whole, and so many convolutions learn."""
    whole = backbones.build(name, size=32, weights=backbones.BY_CHANCE)
    there = [one for one in whole.get_layer("backbone").layers if "Conv" in type(one).__name__]
    cut = tune.cut(whole, name, convolutions)
    pixels = drawn(2, 32).astype(np.float32)

    for found, expected in zip(cut.above(cut.below(pixels), training=False), whole(pixels), strict=True):
        assert np.asarray(found) == pytest.approx(np.asarray(expected), abs=1e-4)
    assert [one for one in there if one.trainable_weights] == there[-convolutions:]
    assert not any(isinstance(one, keras.layers.BatchNormalization) and one.trainable for one in cut.above.layers)


def test_tuning_goes_on_where_it_was_stopped(
    plain_data: Path, tuning: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a weak first head, the topmost convolutions get better and nothing else changes; no epoch comes twice."""
    monkeypatch.setattr(tune, "FREEDOM", 0.01)
    data = {"tomato": read_dataset(plain_data, positive="tomato")}
    frozen = features.extractor(tuning).model().get_layer("backbone_0").get_weights()
    *_, took = tuned(data, tuning, tmp_path, stop=4)
    with_, _, history, left = tuned(data, tuning, tmp_path)
    now = with_.model().get_layer("backbone_0").get_weights()

    assert (took, left) == ([2, 3, 4], [5])
    assert len(history) == 5
    assert history[-1]["val_loss"] < history[0]["val_loss"]
    assert [not np.array_equal(*two) for two in zip(frozen, now, strict=True)].count(True) == 3


def test_a_tuned_run_is_a_run_like_any(built_data: dict[str, Path], tuning: Train, tmp_path: Path) -> None:
    """Items share the tuned backbone and its views, and it says of validation photos what tuning kept it for.

    It shows where it looked, answers without Keras, and is handed on. What needs a frozen backbone is refused.
    """
    some = {item: built_data[item] for item in ("tomato", "plum")}
    run = finish(train(some, tmp_path, replace(tuning, epochs=3, augment=True), name="tuned"))
    rows = list(csv.DictReader((run.path / HISTORY).read_text(encoding="utf-8").splitlines()))
    right = []
    for item, dataset in read_all(some).items():
        val = dataset.part("val")
        said = run.probabilities(np.stack([decode(photo.path, run.image_size) for photo in val]))[item]
        right += (said.argmax(axis=1) == [photo.label for photo in val]).tolist()

    assert [row["item"] for row in rows] == ["tomato"] * 3 + ["plum"] * 3
    assert np.mean(right) == pytest.approx(max(float(row["val_accuracy"]) for row in rows), abs=1e-5)
    assert Eye(run.model, run.probabilities).heat(drawn(1, run.image_size)[0], "tomato", 1).rows.max() > 0
    photo = read_all(some)["plum"].photos[0].path
    (told,) = predict(open_run(run.path), [photo])
    pixels = decode(photo, run.image_size)[None].astype(np.float32)
    by_keras = dict(zip(run.items, (float(one[0, 1]) for one in run.model(pixels).values()), strict=True))
    assert told.probabilities == pytest.approx(by_keras, abs=1e-4)
    assert export(run.only("plum"), tmp_path / "plum", format="tflite").largest_difference < 1e-4
    with pytest.raises(ConfigError, match="frozen backbone to add"):
        list(train({"lettuce": built_data["lettuce"]}, tmp_path, run.settings, name="tuned", to=run))
    with pytest.raises(TrayError, match="was tuned"):
        list(cross_validate(run, folds=2))


def test_tuning_that_was_killed_ends_like_an_undisturbed_one(plain_data: Path, tuning: Train, tmp_path: Path) -> None:
    """Killed within an epoch, the same command goes on at that epoch, and ends with the same history."""
    tuning = replace(tuning, epochs=3, learning_rate=0.01)
    died = train_and_die(plain_data, tmp_path / "killed", tuning)
    rest: list[Any] = list(train({"": plain_data}, tmp_path / "killed", tuning, name="x"))
    whole = finish(train({"": plain_data}, tmp_path / "whole", tuning, name="x"))

    assert died.returncode == -signal.SIGKILL, died.stderr
    assert [step.epoch for step in rest if isinstance(step, Epoch) and step.unit == "epoch"] == [3]
    assert [row["loss"] for row in rest[-1].history] == pytest.approx([row["loss"] for row in whole.history], rel=1e-3)
    assert len(list((tmp_path / "killed" / "x").glob("2*"))) == 1


@pytest.mark.parametrize("change", [{"model": "cnn", "weights": None}, {"robust": True}, {"independent": True}])
def test_what_does_not_go_with_tuning_is_told(tuning: Train, change: dict[str, Any]) -> None:
    """A network without a backbone, and ways that tuning does not know, are refused."""
    with pytest.raises(ConfigError, match="fine_tune"):
        effective(replace(tuning, **change))
