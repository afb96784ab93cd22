"""Which Vulkan layers are active in this process, and which of them answer a call themselves.

The loader can be asked which layers exist, not which it has put into an instance: an implicit layer joins by itself.
After vkCreateInstance an active layer's library is mapped into the process and its manifest's environment rules hold
(loader documentation, LoaderLayerInterface.md); a library alone proves nothing, since some drivers' own libraries
are named by a manifest as well.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from vkmapctl.driver.protocol import Interrupted
from vkmapctl.inside import search_path
from vkmapctl.model.base import Data, Note
from vkmapctl.text import clean

if TYPE_CHECKING:
    from vkmapctl.machine.addresses import Area

_FOLDERS = {"implicit": "vulkan/implicit_layer.d", "explicit": "vulkan/explicit_layer.d"}
_LISTS = {
    "implicit": ("VK_IMPLICIT_LAYER_PATH", "VK_ADD_IMPLICIT_LAYER_PATH"),
    "explicit": ("VK_LAYER_PATH", "VK_ADD_LAYER_PATH"),
}
_LARGEST_MANIFEST = 1 << 20
# $LIB is lib, lib64 or lib/x86_64-linux-gnu; the origin is wherever the object lies that opens the library.
_TOKEN = re.compile(r"(\$(?:LIB|ORIGIN|PLATFORM|\{LIB\}|\{ORIGIN\}|\{PLATFORM\}))")
_LINKED = {
    f"${form}": pattern
    for word, pattern in (("LIB", r"lib[^/]*(?:/[^/]+)?"), ("ORIGIN", "/.*"), ("PLATFORM", "[^/]+"))
    for form in (word, f"{{{word}}}")
}
_OWN_NAMES = "VK_LAYER_VKMAPCTL"
RECORDING, RECORDING_32 = "VK_LAYER_VKMAPCTL_record", "VK_LAYER_VKMAPCTL_record_32"
_OWN = os.path.join(os.path.dirname(os.path.dirname(__file__)), "layer")  # see inside/layer
_SURE = 3  # times that a layer was found guilty; then one try without it is enough


class Layer(Data, frozen=True):
    """One manifest's layer. enable, disable: the environment variable and value that switch an implicit one.

    library: a path, or a name that the dynamic linker looks for; `$LIB`, `$ORIGIN` and `$PLATFORM` in it are the
    linker's to fill in (ld.so(8)).
    """

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
        return clean(str(name)), clean(str(value))
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
                whole = library
                if "/" in library and not library.startswith("$"):
                    whole = os.path.realpath(os.path.join(os.path.dirname(path), library))
                switches = (_switch(one.get(f"{word}_environment")) for word in ("enable", "disable"))
                yield Layer(clean(str(one["name"])), kind, whole, *switches)
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
    """Whether the file is the layer's library."""
    name = path if "/" in layer.library else os.path.basename(path)
    if "$" not in layer.library:
        return name == layer.library
    return (
        re.fullmatch("".join(_LINKED.get(part, re.escape(part)) for part in _TOKEN.split(layer.library)), name)
        is not None
    )


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


def injected(asked: str, active_names: Collection[str], environment: Mapping[str, str] = os.environ) -> str:
    """The fault that the test layer injects: the one that was asked for, or one that the environment has by hand."""
    takes_part = any(name.startswith(_OWN_NAMES) for name in active_names)
    return asked or (environment.get("VKMAPCTL_LAYER_FAULT", "") if takes_part else "")


def foreign(layers: Iterable[Layer], asked: Collection[str] = ()) -> list[Layer]:
    """Those that are not this project's own, nor asked for by its flags (LayerChoice.names)."""
    return [one for one in layers if not one.name.startswith(_OWN_NAMES) and one.name not in asked]


def expected(environment: Mapping[str, str]) -> list[Layer]:
    """The layers that the loader is to put into an instance unasked: for a process that died before it was seen."""
    named = environment.get("VK_INSTANCE_LAYERS", "").split(":")
    wanted = environment.get("VK_LOADER_LAYERS_ENABLE", "").split(",")
    barred = environment.get("VK_LOADER_LAYERS_DISABLE", "").split(",")
    found = []
    for one in known(environment):
        implicit = one.kind == "implicit" and _is_wanted(one, environment)
        barred_here = f"~{one.kind}~" in barred or "~all~" in barred or _is_one_of(one, barred)
        if one.name in named or _is_one_of(one, wanted) or (implicit and not barred_here):
            found.append(one)
    return list({layer.name: layer for layer in found}.values())


def _is_one_of(layer: Layer, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(layer.name, glob) for glob in globs if glob)


@contextmanager
def environment_with(values: Mapping[str, str]) -> Iterator[None]:
    """This process's environment with these values meanwhile, for processes that are forked from it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def without(layers: Iterable[Layer], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variables that keep these layers out of an instance, for loaders old and new."""
    left_out = list(layers)
    names = {one.name for one in left_out}
    barred = [one for one in environment.get("VK_LOADER_LAYERS_DISABLE", "").split(",") if one]
    values = {"VK_LOADER_LAYERS_DISABLE": ",".join([*barred, *sorted(names)])}
    values |= {name: value or "1" for name, value in (one.disable for one in left_out if one.disable)}
    for variable, separator in (("VK_INSTANCE_LAYERS", ":"), ("VK_LOADER_LAYERS_ENABLE", ",")):
        asked = environment.get(variable, "").split(separator)
        kept = [one for one in asked if one and not any(fnmatchcase(name, one) for name in names)]
        if variable in environment:
            values[variable] = separator.join(kept)
    return values


class Blame(NamedTuple):
    """Whose fault a failure is. layers: the names of those at fault, empty where it is the driver or nobody.

    text: which of the two, empty where no layer was, or where it did not happen again.
    """

    layers: tuple[str, ...]
    text: str


NOBODY = Blame((), "")


def blame(layers: Iterable[Layer], works: Callable[[], bool], *, asked: Collection[str] = ()) -> Blame:
    """Tries once more without the foreign ones among these layers, then with them: what works now is nobody's fault.

    works: does the same again, True if it went well.
    """
    left_out = foreign(layers, asked)
    if not left_out:
        return NOBODY
    if not _works_without(left_out, works):
        return Blame((), f"without {_listed(left_out)} it fails alike: it is the driver")
    if works():
        return NOBODY
    guilty = [one for one in left_out if len(left_out) > 1 and _works_without([one], works)]
    return _guilty(guilty or left_out)


class Blaming:
    """The same for the many failures of one run, at a bounded cost.

    Layers that were guilty three times are left out once more, and not tried with again; where it hung, after the
    first time. A driver that hangs without them too is not waited for a second time. Nobody is blamed with a fault
    injected, or where the user ends the trying.
    """

    def __init__(self, asked: Collection[str] = (), *, injects: bool = False) -> None:
        self._asked, self._injects = asked, injects
        self._found: Counter[tuple[str, ...]] = Counter()
        self._hangs_alike = False

    def blame(self, layers: Iterable[Layer], works: Callable[[], bool], *, hung: bool = False) -> Blame:
        """See `blame`. hung: it is a hang, which takes its time to try."""
        if self._injects:
            return NOBODY
        try:
            return self._tried(layers, works, hung)
        except Interrupted:
            return NOBODY

    def _tried(self, layers: Iterable[Layer], works: Callable[[], bool], hung: bool) -> Blame:
        left_out = foreign(layers, self._asked)
        if hung and self._hangs_alike:
            return Blame((), f"not tried without {_listed(left_out)}: a hang before was the driver's")
        usual = self._usual(left_out, times=1 if hung else _SURE)
        if usual and _works_without(usual, works):
            found = _guilty(usual)
        else:
            found = blame(left_out, works)
        if found.layers:
            self._found[found.layers] += 1
        self._hangs_alike |= hung and bool(found.text) and not found.layers
        return found

    def _usual(self, layers: Sequence[Layer], *, times: int) -> list[Layer]:
        """The layers that were found guilty together most often, and so many times at least."""
        for names, count in self._found.most_common(1):
            if count >= times:
                return [one for one in layers if one.name in names]
        return []


def _guilty(layers: Sequence[Layer]) -> Blame:
    text = f"without {_listed(layers)} it works: the layer is at fault, not the driver"
    return Blame(tuple(one.name for one in layers), text)


def fault_notes(broken: Sequence[Collection[str]]) -> list[Note]:
    """A warning where layers are at fault for rows. broken: which layers, of each row that did not end well."""
    names = list(dict.fromkeys(name for one in broken for name in one))
    if not names:
        return []
    text = f"{sum(map(bool, broken))} of {len(broken)} rows that did not end well work without {', '.join(names)}"
    return [Note("layer-at-fault", f"{text}: no fault of the driver")]


def _works_without(layers: Sequence[Layer], works: Callable[[], bool]) -> bool:
    with environment_with(without(layers)):
        return works()


def _listed(layers: Iterable[Layer]) -> str:
    return ", ".join(one.name for one in layers)


def in_path(layers: Sequence[Layer], mapped: "Iterable[Area]", functions: Iterable[int]) -> list[Layer]:
    """Those of `layers` whose own code some of the functions' addresses lie in."""
    files = {area.path for area in mapped for address in functions if area.begin <= address < area.end}
    return [layer for layer in layers if any(_is_in(layer, path) for path in files)]


def advice(layer: Layer) -> str:
    """How to run without it."""
    if layer.disable:
        return f"{layer.disable[0]}={layer.disable[1] or 1} disables it"
    if layer.name in (RECORDING, RECORDING_32):
        return "this program is being recorded"
    if layer.name.startswith(_OWN_NAMES):
        return "it is this project's own, asked for by --emulate or --inject"
    return f"VK_LOADER_LAYERS_DISABLE={layer.name} disables it, with a loader of 1.3.234 or newer"


def note(layer: Layer) -> Note:
    """The warning about a layer that is in the path."""
    text = (
        f"{layer.name} ({layer.kind} layer) stands between this program and the driver in every map and unmap; "
        f"{advice(layer)}"
    )
    return Note("layer-in-path", text)
