"""What a plan reads, it reads within the limits: small files that unpack to much cost one row, and little memory."""

from __future__ import annotations

import resource

import pyarrow as pa
import pytest
from fault_task import FaultPlan

from voxtile.engine.failure import Failure
from voxtile.engine.parallel import PlanReader
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.worker_process import Limits
from voxtile.errors import InputError
from voxtile.stages.ingest.outside_parquet import read_outside_parquet
from voxtile.stages.ingest.wds import pairs_of

LIMIT_GB = 0.5


@pytest.fixture(scope="module")
def headers(tmp_path_factory, dicom_files, command):
    """DICOM headers that unpack to 2 GiB, or hold two million items, beside a sound file."""
    folder = tmp_path_factory.mktemp("headers")
    source, corpus = folder / "dicom", folder / "corpus"
    assert dicom_files.write_deflated_bomb(source / "deflated.dcm") < 3e6
    dicom_files.write_empty_items(source / "items.dcm")
    dicom_files.write(source / "sound.dcm", dicom_files.ct(1))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    options = ("--min-slices", "1", "--memory-limit-gb", LIMIT_GB, "--time-limit-s", "60", "--workers", "2")
    run = command(corpus, "convert", "dicom", source, corpus, *options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return run, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_header_costs_one_row_and_the_rest_is_converted(headers):
    run, seconds = headers
    assert run.verdicts() == {"deflated.dcm": "too-large", "items.dcm": "used", "sound.dcm": "used"}
    assert seconds < 100  # of processor time; the items alone took 103 s


def test_no_process_takes_more_than_the_limit(headers, base_bytes):
    run, _ = headers
    assert run.peak_bytes < base_bytes + LIMIT_GB * 2**30


def test_a_table_of_pictures_that_unpacks_to_7_gb_costs_one_row(tmp_path, table_files, command, base_bytes):
    source, corpus = tmp_path / "pairs", tmp_path / "corpus"
    assert table_files.write_bomb(source / "bomb.parquet") < 200_000
    expected = table_files.write_pictures(source / "sound.parquet", 3) | {"bomb.parquet/0": "unreadable-file"}
    run = command(corpus, "import", "parquet", source, corpus, "--memory-limit-gb", LIMIT_GB, "--workers", "2")
    assert run.verdicts() == expected
    assert run.peak_bytes < base_bytes + LIMIT_GB * 2**30


def test_a_side_table_that_unpacks_to_7_gb_is_one_sentence(tmp_path, table_files):
    """Reports, splits and labels are read by this function alone."""
    path = tmp_path / "reports.parquet"
    table_files.write_bomb(path, "text", pa.string())
    with pytest.raises(InputError, match=r"takes more memory than the limit, while it has [\d,]+ bytes"):
        read_outside_parquet(path, PlanReader(1, Limits(60.0, int(LIMIT_GB * 2**30))))


def test_a_sound_side_table_is_read_as_pyarrow_reads_it(tmp_path, table_files):
    table_files.write_pictures(tmp_path / "t.parquet", 2)
    assert read_outside_parquet(tmp_path / "t.parquet")["caption"].to_pylist() == ["picture 0", "picture 1"]


def test_a_tar_whose_header_claims_8_gb_costs_that_tar(tmp_path, table_files):
    """A PAX header is read as one piece, however long it says that it is; the file is sparse."""
    bomb, sound = tmp_path / "bomb.tar", tmp_path / "sound.tar"
    table_files.write_tar_with_long_header(bomb, 8 << 30)
    table_files.write_tar(sound)
    reader = PlanReader(1, Limits(60.0, int(LIMIT_GB * 2**30)))
    lost, listed = reader.map(pairs_of, [(bomb, bomb.name), (sound, sound.name)])
    assert isinstance(lost, Failure)
    assert lost.reason == "memory-limit"
    assert [pair.source for pair in listed] == ["sound.tar/a"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hungry-1", "listing the inputs of 'fault' takes more memory than the limit"),
        ("segfault-1", "listing the inputs of 'fault' ends its process .SIGSEGV."),
        ("bad-1", "'bad-1' is no good; take another"),
    ],
)
def test_a_plan_that_is_listed_apart_ends_by_a_sentence(tmp_path, name, sentence):
    """The recipes plan so."""
    options = RunOptions(workers=1, memory_limit_gb=0.3)
    with pytest.raises(InputError, match=sentence):
        run_task(FaultPlan(("ok-1", name)), tmp_path / "corpus", options, plan_apart=True)
    assert not (tmp_path / "corpus").exists()
