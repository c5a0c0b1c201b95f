"""Contrast of the colours that every page shares, by the formula of WCAG 2.2 and in both schemes."""

import re
from importlib.resources import files
from itertools import product
from pathlib import Path

import pytest

import voxtile_datasets
from voxtile.stages.inspect import footprint_map

SHARED = Path(str(files("voxtile.pages") / "templates"))
SHEETS = [
    path
    for root in (SHARED.parents[1], Path(voxtile_datasets.__file__).parent)
    for pattern in ("*.css", "*.html.j2")
    for path in root.rglob(pattern)
    if not {"node_modules", "built"} & set(path.parts)  # of others, and what is built with it
]
LITERAL = re.compile(
    r"#[0-9a-fA-F]{3,8}\b(?=[; ,)\"])|\b(?:rgba?|hsla?|color-mix)\(|(?:color|background|fill|stroke): ?(?:white|black)"
)
COLOURS = (SHARED / "colours.css").read_text()
LIGHT = COLOURS[: COLOURS.index("@media")]
DARK = COLOURS[COLOURS.index("@media") :]
TEXT = {"ink", "soft", "accent", "good", "warn", "bad"}
TINTS = {"accent-tint": {"ink", "accent"}, "warn-tint": {"ink", "warn"}, "bad-tint": {"ink", "bad"}}
TINTS |= {f"{polarity}-tint": {"ink"} for polarity in ("present", "uncertain", "absent")}
MARKS = {"present", "uncertain", "absent", "train", "val", "test", "other"}
MAP = {"map-train", "map-val", "map-test", "map-other"}
MARKS |= MAP | {"model", "head", "ensemble", "late-interaction", "matching", "trivial", "shuffled"}


def named(text):
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", text))


SCHEMES = {"light": named(LIGHT), "dark": named(LIGHT) | named(DARK)}


def luminance(colour):
    """Relative luminance: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_gives_the_published_ratios():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the known grey just below 4.5
    assert contrast("#123456", "#123456") == 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_can_be_read_on_every_ground(scheme):
    colours = SCHEMES[scheme]
    pairs = [*product(TEXT | {"present"}, ("ground", "card")), ("on-picture", "picture"), ("on-mark", "accent")]
    pairs += [(text, tint) for tint, texts in TINTS.items() for text in texts]
    faint = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert not {pair: ratio for pair, ratio in faint.items() if ratio < 4.5}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_marks_stand_out_from_every_ground(scheme):
    colours = SCHEMES[scheme]
    faint = {
        pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in product(MARKS, ("ground", "card"))
    }
    assert not {pair: ratio for pair, ratio in faint.items() if ratio < 3}


def test_each_scheme_names_every_colour():
    same = {"picture", "on-picture", *MAP}  # pictures are the same in both
    assert named(DARK).keys() | same == named(LIGHT).keys()


def test_colours_are_named_in_one_file_and_every_name_is_known():
    assert {path.name for path in SHEETS} >= {"base.css", "corpus.css", "card.css", "inspect.html.j2", "layout.html.j2"}
    for path in SHEETS:
        text = path.read_text()
        assert path.name == "colours.css" or not LITERAL.findall(text), path.name
        assert set(re.findall(r"var\(--([a-z-]+)[,)]", text)) <= {*named(LIGHT), "share"}, path.name


def test_text_takes_only_the_colours_that_are_checked_as_text():
    for path in SHEETS:
        used = set(re.findall(r"(?<![-a-z])color: var\(--([a-z-]+)\)", path.read_text()))
        assert used <= TEXT | {"present", "on-picture", "on-mark"}, path.name


def test_the_map_is_drawn_in_the_colours_of_its_legend():
    drawn = {
        f"map-{split}": colour for split, colour in {**footprint_map._COLOURS, "other": footprint_map._OTHER}.items()
    }
    assert {name: named(LIGHT)[name] for name in MAP} == drawn
