"""Measure how fast, how lean and how steady the cleaning stage is, beside its peers.

    python benchmarks/cleaning_speed.py --data FOLDER [--peers PYTHON] [--only scan,group,...] [--json FILE]

FOLDER holds folders of class folders of real photographs. PYTHON is that of an environment with the peers in it:

    python -m venv peers
    peers/bin/pip install cleanvision scikit-learn PyWavelets && peers/bin/pip install --no-deps imagededup

(imagededup's hashing does without the torch that it asks for.) Speeds are CPU seconds of whole processes, in which
other work on the machine hardly shows; peers and ours take turns, and the least of the rounds counts.

- ``scan``: CPU seconds per picture of about a megapixel: full scan, hash alone, hash and SHA-256, imagededup's hashing,
  cleanvision.
- ``group``: pictures scanned and grouped, against imagededup's encode and find.
- ``search``: all pairs of 100,000 hashes against imagededup's, then a million; what turns and crops add.
- ``again``: a build with nothing changed, 100 pictures added to 100,000 hashes, and 500 to 20,000 pictures.
- ``memory``: peak of a build's process above what it has after its imports, and what each further picture adds.
- ``damage``: cut JPEGs that are found, whole ones that are accused.
- ``order``: the same pictures in other orders and on other engines, byte by byte.
"""

import argparse
import io
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageChops

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.cleaning_peers import used
from dataset import scan as scanning
from dataset.build import Built, build_folder
from dataset.folder import pictures
from dataset.images import ImageInfo, inspect, read
from dataset.prints import CROPS, Print
from dataset.relations import relate
from dataset.scan import SHARD, Picture, remembering, scan
from dataset.search import Hashes, candidates, join
from dataset.tray import MAX_BYTES, MAX_PIXELS, Build

Row = dict[str, Any]
LIMITS = (MAX_PIXELS, MAX_BYTES)


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line said."""

    photos: tuple[Path, ...]
    pictures: int
    many: int
    grown: int
    rounds: int
    peers: str


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folders of class folders of real photographs")
    parser.add_argument("--peers", default="", help="Python of an environment with imagededup and cleanvision")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--pictures", type=int, default=200, help="pictures of a megapixel in scan")
    parser.add_argument("--many", type=int, default=10_000, help="pictures in group")
    parser.add_argument("--grown", type=int, default=20_000, help="small pictures in again and memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for all figures")
    given = parser.parse_args()
    photos = sorted(path for folder in given.data.rglob("*") if folder.is_dir() for path in pictures(folder))
    photos = [path for path in photos if large_enough(path)]
    random.Random(0).shuffle(photos)
    case = Given(tuple(photos), given.pictures, given.many, given.grown, given.rounds, given.peers)
    rows: list[Row] = []
    for name in given.only.split(","):
        print(f"\n## {name}\n", flush=True)
        for row in PARTS[name](case):
            rows.append({"part": name, **row})
            wanted = f"   wanted {row['wanted']}" if "wanted" in row else ""
            print(f"{row['what']:76} {row['value']:>12,} {row['unit']}{wanted}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def row(what: str, value: float, unit: str, wanted: str = "") -> Row:
    """Return one figure."""
    return {"what": what, "value": float(f"{value:.3g}") if value < 1000 else round(value), "unit": unit} | (
        {"wanted": wanted} if wanted else {}
    )


def megapixels(path: Path) -> float:
    """Return the size of a picture."""
    with Image.open(path) as image:
        return image.width * image.height / 1e6


def large_enough(path: Path) -> bool:
    """Whether a file is a JPEG with something to make smaller."""
    try:
        with Image.open(path) as image:
            return image.format == "JPEG" and min(image.size) >= 180
    except OSError:
        return False


def draw(job: tuple[Path, int, Path], *, side: int) -> None:
    """Write a part of a photograph as a JPEG with ``side`` pixels on its longer side and a camera's noise."""
    source, number, target = job
    chance = np.random.default_rng(number + 1)
    with Image.open(source) as opened:
        image = opened.convert("RGB")
    if number >= 0:
        wide, high = (int(length * 0.55) for length in image.size)
        left, top = (number % 2) * (image.width - wide), (number // 2 % 2) * (image.height - high)
        image = image.crop((left, top, left + wide, top + high))
    scale = side * (0.9 + 0.2 * chance.random()) / max(image.size)
    image = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.BICUBIC)
    grain = Image.effect_noise(image.size, 4).convert("RGB")
    ImageChops.add(image, grain, 1, -128).save(target, quality=82)


def drawn(photos: Sequence[Path], count: int, folder: Path, *, side: int = 1130, classes: int = 1) -> Path:
    """Fill class folders, or one folder, with ``count`` pictures: whole photographs first, then quarters of them.

    They are about as heavy as the JPEGs of more than half a megapixel that a search brought: 155 kB a megapixel.
    """
    jobs = []
    for number in range(count):
        place = folder / "abcdefgh"[number % classes] if classes > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        turn = number // len(photos) - 1
        jobs.append((photos[number % len(photos)], turn, place / f"{number:06}.jpg"))
    with ProcessPoolExecutor() as processes:
        list(processes.map(partial(draw, side=side), jobs, chunksize=16))
    return folder


@contextmanager
def scratch() -> Iterator[Path]:
    """Lend a folder."""
    with tempfile.TemporaryDirectory(prefix="cleaning") as name:
        yield Path(name)


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the CPU seconds and the seconds of a piece of work."""
    started, clock = used(), time.perf_counter()
    work()
    return used() - started, time.perf_counter() - clock


def ended(steps: Any) -> Any:
    """Run a stage to its end and return its result."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


class Peers:
    """The peers, in a process of their own; ``ask`` returns the CPU seconds of a task."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, str(Path(__file__).with_name("cleaning_peers.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd="/",
        )  # fmt: skip

    def ask(self, task: str, **given: Path) -> float:
        """Let the peers do a task."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"task": task} | {name: str(path) for name, path in given.items()}) + "\n")
        self.process.stdin.flush()
        return float(json.loads(self.process.stdout.readline())["seconds"])


@contextmanager
def peers(python: str) -> Iterator[Peers | None]:
    """Hold the peers, if there are any."""
    held = Peers(python) if python else None
    try:
        yield held
    finally:
        if held:
            held.process.kill()
            held.process.wait()


def hash_all(paths: Iterable[Path], *, sha256: str = "") -> None:
    """Integrity and hash of files, and their SHA-256 where it is not given: what the scraper asks of a picture."""
    for path in paths:
        inspect(path.read_bytes(), sha256=sha256)


def scan_all(root: Path, paths: Sequence[Path], cache: Path) -> None:
    """Scan files as a build does, into an empty cache."""
    cache.unlink(missing_ok=True)
    with remembering(cache, limits=LIMITS) as memory:
        ended(scan(root, [path.name for path in paths], memory))


def speed(given: Given) -> Iterator[Row]:
    """Compare CPU seconds per picture with the peers'."""
    with scratch() as folder, peers(given.peers) as others:
        paths = list(pictures(drawn(given.photos, given.pictures, folder)))
        yield row("megapixels of a picture", sum(map(megapixels, paths)) / len(paths), "MP")
        yield row("bytes of a picture", sum(path.stat().st_size for path in paths) / len(paths) / 1000, "kB")
        tasks: dict[str, Callable[[], float]] = {
            "full scan": lambda: timed(lambda: scan_all(folder, paths, folder / ".cache"))[0],
            "hash only": lambda: timed(lambda: hash_all(paths, sha256="0" * 64))[0],
            "hash and SHA-256": lambda: timed(lambda: hash_all(paths))[0],
        }
        if others:
            tasks["imagededup, hash"] = lambda: others.ask("encode", folder=folder)
            tasks["imagededup, hash, told to use one process"] = lambda: others.ask("encode alone", folder=folder)
            tasks["cleanvision, all checks"] = lambda: others.ask("check", folder=folder)
        least = dict.fromkeys(tasks, float("inf"))
        for _ in range(given.rounds):
            for name, task in tasks.items():
                least[name] = min(least[name], task())
        for name, seconds in least.items():
            yield row(f"{name}: CPU time of a picture", 1000 * seconds / len(paths), "ms")
        if others:
            dedup, vision = least["imagededup, hash"], least["cleanvision, all checks"]
            lone = least["imagededup, hash, told to use one process"]
            yield row("full scan, times as fast as imagededup's hashing", dedup / least["full scan"], "x", ">= 4")
            yield row("hash only, times as fast as imagededup's hashing", dedup / least["hash only"], "x", ">= 7")
            rate = dedup / least["hash and SHA-256"]
            yield row("hash and SHA-256, times as fast as imagededup's hashing", rate, "x")
            yield row("full scan, times as fast as imagededup in one process", lone / least["full scan"], "x")
            yield row("hash only, times as fast as imagededup in one process", lone / least["hash only"], "x")
            yield row("full scan, times as fast as cleanvision's checks", vision / least["full scan"], "x", ">= 15")


def group(given: Given) -> Iterator[Row]:
    """Scan and group many pictures, against imagededup's encode and find."""
    with scratch() as folder, peers(given.peers) as others:
        paths = list(pictures(drawn(given.photos, given.many, folder)))

        def work() -> None:
            with remembering(folder / ".cache", limits=LIMITS) as memory:
                names = [path.name for path in paths]
                scanned = ended(scan(folder, names, memory))
                usable = {one.info.sha256: name for name, one in zip(names, scanned, strict=True) if one.measures}
                related.append(len(ended(relate(folder, usable, memory))))

        related: list[int] = []
        ours, wall = timed(work)
        yield row(f"{len(paths):,} pictures scanned and grouped", ours, "cpu-s")
        yield row(f"the same, wall clock on {os.cpu_count()} cores", wall, "s")
        yield row("pairs that are the same or related", related[0], "pairs")
        if others:
            theirs = others.ask("encode and find", folder=folder)
            yield row("imagededup, encode and find", theirs, "cpu-s")
            yield row("times as fast as imagededup", theirs / ours, "x", ">= 5")


def planted(count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return random keys, a tenth of them near copies of others."""
    chance = np.random.default_rng(count)
    keys = chance.integers(0, 2**63, count, dtype=np.uint64)
    near = count // 10
    keys[-near:] = keys[chance.integers(0, count // 2, near)]
    for _ in range(4):
        keys[-near:] ^= np.uint64(1) << chance.integers(0, 63, near).astype(np.uint64)
    return keys


def all_pairs(count: int, bits: int) -> None:
    """Find all near pairs of keys, on all cores, and print how many, with CPU seconds, seconds and peak memory."""
    from dataset.workers import HERE

    keys = planted(count)
    size = 1 << 16
    shards = [keys[at : at + size] for at in range(0, count, size)]

    def work() -> None:
        found.append(sum(HERE.map(partial(count_near, bits=bits), shards, keys)))

    found: list[int] = []
    seconds, wall = timed(work)
    print(json.dumps({"pairs": found[0], "cpu": seconds, "wall": wall, "peak": peak()}))


def count_near(ours: Any, theirs: Any, *, bits: int) -> int:
    """Return how many pairs are near, each asked for once."""
    return sum(len(a) for a, _ in join(ours, theirs, bits=bits, once=True))


def alone(call: str) -> Row:
    """Run a function of this module in a fresh process and return what it printed."""
    code = f"import benchmarks.cleaning_speed as speed; speed.{call}"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: Row = json.loads(done.stdout.splitlines()[-1])
    return found


def search(given: Given) -> Iterator[Row]:
    """Find all near pairs of hashes."""
    few = 10_000
    with scratch() as folder, peers(given.peers) as others:
        np.save(folder / "keys.npy", planted(few))
        theirs = others.ask("find", keys=folder / "keys.npy") if others else 0.0
    if theirs:
        yield row(f"imagededup, all pairs of {few:,} hashes within 10 bits", theirs, "cpu-s")
    for count, bits in ((few, 11), (100_000, 11), (1_000_000, 7), (1_000_000, 11)):
        ours = alone(f"all_pairs({count}, {bits})")
        title = f"all pairs of {count:,} hashes within {bits} bits"
        yield row(title, ours["cpu"], "cpu-s")
        if theirs and count <= 100_000:
            times = (count / few) ** 2
            said = "" if count == few else ", its pairs extrapolated from 10,000"
            wanted = ">= 1000" if count > few else ""
            yield row(f"times as fast as imagededup{said}", times * theirs / ours["cpu"], "x", wanted)
        if count == 1_000_000:
            yield row(f"the same, wall clock on {os.cpu_count()} cores", ours["wall"], "s", "<= 120")
            yield row("the same, peak memory of the process", ours["peak"], "MB", "<= 1000")
    hashes = random_hashes(100_000)
    for fresh in (100_000, 100):
        seconds, _ = timed(lambda fresh=fresh: ended(candidates(lambda: hashes, fresh)))
        yield row(f"whole, turned and cropped, {fresh:,} new among 100,000 pictures", seconds, "cpu-s")


def random_hashes(count: int) -> list[Hashes]:
    """Return hashes of so many pictures that have nothing in common, in packs as a scan leaves them."""
    each, chance = CROPS + 8, np.random.default_rng(count)
    numbers = [np.arange(at, min(count, at + SHARD)) for at in range(0, count, SHARD)]
    return [
        Hashes(some, np.full(len(some), each), chance.integers(0, 256, (len(some) * each, 32), dtype=np.uint8))
        for some in numbers
    ]


def again(given: Given) -> Iterator[Row]:
    """Build what is built already, and what has grown."""
    with scratch() as folder:
        small = min(1000, given.grown)
        source = drawn(given.photos, small, folder / "few", classes=2)
        with decoded() as count:
            first, _ = timed(lambda: list(build_folder(source, folder / "out", Build())))
            started = count[0]
            second, _ = timed(lambda: list(build_folder(source, folder / "out", Build())))
            yield row(f"build of {small:,} pictures of a megapixel", first, "cpu-s")
            yield row("nothing changed, times as fast", first / second, "x", ">= 50")
            yield row("nothing changed, pictures decoded", count[0] - started, "pictures", "0")
    yield from added()
    with scratch() as folder:
        source = drawn(given.photos, given.grown + 500, folder / "source", side=320, classes=2)
        extra = sorted(source.rglob("*.jpg"), key=lambda path: path.name)[-500:]
        aside = folder / "aside"
        for path in extra:
            (aside / path.parent.name).mkdir(parents=True, exist_ok=True)
            path.rename(aside / path.parent.name / path.name)
        settings = Build(max_side=96)
        with decoded() as count:
            whole, _ = timed(lambda: list(build_folder(source, folder / "out", settings)))
            before = count[0]
            for path in sorted(aside.rglob("*.jpg")):
                path.rename(source / path.parent.name / path.name)
            grown, _ = timed(lambda: list(build_folder(source, folder / "out", settings)))
            decodes = count[0] - before
        yield row(f"build of {given.grown:,} small pictures", whole, "cpu-s")
        yield row("500 pictures added: build", grown, "cpu-s")
        yield row("500 pictures added: files read and decoded by the scan", decodes, "pictures", "500")


@contextmanager
def decoded() -> Iterator[list[int]]:
    """Count the files that scans of this process read and decode."""
    real, count = scanning.look, [0]

    def look(*values: Any, **named: Any) -> Any:
        count[0] += 1
        return real(*values, **named)

    scanning.look = look
    try:
        yield count
    finally:
        scanning.look = real


def added() -> Iterator[Row]:
    """Add 100 pictures to 100,000 that a cache remembers: load hashes, search, remember."""
    old, new = 100_000, 100
    with scratch() as folder:
        names = [f"{number:064x}" for number in range(old + new)]
        view, box, colours = np.zeros((1, 64, 64), np.uint8), np.zeros((1, 4)), np.zeros((16, 16, 3), np.uint8)
        with remembering(folder / "cache", limits=LIMITS) as memory:
            for some in random_hashes(old + new):
                shas = [names[number] for number in some.numbers]
                prints = (Print(view, box, colours, own) for own in some.levels.reshape(len(shas), -1, 32))
                seen = [Picture(ImageInfo(sha256=sha), 1, None) for sha in shas]
                memory.keep(list(zip(seen, prints, strict=True)))
            memory.base.executemany("INSERT INTO compared VALUES (?)", ((name,) for name in names[:old]))
            memory.base.commit()
        sources = dict.fromkeys(names, "none.jpg")
        least = []
        for _ in range(3):
            with remembering(folder / "cache", limits=LIMITS) as memory:
                least.append(timed(lambda: ended(relate(folder, sources, memory)))[::-1])
                memory.base.executemany("DELETE FROM compared WHERE sha256 = ?", ((name,) for name in names[old:]))
                memory.base.commit()
        wall, seconds = min(least)
        yield row("100 pictures added to 100,000: hashes loaded, searched, remembered", seconds, "cpu-s")
        yield row("the same, wall clock", wall, "s", "<= 2")


def build_alone(source: str, out: str) -> None:
    """Build in a fresh process; print the peak of its memory, and what it had after its imports."""
    Image.init()
    base = resident()
    *_, last = build_folder(Path(source), Path(out), Build(max_side=96))
    assert isinstance(last, Built)
    print(json.dumps({"base": base, "peak": peak(), "kept": last.kept}))


def peak() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def resident() -> float:
    """Return the memory that this process has now, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def memory(given: Given) -> Iterator[Row]:
    """Measure the peak of memory of builds of two sizes."""
    with scratch() as folder:
        peaks = {}
        for count in (given.grown // 10, given.grown):
            source = drawn(given.photos, count, folder / f"source{count}", side=320, classes=2)
            found = alone(f"build_alone({str(source)!r}, {str(folder / f'out{count}')!r})")
            peaks[count] = found["peak"] - found["base"]
            if len(peaks) == 1:
                yield row("Python, numpy, Pillow and tray, imported", found["base"], "MB")
            allowed = f"<= {60 + 0.005 * count:.0f}"
            yield row(f"build of {count:,} pictures: peak above that", peaks[count], "MB", allowed)
            shutil.rmtree(source)
        (few, less), (many, more) = peaks.items()
        yield row("each further picture", 1000 * (more - less) / (many - few), "kB", "<= 5")
        source = drawn(given.photos, 40, folder / "large", side=4000, classes=2)
        found = alone(f"build_alone({str(source)!r}, {str(folder / 'out')!r})")
        yield row("build of 40 pictures of about 12 MP: peak above that", found["peak"] - found["base"], "MB")


def damage(given: Given) -> Iterator[Row]:
    """Cut JPEGs anywhere, and look at whole ones."""
    chance = random.Random(0)
    accused = whole = found = cut = missed = 0
    for path in given.photos[:2000]:
        data = path.read_bytes()
        said = inspect(data, min_side=1)
        if not decodes(data):
            continue
        whole += 1
        accused += bool(said.error)
        if cut < 200:
            cut += 1
            part = data[: chance.randrange(2, len(data))]
            error = inspect(part, min_side=1).error
            found += bool(error)
            # Nothing but the end mark gone: all pixels are there, and the picture is mended, not accused.
            missed += not error and not same_pixels(data, part)
    yield row("JPEGs cut anywhere", cut, "files")
    yield row("found", found, "files")
    yield row("not found, with pixels missing", missed, "files", "0")
    yield row("whole JPEGs", whole, "files", "2,000")
    yield row("accused", accused, "files", "0")


def decodes(data: bytes) -> bool:
    """Whether Pillow decodes all of a picture."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except OSError:
        return False
    return True


def same_pixels(data: bytes, part: bytes) -> bool:
    """Whether a cut picture still has every pixel."""
    return read(data).tobytes() == read(part).tobytes()


def order(given: Given) -> Iterator[Row]:
    """Build the same pictures, written in another order and by another engine, and compare the datasets."""
    with scratch() as folder:
        source = drawn(given.photos, 300, folder / "one" / "source", side=400, classes=3)
        other = folder / "two" / "source"
        for path in sorted(source.rglob("*.jpg"), reverse=True):
            (other / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, other / path.parent.name / path.name)
        outs = []
        for place, engine in ((source, "threads"), (other, "threads"), (source, "dask")):
            outs.append(place.parent / engine / "out")
            list(build_folder(place, outs[-1], Build(engine=engine)))
        trees = [tree(out) for out in outs]
        yield row("files of a dataset", len(trees[0]), "files")
        yield row("differ in another order of files", differing(trees[0], trees[1]), "files", "0")
        yield row("differ on a Dask cluster", differing(trees[0], trees[2]), "files", "0")


def tree(folder: Path) -> dict[str, bytes]:
    """Return a dataset's files and their bytes."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".pool" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> int:
    """Return how many files are not the same in both."""
    return sum(one.get(name) != other.get(name) for name in one.keys() | other.keys())


PARTS: dict[str, Callable[[Given], Iterator[Row]]] = {
    "scan": speed, "group": group, "search": search, "again": again, "memory": memory, "damage": damage,
    "order": order,
}  # fmt: skip

if __name__ == "__main__":
    main()
