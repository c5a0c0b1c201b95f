"""gs:// over the XML interface, which Google's store and S3 have in common: a server of the one stands for the other.

What is Google's own is not here: how it signs, and generations of objects beyond the condition that there is none.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from object_stores import BUCKET, proxy

from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote.payloads import see_anew
from voxtile.corpus.schema import TABLES
from voxtile.errors import CorpusError
from voxtile.stages.push import push_corpus
from voxtile.stages.verify.command import verify_corpus


@pytest.fixture
def google(servers, place, tmp_path, monkeypatch):
    """A slow network that fails before the server, and the address of a prefix in its bucket."""
    server = servers("moto")
    with proxy(server, latency=0.02, faults=("reset", "503", "cut"), share=0.05, google=True) as network:
        place(server, "")
        monkeypatch.setenv("GOOGLE_BASE_URL", network.url)
        key = {"gcs_base_url": network.url, "disable_oauth": True, "client_email": "", "private_key": ""}
        (tmp_path / "key.json").write_text(json.dumps({**key, "private_key_id": ""}))
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_PATH", str(tmp_path / "key.json"))
        yield network, f"gs://{BUCKET}/{tmp_path.name}/corpus"


@pytest.mark.sweep(ci=True)
def test_a_corpus_is_pushed_read_and_verified(google, local_corpus):
    network, address = google
    push_corpus(local_corpus, address)
    remote, local = Corpus(address), Corpus(local_corpus)
    for name in TABLES:
        assert remote.table(name).num_rows == local.table(name).num_rows, name
    for row in local.table("samples").to_pylist():
        np.testing.assert_array_equal(remote.source(remote.row(row["uid"])).array(), local.source(row).array())
    verify_corpus(Path(address))
    asked = len(network.paths)
    push_corpus(local_corpus, address)
    assert network.paths[asked:]


def test_a_shard_that_changes_and_rights_that_lack_are_told(google, local_corpus, servers):
    network, address = google
    push_corpus(local_corpus, address)
    remote = Corpus(address)
    first, *_, last = remote.table("samples").to_pylist()
    remote.source(first).array()
    client, prefix = servers("moto").client, address.split("/", 3)[3]
    for shard in local_corpus.glob("shards/*.tar"):
        content = bytearray(shard.read_bytes())
        content[last["offset"] + 4000] ^= 1
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/shards/{shard.name}", Body=bytes(content))
    with pytest.raises(CorpusError, match="is not what it was when the corpus was opened"):
        remote.source(last).array()
    see_anew()
    network.answer = lambda path: b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with pytest.raises(CorpusError, match=r"may not be read with these rights; .*GOOGLE_APPLICATION_CREDENTIALS"):
        Corpus(address)
