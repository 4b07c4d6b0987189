"""Whether predicting streams: how many pictures a second, and whether memory grows with their number.

    python benchmarks/predicting.py RUN PHOTOS [--files 10000]

PHOTOS is a folder of pictures; links to them, over and over, make a folder of as many files as wanted, and a file that
is no picture lies among each thousand.
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path

from dataset.folder import pictures
from train.predict import predict
from train.runs import open_run

PAGE_KIB = 1024


def main() -> None:
    """Print a row for each tenth of the files: how many were told, how fast, and the memory held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--files", type=int, default=10_000)
    asked = parser.parse_args()
    run, photos = open_run(asked.run), [path.resolve() for path in pictures(asked.photos)]
    if not photos:
        parser.error(f"Expected a folder with pictures in it, not in folders below. Received: {asked.photos}.")
    with tempfile.TemporaryDirectory() as folder:
        for number, photo in enumerate(itertools.islice(itertools.cycle(photos), asked.files)):
            link = Path(folder, f"{number:07}.jpg")
            if number % 1000:
                link.symlink_to(photo)
            else:
                link.write_text("<html>")
        started, unread = time.perf_counter(), 0
        print(f"{'files':>8} {'unreadable':>10} {'a second':>9} {'memory MiB':>11}")
        for number, one in enumerate(predict(run, pictures(Path(folder))), start=1):
            unread += bool(one.error)
            if number % max(1, asked.files // 10) == 0:
                speed = number / (time.perf_counter() - started)
                print(f"{number:8} {unread:10} {speed:9.0f} {resident():11.0f}", flush=True)


def resident() -> float:
    """Return the memory that this process holds, in MiB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / PAGE_KIB
    raise OSError("Expected VmRSS in /proc/self/status: this benchmark needs Linux.")


if __name__ == "__main__":
    main()
