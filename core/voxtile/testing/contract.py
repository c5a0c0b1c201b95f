"""What every domain plugin must do, as tests that a third party subclasses.

    from voxtile.testing.contract import DomainContract

    class TestMyDomain(DomainContract):
        domain_name = "mine"

        def source_for(self, converter, folder):
            return write_some_small_files(folder)

Needs pytest. Each test is named after the promise that it checks.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from voxtile.cli.main import main
from voxtile.cli.options import build_command
from voxtile.cli.signature import imported_signature
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import DESCRIPTIVE, MEASURED
from voxtile.domain import Command, Domain, discover
from voxtile.evaluation.tasks.file import read_task
from voxtile.listed_classes import listed_class, public_name
from voxtile.stages.verify.corpus import verify
from voxtile.training.config_bases import read_config

NOT_IN_WORKERS = ("torch", "lightning")


class DomainContract:
    """Subclass it, set `domain_name`, and override `source_for`.

    Attributes:
        domain_name: the name under which the domain is installed.
        options: further words of the command line for a converter or recipe, by its name; `{folder}` in one stands for
            a folder that both conversions of the test share (for a key file).
    """

    domain_name: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Sequence[str]]] = {}

    def source_for(self, converter: str, folder: Path) -> Path:
        """Write small native files for a converter or recipe into an empty folder, and return its SOURCE argument.

        Skip (`pytest.skip`) where that is not possible, with the reason.
        """
        pytest.skip(f"no sample files for '{converter}': override source_for")

    @pytest.fixture
    def domain(self) -> Domain:
        """The installed domain."""
        domains, broken = discover()
        reasons = {plugin.name: plugin.reason for plugin in broken}
        assert self.domain_name in domains, (
            f"'{self.domain_name}' is not installed; failed plugins: {reasons or 'none'}"
        )
        return domains[self.domain_name]

    def test_names_are_usable_on_a_command_line(self, domain: Domain) -> None:
        """Lower case, no white space, no slash."""
        names = [domain.name, *_commands(domain), *domain.tasks()]
        names += [*domain.configs(), *domain.production_configs(), *domain.bases(), *domain.voices()]
        assert domain.title
        for name in names:
            word = name.split()[-1]
            assert word == word.lower()
            assert "/" not in word

    def test_every_command_can_be_called_from_the_command_line(self, domain: Domain) -> None:
        """Its module imports, every parameter has a type that text can give, and help that says what it is."""
        for words, command in _commands(domain).items():
            function = command.load()
            assert command.help, f"{words} has no help"
            assert build_command(imported_signature(command), f"voxtile {words}")
            text = inspect.getdoc(function) or ""
            for parameter in inspect.signature(function).parameters.values():
                if parameter.kind is not parameter.VAR_KEYWORD:
                    assert f"{parameter.name}:" in text, (
                        f"{words}: the docstring does not say what '{parameter.name}' is"
                    )

    def test_configs_and_tasks_are_yaml_mappings(self, domain: Domain) -> None:
        """They are installed, and parse, safely, to a mapping."""
        assert not domain.missing_files, domain.missing_files
        configs = domain.configs() | domain.production_configs()
        assert not set(configs) & set(domain.bases()), "a base and a config have one name"
        for path in [*configs.values(), *domain.bases().values()]:
            assert isinstance(read_config(path), dict), path
        for path in [*domain.voices().values(), *domain.wordings, *filter(None, [domain.phrases])]:
            assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path
        for path in domain.tasks().values():
            assert isinstance(read_task(path), dict), path

    def test_what_a_checkpoint_names_is_listed(self, domain: Domain) -> None:
        """Each class of `Domain.classes` is found again by the name that files get for it."""
        for target in domain.classes:
            module, _, name = target.partition(":")
            kind = getattr(importlib.import_module(module), name)
            assert listed_class(public_name(kind), object) is kind, f"{target} is not found as {public_name(kind)}"

    def test_endings_are_of_its_converters(self, domain: Domain) -> None:
        """`voxtile ground` finds the converter of a file by the ending of its name."""
        for converter, endings in domain.endings.items():
            assert converter in domain.converters, f"endings are given for '{converter}', which is no converter"
            assert all(e.startswith(".") and e == e.lower() for e in endings), f"{endings} are not endings like .wav"

    def test_workers_import_neither_torch_nor_lightning(self, domain: Domain) -> None:
        """A converter's module, which every worker process imports, is light."""
        commands = [*domain.converters.values(), *domain.recipes.values()]
        modules = sorted({command.target.partition(":")[0] for command in commands})
        code = f"import sys, {', '.join(modules) or 'os'}; print(*({{*{NOT_IN_WORKERS}}} & set(sys.modules)))"
        command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == []

    def test_conversions_give_the_same_bytes_again_and_a_sound_corpus(self, domain: Domain, tmp_path: Path) -> None:
        """In this process and in two workers, from the same files; and `verify` finds nothing."""
        converted = 0
        for word, table in (("convert", domain.converters), ("build", domain.recipes)):
            for name in table:
                folder = tmp_path / name
                (folder / "source").mkdir(parents=True)
                try:
                    source = self.source_for(name, folder / "source")
                except pytest.skip.Exception:
                    continue
                self._check_conversion([word, name, str(source)], folder, self.options.get(name, ()))
                self._check_words(domain, folder / "one")
                converted += 1
        if not converted:
            pytest.skip(f"no sample files for any converter of '{self.domain_name}': override source_for")

    def _check_conversion(self, words: list[str], folder: Path, options: Sequence[str]) -> None:
        further = [word.format(folder=folder) for word in options]
        corpora = {"inline": folder / "one", "local": folder / "two"}
        for engine, corpus in corpora.items():
            run = ["--engine", engine, "--workers", "2", "--job-items", "2"]
            assert main([*words, str(corpus), *further, *run]) == 0, f"voxtile {' '.join(words)} failed"
        one, two = corpora.values()
        assert _bytes(one) == _bytes(two), f"{words}: the bytes depend on where the conversion runs"
        assert not verify(one).problems
        assert len(Corpus(one).table("samples"))

    def _check_words(self, domain: Domain, corpus: Path) -> None:
        """Facts of the samples are worded, and captions read, with the domain's wordings, phrases and claims."""
        words = (*domain.wordings, *domain.claims, *filter(None, [domain.phrases]))
        facts = Corpus(corpus).table("facts", ["concept", "source"]).to_pylist()
        if not words or not any(
            fact["concept"] not in DESCRIPTIVE and not (fact["source"] or "").startswith(MEASURED) for fact in facts
        ):
            return
        bank = ["--bank", domain.name] if domain.phrases else []
        assert main(["caption", "template", str(corpus), *bank, "--engine", "inline"]) == 0, f"look at {words}"
        assert main(["check", str(corpus), "--engine", "inline"]) == 0, f"look at {words}"


def _commands(domain: Domain) -> dict[str, Command]:
    tables = domain.commands().items()
    return {f"{word} {name}": command for word, table in tables for name, command in table.items()}


def _bytes(corpus: Path) -> dict[str, str]:
    parts = [path for name in ("shards", "tables", "ledger", "done") for path in (corpus / name).rglob("*")]
    return {
        str(path.relative_to(corpus)): hashlib.sha256(path.read_bytes()).hexdigest() for path in parts if path.is_file()
    }
