"""Inputs that are processed again with more to say: each row is added once, whichever job adds it."""

from dataclasses import dataclass

import numpy as np
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.engine.inline import InlineEngine
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.stages.verify.corpus import verify

UID = "0" * 31 + "1"


@dataclass(frozen=True)
class Blocks:
    """Two blocks of one file that give the same sample, as overlapping strips would."""

    text: str = ""
    name = "blocks"
    version = "1"

    def config(self):
        return {}

    def items(self):
        return [Item(f"file#{number}", {"number": number, "text": self.text}) for number in range(2)]

    def process(self, item):
        row = {"uid": UID, "subject": "s", "kind": "image", "axes": "YX", "source": "file"}
        text = item.inputs["text"]
        captions = [{"caption_id": text, "uid": UID, "text": text, "kind": "raw"}] if text else []
        return Outcome("used", samples=(Sample(row, np.zeros((4, 4), np.uint8)),), tables={"captions": captions})


@pytest.mark.cases(2)
@pytest.mark.parametrize("last_first", [False, True])
@pytest.mark.parametrize("job_items", [1, 2])
def test_two_blocks_of_a_file_add_the_same_row_once(job_items, last_first, tmp_path, monkeypatch):
    monkeypatch.setattr(RunOptions, "build_engine", lambda _: InlineEngine(last_first=last_first))
    options = RunOptions(job_items=job_items)
    run_task(Blocks(), tmp_path, options)
    for text, again, dropped in (("first", {"added": 1}, {"duplicate": 1}), ("second", {}, {"stored-otherwise": 2})):
        summary = run_task(Blocks(text), tmp_path, options)
        assert [row["text"] for row in Corpus(tmp_path).table("captions").to_pylist()] == ["first"]
        assert not verify(tmp_path).problems
        assert (summary.again, summary.reasons["dropped"]) == (again, dropped)


@dataclass(frozen=True)
class Copies(Blocks):
    """The bytes of one file under another name, with what somebody says of them there."""

    source: str = "copy"

    def items(self):
        return [Item(self.source, {"text": self.text})]

    def process(self, item):
        outcome = super().process(item)
        drawn = {"region_id": "r", "uid": UID, "phrase": "mass", "box": [0.0, 0.0, 1.0, 1.0]}
        role = {"uid": UID, "concept": "series role", "polarity": "present", "source": "series@1"}
        seen = {"regions": [drawn | {"source": "wsi@1"}], "facts": [role]}  # of the pixels, which are the same
        if item.inputs["text"]:
            seen["regions"] += [drawn | {"source": "annotations"}] * 2
            seen["facts"].append(role | {"concept": "mass", "source": "labels@1"})
        return Outcome("used", samples=outcome.samples, tables={**outcome.tables, **seen})


@pytest.mark.cases(2)
@pytest.mark.parametrize(("text", "left"), [("", {}), ("benign", {"left-with-duplicate": 3})])
def test_what_a_copy_of_a_stored_input_brings_is_named_where_it_is_left_out(text, left, tmp_path, capsys):
    run_task(Blocks("malignant"), tmp_path, RunOptions(engine="inline"))
    capsys.readouterr()
    summary = run_task(Copies(text), tmp_path, RunOptions(engine="inline"))
    assert (summary.reasons["dropped"], summary.left_out) == ({"duplicate": 1}, left)
    assert ("left-with-duplicate: these inputs repeat" in " ".join(capsys.readouterr().out.split())) == bool(left)
    rows = [row for row in Corpus(tmp_path).ledger().to_pylist() if row["source"] == "copy"]
    assert [(r["reason"], r["uid"]) for r in rows[1:]] == [("left-with-duplicate", UID)] * sum(left.values())
    assert [row["text"] for row in Corpus(tmp_path).table("captions").to_pylist()] == ["malignant"]
