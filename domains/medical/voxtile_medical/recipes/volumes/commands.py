"""The commands of the data sets of volumes; what a set is stands in `sets/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_medical.recipes.volumes.build import BY_SUBJECT, build_volumes
from voxtile_medical.recipes.volumes.volume_set import load_volume_set


def build_ct_rate(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from CT-RATE: chest CT with reports and 18 abnormalities, official splits.

    Volumes of both releases are read: headers of the first one are blank, and geometry and scale come from the metadata
    tables; those of the second one (`train_fixed`, `valid_fixed`) hold them. The official validation set, on which
    results are published, is the test; a twentieth of the training patients becomes the validation split.

    Licence: CC BY-NC-SA 4.0, after agreeing to the terms of https://huggingface.co/datasets/ibrahimhamamci/CT-RATE.

    Args:
        source: the folder with `train` and `valid` and the tables of reports, labels and metadata, in whatever folders.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_volumes(load_volume_set("ct-rate"), source, corpus, RunOptions(**run))


def build_totalsegmentator(source: Path, corpus: Path, *, masks: bool = True, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from TotalSegmentator's CT: 117 structures as masks, official splits.

    Licence: CC BY 4.0 (https://doi.org/10.5281/zenodo.6802613).

    Args:
        source: the folder with `s0000`, `s0001`, … and `meta.csv`.
        corpus: the corpus to add to; made if it does not exist.
        masks: attach the label maps to their images as regions.
        run: options of the run.
    """
    build_volumes(load_volume_set("totalsegmentator"), source, corpus, RunOptions(**run), masks=masks)


def build_totalsegmentator_mr(source: Path, corpus: Path, *, masks: bool = True, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from TotalSegmentator's MR: 50 structures as masks, official splits.

    Licence: CC BY-NC-SA 2.0 of version 2.0.0 (https://doi.org/10.5281/zenodo.11367004).

    Args:
        source: the folder with `s0001`, `s0002`, … and `meta.csv`.
        corpus: the corpus to add to; made if it does not exist.
        masks: attach the label maps to their images as regions.
        run: options of the run.
    """
    build_volumes(load_volume_set("totalsegmentator-mr"), source, corpus, RunOptions(**run), masks=masks)


def build_msd(source: Path, corpus: Path, *, masks: bool = True, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from the Medical Segmentation Decathlon: ten tasks of CT and MR with masks.

    Any of the ten tasks may be there. Test images have no masks; a tenth of the training cases becomes the validation
    split.

    Licence: CC BY-SA 4.0 (http://medicaldecathlon.com).

    Args:
        source: the folder with `Task01_BrainTumour` and the like, unpacked.
        corpus: the corpus to add to; made if it does not exist.
        masks: attach the label maps to their images as regions.
        run: options of the run.
    """
    build_volumes(load_volume_set("msd"), source, corpus, RunOptions(**run), masks=masks)


def build_rad_chestct(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from RAD-ChestCT: chest CT with 84 abnormalities and where they are, official splits.

    The arrays (.npz) have no header: they are 0.8 mm in all directions, from the head down. A label is present where it
    is in any location; the locations are kept with the fact (`stated_locations`).

    Licence: CC BY-NC-ND 4.0, after a request at https://zenodo.org/records/6406114.

    Args:
        source: the folder with the .npz files, the three label tables and CT_Scan_Metadata_Complete_35747.csv.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_volumes(load_volume_set("rad-chestct"), source, corpus, RunOptions(**run))


def build_merlin(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from Merlin's abdominal CT: findings of reports and 30 labels, official splits.

    Labels of -1 (not mentioned) are unknown. Patients are not named in the download, so that each scan is its own
    subject; the official splits are those of the paper.

    Licence: Stanford's research use agreement, non-commercial (https://stanfordaimi.azurewebsites.net).

    Args:
        source: the folder with `merlin_data`, reports_final.xlsx and zero_shot_findings_disease_cls.csv.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_volumes(load_volume_set("merlin"), source, corpus, RunOptions(**run))


def build_inspect(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from INSPECT: CT of pulmonary arteries with impressions, embolism and outcomes, official splits.

    Labels that are censored are unknown.

    Licence: Stanford's research use agreement, non-commercial (https://stanfordaimi.azurewebsites.net).

    Args:
        source: the folder with `CTPA` and the tables study_mapping, splits, impressions and labels (TSV).
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_volumes(load_volume_set("inspect"), source, corpus, RunOptions(**run))


def build_amos(source: Path, corpus: Path, *, masks: bool = True, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from AMOS 2022: abdominal CT and MR with 15 organs as masks, official splits.

    Licence: CC BY-NC-SA 4.0 (https://zenodo.org/records/7262581).

    Args:
        source: the folder `amos22`, unpacked, and folders of unlabelled CT.
        corpus: the corpus to add to; made if it does not exist.
        masks: attach the label maps to their images as regions.
        run: options of the run.
    """
    build_volumes(load_volume_set("amos"), source, corpus, RunOptions(**run), masks=masks)


def build_kits(
    source: Path,
    corpus: Path,
    *,
    masks: bool = True,
    split_fractions: str = BY_SUBJECT,
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from KiTS19, KiTS21 or KiTS23: CT with kidney, tumor and cyst as masks, split by case.

    Licence: CC BY-NC-SA 4.0 (https://kits-challenge.org).

    Args:
        source: the folder with `case_00000`, `case_00001`, …; one year at a time.
        corpus: the corpus to add to; made if it does not exist.
        masks: attach the label maps to their images as regions.
        split_fractions: shares of train, val and test, by patient.
        run: options of the run.
    """
    build_volumes(
        load_volume_set("kits"), source, corpus, RunOptions(**run), masks=masks, split_fractions=split_fractions
    )


def build_brats(
    source: Path,
    corpus: Path,
    *,
    masks: bool = True,
    split_fractions: str = BY_SUBJECT,
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from BraTS 2020 to 2024: four MR sequences of each tumor, parts of it as masks, split by patient.

    What the number 4 is in a mask depends on the year, which names of cases tell: the enhancing tumor until 2021, the
    resection cavity since 2024.

    Licence: the terms of Synapse, with registration (https://www.synapse.org/brats).

    Args:
        source: the folder of one year or several, unpacked.
        corpus: the corpus to add to; made if it does not exist.
        masks: attach the label maps to their images as regions.
        split_fractions: shares of train, val and test, by patient.
        run: options of the run.
    """
    build_volumes(
        load_volume_set("brats"), source, corpus, RunOptions(**run), masks=masks, split_fractions=split_fractions
    )


def build_autopet(
    source: Path,
    corpus: Path,
    *,
    masks: bool = True,
    split_fractions: str = BY_SUBJECT,
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from AutoPET: FDG and PSMA PET/CT with tumor lesions as masks, split by patient.

    PET is read in SUV, CT in HU; copies of either in another unit or on another grid are not.

    Licence: CC BY-NC 4.0 (https://fdat.uni-tuebingen.de/records/6gjsg-zcg93).

    Args:
        source: the folder with `imagesTr` and `labelsTr`, or with `PETCT_…` as converted from TCIA.
        corpus: the corpus to add to; made if it does not exist.
        masks: attach the label maps to their images as regions.
        split_fractions: shares of train, val and test, by patient.
        run: options of the run.
    """
    build_volumes(
        load_volume_set("autopet"), source, corpus, RunOptions(**run), masks=masks, split_fractions=split_fractions
    )


def build_abdomenatlas3(source: Path, corpus: Path, *, masks: bool = True, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from AbdomenAtlas 3.0: abdominal CT, organs and tumors as masks, RadGPT's reports, official split.

    Reports are not of people: structured ones are captions of the kind template, narrative ones, by a language model,
    of the kind vlm. A tenth of the official training cases becomes the validation split.

    Licence: CC BY-NC-SA 4.0 (https://huggingface.co/datasets/AbdomenAtlas/AbdomenAtlas3.0Mini).

    Args:
        source: the folder with `image_only`, `mask_only`, `TrainTestIDS` and AbdomenAtlas3.0MiniWithMeta.csv.
        corpus: the corpus to add to; made if it does not exist.
        masks: attach the label maps to their images as regions.
        run: options of the run.
    """
    build_volumes(load_volume_set("abdomenatlas3"), source, corpus, RunOptions(**run), masks=masks)
