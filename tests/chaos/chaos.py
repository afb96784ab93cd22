"""Random signals to random commands with random faults; each run is held against what vkmapctl promises (contract.py).

`make chaos`, or: python tests/chaos/chaos.py [--seconds 60] [--seed 1] [--only NUMBER]. The same seed draws the same
cases; what happens at a moment is the machine's. Two run at a time.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).parents[1]))

import warm
from cli_runner import LAVAPIPE, environment
from icd.build import icd, library

from chaos.cases import Blow, Case, case_of
from chaos.contract import Seen, broken

AT_ONCE = 2
LONGEST_SECONDS = 60.0  # of a run, after its last signal
SECONDS_TO_VANISH = 5.0  # of its processes, after it has ended


class Running:
    """A command in a session of its own, forked from here as warm.py does it."""

    def __init__(self, case: Case, folder: Path) -> None:
        driver = icd(folder.parent, case.breaks) if case.breaks else LAVAPIPE
        request = {"arguments": case.arguments, "environment": environment(driver), "folder": str(folder)}
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        ready, theirs = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.close(ready)
            os.close(theirs)
            warm.become(request, os.dup(self._out.fileno()), os.dup(self._err.fileno()))
        os.close(theirs)
        os.read(ready, 1)
        os.close(ready)
        self._begin, self.code = time.monotonic(), None

    def wait(self, until: float) -> bool:
        """Until it has ended, at most until so many seconds after its start; whether it has."""
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() - self._begin > until:
                return False
            else:
                time.sleep(0.005)
        return True

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begin

    def others(self) -> dict[int, str]:
        """The session's other processes that live, by name."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.pid:
                name, state, session = _process(entry)
                if session == self.pid and state != "Z":
                    found[int(entry.name)] = name
        return found

    def strike(self, blow: Blow) -> None:
        """Sends the signal; after SIGSTOP, SIGCONT to the same."""
        targets = {
            "command": [self.pid],
            "driver": [*self.others()],
            "group": [-self.pid],
            "all": [*self.others(), self.pid],
        }[blow.whom]
        _send(targets, blow.number)
        if blow.pause:
            time.sleep(blow.pause)
            _send(targets, signal.SIGCONT)

    def seen(self, struck: list[Blow], since: float, folder: Path) -> Seen:
        """What it has left, once it has ended or is ended here."""
        code, took = self.code, self.seconds - since
        deadline = time.monotonic() + (SECONDS_TO_VANISH if code is not None else 0)
        while (living := self.others()) and time.monotonic() < deadline:
            time.sleep(0.02)
        _send([*living, *([self.pid] if code is None else [])], signal.SIGKILL)
        self.wait(float("inf"))
        left = tuple(sorted(path.name for path in folder.iterdir()))
        return Seen(code, _text(self._out), _text(self._err), tuple(struck), took, left, tuple(living.values()))


def _send(targets: list[int], number: signal.Signals) -> None:
    for pid in targets:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def _process(entry: Path) -> tuple[str, str, int]:
    """Name, state and session (proc_pid_stat(5)); of one that has ended meanwhile, nothing."""
    try:
        head, _, rest = (entry / "stat").read_text().rpartition(")")
    except OSError:
        return "", "Z", 0
    state, _parent, _group, session, *_ = rest.split()
    return head.partition("(")[2], state, int(session)


def _text(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode(errors="replace")


def run(case: Case) -> tuple[Seen, list[str]]:
    """What was seen of it, and what was broken."""
    place = Path(tempfile.mkdtemp(prefix="vkmapctl-chaos-"))
    folder = place / "run"
    folder.mkdir()
    try:
        running, struck, since = Running(case, folder), [], 0.0
        for blow in case.blows:
            if running.wait(blow.after):
                break
            if blow.asks_to_end and not since:
                since = running.seconds
            struck.append(blow)
            running.strike(blow)
        running.wait(running.seconds + LONGEST_SECONDS)
        seen = running.seen(struck, since, folder)
        return seen, [*broken(case, seen, folder)]
    finally:
        shutil.rmtree(place)


def work(first: int, seed: str, deadline: float) -> Counter[str]:
    """Every AT_ONCEth case from `first` on, until the deadline; a broken one is told at once."""
    count: Counter[str] = Counter()
    for number in range(first, 1 << 62, AT_ONCE):
        if time.monotonic() > deadline:
            break
        case = case_of(seed, number)
        seen, wrong = run(case)
        count += Counter(runs=1, signals=len(seen.struck), broken=bool(wrong))
        count[f"exit {seen.code}" if seen.code is None or seen.code >= 0 else "killed"] += 1
        if wrong:
            print(told(case, seen, wrong), flush=True)
    return count


def told(case: Case, seen: Seen, wrong: list[str]) -> str:
    """What a person needs to look into it."""
    words = "".join(f"\n    {line}" for line in [*seen.out.splitlines()[-5:], *seen.err.splitlines()[-12:]])
    again = f"make chaos SEED={case.seed} ONLY={case.number}"
    return f"{again}: {case}\n" + "\n".join(f"  BROKEN: {one}" for one in wrong) + words


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", type=int, help="one case of the seed, by its number")
    asked = parser.parse_args()
    library()  # the test driver, built once, before anything is forked
    warm.load_parents()
    if asked.only is not None:
        case = case_of(asked.seed, asked.only)
        seen, wrong = run(case)
        print(told(case, seen, wrong), f"\n  exit {seen.code}, struck by {len(seen.struck)}")
        return bool(wrong)
    begin = time.monotonic()
    with multiprocessing.get_context("fork").Pool(AT_ONCE) as pool:
        waiting = [pool.apply_async(work, (i, asked.seed, begin + asked.seconds)) for i in range(AT_ONCE)]
        count = sum((one.get() for one in waiting), Counter())
    ends = ", ".join(f"{n} {end}" for end, n in sorted(count.items()) if end.startswith(("exit", "killed")))
    took = f"{time.monotonic() - begin:.0f} s"
    print(f"chaos, seed {asked.seed}: {count['runs']} runs, {count['signals']} signals, {took}; {ends}; ", end="")
    print(f"{count['broken']} broken")
    return bool(count["broken"])


if __name__ == "__main__":
    sys.exit(main())
