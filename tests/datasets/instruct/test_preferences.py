"""`voxtile prefer`: what the facts of a hand-made corpus contradict in drafts is rejected, and nothing else is."""

import hashlib
import itertools

import pytest
import torch
from tests.datasets.instruct.conftest import make, uid

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.data.sentences import split_sentences
from voxtile.errors import ConfigError
from voxtile.stages.verify.corpus import verify
from voxtile_datasets.preferences import command

ASKED = "List the findings."
# Facts: 0 has a left effusion, a liver lesion of 20 mm and a right renal stone of 10 mm, and no spleen that is large.
DRAFTS = {
    0: [
        "Right pleural effusion. There is a renal stone of 10 mm on the right. No liver lesion.",
        "There is a liver lesion.",
    ],
    2: ["Splenomegaly. There is no renal stone.", "Nobody knows."],
}


class Drafter:
    """An assistant that says what it is told, whatever it sees."""

    preset = None
    tells_findings_first = True

    def __init__(self, spec, trust_packages=()):
        self.seen = []

    def question(self, style):
        if style != "structured":
            raise ConfigError("not trained on reports")
        return ASKED

    def draw(self, images, style, uniform, *, temperature):
        numbers = [int(value) for value in images[:, 0].tolist()]
        self.seen += [uniform[row] for row in range(len(images))]
        return [(DRAFTS.get(number, []) * uniform.shape[1])[: uniform.shape[1]] or [""] for number in numbers]


class Numbers:
    """Images that are the numbers of their samples."""

    def __init__(self, corpus, preset, uids, batch_size):
        pass

    def image(self, name):
        return torch.tensor([float(int(name, 16))])


@pytest.fixture
def run(monkeypatch, tmp_path):
    root = make(tmp_path / "corpus")
    append_rows(root, "splits", "more", [{"scheme": "held", "subject": "p1", "split": "val"},
                                         {"scheme": "held", "subject": "p2", "split": "train"}])  # fmt: skip
    model = tmp_path / "last.ckpt"
    model.write_bytes(b"weights")
    monkeypatch.setattr(command, "Assistant", Drafter)
    monkeypatch.setattr("voxtile_datasets.preferences.task.CorpusImages", Numbers)

    def call(*options):
        code = main(["prefer", str(root), str(model), *options])
        return code, sorted(Corpus(root).table("preferences").to_pylist(), key=lambda row: (row["uids"], row["kind"]))

    return call, root


def test_what_facts_contradict_is_said_right_or_left_out_and_what_they_support_is_kept(run):
    call, root = run
    code, rows = call("--samples", "2")
    assert code == 0
    assert verify(root).problems == []
    of = {(int(row["uids"][0], 16), row["kind"], row["rejected"]): row for row in rows}
    wrong = of[0, "corrected", DRAFTS[0][0]]
    assert wrong["wrong"] == ["Right pleural effusion.", "No liver lesion."]
    assert set(wrong["parents"]) == {f"{uid(0)}:pleural_effusion:present", f"{uid(0)}:liver_lesion:present"}
    said = wrong["chosen"].casefold()
    assert "left" in said
    assert "20 mm" in said or "2 cm" in said
    assert "renal stone of 10 mm on the right" in said
    assert "no liver" not in said
    assert said.index("liver") < said.index("pleur") or said.index("hepatic") < said.index("pleur")  # by their names
    short = of[0, "shortened", DRAFTS[0][0]]
    assert "There is a renal stone of 10 mm on the right." in short["chosen"]
    assert not any(word in short["chosen"].casefold() for word in ("liver", "hepatic", "20 mm", "left"))
    assert "pleural" in short["chosen"].casefold()  # it is there: its side alone was wrong
    doubtful = of[2, "shortened", DRAFTS[2][0]]
    assert doubtful["chosen"] == "Splenomegaly."  # not there, but silence would miss those that are
    assert doubtful["wrong"] == ["There is no renal stone."]
    kept = next(row for (number, kind, _), row in of.items() if (number, kind) == (2, "corrected"))
    assert kept["detail"]
    assert kept["rejected"] == DRAFTS[2][0]
    assert {row["question"] for row in rows} == {ASKED}
    assert {row["model"] for row in rows} == {f"last-{hashlib.sha256(b'weights').hexdigest()[:8]}"}
    for row in rows:
        assert row["chosen"] != row["rejected"]
    assert not any(row["rejected"] in ("", "Nobody knows.") or row["chosen"] == "" for row in rows)


def test_what_is_not_wrong_is_kept_over_less_of_it_sentences_and_details(run, monkeypatch):
    call, _ = run
    true = ["Left pleural effusion.", "There is a renal stone of 10 mm on the right."]
    drafts = [" ".join(said) for said in itertools.permutations([*true, "No liver lesion."])]
    monkeypatch.setitem(DRAFTS, 0, drafts)
    monkeypatch.setitem(DRAFTS, 2, ["Renal stones on the right. No splenomegaly."])  # three lie on the left
    _, rows = call("--samples", str(len(drafts)), "--words", "plain")
    kept = [row for row in rows if row["kind"] == "kept" and row["uids"] == [uid(0)]]
    assert {row["chosen"] for row in kept} == {" ".join(true), " ".join(reversed(true))}  # without what is wrong
    less = {row["rejected"] for row in kept}
    assert less & set(true)  # a sentence is missing
    bare = {sentence for text in less - set(true) for sentence in split_sentences(text)} - set(true)
    assert bare  # or what it says of its finding
    assert bare <= {"Pleural effusion.", "Renal stone."}
    short = [row["chosen"] for row in rows if row["kind"] == "shortened" and row["uids"] == [uid(2)]]
    assert short == ["No splenomegaly. Renal stones."] or short == ["Renal stones. No splenomegaly."]  # still several


def test_only_training_images_are_drafted_and_a_second_run_adds_nothing(run):
    call, _ = run
    code, rows = call("--scheme", "held", "--samples", "2")
    assert code == 0
    assert {int(row["uids"][0], 16) for row in rows} == {2}  # p1 is held out, and p3 has no split
    code, again = call("--scheme", "held", "--samples", "2")
    assert code == 0
    assert again == rows


def test_facts_of_one_source_judge_alone(run):
    call, _ = run
    assert call("--facts-source", "reports", "--samples", "2") == (0, [])  # all facts are of labels


def test_silence_of_one_source_is_a_denial_where_it_is_said_to_be(run, monkeypatch):
    call, _ = run
    false = "Left pleural effusion. Pneumothorax on the right."
    monkeypatch.setitem(DRAFTS, 0, [false])
    monkeypatch.setitem(DRAFTS, 2, [""])
    source = ("--facts-source", "labels", "--samples", "1", "--words", "plain")
    assert not [row for row in call(*source)[1] if row["kind"] == "corrected"]  # no fact is of it
    (row,) = [row for row in call(*source, "--closed", "pneumothorax,splenomegaly")[1] if row["kind"] == "corrected"]
    assert (row["chosen"], row["wrong"]) == (
        "Left pleural effusion. No pneumothorax.",
        ["Pneumothorax on the right."],
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--samples", "0"), "--samples must be at least 1, not 0"),
        (("--temperature", "0"), "--temperature must be above 0, not 0"),
        (("--style", "narrative"), "not trained on reports"),
        (("--where", "uid = 'nowhere'"), "selects nothing"),
        (("--closed", "pneumothorax,splenomegalie"), "no fact of the corpus is of splenomegalie; facts are of"),
        (("--scheme", "none"), "none has a split of the scheme 'none'"),
    ],
)
def test_what_cannot_be_is_one_sentence(run, options, sentence, capsys):
    call, _ = run
    assert call(*options)[0] == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
