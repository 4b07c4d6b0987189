"""How much the scraper finds, how fast and in how much memory, measured on the built-in site with a real Chromium.

    python benchmarks/scraping.py                                    # all parts but scale
    python benchmarks/scraping.py recall downloads --results 120     # some of them
    python benchmarks/scraping.py scale --tiles 600                  # 10 terms x 3 engines x 600 tiles: half an hour
    python benchmarks/scraping.py peers --peers /tmp/peers/bin/python

Parts: ``recall`` (what `tray scrape` brings per scenario, against the site's ground truth), ``pace`` (the time that a
search takes against the human pauses in it), ``downloads`` (pictures a second on loopback with 32 threads), ``scale``
(memory of one large run) and ``peers`` (our downloader beside icrawler's and img2dataset's on the same addresses,
alternating; an environment of their own is made with ``python -m venv /tmp/peers`` and
``/tmp/peers/bin/pip install icrawler img2dataset``). The site is a process of its own and shares the machine.
Prints a table for each part, and with ``--json`` one JSON object instead. Exit code 1 says that a target was missed.
"""

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dataset.folder import ClassFolder, records
from dataset.images import inspect
from dataset.tray import ClassPlan, Scrape
from scraper.browser import Window
from scraper.chromium import chromium
from scraper.engines import ENGINES, Candidate, pointed_at
from scraper.gathering import Gathering
from scraper.pacing import Rhythm
from scraper.scrape import Run
from scraper.search import search
from scraper.simulator import SCENARIOS, Scenario, Site
from scraper.simulator.words import normal
from scraper.tally import Tally

TERMS = (
    "pizza", "quiche", "red apple", "green apple", "car", "banana", "bread", "salad", "coffee cup", "orange",
)  # fmt: skip
FAILING = {"404": 3, "403": 2, "html": 2, "denied": 1, "json": 1, "truncated": 2, "timeout": 0.3, "429": 2, "503": 2}
FAILING |= {"svg": 1, "ico": 1, "empty": 1, "tiny": 1, "gif": 1, "animated": 1, "bmp": 1, "avif": 1, "reset": 1}
SCENES = {
    "clean": SCENARIOS["clean"],
    "realistic": replace(
        SCENARIOS["realistic"],
        about="one address in five fails or lies about its type, pictures repeat, and engines throttle",
        failing=0.2, failures=FAILING, repeats=0.08, throttle=2, lifts=10.0, hold=20.0,
    ),
    "drift": SCENARIOS["drift"],
    "near-duplicates": SCENARIOS["near-duplicates"],
    "hosts": SCENARIOS["hosts"],
    "bodies": SCENARIOS["bodies"],
    "types": SCENARIOS["types"],
    "odd-addresses": SCENARIOS["odd-addresses"],
}  # fmt: skip
RECALL = {"clean": 0.98, "realistic": 0.95, "drift": 0.90}
"""The least recall of a scenario; the others are shown without one."""
FULL_SHARE = 0.95
PAUSES_RATIO = 1.5
PER_SECOND = 300
THREADS = 32
RESIDENT_MB = 600
HASTE = 0.02
"""Pace of the parts that do not measure it."""
HUMAN = {"realistic": 1.0}
"""Pace of the scenarios in which engines throttle: in haste none of them could be spared."""
PEERS = {
    "icrawler": """
import logging, sys
from icrawler.builtin import UrlListCrawler
crawler = UrlListCrawler(storage={"root_dir": sys.argv[2]}, downloader_threads=32, log_level=logging.CRITICAL)
crawler.crawl(sys.argv[1], max_num=10**6)
""",
    "img2dataset": """
import sys
from img2dataset import download
if __name__ == "__main__":
    download(sys.argv[1], output_folder=sys.argv[2], input_format="jsonl", url_col="url", resize_mode="no",
             skip_reencode=True, processes_count=1, thread_count=32, enable_wandb=False)
""",
}
PEER_SECONDS = 300
"""How long a peer may take over the addresses before it is stopped."""
NO_PICTURE = {".json", ".jsonl", ".txt", ".parquet", ".lock", ""}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asked for."""

    scenarios: tuple[str, ...]
    results: int
    tiles: int
    addresses: int
    rounds: int
    peers: str | None
    cache: Path


def main() -> int:
    """Run the chosen parts and print what they measured."""
    parts: dict[str, Callable[[Asked], Iterator[dict[str, Any]]]] = {
        "recall": recall, "pace": pace, "downloads": downloads, "peers": peers, "scale": scale,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts))
    parser.add_argument("--scenarios", default=",".join(SCENES), help="comma-separated, for recall")
    parser.add_argument(
        "--results", type=int, default=60, help="pictures an engine offers for each of three terms in recall"
    )
    parser.add_argument("--tiles", type=int, default=200, help="tiles per search in pace and scale")
    parser.add_argument("--addresses", type=int, default=1000, help="addresses in downloads and peers")
    parser.add_argument("--rounds", type=int, default=3, help="of downloads and peers")
    parser.add_argument("--peers", help="Python of the environment that has icrawler and img2dataset")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "tray-site", help="drawn pictures")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(parts):
        parser.error(f"Expected parts among {', '.join(parts)}. Received: {', '.join(unknown)}.")
    scenarios = tuple(asked.scenarios.split(","))
    if unknown := set(scenarios) - set(SCENES):
        parser.error(f"Expected scenarios among {', '.join(SCENES)}. Received: {', '.join(unknown)}.")
    options = Asked(scenarios, asked.results, asked.tiles, asked.addresses, asked.rounds, asked.peers, asked.cache)
    measured: dict[str, list[dict[str, Any]]] = {}
    for name in asked.parts or [name for name in parts if name != "scale"]:
        measured[name] = []
        for row in parts[name](options):
            if not asked.json:
                show(name, row, first=not measured[name])
            measured[name].append(row)
    if asked.json:
        print(json.dumps(measured, indent=2))
    return int(any(row.get("ok") is False for rows in measured.values() for row in rows))


def show(part: str, row: dict[str, Any], *, first: bool) -> None:
    """Print a row of a part's table, under a head for the first."""
    if first:
        print(f"\n{part}\n" + "  ".join(f"{name:>12}" for name in row))
    cells = (f"{value:12.3f}" if isinstance(value, float) else f"{value!s:>12}" for value in row.values())
    print("  ".join(cells), flush=True)


# ---------------------------------------------------------------- the parts


def recall(asked: Asked) -> Iterator[dict[str, Any]]:
    """Measure what `tray scrape` brings of each scenario's pictures, and why each engine ended."""
    for name in asked.scenarios:
        with hosted(SCENES[name], asked.results, asked.cache) as site, tempfile.TemporaryDirectory() as into:
            came = scraped(site.url, TERMS[:3], Path(into) / "found", pace=HUMAN.get(name, HASTE))
            kept = [(one.sha256, one.url) for one in records(Path(into) / "found") if one.kept]
            score = site.ask("score", TERMS[:3], kept)
            least = RECALL.get(name, 0.0)
            yield {
                "scenario": name,
                "recall": score["recall"],
                "precision": score["precision"],
                "full_share": score["full_share"],
                "kept": score["kept"],
                "wanted": score["wanted"],
                "refusals": sum(site.ask("refusals").values()),
                "seconds": came.seconds,
                "ok": score["recall"] >= least and score["precision"] == 1 and score["full_share"] >= FULL_SHARE,
                "stopped_because": {
                    engine: one["stopped_because"].split(";")[0] for engine, one in came.result["engines"].items()
                },
            }


def pace(asked: Asked) -> Iterator[dict[str, Any]]:
    """Measure how long a search takes at the human pace, against the pauses, scrolls and dwells that make it human."""
    with hosted(SCENARIOS["clean"], asked.tiles, asked.cache) as site:
        for name, engine in ENGINES.items():
            rhythm = Rhythm(1.0, 0)
            with chromium(Scrape(), display="headless", site=site.url) as driver:
                window = Resting(driver)
                started = time.monotonic()
                steps = search(window, pointed_at(engine, site.url), TERMS[0], rhythm, keep_page=Path)
                tiles = sum(len(step) for step in steps if isinstance(step, list))
                seconds = time.monotonic() - started
            pauses = rhythm.spent + window.rested
            yield {
                "engine": name, "tiles": tiles, "seconds": seconds, "pauses": pauses, "ratio": seconds / pauses,
                "ok": seconds <= PAUSES_RATIO * pauses,
            }  # fmt: skip


class Resting(Window):
    """A window that counts the seconds for which the mouse rested on pictures."""

    rested = 0.0

    def hover(self, points: Sequence[Sequence[int]], dwell: float) -> None:
        """Hover, and count."""
        self.rested += len(points) * dwell
        super().hover(points, dwell)


def downloads(asked: Asked) -> Iterator[dict[str, Any]]:
    """Measure how many pictures a second are fetched, examined and kept."""
    with hosted(SCENARIOS["clean"], asked.addresses // 2, asked.cache) as site:
        addresses = site.ask("addresses", TERMS[0], asked.addresses)
        site.ask("draw", TERMS[0], asked.addresses)
        for round_ in range(asked.rounds):
            with tempfile.TemporaryDirectory() as into:
                started, cpu = time.monotonic(), time.process_time()
                kept = gathered(addresses, Path(into), site.url)
                seconds = time.monotonic() - started
                cpu = time.process_time() - cpu
                size = sum(path.stat().st_size for path in Path(into).rglob("*.*"))
            yield {
                "round": round_, "addresses": len(addresses), "kept": kept, "mb": size / 1e6, "seconds": seconds,
                "per_second": len(addresses) / seconds, "cpu_ms_each": 1000 * cpu / len(addresses),
                "ok": len(addresses) / seconds >= PER_SECOND,
            }  # fmt: skip


def peers(asked: Asked) -> Iterator[dict[str, Any]]:
    """Compare downloaders on the same addresses, one after the other; every file is judged by its bytes."""
    for name in ("clean", "failing"):
        scenario = SCENES["clean"] if name == "clean" else replace(SCENES["realistic"], failing=0.3, throttle=0)
        with hosted(scenario, asked.addresses // 2, asked.cache) as site:
            addresses = site.ask("addresses", TERMS[0], asked.addresses)
            site.ask("draw", TERMS[0], asked.addresses)
            for round_ in range(asked.rounds):
                for who in ("tray", *(PEERS if asked.peers else ())):
                    yield {"list": name, "round": round_, "who": who} | compared(who, addresses, site, asked)


def scale(asked: Asked) -> Iterator[dict[str, Any]]:
    """Measure the memory of one run over ten terms and three engines, browsers aside."""
    with hosted(SCENARIOS["clean"], asked.tiles, asked.cache) as site, tempfile.TemporaryDirectory() as into:
        came = scraped(site.url, TERMS, Path(into) / "found", pace=HASTE)
        kept = sum(one.kept for one in records(Path(into) / "found"))
        engines = came.result["engines"].values()
        yield {
            "terms": len(TERMS), "tiles": asked.tiles, "seen": sum(one["seen"] for one in engines), "kept": kept,
            "seconds": came.seconds, "resident_mb": came.resident_mb, "ok": came.resident_mb < RESIDENT_MB,
        }  # fmt: skip


# ---------------------------------------------------------------- how they measure


@dataclass(frozen=True, slots=True)
class Came:
    """What one `tray scrape` printed, how long it took, and the most memory that its process held."""

    result: dict[str, Any]
    seconds: float
    resident_mb: float


def scraped(url: str, terms: Sequence[str], into: Path, *, pace: float) -> Came:
    """Run `tray scrape` as a user does, and watch it."""
    command = [sys.executable, "-m", "tray", "scrape", "-q", *terms, "--into", str(into), "--site", url, "--json"]
    command += ["--pace", str(pace), "--limit", "1000000"]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        most = 0.0
        done = threading.Event()

        def watch() -> None:
            nonlocal most
            while not done.wait(0.5):
                most = max(most, resident(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        out, _ = process.communicate()
        done.set()
        watcher.join()
    if process.returncode:
        sys.exit(f"tray scrape ended with exit code {process.returncode}")
    return Came(json.loads(out), time.monotonic() - started, most)


def resident(pid: int) -> float:
    """Return the most memory that a process has held so far, in MB; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def gathered(addresses: Sequence[str], into: Path, url: str, *, threads: int = THREADS) -> int:
    """Download addresses with the scraper's own pool into a class folder; return how many were kept."""
    settings = Scrape(downloads=threads, per_host=threads, host_spacing=0.0, limit=len(addresses), kinds="full-only")
    with ClassFolder(into / "found") as folder:
        one = Gathering(ClassPlan("found", ("list",), settings.limit), folder, settings.kinds)
        run = Run([one], into, settings, engines=(), site=url)
        run.tallies["list"] = Tally()
        try:
            for rank, address in enumerate(addresses, 1):
                run.offer(one, Candidate((address,), ("full",), page=url, engine="list", term="list", rank=rank))
            return sum(record.kept for record in run.go())
        finally:
            run.close()


def compared(who: str, addresses: Sequence[str], site: "Hosted", asked: Asked) -> dict[str, Any]:
    """Let one downloader loose on the addresses; return its speed and what its files are worth."""
    with tempfile.TemporaryDirectory() as into:
        site.ask("forget")
        started, whole = time.time(), True
        if who == "tray":
            gathered(addresses, Path(into), site.url)
        else:
            script, listed = Path(into) / "peer.py", Path(into) / "list.txt"
            script.write_text(PEERS[who], encoding="utf-8")
            lines = addresses if who == "icrawler" else [json.dumps({"url": one}) for one in addresses]
            listed.write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")
            whole = ended_by_itself([str(asked.peers), str(script), str(listed), str(Path(into) / "files")])
        ended = time.time()
        found = [path for path in Path(into).rglob("*") if path.suffix not in {*NO_PICTURE, ".py"} and path.is_file()]
        last = max((path.stat().st_mtime for path in found), default=ended)
        first = min(site.ask("first"), last)
        bodies = [path.read_bytes() for path in found]
        good = site.ask("valid", [judged(path, body) for path, body in zip(found, bodies, strict=True)])
    # The time from the first request to the last file: neither imports nor a slow way to end count against anybody.
    return {
        "files": len(found), "valid": sum(good), "junk": len(good) - sum(good), "twice": len(bodies) - len(set(bodies)),
        "mb": sum(map(len, bodies)) / 1e6, "seconds": last - first, "in_all": ended - started,
        "valid_per_second": sum(good) / max(last - first, 0.001), "ended": whole,
    }  # fmt: skip


def ended_by_itself(command: Sequence[str]) -> bool:
    """Run a peer, for PEER_SECONDS at most; return whether it came to its end."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            process.wait(PEER_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return False
    return True


def judged(path: Path, body: bytes) -> tuple[str, str]:
    """Return a file's SHA-256 and, for a whole picture that a peer encoded anew, the address that it came from."""
    info = inspect(body)
    told = path.with_suffix(".json")
    return info.sha256, json.loads(told.read_bytes())["url"] if told.exists() and not info.error else ""


# ---------------------------------------------------------------- the site, in a process of its own


@dataclass(frozen=True, slots=True)
class Hosted:
    """The built-in site in a process of its own, and the line to it."""

    url: str
    line: Connection

    def ask(self, what: str, *arguments: Any) -> Any:
        """Return the answer to a question about the site."""
        self.line.send((what, arguments))
        return self.line.recv()


@contextmanager
def hosted(scenario: Scenario, results: int, cache: Path) -> Iterator[Hosted]:
    """Serve a scenario in another process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, scenario, results, cache), daemon=True)
    process.start()
    try:
        yield Hosted(ours.recv(), ours)
    finally:
        ours.send(("", ()))
        process.join(10)
        process.kill()


def serve(line: Connection, scenario: Scenario, results: int, cache: Path) -> None:
    """Serve a scenario and answer questions about it until an empty one comes."""
    with Site(scenario=scenario, results=results, cache=cache) as site:
        since = 0

        def draw(term: str, count: int) -> int:
            addresses = [one for one in site.truth.addresses(term) if one.kind == "full"][:count]
            with ThreadPoolExecutor(2) as pool:
                return len(list(pool.map(site.world.darkroom.bytes_of, addresses)))

        def forget() -> None:
            nonlocal since
            since = len(site.log)
            site.gate.__init__()  # type: ignore[misc]

        def first() -> float:
            return min((one.time for one in site.log[since:]), default=0.0)

        def valid(files: Sequence[tuple[str, str]]) -> list[bool]:
            found = [site.truth.by_sha256.get(sha) or site.truth.by_url(url) for sha, url in files]
            return [bool(one and one.valid) for one in found]

        def addresses(term: str, count: int) -> list[str]:
            full = [one for one in site.truth.addresses(normal(term)) if one.kind == "full"]
            return [one.url for one in full][:count]

        def score(terms: Sequence[str], files: Sequence[tuple[str, str]]) -> dict[str, Any]:
            found = site.truth.score(terms, files)
            shares = {"recall": found.recall, "precision": found.precision, "full_share": found.full_share}
            return asdict(found) | shares

        def refusals() -> dict[str, int]:
            return {engine: site.gate.refusals(engine) for engine in ENGINES}

        answers: dict[str, Callable[..., Any]] = {
            "draw": draw, "forget": forget, "first": first, "valid": valid, "addresses": addresses, "score": score,
            "refusals": refusals,
        }  # fmt: skip
        line.send(site.url)
        while (asked := line.recv())[0]:
            line.send(answers[asked[0]](*asked[1]))


if __name__ == "__main__":
    sys.exit(main())
