"""Datasets with layouts of their own: CIFAR, GTSRB, FER-2013, HAM10000, ImageNet, Hugging Face."""

import csv
import io
import json
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataset.errors import TrayError
from dataset.folder import records
from tests.dataset.test_importers import bring, contents, photo, put, reasons

PIXELS = np.random.default_rng(0).integers(0, 255, (4, 3072), np.uint8)


def python2_pickle(values: dict[str, Any]) -> bytes:
    """Return a pickle as Python 2 wrote CIFAR's: byte strings as such, arrays rebuilt by ``numpy.core.multiarray``."""
    parts = [b"\x80\x02}("]

    def text(word: bytes) -> bytes:
        return b"U" + bytes([len(word)]) + word if len(word) < 256 else b"T" + struct.pack("<i", len(word)) + word

    for key, value in values.items():
        parts.append(text(key.encode()))
        if isinstance(value, np.ndarray):
            shape = b"".join(
                b"K" + bytes([side]) if side < 256 else b"M" + struct.pack("<H", side) for side in value.shape
            )
            parts += [
                b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01(", shape, b"t",
                b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
                text(value.tobytes()), b"tb",
            ]  # fmt: skip
        else:
            items = [b"K" + bytes([one]) if isinstance(one, int) else text(one.encode()) for one in value]
            parts += [b"](", *items, b"e"]
    return b"".join([*parts, b"u."])


def cifar(root: Path, *, hundred: bool = False) -> Path:
    """Write the batches of CIFAR-10, or of CIFAR-100."""
    if hundred:
        labels = {"fine_labels": [0, 1, 2, 0], "coarse_labels": [0, 1, 1, 0]}
        put(root / "train", python2_pickle({"data": PIXELS, **labels}))
        put(root / "test", python2_pickle({"data": PIXELS[:1], "fine_labels": [2], "coarse_labels": [1]}))
        names = {"fine_label_names": ["apple", "bear", "wolf"], "coarse_label_names": ["fruit", "beast"]}
        put(root / "meta", python2_pickle(names))
    else:
        put(root / "data_batch_1", python2_pickle({"data": PIXELS[:3], "labels": [0, 1, 0]}))
        put(root / "test_batch", python2_pickle({"data": PIXELS[3:], "labels": [1]}))
        put(root / "batches.meta", python2_pickle({"label_names": ["airplane", "automobile"]}))
        put(root / "readme.html", "<html>")
    return root


def test_cifar10_keeps_every_pixel(tmp_path: Path) -> None:
    """Batches become PNGs of the same pixels, under their names, with their split; small ones are counted."""
    result = bring("cifar10", cifar(tmp_path / "cifar-10-batches-py"), tmp_path / "out")

    assert (result.classes, result.splits) == ({"airplane": 2, "automobile": 2}, {"test": 1, "train": 3})
    assert result.small == 4
    kept = next(one for one in records(tmp_path / "out" / "automobile") if one.split == "train")
    assert kept.url.endswith("/data_batch_1#row=1")
    with Image.open(tmp_path / "out" / "automobile" / kept.file) as picture:
        assert (np.asarray(picture) == PIXELS[1].reshape(3, 32, 32).transpose(1, 2, 0)).all()


def test_cifar_from_its_tar(tmp_path: Path) -> None:
    """The archive as downloaded gives the same pictures as its folder, wherever its names lie in it."""
    folder = cifar(tmp_path / "cifar-10-batches-py")
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(folder, folder.name)
    bring("cifar10", tmp_path / "cifar-10-python.tar.gz", tmp_path / "tar")
    bring("cifar10", folder, tmp_path / "folder")

    assert contents(tmp_path / "tar") == contents(tmp_path / "folder")


@pytest.mark.parametrize(
    ("coarse", "classes"), [(False, {"apple": 2, "bear": 1, "wolf": 2}), (True, {"beast": 3, "fruit": 2})]
)
def test_cifar100_fine_and_coarse(tmp_path: Path, coarse: bool, classes: dict[str, int]) -> None:
    """CIFAR-100 comes under its fine labels or its coarse ones."""
    assert bring("cifar100", cifar(tmp_path / "in", hundred=True), tmp_path / "out", coarse=coarse).classes == classes


def test_a_modern_pickle_is_read(tmp_path: Path) -> None:
    """A batch that Python 3 and today's numpy wrote is read as well."""
    source = cifar(tmp_path / "in")
    put(source / "data_batch_1", pickle.dumps({"data": PIXELS[:3], "labels": [0, 1, 0]}))

    assert bring("cifar10", source, tmp_path / "out").classes == {"airplane": 2, "automobile": 2}


def test_a_pickle_that_would_run_is_refused(tmp_path: Path) -> None:
    """A batch that names a function is answered with one sentence, and the function does not run."""
    source = cifar(tmp_path / "in")
    put(source / "data_batch_1", f"cos\nsystem\n(S'touch {tmp_path}/ran'\ntR.".encode())
    with pytest.raises(TrayError, match=r"it asks for os.system, which no batch of pictures needs"):
        bring("cifar10", source, tmp_path / "out")
    put(source / "data_batch_1", b"cbuiltins\neval\n(S'1'\ntR.")
    with pytest.raises(TrayError, match=r"it asks for builtins.eval"):
        bring("cifar10", source, tmp_path / "out")

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("batch", "words"), [
    ({"data": PIXELS[:2], "labels": [0]}, "Expected 1 rows of 3072 bytes"),
    ({"data": PIXELS[:1], "labels": [7]}, "Expected labels from 0 to 1"),
    ({"labels": [0]}, "Expected data and labels in .*Received: labels"),
])  # fmt: skip
def test_a_wrong_batch_is_one_sentence(tmp_path: Path, batch: dict[str, Any], words: str) -> None:
    """Batches whose parts do not fit together are named."""
    source = cifar(tmp_path / "in")
    put(source / "data_batch_1", python2_pickle(batch))
    with pytest.raises(TrayError, match=words):
        bring("cifar10", source, tmp_path / "out")


def test_the_other_cifar_is_named(tmp_path: Path) -> None:
    """CIFAR-10 read as CIFAR-100 is answered with what it holds."""
    with pytest.raises(TrayError, match=r"Received: label_names. Is it the other CIFAR"):
        bring("cifar100", cifar(tmp_path / "in"), tmp_path / "out")


def gtsrb(root: Path) -> Path:
    """Write the benchmark's layout: two tracks to train on, a test picture, tables with semicolons."""
    head = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
    signs = root / "GTSRB" / "Final_Training" / "Images" / "00014"
    names = ["00000_00000.ppm", "00000_00001.ppm", "00001_00000.ppm"]
    for index, name in enumerate(names):
        put(signs / name, photo(index, size=(40, 42), kind="PPM"))
    put(
        signs / "GT-00014.csv",
        "\n".join([head, *(f"{name};40;42;5;6;34;35;14" for name in names), "no.ppm;1;1;0;0;1;1;14"]),
    )
    test = root / "GTSRB" / "Final_Test" / "Images"
    put(test / "00000.ppm", photo(7, size=(40, 42), kind="PPM"))
    put(test / "GT-final_test.csv", f"{head}\n00000.ppm;40;42;5;6;34;35;0\n00001.ppm;40;42;5;6;34;35;77\n")
    return root / "GTSRB"


def test_gtsrb_becomes_png(tmp_path: Path) -> None:
    """PPM becomes PNG of the same pixels, numbers become names, tracks are groups, and splits are known."""
    result = bring("gtsrb", gtsrb(tmp_path), tmp_path / "out")

    assert (result.classes, result.splits) == ({"Speed_limit_20": 1, "Stop": 3}, {"test": 1, "train": 3})
    assert reasons(result) == {
        "GT-00014.csv#row=4": "missing file: no.ppm",
        "GT-final_test.csv#row=2": "unknown class 77",
    }
    kept = [one for one in records(tmp_path / "out" / "Stop") if one.kept]
    assert len({one.page for one in kept}) == 2
    assert {one.format for one in kept} == {"PNG"}
    with Image.open(tmp_path / "out" / "Stop" / kept[0].file) as picture:
        assert picture.tobytes() == Image.open(io.BytesIO(photo(0, size=(40, 42), kind="PPM"))).tobytes()


def test_gtsrb_cropped_and_from_kaggle(tmp_path: Path) -> None:
    """Signs can be cropped to their boxes; Kaggle's tables with paths in them are read too."""
    bring("gtsrb", gtsrb(tmp_path), tmp_path / "out", crop=True)

    assert {(one.width, one.height) for one in records(tmp_path / "out" / "Stop") if one.kept} == {(30, 30)}

    put(tmp_path / "kaggle" / "Train" / "14" / "00014_00002_00000.png", photo(1, size=(40, 42), kind="PNG"))
    rows = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n40,42,5,6,34,35,14,Train/14/00014_00002_00000.png\n"
    put(tmp_path / "kaggle" / "Train.csv", rows)
    result = bring("gtsrb", tmp_path / "kaggle", tmp_path / "out2")

    assert (result.classes, result.splits) == ({"Stop": 1}, {"train": 1})
    assert contents(tmp_path / "out2") == {"Stop": {photo(1, size=(40, 42), kind="PNG")}}


def test_gtsrb_without_classes_is_one_sentence(tmp_path: Path) -> None:
    """The test pictures' own table, which has no classes, is told from the one that has."""
    put(tmp_path / "in" / "GT-final_test.test.csv", "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2\n")
    with pytest.raises(TrayError, match=r"GTSRB_Final_Test_GT.zip"):
        bring("gtsrb", tmp_path / "in", tmp_path / "out")
    with pytest.raises(TrayError, match="to have a column 'ClassId'"):
        bring("gtsrb", tmp_path / "in" / "GT-final_test.test.csv", tmp_path / "out")


@pytest.mark.parametrize("head", ["emotion,pixels,Usage", "emotion, Usage, pixels"])
def test_fer2013_pixels(tmp_path: Path, head: str) -> None:
    """Rows of levels become grey PNGs under their emotions, with the three splits; bad rows are listed."""
    faces = np.random.default_rng(1).integers(0, 255, (3, 48 * 48), np.uint8)
    rows = [(str(index + 3), " ".join(map(str, face))) for index, face in enumerate(faces)]
    usages = ["Training", "PublicTest", "PrivateTest", "Training", "Training", "Training"]
    rows += [("0", "1 2 3"), ("9", rows[0][1]), ("1", "1 two")]
    with put(tmp_path / "in" / "fer2013.csv", "").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head.split(","))
        for (emotion, pixels), usage in zip(rows, usages, strict=True):
            writer.writerow([emotion, usage, pixels] if head.endswith("pixels") else [emotion, pixels, usage])
    result = bring("fer2013", tmp_path / "in", tmp_path / "out")

    assert (result.classes, result.splits) == ({"Happy": 1, "Sad": 1, "Surprise": 1}, {"test": 1, "train": 1, "val": 1})
    said = reasons(result)
    assert said["fer2013.csv#row=4"] == "expected 2304 levels from 0 to 255, received 3"
    assert said["fer2013.csv#row=5"] == "unknown emotion 9"
    assert said["fer2013.csv#row=6"].startswith("pixels can't be read")
    with Image.open(next((tmp_path / "out" / "Happy").glob("*.png"))) as picture:
        assert picture.mode == "L"
        assert (np.asarray(picture).reshape(-1) == faces[0]).all()


def test_fer2013_without_pixels_is_one_sentence(tmp_path: Path) -> None:
    """A table that lacks the pixels is answered with the columns it has."""
    with pytest.raises(TrayError, match=r"to have a column 'pixels'. Received: emotion, Usage"):
        bring("fer2013", put(tmp_path / "fer2013.csv", "emotion,Usage\n0,Training\n"), tmp_path / "out")


def test_ham10000_keeps_lesions_together(tmp_path: Path) -> None:
    """Diagnoses get their names, pictures are found in both parts, and one lesion's share a group."""
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for index, (lesion, code) in enumerate([("HAM_1", "nv"), ("HAM_1", "nv"), ("HAM_2", "mel"), ("HAM_3", "df")]):
        rows.append(f"{lesion},ISIC_002{index},{code},histo,80.0,male,scalp")
        if index < 3:
            put(tmp_path / "ham" / f"HAM10000_images_part_{index % 2 + 1}" / f"ISIC_002{index}.jpg", photo(index))
    result = bring(
        "ham10000", put(tmp_path / "ham" / "HAM10000_metadata.csv", "\n".join(rows)).parent, tmp_path / "out"
    )

    assert result.classes == {"melanocytic_nevus": 2, "melanoma": 1}
    assert len({one.page for one in records(tmp_path / "out" / "melanocytic_nevus")}) == 1
    assert reasons(result) == {"HAM10000_metadata.csv#row=4": "missing file: ISIC_0023"}
    with pytest.raises(TrayError, match="to have a column 'dx'"):
        bring("ham10000", put(tmp_path / "x.csv", "lesion_id,image_id\n"), tmp_path / "out2")


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """Return ImageNet in Kaggle's layout, with two synsets called crane and pictures to validate on."""
    root = tmp_path / "ILSVRC"
    put(root / "LOC_synset_mapping.txt", "n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane\n")
    data = root / "Data" / "CLS-LOC"
    for index, synset in enumerate(("n01440764", "n02012849", "n03126707")):
        put(data / "train" / synset / f"{synset}_{index}.JPEG", photo(index))
    put(data / "val" / "ILSVRC2012_val_00000001.JPEG", photo(5))
    put(data / "val" / "ILSVRC2012_val_00000002.JPEG", photo(6))
    put(
        root / "LOC_val_solution.csv",
        "ImageId,PredictionString\nILSVRC2012_val_00000001,n01440764 1 2 30 40 n01440764 5 6 7 8\n",
    )
    return root


def test_imagenet_synsets(imagenet: Path, tmp_path: Path) -> None:
    """Synsets get their first name, namesakes stay apart, and the validation table gives the answers."""
    result = bring("imagenet", imagenet, tmp_path / "out")

    assert result.classes == {"crane_n02012849": 1, "crane_n03126707": 1, "tench": 2}
    assert result.splits == {"train": 3, "val": 1}
    assert reasons(result) == {"ILSVRC2012_val_00000002.JPEG": "no synset in its folder or name"}


def test_imagenet_by_file_names_and_keras_index(tmp_path: Path) -> None:
    """Flat files that begin with their synset are read, and Keras's index gives the names."""
    put(tmp_path / "in" / "n01440764_tench.jpg", photo(1))
    index = put(tmp_path / "imagenet_class_index.json", json.dumps({"0": ["n01440764", "tench"]}))

    assert bring("imagenet", tmp_path / "in", tmp_path / "out").classes == {"tench": 1}
    index.unlink()
    assert bring("imagenet", tmp_path / "in", tmp_path / "out2").classes == {"n01440764": 1}
    with pytest.raises(TrayError, match="Expected lines such as 'n01440764 tench'"):
        bring("imagenet", tmp_path / "in", tmp_path / "out3", names=put(tmp_path / "words.txt", "hello world\n"))


def test_hugging_face_image_folders(tmp_path: Path) -> None:
    """Metadata files say the labels where there are any, and the folders else."""
    put(tmp_path / "plain" / "train" / "cat" / "1.png", photo(1, kind="PNG"))
    put(tmp_path / "plain" / "test" / "dog" / "2.png", photo(2, kind="PNG"))
    assert bring("huggingface", tmp_path / "plain", tmp_path / "out").splits == {"test": 1, "train": 1}

    rows = [
        {"file_name": "a.jpg", "kind": "cat"},
        {"file_name": "sub/b.jpg", "kind": "dog"},
        {"file_name": "c.jpg", "kind": None},
    ]
    put(tmp_path / "meta" / "validation" / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
    put(tmp_path / "meta" / "validation" / "a.jpg", photo(1))
    put(tmp_path / "meta" / "validation" / "sub" / "b.jpg", photo(2))
    result = bring("huggingface", tmp_path / "meta", tmp_path / "out2", label="kind")

    assert (result.classes, result.splits) == ({"cat": 1, "dog": 1}, {"val": 2})
    with pytest.raises(TrayError, match=r"Expected a column of labels in .*Received: file_name, kind"):
        bring("huggingface", tmp_path / "meta", tmp_path / "out3")
    put(tmp_path / "meta" / "validation" / "metadata.jsonl", '{"file_name": "a.jpg"\n')
    with pytest.raises(TrayError, match="Expected one JSON object per line"):
        bring("huggingface", tmp_path / "meta", tmp_path / "out3")


def test_hugging_face_parquet(tmp_path: Path) -> None:
    """Parquet files as the hub serves them give their bytes untouched, and numbers become class names."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    struct_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    schema = pa.schema(
        [("image", struct_type), ("label", pa.int64())], {"huggingface": json.dumps({"info": {"features": features}})}
    )
    cells = [
        {"bytes": photo(0), "path": "0.jpg"},
        {"bytes": photo(1), "path": None},
        {"bytes": None, "path": "gone.jpg"},
        None,
    ]
    (tmp_path / "hub" / "data").mkdir(parents=True)
    table = pa.table([pa.array(cells, struct_type), pa.array([1, 0, 0, 1])], schema=schema)
    pq.write_table(table, tmp_path / "hub" / "data" / "test-00000-of-00001.parquet")
    result = bring("huggingface", tmp_path / "hub", tmp_path / "out")

    assert contents(tmp_path / "out") == {"dog": {photo(0)}, "cat": {photo(1)}}
    assert result.splits == {"test": 2}
    assert set(reasons(result).values()) == {"missing file: gone.jpg", "no picture in the row"}
    with pytest.raises(TrayError, match="Expected a parquet file at"):
        bring("huggingface", put(tmp_path / "bad.parquet", b"PAR1nonsense"), tmp_path / "out2")


def test_parquet_without_pyarrow_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyarrow is missing, the user is told what to install."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(TrayError, match="pip install pyarrow"):
        bring("huggingface", put(tmp_path / "a.parquet", b"PAR1"), tmp_path / "out")
