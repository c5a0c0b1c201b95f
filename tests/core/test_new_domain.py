"""`voxtile new-domain`: what it writes installs as a wheel, keeps the contract, and is as clean as this repository."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from voxtile.cli.main import main

REPOSITORY = Path(__file__).parents[2]
PYTEST = ("-m", "pytest", "-q", "--import-mode=importlib")


def refused(capsys, *argv):
    assert main(["new-domain", *map(str, argv)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def run(python, folder, *argv):
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}
    command = [str(python), "-P", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "package"
    assert main(["new-domain", "deep_sea", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def python(package, installed):
    return installed(package)


@pytest.mark.parametrize("name", ["Deep", "deep-sea", "9lives", "", "class", "a__b", "sea_", "a/b", "x" * 25])
def test_a_name_that_can_be_no_domain_is_refused(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert f"'{name}' cannot be the name of a domain" in refused(capsys, name)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_taken_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "'medical' is taken by an installed domain" in refused(capsys, "medical")
    # `datasets` is no domain, but its package would hide one that is installed.
    assert "there is an installed package 'voxtile_datasets' already" in refused(capsys, "datasets")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voxtile-pond").mkdir()
    assert "'voxtile-pond' exists already; name a new folder with --out" in refused(capsys, "pond")
    assert "'mine' exists already" in ((tmp_path / "mine").touch() or refused(capsys, "pond", "--out", "mine"))
    assert not list((tmp_path / "voxtile-pond").iterdir())


def test_the_folder_is_named_after_the_domain_unless_told_otherwise(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new-domain", "deep_pond"]) == 0
    assert "wrote the domain 'deep_pond' to 'voxtile-deep-pond'" in capsys.readouterr().out
    assert (tmp_path / "voxtile-deep-pond" / "voxtile_deep_pond" / "_files" / "deep_pond.yaml").is_file()
    left = [p for p in tmp_path.rglob("*") if "{{" in p.name or (p.is_file() and "{{" in p.read_text())]
    assert not left


@pytest.mark.parametrize("name", ["a", "deep_sea", "abcdefghijklmno_qrstuvwx"])
def test_it_is_formatted_and_passes_ruff_whatever_its_name(tmp_path, name):
    folder = tmp_path / "package"
    assert main(["new-domain", name, "--out", str(folder)]) == 0
    for words in (["check"], ["format", "--check", "--diff"]):
        result = run(sys.executable, folder, "-m", "ruff", *words, "--no-cache", ".")
        assert result.returncode == 0, result.stdout + result.stderr


def test_its_rules_are_those_of_this_repository(package):
    ours, theirs = (tomllib.loads((root / "pyproject.toml").read_text())["tool"] for root in (REPOSITORY, package))
    for key in ("select", "ignore", "pydocstyle"):
        assert theirs["ruff"]["lint"][key] == ours["ruff"]["lint"][key]
    assert theirs["ruff"]["line-length"] == ours["ruff"]["line-length"]
    assert theirs["mypy"]["strict"] is ours["mypy"]["strict"] is True


@pytest.mark.sweep(ci=True)
def test_from_its_wheel_it_passes_its_own_tests_but_for_the_training(package, python, tmp_path):
    shutil.copytree(package / "tests", tmp_path / "tests")  # without the package beside them
    result = run(python, tmp_path, *PYTEST, "tests", "--ignore=tests/test_training.py")
    assert result.returncode == 0, result.stdout
    assert "skipped" not in result.stdout


@pytest.mark.sweep
def test_its_training_learns(package, python, tmp_path):
    shutil.copytree(package / "tests", tmp_path / "tests")
    result = run(python, tmp_path, *PYTEST, "tests/test_training.py")
    assert result.returncode == 0, result.stdout


@pytest.mark.sweep
def test_it_passes_mypy_strict(package):
    result = run(sys.executable, package, "-m", "mypy", "--cache-dir", str(REPOSITORY / ".mypy_cache" / "new-domain"))
    assert result.returncode == 0, result.stdout
