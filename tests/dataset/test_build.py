"""Builds: what goes in, what comes out, and that nothing leaks, moves or gets lost."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from dataset.build import Built, build
from dataset.errors import ConfigError, FolderLocked, NotEnoughImages, TrayError
from dataset.folder import ClassFolder, Record, locked, records
from dataset.images import inspect
from dataset.review.catalogue import open_catalogue
from dataset.review.verdicts import Verdict, to_line
from dataset.tray import Background, Build, Item, Split, Tray
from tests.dataset.conftest import built, drawn, encoded, fill, tree, written

TINY = Build(max_side=96)


def lines(path: Path) -> list[dict[str, Any]]:
    """Return a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sides(out: Path) -> dict[str, str]:
    """Return each picture's split by the hash of its source."""
    return {row["sha256"]: row["split"] for row in lines(out / "metadata.jsonl")}


def build_tray(tray: Tray, *names: str) -> Built:
    """Run a tray's build to its end."""
    *_, last = build(tray, names)
    assert isinstance(last, Built)
    return last


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return two class folders of sixteen pictures."""
    fill(tmp_path / "source" / "cat", range(16))
    fill(tmp_path / "source" / "dog", range(100, 116))
    return tmp_path / "source"


def test_class_folders_become_a_dataset(source: Path, tmp_path: Path) -> None:
    """Train, val and test of each class; every picture has its line; the source stays as it was."""
    before = tree(source)
    result = built(source, tmp_path / "out", TINY)
    described = json.loads((tmp_path / "out" / "dataset.json").read_text())
    rows = lines(tmp_path / "out" / "metadata.jsonl")

    assert tree(source) == before
    assert result.kept == len(rows) == described["pictures"] == 32
    assert described["class_names"] == ["cat", "dog"]
    assert described["counts"] == result.splits["out"]
    assert all(result.splits["out"][split][name] >= 1 for split in ("train", "val", "test") for name in ("cat", "dog"))
    for row in rows:
        info = inspect((tmp_path / "out" / row["file_name"]).read_bytes())
        assert (info.format, info.mode, info.width, info.error) == ("JPEG", "RGB", 96, "")
        assert row["file_name"] == f"{row['split']}/{row['label']}/{row['sha256'][:16]}.jpg"
        assert (source / row["source"]).is_file()


def test_what_can_t_be_opened_keeps_its_line_and_nothing_hangs(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pipes, devices, broken links and names that are no text are refused; what is named otherwise is told."""
    logging.getLogger("tray").propagate = True
    cat = source / "cat"
    os.mkfifo(cat / "pipe.jpg")
    (cat / "endless.jpg").symlink_to("/dev/zero")
    (cat / "gone.jpg").symlink_to("nowhere.jpg")
    (cat / "round.jpg").symlink_to("round.jpg")
    (cat / "round").symlink_to("round")
    (cat / "folder.jpg").mkdir()
    (cat / os.fsdecode(b"caf\xe9.jpg")).write_bytes(encoded(drawn(201)))
    odd = ("\N{SLICE OF PIZZA}.jpg", "two\nlines.jpg", "\u00fc" * 123 + ".jpg", "a\x85b\u2028c.jfif")
    for at, name in enumerate(odd):
        (cat / name).write_bytes(encoded(drawn(202 + at)))
    for name in ("notes.txt", "progress.jsonl", "forgotten.txt"):
        (cat / name).write_text("")
    (source / "nested" / "deeper").mkdir(parents=True)
    (source / "loose.jpg").write_bytes(encoded(drawn(300)))
    result = built(source, tmp_path / "out", TINY)

    assert {one.source: one.reason for one in result.rejected} == {
        "cat/pipe.jpg": "unreadable: not a file",
        "cat/endless.jpg": "unreadable: not a file",
        "cat/gone.jpg": "unreadable: No such file or directory",
        "cat/round.jpg": "unreadable: Too many levels of symbolic links",
        "cat/folder.jpg": "unreadable: not a file",
        "cat/caf\\xe9.jpg": "unreadable: its name is not UTF-8",
    }
    assert result.kept == 36
    assert [row["source"] for row in lines(tmp_path / "out" / "rejected.jsonl")] == [
        one.source for one in result.rejected
    ]
    assert len(open_catalogue(tmp_path / "out").pictures) == 36
    assert written(tmp_path / "out").is_file()
    assert f"{cat}: passed over" in caplog.text
    assert ".txt (1)" in caplog.text
    assert ".jsonl" not in caplog.text
    assert "nested: passed over folders (1);" in caplog.text
    assert f"{source}: passed over 1 picture in no class folder" in caplog.text
    assert built(source, tmp_path / "out", TINY).unchanged


def test_what_a_person_did_in_a_dataset_is_kept_or_told(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Own pictures among the built ones are put aside, not deleted; moves and removals are undone, and told."""
    logging.getLogger("tray").propagate = True
    out = tmp_path / "out"
    built(source, out, TINY)
    before = tree(out)
    one, two, *_ = sorted((out / "train" / "cat").iterdir())
    for more in ("mine", "mine too"):
        (out / "train" / "cat" / "mine.jpg").write_bytes(more.encode())
        (out / "train" / "cat" / ".DS_Store").write_bytes(b"")
        one.rename(out / "train" / "dog" / one.name)
        two.unlink()
        built(source, out, TINY)
    after = tree(out)
    kept = {name: after.pop(name) for name in list(after) if name.startswith("by_hand/")}

    assert sorted(kept.values()) == [b"mine", b"mine too"]
    assert after == before
    assert f"lay 1 file that no build wrote; find them in {out / 'by_hand'}" in caplog.text
    assert f"were moved (1) or removed (1) there by hand, and the build undoes that. Do it in {source}" in caplog.text
    assert built(source, out, TINY).unchanged


def test_a_second_run_does_nothing(source: Path, tmp_path: Path) -> None:
    """Unchanged input and settings: the result says so, and no file is touched."""
    first = built(source, tmp_path / "out", TINY)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json*")}
    second = built(source, tmp_path / "out", TINY)

    assert (first.unchanged, second.unchanged) == (False, True)
    assert replace(second, unchanged=False) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json*")} == stamps


def test_a_damaged_dataset_is_made_whole(source: Path, tmp_path: Path) -> None:
    """A picture or a table that was deleted comes back."""
    built(source, tmp_path / "out", TINY)
    whole = tree(tmp_path / "out")
    min((tmp_path / "out" / "train" / "cat").iterdir()).unlink()
    built(source, tmp_path / "out", TINY)
    assert tree(tmp_path / "out") == whole
    (tmp_path / "out" / "metadata.jsonl").unlink()
    built(source, tmp_path / "out", TINY)
    assert tree(tmp_path / "out") == whole


@pytest.mark.parametrize("line", ['{"file_name": 3}', "[1, 2]", "{}", "no JSON"])
def test_a_table_of_another_hand_is_written_anew(source: Path, tmp_path: Path, line: str) -> None:
    """Whatever metadata.jsonl holds, the next build makes the dataset whole again."""
    built(source, tmp_path / "out", TINY)
    before = tree(tmp_path / "out")
    (tmp_path / "out" / "metadata.jsonl").write_text(f"{line}\n")

    assert not built(source, tmp_path / "out", TINY).unchanged
    assert tree(tmp_path / "out") == before


def test_a_dataset_that_lost_its_pool_grows_without_moving_a_picture(source: Path, tmp_path: Path) -> None:
    """What is copied without its hidden folder is still a dataset of ours, and tells what was dealt where."""
    built(source, tmp_path / "out", TINY)
    before = sides(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / ".pool")
    fill(source / "cat", range(300, 316))
    built(source, tmp_path / "out", TINY)
    after = sides(tmp_path / "out")

    assert len(after) == 48
    assert {sha: after[sha] for sha in before} == before


def test_the_order_of_files_changes_no_byte(source: Path, tmp_path: Path) -> None:
    """Files written in another order, at other times, give the same dataset, byte for byte."""
    other = tmp_path / "other" / "source"
    for path in sorted(source.rglob("*.jpg"), key=lambda path: path.read_bytes()):
        target = other / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        os.utime(target, (1, len(path.read_bytes())))
    built(source, tmp_path / "out", TINY)
    built(other, tmp_path / "other" / "out", TINY)

    assert tree(tmp_path / "out") == tree(tmp_path / "other" / "out")


def test_copies_go_and_the_best_stays(source: Path, tmp_path: Path) -> None:
    """Of equal bytes, a thumbnail and a bordered copy only the largest picture stays; the others name it."""
    large = drawn(300, (640, 480))
    (source / "cat" / "large.jpg").write_bytes(encoded(large))
    (source / "cat" / "again.jpg").write_bytes(encoded(large))
    (source / "cat" / "thumb.jpg").write_bytes(encoded(large.resize((160, 120))))
    (source / "cat" / "border.png").write_bytes(encoded(ImageOps.expand(large.resize((320, 240)), 20, "white"), "PNG"))
    result = built(source, tmp_path / "out", TINY)
    gone = {one["source"]: one for one in lines(tmp_path / "out" / "rejected.jsonl")}
    (row,) = [row for row in lines(tmp_path / "out" / "metadata.jsonl") if row["width"] == 640]

    assert result.dropped == {"duplicate bytes": 1, "near duplicate": 2}
    assert row["source"] in {"cat/large.jpg", "cat/again.jpg"}
    assert set(row["copies"]) | {row["source"]} == {
        f"cat/{name}" for name in ("large.jpg", "again.jpg", "thumb.jpg", "border.png")
    }
    assert gone["cat/thumb.jpg"]["kept"] == row["source"]
    assert "640x480 kept over 160x120, more of it to see" in gone["cat/thumb.jpg"]["detail"]


def test_what_cannot_be_used_is_left_out_with_its_reason(source: Path, tmp_path: Path) -> None:
    """HTML, cut, tiny and blank files are named; the source keeps them."""
    data = encoded(drawn(300))
    (source / "cat" / "page.jpg").write_bytes(b"<html><body>no</body></html>")
    (source / "cat" / "cut.jpg").write_bytes(data[: len(data) // 2])
    (source / "cat" / "tiny.jpg").write_bytes(encoded(drawn(301, (40, 30))))
    (source / "cat" / "blank.png").write_bytes(encoded(Image.new("RGB", (200, 200), "white"), "PNG"))
    (source / "cat" / "empty.jpg").write_bytes(b"")
    result = built(source, tmp_path / "out", TINY)

    assert result.dropped == {"html": 1, "truncated": 1, "too small": 1, "blank": 1, "empty": 1}
    assert result.kept == 32
    assert (source / "cat" / "page.jpg").is_file()


@pytest.mark.parametrize(("conflicts", "labels"), [("drop", []), ("keep-first", ["cat"]), ("keep-all", ["cat", "dog"])])
def test_one_picture_in_two_classes_is_a_conflict(
    source: Path, tmp_path: Path, conflicts: str, labels: list[str]
) -> None:
    """Same bytes or a copy: by default neither stays; the first class, or both, when the settings say so."""
    (source / "cat" / "both.jpg").write_bytes(encoded(drawn(300)))
    (source / "dog" / "both.jpg").write_bytes(encoded(drawn(300)))
    (source / "cat" / "copy.jpg").write_bytes(encoded(drawn(301, (480, 360))))
    (source / "dog" / "copy.jpg").write_bytes(encoded(drawn(301, (200, 150))))
    result = built(source, tmp_path / "out", replace(TINY, conflicts=conflicts))  # type: ignore[arg-type]
    rows = [
        row for row in lines(tmp_path / "out" / "metadata.jsonl") if row["source"].endswith(("both.jpg", "copy.jpg"))
    ]

    assert result.conflicts == 2
    assert result.dropped.get("conflict", 0) == 4 - 2 * len(labels)
    assert all(one.source.split("/")[0] != one.kept.split("/")[0] for one in result.rejected)
    for name in ("both.jpg", "copy.jpg"):
        mine = [row for row in rows if row["source"].endswith(name)]
        assert sorted(row["label"] for row in mine) == labels
        assert len({row["split"] for row in mine}) <= 1


def found_for(folder: Path, name: str, terms: Iterable[str]) -> None:
    """Note that searches for these terms brought a file."""
    sha = inspect((folder / name).read_bytes()).sha256
    rows = [{"url": f"http://x/{term}", "engine": "bing", "term": term, "file": name, "sha256": sha} for term in terms]
    with (folder / "manifest.jsonl").open("a") as manifest:
        manifest.write("".join(json.dumps(row) + "\n" for row in rows))


def test_far_more_searches_settle_a_conflict(source: Path, tmp_path: Path) -> None:
    """What three searches for one class and one for another brought is the first's; two against one is a conflict."""
    for name, terms in (("clear", ("cat", "tom cat", "tabby")), ("open", ("cat", "tabby"))):
        for folder in ("cat", "dog"):
            (source / folder / f"{name}.jpg").write_bytes(encoded(drawn(300 + len(name))))
        found_for(source / "cat", f"{name}.jpg", terms)
        found_for(source / "dog", f"{name}.jpg", ("dog",))
    result = built(source, tmp_path / "out", TINY)
    gone = {one.source: (one.reason, one.detail) for one in result.rejected}

    assert gone == {
        "dog/clear.jpg": ("conflict", "found by 3 searches for cat, 1 for dog"),
        "cat/open.jpg": ("conflict", ""),
        "dog/open.jpg": ("conflict", ""),
    }


def test_what_was_thrown_out_does_not_come_back_as_a_copy(source: Path, tmp_path: Path) -> None:
    """A copy that a later search brings goes too; one that was there already, or that was kept since, stays."""
    cat = source / "cat"
    for name, size, day in (("bad", 240, 1), ("there", 480, 2), ("later", 360, 4), ("kept", 300, 4), ("other", 260, 4)):
        seed = 301 if name in {"kept", "other"} else 300
        (cat / f"{name}.jpg").write_bytes(encoded(drawn(seed, (size, size * 3 // 4))))
        sha = inspect((cat / f"{name}.jpg").read_bytes()).sha256
        row = {"url": name, "file": f"{name}.jpg", "sha256": sha, "fetched": f"2026-11-0{day}T08:00:00+00:00"}
        with (cat / "manifest.jsonl").open("a") as manifest:
            manifest.write(json.dumps(row) + "\n")
    said = [("bad", "drop"), ("other", "drop"), ("kept", "keep")]
    (cat / "review.jsonl").write_text(
        "".join(
            json.dumps({"file": f"{name}.jpg", "verdict": verdict, "time": "2026-11-03T08:00:00.123+00:00"}) + "\n"
            for name, verdict in said
        )
    )
    result = built(source, tmp_path / "out", TINY)
    kept = {row["source"] for row in lines(tmp_path / "out" / "metadata.jsonl")}

    assert {one.source: (one.reason, one.kept) for one in result.rejected} == {
        "cat/bad.jpg": ("review", ""),
        "cat/other.jpg": ("review", ""),
        "cat/later.jpg": ("review", "cat/bad.jpg"),
    }
    assert {"cat/there.jpg", "cat/kept.jpg"} <= kept


@pytest.mark.parametrize("conflicts", ["drop", "keep-first", "keep-all"])
def test_a_person_s_keep_settles_a_conflict(source: Path, tmp_path: Path, conflicts: str) -> None:
    """The file that was kept in the review stays in its class and the other goes; keeping both settles nothing."""
    for name, seed in (("one", 300), ("both", 301)):
        (source / "cat" / f"{name}.jpg").write_bytes(encoded(drawn(seed, (480, 360))))
        (source / "dog" / f"{name}.jpg").write_bytes(encoded(drawn(seed, (200, 150))))
    (source / "cat" / "review.jsonl").write_text('{"file": "both.jpg", "verdict": "keep"}\n')
    (source / "dog" / "review.jsonl").write_text(
        "".join(f'{{"file": "{name}.jpg", "verdict": "keep"}}\n' for name in ("one", "both"))
    )
    result = built(source, tmp_path / "out", replace(TINY, conflicts=conflicts))  # type: ignore[arg-type]
    gone = {one.source: (one.reason, one.kept, one.detail) for one in result.rejected}

    assert gone.pop("cat/one.jpg") == ("review", "dog/one.jpg", "a person chose")
    assert "dog/one.jpg" not in gone
    assert result.conflicts == 1
    assert {reason for reason, _, _ in gone.values()} <= {"conflict"}


def test_the_best_file_of_the_winning_class_stays(source: Path, tmp_path: Path) -> None:
    """Where the best file of all lies in the class that lost, the best one of the other class takes its place."""
    (source / "cat" / "one.jpg").write_bytes(encoded(drawn(300, (480, 360))))
    for wide in (160, 200, 240, 280, 320):
        (source / "dog" / f"one{wide}.jpg").write_bytes(encoded(drawn(300, (480, 360)).resize((wide, wide * 3 // 4))))
    (source / "dog" / "review.jsonl").write_text('{"file": "one160.jpg", "verdict": "keep"}\n')
    gone = {one.source: one.kept for one in built(source, tmp_path / "out", TINY).rejected}

    assert gone == dict.fromkeys(
        ["cat/one.jpg", *(f"dog/one{wide}.jpg" for wide in (160, 200, 240, 280))], "dog/one320.jpg"
    )


def burst(seed: int, count: int) -> list[Image.Image]:
    """Draw one tray, each time with another thing on it: related pictures."""
    shots = []
    for at in range(count):
        tray = drawn(seed, (480, 360))
        centre, colour = 130 + 220 * at // count, ("red", "white", "navy", "gold", "black")[at % 5]
        ImageDraw.Draw(tray).ellipse((centre - 25, 120, centre + 25, 170), fill=colour, outline="black", width=3)
        shots.append(tray)
    return shots


def test_related_pictures_all_stay_on_one_side(source: Path, tmp_path: Path) -> None:
    """Bursts of one scene are kept whole and never straddle a split."""
    for seed in range(400, 406):
        for at, shot in enumerate(burst(seed, 3)):
            (source / "cat" / f"burst{seed}-{at}.jpg").write_bytes(encoded(shot))
    result = built(source, tmp_path / "out", TINY)
    by_burst = defaultdict(set)
    for row in lines(tmp_path / "out" / "metadata.jsonl"):
        if "burst" in row["source"]:
            by_burst[row["source"].split("-")[0]].add((row["group"], row["split"]))

    assert result.kept == 50
    assert [len(found) for found in by_burst.values()] == [1] * 6


def test_added_pictures_move_no_old_one(source: Path, tmp_path: Path) -> None:
    """The classes double in two steps, with copies of old pictures among the new ones; all that was dealt stays."""
    built(source, tmp_path / "out", TINY)
    for step in range(2):
        before = sides(tmp_path / "out")
        fill(source / "cat", range(500 + 10 * step, 510 + 10 * step))
        fill(source / "dog", range(600 + 10 * step, 610 + 10 * step))
        (source / "dog" / f"copy{step}.jpg").write_bytes(encoded(drawn(100 + step, (200, 150))))
        built(source, tmp_path / "out", TINY)
        after = sides(tmp_path / "out")

        assert len(after) == len(before) + 20
        assert all(after[sha] == side for sha, side in before.items())


def test_a_new_picture_that_ties_two_sides_is_held_out(source: Path, tmp_path: Path) -> None:
    """The whole of which one part trains and another tests joins neither side; both parts stay where they are."""
    for seed in range(700, 730):
        out = tmp_path / f"out{seed}"
        whole = drawn(seed, (600, 400))
        (source / "cat" / "left.jpg").write_bytes(encoded(whole.crop((0, 0, 480, 400))))
        (source / "cat" / "right.jpg").write_bytes(encoded(whole.crop((120, 0, 600, 400))))
        built(source, out, TINY)
        side = {row["source"]: row["split"] for row in lines(out / "metadata.jsonl")}
        if side["cat/left.jpg"] != side["cat/right.jpg"]:
            break
    before = sides(out)
    (source / "cat" / "whole.jpg").write_bytes(encoded(whole))
    result = built(source, out, TINY)

    assert result.dropped == {"held out": 1}
    assert sides(out) == before


def test_one_page_of_pictures_has_one_side(source: Path, tmp_path: Path) -> None:
    """Pictures that one web page shows stay together; a page with a hundred of them is a list, not a gallery."""
    manifest = [
        {
            "url": f"http://x/{path.name}",
            "page": "http://x/gallery",
            "file": path.name,
            "sha256": inspect(path.read_bytes()).sha256,
        }
        for path in sorted((source / "cat").iterdir())[:8]
    ]
    (source / "cat" / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in manifest))
    built(source, tmp_path / "out", TINY)
    groups = {row["group"] for row in lines(tmp_path / "out" / "metadata.jsonl") if row["pages"]}

    assert len(groups) == 1


def test_a_person_s_verdicts_are_obeyed(source: Path, tmp_path: Path) -> None:
    """Drop, relabel, keep; the last word on a file counts, and who relabels or keeps has seen how small it is."""
    for name, seed in (("small", 800), ("other", 801), ("tiny", 802)):
        (source / "cat" / f"{name}.jpg").write_bytes(encoded(drawn(seed, (60, 50))))
    words = [
        {"file": "00000.jpg", "verdict": "drop"},
        {"file": "00001.jpg", "verdict": "relabel", "label": "dog"},
        {"file": "00003.jpg", "verdict": "relabel", "label": "cow"},
        {"file": "00002.jpg", "verdict": "drop"},
        {"file": "00002.jpg", "verdict": "keep"},
        {"file": "small.jpg", "verdict": "keep"},
        {"file": "other.jpg", "verdict": "relabel", "label": "dog"},
    ]
    (source / "cat" / "review.jsonl").write_text("".join(json.dumps(word) + "\n" for word in words) + "{torn")
    result = built(source, tmp_path / "out", TINY)
    labels = {row["source"]: row["label"] for row in lines(tmp_path / "out" / "metadata.jsonl")}

    assert result.dropped == {"review": 2, "too small": 1}
    assert [one.detail for one in result.rejected[:2]] == ["dropped", "relabelled cow, which is no class here"]
    assert labels["cat/other.jpg"] == "dog"
    assert "cat/00000.jpg" not in labels
    assert (labels["cat/00001.jpg"], labels["cat/00002.jpg"], labels["cat/small.jpg"]) == ("dog", "cat", "cat")


def test_of_copies_that_a_person_keeps_one_is_built(source: Path, tmp_path: Path) -> None:
    """Who keeps a screen full of pictures says that they are good, and not that copies are to be learned twice."""
    (source / "cat" / "copy.jpg").write_bytes(encoded(drawn(0, (200, 150))))
    (source / "cat" / "review.jsonl").write_bytes(
        b"".join(to_line(Verdict(file, "keep")) for file in ("copy.jpg", "00000.jpg"))
    )
    result = built(source, tmp_path / "out", TINY)

    assert [(one.source, one.reason) for one in result.rejected] == [("cat/copy.jpg", "near duplicate")]


def test_few_negatives_for_each_positive_still_reach_into_every_split(tray: Tray) -> None:
    """A tenth of two is rounded to one picture, not to none: a split without negatives could not be judged by."""
    build_tray(replace(tray, build=replace(TINY, balance=0.1)), "pizza")
    counts = json.loads((tray.built / "pizza" / "dataset.json").read_text())["counts"]

    assert {split: one["not_pizza"] for split, one in counts.items()} == {"train": 2, "val": 1, "test": 1}


def test_a_class_can_be_capped(source: Path, tmp_path: Path) -> None:
    """No class is larger than the cap, and every split still has some of it."""
    result = built(source, tmp_path / "out", replace(TINY, cap=10))
    for name in ("cat", "dog"):
        counts = [result.splits["out"][split][name] for split in ("train", "val", "test")]

        assert sum(counts) <= 10
        assert min(counts) >= 1


def test_a_dry_run_does_without_a_cache_that_can_not_be_read(source: Path, tmp_path: Path) -> None:
    """What an earlier build remembered helps where it is whole; where it is not, everything is measured again."""
    whole = built(source, tmp_path / "out", TINY)
    cache = tmp_path / "out" / ".pool" / ".cache.sqlite"
    cache.write_bytes(b"no database" * 1000)
    would = built(source, tmp_path / "out", TINY, dry_run=True)

    assert (would.kept, would.splits) == (whole.kept, whole.splits)
    assert cache.read_bytes() == b"no database" * 1000


def test_a_dry_run_tells_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    """What would go and why is told; no folder is made."""
    (source / "cat" / "page.jpg").write_bytes(b"<html>")
    would = built(source, tmp_path / "out", TINY, dry_run=True)

    assert not (tmp_path / "out").exists()
    assert [(one.source, one.reason) for one in would.rejected] == [("cat/page.jpg", "html")]
    assert replace(built(source, tmp_path / "out", TINY), unchanged=False) == would


def test_other_settings_make_another_dataset(source: Path, tmp_path: Path) -> None:
    """Size, shares and seed are taken up by the next build of the same folder."""
    built(source, tmp_path / "out", TINY)
    before = sides(tmp_path / "out")
    result = built(source, tmp_path / "out", Build(max_side=64, seed=5, split=Split(val=0.2, test=0.0)))

    assert set(result.splits["out"]) == {"train", "val"}
    assert not (tmp_path / "out" / "test").exists()
    assert sides(tmp_path / "out") != before
    sizes = {inspect(path.read_bytes()).width for path in (tmp_path / "out" / "train").rglob("*.jpg")}
    assert sizes == {64}


def test_a_build_killed_at_any_moment_ends_as_if_undisturbed(source: Path, tmp_path: Path) -> None:
    """Killed six times on its way, then left to finish: the dataset is that of one quiet run, byte for byte."""
    fill(source / "cat", range(30, 60))
    script = (
        "import sys; from pathlib import Path; from dataset.build import build_folder; from dataset.tray import Build\n"
        "for step in build_folder(Path(sys.argv[1]), Path(sys.argv[2]), Build(max_side=96)): print(step, flush=True)"
    )
    out = tmp_path / "killed" / "out"
    chance = np.random.default_rng(0)
    for after in chance.permutation(np.linspace(1, 180, 6).astype(int)):
        process = subprocess.Popen(
            [sys.executable, "-c", script, source, out], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout
        for _ in range(int(after)):
            if not process.stdout.readline():
                break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        if (out / "dataset.json").exists():
            shown = json.loads((out / "dataset.json").read_text())
            assert sum(1 for _ in out.glob("*/*/*.jpg")) == shown["pictures"]
    built(source, out, TINY)
    built(source, tmp_path / "quiet" / "out", TINY)

    assert tree(out) == tree(tmp_path / "quiet" / "out")


def test_a_second_process_is_told_to_wait(source: Path, tmp_path: Path) -> None:
    """While one builds, another one gets a sentence."""
    with locked(tmp_path / "out" / ".pool"), pytest.raises(FolderLocked, match="another one holds its lock"):
        built(source, tmp_path / "out", TINY)


def test_a_full_disk_is_a_sentence_and_loses_nothing(source: Path, tmp_path: Path) -> None:
    """A disk that takes no more stops the build; with room again it goes on."""
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from dataset.build import build_folder; from dataset.errors import TrayError; from dataset.tray import Build\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try: list(build_folder(Path(sys.argv[1]), Path(sys.argv[2]), Build()))\n"
        "except TrayError as error: print(error)"
    )
    command = [sys.executable, "-c", script, source, tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    assert done.stdout.startswith("Expected to write to")
    assert not (tmp_path / "out" / "dataset.json").exists()
    assert built(source, tmp_path / "out", TINY).kept == 32


def test_what_lies_in_the_way_is_never_overwritten(source: Path, tmp_path: Path) -> None:
    """A folder with other things in it, a file, or a place inside the source is refused."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("")
    for out, words in (
        (tmp_path / "mine", "holds thesis.tex"),
        (tmp_path / "file", "which is a file"),
        (tmp_path / "file" / "out", "Expected to write to"),
        (source, "outside"),
        (source / "cat" / "out", "outside"),
    ):
        with pytest.raises(TrayError, match=words):
            built(source, out, TINY)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_a_class_with_one_picture_is_one_sentence(source: Path, tmp_path: Path) -> None:
    """It says which class, how many, and what to do; one class alone is refused too."""
    fill(source / "emu", [900])
    with pytest.raises(NotEnoughImages, match=r"class 'emu'.*Received: 1 picture in 1 group"):
        built(source, tmp_path / "out", TINY)
    shutil.rmtree(source / "emu")
    shutil.rmtree(source / "dog")
    with pytest.raises(TrayError, match="at least two class folders"):
        built(source, tmp_path / "out", TINY)


def test_a_class_that_cleaning_empties_says_what_went(source: Path, tmp_path: Path) -> None:
    """The reasons stand in the sentence."""
    (source / "emu").mkdir()
    for at in range(3):
        (source / "emu" / f"{at}.jpg").write_bytes(b"<html>%d" % at)
    with pytest.raises(NotEnoughImages, match=r"class 'emu'.*left out: 3 html"):
        built(source, tmp_path / "out", TINY)


@pytest.fixture
def tray(tmp_path: Path) -> Tray:
    """Return two items, one with look-alikes, and a background, as a scrape leaves them."""
    made = Tray(
        items={"pizza": Item(terms=("pizza",), negatives=("quiche",)), "apple": Item(terms=("apple",))},
        background=Background(terms=("table",)),
        build=TINY,
        file=tmp_path / "tray.toml",
    )
    seeds = iter(range(10_000))
    for name, count in (("pizza", 30), ("apple", 24), ("not_pizza", 24), ("background", 24)):
        with ClassFolder(made.raw / name) as folder:
            for at in range(count):
                data = encoded(drawn(next(seeds)))
                info = inspect(data)
                folder.keep(
                    Record(
                        f"http://{name}/{at}", engine=("google", "bing")[at % 2], term=f"{name} {at % 3}", rank=at,
                        fetched=f"2026-01-01T00:00:{at:02}Z", file=info.extension, sha256=info.sha256,
                        width=info.width, height=info.height, format=info.format, phash=info.phash,
                    ),
                    data,
                )  # fmt: skip
    return made


def test_each_item_gets_its_binary_dataset_and_all_a_common_one(tray: Tray) -> None:
    """Balanced positives and negatives, the positive class is label 1, and pictures are normalised once."""
    result = build_tray(tray)
    apple = json.loads((tray.built / "apple" / "dataset.json").read_text())
    pizza = json.loads((tray.built / "pizza" / "dataset.json").read_text())
    several = json.loads((tray.built / "multiclass" / "dataset.json").read_text())

    assert [path.name for path in result.paths] == ["pizza", "apple", "multiclass"]
    assert (apple["class_names"], apple["positive"]) == (["not_apple", "apple"], "apple")
    assert pizza["class_names"] == ["not_pizza", "pizza"]
    assert (several["class_names"], several["positive"]) == (["apple", "pizza"], None)
    for split in ("train", "val", "test"):
        assert pizza["counts"][split]["not_pizza"] == pizza["counts"][split]["pizza"] >= 1
    names = [path.name for path in (tray.built / "pizza").glob("*/*/*.jpg")]
    assert all(
        (tray.pool / name).samefile(path) for path in (tray.built / "pizza").glob("*/*/*.jpg") for name in [path.name]
    )
    assert len(names) == len(set(names)) == 60


def test_negatives_come_from_everywhere_in_every_split(tray: Tray) -> None:
    """Look-alikes, background and other items share the negative side, in training as in testing."""
    build_tray(replace(tray, build=replace(TINY, split=Split(val=0.2, test=0.2))))
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in lines(tray.built / "pizza" / "metadata.jsonl"):
        if row["label"] == "not_pizza":
            found[row["split"]][row["source"].split("/")[0]] += 1

    assert set(found) == {"train", "val", "test"}
    for counts in found.values():
        assert set(counts) == {"not_pizza", "background", "apple"}
        assert max(counts.values()) - min(counts.values()) <= 2


def test_look_alikes_of_one_item_are_no_negatives_of_another(tray: Tray) -> None:
    """What resembles a pizza says nothing of apples."""
    build_tray(tray)
    negatives = {
        row["source"].split("/")[0]
        for row in lines(tray.built / "apple" / "metadata.jsonl")
        if row["label"] == "not_apple"
    }

    assert negatives == {"pizza", "background"}


def test_a_picture_has_one_side_in_all_datasets(tray: Tray) -> None:
    """What tests one item never trains another."""
    build_tray(tray)
    seen: dict[str, set[str]] = defaultdict(set)
    for name in ("pizza", "apple", "multiclass"):
        for sha, side in sides(tray.built / name).items():
            seen[sha].add(side)

    assert all(len(found) == 1 for found in seen.values())


def test_what_copies_knew_stays_with_the_kept_one(tray: Tray) -> None:
    """Addresses, terms and engines of a dropped copy are in the line of the one that stays."""
    record = next(records(tray.raw / "pizza"))
    data = encoded(drawn(0, (480, 360)))
    info = inspect(data)
    with (tray.raw / "pizza" / "manifest.jsonl").open("a") as manifest:
        (tray.raw / "pizza" / "copy.jpg").write_bytes(data)
        line = {
            "url": "http://elsewhere/",
            "engine": "yahoo",
            "term": "hot pizza",
            "file": "copy.jpg",
            "sha256": info.sha256,
        }
        manifest.write(json.dumps(line) + "\n")
    build_tray(tray)
    (row,) = [row for row in lines(tray.built / "multiclass" / "metadata.jsonl") if len(row["urls"]) > 1]

    assert {"http://elsewhere/", record.url} == set(row["urls"])
    assert {"yahoo", record.engine} == set(row["engines"])
    assert {"hot pizza", record.term} == set(row["terms"])


def test_contradictions_are_between_what_can_not_both_be(tray: Tray) -> None:
    """A picture of two items, or of an item and its background, is a conflict; look-alike and background agree."""
    for name, other, seed in (
        ("pizza", "apple", 5000),
        ("apple", "background", 5001),
        ("not_pizza", "background", 5002),
    ):
        for folder in (name, other):
            (tray.raw / folder / f"{seed}.jpg").write_bytes(encoded(drawn(seed)))
    result = build_tray(tray)

    assert result.conflicts == 2
    assert result.dropped == {"conflict": 4, "duplicate bytes": 1}


def test_named_items_alone_are_built(tray: Tray) -> None:
    """Naming an item builds its dataset only, with negatives from all that was scraped."""
    result = build_tray(tray, "apple")

    assert [path.name for path in result.paths] == ["apple"]
    assert not (tray.built / "pizza").exists()
    assert build_tray(tray, "apple").unchanged


def test_what_an_earlier_tray_left_behind_is_told(tray: Tray, caplog: pytest.LogCaptureFixture) -> None:
    """Pictures and datasets of an item that went, once; and one that got another name is told from one to scrape."""
    build_tray(tray)
    assert not caplog.messages

    less = replace(tray, items={"apple": tray.items["apple"]})
    build_tray(less)
    build_tray(less)
    assert caplog.messages == [
        f"No item of {tray.file} is built from {tray.raw / 'not_pizza'}, {tray.raw / 'pizza'}.",
        f"{tray.built / 'multiclass'} is of no item of {tray.file} any more; it stays as it was built.",
        f"{tray.built / 'pizza'} is of no item of {tray.file} any more; it stays as it was built.",
    ]
    renamed = replace(tray, items={"apple": tray.items["apple"], "pie": tray.items["pizza"]})
    with pytest.raises(TrayError, match=r"scrape pie; or is 'pie' a new name of what lies in \S+not_pizza or \S+pizza"):
        build_tray(renamed)


def test_look_alikes_and_a_background_that_are_not_there_are_told(tray: Tray, caplog: pytest.LogCaptureFixture) -> None:
    """Negatives that were written into tray.toml and not scraped yet, and a background that was emptied."""
    shutil.rmtree(tray.raw / "background")
    items = {"pizza": tray.items["pizza"], "apple": Item(terms=("apple",), negatives=("pear",))}
    build_tray(replace(tray, items=items))

    said = f"{tray.file} asks for pictures of not_apple, background, and there are none: tray scrape."
    assert caplog.messages == [said]


def test_pictures_of_a_term_that_is_another_class_s_now_are_told(tray: Tray, caplog: pytest.LogCaptureFixture) -> None:
    """They count for the class that they were scraped for until a person has decided on them."""
    pizza, apple = Item(terms=("pizza 0", "pizza 1")), Item(terms=("apple 0", "apple 1", "apple 2", "pizza 2"))
    moved = replace(tray, items={"pizza": pizza, "apple": apple})
    build_tray(moved)
    (said,) = caplog.messages
    assert said.startswith(
        f"{tray.raw / 'pizza'}: 10 pictures found for 'pizza 2', which apple asks for now, still count"
    )

    caplog.clear()
    files = [record.file for record in records(tray.raw / "pizza") if record.term == "pizza 2"]
    lines = [to_line(Verdict(file, "relabel", "apple")) for file in files[1:]]
    (tray.raw / "pizza" / "review.jsonl").write_bytes(b"".join(lines))
    build_tray(moved)
    assert (
        caplog.messages[0]
        .split(": ")[1]
        .startswith("1 picture found for 'pizza 2', which apple asks for now, still counts")
    )


def test_what_is_missing_is_one_sentence(tray: Tray, tmp_path: Path) -> None:
    """An unknown item, an item without pictures, an item without anything else, a tray without items."""
    with pytest.raises(ConfigError, match="'piza'"):
        build_tray(tray, "piza")
    with pytest.raises(TrayError, match=r"scrape first|Scrape first: tray scrape kiwi"):
        build_tray(replace(tray, items={**tray.items, "kiwi": Item(terms=("kiwi",))}), "kiwi")
    alone = replace(tray, items={"pizza": Item(terms=("pizza",))}, background=Background())
    for name in ("not_pizza", "background"):
        shutil.rmtree(tray.raw / name)
    with pytest.raises(NotEnoughImages, match="that are not 'pizza'"):
        build_tray(alone)
    with pytest.raises(TrayError, match="without items"):
        build_tray(Tray(file=tmp_path / "tray.toml"))


def test_an_overwritten_picture_is_made_again(source: Path, tmp_path: Path) -> None:
    """In the dataset or in the pool, which share their bytes; other times alone make no difference."""
    out = tmp_path / "out"
    built(source, out, TINY)
    before = tree(out)
    first, second = sorted(out.glob("train/cat/*.jpg"))[:2]
    os.utime(first, (1, 1))
    assert built(source, out, TINY).unchanged
    good = first.read_bytes()
    first.write_bytes(second.read_bytes())

    assert not built(source, out, TINY).unchanged
    assert first.read_bytes() == good
    assert tree(out) == before
    assert built(source, out, TINY).unchanged
