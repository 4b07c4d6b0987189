"""Archives of class folders, read without unpacking anything to disk."""

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from dataset.errors import TrayError
from dataset.importers.folders import member_place
from dataset.importers.labelled import Labelled, address, one_line
from dataset.importers.pictures import is_picture
from dataset.tray import MAX_BYTES

DAMAGED: Final = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError)
"""What is raised where an archive is cut or spoilt, beside OSError."""
BOMB: Final = 200
"""A member of more than a megabyte that was packed this many times smaller is no photograph."""


def zipped(source: Path, *, level: int = -1) -> Iterator[Labelled]:
    """Yield the pictures in a zip of class folders; ``level`` as for nested folders."""
    try:
        archive = zipfile.ZipFile(source)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise _unreadable(source, "zip", error) from error
    with archive:
        for member in archive.infolist():
            if member.is_dir() or not is_picture(member.filename):
                continue
            label, split, reason = member_place(member.filename, level)
            yield Labelled(
                label,
                address(source, quote(member.filename)),
                partial(_unzip, archive, member),
                split=split,
                error=reason or _suspicion(member),
            )


def tarred(source: Path, *, level: int = -1) -> Iterator[Labelled]:
    """Yield the pictures in a tar of class folders, packed or not; ``level`` as for nested folders."""
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                if member.isdir() or not is_picture(member.name):
                    continue
                label, split, reason = member_place(member.name, level)
                reason = reason or ("" if member.isreg() else "a link or device, not a file")
                reason = reason or ("too many bytes" if member.size > MAX_BYTES else "")
                read = partial(_untar, archive, member)
                yield Labelled(label, address(source, quote(os.fsencode(member.name))), read, split=split, error=reason)
            _check_end(archive)
    except (OSError, *DAMAGED) as error:
        raise _unreadable(source, "tar", error) from error


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise ReadError where a damaged header ended a tar early: Python takes it for the end, behind which are zeros."""
    while archive.fileobj and (block := archive.fileobj.read(1 << 20)):
        if block.strip(b"\0"):
            raise tarfile.ReadError("a damaged member, behind which more lie")


def _suspicion(member: zipfile.ZipInfo) -> str:
    if member.flag_bits & 1:
        return "encrypted"
    if member.file_size > MAX_BYTES:
        return "too many bytes"
    if member.file_size > 1_000_000 and member.file_size > BOMB * max(1, member.compress_size):
        return "packed too far for a picture"
    return ""


def _unzip(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(member) as file:
            return _limited(file)
    except (*DAMAGED, NotImplementedError, RuntimeError) as error:
        raise OSError(f"damaged in the archive: {error}") from error


def _untar(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    try:
        file = archive.extractfile(member)
        if file is None:
            raise OSError("a link or device, not a file")
        return _limited(file)
    except DAMAGED as error:
        raise OSError(f"damaged in the archive: {error}") from error


def _limited(file: IO[bytes]) -> bytes:
    # What a header says of a member's size is not what comes out of it.
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError("too many bytes")
    return data


def _unreadable(source: Path, kind: str, error: Exception) -> TrayError:
    return TrayError(
        f"Expected a whole {kind} archive at {source}. Received: {one_line(error)}. "
        f"Download it again; what was read before stays, and the same command goes on from there."
    )
