"""By ssh, to hosts that share the store and to hosts that do not: the ledger of each fault."""

import json

import pytest

from cluster.conftest import HOSTS, Fleet, broken, clock_off, fates, notes
from cluster.space import wait_for

pytestmark = pytest.mark.cluster

STRESS = "stress --size 64K --duration 100ms"


@pytest.mark.parametrize("options", [[], ["--fetch", "--fanout", "3"]], ids=["shared", "fetched"])
def test_every_host_answers(fleet: Fleet, options: list[str]) -> None:
    ledger = fleet.run(STRESS, "ssh", *options)
    assert fates(ledger) == dict.fromkeys(HOSTS, ("ok", ""))
    assert notes(ledger) == []
    assert {fleet.envelope(ledger, host)["hostname"] for host in HOSTS} == set(HOSTS)
    assert fleet.status()["entries"] == ledger["entries"]


def test_each_fault_is_told_of_its_host_alone(fleet: Fleet, tmp_path) -> None:
    """Of hosts that send their answers: whoever is silent at the end is missing, whatever it has done."""
    site = fleet.site
    site.without_driver("gpu2")
    for host in ("gpu3", "gpu4", "gpu5"):
        site.only(host, BEFORE=f"touch {tmp_path}/$(hostname)", MORE="--duration 10m")
    site.only("gpu6", **broken(tmp_path, "vkMapMemory*=hang"))
    site.only("gpu7", **broken(tmp_path, "vkMapMemory*@30=crash"))
    site.only("gpu8", **clock_off(tmp_path, -3600))
    with fleet.running(f"{STRESS} --timeout 8s", "ssh", "--fetch") as running:
        wait_for(lambda: all((tmp_path / host).exists() for host in ("gpu3", "gpu4", "gpu5")), "hosts at work")
        site.kill("gpu3")
        site.freeze("gpu4")
        site.cut("gpu5")
        out, _ = running.communicate(timeout=120)
    ledger = json.loads(out)
    gone = ("missing", "the host has not answered; ssh: ssh ended with 255")
    assert fates(ledger) == {
        "gpu1": ("ok", ""),
        "gpu2": ("missing", "the Vulkan loader found no usable driver"),
        "gpu3": gone,
        "gpu4": gone,
        "gpu5": gone,
        "gpu6": ("failed", "hung: 1 row: '64 KiB': hung, no progress for 8 s (--timeout waits longer) in vkMapMemory2"),
        "gpu7": ("failed", "crashed: 1 row: '64 KiB': crashed, killed by SIGSEGV in vkMapMemory2"),
        "gpu8": ("ok", ""),
    }
    assert notes(ledger) == [("clock", "the clock of gpu8 is off by an hour or more: it is behind")]


def test_a_document_that_is_whole_counts_whatever_ssh_says(fleet: Fleet) -> None:
    """The link is cut between the end of a host's part and that of its session."""
    site = fleet.site
    site.only("gpu5", AFTER="sleep 1000")
    with fleet.running("probe", "ssh", "--run", "cut") as running:
        wait_for(lambda: (fleet.store / "runs/cut/gpu5/envelope.json").exists(), "its answer")
        site.cut("gpu5")
        out, _ = running.communicate(timeout=120)
    ledger = json.loads(out)
    assert fates(ledger) == dict.fromkeys(HOSTS, ("ok", ""))
    assert ledger["ended"]["hosts"] == {"gpu5": "ssh ended with 255: Timeout, server 10.77.1.5 not responding."}


def test_a_host_that_is_down_or_unknown_before_it_begins(fleet: Fleet) -> None:
    site = fleet.site
    site.vkmapctl("fleet", "init", fleet.store, "--hosts", "gpu[1-3],gpu99", "--gpus", "1", "--software", "--force")
    site.cut("gpu2")
    site.freeze("gpu3")
    ledger = fleet.run("probe", "ssh", expected=4)
    silent = ("missing", "the host has not answered; ssh: ssh ended with 255")
    assert fates(ledger) == {"gpu1": ("ok", ""), "gpu2": silent, "gpu3": silent, "gpu99": silent}
    why = {one["host"]: one["why"] for one in ledger["entries"]}
    assert "connect to host 10.77.1.2 port 22" in why["gpu2"]
    assert "timed out" in why["gpu3"]
    assert "Could not resolve hostname gpu99" in why["gpu99"]
