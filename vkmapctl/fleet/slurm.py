"""Slurm, by its own commands: one srun over all hosts, one task each, so that each host runs its part exactly once.

Never an array: the scheduler puts its tasks where there is room, which is not once on every GPU.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence

from vkmapctl import hostlist
from vkmapctl.errors import Unsupported
from vkmapctl.fleet import child, store
from vkmapctl.fleet.engines import HOST_GRACE_SECONDS, Job, Patience
from vkmapctl.model.fleet import EngineEnd
from vkmapctl.text import clean

OPTIONS = ("partition", "account", "reservation", "qos", "gres", "time")  # passed on to srun as they are
_UNUSABLE = re.compile(r"(down|drain|fail|maint|boot|power|reboot|unk|inval|no_resp|planned_down)|\*$")
_ASK_SECONDS = 60.0
_TASK = re.compile(r"srun: error: ([^:\s]+): tasks?\b[^:]*: (.+)")


def lacking() -> Unsupported | None:
    """Raises nothing: says that srun is not here."""
    if shutil.which("srun"):
        return None
    return Unsupported("there is no srun on PATH", "--via slurm needs Slurm's own commands; --via ssh does not")


def run(job: Job) -> EngineEnd:
    """Waits for one srun over the hosts that Slurm can use; the others it names, with Slurm's word for them."""
    said = states(job.hosts, job.options.get("partition", ""))
    usable = [host for host in job.hosts if host not in said]
    if not usable:
        return EngineEnd(ended=store.now(), status=None, reason="Slurm can use none of the hosts", hosts=said)
    name = f"vkmapctl-{job.run.id}"
    ended = child.run(
        [*srun(job, usable, name), *job.words()],
        job.stop,
        give_up=Patience(job).give_up,
        end=lambda: _cancel(name),
        grace=HOST_GRACE_SECONDS,
        apart=True,
    )
    return EngineEnd(
        ended=store.now(),
        status=None if ended.cut else ended.status,
        reason=ended.cut,
        hosts=said | _told(ended.lines),
        lines=ended.lines,
    )


def srun(job: Job, hosts: Sequence[str], name: str) -> list[str]:
    """The command. A node that dies ends its own task alone, and so does a task that fails."""
    options = [f"--{option}={value}" for option, value in job.options.items() if option in OPTIONS]
    return [
        "srun", f"--nodelist={hostlist.fold(hosts)}", f"--nodes={len(hosts)}", f"--ntasks={len(hosts)}",
        "--ntasks-per-node=1", "--no-kill", "--kill-on-bad-exit=0", "--wait=0", "--input=none", f"--job-name={name}",
        *options,
    ]  # fmt: skip


def states(hosts: Iterable[str], partition: str) -> dict[str, str]:
    """Why Slurm cannot use some of these hosts, by host; an srun that names one of them would wait for it.

    Where sinfo does not answer, none: srun then says itself what it thinks of them.
    """
    where = [f"--partition={partition}"] if partition else []
    try:
        said = subprocess.run(
            ["sinfo", "--Node", "--noheader", "--format=%N|%T|%E", *where],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_SECONDS, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, str] = {}
    usable = set()
    for line in said.stdout.decode(errors="replace").splitlines():
        host, _, rest = line.partition("|")
        state, _, reason = rest.partition("|")
        if _UNUSABLE.search(state):
            found[host] = clean(state + (f" ({reason})" if reason not in ("", "none") else ""))
        else:
            usable.add(host)
    bad = {host: why for host, why in found.items() if host not in usable}
    known = usable | set(found)
    return {host: bad.get(host, f"unknown{' in partition ' + partition if partition else ''}")
            for host in hosts if host in bad or host not in known}  # fmt: skip


def _told(lines: Iterable[str]) -> dict[str, str]:
    """What srun says of the tasks of single hosts."""
    found: dict[str, str] = {}
    for line in lines:
        if match := _TASK.match(line):
            try:
                found |= dict.fromkeys(hostlist.expand(match[1]), match[2])
            except ValueError:
                continue
    return found


def _cancel(name: str) -> None:
    """Takes the job from Slurm, also one that waits. Inside of somebody's allocation it is a step, and srun ends it."""
    try:
        subprocess.run(
            ["scancel", f"--name={name}", f"--user={os.getuid()}"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return
