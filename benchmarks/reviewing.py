"""How many decisions a minute the review page takes, from keys to lines on disk, and whether any is lost.

    python benchmarks/reviewing.py [--pictures 2000]

Keys are pressed in a headless Chromium as fast as WebDriver presses them: in one window, in two that take turns, and
whole screens at a time. A person is slower: this says what the page allows. Prints one JSON object.
"""

import argparse
import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains

from dataset.review.server import Review
from dataset.review.verdicts import read_verdicts

CLASSES = ("apple", "pizza")
AT_ONCE = 50
"""Keys in one call of WebDriver: a call for each would measure WebDriver."""

Press = Callable[[webdriver.Chrome, str, int], str]


def main() -> None:
    """Press the keys, and print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=2000)
    pictures = options.parse_args().pictures
    figures = {"cores": len(os.sched_getaffinity(0)), "pictures": pictures}
    with tempfile.TemporaryDirectory() as temporary:
        for press in (one_window, two_windows, screens):
            raw = drawn(Path(temporary) / press.__name__, pictures // len(CLASSES))
            with Review(raw) as review, chromium() as browser:
                figures[press.__name__] = timed(press, browser, review.url, raw)
    print(json.dumps(figures, indent=2))


def one_window(browser: webdriver.Chrome, url: str, pictures: int) -> str:
    """Keep and drop at random, a key a picture; return the keys."""
    load(browser, url)
    keys = "".join(random.Random(1).choices("kkd", k=pictures))
    for start in range(0, pictures, AT_ONCE):
        press(browser, keys[start : start + AT_ONCE])
    return keys


def two_windows(browser: webdriver.Chrome, url: str, pictures: int) -> str:
    """Keep one class in one window and drop the other in another, in turns; return the keys."""
    windows = [browser.current_window_handle]
    load(browser, f"{url}#label={CLASSES[0]}")
    browser.switch_to.new_window("window")
    windows.append(browser.current_window_handle)
    load(browser, f"{url}#label={CLASSES[1]}")
    each = pictures // 2
    for start in range(0, each, AT_ONCE):
        for window, key in zip(windows, "kd", strict=True):
            browser.switch_to.window(window)
            press(browser, key * min(AT_ONCE, each - start))
    return "k" * each + "d" * each


def screens(browser: webdriver.Chrome, url: str, pictures: int) -> str:
    """Drop one picture of each screen and keep the rest of it; return the keys that come out of it."""
    load(browser, url)
    drops = left = 0
    while left != pictures:
        press(browser, "d")
        drops += 1
        ActionChains(browser, duration=0).key_down("\ue008").send_keys("k").key_up("\ue008").perform()
        left = int(browser.execute_script("return document.querySelector('#progress').ariaValueNow"))
    return "d" * drops + "k" * (pictures - drops)


def timed(work: Press, browser: webdriver.Chrome, url: str, raw: Path) -> dict[str, Any]:
    """Return how long it took until every decision was on disk, and how many are not as they were pressed."""
    pictures = sum(len(list((raw / name).glob("*.jpg"))) for name in CLASSES)
    started = time.perf_counter()
    keys = work(browser, url, pictures)
    pressed = time.perf_counter() - started
    while sum(map(len, written(raw))) < pictures and time.perf_counter() - started < pressed + 60:
        time.sleep(0.05)
    seconds = time.perf_counter() - started
    words = Counter(one.verdict for folder in written(raw) for one in folder.values())
    wanted = Counter({"keep": keys.count("k"), "drop": keys.count("d")})
    return {
        "seconds": round(seconds, 1),
        "decisions_a_minute": round(60 * pictures / seconds),
        "lost_or_changed": (wanted - words).total(),
    }


def written(raw: Path) -> list[dict[str, Any]]:
    """Return the decisions of each class as they stand on disk."""
    return [dict(read_verdicts(raw / name)) for name in CLASSES]


def press(browser: webdriver.Chrome, keys: str) -> None:
    """Press keys one after the other without a pause."""
    ActionChains(browser, duration=0).send_keys(keys).perform()


def load(browser: webdriver.Chrome, url: str) -> None:
    """Open the page and wait until it takes keys."""
    browser.get(url)
    while browser.execute_script("return document.body?.dataset.ready") != "yes":
        time.sleep(0.05)


def chromium() -> webdriver.Chrome:
    """Return a headless Chromium."""
    options = webdriver.ChromeOptions()
    flags = ["--headless=new", "--window-size=1280,900", "--disable-dev-shm-usage"]
    for flag in flags + (["--no-sandbox"] if os.getuid() == 0 else []):
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def drawn(raw: Path, each: int) -> Path:
    """Make class folders of small pictures, no two alike."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (raw / name).mkdir(parents=True)
        for number in range(each):
            small = Image.fromarray(rng.integers(0, 255, (9, 12, 3), np.uint8))
            small.resize((320, 240), Image.Resampling.BICUBIC).save(raw / name / f"{number:05}.jpg", quality=80)
    return raw


if __name__ == "__main__":
    main()
