"""Every scenario of the built-in site, scraped to its end: what was to be had, what came, and why no more did.

    python benchmarks/scenarios.py [SCENARIO ...] [--results 24] [--pace 0.02] [--seed 5]

Prints one line a scenario: seconds, recall, precision and full-size share against the site's truth, refusals for asking
too much, and each engine's reason.
"""

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dataset.errors import TrayError
from dataset.folder import Record
from dataset.tray import ClassPlan, Scrape
from scraper.engines import ENGINES, pointed_at
from scraper.scrape import Summary, scrape
from scraper.simulator import SCENARIOS, Site

TERM = "pizza"


def main() -> None:
    """Scrape one term on each scenario, and print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="by default all of them")
    options.add_argument("--results", type=int, default=24, help="the most pictures that an engine offers")
    options.add_argument("--pace", type=float, default=0.02)
    options.add_argument("--seed", type=int, default=5)
    chosen = options.parse_args()
    row = "{:<18} {:>7} {:>6} {:>6} {:>6} {:>8}  {}"
    print(row.format("scenario", "seconds", "recall", "prec.", "full", "refusals", "stopped because"))
    with tempfile.TemporaryDirectory() as drawn:
        for name in chosen.scenarios or SCENARIOS:
            with Site(seed=chosen.seed, scenario=name, results=chosen.results, cache=Path(drawn)) as site:
                # On a busy machine drawing takes longer than the scraper would wait for a host.
                with ThreadPoolExecutor(2) as pool:
                    list(pool.map(site.world.darkroom.bytes_of, site.truth.addresses(TERM)))
                print(row.format(name, *measured(site, chosen.pace)), flush=True)


def measured(site: Site, pace: float) -> tuple[str, ...]:
    """Return the figures of one scrape, as text."""
    settings = Scrape(pace=pace, connect_timeout=2.0, read_timeout=5.0, total_timeout=10.0, host_spacing=0.0)
    engines = [pointed_at(engine, site.url) for engine in ENGINES.values()]
    records: list[Record] = []
    reasons: list[str] = []
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as into:
        plan = ClassPlan(TERM, (TERM,), 100_000)
        try:
            for step in scrape([plan], Path(into), settings, engines=engines, site=site.url):
                if isinstance(step, Record):
                    records.append(step)
                elif isinstance(step, Summary):
                    reasons.append(f"{step.engine}: {step.stopped_because.partition(':')[0]} ({step.seen})")
        except TrayError as error:
            reasons.append(f"{type(error).__name__}, exit code {error.exit_code}")
    score = site.truth.score([TERM], [(one.sha256, one.url) for one in records if one.kept])
    return (
        f"{time.perf_counter() - started:.1f}",
        *(f"{share:.3f}" for share in (score.recall, score.precision, score.full_share)),
        str(sum(site.gate.refusals(name) for name in ENGINES)),
        "; ".join(reasons),
    )


if __name__ == "__main__":
    main()
