"""Engines on commands that stand for Slurm's and for ssh: what they are asked, and what becomes of what they say."""

import json
import os
import sys
from pathlib import Path

import pytest
from fleets import Fleet
from msgspec.structs import replace

from vkmapctl import hostlist
from vkmapctl.driver.process import Interrupts
from vkmapctl.errors import Unsupported
from vkmapctl.fleet import child, engines, slurm
from vkmapctl.fleet.sweep import planned, sweep

SINFO = """
gpu01|idle|none
gpu02|down*|Not responding
gpu03|drained|broken fan
gpu04|mixed|none
gpu04|mixed|none
"""
# Runs the rest of its command once for each host of --nodelist, as srun does, and says which it was asked for.
SRUN = f"""#!{sys.executable} -P
import json, os, subprocess, sys
from vkmapctl import hostlist
split = next(i for i, word in enumerate(sys.argv) if not word.startswith("-") and i)
json.dump(sys.argv[1:split], open(os.environ["ASKED"], "w"))
options = dict(word[2:].split("=", 1) for word in sys.argv[1:split] if "=" in word)
for host in hostlist.expand(options["nodelist"]):
    environment = os.environ | {{"SLURMD_NODENAME": host, "SLURM_JOB_ID": "17"}}
    code = subprocess.run(sys.argv[split:], env=environment).returncode
    if code:
        print(f"srun: error: {{host}}: task 0: Exited with exit code {{code}}", file=sys.stderr)
sys.exit(1)
"""
SLEEPS = "#!/bin/sh\necho 'srun: job 17 queued and waiting for resources' >&2\nexec sleep 1000\n"


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path / "store", hosts=hostlist.expand("gpu[01-04]"))


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """Puts a program before all others on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked.json"))

    def put(name, text):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)

    return put


@pytest.fixture
def program():
    """vkmapctl on a host, which here has no driver."""
    return (sys.executable, "-P", "-m", "vkmapctl")


def swept(fleet, program, engine, *, hosts=(), options=None, seconds=60.0, wait_seconds=60.0, **more):
    run = planned(fleet.store.roster(), ("probe",), engine, options or {}, hosts)
    return sweep(fleet.store, run, program=program, seconds=seconds, wait_seconds=wait_seconds, **more).ledger


def states(ledger):
    return {one.host: (one.state, one.why) for one in ledger.entries}


def test_one_srun_over_the_hosts_that_slurm_can_use(fleet, on_path, program, tmp_path):
    on_path("sinfo", f"#!/bin/sh\ncat <<'END'{SINFO}END\n")
    on_path("srun", SRUN)
    ledger = swept(fleet, program, "slurm", options={"partition": "gpu", "time": "30"})
    asked = json.loads((tmp_path / "asked.json").read_text())
    assert {"--nodelist=gpu[01,04]", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--no-kill"} <= set(asked)
    assert {"--kill-on-bad-exit=0", "--partition=gpu", "--time=30", "--input=none"} <= set(asked)
    assert not [word for word in asked if "array" in word]
    no_driver = "the Vulkan loader found no usable driver"
    assert states(ledger) == {
        "gpu01": ("missing", no_driver),
        "gpu02": ("missing", "the host has not answered; slurm: down* (Not responding)"),
        "gpu03": ("missing", "the host has not answered; slurm: drained (broken fan)"),
        "gpu04": ("missing", no_driver),
    }
    assert ledger.ended.status == 1
    assert ledger.ended.hosts["gpu01"] == "Exited with exit code 3"
    envelope = json.loads(next((fleet.store.path / "runs").rglob("gpu01/envelope.json")).read_text())
    assert (envelope["job"], envelope["engine"], envelope["exit_code"]) == ("17", "slurm", 3)
    assert ledger.exit_code == 4


def test_a_partition_that_never_starts_ends_by_itself_and_is_taken_from_slurm(fleet, on_path, program, tmp_path):
    on_path("sinfo", "#!/bin/sh\nexit 1\n")
    on_path("srun", SLEEPS)
    on_path("scancel", '#!/bin/sh\necho "$@" >"$ASKED"\n')
    ledger = swept(fleet, program, "slurm", wait_seconds=0.5)
    assert {state for state, _ in states(ledger).values()} == {"missing"}
    assert ledger.exit_code == 3
    assert ledger.ended.status is None
    assert ledger.ended.reason.startswith("no host had begun after")
    assert ledger.ended.lines == ("srun: job 17 queued and waiting for resources",)
    assert (tmp_path / "asked.json").read_text().startswith(f"--name=vkmapctl-{ledger.run.id} --user=")


def test_slurm_can_use_no_host(fleet, on_path, program):
    on_path("sinfo", f"#!/bin/sh\ncat <<'END'{SINFO}END\n")
    on_path("srun", "#!/bin/sh\nexit 1\n")
    ledger = swept(fleet, program, "slurm", hosts=["gpu02", "gpu03"])
    assert (ledger.exit_code, ledger.ended.reason) == (3, "Slurm can use none of the hosts")


def test_a_host_of_two_partitions_is_usable_where_one_says_so(on_path):
    on_path("sinfo", "#!/bin/sh\nprintf 'a|idle|none\\na|drained|x\\nb|inval|none\\nc|idle*|none\\n'\n")
    assert slurm.states(["a", "b", "c", "d"], "") == {"b": "inval", "c": "idle*", "d": "unknown"}


def test_without_slurm_it_is_refused_before_a_run_is_begun(fleet, program, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="there is no srun"):
        swept(fleet, program, "slurm")
    assert fleet.store.runs() == []


def test_without_clustershell_it_is_refused(fleet, program, monkeypatch):
    monkeypatch.setitem(sys.modules, "ClusterShell.Task", None)
    with pytest.raises(Unsupported, match="needs ClusterShell") as refused:
        swept(fleet, program, "ssh")
    assert refused.value.hints == ("pip install 'vkmapctl[fleet]'",)


# What sshd does with the command of its client, on this machine; one host is not there.
SSH = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
if [ "$1" = gpu02 ]; then echo "ssh: connect to host gpu02 port 22: No route to host" >&2; exit 255; fi
shift
exec sh -c "$*"
"""


@pytest.mark.parametrize("fetch", [False, True])
def test_ssh_to_each_host(fleet, on_path, program, fetch, tmp_path, monkeypatch):
    on_path("ssh", SSH)
    ledger = swept(fleet, program, "ssh", hosts=["gpu01", "gpu02", "gpu03"], options={"fanout": "2"}, fetch=fetch)
    assert states(ledger) == {
        "gpu01": ("missing", "the Vulkan loader found no usable driver"),
        "gpu02": (
            "missing",
            "the host has not answered; ssh: ssh ended with 255: ssh: connect to host gpu02 port 22: No route to host",
        ),
        "gpu03": ("missing", "the Vulkan loader found no usable driver"),
    }
    assert len(list(fleet.store.path.rglob("envelope.json"))) == 2


def test_a_host_that_sends_something_else_is_told(fleet, on_path, program):
    on_path("ssh", "#!/bin/sh\necho Welcome to gpu01\n")
    ledger = swept(fleet, program, "ssh", hosts=["gpu01"], fetch=True)
    state, why = states(ledger)["gpu01"]
    assert state == "missing"
    assert why.startswith("the host has not answered; ssh: what it sent is no answer: ")


def test_ssh_to_a_host_that_hangs_ends_by_itself(fleet, on_path, program, monkeypatch):
    monkeypatch.setattr("vkmapctl.fleet.ssh.HOST_GRACE_SECONDS", 0.5)
    on_path("ssh", "#!/bin/sh\nexec sleep 1000\n")
    ledger = swept(fleet, program, "ssh", hosts=["gpu01", "gpu02"], seconds=0.5)
    assert {why for _, why in states(ledger).values()} == {"the host has not answered; ssh: not done in its time"}


def test_what_a_host_runs_is_one_word_a_word(fleet):
    run = planned(fleet.store.roster(), ("stress", "my workload.toml"), "ssh", {})
    job = engines.Job(Path("store"), run, ("vkmapctl",), 90.0, 1.0, Interrupts(), lambda: True)
    assert job.words("gpu01") == [
        "vkmapctl", "fleet", "here", os.path.abspath("store"), "--run", run.id, "--engine", "ssh", "--host", "gpu01",
        "--gpus", "1", "--timeout", "90s", "--", "stress", "my workload.toml",
    ]  # fmt: skip
    assert job._replace(run=replace(run, software=True)).words()[-5:-3] == ["90s", "--software"]


# --- a command of another process -----------------------------------------------------------------------


def never(_):
    return ""


def test_the_last_lines_of_standard_error_are_kept_and_cleaned():
    script = "for i in $(seq 100); do echo line $i >&2; done; printf '\\033[31mred' >&2; exit 3"
    ended = child.run(["sh", "-c", script], Interrupts(), give_up=never)
    assert ended.status == 3
    assert ended.lines == (*(f"line {n}" for n in range(82, 101)), "?[31mred")


def test_a_flood_without_a_line_costs_no_memory():
    script = "import sys\nfor _ in range(2000): sys.stderr.write('x' * 10_000)"
    ended = child.run([sys.executable, "-c", script], Interrupts(), give_up=never)
    assert len(ended.lines) == 20
    assert all(len(line) <= 1000 for line in ended.lines)


def test_what_does_not_end_when_it_is_asked_to_is_killed_with_all_it_started():
    script = "trap '' TERM; sleep 1000 & echo begun >&2; wait; wait"
    ended = child.run(
        ["sh", "-c", script], Interrupts(), give_up=lambda s: "enough" if s > 0.5 else "", grace=0.5, apart=True
    )
    assert (ended.status, ended.cut) == (-9, "enough")


@pytest.mark.parametrize("apart", [False, True])
def test_a_process_that_is_left_behind_does_not_hold_it_up(apart):
    ended = child.run(["sh", "-c", "sleep 5 & exit 0"], Interrupts(), give_up=never, apart=apart)
    assert (ended.status, ended.cut) == (0, "")
    assert ended.seconds < 4
