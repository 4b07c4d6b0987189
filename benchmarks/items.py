"""What many binary items cost next to one: in training, in predicting, and when one more is added to a finished run.

    python benchmarks/items.py WEIGHTS DATA... [--model mobilenet_0.75_224] [--items 20] [--rounds 2] [--most N]

DATA are folders of class folders; the first ITEMS + 1 classes of all of them are taken. In each round the first item
against all others, then all but the last item, are trained on the same photos and from nothing: no features are known,
and models, figures and reports are written. Then the last item, whose photos the backbone has not seen, is added.
Seconds are those of the processor, over all cores, since a machine is seldom alone; elapsed ones stand beside them.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

from dataset.folder import class_folders, pictures
from dataset.tray import Train
from train import features
from train.data import decode
from train.fit import train
from train.forward import fastest
from train.plan import effective
from train.runs import Run

TRAINED, PREDICTED, ADDED = 1.3, 1.1, 0.05
"""What the ratios are to be at most."""
ASKED, TIMES = 64, 8
"""Pictures in a pass, and how often each is timed."""
Spent = list[tuple[float, float]]


def main() -> None:
    """Print the three ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--model", default="mobilenet_0.75_224")
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--most", type=int, help="photos of a class at most; by default all")
    asked = parser.parse_args()
    settings = effective(Train(model=asked.model, weights=asked.weights))
    with tempfile.TemporaryDirectory() as scratch:
        found = {name: pictures(path) for data in asked.data for name, path in class_folders(data).items()}
        classes = {name: list(itertools.islice(files, asked.most)) for name, files in found.items()}
        *names, last = list(classes)[: asked.items + 1]
        pair, all_, more = (link(Path(scratch) / name, of) for name, of in folders(classes, names, last).items())
        count = sum(len(classes[name]) for name in names)
        print(f"{len(names)} items, {count} photos, and one of {len(classes[last])} photos more; {asked.model}")
        few = link(Path(scratch) / "few", {name: classes[name][:4] for name in names[:2]})
        once({names[0]: few}, Path(scratch) / "warm", settings)
        spent: dict[str, Spent] = {"one": [], "all": [], "add": []}
        for number in range(asked.rounds):
            runs = Path(scratch) / f"runs{number}"
            with timed(spent["one"]):
                once({names[0]: pair}, runs / "one", settings)
            with timed(spent["all"]):
                run = once(dict.fromkeys(names, all_), runs / "all", settings)
            with timed(spent["add"]):
                run = once({last: more}, runs / "all", settings, to=run)
            for name, told in spent.items():
                print(
                    f"round {number + 1}  {name}  {told[-1][0]:6.1f} s busy  {told[-1][1]:6.1f} s elapsed", flush=True
                )
        one, every, add = (median(busy for busy, _ in told) for told in spent.values())
        photos = list(itertools.islice(pictures(all_ / names[0]), ASKED))
        asking = predicting(run, settings, photos)
        for what, ratio, most in (
            (f"training {len(names)} items over training one", every / one, TRAINED),
            (f"predicting {len(names) + 1} items over one pass of the backbone", asking, PREDICTED),
            (f"adding one over training {len(names)}", add / every, ADDED),
        ):
            print(f"{what:55} {ratio:6.3f}  (wanted: at most {most})")


def folders(classes: Mapping[str, Sequence[Path]], names: Sequence[str], last: str) -> dict[str, dict[str, list[Path]]]:
    """Return the class folders of the first item alone, of all items, and of the last one beside them."""
    first, *others = names
    rest = [file for name in others for file in classes[name]]
    every = {name: list(classes[name]) for name in names}
    return {
        "one": {first: every[first], f"not_{first}": rest},
        "all": every,
        "more": every | {last: list(classes[last])},
    }


def link(folder: Path, classes: Mapping[str, Sequence[Path]]) -> Path:
    """Fill class folders with links to pictures, and return the folder that holds them."""
    for name, files in classes.items():
        (folder / name).mkdir(parents=True)
        for number, file in enumerate(files):
            (folder / name / f"{number:04}{file.suffix}").symlink_to(file.resolve())
    return folder


@contextmanager
def timed(told: Spent) -> Iterator[None]:
    """Note the seconds of the processor and those that passed."""
    busy, started = time.process_time(), time.perf_counter()
    yield
    told.append((time.process_time() - busy, time.perf_counter() - started))


def once(datasets: Mapping[str, Path], runs: Path, settings: Train, to: Run | None = None) -> Run:
    """Train, and return the run."""
    *_, run = train(datasets, runs, settings, name="items", to=to)
    assert isinstance(run, Run)
    return run


def predicting(run: Run, settings: Train, photos: Sequence[Path]) -> float:
    """Return how much longer a run with all its heads takes than its backbone, by turns on the same photos."""
    pixels = np.stack([decode(photo, run.image_size) for photo in photos])
    trunk = features.extractor(settings)
    with tempfile.TemporaryDirectory() as store:
        bare = fastest(trunk.model, trunk.input_size, ("",), store=Path(store), key=trunk.key)
        ratios = []
        for number in range(TIMES + 1):
            spent: Spent = []
            for ask in (run.probabilities, bare) if number % 2 else (bare, run.probabilities):
                with timed(spent):
                    ask(pixels)
            whole, alone = spent if number % 2 else spent[::-1]
            ratios.append(whole[0] / alone[0])
    # The first pass makes what the others use.
    return median(ratios[1:])


if __name__ == "__main__":
    main()
