"""What files hold is remembered, and every change of them noticed."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from train.hashes import sha256s

OLD = 1_600_000_000


@pytest.fixture
def told(tmp_path: Path) -> Callable[[], str]:
    """Return a function that returns the SHA-256 of a file that may be remembered, after comparing those of others."""
    store, folder = tmp_path / "store", tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(name.encode())
        os.utime(folder / name, (OLD, OLD))

    def ask() -> str:
        first, second = sha256s(folder, [folder / "a", folder / "b"], threads=2, store=store)
        assert second == hashlib.sha256(b"b").hexdigest()
        return first

    ask()
    return ask


def test_what_was_not_changed_is_not_read_again(told: Callable[[], str], tmp_path: Path) -> None:
    """A file of the same size and time is taken for the same, and no other file; without a store it is read."""
    photo, other = tmp_path / "photos/a", tmp_path / "others"
    photo.write_bytes(b"c")
    os.utime(photo, (OLD, OLD))
    before = told()
    other.mkdir()
    (other / "a").write_bytes(b"d")
    os.utime(other / "a", (OLD, OLD))

    assert before == hashlib.sha256(b"a").hexdigest()
    assert sha256s(photo.parent, [photo], threads=1) == [hashlib.sha256(b"c").hexdigest()]
    assert sha256s(other, [other / "a"], threads=1, store=tmp_path / "store") == [hashlib.sha256(b"d").hexdigest()]


def test_a_new_folder_links_to_files_that_are_known(told: Callable[[], str], tmp_path: Path) -> None:
    """What another folder's file holds is known through a link to it too; its neighbours are read."""
    photo, other = tmp_path / "photos/a", tmp_path / "others"
    other.mkdir()
    (other / "soft").symlink_to(photo)
    (other / "hard").hardlink_to(photo)
    (other / "new").write_bytes(b"n")
    photo.write_bytes(b"c")
    os.utime(photo, (OLD, OLD))
    files = [other / name for name in ("soft", "new", "hard")]
    first = [sha256s(other, files, threads=2, store=tmp_path / "store") for _ in range(2)]

    a, n = (hashlib.sha256(one).hexdigest() for one in (b"a", b"n"))
    assert first == [[a, n, a]] * 2
    assert told() == a


def test_what_was_changed_is_read(told: Callable[[], str], tmp_path: Path) -> None:
    """Another size, or another time, asks for another look; what is the same is not written down again."""
    photo = tmp_path / "photos/a"
    photo.write_bytes(b"longer")
    os.utime(photo, (OLD, OLD))
    longer = told()
    photo.write_bytes(b"longed")
    later = told()
    (memory,) = (tmp_path / "store").iterdir()
    os.utime(memory, (OLD, OLD))

    assert longer == hashlib.sha256(b"longer").hexdigest()
    assert later == told() == hashlib.sha256(b"longed").hexdigest()
    assert memory.stat().st_mtime == OLD


def test_a_memory_that_is_broken_or_cannot_be_written_costs_time_alone(told: Callable[[], str], tmp_path: Path) -> None:
    """The files are read again."""
    (memory,) = (tmp_path / "store").iterdir()
    memory.write_text("{")
    first = told()
    memory.write_text("[1]")
    assert first == told()
    memory.unlink()
    (tmp_path / "store").rmdir()
    (tmp_path / "store").write_text("a file")

    assert first == told() == hashlib.sha256(b"a").hexdigest()
