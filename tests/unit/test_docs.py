"""Pages made from the program are as the program is."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_made_pages_are_current():
    done = subprocess.run([sys.executable, ROOT / "scripts/make-docs", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
