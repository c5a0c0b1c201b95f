"""`voxtile convert wsi`: whole slides into a corpus of patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from voxtile.console import output
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.worker_process import Limits
from voxtile.errors import ConfigError
from voxtile.folders import OutputFile
from voxtile_datasets.intake.planner import IntakeOptions, Planner
from voxtile_datasets.intake.report_advice import print_report_advice
from voxtile_pathology.convert.cases import StudyUnit
from voxtile_pathology.convert.current_slide import close_slide
from voxtile_pathology.convert.plan import Inputs
from voxtile_pathology.convert.settings import MPP_TOLERANCE, Codec, Icc, Sampling, WsiSettings
from voxtile_pathology.convert.task import WsiTask
from voxtile_pathology.tissue.mask import OTSU, tissue_spec

_NO_TISSUE = (
    "no-tissue: {} slides show too little that is coloured, as unstained, fluorescent and grey ones do; --min-tissue 0 "
    "keeps every place, --tissue takes another detector"
)


def convert_wsi(
    source: Path,
    corpus: Path,
    *,
    mpp: float | Literal["native"] = 0.5,
    mpp_tolerance: float = MPP_TOLERANCE,
    assume_mpp: float | None = None,
    patch_px: int = 256,
    overlap: int = 0,
    sampling: Sampling = "grid",
    patches_per_slide: int = 256,
    seed: int = 0,
    annotations: Path | None = None,
    coords: Path | None = None,
    min_annotated: float = 0.5,
    tissue: str = OTSU,
    tissue_mpp: float = 8.0,
    min_tissue: float = 0.5,
    max_pen: float = 0.05,
    max_fold: float = 1.0,
    min_sharpness: float = 0.0,
    codec: Codec = "jpg",
    quality: int = 90,
    pass_through: bool = False,
    coords_only: bool = False,
    icc: Icc = "keep",
    reports: Path | None = None,
    replace_reports: bool = False,
    cases: Path | None = None,
    study: StudyUnit = "slide",
    associated: str = "",
    deidentify: bool = True,
    surrogates: bool = False,
    key_file: Path | None = None,
    subject_table: OutputFile | None = None,
    splits: Path | None = None,
    split_fractions: str = "0.8,0.1,0.1",
    licence: str | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Convert the whole slides of a folder tree to patches of tissue at one scale.

    Each slide also gives an overview: its thumbnail, with the masks of tissue, folds and ink as regions.

    Args:
        source: folder of slides (SVS, NDPI, MIRAX, SCN, BIF, TIFF, DICOM), or one slide.
        corpus: where the corpus is, or will be.
        mpp: micrometres a pixel of a patch, along x and y; native takes level 0 as it is.
        mpp_tolerance: take the pixels of a level as they are where its scale differs by no more than this share, since
            resampling by so little only blurs; the patch then states the scale that it has. 0 resamples every slide.
        assume_mpp: micrometres a pixel of slides whose file does not say; noted with every sample.
        patch_px: width and height of a patch in pixels.
        overlap: pixels that neighbouring patches share.
        sampling: grid, random places in the tissue, where annotations are, or the places of coordinate files (coords).
        patches_per_slide: number of random patches a slide.
        seed: of random places.
        annotations: folder of annotation files named as the slides (GeoJSON, ASAP or ImageScope XML, COCO), or one
            file; what touches a patch becomes a region with a phrase.
        coords: folder of coordinate files (.h5) of CLAM or TRIDENT named as the slides, for --sampling coords; all
            their patches are taken at the size and scale that the files give, whatever --patch-px and --mpp are.
        min_annotated: share of a patch that annotations must cover, with --sampling annotations.
        tissue: what finds tissue: otsu, the class path of a detector, or a YAML file with class_path and init_args.
        tissue_mpp: micrometres a pixel of the thumbnail on which tissue is found.
        min_tissue: share of tissue that a patch needs.
        max_pen: largest share of ink in a patch.
        max_fold: largest share of folded tissue in a patch.
        min_sharpness: least variance of the Laplacian; 0 keeps blurred patches too.
        codec: how patches are stored: jpg or png.
        quality: of JPEG, 1 to 100.
        pass_through: copy the slide's own JPEG tiles where one tile is one patch; no pixel is re-encoded.
        coords_only: store no pixels; training reads them from the slides.
        icc: keep takes pixels as they are in the slide, as most tools do; srgb applies the ICC profile of slides that
            have one. The profile's name is noted in any case.
        reports: CSV or Parquet of report texts; the columns study (or slide) and/or subject (or case), and text. They
            become captions of the study, on its first patch.
        replace_reports: replace stored texts of reports that --reports has otherwise by those of the table; texts of
            studies that it does not name stay. What was made of the old ones has to be taken back first, which is said.
        cases: CSV or Parquet with the columns slide and subject, and perhaps study; without it a slide is its own
            subject, or belongs to the case of its TCGA barcode.
        study: what a study is where the table does not say: a slide, or all slides of a case.
        associated: names of associated images to store as well, separated by commas; label and macro images may show
            names and need --no-deidentify.
        deidentify: replace file names and cases by keyed hashes, and remove identifiers from report texts.
        surrogates: write made-up names and shifted dates where report texts name people and days, instead of ___; the
            same for a subject wherever they stand.
        key_file: where the key and the map of sources are kept; default beside the corpus, CORPUS.sources.parquet.
        subject_table: file to write who stands behind each subject (mode 0600, apart from the key); read it with:
            voxtile subjects find FILE SUBJECT.
        splits: CSV or Parquet with the columns subject or slide, and split (train, val or test); or with the columns
            train, val and test, which hold names of slides, or true and false beside them, as CLAM writes it.
        split_fractions: shares of train, val and test for subjects that no file places.
        licence: licence to note with every sample.
        run: how to run: workers, retry, dry_run, …
    """
    options = RunOptions(**run)
    if sampling == "annotations" and annotations is None:
        raise ConfigError("--sampling annotations needs --annotations, a folder of files named as the slides")
    if (sampling == "coords") != (coords is not None):
        raise ConfigError("--sampling coords and --coords go together: a folder of .h5 files named as the slides")
    settings = WsiSettings(
        mpp=None if mpp == "native" else mpp,
        mpp_tolerance=mpp_tolerance,
        patch_px=patch_px,
        overlap=overlap,
        sampling=sampling,
        patches_per_slide=patches_per_slide,
        seed=seed,
        tissue=tissue_spec(tissue),
        tissue_mpp=tissue_mpp,
        min_tissue=min_tissue,
        max_pen=max_pen,
        max_fold=max_fold,
        min_sharpness=min_sharpness,
        min_annotated=min_annotated,
        codec=codec,
        quality=quality,
        pass_through=pass_through,
        coords_only=coords_only,
        icc=icc,
        assume_mpp=assume_mpp,
        associated=tuple(name.strip() for name in associated.split(",") if name.strip()),
        licence=licence,
        deidentify=deidentify,
    )
    intake = IntakeOptions(
        deidentify, key_file, reports, splits, split_fractions, surrogates, subject_table, replace_reports
    )
    planner = Planner.open(corpus, options, intake)
    limits = Limits(time_s=options.time_limit_s, memory_bytes=int(options.memory_limit_gb * 2**30))
    inputs = Inputs(
        source, annotations, coords, cases, study, limits, 0 if options.engine == "inline" else options.processes
    )
    try:
        summary = run_task(WsiTask(settings, inputs, planner), corpus, options)
        if sampling == "grid" and (empty := summary.reasons["dropped"].get("no-tissue")):
            output().print(_NO_TISSUE.format(empty), markup=False, highlight=False, soft_wrap=True)
        if reports is not None:
            print_report_advice(summary)
        summary.raise_if_failed()
    finally:
        close_slide()
