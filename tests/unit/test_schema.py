"""The JSON Schema of saved documents: it holds of real documents of every kind, and each key has its meaning."""

import json
from pathlib import Path
from typing import get_args

import pytest
from damage import DOCUMENTS as MADE_UP
from jsonschema import Draft202012Validator, ValidationError

from vkmapctl.cli import main
from vkmapctl.reports.meanings import MEANINGS
from vkmapctl.reports.schema import DOCUMENTS, schema
from vkmapctl.saved.decoding import Document

ROOT = Path(__file__).parents[2]
SAVED = sorted([*ROOT.glob("docs/results/*.json"), *ROOT.glob("tests/data/**/*.json")])


def test_every_kind_has_a_schema():
    assert set(DOCUMENTS.values()) == set(get_args(Document))


@pytest.mark.parametrize("kind", [None, *DOCUMENTS])
def test_it_is_a_schema(kind):
    Draft202012Validator.check_schema(schema(kind))


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.name)
def test_it_holds_of_saved_runs(path):
    document = json.loads(path.read_bytes())
    Draft202012Validator(schema(document["kind"])).validate(document)
    Draft202012Validator(schema()).validate(document)


@pytest.mark.parametrize("data", MADE_UP, ids=range(len(MADE_UP)))
def test_it_holds_of_what_is_written(data):
    document = json.loads(data)
    Draft202012Validator(schema(document["kind"])).validate(document)


def test_it_refuses_what_no_reader_takes():
    document = json.loads(MADE_UP[0])
    with pytest.raises(ValidationError):
        Draft202012Validator(schema("stress")).validate(document | {"outcome": "splendid"})
    with pytest.raises(ValidationError):
        Draft202012Validator(schema("probe")).validate(document)


def test_no_key_is_without_a_word():
    """A key that was added needs a line in reports/meanings.py, and a line there needs its key."""
    definitions = schema()["$defs"]
    keys = {
        (name, key) for name, one in definitions.items() for key in one["properties"] if "op" not in one["properties"]
    }
    assert {(name, key) for name, known in MEANINGS.items() for key in known} == keys


def test_the_command(capsys):
    assert main(["report", "schema", "verify"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(schema("verify")))
    assert main(["report", "schema", "bogus"]) == 2
    assert "known: stress, probe" in capsys.readouterr().err
