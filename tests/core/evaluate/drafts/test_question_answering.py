"""Answers against known ones: closed by choice, open by words, refusals apart, beside answers that see nothing."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.kinds.answers.scoring import choice_of, is_exact, is_refusal, token_f1
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model
from voxtile.evaluation.tasks.file import load_task

N = 40
QUICK = Options(replicates=200)


def asked(number):
    """Of each image: whether, on which side, what; and what no image tells."""
    return {
        "presence": ("Is there a mass?", "yes" if number % 4 else "no"),
        "side": ("On which side?", "left" if number % 2 else "right"),
        "question": ("What is it?", "a large mass"),
        "unanswerable": ("Who is it?", "cannot be told"),
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("asked") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made")
    for number in range(2 * N):
        row = {"uid": f"{number:032x}", "subject": f"p{number}", "kind": "volume", "modality": "CT", "axes": "ZYX",
               "units": "HU"}  # fmt: skip
        writer.add(Sample(row, np.zeros((4, 4, 4), np.int16)))
        split = "test" if number < N else "train"
        writer.add_rows("splits", [{"scheme": "default", "subject": row["subject"], "split": split}])
        for kind, (question, answer) in asked(number).items():
            shared = {"dialogue_id": f"{kind}-{number}", "uids": [row["uid"]], "kind": kind, "provider": "made"}
            turns = [{"turn": 0, "role": "user", "text": question}]
            turns += [{"turn": 1, "role": "assistant", "text": answer, "answer": answer}]
            writer.add_rows("dialogues", [shared | turn for turn in turns])
    writer.publish()
    return Corpus(root)


def run(corpus, make_model, folder, answers, more=""):
    table = pa.table({"dialogue_id": list(answers), "text": list(answers.values())})
    pq.write_table(table, folder / "a.parquet")
    (folder / "t.yaml").write_text(f"kind: question-answering\nanswers: a.parquet\n{more}")
    return evaluate_model(make_model(), "m", corpus, [str(folder / "t.yaml")], QUICK)


def values(evaluation, model="answers", kind="model"):
    return {(r.metric, r.class_name): r.value for r in evaluation.rows if (r.model, r.kind) == (model, kind)}


def test_accuracies_are_those_counted_by_hand(corpus, make_model, tmp_path):
    said = {}
    for number in range(N):
        true = {kind: answer for kind, (_, answer) in asked(number).items()}
        said[f"presence-{number}"] = "Yes, there is a mass." if true["presence"] == "yes" else "No mass."
        said[f"side-{number}"] = "It is on the left."  # right in every second
        said[f"question-{number}"] = "The large mass." if number % 2 else "A small mass."
        said[f"unanswerable-{number}"] = "That cannot be told from this image." if number % 4 else "John."
    evaluation = run(corpus, make_model, tmp_path, said)
    found = values(evaluation)
    assert found["accuracy", "presence"] == 1.0
    assert found["accuracy", "side"] == 0.5
    assert found["closed_accuracy", None] == 0.75
    assert found["open_exact", None] == 0.5
    assert found["open_f1", None] == pytest.approx(0.75)  # of two words each, one is wrong in every second
    assert found["accuracy", None] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert found["refusal_recall", None] == 0.75
    assert found["false_refusal", None] == 0.0
    common = values(evaluation, "commonest-answer", "trivial")
    assert (common["accuracy", "presence"], common["accuracy", "side"]) == (0.75, 0.5)
    other = values(evaluation, kind="shuffled")
    assert other["accuracy", "presence"] < 0.9
    (difference,) = evaluation.results[0].differences
    assert difference.value == pytest.approx(found["accuracy", None] - common["accuracy", None])
    assert evaluation.results[0].details()["questions"] == dict.fromkeys(
        ("presence", "question", "side", "unanswerable"), N
    )


def test_blind_answers_stand_beside_and_kinds_are_chosen(corpus, make_model, tmp_path):
    said = {f"side-{number}": asked(number)["side"][1] for number in range(N)}
    blind = pa.table({"dialogue_id": list(said), "text": ["Left."] * N})
    pq.write_table(blind, tmp_path / "b.parquet")
    evaluation = run(corpus, make_model, tmp_path, said, "blind: b.parquet\nkinds: [side]\n")
    assert values(evaluation)["accuracy", None] == 1.0
    assert values(evaluation, "blind-answers", "trivial")["accuracy", None] == 0.5
    assert evaluation.results[0].differences[0].baseline == "blind-answers"


@pytest.mark.parametrize(
    ("text", "choices", "choice"),
    [
        ("Yes, a mass is seen on the left.", {"yes", "no"}, "yes"),
        ("no", {"yes", "no"}, "no"),
        ("There is none.", {"yes", "no"}, None),
        ("Nothing yes or no.", {"yes", "no"}, None),
        ("On both sides", {"left", "right", "bilateral"}, "bilateral"),
        ("It is right-sided.", {"left", "right"}, "right"),
        ("The stone has grown.", {"larger", "smaller", "new"}, "larger"),
        ("That cannot be told from this image.", {"left", "right"}, None),
    ],
)
def test_a_choice_is_read_from_a_sentence(text, choices, choice):
    assert choice_of(text, choices) == choice


def test_words_are_compared_as_squad_does():
    assert is_exact("The left lower lobe.", "left lower lobe")
    assert not is_exact("lower left lobe", "left lower lobe")
    assert token_f1("left lobe", "left lower lobe") == pytest.approx(0.8)
    assert (token_f1("", "mass"), token_f1("fat", "mass")) == (0.0, 0.0)
    assert is_refusal("There is no prior chest CT to compare with.")
    assert not is_refusal("There is no pneumothorax.")


def test_bad_files_are_one_sentence(corpus, make_model, tmp_path):
    with pytest.raises(EvaluationError, match="has a text of 'side-999', which the corpus does not hold"):
        run(corpus, make_model, tmp_path, {"side-999": "left"})
    with pytest.raises(EvaluationError, match="no question about a sample of the split 'test' has an answer in"):
        run(corpus, make_model, tmp_path, {f"side-{N}": "left"})
    (tmp_path / "t.yaml").write_text("kind: question-answering\n")
    with pytest.raises(ConfigError, match="expected a file with the columns dialogue_id and text"):
        load_task(str(tmp_path / "t.yaml"))


def test_an_empty_answer_is_wrong_and_a_question_without_one_is_said(corpus, make_model, tmp_path):
    said = {f"side-{number}": asked(number)["side"][1] for number in range(N - 4)} | {f"side-{N - 4}": ""}
    evaluation = run(corpus, make_model, tmp_path, said, "kinds: [side]\n")
    assert values(evaluation)["accuracy", None] == pytest.approx((N - 4) / (N - 3))
    assert "3 questions of the split have no answer in the file, and count nowhere" in evaluation.results[0].notes
