"""Whether each backbone's name builds: its parameters, its size and the maps that features are taken from.

    python benchmarks/backbones.py [NAME...]

Nothing is downloaded: the weights are drawn by chance. The largest need some gigabytes of memory.
"""

import sys
import time

from train import backbones
from train.backend import keras


def main() -> None:
    """Print a row per backbone."""
    print(f"{'name':20} {'size':>4} {'parameters':>12}  {'last map':16} {'larger map':16} {'seconds':>7}")
    for name in sys.argv[1:] or [*backbones.BACKBONES, "mobilenet_0.50_224", "mobilenetv2_0.35_224"]:
        started = time.perf_counter()
        backbone = backbones.find(name)
        assert backbone, name
        model = backbones.build(name, size=backbone.size, weights=backbones.BY_CHANCE)
        last, larger = ("x".join(map(str, one.shape[1:])) for one in model.output)
        seconds = time.perf_counter() - started
        print(
            f"{name:20} {backbone.size:4} {model.count_params():12,}  {last:16} {larger:16} {seconds:7.1f}", flush=True
        )
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
