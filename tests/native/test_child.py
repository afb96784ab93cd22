"""The process that holds the driver, as its parent sees it end in every way."""

import faulthandler
import itertools
import os
import resource
import select
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from vkmapctl.driver.messages import Calibrate, Describe, Described, Measured, Prove, Round, pack, request_of
from vkmapctl.driver.process import Child, Died, Interrupted, Interrupts
from vkmapctl.errors import CallFailed, DriverDied, ExitCode, Unsupported, VkmapError
from vkmapctl.inside import whereabouts
from vkmapctl.native import Results

HELLO = Described("1.4.309", ("layer",), (), ())


def serving(answer):
    """serve() that answers each request by answer(request, channel)."""

    def serve(channel):
        for request in channel.requests():
            answer(request_of(request), channel)

    return serve


@pytest.fixture
def child():
    """Starts children and closes them; each must leave no process and no file descriptor behind."""
    children, files = [], len(os.listdir("/proc/self/fd"))

    def start(serve, *, timeout=20.0, **options):
        one = Child(serve, timeout=timeout, interrupts=options.pop("interrupts", Interrupts()), **options)
        children.append((one, one.pid))
        return one

    yield start
    for one, pid in children:
        one.close(0)
        assert is_gone(pid)
    assert len(os.listdir("/proc/self/fd")) == files


@contextmanager
def pipe():
    ends = os.pipe()
    try:
        yield ends
    finally:
        for fd in ends:
            os.close(fd)


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def die_by(number):
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), number)
    signal.pause()


def end_of(one, request=None):
    with pytest.raises(Died) as caught:
        next(one.ask(request or Describe()))
    return caught.value


# --- messages -------------------------------------------------------------------------------------


def test_messages_round_trip(child):
    def answer(request, channel):
        match request:
            case Describe():
                channel.send(pack(HELLO))
            case Prove(device):
                for i in range(device):
                    channel.send(pack(Round((float(i), None))))
                channel.send(pack(Measured(("", "VK_ERROR_DEVICE_LOST"))))

    one = child(serving(answer))
    assert one.describe() == HELLO
    replies = one.ask(Prove(3))
    assert [next(replies) for _ in range(4)] == [
        *(Round((float(i), None)) for i in range(3)),
        Measured(("", "VK_ERROR_DEVICE_LOST")),
    ]
    assert one.answer(Describe(), Described) == HELLO


def test_messages_larger_than_a_pipe(child):
    large = Described("x" * (1 << 20), (), (), ())
    one = child(serving(lambda request, channel: channel.send(pack(large))))
    assert one.describe() == large


def test_what_the_child_counts_in_shared_memory_is_seen(child):
    results = Results(1)

    def answer(request, channel):
        results.stats[0].rate_pairs = 42
        channel.send(pack(HELLO))

    child(serving(answer)).describe()
    assert results.total("rate_pairs") == 42


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [Unsupported("no device", "install one", "or two"), CallFailed("vkCreateDevice failed")]
)
def test_an_error_of_ours_is_raised_in_the_parent(child, error):
    def answer(request, channel):
        raise error

    with pytest.raises(VkmapError) as caught:
        child(serving(answer)).describe()
    assert (caught.value.message, caught.value.hints) == (error.message, error.hints)
    assert caught.value.exit_code == error.exit_code


def test_a_bug_in_the_child_is_an_internal_error_with_its_traceback(child):
    def answer(request, channel):
        raise ZeroDivisionError("for example")

    with pytest.raises(VkmapError) as caught:
        child(serving(answer)).describe()
    assert caught.value.exit_code == ExitCode.INTERNAL
    assert caught.value.hints[-1] == "ZeroDivisionError: for example"


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_names_the_signal_and_keeps_the_last_words(child, number):
    def answer(request, channel):
        os.write(1, b"driver: about to\n")
        os.write(2, b"driver: stumble\n")
        die_by(number)

    died = end_of(child(serving(answer)))
    assert (died.kind, died.how) == ("crashed", f"killed by {number.name}")
    assert died.output.splitlines() == ["driver: about to", "driver: stumble"]


def test_a_signal_without_a_name(child):
    died = end_of(child(serving(lambda request, channel: die_by(signal.SIGRTMIN + 5))))
    assert died.kind == "crashed"
    assert str(signal.SIGRTMIN + 5) in died.how or "SIGRTMIN" in died.how


@pytest.mark.parametrize("status", [0, 3])
def test_an_end_without_an_answer_is_a_crash(child, status):
    died = end_of(child(serving(lambda request, channel: os._exit(status))))
    assert (died.kind, died.how) == ("crashed", f"ended with status {status}")


def test_a_child_that_is_dead_before_it_is_asked(child):
    one = child(lambda channel: die_by(signal.SIGSEGV))
    os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
    assert end_of(one).how == "killed by SIGSEGV"


def test_a_crash_while_devices_are_listed_has_its_own_exit_code(child):
    with pytest.raises(DriverDied) as caught:
        child(serving(lambda request, channel: die_by(signal.SIGSEGV))).describe()
    assert "SIGSEGV" in caught.value.message
    assert caught.value.exit_code == ExitCode.DRIVER_DIED


def test_only_the_end_of_much_output_is_kept_and_none_blocks(child):
    def answer(request, channel):
        for i in range(20_000):
            os.write(2, b"line %d of the driver\n" % i)
        die_by(signal.SIGSEGV)

    died = end_of(child(serving(answer)))
    assert died.output.endswith("line 19999 of the driver")
    assert len(died.output) <= 4096


def test_output_that_is_no_text(child):
    def answer(request, channel):
        os.write(2, b"\xff\xfe\x00 bytes\n")
        die_by(signal.SIGSEGV)

    assert "bytes" in end_of(child(serving(answer))).output


def hang(request, channel):
    os.write(2, b"driver: waiting\n")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()


def test_a_hang_is_told_from_a_crash(child):
    died = end_of(child(serving(hang), timeout=0.3))
    assert (died.kind, died.output) == ("hung", "driver: waiting")


def test_a_slow_child_that_makes_progress_is_not_hung():
    """It answers only after six looks of the parent, 0.1 s apart; the heartbeat changes with each."""
    with pipe() as (read_fd, write_fd):

        def answer(request, channel):
            for _ in range(6):
                os.read(read_fd, 1)
            channel.send(pack(HELLO))

        beats = itertools.count()
        one = Child(
            serving(answer),
            timeout=0.25,
            interrupts=Interrupts(),
            heartbeat=lambda: next(beats),
            on_tick=lambda: os.write(write_fd, b"."),
        )
        assert one.describe() == HELLO
        one.close()


def test_a_slow_child_that_goes_on_calling_the_driver_is_not_hung():
    """As when it allocates thousands of objects before the first step of the loop."""
    with pipe() as (read_fd, write_fd):

        def answer(request, channel):
            for _ in range(6):
                os.read(read_fd, 1)
                whereabouts.at("vkAllocateMemory")
            channel.send(pack(HELLO))

        one = Child(serving(answer), timeout=0.25, interrupts=Interrupts(), on_tick=lambda: os.write(write_fd, b"."))
        assert one.describe() == HELLO
        one.close()


def test_an_interrupt_ends_the_wait(child):
    interrupts = Interrupts()
    one = child(serving(hang), interrupts=interrupts)
    with interrupts.caught():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            next(one.ask(Calibrate()))


def test_closing_lets_a_child_finish_by_itself(tmp_path):
    def serve(channel):
        serving(lambda request, channel: channel.send(pack(HELLO)))(channel)
        (tmp_path / "cleaned up").touch()

    one = Child(serve, timeout=20, interrupts=Interrupts())
    one.describe()
    one.close()
    assert (tmp_path / "cleaned up").exists()


# --- keeping apart --------------------------------------------------------------------------------


def test_output_of_the_child_never_reaches_the_parents(child, capfd):
    def answer(request, channel):
        os.write(1, b"noise on stdout")
        os.write(2, b"noise on stderr")
        channel.send(pack(HELLO))

    child(serving(answer)).describe()
    assert capfd.readouterr() == ("", "")


def test_what_the_parent_had_not_written_yet_is_written_once():
    script = (
        "from vkmapctl.driver.process import Child, Interrupts\n"
        "print('once')\n"
        "def serve(channel):\n"
        "    print('noise', flush=True)\n"
        "    list(channel.requests())\n"
        "child = Child(serve, timeout=5, interrupts=Interrupts())\n"
        "child.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("once\n", "")


def test_the_child_dies_with_its_parent():
    script = (
        "import signal\n"
        "from vkmapctl.driver.process import Child, Interrupts\n"
        "child = Child(lambda channel: signal.pause(), timeout=5, interrupts=Interrupts())\n"
        "print(child.pid, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        grandchild = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            parent.wait(10)
            ended, _, _ = select.select([grandchild], [], [], 10)
            assert ended, "the child outlived its parent"
        finally:
            os.close(grandchild)
