"""The judge of a whole pipeline sees what is missing, wrong, there twice or on two sides."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from PIL import Image

from dataset.folder import MANIFEST, Record, make_folder, to_line
from dataset.tray import Item, Tray
from scraper.simulator import Address, Judgement, Site, draw_fresh, judge

TERM = "pizza"


def keep(raw: Path, body: bytes, address: str) -> str:
    """Write a picture and its manifest line as a scrape does; return its SHA-256."""
    digest = hashlib.sha256(body).hexdigest()
    (make_folder(raw) / f"{digest[:16]}.jpg").write_bytes(body)
    with (raw / MANIFEST).open("a", encoding="utf-8") as manifest:
        manifest.write(to_line(Record(url=address, file=f"{digest[:16]}.jpg", sha256=digest)))
    return digest


def built(folder: Path, *lines: tuple[str, str]) -> None:
    """Write the metadata of a dataset: SHA-256 and split of each picture."""
    rows = (json.dumps({"sha256": digest, "split": split}) + "\n" for digest, split in lines)
    (make_folder(folder) / "metadata.jsonl").write_text("".join(rows), encoding="utf-8")


def test_judging_counts_what_is_missing_wrong_twice_and_on_two_sides(tmp_path: Path) -> None:
    """Of a site's pictures one is kept in two sizes, one once, and one file is junk: each count says so."""
    tray = Tray(items={"pizza": Item((TERM,))}, file=tmp_path / "tray.toml")
    with Site(scenario="clean", results=6) as site:
        offers = {offer.picture.group: offer for offer in site.truth.offers(TERM, "bing") if offer.cached}
        first, second, *_ = offers.values()
        assert first.cached is not None

        def fetch(address: Address) -> str:
            return keep(tray.raw / "pizza", requests.get(address.url, timeout=30).content, address.url)

        large, small, other = fetch(first.full), fetch(first.cached), fetch(second.full)
        junk = keep(tray.raw / "pizza", b"no picture", "http://127.0.0.1:9/junk.jpg")
        built(tray.built / "pizza", (large, "train"), (other, "val"))
        clean = judge(tray, site.truth)
        built(tray.built / "pizza", (large, "train"), (small, "test"), (other, "val"), (junk, "train"))
        dirty = judge(tray, site.truth)
        wanted = {site.truth.picture(name).group for name in site.truth.pictures(TERM)}
    assert clean == Judgement(pytest.approx(2 / len(wanted), abs=1e-4), 0.75, 0, 0, 0)
    assert dirty == replace(clean, duplicates_left=1, duplicates_across_splits=1, invalid_in_datasets=1)


def test_what_an_earlier_start_handed_out_within_its_pages_is_not_judged(tmp_path: Path) -> None:
    """A demo that goes on after a kill has such pictures: the site that starts anew can't know them."""
    tray = Tray(items={"pizza": Item((TERM,))}, file=tmp_path / "tray.toml")
    with Site(scenario="clean", results=6) as site:
        full = next(iter(site.truth.offers(TERM, "bing"))).full
        known = keep(tray.raw / "pizza", requests.get(full.url, timeout=30).content, full.url)
        inline = keep(tray.raw / "pizza", b"of an earlier start", f"data:image/jpeg;base64,sha256={'4897b88a' * 4}")
        built(tray.built / "pizza", (known, "train"), (inline, "val"))
        judged = judge(tray, site.truth)
    assert (judged.precision, judged.invalid_in_datasets) == (1.0, 0)


def test_fresh_pictures_are_those_of_the_items_and_of_look_alikes(tmp_path: Path) -> None:
    """Each is a JPEG that opens, named after what it shows, and none is a picture that the site offers."""
    files = list(draw_fresh(("pizza", "burger"), tmp_path))
    assert [file.stem for file in files] == ["pizza", "burger", "quiche", "tomato", "empty_tray"]
    with Site(scenario="clean", results=6) as site:
        assert not any(site.truth.identify(file.read_bytes()) for file in files)
    for file in files:
        with Image.open(file) as image:
            assert (image.format, image.size) == ("JPEG", (640, 480))
