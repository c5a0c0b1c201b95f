"""Names from content, keyed hashes in place of identifiers, and splits that only depend on the subject."""

import errno
import hashlib
import hmac
import multiprocessing
import os
import pickle
import stat

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from two_writers import overtake

from voxtile.corpus import identity
from voxtile.corpus.forgotten import FORGOTTEN_FILE, ForgottenSubjects
from voxtile.corpus.identity import KeyedHash, KeyMap, key_map_path, sample_uid
from voxtile.corpus.splits import parse_fractions, split_of
from voxtile.errors import ConfigError, CorpusError

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_uids_are_equal_only_for_equal_parts(one, other):
    assert (sample_uid(*one) == sample_uid(*other)) == (one == other)
    assert len(sample_uid(*one)) == 32
    assert int(sample_uid(*one), 16) >= 0


def test_uids_stay_what_they_are():
    """A corpus made years ago must match one made today."""
    assert (
        sample_uid("1.2.3", "0:4", "1mm")
        == hashlib.sha256(
            b"\x00\x00\x00\x00\x00\x00\x00\x051.2.3\x00\x00\x00\x00\x00\x00\x00\x030:4\x00\x00\x00\x00\x00\x00\x00\x031mm"
        ).hexdigest()[:32]
    )


def test_hash_is_hmac_sha256():
    key = bytes(range(32))
    expected = hmac.new(key, b"subject\0Doe^Jane", hashlib.sha256).hexdigest()[:32]
    assert KeyedHash(key).hash("subject", "Doe^Jane") == expected
    assert KeyedHash(key).hash("study", "Doe^Jane") != expected
    assert "key" not in repr(KeyedHash(key)).replace("KeyedHash", "")


def test_date_shifts_are_constant_for_a_subject_and_go_back(tmp_path):
    keys = KeyMap(tmp_path / "k")
    shifts = [keys.date_shift_days(f"p{number}") for number in range(2000)]
    again = KeyMap(tmp_path / "k")  # read from the file
    assert shifts == [again.date_shift_days(f"p{number}") for number in range(2000)]
    assert -1825 <= min(shifts) < -1800
    assert -30 < max(shifts) <= -1


def test_key_map_lies_outside_the_corpus_and_is_private(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    keys = KeyMap.for_corpus(corpus)
    keys.remember("abc", "raw/one.dcm")
    keys.save()
    assert keys.path == tmp_path / "corpus.sources.parquet"
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert not list(corpus.iterdir())
    table = pq.read_table(keys.path)
    assert table.to_pylist() == [{"source": "abc", "path": "raw/one.dcm", "subject": ""}]
    again = KeyMap.for_corpus(corpus)
    assert again.hash("source", "x") == keys.hash("source", "x")
    assert again.path_of("abc") == "raw/one.dcm"
    assert again.path_of("zzz") is None


def test_another_key_gives_other_hashes(tmp_path):
    assert KeyMap(tmp_path / "a").hash("source", "x") != KeyMap(tmp_path / "b").hash("source", "x")


def test_the_same_map_is_the_same_bytes(tmp_path):
    keys = KeyMap(tmp_path / "k")
    for name in ("b", "a"):
        keys.remember(name, name)
    keys.save()
    first = keys.path.read_bytes()
    other = KeyMap(tmp_path / "k")
    other.remember("a", "a")
    other.save()
    assert other.path.read_bytes() == first


def test_two_processes_do_not_lose_each_others_paths(tmp_path):
    one, two = KeyMap(tmp_path / "k"), KeyMap(tmp_path / "k")
    one.remember("one", "1")
    two.remember("two", "2")
    one.save()
    two.save()
    assert {KeyMap(tmp_path / "k").path_of(name) for name in ("one", "two")} == {"1", "2"}


@pytest.mark.parametrize("ends", ["save", "forget"])
def test_what_another_process_adds_while_a_map_is_written_is_not_lost(tmp_path, monkeypatch, ends):
    one, two = KeyMap(tmp_path / "k"), KeyMap(tmp_path / "k")
    one.remember("one", "1")
    one.save()
    two.remember("two", "2")
    wait = overtake(monkeypatch, identity, two.save)
    one.save() if ends == "save" else one.forget(lambda _: {"nothing"})
    wait()
    monkeypatch.undo()
    assert {KeyMap(tmp_path / "k").path_of(name) for name in ("one", "two")} == {"1", "2"}


@pytest.mark.parametrize("ends", ["save", "forget"])
def test_what_another_process_forgot_does_not_come_back_from_a_map_that_was_read_before(tmp_path, ends):
    first = KeyMap(tmp_path / "k")
    for name in ("one", "two", "three"):
        first.remember(name, f"/scans/{name}")
    first.save()
    later, other = KeyMap(tmp_path / "k"), KeyMap(tmp_path / "k")
    assert other.forget(lambda keys: {"one"} & keys.paths().keys()) == {"one"}
    later.remember("four", "/scans/four")
    later.save() if ends == "save" else later.forget(lambda _: {"two"})
    left = {"two", "three", "four"} if ends == "save" else {"three", "four"}
    assert KeyMap(tmp_path / "k").paths().keys() == later.paths().keys() == left


def test_a_map_that_was_read_before_the_corpus_forgot_somebody_is_not_written(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    keys = KeyMap.for_corpus(corpus)
    keys.remember("scan", "/scans/Quintero", "s-1")
    (corpus / FORGOTTEN_FILE).write_bytes(ForgottenSubjects().with_subjects(["s-1"]).to_bytes())
    with pytest.raises(CorpusError, match="has forgotten subjects since this command read it; run the same"):
        keys.save()
    assert KeyMap(keys.path).paths() == {}
    again = KeyMap.for_corpus(corpus)
    again.remember("scan", "/scans/Quintero", "s-1")
    again.save()
    assert KeyMap(keys.path).paths() == {}


def _open(path):
    return KeyMap(path).hash("source", "x")


def test_processes_that_start_together_end_with_one_key(tmp_path):
    pool = multiprocessing.get_context("fork").Pool(8)
    hashes = pool.map(_open, [tmp_path / "k"] * 32, chunksize=1)
    pool.close()  # not terminated: they have the handlers of signals that tests before this one left, and may stay
    pool.join()
    assert len(set(hashes)) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["k"]


def test_a_replaced_key_is_noticed(tmp_path):
    keys = KeyMap(tmp_path / "k")
    (tmp_path / "k").unlink()
    KeyMap(tmp_path / "k")
    with pytest.raises(CorpusError, match="has changed"):
        keys.save()


def test_workers_get_the_hasher_alone(tmp_path):
    hasher = pickle.loads(pickle.dumps(KeyMap(tmp_path / "k").hasher))
    assert hasher.hash("source", "x") == KeyMap(tmp_path / "k").hash("source", "x")


def test_a_key_file_inside_the_corpus_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="lies inside the corpus"):
        key_map_path(tmp_path / "corpus", tmp_path / "corpus" / "tables" / "key.parquet")
    assert key_map_path(tmp_path / "corpus", tmp_path / "key.parquet") == tmp_path / "key.parquet"


@pytest.mark.parametrize("content", [b"", b"junk", None])
def test_what_is_no_key_map_is_refused_and_kept(tmp_path, content):
    path = tmp_path / "k"
    if content is None:
        pq.write_table(pq.ParquetFile(KeyMap(tmp_path / "other").path).read().replace_schema_metadata(None), path)
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(CorpusError, match="is not a voxtile key map"):
        KeyMap(path)
    assert path.read_bytes() == before


def test_a_key_map_that_the_disk_does_not_give_is_not_called_another_file(tmp_path, monkeypatch):
    path = KeyMap(tmp_path / "k").path

    def unreadable(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(pq, "ParquetFile", unreadable)
    with pytest.raises(CorpusError, match=r"cannot be read \(Input/output error\); keep it"):
        KeyMap(path)


def test_splits_depend_on_the_subject_alone_and_keep_the_shares():
    names = [f"subject-{number}" for number in range(20000)]
    splits = {name: split_of(name, FRACTIONS) for name in names}
    assert splits == {name: split_of(name, FRACTIONS) for name in reversed(names)}
    counts = [sum(split == wanted for split in splits.values()) for wanted in FRACTIONS]
    assert stats.chisquare(counts, [20000 * share for share in FRACTIONS.values()]).pvalue > 1e-3


def test_another_salt_is_independent():
    names = [f"subject-{number}" for number in range(5000)]
    halves = {"train": 0.5, "test": 0.5}
    same = sum(split_of(name, halves) == split_of(name, halves, salt="other") for name in names)
    assert stats.binomtest(same, 5000, 0.5).pvalue > 1e-3


def test_a_subject_that_is_trained_on_stays_when_train_grows():
    grown = {"train": 0.9, "val": 0.05, "test": 0.05}
    names = [f"subject-{number}" for number in range(2000)]
    assert all(split_of(name, grown) == "train" for name in names if split_of(name, FRACTIONS) == "train")


@given(st.text())
def test_an_empty_split_gets_nobody(subject):
    assert split_of(subject, {"train": 1.0, "val": 0.0, "test": 0.0}) == "train"
    assert split_of(subject, {"train": 0.0, "test": 1.0}) == "test"


def test_fractions_are_read_and_checked():
    assert parse_fractions("0.8,0.1,0.1") == FRACTIONS
    for text in ("0.8,0.1", "a,b,c", "0.8,0.1,0.2", "1.2,-0.1,-0.1", "nan,0.5,0.5", ""):
        with pytest.raises(ConfigError):
            parse_fractions(text)
