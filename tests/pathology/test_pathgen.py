"""Describe, revise, summarise: against a real HTTP server that answers, refuses, stumbles and counts."""

import base64
import http.server
import json
import threading
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from voxtile.cli import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.engine.task import Sample
from voxtile.errors import InputError
from voxtile_pathology.coordinates.features import read_features
from voxtile_pathology.pathgen.endpoint import EndpointError, OpenAIEndpoint, is_local
from voxtile_pathology.pathgen.selection import representatives
from voxtile_pathology.pathgen.steps import STEPS, filled, load_step


class Server:
    """An OpenAI-compatible endpoint: answers say what they were asked; `plan` holds statuses to give first."""

    def __init__(self):
        self.requests, self.plan, self.keys, self.body = [], [], set(), None
        self.headers = {}
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append((self.path, body))
                server.keys.add(self.headers.get("Authorization"))
                status = server.plan.pop(0) if server.plan else 200
                data = (
                    json.dumps(server.answer(body)).encode() if status == 200 else b'{"error":{"message":"no\\nway"}}'
                )
                data = server.body if server.body is not None and status == 200 else data
                self.send_response(status)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, body):
        parts = body["messages"][0]["content"]
        prompt = parts[0]["text"]
        before = prompt.partition("Description:\n")[2].strip()
        images = [part for part in parts if part["type"] == "image_url"]
        step = "summary" if not images else "revised" if before else "seen"
        seen = zlib.crc32(base64.b64decode(images[0]["image_url"]["url"].partition(",")[2])) if images else 0
        text = f" {step}<{before or seen}>\n"
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(text)}
        return {"model": "test-model-1", "choices": [{"message": {"content": text}}], "usage": usage}


@pytest.fixture
def server():
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()
    running.thread.join()


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made-by-hand")
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        path = tmp_path / f"{index}.png"
        Image.fromarray(pixels).save(path)
        row = {"uid": f"p{index}", "subject": "s", "kind": "patch", "axes": "YXC", "mpp": [0.5, 0.5], "source": "slide"}
        writer.add(Sample(row, path.read_bytes()))
    writer.publish()
    return root


def choose(root, *uids):
    rows = [{"uid": u, "name": "representative", "value": 1.0, "producer": "by-hand@1"} for u in uids]
    append_rows(root, "scores", f"by-hand-{len(uids)}", rows)


def describe(root, server, *options):
    words = ["describe", str(root), "--with", "pathgen", "--base-url", server.url, "--model", "m", "--backoff", "0.01"]
    return main([*words, "--engine", "inline", *options])


def captions(root):
    return sorted(Corpus(root).table("captions").to_pylist(), key=lambda row: (row["uid"], row["provider"]))


def test_three_steps_with_parents_tokens_and_prompts(corpus, server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    choose(corpus, "p0", "p2")
    assert describe(corpus, server) == 0
    rows = captions(corpus)
    assert [(r["uid"], r["provider"], r["kind"]) for r in rows] == [
        (uid, f"pathgen-{step}", "vlm" if step == "describe" else "rewrite") for uid in ("p0", "p2") for step in STEPS
    ]
    for described, revised, summary in (rows[:3], rows[3:]):
        picture = (tmp_path / f"{described['uid'][1:]}.png").read_bytes()
        assert described["text"] == f"seen<{zlib.crc32(picture)}>"
        assert revised["text"] == f"revised<{described['text']}>"
        assert summary["text"] == f"summary<{revised['text']}>"
        assert (described["parents"], revised["parents"], summary["parents"]) == (
            [], [described["caption_id"]], [revised["caption_id"]],
        )  # fmt: skip
    assert {r["model"] for r in rows} == {"test-model-1"}
    assert {r["prompt_sha"] for r in rows} == {load_step(name).prompt_sha for name in STEPS}
    assert all(r["tokens_in"] > 0 and r["tokens_out"] == len(r["text"]) + 2 for r in rows)
    assert all(r["request_sha"] and r["created"] for r in rows)
    assert server.keys == {"Bearer secret-key"}
    assert {path for path, _ in server.requests} == {"/v1/chat/completions"}
    assert "at 0.5 micrometres a pixel" in server.requests[0][1]["messages"][0]["content"][0]["text"]
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"secret-key" not in stored


def test_a_rerun_asks_nothing_twice_and_gives_the_same_rows(corpus, server, tmp_path):
    choose(corpus, "p0", "p1")
    assert describe(corpus, server) == 0
    first, asked = captions(corpus), len(server.requests)
    assert asked == 6
    assert describe(corpus, server) == 0  # done already
    for path in [*(corpus / "tables/captions").iterdir(), *(corpus / "done").glob("*")]:
        path.unlink()  # the corpus is lost, the replies are not
    assert describe(corpus, server) == 0
    assert captions(corpus) == first
    assert len(server.requests) == asked
    choose(corpus, "p0", "p1", "p3")
    assert describe(corpus, server) == 0
    assert len(server.requests) == asked + 3


def test_temporary_failures_are_retried_and_others_cost_one_row(corpus, server):
    choose(corpus, "p0", "p1")
    server.plan = [429, 503, 200, 400]  # the first patch succeeds at the third try, the second is refused
    assert describe(corpus, server, "--steps", "describe") == 1
    assert [row["uid"] for row in captions(corpus)] == ["p0"]
    ledger = {row["source"]: row["reason"] for row in Corpus(corpus).ledger().to_pylist()}
    assert ledger == {"pathgen-describe/p0": None, "pathgen-describe/p1": "endpoint-refused"}
    assert describe(corpus, server, "--steps", "describe", "--retry") == 0
    assert [row["uid"] for row in captions(corpus)] == ["p0", "p1"]
    assert len(server.requests) == 5


def test_an_endpoint_that_stays_down_is_named(server):
    server.plan = [500] * 3
    endpoint = OpenAIEndpoint(server.url, "m", retries=2, backoff_s=0.001)
    with pytest.raises(EndpointError, match=r"gave no answer in 3 tries \(500 no way\)") as caught:
        endpoint.ask("hello", None)
    assert caught.value.reason == "endpoint-unavailable"
    gone = OpenAIEndpoint("http://127.0.0.1:9/v1", "m", retries=1, backoff_s=0.001)
    with pytest.raises(EndpointError, match="ConnectError"):
        gone.ask("hello", None)


def test_retry_after_is_waited_for(server, monkeypatch):
    waits = []
    monkeypatch.setattr("voxtile_pathology.pathgen.endpoint.time.sleep", waits.append)
    server.plan, server.headers = [429, 429], {"Retry-After": "7"}
    OpenAIEndpoint(server.url, "m", backoff_s=0.5).ask("hello", None)
    assert 0.3 < 7 * 0.75 <= waits[0] <= 7 * 1.25
    assert waits[1] >= waits[0] / 2
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json", "malformed-reply"), (b"[1]", "malformed-reply"), (b"[" * 100_000, "malformed-reply"),
        (b"{}", "empty-reply"), (b'{"choices":[{"message":{"content":"  "}}]}', "empty-reply"),
        (b'{"choices":[{"message":{"content":["x"]}}]}', "empty-reply"),
    ],
)  # fmt: skip
def test_replies_that_are_none_are_named_and_not_kept(server, tmp_path, body, reason):
    server.body = body
    endpoint = OpenAIEndpoint(server.url, "m", retries=0, cache=str(tmp_path / "cache"))
    with pytest.raises(EndpointError) as caught:
        endpoint.ask("hello", None)
    assert caught.value.reason == reason
    assert not (tmp_path / "cache").exists()


def test_a_damaged_reply_on_disk_is_asked_again(server, tmp_path):
    endpoint = OpenAIEndpoint(server.url, "m", cache=str(tmp_path))
    first = endpoint.ask("hello", None)
    (path,) = tmp_path.rglob("*.json")
    path.write_text("{")
    assert endpoint.ask("hello", None).text == first.text
    assert len(server.requests) == 2
    assert endpoint.ask("hello", None).created
    assert len(server.requests) == 2
    assert first.request_sha != OpenAIEndpoint(server.url, "m2").ask("hello", None).request_sha


def test_pictures_leave_the_machine_only_on_request(corpus, capsys):
    choose(corpus, "p0")
    words = ["describe", str(corpus), "--with", "pathgen", "--model", "m", "--base-url"]
    for url, message in {
        "https://api.example.org/v1": "--send-to-remote",
        "http://10.1.2.3/v1": "--send-to-remote",
        "ftp://localhost": "must be like http",
        "http://user:pass@localhost/v1": "must be like http",
    }.items():
        assert main([*words, url]) == 2
        assert message in capsys.readouterr().err
    assert main([*words, "http://api.example.org/v1", "--send-to-remote"]) == 2
    assert "unencrypted" in capsys.readouterr().err
    assert is_local("127.0.0.1")
    assert is_local("::1")
    assert not is_local("127.0.0.1.example.org")


def test_steps_and_choices_that_are_not_there_are_refused(corpus, server, tmp_path, capsys):
    assert describe(corpus, server) == 2
    assert "no representative patches" in capsys.readouterr().err
    assert describe(corpus, server, "--steps", "summarise") == 2
    assert "no texts of the step before" in capsys.readouterr().err
    assert describe(corpus, server, "--steps", "guess") == 2
    (tmp_path / "revise.txt").write_text("no field")
    assert describe(corpus, server, "--steps", "revise", "--prompts", str(tmp_path)) == 2
    assert "{text}" in capsys.readouterr().err
    assert not server.requests
    assert describe(corpus, server, "--all-patches", "--steps", "describe") == 0
    assert len(server.requests) == 4


def test_prompts_are_filled_without_reading_the_text():
    assert filled("a{scale}: {text}", "{scale} {text}", [0.5, 0.5]) == "a, at 0.5 micrometres a pixel: {scale} {text}"
    assert filled("a{scale}", "x", None) == "a"


def clustered(sizes, seed=0, spread=0.05, width=16):
    rng = np.random.default_rng(seed)
    centres = np.eye(width)[: len(sizes)]
    rows = np.concatenate([c + rng.normal(0, spread, (n, width)) for c, n in zip(centres, sizes, strict=True)])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), np.repeat(range(len(sizes)), sizes)


def test_representatives_cover_every_cluster_even_rare_ones():
    vectors, cluster = clustered([400, 100, 10, 3])
    chosen = representatives(vectors, 8, clusters=4, most_similar=0.999)
    assert len(set(chosen)) == 8
    assert set(cluster[chosen]) == {0, 1, 2, 3}
    assert representatives(vectors, 8, clusters=4, most_similar=0.999) == chosen
    random_cover = [len(set(cluster[np.random.default_rng(s).choice(513, 8)])) for s in range(50)]
    assert np.mean(random_cover) < 3


def test_phrases_find_their_patches_first_and_near_copies_are_left_out():
    vectors, cluster = clustered([50, 50, 50])
    phrases = np.eye(16, dtype=np.float32)[[2]]
    chosen = representatives(vectors, 6, clusters=3, phrases=phrases, phrase_share=0.5, most_similar=0.9999)
    assert (cluster[chosen[:3]] == 2).all()
    best = np.argsort(-(vectors @ phrases[0]))[:3]
    assert set(chosen[:3]) == set(best.tolist())
    copies = np.repeat(vectors[:3], 20, axis=0)
    assert len(representatives(copies, 10, clusters=4)) <= 3
    assert representatives(vectors[:0], 5) == []
    assert len(representatives(vectors, 1000, clusters=500, most_similar=1.0)) <= 150


def embed(root, vectors, model="hf:org/model"):
    uids = [row["uid"] for row in Corpus(root).table("samples").to_pylist()]
    rows = [{"uid": uid, "model": model, "vector": row} for uid, row in zip(uids, vectors, strict=True)]
    schema = pa.schema([("uid", pa.string()), ("model", pa.string()), ("vector", pa.list_(pa.float16()))])
    (root / "tables/embeddings").mkdir(exist_ok=True)
    part = root / "tables/embeddings" / f"by-hand-{len(model)}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), part)
    return dict(zip(uids, vectors, strict=True))


def test_scores_name_the_representative_patches(corpus, capsys):
    vectors = np.array([[1, 0, 0], [0.999, 0.02, 0], [0, 1, 0], [0, 0, 1]], np.float16)
    embed(corpus, vectors)
    words = ["score", str(corpus), "--from", "representatives", "--engine", "inline", "--model"]
    assert main([*words, "hf:org/other"]) == 2
    assert "there are those of: hf:org/model" in " ".join(capsys.readouterr().err.split())
    assert main([*words, "hf:org/model", "--clusters", "3", "--count", "4"]) == 0
    rows = Corpus(corpus).table("scores").to_pylist()
    assert sorted(row["value"] for row in rows) == [1, 2, 3]  # the near-copy is left out
    assert {row["uid"] for row in rows} in ({"p0", "p2", "p3"}, {"p1", "p2", "p3"})
    assert {(row["name"], row["producer"]) for row in rows} == {("representative", "representatives@1")}
    assert main([*words, "hf:org/model", "--clusters", "3", "--count", "4"]) == 0
    assert len(Corpus(corpus).table("scores")) == 3


def test_features_are_read_in_the_order_asked_for(corpus):
    vectors = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float16)
    known = embed(corpus, vectors)
    embed(corpus, vectors * 2, model="another")
    features = read_features(corpus, "hf:org/model")
    np.testing.assert_array_equal(features.of(["p3", "p0", "p3"]), np.stack([known[u] for u in ("p3", "p0", "p3")]))
    assert set(read_features(corpus, "another", ["p1", "p2"]).rows) == {"p1", "p2"}
    with pytest.raises(InputError, match="1 of 2 patches have no embedding by 'hf:org/model', such as p9"):
        features.of(["p0", "p9"])
