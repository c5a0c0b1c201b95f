"""`voxtile caption` with a language model, from the command to the tables, against a real HTTP endpoint."""

import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.identity import KeyMap
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import append_rows
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import RunFailedError
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.command import caption_corpus
from voxtile_datasets.captions.context.contexts import refuse_cycles
from voxtile_datasets.captions.context.identifiers import identifiers_of
from voxtile_datasets.captions.context.prompts import installed_prompts
from voxtile_datasets.captions.context.sample import SampleContext
from voxtile_datasets.captions.guards.stray_words import stray_word
from voxtile_datasets.captions.strategies.table import STRATEGIES

PATIENT, RECORD, CLINIC = "Featherstonehaugh", "MRN4471903", "Quirinalshospital"
FINDINGS = ("pneumonia", "atelectasis", "emphysema", "cardiomegaly")


class Pictures:
    """An engine task that stores pictures whose every column of names holds an identifier."""

    name, version = "pictures", "1"

    def __init__(self, count, licence):
        self.count, self.licence = count, licence

    def config(self):
        return {"count": self.count, "licence": self.licence}

    def items(self):
        return [Item(f"{PATIENT}/{RECORD}-{n}.png", {"n": n}) for n in range(self.count)]

    def process(self, item):
        number = item.inputs["n"]
        stream = io.BytesIO()
        Image.fromarray(np.full((16, 16), number, np.uint8)).save(stream, "PNG")
        row = {
            "uid": f"{number:032x}", "subject": f"{PATIENT}-{RECORD}-{number}", "study": f"1.2.840.{number}99887766",
            "kind": "image", "modality": "DX", "axes": "YX", "datetime": "1987-03-21", "licence": self.licence,
            "attributes": json.dumps({"body_part": "chest", "series": "1.2.840.113619.2.55.3", "who": PATIENT}),
        }  # fmt: skip
        return Outcome("used", samples=(Sample(row, stream.getvalue()),))


def polarities(number):
    return {name: ("present", "absent")[(number + k) % 2] for k, name in enumerate(FINDINGS[:2])}


def build(folder, count=6, licence="CC BY 4.0", raw=None):
    run_task(Pictures(count, licence), folder, RunOptions(engine="inline"))
    facts, captions, regions = [], [], []
    for number in range(count):
        uid = f"{number:032x}"
        for name, polarity in polarities(number).items():
            attributes = {
                "patient": PATIENT,
                "osm_ids": [4471903],
                "evidence": [f"{PATIENT} has it"],
                "side_note": RECORD,
            }
            row = {"uid": uid, "concept": name, "polarity": polarity, "attributes": json.dumps(attributes)}
            facts.append({**row, "region_id": f"region{number}4471903", "code": RECORD, "source": f"labels@{CLINIC}"})
        said = " ".join(
            f"{name.capitalize()} is {'seen' if p == 'present' else 'not seen'}."
            for name, p in polarities(number).items()
        )
        texts = [("template", said), ("raw", raw or f"Chest film. {said}")]
        captions += [
            {"caption_id": f"caption{kind}{number}", "uid": uid, "text": text, "lang": "en", "kind": kind}
            for kind, text in texts
        ]
        regions.append(
            {"region_id": f"region{number}4471903", "uid": uid, "phrase": "pneumonia", "box": [2.0, 2.0, 9.0, 9.0]}
        )
    for table, rows in (("facts", facts), ("captions", captions), ("regions", regions)):
        append_rows(folder, table, "made", rows)
    return folder


def truth(prompt):
    """A faithful model: it says the facts of the prompt."""
    facts = dict.fromkeys(re.findall(r"(present|absent): (\w+)", prompt))
    return "The film shows " + " and ".join(f"{'' if p == 'present' else 'no '}{name}" for p, name in facts) + "."


class Model:
    """An endpoint in a thread of its own; `answer(prompt, number)` is the text of a reply, or a status."""

    def __init__(self):
        self.answer, self.prompts, self.answered = None, [], []

    async def _reply(self, request):
        body = await request.json()
        chat = "messages" in body
        if chat:
            parts = [
                m["content"] if isinstance(m["content"], str) else m["content"][-1]["text"] for m in body["messages"]
            ]
            prompt = "\n".join(parts)
        else:
            prompt = body["prompt"]
        self.prompts.append(prompt)
        text = self.answer(prompt, len(self.prompts) - 1)
        if isinstance(text, int):
            return web.json_response({"error": {"message": "no"}}, status=text)
        self.answered.append(json.dumps(body, sort_keys=True))
        said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        usage = {"prompt_tokens": 100, "completion_tokens": 7}
        return web.json_response(
            {"model": "m", "choices": [{"index": 0, "finish_reason": "stop", **said}], "usage": usage}
        )


@pytest.fixture(scope="module")
def server():
    import asyncio
    import threading

    model, loop, started = Model(), asyncio.new_event_loop(), threading.Event()

    async def serve():
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/{tail:.*}", model._reply)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        model.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        started.set()

    def spin():
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    started.wait()
    yield model
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture
def model(server):
    server.answer = lambda prompt, _: json.dumps({"caption": truth(prompt)})
    server.prompts, server.answered = [], []
    return server


@pytest.fixture
def corpus(tmp_path):
    return build(tmp_path / "corpus")


def rows(corpus, table, **equal):
    return [row for row in Corpus(corpus).table(table).to_pylist() if all(row[k] == v for k, v in equal.items())]


def asked(corpus, model, **options):
    caption_corpus(corpus, provider="openai", model="m", base_url=model.url, **options)


def outcomes(corpus):
    ledger = Corpus(corpus).ledger().to_pylist()
    return Counter((r["status"], r["reason"]) for r in ledger if r["source"].startswith("caption-"))


def test_every_sample_gets_one_caption_with_its_verdict_parents_and_price(corpus, model):
    told = []

    def answer(prompt, number):
        if "An earlier answer was refused" in prompt:
            told.append(prompt)
        elif len(model.prompts) % 2:  # each second first answer says what the facts deny
            return json.dumps({"caption": "There is pneumonia, atelectasis, and a pneumothorax on the left."})
        return json.dumps({"caption": truth(prompt)})

    model.answer = answer
    asked(corpus, model)
    captions, verdicts = rows(corpus, "captions", kind="rewrite"), rows(corpus, "verdicts")
    assert Counter(row["uid"] for row in captions) == {f"{n:032x}": 1 for n in range(6)}
    assert {row["caption_id"] for row in verdicts} == {row["caption_id"] for row in captions}
    assert {row["verdict"] for row in verdicts} == {"supported"}
    assert told
    assert all("pneumothorax" in prompt for prompt in told)  # the words of the fault
    known = {row["caption_id"] for row in rows(corpus, "captions", kind="template")}
    assert all(set(row["parents"]) <= known and row["parents"] for row in captions)
    assert {(row["provider"], row["model"], row["lang"], row["cost_usd"]) for row in captions} == {
        ("openai", "m", "en", 0)
    }
    assert sum(row["tokens_out"] for row in captions) == 7 * len(model.prompts)  # failed tries are paid for too
    assert all(len(row["prompt_sha"]) == len(row["request_sha"]) == 64 and row["created"] for row in captions)
    before = len(model.prompts)
    asked(corpus, model)
    assert len(model.prompts) == before
    assert len(rows(corpus, "captions", kind="rewrite")) == 6


@pytest.mark.cases(4)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_prompt_holds_an_identifier(corpus, model, tmp_path, strategy):
    KeyMap(tmp_path / "keys.parquet").save()
    (tmp_path / "found.jsonl").write_text(
        "\n".join(json.dumps({"uid": f"{n:032x}", "expert": "net", "concept": "emphysema"}) for n in range(6))
    )
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "knowledge" / "lung.txt").write_text("Pneumonia is an infection of the lung.")
    options = {"experts": tmp_path / "found.jsonl"} if strategy == "fuse-experts" else {}
    options |= {"knowledge": tmp_path / "knowledge"} if strategy == "roi" else {}
    options |= {"languages": "de"} if strategy == "translate" else {}
    model.answer = lambda *_: "There is pneumonia, and there is atelectasis."  # never both, so that faults are told
    with pytest.raises(RunFailedError):
        asked(corpus, model, strategy=strategy, tries=2, key_file=tmp_path / "keys.parquet", **options)
    if strategy == "rewrite":
        with pytest.raises(RunFailedError):
            asked(corpus, model, strategy=strategy, completion=True, tries=2)
    assert model.prompts
    for prompt in model.prompts:
        found = re.findall(
            rf"(?i){PATIENT}|{RECORD}|{CLINIC}|4471903|1987|1\.2\.840|[0-9a-f]{{32}}|caption(raw|template)\d|\.png",
            prompt,
        )
        assert not found, prompt


def test_a_name_in_a_report_is_kept_from_the_endpoint(tmp_path, model):
    """The key map knows the folder of the patient, and the report's writer has used the name."""
    corpus = build(tmp_path / "corpus", 2, raw=f"Chest film of Mr {PATIENT}. Pneumonia is seen.")
    keys = KeyMap(tmp_path / "keys.parquet")
    for row in rows(corpus, "samples"):
        keys.remember(row["source"], f"ward/{PATIENT}^Basil/scan.png")
    keys.save()
    with pytest.raises(RunFailedError, match="identifier"):
        asked(corpus, model, strategy="fuse", key_file=tmp_path / "keys.parquet")
    assert not model.prompts
    assert outcomes(corpus) == {("failed", "identifier"): 2}


def test_identifiers_are_found_in_any_writing_and_words_of_the_field_are_none():
    row = {
        "subject": "Featherstone^Basil^J",
        "study": "1.2.840.99887766",
        "datetime": "1987-03-21T10:00",
        "uid": "0" * 32,
    }
    held = identifiers_of([row], ["ward/CHEST_CT/Quirinal/IM00017.dcm"], frozenset({"chest", "ward"}))
    for text in (
        "Mr FEATHERSTONE",
        "study 1.2.840.99887766",
        "of 1987/03/21",
        "19870321",
        "im00017",
        "(quirinal)",
        "basil",
    ):
        assert held.found_in(f"A chest CT, {text}."), text
    for text in ("A chest CT in the ward.", "An 8 mm nodule in T12.", "In 1987, 21 nodules, 03 of them on the left."):
        assert held.found_in(text) is None, text


def test_credentialed_data_stays_here_and_no_derivatives_is_kept(tmp_path, capsys, model):
    remote = ["--provider", "openai", "--model", "m", "--base-url", "http://192.0.2.1:9/v1"]
    corpus = str(build(tmp_path / "held", 2, licence="PhysioNet Credentialed Health Data License 1.5.0"))
    assert main(["caption", corpus, *remote]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "PhysioNet Credentialed Health Data License 1.5.0" in said
    assert "--allow-remote-credentialed" in said
    allowed = [*remote, "--allow-remote-credentialed", "true", "--dry-run", "true"]
    assert main(["caption", corpus, *allowed]) == 0  # a dry run sends nothing, and the licence is no obstacle
    asked(tmp_path / "held", model)  # an endpoint of this machine
    assert rows(tmp_path / "held", "captions", kind="rewrite")
    closed = str(build(tmp_path / "closed", 2, licence="CC BY-NC-ND 4.0"))
    assert main(["caption", closed, "--provider", "openai", "--model", "m", "--base-url", model.url]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "'CC BY-NC-ND 4.0' forbids derivatives" in said


def test_fact_by_fact_a_base_model_is_shown_examples_of_other_concepts(corpus, model):
    def answer(prompt, _):
        concept = re.findall(r"Finding: (.+)\n", prompt)[-1]
        if concept == "atelectasis":
            return " Pneumothorax is seen on the left.\nFinding: more"
        return f" We note {concept}." if "is there" in prompt else f" Free of {concept}."

    model.answer = answer
    asked(corpus, model, completion=True)
    captions = {row["uid"]: row["text"] for row in rows(corpus, "captions", kind="rewrite")}
    for number in range(6):
        is_present = polarities(number)["pneumonia"] == "present"
        assert captions[f"{number:032x}"] == ("We note pneumonia." if is_present else "Free of pneumonia.")
    assert {row["verdict"] for row in rows(corpus, "verdicts")} == {"supported"}
    counts = Counter(re.findall(r"Finding: (.+)\n", prompt)[-1] for prompt in model.prompts)
    assert counts == {"pneumonia": 6, "atelectasis": 6 * 4}  # the fact that fails is asked for four times, alone
    for prompt in model.prompts:
        shown = re.findall(r"Finding: (.+)\nSentence: (.+)\n", prompt)
        assert len(shown) == 12
        assert not re.search("pneumonia|atelectasis", " ".join(sentence for _, sentence in shown))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Pneumonia.", "malformed"),
        ("pneumonia " * 10_000, "malformed"),
        ("Auf der Aufnahme ist eine Pneumonie zu sehen, aber keine Atelektase der Lunge.", "malformed"),
        ("", "malformed"),
        ("There is pneumonia and atelectasis and pneumothorax.", "unknown"),
    ],
)
def test_replies_that_are_no_caption_are_a_named_failure(corpus, model, capsys, monkeypatch, reply, reason):
    monkeypatch.setenv("COLUMNS", "160")
    model.answer = lambda *_: json.dumps({"caption": reply}) if reply else ""
    options = ["--provider", "openai", "--model", "m", "--base-url", model.url, "--limit", "1", "--tries", "2"]
    assert main(["caption", str(corpus), *options]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "voxtile: error: 1 of 1 inputs failed" in said
    assert "Traceback" not in said
    requests = 2 if reason == "malformed" else 4  # what is not true is asked for a finding at a time
    assert len(model.prompts) == requests
    assert not rows(corpus, "captions", kind="rewrite")
    [(asked_for, cached, failed)] = re.findall(r"openai: m │ (\d+) │ (\d+) │ (\d+ \w+) │", said)
    assert (asked_for, cached, failed.split()[0]) == (str(requests), "0", "1")
    [(status, found)] = outcomes(corpus)
    assert (status, found if reason == "malformed" else "unknown") == ("failed", reason)


@pytest.mark.cases(4)
@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ("## Caption\n\n**The film shows pneumonia** and no *atelectasis*.\n\n---\n*Written from the facts.*", True),
        ('```json\n{"caption": "- The film shows **pneumonia** and no atelectasis."}\n```', True),
        ('{"caption": "The film shows pneumonia and no atelectasis.", "note": "Tell me if', True),
        ('{"caption": "The film shows pneumonia and no atel', False),
        ('{"capt', False),
        ("| finding | state |\n|---|---|\n| pneumonia | present |", False),
        ("- present: pneumonia\n- absent: atelectasis", False),
        ('{"caption": "present: pneumonia, absent: atelectasis"}', "repeats-facts"),
        ("No abnormality.", "contradicted"),
        ("There is no atelectasis.", "unfit"),
    ],
)
def test_what_small_models_answer_becomes_a_clean_caption_or_a_named_failure(corpus, model, capsys, reply, kept):
    """Markdown, half a JSON, the facts once more, nothing but denials: each through the command."""
    model.answer = lambda *_: reply
    ending = main([
        "caption", "model", str(corpus), "--provider", "openai", "--model", "m", "--base-url", model.url,
        "--where", f"uid = '{0:032x}'", "--tries", "2",
    ])  # fmt: skip
    found = [row["text"] for row in rows(corpus, "captions", kind="rewrite")]
    if kept is True:
        assert (ending, found) == (0, ["The film shows pneumonia and no atelectasis."])
        return
    [(status, reason)] = outcomes(corpus)
    assert (ending, found, status) == (1, [], "failed")
    assert reason == (kept or "malformed")
    assert "Traceback" not in capsys.readouterr().err


def refused(capsys, *argv):
    """The one sentence of a command that is refused."""
    assert main([str(word) for word in argv]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    [sentence] = [line for line in " ".join(said.split()).split("voxtile: error: ") if line]
    return sentence


def test_what_cannot_be_asked_is_one_sentence(corpus, model, capsys, tmp_path, monkeypatch):
    gguf = tmp_path / "model.gguf"
    gguf.write_bytes(b"<html>not found</html>" * 100)
    at = ("--provider", "openai", "--model", "m", "--base-url", model.url)
    assert "model.gguf" in refused(capsys, "caption", corpus, "--provider", "local", "--model", gguf)
    nowhere = refused(capsys, "caption", corpus, *at[:-1], "http://127.0.0.1:9/v1")
    assert "127.0.0.1:9" in nowhere
    model.answer = lambda *_: 401
    assert "OPENAI_API_KEY" in refused(capsys, "caption", corpus, *at)
    assert "did you mean 'rewrite'?" in refused(capsys, "caption", corpus, *at, "--strategy", "rewriet")
    assert "SELECT" not in refused(capsys, "caption", corpus, *at, "--where", "colour = 'red'")
    reads = "uid IN (SELECT content FROM read_text('/etc/hostname'))"
    assert "--where is empty" in refused(capsys, "caption", corpus, *at, "--where", "")
    for missing in (("--prices", tmp_path / "no"), ("--strategy", "fuse-experts", "--experts", tmp_path / "no.jsonl")):
        assert refused(capsys, "caption", corpus, *at, *missing).endswith("cannot be read: No such file or directory")
    assert "reads outside the corpus" in refused(capsys, "caption", corpus, *at, "--where", reads)
    assert "look at --where" in refused(capsys, "caption", corpus, *at, "--where", "modality = 'CT'")
    assert "follows instructions" in refused(
        capsys, "caption", corpus, *at, "--strategy", "fuse", "--completion", "true"
    )
    assert "--max-usd" in refused(capsys, "caption", corpus, *at, "--max-usd", "-1")
    assert "no reply cache" in refused(
        capsys, "caption", corpus, "--provider", "replay", "--replies", tmp_path / "none"
    )
    append_rows(corpus, "captions", "cycle", [
        {"caption_id": a, "uid": f"{0:032x}", "text": "A film.", "kind": "raw", "parents": [b]}
        for a, b in (("one", "two"), ("two", "one"))
    ])  # fmt: skip
    assert "itself among its parents" in refused(capsys, "caption", corpus, *at)
    assert not rows(corpus, "captions", kind="rewrite")


def test_without_a_fact_what_makes_some_is_said(tmp_path, model, capsys):
    bare = tmp_path / "bare"
    run_task(Pictures(2, "CC BY 4.0"), bare, RunOptions(engine="inline"))
    asked(bare, model)
    assert f"note: '{bare}' has no facts to caption; make some with: voxtile facts" in capsys.readouterr().err
    assert outcomes(bare) == {("dropped", "no-facts"): 2}
    some = build(tmp_path / "some", 1)
    asked(some, model)
    assert "no facts to caption" not in capsys.readouterr().err


def test_parents_without_a_cycle_pass():
    chain = [{"caption_id": str(n), "parents": [str(m) for m in range(n)]} for n in range(30)]
    others = [{"caption_id": "30", "parents": ["elsewhere"]}, {"caption_id": "31", "parents": None}]
    assert refuse_cycles([*chain, *others]) is None


def test_where_limit_dry_run_and_replay(corpus, model, capsys, monkeypatch):
    monkeypatch.setenv("VOXTILE_CACHE", str(corpus.parent / "elsewhere"))  # of models and phantoms, not of replies
    at = ["--provider", "openai", "--model", "m", "--base-url", model.url, "--limit", "2"]
    assert main(["caption", str(corpus), *at, "--dry-run", "true"]) == 0
    assert not model.prompts
    assert "2 samples" in capsys.readouterr().out
    assert not rows(corpus, "captions", kind="rewrite")
    assert [path.name for path in corpus.parent.iterdir()] == ["corpus"]
    where = "uid IN (SELECT uid FROM facts WHERE concept = 'pneumonia' AND polarity = 'absent')"
    assert main(["caption", str(corpus), *at, "--where", where]) == 0
    assert [int(row["uid"], 16) for row in rows(corpus, "captions", kind="rewrite")] == [1, 3]
    again = build(corpus.parent / "again")
    cache = corpus.parent / "corpus.replies"
    caption_corpus(again, provider="replay", replies=cache, where=where, limit=2)
    assert len(model.prompts) == 2
    drop = ("provider",)
    first, second = (
        [{k: v for k, v in row.items() if k not in drop} for row in rows(c, "captions", kind="rewrite")]
        for c in (corpus, again)
    )
    assert first == second


def settled(model):
    """What was answered, once the requests that a killed client left in the server's queue are answered too."""
    before = []
    while len(before) != len(model.answered):
        before = list(model.answered)
        time.sleep(0.3)
    return before


@pytest.mark.sweep(ci=True)
def test_killed_anywhere_nothing_is_asked_twice_and_the_tables_are_the_same(tmp_path, model):
    count, killed = 40, build(tmp_path / "killed", 40)
    whole = build(tmp_path / "whole", count)

    killed_by_now = threading.Event()

    def slow(prompt, _):
        if len(model.answered) >= 15:  # the kill comes in the middle, however late this process looks
            killed_by_now.wait(120)
        return json.dumps({"caption": truth(prompt)})

    model.answer = slow
    options = [
        "--provider",
        "openai",
        "--model",
        "m",
        "--base-url",
        model.url,
        "--concurrency",
        "3",
        "--job-items",
        "5",
    ]
    command = [sys.executable, "-P", "-m", "voxtile.cli.main", "caption", str(killed), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 900  # a busy machine is slow to start it
    while len(model.answered) < 12 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed_by_now.set()
    before = settled(model)
    assert 12 <= len(before) < count
    assert main(["caption", str(killed), *options]) == 0
    twice = [body for body, times in Counter(model.answered).items() if times > 1]
    assert len(twice) <= 3  # those that were in flight
    assert set(twice) <= set(before[-6:])
    caption_corpus(whole, provider="replay", replies=tmp_path / "killed.replies")
    found = []
    for corpus in (killed, whole):
        captions = [{**row, "provider": None} for row in rows(corpus, "captions", kind="rewrite")]
        found.append((sorted(captions, key=repr), sorted(rows(corpus, "verdicts"), key=repr)))
    assert len(found[0][0]) == count
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("text", "concept", "modality", "stray"),
    [
        ("A consolidation of the liver is seen.", "consolidation", "CT", "liver"),
        ("In the cervical spine, a fracture is noted.", "vertebral_fracture", "CT", "cervical"),
        ("Lymphocytes are seen in the stroma.", "lymphocytes", "SM", "stroma"),
        ("A lake with a beach.", "lake", "MSI", "beach"),
        ("No lesion is noted in the liver.", "liver_lesion", "CT", None),
        ("In this case, there is a diagnosis of pneumonia.", "pneumonia", "DX", None),
        ("The field contains adipose tissue.", "adipose", "SM", None),
        ("From above, a lake is visible in this picture.", "lake", "MSI", None),
    ],
)
def test_words_of_the_field_that_no_fact_brings(text, concept, modality, stray):
    prompt = installed_prompts().find("rewrite-fact", modality)
    nothing = {name: () for name in ("facts", "scopes", "captions", "regions")}
    sample = SampleContext("0", modality, None, None, None, picture=bytes, **nothing)
    assert stray_word(text, (concept, concept.replace("_", " ")), prompt, sample) == stray


def test_examples_of_every_domain_are_twelve_and_say_what_they_are_about():
    """A base model copies faults of its examples; each sentence is judged against its own fact."""
    vocabularies = installed_vocabularies()
    for prompt in installed_prompts().prompts:
        if prompt.strategy != "rewrite-fact":
            continue
        counts = Counter(example["polarity"] for example in prompt.examples)
        assert counts["present"] == counts["absent"] == 12
        assert len({example["sentence"].split(" ", 2)[1] for example in prompt.examples}) > 6
        vocabulary = vocabularies[prompt.domain]
        for example in prompt.examples:
            fact = {"concept": example["concept"], "polarity": example["polarity"], "value": None, "unit": None}
            sized = {"laterality": "left"} if "left" in example["finding"] else {}
            sized |= {"laterality": "right"} if "right" in example["finding"] else {}
            sized |= {"laterality": "bilateral"} if "bilateral" in example["finding"] else {}
            size = re.search(r"(\d+) (mm|cm)", example["finding"])
            fact |= {"value": float(size[1]), "unit": size[2]} if size else {}
            known = Known([{**fact, "attributes": json.dumps(sized), "region_id": None, "code": None}], ())
            verdict = check(example["sentence"], known, vocabulary)
            assert verdict.verdict in ("supported", "unknown"), (prompt.name, example, verdict.faults)


def test_unchecked_keeps_the_first_text_with_its_verdict(corpus, model):
    model.answer = lambda *_: json.dumps({"caption": "There is pneumonia, and there is atelectasis."})
    asked(corpus, model, unchecked=True)
    assert len(model.prompts) == 6
    assert {row["verdict"] for row in rows(corpus, "verdicts")} == {"contradicted"}
    assert len(rows(corpus, "captions", kind="rewrite")) == 6


def test_a_spent_budget_is_a_named_failure_that_a_retry_takes_up(corpus, model):
    with pytest.raises(RunFailedError, match="budget"):
        asked(corpus, model, max_tokens=321, concurrency=1)  # 107 a reply
    assert len(model.prompts) == 3
    assert outcomes(corpus) == {("used", None): 3, ("failed", "budget"): 3}
    asked(corpus, model, retry=True)
    assert len(model.prompts) == 6
    assert outcomes(corpus) == {("used", None): 6}
    assert Counter(row["uid"] for row in rows(corpus, "captions", kind="rewrite")) == {f"{n:032x}": 1 for n in range(6)}
