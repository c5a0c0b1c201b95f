"""Answers against known ones: closed by choice, open by words, refusals apart, beside answers that see nothing."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.kinds.answers.scoring import choice_of, is_exact, is_option, is_refusal, is_told, token_f1
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


def asked_with(corpus, make_model, folder, said, confidence):
    table = pa.table({"dialogue_id": list(said), "text": list(said.values()), "confidence": list(confidence.values())})
    pq.write_table(table, folder / "a.parquet")
    (folder / "t.yaml").write_text("kind: question-answering\nanswers: a.parquet\n")
    return values(evaluate_model(make_model(), "m", corpus, [str(folder / "t.yaml")], QUICK))


def told(wrong, refusing):
    """Answers to two questions an image: every `wrong`-th side is not the right one, every `refusing`-th is refused."""
    said = {}
    for number in range(N):
        side = asked(number)["side"][1]
        said[f"side-{number}"] = side if number % wrong else {"left": "right", "right": "left"}[side]
        said[f"unanswerable-{number}"] = "That cannot be told." if number % refusing == 0 else "John."
    return said


def test_confidence_is_judged_by_what_it_risks(corpus, make_model, tmp_path):
    said = told(wrong=4, refusing=2)
    right = {
        name: (int(name.split("-")[1]) % 4 != 0) if name[0] == "s" else text[0] == "T" for name, text in said.items()
    }
    rng = np.random.default_rng(0)
    confidence = {name: float(value) for name, value in zip(said, rng.uniform(0.05, 0.95, len(said)), strict=True)}
    found = asked_with(corpus, make_model, tmp_path, said, confidence)
    ordered = [right[name] for name in sorted(said, key=lambda name: -confidence[name])]
    risks = [1 - np.mean(ordered[: count + 1]) for count in range(len(ordered))]  # the definition, answer by answer
    assert found["aurc", None] == pytest.approx(np.mean(risks))
    assert found["risk@0.5", None] == pytest.approx(risks[len(ordered) // 2 - 1])
    bins = [min(int(confidence[name] * 15), 14) for name in said]
    gaps = [
        abs(sum(right[n] - confidence[n] for n, b in zip(said, bins, strict=True) if b == place)) for place in range(15)
    ]
    assert found["ece", None] == pytest.approx(sum(gaps) / len(said))
    refused = sum(text[0] == "T" for text in said.values())
    assert found["refusal_precision", None] == 1.0
    assert found["refusal_recall", None] == refused / N
    sure = {name: 0.9 if right[name] else 0.1 for name in said}  # all the right ones first, of one confidence each
    found = asked_with(corpus, make_model, tmp_path, said, sure)
    share = sum(right.values()) / len(right)
    assert found["aurc", None] == pytest.approx((1 - share) * (1 - share))
    assert found["ece", None] == pytest.approx(0.1)
    nothing = dict.fromkeys(said, 0.5)
    assert asked_with(corpus, make_model, tmp_path, said, nothing)["aurc", None] == pytest.approx(1 - share)
    with pytest.raises(EvaluationError, match="a confidence that is no number from 0 to 1; mend it"):
        asked_with(corpus, make_model, tmp_path, said, dict.fromkeys(said, 1.5))


def test_a_threshold_is_chosen_where_it_risks_what_it_may(corpus, tmp_path, capsys):
    said = {f"side-{number}": asked(number)["side"][1] for number in range(N, 2 * N)}
    for place, name in enumerate(said):  # the surer half is right, of the other every second
        said[name] = said[name] if place < 20 or place % 2 else "nowhere"
    confidence = [0.9895 - place / 100 for place in range(N)]
    table = pa.table({"dialogue_id": list(said), "text": list(said.values()), "confidence": confidence})
    pq.write_table(table, tmp_path / "a.parquet")
    call = ["calibrate", str(corpus.roots[0]), str(tmp_path / "a.parquet"), "--split", "train"]
    assert main([*call, "--risk", "0.2"]) == 0
    chosen = capsys.readouterr().out  # of 20 + 2k answers k are wrong: at most a fifth up to k = 6
    assert "--least 0.679: 80% of the questions are answered, and 18.8% of the answers are wrong" in chosen
    for more, sentence in (
        (["--split", "test"], "never chosen on what a model is judged by"),
        (["--risk", "0"], "--risk must lie between 0 and 1, not 0"),
        (["--kinds", "count"], "has an answer in"),
    ):
        assert main([*call, *more]) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())
    pq.write_table(table.drop_columns("confidence"), tmp_path / "a.parquet")
    assert main(call) == 2
    assert "has no column confidence" in " ".join(capsys.readouterr().err.split())


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


PLACES = ["left", "lower", "lower left", "lower lobe", "right lower lobe"]


@pytest.mark.parametrize(
    ("text", "kind", "true", "right"),
    [
        ("There are three tanks.", "count", "3", True),
        ("Eight: In this view there are eight houses.", "count", "8", True),
        ("Twelve.", "count", "12", True),
        ("There are 12 houses.", "count", "12", True),
        ("There are three tanks.", "count", "2", False),
        ("There are tanks.", "count", "3", False),
        ("In the lower left part of the picture.", "place", "lower left", True),
        ("In the lower left part of the picture.", "place", "left", False),
        ("In the left part of the picture.", "place", "left", True),
        ("It lies in the right lower lobe.", "place", "right lower lobe", True),
        ("It lies in the right lower lobe.", "place", "lower lobe", False),
        ("It measures 12 mm.", "size", "12 mm", True),
        ("It measures 12 mm.", "size", "2 mm", False),
        ("It measures 12 x 8 mm.", "size", "8 mm", False),
        ("It measures 18 mm ± 5 mm.", "size", "23 mm ± 5 mm", True),
        ("1.8 cm.", "size", "23 mm ± 5 mm", True),
        ("17 mm ± 50 mm.", "size", "23 mm ± 5 mm", False),
        ("28.5 mm.", "size", "23 mm ± 5 mm", False),
        ("23 mm ± 5 mm.", "size", "24 mm", False),
        ("40 x 23 mm.", "size", "23 mm ± 5 mm", False),
        ("23 ml.", "size", "23 mm ± 5 mm", False),
        ("Two: in this view there are two tanks beside three houses.", "count", "3", False),
        ("There are three tanks.", "question", "3", False),
        ("In the left part of the picture.", "question", "left", False),
    ],
)
def test_a_number_a_place_and_a_size_are_read_from_a_sentence(text, kind, true, right):
    assert is_told(text, true, kind, PLACES) is right
    assert is_told(true, true, kind, PLACES)


def test_words_are_compared_as_squad_does():
    assert is_exact("The left lower lobe.", "left lower lobe")
    assert not is_exact("lower left lobe", "left lower lobe")
    assert token_f1("left lobe", "left lower lobe") == pytest.approx(0.8)
    assert (token_f1("", "mass"), token_f1("fat", "mass")) == (0.0, 0.0)
    assert is_refusal("There is no prior chest CT to compare with.")
    assert not is_refusal("There is no pneumothorax.")


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("B", True), ("(b)", True), ("B) a large mass", True), ("B.", True), ("The answer is B.", True),
        ("Option (B), since it is large", True), ("a large mass", True), ("A large mass.", True),
        ("A", False), ("A) a large mass", False), ("The answer is a small one", False), ("", False), ("mass", False),
        ("C) none", False), ("The best choice: C", False),
    ],
)  # fmt: skip
def test_an_option_is_chosen_by_its_letter_or_its_words(said, right):
    assert is_option(said, "b) a large mass") is right


def test_questions_of_several_choices_have_a_figure_of_their_own(tmp_path, make_model):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made")
    said = {}
    for number in range(N):
        row = {"uid": f"{number:032x}", "subject": f"p{number}", "kind": "volume", "modality": "CT", "axes": "ZYX",
               "units": "HU"}  # fmt: skip
        writer.add(Sample(row, np.zeros((4, 4, 4), np.int16)))
        writer.add_rows("splits", [{"scheme": "default", "subject": row["subject"], "split": "test"}])
        shared = {"dialogue_id": f"q-{number}", "uids": [row["uid"]], "kind": "choice", "provider": "made"}
        told = "B) a mass" if number % 2 else "A) a cyst"
        turns = [{"turn": 0, "role": "user", "text": "What is it?\nA) a cyst\nB) a mass"}]
        turns += [{"turn": 1, "role": "assistant", "text": told, "answer": told.casefold()}]
        writer.add_rows("dialogues", [shared | turn for turn in turns])
        said[f"q-{number}"] = ("A", "a mass", "B", "C")[number % 4]  # the first two of four are right
    writer.publish()
    found = values(run(Corpus(root), make_model, tmp_path, said))
    assert found["choice_accuracy", None] == found["accuracy", None] == 0.5
    assert ("open_exact", None) not in found


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
