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


@pytest.fixture(scope="module")
def calm(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """Return the folder of an undisturbed run, and the seconds that it took."""
    folder, started = tmp_path_factory.mktemp("calm"), time.monotonic()
    finish(folder, site)
    return folder, time.monotonic() - started


@pytest.mark.timeout(900)
def test_a_killed_pipeline_ends_as_an_undisturbed_one(site: Site, calm: tuple[Path, float], tmp_path: Path) -> None:
    """Killed at random moments and started again, it keeps the same pictures and ends in a finished run."""
    undisturbed, seconds = calm
    dice = random.Random(7)
    killed = 0
    for _ in range(KILLS):
        process = start(tmp_path, site)
        try:
            process.communicate(timeout=dice.uniform(0.1, 0.7) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            killed += 1
    finish(tmp_path, site)

    shaken = pictures(tmp_path, site)
    assert killed >= 1
    assert pictures(undisturbed, site) == shaken
    assert not any(None in groups for groups in shaken.values())
    built = json.loads((tmp_path / "data/built/multiclass/dataset.json").read_text(encoding="utf-8"))
    assert built["class_names"] == ["apple", "pizza"]
    assert open_run(tmp_path / "runs/binary").metrics["n"] > 0


def test_a_finished_pipeline_does_nothing_again(site: Site, calm: tuple[Path, float]) -> None:
    """Run twice, the second run asks the site for nothing and changes no file, the reports aside."""
    folder, _ = calm

    def stamps() -> dict[Path, int]:
        return {
            path: path.stat().st_mtime_ns
            for path in folder.rglob("*")
            if path.is_file() and path.name not in {"report.html", "tray.toml"}
        }

    before, requests = stamps(), len(site.log)
    finish(folder, site)

    assert len(site.log) == requests
    assert stamps() == before
