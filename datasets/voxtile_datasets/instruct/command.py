"""`voxtile instruct`: questions, reports and dialogues about the images of a corpus, from what it knows of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from rich.table import Table

from voxtile.console import note, output
from voxtile.corpus.parts import part_paths, part_rows
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.captions.checker.verdict import ORDER
from voxtile_datasets.captions.plain_words import SizeMargin
from voxtile_datasets.captions.reconcile import PRECEDENCE
from voxtile_datasets.captions.wordings import installed_banks
from voxtile_datasets.instruct.questions import installed_questions
from voxtile_datasets.instruct.task import KINDS, InstructTask

_KNOWN = ("facts", "scopes", "captions", "regions")
_NOT_JUDGED = "not judged"


def instruct_corpus(
    corpus: Path,
    *,
    kinds: str = ",".join(KINDS),
    variants: int = 1,
    absent: int = 3,
    most: int = 4,
    precedence: str = ",".join(PRECEDENCE),
    facts_source: str | None = None,
    bank: Path | None = None,
    size_margin: str | None = None,
    seed: int = 0,
    key_file: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Make questions, reports and dialogues of what a corpus knows, as its table `dialogues`.

    Questions and answers are worded from versioned banks, a function of each image's uid. "No" is only said where a
    fact denies something or a closed scope leaves it out. As many questions of presence are answered yes as no. What
    each answer says is judged as a caption is; rows that the facts contradict stay, with their verdict, and are never
    drawn. An image whose subject has an earlier examination is compared with it.

    Args:
        corpus: the corpus to add to.
        kinds: which dialogues, separated by commas: report, presence, count, side, size, place, comparison,
            unanswerable, region, grounded.
        variants: number of different wordings.
        absent: how many absent findings a report that is made of facts mentions at most, those first that are easily
            taken for a present one.
        most: how many dialogues of one kind an image gets at most a wording, of presence as many of each answer.
        precedence: beginnings of the facts' sources, separated by commas: where several speak of the same thing, the
            first one is said. Sources that are not named come last.
        facts_source: only facts whose source begins so are worded, e.g. reports; what is trained on must not word the
            labels that a model is evaluated on. Several names are separated by commas. Of closed scopes those are
            used whose vocabulary has one of these names: osm,osm-visible denies what the map was searched for in vain.
        bank: wording bank (YAML) that comes before the installed ones.
        size_margin: how far a size may be off, a length and a share, e.g. "5 mm, 20 %": sizes are said as "23 mm ±
            5 mm", and an answer within it counts as right. What an image is seen at tells no millimetres.
        seed: of the choice among wordings, and of what is left out beyond --most.
        key_file: the key map, if it is not beside the corpus.
        run: options of the run.

    Raises:
        ConfigError: an option that cannot be used, or a malformed bank.
        InputError: the corpus knows nothing to ask about.
        RunFailedError: some parts failed; the rest is stored.
    """
    for name, number, least in (("variants", variants, 1), ("absent", absent, 0), ("most", most, 1)):
        if number < least:
            raise ConfigError(f"--{name} must be at least {least}, not {number}")
    wanted = tuple(dict.fromkeys(kind.strip() for kind in kinds.split(",") if kind.strip()))
    if strange := next((kind for kind in wanted if kind not in KINDS), None) or ("" if wanted else "nothing"):
        raise ConfigError(f"--kinds names '{strange}'; there are: {', '.join(KINDS)}")
    Corpus(corpus)  # a folder that is no corpus is refused before anything is made in it
    if not any(part_paths(corpus, table) for table in _KNOWN):
        raise InputError(
            f"'{corpus}' knows nothing to ask about; make facts with: voxtile facts {corpus} --from NAME "
            "(labels, reports, osm, …; 'voxtile domains' lists the names)"
        )
    sources = tuple(name.strip() for name in precedence.split(",") if name.strip())
    task = InstructTask(
        str(corpus), installed_banks([bank] if bank else []), wanted, variants, absent, most, sources, facts_source,
        seed, key_file, None if size_margin is None else SizeMargin.parse(size_margin),
    )  # fmt: skip
    installed_questions(note)  # a malformed file is said before anything is planned
    before = _rows(corpus)
    summary = run_task(task, corpus, RunOptions(**run))
    if (added := _rows(corpus) - before) > 0:
        _say(corpus)
        note(f"{added:,} turns were added, {added + before:,} in all")
    summary.raise_if_failed()


def _rows(corpus: Path) -> int:
    return sum(part_rows(path) for path in part_paths(corpus, "dialogues"))


def _say(corpus: Path) -> None:
    """A line a kind: dialogues, turns, answers of presence, and turns by verdict."""
    columns = ["dialogue_id", "kind", "role", "answer", "verdict"]
    turns: dict[str, Counter[str]] = defaultdict(Counter)
    talks: dict[str, set[str]] = defaultdict(set)
    for row in Corpus(corpus).table("dialogues", columns).to_pylist():
        talks[row["kind"]].add(row["dialogue_id"])
        if row["role"] == "assistant":
            turns[row["kind"]][row["verdict"] or _NOT_JUDGED] += 1
            turns[row["kind"]][f"={row['answer']}"] += row["kind"] == "presence"
    table = Table(title="dialogues of the corpus, and answers by verdict", title_justify="left")
    for heading in ("kind", "dialogues", "answers", *ORDER, _NOT_JUDGED):
        is_name = heading == "kind"
        table.add_column(heading, justify="left" if is_name else "right", no_wrap=is_name)
    for kind in sorted(talks, key=lambda kind: KINDS.index(kind) if kind in KINDS else len(KINDS)):
        own = turns[kind]
        judged = [own[verdict] for verdict in (*ORDER, _NOT_JUDGED)]
        shown = f"presence ({own['=yes']:,} yes, {own['=no']:,} no)" if kind == "presence" else kind
        table.add_row(shown, *(f"{number:,}" for number in (len(talks[kind]), sum(judged), *judged)))
    output().print(table)
