"""A pytest plugin: `pytest --vkmapctl` collects the conformance checks as items; `vkmapctl_device` is a fixture.

Without the flag nothing but two options and the fixture is there, and nothing else of this program is imported.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vkmapctl.model.device import Device
    from vkmapctl.model.documents import CheckRow
    from vkmapctl.verify import Attempts, Checking, Planned

NODE = "vkmapctl"  # what the ids of items begin with


def pytest_addoption(parser: pytest.Parser) -> None:
    """The flags."""
    group = parser.getgroup("vkmapctl", "checks of Vulkan memory mapping")
    group.addoption("--vkmapctl", action="store_true", help="collect vkmapctl's conformance checks of the driver too")
    group.addoption(
        "--vkmapctl-device", metavar="SELECTOR", help="index, part of the name, UUID prefix, driver name, or 'all'"
    )
    group.addoption(
        "--vkmapctl-emulate", choices=["placed", "range"], help="let vkmapctl's test layer emulate placed maps"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Off unless asked."""
    if config.getoption("vkmapctl"):
        config.pluginmanager.register(Collecting(), "vkmapctl-collecting")


@pytest.fixture(scope="session")
def vkmapctl_device(pytestconfig: pytest.Config) -> "Device":
    """The device that --vkmapctl-device names, the best one without it: memory types, limits, features.

    Fails where there is none.
    """
    from vkmapctl.errors import VkmapError

    try:
        return _devices(pytestconfig, _attempts(pytestconfig))[0]
    except VkmapError as error:
        pytest.fail(_told(error), pytrace=False)


class Collecting:
    """Puts the checks below the session, beside what its arguments name."""

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if isinstance(collector, pytest.Session) and report.passed:
            report.result.append(Checks.from_parent(collector, name=NODE, nodeid=NODE))
        return report


class Checks(pytest.Collector):
    """Every check on every host-visible memory type of the devices."""

    def collect(self) -> Iterator["CheckItem"]:
        """Raises CollectError where there is no device."""
        from vkmapctl.errors import VkmapError
        from vkmapctl.verify import Checking, choose, planned

        attempts = _attempts(self.config)
        try:
            devices = _devices(self.config, attempts)
        except VkmapError as error:
            raise self.CollectError(_told(error)) from None
        chosen = choose((), ())
        for device in devices:
            checking = Checking(device, attempts)
            of = f"device {device.index}, " if len(devices) > 1 else ""
            for wanted in planned(chosen, device):
                where = wanted.memory_type.label if wanted.memory_type else "no memory type"
                name = f"{wanted.check.id}[{of}{where}]"
                yield CheckItem.from_parent(self, name=name, wanted=wanted, checking=checking)


class Broken(Exception):
    """A check that did not hold."""

    def __init__(self, row: "CheckRow") -> None:
        super().__init__(f"{row.status}: {row.detail}")
        self.row = row


class CheckItem(pytest.Item):
    """One check on one memory type, in a process of its own."""

    def __init__(self, *, wanted: "Planned", checking: "Checking", **more: Any) -> None:
        super().__init__(**more)
        self._wanted, self._checking = wanted, checking

    def runtest(self) -> None:
        """A quality finding passes; the report's properties, and so JUnit, say what it saw."""
        row = self._checking.row(self._wanted)
        self.user_properties += [("rule", row.rule), ("status", row.status), ("detail", row.detail)]
        if row.status in ("skip", "not-run"):
            pytest.skip(row.detail)
        if row.status not in ("pass", "quality"):
            raise Broken(row)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What was seen, the rule, and what breaks without it; no traceback of this program."""
        if not isinstance(excinfo.value, Broken):
            return super().repr_failure(excinfo, style)
        check, row = self._wanted.check, excinfo.value.row
        return f"{check.id} {check.title}: {row.status}: {row.detail}\nrule: {check.rule}\n{check.why}"

    def reportinfo(self) -> tuple[str, None, str]:
        return NODE, None, f"{self.name} {self._wanted.check.title}"


def _attempts(config: pytest.Config) -> "Attempts":
    from vkmapctl.driver.injection import chosen
    from vkmapctl.driver.process import Interrupts
    from vkmapctl.plans import patience
    from vkmapctl.verify import Attempts

    layer = chosen(config.getoption("vkmapctl_emulate"), None, False)
    return Attempts(timeout=patience.BASE_SECONDS, layer=layer, interrupts=Interrupts())


def _devices(config: pytest.Config, attempts: "Attempts") -> list["Device"]:
    """Those that --vkmapctl-device chooses. Raises VkmapError for none."""
    from vkmapctl.driver import listing
    from vkmapctl.plans.selectors import choose

    described = attempts.describe()
    selector = config.getoption("vkmapctl_device")
    return [*choose(described.devices, selector, prove=attempts.prove, hints=listing.missing(described))]


def _told(error: Any) -> str:
    return "\n".join([error.message, *error.hints])
