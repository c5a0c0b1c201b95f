"""The commands `voxtile` and `lightning`, both thin: choose a function, call it, and turn errors into one sentence.

Only the chosen command's module is imported, so that `voxtile --help` and `voxtile domains` answer at once.
"""

from __future__ import annotations

import atexit
import difflib
import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from voxtile.cli.entries import MODEL, Entry, Group
from voxtile.cli.environment import note_unread_variables, require_utf8_names
from voxtile.cli.session import COMPLETE, ERROR, discard, session_of
from voxtile.cli.table import COMMANDS
from voxtile.console import harmless
from voxtile.domain import Command, discover
from voxtile.errors import ConfigError, InterruptedRunError, VoxtileError, nearest, own_cause, panics_caught
from voxtile.lazy_packages import defer_packages
from voxtile.processors import limit_threads, nothing_collected, settle_threads

_OPTIONS = ("--help", "--version", "--quiet", "--log-level", "--output-root", "--debug")
_OF_THE_DISK = {errno.EIO, errno.ENOSPC, errno.EDQUOT}
_LONGEST = 300  # characters of what a library says; the traceback has the rest


def main(argv: Sequence[str] | None = None) -> int:
    """The command `voxtile`; returns its exit status."""
    return _guarded(_dispatch, list(sys.argv[1:] if argv is None else argv))


def lightning_main(argv: Sequence[str] | None = None) -> int:
    """The command `lightning`: `fit`, `validate`, `test` and `predict` over LightningCLI."""
    return _guarded(_train, list(sys.argv[1:] if argv is None else argv))


def _guarded(run: Callable[[list[str]], None], argv: list[str]) -> int:
    debug = "--debug" in argv
    _open_streams()
    try:
        session = session_of(argv)
        limit_threads()
        with session.active():
            if COMPLETE not in os.environ:
                require_utf8_names(argv)
                note_unread_variables()
            with panics_caught():
                run(list(session.words))
    except KeyboardInterrupt:
        return _interrupted("interrupted; run the same command again to go on")
    except InterruptedRunError as error:
        return _interrupted(str(error))
    except BrokenPipeError:
        discard(sys.stdout)  # the reader left: nothing more to say
        return 0
    except VoxtileError as error:
        return error.exit_status if error.is_told else _say(str(error), error.exit_status, trace=debug)
    except OSError as error:
        where = f"'{error.filename}': " if error.filename else ""
        if error.errno in _OF_THE_DISK:
            said = f"{where}{os.strerror(error.errno)}; see to the disk, then run the same command again"
            return _say(said, 2, trace=debug)
        return _say(f"{where}{error.strerror or error}; check the path and its permissions", 2, trace=debug)
    except Exception as error:  # a defect of ours: one sentence all the same
        if (own := own_cause(error)) is not None:
            return _say(str(own), own.exit_status, trace=debug)
        if type(error).__module__ == "_duckdb" and (failed := _failed_disk(error)) is not None:
            return _say(str(failed), failed.exit_status, trace=debug)
        if isinstance(error, ImportError) and (missing := _missing_extra(error)) is not None:
            return _say(str(missing), missing.exit_status, trace=debug)
        said = " ".join(str(error).split())
        sentence = f"unexpected {type(error).__name__}: {said if len(said) <= _LONGEST else f'{said[:_LONGEST]}…'}"
        return _say(f"{sentence}; run with --debug for the traceback", 1, trace=debug)
    return 0


def _open_streams() -> None:
    """Have all standard streams: a worker's pipe would take the place of one that is closed, as by some schedulers.

    Texts that a terminal's encoding has no letters for are written as escapes.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with suppress(OSError):  # it is open, and something else by now
                os.fstat(number)
                continue
            opened = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(opened, True)
            setattr(sys, name, open(opened, "r" if number == 0 else "w"))  # noqa: SIM115 - as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _missing_extra(error: ImportError) -> VoxtileError | None:
    from voxtile.extras import missing_extra

    return missing_extra(error)


def _failed_disk(error: Exception) -> VoxtileError | None:
    from voxtile.corpus.sql_condition import disk_error

    return disk_error(error)


def _interrupted(sentence: str) -> int:
    """Say it; another Ctrl-C while Python clears up would print where in a library it came."""
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    return _say(sentence, InterruptedRunError.exit_status)


def _say(sentence: str, status: int, *, trace: bool = False) -> int:
    if trace:
        traceback.print_exc()
    with suppress(OSError):  # on a full disk the status is all that can be told
        sys.stderr.write(harmless(f"{ERROR}{sentence}\n"))
    return status


def _dispatch(argv: list[str]) -> None:
    if (asked := os.environ.get(COMPLETE)) is not None:
        from voxtile.cli.completion import complete

        complete(asked)
        return
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(_help() + "\n")
        return
    if argv[0] == "--version":
        _say_version()
        return
    word, rest = argv[0], argv[1:]
    entry = COMMANDS.get(word)
    if entry is None and word.startswith("-"):
        raise ConfigError(f"there is no option '{word}'{nearest(word, _OPTIONS)}; see 'voxtile --help'")
    if entry is None:
        raise ConfigError(f"there is no command '{word}'{_hint(word, COMMANDS, 'voxtile --help')}")
    if isinstance(entry, Group):
        _call_member(word, entry, rest)
    elif entry.takes_argv:
        _train([word, *rest])
    else:
        prepare = settle_threads if entry.section == MODEL else None
        _call(entry.command, f"voxtile {word}", rest, adds=entry.adds, prepare=prepare)


def _say_version() -> None:
    from voxtile import __version__

    sys.stdout.write(f"voxtile {__version__}\n")


def _train(argv: list[str]) -> None:
    if argv[:1] == ["--version"]:
        _say_version()
        return
    from voxtile.cli.training_help import answered, check_words

    if answered(argv):
        return
    check_words(argv)
    settle_threads()
    defer_packages()
    with nothing_collected(to_the_end=True):
        train = Command("voxtile.cli.lightning:main", "").load()
    train(argv)


def _call(
    command: Command,
    name: str,
    argv: list[str],
    *,
    adds: bool,
    makes: bool = False,
    prepare: Callable[[], None] | None = None,
) -> None:
    from voxtile.cli.options import call

    call(command, name, argv, prepare=prepare, adds=adds, makes=makes)


def _call_member(word: str, group: Group, argv: list[str]) -> None:
    members = group.members()
    try:
        chosen, rest = _chosen(group, members, argv)
    except LookupError:
        if argv and (argv[0] in ("-h", "--help") or group.old_form is not None):
            sys.stdout.write(_group_help(word, group, members) + "\n")
            return
        article = "an" if group.noun[0] in "aeiou" else "a"
        raise ConfigError(
            f"'voxtile {word}' needs the name of {article} {group.noun}: {_names(members)}; "
            f"for example: {group.example}"
        ) from None
    if chosen not in members:
        raise ConfigError(
            f"there is no {group.noun} '{chosen}'{_hint(chosen, members, f'voxtile {word} --help')}{_broken()}"
        )
    name = f"voxtile {word} {group.selector} {chosen}" if group.selector else f"voxtile {word} {chosen}"
    command = members[chosen]
    if not command.example and chosen in group.example.split():
        command = replace(command, example=group.example)
    _call(command, name, rest, adds=group.adds, makes=group.makes)


def _chosen(group: Group, members: Mapping[str, Command], argv: list[str]) -> tuple[str, list[str]]:
    if group.selector:
        return _selected(group.selector, argv)
    if group.old_form is not None and argv and argv[0] not in members:
        if {"-h", "--help"} & set(argv):
            options = [word for word in argv if word.startswith("-") and word not in ("-h", "--help")]
            if argv[0].startswith("-") or options or os.path.exists(argv[0]):
                raise LookupError
            return _second_word(argv)  # neither a corpus nor a member
        return group.old_form(argv, members)
    return _second_word(argv)


def _second_word(argv: list[str]) -> tuple[str, list[str]]:
    if not argv or argv[0].startswith("-"):
        raise LookupError
    return argv[0], argv[1:]


def _selected(selector: str, argv: list[str]) -> tuple[str, list[str]]:
    for index, word in enumerate(argv):
        if word == selector and index + 1 < len(argv):
            return argv[index + 1], argv[:index] + argv[index + 2 :]
        if word.startswith(f"{selector}="):
            return word.partition("=")[2], argv[:index] + argv[index + 1 :]
    raise LookupError


def _hint(word: str, known: Mapping[str, object], help_command: str) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; there are: {_names(known)} (see '{help_command}')"


def _names(known: Mapping[str, object]) -> str:
    return ", ".join(sorted(known)) or "none"


def _broken() -> str:
    _, broken = discover()
    return "".join(f"; plugin '{plugin.name}' failed to load ({plugin.reason})" for plugin in broken)


def _help() -> str:
    lines = [
        "voxtile: train, ground and evaluate image-text models on CT and MR volumes, slides and satellite tiles",
        "",
        "Usage: voxtile COMMAND …          voxtile COMMAND --help explains one",
        "",
        "With any command: --quiet (neither progress nor notes), --log-level debug|info|warning|error,",
        "  --output-root DIR (where relative outputs and runs lie), --debug (tracebacks)",
    ]
    section = ""
    for entry in COMMANDS.values():
        if entry.section != section:
            section = entry.section
            lines += ["", f"{section}:"]
        about, example = _about(entry)
        lines += [f"  {entry.usage:<34} {about}", f"      {example}"]
    return "\n".join(lines)


def _about(entry: Entry | Group) -> tuple[str, str]:
    if isinstance(entry, Group):
        return entry.help, entry.example
    return entry.command.help, entry.command.example


def _group_help(word: str, group: Group, members: Mapping[str, Command]) -> str:
    lines = [f"{group.help[0].upper()}{group.help[1:]}.", "", f"Usage: voxtile {group.usage} [OPTIONS]", ""]
    lines += [f"  {name:<14} {command.help}" for name, command in sorted(members.items())] or ["  (none is installed)"]
    choice = (
        group.usage.partition(" ")[2].removesuffix("NAME") + group.noun.split()[0].upper() if group.selector else "NAME"
    )
    lines += ["", f"'voxtile {word} {choice} --help' shows the options."]
    lines += [f"The form of before, '{group.old_usage}', means one of them."] if group.old_usage else []
    lines += ["", "Example:", f"  {group.example}"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
