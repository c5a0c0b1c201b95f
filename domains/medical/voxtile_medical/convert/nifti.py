"""`voxtile convert nifti`: NIfTI volumes into a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from voxtile.console import note, output
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError, InputError
from voxtile.folders import OutputFile
from voxtile_datasets.converters.modalities import note_unknown
from voxtile_datasets.intake.planner import IntakeOptions, Planner
from voxtile_datasets.intake.report_advice import print_report_advice
from voxtile_datasets.recipes.download import tell_unread
from voxtile_medical.dicom_header.scan import root_of
from voxtile_medical.nifti.datalist import Datalist, layout_of, read_datalist
from voxtile_medical.nifti.files import is_label_name, is_nifti_name, nifti_tree
from voxtile_medical.nifti.task import LABELS, LABELS_ADVICE, UNKNOWN, NiftiTask, find_label_maps
from voxtile_medical.nifti.units import FORMS_DIFFER, FORMS_DIFFER_ADVICE, NOT_HU, NOT_HU_ADVICE
from voxtile_medical.report_files.read import read_report_files
from voxtile_medical.segmentations.attach import run_masks
from voxtile_medical.segmentations.label_names import read_names
from voxtile_medical.segmentations.plan import ToldMask
from voxtile_medical.segmentations.samples import Images, MaskNames
from voxtile_medical.segmentations.task import MaskTask

_OTHER_FORMATS = (".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh", ".img", ".mnc")  # of volumes
_ALIKE = (
    "{} subjects have the beginning of their name, or their folder, in common with another one: where these are "
    "examinations of one patient, say so with --subject-pattern (such as '^([^_/]+)') in a new corpus, or training and "
    "test share patients"
)


def convert_nifti(
    source: Path,
    corpus: Path,
    *,
    reports: Path | None = None,
    replace_reports: bool = False,
    deidentify: bool = True,
    surrogates: bool = False,
    key_file: Path | None = None,
    subject_table: OutputFile | None = None,
    splits: Path | None = None,
    split_fractions: str = "0.8,0.1,0.1",
    modality: str = "OT",
    units: str | None = None,
    label_pattern: str = "*seg*,*label*,*mask*",
    no_affine: Literal["refuse", "assume"] = "refuse",
    subject_pattern: str | None = None,
    datalist: Path | None = None,
    fold: int | None = None,
    deface: bool = False,
    licence: str | None = None,
    masks: bool = True,
    label_names: Path | None = None,
    pairs: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    r"""Convert the NIfTI files (.nii, .nii.gz) of a folder tree; a 4D file gives one sample a volume.

    The folders of public collections are known: TotalSegmentator and AbdomenAtlas (s0001/ct.nii.gz beside
    segmentations), the Decathlon and nnU-Net (imagesTr, labelsTr, dataset.json), BraTS, CT-RATE and BIDS say whose an
    image is and what is a label map. Sidecars of BIDS and of dcm2niix (.json, .bval, participants.tsv) say how an image
    was acquired; of them, what is a number within its limits or a word of a closed list is kept.

    Args:
        source: folder or archive (.zip, .tar, .tar.gz, .tgz) of NIfTI files, or one file; archives in the folder are
            read like folders, and not unpacked.
        corpus: where the corpus is, or will be.
        reports: CSV or Parquet of report texts; the columns study and/or subject, and text. A study is a BIDS
            subject/session, what the folders of a public collection say, or a file name without its suffix.
        replace_reports: replace stored texts of reports that --reports has otherwise by those of the table; texts of
            studies that it does not name stay. What was made of the old ones has to be taken back first, which is said.
        deidentify: replace file names and subjects by keyed hashes, and remove identifiers from report texts.
        surrogates: write made-up names and shifted dates where report texts name people and days, instead of ___; the
            same for a subject wherever they stand.
        key_file: where the key and the map of sources are kept; default beside the corpus, CORPUS.sources.parquet.
        subject_table: file to write who stands behind each subject (mode 0600, apart from the key); read it with:
            voxtile subjects find FILE SUBJECT.
        splits: CSV or Parquet with the columns subject or file, and split (train, val or test). Goes before folders
            that are named after splits (imagesTr and imagesTs; train, val, test), which are followed else.
        split_fractions: shares of train, val and test for subjects that no file and no folder places; without a folder
            of validation those of train and val hold for training folders.
        modality: DICOM modality (CT, MR, PT, …) of files whose name or dataset.json does not say.
        units: unit of the physical values; default HU for CT whose values show it, else a.u.
        label_pattern: file name patterns of label maps, separated by commas; they are not images, nor is what folders
            say to be labels.
        no_affine: what to do where neither sform nor qform is set: refuse, or assume that axes run right, front, up.
        subject_pattern: regular expression that finds the subject in a file's relative path, e.g. '^(\w+?)_', where
            several files are of one patient and neither folders nor names say so.
        datalist: JSON data list of MONAI or the Decathlon ({"training": [{"image": …, "label": …}], "validation": …});
            its paths are relative to SOURCE. Only its files are converted; it says which are label maps, of which
            image, and the splits. --splits goes before it.
        fold: number of the data list's fold that is the validation; without it folds are left aside.
        deface: take the face off heads in CT and MR; volumes of which it is not certain whether they show one, or what
            they are, are left out (head-unsure). PET is not looked at.
        licence: licence to note with every sample.
        masks: attach label maps to the images that their names say (case_seg beside case, labelsTr for imagesTr, …).
        label_names: JSON, TSV or 3D Slicer colour table that names the labels; default a table beside each label map,
            its header extension, or a table above it as BIDS and nnU-Net have it.
        pairs: CSV with the columns mask and uid, for label maps whose names do not say their image.
        run: how to run: workers, retry, dry_run, …
    """
    options = RunOptions(**run)
    note_unknown(modality)
    if label_names is not None:
        read_names(label_names)
    intake = IntakeOptions(
        deidentify, key_file, reports, splits, split_fractions, surrogates, subject_table, replace_reports
    )
    planner = Planner.open(corpus, options, intake, read_report_files)
    listed = _read_list(source, datalist, fold)
    patterns = tuple(pattern.strip() for pattern in label_pattern.split(",") if pattern.strip() and listed is None)
    told = (patterns, modality, units, no_affine, licence, deidentify, masks, subject_pattern)
    task = NiftiTask(source, *told, planner, deface, listed)
    summary = run_task(task, corpus, options)
    if reports is not None:
        print_report_advice(summary)
    if summary.reasons["dropped"][LABELS]:
        output().print(LABELS_ADVICE, markup=False, highlight=False, soft_wrap=True)
    for reason, advice in ((NOT_HU, NOT_HU_ADVICE), (FORMS_DIFFER, FORMS_DIFFER_ADVICE)):
        if summary.left_out[reason]:
            output().print(advice, markup=False, highlight=False, soft_wrap=True)
    if not options.dry_run:
        _say_what_is_stored(corpus, asked=modality != UNKNOWN)
    root, found, _ = nifti_tree(source, options.plan_reader)
    tell_unread(source, found, _OTHER_FORMATS, "convert them to NIfTI first")
    layout, paths, _ = layout_of(root, list(filter(is_nifti_name, found)), listed)
    images = [path for path in paths if not is_label_name(path, patterns)]
    if subject_pattern is None and (alike := layout.alike(images)):
        output().print(_ALIKE.format(alike), markup=False, highlight=False, soft_wrap=True)
    if masks and not options.dry_run:
        label_maps = tuple(find_label_maps(root, paths, patterns, layout))
        names = MaskNames(planner.names, planner.key_map)
        if label_maps:
            told_masks = _told_masks(corpus, names, listed) if listed and pairs is None else {}
            if listed is not None and listed.names_labels and label_names is None:
                label_names = listed.path
            attached = MaskTask(
                source, corpus, names, deidentify, label_names, pairs, label_maps=label_maps, told=told_masks
            )
            run_masks(attached, options).raise_if_failed()
    summary.raise_if_failed()


def _read_list(source: Path, datalist: Path | None, fold: int | None) -> Datalist | None:
    if datalist is None and source.suffix.lower() == ".json":
        raise InputError(f"'{source}' is no folder; give the folder of its files as SOURCE, and the list as --datalist")
    if datalist is None and fold is not None:
        raise ConfigError("--fold is of a data list; give it with --datalist")
    if datalist is None:
        return None
    listed = read_datalist(datalist, root_of(source), fold)
    for sentence in listed.sentences():
        note(sentence)
    return listed


def _told_masks(corpus: Path, names: MaskNames, listed: Datalist) -> dict[str, ToldMask]:
    """Of which samples each label map of a data list is."""
    by_path = Images.of(corpus, names).by_path
    return {
        label: ToldMask(tuple(grid.uid for path in paths for grid in by_path[path]))
        for label, paths in listed.labels.items()
    }


def _say_what_is_stored(corpus: Path, *, asked: bool) -> None:
    """Notes on images of which nothing says what they are, and on those that are stored under several names.

    Args:
        corpus: the corpus.
        asked: the user says what images are of which nothing else does.
    """
    from voxtile.corpus.reader import Corpus  # late: a plan needs no database

    rows = Corpus(corpus).table("samples", columns=["source", "modality", "kind", "sha256"]).to_pylist()
    if not asked:
        _say_what_is_unknown(rows)
    names: dict[str, set[str]] = {}
    for row in rows:
        if row["kind"] == "volume" and row["sha256"]:
            names.setdefault(row["sha256"], set()).add(row["source"])
    if twice := [sorted(sources) for sources in names.values() if len(sources) > 1]:
        note(
            f"{len(twice)} volumes are stored under several names, such as '{twice[0][0]}' and '{twice[0][1]}': each "
            "is a sample and counts again; where a folder was renamed or files were copied, convert one of each into a "
            "new corpus"
        )


def _say_what_is_unknown(rows: list[Row]) -> None:
    """A note on images of which nothing says what they are: models of CT, MR or PET refuse them."""
    if unknown := {row["source"] for row in rows if row["modality"] == UNKNOWN}:
        note(
            f"of {len(unknown)} files neither the name (case_ct.nii.gz) nor a sidecar says what they are; they are "
            f"stored as {UNKNOWN} in a.u., which models of CT, MR and PET refuse: say it with --modality, in a new "
            "corpus"
        )
