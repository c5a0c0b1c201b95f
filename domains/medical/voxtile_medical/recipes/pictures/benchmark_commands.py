"""`voxtile build` for small sets that published models are asked about zero-shot (UniMed-CLIP's, arXiv:2412.10372)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile_datasets.recipes.build import ALL_TRAINING
from voxtile_medical.recipes.pictures.commands import build_pictures


def build_fives(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from FIVES: fundus photographs with one of four diagnoses, official splits.

    A tenth of the training pictures becomes the validation split; patients are not published.

    Args:
        source: the folder with `train/Original` and `test/Original`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("fives", source, corpus, ALL_TRAINING, run)


def build_refuge(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from REFUGE: the training part, whose names say which eyes have glaucoma.

    Patients are not published; pictures are split one by one.

    Args:
        source: the folder with the photographs `g….jpg` and `n….jpg`.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by subject.
        run: options of the run.
    """
    build_pictures("refuge", source, corpus, split_fractions, run)


def build_odir_200x3(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a test corpus from ODIR 200x3: 200 fundus photographs of each of three classes, by UniMed-CLIP's list.

    Args:
        source: the folder with `08_ODIR200x3.csv` and the photographs of ODIR-5K.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("odir-200x3", source, corpus, ALL_TRAINING, run)


def build_deepdrid(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from DeepDRiD: two fundus photographs of each eye with its grade of retinopathy.

    Its validation part is the test split; a tenth of the training patients becomes the validation split.

    Args:
        source: the repository of its makers, or its folder `regular_fundus_images`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("deepdrid", source, corpus, ALL_TRAINING, run)


def build_knee_acl(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from slices of MR of the knee with and without a tear of the anterior cruciate ligament.

    Splits are those of RadImageNet's first fold, by examination.

    Args:
        source: the folder with `train_fold1.csv`, `val_fold1.csv`, `test_fold1.csv` and the slices.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("knee-acl", source, corpus, ALL_TRAINING, run)


def build_knee_meniscus(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from slices of MR of the knee with and without a tear of a meniscus.

    Splits are those of RadImageNet's first fold, by examination.

    Args:
        source: the folder with `meniscus_*_fold1.csv` and the slices.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("knee-meniscus", source, corpus, ALL_TRAINING, run)


def build_thyroid_us(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from ultrasound of the thyroid: benign and malignant nodules.

    Splits are those of RadImageNet's first fold, by case.

    Args:
        source: the folder with `thyroid_*_fold1.csv` and the pictures.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("thyroid-us", source, corpus, ALL_TRAINING, run)
