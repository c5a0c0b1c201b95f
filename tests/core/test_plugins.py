"""A third party's domain from a folder outside the repository, and a plugin that does not load."""

import os
import subprocess
import sys
import textwrap

import pytest

from voxtile.corpus.reader import Corpus
from voxtile.stages.verify.corpus import verify

PACKAGE = {
    "tinydomain/__init__.py": '"""A fourth domain."""\n',
    "tinydomain/domain.py": '''
        """The tiny domain."""
        from voxtile.domain import Command, Domain, files_beside

        domain = Domain(
            name="tiny",
            title="grey ramps",
            files=files_beside(__file__),
            converters={"ramp": Command("tinydomain.ramp:convert_ramp", "text files of numbers")},
            phantoms={"ramp": Command("tinydomain.ramp:write_ramps", "text files of numbers, made up")},
            classes=("tinydomain.presets:TinyPreset",),
        )
        ''',
    "tinydomain/ramp.py": '''
        """Text files of numbers become small volumes."""
        from collections.abc import Iterable, Mapping
        from dataclasses import dataclass
        from pathlib import Path
        from typing import Any

        import numpy as np

        from voxtile.corpus.identity import sample_uid
        from voxtile.engine.run import RunOptions, run_task
        from voxtile.engine.task import Item, Outcome, Sample
        from voxtile.errors import InputError


        def write_ramps(out: Path, *, n: int = 3) -> None:
            """Write text files.

            Args:
                out: folder.
                n: how many.
            """
            out.mkdir(parents=True)
            for index in range(n):
                (out / f"{index}.txt").write_text(str(index + 1))


        def convert_ramp(source: Path, corpus: Path, **run: Any) -> None:
            """Convert text files.

            Args:
                source: folder.
                corpus: where to.
                **run: how to run.
            """
            run_task(RampTask(str(source)), corpus, RunOptions(**run)).raise_if_failed()


        @dataclass(frozen=True)
        class RampTask:
            """The task."""

            source: str
            name: str = "ramp"
            version: str = "1"

            def config(self) -> Mapping[str, Any]:
                """Nothing to set."""
                return {}

            def items(self) -> Iterable[Item]:
                """One a file."""
                paths = sorted(Path(self.source).glob("*.txt"))
                if not paths:
                    raise InputError(f"'{self.source}' has no .txt file; name a folder that has some")
                return [Item(path.name, {"path": str(path), "text": path.read_text()}) for path in paths]

            def process(self, item: Item) -> Outcome:
                """A ramp as steep as the number says."""
                text = Path(item.inputs["path"]).read_text()
                voxels = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4) * int(text)
                row = {"uid": sample_uid(text), "subject": item.source, "kind": "volume", "axes": "ZYX"}
                return Outcome("used", samples=(Sample(row, voxels),))
        ''',
    "tinydomain/presets.py": '''
        """Presets; the second is not listed."""
        from dataclasses import dataclass

        from voxtile.data.presets.image import ImagePreset


        @dataclass(frozen=True, kw_only=True)
        class TinyPreset(ImagePreset):
            """Listed."""


        class Hidden(TinyPreset):
            """Not listed."""
        ''',
    "tinydomain/_files/tiny.yaml": "seed_everything: 1\n",
    "tinydomain/_files/tasks/steep.yaml": "kind: zero-shot\n",
    "tinydomain-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tinydomain\nVersion: 1.0\n",
    "tinydomain-1.0.dist-info/entry_points.txt": "[voxtile.domains]\ntiny = tinydomain.domain:domain\n",
    "tinydomain-1.0.dist-info/RECORD": "",
}
BROKEN = {
    "brokendomain/__init__.py": '"""A domain whose import fails."""\nraise RuntimeError("the sky fell")\n',
    "brokendomain-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: brokendomain\nVersion: 1.0\n",
    "brokendomain-1.0.dist-info/entry_points.txt": "[voxtile.domains]\nbroken = brokendomain:domain\n",
}
CONTRACT = '''
    """The tiny domain keeps the contract."""
    from tinydomain.ramp import write_ramps
    from voxtile.testing.contract import DomainContract


    class TestTiny(DomainContract):
        domain_name = "tiny"

        def source_for(self, converter, folder):
            write_ramps(folder / "ramps")
            return folder / "ramps"
    '''


def _write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text).lstrip())


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """An installed tiny domain: a folder with packages and their metadata, as pip leaves them, on the path."""
    root = tmp_path_factory.mktemp("site")
    _write(root, PACKAGE)
    return root


def _python(site, *argv, cwd=None, **variables):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]),
        **variables,
    }
    command = [sys.executable, *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=cwd)


def _pytest(site, folder, *argv):
    """Run the tests of a folder without the plugins of other packages, which take longer to import than the tests."""
    argv = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *argv]
    return _python(site, *argv, cwd=folder, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


def _voxtile(site, *argv):
    return _python(site, "-m", "voxtile.cli.main", *argv)


def test_a_domain_from_outside_is_listed_with_what_it_offers(outside):
    result = _voxtile(outside, "domains")
    assert result.returncode == 0
    assert "tiny: grey ramps" in result.stdout
    assert "tiny/tiny" in result.stdout
    assert "tiny/steep" in result.stdout
    assert "medical: " in result.stdout
    assert _voxtile(outside, "config", "tiny/tiny").stdout == "seed_everything: 1\n"


def test_its_phantom_and_its_converter_run_in_workers(outside, tmp_path):
    ramps, corpus = tmp_path / "ramps", tmp_path / "corpus"
    assert _voxtile(outside, "phantom", "ramp", str(ramps), "--n", "4").returncode == 0
    result = _voxtile(outside, "convert", "ramp", str(ramps), str(corpus), "--workers", "2", "--job-items", "2")
    assert result.returncode == 0, result.stderr
    assert not verify(corpus).problems
    reader = Corpus(corpus)
    rows = {row["subject"]: row for row in reader.table("samples").to_pylist()}
    assert sorted(rows) == ["0.txt", "1.txt", "2.txt", "3.txt"]
    assert reader.source(rows["2.txt"]).array()[1, 2, 3] == 23 * 3


def test_its_bad_input_is_one_sentence(outside, tmp_path):
    result = _voxtile(outside, "convert", "ramp", str(tmp_path), str(tmp_path / "corpus"))
    assert result.returncode == 2
    assert "has no .txt file; name a folder that has some" in result.stderr
    (tmp_path / "1.txt").write_text("one")
    result = _voxtile(outside, "convert", "ramp", str(tmp_path), str(tmp_path / "corpus"), "--engine", "inline")
    assert result.returncode == 1
    assert "1 of 1 inputs failed (most: unexpected-error, 1)" in result.stderr
    assert "invalid literal for int()" in result.stdout
    assert "Traceback" not in result.stderr


def test_it_passes_the_contract_tests_that_voxtile_ships(outside, tmp_path):
    _write(tmp_path, {"test_tiny.py": CONTRACT})
    result = _pytest(outside, tmp_path, "test_tiny.py")
    assert result.returncode == 0, result.stdout
    assert "7 passed" in result.stdout


@pytest.mark.sweep(ci=True)
def test_the_contract_catches_a_converter_whose_bytes_differ(outside, tmp_path):
    site = tmp_path / "site"
    unstable = PACKAGE["tinydomain/ramp.py"].replace("* int(text)", "* int(text) + np.random.randint(1000)")
    _write(site, {**PACKAGE, "tinydomain/ramp.py": unstable})
    _write(tmp_path, {"test_tiny.py": CONTRACT})
    result = _pytest(site, tmp_path, "test_tiny.py", "-k", "same_bytes")
    assert result.returncode == 1
    assert "the bytes depend on where the conversion runs" in result.stdout


def test_a_plugin_that_fails_to_import_is_named_and_the_others_work(outside, tmp_path):
    _write(tmp_path, PACKAGE)
    _write(tmp_path, BROKEN)
    result = _voxtile(tmp_path, "domains")
    assert result.returncode == 0
    assert "broken: failed to load: RuntimeError: the sky fell" in result.stdout
    assert "tiny: grey ramps" in result.stdout
    assert "medical: " in result.stdout
    result = _voxtile(tmp_path, "convert", "sky", "a", "b")
    assert result.returncode == 2
    assert "no converter 'sky'" in result.stderr
    assert "plugin 'broken' failed to load (RuntimeError: the sky fell)" in result.stderr


def test_a_command_whose_module_is_missing_is_one_sentence(tmp_path):
    _write(tmp_path, {**PACKAGE, "tinydomain/ramp.py": "import nowhere_to_be_found\n"})
    result = _voxtile(tmp_path, "convert", "ramp", "a", "b")
    assert result.returncode == 2
    assert "'tinydomain.ramp:convert_ramp' cannot be loaded: No module named 'nowhere_to_be_found'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_checkpoint_may_name_the_classes_that_a_plugin_lists_and_no_others(outside):
    program = """
import sys
from voxtile.data.presets.load import preset_from_config
from voxtile.errors import PresetError
for name in sys.argv[1:]:
    try:
        print(type(preset_from_config({"class_path": name})).__name__)
    except PresetError as error:
        print(error)
"""
    names = ["tinydomain.presets.TinyPreset", "tinydomain.presets.Hidden", "tinydomain.ramp.write_ramps"]
    first, *others = _python(outside, "-c", program, *names).stdout.splitlines()
    assert first == "TinyPreset"
    assert len(others) == 2
    assert all("lists for files from elsewhere" in line for line in others)
