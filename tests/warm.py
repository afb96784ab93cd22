"""Command lines in processes of their own that need not start an interpreter each: a warm one forks for every command.

A command has its own environment, folder and output, and loads the driver itself: nothing of it is loaded before the
fork. What a start itself does is seen where `python -m vkmapctl` is run (test_output.py, test_startup.py, the pages).
"""

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, NoReturn

LARGEST_REQUEST = 1 << 20
NUMBER = struct.Struct("i")  # what the pipe says: the process's id, then how it ended
PARENTS = ("commands", "figures", "model", "plans", "reports", "saved")  # the rooms that know no driver


class Command:
    """A command line that runs, much as subprocess.Popen has it; what it prints goes to files."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str]) -> None:
        self.arguments, self.returncode = arguments, None
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        request = {"arguments": arguments, "environment": environment, "folder": os.getcwd()}
        self._status, theirs = os.pipe()
        socket.send_fds(
            _interpreter(), [json.dumps(request).encode()], [self._out.fileno(), self._err.fileno(), theirs]
        )
        os.close(theirs)
        self.pid = self._next_number(10)

    def _next_number(self, timeout: float) -> int:
        readable, _, _ = select.select([self._status], [], [], timeout)
        if not readable:
            raise subprocess.TimeoutExpired(list(self.arguments), timeout)
        number = os.read(self._status, NUMBER.size)
        assert number, "the warm interpreter has died"
        return int(NUMBER.unpack(number)[0])

    def send_signal(self, number: int) -> None:
        """Sends a signal to the command itself."""
        os.kill(self.pid, number)

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        ended = self.returncode is None and select.select([self._status], [], [], 0)[0]
        return self.wait(0) if ended else self.returncode

    def wait(self, timeout: float) -> int:
        """The exit code, or the negative number of the signal that killed it. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self.returncode = self._next_number(timeout)
            os.close(self._status)
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """stdout and stderr, once it has ended; one that takes longer is killed. Raises subprocess.TimeoutExpired."""
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGKILL)
            raise
        return _text(self._out), _text(self._err)


def _text(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode()


@functools.cache
def _interpreter() -> socket.socket:
    """Where to send requests to; it ends when this process does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours


def load_parents() -> None:
    """Imports what every command imports, and no driver."""
    for room in ("", *PARENTS):
        package = importlib.import_module(f"vkmapctl.{room}".rstrip("."))
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not module.ispkg and not module.name.startswith(("vkmapctl._", "vkmapctl.pytest_plugin")):
                importlib.import_module(module.name)
    assert "vulkan" not in sys.modules, "a command would find the loader there"


def _serve(requests: socket.socket) -> None:
    """Forks for every request until nobody can send one."""
    load_parents()
    gc.disable()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever stops the tests closes the socket too
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, LARGEST_REQUEST, 3)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            _keep(json.loads(message), *descriptors)
        for one in descriptors:
            os.close(one)


def _keep(request: dict, out: int, err: int, status: int) -> NoReturn:
    """The command's parent: says its process id, and then how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(status)
        become(request, out, err)
    os.write(status, NUMBER.pack(pid))
    _, ended = os.waitpid(pid, 0)
    os.write(status, NUMBER.pack(os.waitstatus_to_exitcode(ended)))
    os._exit(0)


def become(request: dict, out: int, err: int) -> NoReturn:
    """Turns this process into the command. request: its arguments, environment and folder."""
    from vkmapctl.__main__ import main

    for ours, standard in ((out, 1), (err, 2)):
        os.dup2(ours, standard)
        os.close(ours)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["vkmapctl", *request["arguments"]]
    try:
        main()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
