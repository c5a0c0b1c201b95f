"""`voxtile.convert`: files into a corpus, as `voxtile convert` does it, with an object for what became of them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from io import StringIO
from numbers import Integral, Real
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import pyarrow as pa

from voxtile.api.corpus import OpenedCorpus, open_corpus
from voxtile.api.wording import said_in_python
from voxtile.corpus.packing.same_folder import noted_folders
from voxtile.domain import Command, discover
from voxtile.engine.options import RunOptions
from voxtile.engine.summary import RunSummary, collected_summaries
from voxtile.errors import ConfigError, RunFailedError, nearest

if TYPE_CHECKING:
    import pandas as pd

_PLAIN: Mapping[str, tuple[Any, str]] = {
    "str": (str, "a text"),
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "bool": (bool, "True or False"),
    "Path": ((str, os.PathLike), "a path"),
    "None": (type(None), "None"),
}
"""What an option of such a type takes, and its name in words."""


@dataclass(frozen=True)
class Conversion:
    """What a conversion has done.

    Attributes:
        corpus: folder of the corpus.
        summary: what became of the inputs: `used`, `dropped`, `failed`, `samples`, and `reasons`.
        further: summaries of what followed, such as attaching masks, by task.
        said: what the command prints.
    """

    corpus: Path
    summary: RunSummary
    further: Mapping[str, RunSummary]
    said: str

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in self.summary.counts().items())
        return f"Conversion({str(self.corpus)!r}: {counts})"

    def open(self) -> OpenedCorpus:
        """The corpus."""
        return open_corpus(self.corpus)

    @property
    def ledger(self) -> pa.Table:
        """The verdict on every source, with its reason, as Arrow."""
        return self.open().ledger()

    def to_pandas(self) -> pd.DataFrame:
        """The ledger as a data frame."""
        from voxtile.api.frames import to_pandas

        return to_pandas(self.ledger)


def convert(
    kind: str,
    source: str | os.PathLike[str],
    corpus: str | os.PathLike[str],
    *,
    check: bool = True,
    **options: Any,  # noqa: ANN401 - the options of a converter, which its own signature checks
) -> Conversion:
    """Convert files into a corpus; call it again to resume, or to add what is new.

    Args:
        kind: dicom, nifti, image, wsi, geotiff, or what else is installed.
        source: file or folder.
        corpus: folder of the corpus; made if it does not exist.
        check: raise if an input failed; the others are committed all the same. With False, see `summary.failed`.
        options: those of `voxtile convert KIND --help`, with `_` for `-`, among them how to run: workers, retry, ….

    Raises:
        ConfigError: no such kind or option, or a value of another type than the option's.
        InputError: there is no such source, or nothing in it.
        RunFailedError: an input failed; the ledger names it.
    """
    function = _converter(kind).load()
    _check_options(function, kind, options)
    stream = StringIO()
    target = Path(corpus)
    given = {name: _as_declared(function, name, value) for name, value in options.items()}
    with collected_summaries() as found, redirect_stdout(stream), said_in_python(), noted_folders([target]):
        try:
            function(Path(source), target, **given)
        except RunFailedError:
            if check or not found:
                raise
    (_, summary), *further = found or [("", RunSummary())]
    return Conversion(target, summary, dict(further), stream.getvalue())


def _converter(kind: str) -> Command:
    converters = {name: command for domain in discover()[0].values() for name, command in domain.converters.items()}
    if kind not in converters:
        broken = "".join(f"; plugin '{b.name}' failed to load ({b.reason})" for b in discover()[1])
        raise ConfigError(f"there is no converter '{kind}'; there are: {', '.join(sorted(converters))}{broken}")
    return converters[kind]


def _check_options(function: Callable[..., Any], kind: str, options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(function).parameters.values()
    known = {p.name: str(p.annotation) for p in parameters if p.kind is p.KEYWORD_ONLY}
    hints = get_type_hints(function)
    for p in parameters:
        if p.kind is p.VAR_KEYWORD:
            shared = _shared_options(function, p)
            known = {field.name: str(field.type) for field in fields(shared)} | known
            hints = get_type_hints(shared) | hints
    for name, value in options.items():
        if name not in known:
            raise ConfigError(f"the converter '{kind}' has no option '{name}'{nearest(name, known)}")
        types = [word.strip() for word in known[name].split("|")]
        if set(types) <= _PLAIN.keys() and not any(isinstance(value, _PLAIN[one][0]) for one in types):
            wanted = " or ".join(_PLAIN[one][1] for one in types)
            raise ConfigError(f"the option '{name}' of the converter '{kind}' is {wanted}, not {value!r:.80}")
        if wanted := _other_choices(hints[name], value):
            raise ConfigError(f"the option '{name}' of the converter '{kind}' is {wanted}, not {value!r:.80}")


def _other_choices(hint: object, value: object) -> str:
    """What an option with a closed list of values may be, in words, where the value is none of it; else nothing."""
    parts = [hint] if get_origin(hint) is Literal else get_args(hint)
    choices = [choice for part in parts if get_origin(part) is Literal for choice in get_args(part)]
    types = [_PLAIN[name] for part in parts if (name := getattr(part, "__name__", "")) in _PLAIN]
    if not choices or value in choices or any(isinstance(value, kind) for kind, _ in types):
        return ""
    return " or ".join([*(repr(choice) for choice in choices), *(words for _, words in types)])


def _shared_options(function: Callable[..., Any], parameter: inspect.Parameter) -> type:
    """The dataclass that `**run: Any` or `**options: Annotated[Any, ThingOptions]` of a converter stands for."""
    written = SimpleNamespace(__annotations__={"options": parameter.annotation})
    hint = get_type_hints(written, vars(inspect.getmodule(function)), include_extras=True)["options"]
    return next((one for one in get_args(hint)[1:] if isinstance(one, type)), RunOptions)


def _as_declared(function: Callable[..., Any], name: str, value: object) -> object:
    """A path as text where the converter takes a Path."""
    parameter = inspect.signature(function).parameters.get(name)
    takes_path = parameter is not None and "Path" in str(parameter.annotation)
    return Path(value) if takes_path and isinstance(value, str | os.PathLike) else value
