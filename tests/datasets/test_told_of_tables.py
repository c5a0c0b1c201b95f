"""Errors about a user's table repeat no cell of it: cells are names and texts, and so is the header of a bare table."""

from __future__ import annotations

import pytest
from PIL import Image

from voxtile.corpus.writer import new_corpus
from voxtile.errors import VoxtileError
from voxtile.stages.ingest.command import import_csv
from voxtile_datasets.captions.labels import facts_from_labels
from voxtile_datasets.converters.image import convert_image
from voxtile_datasets.intake.deidentify import PlainNames
from voxtile_datasets.intake.reports_file import read_reports
from voxtile_datasets.intake.splits_file import Splits

NAME = "Xerxes Quintero"
BARE = f"{NAME},Nodule of 3 mm\nJane Roe,Clear\n"
WORDS = ("xerxes", "quintero", "nodule", "jane", "roe", "clear")


def labels(table, folder, **options):
    new_corpus(folder / "corpus")
    return facts_from_labels(folder / "corpus", labels=table, engine="inline", **options)


def pictures(table, folder, **options):
    return convert_image(folder, folder / "corpus", engine="inline", **options)


DOORS = {
    "import csv": (BARE, lambda t, f: import_csv(t, f / "corpus", engine="inline")),
    "import csv, wrong split": (
        f"filepath,title,subject,split\na.png,x,{NAME},{NAME}\n",
        lambda t, f: import_csv(t, f / "corpus", engine="inline"),
    ),
    "labels": (BARE, labels),
    "labels, named column": (f"subject,{NAME}\nJane Roe,1\n", lambda t, f: labels(t, f, columns="Mass")),
    "labels, wrong value": (f"subject,Mass\nJane Roe,{NAME}\n", lambda t, f: labels(t, f, columns="Mass")),
    "labels of pictures": (BARE, lambda t, f: pictures(t, f, labels=t)),
    "labels of pictures, no column": (f"file,{NAME}\na.png,Clear\n", lambda t, f: pictures(t, f, labels=t)),
    "labels of pictures, wrong split": (f"file,split\na.png,{NAME}\n", lambda t, f: pictures(t, f, labels=t)),
    "splits of pictures": (f"subject,split\nJane Roe,{NAME}\n", lambda t, f: pictures(t, f, splits=t)),
    "splits of pictures, two": (
        "subject,split\nJane Roe,train\nJane Roe,test\n",
        lambda t, f: pictures(t, f, splits=t),
    ),
    "reports of pictures": (BARE, lambda t, f: pictures(t, f, reports=t)),
    "reports": (BARE, lambda t, f: read_reports(t)),
    "splits": (BARE, lambda t, f: Splits(PlainNames(), "0.8,0.1,0.1", t)),
    "splits, wrong name": (f"subject,split\nJane Roe,{NAME}\n", lambda t, f: Splits(PlainNames(), "0.8,0.1,0.1", t)),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_cell_is_repeated(tmp_path, door):
    content, opened = DOORS[door]
    table = tmp_path / "table.csv"
    table.write_text(content)
    Image.new("RGB", (8, 8), "teal").save(tmp_path / "a.png")
    with pytest.raises(VoxtileError) as raised:
        opened(table, tmp_path)
    said = str(raised.value).replace(str(tmp_path), "")
    assert [word for word in WORDS if word in said.lower()] == []
    assert "table" in said
    assert "\n" not in said
