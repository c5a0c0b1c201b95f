"""The command line: quick, teaching, and one sentence for whatever is wrong."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from voxtile.cli import main as cli
from voxtile.cli.options import build_parser, call
from voxtile.cli.table import COMMANDS, Entry, Group
from voxtile.domain import Command
from voxtile.engine.run import RunOptions
from voxtile.errors import InputError

HALF_A_SECOND = 0.5  # seconds, of processor time: the wall depends on what else the machine does


def run(*argv, **environment):
    command = [sys.executable, "-m", "voxtile.cli.main", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.mark.parametrize("argv", [["--help"], ["domains"], ["convert", "--help"]])
def test_what_people_type_first_answers_at_once(argv):
    best = min(_processor_seconds(argv) for _ in range(3))
    assert best < HALF_A_SECOND


def _processor_seconds(argv):
    before = os.times()
    assert run(*argv).returncode == 0
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.parametrize("argv", [["--help"], ["domains"]])
def test_help_imports_nothing_heavy(argv):
    code = f"""
import sys
from voxtile.cli.main import main
assert main({argv!r}) == 0
heavy = {{"torch", "lightning", "pandas", "numpy", "pyarrow", "rich", "jsonargparse"}} & set(sys.modules)
assert not heavy, heavy
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "module", ["voxtile.cli.main", "voxtile.cli.options", "voxtile.engine.run", "voxtile.cli.doctor"]
)
def test_commands_are_light(module):
    code = f"""
import sys, {module}
heavy = {{"torch", "lightning", "pandas"}} & set(sys.modules)
assert not heavy, heavy
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_names_every_command_with_an_example(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        example = entry.example if isinstance(entry, Group) else entry.command.example
        assert example.startswith(f"voxtile {name}")
        assert f"\n  {entry.usage}" in text
        assert f"\n      {example}" in text
    assert max(map(len, text.splitlines())) <= 110


def test_no_words_at_all_shows_the_help(capsys):
    assert cli.main([]) == 0
    assert "Usage: voxtile" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["convret"], ["no command 'convret'", "did you mean 'convert'"]),
        (["zzz"], ["no command 'zzz'", "voxtile --help"]),
        (["convert"], ["needs the name of a converter", "dicom", "image", "voxtile convert dicom"]),
        (["convert", "dicmo", "a", "b"], ["no converter 'dicmo'", "did you mean 'dicom'"]),
        (["facts", "corpus"], ["needs the name of a source of facts", "labels", "--from"]),
        (["facts", "corpus", "--from", "lables"], ["no source of facts 'lables'", "did you mean 'labels'"]),
        (["config"], ["'voxtile config' needs NAME", "voxtile config medical/ct"]),
        (["config", "medical/zt"], ["no config named 'medical/zt'"]),
        (["verify"], ["'voxtile verify' needs CORPUS", "voxtile verify corpus"]),
        (["verify", "a", "b"], ["takes no further argument 'b'"]),
    ],
)
def test_a_wrong_word_is_one_sentence_with_the_nearest_name(argv, words, capsys):
    assert cli.main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("voxtile: error: ")
    assert captured.err.count("\n") == 1
    for word in words:
        assert word in captured.err


def test_a_corpus_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert cli.main(["verify", str(tmp_path / "nowhere")]) == 2
    message = capsys.readouterr().err
    assert "nowhere" in message
    assert message.count("\n") == 1


@dataclass
class Seen:
    source: Path | None = None
    options: RunOptions | None = None
    values: tuple[Any, ...] = ()


SEEN = Seen()


def sample_command(
    source: Path,
    corpus: Path,
    *tasks: str,
    reports: Path | None = None,
    deidentify: bool = True,
    kind: Literal["soft", "hard"] = "soft",
    **run: Any,
) -> None:
    """Do the thing.

    At length.

    Args:
        source: folder with files.
        corpus: where to.
        *tasks: names of tasks.
        reports: table of reports.
        deidentify: hide who it is.
        kind: how hard.
        **run: how to run.
    """
    SEEN.source, SEEN.options, SEEN.values = source, RunOptions(**run), (corpus, tasks, reports, deidentify, kind)


@pytest.fixture
def command(monkeypatch):
    monkeypatch.setattr(Command, "load", lambda _: sample_command)

    def run_it(*argv):
        example = Command("tests:sample_command", "a sample", "voxtile sample in out")
        return cli._guarded(lambda words: call(example, "voxtile sample", words), list(argv))

    return run_it


def test_options_reach_the_function(command):
    assert command("in", "out", "a", "b", "--reports", "r.csv", "--on-error", "stop", "--time_limit_s=5") == 0
    assert SEEN.source == Path("in")
    assert SEEN.values == (Path("out"), ("a", "b"), Path("r.csv"), True, "soft")
    assert SEEN.options == RunOptions(on_error="stop", time_limit_s=5.0)


@pytest.mark.parametrize(
    ("words", "dry_run", "deidentify"),
    [
        (["--dry-run"], True, True),
        (["--dry-run", "--no-deidentify"], True, False),
        (["--dry_run", "false"], False, True),
        (["--no-dry-run", "--deidentify=no"], False, False),
    ],
)
def test_flags_need_no_value(command, words, dry_run, deidentify):
    assert command(*words, "in", "out") == 0
    assert SEEN.options.dry_run is dry_run
    assert SEEN.values[3] is deidentify


def test_options_come_from_yaml_and_from_the_environment_and_the_command_line_wins(command, tmp_path, monkeypatch):
    (tmp_path / "c.yaml").write_text("workers: 3\nkind: hard\nreports: r.csv\n")
    monkeypatch.setenv("VOXTILE_MEMORY_LIMIT_GB", "7")
    assert command("in", "out", "--config", str(tmp_path / "c.yaml"), "--workers", "5") == 0
    assert SEEN.options == RunOptions(workers=5, memory_limit_gb=7.0)
    assert SEEN.values[2:] == (Path("r.csv"), True, "hard")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["in"], "needs CORPUS; for example: voxtile sample in out"),
        (["in", "out", "--reprots", "x"], "no option '--reprots'; did you mean '--reports'?"),
        (["in", "out", "--report", "x"], "no option '--report'; did you mean '--reports'?"),
        (["in", "out", "--kind", "hrad"], "'kind' must be one of soft, hard, not 'hrad'; did you mean 'hard'?"),
        (["in", "out", "--workers", "many"], "'workers' must be a whole number, not 'many'"),
        (["in", "out", "--memory-limit-gb", "0"], "'memory_limit_gb' must be greater than 0"),
        (["in", "out", "--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_wrong_option_is_one_sentence(command, words, expected, capsys):
    assert command(*words) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert message.count("\n") == 1


def test_an_unknown_key_of_a_config_is_named_with_the_nearest(command, tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("on_eror: stop\n")
    assert command("in", "out", "--config", str(tmp_path / "c.yaml")) == 2
    assert "unknown key 'on_eror'; did you mean 'on_error'?" in capsys.readouterr().err


def test_help_of_a_command_teaches(command, capsys):
    assert command("--help") == 0
    text = capsys.readouterr().out
    for line in (
        "Do the thing.",
        "Usage: voxtile sample SOURCE CORPUS TASKS… [OPTIONS]",
        "  SOURCE                      folder with files.",
        "  --reports PATH              table of reports.",
        "  --[no-]deidentify           hide who it is. (default: yes)",
        "  --kind soft|hard            how hard. (default: soft)",
        "How to run:",
        "  --workers N                 number of worker processes; 0 means one a processor. (default: 0)",
        "  voxtile sample in out",
    ):
        assert line in text


def test_print_config_prints_yaml_that_the_command_takes(command, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        command("in", "out", "--kind", "hard", "--print_config")
    assert end.value.code == 0
    (tmp_path / "c.yaml").write_text(capsys.readouterr().out)
    assert command("in", "out", "--config", str(tmp_path / "c.yaml")) == 0
    assert SEEN.values[4] == "hard"


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (InputError("'x' is empty; choose another"), 2, "voxtile: error: 'x' is empty; choose another"),
        (ValueError("a defect\nof ours"), 1, "unexpected ValueError: a defect of ours; run with --debug"),
        (PermissionError(13, "Permission denied", "/x"), 2, "'/x': Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_every_error_is_one_sentence_with_its_status(error, status, words, capsys):
    def fail(_words):
        raise error

    assert cli._guarded(fail, []) == status
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1
    assert "Traceback" not in message
    if status != 130:
        assert cli._guarded(fail, ["--debug"]) == status
        assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "voxtile.cli.main", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    time.sleep(0.01)
    assert process.stderr.read() == b""
    assert process.wait() == 0


def test_domains_lists_what_each_one_offers(capsys):
    assert cli.main(["domains"]) == 0
    text = capsys.readouterr().out
    assert "medical: " in text
    assert "dicom, nifti" in text
    assert "general: " in text


def _table():
    for name, entry in COMMANDS.items():
        if isinstance(entry, Entry):
            yield name, entry.command
        else:
            yield from ((f"{name} {member}", command) for member, command in entry.members().items())


@pytest.mark.parametrize(("name", "command"), [pytest.param(*pair, id=pair[0]) for pair in _table()])
def test_every_command_of_the_table_can_be_called(name, command):
    function = command.load()
    assert function.__doc__
    if not getattr(COMMANDS[name.split()[0]], "takes_argv", False):
        assert build_parser(function, name)


def test_doctor_names_what_matters(capsys):
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    for word in (
        "python",
        "blosc2",
        "extra medical",
        "DICOM codecs",
        "processors",
        "memory",
        "GPU",
        "lightning script",
    ):
        assert word in text


def test_what_the_class_of_a_setting_refuses_is_said_without_the_parsers_wrapping(capsys):
    tiny = str(Path(__file__).parents[1] / "integration" / "tiny.yaml")
    assert cli.lightning_main(["fit", "-c", tiny, "--data.captions.per_item", "-2"]) == 2
    assert capsys.readouterr().err.endswith("voxtile: error: captions.per_item: -2 is negative; use 0 for all\n")
