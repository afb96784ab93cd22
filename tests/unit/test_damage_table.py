"""The table of docs/reliability.md about files that were edited or damaged, made by reading them.

VKMAPCTL_REGENERATE=1 writes the table anew; otherwise it must be the committed one.
"""

import json

from damage import DOCUMENTS
from page_table import expect_table

from vkmapctl import cli

SOUND = DOCUMENTS[1]  # a run with a row for everything that is drawn or concluded


def edited(change):
    """SOUND, with its first row, or itself, changed."""
    document = json.loads(SOUND)
    change(document, document["results"][0])
    return json.dumps(document).encode()


def twice(document, row):
    document["results"] += document["results"]


FILES = {
    "cut short": SOUND[:-100],
    "no UTF-8": SOUND.replace(b"llvmpipe", b"llvm\xff\xfe"),
    "nested 200,000 deep": b'{"schema": "vkmapctl/1", "x": ' + b"[" * 200_000,
    "40 million values": b'{"schema": "vkmapctl/1", "x": [' + b"1," * 40_000_000 + b"1]}",
    "another schema": edited(lambda run, row: run.update(schema="vkmapctl/9")),
    "a number that is none": SOUND.replace(b'"seconds": 1.0', b'"seconds": NaN'),
    "a number out of range": SOUND.replace(b'"seconds": 1.0', b'"seconds": 1e999'),
    "a negative figure": edited(lambda run, row: row.update(ns_per_pair=-1.0)),
    "a figure that is all but 0": edited(lambda run, row: row.update(ns_per_pair=5e-324)),
    "samples that were never counted": edited(lambda run, row: row["map"].update(count=0)),
    "bins out of order": edited(lambda run, row: row["map"]["histogram"].update(bins=[[40, 1], [31, 1]])),
    "a row of no size": edited(lambda run, row: row.update(allocation_size=0)),
    "a row of another device": edited(lambda run, row: row.update(device=7)),
    "a memory type of no heap": edited(lambda run, row: run["devices"][0]["memory_types"][0].update(heap=7)),
    "a device that is told twice": edited(lambda run, row: run["devices"].append(run["devices"][0])),
    "every row twice": edited(twice),
    "no facts about its host": edited(lambda run, row: run.update(host={})),
    "text that steers a terminal": edited(lambda run, row: run.update(started="\x1b]0;title\x07\x1b[2J\u202e ™\ud800")),
    "a text of a megabyte": edited(lambda run, row: row.update(reason="x" * 1_000_000, status="failed")),
    "keys of the future": edited(lambda run, row: run.update(future=[1])),
}


def line(name, path, capsys):
    """Shown and exported, or refused by both with the same words."""
    codes = {
        cli.main(["report", "show", str(path)]),
        cli.main(["report", "export", str(path), "--format", "html", "--output", str(path.with_name("page"))]),
    }
    shown = capsys.readouterr()
    assert (shown.out + shown.err).replace("\n", "").isprintable()
    errors = dict.fromkeys(one for one in shown.err.splitlines() if one.startswith("Error: "))
    (code,) = codes
    assert len(errors) == (code != 0)
    saw = "".join(errors).replace(str(path), "it.json") or "it is shown"
    return f"| {name} | {saw.replace('|', chr(92) + '|')} | {code} |\n"


def test_the_table_is_what_happens(tmp_path, capsys):
    made = "| a saved run with | what the user saw | exit code |\n| --- | --- | --- |\n"
    for number, (name, data) in enumerate(FILES.items()):
        path = tmp_path / f"{number}.json"
        path.write_bytes(data)
        made += line(name, path, capsys)
        path.with_name("page").unlink(missing_ok=True)
    expect_table(__file__, made)
