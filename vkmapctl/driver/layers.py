"""Which Vulkan layers are active in this process, and which of them answer a call themselves.

The loader can be asked which layers exist, not which it has put into an instance: an implicit layer joins by itself.
After vkCreateInstance an active layer's library is mapped into the process and its manifest's environment rules hold
(loader documentation, LoaderLayerInterface.md); a library alone proves nothing, since some drivers' own libraries
are named by a manifest as well.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from vkmapctl.inside import search_path
from vkmapctl.model.base import Data, Note

if TYPE_CHECKING:
    from vkmapctl.machine.addresses import Area

_FOLDERS = {"implicit": "vulkan/implicit_layer.d", "explicit": "vulkan/explicit_layer.d"}
_LISTS = {
    "implicit": ("VK_IMPLICIT_LAYER_PATH", "VK_ADD_IMPLICIT_LAYER_PATH"),
    "explicit": ("VK_LAYER_PATH", "VK_ADD_LAYER_PATH"),
}
_LARGEST_MANIFEST = 1 << 20
_OWN = os.path.join(os.path.dirname(os.path.dirname(__file__)), "layer")  # see inside/layer


class Layer(Data, frozen=True):
    """One manifest's layer. enable, disable: the environment variable and value that switch an implicit one."""

    name: str
    kind: str
    library: str
    enable: tuple[str, str] | None = None
    disable: tuple[str, str] | None = None


def folders(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Where the loader may look for manifests, as (kind, folder); it leaves out some where a variable replaces them."""
    found = []
    for kind, below in _FOLDERS.items():
        listed = [part for name in _LISTS[kind] for part in environment.get(name, "").split(":") if part]
        found += [(kind, folder) for folder in [*listed, *search_path.folders(environment, below)]]
    return list(dict.fromkeys([*found, ("explicit", _OWN)]))


def _switch(entry: Any) -> tuple[str, str] | None:
    """The first pair of an object such as {"NODEVICE_SELECT": "1"}."""
    if isinstance(entry, dict) and entry:
        name, value = next(iter(entry.items()))
        return str(name), str(value)
    return None


def read_manifest(path: str, kind: str) -> Iterator[Layer]:
    """The layers of one manifest; none for a file that is no manifest."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            document = msgspec.json.decode(file.read(_LARGEST_MANIFEST))
        entries = document.get("layers") or [document["layer"]]
        for one in entries:
            library = str(one.get("library_path", ""))
            if library:
                whole = os.path.realpath(os.path.join(os.path.dirname(path), library)) if "/" in library else library
                switches = (_switch(one.get(f"{word}_environment")) for word in ("enable", "disable"))
                yield Layer(str(one["name"]), kind, whole, *switches)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return


def _manifests(folder: str) -> list[str]:
    """The folder's, in order; a manifest may also be named itself."""
    if folder.endswith(".json"):
        return [folder]
    try:
        return sorted(one.path for one in os.scandir(folder) if one.name.endswith(".json"))
    except OSError:
        return []


def known(environment: Mapping[str, str]) -> list[Layer]:
    """Every layer that has a manifest here."""
    layers = []
    for kind, folder in folders(environment):
        layers += [layer for manifest in _manifests(folder) for layer in read_manifest(manifest, kind)]
    return layers


def _is_in(layer: Layer, path: str) -> bool:
    return path == layer.library if "/" in layer.library else os.path.basename(path) == layer.library


def _is_wanted(layer: Layer, environment: Mapping[str, str]) -> bool:
    """The rules of an implicit layer's environment; an explicit one is only ever opened on request."""
    if layer.kind != "implicit":
        return True
    if layer.disable and layer.disable[0] in environment:
        return False
    return layer.enable is None or environment.get(layer.enable[0]) == layer.enable[1]


def active(files: Collection[str], environment: Mapping[str, str] = os.environ) -> list[Layer]:
    """The layers in an instance of a process that has these files mapped, in this environment."""
    found = [
        one for one in known(environment) if _is_wanted(one, environment) and any(_is_in(one, path) for path in files)
    ]
    return list({layer.name: layer for layer in found}.values())


def names(files: Collection[str]) -> tuple[str, ...]:
    """The names of the active layers."""
    return tuple(layer.name for layer in active(files))


def in_path(layers: Sequence[Layer], mapped: "Iterable[Area]", functions: Iterable[int]) -> list[Layer]:
    """Those of `layers` whose own code some of the functions' addresses lie in."""
    files = {area.path for area in mapped for address in functions if area.begin <= address < area.end}
    return [layer for layer in layers if any(_is_in(layer, path) for path in files)]


def advice(layer: Layer) -> str:
    """How to run without it."""
    if layer.disable:
        return f"{layer.disable[0]}={layer.disable[1] or 1} disables it"
    if layer.name.startswith("VK_LAYER_VKMAPCTL"):
        return "it is this project's own, asked for by --emulate or --inject"
    return f"VK_LOADER_LAYERS_DISABLE={layer.name} disables it, with a loader of 1.3.234 or newer"


def note(layer: Layer) -> Note:
    """The warning about a layer that is in the path."""
    text = (
        f"{layer.name} ({layer.kind} layer) stands between this program and the driver in every map and unmap; "
        f"{advice(layer)}"
    )
    return Note("layer-in-path", text)
