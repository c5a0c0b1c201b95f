"""`voxtile check`: verdicts as a stage, and that training draws no caption whose newest verdict is `contradicted`."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.data.captions import CaptionPolicy
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.presets.image import ImagePreset
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.captions.checker import vocabulary
from voxtile_datasets.captions.checker.check import VERSION
from voxtile_datasets.captions.checker.command import check_captions
from voxtile_datasets.captions.labels import facts_from_labels
from voxtile_datasets.converters.image import convert_image
from voxtile_datasets.curation.command import curate_corpus

INLINE = {"engine": "inline", "workers": 1}


@pytest.fixture
def corpus(tmp_path):
    """Four X-rays with facts, each with one caption that its facts support, one that they contradict, and a report."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for n in range(4):
        Image.fromarray(np.random.default_rng(n).integers(0, 256, (40, 40), np.uint8)).save(pictures / f"{n}.png")
    root = tmp_path / "corpus"
    convert_image(pictures, root, modality="DX", split_fractions="1,0,0", **INLINE)
    uids = sorted(Corpus(root).table("samples", ["uid"])["uid"].to_pylist())
    append_rows(root, "facts", "facts", [row for uid in uids for row in facts_of(uid)])
    append_rows(root, "captions", "captions", [row for uid in uids for row in captions_of(uid)])
    return root


def facts_of(uid):
    effusion = {"concept": "pleural_effusion", "polarity": "present", "attributes": json.dumps({"laterality": "left"})}
    return [{"uid": uid, **effusion}, {"uid": uid, "concept": "pneumothorax", "polarity": "absent"}]


def captions_of(uid):
    texts = {
        "right": ("rewrite", f"Effusion on the left without pneumothorax, seen in picture {uid[:2]}."),
        "wrong": ("rewrite", "Effusion on the right."),
        "report": ("raw", "Pneumothorax."),
        "foreign": ("rewrite", "Pleuraerguss links."),
    }
    return [
        {
            "caption_id": f"{name}-{uid}",
            "uid": uid,
            "text": text,
            "kind": kind,
            "lang": "de" if name == "foreign" else "en",
        }
        for name, (kind, text) in texts.items()
    ]


def verdicts_of(root):
    return {(row["caption_id"].split("-")[0], row["checker_version"], row["verdict"]) for row in rows_of(root)}


def rows_of(root):
    return Corpus(root).table("verdicts").to_pylist()


def test_a_dry_run_compiles_no_vocabulary_and_refuses_a_domain_that_has_none(corpus, monkeypatch, tmp_path):
    def compiled(files):
        raise AssertionError(files)

    monkeypatch.setattr(vocabulary, "_load", compiled)
    check_captions(corpus, domain="medical", dry_run=True, **INLINE)
    assert not rows_of(corpus)
    with pytest.raises(ConfigError, match=r"no domain 'medicine' has a vocabulary for checking; .*medical"):
        check_captions(corpus, domain="medicine", dry_run=True, **INLINE)
    monkeypatch.undo()
    (tmp_path / "own.yaml").write_text("vocabulary: own\nconcepts: {thing: {terms: ['(broken']}}\n")
    with pytest.raises(ConfigError, match="malformed"):
        check_captions(corpus, vocabulary=tmp_path / "own.yaml", dry_run=True, **INLINE)


def test_a_vocabulary_is_compiled_when_it_is_asked_for(monkeypatch):
    compiled = []
    monkeypatch.setattr(vocabulary, "_load", lambda files: compiled.append([file.parent.name for file in files]))
    known = vocabulary.installed_vocabularies()
    assert "medical" in known
    assert "medicine" not in known
    assert len(known) == len(list(known)) > 2
    assert known.get("medicine") is None
    assert not compiled
    known["medical"]
    assert len(compiled) == 1


def test_captions_get_one_verdict_of_a_version_and_a_new_one_only_when_asked(corpus, capsys):
    check_captions(corpus, **INLINE)
    first = {("right", VERSION, "supported"), ("wrong", VERSION, "contradicted"), ("foreign", VERSION, "unknown")}
    assert verdicts_of(corpus) == first
    assert len(rows_of(corpus)) == 12
    [fault] = json.loads(next(row["detail"] for row in rows_of(corpus) if row["verdict"] == "contradicted"))
    assert (fault["kind"], fault["words"]) == ("side", "right")
    assert "contradicted" in capsys.readouterr().out
    check_captions(corpus, **INLINE)
    assert len(rows_of(corpus)) == 12
    check_captions(corpus, raw=True, **INLINE)
    assert verdicts_of(corpus) == first | {("report", VERSION, "contradicted")}
    uid = Corpus(corpus).table("samples", ["uid"])["uid"].to_pylist()[0]
    append_rows(corpus, "facts", "more", [{"uid": uid, "concept": "fracture", "polarity": "present"}])
    append_rows(
        corpus, "captions", "more", [captions_of(uid)[0] | {"caption_id": "more", "text": "A fracture is seen."}]
    )
    check_captions(corpus, **INLINE)
    assert ("more", VERSION, "supported") in verdicts_of(corpus)
    check_captions(corpus, again=True, **INLINE)
    assert {version for _, version, _ in verdicts_of(corpus)} == {VERSION, f"{VERSION}.1"}
    check_captions(corpus, again=True, domain="general", **INLINE)
    # The general vocabulary knows no "effusion"; the facts' own name is "pleural effusion".
    assert ("wrong", f"{VERSION}.2", "unknown") in verdicts_of(corpus)
    assert len([row for row in rows_of(corpus) if row["checker_version"] == f"{VERSION}.2"]) == 13


@pytest.mark.parametrize("unit", ["caption", "sentence"])
def test_training_draws_no_caption_whose_newest_verdict_is_contradicted(corpus, unit):
    check_captions(corpus, raw=True, **INLINE)
    # An older checker of another name liked everything; a newer one changed its mind about half of the samples.
    ids = sorted(Corpus(corpus).table("captions", ["caption_id"])["caption_id"].to_pylist())
    older = [{"caption_id": i, "verdict": "supported", "checker": "other", "checker_version": "0.9"} for i in ids]
    append_rows(corpus, "verdicts", "older", older)
    right = [i for i in ids if i.startswith("right")][:2]
    newer = [
        {"caption_id": i, "verdict": "contradicted", "checker": "judge", "checker_version": f"{VERSION}.10"}
        for i in right
    ]
    newer += [
        {"caption_id": i, "verdict": "supported", "checker": "judge", "checker_version": f"{VERSION}.9"} for i in right
    ]
    append_rows(corpus, "verdicts", "newer", newer)
    banned = {"Effusion on the right.", "Pneumothorax."}
    texts = dict(
        zip(*(Corpus(corpus).table("captions", ["caption_id", "text"])[n].to_pylist() for n in (0, 1)), strict=True)
    )
    banned |= {texts[i] for i in right}
    seen = set()
    for per_item in (1, 0):
        policy = CaptionPolicy(unit=unit, per_item=per_item)
        module = CorpusDataModule(ImagePreset(size=(32, 32)), str(corpus), batch_size=4, captions=policy, seed=3)
        module.setup("fit")
        for _ in range(6):
            for batch in module.train_dataloader():
                seen |= set(batch.texts)
    assert seen
    assert not seen & banned
    assert seen >= {texts[i] for i in ids if i.startswith("right") and i not in right}


def test_captions_that_were_judged_before_new_facts_are_counted(corpus, tmp_path, capsys):
    first, *others = sorted(Corpus(corpus).table("samples", ["uid"])["uid"].to_pylist())
    tables = {
        "more": f"uid,cardiomegaly\n{first},1\n",
        "of_others": "uid,gallstones\n" + "".join(f"{uid},0\n" for uid in others[:2]),
    }
    told = []
    for name in (None, None, *tables, None):
        if name:
            (tmp_path / f"{name}.csv").write_text(tables[name])
            facts_from_labels(corpus, labels=tmp_path / f"{name}.csv", **INLINE)
        capsys.readouterr()
        check_captions(corpus, again=name is None and len(told) > 3, **INLINE)
        found = re.search(r"(\d+) captions were judged before facts", " ".join(capsys.readouterr().err.split()))
        told.append(int(found[1]) if found else 0)
    assert told == [0, 0, 3, 9, 0]
    assert main(["caption", str(corpus), "--kind", "fact", "--engine", "inline"]) == 0  # with facts that it words
    check_captions(corpus, **INLINE)
    assert "were judged before" not in capsys.readouterr().err


def test_what_cannot_be_checked_is_refused_in_a_sentence(corpus, tmp_path, capsys):
    with pytest.raises(ConfigError, match="no domain 'medicine'"):
        check_captions(corpus, domain="medicine", **INLINE)
    own = tmp_path / "own.yaml"
    own.write_text("concepts: 3")
    with pytest.raises(ConfigError, match=r"own\.yaml"):
        check_captions(corpus, vocabulary=own, **INLINE)
    with pytest.raises(ConfigError, match=r"nowhere\.yaml' cannot be read: No such file or directory$"):
        check_captions(corpus, vocabulary=tmp_path / "nowhere.yaml", **INLINE)
    empty = tmp_path / "empty"
    (tmp_path / "one").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "one" / "a.png")
    convert_image(tmp_path / "one", empty, **INLINE)
    with pytest.raises(InputError, match="no captions"):
        check_captions(empty, **INLINE)
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_completeness_is_a_score_of_captions_that_curate_can_ask_for(corpus, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    check_captions(corpus, **INLINE)
    scores = {row["uid"].split("-")[0]: row for row in Corpus(corpus).table("scores").to_pylist()}
    assert {name: (row["name"], row["value"]) for name, row in scores.items()} == {
        "right": ("completeness", 1.0),
        "wrong": ("completeness", 0.5),
        "foreign": ("completeness", 0.0),
    }
    assert scores["right"]["producer"] == f"claims@{VERSION}"
    assert "completeness of 12 captions: 0.50 on average" in capsys.readouterr().out
    curate_corpus(corpus, view="complete", where_captions="completeness > 0.75")
    assert "view 'complete': 4 samples" in (said := capsys.readouterr().out)
    assert re.search(r"completeness > 0\.75\s+4\s+0\s+4\s+12\b", said)  # 4 samples, 4 captions of 16


def test_what_an_open_scope_leaves_open_is_counted_apart(corpus, capsys):
    uid = Corpus(corpus).table("samples", ["uid"])["uid"].to_pylist()[0]
    more = captions_of(uid)[0] | {"caption_id": "open", "text": "Effusion on the left and a hiatal hernia."}
    append_rows(corpus, "captions", "more", [more])
    check_captions(corpus, **INLINE)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of the 5 unknown say what no closed scope looked for. Training draws them" in said
    assert CaptionPolicy().exclude_verdicts == ("contradicted",)
