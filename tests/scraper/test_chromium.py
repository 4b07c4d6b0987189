"""A browser starts whatever its surroundings say, and what keeps it from starting is told."""

import tempfile
from pathlib import Path

import pytest

import scraper.chromium
from dataset.errors import BrowserError
from scraper.chromium import chromium
from tests.scraper.conftest import QUICK


@pytest.mark.parametrize(
    ("name", "value"), [("HTTP_PROXY", "http://127.0.0.1:9"), ("TMPDIR", "/no/such/folder")], ids=["proxy", "tmpdir"]
)
def test_the_environment_does_not_come_between(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Neither a proxy that leads nowhere nor a folder for temporary files that is not there keeps a browser away."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv(name, value)
    with chromium(QUICK, display="headless") as driver:
        driver.get("data:text/html,<title>here</title>")

        assert driver.title == "here"


def test_a_driver_that_fails_is_started_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Selenium Manager finds the driver on PATH too: a minute of waiting for a browser is not spent twice."""
    driver, starts = tmp_path / "chromedriver", tmp_path / "starts"
    driver.write_text(f"#!/bin/sh\necho started >> '{starts}'\nexit 1\n", encoding="utf-8")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for name in ("TRAY_DRIVER", "SE_CHROMEDRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(scraper.chromium, "_from_selenium_manager", lambda _browser: str(driver))
    monkeypatch.setattr(scraper.chromium, "_from_webdriver_manager", lambda: str(driver))
    with pytest.raises(BrowserError, match=r"chromedriver \(PATH\): .*exited"), chromium(QUICK, display="headless"):
        pass

    assert starts.read_text(encoding="utf-8").count("started") == 1
