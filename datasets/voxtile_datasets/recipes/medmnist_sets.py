"""The MedMNIST data sets: classes, modality, licence and official sizes.

Source: `medmnist/info.py` 3.0.2 of https://github.com/MedMNIST/MedMNIST (Yang et al., Scientific Data 10:41, 2023).
Class names are the official ones, except where a name does not stand by itself: "femur-left" is "left femur",
"pleural" is "pleural thickening" (its name in ChestX-ray14), RetinaMNIST's grades say of what (DeepDRiD: 0 none …
4 proliferative). Smears of blood and fluorescence images of the kidney are general microscopy (DICOM's GM): SM are
sections of tissue, which captions call H&E.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_CC_BY = "CC BY 4.0"
_ORGANS_2D = (
    "bladder", "left femur", "right femur", "heart", "left kidney", "right kidney", "liver", "left lung", "right lung",
    "pancreas", "spleen",
)  # fmt: skip
_ORGANS_3D = (
    "liver", "right kidney", "left kidney", "right femur", "left femur", "bladder", "heart", "right lung", "left lung",
    "spleen", "pancreas",
)  # fmt: skip


@dataclass(frozen=True)
class MedMnistSet:
    """One data set.

    Attributes:
        classes: name of each label value, or of each label column where `is_multi_label`.
        modality: DICOM defined term where there is one.
        body_part: what is shown, for captions; None where it varies.
        sizes: official number of images in train, val and test.
        dimensions: 2 for pictures, 3 for volumes.
        is_multi_label: one binary label column a class.
        licence: of images and labels.
    """

    classes: tuple[str, ...]
    modality: str
    body_part: str | None
    sizes: tuple[int, int, int]
    dimensions: int = 2
    is_multi_label: bool = False
    licence: str = _CC_BY


SETS: Mapping[str, MedMnistSet] = MappingProxyType(
    {
        "pathmnist": MedMnistSet(
            (
                "adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa",
                "cancer-associated stroma", "colorectal adenocarcinoma epithelium",
            ),
            "SM", "colon", (89996, 10004, 7180),
        ),
        "chestmnist": MedMnistSet(
            (
                "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia",
                "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural thickening", "hernia",
            ),
            "DX", "chest", (78468, 11219, 22433), is_multi_label=True,
        ),
        "dermamnist": MedMnistSet(
            (
                "actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma",
                "benign keratosis-like lesions", "dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions",
            ),
            "XC", "skin", (7007, 1003, 2005), licence="CC BY-NC 4.0",
        ),
        "octmnist": MedMnistSet(
            ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
            "OPT", "retina", (97477, 10832, 1000),
        ),
        "pneumoniamnist": MedMnistSet(("normal", "pneumonia"), "DX", "chest", (4708, 524, 624)),
        "retinamnist": MedMnistSet(
            tuple(f"diabetic retinopathy grade {grade}" for grade in range(5)), "OP", "retina", (1080, 120, 400)
        ),
        "breastmnist": MedMnistSet(("malignant", "normal or benign"), "US", "breast", (546, 78, 156)),
        "bloodmnist": MedMnistSet(
            (
                "basophil", "eosinophil", "erythroblast", "immature granulocyte", "lymphocyte", "monocyte",
                "neutrophil", "platelet",
            ),
            "GM", "blood", (11959, 1712, 3421),
        ),
        "tissuemnist": MedMnistSet(
            (
                "collecting duct or connecting tubule", "distal convoluted tubule", "glomerular endothelial cells",
                "interstitial endothelial cells", "leukocytes", "podocytes", "proximal tubule segments",
                "thick ascending limb",
            ),
            "GM", "kidney", (165466, 23640, 47280),
        ),
        "organamnist": MedMnistSet(_ORGANS_2D, "CT", None, (34561, 6491, 17778)),
        "organcmnist": MedMnistSet(_ORGANS_2D, "CT", None, (12975, 2392, 8216)),
        "organsmnist": MedMnistSet(_ORGANS_2D, "CT", None, (13932, 2452, 8827)),
        "organmnist3d": MedMnistSet(_ORGANS_3D, "CT", None, (971, 161, 610), dimensions=3),
        "nodulemnist3d": MedMnistSet(("benign", "malignant"), "CT", "chest", (1158, 165, 310), dimensions=3),
        "adrenalmnist3d": MedMnistSet(("normal", "hyperplasia"), "CT", "adrenal gland", (1188, 98, 298), dimensions=3),
        "fracturemnist3d": MedMnistSet(
            ("buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture"),
            "CT", "ribs", (1027, 103, 240), dimensions=3,
        ),
        "vesselmnist3d": MedMnistSet(("vessel", "aneurysm"), "MR", "brain", (1335, 191, 382), dimensions=3),
        "synapsemnist3d": MedMnistSet(
            ("inhibitory synapse", "excitatory synapse"), "EM", "brain", (1230, 177, 352), dimensions=3
        ),
    }
)  # fmt: skip
