"""Where this process runs, as far as that decides which GPUs a driver finds: sandboxes, device nodes, rights to them.

Sources: systemd's CONTAINER_INTERFACE; /.dockerenv and /run/.containerenv of Docker and Podman; flatpak-run(1); the
Steam Runtime's own detection; gVisor's and WSL's /proc.
"""

import os
from collections.abc import Mapping
from glob import glob
from typing import NamedTuple

from vkmapctl.machine.reading import text

_MARKS = (  # the first that is there counts: Steam's runtime may lie inside Flatpak
    ("run/pressure-vessel", "pressure-vessel"),
    (".flatpak-info", "flatpak"),
    (".dockerenv", "docker"),
    ("run/.containerenv", "podman"),
)
_GVISOR = ("gvisor", "Sun Jan 10 15:06:54 PST 2016")  # of /proc/version; older ones have the date alone
_DISPLAY = "0x03"  # the class of a GPU on the PCI bus


class Place(NamedTuple):
    """Plain facts; device nodes and files by their paths.

    container: what kind this is in, None outside of any, as far as the usual marks tell. wsl: 1 or 2, 0 elsewhere.
    dxg, windows_driver: whether WSL's GPU is there, and Windows' half of its driver. nodes: of GPUs (Mesa's and
    NVIDIA's); closed: those that this user may not open. nvidia_capabilities: of NVIDIA_DRIVER_CAPABILITIES, None where
    it is not set. gpus: addresses on the PCI bus.
    """

    container: str | None
    gvisor: bool
    wsl: int
    dxg: bool
    windows_driver: bool
    nodes: tuple[str, ...]
    closed: tuple[str, ...]
    nvidia_capabilities: str | None
    gpus: tuple[str, ...]

    @property
    def nvidia(self) -> bool:
        """Whether NVIDIA's kernel driver is to be had here."""
        return any(node.endswith("nvidiactl") for node in self.nodes)


def look(environment: Mapping[str, str], root: str = "/") -> Place:
    """root: where /dev, /proc and so on are, for tests."""
    nodes = [*sorted(glob(f"{root}dev/dri/renderD*")), *glob(f"{root}dev/nvidiactl")]
    kernel = text(f"{root}proc/sys/kernel/osrelease")
    microsoft = "microsoft" in kernel.lower()
    return Place(
        container=container(environment, root),
        gvisor=any(mark in text(f"{root}proc/version") for mark in _GVISOR),
        wsl=(2 if "WSL2" in kernel or os.path.exists(f"{root}dev/dxg") else 1) if microsoft else 0,
        dxg=os.path.exists(f"{root}dev/dxg"),
        windows_driver=os.path.exists(f"{root}usr/lib/wsl/lib/libd3d12.so"),
        nodes=tuple(nodes),
        closed=tuple(node for node in nodes if not os.access(node, os.R_OK | os.W_OK)),
        nvidia_capabilities=environment.get("NVIDIA_DRIVER_CAPABILITIES"),
        gpus=tuple(
            os.path.basename(device)
            for device in sorted(glob(f"{root}sys/bus/pci/devices/*"))
            if text(f"{device}/class").startswith(_DISPLAY)
        ),
    )


def container(environment: Mapping[str, str], root: str = "/") -> str | None:
    """What kind of container this process is in; None outside of any, as far as the usual marks tell."""
    for mark, kind in _MARKS:
        if os.path.exists(f"{root}{mark}"):
            return kind
    if environment.get("container"):
        return environment["container"]
    if said := text(f"{root}run/systemd/container").strip():
        return said
    return "kubernetes" if "KUBERNETES_SERVICE_HOST" in environment else None
