"""`voxtile report`, `voxtile ask` and `voxtile chat`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from torch import Tensor

from voxtile.assist.assistant import LONGEST, Assistant, Style
from voxtile.assist.places import PlaceFiles, Places, described, places_of
from voxtile.assist.region_inputs import parse_marked, region_on_grid
from voxtile.assist.scans import Prompt, prompts_of
from voxtile.assist.speaking.replies import WARNING, Reply
from voxtile.assist.structured_reports import StructuredReports
from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.stages.ground.files import Found
from voxtile.stages.ground.results import Form
from voxtile.stages.ground.sources import SlidePatches
from voxtile.words.question_language import OtherLanguageError


def report(
    scan: Path,
    *,
    model: str,
    style: Style = "structured",
    prior: Path | None = None,
    longest: int = LONGEST,
    out: Path | None = None,
    to: Form | Literal["dicom-sr"] = "auto",
    threshold: float = 0.5,
    presence: float = 0.5,
    overlap: float = 0.5,
    modality: str | None = None,
    mpp: float = 0.5,
    patch_px: int = 256,
    assume_mpp: float | None = None,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Draft a report of a scan or study.

    Beside each sentence stands what it rests on: the probability that the contrastive model of the checkpoint gives
    image and sentence, and of a model that points where it is, in the patient and by slice. The same scan always has
    the same report.

    Args:
        scan: DICOM file or folder, NIfTI file, georeferenced raster or picture; a slide, of a model with a hierarchy.
        model: a checkpoint that was trained with the Answering objective.
        style: structured (a sentence for each finding) or narrative (as the reports that it was trained on).
        prior: an earlier examination of the same patient, for models that read priors.
        longest: tokens of a report at most.
        out: folder for masks of what the sentences point at, in the format of the scan's own field as of `voxtile
            ground`, and pictures of them; of a model that points. With --to dicom-sr the file of the report, such as
            report.dcm; of several series each gets a name of its own beside it.
        to: dicom-seg, nifti, geojson or geopackage; auto takes the one of the scan's own field. dicom-sr writes the
            report itself, as a DICOM measurement report of the series with an item a finding: its code, the sentence,
            its support and, of a model that points, its segment.
        threshold: probability from which a voxel belongs to a place.
        presence: probability from which there is a place at all.
        overlap: share that neighbouring windows have in common, where the scan is larger than the model's grid.
        modality: DICOM modality of a NIfTI file, which does not say.
        mpp: of slides: micrometres a pixel of the patches that the model was trained on.
        patch_px: of slides: width and height of these patches.
        assume_mpp: micrometres a pixel of a slide whose file does not say.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.

    Raises:
        ConfigError: the model does not write, or an option does not fit.
        InputError: the scan cannot be read, or the prior is of another patient.
    """
    settings, console = Places(threshold, presence, overlap), output()
    structured = StructuredReports(scan, out) if to == "dicom-sr" else None
    assistant = Assistant(model, trust_package)
    files = PlaceFiles(assistant, scan, None, "auto") if to == "dicom-sr" else PlaceFiles(assistant, scan, out, to)
    with tempfile.TemporaryDirectory(prefix="voxtile-report-") as folder:
        for shown in _prompts(assistant, [scan], folder, prior, modality, SlidePatches(mpp, patch_px, assume_mpp, 0.0)):
            _require_single(shown, {"--out": out, "--to": to != "auto"})
            console.print(f"report of {_named(shown)}", markup=False, highlight=False)
            reply = assistant.report(_given(shown), style, longest=longest, names=shown.names)
            places = _places(assistant, shown, reply, settings)
            _show(reply, longest, console, places)
            files.add(places)
            if structured is not None:
                structured.add(shown.name, reply, places)
        if structured is not None:
            _wrote(structured.write(Path(folder) / "scan"), console)
        _wrote(files.write(Corpus(Path(folder) / "scan"), f"assist:{assistant.name}"), console)
    _warn(console)


def ask(
    scan: Path,
    *question: str,
    model: str,
    prior: Path | None = None,
    least: float = 0.35,
    longest: int = LONGEST,
    box: str | None = None,
    angle: float = 0.0,
    mask: Path | None = None,
    outline: Path | None = None,
    out: Path | None = None,
    to: Form = "auto",
    threshold: float = 0.5,
    presence: float = 0.5,
    overlap: float = 0.5,
    modality: str | None = None,
    mpp: float = 0.5,
    patch_px: int = 256,
    assume_mpp: float | None = None,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Answer a question about a scan or study or a region of it, or about several scans of one patient, shown together.

    Args:
        scan: as for `voxtile report`.
        question: what to answer; before it any further scans of the same patient.
        model: a checkpoint that was trained with the Answering objective.
        prior: an earlier examination of the same patient, for models that read priors.
        least: an answer is withheld where the language model gave its words less than this on average, 0 to 1.
        longest: tokens of an answer at most.
        box: the region that is asked about, as min corner then max corner in voxels, in the order of the array's axes
            (z, y, x of a volume from the feet up, right to left; y, x of a picture): 4,10,20,9,30,40.
        angle: degrees counter-clockwise by which a box on a picture is turned about its centre.
        mask: the region as a file with the scan's own geometry (NIfTI, or a picture of the image's size), not 0 there.
        outline: the region as GeoJSON, in pixels, or in longitude and latitude of a georeferenced image.
        out: folder for masks of what the sentences point at, in the format of the scan's own field as of `voxtile
            ground`, and pictures of them; of a model that points.
        to: dicom-seg, nifti, geojson or geopackage; auto takes the one of the scan's own field.
        threshold: probability from which a voxel belongs to a place.
        presence: probability from which there is a place at all.
        overlap: share that neighbouring windows have in common, where the scan is larger than the model's grid.
        modality: DICOM modality of a NIfTI file, which does not say.
        mpp: of slides: micrometres a pixel of the patches that the model was trained on.
        patch_px: of slides: width and height of these patches.
        assume_mpp: micrometres a pixel of a slide whose file does not say.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.

    Raises:
        ConfigError: the model does not write, nothing is asked, or the question is longer than it reads.
        InputError: the scan cannot be read, or the prior is of another patient.
    """
    if not question or not question[-1].strip():
        raise ConfigError('the question is empty; for example: voxtile ask scan/ "Is there a pleural effusion?"')
    if out is not None and len(question) > 1:
        raise ConfigError("--out writes places of one scan; give the earlier one with --prior, or leave --out out")
    scans = [scan, *map(Path, question[:-1])]
    marked, settings, console = parse_marked(box, angle, mask, outline), Places(threshold, presence, overlap), output()
    assistant = Assistant(model, trust_package, least=least)
    files = PlaceFiles(assistant, scan, out, to)
    with tempfile.TemporaryDirectory(prefix="voxtile-ask-") as folder:
        for shown in _prompts(assistant, scans, folder, prior, modality, SlidePatches(mpp, patch_px, assume_mpp, 0.0)):
            _require_single(shown, {"a marked region": marked, "--out": out})
            regions = [region_on_grid(shown.corpus, shown.name, assistant.preset, marked)] if marked else []
            console.print(f"of {_named(shown)}", markup=False, highlight=False)
            reply = assistant.ask(_given(shown), question[-1], regions=regions, longest=longest, names=shown.names)
            places = [] if reply.withheld else _places(assistant, shown, reply, settings)
            _show(reply, longest, console, places)
            files.add(places)
        _wrote(files.write(Corpus(Path(folder) / "scan"), f"assist:{assistant.name}"), console)
    _warn(console)


def chat(
    scan: Path,
    *,
    model: str,
    prior: Path | None = None,
    least: float = 0.35,
    longest: int = LONGEST,
    modality: str | None = None,
    mpp: float = 0.5,
    patch_px: int = 256,
    assume_mpp: float | None = None,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Talk about a scan or study: a question a line, until an empty one or the end of the input.

    Args:
        scan: as for `voxtile report`; of several images in it the first is talked about.
        model: a checkpoint that was trained with the Answering objective.
        prior: an earlier examination of the same patient, for models that read priors.
        least: as for `voxtile ask`.
        longest: tokens of an answer at most.
        modality: DICOM modality of a NIfTI file, which does not say.
        mpp: of slides: micrometres a pixel of the patches that the model was trained on.
        patch_px: of slides: width and height of these patches.
        assume_mpp: micrometres a pixel of a slide whose file does not say.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.

    Raises:
        ConfigError: the model does not write, or the dialogue is longer than it reads.
        InputError: the scan cannot be read, or the prior is of another patient.
    """
    assistant, console = Assistant(model, trust_package, least=least), output()
    with tempfile.TemporaryDirectory(prefix="voxtile-chat-") as folder:
        shown = next(
            iter(_prompts(assistant, [scan], folder, prior, modality, SlidePatches(mpp, patch_px, assume_mpp, 0.0)))
        )
        _warn(console)
        said = f"of {_named(shown)}: ask, one question a line; an empty line ends"
        console.print(said, markup=False, highlight=False)
        if not assistant.answering.holds_talks:
            alone = "this model learned single questions: each is answered by itself, not in the light of those before"
            console.print(alone, markup=False, highlight=False, soft_wrap=True)
        talk = assistant.talk(_given(shown), longest=longest, names=shown.names)
        for line in sys.stdin:
            if not line.strip():
                break
            try:
                _show(talk.ask(line), longest, console)
            except OtherLanguageError as error:  # the next question may be in the right one
                console.print(str(error), markup=False, highlight=False, soft_wrap=True)


def _prompts(
    assistant: Assistant,
    scans: Sequence[Path],
    folder: str,
    prior: Path | None,
    modality: str | None,
    patches: SlidePatches,
) -> Iterator[Prompt]:
    return prompts_of(
        scans,
        assistant.preset,
        Path(folder),
        prior=prior,
        modality=modality,
        several=assistant.shows_several,
        studies=assistant.reads_studies,
        patches=patches,
    )


def _given(shown: Prompt) -> Tensor:
    """The one image, or all that have names or are a study."""
    return shown.images if shown.names or shown.is_study else shown.images[0]


def _require_single(shown: Prompt, asked: Mapping[str, object]) -> None:
    """Refuse what has a place in one image where a study of several is read together."""
    option = next((name for name, value in asked.items() if value), None)
    if shown.is_study and option is not None:
        raise ConfigError(
            f"{option} goes with a single image, and the {len(shown.images)} images of this study are read together; "
            "leave it out, or give one series"
        )


def _places(assistant: Assistant, shown: Prompt, reply: Reply, settings: Places) -> list[Found | None]:
    """Where sentences point; nowhere in a study that is read together."""
    return [] if shown.is_study else places_of(assistant, shown.corpus, shown.name, reply.claims, settings)


def _named(shown: Prompt) -> str:
    if shown.is_study:
        return f"{shown.name} ({len(shown.images)} images of a study)"
    return f"{shown.name} ({'; '.join(shown.names)})" if shown.names else shown.name


def _show(reply: Reply, longest: int, console: Console, places: Sequence[Found | None] = ()) -> None:
    """The sentences with what they rest on and where that is, or what is said instead."""
    if reply.withheld:
        console.print(f"{escape(reply.text)} [dim](confidence {reply.confidence:.2f})[/dim]", soft_wrap=True)
        return
    for claim, place in zip_longest(reply.claims, places):
        support = "" if claim.support is None else f" [dim](support {claim.support:.2f})[/dim]"
        console.print(f"{escape(claim.text)}{support}", highlight=False, soft_wrap=True)
        if place is not None:
            console.print(f"  {described(place)}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"[dim]confidence {reply.confidence:.2f}[/dim]", highlight=False)
    for said in reply.notes:
        console.print(f"note: {said}", markup=False, highlight=False, soft_wrap=True)
    if not reply.ended:
        console.print(f"the answer was cut at {longest} tokens; raise --longest for more", highlight=False)


def _wrote(files: Sequence[Path], console: Console) -> None:
    for path in files:
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


def _warn(console: Console) -> None:
    console.print(WARNING, markup=False, highlight=False, soft_wrap=True)
