"""Exports, each read back by the library that it is for."""

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataset.build import build_folder
from dataset.errors import ConfigError, FolderLocked, TrayError
from dataset.export import FORMATS, Exported, Terms, export_dataset
from dataset.exporters.crc32c import crc32c
from dataset.exporters.examples import read_dataset
from dataset.folder import ClassFolder, Record, locked
from dataset.images import inspect
from dataset.importers import Imported, import_dataset
from dataset.review.verdicts import Verdict, to_line
from dataset.tray import Build

NAMES = ("apple", "pear")


def photo(seed: int) -> bytes:
    """Draw a picture, another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((96, 80), Image.Resampling.BICUBIC).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a built dataset of two classes, half of it from the web and half from this machine."""
    root = tmp_path_factory.mktemp("export")
    for number, name in enumerate(NAMES):
        with ClassFolder(root / "raw" / name) as folder:
            for index in range(15):
                data = photo(100 * number + index)
                info = inspect(data)
                url = f"https://example.org/{name}/{index}.jpg" if index % 2 else f"file:///home/me/{name}/{index}.jpg"
                record = Record(
                    url, engine="bing", term=f"red {name}", file=".jpg", sha256=info.sha256, width=96, height=80,
                    format="JPEG", phash=info.phash, fetched="2026-11-20T10:00:00+00:00",
                )  # fmt: skip
                folder.keep(record, data)
    list(build_folder(root / "raw", root / "fruit", Build()))
    return root / "fruit"


def send(folder: Path, kind: str, out: Path, **terms: Any) -> Exported:
    """Export to the end; return the result."""
    *steps, last = export_dataset(folder, kind, out, terms=Terms(**terms))
    assert isinstance(last, Exported)
    assert last.unchanged or steps[-1].done == steps[-1].total == last.pictures  # type: ignore[union-attr]
    return last


def hashes(out: Path) -> dict[str, str]:
    """Return the checksum of every file of an export, its marker aside."""
    files = (path for path in out.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def lying(built: Path) -> dict[str, Counter[tuple[str, str]]]:
    """Return the pictures of a dataset by split, as label and checksum."""
    found: dict[str, Counter[tuple[str, str]]] = {}
    for path in built.glob("*/*/*.jpg"):
        split, label = path.parts[-3:-1]
        found.setdefault(split, Counter())[label, hashlib.sha256(path.read_bytes()).hexdigest()] += 1
    return found


def follow_card(out: Path) -> dict[str, Any]:
    """Run the example of an export's card as it stands there; return its names."""
    names: dict[str, Any] = {}
    exec((out / "README.md").read_text().split("```python\n")[1].split("```")[0], names)  # noqa: S102 - our own card
    return names


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_the_same_dataset_gives_the_same_bytes(built: Path, tmp_path: Path, kind: str) -> None:
    """Two exports are equal to the last byte, and a second run touches nothing."""
    first = send(built, kind, tmp_path / "a")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*") if path.name != ".lock"}
    second = send(built, kind, tmp_path / "b")
    again = send(built, kind, tmp_path / "a")

    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert (first.unchanged, second.unchanged, again.unchanged) == (False, False, True)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert first.pictures == 30
    assert set(first.files) <= set(hashes(tmp_path / "a"))


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_killed_export_goes_on(built: Path, tmp_path: Path, kind: str) -> None:
    """An export that stopped anywhere ends as an undisturbed one, and what was whole is not written again."""
    send(built, kind, tmp_path / "whole", shard_bytes=20_000)
    for steps in (1, 9, 28):
        running = export_dataset(built, kind, tmp_path / "cut", terms=Terms(shard_bytes=20_000))
        for _ in range(steps):
            next(running)
        running.close()  # type: ignore[attr-defined]
    (tmp_path / "cut" / ".old.part").write_bytes(b"torn")
    before = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "cut").rglob("*.t*")
        if path.is_file() and path.suffix != ".part"
    }
    send(built, kind, tmp_path / "cut", shard_bytes=20_000)

    assert hashes(tmp_path / "cut") == hashes(tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list((tmp_path / "cut").rglob("*.part"))


def test_what_was_taken_away_or_changed_is_written_again(tmp_path: Path) -> None:
    """A finished export that lost a file gets it back, and a picture with other bytes under its name goes along."""
    for name in NAMES:
        (tmp_path / "raw" / name).mkdir(parents=True)
        (tmp_path / "raw" / name / "1.jpg").write_bytes(photo(len(name)))
    send(tmp_path / "raw", "zip", tmp_path / "out")
    whole = hashes(tmp_path / "out")
    (tmp_path / "out" / "classes.txt").unlink()

    assert not send(tmp_path / "raw", "zip", tmp_path / "out").unchanged
    assert hashes(tmp_path / "out") == whole

    (tmp_path / "raw" / "pear" / "1.jpg").write_bytes(photo(9))
    send(tmp_path / "raw", "zip", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out" / "raw.zip") as archive:
        assert photo(9) in [archive.read(name) for name in archive.namelist()]


def test_a_dataset_that_is_older_than_its_review_is_not_handed_on_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a person has thrown out since is still in it, and that is said."""
    for name in NAMES:
        (tmp_path / "raw" / name).mkdir(parents=True)
        for index in range(8):
            (tmp_path / "raw" / name / f"{index}.jpg").write_bytes(photo(10 * len(name) + index))
    list(build_folder(tmp_path / "raw", tmp_path / "fruit", Build()))
    send(tmp_path / "fruit", "zip", tmp_path / "out")
    assert not caplog.messages

    (tmp_path / "raw" / NAMES[0] / "review.jsonl").write_bytes(to_line(Verdict("1.jpg", "drop")))
    assert send(tmp_path / "fruit", "zip", tmp_path / "out").pictures == 8 * len(NAMES)
    said = f"{tmp_path / 'fruit'} is outdated (new verdicts of the review): tray build makes it anew."
    assert caplog.messages == [said]


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_nothing_of_this_machine_goes_along(built: Path, tmp_path: Path, kind: str) -> None:
    """Addresses on the web are kept as provenance; paths of this machine are not told to anybody."""
    send(built, kind, tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "pictures.jsonl").read_text().splitlines()]

    assert sum(bool(one["urls"]) for one in rows) == 14
    assert {url.split("/")[2] for one in rows for url in one["urls"]} == {"example.org"}
    assert all(b"/home/me" not in path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert "red apple" in (tmp_path / "out" / "README.md").read_text()
    assert (tmp_path / "out" / "classes.txt").read_text() == "apple\npear\n"


def test_zip_as_kaggle_takes_it(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The zip is stored, holds splits of class folders, and its metadata keeps to Kaggle's rules."""
    send(built, "zip", tmp_path / "out", licence="cc-by-4.0", owner="jane")
    metadata = json.loads((tmp_path / "out" / "dataset-metadata.json").read_text())

    assert 6 <= len(metadata["title"]) <= 50
    assert re.fullmatch(r"jane/[a-z0-9-]{6,50}", metadata["id"])
    assert metadata["licenses"] == [{"name": "CC-BY-4.0"}]
    assert [one["path"] for one in metadata["resources"]] == ["fruit.zip"]
    with zipfile.ZipFile(tmp_path / "out" / "fruit.zip") as archive:
        assert archive.testzip() is None
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}
        archive.extractall(tmp_path / "unpacked")  # noqa: S202 - our own zip
    assert lying(tmp_path / "unpacked") == lying(built)

    monkeypatch.chdir(tmp_path / "unpacked")
    train = follow_card(tmp_path / "out")["train"]
    assert train.class_names == list(NAMES)
    assert len(train.file_paths) == len(list((built / "train").rglob("*.jpg")))


def test_tfrecord_read_by_tensorflow(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tf.data reads every record of every shard, with pixels, label, name, size and checksum."""
    tf = pytest.importorskip("tensorflow")
    result = send(built, "tfrecord", tmp_path / "out", shard_bytes=20_000)
    shards = [name for name in result.files if name.endswith(".tfrecord")]
    assert len(shards) > 4
    assert all(re.fullmatch(r"fruit-(train|val|test)-\d{5}-of-\d{5}\.tfrecord", name) for name in shards)

    text, number = tf.io.FixedLenFeature([], tf.string), tf.io.FixedLenFeature([], tf.int64)
    features = {
        **{f"image/{name}": text for name in ("encoded", "format", "class/text", "filename", "sha256")},
        **{f"image/{name}": number for name in ("height", "width", "class/label")},
    }
    found: dict[str, Counter[tuple[str, str]]] = {}
    for record in tf.data.TFRecordDataset([str(tmp_path / "out" / name) for name in shards]):
        one = {name: value.numpy() for name, value in tf.io.parse_single_example(record, features).items()}
        assert tf.io.decode_image(one["image/encoded"]).shape == (one["image/height"], one["image/width"], 3)
        assert NAMES[one["image/class/label"]] == one["image/class/text"].decode()
        assert one["image/format"] == b"jpeg"
        assert hashlib.sha256(one["image/encoded"]).hexdigest() == one["image/sha256"].decode()
        split = one["image/filename"].decode().split("/")[0]
        found.setdefault(split, Counter())[one["image/class/text"].decode(), one["image/sha256"].decode()] += 1
    assert found == lying(built)

    monkeypatch.chdir(tmp_path / "out")
    loaded = list(follow_card(tmp_path / "out")["train"])
    assert len(loaded) == found["train"].total()
    assert {(tuple(pixels.shape), label.dtype.name) for pixels, label in loaded} == {((80, 96, 3), "int64")}


def test_checksums_are_castagnoli() -> None:
    """The checksum agrees with the published vectors and, over many lengths, with one taken bit by bit."""
    assert [crc32c(data) for data in (b"", b"123456789", bytes(32), b"\xff" * 32)] == [
        0,
        0xE3069283,
        0x8A9136AA,
        0x62A8AB43,
    ]
    assert [crc32c(bytes(range(256))[:length] * 5) for length in (64, 65, 255)] == [
        bit_by_bit(bytes(range(256))[:length] * 5) for length in (64, 65, 255)
    ]


def bit_by_bit(data: bytes) -> int:
    """Return CRC-32C as its definition says it."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def test_webdataset_shards(built: Path, tmp_path: Path) -> None:
    """Each picture's files lie side by side under a name without dots, and the classes are mixed."""
    send(built, "webdataset", tmp_path / "out", shard_bytes=20_000)
    order = []
    for path in sorted((tmp_path / "out").glob("train-*.tar")):
        with tarfile.open(path) as archive:
            names = archive.getnames()
            order += [int(archive.extractfile(name).read()) for name in names if name.endswith(".cls")]  # type: ignore[union-attr]
        keys = [name.split(".")[0] for name in names]
        assert [name.removeprefix(key) for name, key in zip(names, keys, strict=True)] == [".jpg", ".cls", ".json"] * (
            len(keys) // 3
        )

    assert len(list((tmp_path / "out").glob("train-*.tar"))) > 2
    assert order not in (sorted(order), sorted(order, reverse=True))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_read_by_its_library(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library decodes every picture with its label and provenance."""
    webdataset = pytest.importorskip("webdataset")
    send(built, "webdataset", tmp_path / "out", shard_bytes=20_000)
    found: dict[str, Counter[tuple[str, str]]] = {}
    for split in lying(built):
        shards = sorted(map(str, (tmp_path / "out").glob(f"{split}-*.tar")))
        for data, number, said in webdataset.WebDataset(shards, shardshuffle=False).to_tuple("jpg", "cls", "json"):
            assert json.loads(said)["label"] == NAMES[int(number)]
            found.setdefault(split, Counter())[NAMES[int(number)], hashlib.sha256(data).hexdigest()] += 1
        decoded = webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("jpg", "cls")
        assert {(picture.size, type(number)) for picture, number in decoded} == {((96, 80), int)}
    assert found == lying(built)

    monkeypatch.chdir(tmp_path / "out")
    assert sum(1 for _ in follow_card(tmp_path / "out")["train"]) == found["train"].total()


def test_hugging_face_folder(built: Path, tmp_path: Path) -> None:
    """The image folder holds the pictures as they are, one table per split, and a card with its YAML."""
    send(built, "huggingface", tmp_path / "out", licence="CC-BY-4.0")
    card = (tmp_path / "out" / "README.md").read_text()

    assert lying(tmp_path / "out") == lying(built)
    for split in lying(built):
        rows = [json.loads(line) for line in (tmp_path / "out" / split / "metadata.jsonl").read_text().splitlines()]
        assert all((tmp_path / "out" / split / one["file_name"]).parent.name == one["label"] for one in rows)
    assert card.startswith('---\nlicense: "cc-by-4.0"\n')
    assert "  - split: validation\n    path: val/**\n" in card
    assert "## Terms of use" in card


def test_hugging_face_read_by_its_library(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of the card loads every split, with its labels' numbers and pictures; so does the plain loader."""
    pytest.importorskip("datasets")
    send(built, "huggingface", tmp_path / "out")
    # The library settles where its cache lies, and that it stays offline, when it is imported.
    code = """
import json, sys, datasets
exec(sys.argv[2])
plain = datasets.load_dataset("imagefolder", data_dir=sys.argv[1])
print(json.dumps({
    "names": loaded["train"].features["label"].names,
    "rows": {name: [[one["label"], one["image"].size, one["terms"]] for one in rows] for name, rows in loaded.items()},
    "plain": {split: sorted(rows["label"]) for split, rows in plain.items()},
}))
"""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    card = (tmp_path / "out" / "README.md").read_text()
    example = card.split("```python\n")[1].split("```")[0].replace("PATH_OR_NAME", str(tmp_path / "out"))
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "out", example], check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)

    there = {{"val": "validation"}.get(split, split): rows for split, rows in lying(built).items()}
    assert said["names"] == list(NAMES)
    assert {split: len(rows) for split, rows in said["rows"].items()} == {
        split: rows.total() for split, rows in there.items()
    }
    assert all(
        size == [96, 80] and terms == f"red {NAMES[label]}"
        for rows in said["rows"].values()
        for label, size, terms in rows
    )
    assert said["plain"] == {split: sorted(label for label, _ in rows.elements()) for split, rows in there.items()}


def test_an_export_comes_back_by_import(built: Path, tmp_path: Path) -> None:
    """What was exported as an image folder, or as a zip, imports as the same pictures with their splits."""
    there = {split: rows.total() for split, rows in lying(built).items()}
    for kind, source in (("huggingface", tmp_path / "huggingface"), ("zip", tmp_path / "zip" / "fruit.zip")):
        send(built, kind, tmp_path / kind)
        *_, result = import_dataset(kind, source, tmp_path / f"{kind}-back")
        assert isinstance(result, Imported)
        assert result.splits == there
        assert result.unread == ()


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_croissant_names_every_file(built: Path, tmp_path: Path, kind: str) -> None:
    """The metadata gives the right checksum and size of each file beside it."""
    send(built, kind, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "croissant.json").read_text())
    files = [one for one in document["distribution"] if one["@type"] == "cr:FileObject"]

    assert document["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert {one["contentUrl"]: one["sha256"] for one in files}.items() <= hashes(tmp_path / "out").items()
    assert all(one["contentSize"] == f"{(tmp_path / 'out' / one['contentUrl']).stat().st_size} B" for one in files)
    assert ("pictures" in {one["@id"] for one in document["distribution"]}) == (kind in {"zip", "huggingface"})


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_croissant_read_by_its_library(built: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its library validates the metadata, and reads the table and, where they can be had, the pictures."""
    pytest.importorskip("mlcroissant")
    send(built, kind, tmp_path / "out")
    # The library settles where its cache lies when it is imported.
    code = """
import hashlib, io, json, sys, mlcroissant
dataset = mlcroissant.Dataset(sys.argv[1] + "/croissant.json")
sets = {one.uuid for one in dataset.metadata.record_sets}
text = lambda value: value.decode() if isinstance(value, bytes) else value
plain = lambda rows: [{key.split("/")[1]: text(value) for key, value in row.items()} for row in rows]
images = dataset.records("images") if "images" in sets else []
images = [[text(one["images/split"]), text(one["images/label"]), one["images/image"].size] for one in images]
print(json.dumps({"issues": sorted(dataset.metadata.issues.errors), "metadata": plain(dataset.records("metadata")),
    "labels": plain(dataset.records("labels")), "images": images}))
"""
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    result = subprocess.run([sys.executable, "-c", code, tmp_path / "out"], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    pairs = Counter((split, label) for split, rows in lying(built).items() for label, _ in rows.elements())

    assert said["issues"] == []
    assert Counter((one["split"], one["label"]) for one in said["metadata"]) == pairs
    assert said["labels"] == [{"name": "apple", "number": 0}, {"name": "pear", "number": 1}]
    if kind in {"zip", "huggingface"}:
        assert Counter((split, label) for split, label, _ in said["images"]) == pairs
        assert all(size == [96, 80] for *_, size in said["images"])


def test_a_plain_folder_of_class_folders(tmp_path: Path) -> None:
    """Class folders without a build are exported as they are, all to train on; equal names do not collide."""
    for number, name in enumerate(NAMES):
        (tmp_path / "raw" / name).mkdir(parents=True)
        (tmp_path / "raw" / name / "1.jpg").write_bytes(photo(number))
    Image.new("RGB", (70, 70)).save(tmp_path / "raw" / "pear" / "2.png")
    result = send(tmp_path / "raw", "webdataset", tmp_path / "out")

    assert result.splits == {"train": 3}
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as archive:
        assert len(set(archive.getnames())) == 9
        assert sum(name.endswith(".png") for name in archive.getnames()) == 1


def test_a_positive_class_keeps_its_number(built: Path, tmp_path: Path) -> None:
    """Numbers follow the dataset's own order of classes, which puts an item after what it is not."""
    card = json.loads((built / "dataset.json").read_text())
    for path in built.rglob("*"):
        if (
            path.is_file()
            and path.suffix in {".jpg", ".jsonl"}
            and not path.relative_to(built).parts[0].startswith(".")
        ):
            (tmp_path / "in" / path.relative_to(built)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / path.relative_to(built)).write_bytes(path.read_bytes())
    (tmp_path / "in" / "dataset.json").write_text(
        json.dumps(card | {"class_names": ["pear", "apple"], "positive": "apple"})
    )

    assert {one.label: one.number for one in read_dataset(tmp_path / "in").examples} == {"pear": 0, "apple": 1}


@pytest.mark.parametrize("marker", ["[1]", '{"fingerprint": 3}', '{"fingerprint": "", "finished": 1, "files": [2]}'])
def test_a_marker_of_another_hand_hides_no_old_file(built: Path, tmp_path: Path, marker: str) -> None:
    """Where nothing tells what an export was made of, everything is written anew."""
    send(built, "zip", tmp_path)
    whole = hashes(tmp_path)
    (tmp_path / "classes.txt").write_text("old")
    (tmp_path / ".export.json").write_text(marker)

    assert not send(built, "zip", tmp_path).unchanged
    assert whole == hashes(tmp_path)


def test_another_export_replaces_the_first(built: Path, tmp_path: Path) -> None:
    """Other terms or another dataset in the same place leave nothing of the earlier export behind."""
    send(built, "tfrecord", tmp_path / "out", shard_bytes=20_000)
    send(built, "tfrecord", tmp_path / "out")
    send(built, "tfrecord", tmp_path / "fresh")

    assert hashes(tmp_path / "out") == hashes(tmp_path / "fresh")


def wrong_card(folder: Path) -> Path:
    """Spoil a dataset's card."""
    folder.mkdir()
    (folder / "dataset.json").write_text('{"name": "x"}')
    return folder


def lost_metadata(folder: Path) -> Path:
    """Give a dataset a card and no table."""
    folder.mkdir()
    (folder / "dataset.json").write_text('{"class_names": ["a"]}')
    return folder


def lost_picture(folder: Path) -> Path:
    """Name a picture that is not there."""
    lost_metadata(folder)
    (folder / "metadata.jsonl").write_text('{"file_name": "train/a/1.jpg", "split": "train", "label": "a"}\n')
    return folder


def only_empty(folder: Path) -> Path:
    """Make an empty folder."""
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("make", "words"), [
    (wrong_card, "to hold class_names"), (lost_metadata, "Expected one line per picture"),
    (lost_picture, "Received: No such file"), (only_empty, "Expected a folder of class folders"),
    (lambda folder: folder, "which is not a folder"),
])  # fmt: skip
@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_wrong_dataset_is_one_sentence(tmp_path: Path, make: Callable[[Path], Path], words: str, kind: str) -> None:
    """What is no dataset, or lacks a part, is named."""
    with pytest.raises(TrayError, match=words) as caught:
        send(make(tmp_path / "in"), kind, tmp_path / "out")

    assert "\n" not in str(caught.value)


def test_wrong_places_and_formats_are_one_sentence(built: Path, tmp_path: Path) -> None:
    """A misspelt format, a folder with other things in it, the dataset itself and a busy folder are refused."""
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("you")
    with pytest.raises(ConfigError, match="Did you mean 'tfrecord'"):
        send(built, "tfrecords", tmp_path / "out")
    with pytest.raises(TrayError, match=r"which holds dear\.txt"):
        send(built, "zip", tmp_path / "letters")
    with pytest.raises(TrayError, match="Expected a folder outside"):
        send(built, "zip", built / "out")
    with locked(tmp_path / "busy"), pytest.raises(FolderLocked):
        send(built, "zip", tmp_path / "busy")

    assert (tmp_path / "letters" / "dear.txt").read_text() == "you"
