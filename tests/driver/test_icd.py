"""The test driver in front of lavapipe: it hands on all it is not told to break, and each break is as it was told."""

import os
import signal
import time

import pytest
from cli_runner import vkmapctl
from icd.build import icd, text
from icd.trial import processes_of, tried

SHORT = ("--size", "4K", "--duration", "50ms", "--warmup", "0s", "--quiet")
OTHER = r"deviceUUID=\x01 deviceName=Other"  # so that it is no second manifest of the same device


# Nothing is broken


def device_of(environment):
    (probe,) = vkmapctl("probe", "--json", driver=environment).json()["devices"]
    assert {proof["by"]: proof["status"] for proof in probe["proofs"]} == {"core": "ok", "khr": "ok", "v1": "ok"}
    for heap in probe["device"]["heaps"]:
        del heap["budget"], heap["usage"]  # what is free changes
    return probe["device"]


def test_probe_sees_lavapipe_through_it(tmp_path):
    assert device_of(icd(tmp_path)) == device_of({"VK_LOADER_DRIVERS_SELECT": "*lvp*"})


def test_stress_and_verify_run_through_it(tmp_path):
    run = vkmapctl("stress", *SHORT, "--api", "all", "--touch", "verify", "--json", driver=icd(tmp_path))
    assert run.code == 0, run.err
    assert {row["api"]: row["status"] for row in run.json()["results"]} == {"v1": "ok", "khr": "ok", "core": "ok"}
    verified = vkmapctl("verify", "--check", "M1", "--json", "--quiet", driver=icd(tmp_path))
    assert (verified.code, [row["status"] for row in verified.json()["results"]]) == (0, ["pass"])


def test_it_stands_beside_lavapipe(tmp_path):
    devices = vkmapctl("probe", "--json", driver=icd(tmp_path, OTHER, beside=True)).json()["devices"]
    assert len(devices) == 2
    assert "Other" in {probe["device"]["name"] for probe in devices}
    assert {probe["status"] for probe in devices} == {"ok"}


@pytest.mark.parametrize("way", ["v1", "khr", "core"])
def test_a_program_maps_and_ends_through_it(tmp_path, way):
    trial = tried(tmp_path, "", way)
    assert (trial.code, trial.out, trial.err) == (0, b"", b"")
    assert trial.steps["map"] == 0
    assert list(trial.steps)[-1] == "vkDestroyInstance"


@pytest.mark.parametrize(
    "setting",
    [
        "deviceNam=x", "vkMapMemory=crsh", "vkMapMemory=sleep", "vkMapMemory=sleep:1:2", "vkMapMemory=sleep:x",
        r"deviceName=\q", "heapBudget=1", "heapBudget[x]=1", "load", "rename=VK_KHR_map_memory2",
    ],
)  # fmt: skip
def test_a_setting_that_is_wrong_is_refused(tmp_path, setting):
    trial = tried(tmp_path, setting)
    assert (trial.code, trial.steps) == (-signal.SIGABRT, {})
    assert trial.err.startswith(b"vkmapctl's test driver: ")


# Facts


def name(value):
    return value.ljust(256, b"\0").hex()


ESCAPES = b"\x1b]0;title\x07\x1b[31mRed\x1b[2J\xff\xc3(\x9b\n= ,:"
# Setting, its value as it is written, the struct and the field that show it, and what they show.
FACTS = [
    ("apiVersion", "0x400000", "Properties2", "properties.apiVersion", 1 << 22),
    ("driverVersion", "7", "Properties2", "properties.driverVersion", 7),
    ("vendorID", "0x10de", "Properties2", "properties.vendorID", 0x10DE),
    ("deviceID", "3", "Properties2", "properties.deviceID", 3),
    ("deviceType", "2", "Properties2", "properties.deviceType", 2),
    ("deviceName", text(ESCAPES), "Properties2", "properties.deviceName", name(ESCAPES)),
    ("deviceName", text(ESCAPES), "properties of 1.0", "deviceName", name(ESCAPES)),
    ("limits.maxMemoryAllocationCount", "5", "Properties2", "properties.limits.maxMemoryAllocationCount", 5),
    ("limits.minMemoryMapAlignment", "1", "Properties2", "properties.limits.minMemoryMapAlignment", 1),
    ("limits.nonCoherentAtomSize", "0", "properties of 1.0", "limits.nonCoherentAtomSize", 0),
    ("driverID", "24", "DriverProperties", "driverID", 24),
    ("driverID", "24", "Vulkan12Properties", "driverID", 24),
    ("driverName", "N" * 256, "DriverProperties", "driverName", (b"N" * 256).hex()),  # no terminator
    ("driverInfo", "", "Vulkan12Properties", "driverInfo", name(b"")),
    ("deviceUUID", text(bytes(range(16))), "IDProperties", "deviceUUID", bytes(range(16)).hex()),
    ("deviceUUID", text(bytes(range(16))), "Vulkan11Properties", "deviceUUID", bytes(range(16)).hex()),
    ("driverUUID", text(b"\xff"), "IDProperties", "driverUUID", "ff" + 15 * "00"),
    ("maxMemoryAllocationSize", "1024", "Maintenance3Properties", "maxMemoryAllocationSize", 1024),
    ("maxMemoryAllocationSize", "1024", "Vulkan11Properties", "maxMemoryAllocationSize", 1024),
    ("memoryTypeCount", "3", "memory", "memoryTypeCount", 3),
    ("memoryTypes[2].propertyFlags", "0xC6", "memory", "memoryTypes.2.propertyFlags", 0xC6),
    ("memoryTypes[2].heapIndex", "1", "memory of 1.0", "memoryTypes.2.heapIndex", 1),
    ("memoryHeapCount", "2", "memory", "memoryHeapCount", 2),
    ("memoryHeaps[1].size", "0", "memory", "memoryHeaps.1.size", 0),
    ("memoryHeaps[0].size", "0x123456789a", "memory of 1.0", "memoryHeaps.0.size", 0x123456789A),
    ("memoryHeaps[1].flags", "1", "memory", "memoryHeaps.1.flags", 1),
    ("heapBudget[0]", "0", "budget", "heapBudget.0", 0),
    ("heapUsage[1]", "0xffffffffffffffff", "budget", "heapUsage.1", 2**64 - 1),
]


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """What a program is told with every fact changed at once."""
    settings = {key: value for key, value, *_ in FACTS}
    trial = tried(tmp_path_factory.mktemp("facts"), " ".join(f"{key}={value}" for key, value in settings.items()))
    assert trial.code == 0, trial.err
    return trial.steps


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    return tried(tmp_path_factory.mktemp("plain"), "").steps


def field(steps, struct, path):
    found = steps[struct]
    for part in path.split("."):
        found = found[int(part)] if part.isdigit() else found[part]
    return found


@pytest.mark.parametrize(("key", "value", "struct", "path", "shown"), FACTS, ids=[f"{f[2]}:{f[3]}" for f in FACTS])
def test_a_fact_is_as_told(changed, key, value, struct, path, shown):
    assert field(changed, struct, path) == shown


def test_what_is_not_told_stays(changed, unchanged):
    for struct, path in (
        ("Properties2", "properties.pipelineCacheUUID"),
        ("Properties2", "properties.limits.bufferImageGranularity"),
        ("properties of 1.0", "limits.maxMemoryAllocationCount"),
        ("memory", "memoryTypes.0.propertyFlags"),
        ("memory", "memoryHeaps.0.flags"),
        ("Vulkan12Properties", "conformanceVersion"),
        ("IDProperties", "deviceNodeMask"),
    ):
        told = path.endswith("maxMemoryAllocationCount")
        assert (field(changed, struct, path) == field(unchanged, struct, path)) != told, path


def test_an_extension_goes_by_another_name(tmp_path):
    found = tried(tmp_path, "rename=VK_EXT_memory_budget:VK_EXT_map_memory_placed").steps["extensions"]
    assert "VK_EXT_map_memory_placed" in found
    assert "VK_EXT_memory_budget" not in found


def test_a_device_without_memory_types(tmp_path):
    assert vkmapctl("stress", *SHORT, driver=icd(tmp_path, "memoryTypeCount=0")).code == 3
    for flags in ("0x1", "0x20"):  # neither is host-visible
        assert vkmapctl("stress", *SHORT, driver=icd(tmp_path, f"memoryTypes[0].propertyFlags={flags}")).code == 3


# Deaths

# A moment, and the last that a program learns before it.
MOMENTS = [
    ("load", None),
    ("vk_icdNegotiateLoaderICDInterfaceVersion", None),
    ("vk_icdGetInstanceProcAddr", None),
    ("vkCreateInstance", None),
    ("vkEnumeratePhysicalDevices", "vkCreateInstance"),
    ("vkGetPhysicalDeviceMemoryProperties2", "memory of 1.0"),
    ("vkCreateDevice", "extensions"),
    ("vkGetDeviceProcAddr", "extensions"),  # the loader asks before the program does
    ("vkAllocateMemory", "found"),
    ("vkMapMemory2", "vkAllocateMemory"),
    ("vkUnmapMemory2", "map"),
    ("vkDestroyDevice", "unmap"),
    ("vkDestroyInstance", "vkDestroyDevice"),
    ("unload", "vkDestroyDevice"),  # the loader unloads it in vkDestroyInstance
    ("exit", "vkDestroyInstance"),
]
WAYS = {
    "abort": -signal.SIGABRT,
    "exit:7": 7,
    "quit:8": 8,
    f"raise:{signal.SIGKILL:d}": -signal.SIGKILL,
    "hang": None,
    "call,crash": -signal.SIGSEGV,
}


@pytest.mark.parametrize(("moment", "before"), MOMENTS, ids=[moment for moment, _ in MOMENTS])
def test_it_crashes_at(tmp_path, moment, before):
    trial = tried(tmp_path, f"{moment}=crash")
    assert (trial.code, next(reversed(trial.steps), None)) == (-signal.SIGSEGV, before)


@pytest.mark.parametrize("way", WAYS)
def test_it_dies_by(tmp_path, way):
    trial = tried(tmp_path, f"vkDestroyDevice={way}", timeout=5)
    assert (trial.code, next(reversed(trial.steps))) == (WAYS[way], "unmap")


@pytest.mark.parametrize("moment", ["load", "unload", "exit"])
def test_it_hangs_at(tmp_path, moment):
    assert tried(tmp_path, f"{moment}=hang", timeout=5).code is None


def test_it_dies_of_one_call_among_several(tmp_path):
    assert tried(tmp_path, "vkEnumeratePhysicalDevices@99=crash").code == 0
    first = tried(tmp_path, "vkEnumeratePhysicalDevices@2=crash")
    assert (first.code, list(first.steps)) == (-signal.SIGSEGV, ["vkCreateInstance"])


def test_a_thread_of_its_own_crashes(tmp_path):
    trial = tried(tmp_path, "vkMapMemory2=thread,sleep:100,crash vkDestroyInstance=sleep:2000")
    assert trial.code == -signal.SIGSEGV
    assert trial.steps["unmap"] == 0


def test_one_process_tells_the_next(tmp_path):
    breaks = f"vkMapMemory2=touch:{tmp_path}/mark load=when:{tmp_path}/mark,crash"
    assert [tried(tmp_path, breaks).code for _ in range(2)] == [0, -signal.SIGSEGV]


# Answers


@pytest.mark.parametrize(("result", "told"), [(-3, -9), (-1, -1), (-9, -9), (-7, -9)])
def test_vk_create_instance_fails(tmp_path, result, told):
    """The loader leaves the driver out, and then has none; it hands on that memory is out."""
    assert tried(tmp_path, f"vkCreateInstance=return:{result}").steps == {"vkCreateInstance": told}


def test_a_driver_that_fails_leaves_the_other(tmp_path):
    assert tried(tmp_path, "vkCreateInstance=return:-3", beside=True).steps["devices"] == 1
    assert tried(tmp_path, OTHER, beside=True).steps["devices"] == 2


@pytest.mark.parametrize("result", [-1, -3])
def test_enumeration_fails(tmp_path, result):
    steps = tried(tmp_path, f"vkEnumeratePhysicalDevices=return:{result}").steps
    assert steps == {"vkCreateInstance": 0, "vkEnumeratePhysicalDevices": result}


def test_enumeration_gives_nothing(tmp_path):
    none = "vkEnumeratePhysicalDevices=u32:1:0,return:0"
    assert tried(tmp_path, none).steps["vkEnumeratePhysicalDevices"] == -3, "the loader's word for no device"
    assert tried(tmp_path, none, beside=True).steps["devices"] == 1


def test_enumeration_is_never_complete(tmp_path):
    steps = tried(tmp_path, "vkEnumeratePhysicalDevices=call,return:5").steps
    assert steps in (
        {"vkCreateInstance": 0, "vkEnumeratePhysicalDevices": 5, "devices": 0},
        {"vkCreateInstance": 0, "vkEnumeratePhysicalDevices": -3},  # of newer loaders
    )


def test_enumeration_gives_more_than_there_is_room_for(tmp_path):
    """The loader reads them all: it is the loader that crashes."""
    trial = tried(tmp_path, "vkEnumeratePhysicalDevices@2=call,u32:1:9")
    assert (trial.code, list(trial.steps)) == (-signal.SIGSEGV, ["vkCreateInstance"])


def test_only_large_allocations_fail(tmp_path):
    assert tried(tmp_path, "vkAllocateMemory=above:4096,return:-2").steps["vkAllocateMemory"] == 0
    assert tried(tmp_path, "vkAllocateMemory=above:4095,return:-2").steps["vkAllocateMemory"] == -2


def test_no_device_without_success(tmp_path):
    assert tried(tmp_path, "vkCreateDevice=return:-3").steps["vkCreateDevice"] == -3


@pytest.mark.parametrize(("way", "command", "argument"), [("v1", "", 5), ("khr", "2KHR", 2), ("core", "2", 2)])
def test_a_map_gives_null_with_success(tmp_path, way, command, argument):
    steps = tried(tmp_path, f"vkMapMemory{command}=call,u64:{argument}:0", way).steps
    assert (steps["map"], steps["pointer"]) == (0, 0)


def test_verify_sees_null_with_success(tmp_path):
    null = icd(tmp_path, "vkMapMemory2*=u64:2:0,return:0 vkMapMemory=u64:5:0,return:0")
    assert vkmapctl("verify", "--check", "M1", "--quiet", driver=null).code == 4


def test_slow_maps(tmp_path):
    assert tried(tmp_path, "vkMapMemory*=sleep:50", "v1").steps["seconds"] > 0.05
    run = vkmapctl("stress", *SHORT, "--json", driver=icd(tmp_path, "vkMapMemory*=sleep:2"))
    assert run.json()["results"][0]["map"]["min_ns"] > 2e6


# Entry points


def test_an_entry_point_is_missing(tmp_path):
    assert tried(tmp_path, "vkMapMemory2=missing").steps["found"] == {"vkMapMemory2": False, "vkUnmapMemory2": True}
    assert "entry-point-disagrees" in vkmapctl("probe", driver=icd(tmp_path, "vkMapMemory2=missing")).out
    assert tried(tmp_path, "vkCreateInstance=missing").steps == {"vkCreateInstance": -9}


@pytest.mark.parametrize("break_", ["vkMapMemory2=wrong", "vkMapMemory2=as:vkGetDeviceQueue"])
def test_an_entry_point_leads_elsewhere(tmp_path, break_):
    trial = tried(tmp_path, break_)
    assert trial.steps["found"]["vkMapMemory2"] is True
    assert trial.code != 0 or trial.steps["pointer"] == 1, "the pointer that was there before the call"


# Output, files and processes


def test_it_writes_where_it_should_not(tmp_path):
    trial = tried(tmp_path, rf"load=write:1:first\x0a vkCreateDevice=write:2:half\x20a\x20line,write:1:{text(ESCAPES)}")
    assert (trial.code, trial.out, trial.err) == (0, b"first\n" + ESCAPES, b"half a line")
    megabyte = tried(tmp_path, "vkCreateInstance=fill:1:1048576,fill:2:1048577")
    assert (megabyte.code, len(megabyte.out), len(megabyte.err)) == (0, 1 << 20, (1 << 20) + 1)


@pytest.mark.parametrize("break_", ["load=fill:1:1048576,fill:2:1048576", "load=close:1,close:2", r"exit=write:1:bye"])
def test_stdout_stays_one_document(tmp_path, break_):
    result = vkmapctl("probe", "--json", driver=icd(tmp_path, break_))
    assert (result.code, result.json()["outcome"]) == (0, "ok")


def test_it_closes_files(tmp_path):
    trial = tried(tmp_path, r"load=close:1,close:2 vkCreateDevice=write:1:lost,write:2:lost")
    assert (trial.code, trial.out, trial.err) == (0, b"", b"")


def test_it_leaves_a_process_behind(tmp_path):
    trial = tried(tmp_path, f"load=fork,sleep:30000,touch:{tmp_path}/ended vkMapMemory2=crash")
    assert trial.code == -signal.SIGSEGV
    (helper,) = processes_of(tmp_path)
    os.kill(helper, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while processes_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not (tmp_path / "ended").exists()
