"""A zip as Kaggle takes it: class folders in splits, stored and not squeezed, with Kaggle's metadata beside it."""

import json
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from typing import IO, Final

from dataset.exporters.examples import Dataset
from dataset.exporters.parts import Part, text

EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip knows; the same for every member, so that the bytes are always the same."""
OWNER: Final = "INSERT_USER_NAME_HERE"
LICENCES: Final = {
    name.lower(): name
    for name in (
        "CC0-1.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0",
        "CC-BY-NC-ND-4.0", "GPL-2.0", "ODbL-1.0", "DbCL-1.0", "unknown", "other",
    )
}  # fmt: skip
"""Kaggle's names of licences by their lower case; all others are ``other``."""
LOADING = """\
import keras

train = keras.utils.image_dataset_from_directory("train", class_names=CLASS_NAMES)
"""


def parts(dataset: Dataset, licence: str, owner: str) -> Iterator[Part]:
    """Yield ``NAME.zip`` and ``dataset-metadata.json``."""
    yield Part(f"{dataset.name}.zip", partial(_write, dataset), len(dataset.examples))
    yield text("dataset-metadata.json", json.dumps(metadata(dataset, licence, owner), indent=2) + "\n")


def metadata(dataset: Dataset, licence: str, owner: str) -> dict[str, object]:
    """Return what ``kaggle datasets create`` reads: a title of 6 to 50 characters, an id of as many, a licence."""
    title = dataset.name if len(dataset.name) >= 6 else f"{dataset.name} pictures"
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:50].strip("-")
    slug = slug if len(slug) >= 6 else f"pictures-{slug}".strip("-")
    splits = ", ".join(f"{split} {len(dataset.of(split))}" for split in dataset.splits)
    return {
        "title": title[:50].strip(),
        "id": f"{owner or OWNER}/{slug}",
        "licenses": [{"name": LICENCES.get(licence.lower(), "other")}],
        "keywords": ["image", "classification"],
        "resources": [
            {
                "path": f"{dataset.name}.zip",
                "description": f"{len(dataset.examples)} pictures of {len(dataset.class_names)} classes in class "
                f"folders ({splits}).",
            }
        ],
    }


def _write(dataset: Dataset, file: IO[bytes]) -> Iterator[None]:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _store(archive, "classes.txt", "".join(f"{name}\n" for name in dataset.class_names).encode())
        for example in sorted(dataset.examples, key=lambda one: one.file_name):
            _store(archive, example.file_name, example.data())
            yield


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    member = zipfile.ZipInfo(name, EPOCH)
    # What the file system and the system say of the file would differ from machine to machine.
    member.create_system, member.external_attr = 3, 0o644 << 16
    archive.writestr(member, data)
