"""Kinds of allocation on lavapipe, for a job's objects and for steps that allocate; malloc beside them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli_runner import vkmapctl

from vkmapctl.errors import Unsupported
from vkmapctl.inside import allocations
from vkmapctl.inside.vkapi import vk

SHORT = ("--duration", "60ms", "--warmup", "2ms", "--quiet", "--json")
KINDS = ["plain", "dedicated", "export", "device-address"]
LIFE = """
[[job]]
size = "64K"
memory_type = ["auto", "malloc"]
steps = [
  { op = "allocate" },
  { op = "map" },
  { op = "first" },
  { op = "unmap" },
  { op = "free" },
]
"""


def stress(*arguments: str) -> Any:
    result = vkmapctl("stress", *SHORT, *arguments)
    assert result.code == 0, result.err
    return result.json()


@pytest.mark.parametrize("kind", KINDS)
def test_objects_of_each_kind_are_mapped(kind: str) -> None:
    document = stress("--size", "64K", "--touch", "verify", "--live", "2", "--threads", "2", "--allocation", kind)
    (row,) = document["results"]
    assert (row["allocation"], row["status"], row["mismatches"]) == (kind, "ok", 0)
    assert row["map"]["count"] > 0
    assert document["devices"][0]["allocations"] == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_steps_allocate_each_kind(kind: str, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(LIFE.replace('["auto", "malloc"]', '"auto"'))
    (row,) = stress(str(tmp_path / "my.toml"), "--allocation", kind)["results"]
    assert row["calls"]["allocate"]["count"] == row["calls"]["free"]["count"] > 0
    assert row["status"] == "ok"


def test_malloc_lives_the_same_life(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(LIFE)
    vulkan, malloc = stress(str(tmp_path / "my.toml"))["results"]
    assert (vulkan["memory_type"], malloc["memory_type"]) == (0, -1)
    for row in (vulkan, malloc):
        assert row["calls"]["allocate"]["count"] == row["calls"]["free"]["count"] > 0
        assert row["first_touch"]["mappings"] > 0


@pytest.mark.parametrize(
    ("size", "types", "told"), [(65536, 0b11, "of 65536 bytes here"), (4096, 0b01, "cannot be in memory type 1")]
)
def test_a_buffer_that_needs_other_memory_says_which(
    size: int, types: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    destroyed: list[bool] = []

    def requirements(device: Any, buffer: Any, needs: Any) -> None:
        needs.size, needs.memoryTypeBits = size, types

    lib = SimpleNamespace(
        vkCreateBuffer=lambda *_: 0,
        vkGetBufferMemoryRequirements=requirements,
        vkDestroyBuffer=lambda *_: destroyed.append(True),
    )
    numbers = {name: getattr(vk, name) for name in dir(vk.lib) if name.startswith("VK_")}
    monkeypatch.setattr(allocations, "vk", SimpleNamespace(ffi=vk.ffi, lib=lib, **numbers))
    device: Any = SimpleNamespace(handle=None)
    with pytest.raises(Unsupported, match=told), allocations.chained(device, "dedicated", 1, 4096):
        pass
    assert destroyed == [True]
