"""Studies on pictures of one class each: wrong and few captions, teachers, pictures alone, tuning and an old index.

Hyper-parameters are those of the papers or of docs/objectives.md, with warm-ups and momenta cut to runs of some hundred
steps; what was chosen beyond that was chosen on the validation split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import corpora
from study import BASE, VECTORS, Study, beside, instead, term, with_data
from training import Arm, vit

SCENES = Arm({"contrastive": BASE}, epochs=6)
NOISE = term("NoiseAdaptive", smoothing=0.5, warmup=60, memory=1024, refit=20, positives=["text"])
MOMENTUM = term("MomentumDistillation", alpha=0.4, ramp=60, queue=0, momentum=0.98, ignore=["text"])
ALL = {"captions": {"unit": "caption", "per_item": 0}}
BOTH = with_data(VECTORS, **ALL)
LONG_ALL = replace(BOTH, preset="native", epochs=15)
COMPONENTS = {"class_path": "voxtile.models.StoredImageTower", "init_args": {"length": 32}}
MEMORISED = replace(
    VECTORS, preset="components", encoder={"image": COMPONENTS, "projector": "mlp"}, epochs=40, rate=3e-3
)
BY_CLASS = ["same_facts"]  # captions that name one class are as good as equal
LABELLED = with_data(instead(MEMORISED, term("Contrastive", positives=BY_CLASS)), facts_source="captions")
LATE_NOISE = term("NoiseAdaptive", smoothing=0.9, warmup=54, memory=576, refit=9, positives=BY_CLASS)
LATE_MOMENTUM = term("MomentumDistillation", alpha=0.9, ramp=40, queue=0, momentum=0.99, ignore=["text"])
WEIGHED = term("WeightedContrastive", corpus="{corpus}", score="first-{seed}", positives=["text"])
WEIGHED_LABELS = term("WeightedContrastive", corpus="{corpus}", score="first-{seed}", positives=BY_CLASS)
FEW = replace(SCENES, batch=128, epochs=10)
VIT = replace(FEW, encoder={"image": vit()})
VIEWS = {"crop": [0.3, 1.0], "flips": ["x", "y"], "gain": 0.2, "shift": 0.2}
XRAY_VIT = Arm(
    {}, preset="xray", rate=2e-3, epochs=5, encoder={"image": vit(28, 1, 7, "cls"), "project": False}
)  # fmt: skip
DRAWN = replace(XRAY_VIT, objectives={"contrastive": BASE}, epochs=0)
XRAY_VIEWS = {
    "views": {"crop": [0.32, 1.0], "noise": 0.0}, "small": 2,
    "small_views": {"crop": [0.05, 0.32], "size": [14, 14], "noise": 0.0},
}  # fmt: skip
HEAD = {"prototypes": 512, "hidden": 256, "bottleneck": 64, "teacher_temperature": 0.04, "balance": "sinkhorn",
        "momentum": 0.98}  # fmt: skip
MASKED = term("MaskedSelfDistillation", separate_head=True, **XRAY_VIEWS, **HEAD)
XRAY_MASKED = replace(XRAY_VIT, objectives={"views": MASKED})
XRAY_SELF = replace(
    XRAY_VIT, objectives={"views": term("SelfDistillation", **XRAY_VIEWS, **HEAD)}
)  # fmt: skip
XRAY_PAIRS = replace(
    XRAY_VIT,
    objectives={
        "views": term(
            "UnimodalSelfSupervision", head=[256, 64], views={"crop": [0.3, 1.0], "noise": 0.0}, temperature=0.2
        )
    },
)
PAIR = replace(SCENES, encoder={"project": False, "embed_dim": 64}, epochs=12)
TUNED = replace(PAIR, epochs=10, rate=6e-3, start=PAIR, start_corpus="scenes")
REFERENCE = [
    text
    for wordings in corpora.SCENES.values()
    for said in wordings
    for text in (f"{said}.", f"a photograph of {said}.")
]
OLD = "old-index"


def images_first(first: Mapping[str, Any], arm: Arm) -> Arm:
    """The arm whose encoder an objective of images alone has trained on all training pictures."""
    return replace(arm, start=replace(arm, objectives={"images": first}, epochs=6, rate=2e-3), start_corpus=FEW_PAIRS)


TENTH = "scenes, 10 % with a caption, alone"
FEW_ALONE = replace(SCENES, epochs=20, batch=32)
FIRST = "the captions alone, and after all pictures without captions"


def pictures_first(arm: Arm, first: Mapping[str, Any], **settings: Any) -> Arm:
    """The arm after its encoder has learned all 1,200 pictures by an objective that reads no caption."""
    start = {"epochs": 8, "batch": 64, "rate": 3e-3, **settings}
    return replace(arm, start=replace(arm, objectives={"images": first}, **start), start_corpus="scenes")


FEW_PAIRS = "scenes, 15 % with a caption"
WRONG, ALIP = "scenes, 40 % of captions wrong", "scenes, raw captions 50 % wrong beside right ones"
HALF_WRONG = "scenes, 600 with a caption, half of them wrong"
XRAYS, AS_DRAWN = "X-rays, every third", "tower as it was drawn, and trained on pictures alone"

SCENE_STUDIES: Sequence[Study] = (
    Study("Contrastive", "scenes", instead(SCENES, term("Margin", ignore=["text"])), SCENES, "zero-shot",
          said="Margin alone against Contrastive alone"),
    Study("NoiseAdaptive", WRONG, VECTORS, instead(VECTORS, NOISE), "zero-shot"),
    Study("MomentumDistillation", WRONG, VECTORS, instead(VECTORS, MOMENTUM), "zero-shot"),
    Study("GatedContrastive", ALIP, BOTH, instead(BOTH, term("GatedContrastive", momentum=0.95)), "zero-shot"),
    Study("WeightedContrastive", WRONG, VECTORS, instead(VECTORS, WEIGHED), "zero-shot", prepare="scores",
          said="weighed by the likeness that the training without it found"),
    Study("BagOfDescriptions", "scenes, one caption in four says something", BOTH,
          instead(BOTH, term("BagOfDescriptions", ignore=["text"])), "zero-shot"),
    Study("BagOfDescriptions", "scenes, one caption right beside two wrong ones", LONG_ALL,
          instead(LONG_ALL, term("BagOfDescriptions")), "zero-shot"),
    Study("WeightedContrastive", HALF_WRONG, LABELLED, instead(LABELLED, WEIGHED_LABELS), "zero-shot", prepare="scores",
          first=replace(LABELLED, epochs=6), said="weighed by the likeness that six epochs without it found"),
    Study("NoiseAdaptive", HALF_WRONG, LABELLED, instead(LABELLED, LATE_NOISE), "zero-shot"),
    Study("MomentumDistillation", HALF_WRONG, MEMORISED, instead(MEMORISED, LATE_MOMENTUM), "zero-shot"),
    Study("OfSamples", "studies of three scenes",
          with_data(VECTORS, unit="study", batch_size=32, captions={"per_item": 1, "kinds": {"raw": 1.0}}),
          beside(with_data(VECTORS, unit="study", batch_size=32, captions={"per_item": 1, "kinds": {"raw": 1.0}},
                           sample_captions={"per_item": 1, "kinds": {"roi": 1.0}}),
                 samples=term("OfSamples", objective=BASE)), "zero-shot"),
    Study("Distillation", "scenes", SCENES,
          beside(SCENES, teacher=term("Distillation", corpus="{corpus}", model="lite0")),
          "zero-shot", prepare="teacher"),
    Study("Distillation", TENTH, FEW_ALONE,
          pictures_first(FEW_ALONE, term("Distillation", corpus="{corpus}", model="lite0-native"), epochs=8),
          "zero-shot", prepare="native", said=FIRST),
    Study("UnimodalSelfSupervision", FEW_PAIRS, FEW,
          beside(FEW, views=term("UnimodalSelfSupervision", head=[256, 64], views=VIEWS)), "zero-shot"),
    Study("MaskedImage", FEW_PAIRS, VIT, images_first(term("MaskedImage", patch=4), VIT), "zero-shot"),
    Study("UnimodalSelfSupervision", XRAYS, DRAWN, XRAY_PAIRS, "few-labels:10", said=AS_DRAWN),
    Study("SelfDistillation", XRAYS, DRAWN, XRAY_SELF, "few-labels:10", said=AS_DRAWN),
    Study("MaskedSelfDistillation", XRAYS, DRAWN, XRAY_MASKED, "few-labels:10", said=AS_DRAWN),
    Study("KoLeo", XRAYS, XRAY_MASKED, beside(XRAY_MASKED, 0.1, spread=term("KoLeo")), "few-labels:10",
          said="beside MaskedSelfDistillation"),
    Study("PreserveZeroShot", "scenes of three classes", TUNED,
          beside(TUNED, 4.0, kept=term("PreserveZeroShot", texts=REFERENCE)), "zero-shot",
          said="a pair of all seven classes, tuned on three, asked for all seven"),
    Study("BackwardCompatible", "scenes", VECTORS,
          beside(VECTORS, old=term("BackwardCompatible", corpus="{corpus}", model="first-{seed}", positives=["text"])),
          OLD, prepare="index", said="texts of a new model, old vectors of pictures"),
)  # fmt: skip
