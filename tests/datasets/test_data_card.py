"""`voxtile card`: what it says against a corpus written out here; Croissant against its public validator and loader."""

import io
import json
import logging
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.engine.manifest import write_manifest
from voxtile.engine.plan import TaskIdentity
from voxtile_datasets.cards.card import About, make_card

EVIL = "</script><script>alert(1)</script>"
SPLIT = {0: "train", 1: "train", 2: "train", 3: "val", 4: "test", 5: "test"}


def uid(number):
    return f"{number:032x}"


def png(seed):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def caption(number, kind, text, **columns):
    return {"caption_id": f"{kind}-{number}", "uid": uid(number), "kind": kind, "text": text, "lang": "en", **columns}


def review(who, number, verdict):
    """What a reader said of a caption."""
    target = {"uid": uid(number), "kind": "caption", "target": f"rewrite-{number}", "drawn": "random"}
    said = {"verdict": verdict, "comment": EVIL, "reader": who, "created": "2026-01-01T00:00:00+00:00"}
    return {"review_id": f"{who}{number}", **target, **said}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Five pictures and a CT volume of six subjects, with captions of three origins, verdicts twice, facts."""
    root = tmp_path_factory.mktemp("card") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "pictures")
    licences = ["CC BY 4.0", "CC BY 4.0", "CC BY-NC 4.0", "CC BY 4.0", None]
    for number, licence in enumerate(licences):
        row = {"uid": uid(number), "subject": f"s{number}", "kind": "image", "modality": "DX", "units": "a.u."}
        writer.add(Sample({**row, "licence": licence}, png(number)))
    volume = {"uid": uid(5), "subject": "s5", "kind": "volume", "modality": "CT", "units": "HU", "axes": "ZYX"}
    writer.add(Sample({**volume, "licence": "CC0-1.0"}, np.zeros((2, 3, 4), np.int16)))
    writer.publish()
    spent = {"provider": "openai", "model": "acme-7b", "tokens_in": 100, "tokens_out": 10, "cost_usd": 0.25}
    rows = [caption(n, "raw", f"Report of patient {n}.") for n in range(5)]
    rows += [caption(n, "template", "A chest radiograph.", provider="template", model="radiology@1") for n in range(5)]
    rows += [caption(n, "rewrite", f"The heart is large {'very ' * n}.", **spent) for n in range(4)]
    append_rows(root, "captions", "c", rows)
    judged = {"rewrite-0": "supported", "rewrite-1": "contradicted", "rewrite-2": "supported"}
    old = [{"caption_id": i, "verdict": "unknown", "checker": "claims", "checker_version": "1.9"} for i in judged]
    new = [{"caption_id": i, "verdict": v, "checker": "claims", "checker_version": "1.10"} for i, v in judged.items()]
    append_rows(root, "verdicts", "v", [*new, *old])
    said = {"Ann Reader": ("right", "wrong", "right", "wrong"), "Bob Reader": ("right", "wrong", "wrong")}
    append_rows(root, "reviews", "w", [review(who, n, v) for who, told in said.items() for n, v in enumerate(told)])
    facts = [
        (0, "cardiomegaly", "present"),
        (1, "cardiomegaly", "absent"),
        (2, "mass", "present"),
        (4, EVIL, "present"),
    ]
    append_rows(
        root, "facts", "f", [{"uid": uid(n), "concept": c, "polarity": p, "source": "r@1"} for n, c, p in facts]
    )
    append_rows(root, "splits", "p", [{"scheme": "default", "subject": f"s{n}", "split": s} for n, s in SPLIT.items()])
    config = {"licence": "CC BY 4.0", "deidentify": True, "min_slices": 3}
    counts = {"inputs": 9, "used": 6, "dropped": 3, "failed": 0, "samples": 6}
    write_manifest(
        root, TaskIdentity("dicom", "2", json.dumps(config)), ["j"], counts=counts,
        reasons={"dropped": {"localizer": 3}, "failed": {}}, files={}, seconds=1.0,
    )  # fmt: skip
    return root


@pytest.fixture(scope="module")
def card(corpus):
    return make_card(Corpus(corpus), About(name="Test"))


@pytest.fixture(scope="module")
def written(corpus):
    out = corpus.parent / "card"
    assert (
        main(["card", str(corpus), str(out), "--name", "Chest films", "--creator", "A; B", "--cite", "@misc{a}"]) == 0
    )
    return out


def test_captions_by_origin_with_price_and_the_newest_verdict(card):
    origins = {origin.kind: origin for origin in card.captions}
    rewrite = origins["rewrite"]
    assert rewrite.label == "rewrite by acme-7b (openai)"
    assert (rewrite.captions, rewrite.samples, rewrite.tokens_in, rewrite.tokens_out) == (4, 4, 400, 40)
    assert rewrite.cost_usd == pytest.approx(1.0)
    assert rewrite.verdicts == {"supported": 2, "contradicted": 1, "unchecked": 1}  # of version 1.10, not of 1.9
    assert (rewrite.opening, rewrite.opening_share) == ("The heart is", 1.0)
    assert (rewrite.shortest, rewrite.longest) == (5, 8)
    assert (origins["template"].captions, origins["template"].different) == (5, 1)
    assert card.verdicts == {"supported": 2, "unsupported": 0, "contradicted": 1, "unknown": 0, "unchecked": 11}


def test_the_licence_of_the_whole(card):
    assert card.licence.headline == "licence partly unknown; non-commercial, attribution"
    assert [(str(licence), count) for licence, count in card.licence.counts] == [
        ("CC BY 4.0", 3),
        ("no licence stated", 1),
        ("CC BY-NC 4.0", 1),
        ("CC0-1.0", 1),
    ]


def test_known_gaps_are_named(card):
    gaps = " ".join(card.gaps)
    for expected in (
        "Without a caption, of their own or of their study: 1 of 6 samples",  # the volume
        "Never checked against facts: 1 of 4 model-written captions",
        "1 of 14 captions (7.1 %)",
        "mass only presence is known",  # presence only
        "terms of these models",
        "The patient's sex is known for 0 of 6 samples",
        "The licence of some samples is not stated",
    ):
        assert expected in gaps
    assert "phantom" not in gaps


def test_identities_and_history(card):
    assert card.deidentification.startswith("On. Names of sources, subjects and studies are keyed hashes")
    assert "A few of these may still be in them" in card.deidentification
    (run,) = card.runs
    assert (run.task, run.version, run.counts["used"], dict(run.settings)) == ("dicom", "2", 6, {"min_slices": "3"})


class Page(HTMLParser):
    """Tags and the JSON-LD of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.scripts, self.sources = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name == "src"]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script":
            self.scripts.append(data)


def test_the_page_stands_alone_and_nothing_in_it_runs(written):
    text = (written / "index.html").read_text()
    page = Page()
    page.feed(text)
    assert page.tags.count("script") == 1  # the JSON-LD
    assert json.loads(page.scripts[0])["name"] == "Chest films"
    assert all(source.startswith("data:") for source in page.sources)
    assert not re.search(r"<link|@import|url\(", text)
    assert "&lt;script&gt;alert(1)" in text
    for said in ("non-commercial", "localizer 3", "acme-7b", "contradicted", "A, B"):
        assert said in text


def test_markdown_has_the_header_of_dataset_hubs(written):
    _, header, body = (written / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(header) == {
        "pretty_name": "Chest films",
        "license": "other",
        "license_name": "licence-partly-unknown-non-commercial-attribution",
        "language": ["en"],
        "size_categories": ["n<1K"],
        "tags": ["voxtile", "webdataset", "croissant", "dx", "ct"],
    }
    assert "| rewrite by acme-7b (openai) | 4 | 4 | 4 |" in body


def test_what_people_said_is_stated_with_intervals_and_without_their_names(card, written):
    """Of four captions one is right, two are wrong, and of one the readers say both; κ by hand."""
    assert (card.reviews.verdicts, card.reviews.readers) == (7, 2)
    [every, origin] = card.reviews.wrong
    assert (every.name, origin.name) == ("all", "rewrite · openai acme-7b")
    assert (every.rate.share, every.rate.judged, every.rate.subjects) == (0.625, 4, 4)
    [pair] = card.reviews.pairs
    assert pair.kappa == pytest.approx((2 / 3 - 4 / 9) / (5 / 9))
    for page in ("README.md", "index.html"):
        text = (written / page).read_text()
        assert "7 verdicts of 2 readers" in text
        assert "62.5 %" in text
        assert f"{100 * every.rate.low:.1f} % to {100 * every.rate.high:.1f} %" in text
        assert "Cohen’s κ 0.40, 1 differ" in re.sub(r"\s+", " ", text)
        assert "Reader" not in text, "who judged is nobody's business"
    assert "| captions | rewrite · openai acme-7b | 62.5 % |" in (written / "README.md").read_text()


def test_the_same_corpus_gives_the_same_card(corpus, written, tmp_path):
    before = {path.name: path.read_bytes() for path in written.iterdir()}
    argv = ["card", str(corpus), str(written), "--name", "Chest films", "--creator", "A; B", "--cite", "@misc{a}"]
    assert main(argv) == 0  # an earlier card is replaced
    assert {path.name: path.read_bytes() for path in written.iterdir()} == before


@pytest.mark.parametrize("inside", [True, False], ids=["in the corpus", "beside it"])
def test_the_public_validator_accepts_it_and_its_loader_reads_it(
    corpus, written, monkeypatch, tmp_path, caplog, inside
):
    import mlcroissant  # late: it takes a second to import

    place = corpus if inside else written
    if inside:
        assert main(["card", str(corpus), str(corpus), "--cite", "@misc{a}"]) == 0
    monkeypatch.setattr("mlcroissant._src.operation_graph.operations.extract.EXTRACT_PATH", cache(tmp_path))
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(jsonld=str(place / "croissant.json"))
    assert caplog.records == []  # neither errors nor warnings, of the validator or about the context
    assert dataset.metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    captions = {record["captions/caption_id"]: record for record in dataset.records("captions")}
    assert len(captions) == 14
    assert captions[b"rewrite-1"]["captions/text"] == b"The heart is large very ."
    assert captions[b"rewrite-1"]["captions/cost_usd"] == 0.25
    samples = {record["samples/uid"]: record for record in dataset.records("samples")}
    assert samples[uid(5).encode()]["samples/shape"] == [2, 3, 4]
    assert {r["splits/subject"].decode(): r["splits/split"].decode() for r in dataset.records("splits")} == {
        f"s{n}": split for n, split in SPLIT.items()
    }
    pictures = {
        record["png-images/uid"].decode(): record["png-images/image"] for record in dataset.records("png-images")
    }
    assert set(pictures) == {uid(n) for n in range(5)}
    stored = np.array(Image.open(io.BytesIO(png(3))))
    assert np.array_equal(np.array(pictures[uid(3)]), stored)


def cache(tmp_path):
    from etils import epath

    return epath.Path(tmp_path / "extracted")


def test_croissant_says_what_may_be_done_and_by_whom_it_was_made(written):
    described = json.loads((written / "croissant.json").read_text())
    assert described["license"] == [
        "https://creativecommons.org/licenses/by/4.0/",
        "no licence stated",
        "https://creativecommons.org/licenses/by-nc/4.0/",
        "https://creativecommons.org/publicdomain/zero/1.0/",
    ]
    assert [term["termCode"] for term in described["usageInfo"]] == ["DUO_0000046"]
    assert described["prov:wasGeneratedBy"][0]["prov:label"] == "dicom 2"
    assert described["rai:machineAnnotationTools"] == ["acme-7b"]
    (shard,) = [part for part in described["distribution"] if part["encodingFormat"] == "application/x-tar"]
    assert re.fullmatch("[0-9a-f]{64}", shard["sha256"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["{full}"], "exists and holds other files; name a new one, or --overwrite"),
        (["{file}"], "is a file; name a folder"),
        (["{new}", "--published", "yesterday"], "is no date; write it as 2026-01-31"),
        (["{new}", "--name", "a/b"], "the name 'a/b' cannot be used; name the data set with --name"),
        (["{new}", "--examples", "-1"], "must be 0 or more"),
    ],
)
def test_bad_input_is_one_sentence(corpus, tmp_path, capsys, arguments, complaint):
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("")
    places = {"full": full, "file": tmp_path / "file", "new": tmp_path / "new"}
    assert main(["card", str(corpus), *(argument.format(**places) for argument in arguments)]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert [path.name for path in full.iterdir()] == ["thesis.tex"]


def test_a_name_with_accents_apart_is_a_name(corpus, tmp_path):
    """As folders of macOS have it."""
    assert main(["card", str(corpus), str(tmp_path / "out"), "--name", "Gro\u0308\u00dfe", "--examples", "0"]) == 0
    assert json.loads((tmp_path / "out/croissant.json").read_text())["name"] == "Gr\u00f6\u00dfe"


def guarded(root, licence):
    new_corpus(root)
    writer = JobWriter(root, "one")
    writer.add(Sample({"uid": "a", "subject": "s", "kind": "image", "modality": "DX", "licence": licence}, png(1)))
    writer.publish()
    append_rows(root, "captions", "c", [{"caption_id": "c", "uid": "a", "text": "SECRET REPORT", "kind": "raw"}])
    return root


def test_texts_under_credentials_are_not_shown(tmp_path):
    root = guarded(tmp_path / "corpus", "PhysioNet Credentialed Health Data License 1.5.0")
    assert main(["card", str(root), str(tmp_path / "card")]) == 0
    page = (tmp_path / "card/index.html").read_text()
    assert "SECRET REPORT" not in page + (tmp_path / "card/README.md").read_text()
    assert "Examples are not shown" in page
    assert "is open only to people who have signed for it" in page


def test_pictures_are_refused_where_derivatives_are(tmp_path, capsys):
    root = guarded(tmp_path / "corpus", "CC BY-ND 4.0")
    assert main(["card", str(root), str(tmp_path / "card"), "--previews", "1"]) == 2
    assert "the licence 'CC BY-ND 4.0' forbids derivatives" in capsys.readouterr().err
    assert not (tmp_path / "card").exists()
    assert main(["card", str(root), str(tmp_path / "card")]) == 0
    assert "data:image" not in (tmp_path / "card/index.html").read_text()
