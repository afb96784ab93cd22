"""A small site on one machine: a login host, and hosts with slurmd and sshd, each a machine of its own (space.py).

All see one file system, as on a cluster; hosts are told apart by name, network, boot id and mounts.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from cli_runner import LAVAPIPE, Result, environment
from icd.build import lavapipe

from cluster.space import Space, lacking, wait_for

NETWORK = "10.77"
PROGRAMS = ("slurmctld", "slurmd", "munged", "srun", "sshd", "ssh", "ssh-keygen", "ip", "nsenter", "unshare", "setpriv")
PYTHON = (sys.executable, "-P", "-m", "vkmapctl")
_DAEMONS = "/usr/local/sbin:/usr/sbin:/sbin"

_SLURM = """\
ClusterName=vkmapctl
SlurmctldHost={login}({network}.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldPidFile={folder}/slurmctld.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmdTimeout={dead_after}
MessageTimeout={message_within}
TCPTimeout=2
KillWait=2
GresTypes=gpu
Epilog={folder}/epilog
{nodes}
PartitionName=gpu Nodes=ALL Default=YES State=UP
PartitionName=later Nodes=ALL State=DOWN
"""
_SSHD = """\
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
MaxStartups 100
"""
_SSH = """\
Host *
  IdentityFile {folder}/user_key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
"""
# vkmapctl on a host: what the site has set there, and what a test adds for one of them (Site.only).
_ON_HOST = """\
#!/bin/bash
set -a
source {folder}/every-host
[ ! -e {folder}/only/$(hostname) ] || source {folder}/only/$(hostname)
eval "$BEFORE"
[ -n "$AFTER" ] || exec {python} "$@" $MORE
{python} "$@" $MORE
code=$?
eval "$AFTER"
exit $code
"""


class Site:
    """folder: for all of it. hosts: their names. dead_after: seconds of silence until Slurm gives a node up.

    ssh: whether they have sshd too.
    """

    def __init__(self, folder: Path, hosts: Sequence[str], *, dead_after: int = 6, ssh: bool = True) -> None:
        os.environ["PATH"] += f":{_DAEMONS}"
        assert not (missing := lacking(PROGRAMS)), f"not installed: {', '.join(missing)}; make test-cluster sees to it"
        assert os.geteuid() == 0, "namespaces and Slurm's daemons want root"
        self.folder, self.names = folder, tuple(hosts)
        self.program = folder / "on-host"
        self._ssh = ssh
        self._write(dead_after)
        self.environment = environment(LAVAPIPE) | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
        }
        self.hosts: dict[str, Space] = {}
        self._harmed: set[str] = set()
        self.login = Space(
            "mount --make-rshared /; ip link set lo up; ip link add hub type bridge; ip link set hub up;"
            f"ip address add {NETWORK}.0.1/16 dev hub"
        )
        try:
            self._begin()
        except BaseException:
            self.end()
            raise

    def _begin(self) -> None:
        folder = self.folder
        self._daemon(
            self.login, "munged", "--foreground", "--force", f"--key-file={folder / 'munge.key'}",
            f"--socket={folder / 'munge.socket'}", f"--pid-file={folder / 'munge.pid'}",
            f"--seed-file={folder / 'munge.seed'}", f"--log-file={folder / 'munge.log'}",
        )  # fmt: skip
        wait_for((folder / "munge.socket").exists, "munged")
        self._daemon(self.login, "slurmctld", "-D")
        for host in self.names:
            self.boot(host)
        self.wait_until_idle()

    def end(self) -> None:
        """All of it: whatever runs on a host ends with the login host."""
        for space in (*self.hosts.values(), self.login):
            space.end()

    # --- hosts ------------------------------------------------------------------------------------

    def boot(self, host: str) -> None:
        """Starts it, with daemons for Slurm and ssh."""
        boot_id = self.folder / f"boot-id-{host}"
        boot_id.write_text(f"{uuid4()}\n")
        space = self.hosts[host] = Space(
            f"hostname {host}; mount --bind {boot_id} /proc/sys/kernel/random/boot_id; ip link set lo up", self.login
        )
        link, far = self._link(host), f"f{self._number(host)}"
        self._on_the_hub("add", link, "type", "veth", "peer", "name", far, "address", self._hardware(host))
        self._on_the_hub("set", far, "netns", str(space.init))
        self._on_the_hub("set", link, "master", "hub", "up")
        space.run("ip", "address", "add", f"{self._address(host)}/16", "dev", far)
        space.run("ip", "link", "set", far, "up")
        self._daemon(space, "slurmd", "-D", "-N", host)
        if self._ssh:
            self._daemon(space, shutil.which("sshd"), "-D", "-e", "-f", self.folder / "sshd_config")

    def kill(self, host: str) -> None:
        """Its power goes."""
        self._harmed.add(host)
        self.hosts[host].end()

    def freeze(self, host: str) -> None:
        """Nothing on it goes on, and its network answers all the same."""
        self._harmed.add(host)
        self.hosts[host].signal_all("STOP")

    def cut(self, host: str) -> None:
        """Its cable is out: it goes on, and nobody hears of it."""
        self._harmed.add(host)
        self._on_the_hub("set", self._link(host), "down")

    def without_driver(self, host: str) -> None:
        """Nothing is where the loader looks for a driver's manifest."""
        self._harmed.add(host)
        self.hosts[host].run("mount", "-t", "tmpfs", "none", lavapipe().parent)

    def only(self, host: str, **variables: str) -> None:
        """What is set on this host; MORE: options behind vkmapctl's; BEFORE, AFTER: shell lines."""
        (self.folder / "only" / host).write_text("".join(f"{k}={shlex.quote(v)}\n" for k, v in variables.items()))

    def mend(self) -> None:
        """All is as it was at first, and Slurm has every host again.

        Where one has died, another may wait a minute for what it had to say: the parent in Slurm's tree.
        """
        for path in (self.folder / "only").iterdir():
            path.unlink()
        if self._harmed:
            for host in self._harmed | set(self.names) - self._idle():
                self._reboot(host)
            self._harmed.clear()
        self.wait_until_idle()

    def _reboot(self, host: str) -> None:
        self.hosts[host].end()
        subprocess.run(  # its end has taken the link with it, or will
            ["nsenter", "--net", f"--target={self.login.init}", "ip", "link", "delete", self._link(host)],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for state in ("DOWN", "RESUME"):  # its jobs are over, and why it was drained is forgotten
            self.run("scontrol", "update", f"NodeName={host}", f"State={state}", "Reason=reboot")
        self.boot(host)

    def _number(self, host: str) -> int:
        return self.names.index(host)

    def _address(self, host: str) -> str:
        return f"{NETWORK}.{1 + self._number(host) // 250}.{1 + self._number(host) % 250}"

    def _hardware(self, host: str) -> str:
        """The same after a reboot: the login host remembers it."""
        return f"02:00:00:00:{self._number(host) // 256:02x}:{self._number(host) % 256:02x}"

    def _link(self, host: str) -> str:
        return f"n{self._number(host)}"

    def _on_the_hub(self, *words: str) -> None:
        """`ip link` in the login host's network, by processes' numbers of outside."""
        subprocess.run(["nsenter", "--net", f"--target={self.login.init}", "ip", "link", *words], check=True)

    def _daemon(self, space: Space, program: object, *options: object) -> None:
        log = self.folder / "logs" / f"{Path(str(program)).name}.log"
        space.start(program, *options, log=log, env=self.environment)

    # --- commands ---------------------------------------------------------------------------------

    def run(self, *command: object, expected: int = 0, timeout: float = 120, **variables: str) -> Result:
        """On the login host, to its end."""
        with self.running(*command, **variables) as process:
            out, err = process.communicate(timeout=timeout)
        assert process.returncode == expected, f"{command} ended with {process.returncode}\n{out}{err}"
        return Result(process.returncode, out, err)

    @contextmanager
    def running(self, *command: object, **variables: str) -> Iterator["subprocess.Popen[str]"]:
        """On the login host; killed where it has not ended by then."""
        with self.login.popen(*command, env=self.environment | variables) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    self.login.run("bash", "-c", f"pkill -KILL -f ' fleet run {self.folder}' || true")
                    process.kill()

    def vkmapctl(self, *arguments: object, **more: Any) -> Result:
        return self.run(*PYTHON, *arguments, **more)

    def wait_until_idle(self) -> None:
        everyone = set(self.names)
        wait_for(
            lambda: self._idle() == everyone,
            lambda: f"idle: {sorted(everyone - self._idle())}; see {self.folder / 'logs'}",
            30 + len(self.names),
        )

    def _idle(self) -> set[str]:
        """Hosts that Slurm would give a job at once."""
        said = subprocess.run(
            [*self.login.enter, "sinfo", "--Node", "--noheader", "--partition=gpu", "--states=idle", "--format=%N %T"],
            env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return {host for host, state in map(str.split, said.stdout.splitlines()) if state == "idle"}

    # --- files ------------------------------------------------------------------------------------

    def _write(self, dead_after: int) -> None:
        for name in ("bin", "only", "logs", "state"):
            (self.folder / name).mkdir()
        nodes = "\n".join(
            f"NodeName={host} NodeAddr={self._address(host)} CPUs=1 RealMemory=1000 Gres=gpu:1 State=UNKNOWN"
            for host in self.names
        )
        files = {
            "slurm.conf": _SLURM.format(
                login=os.uname().nodename, network=NETWORK, folder=self.folder, dead_after=dead_after,
                message_within=min(dead_after - 1, 60), nodes=nodes,
            ),
            "gres.conf": "Name=gpu File=/dev/zero\n",  # any device will do
            "sshd_config": _SSHD.format(folder=self.folder),
            "ssh_config": _SSH.format(folder=self.folder)
            + "".join(f"Host {host}\n  HostName {self._address(host)}\n" for host in self.names),
            "every-host": "".join(f"{name}={shlex.quote(value)}\n" for name, value in LAVAPIPE.items()),
        }  # fmt: skip
        for name, text in files.items():
            (self.folder / name).write_text(text)
        self.script("on-host", _ON_HOST.format(folder=self.folder, python=shlex.join(PYTHON)))
        self.script("epilog", "#!/bin/sh\n")
        # A link that is cut is noticed within seconds here: of an option that is given twice, ssh takes the first.
        alive = "-oServerAliveInterval=1 -oServerAliveCountMax=3"
        self.script("bin/ssh", f'#!/bin/sh\nexec {shutil.which("ssh")} {alive} -F {self.folder}/ssh_config "$@"\n')
        self.script("bin/vkmapctl", f'#!/bin/sh\nexec {self.program} "$@"\n')
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        for key in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key], check=True)
        (self.folder / "known_hosts").write_text(f"* {(self.folder / 'host_key.pub').read_text()}")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it

    def script(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
