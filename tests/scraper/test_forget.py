"""Forgetting what came from an address or a host."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from dataset.build import build_folder
from dataset.errors import ConfigError, FolderLocked, TrayError
from dataset.folder import ClassFolder, Record, count_distinct, records
from dataset.images import inspect
from dataset.tray import Build, ClassPlan
from scraper.forget import concerns, forget, listed, named
from scraper.scrape import scrape
from tests.scraper.conftest import QUICK, downloaded, engines, kept


def record(url: str, data: bytes, *, page: str = "", phash: str = "") -> Record:
    """Return the record of a picture that is to be kept."""
    digest = hashlib.sha256(data).hexdigest()
    return Record(url, page=page, title="a title", file=".jpg", sha256=digest, phash=phash or digest)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two class folders with pictures of three hosts."""
    for name in ("pizza", "salad"):
        with ClassFolder(tmp_path / name) as one:
            one.keep(record("https://a.example/1.jpg", b"1"), b"1")
            one.keep(record("https://img.a.example/2.jpg", b"2"), b"2")
            one.keep(record("https://b.example/3.jpg", b"3", page="https://a.example/page.html"), b"3")
            one.keep(record("https://nota.example/4.jpg", b"4"), b"4")
            one.reject(Record("https://a.example/5.jpg", error="404"))
    return tmp_path


def test_a_host_is_forgotten_everywhere(folder):
    """All pictures of a host, its subdomains and its pages go, in every class; nobody else's do."""
    gone = forget(folder, "A.example")

    assert (len(gone.files), gone.lines, len(gone.folders)) == (6, 8, 2)
    for name in ("pizza", "salad"):
        assert len(kept(folder / name)) == count_distinct(folder / name) == 1
        marked = [one for one in records(folder / name) if one.error == "forgotten"]
        assert len(marked) == 4
        assert not any(one.title or one.phash or one.file for one in marked)


def test_an_address_is_forgotten_in_one_class(folder):
    """One address takes one picture with it, only in the folder that was named."""
    gone = forget(folder / "pizza", "https://a.example/1.jpg")

    assert [path.parent.name for path in gone.files] == ["pizza"]
    assert not gone.files[0].exists()
    assert len(kept(folder / "pizza")) == 3
    assert len(kept(folder / "salad")) == 4
    assert listed(folder / "salad") == frozenset()


def test_the_same_bytes_do_not_come_back(folder):
    """A picture that was forgotten is rejected under another address too."""
    forget(folder, "https://a.example/1.jpg")
    with ClassFolder(folder / "pizza") as one:
        again = one.keep(record("https://c.example/1.jpg", b"1"), b"1")

    assert (again.kept, again.error) == (False, "forgotten")
    assert len(kept(folder / "pizza")) == 3


def test_a_copy_from_elsewhere_takes_the_place(tmp_path):
    """What looks like a forgotten picture and came from elsewhere stays, and counts from now on."""
    with ClassFolder(tmp_path / "pizza") as one:
        for number, host in enumerate("abc"):
            data = str(number).encode()
            one.keep(record(f"https://{host}.example/", data, phash="0" * 64), data)
    assert count_distinct(tmp_path / "pizza") == 1
    forget(tmp_path, "a.example")
    _, second, third = records(tmp_path / "pizza")

    assert count_distinct(tmp_path / "pizza") == 1
    assert (second.copy_of, third.copy_of) == ("", second.file)


def test_forgetting_twice_is_forgetting_once(folder):
    """The second time nothing is left to remove, and the list names the host once."""
    forget(folder, "a.example")
    before = (folder / "pizza" / "manifest.jsonl").read_bytes()
    again = forget(folder, "a.example")

    assert (again.files, again.lines) == ((), 0)
    assert (folder / "pizza" / "manifest.jsonl").read_bytes() == before
    assert (folder / "forgotten.txt").read_text() == "a.example\n"
    assert listed(folder / "a class to come") == {"a.example"}


@pytest.mark.parametrize("what", ["", "pizza", "/etc/passwd", "file:///etc/passwd", "javascript:alert(1)"])
def test_what_is_no_address_is_refused(folder, what):
    """Only addresses and hosts can be forgotten."""
    with pytest.raises(ConfigError, match="Expected an address"):
        forget(folder, what)
    assert len(kept(folder / "pizza")) == 4


def test_a_folder_without_manifest_is_named(tmp_path):
    """Where nothing was scraped nothing can be forgotten."""
    with pytest.raises(TrayError, match="class folder"):
        forget(tmp_path, "a.example")


def test_a_folder_at_work_is_left_alone(folder):
    """While a scrape holds a folder, nothing is removed from it."""
    with ClassFolder(folder / "pizza"), pytest.raises(FolderLocked):
        forget(folder / "pizza", "a.example")
    assert len(kept(folder / "pizza")) == 4


def test_names_of_an_address():
    """A host stands for its subdomains, with or without port, and not for what merely ends like it."""
    names = frozenset({"a.example", "127.0.0.1:81"})

    assert concerns(names, ["https://img.a.example:8000/x"])
    assert concerns(names, ["http://127.0.0.1:81/x"])
    assert not concerns(names, ["http://127.0.0.1:82/x", "https://nota.example/", "data:image/png;base64,a.example"])
    assert not concerns(names, ["http://[a.example/"])


def test_it_does_not_come_back_when_scraped_again(site, tmp_path):
    """After a host was forgotten, a new search of the same term brings none of its pictures, under no address."""
    plan = ClassPlan("pizza", ("pizza",), 500)
    using = engines(site, "bing")
    first = [one for one in scrape([plan], tmp_path, QUICK, engines=using, site=site.url) if isinstance(one, Record)]
    host = next(urlsplit(one.url).netloc for one in first if one.kept and one.kind == "full")
    gone = forget(tmp_path, host)
    (tmp_path / "pizza" / "progress.jsonl").unlink()
    (tmp_path / "salad").mkdir()
    before = len(site.log)
    plans = [plan, ClassPlan("copy", ("pizza",), 500)]
    again = [one for one in scrape(plans, tmp_path, QUICK, engines=using, site=site.url) if isinstance(one, Record)]

    assert gone.files
    assert len(again) > 0
    for one in again:
        assert host not in {urlsplit(address).netloc for address in (one.url, *one.tried, one.page)}
    assert not [line for line in site.log[before:] if line.host == host]
    assert not {path.name for path in gone.files} & kept(tmp_path / "pizza")
    assert not {path.name for path in gone.files} & kept(tmp_path / "copy")


def test_a_dry_run_forgets_nothing(folder):
    """What would go is told, and all of it stays: pictures, lines and lists."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    told = forget(folder, "a.example", dry_run=True)

    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert told == forget(folder, "a.example")


def test_copies_of_builds_go_too(folder, tmp_path_factory):
    """The pool loses what came from there alone, and keeps what another host gave as well."""
    pool = tmp_path_factory.mktemp("pool")
    names = {text: f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.jpg" for text in "1234"}
    for name in names.values():
        (pool / name).write_bytes(b"normalised")
    with ClassFolder(folder / "pizza") as one:
        one.keep(record("https://c.example/again.jpg", b"5"), b"5")
    gone = forget(folder, "https://a.example/1.jpg", pool=pool)
    one_class = forget(folder / "pizza", "https://img.a.example/2.jpg", pool=pool)

    assert [path.name for path in gone.normalised] == [names["1"]]
    assert [path.name for path in one_class.normalised] == [names["2"]]
    assert {path.name for path in pool.iterdir()} == {names["3"], names["4"]}


def test_where_redirects_led_counts(tmp_path):
    """A picture that a short address redirected to is its host's, too."""
    with ClassFolder(tmp_path / "pizza") as one:
        short = record("https://short.example/x", b"1")
        one.keep(replace(short, landed="https://cdn.a.example/1.jpg"), b"1")

    assert len(forget(tmp_path, "a.example").files) == 1


def test_a_redirect_to_a_forgotten_host_is_refused(httpserver, tmp_path):
    """However the way leads there, its host is not asked, and no other copy of the picture is taken."""
    httpserver.expect_request("/robots.txt").respond_with_data(status=404)
    httpserver.expect_request("/a").respond_with_data(status=302, headers={"Location": "http://img.gone.example/a"})
    site = httpserver.url_for("").rstrip("/")
    (tmp_path / "forgotten.txt").write_text("gone.example\n", encoding="utf-8")
    (one,) = downloaded([f"{site}/a"], tmp_path / "pizza", QUICK, site=site)

    assert (one.error, one.landed, one.kept) == ("forgotten", "http://img.gone.example/a", False)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("münchen.example", "https://xn--mnchen-3ya.example/a.jpg"),
        ("xn--mnchen-3ya.example", "https://münchen.example/a.jpg"),
        ("a.example", "https://a.example./a.jpg"),
        ("A.Example.", "https://user:word@a.example:8443/a.jpg"),
    ],
)
def test_every_way_to_write_a_host_is_forgotten(name, address):
    """Letters of other languages, a dot at the end, a port and a user change nothing."""
    assert concerns(frozenset({named(name)}), [address])
    assert not concerns(frozenset({named(name)}), ["https://b.example/a.jpg"])


def test_a_dataset_built_elsewhere_forgets_with_its_next_build(tmp_path):
    """The copies in a dataset's own pool go when it is built again."""
    dice = np.random.default_rng(1)
    for name in ("pizza", "salad"):
        with ClassFolder(tmp_path / "raw" / name) as one:
            for number in range(6):
                data = noise(dice)
                info = inspect(data)
                line = record(f"https://{'ab'[number % 2]}.example/{name}{number}.png", data, phash=info.phash)
                one.keep(replace(line, file=".png"), data)
    list(build_folder(tmp_path / "raw", tmp_path / "built", Build()))
    copies = {path.name for path in (tmp_path / "built" / ".pool").glob("*.jpg")}
    gone = {f"{path.stem}.jpg" for path in forget(tmp_path / "raw", "a.example").files}
    list(build_folder(tmp_path / "raw", tmp_path / "built", Build()))
    left = {path.name for path in (tmp_path / "built" / ".pool").glob("*.jpg")}

    assert len(gone) == 6
    assert gone <= copies
    assert left == copies - gone
    assert not [path for path in (tmp_path / "built").rglob("*.jpg") if path.name in gone]


def noise(dice: np.random.Generator) -> bytes:
    """Return a picture like no other."""
    body = io.BytesIO()
    Image.fromarray(dice.integers(0, 255, (12, 12, 3), np.uint8)).resize((96, 96)).save(body, "PNG")
    return body.getvalue()
