"""Where the notebooks find weights when they are tests: in a folder, never on the internet."""

import os

from tests.conftest import SHARED

# A folder that is not there sends a notebook to what it does without weights.
os.environ.setdefault("TRAY_WEIGHTS", str(SHARED / "weights"))
