"""`python -m vkmapctl`, and the `vkmapctl` command."""

import gc
import sys

from vkmapctl import early


def main() -> None:
    """Ends the process with the command's exit code."""
    gc.disable()  # importing makes no garbage, and looking for it would take a quarter of the start
    early.begin(sys.argv[1:])
    from vkmapctl.cli import main as run

    gc.enable()
    sys.exit(int(run()))


if __name__ == "__main__":
    main()
