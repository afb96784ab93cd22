"""A driver that breaks when it is to end: in vkDestroyDevice, vkDestroyInstance, when it is unloaded, at exit."""

import pytest
from cli_runner import vkmapctl
from icd.build import icd

ENDS = [
    ("vkDestroyDevice=crash", "crashed", "killed by SIGSEGV in vkDestroyDevice"),
    ("vkDestroyInstance=abort", "crashed", "killed by SIGABRT in vkDestroyInstance"),
    ("unload=crash", "crashed", "killed by SIGSEGV in vkDestroyInstance"),  # the loader unloads it there
    ("exit=crash", "crashed", "killed by SIGSEGV in exit"),
    ("vkDestroyDevice=hang", "hung", "in vkDestroyDevice"),
    ("exit=hang", "hung", "in exit"),
]


@pytest.mark.parametrize(("breaks", "outcome", "where"), ENDS, ids=[breaks for breaks, *_ in ENDS])
def test_probe_says_where(tmp_path, breaks, outcome, where):
    result = vkmapctl("probe", "--json", "--quiet", "--timeout", "1s", driver=icd(tmp_path, breaks))
    document = result.json()
    assert (result.code, document["outcome"]) == (6, outcome)
    assert [probe["status"] for probe in document["devices"]] == ["ok"], "what was proved before stays"
    (told,) = [note["message"] for note in document["warnings"] if note["code"] == "died-at-end"]
    assert where in told


@pytest.mark.parametrize(("breaks", "outcome", "where"), ENDS[:4:3], ids=[breaks for breaks, *_ in ENDS[:4:3]])
def test_verify_says_where(tmp_path, breaks, outcome, where):
    arguments = ("verify", "--check", "M1", "--json", "--quiet")
    result = vkmapctl(*arguments, driver=icd(tmp_path, breaks))
    document = result.json()
    assert (result.code, document["outcome"]) == (6, outcome)
    assert [row["status"] for row in document["results"]] == ["pass"]
    assert where in next(note["message"] for note in document["warnings"] if note["code"] == "died-at-end")


def test_a_driver_that_ends_well_is_not_blamed(tmp_path):
    result = vkmapctl("probe", "--json", "--quiet", driver=icd(tmp_path))
    assert (result.code, result.json()["warnings"]) == (0, [])
