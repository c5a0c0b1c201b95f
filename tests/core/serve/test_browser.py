"""In a real browser: find, then look, with a script planted in every text; skipped where there is no chromium."""

import io
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from browsing import NEEDED, SCRIPTED, chromium, say, serious, serving, tab, too_wide, unharmed, until
from PIL import Image
from serve_corpus import PATCH, SCENE, SCRIPT, VOLUME, write_served_corpus

from voxtile.corpus.records import Sample
from voxtile.corpus.schema import LEDGER, SCHEMA_VERSION, VERSION_KEY
from voxtile.corpus.writer import JobWriter

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = NEEDED
PLANTED = f"{9:032x}"


@pytest.fixture(scope="module")
def served_corpus(tmp_path_factory):
    """One of its own: verdicts are written to it."""
    root = tmp_path_factory.mktemp("judged") / "corpus"
    write_served_corpus(root)
    _plant(root)
    return root


def _plant(root):
    """A sample with a script in every column that holds words of a file, and an input that was dropped for one."""
    writer = JobWriter(root, "planted")
    words = {name: SCRIPT for name in ("subject", "study", "modality", "units", "licence", "source", "datetime")}
    picture = io.BytesIO()
    Image.new("RGB", (30, 20), (90, 140, 90)).save(picture, "PNG")
    attributes = json.dumps({"StudyDescription": SCRIPT, SCRIPT: SCRIPT})
    row = {"uid": PLANTED, "kind": "patch", "axes": "YXC", "attributes": attributes, **words}
    writer.add(Sample(row, picture.getvalue()))
    writer.publish()
    told = {"source": SCRIPT, "attempt": 1, "status": "dropped", "reason": SCRIPT, "error_class": SCRIPT}
    schema = LEDGER.with_metadata({VERSION_KEY: SCHEMA_VERSION.encode()})
    (root / "ledger").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist([told], schema=schema), root / "ledger" / "planted.parquet")


@pytest.fixture(scope="module")
def address(served_corpus):
    with serving(served_corpus) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser):
    with tab(browser) as opened:
        yield opened


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
    assert told.count(SCRIPT) >= 4, "text, facts, regions, provenance"
    assert page.locator("mark.present").inner_text() == "There is a nodule in the left lung."
    assert serious(page) == []
    unharmed(page, address)


def test_scripts_in_every_column_are_text_on_every_page(page, address):
    places = {"": 3, f"#/sample/{PLANTED}": 8, "#/dropped": 3, "#/map": 0, "#/reports": 0, "#/judge": 0}
    for place, least in places.items():
        page.goto(address + place)
        page.locator("main h1, .results li").first.wait_for()
        told = page.locator("main").inner_text()
        assert told.count("<script>document.title='owned'</script>") >= least, place
        assert serious(page) == [], place
    page.goto(f"{address}#/?where=uid%20%3D%20%27<script>alert(1)</script>%27")
    page.get_by_text("No sample meets this.").wait_for()
    unharmed(page, address)


@pytest.mark.sweep(ci=True)
def test_two_readers_judge_by_keys_and_curate_sees_it(page, address, served_corpus):
    """Ann and Bob differ on a caption, Ann judges its claims, a fact and a region: texts of the data stay texts."""
    page.goto(f"{address}#/judge")
    page.get_by_label("Reader").fill("Ann <script>alert('ann')</script>")
    page.keyboard.press("Enter")
    caption = page.locator(".caption")
    caption.wait_for()
    assert SCRIPT in caption.inner_text(), "the text of the patch"
    assert serious(page) == []
    page.keyboard.press("1")
    page.locator(".claim[aria-pressed=true]").wait_for()
    say(page, "r")
    page.locator(".claim b", has_text="right").wait_for()
    page.keyboard.press("m")
    page.keyboard.type(f"no: {SCRIPT}")
    page.keyboard.press("Escape")
    page.keyboard.press("0")
    say(page, "w")
    page.get_by_text("All of these captions are judged.").wait_for()
    page.get_by_text("100.0 %").first.wait_for()
    begin_as(page, "Bob", "caption")
    say(page, "r")
    page.locator(".differences").wait_for()
    assert serious(page) == []
    told = page.locator(".differences").inner_text()
    assert told.count(SCRIPT) == 2, "the caption and the comment"
    assert "<script>alert('ann')</script>" in told
    again = page.get_by_role("button", name="Judge again")
    again.focus()
    page.keyboard.press("Enter")
    caption.wait_for()
    say(page, "w")
    page.get_by_text("0 differ").wait_for()
    begin_as(page, "Bob", "fact")
    say(page, "c")
    page.get_by_text("1 judged by you").or_(page.get_by_text("2 judged by you")).first.wait_for()
    begin_as(page, "Bob", "region")
    until(page, "[...document.querySelectorAll('.judged img')].every(i => i.complete && i.naturalWidth)")
    assert serious(page) == []
    unharmed(page, address)
    view = [sys.executable, "-P", "-m", "voxtile.cli.main", "curate", str(served_corpus), "--view", "doubted"]
    where = "uid IN (SELECT uid FROM reviews WHERE verdict = 'wrong')"
    done = subprocess.run([*view, "--where", where], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    chosen = pq.read_table(served_corpus / "views" / "doubted.selection" / "selection.parquet")["uid"].to_pylist()
    assert chosen == [PATCH]


def begin_as(page, reader, kind):
    """By keys: the reader, what is judged, and the button."""
    page.get_by_label("Reader").fill(reader)
    page.get_by_label("What").select_option(kind)
    page.get_by_label("Reader").press("Enter")
    page.locator(f"section[aria-label='This {kind}']").wait_for()


def test_the_data_card_shows_scripts_as_text_too(page, served_corpus, tmp_path):
    from voxtile_datasets.cards.command import write_card

    write_card(served_corpus, tmp_path, description=SCRIPT, creator=SCRIPT, cite=SCRIPT)
    page.goto((tmp_path / "index.html").as_uri())
    assert page.locator("body").inner_text().count(SCRIPT) >= 3
    assert page.locator(SCRIPTED).count() == 0
    assert (page.complaints, page.dialogs) == ([], [])


@pytest.mark.cases(1)
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_cut_off_or_hard_to_read(browser, address, width, scheme):
    with tab(browser, width, scheme=scheme) as page:
        for place, mark in (("", ".results li"), (f"#/sample/{PATCH}", ".outline"), ("#/judge", "h1")):
            page.goto(address + place)
            page.locator(mark).first.wait_for()
            assert serious(page) == [], place
            assert too_wide(page) <= 0, place
        unharmed(page, address)


def test_a_volume_is_drawn_by_niivue(page, address):
    page.goto(f"{address}#/sample/{VOLUME}")
    page.get_by_label("View").wait_for()
    until(page, _BRIGHT)
    unharmed(page, address)


@pytest.mark.sweep(ci=True)
def test_a_browser_without_webgl_shows_planes_as_pictures_and_says_so(page, address):
    page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        " return kind.startsWith('webgl') ? null : get.call(this, kind, ...rest); }"
    )
    page.goto(f"{address}#/sample/{VOLUME}")
    page.get_by_text("no WebGL 2").wait_for()
    until(page, "[...document.querySelectorAll('.plane img')].every(i => i.complete && i.naturalWidth)")
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


def test_a_page_of_another_site_reads_shows_and_writes_nothing(page, address, served_corpus):
    page.route("http://evil.example/", lambda route: route.fulfill(body="<p>evil", content_type="text/html"))
    page.goto("http://evil.example/")
    verdict = {"review_id": "f" * 32, "uid": PATCH, "target": "d", "verdict": "wrong", "reader": "e", "drawn": "random"}
    before = sorted(served_corpus.rglob("*"))
    tried = page.evaluate(_TRY, [address, PATCH, verdict])
    assert set(tried.values()) == {"refused"}, tried
    assert sorted(served_corpus.rglob("*")) == before


_TRY = """async ([there, uid, verdict]) => {
    const read = (path, init) => fetch(there + path, init).then(r => r.text()).catch(() => 'refused');
    const shown = (make, path) => new Promise(done => {
        const one = make(); one.onload = () => done('shown'); one.onerror = () => done('refused');
        one.src = there + path; document.body.append(one);
    });
    const post = {method: 'POST', body: JSON.stringify(verdict)};
    const json = {...post, headers: {'Content-Type': 'application/json'}};
    const image = () => new Image(), script = () => document.createElement('script');
    await read('api/judge/verdicts', {...post, mode: 'no-cors'});  // opaque; the table says whether it was stored
    const form = document.createElement('form');
    form.method = 'post'; form.enctype = 'text/plain';
    form.action = there + 'api/judge/verdicts'; form.target = 'frame';
    const frame = document.createElement('iframe'); frame.name = 'frame';
    const field = document.createElement('input');
    field.name = JSON.stringify(verdict).slice(0, -1) + ',"comment":"'; field.value = '"}';
    form.append(field); document.body.append(frame, form);
    const sent = new Promise(done => frame.addEventListener('load', done, {once: true}));
    form.submit(); await sent;
    let framed = 'refused';
    try { if (frame.contentDocument) framed = 'shown'; } catch { framed = 'refused'; }
    return {
        get: await read('api/corpus'), post: await read('api/judge/verdicts', json),
        cookies: await read('api/corpus', {credentials: 'include'}),
        picture: await shown(image, 'api/samples/' + uid + '/thumbnail'),
        script: await shown(script, 'api/openapi.json'), framed,
    };
}"""


# A screenshot of the canvas would say less: NiiVue draws once, and the pixels are asked for in the same turn.
_BRIGHT = """() => {
    const canvas = document.querySelector('.canvas canvas');
    return canvas && canvas.width > 300 && !canvas.closest('[hidden]');
}"""
