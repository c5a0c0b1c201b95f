"""The studies: one objective each, with and without it, on data where it is said to help.

Hyper-parameters are those of the papers or of docs/objectives.md, with warm-ups and momenta cut to runs of some two
hundred steps; what was chosen beyond that was chosen on the validation split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import corpora
from training import Arm, vit, wavelet

FULL = "voxtile.objectives."


def term(name: str, **settings: Any) -> dict[str, Any]:
    """An objective as a config names it."""
    return {"class_path": FULL + name, "init_args": settings}


@dataclass(frozen=True)
class Study:
    """With and without one objective.

    Attributes:
        term: the objective.
        corpus: a key of `corpora.CORPORA`.
        without, with_: the two trainings.
        figure: a key of `judging.FIGURES`, for both.
        figure_with: for the other side, where the term brings its own way to answer.
        said: what the two sides are, in words, where the objectives do not say it.
        prepare: what is written into the corpus before, see `prepared.py`.
    """

    term: str
    corpus: str
    without: Arm
    with_: Arm
    figure: str
    figure_with: str = ""
    said: str = ""
    prepare: str = ""

    @property
    def name(self) -> str:
        """Of its result."""
        return f"{self.term}, {self.corpus}, {self.figure}"


BASE = term("Contrastive", positives=["text"])
CONCEPTS = list(corpora.SCENES)
SCENES = Arm({"contrastive": BASE}, epochs=6)
STORED = {"class_path": "voxtile.models.StoredImageTower", "init_args": {"length": 1280}}
VECTORS = Arm(
    {"contrastive": BASE}, preset="vectors", encoder={"image": STORED, "projector": "mlp"}, epochs=5, rate=2e-3
)
MOSAICS = Arm(
    {"contrastive": BASE},
    preset="mosaic",
    epochs=6,
    encoder={"image": wavelet(3, (24, 48))},
    data={"facts_source": "captions"},
)
TOLD = {"facts_source": "captions", "closed_facts": CONCEPTS}
SENTENCES = {"facts_source": "captions", "captions": {"unit": "sentence", "per_item": 4}}
TOLD_VECTORS = replace(VECTORS, data={"facts_source": "captions"})
XRAYS = Arm({"contrastive": BASE}, preset="xray", encoder={"image": wavelet(1, (16, 32, 64))}, epochs=5)


def beside(arm: Arm, weight: float = 1.0, /, **terms: Mapping[str, Any]) -> Arm:
    """The arm with further terms."""
    return replace(arm, objectives={**arm.objectives, **terms}, weights={**arm.weights, **dict.fromkeys(terms, weight)})


def instead(arm: Arm, of: Mapping[str, Any]) -> Arm:
    """The arm with another contrastive term."""
    return replace(arm, objectives={"contrastive": of})


def with_data(arm: Arm, **data: object) -> Arm:
    """The arm with other data settings."""
    return replace(arm, data={**arm.data, **data})


NOISE = term("NoiseAdaptive", smoothing=0.5, warmup=60, memory=1024, refit=20, positives=["text"])
MOMENTUM = term("MomentumDistillation", alpha=0.4, ramp=60, queue=0, momentum=0.98, ignore=["text"])
ALL = {"captions": {"unit": "caption", "per_item": 0}}
BOTH = with_data(VECTORS, **ALL)
PLACED = {"regions": {"present": 4, "absent": 0}}
FEW = replace(SCENES, batch=128, epochs=10)
VIT = replace(FEW, encoder={"image": vit()})
VIEWS = {"crop": [0.3, 1.0], "flips": ["x", "y"], "gain": 0.2, "shift": 0.2}
XRAY_VIT = Arm(
    {}, preset="xray", rate=2e-3, epochs=3, batch=64, encoder={"image": vit(28, 1, 4, "cls"), "project": False}
)  # fmt: skip
MASKED = term(
    "MaskedSelfDistillation", balance="sinkhorn", separate_head=True, views={"crop": [0.32, 1.0]},
    small_views={"crop": [0.05, 0.32], "size": [12, 12]}, small=2, prototypes=512, hidden=256, bottleneck=64,
    teacher_temperature=0.04, momentum=0.99,
)  # fmt: skip
PAIR = replace(SCENES, encoder={"project": False, "embed_dim": 64})
TUNED = replace(PAIR, epochs=6, rate=3e-3, start=PAIR, start_corpus="scenes")
REFERENCE = [
    text
    for wordings in corpora.SCENES.values()
    for said in wordings
    for text in (f"{said}.", f"a photograph of {said}.")
]
GROUNDING = term("Grounding", points=1024)
GRADCAM, OLD = "pointing:gradcam", "old-index"


def images_first(first: Mapping[str, Any], arm: Arm) -> Arm:
    """The arm whose encoder an objective of images alone has trained on all training pictures."""
    return replace(arm, start=replace(arm, objectives={"images": first}, epochs=6, rate=2e-3), start_corpus=FEW_PAIRS)


FEW_PAIRS = "scenes, 15 % with a caption"
WRONG, ALIP = "scenes, 40 % of captions wrong", "scenes, raw captions 50 % wrong beside right ones"
XRAY_WRONG = "X-rays, 30 % of captions wrong"
DENIED, TWO = "mosaics with denials", "mosaics, two of four told"
LARGE = {"crop": [0.32, 1.0], "flips": ["x", "y"]}
SMALL = {"crop": [0.1, 0.32], "size": [16, 16]}
SELF = term("SelfDistillation", prototypes=512, hidden=256, bottleneck=64, small=2, momentum=0.99, balance="sinkhorn",
            views=LARGE, small_views=SMALL)  # fmt: skip
MASKED_SCENE = term("MaskedSelfDistillation", prototypes=512, hidden=256, bottleneck=64, small=2, momentum=0.99,
                    balance="sinkhorn", separate_head=True, views=LARGE, small_views=SMALL)  # fmt: skip

STUDIES: Sequence[Study] = (
    Study("Contrastive", "scenes", instead(SCENES, term("Margin", ignore=["text"])), SCENES, "zero-shot",
          said="Margin alone against Contrastive alone"),
    Study("NoiseAdaptive", WRONG, VECTORS, instead(VECTORS, NOISE), "zero-shot"),
    Study("MomentumDistillation", WRONG, VECTORS, instead(VECTORS, MOMENTUM), "zero-shot"),
    Study("GatedContrastive", ALIP, BOTH, instead(BOTH, term("GatedContrastive", momentum=0.95)), "zero-shot"),
    Study("WeightedContrastive", WRONG, VECTORS,
          instead(VECTORS, term("WeightedContrastive", corpus="{corpus}", score="first-{seed}", positives=["text"])),
          "zero-shot", prepare="scores", said="weighed by the likeness that the training without it found"),
    Study("BagOfDescriptions", "scenes, one caption in four says something", BOTH,
          instead(BOTH, term("BagOfDescriptions", ignore=["text"])), "zero-shot"),
    Study("TokenWise", "mosaics", MOSAICS, beside(MOSAICS, words=term("TokenWise", positives=["text"])),
          "retrieval", "retrieval:late-interaction"),
    Study("TokenWise", "mosaics", MOSAICS, beside(MOSAICS, words=term("TokenWise", positives=["text"])), GRADCAM,
          "pointing:tokens"),
    Study("LocalAlignment", "mosaics", MOSAICS, beside(MOSAICS, local=term("LocalAlignment", positives=["text"])),
          GRADCAM, "pointing:tokens"),
    Study("LocalAlignment", "mosaics", MOSAICS, beside(MOSAICS, local=term("LocalAlignment", positives=["text"])),
          "ranked"),
    Study("ConceptPatch", "mosaics", MOSAICS,
          beside(with_data(MOSAICS, **TOLD), concepts=term("ConceptPatch", positives=["facts"])), GRADCAM,
          "pointing:concepts"),
    Study("RegionAttribute", "mosaics", MOSAICS,
          beside(with_data(MOSAICS, **TOLD), attributes=term("RegionAttribute", warmup=30)), GRADCAM,
          "pointing:attributes"),
    Study("Captioning", "mosaics", MOSAICS,
          beside(MOSAICS, 2.0, captioning=term("Captioning", width=64, heads=2, unimodal_depth=1, depth=1, queries=16)),
          "ranked"),
    Study("ImageTextMatching", "mosaics", MOSAICS,
          beside(MOSAICS, matching=term("ImageTextMatching", width=64, heads=2, depth=1)), "retrieval",
          "retrieval:matching"),
    Study("Margin", "mosaics", TOLD_VECTORS, beside(TOLD_VECTORS, margin=term("Margin", margin=0.2, ignore=["text"])),
          "retrieval"),
    Study("DeepBoosting", "mosaics", TOLD_VECTORS,
          beside(TOLD_VECTORS, boosting=term("DeepBoosting", kind="absolute", margin=0.2, momentum=0.98)), "retrieval"),
    Study("FactHead", "mosaics", MOSAICS, beside(MOSAICS, facts=term("FactHead")), "ranked"),
    Study("TextFactHead", DENIED, with_data(TOLD_VECTORS, **SENTENCES),
          beside(with_data(TOLD_VECTORS, **SENTENCES), text_facts=term("TextFactHead")), "denials"),
    Study("TextAgreement", DENIED, with_data(TOLD_VECTORS, **SENTENCES),
          beside(with_data(TOLD_VECTORS, **SENTENCES), texts=term("TextAgreement")), "denials"),
    Study("Grounding", "mosaics", MOSAICS,
          beside(with_data(MOSAICS, **PLACED), grounding=GROUNDING), GRADCAM, "pointing:grounding"),
    Study("RegionContrast", "mosaics", MOSAICS, beside(with_data(MOSAICS, **PLACED), regions=term("RegionContrast")),
          GRADCAM, "pointing:regions"),
    Study("OfSamples", "studies of three scenes",
          with_data(VECTORS, unit="study", batch_size=32, captions={"per_item": 1, "kinds": {"raw": 1.0}}),
          beside(with_data(VECTORS, unit="study", batch_size=32, captions={"per_item": 1, "kinds": {"raw": 1.0}},
                           sample_captions={"per_item": 1, "kinds": {"roi": 1.0}}),
                 samples=term("OfSamples", objective=BASE)), "zero-shot"),
    Study("Distillation", "scenes", SCENES,
          beside(SCENES, teacher=term("Distillation", corpus="{corpus}", model="lite0")),
          "zero-shot", prepare="teacher"),
    Study("UnimodalSelfSupervision", FEW_PAIRS, FEW,
          beside(FEW, views=term("UnimodalSelfSupervision", head=[256, 64], views=VIEWS)), "zero-shot"),
    Study("MaskedImage", FEW_PAIRS, VIT, images_first(term("MaskedImage", patch=4), VIT), "zero-shot"),
    Study("SelfDistillation", FEW_PAIRS, VIT, images_first(SELF, VIT), "zero-shot"),
    Study("MaskedSelfDistillation", FEW_PAIRS, VIT, images_first(MASKED_SCENE, VIT), "zero-shot"),
    Study("MaskedSelfDistillation", "X-rays, every third",
          replace(XRAY_VIT, objectives={"contrastive": BASE}, epochs=0),
          replace(XRAY_VIT, objectives={"views": MASKED}), "probe",
          said="tower as it was drawn, and trained on images"),
    Study("KoLeo", "X-rays, every third", replace(XRAY_VIT, objectives={"views": MASKED}),
          beside(replace(XRAY_VIT, objectives={"views": MASKED}), 0.1, spread=term("KoLeo")), "probe"),
    Study("KoLeo", "X-rays, every third", replace(XRAY_VIT, objectives={"views": MASKED}),
          beside(replace(XRAY_VIT, objectives={"views": MASKED}), 0.1, spread=term("KoLeo")), "neighbours"),
    Study("PreserveZeroShot", "scenes of four classes", TUNED,
          beside(TUNED, 4.0, kept=term("PreserveZeroShot", texts=REFERENCE)), "zero-shot",
          said="a pair of all seven classes, tuned on four"),
    Study("BackwardCompatible", "scenes", VECTORS,
          beside(VECTORS, old=term("BackwardCompatible", corpus="{corpus}", model="first-{seed}", positives=["text"])),
          OLD, prepare="index", said="texts of a new model, old vectors of pictures"),
)  # fmt: skip
