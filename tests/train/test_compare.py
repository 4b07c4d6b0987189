"""Two runs on the same pictures."""

import json
import shutil
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import tray
from dataset.errors import TrayError
from tests.train.conftest import result
from train.compare import compare
from train.data import Photo
from train.evaluate import Judged
from train.runs import Run, open_run


def judged(called: list[int], truth: list[int], *, seen: int = 0) -> Judged:
    """Return a judgement that calls photos so, of which it had learned from some."""
    photos = tuple(Photo(Path(f"{n}.jpg"), label, "test", str(n)) for n, label in enumerate(truth))
    return Judged(("no", "yes"), photos, np.array(truth), np.eye(2)[called], "test", seen=seen)


def asked(answers: Iterable[dict[str, Judged]]) -> Callable[..., Any]:
    """Return what stands in for asking runs: each time it tells the next of some answers."""
    left = iter(answers)

    def ask(*_: Any) -> Generator[Any, None, Any]:
        yield from ()
        return next(left), {}

    return ask


def test_mcnemar_counts_what_one_run_alone_got_right(items_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six pictures to one is p = 2 * (1 + 7) / 2^7, whatever both got right or wrong."""
    truth = [1] * 12
    answers = {
        "first": judged([1] * 6 + [0] + [1] * 4 + [0], truth),
        "second": judged([0] * 6 + [1] + [1] * 4 + [0], truth),
    }
    monkeypatch.setattr("train.compare.ask", asked({"plum": one} for one in answers.values()))
    found = result(compare(items_run, items_run))

    assert (found.both_right, found.only_first_right, found.only_second_right, found.both_wrong) == (4, 6, 1, 1)
    assert found.p == pytest.approx(2 * (1 + 7) / 2**7)
    assert found.accuracy == (pytest.approx(10 / 12), pytest.approx(5 / 12))


def test_a_picture_counts_once_for_all_classifiers(items_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three wrong decisions about one picture are one mistake: McNemar's test wants its pictures independent.

    What one of the classifiers of either run had learned from flatters the comparison.
    """
    truth = [1] * 4
    answers = (
        {item: judged([1, 1, 1, 1], truth) for item in items_run.items},
        {
            "tomato": judged([0, 1, 1, 1], truth),
            "lettuce": judged([0, 0, 1, 1], truth, seen=3),
            "plum": judged([0, 1, 1, 1], truth),
        },
    )
    monkeypatch.setattr("train.compare.ask", asked(answers))
    found = result(compare(items_run, items_run))

    assert (found.n, found.both_right, found.only_first_right, found.classifiers) == (4, 2, 2, 3)
    assert found.p == pytest.approx(0.5)
    assert found.seen == 3


def test_a_run_is_as_good_as_itself(plain_run: Run) -> None:
    """No picture tells it from itself."""
    found = result(compare(plain_run, plain_run))

    assert (found.only_first_right, found.only_second_right, found.p) == (0, 0, 1.0)
    assert found.n == plain_run.metrics["n"]


def test_runs_of_other_data_or_other_classes_are_refused(plain_run: Run, items_run: Run, tmp_path: Path) -> None:
    """One sentence says why they can't be compared, and what to do."""
    other = tmp_path / "other"
    shutil.copytree(plain_run.path, other)
    record = json.loads((other / "run.json").read_text())
    record["items"][""]["fingerprint"] = "0" * 16
    (other / "run.json").write_text(json.dumps(record))

    with pytest.raises(TrayError, match=r"same dataset.*--data"):
        result(compare(plain_run, open_run(other)))
    with pytest.raises(TrayError, match="same classes"):
        result(compare(plain_run, items_run))


def test_one_question_at_a_time() -> None:
    """`tray evaluate` does one thing at a time, and says so instead of leaving a flag unheard."""
    result = CliRunner().invoke(tray.main, ["evaluate", "runs/x", "--compare", "runs/y", "--folds", "5"])

    assert result.exit_code == 2
    assert "one of --out, --compare and --folds" in result.stderr
