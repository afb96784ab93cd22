"""`python -m vkmapctl`, and the `vkmapctl` command."""

import sys

from vkmapctl.cli import main as run


def main() -> None:
    """Ends the process with the command's exit code."""
    sys.exit(int(run()))


if __name__ == "__main__":
    main()
