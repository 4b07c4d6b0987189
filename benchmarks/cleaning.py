"""Judge the cleaning stage: its verdicts, then its speed beside its peers.

    python benchmarks/cleaning.py --data FOLDER [--peers PYTHON] [--json FILE]

FOLDER holds folders of class folders of real photographs; PYTHON is that of an environment with imagededup and
cleanvision, which cleaning_speed.py says how to make. Each half has more to ask for, by its own flags.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run both halves, one after the other, so that neither disturbs the other's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peers", default="")
    parser.add_argument("--json", type=Path, help="file for all figures")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "verdicts": half("cleaning_verdicts.py", asked.data, Path(folder) / "verdicts.json"),
            "speed": half("cleaning_speed.py", asked.data, Path(folder) / "speed.json", "--peers", asked.peers),
        }
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def half(script: str, data: Path, out: Path, *options: str) -> object:
    """Run one half, which prints its tables, and return its figures."""
    command = [sys.executable, HERE / script, "--data", data, "--json", out, *options]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(HERE.parent)})
    return json.loads(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
