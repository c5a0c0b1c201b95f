"""Prompts: versioned YAML files of the domains, filled in by a sandboxed Jinja2.

A file holds `name`, `version`, `domain`, `strategy` (the step of a strategy that it is for), optionally `modalities`
(samples it applies to; all by default), `system`, `template`, `examples` (a list of mappings) and `forbidden`
(inferences that the domain does not allow from its facts), and for prompts that tell facts `names` (concept → how it is
named to the model) and `statements` (concept → polarity → what is told as something that is there; `{image}` is the
picture). System and template see `examples` and `forbidden` beside what the strategy passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from voxtile.bounded_text import read_yaml
from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile_datasets.captions.wordings import normalise

_NEEDED = frozenset({"name", "version", "domain", "strategy", "template"})
_KEYS = _NEEDED | {"modalities", "system", "examples", "forbidden", "names", "statements"}
_GENERAL = "general"


@dataclass(frozen=True)
class Prompt:
    """A prompt file.

    Attributes:
        name, version, domain, strategy: as in the file.
        sha256: of the file's bytes; what a caption's `prompt_sha` holds.
        modalities: samples it applies to; empty for all.
        system: instructions (Jinja2), or None.
        template: the question (Jinja2).
        examples: shown to the model.
        forbidden: what must not be inferred, a sentence each.
        names: concept (normalised) → names.
        statements: concept (normalised) → polarity → what is said to be present.
        broken: why an installed file cannot be used, else empty: what it may be for is refused.
    """

    name: str
    version: str
    domain: str
    strategy: str
    sha256: str
    modalities: frozenset[str]
    system: str | None
    template: str
    examples: tuple[Mapping[str, Any], ...]
    forbidden: tuple[str, ...]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    statements: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    broken: str = ""

    def filled(self, **values: Any) -> tuple[str | None, str]:  # noqa: ANN401
        """System text and prompt with the values filled in; a value is never read as a template.

        Raises:
            ConfigError: the file names a value that the strategy does not pass, or is no template.
        """
        known = {"examples": self.examples, "forbidden": self.forbidden, **values}
        try:
            system = _compiled(self.system).render(known).strip() if self.system else None
            return system, _compiled(self.template).render(known).strip("\n")
        except TemplateError as error:
            raise ConfigError(f"the prompt '{self.name}@{self.version}' cannot be filled in: {error}") from error


@dataclass(frozen=True)
class PromptBook:
    """Prompts in the order of precedence: files of the user, then of the domains, then the general ones."""

    prompts: tuple[Prompt, ...]

    def find(self, strategy: str, modality: str | None) -> Prompt:
        """The first prompt of a strategy's step that applies to a modality.

        Raises:
            ConfigError: there is none, or a file that cannot be read may be it.
        """
        for prompt in self.prompts:
            if prompt.broken:
                raise ConfigError(prompt.broken)
            if prompt.strategy == strategy and (not prompt.modalities or modality in prompt.modalities):
                return prompt
        raise ConfigError(
            f"no prompt for '{strategy}' applies to the modality '{modality}'; give one with --prompts FOLDER"
        )

    def identity(self, strategies: Sequence[str]) -> list[str]:
        """Hashes of the files for some steps, in order."""
        return [prompt.sha256 for prompt in self.prompts if prompt.strategy in strategies]


def installed_prompts(folder: Path | None = None) -> PromptBook:
    """The prompts of all installed domains.

    A domain's file that cannot be read is there as a broken prompt: it stops nobody whose modality another names.

    Args:
        folder: YAML files that come before the installed ones.

    Raises:
        ConfigError: a file of the folder, or a general one, is malformed, or the folder holds none.
    """
    own = sorted(folder.glob("*.yaml")) if folder else []
    if folder and not own:
        raise ConfigError(f"'{folder}' holds no prompt files (*.yaml)")
    domains, _ = discover()
    special = [
        _prompt_of_domain(name, path) for name, domain in domains.items() if name != _GENERAL for path in domain.prompts
    ]
    special.sort(key=lambda prompt: bool(prompt.broken))
    general = domains[_GENERAL].prompts if _GENERAL in domains else ()
    return PromptBook((*map(load_prompt, own), *special, *map(load_prompt, general)))


def _prompt_of_domain(name: str, path: Path) -> Prompt:
    try:
        return load_prompt(path)
    except ConfigError as error:
        said = f"{error} (of the plugin '{name}'); mend or remove it, or give the prompts with --prompts FOLDER"
        return Prompt(name, "", name, "", "", frozenset(), None, "", (), (), broken=said)


def load_prompt(path: Path) -> Prompt:
    """Read a prompt file.

    Raises:
        ConfigError: the file is missing or malformed; the sentence names the place in it.
    """
    data, content = read_yaml(path, "the prompt")
    if not isinstance(content, dict) or not content.keys() >= _NEEDED or not content.keys() <= _KEYS:
        raise ConfigError(f"the prompt '{path}' must be a mapping with the keys {', '.join(sorted(_KEYS))}")
    system = content.get("system")
    prompt = Prompt(
        **{key: str(content[key]) for key in ("name", "version", "domain", "strategy", "template")},
        sha256=hashlib.sha256(data).hexdigest(),
        modalities=frozenset(_list_of(str, content, "modalities", path)),
        system=str(system) if system else None,
        examples=tuple(_list_of(dict, content, "examples", path)),
        forbidden=tuple(_list_of(str, content, "forbidden", path)),
        names=_names(content.get("names"), f"the prompt '{path}', names"),
        statements={
            normalise(str(concept)): _names(said, f"the prompt '{path}', statements of '{concept}'")
            for concept, said in _mapping(content.get("statements"), f"the prompt '{path}', statements").items()
        },
    )
    for text in filter(None, (prompt.system, prompt.template)):
        try:
            _compiled(text)
        except TemplateError as error:
            raise ConfigError(f"the prompt '{path}' is no Jinja2 template: {error}") from error
    return prompt


def _list_of(kind: type, content: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    values = content.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise ConfigError(f"the prompt '{path}', {key}: must be a list of {'texts' if kind is str else 'mappings'}")
    return values


def _names(value: Any, where: str) -> dict[str, tuple[str, ...]]:  # noqa: ANN401
    """Concept, or polarity, to texts."""
    found: dict[str, tuple[str, ...]] = {}
    for key, texts in _mapping(value, where).items():
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"{where}, '{key}': must be a list of texts")
        found[normalise(str(key))] = tuple(texts)
    return found


def _mapping(value: Any, where: str) -> Mapping[Any, Any]:  # noqa: ANN401
    if value is not None and not isinstance(value, dict):
        raise ConfigError(f"{where}: must be a mapping")
    return value or {}


@lru_cache(maxsize=256)
def _compiled(text: str) -> Template:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(text)
