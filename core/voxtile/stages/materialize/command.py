"""`voxtile materialize`: a derived corpus at a preset's resolution, read faster than the original."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.bounded_text import load_json
from voxtile.console import output
from voxtile.corpus.confidentiality import Code, confidentiality_of
from voxtile.corpus.header import corpus_home, corpus_root
from voxtile.corpus.packing.same_folder import BuiltAnewError, noted_folders, require_same_folder
from voxtile.corpus.parts import part_batches, part_paths, read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row, Sample, check_recorded_parts
from voxtile.corpus.reference_roots import named_roots, only_references_in
from voxtile.corpus.schema import SAMPLES, TABLES
from voxtile.corpus.source import StoredSample
from voxtile.corpus.writer import append_rows
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, CorpusError, InputError, PresetError
from voxtile.listed_classes import hashed_name
from voxtile.trusted_packages import checked_packages

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from voxtile.data.presets.base import Preset
    from voxtile.stages.materialize.derive import Derived


_UNFIT = "unfit-for-preset"
_AT_ONCE = 1000  # rows
_STORED = ("shard", "codec", "offset", "nbytes", "sha256", "shape", "dtype", "ref")


def materialize_corpus(
    corpus: Path,
    out: Path,
    *,
    preset: str,
    references: Path | None = None,
    trust_package: tuple[str, ...] = (),
    **run: Any,  # noqa: ANN401
) -> None:
    """Store every sample at the resolution that a preset asks for.

    Uids stay the same; facts, scopes, captions, verdicts, dialogues, preferences, scores and splits come along, boxes
    of regions move with the pixels, and each row notes the hash of what it was made from. Samples that the preset
    cannot use are dropped.

    Args:
        corpus: folder of the corpus to read; it is not changed.
        out: folder of the derived corpus; the same command again adds what is new.
        preset: a YAML file, config (medical/ct) or base of configs (ctclip) with the preset, or its description in
            braces.
        references: folder whose files may be copied where samples are references to them.
        trust_package: package of your own whose classes the preset's description may name; repeat it for further ones.
        run: how to run: workers, on_error, retry, dry_run, …

    Raises:
        ConfigError: no such preset, or `out` lies in the corpus.
        PresetError: the preset suits no sample of the corpus.
        CorpusError: a corpus is damaged or cannot be written.
        RunFailedError: some samples failed; the rest is stored.
    """
    from voxtile.engine.run import RunOptions, run_task
    from voxtile.stages.materialize.preset_file import read_preset

    options = RunOptions(**run)
    trusted = checked_packages(trust_package)
    described = read_preset(preset)
    corpus = corpus_root(corpus)
    from voxtile.data.presets.load import preset_from_config  # once both are there: it imports torch
    from voxtile.stages.materialize import picture, volume  # noqa: F401 - they register their rules
    from voxtile.stages.materialize.derive import require_rule

    prepared = preset_from_config(described, trusted=trusted)
    require_rule(prepared)
    description = prepared.to_config()
    if out.resolve().is_relative_to(corpus.resolve()) or corpus.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"'{out}' and '{corpus}' lie inside each other; name another folder for the derived corpus")
    task = MaterializeTask(corpus_home(corpus), json.dumps(description, sort_keys=True), json.dumps(_terms(corpus)))
    task = replace(task, references=tuple(map(str, named_roots(references))), trusted=trusted)
    with noted_folders([corpus]):
        check_recorded_parts(corpus, tuple(TABLES), contents=True)  # what is carried over gets valid hashes there
        summary = run_task(task, out, options, finish=lambda _: _finish(corpus, out))
    if summary.reasons["dropped"].get(_UNFIT) and (refusal := task.first_refusal()):
        output().print(f"{_UNFIT}: {refusal}", markup=False, highlight=False, soft_wrap=True)
    summary.raise_if_failed()


def _finish(corpus: Path, out: Path) -> Iterator[Path]:
    """Carry tables over, of the corpus that the samples came from."""
    try:
        require_same_folder(corpus)
    except BuiltAnewError as error:
        raise BuiltAnewError(
            f"'{corpus}' was built anew by another command (forget, migrate) while '{out}' was made of it; make that "
            "anew in another folder, since it may hold what was forgotten"
        ) from error
    return carry_tables(corpus, out)


@dataclass(frozen=True)
class MaterializeTask:
    """Brings each sample of a corpus to a preset's resolution.

    Attributes:
        corpus: folder to read; no part of the task's identity, so that corpora may move.
        preset: its description as JSON.
        terms: what the manifest repeats of the source: its first manifest's hash, licence and de-identification.
        references: folders that references may lead to; no part of the identity either.
        trusted: top-level packages whose presets may be named beside those that are listed; no part of it either.
    """

    corpus: str
    preset: str
    terms: str
    references: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Short name."""
        return "materialize"

    @property
    def version(self) -> str:
        """Version of the output."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """The preset and the terms of the source."""
        preset = json.loads(self.preset)
        return {"preset": {**preset, "class_path": hashed_name(preset["class_path"])}, **json.loads(self.terms)}

    @property
    def confidentiality_codes(self) -> tuple[Code, ...]:
        """Those of the source."""
        return confidentiality_of(corpus_root(self.corpus), {}).codes

    def items(self) -> Iterable[Item]:
        """One item a sample, which carries its whole row and regions.

        Raises:
            PresetError: the preset suits no sample.
            InputError: there is no sample.
        """
        corpus = Corpus(self.corpus)
        regions: dict[str, list[Row]] = {}
        for region in corpus.table("regions").to_pylist():
            regions.setdefault(region["uid"], []).append(region)
        rows = corpus.table("samples").to_pylist()
        if not rows:
            raise InputError(f"'{self.corpus}' holds no sample; convert something into it first")
        refusals = [self._refusal(row) for row in rows]
        if all(refusals):
            raise PresetError(str(refusals[0]))
        for row in rows:
            inputs = {"row": _jsonable(row), "regions": regions.get(row["uid"], [])}
            yield Item(row["uid"], inputs, cost=row["nbytes"] or 1)

    def process(self, item: Item) -> Outcome:
        """Derive one sample."""
        from voxtile.stages.materialize import picture, volume  # noqa: F401 - they register their rules
        from voxtile.stages.materialize.derive import derive

        row = _from_jsonable(item.inputs["row"])
        refusal = self._refusal(row)
        if refusal:
            return Outcome("dropped", _UNFIT, refusal)
        source = StoredSample(corpus_root(self.corpus), row)
        with only_references_in([Path(folder) for folder in self.references]):
            derived = derive(_preset(self.preset, self.trusted), source)
        attributes = json.loads(row.get("attributes") or "{}") | {"materialized_from": row["sha256"]}
        columns = {key: value for key, value in row.items() if key not in _STORED} | dict(derived.columns)
        columns["attributes"] = json.dumps(attributes, sort_keys=True)
        sample = Sample(columns, derived.payload, None if isinstance(derived.payload, bytes) else _preview(source))
        regions = [_moved(region, derived) for region in item.inputs["regions"]]
        return Outcome("used", samples=(sample,), tables={"regions": [region for region in regions if region]})

    def first_refusal(self) -> str | None:
        """Why the first sample that the preset cannot use is left out; None where it can use all."""
        parts = Corpus(self.corpus).parts("samples")
        batches = (batch for part in parts for batch in part_batches(part, _AT_ONCE, SAMPLES.names))  # to the first one
        rows = (row for batch in batches for row in batch.to_pylist())
        return next((refusal for refusal in map(self._refusal, rows) if refusal), None)

    def _refusal(self, row: Row) -> str | None:
        try:
            _preset(self.preset, self.trusted).check([row])
        except PresetError as error:
            return str(error)
        return None


def _moved(region: Row, derived: Derived) -> Row | None:
    """A region in the pixels of the result, without its mask; None where its box lies outside."""
    from voxtile.stages.materialize.derive import move_box

    box = move_box(region["box"], derived) if region["box"] else None
    if region["box"] and box is None:
        return None
    return region | {"box": box, "mask_shard": None, "mask_offset": None, "mask_nbytes": None}


def _preview(source: StoredSample) -> npt.NDArray[np.uint8] | None:
    from voxtile.corpus.shards.codecs import decode_picture

    encoded = source.preview()
    return decode_picture(encoded) if encoded else None


@cache
def _preset(description: str, trusted: tuple[str, ...]) -> Preset:
    from voxtile.data.presets.load import preset_from_config

    return preset_from_config(json.loads(description), trusted=trusted)


def _terms(corpus: Path) -> dict[str, Any]:
    """What the derived manifest says of the source. The first manifest names a corpus for good, however it grows."""
    manifests = [path.read_bytes() for path in sorted((corpus / "manifests").glob("*.json"))]
    try:
        entries = [dict(load_json(manifest)) for manifest in manifests]
    except (ValueError, TypeError) as error:
        raise CorpusError(f"a manifest of '{corpus}' is damaged; run 'voxtile verify' on it") from error
    licences = sorted({entry["licence"] for entry in entries if entry.get("licence")})
    policies = {entry["deidentify"] for entry in entries if entry.get("deidentify") is not None}
    return {
        "derived_from": hashlib.sha256(manifests[0]).hexdigest() if manifests else None,
        "licence": "; ".join(licences) or None,
        "deidentify": all(policies) if policies else None,
    }


def _jsonable(row: Row) -> Row:
    return {key: {"hex": value.hex()} if isinstance(value, bytes) else value for key, value in row.items()}


def _from_jsonable(row: Mapping[str, Any]) -> Row:
    binary = {
        key: bytes.fromhex(value["hex"]) for key, value in row.items() if isinstance(value, dict) and "hex" in value
    }
    return {**row, **binary}


# Table → the column that says what a row is about. Regions are not here: they move with the pixels.
_KEYS = {"facts": "uid", "scopes": "uid", "captions": "uid", "scores": "uid", "splits": "subject"}
_PREFIX = "from-"


def carry_tables(source: Path, target: Path) -> Iterator[Path]:
    """Copy the rows about samples (and subjects) that the target holds, a part for each part of the source.

    The parts are replaced when they exist, so that rows which the source has gained come along.

    Args:
        source: the corpus that was read.
        target: the derived corpus.

    Raises:
        CorpusError: a part of the source is damaged, or the target cannot be written.
    """
    derived = Corpus(target).table("samples", ["uid", "subject"])
    keep = {"uid": pc.unique(derived["uid"]), "subject": pc.unique(derived["subject"])}
    for table, key in _KEYS.items():
        yield from _carry(source, target, table, key, keep[key])
    captions = pc.unique(Corpus(target).table("captions", ["caption_id"])["caption_id"])
    for table in ("verdicts", "instructions"):
        yield from _carry(source, target, table, "caption_id", captions)
    regions = set(Corpus(target).table("regions", ["region_id"])["region_id"].to_pylist())
    uids = set(keep["uid"].to_pylist())
    yield from _carry_dialogues(source, target, uids, regions)
    for part in part_paths(source, "preferences"):
        rows: list[Row] = read_parts([part], table_schema("preferences"), table_schema("preferences").names).to_pylist()
        kept = [row for row in rows if uids.issuperset(row["uids"])]
        if (written := append_rows(target, "preferences", f"{_PREFIX}{part.stem}", kept)) is not None:
            yield written


def _carry(source: Path, target: Path, table: str, key: str, keep: pa.Array) -> Iterator[Path]:
    schema = table_schema(table)
    for part in part_paths(source, table):
        rows = read_parts([part], schema, schema.names)
        rows = rows.filter(pc.is_in(rows[key], keep))
        written = append_rows(target, table, f"{_PREFIX}{part.stem}", rows.to_pylist())
        if written is not None:
            yield written


def _carry_dialogues(source: Path, target: Path, samples: Collection[str], regions: Collection[str]) -> Iterator[Path]:
    """Whole dialogues alone: one of which a sample or a region is left out is left out."""
    schema = table_schema("dialogues")
    for part in part_paths(source, "dialogues"):
        rows: list[Row] = read_parts([part], schema, schema.names).to_pylist()
        lost = {
            row["dialogue_id"]
            for row in rows
            if not all(uid in samples for uid in row["uids"])
            or not all(region in regions for region in row["region_ids"] or ())
        }
        kept = [row for row in rows if row["dialogue_id"] not in lost]
        written = append_rows(target, "dialogues", f"{_PREFIX}{part.stem}", kept)
        if written is not None:
            yield written
