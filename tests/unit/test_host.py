"""What a machine tells of its processor."""

import os

import pytest

from vkmapctl.machine import host

X86 = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Example CPU @ 3.00GHz\n"
ARM = "processor\t: {}\nBogoMIPS\t: 50.00\nCPU implementer\t: {}\nCPU variant\t: 0x3\nCPU part\t: {}\n\n"


def arm(*kinds):
    return "".join(ARM.format(number, *kind.split()) for number, kind in enumerate(kinds))


@pytest.mark.parametrize(
    ("cpuinfo", "model"),
    [
        (X86, "Example CPU @ 3.00GHz"),
        (arm("0x41 0xd0c", "0x41 0xd0c"), "Neoverse-N1"),
        (arm("0x41 0xd03", "0x41 0xd03", "0x41 0xd08"), "Cortex-A53 + Cortex-A72"),
        (arm("0x51 0x001"), "implementer 0x51 part 0x001"),
        (arm("0x41 0xd08") + "Model\t\t: Raspberry Pi 4 Model B Rev 1.4\n", "Raspberry Pi 4 Model B Rev 1.4"),
        ("", os.uname().machine),
    ],
)
def test_the_processor_has_a_name_on_every_architecture(cpuinfo, model, monkeypatch):
    monkeypatch.setattr(host, "_text", lambda path: cpuinfo)
    assert host._cpu_model() == model
