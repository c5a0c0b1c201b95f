"""In a real browser: search by an image of one's own, by a part that is drawn or typed, and neighbours of a sample."""

import pytest
from browsing import NEEDED, chromium, serious, serving, tab, too_wide, unharmed
from tests.core.serve.conftest import PICTURES, as_png, picture

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = [*NEEDED, pytest.mark.sweep(ci=True)]  # the suite has test_browser.py
THIRD = f"{3:032x}"


@pytest.fixture(scope="module")
def address(pictured):
    with serving(*pictured.roots, options=("--model", pictured.model_spec)) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.mark.parametrize("width", [390, 1280])
def test_by_an_image_by_a_part_and_by_neighbours(browser, address, width):
    with tab(browser, width=width) as page:
        page.goto(address)
        page.get_by_label("or an image").set_input_files(
            {"name": "mine.png", "mimeType": "image/png", "buffer": as_png(picture(3))}
        )
        page.get_by_text("like an image").wait_for()
        first = page.locator(".results .card").first
        first.get_by_text("cosine 1.000").wait_for()
        assert first.locator("a").get_attribute("href").endswith(THIRD)
        assert serious(page) == []
        page.get_by_label("or an image").set_input_files(
            [{"name": f"{n}.txt", "mimeType": "text/plain", "buffer": b"no slice"} for n in range(2)]
        )
        page.get_by_role("alert").wait_for()
        assert "neither DICOM" in page.get_by_role("alert").inner_text(), "several files went as one archive"
        page.get_by_label("or an image").set_input_files(
            {"name": "bad.png", "mimeType": "image/png", "buffer": b"<script>"}
        )
        page.get_by_role("alert").filter(has_text="cannot be read").wait_for()
        page.complaints.clear()  # the browser tells of the refusal itself
        first.locator("a").click()
        page.locator("#alike .strip a").nth(PICTURES - 2).wait_for()  # duplicates or neighbours to this model
        assert page.locator("#alike .strip a").count() == PICTURES - 1
        assert serious(page) == []
        page.get_by_role("link", name="similar to a part").click()
        picture_of = page.get_by_alt_text("the sample")
        picture_of.wait_for()
        assert serious(page) == []
        assert too_wide(page) <= 0
        _drawn(page, picture_of)
        page.get_by_text("like a part of").wait_for()
        page.locator(".results li").nth(PICTURES - 1).wait_for()
        assert "box=12%2C16%2C36%2C48" in page.url, "a quarter from each edge of 48 × 64 pixels"
        unharmed(page, address)


def _drawn(page, picture_of):
    """By the pointer, and by the keyboard alone."""
    page.wait_for_function("document.querySelector('.drawn img').naturalWidth > 0")
    edges = picture_of.bounding_box()
    at = [(edges["x"] + s * edges["width"], edges["y"] + s * edges["height"]) for s in (0.25, 0.75)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1])
    page.mouse.up()
    sides = ("left", "top", "right", "bottom")
    typed = [page.get_by_label(side, exact=True).input_value() for side in sides]
    assert typed == ["16", "12", "48", "36"]
    page.get_by_label("left", exact=True).fill("20")
    page.keyboard.press("Tab")
    page.get_by_label("left", exact=True).fill("16")
    page.keyboard.press("Enter")
