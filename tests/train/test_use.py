"""Using a finished run: opening, predicting, evaluating."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tray
from dataset.errors import ConfigError, RunNotFound, TrayError
from tests.train.conftest import SMALL, draw, draw_class, finish, result
from train.backend import keras
from train.data import decode
from train.evaluate import evaluate, learned_from, wilson
from train.fit import train
from train.models import alone
from train.predict import predict
from train.runs import Run, open_run
from train.where import Eye, looking


def test_a_run_opens_by_its_name(plain_run: Run) -> None:
    """runs/<name> stands for the newest finished run in it."""
    (plain_run.path.parent / "29990101-000000").mkdir(exist_ok=True)

    assert open_run(plain_run.path.parent).path == plain_run.path
    assert open_run(plain_run.path).record == plain_run.record


@pytest.mark.parametrize("name", ["missing", "empty", "file.txt"])
def test_what_is_no_run_is_refused(tmp_path: Path, name: str) -> None:
    """No such folder, an empty one and a file each get a sentence that says how to make a run."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")

    with pytest.raises(RunNotFound, match="tray train"):
        open_run(tmp_path / name)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99, "versions": {"tray": "9.0"}}'])
def test_a_run_that_cant_be_understood_is_refused(tmp_path: Path, text: str) -> None:
    """A damaged run.json, and one of a newer version, are RunNotFound."""
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(RunNotFound, match=r"Train again|Update tray"):
        open_run(tmp_path)


def test_a_run_without_its_model_is_refused(tmp_path: Path, plain_run: Run) -> None:
    """When model.keras is gone, the sentence names it."""
    (tmp_path / "run.json").write_text(json.dumps(plain_run.record))
    draw(tmp_path / "a.jpg", (200, 40, 30), [1])

    with pytest.raises(RunNotFound, match=r"model\.keras"):
        list(predict(open_run(tmp_path), [tmp_path / "a.jpg"]))


def test_predictions_name_the_label_with_its_probability(plain_run: Run, tmp_path: Path) -> None:
    """A red picture is tomato, a violet one is not; both probabilities are told, the higher first."""
    draw(tmp_path / "red.jpg", (200, 40, 30), [91])
    draw(tmp_path / "violet.png", (90, 40, 140), [92])
    red, violet = predict(plain_run, [tmp_path / "red.jpg", tmp_path / "violet.png"])

    assert (red.label, violet.label) == ("tomato", "not_tomato")
    assert list(red.probabilities) == ["tomato", "not_tomato"]
    assert sum(red.probabilities.values()) == pytest.approx(1)
    assert red.items == {"tomato": red.probabilities["tomato"]}
    assert violet.items == {}


def test_a_model_looks_through_the_classifiers_that_are_asked(items_run: Run, tmp_path: Path) -> None:
    """Made without the others, a heat map is that of the whole model."""
    path = tmp_path / "a.jpg"
    draw(path, (200, 40, 30), [1])
    item = items_run.items[-1]
    whole = Eye(items_run.model, items_run.probabilities).heat(decode(path, items_run.image_size), item, 1)

    assert looking(items_run.model, items_run.image_size, [item])(path, item, 1) == pytest.approx(whole.rows, abs=1e-5)
    assert whole.rows.max() == 1


def test_an_unreadable_picture_is_a_prediction_with_an_error(plain_run: Run, tmp_path: Path) -> None:
    """Other pictures of the same batch are predicted all the same, in their order."""
    draw(tmp_path / "red.jpg", (200, 40, 30), [91])
    (tmp_path / "page.jpg").write_text("<html>")
    files = [tmp_path / "page.jpg", tmp_path / "red.jpg", tmp_path / "missing.jpg"]
    page, red, missing = predict(plain_run, files)

    assert [page.file, red.file, missing.file] == files
    assert (page.error, page.label) == ("not an image", "")
    assert red.label == "tomato"
    assert "No such file" in missing.error


def test_predictions_stream(plain_run: Run, tmp_path: Path) -> None:
    """The first prediction comes before the last file is asked for: any number of files fits."""
    draw(tmp_path / "red.jpg", (200, 40, 30), [91])
    asked = 0

    def files() -> Iterator[Path]:
        nonlocal asked
        for number in range(1, 301):
            asked = number
            yield tmp_path / "red.jpg"

    found = predict(plain_run, files())
    next(found)

    assert asked < 100
    assert len(list(found)) == 299


def test_items_found_on_a_picture_are_listed(items_run: Run, tmp_path: Path) -> None:
    """A run of several items tells each item's probability, and which are on the tray."""
    draw(tmp_path / "green.jpg", (50, 160, 50), [93])
    (green,) = predict(items_run, [tmp_path / "green.jpg"])

    assert green.items is not None
    assert "lettuce" in green.items
    assert set(green.probabilities) == {"tomato", "lettuce", "plum"}
    assert green.label.split(", ")[0] == "lettuce"
    assert len(next(predict(items_run, [tmp_path / "green.jpg"], top=2)).probabilities) == 2


def test_an_items_classifier_can_be_taken_out_alone(items_run: Run, tmp_path: Path) -> None:
    """Saved and loaded by itself it gives, to the bit, what it gave among the others, and is a third of them."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    alone(items_run.model, "plum").save(tmp_path / "plum.keras")
    plum = keras.models.load_model(tmp_path / "plum.keras", compile=False)
    together = items_run.model(pixels, training=False)

    assert np.array_equal(plum(pixels, training=False), together["plum"])
    assert plum.count_params() * 3 == items_run.model.count_params()
    with pytest.raises(ConfigError, match="tomato, lettuce, plum"):
        alone(items_run.model, "pear")


def test_evaluating_its_own_data_gives_the_runs_figures(plain_run: Run, items_run: Run) -> None:
    """Without a folder, the held-back pictures are judged again, and the figures are the run's."""
    for run in (plain_run, items_run):
        again = result(evaluate(run))

        assert again.accuracy == pytest.approx(run.metrics["accuracy"])
        assert again.n == run.metrics["n"]
        assert again.judged_on == run.metrics["judged_on"]


def test_evaluating_a_new_folder_judges_all_of_it(plain_run: Run, tmp_path: Path) -> None:
    """A labelled folder that the run never saw is judged whole, and the report goes where it was asked."""
    draw_class(tmp_path / "new" / "tomato", ["tomato"], 6, seed=50)
    draw_class(tmp_path / "new" / "not_tomato", ["plum"], 4, seed=50)
    found = result(evaluate(plain_run, tmp_path / "new", tmp_path / "out"))

    assert found.n == 10
    assert found.accuracy > 0.7
    assert found.per_class["tomato"].support == 6
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"metrics.json", "predictions.csv", "report.html"}
    assert "Judged on every picture of new" in (tmp_path / "out" / "report.html").read_text()


def test_items_are_evaluated_on_one_folder_of_items(items_run: Run, tmp_path: Path) -> None:
    """A folder with a class per item serves every classifier: the others' pictures are its negatives."""
    for kind in ("tomato", "lettuce", "plum"):
        draw_class(tmp_path / kind, [kind], 4, seed=60)
    draw_class(tmp_path / "not_plum", ["tomato"], 2, seed=61)
    found = result(evaluate(items_run, tmp_path))

    assert found.items["plum"].n == 14
    assert found.items["tomato"].n == 12
    assert found.items["plum"].per_class["plum"].support == 4


def test_pictures_that_were_learned_from_are_counted(plain_run: Run, plain_data: Path, tmp_path: Path) -> None:
    """Judged on what it was trained on, under another name, a run does not look better than it is without a word."""
    draw_class(tmp_path / "mixed" / "tomato", ["tomato"], 3, seed=70)
    draw_class(tmp_path / "mixed" / "not_tomato", ["plum"], 3, seed=70)
    for n, path in enumerate(sorted((plain_data / "tomato").iterdir())[:5]):
        shutil.copy(path, tmp_path / "mixed" / "tomato" / f"again{n}.jpg")
    found = result(evaluate(plain_run, tmp_path / "mixed", tmp_path / "out"))

    assert (found.n, found.seen) == (11, 5)
    assert "learned from 5 of them" in (tmp_path / "out" / "report.html").read_text()
    assert result(evaluate(plain_run)).seen == 0
    said = CliRunner().invoke(tray.main, ["evaluate", str(plain_run.path), "--data", str(tmp_path / "mixed")])
    assert "5 were learned from" in said.stdout
    assert "judge pictures: 100%" in said.stderr


def test_a_training_tells_which_class_its_figures_are_of(plain_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Precision and recall are those of the positive class: it is named where the folder is called otherwise."""
    told = tray.describe_run(plain_run)
    for item in ("", "tomato", "fruit"):
        tray.print_run({**told, "items": {item: told["items"][""]}})
    rows = [line for line in capsys.readouterr().out.splitlines() if "tomato" in line and "runs" not in line]

    assert [row.partition("  ")[0] for row in rows] == ["tomato", "tomato", "fruit: tomato"]


def test_what_a_build_received_is_known_again(built_data: dict[str, Path], items_run: Run, tmp_path: Path) -> None:
    """A built picture has other bytes than the one that it was made of, which counts as learned from too."""
    data = shutil.copytree(built_data["plum"], tmp_path / "built")
    photo = next((data / "train" / "plum").iterdir())
    row = {"file_name": photo.relative_to(data).as_posix(), "sha256": "a" * 64}
    (data / "metadata.jsonl").write_text(json.dumps(row | {"digest": ""}) + "\n")
    (data / "dataset.json").unlink()
    record = json.loads(json.dumps(items_run.record))
    record["items"] = {"plum": record["items"]["plum"] | {"data": str(data)}}
    known = learned_from(Run(tmp_path, record))

    assert "a" * 64 in known
    assert hashlib.sha256(photo.read_bytes()).hexdigest() in known
    assert hashlib.sha256(next((data / "test" / "plum").iterdir()).read_bytes()).hexdigest() not in known
    assert learned_from(Run(tmp_path, {"items": {"": {"data": "gone", "class_names": []}}})) == frozenset()


def test_a_run_finds_its_pictures_where_the_project_was_moved_or_copied(plain_data: Path, tmp_path: Path) -> None:
    """A copy is judged on its own pictures, a run that was moved alone on the old ones; without any it is told."""
    project, copy, alone = tmp_path / "project", tmp_path / "copy", tmp_path / "alone"
    shutil.copytree(plain_data, project / "data")
    run = finish(train({"": project / "data"}, project / "runs", SMALL, name="food"))
    below = run.path.relative_to(project)
    expected = result(evaluate(run))
    shutil.copytree(project, copy)
    shutil.copytree(run.path, alone)

    assert run.data_of("") == project / "data"
    assert open_run(copy / below).data_of("") == copy / "data"
    assert open_run(alone).data_of("") == project / "data"
    project.rename(tmp_path / "moved")
    moved = open_run(tmp_path / "moved" / below)
    assert moved.data_of("") == tmp_path / "moved" / "data"
    assert result(evaluate(moved)) == expected
    assert len(learned_from(moved)) == len(learned_from(open_run(copy / below))) > 0
    with pytest.raises(TrayError, match=r"Received: no such folder.*--data"):
        result(evaluate(open_run(alone)))


def test_several_classifiers_have_no_common_interval(items_run: Run) -> None:
    """Decisions about one picture are not independent: an interval over all of them would be too narrow."""
    assert items_run.metrics["interval"] is None
    assert all(len(one["interval"]) == 2 for one in items_run.metrics["items"].values())


def test_a_damaged_model_is_told_from_none(plain_run: Run, tmp_path: Path) -> None:
    """The sentence says what is wrong with the file; Keras calls a damaged one "not found"."""
    with pytest.raises(RunNotFound, match="no such file"):
        _ = Run(tmp_path, plain_run.record).model
    (tmp_path / "model.keras").write_bytes((plain_run.path / "model.keras").read_bytes()[:999])
    with pytest.raises(RunNotFound, match="a damaged file"):
        _ = Run(tmp_path, plain_run.record).model


def test_a_label_the_run_never_saw_is_refused(plain_run: Run, tmp_path: Path) -> None:
    """The sentence names the strange class and those that are known."""
    draw_class(tmp_path / "tomato", ["tomato"], 2)
    draw_class(tmp_path / "cucumber", ["lettuce"], 2)

    with pytest.raises(TrayError, match=r"not_tomato, tomato.*'cucumber'"):
        result(evaluate(plain_run, tmp_path))


@pytest.mark.parametrize(("right", "n", "low", "high"), [(50, 100, 0.404, 0.596), (10, 10, 0.722, 1.0), (0, 0, 0, 1)])
def test_the_interval_is_wilsons(right: int, n: int, low: float, high: float) -> None:
    """Against published values."""
    assert wilson(right, n) == pytest.approx((low, high), abs=0.001)


def test_a_run_of_the_first_version_still_predicts(plain_run: Run, tmp_path: Path) -> None:
    """Before there were views, run.json told no size beside the network's own."""
    record = {key: value for key, value in plain_run.record.items() if key != "input_size"}
    (tmp_path / "run.json").write_text(json.dumps(record))
    (tmp_path / "model.keras").write_bytes((plain_run.path / "model.keras").read_bytes())
    draw(tmp_path / "red.jpg", (200, 40, 30), [91])
    (found,) = predict(open_run(tmp_path), [tmp_path / "red.jpg"])

    assert found.label == "tomato"


def test_its_own_pictures_must_be_those_it_was_trained_on(plain_run: Run, plain_data: Path, tmp_path: Path) -> None:
    """With one more picture, what was held back may have moved: the run is not judged on it unless it is named."""
    data = shutil.copytree(plain_data, tmp_path / "data")
    draw(data / "tomato" / "new.jpg", (200, 40, 30), [97])
    record = json.loads(json.dumps(plain_run.record))
    record["items"][""]["data"] = str(data)
    (tmp_path / "run.json").write_text(json.dumps(record))
    (tmp_path / "model.keras").write_bytes((plain_run.path / "model.keras").read_bytes())

    with pytest.raises(TrayError, match=r"Received: others.*--data"):
        result(evaluate(open_run(tmp_path)))
    assert result(evaluate(open_run(tmp_path), data)).n == 81
