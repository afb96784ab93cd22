"""Why something did not end well, in words: made where it is shown, and never read back."""

from vkmapctl.model.loop import Fault, Place, call_of
from vkmapctl.model.measured import Cause, Mismatch
from vkmapctl.rules import Api

_TEXTS = {
    "null-pointer": "the map succeeded but gave no pointer",
    "moved": "the placed map landed at another address than asked for",
    "misaligned": "the pointer is not aligned to minMemoryMapAlignment",
    "overlap": "two mapped objects share addresses",
    "reservation-lost": "the address range was free after an unmap with reserve",
    "reservation-reused": "an unplaced map returned an address inside the range that the unmap before had reserved",
    "hold-failed": "another mapping took the address range between unmap and map",
    "still-mapped": "the driver's own mapping still stands in the address range after the unmap",
    "release-failed": "the reserved range could not be given back",
    "cut-short": "its turn was cut short: the driver died in another row",
    "interrupted": "stopped by the user",
}


def of_fault(fault: Fault, result: str, place: Place, mismatch: Mismatch | None, api: Api) -> Cause:
    """The cause of a pass that ended with a fault. result: the VkResult's name where a call failed."""
    kind = fault.name.lower().replace("_", "-")
    return Cause(
        kind=kind,
        call=call_of(place.op, place.api or api),
        result=result,
        step=place.step,
        object=place.object,
        mismatch=mismatch,
        thread=place.thread,
    )


def words(cause: Cause) -> str:
    """One line: what was seen, and whose fault it is where a layer could be blamed."""
    return f"{_seen(cause)}; {cause.blame}" if cause.blame else _seen(cause)


def _seen(cause: Cause) -> str:
    if cause.kind == "call-failed" and cause.result:
        return f"{cause.result} in {cause.call}{_where(cause)}"
    if cause.mismatch:
        wrong = cause.mismatch
        return f"byte {wrong.offset} of the allocation is {wrong.found:#04x}, written was {wrong.expected:#04x}"
    if cause.kind in ("crashed", "hung", "out-of-memory"):
        said = f"; it said: {cause.said}" if cause.said else ""
        return f"{cause.text} in {cause.call or 'setting up or ending the job'}{_where(cause)}{said}"
    return _TEXTS.get(cause.kind, cause.text)


def _where(cause: Cause) -> str:
    places = {"thread": cause.thread, "step": cause.step, "object": cause.object, "iteration": cause.iteration}
    known = [f"{name} {value}" for name, value in places.items() if value is not None]
    return f" ({', '.join(known)})" if known else ""
