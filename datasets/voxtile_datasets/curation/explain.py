"""The page of `voxtile curate --explain`: a funnel, and pictures of what each step took away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import voxtile
from voxtile.corpus.reader import Corpus
from voxtile.corpus.storage import storage_errors, write_atomically
from voxtile.pages import page_environment
from voxtile.stages.inspect.previews import Preview, make_previews
from voxtile_datasets.curation.funnel import Example, Funnel, Step

_TEMPLATE = "explain.html.j2"


def write_explanation(path: Path, funnel: Funnel, view: str, scheme: str, other: Corpus | None) -> None:
    """Write the page; it needs nothing else to be opened.

    Args:
        path: file to write; its folder is made.
        funnel: the steps.
        view: name of the view.
        scheme: its split scheme.
        other: corpus that was compared with, for its name.

    Raises:
        StorageError: the file cannot be written.
    """
    environment = page_environment("voxtile_datasets.curation")
    pool = funnel.pool
    page = environment.get_template(_TEMPLATE).render(
        view=view,
        corpora=[root.resolve().name for root in pool.store.roots],
        scheme=scheme,
        samples=pool.samples,
        captions=pool.captions,
        held_out=int((pool.keep & pool.fixed).sum()),
        first=funnel.steps[0],
        steps=[_step(funnel, step, other) for step in funnel.steps],
        version=voxtile.__version__,
    )
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode())


def _step(funnel: Funnel, step: Step, other: Corpus | None) -> Mapping[str, object]:
    examples = [_sides(funnel, example, other) for example in step.examples]
    return {
        "name": step.name,
        "detail": step.detail,
        "samples": step.samples,
        "captions": step.captions,
        "examples": examples,
    }


def _sides(funnel: Funnel, example: Example, other: Corpus | None) -> list[Preview]:
    """What went, and what stays in its stead if that is known."""
    sides = [_preview(funnel, example.sample, example.caption)]
    if example.instead_sample == -1:
        name = ", ".join(root.resolve().name for root in other.roots) if other is not None else "another corpus"
        sides.append(Preview("", name, "", None, f"a sample of {name}", False, False, [], [], None))
    elif example.instead_sample is not None:
        sides.append(_preview(funnel, example.instead_sample, example.instead_caption))
    return sides


def _preview(funnel: Funnel, sample: int, caption: int | None) -> Preview:
    pool = funnel.pool
    preview = make_previews(pool.store, pool.uids([sample]))[0]
    return preview if caption is None else replace(preview, text=pool.caption_texts([caption])[0])
