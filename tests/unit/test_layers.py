"""Which layers are found active, on manifests and address spaces made by hand."""

import json
import os

import pytest

from vkmapctl.driver import layers
from vkmapctl.machine.addresses import Area


def manifest(folder, name, library, **more):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"layer": {"name": name, "library_path": library} | more}))
    return path


def at(path, begin=0x1000):
    return Area(begin, begin + 0x1000, "r-xp", path)


@pytest.fixture
def environment(tmp_path):
    return {"HOME": str(tmp_path / "home"), "XDG_DATA_DIRS": str(tmp_path / "share"), "XDG_CONFIG_DIRS": str(tmp_path)}


@pytest.fixture
def implicit(tmp_path):
    return tmp_path / "share" / "vulkan" / "implicit_layer.d"


def names(environment, *files):
    return [one.name for one in layers.active(files, environment) if one.name.startswith("VK_LAYER_T")]


def test_a_mapped_implicit_layer_is_active(environment, implicit):
    manifest(implicit, "VK_LAYER_T", "libT.so", disable_environment={"NO_T": "1"})
    assert names(environment, "/usr/lib/libT.so") == ["VK_LAYER_T"]
    assert names(environment, "/usr/lib/libother.so", "[heap]") == []
    assert names(environment | {"NO_T": "1"}, "/usr/lib/libT.so") == []


def test_a_library_that_is_the_driver_too_needs_its_environment(environment, implicit):
    manifest(implicit, "VK_LAYER_T", "libGL.so.0", enable_environment={"T": "1"}, disable_environment={"NO_T": "1"})
    assert names(environment, "/usr/lib/libGL.so.0") == []
    assert names(environment | {"T": "1"}, "/usr/lib/libGL.so.0") == ["VK_LAYER_T"]


def test_a_relative_library_is_resolved_from_its_manifest(environment, tmp_path):
    manifest(tmp_path / "own", "VK_LAYER_T", "../lib/libT.so")
    asked = environment | {"VK_LAYER_PATH": str(tmp_path / "own")}
    assert names(asked, str(tmp_path / "lib" / "libT.so")) == ["VK_LAYER_T"]
    assert names(asked, "/elsewhere/libT.so") == []


def test_one_manifest_may_hold_several(environment, implicit):
    implicit.mkdir(parents=True)
    both = [{"name": f"VK_LAYER_T{i}", "library_path": f"libT{i}.so"} for i in range(2)]
    (implicit / "both.json").write_text(json.dumps({"layers": both}))
    assert names(environment, "/l/libT0.so", "/l/libT1.so") == ["VK_LAYER_T0", "VK_LAYER_T1"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"layer": 1}', '{"layers": [{"library_path": "x"}]}', "\xff"]
)
def test_broken_manifests_are_passed_over(environment, implicit, text):
    implicit.mkdir(parents=True)
    (implicit / "broken.json").write_text(text, encoding="latin-1")
    assert names(environment, "/l/x") == []


def test_a_layer_is_in_the_path_where_the_function_lies_in_its_library(environment, implicit):
    manifest(implicit, "VK_LAYER_T", "libT.so")
    known = layers.known(environment)
    mapped = [at("/l/libT.so", 0x10000), at("/l/driver.so", 0x20000)]
    assert [one.name for one in layers.in_path(known, mapped, [0x10010])] == ["VK_LAYER_T"]
    assert layers.in_path(known, mapped, [0x20010]) == []


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (layers.Layer("VK_LAYER_T", "implicit", "l", disable=("NO_T", "1")), "NO_T=1"),
        (layers.Layer("VK_LAYER_T", "explicit", "l"), "VK_LOADER_LAYERS_DISABLE=VK_LAYER_T"),
        (layers.Layer("VK_LAYER_VKMAPCTL_test", "explicit", "l"), "--emulate"),
    ],
)
def test_advice(layer, text):
    assert text in layers.advice(layer)


@pytest.mark.parametrize(
    ("library", "path"),
    [
        ("/usr/$LIB/mangohud/libT.so", "/usr/lib/x86_64-linux-gnu/mangohud/libT.so"),
        ("/usr/$LIB/mangohud/libT.so", "/usr/lib64/mangohud/libT.so"),
        ("/usr/${LIB}/libT.so", "/usr/lib/libT.so"),
        ("$ORIGIN/libT.so", "/opt/vulkan/libT.so"),
        ("/opt/$PLATFORM/libT.so", "/opt/haswell/libT.so"),
    ],
)
def test_what_the_dynamic_linker_fills_in(environment, implicit, library, path):
    manifest(implicit, "VK_LAYER_T", library)
    assert names(environment, path) == ["VK_LAYER_T"]
    assert names(environment, "/elsewhere/libother.so") == []


def test_layers_that_are_expected_before_a_process_was_seen(environment, implicit, tmp_path):
    manifest(implicit, "VK_LAYER_T_implicit", "libTi.so", disable_environment={"NO_T": "1"})
    manifest(implicit, "VK_LAYER_T_asked", "libTa.so", enable_environment={"T": "1"})
    manifest(tmp_path / "share/vulkan/explicit_layer.d", "VK_LAYER_T_explicit", "libTe.so")

    def expected(**more):
        found = layers.expected(environment | more)
        return {one.name.removeprefix("VK_LAYER_T_") for one in found if one.name.startswith("VK_LAYER_T")}

    assert expected() == {"implicit"}
    assert expected(NO_T="1") == set()
    assert expected(T="1") == {"implicit", "asked"}
    assert expected(VK_INSTANCE_LAYERS="VK_LAYER_T_explicit") == {"implicit", "explicit"}
    assert expected(VK_LOADER_LAYERS_ENABLE="*T_ex*") == {"implicit", "explicit"}
    assert expected(VK_LOADER_LAYERS_DISABLE="~implicit~", VK_INSTANCE_LAYERS="VK_LAYER_T_explicit") == {"explicit"}


def test_the_environment_that_leaves_layers_out():
    left_out = [
        layers.Layer("VK_LAYER_T", "implicit", "l", disable=("NO_T", "1")),
        layers.Layer("VK_LAYER_U", "explicit", "l"),
    ]
    asked = {"VK_INSTANCE_LAYERS": "VK_LAYER_U:VK_LAYER_V", "VK_LOADER_LAYERS_ENABLE": "*LAYER_T*,VK_LAYER_V"}
    assert layers.without(left_out, asked) == {
        "VK_LOADER_LAYERS_DISABLE": "VK_LAYER_T,VK_LAYER_U",
        "NO_T": "1",
        "VK_INSTANCE_LAYERS": "VK_LAYER_V",
        "VK_LOADER_LAYERS_ENABLE": "VK_LAYER_V",
    }


@pytest.mark.parametrize(
    ("works", "text"), [(True, "without VK_LAYER_T it works: the layer"), (False, "fails alike: it is the driver")]
)
def test_whose_fault_a_failure_is(works, text, monkeypatch):
    monkeypatch.delenv("NO_T", raising=False)
    layer = layers.Layer("VK_LAYER_T", "implicit", "l", disable=("NO_T", "1"))
    own = layers.Layer("VK_LAYER_VKMAPCTL_test", "explicit", "l")
    seen = []
    blame = layers.blame([layer, own], lambda: seen.append(os.environ.get("NO_T")) or (works and "NO_T" in os.environ))
    assert (bool(blame.layers), text in blame.text, seen) == (works, True, ["1", None] if works else ["1"])
    assert "NO_T" not in os.environ


def test_the_guilty_one_of_several_layers_is_named(monkeypatch):
    for name in ("NO_T", "NO_U"):
        monkeypatch.delenv(name, raising=False)
    both = [layers.Layer(f"VK_LAYER_{one}", "implicit", "l", disable=(f"NO_{one}", "1")) for one in "TU"]
    blame = layers.blame(both, lambda: "NO_U" in os.environ)
    assert blame.text == "without VK_LAYER_U it works: the layer is at fault, not the driver"


@pytest.fixture
def one_layer(monkeypatch):
    """A foreign layer, and what works without it alone; the list gets what was tried without it or with it."""
    monkeypatch.delenv("NO_T", raising=False)
    tried = []

    def works():
        tried.append("without" if "NO_T" in os.environ else "with")
        return tried[-1] == "without"

    return layers.Layer("VK_LAYER_T", "implicit", "l", disable=("NO_T", "1")), works, tried


def test_a_layer_that_was_guilty_three_times_is_tried_without_alone(one_layer):
    layer, works, tried = one_layer
    blaming = layers.Blaming()
    found = [blaming.blame([layer], works) for _ in range(5)]
    assert {one.layers for one in found} == {("VK_LAYER_T",)}
    assert tried == [*["without", "with"] * 3, "without", "without"]


def test_a_guilty_layer_does_not_cover_the_driver(one_layer):
    layer, works, _ = one_layer
    blaming = layers.Blaming()
    for _ in range(5):
        blaming.blame([layer], works)
    found = blaming.blame([layer], lambda: False)
    assert found == layers.Blame((), "without VK_LAYER_T it fails alike: it is the driver")


def test_hangs_are_waited_for_once(one_layer):
    layer, works, tried = one_layer
    blaming = layers.Blaming()
    assert all(blaming.blame([layer], works, hung=True).layers for _ in range(3))
    assert tried == ["without", "with", "without", "without"]
    blaming, tried = layers.Blaming(), []
    found = [blaming.blame([layer], lambda: bool(tried.append("")), hung=True) for _ in range(3)]
    assert (len(tried), {one.layers for one in found}) == (1, {()})
    assert found[2].text == "not tried without VK_LAYER_T: a hang before was the driver's"


def test_the_warning_counts_what_layers_are_at_fault_for():
    assert layers.fault_notes([(), ()]) == []
    (note,) = layers.fault_notes([("VK_LAYER_T",), (), ("VK_LAYER_T", "VK_LAYER_U")])
    assert note.message.startswith("2 of 3 rows that did not end well work without VK_LAYER_T, VK_LAYER_U")


def test_what_does_not_happen_again_is_nobody_s_fault():
    assert layers.blame([layers.Layer("VK_LAYER_T", "implicit", "l")], lambda: True) == layers.Blame((), "")


def test_without_a_foreign_layer_nothing_is_tried():
    own = layers.Layer("VK_LAYER_VKMAPCTL_test", "explicit", "l")
    asked = layers.Layer("VK_LAYER_KHRONOS_validation", "explicit", "l")
    assert layers.blame([own, asked], lambda: 1 / 0, asked=[asked.name]) == layers.Blame((), "")
