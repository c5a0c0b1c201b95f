"""`voxtile describe CORPUS --with report`: the facts of each sample as a radiology report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError
from voxtile_medical.reports.compose.task import ComposeTask
from voxtile_medical.reports.compose.wording import ENGLISH, Style, load_wording


def describe_with_report(
    corpus: Path,
    *,
    style: Style = "narrative",
    variants: int = 1,
    facts_source: str | None = None,
    wording: Path = Path(ENGLISH.stem),
    **run: Any,  # noqa: ANN401
) -> None:
    """Write a radiology report for every sample from its facts, without a language model.

    The report says all findings with side, place, size, severity and change. Of masks it says every lesion with its
    number, three dimensions, attenuation class, place, vessels and stage, and which organs are of usual size; what was
    measured takes the place of what a report says of the same finding. The impression begins with what matters most.
    Read back with `voxtile facts --from reports --vocabulary general`, it gives the same facts. The words depend on the
    sample's uid alone, so that a second run writes the same captions; their parents are the measured regions.

    Args:
        corpus: a corpus with facts whose concepts are the lexicon's, e.g. from reports (general) or masks.
        style: structured (a line a region and a lesion) or narrative (sentences).
        variants: different reports a sample.
        facts_source: only facts whose source begins so, e.g. masks; all when left out.
        wording: wording table: english, or a YAML file; another language is another table.
        run: options of the run.

    Raises:
        ConfigError: an unknown style, no variant, or a wording table that is malformed.
        InputError: the corpus has no facts that can be worded.
    """
    if style not in ("structured", "narrative"):
        raise ConfigError(f"--style must be structured or narrative, not '{style}'")
    if variants < 1:
        raise ConfigError(f"--variants must be at least 1, not {variants}")
    load_wording(wording)
    Corpus(corpus)
    task = ComposeTask(str(corpus), wording, style, variants, facts_source)
    summary = run_task(task, corpus, RunOptions(**run))
    captions = Corpus(corpus).table("captions", columns=["text", "model"]).to_pylist()
    model = f"{load_wording(wording).identity}/{style}"
    example = next((row["text"] for row in captions if (row["model"] or "") == model), None)
    if example:
        output().print(f"One of them:\n\n{example}\n", highlight=False, markup=False)
    summary.raise_if_failed()
