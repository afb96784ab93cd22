"""This machine as the one host of a run."""

from vkmapctl.errors import Unsupported
from vkmapctl.fleet import child, store
from vkmapctl.fleet.engines import HOST_GRACE_SECONDS, Job
from vkmapctl.model.fleet import EngineEnd


def lacking() -> Unsupported | None:
    """Nothing is needed."""
    return None


def run(job: Job) -> EngineEnd:
    """Runs the host's part in a process of its own."""
    most = job.seconds + HOST_GRACE_SECONDS

    def give_up(seconds: float) -> str:
        job.tick()
        return f"not done within {most:.0f} s" if seconds > most else ""

    ended = child.run(job.words(job.hosts[0]), job.stop, give_up=give_up, grace=2 * child.GRACE_SECONDS, apart=True)
    status = None if ended.cut else ended.status
    return EngineEnd(ended=store.now(), status=status, reason=ended.cut, lines=ended.lines)
