"""A driver's process that the kernel kills for memory, in each command: named, exit code 3, and no layer is tried."""

import json
from importlib import import_module

import pytest
from fake_driver import FakeDriver

from vkmapctl.cli import main
from vkmapctl.driver import layers
from vkmapctl.driver.messages import Measure, Prove, Try
from vkmapctl.driver.protocol import Died
from vkmapctl.errors import KilledForMemory

WHY = "the kernel killed it for memory (memory.max of cgroup /lab is 2 GiB)"
COMMANDS = [
    ("probe", "--device", "0"),
    ("stress", "--device", "0", "--size", "4K", "--duration", "50ms"),
    ("verify", "--device", "0", "--check", "M1"),
]


class Killed(FakeDriver):
    """Killed in what a command is about."""

    def ask(self, request, **how):
        if isinstance(request, Prove | Measure | Try):
            raise Died("out-of-memory", WHY, "", "vkMapMemory2")
        yield from super().ask(request, **how)


class KilledAtOnce(FakeDriver):
    def describe(self):
        raise KilledForMemory(f"the driver's process ended while its devices were listed: {WHY}", WHY)


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command on such a driver; gives the exit code, the document, and what went to standard error."""
    monkeypatch.setattr("vkmapctl.inside.fork.start", lambda serve: None)
    monkeypatch.setattr(layers, "active", lambda files: [layers.Layer("VK_LAYER_foreign", "implicit", "/x.so", None)])
    monkeypatch.setattr(layers.Blaming, "blame", lambda *_, **__: pytest.fail("a layer was tried"))

    def call(driver, *arguments):
        for module in ("stress", "probe", "verify"):
            monkeypatch.setattr(import_module(f"vkmapctl.{module}"), "DriverProcess", driver)
        code = main([*arguments, "--json", "--quiet"])
        out, err = capsys.readouterr()
        return code, json.loads(out), err

    return call


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_it_is_out_of_memory(run, command):
    code, document, _ = run(Killed, *command)
    assert (code, document["outcome"]) == (3, "out-of-memory")
    (row,) = document["devices"] if command[0] == "probe" else document["results"][:1]
    assert row["status"] == "out-of-memory"
    assert WHY in (row.get("reason") or row["detail"])
    notes = document["warnings"] + row.get("notes", [])
    assert any(note["code"] == "killed-for-memory" and WHY in note["message"] for note in notes)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_before_anything_is_known(run, command):
    code, document, err = run(KilledAtOnce, *command)
    assert (code, document["outcome"]) == (3, "out-of-memory")
    assert WHY in document["reason"]
    assert [line for line in err.splitlines() if line.startswith("Error: ")] == [f"Error: {document['reason']}"]


def test_a_gate_cannot_be_judged(run):
    code, document, _ = run(Killed, "stress", "--device", "0", "--require", "map2", "--size", "4K")
    assert (code, document["outcome"]) == (3, "out-of-memory")
    assert WHY in document["reason"]
