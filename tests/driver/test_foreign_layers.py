"""A layer that breaks is not the driver's fault: this project's own, under a stranger's name, plays it."""

import json
from pathlib import Path

import pytest
from cli_runner import LAVAPIPE, vkmapctl

import vkmapctl as vkmapctl_package

NAME = "VK_LAYER_STRANGE_overlay"


@pytest.fixture
def machine(tmp_path):
    """Lavapipe behind an implicit layer with a fault."""
    library = Path(vkmapctl_package.__file__).parent / "_layer.abi3.so"
    layer = {
        "name": NAME, "type": "GLOBAL", "library_path": str(library), "api_version": "1.4.303",
        "implementation_version": "1", "description": "", "disable_environment": {"NO_OVERLAY": "1"},
    }  # fmt: skip
    folder = tmp_path / "vulkan/implicit_layer.d"
    folder.mkdir(parents=True)
    (folder / "strange.json").write_text(json.dumps({"file_format_version": "1.1.2", "layer": layer}))
    return lambda fault: LAVAPIPE | {"XDG_CONFIG_HOME": str(tmp_path), "VKMAPCTL_LAYER_FAULT": fault}


def test_a_layer_that_came_unasked_is_named(machine):
    assert NAME in vkmapctl("probe", "--json", "--quiet", driver=machine("")).json()["layers"]
    (line,) = [line for line in vkmapctl("probe", driver=machine("")).out.splitlines() if "active layers" in line]
    assert NAME in line


@pytest.mark.parametrize(
    ("fault", "code", "status"), [("map-fails", 4, "failed"), ("map-crashes", 6, "crashed"), ("map-hangs", 6, "hung")]
)
def test_the_proof_fails_by_the_layer(machine, fault, code, status):
    result = vkmapctl("probe", "--json", "--quiet", "--timeout", "1s", driver=machine(fault))
    (probe,) = result.json()["devices"]
    assert (result.code, probe["status"]) == (code, status)
    assert f"without {NAME} it works: the layer is at fault, not the driver" in probe["reason"]


def test_devices_cannot_be_listed_by_the_layer(machine):
    result = vkmapctl("probe", driver=machine("enumerate-crashes"))
    assert (result.code, len(result.errors())) == (6, 1)
    assert f"without {NAME} it works: the layer is at fault, not the driver" in result.err


AT_FAULT = f"without {NAME} it works: the layer is at fault, not the driver"


@pytest.mark.parametrize(
    ("fault", "code", "status"), [("map-fails", 4, "fail"), ("map-crashes", 6, "crashed"), ("map-hangs", 6, "hung")]
)
def test_a_check_breaks_by_the_layer(machine, fault, code, status):
    result = vkmapctl("verify", "--check", "M1", "--json", "--quiet", "--timeout", "1s", driver=machine(fault))
    document = result.json()
    (row,) = document["results"]
    assert (result.code, row["status"], row["at_fault"]) == (code, status, [NAME])
    assert row["detail"].endswith(AT_FAULT)
    (note,) = [one["message"] for one in document["warnings"] if one["code"] == "layer-at-fault"]
    assert note.startswith(f"1 of 1 rows that did not end well work without {NAME}")


@pytest.mark.parametrize(
    ("fault", "code", "status"), [("map-fails", 4, "failed"), ("map-crashes", 6, "crashed"), ("map-hangs", 6, "hung")]
)
def test_a_job_breaks_by_the_layer(machine, fault, code, status):
    result = vkmapctl(
        "stress", "--size", "64K", "--duration", "100ms", "--json", "--quiet", "--timeout", "1s", driver=machine(fault)
    )
    document = result.json()
    (row,) = document["results"]
    assert (result.code, row["status"], row["cause"]["at_fault"]) == (code, status, [NAME])
    assert row["reason"].endswith(AT_FAULT)
    assert "layer-at-fault" in {one["code"] for one in document["warnings"]}


def test_a_mismatch_of_contents_is_the_layer_s(machine):
    result = vkmapctl(
        "stress", "--size", "64K", "--duration", "100ms", "--touch", "verify", "--json", "--quiet",
        driver=machine("bit-flip"),
    )  # fmt: skip
    (row,) = result.json()["results"]
    assert (result.code, row["cause"]["kind"], row["cause"]["at_fault"]) == (4, "mismatch", [NAME])


@pytest.mark.parametrize("command", ["verify --check M1", "stress --size 64K --duration 100ms"])
@pytest.mark.parametrize("breaks", ["vkMapMemory*=return:-5", "vkMapMemory*=crash"])
def test_a_row_that_the_driver_breaks_is_not_the_layer_s(machine, tmp_path, command, breaks):
    from icd.build import icd

    driver = icd(tmp_path, breaks) | {"XDG_CONFIG_HOME": str(tmp_path), "VKMAPCTL_LAYER_FAULT": ""}
    result = vkmapctl(*command.split(), "--json", "--quiet", driver=driver)
    document = result.json()
    (row,) = document["results"]
    assert f"without {NAME}" in str(row)
    assert "it fails alike: it is the driver" in (row.get("detail") or row["reason"])
    assert "layer-at-fault" not in {one["code"] for one in document["warnings"]}


@pytest.mark.parametrize("command", ["verify --check M1", "stress --size 64K --duration 100ms"])
def test_an_end_that_the_driver_breaks_is_not_the_layer_s(machine, tmp_path, command):
    from icd.build import icd

    driver = icd(tmp_path, "vkDestroyDevice=crash") | {"XDG_CONFIG_HOME": str(tmp_path), "VKMAPCTL_LAYER_FAULT": ""}
    result = vkmapctl(*command.split(), "--json", "--quiet", driver=driver)
    (told,) = [one["message"] for one in result.json()["warnings"] if one["code"] == "died-at-end"]
    assert result.code == 6
    assert NAME in told
    assert "it fails alike: it is the driver" in told


def test_the_driver_s_own_failure_is_not_the_layer_s(machine, tmp_path):
    from icd.build import icd

    driver = icd(tmp_path, "vkMapMemory*=crash") | {"XDG_CONFIG_HOME": str(tmp_path), "VKMAPCTL_LAYER_FAULT": ""}
    reason = vkmapctl("probe", "--json", "--quiet", driver=driver).json()["devices"][0]["reason"]
    assert "it fails alike: it is the driver" in reason
    assert NAME in reason
