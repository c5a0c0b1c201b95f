"""In a real browser on a slow line: no picture beside another's text, no verdict on what nobody sees."""

import numpy as np
import pytest
from browsing import NEEDED, at_an_address, chromium, say, tab, until
from judging import copied, stored
from serve_corpus import PATCH, SCENE, VOLUME

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = NEEDED
SHOWN = "[...document.querySelectorAll('.judged img')].some(i => i.complete && i.naturalWidth)"


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser):
    with tab(browser) as opened:
        yield opened


@pytest.fixture
def root(served_corpus, tmp_path):
    return copied(served_corpus, tmp_path / "copy")


@pytest.fixture
def address(root):
    from voxtile.corpus.reader import Corpus
    from voxtile.serve.explored import explore
    from voxtile.serve.sample_index import SampleIndex

    corpus = Corpus(root)
    with at_an_address(explore(corpus, SampleIndex(corpus))) as found:
        yield found


def begin(page, address):
    page.goto(f"{address}#/judge")
    page.get_by_label("Reader").fill("ann")
    page.keyboard.press("Enter")
    until(page, SHOWN)


def test_a_caption_waits_for_its_own_picture_and_a_held_key_judges_once(page, address, root):
    begin(page, address)
    first, held = page.locator(".judged img").get_attribute("src"), []
    page.route("**/thumbnail", lambda route: held.append(route))
    for _ in range(12):  # until a caption of another sample comes
        before = page.locator(".caption").inner_text()
        say(page, "r")
        until(page, "text => document.querySelector('.caption').innerText !== text", before)
        if page.locator(".judged img").get_attribute("src") != first:
            break
    assert not page.evaluate(SHOWN), "the picture of the one before is gone"
    given = len(stored(root))
    page.keyboard.press("w")
    assert page.get_by_role("button", name="Wrong").is_disabled()
    held.pop().continue_()
    page.unroute("**/thumbnail")
    until(page, SHOWN)
    page.get_by_role("button", name="Wrong").and_(page.locator(":enabled")).wait_for()
    assert len(stored(root)) == given, "nothing was said of what nobody saw"
    press = "repeat => document.dispatchEvent(new KeyboardEvent('keydown', {key: 'w', repeat}))"
    before = page.locator(".caption").inner_text()
    page.evaluate(press, False)
    until(page, "text => document.querySelector('.caption')?.innerText !== text", before)
    page.evaluate(press, True)
    page.locator(".judged button:enabled").first.wait_for()
    assert len(stored(root)) == given + 1


def test_who_leaves_before_the_page_is_there_judges_nothing_by_keys(page, address, root):
    begin(page, address)
    page.goto(address)
    page.locator(".results li").first.wait_for()
    held = []
    page.route("**/judge/next*", lambda route: held.append(route))
    page.evaluate("location.hash = '#/judge'")
    page.get_by_label("Reader").wait_for()
    page.evaluate("location.hash = '#/'")
    page.locator(".results li").first.wait_for()
    with page.expect_response("**/judge/next*"):
        held[0].continue_()
    until(page, "document.querySelectorAll('.results li').length > 0")
    with page.expect_response("**/api/search"):
        page.keyboard.press("r")
        page.get_by_role("button", name="Find").click()  # the same question again asks again
    assert stored(root) == []


def test_what_has_left_the_corpus_is_said_and_the_next_one_comes(page, address):
    begin(page, address)
    before = page.locator(".caption").inner_text()
    body = '{"error": "this is no longer in the corpus"}'
    page.route("**/judge/verdicts", lambda route: route.fulfill(status=404, body=body))
    page.route("**/judge/next*", lambda route: (page.unroute("**/judge/next*"), route.fulfill(json=NEXT)))
    say(page, "r")
    page.get_by_text("no longer in the corpus").wait_for()
    assert page.locator(".caption").inner_text() == "Another." != before


NEXT = {
    "item": {"kind": "caption", "target": "j9", "uid": VOLUME, "origin": "template", "words": "Another.", "claims": [],
             "region_id": None, "hangs": True},
    "judged": 0,
}  # fmt: skip


def test_every_error_is_shown_not_the_first_alone(page, address):
    for wrong in ("aa", "bb"):
        page.goto(f"{address}#/sample/{wrong}")
        page.get_by_text("no sample of this corpus has this uid").wait_for()
        page.goto(f"{address}#/")
        page.locator(".results li").first.wait_for()


@pytest.mark.parametrize(("uid", "asked"), [(PATCH, "**/picture"), (SCENE, "**/picture*"), (VOLUME, "**/volume.nii")])
def test_an_image_that_does_not_come_says_why(page, address, uid, asked):
    page.route(asked, lambda route: route.fulfill(status=500, json={"error": "the corpus is away"}))
    page.goto(f"{address}#/sample/{uid}")
    page.get_by_text("the corpus is away").wait_for()
    assert page.get_by_text("Unable to open").locator("visible=true").count() == 0


def test_planes_as_pictures_have_the_shape_of_their_millimetres_and_say_their_sides(page, address):
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(f"{address}#/sample/{VOLUME}")
    until(page, "[...document.querySelectorAll('.plane img')].filter(i => i.complete && i.naturalWidth).length === 3")
    sizes = page.evaluate("[...document.querySelectorAll('.plane img')].map(i => i.offsetHeight / i.offsetWidth)")
    z, y, x = np.array([40, 48, 56]) * (3.0, 1.5, 1.5)
    assert sizes == pytest.approx([y / x, z / x, z / y], rel=0.02)
    assert page.locator(".plane span").all_inner_texts() == ["R", "A", "R", "S", "A", "S"]
