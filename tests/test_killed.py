"""The whole pipeline, stopped by kill -9 at random moments and started again.

``TRAY_KILLS`` says how often (3 by default; 10 takes some minutes).
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset.folder import records
from scraper.simulator import Site
from train.runs import open_run

KILLS = int(os.environ.get("TRAY_KILLS", "3"))
TRAY = """
[scrape]
limit = 500
pace = 0.02
[build]
split = { val = 0.2, test = 0.2 }
[train]
image_size = 32
epochs = 4
[items.pizza]
terms = ["pizza"]
negatives = ["quiche"]
[items.apple]
terms = ["red apple"]
[background]
terms = ["car"]
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Run the built-in site for all starts of the pipeline."""
    with Site(results=14) as site:
        yield site


def start(folder: Path, site: Site) -> subprocess.Popen[str]:
    """Start `tray run` in a folder, as the head of a process group."""
    folder.mkdir(exist_ok=True)
    (folder / "tray.toml").write_text(TRAY, encoding="utf-8")
    command = [sys.executable, "-m", "tray", "run", "--site", site.url, "--json"]
    return subprocess.Popen(
        command, cwd=folder, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(folder: Path, site: Site) -> dict[str, object]:
    """Run the pipeline to its end; return what it printed."""
    out, err = start(folder, site).communicate(timeout=280)
    assert out, err
    result: dict[str, object] = json.loads(out)
    return result


def pictures(folder: Path, site: Site) -> dict[str, set[str | None]]:
    """Return the pictures of the site that each class folder keeps, None among them for junk."""
    kept = {}
    for manifest in sorted((folder / "data" / "raw").glob("*/manifest.jsonl")):
        found = [one for one in records(manifest.parent) if one.kept]
        assert all((manifest.parent / one.file).exists() for one in found)
        known = [site.truth.identify(one.sha256) or site.truth.identify(one.url) for one in found]
        kept[manifest.parent.name] = {one.group if one else None for one in known}
    return kept


@pytest.mark.timeout(900)
def test_a_killed_pipeline_ends_as_an_undisturbed_one(site: Site, tmp_path: Path) -> None:
    """Killed at random moments and started again, it keeps the same pictures and ends in a finished run."""
    started = time.monotonic()
    finish(tmp_path / "calm", site)
    seconds = time.monotonic() - started
    dice = random.Random(7)
    killed = 0
    for _ in range(KILLS):
        process = start(tmp_path / "shaken", site)
        try:
            process.communicate(timeout=dice.uniform(0.1, 0.9) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            killed += 1
    finish(tmp_path / "shaken", site)

    calm, shaken = pictures(tmp_path / "calm", site), pictures(tmp_path / "shaken", site)
    assert killed >= 1
    assert calm == shaken
    assert not any(None in groups for groups in shaken.values())
    built = json.loads((tmp_path / "shaken/data/built/multiclass/dataset.json").read_text(encoding="utf-8"))
    assert built["class_names"] == ["apple", "pizza"]
    assert open_run(tmp_path / "shaken/runs/binary").metrics["n"] > 0


@pytest.mark.timeout(300)
def test_a_finished_pipeline_does_nothing_again(site: Site, tmp_path: Path) -> None:
    """Run twice, the second run changes no file of the datasets, the folders and the run."""
    finish(tmp_path, site)
    before = {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file() and path.name != "report.html"
    }
    requests = len(site.log)
    finish(tmp_path, site)
    after = {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file() and path.name != "report.html"
    }

    assert len(site.log) == requests
    assert {path for path in before if before[path] != after.get(path)} <= {tmp_path / "tray.toml"}
    assert set(after) - set(before) == set()
