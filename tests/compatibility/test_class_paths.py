"""Every class path of the code before modules moved still names its class, by the way that files are read."""

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
        value = {path.replace(".", "_"): value}
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


def joined(one, other):
    """One config that says what both say; None where they have different classes at one place."""
    if "class_path" in one:
        return None
    both = dict(one)
    for key, value in other.items():
        mine = both.get(key)
        if isinstance(mine, list):
            both[key] = mine + value
        elif mine is None:
            both[key] = value
        elif (inner := joined(mine, value)) is not None:
            both[key] = inner
        else:
            return None
    return both


def packed(paths):
    """Configs that each name many classes, at a place of its own each: making a parser takes longer than asking it."""
    packs = []
    for path in paths:
        own = config_with(path)
        for pack in packs:
            if (both := joined(pack[0], own)) is not None:
                pack[0] = both
                pack[1].append(path)
                break
        else:
            packs.append([own, [path]])
    return packs


def parsed(content, folder, capsys):
    """Exit status of the command that reads classes from a config, and the config as it was understood."""
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(content))
    try:
        status = lightning_main(["fit", "-c", str(config), "--print_config"])
    except SystemExit as printed:
        status = printed.code
    said = capsys.readouterr().out
    return status, yaml.safe_load(said) if status == 0 else said


def understood(written, printed):
    """Of each class path of a config, the one that was printed in its place; None where its arguments alone are."""
    if isinstance(written, list):
        for one, other in zip(written, printed, strict=True):
            yield from understood(one, other)
    elif isinstance(written, dict) and "class_path" in written:
        named = printed.get("class_path")
        yield written["class_path"], named
        inner = written.get("init_args", {})
        yield from understood(inner, printed.get("init_args", {}) if named else printed)
    elif isinstance(written, dict):
        for key, value in written.items():
            yield from understood(value, printed[key])


@pytest.mark.cases(8)
@pytest.mark.parametrize(("content", "paths"), packed(IN_CONFIGS))
def test_a_config_may_name_classes_as_before(content, paths, tmp_path, capsys):
    status, printed = parsed(content, tmp_path, capsys)
    assert status == 0, printed
    named = dict(understood(content, printed))
    assert set(paths) <= set(named)
    for path in paths:
        if named[path] is None:  # where no other class fits, its arguments alone are printed
            misspelt = yaml.safe_load(yaml.safe_dump(config_with(path)).replace(path, f"{path}X"))
            assert parsed(misspelt, tmp_path, capsys)[0] == 2
        else:
            assert named[path].rpartition(".")[2] == path.rpartition(".")[2]


def test_every_class_path_of_the_list_is_in_one_config():
    packs = packed(IN_CONFIGS)
    assert sorted(path for _, paths in packs for path in paths) == sorted(IN_CONFIGS)
    assert len(packs) < 30


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
