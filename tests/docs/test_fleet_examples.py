"""The files of examples/fleet, as far as one machine can run them: every command, with what would start it replaced."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cli_runner import LAVAPIPE, environment
from pages import ROOT

EXAMPLES = ROOT / "examples/fleet"
HOST = os.uname().nodename.partition(".")[0]
SHORT = "--duration 20ms --warmup 0s"


@pytest.fixture
def place(tmp_path):
    """A folder with a store of this host, and in `bin` what the files call: short runs of the real vkmapctl."""
    (tmp_path / "bin").mkdir()
    program(tmp_path, "vkmapctl", f'exec {sys.executable} -m vkmapctl "${{@//size-sweep/quick}}"')
    program(tmp_path, "srun", 'while [[ $1 == --* ]]; do echo "$1" >>srun.log; shift; done; exec "$@"')
    program(tmp_path, "logger", 'echo "$@" >>logged')
    ran(tmp_path, f"vkmapctl fleet init store --hosts {HOST} --gpus 1 --software")
    return tmp_path


def program(folder, name, text):
    path = folder / "bin" / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def ran(folder, *line, expected=0, **variables):
    """A shell line, or a program and its arguments."""
    command = ["bash", "-c", *line] if len(line) == 1 else line
    path = f"{folder}/bin:/usr/bin:/bin"
    given = environment({**LAVAPIPE, "HOME": str(folder), **variables, "PATH": path})
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=120)
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout


def ledger(folder, *more):
    return json.loads(ran(folder, "vkmapctl", "fleet", "status", "store", "--json", *more))


@pytest.mark.parametrize("path", [path for path in EXAMPLES.iterdir() if path.suffix in (".sh", ".sbatch")], ids=str)
def test_a_script_is_one_for_its_shell(path) -> None:
    subprocess.run(["bash", "-n", path], check=True)
    assert path.read_text().startswith("#!/bin/bash\n# ")


def test_the_nightly_sweep(place) -> None:
    shown = ran(place, "bash", str(EXAMPLES / "nightly.sh"), STORE="store", VIA="local")
    assert "1 GPU expected: 1 ok" in shown
    assert 'vkmapctl_fleet_gpus{state="ok"} 1' in (place / "store/vkmapctl.prom").read_text()
    assert "one cell for each GPU" in (place / "store/fleet.html").read_text()
    (place / "bin/srun").unlink()
    ran(place, "bash", str(EXAMPLES / "nightly.sh"), STORE="store", VIA="slurm", expected=3)


def test_the_batch_job(place) -> None:
    shown = ran(place, "bash", str(EXAMPLES / "sweep.sbatch"), STORE="store", SLURM_JOB_ID="77")
    assert re.search(r"run \d{8}T\d{6}-job77: stress", shown)
    assert "1 GPU expected: 1 ok" in shown
    assert (place / "srun.log").read_text().split() == ["--no-kill", "--kill-on-bad-exit=0", "--ntasks-per-node=1"]
    asked = re.findall(r"^#SBATCH --(\S+?)(?:=|$)", (EXAMPLES / "sweep.sbatch").read_text(), re.MULTILINE)
    assert "array" not in asked
    assert {"no-kill", "exclusive", "ntasks-per-node"} <= set(asked)


def epilog(place, expected, **variables):
    """Run as it stands, but for the folder that vkmapctl is installed in."""
    text = (EXAMPLES / "epilog.sh").read_text()
    path = f"export PATH={place}/bin:/usr/bin:/bin"
    (place / "epilog.sh").write_text(re.sub(r"^export PATH=.*$", path, text, flags=re.MULTILINE))
    return ran(place, "bash", "epilog.sh", expected=expected, SLURM_JOB_ID="5", **variables)


def test_the_epilog_passes_where_map2_works_and_drains_without_a_driver(place) -> None:
    epilog(place, 0, SLURM_JOB_GPUS="0")
    epilog(place, 1, SLURM_JOB_GPUS="0", VK_DRIVER_FILES="/nowhere", VK_ICD_FILENAMES="/nowhere")
    assert "job 5: probe exited with 3" in (place / "logged").read_text()


ENDS = {0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 6: 1, 126: 0, 127: 0, 130: 0}


@pytest.mark.parametrize(("code", "drains"), ENDS.items())
def test_only_a_driver_drains_a_node(place, code, drains) -> None:
    """A mistake in a file that every node runs must not drain a cluster."""
    program(place, "vkmapctl", f"exit {code}")
    epilog(place, drains, SLURM_JOB_GPUS="0")
    epilog(place, 0)  # a job without GPUs


def test_the_play(place) -> None:
    part, told = yaml.safe_load((EXAMPLES / "play.yml").read_text())
    values = {"vkmapctl | default('vkmapctl')": "vkmapctl", "store": "store", "run": "r1", "inventory_hostname": HOST}

    def argv(play):
        (task,) = play["tasks"]
        given = task["ansible.builtin.command"]["argv"]
        return [re.sub(r"{{ (.*?) }}", lambda found: values[found[1]], str(word)) for word in given]

    assert part["ignore_unreachable"] is True
    assert part["tasks"][0]["failed_when"] is False
    ran(place, *argv(part))
    assert "1 GPU expected: 1 ok" in ran(place, *argv(told))


def test_the_daemon_set(place) -> None:
    pod = yaml.safe_load((EXAMPLES / "daemonset.yaml").read_text())["spec"]["template"]["spec"]
    (sweep,) = pod["initContainers"]
    assert sweep["command"] == ["sh", "-c"]
    names = {one["name"] for one in sweep["env"]}
    assert {"RUN", "NODE"} <= names
    mounts = {one["name"]: one["mountPath"] for one in sweep["volumeMounts"]}
    assert set(mounts) == {one["name"] for one in pod["volumes"]}
    line = sweep["args"][0].replace(mounts["store"], str(place / "store"))
    ran(place, line, RUN="k1", NODE=HOST)
    assert [one["state"] for one in ledger(place, "--run", "k1")["entries"]] == ["ok"]
    ran(place, line, RUN="k2", NODE=HOST, VK_DRIVER_FILES="/nowhere", VK_ICD_FILENAMES="/nowhere")  # and it sleeps then
    for container in (sweep, *pod["containers"]):
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_the_reframe_test_reads_what_is_saved(place) -> None:
    """Its words are ReFrame's, which is not needed here: of it the command and the keys of the document are ours."""
    text = (EXAMPLES / "vkmapctl_reframe.py").read_text()
    compile(text, "vkmapctl_reframe.py", "exec")
    options = re.search(r'executable_opts = \["stress", self.workload, (.*?)\]', text)[1]
    ran(place, f"vkmapctl stress quick {SHORT} {options.replace(',', ' ')}")
    saved = json.loads(Path(place / "run.json").read_text())
    for row in saved["results"]:
        for key in re.findall(r'row\["(\w+)"\]', text):
            assert key in row
        assert isinstance(row["ns_per_pair"], float)


def test_every_file_is_named_on_the_page() -> None:
    page = (ROOT / "docs/fleet.md").read_text()
    assert [path.name for path in EXAMPLES.iterdir() if f"../examples/fleet/{path.name}" not in page] == []
