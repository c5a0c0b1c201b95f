"""Texts of strangers: reports, captions, names, dates, replies of language models and what servers say."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pyarrow as pa
from target import Target, as_text, file_of, texts

from voxtile.corpus.splits import parse_fractions
from voxtile.stages.ingest.text import check_texts
from voxtile.words.phrases import Phrases, expand
from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.opinion.ask import objections
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.providers.cache import _unpacked
from voxtile_datasets.captions.providers.gguf import read_header as read_gguf
from voxtile_datasets.captions.providers.http.address import checked_base_url
from voxtile_datasets.captions.providers.http.chat_api import read_answer
from voxtile_datasets.captions.providers.http.refusals import TryError, message_of, retry_after
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.providers.structured import checked_against
from voxtile_datasets.deidentification.find import identifiers
from voxtile_datasets.deidentification.scrub import scrub
from voxtile_datasets.intake.subject_pattern import subject_finder
from voxtile_datasets.licences.licence import read_licence
from voxtile_datasets.report_reading.reply import read_reply
from voxtile_medical.figures.panels import take_apart
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_pathology.reports.lexicon import load_lexicon as load_slide_lexicon
from voxtile_pathology.reports.read import read_slide_report

_REPORT = """CLINICAL HISTORY: 63 y/o man, Mr. John Q. Public, MRN 1234567, seen 03/04/2019.
FINDINGS: There is no pneumothorax. A 12 x 8 mm nodule in the right upper lobe (series 3, image 41), previously 1.1 cm.
Small left pleural effusion; no evidence of consolidation, but atelectasis cannot be excluded. Heart size is normal.
IMPRESSION: 1. Nodule, unchanged. 2. Small effusion. Tel. (555) 123-4567, http://example.org/x
"""
_SLIDE_REPORT = """SPECIMEN A: Breast, left, core biopsy. Invasive ductal carcinoma, Nottingham grade 2 (3+2+1 = 6/9).
ER positive (95%), PR negative, HER2 1+. No lymphovascular invasion. pT1c pN0 (sn). Gleason 3 + 4 = 7.
"""
_CAPTION = "An axial CT of a 63-year-old with a 12 mm nodule in the right upper lobe and no effusion, taken in 2019."
_ANSWER = {"choices": [{"index": 0, "message": {"content": "A nodule."}, "finish_reason": "stop"}],
           "usage": {"prompt_tokens": 7, "completion_tokens": 3}}  # fmt: skip
_FOUND = '[{"finding": "nodule", "words": "a nodule", "polarity": "present"}, {"finding": "x", "words": "no x"}]'
_SCHEMA = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}, "required": ["a"]}
_FACT = {
    "uid": "0", "concept": "nodule", "polarity": "present", "value": 12.0, "unit": "mm", "code": None,
    "attributes": '{"laterality": "right"}', "region_id": None, "source": "labels",
}  # fmt: skip
_KNOWN = [_FACT, {**_FACT, "concept": "effusion", "polarity": "absent", "value": None, "unit": None}]
_SCOPE = {"uid": "0", "vocabulary": "v", "closed": True, "concepts": ["nodule", "effusion"]}


@cache
def _vocabulary(name: str) -> Any:
    found = installed_vocabularies()
    return found[name if name in found else next(iter(found))]


def _checked(data: bytes) -> None:
    check(as_text(data), Known(_KNOWN, [_SCOPE]), _vocabulary("radiology"))


def _facts(data: bytes) -> None:
    """Facts of a table from elsewhere; a text against them."""
    try:
        rows = json.loads(data)
    except ValueError:  # a number of thousands of digits among others; it is no table of ours
        return
    if isinstance(rows, list):
        kept = [{**_FACT, **{k: v for k, v in row.items() if _fits(k, v)}} for row in rows[:5] if isinstance(row, dict)]
        check(_CAPTION, Known(kept, [_SCOPE]), _vocabulary("radiology"))


def _fits(column: str, value: object) -> bool:
    """Whether a Parquet column of the schema could hold it."""
    if column in ("value",):
        return isinstance(value, float)
    return column in ("concept", "polarity", "unit", "attributes", "code") and isinstance(value, str)


def _phrases(data: bytes) -> None:
    lines = as_text(data).split("\n")[:20]
    found: Phrases[int] = Phrases(((tuple(words), n) for n, line in enumerate(lines) for words in expand(line)))
    found.find(words_of(" ".join(lines)).words)


def _split(data: bytes) -> None:
    parse_fractions(as_text(data))


def _scrubbed(data: bytes) -> None:
    scrub(as_text(data), ["John Q. Public"], ["1234567"], ["Springfield"])


def _answered(data: bytes) -> None:
    checked_against(_SCHEMA, Reply(as_text(data), 1, 1, 0.0, 0.0, False, "a" * 64, None, "2026-01-01"))


def _pattern(data: bytes) -> None:
    subject_finder(as_text(data)[:40])("p1/a.png")


def _model_file(data: bytes) -> None:
    read_gguf(file_of(data, "models/a.gguf"))


def _gguf() -> list[bytes]:
    text = lambda s: len(s).to_bytes(8, "little") + s  # noqa: E731
    kind = lambda n: n.to_bytes(4, "little")  # noqa: E731
    entries = [
        text(b"general.architecture") + kind(8) + text(b"gemma3"),
        text(b"gemma3.context_length") + kind(4) + (32768).to_bytes(4, "little"),
        text(b"tokens") + kind(9) + kind(8) + (2).to_bytes(8, "little") + text(b"a") + text(b"b"),
    ]
    head = b"GGUF" + kind(3) + bytes(8) + len(entries).to_bytes(8, "little")
    return [head + b"".join(entries)]


def _cached() -> list[bytes]:
    content = json.dumps({"text": "a"}).encode()
    return [len(content).to_bytes(4, "little") + pa.compress(content, codec="zstd", asbytes=True)]


TARGETS = (
    Target("words", lambda data: words_of(as_text(data)), texts(_REPORT, _CAPTION, "naïve 5µm ½ cm³ ﬁnding")),
    Target(
        "phrases of a vocabulary", _phrases, texts("(left|right) lung [base]\nnodule(s)", "a b c\nd"), (ValueError,)
    ),
    Target(
        "identifiers in a text", lambda data: identifiers(as_text(data)), texts(_REPORT, "seen by Dr. Smith on 3 May")
    ),
    Target("scrubbing of a text", _scrubbed, texts(_REPORT)),
    Target("report of radiology", lambda data: read_report(as_text(data), load_lexicon()), texts(_REPORT)),
    Target(
        "report of a slide", lambda data: read_slide_report(as_text(data), load_slide_lexicon()), texts(_SLIDE_REPORT)
    ),
    Target("caption against facts", _checked, texts(_CAPTION, "No nodule is seen; the left lung has a 3 cm mass.")),
    Target(
        "facts against a caption",
        _facts,
        texts(json.dumps(_KNOWN)),
        (json.JSONDecodeError, UnicodeDecodeError, RecursionError),
    ),
    Target(
        "panels of a caption",
        lambda data: take_apart(as_text(data)),
        texts("(A) CT. (B, C) MR. D-F: PET.", "a) x b) y"),
    ),
    Target("imported captions", lambda data: check_texts([data, as_text(data)]), texts("a nodule", "\0 \x1b[31m")),
    Target(
        "licence", lambda data: read_licence(as_text(data)), texts("CC BY-NC 4.0; not stated", "CC0-1.0 (synthetic)")
    ),
    Target("split fractions", _split, texts("0.8,0.1,0.1", "0.72,0.08,0.2")),
    Target("subject pattern", _pattern, texts(r"^(\w+?)/", r"(?P<a>p\d)/(.*)")),
    Target(
        "reply of findings",
        lambda data: read_reply(as_text(data)),
        texts(_FOUND, "Sure:\n```json\n" + _FOUND + "\n```"),
    ),
    Target(
        "reply of an endpoint", lambda data: read_answer(data, Request("q")), texts(json.dumps(_ANSWER)), (TryError,)
    ),
    Target("refusal of an endpoint", message_of, texts('{"error": {"message": "too many", "code": 429}}', "<html>no")),
    Target(
        "Retry-After",
        lambda data: retry_after({"retry-after": as_text(data)}),
        texts("120", "Wed, 21 Oct 2015 07:28:00 GMT", "-1.5e3"),
    ),
    Target("reply by a schema", _answered, texts('{"a": [1, 2]}', '```json\n{"a": []}\n```')),
    Target(
        "second opinion",
        lambda data: objections(_CAPTION, as_text(data)),
        texts('{"objections": [{"words": "12 mm nodule", "judgement": "contradicted", "why": "x"}]}'),
    ),
    Target(
        "address of an endpoint",
        lambda data: checked_base_url(as_text(data), with_key=True),
        texts("http://127.0.0.1:8000/v1", "https://user:pw@host/v1?x=1", "http://[::1]:80/v1"),
    ),
    Target("cached reply", _unpacked, _cached, (OSError, pa.ArrowException)),
    Target("GGUF model", _model_file, _gguf),
)
