"""What every test may lean on."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
"""Where a developer may keep real photographs and weights, beside the checkout; nothing needs them to be there."""
# TensorFlow's notes about the processor it runs on would drown a test's own output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("SE_AVOID_STATS", "true")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real photographs in class folders; skip the test where there is none."""
    folder = Path(os.environ.get("TRAY_DATA") or SHARED / "data")
    if not folder.is_dir():
        pytest.skip("no real photographs here; TRAY_DATA names their folder")
    return folder


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
