"""Filters and sweeps on the built-in site, with a real Chromium."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dataset.folder import Record, count_distinct, records
from dataset.tray import ClassPlan, Filters
from scraper.scrape import Search, Summary, scrape
from scraper.simulator import Site
from scraper.simulator.filters import Filters as Wanted
from scraper.simulator.filters import size_of
from tests.scraper.conftest import QUICK, engines

PATIENT = replace(QUICK, connect_timeout=20.0, read_timeout=30.0, total_timeout=60.0)
"""Every address works here: only a busy machine keeps one waiting."""


@pytest.fixture(scope="module")
def clean() -> Iterator[Site]:
    """Open a small site where every address works."""
    with Site(seed=5, results=12, scenario="clean") as site:
        yield site


def run(site: Site, into: Path, plan: ClassPlan, settings, *names: str) -> tuple[list[Record], dict[str, Summary]]:
    """Scrape to the end; return the records and the summaries by engine."""
    steps = list(scrape([plan], into, settings, engines=engines(site, *names), site=site.url))
    return (
        [step for step in steps if isinstance(step, Record)],
        {step.engine: step for step in steps if isinstance(step, Summary)},
    )


PLAN = ClassPlan("pizza", ("pizza",), 500)
IN_COLOUR = replace(PATIENT, sweep=True, filters=Filters(colour="color"))


def kind(search: Search) -> str:
    """Return by what a sweep was narrower."""
    return next(word for word in search.filters.split() if word not in {"safe=on", "colour=color"}).split("=")[0]


def test_filters_reach_the_engines_and_the_manifest(clean, tmp_path, caplog):
    """What was asked for is what came, each line names it, and what an engine can't do is said once."""
    settings = replace(PATIENT, filters=Filters(size="large", language="en"))
    with caplog.at_level("WARNING", logger="tray"):
        written, summaries = run(clean, tmp_path, ClassPlan("pizza", ("pizza",), 500), settings)

    wanted = {
        clean.truth.identify(offer.full.url).id
        for name in ("google", "bing", "yahoo")
        for offer in clean.truth.offers("pizza", name, Wanted(size="large"))
    }
    assert {clean.truth.identify(record.url).id for record in written if record.kept} == wanted
    assert all(size_of(record.width, record.height) == "large" for record in written if record.kind == "full")
    assert {record.filters for record in written} == {"size=large safe=on", "size=large safe=on language=en"}
    assert summaries["bing"].cannot == summaries["yahoo"].cannot == ("language=en",)
    assert summaries["google"].cannot == ()
    assert len([line for line in caplog.messages if "language=en" in line]) == 2


def test_a_picture_of_another_size_is_rejected(clean, tmp_path):
    """A least size that an engine can't be asked for is measured on the pictures."""
    settings = replace(PATIENT, filters=Filters(min_size="700x300"))
    written, _ = run(clean, tmp_path, ClassPlan("pizza", ("pizza",), 500), settings, "yahoo")

    assert {record.error for record in written if not record.kept} == {"smaller than asked for"}
    assert all(record.width >= 700 for record in written if record.kept)
    assert any(record.kept for record in written)


@pytest.fixture(scope="module")
def swept(clean, tmp_path_factory) -> tuple[Path, list[Record], dict[str, Summary]]:
    """Sweep one term on Bing until nothing new comes; what is in colour anyway is not swept by colour."""
    into = tmp_path_factory.mktemp("swept")
    return into, *run(clean, into, PLAN, IN_COLOUR, "bing")


def test_sweeps_bring_more_than_the_term(clean, swept):
    """When the term has ended, narrower searches go on, and the summary shows what each brought."""
    into, _, summaries = swept
    summary = summaries["bing"]
    plain = [one for one in summary.searches if not one.sweep]
    sweeps = [one for one in summary.searches if one.sweep]

    assert [one.stopped_because for one in plain] == ["end of results"]
    assert sum(one.new for one in (*plain, *sweeps)) == count_distinct(into / "pizza")
    assert sum(one.new for one in sweeps) >= plain[0].new
    assert {kind(one) for one in sweeps} == {"size", "date", "aspect", "market"}
    assert summary.stopped_because.startswith(f"end of results; {len(sweeps)} sweeps brought ")
    assert [one.new for one in sweeps][-6:] == [0] * 6 or len(sweeps) == 16


def test_the_kinds_that_bring_most_come_first(swept):
    """After one sweep of each kind, the next one is of the kind that brought most."""
    _, _, summaries = swept
    sweeps = [one for one in summaries["bing"].searches if one.sweep]
    first = {kind(one): one.new for one in sweeps[:4]}

    assert len(first) == 4
    assert first[kind(sweeps[4])] == max(first.values())


def test_a_second_run_sweeps_nothing_again(clean, swept):
    """Sweeps that were finished are known, and no browser starts for them."""
    into, _, _ = swept
    before = len(clean.log)
    again, summaries = run(clean, into, PLAN, IN_COLOUR, "bing")

    assert again == []
    assert len(clean.log) == before
    assert summaries["bing"].stopped_because == "nothing left to search"


def test_a_broken_off_run_goes_on_with_the_sweeps_that_are_left(clean, tmp_path):
    """A run which reached its limit in the middle of the sweeps is taken on by one that wants more."""
    first = replace(PLAN, limit=20)
    run(clean, tmp_path, first, replace(PATIENT, sweep=True), "bing")
    done = [json.loads(line) for line in (tmp_path / "pizza" / "progress.jsonl").read_text().splitlines() if line]
    _, summaries = run(clean, tmp_path, replace(PLAN, limit=26), replace(PATIENT, sweep=True), "bing")

    assert count_distinct(tmp_path / "pizza") == 26
    assert not {note["filters"] for note in done} & {one.filters for one in summaries["bing"].searches}


def test_the_limit_is_reached_exactly_by_sweeps(clean, tmp_path):
    """Three engines sweep side by side, and stop at the limit."""
    written, summaries = run(clean, tmp_path, replace(PLAN, limit=40), replace(PATIENT, sweep=True))

    assert count_distinct(tmp_path / "pizza") == 40
    assert {one.stopped_because for one in summaries.values()} == {"limit reached"}
    assert any(one.sweep for summary in summaries.values() for one in summary.searches)
    assert written == list(records(tmp_path / "pizza"))


def test_enough_without_sweeps_means_none(clean, tmp_path):
    """A limit that the term itself reaches is reached without a narrower search."""
    _, summaries = run(clean, tmp_path, replace(PLAN, limit=6), replace(PATIENT, sweep=True), "bing")

    assert [one.sweep for one in summaries["bing"].searches] == [False]
