"""What pyproject.toml cannot say yet: the cffi extension, the Vulkan layers, and the stable ABI tag."""

import os
import platform
import subprocess
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

# Once more for 32-bit programs, of which a 64-bit recorder may have to do, where the compiler makes them. The folder
# is what gcc-multilib links to; the packages of one version of gcc, which stand beside cross compilers, do not.
FOR_32_BITS = ["-m32", "-idirafter", f"/usr/include/{sysconfig.get_config_var('MULTIARCH')}"]
record_layer_32 = Extension(
    "vkmapctl._record_32",
    sources=record_layer.sources,
    depends=record_layer.depends,
    define_macros=[("LAYER_NAME", '"VK_LAYER_VKMAPCTL_record_32"')],
    extra_compile_args=[*record_layer.extra_compile_args, *FOR_32_BITS],
    extra_link_args=[*record_layer.extra_link_args, "-m32"],
    py_limited_api=True,
)


def makes_32_bits() -> bool:
    """Whether this is a 64-bit build whose compiler has the headers and the library of 32-bit programs."""
    if platform.machine() != "x86_64" or sys.maxsize < 1 << 32:
        return False
    compiler = f"{os.environ.get('CC', 'cc')} {os.environ.get('CFLAGS', '')}".split()
    command = [*compiler, *FOR_32_BITS, "-shared", "-include", "errno.h", "-o", os.devnull]
    try:
        return not subprocess.run([*command, "-x", "c", os.devnull], stderr=subprocess.DEVNULL).returncode
    except OSError:
        return False


setup(
    cffi_modules=[f"{NATIVE}/build_loop.py:ffibuilder"],
    ext_modules=[layer, record_layer, *([record_layer_32] if makes_32_bits() else [])],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if stable_abi else {},
)
