"""Near-duplicates beside neighbours: those that `voxtile curate --dedup` would take for the same."""

import numpy as np
import pytest
from tests.core.serve.conftest import as_png, picture

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from voxtile.serve.routes.alike import LEAST_COSINE
from voxtile.serve.search.picture_hashes import MOST_BITS
from voxtile_datasets.curation.dedup import RANGES
from voxtile_datasets.curation.pictures import HIGH, LOW, differing_bits, joined_hashes
from voxtile_datasets.curation.scores.image import score_images


def test_the_thresholds_are_those_of_curate():
    assert RANGES["picture"][2] == MOST_BITS
    assert RANGES["embedding"][2] == LEAST_COSINE


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Six pictures; the last three are the first three, brighter, with noise, and cut at a side."""
    root = tmp_path_factory.mktemp("alike") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job")
    rng = np.random.default_rng(0)
    pictures = [picture(n, (128, 128)).astype(int) for n in range(3)]
    copies = [pictures[0] * 0.8 + 40, pictures[1] + rng.normal(0, 6, pictures[1].shape), pictures[2][:, 64:]]
    for n, pixels in enumerate([*pictures, *copies]):
        row = {"uid": f"{n:032x}", "subject": f"s{n}", "kind": "patch", "modality": "SM", "axes": "YXC"}
        writer.add(Sample(row, as_png(np.clip(pixels, 0, 255).astype(np.uint8))))
    vectors = {0: (1, 0, 0), 1: (0, 1, 0), 2: (0, 0, 1), 3: (1, 0.05, 0), 4: (0.5, 0.5, 0.1), 5: (0.1, 0, 1)}
    writer.add_rows(
        "embeddings",
        [{"uid": f"{n:032x}", "model": "toy", "vector": np.array(v, np.float16)} for n, v in vectors.items()],
    )
    writer.publish()
    score_images(root)
    return root


@pytest.fixture(scope="module")
def client(root, pages):
    from starlette.testclient import TestClient
    from tests.core.serve.conftest import ToyTexts

    from voxtile.serve.access import Access
    from voxtile.serve.application import application
    from voxtile.serve.explored import explore
    from voxtile.serve.sample_index import SampleIndex
    from voxtile.serve.search.meaning import MeaningSearch
    from voxtile.serve.search.vector_cache import vector_file

    corpus = Corpus(root)
    index = SampleIndex(corpus)
    meaning = MeaningSearch(ToyTexts(), vector_file([corpus], index, "toy"))
    return TestClient(application(explore(corpus, index, meaning=meaning), Access(frozenset({"testserver"})), pages))


def alike(client, number):
    answer = client.get(f"/api/samples/{number:032x}/alike")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_pairs_by_picture_are_those_of_the_hashes_in_the_corpus(client, root):
    """Against curate's own comparison of the scores."""
    scores = {(row["uid"], row["name"]): row["value"] for row in Corpus(root).table("scores").to_pylist()}
    uids = [f"{n:032x}" for n in range(6)]
    words = joined_hashes(*(np.array([scores[uid, name] for uid in uids]) for name in (HIGH, LOW)))
    for n in range(6):
        bits = differing_bits(words, np.full(6, words[n]))
        truth = {uids[m]: int(bits[m]) for m in range(6) if m != n and bits[m] <= MOST_BITS}
        found = {d["card"]["uid"]: d["differing_bits"] for d in alike(client, n)["duplicates"]}
        assert {uid: b for uid, b in found.items() if b is not None} == truth
    assert {d["card"]["uid"] for d in alike(client, 0)["duplicates"]} == {uids[3]}


def test_pairs_by_vector_and_neighbours(client):
    found = alike(client, 2)
    assert found["compared_by"] == ["picture", "embedding"]
    by_vector = {d["card"]["number"]: d["cosine"] for d in found["duplicates"] if d["cosine"] is not None}
    assert by_vector == {5: pytest.approx(1 / np.hypot(1, 0.1), abs=1e-3)}
    near = {card["number"]: card["cosine"] for card in found["neighbours"]}
    assert set(near) == {0, 1, 3, 4}, "without itself and its duplicates"
    assert list(near.values()) == sorted(near.values(), reverse=True)


def test_where_nothing_can_be_compared_it_says_so(client, root, pages, tmp_path):
    new_corpus(tmp_path / "bare")
    writer = JobWriter(tmp_path / "bare", "job")
    row = {"uid": "a", "subject": "s", "kind": "patch", "modality": "SM"}
    writer.add(Sample(row, as_png(picture(0))))
    writer.publish()
    from starlette.testclient import TestClient

    from voxtile.serve.access import Access
    from voxtile.serve.application import application
    from voxtile.serve.explored import explore
    from voxtile.serve.sample_index import SampleIndex

    corpus = Corpus(tmp_path / "bare")
    app = application(explore(corpus, SampleIndex(corpus)), Access(frozenset({"testserver"})), pages)
    answer = TestClient(app).get("/api/samples/a/alike").json()
    assert answer == {"duplicates": [], "neighbours": [], "compared_by": []}
