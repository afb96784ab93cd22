"""--validate and elevated runs, as far as this machine goes; make test-trixie has a layer that knows map2."""

import json
import subprocess
import sys

import pytest
from cli_runner import LAVAPIPE, environment, vkmapctl

COMMANDS = (["probe"], ["verify"], ["stress", "--duration", "50ms"])


def manifest(folder, version):
    """A validation layer of some version, as far as the loader's list goes."""
    layer = {
        "name": "VK_LAYER_KHRONOS_validation", "type": "GLOBAL", "library_path": "./libnone.so",
        "api_version": version, "implementation_version": "1", "description": "for a test",
    }  # fmt: skip
    (folder / "layer.json").write_text(json.dumps({"file_format_version": "1.2.0", "layer": layer}))
    return LAVAPIPE | {"VK_LAYER_PATH": str(folder)}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_layer_is_said_with_how_to_get_it(command, tmp_path):
    result = vkmapctl(*command, "--validate", driver=LAVAPIPE | {"VK_LAYER_PATH": str(tmp_path)})
    assert (result.code, result.out, len(result.errors())) == (3, "", 1)
    assert "apt install vulkan-validationlayers" in result.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_layer_that_does_not_know_these_calls_is_refused(command, tmp_path):
    result = vkmapctl(*command, "--validate", driver=manifest(tmp_path, "1.3.239"))
    assert (result.code, len(result.errors())) == (3, 1)
    assert "1.3.239 is too old to know these calls" in result.errors()[0]


def elevated(*arguments, **variables):
    """The command in a process with another effective group than its caller's."""
    script = (
        "import os, sys; os.setresgid(-1, 65534, -1)\n"
        "from vkmapctl.cli import main; raise SystemExit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment(LAVAPIPE) | variables, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", [["--validate"], ["--emulate", "placed"], ["--inject", "map-crashes"]])
def test_an_elevated_run_loads_no_layer(command, flag):
    done = elevated(*command, *flag)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: --emulate, --inject and --validate: refused")


@pytest.mark.parametrize("name", ["VK_LAYER_PATH", "VK_INSTANCE_LAYERS", "VK_DRIVER_FILES", "VKMAPCTL_LAYER_FAULT"])
def test_an_elevated_run_takes_no_code_from_the_environment(name, tmp_path):
    done = elevated("stress", "--duration", "50ms", **{name: str(tmp_path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {name}: refused")


def test_an_elevated_run_that_asks_for_nothing_goes_on():
    assert elevated("stress", "--duration", "50ms", "--size", "4K", "--quiet").returncode == 0
