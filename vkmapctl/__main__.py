"""`python -m vkmapctl`, and the `vkmapctl` command."""

import os
import signal
import sys
from typing import NoReturn


def main() -> None:
    """Ends the process with the command's exit code."""
    _open_standard_streams()
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        from vkmapctl.cli import main as run

        code = int(run())
    except KeyboardInterrupt:  # while the program itself was being loaded
        code = 130
    sys.exit(code)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _open_standard_streams() -> None:
    """A stream that the caller closed leads nowhere; else the next file opened would get its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))


if __name__ == "__main__":
    main()
