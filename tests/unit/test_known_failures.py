"""Files of known failures: what each entry covers, and what is wrong with a file."""

from pathlib import Path

import pytest
from builders import a_device

from vkmapctl.errors import UsageProblem
from vkmapctl.plans.known_failures import Known, read, version_of

CHECKS = ("M1", "P1", "R1")
RADV = a_device(
    name="RX", driver_name="radv", driver_id="MESA_RADV", driver_info="Mesa 25.0.7-2~bpo12+1", driver_version="0.0.1"
)
NVIDIA = a_device(name="H100", driver_name="NVIDIA", driver_id="NVIDIA_PROPRIETARY", driver_info="580.65.06")


def a_file(folder: Path, text: str) -> Path:
    path = folder / "known.toml"
    path.write_text(text)
    return path


def test_the_version_is_the_one_that_users_know():
    assert version_of(RADV) == "25.0.7"
    assert version_of(NVIDIA) == "580.65.06"
    assert version_of(a_device(driver_info="", driver_version="5.0.0")) == "5.0.0"


@pytest.mark.parametrize(
    ("entry", "covered"),
    [
        ({}, True),
        ({"check": "P1"}, False),
        ({"driver": "RADV"}, True),
        ({"driver": "nvidia"}, False),
        ({"memory_type": "De Vi Ca"}, True),
        ({"memory_type": "Vi Ca De"}, True),
        ({"memory_type": "De Vi"}, False),
        ({"memory_type": 2}, True),
        ({"memory_type": 1}, False),
        ({"versions": ">=25"}, True),
        ({"versions": ">=25.0, <26.3"}, True),
        ({"versions": "<25.0.7"}, False),
        ({"versions": "<=25.0.7"}, True),
        ({"versions": "<25.0.10"}, True),
        ({"versions": "==25.0.7.0"}, True),
        ({"versions": ">25.0.7"}, False),
        ({"driver": "mesa", "memory_type": 2, "versions": ">=24.1,<27"}, True),
        ({"driver": "mesa", "memory_type": 2, "versions": ">=24.1,<25"}, False),
    ],
)
def test_an_entry_covers_what_it_names_and_all_of_what_it_leaves_out(entry, covered):
    known = Known(**{"check": "R1", "reason": "so", **entry})
    assert known.covers("R1", RADV, 2, ("De", "Vi", "Ca")) is covered


def test_a_file_is_read(tmp_path):
    text = """
    [[known]]
    check = "R1"
    memory_type = "De Vi"
    driver = "radv"
    versions = ">=25.0, <26"
    reason = "ignored"
    [[known]]
    check = "M1"
    memory_type = 0
    reason = "odd"
    """
    assert read(a_file(tmp_path, text), CHECKS) == (
        Known("R1", "ignored", "De Vi", "radv", ">=25.0, <26"),
        Known("M1", "odd", 0),
    )
    assert read(a_file(tmp_path, ""), CHECKS) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[known]]\ncheck = "M99"\nreason = "x"', "entry 1: no check 'M99'"),
        ('[[known]]\ncheck = "M1"', "missing required field `reason`"),
        ('[[known]]\ncheck = "M1"\nreason = ""', "length >= 1"),
        ('[[known]]\ncheck = "M1"\nreason = "x"\ntype = 1', "unknown field `type`"),
        ('[[known]]\ncheck = "M1"\nreason = "x"\nmemory_type = -1', "memory_type"),
        ('[[known]]\ncheck = "M1"\nreason = "x"\nversions = "25"', "no range of versions"),
        ('[[known]]\ncheck = "M1"\nreason = "x"\nversions = ">=25 <26"', "no range of versions"),
        ('[[known]]\ncheck = "M1"\nreason = "x"\nversions = ">=2٣"', "no range of versions"),
        ("[known]\n", "Expected `array`"),
        ("[[unknown]]\n", "unknown field `unknown`"),
        ("check = M1", "no list of known failures"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_file(tmp_path, text, says):
    path = a_file(tmp_path, text)
    with pytest.raises(UsageProblem) as raised:
        read(path, CHECKS)
    assert says in raised.value.message
    assert str(path) in raised.value.message
    assert "\n" not in raised.value.message


def test_what_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "binary", tmp_path / "missing", tmp_path, Path("/dev/zero")):
        with pytest.raises(UsageProblem):
            read(path, CHECKS)
