"""The suite for whatever GPU is there: `VKMAPCTL_EXPECT_DRIVER=NAME pytest -m hardware`."""

import os
from typing import Any

import pytest
from cli_runner import vkmapctl

pytestmark = pytest.mark.hardware
KNOWN = [name for name in os.environ.get("VKMAPCTL_KNOWN_FAILURES", "").split(",") if name]


@pytest.fixture(scope="module")
def device() -> Any:
    """The expected device as probe sees it; without an expectation nothing passes."""
    expected = os.environ.get("VKMAPCTL_EXPECT_DRIVER")
    assert expected, "set VKMAPCTL_EXPECT_DRIVER to part of the driver's name, such as NVIDIA or radv"
    result = vkmapctl("probe", "--device", expected, "--expect-driver", expected, "--json", driver={})
    assert result.code == 0, result.err or result.out
    return result.json()["devices"][0]["device"]


def run(device: Any, *arguments: str, timeout: float = 300) -> Any:
    result = vkmapctl(*arguments, "--device", device["device_uuid"], "--json", "--quiet", driver={}, timeout=timeout)
    assert result.code == 0, result.out[-2000:] + result.err
    return result.json()


def test_it_is_hardware(device: Any) -> None:
    assert device["type"] != "cpu"


def test_rules(device: Any) -> None:
    run(device, "verify", *(part for name in KNOWN for part in ("--known-failure", name)))


@pytest.mark.parametrize("touch", ["none", "first", "write", "verify"])
def test_every_memory_type(device: Any, touch: str) -> None:
    document = run(device, "stress", "--memory-type", "all", "--size", "64K", "--touch", touch, "--duration", "500ms")
    usable = [one for one in device["memory_types"] if "Vi" in one["flags"] and "Pr" not in one["flags"]]
    assert len(document["results"]) == len(usable)


def test_all_apis(device: Any) -> None:
    assert len(run(device, "stress", "--api", "all", "--duration", "500ms")["results"]) >= 2


def test_placed_and_reserved_below_4_gib(device: Any) -> None:
    if not (device["placed"]["memory_map_placed"] and device["placed"]["memory_unmap_reserve"]):
        pytest.skip("this driver has no placed maps with reserve")
    run(device, "stress", "--placed", "low4g", "--reserve", "--memory-type", "all", "--live", "8", "--touch", "verify",
        "--size", "64K", "--duration", "500ms")  # fmt: skip
