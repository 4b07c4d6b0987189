"""What a trainer reads: the photos of a folder of class folders, their labels and splits, and their pixels."""

import hashlib
import json
import logging
import mmap
import os
import re
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from dataset.errors import ConfigError, NotEnoughImages, TrayError
from dataset.folder import make_folder, pictures, write_whole
from dataset.images import shrunk
from dataset.layout import SplitName, class_folders_by_split
from dataset.progress import Progress
from train.hashes import sha256s

Part = Literal["train", "val", "test", "tray"]
"""What a photo is for; ``tray`` are windows of trays that were put together from training photos."""
VAL_SHARE = 0.2
# Pixels of a decoded set up to this size stay in memory; bigger sets live in a memory-mapped file.
IN_MEMORY_BYTES = 256 * 2**20
MAPPED, TOLD = "pixels.npy", "pixels.json"
"""That file, and which row of it is which photo."""
TOLD_EVERY = 64
"""Pictures read between two notes on how far it is."""
KEPT_EVERY = 1024
"""Pictures that an interruption costs at most."""
SQUARES = "squares2"
"""Another one whenever ``square`` gives other pixels: what was computed from the old ones must not mix with the new."""
UNREADABLE = (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError,
              AttributeError, RuntimeError, Image.DecompressionBombError)  # fmt: skip
"""What decoders raise for files that are no pictures, or broken ones."""

Array = np.ndarray[Any, Any]
log = logging.getLogger("tray")


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled file; ``label`` is an index into the class names, ``sha256`` the hash of its bytes."""

    path: Path
    label: int
    part: Part
    sha256: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled photos in parts; in a binary dataset the positive class is label 1."""

    path: Path
    class_names: tuple[str, ...]
    photos: tuple[Photo, ...]
    fingerprint: str
    has_parts: bool
    """Whether the parts were found as folders; otherwise the hash of each file's bytes dealt them."""

    def part(self, part: Part) -> list[Photo]:
        """Return the photos of one part."""
        return [photo for photo in self.photos if photo.part == part]

    def without(self, unreadable: Iterable[str]) -> "Dataset":
        """Return the dataset without the photos whose sha256 is given."""
        gone = set(unreadable)
        return replace(self, photos=tuple(photo for photo in self.photos if photo.sha256 not in gone))


def read_dataset(folder: Path, *, positive: str = "", store: Path | None = None) -> Dataset:
    """Read a built dataset, a folder with train/val/test, or any folder of class folders.

    Without a val part, a fifth of each class becomes one, dealt by the hash of the bytes: the same files always fall
    the same way, and identical files never straddle. ``positive`` names the class to be label 1 of two. With
    ``store``, a folder that remembers what files hold, those that are as they were are not read again.
    Raises TrayError for a folder that holds no class folders.
    """
    found = class_folders_by_split(folder)
    listed = _require_as_built(folder, found)
    class_names = _class_names(folder, found, positive)
    files = [
        (path, class_names.index(name), part)
        for part, classes in found.items()
        for name, path_of_class in classes.items()
        for path in pictures(path_of_class)
    ]
    hashes = sha256s(folder, [path for path, *_ in files], threads=threads(), store=store)
    photos = [Photo(*file, sha256) for file, sha256 in zip(files, hashes, strict=True)]
    _require_untouched(folder, photos, listed)
    _tell_of_copies(folder, photos)
    if "val" not in found:
        photos = deal(photos)
    return Dataset(folder, class_names, tuple(photos), _fingerprint(class_names, photos), has_parts="val" in found)


def classes_of(folder: Path) -> tuple[str, ...]:
    """Return the class names of a folder of class folders in the order of their labels; reads no picture."""
    return _class_names(folder, class_folders_by_split(folder), "")


def read_all(folders: Mapping[str, Path], *, apart: bool = False, store: Path | None = None) -> dict[str, Dataset]:
    """Read each item's dataset; items that share a folder are classes of it, each against the rest.

    ``apart`` asks the same of an item that has a folder to itself; ``store`` is that of ``read_dataset``. Raises
    ConfigError for an item that is none of the classes that it is to be taken from.
    """
    paths = list(folders.values())
    read: dict[Path, Dataset] = {}
    found = {}
    for item, path in folders.items():
        whole_is_meant = paths.count(path) == 1
        positive = item if whole_is_meant else ""
        whole = read.get(path) or read.setdefault(path, read_dataset(path, positive=positive, store=store))
        if apart and len(whole.class_names) > 2:
            whole_is_meant = False
        if item not in whole.class_names and (apart or not whole_is_meant):
            names = ", ".join(whole.class_names)
            raise ConfigError(f"Expected items out of the classes of {path}: {names}. Received: {item!r}.")
        found[item] = whole if whole_is_meant else against_the_rest(whole, item)
    return found


def as_trained(dataset: Dataset, item: str, class_names: Sequence[str]) -> Dataset:
    """Return a dataset as a finished classifier knows it: one class against the rest, if that is what it tells apart.

    ``class_names`` are those of the classifier.
    """
    whole = item not in dataset.class_names or set(dataset.class_names) == set(class_names)
    return dataset if whole else against_the_rest(dataset, item)


def distinct(photos: Iterable[Photo]) -> list[Photo]:
    """Return each photo once, in the order of their hashes."""
    return [photo for _, photo in sorted({photo.sha256: photo for photo in photos}.items())]


def against_the_rest(dataset: Dataset, item: str) -> Dataset:
    """Return the binary dataset of one of several classes: label 1 is the item, label 0 is everything else."""
    label = dataset.class_names.index(item)
    photos = tuple(Photo(one.path, int(one.label == label), one.part, one.sha256) for one in dataset.photos)
    class_names = (f"not_{item}", item)
    return replace(dataset, class_names=class_names, photos=photos, fingerprint=_fingerprint(class_names, photos))


def deal(photos: Sequence[Photo]) -> list[Photo]:
    """Move a fifth of each class's training photos to val, by the order of their hashes."""
    copies = Counter(photo.sha256 for photo in photos if photo.part == "train")
    # A file that lies in two classes counts for the first: it has to fall on one side.
    first_class = {photo.sha256: photo.label for photo in reversed(photos) if photo.part == "train"}
    val: set[str] = set()
    for label in set(first_class.values()):
        ordered = sorted(sha256 for sha256, of in first_class.items() if of == label)
        wanted = max(1, round(VAL_SHARE * sum(copies[sha256] for sha256 in ordered))) if len(ordered) > 1 else 0
        for sha256 in ordered:
            if wanted <= 0:
                break
            val.add(sha256)
            wanted -= copies[sha256]
    return [replace(photo, part="val") if photo.part == "train" and photo.sha256 in val else photo for photo in photos]


def require_enough(dataset: Dataset) -> None:
    """Raise NotEnoughImages for a dataset that no classifier can be trained and judged on."""
    names = dataset.class_names
    if len(names) < 2:
        raise NotEnoughImages(
            f"Expected at least two classes in {dataset.path}. Received: {names[0]!r} alone. "
            f"Add a class folder of what it is not, such as not_{names[0]}."
        )
    for label, name in enumerate(names):
        distinct = len({photo.sha256 for photo in dataset.photos if photo.label == label and photo.part != "tray"})
        training = sum(photo.label == label for photo in dataset.part("train"))
        if distinct < 2 or not training:
            raise NotEnoughImages(
                f"Expected at least two different readable pictures of {name!r} in {dataset.path}, one to train on and "
                f"one to judge by. Received: {distinct}, of which {training} to train on. Add more."
            )
    if not dataset.part("val"):
        raise NotEnoughImages(
            f"Expected pictures to validate on in {dataset.path / 'val'}. Received: none. Add more, and build again."
        )


@dataclass(frozen=True, slots=True)
class Pixels:
    """Decoded photos as (n, size, size, 3) uint8, the row of each by its sha256, and why others can't be read."""

    array: Array
    rows: dict[str, int]
    errors: dict[str, str]
    paths: dict[str, Path]

    def rows_of(self, photos: Iterable[Photo]) -> Array:
        """Return the rows of some photos."""
        return np.array([self.rows[photo.sha256] for photo in photos], np.int64)


def decode_all(photos: Iterable[Photo], size: int, *, scratch: Path) -> Generator[Progress, None, Pixels]:
    """Decode each distinct photo once to a square of ``size`` pixels; yield progress and return the pixels.

    Large sets go to a file in the folder ``scratch``; what an interrupted call put there, the next one finds.
    """
    paths = {photo.sha256: photo.path for photo in photos}
    pixels = _opened(paths, size, scratch)
    missing = [sha256 for sha256 in paths if sha256 not in pixels.rows and sha256 not in pixels.errors]
    free = sorted(set(range(len(paths))).difference(pixels.rows.values()))[: len(missing)]
    begun = len(paths) - len(missing)

    def fill(row: int, sha256: str) -> str:
        found = _decode_or_reason(paths[sha256], size)
        if isinstance(found, str):
            return found
        pixels.array[row] = found
        return ""

    with ThreadPoolExecutor(threads()) as pool:
        said = pool.map(fill, free, missing)
        for done, (row, sha256, error) in enumerate(zip(free, missing, said, strict=True), start=begun):
            if error:
                pixels.errors[sha256] = error
                log.warning("%s can't be read and is left out: %s", paths[sha256], error)
            else:
                pixels.rows[sha256] = row
            if done % KEPT_EVERY == 0:
                _keep(pixels, scratch)
            if done % TOLD_EVERY == 0:
                let_go(pixels.array)
                yield Progress("read pictures", done, len(paths))
    _keep(pixels, scratch)
    yield Progress("read pictures", len(paths), len(paths))
    return pixels


def _opened(paths: dict[str, Path], size: int, scratch: Path) -> Pixels:
    """Return room for photos, in memory or in a file, and what the file already holds."""
    shape = (len(paths), size, size, 3)
    if np.prod(shape) <= IN_MEMORY_BYTES:
        return Pixels(np.zeros(shape, np.uint8), {}, {}, paths)
    mapped, told = make_folder(scratch) / MAPPED, scratch / TOLD
    if told.is_file():
        return Pixels(np.load(mapped, mmap_mode="r+"), **json.loads(told.read_text(encoding="utf-8")), paths=paths)
    return Pixels(np.lib.format.open_memmap(mapped, "w+", np.uint8, shape), {}, {}, paths)


def _keep(pixels: Pixels, scratch: Path) -> None:
    """Write down which photos the file holds by now, so that no other call decodes them."""
    if isinstance(pixels.array, np.memmap):
        pixels.array.flush()
        write_whole(scratch / TOLD, json.dumps({"rows": pixels.rows, "errors": pixels.errors}).encode())


def let_go(array: Array) -> None:
    """Hand the memory behind a mapped file back: each page that was ever touched would count as this process's."""
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)


def decode(file: Path, size: int) -> Array:
    """Return a picture stretched to (size, size, 3) uint8.

    Raises UNREADABLE for a file that is no whole picture.
    """
    return square(file.read_bytes(), size)


def square(data: bytes, size: int) -> Array:
    """Return the picture that some bytes are, stretched to (size, size, 3) uint8; raises UNREADABLE."""
    return squared(shrunk(data, side=size), size)


def squared(image: Image.Image, size: int) -> Array:
    """Return an RGB picture stretched to (size, size, 3) uint8."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def reason(error: BaseException) -> str:
    """Say in a few words why a file can't be read."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    return str(error) or type(error).__name__


def decode_ahead(files: Iterable[Path], size: int, *, batch_size: int) -> Iterator[list[tuple[Path, Array | str]]]:
    """Yield batches of files, in order, each with its pixels or with why it can't be read.

    A pool of threads works two batches ahead, however many files there are.
    """
    waiting: deque[list[tuple[Path, Future[Array | str]]]] = deque()
    left = iter(files)
    with ThreadPoolExecutor(threads()) as pool:
        while True:
            batch = [(file, pool.submit(_decode_or_reason, file, size)) for file in islice(left, batch_size)]
            if batch:
                waiting.append(batch)
            if len(waiting) == 2 or (waiting and not batch):
                yield [(file, future.result()) for file, future in waiting.popleft()]
            elif not batch:
                return


def _decode_or_reason(file: Path, size: int) -> Array | str:
    try:
        return decode(file, size)
    except UNREADABLE as error:
        return reason(error)


class Feed:
    """An endless source of shuffled epochs: batches of (pixels, label, weight) as one tf.data pipeline.

    Setting ``epoch`` decides the order of the next pass, so that a resumed training sees what an undisturbed one sees.
    """

    def __init__(self, pixels: Array, rows: Array, labels: Array, *, batch_size: int, seed: int | None = None) -> None:
        from train.backend import tf

        self.epoch = 0
        self.steps = -(-len(rows) // batch_size)
        """Batches in an epoch."""
        # Without them a network with few pictures learns to say the larger class, whatever it sees.
        weights = class_weights(labels) if seed is not None else np.ones(len(rows), np.float32)

        def batches() -> Iterator[tuple[Array, Array, Array]]:
            order = np.arange(len(rows))
            if seed is not None:
                order = np.random.default_rng((seed, self.epoch)).permutation(len(rows))
            for start in range(0, len(order), batch_size):
                some = order[start : start + batch_size]
                yield pixels[rows[some]], labels[some], weights[some]
                let_go(pixels)

        signature = (
            tf.TensorSpec((None, *pixels.shape[1:]), tf.uint8),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.float32),
        )
        source = tf.data.Dataset.from_generator(batches, output_signature=signature)
        self.batches = source.apply(tf.data.experimental.assert_cardinality(self.steps)).prefetch(2)


def class_weights(labels: Array) -> Array:
    """Return a weight per picture, 1 on average, that makes every class count the same: n / (classes * its count)."""
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: Array = (len(labels) / (len(counts) * counts))[places].astype(np.float32)
    return weights


def threads() -> int:
    """Return how many threads this process may keep busy."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _require_as_built(folder: Path, found: Mapping[SplitName, Mapping[str, Path]]) -> dict[str, str]:
    """Return how the SHA-256 of each picture of a built dataset begins, empty where that was not noted.

    Raises TrayError when it has lost pictures since, or was given some. Any other folder has nothing to be held to.
    """
    listed = folder / "metadata.jsonl"
    if not ((folder / "dataset.json").is_file() and listed.is_file()):
        return {}
    lines = listed.read_text(encoding="utf-8").splitlines()
    try:
        rows = [json.loads(line) for line in lines]
        built = {str(row["file_name"]): str(row.get("digest", "")) for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise TrayError(
            f"Expected {listed} to name a picture in each line, as tray build writes it. Received: {error!r}. "
            f"Build it again."
        ) from None
    folders = [one for part in found.values() for one in part.values()]
    there = {path.relative_to(folder).as_posix() for one in folders for path in pictures(one)}
    changed = sorted(built.keys() ^ there)
    if changed:
        raise TrayError(
            f"Expected the {len(built)} pictures in {folder} that it was built of. Received: "
            f"{len(built.keys() - there)} fewer and {len(there - built.keys())} more, such as {changed[0]}. "
            f"Build the dataset again."
        )
    return built


def _require_untouched(folder: Path, photos: Iterable[Photo], listed: Mapping[str, str]) -> None:
    """Raise TrayError when pictures were overwritten since they were built."""
    if not listed:
        return
    names = {photo.path.relative_to(folder).as_posix(): photo.sha256 for photo in photos}
    changed = sorted(name for name, sha256 in names.items() if not sha256.startswith(listed[name]))
    if changed:
        raise TrayError(
            f"Expected the pictures in {folder} as they were built. Received: {len(changed)} that "
            f"{'was' if len(changed) == 1 else 'were'} changed since, such as {changed[0]}. Build the dataset again."
        )


def _tell_of_copies(folder: Path, photos: Iterable[Photo]) -> None:
    """Say when one file's bytes have two labels, or are learned from and judged by: a build would have left it out."""
    copies: dict[str, list[Photo]] = {}
    for photo in photos:
        copies.setdefault(photo.sha256, []).append(photo)
    torn = [some[0].path for some in copies.values() if len({photo.label for photo in some}) > 1]
    shared = [some[0].path for some in copies.values() if len({photo.part for photo in some}) > 1]
    if torn:
        log.warning(
            "Copies in %s: %d lie in more than one class, such as %s: they teach nothing. Delete one of each, or let "
            "tray build leave them out.", folder, len(torn), torn[0],
        )  # fmt: skip
    if shared:
        log.warning(
            "Copies in %s: %d lie in more than one of train, val and test, such as %s: the figures flatter. Delete "
            "one of each, or let tray build split them anew.", folder, len(shared), shared[0],
        )  # fmt: skip


def _class_names(folder: Path, by_split: Mapping[SplitName, Mapping[str, Path]], positive: str) -> tuple[str, ...]:
    """Return the class names in the order of their labels."""
    found = sorted({name for classes in by_split.values() for name in classes})
    card = folder / "dataset.json"
    if card.is_file():
        try:
            named: list[str] = json.loads(card.read_text(encoding="utf-8"))["class_names"]
        except (ValueError, KeyError, TypeError) as error:
            raise TrayError(
                f"Expected {card} to hold class_names, as tray build writes it. Received: {error!r}. Build it again."
            ) from None
        if not set(found) <= set(named):
            strange = ", ".join(sorted(set(found) - set(named)))
            raise TrayError(
                f"Expected the classes {', '.join(named)}, as {card} names them. Received: a folder {strange}. "
                f"Build the dataset again."
            )
        return tuple(named)
    if len(found) == 2:
        for name in found:
            other = found[1 - found.index(name)]
            if re.fullmatch(rf"(not|no|non)[ _-]*{re.escape(name)}", other, re.IGNORECASE) or name == positive:
                return other, name
    return tuple(found)


def _fingerprint(class_names: Sequence[str], photos: Iterable[Photo]) -> str:
    lines = sorted(f"{photo.part}/{class_names[photo.label]}/{photo.sha256}" for photo in photos)
    return hashlib.sha256("\n".join([*class_names, *lines]).encode()).hexdigest()[:16]
