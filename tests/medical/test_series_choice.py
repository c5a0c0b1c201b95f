"""Which series of a study is trained on: packaged rules on studies as hospitals send them, rules of one's own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.roles import pick_roles, stated_roles
from voxtile.errors import ConfigError, InputError
from voxtile.stages.inspect.sample_page import sample_page
from voxtile_medical.series_roles.choice import choose, read_rules, values_of
from voxtile_medical.series_roles.choice_command import facts_from_series_choice

MIP = "a projection (MIP or MinIP)"
ORIGINAL, DERIVED = ["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY"]


def row(uid, modality="CT", planes=100, axis=0, study="s1", units="HU", kind="volume", **attributes):
    shape = [64, 64, 64]
    shape[axis] = planes
    known = {"image_type": ORIGINAL, "instances": {"axis": axis, "count": planes, "first": 1, "step": 1}} | attributes
    return {
        "uid": uid * 32,
        "subject": "p1",
        "study": study,
        "modality": modality,
        "kind": kind,
        "units": units,
        "shape": shape if kind == "volume" else [64, 64],
        "attributes": json.dumps(known),
    }


SOFT = {"kernel": "B30f", "slice_thickness_mm": 1.5}
CT_STUDIES = [
    ([row("a", kernel="B70f"), row("b", **SOFT)], "b", "soft kernel"),
    ([row("a", kernel="B30f", slice_thickness_mm=5), row("b", **SOFT)], "b", "thickness nearest to 1.5 mm"),
    ([row("a", axis=1, **SOFT), row("b", kernel="B30f", slice_thickness_mm=3)], "b", "axial"),
    ([row("a", **SOFT | {"image_type": [*DERIVED, "MPR"]}), row("b", kernel="B70f")], "b", "original"),
    ([row("a", **SOFT | {"image_type": ["DERIVED", "MIP"]}), row("b", kernel="B70f")], "b", f"never: {MIP}"),
    ([row("a", **SOFT, described_as=["mip"]), row("b", kernel="B70f")], "b", "never: a projection by its description"),
    ([row("a", planes=3, **SOFT), row("b", kernel="B70f")], "b", "never: less than 8 planes"),
    ([row("a", units="a.u.", **SOFT), row("b", kernel="B70f")], "b", "never: not in HU"),
    ([row("a", contrast_phase="ARTERIAL", **SOFT), row("b", contrast_phase="VENOUS", **SOFT)], "b", "venous phase"),
    ([row("a", **SOFT), row("b", planes=200, **SOFT)], "b", "most planes"),
    ([row("b", **SOFT), row("a", **SOFT)], "b", "the first of equals"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "wanted", "why"), CT_STUDIES)
def test_packaged_rules_choose_one_ct_and_say_why_the_other_is_not(rows, wanted, why):
    ((chosen, other),) = choose(rows, read_rules())
    assert (chosen.uid[0], chosen.chosen, other.chosen, other.instead) == (wanted, True, False, chosen.uid)
    assert other.why == ((why if why.startswith("never") else f"preferred: {why}"),)
    assert why.startswith("never") or why in chosen.why


def test_one_of_each_weighting_view_and_modality_is_chosen():
    t1 = {"repetition_time_ms": 500, "echo_time_ms": 9, "scanning_sequence": ["SE"]}
    t2 = {"repetition_time_ms": 4500, "echo_time_ms": 95, "scanning_sequence": ["SE"]}
    rows = [
        row("a", "MR", units="a.u.", **t1),
        row("b", "MR", units="a.u.", mr_acquisition="3D", **t1),
        row("c", "MR", units="a.u.", **t2),
        row("d", "PT", units="BQML"),
        row("e", "PT", units="SUVbw", corrections=["ATTN", "DECY"]),
        row("f", "MG", kind="image", view="CC", laterality="L"),
        row("g", "MG", kind="image", view="MLO", laterality="L", presentation_intent="FOR PROCESSING"),
        row("h", "MG", kind="image", view="MLO", laterality="L", presentation_intent="FOR PRESENTATION"),
        row("i", "DX", kind="image", view="LATERAL"),
        row("j", "DX", kind="image", view="PA"),
        row("k", "US", kind="image"),
    ]
    chosen = {c.uid[0] for among in choose(rows, read_rules()) for c in among if c.chosen}
    assert chosen == set("bcefhj")


def test_a_study_of_which_nothing_may_be_chosen_has_no_choice():
    ((only,),) = choose([row("a", planes=3)], read_rules())
    assert (only.chosen, only.instead, only.why) == (False, None, ("never: less than 8 planes",))


def test_what_is_not_known_passes_no_test_and_unknown_kernels_are_not_sharp():
    rules = read_rules()
    ((chosen, other),) = choose([row("a", kernel="B70f"), row("b")], rules)  # b says nothing of its kernel
    assert (chosen.uid[0], other.why) == ("b", ("preferred: no sharp kernel",))
    assert values_of(row("a"))["plane"] == "axial"
    assert values_of(row("a", axis=2))["plane"] == "sagittal"
    assert values_of(row("a", instances=None))["plane"] is None


def corpus_of(path, rows, job="job"):
    if not path.exists():
        new_corpus(path)
    writer = JobWriter(path, job)
    for number, entry in enumerate(rows):
        channel = {"name": "CT", "wavelength_nm": None, "unit": entry["units"], "scale": 1.0, "offset": 0.0}
        full = {key: value for key, value in entry.items() if key != "shape"} | {
            "source": "x",
            "axes": "ZYX",
            "affine": np.eye(4).reshape(-1).tolist(),
            "spacing": [1.0, 1.0, 1.0],
            "channels": [channel],
        }
        writer.add(Sample(row=full, payload=np.full(entry["shape"], number, np.int16), preview=np.zeros((8, 8), "u1")))
    writer.publish()
    return path


def test_the_choice_is_facts_that_presets_and_the_page_of_a_sample_show(tmp_path):
    rows = [row("a", planes=9, kernel="B70f"), row("b", planes=9, **SOFT)]
    corpus = corpus_of(tmp_path / "corpus", rows)
    facts_from_series_choice(corpus, engine="inline")
    assert stated_roles(Corpus(corpus)) == {"b" * 32: ["chosen"]}
    metas = {r["uid"]: {"modality": "CT", "roles": stated_roles(Corpus(corpus)).get(r["uid"], ())} for r in rows}
    assert pick_roles(["ct+chosen"], metas) == ("b" * 32,)
    shown = {uid: sample_page(Corpus(corpus), uid * 32).roles for uid in "ab"}
    assert [(role, polarity) for role, polarity, _ in shown["b"]] == [("chosen", "present")]
    ((role, polarity, evidence),) = shown["a"]
    assert (role, polarity) == ("chosen", "absent")
    assert "soft kernel" in evidence
    assert "b" * 32 in evidence


def test_a_series_that_comes_later_does_not_take_the_place_of_the_chosen_one(tmp_path):
    corpus = corpus_of(tmp_path / "corpus", [row("a", planes=9, kernel="B70f")])
    facts_from_series_choice(corpus, engine="inline")
    corpus_of(corpus, [row("b", planes=9, **SOFT)], "later")
    facts_from_series_choice(corpus, engine="inline")
    facts = {f["uid"][0]: f for f in Corpus(corpus).table("facts").to_pylist()}
    assert {uid: fact["polarity"] for uid, fact in facts.items()} == {"a": "present", "b": "absent"}
    assert json.loads(facts["b"]["attributes"])["evidence"]["instead"] == "a" * 32


OWN = """
role: thick
version: "2"
groups:
  - modality: [CT]
    prefer:
      - {what: thick, above: {slice_thickness_mm: 2}}
"""


def test_rules_of_ones_own_have_a_role_of_their_own(tmp_path):
    corpus = corpus_of(tmp_path / "corpus", [row("a", planes=9, slice_thickness_mm=5), row("b", planes=9, **SOFT)])
    facts_from_series_choice(corpus, engine="inline")
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    facts_from_series_choice(corpus, rules=path, engine="inline")
    assert stated_roles(Corpus(corpus)) == {"a" * 32: ["thick"], "b" * 32: ["chosen"]}
    path.write_text(OWN.replace("thick\nversion", "chosen\nversion"))
    with pytest.raises(InputError, match="version 1 of its rules"):
        facts_from_series_choice(corpus, rules=path, engine="inline")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("prefer:", "prefers:", "'prefers' is no part of a group"),
        ("above:", "over:", "one of has, lacks"),
        ('version: "2"', "", "'version' is missing"),
        ("{slice_thickness_mm: 2}", "{slice_thickness_mm: two}", "two"),
        ("role: thick", "role: [thick]", "are texts"),
        ("groups:", "groups: [", "cannot be read"),
    ],
)
def test_rules_that_are_none_are_a_sentence(tmp_path, old, new, words):
    path = tmp_path / "own.yaml"
    path.write_text(OWN.replace(old, new))
    with pytest.raises(ConfigError, match=words) as raised:
        read_rules(path)
    assert "\n" not in str(raised.value).split("cannot be read")[0]
