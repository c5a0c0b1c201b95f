"""`inspect`: numbers against a corpus whose content is written out here, and a page that stands alone."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.engine.commit import write_ledger
from voxtile.errors import CorpusError
from voxtile.stages.inspect.command import inspect_corpus
from voxtile.stages.inspect.formatting import bytes_text, shape_text, share_text
from voxtile.stages.inspect.previews import make_previews
from voxtile.stages.inspect.summary import summarise

EVIL = "<script>alert(1)</script>"


def picture(seed, size=(20, 30), kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(stream, kind)
    return stream.getvalue()


def row(number, **columns):
    base = {"uid": f"{number:032x}", "subject": f"s{number // 2}", "kind": "image", "modality": "RGB", "units": "a.u."}
    return {**base, "source": f"{number}.png", **columns}


@pytest.fixture
def corpus(tmp_path):
    """Six pictures and two volumes of four subjects; facts, scopes, captions, splits and a ledger."""
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "pictures")
    for number in range(6):
        licence = "CC0-1.0" if number < 4 else None
        writer.add(Sample(row(number, licence=licence, study=f"t{number}"), picture(number % 5, (400, 600))))
    for number in (6, 7):
        volume = np.arange(4 * 6 * (8 + number), dtype=np.int16).reshape(4, 6, 8 + number)
        columns = {"kind": "volume", "modality": "CT", "units": "HU", "axes": "ZYX"}
        preview = np.full((6, 8 + number), 100, np.uint8) if number == 6 else None
        writer.add(Sample(row(number, **columns), volume, preview))
    writer.publish()
    uid = [f"{number:032x}" for number in range(8)]
    facts = [
        (0, "cat", "present"),
        (1, "cat", "present"),
        (2, "cat", "absent"),
        (3, "cat", "uncertain"),
        (0, EVIL, "present"),
    ]
    append_rows(
        root, "facts", "f", [{"uid": uid[i], "concept": c, "polarity": p, "source": "r@1"} for i, c, p in facts]
    )
    append_rows(root, "facts", "again", [{"uid": uid[0], "concept": "cat", "polarity": "present", "source": "r@1"}])
    scope = {"vocabulary": "v", "closed": True, "concepts": ["cat", "dog"]}
    append_rows(root, "scopes", "s", [{"uid": uid[i], **scope} for i in (0, 3, 4, 5)])
    texts = [(0, "a cat"), (1, "a cat"), (2, EVIL), (6, "x" * 5000)]
    captions = [
        {"caption_id": f"c{n}", "uid": uid[i], "text": text, "kind": "raw", "provider": "import"}
        for n, (i, text) in enumerate(texts)
    ]
    append_rows(root, "captions", "c", captions)
    splits = {"s0": "train", "s1": "train", "s2": "val", "s3": "test"}
    append_rows(root, "splits", "p", [{"scheme": "default", "subject": s, "split": n} for s, n in splits.items()])
    ledger = [(f"{n}.png", "used", None) for n in range(8)]
    ledger += [
        ("x.png", "failed", "decode-error"),
        ("y.png", "dropped", "duplicate"),
        ("z.png", "dropped", "duplicate"),
    ]
    write_ledger(root, "pictures", [{"source": s, "attempt": 1, "status": t, "reason": r} for s, t, r in ledger])
    return root


def test_the_numbers_are_those_of_the_tables(corpus):
    summary = summarise(Corpus(corpus))
    assert (summary.samples, summary.subjects, summary.studies, summary.uncaptioned) == (8, 4, 6, 4)
    groups = {(g.kind, g.modality, g.units, g.codec): g for g in summary.groups}
    assert groups["image", "RGB", "a.u.", "png"].count == 6
    volumes = groups["volume", "CT", "HU", "b2nd"]
    assert (volumes.count, volumes.subjects, volumes.smallest, volumes.largest) == (2, 1, [4, 6, 14], [4, 6, 15])
    assert [(s.split, s.subjects, s.samples) for s in summary.splits] == [
        ("train", 2, 4),
        ("val", 1, 2),
        ("test", 1, 2),
    ]
    [captions] = summary.captions
    assert (captions.count, captions.samples, captions.different) == (4, 4, 3)
    assert (captions.shortest, captions.longest) == (5, 5000)
    concepts = {c.name: (c.present, c.absent, c.uncertain, c.implied) for c in summary.concepts}
    assert concepts == {"cat": (2, 1, 1, 2), "dog": (0, 0, 0, 4), EVIL: (1, 0, 0, 0)}
    assert {c.name: c.prevalence for c in summary.concepts}["cat"] == pytest.approx(2 / 5)
    assert summary.used == 8
    assert [(r.status, r.reason, r.count) for r in summary.reasons] == [
        ("failed", "decode-error", 1), ("dropped", "duplicate", 2)
    ]  # fmt: skip
    assert dict(summary.licences) == {"CC0-1.0": 4, None: 4}
    assert summary.sizes["shards"] == sum(p.stat().st_size for p in (corpus / "shards").iterdir())


def test_checks_find_leaks_between_splits(corpus):
    # Pictures 0 (train) and 5 (val) are the same bytes under two uids and two subjects.
    problems = [check.sentence for check in summarise(Corpus(corpus)).checks if not check.ok]
    assert len(problems) == 1
    assert problems[0].startswith("1 pictures occur byte for byte in two splits")
    append_rows(corpus, "splits", "q", [{"scheme": "default", "subject": "s0", "split": "test"}])
    assert any("1 subjects are in two splits" in c.sentence for c in summarise(Corpus(corpus)).checks if not c.ok)


PEOPLE_TOLD = "1 subjects have two sexes, or ages that no one has at their dates"


@pytest.mark.cases(5)
@pytest.mark.parametrize(
    ("first", "second", "is_told"),
    [
        (("F", "40-49", "2017-04-27"), ("M", "40-49", "2018-01-01"), True),
        (("F", "40-49", "2017-04-27"), ("F", "60-69", "2019-01-01"), True),
        (("F", "40-49", "2017-04-27"), ("F", "50-59", "2018-01-01"), False),  # 49, and 50 at the next birthday
        (("F", "40-49", "2017-04-27"), ("O", "90+", None), False),
        (("F", "30-39", "2017-04-27"), ("F", "40-49", "2039-01-01"), True),
    ],
)
def test_a_subject_that_no_one_person_can_be_is_told(first, second, is_told, tmp_path, capsys):
    new_corpus(tmp_path)
    writer = JobWriter(tmp_path, "pictures")
    for number, (sex, band, day) in enumerate((first, second)):
        about = {"attributes": json.dumps({"sex": sex, "age_band": band}), "datetime": day}
        writer.add(Sample(row(number, **about), picture(number)))
    writer.publish()
    said = [check.sentence for check in summarise(Corpus(tmp_path)).checks if not check.ok]
    assert any(PEOPLE_TOLD in text for text in said) == is_told


@pytest.mark.parametrize(("study", "is_told"), [("1.2.840.113619.2.55.3", True), ("baseline", False)])
def test_a_study_of_two_subjects_in_two_splits_is_told(corpus, study, is_told):
    """As after a patient was renamed; short names are of each subject's own."""
    writer = JobWriter(corpus, "q")
    for number in (20, 24):
        writer.add(Sample(row(number, study=study), picture(number)))
    writer.publish()
    splits = [{"scheme": "default", "subject": s, "split": n} for s, n in (("s10", "train"), ("s12", "test"))]
    append_rows(corpus, "splits", "r", splits)
    sentences = [check.sentence for check in summarise(Corpus(corpus)).checks if not check.ok]
    assert any(sentence.startswith("1 studies are in two splits") for sentence in sentences) == is_told


def test_terminal_shows_every_table(corpus, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    inspect_corpus(corpus)
    shown = capsys.readouterr().out
    for part in (
        "8 samples",
        "volume",
        "4 × 6 × 14 … 4 × 6 × 15",
        "train",
        "cat",
        "40.0 %",
        "decode-error",
        "not stated",
        "CC0-1.0",
    ):
        assert part in shown, part


def test_one_sample_in_detail(corpus, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    inspect_corpus(corpus, uid=f"{3:032x}")
    shown = capsys.readouterr().out
    for part in ("CC0-1.0", "uncertain", "train", "[400, 600, 3]"):
        assert part in shown
    inspect_corpus(corpus, uid=f"{6:032x}")
    assert "(5,000characters)" in re.sub(r"\s", "", capsys.readouterr().out)
    with pytest.raises(CorpusError, match="no sample has the uid"):
        inspect_corpus(corpus, uid="f" * 32)


def test_page_stands_alone_and_holds_the_pictures(corpus, tmp_path):
    page_path = tmp_path / "new" / "page.html"
    inspect_corpus(corpus, html=page_path)
    page = page_path.read_text()
    assert not re.search(r'(src|href)="(?!data:|#main")', page), "nothing is fetched from elsewhere"
    assert "url(" not in page
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert 'name="viewport"' in page
    pictures = re.findall(r'src="data:image/(?:png|jpeg);base64,([^"]+)"', page)
    assert len(pictures) == 7, "seven samples have a picture, one volume has no preview"
    assert "no preview" in page
    shapes = set()
    for data in pictures:
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            shapes.add(image.size)
    assert shapes == {(384, 256), (14, 6)}
    for part in ("decode-error", "CC0-1.0", "not stated", "40.0 %"):
        assert part in page


def test_page_of_one_sample(corpus, tmp_path):
    inspect_corpus(corpus, uid=f"{6:032x}", html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert f"<h1>{Corpus(corpus).row(f'{6:032x}')['modality']}" in page
    assert page.count("<code>" + f"{6:032x}") == 1


def test_a_damaged_picture_is_shown_as_such(corpus, tmp_path):
    shard = corpus / "shards" / "pictures.tar"
    data = bytearray(shard.read_bytes())
    target = next(r for r in Corpus(corpus).table("samples").to_pylist() if r["uid"] == f"{2:032x}")
    data[target["offset"] + 40 : target["offset"] + 4000] = bytes(3960)
    shard.write_bytes(bytes(data))
    inspect_corpus(corpus, html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<figure") == 8
    assert "damaged" in page


def test_an_empty_corpus_has_a_page_too(tmp_path):
    new_corpus(tmp_path / "corpus")
    inspect_corpus(tmp_path / "corpus", html=tmp_path / "page.html")
    assert "No split yet." in (tmp_path / "page.html").read_text()


def test_what_is_no_corpus_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="is not a corpus"):
        inspect_corpus(tmp_path)


def test_numbers_as_people_read_them():
    assert [bytes_text(n) for n in (0, 999, 1000, 7_639_040, 123_456_789, 2_500_000_000_000)] == [
        "0 B", "999 B", "1.0 kB", "7.6 MB", "123 MB", "2.5 TB"
    ]  # fmt: skip
    assert (share_text(None), share_text(0.125)) == ("–", "12.5 %")
    assert shape_text([4, 5], [4, 5]) == "4 × 5"


@pytest.mark.cases(1)
@pytest.mark.parametrize(("policies", "word"), [([True], "on"), ([True, False], "mixed"), ([False], "off")])
def test_the_page_says_what_de_identification_leaves_in_texts(corpus, tmp_path, policies, word):
    for number, policy in enumerate(policies):
        manifest = {"task": "dicom", "deidentify": policy, "counts": {"samples": 8}, "files": {}}
        (corpus / "manifests").mkdir(exist_ok=True)
        (corpus / f"manifests/{number:04d}.json").write_text(json.dumps(manifest))
    said = summarise(Corpus(corpus)).deidentification
    assert said.startswith(f"{word}: ")
    assert ("by rules, which miss a few" in said) == (True in policies)
    inspect_corpus(corpus, html=tmp_path / "page.html")
    assert said.split("(")[0] in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("policy", [True, False])
def test_a_run_that_brought_no_sample_says_what_it_did_about_identities_too(tmp_path, policy):
    new_corpus(tmp_path)
    manifest = {"task": "dicom", "deidentify": policy, "counts": {"samples": 0, "dropped": 1}, "files": {}}
    (tmp_path / "manifests").mkdir(exist_ok=True)
    (tmp_path / "manifests/0000.json").write_text(json.dumps(manifest))
    assert summarise(Corpus(tmp_path)).deidentification.startswith("on: " if policy else "off: ")


def test_words_of_an_open_vocabulary_that_nobody_states_are_counted_and_not_listed(corpus, capsys):
    uid = f"{0:032x}"
    append_rows(corpus, "scopes", "o", [{"uid": uid, "vocabulary": "w", "closed": False, "concepts": ["wyvern"]}])
    inspect_corpus(corpus, html=corpus / "page.html")
    said = " ".join(capsys.readouterr().out.split())
    assert "1 more concepts were looked for, and no sample states them" in said
    assert "wyvern" not in said + (corpus / "page.html").read_text()


def test_the_caption_under_a_picture_is_its_own_and_no_sentence_that_cites_it(tmp_path):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "part-a")
    uids = [f"{number:032x}" for number in range(6)]
    for number, uid in enumerate(uids):
        row = {"uid": uid, "subject": uid, "kind": "image", "axes": "YX", "source": f"{number}.png"}
        writer.add(Sample(row, np.zeros((4, 4), np.int16), None))
        for kind, text in (("mention", "It is shown in Figure 1."), ("raw", f"Figure of {number}.")):
            name = hashlib.sha256(f"{number}{kind}".encode()).hexdigest()[:32]
            writer.add_rows("captions", [{"caption_id": name, "uid": uid, "text": text, "kind": kind}])
    writer.publish()
    previews = make_previews(Corpus(root), uids)
    assert [preview.text for preview in previews] == [f"Figure of {number}." for number in range(6)]


def test_a_finding_with_a_number_is_present_and_no_measurement(corpus):
    uid = f"{0:032x}"
    told = [
        ("liver_lesion", "reports@9", 21.0, "mm"), ("forest", "landcover@1", 0.8, None),
        ("volume", "measurements/volume@1", 3.0, "ml"),
    ]  # fmt: skip
    rows = [
        {"uid": uid, "concept": c, "polarity": "present", "source": s, "value": v, "unit": u} for c, s, v, u in told
    ]
    append_rows(corpus, "facts", "sizes", rows)
    (preview,) = make_previews(Corpus(corpus), [uid])
    assert {("liver_lesion", "present"), ("forest", "present")} <= set(preview.facts)
    assert list(preview.measured) == ["volume"]
