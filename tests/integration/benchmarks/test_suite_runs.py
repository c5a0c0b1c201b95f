"""`benchmarks/suite_runs.py`: a test that fails now and then is found, and a broken one is told from it."""

import json
import subprocess

import pytest
from tests.benchmark_script import benchmark_script

script = benchmark_script("suite_runs")

TESTS = """
from pathlib import Path

COUNTER = Path({counter!r})

def test_now_and_then():
    runs = int(COUNTER.read_text()) if COUNTER.exists() else 0
    COUNTER.write_text(str(runs + 1))
    assert runs % 3 != 1

def test_never():
    assert {never}

def test_always():
    pass
"""


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with three tests, of which one fails in the second run of three."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # seconds of each run

    def make(never):
        root = tmp_path / "checkout"
        root.mkdir(exist_ok=True)
        (root / "test_some.py").write_text(TESTS.format(counter=str(tmp_path / "counter"), never=never))
        (root / ".gitignore").write_text("__pycache__\n")
        git(root, "init", "-q")
        git(root, "add", ".")
        git(root, "commit", "-q", "-m", "tests", "--allow-empty")
        return ["--root", str(root), "--out", str(tmp_path / "out"), "--jobs", "0"]

    return make


def test_a_test_that_fails_now_and_then_is_flaky_and_one_that_always_does_is_broken(checkout, capsys):
    with pytest.raises(SystemExit) as ended:
        script.main([*checkout(never=False), "--runs", "3", "--", "."])
    said = capsys.readouterr().out
    assert ended.value.code == 1
    assert "flaky: test_some::test_now_and_then failed in 1 of 3 runs" in said
    assert "broken: test_some::test_never failed in 3 of 3 runs" in said
    assert "test_always" not in said


def test_runs_go_on_from_the_recorded_ones_of_the_same_commit(checkout, tmp_path, capsys):
    arguments = checkout(never=True)
    script.main([*arguments, "--runs", "1", "--", "."])
    with pytest.raises(SystemExit):
        script.main([*arguments, "--runs", "2", "--", "."])
    assert "[1/2]" not in capsys.readouterr().out.partition("no test failed")[2]
    lines = [json.loads(line) for line in (tmp_path / "out" / "runs.jsonl").read_text().splitlines()]
    assert [(line["tests"], line["order"], len(line["failed"])) for line in lines] == [(3, None, 0), (3, 1, 1)]
    script.main([*checkout(never="1"), "--runs", "1", "--", "."])  # another commit begins anew
    assert "1 runs" in capsys.readouterr().out


def test_changed_files_and_a_run_without_tests_are_refused(checkout, tmp_path):
    arguments = checkout(never=True)
    with pytest.raises(SystemExit, match="status 4"):
        script.main([*arguments, "--runs", "1", "--", "nowhere"])
    (tmp_path / "checkout" / "test_some.py").write_text("")
    with pytest.raises(SystemExit, match="commit them first"):
        script.main([*arguments, "--runs", "1", "--", "."])
