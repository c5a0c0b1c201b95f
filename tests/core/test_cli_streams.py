"""Commands whose standard streams are closed, full, narrow, or of another encoding."""

import errno
import os
import subprocess
import sys

import pytest
from PIL import Image

from voxtile.cli import main as cli
from voxtile.console import output
from voxtile.corpus.header import new_corpus

VOXTILE = f"{sys.executable} -P -m voxtile.cli.main"


def shell(line, folder, **variables):
    """Status of a line in which `voxtile` stands for the command, and what it says."""
    done = subprocess.run(
        ["bash", "-c", line.replace("voxtile", VOXTILE)],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_workers_start_where_standard_streams_are_closed(tmp_path, closed):
    new_corpus(tmp_path / "corpus")
    status, said = shell(f"voxtile verify corpus {closed}", tmp_path)
    assert status == 0, said


def test_an_answer_that_nobody_reads_is_no_defect(tmp_path):
    assert shell("voxtile --version >&-", tmp_path) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_standard_error_leaves_the_status(tmp_path):
    assert shell("voxtile verify nowhere 2>/dev/full", tmp_path) == (2, "")
    status, said = shell("voxtile --help >/dev/full", tmp_path)
    assert status == 2
    assert said.startswith(f"voxtile: error: standard output cannot be written to ({os.strerror(errno.ENOSPC)})")
    assert said.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("at_once", ["", "1"])
def test_a_full_disk_behind_the_answer_is_not_the_corpuss_fault(tmp_path, at_once):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / "one.png")
    status, said = shell("voxtile convert image pictures corpus >/dev/full", tmp_path, PYTHONUNBUFFERED=at_once)
    assert status == 2
    error = said.splitlines()[-1]
    assert error.startswith("voxtile: error: standard output cannot be written to")
    assert "corpus" not in error
    status, said = shell("voxtile verify corpus", tmp_path)
    assert status == 0, said


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_letters_that_a_terminal_has_not_are_escapes(tmp_path, variables):
    status, said = shell("voxtile --help", tmp_path, **variables)
    assert status == 0, said
    assert "Usage: voxtile COMMAND \\u2026" in said


def test_names_that_are_not_read_as_utf8_are_refused_in_a_sentence(tmp_path):
    ascii_names = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    status, said = shell("voxtile verify Körpus", tmp_path, **ascii_names)
    assert status == 2
    assert said == "voxtile: error: file names are read as ascii here; set PYTHONUTF8=1, or a locale such as C.UTF-8\n"
    assert "is not a corpus" in shell("voxtile verify Körpus", tmp_path, **ascii_names | {"PYTHONUTF8": "1"})[1]


def test_a_narrow_terminal_leaves_out_no_column(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert output().width == 80
    monkeypatch.setenv("COLUMNS", "123")
    assert output().width == 123


def test_streams_that_are_there_stay(monkeypatch):
    before = sys.stdin, sys.stderr
    assert cli.main(["--version"]) == 0
    assert (sys.stdin, sys.stderr) == before


@pytest.mark.parametrize("colours", ["", "1"])
def test_codes_for_terminals_in_names_are_shown_and_not_sent(tmp_path, colours):
    name = "a\x1b]0;title\x07\x9b2J\u202e\x1bc"
    new_corpus(tmp_path / name)
    for line in (f"voxtile verify '{name}'", f"voxtile inspect '{name}' none", f"voxtile verify '{name}x'"):
        _, said = shell(line, tmp_path, FORCE_COLOR=colours)
        assert "\\u001b]0;title" in said.replace("\n", "")
        assert not {"\x07", "\x9b", "\u202e"} & set(said), line
        assert "\x1b]" not in said
        assert "\x1bc" not in said
