"""Hand a dataset on in the form that somebody else's library or site takes."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dataset.errors import ConfigError, TrayError, did_you_mean
from dataset.exporters import huggingface, kaggle, tfrecord, webdataset
from dataset.exporters.card import card
from dataset.exporters.croissant import croissant
from dataset.exporters.examples import Dataset, read_dataset, row
from dataset.exporters.parts import Part, text
from dataset.folder import LOCK, link, locked, make_folder, unwritable, write_whole
from dataset.origin import tell_if_outdated
from dataset.progress import Progress

MARKER: Final = ".export.json"
"""What an export was made of; written first as unfinished and last as finished. It is no part of the dataset."""
TABLE: Final = "pictures.jsonl"
"""One line per picture. Under its usual name, metadata.jsonl, loaders of image folders would take it for theirs."""
CARD: Final = "README.md"
CROISSANT: Final = "croissant.json"
PART: Final = ".part"
VERSION: Final = 1
SHARD_BYTES: Final = 150_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person says of a dataset when handing it on."""

    licence: str = "unknown"
    owner: str = ""
    """Kaggle user name."""
    shard_bytes: int = SHARD_BYTES
    """Bytes of pictures in a shard at most."""


@dataclass(frozen=True, slots=True)
class Format:
    """One form of a dataset: its files, how to load it, and where its pictures can be had one by one."""

    parts: Callable[[Dataset, Terms], Iterator[Part]]
    loading: str
    pictures: Callable[[Dataset], str] = lambda _: ""
    """The zip with the pictures in it, ``.`` where they lie loose, or nothing."""
    front: bool = False
    """Whether the card carries Hugging Face's YAML."""


FORMATS: Final[dict[str, Format]] = {
    "zip": Format(
        lambda dataset, terms: kaggle.parts(dataset, terms.licence, terms.owner),
        kaggle.LOADING,
        lambda dataset: f"{dataset.name}.zip",
    ),
    "tfrecord": Format(lambda dataset, terms: tfrecord.parts(dataset, terms.shard_bytes), tfrecord.LOADING),
    "webdataset": Format(lambda dataset, terms: webdataset.parts(dataset, terms.shard_bytes), webdataset.LOADING),
    "huggingface": Format(
        lambda dataset, _: huggingface.parts(dataset), huggingface.LOADING, lambda _: ".", front=True
    ),
}
"""What a dataset can be handed on as, by name."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    out: Path
    kind: str
    pictures: int
    splits: dict[str, int]
    files: tuple[str, ...]
    """Files below ``out``, loose pictures aside."""
    bytes: int
    """Of these files."""
    unchanged: bool = False
    """Whether everything was there already, so that nothing was done."""


def export_dataset(
    folder: Path, kind: str, out: Path | None = None, *, terms: Terms | None = None
) -> Iterator[Progress | Exported]:
    """Write a built dataset, or any folder of class folders, in the format ``kind`` to the folder ``out``.

    ``out`` is by default ``DIR-KIND`` beside the dataset. With the format's files come ``pictures.jsonl`` (one line per
    picture), ``classes.txt``, ``croissant.json`` and a card, ``README.md``. The same dataset gives the same bytes; a
    second run does nothing, and a killed one goes on with the file it was at. Yields Progress and, last, an Exported.
    Raises ConfigError for an unknown format, FolderLocked, and TrayError when ``folder`` is no dataset or ``out`` holds
    something else.
    """
    if kind not in FORMATS:
        raise ConfigError(f"Expected a format ({', '.join(FORMATS)}). Received: {kind!r}.{did_you_mean(kind, FORMATS)}")
    terms = terms or Terms()
    dataset = read_dataset(folder)
    tell_if_outdated(folder)
    out = out or folder.absolute().with_name(f"{folder.absolute().name}-{kind}")
    _check_out(folder, out)
    with locked(make_folder(out)):
        parts = [*FORMATS[kind].parts(dataset, terms), *_common(dataset)]
        stamp = _fingerprint(dataset, kind, terms)
        unchanged = _begin(out, stamp, parts)
        if not unchanged:
            yield from _write(out, parts, len(dataset.examples))
            for part in _described(dataset, kind, out, parts, terms):
                (out / part.name).unlink(missing_ok=True)
                yield from _write(out, [part], len(dataset.examples), done=len(dataset.examples))
            _mark(out, stamp, parts, finished=True)
        files = _files(parts)
        yield Exported(
            out, kind, len(dataset.examples), {split: len(dataset.of(split)) for split in dataset.splits}, files,
            sum((out / name).stat().st_size for name in files), unchanged,
        )  # fmt: skip


def _common(dataset: Dataset) -> Iterator[Part]:
    """Yield the table of pictures and the list of classes."""
    rows = map(row, sorted(dataset.examples, key=lambda one: one.file_name))
    yield text(TABLE, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows))
    yield text("classes.txt", "".join(f"{name}\n" for name in dataset.class_names))


def _described(dataset: Dataset, kind: str, out: Path, parts: list[Part], terms: Terms) -> Iterator[Part]:
    """Yield the card and the Croissant metadata, which know the checksums of all other files."""
    form = FORMATS[kind]
    yield text(CARD, card(dataset, terms.licence, form.loading, front=form.front))
    names = [part.name for part in parts if not part.copy]
    yield text(CROISSANT, croissant(dataset, out, names, terms.licence, pictures=form.pictures(dataset)))


def _files(parts: list[Part]) -> tuple[str, ...]:
    return (*(part.name for part in parts if not part.copy), CARD, CROISSANT)


def _names(parts: list[Part]) -> list[str]:
    return [*(part.name for part in parts if part.copy), *_files(parts)]


def _check_out(folder: Path, out: Path) -> None:
    """Refuse a place that is the dataset itself, or holds what no export of ours has left."""
    if out.resolve() == folder.resolve() or folder.resolve() in out.resolve().parents:
        raise TrayError(f"Expected a folder outside {folder} for the export. Received: {out}. Name another.")
    if out.exists() and not out.is_dir():
        raise TrayError(f"Expected a folder for the export. Received: {out}, which is a file. Name another.")
    inside = sorted(path.name for path in out.iterdir() if path.name != LOCK) if out.is_dir() else []
    if inside and MARKER not in inside:
        raise TrayError(
            f"Expected an empty folder or an earlier export for the result. Received: {out}, which holds "
            f"{', '.join(inside[:3])}. Name another folder."
        )


def _fingerprint(dataset: Dataset, kind: str, terms: Terms) -> str:
    """Return a digest of all that the files depend on, without opening a picture."""
    digest = hashlib.sha256(repr((VERSION, kind, terms, dataset.name, dataset.class_names)).encode())
    digest.update(json.dumps(dataset.card, sort_keys=True).encode())
    for one in dataset.examples:
        status = one.status()
        digest.update(json.dumps([row(one), one.number, status.st_size, status.st_mtime_ns]).encode())
    return digest.hexdigest()


def _begin(out: Path, stamp: str, parts: list[Part]) -> bool:
    """Return whether the export is there; else clear away what another one left, and note that this one has begun."""
    try:
        marker = json.loads((out / MARKER).read_bytes())
        before, finished, files = marker["fingerprint"], marker["finished"], [out / name for name in marker["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        # A marker that tells nothing: whatever bears the name of a file of this export may be another one's.
        before, finished, files = "", False, [out / name for name in _names(parts)]
    if before != stamp:
        for path in files:
            path.unlink(missing_ok=True)
    elif finished and all(path.is_file() for path in files):
        return True
    for torn in out.rglob(f".*{PART}"):
        torn.unlink(missing_ok=True)
    _mark(out, stamp, parts, finished=False)
    return False


def _mark(out: Path, stamp: str, parts: list[Part], *, finished: bool) -> None:
    said = {"fingerprint": stamp, "finished": finished, "files": _names(parts)}
    write_whole(out / MARKER, json.dumps(said, ensure_ascii=False, indent=0).encode())


def _write(out: Path, parts: list[Part], total: int, *, done: int = 0) -> Iterator[Progress]:
    """Write the files that are not there yet, each whole or not at all."""
    for part in parts:
        path = out / part.name
        if path.exists():
            done += part.pictures
        else:
            make_folder(path.parent)
            torn = path.with_name(f".{path.name}{PART}")
            try:
                if part.copy:
                    link(part.copy.resolve(), torn)
                else:
                    with torn.open("wb") as file:
                        for _ in part.write(file):
                            done += 1
                            yield Progress("export", done, total)
                torn.replace(path)
            except OSError as error:
                torn.unlink(missing_ok=True)
                raise unwritable(path, error) from error
            done += bool(part.copy)
        yield Progress("export", done, total)
