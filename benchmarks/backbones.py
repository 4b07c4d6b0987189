"""Whether each backbone builds by its name, sees what Keras would show it, and says the same in every runtime.

    python benchmarks/backbones.py [NAME...] [--pictures 8]

Nothing is downloaded: the weights are drawn by chance, and so are the pictures. A row tells

size        the side of the pictures, and in brackets that of Keras's own network where it is another
parameters  how many there are, in millions
shown       the largest difference of our preprocessing to Keras's ``preprocess_input``, over whole pictures
maps        what features are taken from: the last map, and the last one that is larger
computes    LiteRT, or Keras where LiteRT can't or differs by more than 1e-3
differs     the largest difference of LiteRT's features to Keras's, of vectors of length 1
function    pictures a second by ``tf.function``, and by what computes; and how many times as many the second are
by          (shortest times of ``--rounds`` in turns; only ratios are to be trusted on a busy machine)

Each name has a process of its own: the largest need up to 12 GB of memory.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from dataset.tray import Train
from train import backbones

NAMES = (*backbones.BACKBONES, "mobilenet_0.50_224", "mobilenet_0.25_128", "mobilenetv2_0.35_224")
HEAD = f"{'name':20} {'size':>9} {'parameters':>10} {'shown':>7}  {'maps':24} {'computes':8} {'differs':>7} {'function':>8} {'by':>7} {'ratio':>5}"  # fmt: skip  # noqa: E501


def main() -> None:
    """Print a row per backbone; a name that fails gets its reason, and the rest go on."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", default=NAMES)
    options.add_argument("--pictures", type=int, default=8)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(measured(asked.names[0], asked.pictures, asked.rounds)))
        return
    print(HEAD)
    for name in asked.names:
        command = [sys.executable, "-W", "ignore", __file__, name, "--one"]
        command += ["--pictures", str(asked.pictures), "--rounds", str(asked.rounds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [""])[-1]
            print(f"{name:20} failed with {done.returncode}: {last}", flush=True)
        else:
            print(row(name, json.loads(done.stdout.splitlines()[-1])), flush=True)


def measured(name: str, pictures: int, rounds: int) -> dict[str, Any]:
    """Return one backbone's figures."""
    from train.backend import keras
    from train.features import extractor
    from train.forward import Lite, by_keras, drawn, fastest
    from train.plan import effective

    settings = effective(Train(model=name, weights=backbones.BY_CHANCE))
    size = settings.image_size or 0
    (known,) = backbones.find_all(name)
    make = getattr(keras.applications, known.application)
    with_ = extractor(settings)
    model = with_.model()
    backbone = model.get_layer("backbone_0")
    pixels = drawn(pictures, size)
    own = sys.modules[make.__module__].preprocess_input(pixels.astype(np.float32))
    shown = backbones.preprocess(pixels.astype(np.float32), known.preprocessing)
    with tempfile.TemporaryDirectory() as store:
        forward = fastest(lambda: model, size, ("",), store=Path(store), key=name)
    function = by_keras(model, size, ("",))
    said, expected = forward(pixels)[""], function(pixels)[""]
    seconds = {"function": np.inf, "by": np.inf}
    for _ in range(rounds):
        for way, works in (("function", function), ("by", forward)):
            started = time.perf_counter()
            works(pixels)
            seconds[way] = min(seconds[way], time.perf_counter() - started)
    return {
        "size": size,
        "own": make(weights=None).input_shape[1],
        "parameters": backbone.count_params(),
        "shown": float(np.abs(np.asarray(shown) - own).max()),
        "maps": ["x".join(map(str, one.shape[1:])) for one in backbone.output],
        "computes": "LiteRT" if isinstance(forward, Lite) else "Keras",
        "differs": float(np.abs(said - expected).max()),
        "finite": bool(np.isfinite(expected).all() and expected.std(axis=0).max() > 0),
    } | {way: pictures / taken for way, taken in seconds.items()}


def row(name: str, found: dict[str, Any]) -> str:
    """Return a line of the table."""
    size = str(found["size"]) + (f" ({found['own']})" if found["own"] not in {None, found["size"]} else "")
    return (
        f"{name:20} {size:>9} {found['parameters'] / 1e6:10.2f} {found['shown']:7.0e}  "
        f"{' '.join(found['maps']):24} {found['computes']:8} {found['differs']:7.0e} {found['function']:8.1f} "
        f"{found['by']:7.1f} {found['by'] / found['function']:5.2f}"
        + ("" if found["finite"] else "  its features do not tell pictures apart")
    )


if __name__ == "__main__":
    main()
