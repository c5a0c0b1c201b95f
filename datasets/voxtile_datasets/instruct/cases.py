"""What is known of the images of a part of a corpus, as the makers of dialogues need it."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import part_dataset, part_paths, read_parts, table_schema
from voxtile.corpus.records import Row
from voxtile.corpus.schema import MEASURED, OVERVIEW, STRUCTURE
from voxtile.words.names import name_key
from voxtile_datasets.captions.checker.check import VERSION, Known
from voxtile_datasets.captions.checker.task import CheckTask
from voxtile_datasets.captions.checker.vocabulary import Vocabulary
from voxtile_datasets.captions.known_facts import facts_and_scopes, rows_of
from voxtile_datasets.captions.stated_facts import Fact, Subject, body_part, mapping_of
from voxtile_datasets.captions.template import subjects_of
from voxtile_datasets.captions.wordings import Bank, bank_for

_SAMPLES = ("uid", "subject", "study", "kind", "modality", "datetime", "axes", "shape", "spacing", "attributes")
_CAPTIONS = ("caption_id", "uid", "text", "lang", "kind")
_REGIONS = ("region_id", "uid", "phrase", "box")
_FACTS = ("uid", "concept", "polarity", "value", "unit", "attributes", "region_id", "source")
_RAW = "raw"
_ARTICLE = re.compile(r"^(the|an?) ", re.I)
_OF_CASE = '"of_case"'


@dataclass(frozen=True)
class Region:
    """A region of an image.

    Attributes:
        region_id: its name.
        box: half-open, min corner then max corner, in the order of the array's axes; None where it has a mask alone.
        concept: the finding that it is of: what facts say of it by its id, or the one of its own name that facts say is
            there; None where they say nothing.
        phrase: what is there, in words and without an article: a finding or a structure.
    """

    region_id: str
    box: tuple[float, ...] | None
    concept: str | None
    phrase: str


@dataclass(frozen=True, eq=False)
class Case:
    """An image with all that is known of it.

    Attributes:
        row: of the table of samples.
        subject: its facts, reconciled, as captions say them.
        bank: which words them.
        known: its facts as the checker has them.
        vocabulary: of the checker.
        reports: captions that came with it.
        regions: of it.
        of_case: concepts that facts state of the case and no picture shows, such as a receptor.
        earlier: the image of the examination before this one, of the same subject.
    """

    row: Row
    subject: Subject
    bank: Bank
    known: Known
    vocabulary: Vocabulary
    reports: tuple[Row, ...] = ()
    regions: tuple[Region, ...] = ()
    of_case: tuple[str, ...] = ()
    earlier: Case | None = field(default=None)

    @property
    def uid(self) -> str:
        """Of the image."""
        return self.subject.uid

    def facts_of(self, concept: str) -> tuple[Fact, ...]:
        """What is said of one concept."""
        return tuple(fact for fact in self.subject.facts if fact.concept == concept)

    def is_absent(self, concept: str) -> bool:
        """Whether a fact denies a concept as a whole, or a closed scope leaves it out."""
        denied = any(f.polarity == "absent" and not f.is_detailed for f in self.facts_of(concept))
        return denied or concept in self.subject.implied


@dataclass(frozen=True)
class CaseReader:
    """Reads the cases of one corpus.

    Args:
        root: the corpus.
        banks: wordings, in the order of precedence.
        precedence: of the facts' sources.
        facts_source: only facts whose source begins so.
        key_file: the key map, where it is not beside the corpus.
        closed: concepts that are absent where a sample has facts, but none of these.
    """

    root: Path
    banks: tuple[Bank, ...]
    precedence: tuple[str, ...]
    facts_source: str | None = None
    key_file: Path | None = None
    closed: tuple[str, ...] = ()

    def digest(self, part: Path) -> tuple[str, int]:
        """What dialogues of a part can depend on, as one hash, and the number of its samples."""
        own, related = self._samples(part)
        uids = related["uid"].combine_chunks()
        digest = hashlib.sha256()
        tables = [related, *self._facts_and_scopes(uids)]
        tables += [rows_of(self.root, "captions", uids, _CAPTIONS), rows_of(self.root, "regions", uids, _REGIONS)]
        for table in tables:
            for row in sorted(map(repr, table.to_pylist())):
                digest.update(row.encode())
        return digest.hexdigest(), len(own)

    def of_part(self, part: Path) -> list[Case]:
        """The cases of one part, in its order; none of overviews."""
        own, related = self._samples(part)
        cases = self._cases(related)
        by_subject: dict[str, list[Case]] = defaultdict(list)
        for case in cases.values():
            by_subject[case.row["subject"]].append(case)
        return [_with_earlier(cases[uid], by_subject[cases[uid].row["subject"]]) for uid in own if uid in cases]

    def _samples(self, part: Path) -> tuple[list[str], pa.Table]:
        """Uids of a part, and the rows of all samples of its subjects."""
        rows = read_parts([part], table_schema("samples"), ["uid", "subject", "kind"])
        rows = rows.filter(pc.not_equal(rows["kind"], OVERVIEW))
        subjects = pc.field("subject").isin(pc.unique(rows["subject"].combine_chunks()))
        dataset = part_dataset(part_paths(self.root, "samples"), table_schema("samples"))
        related = dataset.to_table(columns=list(_SAMPLES), filter=subjects & (pc.field("kind") != OVERVIEW))
        return rows["uid"].to_pylist(), related

    def _cases(self, samples: pa.Table) -> dict[str, Case]:
        uids = samples["uid"].combine_chunks()
        facts, scopes = self._facts_and_scopes(uids)
        said = subjects_of(samples, facts, scopes, self.banks, self.precedence, self.closed)
        subjects = {subject.uid: (subject, bank) for subject, bank in said}
        known = CheckTask(self.root, None, (), True, VERSION, self.key_file).known(uids)
        captions, regions = self._captions(uids), self._regions(uids)
        of_case: dict[str, dict[str, None]] = defaultdict(dict)
        for row in facts.to_pylist():
            if _OF_CASE in (row["attributes"] or ""):
                of_case[row["uid"]][row["concept"]] = None
        found = {}
        for row in samples.to_pylist():
            uid, modality = row["uid"], row["modality"]
            bare = Subject(uid, modality, body_part(row["attributes"]), ()), bank_for(self.banks, modality)
            subject, bank = subjects.get(uid, bare)
            own = tuple(_of_finding(region, subject) for region in regions[uid])
            found[uid] = Case(row, subject, bank, *known[uid], tuple(captions[uid]), own, tuple(of_case[uid]))
        return found

    def _facts_and_scopes(self, uids: pa.Array) -> tuple[pa.Table, pa.Table]:
        return facts_and_scopes(self.root, uids, self.facts_source, fact_columns=_FACTS, named_scopes=True)

    def _captions(self, uids: pa.Array) -> Mapping[str, list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        for row in rows_of(self.root, "captions", uids, _CAPTIONS).to_pylist():
            if row["kind"] == _RAW and row["lang"] in (None, "en"):
                found[row["uid"]].append(row)
        return found

    def _regions(self, uids: pa.Array) -> Mapping[str, list[Region]]:
        concepts: dict[str, str] = {}
        structures: dict[str, str] = {}
        for row in rows_of(self.root, "facts", uids, _FACTS).to_pylist():
            region = row["region_id"]
            if region and row["concept"] == STRUCTURE:
                structures[region] = str(mapping_of(row["attributes"]).get("name") or "")
            elif region and row["polarity"] == "present" and not (row["source"] or "").startswith(MEASURED):
                concepts.setdefault(region, row["concept"])
        found: dict[str, list[Region]] = defaultdict(list)
        for row in rows_of(self.root, "regions", uids, _REGIONS).to_pylist():
            name = row["region_id"]
            said = row["phrase"] or structures.get(name) or concepts.get(name) or ""
            phrase = _ARTICLE.sub("", said.replace("_", " ").strip())
            if phrase:
                box = tuple(row["box"]) if row["box"] else None
                found[row["uid"]].append(Region(name, box, concepts.get(name), phrase))
        return found


def _of_finding(region: Region, subject: Subject) -> Region:
    """The region with the finding of its name: who outlines and who reports need not know of each other."""
    if region.concept is not None:
        return region
    there = (fact.concept for fact in subject.facts if fact.polarity == "present")
    named = next((concept for concept in there if name_key(concept) == name_key(region.phrase)), None)
    return replace(region, concept=named)


def _with_earlier(case: Case, others: Iterable[Case]) -> Case:
    """The case with the examination before it, where the corpus has one."""
    before = [other for other in others if _is_before(other.row, case.row)]
    if not before:
        return case
    earlier = max(before, key=lambda other: (other.row["datetime"], other.uid))
    return Case(
        case.row, case.subject, case.bank, case.known, case.vocabulary, case.reports, case.regions, case.of_case,
        earlier,
    )  # fmt: skip


def _is_before(one: Row, other: Row) -> bool:
    """Whether one image is of an earlier examination of the same kind, or an earlier date of the same place."""
    if not one["datetime"] or not other["datetime"] or one["datetime"][:10] >= other["datetime"][:10]:
        return False
    if (one["modality"], one["kind"], one["axes"]) != (other["modality"], other["kind"], other["axes"]):
        return False
    first, second = mapping_of(one["attributes"]), mapping_of(other["attributes"])
    if first.get("place") or second.get("place"):
        return bool(first.get("place") == second.get("place") and first.get("product") == second.get("product"))
    return bool(one["study"] and other["study"] and one["study"] != other["study"])


def askable(case: Case, concepts: Sequence[str]) -> list[str]:
    """Those of some concepts that can be asked about by name.

    Not what only metadata tell, nor what is the look of the whole picture and no thing in it ("normal"), nor grades.
    """
    return [concept for concept in concepts if _is_a_thing(case, concept)]


def _is_a_thing(case: Case, concept: str) -> bool:
    wording = case.bank.wording_of(concept)
    if wording.is_property or concept[-1:].isdecimal():
        return False
    own = case.bank.concepts.values()
    if wording not in own:
        return True
    return any(field in pattern for pattern in wording.patterns["present"] for field in _NAMED)


_NAMED = ("{name}", "{a_name}", "{found}", "{finding}")
