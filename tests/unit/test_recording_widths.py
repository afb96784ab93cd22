"""Which recording layers a program's loader is told of, and what is said of a program that none of them fits."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import vkmapctl
from vkmapctl import record
from vkmapctl.driver import layers
from vkmapctl.machine import programs

MANIFESTS = Path(vkmapctl.__file__).parent / "layer"


@pytest.mark.parametrize(
    ("built", "named"), [(True, f"{layers.RECORDING}:{layers.RECORDING_32}"), (False, layers.RECORDING)]
)
def test_the_loader_is_told_of_the_layers_that_there_are(monkeypatch, tmp_path, built, named) -> None:
    library = tmp_path / "_record_32.abi3.so"
    if built:
        library.touch()
    monkeypatch.setattr(record, "_LAYER_32", str(library))
    added = record.layer_environment({"VK_INSTANCE_LAYERS": "VK_LAYER_T"}, tmp_path)
    assert added["VK_INSTANCE_LAYERS"] == f"{named}:VK_LAYER_T"


@pytest.mark.parametrize(
    ("manifest", "name", "library"),
    [
        ("vkmapctl_record.json", layers.RECORDING, "../_record.abi3.so"),
        ("vkmapctl_record_32.json", layers.RECORDING_32, "../_record_32.abi3.so"),
    ],
)
def test_each_has_a_manifest(manifest, name, library) -> None:
    layer = json.loads((MANIFESTS / manifest).read_text())["layer"]
    assert (layer["name"], layer["library_path"]) == (name, library)


@pytest.mark.parametrize(("bits", "built", "told"), [(32, False, 32), (32, True, None), (64, True, None)])
def test_a_program_of_the_other_width_is_told(monkeypatch, tmp_path, bits, built, told) -> None:
    monkeypatch.setattr(programs, "OWN_BITS", 64)
    monkeypatch.setattr(record, "_LAYER_32", __file__ if built else str(tmp_path / "none"))
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF" + bytes([bits // 32]))
    program.chmod(0o755)
    one = record.Record([str(program)])
    one._program = SimpleNamespace(path=str(program))
    reason = one._why_nothing(tmp_path)
    assert ("32-bit program, and this vkmapctl was built without" in reason) == (told == 32)
