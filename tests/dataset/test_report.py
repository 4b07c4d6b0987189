"""The report: one page that tells the truth about a folder, needs nothing else, and never gets large."""

import io
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from dataset.build import Built, build_folder
from dataset.errors import TrayError
from dataset.folder import ClassFolder, Record
from dataset.images import inspect
from dataset.progress import Progress
from dataset.report import looks
from dataset.report import page as report
from dataset.report import raw as raw_folders
from dataset.report.findings import findings, share
from dataset.report.page import page, web, write_report
from dataset.report.survey import survey
from dataset.review.catalogue import open_catalogue
from dataset.review.decisions import Decisions
from dataset.review.suspicions import from_build
from dataset.review.verdicts import Journal, Verdict, read_verdicts
from dataset.tray import Build, Checks
from tests.dataset.conftest import returned, written

ROOT = Path(__file__).parents[2]
EVIL = "<script>alert(1)</script>"


def draw(seed: int, *, size: tuple[int, int] = (200, 160), kind: str = "JPEG") -> bytes:
    """Draw a picture that looks like no other: a coarse noise with smooth changes of light."""
    noise = random.Random(seed)
    image = Image.new("RGB", (8, 8))
    image.putdata([tuple(noise.randrange(20, 235) for _ in range(3)) for _ in range(64)])
    image = image.resize((200, 160), Image.Resampling.BICUBIC)
    ImageDraw.Draw(image).ellipse([noise.randrange(50), noise.randrange(50), 120, 110], fill=noise.randrange(1 << 24))
    image = image.resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, kind, quality=88)
    return file.getvalue()


def keep(folder: ClassFolder, data: bytes, **fields: Any) -> Record:
    """Keep a picture as the scraper does."""
    info = inspect(data)
    known = Record(
        url=f"https://img.example/{info.sha256[:8]}", sha256=info.sha256, width=info.width, height=info.height,
        format=info.format, phash=info.phash, file=info.extension, kind="full",
    )  # fmt: skip
    return folder.keep(replace(known, **fields), data)


def write_class(folder: Path, seeds: range) -> None:
    """Write drawn pictures into a class folder without a manifest."""
    folder.mkdir(parents=True)
    for seed in seeds:
        (folder / f"{seed}.jpg").write_bytes(draw(seed))


class Page(HTMLParser):
    """What a page is made of, as a browser would take it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))

    def every(self, tag: str, name: str) -> Iterator[str]:
        """Yield an attribute of every tag of a kind."""
        for found, attributes in self.tags:
            if found == tag and attributes.get(name) is not None:
                yield str(attributes[name])


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return class folders as a scrape leaves them: copies, rejects, a conflict, a hostile title, a broken file."""
    root = tmp_path / "raw"
    with ClassFolder(root / "pizza") as folder:
        for seed in range(12):
            keep(folder, draw(seed), engine="bing", term="pizza", title=EVIL, page="https://site.example/a")
        keep(folder, draw(3, size=(400, 320)), engine="google", term="cheese pizza", kind="thumbnail")
        for number in range(10):
            folder.reject(
                Record(
                    url=f"https://img.example/lost-{number}.jpg",
                    page="javascript:alert(2)",
                    engine="yahoo",
                    term="pizza",
                    title=f"{EVIL} {number}",
                    error="403",
                    status=403,
                )
            )
        keep(folder, draw(5), url="https://img.example/again", engine="yahoo", term="pizza")
        folder.reject(Record(url='javascript:alert("3")', engine="bing", term="pizza", error="html"))
    with ClassFolder(root / "quiche") as folder:
        for seed in range(20, 24):
            keep(folder, draw(seed), engine="bing", term="quiche")
        keep(folder, draw(7), engine="bing", term="quiche")
    (root / "quiche" / "torn.jpg").write_bytes(draw(30)[:2000])
    return root


def test_tells_what_a_raw_folder_holds(raw: Path) -> None:
    """Pictures, copies, rejects with their reasons and the conflict are all counted."""
    found = returned(survey(raw))

    assert found.form == "class folders"
    assert found.labels == ("pizza", "quiche")
    assert len(found.pictures) == 18
    assert [(len(group.copies), group.kept.label) for group in found.copies] == [(1, "pizza")]
    assert found.copies[0].kept.note.startswith("400x320")
    assert [sorted(side.label for side in sides) for sides in found.conflicts] == [["pizza", "quiche"]]
    reasons = sorted(one.reason for one in found.refused)
    assert reasons == [*["403"] * 10, "duplicate bytes", "html", "truncated"]


def test_a_small_folder_is_not_said_to_be_empty(tmp_path: Path) -> None:
    """One picture of some kilobytes is no "1 pictures, 0.0 MB"."""
    write_class(tmp_path / "one", range(1))
    text = written(tmp_path / "one").read_text()

    assert re.search(r"<b>1</b>picture<br><span class=.quiet.>[1-9]\d* kB<", text)


def test_puts_what_is_worth_fixing_on_top(raw: Path) -> None:
    """The small class, the conflict and the engine that fails are named with their numbers."""
    texts = " ".join(one.text for one in findings(returned(survey(raw)), 9))

    assert "Class quiche has only 5 pictures; the other class has 12." in texts
    assert "1 conflict between pizza and quiche" in texts
    assert "100 % of Yahoo's pictures failed, all with HTTP 403." in texts
    assert "1 file can't be used: 1 truncated." in texts
    assert len(findings(returned(survey(raw)))) == 3
    assert [one.weight for one in findings(returned(survey(raw)), 9)] == sorted(
        (one.weight for one in findings(returned(survey(raw)), 9)), reverse=True
    )


def test_asks_for_nothing_but_itself(raw: Path) -> None:
    """No script, style sheet, frame or picture comes from outside, and a policy in the page forbids it."""
    text = written(raw).read_text()
    seen = Page(text)

    assert not {tag for tag, _ in seen.tags} & {"script", "iframe", "object", "embed", "base", "form", "link"}
    assert {source[:23] for source in seen.every("img", "src")} == {"data:image/jpeg;base64,"}
    assert not list(seen.every("img", "srcset"))
    assert not re.search(r"url\(|@import", text)
    assert any(policy.startswith("default-src 'none'") for policy in seen.every("meta", "content"))
    assert set(seen.every("img", "loading")) == {"lazy"}


def test_what_the_web_wrote_stays_text(raw: Path) -> None:
    """Hostile titles are escaped, and only http and https addresses become links."""
    text = written(raw).read_text()
    seen = Page(text)
    outside = [href for href in seen.every("a", "href") if ":" in href]

    assert EVIL not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; 0" in text
    assert outside
    assert all(href.startswith("https://img.example/lost-") for href in outside)
    assert all(one.get("rel") == "noreferrer" for tag, one in seen.tags if tag == "a" and ":" in str(one.get("href")))


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "https://", "//host/x", "http://[", "",
     "https://a.example/ b", "https://a.example/\nb", "vbscript:x"],
)  # fmt: skip
def test_links_whole_web_addresses_only(address: str) -> None:
    """Anything but a whole http or https address is no link."""
    assert not web(address)
    assert web("https://a.example/b?c=d") == "https://a.example/b?c=d"


def test_links_within_the_page_and_to_the_files_lead_somewhere(raw: Path) -> None:
    """Each entry of the table of contents has its target, and each thumbnail opens the file it shows."""
    seen = Page(written(raw).read_text())
    targets = {str(one["id"]) for _, one in seen.tags if one.get("id")}
    inside = [href for href in seen.every("a", "href") if not href.startswith("https:")]
    anchors = {href[1:] for href in inside if href.startswith("#")}

    assert {"first", "counts", "sheets", "copies", "conflicts", "rejected", "class-1", "class-2"} <= anchors
    assert anchors <= targets
    assert all((raw / href).is_file() for href in inside if not href.startswith("#"))


def test_a_page_of_its_own_is_no_part_of_the_folder(raw: Path) -> None:
    """A second report says the same as the first, byte for byte."""
    first = written(raw).read_bytes()

    assert written(raw).read_bytes() == first
    assert (raw / "report.html").read_bytes() == first


def test_shows_one_class_folder_with_its_verdicts(raw: Path) -> None:
    """A class folder has a page of its own, which counts what a person has said."""
    name = next((raw / "pizza").glob("*.jpg")).name
    Journal(raw / "pizza").append([Verdict(name, "drop")])
    found = returned(survey(raw / "pizza"))

    assert (found.form, found.labels, dict(found.reviewed)) == ("class folder", ("pizza",), {"drop": 1})
    assert "drop 1" in written(raw / "pizza").read_text()


def test_what_a_person_has_decided_is_no_longer_asked_for(tmp_path: Path) -> None:
    """No flag, copy or conflict is left of pictures that were decided on; a dataset names the labels in conflict."""
    raw = tmp_path / "raw"
    write_class(raw / "apple", range(100, 116))
    write_class(raw / "pear", range(200, 212))
    for name, seed in (("copy", 101), ("twin", 102)):
        (raw / "apple" / f"{name}.jpg").write_bytes(draw(seed, size=(250, 200)))
    for seed in (103, 104):
        (raw / "pear" / f"{seed}.jpg").write_bytes(draw(seed))
    strict = Build(checks=Checks(small=1000))
    before = returned(survey(raw, strict))
    assert [len(before.copies), len(before.conflicts)] == [2, 2]
    assert any(one.text.startswith("32 pictures flagged as small") for one in findings(before, 9))

    words = (Verdict("copy.jpg", "drop"), Verdict("102.jpg", "relabel", "pear"), Verdict("twin.jpg", "keep"))
    Journal(raw / "apple").append([*words, Verdict("103.jpg", "keep")])
    after = returned(survey(raw, strict))
    assert not after.copies
    assert [{side.name: side.label for side in sides} for sides in after.conflicts] == [
        {"apple/102.jpg": "pear", "apple/twin.jpg": "apple"}, {"apple/104.jpg": "apple", "pear/104.jpg": "pear"},
    ]  # fmt: skip
    assert any(one.text.startswith("28 pictures flagged as small") for one in findings(after, 9))

    list(build_folder(raw, tmp_path / "fruit", strict))
    found = returned(survey(tmp_path / "fruit"))
    assert next({side.name: side.label for side in sides} for sides in found.conflicts) == {
        "apple/102.jpg": "pear", "apple/twin.jpg": "apple",
    }  # fmt: skip
    assert len([one for one in found.pictures if one.verdict]) == 1
    assert not any(one.reason == "thrown out before" for one in from_build(tmp_path / "fruit", raw))


def test_a_folder_of_which_nothing_was_kept_is_still_told_of(tmp_path: Path) -> None:
    """When every download failed, the page says why."""
    with ClassFolder(tmp_path / "raw" / "kiwi") as folder:
        for number in range(12):
            folder.reject(Record(url=f"https://img.example/{number}", engine="bing", term="kiwi", error="timeout"))
    text = written(tmp_path / "raw").read_text()

    assert "timeout" in text
    assert "100 % of Bing&#39;s pictures failed" in text


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Return a dataset built from plain class folders that lie where a tray has its raw ones."""
    raw = tmp_path / "data" / "raw"
    write_class(raw / "apple", range(100, 118))
    write_class(raw / "pear", range(200, 212))
    (raw / "apple" / "copy.jpg").write_bytes(draw(101, size=(250, 200)))
    (raw / "pear" / "clash.jpg").write_bytes(draw(103))
    (raw / "pear" / "page.jpg").write_text("<html>no</html>")
    out = tmp_path / "data" / "built" / "fruit"
    assert any(isinstance(step, Built) for step in build_folder(raw, out, Build()))
    return out


def test_tells_of_a_built_dataset(built: Path) -> None:
    """Splits, copies with what was kept, conflicts and refusals are those of the build, with the raw pictures."""
    found = returned(survey(built))
    counts = returned(page(found))

    assert found.form == "dataset"
    assert {one.split for one in found.pictures} == {"train", "val", "test"}
    assert [group.kept.name for group in found.copies] == ["apple/copy.jpg"]
    assert [side.name for side in found.copies[0].copies] == ["apple/101.jpg"]
    assert found.copies[0].copies[0].path == (built.parents[1] / "raw" / "apple" / "101.jpg").resolve()
    assert [{side.name for side in sides} for sides in found.conflicts] == [{"apple/103.jpg", "pear/clash.jpg"}]
    assert "html" in {one.reason for one in found.refused}
    assert "How it was built" in counts
    assert "split.val" in counts
    assert any("val has only" in one.text or "test has only" in one.text for one in findings(found, 9))


def test_a_dataset_whose_raw_pictures_are_gone_says_so(built: Path) -> None:
    """Without the class folders, what was left out is named instead of shown."""
    (built.parents[1] / "raw").rename(built.parents[1] / "elsewhere")
    text = written(built).read_text()

    assert "not at hand" in text
    assert "apple/101.jpg" in text
    assert next(Page(text).every("img", "src"))


def test_a_rebuild_takes_the_report_for_no_part_of_the_dataset(built: Path) -> None:
    """A dataset with a report in it is still whole: building again does nothing."""
    written(built)
    last = list(build_folder(built.parents[1] / "raw", built, Build()))[-1]

    assert isinstance(last, Built)
    assert last.unchanged


def test_a_dataset_built_anywhere_knows_its_raw_pictures(tmp_path: Path) -> None:
    """What --from was built of is shown and reviewed; a rebuild obeys, and the page about what was before goes."""
    write_class(tmp_path / "mine" / "apple", range(100, 118))
    write_class(tmp_path / "mine" / "pear", range(200, 212))
    (tmp_path / "mine" / "apple" / "copy.jpg").write_bytes(draw(101, size=(250, 200)))
    out = tmp_path / "other" / "place" / "clean"
    assert any(isinstance(step, Built) for step in build_folder(tmp_path / "mine", out, Build()))
    (group,) = returned(survey(out)).copies
    assert group.copies[0].path == tmp_path / "mine" / "apple" / "101.jpg"

    written(out)
    decisions = Decisions(open_catalogue(out))
    (copied,) = (n for n, one in enumerate(decisions.catalogue.pictures) if one.places[0].file == "copy.jpg")
    decisions.decide([copied], "drop")
    assert set(read_verdicts(tmp_path / "mine" / "apple")) == {"copy.jpg", "101.jpg"}
    *_, last = build_folder(tmp_path / "mine", out, Build())
    assert isinstance(last, Built)
    assert (last.kept, last.dropped["review"]) == (29, 2)
    assert not (out / "report.html").exists()


def test_a_dataset_does_not_name_files_outside_itself(built: Path, tmp_path: Path) -> None:
    """A line that leads out of the dataset is passed over."""
    (tmp_path / "secret.jpg").write_bytes(draw(1))
    with (built / "metadata.jsonl").open("a") as lines:
        lines.write('{"file_name": "../../../secret.jpg", "label": "apple", "split": "train"}\n')

    assert all("secret" not in one.name for one in returned(survey(built)).pictures)


def test_folders_by_split_are_understood(tmp_path: Path) -> None:
    """train/, val/ and test/ with class folders in them are splits, not classes."""
    for split, seeds in (("train", range(6)), ("test", range(6, 8))):
        write_class(tmp_path / split / "cat", seeds)
        write_class(tmp_path / split / "dog", range(50 + seeds.start, 50 + seeds.stop))
    found = returned(survey(tmp_path))

    assert found.labels == ("cat", "dog")
    assert {one.split for one in found.pictures} == {"train", "test"}
    assert "test has only 2 pictures of" in " ".join(one.text for one in findings(found, 9))


@pytest.mark.parametrize("case", ["empty", "missing", "file", "text"])
def test_a_folder_with_nothing_to_show_is_one_sentence(tmp_path: Path, case: str) -> None:
    """Without a picture and without a manifest there is no page, but an explanation."""
    folder = tmp_path / "here"
    if case == "file":
        folder.write_text("x")
    elif case != "missing":
        folder.mkdir()
    if case == "text":
        (folder / "notes.txt").write_text("x")

    with pytest.raises(TrayError, match=r"Expected .* Received: .* Name another folder\."):
        written(folder)
    assert not (tmp_path / "here" / "report.html").exists()


def test_a_place_that_can_not_be_written_is_one_sentence(raw: Path) -> None:
    """Where the page can't be put, the sentence names the file."""
    (raw / "report.html").mkdir()

    with pytest.raises(TrayError, match=r"Expected to write to .*report\.html"):
        written(raw)


def test_a_spoilt_manifest_is_one_sentence(raw: Path) -> None:
    """A line that is no JSON is named as such."""
    with (raw / "pizza" / "manifest.jsonl").open("a") as lines:
        lines.write("{half a line\n")

    with pytest.raises(TrayError, match=r"manifest\.jsonl"):
        written(raw)


def test_large_folders_make_small_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contact sheets are cut with the number left out, few files are decoded, and pictures have limited room."""
    monkeypatch.setattr(raw_folders, "LOOKED", 10)
    monkeypatch.setattr(report, "SHEET", 8)
    with ClassFolder(tmp_path / "raw" / "one") as folder:
        for seed in range(30):
            keep(folder, draw(seed))
    write_class(tmp_path / "raw" / "two", range(40, 45))
    found = returned(survey(tmp_path / "raw"))
    text = returned(page(found))

    # Ten whose hashes the manifest tells, and those of whom nothing is known.
    assert found.looked == 15
    assert len(found.thumbnails) == 10
    assert all(one.width == 200 and one.format == "JPEG" for one in found.pictures)
    assert "8 of 30 shown, 22 more" in text
    assert "15 of 35 pictures were looked at" in text or "Flagged" not in text

    monkeypatch.setattr(report, "ROOM", 20_000)
    cut = returned(page(found))
    assert sum(map(len, Page(cut).every("img", "src"))) <= 20_000
    assert "open it" in cut


def test_copies_are_found_among_all_pictures_of_a_large_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no manifest tells their hashes, all are looked at, and how far that is is told."""
    monkeypatch.setattr(raw_folders, "LOOKED", 10)
    write_class(tmp_path / "one", range(15))
    for path in list((tmp_path / "one").iterdir()):
        with Image.open(path) as image:
            image.save(path.with_name(f"copy of {path.name}"), quality=60)
    *steps, last = write_report(tmp_path / "one")

    found = returned(survey(tmp_path / "one"))
    assert sum(len(group.copies) for group in found.copies) == 15
    assert last == tmp_path / "one" / "report.html"
    assert [step for step in steps if step.stage == "look"] == [Progress("look", done, 30) for done in range(1, 31)]
    assert steps[-1] == Progress("draw", 20, 20)


def test_raw_pictures_are_flagged_by_the_checks_of_the_build(tmp_path: Path) -> None:
    """[build.checks] moves a limit, and turns a flag off, in the report as in the build."""
    write_class(tmp_path / "one", range(3))
    strict, off = (Build(checks=one) for one in (Checks(small=5000), Checks(small=5000, off=("small",))))

    flags = [[one.flags for one in returned(survey(tmp_path / "one", how)).pictures] for how in (strict, off)]
    assert [["small" in one for one in row] for row in flags] == [[True] * 3, [False] * 3]
    pages = [written(tmp_path / "one", how).read_bytes() for how in (strict, off)]
    assert pages[0] != pages[1]


def test_thumbnails_are_small_and_upright(tmp_path: Path) -> None:
    """A thumbnail is a small JPEG that obeys the EXIF turn."""
    image = Image.open(io.BytesIO(draw(1, size=(1600, 1200))))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "x.jpg", exif=exif)
    seen = looks.look_at(tmp_path / "x.jpg")
    with Image.open(io.BytesIO(seen.thumbnail)) as small:
        assert max(small.size) == looks.THUMBNAIL
        assert small.height > small.width
    assert (seen.width, seen.height) == (1200, 1600)


def test_odd_names_are_shown_and_linked(tmp_path: Path) -> None:
    """Spaces, quotes, hashes and angle brackets in names break neither text nor links."""
    folder = tmp_path / "raw" / 'a "b" <i>'
    folder.mkdir(parents=True)
    (folder / "x#1 & y?.jpg").write_bytes(draw(1))
    write_class(tmp_path / "raw" / "plain", range(2, 4))
    text = written(tmp_path / "raw").read_text()

    assert "<i>" not in text
    assert "a%20%22b%22%20%3Ci%3E/x%231%20%26%20y%3F.jpg" in text


@pytest.mark.parametrize("style", ["dataset/report/style.html.jinja", "train/pages/style.html.jinja"])
def test_links_and_warnings_can_be_read_by_day_and_by_night(style: str) -> None:
    """They stand out against the browser's own white and nearly black by 4.5 to 1, as WCAG asks of text."""
    light, dark = re.findall(r":root \{([^}]*)\}", (ROOT / style).read_text())[:2]

    for colours, ground in ((light, "#ffffff"), (dark, "#121212")):
        for name in ("bad", "accent"):
            colour = dict(re.findall(r"--(\w+): (#\w{6});", colours))[name]
            bright, dim = sorted((luminance(colour), luminance(ground)), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (name, colour)


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour by WCAG."""
    parts = [value / 255 for value in bytes.fromhex(colour[1:])]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_shares_are_never_rounded_to_a_lie() -> None:
    """Something is never 0 %, and less than everything never 100 %."""
    assert [share(1, 1000), share(999, 1000), share(0, 5), share(5, 5), share(0, 0)] == [
        "under 1 %", "99 %", "0 %", "100 %", "0 %"
    ]  # fmt: skip
