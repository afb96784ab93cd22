"""This project's test layer: what is asked of it, and how the loader of this process is told."""

import os
from typing import NamedTuple

from vkmapctl.errors import Unsupported
from vkmapctl.inside import search_path

NAME = "VK_LAYER_VKMAPCTL_test"
VALIDATION = "VK_LAYER_KHRONOS_validation"


class LayerChoice(NamedTuple):
    """Layers between loader and driver: this project's own, and the Khronos validation layer.

    emulate: `none`, `placed` or `range`; fault: `NAME[:PERIOD]`.
    """

    emulate: str = "none"
    fault: str = ""
    validate: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The layers that are asked for."""
        return (*((NAME,) if self.own else ()), *((VALIDATION,) if self.validate else ()))

    @property
    def own(self) -> bool:
        """Whether this project's layer takes part."""
        return self.emulate != "none" or bool(self.fault)


def use_test_layer(layer: LayerChoice) -> tuple[str, ...]:
    """Lets the loader find this project's layer, with its settings; returns the layers to enable.

    Only for a process of its own, before an instance is made.
    """
    package = os.path.dirname(os.path.dirname(__file__))
    folder = os.path.join(package, "layer")
    if not os.path.exists(os.path.join(package, "_layer.abi3.so")):
        raise Unsupported("vkmapctl's test layer is not built", "install vkmapctl from its wheel or source")
    known = os.environ.get("VK_LAYER_PATH") or ":".join(search_path.folders(os.environ, "vulkan/explicit_layer.d"))
    os.environ["VK_LAYER_PATH"] = f"{folder}:{known}"  # it replaces the loader's own list
    os.environ["VK_ADD_LAYER_PATH"] = folder
    os.environ["VKMAPCTL_LAYER_EMULATE"] = layer.emulate
    if layer.fault:
        os.environ["VKMAPCTL_LAYER_FAULT"] = layer.fault
    return (NAME,)
