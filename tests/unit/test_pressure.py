"""A heap filled while a row is measured: how far, in which pieces, what is refused, and that all is given back."""

from types import SimpleNamespace

import pytest
from builders import GIB, MIB, a_device, a_gpu, a_job, a_room
from msgspec.structs import replace

from vkmapctl.errors import CallFailed, Unsupported, UsageProblem
from vkmapctl.model.device import Limits, MemoryHeap
from vkmapctl.model.workload import Workload
from vkmapctl.plans.pressure import LEFT_BESIDE, MOST_PIECES, pieces, wanted_bytes
from vkmapctl.plans.workload import resolve
from vkmapctl.worker.pressure import pressed

GPU = a_gpu()


def planned(device=GPU, *, memory=64 * GIB, **wanted):
    return resolve(Workload(**{"sizes": (64 * MIB,), "pressure": 90} | wanted), device, a_room(memory)).jobs[0]


def test_the_heap_is_filled_to_its_share_and_the_row_finds_room():
    job = a_job(pressure=90, allocation_size=64 * MIB)
    assert wanted_bytes(job, 10 * GIB, GIB) == 9 * GIB - GIB
    assert wanted_bytes(replace(job, pressure=100), 10 * GIB, GIB) == 9 * GIB - 64 * MIB - LEFT_BESIDE
    assert wanted_bytes(job, 10 * GIB, 95 * GIB // 10) == 0


@pytest.mark.parametrize(
    ("fill", "largest", "most", "count", "size"),
    [
        (64 * GIB, None, 4096, 64, GIB),
        (64 * GIB, GIB // 2, 4096, 128, GIB // 2),
        (64 * GIB, 16 * MIB, 10**6, MOST_PIECES, 16 * MIB),
        (64 * GIB, None, 5, 5, GIB),
        (40 * MIB, None, 4096, 2, 16 * MIB),
        (MIB, None, 4096, 0, 0),
        (GIB, None, -1, 0, 0),
    ],
)
def test_pieces_are_few_and_none_is_too_large(fill, largest, most, count, size):
    found = pieces(fill, largest, most)
    assert (len(found), set(found)) == (count, {size} if count else set())
    assert sum(found) <= fill


def test_a_devices_own_memory_is_none_of_the_machines():
    job = planned(memory_type="4", memory=GIB)
    assert job.pressure_bytes == 79 * GIB * 90 // 100 - GIB


@pytest.mark.parametrize("device", [a_device(), a_gpu(type="integrated")])
def test_it_is_refused_where_the_machine_would_suffer(device):
    with pytest.raises(Unsupported) as caught:
        planned(device, memory=2 * GIB, memory_type="Vi")
    assert "host's memory" in caught.value.message
    assert "of which 2 GiB is free and 256 MiB is left alone" in caught.value.message


def test_a_heap_of_the_hosts_counts_as_the_machines():
    with pytest.raises(Unsupported, match="--pressure 90% of heap 1 takes"):
        planned(memory_type="2", memory=64 * GIB)
    assert planned(memory_type="2", memory=128 * GIB).pressure_bytes == 96 * GIB * 90 // 100


def test_malloc_has_no_heap_to_fill():
    with pytest.raises(UsageProblem, match="malloc's memory is of none"):
        planned(memory_type="malloc")


def test_a_size_that_is_to_fit_fits_beside_it():
    one = replace(a_device(), heaps=(MemoryHeap(0, 4 * GIB, True),))
    jobs = resolve(Workload(sizes=("64M..fit*2",), pressure=90), one, a_room()).jobs
    assert max(job.allocation_size for job in jobs) == 128 * MIB


class FakeDevice:
    """Has `room` bytes left; `leak` stay in use after a free."""

    def __init__(self, *, room=10 * GIB, leak=0, result="VK_ERROR_OUT_OF_DEVICE_MEMORY"):
        self.facts = a_gpu(limits=Limits(64, 64, 4096, GIB))
        self.room, self.leak, self.result = room, leak, result
        self.live, self.calls = {}, 0

    def heap_use(self, heap):
        return 10 * GIB, sum(self.live.values()) + (self.leak if self.calls else 0)

    def allocate(self, memory_type, size):
        if sum(self.live.values()) + size > self.room:
            raise CallFailed("no more", call="vkAllocateMemory", result=self.result)
        self.calls += 1
        self.live[self.calls] = size
        return self.calls

    def free(self, memory):
        del self.live[memory]


JOB = a_job(pressure=90, pressure_bytes=9 * GIB, memory_type=4, job="row")


def test_it_says_how_far_it_came_and_frees_all():
    device = FakeDevice()
    with pressed(device, JOB) as notes:
        assert sum(device.live.values()) == 9 * GIB
    assert not device.live
    assert [note.code for note in notes] == ["pressure"]
    assert "row: heap 0 is at 90.0% of its budget of 10 GiB: 9 GiB in 64 allocations" in notes[0].message


def test_it_stops_where_the_driver_has_no_more():
    device = FakeDevice(room=GIB)
    with pressed(device, JOB) as notes:
        assert GIB // 2 < sum(device.live.values()) <= GIB
    assert "there it stopped with VK_ERROR_OUT_OF_DEVICE_MEMORY" in notes[0].message
    assert not device.live


@pytest.mark.parametrize("result", ["VK_ERROR_DEVICE_LOST", "VK_ERROR_UNKNOWN"])
def test_another_failure_is_the_rows_and_all_is_freed(result):
    device = FakeDevice(room=GIB, result=result)
    with pytest.raises(CallFailed) as caught, pressed(device, JOB):
        pass
    assert caught.value.result == result
    assert not device.live


def test_a_fault_while_measuring_frees_all():
    device = FakeDevice()
    with pytest.raises(KeyError), pressed(device, JOB):
        raise KeyError
    assert not device.live


def test_what_stays_in_use_is_told():
    with pressed(FakeDevice(leak=GIB), JOB) as notes:
        pass
    assert "heap 0 has 1 GiB more in use than before the pressure" in notes[1].message
    with pressed(FakeDevice(leak=MIB), JOB) as notes:
        pass
    assert len(notes) == 1


def test_no_pressure_asks_nothing():
    with pressed(SimpleNamespace(), a_job()) as notes:
        assert notes == []
