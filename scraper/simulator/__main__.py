"""Serves the built-in search site in the foreground, for a person with a browser."""

import argparse
import signal
import sys
from pathlib import Path
from urllib.parse import quote_plus

from dataset.errors import TrayError
from scraper.simulator import SCENARIOS, Site
from scraper.simulator.furniture import TRY


def main() -> int:
    """Serve until interrupted; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scraper.simulator", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=8600, help="the engines' port; the picture hosts take those after it"
    )
    parser.add_argument("--scenario", default="realistic", choices=sorted(SCENARIOS))
    parser.add_argument("--results", type=int, default=60, help="the most pictures that an engine offers for a term")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="a folder that keeps the drawn pictures")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Site(
            seed=asked.seed, scenario=asked.scenario, results=asked.results, port=asked.port, cache=asked.cache
        ) as site:
            say(site)
            signal.pause()
    except TrayError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


def say(site: Site) -> None:
    """Print the three addresses, and terms to try."""
    term = quote_plus(TRY[1])
    lines = (
        f"The built-in search site is at {site.url} ({site.scenario.about}). Ctrl-C ends it.",
        f"Google  {site.url}/google/search?q={term}&udm=2&hl=en",
        f"Bing    {site.url}/bing/images/search?q={term}",
        f"Yahoo   {site.url}/yahoo/search/images?p={term}&b=1",
        f"Terms to try: {', '.join(TRY)}, or any other.",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
