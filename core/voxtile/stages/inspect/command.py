"""`voxtile inspect`: what a corpus holds, in the terminal and as one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voxtile.console import output, print_json
from voxtile.corpus.header import corpus_name
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.folders import OutputFile
from voxtile.stages.inspect.formatting import bytes_text, shape_text, share_text
from voxtile.stages.inspect.inputs import input_rows, path_of_input
from voxtile.stages.inspect.summary import CorpusSummary, summarise

if TYPE_CHECKING:
    from voxtile.stages.inspect.leakage.report import LeakageReport

_NO_PATH = "its path stands in the key map, which is not here or has forgotten it; --key-file says where it is"
_SHOWN_CONCEPTS = 40
_SHOWN_TEXT = 2000  # characters of a caption in the terminal


def inspect_corpus(
    corpus: Path,
    *uids: str,
    uid: str | None = None,
    html: OutputFile | None = None,
    previews: int = 30,
    leakage: bool = False,
    scheme: str = "default",
    references: Path | None = None,
    key_file: Path | None = None,
    json: bool = False,
) -> None:
    """Show what a corpus holds: counts, splits, captions, facts, drop reasons, licences and checks.

    Args:
        corpus: the corpus.
        uids: one sample: show all that is known of it instead, and on the page its planes with regions, its facts, its
            report with the sentences coloured by what they say, and the rest of its study. Or one input, as the ledger
            and the sentences about failures call it: show its path, where the key map is there, and what became of it.
        uid: the same as an option.
        html: also write a page with pictures to this file; it needs nothing else to be opened.
        previews: number of pictures on the page.
        leakage: also compare the splits: nearest distance, overlapping footprints, near-duplicate pixels.
        scheme: split scheme of the map and of --leakage.
        references: folder outside the corpus whose pictures may be copied into the page.
        key_file: where the key map is that says which path an input stands for; default beside the corpus.
        json: print one JSON object instead of tables: what they show by the names of `CorpusSummary`, and `leakage` by
            those of `LeakageReport`; of one sample its row as `sample`, and its splits, facts, scopes, regions, scores
            and captions.

    Raises:
        ConfigError: more than one sample is named.
        CorpusError: not a corpus, damaged, or no such sample; with `leakage`, no split.
    """
    named = [*uids, *([uid] if uid is not None else [])]
    if len(named) > 1:
        raise ConfigError(f"{len(named)} samples are named, but a page shows one; give one uid")
    store = Corpus(corpus)
    console = Console(quiet=True) if json else output()
    if named and (rows := input_rows(store, named[0])):
        if html is not None:
            raise ConfigError(f"'{named[0]}' is an input, and a page shows a sample; leave --html out, or give a uid")
        path = path_of_input(corpus, named[0], key_file)
        if json:
            print_json({"corpus": corpus_name(corpus), "input": named[0], "path": path, "ledger": rows})
        console.print(f"{named[0]} is '{path}'" if path else _NO_PATH, highlight=False, markup=False, soft_wrap=True)
        _print(console, "ledger", list(rows[0]), [[_value_text(cell) for cell in row.values()] for row in rows])
        return
    if named:
        if json:
            print_json({"corpus": corpus_name(corpus), **_sample(store, named[0])})
        else:
            _print_sample(console, store, named[0])
        if html is not None:
            from voxtile.stages.inspect.sample_page import write_sample_page  # late: most answers need no page

            write_sample_page(html, store, named[0], references=references)
            console.print(f"page: {html}", highlight=False, markup=False)
        return
    summary = summarise(store)
    _print_summary(console, summary)
    found = _find_leakage(store, scheme) if leakage else None
    if found is not None:
        _print_leakage(console, found)
    if json:
        shown = asdict(summary) | {"corpus": corpus_name(corpus), "leakage": None if found is None else asdict(found)}
        shown.pop("root")
        print_json(shown)
    if html is not None:
        from voxtile.stages.inspect.corpus_page import write_page  # late: most answers need no page

        write_page(html, store, summary, previews, leakage=found, scheme=scheme, references=references)
        console.print(f"page: {html}", highlight=False, markup=False)


def _find_leakage(store: Corpus, scheme: str) -> LeakageReport:
    from voxtile.stages.inspect.leakage.report import find_leakage  # late: scipy takes longer than what is shown

    return find_leakage(store, scheme)


def _print_summary(console: Console, summary: CorpusSummary) -> None:
    console.print(
        f"[bold]{escape(str(summary.root))}[/]: {summary.samples:,} samples, {summary.subjects:,} subjects, "
        f"{summary.studies:,} studies, {bytes_text(sum(summary.sizes.values()))}",
        highlight=False,
    )
    _print(
        console,
        "samples",
        ["kind", "modality", "units", "stored as", "#samples", "#subjects", "#size", "shape"],
        (
            [g.kind, g.modality, g.units, f"{g.codec} {g.axes or ''}", g.count, g.subjects, bytes_text(g.nbytes), shape]
            for g, shape in ((g, shape_text(g.smallest, g.largest)) for g in summary.groups)
        ),
    )
    _print(
        console,
        "splits",
        ["scheme", "split", "#subjects", "#samples"],
        ((s.scheme, s.split, s.subjects, s.samples) for s in summary.splits),
    )
    _print(
        console,
        "captions",
        ["kind", "by", "#captions", "#samples", "#different", "#characters"],
        (
            (c.kind, c.model or c.provider, c.count, c.samples, c.different, f"{c.shortest} – {c.median} – {c.longest}")
            for c in summary.captions
        ),
    )
    _print_concepts(console, summary)
    _print(
        console,
        f"inputs that gave nothing, and parts left out of others ({summary.used:,} inputs were used)",
        ["status", "reason", "#inputs", "#parts of used ones", "for example"],
        ((r.status, r.reason, r.count, r.parts, ", ".join(r.examples)) for r in summary.reasons),
    )
    _print(
        console,
        "licences",
        ["licence", "#samples"],
        ((licence or "not stated", count) for licence, count in summary.licences),
    )
    console.print(f"de-identification {summary.deidentification}", highlight=False, markup=False)
    sizes = ", ".join(f"{name} {bytes_text(size)}" for name, size in summary.sizes.items() if size)
    console.print(f"on disk: {sizes}", highlight=False, markup=False)
    if summary.uncaptioned:
        console.print(f"{summary.uncaptioned:,} samples have no caption, nor has their study", highlight=False)
    for check in summary.checks:
        console.print("[green]ok[/]" if check.ok else "[yellow]look[/]", escape(check.sentence), highlight=False)


def _print_concepts(console: Console, summary: CorpusSummary) -> None:
    stated = [concept for concept in summary.concepts if concept.is_stated]
    _print(
        console,
        "facts: samples a concept",
        ["concept", "#present", "#absent", "#absent by scope", "#uncertain", "#prevalence"],
        (
            (c.name, c.present, c.absent, c.implied, c.uncertain, share_text(c.prevalence))
            for c in stated[:_SHOWN_CONCEPTS]
        ),
    )
    if len(stated) > _SHOWN_CONCEPTS:
        console.print(f"… and {len(stated) - _SHOWN_CONCEPTS} more concepts; --html shows all", highlight=False)
    if unsaid := len(summary.concepts) - len(stated):
        console.print(f"{unsaid:,} more concepts were looked for, and no sample states them", highlight=False)


def _print_leakage(console: Console, report: LeakageReport) -> None:
    from voxtile.stages.inspect.leakage.report import distance_text

    _print(
        console,
        f"leakage between splits of scheme '{report.scheme}'",
        ["splits", "#nearest", "#overlapping", "#touching", "#near-duplicates", "for example"],
        (
            [
                f"{pair.one} – {pair.other}",
                "–" if pair.places is None else distance_text(pair.places.nearest_m),
                "–" if pair.places is None else pair.places.overlapping,
                "–" if pair.places is None else pair.places.touching,
                pair.pixels.duplicates,
                ", ".join(f"{a[:12]} {b[:12]}" for a, b in pair.examples[:2]),
            ]
            for pair in report.pairs
        ),
    )
    console.print(
        f"{report.placed:,} samples with a footprint; pixels of {report.compared:,} compared, "
        f"{report.featureless:,} too uniform, {report.unreadable:,} without a picture",
        highlight=False,
    )
    for check in report.checks():
        console.print("[green]ok[/]" if check.ok else "[yellow]look[/]", escape(check.sentence), highlight=False)


_OF_SAMPLE = (
    ("splits", "scheme, split", "1"),
    ("facts", "concept, polarity, value, unit, attributes, source", "1, 2"),
    ("scopes", "vocabulary, closed, concepts", "1"),
    ("regions", "phrase, box, source", "1"),
    ("scores", "name, value, producer", "1"),
    ("captions", "kind, provider, text", "1, 2, 3"),
    ("dialogues", "dialogue_id, turn, role, kind, text, verdict", "1, 2"),
    ("preferences", "preference_id, kind, question, chosen, rejected, detail", "1"),
)
"""Tables that speak of a sample: the columns shown, and their order."""
_OF_SEVERAL = "list_contains(uids, ?)"
_ITS_OWN = {"splits": "subject = ?", "dialogues": _OF_SEVERAL, "preferences": _OF_SEVERAL}  # others by uid


def _sample(store: Corpus, uid: str) -> dict[str, object]:
    """All that is known of a sample, table by table."""
    row = store.row(uid)
    known: dict[str, object] = {"sample": {k: v for k, v in row.items() if k not in {"corpus", "geometry"}}}
    connection = store.connection()
    try:
        for name, columns, order in _OF_SAMPLE:
            own, value = _ITS_OWN.get(name, "uid = ?"), row["subject"] if name == "splits" else uid
            found = connection.execute(f"SELECT DISTINCT {columns} FROM {name} WHERE {own} ORDER BY {order}", [value])
            headings = [column[0] for column in found.description or ()]
            known[name] = [dict(zip(headings, cells, strict=True)) for cells in found.fetchall()]
    finally:
        connection.close()
    return known


def _print_sample(console: Console, store: Corpus, uid: str) -> None:
    known = _sample(store, uid)
    row: dict[str, Any] = known.pop("sample")  # type: ignore[assignment]
    table = Table(title=uid, show_header=False, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in row.items():
        if value is not None and name != "uid":
            table.add_row(name, escape(_value_text(value)))
    console.print(table)
    for name, rows in known.items():
        found: list[dict[str, Any]] = rows  # type: ignore[assignment]
        headings = list(found[0]) if found else []
        _print(console, name, headings, [[_value_text(cell) for cell in one.values()] for one in found])


def _print(console: Console, title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table unless it is empty; a heading that starts with # is a number."""
    filled = list(rows)
    if not filled:
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        is_number = heading.startswith("#")
        table.add_column(
            heading.removeprefix("#"), justify="right" if is_number else "left", overflow="fold", no_wrap=is_number
        )
    for row in filled:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else escape(str(cell or "")) for cell in row))
    console.print(table)


def _value_text(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]} … ({len(text):,} characters)"
