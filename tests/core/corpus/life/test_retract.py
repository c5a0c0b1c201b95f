"""What a run added is taken back as if it had never been there, and can be made again."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from growing_corpus import Numbers, PartFacts, add, killed_at, run, state

from voxtile.cli.main import main
from voxtile.corpus.packing.exchange import EXCHANGE_FILE
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import recorded_files
from voxtile.corpus.remote.objects import removed_files
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, CorpusError
from voxtile.stages.upkeep.compact import compact_corpus
from voxtile.stages.upkeep.retract import retract_runs
from voxtile.stages.verify.corpus import verify


@dataclass(frozen=True)
class Rows:
    """A stage that adds given rows to a table."""

    table: str
    rows: tuple[dict, ...]
    name: str = "labels"
    version: str = "1"

    def config(self):
        return {"rows": list(self.rows)}

    def items(self):
        return [Item(f"{self.name}-{n}", {"row": n}) for n in range(len(self.rows))]

    def process(self, item):
        row = self.rows[item.inputs["row"]]
        scope = {"uid": f"{item.inputs['row']:032x}", "vocabulary": "v", "closed": False, "concepts": []}
        return Outcome("used", tables={self.table: [dict(row)], "scopes": [scope] * (self.name == "labels")})


def labels(*polarities):
    return Rows(
        "facts",
        tuple(
            {"uid": f"{n:032x}", "concept": "mass", "polarity": said, "source": "labels@1"}
            for n, said in enumerate(polarities)
        ),
    )


def facts_of(root):
    return {row["uid"]: row["polarity"] for row in Corpus(root).table("facts").to_pylist() if row["concept"] == "mass"}


@pytest.mark.parametrize("packed", [False, True])
def test_a_corpus_is_as_it_was_before_the_run_and_takes_it_again(root, packed):
    before = state(root)
    run(PartFacts(str(root)), root)
    with_it = state(root)
    assert with_it != before
    if packed:
        compact_corpus(root)
        assert state(root) == with_it
    retract_runs(root, stage=("partfacts",))
    assert state(root) == before
    assert verify(root).problems == []
    assert not any("partfacts" in name for name in recorded_files(root))
    run(PartFacts(str(root)), root)
    assert state(root) == with_it
    assert verify(root).problems == []
    assert not any("partfacts" in name for name in removed_files(root))


def test_a_corrected_table_takes_the_place_of_the_old_one(root, capsys):
    run(labels("present", "absent"), root)
    run(labels("present", "present"), root)
    assert f"voxtile retract {root} --stage labels" in " ".join(capsys.readouterr().out.split())
    assert main(["retract", str(root)]) == 0
    listed = capsys.readouterr().out
    assert "run 7, " in listed
    assert "labels: 2 facts, 2 scopes" in listed
    assert "numbers" not in listed  # they stored the samples
    assert main(["retract", str(root), "--stage", "labels", "--dry-run"]) == 0
    assert "4 facts, 4 scopes would go, of 4 jobs" in capsys.readouterr().out
    assert Corpus(root).table("facts").num_rows == 3 + 4
    assert main(["retract", str(root), "--run", "8", "--run", "7"]) == 0
    assert "4 facts, 4 scopes gone, of 4 jobs" in capsys.readouterr().out
    assert facts_of(root) == {}
    assert run(labels("present", "present"), root).otherwise == {}
    assert facts_of(root) == {f"{0:032x}": "present", f"{1:032x}": "present"}
    said = json.loads((root / "manifests" / "0009.json").read_text())
    assert (said["task"], said["counts"]) == ("retract", {"facts": 4, "scopes": 4})


def test_the_last_run_of_a_stage_goes_alone_and_an_earlier_one_does_not(root, capsys):
    run(labels("present"), root)
    run(Rows("scores", ({"uid": f"{0:032x}", "name": "s", "value": 1.0},), "score"), root)
    run(labels("absent"), root)
    before = state(root)
    with pytest.raises(CorpusError, match=r"run 9 of 'labels' came after run 7, .* --stage labels"):
        retract_runs(root, run=(7,))
    assert state(root) == before
    retract_runs(root, run=(9,))
    assert facts_of(root) == {f"{0:032x}": "present"}
    assert "stays" not in capsys.readouterr().out
    retract_runs(root, run=(7,))
    assert facts_of(root) == {}
    assert "what later runs made of it stays: score;" in capsys.readouterr().out


def test_a_packed_file_that_is_damaged_does_not_get_a_valid_hash(root):
    run(labels("present", "absent"), root)
    compact_corpus(root)
    [packed] = (root / "tables" / "facts").glob("packed-*.parquet")
    content = packed.read_bytes()
    packed.write_bytes(content.replace(b"odd", b"odt"))
    before = sorted(path.name for path in root.rglob("*"))
    with pytest.raises(CorpusError, match="is not as it was written, and nothing was taken back"):
        retract_runs(root, stage=("labels",))
    packed.write_bytes(content)
    assert sorted(path.name for path in root.rglob("*")) == before
    retract_runs(root, stage=("labels",))
    assert facts_of(root) == {}


def test_jobs_of_a_run_that_was_killed_before_its_manifest_are_of_its_stage(root):
    run(labels("present"), root)
    run(labels("absent"), root)
    (root / "manifests" / "0008.json").unlink()
    with pytest.raises(CorpusError, match="a run that was stopped before its end of 'labels' came after run 7"):
        retract_runs(root, run=(7,))
    retract_runs(root, stage=("labels",))
    assert facts_of(root) == {}
    assert verify(root).problems == []


def test_while_files_go_each_job_is_read_whole_or_not_at_all(root, monkeypatch):
    run(labels("present", "absent", "absent"), root)
    seen, real = [], Path.unlink

    def unlink(path, *args, **kwargs):
        real(path, *args, **kwargs)
        seen.append(({row["uid"] for row in Corpus(root).table("scopes").to_pylist()}, facts_of(root).keys()))

    monkeypatch.setattr(Path, "unlink", unlink)
    retract_runs(root, stage=("labels",))
    assert {len(scopes) for scopes, _ in seen} >= {0, 1, 2}
    assert all(scopes == facts for scopes, facts in seen)


FIRST = f"{0:032x}"
CAPTION = {"caption_id": "k", "uid": FIRST, "text": "w", "kind": "template"}
REGION = {"region_id": "r", "uid": FIRST, "phrase": "mass", "source": "drawn@1"}
MASS = {"uid": FIRST, "concept": "mass", "polarity": "present", "source": "masks@1"}
TURN = {
    "dialogue_id": "d", "turn": 0, "uids": [FIRST], "role": "assistant", "text": "w", "kind": "k",
    "region_ids": ["x", "r"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("of", "about"),
    [
        (Rows("captions", (CAPTION,)), Rows("verdicts", ({"caption_id": "k", "verdict": "supported"},), "check")),
        (Rows("captions", (CAPTION,)), Rows("scores", ({"uid": "k", "name": "s", "value": 1.0},), "check")),
        (
            Rows("regions", (REGION,)),
            Rows("facts", ({**MASS, "region_id": "r"},), "check"),
        ),
        (
            Rows("regions", (REGION,)),
            Rows("dialogues", (TURN,), "check"),
        ),
    ],
)  # fmt: skip
def test_rows_that_stay_must_not_be_about_rows_that_go(root, of, about):
    before = state(root)
    run(of, root)
    run(about, root)
    with pytest.raises(CorpusError, match=rf"rows of {about.table} by 'check' are about {of.table} .* --stage check"):
        retract_runs(root, stage=("labels",))
    retract_runs(root, stage=("labels", "check"))
    assert state(root) == before


def test_what_cannot_be_taken_back_is_refused_and_nothing_changes(root):
    run(labels("present"), root)
    before = state(root)
    for options, match in (
        ({"stage": ("numbers",)}, "'numbers' stored samples, .* voxtile forget"),
        ({"run": (3, 7)}, "'numbers' stored samples"),
    ):
        with pytest.raises(CorpusError, match=match):
            retract_runs(root, **options)
    for options, match in (
        ({"stage": ("label",)}, "no run of 'label'; 'voxtile retract .*' lists them"),
        ({"run": (8,)}, "no run 8 "),
    ):
        with pytest.raises(ConfigError, match=match):
            retract_runs(root, **options)
    with pytest.raises(CorpusError, match="'s3://bucket/corpus' is a remote corpus, which cannot be written to"):
        retract_runs("s3://bucket/corpus", stage=("labels",))
    assert state(root) == before


def test_the_same_command_ends_what_a_full_disk_interrupted(root, monkeypatch, capsys):
    def full(_):
        raise CorpusError("no space is left")

    run(labels("present"), root)
    with monkeypatch.context() as before:
        before.setattr("voxtile.stages.upkeep.retract.finish_exchange", full)
        with pytest.raises(CorpusError, match="no space is left"):
            retract_runs(root, stage=("labels",))
    retract_runs(root, stage=("labels",))
    assert "what an earlier command began to take back is gone" in " ".join(capsys.readouterr().err.split())
    assert verify(root).problems == []
    with pytest.raises(ConfigError, match="no run of 'labels'"):
        retract_runs(root, stage=("labels",))


@pytest.mark.parametrize(
    "every", [13, pytest.param(5, marks=pytest.mark.sweep(ci=True)), pytest.param(1, marks=pytest.mark.sweep)]
)
def test_killed_at_any_call_it_has_happened_or_not(grown, tmp_path, every):
    before = state(grown)
    full = add(Path(shutil.copytree(grown, tmp_path / "full")))
    run(PartFacts(str(full)), full)
    compact_corpus(full)
    run(labels("present", "absent"), full)
    both = state(full)
    number, exchanging = 0, 0
    while True:
        number += every
        root = Path(shutil.copytree(full, tmp_path / "corpus"))
        if not killed_at(lambda root=root: retract_runs(root, stage=("partfacts", "labels")), number):
            break
        begun = (root / EXCHANGE_FILE).is_file()
        exchanging += begun
        left = state(root)[0]
        for table, rows in left.items():
            assert all(row in both[0][table] for row in rows), number
            assert all(row in rows for row in before[0][table]), number
        run(Numbers((5,)), root)  # any command that writes completes it
        assert state(root) in ((before,) if begun else (before, both)), number
        assert verify(root).problems == [], number
        shutil.rmtree(root)
    assert state(root) == before
    assert exchanging
