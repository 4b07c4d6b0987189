"""No room and no right to write: one sentence, an exit code, and nothing half done."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataset.folder import ClassFolder, Record, records
from dataset.images import inspect
from scraper.simulator import Site

FILE_LIMIT = 30_000
"""Bytes beyond which no file may grow: some pictures fit, others do not."""
SCRAPE = [sys.executable, "-m", "tray", "scrape", "pizza", "-q", "--engines", "bing", "--display", "headless"]


@pytest.fixture(scope="module")
def quiet_site() -> Iterator[Site]:
    """Open a site where every address works."""
    with Site(seed=2, results=10, scenario="clean") as site:
        yield site


def scrape(into: Path, site: Site, **options: object) -> subprocess.CompletedProcess[str]:
    """Scrape into a folder with the command."""
    command = [*SCRAPE, "--into", str(into), "--site", site.url, "--pace", "0.02", "--limit", "50", "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)  # type: ignore[call-overload,no-any-return]


def whole(folder: Path) -> list[Record]:
    """Return the pictures kept, after a look at every file and line of the folder."""
    lines = (folder / "manifest.jsonl").read_bytes()
    assert not lines or lines.endswith(b"\n")
    assert all(json.loads(line) for line in lines.splitlines())
    kept = [one for one in records(folder) if one.kept]
    there = {path.name for path in folder.iterdir() if path.suffix in {".jpg", ".png", ".webp"}}
    assert there == {one.file for one in kept}
    assert not list(folder.glob(".*.part"))
    for one in kept:
        assert inspect((folder / one.file).read_bytes()).sha256 == one.sha256
    return kept


def limited() -> None:
    """Let no file of this process grow beyond the limit."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))


def line(data: bytes, number: int) -> Record:
    """Return the record of a picture that is to be kept."""
    import hashlib

    return Record(f"https://a.example/{number}", file=".jpg", sha256=hashlib.sha256(data).hexdigest(), title="x" * 400)


def fill(folder: Path, count: int, times: int = 3) -> None:
    """Keep pictures until the disk says no; print the sentence."""
    from dataset.errors import TrayError

    try:
        with ClassFolder(folder) as one:
            for number in range(count):
                data = f"{number}".encode() * times
                one.keep(line(data, number), data)
    except TrayError as error:
        sys.stdout.write(f"{error}\n")


def filled(folder: Path, *, times: int) -> str:
    """Fill a folder in a process whose files can't grow; return what it said."""
    code = "import sys; from pathlib import Path; from tests.scraper import test_full_disk as it; it.limited(); "
    code += f"it.fill(Path(sys.argv[1]), 500, {times})"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_a_picture_that_finds_no_room_leaves_no_half(tmp_path):
    """The first pictures stay, the one that is too much is named, and nothing of it is left."""
    said = filled(tmp_path / "pizza", times=FILE_LIMIT // 2 + 1)

    assert said.startswith(f"Expected to write to {tmp_path / 'pizza'}")
    assert said.count("\n") == 1
    assert whole_bytes(tmp_path / "pizza") == 10


def test_a_manifest_that_cannot_grow_loses_nothing(tmp_path):
    """The line that found no room leaves no half of itself, its picture goes, and all before it stays."""
    said = filled(tmp_path / "pizza", times=3)
    kept = whole_bytes(tmp_path / "pizza")

    assert said.startswith(f"Expected to write to {tmp_path / 'pizza' / 'manifest.jsonl'}. Received: ")
    assert said.count("\n") == 1
    assert 10 < kept < 500
    fill(tmp_path / "pizza", 500)
    assert whole_bytes(tmp_path / "pizza") == 500


def whole_bytes(folder: Path) -> int:
    """Return how many files a folder keeps, each with its line and each line with its file."""
    lines = (folder / "manifest.jsonl").read_bytes()
    assert lines.endswith(b"\n")
    kept = {one.file for one in records(folder) if one.kept}
    assert {path.name for path in folder.glob("*.jpg")} == kept
    assert not list(folder.glob(".*.part"))
    return len(kept)


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a disk of that size; skip the test where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    if (
        os.geteuid()
        or not shutil.which("mount")
        or subprocess.run(command, capture_output=True, check=False).returncode
    ):
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_ends_a_scrape_with_one_sentence(quiet_site, tmp_path):
    """In the middle of downloads there is no more room: a sentence, an exit code, and a folder without halves."""
    with small_disk(tmp_path / "disk", 250) as disk:
        done = scrape(disk / "pizza", quiet_site)
        kept = whole(disk / "pizza")

        assert done.returncode == 1
        assert done.stdout == ""
        assert len(done.stderr.strip().splitlines()) == 1
        assert "Received: No space left on device. Make room" in done.stderr
        assert 0 < len(kept) < 10
        roomy = shutil.copytree(disk / "pizza", tmp_path / "pizza")
    again = scrape(roomy, quiet_site)

    assert again.returncode == 0
    assert {one.file for one in kept} <= {one.file for one in whole(roomy)}
    assert len({one.url for one in records(roomy)}) == len(list(records(roomy)))


def test_a_folder_that_is_read_only_is_named_before_any_search(quiet_site, tmp_path):
    """Nobody is asked for what could not be kept."""
    before = len(quiet_site.log)
    with small_disk(tmp_path / "disk", 400) as disk:
        (disk / "pizza").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = scrape(disk / "pizza", quiet_site)

    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Received: Read-only file system." in done.stderr
    assert len(quiet_site.log) == before


def test_a_file_in_place_of_the_folder_is_named(quiet_site, tmp_path):
    """A path that is no folder is said to be none."""
    (tmp_path / "pizza").write_text("a file", encoding="utf-8")
    done = scrape(tmp_path / "pizza", quiet_site)

    assert done.returncode == 2
    assert "is a file" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "pizza").read_text(encoding="utf-8") == "a file"
