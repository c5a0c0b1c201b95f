"""In a real browser: a chat about a sample by keys alone, answers as they are written, and markup that stays text."""

from contextlib import ExitStack

import pytest
from browsing import NEEDED, at_an_address, chromium, serious, tab, too_wide, unharmed, until
from serve_corpus import PATCH, SCRIPT, VOLUME

pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
from voxtile.assist.speaking.replies import WARNING

pytestmark = NEEDED
BROKEN = """() => {
    const fetched = fetch;
    window.fetch = (...given) => {
        window.fetch = fetched;
        return Promise.resolve(new Response('data: {"error": {"message": "Busy."}}\\n\\n'));
    };
}"""


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), pytest.param(390, "dark", marks=pytest.mark.sweep(ci=True))]
)
def test_a_chat_about_a_sample(explored, desk, monkeypatch, width, scheme):
    answering = desk.assistant.answering
    said = answering.text_of
    monkeypatch.setattr(answering, "text_of", lambda tokens: f"{said(tokens)} {SCRIPT}")
    monkeypatch.setattr("voxtile.serve.assisting.desk.both_ways", lambda before, now: (f"Contradicted. {SCRIPT}",))
    with ExitStack() as stack:
        address, browser = stack.enter_context(at_an_address(explored, desk=desk)), stack.enter_context(chromium())
        page = stack.enter_context(tab(browser, width=width, scheme=scheme))
        page.goto(f"{address}#/sample/{PATCH}")
        chat = page.locator("#chat")
        chat.get_by_text(WARNING).wait_for()
        chat.get_by_label("Question").focus()
        page.keyboard.type(f"How large? {SCRIPT[:60]}")
        page.keyboard.press("Enter")
        chat.get_by_text("confidence").first.wait_for()
        until(page, "document.activeElement.name === 'question'")
        page.keyboard.press("Tab")  # to Ask
        page.keyboard.press("Tab")  # to the report's own question
        page.keyboard.press("Enter")
        chat.locator("article").nth(1).get_by_text("confidence").wait_for()
        assert chat.locator("meter").count() >= 2
        assert chat.get_by_role("note").all_inner_texts() == [f"Contradicted. {SCRIPT}"] * 2
        assert "<script>" in chat.inner_text()
        assert serious(page) == []
        assert too_wide(page) <= 0
        unharmed(page, address)
        page.evaluate(BROKEN)
        chat.get_by_label("Question").fill("Again?")
        page.keyboard.press("Enter")
        chat.get_by_text("Busy.").wait_for()
        assert chat.locator("article").count() == 2, "a question without an answer is no turn"
        chat.get_by_role("button", name="Begin anew").click()
        assert chat.locator("article").count() == 0
        page.goto(f"{address}#/sample/{VOLUME}")  # which the model does not take
        page.locator("#chat").get_by_role("button", name="List the findings.").click()
        page.locator("#chat").get_by_text("this model reads pictures, but this is a volume").wait_for()
