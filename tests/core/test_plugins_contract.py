"""The domains that come with voxtile keep the contract that third parties are held to."""

from typing import ClassVar

import numpy as np
from PIL import Image
from tests.support.picture_sets import PICTURE_LAYOUTS
from tests.support.question_sets import TALK_LAYOUTS

from voxtile.testing.contract import DomainContract


class TestGeneral(DomainContract):
    domain_name = "general"

    def source_for(self, converter, folder):
        if converter == "conversations":
            TALK_LAYOUTS[converter][0](folder)
            return folder
        rng = np.random.default_rng(0)
        if converter == "medmnist":
            path = folder / "pneumoniamnist.npz"
            arrays = {}
            for split, count in (("train", 4), ("val", 2), ("test", 2)):
                arrays[f"{split}_images"] = rng.integers(0, 255, (count, 28, 28), dtype=np.uint8)
                arrays[f"{split}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
            np.savez(path, **arrays)
            return path
        for name in ("cat/1.png", "cat/2.png", "dog/3.png"):
            (folder / name).parent.mkdir(exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / name)
        return folder


KEY = ("--key-file", "{folder}/key.parquet")  # the same key gives the same hashes, and so the same bytes


class TestMedical(DomainContract):
    domain_name = "medical"
    options: ClassVar = {"dicom": KEY, "nifti": KEY}

    def source_for(self, converter, folder):
        if converter == "dicom":
            from voxtile_medical.phantom.ct.command import write_ct_phantom

            write_ct_phantom(folder / "phantom", n=2, seed=1)
            return folder / "phantom" / "dicom"
        if converter == "figures":
            from voxtile_medical.phantom.articles.command import write_articles_phantom

            write_articles_phantom(folder / "articles", n=2, clean=True, workers=1)
            return folder / "articles"
        if converter == "nih-cxr14":  # one set stands for all: they have one reader, and tests of their own
            PICTURE_LAYOUTS[converter][0](folder)
            return folder
        if converter != "nifti":
            return super().source_for(converter, folder)
        import nibabel

        for index in range(2):
            voxels = np.random.default_rng(index).integers(-1000, 1000, (12, 11, 10), dtype=np.int16)
            nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 2.0, 3.0, 1.0])), folder / f"{index}.nii.gz")
        return folder
