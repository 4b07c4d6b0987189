"""The command line, run as a user runs it."""

import json
import logging
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import tray
from dataset.errors import TrayError
from dataset.folder import ClassFolder, Record
from dataset.progress import Progress
from tests.conftest import ROOT

TRAY = Path(sys.executable).with_name("tray")


def run(*arguments: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(tray.main, arguments)


def class_folder(folder: Path, count: int, *, seed: int = 0) -> Path:
    """Fill a folder with distinct small pictures."""
    folder.mkdir(parents=True)
    for index in range(count):
        noise = Image.effect_noise((96, 96), 80 + index).convert("RGB")
        noise.paste((seed % 256, index * 37 % 256, index * 91 % 256), (8 * (index % 8), 8, 60, 60))
        noise.save(folder / f"{index}.jpg")
    return folder


def test_help_answers_at_once() -> None:
    """`tray --help` takes under 0.4 s of the processor: nothing heavy is imported for it."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([TRAY, "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert min(seconds) < 0.4


def test_every_flag_says_what_it_is() -> None:
    """No command has a flag without a word of help."""
    flags = [(name, one) for name, command in tray.main.commands.items() for one in command.params]

    assert [(name, one.name) for name, one in flags if isinstance(one, click.Option) and not one.help] == []


def test_a_format_that_no_dataset_has_is_answered_with_those_it_has(tmp_path: Path) -> None:
    """A dataset is not taken for a run because its format was misspelt, or is a model's."""
    (tmp_path / "dataset.json").write_text('{"made_by": "tray build"}')
    for kind in ("webdatset", "onnx"):
        told = run("export", str(tmp_path), "--format", kind)

        assert told.exit_code == 2
        assert f"Expected a format (zip, tfrecord, webdataset, huggingface). Received: '{kind}'." in told.stderr


def test_what_the_system_refuses_is_one_sentence(tmp_path: Path) -> None:
    """A folder that can't be looked into is named, with what the system said; the traceback is for -v."""
    told = run("build", "--from", "x" * 5000, "--out", str(tmp_path / "out"))

    assert told.exit_code == 1
    assert told.stderr.startswith("tray: Expected to read or write xxx")
    assert "Received: File name too long. " in told.stderr
    assert told.stderr.count("\n") == 1


def test_a_full_disk_under_the_answer_is_one_sentence(tmp_path: Path) -> None:
    """What is said on stdout may go to a disk too."""
    page = tmp_path / "page.html"
    page.write_text("<p>nothing", encoding="utf-8")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        told = subprocess.run(
            [TRAY, "doctor", "--page", page], check=False, stdout=full, stderr=subprocess.PIPE, text=True
        )

    assert told.returncode != 0
    assert "Received: No space left on device." in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("name", sorted(tray.main.commands))
def test_every_command_explains_itself(name: str) -> None:
    """Each command has a help text, -v and -q."""
    result = run(name, "--help")

    assert result.exit_code == 0
    assert "--verbose" in result.output
    assert "--quiet" in result.output
    assert tray.main.commands[name].help


@pytest.mark.parametrize("name", sorted(tray.main.commands))
def test_every_command_is_in_the_readme(name: str) -> None:
    """The README shows each command."""
    assert f"tray {name}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_light_rooms_load_no_tensorflow() -> None:
    """Importing the scraper and the dataset leaves TensorFlow alone, and `dataset` is ours."""
    code = (
        "import sys, scraper.scrape, dataset.build, dataset;"
        "print(dataset.__file__); sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd="/")

    assert result.returncode == 0
    assert Path(result.stdout.strip()).parent == ROOT / "dataset"


@pytest.mark.parametrize(("name", "then"), [("build", "goes on from here"), ("predict", "begins anew")])
def test_who_interrupts_is_told_what_the_same_command_does(name: str, then: str) -> None:
    """It goes on where that was kept, and says so only there."""

    def stopped() -> None:
        raise KeyboardInterrupt

    result = CliRunner().invoke(tray.Command(name, callback=stopped))

    assert result.exit_code == 130
    assert then in result.stderr


def test_the_doctor_lets_no_library_talk() -> None:
    """What TensorFlow has to say of GPUs that are not there reaches nobody who asks what is missing."""
    code = "import tray; print(*(finding.what for finding in tray.examine_keras()))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    )

    assert (result.stdout, result.stderr) == ("keras\n", "")


def test_a_bar_ends_before_its_stage_s_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The line of a bar is ended when its stage fails: what is said next has a line to itself."""

    def steps() -> Iterator[Progress]:
        yield Progress("hash pictures", 1, 3)
        raise TrayError("no more")

    with pytest.raises(TrayError):
        tray.follow(tray.Voice(verbose=False, quiet=False), steps())
    said = capsys.readouterr().err

    assert "hash pictures" in said
    assert said.endswith("\n")


def test_an_unknown_item_is_named(in_folder: Path) -> None:
    """An item that tray.toml does not have is answered with the ones it has."""
    (in_folder / "tray.toml").write_text('[items.pizza]\nterms = ["pizza"]\n')

    for command in ("scrape", "build", "train"):
        result = run(command, "piza")

        assert result.exit_code == 2
        assert "Did you mean 'pizza'?" in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_typo_in_the_configuration_is_named(in_folder: Path) -> None:
    """A misspelt key names the file, the key, and what it should have been."""
    (in_folder / "tray.toml").write_text('[items.pizza]\nterms = ["pizza"]\n[scrape]\nlimt = 3\n')
    result = run("scrape")

    assert result.exit_code == 2
    assert "tray.toml" in result.stderr
    assert "scrape.limt" in result.stderr
    assert "Did you mean 'limit'?" in result.stderr


def test_a_missing_configuration_is_one_sentence(in_folder: Path) -> None:
    """Without tray.toml the user is told to write one."""
    result = run("build")

    assert result.exit_code == 2
    assert "tray.toml" in result.stderr


def test_a_flag_of_the_wrong_kind_is_named(in_folder: Path) -> None:
    """A flag that the section does not take is answered like a key that it does not take."""
    result = run("scrape", "pizza", "--into", "pizza", "--engines", "altavista")

    assert result.exit_code == 2
    assert "altavista" in result.stderr


def test_no_browser_is_one_sentence(in_folder: Path) -> None:
    """A browser that is not there ends with exit code 3 and what was tried."""
    result = run(
        "scrape",
        "pizza",
        "--into",
        "pizza",
        "--browser",
        "/no/such/chromium",
        "--site",
        "http://127.0.0.1:9",
        "--limit",
        "1",
    )

    assert result.exit_code == 3
    assert "/no/such/chromium" in result.stderr


def test_where_every_engine_fails_the_command_fails_with_its_summary(in_folder: Path) -> None:
    """Also where an earlier run brought pictures: whoever waits for more must not take it for done."""
    with ClassFolder(in_folder / "pizza") as folder:
        folder.keep(Record("https://example.org/1.jpg", sha256="0" * 64, file=".jpg"), b"a picture")
    arguments = ("--into", "pizza", "--browser", "/no/such/chromium", "--site", "http://127.0.0.1:9", "--json")
    result = run("scrape", "pizza", *arguments)

    assert result.exit_code == 3
    assert json.loads(result.stdout)["classes"]["pizza"]["distinct"] == 1
    assert result.stderr.splitlines()[-1].startswith("tray: Expected a Chromium")
    assert "%" not in result.stderr

    result = run("scrape", "pizza", "--limit", "1", *arguments)

    assert result.exit_code == 0


def test_a_run_goes_on_with_the_pictures_that_are_there(in_folder: Path) -> None:
    """Where no engine can be asked, what is there may be enough for the rest; without any the run ends."""
    (in_folder / "tray.toml").write_text('[items.pizza]\nterms = ["pizza"]\n')
    arguments = ("run", "--browser", "/no/such/chromium", "--site", "http://127.0.0.1:9")

    assert run(*arguments).exit_code == 3

    class_folder(in_folder / "made", 1)
    with ClassFolder(in_folder / "data" / "raw" / "pizza") as folder:
        record = Record("https://example.org/1.jpg", sha256="0" * 64, file=".jpg")
        folder.keep(record, (in_folder / "made" / "0.jpg").read_bytes())
    result = run(*arguments)

    assert result.exit_code == 6
    assert "failed: Expected a Chromium" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((" ",), "Expected a term"),
        (("pizza", "--into", ""), "Expected a folder. Received: nothing"),
        (("pizza", "--forget", ""), "Expected an address"),
        (("pizza", "--engines", ""), "'engines'"),
        (("pizza", "--site", "127.0.0.1:8600"), "--site. Received: '127.0.0.1:8600'"),
        (("pizza", "--site", "http://[::1"), "--site"),
        (("pizza", "--config", "tary.toml"), "tary.toml, and there is no such file"),
    ],
)
def test_what_a_scrape_can_not_mean_is_told_before_a_browser_starts(
    in_folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    """A blank term, no folder or engine, an address that is none, a file that is not there; nothing is written."""
    result = run("scrape", "--into", "pizza", *arguments)

    assert result.exit_code == 2
    assert words in result.stderr
    assert not list(in_folder.iterdir())


@pytest.mark.parametrize("command", [["build", "--out", "out", "--from"], ["train", "--data"]])
def test_a_folder_without_class_folders_is_one_sentence(in_folder: Path, command: list[str]) -> None:
    """Pictures without class folders, and a folder that is not there, are told apart from class folders."""
    class_folder(in_folder / "flat", 3)

    for folder, words in (("flat", "pictures but no subfolders"), ("nowhere", "is not a folder")):
        result = run(*command, folder)

        assert result.exit_code == 1
        assert words in result.stderr
        assert "class folders" in result.stderr


@pytest.mark.parametrize("command", [["build", "--out", "out", "--from"], ["train", "--data"]])
def test_a_class_with_one_picture_is_one_sentence(in_folder: Path, command: list[str]) -> None:
    """A class with a single picture can't be split: exit code 6, and the class is named."""
    class_folder(in_folder / "data" / "many", 12)
    class_folder(in_folder / "data" / "lonely", 1, seed=9)
    result = run(*command, "data")

    assert result.exit_code == 6
    assert "lonely" in result.stderr


def test_a_second_process_is_told_to_wait(in_folder: Path) -> None:
    """Two processes on one class folder: the second gets exit code 8 and one sentence."""
    from dataset.folder import ClassFolder

    with ClassFolder(in_folder / "pizza"):
        result = subprocess.run(
            [TRAY, "scrape", "pizza", "--into", "pizza", "--site", "http://127.0.0.1:9"],
            check=False, capture_output=True, text=True,
        )  # fmt: skip

    assert result.returncode == 8
    assert "another one holds its lock" in result.stderr
    assert result.stderr.count("tray: ") == 1
    assert "Traceback" not in result.stderr


def test_a_full_disk_is_one_sentence(in_folder: Path) -> None:
    """A disk without room ends a build with one sentence and leaves no dataset that looks finished."""
    class_folder(in_folder / "data" / "a", 12)
    class_folder(in_folder / "data" / "b", 12, seed=5)
    # A limit on the size of files fails writes as a full disk does, without filling one.
    code = (
        "import resource, signal, tray; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "tray.main(['build', '--from', 'data', '--out', 'out'])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert result.returncode == 1
    assert "Expected to write to" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (in_folder / "out" / "dataset.json").exists()


@pytest.mark.parametrize("command", ["scrape", "run"])
def test_an_item_with_a_new_name_is_told_before_all_is_fetched_anew(
    command: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever renames an item hears of the folder with its old name; once that is renamed too, nothing is said."""
    monkeypatch.setattr(tray, "scrape_into", Mock(side_effect=TrayError("Stopped.")))
    class_folder(in_folder / "data" / "raw" / "pizza", 2)
    (in_folder / "tray.toml").write_text('[items.pie]\nterms = ["pizza"]\n')
    told = run(command).stderr
    (in_folder / "data" / "raw" / "pizza").rename(in_folder / "data" / "raw" / "pie")

    assert re.search(r"No item of \S*tray.toml has the name of \S*data/raw/pizza. Where 'pie' is a new name", told)
    assert "No item" not in run(command).stderr


def test_a_read_only_folder_is_one_sentence(in_folder: Path) -> None:
    """A folder that can't be written, not even by root, ends with one sentence."""
    result = run("scrape", "pizza", "--into", "/proc/pizza", "--site", "http://127.0.0.1:9")

    assert result.exit_code == 1
    assert "Expected to write to /proc/pizza" in result.stderr


def test_a_build_prints_one_object(in_folder: Path) -> None:
    """`tray build --json` prints kept, dropped by reason, and splits; a second run changes nothing."""
    class_folder(in_folder / "data" / "a", 14)
    class_folder(in_folder / "data" / "b", 14, seed=5)
    (in_folder / "data" / "a" / "page.jpg").write_text("<html><body>not found</body></html>")
    first, second = (json.loads(run("build", "--from", "data", "--out", "out", "--json").stdout) for _ in range(2))

    assert first["kept"] == 28
    assert first["dropped"] == {"html": 1}
    assert sum(count for split in first["splits"]["out"].values() for count in split.values()) == 28
    assert (first.pop("unchanged"), second.pop("unchanged")) == (False, True)
    assert first == second


def test_what_was_not_built_or_can_not_be_chosen_among_is_told(in_folder: Path) -> None:
    """Training an item that is not built yet says what to do; one item is no choice, whatever an earlier build left."""
    Path("tray.toml").write_text('[items.pizza]\nterms = ["pizza"]\n')
    Path("data/built/multiclass/train/pizza").mkdir(parents=True)

    told = run("train")
    assert told.exit_code == 1
    assert "data/built/pizza. Received: no such folder. Build first: tray build" in told.stderr
    told = run("train", "--mode", "multiclass")
    assert told.exit_code == 2
    assert "Expected two items or more" in told.stderr


def test_training_on_a_folder_says_where_it_is_outdated(in_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A dataset that was built of any folder is as stale as a tray's where a person has decided since."""
    for seed, name in enumerate("ab"):
        class_folder(in_folder / "data" / name, 14, seed=5 * seed)
    run("build", "--from", "data", "--out", "out")
    (in_folder / "data" / "a" / "review.jsonl").write_text('{"file": "1.jpg", "verdict": "drop"}\n')
    caplog.clear()
    logging.getLogger("tray").propagate = True

    assert tray.datasets_in(Path("out"), None) == {"out": Path("out")}
    assert caplog.messages == ["out is outdated (new verdicts of the review): tray build makes it anew."]


def test_a_dry_run_names_each_file_that_would_go(in_folder: Path) -> None:
    """`tray build --dry-run` says file by file what would go and why, and what would be left before and after."""
    class_folder(in_folder / "data" / "a", 14)
    class_folder(in_folder / "data" / "b", 14, seed=5)
    (in_folder / "data" / "a" / "page.jpg").write_text("<html><body>not found</body></html>")
    shutil.copyfile(in_folder / "data" / "a" / "3.jpg", in_folder / "data" / "a" / "copy.jpg")
    (in_folder / "tray.toml").write_text("[build]\ncap = 10\n")
    lines = run("build", "--from", "data", "--out", "out", "--dry-run").stdout.splitlines()

    assert lines[:2] == ["a/copy.jpg  duplicate bytes  (see a/3.jpg)", "a/page.jpg  html"]
    assert "kept 20" in lines
    assert [line.split() for line in lines[-3:]] == [
        ["dataset", "class", "clean", "train", "val", "test"],
        ["out", "a", "14", "8", "1", "1"],
        ["out", "b", "14", "8", "1", "1"],
    ]
    assert not (in_folder / "out").exists()


def test_an_import_prints_what_came_and_what_did_not(in_folder: Path) -> None:
    """Classes in a table, and the first of the pictures that can't be read, a line each; JSON has them all."""
    class_folder(in_folder / "photos", 2)
    rows = [f"{n}.jpg;{'cat' if n else 'dog'}" for n in range(25)]
    (in_folder / "photos" / "table.csv").write_text("\n".join(["file;label", *rows]))
    lines = run("import", "csv", "photos", "--out", "raw").stdout.splitlines()

    assert lines[:3] == ["class  pictures", "cat           1", "dog           1"]
    assert "unread      23" in lines
    assert "splits      none 2" in lines
    assert lines[-21].endswith("table.csv#row=3  missing file: 2.jpg")
    assert lines[-1] == "  ... and 3 more; --json lists them all."
    assert len(json.loads(run("import", "csv", "photos", "--out", "raw", "--json").stdout)["unread"]) == 23


def test_a_run_of_all_stages_is_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """`tray run` prints the tables that its stages print alone, with one kind of number, and where to look."""
    scraped = {"engines": {}, "classes": {"pizza": {"distinct": 12_000, "path": "data/raw/pizza"}}}
    counts = {"splits": {"pizza": {"train": {"pizza": 9_000}}}, "available": {"pizza": {"pizza": 11_500}}}
    built = {"kept": 9_000, "dropped": {"conflict": 1_500}, "rejected": [{"source": "x"}] * 1_500, **counts}
    tray.print_all(scraped | {"built": built, "runs": {}, "reports": ["report.html"], "seconds": {"scrape": 1.0}})
    text = capsys.readouterr().out

    assert "pizza    12,000  data/raw/pizza" in text
    assert "kept 9,000\ndropped 1,500: conflict" in text
    assert "pizza    pizza  11,500  9,000" in text
    assert text.endswith("look at\n  report.html\n")
    assert "{" not in text


def test_a_dry_run_names_what_would_go_also_where_too_little_is_left(in_folder: Path) -> None:
    """Two classes of the same pictures leave nothing: the files and what they clash with come before the sentence."""
    shutil.copytree(class_folder(in_folder / "data" / "a", 14), in_folder / "data" / "b")
    class_folder(in_folder / "data" / "c", 14, seed=5)
    told = run("build", "--from", "data", "--out", "out", "--dry-run")

    assert told.exit_code == 6
    assert "a/3.jpg  conflict  (see b/3.jpg)" in told.stdout.splitlines()
    assert ["out", "b", "0", "0", "0", "0"] in [line.split() for line in told.stdout.splitlines()]
    assert "class 'a', one for each of train, val, test. Received: 0 pictures" in told.stderr
    assert not (in_folder / "out").exists()


def readme_commands() -> list[str]:
    """Return the lines of the README's shell blocks that call tray."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("tray ")]


@pytest.mark.parametrize("line", readme_commands())
def test_the_readme_shows_commands_that_exist(line: str) -> None:
    """Each command line of the README is one that the program takes."""
    _, name, *arguments = shlex.split(line, comments=True)
    command = tray.main.commands[name]

    assert command.make_context(name, arguments).params.keys() >= {"verbose"}


def test_a_wrong_scenario_is_told_its_near_names(tmp_path: Path) -> None:
    """One sentence names those that are like it, and nothing is written."""
    result = run("demo", "--scenario", "hosst", "--into", str(tmp_path / "demo"))

    assert result.exit_code == 2
    assert "Received: 'hosst'. Did you mean 'hosts'?" in result.stderr
    assert not (tmp_path / "demo").exists()
