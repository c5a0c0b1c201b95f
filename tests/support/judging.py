"""A corpus whose captions are judged, and readers who do it over HTTP."""

import shutil
import uuid
from pathlib import Path

from serve_corpus import PATCH, SCENE, VOLUME

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows

OWNERS = (VOLUME, PATCH, SCENE)


def owner(caption):
    """Whose caption it is."""
    return PATCH if caption == "d" else OWNERS[int(caption[1:]) % 3]


def add_captions(root: Path, count: int = 12) -> None:
    """Captions j0, j1, … of three subjects, half of them by a model; the checker objects to the first four."""
    rows = [
        {
            "caption_id": f"j{n}",
            "uid": owner(f"j{n}"),
            "text": f"Text {n}.",
            "kind": ("template", "vlm")[2 * n // count],
        }
        for n in range(count)
    ]
    append_rows(root, "captions", "more", rows)
    told = {"checker": "check", "checker_version": "3"}
    verdicts = [
        {"caption_id": f"j{n}", "verdict": "contradicted" if n < 4 else "supported", **told} for n in range(count)
    ]
    append_rows(root, "verdicts", "more", verdicts)


def copied(corpus: Path, target: Path, count: int = 12) -> Path:
    """A copy of the served corpus with captions to judge."""
    shutil.copytree(corpus, target)
    add_captions(target, count)
    return target


def client_of(root: Path, pages: Path, meaning=None):
    """A server in this process."""
    from starlette.testclient import TestClient

    from voxtile.serve.access import Access
    from voxtile.serve.application import application
    from voxtile.serve.explored import explore
    from voxtile.serve.sample_index import SampleIndex

    corpus = Corpus(root)
    app = application(explore(corpus, SampleIndex(corpus), meaning=meaning), Access(frozenset({"testserver"})), pages)
    return TestClient(app)


def give(client, target, /, verdict="right", reader="ann", drawn="random", **more):
    """A verdict, by default on a caption."""
    body = {
        "review_id": uuid.uuid4().hex, "uid": more.get("uid") or owner(target), "target": target, "verdict": verdict,
        "reader": reader, "drawn": drawn,
    }  # fmt: skip
    return client.post("/api/judge/verdicts", json={**body, **more})


def waiting(client, **query):
    """Name of the next target; None where all are judged."""
    found = client.get("/api/judge/next", params={"reader": "ann", **query}).json()["item"]
    return found and found["target"]


def stored(root: Path):
    """Rows of the table."""
    return Corpus(root).table("reviews").to_pylist()
