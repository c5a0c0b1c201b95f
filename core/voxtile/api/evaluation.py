"""`voxtile.evaluate`: any model on any task, as an object instead of a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import Console

from voxtile.api.corpus import open_corpus
from voxtile.api.model import Model, load_model
from voxtile.api.wording import said_in_python
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.evaluation.options import checked_options
from voxtile.evaluation.results import Evaluation, prepare_folder
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.choices import checked_changes, checked_protocols, checked_scorers
from voxtile.evaluation.tasks.file import load_tasks
from voxtile.evaluation.terminal import print_evaluation

if TYPE_CHECKING:
    import pandas as pd

_ROWS = pa.schema(
    [
        ("task", pa.string()), ("model", pa.string()), ("kind", pa.string()), ("metric", pa.string()),
        ("average", pa.string()), ("class", pa.string()), ("value", pa.float64()), ("low", pa.float64()),
        ("high", pa.float64()), ("n", pa.int64()), ("positives", pa.int64()),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Evaluated:
    """The figures of a model on one or more tasks.

    Attributes:
        evaluation: all that is known of them.
    """

    evaluation: Evaluation

    def __repr__(self) -> str:
        tasks = ", ".join(result.task.name for result in self.evaluation.results)
        return f"Evaluated({self.evaluation.model!r} on {tasks}: {self.table.num_rows} figures)"

    @property
    def table(self) -> pa.Table:
        """The figures as Arrow, one a row, with the columns of `results.json` (docs/evaluation.md).

        `kind` says whose figure it is: the model's, the trivial baseline's, or that of the model on shuffled images;
        `value` is null where a figure is refused, and `notes` say why.
        """
        return pa.Table.from_pylist([row.to_json() for row in self.evaluation.rows], _ROWS)

    def to_pandas(self) -> pd.DataFrame:
        """The same as a data frame."""
        from voxtile.api.frames import to_pandas

        return to_pandas(self.table)

    @property
    def notes(self) -> list[str]:
        """Sentences about what was refused or could not be done."""
        return [note for result in self.evaluation.results for note in result.notes]

    @property
    def summary(self) -> str:
        """The tables that `voxtile evaluate` prints."""
        stream = StringIO()
        print_evaluation(self.evaluation, Console(file=stream, width=120))
        return stream.getvalue()

    def to_json(self) -> dict[str, Any]:
        """What `results.json` holds: figures, differences, provenance."""
        return self.evaluation.to_json()

    def save(self, out: str | os.PathLike[str], *, references: str | os.PathLike[str] | None = None) -> Path:
        """Write the report of `voxtile evaluate` into a folder and return the path of its page.

        Args:
            out: the folder; made if it does not exist.
            references: folder outside the corpus whose pictures may be copied into the page.

        Raises:
            EvaluationError: the folder cannot be written.
        """
        folder = Path(out)
        prepare_folder(folder)
        allowed = None if references is None else Path(references)
        report(self.evaluation, folder, Console(file=StringIO()), references=allowed)
        return folder / "index.html"


def evaluate(
    model: Model | str | os.PathLike[str],
    task: str | Sequence[str],
    *,
    corpus: Corpus | str | os.PathLike[str],
    split: str | None = None,
    batch_size: int = 32,
    bootstrap: int = 1000,
    seed: int = 0,
    compat: Sequence[str] = (),
    robustness: Sequence[str] = (),
    subgroups: Sequence[str] = (),
    scorers: Sequence[str] = (),
    allow_leakage: bool = False,
    trust_packages: Sequence[str] = (),
) -> Evaluated:
    """Evaluate a model on tasks: figures with intervals, a trivial baseline and shuffled images beside them.

    The figures are those of `voxtile evaluate` to the last digit.

    Args:
        model: from `voxtile.load_model`, or how it is named there.
        task: one or several, names such as medical/ct-findings or paths of task files.
        corpus: opened, or its folder.
        split: the split to report; each task's own (test) when left out.
        batch_size: images a batch.
        bootstrap: replicates of the bootstrap over subjects.
        seed: of the bootstrap and of the shuffled control.
        compat: also compute figures by these published rules, see `voxtile evaluate --help`.
        robustness: try the model on images changed in these ways too.
        subgroups: split figures by these properties of the corpus.
        scorers: also score images and texts by the tokens of both: late-interaction or matching.
        allow_leakage: report figures although the model was trained on some of what is reported; the report says so.
        trust_packages: packages of your own whose classes a checkpoint or export may name.

    Raises:
        ConfigError: no such task or model, or a value out of range.
        EvaluationError: nothing can be evaluated.
    """
    tasks = [task] if isinstance(task, str) else list(task)
    if not tasks:
        raise ConfigError("no task was named; for example: voxtile.evaluate(model, 'medical/ct-findings', corpus=…)")
    with said_in_python():
        options = replace(
            checked_options(split, batch_size, bootstrap, seed),
            compat=checked_protocols(_listed("compat", compat)),
            robustness=checked_changes(_listed("robustness", robustness)),
            subgroups=_listed("subgroups", subgroups),
            scorers=checked_scorers(_listed("scorers", scorers)),
            allow_leakage=allow_leakage,
        )
        load_tasks(tasks)  # a typing error should not cost the time to load a model
        if not isinstance(corpus, Corpus | str | os.PathLike):
            raise ConfigError(f"corpus is a folder, or what voxtile.open_corpus gives, not {corpus!r:.80}")
        opened = corpus if isinstance(corpus, Corpus) else open_corpus(corpus)
        loaded = model if isinstance(model, Model) else load_model(model, trust_packages=trust_packages)
        with redirect_stdout(StringIO()):  # progress
            return Evaluated(evaluate_model(loaded.evaluation, loaded.spec, opened, tasks, options))


def _listed(name: str, values: Sequence[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ConfigError(f"{name} is a list of names, such as ['{values}'], not one text")
    return tuple(values)
