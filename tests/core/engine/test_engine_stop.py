"""A task that can go no further ends the run; one that works ahead is told what comes next."""

import numpy as np
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.engine.inline import InlineEngine
from voxtile.engine.options import RunOptions
from voxtile.engine.run import run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import StopRunError


class Counted:
    """Stores twenty samples; from `stop` on, nothing can be done."""

    name, version = "counted", "1"

    def __init__(self, stop=None):
        self.stop, self.seen = stop, []

    def config(self):
        return {}

    def items(self):
        return [Item(f"item {number:02}", {"number": number}) for number in range(20)]

    def process(self, item):
        number = item.inputs["number"]
        if number == self.stop:
            raise StopRunError("the endpoint is gone")
        self.seen.append(number)
        return Outcome(
            "used", samples=(Sample({"uid": str(number), "subject": "s", "kind": "patch"}, np.ones((2, 2))),)
        )


class Ahead(RunOptions):
    """Options whose engine tells what comes next."""

    told = None

    def build_engine(self):
        return InlineEngine(before=self.told.append)


def test_a_run_that_cannot_go_on_ends_with_its_sentence_and_keeps_what_is_committed(tmp_path):
    with pytest.raises(StopRunError, match="the endpoint is gone"):
        run_task(Counted(stop=10), tmp_path / "corpus", RunOptions(engine="inline"))
    corpus = Corpus(tmp_path / "corpus")
    assert corpus.table("samples").num_rows == 8  # the first job
    assert not [row for row in corpus.ledger().to_pylist() if row["status"] == "failed"]
    run_task(Counted(), tmp_path / "corpus", RunOptions(engine="inline")).raise_if_failed()
    assert Corpus(tmp_path / "corpus").table("samples").num_rows == 20


def test_the_inline_engine_tells_what_comes_next(tmp_path):
    options = Ahead(engine="inline")
    type(options).told = told = []
    run_task(Counted(), tmp_path / "corpus", options)
    assert [[len(job.items) for job in jobs] for jobs in told] == [[8, 8, 4], [8, 4], [4]]
