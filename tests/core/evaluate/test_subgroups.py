"""Groups of units: who belongs to which, and figures refused under ten positives."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.subgroups import subgroup_figures
from voxtile.evaluation.inputs.groups import group_names
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model

QUICK = Options(replicates=100)


class Tables:
    """A corpus that has two tables."""

    def __init__(self, samples, facts=()):
        self._tables = {
            "samples": pa.Table.from_pylist(samples),
            "facts": pa.Table.from_pylist(
                list(facts), pa.schema([("uid", pa.string()), ("concept", pa.string()), ("polarity", pa.string()),
                                        ("value", pa.float64()), ("attributes", pa.string())])),
        }  # fmt: skip

    def table(self, name, columns):
        return self._tables[name].select(columns)

    def connection(self):
        import duckdb

        connection = duckdb.connect()
        connection.register("samples", self._tables["samples"])
        return connection


def units(count):
    names = tuple(f"u{i}" for i in range(count))
    return Units(names, np.arange(count), np.array([f"p{i}" for i in range(count)]), names)


def samples(attributes):
    columns = {"modality": "CT", "licence": None, "kind": "volume", "units": "HU"}
    return [{"uid": f"u{i}", **columns, "attributes": json.dumps(a)} for i, a in enumerate(attributes)]


def test_groups_come_from_attributes_columns_and_facts():
    corpus = Tables(samples([{"sex": "F", "vendor": "GE"}, {"sex": "M"}, {}]))
    assert group_names(corpus, units(3), "sex") == ["F", "M", None]
    assert group_names(corpus, units(3), "scanner") == ["GE", None, None]
    assert group_names(corpus, units(3), "modality") == ["CT", "CT", "CT"]
    told = [
        {"uid": uid, "concept": "winter", "polarity": said, "value": None, "attributes": '{"kind": "season"}'}
        for uid, said in (("u0", "present"), ("u1", "absent"))
    ]
    assert group_names(Tables(samples([{}, {}]), told), units(2), "season") == ["winter", None]


def test_a_property_that_nobody_has_or_that_is_no_grouping_is_refused():
    corpus = Tables(samples([{"sex": "F", "kvp_text": str(i)} for i in range(40)]))
    with pytest.raises(EvaluationError, match="no unit of the split has the property 'sec'; did you mean 'sex'"):
        group_names(corpus, units(40), "sec")
    with pytest.raises(EvaluationError, match="has 40 values"):
        group_names(corpus, units(40), "kvp_text")


def test_of_properties_that_have_no_value_here_none_is_suggested():
    """`--subgroups scanner` on de-identified radiographs answered "did you mean 'scanner'?"."""
    corpus = Tables(samples([{"sex": "F", "view": ["AP"]}, {"sex": "M", "place": "Ulm"}]))
    with pytest.raises(EvaluationError, match=r"property 'scanner'; valid: kind, modality, sex, units$"):
        group_names(corpus, units(1), "scanner")
    with pytest.raises(EvaluationError, match="property 'view'; valid"):
        group_names(corpus, units(1), "view")
    assert group_names(corpus, units(2), "place") == [None, "Ulm"]


def test_numbers_with_a_point_are_groups_as_whole_ones_are():
    corpus = Tables(samples([{"kvp": 120.0, "tesla": 3}, {"kvp": 87.5, "tesla": 1}]))
    assert group_names(corpus, units(2), "kvp") == ["120", "87.5"]
    assert group_names(corpus, units(2), "tesla") == ["3", "1"]


def test_figures_are_those_of_the_part_and_refused_under_ten_positives():
    rng = np.random.default_rng(0)
    labels = np.array([1, 0] * 60, dtype=np.int8)[:, None]
    scores = rng.random((120, 1)) + 0.3 * labels
    names = ["F"] * 100 + ["M"] * 18 + [None] * 2
    found = {
        part.group: part
        for part in subgroup_figures(
            "sex", names, units(120).subjects, labels, {"m": scores}, ["nodule"], replicates=100, seed=0
        )
    }
    assert found["F"].value == pytest.approx(roc_auc_score(labels[:100, 0], scores[:100, 0]), abs=1e-12)
    assert (found["F"].n, found["F"].positives, found["F"].subjects) == (100, 50, 100)
    assert found["F"].low < found["F"].value < found["F"].high
    assert (found["M"].value, found["M"].low) == (None, None)
    assert (found["M"].n, found["M"].positives) == (18, 9)
    assert (found["F"].classes, found["M"].classes) == (1, 0)


def test_a_mean_says_of_how_many_classes_and_a_note_counts_those_in_no_group(
    block_corpus, make_model, task_path, tmp_path
):
    """Half of the units are in summer, where fractures are not looked for; ten are in no season."""
    shutil.copytree(block_corpus.roots[0], tmp_path / "c")
    reported = evaluate_model(make_model(), "m", block_corpus, [str(task_path)], QUICK).results[0]
    names, fracture = reported.units.names, reported.labels[:, 2]
    kept = [n for n in range(len(names)) if n >= 10 and (n % 2 == 0 or fracture[n] == 0 or n % 8 == 1)]
    facts = [
        {"uid": names[n], "concept": ("winter", "summer")[n % 2], "polarity": "present", "source": "metadata@1",
         "attributes": '{"kind": "season"}'}
        for n in kept
    ]  # fmt: skip
    append_rows(tmp_path / "c", "facts", "seasons", facts)
    options = replace(QUICK, subgroups=("season",))
    result = evaluate_model(make_model(), "m", Corpus(tmp_path / "c"), [str(task_path)], options).results[0]
    means = {part.group: part.classes for part in result.subgroups if part.class_name is None}
    own = {(p.group, p.class_name): p.value for p in result.subgroups}
    for group in ("summer", "winter"):
        values = [own[group, name] for name in ("nodule", "effusion", "fracture") if own[group, name] is not None]
        assert means[group] == len(values)
        assert own[group, None] == pytest.approx(np.mean(values))
    assert means["summer"] == 2
    assert f"season: not known of {len(names) - len(kept)} of {len(names)} units, which are in no subgroup" in (
        result.notes
    )
