"""A hub that does not answer costs seconds and one sentence; what was downloaded before is taken without it."""

import http.server
import os
import shutil
import socket
import threading
import time

import pytest
from tests.core.models.tiny_clip import tiny_clip

from voxtile.errors import CheckpointError
from voxtile.inference.load import load_model
from voxtile.models import HuggingFaceImage
from voxtile.models.hub.reachable import hub_answers
from voxtile.processors import waited_seconds
from voxtile.stages.embed.extractor import load_extractor

pytest.importorskip("transformers")
constants = pytest.importorskip("huggingface_hub").constants
LONGEST = 25  # seconds; its client alone retries for 50


def seconds():
    """By the clock, without those in which others had the processor."""
    return time.monotonic() - waited_seconds(os.getpid())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub's client."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["refuses", "never answers"])
def silent(request, monkeypatch):
    """The address of a hub that does not answer."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if request.param == "never answers":
            listening.listen()
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")
        yield constants.ENDPOINT


@pytest.mark.cases(2)
@pytest.mark.parametrize(
    "load",
    [
        lambda name: load_model(f"hf:{name}"),
        lambda name: load_extractor(f"hf:{name}"),
        lambda name: HuggingFaceImage(name=name),
    ],
    ids=["load_model", "embed", "tower"],
)
def test_a_model_without_a_copy_is_one_sentence_within_seconds(load, silent, cache):
    start = seconds()
    with pytest.raises(
        CheckpointError, match=r"cannot be reached for 'org/model', and there is no local copy; .*folder"
    ):
        load("org/model")
    assert seconds() - start < LONGEST


def test_a_copy_is_loaded_without_the_hub(silent, cache, tmp_path):
    copies = cache / "models--org--model"
    folder = tiny_clip(tmp_path / "made")
    shutil.copytree(folder, copies / "snapshots" / "abc")
    (copies / "refs").mkdir()
    (copies / "refs" / "main").write_text("abc")
    start = seconds()
    found = load_model("hf:org/model")
    assert seconds() - start < LONGEST
    assert found.encode_texts(["a nodule"]).equal(load_model(str(folder)).encode_texts(["a nodule"]))


def test_a_hub_that_answers_is_asked_for_the_model(cache, monkeypatch):
    asked = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            self.send_error(404)

        do_GET = do_HEAD

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", at)
        files = f"{at}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        assert hub_answers()
        with pytest.raises(CheckpointError, match="'org/model' cannot be loaded"):
            load_model("hf:org/model")
        server.shutdown()
    assert any("config.json" in path for path in asked)
