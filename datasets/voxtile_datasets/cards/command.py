"""`voxtile card`: a corpus's data card as a page, as Markdown and as Croissant."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.corpus.storage import publish_all, storage_errors
from voxtile.errors import ConfigError
from voxtile.stages.inspect.previews import Preview, choose_uids, make_previews
from voxtile_datasets.cards.card import About, Card, make_card
from voxtile_datasets.cards.croissant import croissant
from voxtile_datasets.cards.page import render_html, render_markdown
from voxtile_datasets.licences.combine import refuse_derivatives

PAGE, MARKDOWN, CROISSANT = "index.html", "README.md", "croissant.json"
FILES = (PAGE, MARKDOWN, CROISSANT)
_NAME = re.compile(r"[\w][\w .+-]{0,99}")


def write_card(
    corpus: Path,
    out: Path,
    *,
    name: str | None = None,
    description: str | None = None,
    creator: str | None = None,
    url: str | None = None,
    cite: str | None = None,
    published: str | None = None,
    data_version: str = "1.0.0",
    examples: int = 2,
    previews: int = 0,
    overwrite: bool = False,
) -> None:
    """Write a data card: what a corpus is, where it came from, what may be done with it, and what it lacks.

    Three files: `index.html`, one page that needs nothing else; `README.md`, with the header that dataset hubs read;
    and `croissant.json`, Croissant 1.1 with which `mlcroissant` loads the tables and pictures. Licences are taken apart
    and combined (a non-commercial part makes the whole so), every run of the manifests is listed, captions are counted
    by origin with price and verdicts, and the gaps are those that the tables themselves show.

    Args:
        corpus: the corpus.
        out: folder for the card; the corpus itself is a good place, since the card then travels with it.
        name: name of the data set; the corpus's folder by default.
        description: what it is and is for, in a sentence or two; by default one is made of the counts.
        creator: who made it; several with semicolons.
        url: its page on the web.
        cite: a citation, best in BibTeX.
        published: ISO date; by default the day of the last run, so that the same corpus gives the same card.
        data_version: MAJOR.MINOR.PATCH of the data.
        examples: captions of each origin to show; 0 for none. None are shown where the licence forbids copies.
        previews: pictures to show on the page; 0 for none. Pictures of patients are for those who may see them.
        overwrite: replace a file of the same name that is not a card.

    Raises:
        ConfigError: the name, date or folder cannot be used.
        CorpusError: not a corpus, or damaged.
        LicenceError: pictures are asked for and a licence forbids derivatives.
    """
    store = Corpus(corpus)
    about = About(
        name=_checked_name(name or store.roots[0].resolve().name),
        description=description,
        creators=tuple(part.strip() for part in (creator or "").split(";") if part.strip()),
        url=url,
        cite=cite,
        published=_checked_date(published),
        data_version=data_version,
    )
    if examples < 0 or previews < 0:
        raise ConfigError(f"--examples and --previews must be 0 or more, not {examples} and {previews}")
    _check_target(corpus, out, overwrite=overwrite)
    card = make_card(store, about, examples=examples)
    described = croissant(store, card, out)
    pages = {
        PAGE: render_html(card, described, _pictures(store, card, previews)),
        MARKDOWN: render_markdown(card),
        CROISSANT: json.dumps(described, indent=2, ensure_ascii=False) + "\n",
    }
    publish_all([(out / file, partial(_write_text, text=text)) for file, text in pages.items()])
    _report(card, out)


def _write_text(target: Path, *, text: str) -> None:
    target.write_text(text, "utf-8")


def _pictures(store: Corpus, card: Card, count: int) -> Sequence[Preview]:
    if not count:
        return ()
    refuse_derivatives(
        (licence.text for licence, _ in card.licence.counts),
        "a page with reduced pictures",
        "leave out --previews",
    )
    return make_previews(store, choose_uids(store, count))


def _check_target(corpus: Path, out: Path, *, overwrite: bool) -> None:
    """A folder of other things is left alone; an earlier card is replaced."""
    with storage_errors(out):
        if out.exists() and not out.is_dir():
            raise ConfigError(f"'{out}' is a file; name a folder for the card")
        held = {entry.name for entry in out.iterdir() if not entry.name.startswith(".")} if out.exists() else set()
    inside = out.resolve() == corpus.resolve()
    if overwrite or not held or _is_card(out):
        return
    clashing = sorted(held & set(FILES))
    if clashing:
        raise ConfigError(
            f"'{out / clashing[0]}' is there and is no card of voxtile; name another folder, or --overwrite"
        )
    if not inside:
        raise ConfigError(f"the folder '{out}' exists and holds other files; name a new one, or --overwrite")


def _is_card(out: Path) -> bool:
    try:
        return "Made by voxtile" in (out / MARKDOWN).read_text("utf-8") and (out / CROISSANT).is_file()
    except (OSError, UnicodeDecodeError):
        return False


def _checked_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name)  # of folders by macOS letters and accents are apart
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"the name '{name}' cannot be used; name the data set with --name: at most 100 letters, digits, spaces, "
            "'-', '_' and '.'"
        )
    return name


def _checked_date(text: str | None) -> str | None:
    try:
        return date.fromisoformat(text).isoformat() if text else None
    except ValueError:
        raise ConfigError(f"'--published {text}' is no date; write it as 2026-01-31") from None


def _report(card: Card, out: Path) -> None:
    console = output()
    console.print(f"{card.about.name}: {card.licence.headline}", highlight=False, markup=False)
    for consequence in card.licence.consequences:
        if consequence.weight == "warning":
            console.print(f"look: {consequence.sentence}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{len(card.gaps)} known gaps; card: {out / PAGE}", highlight=False, markup=False, soft_wrap=True)
