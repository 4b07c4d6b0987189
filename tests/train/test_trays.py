"""Trays: put together from photos, learned from, and read as a list of what lies where."""

import csv
import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import tray
from dataset.errors import TrayError
from tests.train.conftest import COLOURS, SMALL, draw, finish
from tests.train.test_fit import ended
from train import heads
from train.canteen import read_labels
from train.composites import Kitchen, area, composites, lessons, overlap, shared
from train.data import read_dataset
from train.fit import train
from train.runs import Run, open_run
from train.trays import Look, choose, drawn, kitchen_of, place, pooled, survey, windows


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    """Return two photos of each food."""
    folder = tmp_path_factory.mktemp("kitchen")
    for name, colour in COLOURS.items():
        for n in range(2):
            draw(folder / f"{name}{n}.jpg", colour, [n])
    return Kitchen({name: sorted(folder.glob(f"{name}*")) for name in COLOURS}, [folder / "plum0.jpg"])


@pytest.fixture(scope="module")
def two_run(built_data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of two items that also learned from trays."""
    settings = replace(SMALL, trays=True, epochs=3)
    two = {item: path for item, path in built_data.items() if item != "plum"}
    return finish(train(two, tmp_path_factory.mktemp("runs"), settings, name="binary"))


@pytest.fixture(scope="module")
def tray_run(two_run: Run, built_data: dict[str, Path]) -> Run:
    """Return that run with a third item added."""
    plum = {"plum": built_data["plum"]}
    return finish(train(plum, two_run.path.parents[1], two_run.settings, name="binary", to=two_run))


@pytest.fixture(scope="module")
def photo(kitchen: Kitchen, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the photo of a tray."""
    path = tmp_path_factory.mktemp("canteen") / "canteen.jpg"
    next(composites(kitchen, 1, foods=(2, 2), seed=5)).image.save(path)
    return path


def size_of(path: Path) -> tuple[int, int]:
    """Return the width and height of a picture."""
    with Image.open(path) as image:
        return image.size


def test_the_same_seed_lays_the_same_trays(kitchen: Kitchen) -> None:
    """Trays are the same to the pixel for one seed, and others for another."""
    first, again, other = (list(composites(kitchen, 3, seed=seed)) for seed in (1, 1, 2))

    assert [one.portions for one in first] == [one.portions for one in again]
    assert all(np.array_equal(one.image, two.image) for one, two in zip(first, again, strict=True))
    assert not any(np.array_equal(one.image, two.image) for one, two in zip(first, other, strict=True))


def test_foods_lie_on_the_tray_and_hardly_over_each_other(kitchen: Kitchen) -> None:
    """As many different foods as asked for, inside the picture, covering each other by a quarter at most."""
    for one in composites(kitchen, 12, foods=(2, 3), seed=3):
        boxes = [portion.box for portion in one.portions]

        assert len(one.names) == len(boxes)
        assert all(0 <= l < r <= one.image.width and 0 <= t < b <= one.image.height for l, t, r, b in boxes)  # noqa: E741
        assert all(overlap(a, b) <= 0.26 for n, a in enumerate(boxes) for b in boxes[:n])
    assert {len(one.names) for one in composites(kitchen, 12, foods=(2, 3), seed=3)} <= {1, 2, 3}


def test_a_few_foods_are_not_on_every_tray(kitchen: Kitchen) -> None:
    """With one food to look for, about half of the trays are without it."""
    alone = replace(kitchen, foods={"tomato": kitchen.foods["tomato"]})
    there = [bool(one.portions) for one in composites(alone, 30, seed=1)]

    assert 6 < sum(there) < 24


def test_a_window_teaches_what_it_shows(kitchen: Kitchen) -> None:
    """A window shows a portion that is mostly inside it, and nothing of which it holds hardly anything."""
    (one,) = composites(kitchen, 1, foods=(3, 3), seed=2)
    every = windows(*one.image.size)
    boxes = {portion.name: portion.box for portion in one.portions}
    taught = list(lessons(one, np.random.default_rng(0), windows=every, most=40))

    assert len(taught) == 40
    assert {name for lesson in taught for name in lesson.shows} == one.names
    for lesson in taught:
        for name in lesson.shows:
            common = shared(boxes[name], lesson.box)
            assert common >= 0.6 * area(boxes[name]) or common >= 0.5 * area(lesson.box)
        for name in one.names - lesson.shows - lesson.unclear:
            assert shared(boxes[name], lesson.box) < 0.15 * area(boxes[name])


def test_windows_cover_the_picture() -> None:
    """The whole comes first; squares of each scale reach every edge and lie half over their neighbours."""
    whole, *rest = windows(640, 480, (0.5,))

    assert whole == (0, 0, 640, 480)
    assert {box[2] - box[0] for box in rest} == {box[3] - box[1] for box in rest} == {240}
    assert (min(box[0] for box in rest), max(box[2] for box in rest)) == (0, 640)
    assert (min(box[1] for box in rest), max(box[3] for box in rest)) == (0, 480)
    lefts = sorted({box[0] for box in rest})
    assert all(b - a <= 120 for a, b in pairwise(lefts))
    assert len(windows(100, 30)) > 1
    assert windows(1, 1)[0] == (0, 0, 1, 1)


def test_windows_are_pooled_between_mean_and_maximum() -> None:
    """The sharper, the nearer to the surest window; never above it."""
    odds = np.array([[-4.0, 0.0], [3.0, 0.0], [-2.0, 0.0]])
    soft, sharp = pooled(odds, 0.5), pooled(odds, 32.0)

    assert -1 < soft[0] < sharp[0] < 3
    assert sharp[0] == pytest.approx(3, abs=0.05)
    assert soft[1] == sharp[1] == pytest.approx(0)


def test_an_item_is_where_its_surest_windows_are() -> None:
    """The whole picture says that something is there, not where; near windows share the saying."""
    boxes = [(0, 0, 100, 100), (0, 0, 40, 40), (10, 0, 50, 40), (60, 60, 100, 100)]

    assert place(boxes, np.array([9.0, 2.0, 2.0, -3.0])) == (5, 0, 45, 40)
    assert place(boxes[:1], np.array([1.0])) == (0, 0, 100, 100)


def test_a_widened_head_knows_other_views() -> None:
    """A head that also saw what it is asked about tells it apart; the photos it tells apart as before."""
    rng = np.random.default_rng(0)

    def around(angle: float, n: int) -> np.ndarray:
        points = np.column_stack([np.full(n, np.cos(angle)), np.full(n, np.sin(angle)), np.zeros(n)])
        points = points + rng.normal(0, 0.05, points.shape)
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    labels = np.repeat([0, 1], 40)
    photos = np.concatenate([around(0.0, 40), around(1.0, 40)])
    seen_so = np.concatenate([around(2.0, 40), around(3.0, 40)])
    head = heads.fit(photos, labels, 2)
    wide = heads.widened(
        head, heads.Known(photos, labels), heads.Known(seen_so, labels), heads.Known(photos[::2], labels[::2])
    )

    assert (head.probabilities(seen_so).argmax(1) == labels).mean() < 0.7
    assert (wide.probabilities(seen_so).argmax(1) == labels).mean() > 0.95
    assert (wide.probabilities(photos).argmax(1) == labels).mean() > 0.95
    assert np.array_equal(wide.left_out, head.left_out)


def test_many_parts_of_a_photo_are_not_many_photos() -> None:
    """Where parts say otherwise than as many photos, the photos are believed, also by a head without a ridge."""
    rng = np.random.default_rng(1)

    def near(axis: int, n: int) -> np.ndarray:
        points = np.eye(3)[axis] + rng.normal(0, 0.1, (n, 3))
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    labels = np.repeat([0, 1], 30)
    photos = heads.Known(np.concatenate([near(0, 30), near(1, 30)]), labels)
    parts = heads.Known(np.concatenate([near(0, 30), near(2, 90)]), np.repeat([1, 0], [30, 90]))
    head = replace(heads.fit(photos.features, labels, 2), ridge=1e-6)
    wide = heads.widened(head, photos, parts, photos)

    assert (wide.probabilities(near(0, 50)).argmax(1) == 0).all()
    assert (wide.probabilities(near(1, 50)).argmax(1) == 1).all()


def test_training_on_trays_is_told(tray_run: Run) -> None:
    """The run keeps how to look and how well that went on held-back photos; photos are judged as ever."""
    told = json.loads((tray_run.path / "run.json").read_text())["tray"]
    scores = json.loads((tray_run.path / "metrics.json").read_text())["trays"]

    assert told["scores"] == scores
    assert scores["judged_on"] == "test"
    assert scores["mean_average_precision"] > 0.8
    assert scores["mean_average_precision"] > scores["whole_alone"]
    assert 0 <= scores["exactly_right"] <= 1
    assert tray_run.metrics["n"] == 60
    assert "Trays" in tray_run.report.read_text()
    assert not (tray_run.path / ".training").exists()


def test_an_item_is_added_to_a_run_that_knows_trays(two_run: Run, tray_run: Run, photo: Path) -> None:
    """How trays are looked at stays for the items that were there, to the bit; the new one is found on them too."""
    before, after = two_run.record["tray"], tray_run.record["tray"]
    (old,), (new,) = survey(two_run, [photo]), survey(open_run(tray_run.path), [photo])
    known = {one.item: one for one in old.seen}

    assert set(two_run.items) == set(known) == set(COLOURS) - {"plum"}
    for name in ("scales", "sharpness", "slope", "thresholds"):
        assert after[name] == before[name]
    assert after["offsets"].keys() - before["offsets"].keys() == {"plum"}
    assert {item: after["offsets"][item] for item in known} == before["offsets"]
    assert {one.item: one for one in new.seen if one.item != "plum"} == known


def test_trays_are_made_of_the_part_they_are_for(built_data: dict[str, Path]) -> None:
    """What is judged by shares no photo with what is learned from; another item's photos are no clutter."""
    data = {item: read_dataset(path) for item, path in built_data.items()}
    train_, test = kitchen_of(data, "train"), kitchen_of(data, "test")

    assert set(train_.foods) == set(COLOURS)
    assert {path.parent.parent.name for paths in train_.foods.values() for path in paths} == {"train"}
    assert {path.parent.parent.name for paths in test.foods.values() for path in paths} == {"test"}
    assert test.clutter == []


def test_a_tray_gives_its_items_and_where_they_are(tray_run: Run, photo: Path, tmp_path: Path) -> None:
    """Every item has a probability and a box in pixels; what is no picture says so."""
    (tmp_path / "page.jpg").write_text("<html>")
    found, page = survey(open_run(tray_run.path), [photo, tmp_path / "page.jpg"])

    assert (found.width, found.height) == size_of(photo)
    assert {one.item for one in found.seen} == set(COLOURS)
    assert [one.probability for one in found.seen] == sorted((one.probability for one in found.seen), reverse=True)
    assert set(found.items) == {one.item for one in found.seen if one.present}
    for one in found.seen:
        left, top, right, bottom = one.box
        assert 0 <= left < right <= found.width
        assert 0 <= top < bottom <= found.height
    assert page.error
    assert not page.seen


def test_a_wanted_precision_holds_for_trays(tray_run: Run, kitchen: Kitchen) -> None:
    """Where a precision was asked for, each item gets a threshold for trays too; elsewhere a half is enough."""
    record = tray_run.record | {"config": tray_run.config | {"wanted_precision": 1.0}}
    strict, usual = (
        ended(choose(run, kitchen, seed=4)) for run in (Run(tray_run.path, record), open_run(tray_run.path))
    )

    assert set(strict.thresholds) == set(COLOURS)
    assert all(0 < one < 1 for one in strict.thresholds.values())
    assert usual.thresholds == {}


def test_a_run_without_trays_looks_at_them_too(plain_run: Run, items_run: Run, photo: Path) -> None:
    """Any run can be asked; one classifier of two classes looks for its positive one."""
    (one,) = survey(plain_run, [photo])
    (three,) = survey(items_run, [photo])

    assert [sighting.item for sighting in one.seen] == ["tomato"]
    assert len(three.seen) == 3
    assert Look().thresholds == {}


def test_the_command_tells_boxes_and_draws_them(tray_run: Run, photo: Path, tmp_path: Path) -> None:
    """`tray predict --tray` answers in every form, and --draw leaves a picture."""
    (tmp_path / "page.jpg").write_text("<html>")
    asked = ["predict", str(tray_run.path), str(photo), str(tmp_path / "page.jpg"), "--tray", "-q"]
    as_csv = CliRunner().invoke(tray.main, [*asked, "--format", "csv"]).stdout
    as_json = CliRunner().invoke(tray.main, [*asked, "--json", "--draw", str(tmp_path / "boxes")]).stdout
    table = CliRunner().invoke(tray.main, asked).stdout
    rows = list(csv.DictReader(as_csv.splitlines()))
    told = json.loads(as_json)

    assert [row["item"] for row in rows] == [one["item"] for one in told[0]["seen"]] + [""]
    assert [int(rows[0][edge]) for edge in ("left", "top", "right", "bottom")] == told[0]["seen"][0]["box"]
    assert rows[-1]["error"] == told[1]["error"] != ""
    assert (" at " in table) == any(one["present"] for one in told[0]["seen"])
    assert size_of(tmp_path / "boxes" / "canteen.jpg") == size_of(photo)


def test_classes_of_one_folder_stand_against_each_other(kitchen: Kitchen, tmp_path: Path) -> None:
    """Items that share a folder of class folders are each told from the rest, and the folder is judged by again."""
    for name, colour in COLOURS.items():
        for n in range(12):
            draw(tmp_path / "foods" / name / f"{n}.jpg", colour, [7, n])
    settings = replace(SMALL, epochs=2)
    run = finish(train(dict.fromkeys(COLOURS, tmp_path / "foods"), tmp_path / "runs", settings, name="foods"))

    assert run.labels == {name: (f"not_{name}", name) for name in COLOURS}
    assert run.metrics["items"]["plum"]["per_class"]["plum"]["support"] == 2
    assert run.metrics["items"]["plum"]["per_class"]["not_plum"]["support"] == 4


def test_a_run_is_judged_by_trays(tray_run: Run, kitchen: Kitchen, tmp_path: Path) -> None:
    """`tray evaluate --tray` lays trays from held-back photos, or from a folder's, and writes figures and a page."""
    asked = ["evaluate", str(tray_run.path), "--tray", "--json", "-q"]
    own = json.loads(CliRunner().invoke(tray.main, [*asked, "--out", str(tmp_path / "out")]).stdout)
    for name, files in kitchen.foods.items():
        for file in files:
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, tmp_path / "photos" / name)
    other = json.loads(CliRunner().invoke(tray.main, [*asked, "--data", str(tmp_path / "photos")]).stdout)

    assert own == tray_run.record["tray"]["scores"]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["trays"] == own
    assert "Trays" in (tmp_path / "out" / "report.html").read_text()
    assert (other["judged_on"], other["n"]) == ("photos", 6)


def test_a_run_is_judged_by_photos_of_trays(tray_run: Run, kitchen: Kitchen, tmp_path: Path) -> None:
    """trays.csv says what lies on each photo; one that can't be read is told; unknown items are refused."""
    rows = ["file,items"]
    for number, one in enumerate(composites(kitchen, 5, foods=(1, 3), seed=8)):
        one.image.save(tmp_path / f"{number}.jpg")
        rows.append(f'{number}.jpg,"{", ".join(one.names)}"')
    (tmp_path / "trays.csv").write_text("\n".join([*rows, "gone.jpg,plum", ""]))
    asked = ["evaluate", str(tray_run.path), "--tray", "--data", str(tmp_path), "-q"]
    done = CliRunner().invoke(tray.main, [*asked, "--json", "--out", str(tmp_path / "out")])
    told = json.loads(done.stdout)
    (tmp_path / "trays.csv").write_text("file,items\n0.jpg,pear;plum\n")
    refused = CliRunner().invoke(tray.main, asked)

    assert (told["n"], told["found_right"]) == (5, None)
    assert 0 <= told["exactly_right"] <= 1
    assert "gone.jpg" in (tmp_path / "out" / "report.html").read_text()
    assert refused.exit_code == 1
    assert "Received: pear in line 2" in refused.stderr


def test_a_class_called_background_is_no_food(built_data: dict[str, Path]) -> None:
    """In a folder of classes, what lies around is clutter."""
    dataset = read_dataset(built_data["plum"])
    several = replace(dataset, class_names=("background", "plum", "tomato"))
    kitchen = kitchen_of({"": several}, "train")

    assert set(kitchen.foods) == {"plum"}
    assert len(kitchen.clutter) == 24


def test_what_vanishes_before_it_is_drawn_is_told_all_the_same(plain_run: Run, photo: Path, tmp_path: Path) -> None:
    """The answer was given already; the next picture is drawn."""
    (first,) = survey(plain_run, [photo])
    found = [replace(first, file=tmp_path / "gone.jpg", items={}), first]

    assert list(drawn(found, tmp_path / "seen")) == found
    assert [path.name for path in (tmp_path / "seen").iterdir()] == [f"{photo.stem}.jpg"]


def test_items_of_a_tray_need_no_quotes(items_run: Run, tmp_path: Path) -> None:
    """A comma between items makes further cells, which count too; a table in another encoding is refused."""
    table = tmp_path / "trays.csv"
    table.write_text('file,items\na.jpg,plum, tomato\nb.jpg,plum; lettuce\nc.jpg,"plum,tomato"\nd.jpg,\n')
    found = read_labels(items_run, table)

    lists = [sorted(items) for items in found.values()]

    assert lists == [["plum", "tomato"], ["lettuce", "plum"], ["plum", "tomato"], []]

    table.write_bytes("file,items\ncaf\xe9.jpg,plum\n".encode("latin-1"))
    with pytest.raises(TrayError, match=r"trays.csv to be a table in UTF-8"):
        read_labels(items_run, table)


def test_a_tray_s_table_is_read_as_any_other(items_run: Run, tmp_path: Path) -> None:
    """Spreadsheets part columns by semicolons; what no reader takes is told with its line, and not as an encoding."""
    table = tmp_path / "trays.csv"
    table.write_text("file;items\n\na.jpg;plum, tomato\n", encoding="utf-16")

    assert read_labels(items_run, table) == {tmp_path / "a.jpg": frozenset({"plum", "tomato"})}

    table.write_text(f"file,items\na.jpg,plum\nb.jpg,{'plum ' * 40_000}\n")
    with pytest.raises(TrayError, match=r"to be a table. Received: field larger than .* in line 3"):
        read_labels(items_run, table)

    table.write_text("file,items\na.jpg,plum\nb.jpg\n")
    with pytest.raises(TrayError, match=r"columns file and items .* Received: b.jpg in line 3"):
        read_labels(items_run, table)
