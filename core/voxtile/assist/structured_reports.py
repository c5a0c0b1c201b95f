"""A drafted report as a DICOM structured report of the scan that it was drafted of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import voxtile
from voxtile.assist.speaking.replies import Claim, Reply
from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.corpus.writer import JobWriter
from voxtile.domain import discover
from voxtile.errors import ConfigError, InputError
from voxtile.formats.dicom_seg import Segment, write_segments
from voxtile.formats.dicom_sr import Finding, findings, write_drafted_sr
from voxtile.stages.ground.files import Found
from voxtile.stages.ground.sources import kind_of

_READER = "reports"  # of `voxtile facts --from`
_EVERYTHING = "general"  # all that the lexicon of the reader knows


class StructuredReports:
    """Drafts of a scan's series, collected and written.

    The sentences are read by the rules of `voxtile facts --from reports`: each finding that they name is an item of the
    report, with its code, side and size, the sentence and its support. A sentence that names none is a remark. Places
    that sentences point at are written as segments beside it, to which the items refer.

    Args:
        scan: file or folder of DICOM.
        out: the file; of several series each has a name of its own beside it.

    Raises:
        ConfigError: no file is named.
        InputError: the scan is no DICOM.
    """

    def __init__(self, scan: Path, out: Path | None) -> None:
        if out is None or out.is_dir() or not out.suffix:
            raise ConfigError("--to dicom-sr writes a file; name it with --out, such as --out report.dcm")
        if (kind := kind_of(scan)) != "dicom":
            raise InputError(f"'{scan}' is {kind}, and a DICOM report refers to a DICOM series; give the series")
        self._series, self._out = scan if scan.is_dir() else scan.parent, out
        self._drafts: dict[str, tuple[Reply, Sequence[Found | None]]] = {}

    def add(self, name: str, reply: Reply, places: Sequence[Found | None]) -> None:
        """Keep a draft.

        Args:
            name: first letters of the uid of its sample.
            reply: the draft.
            places: what each claim points at.
        """
        self._drafts[name] = reply, places

    def write(self, corpus: Path) -> list[Path]:
        """Write the reports.

        Args:
            corpus: what the scan was converted to; facts are added to it.

        Raises:
            ConfigError: no installed domain reads reports, or a study was reported as one image.
            MissingExtraError: highdicom is not installed.
        """
        rows = {row["uid"][:12]: row for row in Corpus(corpus).table("samples", with_root=True).to_pylist()}
        if not set(self._drafts) <= set(rows):
            raise ConfigError("this model reports on a study as one image, and a DICOM report is of one series")
        _read(corpus, {rows[name]["uid"]: reply for name, (reply, _) in self._drafts.items()})
        opened, written = Corpus(corpus), list[Path]()
        for name, (reply, places) in self._drafts.items():
            sample, several = opened.source(rows[name]), len(self._drafts) > 1
            out = self._out.with_name(f"{self._out.stem}-{name}{self._out.suffix}") if several else self._out
            segments, files = self._segments(opened, sample, places, out)
            stated, remarks = _stated(list(findings(opened, sample.meta["uid"])), reply, segments)
            written += [*files, *write_drafted_sr(opened, sample, stated, remarks, out, self._series)]
        return written

    def _segments(
        self, corpus: Corpus, sample: StoredSample, places: Sequence[Found | None], out: Path
    ) -> tuple[dict[int, tuple[Path, int]], list[Path]]:
        """Segments of claims by their number, and the files that hold them."""
        shown = {n: place for n, place in enumerate(places) if place is not None and place.mask.any()}
        if not shown or "Z" not in sample.meta["axes"]:  # a picture has no frame of reference to draw in
            return {}, []
        drawn = {"algorithm": "AUTOMATIC", "software": f"voxtile {voxtile.__version__}"}
        segments = [
            Segment({"region_id": f"{sample.meta['uid']}-{n + 1}", "phrase": place.phrase}, None, drawn, place.mask)
            for n, place in shown.items()
        ]
        target = out.with_name(f"{out.stem}.seg{out.suffix}")
        files = write_segments(sample, segments, corpus.roots[0], target, self._series)
        return {n: (files[0], number) for number, n in enumerate(shown, start=1)}, files


def _read(corpus: Path, replies: Mapping[str, Reply]) -> None:
    """Have the domain that reads reports find the facts of drafts."""
    readers = [domain.facts[_READER] for domain in discover()[0].values() if _READER in domain.facts]
    if not readers:
        raise ConfigError("no installed domain reads reports; install voxtile with its extra: voxtile[medical]")
    drafts = [
        {"caption_id": f"draft-{uid}", "uid": uid, "text": reply.text, "kind": "raw", "lang": "en"}
        for uid, reply in replies.items()
        if reply.claims
    ]
    if not drafts:
        return
    writer = JobWriter(corpus, "drafts")
    writer.add_rows("captions", drafts)
    writer.publish()
    with redirect_stdout(StringIO()):  # its summary says nothing of a draft
        readers[0].load()(corpus, vocabulary=_EVERYTHING, engine="inline")


def _stated(
    facts: Sequence[Mapping[str, Any]], reply: Reply, segments: Mapping[int, tuple[Path, int]]
) -> tuple[list[Finding], list[str]]:
    """Facts with the sentences that say them, and remarks: the warning, and the sentences that state nothing known."""
    found, used = [], set[int]()
    for fact in facts:
        number = _claim_of(fact, reply.claims)
        if number is None:
            found.append(Finding(fact))
            continue
        used.add(number)
        claim = reply.claims[number]
        segment = segments.get(number) if fact["polarity"] == "present" else None
        found.append(Finding(fact, claim.text, claim.support, segment))
    remarks = [reply.warning, *([] if reply.ended else ["The draft was cut at its longest length."])]
    return found, remarks + [claim.text for number, claim in enumerate(reply.claims) if number not in used]


def _claim_of(fact: Mapping[str, Any], claims: Sequence[Claim]) -> int | None:
    """Number of the sentence that a fact was read in."""
    evidence = fact["attributes"].get("evidence") or ()
    words = [" ".join(sentence.split()) for sentence in ([evidence] if isinstance(evidence, str) else evidence)]
    for number, claim in enumerate(claims):
        own = " ".join(claim.text.split())
        if any(sentence in own or own in sentence for sentence in words):
            return number
    return None
