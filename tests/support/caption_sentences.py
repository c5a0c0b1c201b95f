"""Sentences about scenes whose facts are written down, and whether each is true of its scene.

A folder holds `sentences.tsv` (scene, whether the sentence is true (T), false (F) or left open (O), its fault, its
text) and `scenes.json` (the facts, scopes and metadata of each scene).
"""

import csv
import json

from voxtile_datasets.captions.checker.check import Known

WANTED = {"T": ("supported", "unknown"), "F": ("contradicted", "unsupported"), "O": ("unknown",)}
"""Verdicts that are right for a true, a false and an open sentence."""


def fact(concept, polarity="present", value=None, unit=None, **attributes):
    """A row of the facts table, as the checker reads it."""
    row = {"concept": concept, "polarity": polarity, "value": value, "unit": unit}
    return row | {"attributes": json.dumps(attributes) if attributes else None}


def closed(*concepts):
    """The scopes of a sample of which these concepts were looked for, and nothing else of them is there."""
    return [{"vocabulary": "v", "closed": True, "concepts": list(concepts)}]


def left_open(*concepts):
    """The scopes of a sample of which nobody says whether more of these concepts is there."""
    return [{"vocabulary": "v", "closed": False, "concepts": list(concepts)}]


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
