"""Text burned into pictures: found, blanked or refused, and kept out of previews."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from voxtile.corpus.reader import Corpus
from voxtile.errors import InputError, MissingExtraError
from voxtile_medical.convert.dicom import convert_dicom

pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
ROOT = "1.2.840.10008.5.1.4.1.1."
CR = {"Modality": "CR", "SOPClassUID": ROOT + "1", "RescaleIntercept": None}
US = {"Modality": "US", "SOPClassUID": ROOT + "6.1", "RescaleIntercept": None}


def written(text, shape=(256, 320), at=(20, 24), size=22):
    """Where the ink of a text is."""
    picture = Image.new("L", shape[::-1], 0)
    ImageDraw.Draw(picture).text(at[::-1], text, fill=255, font=ImageFont.load_default(size))
    return np.array(picture) > 127


def radiograph(noise, ink=None, value=4095):
    """A bright ellipse with noise on black, 12 bits."""
    y, x = np.mgrid[-1:1:256j, -1:1:320j]
    pixels = (2000 * np.clip(1.2 - x**2 - y**2, 0, 1)).astype("uint16") + noise(256, 320, high=60)
    pixels = pixels.astype("uint16")
    if ink is not None:
        pixels[ink] = value
    return pixels


def save(dicom, folder, pixels, name="x", **values):
    folder.mkdir(exist_ok=True)
    dicom.make(pixels, **values).save_as(folder / name, enforce_file_format=True)


@pytest.mark.cases(1)
@pytest.mark.parametrize("value", [4095, 700])  # as bright as can be, and a grey beside others
def test_text_in_a_radiograph_is_blanked_in_payload_and_preview_or_refuses_it(tmp_path, dicom, noise, value):
    ink = written("DOE^JANE 12.03.1951")
    pixels = radiograph(noise, ink, value)
    save(dicom, tmp_path, pixels, BitsStored=12, HighBit=11, **CR)
    converted = dicom.convert(tmp_path, deidentify=True, find_text="blank")
    (sample,) = converted.samples
    assert (sample.payload[ink] == pixels.min()).all()
    outside = np.ones(pixels.shape, bool)
    for top, left, bottom, right in json.loads(sample.row["attributes"])["blanked"]:
        outside[top:bottom, left:right] = False
    np.testing.assert_array_equal(sample.payload[outside], pixels[outside])
    assert outside.mean() > 0.8
    assert sample.row["valid_fraction"] == pytest.approx(outside.mean())
    assert (sample.preview[ink] == 0).all()  # a preview of this size is no smaller than the picture
    assert [part.reason for part in converted.outcomes[0].parts] == ["text-blanked"]
    assert dicom.convert(tmp_path, deidentify=True, find_text="refuse").verdicts == ["burned-in-text"]
    assert dicom.convert(tmp_path, deidentify=True).verdicts == ["used"]


def test_ultrasound_is_converted_where_its_text_is_blanked(tmp_path, dicom, noise):
    ink = written("St. Mary's Hospital  ID 00123456", size=18)
    pixels = np.repeat((noise(256, 320, high=90).astype("uint8"))[..., None], 3, axis=2)
    pixels[ink] = (255, 255, 0)
    save(dicom, tmp_path, pixels, **US)
    assert dicom.convert(tmp_path, deidentify=True).verdicts == ["burned-in-risk"]
    (sample,) = dicom.convert(tmp_path, deidentify=True, find_text="blank").samples
    assert (sample.payload[ink] == 0).all()


def test_pictures_without_text_and_marks_of_side_stay_as_they_are(tmp_path, dicom, noise):
    clean, marked = radiograph(noise), radiograph(noise, written("R", at=(20, 260), size=40))
    save(dicom, tmp_path, clean, "a", BitsStored=12, HighBit=11, **CR)
    save(dicom, tmp_path, marked, "b", BitsStored=12, HighBit=11, **CR)
    for choice in ("blank", "refuse"):
        samples = dicom.convert(tmp_path, deidentify=True, find_text=choice).samples
        np.testing.assert_array_equal(samples[0].payload, clean)
        np.testing.assert_array_equal(samples[1].payload, marked)
        assert json.loads(samples[0].row["attributes"])["blanked"] == []


def test_radiographs_that_were_not_looked_at_are_named(tmp_path, dicom, noise, capsys):
    save(dicom, tmp_path / "scan", radiograph(noise), BitsStored=12, HighBit=11, **CR)
    (outcome,) = dicom.convert(tmp_path / "scan", deidentify=True).outcomes
    (part,) = outcome.parts
    assert (outcome.status, part.uid, part.reason) == ("used", outcome.samples[0].row["uid"], "text-not-looked-for")
    (plain,) = dicom.convert(tmp_path / "scan", deidentify=False).outcomes
    assert plain.parts == ()
    convert_dicom(tmp_path / "scan", tmp_path / "corpus", engine="inline")
    assert "text that is burned into radiographs was not looked for, and stays" in capsys.readouterr().out
    ledger = Corpus(tmp_path / "corpus").ledger().to_pylist()
    assert {(row["reason"], row["status"]) for row in ledger} == {(None, "used"), ("text-not-looked-for", "dropped")}


def test_what_the_header_says_is_burned_in_must_be_found(tmp_path, dicom, noise):
    save(dicom, tmp_path, radiograph(noise), BurnedInAnnotation="YES", BitsStored=12, HighBit=11, **CR)
    assert dicom.convert(tmp_path, deidentify=True, find_text="blank").verdicts == ["burned-in"]


@pytest.mark.parametrize("storage", ["77.1.4", "77.1.1"])
def test_photographs_are_refused_though_text_is_looked_for(tmp_path, dicom, noise, storage):
    values = {"Modality": "XC" if storage == "77.1.4" else "OT", "SOPClassUID": ROOT + storage}
    save(dicom, tmp_path, noise(64, 64, 3, dtype="uint8", high=256), RescaleIntercept=None, **values)
    assert dicom.convert(tmp_path, deidentify=True, find_text="blank").verdicts == ["burned-in-risk"]


@pytest.mark.sweep(ci=True)
def test_a_volume_with_text_in_its_planes_is_refused(tmp_path, dicom, noise):
    ink = written("Smith, John", shape=(128, 160), at=(90, 8), size=20)
    volume = noise(3, 128, 160, high=300)
    dicom.write(tmp_path / "clean", volume, SeriesInstanceUID="1.2.1")
    volume[:, ink] = 2000
    dicom.write(tmp_path / "text", volume, SeriesInstanceUID="1.2.2")
    converted = dicom.convert(tmp_path, deidentify=True, find_text="blank")
    assert converted.verdicts == ["used", "burned-in-text"]


def test_options_that_contradict_each_other_and_a_missing_extra_are_a_sentence(tmp_path, dicom, noise, monkeypatch):
    save(dicom, tmp_path / "in", radiograph(noise), **CR)
    with pytest.raises(InputError, match="give one of them"):
        convert_dicom(tmp_path / "in", tmp_path / "out", allow_burned_in=True, find_text="blank")
    for name in ("min_slices", "film_frames"):
        with pytest.raises(InputError, match=f"--{name.replace('_', '-')} is 0; give 1 or more"):
            convert_dicom(tmp_path / "in", tmp_path / "out", **{name: 0})
    with monkeypatch.context() as patched:
        patched.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match="ocr"):
            convert_dicom(tmp_path / "in", tmp_path / "out", find_text="blank")
