"""A fleet of one host on a software driver: what is told of it when all is well, and of each thing that is not."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from cli_runner import LAVAPIPE, environment, start, vkmapctl
from processes import children

HOST = "gpu01"


@pytest.fixture
def fleet(tmp_path):
    """A store whose one host is this machine."""
    path = tmp_path / "store"
    assert vkmapctl("fleet", "init", str(path), "--hosts", HOST, "--gpus", "1", "--software").code == 0
    return path


def run(store, *words, driver=None, code=0, more=()):
    """Runs it on this machine: the ledger."""
    done = vkmapctl(
        "fleet", "run", str(store), "--via", "local", "--json", "--quiet", *more, "--", *words, driver=driver
    )
    assert done.code == code, done.err
    return done.json()


def entry(ledger):
    (found,) = ledger["entries"]
    return found["state"], found["why"]


def answered(store):
    """The envelope of the only run."""
    (path,) = store.glob(f"runs/*/{HOST}/envelope.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("words", [["probe"], ["stress", "quick", "--duration", "200ms"], ["verify", "--check", "M1"]])
def test_a_run_that_goes_well(fleet, words):
    ledger = run(fleet, *words)
    assert entry(ledger) == ("ok", "")
    document = json.loads(gzip.decompress((fleet / ledger["entries"][0]["document"]).read_bytes()))
    assert (document["kind"], document["outcome"]) == (words[0], "ok")
    assert vkmapctl("report", "show", str(fleet / ledger["entries"][0]["document"])).code == 0
    said = answered(fleet)
    assert (said["host"], said["run"], said["exit_code"]) == (HOST, ledger["run"]["id"], 0)
    assert all(said[name] for name in ("hostname", "boot_id", "kernel", "cpu", "started", "ended", "tool"))
    (gpu,) = said["seen"]
    assert gpu["name"].startswith("llvmpipe")
    assert gpu["driver"]
    shown = vkmapctl("fleet", "status", str(fleet))
    assert shown.code == 0
    assert "1 GPU expected: 1 ok" in shown.out
    again = vkmapctl("fleet", "status", str(fleet), "--json", "--reindex").json()
    assert again["entries"] == ledger["entries"]


def test_a_store_that_is_not_there_becomes_one_of_this_machine(tmp_path):
    run(tmp_path / "new", "probe")
    assert "software = true" in (tmp_path / "new" / "roster.toml").read_text()


@pytest.mark.parametrize(
    ("fault", "outcome"), [("map-hangs", "hung"), ("map-crashes", "crashed"), ("map-fails", "failed")]
)
def test_a_driver_that_breaks(fleet, fault, outcome):
    ledger = run(fleet, "stress", "--size", "4K", "--iterations", "100", "--timeout", "2s", "--inject", fault, code=4)
    state, why = entry(ledger)
    assert state == "failed"
    assert outcome in f"failed {why}"
    document = json.loads(gzip.decompress((fleet / ledger["entries"][0]["document"]).read_bytes()))
    assert document["outcome"] == outcome


def test_no_driver_at_all(fleet):
    nothing = {"VK_DRIVER_FILES": "/nonexistent", "VK_ICD_FILENAMES": "/nonexistent"}
    ledger = run(fleet, "stress", "quick", driver=nothing, code=4)
    assert entry(ledger) == ("missing", "the Vulkan loader found no usable driver")
    assert (answered(fleet)["exit_code"], answered(fleet)["seen"]) == (3, [])
    npd = vkmapctl("fleet", "status", str(fleet), "--exit-style", "npd")
    assert npd.code == 1


def test_a_software_driver_is_no_gpu_unless_it_was_asked_for(tmp_path):
    vkmapctl("fleet", "init", str(tmp_path / "store"), "--hosts", HOST, "--gpus", "2")
    ledger = run(tmp_path / "store", "probe", code=4)
    assert [one["state"] for one in ledger["entries"]] == ["missing", "missing"]
    assert "there is no GPU, only a software driver: llvmpipe" in ledger["entries"][0]["why"]


def test_a_host_that_is_not_done_in_its_time(fleet):
    words = ("stress", "--size", "4K", "--duration", "1m")
    ledger = run(fleet, *words, code=4, more=("--timeout", "3s"))
    assert entry(ledger) == ("interrupted", "not done within 3 s")
    document = json.loads(gzip.decompress((fleet / ledger["entries"][0]["document"]).read_bytes()))
    assert document["outcome"] == "interrupted", "what was measured by then is kept"


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode()
    except OSError:
        return ""


def stresses(pid):
    """The runs that a `fleet here` has begun; what lists its devices is forked, and has its own command line."""
    return [one for one in children(pid) if "stress" in command_of(one) and "\0here\0" not in command_of(one)]


def begun_here(store, *words):
    """`fleet here`, once its stress is at work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vkmapctl", "fleet", "here", str(store), "--run", "one", "--host", HOST, "--", *words],
        env=environment(LAVAPIPE), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: stresses(process.pid))
    return process


LONG = ("stress", "--size", "4K", "--duration", "10m")


def test_an_engine_that_ends_the_host_in_the_middle(fleet):
    process = begun_here(fleet, *LONG)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, f"{HOST}: stopped by SIGTERM\n")
    ledger = vkmapctl("fleet", "status", str(fleet), "--json").json()
    assert entry(ledger) == ("interrupted", "stopped by SIGTERM")
    assert answered(fleet)["seen"][0]["exit_code"] is None


def test_a_host_that_is_killed_in_the_middle_leaves_no_process_behind(fleet):
    process = begun_here(fleet, *LONG)
    (stress,) = stresses(process.pid)
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: "stress" not in command_of(stress))
    ledger = vkmapctl("fleet", "status", str(fleet), "--json").json()
    assert entry(ledger) == ("interrupted", "the host began its part and did not end it")


def test_a_run_that_the_user_stops_keeps_its_ledger(fleet):
    running = start("fleet", "run", str(fleet), "--via", "local", "--json", "--quiet", "--", *LONG)
    wait_for(lambda: list(fleet.glob(f"runs/*/{HOST}/begun.json")))
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(60)
    assert running.returncode == 130, err
    assert json.loads(out)["entries"][0]["state"] == "interrupted"
    (ended,) = fleet.glob("runs/*/ended.json")
    assert json.loads(ended.read_text())["reason"] == "stopped by SIGINT"


MOUNTED = """
mount -t tmpfs -o size=256k,mode=777 none {path} && exec {python} {script}
"""
FULL = """
import os, pathlib, subprocess, sys
store, fill = pathlib.Path({path!r}), int({fill})
run = [sys.executable, "-m", "vkmapctl", "fleet"]
subprocess.run([*run, "init", str(store), "--hosts", "gpu01", "--gpus", "1", "--software"], check=True)
room = os.statvfs(store)
(store / "filler").write_bytes(bytes(max(room.f_bavail * room.f_frsize - fill, 0)))
done = subprocess.run([*run, "here", str(store), "--run", "one", "--host", "gpu01", "--software", "--", "probe"])
(store / "filler").unlink()
shown = subprocess.run([*run, "status", str(store), "--run", "one", "--json"], capture_output=True)
print("here", done.returncode, flush=True)
os.write(1, shown.stdout)
"""


@pytest.mark.parametrize(("fill", "state"), [(4096 * 17, "failed"), (4096, None)])
def test_a_disk_that_is_full(tmp_path, fill, state):
    """A tmpfs of its own, in a namespace: with room for an envelope and no document, and with room for neither."""
    path = tmp_path / "small"
    path.mkdir()
    script = tmp_path / "full.py"
    script.write_text(FULL.format(path=str(path), fill=fill))
    mounted = MOUNTED.format(path=path, python=sys.executable, script=script)
    done = subprocess.run(
        ["unshare", "--mount", *(["--map-root-user"] if os.getuid() else []), "sh", "-c", mounted],
        env=environment(LAVAPIPE), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    first, _, ledger = done.stdout.partition("\n")
    assert "Traceback" not in done.stderr, done.stderr
    if state is None:
        assert first == "here 2", done.stderr
        assert "No space left on device" in done.stderr
        return
    assert first == "here 2", done.stderr
    assert entry(json.loads(ledger)) == (state, "its document is lost: No space left on device")


def test_a_store_that_is_not_mounted_on_the_host_is_not_made_there(tmp_path):
    done = vkmapctl("fleet", "here", str(tmp_path / "gone"), "--run", "one", "--", "probe")
    assert done.code == 2
    assert "is the file system that holds it mounted here?" in done.err
    assert not (tmp_path / "gone").exists()


def test_the_answer_on_standard_output(tmp_path):
    from vkmapctl.fleet import parcel

    done = vkmapctl("fleet", "here", "-", "--run", "one", "--host", HOST, "--software", "--", "probe")
    assert done.code == 0
    folder = tmp_path / HOST
    folder.mkdir()
    parcel.unpack(done.out.encode().splitlines(), folder)
    assert {path.name for path in folder.iterdir()} == {"begun.json", "envelope.json", "0-probe.json.gz"}


def test_a_second_turn(fleet):
    nothing = {"VK_DRIVER_FILES": "/nonexistent", "VK_ICD_FILENAMES": "/nonexistent"}
    first = run(fleet, "probe", driver=nothing, code=4)
    done = vkmapctl("fleet", "rerun", str(fleet), "--json", "--quiet")
    assert done.code == 0, done.err
    assert done.json()["run"]["again"] == first["run"]["id"]
    refused = vkmapctl("fleet", "rerun", str(fleet))
    assert refused.code == 2
    assert f"Error: {HOST} had a second turn in run" in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["record", "ls"], "a fleet does not run 'record'"),
        (["stress", "--bogus"], "--bogus"),
        (["probe", "--device", "0"], "--device is the fleet's own"),
        (["probe", "--json"], "--json is the fleet's own"),
        (["verify", "--save", "x"], "--save is the fleet's own"),
    ],
)
def test_what_no_host_could_run_is_refused_before_any_is_asked(fleet, words, said):
    done = vkmapctl("fleet", "run", str(fleet), "--via", "local", "--", *words)
    assert done.code == 2
    assert said in done.err
    assert not list(fleet.glob("runs/*"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["status", "{store}"], 2, "has no run"),
        (["status", "{store}", "--run", "../x"], 2, "no run's id"),
        (["status", "/nonexistent"], 2, "is no store"),
        (["init", "{store}", "--hosts", "a"], 2, "has a roster"),
        (["init", "{store}2", "--hosts", "x[1-999999999]"], 2, "names more than"),
        (["run", "{store}", "--via", "local", "--hosts", "other", "--", "probe"], 2, "not in the roster"),
        (["run", "{store}", "--via", "local", "--fetch", "--", "probe"], 2, "--fetch is of --via ssh"),
        (["rerun", "{store}"], 2, "has no run to repeat"),
        (["here", "{store}", "--run", "one", "--host", "../x", "--", "probe"], 2, "is no host's name"),
    ],
)
def test_refusals(fleet, words, code, said):
    done = vkmapctl("fleet", *(word.format(store=fleet) for word in words))
    assert done.code == code
    assert said in done.err
