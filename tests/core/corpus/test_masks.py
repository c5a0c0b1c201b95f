"""Masks of regions lie in the shards, come back bit for bit, and are checked like samples."""

import tarfile

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from stored_arrays import decode_array

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.engine.job import Setup, run_job
from voxtile.engine.plan import TaskIdentity, plan_jobs
from voxtile.engine.task import Item, Outcome
from voxtile.errors import CorpusError
from voxtile.stages.verify.corpus import verify

DISC = np.hypot(*np.mgrid[-40:40, -50:50]) < 30


def sample(uid):
    return Sample(
        {"uid": uid, "subject": "s", "kind": "tile", "axes": "YX"}, np.arange(8000, dtype=np.int16).reshape(80, 100)
    )


def mask(region_id, uid="u1", array=DISC, **row):
    return Mask({"region_id": region_id, "uid": uid, "phrase": "tissue", "box": [0.0, 0.0, 80.0, 100.0], **row}, array)


@pytest.fixture
def root(tmp_path):
    new_corpus(tmp_path / "corpus")
    return tmp_path / "corpus"


def write(root, *masks, stem="job-1"):
    writer = JobWriter(root, stem)
    writer.add(sample("u1"))
    for one in masks:
        writer.add_mask(one)
    return writer.publish()


@pytest.mark.parametrize("array", [DISC, (DISC * 3).astype(np.uint8), np.zeros((5, 6, 7), bool)])
def test_a_mask_comes_back_bit_for_bit(root, array):
    write(root, mask("r1", array=array))
    [region] = Corpus(root).table("regions").to_pylist()
    found = Corpus(root).mask(region)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    assert region["phrase"] == "tissue"


def test_a_region_without_a_mask_has_none_and_a_union_finds_its_root(root, tmp_path):
    writer = JobWriter(root, "job-1")
    writer.add(sample("u1"))
    writer.add_rows("regions", [{"region_id": "plain", "uid": "u1"}])
    writer.publish()
    other = tmp_path / "other"
    new_corpus(other)
    write(other, mask("r2"))
    union = Corpus(root, other)
    plain, masked = union.table("regions", with_root=True).to_pylist()
    assert union.mask(plain) is None
    np.testing.assert_array_equal(union.mask(masked), DISC)


def test_the_member_is_named_after_the_region_and_read_without_voxtile(root):
    shard = write(root, mask("r1"))[0]
    with tarfile.open(shard) as tar:
        assert tar.getnames() == ["u1.b2nd", "r1.mask.b2nd"]
    stored = list(webdataset.WebDataset(str(shard), shardshuffle=False))
    np.testing.assert_array_equal(decode_array(stored[1]["mask.b2nd"]), DISC)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (mask("a/b"), "cannot name a shard member"),
        (mask("r1", array=np.zeros((3, 3), np.float32)), "store it as bool or uint8"),
        (mask("r1", uid=None), "lacks 'uid'"),
        (mask("r1", colour="red"), "no column 'colour'"),
    ],
)
def test_masks_that_cannot_be_stored_are_refused(root, bad, message):
    with pytest.raises(CorpusError, match=message):
        write(root, bad)


def test_a_region_id_is_used_once_in_a_job(root):
    with pytest.raises(CorpusError, match="appears twice"):
        write(root, mask("r1"), mask("r1"))


def test_verify_is_content_with_whole_masks_and_names_damaged_ones(root):
    shard = write(root, mask("r1"), mask("r2", array=~DISC))[0]
    assert not verify(root).problems
    regions = Corpus(root).table("regions").to_pylist()
    content = bytearray(shard.read_bytes())
    at = regions[1]["mask_offset"] + 40
    content[at : at + 8] = b"\xff" * 8
    shard.write_bytes(content)
    problems = [str(problem) for problem in verify(root).problems]
    assert len(problems) == 1
    assert "mask of region r2" in problems[0]


def test_verify_names_a_mask_without_a_row_and_a_row_without_a_mask(root):
    shard = write(root, mask("r1"))[0]
    part = root / "tables" / "regions" / "job-1.parquet"
    table = pq.read_table(part)
    part.unlink()
    assert "'r1.mask.b2nd' has no row in the regions table" in str(verify(root).problems[0])
    moved = table.to_pylist()
    moved[0]["mask_offset"] += 512
    pq.write_table(table.from_pylist(moved, schema=table.schema), part)
    assert "its row points at byte" in str(verify(root).problems[0])
    pq.write_table(table, part)
    shard.unlink()
    assert "samples and 1 mask is missing" in str(verify(root).problems[0])


def test_a_mask_outside_the_corpus_is_refused(root):
    write(root, mask("r1"))
    [region] = Corpus(root).table("regions").to_pylist()
    with pytest.raises(CorpusError, match="no address inside the corpus"):
        Corpus(root).mask(region | {"mask_shard": "../elsewhere.tar"})


class TwoItems:
    """The second item's sample is one that another job stores."""

    name, version = "two", "1"

    def config(self):
        return {}

    def items(self):
        return [Item("a", {"uid": "u1"}), Item("b", {"uid": "u2"})]

    def process(self, item):
        uid = item.inputs["uid"]
        return Outcome(
            "used",
            samples=(sample(uid), sample(f"{uid}x")),
            masks=(mask(f"r-{uid}", uid), mask(f"rx-{uid}", f"{uid}x")),
        )


def test_masks_of_an_outcome_are_stored_except_those_of_duplicates(root):
    task = TwoItems()
    [job] = plan_jobs(TaskIdentity.of(task), task.items(), job_cost=100, job_items=10)
    run_job(Setup(task, root), job, {}, frozenset({"u2"}), lambda _: None)
    regions = Corpus(root).table("regions").to_pylist()
    assert [region["region_id"] for region in regions] == ["r-u1", "rx-u1", "rx-u2"]
    np.testing.assert_array_equal(Corpus(root).mask(regions[2]), DISC)
    assert not verify(root).problems


def test_a_part_of_a_mask_is_stored_as_the_whole(root):
    rows, columns = np.flatnonzero(DISC.any(axis=1)), np.flatnonzero(DISC.any(axis=0))
    part = DISC[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    corner = (int(rows[0]), int(columns[0]))
    write(root, Mask(mask("r1").row, part, DISC.shape, corner))
    [region] = Corpus(root).table("regions").to_pylist()
    np.testing.assert_array_equal(Corpus(root).mask(region), DISC)
    with pytest.raises(ValueError, match="outside a mask of shape"):
        Mask(mask("r2").row, part, (50, 60), corner).whole()
