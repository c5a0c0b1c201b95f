"""What workers keep of a corpus's tables is read anew where a job wrote under the same name again."""

import pyarrow as pa

from voxtile.corpus.parts import part_paths
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile_datasets.captions.known_facts import rows_of


def facts(root, concept):
    writer = JobWriter(root, "job-0")
    writer.add_rows("facts", [{"uid": "u", "concept": concept, "polarity": "present", "source": "labels"}])
    writer.publish()
    return [path.name for path in part_paths(root, "facts")]


def test_a_job_that_is_done_again_is_read_again(tmp_path):
    new_corpus(tmp_path)
    read, names = [], []
    for concept in ("nodule", "cyst"):
        names.append(facts(tmp_path, concept))
        read += rows_of(tmp_path, "facts", pa.array(["u"]), ("uid", "concept")).to_pylist()
    assert names[0] == names[1]
    assert [row["concept"] for row in read] == ["nodule", "cyst"]
