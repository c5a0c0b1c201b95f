"""`voxtile caption template|model|checkpoint`, and the form with `--provider` that means one of them."""

import inspect
import re

import pytest

from voxtile.cli import caption_form
from voxtile.cli.main import main
from voxtile.cli.table import COMMANDS
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows, new_corpus
from voxtile.errors import ConfigError
from voxtile.phantom.xrays import write_xrays
from voxtile_datasets.captions import command
from voxtile_datasets.captions.added import say_names_alone
from voxtile_datasets.captions.wordings import installed_banks
from voxtile_datasets.recipes.medmnist import build_medmnist


def way_and_words(words):
    return caption_form.way_and_words(words, COMMANDS["caption"].members())


@pytest.fixture
def corpora(tmp_path):
    """Two corpora of the same pictures with labels as facts."""
    file = write_xrays(tmp_path)
    for name in ("new", "old"):
        build_medmnist(file, tmp_path / name, engine="inline")
    return tmp_path / "new", tmp_path / "old"


@pytest.mark.parametrize(
    ("old", "way", "words"),
    [
        ("corpus", "template", "corpus"),
        ("corpus --provider template", "template", "corpus"),
        ("--provider=template corpus --kind fact --dry-run", "template", "corpus --kind fact --dry-run"),
        ("corpus --provider local --facts-source reports", "model", "corpus --facts-source reports --provider local"),
        ("corpus --provider openai --model M --max-usd 5 --look true --workers 2", "model",
         "corpus --model M --max-usd 5 --look true --workers 2 --provider openai"),
        ("corpus --provider replay --engine inline", "model", "corpus --engine inline --provider replay"),
        ("corpus --provider nobody", "model", "corpus --provider nobody"),
        ("corpus --provider checkpoint --model a.ckpt --beams 5", "checkpoint", "corpus --model a.ckpt --beams 5"),
        ("corpus --provider checkpoint --provider template", "template", "corpus"),
    ],
)  # fmt: skip
def test_the_old_form_means_one_way(old, way, words, capsys):
    assert way_and_words(old.split()) == (way, words.split())
    assert capsys.readouterr().err == ""


def test_options_of_another_way_are_left_out_with_a_note(capsys):
    words = ["corpus", "--tries", "3", "--no-unchecked", "--look", "--batch-size=4", "--kind", "fact"]
    assert way_and_words(words) == ("template", ["corpus", "--kind", "fact"])
    note = capsys.readouterr().err
    assert (
        note
        == "note: --batch-size, --look, --tries, --unchecked: not of 'voxtile caption template', and without effect\n"
    )


def test_provider_and_options_may_come_from_a_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "options.yaml"
    file.write_text("provider: openai\nmodel: M\nlook: true\nkind: fact\nlimit: 3\nbank: null\n")
    expected = ["corpus", "--model=M", "--look=true", "--limit=3", "--limit", "4", "--provider", "openai"]
    assert way_and_words(["corpus", "--config", str(file), "--limit", "4"]) == ("model", expected)
    monkeypatch.setenv("VOXTILE_PROVIDER", "checkpoint")
    assert way_and_words(["corpus"]) == ("checkpoint", ["corpus"])
    file.write_text("- 1\n")
    with pytest.raises(ConfigError, match="is no mapping of options"):
        way_and_words(["corpus", f"--config={file}"])


def test_both_forms_write_the_same_captions(corpora, capsys):
    new, old = corpora
    assert main(["caption", "template", str(new), "--kind", "fact", "--engine", "inline"]) == 0
    assert main(["caption", str(old), "--provider", "template", "--kind", "fact", "--engine", "inline"]) == 0
    first, second = (sorted(Corpus(root).table("captions")["text"].to_pylist()) for root in (new, old))
    assert first == second
    assert f"{len(first)} captions were added, {len(first)} in all; 'voxtile inspect {new}'" in capsys.readouterr().err
    assert main(["caption", "template", str(new), "--kind", "fact", "--engine", "inline"]) == 0
    assert "added" not in capsys.readouterr().err  # nothing is made twice


def test_helps_and_mistakes(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    asked = ("--help", "--help foo", "corpus --help", "corpus -h --provider local", "later --provider local --help")
    for words in (["caption", *words.split()] for words in asked):
        assert main(words) == 0
        page = capsys.readouterr().out
        assert all(f"\n  {way} " in page for way in command.WAYS)
        assert "'voxtile caption CORPUS --provider NAME'" in page
    assert main(["caption", "template", "--help"]) == 0
    page = capsys.readouterr().out
    assert "--bank" in page
    assert "--base-url" not in page
    for words, said in (
        (["caption"], "'voxtile caption' needs the name of a way to caption: bank, checkpoint, model, sign, template"),
        (["caption", "foo", "--help"], "there is no way to caption 'foo'; there are: bank, checkpoint, "),
        (["caption", "modle", "corpus", "-h"], "there is no way to caption 'modle'; did you mean 'model'?"),
        (["caption", "modle", "corpus"], "there is no way 'modle' to caption; did you mean 'model'?"),
        (["caption", "template", "corpus", "--beams", "3"], "'voxtile caption template' has no option '--beams'"),
        (["caption", "corpus", "--kindd", "fact"], "has no option '--kindd'; did you mean '--kind'?"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err


def test_each_way_has_its_own_options_and_the_function_takes_those_of_all():
    options = {way: set(inspect.signature(f).parameters) - {"corpus", "run"} for way, f in command.WAYS.items()}
    assert {way: len(names) for way, names in options.items()} == {"template": 16, "model": 30, "checkpoint": 15}


def test_classes_that_no_bank_words_are_named(tmp_path, capsys):
    new_corpus(tmp_path / "corpus")
    told = [("Wald", "places@1"), ("Wald", "places@1"), ("Acker", "labels@1"), ("water", "places@1")]
    told += [("rare_thing", "reports@5"), ("Wald", "places@1+template@3")]  # by a reader, and by a caption
    rows = [
        {"uid": f"{n:032x}", "concept": name, "polarity": "present", "source": source}
        for n, (name, source) in enumerate(told)
    ]
    append_rows(tmp_path / "corpus", "facts", "made", [*rows, {**rows[0], "concept": "Fels", "polarity": "absent"}])
    for source, named in (
        (None, "2 concepts are in no wording bank, .* Wald \\(2\\), Acker \\(1\\); "),
        ("reports", None),
    ):
        say_names_alone(tmp_path / "corpus", installed_banks(), source)
        said = capsys.readouterr().err
        assert re.search(named, said) if named else not said
