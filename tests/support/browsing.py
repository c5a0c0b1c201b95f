"""A real Chromium before the pages of `voxtile serve`: what a page complains of, loads from elsewhere, or pops up."""

import re
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from voxtile.serve.front_end import BUILT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(BUILT).parent / "web" / "node_modules" / "axe-core" / "axe.min.js"
NEEDED = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium"),
    pytest.mark.skipif(not (BUILT / "index.html").is_file(), reason="the pages are not built; make serve"),
]
SOFTWARE_WEBGL = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
_LISTEN = """addEventListener('securitypolicyviolation', event =>
    console.error('refused by the policy: ' + event.violatedDirective + ' ' + event.blockedURI))"""
SCRIPTED = "script:not([src]):not([type='application/ld+json']), [onerror], [onload], [onclick], iframe, object, embed"


@contextmanager
def serving(*corpora, options=()):
    """The command itself, at an address of its own."""
    command = [sys.executable, "-P", "-m", "voxtile.cli.main", "serve", *map(str, corpora), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield re.search(r"http://\S+", server.stdout.readline())[0]
        finally:
            server.terminate()


@contextmanager
def at_an_address(explored, pages=None, desk=None, token=""):
    """A server in this process; with the built pages where no other folder is named."""
    import uvicorn

    from voxtile.serve.access import Access
    from voxtile.serve.application import application
    from voxtile.serve.front_end import BUILT

    with socket.create_server(("127.0.0.1", 0)) as listener:
        name = f"127.0.0.1:{listener.getsockname()[1]}"
        app = application(explored, Access(frozenset({name}), token), pages or BUILT, desk)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://{name}/"
        server.should_exit = True
        thread.join(30)


@contextmanager
def chromium():
    """One browser, whose contexts share nothing."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_WEBGL)
        yield opened
        opened.close()


@contextmanager
def tab(browser, width=1280, height=900, scheme="light"):
    """A page in a context of its own, with what it complained of, whom it asked, and what it popped up."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.complaints, page.dialogs, page.hosts = [], [], set()
    page.add_init_script(_LISTEN)
    page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda asked: page.hosts.add(re.match(r"\w+:(//[^/]*)?", asked.url)[0]))
    yield page
    context.close()


def until(page, condition, arg=None):
    """Wait for a condition in the page. Playwright's own way evaluates a text there, which the policy forbids.

    Args:
        page: a tab.
        condition: JavaScript, an expression or a function.
        arg: of the function.
    """
    for _ in range(1200):
        if page.evaluate(condition, arg):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"not within half a minute: {condition}")


def say(page, key):
    """Give a verdict by its key, as soon as the page takes one: before its picture is there, it takes none."""
    page.locator(".judged .controls button:enabled").first.wait_for()
    page.keyboard.press(key)


def serious(page):
    """What axe-core calls serious or worse."""
    if not AXE.is_file():
        return []
    page.evaluate(AXE.read_text())  # by the debugger, which the page's policy does not hold back
    found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html]))")
    return [one for one in found if one[0] in ("serious", "critical")]


def unharmed(page, address):
    """No error, nothing that the page's own policy refused, nothing from elsewhere, and no script of the data."""
    assert page.complaints == []
    assert page.dialogs == []
    assert page.hosts <= {address.rstrip("/"), "data:", "blob:"}, "nothing from elsewhere"
    assert page.title() != "owned"
    assert page.locator(SCRIPTED).count() == 0


def too_wide(page):
    """Pixels by which the page scrolls sideways."""
    return page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - innerWidth")
