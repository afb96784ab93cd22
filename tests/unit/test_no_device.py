"""What is said where drivers offer no device, on machines made by hand."""

import os

import pytest

from vkmapctl.inside.no_device import hints


@pytest.fixture
def machine(tmp_path):
    """Makes device nodes; gives the hints as one text."""

    def look(*nodes, mode=0o600, **environment):
        for node in nodes:
            path = tmp_path / "dev" / node
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=mode)
        return "\n".join(hints(environment, f"{tmp_path}/"))

    return look


def test_no_device_node(machine):
    text = machine()
    assert "no /dev/dri/renderD*" in text
    assert "docker run --device /dev/dri" in text
    assert "NVIDIA_DRIVER_CAPABILITIES must hold graphics" in text
    assert "WSL" not in text


def test_a_node_that_may_not_be_opened(machine, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    text = machine("dri/renderD128")
    assert "renderD128 may not be opened" in text
    assert "groups render and video" in text
    assert "docker" not in text


def test_wsl(machine):
    assert "WSL" in machine("dxg")


@pytest.mark.parametrize("capabilities", ["all", "compute,graphics"])
def test_a_container_that_has_what_nvidia_needs(machine, capabilities):
    text = machine("nvidiactl", NVIDIA_DRIVER_CAPABILITIES=capabilities)
    assert "NVIDIA" not in text


def test_a_choice_among_the_drivers_is_named(machine):
    assert "VK_LOADER_DRIVERS_SELECT=*radeon*" in machine(VK_LOADER_DRIVERS_SELECT="*radeon*")
