"""Organs of real CT by name: a short fit on one scan, tested on another one, through the files that users have.

Training sees one abdominal CT of `totalseg_ct_mr_labels` (`example_ct_sm.nii.gz`, 30 slices of 3 mm) and its label map,
as noisy copies that are converted, augmented and learned like any corpus, with the decoder of `medical/ct-grounding`.
The test is `voxtile ground --to nifti` on the DICOM series of the same set (20 slices of 2 mm, JPEG 2000; its files
have lost the identifiers that a SEG would refer to), compared with the label map of that series, both read by nibabel
and brought together by their affines: what is measured is the whole way from a phrase to a voxel in the patient. Beside
each Dice stands the best that the answers to the other phrases get.

One scan trains and one tests (n = 1, perhaps of one scanner): the figures show that the parts fit together on real
files, and nothing about how well organs are found. The labels are another model's output.
Run: python benchmarks/grounding_real.py [--epochs 48] [--keep FOLDER]
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

from voxtile.cli.lightning import main as lightning
from voxtile.cli.main import main as voxtile
from voxtile.domain import resolve
from voxtile.training.config_bases import read_config
from voxtile_medical.segmentations.label_names import names_of_extensions

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data")).resolve() / "medical" / "totalseg_ct_mr_labels"
ORGANS = ("liver", "spleen", "stomach", "aorta", "spinal cord", "vertebrae T12")
COPIES, NOISE_HU = 16, 8.0


def training_files(folder: Path) -> None:
    """Noisy copies of the one scan, each with its label map beside it."""
    image = nib.load(DATA / "example_ct_sm.nii.gz")
    values, rng = np.asarray(image.dataobj, np.float32), np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(COPIES):
        noisy = np.round(values + rng.normal(0, NOISE_HU, values.shape)).astype(np.int16)
        nib.save(nib.Nifti1Image(noisy, image.affine), folder / f"copy{number:02d}.nii.gz")
        (folder / f"copy{number:02d}_seg.nii.gz").write_bytes((DATA / "example_seg.nii.gz").read_bytes())


def config(corpus: Path, root: Path, epochs: int) -> Path:
    """`medical/ct-grounding` for one small corpus without reports: only what grounds is learned."""
    settings = read_config(resolve("medical/ct-grounding", kind="config"))
    data, model = settings["data"], settings["model"]
    del data["phantom"], data["captions"]
    data |= {"corpus": str(corpus), "facts_source": None, "batch_size": 4}
    data["regions"] |= {"phrases": list(ORGANS), "present": 6, "absent": 0, "wordings": ["{}", "the {}", "show the {}"]}
    data["preset"]["init_args"] |= {"shape": [16, 48, 64], "spacing": [4.0, 6.5, 6.5]}
    data["preset"]["init_args"]["augment"] = {"shift": [6, 8, 8], "scale": 0.1, "offset": 30}
    model["objectives"] = {"grounding": model["objectives"]["grounding"]}
    model["weights"] = {"grounding": 1.0}
    settings["trainer"] |= {"max_epochs": epochs}
    settings["evaluate"] = {"tasks": []}
    path = root / "organs.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


def run(command: list[str]) -> None:
    """A command of voxtile that must succeed."""
    if voxtile(command) != 0:
        raise SystemExit(f"failed: voxtile {' '.join(command)}")


def masks_of(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Masks by phrase, and the affine from their indices to RAS+ mm."""
    [path], [about] = folder.glob("*.nii.gz"), folder.glob("*.json")
    image = nib.load(path)
    stacked = np.asarray(image.dataobj) > 0
    names = [part["name"] for part in json.loads(about.read_text())["phrases"]]
    return {name: stacked[..., number] for number, name in enumerate(names)}, image.affine


def on_grid(mask: np.ndarray, affine: np.ndarray, image: nib.Nifti1Image) -> tuple[np.ndarray, float]:
    """A mask on the grid of a NIfTI image, and how far voxels of both lie from each other at most (in voxels)."""
    index = np.indices(image.shape).reshape(3, -1)
    place = np.linalg.inv(affine) @ image.affine @ np.vstack([index, np.ones(index.shape[1])])
    nearest = np.rint(place[:3]).astype(int)
    inside = ((nearest >= 0) & (nearest < np.array(mask.shape)[:, None])).all(0)
    out = np.zeros(index.shape[1], bool)
    out[inside] = mask[tuple(nearest[:, inside])]
    return out.reshape(image.shape), float(np.abs(place[:3] - nearest)[:, inside].max())


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Of two masks."""
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=48)
    parser.add_argument("--keep", type=Path, help="work here and keep everything")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = (options.keep or Path(temporary)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        os.chdir(root)  # runs are written where one stands
        started = time.process_time()
        training_files(root / "files")
        corpus = root / "corpus"
        run(["convert", "nifti", str(root / "files"), str(corpus), "--modality", "CT", "--deidentify", "false",
             "--split_fractions", "1,0,0", "--engine", "inline"])  # fmt: skip
        lightning(["fit", "-c", str(config(corpus, root, options.epochs))])
        [checkpoint] = root.rglob("last.ckpt")
        run(["ground", str(checkpoint), str(DATA / "example_ct_dicom"), *ORGANS, "--to", "nifti",
             "--out", str(root / "found")])  # fmt: skip
        found, affine = masks_of(root / "found")
        truth = nib.load(DATA / "example_seg_dicom.nii.gz")
        labels = np.asarray(truth.dataobj)
        names = names_of_extensions(bytes(part.content) for part in truth.header.extensions)
        numbers = {part.name.replace("_", " "): part.values[0] for part in names}
        placed = {name: on_grid(mask, affine, truth) for name, mask in found.items()}
        print(f"\ntrained on 1 scan, tested on 1 scan; {time.process_time() - started:.0f} s of CPU")
        apart = max(apart for _, apart in placed.values())
        print(f"voxels of the answer lie within {apart:.4f} of a voxel of the label map's")
        ml = abs(np.linalg.det(truth.affine[:3, :3])) / 1000
        for organ in ORGANS:
            target = labels == numbers[organ]
            scores = {name: dice(mask, target) for name, (mask, _) in placed.items()}
            other = max((score for name, score in scores.items() if name != organ), default=0.0)
            own = scores.get(organ, 0.0)
            print(f"{organ:14s} {target.sum() * ml:6.0f} ml  Dice {own:.3f}  of another phrase {other:.3f}")


if __name__ == "__main__":
    main()
