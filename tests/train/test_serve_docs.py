"""What docs/service.md tells programs is so: routes, fields, statuses, and every command in it."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import ROOT
from tests.train.conftest import COLOURS, draw
from train.runs import Run
from train.serve import Server

TEXT: Final = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
SCHEMA: Final = json.loads((ROOT / "train" / "serve" / "page" / "schema.json").read_bytes())
COMMANDS: Final = [
    line for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the reader's own photos."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate(("lunch.jpg", "supper.jpg")):
        draw(folder / name, COLOURS["tomato"], [number])
    return folder


@pytest.fixture(scope="module")
def server(items_run: Run, pictures: Path) -> Iterator[Server]:
    """Return a server that finds the photo behind every address."""
    with Server(items_run, fetch=lambda _url: (pictures / "lunch.jpg").read_bytes(), port=0) as served:
        yield served


def test_routes_and_statuses_are_those_of_the_schema() -> None:
    """Each route and each status stands in a table of its own, and no other."""
    routes = set(re.findall(r"^\| `(?:GET|POST) (/\w*)`", TEXT, re.MULTILINE))
    told = set(re.findall(r"^\| (\d{3}) \|", TEXT, re.MULTILINE))
    answers = {code for path in SCHEMA["paths"].values() for method in path.values() for code in method["responses"]}

    assert {"/{item}" if route in {"/ITEM", "/RUN"} else route for route in routes} == set(SCHEMA["paths"])
    assert told == answers - {"200"}


def test_the_readmes_requests_are_among_them() -> None:
    """What the README shows of the interface is executed here."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for line in readme.splitlines() if line.startswith("curl ")]

    assert lines
    assert set(lines) <= set(COMMANDS)


def test_the_answers_shown_have_the_schemas_fields() -> None:
    """Each answer that is shown is one of the schema's kinds, with no field too few or too many."""
    kinds = SCHEMA["components"]["schemas"]
    shown = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)]

    assert len(shown) == 6
    for answer, kind in zip(
        shown, ("Predictions", "Predictions", "ItemAnswer", "Where", "Model", "Health"), strict=True
    ):
        one, name = (answer["predictions"][0], "Prediction") if kind == "Predictions" else (answer, kind)
        assert set(kinds[name]["required"]) <= set(one) <= set(kinds[name]["properties"]), name


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_answered(server: Server, pictures: Path, line: str) -> None:
    """A reader who types it gets an answer about a picture."""
    line = line.replace("http://127.0.0.1:8000/", server.url).replace("/pizza", "/tomato")
    command = [*shlex.split(line), "--silent", "--show-error"]
    done = subprocess.run(command, cwd=pictures, capture_output=True, text=True, timeout=60, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)

    found = answer.get("predictions", [answer])
    assert len(found) == len(re.findall(r"@|https://example", line))
    assert all(0 <= one["probabilities"]["tomato"] <= 1 for one in found)
