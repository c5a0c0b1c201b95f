"""Describe, revise, summarise: against a real HTTP server that answers, refuses and counts; and which patches."""

import base64
import http.server
import json
import re
import threading
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.errors import InputError
from voxtile_datasets.captions.context.prompts import installed_prompts
from voxtile_pathology.coordinates.features import read_features
from voxtile_pathology.pathgen.selection import representatives

STEPS = ("describe", "revise", "summarise")


class Server:
    """An OpenAI-compatible endpoint: answers say what they were asked; `plan` holds statuses to give first."""

    def __init__(self):
        self.requests, self.plan, self.keys = [], [], set()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append((self.path, body))
                server.keys.add(self.headers.get("Authorization"))
                status = server.plan.pop(0) if server.plan else 200
                answer = server.answer(body) if status == 200 else {"error": {"message": "no way"}}
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
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
        content = body["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else content[-1]["text"]
        before = re.search(r"Description: <<<(.*)>>>", prompt)
        images = [] if isinstance(content, str) else [part for part in content if part["type"] == "image_url"]
        step = "A summary of" if not images else "A revision of" if before else "A field of tissue, seen as"
        seen = zlib.crc32(base64.b64decode(images[0]["image_url"]["url"].partition(",")[2])) if images else 0
        text = f" {step} ({before[1] if before else seen})\n"
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(text)}
        message = {"role": "assistant", "content": text}
        return {"model": "m", "choices": [{"index": 0, "message": message}], "usage": usage}

    @property
    def prompts(self):
        contents = [body["messages"][-1]["content"] for _, body in self.requests]
        return [content if isinstance(content, str) else content[-1]["text"] for content in contents]


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
        writer.add(Sample({**row, "modality": "SM"}, path.read_bytes()))
    writer.publish()
    return root


def choose(root, *uids):
    rows = [{"uid": u, "name": "representative", "value": 1.0, "producer": "by-hand@1"} for u in uids]
    append_rows(root, "scores", f"by-hand-{len(uids)}", rows)


def describe(root, server, *options):
    words = ["describe", str(root), "--with", "pathgen", "--base-url", server.url, "--model", "m"]
    return main([*words, *options])


def captions(root):
    order = {kind: number for number, kind in enumerate(("vlm", "rewrite"))}
    rows = Corpus(root).table("captions").to_pylist()
    return sorted(rows, key=lambda row: (row["uid"], order[row["kind"]], "summary" in row["text"]))


def test_three_texts_with_parents_tokens_prompts_and_verdicts(corpus, server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    choose(corpus, "p0", "p2")
    assert describe(corpus, server) == 0
    rows = captions(corpus)
    assert [(r["uid"], r["kind"]) for r in rows] == [
        (uid, kind) for uid in ("p0", "p2") for kind in ("vlm", "rewrite", "rewrite")
    ]
    for described, revised, summary in (rows[:3], rows[3:]):
        picture = (tmp_path / f"{described['uid'][1:]}.png").read_bytes()
        assert described["text"] == f"A field of tissue, seen as ({zlib.crc32(picture)})"
        assert revised["text"] == f"A revision of ({described['text']})"
        assert summary["text"] == f"A summary of ({revised['text']})"
        assert (described["parents"], revised["parents"], summary["parents"]) == (
            [], [described["caption_id"]], [revised["caption_id"]],
        )  # fmt: skip
    prompts = {prompt.strategy: prompt.sha256 for prompt in installed_prompts().prompts if "SM" in prompt.modalities}
    shas = [prompts[f"describe-revise-summarise/{step}"] for step in STEPS]
    assert [r["prompt_sha"] for r in rows] == shas * 2
    assert {(r["provider"], r["model"]) for r in rows} == {("openai", "m")}
    assert all(r["tokens_in"] > 0 and r["tokens_out"] == len(r["text"]) + 2 for r in rows)
    assert all(r["request_sha"] and r["created"] for r in rows)
    verdicts = {row["caption_id"]: row["verdict"] for row in Corpus(corpus).table("verdicts").to_pylist()}
    assert verdicts == {row["caption_id"]: "unknown" for row in rows}  # nothing is known of these patches
    assert server.keys == {"Bearer secret-key"}
    assert {path for path, _ in server.requests} == {"/v1/chat/completions"}
    assert "at 0.5 micrometres a pixel" in server.prompts[0]
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"secret-key" not in stored


def test_a_rerun_asks_nothing_twice_and_gives_the_same_rows(corpus, server, tmp_path):
    choose(corpus, "p0", "p1")
    assert describe(corpus, server) == 0
    first, asked = captions(corpus), len(server.requests)
    assert asked == 6
    assert describe(corpus, server) == 0  # done already
    for path in [p for name in ("tables/captions", "done", "manifests") for p in (corpus / name).iterdir()]:
        path.unlink()  # the corpus is lost, the replies are not
    assert describe(corpus, server) == 0
    assert captions(corpus) == first
    assert len(server.requests) == asked
    choose(corpus, "p0", "p1", "p3")
    assert describe(corpus, server) == 0
    assert len(server.requests) == asked + 3


def test_temporary_failures_are_retried_and_others_cost_one_row(corpus, server):
    choose(corpus, "p0", "p1")
    server.plan = [503, 200, 200, 200, 400]  # the first patch succeeds at the second try, the second is refused
    assert describe(corpus, server, "--concurrency", "1") == 1
    done = {row["uid"] for row in captions(corpus)}
    assert len(done) == 1
    ledger = {row["source"].partition("/")[2]: row for row in Corpus(corpus).ledger().to_pylist()}
    assert {uid: row["status"] for uid, row in ledger.items()} == {
        uid: "used" if uid in done else "failed" for uid in ("p0", "p1")
    }
    assert all(row["reason"] for uid, row in ledger.items() if uid not in done)
    assert describe(corpus, server, "--retry") == 0
    assert [row["uid"] for row in captions(corpus)] == ["p0"] * 3 + ["p1"] * 3
    assert len(server.requests) == 8


def test_pictures_leave_the_machine_only_on_request(corpus, capsys):
    choose(corpus, "p0")
    words = ["describe", str(corpus), "--with", "pathgen", "--model", "m", "--base-url"]
    for url, message in {
        "https://api.example.org/v1": "--send-to-remote",
        "http://10.1.2.3/v1": "--send-to-remote",
        "http://127.0.0.1.example.org/v1": "--send-to-remote",
        "ftp://localhost": "must be like http",
        "http://user:pass@localhost/v1": "keys in the environment",
    }.items():
        assert main([*words, url]) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_patches_that_are_not_chosen_are_not_described(corpus, server, tmp_path, capsys):
    assert describe(corpus, server) == 2
    assert "no representative patches" in " ".join(capsys.readouterr().err.split())
    assert describe(tmp_path / "nothing", server) == 2
    assert not server.requests
    assert describe(corpus, server, "--all-patches", "--dry-run") == 0
    assert not server.requests
    assert describe(corpus, server, "--all-patches") == 0
    assert len(server.requests) == 12


def test_own_prompts_come_before_ours(corpus, server, tmp_path):
    choose(corpus, "p0")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "first.yaml").write_text(
        "name: own\nversion: '1'\ndomain: pathology\nstrategy: describe-revise-summarise/describe\n"
        "template: 'Own words on {{ image }}{{ scale }}.'\n"
    )
    assert describe(corpus, server, "--prompts", str(tmp_path / "prompts")) == 0
    assert re.fullmatch(r"Own words on .+, at 0\.5 micrometres a pixel\.", server.prompts[0])
    assert "Compare the description" in server.prompts[1]


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
    assert "several choices" not in capsys.readouterr().err
    embed(corpus, np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]], np.float16), "hf:org/second")
    for choice, several in (
        ("hf:org/model --clusters 3 --count 3", False),
        ("hf:org/model --clusters 3 --count 2", True),
        ("hf:org/model --clusters 3 --count 3", False),
        ("hf:org/second --clusters 2 --count 3", True),  # p1 stands second
    ):
        assert main([*words, *choice.split()]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert ("1 slides have representatives of several choices" in said) == several
    ranks = {(row["uid"], row["value"]) for row in Corpus(corpus).table("scores").to_pylist()}
    assert len(ranks) > 3


def test_features_are_read_in_the_order_asked_for(corpus):
    vectors = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float16)
    known = embed(corpus, vectors)
    embed(corpus, vectors * 2, model="another")
    features = read_features(corpus, "hf:org/model")
    np.testing.assert_array_equal(features.of(["p3", "p0", "p3"]), np.stack([known[u] for u in ("p3", "p0", "p3")]))
    assert set(read_features(corpus, "another", ["p1", "p2"]).rows) == {"p1", "p2"}
    with pytest.raises(InputError, match="1 of 2 patches have no embedding by 'hf:org/model', such as p9"):
        features.of(["p0", "p9"])
