"""What holds of every run, whatever has happened to it: docs/reliability.md, made into questions of what was seen."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from chaos.cases import Blow, Case
from vkmapctl.errors import ExitCode, UsageProblem
from vkmapctl.saved.files import load

OF_A_FAULT = (ExitCode.UNSUPPORTED, ExitCode.FAILED, ExitCode.DRIVER_DIED)
BLAME = {"crashed", "hung", "lost", "out-of-memory", "failed", "fail"}
SECONDS_TO_END = 15.0  # after it was asked to, on a machine that others use too
SECONDS_TO_FINISH = 5.0  # where it had all but ended by then, and so did
SAVED, PART = "saved.json", ".saved.json.part"


class Seen(NamedTuple):
    """How a run went. code: exit status, minus the number of the signal that killed it, or None where it did not end.

    struck: the signals that met a command that was still there. seconds: to its end, from the first of them that asked
    for it, or from the start. left: names of files in its folder; living: processes of its session that outlived it.
    """

    code: int | None
    out: str
    err: str
    struck: tuple[Blow, ...]
    seconds: float
    left: tuple[str, ...]
    living: tuple[str, ...]


def broken(case: Case, seen: Seen, folder: Path) -> Iterator[str]:
    """What does not hold, in words; nothing where all is well."""
    told = any(one.asks_to_end for one in seen.struck)
    kills = [one for one in seen.struck if one.number == signal.SIGKILL]
    killed = any(one.meets_command for one in kills)
    fair = case.faulty or any(one.meets_driver for one in kills)  # to blame the driver
    codes = {ExitCode.OK}
    codes |= {ExitCode.INTERRUPTED} if told else set()
    codes |= {-signal.SIGKILL} if killed else set()
    codes |= set(OF_A_FAULT) if fair else set()
    if seen.code is None:
        yield "it does not end"
        return
    if seen.code not in codes:
        yield f"exit code {seen.code}, which should be one of {sorted(map(int, codes))}"
    if told and seen.seconds > (SECONDS_TO_FINISH if seen.code == ExitCode.OK else SECONDS_TO_END):
        yield f"it went on for {seen.seconds:.0f} s after it was asked to end"
    if "Traceback" in seen.out + seen.err or "internal error" in seen.err:
        yield "a traceback"
    if seen.living and not (killed and "fork" in case.breaks):  # a driver's own helper, with nobody there to end it
        yield f"processes are left: {', '.join(seen.living)}"
    if extra := set(seen.left) - {SAVED, *([PART] if killed else [])}:
        yield f"files are left: {', '.join(sorted(extra))}"
    if seen.code >= 0:
        errors = [line for line in seen.err.splitlines() if line.startswith("Error: ")]
        if len(errors) > 1 or not (seen.out or errors):
            yield f"{len(errors)} errors, and {'a' if seen.out else 'no'} result"
    yield from _documents(case, seen, folder, told=told or killed, fair=fair)


def _documents(case: Case, seen: Seen, folder: Path, *, told: bool, fair: bool) -> Iterator[str]:
    """The printed one and the saved one."""
    documents: list[Any] = []
    if "--json" in case.arguments and seen.out and seen.code is not None and seen.code >= 0:
        try:
            documents.append(json.loads(seen.out))
        except ValueError as error:
            yield f"stdout is no JSON document: {error}"
    if SAVED in seen.left:
        try:
            load(folder / SAVED)
            documents.append(json.loads((folder / SAVED).read_bytes()))
        except UsageProblem as error:
            yield f"what was saved is none: {error.message}"
    elif documents and "--save" in case.arguments and not told:
        yield "a document was printed and not saved"
    if len(documents) == 2 and documents[0] != documents[1] and not told:
        yield "what was saved is not what was printed"
    for document in documents:
        if document["exit_code"] != seen.code and not told:
            yield f"a document says exit code {document['exit_code']}"
        if not fair and (blamed := _blamed(document)):
            yield f"the driver is blamed: {'; '.join(blamed)}"


def _blamed(document: Any) -> list[str]:
    """Statuses of the whole and of its rows, and notes, that say that the driver did wrong."""
    rows = [*document.get("results", ()), *document.get("devices", ())]
    found = [f"outcome {document['outcome']}"] if document["outcome"] in BLAME else []
    found += [f"{row['status']} {row.get('reason', row.get('detail'))}" for row in rows if row.get("status") in BLAME]
    return found + [note["message"] for note in document["warnings"] if note["code"].startswith("died")]
