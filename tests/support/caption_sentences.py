"""Sentences about scenes whose facts are written down, and whether each is true of its scene.

A folder holds `sentences.tsv` (scene, whether the sentence is true (T), false (F) or left open (O), its fault, its
text) and `scenes.json` (the facts, scopes and metadata of each scene).
"""

import csv
import json

from voxtile_datasets.captions.checker.check import Known

WANTED = {"T": ("supported", "unknown"), "F": ("contradicted", "unsupported"), "O": ("unknown",)}
"""Verdicts that are right for a true, a false and an open sentence."""


def read_sentences(folder):
    """Rows of (scene, truth, fault, text)."""
    with (folder / "sentences.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(*rest, text.replace("\\n", "\n")) for *rest, text in rows]


def read_scenes(folder):
    """What is known of each scene, by its name."""
    scenes = json.loads((folder / "scenes.json").read_text(encoding="utf-8"))
    return {name: _known(entry) for name, entry in scenes.items()}


def _known(entry):
    facts = []
    for concept, value, unit, attributes in entry["facts"]:
        rest = dict(attributes)
        row = {"concept": concept, "polarity": rest.pop("polarity", "present"), "value": value, "unit": unit}
        facts.append(row | {"attributes": json.dumps(rest)})
    kinds = [kind for kind in ("closed", "open") if kind in entry]
    scopes = [{"vocabulary": "v", "closed": kind == "closed", "concepts": entry[kind]} for kind in kinds]
    return Known(facts, scopes, metadata=entry["meta"])
