"""The live proof, on devices that place maps in the ways that real drivers have been seen to."""

import mmap
import os

import pytest

from vkmapctl.inside import proof
from vkmapctl.machine import addresses
from vkmapctl.machine.addresses import PAGE, READ_WRITE
from vkmapctl.rules import RESERVE

FACTS = {
    "memory_types": [{"index": 0, "flags": ["Vi", "Co"], "barred": ""}],
    "limits": {"min_memory_map_alignment": 64},
    "extensions": {"VK_KHR_map_memory2": 1},
    "route": "khr",
    "placed": {
        "memory_map_placed": True,
        "memory_unmap_reserve": True,
        "min_placed_memory_map_alignment": PAGE,
    },
}


class Device:
    """One object, in a file of its own; wrong: what it does wrong."""

    def __init__(self, wrong=""):
        self.wrong, self.file, self.size, self.at, self.reserved = wrong, -1, 0, 0, 0

    def function(self, name):
        return 1

    def allocate(self, memory_type, size):
        self.file, self.size, self.reserved = os.memfd_create("object"), size, 0
        os.truncate(self.file, -(-size // 65536) * 65536)
        return 1

    def free(self, memory):
        os.close(self.file)

    def map(self, api, memory, *, flags=0, address=0):
        if not address and self.wrong == "reuses":
            address = self.reserved
        length = -(-self.size // 65536) * 65536 if self.wrong == "blocks of 64 KiB" and address else self.size
        self.at = addresses.map_pages(length, READ_WRITE, address=address, file=self.file)
        return 0, self.at

    def unmap(self, api, memory, flags):
        if flags & RESERVE and self.wrong == "still shows":
            self.reserved = self.at
        elif flags & RESERVE and self.wrong != "lets go":
            addresses.map_pages(self.size, addresses.NONE, address=self.at)
            self.reserved = self.at
        elif self.wrong == "another comes":
            addresses.map_pages(self.size, addresses.NONE, address=self.at)
        elif self.wrong != "keeps":
            addresses.unmap_pages(self.at, self.size)
        return 0


def proved(wrong):
    """How each proof ended: `ok`, or what kind of cause it has."""
    found = proof.prove(Device(wrong), FACTS)["proofs"]
    return {one["by"]: one.get("cause", {}).get("kind", one["status"]) for one in found}


@pytest.mark.parametrize(
    ("wrong", "placed", "reserve"),
    [
        ("", "ok", "ok"),
        ("blocks of 64 KiB", "tramples", "tramples"),
        ("keeps", "still-mapped", "ok"),
        ("another comes", "hold-failed", "ok"),
        ("lets go", "ok", "reservation-lost"),
        ("reuses", "ok", "reservation-reused"),
    ],
)
def test_what_a_driver_does_wrong_has_its_name(wrong, placed, reserve):
    assert proved(wrong) == {"khr": "ok", "v1": "ok", "placed": placed, "reserve": reserve}


def test_a_reserved_range_that_still_shows_the_object_is_remarked_on():
    found = {one["by"]: one for one in proof.prove(Device("still shows"), FACTS)["proofs"]}
    assert found["reserve"]["status"] == "ok", "no rule says what stands in a reserved range"
    assert "still shows the object after an unmap with reserve: rw-s" in found["reserve"]["remark"]
    assert not any(one["remark"] for by, one in found.items() if by != "reserve")
    assert not any(one["remark"] for one in proof.prove(Device(), FACTS)["proofs"])


def test_what_was_trampled_is_told_in_bytes():
    cause = next(one["cause"] for one in proof.prove(Device("blocks of 64 KiB"), FACTS)["proofs"] if "cause" in one)
    assert f"0 bytes before and {mmap.ALLOCATIONGRANULARITY * 15} bytes after the range" in cause["text"]


@pytest.mark.parametrize("told", [None, 3, 12288, 1 << 40])
def test_an_alignment_that_cannot_be_does_not_stop_the_proof(told):
    facts = FACTS | {"placed": FACTS["placed"] | {"min_placed_memory_map_alignment": told}}
    assert {one["status"] for one in proof.prove(Device(), facts)["proofs"]} == {"ok"}
