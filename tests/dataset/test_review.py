"""Reviewing by keyboard: verdicts on disk, what is shown first, who may ask, and the page in a real Chromium."""

import csv
import hashlib
import http.client
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.interaction import POINTER_TOUCH
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from dataset.errors import TrayError
from dataset.folder import REVIEW
from dataset.review.catalogue import open_catalogue
from dataset.review.decisions import Decisions
from dataset.review.server import Review
from dataset.review.suspicions import (
    Suspicion,
    find,
    from_build,
    from_lines,
    from_predictions,
    from_run,
    match,
    outliers,
    suspicion,
)
from dataset.review.thumbnails import Thumbnails, Unreadable
from dataset.review.verdicts import Journal, Verdict, read_verdicts

HUES = {"apple": (60, 150, 40), "pizza": (200, 90, 40), "quiche": (220, 190, 90)}


def draw(path: Path, hue: tuple[int, int, int], seed: int) -> Path:
    """Draw a blot of a colour on noise."""
    noise = np.random.default_rng(seed).integers(0, 60, (96, 128, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((noise + np.array(hue) * 0.75).clip(0, 255).astype(np.uint8)).save(path, quality=85)
    return path


def fill(raw: Path, each: int = 8, names: tuple[str, ...] = ("apple", "pizza", "quiche")) -> list[Path]:
    """Make class folders of drawn pictures with manifests, as a scrape leaves them."""
    made = []
    for label in names:
        lines = []
        for index in range(each):
            path = draw(raw / label / f"{label}{index:02}.jpg", HUES[label], index)
            lines.append(
                {"url": f"http://x.invalid/{path.name}", "engine": ("bing", "google")[index % 2], "term": label}
            )
            lines[-1] |= {"file": path.name, "sha256": f"{label}{index}", "width": 128, "height": 96}
            made.append(path)
        (raw / label / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return made


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Return the decisions as they stand in a class folder's review.jsonl."""
    path = folder / REVIEW
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# ---------------------------------------------------------------- verdicts on disk


def test_the_last_word_counts(tmp_path: Path) -> None:
    """A later line replaces an earlier one, an empty verdict takes it back, and what is no decision is passed over."""
    lines: list[object] = [
        {"file": "a.jpg", "verdict": "drop"},
        {"file": "b.jpg", "verdict": "keep", "colour": "a field of a later version"},
        {"file": "a.jpg", "verdict": "relabel", "label": "quiche", "window": "w"},
        {"file": "b.jpg", "verdict": ""},
        {"file": "c.jpg", "verdict": "burn"},
        {"file": "c.jpg", "verdict": ["drop"]},
        {"file": "d.jpg", "verdict": "relabel"},
        ["no", "object"],
    ]
    (tmp_path / REVIEW).write_text("".join(json.dumps(line) + "\n" for line in lines) + "no json\n")

    assert {"a.jpg": Verdict("a.jpg", "relabel", "quiche", "", "w")} == read_verdicts(tmp_path)
    assert read_verdicts(tmp_path / "nowhere") == {}


def test_a_torn_last_line_is_cut_back(tmp_path: Path) -> None:
    """What a killed process began is cut off before the next line; a whole line without its newline is kept."""
    whole, torn = '{"file": "a.jpg", "verdict": "drop"}\n', '{"file": "b.jpg", "ver'
    (tmp_path / REVIEW).write_text(whole + torn)
    Journal(tmp_path).append([Verdict("c.jpg", "keep")])

    assert [line["file"] for line in lines_of(tmp_path)] == ["a.jpg", "c.jpg"]

    (tmp_path / REVIEW).write_text(whole.strip())
    Journal(tmp_path).append([Verdict("c.jpg", "keep")])

    assert [line["file"] for line in lines_of(tmp_path)] == ["a.jpg", "c.jpg"]


def test_two_processes_lose_no_decision(tmp_path: Path) -> None:
    """Processes that write to one folder at the same time leave every line whole, and each hears of the other's."""
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from dataset.review.verdicts import Journal, Verdict
        journal = Journal(Path(sys.argv[1]))
        for n in range(150):
            journal.append([Verdict(f"{sys.argv[2]}{n}.jpg", "drop", window=sys.argv[2])])
    """)
    journal = Journal(tmp_path)
    journal.refresh()
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in "ab"]

    assert [one.wait(timeout=60) for one in running] == [0, 0]
    assert {f"{name}{n}.jpg" for name in "ab" for n in range(150)} == {line["file"] for line in lines_of(tmp_path)}
    assert len(journal.refresh()) == 300
    assert journal.verdicts == read_verdicts(tmp_path)


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    """A review.jsonl that a person put back from a copy tells what changed by it."""
    journal = Journal(tmp_path)
    journal.append([Verdict("a.jpg", "drop"), Verdict("b.jpg", "drop")])
    (tmp_path / "copy").write_text('{"file": "b.jpg", "verdict": "keep"}\n')
    (tmp_path / "copy").replace(tmp_path / REVIEW)

    assert [(one.file, one.verdict) for one in journal.refresh()] == [("a.jpg", ""), ("b.jpg", "keep")]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A folder that can't be written raises one clear sentence."""
    (tmp_path / REVIEW).mkdir()

    with pytest.raises(TrayError, match=r"review\.jsonl"):
        Journal(tmp_path).append([Verdict("a.jpg", "drop")])


def test_verdicts_need_no_server() -> None:
    """A build that reads verdicts loads no web server."""
    program = "import sys, dataset.review.verdicts; sys.exit('flask' in sys.modules or 'waitress' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# ---------------------------------------------------------------- what there is to look at


def build_by_hand(raw: Path, out: Path, rows: list[dict[str, Any]]) -> None:
    """Write a dataset as a build does, from lines that name sources."""
    for row in rows:
        row["file_name"] = f"{row['split']}/{row['label']}/{row['source'].replace('/', '-')}"
        path = out / row["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(raw / row["source"], path)
    (out / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (out / "dataset.json").write_text("{}")


def test_any_folder_of_ours_can_be_reviewed(tmp_path: Path) -> None:
    """One class folder knows its siblings as labels; a folder of them shows all; engine and term come along."""
    fill(tmp_path / "raw", each=2)
    one = open_catalogue(tmp_path / "raw" / "pizza")
    everything = open_catalogue(tmp_path / "raw")

    assert (one.form, one.labels) == ("class folder", ("apple", "pizza", "quiche"))
    assert [picture.places[0].file for picture in one.pictures] == ["pizza00.jpg", "pizza01.jpg"]
    assert (one.pictures[0].record.engine, one.pictures[0].record.term) == ("bing", "pizza")
    assert (everything.form, len(everything.pictures)) == ("class folders", 6)


def test_a_datasets_decisions_go_to_the_raw_pictures(tmp_path: Path) -> None:
    """A decision on a built picture lands in the raw class folder it came from, and a drop takes its copies along."""
    raw, out = tmp_path / "data" / "raw", tmp_path / "data" / "built" / "pizza"
    fill(raw, each=3)
    rows = [
        {"source": "pizza/pizza00.jpg", "copies": ["pizza/pizza01.jpg"], "label": "pizza", "split": "train"},
        {"source": "quiche/quiche00.jpg", "copies": [], "label": "not_pizza", "split": "val"},
    ]
    build_by_hand(raw, out, rows)
    decisions = Decisions(open_catalogue(out))
    decisions.decide([0], "drop", window="w")
    decisions.decide([1], "relabel", label="pizza", window="w")

    assert [picture.label for picture in decisions.catalogue.pictures] == ["pizza", "quiche"]
    assert {"pizza00.jpg", "pizza01.jpg"} == set(read_verdicts(raw / "pizza"))
    assert read_verdicts(raw / "quiche")["quiche00.jpg"].label == "pizza"

    decisions.decide([0], "keep", window="w")

    assert {file: one.verdict for file, one in read_verdicts(raw / "pizza").items()} == {"pizza00.jpg": "keep"}

    decisions.undo("w")

    assert {"drop"} == {one.verdict for one in read_verdicts(raw / "pizza").values()}


def test_what_is_sent_twice_is_decided_once(tmp_path: Path) -> None:
    """A window that says the same again makes no second step; another one's agreement is its own."""
    fill(tmp_path / "raw", each=1)
    decisions = Decisions(open_catalogue(tmp_path / "raw"))
    for window in ("w", "w", "other"):
        decisions.decide([0], "keep", window=window)

    assert len(lines_of(tmp_path / "raw" / "apple")) == 2
    assert decisions.undo("w") == (0, 1)
    assert decisions.undo("other") == (1, 0)
    assert decisions.undo("w") is None


def test_a_dataset_without_its_raw_pictures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the raw pictures are gone, decisions go beside the built ones, and it is said."""
    raw, out = tmp_path / "elsewhere", tmp_path / "out"
    fill(raw, each=1)
    row = {"source": "pizza/pizza00.jpg", "label": "pizza", "split": "train", "width": 64, "height": "many"}
    build_by_hand(raw, out, [row])
    catalogue = open_catalogue(out)
    Decisions(catalogue).decide([0], "drop")

    assert (catalogue.pictures[0].record.width, catalogue.pictures[0].record.height) == (64, 0)
    assert list(read_verdicts(out / "train" / "pizza")) == ["pizza-pizza00.jpg"]
    assert "next build" in caplog.text
    assert raw.resolve() == open_catalogue(out, raw=raw).raw


def test_nothing_to_review_is_said(tmp_path: Path) -> None:
    """An empty folder and a missing one raise a sentence with examples."""
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(TrayError, match="Expected a"):
            open_catalogue(folder)


def test_links_out_of_the_folder_are_not_shown(tmp_path: Path) -> None:
    """A link to a picture elsewhere is no picture of this folder."""
    fill(tmp_path / "raw", each=1)
    secret = draw(tmp_path / "secret.jpg", (0, 0, 0), 1)
    (tmp_path / "raw" / "pizza" / "link.jpg").symlink_to(secret)

    assert len(open_catalogue(tmp_path / "raw").pictures) == 3


# ---------------------------------------------------------------- what is shown first


def write_csv(path: Path, *rows: list[object]) -> Path:
    """Write rows as CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_runs_doubts(tmp_path: Path) -> None:
    """What a run calls otherwise or is unsure of is suspicious; what it was trained on, and what it knows, is not."""
    head = ["file", "part", "label", "predicted", "p_pizza", "p_quiche"]
    found = from_predictions(
        write_csv(
            tmp_path / "predictions.csv",
            head,
            ["wrong.jpg", "val", "pizza", "quiche", 0.1, 0.9],
            ["unsure.jpg", "test", "quiche", "quiche", 0.4, 0.6],
            ["sure.jpg", "val", "pizza", "pizza", 0.95, 0.05],
            ["learned.jpg", "train", "pizza", "quiche", 0.1, 0.9],
        )
    )

    assert [(str(one.file), round(one.score, 6), one.reason, one.detail) for one in found] == [
        ("wrong.jpg", 0.9, "looks like quiche", "90% quiche, 10% pizza"),
        ("unsure.jpg", 0.4, "unsure", "60% quiche"),
    ]


def test_a_binary_runs_doubts(tmp_path: Path) -> None:
    """A run of several items gives one probability, that of the item."""
    rows = [["item", "file", "part", "label", "predicted", "positive"]]
    rows += [["pizza", "a.jpg", "val", "not_pizza", "pizza", "0.8"]]
    (one,) = from_predictions(write_csv(tmp_path / "predictions.csv", *rows))

    assert (one.score, one.reason, one.detail) == (0.8, "looks like pizza", "80% pizza, 20% not_pizza")


def test_a_runs_name_means_its_newest_run(tmp_path: Path) -> None:
    """Of several runs of a name, the newest finished one is asked, about its training pictures, too."""
    head = ["file", "part", "label", "predicted", "p_pizza", "p_quiche"]
    for name in ("old", "2026", "2027"):
        run = tmp_path / "runs" / "pizza" / name
        run.mkdir(parents=True)
        write_csv(run / "predictions.csv", head, [f"{name}.jpg", "test", "pizza", "quiche", 0.2, 0.8])
        line = {"file": f"learned-{name}.jpg", "score": 0.9, "reason": "looks like quiche"}
        (run / "suspects.jsonl").write_text(json.dumps(line) + "\n")
        if name != "old":
            (run / "run.json").write_text("{}")

    found = [one.file.name for one in from_run(tmp_path / "runs" / "pizza")]
    assert found == ["2027.jpg", "learned-2027.jpg"]


def test_findings_that_are_none(tmp_path: Path) -> None:
    """A file that is missing or holds something else raises a sentence."""
    with pytest.raises(TrayError, match=r"predictions\.csv"):
        list(from_predictions(tmp_path))
    with pytest.raises(TrayError, match="columns"):
        list(from_predictions(write_csv(tmp_path / "x.csv", ["a"], ["b"])))
    (tmp_path / "x.jsonl").write_text('{"file": "a.jpg"}\n')
    with pytest.raises(TrayError, match='"score"'):
        list(from_lines(tmp_path / "x.jsonl"))


def test_a_builds_findings_meet_the_raw_pictures(tmp_path: Path) -> None:
    """Flags, conflicts and copies of a build, and a run's doubts on built files, all land on the raw picture."""
    raw, out = tmp_path / "data" / "raw", tmp_path / "data" / "built" / "foods"
    fill(raw, each=3)
    build_by_hand(
        raw, out, [{"source": "pizza/pizza00.jpg", "label": "pizza", "split": "val", "flags": ["blurred", "dark"]}]
    )
    rejected = [
        {"source": "quiche/quiche00.jpg", "reason": "conflict", "kept": "pizza/pizza00.jpg"},
        {"source": "pizza/pizza01.jpg", "reason": "near duplicate", "kept": "pizza/pizza00.jpg"},
        {"source": "pizza/pizza02.jpg", "reason": "review"},
        {"source": "apple/apple01.jpg", "reason": "review", "kept": "apple/apple00.jpg"},
    ]
    (out / "rejected.jsonl").write_text("".join(json.dumps(line) + "\n" for line in rejected))
    catalogue = open_catalogue(raw)
    doubt = Suspicion(out / "val" / "pizza" / "pizza-pizza00.jpg", 0.9, "looks like quiche")
    names = [picture.places[0].file for picture in catalogue.pictures]
    found = {
        names[index]: {one.reason: names[twin] if twin >= 0 else "" for one, twin in why}
        for index, why in match(catalogue, [*from_build(out, raw), doubt]).items()
    }

    assert found == {
        "pizza00.jpg": {"looks like quiche": "", "blurred": "", "dark": ""},
        "quiche00.jpg": {"in two classes": "pizza00.jpg"},
        "pizza01.jpg": {"near duplicate": "pizza00.jpg"},
        "apple01.jpg": {"thrown out before": "apple00.jpg"},
    }


def test_findings_of_linked_pictures_are_those_of_the_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where data/raw is a link to another disk, builds lie beside the link, and not beside what it leads to."""
    raw, disk = tmp_path / "house" / "data" / "raw", tmp_path / "disk" / "photos"
    fill(disk, each=3)
    raw.parent.mkdir(parents=True)
    raw.symlink_to(disk)
    line = {"source": "pizza/pizza00.jpg", "label": "pizza", "split": "val", "flags": ["blurred"]}
    build_by_hand(disk, raw.parent / "built" / "foods", [line])
    monkeypatch.chdir(raw.parent / "built")

    for folder in (raw, raw / "pizza", Path("../raw")):
        catalogue = open_catalogue(folder)
        (found,) = match(catalogue, find(catalogue)).values()
        assert [one.reason for one, _ in found] == ["blurred"]


def test_suspicion_adds_up() -> None:
    """Two findings are worse than the worse of them, and none is none."""
    assert suspicion([]) == 0.0
    assert 0.5 < suspicion([0.5, 0.4]) < 0.9
    assert suspicion([1.0, 0.4]) == 1.0


def test_an_outlier_is_found_in_its_class() -> None:
    """A picture whose features lie apart from its class comes first."""
    rng = np.random.default_rng(0)
    vectors = {Path(f"{n:03}.jpg"): np.array([1, 0, 0]) + rng.normal(0, 0.05, 3) for n in range(60)}
    vectors[Path("stranger.jpg")] = np.array([0, 1, 0])
    found = list(outliers(vectors, dict.fromkeys(vectors, "pizza")))

    assert (Path("stranger.jpg"), "unlike its class", 0.8) == (found[0].file, found[0].reason, found[0].score)
    assert len(found) == 2


def test_features_that_a_trainer_kept_show_outliers(tmp_path: Path) -> None:
    """What runs remember of pictures tells which are unlike their class; of a binary dataset only the item has one."""
    raw, out = tmp_path / "data" / "raw", tmp_path / "data" / "built" / "pizza"
    fill(raw, each=40, names=("pizza", "quiche"))
    rows = [{"source": f"pizza/pizza{n:02}.jpg", "label": "pizza", "split": "train"} for n in range(40)]
    rows += [{"source": f"quiche/quiche{n:02}.jpg", "label": "not_pizza", "split": "train"} for n in range(40)]
    build_by_hand(raw, out, rows)
    (out / "dataset.json").write_text('{"positive": "pizza"}')
    files = sorted(out.rglob("*.jpg"))
    rng = np.random.default_rng(0)
    features = np.ones((len(files), 8)) + rng.normal(0, 0.05, (len(files), 8))
    odd = [n for n, path in enumerate(files) if path.name in {"pizza-pizza07.jpg", "quiche-quiche03.jpg"}]
    features[odd] = rng.normal(0, 1, (2, 8))
    store = tmp_path / "runs" / ".features" / "224-1-abc"
    store.mkdir(parents=True)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    np.savez(store / "1.npz", sha256=np.array(hashes), features=features)
    catalogue = open_catalogue(raw)

    told = {catalogue.pictures[n].places[0].file for n in match(catalogue, find(catalogue))}
    assert "pizza07.jpg" in told
    assert not any(name.startswith("quiche") for name in told)


def test_thumbnails_are_kept_while_there_is_room(tmp_path: Path) -> None:
    """Small pictures are small, stay within the room given, and a changed file is read page."""
    thumbnails = Thumbnails(room=6000)
    paths = [draw(tmp_path / f"{n}.jpg", (200, 90, 40), n) for n in range(12)]
    sizes = [len(thumbnails.get(path, 64)) for path in paths]

    assert sum(sizes) > 6000 >= thumbnails.size > 0
    before = thumbnails.get(paths[0], 64)
    draw(paths[0], (0, 0, 250), 99)
    os.utime(paths[0], (1, 1))
    assert before != thumbnails.get(paths[0], 64)
    paths[1].write_bytes(b"<html>")
    with pytest.raises(Unreadable):
        thumbnails.get(paths[1], 64)
    with pytest.raises(Unreadable):
        thumbnails.get(tmp_path / "gone.jpg", 64)


# ---------------------------------------------------------------- who may ask


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return a folder of three class folders of eight pictures."""
    fill(tmp_path / "raw")
    return tmp_path / "raw"


def ask(review: Review, path: str, headers: dict[str, str], body: dict[str, Any] | None = None) -> int:
    """Send one request with exactly these headers; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", review.port, timeout=10)
    try:
        method = "GET" if body is None else "POST"
        headers = {"Host": f"127.0.0.1:{review.port}", "Content-Type": "application/json"} | headers
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_strangers_are_refused(raw: Path) -> None:
    """Other names for this address, other sites' pages and requests of no page get 403 and change nothing."""
    with Review(raw) as review:
        started = str(review.app.test_client().get("/verdicts", base_url=review.url).get_json()["started"])
        ours = {"Origin": f"http://127.0.0.1:{review.port}"}
        drop = {"pictures": [0], "verdict": "drop", "started": started, "window": "w"}

        assert ask(review, "/album", {"Host": "rebound.example:80"}) == 403
        assert ask(review, "/thumbnail/0", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}) == 403
        assert ask(review, "/album", {"Origin": "http://evil.example"}) == 403
        assert ask(review, "/decide", {}, drop) == 403
        assert ask(review, "/decide", {"Origin": "null"}, drop) == 403
        assert ask(review, "/decide", {"Origin": "http://evil.example"}, drop) == 403
        assert ask(review, "/decide", ours | {"Content-Type": "text/plain"}, drop) == 403
        assert ask(review, "/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}) == 200
        assert lines_of(raw / "apple") == []
        assert ask(review, "/decide", ours, drop) == 200
    assert [line["file"] for line in lines_of(raw / "apple")] == ["apple00.jpg"]


def test_nothing_but_its_pictures_is_served(raw: Path) -> None:
    """Paths lead nowhere, numbers end with the pictures, labels can't climb, and another server's page is refused."""
    draw(raw / "pizza" / "zz.jpg", (9, 9, 9), 1).write_bytes(b"GIF89a? no")
    with Review(raw) as review:
        ours = {"Origin": f"http://127.0.0.1:{review.port}"}
        started = str(review.app.test_client().get("/verdicts", base_url=review.url).get_json()["started"])
        last = len(review.catalogue.pictures)
        numbers = {picture.places[0].file: index for index, picture in enumerate(review.catalogue.pictures)}

        assert ask(review, "/thumbnail/0", {}) == 200
        assert ask(review, f"/thumbnail/{last}", {}) == 404
        assert ask(review, f"/thumbnail/{numbers['zz.jpg']}", {}) == 404
        assert ask(review, "/page/../server.py", {}) == 404
        assert ask(review, "/page/%2e%2e/server.py", {}) == 404
        assert ask(review, "/apple/apple00.jpg", {}) == 404
        good = {"started": started, "verdict": "relabel", "label": "pizza", "pictures": [0]}
        for wrong in (
            {"pictures": [last]},
            {"pictures": [True]},
            {"label": "../up"},
            {"verdict": "burn"},
            {"verdict": ["drop"]},
            {"started": ""},
        ):
            assert ask(review, "/decide", ours, good | wrong) == 409
        assert lines_of(raw / "apple") == []


def test_it_listens_to_this_machine_alone(raw: Path) -> None:
    """The port is open on 127.0.0.1, a taken one is named in a sentence, and it is free again afterwards."""
    with Review(raw) as review:
        port = review.port

        assert review._server.socket.getsockname() == ("127.0.0.1", port)
        with pytest.raises(TrayError, match=str(port)), Review(raw, port=port):
            pass
    with pytest.raises(TrayError, match="99999"), Review(raw, port=99999):
        pass
    with socket.socket() as free, pytest.raises(ConnectionRefusedError):
        free.connect(("127.0.0.1", port))


# ---------------------------------------------------------------- the page


class Page:
    """The review page in one window."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser = browser
        browser.get(url)
        self.window = browser.current_window_handle
        self.wait(lambda: browser.execute_script("return document.body?.dataset.ready") == "yes")

    def wait(self, until: Callable[[], Any]) -> Any:
        """Wait for a condition."""
        return WebDriverWait(self.browser, 20, poll_frequency=0.05, ignored_exceptions=[IndexError]).until(
            lambda _: until()
        )

    def keys(self, *keys: str, held: str = "") -> "Page":
        """Press keys, the last held one with each."""
        chain = ActionChains(self.browser)
        if held:
            chain.key_down(held)
        chain.send_keys(*keys)
        if held:
            chain.key_up(held)
        chain.perform()
        return self

    def find(self, css: str) -> WebElement:
        """Return the first element."""
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        """Return all elements."""
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def tiles(self) -> list[str]:
        """Return what a screen reader says of each tile, in their order."""
        tiles = "[...document.querySelectorAll('.tile:not([hidden])')]"
        script = f"return {tiles}.sort((a, b) => a.dataset.position - b.dataset.position).map((one) => one.ariaLabel)"
        return list(self.browser.execute_script(script))

    def tile(self, position: int) -> WebElement:
        """Return one tile."""
        return self.find(f"#tile-{position}")

    def cursor(self) -> int:
        """Return the position under the cursor, as assistive technology is told."""
        return int(self.find("#grid").get_attribute("aria-activedescendant").removeprefix("tile-"))

    def said(self, text: str) -> None:
        """Wait until the page says a text to a screen reader."""
        self.wait(lambda: text in self.find("#said").get_attribute("textContent"))

    def errors(self) -> list[str]:
        """Return what went wrong in the console."""
        return [line["message"] for line in self.browser.get_log("browser") if line["level"] == "SEVERE"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    """Return a headless Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(flag)
    if os.getuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"))) as browser:
        yield browser


@pytest.fixture
def window(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """Return a fresh window of ordinary size; what it stored is gone afterwards."""
    first = chromium.current_window_handle
    chromium.switch_to.new_window("tab")
    chromium.set_window_size(1280, 900)
    chromium.get_log("browser")
    yield chromium
    for handle in chromium.window_handles:
        if handle != first:
            chromium.switch_to.window(handle)
            chromium.close()
    chromium.switch_to.window(first)


@pytest.fixture
def review(raw: Path) -> Iterator[Review]:
    """Serve the folder; three pizzas are suspicious, the last most of all."""
    doubts = [Suspicion(raw / "pizza" / f"pizza0{n}.jpg", n / 10, "looks like quiche", f"{n}0%") for n in (3, 7, 5)]
    with Review(raw, suspicions=[*doubts, Suspicion(raw / "apple" / "apple02.jpg", 0.2, "blurred")]) as served:
        yield served


def test_deciding_by_keyboard(review: Review, raw: Path, window: webdriver.Chrome) -> None:
    """The most suspicious come first; each key writes its line at once and goes on; undo and redo are lines too."""
    page = Page(window, review.url)

    assert page.tiles()[:4] == ["pizza, looks like quiche, undecided"] * 3 + ["apple, blurred, undecided"]
    page.keys("d").keys("k").keys("3").keys("1")
    page.wait(lambda: len(lines_of(raw / "pizza")) == 3 and len(lines_of(raw / "apple")) == 1)

    assert [(line["file"], line["verdict"], line["label"]) for line in lines_of(raw / "pizza")] == [
        ("pizza07.jpg", "drop", ""),
        ("pizza05.jpg", "keep", ""),
        ("pizza03.jpg", "relabel", "quiche"),
    ]
    assert lines_of(raw / "apple")[0]["verdict"] == "keep", "its own class is what it is"
    assert page.cursor() == 4
    assert page.tiles()[:3] == [
        "pizza, looks like quiche, dropped",
        "pizza, looks like quiche, kept",
        "pizza, looks like quiche, relabelled as quiche",
    ]
    assert "4 of 24 decided" in page.find("#tally").text
    assert page.find("#progress").get_attribute("aria-valuenow") == "4"
    page.said("4 of 24 decided")

    page.keys("z").said("Undone: 1 picture")
    page.keys("z").said("Undone: 1 picture")
    page.wait(lambda: page.tiles()[2] == "pizza, looks like quiche, undecided")
    assert {file: one.verdict for file, one in read_verdicts(raw / "pizza").items()} == {
        "pizza07.jpg": "drop",
        "pizza05.jpg": "keep",
    }
    assert read_verdicts(raw / "apple") == {}
    page.keys("Z").said("Done again: 1 picture")
    assert read_verdicts(raw / "pizza")["pizza03.jpg"].label == "quiche"
    line = lines_of(raw / "pizza")[-1]
    assert {"file", "verdict", "label", "time", "window"} == line.keys()
    assert len(list(raw.glob("*/*.jpg"))) == 24
    assert page.errors() == []


class Finger:
    """One finger on a page."""

    def __init__(self, page: Page) -> None:
        self.browser = page.browser

    def swipe(self, element: WebElement, across: int, down: int = 0) -> None:
        """Put the finger on the middle of an element, drag it, and lift it."""
        self._press(element, [(across // 2, down // 2), (across, down)], 0.02)

    def tap(self, element: WebElement) -> None:
        """Touch an element for a moment."""
        self._press(element, [], 0.02)

    def hold(self, element: WebElement) -> None:
        """Press an element for long."""
        self._press(element, [], 0.7)

    def _press(self, element: WebElement, way: list[tuple[int, int]], seconds: float) -> None:
        finger = ActionBuilder(self.browser, mouse=PointerInput(POINTER_TOUCH, "finger"), duration=40)
        act = finger.pointer_action
        act.move_to(element)
        act.pointer_down()
        for x, y in way:
            act.move_to(element, x, y)
        act.pause(seconds)
        act.pointer_up()
        finger.perform()


def test_deciding_by_finger(review: Review, raw: Path, window: webdriver.Chrome) -> None:
    """Swipes keep and drop, on the grid and on the large picture; taps move and look; a long press selects."""
    page = Page(window, review.url)
    finger = Finger(page)
    finger.swipe(page.tile(0), -80)
    page.wait(lambda: len(lines_of(raw / "pizza")) == 1)
    finger.swipe(page.tile(2), 80)
    page.wait(lambda: len(lines_of(raw / "pizza")) == 2)
    finger.swipe(page.tile(4), 20)  # not far enough
    finger.swipe(page.tile(4), 30, -60)  # that is scrolling
    assert [(line["file"], line["verdict"]) for line in lines_of(raw / "pizza")] == [
        ("pizza07.jpg", "drop"), ("pizza03.jpg", "keep"),
    ]  # fmt: skip

    finger.tap(page.tile(6))
    assert page.cursor() == 6
    assert not page.find("#viewer").is_displayed()
    finger.tap(page.tile(6))
    page.wait(page.find("#viewer").is_displayed)
    label = page.tiles()[6].split(",")[0]
    finger.swipe(page.find("#viewer .stage"), -200)
    page.wait(lambda: any(line["verdict"] == "drop" for line in lines_of(raw / label)[-1:]))
    assert page.cursor() == 7
    page.keys(Keys.ESCAPE).wait(lambda: not page.find("#viewer").is_displayed())

    finger.hold(page.tile(8))
    finger.tap(page.tile(9))
    assert page.find("#chosen").text == "2 selected"
    finger.swipe(page.tile(9), 80)
    page.wait(lambda: "5 of 24" in page.find("#tally").text)
    assert page.errors() == []


def test_several_at_once(review: Review, raw: Path, window: webdriver.Chrome) -> None:
    """Shift with arrows or a click and control-click select; a key decides on all of them, one undo takes it back."""
    page = Page(window, review.url)
    page.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, held=Keys.SHIFT)

    assert page.find("#chosen").text == "3 selected"
    page.keys("d")
    page.wait(lambda: len(lines_of(raw / "pizza")) == 3)
    assert page.cursor() == 3

    ActionChains(window).click(page.tile(4)).key_down(Keys.SHIFT).click(page.tile(7)).key_up(Keys.SHIFT).perform()
    assert len(page.all(".tile.chosen")) == 4
    ActionChains(window).key_down(Keys.CONTROL).click(page.tile(5)).key_up(Keys.CONTROL).perform()
    assert [page.tile(n).get_attribute("aria-selected") for n in (4, 5, 6, 7)] == ["true", "false", "true", "true"]
    page.keys("k")
    page.wait(lambda: "6 of 24" in page.find("#tally").text)
    page.keys("z").said("Undone: 3 pictures")
    page.keys("z").said("Undone: 3 pictures")
    assert {file: one for name in HUES for file, one in read_verdicts(raw / name).items()} == {}

    page.keys("a", held=Keys.CONTROL).keys("k").said("24 of 24 decided")
    page.wait(lambda: sum(len(read_verdicts(raw / name)) for name in HUES) == 24)


def test_the_rest_of_the_screen(review: Review, raw: Path, window: webdriver.Chrome) -> None:
    """Drop the wrong ones, then one key keeps what is left on the screen."""
    page = Page(window, review.url)
    page.keys("d").keys("K")
    page.wait(lambda: sum(len(read_verdicts(raw / name)) for name in HUES) > 10)

    verdicts = [one.verdict for name in HUES for one in read_verdicts(raw / name).values()]
    assert verdicts.count("drop") == 1
    assert len(verdicts) - 1 == verdicts.count("keep")


def test_filters(review: Review, window: webdriver.Chrome) -> None:
    """Class, reason, engine and verdict narrow the list, which stays still while one decides; a reload keeps them."""
    page = Page(window, review.url)
    Select(page.find("[data-key=reason]")).select_by_value("looks like quiche")
    assert len(page.tiles()) == 3
    Select(page.find("[data-key=reason]")).select_by_value("")
    Select(page.find("[data-key=label]")).select_by_value("apple")
    Select(page.find("[data-key=engine]")).select_by_value("bing")
    assert len(page.tiles()) == 4
    page.find("[data-state=undecided]").click()
    page.keys(Keys.ESCAPE).keys("d").keys("k").said("2 of 24 decided")

    assert len(page.tiles()) == 4, "what was decided stays in its place"
    page.keys(".")
    assert len(page.tiles()) == 2
    assert page.find("[data-state=drop] small").text == "1"

    window.refresh()
    page.wait(lambda: window.execute_script("return document.body?.dataset.ready") == "yes")
    assert len(page.tiles()) == 2
    page.find("[data-state=drop]").click()
    assert page.tiles() == ["apple, blurred, dropped"]
    page.find("[data-state=all]").click()
    page.keys(Keys.ESCAPE, "z").said("Undone")
    assert "1 of 24" in page.find("#tally").text, "a reloaded window can still undo"


def test_two_windows(review: Review, raw: Path, window: webdriver.Chrome) -> None:
    """Each window sees what the other decides, and undo takes back nothing that the other said since."""
    one = Page(window, review.url)
    one.keys("d").keys("d")
    window.switch_to.new_window("window")
    other = Page(window, review.url)
    other.wait(lambda: "2 of 24" in other.find("#tally").text)
    other.keys("k").said("2 of 24 decided")
    other.keys("k").keys(Keys.END).keys("d").said("4 of 24")

    window.switch_to.window(one.window)
    one.wait(lambda: "4 of 24" in one.find("#tally").text)
    assert one.tiles()[0] == "pizza, looks like quiche, kept"
    one.keys("z").keys("z").said("stay")
    assert read_verdicts(raw / "pizza")["pizza07.jpg"].verdict == "keep"

    # Another program may write, too.
    Journal(raw / "quiche").append([Verdict("quiche00.jpg", "drop")])
    one.wait(lambda: "quiche, nothing suspicious, dropped" in one.tiles())
    assert len({line["window"] for line in lines_of(raw / "pizza")}) == 2


def test_a_server_that_went_away(raw: Path, window: webdriver.Chrome) -> None:
    """What is decided while nobody listens is said not to be saved, and saved when the server is there again."""
    with Review(raw) as review:
        page, port = Page(window, review.url), review.port
        page.keys("d")
        page.wait(lambda: "apple00.jpg" in read_verdicts(raw / "apple"))
    page.keys("d", "k")
    page.wait(lambda: "Not saved yet" in page.find("#trouble").text)
    assert list(read_verdicts(raw / "apple")) == ["apple00.jpg"]
    draw(raw / "apple" / "a_new_one.jpg", HUES["apple"], 77)
    with Review(raw, port=port):
        page.wait(lambda: "apple02.jpg" in read_verdicts(raw / "apple"))
        page.wait(lambda: window.execute_script("return document.body?.dataset.ready") == "yes")
        page.wait(lambda: "3 of 25" in page.find("#tally").text)
    verdicts = {file: one.verdict for file, one in read_verdicts(raw / "apple").items()}
    assert verdicts == {"apple00.jpg": "drop", "apple01.jpg": "drop", "apple02.jpg": "keep"}


def test_a_full_disk(review: Review, raw: Path, window: webdriver.Chrome) -> None:
    """A decision that could not be saved is taken back on the page, with the reason, and leaves no half line."""
    page = Page(window, review.url)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))  # no file may grow beyond 20 bytes
    try:
        page.keys("d")
        page.wait(lambda: "Not saved. Expected" in page.find("#trouble").text)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert (raw / "pizza" / REVIEW).read_bytes() == b""
    page.wait(lambda: "undecided" in page.tiles()[0])
    assert "0 of 24" in page.find("#tally").text


def test_relabelling_and_looking_closely(review: Review, raw: Path, window: webdriver.Chrome) -> None:
    """A class is found by typing, a new one can be typed, and all keys work on the large picture."""
    page = Page(window, review.url)
    page.keys("r").wait(page.find("#palette").is_displayed)
    page.keys("qui", Keys.ENTER)
    page.wait(lambda: not page.find("#palette").is_displayed())
    page.keys(" ").wait(page.find("#viewer").is_displayed)
    page.wait(lambda: window.execute_script("return document.querySelector('#viewer img').naturalWidth"))
    page.keys("r").wait(page.find("#palette").is_displayed)
    page.keys("cheese cake", Keys.ENTER)
    page.wait(lambda: not page.find("#palette").is_displayed())
    page.keys("d").keys(" ")
    page.wait(lambda: not page.find("#viewer").is_displayed())
    page.wait(lambda: len(lines_of(raw / "pizza")) == 3)

    assert [line["label"] for line in lines_of(raw / "pizza")] == ["quiche", "cheese cake", ""]
    assert page.errors() == []


def test_a_long_list_stays_light(tmp_path: Path, window: webdriver.Chrome) -> None:
    """Of 20,000 pictures only those near the screen exist, and the far end is a key away."""
    source = draw(tmp_path / "one.jpg", (200, 90, 40), 1)
    for name in ("pizza", "quiche"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        for n in range(10_000):
            os.link(source, tmp_path / "raw" / name / f"{n:05}.jpg")
    with Review(tmp_path / "raw") as review:
        page = Page(window, review.url)
        assert "0 of 20,000" in page.find("#tally").text
        page.keys(Keys.END)
        page.wait(lambda: page.cursor() == 19_999)
        page.wait(lambda: window.execute_script("return document.querySelector('#tile-19999 img').naturalWidth"))
        assert len(page.all(".tile")) < 200
        page.keys("d")
        page.wait(lambda: "09999.jpg" in read_verdicts(tmp_path / "raw" / "quiche"))


def test_narrow_dark_and_offline(review: Review, window: webdriver.Chrome) -> None:
    """The page fits a phone, follows the dark theme, shows where the focus is, and asks nobody else for anything."""
    page = Page(window, review.url)
    sources = window.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert sources
    assert [one for one in sources if not one.startswith((review.url, "data:"))] == []

    try:
        size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
        window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        theme = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        window.execute_cdp_cmd("Emulation.setEmulatedMedia", theme)
        page.wait(lambda: window.execute_script("return innerWidth") == 360)
        page.wait(
            lambda: window.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 17)"
        )
        assert window.execute_script("return document.documentElement.scrollWidth") <= 360
        for button in page.all("footer button"):
            assert 0 <= button.rect["x"] <= 360 - button.rect["width"]
        page.keys(Keys.TAB)
        focus = "const one = document.activeElement; return [one.tagName, getComputedStyle(one).outlineStyle]"
        assert window.execute_script(focus) == ["BUTTON", "solid"]
    finally:
        window.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_fast_hand(review: Review, raw: Path, window: webdriver.Chrome) -> None:
    """Keys that come faster than the server answers all arrive, in their order."""
    page = Page(window, review.url)
    pressed = "".join(random.Random(5).choices("kd", k=24))
    page.keys(*pressed)
    page.wait(lambda: sum(len(lines_of(raw / name)) for name in HUES) == 24)

    lines = sorted((line for name in HUES for line in lines_of(raw / name)), key=lambda line: line["time"])
    assert pressed.count("d") == sum(line["verdict"] == "drop" for line in lines)
    assert "24 of 24" in page.find("#tally").text
