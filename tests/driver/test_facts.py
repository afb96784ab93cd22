"""What a driver says of its devices: read whole, believed only as far as it can be true, shown as text alone."""

import os
import subprocess
import sys

import pytest
from cli_runner import LAVAPIPE, RADV_NULL, environment, vkmapctl
from icd.build import icd

GIB = 1 << 30
VISIBLE = 2 | 4 | 8  # host-visible, coherent, cached
DEVICE_COHERENT = 0x40


def version(major, minor, patch):
    return major << 22 | minor << 12 | patch


def probed(folder, breaks):
    result = vkmapctl("probe", "--json", "--quiet", driver=icd(folder, breaks))
    return result, result.json()


# --- memory that C functions fill is read before it is freed --------------------------------------


@pytest.mark.parametrize("byte", ["1", "165"])
def test_extensions_are_those_of_the_driver(byte):
    """glibc fills what is freed."""
    result = vkmapctl("probe", "--require", "map2", "--json", driver=LAVAPIPE | {"MALLOC_PERTURB_": byte})
    assert result.code == 0, result.err
    assert "VK_KHR_map_memory2" in result.json()["devices"][0]["device"]["extensions"]


def test_extensions_when_what_is_freed_is_unmapped():
    driver = LAVAPIPE | {"MALLOC_MMAP_THRESHOLD_": "4096"}
    result = vkmapctl("verify", "--check", "M1", "--json", "--quiet", driver=driver)
    assert (result.code, [row["status"] for row in result.json()["results"]]) == (0, ["pass"])


# --- versions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("driver_id", "packed", "shown"),
    [
        (24, version(26, 2, 6), "26.2.6"),  # MESA_NVK, on the same vendor's GPUs as the next
        (4, 580 << 22 | 159 << 14 | 4 << 6, "580.159.4.0"),  # NVIDIA_PROPRIETARY
        (5, 101 << 14 | 5590, "101.5590"),  # INTEL_PROPRIETARY_WINDOWS
        (6, version(25, 0, 7), "25.0.7"),  # INTEL_OPEN_SOURCE_MESA
        (1, version(900, 1, 2), "900.1.2"),
    ],
)
def test_the_driver_version_is_packed_as_the_driver_does(tmp_path, driver_id, packed, shown):
    _, document = probed(tmp_path, f"driverID={driver_id} driverVersion={packed} vendorID=0x10DE")
    assert document["devices"][0]["device"]["driver_version"] == shown


# --- budgets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "believed", "words"),
    [(0, None, "how much is free is unknown"), (64 * GIB, 2 * GIB, "is taken"), (GIB, GIB, "")],
)
def test_a_budget_that_cannot_be_is_not_believed(tmp_path, budget, believed, words):
    breaks = f"memoryHeaps[0].size={2 * GIB} heapBudget[0]={budget} heapUsage[0]=0"
    result, document = probed(tmp_path, breaks)
    assert result.code == 0
    assert document["devices"][0]["device"]["heaps"][0]["budget"] == believed
    told = [note["message"] for note in document["warnings"] if note["code"] == "heap-budget"]
    assert len(told) == bool(words)
    assert all(words in message for message in told)
    short = ("--size", "4K", "--duration", "50ms", "--warmup", "0s", "--quiet")
    assert vkmapctl("stress", *short, driver=icd(tmp_path, breaks)).code == 0


def test_a_usage_below_nothing_is_not_believed(tmp_path):
    """Mesa 25.0.7's lavapipe with 32 bits: it takes the machine's free memory from a heap that is smaller."""
    breaks = f"memoryHeaps[0].size={2 * GIB} heapBudget[0]={2 * GIB} heapUsage[0]={2**64 - 20 * GIB}"
    result, document = probed(tmp_path, breaks)
    assert (result.code, document["devices"][0]["device"]["heaps"][0]["usage"]) == (0, None)
    assert [note["code"] for note in document["warnings"]] == ["heap-usage"]
    short = ("--size", "4K", "--duration", "50ms", "--warmup", "0s", "--quiet")
    assert vkmapctl("stress", *short, driver=icd(tmp_path, breaks)).code == 0


# --- memory types that need a feature -------------------------------------------------------------


def test_a_device_coherent_type_without_its_feature_is_not_used(tmp_path):
    """VUID-vkAllocateMemory-deviceCoherentMemory-02790."""
    breaks = f"memoryTypes[0].propertyFlags={VISIBLE | DEVICE_COHERENT} vkAllocateMemory=crash"
    result, document = probed(tmp_path, breaks)
    (probe,) = document["devices"]
    assert (result.code, {proof["status"] for proof in probe["proofs"]}) == (0, {"unsupported"})
    assert "deviceCoherentMemory" in probe["device"]["memory_types"][0]["barred"]
    stress = vkmapctl("stress", "--size", "4K", "--quiet", driver=icd(tmp_path, breaks))
    assert (stress.code, len(stress.errors())) == (3, 1)


def test_verify_says_why_a_type_is_left_out(tmp_path):
    breaks = (
        f"memoryTypeCount=2 memoryTypes[1].heapIndex=0 memoryTypes[0].propertyFlags={VISIBLE} "
        f"memoryTypes[1].propertyFlags={VISIBLE | DEVICE_COHERENT}"
    )
    result = vkmapctl("verify", "--check", "M1", "--json", "--quiet", driver=icd(tmp_path, breaks))
    first, second = result.json()["results"]
    assert (result.code, first["status"], second["status"]) == (0, "pass", "skip")
    assert "deviceCoherentMemory" in second["detail"]
    named = vkmapctl("stress", "--memory-type", "1", "--quiet", driver=icd(tmp_path, breaks))
    assert named.code == 3
    assert "deviceCoherentMemory" in named.errors()[0]


def test_the_feature_is_enabled_where_the_device_has_it(tmp_path):
    """What vkCreateDevice is given, on a device that seems to have the feature."""
    script = """
from vkmapctl.inside import device, vkapi
ffi, lib = vkapi.vk.ffi, vkapi.vk.lib
class Lib:
    def __getattr__(self, name):
        return getattr(lib, name)
    def vkCreateDevice(self, physical, info, *rest):
        print(*(ffi.string(info.ppEnabledExtensionNames[i]).decode() for i in range(info.enabledExtensionCount)))
        link = ffi.cast("VkBaseOutStructure *", info.pNext)
        while link:
            if link.sType == 1000229000:
                print("feature", ffi.cast("VkPhysicalDeviceCoherentMemoryFeaturesAMD *", link).deviceCoherentMemory)
            link = link.pNext
        return -3
vkapi.vk.lib = Lib()
vkapi._has_device_coherent_memory = lambda physical: True
with vkapi.Instance() as instance:
    physical = vkapi.physical_devices(instance.handle)[0]
    described, _ = vkapi.describe(0, physical)
    assert described["memory_types"][0]["barred"] == "", described
    try:
        device.OpenDevice(physical, described, None)
    except vkapi.CallFailed as error:
        print(error.message)
"""
    breaks = (
        f"memoryTypes[0].propertyFlags={VISIBLE | DEVICE_COHERENT} "
        "rename=VK_EXT_4444_formats:VK_AMD_device_coherent_memory"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(icd(tmp_path, breaks)) | {"PYTHONPATH": os.getcwd()},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    names, feature, error = done.stdout.splitlines() or [done.stderr]
    assert "VK_AMD_device_coherent_memory" in names.split()
    assert feature == "feature 1"
    assert error == "vkCreateDevice failed: VK_ERROR_INITIALIZATION_FAILED"


# --- heaps and limits that cannot be --------------------------------------------------------------

SHORT = ("--size", "64K", "--duration", "50ms", "--warmup", "0s", "--json", "--quiet")
WORK = (("stress", "--touch", "write", *SHORT), ("verify", "--check", "M3", "--json", "--quiet"))


@pytest.mark.parametrize(
    ("breaks", "code", "says"),
    [
        ("memoryTypes[0].heapIndex=7", "no-such-heap", "memory type 0 is of heap 7"),
        ("memoryTypes[0].propertyFlags=0x3 limits.nonCoherentAtomSize=0", "atom-size", "nonCoherentAtomSize is 0"),
        ("limits.minMemoryMapAlignment=0", "map-alignment", "minMemoryMapAlignment is 0"),
        ("limits.minMemoryMapAlignment=48", "map-alignment", "minMemoryMapAlignment is 48"),
    ],
)
def test_what_cannot_be_is_told_and_does_not_stop_the_work(tmp_path, breaks, code, says):
    result, document = probed(tmp_path, breaks)
    assert result.code == 0
    told = [note["message"] for note in document["warnings"] if note["code"] == code]
    assert len(told) == 1
    assert says in told[0]
    for command in WORK:
        done = vkmapctl(*command, driver=icd(tmp_path, breaks))
        assert done.code == 0, done.err
        assert code in {note["code"] for note in done.json()["warnings"]}


def test_a_device_without_heaps_has_no_memory(tmp_path):
    driver = icd(tmp_path, "memoryHeapCount=0")
    assert vkmapctl("probe", driver=driver).code == 0
    result = vkmapctl("stress", *SHORT, driver=driver)
    assert result.code == 3
    assert "0 B free of 0 B" in result.err


def test_a_heap_of_no_size_has_nothing_free(tmp_path):
    result = vkmapctl("stress", *SHORT, driver=icd(tmp_path, "memoryHeaps[0].size=0"))
    assert result.code == 3
    assert "0 B free of 0 B" in result.err


@pytest.mark.parametrize("alignment", [0, 1, 48])
def test_a_map_alignment_that_is_not_allowed_fails_its_check(tmp_path, alignment):
    """Required Limits: a power of two, at least 64."""
    driver = icd(tmp_path, f"limits.minMemoryMapAlignment={alignment}")
    result = vkmapctl("verify", "--check", "M1", "--json", "--quiet", driver=driver)
    (row,) = result.json()["results"]
    assert (result.code, row["status"]) == (4, "fail")
    assert f"minMemoryMapAlignment is {alignment}" in row["detail"]


# --- memory that runs out -------------------------------------------------------------------------


def test_an_allocation_that_finds_no_memory_is_no_death(tmp_path):
    """At maxMemoryAllocationSize, which a driver may have and yet not give."""
    driver = icd(tmp_path, "maxMemoryAllocationSize=65536 vkAllocateMemory=above:32768,return:-2")
    for command in (("stress", *SHORT), ("probe", "--json", "--quiet"), WORK[1]):
        result = vkmapctl(*command, driver=driver)
        assert (result.code, result.json()["outcome"]) == (3, "out-of-memory"), command
        assert "VK_ERROR_OUT_OF_DEVICE_MEMORY" in result.out


def test_memory_that_runs_out_while_the_same_objects_come_and_go_is_a_failure(tmp_path):
    script = tmp_path / "leak.toml"
    steps = '{ op = "allocate" }, { op = "map" }, { op = "unmap" }, { op = "free" }'
    script.write_text(f"[[job]]\niterations = 20\nsteps = [{steps}]")
    result = vkmapctl(
        "stress", str(script), *SHORT[:2], *SHORT[4:], driver=icd(tmp_path, "vkAllocateMemory@15=return:-2")
    )
    (row,) = result.json()["results"]
    assert (result.code, row["status"]) == (4, "failed")
    assert "VK_ERROR_OUT_OF_DEVICE_MEMORY in vkAllocateMemory" in row["reason"]


def test_a_sweep_up_to_what_fits_steps_down(tmp_path):
    driver = icd(tmp_path, f"heapBudget[0]={1 << 20} heapUsage[0]=0 vkAllocateMemory=above:65536,return:-2")
    result = vkmapctl("stress", "--size", "4K..fit*4", *SHORT[2:], driver=driver)
    assert result.code == 0, result.err
    rows = {row["allocation_size"]: row for row in result.json()["results"]}
    assert {size: row["status"] for size, row in rows.items()} == {
        4096: "ok", 16384: "ok", 65536: "ok", 262144: "not-run",
    }  # fmt: skip
    assert "VK_ERROR_OUT_OF_DEVICE_MEMORY" in rows[262144]["reason"]
    assert vkmapctl("stress", "--size", "64K..fit*4", "--size", "256K", *SHORT[2:], driver=driver).code == 3


# --- names ----------------------------------------------------------------------------------------


def test_a_name_cannot_steer_the_terminal(tmp_path):
    breaks = r"deviceName=\x1b[31mRed\x07 driverInfo=\x1b]0;title\x07" + " driverName=" + "x" * 256
    result = vkmapctl("probe", driver=icd(tmp_path, breaks))
    assert result.code == 0, result.err
    assert "?[31mRed?" in result.out
    assert not {"\x1b", "\x07"} & set(result.out)


# --- what --emulate cannot do ---------------------------------------------------------------------


def told(result):
    return [note["message"] for note in result.json()["warnings"] if note["code"] == "not-emulated"]


def test_emulating_without_map2_is_told(tmp_path):
    breaks = f"apiVersion={version(1, 3, 0)} rename=VK_KHR_map_memory2:VK_KHR_no_such_thing"
    (message,) = told(vkmapctl("probe", "--emulate", "placed", "--json", "--quiet", driver=icd(tmp_path, breaks)))
    assert "Vulkan 1.4 or VK_KHR_map_memory2" in message


def test_emulating_on_a_driver_with_placed_maps_of_its_own_is_told():
    (message,) = told(vkmapctl("probe", "--emulate", "range", "--json", "--quiet", driver=RADV_NULL))
    assert "placed maps of its own" in message


def test_emulating_where_it_can_be_done_is_not(tmp_path):
    assert told(vkmapctl("probe", "--emulate", "placed", "--json", "--quiet", driver=LAVAPIPE)) == []
