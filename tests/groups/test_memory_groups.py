"""Real limits of memory: what does not fit is refused, and what the kernel kills is no crash (make test-groups)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import LAVAPIPE, Result, environment
from icd.build import icd

from groups.group import LimitedGroup

pytestmark = pytest.mark.groups

MIB = 1 << 20
EATS = f"vkMap*=eat:{1 << 30}"
SHORT = ("--duration", "50ms", "--warmup", "0s", "--quiet", "--json")


@pytest.fixture
def group():
    """A group of 600 MiB."""
    made = LimitedGroup("vkmapctl-test", 600 * MIB)
    yield made
    made.remove()


@pytest.fixture
def inner(group):
    """One without a limit inside of it."""
    made = LimitedGroup("inner", None, inside=group)
    yield made
    made.remove()


def run_in(group, *arguments, driver=None):
    done = subprocess.run(
        [sys.executable, "-m", "vkmapctl", *arguments], preexec_fn=group.enter,
        env=environment(driver or LAVAPIPE), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


def limit_of(group):
    name = "memory.max" if group.group.version == 2 else "memory.limit_in_bytes"
    return f"{name} of cgroup {group.group.name} is 600 MiB"


def test_what_does_not_fit_is_refused(group):
    run = run_in(group, "stress", "--size", "1G", *SHORT)
    assert (run.code, run.json()["outcome"]) == (3, "unsupported")
    assert limit_of(group) in run.errors()[0]
    assert run_in(group, "stress", "--size", "4M", "--touch", "write", *SHORT).code == 0


def test_the_limit_of_a_group_above_counts(group, inner):
    run = run_in(inner, "stress", "--size", "1G", *SHORT)
    assert run.code == 3
    assert limit_of(group) in run.errors()[0]


def test_page_cache_is_free(group):
    file = Path(__file__).parents[2] / "build" / "page-cache"  # /tmp may be memory itself
    file.parent.mkdir(exist_ok=True)
    try:
        writes = f"with open({str(file)!r}, 'wb') as file:\n for _ in range(400): file.write(bytes({MIB}))"
        subprocess.run([sys.executable, "-c", writes], preexec_fn=group.enter, check=True)
        usage = "memory.current" if group.group.version == 2 else "memory.usage_in_bytes"
        assert int(Path(group.group.folder, usage).read_text()) > 300 * MIB
        run = run_in(group, "stress", "--size", "64M", *SHORT)
        assert run.code == 0, run.err
    finally:
        file.unlink()


@pytest.mark.parametrize(
    "command", [("probe", "--json"), ("stress", "--size", "4K", *SHORT), ("verify", "--check", "M1", "--json")]
)
def test_killed_for_memory(group, tmp_path, command):
    run = run_in(group, *command, driver=icd(tmp_path, EATS))
    document = run.json()
    assert (run.code, document["outcome"]) == (3, "out-of-memory"), run.err
    (one,) = document["devices"] if command[0] == "probe" else document["results"]
    assert one["status"] == "out-of-memory"
    assert f"the kernel killed it for memory ({limit_of(group)})" in one.get("reason", one.get("detail"))
    assert "the driver crashed" not in json.dumps(document)
    noted = document["warnings"] + (one["notes"] if command[0] == "probe" else [])
    assert "killed-for-memory" in {note["code"] for note in noted}


def test_killed_by_the_limit_of_a_group_above(group, inner, tmp_path):
    run = run_in(inner, "stress", "--size", "4K", *SHORT, driver=icd(tmp_path, EATS))
    assert run.code == 3
    assert limit_of(group) in run.json()["results"][0]["reason"]


def test_killed_while_the_devices_are_listed(group, tmp_path):
    run = run_in(group, "probe", "--json", driver=icd(tmp_path, EATS.replace("vkMap*", "vkEnumeratePhysicalDevices")))
    assert (run.code, run.json()["outcome"]) == (3, "out-of-memory")
    assert "the driver's process ended while its devices were listed: the kernel killed it" in run.errors()[0]


def test_killed_when_it_was_to_end(group, tmp_path):
    run = run_in(group, "probe", "--json", driver=icd(tmp_path, EATS.replace("vkMap*", "vkDestroyInstance")))
    assert (run.code, run.json()["outcome"]) == (3, "out-of-memory")


def test_killed_by_somebody_else(group, tmp_path):
    """The same signal, and no lack of memory."""
    run = run_in(group, "stress", "--size", "4K", *SHORT, driver=icd(tmp_path, "vkMap*=raise:9"))
    assert (run.code, run.json()["results"][0]["status"]) == (6, "crashed")
