"""Outlines that were corrected after their facts were read: what patches keep of the old ones is told."""

import json

import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_pathology.convert.convert import convert_wsi

SIDE = 64


@pytest.fixture
def corpus(slide_writer, slide_texture):
    """A slide of three patches."""
    folder = slide_writer.folder = slide_writer.folder / "slides"
    folder.mkdir()
    slide_writer.svs("a.svs", slide_texture(SIDE * 3, SIDE)[:1], tile=SIDE, mpp=0.5, objective=20)
    options = {"mpp": "native", "patch_px": SIDE, "min_tissue": 0.0, "max_pen": 1.0, "engine": "inline"}
    convert_wsi(folder, folder.parent / "corpus", **options)
    return folder.parent / "corpus"


def facts(corpus, drawn):
    """What is said of `facts --from annotations` of outlines, (class, column) each; and the facts."""
    folder = corpus.parent / "drawn"
    folder.mkdir(exist_ok=True)
    features = [
        {
            "type": "Feature",
            "properties": {"classification": {"name": name}},
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[SIDE * c, 0], [SIDE * (c + 1), 0], [SIDE * (c + 1), SIDE], [SIDE * c, SIDE], [SIDE * c, 0]]
                ],
            },
        }
        for name, c in drawn
    ]
    (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    command = ["facts", str(corpus), "--from", "annotations", "--annotations", str(folder), "--engine", "inline"]
    assert main(command) == 0
    return sorted(row["concept"] for row in Corpus(corpus).table("facts").to_pylist())


@pytest.mark.parametrize("now", [[("lesion", 0)], [("tumour", 1)]], ids=["called otherwise", "drawn elsewhere"])
def test_a_fact_of_an_outline_of_before_is_told(corpus, capsys, now):
    assert facts(corpus, [("tumour", 0)]) == ["tumour"]
    assert "keep facts" not in capsys.readouterr().err
    assert facts(corpus, now) == sorted(["tumour", now[0][0]])
    said = " ".join(capsys.readouterr().err.split())
    assert "patches keep facts of outlines as they were before: tumour (1)" in said
    assert "--stage annotation-facts) and run this command again" in said
    assert main(["retract", str(corpus), "--stage", "annotation-facts"]) == 0
    assert facts(corpus, now) == [now[0][0]]


def test_more_outlines_outdate_nothing(corpus, capsys):
    facts(corpus, [("tumour", 0)])
    facts(corpus, [("tumour", 0), ("stroma", 1)])
    assert "keep facts" not in capsys.readouterr().err
