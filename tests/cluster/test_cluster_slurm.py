"""Through a real Slurm: what is told of a sweep that goes well, and of each thing that does not."""

import json
from pathlib import Path

import pytest

from cluster.conftest import FOR_ENVELOPE, HOSTS, Fleet, broken, clock_off, fates, notes
from cluster.space import wait_for

pytestmark = pytest.mark.cluster

EXAMPLES = Path(__file__).parents[2] / "examples/fleet"
STRESS = "stress --size 64K --duration 100ms"


def queue(fleet: Fleet) -> str:
    return fleet.site.run("squeue", "--noheader").out


@pytest.mark.parametrize("words", ["probe", STRESS])
def test_every_host_answers(fleet: Fleet, words: str) -> None:
    ledger = fleet.run(words, "slurm", "--partition", "gpu", "--gres", "gpu:1", "--time", "5")
    assert fates(ledger) == dict.fromkeys(HOSTS, ("ok", ""))
    assert ledger["notes"] == []
    assert (ledger["ended"]["status"], ledger["ended"]["hosts"]) == (0, {})
    envelopes = {host: fleet.envelope(ledger, host) for host in HOSTS}
    assert {host: one["hostname"] for host, one in envelopes.items()} == {host: host for host in HOSTS}
    assert len({one["boot_id"] for one in envelopes.values()}) == len(HOSTS)
    assert len({one["job"] for one in envelopes.values()}) == 1, "one srun over all of them"
    wait_for(lambda: queue(fleet) == "", "Slurm to be done with it")


def test_each_fault_is_told_of_its_host_alone(fleet: Fleet, tmp_path) -> None:
    site = fleet.site
    site.without_driver("gpu2")
    for host in ("gpu3", "gpu4", "gpu5"):
        site.only(host, MORE="--duration 10m")
    site.only("gpu6", **broken(tmp_path, "vkMapMemory*=hang"))
    site.only("gpu7", **broken(tmp_path, "vkMapMemory*@30=crash"))
    with fleet.running(f"{STRESS} --timeout 8s", "slurm", "--run", "faults", "--timeout", "10m") as running:
        wait_for(lambda: all(fleet.begun("faults", host) for host in ("gpu3", "gpu4", "gpu5")), "hosts at work")
        site.kill("gpu3")
        site.freeze("gpu4")
        site.cut("gpu5")
        out, _ = running.communicate(timeout=120)
    ledger = json.loads(out)
    broke = ("interrupted", "the host began its part and did not end it")
    assert fates(ledger) == {
        "gpu1": ("ok", ""),
        "gpu2": ("missing", "the Vulkan loader found no usable driver"),
        "gpu3": broke,
        "gpu4": broke,
        "gpu5": broke,
        "gpu6": ("failed", "hung: 1 row: '64 KiB': hung, no progress for 8 s (--timeout waits longer) in vkMapMemory2"),
        "gpu7": ("failed", "crashed: 1 row: '64 KiB': crashed, killed by SIGSEGV in vkMapMemory2"),
        "gpu8": ("ok", ""),
    }
    site.mend()
    again = fleet.site.vkmapctl("fleet", "rerun", fleet.store, "--program", site.program, "--json", "--quiet").json()
    assert fates(again) == {host: ("ok", "") for host in HOSTS[1:7]}


def test_a_partition_that_never_starts(fleet: Fleet) -> None:
    ledger = fleet.run("probe", "slurm", "--partition", "later", "--wait", "3s", expected=3)
    assert {state for state, _ in fates(ledger).values()} == {"missing"}
    assert dict(notes(ledger))["engine"].startswith("no host had begun after 3 s")
    assert queue(fleet) == ""


def test_a_disk_that_is_full_a_clock_that_is_off_and_hosts_that_do_not_belong(fleet: Fleet, tmp_path) -> None:
    site = fleet.site
    site.vkmapctl("fleet", "init", fleet.store, "--hosts", "gpu[1-6],gpu99", "--gpus", "1", "--software", "--force")
    fleet.fill("full", "gpu1", room_kib=FOR_ENVELOPE)  # and none for the document
    fleet.fill("full", "gpu2", room_kib=FOR_ENVELOPE - 4)
    site.only("gpu3", **clock_off(tmp_path, 3600))
    site.only("gpu4", **clock_off(tmp_path, -3600))
    site.only("gpu6", AFTER=f"while [ ! -e {tmp_path}/told ]; do sleep 0.1; done")  # until the stranger has answered
    with fleet.running(STRESS, "slurm", "--run", "full") as running:
        wait_for(lambda: fleet.begun("full", "gpu6"), "a host at work")
        site.run(site.program, "fleet", "here", fleet.store, "--run", "full", "--host", "gpu8", "--", *STRESS.split())
        (tmp_path / "told").touch()
        out, _ = running.communicate(timeout=120)
    ledger = json.loads(out)
    assert fates(ledger) == {
        "gpu1": ("failed", "its document is lost: No space left on device"),
        "gpu2": ("interrupted", "the host began its part and did not end it"),
        "gpu3": ("ok", ""),
        "gpu4": ("ok", ""),
        "gpu5": ("ok", ""),
        "gpu6": ("ok", ""),
        "gpu99": ("missing", "the host has not answered; slurm: unknown"),
        "gpu8": ("foreign", ""),
    }
    assert notes(ledger) == [
        ("clock", "the clock of gpu3 is off by an hour or more: it is ahead"),
        ("clock", "the clock of gpu4 is off by an hour or more: it is behind"),
        ("foreign", "gpu8 has answered and was not asked: it is not among the run's hosts"),
    ]


def test_a_slow_driver_is_ok_in_the_ledger_and_stands_out_beside_its_peers(fleet: Fleet, tmp_path) -> None:
    fleet.site.only("gpu8", **broken(tmp_path, "vkMapMemory*=sleep:5,call"))
    for _ in range(2):
        assert fates(fleet.run(STRESS, "slurm")) == dict.fromkeys(HOSTS, ("ok", ""))
    found = fleet.site.vkmapctl("fleet", "outliers", fleet.store, "--json", expected=5).json()
    suspects = [(one["host"], one["against"], one["alone"]) for one in found["found"] if one["verdict"] == "suspect"]
    assert suspects == [("gpu8", "hosts", True)], "of one GPU a host: a slow GPU and a slow host look the same"


def test_a_sweep_that_is_stopped(fleet: Fleet) -> None:
    with fleet.running("stress --size 64K --duration 10m", "slurm", "--run", "stopped") as running:
        wait_for(lambda: all(fleet.begun("stopped", host) for host in HOSTS), "hosts at work")
        fleet.site.run("pkill", "-INT", "-f", "fleet run .*--run stopped")
        out, _ = running.communicate(timeout=120)
    assert running.returncode == 130
    ledger = json.loads(out)
    assert {state for state, _ in fates(ledger).values()} == {"interrupted"}
    assert all(why.endswith("stopped by SIGTERM") for _, why in fates(ledger).values())  # some before they had begun
    assert ledger["ended"]["reason"] == "stopped by SIGINT"
    wait_for(lambda: queue(fleet) == "", "its job taken from Slurm")


def example(name: str, replaced: dict[str, str]) -> str:
    """A file of examples/fleet, with other words in place of some."""
    text = (EXAMPLES / name).read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return text


def test_the_batch_job(fleet: Fleet) -> None:
    site = fleet.site
    site.script("sweep.sbatch", example("sweep.sbatch", {"size-sweep": "--size 64K --duration 100ms"}))
    log = site.folder / "sweep.log"
    site.run("sbatch", "--wait", "--nodes=8", f"--output={log}", site.folder / "sweep.sbatch", STORE=str(fleet.store))
    assert "8 GPUs expected: 8 ok" in log.read_text()
    ledger = fleet.status()
    assert fates(ledger) == dict.fromkeys(HOSTS, ("ok", ""))
    assert ledger["run"]["id"].endswith(f"-job{fleet.envelope(ledger, 'gpu1')['job'].partition('.')[0]}")


def test_the_epilog_drains_the_node_whose_driver_is_gone_and_no_other(fleet: Fleet) -> None:
    site = fleet.site
    path = f"PATH={site.folder / 'bin'}:/usr/bin:/bin"
    site.script("epilog", example("epilog.sh", {"PATH=/opt/vkmapctl/bin:/usr/bin:/bin": path}))
    site.without_driver("gpu2")
    try:
        site.run("srun", "--nodes=3", "--nodelist=gpu[1-3]", "true")  # of no GPU
        site.wait_until_idle()
        site.run("srun", "--nodes=3", "--nodelist=gpu[1-3]", "--gres=gpu:1", "true")
        wait_for(lambda: "Epilog error" in site.run("sinfo", "--list-reasons", "--noheader").out, "drained")
        wait_for(lambda: queue(fleet) == "", "the end of the job")
        assert site.run("sinfo", "--list-reasons", "--noheader", "--format=%N").out.split() == ["gpu2"]
        ledger = fleet.run("probe", "slurm", expected=4)
        told = ("missing", "the host has not answered; slurm: drained (Epilog error)")
        assert fates(ledger) == dict.fromkeys(HOSTS, ("ok", "")) | {"gpu2": told}
    finally:
        site.script("epilog", "#!/bin/sh\n")
