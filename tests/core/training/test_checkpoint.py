"""Checkpoints: nothing in them is executed, a killed writer leaves the old one whole, and messages are one sentence."""

import contextlib
import copy
import errno
import hashlib
import io
import os
import pickle
import resource
import signal
import zipfile
from pathlib import Path

import pytest
import torch
from harm import Harm

from voxtile.errors import CheckpointError
from voxtile.inference.load import from_module
from voxtile.models.image.conv import ConvTower
from voxtile.training.checkpoint import FORMAT, AtomicCheckpointIO, read_checkpoint
from voxtile.training.module import ContrastiveModule
from voxtile.training.run_folder import last_checkpoint

CONFIG = {
    "encoder": {
        "image": {
            "class_path": "voxtile.models.ConvTower",
            "init_args": {"dimensions": 2, "widths": [8], "blocks": [1], "width": 8},
        },
        "text": {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "width": 8}},
        "embed_dim": 8,
    },
    "objectives": {
        "contrastive": {"class_path": "voxtile.objectives.Contrastive"},
        "facts": {"class_path": "voxtile.objectives.FactHead"},
    },
}
PRESET = {
    "class_path": "voxtile.data.ImagePreset",
    "init_args": {"size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.5]},
}


def trained():
    torch.manual_seed(1)
    module = ContrastiveModule.from_config(CONFIG)
    module.encoder.text.tokenizer.train(["no effusion", "an effusion", "a nodule"])
    module.setup_objectives(("effusion", "nodule"))
    module.preset_config = PRESET
    return module


def checkpoint(module):
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    return content


@pytest.fixture
def saved(tmp_path):
    module = trained()
    AtomicCheckpointIO().save_checkpoint(checkpoint(module), tmp_path / "a.ckpt")
    return module, tmp_path / "a.ckpt"


def test_a_checkpoint_brings_back_the_whole_model(saved):
    module, path = saved
    again = ContrastiveModule.load_from_checkpoint(path)
    assert not again.training
    model, other = from_module(again, "a"), from_module(module.eval(), "b")
    images, texts = torch.rand(3, 1, 8, 8), ["effusion", "no nodule is seen"]
    assert torch.equal(model.encode_images(images), other.encode_images(images))
    assert torch.equal(model.encode_texts(texts), other.encode_texts(texts))
    assert torch.equal(model.fact_logits(images), other.fact_logits(images))
    assert model.fact_names == ("effusion", "nodule")
    assert model.preset.to_config()["init_args"]["size"] == (8, 8)
    assert model.logit_scale == pytest.approx(1 / 0.07)


def test_load_from_checkpoint_is_as_safe(saved):
    from voxtile.training.module import ContrastiveModule

    again = ContrastiveModule.load_from_checkpoint(saved[1])
    assert again.fact_names == ("effusion", "nodule")


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_posing_as_a_checkpoint_runs_nothing(tmp_path, protocol):
    path = tmp_path / "bad.ckpt"
    path.write_bytes(pickle.dumps({"voxtile_format": 1, "x": Harm(tmp_path / "harm")}, protocol))
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "harm").exists()


def test_code_added_to_a_good_checkpoint_runs_nothing(saved, tmp_path):
    content = checkpoint(saved[0]) | {"extra": Harm(tmp_path / "harm")}
    torch.save(content, tmp_path / "b.ckpt")
    with pytest.raises(CheckpointError, match="could run code"):
        read_checkpoint(tmp_path / "b.ckpt")
    assert not (tmp_path / "harm").exists()


def test_loading_through_lightning_is_safe_whatever_it_asks_for(saved, tmp_path):
    torch.save(checkpoint(saved[0]) | {"extra": Harm(tmp_path / "harm")}, tmp_path / "b.ckpt")
    with pytest.raises(CheckpointError, match="could run code"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "b.ckpt", weights_only=False)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("cut", [0, 1, 100, 3000])
def test_a_truncated_checkpoint_is_refused(saved, cut):
    path = saved[1]
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=r"a\.ckpt") as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)


def test_a_zip_without_a_checkpoint_is_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("hello.txt", "hello")
    (tmp_path / "z.ckpt").write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "z.ckpt")


def test_others_checkpoints_and_newer_ones_are_refused_by_name(saved, tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="not written by voxtile"):
        read_checkpoint(tmp_path / "other.ckpt")
    newer = checkpoint(saved[0]) | {"voxtile_format": FORMAT + 1, "voxtile_version": "9.1"}
    torch.save(newer, tmp_path / "newer.ckpt")
    with pytest.raises(CheckpointError, match=r"by voxtile 9\.1 in format \d, which is newer"):
        read_checkpoint(tmp_path / "newer.ckpt")


@pytest.mark.parametrize("path", ["os.system", "torch.nn.Linear", "subprocess.Popen", "builtins.eval"])
def test_classes_beyond_voxtile_and_its_plugins_are_refused(saved, tmp_path, path):
    content = checkpoint(saved[0])
    config = {**CONFIG, "objectives": {"contrastive": {"class_path": path, "init_args": {}}}}
    torch.save(content | {"voxtile_model": config}, tmp_path / "c.ckpt")
    with pytest.raises(CheckpointError, match=path):
        ContrastiveModule.load_from_checkpoint(tmp_path / "c.ckpt")


def test_weights_that_do_not_fit_are_refused(saved, tmp_path):
    content = checkpoint(saved[0])
    content["state_dict"].pop("encoder.log_scale")
    torch.save(content, tmp_path / "d.ckpt")
    with pytest.raises(CheckpointError, match="do not fit"):
        ContrastiveModule.load_from_checkpoint(tmp_path / "d.ckpt")


def test_a_writer_that_dies_leaves_the_old_checkpoint(saved, monkeypatch):
    path = saved[1]
    before = path.read_bytes()

    def half(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(CheckpointError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({}, path)
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == ["a.ckpt", "a.ckpt.sha256"]


def test_pretrained_sources_are_not_read_again(tmp_path):
    """A checkpoint of a fine-tuned hub model must load where the hub's weights are not."""
    from voxtile.training.rebuild import without_weights

    config = {"image": "open_clip:ViT-B-32/openai", "text": {"init_args": {"name": "X", "pretrained": "gone.pt"}}}
    assert without_weights(config) == {
        "image": "open_clip:ViT-B-32",
        "text": {"init_args": {"name": "X", "pretrained": None}},
    }
    assert isinstance(ContrastiveModule.from_config(CONFIG).encoder.image, ConvTower)


def test_a_checkpoint_from_before_recompute_loads_with_it(tmp_path):
    vit = {"size": 8, "patch": 4, "width": 8, "depth": 1, "heads": 2}
    config = copy.deepcopy(CONFIG)
    config["encoder"]["image"] = {"class_path": "voxtile.models.ViTTower", "init_args": vit}
    module = ContrastiveModule.from_config(config)
    module.encoder.text.tokenizer.train(["a nodule"])
    module.setup_objectives(("nodule",))
    for asked in (True, False):
        module.config["encoder"]["image"]["init_args"]["checkpointing"] = asked
        AtomicCheckpointIO().save_checkpoint(checkpoint(module), tmp_path / "a.ckpt")
        loaded = ContrastiveModule.load_from_checkpoint(tmp_path / "a.ckpt")
        assert loaded.recompute is asked
        assert "checkpointing" not in loaded.config["encoder"]["image"]["init_args"]


def written(folder, count):
    """As many checkpoints of a run as `last.ckpt`, one after the other; each tells its number."""
    (folder / "checkpoints").mkdir(parents=True)
    path = folder / "checkpoints" / "last.ckpt"
    for number in range(count):
        AtomicCheckpointIO().save_checkpoint({"voxtile_format": FORMAT, "number": number}, path)
        os.utime(path, (number, number))
    return path


def test_the_one_before_is_kept_and_both_have_their_hash(tmp_path):
    path = written(tmp_path / "version_0", 3)
    assert read_checkpoint(path)["number"] == 2
    assert read_checkpoint(path.with_name("previous.ckpt"))["number"] == 1
    for name in ("last.ckpt", "previous.ckpt"):
        digest = hashlib.sha256(path.with_name(name).read_bytes()).hexdigest()
        assert path.with_name(f"{name}.sha256").read_text() == f"{digest}  {name}\n"  # as sha256sum -c reads it
    assert len(list(path.parent.iterdir())) == 4


def of_step(path, step):
    path.parent.mkdir(parents=True, exist_ok=True)
    AtomicCheckpointIO().save_checkpoint({"voxtile_format": FORMAT, "global_step": step}, path)
    return path


def test_the_last_one_is_of_the_latest_start_whatever_the_times_of_the_files_say(tmp_path, capsys):
    """As after a copy in another order."""
    steps = {"version_10/step-200": 200, "version_9/last": 150, "version_10/last": 1000, "version_10/step-1000": 1000}
    paths = [of_step(tmp_path / f"{name.replace('/', '/checkpoints/')}.ckpt", step) for name, step in steps.items()]
    for time, path in enumerate(paths):
        os.utime(path, (time, time))
    for then in (paths[n] for n in (2, 3, 0, 1)):
        assert last_checkpoint(tmp_path) == then
        then.write_bytes(b"torn")
    assert "went further" not in capsys.readouterr().err


def test_that_an_earlier_start_went_further_is_said(tmp_path, capsys):
    first = of_step(tmp_path / "version_0" / "checkpoints" / "last.ckpt", 100)
    second = of_step(tmp_path / "version_1" / "checkpoints" / "last.ckpt", 10)
    assert last_checkpoint(tmp_path) == second
    said = " ".join(capsys.readouterr().err.split())
    assert "of step 10" in said
    assert f"to step 100: take that with --ckpt_path {first}" in said
    of_step(second, 100)
    assert last_checkpoint(tmp_path) == second
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damage", ["cut", "byte"])
def test_a_torn_one_is_refused_and_the_one_before_is_taken(tmp_path, capsys, damage):
    path = written(tmp_path / "version_0", 3)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[-40:]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.ckpt' is torn"):
        read_checkpoint(path)
    assert last_checkpoint(tmp_path) == path.with_name("previous.ckpt")
    assert "last.ckpt' is torn" in capsys.readouterr().err
    path.with_name("previous.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"no checkpoint under .* is whole; start a new run"):
        last_checkpoint(tmp_path)
    assert last_checkpoint(tmp_path / "none") is None


def test_a_run_killed_at_any_call_leaves_a_whole_checkpoint(tmp_path, monkeypatch):
    """The writer is stopped before each of the calls that change names, in turn."""
    replace, link = Path.replace, os.link
    for stop in range(1, 9):
        path, calls = written(tmp_path / f"{stop}" / "version_0", 2), []

        def counted(call, *args, calls=calls, stop=stop):
            calls.append(call)
            if len(calls) == stop:
                raise KeyboardInterrupt
            return call(*args)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", lambda self, to, counted=counted: counted(replace, self, to))
            patched.setattr(os, "link", lambda a, b, counted=counted: counted(link, a, b))
            with contextlib.suppress(KeyboardInterrupt):
                AtomicCheckpointIO().save_checkpoint({"voxtile_format": FORMAT, "number": 2}, path)
        assert read_checkpoint(path)["number"] in (1, 2), stop
        found = last_checkpoint(path.parents[2])
        assert read_checkpoint(found)["number"] in (1, 2)
        AtomicCheckpointIO().save_checkpoint({"voxtile_format": FORMAT, "number": 3}, path)
        assert read_checkpoint(path)["number"] == 3
    assert len(calls) < stop  # all calls were reached


def test_a_full_disk_is_one_sentence_and_harms_nothing(tmp_path):
    path = written(tmp_path / "version_0", 1)
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(CheckpointError, match=r"cannot be written \(.*\); free some space"):
            AtomicCheckpointIO().save_checkpoint({"voxtile_format": FORMAT, "weights": torch.zeros(10**6)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert read_checkpoint(path)["number"] == 0
    assert not [name for name in os.listdir(path.parent) if name.endswith(".tmp")]


def test_a_full_disk_is_said_in_the_system_s_words(tmp_path, monkeypatch):
    """torch's writer speaks of positions in its file instead, while it handles the system's error."""

    def fail(content, file):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 43456 vs 43408\nframe 0")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(CheckpointError, match=r"cannot be written \(No space left on device\); free some space"):
        AtomicCheckpointIO().save_checkpoint({"voxtile_format": FORMAT}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())
