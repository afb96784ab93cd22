"""A folder of the tests' own for what is built once."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def scratch(name: str) -> Path:
    """A new folder that is gone when this process ends, and stays when a fork of it does."""
    folder, owner = tempfile.mkdtemp(prefix=f"vkmapctl-{name}-"), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return Path(folder)
