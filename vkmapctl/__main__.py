"""`python -m vkmapctl`, and the `vkmapctl` command."""

import gc
import io
import os
import sys
from contextlib import suppress


def main() -> None:
    """Ends the process with the command's exit code."""
    if sys.platform != "linux":  # before anything is imported that only Linux has
        from vkmapctl.errors import of_system

        refused = of_system(sys.platform)
        assert refused is not None
        print(f"Error: {refused.message}", *(f"Hint: {hint}" for hint in refused.hints), sep="\n", file=sys.stderr)
        sys.exit(refused.exit_code)
    try:
        gc.disable()  # importing makes no garbage, and looking for it would take a twentieth of a probe
        _open_standard_streams()
        import signal

        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                signal.signal(number, _interrupt)
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
        sys.unraisablehook = _again
        from vkmapctl.cli import main as run

        gc.freeze()  # what was imported stays
        gc.enable()
        code = int(run())
    except KeyboardInterrupt:  # while the program itself was being loaded
        _say("interrupted")
        code = 130
    except Exception as error:  # of a machine that lets nothing be loaded
        from vkmapctl.errors import of_exception

        told = of_exception(error)
        _say(told.message)
        code = told.exit_code
    try:
        sys.stdout.flush()
    except OSError:  # whoever read it has gone
        code = code or 130
    except KeyboardInterrupt:  # or does not wait
        _say("interrupted")
        code = code or 130
    with suppress(OSError, KeyboardInterrupt):
        sys.stderr.flush()
    os._exit(code)  # taking every module apart first would cost a probe a tenth of its time


def _say(line: str) -> None:
    with suppress(OSError):
        print(f"Error: {line}", file=sys.stderr)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _again(ignored: "sys.UnraisableHookArgs") -> None:
    """An interrupt that came where Python ignores exceptions, as in a weak reference's callback, comes again."""
    if ignored.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(ignored)
        return
    import signal

    signal.setitimer(signal.ITIMER_REAL, 0.01)


def _nowhere() -> int:
    """A file that has nothing to read, and that nobody reads."""
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError:  # a root without devices
        return os.memfd_create("nowhere")


def _open_standard_streams() -> None:
    """A stream that the caller closed leads nowhere; else the next file opened would get its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            opened = _nowhere()
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))
    from vkmapctl.text import SIMILAR, know_similar

    know_similar()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=SIMILAR)  # a terminal may know fewer characters than are drawn on it


if __name__ == "__main__":
    main()
