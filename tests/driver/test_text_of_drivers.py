"""What a driver, a layer or a workload file says of itself reaches no terminal, file or reader as it is."""

import json
import os
import pty
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from cli_runner import LAVAPIPE, environment, vkmapctl
from icd.build import icd, text

import vkmapctl as package
from vkmapctl.reports import FORMATS

SHORT = ("--duration", "50ms", "--warmup", "0s")
STRESS = ("stress", "--size", "4K", *SHORT)
VERIFY = ("verify", "--check", "M1")
COMMANDS = {"probe": ("probe",), "stress": STRESS, "verify": VERIFY}
SAID = "\x1b]0;title\x07\x1b[31mRed\x1b[2J\x9b1m\r\n|x\u202e"
NAME = text(SAID.encode())
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def steers(result):
    return STEERING.findall((result.out + result.err).replace("\r\n", "\n"))  # as lines of CSV end


def test_no_name_reaches_the_terminal_as_it_is(tmp_path):
    driver = icd(tmp_path, f"deviceName={NAME} driverName={NAME} driverInfo={NAME}")
    saved, junit = tmp_path / "saved.json", tmp_path / "junit.xml"
    for command in (
        ("probe",),
        (*STRESS, "--save", str(saved)),
        (*VERIFY, "--junit", str(junit)),
        ("stress", "--size", "8192G"),
    ):
        result = vkmapctl(*command, driver=driver)
        assert steers(result) == [], command
        assert "Red" in result.out + result.err
    (device,) = json.loads(saved.read_text())["devices"]
    for key in ("name", "driver_name", "driver_info"):
        assert device[key].isprintable()
    ET.parse(junit)
    for form in FORMATS:
        exported = vkmapctl("report", "export", str(saved), "--format", form)
        assert exported.code == 0, exported.err
        assert steers(exported) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_last_words_are_cleaned(tmp_path, command):
    driver = icd(tmp_path, rf"vkMapMemory2=write:2:{NAME}\x0a,crash")
    result = vkmapctl(*COMMANDS[command], driver=driver)
    assert result.code == 6
    assert "Red" in result.out + result.err
    assert steers(result) == []


def test_what_a_driver_prints_before_it_cannot_be_listed_is_cleaned(tmp_path):
    result = vkmapctl("probe", driver=icd(tmp_path, rf"vkCreateInstance=write:1:{NAME}\x0a,crash"))
    assert result.code == 6
    assert "Red" in result.err
    assert steers(result) == []


def test_a_long_line_of_a_driver_is_cut(tmp_path):
    result = vkmapctl("probe", driver=icd(tmp_path, r"vkMapMemory2=fill:2:3000,write:2:\x0a,crash"))
    assert result.code == 6
    assert max(map(len, result.out.splitlines())) < 1500


def test_job_names_and_questions(tmp_path):
    said = SAID.encode("unicode_escape").decode().replace("\\x", "\\u00")
    job = f'question = "{said}"\n[[job]]\nname = "{said}"\nsize = "4K"\nduration = "50ms"\nwarmup = "0s"\n'
    workload, saved = tmp_path / "it.toml", tmp_path / "saved.json"
    workload.write_text(job + f'[[job]]\nname = "{"long" * 1000}"\nsize = "4K"\nduration = "50ms"\nwarmup = "0s"\n')
    for command in (
        ("workloads", "check", str(workload)),
        ("stress", str(workload), "--save", str(saved)),
        ("report", "show", str(saved)),
        ("report", "export", str(saved), "--format", "html"),
    ):
        result = vkmapctl(*command)
        assert result.code == 0, result.err
        assert steers(result) == [], command
        assert "Red" in result.out
    assert max(len(row["job"]) for row in json.loads(saved.read_text())["results"]) < 300


def test_a_layer_s_name(tmp_path):
    layer = {
        "name": SAID, "type": "GLOBAL", "library_path": str(Path(package.__file__).parent / "_layer.abi3.so"),
        "api_version": "1.4.303", "implementation_version": "1", "description": "", "disable_environment": {SAID: "1"},
    }  # fmt: skip
    folder = tmp_path / "vulkan/implicit_layer.d"
    folder.mkdir(parents=True)
    (folder / "strange.json").write_text(json.dumps({"file_format_version": "1.1.2", "layer": layer}))
    for command in COMMANDS.values():
        result = vkmapctl(*command, driver=LAVAPIPE | {"XDG_CONFIG_HOME": str(tmp_path), "VKMAPCTL_LAYER_FAULT": ""})
        assert steers(result) == []
    assert "Red" in vkmapctl("probe", driver=LAVAPIPE | {"XDG_CONFIG_HOME": str(tmp_path)}).out


def test_file_names(tmp_path):
    path = tmp_path / SAID
    assert vkmapctl(*STRESS, "--quiet", "--save", str(path)).code == 0
    for command in ("compare", "show"):
        result = vkmapctl("report", command, *[str(path)] * (2 if command == "compare" else 1))
        assert (result.code, steers(result)) == (0, [])
    refused = vkmapctl("report", "show", str(path) + "x")
    assert (refused.code, steers(refused)) == (2, [])


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize("command", [*COMMANDS.values(), (*STRESS, "--plot")], ids=" ".join)
def test_a_terminal_that_knows_fewer_characters(tmp_path, command, encoding):
    driver = icd(tmp_path, f"deviceName={text('Example™ 漢'.encode())}")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "vkmapctl", *command],
        env={**environment(driver), "PYTHONIOENCODING": encoding, "TERM": "xterm", "COLUMNS": "80"},
        stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    shown = read_all(master).decode("latin-1")
    assert process.wait(60) == 0, shown
    assert "Example" in shown
    assert "Error" not in shown


def read_all(descriptor):
    found = b""
    try:
        while data := os.read(descriptor, 1 << 16):
            found += data
    except OSError:  # how the end of a terminal is told
        pass
    os.close(descriptor)
    return found
