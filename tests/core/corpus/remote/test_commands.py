"""Commands on a remote corpus, as a user calls them: the answers are those of the same commands on the local one."""

import json

import pytest
from commands_here import run_here
from object_stores import proxy


@pytest.fixture
def address(any_server, place, uploaded):
    """A corpus in a store, reached over a network that is slow and loses one request of twenty."""
    with proxy(any_server, latency=0.05, faults=("reset", "503", "cut"), share=0.05) as network:
        yield place(any_server, uploaded(any_server), network)


def voxtile(*words, ok=True):
    ran = run_here(*words)
    assert not ok or ran.returncode == 0, ran.stderr
    return ran


def answers(*words):
    return json.loads(voxtile(*words, "--json").stdout)


def test_inspect_and_verify_answer_as_on_the_local_corpus(address, local_corpus):
    remote, local = (answers("inspect", corpus) for corpus in (address, local_corpus))
    assert remote.pop("corpus") == address
    local.pop("corpus")
    assert remote == local
    remote, local = (answers("verify", corpus) for corpus in (address, local_corpus))
    assert remote["ok"]
    assert {**remote, "corpus": ""} == {**local, "corpus": ""}


def test_verify_finds_what_is_wrong_with_a_shard_in_the_store(any_server, place, uploaded):
    def change(folder):
        shard = folder / "shards/job-1.tar"
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)

    ran = voxtile("verify", place(any_server, uploaded(any_server, change)), "--json", ok=False)
    assert ran.returncode == 2
    assert [problem["where"].partition(",")[0] for problem in json.loads(ran.stdout)["problems"]] == [
        "shards/job-1.tar"
    ]


def test_a_sample_that_is_taken_out_is_the_same_file(address, local_corpus, tmp_path):
    uid = _first_uid(local_corpus)
    for corpus, out in ((address, "remote.nii.gz"), (local_corpus, "local.nii.gz")):
        voxtile("extract", corpus, uid, "--to", "nifti", "--out", tmp_path / out)
    assert (tmp_path / "remote.nii.gz").read_bytes() == (tmp_path / "local.nii.gz").read_bytes()


def _first_uid(corpus):
    from voxtile.corpus.reader import Corpus

    return Corpus(corpus).table("samples", ["uid"])["uid"][0].as_py()


@pytest.mark.parametrize(
    "words",
    [
        ("forget", "CORPUS", "--subject", "s1"),
        ("verify", "CORPUS", "--accept-missing"),
    ],
)
def test_a_command_that_would_write_refuses_in_one_sentence(any_server, place, uploaded, words):
    address = place(any_server, uploaded(any_server))
    before = _objects(any_server, address)
    ran = voxtile(*(address if word == "CORPUS" else word for word in words), ok=False)
    assert ran.returncode == 2
    assert f"'{address}' is a remote corpus, which cannot be" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
    assert _objects(any_server, address) == before


def _objects(server, address):
    prefix = address.split("/", 3)[3]
    return [(o["Key"], o["ETag"]) for o in server.client.list_objects_v2(Bucket="data", Prefix=prefix)["Contents"]]
