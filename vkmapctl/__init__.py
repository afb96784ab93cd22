"""Inspects, verifies and measures Vulkan memory mapping.

probe(), stress(), verify(), load() and save() are the Python API, which docs/python.md describes; it lives in
vkmapctl.api, and nothing of it is imported before it is asked for.
"""

import sys

__version__ = "0.2.0"
__all__ = [
    "CallFailed",
    "Device",
    "DoctorReport",
    "Document",
    "DriverDied",
    "ProbeReport",
    "RecordReport",
    "Row",
    "Run",
    "SelftestReport",
    "Unsupported",
    "UsageProblem",
    "VerifyReport",
    "VkmapError",
    "load",
    "probe",
    "save",
    "stress",
    "verify",
]
TYPE_CHECKING = False  # as typing has it, which costs an import
if TYPE_CHECKING:
    from vkmapctl.api import load, probe, save, stress, verify
    from vkmapctl.errors import CallFailed, DriverDied, Unsupported, UsageProblem, VkmapError
    from vkmapctl.model.device import Device
    from vkmapctl.model.documents import DoctorReport, Document, ProbeReport, Run, SelftestReport, VerifyReport
    from vkmapctl.model.measured import Row
    from vkmapctl.model.recorded import RecordReport
else:
    _HOMES = {
        "api": ("load", "probe", "save", "stress", "verify"),
        "errors": ("CallFailed", "DriverDied", "Unsupported", "UsageProblem", "VkmapError"),
        "model.device": ("Device",),
        "model.documents": ("Document", "DoctorReport", "ProbeReport", "Run", "SelftestReport", "VerifyReport"),
        "model.measured": ("Row",),
        "model.recorded": ("RecordReport",),
    }

    def __getattr__(name):
        """What is in __all__, from where it lives."""
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"vkmapctl.{home}"), name)
        raise AttributeError(f"module 'vkmapctl' has no attribute '{name}'")

    def __dir__():
        return [*__all__, "__version__"]

    class _Package(type(sys)):
        """Three functions have the names of modules, which the import system would put in their place once imported."""

        probe = property(lambda package: __getattr__("probe"), lambda package, module: None)
        stress = property(lambda package: __getattr__("stress"), lambda package, module: None)
        verify = property(lambda package: __getattr__("verify"), lambda package, module: None)

    sys.modules[__name__].__class__ = _Package
