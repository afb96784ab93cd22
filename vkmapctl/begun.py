"""A document as it begins: which command, when, on which machine, with which fault. What it finds is its parent's."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from vkmapctl.inside.layer import LayerChoice
from vkmapctl.machine import host
from vkmapctl.model.documents import Document, Tool

DocumentT = TypeVar("DocumentT", bound=Document)


def begun(
    kind: type[DocumentT], *, command: Sequence[str], version: str, layer: LayerChoice | None, **more: Any
) -> DocumentT:
    """The document of a run before its driver is asked for anything. more: fields of this kind's own."""
    return kind(
        tool=Tool("vkmapctl", version, tuple(command)),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        host=host.describe(),
        injected=layer.fault if layer else "",
        **more,
    )
