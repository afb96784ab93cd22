"""What pyproject.toml cannot say yet: the cffi extension and the stable ABI tag."""

import sysconfig

from setuptools import setup

stable_abi = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    cffi_modules=["vkmapctl/_native/build_loop.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if stable_abi else {},
)
