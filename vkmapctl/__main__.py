"""`python -m vkmapctl`, and the `vkmapctl` command."""

import gc
import os
import sys

from vkmapctl import early


def main() -> None:
    """Ends the process with the command's exit code."""
    gc.disable()  # importing makes no garbage, and looking for it would take a twentieth of a probe
    early.begin(sys.argv[1:])
    from vkmapctl.cli import main as run

    gc.freeze()  # what was imported stays
    gc.enable()
    code = int(run())
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # whoever read it has gone
        code = code or 130
    os._exit(code)  # taking every module apart first would cost a probe a tenth of its time


if __name__ == "__main__":
    main()
