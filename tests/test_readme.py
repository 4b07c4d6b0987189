"""The README's commands, executed one after the other in one folder, as a reader would."""

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

import tray
from scraper.simulator import Site
from scraper.simulator.pictures import draw
from tests.conftest import ROOT
from tests.test_tray import TRAY

BLOCK: Final = re.compile(r"^```(sh|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ON_SITE: Final = frozenset({"scrape", "run", "doctor"})
"""Commands that ask a search engine: here they ask the built-in one, and at its pace."""
SERVERS: Final = {"serve": ("--port", "0"), "review": ("--port", "0", "--no-open")}
"""Commands that run until they are stopped, with what keeps them off fixed ports and the reader's screen."""
PLAIN: Final = frozenset({"build", "report", "explain", "train", "evaluate", "predict", "import", "export"})
"""Commands that are executed as they stand."""
ELSEWHERE: Final = frozenset({"demo"})
"""Commands that `make` calls in the README; they have a test of their own."""
SMALL: Final = """
[scrape]
engines = ["bing"]
limit = 20
[build]
split = { val = 0.2, test = 0.2 }
[train]
image_size = 32
epochs = 2
batch_size = 16
"""
"""What makes the README's tray small enough for a test."""
ANOTHER_ITEM: Final = """
[items.burger]
terms = ["hamburger"]
"""


# ---------------------------------------------------------------- what the README takes for granted


def photo(path: Path, *, kind: str = "pizza", seed: int = 0) -> None:
    """Draw one photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(kind, 3_000_000_000 + seed, (160, 120)).save(path, quality=90)


def photos(folder: Path, *, count: int = 12, seed: int = 0) -> None:
    """Draw some photos, and two class folders of which one holds a copy of a photo of the other."""
    for number in range(2):
        photo(folder / f"{number}.jpg", kind="burger", seed=seed + number)
    for name, kind in (("a", "apple"), ("b", "fries")):
        for number in range(1, count + 1):
            photo(folder / name / f"{number}.jpg", kind=kind, seed=seed + number)
    draw("apple", 3_000_000_001 + seed, (160, 120)).save(folder / "b" / "2.jpg", quality=60)


def labels_csv(table: Path) -> None:
    """Write a table of products and displays, with the pictures that it names."""
    rows = ["file,category,type"]
    for number, (category, kind) in enumerate([("cup", "product"), ("soup", "product"), ("soup", "display")]):
        photo(table.parent / "pictures" / f"{number}.jpg", kind=category, seed=number)
        rows.append(f"pictures/{number}.jpg,{category},{kind}")
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")


def voc_shelf(folder: Path) -> None:
    """Lay out one photo of two products as PASCAL VOC does."""
    photo(folder / "JPEGImages" / "shelf.jpg", kind="cup")
    boxes = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{left}</xmin><ymin>10</ymin><xmax>{left + 69}</xmax>"
        "<ymax>110</ymax></bndbox></object>"
        for name, left in (("cola", 5), ("water", 85))
    )
    (folder / "Annotations").mkdir()
    (folder / "Annotations" / "shelf.xml").write_text(
        f"<annotation><filename>shelf.jpg</filename>{boxes}</annotation>", encoding="utf-8"
    )


STAND_INS: Final[dict[str, Callable[[Path], None]]] = {
    "photo.jpg": photo,
    "canteen.jpg": photo,
    "photos": photos,
    "other_photos": lambda folder: photos(folder, count=6, seed=500),
    "labels.csv": labels_csv,
    "shelf": voc_shelf,
}
"""The reader's own files, by the names that the README gives them."""


# ---------------------------------------------------------------- reading the README, and doing what it says


def steps() -> list[tuple[str, str]]:
    """Return ("toml", text) and ("sh", a line that calls tray), in the order of the README."""
    found = []
    for language, text in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        if language == "toml":
            found.append((language, text))
        else:
            lines = text.replace("\\\n", " ").splitlines()
            found += [("sh", line.strip()) for line in lines if line.strip().startswith("tray ")]
    return found


COMMANDS: Final = [text for language, text in steps() if language == "sh"]


class Reader:
    """Somebody who types the README's commands into one folder; each once, and none before those above it."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder = folder
        self.site = site
        self.said: list[str | Exception] = []
        self._steps = self._walk()

    def after(self, index: int) -> str:
        """Return what the command of that index printed on stdout; raises what went wrong with it."""
        while len(self.said) <= index:
            self.said.append(next(self._steps))
        said = self.said[index]
        if isinstance(said, Exception):
            raise said
        return said

    def _walk(self) -> Iterator[str | Exception]:
        for language, text in steps():
            if language == "toml":
                tomllib.loads(text)
                (self.folder / "tray.toml").write_text(text + SMALL, encoding="utf-8")
                continue
            try:
                yield self._do(text)
            except (AssertionError, OSError) as error:
                yield error

    def _do(self, line: str) -> str:
        _, name, *arguments = shlex.split(line, comments=True)
        known = ON_SITE | SERVERS.keys() | PLAIN
        assert name in known, f"The README has a new command: {line!r}. Say in this file how a test executes it."
        for argument in arguments:
            path = self.folder / argument
            if argument.rstrip("/") in STAND_INS and not path.exists():
                STAND_INS[argument.rstrip("/")](path)
        if name == "run":
            self._add_an_item()
        if name in SERVERS:
            return self._visit(name, *arguments, *SERVERS[name])
        if name in ON_SITE:
            arguments += ["--site", self.site.url, "--pace", "0.02"]
        result = CliRunner().invoke(tray.main, [name, *arguments])
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        return result.stdout

    def _add_an_item(self) -> None:
        """Do what the README asks for in words: add items to tray.toml."""
        config = self.folder / "tray.toml"
        if ANOTHER_ITEM not in config.read_text(encoding="utf-8"):
            config.write_text(config.read_text(encoding="utf-8") + ANOTHER_ITEM, encoding="utf-8")

    def _visit(self, *arguments: str) -> str:
        """Start a server, fetch its page once, and stop it; return the page."""
        with subprocess.Popen([TRAY, *arguments], cwd=self.folder, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            try:
                url = process.stdout.readline().strip()
                assert url.startswith("http://127.0.0.1:"), f"tray {' '.join(arguments)}: no address, but {url!r}"
                with urlopen(url, timeout=30) as page:
                    return page.read().decode()
            finally:
                process.terminate()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Return a reader in an empty folder, with the built-in site for the web."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch, Site(results=8) as site:
        patch.chdir(folder)
        yield Reader(folder, site)


@pytest.mark.parametrize(
    ("index", "line"), list(enumerate(COMMANDS)), ids=[line.split("#")[0].strip() for line in COMMANDS]
)
def test_the_readmes_commands_do_what_they_say(reader: Reader, index: int, line: str) -> None:
    """Each command of the README, in its order, succeeds and has something to say; with --json, that is JSON."""
    said = reader.after(index)

    assert said.strip()
    if "--json" in line:
        json.loads(said)


def test_no_command_is_left_out() -> None:
    """Every command of the program stands in a block that is executed, or is called by make."""
    assert {line.split()[1] for line in COMMANDS} | ELSEWHERE == set(tray.main.commands)


def test_everything_lies_where_the_readme_says(reader: Reader) -> None:
    """After all commands the folder holds what the README's map shows, for the item that it trains."""
    reader.after(len(COMMANDS) - 1)
    patterns = [
        "data/raw/pizza/manifest.jsonl",
        "data/raw/pizza/*.jpg",
        "data/pool/*.jpg",
        *(
            f"data/built/pizza/{part}/{label}/*.jpg"
            for part in ("train", "val", "test")
            for label in ("pizza", "not_pizza")
        ),
        *(f"data/built/pizza/{name}" for name in ("metadata.jsonl", "rejected.jsonl", "dataset.json")),
        *(
            f"runs/pizza/*/{name}"
            for name in ("model.keras", "run.json", "history.csv", "metrics.json", "predictions.csv", "report.html")
        ),
    ]

    assert [pattern for pattern in patterns if not any(reader.folder.glob(pattern))] == []
