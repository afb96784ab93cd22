"""Rows measured while other allocations fill a heap of a known size, which the test driver tells of lavapipe's."""

from pathlib import Path
from typing import Any

import pytest
from cli_runner import vkmapctl
from icd.build import icd

GIB = 1 << 30
HEAP = f"memoryHeaps[0].size={2 * GIB} heapBudget[0]={GIB} heapUsage[0]=0"
SHORT = ("--size", "64K", "--duration", "50ms", "--warmup", "0s", "--quiet", "--json")


def notes(document: Any, code: str) -> list[str]:
    return [note["message"] for note in document["warnings"] if note["code"] == code]


@pytest.mark.parametrize("more", [(), ("--threads", "2", "--live", "3", "--touch", "verify"), ("--api", "all")])
def test_a_row_is_measured_in_a_heap_that_is_full(tmp_path: Path, more: tuple[str, ...]) -> None:
    result = vkmapctl("stress", *SHORT, "--pressure", "50%", *more, driver=icd(tmp_path, HEAP))
    assert result.code == 0, result.err
    document = result.json()
    assert {row["pressure"] for row in document["results"]} == {50}
    (told,) = notes(document, "pressure")
    assert "at 50.0% of its budget of 1 GiB: 512 MiB in 32 allocations" in told
    assert not notes(document, "pressure-left")


def test_a_driver_that_has_less_is_filled_as_far_as_it_goes(tmp_path: Path) -> None:
    breaks = f"{HEAP} vkAllocateMemory@5=return:-2"
    result = vkmapctl("stress", *SHORT, "--pressure", "50%", driver=icd(tmp_path, breaks))
    assert result.code == 0, result.err
    (told,) = notes(result.json(), "pressure")
    assert "64 MiB in 4 allocations" in told
    assert "stopped with VK_ERROR_OUT_OF_DEVICE_MEMORY" in told


def test_a_row_that_finds_no_memory_is_a_result(tmp_path: Path) -> None:
    breaks = f"{HEAP} vkAllocateMemory@33=return:-2"
    result = vkmapctl("stress", *SHORT, "--pressure", "50%", driver=icd(tmp_path, breaks))
    (row,) = result.json()["results"]
    assert (result.code, row["status"]) == (0, "not-run")
    assert "VK_ERROR_OUT_OF_DEVICE_MEMORY in vkAllocateMemory" in row["reason"]


def test_it_is_refused_beside_what_shares_the_memory() -> None:
    result = vkmapctl("stress", *SHORT, "--pressure", "50%", "--together")
    assert (result.code, len(result.errors())) == (2, 1)
