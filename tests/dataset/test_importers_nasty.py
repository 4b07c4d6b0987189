"""Datasets as they really lie about: odd encodings, wrong paths, links, turned photos, boxes of nothing."""

import io
import json
import math
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataset.errors import ConfigError, TrayError
from dataset.importers import Imported
from tests.dataset.test_importers import bring, contents, photo, put, reasons
from tests.dataset.test_importers_boxes import COLA, WATER, coco_box, crops, shelf

TURNED = 6
"""EXIF: the stored picture is to be turned by 90 degrees to the right."""


def turned_shelf() -> bytes:
    """Return the shelf as a camera held upright stores it: lying on its side, with a note how to turn it."""
    with Image.open(io.BytesIO(shelf("PNG"))) as upright:
        stored = upright.convert("RGB").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = TURNED
    out = io.BytesIO()
    stored.save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


def stored_box(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return a box of the upright shelf, 200x160, in the pixels of the turned one as stored, 160x200."""
    left, top, right, bottom = box
    return top, 200 - right, bottom, 200 - left


def coco_of(folder: Path, image: dict[str, Any], *annotations: dict[str, Any]) -> Path:
    """Write COCO annotations of one image beside it."""
    categories = [{"id": 44, "name": "cola"}, {"id": 7, "name": "water"}]
    document = {"images": [image], "annotations": annotations, "categories": categories}
    return put(folder / "train.json", json.dumps(document))


def packed(counts: list[int]) -> str:
    """Return run lengths as COCO packs them into text."""
    text = ""
    for place, count in enumerate(counts):
        value = count - (counts[place - 2] if place > 2 else 0)
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value not in {0, -1} or bool(value) != bool(bits & 16)
            text += chr(48 + bits + 32 * more)
    return text


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_tables_of_every_spreadsheet(tmp_path: Path, encoding: str, newline: str) -> None:
    """BOM, UTF-16, both line ends, quoted line breaks and delimiters: the rows come as they were meant."""
    lines = ['note;"file";label', '"two\nlines; one; field";a.jpg;Käse', "", ';"b.jpg"; Brot ']
    (tmp_path / "t.csv").write_bytes(newline.join(lines).encode(encoding))
    put(tmp_path / "a.jpg", photo(1))
    put(tmp_path / "b.jpg", photo(2))

    result = bring("csv", tmp_path / "t.csv", tmp_path / "out")
    assert result.classes == {"Brot": 1, "Käse": 1}
    assert not result.unread


def test_letters_that_are_not_unicode_are_not_guessed(tmp_path: Path) -> None:
    """A table in Windows' letters is answered with what to do: a wrong guess would become names of classes."""
    (tmp_path / "t.csv").write_bytes("file,label\na.jpg,Käse\n".encode("cp1252"))
    put(tmp_path / "a.jpg", photo(1))

    with pytest.raises(TrayError, match=r"Save it as CSV in UTF-8"):
        bring("csv", tmp_path / "t.csv", tmp_path / "out")


def test_paths_of_another_machine(tmp_path: Path) -> None:
    """Absolute paths, Windows' and others', find their pictures by what follows; what leads out is not followed."""
    put(tmp_path / "set" / "img" / "a.jpg", photo(1))
    put(tmp_path / "set" / "img" / "b.jpg", photo(2))
    put(tmp_path / "secret.jpg", photo(3))
    (tmp_path / "set" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    rows = [
        "C:\\Users\\me\\img\\a.jpg,x", "/home/me/set/img/b.jpg,x", f"{tmp_path}/secret.jpg,x", "../secret.jpg,x",
        "link.jpg,x", "gone.jpg,x",
    ]  # fmt: skip
    put(tmp_path / "set" / "t.csv", "file,label\n" + "\n".join(rows))

    result = bring("csv", tmp_path / "set" / "t.csv", tmp_path / "out")
    assert contents(tmp_path / "out") == {"x": {photo(1), photo(2)}}
    assert [one.reason.split(":")[0] for one in result.unread] == [
        "outside the source", "outside the source", "outside the source", "missing file",
    ]  # fmt: skip


def test_a_table_without_a_heading_or_a_known_one_says_what_to_do(tmp_path: Path) -> None:
    """A first line that names a picture is no heading; a heading in another language is answered with the flag."""
    put(tmp_path / "one.jpg", photo(1))
    put(tmp_path / "table.csv", "one.jpg;cat\n")
    with pytest.raises(TrayError, match=r"Received a picture's there: one.jpg, cat. Write a line .* file;label"):
        bring("csv", tmp_path / "table.csv", tmp_path / "out")

    put(tmp_path / "table.csv", "Datei;Klasse\none.jpg;cat\n")
    with pytest.raises(TrayError, match=r"Received: Datei, Klasse. Name it with --label."):
        bring("csv", tmp_path / "table.csv", tmp_path / "out")


def test_names_in_any_letters(tmp_path: Path) -> None:
    """Letters of any language stay, and no label gives a folder name that is too long for a disk."""
    put(tmp_path / "set" / "寿司 🍣" / "1.jpg", photo(1))
    put(tmp_path / "set" / ("ж" * 120) / "2.jpg", photo(2))
    put(tmp_path / "set" / "Cafe\u0301" / "bild é.jpg", photo(3))
    long = "語" * 200
    put(tmp_path / "t.csv", f"file,label\nset/寿司 🍣/1.jpg,{long}\n")

    assert set(bring("folders", tmp_path / "set", tmp_path / "out").classes) == {"寿司", "ж" * 100, "Café"}
    (name,) = bring("csv", tmp_path / "t.csv", tmp_path / "long").classes
    assert name
    assert set(name) == {"語"}


def test_a_delimiter_is_one_character_or_a_tab_in_letters(tmp_path: Path) -> None:
    """A shell hands on the two letters of an escaped tab; what is longer separates nothing."""
    put(tmp_path / "a.jpg", photo(1))
    (tmp_path / "t.csv").write_text("file\tlabel, as it is said\na.jpg\tBrot\n")

    result = bring("csv", tmp_path / "t.csv", tmp_path / "out", delimiter=r"\t", label="label, as it is said")
    assert result.classes == {"Brot": 1}
    with pytest.raises(ConfigError, match="Expected one character"):
        bring("csv", tmp_path / "t.csv", tmp_path / "other", delimiter=";;")


# ---------------------------------------------------------------- folders, archives


def test_links_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A link to a folder may lead anywhere, also round in circles: it is named, not followed; dead ones are listed."""
    put(tmp_path / "elsewhere" / "1.jpg", photo(1))
    put(tmp_path / "set" / "dog" / "2.jpg", photo(2))
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "set" / "dog" / "round").symlink_to(tmp_path / "set", target_is_directory=True)
    (tmp_path / "set" / "dog" / "dead.jpg").symlink_to(tmp_path / "nowhere.jpg")

    result = bring("folders", tmp_path / "set", tmp_path / "out")
    assert contents(tmp_path / "out") == {"dog": {photo(2)}}
    assert list(reasons(result).values()) == ["missing file"]
    assert [record.args for record in caplog.records] == [
        (tmp_path / "set" / "cat",), (tmp_path / "set" / "dog" / "round",)
    ]  # fmt: skip


def test_a_zip_of_links_and_devices(tmp_path: Path) -> None:
    """A link in a zip is bytes that are no picture; nothing it names is opened."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        link = zipfile.ZipInfo("cat/link.jpg")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/hostname")
        archive.writestr("cat/1.jpg", photo(1))
        archive.writestr("/abs/2.jpg", photo(2))
        archive.writestr("..\\..\\up\\3.jpg", photo(3))
        archive.writestr("C:/up/4.jpg", photo(4))

    result = bring("zip", tmp_path / "z.zip", tmp_path / "out")
    assert contents(tmp_path / "out") == {"cat": {photo(1)}}
    assert len(result.unread) == 4


def test_a_tar_with_names_in_other_letters(tmp_path: Path) -> None:
    """What an old system packed in its own letters comes too; the folder's name keeps the letters that can be read."""
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        for name, data in (("caf\xe9/1.jpg", photo(1)), ("caf\xe9/na\xefve.jpg", b"junk")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

    result = bring("tar", tmp_path / "t.tar", tmp_path / "out")
    assert contents(tmp_path / "out") == {"caf": {photo(1)}}
    assert [one.source for one in result.unread] == [(tmp_path / "t.tar").as_uri() + "#caf%E9/na%EFve.jpg"]


@pytest.mark.parametrize("spoilt", [b"\xff" * 512, bytes(512)])
def test_a_tar_that_is_spoilt_in_the_middle_is_not_taken_for_whole(tmp_path: Path, spoilt: bytes) -> None:
    """Where a member's header is damaged, Python ends without a word: what lies behind would be missing in silence."""
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for number in range(4):
            archive.add(put(tmp_path / f"{number}.jpg", photo(number)), f"cat/{number}.jpg")
    with tarfile.open(tmp_path / "t.tar") as archive:
        header = archive.getmembers()[2].offset
    data = (tmp_path / "t.tar").read_bytes()
    put(tmp_path / "t.tar", data[:header] + spoilt + data[header + 512 :])

    with pytest.raises(TrayError, match=r"Expected a whole tar archive .* behind which more lie"):
        bring("tar", tmp_path / "t.tar", tmp_path / "out")
    assert contents(tmp_path / "out") == {"cat": {photo(0), photo(1)}}


def test_archives_packed_by_lzma_and_spoilt(tmp_path: Path) -> None:
    """A spoilt member of a zip is listed; a spoilt tar is one sentence."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("cat/1.jpg", photo(1))
        packed.writestr("cat/2.jpg", photo(2))
    spoil(tmp_path / "z.zip", 0.2)
    with tarfile.open(tmp_path / "t.tar.xz", "w:xz") as archive:
        for number in range(8):
            archive.add(put(tmp_path / f"{number}.jpg", photo(number)), f"cat/{number}.jpg")
    spoil(tmp_path / "t.tar.xz", 0.5)

    assert [one.reason for one in bring("zip", tmp_path / "z.zip", tmp_path / "out").unread] == [
        "damaged in the archive: Corrupt input data"
    ]
    with pytest.raises(TrayError, match="Expected a whole tar archive"):
        bring("tar", tmp_path / "t.tar.xz", tmp_path / "out")


def spoil(path: Path, place: float) -> None:
    """Overwrite some bytes of a file."""
    data = bytearray(path.read_bytes())
    at = int(place * len(data))
    data[at : at + 200] = b"Z" * 200
    path.write_bytes(data)


# ---------------------------------------------------------------- boxes


@pytest.mark.parametrize("frame", ["stored", "upright"])
def test_boxes_on_a_turned_photo(tmp_path: Path, frame: str) -> None:
    """The size that annotations give says whether their boxes are in the pixels as stored or as shown."""
    put(tmp_path / "1.jpg", turned_shelf())
    size, place = ((160, 200), stored_box) if frame == "stored" else ((200, 160), tuple)
    image = {"id": 1, "file_name": "1.jpg", "width": size[0], "height": size[1]}
    coco_of(tmp_path, image, coco_box(1, 44, place(COLA)), coco_box(1, 7, place(WATER)))

    bring("coco", tmp_path / "train.json", tmp_path / "out", crop=True, margin=0)
    assert crops(tmp_path / "out") == {"cola": ((40, 60), "cola"), "water": ((80, 120), "water")}


def test_voc_boxes_on_a_turned_photo(tmp_path: Path) -> None:
    """VOC gives the size as well."""
    left, top, right, bottom = stored_box(COLA)
    put(tmp_path / "1.jpg", turned_shelf())
    put(
        tmp_path / "1.xml",
        "\ufeff<annotation><filename>1.jpg</filename><size><width>160</width><height>200</height></size><object>"
        f"<name>cola</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax>"
        f"<ymax>{bottom}</ymax></bndbox></object></annotation>",
    )

    bring("voc", tmp_path, tmp_path.parent / f"{tmp_path.name}-out", crop=True, margin=0)
    assert crops(tmp_path.parent / f"{tmp_path.name}-out") == {"cola": ((40, 60), "cola")}


def test_open_images_boxes_are_in_stored_pixels(tmp_path: Path) -> None:
    """Open Images says that photo and boxes are to be turned together: its shares are of the picture as stored."""
    left, top, right, bottom = stored_box(COLA)
    put(tmp_path / "oi" / "abc.jpg", turned_shelf())
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf"
    put(
        tmp_path / "oi" / "oidv6-train-annotations-bbox.csv",
        f"{head}\nabc,xclick,/m/01,1,{left / 160},{right / 160},{top / 200},{bottom / 200},0\n",
    )
    put(tmp_path / "oi" / "oidv7-class-descriptions-boxable.csv", "LabelName,DisplayName\n/m/01,cola\n")

    result = bring("openimages", tmp_path / "oi", tmp_path / "out", crop=True, margin=0)
    assert crops(tmp_path / "out") == {"cola": ((40, 60), "cola")}
    assert result.splits == {"train": 1}


def test_boxes_of_endless_numbers_or_none_are_listed(tmp_path: Path) -> None:
    """JSON of other programs holds Infinity and NaN: neither ends an import."""
    put(tmp_path / "1.jpg", shelf())
    image = {"id": 1, "file_name": "1.jpg", "width": 200, "height": 160}
    wrong = [{"image_id": 1, "category_id": 44, "bbox": [9, 9, width, 9]} for width in (math.inf, math.nan)]
    coco_of(tmp_path, image, coco_box(1, 7, WATER), *wrong)

    result = bring("coco", tmp_path / "train.json", tmp_path / "out", crop=True, margin=0)
    assert result.classes == {"water": 1}
    assert [one.reason for one in result.unread] == ["endless box", "empty box"]


def test_coco_without_boxes(tmp_path: Path) -> None:
    """Polygons and run lengths give a box where there is none; what gives none is listed, and stops nothing else."""
    put(tmp_path / "1.jpg", shelf())
    left, top, right, bottom = COLA
    polygon = [left, top, right, top, right, bottom, left, bottom]
    # Columns from above, 160 high: nothing up to the cola's first pixel, then its columns.
    counts = [160 * left + top]
    for _ in range(right - left - 1):
        counts += [bottom - top, 160 - (bottom - top)]
    counts += [bottom - top, 160 * 200 - sum(counts) - (bottom - top)]
    one = {"image_id": 1, "category_id": 44, "iscrowd": 0}
    image = {"id": 1, "file_name": "1.jpg", "width": 200, "height": 160}
    found: dict[str, Imported] = {}
    for name, annotation in {
        "polygon": one | {"segmentation": [polygon]},
        "runs": one | {"bbox": None, "segmentation": {"size": [160, 200], "counts": counts}},
        "packed": one | {"segmentation": {"size": [160, 200], "counts": packed(counts)}},
        "nothing": one | {"bbox": [], "segmentation": []},
        "words": one | {"bbox": ["a", "b", "c", "d"]},
    }.items():
        coco_of(tmp_path / name, image, annotation, coco_box(1, 7, WATER))
        options: dict[str, Any] = {"images": tmp_path, "crop": True, "margin": 0}
        found[name] = bring("coco", tmp_path / name / "train.json", tmp_path / f"out-{name}", **options)

    for name in ("polygon", "runs", "packed"):
        assert crops(tmp_path / f"out-{name}") == {"cola": ((40, 60), "cola"), "water": ((80, 120), "water")}
    for name in ("nothing", "words"):
        assert crops(tmp_path / f"out-{name}") == {"water": ((80, 120), "water")}
        assert [each.reason for each in found[name].unread] == ["no box in it"]


def test_empty_boxes_and_boxes_outside(tmp_path: Path) -> None:
    """Boxes without pixels are listed one by one; those that reach over the edge end there."""
    put(tmp_path / "1.jpg", shelf())
    image = {"id": 1, "file_name": "1.jpg"}
    coco_of(
        tmp_path, image, coco_box(1, 44, (20, 30, 20, 90)), coco_box(1, 44, (300, 300, 400, 400)),
        coco_box(1, 7, (100, 20, 900, 900)),
    )  # fmt: skip

    result = bring("coco", tmp_path / "train.json", tmp_path / "out", crop=True, margin=0)
    assert result.classes == {"water": 1}
    with Image.open(next((tmp_path / "out" / "water").glob("*.jpg"))) as picture:
        assert picture.size == (100, 140)
    assert [one.reason for one in result.unread] == ["empty box", "empty box"]


# ---------------------------------------------------------------- Hugging Face


def test_hugging_face_metadata_of_all_kinds(tmp_path: Path) -> None:
    """Metadata may be JSON lines with a BOM, CSV, or parquet, which holds no pictures then."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    for kind in ("jsonl", "csv", "parquet"):
        put(tmp_path / kind / "train" / "a.jpg", photo(1))
        table = tmp_path / kind / "train" / f"metadata.{kind}"
        if kind == "jsonl":
            table.write_text('\ufeff{"file_name": "a.jpg", "label": "cat"}\n', encoding="utf-8")
        elif kind == "csv":
            table.write_bytes(b"\xef\xbb\xbffile_name,label\r\na.jpg,cat\r\n")
        else:
            pq.write_table(pa.table({"file_name": ["a.jpg"], "label": ["cat"]}), table)

        result = bring("huggingface", tmp_path / kind, tmp_path / f"out-{kind}")
        assert (kind, result.classes, result.splits) == (kind, {"cat": 1}, {"train": 1})
