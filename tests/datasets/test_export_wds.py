"""`voxtile export-wds`: read by webdataset and by open_clip's own loader; captions by policy; bytes kept; resumable."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from packaging.version import Version
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.records import Sample
from voxtile.corpus.view.selection import CAPTIONS, SAMPLES, write_selection
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile_datasets.webdataset_export import shards as shards_module

PICTURES = 30
TRAIN = 20


def uid(number):
    return f"{number:032x}"


def picture(number):
    """PNG for even numbers, JPEG for odd ones; 32 pixels."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG" if number % 2 else "PNG", quality=90)
    return stream.getvalue()


def add_captions(root, stem, kind, texts, **columns):
    rows = [
        {"caption_id": f"{kind}-{n}", "uid": uid(n), "kind": kind, "text": text, "lang": "en", **columns}
        for n, text in texts
    ]
    append_rows(root, "captions", stem, rows)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """30 pictures and two volumes, one with a preview; raw captions, and rewrites, every third contradicted."""
    root = tmp_path_factory.mktemp("wds") / "corpus"
    new_corpus(root)
    for part in range(3):
        writer = JobWriter(root, f"part-{part}")
        for number in range(part, PICTURES, 3):
            row = {
                "uid": uid(number),
                "subject": f"s{number}",
                "kind": "image",
                "modality": "DX",
                "source": "secret/path",
            }
            writer.add(Sample({**row, "licence": "CC BY 4.0"}, picture(number)))
        writer.publish()
    writer = JobWriter(root, "volumes")
    volume = np.zeros((4, 6, 8), np.int16)
    volume[:, 3:] = 1000
    for number in (30, 31):
        row = {"uid": uid(number), "subject": f"s{number}", "kind": "volume", "modality": "CT", "units": "HU"}
        row |= {"axes": "ZYX", "spacing": [1.0, 1.0, 1.0], "study": "t", "licence": "CC0-1.0"}
        writer.add(Sample(row, volume, np.full((6, 8), 90, np.uint8) if number == 30 else None))
    writer.publish()
    add_captions(root, "raw", "raw", [(n, f"Report {n}.") for n in range(PICTURES)])
    add_captions(root, "ct", "ct", [(n, f"A chest CT, number {n}.") for n in (30, 31)])
    rewrites = [(n, f"Rewritten {n}.") for n in range(PICTURES)]
    add_captions(root, "rewrite", "rewrite", rewrites, provider="local", model="gemma")
    verdicts = [
        {"caption_id": f"rewrite-{n}", "verdict": "supported" if n % 3 else "contradicted", "checker_version": "2"}
        for n in range(PICTURES)
    ]
    append_rows(root, "verdicts", "v", verdicts)
    stale = [{"caption_id": f"rewrite-{n}", "verdict": "supported", "checker_version": "1"} for n in range(PICTURES)]
    append_rows(root, "verdicts", "u", stale)
    splits = [
        {"scheme": "default", "subject": f"s{n}", "split": "train" if n < TRAIN else "val"} for n in range(PICTURES + 2)
    ]
    append_rows(root, "splits", "s", splits)
    facts = [{"uid": uid(n), "concept": "mass", "polarity": "present" if n < 5 else "absent"} for n in range(PICTURES)]
    append_rows(root, "facts", "f", facts)
    return root


def export(corpus, out, *options):
    return main(["export-wds", str(corpus), str(out), *options])


def content(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def records(out, split):
    files = sorted(str(path) for path in (out / split).glob("*.tar"))
    return {record["__key__"]: record for record in webdataset.WebDataset(files, shardshuffle=False)}


@pytest.fixture(scope="module")
def plain(corpus):
    out = corpus.parent / "plain"
    assert export(corpus, out, "--shard-records", "8") == 0
    return out


def test_webdataset_reads_pictures_byte_for_byte_with_captions_and_metadata(plain):
    train = records(plain, "train")
    assert set(train) == {uid(n) for n in range(TRAIN)}
    for number in range(TRAIN):
        record = train[uid(number)]
        assert record["jpg" if number % 2 else "png"] == picture(number)
        about = json.loads(record["json"])
        assert record["txt"].decode() in {f"Report {number}.", f"Rewritten {number}."}
        assert about["caption"]["kind"] == ("raw" if record["txt"].startswith(b"Report") else "rewrite")
        assert about["facts"] == {"present" if number < 5 else "absent": ["mass"]}
        assert (about["licence"], about["picture"]) == ("CC BY 4.0", "as stored")
    assert b"secret/path" not in b"".join(content(plain).values())
    assert len(list((plain / "train").glob("*.tar"))) == 3  # 8 + 8 + 4


def test_contradicted_captions_are_left_out_and_kinds_are_chosen(corpus, plain, tmp_path):
    texts = [record["txt"].decode() for split in ("train", "val") for record in records(plain, split).values()]
    rewritten = {int(text.split()[1][:-1]) for text in texts if text.startswith("Rewritten")}
    assert rewritten
    assert all(number % 3 for number in rewritten)
    assert export(corpus, tmp_path / "kinds", "--kinds", "rewrite", "--split", "train") == 0
    train = records(tmp_path / "kinds", "train")
    assert {record["txt"].decode() for record in train.values()} == {f"Rewritten {n}." for n in range(TRAIN) if n % 3}
    state = json.loads((tmp_path / "kinds/export.json").read_text())
    assert state["finished"].keys() == {"train"}
    assert sum(sum(s["skipped"].values()) for s in state["shards"]) + sum(state["finished"]["train"].values()) == 7
    assert export(corpus, tmp_path / "all", "--kinds", "rewrite", "--split", "train", "--exclude-verdicts", "") == 0
    assert len(records(tmp_path / "all", "train")) == TRAIN


def test_a_curated_view_chooses_samples_and_captions(corpus, tmp_path, capsys):
    shutil.copytree(corpus, tmp_path / "corpus")
    pq.write_table(pa.table({"uid": [uid(n) for n in (1, 2, 4)], "weight": [1.0, 2.0, 1.0]}), tmp_path / SAMPLES)
    pq.write_table(pa.table({"caption_id": ["raw-1", "rewrite-2"]}), tmp_path / CAPTIONS)
    about = {"name": "good", "scheme": "default", "weighted": True, "steps": []}
    write_selection(tmp_path / "corpus/views/good.selection", [tmp_path / SAMPLES, tmp_path / CAPTIONS], about)
    assert export(tmp_path / "corpus", tmp_path / "out", "--view", "good") == 0
    texts = {key: record["txt"] for key, record in records(tmp_path / "out", "train").items()}
    assert texts == {uid(1): b"Report 1.", uid(2): b"Rewritten 2."}
    assert export(tmp_path / "corpus", tmp_path / "no", "--view", "bad") == 2
    assert "there is no curated view 'bad'; there are: good" in capsys.readouterr().err
    assert export(corpus, tmp_path / "no", "--view", "bad") == 2
    assert "no curated view 'bad'; there are: none, make one with voxtile curate" in capsys.readouterr().err


def test_several_captions_of_a_sample_stay_in_one_shard(corpus, tmp_path):
    assert export(corpus, tmp_path / "out", "--per-sample", "0", "--split", "train", "--shard-records", "3") == 0
    held = {}
    for path in sorted((tmp_path / "out/train").glob("*.tar")):
        with tarfile.open(path) as tar:
            for name in tar.getnames():
                held.setdefault(name[:32], set()).add(path.name)
    assert len(held) == TRAIN
    assert all(len(files) == 1 for files in held.values())
    counts = [sum(key.startswith(uid(n)) for key in records(tmp_path / "out", "train")) for n in range(TRAIN)]
    assert counts == [1 if n % 3 == 0 else 2 for n in range(TRAIN)]


def test_arrays_are_shown_by_their_preview_or_by_a_stated_rendering(corpus, tmp_path):
    options = ("--where", "modality = 'CT'", "--kinds", "ct")
    assert export(corpus, tmp_path / "a", *options) == 0
    shown = {key: json.loads(record["json"])["picture"] for key, record in records(tmp_path / "a", "val").items()}
    planes = "middle axial, coronal and sagittal slices"
    assert shown == {uid(30): "stored preview", uid(31): f"{planes}, -1000 to 1000 HU"}
    assert export(corpus, tmp_path / "b", *options, "--picture", "render", "--window=0,2000") == 0
    rendered = records(tmp_path / "b", "val")[uid(30)]
    assert json.loads(rendered["json"])["picture"] == f"{planes}, 0 to 2000 HU"
    pixels = np.array(Image.open(io.BytesIO(rendered["png"])))
    assert pixels[:6, :8].tolist() == [[128] * 8] * 3 + [[0] * 8] * 3  # axial, front at the top; 1,000 HU is half


@pytest.mark.parametrize("workers", [0, 1])
def test_open_clips_own_loader_reads_it(plain, workers):
    data = pytest.importorskip("open_clip_train.data")
    torch = pytest.importorskip("torch")
    if Version(webdataset.__version__) >= Version("0.2.100"):
        pytest.skip(f"open_clip's loader does not work with webdataset {webdataset.__version__}; it does with 0.2.86")
    settings = SimpleNamespace(
        val_data=str(plain / "train/{000000..000002}.tar"), val_num_samples=None, batch_size=6, workers=workers,
        world_size=1, seed=0,
    )  # fmt: skip

    def tokens(text):
        return torch.tensor([[int("".join(filter(str.isdigit, text)))]])

    loader = data.get_wds_dataset(settings, np.asarray, False, tokenizer=tokens).dataloader
    batches = list(loader)
    numbers = [int(number) for _, texts in batches for number in np.asarray(texts).ravel()]
    images = [image for batch, _ in batches for image in np.asarray(batch)]
    assert sorted(numbers) == list(range(TRAIN))
    for number, image in zip(numbers, images, strict=True):
        assert np.array_equal(image, np.array(Image.open(io.BytesIO(picture(number)))))
    assert data.get_dataset_size(settings.val_data) == (TRAIN, 3)  # by sizes.json


def test_the_same_command_gives_the_same_bytes_and_another_seed_another_order(corpus, plain, tmp_path):
    assert export(corpus, tmp_path / "again", "--shard-records", "8") == 0
    assert content(tmp_path / "again") == content(plain)
    before = {path: path.stat().st_mtime_ns for path in plain.rglob("*.tar")}
    assert export(corpus, plain, "--shard-records", "8") == 0  # nothing is left to do
    assert {path: path.stat().st_mtime_ns for path in plain.rglob("*.tar")} == before
    assert export(corpus, tmp_path / "other", "--shard-records", "8", "--seed", "1") == 0
    assert list(records(tmp_path / "other", "train")) != list(records(plain, "train"))
    assert records(tmp_path / "other", "train").keys() == records(plain, "train").keys()


@pytest.mark.parametrize("after", [1, 3])
def test_an_export_that_breaks_off_goes_on_and_gives_the_same_bytes(corpus, plain, tmp_path, monkeypatch, after):
    real, calls = shards_module.file_sha256, []

    def breaking(path):
        calls.append(path)
        if len(calls) > after:
            raise KeyboardInterrupt  # the shard is there and not yet noted
        return real(path)

    monkeypatch.setattr(shards_module, "file_sha256", breaking)
    assert export(corpus, tmp_path / "out", "--shard-records", "8") == 130
    monkeypatch.undo()
    kept = {path: path.stat().st_mtime_ns for path in calls[:after]}
    assert export(corpus, tmp_path / "out", "--shard-records", "8") == 0
    assert content(tmp_path / "out") == content(plain)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_killed_export_goes_on(corpus, plain, tmp_path):
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-P",
        "-m",
        "voxtile.cli.main",
        "export-wds",
        str(corpus),
        str(out),
        "--shard-records",
        "8",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 900
    while not (out / "train/000000.tar").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert export(corpus, out, "--shard-records", "8") == 0
    assert content(out) == content(plain)


def test_an_export_that_was_killed_while_it_wrote_its_settings_leaves_nothing_of_them(corpus, plain, tmp_path):
    out = tmp_path / "out"
    program = f"""
import os, signal
import voxtile.corpus.storage as storage
from voxtile.cli.main import main
real, seen = storage.sync, []
def sync(path):
    if path.name.startswith(".export.json"):
        seen.append(path)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    real(path)
storage.sync = sync
main(["export-wds", {str(corpus)!r}, {str(out)!r}, "--shard-records", "8"])
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode == -9
    assert list(out.glob(".export.json*"))
    assert export(corpus, out, "--shard-records", "8") == 0
    assert content(out) == content(plain)
    assert not list(out.rglob(".*.tmp"))


def test_neither_cards_nor_exports_need_torch():
    code = "import sys, voxtile_datasets.cards.command, voxtile_datasets.webdataset_export.command; "
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'lightning')))"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


def test_a_damaged_sample_costs_itself_and_the_exit_status(corpus, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(corpus, broken)
    shard = broken / "shards/part-2.tar"
    os.truncate(shard, shard.stat().st_size // 2)
    assert export(broken, tmp_path / "out") == 1
    assert "could not be read and are left out" in capsys.readouterr().err
    survivors = {key for split in ("train", "val") for key in records(tmp_path / "out", split)}
    assert 20 < len(survivors) < 32


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--split", "tset"], "no selected sample is in the split 'tset'; there are: train, val"),
        (["--kinds", "poem"], "no caption is of the kind 'poem'; there are: ct, raw, rewrite"),
        (["--kinds", "raw=-1"], "needs weights of zero or more"),
        (["--kinds", "raw=much"], "has no number as its weight"),
        (["--exclude-verdicts", "wrong"], "there is no verdict 'wrong'; there are: supported"),
        (["--where", "modality = 'MR'"], "no sample matches where"),
        (["--where", "uid IN (SELECT content FROM read_text('/etc/hostname'))"], "reads outside the corpus"),
        (["--kinds", "ct", "--split", "train"], "no selected sample has a caption that the policy takes"),
        (["--window=5"], "is not two numbers"),
        (["--per-sample", "-1"], "--per-sample must be 1 or more"),
        (["--shard-mb", "0"], "must be greater than 0"),
    ],
)
def test_bad_settings_are_one_sentence_and_leave_nothing(corpus, tmp_path, capsys, options, complaint):
    assert export(corpus, tmp_path / "out", *options) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_things_is_left_alone(corpus, plain, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("years")
    for out, options, complaint in (
        (tmp_path / "full", [], "exists and holds other files"),
        (tmp_path / "full/thesis.tex", [], "is a file"),
        (corpus / "inside", [], "lie inside each other"),
        (plain, ["--seed", "9"], "holds an export with other settings"),
    ):
        assert export(corpus, out, *options) == 2
        assert complaint in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def small(root, licence, *, captions=True):
    new_corpus(root)
    writer = JobWriter(root, "one")
    writer.add(Sample({"uid": uid(1), "subject": "s", "kind": "image", "licence": licence}, picture(1)))
    writer.add(Sample({"uid": uid(2), "subject": "t", "kind": "image", "licence": None}, picture(2)))
    writer.publish()
    if captions:
        add_captions(root, "c", "raw", [(1, "one"), (2, "two")])
    return root


def test_a_corpus_without_captions_says_how_to_make_some(tmp_path, capsys):
    assert export(small(tmp_path / "corpus", "CC0-1.0", captions=False), tmp_path / "out") == 2
    assert "the corpus has no captions; make some with: voxtile caption" in capsys.readouterr().err


def test_a_licence_without_derivatives_is_refused_by_name_with_a_way_out(tmp_path, capsys):
    root = small(tmp_path / "corpus", "CC BY-NC-ND 4.0")
    assert export(root, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "the licence 'CC BY-NC-ND 4.0' forbids derivatives" in said
    condition = said.split('--where "')[1].split('"')[0]
    assert export(root, tmp_path / "some", "--where", condition) == 0
    assert set(records(tmp_path / "some", "all")) == {uid(2)}  # no split: one folder
    terms = (tmp_path / "some/README.md").read_text()
    assert "No licence is stated for 1 sample: no right to use or to share" in terms
    assert export(root, tmp_path / "private", "--allow-no-derivatives") == 0
    assert "nothing that is made of it may be shared" in (tmp_path / "private/README.md").read_text()
