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
OLD = "old-index"


def images_first(first: Mapping[str, Any], arm: Arm) -> Arm:
    """The arm whose encoder an objective of images alone has trained on all training pictures."""
    return replace(arm, start=replace(arm, objectives={"images": first}, epochs=6, rate=2e-3), start_corpus=FEW_PAIRS)


FEW_PAIRS = "scenes, 15 % with a caption"
WRONG, ALIP = "scenes, 40 % of captions wrong", "scenes, raw captions 50 % wrong beside right ones"
LARGE = {"crop": [0.32, 1.0], "flips": ["x", "y"]}
SMALL = {"crop": [0.1, 0.32], "size": [16, 16]}
SELF = term("SelfDistillation", prototypes=512, hidden=256, bottleneck=64, small=2, momentum=0.99, balance="sinkhorn",
            views=LARGE, small_views=SMALL)  # fmt: skip
MASKED_SCENE = term("MaskedSelfDistillation", prototypes=512, hidden=256, bottleneck=64, small=2, momentum=0.99,
                    balance="sinkhorn", separate_head=True, views=LARGE, small_views=SMALL)  # fmt: skip

SCENE_STUDIES: Sequence[Study] = (
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
