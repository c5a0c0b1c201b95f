"""Small invented copies of public data sets of volumes, laid out as their makers do."""

import csv
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

RAS = np.diag([-2.0, -2.0, 3.0, 1.0])
CT_RATE_LABELS = (
    "Medical material", "Arterial wall calcification", "Cardiomegaly", "Pericardial effusion",
    "Coronary artery wall calcification", "Hiatal hernia", "Lymphadenopathy", "Emphysema", "Atelectasis", "Lung nodule",
    "Lung opacity", "Pulmonary fibrotic sequela", "Pleural effusion", "Mosaic attenuation pattern",
    "Peribronchial thickening", "Consolidation", "Bronchiectasis", "Interlobular septal thickening",
)  # fmt: skip


def hu(name, shape=(12, 10, 8)):
    """A body of tissue in air, as [x, y, z] HU that differ from volume to volume."""
    rng = np.random.default_rng(zlib.crc32(str(name).encode()))
    volume = rng.integers(-1010, -980, shape)
    volume[3:9, 2:8, 1:7] = rng.integers(20, 80, (6, 6, 6))
    return volume.astype(np.int16)


def save(path, array, affine=RAS):
    """A NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def blob(value=1, shape=(12, 10, 8), dtype=np.uint8):
    """A label map with one structure of 4 × 3 × 2 voxels."""
    array = np.zeros(shape, dtype)
    array[4:8, 3:6, 2:4] = value
    return array


def table(path, header, *rows):
    """A CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def ct_rate(root: Path, volumes=("train_1_a_1", "train_1_a_2", "train_2_a_1", "valid_1_a_1"), release=1):
    """CT-RATE: volumes of the first release in stored values under blank headers, or of the second in HU."""
    for name in volumes:
        split, patient, scan, _ = name.split("_")
        folder = root / "dataset" / (split if release == 1 else f"{split}_fixed")
        path = folder / f"{split}_{patient}" / f"{split}_{patient}_{scan}" / f"{name}.nii.gz"
        if release == 1:
            save(path, (hu(name) + 1024).astype(np.float32), np.eye(4))
        else:
            save(path, hu(name), np.diag([-0.7, -0.7, 1.5, 1.0]))
    for split, word in (("train", "train"), ("valid", "validation")):
        named = [f"{name}.nii.gz" for name in volumes if name.startswith(split)]
        reports = [(n, "cough", "CT", f"There is a nodule in {n[:-7]}.", "Lung nodule.") for n in named]
        columns = ("VolumeName", "ClinicalInformation_EN", "Technique_EN", "Findings_EN", "Impressions_EN")
        table(root / f"dataset/radiology_text_reports/{word}_reports.csv", columns, *reports)
        labels = [(n, *(int(label in ("Lung nodule", "Emphysema")) for label in CT_RATE_LABELS)) for n in named]
        folder = root / "dataset/multi_abnormality_labels"
        table(folder / f"{split}_predicted_labels.csv", ("VolumeName", *CT_RATE_LABELS), *labels)
        metadata = [(n, 1, -1024, "[0.7, 0.7]", 1.5, "[1, 0, 0, 0, 1, 0]", "[-100, -90, -300]") for n in named]
        columns = (
            "VolumeName", "RescaleSlope", "RescaleIntercept", "XYSpacing", "ZSpacing", "ImageOrientationPatient",
            "ImagePositionPatient",
        )  # fmt: skip
        table(root / f"dataset/metadata/{word}_metadata.csv", columns, *metadata)


# Recipe → (writes a small copy, number of samples, further words of the command).
VOLUME_LAYOUTS = {
    "ct-rate": (ct_rate, 4, ()),
}
# Recipe → (files that a download may lack, what must be said of it).
VOLUME_LACKING = {
    "ct-rate": ("dataset/train/train_2/*/*", "'train_2_a_1'"),
}
