"""`voxtile convert dicom`: CT, MR, PET and X-ray DICOM into a corpus."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtile.console import note, output
from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.engine.run import RunOptions, RunSummary, run_task
from voxtile.errors import ConfigError, InputError
from voxtile.folders import OutputFile
from voxtile_datasets.intake.deidentify import HashedNames
from voxtile_datasets.intake.planner import IntakeOptions, Planner
from voxtile_medical.burned_in.blank import TextChoice
from voxtile_medical.dicom.patients import several_people
from voxtile_medical.dicom.series_kinds import PICTURE_MODALITIES
from voxtile_medical.dicom.series_order import stored_uids
from voxtile_medical.dicom.split_series import continued_series
from voxtile_medical.dicom.task import DicomTask
from voxtile_medical.dicom_header.confidentiality import DEFAULT, Profile
from voxtile_medical.dicom_header.tree import DicomTree, read_tree
from voxtile_medical.dicom_planes.geometry import GridChoice, TiltedChoice, UnequalChoice
from voxtile_medical.suv.compute import SuvChoice

if TYPE_CHECKING:
    from voxtile.engine.parallel import PlanReader
    from voxtile_datasets.intake.reports_file import ReportSource
    from voxtile_medical.dicomweb.fetch import Fetched

_NOT_LOOKED_FOR = (
    "text that is burned into radiographs was not looked for, and stays; --find-text blank or refuse, in a new corpus, "
    "looks for it"
)

# Verdict → which option of the same command takes such series.
_OPTIONS = {
    "tilted": "the planes are stacked off their normal (gantry tilt); --tilted shear or resample stores such series",
    "unequal-steps": "the steps between planes vary; --unequal-steps resample stores such series",
    "too-few-slices": "a volume has three planes or more; --min-slices says otherwise",
}
_TEXT_OPTIONS = {
    "burned-in": "the header says that text is burned in; --find-text blank takes it out, --allow-burned-in keeps it",
    "burned-in-risk": "such pictures mostly show names; --find-text blank takes text out, --allow-burned-in keeps it",
}

_REPORTS_BESIDE = (
    "{} files are reports (DICOM SR, PDF or CDA) and were not read; --reports '{}' attaches them, in a new corpus"
)

_CONTINUED = (
    "{} series begin one step behind the last plane of another: a volume that was filed under two SeriesInstanceUIDs, "
    "or stations of a scan; each is a sample of its own, so give the halves of a volume one UID and convert them anew"
)

_SEVERAL_PEOPLE = (
    "{} PatientIDs stand for several people by their names, dates of birth or sexes (see '{}'), and each is one "
    "subject of the corpus: give each person an ID in the files, and convert them into a new corpus"
)


def convert_dicom(
    source: Path,
    corpus: Path,
    *,
    query: tuple[str, ...] = (),
    downloads: Path | None = None,
    reports: Path | None = None,
    replace_reports: bool = False,
    deidentify: bool = True,
    surrogates: bool = False,
    profile: str = DEFAULT,
    allow_burned_in: bool = False,
    find_text: TextChoice = "no",
    deface: bool = False,
    key_file: Path | None = None,
    subject_table: OutputFile | None = None,
    splits: Path | None = None,
    split_fractions: str = "0.8,0.1,0.1",
    min_slices: int = 3,
    licence: str | None = None,
    suv: SuvChoice = "bw",
    film_frames: int = 1,
    tilted: TiltedChoice = "refuse",
    unequal_steps: UnequalChoice = "refuse",
    masks: bool = True,
    **run: Any,  # noqa: ANN401
) -> None:
    """Convert the DICOM series of a folder tree, whatever its file names, and judge each series by name.

    Args:
        source: folder of DICOM files, zip and tar archives among them; or one file, archive or DICOMDIR; or the address
            of a DICOMweb service, a study or a series of it (https://HOST/dicom-web/studies/UID).
        corpus: where the corpus is, or will be.
        query: what to ask a DICOMweb service for, as KEYWORD=VALUE (Modality=CT, StudyDate=20200101-20201231,
            PatientID=…); repeat it for further ones, all of which must hold.
        downloads: folder for the files that come from a DICOMweb service, which name patients; default beside the
            corpus, CORPUS.dicomweb.
        reports: CSV, XLSX or Parquet of report texts; the columns study (StudyInstanceUID or accession number) and/or
            subject (PatientID), and text. Or a file, folder or archive of DICOM SR, encapsulated PDF, HL7 v2 (ORU) and
            FHIR DiagnosticReport (JSON, NDJSON).
        replace_reports: replace stored texts of reports that --reports has otherwise by those of the table; texts of
            studies that it does not name stay. What was made of the old ones has to be taken back first, which is said.
        deidentify: replace identifiers by keyed hashes, shift dates, and remove identifiers from report texts.
        surrogates: write made-up names and shifted dates where report texts name people and days, instead of ___; the
            same for a subject wherever they stand.
        profile: what is kept where identifiers are replaced, by options of DICOM PS3.15 annex E separated by commas:
            modified-dates (or full-dates), patient-characteristics (sex, decade of age), clean-descriptors (words of
            the series description), device-identity (model, serial number, software, station), uids (of study, series
            and frame of reference); basic keeps none of these. Their codes are in the manifest.
        allow_burned_in: keep ultrasound, secondary captures and images marked as having burned-in text.
        find_text: look for text in the pixels (extra ocr). blank: what is found is made black, and ultrasound, films,
            captures and images marked as having burned-in text are converted, too; refuse: pictures in which some is
            found are left out. Photographs are refused all the same: they show people.
        deface: take the face off heads in CT and MR; volumes of which it is not certain whether they show one are left
            out.
        key_file: where the key and the map of sources are kept; default beside the corpus, CORPUS.sources.parquet.
        subject_table: file to write who stands behind each subject (mode 0600, apart from the key); read it with:
            voxtile subjects find FILE SUBJECT.
        splits: CSV or Parquet with the columns subject and split (train, val or test).
        split_fractions: shares of train, val and test for subjects that no file places.
        min_slices: fewest planes of a volume.
        licence: licence to note with every sample.
        suv: make PET values an SUV by body weight (bw), lean body mass (lbm: Janmahasatian; lbm-james) or body surface
            area (bsa); where a header lacks or contradicts what that needs, the values stay in their own units, and the
            ledger and the sample's attributes name the tag. none leaves all in their own units.
        film_frames: how many frames of a film (ultrasound or angiography cine, multi-frame capture, planar
            scintigraphy) become pictures, evenly spaced.
        tilted: what to make of planes that are stacked off their normal (gantry tilt), which their positions prove:
            refuse them by name, store them unchanged with a sheared affine (shear), or make them upright by linear
            interpolation (resample).
        unequal_steps: refuse planes with steps that vary by name, or interpolate them linearly to the smallest step of
            at least half the usual one (resample); a missing plane is refused in any case.
        masks: attach the segmentations (SEG) and structure sets (RTSTRUCT) of the tree to the series that they are of.
        run: how to run: workers, retry, dry_run, …
    """
    options = RunOptions(**run)
    chosen = Profile.of(profile)
    if not deidentify and not chosen.is_default:
        raise ConfigError("--profile says what de-identification keeps; leave --no-deidentify out, or --profile")
    if surrogates and chosen.dates == "full":
        raise ConfigError("--surrogates moves the days of texts and full-dates keeps those of headers; leave one out")
    for name, value in (("--min-slices", min_slices), ("--film-frames", film_frames)):
        if value < 1:
            raise InputError(f"{name} is {value}; give 1 or more")
    fetched = _fetched(source, corpus, query, downloads, dry_run=options.dry_run)
    if fetched is not None and options.dry_run:
        output().print(f"{fetched.series} series would be retrieved into '{fetched.folder}'", markup=False)
        return
    source = source if fetched is None else fetched.folder
    intake = IntakeOptions(
        deidentify, key_file, reports, splits, split_fractions, surrogates, subject_table, replace_reports
    )
    planner = Planner.open(corpus, options, intake, _read_reports)
    if isinstance(planner.names, HashedNames):
        planner = replace(planner, names=replace(planner.names, dates=chosen.dates))
    tree = read_tree(source, planner.reader)
    if fetched is not None:
        tree = replace(tree, others=tree.others + fetched.lost)
    if allow_burned_in and find_text != "no":
        raise InputError("--allow-burned-in keeps text and --find-text does not; give one of them")
    if find_text != "no":
        from voxtile_medical.burned_in.finder import require_finder

        require_finder()
    is_later = any((corpus / "manifests").glob("*.json"))
    task = DicomTask(
        source,
        min_slices=min_slices,
        licence=licence,
        deidentify=deidentify,
        allow_burned_in=allow_burned_in,
        suv=suv,
        leave_masks=masks,
        film_frames=film_frames,
        find_text=find_text,
        deface=deface,
        planner=planner,
        tree=tree,
        profile=chosen,
        grid=GridChoice(tilted, unequal_steps),
        stored=stored_uids(corpus) if is_later else None,
    )
    summary = run_task(task, corpus, options)
    if is_later and not options.dry_run:
        _say_what_repeats(corpus)
    if not options.dry_run and (is_later or len({header.text("PatientID") for header in tree.usable}) > 1):
        _say_what_patients_share(corpus)
    chose = {"tilted": tilted != "refuse", "unequal-steps": unequal_steps != "refuse"}
    _advise(summary, reports, {name for name, is_chosen in chose.items() if is_chosen}, about_text=find_text == "no")
    if masks and tree.masks and options.dry_run:
        output().print(f"then {len(tree.masks)} SEG or RTSTRUCT objects are attached to the series that they are of")
    elif masks and tree.masks:
        _attach_masks(source, corpus, planner, tree, options, deidentify=deidentify)
    _say_what_stays(tree, source, texts=deidentify and find_text == "no", reports=reports is None)
    summary.raise_if_failed()
    if fetched is not None:
        fetched.raise_if_lost()


# What a conversion of images alone does without is imported where it is used: start-up is most of a small one's time.


def _fetched(
    source: Path, corpus: Path, query: tuple[str, ...], downloads: Path | None, *, dry_run: bool
) -> Fetched | None:
    """What a DICOMweb service sent, where the source is its address."""
    if str(source).lower().startswith(("http:/", "https:/")):
        from voxtile_medical.dicomweb.fetch import fetch_source

        return fetch_source(source, corpus, query, downloads, dry_run=dry_run)
    if query or downloads is not None:
        raise ConfigError("--query and --downloads are for the address of a DICOMweb service; leave them out")
    return None


def _say_what_stays(tree: DicomTree, source: Path, *, texts: bool, reports: bool) -> None:
    """Say what the options left as it is: texts in radiographs, reports, people under one ID, volumes under two."""
    if texts and any(h.text("Modality") in PICTURE_MODALITIES for h in tree.usable):
        output().print(_NOT_LOOKED_FOR, markup=False, highlight=False, soft_wrap=True)
    if reports and (beside := _reports_among(tree)):
        output().print(_REPORTS_BESIDE.format(beside, source), markup=False, highlight=False, soft_wrap=True)
    if people := several_people(tree.usable):
        output().print(_SEVERAL_PEOPLE.format(len(people), people[0]), markup=False, highlight=False, soft_wrap=True)
    if continued := continued_series(tree.usable):
        output().print(_CONTINUED.format(continued), markup=False, highlight=False, soft_wrap=True)


def _say_what_repeats(corpus: Path) -> None:
    """Say how many series an earlier run found other files of."""
    from voxtile.corpus.reader import Corpus
    from voxtile.stages.inspect.repeated_series import ADVICE, repeated_series

    with closing(Corpus(corpus).connection()) as connection:
        if count := repeated_series(connection):
            told = f"{count} series are in the corpus more than once: {ADVICE}"
            output().print(told, markup=False, highlight=False, soft_wrap=True)


def _say_what_patients_share(corpus: Path) -> None:
    """A note on images that several subjects have: one patient under two numbers, or one number mistaken."""
    rows = read_parts(part_paths(corpus, "samples"), table_schema("samples"), ["uid", "subject", "sha256"]).to_pylist()
    owners: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["sha256"]:
            owners.setdefault(row["sha256"], {}).setdefault(row["subject"], row["uid"])
    if shared := sorted(sorted(uids.values())[:2] for uids in owners.values() if len(uids) > 1):
        note(
            f"{len(shared)} images have the very pixels of an image of another subject, such as the samples "
            f"{shared[0][0]} and {shared[0][1]}: one patient under two PatientIDs may come into training and into "
            "test; give both one split (--splits), or correct the PatientID, in a new corpus"
        )


def _advise(summary: RunSummary, reports: Path | None, chosen: set[str], *, about_text: bool) -> None:
    """Say which option stores what was left out, unless it was given; and which reports were attached to nothing."""
    options = _OPTIONS | (_TEXT_OPTIONS if about_text else {})
    for reason in sorted(summary.reasons["dropped"].keys() & options.keys() - chosen):
        output().print(f"{reason}: {options[reason]}", markup=False, highlight=False, soft_wrap=True)
    if reports is not None:
        from voxtile_datasets.intake.report_advice import print_report_advice

        print_report_advice(summary)


def _reports_among(tree: DicomTree) -> int:
    """Number of objects that are reports."""
    if not any(header.text("Modality") in ("SR", "DOC") for header in tree.usable):
        return 0
    from voxtile_medical.report_files.document import is_report

    return sum(is_report(header.text("SOPClassUID")) for header in tree.usable)


def _read_reports(path: Path, reader: PlanReader) -> ReportSource:
    from voxtile_medical.report_files.read import read_report_files

    return read_report_files(path, reader)


def _attach_masks(
    source: Path, corpus: Path, planner: Planner, tree: DicomTree, options: RunOptions, *, deidentify: bool
) -> None:
    from voxtile_medical.segmentations.attach import run_masks
    from voxtile_medical.segmentations.samples import MaskNames
    from voxtile_medical.segmentations.task import MaskTask

    names = MaskNames(planner.names, planner.key_map)
    attached = MaskTask(
        source, corpus, names, deidentify, objects=tree.masks, images=tree.usable, reader=planner.reader
    )
    run_masks(attached, options).raise_if_failed()
