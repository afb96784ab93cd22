"""What the answers and the live proof of a device are worth, on answers made by hand."""

import pytest
from builders import FULLY_PLACED, a_device, a_gpu
from msgspec.structs import replace

from vkmapctl.figures.proved import entry_points, probe_of
from vkmapctl.model.base import Note
from vkmapctl.model.device import Placed, Proof
from vkmapctl.model.measured import Cause
from vkmapctl.rules import MAP_CALLS

ALL = {name: True for api in ("core", "khr") for name in MAP_CALLS[api]}
NONE = dict.fromkeys(ALL, False)


def codes(device, resolves):
    return [note.code for note in probe_of(device, resolves, ()).notes]


@pytest.mark.parametrize(
    ("version", "extensions", "rules", "disagreeing"),
    [
        ("1.4.0", {"VK_KHR_map_memory2": 1}, ("pointer", "pointer"), {"core": 2, "khr": 2}),
        ("1.3.9", {"VK_KHR_map_memory2": 1}, ("unspecified", "pointer"), {"core": 0, "khr": 2}),
        ("1.4.0", {}, ("pointer", "null"), {"core": 2, "khr": 0}),
        ("1.1.0", {}, ("unspecified", "null"), {"core": 0, "khr": 0}),
    ],
)
def test_which_names_must_resolve(version, extensions, rules, disagreeing):
    device = a_device(api_version=version, extensions=extensions)
    found = {point.name: point for point in entry_points(device, ALL)}
    for api, rule in zip(("core", "khr"), rules, strict=True):
        for name in MAP_CALLS[api]:
            assert found[name].rule == rule
            assert found[name].callable == (rule == "pointer"), "a pointer that may be anything must not be called"
    missing = [point.name for point in entry_points(device, NONE) if not point.agrees]
    assert missing == [name for api, count in disagreeing.items() for name in MAP_CALLS[api][:count]]


def test_a_khr_name_without_its_extension_must_be_null():
    device = a_device(api_version="1.4.0", extensions={})
    assert codes(device, ALL) == ["entry-point-disagrees"] * 2


@pytest.mark.parametrize(
    ("placed", "expected"),
    [
        (FULLY_PLACED, []),
        (Placed(min_placed_memory_map_alignment=4096), ["placed-without-feature"]),
        (Placed(memory_map_placed=True), ["placed-alignment"]),
        (Placed(memory_map_placed=True, min_placed_memory_map_alignment=12288), ["placed-alignment"]),
        (Placed(memory_map_placed=True, min_placed_memory_map_alignment=131072), ["placed-alignment"]),
    ],
)
def test_placed_features_that_contradict_each_other(placed, expected):
    device = a_gpu(placed=placed)
    assert codes(replace(device, extensions=device.extensions | {"VK_EXT_map_memory_placed": 1}), ALL) == expected


@pytest.mark.parametrize(
    ("proofs", "status"),
    [
        ([Proof("v1", "ok")], "ok"),
        ([Proof("v1", "unsupported", "no memory")], "ok"),
        ([Proof("core", "failed", "the map succeeded but gave no pointer"), Proof("v1", "ok")], "failed"),
        (
            [Proof("core", "failed", cause=Cause("call-failed", call="vkMapMemory2", result="VK_ERROR_DEVICE_LOST"))],
            "lost",
        ),
    ],
)
def test_one_failed_proof_is_the_device_s_status(proofs, status):
    assert probe_of(a_device(), ALL, proofs).status == status


def test_a_remark_on_a_proof_that_holds_is_a_warning():
    found = probe_of(a_device(), ALL, [Proof("reserve", "ok", remark="it still shows the object")])
    assert (found.status, found.notes) == ("ok", (Note("live-proof", "reserve: it still shows the object"),))
