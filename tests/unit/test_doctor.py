"""A doctor's answers: what each says of a device, and that they fit a screen."""

import pytest
from builders import FULLY_PLACED, a_device, a_gpu, a_latency, a_probe, a_row
from msgspec.structs import replace

from vkmapctl.figures import advice
from vkmapctl.figures.advice import LOW, MAP, PLACED, READ, WRITE, answers, next_steps
from vkmapctl.model.device import Placed, Probe, Proof
from vkmapctl.model.documents import DoctorReport, Tool
from vkmapctl.model.measured import TouchRate
from vkmapctl.reports import plain
from vkmapctl.reports.doctor import doctor_markdown, doctor_view

CHURN = a_row(part=LOW, placed="low4g", pairs=12_345)
TYPES = {
    2: (("Vi", "Co"), 8.9e9, 20.6e9),
    3: (("Vi", "Co", "Ca"), 10.3e9, 20.7e9),
    4: (("De", "Vi", "Co"), 18.3e9, 2.05e7),
}


def touched(part, kind):
    return [
        a_row(part=part, memory_type=index, memory_flags=flags,
              touch_bytes_per_second=TouchRate(**{kind: rates[kind == "read"]}))
        for index, (flags, *rates) in TYPES.items()
    ]  # fmt: skip


ROWS = (
    a_row(part=MAP, allocation_size=65536, map=a_latency(p50_ns=20.0, at_floor=True)),
    a_row(part=PLACED, allocation_size=65536, map=a_latency(p50_ns=12_800.0)),
    CHURN, *touched(WRITE, "write"), *touched(READ, "read"),
)  # fmt: skip


def asked(about, probe, rows=ROWS, in_path=()):
    (found,) = [one for one in answers(probe, rows, in_path) if one.about == about]
    return found.verdict, found.text


def test_a_device_without_placed_maps() -> None:
    probe = a_probe(a_device())
    assert asked("mapping works", probe)[0] == "yes"
    assert asked("vkMapMemory2", probe) == ("yes", "by promotion to Vulkan 1.4")
    assert asked("placed maps", probe) == ("no", "no VK_EXT_map_memory_placed")
    assert asked("32-bit programs (WoW64)", probe) == ("no", "no placed maps; no reserve on unmap")


def test_a_gpu_with_everything() -> None:
    probe = a_probe(a_gpu())
    assert asked("placed maps", probe) == ("yes", "whole objects, at multiples of 4 KiB")
    assert asked("reserve on unmap", probe)[0] == "yes"
    verdict, text = asked("32-bit programs (WoW64)", probe)
    assert (verdict, text) == ("yes", "12.3 k placed maps below 4 GiB, every byte right, every range kept")
    assert asked("a map costs", probe)[1] == "less than 20 ns for 64 KiB"
    assert asked("a placed map costs", probe)[1] == "12.8 us for 64 KiB"


def test_the_type_for_each_use_is_the_fastest_that_is_for_it() -> None:
    probe = a_probe(a_gpu())
    assert asked("stage uploads in", probe)[1] == "#3 Vi Co Ca, written at 10.3 GB/s"
    assert asked("write every frame in", probe)[1] == "#4 De Vi Co, written at 18.3 GB/s"
    assert asked("read back from", probe)[1] == "#3 Vi Co Ca, read at 20.7 GB/s"
    assert asked("read back from", probe, ()) == ("-", "not measured")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"proofs": (Proof("v1", "ok"), Proof("placed", "failed", "it landed elsewhere"))},
         "placed maps: it is there, and fails: it landed elsewhere; no reserve on unmap"),
        ({"device": a_gpu(placed=Placed(True, False, True, 1 << 20))}, "addresses only at multiples of 1 MiB"),
    ],
)  # fmt: skip
def test_why_wow64_is_no(change, reason) -> None:
    assert asked("32-bit programs (WoW64)", replace(a_probe(a_gpu()), **change)) == ("no", reason)


def test_wow64_is_no_where_the_churn_fails() -> None:
    failed = replace(CHURN, status="failed", reason="the address range was free after an unmap with reserve")
    assert asked("32-bit programs (WoW64)", a_probe(a_gpu()), (failed,)) == ("no", failed.reason)


def test_a_mapping_that_does_not_work_says_through_what() -> None:
    broken = a_probe(proofs=(Proof("core", "failed", "other bytes came back"), Proof("v1", "ok")))
    assert asked("mapping works", broken) == ("no", "vkMapMemory2: other bytes came back")
    assert asked("vkMapMemory2", broken) == ("no", "it is there, and fails: other bytes came back")
    assert next_steps(broken, answers(broken, ROWS, ())) == ("vkmapctl verify",)


def test_layers_in_the_way_are_named() -> None:
    assert asked("layers in the way", a_probe(), ROWS, ("VK_LAYER_X",)) == ("yes", "VK_LAYER_X")
    assert asked("layers in the way", a_probe())[0] == "no"


def a_report(device=None):
    probe = a_probe(device or a_gpu(placed=FULLY_PLACED))
    found = answers(probe, ROWS, ("VK_LAYER_A_LAYER_WITH_A_LONG_NAME",))
    broken = Probe(device=None, status="hung", reason="/usr/share/x.json: the driver hung")
    return DoctorReport(
        tool=Tool("vkmapctl", "0"), started="2026-01-02", host={"cpu_model": "CPU", "kernel": "6.1"}, loader="1.4.309",
        devices=(broken, probe), device=1, answers=found, next=next_steps(probe, found), outcome="ok", exit_code=0,
    )  # fmt: skip


def test_it_fits_a_screen_of_80_columns() -> None:
    lines = [line for part in doctor_view(a_report()) for line in plain.lines_of(part, 80)]
    assert len(lines) <= 30
    assert max(len(line) for line in lines if not line.startswith(("broken", "next"))) <= 80
    assert any("hung: /usr/share/x.json" in line for line in lines)


def test_a_saved_file_without_facts_about_its_host_is_shown() -> None:
    shown = "\n".join(line for part in doctor_view(replace(a_report(), host={})) for line in plain.lines_of(part, 80))
    assert "unknown CPU, kernel unknown" in shown
    assert "None" not in shown


def test_markdown_names_the_page_of_each_answer() -> None:
    text = doctor_markdown(a_report()).decode()
    assert text.count("| docs/") == len(advice.answers(a_probe(), (), ()))
    assert "broken driver: /usr/share/x.json: the driver hung" in text
