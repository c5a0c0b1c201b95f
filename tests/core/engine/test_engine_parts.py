"""An item of which a part fails: the rest is stored, the part is a row of the ledger, and a retry brings it in."""

from pathlib import Path

import numpy as np
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import new_corpus
from voxtile.engine.commit import write_ledger
from voxtile.engine.failure import Failure
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import RunFailedError
from voxtile.stages.inspect.summary import summarise
from voxtile.stages.verify.corpus import verify

PIXELS = np.ones((4, 4))


class Strips:
    """Two strips of three patches; those that `mended` does not name cannot be read, and the last is not wanted."""

    name, version = "strips", "1"

    def __init__(self, mended: Path):
        self.mended = mended

    def config(self):
        return {}

    def items(self):
        return [Item(f"strip {number}", {"number": number}) for number in range(2)]

    def process(self, item):
        names = [f"{item.inputs['number']}-{place}" for place in range(3)]
        readable = [name for name in names if name != "0-1" or self.mended.exists()]
        wanted = [name for name in readable if name != "1-2"]
        samples = [Sample({"uid": n, "subject": "s", "kind": "patch", "axes": "YX"}, np.ones((4, 4))) for n in wanted]
        parts = [Part(n, "failed", "corrupt-tile", "a tile is damaged") for n in names if n not in readable]
        parts += [Part(n, "dropped", "blurred", "out of focus") for n in readable if n not in wanted]
        return Outcome("used", samples=tuple(samples), parts=tuple(parts))


def ledger(root):
    rows = Corpus(root).ledger().to_pylist()
    return sorted((row["source"], row["attempt"], row["status"], row["reason"] or "", row["uid"]) for row in rows)


def test_the_summary_says_how_many_parts_were_left_out_and_why(tmp_path, capsys):
    run_task(Strips(tmp_path / "mended"), tmp_path / "corpus", RunOptions(engine="inline"))
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "left out of inputs 1 blurred 1" in said


def test_a_failed_part_costs_itself_and_a_retry_brings_it_in(tmp_path):
    task, root = Strips(tmp_path / "mended"), tmp_path / "corpus"
    summary = run_task(task, root, RunOptions(engine="inline"))
    with pytest.raises(RunFailedError, match="corrupt-tile"):
        summary.raise_if_failed()
    assert sorted(Corpus(root).table("samples")["uid"].to_pylist()) == ["0-0", "0-2", "1-0", "1-1"]
    first = [
        ("strip 0", 1, "failed", "corrupt-tile", "0-1"),
        ("strip 0", 1, "used", "", "0-0"),
        ("strip 1", 1, "dropped", "blurred", "1-2"),
        ("strip 1", 1, "used", "", "1-0"),
    ]
    assert ledger(root) == first
    assert summary.left_out == {"blurred": 1}
    assert run_task(task, root, RunOptions(engine="inline")).left_out == {"blurred": 1}
    assert ledger(root) == first
    task.mended.touch()
    summary = run_task(task, root, RunOptions(engine="inline", retry=True))
    summary.raise_if_failed()
    assert sorted(Corpus(root).table("samples")["uid"].to_pylist()) == ["0-0", "0-1", "0-2", "1-0", "1-1"]
    assert ledger(root)[0] == ("strip 0", 2, "used", "", "0-1")
    assert not verify(root).problems


def test_a_retry_that_fails_again_still_counts_as_failed(tmp_path):
    task, root = Strips(tmp_path / "mended"), tmp_path / "corpus"
    run_task(task, root, RunOptions(engine="inline"))
    summary = run_task(task, root, RunOptions(engine="inline", retry=True))
    assert (summary.failed, summary.used) == (1, 1)
    assert len(Corpus(root).table("samples")) == 4
    assert ("strip 0", 2, "failed", "corrupt-tile", "0-1") in ledger(root)


class Pictures:
    """Files by their sizes; one of 10 bytes is cut off."""

    version = "1"

    def __init__(self, sizes, scale=1, name="pictures"):
        self.sizes, self.scale, self.name = sizes, scale, name

    def config(self):
        return {"scale": self.scale}

    def items(self):
        return [Item(file, {"size": size}) for file, size in self.sizes.items()]

    def process(self, item):
        if item.inputs["size"] == 10 and self.scale == 1:
            return Failure("decode-error", "", "the picture is cut off")
        uid = f"{item.source}-{item.inputs['size']}-{self.name}"
        return Outcome("used", samples=(Sample({"uid": uid, "subject": "s", "kind": "image", "axes": "YX"}, PIXELS),))


@pytest.mark.parametrize(
    ("again", "status"),
    [
        (Pictures({"a": 20, "b": 20}), ("used", 2)),  # the file was replaced, as the failure's sentence says
        (Pictures({"a": 10, "b": 20}, scale=2), ("used", 2)),  # another option was given
        (Pictures({"a": 10, "b": 20}, scale=2, name="others"), ("failed", 1)),  # another command reads the same file
        (Pictures({"b": 20}), ("failed", 1)),  # the file was removed
    ],
)
def test_a_file_that_was_mended_is_no_failure_any_more(tmp_path, again, status):
    root, inline = tmp_path / "corpus", RunOptions(engine="inline")
    run_task(Pictures({"a": 10, "b": 20}), root, inline)
    run_task(again, root, inline)
    first = Corpus(root).ledger().to_pylist()
    assert status in [(row["status"], row["attempt"]) for row in first if row["source"] == "a"]
    assert ("failed" in [row["status"] for row in first]) == (status[0] == "failed")
    assert ("decode-error" in {r.reason for r in summarise(Corpus(root)).reasons}) == (status[0] == "failed")
    assert run_task(again, root, inline).earlier == len(again.sizes)  # nothing is done twice for it
    assert Corpus(root).ledger().to_pylist() == first
    assert not verify(root).problems


def test_a_part_that_failed_is_forgotten_when_its_whole_was_done_again(tmp_path):
    root = tmp_path / "corpus"
    new_corpus(root)
    told = [("a.svs", 1, "used"), ("a.svs#3", 1, "failed"), ("b#1.png", 1, "failed"), ("a.svs", 2, "used")]
    write_ledger(root, "wsi", [{"source": s, "attempt": n, "status": status} for s, n, status in told])
    assert [(r["source"], r["attempt"]) for r in Corpus(root).ledger().to_pylist()] == [("b#1.png", 1), ("a.svs", 2)]


def test_what_gave_nothing_is_told_from_what_was_left_out_of_a_used_input(tmp_path, capsys):
    root = tmp_path / "corpus"
    run_task(Strips(tmp_path / "mended"), root, RunOptions(engine="inline"))
    run_task(Pictures({"a": 10}), root, RunOptions(engine="inline"))
    told = {r.reason: (r.status, r.count, r.parts) for r in summarise(Corpus(root)).reasons}
    assert told == {"decode-error": ("failed", 1, 0), "corrupt-tile": ("failed", 0, 1), "blurred": ("dropped", 0, 1)}


def test_stop_on_error_stops_at_a_failed_part(tmp_path):
    with pytest.raises(RunFailedError, match="a tile is damaged"):
        run_task(Strips(tmp_path / "mended"), tmp_path / "corpus", RunOptions(engine="inline", on_error="stop"))
