"""Judge: which caption comes next, what is stored and when, and what the verdicts say."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid

import numpy as np
import pyarrow.parquet as pq
import pytest
from serve_corpus import PATCH, SCENE, VOLUME

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows

pytest.importorskip("fastapi", reason="the extra serve is not installed")


@pytest.fixture
def root(served_corpus, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(served_corpus, copy)
    owners = [VOLUME, PATCH, SCENE]
    rows = [
        {"caption_id": f"j{n}", "uid": owners[n % 3], "text": f"Text {n}.", "kind": ("template", "vlm")[n // 6]}
        for n in range(12)
    ]
    append_rows(copy, "captions", "more", rows)
    verdicts = [{"caption_id": f"j{n}", "verdict": "contradicted" if n < 4 else "supported", "checker": "check",
                 "checker_version": "3"} for n in range(12)]  # fmt: skip
    append_rows(copy, "verdicts", "more", verdicts)
    return copy


@pytest.fixture
def judge(root, pages):
    from starlette.testclient import TestClient

    from voxtile.serve.access import Access
    from voxtile.serve.application import application
    from voxtile.serve.explored import explore
    from voxtile.serve.sample_index import SampleIndex

    corpus = Corpus(root)
    app = application(explore(corpus, SampleIndex(corpus)), Access(frozenset({"testserver"})), pages)
    return TestClient(app)


def give(client, caption, verdict="right", reader="ann", drawn="random", **more):
    body = {"review_id": uuid.uuid4().hex, "caption_id": caption, "verdict": verdict, "reader": reader, "drawn": drawn}
    return client.post("/api/judge/verdicts", json={**body, **more})


def waiting(client, **query):
    found = client.get("/api/judge/next", params={"reader": "ann", **query}).json()["caption"]
    return found and found["caption_id"]


def stored(root):
    return Corpus(root).table("reviews").to_pylist()


def test_every_caption_comes_once_and_in_the_same_order_for_two_readers(judge):
    orders = []
    for reader in ("ann", "bob"):
        order = []
        while (caption := waiting(judge, reader=reader)) is not None:
            order.append(caption)
            assert give(judge, caption, reader=reader).status_code == 200
        orders.append(order)
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted(["d", *(f"j{n}" for n in range(12))]), "reports are not judged"


def test_captions_that_the_checker_objects_to_and_kinds_in_turn(judge):
    seen = set()
    while (caption := waiting(judge, drawn="objected")) is not None:
        seen.add(caption)
        give(judge, caption, drawn="objected")
    assert seen == {f"j{n}" for n in range(4)}
    kinds = []
    for _ in range(4):
        found = judge.get("/api/judge/next", params={"reader": "eve", "drawn": "stratified"}).json()["caption"]
        kinds.append(found["kind"])
        give(judge, found["caption_id"], reader="eve", drawn="stratified")
    assert sorted(kinds) == ["template", "template", "vlm", "vlm"]


def test_a_verdict_is_in_the_table_when_it_is_acknowledged_once_however_often_it_is_sent(judge, root):
    name = str(uuid.uuid4())
    for _ in range(3):
        assert give(judge, "j1", "wrong", review_id=name, comment="<b>no</b>").status_code == 200
    [row] = stored(root)
    assert (row["target"], row["verdict"], row["comment"], row["uid"]) == ("j1", "wrong", "<b>no</b>", PATCH)
    assert give(judge, "j2", claim="Text 2").status_code == 200
    assert len(stored(root)) == 2
    assert len(list((root / "tables" / "reviews").iterdir())) == 1, "one part a sitting"


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"caption_id": "none"}, 404),
        ({"verdict": "maybe"}, 422),
        ({"reader": " "}, 422),
        ({"review_id": "../../x"}, 422),
        ({"claim": "words that are not in it"}, 422),
        ({"drawn": "at will"}, 422),
    ],
)
def test_what_is_no_verdict_is_refused_and_not_stored(judge, root, wrong, status):
    body = {"review_id": uuid.uuid4().hex, "caption_id": "j1", "verdict": "right", "reader": "a", "drawn": "random"}
    assert judge.post("/api/judge/verdicts", json={**body, **wrong}).status_code == status
    assert stored(root) == []


def test_a_full_disk_is_said_and_the_verdict_may_be_sent_again(judge, root, monkeypatch):
    from voxtile.corpus.storage import StorageError
    from voxtile.serve.reviews import store

    def full(path, data):
        raise StorageError(f"no room for {path}")

    name = uuid.uuid4().hex
    with monkeypatch.context() as patch:
        patch.setattr(store, "write_atomically", full)
        answer = give(judge, "j1", review_id=name)
    assert answer.status_code == 422
    assert "room on the disk" in answer.json()["error"]
    assert str(root) not in answer.text
    assert stored(root) == []
    assert give(judge, "j1", review_id=name).status_code == 200
    assert len(stored(root)) == 1


def test_rates_count_the_last_word_and_leave_out_what_was_picked(judge):
    for n in range(12):
        give(judge, f"j{n}", "wrong" if n in (0, 1, 7) else "right")
    give(judge, "j0", "cannot tell")  # she takes it back
    give(judge, "j3", "wrong", reader="bob", drawn="objected")
    found = judge.get("/api/judge/rates").json()
    every = {line["name"]: line for line in found["wrong"]}
    assert (every["all"]["judged"], every["all"]["subjects"]) == (11, 3)
    assert every["all"]["share"] == pytest.approx(2 / 11)
    assert every["template"]["share"] == pytest.approx(1 / 5)
    assert 0 < every["all"]["low"] < 2 / 11 < every["all"]["high"] < 1
    checker = {line["name"].split(":")[0]: line for line in found["checker"]}
    assert checker["recall"]["share"] == 0.5, "of j1 and j7, the checker objects to j1"
    assert checker["false alarms"]["share"] == pytest.approx(2 / 9), "j2 and j3 of nine right ones"


def test_kappa_is_that_of_the_formula_and_differences_are_listed(judge):
    ann = ["right", "right", "right", "wrong", "wrong", "right", "wrong", "right"]
    bob = ["right", "wrong", "right", "wrong", "right", "right", "wrong", "right"]
    for n, (a, b) in enumerate(zip(ann, bob, strict=True)):
        give(judge, f"j{n}", a)
        give(judge, f"j{n}", b, reader="bob")
    [found] = judge.get("/api/judge/rates").json()["agreements"]
    expected = (3 * 3 + 5 * 5) / 64
    assert found["kappa"] == pytest.approx((6 / 8 - expected) / (1 - expected))
    assert found["differ"] == ["j1", "j4"]


@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_the_interval_covers_with_clustered_subjects(correlation):
    from voxtile.serve.reviews.rates import clustered_rate

    rng = np.random.default_rng(3)
    share, rounds, hits = 0.15, 600, 0
    for _ in range(rounds):
        sizes = rng.integers(2, 9, 60)
        odds = 1 / correlation - 1 if correlation else None
        own = rng.beta(share * odds, (1 - share) * odds, 60) if odds else np.full(60, share)
        wrong = np.concatenate([rng.random(n) < p for n, p in zip(sizes, own, strict=True)])
        rate = clustered_rate(wrong.astype(float), np.repeat(np.arange(60), sizes), 0.1)
        hits += rate.low <= share <= rate.high
    assert 0.93 <= hits / rounds <= 0.97


def test_an_interval_needs_subjects_and_none_wrong_is_not_certainty():
    from voxtile.serve.reviews.rates import clustered_rate

    assert clustered_rate([1, 0, 1], ["a", "a", "a"], 0.1).low is None
    none = clustered_rate([0.0] * 100, [str(n % 10) for n in range(100)], 0.1)
    assert none.low == 0
    assert 0.1 < none.high < 0.35, "ten subjects, not a hundred units"
    wide = clustered_rate([1.0, 0, 0, 0] * 10, range(40), 0.5)
    assert wide.further == 0
    assert clustered_rate([1.0, 0, 0, 0] * 10, range(40), 0.05).further > 400


def test_curate_sees_what_people_said(judge, root):
    from voxtile.corpus.view.selection import SAMPLES
    from voxtile_datasets.curation.command import curate_corpus

    give(judge, "j1", "wrong")
    curate_corpus(root, view="doubted", where="uid IN (SELECT uid FROM reviews WHERE verdict = 'wrong')")
    chosen = pq.read_table(root / "views" / "doubted.selection" / SAMPLES)["uid"].to_pylist()
    assert chosen == [PATCH]


_KILLED = """
import sys
from pathlib import Path
from voxtile.corpus.reader import Corpus
from voxtile.serve.reviews.store import Reviews
reviews = Reviews(Corpus(Path(sys.argv[1])))
n = 0
while True:
    name = f"{sys.argv[2]}-{n}"
    reviews.add(0, {"review_id": name, "uid": "u", "kind": "caption", "target": f"t{n}", "claim": None,
                    "verdict": "right", "comment": None, "reader": "r", "drawn": "random"})
    print(name, flush=True)
    n += 1
"""


def test_every_acknowledged_verdict_outlives_kills(root):
    acknowledged = []
    for turn in range(4):
        command = [sys.executable, "-P", "-c", _KILLED, str(root), str(turn)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as judging:
            for _ in range(5 + 3 * turn):
                acknowledged.append(judging.stdout.readline().strip())
            os.kill(judging.pid, signal.SIGKILL)
            acknowledged += [line.strip() for line in judging.stdout if line.endswith("\n")]
    names = [row["review_id"] for row in stored(root)]
    assert len(names) == len(set(names))
    assert set(acknowledged) <= set(names)
    assert len(names) <= len(acknowledged) + 4, "at most the one in flight of each sitting more"


def test_two_readers_at_once_lose_nothing(judge, root):
    def sit(reader):
        for n in range(12):
            assert give(judge, f"j{n}", reader=reader).status_code == 200

    sittings = [threading.Thread(target=sit, args=(reader,)) for reader in ("ann", "bob")]
    for sitting in sittings:
        sitting.start()
    for sitting in sittings:
        sitting.join()
    assert sorted((r["reader"], r["target"]) for r in stored(root)) == sorted(
        (reader, f"j{n}") for reader in ("ann", "bob") for n in range(12)
    )
