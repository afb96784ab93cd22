"""The ring between a recorded program and its recorder: what was written comes out, once and in order."""

import mmap

import pytest
from vkmapctl._loop import ffi, lib

from vkmapctl.capture import Ring
from vkmapctl.model.recording import Called
from vkmapctl.saved.recordings import EVENT

CAPACITY = 8
OPEN, RETURNED = 0, 1


class Layer:
    """Writes a ring as the recording layer does, in a file."""

    def __init__(self, path, mult=1 << 32) -> None:
        self.path = path
        path.write_bytes(bytes(lib.VKM_RING_HEAD + CAPACITY * ffi.sizeof("struct vkm_event")))
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        self.ring = ffi.cast("struct vkm_ring *", ffi.from_buffer(self.memory))
        self.ring.magic = int.from_bytes(b"VKMREC1\0", "little")
        self.ring.capacity, self.ring.pid = CAPACITY, 4711
        self.ring.clock_kind, self.ring.clock_mult = 1, mult
        self.ring.start_ticks, self.ring.start_ns = 100, 1000

    def claim(self):
        index = self.ring.head
        self.ring.head += 1
        events = ffi.cast("struct vkm_event *", ffi.from_buffer(self.memory) + lib.VKM_RING_HEAD)
        return events + index % CAPACITY, (index // CAPACITY + 1) * 2

    def event(self, object_, *, state=RETURNED, begin=100, ticks=5) -> None:
        event, lap = self.claim()
        event.call, event.object, event.begin, event.ticks = Called.MAP, object_, begin, ticks
        event.state = lap + state


def taken(ring, **how):
    found = []
    while data := ring.take(**how):
        found += EVENT.iter_unpack(data)
    return found


def objects(records):
    return [record[8] for record in records]


def test_events_come_out_in_order_over_many_laps(tmp_path) -> None:
    layer = Layer(tmp_path / "ring")
    ring = Ring(layer.path, 0)
    found = []
    for number in range(5 * CAPACITY + 3):
        layer.event(number + 1)
        if number % 5 == 4:
            found += objects(taken(ring))
    assert found + objects(taken(ring)) == list(range(1, 5 * CAPACITY + 4))
    assert taken(ring) == []


def test_an_open_event_holds_back_what_comes_after_it_until_it_returns_or_the_process_ends(tmp_path) -> None:
    layer = Layer(tmp_path / "ring")
    ring = Ring(layer.path, 0)
    layer.event(1)
    layer.event(2, state=OPEN)
    layer.event(3)
    assert objects(taken(ring)) == [1]
    layer.claim()  # and was killed before it wrote anything
    layer.event(5)
    rest = taken(ring, ended=True)
    assert objects(rest) == [2, 3, 5]
    assert [record[0] for record in rest] == [OPEN, RETURNED, RETURNED]


def test_times_are_ns_since_the_recording_began(tmp_path) -> None:
    layer = Layer(tmp_path / "ring", mult=3 << 31)  # 1.5 ns a tick
    layer.event(1, begin=120, ticks=10)
    layer.event(2, begin=50, ticks=0)  # before its own beginning: not before the recording's
    first, second = taken(Ring(layer.path, 900))
    assert first[6:8] == (1000 - 900 + 30, 15)
    assert second[6:8] == (100, 0)


def test_the_calls_that_a_killed_process_was_in_are_told_once(tmp_path) -> None:
    layer = Layer(tmp_path / "ring")
    layer.ring.under_way[0] = {"thread": 7, "call": Called.ALLOCATE + 1, "begin": 100}
    layer.ring.under_way[1] = {"thread": 8, "call": Called.FREE + 1, "begin": 100}  # which has an event of its own
    records = list(EVENT.iter_unpack(Ring(layer.path, 0).under_way()))
    assert [(record[0], record[1], record[4]) for record in records] == [(OPEN, Called.ALLOCATE, 7)]


def test_what_is_no_ring_is_refused(tmp_path) -> None:
    layer = Layer(tmp_path / "ring")
    layer.ring.capacity = 1 << 20  # more than the file holds
    (tmp_path / "short").write_bytes(b"VKMREC1\0")
    for path in (layer.path, tmp_path / "short"):
        with pytest.raises(ValueError, match="is no ring"):
            Ring(path, 0)
