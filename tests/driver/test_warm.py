"""That most tests fork from a warm interpreter changes nothing: a command does the same as one started from scratch."""

import signal

import pytest
from cli_runner import RADV_NULL, from_scratch, start, vkmapctl


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        [],
        ["stress", "--size", "0"],
        ["verify", "--list"],
        ["workloads", "show", "size-sweep"],
        ["stress", "--placed", "low4g"],
        ["probe", "--require", "placed"],
        ["verify", "--emulate", "placed", "--check", "P12", "--inject", "map-crashes", "--quiet"],
    ],
    ids=" ".join,
)
def test_what_a_user_sees_is_the_same(arguments):
    def settled(result):
        lines = [line for line in result.out.splitlines() if "  #0  " not in line]  # free memory
        return result.code, lines, result.err

    assert settled(vkmapctl(*arguments)) == settled(from_scratch(*arguments))


def test_a_driver_is_chosen_for_each_command():
    lavapipe, radv = (vkmapctl("probe", driver=one).out for one in (None, RADV_NULL))
    assert "llvmpipe" in lavapipe
    assert "llvmpipe" not in radv
    assert "RADV" in radv


def test_a_killed_command_is_seen_to_be():
    running = start("stress", "--duration", "60s", "--quiet")
    running.send_signal(signal.SIGKILL)
    assert running.communicate(10) == ("", "")
    assert running.poll() == -signal.SIGKILL
