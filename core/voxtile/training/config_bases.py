"""What configs have in common: a config names its bases, and says only what is its own.

`base: [small, medical/ct-input]` at the top of a config takes what these files say: later ones over earlier ones, and
the config's own settings over all. Mappings are merged key by key, unless the two name different classes
(`class_path`); anything else, lists and null among them, replaces what the base says. A term of `model.objectives` that
is null is taken out, with its weight. A base may have bases. Names without a slash are files in `bases` beside this
module, `domain/name` is a file in `bases` of a plugin's YAML files or one of its configs, and what ends in `.yaml` is a
file beside the config that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_config
from voxtile.domain import discover
from voxtile.errors import ConfigError, nearest
from voxtile.listed_classes import current_name
from voxtile.short_class_names import full_name
from voxtile.written_by import KEY as VERSION
from voxtile.written_by import refuse_newer

KEY = "base"
_OF_CORE = Path(__file__).parent / "bases"
_READ: ContextVar[tuple[str, Path] | None] = ContextVar("the text that a parser reads, and its file", default=None)

Load = Callable[[str], Any]


def read_config(path: Path, load: Load | None = None) -> Any:  # noqa: ANN401 - what a YAML file holds
    """Content of a config with what its bases say.

    Args:
        path: of the file.
        load: reads YAML, which is held to the bounds of `voxtile.bounded_text` before; `load_yaml` where left out.

    Raises:
        ConfigError: a file cannot be read or is no YAML, a newer version wrote it, a base is not known or no
            mapping, or bases name each other.
    """
    return _Reader(load).content(path)


def merged(under: Any, over: Any) -> Any:  # noqa: ANN401 - what YAML files hold
    """What one file says over what its base says; neither is changed."""
    if not isinstance(under, Mapping) or not isinstance(over, Mapping) or _classes_differ(under, over):
        return over
    return {**under, **{key: merged(under[key], value) if key in under else value for key, value in over.items()}}


@contextmanager
def reading(text: str, path: Path) -> Iterator[None]:
    """While it lasts, the loader made by `with_bases` takes this text for that of the config `path`."""
    token = _READ.set((text, path))
    try:
        yield
    finally:
        _READ.reset(token)


def with_bases(load: Load) -> Load:
    """A YAML loader for a parser of configs: it adds the bases of the config that is read, and of no other text."""

    def loader(text: str) -> Any:  # noqa: ANN401 - what YAML holds
        read, content = _READ.get(), load(text)
        if read is None or read[0] != text or not isinstance(content, Mapping) or KEY not in content:
            return content
        return _Reader(load).with_bases(content, read[1], ())

    return loader


def named_bases() -> dict[str, Path]:
    """What a config can name as a base, beside files: bases of the core, bases and configs of plugins."""
    known = {path.stem: path for path in sorted(_OF_CORE.glob("*.yaml"))}
    for domain in discover()[0].values():
        files = domain.configs() | domain.production_configs() | domain.bases()
        known |= {f"{domain.name}/{name}": path for name, path in files.items()}
    return known


class _Reader:
    """Reads a config and its bases, each file once."""

    def __init__(self, load: Load | None) -> None:
        self._load = load
        self._known: dict[Path, Any] = {}

    def content(self, path: Path, trail: tuple[Path, ...] = ()) -> Any:  # noqa: ANN401 - what a YAML file holds
        """Content of a file; `trail` has the files that led to it."""
        file = path.resolve()
        if file in trail:
            round_trip = " → ".join(f"'{step.name}'" for step in (*trail[trail.index(file) :], file))
            raise ConfigError(f"config '{path}' is a base of itself: {round_trip}; take one of them out of '{KEY}'")
        if file not in self._known:
            content = load_config(path, self._load)
            if isinstance(content, Mapping):  # keys and classes of a newer version would be called mistakes
                refuse_newer(content.get(VERSION), f"config '{path}'", ConfigError)
            self._known[file] = self.with_bases(content, path, trail)
        return self._known[file]

    def with_bases(self, content: Any, path: Path, trail: tuple[Path, ...]) -> Any:  # noqa: ANN401 - what YAML holds
        """Content of a file over its bases."""
        if not isinstance(content, Mapping) or KEY not in content:
            return content
        names = [content[KEY]] if isinstance(content[KEY], str) else content[KEY]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"'{KEY}' in config '{path}' must be a list of names or files, such as [small]")
        result: Any = {}
        for name in names:
            base = self.content(_base_path(name, path), (*trail, path.resolve()))
            if not isinstance(base, Mapping):
                raise ConfigError(f"the base '{name}' of config '{path}' is no mapping of settings; correct its file")
            result = merged(result, base)
        return _without_null_terms(merged(result, {key: value for key, value in content.items() if key != KEY}))


def _without_null_terms(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config without the terms of the loss that it sets to null, and without their weights."""
    model = config.get("model")
    terms = model.get("objectives") if isinstance(model, Mapping) else None
    out = {name for name, term in terms.items() if term is None} if isinstance(terms, Mapping) else set()
    if not out or not isinstance(model, Mapping):
        return config
    kept = {
        part: {name: value for name, value in model[part].items() if name not in out}
        for part in ("objectives", "weights")
        if isinstance(model.get(part), Mapping)
    }
    return {**config, "model": {**model, **kept}}


def _base_path(name: str, config: Path) -> Path:
    if Path(name).suffix in (".yaml", ".yml"):
        if (file := config.parent / name).is_file():
            return file
        raise ConfigError(f"config '{config}' has the base '{name}', and there is no file '{file}'")
    known = named_bases()
    if name in known:
        return known[name]
    others = ", ".join(base for base in known if "/" not in base)
    hint = nearest(name, known) or f"; there are {others}, bases and configs of domains, and files that end in .yaml"
    raise ConfigError(f"config '{config}' has the base '{name}', and there is none of that name{hint}")


def _classes_differ(under: Mapping[str, Any], over: Mapping[str, Any]) -> bool:
    first, second = under.get("class_path"), over.get("class_path")
    return isinstance(first, str) and isinstance(second, str) and _in_full(first) != _in_full(second)


def _in_full(name: str) -> str:
    return current_name(full_name(name) or name if name.isidentifier() else name)
