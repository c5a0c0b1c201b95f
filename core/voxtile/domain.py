"""What a domain plugin offers, and how plugins are found.

A plugin is any installed distribution with an entry point in the group `voxtile.domains` that names a `Domain`.
Targets are strings ("module:function") so that listing domains imports none of their code.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voxtile.errors import ConfigError

ENTRY_POINT_GROUP = "voxtile.domains"
FILES = "_files"
"""Folder of a domain's package that holds its YAML files, so that every build backend puts them into a wheel."""


@dataclass(frozen=True)
class Command:
    """A function that the command line offers.

    Attributes:
        target: "module:function".
        help: one line.
        example: a whole command line that works, for the help.
        check: "module:function" that is called with the values by name before the target's module is imported, where
            that takes seconds: it raises for what is not there. It imports little.
    """

    target: str
    help: str
    example: str = ""
    check: str = ""

    def load(self) -> Callable[..., Any]:
        """Import the module and return the function.

        Raises:
            ConfigError: the module cannot be imported or has no such function.
            MissingExtraError: a package that an extra brings is not installed.
        """
        return _loaded(self.target)

    def load_check(self) -> Callable[[Mapping[str, Any]], None] | None:
        """Import and return what looks at the values first; None where there is none.

        Raises:
            ConfigError: the module cannot be imported or has no such function.
        """
        return _loaded(self.check) if self.check else None


def _loaded(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        from voxtile.extras import missing_extra

        if isinstance(error, ImportError) and (missing := missing_extra(error, module)) is not None:
            raise missing from error
        raise ConfigError(f"'{target}' cannot be loaded: {error}") from error
    return function


def _nothing() -> Mapping[str, Command]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Domain:
    """What a plugin adds to voxtile.

    Attributes:
        name: short name, used in task and config names (`medical` in `medical/ct`).
        title: one line for people.
        files: folder with the domain's `*.yaml` configs, `production/*.yaml`, `bases/*.yaml`, `tasks/*.yaml` and
            `voices/*.yaml`, see `files_beside`; or None.
        converters: name → command, for `voxtile convert NAME SOURCE CORPUS`.
        endings: converter → endings of the names of the files that it reads (`.wav`), for `voxtile ground` and
            `preprocess`, which are given one file: the converter gets it as its SOURCE.
        phantoms: name → command, for `voxtile phantom NAME OUT`.
        importers: name → command, for `voxtile import NAME SOURCE CORPUS`.
        recipes: name → command, for `voxtile build NAME SOURCE CORPUS`.
        facts: name → command, for `voxtile facts CORPUS --from NAME`.
        scores: name → command, for `voxtile score CORPUS --from NAME`.
        describers: name → command, for `voxtile describe CORPUS --with NAME`.
        exports: name → command, for `voxtile export CORPUS OUT --to NAME`.
        readers: name → function that opens a file (a Path) which samples with `codec: ref` refer to; it returns a
            `voxtile.corpus.references.ReferencedFile`.
        slides: function that opens a whole slide (a Path) as a `voxtile.formats.whole_slides.WholeSlide`, for
            `voxtile serve`, which asks the first domain that has one; or None.
        band_pictures: function that gives, for a row of the table `samples`, the `voxtile.formats.display.BandPicture`s
            that `voxtile serve` shows it by, the most natural first; an empty list for rows of others; or None.
        report_language: class that reads how sentences of reports affirm, deny and doubt, for other domains that read
            reports; made of a YAML file of further cues, with the methods `statement` and `other_language` of
            `voxtile_medical.reports.assertion.english.English`; or None.
        report_reader: function of a vocabulary's name that gives the rules which read its labels in reports (a
            `voxtile_datasets.report_reading.rules.RuleReader`), for tasks of report factuality; or None.
        report_labellers: name → function of a folder of weights that gives a model which labels reports (a
            `voxtile.evaluation.kinds.reports.reading.Labeller`), for tasks of report factuality.
        report_words: YAML files, or folders of them, that hold the words of the domain's reports: names of findings
            and the like, which de-identification does not take for names of people.
        deidentifier: function of a text and, by the keyword `numbers`, of what is known of whose it is, that gives the
            text without what identifies somebody; for `voxtile import … --deidentify-texts`; or None.
        wordings: wording-bank files (YAML) for template captions.
        phrases: phrase bank (YAML): names, wordings and visual descriptions of its concepts for template captions; or
            None.
        claims: vocabulary files (YAML) of what the domain's captions can claim, for checking them.
        prompts: prompt files (YAML) for captions by a language model.
        questions: files (YAML) of how questions and reports are asked for, for `voxtile instruct`.
        classes: presets, towers, objectives and the like ("module:Class") that checkpoints and exports may name;
            theirs that are not listed are refused, since a checkpoint may come from anybody.
        old_classes: class paths of before → what the class is called now, both of the domain's own package, so that
            files from then open for good; see `voxtile.old_class_names`.
        variables: environment variables that its code reads and whose names begin with VOXTILE_, beside those of
            options; the command line notes those that nothing reads.

    Examples:
        >>> from voxtile.domain import Command, Domain
        >>> wav = Command("sounds.convert:convert", "WAV recordings", example="voxtile convert wav recordings corpus")
        >>> domain = Domain(name="sounds", title="Sound recordings", converters={"wav": wav})
        >>> domain.converters["wav"].target, domain.configs()  # nothing is imported; there are no files
        ('sounds.convert:convert', {})
    """

    name: str
    title: str
    files: Path | None = None
    converters: Mapping[str, Command] = field(default_factory=_nothing)
    endings: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    phantoms: Mapping[str, Command] = field(default_factory=_nothing)
    importers: Mapping[str, Command] = field(default_factory=_nothing)
    recipes: Mapping[str, Command] = field(default_factory=_nothing)
    facts: Mapping[str, Command] = field(default_factory=_nothing)
    scores: Mapping[str, Command] = field(default_factory=_nothing)
    describers: Mapping[str, Command] = field(default_factory=_nothing)
    exports: Mapping[str, Command] = field(default_factory=_nothing)
    readers: Mapping[str, Command] = field(default_factory=_nothing)
    slides: Command | None = None
    band_pictures: Command | None = None
    report_language: Command | None = None
    report_reader: Command | None = None
    report_labellers: Mapping[str, Command] = field(default_factory=_nothing)
    report_words: tuple[Path, ...] = ()
    deidentifier: Command | None = None
    wordings: tuple[Path, ...] = ()
    phrases: Path | None = None
    claims: tuple[Path, ...] = ()
    prompts: tuple[Path, ...] = ()
    questions: tuple[Path, ...] = ()
    classes: tuple[str, ...] = ()
    old_classes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    variables: tuple[str, ...] = ()

    @property
    def missing_files(self) -> str:
        """What is wrong where the YAML files of the domain are not installed, else an empty text."""
        if self.files is None or self.files.is_dir():
            return ""
        return (
            f"the plugin '{self.name}' is installed without its configs and tasks: there is no folder '{self.files}'; "
            f"they belong into the folder '{FILES}' of its package (CONTRIBUTING.md)"
        )

    def commands(self) -> dict[str, Mapping[str, Command]]:
        """Its commands by name, by the words of the command line that lead to them."""
        return {
            "convert": self.converters,
            "phantom": self.phantoms,
            "import": self.importers,
            "build": self.recipes,
            "facts --from": self.facts,
            "score --from": self.scores,
            "describe --with": self.describers,
            "export --to": self.exports,
        }

    def configs(self) -> dict[str, Path]:
        """Training configs by name, e.g. `{"ct": …/ct.yaml}`."""
        return {p.stem: p for p in sorted(self.files.glob("*.yaml"))} if self.files else {}

    def production_configs(self) -> dict[str, Path]:
        """Training configs of the size for GPUs, by name, e.g. `{"ct-vit": …/production/ct-vit.yaml}`."""
        return {p.stem: p for p in sorted((self.files / "production").glob("*.yaml"))} if self.files else {}

    def bases(self) -> dict[str, Path]:
        """What several configs share, by name, e.g. `{"ct-input": …/bases/ct-input.yaml}`."""
        return {p.stem: p for p in sorted((self.files / "bases").glob("*.yaml"))} if self.files else {}

    def tasks(self) -> dict[str, Path]:
        """Evaluation tasks by name, e.g. `{"ct-findings": …/tasks/ct-findings.yaml}`."""
        return {p.stem: p for p in sorted((self.files / "tasks").glob("*.yaml"))} if self.files else {}

    def voices(self) -> dict[str, Path]:
        """How its tasks ask, by name, e.g. `{"findings": …/voices/findings.yaml}`."""
        return {p.stem: p for p in sorted((self.files / "voices").glob("*.yaml"))} if self.files else {}


def files_beside(package_file: str) -> Path:
    """Folder of a domain's YAML files: `_files` inside the package, or, in a checkout of voxtile, the folder beside it.

    A package that is installed has nothing beside it but other packages: without a folder `_files` it has no files.

    Args:
        package_file: `__file__` of a module at the top level of the domain's package.
    """
    package = Path(package_file).parent
    inside = package / FILES
    installed = any(package.parent.glob("*.dist-info"))
    return inside if inside.is_dir() or installed else package.parent


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
            _check_old_classes(domain, entry.module.partition(".")[0])
        except Exception as error:  # a third party's code: anything can happen, and it is reported by name
            broken.append(BrokenDomain(entry.name, f"{type(error).__name__}: {error}"))
        else:
            found[domain.name] = domain
    return found, tuple(broken)


def _check_old_classes(domain: Domain, package: str) -> None:
    """A plugin renames its own classes; an alias for another's would open files of others with its code."""
    for path in (name for names in domain.old_classes.items() for name in names):
        if not path.startswith(f"{package}."):
            raise ValueError(f"old_classes names '{path}', which is not of its own package '{package}'")


def resolve(name: str, *, kind: str) -> Path:
    """Find a config, task or voice file by `domain/name`.

    Args:
        name: e.g. `medical/ct` or `medical/ct-findings`; a path to a YAML file is returned as it is. A path of the
            checkout, such as `domains/medical/ct.yaml`, means the installed file of that name where there is no such
            file.
        kind: `config`, `task` or `voice`.

    Raises:
        ConfigError: no such domain or name; the message names the nearest, and how to list all.
    """
    path = Path(name)
    known = _known(kind)
    if path.suffix in {".yaml", ".yml"}:
        if path.is_file():
            return path
        named = _name_in_checkout(path)
        if named in known:
            return known[named]
        close = difflib.get_close_matches(named or path.stem, known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else f"; 'voxtile domains' lists the {kind}s that are installed"
        raise ConfigError(f"{kind} file '{path}' does not exist{hint}")
    if name not in known:
        note = "".join(f"; plugin '{b.name}' failed to load ({b.reason})" for b in discover()[1])
        near = nearest(name, known)
        hint = f"{near} 'voxtile domains'" if near else "nor one that is like it; 'voxtile domains'"
        hint += f" lists all {len(known)}"
        raise ConfigError(f"no {kind} named '{name}'; {hint}{note}{_without_files(name)}")
    return known[name]


def _words(name: str) -> set[str]:
    """Words of a name, without the domain."""
    return set(re.split(r"[_\-. ]+", name.lower().rpartition("/")[2]))


def nearest(name: str, known: Collection[str], most: int = 4) -> str:
    """`did you mean …?` with the name that is most like one, or those with a word of it; empty where there is none.

    Args:
        name: as it was written, `domain/name` or the name alone.
        known: the names that there are, `domain/name`.
        most: how many.
    """
    domain, slash, own = name.rpartition("/")
    same = [other.rpartition("/")[2] for other in known if other.startswith(domain + slash)] if slash else []
    if same:  # what all names of a domain begin with makes none of them alike
        close = [f"{domain}/{other}" for other in difflib.get_close_matches(own, same, n=1)]
    else:
        close = difflib.get_close_matches(name, known, n=1)
    if not close:
        words = [word for word in _words(name) if len(word) > 1]
        shared = {
            other: sum(any(own.startswith(word) for own in _words(other)) for word in words) for other in sorted(known)
        }
        close = sorted((other for other in shared if shared[other]), key=lambda other: -shared[other])[:most]
    return f"did you mean {' or '.join(repr(other) for other in close)}?" if close else ""


_OFFERED: Mapping[str, Callable[[Domain], dict[str, Path]]] = {
    "config": lambda domain: domain.configs() | domain.production_configs(),
    "task": Domain.tasks,
    "voice": Domain.voices,
}


def _known(kind: str) -> dict[str, Path]:
    """The installed configs, tasks or voices by `domain/name`."""
    return {
        f"{domain.name}/{item}": file
        for domain in discover()[0].values()
        for item, file in _OFFERED[kind](domain).items()
    }


def _name_in_checkout(path: Path) -> str | None:
    """`medical/ct` of `domains/medical/ct.yaml`, and of what lies in its folders `production`, `tasks` and `voices`."""
    parts = [part for part in path.with_suffix("").parts if part != "."]
    if len(parts) == 4 and parts[2] in ("production", "tasks", "voices"):
        del parts[2]
    return "/".join(parts[1:]) if len(parts) == 3 and parts[0] == "domains" else None


def _without_files(name: str) -> str:
    """What is wrong with the plugin that a name begins with, if its files did not come along."""
    domain = discover()[0].get(name.partition("/")[0])
    return f"; {missing}" if domain is not None and (missing := domain.missing_files) else ""
