"""`voxtile build` for sets of pictures: what each is, what it wants, and what its makers ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import ALL_TRAINING, build
from voxtile_datasets.recipes.download import tell
from voxtile_medical.recipes.pictures.parquet_rows import ParquetPictures, parquet_set
from voxtile_medical.recipes.pictures.picture_set import picture_set
from voxtile_medical.recipes.pictures.recipe import Pictures
from voxtile_medical.recipes.pictures.zstd_shards import SHARDS, ZstdShards


def build_mimic_cxr(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from MIMIC-CXR: radiographs as DICOM with reports, CheXpert labels and official splits.

    The splits and labels are tables of MIMIC-CXR-JPG (`mimic-cxr-2.0.0-split.csv.gz`, `…-chexpert.csv.gz`); copy them
    into the folder.

    Args:
        source: the folder with `files`, `cxr-record-list.csv.gz` and these tables, and the unpacked reports.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("mimic-cxr", source, corpus, ALL_TRAINING, run)


def build_mimic_cxr_jpg(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from MIMIC-CXR-JPG: radiographs with CheXpert labels and views, official splits by patient.

    The reports are those of MIMIC-CXR (`mimic-cxr-reports.zip`), read where they are unpacked in the folder.

    Args:
        source: the folder with `files` and the tables `mimic-cxr-2.0.0-*.csv.gz`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("mimic-cxr-jpg", source, corpus, ALL_TRAINING, run)


def build_chexpert(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from CheXpert: radiographs with labels that are positive, negative, uncertain or not mentioned.

    The experts' set of 200 patients is the validation split; the test set is read where its labels are there.

    Args:
        source: the folder with `train.csv` and `valid.csv`, small or whole.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("chexpert", source, corpus, ALL_TRAINING, run)


def build_chexpert_5x200(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a test corpus from CheXpert 5x200: 200 pictures of each of five findings that have no other of them.

    All are of CheXpert's training part: a model that was trained on it has seen them.

    Args:
        source: the folder of CheXpert with `chexpert-5x200.csv` in it.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("chexpert-5x200", source, corpus, ALL_TRAINING, run)


def build_chexpert_plus(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from CheXpert Plus: radiographs with reports, and labels of CheXbert where they are there.

    The report of an examination is that of each of its views.

    Args:
        source: the folder with `df_chexpert_plus_240401.csv` and the unpacked `PNG` or `DICOM`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("chexpert-plus", source, corpus, ALL_TRAINING, run)


def build_ms_cxr(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from MS-CXR: sentences of reports and the boxes that they mean, on radiographs of MIMIC-CXR-JPG.

    Args:
        source: the folder with `MS_CXR_Local_Alignment_v1.1.0.csv` and `files` of MIMIC-CXR-JPG.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("ms-cxr", source, corpus, ALL_TRAINING, run)


def build_nih_cxr14(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from NIH ChestX-ray14: radiographs with 14 labels, boxes of some, the official splits.

    A tenth of the patients of `train_val_list.txt` becomes the validation split.

    Args:
        source: the folder with `Data_Entry_2017_v2020.csv`, both lists and the unpacked `images_*`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("nih-cxr14", source, corpus, ALL_TRAINING, run)


def build_padchest(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from PadChest: 16-bit radiographs with Spanish reports and labels of physicians or of a network.

    Which of both made a label is in the source of its fact.

    Args:
        source: the folder with the table and the unpacked pictures, in folders by number or in one.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by subject.
        run: options of the run.
    """
    build_pictures("padchest", source, corpus, split_fractions, run)


def build_vindr_cxr(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from VinDr-CXR: radiographs as DICOM with findings and boxes of several readers.

    What some of the readers see and not most of them is uncertain. A tenth of the training set becomes the validation
    split.

    Args:
        source: the folder with `train`, `test` and `annotations`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("vindr-cxr", source, corpus, ALL_TRAINING, run)


def build_rsna_pneumonia(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from RSNA Pneumonia Detection Challenge 2018: radiographs as DICOM with boxes.

    With the mapping to NIH's pictures (`pneumonia-challenge-dataset-mappings_2018.json`), patients stay
    together; without it, each picture is a subject of its own.

    Args:
        source: the folder with `stage_2_train_labels.csv` and `stage_2_train_images`.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by subject.
        run: options of the run.
    """
    build_pictures("rsna-pneumonia", source, corpus, split_fractions, run)


def build_siim_acr(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from SIIM-ACR Pneumothorax Segmentation: radiographs as DICOM with masks of the pneumothorax.

    Args:
        source: the folder with `train-rle.csv` or `stage_2_train.csv` and the unpacked DICOM files.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by subject.
        run: options of the run.
    """
    build_pictures("siim-acr", source, corpus, split_fractions, run)


def build_iu_xray(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from Indiana University chest X-rays: views with reports and the problems that they name.

    No patient is named; the views of an examination stay together.

    Args:
        source: the folder with `indiana_projections.csv`, `indiana_reports.csv` and the pictures.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by subject.
        run: options of the run.
    """
    build_pictures("iu-xray", source, corpus, split_fractions, run)


def build_open_i(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from the Indiana University chest X-rays as Open-i offers them: reports as XML, pictures as PNG.

    No patient is named; the views of an examination stay together. `iu-xray` reads the tables that were made of them.

    Args:
        source: the folder with the unpacked `ecgen-radiology` and `NLMCXR_png`.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by subject.
        run: options of the run.
    """
    build_pictures("open-i", source, corpus, split_fractions, run)


def build_roco_v2(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from ROCOv2: figures of open-access articles with captions and UMLS concepts, official splits.

    Each picture keeps the terms that `license_information.csv` names for it; the article is the subject.

    Args:
        source: the folder with the tables and the unpacked `train_images`, `valid_images` and `test_images`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("roco-v2", source, corpus, ALL_TRAINING, run)


def build_medtrinity(source: Path, corpus: Path, *, split_fractions: str = "0.98,0.01,0.01", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from MedTrinity-25M: pictures of many sets with captions by a multimodal model.

    Parquet files that hold the pictures are read (`25M_demo`), or the whole set: tars packed by Zstandard
    (`25M_accessible`) with the tables of captions (`25M_full`). Give one of both. Patients are not published.

    Args:
        source: the folder with the Parquet files, or with the tars and their tables.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, picture by picture.
        run: options of the run.
    """
    data = parquet_set("medtrinity")
    tell(f"{data.title}: {data.access}")
    packed = source.is_dir() and next(source.rglob(SHARDS), None) is not None
    recipe = ZstdShards(data) if packed else ParquetPictures(data)
    build(recipe, source, corpus, split_fractions, RunOptions(**run))


def build_busi(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from BUSI: breast ultrasound, benign, malignant or normal, with masks of the lesions.

    Patients are not published; pictures are split one by one.

    Args:
        source: the folder `Dataset_BUSI_with_GT`.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by subject.
        run: options of the run.
    """
    build_pictures("busi", source, corpus, split_fractions, run)


def build_messidor(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from MESSIDOR: fundus photographs with grades of retinopathy and of the risk of macular edema.

    The errata of its makers are followed. Its tables are read as they are (.xls), or saved as CSV or .xlsx beside them.
    Patients are not published.

    Args:
        source: the folder with `Base11` to `Base34` and a table of grades for each.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by subject.
        run: options of the run.
    """
    build_pictures("messidor", source, corpus, split_fractions, run)


def build_messidor_2(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from Messidor-2: fundus photographs of both eyes with adjudicated grades of retinopathy.

    The eyes of an examination stay together by `messidor-2.csv`.

    Args:
        source: the folder with `IMAGES`, `messidor-2.csv` and `messidor_data.csv`.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by subject.
        run: options of the run.
    """
    build_pictures("messidor-2", source, corpus, split_fractions, run)


def build_isic_2018(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from ISIC 2018 task 3 (HAM10000): skin lesions with seven diagnoses, official splits.

    Args:
        source: the folder with the unpacked `ISIC2018_Task3_*`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("isic-2018", source, corpus, ALL_TRAINING, run)


def build_isic_2019(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from ISIC 2019: skin lesions with eight diagnoses, lesions kept together.

    A tenth of the lesions of the training set becomes the validation split.

    Args:
        source: the folder with the unpacked `ISIC_2019_*`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_pictures("isic-2019", source, corpus, ALL_TRAINING, run)


def build_isic_2020(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from ISIC 2020: skin lesions, benign or malignant, by patient; listed duplicates are left out.

    Args:
        source: the folder with `ISIC_2020_Training_GroundTruth_v2.csv`, the list of duplicates and `train`.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by subject.
        run: options of the run.
    """
    build_pictures("isic-2020", source, corpus, split_fractions, run)


def build_pictures(name: str, source: Path, corpus: Path, split_fractions: str, run: dict[str, Any]) -> None:
    """Build a corpus from the set of `sets/` with this name, after saying what its makers ask for."""
    data = picture_set(name)
    tell(f"{data.title}: {data.access}")
    build(Pictures(data), source, corpus, split_fractions, RunOptions(**run))
