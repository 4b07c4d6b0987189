"""Frozen backbones: their names, what they expect, and runs that stand on their features."""

import csv
import hashlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset.errors import ConfigError, TrayError
from dataset.progress import Progress
from dataset.review.suspicions import from_run
from dataset.tray import Train
from tests.train.conftest import draw, finish, result
from tests.train.test_fit import ended
from train import backbones, features
from train.backend import keras
from train.data import SQUARES, Photo, decode, square
from train.evaluate import evaluate
from train.fit import train
from train.plan import effective
from train.predict import predict
from train.runs import Run

MODULES = {
    "MobileNet": "mobilenet", "MobileNetV2": "mobilenet_v2", "MobileNetV3": "mobilenet_v3", "ResNet": "resnet",
    "EfficientNetB": "efficientnet", "EfficientNetV2": "efficientnet_v2", "DenseNet": "densenet", "VGG16": "vgg16",
    "VGG19": "vgg19", "InceptionV3": "inception_v3", "InceptionResNetV2": "inception_resnet_v2", "NASNet": "nasnet",
    "Xception": "xception", "ConvNeXt": "convnext",
}  # fmt: skip


@pytest.fixture(scope="session")
def backbone_run(built_data: dict[str, Path], settings: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of several items on one backbone."""
    return finish(train(built_data, tmp_path_factory.mktemp("runs"), settings, name="binary"))


@pytest.mark.parametrize("name", backbones.BACKBONES)
def test_each_backbone_gets_what_it_was_trained_on(name: str) -> None:
    """Our layers do to pixels what the application's own preprocess_input does."""
    backbone = backbones.BACKBONES[name]
    start = max((one for one in MODULES if backbone.application.startswith(one)), key=len)
    module = MODULES["ResNet"] if start == "ResNet" and "V2" not in backbone.application else MODULES[start]
    module = "resnet_v2" if start == "ResNet" and backbone.application.endswith("V2") else module
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3)).astype(np.float32)
    expected = getattr(keras.applications, module).preprocess_input(pixels.copy())

    assert hasattr(keras.applications, backbone.application)
    assert np.asarray(backbones.preprocess(pixels, backbone.preprocessing)) == pytest.approx(expected, abs=1e-5)


def test_a_name_carries_width_and_size() -> None:
    """mobilenet_0.50_224 is MobileNet at half width; a width for another network is no name."""
    found = backbones.find("mobilenet_0.50_160")

    assert found
    assert (found.application, found.alpha, found.size) == ("MobileNet", 0.5, 160)
    assert effective(Train(model="mobilenetv2_0.35")).image_size == 224
    assert effective(Train(model="xception")).image_size == 299
    assert backbones.find("vgg16_0.50_224") is None
    assert backbones.find("cnn") is None


def test_items_learn_on_shared_features(backbone_run: Run) -> None:
    """Each item is told apart, the model is one, and the growth of accuracy with pictures is on record."""
    assert backbone_run.metrics["judged_on"] == "test"
    assert backbone_run.metrics["accuracy"] > 0.75
    assert set(backbone_run.model.output) == {"tomato", "lettuce", "plum"}
    assert [row["pictures"] for row in backbone_run.history if row["item"] == "plum"] == [12, 24, 48]
    page = (backbone_run.path / "items" / "plum" / "report.html").read_text()
    assert "calibrated by what it says of training pictures" in page
    assert "Accuracy and pictures" in page
    assert "Labels worth a second look" in page


def test_the_saved_model_says_what_the_head_said(backbone_run: Run) -> None:
    """From pixels on, the Keras model on disk gives the probabilities of predictions.csv."""
    with (backbone_run.path / "items" / "plum" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    pixels = np.stack([decode(Path(row["file"]), 32) for row in rows])
    said = backbone_run.probabilities(pixels)["plum"]

    assert np.abs(said[:, 1] - [float(row["p_plum"]) for row in rows]).max() < 2e-3
    assert result(evaluate(backbone_run)).accuracy == pytest.approx(backbone_run.metrics["accuracy"], abs=0.02)


def test_features_are_computed_once(built_data: dict[str, Path], backbone_run: Run, settings: Train) -> None:
    """Another training on the same pictures finds all their features, and an item alone is what it was among others."""
    runs = backbone_run.path.parents[1]
    steps = list(train({"plum": built_data["plum"]}, runs, settings, name="plum"))
    alone = steps[-1]

    embedded = [one for one in steps if isinstance(one, Progress) and one.stage == "embed pictures"]
    assert [(one.done, one.total) for one in embedded] == [(84, 84)]
    assert alone.metrics["items"]["plum"] == backbone_run.metrics["items"]["plum"]


def test_interrupted_features_are_kept(
    built_data: dict[str, Path], settings: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped among the pictures, the next start takes up what was computed."""
    monkeypatch.setattr(features, "CHUNK", 1)
    steps = train({"plum": built_data["plum"]}, tmp_path, settings, name="x")
    for step in steps:
        if isinstance(step, Progress) and step.done >= 32:
            break
    steps.close()  # type: ignore[attr-defined]
    rest = train({"plum": built_data["plum"]}, tmp_path, settings, name="x")

    assert next(rest).done == 32
    assert isinstance(list(rest)[-1], Run)
    assert len(list((tmp_path / "x").glob("2*"))) == 1


def test_each_picture_is_decoded_once_and_small(
    decodes: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features cost one decode of a picture, at the least size that they can be taken from; kept ones cost none."""
    photos = {name: Photo(tmp_path / f"{name}.jpg", 0, "train", name) for name in "abc"}
    for photo in photos.values():
        Image.effect_noise((960, 720), 50).convert("RGB").save(photo.path)
    monkeypatch.setattr(features, "fastest", lambda *_, **__: lambda pixels: {"": pixels.mean(axis=(1, 2))})
    with_ = features.Extractor(lambda: None, 100, "mean", np.ones((1, 3), np.float32))
    decodes.clear()
    found, errors = ended(features.embed(photos, with_, tmp_path))
    first = list(decodes)
    again, _ = ended(features.embed(photos, with_, tmp_path))

    assert errors == {}
    assert first == decodes == [(240, 180)] * 3
    assert all(np.array_equal(found[name], again[name]) for name in photos)


def test_features_of_other_pixels_have_a_key_of_their_own(settings: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size, views and the way in which pictures are squared are part of the key: what is kept of others is not taken.

    Where the last line fails, pictures are squared otherwise than before: SQUARES has to be named anew.
    """
    known = features.extractor(effective(settings))
    others = (replace(settings, image_size=48), replace(settings, augment=True))
    keys = [features.extractor(effective(one)).key for one in others]
    monkeypatch.setattr(features, "SQUARES", "others")
    keys += [known.key, features.extractor_of(known.model(), effective(settings)).key]
    rng = np.random.default_rng(0)
    digest = hashlib.sha256()
    for shape in ((60, 90, 3), (500, 700, 3), (300, 200)):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(file, "PNG")
        digest.update(square(file.getvalue(), 96).tobytes())

    assert len(set(keys)) == 4
    assert (SQUARES, digest.hexdigest()[:16]) == ("squares2", "af4b095d058c2f57")


def test_views_are_averaged_in_the_model(built_data: dict[str, Path], settings: Train, tmp_path: Path) -> None:
    """With augment, a picture and its mirror image get the same probabilities, from larger pixels."""
    run = finish(train({"plum": built_data["plum"]}, tmp_path, replace(settings, augment=True), name="x"))
    draw(tmp_path / "a.png", (90, 40, 140), [3])
    pixels = decode(tmp_path / "a.png", run.image_size)[None]

    assert run.image_size == 46
    assert run.probabilities(pixels)["plum"] == pytest.approx(run.probabilities(pixels[:, :, ::-1])["plum"], abs=1e-4)
    assert next(predict(run, [tmp_path / "a.png"])).label in {"plum", "not_plum"}


def test_several_backbones_stand_side_by_side(
    built_data: dict[str, Path], backbone_run: Run, weights: str, settings: Train, tmp_path: Path
) -> None:
    """Joined by a plus, backbones give one unit vector, the same twice what it was once; each needs its file."""
    both = replace(settings, model="mobilenet_0.25_32+mobilenet_0.25", weights=f"{weights},{weights}", image_size=32)
    found = features.extractor(effective(both)).model()(np.full((1, 32, 32, 3), 99, np.uint8))

    assert found.shape[1] > 512
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    run = finish(train({"plum": built_data["plum"]}, tmp_path, both, name="x"))
    assert run.metrics["confusion"] == backbone_run.metrics["items"]["plum"]["confusion"]
    with pytest.raises(ConfigError, match="parted by commas"):
        features.extractor(effective(replace(both, weights=weights)))


def test_contradicted_labels_go_to_the_review(built_data: dict[str, Path], settings: Train, tmp_path: Path) -> None:
    """With --robust, the review hears of all pictures that were moved to the wrong class, and what they look like."""
    data = shutil.copytree(built_data["lettuce"], tmp_path / "lettuce")
    moved = sorted((data / "train" / "lettuce").iterdir())[:4]
    wrong = {path.rename(data / "train" / "not_lettuce" / path.name) for path in moved}
    run = finish(train({"lettuce": data}, tmp_path / "runs", replace(settings, robust=True), name="x"))
    doubted = {
        Path(one["file"]): one for one in map(json.loads, (run.path / "suspects.jsonl").read_text().splitlines())
    }
    found = [one for one in from_run(run.path) if one.file in wrong]

    assert wrong <= set(doubted)
    assert len(doubted) < 48 / 3
    assert {one.reason for one in found} == {doubted[file]["reason"] for file in wrong} == {"looks like lettuce"}
    with pytest.raises(ConfigError, match="robust"):
        effective(Train(robust=True))


def test_weights_that_do_not_fit_are_refused(plain_data: Path, weights: str, tmp_path: Path) -> None:
    """Weights of another width, a file that holds none, and a missing one are ConfigError that names the file."""
    (tmp_path / "text.h5").write_text("no weights")
    for model, file in (
        ("mobilenet_0.50_32", weights),
        ("mobilenet_0.25_32", str(tmp_path / "text.h5")),
        ("mobilenet_0.25_32", str(tmp_path / "missing.h5")),
    ):
        with pytest.raises(ConfigError, match=Path(file).name):
            list(train({"": plain_data}, tmp_path / "runs", Train(model=model, weights=file), name="x"))

    # What was never begun is not called interrupted by every run after it.
    assert not list((tmp_path / "runs" / "x").glob("2*"))


def test_what_is_no_backbone_is_named_among_joined_ones() -> None:
    """Only backbones are joined: the sentence names the part that is none."""
    with pytest.raises(ConfigError, match=r"Received: 'cnn', 'foo' among them"):
        effective(Train(model="cnn+mobilenet_0.25+foo"))


def test_weights_for_a_network_without_any_are_refused(weights: str) -> None:
    """The cnn trains from nothing."""
    with pytest.raises(ConfigError, match="trains from nothing"):
        effective(Train(weights=weights))


def test_weights_that_cant_be_downloaded_are_told_in_a_sentence(
    plain_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network, the sentence says where Keras's file belongs and that --weights takes another."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(TrayError, match=r"models, or name a file with --weights"):
        list(train({"": plain_data}, tmp_path / "runs", Train(model="mobilenet_0.25_128", image_size=128), name="x"))
