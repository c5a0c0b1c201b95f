"""The whole path on a corpus with known answers: results.json, the page, the terminal, what is refused."""

import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from sklearn import metrics as sk

from voxtile.corpus.reader import Corpus
from voxtile.errors import EvaluationError, PresetError
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model, report

QUICK = Options(batch_size=16, replicates=100)
COLUMNS = {"task", "model", "kind", "metric", "average", "class", "value", "low", "high", "n", "positives"}
HEAD = ("effusion", "nodule", "fracture")


def run(model, corpus, task, options=QUICK):
    return evaluate_model(model, "m.ckpt", corpus, [str(task)], options)


@pytest.fixture(scope="module")
def evaluated(block_corpus, make_model, task_path, tmp_path_factory):
    """Evaluation, its folder, and what the terminal got; the model has a fact head."""
    folder = tmp_path_factory.mktemp("evaluated")
    task = folder / "blocks.yaml"
    task.write_text(task_path.read_text() + "fact_head_ensemble: true\n")
    evaluation = run(make_model(HEAD), block_corpus, task)
    console = Console(record=True, width=150, file=io.StringIO())
    report(evaluation, folder, console)
    return evaluation, folder, console.export_text()


@pytest.fixture(scope="module")
def results(evaluated):
    return json.loads((evaluated[1] / "results.json").read_text())


def find(rows, **wanted):
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(found) == 1, (wanted, len(found))
    return found[0]


def truth_and_brightness(corpus, make_model, column):
    """Labels and the model's own input of one finding on the test split, read without the code under test."""
    facts = {(r["uid"], r["concept"]): r["polarity"] == "present" for r in corpus.table("facts").to_pylist()}
    splits = corpus.splits()
    labels, values = [], []
    for row in corpus.table("samples").to_pylist():
        if splits[row["subject"]] == "test":
            labels.append(facts[row["uid"], ("nodule", "effusion", "fracture")[column]])
            values.append(corpus.source(row).array()[:4, :4, 4 * column : 4 * column + 4].mean())
    return labels, values


def test_results_have_the_columns_of_the_contract_and_no_nan(results):
    assert results["schema"] == "voxtile.results/1"
    assert {"schema", "provenance", "rows"} <= set(results)
    for row in results["rows"]:
        assert set(row) == COLUMNS
        assert row["kind"] in {"model", "trivial", "shuffled"}
        assert row["low"] <= row["value"] <= row["high"]
    keys = [tuple(row[k] for k in ("task", "model", "kind", "metric", "average", "class")) for row in results["rows"]]
    assert len(set(keys)) == len(keys)


def test_fact_head_figures_equal_scikit_learn_on_what_the_head_sees(results, block_corpus, make_model):
    for column, name in enumerate(("nodule", "effusion", "fracture")):
        labels, values = truth_and_brightness(block_corpus, make_model, column)
        row = find(results["rows"], model="blocks+fact-head", kind="model", metric="auroc", **{"class": name})
        assert row["value"] == pytest.approx(sk.roc_auc_score(labels, values), abs=1e-9)
        assert (row["n"], row["positives"]) == (80, sum(labels))


def test_contrastive_head_ensemble_baseline_and_shuffled_stand_apart(results):
    macro = {"metric": "auroc", "average": "macro"}
    rows = results["rows"]
    values = {
        key: find(rows, model=key[0], kind=key[1], **macro)["value"]
        for key in (
            ("blocks", "model"),
            ("blocks+fact-head", "model"),
            ("blocks+fact-head-ensemble", "model"),
            ("histogram-and-blocks", "trivial"),
            ("blocks", "shuffled"),
            ("blocks+fact-head", "shuffled"),
        )
    }
    assert values["blocks", "model"] > 0.85
    assert values["blocks+fact-head", "model"] != values["blocks", "model"]
    assert 0.45 < values["blocks", "shuffled"] < 0.55
    assert values["histogram-and-blocks", "trivial"] > 0.6  # the findings are blocks, which the baseline sees too
    for row in rows:  # beside every figure of the model there are both controls
        if row["kind"] == "model" and row["model"] == "blocks":
            same = {k: row[k] for k in ("task", "metric", "average", "class")}
            find(rows, kind="trivial", **same)
            find(rows, kind="shuffled", model="blocks", **same)


def test_thresholds_are_validations_and_are_applied_to_test(results, evaluated, block_corpus):
    evaluation = evaluated[0]
    result = evaluation.results[0]
    stated = results["provenance"]["tasks"]["blocks"]["thresholds"]["blocks"]["nodule"]
    called = result.scores["blocks"][:, 0] > stated
    row = find(results["rows"], model="blocks", kind="model", metric="balanced_accuracy", **{"class": "nodule"})
    assert row["value"] == pytest.approx(sk.balanced_accuracy_score(result.labels[:, 0], called), abs=1e-9)


def test_no_threshold_or_penalty_is_taken_from_the_reported_split(block_corpus, make_model, task_path):
    evaluation = run(make_model(), block_corpus, task_path, Options(split="val", batch_size=16, replicates=100))
    assert not any(row.metric == "balanced_accuracy" for row in evaluation.rows if row.kind == "model")
    assert any("threshold may come from validation only" in note for note in evaluation.results[0].notes)


def test_provenance_and_prompt_sensitivity(results):
    provenance = results["provenance"]
    assert provenance["phantom"] is True
    assert provenance["seed"] == 0
    assert {"python", "voxtile", "torch", "scikit-learn"} <= set(provenance["versions"])
    assert re.fullmatch(r"[0-9a-f]{64}", provenance["corpus"][0]["manifests_sha256"])
    assert provenance["tasks"]["blocks"]["sizes"] == {
        "test": {"units": 80, "subjects": 80},
        "val": {"units": 40, "subjects": 40},
        "train": {"units": 40, "subjects": 40},
    }
    nodule = next(part for part in results["prompt_sensitivity"] if part["class"] == "nodule")
    assert [prompt["text"] for prompt in nodule["prompts"]] == ["a nodule", "nodule, seen"]
    values = [prompt["value"] for prompt in nodule["prompts"]]
    assert (nodule["median"], nodule["low"], nodule["high"]) == (np.median(values), min(values), max(values))


def test_the_same_seed_gives_the_same_rows(evaluated, block_corpus, make_model, task_path):
    rows = [run(make_model(), block_corpus, task_path, QUICK).rows for _ in range(2)]
    assert rows[0] == rows[1]
    other = run(make_model(), block_corpus, task_path, Options(batch_size=7, replicates=100, seed=1)).rows
    honest = [[row for row in part if row.kind != "shuffled"] for part in (rows[0], other)]
    assert [row.value for row in honest[1]] == pytest.approx(
        [row.value for row in honest[0]]
    )  # whatever the batch size
    assert [row.low for row in honest[1]] != [row.low for row in honest[0]]


def test_the_terminal_names_what_is_zero_shot_and_what_is_not(evaluated):
    text = evaluated[2]
    for words in ("zero-shot prompts", "+fact-head", "trivial baseline", "shuffled images", "never quality"):
        assert words in text


class Page(HTMLParser):
    """Collects tags, attributes and text; notes a tag that is closed out of order."""

    VOID = frozenset({"meta", "img", "br", "line", "rect", "circle", "link", "input"})

    def __init__(self, source):
        super().__init__()
        self.tags, self.open, self.wrong, self.text = [], [], [], ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID and (not self.open or self.open.pop() != tag):
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(evaluated):
    return Page((evaluated[1] / "index.html").read_text())


def test_the_page_is_whole_and_asks_for_nothing_from_the_network(page, evaluated):
    assert not page.wrong
    assert not page.open
    for _tag, attributes in page.tags:
        for key in ("src", "href", "data", "srcset", "action"):
            if value := attributes.get(key):
                assert value.startswith(("data:", "#")), value
    source = (evaluated[1] / "index.html").read_text()
    assert "<script" not in source
    assert "@import" not in source
    assert not re.search(r"url\((?!['\"]?data:)", source)


def test_the_page_lists_the_cases_behind_its_figures_the_worst_first(evaluated, results):
    from voxtile.serve.reports.report import Report

    scores = pq.read_table(evaluated[1] / "scores.parquet").to_pandas()
    report = Report(evaluated[1])
    page = report.page(lambda uid: f"/#/sample/{uid}")
    place = 0
    for name in ("nodule", "effusion", "fracture"):
        threshold = results["provenance"]["tasks"]["blocks"]["thresholds"]["blocks"][name]
        own = scores[(scores["class"] == name) & (scores["model"] == "blocks")]
        alarms = own[(own["label"] == 0) & (own["score"] > threshold)]
        alarms = alarms.sort_values(["score", "unit"], ascending=[False, True])
        misses = own[(own["label"] == 1) & (own["score"] <= threshold)].sort_values(["score", "unit"])
        place = page.index(f"{len(alarms)} false positives, {len(misses)} false negatives", place)
        for uid in [*alarms["unit"][:10], *misses["unit"][:10]]:
            place = page.index(f'<a href="/#/sample/{uid}"><code class="case">{uid}</code></a>', place)
    assert "sha256" not in page, "what is served says nothing of files"


def test_the_page_is_accessible(page):
    names = [tag for tag, _ in page.tags]
    assert ("html", {"lang": "en"}) in page.tags
    assert names.count("h1") == 1
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    levels = [int(name[1]) for name in names if re.fullmatch("h[1-6]", name)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_page_says_what_it_shows_and_what_it_does_not_prove(page, results):
    text = " ".join(page.text.split())
    headline = find(results["rows"], model="blocks", kind="model", metric="auroc", average="macro")
    assert f"{headline['value']:.3f}" in text
    assert f"{headline['low']:.3f}–{headline['high']:.3f}" in text
    for words in (
        "Phantom data.",
        "prove nothing about the quality of any model on patients",
        "What these figures do not prove",
        "Auxiliary fact head",
        "not zero-shot",
        "Trivial baseline",
        "Shuffled images",
        "False alarm",
        "Calibration",
        "Provenance",
    ):
        assert words in text, words


def test_names_are_escaped_on_the_page(block_corpus, make_model, task_path, tmp_path):
    task = tmp_path / "hostile.yaml"
    task.write_text(task_path.read_text() + 'title: "<script>alert(1)</script>"\nabout: "a & b <img src=http://x>"\n')
    evaluation = run(make_model(), block_corpus, task)
    report(evaluation, tmp_path, Console(file=io.StringIO()))
    source = (tmp_path / "index.html").read_text()
    assert "<script>" not in source
    assert "<img src=http" not in source


# What is refused


def test_a_finding_without_positives_is_named_and_the_others_are_unharmed(tmp_path, make_corpus, make_model, task_path):
    corpus = make_corpus(tmp_path / "c", n=120, prevalence=(0.4, 0.0, 0.4))
    evaluation = run(make_model(), corpus, task_path)
    report(evaluation, tmp_path, Console(file=io.StringIO()))
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    refused = find(rows, model="blocks", kind="model", metric="auroc", **{"class": "effusion"})
    assert (refused["value"], refused["low"], refused["high"], refused["positives"]) == (None, None, None, 0)
    assert find(rows, model="blocks", kind="model", metric="auroc", **{"class": "nodule"})["value"] > 0.8
    text = " ".join(Page((tmp_path / "index.html").read_text()).text.split())
    assert "effusion: refused, no positive among 60 labelled studies of 'test'" in text


def test_a_task_with_nothing_to_measure_is_refused(tmp_path, make_corpus, make_model, task_path):
    corpus = make_corpus(tmp_path / "c", n=24)
    with pytest.raises(EvaluationError, match=r"no class that can be evaluated.*nodule: refused"):
        run(make_model(), corpus, task_path)


def test_a_misspelt_concept_names_the_nearest(block_corpus, make_model, task_path, tmp_path):
    task = tmp_path / "t.yaml"
    task.write_text(task_path.read_text().replace("  effusion:\n", "  effusion:\n    concept: efusion\n"))
    result = run(make_model(), block_corpus, task).results[0]
    assert "effusion (did you mean the concept 'effusion'?)" in result.notes[0]
    assert {row.class_name for row in result.rows} == {"nodule", "fracture", None}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("where: modality = 'MR'", "selects nothing: no sample satisfies"),
        ("where: modalty = 'CT'", "'where' is not a condition"),
        ("where: \"1=1) UNION SELECT * FROM read_csv('/etc/passwd') --\"", "'where' is not a condition"),
        ("scheme: other", "none has a split of the scheme 'other'"),
        ("facts_source: masks", "the corpus has only: labels"),
    ],
)
def test_selections_that_give_nothing_say_why(block_corpus, make_model, task_path, tmp_path, line, said):
    task = tmp_path / "t.yaml"
    task.write_text(task_path.read_text().replace("facts_source: labels\n", "") + line + "\n")
    with pytest.raises(Exception, match=re.escape(said)) as caught:
        run(make_model(), block_corpus, task)
    assert caught.value.exit_status == 2


def test_a_preset_that_the_corpus_cannot_satisfy_is_refused(tmp_path, make_corpus, make_model, task_path):
    corpus = make_corpus(tmp_path / "c", units="a.u.")
    with pytest.raises(PresetError, match=r"needs units HU, but the corpus holds a\.u\."):
        run(make_model(), corpus, task_path)


def test_an_embedding_that_is_not_finite_names_the_sample(block_corpus, make_model, task_path):
    model = make_model()
    encode, seen = model.encode_images, []

    def broken(images):
        embeddings = encode(images)
        if not seen:
            embeddings[3, 1] = float("nan")
        seen.append(len(images))
        return embeddings

    model.encode_images = broken  # the fourth validation subject in the order of names is p109
    with pytest.raises(EvaluationError, match=r"not finite for sample 01090;"):
        run(model, block_corpus, task_path)


def test_a_sample_that_cannot_be_read_is_an_error_and_not_left_out(tmp_path, make_corpus, make_model, task_path):
    corpus = make_corpus(tmp_path / "c")
    shard = next((tmp_path / "c" / "shards").glob("*.tar"))
    with shard.open("r+b") as file:
        file.seek(corpus.row("00020")["offset"])
        file.write(b"\0" * 64)
    with pytest.raises(EvaluationError, match="sample 00020 cannot be read"):
        run(make_model(), Corpus(tmp_path / "c"), task_path)


def test_without_training_or_validation_split_figures_are_given_and_the_gaps_named(
    tmp_path, make_corpus, make_model, task_path
):
    make_corpus(tmp_path / "c", n=80)
    path = next((tmp_path / "c" / "tables" / "splits").glob("*.parquet"))
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    everything = table.set_column(2, table.schema.field("split"), pa.array(["test"] * len(table), pa.string()))
    pq.write_table(everything.replace_schema_metadata(table.schema.metadata), path)
    evaluation = run(make_model(), Corpus(tmp_path / "c"), task_path)
    notes = " ".join(evaluation.results[0].notes)
    assert "no trivial baseline" in notes
    assert "no balanced accuracy" in notes
    assert {row.kind for row in evaluation.rows} == {"model", "shuffled"}
    report(evaluation, tmp_path, Console(file=io.StringIO()))
    assert not Page((tmp_path / "index.html").read_text()).wrong


def test_the_ensemble_is_the_mean_of_both_and_a_denied_concept_counts_backwards(block_corpus, make_model, tmp_path):
    """Class `clear` is the absence of effusion: what the head says of it is one less what it says of effusion."""
    task = tmp_path / "t.yaml"
    classes = {
        "effusion": {"wordings": [{"present": "effusion", "absent": "no effusion"}]},
        "clear": {
            "concept": "effusion",
            "when": "absent",
            "wordings": [{"present": "no effusion", "absent": "effusion"}],
        },
    }
    content = {"kind": "zero-shot-multilabel", "facts_source": "labels", "fact_head_ensemble": True, "classes": classes}
    task.write_text(json.dumps(content))
    scores = run(make_model(HEAD), block_corpus, task).results[0].scores
    prompted, head, both = (scores[f"blocks{end}"] for end in ("", "+fact-head", "+fact-head-ensemble"))
    np.testing.assert_allclose(both, (prompted + head) / 2, atol=1e-6)
    np.testing.assert_allclose(head[:, 1], 1 - head[:, 0], atol=1e-6)
    assert np.ptp(head[:, 0]) > 0.1


def test_the_difference_to_the_baseline_is_that_of_the_figures(evaluated, results):
    (difference,) = [d for d in evaluated[0].results[0].differences if d.model == "blocks"]
    macro = {"metric": "auroc", "average": "macro"}
    values = [
        find(results["rows"], model=model, kind=kind, **macro)["value"]
        for model, kind in (("blocks", "model"), ("histogram-and-blocks", "trivial"))
    ]
    assert difference.value == pytest.approx(values[0] - values[1], abs=1e-9)
    assert difference.low < difference.value < difference.high
