"""The plan of a conversion: slides surveyed in supervised processes, then cut into items of a few dozen patches."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from voxtile.console import note
from voxtile.corpus.identity import printable
from voxtile.corpus.schema import SYNTHETIC
from voxtile.engine.pool import Died, Raised, Returned, WorkerPool
from voxtile.engine.task import Item
from voxtile.engine.worker_process import Call, Limits
from voxtile.errors import InputError
from voxtile_datasets.intake.planner import Planner
from voxtile_datasets.recipes.download import tell_packed, tell_unread
from voxtile_pathology.annotations.model import find_annotations, unused_files
from voxtile_pathology.convert.cases import Cases, StudyUnit
from voxtile_pathology.convert.content_id import told_apart
from voxtile_pathology.convert.settings import WsiSettings
from voxtile_pathology.convert.survey import Patch, Refusal, Survey, survey_slide
from voxtile_pathology.coordinates.files import find_coordinates
from voxtile_pathology.slides.open import find_slides

_MOST_NAMED = 3  # slides that a sentence about several names
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".jp2")
_DOCUMENTS = (".pdf", ".doc", ".docx", ".odt", ".rtf")
_MADE_OF_PICTURES = (".vms", ".vmu")  # Hamamatsu: JPEG files beside the one that names them


@dataclass(frozen=True)
class Inputs:
    """What a conversion reads, and how it may be surveyed.

    Attributes:
        source: folder of slides, or one slide.
        annotations: folder of annotation files or one file, if any.
        coords: folder of coordinate files, if any.
        cases: table of cases, if any.
        unit: whether a study is a slide or a case.
        limits: of a process that surveys a slide.
        workers: number of such processes; 0 surveys in this process.
    """

    source: Path
    annotations: Path | None
    coords: Path | None
    cases: Path | None
    unit: StudyUnit
    limits: Limits
    workers: int

    @property
    def root(self) -> Path:
        """Folder that paths of slides are relative to."""
        return self.source if self.source.is_dir() else self.source.parent


def plan_items(inputs: Inputs, settings: WsiSettings, planner: Planner) -> list[Item]:
    """Survey every slide and list what is to be done, slide by slide.

    Raises:
        InputError: there is no slide, or a table cannot be used.
    """
    others: list[str] = []
    paths = find_slides(inputs.source, others)
    tell_packed(inputs.source, others)
    _tell_unread(inputs.source, paths, others)
    names = [path.relative_to(inputs.root).as_posix() for path in paths]
    cases = Cases(names, inputs.unit, inputs.cases)
    if unmatched := cases.what_does_not_match():
        note(unmatched)
    for name in names:
        planner.splits.add_files(cases.of(name).subject, cases.names_of(name))
    drawn = [_annotation_file(inputs.annotations, path, len(paths)) for path in paths]
    if inputs.annotations is not None and not any(drawn):
        raise InputError(
            f"no annotation file under '{inputs.annotations}' is named as a slide of '{inputs.source}'; "
            "give --annotations with a folder of files such as slide.geojson for slide.svs"
        )
    if inputs.annotations is not None and (unused := unused_files(inputs.annotations, filter(None, drawn))):
        note(unused)
    places = [find_coordinates(inputs.coords, path) if inputs.coords else None for path in paths]
    if settings.sampling == "coords" and not any(places):
        raise InputError(
            f"no coordinates file under '{inputs.coords}' is named as a slide of '{inputs.source}'; "
            "give --coords with a folder of files such as slide.h5 or slide_patches.h5 for slide.svs; TRIDENT has one "
            "a scale, such as 20x_256px_0px_overlap"
        )
    surveys = _told_apart(paths, _surveys(inputs, settings, list(zip(paths, drawn, places, strict=True))))
    items: list[Item] = []
    told: set[str] = set()
    for path, name, annotation, survey in zip(paths, names, drawn, surveys, strict=True):
        source = planner.names.name("source", name)
        if planner.key_map is not None:
            subject = planner.names.name("subject", cases.of(name).subject)
            planner.key_map.remember(source, str(path.resolve()), subject)
        if name != printable(name):  # refused as one file, and not block by block
            survey = Refusal("unreadable-name", "the file name is not valid UTF-8; rename the file")
        if isinstance(survey, Refusal):
            items.append(Item(source, {"kind": "note", **asdict(survey), "path": printable(name)}))
        else:
            slide = _slide_inputs(settings, planner, cases, name, survey)
            texts = _texts(planner, cases, name, told)
            items += _slide_items(source, slide, texts, annotation, inputs, survey)
    _warn(names, surveys, settings)
    items += planner.report_notes()
    planner.save(items)
    return items


def _tell_unread(root: Path, slides: Sequence[Path], others: Iterable[str]) -> None:
    """Say which pictures and documents lie beside the slides, of which nothing is taken."""
    of_pictures = {slide.parent for slide in slides if slide.suffix.lower() in _MADE_OF_PICTURES}
    alone = [name for name in others if (root / name).parent not in of_pictures]
    tell_unread(root, alone, _PICTURES, "'voxtile convert image' reads pictures")
    tell_unread(root, alone, _DOCUMENTS, "give texts of reports as a table, with --reports")


def _annotation_file(annotations: Path | None, slide: Path, slides: int) -> Path | None:
    if annotations is None:
        return None
    if annotations.is_dir():
        return find_annotations(annotations, slide)
    if not annotations.is_file():
        raise InputError(f"the annotations '{annotations}' do not exist; give a folder of files named as the slides")
    if slides > 1 and annotations.stem != slide.stem and annotations.suffix != ".json":
        return (
            None  # one file and many slides: a COCO file speaks of all of them, others of the slide they are named as
        )
    return annotations


def _surveys(
    inputs: Inputs, settings: WsiSettings, slides: list[tuple[Path, Path | None, Path | None]]
) -> list[Survey | Refusal]:
    """Surveys in the order of the slides; a slide that kills its process is refused by name."""
    if not inputs.workers:
        return [survey_slide(settings, *slide, _no_report) for slide in slides]
    found: dict[int, Survey | Refusal] = {}
    console = Console(stderr=True)
    with (
        WorkerPool(max(1, min(inputs.workers, len(slides))), settings, inputs.limits) as pool,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        bar = progress.add_task("slides surveyed", total=len(slides))
        for index, slide in enumerate(slides):
            pool.submit(Call(index, survey_slide, slide))
        for event in pool.events():
            index = event.call.key
            if isinstance(event, Returned):
                found[index] = event.value
            elif isinstance(event, Raised):
                found[index] = Refusal("unexpected-error", f"{event.error.error_class}: {event.error.sentence}")
            elif isinstance(event, Died):
                sentence = f"{slides[index][0].name} cannot be read: the reader's process was lost ({event.detail})"
                found[index] = Refusal(event.cause, sentence)
            progress.update(bar, completed=len(found))
    return [found[index] for index in range(len(slides))]


def _told_apart(paths: Sequence[Path], surveys: Sequence[Survey | Refusal]) -> list[Survey | Refusal]:
    """The surveys, of which no two slides that differ have the same content."""
    known = [(path, survey.content) for path, survey in zip(paths, surveys, strict=True) if isinstance(survey, Survey)]
    contents = iter(told_apart(known))
    return [replace(survey, content=next(contents)) if isinstance(survey, Survey) else survey for survey in surveys]


def _no_report(mark: int | None) -> None:
    """Nobody supervises this process."""


def _slide_inputs(
    settings: WsiSettings, planner: Planner, cases: Cases, name: str, survey: Survey
) -> Mapping[str, Any]:
    """What every item of a slide carries; hashed into the ids of jobs."""
    case = cases.of(name)
    attributes = {
        "reader": survey.reader,
        "slide_mpp": list(survey.mpp),
        "slide_size": list(survey.size),
        "mpp_from": "assumed" if survey.assumed else "file",
        "objective": survey.objective,
        "mpp_asked": settings.mpp if settings.mpp is not None and _as_it_is(survey, settings) else None,
        "level": survey.scale.level,
        "icc_profile": survey.icc,
        SYNTHETIC: "voxtile phantom" if survey.synthetic else None,
        "warnings": sorted({reason for reason, _ in survey.warnings if reason != "annotation"}),
    }
    return {
        "path": name,
        "content": planner.names.name("content", survey.content),
        "subject": planner.subject_name(case.subject),
        "study": planner.names.name("study", case.study),
        "split": planner.splits.of(case.subject),
        "size": list(survey.size),
        "mpp": list(survey.mpp),
        "scale": asdict(survey.scale),
        "is_tiled": survey.is_tiled,
        "attributes": {key: value for key, value in attributes.items() if value not in (None, [])},
    }


def _slide_items(
    source: str,
    slide: Mapping[str, Any],
    texts: list[str],
    annotation: Path | None,
    inputs: Inputs,
    survey: Survey,
) -> Iterator[Item]:
    yield Item(source, {"kind": "overview", "counts": asdict(survey.counts), **slide}, cost=_overview_cost(survey))
    drawn = {}
    if annotation is not None and inputs.annotations is not None:
        folder = inputs.annotations if inputs.annotations.is_dir() else inputs.annotations.parent
        drawn = {"annotations": annotation.relative_to(folder).as_posix(), "annotations_sha256": survey.annotations}
    side = survey.scale.patch_px
    cost = round(side * survey.scale.factor[0]) * round(side * survey.scale.factor[1]) * 3
    for number, block in enumerate(survey.blocks):
        values = {"kind": "patches", "patches": [_listed(patch) for patch in block], **slide, **drawn}
        if number == 0 and texts:
            values["texts"] = texts
        yield Item(f"{source}#{number:05d}", values, cost=cost * len(block))


def _listed(patch: Patch) -> list[float]:
    return [patch.x, patch.y, patch.tissue, patch.pen, patch.fold]


def _overview_cost(survey: Survey) -> int:
    return min(survey.nbytes, 1 << 24)


def _texts(planner: Planner, cases: Cases, name: str, told: set[str]) -> list[str]:
    """Reports of a slide's study; they go with the study's first slide only."""
    case = cases.of(name)
    if planner.reports is None or case.study in told:
        return []
    names = cases.short_names_of(name)
    reports = planner.reports.of((case.study, *names, name, Path(name).name), case.subject)
    if case.subject in names:  # a slide that is its own subject has all its names as one
        reports = next(filter(None, [reports, *(planner.reports.of((), own) for own in names)]), [])
    if reports:
        told.add(case.study)
    numbers = (case.subject, case.study, *names)
    return list(dict.fromkeys(planner.texts(reports, case.subject, numbers=numbers)))


def _as_it_is(survey: Survey, settings: WsiSettings) -> bool:
    """Pixels of another scale than was asked for are taken, within the tolerance."""
    near = survey.scale.native and settings.mpp is not None and settings.sampling != "coords"
    return near and any(not math.isclose(mpp, settings.mpp or 0.0, rel_tol=1e-6) for mpp in survey.scale.mpp)


def _warn(names: list[str], surveys: list[Survey | Refusal], settings: WsiSettings) -> None:
    """Say what is odd about slides that are converted all the same."""
    console = Console(stderr=True)
    near = [s.scale.mpp[0] for s in surveys if isinstance(s, Survey) and _as_it_is(s, settings)]
    if near:
        sentence = (
            f"{len(near):,} slide{'s have' if len(near) > 1 else ' has'} {min(near):.4g} to {max(near):.4g} µm a pixel "
            f"for the {settings.mpp:g} asked for: within {settings.mpp_tolerance:.0%} pixels are taken as they are, "
            f"and each patch states its own scale; --mpp-tolerance 0 resamples them"
        )
        console.print(sentence, style="yellow", markup=False, highlight=False)
    odd: list[tuple[str, str]] = []
    for name, survey in zip(names, surveys, strict=True):
        if isinstance(survey, Refusal):
            continue
        odd += [(name, detail) for _, detail in survey.warnings]
        if settings.pass_through and not survey.is_tiled:
            detail = (
                f"its JPEG tiles are not patches of {settings.patch_px} px at this scale; "
                f"patches are encoded as {settings.codec}"
            )
            odd.append((name, detail))
    for sentence in _told_once(odd):
        console.print(sentence, style="yellow", markup=False, highlight=False)


def _told_once(odd: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Sentences about slides, of those that differ in their numbers alone the first, and where the others are."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for name, detail in odd:
        alike.setdefault(re.sub(r"[\d.,]+", "0", detail), []).append((name, detail))
    for (name, detail), *others in alike.values():
        slides = list(dict.fromkeys(other for other, _ in others))
        more = f" and {len(slides) - _MOST_NAMED:,} more slides" if len(slides) > _MOST_NAMED else ""
        where = f"{', '.join(slides[:_MOST_NAMED])}{more}"
        yield f"{name}: {detail}" + (f" ({len(others):,} more such, of {where})" if others else "")


def canonical(values: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no white space."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
