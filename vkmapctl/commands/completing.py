"""What a shell offers for values that only this program knows: presets, checks, faults."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def workloads(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Presets with their questions; files where no preset begins so, since bash's script shows one or the other."""
    from click.shell_completion import CompletionItem

    from vkmapctl.plans import workload_file

    known = {name: workload_file.question_of(path.read_text()) for name, path in workload_file.presets().items()}
    return _begun(known, incomplete) or [CompletionItem(incomplete, type="file")]


def checks(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Ids of checks with their titles, whichever case is typed."""
    from vkmapctl.checks import registry

    return _begun({one.id: one.title for one in registry.load().values()}, incomplete.upper())


def faults(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Faults of the test layer."""
    from vkmapctl.driver import injection

    return _begun(injection.faults(), incomplete)


def _begun(known: Mapping[str, str], incomplete: str) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    return [CompletionItem(name, help=help) for name, help in known.items() if name.startswith(incomplete)]
