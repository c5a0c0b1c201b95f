"""`voxtile caption CORPUS --provider NAME …`: which way it means, as it was written before each had its own command.

The provider says the way, and stays as an option of `model` alone. Options of another way used to be taken and to say
nothing; they still do, with a note.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from voxtile.cli.signature import Parameter, signature_of
from voxtile.domain import Command
from voxtile.errors import ConfigError

_BOOLEANS = ("true", "false", "yes", "no")


def way_and_words(words: Sequence[str], ways: Mapping[str, Command]) -> tuple[str, list[str]]:
    """The way that a command line of the old form means, and the words for its command.

    Args:
        words: what stands after `voxtile caption`.
        ways: the commands by name; `model` is that of a provider that is none of the others.

    Raises:
        ConfigError: the first word is no folder, and nearly the name of a way; or `--config` names no YAML mapping.
    """
    first = words[0] if words else ""
    near = difflib.get_close_matches(first, ways, n=1)
    if near and not Path(first).exists():
        raise ConfigError(f"there is no way '{first}' to caption; did you mean '{near[0]}'?")
    options = {
        way: {p.name: p for p in signature_of(command).parameters if p.is_option} for way, command in ways.items()
    }
    known = {name: parameter for own in options.values() for name, parameter in own.items()}
    given = list(_options(_with_config(words), known))
    provider = os.environ.get("VOXTILE_PROVIDER", "template")
    for name, parts in given:
        if name == "provider":
            provider = parts[-1].partition("=")[2] or parts[-1]
    way = provider if provider in ways else "model"
    others = set(known) - set(options[way])
    if left_out := sorted({known[name].option for name, _ in given if name in others and name != "provider"}):
        sys.stderr.write(f"note: {', '.join(left_out)}: not of 'voxtile caption {way}', and without effect\n")
    kept = [part for name, parts in given if name not in others and name != "provider" for part in parts]
    return way, [*kept, "--provider", provider] if way == "model" else kept


def _options(words: Sequence[str], known: Mapping[str, Parameter]) -> Iterator[tuple[str, list[str]]]:
    """Options with the words that they are made of; arguments, and what is not known, have no name."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name = word[2:].partition("=")[0].replace("-", "_") if word.startswith("--") else ""
        name = name if name in known else name.removeprefix("no_")
        if name not in known:
            yield "", [word]
            continue
        takes = "=" not in word and bool(rest) and (not known[name].is_flag or rest[0].lower() in _BOOLEANS)
        yield name, [word, rest.pop(0)] if takes else [word]


def _with_config(words: Sequence[str]) -> list[str]:
    """The words, with those for which a config file stands in its place: not all of its keys are of one way."""
    for index, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag == "--config" and (equals or words[index + 1 :]):
            file, after = (value, index + 1) if equals else (words[index + 1], index + 2)
            return [*words[:index], *_words_of(Path(file)), *_with_config(words[after:])]
    return list(words)


def _words_of(file: Path) -> Iterator[str]:
    from voxtile.bounded_text import load_config

    content = load_config(file)
    if not isinstance(content, dict):
        raise ConfigError(f"the config '{file}' is no mapping of options; correct the file")
    for name, value in content.items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            yield text if name == "corpus" else f"--{name}={text}"
