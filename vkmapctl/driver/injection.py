"""The faults that the test layer can inject, asked of the layer itself; and which layers a run goes through."""

from pathlib import Path

from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.inside.layer import LayerChoice


def chosen(emulate: str | None, inject: str | None, validate: bool) -> LayerChoice | None:
    """The layers that are asked for, None for none. Raises UsageProblem for what they cannot do."""
    if not emulate and not inject and not validate:
        return None
    if emulate not in (None, "placed", "range"):
        raise UsageProblem(f"nothing emulates '{emulate}'", "known: placed, range")
    if inject:
        check_fault(inject)
    return LayerChoice(emulate or "none", inject or "", validate)


def faults() -> dict[str, str]:
    """The layer's own catalogue: name and description. Raises Unsupported where the layer is not built."""
    import ctypes

    path = Path(__file__).parents[1].joinpath("_layer.abi3.so")
    try:
        catalogue = ctypes.CDLL(str(path)).vkmapctl_layer_faults
    except OSError as error:
        raise Unsupported(f"vkmapctl's test layer is not built: {error}") from None
    catalogue.restype = ctypes.c_char_p
    return dict(line.split("\t", 1) for line in catalogue().decode().splitlines())


def check_fault(text: str) -> None:
    """Raises UsageProblem unless text is `NAME` or `NAME:PERIOD` of a known fault."""
    name, colon, period = text.partition(":")
    known = faults()
    if name not in known:
        raise UsageProblem(f"unknown fault '{name}'", f"known: {', '.join(known)}")
    if colon and not (period.isascii() and period.isdecimal() and 0 < int(period[:20]) < 1 << 31):
        raise UsageProblem(f"'{period}' is not a period: every how many calls the fault strikes")
