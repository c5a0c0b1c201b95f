"""`voxtile facts CORPUS --from series-choice`: which series of each study is trained on, and why, as facts."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.corpus.schema import ROLE
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError
from voxtile_medical.series_roles.choice import DEFAULT, ChoiceRules, Chosen, choose, read_rules

_COLUMNS = ["uid", "subject", "study", "modality", "kind", "units", "shape", "attributes"]


@dataclass(frozen=True)
class ChoiceTask:
    """The engine task: one item, all studies of the corpus.

    Attributes:
        corpus: the corpus.
        rules: which series are chosen.
        digest: of the file that the rules stand in.
    """

    corpus: Path
    rules: ChoiceRules
    digest: str = field(compare=False)

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "series-choice"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """The rules."""
        return {"rules": self.digest}

    def items(self) -> Iterator[Item]:
        """One item; it is another one where the corpus has other samples.

        Raises:
            InputError: there are none.
        """
        parts = Corpus(self.corpus).parts("samples")
        if not parts:
            raise InputError(f"'{self.corpus}' holds no samples; convert something into it first")
        yield Item("series-choice", {"parts": sorted(part.stem for part in parts)})

    def process(self, item: Item) -> Outcome:
        """Facts of samples that have none of these rules; a choice that was made stays."""
        corpus = Corpus(self.corpus)
        facts = corpus.table("facts", columns=["uid", "polarity", "source"]).to_pylist()
        known = {f["uid"]: f["polarity"] for f in facts if f["source"] == self.rules.source}
        studies: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in corpus.table("samples", columns=_COLUMNS).to_pylist():
            studies[row["subject"], row["study"] or row["uid"]].append(row)
        made = [among for rows in studies.values() for among in choose(rows, self.rules)]
        written = [self._fact(chosen) for among in made for chosen in _later(among, known)]
        return Outcome("used", tables={"facts": written} if written else {})

    def _fact(self, chosen: Chosen) -> Row:
        evidence: dict[str, Any] = {"why": list(chosen.why)}
        if chosen.instead is not None:
            evidence["instead"] = chosen.instead
        attributes = {"role": self.rules.role, "aspect": "choice", "evidence": evidence}
        return {
            "uid": chosen.uid,
            "concept": ROLE,
            "polarity": "present" if chosen.chosen else "absent",
            "attributes": json.dumps(attributes, sort_keys=True),
            "source": self.rules.source,
        }


def _later(among: Sequence[Chosen], known: Mapping[str, str]) -> list[Chosen]:
    """Those of which nothing was said; none of them takes the place of one that was chosen before it came."""
    new = [chosen for chosen in among if chosen.uid not in known]
    before = next((chosen.uid for chosen in among if known.get(chosen.uid) == "present"), None)
    if before is None or not any(chosen.chosen for chosen in new):
        return new
    return [Chosen(chosen.uid, False, ("another was chosen before it came",), before) for chosen in new]


def facts_from_series_choice(corpus: Path, *, rules: Path = DEFAULT, **run: Any) -> None:  # noqa: ANN401
    """Choose which series of each study is trained on, by rules that one can read, and say why.

    The chosen series has the role `chosen` (present), the others of its study have it absent, with the rule that
    decided; `voxtile inspect CORPUS UID --html PAGE` shows both. Presets ask for it as `ct+chosen`, `data.where` and
    `voxtile curate --where` as a condition on facts.

    Args:
        corpus: a corpus of DICOM series.
        rules: YAML in the form of the packaged one, whose comment explains it.
        run: options of the run.

    Raises:
        InputError: the corpus holds no samples, or has a choice of this name by other rules.
    """
    read = read_rules(rules)
    digest = sha256(rules.read_bytes()).hexdigest()
    table = Corpus(corpus).table("facts", columns=["source"])
    others = {str(s) for s in table["source"].unique().to_pylist() if str(s).startswith(f"series-choice/{read.role}@")}
    if others - {read.source}:
        made = sorted(others - {read.source})[0].partition("@")[2]
        raise InputError(
            f"the corpus has the choice '{read.role}' by version {made} of its rules; give the role another name in "
            f"'{rules}'"
        )
    summary = run_task(ChoiceTask(corpus, read, digest), corpus, RunOptions(**run))
    _print(corpus, read)
    summary.raise_if_failed()


def _print(corpus: Path, rules: ChoiceRules) -> None:
    facts = Corpus(corpus).table("facts", columns=["polarity", "attributes", "source"]).to_pylist()
    counts: Counter[tuple[str, str]] = Counter()
    for fact in facts:
        if fact["source"] == rules.source:
            for why in json.loads(fact["attributes"])["evidence"]["why"]:
                counts[fact["polarity"], why] += 1
    table = Table(title=f"series with the role '{rules.role}', and why")
    table.add_column("series")
    table.add_column("rule")
    table.add_column("samples", justify="right")
    for (polarity, why), count in sorted(counts.items(), key=lambda entry: (entry[0][0] != "present", -entry[1])):
        table.add_row("chosen" if polarity == "present" else "left", escape(why), str(count))
    output().print(table)
