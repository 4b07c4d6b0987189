"""Training: what a run holds, and that stopping and starting change nothing."""

import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.errors import ConfigError, FolderLocked, NotEnoughImages, RunNotFound, TrayError
from dataset.folder import locked
from dataset.tray import Train
from tests.train.conftest import SMALL, draw, draw_class, finish, result, train_and_die
from train.data import Photo, decode, decode_all, read_dataset
from train.evaluate import evaluate, temperature
from train.fit import train
from train.learn import Epoch
from train.models import AUGMENTATIONS
from train.plan import Plan, effective, is_same
from train.rates import find_rates, suggested
from train.runs import Run, open_run


def ended(steps: Generator[Any, None, Any]) -> Any:
    """Return what a stage gives in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_a_run_learns_what_can_be_learned(plain_run: Run) -> None:
    """Red against other colours is told apart from a few dozen pictures."""
    assert plain_run.metrics["accuracy"] > 0.85
    assert plain_run.metrics["judged_on"] == "val"
    assert plain_run.metrics["n"] == 16


def test_a_run_holds_what_it_promises(plain_run: Run) -> None:
    """All files of the contract are there, nothing else is, and run.json says what was trained and how."""
    assert {path.name for path in plain_run.path.iterdir() if not path.name.startswith(".")} == {
        "run.json", "history.csv", "model.keras", "metrics.json", "report.html", "predictions.csv",
    }  # fmt: skip
    record = json.loads((plain_run.path / "run.json").read_text())
    assert record["config"]["image_size"] == 32
    assert record["config"]["model"] == "cnn"
    assert record["items"][""]["class_names"] == ["not_tomato", "tomato"]
    assert len(record["items"][""]["fingerprint"]) == 16
    assert record["versions"]["keras"]
    assert record["seconds"] > 0
    assert len(plain_run.history) == record["items"][""]["epochs"]
    assert set(plain_run.history[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"}


def test_how_it_is_calibrated_is_told(plain_run: Run) -> None:
    """run.json and the report tell the temperature that the model has."""
    by = plain_run.record["items"][""]["temperature"]

    assert plain_run.model.get_layer("temperature_0").scale == pytest.approx(1 / by)
    sure = "too sure" if by > 1 else "not sure enough"
    assert f"a temperature of {by:.2f}, chosen on validation: it was {sure} of itself" in plain_run.report.read_text()


def test_the_mode_on_record_is_that_of_the_classes(tmp_path: Path) -> None:
    """A folder of three classes gives one model of all of them, whatever the mode by default; older runs stay it."""
    for kind in ("plum", "tomato", "lettuce"):
        draw_class(tmp_path / kind, [kind], 4)
    plan = Plan(effective(SMALL), {"": read_dataset(tmp_path)})
    older = {**plan.record, "config": plan.record["config"] | {"mode": "binary"}}

    assert plan.record["config"]["mode"] == "multiclass"
    assert is_same(older, plan)


def test_the_saved_model_says_what_the_predictions_say(plain_run: Run) -> None:
    """The Keras model on disk, given a picture's pixels, gives the probabilities of predictions.csv."""
    with (plain_run.path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    pixels = np.stack([decode(Path(row["file"]), 32) for row in rows])
    said = plain_run.probabilities(pixels)[""]

    assert np.abs(said[:, 1] - [float(row["p_tomato"]) for row in rows]).max() < 1e-4
    assert np.abs(said.sum(axis=1) - 1).max() < 1e-5
    assert [row["label"] for row in rows] == [Path(row["file"]).parent.name for row in rows]


def test_the_weights_of_the_best_epoch_are_kept(plain_run: Run) -> None:
    """The accuracy on val is the best of the history, not the last."""
    best = max(row["val_accuracy"] for row in plain_run.history)

    assert plain_run.metrics["accuracy"] == pytest.approx(best, abs=1e-4)


def test_items_share_one_model_with_an_output_each(items_run: Run) -> None:
    """Several datasets give one Keras model whose outputs carry the items' names, judged on their test parts."""
    assert set(items_run.model.output) == {"tomato", "lettuce", "plum"}
    assert set(items_run.metrics["items"]) == {"tomato", "lettuce", "plum"}
    assert items_run.metrics["judged_on"] == "test"
    assert items_run.metrics["accuracy"] > 0.85
    assert items_run.labels["plum"] == ("not_plum", "plum")
    assert items_run.thresholds == {"tomato": 0.5, "lettuce": 0.5, "plum": 0.5}
    for item in items_run.items:
        inside = {path.name for path in (items_run.path / "items" / item).iterdir()}
        assert inside == {"history.csv", "metrics.json", "predictions.csv", "report.html"}
        assert f'href="items/{item}/report.html"' in items_run.report.read_text()
    assert {row["item"] for row in items_run.history} == {"tomato", "lettuce", "plum"}


def test_the_report_shows_everything_in_one_file(plain_run: Run) -> None:
    """The page has the report per class, the matrix, curves and grids, and refers to nothing outside itself."""
    page = plain_run.report.read_text()

    for heading in ("Classification report", "Confusion matrix", "Learning curves", "Training pictures", "Data"):
        assert heading in page
    assert page.count("data:image/jpeg") >= 24 + 12
    assert "data:image/svg+xml" in page
    assert 'src="http' not in page
    assert plain_run.record["items"][""]["fingerprint"] in page


def test_progress_tells_every_epoch(built_data: dict[str, Path], tmp_path: Path) -> None:
    """Each epoch is told with its item, its number and its figures, and the run comes last."""
    settings = replace(SMALL, epochs=2, model="cnn64")
    steps = list(train({"plum": built_data["plum"]}, tmp_path, settings, name="plum"))
    epochs = [step for step in steps if isinstance(step, Epoch)]

    assert [(one.item, one.epoch, one.epochs) for one in epochs] == [("plum", 1, 2), ("plum", 2, 2)]
    assert all(one.loss > 0 and one.seconds > 0 and 0 <= one.val_accuracy <= 1 for one in epochs)
    assert isinstance(steps[-1], Run)


def test_training_stops_when_patience_ends(plain_data: Path, tmp_path: Path) -> None:
    """With a min_delta that nothing reaches, the first epoch stays the target and patience decides."""
    steps = list(train({"": plain_data}, tmp_path, replace(SMALL, patience=2, min_delta=0.99), name="x"))

    assert len(steps[-1].history) == 3


def test_trained_twice_does_nothing(plain_data: Path, plain_run: Run) -> None:
    """The same settings and data give the finished run back; what is logged beside is no other training."""
    for settings in (SMALL, replace(SMALL, tensorboard=True)):
        steps = list(train({"": plain_data}, plain_run.path.parents[1], settings, name="tomato"))

        assert [one.path for one in steps] == [plain_run.path]


def test_a_run_that_can_not_be_read_keeps_no_other_from_training(
    plain_data: Path, plain_run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside one of a newer version and a damaged one, a training is done and found again; opened, they are refused."""
    runs = plain_run.path.parent.parent
    newer, torn = plain_run.path.with_name("29990101-000000"), plain_run.path.with_name("29980101-000000")
    try:
        for folder, text in ((newer, '{"format": 99}'), (torn, '{"form')):
            folder.mkdir()
            (folder / "run.json").write_text(text)
        again = result(train({"": plain_data}, runs, SMALL, name="tomato"))
        with pytest.raises(RunNotFound, match="format 99"):
            open_run(plain_run.path.parent)
    finally:
        shutil.rmtree(newer)
        shutil.rmtree(torn)

    assert again.path == plain_run.path
    assert [newer.name in caplog.text, torn.name in caplog.text] == [True, True]


def test_other_settings_or_pictures_are_another_run(plain_data: Path, tmp_path: Path) -> None:
    """A changed setting and an added picture each start a new run beside the old one."""
    data = tmp_path / "data"
    for name in ("tomato", "not_tomato"):
        draw_class(data / name, ["tomato" if name == "tomato" else "plum"], 8)
    settings = replace(SMALL, epochs=1)
    first = finish(train({"": data}, tmp_path / "runs", settings, name="x"))
    second = finish(train({"": data}, tmp_path / "runs", replace(settings, learning_rate=0.01), name="x"))
    draw(data / "tomato" / "new.jpg", (200, 40, 30), [7])
    third = finish(train({"": data}, tmp_path / "runs", settings, name="x"))

    assert len({first.path, second.path, third.path}) == 3
    assert open_run(tmp_path / "runs" / "x").path == third.path


def test_seeds_reproduce(plain_data: Path, tmp_path: Path) -> None:
    """The same seed gives the same history, another one another."""
    settings = replace(SMALL, epochs=2, augment=True)
    losses = [
        [row["loss"] for row in finish(train({"": plain_data}, tmp_path / f"{n}", one, name="x")).history]
        for n, one in enumerate((settings, settings, replace(settings, seed=1)))
    ]

    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] != pytest.approx(losses[2], rel=1e-3)


def test_interrupted_items_go_on_where_they_stopped(built_data: dict[str, Path], tmp_path: Path) -> None:
    """Stopped within the second item: the first is not trained again, the second goes on, the end is the same."""
    settings = replace(SMALL, epochs=3, augment=True)
    undisturbed = finish(train(built_data, tmp_path / "a", settings, name="x"))
    steps = train(built_data, tmp_path / "b", settings, name="x")
    for step in steps:
        if isinstance(step, Epoch) and (step.item, step.epoch) == ("lettuce", 2):
            break
    steps.close()  # type: ignore[attr-defined]
    rest = list(train(built_data, tmp_path / "b", settings, name="x"))

    told = [(one.item, one.epoch) for one in rest if isinstance(one, Epoch)]
    assert told == [("lettuce", 3), ("plum", 1), ("plum", 2), ("plum", 3)]
    for before, after in zip(undisturbed.history, rest[-1].history, strict=True):
        assert after["item"] == before["item"]
        assert after["loss"] == pytest.approx(before["loss"], rel=1e-3)
    assert len(list((tmp_path / "b" / "x").iterdir())) == 2  # the run and the lock


def test_kill_and_start_again_ends_like_an_undisturbed_run(
    plain_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed in mid-epoch, training goes on where it was and ends with the same history; what else was killed stays."""
    logging.getLogger("tray").propagate = True
    settings = Train(image_size=64, epochs=4, patience=50, batch_size=8, augment=True)
    died = train_and_die(plain_data, tmp_path / "killed", settings)
    rest = list(train({"": plain_data}, tmp_path / "killed", settings, name="x"))
    torn = tmp_path / "whole" / "x" / "19990101-000000"
    torn.mkdir(parents=True)
    (torn / "plan.json").write_text('{"items": ')
    with caplog.at_level("INFO"):
        whole = finish(train({"": plain_data}, tmp_path / "whole", settings, name="x"))
    assert f"{torn} was interrupted with other settings" in caplog.text
    assert "cnn learns from nothing, and 64 training pictures are few" in caplog.text
    killed = rest[-1]

    assert died.returncode == -signal.SIGKILL
    assert [step.epoch for step in rest if isinstance(step, Epoch)] in ([3, 4], [4])
    assert [row["epoch"] for row in killed.history] == [1, 2, 3, 4]
    assert [row["loss"] for row in killed.history] == pytest.approx([row["loss"] for row in whole.history], rel=1e-3)
    assert killed.record["items"][""]["best_epoch"] == whole.record["items"][""]["best_epoch"]
    assert len(list((tmp_path / "killed" / "x").glob("2*"))) == 1


def test_an_unreadable_picture_is_left_out_and_told(tmp_path: Path) -> None:
    """A page named .jpg, half a JPEG and a bomb take no part; the run names them and goes on."""
    data = tmp_path / "data"
    draw_class(data / "plum", ["plum"], 8)
    draw_class(data / "tomato", ["tomato"], 8)
    (data / "plum" / "page.jpg").write_text("<html>no picture</html>")
    whole = (data / "plum" / "plum000.jpg").read_bytes()
    (data / "plum" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    run = finish(train({"": data}, tmp_path / "runs", replace(SMALL, epochs=1), name="x"))

    assert {Path(path).name for path in run.record["unreadable"]} == {"page.jpg", "half.jpg"}
    assert "page.jpg" in run.report.read_text()
    assert run.metrics["n"] == 4


def test_a_plain_pair_has_its_positive_last_whatever_the_alphabet_says(tmp_path: Path) -> None:
    """Of apple and not_apple, apple is label 1."""
    draw_class(tmp_path / "data" / "apple", ["tomato"], 4)
    draw_class(tmp_path / "data" / "not_apple", ["plum"], 4)
    run = finish(train({"": tmp_path / "data"}, tmp_path / "runs", replace(SMALL, epochs=1), name="x"))

    assert run.labels[""] == ("not_apple", "apple")


@pytest.mark.parametrize(("pictures", "said"), [({"plum": 1, "tomato": 5}, "'plum'"), ({"plum": 5}, "'plum' alone")])
def test_too_few_pictures_are_refused(tmp_path: Path, pictures: dict[str, int], said: str) -> None:
    """A class with one picture, and one class only, are NotEnoughImages in one sentence that names them."""
    for kind, n in pictures.items():
        draw_class(tmp_path / "data" / kind, [kind], n)

    with pytest.raises(NotEnoughImages, match=said):
        list(train({"": tmp_path / "data"}, tmp_path / "runs", SMALL, name="x"))


def test_a_class_of_copies_is_refused(tmp_path: Path) -> None:
    """Five copies of one file are one picture."""
    draw_class(tmp_path / "data" / "plum", ["plum"], 5)
    draw_class(tmp_path / "data" / "tomato", ["tomato"], 1)
    only = tmp_path / "data" / "tomato" / "tomato000.jpg"
    for n in range(4):
        only.with_name(f"copy{n}.jpg").write_bytes(only.read_bytes())

    with pytest.raises(NotEnoughImages, match="Received: 1"):
        list(train({"": tmp_path / "data"}, tmp_path / "runs", SMALL, name="x"))


@pytest.mark.parametrize("folder", ["missing", "empty", "flat"])
def test_a_folder_that_holds_no_classes_is_refused(tmp_path: Path, folder: str) -> None:
    """No such folder, one without pictures, and one without subfolders each get a sentence."""
    (tmp_path / "empty" / "plum").mkdir(parents=True)
    draw_class(tmp_path / "flat", ["plum"], 2)

    with pytest.raises(TrayError, match="class folders"):
        list(train({"": tmp_path / folder}, tmp_path / "runs", SMALL, name="x"))
    assert not (tmp_path / "runs").exists()


def test_an_unknown_model_is_refused_with_a_hint() -> None:
    """The sentence lists the models and guesses which was meant."""
    with pytest.raises(ConfigError, match=r"Did you mean 'cnn64'\?"):
        effective(Train(model="cnn46"))


def test_a_picture_too_small_for_the_convolutions_is_refused() -> None:
    """The sentence names the smallest size."""
    with pytest.raises(ConfigError, match="22 or more"):
        effective(Train(image_size=16))


def test_a_second_process_on_the_same_name_is_refused(plain_data: Path, tmp_path: Path) -> None:
    """While another process holds the run's name, training says so and does nothing."""
    with locked(tmp_path / "x"), pytest.raises(FolderLocked, match="only process"):
        list(train({"": plain_data}, tmp_path, SMALL, name="x"))


def test_training_on_real_photographs_beats_chance(real_data: Path, tmp_path: Path) -> None:
    """Two classes of food photographs: the report and the model come out, better than a coin."""
    data = tmp_path / "data"
    for name in ("pizza", "not_pizza"):
        (data / name).mkdir(parents=True)
        for path in sorted((real_data / "pizza_not_pizza" / name).iterdir())[:80]:
            (data / name / path.name).symlink_to(path)
    run = finish(train({"": data}, tmp_path / "runs", Train(image_size=64, epochs=8), name="pizza"))

    assert run.metrics["accuracy"] > 0.5
    assert result(evaluate(run)).accuracy == pytest.approx(run.metrics["accuracy"])
    assert time.strftime("%Y") in run.path.name


def test_a_network_takes_every_option_at_once(plain_data: Path, tmp_path: Path) -> None:
    """All augmentations, half precision, a falling rate and TensorBoard: the model on disk has whole floats again."""
    ways = ("zoom", "contrast", "grey", "inversion")
    settings = replace(
        SMALL, epochs=2, augment_by=ways, mixed_precision=True, schedule="cosine", tensorboard=True, model="cnn64"
    )
    steps = list(train({"": plain_data}, tmp_path, settings, name="x"))
    rates = [step.rate for step in steps if isinstance(step, Epoch)]
    run = steps[-1]

    assert isinstance(run, Run)
    assert rates == pytest.approx([1e-3, 5e-4])
    assert run.config["augment_by"] == list(ways)
    assert {layer.dtype_policy.name for layer in run.model.layers} == {"float32"}
    assert run.metrics["n"] == 16
    assert len(list((run.path / "tensorboard").glob("events*"))) == 1


def test_the_rate_is_halved_where_validation_stalls(plain_data: Path, tmp_path: Path) -> None:
    """With a min_delta that nothing reaches, every second epoch without progress halves it."""
    settings = replace(SMALL, epochs=5, patience=4, min_delta=0.99, schedule="plateau")
    steps = list(train({"": plain_data}, tmp_path, settings, name="x"))

    rates = [step.rate for step in steps if isinstance(step, Epoch)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4, 5e-4])


def test_every_augmentation_changes_pictures_in_training_alone() -> None:
    """Each way alters pictures, keeps them in 0..255 and in shape, and rests outside training."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 24, 3)).astype(np.float32)
    for name, make in AUGMENTATIONS.items():
        layer = make()
        varied = np.asarray(layer(pixels, training=True))

        assert varied.shape == pixels.shape, name
        assert np.abs(varied - pixels).mean() > 5, name
        assert -0.5 <= varied.min() <= varied.max() <= 255.5, name
        assert np.asarray(layer(pixels, training=False)) == pytest.approx(pixels), name


def test_what_a_backbone_cant_take_is_refused() -> None:
    """A head that is computed has no learning rate, no epochs and no augmentation by layers."""
    with pytest.raises(ConfigError, match="trains from nothing"):
        effective(Train(model="mobilenetv2", schedule="cosine"))
    with pytest.raises(ConfigError, match="needs no learning rate"):
        list(find_rates({}, Train(model="mobilenetv2")))


def test_a_network_that_runs_out_of_numbers_is_told(plain_data: Path, tmp_path: Path) -> None:
    """A learning rate that leaves no numbers in the network is named, instead of figures being made of them."""
    wild = replace(SMALL, learning_rate=1e20)
    with pytest.raises(TrayError, match=r"at a learning rate of 1e\+20\. Lower it"):
        finish(train({"x": plain_data}, tmp_path / "runs", wild, name="x"))


def test_a_learning_rate_is_found(plain_data: Path) -> None:
    """Rates rise until the loss is lost or the last is tried; the one to train at lies well below the lowest loss."""
    found = list(find_rates({"": plain_data}, effective(SMALL)))[-1]
    assert isinstance(found, dict)
    one = found[""]

    assert list(one.rates) == sorted(one.rates)
    assert len(one.rates) == len(one.losses) > 20
    assert one.suggested
    assert 1e-5 <= one.suggested <= 0.05
    assert one.suggested == pytest.approx(one.rates[int(np.argmin(one.losses))] / 10)


def test_noise_is_not_taken_for_a_falling_loss() -> None:
    """Where no rate taught anything, none is named: the lowest of a hundred noisy losses says nothing."""
    tried, noise = np.geomspace(1e-5, 0.5, 100), np.random.default_rng(0).normal(2, 0.1, 100)
    falling = noise - np.interp(np.arange(100), [60, 80, 99], [0, 1, 0])

    def smoothed(raw: Any) -> list[float]:
        return [float(np.average(raw[: n + 1], weights=0.85 ** np.arange(n, -1, -1))) for n in range(100)]

    noise[0] = 1.2
    assert suggested(tried, noise, smoothed(noise)) is None
    found = suggested(tried, falling, smoothed(falling))
    assert found is not None
    assert tried[70] < 10 * found < tried[90]


def test_a_large_set_is_mapped_and_decoded_once(
    plain_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond what memory is spent on, pixels lie in a file; taken up again, no picture is decoded a second time."""
    monkeypatch.setattr("train.data.IN_MEMORY_BYTES", 0)
    monkeypatch.setattr("train.data.KEPT_EVERY", 16)
    photos = [*read_dataset(plain_data).photos, Photo(tmp_path / "page.jpg", 0, "train", "no picture")]
    (tmp_path / "page.jpg").write_text("<html>")
    interrupted = decode_all(photos, 24, scratch=tmp_path)
    assert [next(interrupted).done, next(interrupted).done] == [0, 64]
    interrupted.close()
    decoded = []
    monkeypatch.setattr("train.data.decode", lambda path, size: decoded.append(path) or decode(path, size))
    first = ended(decode_all(photos, 24, scratch=tmp_path))
    assert len(decoded) == len(photos) - 65
    again = ended(decode_all(photos, 24, scratch=tmp_path))

    assert len(decoded) == len(photos) - 65
    assert isinstance(first.array, np.memmap)
    assert again.rows == first.rows
    assert again.errors == first.errors == {"no picture": "not an image"}
    for photo, found in zip(photos[:-1], again.array[again.rows_of(photos[:-1])], strict=True):
        assert found.tolist() == decode(photo.path, 24).tolist()


def test_judging_a_large_set_leaves_nothing_of_it_in_memory(
    plain_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages of mapped pixels that training and judging touched are handed back: they would count as memory."""
    monkeypatch.setattr("train.data.IN_MEMORY_BYTES", 0)
    held: list[int] = []

    def noted(*given: Any) -> float:
        entries = Path("/proc/self/smaps").read_text(encoding="utf-8").split("pixels.npy\n")[1:]
        held.extend(int(one.partition("Rss:")[2].split()[0]) for one in entries)
        return temperature(*given)

    monkeypatch.setattr("train.ways.temperature", noted)
    finish(train({"": plain_data}, tmp_path, replace(SMALL, epochs=1), name="mapped"))

    assert held
    assert not any(held)


MIRRORED = """
import sys
from pathlib import Path
from train.backend import tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from dataset.tray import Train
from tests.train.test_fit import ended
from train.data import decode_all, read_dataset
from train.learn import Network, feeds_of, learn
data, work = Path(sys.argv[1]), Path(sys.argv[2])
dataset = read_dataset(data)
pixels = ended(decode_all(dataset.photos, 32, scratch=work))
settings = Train(image_size=32, epochs=2, batch_size=16)
for n, spread in enumerate((None, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))):
    network = Network(settings, 2, spread=spread)
    (work / str(n)).mkdir()
    learned = ended(learn(network, feeds_of(dataset, pixels, settings), item="", work=work / str(n)))
    print(*(row["loss"] for row in learned.history), *(row["val_loss"] for row in learned.history))
"""


def test_several_devices_learn_what_one_learns(plain_data: Path, tmp_path: Path) -> None:
    """Mirrored over two devices, each batch is shared out, and the losses are those of one device."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-W", "ignore", "-c", MIRRORED, str(plain_data), str(tmp_path)]
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()
    alone, mirrored = ([float(one) for one in line.split()] for line in said[-2:])

    assert mirrored == pytest.approx(alone, rel=1e-3)
