"""Pages as a screen reader and a phone get them: one shape for every page, read from the page's own source."""

from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus

ENDLESS = {"meta", "img", "br", "line", "path", "polyline", "rect", "circle", "link", "input", "wbr", "hr"}


class Page(HTMLParser):
    """Tags in order with the tags that they stand in."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.faults, self.title = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), [name for name, _ in self.open]))
        if tag not in ENDLESS and not self.get_starttag_text().endswith("/>"):
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in ENDLESS:
            return
        if not self.open or self.open.pop()[0] != tag:
            self.faults.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "title":
            self.title += data

    def named(self, name):
        return [given for tag, given, _ in self.tags if tag == name]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Every page that is about a corpus, as its command writes it; the report has its own tests."""
    folder = tmp_path_factory.mktemp("pages")
    generator = np.random.default_rng(0)
    for split, name in (("a", "cat"), ("a", "dog"), ("b", "cat"), ("b", "dog")):
        place = folder / "pictures" / name
        place.mkdir(parents=True, exist_ok=True)
        for number in range(4):
            pixels = generator.integers(0, 255, (40, 60, 3), np.uint8)
            Image.fromarray(pixels).save(place / f"{split}{number}.png")
    corpus = str(folder / "corpus")
    assert main(["convert", "image", str(folder / "pictures"), corpus, "--engine", "inline"]) == 0
    assert main(["caption", corpus, "--provider", "template", "--engine", "inline"]) == 0
    uid = Corpus(corpus).table("samples")["uid"][0].as_py()
    written = {name: folder / f"{name}.html" for name in ("inspect", "sample", "funnel")}
    assert main(["inspect", corpus, "--leakage", "--html", str(written["inspect"])]) == 0
    assert main(["inspect", corpus, uid, "--html", str(written["sample"])]) == 0
    assert main(["curate", corpus, "--view", "v", "--dedup", "minhash", "--explain", str(written["funnel"])]) == 0
    assert main(["card", corpus, str(folder / "card"), "--name", "Pets", "--creator", "Us"]) == 0
    written["card"] = folder / "card" / "index.html"
    return {name: path.read_text() for name, path in written.items()}


@pytest.fixture(params=["inspect", "sample", "funnel", "card"])
def page(request, pages):
    return Page(pages[request.param])


def test_the_page_is_whole_and_says_what_it_is(page):
    assert not page.faults
    assert not page.open
    assert page.named("html") == [{"lang": "en"}]
    assert page.title.strip()
    viewport = [given["content"] for given in page.named("meta") if given.get("name") == "viewport"]
    assert viewport == ["width=device-width, initial-scale=1"]  # a reader may zoom
    assert [given["content"] for given in page.named("meta") if given.get("name") == "color-scheme"] == ["light dark"]
    assert len(page.named("main")) == len(page.named("h1")) == 1


def test_headings_step_down_one_at_a_time_and_ids_are_single(page):
    levels = [int(tag[1]) for tag, _, _ in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [given["id"] for _, given, _ in page.tags if "id" in given]
    assert len(ids) == len(set(ids))
    assert {given["href"] for given in page.named("a") if given["href"].startswith("#")} <= {f"#{name}" for name in ids}


def test_pictures_and_drawings_have_words(page):
    assert all(given.get("alt") for given in page.named("img"))
    for given in page.named("svg"):
        assert given.get("aria-hidden") == "true" or (given.get("role") == "img" and given.get("aria-label"))
    bars = [given for tag, given, _ in page.tags if "bar" in given.get("class", "").split()]
    assert all(given.get("role") == "img" and given.get("aria-label") for given in bars)


def test_a_table_has_heads_and_scrolls_in_a_named_box_that_tab_reaches(page):
    heads = page.named("th")
    assert heads
    assert all(given.get("scope") for given in heads)
    places = [number for number, (tag, _, _) in enumerate(page.tags) if tag == "table"]
    for number in places:
        tag, box, _ = page.tags[number - 1]
        assert (tag, box.get("role"), box.get("tabindex")) == ("div", "region", "0")
        assert "scroll" in box["class"].split()
        assert box["aria-label"]
    labels = [given["aria-label"] for _, given, _ in page.tags if given.get("role") == "region"]
    assert len(labels) == len(set(labels))  # a list of regions tells them apart


def test_nothing_is_fetched_and_nothing_runs(page, pages):
    for tag, given, _ in page.tags:
        for key in ("src", "srcset", "data", "action", "poster"):
            assert given.get(key, "data:").startswith("data:"), (tag, given)
        assert tag not in ("link", "iframe", "object", "embed", "form", "base")
        assert not [key for key in given if key.startswith("on")]
    assert all(given.get("type") == "application/ld+json" for given in page.named("script"))
    policy = [given["content"] for given in page.named("meta") if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    for text in pages.values():
        assert "url(" not in text
        assert "@import" not in text


def test_what_a_fact_says_is_told_by_a_sign_beside_the_colour():
    from voxtile.pages import page_environment

    template = page_environment().from_string(
        '{% import "parts.html.j2" as parts with context %}{{ parts.chip("x", p) }}'
    )
    shown = {p: template.render(p=p) for p in ("present", "uncertain", "absent")}
    assert len({text.replace(p, "") for p, text in shown.items()}) == 3
    assert "? x" in shown["uncertain"]
