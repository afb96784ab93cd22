"""Drivers that break in teardown, beside a healthy one, or with threads and processes of their own."""

import json
import os

import pytest
from cli_runner import vkmapctl
from icd.build import icd
from icd.trial import processes_of

SHORT = ("--duration", "50ms", "--warmup", "0s")
STRESS = ("stress", "--size", "4K", *SHORT)
VERIFY = ("verify", "--check", "M1")
COMMANDS = {"probe": ("probe",), "stress": STRESS, "verify": VERIFY}
OTHER = r"deviceUUID=\x01 deviceName=Other deviceType=2"  # listed first, and no second manifest of lavapipe
ENDED = ("vkDestroyDevice", "vkDestroyInstance", "unload", "exit")


def rows(document):
    return document.get("results") or document["devices"]


# The driver's end


def ends_badly(folder, command, break_, outcome):
    """The document of a command whose driver does its work and then ends like this."""
    timeout = "2s" if outcome == "hung" else "20s"
    result = vkmapctl(*COMMANDS[command], "--json", "--quiet", "--timeout", timeout, driver=icd(folder, break_))
    document = result.json()
    assert (result.code, document["outcome"]) == (6, outcome)
    assert document["exit_code"] == 6
    row = rows(document)[0]
    assert "proofs" not in row or [proof["status"] for proof in row["proofs"]] == ["ok"] * 3, "what was proved is kept"
    assert "pairs" not in row or row["pairs"] > 0, "what was measured is kept"
    return json.dumps(document)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("moment", ENDED)
def test_a_crash_at_the_end_is_no_success(tmp_path, moment, command):
    said = ends_badly(tmp_path, command, f"{moment}=crash", "crashed")
    assert "SIGSEGV" in said
    assert moment in said or not moment.startswith("vk")


@pytest.mark.parametrize("moment", ENDED)
def test_a_hang_at_the_end_is_no_success(tmp_path, moment):
    said = ends_badly(tmp_path, "probe", f"{moment}=hang", "hung")
    assert moment in said or not moment.startswith("vk")


@pytest.mark.parametrize("command", ["stress", "verify"])
def test_a_hang_in_vk_destroy_device_is_no_success(tmp_path, command):
    assert "vkDestroyDevice" in ends_badly(tmp_path, command, "vkDestroyDevice=hang", "hung")


@pytest.mark.parametrize("way", ["abort", "exit:0", "quit:0"])
def test_other_ways_to_end_in_vk_destroy_instance(tmp_path, way):
    assert "vkDestroyInstance" in ends_badly(tmp_path, "stress", f"vkDestroyInstance={way}", "crashed")


# A driver beside a healthy one


@pytest.mark.parametrize(
    "break_",
    [
        "vkCreateInstance=return:-1",
        "vkEnumeratePhysicalDevices=return:-3",
        "vkEnumeratePhysicalDevices=return:-1",
        "vkEnumeratePhysicalDevices=call,return:5",
    ],
)
def test_an_error_of_one_driver_does_not_hide_the_other(tmp_path, break_):
    driver = icd(tmp_path, break_, beside=True)
    result = vkmapctl("probe", "--json", "--quiet", driver=driver)
    document = result.json()
    assert "ok" in {one["status"] for one in document["devices"]}, "lavapipe is there"
    assert "vkmapctl_test_icd" in json.dumps([document["devices"], document["warnings"]]), "the broken one is named"
    assert result.code == (4 if len(document["devices"]) > 1 else 0), "newer loaders go on without it"
    for command in (STRESS, VERIFY):
        result = vkmapctl(*command, "--quiet", "--device", "llvmpipe", driver=driver)
        assert result.code == 0, result.err


def test_one_that_hangs_is_not_called_crashed(tmp_path):
    driver = icd(tmp_path, "vkCreateInstance=hang", beside=True)
    result = vkmapctl("probe", "--json", "--quiet", "--timeout", "2s", driver=driver)
    assert [one["status"] for one in result.json()["devices"]] == ["hung", "ok"]
    assert (result.code, result.json()["outcome"]) == (6, "hung")


def test_what_was_proved_stays_where_the_driver_then_dies_when_listed(tmp_path):
    mark = tmp_path / "mark"
    driver = icd(tmp_path, f"{OTHER} vkMapMemory2=touch:{mark},crash load=when:{mark},crash", beside=True)
    result = vkmapctl("probe", "--json", "--quiet", driver=driver)
    assert result.code == 6
    other = next(one for one in result.json()["devices"] if one["device"] and one["device"]["name"] == "Other")
    assert other["status"] == "crashed"
    assert "vkMapMemory2" in other["reason"]


def described(folder, breaks):
    """What probe says of the one device, and all its warnings as text."""
    document = vkmapctl("probe", "--json", "--quiet", driver=icd(folder, breaks)).json()
    (one,) = document["devices"]
    return one["device"], json.dumps([document["warnings"], one["notes"]])


# Processes and threads


@pytest.fixture
def helpers(tmp_path):
    """Processes that the driver leaves behind; ended here if they were."""
    yield lambda: processes_of(tmp_path)
    for pid in processes_of(tmp_path):
        os.kill(pid, 9)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_driver_with_a_helper_that_crashes_has_crashed(tmp_path, helpers, command):
    driver = icd(tmp_path, "load=fork,sleep:60000 vkMapMemory2=crash")
    result = vkmapctl(*COMMANDS[command], "--json", "--quiet", "--timeout", "2s", driver=driver)
    assert (result.code, result.json()["outcome"]) == (6, "crashed")
    assert helpers() == []


def test_a_helper_does_not_outlive_the_run(tmp_path, helpers):
    result = vkmapctl("probe", "--quiet", driver=icd(tmp_path, "load=fork,sleep:60000"))
    assert result.code == 0
    assert helpers() == []


def test_three_hangs_are_enough(tmp_path):
    result = vkmapctl("verify", "--json", "--quiet", "--timeout", "1s", driver=icd(tmp_path, "vkMapMemory*=hang"))
    found = result.json()["results"]
    assert result.code == 6
    assert len([row for row in found if row["status"] == "hung"]) == 3
    assert any("hung three times" in (row["detail"] or "") for row in found)
