"""Environment variables of voxtile: one list, which the docs and the code agree with, and a note of those misspelt."""

import ast
import os
import re
from pathlib import Path

import pytest

from voxtile.cli import main as cli
from voxtile.cli.environment import OWN, VARIABLES
from voxtile.domain import discover

ROOT = Path(__file__).parents[2]
OF_OPTIONS = {"VOXTILE_PROVIDER"}
NO_VARIABLES = {"VOXTILE_PHANTOM"}  # the name of an implementation in DICOM headers


@pytest.fixture
def noted(monkeypatch, capsys):
    """What a command notes of variables that are set; of the tests' own environment none are."""
    for name in [name for name in os.environ if name.startswith("VOXTILE_")]:
        monkeypatch.delenv(name)

    def run(**variables):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            assert cli.main(["--version"]) == 0
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("VOXTILE_CAHCE", "VOXTILE_CACHE"),
        ("VOXTILE_WORKES", "VOXTILE_WORKERS"),
        ("VOXTILE_REMOTE_CACHE_GIB", "VOXTILE_REMOTE_CACHE_GB"),
        ("VOXTILE_DICOMWEB_TOKENS", "VOXTILE_DICOMWEB_TOKEN"),
        ("VOXTILE_FIT__DATA__BATCH_SISE", "VOXTILE_FIT__DATA__BATCH_SIZE"),
    ],
)
def test_a_variable_that_nothing_reads_is_noted_once_with_the_nearest(noted, misspelt, nearest):
    said = noted(**{misspelt: "1", nearest: "1", "VOXTILE_TEST_DATA": "/nowhere"})
    assert said == f"note: nothing reads the environment variable {misspelt}; did you mean '{nearest}'?\n"
    assert noted(**{misspelt: "1", "VOXTILE_QUIET": "1"}) == ""
    assert noted(**{misspelt: "1", "LOCAL_RANK": "1"}) == ""  # the first process of a run has said it


@pytest.mark.parametrize(
    "name",
    [
        *VARIABLES,
        *sorted(OWN),
        "VOXTILE_DICOMWEB_LOGIN",
        "VOXTILE_MEMORY_LIMIT_GB",
        "VOXTILE_PROVIDER",
        "VOXTILE_FIT__CONFIG",
        "VOXTILE_TEST__EVALUATE__TASKS",
        "VOXTILE_FIT__MODEL__ENCODER__INIT_ARGS__WIDTH",
        "VOXTILE_VALIDATE__TRAINER__ACCELERATOR",
        "_VOXTILE",
    ],
)
def test_variables_that_are_read_are_not_noted(noted, monkeypatch, name):
    assert noted(**{name: "" if name == "VOXTILE_LOG_LEVEL" else "0"}) == ""


def _read_by_the_code():
    """Names of variables that stand in the code as texts of their own."""
    for folder in ("core", "datasets", "domains"):
        for path in (ROOT / folder).rglob("*.py"):
            if "VOXTILE_" in (text := path.read_text()) and path.name != "environment.py":
                for node in ast.walk(ast.parse(text)):
                    if isinstance(node, ast.Constant) and re.fullmatch(r"VOXTILE_[A-Z_]*[A-Z]", str(node.value)):
                        yield node.value


def test_the_list_is_what_the_code_reads_and_what_the_docs_say():
    of_domains = {name for domain in discover()[0].values() for name in domain.variables}
    listed = {*VARIABLES, *of_domains}
    read = set(_read_by_the_code()) - NO_VARIABLES - OF_OPTIONS
    assert read - OWN - listed == set()
    assert listed - read == {"VOXTILE_TEST_DATA"}  # which the tests read
    page = (ROOT / "docs" / "command-line.md").read_text()
    said = dict(re.findall(r"^\| `(VOXTILE_\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert {name: said.get(name) for name in VARIABLES} == dict(VARIABLES)
    assert of_domains <= set(re.findall(r"VOXTILE_\w+", page))
    everywhere = {
        name for path in (ROOT / "docs").glob("*.md") for name in re.findall(r"VOXTILE_[A-Z_]+", path.read_text())
    }
    examples = {name for name in everywhere if "__" in name} | {
        "VOXTILE_OPTION",
        "VOXTILE_BATCH_SIZE",
        "VOXTILE_WORKERS",
    }
    assert everywhere - examples - listed == set()
