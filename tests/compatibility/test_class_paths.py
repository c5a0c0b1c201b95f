"""Every class path of the code before modules moved still names its class, by the way that files are read."""

import re
from pathlib import Path

import pytest
import yaml

from voxtile.cli.main import lightning_main
from voxtile.errors import ConfigError
from voxtile.listed_classes import listed_class
from voxtile_pathology.tissue.mask import tissue_spec

LINES = [line.split() for line in Path(__file__).with_name("class_paths.txt").read_text("utf-8").splitlines()]
IN_CONFIGS = {path: place for path, place, *_ in LINES if not place.startswith("--")}
FOR_TISSUE = [path for path, place, *_ in LINES if place == "--tissue"]
FROM_ELSEWHERE = [path for path, _, *listed in LINES if listed]


def config_with(path):
    """A config in which a class stands at its place; where that is an argument of another class, within that one."""
    owner, _, argument = IN_CONFIGS[path].rpartition(".")
    value = {"class_path": path}
    if argument == "*":
        value = {"it": value}
        owner, _, argument = owner.rpartition(".")
    if argument.endswith("[]"):
        value, argument = [value], argument[:-2]
    if owner not in IN_CONFIGS:
        for part in reversed([*owner.split("."), argument]):
            value = {part: value}
        return value
    outer = config_with(owner)
    _within(outer, owner)["init_args"] = {argument: value}
    return outer


def _within(part, path):
    """The description of a class in a config."""
    if isinstance(part, dict) and part.get("class_path") == path:
        return part
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return next((found for value in parts if (found := _within(value, path))), None)


def parsed(path, spelled, config, capsys):
    """Exit status of the command that reads a class from a config, and the classes that it understood."""
    config.write_text(yaml.safe_dump(config_with(path)).replace(path, spelled))
    try:
        status = lightning_main(["fit", "-c", str(config), "--print_config"])
    except SystemExit as printed:
        status = printed.code
    return status, [said.rpartition(".")[2] for said in re.findall(r"class_path: (\S+)", capsys.readouterr().out)]


@pytest.mark.parametrize("path", IN_CONFIGS)
def test_a_config_may_name_the_class_as_before(path, tmp_path, capsys):
    status, named = parsed(path, path, tmp_path / "config.yaml", capsys)
    assert status == 0
    if path.rpartition(".")[2] not in named:  # where no other class fits, its arguments alone are printed
        assert parsed(path, f"{path}X", tmp_path / "config.yaml", capsys)[0] == 2


@pytest.mark.parametrize("path", FROM_ELSEWHERE)
def test_a_checkpoint_may_name_the_class_as_before(path):
    assert listed_class(path, object).__name__ == path.rpartition(".")[2]


def test_an_old_path_that_no_table_has_is_one_sentence(tmp_path, capsys):
    gone = "voxtile.objectives.before.KoLeo"
    with pytest.raises(
        ConfigError, match=f"class_path '{gone}' is no class that voxtile or an installed domain plugin"
    ):
        listed_class(gone, object)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"model": {"objectives": {"spread": {"class_path": gone}}}}))
    assert lightning_main(["fit", "-c", str(config)]) == 2
    [said] = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert f"there is no class '{gone}'; did you mean 'voxtile.objectives.KoLeo'?" in said


@pytest.mark.parametrize("path", FOR_TISSUE)
def test_a_tissue_detector_may_be_named_as_before(path):
    arguments = ", init_args: {network: a.Net, weights: net.safetensors}" if path.endswith("NetworkTissue") else ""
    spec = tissue_spec(f"{{class_path: {path}{arguments}}}")
    assert spec.class_path.rpartition(".")[2] == path.rpartition(".")[2]


def test_no_line_of_the_list_is_passed_over():
    assert len(LINES) == len(IN_CONFIGS) + len(FOR_TISSUE) == 111
    assert len(FROM_ELSEWHERE) == 67
