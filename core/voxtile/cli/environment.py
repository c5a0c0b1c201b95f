"""The environment variables that voxtile reads, and a note of those that begin like them and that nothing reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence

from voxtile.cli.entries import Entry, Group
from voxtile.cli.table import COMMANDS
from voxtile.domain import Command, discover
from voxtile.errors import ConfigError, VoxtileError, nearest

PREFIX = "VOXTILE_"
VARIABLES: Mapping[str, str] = {
    "VOXTILE_CACHE": "folder for what can be made again; `~/.cache/voxtile` where it is not set",
    "VOXTILE_CACHE_OWNER": "number of another user to whom that folder may belong, as where a container mounts it",
    "VOXTILE_CONFIG": "as `--config`",
    "VOXTILE_KEY_FILE": "key map in which `source:HASH` is looked up, where it does not lie beside the corpus",
    "VOXTILE_LOG_LEVEL": "as `--log-level`",
    "VOXTILE_OUTPUT_ROOT": "as `--output-root`",
    "VOXTILE_QUIET": "as `--quiet`",
    "VOXTILE_REFERENCES": "folders and addresses, with `:` between, in which files that samples refer to may lie",
    "VOXTILE_REFERENCES_MOVED": "OLD=NEW, with `:` between: where files that samples refer to lie now",
    "VOXTILE_REMOTE_CACHE_GB": "most gigabytes of remote corpora that are kept in the cache",
    "VOXTILE_REMOTE_PATIENCE_S": "seconds for which a store that has answered before may be away",
    "VOXTILE_TEST_DATA": "folder of real files for the tests of voxtile",
    "VOXTILE_WRITER_WAIT_S": "seconds for which a command waits for another that writes the same corpus; 60",
}
"""Variable: what it says. Those of options, of training and of domains are beside them."""
OWN = frozenset(("VOXTILE_FETCHER", "VOXTILE_THREADS_BY_QUOTA"))
"""Set by voxtile itself for the processes that it starts."""
_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")


def require_utf8_names(argv: Sequence[str]) -> None:
    """Refuse to read file names in another encoding: "Müller" would enter a corpus as other letters, or stop a worker.

    In ASCII, where other letters found in a folder are told file by file, only the words of the command matter.

    Raises:
        ConfigError: says how to have them read as UTF-8.
    """
    encoding = sys.getfilesystemencoding().lower()
    if encoding != "utf-8" and (encoding != "ascii" or not all(word.isascii() for word in argv)):
        raise ConfigError(f"file names are read as {encoding} here; set PYTHONUTF8=1, or a locale such as C.UTF-8")


def note_unread_variables() -> None:
    """Say once on standard error which variables begin with VOXTILE_ and are none, with the nearest that is one.

    What commands and a training take is looked up only where there are others than `VARIABLES`.
    """
    unread = {name for name in os.environ if name.startswith(PREFIX)} - VARIABLES.keys() - OWN
    if not unread or any(os.environ.get(rank, "0") != "0" for rank in _RANKS):  # the first of several processes says it
        return
    known = set(VARIABLES)
    for names in _others(named_like_settings=any("__" in name for name in unread)):
        known |= names
        unread -= names
        if not unread:
            return
    from voxtile.console import note

    for name in sorted(unread):
        if not _is_below(name, known):
            note(f"nothing reads the environment variable {name}{nearest(name, sorted(known))}")


def _others(*, named_like_settings: bool) -> Iterator[set[str]]:
    """Variables of domains, of the options of each command, and, where it is asked for, of settings of a training."""
    yield {variable for domain in discover()[0].values() for variable in domain.variables}
    for entry in COMMANDS.values():
        for command in _commands(entry):
            yield _of_command(command)
    if named_like_settings:
        yield _of_training()


def _commands(entry: Entry | Group) -> Iterator[Command]:
    if isinstance(entry, Group):
        yield from entry.members().values()
    elif not entry.takes_argv:
        yield entry.command


def _of_command(command: Command) -> set[str]:
    from voxtile.cli.signature import signature_of

    try:
        return {f"{PREFIX}{parameter.name.upper()}" for parameter in signature_of(command).parameters}
    except VoxtileError:  # a plugin's, which says so when it is called
        return set()


def _of_training() -> set[str]:
    from voxtile.cli.source.names import UnreadableError
    from voxtile.cli.training_help import SECTIONS, SUBCOMMANDS, WITHOUT_SECTION, parameters_of

    settings = {*SECTIONS, *WITHOUT_SECTION, "evaluate__tasks"}
    for section in SECTIONS:
        try:
            settings |= {f"{section}__{parameter.name}" for parameter in parameters_of(section)}
        except UnreadableError:  # another Lightning, whose parser knows what there is
            settings.add(f"{section}__*")
    return {f"{PREFIX}{word}__{setting}".upper() for word in SUBCOMMANDS for setting in settings}


def _is_below(name: str, known: set[str]) -> bool:
    """Whether a variable is of something within a setting of a training, which the setting's class knows."""
    parts = name.split("__")
    return f"{'__'.join(parts[:2])}__*" in known or "__".join(parts[:3]) in known
