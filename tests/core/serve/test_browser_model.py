"""In a real browser: phrases over images of all kinds, classes, reports and their cases, slides, what was dropped."""

import io
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
from browsing import NEEDED, at_an_address, chromium, serious, tab, too_wide, unharmed
from PIL import Image
from serve_corpus import PATCH, SCENE, VOLUME
from serve_report import write_report
from toy_models import COLOUR, CT, INFRARED, Bright, tiny

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytest.importorskip("tifffile", reason="the extra pathology is not installed")
from slide_corpus import UIDS, write_slide_corpus
from tests.core.serve.test_deep_zoom import with_vectors

pytestmark = [*NEEDED, pytest.mark.sweep(ci=True)]  # the suite has test_browser.py


@pytest.fixture(scope="module")
def addresses(explored, tmp_path_factory):
    """Of the planted corpus with a model for each kind, and of slides."""
    from voxtile.serve.model_maps.phrase_map import PhraseMaps
    from voxtile.serve.reports.report import open_reports

    root = tmp_path_factory.mktemp("browsed")
    (root / "report").mkdir()
    write_report(root / "report")
    write_slide_corpus(root)
    models = {"ct": Bright(CT), "scene": Bright(INFRARED), "patch": tiny(COLOUR)}
    served = {name: replace(explored, maps=PhraseMaps(model)) for name, model in models.items()}
    served["ct"] = replace(served["ct"], reports=open_reports([root / "report"]))
    served["slides"] = with_vectors(root, tmp_path_factory.mktemp("vectors"))
    with ExitStack() as stack:
        yield {name: stack.enter_context(at_an_address(one)) for name, one in served.items()}


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def ask_phrase(page, address, uid, phrase="gland"):
    page.goto(f"{address}#/sample/{uid}")
    page.get_by_label("Phrase").wait_for()
    page.get_by_label("Phrase").focus()
    page.keyboard.type(phrase)
    page.keyboard.press("Enter")
    page.get_by_text("Believed to be").wait_for()
    page.locator("#phrase select").nth(1).select_option("mask")
    page.get_by_text("if believed from").wait_for()


def until(page, condition):
    """Look again and again, a frame apart."""
    for _ in range(300):
        if condition():
            return True
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => done(true)))")
    return False


def colours(page, selector):
    """How many colours a picture of an element has."""
    pixels = np.asarray(Image.open(io.BytesIO(page.locator(selector).first.screenshot())).convert("RGB"))
    return len(np.unique(pixels.reshape(-1, 3), axis=0))


def reddish(page, selector):
    """Pixels of an element's picture that are far more red than green: where a mask is, since the volume is grey."""
    pixels = np.asarray(Image.open(io.BytesIO(page.locator(selector).first.screenshot())).convert("RGB")).astype(int)
    return int((pixels[..., 0] - pixels[..., 1] > 60).sum())


def test_a_phrase_over_a_volume_by_niivue_and_its_mask_to_take_away(browser, addresses):
    with tab(browser) as page:
        page.goto(f"{addresses['ct']}#/sample/{VOLUME}")
        page.get_by_label("View").wait_for()
        page.get_by_label("regions").uncheck()
        before = reddish(page, ".canvas")
        ask_phrase(page, addresses["ct"], VOLUME)
        assert until(page, lambda: reddish(page, ".canvas") > before + 1000), "the mask is seen"
        assert serious(page) == []
        with page.expect_download() as kept:
            page.locator("#phrase").get_by_role("link", name="NIfTI").click()
        assert kept.value.suggested_filename == f"{VOLUME[:12]}-gland.zip"
        page.get_by_role("button", name="Take away").click()
        assert until(page, lambda: reddish(page, ".canvas") < before + 500)
        page.get_by_label("Over it").select_option("0")
        page.get_by_role("spinbutton", name="from").wait_for()
        unharmed(page, addresses["ct"])


def test_a_map_that_comes_after_its_page_was_left_is_not_drawn(browser, addresses):
    held = []
    with tab(browser) as page:
        page.goto(f"{addresses['ct']}#/sample/{VOLUME}")
        page.get_by_label("View").wait_for()
        page.route("**/phrase/map.nii*", lambda route: held.append(route))
        ask_phrase(page, addresses["ct"], VOLUME)
        assert until(page, lambda: held)
        page.goto(f"{addresses['ct']}#/judge")
        page.get_by_label("Reader").wait_for()
        with page.expect_response("**/phrase/map.nii*"):
            held[-1].continue_()
        page.wait_for_timeout(500)  # what is drawn on a canvas that is gone complains within a frame or two
        assert page.complaints == []


def test_a_phrase_without_webgl_is_shown_in_the_planes(browser, addresses):
    with tab(browser, width=390, scheme="dark") as page:
        page.add_init_script(
            "const get = HTMLCanvasElement.prototype.getContext;"
            "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
            " return kind.startsWith('webgl') ? null : get.call(this, kind, ...rest); }"
        )
        ask_phrase(page, addresses["ct"], VOLUME)
        page.wait_for_function(
            "() => [...document.querySelectorAll('.plane img')].every(i => i.complete && i.naturalWidth"
            " && i.src.includes('phrase/planes') && i.src.includes('threshold'))"
        )
        page.get_by_label("Over it").select_option("0")
        page.get_by_label("Image").get_by_role("spinbutton", name="from").wait_for()
        page.wait_for_function(
            "() => [...document.querySelectorAll('.plane img')].every(i => i.complete && i.naturalWidth"
            " && i.src.includes('over=') && i.src.includes('phrase/planes'))"
        )
        page.get_by_label("if believed from").fill("1")
        page.keyboard.press("Tab")
        page.locator("#phrase select").nth(1).select_option("map")
        page.get_by_text("Believed to be absent").wait_for()
        page.get_by_text("There is no mask to save").wait_for()
        assert page.locator("#phrase").get_by_role("link").count() == 0
        assert too_wide(page) <= 0
        assert serious(page) == []


@pytest.mark.parametrize(("name", "uid"), [("patch", PATCH), ("scene", SCENE)])
def test_a_phrase_over_a_picture(browser, addresses, name, uid):
    with tab(browser, width=390) as page:
        ask_phrase(page, addresses[name], uid)
        page.wait_for_function(
            "() => (i => i && i.complete && i.naturalWidth && i.src.includes('threshold'))"
            "(document.querySelector('img.laid'))"
        )
        if name == "patch":
            page.get_by_label("Classes").fill("gland: a gland | glands\nnone: no gland")
            page.get_by_role("button", name="Score").click()
            page.locator("meter").nth(1).wait_for()
        assert too_wide(page) <= 0
        assert serious(page) == []
        page.get_by_label("Phrase").fill("x" * 500)
        page.get_by_label("Shown by").select_option("gradcam" if name == "patch" else "auto")
        unharmed(page, addresses[name])


def test_from_a_figure_to_its_cases_and_what_was_dropped(browser, addresses):
    with tab(browser, width=390, scheme="dark") as page:
        page.goto(f"{addresses['ct']}#/reports")
        page.get_by_role("link", name="false positives").first.click()
        page.get_by_text("3 cases.").wait_for()
        page.get_by_text("not in this corpus").wait_for()
        assert serious(page) == []
        assert too_wide(page) <= 0
        page.get_by_label("Cases").select_option("disagreements")
        page.get_by_text("theirs:").first.wait_for()
        page.locator(".results a.picture").first.click()
        page.locator(".look").wait_for()
        for name, said in (("Dropped", "Nothing was dropped."), ("Map", "has a place on the ground")):
            page.get_by_role("link", name=name, exact=True).click()
            page.get_by_text(said).wait_for()
            assert serious(page) == []
        unharmed(page, addresses["ct"])


def test_from_a_patch_to_its_slide(browser, addresses):
    with tab(browser) as page:
        page.goto(f"{addresses['slides']}#/sample/{UIDS[2]}")
        page.get_by_role("link", name="On its slide").click()
        page.locator(".outline.own").wait_for()
        page.get_by_label("patches").check()
        assert until(page, lambda: page.locator(".outline.patch:visible").count() == len(UIDS) + 1)
        page.get_by_role("button", name="This patch").click()

        assert until(page, lambda: colours(page, ".canvas") > 200), "the slide is seen"
        page.get_by_label("Phrase").fill("tissue")
        page.keyboard.press("Enter")
        page.locator("img.laid").wait_for()
        page.get_by_text("1 of 5 patches have no vector").wait_for()
        assert until(page, lambda: page.evaluate("document.querySelector('img.laid').naturalWidth") == 1024)
        assert serious(page) == []
        unharmed(page, addresses["slides"])
