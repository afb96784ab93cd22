"""How much memory there is, and whether the kernel killed for it, on machines made by hand."""

import resource

import pytest
from builders import GIB, MIB

from vkmapctl.machine import host, memory
from vkmapctl.machine.memory import KillWatch

V1 = "31 23 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot"
HYBRID = "32 23 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
NO_LIMIT = 9223372036854771712  # as version 1 writes it


class Machine:
    """Files of /proc and /sys in a folder. total, free: of /proc/meminfo, in GiB."""

    def __init__(self, folder, *, cgroup="0::/", mounts=(V2,), total=64, free=60, kills=0):
        self.folder, self.root = folder, f"{folder}/"
        self.write("proc/self/cgroup", cgroup)
        self.write("proc/self/mountinfo", "\n".join(("22 1 8:1 / / rw - ext4 /dev/sda1 rw", *mounts)))
        self.write("proc/meminfo", f"MemTotal: {total << 20} kB\nMemFree: 1 kB\nMemAvailable: {free << 20} kB")
        self.write("proc/vmstat", f"nr_free_pages 5\noom_kill {kills}")

    def write(self, path, text):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def v2(self, path, *, max="max", high="max", used=0, cached=0, slab=0, kills=0, oom=0):
        files = {
            "memory.max": max, "memory.high": high, "memory.current": used,
            "memory.stat": f"anon 1\ninactive_file {cached // 2}\nactive_file {cached // 2}\nslab_reclaimable {slab}",
            "memory.events": f"low 0\nhigh 0\nmax 7\noom {oom}\noom_kill {kills}\noom_group_kill 0",
        }  # fmt: skip
        for name, value in files.items():
            self.write(f"sys/fs/cgroup/{path}/{name}", value)

    def v1(self, path, *, limit=NO_LIMIT, used=0, cached=0, hierarchical=NO_LIMIT, kills=0, failed=0):
        files = {
            "memory.limit_in_bytes": limit, "memory.usage_in_bytes": used, "memory.failcnt": failed,
            "memory.stat": f"cache 5\nhierarchical_memory_limit {hierarchical}\n"
            f"total_inactive_file {cached}\ntotal_active_file 0",
            "memory.oom_control": f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}",
        }  # fmt: skip
        for name, value in files.items():
            self.write(f"sys/fs/cgroup/memory/{path}/{name}", value)

    def available(self):
        bound = memory.available(self.root)
        return bound.name, bound.limit, bound.left


@pytest.fixture
def machine(tmp_path):
    return lambda **how: Machine(tmp_path, **how)


# --- how much there is ----------------------------------------------------------------------------


def test_without_control_groups_it_is_the_machine(machine):
    assert machine(cgroup="", mounts=()).available() == ("this machine's memory", 64 * GIB, 60 * GIB)


def test_of_nested_groups_the_one_that_has_least(machine):
    here = machine(cgroup="0::/lab.slice/job.scope/step")
    here.v2("lab.slice", max=8 * GIB, used=6 * GIB)
    here.v2("lab.slice/job.scope", max=4 * GIB, used=GIB)
    here.v2("lab.slice/job.scope/step", used=GIB)
    assert here.available() == ("memory.max of cgroup /lab.slice", 8 * GIB, 2 * GIB)
    here.v2("lab.slice/job.scope", max=2 * GIB, used=GIB)
    assert here.available() == ("memory.max of cgroup /lab.slice/job.scope", 2 * GIB, GIB)


def test_what_throttles_counts_as_what_kills(machine):
    here = machine(cgroup="0::/a")
    here.v2("a", max=4 * GIB, high=2 * GIB, used=GIB)
    assert here.available() == ("memory.high of cgroup /a", 2 * GIB, GIB)


def test_page_cache_and_what_can_be_reclaimed_are_not_used(machine):
    here = machine(cgroup="0::/a")
    here.v2("a", max=4 * GIB, used=4 * GIB, cached=2 * GIB, slab=GIB)
    assert here.available() == ("memory.max of cgroup /a", 4 * GIB, 3 * GIB)
    here = machine(cgroup="4:cpu,memory:/a", mounts=(V1,))
    here.v1("a", limit=4 * GIB, used=4 * GIB, cached=3 * GIB)
    assert here.available() == ("memory.limit_in_bytes of cgroup /a", 4 * GIB, 3 * GIB)


def test_a_group_that_is_full_leaves_nothing(machine):
    here = machine(cgroup="0::/a")
    here.v2("a", max=GIB, used=2 * GIB)  # its limit was lowered
    assert memory.available(here.root).free == 0


def test_version_1_beside_version_2(machine):
    here = machine(cgroup="9:name=systemd:/\n4:memory:/job\n0::/user.slice", mounts=(V1, HYBRID))
    here.v1("", used=GIB)
    here.v1("job", limit=2 * GIB, used=GIB)
    here.write("sys/fs/cgroup/unified/user.slice/cgroup.procs", "1")
    assert here.available() == ("memory.limit_in_bytes of cgroup /job", 2 * GIB, GIB)
    here.v1("job", used=GIB)
    assert here.available()[0] == "this machine's memory"


def test_a_container_sees_its_own_group_as_the_root(machine):
    """A namespace of control groups, as Docker and Podman make for version 2."""
    here = machine(cgroup="0::/")
    here.v2("", max=GIB, used=256 * MIB)
    assert here.available() == ("memory.max of cgroup /", GIB, 768 * MIB)


def test_a_container_that_sees_only_its_own_part_of_the_hierarchy(machine):
    mount = "31 23 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory"
    here = machine(cgroup="4:memory:/docker/abc/inner", mounts=(mount,))
    here.v1("inner", used=MIB)
    here.v1("", limit=GIB, used=MIB)
    assert here.available() == ("memory.limit_in_bytes of cgroup /docker/abc", GIB, GIB - MIB)


def test_a_limit_above_what_a_container_sees(machine):
    mount = "31 23 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory"
    here = machine(cgroup="4:memory:/docker/abc", mounts=(mount,))
    here.v1("", used=MIB, hierarchical=2 * GIB)
    assert here.available() == ("hierarchical_memory_limit of cgroup /docker/abc", 2 * GIB, 2 * GIB - MIB)


@pytest.mark.parametrize("path", ["/../../elsewhere", "/gone"])
def test_a_group_that_is_not_mounted_here(machine, path):
    here = machine(cgroup=f"0::{path}")
    here.v2("", max=GIB)
    assert here.available() == ("memory.max of cgroup /", GIB, GIB)


def test_files_that_say_nothing(machine):
    here = machine(cgroup="0::/a")
    here.v2("a", max="", used="")
    assert here.available()[0] == "this machine's memory"
    with pytest.raises(FileNotFoundError, match="meminfo"):
        memory.available(f"{here.root}nowhere/")


@pytest.mark.parametrize(
    ("limit", "bound", "name"),
    [
        (resource.RLIMIT_AS, memory.addresses, "RLIMIT_AS of the driver's process"),
        (resource.RLIMIT_DATA, memory.private, "RLIMIT_DATA of the driver's process"),
    ],
)
def test_limits_of_the_process(monkeypatch, limit, bound, name):
    monkeypatch.setattr(memory, "_ADDRESSES", 1 << 64)
    limits = {limit: (2 * GIB, resource.RLIM_INFINITY)}
    monkeypatch.setattr(resource, "getrlimit", lambda one: limits.get(one, (resource.RLIM_INFINITY,) * 2))
    found = bound(GIB, cpus=2)
    assert (found.name, found.limit, found.left) == (name, 2 * GIB, GIB)
    assert bound(GIB, cpus=8).free < found.free < GIB  # a driver on the CPU has a thread on each
    limits.clear()
    assert bound(GIB, cpus=2) is None


@pytest.mark.parametrize(("limit", "left"), [(resource.RLIM_INFINITY, 3 * GIB), (2 * GIB, GIB)])
def test_32_bits_of_addresses_are_a_limit(monkeypatch, limit, left):
    monkeypatch.setattr(memory, "_ADDRESSES", 1 << 32)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    found = memory.addresses(GIB, cpus=64)
    assert (found.left, found.free > 0) == (left, left > GIB)


def test_what_a_process_has_taken(tmp_path):
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/status").write_text("Name:\tx\nVmPeak:\t  9 kB\nVmSize:\t  8 kB\nVmData:\t  4 kB\n")
    assert memory.taken_by(7, f"{tmp_path}/") == (8192, 4096)
    assert memory.taken_by(8, f"{tmp_path}/") == (0, 0)


def test_this_machine_has_memory():
    room = host.room()
    assert 0 < room.memory.left <= room.memory.limit
    assert host.describe()["memory_available_bytes"] > 0


# --- whom the kernel killed -----------------------------------------------------------------------


def test_killed_by_the_limit_of_its_own_group(machine):
    here = machine(cgroup="0::/lab/job")
    here.v2("lab", max=8 * GIB)
    here.v2("lab/job", max=GIB, kills=2, oom=2)
    watch = KillWatch(here.root)
    assert watch.killed() == ""
    here.v2("lab", max=8 * GIB, kills=3, oom=3)
    here.v2("lab/job", max=GIB, kills=3, oom=3)
    assert watch.killed() == "the kernel killed it for memory (memory.max of cgroup /lab/job is 1 GiB)"


def test_killed_by_the_limit_of_a_group_above(machine):
    here = machine(cgroup="0::/lab/job")
    here.v2("lab", max=8 * GIB)
    here.v2("lab/job", max=16 * GIB)
    watch = KillWatch(here.root)
    here.v2("lab", max=8 * GIB, kills=1, oom=1)
    here.v2("lab/job", max=16 * GIB, kills=1)
    assert watch.killed() == "the kernel killed it for memory (memory.max of cgroup /lab is 8 GiB)"


def test_killed_by_the_machines_own_end_of_memory(machine):
    here = machine(cgroup="0::/lab")
    here.v2("lab", max=99 * GIB)
    watch = KillWatch(here.root)
    here.v2("lab", max=99 * GIB, kills=1)
    assert watch.killed() == "the kernel killed it for memory (this machine's memory is 64 GiB)"


def test_a_kill_is_of_the_limit_that_kills(machine):
    here = machine(cgroup="0::/a")
    here.v2("a", max=2 * GIB, high=GIB)
    watch = KillWatch(here.root)
    here.v2("a", max=2 * GIB, high=GIB, kills=1, oom=1)
    assert "memory.max of cgroup /a is 2 GiB" in watch.killed()


def test_killed_by_a_limit_of_version_1(machine):
    """Its counts are of one group alone."""
    here = machine(cgroup="4:memory:/lab/job", mounts=(V1,))
    here.v1("lab", limit=2 * GIB, failed=1)
    here.v1("lab/job", failed=5)
    watch = KillWatch(here.root)
    here.v1("lab", limit=2 * GIB, failed=9, kills=0)
    here.v1("lab/job", failed=5, kills=1)
    assert watch.killed() == "the kernel killed it for memory (memory.limit_in_bytes of cgroup /lab is 2 GiB)"


def test_killed_by_a_limit_of_memory_and_swap(machine):
    here = machine(cgroup="4:memory:/job", mounts=(V1,))
    here.v1("job", limit=GIB)
    watch = KillWatch(here.root)
    here.v1("job", limit=GIB, kills=1)
    here.write("sys/fs/cgroup/memory/job/memory.max_usage_in_bytes", GIB // 2)
    assert "this machine's memory" in watch.killed()
    here.write("sys/fs/cgroup/memory/job/memory.max_usage_in_bytes", GIB - MIB)
    assert "memory.limit_in_bytes of cgroup /job" in watch.killed()


def test_somebody_elses_process_was_killed(machine):
    here = machine(cgroup="0::/a")
    here.v2("a", max=GIB, kills=4)
    watch = KillWatch(here.root)
    here.write("proc/vmstat", "oom_kill 1")
    assert watch.killed() == ""


def test_where_only_the_machine_counts_it_is_probable(machine):
    here = machine(cgroup="0::/", kills=3)  # the root group has no memory.events
    watch = KillWatch(here.root)
    assert watch.killed() == ""
    here.write("proc/vmstat", "oom_kill 4")
    assert watch.killed() == "the kernel probably killed it for memory (this machine's memory is 64 GiB)"


def test_where_nothing_counts_nothing_is_claimed(tmp_path):
    assert KillWatch(f"{tmp_path}/").killed() == ""
