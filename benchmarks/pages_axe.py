"""Violations that axe-core counts on pages, in a real browser: light and dark, on a desktop and on a phone.

A line a page: elements at fault and rules broken in each of the four, and whether the phone scrolls sideways.
Nothing of this is needed by voxtile itself, so it is installed by hand:

    apt-get install chromium
    pip install playwright
    npm pack axe-core && tar -xzf axe-core-*.tgz       # gives package/axe.min.js

Run: python benchmarks/pages_axe.py --axe package/axe.min.js [--shots FOLDER] [--rules] PAGE.html…
"""

import argparse
import shutil
import sys
from collections import Counter
from pathlib import Path

from playwright.sync_api import Browser, Error, sync_playwright

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
_TALLEST = 16_000  # pixels of a picture: Chromium draws no larger one
_WIDE = """() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - innerWidth"""
_AXE = """() => axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(
  rule => [rule.id, rule.nodes.map(node => `${node.target.join(' ')} | ${node.failureSummary}`)]))"""


def look(browser: Browser, page: Path, axe: Path, size: str, scheme: str, shots: Path | None):
    """(faults by rule, pixels that the page is too wide) of one page in one window."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        is_mobile=size == "phone",
        reduced_motion="reduce",
        bypass_csp=True,
    )
    tab = context.new_page()
    tab.goto(page.resolve().as_uri())
    wide = tab.evaluate(_WIDE)
    if shots is not None:
        shots.mkdir(parents=True, exist_ok=True)
        tall = min(tab.evaluate("document.documentElement.scrollHeight"), _TALLEST)
        path = shots / f"{page.parent.name}-{page.stem}-{size}-{scheme}.png"
        try:
            tab.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, "width": width, "height": tall})
        except Error as error:  # the browser gives up on some tall pages; the counts are there all the same
            print(f"no picture {path.name}: {error.message.splitlines()[0]}", file=sys.stderr)
    tab.add_script_tag(path=axe)
    found = dict(tab.evaluate(_AXE))
    context.close()
    return found, wide


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--axe", type=Path, required=True, help="axe.min.js")
    parser.add_argument("--shots", type=Path, help="folder for a picture of each")
    parser.add_argument("--rules", action="store_true", help="name the rules and the first elements at fault")
    given = parser.parse_args()
    chromium = next((path for name in NAMES if (path := shutil.which(name))), None)
    windows = [(size, scheme) for size in SIZES for scheme in SCHEMES]
    print(f"{'page':44}" + "".join(f"{f'{size} {scheme}':>16}" for size, scheme in windows) + f"{'too wide':>10}")
    total: Counter[tuple[str, str]] = Counter()
    wrong = 0
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=_FLAGS)
        for page in given.pages:
            cells, rules, widest = [], {}, 0
            for window in windows:
                found, wide = look(browser, page, given.axe, *window, given.shots)
                count = sum(map(len, found.values()))
                cells.append(f"{count} ({len(found)})")
                total[window] += count
                rules |= found
                widest = max(widest, wide if window[0] == "phone" else 0)
            wrong += widest > 0
            print(f"{str(page)[-43:]:44}" + "".join(f"{cell:>16}" for cell in cells) + f"{widest:>10}", flush=True)
            if given.rules:
                for rule, nodes in sorted(rules.items()):
                    print(f"    {rule}: {len(nodes)}, such as {' '.join(nodes[0].split())[:400]}")
    print(f"{'all':44}" + "".join(f"{total[window]:>16}" for window in windows))
    return 1 if wrong or sum(total.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
