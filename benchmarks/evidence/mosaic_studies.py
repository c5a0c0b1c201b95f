"""Studies on mosaics, where several findings are in known places and captions are long.

Hyper-parameters are those of the papers or of docs/objectives.md, with warm-ups and momenta cut to runs of some hundred
steps; what was chosen beyond that was chosen on the validation split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import corpora
from study import BASE, VECTORS, Study, beside, term, with_data
from training import Arm, wavelet

CONCEPTS = list(corpora.SCENES)
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
PLACED = {"regions": {"present": 4, "absent": 0}}
GROUNDING = term("Grounding", points=1024)
GRADCAM = "pointing:gradcam"
DENIED = "mosaics with denials"

LARGE = "large mosaics"
TEXT = {
    "class_path": "voxtile.models.TextTransformer",
    "init_args": {"vocabulary": 512, "context": 64, "width": 64, "depth": 2, "heads": 4, "dropout": 0.1},
}
MAPS = Arm(
    {"contrastive": BASE},
    preset="maps",
    epochs=8,
    rate=2e-3,
    encoder={"image": {"class_path": "feature_maps.MapTower", "init_args": {}}, "text": TEXT},
    data={"facts_source": "captions"},
)
ORDERED = "large mosaics, told by word order"
SHORT = replace(MAPS, epochs=12, batch=32)
AFTER = replace(SHORT, epochs=8, start=SHORT)
ASKED = with_data(AFTER, **TOLD, regions={"present": 4, "absent": 2})
DECODER = term("Captioning", width=64, heads=4, unimodal_depth=1, depth=1, queries=36)
CONV = {"dimensions": 2, "channels": 1280, "widths": [128], "blocks": [1], "stem": 1, "coordinates": False,
        "width": 128, "dropout": 0.1}  # fmt: skip
FEW_TOLD = Arm(
    {"contrastive": BASE},
    preset="native",
    encoder={"image": {"class_path": "voxtile.models.ConvTower", "init_args": CONV}},
    epochs=30,
    rate=2e-3,
    batch=128,
    data={"facts_source": "labels"},
)

MOSAIC_STUDIES: Sequence[Study] = (
    Study("FactHead", "scenes, 5 % with a caption", FEW_TOLD,
          beside(FEW_TOLD, 10.0, facts=term("FactHead", exclusive=True)), "zero-shot",
          said="captions of one picture in twenty, facts of all"),
    Study("Grounding", ORDERED, AFTER, beside(ASKED, grounding=term("Grounding", points=144)), GRADCAM,
          "pointing:grounding", said="a pair trained for eight epochs more"),
    Study("Captioning", ORDERED, SHORT, beside(SHORT, 2.0, captioning=DECODER), "in-order", "in-order:captioning"),
    Study("ConceptPatch", LARGE, MAPS,
          beside(with_data(MAPS, **TOLD), concepts=term("ConceptPatch", kind="softmax", positives=["facts"])), GRADCAM,
          "pointing:concepts"),
    Study("RegionAttribute", LARGE, MAPS,
          beside(with_data(MAPS, **TOLD), attributes=term("RegionAttribute", warmup=40)), GRADCAM,
          "pointing:attributes"),
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
    Study("FactMapHead", "mosaics", MOSAICS,
          beside(with_data(MOSAICS, **TOLD), maps=term("FactMapHead", facts=CONCEPTS)), "ranked"),
    Study("RegionHead", "mosaics", MOSAICS,
          beside(with_data(MOSAICS, **PLACED), regions=term("RegionHead", phrases=CONCEPTS)), "ranked"),
)  # fmt: skip
