"""Help and typing errors of `lightning fit|validate|test|predict`, from the texts of the classes that a config sets.

LightningCLI imports all of them, which takes several seconds, before it can say that a word is misspelt.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from voxtile.cli.help import WIDTH, option_lines
from voxtile.cli.source.classes import Argument, constructor_of
from voxtile.cli.source.names import UnreadableError
from voxtile.cli.training_values import check_values
from voxtile.errors import ConfigError, nearest
from voxtile.training.config_file import FLAGS, with_files

SECTIONS: Mapping[str, tuple[str, str]] = {
    "data": ("voxtile.data.datamodule:CorpusDataModule", "What it is trained on"),
    "model": ("voxtile.training.module:ContrastiveModule", "What is trained"),
    "checkpoint": ("voxtile.training.callbacks.checkpoints:RunCheckpoint", "What is kept of a run"),
    "telemetry": ("voxtile.training.callbacks.telemetry:Telemetry", "What is measured of it"),
    "ranks": ("voxtile.training.callbacks.rank_watch:RankWatch", "How its processes watch each other"),
    "trainer": ("lightning.pytorch.trainer.trainer:Trainer", "How it runs: the trainer of Lightning"),
}
"""Beginning of the options: the class whose arguments they are, and what they are about."""
_OWN: Mapping[str, str] = {
    "-c CONFIG": "a YAML file, or the name of a config that 'voxtile domains' lists, e.g. medical/ct; of several the "
    "last counts",
    "--name TEXT": "folder of the run under runs (default: run)",
    "--ckpt_path PATH": "a checkpoint, or last: the newest one of the run",
    "--evaluate.tasks [TEXT,…]": "tasks that test runs, by name or file",
    "--mixed_precision BOOL": "bf16-mixed where trainer.precision is left open and the device computes in bfloat16",
    "--seed_everything N": "seed of all random numbers (default: 0)",
    "--print_config": "print the whole config and stop",
}
SUBCOMMANDS: Mapping[str, str] = {
    "fit": "Train a model",
    "validate": "Print losses and metrics of the validation split",
    "test": "Write the zero-shot report of a trained model",
    "predict": "Write embeddings by a trained model as a Parquet table",
}
WITHOUT_SECTION = (
    *(
        "ckpt_path",
        "config",
        "evaluate",
        "help",
        "mixed_precision",
        "name",
        "print_config",
        "return_predictions",
        "seed_everything",
    ),
    *("verbose", "voxtile_version", "weights_only"),
)
"""Names of options that belong to no section, of any subcommand."""
_TRAINED: Mapping[str, str] = dict.fromkeys(("validate", "test", "predict"), " --ckpt_path last")
_NOTES = (
    "What is shown as {…} is a class or a mapping: YAML with class_path and init_args. --model.encoder.help CLASS "
    "lists what CLASS takes.",
    "Every option can stand in the config too. --debug shows tracebacks.",
)


def answered(argv: Sequence[str]) -> bool:
    """Print the help, where it is asked for and the texts of the classes tell it.

    Args:
        argv: the words after the program's name.

    Returns:
        Whether nothing else is left to do.
    """
    if not {"-h", "--help"} & set(argv):
        return False
    try:
        lines = list(_help(argv[0]) if argv[0] in SUBCOMMANDS else _list())
    except UnreadableError:  # another Lightning: its own parser says what there is
        return False
    sys.stdout.write("\n".join(lines) + "\n")
    return True


def check_words(argv: Sequence[str]) -> None:
    """Refuse subcommands, options and configs that there are not, before anything is imported.

    What only the class of a setting knows, below the first name of a section, is left to it.

    Args:
        argv: the words after the program's name.

    Raises:
        ConfigError: a word is misspelt, a plain value is of another type, or a config is not there or cannot be read.
    """
    _refuse_subcommand(argv)
    if argv[0].startswith("-"):  # a config for all subcommands
        return
    try:
        known = {f"{section}.{p.name}" for section in SECTIONS for p in parameters_of(section)}
    except UnreadableError:
        return
    _refuse_strays(argv)
    names = {*SECTIONS, *WITHOUT_SECTION}
    for word in argv[1:]:
        written = word.partition("=")[0].removeprefix("--").removesuffix("+")
        section, dot, rest = written.partition(".")
        key = f"{section}.{rest.partition('.')[0]}"
        if not word.startswith("--") or not written:
            continue
        if section not in names:
            raise ConfigError(f"there is no option '{written}'{nearest(section, names)}; --help lists all")
        if dot and section in SECTIONS and key not in known and rest != "help":
            raise ConfigError(f"there is no option '{written}'{nearest(key, known)}; --help lists all")
    words = list(with_files(argv))
    from voxtile.training.named_inputs import check_named_inputs, given_settings  # once the words fit: it needs pyarrow

    settings = given_settings(words[1:])
    if not any(word.startswith("--print_config") for word in words):
        check_named_inputs(settings)
    check_values(settings, {section: target for section, (target, _) in SECTIONS.items()})


def _refuse_subcommand(argv: Sequence[str]) -> None:
    there_are = ", ".join(SUBCOMMANDS)
    if not argv:
        raise ConfigError(f"give one of {there_are}, and name a config, e.g.: lightning fit -c medical/ct")
    option = argv[0].partition("=")[0]
    if not option.startswith("-") and argv[0] not in SUBCOMMANDS:
        raise ConfigError(f"there is no '{argv[0]}'{nearest(argv[0], SUBCOMMANDS)}; there are {there_are}")
    close = nearest(option, ("--help", "--version", "--config")) if option.startswith("-") else ""
    if close and option not in (*FLAGS, "--print_config"):
        raise ConfigError(f"there is no option '{option}'{close}")


def _refuse_strays(argv: Sequence[str]) -> None:
    """Refuse a word that is neither an option nor the value of one, a config without a name, and no config at all.

    Raises:
        ConfigError: the sentence says where a config goes.
    """
    before = ""
    for word in argv[1:]:
        if word[:1] == "-" and word[1:2].isalpha() and not word.startswith("-c"):
            raise ConfigError(f"there is no option '{word}'; --help lists all")
        if not word.startswith("-") and (not before or "=" in before):
            raise ConfigError(f"'{word}' stands behind no option; {_where_it_goes(argv, word)}")
        before = word if word.startswith("-") else ""
    if before in FLAGS:
        raise ConfigError(f"{before} needs the name of a config or a file, e.g. {before} medical/ct")
    given = [word for word in argv[1:] if word.startswith((*FLAGS, "--model", "--print_config")) or ".help" in word]
    if not given and not any(
        name.startswith(("VOXTILE_CONFIG", f"VOXTILE_{argv[0].upper()}__")) for name in os.environ
    ):
        raise ConfigError(f"no config was named; for example: lightning {argv[0]} -c medical/ct --data.corpus CORPUS")


def _where_it_goes(argv: Sequence[str], word: str) -> str:
    if any(one.startswith(FLAGS) for one in argv):
        return "a corpus goes behind --data.corpus, a checkpoint behind --ckpt_path"
    return f"a config goes behind -c: lightning {argv[0]} -c {word}"


def parameters_of(section: str) -> Sequence[Argument]:
    """The arguments of a section's class."""
    return constructor_of(SECTIONS[section][0])


def _list() -> Iterator[str]:
    yield from ("Usage: lightning SUBCOMMAND -c CONFIG [OPTIONS]          also as 'voxtile SUBCOMMAND'", "")
    yield from (f"  {name:<10} {about}" for name, about in SUBCOMMANDS.items())
    yield from ("", "'lightning SUBCOMMAND --help' shows the options.")


def _help(subcommand: str) -> Iterator[str]:
    yield f"{SUBCOMMANDS[subcommand]}."
    yield from ("", f"Usage: voxtile {subcommand} -c CONFIG [OPTIONS]          also as 'lightning {subcommand}'", "")
    yield "Options:"
    for label, text in _OWN.items():
        yield from option_lines(label, text)
    for section, (_, title) in SECTIONS.items():
        yield from ("", f"{title}:")
        for parameter in parameters_of(section):
            yield from option_lines(*_described(section, parameter))
    for note in _NOTES:
        yield from ("", *textwrap.wrap(note, WIDTH))
    yield from (
        "",
        "Example:",
        f"  voxtile {subcommand} -c medical/ct --data.corpus corpus{_TRAINED.get(subcommand, '')}",
    )


def _described(section: str, parameter: Argument) -> tuple[str, str]:
    shown = "" if parameter.is_required or parameter.default in ("None", "()") else f" (default: {parameter.default})"
    return f"--{section}.{parameter.name} {parameter.hint}", parameter.help + (
        " (required)" if parameter.is_required else shown
    )
