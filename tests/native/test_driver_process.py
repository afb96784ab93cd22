"""The process that holds the driver, as its parent sees it end in every way."""

import ctypes
import errno
import faulthandler
import itertools
import os
import resource
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pytest
from msgspec.structs import replace

from vkmapctl.driver.messages import Calibrate, Described, Finish, Finished, Measured, Prove, Round, pack, request_of
from vkmapctl.driver.process import DriverProcess, Interrupts
from vkmapctl.driver.protocol import Died, Interrupted
from vkmapctl.errors import CallFailed, DriverDied, ExitCode, KilledForMemory, Unsupported, VkmapError
from vkmapctl.inside import current_call
from vkmapctl.model.measured import Cause
from vkmapctl.native import Results

HELLO = Described("1.4.309", ("layer",), (), ())

LOST = Cause("call-failed", call="vkMapMemory2", result="VK_ERROR_DEVICE_LOST", step=0, object=0)


def serving(answer):
    """serve() that tells its devices, then answers each request by answer(request, channel)."""

    def serve(channel):
        channel.send(pack(HELLO))
        for request in channel.requests():
            answer(request_of(request), channel)

    return serve


@pytest.fixture
def started():
    """Starts processes and closes them; each must leave no process and no file descriptor behind."""
    processes, files = [], len(os.listdir("/proc/self/fd"))

    def start(serve, *, timeout=20.0, **options):
        one = DriverProcess(serve, timeout=timeout, interrupts=options.pop("interrupts", Interrupts()), **options)
        processes.append((one, one.pid))
        return one

    yield start
    for one, pid in processes:
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


def answered(one):
    one.describe()
    return one.answer(Finish(), Finished)


def end_of(one):
    """How a process dies of its first request."""
    with pytest.raises(Died) as caught:
        answered(one)
    return caught.value


# --- messages -------------------------------------------------------------------------------------


def test_messages_round_trip(started):
    def answer(request, channel):
        match request:
            case Finish():
                channel.send(pack(Finished(("a message",))))
            case Prove(device):
                for i in range(device):
                    channel.send(pack(Round((float(i), None))))
                channel.send(pack(Measured((None, LOST))))

    one = started(serving(answer))
    described = one.describe()
    assert replace(described, taken=(0, 0)) == HELLO
    assert all(described.taken)  # of addresses and of private memory
    replies = one.ask(Prove(3))
    assert [next(replies) for _ in range(4)] == [
        *(Round((float(i), None)) for i in range(3)),
        Measured((None, LOST)),
    ]
    assert one.answer(Finish(), Finished) == Finished(("a message",))


def test_messages_larger_than_a_pipe(started):
    large = Described("x" * (1 << 20), (), (), ())
    assert started(lambda channel: channel.send(pack(large))).describe().loader == large.loader


def test_what_the_process_counts_in_shared_memory_is_seen(started):
    results = Results(1)

    def answer(request, channel):
        results.stats[0].rate_pairs = 42
        channel.send(pack(Finished()))

    answered(started(serving(answer)))
    assert results.total("rate_pairs") == 42


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [Unsupported("no device", "install one", "or two"), CallFailed("vkCreateDevice failed")]
)
def test_an_error_of_ours_is_raised_in_the_parent(started, error):
    def answer(request, channel):
        raise error

    with pytest.raises(VkmapError) as caught:
        answered(started(serving(answer)))
    assert (caught.value.message, caught.value.hints) == (error.message, error.hints)
    assert caught.value.exit_code == error.exit_code


@pytest.mark.parametrize("wanted", [False, True])
def test_a_bug_in_the_process_is_an_internal_error_with_its_traceback_where_that_is_wanted(
    started, monkeypatch, wanted
):
    monkeypatch.setenv("VKMAPCTL_TRACEBACK", "1" if wanted else "")

    def answer(request, channel):
        raise ZeroDivisionError("for example")

    with pytest.raises(VkmapError) as caught:
        answered(started(serving(answer)))
    assert caught.value.exit_code == ExitCode.INTERNAL
    assert caught.value.message.startswith("internal error: ZeroDivisionError: for example (test_driver_process.py:")
    assert (caught.value.hints[-1] == "ZeroDivisionError: for example") == wanted


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "Too many open files"), FileNotFoundError(2, "No such file", "/proc/self/maps")]
)
def test_what_the_machine_lacks_is_no_bug(started, error):
    def answer(request, channel):
        raise error

    with pytest.raises(VkmapError) as caught:
        answered(started(serving(answer)))
    assert caught.value.exit_code == ExitCode.UNSUPPORTED


def test_a_driver_that_writes_into_the_pipe(started):
    died = end_of(started(serving(lambda request, channel: os.write(channel._write_fd, b"\x04\0\0\0oops"))))
    assert died.kind == "crashed"
    assert "not its own" in died.how


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_names_the_signal_and_keeps_the_last_words(started, number):
    def answer(request, channel):
        os.write(1, b"driver: about to\n")
        os.write(2, b"driver: stumble\n")
        die_by(number)

    died = end_of(started(serving(answer)))
    assert (died.kind, died.how) == ("crashed", f"killed by {number.name}")
    assert died.output.splitlines() == ["driver: about to", "driver: stumble"]


WHY = "the kernel killed it for memory (memory.max of cgroup /lab is 2 GiB)"


@pytest.mark.parametrize(
    ("number", "kind", "how"),
    [(signal.SIGKILL, "out-of-memory", WHY), (signal.SIGSEGV, "crashed", "killed by SIGSEGV")],
)
def test_who_the_kernel_kills_for_memory_dies_of_sigkill(started, monkeypatch, number, kind, how):
    monkeypatch.setattr("vkmapctl.machine.memory.KillWatch.killed", lambda watch: WHY)
    died = end_of(started(serving(lambda request, channel: die_by(number))))
    assert (died.kind, died.how) == (kind, how)


def test_a_kill_for_memory_while_devices_are_listed_is_unsupported_here(started, monkeypatch):
    monkeypatch.setattr("vkmapctl.machine.memory.KillWatch.killed", lambda watch: WHY)
    with pytest.raises(KilledForMemory) as caught:
        started(lambda channel: die_by(signal.SIGKILL)).describe()
    assert caught.value.message.startswith(f"the driver's process ended while its devices were listed: {WHY}")
    assert caught.value.exit_code == ExitCode.UNSUPPORTED


def test_a_signal_without_a_name(started):
    died = end_of(started(serving(lambda request, channel: die_by(signal.SIGRTMIN + 5))))
    assert died.kind == "crashed"
    assert str(signal.SIGRTMIN + 5) in died.how or "SIGRTMIN" in died.how


@pytest.mark.parametrize("status", [0, 3])
def test_an_end_without_an_answer_is_a_crash(started, status):
    died = end_of(started(serving(lambda request, channel: os._exit(status))))
    assert (died.kind, died.how) == ("crashed", f"ended with status {status}")


def test_a_process_that_is_dead_before_it_is_asked(started):
    def serve(channel):
        channel.send(pack(HELLO))
        die_by(signal.SIGSEGV)

    one = started(serve)
    os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
    assert end_of(one).how == "killed by SIGSEGV"


def test_a_crash_while_devices_are_listed_has_its_own_exit_code(started):
    with pytest.raises(DriverDied) as caught:
        started(lambda channel: die_by(signal.SIGSEGV)).describe()
    assert "SIGSEGV" in caught.value.message
    assert caught.value.exit_code == ExitCode.DRIVER_DIED


def test_only_the_end_of_much_output_is_kept_and_none_blocks(started):
    def answer(request, channel):
        for i in range(20_000):
            os.write(2, b"line %d of the driver\n" % i)
        die_by(signal.SIGSEGV)

    died = end_of(started(serving(answer)))
    assert died.output.endswith("line 19999 of the driver")
    assert len(died.output) <= 4096


def test_output_that_is_no_text(started):
    def answer(request, channel):
        os.write(2, b"\xff\xfe\x00 bytes\n")
        die_by(signal.SIGSEGV)

    assert "bytes" in end_of(started(serving(answer))).output


def hang(request, channel):
    os.write(2, b"driver: waiting\n")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()


def test_a_hang_is_told_from_a_crash(started):
    died = end_of(started(serving(hang), timeout=0.3))
    assert (died.kind, died.output) == ("hung", "driver: waiting")


def test_a_slow_driver_that_makes_progress_is_not_hung():
    """It answers only after six looks of the parent, 0.1 s apart; the heartbeat changes with each."""
    with pipe() as (read_fd, write_fd):

        def answer(request, channel):
            for _ in range(6):
                os.read(read_fd, 1)
            channel.send(pack(Finished()))

        beats = itertools.count()
        one = DriverProcess(
            serving(answer),
            timeout=0.25,
            interrupts=Interrupts(),
            heartbeat=lambda: next(beats),
            on_tick=lambda: os.write(write_fd, b"."),
        )
        assert answered(one) == Finished()
        one.close()


def test_a_slow_driver_that_goes_on_calling_the_driver_is_not_hung():
    """As when it allocates thousands of objects before the first step of the loop."""
    with pipe() as (read_fd, write_fd):

        def answer(request, channel):
            for _ in range(6):
                os.read(read_fd, 1)
                current_call.at("vkAllocateMemory")
            channel.send(pack(Finished()))

        one = DriverProcess(
            serving(answer), timeout=0.25, interrupts=Interrupts(), on_tick=lambda: os.write(write_fd, b".")
        )
        assert answered(one) == Finished()
        one.close()


def test_an_interrupt_ends_the_wait(started):
    interrupts = Interrupts()
    one = started(serving(hang), interrupts=interrupts)
    one.describe()
    with interrupts.caught():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            next(one.ask(Calibrate()))


def test_an_interrupt_comes_before_any_death(started):
    """As where the whole group, or all of a service, is told to end."""
    interrupts = Interrupts()
    one = started(serving(hang), interrupts=interrupts)
    one.describe()
    replies = one.ask(Calibrate())
    with interrupts.caught():
        os.kill(one.pid, signal.SIGKILL)
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            next(replies)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_that_ends_a_run_is_an_interrupt(started, number):
    interrupts = Interrupts()
    with interrupts.caught():
        os.kill(os.getpid(), number)
    assert interrupts.pending


def test_what_the_caller_has_ignored_stays_ignored():
    """nohup, or a shell that starts a job in the background."""
    interrupts, before = Interrupts(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.caught():
            os.kill(os.getpid(), signal.SIGHUP)
        assert not interrupts.pending
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_is_meant_for_the_parent_does_not_reach_the_process(started, number):
    one = started(serving(lambda request, channel: channel.send(pack(Finished()))))
    one.describe()
    os.kill(one.pid, number)
    assert one.answer(Finish(), Finished) == Finished()


def test_nor_does_it_in_the_moment_of_the_fork(started, monkeypatch):
    fork = os.fork

    def fork_and_signal():
        pid = fork()
        if pid == 0:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(os.getpid(), number)
        return pid

    monkeypatch.setattr(os, "fork", fork_and_signal)
    one = started(serving(lambda request, channel: channel.send(pack(Finished()))))
    assert answered(one) == Finished()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set(), "the parent takes them again"


def test_the_time_for_which_the_parent_was_stopped_is_no_silence(started, monkeypatch):
    """Ctrl-Z and fg an hour later; each look here takes an hour."""
    hours, looks = itertools.count(step=3600), []
    one = started(serving(hang), timeout=1.0, on_tick=lambda: looks.append(None))
    one.describe()
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: next(hours))
        with pytest.raises(Died, match="no progress"):
            next(one.ask(Calibrate()))
    assert len(looks) > 3


def test_more_files_than_select_takes(started):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held = []
    try:
        held += [os.dup(0) for _ in range(1100)]
        one = started(serving(lambda request, channel: channel.send(pack(Finished()))))
        assert answered(one) == Finished()
        one.close()
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_machine_without_a_null_device(started, monkeypatch):
    monkeypatch.setattr(os, "devnull", "/nowhere/null")

    def answer(request, channel):
        assert os.read(0, 1) == b""
        channel.send(pack(Finished()))

    assert answered(started(serving(answer))) == Finished()


def test_a_caller_that_ignores_the_end_of_children(started):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        died = end_of(started(serving(lambda request, channel: die_by(signal.SIGSEGV))))
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert died.how == "killed by SIGSEGV"


def test_a_driver_that_closes_its_output_costs_the_parent_no_cpu(started):
    def answer(request, channel):
        os.close(1)
        os.close(2)
        signal.pause()

    looks = []
    one = started(serving(answer), timeout=0.5, on_tick=lambda: looks.append(None))
    assert end_of(one).kind == "hung"
    assert len(looks) < 20


def test_a_driver_that_never_stops_printing_is_watched_all_the_same(started):
    def answer(request, channel):
        while True:
            os.write(1, b"x" * 65536)

    assert end_of(started(serving(answer), timeout=0.5)).kind == "hung"


def test_what_was_said_just_before_the_end_is_heard(started):
    """The last message arrives between two looks, and so does the end."""

    def answer(request, channel):
        channel.send(pack(Finished()))
        os._exit(0)

    for _ in range(50):
        assert answered(started(serving(answer))) == Finished()


def test_closing_lets_a_process_finish_by_itself(tmp_path):
    def serve(channel):
        serving(None)(channel)
        (tmp_path / "cleaned up").touch()

    one = DriverProcess(serve, timeout=20, interrupts=Interrupts())
    one.describe()
    one.close()
    assert (tmp_path / "cleaned up").exists()


def test_what_was_said_before_the_request_is_not_the_failure_s(started):
    """A driver may chat while it is listed; what it says of its own death is what counts."""

    def serve(channel):
        os.write(2, b"driver: hello\n")
        channel.send(pack(HELLO))
        for request in map(request_of, channel.requests()):
            if isinstance(request, Prove):
                channel.send(pack(Finished()))
                continue
            if request == Finish():
                die_by(signal.SIGSEGV)

    one = started(serve)
    one.describe()
    one.answer(Prove(0), Finished)
    with pytest.raises(Died) as caught:
        one.answer(Finish(), Finished)
    assert caught.value.output == ""
    assert one.said() == "driver: hello"


# --- keeping apart --------------------------------------------------------------------------------


def test_output_of_the_driver_never_reaches_the_parents(started, capfd):
    def answer(request, channel):
        os.write(1, b"noise on stdout")
        os.write(2, b"noise on stderr")
        channel.send(pack(Finished()))

    answered(started(serving(answer)))
    assert capfd.readouterr() == ("", "")


def test_what_the_parent_had_not_written_yet_is_written_once():
    script = (
        "from vkmapctl.driver.process import DriverProcess, Interrupts\n"
        "print('once')\n"
        "def serve(channel):\n"
        "    print('noise', flush=True)\n"
        "    list(channel.requests())\n"
        "process = DriverProcess(serve, timeout=5, interrupts=Interrupts())\n"
        "process.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("once\n", "")


def test_the_process_dies_with_its_parent():
    script = (
        "import signal\n"
        "from vkmapctl.driver.process import DriverProcess, Interrupts\n"
        "process = DriverProcess(lambda channel: signal.pause(), timeout=5, interrupts=Interrupts())\n"
        "print(process.pid, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        grandchild = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            parent.wait(10)
            ended, _, _ = select.select([grandchild], [], [], 10)
            assert ended, "the process outlived its parent"
        finally:
            os.close(grandchild)


# --- the watched end ------------------------------------------------------------------------------


def ending(at_end):
    """serve() that does at_end when its parent asks nothing more."""

    def serve(channel):
        channel.send(pack(HELLO))
        list(channel.requests())
        at_end()

    return serve


def at_exit(action):
    """Registers an exit handler with the C library, as a driver does."""
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)(lambda status, argument: action())
    HANDLERS.append(handler)
    ctypes.CDLL(None).on_exit(handler, None)


HANDLERS = []


def test_a_process_that_ends_well_has_run_its_exit_handlers(started, tmp_path):
    one = started(ending(lambda: at_exit((tmp_path / "handled").touch)))
    one.describe()
    one.end()
    assert (tmp_path / "handled").exists()


@pytest.mark.parametrize(
    ("at_end", "where"),
    [
        (lambda: (current_call.at("vkDestroyDevice"), die_by(signal.SIGSEGV)), "killed by SIGSEGV in vkDestroyDevice"),
        (lambda: at_exit(lambda: die_by(signal.SIGABRT)), "killed by SIGABRT in exit"),
        (lambda: at_exit(lambda: os._exit(3)), "ended with status 3 in exit"),
    ],
)
def test_a_crash_at_the_end_names_where(started, at_end, where):
    one = started(ending(at_end))
    one.describe()
    with pytest.raises(Died) as caught:
        one.end()
    assert (caught.value.kind, caught.value.where) == ("crashed", where)


@pytest.mark.parametrize("at_end", [signal.pause, lambda: at_exit(signal.pause)])
def test_a_hang_at_the_end_is_told(started, at_end):
    one = started(ending(at_end), timeout=0.3)
    one.describe()
    with pytest.raises(Died) as caught:
        one.end()
    assert caught.value.kind == "hung"


def test_an_early_exit_is_no_good_end(started):
    """A driver that calls exit(0) in vkDestroyInstance."""
    one = started(ending(lambda: (current_call.at("vkDestroyInstance"), os._exit(0))))
    one.describe()
    with pytest.raises(Died, match="ended with status 0"):
        one.end()


def helped(pid_fd, then):
    """serve() of a driver that starts a helper, which holds all its pipes, and then does something."""

    def serve(channel):
        if os.fork() == 0:
            signal.pause()
        os.write(pid_fd, b"%d" % os.getpgid(0))
        channel.send(pack(HELLO))
        list(map(then, channel.requests()))

    return serve


def test_a_helper_neither_hides_a_crash_nor_outlives_the_driver(started):
    with pipe() as (read_fd, write_fd):
        one = started(helped(write_fd, lambda request: die_by(signal.SIGSEGV)))
        assert end_of(one).how == "killed by SIGSEGV"
        group = int(os.read(read_fd, 20))
        assert group != os.getpgid(0)
        assert group_is_gone(group)


def test_a_helper_does_not_keep_a_driver_from_ending_well(started):
    with pipe() as (read_fd, write_fd):
        one = started(helped(write_fd, None))
        one.describe()
        one.end()
        assert group_is_gone(int(os.read(read_fd, 20)))


def group_is_gone(group):
    """A killed process is in its group for a moment more, and until its own parent, whoever that is, has seen it."""
    for _ in range(100):
        fields = [text.rpartition(") ")[2].split() for text in stats_of_processes()]
        if all(int(one[2]) != group or one[0] == "Z" for one in fields):
            return True
        time.sleep(0.05)
    return False


def stats_of_processes():
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError), open(f"/proc/{entry}/stat") as file:
                yield file.read()


def test_an_error_at_the_end_is_raised(started):
    def refuse():
        raise CallFailed("no")

    one = started(ending(refuse))
    one.describe()
    with pytest.raises(VkmapError, match="no"):
        one.end()
