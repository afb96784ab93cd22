"""Objects that come and go untouched: the rate pass runs them without its dispatch, and counts them all the same."""

import pytest

from vkmapctl import native
from vkmapctl.model.loop import Fault, LoopStep, Op
from vkmapctl.native import Pass, Program, Results

SIZE = native.PAGE
CLOCK = native.Clock(True)


def run(first: LoopStep, kind: Pass = Pass.RATE) -> Results:
    program = Program(native.null_driver(2), [native.Object(0, 0)], [[first, LoopStep(Op.FREE)]])
    results = Results(1)
    results.control.threads = 1
    program.run(CLOCK, results, 0, kind, iterations=1000)
    program.unwind()
    return results


@pytest.mark.parametrize("kind", [Pass.RATE, Pass.LATENCY, Pass.CHECK])
def test_every_cycle_counts(kind: Pass) -> None:
    results = run(LoopStep(Op.ALLOCATE, size=SIZE), kind)
    assert results.fault()[0] is Fault.OK
    assert results.total("iterations") == 1000


def test_an_import_and_its_free_are_a_pair() -> None:
    with native.host_buffer(SIZE) as address:
        step = LoopStep(Op.IMPORT, size=SIZE, address=address)
        assert run(step).total("rate_pairs") == 1000
        assert run(LoopStep(Op.ALLOCATE, size=SIZE)).total("rate_pairs") == 0


def test_memory_that_runs_out_ends_the_pass_at_its_step() -> None:
    fault, result, place, _ = run(LoopStep(Op.ALLOCATE, size=1 << 62)).fault()
    assert (fault, result, place.op, place.step) == (Fault.CALL_FAILED, -1, Op.ALLOCATE, 0)


def test_each_objects_calls_get_its_own_memory() -> None:
    """Steps of two objects alternate, so that the calls of one lie between those of the other."""
    steps = [
        LoopStep(Op.ALLOCATE, 0, size=SIZE), LoopStep(Op.ALLOCATE, 1, size=2 * SIZE),
        LoopStep(Op.MAP, 0, size=SIZE), LoopStep(Op.MAP, 1, size=2 * SIZE),
        LoopStep(Op.WRITE, 0, size=SIZE), LoopStep(Op.WRITE, 1, size=2 * SIZE),
        LoopStep(Op.FLUSH, 0, size=SIZE), LoopStep(Op.VERIFY, 0, size=SIZE), LoopStep(Op.VERIFY, 1, size=2 * SIZE),
        LoopStep(Op.UNMAP, 1), LoopStep(Op.UNMAP, 0), LoopStep(Op.FREE, 0), LoopStep(Op.FREE, 1),
    ]  # fmt: skip
    program = Program(native.null_driver(2), [native.Object(0, 0)] * 2, [steps])
    for kind in (Pass.CHECK, Pass.LATENCY, Pass.RATE):
        results = Results(1)
        results.control.threads = 1
        assert program.run(CLOCK, results, 0, kind, iterations=20) is Fault.OK
    program.unwind()
