"""Judge the cleaning stage: its verdicts, then its speed beside its peers.

    python benchmarks/cleaning.py --data FOLDER [--peers PYTHON] [--json FILE] [--verdicts FLAGS] [--speed FLAGS]

FOLDER holds folders of class folders of real photographs; PYTHON is that of an environment with imagededup and
cleanvision, which cleaning_speed.py says how to make. Each half has more to ask for, by its own FLAGS, in one word:
``--speed "--only damage"``. Both are run even when one of them fails.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run both halves, one after the other, so that neither disturbs the other's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peers", default="")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--verdicts", default="", help="flags of cleaning_verdicts.py")
    parser.add_argument("--speed", default="", help="flags of cleaning_speed.py")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: half(f"cleaning_{name}.py", asked.data, Path(folder) / f"{name}.json", shlex.split(flags))
            for name, flags in (("verdicts", asked.verdicts), ("speed", f"--peers '{asked.peers}' {asked.speed}"))
        }
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    failed = [name for name, figures in found.items() if figures is None]
    if failed:
        sys.exit(f"Expected figures of both halves. Received: none of {' and '.join(failed)}, as is said above.")


def half(script: str, data: Path, out: Path, flags: Sequence[str]) -> object:
    """Run one half, which prints its tables, and return its figures, or None where it failed."""
    command = [sys.executable, HERE / script, "--data", data, "--json", out, *flags]
    done = subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": str(HERE.parent)})
    return json.loads(out.read_text(encoding="utf-8")) if done.returncode == 0 else None


if __name__ == "__main__":
    main()
