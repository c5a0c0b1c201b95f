"""Captions of figures: panels by their letters, formulae in one line, licences and permissions by their words."""

from __future__ import annotations

import pytest
from lxml import etree

from voxtile_medical.figures.article import ArticleFault, Figure, Graphic
from voxtile_medical.figures.file_list import read_file_list, read_metadata
from voxtile_medical.figures.formulae import mathml_text, tex_text
from voxtile_medical.figures.jats import licence_text, panel_letter, parse_xml, read_jats
from voxtile_medical.figures.jats_text import caption_text, readable
from voxtile_medical.figures.licences import licence_code, parse_allowed, permission
from voxtile_medical.figures.panels import letters_of, take_apart, without_marks
from voxtile_medical.figures.picture_files import FileNames, panel_letters
from voxtile_medical.figures.samples import _refusal

BY, ALLOWED = "https://creativecommons.org/licenses/by/4.0/", ("cc0", "cc-by")


def element(xml, tag="caption"):
    head = 'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML"'
    return etree.fromstring(f"<{tag} {head}>{xml}</{tag}>")


@pytest.mark.parametrize(
    ("caption", "common", "parts"),
    [
        (
            "Chest. (A) Axial CT, (B) coronal CT, and (C) PET.",
            "Chest.",
            {"A": "Axial CT", "B": "coronal CT", "C": "PET."},
        ),
        ("(a,b) Before. (c–e) After, as in (a).", "", {"AB": "Before.", "CDE": "After, as in (a)."}),
        ("(A and B) before; (C) after.", "", {"AB": "before", "C": "after."}),
        ("A. First thing. B. Second thing.", "", {"A": "First thing.", "B": "Second thing."}),
        ("Left: CT. Right: MR.", "", {"left": "CT.", "right": "MR."}),
        ("Figure legend: A) one; B) two", "Figure legend:", {"A": "one", "B": "two"}),
    ],
)
def test_parts_of_a_caption(caption, common, parts):
    found = take_apart(caption)
    assert (found.whole, found.common) == (caption, common)
    keys = {p.labels[0] if len(p.labels[0]) > 1 else "".join(p.labels): p.text for p in found.panels}
    assert keys == parts


@pytest.mark.parametrize(
    ("caption", "labels"),
    [
        ("CT (A) and MR (B) of the chest.", ("A", "B")),  # letters behind: which words are whose is not sure
        ("CT. (A) Axial. Coronal (B).", ("A", "B")),
        ("Maps (A–C) of all.", ("A", "B", "C")),
        ("Levels of vitamin (C) and (D).", ()),  # no A
        ("A man with (B) cells.", ()),
        ("Hepatitis (B) and (A).", ()),
        ("A. fumigatus in the lung. B. subtilis in the gut.", ()),
        ("H&E (A, ×10). Ki67 (B, ×40).", ()),
        ("Figure (a) and (c).", ()),  # a gap
    ],
)
def test_captions_that_do_not_come_apart_stay_whole(caption, labels):
    found = take_apart(caption)
    assert found.labels == labels
    assert not any(panel.text for panel in found.panels)
    assert found.of("A") == ""


def test_letters_in_bold_are_marks_of_panels_and_leave_no_trace_in_the_text():
    caption = caption_text(
        element("<p>One view. <bold>a</bold> Axial. <bold>b–d</bold>, Others. <bold>Note</bold>.</p>")
    )
    found = take_apart(caption)
    assert found.whole == "One view. a Axial. b–d, Others. Note."
    assert [(panel.labels, panel.text) for panel in found.panels] == [
        (("A",), "Axial."),
        (("B", "C", "D"), "Others. Note."),
    ]


def test_lists_and_ranges_of_letters():
    assert letters_of("A–C") == ("A", "B", "C")
    assert letters_of("a, b and d") == ("A", "B", "D")
    assert [panel_letter(t) for t in ("(A)", "Figure 2B", "Fig. 3.", "b", "Scheme", "(iv)")] == [
        "A",
        "B",
        "",
        "B",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"\documentclass[12pt]{minimal}\usepackage{a}\begin{document}$$\alpha \ge 2$$\end{document}", "α≥2"),
        (r"\frac{a+b}{2\sigma}", "(a+b)/(2σ)"),
        (r"$10^{-3}$", "10^-3"),
        (r"\broken{", r"\broken{"),  # what cannot be read stays as it is
    ],
)
def test_tex_in_one_line(source, text):
    assert tex_text(source) == text


@pytest.mark.parametrize(
    ("math", "text"),
    [
        ("<mml:msup><mml:mn>10</mml:mn><mml:mrow><mml:mo>−</mml:mo><mml:mn>3</mml:mn></mml:mrow></mml:msup>", "10⁻³"),
        ("<mml:msub><mml:mi>T</mml:mi><mml:mi>max</mml:mi></mml:msub>", "T_max"),
        ("<mml:mfrac><mml:mrow><mml:mi>a</mml:mi><mml:mo>+</mml:mo><mml:mi>b</mml:mi></mml:mrow><mml:mn>2</mml:mn>"
         "</mml:mfrac>", "(a+b)/2"),
        ("<mml:mi>t</mml:mi><mml:mtext>\u00a0min</mml:mtext>", "t min"),
        ("<mml:msqrt><mml:mi>x</mml:mi></mml:msqrt>", "√(x)"),
        ("<mml:mi>f</mml:mi><mml:mo>\u2061</mml:mo><mml:mfenced><mml:mi>x</mml:mi><mml:mi>y</mml:mi></mml:mfenced>",
         "f(x,y)"),
        ("<mml:semantics><mml:mi>x</mml:mi><mml:annotation>no</mml:annotation></mml:semantics>", "x"),
    ],
)  # fmt: skip
def test_mathml_in_one_line(math, text):
    assert mathml_text(element(f"<mml:math>{math}</mml:math>", "p")[0]) == text


def test_exponents_are_not_run_into_their_numbers():
    assert readable(element("10<sup>5</sup> and x<sup>n+1</sup>, CO<sub>2</sub>, T<sub>max</sub>", "p")) == (
        "10⁵ and xⁿ⁺¹, CO₂, T_max"
    )
    assert readable(element("t<sub>KCN </sub>= 45", "p")) == "t_KCN = 45"
    assert readable(element('seen<sup><xref rid="b1">1</xref>,<xref rid="b2">2</xref></sup>.', "p")) == "seen [1,2]."


def test_titles_end_and_blocks_do_not_run_together():
    caption = element("<title>A title</title><p>One.<break/>Two <italic>three</italic>-four.</p><p>Five<fig/>.</p>")
    assert caption_text(caption) == "A title. One. Two three-four. Five."


def test_entities_and_damage_are_refused():
    for data, reason in (
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "entities"),
        (b"<a>", "not-xml"),
        (b"", "not-xml"),
        (b"%PDF-1.4", "not-xml"),
    ):
        with pytest.raises(ArticleFault) as fault:
            parse_xml(data)
        assert fault.value.reason == reason
    deep = b"<a>" * 300 + b"</a>" * 300  # libxml2 without huge_tree stops at 256
    with pytest.raises(ArticleFault, match="no well-formed XML"):
        parse_xml(deep)


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ('article-type="retraction"', "type is 'retraction'"),
        ('article-type="research-article"', ""),
    ],
)
def test_retractions(meta, why):
    article = etree.fromstring(f"<article {meta}><front><article-meta/></front></article>")
    assert why in read_jats(article).retracted or not why
    assert bool(read_jats(article).retracted) == bool(why)


def test_figures_in_alternatives_and_captions_of_a_group_over_one_picture():
    article = element(
        '<body><fig id="F1"><caption><p>One.</p></caption><alternatives><graphic xlink:href="a.tif"/>'
        '<graphic xlink:href="a.jpg"/></alternatives></fig><fig-group id="G"><caption><p>Both.</p></caption>'
        '<fig id="Ga"><label>A</label><caption><p>First.</p></caption></fig>'
        '<fig id="Gb"><label>B</label><caption><p>Second.</p></caption></fig>'
        '<graphic xlink:href="g"/></fig-group></body>',
        "article",
    )
    one, both = read_jats(article).figures
    assert one.graphics == (Graphic(("a.tif", "a.jpg")),)
    assert (both.key, both.caption, both.graphics) == ("G", "Both. A First. B Second.", (Graphic(("g",)),))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (BY, "cc-by"),
        ("CC BY-NC", "cc-by-nc"),
        ("CC BY-NC-ND 4.0", "cc-by-nc-nd"),
        ("http://creativecommons.org/licenses/by-sa/3.0/", "cc-by-sa"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "cc0"),
        ("CC0", "cc0"),
        ("http://creativecommons.org/publicdomain/mark/1.0/", "public-domain"),
        ("NO-CC CODE", "other"),
        ("Elsevier user licence", "other"),
        ("CC BY 4.0; CC BY-NC 4.0", "other"),
    ],
)
def test_codes_of_licences(text, code):
    assert licence_code(text) == code


def test_names_of_licences_of_the_option():
    assert parse_allowed("CC BY-NC 4.0, cc0,CC-BY-4.0") == ("cc0", "cc-by", "cc-by-nc")


def test_a_licence_is_the_address_before_the_words():
    words = '<license xlink:href="http://x.org"><license-p>Under <ext-link xlink:href="' + BY + '">this</ext-link>.'
    assert licence_text(element(words + "</license-p></license>", "permissions")) == BY
    assert (
        licence_text(element("<license><license-p>All rights.</license-p></license>", "permissions")) == "All rights."
    )
    assert licence_text(None) == ""


@pytest.mark.parametrize(
    ("document", "listed", "is_refused"),
    [
        (BY, "", False),
        ("", "CC BY", False),
        ("Words alone.", "CC BY", False),
        (BY, "CC BY-NC", True),
        ("https://creativecommons.org/licenses/by-nc/4.0/", "CC BY", True),
        ("Words alone.", "", True),
        ("", "", True),
        ("", "NO-CC CODE", True),
    ],
)
def test_both_statements_have_to_allow(document, listed, is_refused):
    assert bool(permission(document, listed, ALLOWED).refusal) == is_refused
    assert not permission(document, listed, parse_allowed("any")).refusal


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("A disc. Reproduced from Nobody et al. (2001), with permission.", "third-party"),
        ("Adapted by kind permission of Some Press.", "third-party"),
        ("Photograph used with permission of the patient.", None),
        ("A disc.", None),
        ("", "no-caption"),
    ],
)
def test_rights_of_others_by_the_words_of_the_caption(caption, reason):
    refused = _refusal(Figure("F1", "figure", caption=caption, graphics=(Graphic(("a",)),)), ALLOWED)
    assert (refused[0] if refused else None) == reason


def test_files_under_other_names():
    names = FileNames(["d/A-g1.jpg", "d/A-g1.gif", "d/b.v2.tif", "d/c.png", "d/only.gif"])
    wanted = {"A-g1": "d/A-g1.jpg", "a-G1.TIF": "d/A-g1.jpg", "b.v2": "d/b.v2.tif", "c.eps": "d/c.png", "x": None}
    wanted |= {"only.jpg": "d/only.gif", "A-g1.gif": "d/A-g1.jpg"}
    assert {name: names.find((name,)) for name in wanted} == wanted
    assert names.find(("missing.tif", "c")) == "d/c.png"


def test_letters_of_several_files():
    assert panel_letters({0: "f1a.jpg", 1: "f1b.jpg"}, ("A", "B")) == {0: "A", 1: "B"}
    assert panel_letters({0: "f1a.jpg", 1: "f1b.jpg"}, ("A", "B", "C")) == {}
    assert panel_letters({0: "f1a.jpg", 1: "g1b.jpg"}, ("A", "B")) == {}


def test_lists_of_files_and_metadata(tmp_path):
    path = tmp_path / "oa_comm.filelist.csv"
    path.write_text("Article File,AccessionID,License,Retracted\na,PMC1,CC BY,yes\nb,PMC2,CC0,no\nshort\n")
    found = read_file_list(path, {"PMC1", "PMC3"})
    assert {key: (one.licence, one.retracted) for key, one in found.items()} == {"PMC1": ("CC BY", True)}
    assert read_metadata(b'{"other": 1}') is None
    assert read_metadata(b"no json") is None


def test_marks_of_bold_are_none_of_the_text():
    assert without_marks("\ue000a\ue001 b") == "a b"
