"""Judge facts, regions and claims, and draw captions by fact or where model and checker disagree."""

import io
import json

import numpy as np
import pytest
import torch
from judging import client_of, copied, give, stored, waiting
from PIL import Image
from serve_corpus import OTHER, PATCH, SCENE, SCRIPT, VOLUME

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows

pytest.importorskip("fastapi", reason="the extra serve is not installed")
TEXT = "A nodule of 12 mm in the left lung. No effusion; the heart is large."


@pytest.fixture
def claimed(root):
    """A caption of three sentences, to the size in which the checker objects."""
    start = TEXT.index("12 mm")
    fault = {
        "kind": "number",
        "judgement": "unsupported",
        "words": "12 mm",
        "start": start,
        "end": start + 5,
        "why": "",
    }
    append_rows(root, "captions", "long", [{"caption_id": "k", "uid": VOLUME, "text": TEXT, "kind": "rewrite"}])
    judged = {"caption_id": "k", "verdict": "unsupported", "checker": "claims", "checker_version": "4"}
    append_rows(root, "verdicts", "long", [{**judged, "detail": json.dumps([fault])}])
    return root


def lines(client, group="wrong"):
    return {(line["kind"], line["name"].split(":")[0]): line for line in client.get("/api/judge/rates").json()[group]}


def test_facts_come_one_after_the_other_and_are_counted_by_who_says_so(judge, root):
    told = {}
    while (found := judge.get("/api/judge/next", params={"reader": "ann", "kind": "fact"}).json()["item"]) is not None:
        told[found["words"]] = found
        verdict = "wrong" if found["uid"] == PATCH else "right"
        assert give(judge, found["target"], verdict, kind="fact", uid=found["uid"]).status_code == 200
    words = {"nodule: present, 12 mm", f"effusion: absent, note: {SCRIPT}", f"{SCRIPT}: present", "gland: present"}
    assert set(told) == words
    assert {row["kind"] for row in stored(root)} == {"fact"}
    every = lines(judge)
    assert every["fact", "all"]["share"] == 0.25
    assert every["fact", "reports@3"]["judged"] == 4
    assert ("caption", "all") not in every


def test_a_fact_has_the_same_name_in_another_part_and_another_server(root, open_judge):
    first = open_judge(root).get("/api/judge/next", params={"reader": "ann", "kind": "fact"}).json()["item"]
    row = {"uid": OTHER, "concept": "late", "polarity": "present", "source": "reports@3"}
    append_rows(root, "facts", "later", [row])
    second = open_judge(root)
    found = second.get("/api/judge/item", params={"kind": "fact", "uid": first["uid"], "target": first["target"]})
    assert found.json() == first
    names = set()
    while (name := waiting(second, reader="eve", kind="fact")) is not None:
        item = second.get("/api/judge/next", params={"reader": "eve", "kind": "fact"}).json()["item"]
        names.add(name)
        give(second, name, reader="eve", kind="fact", uid=item["uid"])
    assert len(names) == 5


@pytest.mark.parametrize(("uid", "region"), [(VOLUME, "r1"), (PATCH, "r2")])
def test_a_region_is_shown_where_it_is(judge, uid, region):
    shown = judge.get("/api/judge/region", params={"uid": uid, "region_id": region})
    assert shown.headers["content-type"] == "image/jpeg"
    pixels = np.asarray(Image.open(io.BytesIO(shown.content)).convert("RGB")).astype(int)
    tinted = (np.ptp(pixels, axis=2) > 20) if uid == VOLUME else (np.abs(pixels - (200, 120, 180)).sum(axis=2) > 60)
    scale = pixels.shape[0] / (48 if uid == VOLUME else 40)
    rows, columns = (float(np.mean(axis)) / scale for axis in np.nonzero(tinted))
    # The middle of the mask; planes hang with front and right turned over.
    wanted = (48 - 15, 56 - 35) if uid == VOLUME else (10, 20)
    assert (rows, columns) == pytest.approx(wanted, abs=1.0)


def test_of_planes_it_is_said_how_they_hang(judge):
    for uid, region, hangs in ((VOLUME, "r1", True), (PATCH, "r2", False)):
        found = judge.get("/api/judge/item", params={"kind": "region", "uid": uid, "target": region}).json()
        assert found["hangs"] is hangs


def test_a_region_s_picture_has_the_shape_of_its_millimetres(root):
    from voxtile.serve.judging.region_picture import region_picture

    corpus = Corpus(root)
    [region] = [row for row in corpus.table("regions").to_pylist() if row["region_id"] == "r1"]
    [row] = [row for row in corpus.table("samples").to_pylist() if row["uid"] == VOLUME]
    for across, down in ((4.5, 1.5), (1.5, 4.5)):  # as of a series that was taken sagittally
        source = corpus.source({**row, "corpus": 0, "spacing": [3.0, down, across]})
        width, height = Image.open(io.BytesIO(region_picture(corpus, source, {**region, "corpus": 0}))).size
        assert height / width == pytest.approx(48 * down / (56 * across), rel=0.02)


def test_regions_are_judged_and_a_wrong_name_is_none(judge, root):
    item = judge.get("/api/judge/next", params={"reader": "ann", "kind": "region"}).json()["item"]
    assert item["region_id"] == item["target"]
    assert SCRIPT in item["words"]
    assert give(judge, item["target"], "wrong", kind="region", uid=item["uid"]).status_code == 200
    assert give(judge, item["target"], kind="region", uid=SCENE).status_code == 404, "of another sample"
    assert judge.get("/api/judge/region", params={"uid": VOLUME, "region_id": "r9"}).status_code == 404
    assert [row["kind"] for row in stored(root)] == ["region"]


def test_the_claims_of_a_caption_are_its_sentences_and_what_the_checker_objects_to(claimed, open_judge):
    judge = open_judge(claimed)
    found = judge.get("/api/judge/item", params={"kind": "caption", "uid": VOLUME, "target": "k"}).json()
    assert found["claims"] == ["A nodule of 12 mm in the left lung.", "12 mm", "No effusion;", "the heart is large."]
    assert "unsupported" not in json.dumps(found), "readers are not told what the checker says"
    assert give(judge, "k", "wrong", uid=VOLUME, claim="12 mm").status_code == 200
    assert give(judge, "k", "wrong", uid=VOLUME, claim="the heart is large.").status_code == 200
    assert ("caption", "all") not in lines(judge), "a claim is not the caption"
    assert waiting(judge, drawn="objected") is not None
    assert give(judge, "k", "wrong", uid=VOLUME).status_code == 200
    checker = lines(judge, "checker")
    assert (checker["caption", "precision"]["share"], checker["caption", "precision"]["judged"]) == (1.0, 1)
    assert checker["caption", "recall"]["share"] == 1.0
    short = judge.get("/api/judge/item", params={"kind": "caption", "uid": VOLUME, "target": "j0"}).json()
    assert short["claims"] == [], "one sentence is judged as a whole"


def test_captions_are_drawn_in_turn_from_the_rarest_concept_that_their_sample_shows(judge):
    uids = []
    for _ in range(6):
        found = judge.get("/api/judge/next", params={"reader": "ann", "drawn": "by fact"}).json()["item"]
        uids.append(found["uid"])
        give(judge, found["target"], uid=found["uid"], drawn="by fact")
    assert sorted(uids[:3]) == sorted(uids[3:]) == sorted([VOLUME, PATCH, SCENE])
    names = [line["name"] for line in judge.get("/api/judge/rates").json()["wrong"]]
    assert "gland" in names
    assert "all" not in names, "drawn in turn, captions do not tell of all"


def test_what_was_picked_stays_picked_when_it_is_judged_again(judge, root):
    give(judge, "j1", "wrong", drawn="objected")
    give(judge, "j1", "right", drawn="random")
    assert [row["drawn"] for row in stored(root)] == ["objected", "objected"]
    assert judge.get("/api/judge/rates").json()["wrong"] == []


class Likes:
    """Reads the number of a text; a caption is near its image the more the higher it is."""

    name = "toy"

    def encode_texts(self, texts):
        likeness = torch.tensor([int(text.split()[1].rstrip(".")) / 12 for text in texts])
        return torch.stack([likeness, torch.sqrt(1 - likeness**2)], dim=1)


class Vectors:
    """Every sample has the same vector."""

    present = np.ones(4, np.bool_)

    def vectors(self, numbers):
        return np.tile(np.array([1.0, 0.0], np.float32), (len(numbers), 1))


def test_where_model_and_checker_disagree_most_comes_first(served_corpus, pages, tmp_path):
    from voxtile.serve.search.meaning import MeaningSearch

    root = copied(served_corpus, tmp_path / "copy")
    judge = client_of(root, pages, MeaningSearch(Likes(), Vectors()))
    order = []
    while (caption := waiting(judge, drawn="disagreed")) is not None:
        order.append(caption)
        give(judge, caption, drawn="disagreed")
    # The score of jN is N of 11. The checker objects to j0 to j3, and holds the others for supported.
    disagreement = {f"j{n}": (n if n < 4 else 11 - n) / 11 for n in range(12)}
    assert sorted(order) == sorted(disagreement)
    assert [disagreement[c] for c in order] == sorted(disagreement.values(), reverse=True)
    assert judge.get("/api/judge/rates").json()["wrong"] == [], "they were picked"


@pytest.mark.parametrize(
    ("query", "said"),
    [({"drawn": "disagreed"}, "--model"), ({"kind": "fact", "drawn": "objected"}, "only captions"),
     ({"kind": "region", "drawn": "disagreed"}, "only captions")],
)  # fmt: skip
def test_a_queue_that_cannot_be_says_why(judge, query, said):
    answer = judge.get("/api/judge/next", params={"reader": "ann", **query})
    assert answer.status_code == 422
    assert said in answer.json()["error"]
