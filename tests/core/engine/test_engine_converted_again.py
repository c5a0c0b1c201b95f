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
