"""The ledger: every expected GPU ends as ok, failed, interrupted or missing, whatever became of its host."""

import json

import pytest
from fleets import Fleet, document, envelope, pci, seen, uuid

from vkmapctl.errors import UsageProblem
from vkmapctl.fleet import again, store
from vkmapctl.fleet.sweep import judged
from vkmapctl.model.documents import to_json
from vkmapctl.reports import plain
from vkmapctl.reports.ledger import ledger_view


@pytest.fixture
def fleet(tmp_path):
    """gpu01 has done its part; gpu02 is what the test makes of it."""
    made = Fleet(tmp_path / "store")
    made.begin()
    made.answers("gpu01")
    return made


def told(fleet, run="one"):
    """By host and slot: state, and why."""
    return {(one.host, one.slot): (one.state, one.why) for one in judged(fleet.store, run).entries}


def fate(fleet, run="one"):
    """What became of gpu02's first GPU."""
    found = told(fleet, run)
    assert found["gpu01", 0] == ("ok", "")
    return found["gpu02", 0]


def codes(fleet, run="one"):
    return [note.code for note in judged(fleet.store, run).notes]


def test_all_is_well(fleet):
    fleet.answers("gpu02")
    fleet.end()
    ledger = judged(fleet.store, "one")
    assert [(one.state, one.why) for one in ledger.entries] == [("ok", "")] * 2
    assert (ledger.exit_code, ledger.notes) == (0, ())
    assert ledger.entries[0].document == "runs/one/gpu01/0-stress.json.gz"
    assert ledger.entries[0].gpu == f"{uuid('gpu01', 0)}@{pci(0)}"


def test_silence_is_a_failure(fleet):
    fleet.end(hosts={"gpu02": "down* (Not responding)"})
    assert fate(fleet) == ("missing", "the host has not answered; slurm: down* (Not responding)")
    assert judged(fleet.store, "one").exit_code == 4


def test_a_run_that_has_not_ended_says_so(fleet):
    assert fate(fleet) == ("missing", "the host has not answered")
    assert "not-ended" in codes(fleet)


def test_nobody_has_answered(tmp_path):
    fleet = Fleet(tmp_path, gpus=8)
    fleet.begin()
    fleet.end(status=None, reason="no host had begun after 3600 s")
    ledger = judged(fleet.store, "one")
    assert [one.state for one in ledger.entries] == ["missing"] * 16
    assert (ledger.exit_code, [note.message for note in ledger.notes]) == (3, ["no host had begun after 3600 s"])


def test_a_host_that_was_killed_in_the_middle(fleet):
    fleet.begun("gpu02")
    fleet.end()
    assert fate(fleet) == ("interrupted", "the host began its part and did not end it")


def test_what_it_had_done_by_then_counts(tmp_path):
    fleet = Fleet(tmp_path, gpus=2)
    fleet.begin()
    fleet.answers("gpu01", seen=(seen(), seen(slot=1)))
    fleet.begun("gpu02")
    fleet.put("gpu02", "0-stress.json.gz", store.packed(document("gpu02")))
    fleet.end()
    found = told(fleet)
    assert found["gpu02", 0] == ("ok", "")
    assert found["gpu02", 1] == ("interrupted", "the host began its part and did not end it")
    assert "no-envelope" in codes(fleet)


def test_no_driver(fleet):
    why = "the Vulkan loader found no usable driver"
    fleet.put("gpu02", "envelope.json", to_json(envelope("gpu02", seen=(), exit_code=3, reason=why)))
    fleet.end()
    assert fate(fleet) == ("missing", why)


@pytest.mark.parametrize(
    ("outcome", "code", "state", "why"),
    [
        ("failed", 4, "failed", "vkMapMemory failed"),
        ("hung", 6, "failed", "hung: vkMapMemory failed"),
        ("crashed", 6, "failed", "crashed: vkMapMemory failed"),
        ("unsupported", 3, "failed", "unsupported: vkMapMemory failed"),
        ("missed", 5, "failed", "missed: vkMapMemory failed"),
        ("interrupted", 130, "interrupted", "vkMapMemory failed"),
        ("ok", 4, "failed", "ok: vkMapMemory failed"),
    ],
)
def test_the_document_judges(fleet, outcome, code, state, why):
    data = document("gpu02", outcome=outcome, exit_code=code, reason="vkMapMemory failed")
    fleet.put("gpu02", "0-stress.json.gz", store.packed(data))
    fleet.put("gpu02", "envelope.json", to_json(envelope("gpu02")))
    fleet.end()
    assert fate(fleet) == (state, why)


def test_failing_checks_are_named(fleet):
    results = json.loads(document(kind="verify"))["results"]
    for row, status in zip(results, ("fail", "hung"), strict=True):
        row["status"] = status
    data = document("gpu02", kind="verify", results=results, outcome="failed", exit_code=4)
    fleet.put("gpu02", "0-verify.json.gz", store.packed(data))
    fleet.put("gpu02", "envelope.json", to_json(envelope("gpu02", seen=(seen("gpu02", document="0-verify.json.gz"),))))
    fleet.end()
    names = list(dict.fromkeys(row["id"] for row in results))
    assert fate(fleet)[1] == f"{len(names)} check{'s' * (len(names) > 1)} failed: {', '.join(names)}"


@pytest.mark.parametrize(
    ("gpu", "state", "why"),
    [
        ({"document": "", "exit_code": 2, "reason": "its document is lost: No space left on device"}, "failed",
         "its document is lost: No space left on device"),
        ({"document": "", "exit_code": None, "reason": "not begun: stopped by SIGTERM"}, "interrupted",
         "not begun: stopped by SIGTERM"),
        ({"document": "", "exit_code": 1}, "failed", "exit code 1 and no document"),
        ({}, "failed", "its document cannot be read: it is not there"),
    ],
)  # fmt: skip
def test_a_gpu_without_a_document(fleet, gpu, state, why):
    fleet.put("gpu02", "envelope.json", to_json(envelope("gpu02", seen=(seen("gpu02", **gpu),))))
    fleet.end()
    assert fate(fleet) == (state, why)


def test_a_document_that_is_damaged_is_a_failure_and_told(fleet):
    fleet.put("gpu02", "0-stress.json.gz", store.packed(document("gpu02"))[:-50])
    fleet.put("gpu02", "envelope.json", to_json(envelope("gpu02")))
    fleet.end()
    assert fate(fleet) == ("failed", "its document cannot be read: it is cut off")
    assert codes(fleet) == ["unreadable"]


def test_a_document_of_another_gpu_is_no_answer(fleet):
    fleet.put("gpu02", "0-stress.json.gz", store.packed(document("gpu01")))
    fleet.put("gpu02", "envelope.json", to_json(envelope("gpu02")))
    fleet.end()
    state, why = fate(fleet)
    assert (state, why.partition(":")[0]) == ("failed", "its document is of another GPU")


def test_a_run_that_was_cut_off_by_its_time_is_interrupted_whatever_its_document_says(fleet):
    data = document("gpu02", outcome="crashed", exit_code=6)
    fleet.put("gpu02", "0-stress.json.gz", store.packed(data))
    gpu = seen("gpu02", exit_code=None, reason="not done within 10 min")
    fleet.put("gpu02", "envelope.json", to_json(envelope("gpu02", seen=(gpu,))))
    fleet.end()
    assert fate(fleet) == ("interrupted", "not done within 10 min")


def test_a_host_that_answers_twice_keeps_both_and_the_last_counts(fleet):
    failed = document("gpu02", outcome="failed", exit_code=4, reason="first try")
    fleet.put("gpu02", "0-stress.json.gz", store.packed(failed))
    fleet.put("gpu02", "envelope.json", to_json(envelope("gpu02")))
    name = fleet.put("gpu02", "0-stress.json.gz", store.packed(document("gpu02")))
    gpu = seen("gpu02", document=name)
    assert fleet.put("gpu02", "envelope.json", to_json(envelope("gpu02", seen=(gpu,)))) == "envelope-2.json"
    fleet.end()
    assert fate(fleet) == ("ok", "")
    assert codes(fleet) == ["answered-twice"]


def test_a_host_that_is_not_in_the_roster_is_told_and_fails_nothing(fleet):
    fleet.answers("gpu02")
    fleet.answers("stranger")
    fleet.end()
    assert told(fleet)["stranger", 0] == ("foreign", "")
    assert codes(fleet) == ["foreign"]
    assert judged(fleet.store, "one").exit_code == 0


def test_a_host_that_has_lost_a_gpu_names_it(tmp_path):
    fleet = Fleet(tmp_path, hosts=["gpu01"], gpus=3)
    all_three = [seen(slot=slot) for slot in range(3)]
    fleet.begin(hosts="gpu01")
    fleet.answers("gpu01", seen=tuple(all_three))
    fleet.end()
    fleet.begin("two", hosts="gpu01", started="2026-11-27T01:00:00+00:00")
    left = [seen(slot=0), seen(slot=1, pci=pci(2), uuid=uuid("gpu01", 2))]
    for gpu, was in zip(left, (0, 2), strict=True):
        fleet.put("gpu01", gpu.document, store.packed(document("gpu01", was)), "two")
    fleet.put("gpu01", "envelope.json", to_json(envelope(run="two", seen=tuple(left))), "two")
    fleet.end("two")
    found = told(fleet, "two")
    assert [found["gpu01", slot][0] for slot in range(3)] == ["ok", "missing", "ok"]
    assert found["gpu01", 1][1] == f"not there: run one had NVIDIA H100 80GB HBM3 at {pci(1)}"


def test_a_host_that_never_had_as_many_lacks_the_rest(tmp_path):
    fleet = Fleet(tmp_path, hosts=["gpu01"], gpus=3)
    fleet.begin(hosts="gpu01")
    fleet.answers("gpu01", seen=(seen(), seen(slot=1)))
    fleet.end()
    found = told(fleet)
    assert [state for state, _ in found.values()] == ["ok", "ok", "missing"]
    assert found["gpu01", 2][1] == "not there: the host has 2 of 3 GPUs"


def test_without_a_number_a_host_is_held_to_what_it_ever_had(tmp_path):
    fleet = Fleet(tmp_path, hosts=["gpu01"], gpus=0)
    fleet.begin(hosts="gpu01")
    fleet.answers("gpu01", seen=(seen(), seen(slot=1)))
    fleet.begin("two", hosts="gpu01", started="2026-11-27T01:00:00+00:00")
    fleet.answers("gpu01", "two")
    fleet.begin("three", hosts="gpu01", started="2026-11-28T01:00:00+00:00")
    assert [state for state, _ in told(fleet).values()] == ["ok", "ok"]
    assert [state for state, _ in told(fleet, "two").values()] == ["ok", "missing"]
    assert [state for state, _ in told(fleet, "three").values()] == ["missing", "missing"]


def test_more_gpus_than_expected_are_judged_and_told(fleet):
    fleet.answers("gpu02", seen=(seen("gpu02"), seen("gpu02", 1)))
    fleet.end()
    assert told(fleet)["gpu02", 1] == ("ok", "")
    assert codes(fleet) == ["more-gpus"]


def test_a_swapped_card_is_told_once(fleet):
    fleet.answers("gpu02")
    for run, day in (("two", 27), ("three", 28)):
        fleet.begin(run, started=f"2026-11-{day}T01:00:00+00:00")
        fleet.answers("gpu01", run)
        card = seen("gpu02", uuid=uuid("spare", 0))
        fleet.put("gpu02", "0-stress.json.gz", store.packed(document("spare", 0)), run)
        fleet.put("gpu02", "envelope.json", to_json(envelope("gpu02", run, seen=(card,))), run)
        fleet.end(run, ended=f"2026-11-{day}T01:10:00+00:00")
    state, why = fate(fleet, "two")
    assert state == "swapped"
    assert why == f"another card than in run one, which had NVIDIA H100 80GB HBM3, UUID {uuid('gpu02', 0)}"
    assert judged(fleet.store, "two").exit_code == 0
    assert fate(fleet, "three") == ("ok", "")


def test_a_card_that_was_moved_says_where_it_came_from(fleet):
    fleet.answers("gpu02")
    fleet.begin("two", started="2026-11-27T01:00:00+00:00")
    moved = seen("gpu01", uuid=uuid("gpu02", 0))
    fleet.put("gpu01", "0-stress.json.gz", store.packed(document("gpu02")), "two")
    fleet.put("gpu01", "envelope.json", to_json(envelope("gpu01", "two", seen=(moved,))), "two")
    assert told(fleet, "two")["gpu01", 0][1].endswith(f"; this one was in gpu02 at {pci(0)} in run one")


def test_a_software_driver_has_no_cards_to_swap(tmp_path):
    fleet = Fleet(tmp_path, hosts=["gpu01"], gpus=1)
    for run, day, one in (("one", 26, "a"), ("two", 27, "b")):
        fleet.begin(run, hosts="gpu01", started=f"2026-11-{day}T01:00:00+00:00")
        device = seen(uuid=uuid(one, 0), type="cpu", pci="")
        data = json.loads(document(one))
        data["devices"][0] |= {"pci_address": None, "type": "cpu"}
        fleet.put("gpu01", "0-stress.json.gz", store.packed(json.dumps(data).encode()), run)
        fleet.put("gpu01", "envelope.json", to_json(envelope(run=run, seen=(device,))), run)
    assert told(fleet, "two") == {("gpu01", 0): ("ok", "")}


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"started": "2026-11-26T00:00:00+00:00"}, "behind"), ({"ended": "2026-11-26T02:10:00+00:00"}, "ahead")],
)
def test_a_clock_that_is_an_hour_off_is_told(fleet, changed, word):
    fleet.answers("gpu02", **changed)
    fleet.end()
    (note,) = judged(fleet.store, "one").notes
    assert (note.code, note.message) == ("clock", f"the clock of gpu02 is off by 3600 s or more: it is {word}")


@pytest.mark.parametrize("time", ["", "yesterday", "2026-11-26T00:00:00", "9999-99-99T00:00:00+00:00", "\0"])
def test_a_time_that_is_none_is_left_alone(fleet, time):
    fleet.answers("gpu02", started=time, ended=time)
    fleet.end()
    assert codes(fleet) == []


def test_one_machine_under_two_names_is_told(fleet):
    fleet.answers("gpu02", boot_id="boot of gpu01")
    fleet.end()
    assert codes(fleet) == ["one-machine"]


def test_a_host_that_ran_something_else_is_told(fleet):
    fleet.answers("gpu02", command=("probe",))
    fleet.end()
    assert codes(fleet) == ["other-command"]


def test_a_run_that_no_fleet_run_began_is_held_against_the_roster(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.answers("gpu01", "nightly")
    ledger = judged(fleet.store, "nightly")
    assert [(one.host, one.state) for one in ledger.entries] == [("gpu01", "ok"), ("gpu02", "missing")]
    assert ledger.run.command == ("stress", "size-sweep")


def test_two_sweeps_at_once_are_two_runs(fleet):
    fleet.begin("two")
    fleet.answers("gpu02", "two")
    assert {run: [one[0] for one in told(fleet, run).values()] for run in ("one", "two")} == {
        "one": ["ok", "missing"], "two": ["missing", "ok"],
    }  # fmt: skip


# --- the second turn ------------------------------------------------------------------------------------


def test_a_second_turn_is_of_the_hosts_that_did_not_end_well_and_given_once(fleet):
    fleet.end()
    wanted = again.to_repeat(fleet.store, None, ["missing"])
    assert (wanted.run.id, wanted.hosts) == ("one", ("gpu02",))
    fleet.begin("two", hosts="gpu02", again="one")
    with pytest.raises(UsageProblem, match="gpu02 had a second turn in run two"):
        again.to_repeat(fleet.store, None, ["missing"])
    with pytest.raises(UsageProblem, match="run two repeats one itself"):
        again.to_repeat(fleet.store, "two", ["missing"])
    suspected = again.to_repeat(fleet.store, None, ["missing"], suspects=["gpu01"])
    assert suspected.hosts == ("gpu01",), "a host that has had none yet still may"


def test_where_all_is_well_nothing_is_repeated(fleet):
    fleet.answers("gpu02")
    assert again.to_repeat(fleet.store, "one", ["missing", "failed"]).hosts == ()


def test_a_run_that_is_not_there(fleet):
    with pytest.raises(UsageProblem, match="has no run nope"):
        again.to_repeat(fleet.store, "nope", ["missing"])
    with pytest.raises(UsageProblem, match="has no run nope"):
        judged(fleet.store, "nope")


def test_a_host_that_is_stopped_before_it_knows_its_gpus_broke_off(tmp_path):
    fleet = Fleet(tmp_path, gpus=2)
    fleet.begin()
    fleet.answers("gpu01", seen=(), exit_code=130, reason="stopped by SIGTERM")
    fleet.answers("gpu02", seen=(), exit_code=3, reason="there is no driver")
    fleet.end()
    assert [(one.host, one.state, one.why) for one in judged(fleet.store, "one").entries] == [
        *[("gpu01", "interrupted", "stopped by SIGTERM")] * 2,
        *[("gpu02", "missing", "there is no driver")] * 2,
    ]


# --- as it is shown -------------------------------------------------------------------------------------


def test_hosts_that_share_a_fate_share_a_line(tmp_path):
    fleet = Fleet(tmp_path, gpus=8)
    fleet.begin(hosts="gpu[01-99]")
    fleet.answers("gpu01", seen=tuple(seen(slot=slot) for slot in range(8)))
    fleet.end()
    lines = [line for part in ledger_view(judged(fleet.store, "one")) for line in plain.lines_of(part, 200)]
    text = "\n".join(lines)
    assert "792 GPUs expected: 8 ok, 784 missing" in text
    (line,) = [line for line in lines if line.startswith("missing")]
    assert line.split() == "missing gpu[02-99] 0-7 784 the host has not answered".split()
    assert "not every GPU ended well (exit code 4)" in text
