"""YAML that people exchange: tasks, configs, presets, vocabularies, wording banks, prices, prompts, sidecars."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from target import Target, as_text, file_of, texts

from voxtile.bounded_text import BoundsError, check_plain, load_json, load_yaml
from voxtile.data.presets.load import preset_from_config
from voxtile.evaluation.tasks.file import load_task
from voxtile.stages.materialize.preset_file import read_preset
from voxtile.training.config_bases import read_config
from voxtile_datasets.captions.checker.vocabulary_file import read_files
from voxtile_datasets.captions.context.prompts import load_prompt
from voxtile_datasets.captions.phrase_bank.bank_file import load_phrase_bank
from voxtile_datasets.captions.providers.prices import load_prices
from voxtile_datasets.captions.wordings import load_bank
from voxtile_medical.reports.compose.wording import load_wording
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.reports.vocabulary import load_vocabulary
from voxtile_medical.series_roles.choice import DEFAULT, read_rules
from voxtile_pathology.tissue.mask import tissue_spec
from voxtile_remote_sensing.landcover.legend import load_legend
from voxtile_remote_sensing.osm.tag_table import load_table
from voxtile_remote_sensing.osm.wordings import load_wordings
from voxtile_remote_sensing.scenes.sidecar import read_sidecar

ROOT = Path(__file__).parents[3]
_MEDICAL = ROOT / "domains/medical/voxtile_medical"
_SENSING = ROOT / "domains/remote_sensing/voxtile_remote_sensing"
_CAPTIONS = ROOT / "datasets/voxtile_datasets/captions"


def of_file(read: Callable[[Path], object], name: str = "settings/a.yaml") -> Callable[[bytes], object]:
    """A reader of files as one of bytes."""
    return lambda data: read(file_of(data, name))


def short(*paths: Path) -> Callable[[], Iterator[bytes]]:
    """Files of ours as JSON, which is YAML too, with the first entries of each long list and mapping alone."""

    def seeds() -> Iterator[bytes]:
        for path in paths:
            yield json.dumps(_first(yaml.safe_load(path.read_text("utf-8"))), default=str).encode()

    return seeds


def _first(value: Any, most: int = 4) -> Any:
    if isinstance(value, dict):
        return {str(key): _first(part) for key, part in list(value.items())[:30]}
    return [_first(part) for part in value[:most]] if isinstance(value, list) else value


def _tasks() -> Iterator[bytes]:
    kinds: dict[str, Path] = {}
    for path in sorted((ROOT / "domains").glob("*/tasks/*.yaml")):
        kinds.setdefault(str(yaml.safe_load(path.read_text()).get("kind")), path)
    yield from short(*kinds.values())()


def _tags() -> Iterator[bytes]:
    content = yaml.safe_load((_SENSING / "osm/tags.yaml").read_text("utf-8"))
    alone = {name: rule for name, rule in content["rules"].items() if not {"is_a", "kin"} & rule.keys()}
    yield json.dumps({**content, "rules": dict(list(alone.items())[:6])}).encode()


def _preset(data: bytes) -> None:
    text = as_text(data)
    preset_from_config(read_preset(text if text.startswith("{") else "{" + text + "}"))


def _plain(data: bytes) -> None:
    check_plain(load_json(data), 1000)


_PRESETS = texts(
    '{"class_path": "voxtile.data.ImagePreset", "init_args": {"size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.5]}}',  # noqa: E501
    '{"data": {"preset": {"class_path": "VolumePreset", "init_args": {"shape": [8, 8, 8], "spacing": [1, 1, 1]}}}}',
    '{"class_path": "voxtile.data.PictureStudyPreset", "init_args": {"roles": ["ct"], "picture": {"class_path": '
    '"os.system", "init_args": {}}}}',
)
_CONFIG = '{"base": ["small"], "model": {"objectives": {"contrastive": {"class_path": "Contrastive"}}, "weights": {}}}'

TARGETS = (
    Target(
        "YAML within bounds",
        load_yaml,
        texts("a: &a [1, 2]\nb: *a\n<<: {c: 1}", "- 2020-01-01\n- !!set {a, b}"),
        (yaml.YAMLError, BoundsError, UnicodeDecodeError),
    ),
    Target("JSON within bounds", _plain, texts('{"a": [1, 2.5, {"b": null}], "c": "d"}'), (ValueError,)),
    Target("task", of_file(lambda path: load_task(str(path))), _tasks),
    Target("config", of_file(read_config), texts(_CONFIG, '{"base": "a.yaml"}', "base: [medical/ct]\ndata: {a: 1}\n")),
    Target("preset", _preset, _PRESETS),
    Target(
        "claims of captions",
        of_file(lambda path: read_files([path])),
        short(_CAPTIONS / "checker/vocabularies/general.yaml", _MEDICAL / "claims/findings.yaml"),
    ),
    Target("wording bank", of_file(load_bank), short(_CAPTIONS / "wordings/general.yaml")),
    Target("phrase bank", of_file(load_phrase_bank), short(*sorted(_MEDICAL.glob("phrases/*.yaml"))[:1])),
    Target(
        "prices", of_file(load_prices), texts('{"models": [{"model": "a", "input": 1.0, "output": 2}], "version": "1"}')
    ),
    Target("prompt", of_file(load_prompt), short(_CAPTIONS / "prompts/rewrite.yaml", _CAPTIONS / "prompts/qa.yaml")),
    Target("wording of reports", of_file(load_wording), short(_MEDICAL / "reports/compose/english.yaml")),
    Target(
        "lexicon of reports",
        of_file(load_lexicon),
        texts('{"version": "1", "concepts": {"nodule": {"terms": ["nodule(s)"], "code": "1"}}}'),
    ),
    Target(
        "vocabulary of reports",
        of_file(lambda path: load_vocabulary(str(path))),
        short(_MEDICAL / "reports/vocabularies/ct-findings.yaml"),
    ),
    Target("rules of series", of_file(read_rules), short(DEFAULT)),
    Target(
        "tissue",
        lambda data: tissue_spec("{" + as_text(data).strip("{}") + "}"),
        texts('"class_path": "voxtile_pathology.OtsuTissue", "init_args": {}'),
    ),
    Target(
        "legend of land cover",
        of_file(lambda path: load_legend(str(path))),
        lambda: [(_SENSING / "landcover/legends/worldcover.yaml").read_bytes()],
    ),
    Target("tags of maps", of_file(load_table), _tags),
    Target("wordings of maps", of_file(load_wordings), short(_SENSING / "wordings/osm.yaml")),
    Target(
        "sidecar of a scene",
        of_file(lambda path: read_sidecar(path, "scene")),
        texts(
            '{"sensor": "sentinel-2-msi", "datetime": "2020-01-01T00:00:00Z", "bands": ["red", "nir"], "scale": 0.0001}'
        ),
    ),
)
