"""Plain data made by hand: a device, a row, a run. Every argument changes one field of a sound default."""

from msgspec.structs import replace

from vkmapctl.model.case import labels
from vkmapctl.model.device import (
    Bound,
    Device,
    EntryPoint,
    Limits,
    MemoryHeap,
    MemoryType,
    Placed,
    Probe,
    Proof,
    Room,
)
from vkmapctl.model.documents import (
    SCHEMA,
    CheckRow,
    ProbeReport,
    Run,
    SelftestReport,
    Tool,
    Trial,
    VerifyReport,
)
from vkmapctl.model.measured import Bins, Floor, Histogram, Latency, Row, TouchRate
from vkmapctl.model.workload import Job, Workload

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
CACHED = MemoryType(0, 0, ("De", "Vi", "Co", "Ca"))
NON_COHERENT = MemoryType(0, 0, ("Vi", "Ca"))
FULLY_PLACED = Placed(True, True, True, 4096)
NO_MAP2 = {}
KHR_ONLY = {"VK_KHR_map_memory2": 1}
HOST = {"cpu_model": "Example CPU @ 3.00GHz", "kernel": "6.1.0-example"}
TOOL = Tool("vkmapctl", "0.1.0", ("stress",))


def a_room(memory=64 * GIB, mappings=65530, **limits) -> Room:
    """A machine with so many bytes available, of which 256 MiB is left alone. limits: addresses, private."""
    return Room(Bound("this machine's memory", 128 * GIB, memory, 256 * MIB), mappings, **limits)


def a_device(**changes) -> Device:
    """A software device with Vulkan 1.4, one heap of 4 GiB, one coherent memory type and no placed maps."""
    device = Device(
        index=0,
        name="llvmpipe (LLVM 19.1.7, 256 bits)",
        type="cpu",
        vendor_id=0x10005,
        device_id=0,
        api_version="1.4.305",
        driver_version="25.0.7",
        driver_id="MESA_LLVMPIPE",
        driver_name="llvmpipe",
        driver_info="Mesa 25.0.7 (LLVM 19.1.7)",
        conformance_version="1.3.1.1",
        device_uuid="6d657361323530307000000000000000",
        driver_uuid="6c6c766d7069706555554944",
        heaps=(MemoryHeap(0, 4 * GIB, True),),
        memory_types=(CACHED,),
        limits=Limits(min_memory_map_alignment=64, non_coherent_atom_size=64, max_memory_allocation_count=4096),
        extensions={"VK_KHR_map_memory2": 1},
        route="core",
        placed=Placed(),
    )
    return replace(device, **changes)


def a_gpu(**changes) -> Device:
    """A discrete device with VK_EXT_map_memory_placed, but no range-placed maps, and several memory types."""
    gpu = {
        "index": 1,
        "name": "Example GPU 80GB",
        "type": "discrete",
        "vendor_id": 0x10DE,
        "device_id": 0x2330,
        "driver_id": "NVIDIA_PROPRIETARY",
        "driver_name": "NVIDIA",
        "driver_info": "580.159.04",
        "device_uuid": "0ce0b8a55f0b6b2f9a3d6c7f2b11d9aa",
        "heaps": (
            MemoryHeap(0, 80 * GIB, True, budget=79 * GIB, usage=GIB),
            MemoryHeap(1, 96 * GIB, False),
        ),
        "memory_types": (
            MemoryType(0, 1, ()),
            MemoryType(1, 0, ("De",)),
            MemoryType(2, 1, ("Vi", "Co")),
            MemoryType(3, 1, ("Vi", "Co", "Ca")),
            MemoryType(4, 0, ("De", "Vi", "Co")),
        ),
        "extensions": {"VK_KHR_map_memory2": 1, "VK_EXT_map_memory_placed": 1, "VK_EXT_memory_budget": 1},
        "placed": Placed(True, False, True, 4096),
        "pci_address": "0000:65:00.0",
    }
    return a_device(**gpu | changes)


def a_job(**changes) -> Job:
    """64 KiB, mapped whole through vkMapMemory2, nothing touched."""
    job = Job(
        job="64 KiB",
        device=0,
        api="core",
        memory_type=0,
        memory_flags=("De", "Vi", "Co", "Ca"),
        allocation_size=64 << 10,
        offset=0,
        map_size=None,
        placed=None,
        reserve=False,
        touch="none",
        threads=1,
        live=1,
        seed=1,
    )
    return replace(job, **changes)


def a_histogram(*bins, overflow=0, max_ns=None) -> Histogram:
    """From (lower edge, count) pairs; the samples are taken to be the edges themselves."""
    edges = [edge for edge, _ in bins]
    count = sum(n for _, n in bins) + overflow
    return Histogram(
        count=count,
        sum_ns=sum(edge * n for edge, n in bins),
        min_ns=min(edges, default=0),
        max_ns=max(edges, default=0) if max_ns is None else max_ns,
        overflow=overflow,
        bins=tuple(bins),
    )


def a_latency(*, scale=1.0, **changes) -> Latency:
    """A map of some 35 ns with a tail of 21 us, all times `scale`."""
    latency = Latency(
        count=123_456,
        min_ns=int(31 * scale),
        mean_ns=36.5 * scale,
        p50_ns=35.0 * scale,
        p90_ns=38.0 * scale,
        p99_ns=61.0 * scale,
        p999_ns=1_234.0 * scale,
        max_ns=int(21_480 * scale),
        at_floor=False,
        histogram=Bins(((31, 123_456),), 0),
    )
    return replace(latency, **changes)


def a_row(**changes) -> Row:
    """A finished row of `a_device`."""
    row = Row(
        job="64 MiB",
        device=0,
        api="core",
        memory_type=0,
        memory_flags=("De", "Vi", "Co", "Ca"),
        allocation_size=64 * MIB,
        offset=0,
        map_size=None,
        placed=None,
        reserve=False,
        touch="none",
        threads=1,
        live=1,
        seed=1,
        duration_seconds=2.0,
        warmup_seconds=0.1,
        pairs=12_345_678,
        seconds=1.0,
        pairs_per_second=12_345_678.0,
        ns_per_pair=81.0,
        map=a_latency(),
        unmap=a_latency(scale=0.5),
    )
    return replace(row, **changes)


def a_busy_row(**changes) -> Row:
    """A row that fills every optional column."""
    everything = {
        "job": "256 MiB at random",
        "device": 1,
        "memory_type": 4,
        "memory_flags": ("De", "Vi", "Co"),
        "allocation_size": 256 * MIB,
        "offset": "random",
        "map_size": 64 * MIB + 4096,
        "placed": "low4g",
        "reserve": True,
        "touch": "verify",
        "threads": 16,
        "live": 1000,
        "pairs": 4_321,
        "pairs_per_second": 4_321.0,
        "ns_per_pair": 231_427.0,
        "ratio_to_v1": (1.02, 0.98, 1.07),
        "map": a_latency(scale=11_000),
        "unmap": a_latency(scale=9_000),
        "touch_bytes_per_second": TouchRate(write=9.87e9, read=2.1e7),
        "page_faults": {"minor": 66_000, "major": 0},
        "verified_bytes": 4_321 * 64 * MIB,
    }
    return a_row(**everything | changes)


def a_floor(**changes) -> Floor:
    """A time-stamp counter of 1 ns, a pair of null calls of 2.4 ns."""
    timer = a_latency(count=20_000, min_ns=14, p50_ns=20.0, p90_ns=21.0, p99_ns=22.0, p999_ns=40.0, max_ns=9_120)
    floor = Floor("tsc", 20.0, 1.0, 2.4, timer, replace(timer, count=1_000_000, max_ns=31_000))
    return replace(floor, **changes)


def a_run(*rows, **changes) -> Run:
    """A finished run of the rows on `a_device`; rows of one name get the labels that a run would give them."""
    if len({row.job for row in rows}) < len(rows):
        rows = tuple(replace(row, job=label) for row, label in zip(rows, labels(rows), strict=True))
    device = changes.pop("device", a_device())
    run = Run(
        schema=SCHEMA,
        tool=TOOL,
        started="2026-01-02T03:04:05+00:00",
        host=HOST,
        loader="1.4.309",
        devices=(device,),
        workload=Workload(),
        outcome="ok",
        exit_code=0,
        floor=a_floor(),
        results=rows,
    )
    return replace(run, **changes)


def _placed_proofs(device):
    placed = device.placed
    return ["placed"] * placed.memory_map_placed + ["reserve"] * placed.memory_unmap_reserve


def a_probe(device=None, **changes) -> Probe:
    """What a working device's probe finds."""
    device = device or a_device()
    names = ("vkMapMemory2", "vkUnmapMemory2", "vkMapMemory2KHR", "vkUnmapMemory2KHR")
    probe = Probe(
        device=device,
        entry_points=tuple(EntryPoint(name, True, "pointer", True) for name in names),
        proofs=tuple(Proof(by, "ok", "65536 bytes") for by in (*device.apis(), *_placed_proofs(device))),
    )
    return replace(probe, **changes)


def a_probe_report(*probes, **changes) -> ProbeReport:
    """The report of the probes."""
    report = ProbeReport(
        schema=SCHEMA,
        tool=TOOL,
        started="2026-01-02T03:04:05+00:00",
        host=HOST,
        loader="1.4.309",
        devices=probes,
        outcome="ok",
        exit_code=0,
    )
    return replace(report, **changes)


def a_check(identifier="M1", memory_type=2, **changes) -> CheckRow:
    """A check of `a_gpu` that passed; memory_type None: it could not run on the device."""
    row = CheckRow(
        id=identifier,
        title=f"what {identifier} tests",
        rule=f"rule of {identifier}",
        level="must",
        device=1,
        memory_type=memory_type,
        memory_flags=() if memory_type is None else a_gpu().memory_types[memory_type].flags,
        status="pass",
        detail="",
        seconds=0.05,
        breaks=f"What breaks without {identifier}.",
    )
    return replace(row, **changes)


def checks(identifier, **changes) -> list[CheckRow]:
    """The same check on every host-visible memory type of `a_gpu`."""
    return [a_check(identifier, memory_type, **changes) for memory_type in (2, 3, 4)]


def a_verify_report(*rows, **changes) -> VerifyReport:
    """A finished verify run of `a_gpu`."""
    report = VerifyReport(
        tool=TOOL,
        started="2026-01-02T03:04:05+00:00",
        host=HOST,
        loader="1.4.309",
        devices=(a_gpu(),),
        results=rows,
        outcome="ok",
        exit_code=0,
    )
    return replace(report, **changes)


def a_selftest(*trials, **changes) -> SelftestReport:
    """A finished selftest on `a_device`."""
    report = SelftestReport(
        tool=TOOL, host=HOST, loader="1.4.309", device=a_device(), trials=trials, outcome="ok", exit_code=0
    )
    return replace(report, **changes)


def a_trial(fault, **changes) -> Trial:
    """A fault that was noticed."""
    return replace(Trial(fault, f"what {fault} does", "verify M1", True, "fail: off by 8", ("fail",)), **changes)
