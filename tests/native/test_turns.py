"""The jobs of a group take turns on the same memory, as `--api all` does."""

import pytest
from builders import a_job
from driving import CLOCK, Memory, a_program, one_thread

from vkmapctl.model.loop import Fault, LoopStep, Op
from vkmapctl.native import PAGE, Pass
from vkmapctl.worker.measuring import Turn

CHECK_THEN_WRITE = (
    LoopStep(Op.MAP, size=PAGE),
    LoopStep(Op.VERIFY, size=PAGE),
    LoopStep(Op.WRITE, size=PAGE),
    LoopStep(Op.UNMAP),
)


@pytest.mark.parametrize("kind", Pass)
def test_another_turns_writes_are_no_mismatch(kind):
    memory = Memory(PAGE)
    turns = [Turn(a_job(), [a_program(memory, CHECK_THEN_WRITE)], one_thread()) for _ in range(2)]
    for iterations in (1, 7, 5):
        for turn in turns:
            turn.run(CLOCK, kind, {"iterations": iterations})
    assert [turn.fault for turn in turns] == [Fault.OK, Fault.OK]
    assert all(turn.results.total("verified_bytes") > 0 for turn in turns)


def test_a_turn_that_met_a_fault_runs_no_more():
    memory, results = Memory(PAGE), one_thread()
    turn = Turn(a_job(), [a_program(memory, (LoopStep(Op.MAP, size=PAGE), LoopStep(Op.UNMAP)))], results)
    turn.fault = Fault.MISMATCH
    turn.run(CLOCK, Pass.RATE, {"iterations": 5})
    assert results.total("rate_pairs") == 0


def test_a_warm_up_is_forgotten():
    results = one_thread()
    turn = Turn(a_job(), [a_program(Memory(PAGE), CHECK_THEN_WRITE)], results)
    turn.run(CLOCK, Pass.LATENCY, {"iterations": 9}, discard=True)
    assert results.histogram("map").count == results.total("verified_bytes") == 0
    turn.run(CLOCK, Pass.RATE, {"iterations": 4})
    assert results.total("rate_pairs") == 4
    assert turn.latest_ns_per_pair() > 0
