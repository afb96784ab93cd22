"""The child of a probe, forked before this process has imported what parses and prints.

Loading the drivers of a machine takes about as long as importing this program. A probe therefore forks before it has
imported anything, the child loads the drivers in a thread, and the three go on side by side.
"""

import _thread  # threading would be imported for nothing else
import os

from vkmapctl.driver import whereabouts
from vkmapctl.driver.forked import Forked, fork, live

UNUSUAL = {"-h", "--help", "--device", "--emulate", "--inject", "--validate"}

_waiting: list[Forked] = []


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
        from vkmapctl.driver.session import serve_ahead

        live(serve_ahead, side)
    finally:
        os._exit(70)


def _load_drivers() -> None:
    """Starts a thread that has the loader load the drivers; the instance then finds them loaded.

    All that the thread does is the call, because two threads that import take turns of 5 ms. Compiled modules that
    are imported meanwhile would wait for it: the dynamic linker lets in one library at a time.
    """
    import ctypes

    import _cffi_backend  # noqa: F401

    from vkmapctl.machine.process import is_elevated

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
