"""What a training names that is not there, which is asked before what reads it is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from voxtile.corpus.header import check_corpus
from voxtile.corpus.remote.address import parse_address
from voxtile.errors import CheckpointError, ConfigError
from voxtile.training.config_bases import merged, read_config
from voxtile.training.config_file import FLAGS, config_path
from voxtile.written_by import KEY, refuse_newer

_ANEW = "last"  # the newest checkpoint of the run, or none
_EVERYTHING = "all"  # no curated view


def require_checkpoint(path: Path) -> None:
    """Refuse a path at which there is no file.

    Raises:
        CheckpointError: there is none.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint '{path}' does not exist; give the path of a .ckpt file that training wrote")


def check_named_inputs(settings: Mapping[str, Any]) -> None:
    """Refuse a corpus, a curated view or a checkpoint that is not there.

    Args:
        settings: what `given_settings` gives.

    Raises:
        ConfigError: a newer voxtile wrote the config, the corpus has an empty name, or no such view.
        CorpusError: `data.corpus` is a folder that is no corpus.
        CheckpointError: `ckpt_path` is the path of nothing.
    """
    refuse_newer(settings.get(KEY), "the config", ConfigError)  # what it names may mean something else
    data = settings.get("data")
    corpus = data.get("corpus") if isinstance(data, Mapping) else None
    for folder in corpus if isinstance(corpus, list) else [corpus]:
        if folder == "":  # of a shell's variable that is not set; the parser takes it for the folder one is in
            raise ConfigError("data.corpus must be the folder of a corpus, not ''")
        if isinstance(folder, str) and _is_plain(folder) and parse_address(folder) is None:
            check_corpus(Path(folder))
            if folder == corpus and isinstance(data, Mapping):
                _check_view(Path(folder) / "views", data)
    checkpoint = settings.get("ckpt_path")
    if isinstance(checkpoint, str) and _is_plain(checkpoint) and checkpoint != _ANEW:
        require_checkpoint(Path(checkpoint))


def _check_view(views: Path, data: Mapping[str, Any]) -> None:
    """Refuse a view that is in no folder of views; a condition makes one."""
    view, folder = data.get("view", _EVERYTHING), data.get("view_folder")
    settled = (folder is None or (isinstance(folder, str) and _is_plain(folder))) and data.get("where") is None
    if settled and view != _EVERYTHING and isinstance(view, str) and _is_plain(view) and "/" not in view:
        from voxtile.corpus.view.selection import find_selection  # late: it imports DuckDB, and most take everything

        find_selection([*([Path(folder)] if folder else []), views], view, view, None)


def given_settings(argv: Sequence[str]) -> Mapping[str, Any]:
    """What config and command line say together; the latter counts.

    Args:
        argv: the words after the subcommand, whose configs can be read.
    """
    settings: Any = {}
    for name, value in _given(argv):
        if f"-{name}" in FLAGS or f"--{name}" in FLAGS:
            settings = merged(settings, read_config(Path(config_path(value))))
        else:
            settings = _with(settings, name.split("."), value)
    return settings if isinstance(settings, Mapping) else {}


def _with(settings: Any, names: Sequence[str], value: Any) -> Any:  # noqa: ANN401 - what YAML holds
    """Settings with one set; a text in which it lies is the name of a class, of which it is an argument."""
    if not names:
        return value
    under = {"class_path": settings} if isinstance(settings, str) else settings
    inner = under.get(names[0]) if isinstance(under, Mapping) else None
    return merged(under, {names[0]: _with(inner, names[1:], value)})


def _given(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options and their values, without dashes."""
    for word, after in zip_longest(argv, argv[1:], fillvalue=""):
        name, equals, value = word.partition("=")
        if name.startswith("-") and not name.endswith("+"):
            yield name.lstrip("-"), value if equals else after


def _is_plain(text: str) -> bool:
    """Whether a text is a path, not YAML that the parser reads."""
    return bool(text) and text != "null" and not text.startswith(("[", "{", "-"))
