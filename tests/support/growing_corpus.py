"""A small corpus of numbers that grows, what a reader sees of it, and processes that die at a chosen call."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.schema import TABLES
from voxtile.corpus.view.key import ViewChoice, view_key
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome

SUBJECTS = 3


@dataclass(frozen=True)
class Numbers:
    """One sample a number, with a caption, a split and now and then a fact."""

    numbers: tuple[int, ...]
    name: str = "numbers"
    version: str = "1"

    def config(self):
        return {}

    def items(self):
        return [Item(f"{number:03}.raw", {"number": number}, cost=1) for number in self.numbers]

    def process(self, item):
        number = item.inputs["number"]
        subject = f"subject-{number % SUBJECTS}"
        row = {"uid": f"{number:032x}", "subject": subject, "kind": "image", "axes": "YX", "source": item.source}
        caption = {"caption_id": f"c{number}", "uid": row["uid"], "text": f"Words of {number}.", "kind": "raw"}
        tables = {
            "captions": [caption],
            "splits": [{"scheme": "default", "subject": subject, "split": "train"}],
            "facts": [{"uid": row["uid"], "concept": "odd", "polarity": "present", "source": "n@1"}] * (number % 2),
        }
        return Outcome("used", samples=[Sample(row, np.full((4, 5), number, np.int16))], tables=tables)


@dataclass(frozen=True)
class PartFacts:
    """A stage whose items are parts of the samples table."""

    root: str
    name: str = "partfacts"
    version: str = "1"

    def config(self):
        return {}

    def items(self):
        return [Item(f"facts/{part.stem}", {"part": part.stem}) for part in Corpus(self.root).parts("samples")]

    def process(self, item):
        rows = Corpus(self.root).table("samples", ["uid"]).to_pylist()
        return Outcome("used", tables={"scores": [{"uid": rows[0]["uid"], "name": "seen", "value": float(len(rows))}]})


def run(task, root):
    return run_task(task, root, RunOptions(engine="inline", job_items=1))


def add(root, *numbers):
    """Numbers, each by a run of its own, which is a job."""
    for number in numbers:
        run(Numbers((number,)), root)
    return root


def state(root):
    """All that a reader sees, in its order, and the key of its view."""
    corpus = Corpus(root)
    rows = {name: corpus.table(name).to_pylist() for name in TABLES} | {"ledger": corpus.ledger().to_pylist()}
    names = {name: [part.name for part in corpus.parts(name)] for name in (*TABLES, "ledger")}
    pixels = [corpus.source(row).array().tolist() for row in rows["samples"]]
    return rows, names, pixels, view_key([Path(root)], ViewChoice("default", None))


def killed_at(action, number):
    """Run in a process that dies at the n-th call that changes a file; whether it got so far."""
    child = os.fork()
    if not child:
        try:
            count = 0

            def dying(real):
                def call(*args, **kwargs):
                    nonlocal count
                    count += 1
                    if count == number:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return real(*args, **kwargs)

                return call

            for name in ("replace", "rename", "unlink", "fsync", "ftruncate", "rmdir"):
                setattr(os, name, dying(getattr(os, name)))
            pq.ParquetWriter.write_table = dying(pq.ParquetWriter.write_table)
            action()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code == -signal.SIGKILL
