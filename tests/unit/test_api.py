"""import vkmapctl: lazy, and its functions win over the modules of their names."""

import subprocess
import sys

import pytest

import vkmapctl
from vkmapctl.errors import VkmapError


def python(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_imports_nothing_of_its_own():
    shown = python("import sys, vkmapctl; print(*[name for name in sys.modules if name.startswith('vkmapctl')])")
    assert shown.split() == ["vkmapctl"]


@pytest.mark.parametrize("name", vkmapctl.__all__)
def test_everything_is_found(name):
    assert getattr(vkmapctl, name).__name__ == name
    assert name in dir(vkmapctl)


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        _ = vkmapctl.nothing


@pytest.mark.parametrize("name", ["probe", "stress", "verify"])
def test_a_function_stays_one_after_its_module_was_imported(name):
    program = f"""
from importlib import import_module
import vkmapctl.cli
module = import_module("vkmapctl.{name}")
import vkmapctl.{name}
from vkmapctl import {name}
assert {name} is vkmapctl.{name}
assert callable({name}) and {name}.__module__ == "vkmapctl.api", {name}
assert module.__name__ == "vkmapctl.{name}"
"""
    python(program)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: vkmapctl.stress(siez="64K"), "stress().*unknown key 'siez'"),
        (lambda: vkmapctl.stress(size="lots"), "stress().*size: 'lots'"),
        (lambda: vkmapctl.stress(steps=[]), "unknown key 'steps'"),
        (lambda: vkmapctl.stress(fail_if="map.p99>fast"), "fail_if"),
        (lambda: vkmapctl.stress("no-such"), "no workload 'no-such'"),
        (lambda: vkmapctl.verify("M99"), "no check 'M99'"),
        (lambda: vkmapctl.probe(emulate="everything"), "nothing emulates 'everything'"),
        (lambda: vkmapctl.load("/nowhere/run.json"), "cannot read"),
    ],
)
def test_what_makes_no_sense_is_an_exception_of_the_packages_own(call, words):
    with pytest.raises(vkmapctl.UsageProblem, match=words.replace("(", r"\(").replace(")", r"\)")) as caught:
        call()
    assert isinstance(caught.value, VkmapError)
    assert caught.value.exit_code == 2
