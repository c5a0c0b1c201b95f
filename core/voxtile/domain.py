"""What a domain plugin offers, and how plugins are found.

A plugin is any installed distribution with an entry point in the group `voxtile.domains` that names a `Domain`.
Targets are strings ("module:function") so that listing domains imports none of their code.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voxtile.errors import ConfigError

ENTRY_POINT_GROUP = "voxtile.domains"


@dataclass(frozen=True)
class Command:
    """A function that the command line offers.

    Attributes:
        target: "module:function".
        help: one line.
        example: a whole command line that works, for the help.
    """

    target: str
    help: str
    example: str = ""

    def load(self) -> Callable[..., Any]:
        """Import the module and return the function.

        Raises:
            ConfigError: the module cannot be imported or has no such function.
            MissingExtraError: a package that an extra brings is not installed.
        """
        module, _, name = self.target.partition(":")
        try:
            function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            from voxtile.extras import missing_extra

            if isinstance(error, ImportError) and (missing := missing_extra(error, module)) is not None:
                raise missing from error
            raise ConfigError(f"'{self.target}' cannot be loaded: {error}") from error
        return function


def _nothing() -> Mapping[str, Command]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Domain:
    """What a plugin adds to voxtile.

    Attributes:
        name: short name, used in task and config names (`medical` in `medical/ct`).
        title: one line for people.
        files: folder with the domain's `*.yaml` configs, `production/*.yaml` and `tasks/*.yaml`; None if it has none.
        converters: name → command, for `voxtile convert NAME SOURCE CORPUS`.
        phantoms: name → command, for `voxtile phantom NAME OUT`.
        recipes: name → command, for `voxtile build NAME SOURCE CORPUS`.
        facts: name → command, for `voxtile facts CORPUS --from NAME`.
        scores: name → command, for `voxtile score CORPUS --from NAME`.
        describers: name → command, for `voxtile describe CORPUS --with NAME`.
        exports: name → command, for `voxtile export CORPUS OUT --to NAME`.
        readers: name → function that opens a file (a Path) which samples with `codec: ref` refer to; it returns a
            `voxtile.corpus.references.ReferencedFile`.
        wordings: wording-bank files (YAML) for template captions.
        claims: vocabulary files (YAML) of what the domain's captions can claim, for checking them.
        prompts: prompt files (YAML) for captions by a language model.
        classes: presets, towers, objectives and the like ("module:Class") that checkpoints and exports may name;
            theirs that are not listed are refused, since a checkpoint may come from anybody.
    """

    name: str
    title: str
    files: Path | None = None
    converters: Mapping[str, Command] = field(default_factory=_nothing)
    phantoms: Mapping[str, Command] = field(default_factory=_nothing)
    recipes: Mapping[str, Command] = field(default_factory=_nothing)
    facts: Mapping[str, Command] = field(default_factory=_nothing)
    scores: Mapping[str, Command] = field(default_factory=_nothing)
    describers: Mapping[str, Command] = field(default_factory=_nothing)
    exports: Mapping[str, Command] = field(default_factory=_nothing)
    readers: Mapping[str, Command] = field(default_factory=_nothing)
    wordings: tuple[Path, ...] = ()
    claims: tuple[Path, ...] = ()
    prompts: tuple[Path, ...] = ()
    classes: tuple[str, ...] = ()

    def configs(self) -> dict[str, Path]:
        """Training configs by name, e.g. `{"ct": …/ct.yaml}`."""
        return {p.stem: p for p in sorted(self.files.glob("*.yaml"))} if self.files else {}

    def production_configs(self) -> dict[str, Path]:
        """Training configs of the size for GPUs, by name, e.g. `{"ct-vit": …/production/ct-vit.yaml}`."""
        return {p.stem: p for p in sorted((self.files / "production").glob("*.yaml"))} if self.files else {}

    def tasks(self) -> dict[str, Path]:
        """Evaluation tasks by name, e.g. `{"ct-findings": …/tasks/ct-findings.yaml}`."""
        return {p.stem: p for p in sorted((self.files / "tasks").glob("*.yaml"))} if self.files else {}


def files_beside(package_file: str) -> Path:
    """Folder of a domain's YAML files: inside the package in a wheel, beside it in a checkout.

    Args:
        package_file: `__file__` of a module at the top level of the domain's package.
    """
    package = Path(package_file).parent
    shipped = package / "_files"
    return shipped if shipped.is_dir() else package.parent


@dataclass(frozen=True)
class BrokenDomain:
    """A plugin that could not be imported, with the reason in one line."""

    name: str
    reason: str


@cache
def discover() -> tuple[dict[str, Domain], tuple[BrokenDomain, ...]]:
    """Load every installed plugin.

    Returns:
        The domains by name, and the plugins that failed to load: a broken plugin never hides the others.
    """
    found: dict[str, Domain] = {}
    broken: list[BrokenDomain] = []
    for entry in sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda e: e.name):
        try:
            domain = entry.load()
            if not isinstance(domain, Domain):
                raise TypeError(f"{entry.value} is a {type(domain).__name__}, not a voxtile.domain.Domain")
            if domain.name in found:
                raise ValueError(f"the name '{domain.name}' is taken by another plugin")
        except Exception as error:  # a third party's code: anything can happen, and it is reported by name
            broken.append(BrokenDomain(entry.name, f"{type(error).__name__}: {error}"))
        else:
            found[domain.name] = domain
    return found, tuple(broken)


def resolve(name: str, *, kind: str) -> Path:
    """Find a config or task file by `domain/name`.

    Args:
        name: e.g. `medical/ct` or `medical/ct-findings`; a path to a YAML file is returned as it is.
        kind: `config` or `task`.

    Raises:
        ConfigError: no such domain or name; the message lists what there is.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise ConfigError(f"{kind} file '{path}' does not exist")
        return path
    domains, broken = discover()
    known = {
        f"{domain.name}/{item}": file
        for domain in domains.values()
        for item, file in (
            domain.configs() | domain.production_configs() if kind == "config" else domain.tasks()
        ).items()
    }
    if name not in known:
        note = "".join(f"; plugin '{b.name}' failed to load ({b.reason})" for b in broken)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(sorted(known)) or 'none'}"
        raise ConfigError(f"no {kind} named '{name}'; {hint}{note}")
    return known[name]
