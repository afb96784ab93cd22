"""Recordings made by hand: events, page faults, a file that is written and read as a real one is."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from vkmapctl.figures.recorded import answered
from vkmapctl.model.device import MemoryHeap, MemoryType
from vkmapctl.model.documents import Tool
from vkmapctl.model.recording import Called, Mark, Program, RecordedDevice, RecordedProcess, RecordingHead
from vkmapctl.saved.recordings import EVENT, FAULT, RecordingFile, write

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MS = 1_000_000  # ns
WHOLE = (1 << 64) - 1
PAGE = 4096
CACHED, BAR, ONLY_DEVICE, NON_COHERENT = 0, 1, 2, 3  # memory types
DEVICE = RecordedDevice(
    name="Example GPU 80GB",
    vendor_id=0x10DE,
    device_id=0x2330,
    api_version="1.4.305",
    driver_version="580.159.04",
    memory_types=(
        MemoryType(0, 1, ("Vi", "Co", "Ca")),
        MemoryType(1, 0, ("De", "Vi", "Co")),
        MemoryType(2, 0, ("De",)),
        MemoryType(3, 1, ("Vi", "Ca")),
    ),
    heaps=(MemoryHeap(0, 80 * GIB, True), MemoryHeap(1, 96 * GIB, False)),
)


@dataclass
class Made:
    """One process's events. Each call takes `took` ns, and begins `apart` ns after the one before it began."""

    took: int = 1000
    apart: int = 10_000
    now: int = 0
    thread: int = 1
    events: bytearray = field(default_factory=bytearray)
    faults: bytearray = field(default_factory=bytearray)
    handle: int = 0x1000

    def call(self, call, memory=0, offset=0, size=0, pointer=0, *, result=0, marks=0, took=None, device=0, begin=None):
        """One event. took: -1 for a call that has not returned."""
        self.now += self.apart
        took = self.took if took is None else took
        begin = self.now if begin is None else begin
        state = 0 if took < 0 else 1
        self.events += EVENT.pack(
            state, call, marks, device, self.thread, result, begin, max(took, 0), memory, offset, size, pointer
        )
        return self

    def allocate(self, size=64 * KIB, memory_type=CACHED, handle=None, **more):
        """Returns the handle."""
        if handle is None:
            handle = self.handle = self.handle + 1
        self.call(Called.ALLOCATE, handle, memory_type, size, **more)
        return handle

    def map(self, handle, pointer=0x7F0000000000, offset=0, size=WHOLE, call=Called.MAP, **more):
        return self.call(call, handle, offset, size, pointer, **more)

    def unmap(self, handle, call=Called.UNMAP, **more):
        return self.call(call, handle, **more)

    def free(self, handle, **more):
        return self.call(Called.FREE, handle, **more)

    def submit(self, **more):
        return self.call(Called.SUBMIT, size=1, **more)

    def present(self, **more):
        return self.call(Called.PRESENT, **more)

    def touch(self, address, pages, apart=500, thread=None):
        """First touches, page after page."""
        for page in range(pages):
            self.now += apart
            self.faults += FAULT.pack(self.now, address + page * PAGE, self.thread if thread is None else thread, 0)
        return self


def a_program_that_keeps():
    """Allocates a block, maps it, and keeps it: nothing is amiss. Ten seconds, so that starting costs nothing."""
    one = Made()
    one.map(one.allocate(64 * MIB))
    for _ in range(100):
        one.now += 100 * MS
        one.submit().present()
    return one


def a_program_of_everything():
    """Every pattern that is found, one after the other, and frames that end with presents."""
    one = Made(apart=100_000)
    kept = one.allocate(16 * MIB, BAR)
    one.map(kept, 0x10000000)
    bound = one.allocate(2 * MIB, NON_COHERENT)
    for i in range(20):
        upload, pointer = one.allocate(MIB, CACHED, took=30_000), 0x7F0000000000 + i * 2 * MIB
        one.map(upload, pointer, took=60).touch(pointer, 40).submit().free(upload, took=20_000)
        read = one.allocate(64 * KIB, BAR, took=9_000)
        one.submit().map(read, 0x7E0000000000, took=50).unmap(read).free(read, took=4_000)
        one.map(bound, 0x7D0000000000, offset=4096, call=Called.MAP2_KHR, took=70)
        one.unmap(bound, Called.UNMAP2_KHR, took=40)
        one.call(Called.FLUSH, kept, 0, 4096, took=25)
        imported = one.allocate(MIB, CACHED, marks=Mark.IMPORTED_HOST, pointer=0x7C0000000000, took=15_000)
        one.free(imported, took=9_000)
        scratch = one.allocate(4 * MIB, ONLY_DEVICE, took=7_000)
        one.free(scratch, took=6_000).present(took=5 * MS)
    one.thread = 2
    big = one.allocate(3 * GIB // 2, CACHED)
    one.map(big, 0x20000000)
    for _ in range(1000):
        one.allocate(4 * KIB, CACHED, took=2_000)
    one.call(Called.ALLOCATE, 0, CACHED, 1 << 40, result=-2)
    return one.map(bound, 0, took=-1)


def a_head(*made, program=None, faults_missing="", **process):
    """Of processes that were made, all of the same device."""
    processes = tuple(
        RecordedProcess(
            100 + number, 1, "example", len(one.events) // 64, len(one.faults) // FAULT.size,
            **({"devices": (DEVICE,), "seconds": one.now / 1e9} | process),
        )
        for number, one in enumerate(made)
    )  # fmt: skip
    seconds = max((one.now for one in made), default=0) / 1e9
    return RecordingHead(
        tool=Tool("vkmapctl", "0.1.0", ("record", "--", "example")),
        started="2026-01-01T00:00:00Z",
        host={"cpu_model": "Example CPU @ 3.00GHz", "kernel": "6.1.0-example"},
        loader="1.4.309",
        outcome="ok",
        exit_code=0,
        program=program or Program("example", 0, seconds=seconds, cpu_seconds=seconds / 2, page_faults=1000),
        processes=processes,
        faults_missing=faults_missing,
    )


def write_recording(path, *made, **head):
    """Writes what was made to a file."""
    with TemporaryDirectory() as folder:
        raw = []
        for number, one in enumerate(made):
            events, faults = Path(folder, f"events-{number}"), Path(folder, f"faults-{number}")
            events.write_bytes(one.events)
            faults.write_bytes(one.faults)
            raw.append((events, faults))
        with open(path, "wb") as file:
            write(file, a_head(*made, **head), raw)
    return path


def an_answer(*made, figures=None, **head):
    """The report of what was made, through a file."""
    with TemporaryDirectory() as folder:
        return answered(RecordingFile(write_recording(Path(folder, "r.vkrec"), *made, **head)), figures)
