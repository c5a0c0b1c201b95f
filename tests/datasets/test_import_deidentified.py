"""Texts of imports and of pictures lose what identifies where it is asked for, and are left as they are otherwise."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.stages.ingest import deidentifier
from voxtile.stages.ingest.command import import_csv, import_parquet
from voxtile_datasets.converters.image import convert_image

TEXT = "Dear Dr Osei, Kwabena (MRN 8834711, case Q77x41) was seen on 23.09.2017. Nodule of 12 mm, Bosniak IIF."
NAMES = ("Osei", "Kwabena", "8834711", "Q77x41", "23.09.2017")


@pytest.fixture
def folder(tmp_path):
    for name, colour in (("a.png", "teal"), ("b.png", "navy")):
        Image.new("RGB", (16, 16), colour).save(tmp_path / name)
    (tmp_path / "pairs.csv").write_text(f'filepath,title,subject\na.png,"{TEXT}",Q77x41\nb.png,"{TEXT}",Q77x41\n')
    return tmp_path


def texts(corpus):
    return Corpus(corpus).table("captions")["text"].to_pylist()


def test_a_csv(folder):
    for name, asked in (("plain", False), ("hidden", True)):
        import_csv(folder / "pairs.csv", folder / name, deidentify_texts=asked, engine="inline")
    assert texts(folder / "plain") == [TEXT, TEXT]
    hidden = texts(folder / "hidden")
    assert len(hidden) == 2
    assert not [name for name in NAMES for text in hidden if name in text]
    assert all("Nodule of 12 mm, Bosniak IIF." in text for text in hidden)
    configs = [json.loads((folder / n / "manifests" / "0001.json").read_text())["config"] for n in ("plain", "hidden")]
    assert [config.get("deidentify_texts") for config in configs] == [None, True]  # jobs of before keep their ids


def test_a_parquet_whose_pictures_repeat(folder):
    image = (folder / "a.png").read_bytes()
    pq.write_table(pa.table({"image": [image, image], "text": [TEXT, f"Again. {TEXT}"]}), folder / "p.parquet")
    import_parquet(folder / "p.parquet", folder / "corpus", deidentify_texts=True, engine="inline")
    hidden = texts(folder / "corpus")
    assert len(hidden) == 2
    assert not [name for name in (*NAMES[:3], NAMES[4]) for text in hidden if name in text]


@pytest.mark.parametrize("asked", [False, True])
def test_reports_of_pictures(folder, asked):
    (folder / "in").mkdir()
    (folder / "a.png").rename(folder / "in" / "a.png")
    (folder / "reports.csv").write_text(f'file,text\na.png,"{TEXT}"\n')
    (folder / "labels.csv").write_text("file,subject\na.png,Q77x41\n")
    options = {"labels": folder / "labels.csv", "reports": folder / "reports.csv", "deidentify": asked}
    convert_image(folder / "in", folder / "corpus", **options, engine="inline")
    (text,) = texts(folder / "corpus")
    assert (text == TEXT) != asked
    assert bool([name for name in NAMES if name in text]) != asked
    assert "Nodule of 12 mm, Bosniak IIF." in text


def test_without_what_removes_them_the_import_is_refused(folder, monkeypatch):
    deidentifier.installed_deidentifier.cache_clear()
    monkeypatch.setattr(deidentifier, "discover", lambda: ({}, ()))
    with pytest.raises(ConfigError, match="leave --deidentify-texts out"):
        import_csv(folder / "pairs.csv", folder / "corpus", deidentify_texts=True, engine="inline")
    assert not (folder / "corpus").exists()
    deidentifier.installed_deidentifier.cache_clear()
