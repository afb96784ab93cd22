"""Eight hosts on this machine for all tests here, and a store of their own for each."""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from icd.build import icd

from cluster.hosts import PYTHON, Site

FOR_ENVELOPE = 68  # KiB of a host's folder: what it reserves for its envelope, and a page for what says that it began
# Where a call broke off in the loop; which of the ways in which a connection ends ssh has seen.
PASSING = r" \(step |(?<=ssh ended with 255): "
HOSTS = tuple(f"gpu{number}" for number in range(1, 9))


class Fleet:
    """A store on the site, and what is done with it."""

    def __init__(self, site: Site, store: Path) -> None:
        self.site, self.store = site, store

    def command(self, words: "list[str] | str", via: str, *options: str) -> list[str]:
        words = words.split() if isinstance(words, str) else words
        started = ["--via", via, "--program", str(self.site.program), "--quiet", "--json", *options]
        return ["fleet", "run", str(self.store), *started, "--", *words]

    def run(self, words: "list[str] | str", via: str, *options: str, expected: int = 0) -> Any:
        """The ledger."""
        return self.site.vkmapctl(*self.command(words, via, *options), expected=expected).json()

    def running(self, words: str, via: str, *options: str) -> Any:
        """The same while it runs; what it prints is the ledger."""
        return self.site.running(*PYTHON, *self.command(words, via, *options))

    def status(self, *options: str, expected: int = 0) -> Any:
        return self.site.vkmapctl("fleet", "status", self.store, "--json", *options, expected=expected).json()

    def envelope(self, ledger: Any, host: str) -> Any:
        return json.loads((self.store / "runs" / ledger["run"]["id"] / host / "envelope.json").read_text())

    def fill(self, run: str, host: str, room_kib: int) -> None:
        """Its folder of the run, on a disk with no more room than that; hosts see what the login host mounts."""
        folder = self.store / "runs" / run / host
        folder.mkdir(parents=True)
        self.site.login.run("mount", "-t", "tmpfs", "-o", f"size={room_kib}k", "none", folder)

    def begun(self, run: str, host: str) -> bool:
        return (self.store / "runs" / run / host / "begun.json").exists()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"), HOSTS)
    yield made
    made.end()


_number = count()


@pytest.fixture
def fleet(site: Site) -> Iterator[Fleet]:
    store = site.folder / f"store-{next(_number)}"
    site.vkmapctl("fleet", "init", store, "--hosts", "gpu[1-8]", "--gpus", "1", "--software")
    yield Fleet(site, store)
    site.mend()


def fates(ledger: Any) -> dict[str, tuple[str, str]]:
    """State and reason of each host's one GPU; of a reason what is the same each time."""
    assert len({one["host"] for one in ledger["entries"]}) == len(ledger["entries"])
    return {one["host"]: (one["state"], re.split(PASSING, one["why"])[0]) for one in ledger["entries"]}


def notes(ledger: Any) -> list[tuple[str, str]]:
    """Code and message of each, an hour as such."""
    return sorted((one["code"], re.sub(r"\b3[56]\d\d s", "an hour", one["message"])) for one in ledger["notes"])


def broken(folder: Path, breaks: str) -> dict[str, str]:
    """A host's settings for a driver that does so, as tests/icd has it."""
    place = folder / str(len(list(folder.iterdir())))  # no colon in its name: the loader's variable is a list
    place.mkdir()
    return icd(place, breaks) | {"VK_LOADER_DRIVERS_SELECT": ""}


def clock_off(folder: Path, seconds: int) -> dict[str, str]:
    """A host's settings for a clock that is ahead by so much."""
    library = folder / "clock.so"
    if not library.exists():
        source = Path(__file__).with_name("clock.c")
        flags = "-std=c11 -O2 -Wall -Wextra -Werror -shared -fPIC".split()
        subprocess.run(["cc", *flags, "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "CLOCK_OFF_SECONDS": str(seconds)}
