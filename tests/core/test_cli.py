"""The command line: quick, teaching, and one sentence for whatever is wrong."""

import importlib
import inspect
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from voxtile.cli import lightning
from voxtile.cli import main as cli
from voxtile.cli.entries import Entry, Group
from voxtile.cli.options import build_command, call
from voxtile.cli.signature import imported_signature, signature_of
from voxtile.cli.source.classes import constructor_of
from voxtile.cli.table import COMMANDS
from voxtile.cli.training_help import SECTIONS, WITHOUT_SECTION, check_words
from voxtile.domain import Command
from voxtile.engine.run import RunOptions
from voxtile.errors import ConfigError, InputError
from voxtile.evaluation.tasks.kind import kind_names

HALF_A_SECOND = 0.5  # seconds, of processor time: the wall depends on what else the machine does


def run(*argv, **environment):
    command = [sys.executable, "-m", "voxtile.cli.main", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.mark.parametrize("argv", [["--help"], ["domains"], ["convert", "--help"]])
def test_what_people_type_first_answers_at_once(argv):
    best = min(_processor_seconds(argv) for _ in range(3))
    assert best < HALF_A_SECOND


def _processor_seconds(argv, status=0):
    before = os.times()
    assert run(*argv).returncode == status
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
    headings = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert len(set(headings)) == len(headings) == len({entry.section for entry in COMMANDS.values()})


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
        (["verify", ""], ["CORPUS must be a path, not ''"]),
        (["import"], ["needs the name of an importer"]),
        (["--hlep"], ["no option '--hlep'; did you mean '--help'?"]),
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


def test_both_commands_say_their_version(capsys):
    assert cli.main(["--version"]) == cli.lightning_main(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_a_wrong_option_of_lightning_is_said_at_once(capsys):
    assert cli.lightning_main(["--hlep"]) == 2
    assert "no option '--hlep'; did you mean '--help'?" in capsys.readouterr().err


def test_a_header_that_cannot_be_opened_is_not_called_damaged(tmp_path, capsys):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert cli.main(["verify", str(tmp_path / "a")]) == 2
    assert "cannot be read (Too many levels of symbolic links); check the path" in capsys.readouterr().err


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
    window: tuple[float, float] | None = None
    also: tuple[str, ...] = ()


SEEN = Seen()


def sample_command(
    source: Path,
    corpus: Path,
    *tasks: str,
    reports: Path | None = None,
    deidentify: bool = True,
    kind: Literal["soft", "hard"] = "soft",
    window: tuple[float, float] | None = None,
    also: tuple[str, ...] = (),
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
        window: lowest and highest value.
        also: further ones; may be repeated.
        **run: how to run.
    """
    SEEN.source, SEEN.options, SEEN.values = source, RunOptions(**run), (corpus, tasks, reports, deidentify, kind)
    SEEN.window, SEEN.also = window, also


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
    "words",
    [
        ["--window=-160,240"],
        ["--window", "-160,240"],
        ["--window", "[-160, 240]"],
        ["--window", "1,2", "--window=-160,240"],
    ],
)
def test_several_numbers_are_separated_by_commas_and_the_last_of_a_repeated_option_counts(command, words):
    assert command("in", *words, "out") == 0
    assert SEEN.window == (-160.0, 240.0)


def test_an_option_of_several_is_repeated(command, tmp_path):
    assert command("in", "--also", "a,b", "out", "--also=c") == 0
    assert SEEN.also == ("a,b", "c")
    (tmp_path / "c.yaml").write_text("also: [d, e]\n")
    assert command("in", "out", "--config", str(tmp_path / "c.yaml")) == 0
    assert SEEN.also == ("d", "e")


def test_words_behind_two_dashes_are_no_options(command):
    assert command("in", "out", "--", "--dry-run", "-x") == 0
    assert SEEN.values[1] == ("--dry-run", "-x")


def test_null_leaves_an_option_out(command, tmp_path):
    (tmp_path / "c.yaml").write_text("reports: null\nwindow: [1, 2]\nsource: there\nworkers: null\n")
    assert command("--config", str(tmp_path / "c.yaml"), "--reports", "null", "in", "out") == 0
    assert SEEN.options == RunOptions()
    assert (SEEN.source, SEEN.values[2], SEEN.window) == (Path("in"), None, (1.0, 2.0))


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
    monkeypatch.setenv("VOXTILE_KIND", "soft")  # the config says otherwise
    monkeypatch.setenv("VOXTILE_TASKS", "a,b")
    assert command("in", "out", "--config", str(tmp_path / "c.yaml"), "--workers", "5") == 0
    assert SEEN.options == RunOptions(workers=5, memory_limit_gb=7.0)
    assert SEEN.values[1:] == (("a", "b"), Path("r.csv"), True, "hard")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["in"], "needs CORPUS; for example: voxtile sample in out"),
        (["in", "out", "--reprots", "x"], "no option '--reprots'; did you mean '--reports'?"),
        (["in", "out", "--report", "x"], "no option '--report'; did you mean '--reports'?"),
        (["in", "out", "--hlep"], "no option '--hlep'; did you mean '--help'?"),
        (["in", "out", "--xelx"], "no option '--xelx'; see '"),  # dashes make no word near
        (["in", "--corpus", "out"], "no option '--corpus'; its value is written in its place, without a name: "),
        (["in", "out", "--log-levl", "info"], "no option '--log-levl'; did you mean '--log-level'?"),
        (["in", "out", "--kind", "hrad"], "--kind must be one of soft, hard, not 'hrad'; did you mean 'hard'?"),
        (["in", "out", "--workers", "many"], "--workers must be a whole number, not 'many'"),
        (["in", "out", "--engine", "mars"], "--engine must be one of local, ray, inline, not 'mars'"),
        (["in", "out", "--workers", "2.5"], "--workers must be a whole number, not '2.5'"),
        (["in", "out", "--window", "1"], "--window must be 2 values separated by commas, not '1'"),
        (["in", "out", "--deidentify=perhaps"], "--deidentify must be true or false, not 'perhaps'"),
        (["in", "out", "--reports"], "--reports needs a value"),
        (["in", "out", "--reports", "--dry-run"], "--reports needs a value"),
        (["--kind", "hard"], "needs SOURCE, CORPUS; for example: voxtile sample in out"),
        (["in", "out", "--memory-limit-gb", "0"], "--memory-limit-gb must be greater than 0"),
        (["in", "out", "--memory-limit-gb", "nan"], "--memory-limit-gb must be a number, not 'nan'"),
        (["in", "out", "--job-mb", "inf"], "--job-mb must be a finite number, not inf"),
        (["in", "out", "--reports", ""], "--reports must be a path, not ''"),
        (["in", "out", "--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_wrong_option_is_one_sentence(command, words, expected, capsys):
    assert command(*words) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("workers: true", "'workers' must be a whole number, not 'True'"),
        ("workers: 2.5", "'workers' must be a whole number, not '2.5'"),
        ("time_limit_s: yes", "'time_limit_s' must be a number, not 'True'"),
        ("reports: [a.csv]", "'reports' must be a path, not '['a.csv']'"),
        ("reports: {a: b}", "'reports' must be a path, not '{'a': 'b'}'"),
    ],
)
def test_a_value_of_a_config_is_of_the_options_type(command, tmp_path, key, expected, capsys):
    (tmp_path / "c.yaml").write_text(f"{key}\n")
    assert command("in", "out", "--config", str(tmp_path / "c.yaml")) == 2
    assert expected in capsys.readouterr().err


def test_there_may_be_no_limit_of_time(command):
    assert command("in", "out", "--time-limit-s", "inf") == 0


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
        "  --workers N                 number of worker processes, with ray in the whole cluster; 0 means",
        "  voxtile sample in out",
    ):
        assert line in text


def test_print_config_prints_yaml_that_the_command_takes(command, tmp_path, capsys):
    assert command("in", "out", "--kind", "hard", "--print_config") == 0
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
    assert "dicom, figures, nifti" in text
    assert "general: " in text
    assert text.endswith(f"\nkinds of tasks: {', '.join(kind_names())}\n")


def _table():
    for name, entry in COMMANDS.items():
        if isinstance(entry, Entry):
            yield name, entry.command
        else:
            yield from ((f"{name} {member}", command) for member, command in entry.members().items())


TABLE = {name: command for name, command in _table() if command.target != "voxtile.cli.lightning:main"}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_read_of_a_command_without_importing_it_is_what_it_takes(name):
    command = TABLE[name]
    read = signature_of(command)
    assert command.load().__doc__
    assert read == imported_signature(command)
    assert build_command(read, name)
    assert all(parameter.help for parameter in read.parameters)


def test_arguments_that_may_be_left_out_are_read_with_their_own_defaults(tmp_path, monkeypatch):
    (tmp_path / "primula.py").write_text(
        "def paint(source: str, width: int = 3, name: str = 'x', *, loud: bool = False) -> None:\n"
        '    """Paint.\n\n    Args:\n        source: a.\n        width: b.\n        name: c.\n        loud: d.\n"""\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    command = Command("primula:paint", "paint")
    read = signature_of(command)
    assert "primula" not in sys.modules
    assert [(p.name, p.role, p.default) for p in read.parameters[1:]] == [
        ("width", "option", 3),
        ("name", "option", "x"),
        ("loud", "option", False),
    ]
    assert read == imported_signature(command)


def test_names_that_are_for_type_checkers_alone_are_read_too(tmp_path, monkeypatch):
    (tmp_path / "viola.py").write_text(
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from pathlib import Path\ndef paint(source: Path) -> None:\n    'Paint.'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (source,) = signature_of(Command("viola:paint", "paint")).parameters
    assert source.hint is Path
    assert "viola" not in sys.modules


SHARED = """from dataclasses import dataclass
from voxtile.engine.options import RunOptions
@dataclass(frozen=True)
class BrushOptions(RunOptions):
    '''How to paint.

    Attributes:
        width: of the brush in mm.
    '''

    width: float = 3.0
"""


def painter(folder, monkeypatch, name, shared):
    """A command whose options are the fields of a class of another module."""
    (folder / f"{name}_shared.py").write_text(shared)
    (folder / f"{name}.py").write_text(
        "from __future__ import annotations\nfrom typing import Annotated, Any\n"
        f"from {name}_shared import BrushOptions\n"
        "def paint(source: str, **options: Annotated[Any, BrushOptions]) -> None:\n"
        '    """Paint.\n\n    Args:\n        source: a.\n        options: b.\n    """\n'
    )
    monkeypatch.syspath_prepend(folder)
    return Command(f"{name}:paint", "paint")


def test_options_that_commands_share_are_the_fields_of_a_class_and_of_those_it_extends(tmp_path, monkeypatch):
    command = painter(tmp_path, monkeypatch, "salvia", SHARED)
    read = signature_of(command)
    assert not {"salvia", "salvia_shared"} & set(sys.modules)
    assert [(p.name, p.role, p.default) for p in read.parameters[1:3]] == [
        ("width", "option", 3.0),
        ("workers", "run", 0),
    ]
    assert read.parameters[1].help == "of the brush in mm."
    assert read == imported_signature(command)


def test_shared_options_that_are_no_fields_are_refused_in_a_sentence(tmp_path, monkeypatch):
    command = painter(tmp_path, monkeypatch, "arnica", "BrushOptions = type('BrushOptions', (), {})\n")
    with pytest.raises(ConfigError, match=r"'arnica:paint' shares with others cannot be read \('BrushOptions'\)"):
        signature_of(command)


def test_words_before_the_option_that_names_a_member_are_its_own(monkeypatch):
    seen = []
    monkeypatch.setattr(cli, "_call", lambda command, name, argv, **_: seen.append((command.example, name, argv)))
    members = {name: Command("m:f", "") for name in ("stain", "clip")}
    group = Group("", "", "", "voxtile score corpus --from stain", "source", lambda: members, selector="--from")
    for words in (["corpus", "--from", "stain", "-x"], ["corpus", "--from=clip", "-x"]):
        cli._call_member("score", group, words)
    assert seen == [
        ("voxtile score corpus --from stain", "voxtile score --from stain", ["corpus", "-x"]),
        ("", "voxtile score --from clip", ["corpus", "-x"]),  # the example of the group is not this one's
    ]


HEAVY = {"torch", "lightning", "timm", "transformers", "numpy", "pandas", "pyarrow", "duckdb", "scipy"}
TYPED = """
import contextlib, io, json, sys
from voxtile.cli.main import main
heavy = set({heavy!r})
for words in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main(words)
    print(json.dumps([words, status, said.getvalue(), sorted(heavy & set(sys.modules))]))
"""


def _words(name):
    """The words that choose a command, and the option that does where there is one."""
    first, *second = name.split()
    selector = COMMANDS[first].selector if isinstance(COMMANDS[first], Group) else None
    return [first, *([selector] if selector else []), *second]


def test_help_and_typing_errors_of_all_commands_import_nothing_heavy():
    mistakes = (["--help"], ["--hlep", "x"], ["--config"])
    lines = [[*_words(name), *mistake] for name in TABLE for mistake in mistakes]
    needy = [name for name in TABLE if any(p.is_required for p in signature_of(TABLE[name]).parameters)]
    lines += [_words(name) for name in needy]
    code = TYPED.format(heavy=sorted(HEAVY))
    done = subprocess.run([sys.executable, "-c", code, json.dumps(lines)], capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines)
    for words, status, said, heavy in answers:
        assert not heavy, (words, heavy)
        if words[-1] == "--help":
            assert (status, said.count("Usage: voxtile")) == (0, 1), words
        elif "--hlep" in words:
            assert (status, "has no option '--hlep'" in said, said.count("\n")) == (2, True, 1), words
        elif words[-1] == "--config":
            assert (status, "--config needs a value" in said) == (2, True), words
        else:
            assert (status, "needs " in said) == (2, True), words


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["evaluate", "--help"], 0),
        (["ground", "--help"], 0),
        (["convert", "dicom", "--help"], 0),
        (["evaluate", "last.ckpt", "medical/ct-findings", "--corpsu", "corpus", "--out", "report"], 2),
        (["evaluate", "last.ckpt", "medical/ct-findings", "--out", "report"], 2),
        (["embed", "corpus", "model", "--batch-size", "many"], 2),
    ],
)
def test_help_and_typing_errors_take_less_than_a_second(argv, status):
    assert min(_processor_seconds(argv, status) for _ in range(3)) < HALF_A_SECOND


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_shown_of_a_class_is_what_its_constructor_takes(section):
    module, _, name = SECTIONS[section][0].partition(":")
    taken = list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
    assert [parameter.name for parameter in constructor_of(SECTIONS[section][0])] == taken


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (["fit", "--help"], 0, ["--data.corpus", "--trainer.max_epochs N", "--model.encoder", "--ckpt_path"]),
        (["--help"], 0, ["fit", "validate", "test", "predict"]),
        (["fti"], 2, ["no 'fti'; did you mean 'fit'"]),
        ([], 2, ["give one of fit, validate, test, predict"]),
        (["fit", "-c", "medical/ct", "--data.corpsu", "x"], 2, ["'data.corpsu'; did you mean 'data.corpus'"]),
        (["fit", "-c", "medical/ct", "--trainer.max_epoch=3"], 2, ["did you mean 'trainer.max_epochs'"]),
        (["fit", "-c", "medical/ct", "--nmae", "x"], 2, ["no option 'nmae'; did you mean 'name'"]),
        (["fit", "-c", "medical/ct", "--dta.corpus", "x"], 2, ["no option 'dta.corpus'; did you mean 'data'"]),
        (["fit", "-c", "medical/tc"], 2, ["no config named 'medical/tc'"]),
    ],
)
def test_help_and_typing_errors_of_training_import_nothing_heavy(argv, status, words):
    code = f"""
import sys, time
from voxtile.cli.main import lightning_main
assert lightning_main({argv!r}) == {status}
assert not set({HEAVY!r}) & set(sys.modules)
assert time.process_time() < {2 * HALF_A_SECOND}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout + done.stderr


def test_options_without_a_section_are_those_of_the_parsers(monkeypatch):
    found = set()

    class Listed(lightning.Parser):
        def parse_args(self, *_, **__):
            (subcommands,) = (one for one in self._actions if hasattr(one, "_name_parser_map"))
            for parser in subcommands._name_parser_map.values():
                options = [option for action in parser._actions for option in action.option_strings]
                found.update(option.removeprefix("--").partition(".")[0] for option in options if option[:2] == "--")
            raise SystemExit

    monkeypatch.setattr(lightning, "Parser", Listed)
    for subcommand in ("fit", "validate", "test", "predict"):
        with pytest.raises(SystemExit):
            lightning.main([subcommand, "-c", "medical/ct"])
    assert found == {*SECTIONS, *WITHOUT_SECTION}


@pytest.mark.parametrize(
    "words",
    [
        ["--model.encoder.init_args.embed_dim", "1"],
        ["-c", "medical/ct", "--trainer.callbacks+=X"],
        ["--data.preset.help", "X"],
        ["--data.help"],
        ["-c", "medical/ct", "--name", "--data"],
    ],
)
def test_options_that_only_their_class_knows_are_left_to_it(words):
    check_words(["fit", *words])


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
