"""Each package offers its names without importing what they stand for; plugins keep old class paths of their own."""

import importlib
import os
import subprocess
import sys
import textwrap

import pytest

from voxtile.data.presets.load import preset_from_config
from voxtile.domain import discover
from voxtile.listed_classes import current_name, hashed_name, public_name
from voxtile.old_class_names import OLD_CLASS_NAMES
from voxtile_pathology.tissue.mask import tissue_spec

PACKAGES = {
    "general": "voxtile_datasets",
    "medical": "voxtile_medical",
    "pathology": "voxtile_pathology",
    "remote_sensing": "voxtile_remote_sensing",
}
HISTOLOGY = "voxtile_pathology.HistologyPreset", "voxtile_pathology.stain.preset.HistologyPreset"
OTSU = "voxtile_pathology.OtsuTissue", "voxtile_pathology.tissue.mask.OtsuTissue"


@pytest.mark.parametrize("domain", PACKAGES)
def test_a_domains_package_offers_the_functions_of_its_commands_and_its_classes(domain):
    package, offers = importlib.import_module(PACKAGES[domain]), discover()[0][domain]
    kinds = (offers.converters, offers.phantoms, offers.recipes, offers.facts, offers.describers, offers.exports)
    functions = [command.load() for kind in (*kinds, offers.scores, offers.importers) for command in kind.values()]
    assert functions
    for function in functions:
        assert getattr(package, function.__name__) is function
        assert function.__name__ in package.__all__
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert all(target.startswith(f"{PACKAGES[domain]}:") for target in offers.classes)
    assert not hasattr(package, "no_such_name")


def test_importing_a_domain_loads_nothing_heavy():
    program = f"""
import sys, importlib
for name in {sorted(PACKAGES.values())}:
    assert importlib.import_module(name).__all__
print(sorted({{"numpy", "torch", "pydicom", "tifffile", "rasterio", "pyarrow", "PIL"}} & set(sys.modules)))
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


@pytest.mark.parametrize(("now", "before"), [HISTOLOGY, OTSU])
def test_a_domains_class_is_written_by_its_public_name_and_hashed_by_its_first(now, before):
    module, _, name = before.rpartition(".")
    assert public_name(getattr(importlib.import_module(module), name)) == now
    assert (current_name(before), current_name(now)) == (now, now)
    assert (hashed_name(before), hashed_name(now)) == (before, before)


def test_a_class_of_several_old_names_is_hashed_by_the_first():
    for now in set(OLD_CLASS_NAMES.values()):
        first = next(old for old, new in OLD_CLASS_NAMES.items() if new == now)
        assert hashed_name(now) == first
    assert hashed_name("voxtile.data.ImagePreset") == "voxtile.data.image.ImagePreset"  # not that of `data.presets`


@pytest.mark.parametrize("path", HISTOLOGY)
def test_a_histology_preset_opens_by_both_names(path):
    preset = preset_from_config({"class_path": path, "init_args": {"size": [8, 8]}})
    assert preset.to_config()["class_path"] == HISTOLOGY[0]


@pytest.mark.parametrize("text", ["otsu", *OTSU])
def test_what_decides_a_tissue_mask_has_the_hash_of_corpora_that_exist(text):
    assert tissue_spec(text).class_path == OTSU[0]
    assert tissue_spec(text).config() == {"class_path": OTSU[1], "init_args": {}, "files": []}


DOMAIN = """
    from voxtile.domain import Domain
    domain = Domain(name="mine", title="my own", classes=("mine_alias:Preset",), old_classes={ALIASES})
    """
PACKAGE = """
    from voxtile.data import ImagePreset
    class Preset(ImagePreset):
        pass
    """


@pytest.mark.cases(1)
@pytest.mark.parametrize(
    ("aliases", "said"),
    [
        ({"mine_alias.before.Preset": "mine_alias.Preset"}, "Preset mine_alias.Preset\n"),
        ({"voxtile.data.Old": "mine_alias.Preset"}, "old_classes names 'voxtile.data.Old', which is not of its own"),
        ({"mine_alias.Old": "os.system"}, "old_classes names 'os.system', which is not of its own"),
        ({"mine_aliases.Old": "mine_alias.Preset"}, "old_classes names 'mine_aliases.Old', which is not of its own"),
    ],
)
def test_a_plugin_keeps_old_class_paths_of_its_own_package_alone(aliases, said, tmp_path):
    for name, text in {
        "mine_alias/__init__.py": PACKAGE,
        "mine_alias/domain.py": DOMAIN.replace("ALIASES", repr(aliases)[1:-1]),
        "mine_alias-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: mine_alias\nVersion: 1.0\n",
        "mine_alias-1.0.dist-info/entry_points.txt": "[voxtile.domains]\nmine = mine_alias.domain:domain\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    program = f"""
from voxtile.data.presets.load import preset_from_config
from voxtile.domain import discover
for plugin in discover()[1]:
    print(plugin.reason)
preset = preset_from_config({{"class_path": {next(iter(aliases))!r}, "init_args": {{"size": [8, 8]}}}})
print(type(preset).__name__, preset.to_config()["class_path"])
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert said in ran.stdout
    assert (ran.returncode == 0) == (said.startswith("Preset"))
