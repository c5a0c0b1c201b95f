"""A kind of task from outside the repository: read, run and shown by `voxtile evaluate`; what is said of bad ones."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
import yaml

from voxtile.evaluation.inputs.robustness import _CHANGES
from voxtile.evaluation.kinds.zero_shot.published import _RULES
from voxtile.evaluation.tasks.choices import CHANGES, PROTOCOLS
from voxtile.evaluation.tasks.kind import ENTRY_POINT_GROUP, kind_names, task_kind

PACKAGE = {
    "sameness/__init__.py": '"""A kind of task of its own."""\n',
    "sameness/kind.py": '''
        """Whether the image nearest to an image is of the same subject: what embeddings give away of people."""

        from __future__ import annotations

        from dataclasses import dataclass
        from typing import TYPE_CHECKING

        from voxtile.evaluation import Task, TaskKind

        if TYPE_CHECKING:
            from sameness.run import SamenessResult


        @dataclass(frozen=True, kw_only=True)
        class SamenessTask(Task):
            """The task.

            Attributes:
                first: how many of the nearest count.
            """

            first: int = 1


        class Sameness(TaskKind[SamenessTask, "SamenessResult"]):
            """The kind."""

            keys = ("first",)
            templates = "sameness"

            def parse(self, place, content, shared, load):
                """The task of a file."""
                first = content.get("first", 1)
                if type(first) is not int or first < 1:
                    raise place.at("first").error("expected a whole number above 0")
                return SamenessTask(**shared, first=first)

            def run(self, model, corpus, task, options):
                """Its figures."""
                from sameness.run import run_sameness

                return run_sameness(model, corpus, task, options)

            def section(self, evaluation, result):
                """What the page shows."""
                from sameness.run import section

                return section(result)


        KIND = Sameness()
        ''',
    "sameness/run.py": '''
        """Running the task."""

        from __future__ import annotations

        from dataclasses import dataclass

        import numpy as np

        from sameness.kind import SamenessTask
        from voxtile.evaluation import (
            Line, LinesSection, Result, Row, Source, SubjectBootstrap, embed_units, logit_interval, permutations,
            require_units, select_units,
        )


        @dataclass(frozen=True, kw_only=True)
        class SamenessResult(Result):
            """Everything that is known."""

            task: SamenessTask
            model: str

            def details(self):
                """For the provenance."""
                return {"first": self.task.first}

            def headlines(self, model):
                """For the logger."""
                return {row.metric: row for row in self.rows if (row.model, row.kind) == (model, "model")}


        def run_sameness(model, corpus, task, options):
            """Run one task."""
            split = options.split or task.split
            splits = select_units(corpus, task)
            require_units(splits, split, task)
            seen = embed_units(model, corpus, task, splits[split], batch_size=options.batch_size)
            subjects = seen.units.subjects
            draws = SubjectBootstrap(subjects, replicates=options.replicates, seed=options.seed)

            def row(name, kind, vectors):
                alike = vectors @ vectors.T
                np.fill_diagonal(alike, -np.inf)
                nearest = np.argsort(-alike, axis=1)[:, : task.first]
                hits = (subjects[nearest] == subjects[:, None]).any(axis=1).astype(np.float64)
                drawn = np.concatenate([(w.T @ hits) / w.sum(axis=0) for w in draws.weights()])
                count = len(np.unique(subjects))
                low_high = logit_interval(float(hits.mean()), drawn, effective=count)
                value, low, high = float(hits.mean()), low_high.low, low_high.high
                figure = value, low, high, len(hits), int(hits.sum())
                return Row(task.name, name, kind, "same_subject", "micro", None, *figure)

            (order,) = permutations(subjects, seed=options.seed, count=1)
            rows = (
                row(model.name, "model", seen.embeddings),
                row("thumbnails", "trivial", seen.thumbnails),
                row(model.name, "shuffled", seen.embeddings[order]),
            )
            return SamenessResult(
                task=task, split=split, rows=rows, units=seen.units, sizes={split: seen.units.size}, images=seen.images,
                model=model.name,
            )




        def section(result):
            """What the page shows."""
            about = {"model": "embeddings", "trivial": "thumbnails", "shuffled": "images of others"}
            rows = {row.kind: row for row in result.rows}
            return LinesSection(
                result=result,
                sources=[Source(kind, result.model, kind, kind.capitalize(), text) for kind, text in about.items()],
                headline_title="Nearest image is of the same subject",
                tables=[("Who is found", [Line("Same subject", rows)])],
                reading="A model that tells subjects apart remembers more than findings.",
                template="sameness.html.j2",
            )
        ''',
    "sameness/templates/sameness.html.j2": """
        {% include "lines.html.j2" %}
        <p class="sameness-own">Of {{ task.result.task.title }}, <b>{{ task.headline | figure }}</b>.</p>
        """,
    "sameness/model.py": '''
        """A model whose embedding is a grid of means."""

        from collections.abc import Sequence
        from dataclasses import dataclass

        import torch
        from torch.nn import functional
        from voxtile.data import VolumePreset


        class Means:
            """[S, C, Z, Y, X] to means of blocks."""

            name = "means"
            logit_scale = 10.0
            fact_names = ()

            def __init__(self):
                self.preset = VolumePreset(shape=(16, 16, 16), windows=((-200.0, 200.0),))

            def encode_images(self, images):
                """[S, 64]."""
                return functional.normalize(functional.adaptive_avg_pool3d(images, 4)[:, 0].flatten(1), dim=1)

            def encode_texts(self, texts):
                """Nothing is said."""
                return torch.ones(len(texts), 64)
        ''',
    "sameness-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: sameness\nVersion: 1.0\n",
    "sameness-1.0.dist-info/entry_points.txt": f"[{ENTRY_POINT_GROUP}]\nsame-subject = sameness.kind:KIND\n",
}
BROKEN = {
    "sky.py": "import nowhere_to_be_found\n",
    "sky-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: sky\nVersion: 1.0\n",
    "sky-1.0.dist-info/entry_points.txt": f"[{ENTRY_POINT_GROUP}]\nsky = sky:KIND\nnumber = json:__name__\n",
}
TWIN = {
    "twin-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: twin\nVersion: 1.0\n",
    "twin-1.0.dist-info/entry_points.txt": f"[{ENTRY_POINT_GROUP}]\nretrieval = sky:KIND\n",
}


CONTRACT = """
    import numpy as np

    from sameness.model import Means
    from voxtile.corpus.records import Sample
    from voxtile.corpus.writer import JobWriter, new_corpus
    from voxtile.testing.kind_contract import TaskKindContract

    class TestSameness(TaskKindContract):
        kind = "same-subject"
        content = {"first": 2}

        def corpus_in(self, folder):
            root, rng = folder / "corpus", np.random.default_rng(0)
            new_corpus(root)
            writer = JobWriter(root, "made")
            for number in range(24):
                own = rng.normal(0, 50, (16, 16, 16))
                for scan in range(2):
                    row = {"uid": f"{number:03d}{scan}", "subject": f"p{number}", "kind": "volume", "modality": "CT"}
                    voxels = (own + rng.normal(0, 120, own.shape)).astype(np.int16)
                    writer.add(Sample({**row, "axes": "ZYX", "units": "HU"}, voxels))
            writer.add_rows("splits", [{"scheme": "default", "subject": f"p{n}", "split": "test"} for n in range(24)])
            writer.publish()
            return root

        def model(self):
            return Means()
    """


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text).lstrip())
    return root


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with packages and their metadata, as pip leaves them."""
    return write(tmp_path_factory.mktemp("site"), PACKAGE | BROKEN)


def python(site, *argv, **variables):
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, *argv]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path, **variables}
    )


def evaluate(site, task, corpus, out, *more):
    model = ["class:sameness.model.Means", str(task), "--corpus", str(corpus), "--out", str(out), "--bootstrap", "100"]
    return python(site, "-m", "voxtile.cli.main", "evaluate", *model, *more)


def written(folder, **content):
    path = folder / "task.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_kind_from_outside_runs_by_the_command_and_is_on_the_page(site, tmp_path, make_corpus):
    make_corpus(tmp_path / "corpus", n=60, series=2)
    task = written(tmp_path, kind="same-subject", title="Who is who", first=2)
    done = evaluate(site, task, tmp_path / "corpus", tmp_path / "out", "--subgroups", "sex", "--compat", "plip")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert [(row["metric"], row["kind"]) for row in rows] == [
        ("same_subject", "model"),
        ("same_subject", "trivial"),
        ("same_subject", "shuffled"),
    ]
    figure = {row["kind"]: row for row in rows}["model"]
    assert figure["low"] < figure["value"] < figure["high"]
    assert figure["n"] == 60, "two scans of each of 30 subjects of the test split"
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'id="task"' in page
    assert "Nearest image is of the same subject" in page
    assert f'<p class="sameness-own">Of Who is who, <b>{figure["value"]:.3f}</b>.</p>' in page
    assert f"{figure['value']:.3f}" in done.stdout, "the table of kinds that print no other"
    assert "no subgroups: only tasks with classes have it" in done.stdout
    assert "no figure by the rules of plip" in done.stdout
    assert (tmp_path / "out" / "results.csv").read_text().count("same_subject") == 3
    assert not (tmp_path / "out" / "scores.parquet").exists(), "it has no classes"


def test_what_is_wrong_with_its_task_is_said_before_a_model_is_opened(site, tmp_path):
    task = written(tmp_path, kind="same-subject", fist=2)
    done = evaluate(site, task, tmp_path / "no-corpus", tmp_path / "out")
    assert done.returncode == 2
    assert "unknown key 'fist'; did you mean 'first'?" in done.stderr
    done = evaluate(site, written(tmp_path, kind="same-subject", first=0), tmp_path / "no-corpus", tmp_path / "out")
    assert "at first: expected a whole number above 0" in done.stderr


PROGRAM = """
import sys
from voxtile.errors import ConfigError
from voxtile.evaluation.tasks.file import load_task
for name in sys.argv[1:]:
    try:
        print(load_task(name).kind)
    except ConfigError as error:
        print(error)
print(sorted({"torch", "timm", "lightning", "open_clip", "numpy", "pyarrow"} & set(sys.modules)))
"""


def test_reading_tasks_of_every_kind_and_wrong_ones_imports_nothing_heavy(site, tmp_path):
    tasks = [
        "medical/ct-findings",
        "medical/pneumoniamnist",
        "pathology/he-grounding",
        "remote_sensing/aerial-referring",
    ]
    own = written(tmp_path, kind="same-subject")
    misspelt = tmp_path / "misspelt.yaml"
    misspelt.write_text("kind: zero-shot-multilable\n")
    done = python(site, "-c", PROGRAM, *tasks, str(own), str(misspelt))
    *kinds, wrong, heavy = done.stdout.splitlines()
    assert kinds == ["zero-shot-multilabel", "zero-shot-singlelabel", "grounding", "referring", "same-subject"]
    assert "at kind: 'zero-shot-multilable' is not a choice; did you mean 'zero-shot-multilabel'?" in wrong
    assert heavy == "[]"


def test_a_kind_that_fails_to_import_is_named_with_its_reason_and_the_others_work(site, tmp_path):
    broken = written(tmp_path, kind="sky")
    number = tmp_path / "number.yaml"
    number.write_text("kind: number\n")
    said, other, work, _ = python(
        site, "-c", PROGRAM, str(broken), str(number), "medical/ct-findings"
    ).stdout.splitlines()
    assert "the task kind 'sky' of the package 'sky' cannot be loaded (ModuleNotFoundError: No module named" in said
    assert "'nowhere_to_be_found'); repair or uninstall that package" in said
    assert "json:__name__ is a str, not a voxtile.evaluation.TaskKind" in other
    assert work == "zero-shot-multilabel"


def test_a_kind_of_two_packages_is_refused_and_the_others_work(tmp_path):
    twin = write(tmp_path / "site", TWIN)
    task = written(tmp_path, kind="retrieval")
    said, work, _ = python(twin, "-c", PROGRAM, str(task), "medical/ct-findings").stdout.splitlines()
    assert "the task kind 'retrieval' is of two packages, 'twin' and 'voxtile'; uninstall the one" in said
    assert work == "zero-shot-multilabel"


SEEING = """
def run(argv):
    import pytest
    sys.path.insert(0, argv[0])
    os.environ |= {"PYTHONPATH": argv[0], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return pytest.main(argv[1:])
"""


def contract(training_nursery, site, folder, *words):
    """Status of the contract's tests, and what they said."""
    write(folder, {"test_sameness.py": CONTRACT})
    said = folder / "said"
    tests = str(folder / "test_sameness.py")
    training_nursery.start(folder, [site, "-q", "-p", "no:cacheprovider", tests, *words], SEEING, said)
    return training_nursery.wait(), said.read_text()


@pytest.mark.sweep(ci=True)
def test_it_passes_the_contract_that_voxtile_ships(training_nursery, site, tmp_path):
    status, said = contract(training_nursery, site, tmp_path)
    assert status == 0, said
    assert "8 passed" in said


LIES = {
    "kind": {
        "from dataclasses import dataclass": (
            "import torch\nfrom dataclasses import dataclass",
            "import it in run, section",
        ),
        'keys = ("first",)': ('keys = ("first", "title")', "keys that every task has: title"),
    },
    "run": {
        'row(model.name, "shuffled", seen.embeddings[order]),': ("", "no control"),
        '{row.metric: row for row in self.rows if (row.model, row.kind) == (model, "model")}': ("{}", "no headline"),
        "replicates, seed=options.seed)": (
            "replicates, seed=np.random.randint(2**31))",
            "other figures the second time",
        ),
    },
    "interval": {"low_high.low, low_high.high": ("0.999, 1.0", "a figure outside its interval")},
}


@pytest.mark.cases(1)
@pytest.mark.parametrize("name", LIES)
def test_the_contract_catches_a_kind_that_lies(training_nursery, tmp_path, name):
    file = f"sameness/{'kind' if name == 'kind' else 'run'}.py"
    text = textwrap.dedent(PACKAGE[file])
    for honest, (lie, _) in LIES[name].items():
        assert text.count(honest) == 1
        text = text.replace(honest, lie)
    promises = {"kind": "heavy or keys", "run": "sound or headlines or same_seed", "interval": "sound"}
    lying = write(tmp_path / "site", {**PACKAGE, file: text})
    _, found = contract(training_nursery, lying, tmp_path, "-k", promises[name])
    assert f"{len(LIES[name])} failed" in found
    for _, said in LIES[name].values():
        assert said in found


def test_voxtile_s_own_kinds_are_entry_points_like_any_other():
    own = [name for name in kind_names() if type(task_kind(name)).__module__.startswith("voxtile.")]
    assert len(own) == 14
    assert len({task_kind(name) for name in own}) == 10, "one object a folder"


COMMAND = """
import sys
from pathlib import Path
from voxtile.errors import ConfigError
from voxtile.evaluation.command import evaluate
for given in ({}, {"robustness": "flop"}, {"compat": "plop"}, {"bands": "B04"}, {"bootstrap": 1}):
    try:
        evaluate("model.ckpt", sys.argv[1], corpus=Path("nowhere"), out=Path(sys.argv[2]), **given)
    except ConfigError as error:
        print(error)
print(sorted({"torch", "timm", "lightning", "numpy", "pyarrow"} & set(sys.modules)))
"""


def test_what_a_help_text_and_a_typing_error_need_imports_neither_torch_nor_timm(tmp_path):
    task = written(tmp_path, kind="retrieval", recal=[1])
    command = [sys.executable, "-c", COMMAND, str(task), str(tmp_path / "out")]
    *said, heavy = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "unknown key 'recal'; did you mean 'recall'?" in said[0]
    assert "there is no robustness check 'flop'; did you mean 'flip'?" in said[1]
    assert "--compat knows no protocol 'plop'; did you mean 'plip'?" in said[2]
    assert "--bands must name three bands" in said[3]
    assert "--bootstrap must be at least 100" in said[4]
    assert heavy == "[]"
    assert not (tmp_path / "out").exists()


def test_words_that_are_checked_early_are_those_that_work():
    assert set(CHANGES) == set(_CHANGES)
    assert set(PROTOCOLS) == set(_RULES)
