"""Photographs with boxes: PASCAL VOC, COCO and Open Images."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataset.build import build_folder
from dataset.errors import ConfigError, TrayError
from dataset.folder import records
from dataset.importers.labelled import Box, crop
from dataset.tray import Build
from tests.dataset.test_importers import bring, contents, photo, put, reasons

COLOURS = {"cola": (200, 20, 20), "water": (20, 60, 220), "shelf": (240, 240, 240)}
COLA, WATER = (20, 30, 60, 90), (100, 20, 180, 140)


def shelf(kind: str = "JPEG") -> bytes:
    """Draw a shelf of 200x160 with a small cola and a large water."""
    picture = Image.new("RGB", (200, 160), COLOURS["shelf"])
    picture.paste(COLOURS["cola"], COLA)
    picture.paste(COLOURS["water"], WATER)
    out = io.BytesIO()
    picture.save(out, kind, quality=95)
    return out.getvalue()


def shown(path: Path) -> tuple[tuple[int, int], str]:
    """Return a crop's size and what its middle shows."""
    with Image.open(path) as picture:
        middle = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))
        assert isinstance(middle, tuple)
        near = min(COLOURS, key=lambda name: sum(abs(a - b) for a, b in zip(COLOURS[name], middle, strict=True)))
        return picture.size, near


def crops(out: Path) -> dict[str, tuple[tuple[int, int], str]]:
    """Return size and content of the single picture of each class."""
    return {folder.name: shown(next(folder.glob("*.[jp]*g"))) for folder in out.iterdir()}


def voc_object(name: str, box: tuple[int, int, int, int]) -> str:
    """Return a VOC object; its part, with a box of its own, is no object."""
    left, top, right, bottom = box
    corners = f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
    part = "<part><name>cap</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
    return f"<object><name>{name}</name><difficult>0</difficult><bndbox>{corners}</bndbox>{part}</object>"


def make_voc(root: Path) -> Path:
    """Write a folder as VOC2012 has it: one photo with two objects, one without, and two bad annotations."""
    both = voc_object("cola", COLA) + voc_object("water", WATER)
    for name, objects in (("2007_01", both), ("2007_02", "")):
        head = f"<annotation><folder>VOC</folder><filename>{name}.jpg</filename><size><width>200</width></size>"
        put(root / "VOC" / "Annotations" / f"{name}.xml", f"{head}{objects}</annotation>")
        put(root / "VOC" / "JPEGImages" / f"{name}.jpg", shelf() if objects else photo(2))
    put(root / "VOC" / "Annotations" / "torn.xml", "<annotation><object>")
    put(root / "VOC" / "Annotations" / "lost.xml", f"<annotation><filename>lost.jpg</filename>{both}</annotation>")
    put(root / "VOC" / "Annotations" / "laugh.xml", '<!DOCTYPE x [<!ENTITY a "ha">]><annotation>&a;</annotation>')
    put(root / "VOC" / "ImageSets" / "Main" / "train.txt", "2007_01\n")
    put(root / "VOC" / "ImageSets" / "Main" / "cola_train.txt", "2007_01 -1\n")
    put(root / "VOC" / "ImageSets" / "Main" / "val.txt", "2007_02\n")
    return root / "VOC"


def make_coco(root: Path) -> Path:
    """Write COCO 2017's layout: a photo with two objects and a crowd, and three that lack something."""
    document = {
        "images": [{"id": number, "file_name": f"{number:012d}.jpg", "width": 200} for number in (1, 2, 3, 4)],
        "categories": [{"id": 44, "name": "cola", "supercategory": "drink"}, {"id": 7, "name": "water"}],
        "annotations": [
            coco_box(1, 44, COLA), coco_box(1, 7, WATER), coco_box(3, 7, WATER), coco_box(4, 99, WATER),
            {"id": 9, "image_id": 1, "category_id": 44, "bbox": [0, 0, 200, 160], "iscrowd": 1},
        ],
    }  # fmt: skip
    put(root / "coco" / "annotations" / "instances_val2017.json", json.dumps(document))
    put(root / "coco" / "annotations" / "captions_val2017.json", '{"images": [], "annotations": []}')
    put(root / "coco" / "val2017" / "000000000001.jpg", shelf())
    put(root / "coco" / "val2017" / "000000000002.jpg", photo(2))
    put(root / "coco" / "val2017" / "000000000004.jpg", photo(4))
    return root / "coco"


def coco_box(image: int, category: int, box: tuple[int, int, int, int]) -> dict[str, Any]:
    """Return a COCO annotation: left, top, width, height."""
    left, top, right, bottom = box
    return {"image_id": image, "category_id": category, "bbox": [left, top, right - left, bottom - top], "iscrowd": 0}


def make_open_images(root: Path) -> Path:
    """Write Open Images' two tables for one picture at hand and one elsewhere."""
    rows = [
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
    ]
    for image, code, box, group in (
        ("000595fe6fee6369", "/m/01", COLA, 0), ("000595fe6fee6369", "/m/02", WATER, 0),
        ("00075905539074f2", "/m/01", WATER, 0), ("000595fe6fee6369", "/m/02", (0, 0, 100, 20), 1),
    ):  # fmt: skip
        left, top, right, bottom = box
        rows.append(f"{image},xclick,{code},1,{left / 200},{right / 200},{top / 160},{bottom / 160},0,0,{group},0,0")
    put(root / "oi" / "validation-annotations-bbox.csv", "\n".join(rows))
    put(root / "oi" / "class-descriptions-boxable.csv", "/m/01,cola\n/m/02,water\n")
    put(root / "oi" / "validation" / "000595fe6fee6369.jpg", shelf())
    return root / "oi"


MAKERS = {"voc": make_voc, "coco": make_coco, "openimages": make_open_images}


@pytest.mark.parametrize(("kind", "split"), [("voc", "train"), ("coco", "val"), ("openimages", "val")])
def test_the_largest_box_names_the_photo(tmp_path: Path, kind: str, split: str) -> None:
    """Whole photos come as received, under what is largest on them."""
    result = bring(kind, MAKERS[kind](tmp_path), tmp_path / "out")

    assert contents(tmp_path / "out") == {"water": {shelf()}}
    assert result.splits == {split: 1}


@pytest.mark.parametrize("kind", ["voc", "coco", "openimages"])
def test_a_crop_per_box(tmp_path: Path, kind: str) -> None:
    """Each box becomes a picture of its own with its margin, shows what it should, and remembers its photo."""
    source = MAKERS[kind](tmp_path)
    bring(kind, source, tmp_path / "out", crop=True, margin=0.1)

    assert crops(tmp_path / "out") == {"cola": ((48, 72), "cola"), "water": ((96, 144), "water")}
    record = next(records(tmp_path / "out" / "cola"))
    assert record.page.endswith(".jpg")
    assert record.url.startswith(record.page + "#xywh=")
    assert record.url.endswith("&margin=0.1")
    assert bring(kind, source, tmp_path / "out", crop=True, margin=0.1).added == 0


@pytest.mark.parametrize("margin", [float("nan"), float("inf"), -0.1])
def test_a_margin_that_is_none_is_one_sentence(tmp_path: Path, margin: float) -> None:
    """A margin is a finite share of a box's sides."""
    with pytest.raises(ConfigError, match=r"a margin from 0 to 10\. Received: .*\. Correct --margin\."):
        bring("coco", make_coco(tmp_path), tmp_path / "out", crop=True, margin=margin)


def test_voc_lists_what_it_can_not_read(tmp_path: Path) -> None:
    """Bad XML, XML with entities, missing photos and photos without boxes are listed with their reasons."""
    said = reasons(bring("voc", make_voc(tmp_path), tmp_path / "out"))

    assert said["2007_02.jpg"] == "no box in it"
    assert said["lost.xml"] == "missing file: lost"
    assert said["torn.xml"].startswith("annotation can't be read: ")
    assert "document type" in said["laugh.xml"]


def test_coco_lists_what_it_can_not_read(tmp_path: Path) -> None:
    """Missing photos, unknown categories and photos without boxes are listed with their reasons."""
    said = reasons(bring("coco", make_coco(tmp_path), tmp_path / "out"))

    assert said == {
        "000000000002.jpg": "no box in it",
        "instances_val2017.json#image=3": "missing file: 000000000003.jpg",
        "000000000004.jpg": "unknown category 99",
    }


def test_open_images_counts_what_is_elsewhere(tmp_path: Path) -> None:
    """The pictures that nobody downloaded are one line, not a million."""
    result = bring("openimages", make_open_images(tmp_path), tmp_path / "out")

    assert [one.reason for one in result.unread] == [f"1 pictures of it are not in {tmp_path / 'oi'}"]


@pytest.mark.parametrize(("text", "words"), [
    ("{", "to be a JSON file"),
    ("[]", "to hold a JSON object. Received: a list"),
    ('{"images": [], "categories": []}', "to hold 'annotations'. Received: images, categories"),
    ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "an entry without 'file_name'"),
])  # fmt: skip
def test_wrong_coco_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    """Malformed JSON and missing keys are named."""
    with pytest.raises(TrayError, match=words):
        bring("coco", put(tmp_path / "instances.json", text), tmp_path / "out")


@pytest.mark.parametrize(("header", "row", "words"), [
    ("ImageID,LabelName,XMin,XMax,YMin", "a,b,0,1,0", "to have a column 'YMax'"),
    ("ImageID,LabelName,XMin,XMax,YMin,YMax", "a,b,zero,1,0,1", "numbers from 0 to 1 in row 1"),
])  # fmt: skip
def test_wrong_open_images_is_one_sentence(tmp_path: Path, header: str, row: str, words: str) -> None:
    """A missing column and a word in place of a number are named."""
    put(tmp_path / "oi" / "a.jpg", photo(1))
    with pytest.raises(TrayError, match=words):
        bring("openimages", put(tmp_path / "oi" / "t.csv", f"{header}\n{row}\n"), tmp_path / "out")


def test_crops_of_one_photo_share_a_split(tmp_path: Path) -> None:
    """However many crops a photo gives, a build puts all of them on one side, so that no photo is known from both."""
    for number in range(6):
        picture = Image.new("RGB", (720, 360), "white")
        objects = ""
        for index in range(16):
            left, top = 5 + 90 * (index % 8), 5 + 90 * (index // 8)
            with Image.open(io.BytesIO(photo(100 * number + index))) as one:
                picture.paste(one, (left, top))
            objects += voc_object(("cola", "water")[index % 2], (left, top, left + 80, top + 72))
        head = f"<annotation><filename>{number}.png</filename>"
        put(tmp_path / "in" / f"{number}.xml", f"{head}{objects}</annotation>")
        picture.save(tmp_path / "in" / f"{number}.png")
    bring("voc", tmp_path / "in", tmp_path / "raw", crop=True, margin=0)
    list(build_folder(tmp_path / "raw", tmp_path / "out", Build()))
    rows = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row["pages"][0], set()).add(row["split"])

    assert len(rows) > 90
    assert len(sides) == 6
    assert all(len(split) == 1 for split in sides.values())


def test_crops_stay_inside_and_lossless_stays_lossless() -> None:
    """A margin ends at the picture's edge, a PNG gives a PNG with the same pixels, and empty boxes are refused."""
    part = crop(shelf("PNG"), Box(-5, -5, 30, 40, margin=0.5))
    with Image.open(io.BytesIO(part)) as picture, Image.open(io.BytesIO(shelf("PNG"))) as whole:
        assert (picture.format, picture.size) == ("PNG", (48, 62))
        assert picture.tobytes() == whole.crop((0, 0, 48, 62)).tobytes()
    for empty in (Box(50, 50, 50, 60), Box(60, 60, 50, 50), Box(500, 500, 600, 600)):
        with pytest.raises(OSError, match="empty box"):
            crop(shelf(), empty)
