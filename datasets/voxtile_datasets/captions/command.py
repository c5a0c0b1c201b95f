"""`voxtile caption`: captions from facts. The template provider words them from versioned banks, without a network."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome, Row
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.captions.sentences import Subject, body_part, fact_from_row, fact_sentences, report
from voxtile_datasets.captions.wordings import Bank, bank_for, installed_banks

_FACT_COLUMNS = ("uid", "concept", "polarity", "value", "unit", "attributes")
_SCOPE_COLUMNS = ("uid", "closed", "concepts")


@dataclass(frozen=True)
class TemplateTask:
    """The engine task: an item is a part of the samples table with what is known of its samples.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        banks: wordings, in the order of precedence.
        kind: one caption a sample (`report`) or a fact (`fact`).
        variants: how many wordings of each.
        absent: at most so many absences a caption set.
    """

    corpus: str
    banks: tuple[Bank, ...]
    kind: Literal["report", "fact"]
    variants: int
    absent: int

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "template"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output, the banks' content among them."""
        banks = [[bank.identity, bank.sha256] for bank in self.banks]
        return {"kind": self.kind, "variants": self.variants, "absent": self.absent, "banks": banks}

    def items(self) -> Iterator[Item]:
        """One item a part; facts that arrive later make it a new one."""
        parts = part_paths(Path(self.corpus), "samples")
        empty = True
        for path in parts:
            known = _known(Path(self.corpus), path)
            digest = hashlib.sha256()
            for table in known[1:]:
                for row in sorted(map(repr, table.to_pylist())):
                    digest.update(row.encode())
            empty = empty and not known[1].num_rows and not known[2].num_rows
            yield Item(
                f"template:{self.kind}/{path.stem}",
                {"part": path.stem, "facts": digest.hexdigest()},
                cost=known[0].num_rows,
            )
        if empty:
            raise InputError(
                f"'{self.corpus}' has no facts to caption; make some with: voxtile facts CORPUS --from labels"
            )

    def process(self, item: Item) -> Outcome:
        """Captions of the samples of one part."""
        root = Path(self.corpus)
        samples, facts, scopes = _known(root, root / "tables" / "samples" / f"{item.inputs['part']}.parquet")
        rows: list[Row] = []
        for subject in _subjects(samples, facts, scopes):
            bank = bank_for(self.banks, subject.modality)
            for number, text in enumerate(self._texts(subject, bank)):
                identity = "\0".join((subject.uid, "template", bank.identity, self.kind, str(number), text))
                caption_id = hashlib.sha256(identity.encode()).hexdigest()[:32]
                row: Row = {"caption_id": caption_id, "uid": subject.uid, "text": text, "lang": "en"}
                rows.append({**row, "kind": "template", "provider": "template", "model": bank.identity})
        if not rows:
            return Outcome("dropped", "no-facts", "no sample of this part has a fact")
        return Outcome("used", tables={"captions": rows})

    def _texts(self, subject: Subject, bank: Bank) -> list[str]:
        texts: dict[str, None] = {}
        for variant in range(self.variants):
            if self.kind == "fact":
                texts |= dict.fromkeys(fact_sentences(subject, bank, variant=variant, absent=self.absent))
            elif text := report(subject, bank, variant=variant, absent=self.absent):
                texts[text] = None
        return list(texts)


def caption_corpus(
    corpus: Path,
    *,
    provider: str = "template",
    kind: Literal["report", "fact"] = "report",
    variants: int = 1,
    absent: int = 2,
    bank: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Write captions from the facts of a corpus.

    The wording of each sample is a function of its uid, so that a second run writes the same captions.

    Args:
        corpus: the corpus to add to.
        provider: who words them; only template is available in this version.
        kind: one caption a sample that says all its facts, or one a fact.
        variants: number of different wordings.
        absent: how many absent findings a caption mentions at most, chosen by the uid.
        bank: wording bank (YAML) that comes before the installed ones.
        run: options of the run.

    Raises:
        ConfigError: an unknown provider, or a bank that is malformed.
        InputError: the corpus has no facts.
    """
    if provider != "template":
        raise ConfigError(
            f"the provider '{provider}' is not available in this version; use --provider template, "
            "which words the facts from a bank without a language model"
        )
    if variants < 1 or absent < 0:
        raise ConfigError(f"--variants must be at least 1 and --absent at least 0, not {variants} and {absent}")
    Corpus(corpus)  # a folder that is no corpus is refused before anything is made in it
    banks = installed_banks([bank] if bank else [])
    task = TemplateTask(str(corpus), banks, kind, variants, absent)
    run_task(task, corpus, RunOptions(**run)).raise_if_failed()


def _known(root: Path, part: Path) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Samples of one part, and the facts and scopes about them."""
    samples = read_parts([part], table_schema("samples"), ["uid", "modality", "attributes"])
    tables = []
    for name, columns in (("facts", _FACT_COLUMNS), ("scopes", _SCOPE_COLUMNS)):
        paths = tuple(part_paths(root, name))
        table = _whole_table(paths, name, columns)
        tables.append(table.filter(pc.is_in(table["uid"], samples["uid"].combine_chunks())))
    return samples, tables[0], tables[1]


@lru_cache(maxsize=2)
def _whole_table(paths: tuple[Path, ...], name: str, columns: tuple[str, ...]) -> pa.Table:
    return read_parts(paths, table_schema(name), columns)


def _subjects(samples: pa.Table, facts: pa.Table, scopes: pa.Table) -> Iterator[Subject]:
    stated: dict[str, dict[Any, None]] = defaultdict(dict)
    for row in facts.to_pylist():
        stated[row["uid"]][fact_from_row(row)] = None
    looked_for: dict[str, dict[str, None]] = defaultdict(dict)
    for row in scopes.to_pylist():
        if row["closed"]:
            looked_for[row["uid"]] |= dict.fromkeys(row["concepts"] or ())
    for row in samples.to_pylist():
        facts_of = tuple(sorted(stated[row["uid"]], key=repr))
        known = {fact.concept for fact in facts_of}
        implied = tuple(concept for concept in looked_for[row["uid"]] if concept not in known)
        if facts_of or implied:
            yield Subject(row["uid"], row["modality"], body_part(row["attributes"]), facts_of, implied)
