"""`voxtile report`, `voxtile ask` and `voxtile chat`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from voxtile.assist.assistant import LONGEST, WARNING, Assistant, Reply, Style
from voxtile.assist.scans import images_of
from voxtile.console import output
from voxtile.errors import ConfigError


def report(
    scan: Path,
    *,
    model: str,
    style: Style = "structured",
    prior: Path | None = None,
    longest: int = LONGEST,
    modality: str | None = None,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Draft a report of a scan or study.

    Beside each sentence stands what it rests on: the probability that the contrastive model of the checkpoint gives
    image and sentence. The same scan always has the same report.

    Args:
        scan: DICOM file or folder, NIfTI file, georeferenced raster or picture.
        model: a checkpoint that was trained with the Answering objective.
        style: structured (a sentence for each finding) or narrative (as the reports that it was trained on).
        prior: an earlier examination of the same patient, for models that read priors.
        longest: tokens of a report at most.
        modality: DICOM modality of a NIfTI file, which does not say.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.

    Raises:
        ConfigError: the model does not write, or an option does not fit.
        InputError: the scan cannot be read, or the prior is of another patient.
    """
    assistant, console = Assistant(model, trust_package), output()
    with tempfile.TemporaryDirectory(prefix="voxtile-report-") as folder:
        for name, image in images_of(scan, assistant.preset, Path(folder), prior=prior, modality=modality):
            console.print(f"report of {name}", markup=False, highlight=False)
            _show(assistant.report(image, style, longest=longest), longest, console)
    _warn(console)


def ask(
    scan: Path,
    question: str,
    *,
    model: str,
    prior: Path | None = None,
    least: float = 0.35,
    longest: int = LONGEST,
    modality: str | None = None,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Answer a question about a scan or study.

    Args:
        scan: as for `voxtile report`.
        question: what to answer.
        model: a checkpoint that was trained with the Answering objective.
        prior: an earlier examination of the same patient, for models that read priors.
        least: an answer is withheld where the language model gave its words less than this on average, 0 to 1.
        longest: tokens of an answer at most.
        modality: DICOM modality of a NIfTI file, which does not say.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.

    Raises:
        ConfigError: the model does not write, nothing is asked, or the question is longer than it reads.
        InputError: the scan cannot be read, or the prior is of another patient.
    """
    if not question.strip():
        raise ConfigError('the question is empty; for example: voxtile ask scan/ "Is there a pleural effusion?"')
    assistant, console = Assistant(model, trust_package, least=least), output()
    with tempfile.TemporaryDirectory(prefix="voxtile-ask-") as folder:
        for name, image in images_of(scan, assistant.preset, Path(folder), prior=prior, modality=modality):
            console.print(f"of {name}", markup=False, highlight=False)
            _show(assistant.ask(image, question, longest=longest), longest, console)
    _warn(console)


def chat(
    scan: Path,
    *,
    model: str,
    prior: Path | None = None,
    least: float = 0.35,
    longest: int = LONGEST,
    modality: str | None = None,
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
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.

    Raises:
        ConfigError: the model does not write, or the dialogue is longer than it reads.
        InputError: the scan cannot be read, or the prior is of another patient.
    """
    assistant, console = Assistant(model, trust_package, least=least), output()
    with tempfile.TemporaryDirectory(prefix="voxtile-chat-") as folder:
        name, image = next(iter(images_of(scan, assistant.preset, Path(folder), prior=prior, modality=modality)))
        _warn(console)
        console.print(f"of {name}: ask, one question a line; an empty line ends", markup=False, highlight=False)
        talk = assistant.talk(image, longest=longest)
        for line in sys.stdin:
            if not line.strip():
                break
            _show(talk.ask(line), longest, console)


def _show(reply: Reply, longest: int, console: Console) -> None:
    """The sentences with what they rest on, or what is said instead."""
    if reply.withheld:
        console.print(f"{escape(reply.text)} [dim](confidence {reply.confidence:.2f})[/dim]", soft_wrap=True)
        return
    for claim in reply.claims:
        support = "" if claim.support is None else f" [dim](support {claim.support:.2f})[/dim]"
        console.print(f"{escape(claim.text)}{support}", highlight=False, soft_wrap=True)
    console.print(f"[dim]confidence {reply.confidence:.2f}[/dim]", highlight=False)
    if not reply.ended:
        console.print(f"the answer was cut at {longest} tokens; raise --longest for more", highlight=False)


def _warn(console: Console) -> None:
    console.print(WARNING, markup=False, highlight=False, soft_wrap=True)
