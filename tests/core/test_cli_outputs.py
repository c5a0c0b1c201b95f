"""Outputs are looked at before the work, and errors name options as they are typed."""

import os
import re
import shutil
from pathlib import Path

import pytest

from voxtile.cli import main as cli
from voxtile.cli.entries import Group
from voxtile.cli.outputs import settle_outputs
from voxtile.cli.signature import Parameter, Signature, options_as_typed, signature_of
from voxtile.cli.table import COMMANDS
from voxtile.errors import ConfigError
from voxtile.folders import OutputFile

CORPUS = "corpus"


@pytest.fixture(autouse=True)
def _in_a_folder_with_a_corpus(tmp_path, monkeypatch):
    """A copy, since a command that refuses nothing would write to it."""
    shutil.copytree(Path(__file__).parents[1] / "compatibility" / "medical" / "corpus", tmp_path / "here" / CORPUS)
    monkeypatch.chdir(tmp_path / "here")


def test_a_folder_in_place_of_a_page_is_refused_before_anything_is_printed(tmp_path, capsys):
    assert cli.main(["inspect", CORPUS, "--html", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"voxtile: error: --html: '{tmp_path}' cannot be written, it is a folder; name a file\n"


@pytest.mark.parametrize(
    "words",
    [
        ["curate", CORPUS, "--view", "v", "--explain"],
        ["draft", CORPUS, "last.ckpt", "--out"],
        ["caption", "bank", CORPUS, "--out"],
        ["caption", "sign", "medical", "--by", "A", "--out"],
        ["convert", "dicom", CORPUS, "new", "--subject-table"],
        ["convert", "nifti", CORPUS, "new", "--subject-table"],
        ["convert", "wsi", CORPUS, "new", "--subject-table"],
        ["facts", CORPUS, "--from", "reports", "--listing"],
        ["export-geoparquet", CORPUS],
        ["subjects", "make", CORPUS, "--identifiers", "people.csv"],
    ],
)
def test_files_to_write_are_known_as_such(words, tmp_path, capsys):
    assert cli.main([*words, str(tmp_path)]) == 2
    assert f"'{tmp_path}' cannot be written, it is a folder; name a file" in capsys.readouterr().err
    assert os.listdir() == [CORPUS]


def _settled(output, hint=Path, name="out"):
    values = {name: output}
    settle_outputs(Signature((), (Parameter(name, "option", hint, None, ""),)), values, "voxtile sample")
    return values[name]


def test_an_output_lies_in_a_folder_that_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTILE_OUTPUT_ROOT", str(tmp_path))
    assert _settled(Path("new/deep")) == tmp_path / "new" / "deep"
    assert _settled(Path("a.csv"), OutputFile | None, "listing") == Path("a.csv")
    assert _settled(tmp_path) == tmp_path  # a folder for what is several files
    (tmp_path / "file").write_text("")
    assert _settled(tmp_path / "file", OutputFile) == tmp_path / "file"
    with pytest.raises(ConfigError, match=r"^--out: '.*/file/x/y' cannot be written, since '.*/file' is no folder; "):
        _settled(tmp_path / "file" / "x" / "y")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # as for others than root
    with pytest.raises(ConfigError, match=rf"since you may not write in '{tmp_path}'; choose another place"):
        _settled(tmp_path / "new")
    assert _settled(tmp_path / "file") == tmp_path / "file"


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("'on_error' must be skip or stop, not 'x'", "--on-error must be skip or stop, not 'x'"),
        ("'workers' must be 0 or more", "--workers must be 0 or more"),
        ("workers must be 0 or more", "--workers must be 0 or more"),
        ("give more `on_error`, or on_error", "give more --on-error, or --on-error"),
        2 * ("'on_errors' and 'a/on_error.csv' are read; see --on-error",),
        ("the workers must be many, as 'workers' in the task", "the workers must be many, as 'workers' in the task"),
        ("'source' must be a folder", "'source' must be a folder"),
    ],
)  # fmt: skip
def test_errors_name_options_as_they_are_typed(said, typed):
    parameters = (
        Parameter("source", "argument", Path, None, ""),
        *(Parameter(name, "run", int, 0, "") for name in ("on_error", "workers")),
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(typed)}$"), options_as_typed(Signature((), parameters)):
        raise ConfigError(said)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["compact", "--part-mb", "0"], "--part-mb must be greater than 0"),
        (["verify", "--memory-limit-gb", "0"], "--memory-limit-gb must be greater than 0"),
        (["gc", "--older-than-hours=-1"], "--older-than-hours must be 0 or more"),
        (["facts", "--from", "masks", "--max-parts", "0"], "--max-parts must be 1 or more"),
        (["facts", "--from", "masks", "--near-mm=-1"], "--near-mm must be 0 or more"),
        (["check", "--workers=-1"], "--workers must be 0 (one a processor) or more"),
        (["check", "--time-limit-s", "0"], "--time-limit-s must be greater than 0"),
        (["caption", "model", "--temperature", "9"], "--temperature is 9; give 0 to 2"),  # not once a sample
        (["caption", "model", "--max-reply-tokens", "0"], "--max-reply-tokens is 0; a reply needs at least 1"),
    ],
)
def test_commands_name_their_options(words, expected, capsys):
    at = 2 if words[0] == "caption" else 1
    assert cli.main([*words[:at], CORPUS, *words[at:]]) == 2
    assert f"error: {expected}" in capsys.readouterr().err


def test_where_a_wrong_value_came_from_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "c.yaml").write_text("memory_limit_gb: [1]\n")
    assert cli.main(["verify", CORPUS, "--config", str(tmp_path / "c.yaml")]) == 2
    assert "error: 'memory_limit_gb' must be a number" in capsys.readouterr().err
    monkeypatch.setenv("VOXTILE_MEMORY_LIMIT_GB", "many")
    assert cli.main(["verify", CORPUS]) == 2
    assert "error: VOXTILE_MEMORY_LIMIT_GB must be a number, not 'many'" in capsys.readouterr().err


def _commands():
    for word, entry in COMMANDS.items():
        if isinstance(entry, Group):
            yield from ((f"{word} {name}", command) for name, command in entry.members().items())
        elif not entry.takes_argv:
            yield word, entry.command


def test_no_help_text_calls_a_file_to_write_what_the_type_does_not():
    """A parameter that is described as a file to write has the type of one, so that it is looked at first."""
    lacking = [
        f"{words} {one.name}"
        for words, command in _commands()
        for one in signature_of(command).parameters
        if re.search(r"\bfile (\(\w+\) )?(to write|for the)|\bto this file", one.help) and not one.is_output_file
    ]
    assert lacking == ["extract out"]  # a folder for DICOM, a file for the others
