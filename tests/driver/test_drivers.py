"""A driver that dies when it is loaded or listed does not hide the others."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cli_runner import LAVAPIPE, vkmapctl
from icd.build import icd

from vkmapctl.driver import listing as drivers

LVP = next(Path("/usr/share/vulkan/icd.d").glob("lvp*.json"))
# A driver as the loader sees it; CRASH is where it dies.
SOURCE = """
#include <stdint.h>
#include <string.h>
#include <unistd.h>
typedef void fn(void);
static int32_t die(void) { WAY; return 0; }
static int32_t nothing(const char *layer, uint32_t *count, void *all) { (void)layer, (void)all; *count = 0; return 0; }
int32_t vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version)
{
    if (NEGOTIATE)
        die();
    *version = 5;
    return 0;
}
fn *vk_icdGetInstanceProcAddr(void *instance, const char *name)
{
    (void)instance;
    if (!strcmp(name, "vkEnumerateInstanceExtensionProperties"))
        return (fn *)nothing;
    if (!strcmp(name, "vkEnumerateInstanceVersion"))
        return 0;
    return (fn *)die;
}
"""


def broken_driver(folder, *, way="*(volatile int *)0 = 0", negotiate=0):
    """Manifest of a driver that dies in vk_icdNegotiate… or in vkCreateInstance."""
    library = folder / "libbroken.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-w", f"-DWAY={way}", f"-DNEGOTIATE={negotiate}", "-xc", "-", "-o", library],
        input=SOURCE, text=True, check=True,
    )  # fmt: skip
    manifest = folder / "broken_icd.json"
    icd = {"library_path": str(library), "api_version": "1.3.0"}
    manifest.write_text(json.dumps({"file_format_version": "1.0.0", "ICD": icd}))
    return manifest


@pytest.fixture(params=["negotiate", "create", "abort", "exit"])
def beside(request, tmp_path):
    """A machine with lavapipe and a broken driver, the broken one first."""
    way = {"abort": "__builtin_abort()", "exit": "_exit(1)"}.get(request.param, "*(volatile int *)0 = 0")
    broken = broken_driver(tmp_path, way=way, negotiate=int(request.param == "negotiate"))
    return {"VK_DRIVER_FILES": f"{broken}:{LVP}", "VK_ICD_FILENAMES": f"{broken}:{LVP}"}


def test_probe_shows_the_rest_and_exits_6(beside):
    result = vkmapctl("probe", "--json", "--quiet", driver=beside)
    document = result.json()
    assert (result.code, document["outcome"]) == (6, "crashed")
    broken, working = document["devices"]
    assert broken["device"] is None
    assert "broken_icd.json" in broken["reason"]
    assert working["device"]["driver_name"] == "llvmpipe"
    assert [proof["status"] for proof in working["proofs"]] == ["ok"] * 3
    assert "broken_icd.json" in vkmapctl("probe", driver=beside).out


def test_stress_and_verify_run_on_the_rest(beside):
    short = ("--size", "4K", "--duration", "50ms", "--warmup", "0s")
    for command in (["stress", *short], ["verify", "--check", "M1"]):
        result = vkmapctl(*command, "--json", "--quiet", driver=beside)
        document = result.json()
        assert (result.code, document["outcome"]) == (6, "crashed"), "the broken one might have been the best"
        assert [row["status"] for row in document["results"]] in (["ok"], ["pass"])
        assert "driver-left-out" in [note["code"] for note in document["warnings"]]
        assert vkmapctl(*command, "--quiet", "--device", "llvmpipe", driver=beside).code == 0, "it was not meant"


def test_a_driver_that_hangs(tmp_path):
    broken = broken_driver(tmp_path, way="for (;;) pause()", negotiate=1)
    both = {"VK_DRIVER_FILES": f"{broken}:{LVP}", "VK_ICD_FILENAMES": f"{broken}:{LVP}"}
    result = vkmapctl("probe", "--json", "--quiet", "--timeout", "2s", driver=both)
    assert result.code == 6
    assert "hung" in result.json()["devices"][0]["reason"]
    assert [one["status"] for one in result.json()["devices"]] == ["hung", "ok"]
    assert result.json()["outcome"] == "hung"
    assert result.json()["devices"][1]["status"] == "ok"


def both_listed(manifest):
    """The environment of a machine that has this driver and lavapipe."""
    return {"VK_DRIVER_FILES": f"{manifest}:{LVP}", "VK_ICD_FILENAMES": f"{manifest}:{LVP}"}


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        ("vkCreateInstance=return:-1", "vkCreateInstance failed: VK_ERROR_OUT_OF_HOST_MEMORY"),
        ("vkEnumeratePhysicalDevices=return:-1", "vkEnumeratePhysicalDevices failed: VK_ERROR_OUT_OF_HOST_MEMORY"),
    ],
)
def test_a_driver_that_returns_an_error_does_not_hide_the_others(tmp_path, breaks, words):
    driver = icd(tmp_path, breaks, beside=True)
    result = vkmapctl("probe", "--json", "--quiet", driver=driver)
    broken, working = result.json()["devices"]
    assert (result.code, broken["device"], broken["status"]) == (4, None, "failed")
    assert broken["reason"].endswith(f"vkmapctl_test_icd.json: {words}")
    assert [proof["status"] for proof in working["proofs"]] == ["ok"] * 3
    verified = vkmapctl("verify", "--check", "M1", "--json", "--quiet", driver=driver)
    assert verified.code == 4, "the broken one might have been the best"
    assert [row["status"] for row in verified.json()["results"]] == ["pass"]


def told(document):
    """What a probe says of drivers that are not there. Older loaders list none then, newer ones go on without them."""
    reasons = [one["reason"] for one in document["devices"] if one["device"] is None]
    return " ".join([*reasons, *(note["message"] for note in document["warnings"])])


def shows_lavapipe_alone(result):
    """Whether all else is left out, with the exit code that is due where that took a second try."""
    *broken, working = result.json()["devices"]
    assert ([proof["status"] for proof in working["proofs"]], len(broken)) in ((["ok"] * 3, 0), (["ok"] * 3, 1))
    assert result.code == (4 if broken else 0)


def test_a_driver_whose_devices_cannot_be_had_is_named(tmp_path):
    result = vkmapctl(
        "probe", "--json", "--quiet", driver=icd(tmp_path, "vkEnumeratePhysicalDevices=return:-3", beside=True)
    )
    shows_lavapipe_alone(result)
    assert "vkmapctl_test_icd" in told(result.json())


def test_a_broken_manifest_is_named(tmp_path):
    manifest = tmp_path / "broken_icd.json"
    manifest.write_text("{ broken")
    result = vkmapctl("probe", "--json", "--quiet", driver=both_listed(manifest))
    shows_lavapipe_alone(result)
    assert "broken_icd.json" in told(result.json())


@pytest.mark.parametrize("breaks", ["vkCreateInstance=return:-3", "vkCreateInstance=return:-9"])
def test_a_driver_that_the_loader_skips_is_named(tmp_path, breaks):
    result = vkmapctl("probe", "--json", "--quiet", driver=icd(tmp_path, breaks, beside=True))
    document = result.json()
    assert (result.code, len(document["devices"])) == (0, 1)
    told = {note["code"]: note["message"] for note in document["warnings"]}
    assert "vkmapctl_test_icd.json" in told["driver-skipped"]


def test_a_library_that_is_missing_is_named(tmp_path):
    manifest = tmp_path / "missing_icd.json"
    icd_facts = {"library_path": "/nowhere/libmissing.so", "api_version": "1.3.0"}
    manifest.write_text(json.dumps({"file_format_version": "1.0.0", "ICD": icd_facts}))
    result = vkmapctl("probe", "--json", "--quiet", driver=both_listed(manifest))
    assert result.code == 0
    assert "/nowhere/libmissing.so" in told(result.json())


def test_drivers_without_a_device_are_no_fault():
    """RADV where there is no GPU."""
    result = vkmapctl("probe", driver={"VK_LOADER_DRIVERS_SELECT": "*radeon*"})
    assert (result.code, result.errors()) == (3, ["Error: the Vulkan drivers on this machine offer no device"])
    for words in ("/dev/dri", "VK_LOADER_DRIVERS_SELECT"):
        assert words in result.err


def test_what_the_loader_says_is_shown_where_it_is_asked_for():
    asked = LAVAPIPE | {"VK_LOADER_DEBUG": "all"}
    result = vkmapctl("probe", "--json", driver=asked)
    assert result.code == 0
    assert "Searching for driver manifest files" in result.err
    result.json()
    assert "Searching" not in vkmapctl("probe", driver=LAVAPIPE).err


def test_one_gpu_by_two_manifests_is_told(tmp_path):
    copy = tmp_path / "copy_icd.json"
    shutil.copy(LVP, copy)
    result = vkmapctl("probe", "--json", "--quiet", "--device", "all", driver=both_listed(copy))
    first, second = result.json()["devices"]
    assert (result.code, first["notes"]) == (0, [])
    assert [note["code"] for note in second["notes"]] == ["same-gpu"]
    assert "device 0" in second["notes"][0]["message"]


def test_a_gate_is_about_the_device_that_would_be_used(tmp_path):
    """A GPU, as it says, beside lavapipe: the one that stress and verify would run on."""
    gpu = icd(tmp_path, r"deviceType=2 deviceUUID=\x01 driverID=4 driverName=Hardware", beside=True)
    assert vkmapctl("probe", "--expect-driver", "Hardware", driver=gpu).code == 0
    result = vkmapctl("probe", "--json", "--expect-driver", "llvmpipe", driver=gpu)
    assert (result.code, len(result.json()["devices"])) == (3, 2)
    assert "this is Hardware" in result.json()["missing"][0]
    index = next(one["device"]["index"] for one in result.json()["devices"] if one["device"]["type"] == "cpu")
    assert vkmapctl("probe", "--expect-driver", "llvmpipe", "--device", str(index), driver=gpu).code == 0


def test_nothing_but_a_broken_driver_is_one_error(tmp_path):
    broken = str(broken_driver(tmp_path))
    result = vkmapctl("probe", driver={"VK_DRIVER_FILES": broken, "VK_ICD_FILENAMES": broken})
    assert (result.code, len(result.errors())) == (6, 1)
    assert "SIGSEGV" in result.errors()[0]


def test_manifests_are_found_where_the_loader_looks(tmp_path, monkeypatch):
    for name in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES", "XDG_DATA_DIRS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    own = tmp_path / "vulkan/icd.d/own.json"
    own.parent.mkdir(parents=True)
    shutil.copy(LVP, own)
    assert drivers.manifests()[0] == str(own)
    assert str(LVP) in drivers.manifests()
    monkeypatch.setenv("VK_ICD_FILENAMES", f"{own}:{tmp_path}/none.json")
    assert drivers.manifests() == [str(own)]
