"""Which converter reads a single file, where several fields and plugins read files so named."""

import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

from voxtile.data.presets.volume import VolumePreset
from voxtile.domain import Command, Domain
from voxtile.errors import InputError
from voxtile.stages.ground.sources import kind_of, read_as

VOLUMES = VolumePreset(shape=(8, 8, 8), spacing=(1, 1, 1))


@pytest.fixture
def plugins(monkeypatch):
    """Two plugins that read TIFF and .npy, and a preset of each."""
    presets, domains = [], {}
    for name in ("electron", "thermal"):
        module = f"voxtile_{name}.preset"

        @dataclass(frozen=True)
        class Preset:
            grid: tuple[int, ...] = (8, 8, 8)

        Preset.__module__ = module
        presets.append(Preset())
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        reads = Command(f"voxtile_{name}.convert:convert", "stacks")
        domains[name] = Domain(
            name, name, converters={f"{name}-stack": reads}, endings={f"{name}-stack": (".tif", ".npy")}
        )
    monkeypatch.setattr("voxtile.stages.ground.sources.discover", lambda: (domains, ()))
    return presets


def files(folder):
    for name in ("stack.TIF", "stack.npy"):
        (folder / name).write_bytes(b"II*\0")
        yield folder / name


def test_a_model_of_a_plugin_reads_with_the_converter_of_its_own_plugin(plugins, tmp_path):
    for file in files(tmp_path):
        read = [read_as(kind_of(file), file, preset) for preset in plugins]
        assert read == ["electron-stack", "thermal-stack"]


def test_other_models_read_as_ever_and_never_by_the_first_of_two_plugins(plugins, tmp_path):
    raster, array = files(tmp_path)
    assert read_as(kind_of(raster), raster, VOLUMES) == "geotiff"
    with pytest.raises(InputError, match="read by the converters electron-stack and thermal-stack of several plugins"):
        read_as(kind_of(array), array, VOLUMES)
