"""A corpus with volumes, masks, texts and records, on servers of this machine."""

import hashlib
import io
import shutil

import numpy as np
import pytest
from object_stores import BUCKET, has_server, s3_server
from PIL import Image

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.remote.payloads import see_anew
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.engine.manifest import write_manifest
from voxtile.engine.plan import TaskIdentity

SERVERS = ("s3rver", "moto")


VOLUMES, SHAPE = 6, (24, 64, 64)


@pytest.fixture(scope="session")
def local_corpus(tmp_path_factory):
    """Six volumes of noise in two shards, with previews, masks, texts, facts, splits and a manifest of all files."""
    root = tmp_path_factory.mktemp("local") / "corpus"
    new_corpus(root)
    for job in range(2):
        writer = JobWriter(root, f"job-{job}")
        for n in range(job, VOLUMES, 2):
            add_volume(writer, n)
        writer.publish()
    files = {
        path.relative_to(root).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for path in root.rglob("*")
        if path.is_file()
    }
    write_manifest(root, TaskIdentity("noise", "1", "{}"), [], counts={}, reasons={}, files=files, seconds=0)
    return root


def add_volume(writer, n):
    rng, uid = np.random.default_rng(n), sample_uid(f"volume {n}")
    row = {"uid": uid, "subject": f"s{n}", "kind": "volume", "modality": "CT", "axes": "ZYX"}
    row |= {"units": "HU", "spacing": [2.0, 1.0, 1.0], "channels": [{"name": "CT", "scale": 1.0, "offset": 0.0}]}
    values = rng.integers(-1000, 1000, SHAPE).astype(np.int16)
    writer.add(Sample(row, values, rng.integers(0, 255, SHAPE[1:]).astype(np.uint8)))
    region = {"region_id": f"r{n}", "uid": uid, "phrase": "something bright", "source": "made"}
    writer.add_mask(Mask(region, values > 900))
    text = {"caption_id": f"c{n}", "uid": uid, "text": f"Noise number {n}.", "kind": "raw"}
    writer.add_rows("captions", [text])
    writer.add_rows("facts", [{"uid": uid, "concept": "bright", "polarity": ("present", "absent")[n % 2]}])
    split = {"scheme": "default", "subject": f"s{n}", "split": ("train", "train", "test")[n % 3]}
    writer.add_rows("splits", [split])


PICTURES = 48


@pytest.fixture(scope="session")
def picture_corpus(tmp_path_factory):
    """Pictures of noise with a text each, in three shards."""
    root = tmp_path_factory.mktemp("pictures") / "corpus"
    new_corpus(root)
    for job in range(3):
        writer = JobWriter(root, f"job-{job}")
        for n in range(job, PICTURES, 3):
            uid, stream = sample_uid(f"picture {n}"), io.BytesIO()
            noise = np.random.default_rng(n).integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(noise).save(stream, "PNG")
            row = {"uid": uid, "subject": f"s{n}", "kind": "image", "modality": "XC", "axes": "YXC"}
            writer.add(Sample(row, stream.getvalue()))
            text = {"caption_id": f"c{n}", "uid": uid, "text": f"Noise number {n}.", "kind": "raw"}
            writer.add_rows("captions", [text])
            writer.add_rows("facts", [{"uid": uid, "concept": "loud", "polarity": ("present", "absent")[n % 2]}])
            split = {"scheme": "default", "subject": f"s{n}", "split": ("train", "train", "test")[n % 3]}
            writer.add_rows("splits", [split])
        writer.publish()
    return root


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A tiny vision transformer, saved as timm saves for the hub."""
    import timm
    import torch
    from timm.models import save_for_hf

    torch.manual_seed(1)
    shape = {"img_size": 32, "patch_size": 16, "embed_dim": 24, "depth": 1, "num_heads": 2}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, **shape)
    folder = tmp_path_factory.mktemp("timm") / "tiny"
    model.pretrained_cfg = model.default_cfg = {**model.pretrained_cfg, "input_size": (3, 32, 32), "num_classes": 0}
    save_for_hf(model, str(folder), model_args=shape, safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Starts each kind of server when it is first asked for."""
    running, contexts = {}, []

    def get(kind):
        if not has_server(kind):
            pytest.skip(f"{kind} is not installed")
        if kind not in running:
            contexts.append(s3_server(kind, tmp_path_factory.mktemp(kind)))
            running[kind] = contexts[-1].__enter__()
        return running[kind]

    yield get
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.fixture(params=SERVERS)
def server(request, servers):
    """Each server that is installed: s3rver, which checks signatures, and moto."""
    return servers(request.param)


@pytest.fixture
def any_server(servers):
    """One server, for what is the same with all."""
    return servers(next((kind for kind in SERVERS if has_server(kind)), "moto"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Sets a user's environment, with an empty cache, and gives the address of a prefix."""
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VOXTILE_FETCHER", raising=False)
    see_anew()

    def use(server, prefix, proxied=None):
        for name, value in server.environment(proxied.url if proxied is not None else None).items():
            monkeypatch.setenv(name, value)
        return f"s3://{BUCKET}/{prefix}"

    yield use
    see_anew()


@pytest.fixture
def uploaded(local_corpus, tmp_path):
    """Puts the corpus, or a changed copy of it, under a prefix of its own."""
    numbers = iter(range(100))

    def upload(server, change=None, folder=local_corpus):
        if change is not None:
            folder = shutil.copytree(folder, tmp_path / "changed")
            change(folder)
        prefix = f"{tmp_path.name}/{next(numbers)}/corpus"
        server.upload(folder, prefix)
        return prefix

    return upload
