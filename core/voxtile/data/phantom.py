"""A corpus made on the spot from a phantom, so that a config runs on a machine without data."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import voxtile
from voxtile.corpus.drafts import wait_for_lock
from voxtile.domain import Command, discover
from voxtile.errors import ConfigError
from voxtile.folders import cache_folder

_OUT = "{out}"
_INSTRUCT = Command(
    "voxtile_datasets.instruct.command:instruct_corpus", "questions from facts", "voxtile instruct corpus"
)
_CAPTION = Command("voxtile_datasets.captions.command:caption_corpus", "texts from facts", "voxtile caption corpus")


def _reports() -> dict[str, Any]:
    # A random key would hash the subjects, and so split them, anew on every machine; a phantom has nobody to protect.
    return {"reports": f"{_OUT}/reports.csv", "licence": "CC0-1.0 (synthetic phantom)", "deidentify": False}


def _facts() -> dict[str, dict[str, Any]]:
    return {"reports": {}, "labels": {"labels": f"{_OUT}/labels.csv"}}


@dataclass(frozen=True, kw_only=True)
class PhantomSpec:
    """Which phantom, and the steps from its native files to a corpus.

    Attributes:
        name: phantom, as in `voxtile phantom NAME`.
        n: number of studies.
        seed: of the phantom.
        options: further options of the phantom.
        converter: as in `voxtile convert NAME`.
        source: folder of native files within the phantom's; removed once the corpus is complete unless `keep_source`.
        converter_options: options of the converter; `{out}` stands for the phantom's folder.
        facts: `voxtile facts --from NAME` steps with their options, in order; by default what the reports state, for
            training, and the label table, for evaluation.
        captions: options of `voxtile caption`, the last step, or a list of such; null where the reports are the only
            texts.
        keep_source: keep the native files.
        instruct: options of `voxtile instruct`, after the captions; null where no questions are needed.
    """

    name: str = "ct"
    n: int = 200
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    converter: str = "dicom"
    source: str = "dicom"
    converter_options: dict[str, Any] = field(default_factory=_reports)
    facts: dict[str, dict[str, Any]] = field(default_factory=_facts)
    captions: dict[str, Any] | list[dict[str, Any]] | None = None
    keep_source: bool = False
    instruct: dict[str, Any] | None = None


def phantom_corpus(spec: PhantomSpec, cache: Path | None = None) -> Path:
    """Build the corpus of a phantom, or find it where it was built before.

    Args:
        spec: the phantom and the steps.
        cache: folder for phantoms; by default `phantoms` under VOXTILE_CACHE, else under the user's cache folder.

    Returns:
        The corpus. It appears only when every step has succeeded.

    Raises:
        ConfigError: no plugin offers this phantom, converter or facts.
    """
    steps = {
        "phantoms": _command("phantoms", spec.name),
        "converters": _command("converters", spec.converter),
        **{f"facts {name}": _command("facts", name) for name in spec.facts},
    }
    asked = {name: value for name, value in asdict(spec).items() if (name, value) != ("instruct", None)}
    description = json.dumps({"voxtile": voxtile.__version__, **asked}, sort_keys=True)
    digest = hashlib.sha256(description.encode()).hexdigest()[:12]
    home = (cache or cache_folder("phantoms")) / f"{spec.name.replace('/', '-')}-n{spec.n}-seed{spec.seed}-{digest}"
    complete = home / "complete.json"
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        wait_for_lock(lock.fileno(), f"another process makes the phantom '{home}' just now; this one waits for it")
        if not complete.exists():
            _build(spec, steps, home)
            complete.write_text(description)
    return home / "corpus"


def _build(spec: PhantomSpec, steps: Mapping[str, Command], home: Path) -> None:
    native, corpus = home / "native", home / "corpus"
    for leftover in (native, corpus):
        shutil.rmtree(leftover, ignore_errors=True)
    steps["phantoms"].load()(native, n=spec.n, seed=spec.seed, **_filled(spec.options, native))
    steps["converters"].load()(native / spec.source, corpus, **_filled(spec.converter_options, native))
    for name, options in spec.facts.items():
        steps[f"facts {name}"].load()(corpus, **_filled(options, native))
    for options in [spec.captions] if isinstance(spec.captions, dict) else spec.captions or []:
        _CAPTION.load()(corpus, **_filled(options, native))
    if spec.instruct is not None:
        _INSTRUCT.load()(corpus, **_filled(spec.instruct, native))
    if not spec.keep_source:
        shutil.rmtree(native / spec.source)


def _filled(options: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Options with `{out}` replaced; such values are paths."""
    return {
        name: Path(value.replace(_OUT, str(out))) if isinstance(value, str) and _OUT in value else value
        for name, value in options.items()
    }


def _command(table: str, name: str) -> Command:
    """Find a command by `name` or `domain/name`."""
    domains, broken = discover()
    offered: dict[str, Command] = {}
    for domain in domains.values():
        for key, command in getattr(domain, table).items():
            offered[f"{domain.name}/{key}"] = command
    found = offered.get(name) or next((c for key, c in offered.items() if key.split("/")[1] == name), None)
    if found is None:
        note = "".join(f"; plugin '{b.name}' failed to load ({b.reason})" for b in broken)
        raise ConfigError(f"phantom: no {table} named '{name}'; there are: {', '.join(sorted(offered))}{note}")
    return found
