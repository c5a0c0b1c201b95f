"""`voxtile forget` on corpora of all three domains: nothing of the subject in any byte, and all else as it was."""

import asyncio
import errno
import hashlib
import json
import os
import re
import shutil
import signal
import tarfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.forgotten import ForgottenSubjects
from voxtile.corpus.identity import KeyMap
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.schema import TABLES
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.errors import CorpusError, InputError
from voxtile.stages.verify.corpus import verify
from voxtile_datasets.captions.providers.cache import ReplyCache
from voxtile_datasets.captions.providers.request import Reply
from voxtile_datasets.curation.command import curate_corpus
from voxtile_datasets.forgetting import command
from voxtile_datasets.forgetting.command import forget_subject
from voxtile_datasets.intake.subject_table import SubjectTable

INLINE = ("--engine", "inline")
PAID = {"cost_usd": 0.0, "latency_s": 0.1, "finish": "stop", "created": "now", "cached": False}
PLACES = ("shard", "offset", "mask_shard", "mask_offset")


def run(*words):
    assert main([str(word) for word in words]) == 0, words


def _review(number, uid):
    """What a reader said of a sample's region."""
    said = {"verdict": "wrong", "comment": f"of {uid}", "reader": "ann", "drawn": "random", "created": "2026-01-01"}
    return {"review_id": f"{number:032x}", "uid": uid, "kind": "region", "target": f"r-{uid}", **said}


def make(kind, folder):
    """A corpus of a few phantom subjects, with facts, captions, vectors, a curated view and a compiled one."""
    raw, corpus = folder / "raw", folder / "corpus"
    run("phantom", kind, raw, "--n", 2, "--workers", 1)
    if kind == "ct":
        run("convert", "dicom", raw, corpus, *INLINE, "--reports", raw / "reports.csv")
        run("facts", corpus, "--from", "reports", *INLINE)
    elif kind == "he":
        how = ("--mpp", 2, "--patch-px", 128, "--annotations", raw / "annotations", "--reports", raw / "reports.csv")
        run("convert", "wsi", raw / "slides", corpus, *INLINE, *how)
    else:
        run("convert", "geotiff", raw / "scenes", corpus, *INLINE, "--no-previews", "--bands", "B02,B04,B08")
        run("facts", corpus, "--from", "metadata", *INLINE)
    run("caption", "template", corpus, *INLINE) if kind != "he" else None
    rows = Corpus(corpus).table("samples").to_pylist()
    made = [{"uid": r["uid"], "model": "m", "vector": np.full(4, i, np.float16)} for i, r in enumerate(rows)]
    append_rows(corpus, "embeddings", "vectors", made)
    talks = [
        {"dialogue_id": f"talk-{i:06}", "turn": turn, "role": role, "text": f"{role} speaks of picture {i}."}
        | {"uids": [r["uid"], rows[i - i % 2]["uid"]], "kind": "report"}
        for i, r in enumerate(rows)
        for turn, role in enumerate(("user", "assistant"))
    ]  # every other one is of two samples, which may be two subjects'
    append_rows(corpus, "dialogues", "talks", talks)
    append_rows(corpus, "reviews", "sitting", [_review(i, r["uid"]) for i, r in enumerate(rows)])
    curate_corpus(corpus, view="good", where="valid_fraction IS NULL OR valid_fraction >= 0")
    compile_view(Corpus(corpus), "all")
    return corpus


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Corpora by domain, made once."""
    known = {}

    def get(kind):
        if kind not in known:
            known[kind] = make(kind, tmp_path_factory.mktemp(kind))
        return known[kind]

    return get


def copied(corpus, folder):
    target = folder / "corpus"
    shutil.copytree(corpus, target)
    key = corpus.with_name("corpus.sources.parquet")
    if key.exists():
        shutil.copy(key, folder / "corpus.sources.parquet")
    return target


def texts_in(value):
    """All texts and bytes within rows."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts_in(one)
    elif isinstance(value, str | bytes):
        yield value.encode() if isinstance(value, str) else value


def everything(root):
    """All bytes of a corpus and what lies beside it, Parquet unpacked; by the test's own reading."""
    for path in [path for path in root.parent.rglob("*") if path.is_file()]:
        yield path, path.name.encode() + b"\0" + path.read_bytes()
        if path.suffix == ".parquet":
            yield path, b"\0".join(texts_in(pq.read_table(path).to_pylist()))


def traces(corpus, subject):
    """What must not be found: names, texts, hashes, and the pixels themselves."""
    rows = [row for row in Corpus(corpus).table("samples").to_pylist() if row["subject"] == subject]
    uids = {row["uid"] for row in rows}
    captions = [row for row in Corpus(corpus).table("captions").to_pylist() if row["uid"] in uids]
    others = " ".join(row["text"] for row in Corpus(corpus).table("captions").to_pylist() if row["uid"] not in uids)
    names = {subject, *uids, *(row["sha256"] for row in rows if row["sha256"]), *(row["source"] for row in rows)}
    names |= {row["study"] for row in rows if row["study"]} | {row["caption_id"] for row in captions}
    found = {name.encode() for name in names}
    found |= {bytes.fromhex(row["uid"]) for row in rows if row["kind"] != "overview"}  # those of compiled views
    found |= {row["text"].encode() for row in captions if row["text"] not in others}
    talks = [row for row in Corpus(corpus).table("dialogues").to_pylist() if not uids.isdisjoint(row["uids"])]
    found |= {row[column].encode() for row in talks for column in ("dialogue_id", "text")}
    for row in rows:
        if row["shard"]:
            data = (corpus / row["shard"]).read_bytes()[row["offset"] : row["offset"] + row["nbytes"]]
            found.add(data[-200:-100])
    return found


def state(corpus, without=None):
    """Rows of all tables with pixels in place of addresses, and the split of samples; without a subject."""
    opened, told = Corpus(corpus), {}
    samples = opened.table("samples").to_pylist()
    gone = {row["uid"] for row in samples if row["subject"] == without}
    captions = {row["caption_id"] for row in opened.table("captions").to_pylist() if row["uid"] in gone}  # scores too
    for name in TABLES:
        kept = []
        for row in opened.table(name).to_pylist():
            if row.get("uid") in gone | captions or row.get("caption_id") in captions:
                continue
            if (without and row.get("subject") == without) or not gone.isdisjoint(row.get("uids", ())):
                continue
            if name == "samples" and row["shard"]:
                row["pixels"] = hashlib.sha256(bytes(opened.source(row).payload())).hexdigest()
            if name == "regions" and row["mask_shard"]:
                row["pixels"] = opened.mask(row).tobytes()
            kept.append(json.dumps({key: row[key] for key in row if key not in PLACES}, default=str))
        told[name] = sorted(kept)
    return told


@pytest.mark.cases(1)
@pytest.mark.parametrize("kind", ["ct", "he", "sentinel2"])
def test_nothing_of_a_subject_is_left_and_all_else_is_as_it_was(made, kind, tmp_path, capsys):
    corpus = copied(made(kind), tmp_path)
    subject = sorted(Corpus(corpus).table("samples")["subject"].to_pylist())[0]
    wanted, before = traces(corpus, subject), state(corpus, without=subject)
    assert all(any(trace in data for _, data in everything(corpus)) for trace in wanted)
    old = {path.relative_to(corpus): path.stat().st_ino for path in corpus.rglob("*") if path.is_file()}

    forget_subject(corpus, subject=(subject,))

    left = [(str(path), trace) for path, data in everything(corpus) for trace in wanted if trace in data]
    assert left == []
    assert state(corpus) == before
    assert verify(corpus).problems == []
    kept = {path.relative_to(corpus): path.stat().st_ino for path in corpus.rglob("*") if path.is_file()}
    assert kept[Path("corpus.json")] == old[Path("corpus.json")]  # linked, not copied
    said = " ".join(capsys.readouterr().out.split())
    assert "nothing was found" in said
    assert "'views/all' is removed" in said
    assert len(compile_view(Corpus(corpus), "all")) > 0
    assert len(compile_view(Corpus(corpus), "good")) > 0
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_the_original_number_of_a_patient_does_it_too_and_leaves_the_key_map(made, tmp_path):
    corpus = copied(made("ct"), tmp_path)
    number = (made("ct").parent / "raw" / "labels.csv").read_text().splitlines()[1].split(",")[1]
    keys = KeyMap(tmp_path / "corpus.sources.parquet")
    subject = keys.hash("subject", number)
    own = {row["source"] for row in Corpus(corpus).table("samples").to_pylist() if row["subject"] == subject}
    assert own
    assert own <= keys.paths().keys()
    forget_subject(corpus, subject=(number,))
    left = KeyMap(tmp_path / "corpus.sources.parquet")
    assert left.paths().keys() == {source for source, whose in keys.subjects().items() if whose != subject}
    assert own.isdisjoint(left.paths())
    assert left.hash("subject", number) == subject  # the key is the same
    assert subject not in Corpus(corpus).table("samples")["subject"].to_pylist()


def test_the_table_of_subjects_names_a_patient_and_loses_the_row(made, tmp_path):
    corpus, table = copied(made("ct"), tmp_path), tmp_path / "who.parquet"
    subjects = sorted(set(Corpus(corpus).table("samples")["subject"].to_pylist()))
    (tmp_path / "corpus.sources.parquet").unlink()
    who = SubjectTable(table)
    for number, subject in enumerate(subjects):
        who.add(subject, f"patient-{number}")
    who.save()
    forget_subject(corpus, subject=("patient-0",), subject_table=table)
    assert SubjectTable(table).identifier_of(subjects[0]) is None
    assert len(SubjectTable(table)) == len(subjects) - 1
    assert subjects[0] not in Corpus(corpus).table("samples")["subject"].to_pylist()


def test_converted_again_a_forgotten_patient_stays_away(made, tmp_path, capsys):
    corpus, raw = copied(made("ct"), tmp_path), made("ct").parent / "raw"
    subject = Corpus(corpus).table("samples")["subject"].to_pylist()[0]
    forget_subject(corpus, subject=(subject,))
    paths = KeyMap.for_corpus(corpus).paths()
    before = state(corpus)
    run("convert", "dicom", raw, corpus, *INLINE, "--reports", raw / "reports.csv")
    assert state(corpus) == before
    run("convert", "dicom", raw, corpus, *INLINE, "--reports", raw / "reports.csv", "--licence", "other")
    assert state(corpus) == before
    assert "forgotten" in capsys.readouterr().out
    assert KeyMap.for_corpus(corpus).paths() == paths  # no path of its files is written again
    forget_subject(corpus, subject=(subject,))  # what the conversion recorded names nobody
    assert "forgotten before: 1 of the subjects" in capsys.readouterr().out


def test_pictures_and_volumes_of_a_forgotten_patient_leave_no_path_when_converted_again(tmp_path, capsys):
    for name in ("jane", "john"):
        (tmp_path / "nifti" / name).mkdir(parents=True)
        (tmp_path / "pictures").mkdir(exist_ok=True)
        volume = np.random.default_rng(len(name)).integers(-900, 900, (5, 5, 5)).astype(np.int16)
        nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "nifti" / name / "ct.nii.gz")
        (tmp_path / "nifti" / name / "segmentations").mkdir()
        mask = nib.Nifti1Image((volume > 0).astype(np.uint8), np.eye(4))
        nib.save(mask, tmp_path / "nifti" / name / "segmentations" / "liver.nii.gz")
        pixels = np.random.default_rng(ord(name[1])).integers(0, 255, (8, 8), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{name}.png")
    for how in (("nifti", "nifti", "--modality", "CT"), ("image", "pictures", "--deidentify")):
        corpus = tmp_path / f"corpus-{how[0]}"
        convert = ("convert", how[0], tmp_path / how[1], corpus, *how[2:], *INLINE)
        run(*convert)
        keys = KeyMap.for_corpus(corpus)
        forget_subject(corpus, subject=(keys.hash("subject", "jane" if how[0] == "nifti" else "jane.png"),))
        assert not [path for path in KeyMap.for_corpus(corpus).paths().values() if "jane" in path]
        run(*convert)
        run(*convert, "--licence", "other")
        left = KeyMap.for_corpus(corpus).paths().values()
        assert [path for path in left if "john" in path]
        assert not [path for path in left if "jane" in path]


def uid(number):
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def small(folder):
    """Two subjects by hand: pictures of one shard, captions, scores and splits."""
    root = folder / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "part-a")
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 4000, (4, 20, 30)).astype(np.int16)
        subject = ("patient-1", "patient-10")[number % 2]
        row = {"uid": uid(number), "subject": subject, "kind": "volume", "axes": "ZYX", "source": f"{number}.nii"}
        writer.add(Sample(row, pixels, pixels[0].astype(np.uint8)))
        caption = {"caption_id": f"caption-{number}", "uid": row["uid"], "text": f"Words about number {number} alone."}
        request = hashlib.sha256(str(number).encode()).hexdigest()
        writer.add_rows("captions", [caption | {"kind": "rewrite", "request_sha": request}])
        writer.add_rows("scores", [{"uid": f"caption-{number}", "name": "clip", "value": 0.5}])
        writer.add_rows("verdicts", [{"caption_id": f"caption-{number}", "verdict": "supported"}])
        writer.add_rows("splits", [{"scheme": "default", "subject": subject, "split": "train"}])
    writer.publish()
    return root


def test_a_name_within_a_longer_one_is_not_taken_for_it(tmp_path):
    root = small(tmp_path)
    before = state(root, without="patient-1")
    forget_subject(root, subject=("patient-1",))
    assert state(root) == before
    with tarfile.open(root / "shards/part-a.tar") as tar:
        assert [name[:32] for name in tar.getnames()] == [uid(n) for n in (1, 1, 3, 3)]


def test_what_a_file_of_ones_own_holds_is_named_before_anything_changes(tmp_path, capsys):
    root = small(tmp_path)
    old = state(root)
    (root / "notes.txt").write_text(f"see {uid(2)}\n")
    with pytest.raises(CorpusError, match=r"notes\.txt' holds uids of the subject; the corpus is as it was"):
        forget_subject(root, subject=("patient-1",))
    (root / "notes.txt").unlink()
    letters = np.random.default_rng(0).choice(list("abcdefgh"), 4000)
    said = pa.table({"said": ["".join(letters[:2000]) + " of patient-1, a copy " + "".join(letters[2000:])]})
    pq.write_table(said, root / "copy.parquet", compression="zstd", write_statistics=False)
    assert b"patient-1" not in (root / "copy.parquet").read_bytes()  # it is compressed
    with pytest.raises(CorpusError, match=r"copy\.parquet' holds subjects"):
        forget_subject(root, subject=("patient-1",))
    (root / "copy.parquet").write_bytes(b"PAR1 but damaged")
    with pytest.raises(CorpusError, match=r"copy\.parquet' cannot be decompressed, so that nothing could be proven"):
        forget_subject(root, subject=("patient-1",))
    assert state(root) == old
    (root / "copy.parquet").unlink()
    forget_subject(root, subject=("patient-1",))
    assert "nothing was found" in capsys.readouterr().out


def test_a_dry_run_and_an_unknown_subject_change_nothing(tmp_path, capsys):
    root = small(tmp_path)
    old = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    forget_subject(root, subject=("patient-10",), dry_run=True)
    assert "samples 2" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"no subject 'patient-11' is in .*; did you mean 'patient-1'"):
        forget_subject(root, subject=("patient-11",))
    assert {path: path.read_bytes() for path in old} == old
    assert not (root / "forgotten.json").exists()


def test_pixels_that_another_subject_has_too_are_no_trace(tmp_path, capsys):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer, margin = JobWriter(root, "part-a"), np.random.default_rng(7).integers(0, 4000, (30, 40, 40))
    for number, subject in enumerate(("patient-1", "patient-2")):
        pixels = margin.copy()
        pixels[20:] = np.random.default_rng(number).integers(0, 4000, (10, 40, 40))
        row = {"uid": uid(number), "subject": subject, "kind": "volume", "axes": "ZYX", "source": f"{number}.nii"}
        writer.add(Sample(row, pixels.astype(np.int16), None))
        writer.add_rows("splits", [{"scheme": "default", "subject": subject, "split": "train"}])
    writer.publish()
    (own,) = [row for row in Corpus(root).table("samples").to_pylist() if row["subject"] == "patient-1"]
    payload = (root / own["shard"]).read_bytes()[own["offset"] : own["offset"] + own["nbytes"]]
    (root / "copy.bin").write_bytes(payload)
    with pytest.raises(CorpusError, match=r"copy\.bin' holds .*stretches of pixels of the subject"):
        forget_subject(root, subject=("patient-1",))
    (root / "copy.bin").unlink()
    capsys.readouterr()
    forget_subject(root, subject=("patient-1",))
    said = capsys.readouterr().out
    assert "stretches of pixels that samples of others have too are not looked for" in said
    assert re.search(r"stretches of pixels: [12]; nothing was found", said)
    assert Corpus(root).table("samples")["subject"].to_pylist() == ["patient-2"]


def replies_of(folder, keys):
    async def store():
        cache = ReplyCache.open(folder)
        for key in keys:
            sha = hashlib.sha256(key.encode()).hexdigest()
            text = f"Reply about {key}, in words of its own"
            await cache.put(Reply(text=text, tokens_in=1, tokens_out=1, request_sha=sha, **PAID))
        cache.close()

    asyncio.run(store())


def test_replies_of_a_language_model_go_from_every_byte_of_their_cache(tmp_path):
    root, folder = small(tmp_path), tmp_path / "corpus.replies"
    replies_of(folder, ["0", "1", "2", "3", "a refused one"])
    forget_subject(root, subject=("patient-1",))
    cache = ReplyCache.open(folder, read_only=True)
    assert set(cache.keys()) == {hashlib.sha256(key.encode()).hexdigest() for key in ("1", "3")}
    cache.close()
    data = (folder / "data.mdb").read_bytes()
    for key in ("0", "2", "a refused one"):
        assert hashlib.sha256(key.encode()).digest() not in data


def test_old_files_that_the_disk_does_not_remove_are_said_and_go_at_the_next_call(tmp_path, monkeypatch):
    """The command ended well, and a shard with the subject's pixels stayed beside the corpus."""
    root, unlink, refused = small(tmp_path), os.unlink, []

    def refuse_once(path, *args, **kwargs):
        if os.fspath(path).endswith(".tar") and not refused:
            refused.append(path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        unlink(path, *args, **kwargs)

    with monkeypatch.context() as failing:
        failing.setattr(os, "unlink", refuse_once)
        with pytest.raises(CorpusError, match=r"cannot all be removed .*Input/output error.*run the same"):
            forget_subject(root, subject=("patient-1",))
    assert refused
    forget_subject(root, subject=("patient-1",))
    assert not list(root.parent.glob(f".{root.name}.*"))


def killed(action):
    """Run in a process of its own that ends by SIGKILL."""
    child = os.fork()
    if not child:
        try:
            action()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.cases(2)
@pytest.mark.parametrize("moment", ["build", "forget_beside", "exchange", "after", "between"])
def test_killed_at_any_moment_it_is_the_old_corpus_or_the_new_one_and_the_same_command_completes(
    tmp_path, monkeypatch, moment
):
    root = small(tmp_path)
    old, new = state(root), state(root, without="patient-1")

    def half(*args, **kwargs):
        real(*args, **kwargs)
        die()

    def between(new_folder, place):
        place.rename(exchange_module._aside(place))
        die()

    def action():
        nonlocal real
        if moment == "build":
            monkeypatch.setattr("voxtile_datasets.forgetting.rebuilt._done_again", die)
        elif moment == "forget_beside":
            monkeypatch.setattr(command._Forgetting, "_forget_beside", die)
        elif moment == "exchange":
            monkeypatch.setattr(command, "exchange", die)
        elif moment == "after":
            real = command.exchange
            monkeypatch.setattr(command, "exchange", half)
        else:
            monkeypatch.setattr(command, "exchange", between)
        forget_subject(root, subject=("patient-1",))

    from voxtile.corpus.packing import whole_folder as exchange_module

    real = None
    killed(action)
    if moment == "between":
        assert not root.exists()
    else:
        assert state(root) == (new if moment == "after" else old)
    forget_subject(root, subject=("patient-1",))
    assert state(root) == new
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    assert "patient-1" in ForgottenSubjects.of(root)
    for _, data in everything(root):
        assert bytes.fromhex(uid(2)) not in data
