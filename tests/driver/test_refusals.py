"""What a machine cannot do is refused with exit code 3, by every command, and the refusal is a document too."""

import json
import xml.etree.ElementTree as ET

import pytest
from cli_runner import LAVAPIPE, from_scratch, vkmapctl
from icd.build import icd

COMMANDS = {
    "probe": ("probe",),
    "stress": ("stress", "--size", "64K", "--duration", "50ms", "--warmup", "0s"),
    "verify": ("verify", "--check", "M1"),
}
HARDWARE = r"deviceType=2 deviceUUID=\x01 deviceName=Card driverID=4 driverName=Hardware"
NO_DRIVER = {"VK_DRIVER_FILES": "/nowhere.json", "VK_ICD_FILENAMES": "/nowhere.json"}
NO_DEVICE = {"VK_LOADER_DRIVERS_SELECT": "*radeon*"}
# What is asked of which driver, and what the reason names.
EVERYWHERE = [
    ((), NO_DRIVER, "no usable driver"),
    ((), NO_DEVICE, "offer no device"),
    (("--device", "nvidia"), LAVAPIPE, "no device matches 'nvidia'"),
]
GATES = [
    (("--expect-driver", "NVIDIA"), "driver NVIDIA: this is llvmpipe"),
    (("--require", "map2", "--require", "placed"), "placed: the feature memoryMapPlaced is missing"),
    (("--require", "api>=9.0"), "api>=9.0: this device has"),
]
OF_STRESS = [
    (("--placed",), LAVAPIPE, "memoryMapPlaced"),
    (("--size", "8192G"), LAVAPIPE, "does not fit"),
]
REFUSALS = [(command, *one) for command in COMMANDS for one in EVERYWHERE]
REFUSALS += [(command, gate, LAVAPIPE, reason) for command in ("stress", "verify") for gate, reason in GATES]
REFUSALS += [("stress", *one) for one in OF_STRESS]


@pytest.mark.parametrize(("command", "asked", "driver", "reason"), REFUSALS)
def test_a_refusal_is_a_document(tmp_path, command, asked, driver, reason):
    saved, junit = tmp_path / "saved.json", tmp_path / "junit.xml"
    files = ("--save", str(saved), "--junit", str(junit))
    result = vkmapctl(*COMMANDS[command], *asked, *files, "--json", driver=driver)
    document = result.json()
    assert (result.code, len(result.errors())) == (3, 1)
    assert (document["kind"], document["outcome"], document["exit_code"]) == (command, "unsupported", 3)
    assert reason in document["reason"]
    assert reason in result.errors()[0]
    assert json.loads(saved.read_text()) == document
    (case,) = ET.parse(junit).iter("testcase")
    assert reason in case.find("error").get("message")
    shown = vkmapctl("report", "show", str(saved))
    assert shown.code == 0
    assert reason in shown.out
    if command == "stress":
        for form in ("md", "csv", "junit", "html"):
            exported = vkmapctl("report", "export", str(saved), "--format", form)
            assert exported.code == 0, exported.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_machine_without_a_loader(tmp_path, command):
    (tmp_path / "sitecustomize.py").write_text(
        "import _cffi_backend\n"
        "class NoLoader(_cffi_backend.FFI):\n"
        "    def dlopen(self, *_): raise OSError('cannot load library')\n"
        "_cffi_backend.FFI = NoLoader\n"
    )
    result = from_scratch(*COMMANDS[command], "--json", driver={**LAVAPIPE, "PYTHONPATH": str(tmp_path)})
    assert result.code == 3
    assert "no Vulkan loader (libvulkan.so.1)" in result.json()["reason"]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_json_a_refusal_is_an_error_and_no_table(command):
    result = vkmapctl(*COMMANDS[command], "--device", "nvidia", driver=LAVAPIPE)
    assert (result.code, result.out, len(result.errors())) == (3, "", 1)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistake_leaves_no_document(tmp_path, command):
    saved = tmp_path / "saved.json"
    result = vkmapctl(*COMMANDS[command], "--device", "", "--save", str(saved), "--json", driver=LAVAPIPE)
    assert (result.code, result.out, saved.exists()) == (2, "", False)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_driver_that_dies_before_anything_is_known_leaves_a_document(tmp_path, command):
    result = vkmapctl(*COMMANDS[command], "--json", driver=icd(tmp_path, "vkCreateInstance=crash"))
    document = result.json()
    assert (result.code, document["outcome"], document["exit_code"]) == (6, "crashed", 6)
    assert "SIGSEGV in vkCreateInstance" in document["reason"]


# --- the gate is about the device that is used ----------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_gate_and_work_choose_the_same_device(tmp_path, command):
    """A GPU, as it says, beside lavapipe."""
    gpu = icd(tmp_path, HARDWARE, beside=True)
    held = vkmapctl(*COMMANDS[command], "--expect-driver", "Hardware", "--require", "map2", "--json", driver=gpu)
    assert held.code == 0, held.err
    if command != "probe":
        assert [device["driver_name"] for device in held.json()["devices"]] == ["Hardware"]
    refused = vkmapctl(*COMMANDS[command], "--expect-driver", "llvmpipe", "--json", driver=gpu)
    assert refused.code == 3
    assert "this is Hardware" in refused.out
    by_name = vkmapctl(*COMMANDS[command], "--device", "llvmpipe", "--expect-driver", "llvmpipe", "--json", driver=gpu)
    assert by_name.code == 0, by_name.err


@pytest.mark.parametrize("command", ["stress", "verify"])
def test_the_refusal_names_the_device_to_choose(tmp_path, command):
    gpu = icd(tmp_path, HARDWARE, beside=True)
    result = vkmapctl(*COMMANDS[command], "--expect-driver", "llvmpipe", driver=gpu)
    assert "Hint: --device " in result.err
    assert "driver llvmpipe" in result.err


@pytest.mark.parametrize("command", ["stress", "verify"])
def test_what_is_required_is_proved(tmp_path, command):
    """The driver says that it has map2, and it does not work."""
    fails = vkmapctl(*COMMANDS[command], "--require", "map2", driver=icd(tmp_path, "vkMapMemory2*=return:-5"))
    assert fails.code == 3
    assert "map2: not proved" in fails.errors()[0]
    dies = vkmapctl(*COMMANDS[command], "--require", "map2", "--json", driver=icd(tmp_path, "vkMapMemory2=crash"))
    assert (dies.code, dies.json()["outcome"]) == (6, "crashed")


# --- one GPU by two manifests ---------------------------------------------------------------------


@pytest.mark.parametrize("command", ["stress", "verify"])
def test_one_gpu_by_two_manifests_is_told(tmp_path, command):
    twice = icd(tmp_path, beside=True)
    result = vkmapctl(*COMMANDS[command], "--device", "all", "--json", "--quiet", driver=twice)
    assert result.code == 0, result.err
    assert "same-gpu" in {note["code"] for note in result.json()["warnings"]}


def test_a_gpu_does_not_share_with_itself(tmp_path):
    twice = vkmapctl(*COMMANDS["stress"], "--together", "--json", "--quiet", driver=icd(tmp_path, beside=True))
    document = twice.json()
    assert {row["together"] for row in document["results"]} == {1}
    assert {"same-gpu", "together"} <= {note["code"] for note in document["warnings"]}


@pytest.mark.parametrize("command", ["stress", "verify"])
def test_a_driver_that_was_expected_and_broke_is_named(tmp_path, command):
    """The others are listed without it, and the one that is left is not the one that was meant."""
    driver = icd(tmp_path, "vkCreateInstance=crash", beside=True)
    result = vkmapctl(*COMMANDS[command], "--expect-driver", "Hardware", "--json", "--quiet", driver=driver)
    document = result.json()
    assert (result.code, document["outcome"]) == (3, "unsupported")
    assert "vkmapctl_test_icd.json: the driver crashed" in result.err
    assert "driver-left-out" in {note["code"] for note in document["warnings"]}
    assert document["loader"]
