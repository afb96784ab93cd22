"""What is said of the place that a process runs in, on machines made by hand."""

import os
import tempfile
from pathlib import Path

import pytest

from vkmapctl.inside.places import lines
from vkmapctl.machine.place import container, look

LINUX = "Linux version 6.8.0-45-generic (buildd@lcy02) #45-Ubuntu SMP PREEMPT_DYNAMIC"
RENDER, NVIDIA = "dev/dri/renderD128", "dev/nvidiactl"


@pytest.fixture
def place(tmp_path):
    """Makes files, empty or with a text; gives the lines by what each is about, and the root."""

    def make(*files, environment=None, **texts):
        for name, text in {**dict.fromkeys(files, ""), **{at(key): text for key, text in texts.items()}}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return lines(environment or {}, f"{tmp_path}/")

    def at(key):
        return {"version": "proc/version", "kernel": "proc/sys/kernel/osrelease", "systemd": "run/systemd/container",
                "gpu": "sys/bus/pci/devices/0000:01:00.0/class"}[key]  # fmt: skip

    return make


def said(found, about):
    (line,) = [line for line in found if line.about == about]
    return line.text


def test_a_plain_machine_with_a_gpu_has_nothing_to_say(place):
    assert place(RENDER, version=LINUX, kernel="6.8.0-45-generic", gpu="0x030000") == []


def test_no_gpu(place):
    text = said(place(version=LINUX), "GPU")
    assert "no /dev/dri/renderD* and no /dev/nvidiactl" in text
    assert "lavapipe" in text


def test_a_gpu_without_its_kernel_driver(place):
    assert "a GPU at 0000:01:00.0: no kernel driver serves it" in said(place(gpu="0x030200"), "GPU")
    assert "no GPU can be found" in said(place(gpu="0x020000"), "GPU")  # that is a network card


def test_a_node_that_may_not_be_opened(place, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    text = said(place(RENDER), "GPU")
    assert "renderD128 may not be opened by this user" in text
    assert "groups render and video" in text


def test_a_user_without_rights_to_the_node():
    """The kernel decides: root asks as nobody does."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is its owner's alone
        os.chmod(folder, 0o755)
        node = Path(folder, RENDER)
        node.parent.mkdir(parents=True)
        node.touch(mode=0)
        child = os.fork()
        if child == 0:
            if os.geteuid() == 0:
                os.setresuid(nobody, nobody, nobody)
            found = [line.text for line in lines({}, f"{folder}/")]
            os._exit(0 if len(found) == 1 and "renderD128 may not be opened by this user" in found[0] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("files", "environment", "kind"),
    [
        ([".dockerenv"], {}, "docker"),
        (["run/.containerenv"], {}, "podman"),
        ([".flatpak-info"], {}, "flatpak"),
        (["run/pressure-vessel/bin", ".flatpak-info"], {}, "pressure-vessel"),
        ([], {"container": "lxc"}, "lxc"),
        ([], {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ([], {}, None),
    ],
)
def test_containers(place, tmp_path, files, environment, kind):
    place(*files)
    assert container(environment, f"{tmp_path}/") == kind


def test_a_container_of_systemd(place, tmp_path):
    place(systemd="systemd-nspawn\n")
    assert container({}, f"{tmp_path}/") == "systemd-nspawn"


@pytest.mark.parametrize(
    ("mark", "grant"),
    [
        (".dockerenv", "--device /dev/dri (NVIDIA's: --gpus all"),
        ("run/.containerenv", "--device /dev/dri --group-add keep-groups"),
        (".flatpak-info", "flatpak run --device=dri"),
        ("run/pressure-vessel/bin", "look at the host"),
    ],
)
def test_a_container_without_a_gpu(place, mark, grant):
    found = place(mark, gpu="0x030000")
    assert grant in said(found, "runs in")
    assert "was not given the GPU at 0000:01:00.0" in said(found, "GPU")
    assert all(line.lacks for line in found)


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        (".dockerenv", "docker, with "),
        (".flatpak-info", "its GL extension, not the host's"),
        ("run/pressure-vessel/bin", "as games see them"),
    ],
)
def test_a_container_with_a_gpu(place, mark, text):
    (line,) = place(mark, RENDER)
    assert text in line.text
    assert not line.lacks


@pytest.mark.parametrize(
    ("capabilities", "told"), [("compute,utility", "=compute,utility has no graphics"), ("", "is not set")]
)
def test_nvidia_in_a_container_without_graphics(place, capabilities, told):
    text = said(
        place(".dockerenv", NVIDIA, environment={"NVIDIA_DRIVER_CAPABILITIES": capabilities}), "NVIDIA's driver"
    )
    assert told in text
    assert "-e NVIDIA_DRIVER_CAPABILITIES=all" in text


def test_nvidia_where_it_has_what_it_needs(place):
    for capabilities in ("all", "compute,graphics"):
        found = place(".dockerenv", NVIDIA, environment={"NVIDIA_DRIVER_CAPABILITIES": capabilities})
        assert [line.about for line in found] == ["runs in"]


def test_nvidia_outside_of_containers_needs_no_capabilities(place):
    assert place(NVIDIA) == []


@pytest.mark.parametrize(
    "version",
    ["Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016", "Linux version 4.19.0-gvisor #1 SMP"],
)
def test_gvisor(place, version):
    text = said(place(NVIDIA, version=version), "runs in")
    assert "gVisor" in text
    assert "--nvproxy" in text


@pytest.mark.parametrize(
    ("kernel", "files", "told"),
    [
        ("4.4.0-19041-Microsoft", [], "WSL 1: it has no Linux kernel"),
        ("5.15.153.1-microsoft-standard-WSL2", [], "without /dev/dxg"),
        ("5.15.153.1-microsoft-standard-WSL2", ["dev/dxg"], "without /usr/lib/wsl/lib/libd3d12.so"),
        ("5.15.153.1-microsoft-standard-WSL2", ["dev/dxg", "usr/lib/wsl/lib/libd3d12.so"], "Mesa's dzn"),
    ],
)
def test_wsl(place, kernel, files, told):
    found = place(*files, kernel=kernel)
    assert told in said(found, "runs in")
    assert ("GPU" in {line.about for line in found}) == ("dev/dxg" not in files)


def test_this_place_is_looked_at():
    assert look(os.environ).wsl in (0, 1, 2)
