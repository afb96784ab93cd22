"""Which device a --device means, and which is taken without one."""

import pytest
from builders import a_device, a_gpu, a_probe
from msgspec.structs import replace

from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.model.device import MemoryType
from vkmapctl.plans.selectors import best, choose, select, twins

CPU = a_device(index=0)
GPU = a_gpu(index=1)
INTEGRATED = a_gpu(
    index=2, type="integrated", name="Example iGPU", driver_name="radv", driver_id="MESA_RADV",
    driver_info="Mesa 25.0.7", device_uuid="00112233445566778899aabbccddeeff",
)  # fmt: skip
MEMORYLESS = a_gpu(index=3, memory_types=())
PROTECTED_ONLY = a_gpu(index=4, memory_types=(MemoryType(0, 0, ("Vi", "Pr")), MemoryType(1, 0, ("De",))))


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ([CPU], CPU),
        ([CPU, GPU], GPU),
        ([CPU, INTEGRATED, GPU], GPU),
        ([CPU, INTEGRATED], INTEGRATED),
        ([a_device(type="other", index=5), a_device(type="virtual", index=6), CPU], a_device(type="virtual", index=6)),
        ([MEMORYLESS, CPU], CPU),
        ([PROTECTED_ONLY, CPU], CPU),
        ([MEMORYLESS], MEMORYLESS),
        ([a_gpu(index=8), a_gpu(index=7)], a_gpu(index=7)),
    ],
)
def test_best(devices, expected):
    assert best(devices) == expected
    assert select(devices, None) == [expected]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("0", [CPU]),
        ("1", [GPU]),
        ("llvm", [CPU]),
        ("LLVMPIPE", [CPU]),
        ("80gb", [GPU]),
        ("nvidia", [GPU]),
        ("MESA_RADV", [INTEGRATED]),
        ("0ce0", [GPU]),
        ("0CE0B8A5-5F0B", [GPU]),
        ("0011", [INTEGRATED]),
        ("all", [CPU, GPU, INTEGRATED]),
    ],
)
def test_select(selector, expected):
    assert select([CPU, GPU, INTEGRATED], selector) == expected


@pytest.mark.parametrize("selector", ["9", "-1", "nothing-like-it", "0ce1", "b8a5"])
def test_nothing_matches_and_the_hints_name_what_there_is(selector):
    with pytest.raises(Unsupported) as caught:
        select([CPU, GPU], selector)
    assert selector in caught.value.message
    assert [CPU.name in caught.value.hints[0], GPU.device_uuid in caught.value.hints[1]] == [True, True]


def test_several_match():
    with pytest.raises(UsageProblem) as caught:
        select([CPU, GPU, INTEGRATED], "example")
    assert caught.value.message.startswith("2 devices match")


# --- what is required of the device in use --------------------------------------------------------


def test_a_gate_is_about_the_device_that_is_used():
    """With a GPU and a software driver, the software driver that was expected is not what would run."""
    devices = [CPU, GPU]
    assert choose(devices, None, expected_driver="NVIDIA") == [GPU]
    with pytest.raises(Unsupported) as caught:
        choose(devices, None, expected_driver="llvmpipe")
    assert "driver llvmpipe: this is NVIDIA" in caught.value.message
    assert caught.value.hints == (f"--device 0 is {CPU.name}, driver llvmpipe",)
    assert choose(devices, "0", expected_driver="llvmpipe") == [CPU]
    with pytest.raises(Unsupported) as caught:
        choose(devices, "all", expected_driver="llvmpipe")
    assert "device 1: driver llvmpipe" in caught.value.message


def test_what_is_required_is_proved_of_the_device_in_use_alone():
    asked = []

    def prove(device):
        asked.append(device)
        return a_probe(device)

    assert choose([CPU, GPU], None, requirements=["map2"], prove=prove) == [GPU]
    assert asked == [GPU]
    with pytest.raises(Unsupported, match="memoryMapRangePlaced"):
        choose([CPU, GPU], None, requirements=["range-placed"], prove=prove)
    assert choose([CPU, GPU], None, prove=lambda device: 1 / 0) == [GPU]


# --- one GPU twice --------------------------------------------------------------------------------


def test_two_manifests_of_one_gpu():
    assert twins([GPU, replace(GPU, index=5), CPU]) == {5: 1}


@pytest.mark.parametrize("changes", [{"device_uuid": "12" * 16}, {"driver_uuid": "12" * 16}])
def test_two_gpus_of_a_kind_and_one_gpu_by_two_drivers_are_no_twins(changes):
    assert twins([GPU, replace(GPU, index=5, **changes)]) == {}


def test_devices_without_a_uuid_are_no_twins():
    assert twins([replace(CPU, device_uuid="00" * 16), replace(CPU, index=5, device_uuid="00" * 16)]) == {}
