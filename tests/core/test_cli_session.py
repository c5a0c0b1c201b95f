"""What holds for any command: JSON answers, quiet, log level, output root, completion."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from voxtile.cli import main as cli
from voxtile.cli.completion import candidates
from voxtile.cli.session import session_of
from voxtile.cli.table import COMMANDS
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, InputError
from voxtile.folders import under_output_root
from voxtile.training.run_folder import runs_folder

CORPUS = Path(__file__).parents[1] / "compatibility" / "medical" / "corpus"


def one_object(capsys):
    """The answer, which is one line and nothing else."""
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    return json.loads(said.out), said.err


def test_verify_answers_in_json(capsys, tmp_path):
    assert cli.main(["verify", str(CORPUS), "--json"]) == 0
    answer, _ = one_object(capsys)
    assert set(answer) == {"corpus", "ok", "rows", "shards", "bytes", "removed", "problems"}
    assert (answer["ok"], answer["problems"]) == (True, [])
    assert answer["rows"]["samples"] == Corpus(CORPUS).table("samples").num_rows


def test_a_problem_is_in_the_answer_and_in_the_exit_status(capsys, tmp_path):
    import shutil

    shutil.copytree(CORPUS, tmp_path / "c")
    shard = next((tmp_path / "c" / "shards").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:-700] + b"x" * 700)
    assert cli.main(["verify", str(tmp_path / "c"), "--json"]) == 2
    answer, error = one_object(capsys)
    assert not answer["ok"]
    assert set(answer["problems"][0]) == {"where", "what", "advice"}
    assert "problem" in error


def test_inspect_answers_in_json(capsys):
    rows = Corpus(CORPUS).table("samples").to_pylist()
    assert cli.main(["inspect", str(CORPUS), "--json"]) == 0
    answer, _ = one_object(capsys)
    assert answer["corpus"] == str(CORPUS)
    assert answer["samples"] == len(rows)
    assert sum(group["count"] for group in answer["groups"]) == len(rows)
    assert {"splits", "captions", "concepts", "reasons", "licences", "sizes", "checks", "leakage"} <= set(answer)
    assert cli.main(["inspect", str(CORPUS), rows[0]["uid"], "--json"]) == 0
    answer, _ = one_object(capsys)
    assert answer["sample"]["shape"] == rows[0]["shape"]
    assert {"splits", "facts", "scopes", "regions", "scores", "captions"} <= set(answer)


def test_the_doctor_answers_in_json(capsys, monkeypatch):
    monkeypatch.setattr("voxtile.cli.doctor._findings", lambda: iter([("a", "ok", "b"), ("c", "look", "d")]))
    assert cli.main(["doctor", "--json"]) == 0
    answer, _ = one_object(capsys)
    assert answer == {
        "ok": False,
        "findings": [{"what": "a", "verdict": "ok", "detail": "b"}, {"what": "c", "verdict": "look", "detail": "d"}],
    }


def _talk(_words):
    sys.stderr.write("note: of this and that\n")
    sys.stderr.write("convert: 50 %\n")
    sys.stdout.write("the answer\n")
    raise InputError("'x' is empty; choose another")


def test_quiet_leaves_the_answer_and_errors(capsys, monkeypatch):
    assert cli._guarded(_talk, ["--quiet"]) == 2
    said = capsys.readouterr()
    assert said == ("the answer\n", "voxtile: error: 'x' is empty; choose another\n")
    monkeypatch.setenv("VOXTILE_QUIET", "1")
    assert cli._guarded(_talk, []) == 2
    assert "note" not in capsys.readouterr().err
    monkeypatch.setenv("VOXTILE_QUIET", "0")
    assert cli._guarded(_talk, []) == 2
    assert "note: of this and that" in capsys.readouterr().err


def test_log_level_is_that_of_what_libraries_say():
    code = """
import logging, warnings
from voxtile.cli import main as cli
def run(words):
    assert words == ["x"]
    logging.getLogger("library").info("something small")
    logging.getLogger("library").error("something large")
    warnings.warn("something odd")
raise SystemExit(cli._guarded(run, ["x", "--log-level", "{level}"]))
"""
    for level, words in (("info", {"small", "large", "odd"}), ("error", {"large"}), ("WARNING", {"large", "odd"})):
        done = subprocess.run(
            [sys.executable, "-c", code.replace("{level}", level)], capture_output=True, text=True, check=True
        )
        assert done.stdout == ""
        assert {word for word in ("small", "large", "odd") if f"something {word}" in done.stderr} == words
    assert logging.getLogger("library").level == logging.NOTSET


def test_an_empty_variable_is_no_log_level(capsys, monkeypatch):
    monkeypatch.setenv("VOXTILE_LOG_LEVEL", "")
    assert cli.main(["--version"]) == 0


def test_a_log_level_that_there_is_not_is_one_sentence(capsys):
    assert cli.main(["domains", "--log-level=lod"]) == 2
    assert "--log-level must be one of debug, info, warning, error, not 'lod'" in capsys.readouterr().err
    assert cli.main(["domains", "--log-level"]) == 2
    assert "--log-level needs a value" in capsys.readouterr().err


@pytest.mark.parametrize("by_variable", [False, True])
def test_relative_outputs_lie_under_the_output_root(by_variable, capsys, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    words = ["--output-root", "../there"]
    if by_variable:
        monkeypatch.setenv("VOXTILE_OUTPUT_ROOT", str(tmp_path / "there"))
        words = []
    assert cli.main(["inspect", str(CORPUS), "--html", "page.html", "--previews", "1", *words]) == 0
    assert cli.main(["inspect", str(CORPUS), "--html", str(tmp_path / "own.html"), "--previews", "1", *words]) == 0
    assert cli.main(["new-domain", "microscopy", *words]) == 0
    assert cli.main(["new-domain", "sonography", "--out", "sound", *words]) == 0
    assert {path.name for path in (tmp_path / "there").iterdir()} == {"page.html", "voxtile-microscopy", "sound"}
    assert (tmp_path / "own.html").is_file()
    assert not list((tmp_path / "here").iterdir())


def test_runs_lie_under_the_output_root(monkeypatch):
    monkeypatch.delenv("VOXTILE_OUTPUT_ROOT", raising=False)
    assert runs_folder({}) == Path("runs")
    with session_of(["--output-root", "/there"]).active():
        assert runs_folder({}) == Path("/there/runs")
        assert runs_folder({"default_root_dir": "a"}) == Path("/there/a/runs")
        assert runs_folder({"default_root_dir": "/b"}) == Path("/b/runs")
    assert runs_folder({}) == Path("runs")


def test_the_output_root_is_that_of_one_command_from_where_it_was_called(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXTILE_OUTPUT_ROOT", "/outer")
    with session_of(["--output-root", "there"]).active():
        monkeypatch.chdir("/")  # as a worker process may be elsewhere
        assert under_output_root(Path("a.html")) == tmp_path / "there" / "a.html"
    assert under_output_root(Path("a.html")) == Path("/outer/a.html")


def test_words_behind_two_dashes_are_left():
    assert session_of(["a", "--", "--quiet"]).words == ("a", "--", "--quiet")
    with pytest.raises(ConfigError, match="--output-root needs a value"):
        session_of(["a", "--output-root"])


@pytest.mark.parametrize(
    ("words", "begun", "expected"),
    [
        ([], "", set(COMMANDS)),
        (["convert"], "", {"dicom", "nifti", "image"}),
        (["facts", "corpus"], "", {"--from", None}),
        (["facts", "corpus", "--from"], "", {"labels", "reports"}),
        (["facts", "corpus", "--from", "labels"], "--", {"--labels", "--by", "--quiet"}),
        (["facts", "corpus", "--from", "labels", "--by"], "", {"auto", "uid", "study"}),
        (["evaluate", "m"], "--", {"--corpus", "--out", "--help"}),
        (["evaluate", "m", "--out"], "", {None}),
        (["evaluate"], "", {None}),
        (["completion"], "", {"bash", "zsh", "fish"}),
        (["fit"], "--", {"--data.corpus", "--trainer.max_epochs"}),
        (["nothing"], "", set()),
    ],
)
def test_what_a_word_can_be(words, begun, expected):
    found = set(candidates(words, begun))
    assert expected <= found
    assert bool(found) == bool(expected)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    assert "_VOXTILE_COMPLETE" in capsys.readouterr().out


def test_bash_completes_a_word(tmp_path):
    program = tmp_path / "voxtile"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m voxtile.cli.main \"$@\"\n")
    program.chmod(0o755)
    code = f"""
source <('{program}' completion bash)
COMP_WORDS=('{program}' evaluate m --allow); COMP_CWORD=3
_voxtile_completion '{program}'
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "--allow-leakage"
