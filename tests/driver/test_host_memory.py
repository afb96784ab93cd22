"""Host memory imported instead of mapped, on lavapipe and through the test layer."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_runner import vkmapctl

SHORT = ("--duration", "60ms", "--warmup", "2ms", "--quiet", "--json")
SCRIPT = """
[[job]]
size = "64K"
objects = 2
steps = [
  { op = "import" },
  { op = "allocate", object = 1 },
  { op = "map", object = 1 },
  { op = "write" },
  { op = "write", object = 1 },
  { op = "verify" },
  { op = "unmap", object = 1 },
  { op = "free", object = 1 },
  { op = "free" },
]
"""


def stress(*arguments: str) -> Any:
    result = vkmapctl("stress", *SHORT, *arguments)
    assert result.code == 0, result.err
    return result.json()


@pytest.mark.parametrize("layer", [(), ("--emulate", "placed")])
@pytest.mark.parametrize("more", [(), ("--live", "3", "--threads", "2", "--unmap-order", "random"), ("--rate", "500")])
def test_objects_are_imported_touched_and_freed(layer: tuple[str, ...], more: tuple[str, ...]) -> None:
    document = stress("--import", "--size", "64K", "--touch", "verify", *layer, *more)
    (row,) = document["results"]
    assert (row["import"], row["map"], row["unmap"]) == ("host", None, None)
    assert row["calls"]["import"]["count"] == row["calls"]["free"]["count"] > 0
    assert row["verified_bytes"] > 0
    assert row["pairs"] > 0
    assert document["devices"][0]["host_import"]["memory_types"] == [0]
    assert document["workload"]["import"] == "host"


def test_a_threshold_on_imports_holds_or_not() -> None:
    assert vkmapctl("stress", *SHORT, "--import", "--fail-if", "import.p50>10s").code == 0
    assert vkmapctl("stress", *SHORT, "--import", "--fail-if", "import.p50>0ns").code == 5


def test_a_script_imports_beside_what_it_allocates(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(SCRIPT)
    (row,) = stress(str(tmp_path / "my.toml"))["results"]
    calls = {name: one["count"] for name, one in row["calls"].items()}
    assert calls["import"] == calls["allocate"] == row["map"]["count"]
    assert calls["free"] == 2 * calls["import"]
    assert (row["mismatches"], row["status"]) == (0, "ok")


def test_the_limit_and_the_types_are_probed() -> None:
    document = vkmapctl("probe", "--json").json()
    assert document["devices"][0]["device"]["host_import"] == {
        "min_imported_host_pointer_alignment": 4096,
        "memory_types": [0],
    }
    assert "minImportedHostPointerAlignment 4096; memory types that take one: #0" in vkmapctl("probe").out


def test_a_driver_that_has_no_memory_for_an_import_is_a_row() -> None:
    result = vkmapctl("stress", *SHORT, "--import", "--inject", "out-of-memory")
    document = json.loads(result.out)
    assert document["results"][0]["status"] == "out-of-memory"
    assert document["results"][0]["errors"] == {"VK_ERROR_OUT_OF_DEVICE_MEMORY": 1}
