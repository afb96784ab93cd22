"""The JSON Schema of saved documents, with what each key means."""

from typing import Any

import msgspec

from vkmapctl.errors import UsageProblem
from vkmapctl.model.documents import DoctorReport, Document, ProbeReport, Run, SelftestReport, VerifyReport
from vkmapctl.model.recorded import RecordReport
from vkmapctl.reports.meanings import MEANINGS

_CLASSES: tuple[type[Document], ...] = (Run, ProbeReport, VerifyReport, SelftestReport, DoctorReport, RecordReport)
DOCUMENTS = {str(one.__struct_config__.tag): one for one in _CLASSES}


def schema(kind: str | None = None) -> dict[str, Any]:
    """Of documents of that kind, or of all. Raises UsageProblem for a kind that there is not."""
    if kind is not None and kind not in DOCUMENTS:
        raise UsageProblem(f"no document of kind '{kind}'", f"known: {', '.join(DOCUMENTS)}")
    every = Run | ProbeReport | VerifyReport | SelftestReport | DoctorReport | RecordReport
    wanted: Any = DOCUMENTS[kind] if kind else every
    made: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(msgspec.json.schema(wanted)).replace(b"vkmapctl.model.", b"")  # of two classes of one name
    )
    for name, definition in made["$defs"].items():
        for key, value in definition.get("properties", {}).items():
            meaning = MEANINGS.get(name, {}).get(key)
            if meaning:
                value["description"] = meaning
    title = f"vkmapctl {kind} document" if kind else "vkmapctl documents"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **made}
