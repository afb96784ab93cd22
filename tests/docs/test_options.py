"""What --help lists is documented, and what the pages name is in --help."""

import re
from collections.abc import Iterator

import click
import pytest
from pages import PAGES, commands, name, prose

from vkmapctl.cli import cli

OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
SPAN = re.compile(r"`([^`]+)`")
OF_OTHER_PROGRAMS = {
    "--junit-xml": "pytest",
    "--vkmapctl-device": "pytest, with this project's plugin",
    "--summary": "vulkaninfo",
    "--quick": "benchmarks/run.py",
    "--no-growth": "benchmarks/run.py",
    "--no-kill": "srun",
    "--kill-on-bad-exit": "srun",
    "--mem": "srun",
    "--memory": "docker",
    "--gpus": "docker",
    "--group-add": "docker and podman",
    "--host": "flatpak-spawn",
    "--nvproxy": "runsc",
    "--nvproxy-allowed-driver-capabilities": "runsc",
}


def tree(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its path, () for the program itself."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            yield from tree(command.get_command(context, word), (*path, word))


def options(command: click.Command) -> set[str]:
    """The long names of a command's options."""
    with click.Context(command, help_option_names=["-h", "--help"]) as context:
        return {word for one in command.get_params(context) for word in one.opts if word.startswith("--")}


COMMANDS = dict(tree(cli))
TEXT = "\n".join(page.read_text() for page in PAGES)


@pytest.mark.parametrize("path", [path for path in COMMANDS if path], ids=" ".join)
def test_every_command_and_option_is_documented(path: tuple[str, ...]) -> None:
    assert re.search(rf"\b{' '.join(path)}\b", TEXT), f"no page shows {' '.join(path)}"
    missing = options(COMMANDS[path]) - set(OPTION.findall(TEXT)) - {"--help"}
    assert not missing, f"no page names {missing} of {' '.join(path)}"


def called(text: str) -> Iterator[tuple[click.Command, str]]:
    """Each `vkmapctl ...` in a text: the command, and what follows its name."""
    parts = text.split(" -- ")  # what follows is another program's, or this one again
    for call in (one for part in parts for one in re.findall(r"(?<![\w./-])vkmapctl ((?:[^\n|;&]|\|(?! ))*)", part)):
        path: tuple[str, ...] = ()
        for word in call.split():
            if (*path, word) not in COMMANDS:
                break
            path = (*path, word)
        yield COMMANDS[path], call


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_option_that_a_page_names_exists(page) -> None:
    spans = SPAN.findall(prose(page))
    for command, call in (pair for text in [*commands(page), *spans] for pair in called(text)):
        known = options(command) if not isinstance(command, click.Group) else ALL
        assert set(OPTION.findall(call)) <= known, f"{name(page)}: vkmapctl {call}"
    loose = {option for span in spans for option in OPTION.findall(span) if span.startswith("--")}
    assert loose <= ALL | set(OF_OTHER_PROGRAMS), f"{name(page)}: {loose - ALL} of no command"


ALL = set().union(*map(options, COMMANDS.values()))
