"""What is not installed is named with the extra that brings it, and what users write is not taken for markup."""

import importlib
import subprocess
import sys

import pytest

from voxtile.cli import doctor
from voxtile.cli import main as cli
from voxtile.console import output
from voxtile.domain import Command
from voxtile.errors import MissingExtraError
from voxtile.extras import missing_extra, requirements
from voxtile.stages.ground.command import Found, _report

BLOCKED = """
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
from voxtile.cli.main import main
sys.exit(main({argv!r}))
"""


@pytest.mark.parametrize(
    ("package", "argv", "extra"),
    [
        ("shapely", ["convert", "wsi", "slides", "corpus"], "pathology"),
        ("shapely", ["convert", "geotiff", "scenes", "corpus"], "remote-sensing"),
        ("nibabel", ["convert", "nifti", "scans", "corpus"], "medical"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_its_extra(package, argv, extra, tmp_path):
    code = BLOCKED.format(package=package, argv=argv)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"voxtile: error: '{package}' is not installed; install it with: pip install 'voxtile[{extra}]'\n"
    )


def test_packages_are_known_by_the_name_that_they_are_imported_by():
    for module, extra in (("openslide", "pathology"), ("gdcm", "medical"), ("osmium.io", "remote-sensing")):
        error = ModuleNotFoundError(f"No module named '{module}'", name=module)
        assert str(missing_extra(error)).endswith(f"pip install 'voxtile[{extra}]'")
    assert missing_extra(ModuleNotFoundError("No module named 'torch'", name="torch")) is None
    assert ("pathology", "shapely") in set(requirements())


def test_an_import_within_a_command_is_told_likewise(monkeypatch, capsys):
    def needs_onnx():
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.setattr(cli, "_dispatch", lambda argv: needs_onnx())
    assert cli.main(["doctor"]) == 2
    assert "pip install 'voxtile[onnx]'" in capsys.readouterr().err


def test_a_plugin_of_others_keeps_its_own_words(monkeypatch):
    error = ModuleNotFoundError("No module named 'their_lib'", name="their_lib")
    monkeypatch.setattr(importlib, "import_module", lambda _: (_ for _ in ()).throw(error))
    with pytest.raises(Exception, match="'theirs:run' cannot be loaded: No module named 'their_lib'") as raised:
        Command("theirs:run", "").load()
    assert not isinstance(raised.value, MissingExtraError)


def test_the_doctor_prints_brackets(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")  # else the width of who starts the suite
    version = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: ("look", "") if name == "shapely" else version(name))
    doctor.doctor()
    said = capsys.readouterr().out
    for extra in ("pathology", "remote-sensing"):
        assert f"lacks shapely; pip install 'voxtile[{extra}]'" in said


def test_phrases_keep_their_brackets(capsys):
    import numpy as np

    class Sample:
        meta = {"uid": "0" * 32}  # noqa: RUF012

    phrase = "lesion [red]bright[/red] on [T2]"
    _report([Found(Sample(), phrase, 0.9, np.zeros((2, 2), bool))], [], output())
    assert phrase in capsys.readouterr().out


def test_tables_keep_the_names_of_their_rows_in_a_pipe(monkeypatch, capsys):
    from rich.table import Table

    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table("name", *(f"figure {number}" for number in range(12)))
    table.add_row("a long name of a class that nobody wants to lose", *["0.912 (.876–.941)"] * 12)
    output().print(table)
    said = capsys.readouterr().out
    assert "a long name of a class that nobody wants to lose" in said
    assert said.count("0.912 (.876–.941)") == 12
    monkeypatch.setenv("COLUMNS", "80")
    assert output().width == 80
