"""The thread that keeps a device busy, on submissions that a test ends; which queue it takes; what goes together."""

import csv
import io
import threading
import time

import pytest
from builders import a_device, a_gpu, a_job, a_latency, a_row, a_run
from msgspec.structs import replace
from test_runner import CORE, V1, FakeDriver, FakeSlot, runner_of
from test_workload import V14, jobs, planned, refusal

from vkmapctl import report
from vkmapctl.driver.messages import Measured, Round
from vkmapctl.errors import CallFailed, UsageProblem
from vkmapctl.figures.compare import Limits, compare
from vkmapctl.inside.queues import COMPUTE, GRAPHICS, TRANSFER, Family, Place, chosen
from vkmapctl.model.measured import GpuWork
from vkmapctl.model.script import Map, ToHost, Unmap
from vkmapctl.model.workload import Workload
from vkmapctl.plans.gpu import check_load, device_half
from vkmapctl.reports import plain, stress
from vkmapctl.runner import slots_for
from vkmapctl.worker.load import Load

MIB = 1 << 20


class Device:
    """Does one submission after the other, each at once or when a test lets it. fails: the call that fails, or none."""

    def __init__(self, fails="", *, after=0, at_once=False):
        self.fails, self.left = fails, after
        self.at_once = at_once
        self.most_in_flight = self.in_flight = 0
        self.log = []

    def ring(self):
        return [Submission(self) for _ in range(3)]

    def call(self, name):
        self.log.append(name)
        if name == self.fails:
            if not self.left:
                raise CallFailed("lost", call=name, result="VK_ERROR_DEVICE_LOST")
            self.left -= 1


class Submission:
    """Takes a millisecond, unless the device does all at once."""

    def __init__(self, device):
        self.device, self.ends = device, 0.0

    def submit(self):
        self.device.call("vkQueueSubmit")
        assert not self.ends, "it is still in flight"
        self.device.in_flight += 1
        self.device.most_in_flight = max(self.device.most_in_flight, self.device.in_flight)
        self.ends = time.monotonic() + (0.0 if self.device.at_once else 0.001)

    def wait(self, nanoseconds):
        self.device.call("vkWaitForFences")
        assert self.ends, "nothing was submitted"
        time.sleep(max(self.ends - time.monotonic(), 0))
        self.device.in_flight -= 1
        self.ends = 0.0

    def is_over(self):
        return time.monotonic() >= self.ends


def threads():
    return [one for one in threading.enumerate() if one.name == "gpu-load"]


def test_the_device_is_busy_inside_the_block_and_idle_outside():
    device = Device()
    load = Load(device.ring(), nbytes=1000)
    assert (device.log, threads()) == ([], [])
    for _ in range(3):
        with load.running() as ready:
            assert ready
            assert len(threads()) == 1
            assert device.log.count("vkWaitForFences") >= 1, "one has ended"
            assert device.in_flight >= 2
        assert (device.in_flight, threads()) == (0, [])
    assert device.most_in_flight == 3
    work = load.take()
    assert work.submissions == device.log.count("vkQueueSubmit") == device.log.count("vkWaitForFences") > 9
    assert work.bytes == 1000 * work.submissions
    assert work.submission_ns > 0
    assert load.take() == GpuWork(0, 0.0, 0, 0), "what was taken is not told again"


def test_a_device_that_ran_out_of_work_is_counted():
    load = Load(Device(at_once=True).ring(), nbytes=1)
    with load.running():
        pass
    work = load.take()
    assert 0 < work.gaps <= work.submissions


@pytest.mark.parametrize("call", ["vkQueueSubmit", "vkWaitForFences"])
@pytest.mark.parametrize("after", [0, 1, 2, 3, 7])
def test_a_lost_device_ends_the_thread_and_is_told(call, after):
    device = Device(call, after=after)
    load = Load(device.ring(), nbytes=1)
    with load.running():
        deadline = time.monotonic() + 10
        while load.failed is None and time.monotonic() < deadline:
            time.sleep(0.001)
    assert device.in_flight == 0 or call == "vkWaitForFences", "the others were waited for"
    assert (load.failed.call, load.failed.result) == (f"{call} of the GPU load", "VK_ERROR_DEVICE_LOST")
    assert threads() == []
    with load.running() as ready:
        assert not ready, "it does not start again"


def test_an_error_inside_the_block_leaves_no_thread():
    device = Device()
    with pytest.raises(ValueError, match="mine"), Load(device.ring(), nbytes=1).running():
        raise ValueError("mine")
    assert (device.in_flight, threads()) == (0, [])


# --- queues ---------------------------------------------------------------------------------------

ALL = GRAPHICS | COMPUTE | TRANSFER
SPARSE, VIDEO = 8, 0x20


@pytest.mark.parametrize(
    ("families", "copies", "load"),
    [
        ([Family(ALL, 1)], (0, 0), (0, 0)),
        ([Family(ALL, 16)], (0, 0), (0, 1)),
        ([Family(ALL, 16), Family(TRANSFER | SPARSE, 2), Family(COMPUTE, 8)], (0, 0), (1, 0)),
        ([Family(ALL, 1), Family(TRANSFER | VIDEO, 1), Family(COMPUTE, 8)], (0, 0), (2, 0)),
        ([Family(VIDEO, 1), Family(GRAPHICS, 1)], (1, 0), (1, 0)),
        ([Family(ALL, 0), Family(TRANSFER, 1)], (1, 0), (1, 0)),
        ([], (0, 0), (0, 0)),
    ],
)
def test_the_load_has_a_queue_of_its_own_where_there_is_one(families, copies, load):
    found = chosen(families, any_fills=True)
    assert (found.copies, found.load) == (Place(*copies), Place(*load))
    assert found.apart == (copies != load)
    assert sum(found.counts().values()) == len({copies, load})


def test_before_vulkan_1_1_a_transfer_queue_may_not_fill():
    families = [Family(ALL, 2), Family(TRANSFER, 1)]
    assert chosen(families, any_fills=False).load == Place(0, 1)


# --- what is planned ------------------------------------------------------------------------------


def test_a_group_is_each_api_idle_and_busy():
    (group,) = planned(api="all", gpu_load="copy", gpu_on="mapped").groups
    assert [(job.api, job.gpu_load, job.gpu_on) for job in group] == [
        (api, *load) for api in ("v1", "khr", "core") for load in (("none", "others"), ("copy", "mapped"))
    ]
    assert slots_for([Workload(gpu_load="copy")]) == 6
    assert slots_for([Workload()]) == 3


def test_only_software_draws_the_note_that_the_gpu_is_the_cpu():
    assert [note.code for note in planned(gpu_load="copy").notes] == ["gpu-is-cpu"]
    assert planned().notes == ()
    assert planned(a_gpu(), gpu_load="copy").notes == ()


@pytest.mark.parametrize(
    "wanted",
    [
        {"gpu_load": "copy", "gpu_on": "mapped"},
        {"gpu_load": "fill", "gpu_on": "mapped", "touch": "write", "map_size": 32 * MIB},
        {"gpu_load": "fill", "gpu_on": "mapped", "touch": "first", "offsets": (16 * MIB,), "map_size": 16 * MIB},
        {"gpu_load": "copy-from", "gpu_on": "mapped", "touch": "read"},
        {"gpu_load": "copy", "touch": "write"},
    ],
)
def test_what_host_and_device_may_do_at_once(wanted):
    assert [job.gpu_load for job in jobs(planned(**wanted))] == ["none", wanted["gpu_load"]]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"gpu_on": "mapped"}, "--gpu-on says what a load works on"),
        ({"gpu_load": "copy-from"}, "reads from the mapped object"),
        ({"gpu_load": "copy", "gpu_on": "mapped", "touch": "write"}, "must not touch the same bytes"),
        ({"gpu_load": "copy", "gpu_on": "mapped", "touch": "read"}, "must not touch the same bytes"),
        ({"gpu_load": "copy-from", "gpu_on": "mapped", "touch": "first"}, "must not touch the same bytes"),
        ({"gpu_load": "fill", "gpu_on": "mapped", "touch": "write", "map_size": 32 * MIB + 1}, "same bytes"),
        ({"gpu_load": "fill", "gpu_on": "mapped", "touch": "write", "map_size": 4096, "offsets": (40 * MIB,)}, "same"),
        ({"gpu_load": "fill", "gpu_on": "mapped", "touch": "read", "map_size": 64, "offsets": ("random",)}, "same"),
        ({"gpu_load": "fill", "gpu_on": "mapped", "memory_type": "malloc"}, "malloc's memory is not the device's"),
        ({"gpu_load": "fill", "gpu_on": "mapped", "live": 129, "threads": 2, "sizes": (4096,)}, "at most 256 objects"),
        ({"gpu_load": "fill", "gpu_on": "mapped", "sizes": (511,)}, "less than 512 bytes"),
    ],
)
def test_what_makes_no_sense_is_refused(wanted, said):
    assert said in refusal(UsageProblem, V14, **wanted)


@pytest.mark.parametrize("changes", [{"imported": "host"}, {"allocation": "dedicated"}, {"allocation": "export"}])
def test_only_plain_memory_has_the_load_s_buffer_bound_to_it(changes):
    with pytest.raises(UsageProblem, match="plain memory"):
        check_load(a_job(gpu_load="fill", gpu_on="mapped", **changes))
    check_load(a_job(gpu_load="fill", **changes))


def test_the_refusal_says_what_to_give():
    with pytest.raises(UsageProblem) as caught:
        planned(gpu_load="copy", gpu_on="mapped", touch="write", offsets=(16 * MIB,))
    assert caught.value.hints == ("give --map-size 16MiB or less",)


@pytest.mark.parametrize("size", [512, 513, 4096, 4097, 64 * MIB, 64 * MIB + 1])
def test_the_halves_do_not_meet(size):
    assert size // 2 <= device_half(size) < size
    assert device_half(size) % 256 == 0


TRIP = (Map(), ToHost(), Unmap())


@pytest.mark.parametrize("wanted", [{"memory_type": "malloc"}, {"allocation": "dedicated"}])
def test_a_copy_by_the_device_needs_plain_memory(wanted):
    device = a_device(allocations=("plain", "dedicated"))
    assert "plain memory" in refusal(UsageProblem, device, steps=TRIP, sizes=(4096,), **wanted)
    assert jobs(planned(device, steps=TRIP, sizes=(4096,)))


# --- rows -----------------------------------------------------------------------------------------


def busy(job):
    return replace(job, gpu_load="copy", job=f"{job.job} busy")


def test_ratios_are_taken_within_the_load_and_within_the_api():
    group = (V1, busy(V1), CORE, busy(CORE))
    work = GpuWork(10, 3e6, 10 << 20)
    replies = [*(Round((40.0, 80.0, 20.0, 60.0)) for _ in range(10)), Measured((None,) * 4, gpu=(None, work) * 2)]
    rows = runner_of(FakeDriver(*replies), slots=[FakeSlot(1000) for _ in range(6)]).measure(group).rows
    assert [row.ratio_to_v1 and row.ratio_to_v1[0] for row in rows] == [None, None, 0.5, 0.75]
    assert [row.ratio_to_idle and row.ratio_to_idle[0] for row in rows] == [None, 2.0, None, 3.0]
    assert [row.gpu for row in rows] == [None, work, None, work]


def test_work_adds_up():
    assert GpuWork(2, 3.0, 10, 1) + None == GpuWork(2, 3.0, 10, 1)
    assert GpuWork(1, 3.0, 10, 1) + GpuWork(3, 5.0, 30) == GpuWork(4, 4.5, 40, 1)
    assert GpuWork(4, 2.5e6, 40 << 20).bytes_per_second == pytest.approx((40 << 20) / 0.01)
    assert GpuWork(0, 0.0, 0).bytes_per_second is None


def a_run_with_a_load(ratio=1.5):
    idle = a_row(job="idle")
    loaded = a_row(
        job="busy", gpu_load="copy", gpu_on="mapped", ratio_to_idle=(ratio, ratio * 0.98, ratio * 1.02),
        gpu=GpuWork(100, 3e6, 100 << 20), rounds_ns_per_pair=(81.0,) * 10, map=a_latency(),
    )  # fmt: skip
    return a_run(idle, loaded, devices=(a_device(),))


def test_tables_csv_and_comparison_show_the_ratio():
    run = a_run_with_a_load()
    shown = "\n".join(line for part in stress.run_view(run) for line in plain.lines_of(part, 200))
    assert "1.50 (1.47" in shown
    assert "350 MB/s" in shown
    idle, loaded = csv.DictReader(io.StringIO(report.export(run, "csv").decode(), newline=""))
    assert (loaded["ratio_to_idle"], loaded["ratio_to_idle_low"]) == ("1.5", "1.47")
    assert float(loaded["gpu_bytes_per_second"]) == pytest.approx((100 << 20) / 0.3)
    assert idle["ratio_to_idle"] == ""
    pair = compare(("a", run), ("b", a_run_with_a_load(3.0)), Limits()).pairs[1]
    delta = next(one for one in pair.deltas if one.metric == "ratio_to_idle")
    assert (delta.base, delta.new, delta.verdict) == (1.5, 3.0, "slower")
