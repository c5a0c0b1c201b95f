"""Completion in the shell: click's scripts for bash, zsh and fish, and what a word can go on as."""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from voxtile.cli.entries import Entry
from voxtile.cli.session import COMPLETE, EVERYWHERE
from voxtile.cli.signature import signature_of
from voxtile.cli.table import COMMANDS
from voxtile.cli.training_help import SECTIONS, parameters_of
from voxtile.domain import Command

_PROGRAM = "voxtile"


def print_script(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print what makes a shell complete the words of voxtile: commands, names, options and their values.

    Args:
        shell: the shell whose start-up file it goes into.
    """
    sys.stdout.write(_of_shell(shell).source() + "\n")


def complete(asked: str) -> None:
    """Answer a shell's script.

    Args:
        asked: what the script put into the environment, such as `bash_complete`.
    """
    sys.stdout.write(_of_shell(asked.partition("_")[0]).complete() + "\n")


def candidates(words: Sequence[str], begun: str) -> Iterator[str | None]:
    """What the word that is being typed can be; None where it can be a path.

    Args:
        words: those before it, without the program's name.
        begun: as much of it as is there.
    """
    if not words:
        yield from COMMANDS
        return
    entry = COMMANDS.get(words[0])
    if entry is None:
        return
    if isinstance(entry, Entry):
        yield from _of_training() if entry.takes_argv else _of_command(entry.command, words, begun)
        return
    members = entry.members()
    named = [word for word in words[1:] if word in members]
    if words[-1] == entry.selector or (entry.selector is None and len(words) == 1):
        yield from members
    elif named:
        yield from _of_command(members[named[0]], words, begun)
    elif entry.selector is not None:
        yield from (entry.selector, None)


def _of_command(command: Command, words: Sequence[str], begun: str) -> Iterator[str | None]:
    parameters = signature_of(command).parameters
    options = {parameter.option: parameter for parameter in parameters if parameter.is_option}
    before = options.get(words[-1].replace("_", "-"))
    if before is not None and not before.is_flag:
        yield from _values(before.hint)
    elif begun.startswith("-"):
        yield from (*options, *EVERYWHERE)
    else:
        arguments = [value for p in parameters if not p.is_option for value in _values(p.hint)]
        yield from arguments or [None]


def _values(hint: Any) -> Iterator[str | None]:  # noqa: ANN401 - a type
    for one in (hint, *typing.get_args(hint)):
        if typing.get_origin(one) is Literal:
            yield from map(str, typing.get_args(one))
        elif one is Path:
            yield None


def _of_training() -> Iterator[str | None]:
    for section in SECTIONS:
        yield from (f"--{section}.{parameter.name}" for parameter in parameters_of(section))
    yield from ("-c", "--name", "--ckpt_path", "--print_config", *EVERYWHERE, None)


def _of_shell(shell: str) -> ShellComplete:
    known = get_completion_class(shell)
    assert known is not None, shell  # the type of the argument names those there are
    made: ShellComplete = type("Completion", (_Words, known), {})(None, {}, _PROGRAM, COMPLETE)
    return made


class _Words:
    """Gives the scripts of click our words in place of those of a click command."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """What the word can be."""
        found = dict.fromkeys(candidates(args, incomplete))
        return [
            CompletionItem(incomplete, type="file") if word is None else CompletionItem(word)
            for word in found
            if word is None or word.startswith(incomplete)
        ]
