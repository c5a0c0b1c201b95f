"""The files of a corpus that came from elsewhere: header, records of jobs and runs, selections, references, addresses."""  # noqa: E501

from __future__ import annotations

import json

from target import Target, as_text, file_of, scratch, texts

from voxtile.corpus.confidentiality import confidentiality_of
from voxtile.corpus.forgotten import ForgottenSubjects
from voxtile.corpus.header import check_corpus
from voxtile.corpus.references import check_unchanged, parse_reference, reference_path
from voxtile.corpus.remote.address import parse_address
from voxtile.corpus.remote.mirror import Mirror
from voxtile.corpus.remote.objects import recorded_in
from voxtile.corpus.sql_condition import check_condition
from voxtile.corpus.view.selection import Selection
from voxtile.engine.commit import read_done
from voxtile.engine.manifest import jobs_in_manifests

_SHA = "ab" * 32


def _header(data: bytes) -> None:
    check_corpus(file_of(data, "header/corpus.json").parent)


def _done(data: bytes) -> None:
    list(read_done(file_of(data, "done_of/done/a.json").parents[1], "convert-dicom"))


def _manifest(data: bytes) -> None:
    root = file_of(data, "manifest_of/manifests/0001.json").parents[1]
    jobs_in_manifests(root)
    confidentiality_of(root, {"shard": "shards/a.tar"})


def _forgotten(data: bytes) -> None:
    found = ForgottenSubjects.of(file_of(data, "forgotten_of/forgotten.json").parent)
    found.with_subjects(["subject"])


def _selection(data: bytes) -> None:
    found = Selection(file_of(data, "selection/selection.json").parent)
    found.outgrown("view", 3)
    found.check_scheme("default", "view")


def _reference(data: bytes) -> None:
    row = {"uid": "0" * 32, "ref": as_text(data)}
    fields = parse_reference(row)
    file_of(bytes(10), "referenced.bin")
    check_unchanged(reference_path(scratch(), row["uid"], fields), fields)


def _mirror(data: bytes) -> None:
    mirror = Mirror.read(file_of(data, "mirror/.remote.json").parent)
    for name in mirror.shards:
        mirror.block_path(name)


_FILES = {"shards/a.tar": {"sha256": _SHA, "bytes": 10240}, "tables/samples/a.parquet": {"sha256": _SHA, "bytes": 1}}
_DONE = {
    "job": _SHA, "task": "convert-dicom", "version": "1", "config_sha256": _SHA, "attempt": 0, "stem": "a",
    "items": [[_SHA, "a.dcm", "used", None, 1], [_SHA, "b.dcm", "failed", "truncated", 0, {"no-text": 1}]],
    "files": _FILES,
}  # fmt: skip
_MANIFEST = {
    "task": "convert-dicom", "jobs": [_SHA], "files": _FILES, "counts": {"samples": 1}, "deidentify": True,
    "deidentification": [{"code": "113100", "meaning": "Basic", "scheme": "DCM"}],
}  # fmt: skip
_SELECTION = {"scheme": "default", "weighted": True, "sha256": _SHA, "of_samples": 4, "steps": [{"name": "dedup"}]}
_MIRROR = {"url": "s3://bucket/corpus", "shards": {"shards/a.tar": [10240, "tag"]}, "contents": {"shards/a.tar": _SHA},
           "small": {"corpus.json": [55, "tag"]}}  # fmt: skip
_REFERENCE = {"uri": "referenced.bin", "box": [0, 0, 1, 1], "bytes": 10, "layers": [["b.tif", "1"]]}

TARGETS = (
    Target("corpus header", _header, texts('{"format": "voxtile-corpus", "schema": "2.0"}')),
    Target("done file", _done, texts(json.dumps(_DONE))),
    Target("manifest", _manifest, texts(json.dumps(_MANIFEST))),
    Target("forgotten subjects", _forgotten, texts(json.dumps({"salt": "00ff", "subjects": [_SHA]}))),
    Target("selection", _selection, texts(json.dumps(_SELECTION))),
    Target("reference", _reference, texts(json.dumps(_REFERENCE), '{"uri": "voxtile-source:abc"}')),
    Target("mirror of a remote corpus", _mirror, texts(json.dumps(_MIRROR))),
    Target("record of a remote corpus", lambda data: recorded_in("done/a.json", data), texts(json.dumps(_DONE))),
    Target(
        "address of a corpus",
        lambda data: parse_address(as_text(data)),
        texts("s3://bucket/prefix", "gs://b/p/q", "https://host:8080/a/b", "http://127.0.0.1:9000/x", "folder/corpus"),
    ),
    Target(
        "condition of --where",
        lambda data: check_condition(as_text(data), "--where", {"samples", "facts"}),
        texts(
            "modality = 'CT' AND spacing[1] < 2.5",
            "uid IN (SELECT uid FROM facts WHERE polarity = 'present')",
            "1=1; DROP TABLE samples",
            "(WITH a AS (SELECT 1 x) SELECT x FROM a) = 1",
            "list_any(axes, x -> x > 1)",
        ),
    ),
)
