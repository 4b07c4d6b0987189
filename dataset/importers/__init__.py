"""Datasets that others made, brought into class folders."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dataset.importers.archives import tarred, zipped
from dataset.importers.cifar import cifar10, cifar100
from dataset.importers.coco import coco
from dataset.importers.csvfile import csvfile
from dataset.importers.fer2013 import fer2013
from dataset.importers.filenames import filenames, food11
from dataset.importers.folders import folders, nested
from dataset.importers.gtsrb import gtsrb
from dataset.importers.ham10000 import ham10000
from dataset.importers.huggingface import huggingface
from dataset.importers.imagenet import imagenet
from dataset.importers.openimages import openimages
from dataset.importers.voc import voc
from dataset.importers.writer import Imported, Reader, Unread, write
from dataset.progress import Progress

__all__ = ["FORMATS", "Imported", "Reader", "Unread", "import_dataset"]

FORMATS: dict[str, Reader] = {
    "folders": folders,
    "nested": nested,
    "zip": zipped,
    "tar": tarred,
    "csv": csvfile,
    "filenames": filenames,
    "food11": food11,
    "voc": voc,
    "coco": coco,
    "openimages": openimages,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "gtsrb": gtsrb,
    "fer2013": fer2013,
    "ham10000": ham10000,
    "imagenet": imagenet,
    "huggingface": huggingface,
}
"""What can be read, by name; an importer's keyword arguments are the options of its format."""


def import_dataset(
    kind: str,
    source: Path,
    out: Path,
    *,
    relabel: Mapping[str, str] | None = None,
    split: str | None = None,
    **options: Any,
) -> Iterator[Progress | Imported]:
    """Bring a dataset in the format ``kind`` into class folders below ``out``; the source stays as it is.

    ``relabel`` maps labels to coarser ones, ``*`` to what all others become, an empty one leaves out. ``split`` takes
    one of the source's own splits alone; without it all come, and each manifest line remembers its split. Bytes are
    kept as received; crops and arrays become PNG or JPEG of quality 95. A second run writes nothing, and tries again
    what could not be read. Yields Progress (of an unknown total, 0) and, last, an Imported. Raises ConfigError for an
    unknown format or an option that it does not have, FolderLocked, and TrayError for a source that can't be read.
    """
    yield from write(FORMATS, kind, source, out, relabel=relabel, split=split, **options)
