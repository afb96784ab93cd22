"""What pyproject.toml cannot say yet: the cffi extension, the Vulkan layer, and the stable ABI tag."""

import sys
import sysconfig

from setuptools import Extension, setup

if sys.platform != "linux":  # before anything is compiled; vkmapctl/errors.py says the same at the start
    raise SystemExit(
        f"Error: vkmapctl works on Linux alone, and this is {sys.platform}. "
        "On Windows use WSL 2; for macOS, a Linux machine or a virtual one. See docs/install.md."
    )

stable_abi = not sysconfig.get_config_var("Py_GIL_DISABLED")
NATIVE = "vkmapctl/_native"

# A Vulkan layer, not a Python module: setuptools builds it where the manifest expects it.
layer = Extension(
    "vkmapctl._layer",
    sources=[f"{NATIVE}/layer{part}.c" for part in ("", "_memory", "_backing", "_faults")],
    depends=[
        f"{NATIVE}/{name}.h"
        for name in ("layer", "layer_entry", "layer_memory", "layer_backing", "layer_faults", "vk_layer")
    ],
    extra_compile_args=["-std=c11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden", "-pthread"],
    extra_link_args=["-pthread"],
    py_limited_api=True,
)

# Another: the recording layer, which stays in the program that has loaded it.
record_layer = Extension(
    "vkmapctl._record",
    sources=[f"{NATIVE}/record_layer.c"],
    depends=[f"{NATIVE}/{name}.h" for name in ("ring", "clock", "loop", "layer_entry", "vk_layer")],
    extra_compile_args=["-std=c11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden", "-pthread"],
    extra_link_args=["-pthread", "-Wl,-z,nodelete"],
    py_limited_api=True,
)

setup(
    cffi_modules=[f"{NATIVE}/build_loop.py:ffibuilder"],
    ext_modules=[layer, record_layer],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if stable_abi else {},
)
