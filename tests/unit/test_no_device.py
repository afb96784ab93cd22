"""What is said where drivers offer no device, on machines made by hand."""

import pytest

from vkmapctl.inside.no_device import hints


@pytest.fixture
def machine(tmp_path):
    """Makes files; gives the hints as one text."""

    def look(*files, **environment):
        for file in files:
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return "\n".join(hints(environment, f"{tmp_path}/"))

    return look


def test_no_device_node(machine):
    text = machine()
    assert "no /dev/dri/renderD*" in text
    assert "mesa-vulkan-drivers has a driver for every CPU" in text
    assert "Docker" not in text
    assert "WSL" not in text


def test_what_is_as_it_should_be_is_no_hint(machine):
    text = machine(".dockerenv", "dev/nvidiactl", NVIDIA_DRIVER_CAPABILITIES="compute,graphics")
    assert text == "mesa-vulkan-drivers has a driver for every CPU"


def test_a_container_without_graphics(machine):
    text = machine(".dockerenv", "dev/nvidiactl", NVIDIA_DRIVER_CAPABILITIES="compute,utility")
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility has no graphics" in text


def test_a_choice_among_the_drivers_is_named(machine):
    assert "VK_LOADER_DRIVERS_SELECT=*radeon*" in machine(VK_LOADER_DRIVERS_SELECT="*radeon*")
