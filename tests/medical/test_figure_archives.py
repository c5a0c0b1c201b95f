"""`voxtile convert figures`: every figure of packages with every trap, held against what is known of it beforehand."""

from __future__ import annotations

import csv
import gzip
import json
import re
import subprocess
import sys
import tarfile
import unicodedata
import xml.sax
import zipfile
from collections import Counter

import numpy as np
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, InputError, RunFailedError
from voxtile_medical.archives import entries
from voxtile_medical.figures import article_files, packages
from voxtile_medical.figures.command import convert_figures, pictures_of_several_articles
from voxtile_medical.phantom.articles.cases import TRAPS, Case, make_case, packed_tar
from voxtile_medical.phantom.articles.command import write_articles_phantom
from voxtile_medical.phantom.articles.document import NC, Document, fig, graphic

ARTICLES = 7 * len(TRAPS)
INLINE = {"engine": "inline"}
ANYTHING_BUT_LETTERS = re.compile(r"[\W_^]+")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    out = tmp_path_factory.mktemp("articles") / "phantom"
    write_articles_phantom(out, n=ARTICLES, workers=1)
    return out


@pytest.fixture(scope="module")
def corpus(phantom):
    path = phantom.parent / "corpus"
    with pytest.raises(RunFailedError, match="inputs failed"):
        convert_figures(phantom / "packages", path, **INLINE)
    return Corpus(path)


def truth_of(phantom):
    with (phantom / "truth.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def figures_of(corpus):
    """(source, figure) → its row of samples and its captions by kind."""
    captions: dict[str, dict[str, list[str]]] = {}
    for row in corpus.table("captions").to_pylist():
        captions.setdefault(row["uid"], {}).setdefault(row["kind"], []).append(row["text"])
    rows = corpus.table("samples").to_pylist()
    return {(r["source"], json.loads(r["attributes"])["figure"]): (r, captions[r["uid"]]) for r in rows}


def folder(root, name, files):
    for file, data in files.items():
        path = root / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def one_figure(pmcid="PMC42", **about):
    case = Case(0, np.random.default_rng(5))
    shown, data = case.picture()
    body = fig("F1", "Figure 1", f"<p>Here is {shown}.</p>", graphic("f1.jpg"))
    return Document(pmcid, "A title", body, **about).to_xml(), data, f"Here is {shown}."


def test_every_figure_of_every_trap_has_its_sample_or_its_row_with_the_reason(phantom, corpus):
    truth = truth_of(phantom)
    stored = figures_of(corpus)
    ledger = {(r["source"], r["status"], r["reason"]) for r in corpus.ledger().to_pylist() if r["status"] != "used"}
    wanted = {(t["package"], t["figure"]): t for t in truth if t["status"] == "used"}
    assert set(stored) == set(wanted)
    assert {key: texts["raw"] for key, (_, texts) in stored.items()} == {k: [t["caption"]] for k, t in wanted.items()}
    counted = {key: len(texts.get("mention", [])) for key, (_, texts) in stored.items()}
    assert counted == {key: int(t["mentions"]) for key, t in wanted.items()}
    told = {
        (f"{t['package']}#{t['figure']}" if t["figure"] else t["package"], t["status"], t["reason"])
        for t in truth
        if t["status"] != "used"
    }
    # A failed part makes its article failed; every other row is one of the truth.
    assert told <= ledger
    assert ledger - told == set()


def test_the_table_of_rows_used_and_dropped(phantom, corpus):
    reasons = Counter(r["reason"] or r["status"] for r in corpus.ledger().to_pylist() if "#" not in r["source"])
    assert reasons == {
        "used": 17 * 7,
        "retracted": 3 * 7,
        "licence": 3 * 7,
        "no-usable-figure": 2 * 7,
        "no-figure": 7,
        "no-document": 7,
        "superseded": 7,
        "unreadable-archive": 2 * 7,
        "not-xml": 7,
        "entities": 7,
    }


class CaptionText(xml.sax.ContentHandler):
    """A parser that shares nothing with ours: characters of captions, by SAX."""

    def __init__(self):
        super().__init__()
        self.found, self.open, self.key, self.depth = {}, [], None, 0

    def startElement(self, name, attrs):
        self.open.append(name)
        if name == "fig":
            self.key = attrs.get("id")
        if name == "caption":
            self.found.setdefault(self.key, "")

    def endElement(self, name):
        self.open.pop()
        if name == "fig":
            self.key = None

    def characters(self, content):
        if "caption" in self.open and self.key and "tex-math" not in self.open:
            self.found[self.key] += content


def letters(text):
    """Letters and digits alone, exponents as digits: what no way of spacing or marking changes."""
    return ANYTHING_BUT_LETTERS.sub("", unicodedata.normalize("NFKC", text))


def test_captions_equal_those_of_an_independent_parser(phantom, corpus):
    compared = 0
    for (source, key), (_, texts) in figures_of(corpus).items():
        with tarfile.open(phantom / "packages" / source) as tar:
            data = next(tar.extractfile(m).read() for m in tar if m.name.endswith(".nxml"))
        handler = CaptionText()
        xml.sax.parseString(data, handler)
        text = texts["raw"][0]
        if "/" in key or b"<tex-math>" in data:
            continue  # a part of a caption, and formulae, which have tests of their own
        own = letters(handler.found[key])
        assert letters(text).removesuffix(own) in ("", "Twoviews")
        assert own
        compared += 1
    assert compared > 100


def test_samples_carry_article_licence_subject_and_split(corpus):
    row, texts = figures_of(corpus)["PMC9000000.tar.gz", "F1"]
    about = json.loads(row["attributes"])
    assert (row["subject"], row["study"], row["modality"], row["kind"]) == ("PMC9000000", "PMC9000000", "OT", "image")
    assert row["licence"] == "Creative Commons Attribution 4.0"
    assert about["keywords"] == ["shapes", "phantom imaging"]
    assert about["mesh"] == ["Phantoms, Imaging", "Tomography, X-Ray Computed"]
    assert about["doi"] == "10.5555/invented.9000000"
    assert about["title"] == "Invented findings, part 0"
    assert about["citation"] == "J Invent Imaging. 2024; 0:1"
    assert texts["mention"][0].startswith("We saw a ")
    assert "(Fig. 1)" in texts["mention"][0]
    splits = corpus.table("splits").to_pylist()
    assert len({r["subject"] for r in splits}) == len(splits)
    languages = {r["lang"] for r in corpus.table("captions").to_pylist()}
    assert languages == {"en", "ar"}


def test_a_compound_figure_keeps_its_caption_and_names_its_panels(corpus):
    row, texts = figures_of(corpus)["PMC9000003.tar.gz", "F1"]
    about = json.loads(row["attributes"])
    assert [panel["labels"] for panel in about["panels"]] == [["A"], ["B"]]
    assert about["panels"][1]["text"] == "Its histogram."
    assert texts["raw"][0].startswith("Overview. a, The slice")


def test_a_package_is_opened_once_and_never_unpacked(phantom, tmp_path, monkeypatch):
    opened = Counter()
    plain_open = gzip.open
    monkeypatch.setattr(gzip, "open", lambda path: opened.update([path.name]) or plain_open(path))
    monkeypatch.setattr(tarfile.TarFile, "extractall", None)
    monkeypatch.setattr(tarfile.TarFile, "extract", None)
    convert_figures(phantom / "packages" / "PMC9000000.tar.gz", tmp_path / "c", **INLINE)
    assert opened == {"PMC9000000.tar.gz": 1}


def test_the_same_picture_in_several_articles_is_told(phantom, corpus, tmp_path, capsys):
    assert pictures_of_several_articles(phantom.parent / "corpus") == 1
    convert_figures(phantom / "packages" / "PMC9000030.tar.gz", tmp_path / "c", **INLINE)
    convert_figures(phantom / "packages" / "PMC9000061.tar.gz", tmp_path / "c", **INLINE)
    assert "1 pictures stand in more than one article" in capsys.readouterr().out


def test_a_word_that_was_corrected_in_the_midst_of_an_article_is_noticed(tmp_path, capsys):
    data, picture, _ = one_figure()
    filling = b"<!--" + b"x" * 50_000 + b"-->"
    for times, (word, is_told) in enumerate(((b"Here", False), (b"Here", False), (b"Thus", True))):
        document = data.replace(b"Here is", word + b" is").replace(b"<body>", b"<body>" + filling)
        document = document.replace(b"</body>", filling + b"</body>")
        assert len(document) > 100_000
        folder(tmp_path / "in", "PMC42", {"a.nxml": document, "f1.jpg": picture})
        capsys.readouterr()
        convert_figures(tmp_path / "in", tmp_path / "corpus", **INLINE)
        assert ("stored-otherwise" in capsys.readouterr().out) == is_told, times


def test_licences_by_name(tmp_path):
    data, picture, text = one_figure(licence=NC)
    folder(tmp_path / "in", "PMC42", {"a.nxml": data, "f1.jpg": picture})
    convert_figures(tmp_path / "in", tmp_path / "free", **INLINE)
    assert [r["reason"] for r in Corpus(tmp_path / "free").ledger().to_pylist()] == ["licence", "licence"]
    convert_figures(tmp_path / "in", tmp_path / "nc", licence="CC BY-NC", **INLINE)
    row, texts = figures_of(Corpus(tmp_path / "nc"))["PMC42", "F1"]
    assert row["licence"] == "Creative Commons Attribution-NonCommercial 4.0"
    assert texts["raw"] == [text]
    with pytest.raises(ConfigError, match="--licence cc-buy: there is no such licence here"):
        convert_figures(tmp_path / "in", tmp_path / "x", licence="cc-buy", **INLINE)


def test_the_stricter_of_document_and_list_counts(tmp_path):
    data, picture, _ = one_figure()
    folder(tmp_path / "in", "PMC42", {"a.nxml": data, "f1.jpg": picture})
    (tmp_path / "in" / "oa_file_list.csv").write_text("File,Accession ID,License\nx,PMC42,CC BY-NC\n")
    convert_figures(tmp_path / "in", tmp_path / "c", **INLINE)
    assert [r["reason"] for r in Corpus(tmp_path / "c").ledger().to_pylist()] == ["licence", "licence"]
    (tmp_path / "in" / "oa_file_list.csv").write_text("File,Accession,Terms\nx,PMC42,CC BY\n")
    with pytest.raises(InputError, match="no list of files of PubMed Central: it has no column Accession ID"):
        convert_figures(tmp_path / "in", tmp_path / "d", **INLINE)


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz"])
def test_an_archive_of_many_articles_gives_what_their_packages_give(phantom, tmp_path, ending):
    members = {}
    for number in (0, 1, 2):
        with tarfile.open(phantom / "packages" / f"PMC{9_000_000 + number}.tar.gz") as tar:
            members |= {m.name: tar.extractfile(m).read() for m in tar}
    path = tmp_path / f"bulk{ending}"
    members["../outside/a.nxml"] = b"<article/>"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name, data in members.items():
                packed.writestr(name, data)
    else:
        data = packed_tar(members)
        path.write_bytes(data if ending == ".tar.gz" else gzip.decompress(data))
    with pytest.raises(RunFailedError, match="1 of 4 inputs failed"):
        convert_figures(path, tmp_path / "many", **INLINE)
    for number in (0, 1, 2):
        convert_figures(phantom / "packages" / f"PMC{9_000_000 + number}.tar.gz", tmp_path / "each", **INLINE)
    many, each = (Corpus(tmp_path / name) for name in ("many", "each"))
    for table, columns in (("samples", ["uid", "sha256", "subject", "licence"]), ("captions", ["uid", "text", "kind"])):
        rows = [sorted(map(str, c.table(table).select(columns).to_pylist())) for c in (many, each)]
        assert rows[0] == rows[1]
    assert ("bulk" + ending + "/../outside/a.nxml", "unsafe-name") in {
        (r["source"], r["reason"]) for r in many.ledger().to_pylist()
    }


def test_the_folders_of_the_cloud_service_with_their_versions_and_metadata(tmp_path):
    data, picture, text = one_figure(licence="")
    good = json.dumps({"pmcid": "PMC42", "license_code": "CC BY", "is_retracted": False, "citation": "J. 2024"})
    gone = json.dumps({"pmcid": "PMC43", "license_code": "CC BY", "is_retracted": True})
    folder(tmp_path / "in", "PMC42.1", {"PMC42.1.xml": data, "f1.jpg": picture})
    folder(tmp_path / "in", "PMC42.2", {"PMC42.2.xml": data, "f1.jpg": picture, "PMC42.2.json": good.encode()})
    folder(tmp_path / "in", "PMC43.1", {"PMC43.1.xml": data, "f1.jpg": picture, "PMC43.1.json": gone.encode()})
    folder(tmp_path / "in", "PMC44.1", {"f1.jpg": picture})
    convert_figures(tmp_path / "in", tmp_path / "c", **INLINE)
    corpus = Corpus(tmp_path / "c")
    assert {key: texts["raw"] for key, (_, texts) in figures_of(corpus).items()} == {("PMC42.2", "F1"): [text]}
    rows = {(r["source"], r["reason"]) for r in corpus.ledger().to_pylist()}
    assert rows == {
        ("PMC42.1", "superseded"),
        ("PMC42.2", None),
        ("PMC43.1", "retracted"),
        ("PMC43.1#F1", "retracted"),
        ("PMC44.1", "no-document"),
    }


def test_a_later_year_adds_new_articles_and_tells_of_newer_packages(phantom, tmp_path):
    years = tmp_path / "years"
    first = (phantom / "packages" / "PMC9000000.tar.gz").read_bytes()
    folder(years, "2024-01-01", {"PMC9000000.tar.gz": first})
    convert_figures(years, tmp_path / "c", **INLINE)
    before = Corpus(tmp_path / "c").table("samples").num_rows
    second = (phantom / "packages" / "PMC9000001.tar.gz").read_bytes()
    folder(years, "2025-01-01", {"PMC9000000.tar.gz": first, "PMC9000001.tar.gz": second})
    convert_figures(years, tmp_path / "c", **INLINE)
    corpus = Corpus(tmp_path / "c")
    assert corpus.table("samples").num_rows == before + 2
    reasons = {(r["source"], r["reason"]) for r in corpus.ledger().to_pylist()}
    assert ("2025-01-01/PMC9000000.tar.gz", "duplicate-article") in reasons
    convert_figures(years, tmp_path / "c", **INLINE)
    assert Corpus(tmp_path / "c").table("samples").num_rows == before + 2


BIOC = """<?xml version="1.0"?><collection><document><id>42</id><passage><infon key="section_type">TITLE</infon>
<infon key="article-id_pmc">42</infon><infon key="license">CC BY</infon><infon key="kwd">one; two</infon>
<text>A title</text></passage><passage><infon key="section_type">RESULTS</infon><text>It is in Fig. 1. It is not in
Figure 11.</text></passage><passage><infon key="section_type">FIG</infon><infon key="type">fig_caption</infon>
<infon key="id">F1</infon><infon key="file">f1.jpg</infon><text>Here is a disc.</text></passage></document></collection>
"""


@pytest.mark.parametrize("name", ["PMC42.xml", "PMC42.json"])
def test_bioc_beside_its_pictures(tmp_path, name):
    _, picture, _ = one_figure()
    data = BIOC
    if name.endswith(".json"):
        infons = {"section_type": "TITLE", "article-id_pmc": "42", "license": "CC BY", "kwd": "one; two"}
        passages = [
            {"infons": infons, "text": "A title"},
            {"infons": {"section_type": "RESULTS"}, "text": "It is in Fig. 1. It is not in\nFigure 11."},
            {"infons": {"type": "fig_caption", "id": "F1", "file": "f1.jpg"}, "text": "Here is a disc."},
        ]
        data = json.dumps([{"documents": [{"id": "42", "passages": passages}]}])
    folder(tmp_path / "in", "PMC42", {name: data.encode(), "f1.jpg": picture})
    convert_figures(tmp_path / "in", tmp_path / "c", **INLINE)
    row, texts = figures_of(Corpus(tmp_path / "c"))["PMC42", "F1"]
    assert texts == {"raw": ["Here is a disc."], "mention": ["It is in Fig. 1."]}
    assert json.loads(row["attributes"])["keywords"] == ["one", "two"]


def test_bombs_are_refused_while_they_unpack(tmp_path, monkeypatch):
    data, picture, _ = one_figure()
    members = {"PMC42/a.nxml": data, "PMC42/f1.jpg": picture, "PMC42/zeros.jpg": bytes(8 << 20)}
    (tmp_path / "PMC42.tar.gz").write_bytes(packed_tar(members))
    monkeypatch.setattr(entries, "HARMLESS_BYTES", 1 << 20)
    monkeypatch.setattr(entries, "MAX_RATIO", 20)
    with pytest.raises(RunFailedError, match="too-large"):
        convert_figures(tmp_path, tmp_path / "c", **INLINE)
    monkeypatch.undo()
    monkeypatch.setattr(article_files, "_LARGEST_PICTURE", 1 << 20)
    members["PMC42/a.nxml"] = data.replace(b"f1.jpg", b"zeros.jpg")
    (tmp_path / "PMC42.tar.gz").write_bytes(packed_tar(members))
    with pytest.raises(RunFailedError, match="too-large"):
        convert_figures(tmp_path, tmp_path / "d", **INLINE)


def test_a_checksum_that_does_not_fit_is_a_damaged_archive(tmp_path):
    data, picture, _ = one_figure()
    packed = bytearray(packed_tar({"PMC42/a.nxml": data, "PMC42/f1.jpg": picture}))
    packed[-6] ^= 0xFF  # the last bytes hold the CRC-32 of what is packed
    (tmp_path / "PMC42.tar.gz").write_bytes(packed)
    with pytest.raises(RunFailedError, match="unreadable-archive"):
        convert_figures(tmp_path, tmp_path / "c", **INLINE)


def test_sources_that_hold_no_article(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        convert_figures(tmp_path / "none", tmp_path / "c")
    (tmp_path / "words.txt").write_text("words")
    with pytest.raises(InputError, match="neither a folder nor an archive"):
        convert_figures(tmp_path / "words.txt", tmp_path / "c")
    with pytest.raises(InputError, match="holds no article"):
        convert_figures(tmp_path, tmp_path / "c", **INLINE)


def test_the_newest_of_several_packages():
    names = ["PMC7.tar.gz", "2023-01-01/PMC7.tar.gz", "PMC7.2/PMC7.2.xml", "2024-06-01/PMC7.tar.gz"]
    places = [packages.Place(name, name) for name in names]
    assert max(places, key=lambda place: place.age).source == "PMC7.2/PMC7.2.xml"
    assert max(places[:2] + places[3:], key=lambda place: place.age).source == "2024-06-01/PMC7.tar.gz"
    assert {place.pmcid for place in places} == {"PMC7"}


def test_the_phantom_is_the_same_bytes_each_time():
    assert make_case(3, 5, clean=False).packages == make_case(3, 5, clean=False).packages
    assert make_case(3, 5, clean=False).packages != make_case(4, 5, clean=False).packages


def test_by_the_command_with_worker_processes(phantom, tmp_path):
    few = folder(tmp_path, "in", {})
    for number in (0, 1, 6, 24):
        data = (phantom / "packages" / f"PMC{9_000_000 + number}.tar.gz").read_bytes()
        few = folder(tmp_path, "in", {f"PMC{9_000_000 + number}.tar.gz": data})
    command = [sys.executable, "-m", "voxtile.cli.main", "convert", "figures", str(few / "in"), str(tmp_path / "c")]
    done = subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1 of 4 inputs failed" in done.stderr
    assert Corpus(tmp_path / "c").table("samples").num_rows == 4
