"""The DICOM conversion as a task: a plan of series from headers, and a series to samples."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from voxtile.corpus.confidentiality import Code
from voxtile.corpus.records import Row, Sample
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import InputError
from voxtile_datasets.intake.planner import SPLIT_SCHEME, PlannedTask, Planner
from voxtile_datasets.intake.reports_file import raw_captions
from voxtile_medical.archives.entries import archive_of
from voxtile_medical.burned_in.blank import TextChoice
from voxtile_medical.dicom.impossible_headers import bad_files
from voxtile_medical.dicom.patients import patients_of_several_days, studies_of_several
from voxtile_medical.dicom.pictures import picture_samples
from voxtile_medical.dicom.sample_rows import SeriesContext, as_json
from voxtile_medical.dicom.samples import volume_samples
from voxtile_medical.dicom.series import Series, pack, unpack
from voxtile_medical.dicom.series_kinds import PICTURE_MODALITIES, VOLUME_MODALITIES, kind_of, refuse_burned_in
from voxtile_medical.dicom.series_order import ordered
from voxtile_medical.dicom.whole_series import whole_series
from voxtile_medical.dicom_header.confidentiality import CLEAN_PIXELS, Profile
from voxtile_medical.dicom_header.headers import FileHeader, NotUsable
from voxtile_medical.dicom_header.scan import root_of
from voxtile_medical.dicom_header.tree import DicomTree, is_mask, read_tree
from voxtile_medical.dicom_planes.geometry import REFUSE, GridChoice
from voxtile_medical.series_roles.facts import role_facts
from voxtile_medical.suv.compute import SuvChoice
from voxtile_medical.verdicts import Verdict

_NOT_LOOKED_FOR = (
    "text-not-looked-for",
    "whether text is burned into the picture is not known; --find-text looks for it",
)


@dataclass(frozen=True)
class DicomTask(PlannedTask):
    """Converts every series of a folder tree.

    Attributes:
        source: the folder.
        min_slices: fewest planes of a volume.
        licence: what the corpus says of each sample's licence.
        deidentify: identifiers are replaced.
        allow_burned_in: keep pictures in which text may be burned.
        suv: which SUV PET volumes are made, where their headers allow it.
        film_frames: how many frames of a film become pictures.
        grid: what is made of planes on no right-angled, evenly spaced grid.
        find_text: whether text is looked for in the pixels, and what becomes of a picture in which there is some.
        deface: the face is taken off heads in CT and MR.
        leave_masks: segmentations and structure sets are not listed; they are attached to the samples afterwards.
        planner: None in workers, which get the plan only.
        tree: the folder's headers, where they have been read already; None in workers.
        profile: what is kept where identifiers are replaced.
        stored: uids that the corpus has; None in workers.
    """

    stays: ClassVar[tuple[str, ...]] = ("planner", "tree", "stored")

    source: Path
    min_slices: int = 3
    licence: str | None = None
    deidentify: bool = True
    allow_burned_in: bool = False
    suv: SuvChoice = "bw"
    leave_masks: bool = False
    film_frames: int = 1
    find_text: TextChoice = "no"
    deface: bool = False
    planner: Planner | None = field(default=None, compare=False, repr=False)
    tree: DicomTree | None = field(default=None, compare=False, repr=False)
    profile: Profile = field(default_factory=Profile)
    grid: GridChoice = REFUSE
    stored: Collection[str] | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Short name."""
        return "dicom"

    @property
    def version(self) -> str:
        """Version of the output."""
        return "3"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {
            "min_slices": self.min_slices,
            "licence": self.licence,
            "deidentify": self.deidentify,
            "allow_burned_in": self.allow_burned_in,
            "suv": self.suv,
            **({} if self.film_frames == 1 else {"film_frames": self.film_frames}),
            **({} if self.find_text == "no" else {"find_text": self.find_text}),
            **({"deface": True} if self.deface else {}),
            **({} if self.profile.is_default else {"profile": sorted(self.profile.options)}),
            **({} if self.grid == REFUSE else {"grid": asdict(self.grid)}),
        }

    @property
    def confidentiality_codes(self) -> tuple[Code, ...]:
        """Of the profile and its options, for the manifest."""
        if not self.deidentify:
            return ()
        return tuple(sorted((*self.profile.codes, *([CLEAN_PIXELS] if self.find_text == "blank" else []))))

    def items(self) -> Iterable[Item]:
        """One item a series, and one for each file or report that cannot be used.

        Raises:
            InputError: the source does not exist or holds no DICOM file.
        """
        planner = self.own_planner
        tree = self.tree or read_tree(self.source, planner.reader)
        if not tree.usable:
            raise InputError(
                f"'{self.source}' holds no readable DICOM file ({_commonest(tree.others)}); give an export's folder"
            )
        usable = [header for header in tree.usable if not (self.leave_masks and is_mask(header))]
        plan = list(self._plan(planner, tree, usable))
        planner.save(plan)
        return plan

    def _plan(self, planner: Planner, tree: DicomTree, usable: list[FileHeader]) -> Iterator[Item]:
        all_series = whole_series(tree, usable, planner.reader, self.min_slices)
        if planner.reports is not None:
            planner.reports.share(studies_of_several(usable), patients_of_several_days(usable))
        for series in all_series:
            yield from self._series_items(planner, series)
        for series in all_series:
            for copy, why in series.copies:
                yield planner.note(copy.path, copy.size, "duplicate-file", why, subject=series.subject)
            for header, verdict in series.aside:
                yield planner.note(header.path, header.size, verdict.reason, verdict.detail, subject=series.subject)
        for other in tree.others:
            yield planner.note(other.path, other.size, other.reason, other.detail)
        yield from planner.report_notes()

    def _series_items(self, planner: Planner, series: Series) -> Iterator[Item]:
        """The series, and its files that hold what cannot be, each under its own name."""
        if series.refusal is not None:
            yield _series_note(planner, series.subject, series.headers, series.refusal.reason, series.refusal.detail)
            return
        kept = self.allow_burned_in or not self.deidentify
        bad = bad_files(series, allow_burned_in=kept or self.find_text != "no")
        lost = {id(header) for header, _ in bad}
        sound = [header for header in series.headers if id(header) not in lost]
        if not bad or (sound and kind_of(series.first) == "picture"):
            # The bad pictures stay in the series: the others keep their uids when these are mended.
            in_order = ordered(series, self.stored or (), partial(planner.names.name, "content"))
            yield _series_item(planner, in_order, sound[0].path, self.profile)
        elif sound:
            why = f"{len(bad)} of its {len(series.headers)} files cannot be used, and their rows say why"
            yield _series_note(planner, series.subject, sound, "incomplete-series", why)
        for header, verdict in bad:
            yield planner.note(header.path, header.size, verdict.reason, verdict.detail, subject=series.subject)

    def written_since(self, item: Item, moment: float) -> bool:
        """Whether a file of a series was written after a moment; its header and size do not tell its pixels."""
        root, files = root_of(self.source), item.inputs.get("files", ()) if item.inputs["kind"] == "series" else ()
        paths = dict.fromkeys(str(archive_of(file[0])).rstrip("/") or file[0] for file in files)
        return any(_written(root / path if root.is_dir() else root) > moment for path in paths)

    def process(self, item: Item) -> Outcome:
        """Turn one series into samples, in a worker."""
        inputs = item.inputs
        if inputs["kind"] == "note":
            return Verdict(inputs["reason"], inputs["detail"]).outcome()
        headers = unpack(inputs)
        row: Row = {
            "subject": inputs["subject"],
            "study": inputs["study"],
            "datetime": inputs["datetime"],
            "source": item.source,
            "licence": self.licence,
        }
        root = root_of(self.source)
        marks, instances = inputs["marks"], tuple(inputs["instances"])
        asked = (self.min_slices, self.suv)
        context = SeriesContext(
            root,
            headers,
            inputs["content"],
            row,
            *asked,
            marks,
            instances,
            film_frames=self.film_frames,
            grid=self.grid,
            find_text=self.find_text,
            deface=self.deface,
        )
        refused: list[Part] = []
        try:
            kind = kind_of(headers[0])
            if not self.allow_burned_in and self.deidentify:
                for header in headers:
                    refuse_burned_in(header, looked_for=self.find_text != "no" and kind == "picture")
            if kind == "volume":
                samples, verdicts, refused = volume_samples(context)
            else:
                samples, verdicts, refused = picture_samples(context)
        except Verdict as verdict:
            if verdict.reason == "localizer" and len(headers) > 1:
                verdict = Verdict("localizer", f"{len(headers)} localizers (ImageType says so)")
            return verdict.outcome()
        if self.deidentify and not self.profile.is_default:
            samples = [_kept(sample, self.profile) for sample in samples]
        captions = [caption for sample in samples for caption in raw_captions(sample.row["uid"], inputs["texts"])]
        split = {"scheme": SPLIT_SCHEME, "subject": inputs["subject"], "split": inputs["split"]}
        tables = {"splits": [split]} | ({"captions": captions} if captions else {})
        roles = [fact for sample in samples for fact in role_facts(sample.row)]
        if roles:
            tables["facts"] = roles
        if self.deidentify and self.find_text == "no":
            looked_past = [sample for sample in samples if sample.row["modality"] in PICTURE_MODALITIES]
            refused = [*refused, *(Part(s.row["uid"], "dropped", *_NOT_LOOKED_FOR) for s in looked_past)]
        detail = "; ".join(sorted({f"{verdict.reason}: {verdict.detail}" for verdict in verdicts})) or None
        return Outcome("used", detail=detail, samples=tuple(samples), tables=tables, parts=tuple(refused))


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # the worker says what is wrong
        return 0.0


def _series_note(planner: Planner, subject: str, headers: Sequence[FileHeader], reason: str, detail: str) -> Item:
    """A row for a series of which nothing is used."""
    files = [header.path for header in headers]
    size = sum(header.size for header in headers)
    return planner.note(files[0], size, reason, detail, files=files, subject=subject)


def _kept(sample: Sample, profile: Profile) -> Sample:
    attributes = profile.kept(json.loads(sample.row["attributes"]))
    return replace(sample, row=sample.row | {"attributes": as_json(attributes)})


def _series_item(planner: Planner, series: Series, path: str, profile: Profile) -> Item:
    names, subject = planner.names, series.subject
    source = planner.source_name(path, subject)
    inputs = pack(series.headers) | {
        "kind": "series",
        "content": names.name("content", series.content()),
        "subject": planner.subject_name(subject),
        "study": names.name("study", series.study),
        "datetime": names.date(series.date(), subject),
        "split": planner.splits.of(subject),
        "texts": _texts(planner, series),
        "marks": _marks(planner, series) | _added(planner, series, profile),
        "instances": _instances(planner, series),
    }
    return Item(source, inputs, cost=sum(header.size for header in series.headers))


def _added(planner: Planner, series: Series, profile: Profile) -> dict[str, dict[str, str]]:
    """What options of the profile keep of the series as it is."""
    if not planner.names.hides or not profile.adds:
        return {}
    return profile.added(series.first.values, series.identifiers())


def _marks(planner: Planner, series: Series) -> dict[str, str]:
    """What stands for the series and its frame of reference: by these, masks that arrive later find their image."""
    uids = {"series": series.mark(), "frame_of_reference": series.first.text("FrameOfReferenceUID")}
    return {name: planner.names.name(name, uid) for name, uid in uids.items() if uid}


def _instances(planner: Planner, series: Series) -> list[str]:
    """What stands for each picture's instance; planes of a volume are found by where they lie."""
    if series.first.text("Modality") in VOLUME_MODALITIES:
        return []
    return [planner.names.name("instance", header.text("SOPInstanceUID")) for header in series.headers]


def _texts(planner: Planner, series: Series) -> list[str]:
    """Reports of a series' study, without identifiers where names are replaced."""
    if planner.reports is None:
        return []
    reports = planner.reports.of(series.studies(), series.first.text("PatientID"))
    return planner.texts(reports, series.subject, **series.identifiers()) if reports else []


def _commonest(headers: Sequence[NotUsable]) -> str:
    reasons = [header.reason for header in headers]
    most = max(sorted(set(reasons)), key=reasons.count)
    return f"{reasons.count(most)} of {len(headers)} files: {most}"
