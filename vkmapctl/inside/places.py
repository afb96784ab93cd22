"""What the place that this process runs in means for Vulkan drivers: a line for each fact, with what to do about it."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vkmapctl.machine.place import Place, look

PAGE = "docs/install.md#where-it-runs"
_GRANTS = {
    "docker": "Docker: give it the GPU with --device /dev/dri (NVIDIA's: --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all)",
    "podman": "Podman: give it the GPU with --device /dev/dri --group-add keep-groups (NVIDIA's: --device "
    "nvidia.com/gpu=all -e NVIDIA_DRIVER_CAPABILITIES=all)",
    "kubernetes": "Kubernetes: the GPU comes by a device plugin and a resource limit, such as nvidia.com/gpu: 1",
    "flatpak": "Flatpak: give it the GPU with flatpak run --device=dri",
    "pressure-vessel": "Steam's runtime (pressure-vessel): it has the host's GPUs and drivers, so look at the host",
}
_SANDBOXES = {
    "flatpak": "Flatpak: drivers are those of its GL extension, not the host's; flatpak-spawn --host leaves it",
    "pressure-vessel": "Steam's runtime (pressure-vessel): drivers and layers as games see them, the host's by its own "
    "libraries; outside of it there may be others",
}


class Line(NamedTuple):
    """about: what it is a fact of. lacks: whether it can be why a GPU's driver finds no device."""

    about: str
    text: str
    lacks: bool = True


def lines(environment: Mapping[str, str], root: str = "/") -> list[Line]:
    """Of this process's place. root: where /dev, /proc and so on are, for tests."""
    return list(_lines(look(environment, root)))


def _lines(place: Place) -> Iterator[Line]:
    if place.wsl:
        yield Line("runs in", _wsl(place))
    if place.gvisor:
        yield Line(
            "runs in",
            "gVisor: its kernel is a program of its own, and what a map costs is its cost; of GPUs it passes on "
            "NVIDIA's alone: runsc --nvproxy --nvproxy-allowed-driver-capabilities=all",
        )
    if place.container:
        yield Line("runs in", _container(place), not place.nodes)
    if place.nvidia and (place.container or place.nvidia_capabilities is not None) and not _has_graphics(place):
        said = place.nvidia_capabilities
        now = f"NVIDIA_DRIVER_CAPABILITIES={said} has no graphics" if said else "NVIDIA_DRIVER_CAPABILITIES is not set"
        yield Line(
            "NVIDIA's driver",
            f"{now}: this container has not NVIDIA's Vulkan driver; start it with -e NVIDIA_DRIVER_CAPABILITIES=all, "
            "or with graphics among them",
        )
    if place.closed:
        yield Line(
            "GPU",
            f"{place.closed[0]} may not be opened by this user: join the groups render and video, and log in anew "
            "(in a container: --group-add)",
        )
    elif not place.nodes and not place.dxg:
        yield Line("GPU", _no_node(place))


def _has_graphics(place: Place) -> bool:
    capabilities = [one.strip() for one in (place.nvidia_capabilities or "").split(",")]
    return "graphics" in capabilities or "all" in capabilities


def _wsl(place: Place) -> str:
    if place.wsl == 1:
        return "WSL 1: it has no Linux kernel and no GPU; wsl --set-version with 2 makes it WSL 2"
    if not place.dxg:
        return "WSL 2 without /dev/dxg: Windows does not share its GPU; wsl --update, and a newer driver in Windows"
    if not place.windows_driver:
        return (
            "WSL 2 without /usr/lib/wsl/lib/libd3d12.so: Windows' driver is not mounted; wsl --shutdown, and start anew"
        )
    return (
        "WSL 2: its GPU has no Vulkan driver but Mesa's dzn, which uses /usr/lib/wsl/lib (mesa-vulkan-drivers of some "
        "distributions has it); lavapipe works as everywhere"
    )


def _container(place: Place) -> str:
    kind = place.container or ""
    if place.nodes:
        return _SANDBOXES.get(kind, f"{kind}, with {', '.join(place.nodes)}")
    return _GRANTS.get(kind, f"{kind}: give it /dev/dri, or NVIDIA's device nodes")


def _no_node(place: Place) -> str:
    none = "no /dev/dri/renderD* and no /dev/nvidiactl"
    if place.gpus and not place.container:
        return f"there is {none}, though there is a GPU at {place.gpus[0]}: no kernel driver serves it"
    if place.gpus:
        return f"there is {none}: this container was not given the GPU at {place.gpus[0]}"
    return f"there is {none}: no GPU can be found here, and only drivers for the CPU work, such as lavapipe"
