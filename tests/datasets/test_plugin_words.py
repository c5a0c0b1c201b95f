"""What a plugin words and claims wrongly stops its own samples, by name, and nobody else's."""

import re
from contextlib import nullcontext

import numpy as np
import pytest

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.domain import Domain, discover
from voxtile.errors import ConfigError
from voxtile.testing.contract import DomainContract
from voxtile_datasets.captions.checker import choose as choosing
from voxtile_datasets.captions.checker import task, vocabulary
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies, vocabulary_digests
from voxtile_datasets.captions.context import prompts
from voxtile_datasets.captions.guards import stray_words
from voxtile_datasets.captions.wordings import bank_for, installed_banks
from voxtile_datasets.instruct import questions

GENERIC = """
generic:
  present: ["{an_image} with {finding}."]
  absent: ["No {name}."]
  uncertain: ["Possibly {finding}."]
"""
SOUND = f"bank: em\nversion: '1'\nmodalities: [EM]\n{GENERIC}"
NO_GENERIC = "bank: em\nversion: '1'\nmodalities: [EM]\n"
OF_ALL = f"bank: em\nversion: '1'\n{GENERIC}"
CLAIMS = "vocabulary: organelles\nversion: '1'\nconcepts: {vesicle: {terms: [vesicle]}}\n"


@pytest.fixture
def install(monkeypatch, tmp_path):
    """A plugin whose name comes before all others', with these words."""

    def make(wordings, claims=CLAIMS):
        (tmp_path / "wordings.yaml").write_text(wordings)
        (tmp_path / "claims.yaml").write_text(claims)
        plugin = Domain("a_em", "stacks", wordings=(tmp_path / "wordings.yaml",), claims=(tmp_path / "claims.yaml",))
        found = ({"a_em": plugin, **discover()[0]}, ())
        for module in ("wordings", "checker.choose", "checker.vocabulary"):
            monkeypatch.setattr(f"voxtile_datasets.captions.{module}.discover", lambda: found)
        forget()
        return plugin

    def forget():
        """What is kept by name and path: pytest may give the folder of one test to the next."""
        for kept in (
            choosing._by_modality,
            stray_words._vocabularies,
            task._vocabularies,
            vocabulary._joined,
            vocabulary._load,
        ):
            kept.cache_clear()

    yield make
    forget()


def test_sound_words_are_those_of_its_own_modality(install):
    install(SOUND)
    banks, vocabularies = installed_banks(), installed_vocabularies()
    assert [bank_for(banks, modality).name for modality in ("EM", "CT")] == ["em", "radiology"]
    assert [choosing.choose(vocabularies, modality, ()) for modality in ("EM", "CT")] == ["a_em", "medical"]


@pytest.mark.parametrize(
    ("wordings", "said"),
    [
        (NO_GENERIC, "must be a mapping with the keys bank, generic, version, and any of concepts"),
        (OF_ALL, "must list its 'modalities'"),
        ("[", "wordings.yaml"),
    ],
)
def test_a_broken_bank_stops_the_samples_that_no_other_bank_names(install, wordings, said):
    install(wordings)
    banks, vocabularies = installed_banks(), installed_vocabularies()
    assert [bank_for(banks, modality).name for modality in ("CT", "SM")] == ["radiology", "histology"]
    assert choosing.choose(vocabularies, "CT", ()) == "medical"
    with pytest.raises(ConfigError, match="of the plugin 'a_em'") as caught:
        bank_for(banks, "EM")
    assert said in str(caught.value)
    if wordings != OF_ALL:
        with pytest.raises(ConfigError, match=re.escape(said)):
            choosing.choose(vocabularies, "EM", ())


def test_a_broken_vocabulary_stops_its_own_samples(install, tmp_path):
    install(SOUND, claims="vocabulary: organelles\nconcepts: [vesicle]\n")
    vocabularies = installed_vocabularies()
    assert vocabulary_digests()["medical"] != vocabulary_digests()["a_em"] == "broken"
    assert vocabularies[choosing.choose(vocabularies, "CT", ())].knows("pneumothorax")
    for modality in ("EM", None):
        with pytest.raises(ConfigError, match=r"claims\.yaml"):
            vocabularies[choosing.choose(vocabularies, modality, ())]


@pytest.mark.parametrize(("wordings", "claims", "holds"), [
    (SOUND, CLAIMS, True), (NO_GENERIC, CLAIMS, False), (SOUND, "vocabulary: organelles\nconcepts: [vesicle]\n", False),
])  # fmt: skip
def test_the_contract_of_a_domain_finds_words_that_cannot_be_used(install, tmp_path, wordings, claims, holds):
    plugin = install(wordings, claims)
    new_corpus(tmp_path / "corpus")
    writer = JobWriter(tmp_path / "corpus", "by-hand")
    row = {"uid": sample_uid("stack"), "subject": "s", "kind": "volume", "modality": "EM", "axes": "ZYX"}
    writer.add(Sample(row, np.zeros((2, 8, 8), np.uint16)))
    writer.add_rows("facts", [{"uid": row["uid"], "concept": "vesicle", "polarity": "present", "source": "labels@1"}])
    writer.publish()
    with nullcontext() if holds else pytest.raises(AssertionError):
        DomainContract()._check_words(plugin, tmp_path / "corpus")


def test_prompts_that_cannot_be_read_stop_those_alone_whom_no_other_file_names(monkeypatch, tmp_path):
    (tmp_path / "prompt.yaml").write_text("name: em\nversion: [")
    plugin = Domain("a_em", "stacks", prompts=(tmp_path / "prompt.yaml",))
    monkeypatch.setattr(prompts, "discover", lambda: ({"a_em": plugin, **discover()[0]}, ()))
    book = prompts.installed_prompts()
    assert book.find("rewrite-fact", "CT").modalities >= {"CT"}
    with pytest.raises(ConfigError, match=r"prompt\.yaml.* \(of the plugin 'a_em'\); mend or remove it, or give"):
        book.find("rewrite-fact", "EM")


def test_questions_that_cannot_be_read_are_said_and_others_are_asked(monkeypatch, tmp_path):
    (tmp_path / "questions.yaml").write_text("questions: em\n")
    plugin, said = Domain("a_em", "stacks", questions=(tmp_path / "questions.yaml",)), []
    before = questions.installed_questions()
    monkeypatch.setattr(questions, "discover", lambda: ({"a_em": plugin, **discover()[0]}, ()))
    assert questions.installed_questions(said.append) == before
    assert len(said) == 1
    assert said[0].startswith("the plugin 'a_em' words no questions and answers, and the general ones are taken: ")
