"""Groups of units: who belongs to which, and figures refused under ten positives."""

import json

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.subgroups import subgroup_figures
from voxtile.evaluation.inputs.groups import group_names
from voxtile.evaluation.inputs.units import Units


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
    return [{"uid": f"u{i}", "modality": "CT", "attributes": json.dumps(a)} for i, a in enumerate(attributes)]


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
