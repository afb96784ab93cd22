"""`vkmapctl record` at the edges: programs that die, fork, unload the loader, or know no Vulkan (clients/programs)."""

import json
from collections import Counter
from pathlib import Path

import pytest
from cli_runner import LAVAPIPE, vkmapctl
from clients.recorded import calls, edges, record
from icd.build import lavapipe

import vkmapctl as package
from vkmapctl.model.recording import Called, Mark

LAYERS = Path(package.__file__).parent / "layer"
EMULATED = {
    "VK_INSTANCE_LAYERS": "VK_LAYER_VKMAPCTL_test", "VK_ADD_LAYER_PATH": str(LAYERS), "VKMAPCTL_LAYER_EMULATE": "placed"
}  # fmt: skip


def refused(folder, *program, driver=LAVAPIPE):
    """Why nothing was recorded, and what the program printed."""
    result = vkmapctl("record", "run", "--out", str(folder / "none.vkrec"), "--", *map(str, program), driver=driver)
    assert result.code == 3
    assert not (folder / "none.vkrec").exists()
    (error,) = result.errors()
    return error.removeprefix("Error: nothing was recorded: "), result.out


def test_every_call_is_there_in_order(tmp_path) -> None:
    recorded = record(tmp_path, edges(), "pairs", "3")
    order = [event.call for event in recorded.process.events if event.call != Called.GAP]
    assert order == [
        Called.CREATE_DEVICE, Called.ALLOCATE, *[Called.MAP, Called.UNMAP] * 3, Called.FREE, Called.DESTROY_DEVICE
    ]  # fmt: skip
    allocated, mapped = recorded.process.events[order.index(Called.ALLOCATE) + 1], None
    for event in recorded.process.events:
        assert event.duration_ns is not None
        assert event.result == 0
        if event.call == Called.ALLOCATE:
            allocated = event
        if event.call == Called.MAP:
            mapped = event
    assert (allocated.size, mapped.object, mapped.size) == (65536, allocated.object, 2**64 - 1)
    assert mapped.pointer
    assert (recorded.head.program.exit_code, recorded.result.out) == (0, "done\n")
    assert recorded.head.faults_missing or recorded.process.about.faults > 16


@pytest.mark.parametrize(
    ("program", "exit_code", "signal"),
    [("leaves", 7, ""), ("killed", None, "SIGKILL"), ("crashes", None, "SIGSEGV")],
)
def test_what_was_recorded_outlives_the_program(tmp_path, program, exit_code, signal) -> None:
    recorded = record(tmp_path, edges(), program, "100")
    assert (recorded.head.program.exit_code, recorded.head.program.signal) == (exit_code, signal)
    assert recorded.process.used == (1, 100, 99, 0)
    assert recorded.process.left_mapped == 1
    assert (signal or f"exit code {exit_code}") in recorded.result.err


def test_programs_that_run_at_once_are_apart(tmp_path) -> None:
    both = f"{edges()} pairs 2000 & {edges()} pairs 1000 & wait"
    recorded = record(tmp_path, "sh", "-c", both)
    assert [one.used for one in recorded.processes] == [(1, 2000, 2000, 1), (1, 1000, 1000, 1)]
    assert recorded.result.out == "done\ndone\n"


def test_a_child_of_fork_has_a_stream_of_its_own(tmp_path) -> None:
    parent, child = record(tmp_path, edges(), "forks", "50").processes
    assert (parent.used, child.used) == ((2, 100, 100, 2), (1, 50, 50, 1))
    assert (parent.about.forked, child.about.forked) == (False, True)
    assert child.about.parent == parent.about.pid
    assert {event.device for event in child.events if event.object} == {1}, "its parent's is 0"


def test_a_process_that_executes_another_program_goes_on(tmp_path) -> None:
    recorded = record(tmp_path, edges(), "executes", "50")
    assert recorded.process.used == (2, 100, 100, 2)
    assert [event.device for event in recorded.process.events if event.call == Called.ALLOCATE] == [0, 1]
    assert recorded.result.out == "done\n"


def test_instances_and_devices_come_and_go(tmp_path) -> None:
    process = record(tmp_path, edges(), "instances", "40").process
    assert process.used == (40,) * 4
    assert len(process.about.devices) == 40
    assert Counter(event.device for event in process.events if event.call == Called.MAP) == dict.fromkeys(range(40), 1)


def test_a_program_may_unload_the_loader(tmp_path) -> None:
    process = record(tmp_path, edges(), "reloads", "20").process
    assert process.used == (20,) * 4


def test_what_is_freed_while_mapped_and_what_is_nothing(tmp_path) -> None:
    process = record(tmp_path, edges(), "frees", "20").process
    assert process.used == (20, 20, 0, 40)
    assert (process.freed_mapped, process.left_mapped) == (20, 0)
    assert sum(event.call == Called.FREE and not event.object for event in process.events) == 20


def test_objects_that_threads_hand_over_keep_their_order(tmp_path) -> None:
    process = record(tmp_path, edges(), "threads", "500").process
    assert process.used == (500,) * 4
    lives: dict[int, list[tuple[Called, int]]] = {}
    for event in process.events:
        if event.object:
            lives.setdefault(event.object, []).append((event.call, event.thread))
    first, second, third = sorted({one.thread for one in process.events if one.object})
    whole = [(Called.ALLOCATE, first), (Called.MAP, second), (Called.UNMAP, third), (Called.FREE, third)]
    for life in lives.values():  # a handle is used again
        assert life == whole * (len(life) // 4)


def test_placed_maps_and_reserved_ranges(tmp_path) -> None:
    recorded = record(tmp_path, edges(), "placed", "20", **EMULATED)
    process = recorded.process
    assert calls(process) | {Called.ALLOCATE: 1} == {
        Called.CREATE_DEVICE: 1, Called.ALLOCATE: 1, Called.MAP2_KHR: 20, Called.UNMAP2_KHR: 20, Called.FREE: 1,
        Called.DESTROY_DEVICE: 1,
    }  # fmt: skip
    maps = [event for event in process.events if event.call == Called.MAP2_KHR]
    assert {event.marks for event in maps} == {Mark.PLACED}
    assert len({event.pointer for event in maps}) == 1
    assert {event.marks for event in process.events if event.call == Called.UNMAP2_KHR} == {Mark.RESERVE}
    (device,) = process.about.devices
    assert (device.placed, device.reserve) == (True, True)
    assert "VK_LAYER_VKMAPCTL_test" in recorded.head.layers


def test_time_between_calls_is_told_apart(tmp_path) -> None:
    """Between its maps the program computes for 20 ms, and sleeps for 20 ms: a busy machine makes both longer."""
    process = record(tmp_path, edges(), "waits", "5").process
    long = [event for event in process.events if event.call == Called.GAP and event.duration_ns >= 20e6]
    busy = [event for event in long if event.size >= 19e6]
    assert len(busy) >= 5
    assert sum(event.size < 10e6 for event in long) >= 4


def test_the_recorder_ends_a_program_that_goes_on(tmp_path) -> None:
    recorded = record(tmp_path, edges(), "waits", "1000000", options=("--for", "1s"))
    maps, unmaps = recorded.process.used[1:3]
    assert maps
    assert maps - unmaps in (0, 1)
    assert [note.code for note in recorded.head.warnings] == ["ended"]


# Programs of which nothing comes


def test_one_without_vulkan(tmp_path) -> None:
    assert refused(tmp_path, edges(), "none", "1") == ("no Vulkan loader was seen in edges or its children", "done\n")


def test_one_that_opens_the_driver_itself(tmp_path) -> None:
    manifest = lavapipe()
    library = json.loads(manifest.read_text())["ICD"]["library_path"]
    reason, out = refused(tmp_path, edges(), "direct", library if library.startswith("/") else library.split("/")[-1])
    assert "was loaded without the Vulkan loader" in reason
    assert out == "done\n"


def test_one_whose_loader_is_told_to_take_no_layer(tmp_path) -> None:
    reason, _ = refused(tmp_path, edges(), "pairs", "1", driver={**LAVAPIPE, "VK_LOADER_LAYERS_DISABLE": "~all~"})
    assert reason == "the Vulkan loader did not take the layer: VK_LOADER_LAYERS_DISABLE=~all~"


def test_one_that_is_not_there(tmp_path) -> None:
    result = vkmapctl("record", "run", "--out", str(tmp_path / "none.vkrec"), "--", str(tmp_path / "nothing"))
    assert (result.code, len(result.errors())) == (2, 1)
