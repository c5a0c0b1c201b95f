"""A phantom becomes a corpus through the plugins' own commands: once, whole, and in order."""

import sys
import types

import pytest

from voxtile.data import phantom
from voxtile.data.phantom import PhantomSpec, phantom_corpus
from voxtile.domain import BrokenDomain, Command, Domain
from voxtile.errors import ConfigError, InputError


@pytest.fixture
def calls(monkeypatch):
    """A plugin whose commands record how they were called; `fail` makes the facts fail."""
    log, module = [], types.ModuleType("toy_plugin")

    def write(out, *, n, seed, dose=1):
        (out / "dicom").mkdir(parents=True)
        (out / "reports.csv").write_text("study,text\n")
        log.append(("write", n, seed, dose))

    def convert(source, corpus, *, reports, licence, deidentify):
        assert reports.is_file()
        assert "phantom" in licence
        assert deidentify is False
        corpus.mkdir()
        log.append(("convert", source.name, reports.name))

    def read_facts(corpus, **options):
        if module.fail:
            raise InputError("no facts today")
        log.append(("facts", sorted(options)))

    module.write, module.convert, module.read_facts, module.fail = write, convert, read_facts, False
    monkeypatch.setitem(sys.modules, "toy_plugin", module)
    facts = Command("toy_plugin:read_facts", "")
    domain = Domain(
        "toy",
        "a plugin of the tests",
        phantoms={"ct": Command("toy_plugin:write", "")},
        converters={"dicom": Command("toy_plugin:convert", "")},
        facts={"reports": facts, "labels": facts},
    )
    monkeypatch.setattr(phantom, "discover", lambda: ({"toy": domain}, (BrokenDomain("sick", "ImportError: x"),)))
    return types.SimpleNamespace(log=log, module=module)


def test_the_steps_run_once_and_native_files_are_removed(calls, tmp_path):
    spec = PhantomSpec(name="toy/ct", n=3, seed=5, options={"dose": 2})
    corpus = phantom_corpus(spec, tmp_path)
    assert calls.log == [
        ("write", 3, 5, 2),
        ("convert", "dicom", "reports.csv"),
        ("facts", []),
        ("facts", ["labels"]),
    ]
    assert corpus.is_dir()
    assert not (corpus.parent / "native" / "dicom").exists()
    assert (corpus.parent / "native" / "reports.csv").exists()
    assert phantom_corpus(spec, tmp_path) == corpus
    assert len(calls.log) == 4
    assert phantom_corpus(PhantomSpec(n=4, options={"dose": 2}), tmp_path) != corpus


def test_captions_are_one_step_or_several_after_all_facts(calls, tmp_path, monkeypatch):
    calls.module.caption = lambda corpus, **options: calls.log.append(("caption", options))
    monkeypatch.setattr(phantom, "_CAPTION", Command("toy_plugin:caption", ""))
    first, second = {"facts_source": "reports"}, {"facts_source": "labels", "absent": 99}
    phantom_corpus(PhantomSpec(captions=first), tmp_path)
    assert calls.log[-1:] == [("caption", first)]
    phantom_corpus(PhantomSpec(captions=[first, second]), tmp_path)
    assert calls.log[-3:] == [("facts", ["labels"]), ("caption", first), ("caption", second)]


def test_a_failed_step_leaves_nothing_that_counts(calls, tmp_path):
    calls.module.fail = True
    with pytest.raises(InputError):
        phantom_corpus(PhantomSpec(), tmp_path)
    calls.module.fail = False
    assert phantom_corpus(PhantomSpec(), tmp_path).is_dir()
    assert [name for name, *_ in calls.log].count("write") == 2


def test_the_cache_folder_follows_the_environment(calls, tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "here"))
    assert phantom_corpus(PhantomSpec()).is_relative_to(tmp_path / "here")


@pytest.mark.parametrize("spec", [{"name": "mr"}, {"converter": "nifti"}, {"facts": {"masks": {}}}])
def test_a_step_that_no_plugin_offers_is_refused(calls, tmp_path, spec):
    with pytest.raises(ConfigError, match=r"no \w+ named '\w+'; there are: toy/.*plugin 'sick' failed to load"):
        phantom_corpus(PhantomSpec(**spec), tmp_path)
    assert calls.log == []
