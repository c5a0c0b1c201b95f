"""Find: pages of all samples, by words, by a neighbour, by facts and by curate's conditions, alone and together."""

import numpy as np
import pytest
from serve_corpus import OTHER, PATCH, SCENE, VOLUME  # the same names as in conftest

pytest.importorskip("fastapi", reason="the extra serve is not installed")


def found(client, **question):
    answer = client.post("/api/search", json=question)
    assert answer.status_code == 200, answer.text
    return [sample["uid"] for sample in answer.json()["samples"]]


def test_without_a_question_all_samples_come_page_by_page(client):
    everything = found(client)
    assert sorted(everything) == sorted([VOLUME, PATCH, SCENE, OTHER])
    pages = [client.post("/api/search", json={"offset": n, "limit": 3}).json() for n in (0, 3, 6)]
    assert [[s["uid"] for s in page["samples"]] for page in pages] == [everything[:3], everything[3:], []]
    assert {page["total"] for page in pages} == {4}


@pytest.mark.parametrize(
    ("words", "order"), [("scan", [VOLUME, OTHER, SCENE, PATCH]), ("land", [SCENE, VOLUME, PATCH, OTHER])]
)
def test_words_rank_all_samples_by_cosine(client, words, order):
    samples = client.post("/api/search", json={"words": words}).json()["samples"]
    cosines = [sample["cosine"] for sample in samples]
    assert cosines == sorted(cosines, reverse=True)
    assert [sample["uid"] for sample in samples if sample["cosine"] > 0.05] == [
        uid for uid in order if uid in {s["uid"] for s in samples if s["cosine"] > 0.05}
    ]


def test_neighbours_of_a_sample_leave_it_out(client):
    assert found(client, like=VOLUME)[0] == OTHER
    assert VOLUME not in found(client, like=VOLUME)


def test_facts_conditions_and_words_go_together(client):
    assert found(client, facts=[{"concept": "nodule"}]) == [VOLUME]
    (card,) = client.post("/api/search", json={"facts": [{"concept": "nodule"}]}).json()["samples"]
    assert "nodule" in card["present"], "a finding with a size is no measurement"
    assert found(client, facts=[{"concept": "effusion", "polarity": "absent"}]) == [VOLUME]
    assert found(client, facts=[{"concept": "effusion"}]) == []
    assert found(client, where="modality = 'CT'", words="land") == [VOLUME, OTHER]
    assert found(client, where="sharpness > 4") == [PATCH], "scores are columns, as in curate --where"
    assert found(client, where="uid IN (SELECT uid FROM facts WHERE concept = 'gland')") == [PATCH]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"where": "sharpnes > 4"}, "did you mean 'sharpness'"),
        ({"where": "1=1; DROP VIEW samples"}, "condition"),
        ({"where": "uid IN (SELECT content FROM read_text('/etc/passwd'))"}, "reads outside the corpus"),
        ({"where": "source LIKE 'p%'"}, "no column 'source'"),
        ({"where": "(SELECT max(source) FROM samples) IS NOT NULL"}, "source"),
        ({"where": 'uid IN (SELECT source FROM "__samples_0")'}, "no table of the corpus"),
        ({"words": "scan", "like": VOLUME}, "not by both"),
        ({"words": "x" * 5000}, "5,000 characters"),
    ],
)
def test_a_question_that_cannot_be_is_answered_by_a_sentence(client, question, said):
    answer = client.post("/api/search", json=question)
    assert answer.status_code == 422
    assert said in answer.json()["error"]
    assert "patient-doe" not in answer.text


def test_a_question_of_another_form_and_one_too_large_are_refused(client):
    assert client.post("/api/search", json={"offset": -1}).status_code == 422
    assert client.post("/api/search", json={"wrods": "scan"}).status_code == 422
    assert client.post("/api/search", json={"words": "ü" * 100_000}).status_code == 413
    assert client.post("/api/search", json={"like": "no-such"}).status_code == 404


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (r'{"where": "subject = 7 || \ud800"}', r"\ud800"),
        (r'{"like": "VOLUME", "box": [NaN, 0, 0, 9, 9, 9]}', "another form"),
    ],
)
def test_halves_of_characters_and_numbers_that_are_none_are_answered_by_a_sentence(client, question, said):
    json = {"content-type": "application/json"}
    answer = client.post("/api/search", content=question.replace("VOLUME", VOLUME), headers=json)
    assert (answer.status_code, said in answer.json()["error"]) == (422, True)


def test_search_is_exact(tmp_path):
    """Against float64 over the same vectors, with ties, absent rows and many that are nearly alike."""
    from voxtile.serve.search.vectors import VectorFile

    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(5000, 48))
    vectors[1000:2000] = vectors[17] + 1e-4 * rng.normal(size=(1000, 48))  # nearer than halves tell apart
    vectors[40] = vectors[41]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    (tmp_path / "v.f16").write_bytes(vectors.tobytes())
    present = rng.random(5000) < 0.9
    file = VectorFile(tmp_path / "v.f16", present, 48, threads=2)
    for query in (
        vectors[17].astype(np.float32),
        vectors[41].astype(np.float32),
        rng.normal(size=48).astype(np.float32),
    ):
        unit = query.astype(np.float64) / np.linalg.norm(query.astype(np.float64))
        truth = vectors.astype(np.float64) @ unit
        got = file.best(query, 50)
        kept = np.flatnonzero(present)
        best = kept[np.lexsort((kept, -truth[kept]))[:50]]
        assert np.allclose(truth[got.numbers], np.sort(truth[kept])[::-1][:50], atol=3e-7)
        assert present[got.numbers].all()
        assert len(set(got.numbers.tolist()) & set(best.tolist())) >= 49, "float32 may swap two at the edge"
    file.close()


def test_further_pages_cost_no_search_and_what_readers_say_counts_at_once(served_corpus, pages, tmp_path, monkeypatch):
    import shutil

    from judging import give
    from starlette.testclient import TestClient
    from tests.core.serve.conftest import ToyTexts

    from voxtile.corpus.reader import Corpus
    from voxtile.serve.access import Access
    from voxtile.serve.application import application
    from voxtile.serve.explored import explore
    from voxtile.serve.sample_index import SampleIndex
    from voxtile.serve.search.meaning import MeaningSearch
    from voxtile.serve.search.vector_cache import vector_file
    from voxtile.serve.search.vectors import VectorFile

    root = tmp_path / "copy"
    shutil.copytree(served_corpus, root)
    corpus = Corpus(root)
    index = SampleIndex(corpus)
    meaning = MeaningSearch(ToyTexts(), vector_file([corpus], index, "toy"))
    client = TestClient(application(explore(corpus, index, meaning=meaning), Access(frozenset({"testserver"})), pages))
    asked = []
    search = VectorFile.best
    monkeypatch.setattr(VectorFile, "best", lambda *given: asked.append(1) or search(*given))
    first, second = (found(client, words="land", offset=n, limit=2) for n in (0, 2))
    assert len({*first, *second}) == 4
    assert len(asked) == 1
    doubted = {"words": "land", "where": "uid IN (SELECT uid FROM reviews WHERE verdict = 'wrong')"}
    assert found(client, **doubted) == []
    assert give(client, "d", verdict="wrong").status_code == 200
    assert found(client, **doubted) == [PATCH]
