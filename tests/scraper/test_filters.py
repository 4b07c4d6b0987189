"""One vocabulary of filters, and what each engine is asked for."""

from dataclasses import fields
from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dataset.errors import ConfigError
from dataset.tray import Filters, parse
from scraper.engines import ENGINES, address, pointed_at
from scraper.filters import ANY, WAYS, filtered, misfit, sweeps
from scraper.simulator.filters import asked


def query(name: str, filters: Filters) -> dict[str, str]:
    """Return the parameters of an engine's result page for a term with filters."""
    url = address(filtered(ENGINES[name], filters).engine, "pizza")
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}


@pytest.mark.parametrize(
    ("filters", "google", "bing", "yahoo"),
    [
        (Filters(size="large"), ("tbs", "isz:l"), ("qft", " filterui:imagesize-large"), ("imgsz", "large")),
        (
            Filters(colour="red"),
            ("tbs", "ic:specific,isc:red"),
            ("qft", " filterui:color2-FGcls_RED"),
            ("imgc", "red"),
        ),
        (
            Filters(type="line"),
            ("tbs", "itp:lineart"),
            ("qft", " filterui:photo-linedrawing"),
            ("imgty", "linedrawing"),
        ),
        (Filters(aspect="tall"), ("imgar", "t|xt"), ("qft", " filterui:aspect-tall"), ("imga", "tall")),
        (Filters(date="week"), ("tbs", "qdr:w"), ("qft", " filterui:age-lt10080"), ("imgt", "week")),
        (
            Filters(licence="creative-commons"),
            ("tbs", "il:cl"),
            ("qft", " filterui:licenseType-Any"),
            ("imgl", "cc"),
        ),
        (Filters(safe="off"), ("safe", "off"), ("adlt", "off"), ("vm", "p")),
        (Filters(), ("safe", "active"), ("adlt", "strict"), ("vm", "r")),
    ],
)
def test_each_engine_is_asked_in_its_own_words(filters, google, bing, yahoo):
    """A word of the vocabulary becomes each engine's parameter; safe search is on unless it is put off."""
    for name, (key, value) in (("google", google), ("bing", bing), ("yahoo", yahoo)):
        assert query(name, filters)[key] == value


def test_several_filters_share_a_parameter():
    """Parts of one parameter are joined as the engine writes them, and an exact size and dates fill its templates."""
    google = query("google", Filters(exact="800x600", colour="bw", date="2024-01-15..2024-06-30"))
    bing = query("bing", Filters(exact="800x600", colour="bw", market="en-GB"))

    assert google["tbs"] == "isz:ex,iszw:800,iszh:600,ic:gray,cdr:1,cd_min:01/15/2024,cd_max:06/30/2024"
    assert bing["qft"] == " filterui:imagesize-custom_800_600 filterui:color2-bw"
    assert bing["mkt"] == "en-GB"


def test_what_an_engine_cannot_do_is_named():
    """Filters without a way, or whose place in the address is taken, are said and not asked for."""
    yahoo = filtered(ENGINES["yahoo"], Filters(exact="800x600", size="large", language="de"))
    google = filtered(ENGINES["google"], Filters(colour="red", type="transparent", safe="moderate"))
    bing = filtered(ENGINES["bing"], Filters(size="large", exact="800x600", date="2024-01-01..2024-12-31"))

    assert (yahoo.words, yahoo.cannot) == ("size=large safe=on", ("exact=800x600", "language=de"))
    assert (google.words, google.cannot) == ("colour=red", ("type=transparent", "safe=moderate"))
    assert bing.cannot == ("exact=800x600", "date=2024-01-01..2024-12-31")


@pytest.mark.parametrize(("wanted", "step"), [("400x300", "qsvga"), ("1000x700", "svga"), ("9000x9000", "8mp")])
def test_a_least_size_is_asked_for_in_steps(wanted, step):
    """The greatest step is taken that loses nothing that was wanted."""
    assert query("google", Filters(min_size=wanted))["tbs"] == f"isz:lt,islt:{step}"


def test_a_least_size_below_all_steps_is_not_asked_for():
    """Where even the first step would lose pictures, they are measured only."""
    assert filtered(ENGINES["google"], Filters(min_size="100x100")).cannot == ("min_size=100x100",)


def test_sizes_are_measured():
    """A picture of another size than was promised does not fit."""
    assert misfit(Filters(exact="800x600"), 800, 600) == ""
    assert misfit(Filters(exact="800x600"), 801, 600)
    assert misfit(Filters(min_size="800x600"), 1024, 768) == ""
    assert misfit(Filters(min_size="800x600"), 1024, 599)


def test_a_market_is_another_host_of_yahoo_only_where_it_has_hosts():
    """Yahoo's own pages are asked at the market's host; a site of one's own has no others."""
    filters = Filters(market="de-DE")
    own = filtered(pointed_at(ENGINES["yahoo"], "http://127.0.0.1:8000"), filters)

    assert urlsplit(filtered(ENGINES["yahoo"], filters).engine.url).netloc == "de.images.search.yahoo.com"
    assert own.engine.url.startswith("http://127.0.0.1:8000/yahoo/")
    assert own.cannot == ("market=de-DE",)


def test_every_way_is_dated_and_of_the_vocabulary():
    """Each value names its source, and no engine has a filter that the configuration does not know."""
    known = {one.name for one in fields(Filters)}
    for ways in WAYS.values():
        assert set(ways) <= known
        for name, way in ways.items():
            assert way.source
            for value in way.values:
                if value != ANY:
                    Filters(**{name: value})


@pytest.mark.parametrize("name", list(ENGINES))
def test_the_built_in_site_understands_every_sweep(name):
    """Each narrower search but those by market asks the built-in site's engine for something of its own."""
    found = [(kind, asked(name, query(name, one))) for kind, one in sweeps(ENGINES[name], Filters())]
    others = [one for kind, one in found if kind != "market"]

    assert {kind for kind, _ in found} == {"size", "colour", "date", "market", "aspect"}
    assert len(set(others)) == len(others)
    assert asked(name, query(name, Filters())) not in others


def test_sweeps_leave_alone_what_was_asked_for():
    """A search for large red pictures is not swept by size or colour, and years are named where ranges can be."""
    base = Filters(size="large", colour="red")
    kinds = {kind for kind, _ in sweeps(ENGINES["bing"], base)}
    dates = [one.date for kind, one in sweeps(ENGINES["google"], base, today=date(2026, 5, 1)) if kind == "date"]

    assert kinds == {"date", "market", "aspect"}
    assert dates[:2] == ["2026-01-01..2026-12-31", "2025-01-01..2025-12-31"]
    assert all(one.colour == "red" for _, one in sweeps(ENGINES["bing"], base))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"size": "huge"}, ["scrape.filters.size", "huge"]),
        ({"exact": "800"}, ["scrape.filters.exact", "800"]),
        ({"date": "2024-13-01..2024-12-31"}, ["scrape.filters.date"]),
        ({"color": "red"}, ["scrape.filters.color", "Did you mean 'colour'"]),
    ],
)
def test_a_wrong_filter_is_named(table, words):
    """A word that is not of the vocabulary is refused with its key."""
    with pytest.raises(ConfigError) as caught:
        parse({"scrape": {"filters": table}}, file=Path("tray.toml"))
    for word in words:
        assert word in str(caught.value)
