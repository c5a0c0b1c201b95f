"""The engine task of `voxtile convert figures`: one item an article, one sample a picture of a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from voxtile.corpus.identity import printable, sample_uid
from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.records import Row, Sample
from voxtile.corpus.splits import split_of
from voxtile.engine.failure import Failure
from voxtile.engine.parallel import PlanReader
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import InputError
from voxtile.stages.ingest.text import caption_rows, check_texts
from voxtile_medical.figures.article import Article, ArticleFault
from voxtile_medical.figures.article_files import ArticleFiles, open_article, read_article
from voxtile_medical.figures.file_list import Listed, is_file_list, read_file_list
from voxtile_medical.figures.licences import Permission, permission
from voxtile_medical.figures.packages import Place, find_articles
from voxtile_medical.figures.samples import FigureRules, FoundFigure, LeftOut, read_figures

NAME = "figures"
MENTION = "mention"
"""Kind of a caption that is a sentence of the text which cites the figure."""

_MODALITY = "OT"  # "other": a figure may be of any device, or of none (DICOM PS3.3 C.7.3.1.1.1)


@dataclass(frozen=True)
class FigureTask:
    """The task.

    Attributes:
        root: folder or archive; no part of the task's identity.
        corpus: where the samples go; no part of the identity.
        lists: lists of files beside the articles; what they say of an article is a part of its item.
        reader: lists archives while the plan is made.
        allowed: names of licences.
        mentions: sentences that cite a figure are texts of it.
        smallest: pixels of the shorter side of a picture.
        fractions: split → share.
        pdf: articles that there are as a PDF alone are read too.
    """

    root: str
    corpus: str
    lists: tuple[str, ...]
    reader: PlanReader
    allowed: tuple[str, ...]
    mentions: bool
    smallest: int
    fractions: Mapping[str, float]
    pdf: bool = False

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return NAME

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {
            "licences": list(self.allowed),
            "mentions": self.mentions,
            "smallest": self.smallest,
            "fractions": dict(self.fractions),
        }

    def items(self) -> Iterator[Item]:
        """One item an article; of several packages of one, all but the newest are dropped."""
        places = find_articles(Path(self.root), self.reader, pdf=self.pdf)
        newest: dict[str, Place] = {}
        for place in places:
            if place.pmcid and not place.refused and (place.is_package or place.document):
                newest[place.pmcid] = max(newest.get(place.pmcid, place), place, key=lambda other: other.age)
        listed = self._listed(frozenset(newest))
        stored = stored_articles(Path(self.corpus))
        for place in places:
            if place.refused:
                yield Item(place.source, place.inputs(), refused=place.refused)
                continue
            inputs = place.inputs() | {"listed": asdict(listed.get(place.pmcid, Listed()))}
            first, kept = newest.get(place.pmcid, place), stored.get(place.pmcid, place.source)
            if first is not place:
                inputs["verdict"] = ["superseded", f"'{first.source}' is a newer package of the same article"]
            elif kept != place.source:
                advice = f"the corpus holds the article from '{kept}'; convert to a new corpus for its newer version"
                inputs["verdict"] = ["duplicate-article", advice]
            yield Item(place.source, inputs, cost=place.nbytes)

    def process(self, item: Item) -> Outcome:
        """Read one article, each file of it once."""
        if "verdict" in item.inputs:
            reason, detail = item.inputs["verdict"]
            return Outcome("dropped", reason, detail)
        place = Place.from_inputs(item.source, item.inputs)
        try:
            files = open_article(self._base, place)
            if not files.documents:
                refused = tuple(self._refused(item, files))
                return Outcome("dropped", "no-document", "it holds no article in JATS or BioC", parts=refused)
            article = read_article(files)
        except ArticleFault as fault:
            return Outcome("failed", fault.reason, fault.detail)
        known = Listed(**item.inputs["listed"])
        listed = files.listed or known
        pmcid = place.pmcid or article.pmcid
        article = replace(article, pmcid=pmcid, retracted=article.retracted or _retracted(listed, known))
        allowed = permission(article.licence, listed.licence, self.allowed)
        refused = tuple(self._refused(item, files))
        rules = FigureRules(self.allowed, self.smallest, *_refusal(article, allowed))
        found = list(read_figures(article, files, rules))
        parts = (*refused, *(self._part(item, one) for one in found if isinstance(one, LeftOut)))
        kept = [one for one in found if isinstance(one, FoundFigure)]
        if not kept:
            reason, detail = _nothing(article, rules, found)
            return Outcome("dropped", reason, detail, parts=parts)
        return self._outcome(item, article, allowed, listed.citation or known.citation, kept, parts)

    @property
    def _base(self) -> Path:
        root = Path(self.root)
        return root if root.is_dir() else root.parent

    def _outcome(
        self,
        item: Item,
        article: Article,
        allowed: Permission,
        citation: str,
        kept: Sequence[FoundFigure],
        parts: tuple[Part, ...],
    ) -> Outcome:
        subject = article.pmcid or item.source
        captions: list[Row] = []
        samples: list[Sample] = []
        for one in kept:
            uid = sample_uid(one.sha256, f"{subject}#{one.key}")
            row: Row = {
                "uid": uid,
                "subject": subject,
                "study": subject,
                "kind": "image",
                "modality": _MODALITY,
                **one.picture.columns(),
                "source": item.source,
                "licence": allowed.text or None,
                "attributes": one.attributes(article, citation),
            }
            samples.append(Sample(row, one.picture.payload, one.picture.preview))
            texts = {"raw": (one.text,), MENTION: one.figure.mentions if self.mentions else ()}
            for kind, given in texts.items():
                checked = check_texts(given)
                parts += checked.left_out(sample_uid(uid, kind))
                rows = caption_rows(uid, checked.accepted, source=f"{item.source}#{one.key}", kind=kind)
                captions += [{**row, "lang": one.figure.language or None} for row in rows]
        split = {"scheme": "default", "subject": subject, "split": split_of(subject, self.fractions)}
        return Outcome(
            "used",
            samples=tuple(samples),
            tables={"captions": captions, "splits": [split]},
            parts=parts,
        )

    def _part(self, item: Item, one: LeftOut) -> Part:
        uid = sample_uid(item.source, f"#{one.key}")
        return Part(uid, one.status, one.reason, one.detail, f"{item.source}#{one.key}")

    def _refused(self, item: Item, files: ArticleFiles) -> Iterator[Part]:
        """Members of a package that are not read: names that lead out of it, links, bombs."""
        for number, entry in enumerate(files.refused):
            name = f"{printable(entry.path)[:200]}"
            uid = sample_uid(item.source, f"member {number} {name}")
            yield Part(uid, "failed", entry.reason, entry.detail, f"{item.source}#{name}")

    def _listed(self, wanted: frozenset[str]) -> dict[str, Listed]:
        """What the lists say; a later one adds what an earlier one does not know.

        Raises:
            InputError: a list is none.
        """
        root = Path(self.root)
        beside = sorted(path for path in root.iterdir() if is_file_list(path.name)) if root.is_dir() else []
        found: dict[str, Listed] = {}
        for path in (*map(Path, self.lists), *beside):
            rows = self.reader.read(partial(read_file_list, wanted=wanted), path, title="lists")
            if isinstance(rows, Failure):
                raise InputError(rows.sentence)
            found = rows | found
        return found


def stored_articles(corpus: Path) -> dict[str, str]:
    """Article → the package that the corpus holds it from."""
    paths = [path for path in part_paths(corpus, "samples") if path.stem.startswith(f"{NAME}-")]
    stored: dict[str, str] = {}
    for path in paths:
        rows = read_parts([path], table_schema("samples"), ["study", "source"])
        stored.update(zip(rows["study"].to_pylist(), rows["source"].to_pylist(), strict=True))
    return stored


def _retracted(*listed: Listed) -> str:
    return "the list of files says so" if any(one.retracted for one in listed) else ""


def _refusal(article: Article, allowed: Permission) -> tuple[str, str]:
    """Why no figure of the article is wanted."""
    if article.retracted:
        return "retracted", f"the article was retracted: {article.retracted}"
    return ("licence", allowed.refusal) if allowed.refusal else ("", "")


def _nothing(article: Article, rules: FigureRules, found: Sequence[FoundFigure | LeftOut]) -> tuple[str, str]:
    if rules.refusal:
        return rules.refusal, rules.detail
    if not any(figure.kind == "figure" for figure in article.figures):
        return "no-figure", "the article has no figure"
    reasons = sorted({one.reason for one in found if isinstance(one, LeftOut)})
    return "no-usable-figure", f"none of its figures can be used: {', '.join(reasons)}"
