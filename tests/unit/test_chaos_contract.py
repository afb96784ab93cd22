"""The chaos test's own judgement: each promise that is broken is told, and a run that keeps them all is not."""

import signal

import pytest
from builders import a_row, a_run
from chaos.cases import Blow, Case, case_of
from chaos.contract import SAVED, Seen, broken

from vkmapctl.model.documents import to_json

RUN = a_run(a_row())
CRASHED = a_run(a_row(status="crashed", reason="killed"), outcome="crashed", exit_code=6)
CASE = Case("1", 0, ("stress", "--json", "--save", SAVED), "", "", ())
SOUND = Seen(0, to_json(RUN).decode(), "", (), 1.0, (SAVED,), ())
TERM, KILL = Blow(1.0, "all", signal.SIGTERM), Blow(1.0, "command", signal.SIGKILL)
KILLED_DRIVER = Blow(1.0, "driver", signal.SIGKILL)
DIED = SOUND._replace(code=6, out=to_json(CRASHED).decode())


def told(folder, seen, case=CASE, saved=None):
    (folder / SAVED).write_bytes(saved or seen.out.encode() or to_json(RUN))
    return "; ".join(broken(case, seen, folder))


@pytest.mark.parametrize(
    ("case", "seen"),
    [
        (CASE, SOUND),
        (CASE, SOUND._replace(code=130, out="", err="Error: interrupted", struck=(TERM,))),
        (CASE, SOUND._replace(code=-9, out="", struck=(KILL,))),
        (CASE._replace(breaks="exit=crash"), DIED),
        (CASE, DIED._replace(struck=(KILLED_DRIVER,))),
    ],
)
def test_what_keeps_its_promises(tmp_path, case, seen):
    assert told(tmp_path, seen, case) == ""


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (SOUND._replace(code=None), "does not end"),
        (SOUND._replace(code=1, out="", err="Error: internal error"), "exit code 1"),
        (SOUND._replace(code=130), "exit code 130, which should be one of [0]"),
        (SOUND._replace(code=-15), "exit code -15"),
        (SOUND._replace(code=-15, struck=(TERM,)), "exit code -15, which should be one of [0, 130]"),
        (SOUND._replace(struck=(TERM,), seconds=9.0), "went on for 9 s"),
        (SOUND._replace(err="Traceback (most recent call last):"), "a traceback"),
        (SOUND._replace(living=("llvmpipe-0",)), "processes are left: llvmpipe-0"),
        (SOUND._replace(left=(SAVED, ".saved.json.part")), "files are left"),
        (SOUND._replace(out=""), "0 errors, and no result"),
        (SOUND._replace(err="Error: a\nError: b"), "2 errors"),
        (SOUND._replace(out=SOUND.out * 2), "no JSON document"),
        (SOUND._replace(left=()), "printed and not saved"),
        (DIED, "exit code 6, which"),
        (DIED, "the driver is blamed: outcome crashed; crashed killed"),
        (DIED._replace(struck=(TERM,)), "the driver is blamed"),
    ],
)
def test_what_breaks_them(tmp_path, seen, says):
    assert says in told(tmp_path, seen)


def test_a_file_that_is_none_or_another(tmp_path):
    assert "what was saved is none" in told(tmp_path, SOUND, saved=to_json(RUN)[:-50])
    assert "not what was printed" in told(tmp_path, SOUND, saved=to_json(CRASHED))


def test_a_seed_draws_the_same_again():
    assert [case_of("7", i) for i in range(50)] == [case_of("7", i) for i in range(50)]
    assert case_of("7", 1) != case_of("8", 1)
