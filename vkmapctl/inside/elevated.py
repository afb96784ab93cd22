"""A program that runs with more rights than its caller must not load what the caller names."""

import os

from vkmapctl.errors import UsageProblem
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.inside.process import is_elevated

SWITCHES = (
    "VK_LAYER_PATH", "VK_ADD_LAYER_PATH", "VK_IMPLICIT_LAYER_PATH", "VK_ADD_IMPLICIT_LAYER_PATH",
    "VK_INSTANCE_LAYERS", "VK_LOADER_LAYERS_ENABLE", "VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES",
    "VKMAPCTL_LAYER_FAULT", "VKMAPCTL_LAYER_EMULATE",
)  # fmt: skip


def refuse_switches(layer: LayerChoice | None) -> None:
    """Raises UsageProblem where an elevated run asks for layers, by flags or by the environment."""
    named = [name for name in SWITCHES if name in os.environ]
    if (layer or named) and is_elevated():
        what = "--emulate, --inject and --validate" if layer else named[0]
        raise UsageProblem(
            f"{what}: refused, because this process has other rights than its caller",
            "layers and drivers are code; run vkmapctl without set-uid or capabilities to choose them",
        )
