"""What holds for any command: tracebacks, how much is said beside the answer, and where files are written."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO, cast

from voxtile.command_end import command
from voxtile.console import harmless
from voxtile.errors import ConfigError, VoxtileError, cause_of, nearest
from voxtile.folders import OUTPUT_ROOT

COMPLETE = "_VOXTILE_COMPLETE"
"""Variable by which the shell's script asks what a word could go on as."""
ERROR = "voxtile: error: "
EVERYWHERE = ("--help", "--config", "--quiet", "--log-level", "--output-root", "--debug")
"""Options of every command."""
_LEVELS = ("debug", "info", "warning", "error")
_LEVEL, _ROOT = "--log-level", "--output-root"
_LEVEL_VARIABLE, _QUIET_VARIABLE = "VOXTILE_LOG_LEVEL", "VOXTILE_QUIET"


@dataclass(frozen=True)
class Session:
    """Options that every command has.

    Attributes:
        words: what is left of the command line without them.
        debug: show tracebacks.
        quiet: neither progress nor notes; the answer and errors stay.
        log_level: least level of what libraries log and warn of, on standard error; None leaves that to them.
        output_root: folder under which relative output paths lie, and runs.
    """

    words: tuple[str, ...]
    debug: bool = False
    quiet: bool = False
    log_level: str | None = None
    output_root: str | None = None

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """While it lasts, the options hold.

        Raises:
            ConfigError: there is no such log level.
            VoxtileError: standard output cannot be written to.
        """
        with contextlib.ExitStack() as stack, command():
            if self.output_root is not None:
                stack.enter_context(_variable(OUTPUT_ROOT, os.path.abspath(self.output_root)))
            if self.log_level is not None:
                _log(self.log_level)
            stack.enter_context(contextlib.redirect_stdout(cast(TextIO, _Answers(sys.stdout))))
            stack.enter_context(contextlib.redirect_stderr(cast(TextIO, _Harmless(sys.stderr))))
            if self.quiet:
                stack.enter_context(contextlib.redirect_stderr(_OnlyErrors(sys.stderr)))
            yield
            sys.stdout.flush()


def session_of(argv: Sequence[str]) -> Session:
    """Take the options of all commands out of a command line; the environment says what is not there.

    Raises:
        ConfigError: one of them lacks its value.
    """
    flags = {"--debug": False, "--quiet": os.environ.get(_QUIET_VARIABLE, "0").lower() not in ("", "0", "false", "no")}
    values = {_LEVEL: os.environ.get(_LEVEL_VARIABLE) or None, _ROOT: os.environ.get(OUTPUT_ROOT)}
    words: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if word == "--":
            words += [word, *rest]
            break
        if word in flags:
            flags[word] = True
        elif option in values:
            if not equals and not rest:
                raise ConfigError(f"{option} needs a value; see 'voxtile --help'")
            values[option] = value if equals else rest.pop(0)
        else:
            words.append(word)
    return Session(tuple(words), flags["--debug"], flags["--quiet"], values[_LEVEL], values[_ROOT] or None)


def _log(level: str) -> None:
    if level.lower() not in _LEVELS:
        raise ConfigError(f"{_LEVEL} must be one of {', '.join(_LEVELS)}, not '{level}'{nearest(level, _LEVELS)}")
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger().setLevel(level.upper())
    logging.getLogger("lightning.pytorch").setLevel(level.upper())
    logging.captureWarnings(True)


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


class _Harmless:
    """A stream to a terminal or file that hands on no codes for terminals but those of progress and colours."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colours = bool(os.environ.get("FORCE_COLOR")) or stream.isatty()

    def write(self, text: str) -> int:
        """Write a text, or a part of one."""
        self._stream.write(harmless(text, colours=self._colours))
        return len(text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of the stream
        return getattr(self._stream, name)


class _Answers(_Harmless):
    """Standard output that says so where it cannot be written to: whoever writes to it would blame its own files."""

    def write(self, text: str) -> int:
        """Write an answer, or a part of one."""
        with self._blamed():
            return super().write(text)

    def flush(self) -> None:
        """Write what was kept back."""
        with self._blamed():
            self._stream.flush()

    @contextlib.contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise  # the reader left
        except OSError as error:
            discard(self._stream)
            raise VoxtileError(
                f"standard output cannot be written to ({cause_of(error)}); what the command made stays: make room "
                "there, or send the answer elsewhere, then run it again"
            ) from error


def discard(stream: TextIO) -> None:
    """Have what is written to a stream, and what it keeps back for its end, go nowhere."""
    with contextlib.suppress(OSError):  # of a stream without a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _OnlyErrors(io.TextIOBase):
    """Standard error without what is no error of ours."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Pass a sentence on that says what is wrong, and drop the rest."""
        if text.startswith(ERROR):
            self._stream.write(text)
        return len(text)

    def fileno(self) -> int:
        """For processes that are started."""
        return self._stream.fileno()

    def flush(self) -> None:
        """Write what was passed on."""
        self._stream.flush()
