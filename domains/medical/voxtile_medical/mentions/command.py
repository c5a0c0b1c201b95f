"""`voxtile facts CORPUS --from mentions`: regions of the PET from sentences that name an SUVmax and a slice."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import InputError
from voxtile_medical.mentions.growing import SuvVolume, box_of
from voxtile_medical.mentions.match import Matched, Refused, match
from voxtile_medical.mentions.naming import finding_of
from voxtile_medical.mentions.sentences import Mention, Unusable, mentions_of
from voxtile_medical.reports.lexicon import Lexicon, lexicon_files, lexicon_path, load_lexicon

RULE = "suv-mentions@1"
CONFIDENCE = "mention-confidence"
_SUV_UNITS = ("SUVbw",)
# What a worker needs of a sample's row: reading it there would open every part of the table for every study.
_COLUMNS = (
    "uid", "study", "kind", "modality", "units", "axes", "shape", "dtype", "channels", "affine", "spacing", "shard",
    "codec", "offset", "nbytes", "sha256", "ref", "attributes",
)  # fmt: skip


@dataclass(frozen=True)
class MentionTask:
    """The engine task: an item is a study with a report and a PET.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        lexicon: names regions by the findings that it knows; None leaves the sentence's own words.
    """

    corpus: Path
    lexicon: Path | None = None

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "mentions"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "2"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        if self.lexicon is None:
            return {"rule": RULE}
        files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in lexicon_files(self.lexicon)]
        return {"rule": RULE, "lexicon_sha256": files}

    def items(self) -> Iterator[Item]:
        """One item a study that has a PET and a report.

        Raises:
            InputError: there is none.
        """
        corpus = Corpus(self.corpus)
        captions = corpus.table("captions", ["uid", "text", "kind"]).to_pylist()
        texts: dict[str, list[str]] = defaultdict(list)
        for row in captions:
            if row["kind"] == "raw":
                texts[row["uid"]].append(row["text"])
        studies: dict[str, list[Row]] = defaultdict(list)
        for row in corpus.table("samples", _COLUMNS).to_pylist():
            if row["study"] and row["kind"] == "volume":
                studies[row["study"]].append(row)
        found = False
        for study, rows in sorted(studies.items()):
            pets = [row for row in rows if row["modality"] == "PT"]
            reports = list(dict.fromkeys(text for row in rows for text in texts[row["uid"]]))
            if pets and reports:
                found = True
                volumes = sorted(rows, key=lambda row: str(row["uid"]))
                cost = sum(row["nbytes"] or 0 for row in pets)
                yield Item(f"study/{study}", {"volumes": volumes, "reports": reports}, cost=cost)
        if not found:
            raise InputError(
                f"'{self.corpus}' has no PET with a report; convert PET with: voxtile convert dicom … --reports FILE"
            )

    def process(self, item: Item) -> Outcome:
        """Regions, facts and scores of one study."""
        mentions = [found for report in item.inputs["reports"] for found in mentions_of(report)]
        if not mentions:
            return Outcome("dropped", reason="no-mention", detail="no sentence of the report names an SUV")
        rows = item.inputs["volumes"]
        pets = [row for row in rows if row["modality"] == "PT" and row["units"] in _SUV_UNITS]
        if not pets:
            return Outcome("dropped", reason="no-suv", detail="the PET's values are no SUV by body weight")
        pet = max(pets, key=lambda row: (int(np.prod(row["shape"])), row["uid"]))
        if self.lexicon is not None:
            mentions = [_named(mention, load_lexicon(self.lexicon)) for mention in mentions]
        results = _match_all(mentions, _suv_of(Corpus(self.corpus), pet), pet, rows)
        return _outcome(pet["uid"], results)


def _named(mention: Mention | Unusable, lexicon: Lexicon) -> Mention | Unusable:
    if isinstance(mention, Unusable):
        return mention
    return replace(mention, phrase=finding_of(mention, lexicon) or mention.phrase)


def _match_all(
    mentions: list[Mention | Unusable], suv: SuvVolume, pet: Row, rows: list[Row]
) -> list[Matched | Refused | Unusable]:
    """Each mention's region; one that falls into an earlier mention's region repeats it."""
    results: list[Matched | Refused | Unusable] = []
    accepted: list[Matched] = []
    for mention in mentions:
        found = mention if isinstance(mention, Unusable) else match(mention, suv, pet, rows)
        if isinstance(found, Matched):
            if any(other.grown.mask[found.grown.seed.index] for other in accepted):
                found = Refused(found.mention, "repeats", "an earlier sentence names the same lesion")
            else:
                accepted.append(found)
        results.append(found)
    return results


def _outcome(uid: str, results: list[Matched | Refused | Unusable]) -> Outcome:
    masks: list[Mask] = []
    facts: list[Row] = []
    scores: list[Row] = []
    for found in results:
        if isinstance(found, Matched):
            called = found.mention.phrase
            # The same sentence may be read again with a lexicon.
            key = f"{RULE} {found.grown.seed.index} {called}"
            region_id = sample_uid(uid, found.mention.sentence, key)
            region = {"region_id": region_id, "uid": uid, "phrase": called, "source": RULE}
            masks.append(_mask(region, found.grown.mask))
            facts.append(_fact(uid, region_id, found))
            scores.append(
                {"uid": uid, "name": f"{CONFIDENCE}/{region_id}", "value": found.confidence, "producer": RULE}
            )
    parts = tuple(
        Part(uid, "dropped", found.reason, found.detail) for found in results if not isinstance(found, Matched)
    )
    if not masks:
        return Outcome("dropped", reason=parts[0].reason, detail=parts[0].detail, parts=parts[1:])
    return Outcome("used", tables={"facts": facts, "scores": scores}, masks=tuple(masks), parts=parts)


def _mask(region: Row, mask: npt.NDArray[np.bool_]) -> Mask:
    """A mask as the part of the volume that it fills."""
    box = box_of(mask)
    low, high = [int(edge) for edge in box[:3]], [int(edge) for edge in box[3:]]
    part = np.ascontiguousarray(mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
    return Mask(region | {"box": box}, part, shape=mask.shape, corner=tuple(low))


def _fact(uid: str, region_id: str, found: Matched) -> Row:
    mention, grown = found.mention, found.grown
    attributes: dict[str, Any] = {
        "region": mention.phrase,
        "evidence": [mention.sentence],
        "measured": round(grown.seed.value, 3),
        "seed": list(grown.seed.index),
        "threshold": grown.threshold,
        "volume_ml": round(grown.volume_ml, 2),
        "confidence": round(found.confidence, 3),
    }
    if mention.side:
        attributes["laterality"] = mention.side
    return {
        "uid": uid,
        "concept": "SUVmax",
        "polarity": "present",
        "value": mention.suv,
        "unit": "SUVbw",
        "attributes": json.dumps(attributes, sort_keys=True),
        "region_id": region_id,
        "source": RULE,
    }


def _suv_of(corpus: Corpus, row: Row) -> SuvVolume:
    channel = row["channels"][0]
    values = corpus.source(row).array().astype(np.float64) * channel["scale"] + channel["offset"]
    return np.asarray(values, np.float32)


def facts_from_mentions(
    corpus: Path,
    *,
    lexicon: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Turn sentences that name an SUVmax and a slice into regions of the PET: weak labels for grounding.

    "FDG-avid nodule in the left upper lobe, SUVmax 8.3 (series 4, image 112)": the seed is the local maximum of that
    slice whose value rounds to 8.3; it grows to all that is connected above 41 % of it. The region gets the sentence's
    phrase, a fact (SUVmax) and a score (confidence). A mention that contradicts the picture is refused by name: the
    ledger holds each (no-agreement, side-contradicts, no-such-slice, …).

    Args:
        corpus: a corpus with PET in SUV by body weight and reports; image and series numbers are those of DICOM.
        lexicon: petct, radiology, or a YAML file: regions are then called by the finding that their sentence affirms,
            with its side ("left adrenal metastasis"), so that many sentences teach one phrase; a sentence that affirms
            none of its findings, or several, leaves its own words.
        run: options of the run.

    Raises:
        InputError: the corpus has no PET with a report, or the lexicon cannot be read.
    """
    path = None if lexicon is None else lexicon_path(lexicon)
    summary = run_task(MentionTask(corpus, path), corpus, RunOptions(**run))
    regions = Corpus(corpus).table("regions", ["source"])["source"].to_pylist().count(RULE)
    left: Counter[str] = summary.left_out + Counter(summary.reasons["dropped"])
    table = Table(title="sentences that name an SUV", show_header=False)
    table.add_row("regions", str(regions))
    for reason, count in sorted(left.items()):
        table.add_row(f"  {reason}", str(count))
    output().print(table)
    summary.raise_if_failed()
