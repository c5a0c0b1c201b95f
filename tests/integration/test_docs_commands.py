"""Every command of README and docs has its plan in `make docs-commands`, which runs them from a wheel."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.benchmark_script import benchmark_script

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "docs_commands"


def listed(*words, cwd=ROOT):
    command = [sys.executable, str(SCRIPT), "--list", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_every_command_of_a_block_is_run_or_left_out_with_a_reason(tmp_path):
    result = listed(cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    planned = {(place, text): plan for place, text, plan in (row.split("\t") for row in result.stdout.splitlines())}
    shown = [
        (f"{page.relative_to(ROOT)}:{number}", line)
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
        for number, line in enumerate(page.read_text().splitlines(), start=1)
        if line.startswith(("voxtile ", "lightning ", "python ", "pip "))
    ]  # a second reading of the pages, by their lines alone
    places = {place for place, _ in planned}
    assert [line for place, line in shown if place not in places] == []
    assert len(shown) > 100
    in_blocks = {text: plan for (place, text), plan in planned.items() if place in dict(shown)}
    left_out = [text for text, plan in in_blocks.items() if not plan.startswith(text.split()[0]) and "(" not in plan]
    # Suites of their own run these: tests/medical those with Orthanc, tests/core/corpus/remote those with S3 servers of
    # the machine, tests/core/serve the pages, test_assist.py and test_assist_regions.py assistants that take an hour to
    # train. Scripts of the checkout are in no wheel.
    servers = [t for t in left_out if re.search(r"https://pacs\.example|s3://bucket|voxtile serve|FROM reviews", t)]
    assistants = [t for t in left_out if re.search(r"--prior|first/ second/|--out found|--box|ct-ground", t)]
    scripts = [t for t in left_out if t.startswith("python benchmarks/")]
    assert len(left_out) - len(servers) - len(assistants) - len(scripts) < 15, left_out
    assert len(servers) < 18


def test_a_command_that_nobody_planned_is_named(tmp_path):
    script = tmp_path / "benchmarks" / "docs_commands"
    shutil.copytree(SCRIPT, script, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# New\n\n```\nls\nvoxtile verify corpus  # a comment\n```\n")
    result = subprocess.run([sys.executable, str(script), "--list"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "no plan for the commands of README.md:5" in result.stderr


def test_a_command_in_a_sentence_that_is_run_in_no_form_is_named(tmp_path):
    script = tmp_path / "benchmarks" / "docs_commands"
    shutil.copytree(SCRIPT, script, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("images"))
    text = (ROOT / "README.md").read_text()
    (tmp_path / "README.md").write_text(f"{text}\nTry `voxtile facts corpus --from reports`.\n")
    command = [sys.executable, str(script), "--list"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "a form of a command, in a sentence; README.md:26 is one that is run" in result.stdout
    (tmp_path / "README.md").write_text(f"{text}\nTry `voxtile facts corpus --from tea-leaves`.\n")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "names 'voxtile facts corpus --from tea-leaves', which is run nowhere" in result.stderr


def test_indented_commands_stand_in_fences():
    """Where the script reads them."""
    indented = [
        f"{page.name}:{number}"
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
        for number, line in enumerate(page.read_text().splitlines(), start=1)
        if line.startswith(("    voxtile ", "    lightning "))
    ]
    assert indented == []


def test_a_conversion_that_was_asked_for_something_new_and_adds_nothing_is_red(tmp_path):
    check = benchmark_script("docs_commands/check")
    first = "voxtile convert wsi SLIDES corpus"
    rows, said = {"samples": 24, "regions": 2}, "wsi → corpus\n│ inputs │ 48 │\n│ from earlier runs │ 24 │"

    def result(command, after):
        return check.checked(check.Done(command, tmp_path, said, rows, after, frozenset(), frozenset({first})))

    with pytest.raises(AssertionError, match="no row was added to samples or captions or facts or regions"):
        result(f"{first} --annotations ANNOTATIONS", rows)
    assert result(first, rows) == "had been done before, and shows it"
    assert result(f"{first} --annotations ANNOTATIONS", rows | {"regions": 9}) == "+7 regions"


def test_a_listing_of_what_was_not_read_is_judged_by_its_file(tmp_path):
    check = benchmark_script("docs_commands/check")
    command = "voxtile facts corpus --from reports --listing listing.csv"
    (tmp_path / "listing.csv").write_text("times,sentence\n")
    (tmp_path / "other.csv").write_text("x\n")

    def result(*changed):
        return check.checked(check.Done(command, tmp_path, "5", {"facts": 1}, {"facts": 1}, frozenset(changed)))

    assert result("listing.csv") == "1 file, e.g. listing.csv"
    with pytest.raises(AssertionError, match=r"it did not write listing\.csv"):
        result("other.csv")


def test_an_image_that_is_shown_phrases_in_is_no_file_to_write(tmp_path):
    check = benchmark_script("docs_commands/check")
    (tmp_path / "found.geojson").write_text("{}")

    def result(command):
        return check.checked(check.Done(command, tmp_path, "wrote", {}, {}, frozenset({"found.geojson"})))

    assert result('voxtile ground m.ckpt chest.dcm "x" --out found') == "1 file, e.g. found.geojson"
    with pytest.raises(AssertionError, match=r"it did not write masks\.dcm"):
        result('voxtile ground m.ckpt scan/ "x" --out masks.dcm')


def test_who_signed_what_is_judged_by_what_is_printed(tmp_path):
    check = benchmark_script("docs_commands/check")

    def result(command, said):
        return check.checked(check.Done(command, tmp_path, said, {}, {}, frozenset()))

    assert result("voxtile caption sign signed.yaml", "38 entries") == "said: 38 entries"
    with pytest.raises(AssertionError, match="it said nothing"):
        result("voxtile caption sign signed.yaml", "")
    with pytest.raises(AssertionError, match="it wrote nothing"):
        result("voxtile caption sign medical --by X --out signed.yaml", "38 entries")
