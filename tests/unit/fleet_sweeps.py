"""A fleet's run with everything in it: ledger, outliers and histories, made from a seed."""

import random
from array import array

from vkmapctl.figures.fleet_scores import Family, Measured
from vkmapctl.figures.outliers import histories, judge
from vkmapctl.model.base import Note
from vkmapctl.model.fleet import EngineEnd, FleetRun, Ledger, LedgerEntry
from vkmapctl.model.outliers import Kind
from vkmapctl.reports.fleet import Sweep

KIND = Kind("NVIDIA H100", "AMD EPYC 9654", "5e1f", "580.159.04", "6.1.0")
ROWS = 6
HOSTILE = '</script><b>"=1+1\n'


def key(host, slot):
    return f"{host * 8 + slot:08x}c0ffee@0000:{0x10 + slot:02x}:00.0"


def a_sweep(hosts=10, a_host=8, runs=4, hostile=False):
    """gpu0002 slot 3 is slow in all runs, gpu0004 slot 1 in the newest; gpu0006 failed, gpu0008 is silent."""
    draw = random.Random(7)
    names = [f"gpu{h + 1:04}" for h in range(hosts)]
    own = {(h, s): draw.gauss(0, 0.003) for h in range(hosts) for s in range(a_host)}
    measured = []
    for run in range(runs):
        members = []
        for (h, s), level in own.items():
            slow = 0.14 if (h, s) == (1, 3) or ((h, s) == (3, 1) and run == 0) else 0
            logs = array("d", (level + slow + draw.gauss(0, 0.01) for _ in range(ROWS)))
            if h not in (5, 7):
                members.append(Measured(names[h], key(h, s), KIND, logs))
        measured.append((f"run{runs - run}", members))
    families = [Family([f"row {i}" for i in range(ROWS)], measured)]
    entries = []
    for h, s in own:
        facts = {"host": names[h], "slot": s, "gpu": key(h, s), "model": KIND.model, "driver": KIND.driver}
        if h == 5:
            why = HOSTILE if hostile else "the driver crashed: killed by SIGSEGV in vkMapMemory"
            entries.append(LedgerEntry(**facts, state="failed", why=why))
        elif h == 7:
            entries.append(LedgerEntry(host=names[h], slot=s, state="missing", why="the host has not answered"))
        else:
            state = "swapped" if (h, s) == (0, 2) else "ok"
            why = "another card than before" if state == "swapped" else ""
            entries.append(
                LedgerEntry(**facts, state=state, why=why, document=f"runs/run4/{names[h]}/{s}-stress.json.gz")
            )
    run = FleetRun(
        id="run4", command=("stress", "size-sweep"), engine="slurm", started="2026-03-01T02:00:00+00:00", gpus=a_host
    )
    ledger = Ledger(
        run=run,
        ended=EngineEnd(ended="2026-03-01T02:40:00+00:00", status=1),
        entries=tuple(entries),
        notes=(Note("clock", f"the clock of {HOSTILE if hostile else 'gpu0003'} is off"),),
        exit_code=4,
    )
    return Sweep(ledger, judge(families), histories(families, 7))
