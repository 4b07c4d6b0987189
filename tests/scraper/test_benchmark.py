"""The benchmark of the scraper, on next to nothing."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "scraping.py"


def test_downloads_are_measured(tmp_path):
    """A handful of addresses goes through the site's process, the pool and the folder; every one is accounted for."""
    command = [sys.executable, str(BENCHMARK), "downloads", "--json", "--addresses", "12", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--cache", str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    (row,) = json.loads(done.stdout)["downloads"]

    assert row["addresses"] == 12
    assert 0 < row["kept"] <= 12
    assert row["per_second"] > 0
    assert done.returncode == int(not row["ok"])
