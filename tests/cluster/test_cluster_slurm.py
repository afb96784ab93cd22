"""Through a real Slurm: what is told of a sweep that goes well, and of each thing that does not."""

import json

import pytest

from cluster.conftest import HOSTS, Fleet, broken, fates, notes
from cluster.hosts import PYTHON
from cluster.space import wait_for

pytestmark = pytest.mark.cluster

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
    assert queue(fleet) == ""


def test_each_fault_is_told_of_its_host_alone(fleet: Fleet, tmp_path) -> None:
    site = fleet.site
    site.without_driver("gpu2")
    for host in ("gpu3", "gpu4", "gpu5"):
        site.only(host, MORE="--duration 10m")
    site.only("gpu6", **broken(tmp_path, "vkMapMemory*@30=hang"))
    site.only("gpu7", **broken(tmp_path, "vkMapMemory*@30=crash"))
    with fleet.running(f"{STRESS} --timeout 8s", "slurm", "--run", "faults", "--timeout", "10m") as running:
        wait_for(lambda: all(fleet.begun("faults", host) for host in ("gpu3", "gpu4", "gpu5")), "hosts at work")
        site.kill("gpu3")
        site.freeze("gpu4")
        site.cut("gpu5")
        out, err = running.communicate(timeout=120)
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


def test_a_partition_that_never_starts(fleet: Fleet) -> None:
    ledger = fleet.run("probe", "slurm", "--partition", "later", "--wait", "3s", expected=3)
    assert {state for state, _ in fates(ledger).values()} == {"missing"}
    assert notes(ledger)["engine"].startswith("no host had begun after 3 s")
    assert queue(fleet) == ""
