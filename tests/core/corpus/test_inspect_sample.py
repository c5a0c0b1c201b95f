"""The page of one sample: what it draws where, what it colours, and what it says of the rest of the study."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.schema import ROLE
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, CorpusError
from voxtile.stages.inspect.command import inspect_corpus
from voxtile.stages.inspect.planes import picture_rows
from voxtile.stages.inspect.sample_page import sample_page
from voxtile.stages.inspect.texts import marked

VOLUME, OTHER, PRIOR, PICTURE = (f"{n:032x}" for n in range(1, 5))
REPORT = "FINDINGS: There is a 12 mm nodule\nin the left lung. No effusion. Possible <old> scar. The spine is normal."


def row(uid, **columns):
    return {"uid": uid, "subject": "p", "study": "s", "kind": "volume", "modality": "CT", "axes": "ZYX", "units": "HU",
            "spacing": [4.0, 2.0, 2.0], "source": "scan", "datetime": "2020-02-01", **columns}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("page") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job")
    values = np.full((10, 20, 30), -1000, np.int16)
    values[2:8, 4:16, 5:25] = 40
    writer.add(Sample(row(VOLUME), values))
    writer.add(Sample(row(OTHER, modality="PT", units="SUVbw"), np.ones((4, 8, 8), np.float32)))
    writer.add(Sample(row(PRIOR, study="earlier", datetime="2019-01-01"), values))
    buffer = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), 200, np.uint8)).save(buffer, "PNG")
    picture = row(PICTURE, subject="q", study=None, kind="patch", modality="SM", axes="YXC", units=None, spacing=None)
    writer.add(Sample(picture, buffer.getvalue()))
    mask = np.zeros((10, 20, 30), bool)
    mask[5, 6:9, 8:14] = True
    region = {"region_id": "r1", "uid": VOLUME, "phrase": "lung nodule", "box": [5.0, 6, 8, 6, 9, 14]}
    writer.add_mask(Mask(region, mask))
    writer.add_rows(
        "regions", [{"region_id": "r2", "uid": PICTURE, "phrase": "tumour", "box": [5.0, 10.0, 25.0, 40.0]}]
    )
    writer.add_rows("facts", [
        fact("lung_nodule", "present", evidence=["There is a 12 mm nodule in the left lung."]),
        fact("effusion", "absent", evidence=["No effusion."]),
        fact("scar", "uncertain", evidence="Possible <old> scar."),
        fact("longest axial diameter", "present", value=12.0, unit="mm", region_id="r1", ends=[[5, 6, 8], [5, 8, 13]]),
        fact(ROLE, "present", role="lung-kernel", aspect="kernel"),
        {**fact(ROLE, "present", role="pet-ac", aspect="correction"), "uid": OTHER},
    ])  # fmt: skip
    writer.add_rows(
        "captions", [{"caption_id": "c", "uid": VOLUME, "text": REPORT, "kind": "raw", "provider": "reports"}]
    )
    writer.add_rows("verdicts", [
        {"caption_id": "c", "verdict": "supported", "detail": "by masks", "checker": "check", "checker_version": "2"}
    ])  # fmt: skip
    writer.add_rows("scopes", [{"uid": VOLUME, "vocabulary": "reports", "closed": False, "concepts": ["scar"]}])
    writer.add_rows("splits", [{"scheme": "default", "subject": "p", "split": "val"}])
    writer.publish()
    return root


def fact(concept, polarity, value=None, unit=None, region_id=None, **attributes):
    return {"uid": VOLUME, "concept": concept, "polarity": polarity, "value": value, "unit": unit,
            "region_id": region_id, "attributes": json.dumps(attributes), "source": "test@1"}  # fmt: skip


def pictures(page):
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int) for data in found]


def test_the_page_of_a_volume(corpus, tmp_path):
    inspect_corpus(corpus, VOLUME, html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for part in (
        "lung-kernel",
        "val",
        "longest axial diameter",
        "12 mm",
        "supported: by masks (check 2)",
        "open: what is",
    ):
        assert part in page, part
    assert "<old>" not in page
    assert re.search(r"longest axial diameter <span[^>]*>of lung nodule</span>", page)
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("<script") == 0
    rest = page[page.index("The rest of the study") :]
    assert OTHER in rest
    assert "PT · volume · pet-ac" in rest
    assert "series role" not in page
    earlier = rest[rest.index("Other studies of the subject") :]
    assert PRIOR in earlier
    assert "2019-01-01" in earlier, "studies are told apart by their day"
    assert PICTURE not in page


def test_planes_are_cut_through_the_finding_and_keep_true_proportions(corpus):
    page = sample_page(Corpus(corpus), VOLUME)
    windows = ("soft tissue, -160 to 240", "lung, -1,350 to 150", "bone, -450 to 1,050")
    assert [row.title for row in page.rows] == [f"lung nodule: {window} HU" for window in windows]
    axial, coronal, _ = page.rows[0].planes
    assert axial.caption == "axial, 6 of 10"
    assert coronal.caption == "coronal, 8 of 20"
    sizes = [Image.open(io.BytesIO(base64.b64decode(p.data.split(",")[1]))).size for p in page.rows[0].planes]
    assert sizes[0][0] / sizes[0][1] == pytest.approx(30 * 2 / (20 * 2), rel=0.02)
    assert sizes[1][0] / sizes[1][1] == pytest.approx(30 * 2 / (10 * 4), rel=0.02)
    assert sizes[2][0] / sizes[2][1] == pytest.approx(20 * 2 / (10 * 4), rel=0.02)
    assert coronal.alt.startswith("coronal")


def test_masks_and_lines_lie_where_the_finding_is(corpus, tmp_path):
    inspect_corpus(corpus, VOLUME, html=tmp_path / "page.html")
    axial = pictures((tmp_path / "page.html").read_text())[0]
    tinted = (axial[..., 0] - axial[..., 2]) > 60  # the outline is orange
    y, x = (np.flatnonzero(tinted.any(axis)) for axis in (1, 0))
    step = axial.shape[1] / 30
    # Patient's right is on the left and front is up, so that both axes of the array run backwards.
    assert x.min() / step == pytest.approx(30 - 14, abs=1)
    assert x.max() / step == pytest.approx(30 - 8, abs=1)
    assert y.min() / step == pytest.approx(20 - 9, abs=1)
    assert y.max() / step == pytest.approx(20 - 6, abs=1)
    inside = axial[round(11.5 * step) : round(13.5 * step), round(16.5 * step) : round(21.5 * step)]
    assert (inside.min(axis=2) > 220).any()  # the measured line is white


def test_sentences_are_coloured_by_what_facts_take_from_them(corpus):
    page = sample_page(Corpus(corpus), VOLUME)
    pieces = page.texts[0].pieces
    assert "".join(piece.text for piece in pieces) == REPORT
    assert [(piece.text, piece.polarity) for piece in pieces if piece.polarity] == [
        ("There is a 12 mm nodule\nin the left lung.", "present"),
        ("No effusion.", "absent"),
        ("Possible <old> scar.", "uncertain"),
    ]
    assert pieces[-1].polarity is None


def test_of_several_facts_of_one_sentence_the_strongest_colours_it():
    facts = [fact("a", "absent", evidence=["Mass, no node."]), fact("b", "present", evidence=["Mass, no node."])]
    pieces = marked("Mass, no node. Mass, no node.", facts)
    assert [p.polarity for p in pieces] == ["present", None, "present"]
    assert pieces[0].concepts == "a absent, b present"
    assert marked("Nothing here.", facts)[0].polarity is None


def test_sentences_of_labelled_lines_and_tables_are_coloured_under_their_label():
    report = "LIVER: Normal. No lesion.\nKIDNEYS\tNo lesion.\nBones: Normal."
    facts = [
        fact("renal_lesion", "uncertain", evidence=["kidneys: No lesion."]),
        fact("fracture", "present", evidence=["bones: Normal."]),
        fact("liver_lesion", "absent", evidence=["liver: Normal.", "liver: No lesion."]),
        fact("cyst", "absent", evidence=["spleen: Normal.", "Other sentence."]),
    ]
    assert [(piece.text, piece.polarity) for piece in marked(report, facts)] == [
        ("LIVER: ", None), ("Normal.", "absent"), (" ", None), ("No lesion.", "absent"),
        ("\nKIDNEYS\t", None), ("No lesion.", "uncertain"), ("\nBones: ", None), ("Normal.", "present"),
    ]  # fmt: skip


def test_a_picture_shows_its_boxes(corpus, tmp_path):
    inspect_corpus(corpus, uid=PICTURE, html=tmp_path / "page.html")
    plain, boxed = pictures((tmp_path / "page.html").read_text())
    assert plain.shape == boxed.shape
    changed = np.abs(plain - boxed).sum(axis=2) > 60
    y, x = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
    scale = plain.shape[1] / 60
    assert (y.min() / scale, y.max() / scale) == pytest.approx((5, 25), abs=0.7)
    assert (x.min() / scale, x.max() / scale) == pytest.approx((10, 40), abs=0.7)


def test_wrong_requests(corpus):
    with pytest.raises(CorpusError, match="no sample has the uid"):
        inspect_corpus(corpus, "f" * 32)
    with pytest.raises(ConfigError, match="2 samples are named"):
        inspect_corpus(corpus, VOLUME, uid=OTHER)


@pytest.mark.parametrize("order", [("red", "green", "blue"), ("blue", "green", "red")])
def test_a_tile_has_the_colours_of_its_bands_by_name(order, tmp_path):
    pytest.importorskip("rasterio", reason="the extra remote-sensing is not installed")
    new_corpus(tmp_path)
    writer = JobWriter(tmp_path, "tile")
    values = np.full((3, 20, 20), 60, np.uint8)
    values[order.index("red"), :5, :5] = 250
    channels = [{"name": name, "unit": "1", "scale": 1.0, "offset": 0.0} for name in order]
    tile = {"kind": "tile", "modality": "RGB", "axes": "CYX", "units": "a.u.", "spacing": None, "channels": channels}
    writer.add(Sample(row(VOLUME, **tile), values))
    writer.publish()
    corpus = Corpus(tmp_path)
    [found] = corpus.table("samples").to_pylist()
    [[plane]] = [one.planes for one in picture_rows(corpus.source({**found, "corpus": 0}), [])]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(plane.data.partition(",")[2]))).convert("RGB")).astype(
        int
    )
    assert plane.caption == "natural colours"
    assert np.abs(pixels[10, 10] - (250, 60, 60)).max() < 12
    assert np.abs(pixels[-10, -10] - (60, 60, 60)).max() < 12
