"""A driver that dies when it is loaded or listed does not hide the others."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cli_runner import vkmapctl

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
    assert result.json()["devices"][1]["status"] == "ok"


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
