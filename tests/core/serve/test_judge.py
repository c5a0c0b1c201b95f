"""Judge captions: which one comes next, what is stored and when, and what the verdicts say."""

import fcntl
import math
import os
import threading
import uuid

import pyarrow.parquet as pq
import pytest
from judging import give, owner, stored, waiting
from serve_corpus import PATCH

from voxtile.errors import ConfigError

pytest.importorskip("fastapi", reason="the extra serve is not installed")


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
    origins = []
    for _ in range(4):
        found = judge.get("/api/judge/next", params={"reader": "eve", "drawn": "stratified"}).json()["item"]
        origins.append(found["origin"])
        give(judge, found["target"], reader="eve", drawn="stratified")
    assert sorted(origins) == ["template", "template", "vlm", "vlm"]


def test_a_verdict_is_in_the_table_when_it_is_acknowledged_once_however_often_it_is_sent(judge, root):
    name = str(uuid.uuid4())
    for _ in range(3):
        assert give(judge, "j1", "wrong", review_id=name, comment="<b>no</b>").status_code == 200
    [row] = stored(root)
    assert (row["target"], row["verdict"], row["comment"], row["uid"]) == ("j1", "wrong", "<b>no</b>", PATCH)
    assert give(judge, "j2", claim="Text 2").status_code == 200
    assert len(stored(root)) == 2
    assert len(list((root / "tables" / "reviews").iterdir())) == 1, "one part a sitting"


def test_who_is_overruled_under_the_same_name_is_told(judge):
    told = [give(judge, "j1", verdict).json()["replaced"] for verdict in ("right", "right", "wrong")]
    assert told == [None, None, "right"]
    assert give(judge, "j1", "right", reader="bob").json()["replaced"] is None
    assert give(judge, "j1", "right", claim="Text 1").json()["replaced"] is None


@pytest.mark.cases(4)
@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"target": "none"}, 404),
        ({"uid": "none"}, 404),
        ({"kind": "fact"}, 404),
        ({"kind": "sample"}, 422),
        ({"verdict": "maybe"}, 422),
        ({"reader": " "}, 422),
        ({"review_id": "../../x"}, 422),
        ({"claim": "words that are not in it"}, 422),
        ({"drawn": "at will"}, 422),
    ],
)
def test_what_is_no_verdict_is_refused_and_not_stored(judge, root, wrong, status):
    assert give(judge, "j1", **wrong).status_code == status
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
    assert (every["all"]["judged"], every["all"]["subjects"], every["all"]["cannot_tell"]) == (11, 3, 1)
    assert every["all"]["share"] == pytest.approx(2 / 11)
    assert every["template"]["share"] == pytest.approx(1 / 5)
    assert 0 < every["all"]["low"] < 2 / 11 < every["all"]["high"] < 1
    wishes = [judge.get("/api/judge/rates", params={"width": width}).json()["wrong"][0] for width in (1.0, 0.2, 0.1)]
    needed = 11 * ((every["all"]["high"] - every["all"]["low"]) / 0.2) ** 2 - 11
    assert [wish["further"] for wish in wishes] == [0, math.ceil(needed), every["all"]["further"]]
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
    assert (found["both"], found["differ"]) == (8, 2)
    assert [(d["target"], d["uid"], d["words"], d["verdicts"]) for d in found["differences"]] == [
        ("j1", owner("j1"), "Text 1.", ["right", "wrong"]),
        ("j4", owner("j4"), "Text 4.", ["wrong", "right"]),
    ]


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


def test_two_servers_on_one_corpus_see_each_other_and_store_nothing_twice(open_judge, root):
    first, second = open_judge(root), open_judge(root)
    name = uuid.uuid4().hex
    assert give(first, "j1", "wrong", review_id=name).status_code == 200
    assert give(second, "j1", "wrong", review_id=name).status_code == 200, "sent again to the other one"
    assert len(stored(root)) == 1
    assert second.get("/api/judge/rates").json()["wrong"][0]["judged"] == 1

    def sit(client, reader):
        while (caption := waiting(client, reader=reader)) is not None:
            assert give(client, caption, reader=reader).status_code == 200

    sittings = [threading.Thread(target=sit, args=one) for one in ((first, "bob"), (second, "eve"))]
    for sitting in sittings:
        sitting.start()
    for sitting in sittings:
        sitting.join()
    rows = stored(root)
    assert len({row["review_id"] for row in rows}) == len(rows) == 1 + 2 * 13
    assert waiting(first, reader="eve") is None, "what eve said at the other server is known here"
    assert len(list((root / "tables" / "reviews").iterdir())) == 2


def test_a_table_that_another_server_does_not_let_go_is_said_and_the_verdict_may_be_sent_again(
    judge, root, monkeypatch
):
    monkeypatch.setattr("voxtile.serve.reviews.store._PATIENCE_S", 0.02)
    name = uuid.uuid4().hex
    handle = os.open(root, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)  # as a server that was stopped in the midst of writing
    answer = give(judge, "j0", review_id=name)
    assert (answer.status_code, "another server" in answer.json()["error"]) == (422, True)
    assert stored(root) == []
    os.close(handle)
    assert give(judge, "j0", review_id=name).status_code == 200
    assert [row["review_id"] for row in stored(root)] == [name]


def test_a_part_that_is_written_again_while_it_is_read_is_read_anew(judge, root, monkeypatch):
    from voxtile.corpus.parts import part_table
    from voxtile.errors import CorpusError

    assert give(judge, "j0").status_code == 200
    [part] = (root / "tables" / "reviews").iterdir()
    torn = []

    def replaced_meanwhile(path, columns):
        if not torn:
            torn.append(path)
            os.utime(part, ns=(1, 1))  # as another verdict does between the footer and the rows
            raise CorpusError("the footer is of another file")
        return part_table(path, columns)

    monkeypatch.setattr("voxtile.serve.reviews.store.part_table", replaced_meanwhile)
    assert judge.get("/api/judge/rates").json()["wrong"][0]["judged"] == 1
    part.write_bytes(b"PAR1 and no more")
    torn.clear()
    assert judge.get("/api/judge/rates").status_code == 500, "what is damaged stays so"


def test_a_condition_sees_reviews_as_they_are_given(judge):
    where = "uid IN (SELECT uid FROM reviews WHERE verdict = 'wrong')"
    for expected in ([], [PATCH]):
        found = judge.post("/api/search", json={"where": where}).json()["samples"]
        assert [sample["uid"] for sample in found] == expected
        give(judge, "j1", "wrong")


def test_a_forgotten_subject_does_not_come_back_with_the_next_verdict(root):
    from voxtile.corpus.reader import Corpus
    from voxtile.serve.reviews.store import Reviews
    from voxtile_datasets.forgetting.command import forget_subject

    reviews = Reviews(Corpus(root))
    row = {"kind": "caption", "verdict": "wrong", "comment": None, "claim": None, "reader": "ann", "drawn": "random"}
    for name in ("j0", "j1"):
        reviews.add(0, {**row, "review_id": name, "target": name, "uid": owner(name)}, None)
    forget_subject(root, subject=("q",))
    assert [row["target"] for row in stored(root)] == ["j0"]
    with pytest.raises(ConfigError, match="forgotten the subject"):
        reviews.add(0, {**row, "review_id": "j1", "target": "j1", "uid": owner("j1")}, "q")
    reviews.add(0, {**row, "review_id": "j2", "target": "j2", "uid": owner("j2")}, "p")
    assert sorted(row["target"] for row in stored(root)) == ["j0", "j2"], (
        "what the server held of j1 is not written again"
    )
    assert [row["target"] for row in reviews.latest()] == ["j0", "j2"]


def test_no_verdict_is_stored_while_a_corpus_is_built_anew(root, monkeypatch):
    from voxtile.corpus.reader import Corpus
    from voxtile.serve.reviews import store
    from voxtile_datasets.forgetting import command

    reviews, build, said = store.Reviews(Corpus(root)), command.build, []
    row = {"kind": "caption", "verdict": "wrong", "comment": None, "claim": None, "reader": "ann", "drawn": "random"}
    verdict = (0, {**row, "review_id": "j0", "target": "j0", "uid": owner("j0")}, "p")

    def judged_meanwhile(*arguments):
        changes = build(*arguments)  # which has taken what was there
        with pytest.raises(ConfigError, match="built anew") as refused:
            reviews.add(*verdict)
        said.append(refused)
        return changes

    monkeypatch.setattr(store, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(command, "build", judged_meanwhile)
    command.forget_subject(root, subject=("q",))
    assert len(said) == 1
    assert stored(root) == []
    reviews.add(*verdict)
    assert [row["target"] for row in stored(root)] == ["j0"]


def test_a_verdict_is_refused_where_the_corpus_is_moved_or_its_disk_is_not_mounted(judge, root):
    away = root.rename(root.with_name("away"))
    for unmounted in (False, True):
        if unmounted:
            root.mkdir()  # what a disk was mounted at
        answer = give(judge, "j1")
        assert answer.status_code == 422
        assert "not in its place" in answer.json()["error"]
    assert list(root.iterdir()) == [], "nothing that the disk would hide"
    root.rmdir()
    away.rename(root)
    assert give(judge, "j1").status_code == 200


def test_packing_leaves_alone_what_a_server_writes(root):
    from voxtile.corpus.reader import Corpus
    from voxtile.serve.reviews.store import Reviews
    from voxtile.stages.upkeep.compact import compact_corpus

    row = {"kind": "caption", "verdict": "wrong", "comment": None, "claim": None, "reader": "ann", "drawn": "random"}
    for name in ("j0", "j1"):  # two sittings
        Reviews(Corpus(root)).add(0, {**row, "review_id": name, "target": name, "uid": owner(name)}, None)
    files = sorted((root / "tables" / "reviews").iterdir())
    compact_corpus(root)
    assert sorted((root / "tables" / "reviews").iterdir()) == files


def test_what_a_killed_server_left_half_written_goes_and_what_another_writes_now_stays(root, open_judge):
    import fcntl

    folder = root / "tables" / "reviews"
    folder.mkdir()
    dead, living = folder / ".reviews-1.parquet.tmp", folder / ".reviews-2.parquet.tmp"
    dead.write_bytes(b"half")
    with living.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        open_judge(root)
        assert (dead.exists(), living.exists()) == (False, True)
