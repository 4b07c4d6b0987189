"""What every test may lean on."""

import logging
import os
from pathlib import Path

import pytest
from PIL import ImageFile

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
"""Where a developer may keep real photographs and weights, beside the checkout; nothing needs them to be there."""
# TensorFlow's notes about the processor it runs on would drown a test's own output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("SE_AVOID_STATS", "true")
# Several processes test at a time: were each to use all cores for its small matrices, they would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
LONGEST = (
    ".ipynb",
    "test_killed.py",
    "test_readme.py",
    "test_fit.py",
    "test_scrape.py",
    "test_trays.py",
    "test_search.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest: begun last, they would keep one process busy while the others have none left to do."""
    items.sort(
        key=lambda item: next((n for n, end in enumerate(LONGEST) if item.path.name.endswith(end)), len(LONGEST))
    )


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real photographs in class folders; skip the test where there is none."""
    folder = Path(os.environ.get("TRAY_DATA") or SHARED / "data")
    if not folder.is_dir():
        pytest.skip("no real photographs here; TRAY_DATA names their folder")
    return folder


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    """Let messages be heard by the test, although a command that ran in this process before kept them to itself."""
    log = logging.getLogger("tray")
    log.propagate, log.level, log.handlers = True, logging.NOTSET, []


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the list to which each decode of a picture in this process adds the size that it was decoded at."""
    sizes: list[tuple[int, int]] = []
    prepare = ImageFile.ImageFile.load_prepare

    def noted(image: ImageFile.ImageFile) -> None:
        sizes.append(image.size)
        prepare(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", noted)
    return sizes
