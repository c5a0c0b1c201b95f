"""The articles: what each has wrong, and what of it is known beforehand."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from voxtile_medical.phantom.articles import pictures
from voxtile_medical.phantom.articles.document import NC, Document, cite, fig, graphic
from voxtile_medical.phantom.articles.pictures import draw_shown, encoded, render

_FIRST = 9_000_000
_SAME = 77  # of the picture that several articles show


@dataclass(frozen=True)
class Truth:
    """What becomes of a figure, or of an article of which no figure is read.

    Attributes:
        package: name of the package.
        figure: key of the figure, with the panel where it has several pictures; empty for the article.
        status, reason: of its row in the ledger.
        caption: text of its sample.
        mentions: number of sentences that cite it.
    """

    package: str
    figure: str
    status: str
    reason: str = ""
    caption: str = ""
    mentions: int = 0


@dataclass
class Case:
    """One article in the making.

    Attributes:
        number: from 0.
        rng: of its own.
        packages: name → bytes.
        truth: of its figures.
        listed: licence and `yes` or `no` for retracted, as the list of files has them.
        trap: what it has wrong.
    """

    number: int
    rng: np.random.Generator
    packages: dict[str, bytes] = field(default_factory=dict)
    truth: list[Truth] = field(default_factory=list)
    listed: tuple[str, str] = ("CC BY", "no")
    trap: str = ""

    @property
    def pmcid(self) -> str:
        """PMC and digits."""
        return f"PMC{_FIRST + self.number}"

    @property
    def package(self) -> str:
        """Name of its package."""
        return f"{self.pmcid}.tar.gz"

    def document(self, body: str, **more: object) -> Document:
        """Its document."""
        about: dict[str, object] = {
            "title": f"Invented findings, part {self.number}",
            "keywords": ("shapes", "phantom imaging"),
            "mesh": ("Phantoms, Imaging", "Tomography, X-Ray Computed"),
        }
        return Document(self.pmcid, body=body, **(about | more))  # type: ignore[arg-type]

    def picture(self, form: str = "JPEG") -> tuple[str, bytes]:
        """What a new picture shows, and its file."""
        shown = draw_shown(self.rng)
        return str(shown), render(shown, self.rng, form)

    def pack(self, document: Document | bytes | None, files: Mapping[str, bytes], name: str = "") -> bytes:
        """Make a package of a document and its files."""
        data = document.to_xml() if isinstance(document, Document) else document
        members = {f"{self.pmcid}/{key}": content for key, content in files.items()}
        if data is not None:
            members[f"{self.pmcid}/inv-{self.number:05d}.nxml"] = data
        members[f"{self.pmcid}/inv-{self.number:05d}.pdf"] = b"%PDF-1.4 invented"
        packed = self.packages[name or self.package] = packed_tar(members)
        return packed

    def tell(self, figure: str, status: str, reason: str = "", caption: str = "", mentions: int = 0) -> None:
        """Note what becomes of a figure."""
        self.truth.append(Truth(self.package, figure, status, reason, caption, mentions))


def packed_tar(members: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    """A `.tar.gz` with the same bytes each time."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", mtime=0, compresslevel=1) as stream,
        tarfile.open(fileobj=stream, mode="w") as tar,
    ):
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return out.getvalue()


def plain(case: Case, **about: object) -> dict[str, bytes]:
    """Two figures with a caption, a title and sentences that cite them; the base of most traps."""
    body, files = "", {}
    for number in (1, 2):
        shown, data = case.picture()
        name = f"inv-{case.number:05d}-g{number:03d}"
        files[f"{name}.jpg"] = data
        files[f"{name}.gif"] = encoded(np.full((20, 30), 90, np.uint8), "GIF")
        caption = f"<title>Section {number}</title><p>The slice shows {shown}.</p>"
        body += f"<p>We saw {shown} ({cite(f'F{number}', f'Fig. {number}')}). Nothing else was seen.</p>"
        body += fig(f"F{number}", f"Figure {number}", caption, graphic(name))
        case.tell(f"F{number}", "used", "", f"Section {number}. The slice shows {shown}.", 1)
    case.pack(case.document(body, **about), files)
    return files


def _refused(case: Case, reason: str, **about: object) -> None:
    plain(case, **about)
    case.truth = [Truth(case.package, "", "dropped", reason)]
    case.truth += [Truth(case.package, f"F{number}", "dropped", reason) for number in (1, 2)]


def _by_list(case: Case, reason: str, listed: tuple[str, str], **about: object) -> None:
    case.listed = listed
    _refused(case, reason, **about)


def _group(case: Case) -> None:
    files, inner = {}, ""
    for letter in "AB":
        shown, data = case.picture("PNG")
        files[f"g{letter}.png"] = data
        inner += fig(f"F1{letter}", f"({letter})", f"<p>Panel with {shown}.</p>", graphic(f"g{letter}.png"))
        case.tell(f"F1{letter}", "used", "", f"Two views. Panel with {shown}.", 1)
    group = f'<fig-group id="F1"><label>Figure 1</label><caption><p>Two views.</p></caption>{inner}</fig-group>'
    case.pack(case.document(f"<p>Both are in {cite('F1', 'Figure 1')}.</p>{group}"), files)


def _several_graphics(case: Case) -> None:
    shown = [case.picture() for _ in range(2)]
    files = {f"inv-f2{letter}.jpg": data for letter, (_, data) in zip("ab", shown, strict=True)}
    caption = f"<p>Two slices. (a) First, {shown[0][0]}; (b) second, {shown[1][0]}.</p>"
    case.pack(
        case.document(fig("F2", "Figure 2", caption, graphic("inv-f2a") + graphic("inv-f2b"))),
        files,
    )
    case.tell("F2/A", "used", "", f"Two slices. First, {shown[0][0]}")
    case.tell("F2/B", "used", "", f"Two slices. second, {shown[1][0]}.")


def _compound(case: Case) -> None:
    shown, data = case.picture()
    caption = f"<p>Overview. <bold>a</bold>, The slice with {shown}. <bold>b</bold>, Its histogram.</p>"
    case.pack(case.document(fig("F1", "Figure 1", caption, graphic("whole.jpg"))), {"whole.jpg": data})
    case.tell("F1", "used", "", f"Overview. a, The slice with {shown}. b, Its histogram.")


def _missing(case: Case) -> None:
    files = plain(case)
    files.pop(f"inv-{case.number:05d}-g002.jpg")
    files.pop(f"inv-{case.number:05d}-g002.gif")
    first, second = case.truth
    case.truth = [first, Truth(case.package, second.figure, "dropped", "missing-file")]
    _repack(case, files)


def _repack(case: Case, files: Mapping[str, bytes]) -> None:
    """The same document with other files."""
    with tarfile.open(fileobj=io.BytesIO(case.packages[case.package]), mode="r:gz") as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    document = next(data for name, data in held.items() if name.endswith(".nxml"))
    case.pack(document, files)


def _others(case: Case) -> None:
    shown, data = case.picture()
    body = fig("F1", "Figure 1", f"<p>The slice shows {shown}.</p>", graphic("f1.jpg"))
    body += f'<table-wrap id="T1"><label>Table 1</label>{graphic("t1.jpg")}</table-wrap>'
    body += f'<p>As in <disp-formula id="E1">{graphic("e1.jpg")}</disp-formula></p>'
    body += '<supplementary-material id="S1">' + fig("SF1", "Figure S1", "<p>More.</p>", graphic("s1.jpg"))
    body += "</supplementary-material>"
    after = "<sub-article><body>" + fig("RF1", "Figure 1", "<p>Of a review.</p>", graphic("f1.jpg"))
    after += "</body></sub-article>"
    case.pack(case.document(body, after=after), {f"{name}.jpg": data for name in ("f1", "t1", "e1", "s1")})
    case.tell("F1", "used", "", f"The slice shows {shown}.")
    for key, reason in (("T1", "table-image"), ("E1", "equation-image"), ("SF1", "supplementary")):
        case.tell(key, "dropped", reason)
    case.tell("RF1", "dropped", "sub-article")


def _formulae(case: Case) -> None:
    shown, data = case.picture()
    tex = r"\documentclass{minimal}\begin{document}$$\frac{a+b}{2\sigma}\leq 10^{-3}$$\end{document}"
    math = "<mml:math><mml:msup><mml:mi>x</mml:mi><mml:mn>2</mml:mn></mml:msup><mml:mo>&lt;</mml:mo><mml:mfrac>"
    math += "<mml:mrow><mml:mi>a</mml:mi><mml:mo>+</mml:mo><mml:mi>b</mml:mi></mml:mrow><mml:mn>2</mml:mn></mml:mfrac>"
    math += "</mml:math>"
    caption = f"<p>Seen is {shown}; <inline-formula><tex-math>{tex}</tex-math></inline-formula>, <inline-formula>"
    caption += f"<alternatives><tex-math>x</tex-math>{math}</alternatives></inline-formula>, <inline-formula>"
    caption += '<inline-graphic xlink:href="q.gif"/></inline-formula>, 10<sup>5</sup> cells, CO<sub>2</sub>, cm'
    caption += '<sup>−2</sup>, as told<sup><xref ref-type="bibr" rid="b12">12</xref></sup>.</p>'
    case.pack(case.document(fig("F1", "Figure 1", caption, graphic("f1"))), {"f1.jpg": data})
    text = f"Seen is {shown}; (a+b)/(2σ)≤10^-3, x²<(a+b)/2, [formula], 10⁵ cells, CO₂, cm⁻², as told [12]."
    case.tell("F1", "used", "", text)


def _right_to_left(case: Case) -> None:
    arabic, hebrew = "صورة مقطعية تُظهر قرصًا ساطعًا", "תמונת חתך המראה דיסק בהיר"
    files = {f"f{number}.jpg": case.picture()[1] for number in (1, 2)}
    body = fig("F1", "شكل ١", f'<p xml:lang="ar">{arabic} (CT) 12\u200f</p>', graphic("f1.jpg"))
    body += fig("F2", "איור 2", f"<p>{hebrew} (MRI).</p>", graphic("f2.jpg"))
    case.pack(case.document(body, language="ar"), files)
    case.tell("F1", "used", "", f"{arabic} (CT) 12\u200f")
    case.tell("F2", "used", "", f"{hebrew} (MRI).")


def _wrong_endings(case: Case) -> None:
    one, two, three = (case.picture(form) for form in ("JPEG", "TIFF", "JPEG"))
    files = {"f1.jpg": one[1], "f2.jpg": two[1], "F3.JPG": three[1]}
    names = ("f1.tif", "f2.jpg", "f3")
    body = ""
    for number, (name, (shown, _)) in enumerate(zip(names, (one, two, three), strict=True), start=1):
        body += fig(f"F{number}", f"Figure {number}", f"<p>Here is {shown}.</p>", graphic(name))
        case.tell(f"F{number}", "used", "", f"Here is {shown}.")
    case.pack(case.document(body), files)


def _bad_picture(case: Case, data: bytes, status: str, reason: str) -> None:
    files = plain(case)
    files[f"inv-{case.number:05d}-g001.jpg"] = data
    files.pop(f"inv-{case.number:05d}-g001.gif")
    case.truth[0] = Truth(case.package, "F1", status, reason)
    _repack(case, files)


def _without_figures(case: Case) -> None:
    case.pack(case.document("<p>Words alone.</p>"), {})
    case.tell("", "dropped", "no-figure")


def _without_caption(case: Case) -> None:
    case.pack(case.document(fig("F1", "Figure 1", "", graphic("f1.jpg"))), {"f1.jpg": case.picture()[1]})
    case.tell("", "dropped", "no-usable-figure")
    case.tell("F1", "dropped", "no-caption")


def _third_party(case: Case) -> None:
    shown, data = case.picture()
    own = "<permissions><copyright-statement>© 1999 Some Publisher</copyright-statement></permissions>"
    body = fig("F1", "Figure 1", f"<p>Here is {shown}.</p>", graphic("f1.jpg"), own)
    body += fig("F2", "Figure 2", "<p>A disc. Reproduced from Nobody et al., with permission.</p>", graphic("f1.jpg"))
    body += fig("F3", "Figure 3", f"<p>Ours, {shown}.</p>", graphic("f1.jpg"))
    case.pack(case.document(body), {"f1.jpg": data})
    case.tell("F1", "dropped", "third-party")
    case.tell("F2", "dropped", "third-party")
    case.tell("F3", "used", "", f"Ours, {shown}.")


def _hostile_members(case: Case) -> None:
    files = plain(case)
    with tarfile.open(fileobj=io.BytesIO(case.packages[case.package]), mode="r:gz") as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert files
    held["../../outside.jpg"] = b"not here"
    case.packages[case.package] = packed_tar(held, {f"{case.pmcid}/link.jpg": "/etc/passwd"})
    case.tell("../../outside.jpg", "failed", "unsafe-name")
    case.tell(f"{case.pmcid}/link.jpg", "failed", "not-a-file")


def _broken(case: Case, reason: str, change: Callable[[bytes], bytes]) -> None:
    plain(case)
    case.packages[case.package] = change(case.packages[case.package])
    case.truth = [Truth(case.package, "", "failed", reason)]


def _document(case: Case, data: bytes, reason: str) -> None:
    case.pack(data, {"f1.jpg": case.picture()[1]})
    case.tell("", "failed", reason)


def _without_document(case: Case) -> None:
    case.pack(None, {"f1.jpg": case.picture()[1]})
    case.tell("", "dropped", "no-document")


def _two_packages(case: Case) -> None:
    plain(case)
    newer = f"2025-01-01/{case.package}"
    case.packages[newer] = case.packages[case.package]
    held = [Truth(newer, one.figure, one.status, one.reason, one.caption, one.mentions) for one in case.truth]
    case.truth = [Truth(case.package, "", "dropped", "superseded"), *held]


def _same_picture(case: Case) -> None:
    same = np.random.default_rng(_SAME)
    shown = draw_shown(same)
    data = render(shown, same)
    case.pack(case.document(fig("F1", "Figure 1", f"<p>Again {shown}.</p>", graphic("f1"))), {"f1.jpg": data})
    case.tell("F1", "used", "", f"Again {shown}.")


def _video(case: Case) -> None:
    case.pack(case.document(fig("F1", "Movie 1", "<p>A film.</p>", '<media xlink:href="m1.mp4"/>')), {"m1.mp4": b"0"})
    case.tell("", "dropped", "no-usable-figure")
    case.tell("F1", "dropped", "no-picture")


_ENTITIES = b"""<?xml version="1.0"?>
<!DOCTYPE article [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY a "aaaaaaaaaa">]>
<article><front><article-meta><title-group><article-title>&x;&a;</article-title></title-group></article-meta></front>
</article>"""
_SMALL = encoded(np.full((12, 12), 99, np.uint8), "JPEG")

TRAPS: Mapping[str, Callable[[Case], object]] = {
    "none": plain,
    "figure group": _group,
    "several pictures": _several_graphics,
    "compound figure": _compound,
    "missing file": _missing,
    "other pictures": _others,
    "retracted": partial(_refused, reason="retracted", related="retraction-forward"),
    "retraction notice": partial(_refused, reason="retracted", kind="retraction"),
    "retracted by the list": partial(_by_list, reason="retracted", listed=("CC BY", "yes")),
    "non-commercial": partial(_by_list, reason="licence", listed=("CC BY-NC", "no"), licence=NC),
    "non-commercial by the list": partial(_by_list, reason="licence", listed=("CC BY-NC", "no"), licence=""),
    "no licence": partial(_by_list, reason="licence", listed=("NO-CC CODE", "no"), licence=None),
    "licence of the list": partial(plain, licence=""),
    "formulae": _formulae,
    "right to left": _right_to_left,
    "wrong endings": _wrong_endings,
    "huge picture": partial(_bad_picture, data=pictures.huge_png(), status="failed", reason="too-large"),
    "damaged picture": partial(_bad_picture, data=b"\xff\xd8\xff\xe0 no", status="failed", reason="not-a-picture"),
    "small picture": partial(_bad_picture, data=_SMALL, status="dropped", reason="too-small"),
    "no figure": _without_figures,
    "no caption": _without_caption,
    "third party": _third_party,
    "video": _video,
    "hostile members": _hostile_members,
    "cut off": partial(_broken, reason="unreadable-archive", change=lambda data: data[: len(data) // 2]),
    "no archive": partial(_broken, reason="unreadable-archive", change=lambda _: b"<html>404</html>"),
    "no XML": partial(_document, data=b"<article><front>", reason="not-xml"),
    "entities": partial(_document, data=_ENTITIES, reason="entities"),
    "no document": _without_document,
    "two packages": _two_packages,
    "same picture": _same_picture,
}


def make_case(seed: int, number: int, *, clean: bool) -> Case:
    """One article, with the trap whose turn it is."""
    case = Case(number, np.random.default_rng([seed, number]))
    names = ["none", "figure group", "several pictures", "compound figure", "formulae"] if clean else list(TRAPS)
    case.trap = names[number % len(names)]
    TRAPS[case.trap](case)
    return case
