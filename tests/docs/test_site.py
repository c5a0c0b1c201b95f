"""The documentation builds as a site: no link leads nowhere, nothing is fetched, and all public names are in it."""

import ast
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("mkdocs", reason="the site is built by mkdocs, which the extra dev brings")
pytestmark = pytest.mark.sweep(ci=True)  # one build for all of them, a quarter of a minute


class _Read(HTMLParser):
    """Links, anchors, and what a browser would load by itself."""

    def __init__(self):
        super().__init__()
        self.links, self.anchors, self.loaded = [], {""}, []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("script", "img", "iframe") and values.get("src"):
            self.loaded.append(values["src"])
        if tag == "link" and values.get("href") and values.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(values["href"])


def _build(config, out):
    command = [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(config), "-d", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    done = _build(ROOT / "mkdocs.yml", out)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = {}
    for path in out.rglob("*.html"):
        pages[path] = _Read()
        pages[path].feed(path.read_text(encoding="utf-8"))
    assert len(pages) > 40
    return out, pages


def test_every_link_and_anchor_within_the_site_is_there(site):
    out, pages = site
    lost = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links are from the root of a server
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (target in pages and unquote(parts.fragment) not in pages[target].anchors):
                lost.append(f"{path.relative_to(out)}: {link}")
    assert lost == []


def test_nothing_is_fetched_from_elsewhere(site):
    out, pages = site
    assert [link for page in pages.values() for link in page.loaded if urlsplit(link).netloc] == []
    styles = list(out.rglob("*.css"))
    assert styles
    assert [
        p.name for p in styles if re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", p.read_text("utf-8"))
    ] == []


def test_the_reference_has_every_public_name(site):
    out, _ = site
    headings = "".join(path.read_text(encoding="utf-8") for path in (out / "reference").glob("*.html"))
    stubs = [*ROOT.glob("core/voxtile/*/__init__.pyi"), *ROOT.glob("d*/**/voxtile_*/__init__.pyi")]
    names = [
        alias.asname or alias.name
        for stub in stubs
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert len(stubs) == 10
    assert len(names) > 100
    assert [name for name in names if f".{name}" not in headings] == []


def test_readme_and_contributing_lead_to_pages_of_the_site(site):
    out, pages = site
    assert "objectives.html" in pages[out / "index.html"].links
    assert pages[out / "index.html"].links.count("contributing.html") >= 1
    assert "first-look.html" in pages[out / "python.html"].links
    assert "../reference" not in (out / "architecture.html").read_text(encoding="utf-8")
    assert "contributing.html" in pages[out / "architecture.html"].links
    # A link to a file of the checkout that is no page is its path.
    assert "<code>core/voxtile/corpus/schema.py</code>" in (out / "corpus.html").read_text(encoding="utf-8")
