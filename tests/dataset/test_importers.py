"""Folders, archives, tables and file names become class folders."""

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataset.errors import ConfigError, FolderLocked, TrayError
from dataset.folder import ClassFolder, class_folders, records
from dataset.importers import FORMATS, Imported, import_dataset
from dataset.importers.labels import read_table, safe_name
from dataset.progress import Progress


def photo(seed: int, *, size: tuple[int, int] = (80, 72), kind: str = "JPEG") -> bytes:
    """Draw a picture, another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(out, kind)
    return out.getvalue()


def put(path: Path, data: bytes | str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def bring(kind: str, source: Path, out: Path, **options: Any) -> Imported:
    """Import to the end; return the result."""
    *steps, last = import_dataset(kind, source, out, **options)
    assert all(isinstance(step, Progress) for step in steps)
    assert isinstance(last, Imported)
    return last


def contents(out: Path) -> dict[str, set[bytes]]:
    """Return the bytes of the pictures by class folder."""
    return {
        name: {path.read_bytes() for path in folder.glob("*.[jp]*g")} for name, folder in class_folders(out).items()
    }


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Return every file below a folder with its size and time of change."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def reasons(result: Imported) -> dict[str, str]:
    """Return why pictures could not be read, by the end of their addresses."""
    return {one.source.rsplit("/", 1)[-1]: one.reason for one in result.unread}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a folder of class folders with splits, one broken picture and one web page."""
    root = tmp_path / "shop"
    for index, (split, name) in enumerate(
        [("train", "apple"), ("train", "pear"), ("valid", "apple"), ("test", "pear")]
    ):
        put(root / split / name / f"{index}.jpg", photo(index))
    put(root / "train" / "apple" / "cut.jpg", photo(9)[:600])
    put(root / "train" / "pear" / "page.jpg", "<html><body>gone</body></html>")
    put(root / "train" / "pear" / "notes.txt", "not a picture")
    put(root / "train" / "apple" / ".hidden.jpg", photo(10))
    return root


def test_folders_keep_bytes_splits_and_the_source(shop: Path, tmp_path: Path) -> None:
    """Pictures come as they are, remember their split and address, and the source does not change."""
    before = tree(shop)
    result = bring("folders", shop, tmp_path / "out")

    assert contents(tmp_path / "out") == {"apple": {photo(0), photo(2)}, "pear": {photo(1), photo(3)}}
    assert result.classes == {"apple": 2, "pear": 2}
    assert result.splits == {"test": 1, "train": 2, "val": 1}
    assert result.added == 4
    assert reasons(result) == {"cut.jpg": "truncated", "page.jpg": "html"}
    kept = next(one for one in records(tmp_path / "out" / "apple") if one.split == "val")
    assert kept.url == (shop / "valid" / "apple" / "2.jpg").as_uri()
    assert (kept.engine, kept.term, kept.format, kept.width, kept.height) == ("folders", "apple", "JPEG", 80, 72)
    assert tree(shop) == before


def test_a_second_run_writes_nothing(shop: Path, tmp_path: Path) -> None:
    """Run twice, an import says the same and touches no file; what was mended since comes in."""
    first = bring("folders", shop, tmp_path / "out")
    before = tree(tmp_path / "out")
    second = bring("folders", shop, tmp_path / "out")

    assert tree(tmp_path / "out") == before
    assert (second.classes, second.unread, second.added) == (first.classes, first.unread, 0)

    put(shop / "train" / "apple" / "cut.jpg", photo(9))
    third = bring("folders", shop, tmp_path / "out")

    assert (third.classes["apple"], third.added, reasons(third)) == (3, 1, {"page.jpg": "html"})


def test_an_interrupted_import_goes_on(shop: Path, tmp_path: Path) -> None:
    """An import that stops half way, and a torn manifest line, end as an undisturbed one does."""
    steps = import_dataset("folders", shop, tmp_path / "out")
    for _ in range(3):
        next(steps)
    steps.close()  # type: ignore[attr-defined]
    with (tmp_path / "out" / "apple" / "manifest.jsonl").open("a") as manifest:
        manifest.write('{"url": "file:///to')
    bring("folders", shop, tmp_path / "out")
    bring("folders", shop, tmp_path / "whole")

    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_one_split_alone(shop: Path, tmp_path: Path) -> None:
    """A split can be taken alone; one that the source does not have is answered with those it has."""
    assert bring("folders", shop, tmp_path / "out", split="test").classes == {"pear": 1}
    with pytest.raises(TrayError, match="Received: 'dev'; it has test, train, val"):
        bring("folders", shop, tmp_path / "none", split="dev")
    assert not (tmp_path / "none").exists()


def test_more_classes_than_open_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of many classes in any order find their folders, though few are held open at once."""
    monkeypatch.setattr("dataset.importers.writer.OPEN", 2)
    lines = ["file,label"]
    for index in range(12):
        put(tmp_path / "in" / f"{index}.png", photo(index, kind="PNG"))
        lines.append(f"{index}.png,c{index % 4}")
    result = bring("csv", put(tmp_path / "in" / "all.csv", "\n".join(lines)), tmp_path / "out")

    assert result.classes == {f"c{index}": 3 for index in range(4)}


def test_a_class_folder_in_use_is_left_alone(shop: Path, tmp_path: Path) -> None:
    """While another process holds a class folder, an import into it ends with one sentence."""
    with ClassFolder(tmp_path / "out" / "apple"), pytest.raises(FolderLocked):
        bring("folders", shop, tmp_path / "out")


def test_the_same_bytes_count_once(tmp_path: Path) -> None:
    """A picture that a class has already, under another name, is not written again."""
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
        put(tmp_path / "in" / name, photo(1))
    result = bring("folders", tmp_path / "in", tmp_path / "out")

    assert (result.classes, result.duplicates, result.unread) == ({"a": 1, "b": 1}, 1, ())


@pytest.mark.parametrize(
    ("level", "names"),
    [(-1, {"gala", "fuji"}), (1, {"fruit"}), (2, {"apple"}), (0, {"fruit_apple_gala", "fruit_apple_fuji"})],
)
def test_nested_folders(tmp_path: Path, level: int, names: set[str]) -> None:
    """Of folders in folders, the wanted level is the label; pictures above it are listed."""
    put(tmp_path / "in" / "train" / "fruit" / "apple" / "gala" / "1.jpg", photo(1))
    put(tmp_path / "in" / "train" / "fruit" / "apple" / "fuji" / "2.jpg", photo(2))
    put(tmp_path / "in" / "loose.jpg", photo(3))
    result = bring("nested", tmp_path / "in", tmp_path / "out", level=level)

    assert set(result.classes) == names
    assert result.splits == {"train": 2}
    assert reasons(result) == {"loose.jpg": "in no class folder"}


def test_a_class_named_like_a_split(tmp_path: Path) -> None:
    """A single folder above the pictures is their class, whatever it is called."""
    put(tmp_path / "in" / "test" / "1.jpg", photo(1))
    put(tmp_path / "in" / "quiz" / "1.jpg", photo(2))

    assert bring("folders", tmp_path / "in", tmp_path / "out").classes == {"quiz": 1, "test": 1}


@pytest.mark.parametrize(("label", "name"), [
    ("Speed limit (20km/h)", "Speed_limit_20km_h"), ("../../etc/passwd", "etc_passwd"), ("a" * 300, "a" * 100),
    ("Noodles/Pasta", "Noodles_Pasta"), ("crème brûlée", "crème_brûlée"), ("con", "con_"), (".hidden", "hidden"),
    ("寿司", "寿司"), ("?!", ""),
])  # fmt: skip
def test_labels_become_safe_names(label: str, name: str) -> None:
    """Folder names hold letters, digits, '-' and '_' only, and lead nowhere."""
    assert safe_name(label) == name


def test_labels_that_share_a_folder_are_not_mixed(tmp_path: Path) -> None:
    """Two labels that would give one folder are named, not merged; a table of labels tells them apart."""
    for index, name in enumerate(("C++", "c")):
        put(tmp_path / "in" / name / f"{index}.jpg", photo(index))
    with pytest.raises(TrayError, match=r"Received: 'C\+\+' and 'c', both c"):
        bring("folders", tmp_path / "in", tmp_path / "out")
    assert bring("folders", tmp_path / "in", tmp_path / "out", relabel={"C++": "cpp"}).classes == {"c": 1, "cpp": 1}


def pack_zip(path: Path, members: Iterable[tuple[str, bytes]], how: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip with members of any name."""
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return path


def test_a_zip_of_class_folders(tmp_path: Path) -> None:
    """A zip is read without unpacking; what leads out of it, is packed too far or is damaged is listed."""
    source = pack_zip(tmp_path / "shop.zip", [
        ("shop/train/apple/1.jpg", photo(1)), ("shop/test/pear/2.png", photo(2, kind="PNG")),
        ("__MACOSX/shop/train/apple/._1.jpg", b"x"), ("shop/readme.txt", b"x"), ("../../evil/x.jpg", photo(3)),
        ("/abs/x/y.jpg", photo(4)), ("shop/train/apple/broken.jpg", photo(5)),
    ])  # fmt: skip
    with zipfile.ZipFile(source, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("shop/train/apple/bomb.jpg", b"\0" * 20_000_000)
    data = source.read_bytes()
    source.write_bytes(data.replace(photo(5), b"\0" + photo(5)[1:]))
    result = bring("zip", source, tmp_path / "out")

    assert contents(tmp_path / "out") == {"apple": {photo(1)}, "pear": {photo(2, kind="PNG")}}
    assert result.splits == {"test": 1, "train": 1}
    assert reasons(result) == {
        "x.jpg": "path leads out of the archive", "y.jpg": "path leads out of the archive",
        "bomb.jpg": "packed too far for a picture", "broken.jpg": reasons(result)["broken.jpg"],
    }  # fmt: skip
    assert "damaged in the archive" in reasons(result)["broken.jpg"]
    assert {path.name for path in tmp_path.iterdir()} == {"shop.zip", "out"}


def test_a_zip_that_lies_about_its_sizes(tmp_path: Path) -> None:
    """A member that unpacks to more than its header says is listed, not believed."""
    source = pack_zip(
        tmp_path / "liar.zip", [("a/1.jpg", photo(1)), ("a/2.jpg", b"\0" * 900_000)], zipfile.ZIP_DEFLATED
    )
    data = source.read_bytes()
    source.write_bytes(data.replace(struct.pack("<I", 900_000), struct.pack("<I", 90)))
    result = bring("zip", source, tmp_path / "out")

    assert result.classes == {"a": 1}
    assert set(reasons(result)) == {"2.jpg"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_of_class_folders(tmp_path: Path, mode: Any) -> None:
    """A tar, packed or not, is read as it streams; links and paths out of it are listed."""
    source = tmp_path / "shop.tar"
    with tarfile.open(source, mode) as archive:
        for name, data in (
            ("train/apple/1.jpg", photo(1)),
            ("../pear/2.jpg", photo(2)),
            ("train/pear/3.jpg", photo(3)),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("train/apple/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    result = bring("tar", source, tmp_path / "out")

    assert contents(tmp_path / "out") == {"apple": {photo(1)}, "pear": {photo(3)}}
    assert reasons(result) == {"2.jpg": "path leads out of the archive", "link.jpg": "a link or device, not a file"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_damaged_archive_is_one_sentence(tmp_path: Path, kind: str) -> None:
    """What is no archive, and one that ends too early, is answered with one sentence."""
    with pytest.raises(TrayError, match=f"Expected a whole {kind} archive"):
        bring(kind, put(tmp_path / f"no.{kind}", "<html>not found</html>"), tmp_path / "out")


def test_a_tar_that_ends_early_keeps_what_came(tmp_path: Path) -> None:
    """Of a download that broke off, the whole pictures stay."""
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        for index in range(30):
            data = photo(index, size=(200, 200), kind="PNG")
            member = tarfile.TarInfo(f"a/{index}.png")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    half = (tmp_path / "all.tar.gz").read_bytes()
    cut = put(tmp_path / "cut.tar.gz", half[: len(half) // 2])
    with pytest.raises(TrayError, match="Expected a whole tar archive"):
        bring("tar", cut, tmp_path / "out")

    assert 5 < len(class_folders(tmp_path / "out")) + len(contents(tmp_path / "out")["a"]) < 25


@pytest.fixture
def decor(tmp_path: Path) -> Path:
    """Return a table of patterns as the decor set has it: products and patterns, numbers beside words."""
    rows = ["country;decor;type;file;country_label;type_label"]
    names = [("Russia", "Gzhel", "product"), ("Russia", "Gzhel", "pattern"), ("Poland", "Łowicz", "product")]
    for index, (country, name, kind) in enumerate(names):
        put(tmp_path / "decor" / "pictures" / f"{index}.png", photo(index, kind="PNG"))
        rows.append(f"{country};{name};{kind};pictures/{index}.png;{index};{index}")
    rows.append("Poland;Łowicz;product;pictures/none.png;1;1")
    rows.append("Poland;Łowicz;product;../secret.png;1;1")
    put(tmp_path / "secret.png", photo(99, kind="PNG"))
    return put(tmp_path / "decor" / "decor.csv", "\ufeff" + "\n".join(rows))


def test_a_table_with_filters_and_coarser_labels(decor: Path, tmp_path: Path) -> None:
    """A table's delimiter and file column are guessed, rows filtered, labels joined; missing files are listed."""
    table = put(tmp_path / "coarse.csv", "Gzhel,Russian blue\nŁowicz,Polish\n")
    result = bring("csv", decor, tmp_path / "out", label="decor", where={"type": "product"}, relabel=read_table(table))

    assert result.classes == {"Polish": 1, "Russian_blue": 1}
    assert sorted(one.reason for one in result.unread) == [
        "missing file: pictures/none.png",
        "outside the source: ../secret.png",
    ]
    assert [one.term for one in records(tmp_path / "out" / "Russian_blue")] == ["Gzhel"]
    assert bring("csv", decor, tmp_path / "out2", label="decor", relabel={"Gzhel": "", "*": "rest"}).left_out == 2


def test_columns_are_guessed(tmp_path: Path) -> None:
    """Picture and label are found by what the columns hold and how they are called; names may lack suffix or folder."""
    put(tmp_path / "in" / "deep" / "down" / "a1.jpg", photo(1))
    put(tmp_path / "in" / "deep" / "b2.jpg", photo(2))
    put(tmp_path / "in" / "t.csv", "when,photo,split,species\n2020,a1,training,Finch\n2021,deep/b2.jpg,test,Owl\n")
    result = bring("csv", tmp_path / "in", tmp_path / "out")

    assert (result.classes, result.splits) == ({"Finch": 1, "Owl": 1}, {"test": 1, "train": 1})


@pytest.mark.parametrize(("text", "options", "words"), [
    ("file,kind\n1.jpg,a\n", {}, "to hold the label, and none is known for it. Received: file, kind"),
    ("file,kind\n1.jpg,a\n", {"label": "class"}, "to have a column 'class'. Received: file, kind"),
    ("file,kind\n1.jpg,a\n", {"label": "kind", "where": {"kind": "b"}}, "where kind=b.*Received in column 'kind': a"),
    ("file,kind\n1.jpg,a\n", {"label": "kind", "split_column": "part"}, "to have a column 'part'"),
    ("file,label\nno.jpg,a\n", {}, "none of 1 could be read.*missing file: no.jpg"),
    ("", {}, "Received: an empty file"),
    ("file,label\n", {}, "Expected rows in"),
    (b"file,label\n\xff\xfe\xfa,x\n", {}, "to be a table in UTF-8"),
    ('file,label\n1.jpg,a\n"' + "x" * 131_073, {}, "field limit .131072., in line 3. Mend its quotes"),
])  # fmt: skip
def test_a_wrong_table_is_one_sentence(tmp_path: Path, text: str | bytes, options: dict[str, Any], words: str) -> None:
    """Missing columns, files and rows are named."""
    put(tmp_path / "in" / "1.jpg", photo(1))
    with pytest.raises(TrayError, match=words) as caught:
        bring("csv", put(tmp_path / "in" / "t.csv", text), tmp_path / "out", **options)

    assert "\n" not in str(caught.value)


def test_file_names_say_labels(tmp_path: Path) -> None:
    """Food-11's numbers become its categories with its splits; any other pattern names a group."""
    put(tmp_path / "food" / "training" / "3_0017.jpg", photo(1))
    put(tmp_path / "food" / "evaluation" / "10_1.jpg", photo(2))
    put(tmp_path / "food" / "validation" / "cover.jpg", photo(3))
    result = bring("food11", tmp_path / "food", tmp_path / "out")

    assert (result.classes, result.splits) == ({"Egg": 1, "Vegetable-Fruit": 1}, {"test": 1, "train": 1})
    assert reasons(result) == {"cover.jpg": "its name says no label"}

    put(tmp_path / "pets" / "mountain_bike_12.jpg", photo(4))
    assert bring("filenames", tmp_path / "pets", tmp_path / "out2").classes == {"mountain_bike": 1}
    assert bring("filenames", tmp_path / "pets", tmp_path / "out3", pattern=r"^[a-z]+_([a-z]+)").classes == {"bike": 1}


@pytest.mark.parametrize(("pattern", "words"), [("(", "Received: '\\('"), ("bike", "with a group for the label")])
def test_a_wrong_pattern_is_one_sentence(tmp_path: Path, pattern: str, words: str) -> None:
    """A pattern that is none, or lacks a group, is named."""
    put(tmp_path / "in" / "a_1.jpg", photo(1))
    with pytest.raises(ConfigError, match=words):
        bring("filenames", tmp_path / "in", tmp_path / "out", pattern=pattern)


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_source_that_is_not_there_is_one_sentence(tmp_path: Path, kind: str) -> None:
    """Every format answers a missing path, an empty folder and a file of nonsense with one sentence."""
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "nowhere", tmp_path / "empty", put(tmp_path / "nonsense.bin", b"\x80\x05nonsense\xff")):
        with pytest.raises(TrayError, match="Expected") as caught:
            bring(kind, source, tmp_path / "out")

        assert "\n" not in str(caught.value)
        assert str(source) in str(caught.value)


def test_unknown_formats_and_options_are_named(shop: Path, tmp_path: Path) -> None:
    """A misspelt format gets a proposal, an option that a format lacks the ones it has."""
    with pytest.raises(ConfigError, match="Did you mean 'folders'"):
        bring("folder", shop, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"options of format coco \(images, crop, margin\). Received: 'level'"):
        bring("coco", shop, tmp_path / "out", level=1)


def test_out_inside_the_source_is_refused(shop: Path) -> None:
    """An import does not write into what it reads."""
    with pytest.raises(TrayError, match="Expected a folder outside"):
        bring("folders", shop, shop / "out")


@pytest.mark.parametrize(
    ("text", "words"), [("a,b,c\n", "Received in line 1: 'a,b,c'"), (None, "Expected a table of labels at")]
)
def test_a_wrong_table_of_labels_is_one_sentence(tmp_path: Path, text: str | None, words: str) -> None:
    """A table of labels that is missing or has other than two columns is named."""
    path = tmp_path / "labels.csv"
    if text:
        put(path, text)
    with pytest.raises(TrayError, match=words):
        read_table(path)


def test_manifests_are_ours(shop: Path, tmp_path: Path) -> None:
    """Every line of an import's manifest is one JSON object with the address of its picture."""
    bring("folders", shop, tmp_path / "out")
    lines = (tmp_path / "out" / "pear" / "manifest.jsonl").read_text().splitlines()

    assert [json.loads(line)["url"].startswith("file://") for line in lines] == [True] * 3
