"""The process that holds the driver, forked before this one has imported what parses and prints.

Loading the drivers of a machine takes about as long as importing this program. A probe therefore forks before it has
imported anything, the child loads the drivers in a thread, and the three go on side by side.
"""

import _thread  # threading would be imported for nothing else
import os
from mmap import mmap

from vkmapctl.driver import whereabouts

UNUSUAL = {"-h", "--help", "--device", "--emulate", "--inject", "--validate"}


class Forked:
    """A forked child from the parent's side: its id, the pipes to and from it, and the page where it says its calls."""

    def __init__(self, pid: int, replies: int, requests: int, output: int, calls: mmap) -> None:
        self.pid, self.replies, self.requests, self.output, self.calls = pid, replies, requests, output, calls


class Parent:
    """The same pipes from the child's side: what it prints goes there already."""

    def __init__(self, pid: int, requests: int, replies: int) -> None:
        self.pid, self.requests, self.replies = pid, requests, replies


_waiting: list[Forked] = []


def fork() -> Forked | Parent:
    """Forks with a pipe each way and one for the child's standard output and error; returns in both processes."""
    requests, replies, output = os.pipe(), os.pipe(), os.pipe()
    calls = whereabouts.page()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        whereabouts.take(calls)
        os.dup2(output[1], 1)
        os.dup2(output[1], 2)
        for fd in (requests[1], replies[0], *output):
            os.close(fd)
        return Parent(parent, requests[0], replies[1])
    for fd in (requests[0], replies[1], output[1]):
        os.close(fd)
    return Forked(pid, replies[0], requests[1], output[0], calls)


def begin(arguments: list[str]) -> None:
    """Forks the child of an ordinary probe; for any other command line does nothing. Once, before other imports."""
    if arguments[:1] != ["probe"] or any(one.split("=")[0] in UNUSUAL for one in arguments):
        return
    side = fork()
    if isinstance(side, Forked):
        _waiting.append(side)
        return
    try:
        _load_drivers()
        from vkmapctl import worker
        from vkmapctl.driver import child

        child.live(worker.serve_ahead, side)
    finally:
        os._exit(70)


def _load_drivers() -> None:
    """Starts a thread that has the loader load the drivers; the instance then finds them loaded.

    All that the thread does is the call, because two threads that import take turns of 5 ms.
    """
    import ctypes

    from vkmapctl.machine.rights import is_elevated

    if is_elevated():
        return
    try:
        loader = ctypes.CDLL("libvulkan.so.1")
    except OSError:
        return  # said when the loader is needed
    whereabouts.at("vkEnumerateInstanceExtensionProperties")
    count = ctypes.c_uint32()
    _thread.start_new_thread(
        loader.vkEnumerateInstanceExtensionProperties, (None, ctypes.byref(count), None)
    )  # the call's arguments keep count alive


def take() -> Forked | None:
    """The child that `begin` forked, once."""
    return _waiting.pop() if _waiting else None
