"""Class folders: what is kept survives, what is torn is cut back, and one process works at a time."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dataset.errors import FolderLocked, TrayError
from dataset.folder import (
    MANIFEST,
    ClassFolder,
    Record,
    class_folders,
    from_line,
    link,
    locked,
    pictures,
    records,
    to_line,
    write_whole,
)
from dataset.images import inspect
from tests.dataset.conftest import drawn, encoded, fill


def record_of(data: bytes, url: str) -> Record:
    """Return what a download knows of a picture."""
    info = inspect(data)
    return Record(
        url, file=info.extension, sha256=info.sha256, width=info.width, height=info.height, format=info.format,
        phash=info.phash,
    )  # fmt: skip


def test_a_kept_picture_lies_there_as_received_with_its_line(tmp_path: Path) -> None:
    """The name is the hash and the true extension, the bytes are untouched, the line comes after."""
    data = encoded(drawn(1), "PNG")
    with ClassFolder(tmp_path / "pizza") as folder:
        kept = folder.keep(record_of(data, "http://a/1.jpg"), data)

    assert kept.file == hashlib.sha256(data).hexdigest()[:16] + ".png"
    assert (tmp_path / "pizza" / kept.file).read_bytes() == data
    assert list(records(tmp_path / "pizza")) == [kept]


def test_a_picture_that_can_t_be_written_has_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file comes before its line: whoever is stopped between them loses no picture that the manifest names."""
    data = encoded(drawn(1))

    def full(path: Path, data: bytes) -> None:
        raise TrayError(f"{path} {len(data)}")

    monkeypatch.setattr("dataset.folder.write_whole", full)
    with ClassFolder(tmp_path) as folder, pytest.raises(TrayError):
        folder.keep(record_of(data, "http://a/1"), data)

    assert not list(records(tmp_path))


def test_a_folder_that_can_t_be_opened_is_not_held(tmp_path: Path) -> None:
    """Once the line that is none was taken out, the same process may go on."""
    (tmp_path / MANIFEST).write_text("no line\n")
    folder = ClassFolder(tmp_path)
    with pytest.raises(TrayError), folder:
        pass
    with locked(tmp_path):
        (tmp_path / MANIFEST).write_text("")


def test_the_folder_remembers_between_openings(tmp_path: Path) -> None:
    """Addresses seen, kept pictures and their number are there again; lesser addresses of a tile count as seen."""
    data = encoded(drawn(1))
    with ClassFolder(tmp_path) as folder:
        folder.keep(replace(record_of(data, "http://a/1"), tried=("http://a/0",)), data)
        folder.reject(Record("http://a/2", error="html"))
    with ClassFolder(tmp_path) as folder:
        assert folder.seen == {"http://a/0", "http://a/1", "http://a/2"}
        assert len(folder) == 1


def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    """A second address of the same bytes is a rejection that names the copy."""
    data = encoded(drawn(1))
    with ClassFolder(tmp_path) as folder:
        first = folder.keep(record_of(data, "http://a/1"), data)
        second = folder.keep(record_of(data, "http://b/1"), data)

    assert (second.kept, second.error, second.copy_of) == (False, "duplicate bytes", first.file)
    assert len(list(pictures(tmp_path))) == 1


def test_a_look_alike_is_kept_but_does_not_count(tmp_path: Path) -> None:
    """Another size of a picture names the first; another picture counts."""
    with ClassFolder(tmp_path) as folder:
        for number, data in enumerate(
            (encoded(drawn(1, (480, 360))), encoded(drawn(1, (240, 180))), encoded(drawn(2)))
        ):
            folder.keep(record_of(data, f"http://a/{number}"), data)
        copies = [record.copy_of for record in folder]

        assert [bool(copy) for copy in copies] == [False, True, False]
        assert len(folder) == 2


def test_a_torn_last_line_is_cut_back(tmp_path: Path) -> None:
    """What a killed process left half written is gone; the lines before it stay, and new ones follow."""
    with ClassFolder(tmp_path) as folder:
        folder.reject(Record("http://a/1", error="html"))
    manifest = tmp_path / MANIFEST
    whole = manifest.read_bytes()
    manifest.write_bytes(whole + b'{"url": "http://a/2", "err')
    (tmp_path / ".x.jpg.123.part").write_bytes(b"half")

    assert [record.url for record in records(tmp_path)] == ["http://a/1"]
    with ClassFolder(tmp_path) as folder:
        folder.reject(Record("http://a/3", error="empty"))
    assert [record.url for record in records(tmp_path)] == ["http://a/1", "http://a/3"]
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("line", ["garbage", "[1]", '"text"', "caf\xe9"])
def test_a_line_of_another_hand_is_named(tmp_path: Path, line: str) -> None:
    """A manifest line that is no record is told with its number, and the folder can be opened when it is mended."""
    good = to_line(Record("http://a/1"))
    (tmp_path / MANIFEST).write_bytes((good + line + "\n" + good).encode("latin-1"))
    for _ in range(2):
        with pytest.raises(TrayError, match=r"on line 2: .* Take that line out"), ClassFolder(tmp_path):
            pass
    (tmp_path / MANIFEST).write_text(good)
    with ClassFolder(tmp_path) as folder:
        assert [one.url for one in folder] == ["http://a/1"]


def test_lines_of_a_later_version_are_read(tmp_path: Path) -> None:
    """Unknown fields are passed over, missing ones are empty, and a record survives its line."""
    assert from_line('{"url": "u", "flavour": "sweet"}\n') == Record("u")
    record = Record("u", tried=("a", "b"), title="Crêpe “Suzette”", rank=3, status=200)
    assert from_line(to_line(record)) == record
    assert "\n" not in to_line(replace(record, title="two\nlines"))[:-1]


def test_a_second_process_gets_one_clear_sentence(tmp_path: Path) -> None:
    """The lock holds against another process and falls with this one's use."""
    script = (
        "import sys; from pathlib import Path; from dataset.folder import locked\n"
        "with locked(Path(sys.argv[1])): print('mine')"
    )
    with locked(tmp_path):
        busy = subprocess.run([sys.executable, "-c", script, tmp_path], check=False, capture_output=True, text=True)
        with pytest.raises(FolderLocked, match="another one holds its lock"), locked(tmp_path):
            pass
    free = subprocess.run([sys.executable, "-c", script, tmp_path], check=False, capture_output=True, text=True)

    assert "FolderLocked" in busy.stderr
    assert free.stdout == "mine\n"


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """A disk that takes no more ends in a sentence; neither a half file nor a leftover stays."""
    script = (
        "import resource, sys; from pathlib import Path; from dataset.folder import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_whole(Path(sys.argv[1]) / 'a.bin', bytes(5000))"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], check=False, capture_output=True, text=True)

    assert "TrayError: Expected to write to" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    """A file where a folder should be is told as such."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TrayError, match="Expected to write to"), ClassFolder(tmp_path / "file" / "pizza"):
        pass
    with pytest.raises(TrayError, match="Expected to write to"):
        write_whole(tmp_path / "file" / "x", b"")


def test_class_folders_are_subfolders_with_pictures(tmp_path: Path) -> None:
    """Hidden and empty folders are passed over; files beside the pictures are no pictures."""
    fill(tmp_path / "b", [1])
    fill(tmp_path / "a", [2])
    fill(tmp_path / ".hidden", [3])
    (tmp_path / "empty").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("")
    (tmp_path / "a" / ".part.jpg").write_text("")

    assert list(class_folders(tmp_path)) == ["a", "b"]
    assert [path.name for path in pictures(tmp_path / "a")] == ["00002.jpg"]


def test_a_class_with_a_name_that_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    """No page, no JSON and no label can hold such a name."""
    fill(tmp_path / os.fsdecode(b"caf\xe9"), [1])
    with pytest.raises(TrayError, match=r"names in UTF-8 .* Received: caf\\xe9\. Rename it"):
        class_folders(tmp_path)


@pytest.mark.parametrize("what", ["nothing", "a file", "pictures", "empty folders"])
def test_a_folder_of_another_kind_is_told_so(tmp_path: Path, what: str) -> None:
    """Each wrong folder gets its own words."""
    root = tmp_path / "root"
    if what == "a file":
        root.write_text("")
    elif what == "pictures":
        fill(root, [1])
    elif what == "empty folders":
        (root / "a").mkdir(parents=True)
    with pytest.raises(TrayError, match="Expected a folder of class folders"):
        class_folders(root)


def test_manifest_lines_are_json(tmp_path: Path) -> None:
    """Any program reads the manifest line by line."""
    data = encoded(drawn(1))
    with ClassFolder(tmp_path) as folder:
        folder.keep(record_of(data, "http://a/1"), data)
    line = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))

    assert line["width"] == 240
    assert line["format"] == "JPEG"


def test_a_link_in_the_place_of_another_leaves_that_file_alone(tmp_path: Path) -> None:
    """What an interruption left there may be linked from elsewhere: its content stays what it was."""
    old, new, place = (tmp_path / name for name in ("old", "new", "place"))
    old.write_text("old")
    new.write_text("new")
    link(old, place)
    shared = place.samefile(old)
    link(new, place)

    assert shared
    assert (old.read_text(), place.read_text()) == ("old", "new")
