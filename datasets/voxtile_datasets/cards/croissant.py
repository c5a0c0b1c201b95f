"""A corpus as Croissant 1.1 (http://mlcommons.org/croissant/1.1): JSON-LD that says what its files and records are.

The tables are file sets of Parquet parts, read where they lie; the shards are archives with the pictures in them.
Provenance follows PROV-O, conditions of use follow DUO, and what the card says of people, machines and gaps follows the
vocabulary for responsible AI (http://mlcommons.org/croissant/RAI/1.0).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import voxtile
from voxtile.corpus.parts import part_paths
from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote.payloads import remote_address
from voxtile.corpus.schema import TABLES
from voxtile.corpus.shards.memory_maps import map_shard, shard_sizes
from voxtile.stages.verify.files import Recorded, read_records
from voxtile_datasets.cards.card import Card
from voxtile_datasets.cards.provenance import Run
from voxtile_datasets.cards.record_sets import descriptions_of_tables, picture_records, split_names, table_records
from voxtile_datasets.licences.licence import CREDENTIALED, NO_REDISTRIBUTION, NONCOMMERCIAL

VERSION = "http://mlcommons.org/croissant/1.1"
_RAI = "http://mlcommons.org/croissant/RAI/1.0"
_ROOT = "corpus"
_PICTURES = {"jpg": "image/jpeg", "png": "image/png"}

# The context of the specification's appendix 1, with the vocabularies that are used below.
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "duo": "http://purl.obolibrary.org/obo/DUO_",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{
        term: f"cr:{term}"
        for term in (
            "annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "excludes", "extract",
            "field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset",
            "jsonPath", "key", "md5", "parentField", "path", "readLines", "recordSet", "references", "regex",
            "repeated", "replace", "samplingRate", "sdVersion", "separator", "source", "subField", "transform",
            "unArchive", "value",
        )
    },
}  # fmt: skip

# Terms of the Data Use Ontology for what a licence asks: https://github.com/EBISPOT/DUO
_USE_CONDITIONS = (
    (NONCOMMERCIAL, "non-commercial use only", "0000046"),
    (CREDENTIALED, "user specific restriction", "0000026"),
    (NO_REDISTRIBUTION, "user specific restriction", "0000026"),
)


def croissant(store: Corpus, card: Card, place: Path) -> dict[str, Any]:
    """The description.

    Args:
        store: one corpus.
        card: its card.
        place: folder that the file will lie in; paths are relative to it.

    Raises:
        CorpusError: a table part or a shard cannot be read.
    """
    root = store.roots[0]
    to_root = remote_address(root) or os.path.relpath(root.resolve(), place.resolve())
    tables = [name for name in TABLES if name in descriptions_of_tables() and part_paths(root, name)]
    shards = _shards(root, to_root)
    codecs = sorted({group.codec for group in card.summary.groups} & set(_PICTURES))
    distribution = [*_root_folder(to_root), *(_table_files(name, to_root) for name in tables)]
    if codecs:
        distribution += [*shards, *(_picture_files(codec, shards) for codec in codecs)]
    return _about(card) | {
        "distribution": distribution,
        "recordSet": [
            *([split_names(card)] if "splits" in tables else []),
            *(table_records(name) for name in tables),
            *(picture_records(codec) for codec in codecs),
        ],
    }


def _about(card: Card) -> dict[str, Any]:
    about = card.about
    writers = sorted({origin.model or str(origin.provider) for origin in card.captions if origin.is_generated})
    described: dict[str, Any] = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": [VERSION, _RAI],
        "name": about.name,
        "description": card.description,
        "license": _licences(card),
        "url": about.url or "about:blank",
        "creator": [{"@type": "sc:Organization", "name": name} for name in about.creators or ("not stated",)],
        "datePublished": card.published,
        "version": about.data_version,
        "citeAs": about.cite,
        "keywords": [name for name, _ in card.modalities],
        "inLanguage": [tag for tag, _ in card.languages if tag],
        "usageInfo": _use_conditions(card),
        "prov:wasGeneratedBy": [_activity(run) for run in card.runs],
        "rai:personalSensitiveInformation": [card.deidentification],
        "rai:dataLimitations": list(card.gaps),
        "rai:machineAnnotationTools": writers,
    }
    return {key: value for key, value in described.items() if value not in (None, [], "")}


def _licences(card: Card) -> list[str]:
    """Addresses where they are known, the text as stated otherwise."""
    found: dict[str, None] = {}
    for licence, _ in card.licence.counts:
        urls = [part.url for part in licence.parts if part.url]
        found |= dict.fromkeys(urls if urls and licence.spdx else [str(licence)])
    return list(found)


def _use_conditions(card: Card) -> list[dict[str, str]]:
    terms = {
        code: {"@type": "sc:DefinedTerm", "name": name, "termCode": f"DUO_{code}", "url": f"duo:{code}"}
        for term, name, code in _USE_CONDITIONS
        if term in card.licence.terms
    }
    return list(terms.values())


def _activity(run: Run) -> dict[str, Any]:
    agent = {"@type": "prov:SoftwareAgent", "prov:label": f"voxtile {run.versions.get('voxtile', voxtile.__version__)}"}
    return {
        "@type": "prov:Activity",
        "prov:label": f"{run.task} {run.version}",
        "prov:endedAtTime": run.created,
        "prov:wasAssociatedWith": agent,
    }


def _root_folder(to_root: str) -> Iterator[dict[str, Any]]:
    """The corpus's folder, where the description lies outside it."""
    if to_root != ".":
        yield {
            "@type": "cr:FileObject",
            "@id": _ROOT,
            "name": _ROOT,
            "description": "The folder of the corpus.",
            "contentUrl": to_root,
            "encodingFormat": "git+https",  # the one format under which readers take a folder as it is
            "sha256": "0" * 64,  # of a folder there is none; its files have theirs in the manifests
        }


def _table_files(name: str, to_root: str) -> dict[str, Any]:
    within = {"containedIn": {"@id": _ROOT}} if to_root != "." else {}
    return {
        "@type": "cr:FileSet",
        "@id": f"{name}-parts",
        "name": f"{name}-parts",
        "description": f"Parquet parts of the table {name}.",
        **within,
        "encodingFormat": "application/x-parquet",
        "includes": f"tables/{name}/*.parquet",
    }


def _shards(root: Path, to_root: str) -> list[dict[str, Any]]:
    recorded = read_records(root)
    return [_shard(root / name, root, to_root, recorded) for name in shard_sizes(root)]


def _shard(path: Path, root: Path, to_root: str, recorded: Recorded) -> dict[str, Any]:
    name = path.relative_to(root).as_posix()
    digest, size = recorded.files.get(name) or _hashed(map_shard(path))
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": path.name,
        "contentUrl": name if to_root == "." else f"{to_root}/{name}",
        "contentSize": f"{size} B",
        "encodingFormat": "application/x-tar",
        "sha256": digest,
    }


def _hashed(content: memoryview) -> tuple[str, int]:
    return hashlib.sha256(content).hexdigest(), len(content)


def _picture_files(codec: str, shards: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{codec}-pictures",
        "name": f"{codec}-pictures",
        "description": f"Pictures stored as {codec}; the file's name is the sample's uid.",
        "containedIn": [{"@id": shard["@id"]} for shard in shards],
        "encodingFormat": _PICTURES[codec],
        "includes": f"*.{codec}",
    }
