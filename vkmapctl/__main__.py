"""`python -m vkmapctl`, and the `vkmapctl` command."""

import gc
import os
import sys


def main() -> None:
    """Ends the process with the command's exit code."""
    gc.disable()  # importing makes no garbage, and looking for it would take a twentieth of a probe
    _open_standard_streams()
    try:
        import signal

        signal.signal(signal.SIGTERM, _interrupt)
        from vkmapctl.cli import main as run

        gc.freeze()  # what was imported stays
        gc.enable()
        code = int(run())
    except KeyboardInterrupt:  # while the program itself was being loaded
        code = 130
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # whoever read it has gone
        code = code or 130
    os._exit(code)  # taking every module apart first would cost a probe a tenth of its time


def _interrupt(*_: object) -> None:
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
