"""In a real browser: find, then look, with a script planted in every text; skipped where there is no chromium."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from serve_corpus import PATCH, SCENE, VOLUME, write_served_corpus

from voxtile.serve.front_end import BUILT

pytest.importorskip("fastapi", reason="the extra serve is not installed")
sync_playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser").sync_playwright
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium"),
    pytest.mark.skipif(not (BUILT / "index.html").is_file(), reason="the pages are not built; make serve"),
]
SOFTWARE_WEBGL = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
AXE = Path(BUILT).parent / "web" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def served_corpus(tmp_path_factory):
    """One of its own: verdicts are written to it."""
    root = tmp_path_factory.mktemp("judged") / "corpus"
    write_served_corpus(root)
    return root


@pytest.fixture(scope="module")
def address(served_corpus):
    command = [sys.executable, "-P", "-m", "voxtile.cli.main", "serve", str(served_corpus), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield re.search(r"http://\S+", server.stdout.readline())[0]
        server.terminate()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_WEBGL)
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.complaints = []
    page.hosts = set()
    page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda asked: page.hosts.add(re.match(r"\w+:(//[^/]*)?", asked.url)[0]))
    yield page
    context.close()


def serious(page):
    """What axe-core calls serious or worse."""
    if not AXE.is_file():
        return []
    page.evaluate(AXE.read_text())  # by the debugger, which the page's policy does not hold back
    found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html]))")
    return [one for one in found if one[0] in ("serious", "critical")]


def unharmed(page, address):
    assert page.complaints == [], "no error, and nothing that the page's own policy refused"
    assert page.hosts <= {address.rstrip("/"), "data:", "blob:"}, "nothing from elsewhere"
    assert page.title() != "owned"
    assert page.locator("script:not([src])").count() == 0


def test_find_then_look_by_keyboard_alone(page, address):
    page.goto(address)
    page.locator(".results li").nth(3).wait_for()
    page.keyboard.press("/")
    page.keyboard.type("nodule")
    page.keyboard.press("Enter")
    page.get_by_text("1 sample,").wait_for()
    assert page.locator(".results li").count() == 1
    assert "<script>" in page.locator(".results .fact").all_inner_texts()[0] + page.locator(".text").inner_text()
    assert serious(page) == []
    page.locator(".results a").focus()
    page.keyboard.press("Enter")
    page.get_by_label("View").wait_for()  # NiiVue has the volume
    told = page.locator("main").inner_text()
    assert told.count("<script>document.title='owned'</script>") >= 4, "text, facts, regions, provenance"
    assert page.locator("mark.present").inner_text() == "There is a nodule in the left lung."
    assert serious(page) == []
    unharmed(page, address)


def test_a_reader_judges_by_keys_and_curate_sees_it(page, address, served_corpus):
    page.goto(f"{address}#/judge")
    page.get_by_label("Reader").fill("Dr <script>")
    page.keyboard.press("Enter")
    caption = page.locator(".caption")
    caption.wait_for()
    assert "<script>" in caption.inner_text(), "the text of the patch"
    assert serious(page) == []
    page.locator("h1").click()
    page.keyboard.press("w")
    page.get_by_text("All of these captions are judged.").wait_for()
    page.get_by_text("100.0 %").first.wait_for()
    unharmed(page, address)
    view = [sys.executable, "-P", "-m", "voxtile.cli.main", "curate", str(served_corpus), "--view", "doubted"]
    where = "uid IN (SELECT uid FROM reviews WHERE verdict = 'wrong')"
    done = subprocess.run([*view, "--where", where], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    chosen = pq.read_table(served_corpus / "views" / "doubted.selection" / "selection.parquet")["uid"].to_pylist()
    assert chosen == [PATCH]


def test_a_volume_is_drawn_by_niivue(page, address):
    page.goto(f"{address}#/sample/{VOLUME}")
    page.get_by_label("View").wait_for()
    page.wait_for_function(_BRIGHT)
    unharmed(page, address)


def test_a_browser_without_webgl_shows_planes_as_pictures_and_says_so(page, address):
    page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        " return kind.startsWith('webgl') ? null : get.call(this, kind, ...rest); }"
    )
    page.goto(f"{address}#/sample/{VOLUME}")
    page.get_by_text("no WebGL 2").wait_for()
    page.wait_for_function("[...document.querySelectorAll('.plane img')].every(i => i.complete && i.naturalWidth)")
    slider = page.get_by_role("slider").first
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.locator(f"img[src*='{VOLUME}/planes/axial/21']").wait_for()
    unharmed(page, address)


@pytest.mark.parametrize(("uid", "mark"), [(PATCH, ".outline"), (SCENE, ".leaflet-image-layer")])
def test_a_patch_and_a_scene(page, address, uid, mark):
    page.goto(f"{address}#/sample/{uid}")
    page.locator(mark).wait_for()
    if uid == SCENE:
        page.get_by_label("Bands").select_option("NDVI")
        page.locator(".leaflet-image-layer[src*=NDVI]").wait_for()
    assert serious(page) == []
    unharmed(page, address)


def test_a_page_of_another_site_reads_and_shows_nothing(page, address):
    page.route("http://evil.example/", lambda route: route.fulfill(body="<img id=i>", content_type="text/html"))
    page.goto("http://evil.example/")
    tried = page.evaluate(
        """async ([there, uid]) => {
            const read = await fetch(there + 'api/corpus').then(r => r.text()).catch(() => 'refused');
            const image = new Image();
            const shown = await new Promise(done => {
                image.onload = () => done('shown'); image.onerror = () => done('refused');
                image.src = there + 'api/samples/' + uid + '/thumbnail';
            });
            return [read, shown];
        }""",
        [address, PATCH],
    )
    assert tried == ["refused", "refused"]


# A screenshot of the canvas would say less: NiiVue draws once, and the pixels are asked for in the same turn.
_BRIGHT = """() => {
    const canvas = document.querySelector('.canvas canvas');
    return canvas && canvas.width > 300 && !canvas.closest('[hidden]');
}"""
