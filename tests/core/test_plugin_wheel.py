"""A plugin that is installed as a wheel, and not from its folder: its configs and tasks come with it, or it says so."""

import os
import subprocess
import sys

import pytest
import yaml

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "voxtile-{name}"
version = "1.0"
[project.entry-points."voxtile.domains"]
{name} = "voxtile_{name}.domain:domain"
[tool.hatch.build.targets.wheel]
packages = ["voxtile_{name}"]
"""
DOMAIN = """
from voxtile.domain import Domain, files_beside
domain = Domain(name="{name}", title="seen through a microscope", files=files_beside(__file__))
"""
TASK = "kind: zero-shot-multilabel\nclasses: {frog: {wordings: [{present: a frog, absent: no frog}]}}\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Where pip installed the wheels of two plugins: one keeps its files inside its package, one beside it."""
    builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds the wheels").WheelBuilder
    folder = tmp_path_factory.mktemp("plugins")
    for name, files in (("inside", "voxtile_inside/_files"), ("beside", ".")):
        root = folder / name
        texts = {
            "pyproject.toml": PROJECT.format(name=name),
            f"voxtile_{name}/__init__.py": "",
            f"voxtile_{name}/domain.py": DOMAIN.format(name=name),
            f"{files}/pond.yaml": "seed_everything: 7\n",
            f"{files}/tasks/frogs.yaml": TASK,
            f"{files}/sea.yaml": f"base: [{name}/shallow, {name}/pond]\nname: sea\n",
            f"{files}/bases/shallow.yaml": "seed_everything: 3\ntrainer: {max_epochs: 1}\n",
            f"{files}/tasks/toads.yaml": f"voice: {name}/calls\nclasses: [toad]\n",
            f"{files}/voices/calls.yaml": "kind: zero-shot-multilabel\nphrased: [{present: '{}', absent: 'no {}'}]\n",
        }
        for path, text in texts.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        list(builder(str(root)).build(directory=str(folder / "dist"), versions=["standard"]))
    wheels = [str(path) for path in sorted((folder / "dist").glob("*.whl"))]
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder / "site"), *wheels]
    subprocess.run([sys.executable, *install], check=True)
    return folder / "site"


def voxtile(site, *argv):
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "voxtile.cli.main", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=site)


def test_files_inside_the_package_are_found(site):
    said = voxtile(site, "domains").stdout
    assert "inside/pond" in said
    assert "inside/frogs" in said
    assert voxtile(site, "config", "inside/pond").stdout == "seed_everything: 7\n"


def test_files_that_stayed_behind_are_named_and_not_taken_for_none(site):
    said = " ".join(voxtile(site, "domains").stdout.split())
    assert "the plugin 'beside' is installed without its configs and tasks" in said
    assert "'_files' of its package" in said
    assert "beside/pond" not in said
    result = voxtile(site, "config", "beside/pond")
    assert result.returncode == 2
    assert "the plugin 'beside' is installed without its configs and tasks" in result.stderr
    assert result.stderr.count("\n") == 1


def test_its_bases_and_voices_come_with_it(site):
    expanded = yaml.safe_load(voxtile(site, "config", "inside/sea", "--expand").stdout)
    assert expanded == {"seed_everything": 7, "trainer": {"max_epochs": 1}, "name": "sea"}
    code = "from voxtile.evaluation.tasks.file import load_task; print(load_task('inside/toads').classes[0].wordings)"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert "present='toad', absent='no toad'" in done.stdout, done.stderr
