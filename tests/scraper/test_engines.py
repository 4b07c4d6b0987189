"""Engines as values: read pages of every layout, are repaired and pointed elsewhere."""

import json
from html import escape
from pathlib import Path

import pytest

from dataset.errors import ConfigError
from scraper.engines import BING, ENGINES, GOOGLE, YAHOO, address, clean_address, general, pointed_at, read, repaired

BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
IMGRES = (
    "/imgres?imgurl=https%3A%2F%2Fa.example%2Fp%2520q.jpg&amp;imgrefurl=https%3A%2F%2Fa.example%2F&amp;w=800&amp;h=600"
)
FULL = "https://a.example/p%20q.jpg"
THUMB = "https://t.example/1.jpg"


def grid(tile: str) -> str:
    """Return a page with three copies of a tile, a logo and an icon."""
    logo, icon = "<img src=/logo.png width=92 height=30>", "<img width=16 height=16>"
    return f"<html><body>{logo}{tile * 3}{icon}</body></html>"


GOOGLE_LAYOUTS = {
    "2026-09": f'<div><h3><a href="{IMGRES}"><img id="dimg_1" src="{THUMB}" alt="A pizza"></a></h3></div>',
    "2025-11": f'<div data-lpage="https://a.example/" data-docid="x"><a href="{IMGRES}"><img src="{THUMB}"></a></div>',
    "2025-02": f'<div><h3><a href="{IMGRES}"><g-img><img src="{THUMB}"></g-img></a></h3></div>',
    "2025-01": f'<div class="ivg-i" data-docid="x" data-lpage="https://a.example/"><a><img src="{THUMB}"></a></div>',
    "2024-04": f'<div jsname="dTDiAc"><div jsname="qQjpJ"><a href="{IMGRES}"><img src="{THUMB}"></a></div></div>',
    "2023-11": f'<div class="H8Rx8c" data-full="{FULL}"><g-img class="mNsIhb"><img src="{THUMB}"></g-img></div>',
    "2020-10": f'<div data-ri="0"><a href="{IMGRES}">'
    f'<img class="rg_i Q4LuWd" src="{BLANK}" data-src="{THUMB}"></a></div>',
}
# What the page of 2025-01 says of its tiles, as its script writes it.
SCRIPT = f'<script>var m={{"a":[[0,"x",["{THUMB}",168,300],["{FULL}?v\\u003d1",600,800]]]}}</script>'
M = escape(
    json.dumps({"murl": FULL, "purl": "https://a.example/", "turl": THUMB, "t": 'Best \ue000pizza\ue001 "ever" & more'})
)
BING_HREF = (
    "/images/search?view=detailV2&amp;mediaurl=https%3a%2f%2fa.example%2fp%2520q.jpg&amp;expw=800&amp;exph=600"
    "&amp;cdnurl=https%3a%2f%2fth.example%2fth%2fid%2fR.1"
)
BING_LAYOUTS = {
    "2026-10": f'<li><div><a class="iusc" m="{M}" href="{BING_HREF}"><img class="mimg" src="{BLANK}"></a></div></li>',
    "2020-06": f'<li><a class="iusc" href="{BING_HREF}"><img class="mimg" src="{BLANK}" data-src="{THUMB}"></a></li>',
}
META = escape(json.dumps({"ow": 800, "oh": 600}))
LD = escape(json.dumps({"ourl": FULL, "iurl": FULL, "rurl": "https://a.example/", "w": 800, "h": 600}))
YAHOO_LAYOUTS = {
    "2026-09": f'<li class="tile"><a class="media-tile" data-origurl="{FULL}" data-referenceurl="https://a.example/">'
    f'<img src="{THUMB}" data-meta="{META}"></a><div class="tile-title">A pizza</div></li>',
    "2026-08": f'<li class="ld" data="{LD}"><a href="#"><img data-src="{THUMB}"></a></li>',
    "2025-06": '<li><a href="/images/view;?imgurl=a.example%2Fp%2520q.jpg&amp;rurl=https%3A%2F%2Fa.example%2F'
    f'&amp;w=800&amp;h=600"><img data-src="{THUMB}"></a></li>',
}
LAYOUTS = [
    *(pytest.param(GOOGLE, when, tile, id=f"google-{when}") for when, tile in GOOGLE_LAYOUTS.items()),
    *(pytest.param(BING, when, tile, id=f"bing-{when}") for when, tile in BING_LAYOUTS.items()),
    *(pytest.param(YAHOO, when, tile, id=f"yahoo-{when}") for when, tile in YAHOO_LAYOUTS.items()),
]


@pytest.mark.parametrize(("engine", "when", "tile"), LAYOUTS)
def test_every_layout_is_read(engine, when, tile):
    """The full size, its page and its size are found in each dated layout, once per tile."""
    script = SCRIPT if when == "2025-01" else ""
    found = read(engine, f"<div id=islrg><div id=rso><ul id=sres>{tile * 3}</ul></div></div>{script}", "pizza")

    assert [one.rank for one in found] == [1, 2, 3]
    first = found[0]
    assert first.urls[0].partition("://")[2].removesuffix("?v=1") == "a.example/p%20q.jpg"
    assert first.kinds[0] == "full"
    assert (first.width, first.height) in {(800, 600), (0, 0)}
    without_page = (engine.name, when) in {("bing", "2020-06"), ("google", "2023-11")}
    assert first.page == ("" if without_page else "https://a.example/")
    assert "thumbnail" in first.kinds
    assert engine.name == first.engine


def test_each_layout_carries_its_date():
    """Every selector of a tile says when it was last seen."""
    for engine in ENGINES.values():
        assert len(engine.tile) == len(engine.checked)
        assert list(engine.checked) == sorted(engine.checked, reverse=True)


@pytest.mark.parametrize(("engine", "when", "tile"), LAYOUTS)
def test_the_general_reader_needs_no_names(engine, when, tile):
    """Without class names, ids and jsnames the same addresses are found, and neither logo nor icon."""
    for name in ("class", "id", "jsname"):
        tile = tile.replace(f' {name}="', f' x{name}="')
    found = read(general(engine), grid(f"<div>{tile}</div>") + (SCRIPT if when == "2025-01" else ""), "pizza")

    assert len(found) == 3
    assert all(one.urls[0].removesuffix("?v=1").endswith("a.example/p%20q.jpg") for one in found)


def test_bings_cached_copy_comes_second():
    """Bing's own copy stands between the full size and the thumbnail."""
    (first, *_) = read(BING, BING_LAYOUTS["2026-10"], "pizza")

    assert first.kinds == ("full", "cached", "thumbnail")
    assert first.title == 'Best pizza "ever" & more'


def test_placeholders_and_tiles_without_addresses_are_passed_over():
    """An advertisement without address gives no candidate, and a 1x1 placeholder is no thumbnail."""
    html = grid(f'<li><a class="iusc" href="/aclick"><img src="{BLANK}"></a></li>')

    assert read(BING, html, "pizza") == []


def test_tiles_keep_their_rank():
    """Ranks count tiles, also those that hold nothing."""
    tiles = ["<li></li>", YAHOO_LAYOUTS["2026-09"]]

    assert [one.rank for one in read(YAHOO, tiles, "pizza", first_rank=11)] == [12]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("https://a.example/x y.jpg", "https://a.example/x%20y.jpg"),
        ("https://a.example/ü.jpg", "https://a.example/%C3%BC.jpg"),
        ("https%3A%2F%2Fa.example%2Fb.jpg", "https://a.example/b.jpg"),
        ("https://a.example/b.jpg%22", "https://a.example/b.jpg"),
        ("https://a.example/b?x=1&amp;y=2#part", "https://a.example/b?x=1&y=2"),
        ("//a.example/b.jpg", "https://a.example/b.jpg"),
        ("a.example/b.jpg", "http://a.example/b.jpg"),
        ("a.example:8080/b.jpg", "http://a.example:8080/b.jpg"),
        ("HTTPS://a.example/b%20c.jpg", "https://a.example/b%20c.jpg"),
        ("https://a.example/" + "x" * 3000, "https://a.example/" + "x" * 3000),
        ("ftp://a.example/b.jpg", ""),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("blob:https://a.example/1", ""),
        ("http://", ""),
        ("http://a.example:99999/b", ""),
        ("http://[::1/b", ""),
        ("just words", ""),
        ("", ""),
    ],
)
def test_addresses_are_cleaned(raw, clean):
    """What pages do to addresses is undone; what no picture can have gives nothing."""
    assert clean == clean_address(raw, "https://www.bing.com/images")


@pytest.mark.parametrize(
    "term", ["a/b", "../../etc", 'quote"d', "it's", "🍕", "寿司", "פיצה", "a&b=c", "100 %", "{q}", "a\nb"]
)
def test_terms_stay_inside_their_parameter(term):
    """Whatever the term, the address keeps its host, its path and its other parameters."""
    from urllib.parse import parse_qs, urlsplit

    for engine in ENGINES.values():
        parts = urlsplit(address(engine, term))
        assert parts.netloc == urlsplit(engine.url).netloc
        assert parts.path == urlsplit(engine.url).path
        assert [term] == parse_qs(parts.query)["p" if engine is YAHOO else "q"]


def test_an_engine_is_pointed_at_another_site():
    """Another origin serves the same paths below the engine's name."""
    for engine in ENGINES.values():
        assert address(pointed_at(engine, "http://127.0.0.1:8000/"), "x").startswith(
            f"http://127.0.0.1:8000/{engine.name}/"
        )


def test_a_repair_takes_the_place_of_the_built_in_selector():
    """A tray.toml's selector is used, and dated by where it came from."""
    engine = repaired(BING, {"tile": "a.neu", "full": ["@data-x", "@data-y"]})

    assert engine.tile == ("a.neu",)
    assert engine.checked == ("tray.toml",)
    assert read(engine, '<a class="neu" data-y="https://a.example/1.jpg">', "x")[0].urls == ("https://a.example/1.jpg",)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"tlie": "a"}, "engines.bing.tlie"),
        ({"tile": "a[["}, "CSS selector"),
        ({"full": "murl"}, "finder"),
        ({"inline": "(["}, "regular expression"),
        ({"url": "https://x.example"}, "{q}"),
        ({"reveal": ["a", "b"]}, "one string"),
        ({"name": "x"}, "engines.bing.name"),
    ],
)
def test_a_bad_repair_is_named(overrides, words):
    """An unknown key and a value that can't be used say where they stand."""
    with pytest.raises(ConfigError) as caught:
        repaired(BING, overrides, file=Path("two.toml"))

    assert words in str(caught.value)
    assert str(caught.value).startswith("two.toml, key ")
