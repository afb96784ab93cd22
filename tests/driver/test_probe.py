"""probe on lavapipe, on RADV's null device, on the test layer, and on nothing at all."""

import json
from pathlib import Path

import pytest
from cli_runner import LAVAPIPE, RADV_NULL, from_scratch, vkmapctl

import vkmapctl as vkmapctl_package


def test_lavapipe_is_proved_through_every_pair_of_functions() -> None:
    result = vkmapctl("probe", "--json")
    assert result.code == 0, result.err
    (probe,) = result.json()["devices"]
    assert probe["device"]["driver_id"] == "MESA_LLVMPIPE", "the driver that these tests expect is lavapipe"
    assert probe["device"]["route"] == "core"
    assert {proof["by"]: proof["status"] for proof in probe["proofs"]} == {"core": "ok", "khr": "ok", "v1": "ok"}
    assert {point["name"]: (point["found"], point["rule"]) for point in probe["entry_points"]} == {
        "vkMapMemory2": (True, "pointer"),
        "vkUnmapMemory2": (True, "pointer"),
        "vkMapMemory2KHR": (True, "pointer"),
        "vkUnmapMemory2KHR": (True, "pointer"),
    }
    assert not probe["device"]["placed"]["memory_map_placed"]


def test_identity_and_memory_are_shown_for_people() -> None:
    shown = vkmapctl("probe").out
    for text in (
        "llvmpipe",
        "apiVersion",
        "1.4.",
        "deviceUUID",
        "vkMapMemory2KHR",
        "De Vi Co Ca",
        "nonCoherentAtomSize",
    ):
        assert text in shown
    assert "\x1b" not in shown


def test_radv_null_device_advertises_placed_maps_but_has_no_memory() -> None:
    result = vkmapctl("probe", "--json", driver=RADV_NULL)
    (probe,) = result.json()["devices"]
    assert probe["device"]["driver_id"] == "MESA_RADV"
    placed = probe["device"]["placed"]
    assert placed["memory_map_placed"] is True
    assert placed["memory_unmap_reserve"] is True
    assert placed["memory_map_range_placed"] is False
    assert placed["min_placed_memory_map_alignment"] == 4096
    assert {proof["status"] for proof in probe["proofs"]} == {"unsupported"}
    assert result.code == 0


def test_a_device_without_memory_does_not_hide_another() -> None:
    both = {"VK_LOADER_DRIVERS_SELECT": "*lvp*,*radeon*", "RADV_FORCE_FAMILY": "navi31"}
    devices = vkmapctl("probe", "--json", driver=both).json()["devices"]
    assert {probe["device"]["driver_id"] for probe in devices} == {"MESA_RADV", "MESA_LLVMPIPE"}
    run = vkmapctl("stress", "--duration", "100ms", "--json", "--quiet", driver=both)
    assert run.json()["devices"][0]["driver_id"] == "MESA_LLVMPIPE", "the best device is one that has memory to map"


@pytest.mark.parametrize(
    ("arguments", "code", "missing"),
    [
        (["--require", "map2", "--require", "core14", "--require", "api>=1.4"], 0, ""),
        (["--expect-driver", "llvmpipe"], 0, ""),
        (["--require", "placed"], 3, "memoryMapPlaced"),
        (["--require", "range-placed"], 3, "memoryMapRangePlaced"),
        (["--require", "reserve"], 3, "memoryUnmapReserve"),
        (["--require", "api>=1.9"], 3, "1.4."),
        (["--expect-driver", "NVIDIA"], 3, "NVIDIA"),
    ],
)
def test_gate(arguments: list[str], code: int, missing: str) -> None:
    result = vkmapctl("probe", "--json", *arguments)
    assert result.code == code
    assert missing in " ".join(result.json()["missing"])


def test_map2_that_was_not_proved_does_not_pass_the_gate() -> None:
    assert vkmapctl("probe", "--require", "map2", driver=RADV_NULL).code == 3


def test_emulated_placed_maps_are_labelled() -> None:
    result = vkmapctl("probe", "--emulate", "range", "--require", "range-placed", "--require", "reserve")
    assert result.code == 0
    assert "emulated by vkmapctl's test layer" in result.out


@pytest.mark.parametrize(
    ("fault", "code", "text"),
    [
        ("init-crashes", 6, "SIGSEGV"),
        ("map-crashes", 6, "SIGSEGV"),
        ("map-aborts", 6, "SIGABRT"),
        ("map-fails", 4, "VK_ERROR_MEMORY_MAP_FAILED"),
        ("contents-lost", 4, "written was"),
        ("place-elsewhere", 4, "another address"),
        ("reserve-lets-go", 4, "was free"),
        ("misaligned-pointer", 4, "not aligned"),
        ("entry-point-null", 4, "entry-point-disagrees"),
        ("features-unfilled", 0, "features-unfilled"),
        ("reserve-keeps", 0, "[live-proof] reserve: the range still shows the object after an unmap with reserve"),
    ],
)
def test_a_broken_driver_is_reported_and_never_takes_the_tool_with_it(fault: str, code: int, text: str) -> None:
    result = vkmapctl("probe", "--emulate", "placed", "--inject", fault)
    assert result.code == code
    assert text in result.out
    assert "llvmpipe" in result.out, "what is known of the device is still shown"


@pytest.mark.parametrize(
    ("fault", "code", "text"),
    [
        ("enumerate-crashes", 6, "killed by SIGSEGV in vkEnumeratePhysicalDevices"),
        ("init-crashes", 6, "killed by SIGSEGV in vkCreateDevice"),
        ("map-crashes", 6, "killed by SIGSEGV in vkMapMemory2"),
        ("map-hangs", 6, "no progress for 1 s"),
        ("map-fails", 4, "VK_ERROR_MEMORY_MAP_FAILED in vkMapMemory2KHR"),
    ],
)
def test_a_driver_that_breaks_before_the_parent_has_asked(fault: str, code: int, text: str) -> None:
    """The layer comes by the environment: with --inject the child is forked late, and asked."""
    layer = {
        "VK_INSTANCE_LAYERS": "VK_LAYER_VKMAPCTL_test",
        "VK_LAYER_PATH": str(Path(vkmapctl_package.__file__).parent / "layer"),
        "VKMAPCTL_LAYER_FAULT": fault,
    }
    result = vkmapctl("probe", "--timeout", "1s", driver=LAVAPIPE | layer, timeout=20)
    assert result.code == code
    assert text in result.out + result.err
    assert ("llvmpipe" in result.out) == (fault != "enumerate-crashes"), "what is known of the device is still shown"


def test_a_driver_that_hangs_is_ended() -> None:
    result = vkmapctl("probe", "--emulate", "placed", "--inject", "map-hangs", "--timeout", "1s", timeout=20)
    assert result.code == 6
    assert "no progress for 1 s" in result.out


def test_a_driver_that_crashes_on_enumeration_is_one_clear_error() -> None:
    result = vkmapctl("probe", "--inject", "enumerate-crashes")
    assert result.code == 6
    assert len(result.errors()) == 1
    assert "SIGSEGV" in result.err


def test_no_driver_is_one_clear_error() -> None:
    result = vkmapctl("probe", driver={"VK_LOADER_DRIVERS_SELECT": "no-such-driver*"})
    assert result.code == 3
    assert result.errors() == ["Error: the Vulkan loader found no usable driver"]
    assert "Hint: " in result.err


def test_no_loader_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import _cffi_backend\n"
        "class NoLoader(_cffi_backend.FFI):\n"
        "    def dlopen(self, *_): raise OSError('cannot load library')\n"
        "_cffi_backend.FFI = NoLoader\n"
    )
    result = from_scratch("probe", driver={**LAVAPIPE, "PYTHONPATH": str(tmp_path)})
    assert result.code == 3
    assert result.errors() == ["Error: no Vulkan loader (libvulkan.so.1) on this machine"]


def test_save_writes_the_document_that_json_prints(tmp_path: Path) -> None:
    path = tmp_path / "probe.json"
    printed = vkmapctl("probe", "--json", "--save", str(path)).json()
    assert json.loads(path.read_text()) == printed
    assert printed["schema"] == "vkmapctl/1"
    assert vkmapctl("probe", "--save", str(path)).code == 2
    assert vkmapctl("probe", "--save", str(path), "--force").code == 0


@pytest.mark.parametrize(
    ("selector", "code"), [("0", 0), ("llvm", 0), ("all", 0), ("6d6573", 0), ("9", 3), ("geforce", 3)]
)
def test_selector(selector: str, code: int) -> None:
    assert vkmapctl("probe", "--device", selector).code == code
