"""A value of another kind than its column costs the item that gave it; it ended the run for all."""

import numpy as np
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import RunFailedError

WRONG = {1: {"licence": ["CC-BY-4.0"]}, 2: {}, 4: {}}  # by item: a sample's column, a fact's value, a region's box


class Scenes:
    name, version = "scenes", "1"

    def config(self):
        return {}

    def items(self):
        return [Item(f"scene {number}", {"number": number}) for number in range(6)]

    def process(self, item):
        number = item.inputs["number"]
        row = {"uid": f"u{number}", "subject": "s", "kind": "tile", "axes": "YX", **WRONG.get(number, {})}
        fact = {"uid": row["uid"], "concept": "lake", "polarity": "present", "value": "big" if number == 2 else 1.0}
        box = ["left", 0.0, 1.0, 1.0] if number == 4 else [0.0, 0.0, 1.0, 1.0]
        region = {"region_id": f"r{number}", "uid": row["uid"], "phrase": "lake", "box": box}
        return Outcome(
            "used",
            samples=(Sample(row, np.ones((4, 4))),),
            tables={"facts": [fact]},
            masks=(Mask(region, np.ones((4, 4), bool)),),
        )


def test_a_row_that_does_not_fit_its_table_costs_its_item(tmp_path, capsys):
    root = tmp_path / "corpus"
    summary = run_task(Scenes(), root, RunOptions(engine="inline"))
    with pytest.raises(RunFailedError, match=r"3 of 6 inputs failed \(most: unfit-row, 3"):
        summary.raise_if_failed()
    corpus = Corpus(root)
    for table in ("samples", "facts", "regions"):
        assert sorted(corpus.table(table)["uid"].to_pylist()) == ["u0", "u3", "u5"]
    rows = {row["source"]: (row["status"], row["reason"]) for row in corpus.ledger().to_pylist()}
    assert rows == {f"scene {n}": ("used", None) if n in (0, 3, 5) else ("failed", "unfit-row") for n in range(6)}
    said = " ".join(capsys.readouterr().out.split())
    assert "scene 1: a row does not fit the table 'samples' (column 'licence')" in said
    assert "scene 2: a row does not fit the table 'facts' (column 'value')" in said
    assert "scene 4: a row does not fit the table 'regions' (column 'box')" in said
