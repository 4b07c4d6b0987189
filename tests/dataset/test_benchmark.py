"""The benchmark of the cleaning stage runs from start to end."""

import json
import subprocess
import sys
from pathlib import Path

from tests.dataset.conftest import fill

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "cleaning.py"


def test_both_halves_run_on_a_little(tmp_path: Path) -> None:
    """One command: look-alikes, transforms and damage, printed and written; here on pictures that are drawn."""
    fill(tmp_path / "data" / "food8" / "soup", range(2))
    halves = ["--verdicts", "--only traps,recall --sets drawn --look-alikes 2 --pictures 1", "--speed", "--only damage"]
    command = [sys.executable, BENCHMARK, "--data", tmp_path / "data", "--json", tmp_path / "figures.json", *halves]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = json.loads((tmp_path / "figures.json").read_text())

    (drawn,) = found["verdicts"]["traps"]
    assert (drawn["set"], drawn["wrong"]) == ("drawn", 0)
    transforms = [row for row in found["verdicts"]["recall"] if not row["transform"].startswith("mean")]
    assert len(transforms) >= 30
    assert sum(row["photographs"] for row in transforms) >= 0.9 * len(transforms)
    assert all(row["transform"] in said for row in transforms)
    assert "not found, with pixels missing" in str(found["speed"])
