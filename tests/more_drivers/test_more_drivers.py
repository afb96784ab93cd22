"""Other drivers than the newest lavapipe: each is probed, verified and stressed, and none may be missing.

`make test-all` sees to them (scripts/install-test-tools). Debian 12's own Mesa runs on Debian 12 alone.
"""

import json
import os
import platform
from functools import cache
from pathlib import Path

import pytest
from cli_runner import RADV_NULL, vkmapctl
from icd.build import lavapipe

UNPACKED = Path(__file__).parents[2] / "build/drivers/mesa-bookworm"
BROWSERS = ("/usr/lib/chromium", "/opt/google/chrome")  # as Debian and Google package it
BOOKWORM = platform.freedesktop_os_release().get("VERSION_CODENAME") == "bookworm"
SHORT = ("--size", "64K", "--size", "4M", "--touch", "verify", "--duration", "200ms", "--warmup", "0s")


@cache
def swiftshader():
    """Its manifest; the library is beside it."""
    for folder in BROWSERS:
        if (found := Path(folder, "vk_swiftshader_icd.json")).exists():
            return found
    raise FileNotFoundError(f"no vk_swiftshader_icd.json in {', '.join(BROWSERS)}: make test-all sees to it")


@cache
def old_lavapipe():
    """Its manifest, in a tree that is the file system's root as its package knows it."""
    found = sorted((UNPACKED / "usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
    assert found, f"no Mesa of Debian 12 in {UNPACKED}: make test-all sees to it"
    return found[0]


def copied(folder, manifest, root=Path("/")):
    """The manifest with its library's path made whole: a copy that stands anywhere. root: of an absolute path."""
    described = json.loads(manifest.read_text())
    told = described["ICD"]["library_path"]
    library = root / told.lstrip("/") if told.startswith("/") else (manifest.parent / told).resolve()
    assert library.exists(), library
    described["ICD"]["library_path"] = str(library)
    copy = folder / manifest.name
    copy.write_text(json.dumps(described))
    return str(copy)


def only(*manifests):
    chosen = os.pathsep.join(manifests)
    return {"VK_DRIVER_FILES": chosen, "VK_ICD_FILENAMES": chosen}


# Manifest, root of its paths, driver id, and part of the driver's information; none of them has map2.
DRIVERS = {"swiftshader": (swiftshader, Path("/"), "GOOGLE_SWIFTSHADER", "")}
if BOOKWORM:
    DRIVERS["mesa-22.3"] = (old_lavapipe, UNPACKED, "MESA_LLVMPIPE", "Mesa 22.3.")


@pytest.fixture(params=DRIVERS)
def driver(request, tmp_path):
    """A driver without map2: its environment, id and information."""
    manifest, root, driver_id, info = DRIVERS[request.param]
    return only(copied(tmp_path, manifest(), root)), driver_id, info


def test_probe_proves_the_one_way_to_map(driver):
    chosen, driver_id, info = driver
    result = vkmapctl("probe", "--json", "--quiet", "--expect-driver", driver_id, driver=chosen)
    assert result.code == 0, result.err
    (probe,) = result.json()["devices"]
    assert (probe["device"]["driver_id"], probe["device"]["route"]) == (driver_id, "none")
    assert info in probe["device"]["driver_info"]
    assert [(proof["by"], proof["status"]) for proof in probe["proofs"]] == [("v1", "ok")]
    assert [point for point in probe["entry_points"] if point["callable"]] == []
    gate = vkmapctl("probe", "--json", "--quiet", "--require", "map2", driver=chosen)
    assert (gate.code, gate.json()["missing"]) == (3, ["map2: Vulkan 1.4 or VK_KHR_map_memory2 is missing"])


def test_verify_holds_and_says_what_it_left_out(driver):
    chosen, driver_id, _ = driver
    result = vkmapctl("verify", "--json", "--quiet", "--expect-driver", driver_id, driver=chosen, timeout=120)
    rows = result.json()["results"]
    assert result.code == 0, [row for row in rows if row["status"] not in ("pass", "skip", "quality")]
    assert len([row for row in rows if row["status"] == "pass"]) >= 14
    skipped = [row for row in rows if row["status"] == "skip"]
    assert skipped
    assert all(row["detail"] for row in skipped)


def test_stress_measures_and_verifies(driver):
    chosen, driver_id, _ = driver
    result = vkmapctl("stress", *SHORT, "--expect-driver", driver_id, "--json", "--quiet", driver=chosen)
    rows = result.json()["results"]
    assert result.code == 0, result.err
    assert [(row["api"], row["status"], row["mismatches"]) for row in rows] == [("v1", "ok", 0)] * 2
    assert all(row["pairs"] and row["verified_bytes"] for row in rows)
    refused = vkmapctl("stress", *SHORT, "--api", "core", "--json", "--quiet", driver=chosen)
    assert (refused.code, refused.json()["outcome"]) == (3, "unsupported")


def test_radv_without_a_gpu_is_described_and_refused():
    """It has placed maps and reserve, and no memory to map."""
    probe = vkmapctl("probe", "--json", "--quiet", driver=RADV_NULL)
    assert probe.code == 0, probe.err
    (one,) = probe.json()["devices"]
    assert one["device"]["placed"]["memory_map_placed"]
    assert {proof["status"] for proof in one["proofs"]} == {"unsupported"}
    verify = vkmapctl("verify", "--json", "--quiet", driver=RADV_NULL)
    assert verify.code == 3
    assert {row["status"] for row in verify.json()["results"]} == {"skip"}
    stress = vkmapctl("stress", *SHORT, "--json", "--quiet", driver=RADV_NULL)
    assert (stress.code, stress.json()["outcome"]) == (3, "unsupported")
    assert "no host-visible memory type" in stress.json()["reason"]


def test_two_drivers_at_once(tmp_path):
    both = only(str(lavapipe()), copied(tmp_path, swiftshader()))
    probe = vkmapctl("probe", "--json", "--quiet", driver=both).json()
    assert {one["device"]["driver_id"]: one["status"] for one in probe["devices"]} == {
        "MESA_LLVMPIPE": "ok", "GOOGLE_SWIFTSHADER": "ok",
    }  # fmt: skip
    verify = vkmapctl("verify", "--check", "M1", "--check", "M6", "--device", "all", "--json", "--quiet", driver=both)
    assert (verify.code, [row["status"] for row in verify.json()["results"]]) == (0, ["pass"] * 4)
    stress = vkmapctl("stress", *SHORT, "--together", "--json", "--quiet", driver=both)
    assert stress.code == 0, stress.err
    rows = stress.json()["results"]
    assert {(row["device"], row["together"]) for row in rows} == {(0, 1), (1, 1), (0, 2), (1, 2)}
    named = vkmapctl("stress", *SHORT, "--device", "swiftshader", "--expect-driver", "llvmpipe", "--json", driver=both)
    assert named.code == 3
