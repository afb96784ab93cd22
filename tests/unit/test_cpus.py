"""CPUs for threads: cores before their second hardware threads."""

import os
import threading
from types import SimpleNamespace

import pytest

from vkmapctl.machine import cpus, host


@pytest.mark.parametrize(
    ("text", "expected"), [("0-3", [0, 1, 2, 3]), ("0,4", [0, 4]), ("0-1,8-9\n", [0, 1, 8, 9]), ("", []), ("7", [7])]
)
def test_kernel_lists(text, expected):
    assert cpus.parse_list(text) == expected


def pairs(cpu):
    """Four cores: 0 and 4, 1 and 5, 2 and 6, 3 and 7."""
    return [cpu % 4, cpu % 4 + 4]


@pytest.mark.parametrize(
    ("count", "allowed", "expected"),
    [
        (2, range(8), [0, 1]),
        (6, range(8), [0, 1, 2, 3, 4, 5]),
        (3, [0, 4, 1], [0, 1, 4]),
        (2, [4, 5], [4, 5]),
        (3, [0, 1], []),
    ],
)
def test_spread(count, allowed, expected):
    assert cpus.spread(count, set(allowed), pairs) == expected


def test_pinning_holds_for_the_calling_thread_alone():
    before, seen = os.sched_getaffinity(0), set()

    def run():
        cpus.pin(min(before))
        seen.update(os.sched_getaffinity(0))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_a_cpu_that_is_not_there_is_no_error():
    cpus.pin(100_000 if not os.path.exists("/sys/devices/system/cpu/cpu100000") else 0)


def test_siblings_of_this_machine_include_the_cpu():
    cpu = min(os.sched_getaffinity(0))
    assert cpu in cpus.siblings(cpu)
    assert cpus.siblings(100_000) == [100_000]


def test_a_gpu_that_is_not_there_is_near_nothing():
    assert host.near_gpu(None) == {"gpu_numa_node": None, "gpu_local_cpus": None}
    assert host.near_gpu("ffff:ff:1f.7") == {"gpu_numa_node": None, "gpu_local_cpus": None}


@pytest.mark.parametrize(
    ("machine", "sources", "trusted"),
    [
        ("x86_64", "tsc hpet acpi_pm \n", True),
        ("x86_64", "hpet acpi_pm \n", False),
        ("aarch64", "arch_sys_counter \n", True),
        ("aarch64", "tsc hpet \n", False),  # of the machine that emulates it
        ("aarch64", "", False),
        ("riscv64", "riscv_clocksource \n", False),
    ],
)
def test_a_counter_is_trusted_where_the_kernel_offers_it(machine, sources, trusted, monkeypatch, tmp_path):
    monkeypatch.setattr(cpus, "_CLOCK_SOURCES", tmp_path / "available_clocksource")
    assert not cpus.counter_is_trusted()  # there is no such file
    cpus._CLOCK_SOURCES.write_text(sources)
    monkeypatch.setattr(cpus.os, "uname", lambda: SimpleNamespace(machine=machine))
    assert cpus.counter_is_trusted() is trusted


def test_threads_that_cannot_all_be_started_are_given_up(monkeypatch):
    start, started, enough = threading.Thread.start, [], threading.Event()

    def start_some(thread):
        if len(started) == 3:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    with pytest.raises(RuntimeError):
        cpus.in_threads(5, lambda i: enough.wait(), give_up=enough.set)
    assert not any(thread.is_alive() for thread in started)
