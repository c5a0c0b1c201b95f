"""What every kind of task must do, as tests that a third party subclasses.

    from voxtile.testing.kind_contract import TaskKindContract

    class TestMyKind(TaskKindContract):
        kind = "my-kind"
        content = {"cutoff": 5}

        def corpus_in(self, folder):
            return write_a_small_corpus(folder / "corpus")

        def model(self):
            return MyTinyModel()

Needs pytest. Each test is named after the promise that it checks.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from rich.console import Console

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.evaluation.options import Options
from voxtile.evaluation.results import Evaluation
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task
from voxtile.evaluation.tasks.kind import TaskKind, task_kind
from voxtile.evaluation.tasks.task import SHARED_KEYS
from voxtile.models.protocol import EvaluationModel

HEAVY = ("torch", "timm", "lightning", "open_clip")


class TaskKindContract:
    """Subclass it, set `kind` and `content`, and override `corpus_in` and `model`.

    Attributes:
        kind: the name of its entry point.
        content: what a task file of it holds beside `kind`, so that it runs on the corpus.
        options: how it is run.
    """

    kind: ClassVar[str] = ""
    content: ClassVar[Mapping[str, Any]] = {}
    options: ClassVar[Options] = Options(batch_size=8, replicates=100)

    def corpus_in(self, folder: Path) -> Path:
        """Write a small corpus that such a task can be asked of, and return its folder."""
        raise NotImplementedError("override corpus_in")

    def model(self) -> EvaluationModel:
        """A small model of which figures are known, or any."""
        raise NotImplementedError("override model")

    @pytest.fixture
    def task_file(self, tmp_path: Path) -> Path:
        """A task of the kind."""
        return self._written(tmp_path / "task.yaml")

    @pytest.fixture
    def evaluation(self, tmp_path: Path, task_file: Path) -> Evaluation:
        """What comes out of it."""
        return self._evaluated(self.corpus_in(tmp_path), task_file)

    def test_it_is_found_by_its_entry_point(self) -> None:
        """The object is a `TaskKind`, and no other package has the name."""
        assert isinstance(task_kind(self.kind), TaskKind)

    def test_reading_a_task_imports_nothing_heavy(self, task_file: Path) -> None:
        """What a run needs is imported when it runs: a typing error is said at once."""
        code = f"from voxtile.evaluation.tasks.file import load_task; load_task({str(task_file)!r})"
        code = f"import sys; sys.path[:] = {sys.path!r}; {code}; print(*({{*{HEAVY}}} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        assert done.stdout.split() == [], "import it in run, section or tables, where it is needed"

    def test_a_wrong_key_is_refused_with_its_file(self, tmp_path: Path) -> None:
        """In one sentence."""
        path = self._written(tmp_path / "wrong.yaml", no_such_key_at_all=1)
        with pytest.raises(ConfigError, match="unknown key 'no_such_key_at_all'") as caught:
            load_task(str(path))
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_its_keys_are_not_those_that_all_tasks_share(self) -> None:
        """`parse` gets the shared ones ready made."""
        twice = set(SHARED_KEYS) & set(task_kind(self.kind).keys)
        assert not twice, f"keys that every task has: {', '.join(sorted(twice))}"

    def test_its_figures_are_sound(self, evaluation: Evaluation) -> None:
        """Each is of the task, stands once, is a number within its interval, and has a control on shuffled images."""
        rows = evaluation.rows
        places = [(row.model, row.kind, row.metric, row.average, row.class_name) for row in rows]
        assert rows, "no figure at all"
        assert len(set(places)) == len(places), "two rows of one model, kind, metric, average and class"
        for row in rows:
            assert row.task == evaluation.results[0].task.name, f"the name of another task: {row}"
            assert row.value is None or math.isfinite(row.value), f"no number: {row}"
            if row.value is not None and row.low is not None and row.high is not None:
                assert row.low <= row.value <= row.high, f"a figure outside its interval: {row}"
        assert any(row.kind == "model" and row.value is not None for row in rows), "no figure of the model"
        assert any(row.kind == "shuffled" for row in rows), "no control: what would images of other subjects get?"

    def test_the_same_seed_gives_the_same_figures(self, tmp_path: Path, task_file: Path) -> None:
        """To the last digit."""
        corpus = self.corpus_in(tmp_path)
        first, second = (self._evaluated(corpus, task_file).rows for _ in range(2))
        assert first == second, "other figures the second time"

    def test_its_headlines_are_rows_of_the_model(self, evaluation: Evaluation) -> None:
        """The first stands for the task in tables of several models; logs keep them all."""
        (result,) = evaluation.results
        headlines = result.headlines(evaluation.model)
        assert headlines, "no headline"
        assert all(row in result.rows for row in headlines.values()), "a headline that is no row"

    def test_it_is_in_every_file_of_the_report_and_in_the_terminal(
        self, evaluation: Evaluation, tmp_path: Path
    ) -> None:
        """Its section on the page, its rows in the files, its table on the screen."""
        out, stream = tmp_path / "out", StringIO()
        out.mkdir()
        report(evaluation, out, Console(file=stream, width=160))
        (result,) = evaluation.results
        section = task_kind(self.kind).section(evaluation, result)
        page = (out / "index.html").read_text(encoding="utf-8")
        assert f'id="{section.anchor}"' in page
        assert result.task.title in page
        shown = next(row for row in result.headlines(evaluation.model).values() if row.value is not None)
        assert f"{shown.value:.3f}" in page
        assert f"{shown.value:.3f}" in stream.getvalue()
        stored = json.loads((out / "results.json").read_text(encoding="utf-8"))
        assert stored["rows"] == [row.to_json() for row in result.rows]
        assert (out / "results.csv").is_file()
        assert (out / "results.tex").is_file()

    def _written(self, path: Path, **more: object) -> Path:
        content = {"kind": self.kind, "title": "A task of the contract", **self.content, **more}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    def _evaluated(self, corpus: Path, task_file: Path) -> Evaluation:
        return evaluate_model(self.model(), "contract", Corpus(corpus), [str(task_file)], self.options)
