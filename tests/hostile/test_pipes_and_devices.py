"""A corpus of a stranger may hold pipes, which nobody writes to, and links to devices, which never end."""

import os

import numpy as np
import pytest

from voxtile.cli.main import main
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["pipe", "device", "sparse"])
@pytest.mark.parametrize("name", ["corpus.json", "manifests/0001.json", "shards/job.tar", "tables/samples/job.parquet"])
def test_what_is_no_ordinary_file_is_told_and_neither_waited_for_nor_read(tmp_path, capsys, kind, name):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job")
    row = {"uid": "0" * 32, "subject": "s", "kind": "volume", "axes": "ZYX"}
    writer.add(Sample(row, np.zeros((4, 8, 8), np.int16)))
    writer.publish()
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    assert main(["verify", str(root)]) in (1, 2)
    assert "voxtile: error: " in capsys.readouterr().err
