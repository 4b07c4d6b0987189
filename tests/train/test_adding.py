"""Items that are added to a finished run: the new one is learned, the others stay as they are to the bit."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

import tray
from dataset.errors import TrayError
from dataset.tray import Train
from tests.train.conftest import COLOURS, SMALL, draw_class, finish, result
from train import features, heads, models
from train.adding import Shape, agreed
from train.archive import WEIGHTS, Enlarged, _enlarge
from train.backend import keras, layers
from train.data import read_all
from train.evaluate import evaluate
from train.export import export
from train.fit import train
from train.predict import predict
from train.runs import MODEL, Run, open_run

KEPT = ("tomato", "plum")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a class per colour."""
    folder = tmp_path_factory.mktemp("colours")
    for kind in COLOURS:
        draw_class(folder / kind, [kind], 12)
    return folder


@pytest.fixture(scope="module")
def two(colours: Path, settings: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of two of the three items on a frozen backbone."""
    return finish(train(dict.fromkeys(KEPT, colours), tmp_path_factory.mktemp("runs"), settings, name="x"))


@pytest.fixture(scope="module")
def three(two: Run, colours: Path) -> Run:
    """Return the run with the third item added."""
    return finish(train({"lettuce": colours}, two.path.parents[1], two.settings, name="x", to=two))


def test_the_others_stay_as_they_are(two: Run, three: Run, colours: Path) -> None:
    """Weights, thresholds, predictions and figures of the old items are the same to the bit; the new one is learned."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3)).astype(np.uint8)
    before, after = two.probabilities(pixels), open_run(three.path).probabilities(pixels)

    assert three.path != two.path
    assert three.items == (*KEPT, "lettuce")
    assert list(before) == list(KEPT)
    for item in KEPT:
        assert np.array_equal(before[item], after[item])
        assert three.thresholds[item] == two.thresholds[item]
        assert three.metrics["items"][item] == two.metrics["items"][item]
        for name in ("report.html", "metrics.json", "predictions.csv", "history.csv"):
            old, new = (run.path / "items" / item / name for run in (two, three))
            assert old.read_bytes() == new.read_bytes()
    assert [row for row in three.history if row["item"] != "lettuce"] == two.history
    assert three.metrics["items"]["lettuce"]["accuracy"] > 0.8
    assert three.record["added_to"] == {"run": str(two.path), "items": list(KEPT)}
    assert 'href="items/lettuce/report.html"' in three.report.read_text()
    assert (three.path / "items" / "lettuce" / "report.html").is_file()
    assert result(evaluate(three)).items["plum"] == result(evaluate(two)).items["plum"]
    (one,) = predict(three, [colours / "lettuce" / "lettuce000.jpg"])
    assert set(one.probabilities) == set(COLOURS)


def test_keras_opens_what_was_written_without_it(two: Run, colours: Path, tmp_path: Path) -> None:
    """A new process adds an item without TensorFlow; in the file is what Keras would have put there itself.

    All that computes on several threads is known where heads are fitted on one, also what is imported late.
    """
    program = (
        "import sys; from pathlib import Path; from train.fit import train; from train.runs import open_run\n"
        "run = open_run(Path(sys.argv[1])); data = {'lettuce': Path(sys.argv[2])}\n"
        "*_, run = train(data, run.path.parents[1], run.settings, name='anew', to=run)\n"
        "from threadpoolctl import threadpool_info; from train.heads import _libraries\n"
        "print(run.path, 'tensorflow' in sys.modules, len(threadpool_info()) - len(_libraries().info()))"
    )
    command = [sys.executable, "-c", program, str(two.path), str(colours)]
    path, imported, missed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    run = open_run(Path(path))
    models.joined(models.taken_apart(run.model, run.items)).save(tmp_path / MODEL)
    ours, theirs = held(run.path / MODEL), held(tmp_path / MODEL)

    assert (imported, missed) == ("False", "0")
    assert list(run.model.output) == [*KEPT, "lettuce"]
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_further_item_takes_the_kernel_that_most_items_chose(
    two: Run, three: Run, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own choice is not tried; few items agree on nothing, nor do those of --robust or of an older version."""
    told = {item: {**one, "kernel": {"mix": 0, "gamma": 5.0}} for item, one in two.record["items"].items()}
    agreeing = Run(two.path, {**two.record, "items": told})
    few = agreed(agreeing)
    monkeypatch.setattr("train.adding.AGREEING", 2)
    doubting = Run(two.path, {**agreeing.record, "config": {**two.config, "robust": True}})
    older = {item: {key: one[key] for key in one if key != "kernel"} for item, one in told.items()}
    run = finish(train({"lettuce": colours}, two.path.parents[1], two.settings, name="agreeing", to=agreeing))
    inside = {layer.name: layer for layer in run.model.layers}

    assert few is None
    assert agreed(doubting) is agreed(Run(two.path, {**two.record, "items": older})) is None
    assert agreed(agreeing) == Shape(0, 5.0)
    assert np.all(inside["kernel_1"].bias.numpy() == -10)
    assert "kernel_2" not in inside
    assert "kernel" not in run.record["items"]["lettuce"]
    assert three.record["items"]["lettuce"]["kernel"]["gamma"] in heads.GAMMAS


def test_a_further_item_has_the_landmarks_of_the_others(
    two: Run, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items of a folder share one kernel layer; those with photos of their own add these alone, a few kilobytes."""
    monkeypatch.setattr("train.adding.AGREEING", 2)
    folder = shutil.copytree(colours, tmp_path / "more")
    draw_class(folder / "beet", ["tomato", "plum"], 4, seed=7)
    run = finish(train(dict.fromkeys(("lettuce", "beet"), folder), tmp_path, two.settings, name="x", to=two))
    (known,), (still, new) = (
        [one.units for one in each.model.layers if one.name.startswith("kernel_")] for each in (two, run)
    )
    photos = sum(photo.part == "train" for photo in read_all({"beet": folder})["beet"].photos)

    assert known == still
    assert 0 < new == photos - known <= 4
    assert 0 < (run.path / MODEL).stat().st_size - (two.path / MODEL).stat().st_size < 40_000


def held(file: Path) -> dict[str, Any]:
    """Return the arrays and the names of layers in a Keras file by their places."""
    found: dict[str, Any] = {}
    with ZipFile(file) as archive, h5py.File(io.BytesIO(archive.read(WEIGHTS))) as weights:
        weights.visititems(
            lambda place, one: found.update(
                {place: one[()] if isinstance(one, h5py.Dataset) else one.attrs.get("name")}
            )
        )
    return found


def test_a_file_of_another_layout_is_left_to_keras(
    two: Run, three: Run, colours: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each item of an older run has a kernel of its own: Keras adds one, and what it wrote takes another without it.

    Features that were made in another way than today's stay by themselves.
    """
    other = shutil.copytree(two.path, tmp_path / "x" / two.path.name)
    (other / "run.json").write_text(json.dumps({**two.record, "features": "older"}))
    parts = models.taken_apart(two.model, two.items)
    models.joined(models.Parts({item: by_itself(one) for item, one in parts.by_item.items()}, parts.trunk)).save(
        other / MODEL
    )
    older = open_run(other)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3)).astype(np.uint8)
    with caplog.at_level("INFO"):
        run = finish(train({"lettuce": colours}, tmp_path, two.settings, name="x", to=older))
        directions = np.eye(len(run.model.get_layer("kernel_0").get_weights()[0]), dtype=np.float32)[:6]
        Enlarged(run, {"pear": heads.fit(directions, np.arange(6) % 2, 2)}).save(tmp_path / "pear.keras")
    told = run.probabilities(pixels)

    assert caplog.text.count("Keras adds") == caplog.text.count("each of its items has a kernel of its own") == 1
    assert run.record["features"] == "older"
    assert [one.name for one in (tmp_path / features.STORE).iterdir()] == ["older"]
    assert list(keras.models.load_model(tmp_path / "pear.keras", compile=False).output) == [*run.items, "pear"]
    for item, said in two.probabilities(pixels).items():
        assert older.probabilities(pixels)[item] == pytest.approx(said, abs=1e-5)
    for item, said in three.probabilities(pixels).items():
        assert told[item] == pytest.approx(said, abs=1e-5)
    assert run.thresholds == pytest.approx(three.thresholds)


def by_itself(part: models.Classifier) -> models.Classifier:
    """Return a classifier as older versions had it: a model with its kernel in it."""
    (kernel,) = part.kernels
    features = keras.Input((kernel.get_weights()[0].shape[0],), name="features")
    inside = layers.Dense(kernel.units, activation="exponential", name="kernel")
    logits = layers.Dense(part.layer.units, name="logits")
    model = keras.Model(features, logits(inside(features)), name="head")
    model.set_weights([*kernel.get_weights(), *part.layer.get_weights()])
    return models.Classifier(model)


def test_a_file_that_counts_its_layers_otherwise_is_not_touched(two: Run, tmp_path: Path) -> None:
    """Where a group of arrays belongs to another layer than is known here, nothing is written."""
    with ZipFile(two.path / MODEL) as old, ZipFile(tmp_path / "old.keras", "w") as new:
        weights = io.BytesIO(old.read(WEIGHTS))
        with h5py.File(weights, "r+") as file:
            file["layers/softmax/vars"].attrs["name"] = "another"
        for name in old.namelist():
            new.writestr(name, weights.getvalue() if name == WEIGHTS else old.read(name))

    with pytest.raises(Exception, match="softmax is not probabilities_1"):
        _enlarge(tmp_path / "old.keras", tmp_path / "new.keras", two.items, {})
    assert not (tmp_path / "new.keras").exists()


def test_added_twice_does_nothing(two: Run, three: Run, colours: Path, settings: Train) -> None:
    """Neither to the first run again, nor to the one that has it; and all at once is the same run too."""
    runs = two.path.parents[1]
    again = [finish(train({"lettuce": colours}, runs, two.settings, name="x", to=run)).path for run in (two, three)]
    together = finish(train(dict.fromkeys((*KEPT, "lettuce"), colours), runs, settings, name="x"))

    assert again == [three.path, three.path]
    assert together.path == three.path
    assert sorted(path.name for path in two.path.parent.glob("2*")) == sorted([two.path.name, three.path.name])


def test_a_network_of_its_own_is_added_to_networks(plain_run: Run, built_data: dict[str, Path], tmp_path: Path) -> None:
    """A run of one network, trained from nothing, takes a second; the first keeps its temperature."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    settings = replace(plain_run.settings, tensorboard=False)
    run = finish(train({"plum": built_data["plum"]}, tmp_path, settings, name="x", to=plain_run))

    assert run.items == ("", "plum")
    assert np.array_equal(run.probabilities(pixels)[""], plain_run.probabilities(pixels)[""])
    assert run.metrics["items"]["plum"]["accuracy"] > 0.7


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a way to ask for an item of a tray.toml with a pizza in it."""
    monkeypatch.chdir(tmp_path)
    Path("tray.toml").write_text('[items.pizza]\nterms = ["pizza"]\n')
    return lambda *arguments: CliRunner().invoke(tray.main, ["train", *map(str, arguments), "-q"])


def test_what_cannot_be_added_is_refused(
    two: Run, colours: Path, tmp_path: Path, ask: Callable[..., Result], settings: Train
) -> None:
    """One sentence each: which item, what the run has, what to do; and no run is begun."""
    many = finish(train({"": colours}, tmp_path / "runs", settings, name="many"))
    draw_class(tmp_path / "more" / "tomato", ["tomato"], 4)
    draw_class(tmp_path / "more" / "not_tomato", ["plum"], 4)
    before = sorted(two.path.parent.iterdir())
    for arguments, said in [
        (["burger", "--to", two.path], "'burger'"),
        (["--to", two.path], "an item to add"),
        (["burger", "--to", two.path, "--data", colours], "lettuce, plum, tomato. Received: 'burger'"),
        (["--to", two.path, "--data", tmp_path / "more"], "it has tomato, plum. Received: 'tomato', with other"),
        (["lettuce", "--to", many.path, "--data", colours], "chooses among classes"),
        (["lettuce", "--to", two.path, "--data", colours, "--model", "cnn"], "model = 'cnn' instead of 'mobilenet"),
        (["lettuce", "--to", tmp_path / "none", "--data", colours], "no such folder"),
    ]:
        result = ask(*arguments)
        assert result.exit_code in {2, 7}
        assert said in result.stderr
        assert result.stderr.count("\n") == 1
    assert sorted(two.path.parent.iterdir()) == before


def test_the_command_adds(two: Run, colours: Path, ask: Callable[..., Result]) -> None:
    """`tray train ITEM --to RUN --data DIR --json` tells the run with all its items."""
    said = json.loads(ask("lettuce", "--to", two.path, "--data", colours, "--json").stdout)

    assert set(said["items"]) == {*KEPT, "lettuce"}
    assert Path(said["items"]["lettuce"]["run"]).is_dir()


def test_a_folder_has_an_item_for_each_class_but_the_background(colours: Path, tmp_path: Path) -> None:
    """Asked for binary classifiers, what lies around is everybody's negative; else the classes are told apart."""
    folder = shutil.copytree(colours, tmp_path / "trays")
    draw_class(folder / "background", ["plum"], 2)
    datasets = tray.datasets_in(folder, "binary")
    read = read_all(datasets)

    assert list(datasets) == sorted(COLOURS)
    assert {one.class_names for one in read.values()} == {(f"not_{item}", item) for item in COLOURS}
    assert tray.datasets_in(folder, None) == {"trays": folder}


def test_independent_items_are_runs_of_their_own(colours: Path, tmp_path: Path, settings: Train) -> None:
    """Each item's folder predicts alone what the whole says of it; the whole is used as ever."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    for number, one in enumerate((settings, replace(SMALL, epochs=1))):
        run = finish(
            train(dict.fromkeys(KEPT, colours), tmp_path / str(number), replace(one, independent=True), name="x")
        )
        plum = open_run(run.path / "items" / "plum")

        assert plum.items == ("plum",)
        assert np.array_equal(plum.probabilities(pixels)["plum"], run.probabilities(pixels)["plum"])
        assert result(evaluate(plum)).accuracy == pytest.approx(run.metrics["items"]["plum"]["accuracy"])
        assert next(predict(run, [colours / "plum" / "plum000.jpg"])).items is not None
        assert export(run, tmp_path / f"out{number}", format="tflite").largest_difference < 1e-3
    with pytest.raises(TrayError, match="--independent"):
        list(train({"lettuce": colours}, tmp_path, run.settings, name="x", to=run))
