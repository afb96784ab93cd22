"""The Python API on lavapipe, in programs of its own, and the pytest plugin as a project uses it."""

import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from cli_runner import LAVAPIPE, RADV_NULL, environment
from processes import children

import vkmapctl


def python(program, driver=LAVAPIPE):
    return subprocess.run(
        [sys.executable, "-c", program], env=environment(driver), capture_output=True, text=True, timeout=60
    )


def test_documents_are_those_of_the_commands(tmp_path):
    program = f"""
import vkmapctl
run = vkmapctl.stress(size=("4K", "64K"), iterations=1000, warmup="0s", fail_if=["ns_per_pair>1h", "map.p50>0.001ns"])
assert (run.outcome, run.exit_code, len(run.results)) == ("missed", 5, 2), run
assert run.tool.version == vkmapctl.__version__
vkmapctl.save(run, {str(tmp_path / "run.json")!r})
report = vkmapctl.verify("M1", "P1-first")
assert [row.status for row in report.results] == ["pass", "skip"], report
assert vkmapctl.probe(0, require=["placed"]).missing
assert vkmapctl.probe(emulate="placed").devices[0].device.placed.emulated
print("well")
"""
    done = python(program)
    assert (done.stdout, done.stderr) == ("well\n", "")
    assert vkmapctl.load(tmp_path / "run.json").exit_code == 5


def test_a_driver_that_crashes_is_a_row_and_no_end_of_the_caller():
    program = """
import vkmapctl
run = vkmapctl.stress(size="4K", iterations=1000, inject="map-crashes")
print(run.outcome, run.results[0].status)
"""
    done = python(program)
    assert done.stdout == "crashed crashed\n", done.stderr


def test_no_device_is_unsupported():
    program = """
import vkmapctl
try:
    vkmapctl.probe()
except vkmapctl.Unsupported as error:
    print(error.exit_code, error)
"""
    assert "3 " in python(program, {"VK_LOADER_DRIVERS_SELECT": "none"}).stdout


def test_it_runs_in_any_thread():
    program = """
from concurrent.futures import ThreadPoolExecutor
import vkmapctl
with ThreadPoolExecutor(1) as pool:
    print(pool.submit(vkmapctl.stress, size="4K", iterations=1000).result().outcome)
"""
    done = python(program)
    assert done.stdout == "ok\n", done.stderr


def test_ctrl_c_ends_the_run_and_then_the_program():
    program = """
import signal, vkmapctl
before = signal.getsignal(signal.SIGINT)
print("begun", flush=True)
try:
    vkmapctl.stress(size="4K", duration="60s", warmup="0s")
except KeyboardInterrupt as interrupt:
    (run,) = interrupt.args
    print(run.outcome, signal.getsignal(signal.SIGINT) is before)
"""
    running = subprocess.Popen(
        [sys.executable, "-c", program], env=environment(LAVAPIPE), stdout=subprocess.PIPE, text=True
    )
    assert running.stdout.readline() == "begun\n"
    while not children(running.pid):
        pass
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=60)[0] == "interrupted True\n"


# --- pytest ---------------------------------------------------------------------------------------

OWN_TEST = "def test_mine(): assert True\n"


def pytest_in(folder, *arguments, driver=LAVAPIPE):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder, env=environment(driver), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path):
    (tmp_path / "test_own.py").write_text(OWN_TEST)
    return tmp_path


def test_checks_are_items_beside_a_projects_own(project):
    done = pytest_in(project, "-v", "-rs", "--vkmapctl", "-k", "mine or M1 or P1-first", "--junit-xml", "it.xml")
    assert done.returncode == 0, done.stdout
    assert "test_own.py::test_mine PASSED" in done.stdout
    assert "vkmapctl::M1[#0 De Vi Co Ca] PASSED" in done.stdout
    assert "memoryMapPlaced is missing" in done.stdout
    cases = {case.get("name"): case for case in ET.parse(project / "it.xml").iter("testcase")}
    properties = {one.get("name"): one.get("value") for one in cases["M1[#0 De Vi Co Ca]"].iter("property")}
    assert properties["status"] == "pass"
    assert properties["rule"]


def test_placed_maps_may_be_emulated(project):
    done = pytest_in(project, "-v", "--vkmapctl", "--vkmapctl-emulate", "placed", "-k", "P1-first")
    assert "vkmapctl::P1-first[#0 De Vi Co Ca] PASSED" in done.stdout


def test_a_failure_shows_the_rule_and_no_traceback(project):
    (project / "conftest.py").write_text(
        "from msgspec.structs import replace\n"
        "from vkmapctl.verify import Attempts\n"
        "real = Attempts.attempt\n"
        "def broken(*given, **more):\n"
        "    return replace(real(*given, **more), status='fail', detail='a byte is wrong')\n"
        "Attempts.attempt = broken\n"
    )
    done = pytest_in(project, "--vkmapctl", "-k", "M1")
    assert done.returncode == 1
    assert "M1 " in done.stdout
    assert "fail: a byte is wrong\nrule: " in done.stdout
    assert "runtest" not in done.stdout


@pytest.mark.parametrize("driver", [{"VK_LOADER_DRIVERS_SELECT": "none"}])
def test_no_device_is_an_error_and_not_silence(project, driver):
    done = pytest_in(project, "--vkmapctl", driver=driver)
    assert done.returncode == 2
    assert "ERROR collecting vkmapctl" in done.stdout


def test_a_device_without_memory_is_skipped_with_its_reason(project):
    done = pytest_in(project, "-rs", "--vkmapctl", "-k", "M1", driver=RADV_NULL)
    assert done.returncode == 0, done.stdout
    assert "skipped" in done.stdout


def test_the_fixture_needs_no_flag(project):
    (project / "test_own.py").write_text(
        "def test_mine(vkmapctl_device): assert vkmapctl_device.driver_name == 'llvmpipe'\n"
    )
    done = pytest_in(project)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_without_the_flag_nothing_of_the_program_is_imported(project):
    (project / "test_own.py").write_text(
        "import sys\n"
        "def test_mine():\n"
        "    loaded = {name for name in sys.modules if name.startswith('vkmapctl')}\n"
        "    assert loaded == {'vkmapctl', 'vkmapctl.pytest_plugin'}\n"
    )
    done = pytest_in(project, "-W", "error")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
