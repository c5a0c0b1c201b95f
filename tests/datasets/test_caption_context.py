"""Texts beside pictures reach the model and are no facts; captions know what they are of; repeated facts are none."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chat_endpoint import Endpoint, serving
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.errors import InputError
from voxtile_datasets.captions.context.beside_picture import context_of, read_context
from voxtile_datasets.captions.guards.repeated_facts import is_repetition

UID = "c" * 32
ALT = (
    "Landsat8: a bridge over the river near a <b>large stadium</b>, with sediment plumes &amp; mud. Photo: J. Doe, 2019"
)
RAW = "A bridge leads over a river."
SUPPORTED = ["A bridge crosses the river.", "The picture shows a river with a bridge."]
OF_CONTEXT = ["A stadium stands near a bridge.", "A river with sediment plumes is seen from above."]
INVENTED = ["There is a quarry beside the river.", "An airport lies beyond a bridge."]


def made(root, attributes):
    """A corpus of one picture with two facts, one of them of a region, and two captions."""
    new_corpus(root)
    stream = io.BytesIO()
    Image.fromarray(np.full((20, 20, 3), 90, np.uint8)).save(stream, "PNG")
    row = {"uid": UID, "subject": "s", "kind": "image", "axes": "YXC", "shape": [20, 20, 3], "modality": "RGB"}
    writer = JobWriter(root, "made-by-hand")
    writer.add(Sample(row | {"attributes": attributes}, stream.getvalue()))
    writer.publish()
    facts = [{"uid": UID, "concept": name, "polarity": "present", "source": "hand@1"} for name in ("river", "bridge")]
    append_rows(root, "facts", "f", [facts[0], facts[1] | {"region_id": "bridge-1"}])
    append_rows(root, "regions", "r", [
        {"uid": UID, "region_id": "bridge-1", "phrase": "bridge", "box": [0, 0, 4, 4]},
        {"uid": UID, "region_id": "other", "phrase": "trees", "box": [0, 0, 2, 2]},
    ])  # fmt: skip
    append_rows(root, "captions", "c", [
        {"caption_id": "1" * 32, "uid": UID, "text": RAW, "lang": "en", "kind": "raw"},
        {"caption_id": "2" * 32, "uid": UID, "text": "Trees are seen.", "lang": "en", "kind": "raw"},
    ])  # fmt: skip
    return root


@pytest.fixture
def corpus(tmp_path):
    return made(tmp_path / "corpus", json.dumps({"image_alt": ALT, "lat": 1.5}))


def captioned(corpus, strategy, answer, *words, ends=0):
    """The endpoint, and text → (row, verdict, detail) of the captions that a run adds."""
    endpoint = Endpoint(answer if callable(answer) else lambda prompt, number: json.dumps(answer))
    before = set(Corpus(corpus).table("captions")["caption_id"].to_pylist())
    with serving(endpoint) as url:
        chosen = ["--provider", "openai", "--strategy", strategy, "--base-url", url, "--model", "m"]
        assert main(["caption", str(corpus), *chosen, *words]) == ends
    store = Corpus(corpus)
    verdicts = {row["caption_id"]: row for row in store.table("verdicts").to_pylist()}
    added = [row for row in store.table("captions").to_pylist() if row["caption_id"] not in before]
    judged = [(row, verdicts[row["caption_id"]]) for row in added]
    return endpoint, {row["text"]: (row, v["verdict"], json.loads(v["detail"] or "[]")) for row, v in judged}


def test_what_only_the_text_beside_the_picture_says_is_marked_and_what_nobody_says_is_refused(corpus):
    texts = {"captions": [*SUPPORTED, *OF_CONTEXT, *INVENTED]}
    endpoint, found = captioned(corpus, "five", texts, "--tries", "1", ends=1)
    prompt = endpoint.prompts[0]
    assert (
        "alternative text: <<<Landsat8: a bridge over the river near a large stadium , with sediment plumes & mud."
        in prompt
    )
    assert "is no fact" in prompt
    facts = prompt[prompt.index("Facts,") : prompt.index("Text that stood")]
    assert "stadium" not in facts
    assert found.keys() == {*SUPPORTED, *OF_CONTEXT}
    assert {found[text][1] for text in SUPPORTED} == {"supported"}
    for text, words in zip(OF_CONTEXT, (["stadium"], ["sediment", "plumes"]), strict=True):
        assert found[text][1] == "unknown"
        assert [fault["words"] for fault in found[text][2]] == words
        assert {fault["kind"] for fault in found[text][2]} == {"context"}
        assert all("text beside the picture" in fault["why"] for fault in found[text][2])


def test_without_such_a_text_the_same_captions_are_refused(tmp_path):
    bare = made(tmp_path / "bare", None)
    endpoint, found = captioned(bare, "five", {"captions": [*SUPPORTED, OF_CONTEXT[0]]}, "--tries", "1", ends=1)
    assert found.keys() == {*SUPPORTED}
    assert "stood beside" not in endpoint.prompts[0]


def test_a_file_adds_texts_for_samples_and_fusing_may_take_them_over(corpus, tmp_path):
    file = tmp_path / "pages.jsonl"
    rows = [{"uid": UID, "title": "Mills of the valley", "text": ["First paragraph with a factory.", "Second one."]}]
    rows.append({"uid": "another", "caption": "Not of this one"})
    file.write_text("\n".join(map(json.dumps, rows)))
    text = "A bridge over a river beside a factory."
    endpoint, found = captioned(corpus, "fuse", {"caption": text}, "--context", str(file), "--tries", "1")
    prompt = endpoint.prompts[0]
    assert prompt.index("title of the page: <<<Mills") < prompt.index("alternative text: <<<Land")
    assert prompt.index("alternative text: <<<Land") < prompt.index("text around it: <<<First")
    assert "Not of this one" not in prompt
    assert found[text][1] == "unknown"
    assert [(fault["kind"], fault["words"]) for fault in found[text][2]] == [("context", "factory")]
    endpoint, found = captioned(corpus, "fuse", {"caption": text}, "--tries", "1", ends=1)
    assert not found


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", '{"title": "T"}', "row 1: 'uid' must be"), ("a.jsonl", '{"uid": "a"}', "row 1: needs a text"),
        ("a.jsonl", "{", "cannot be read"), ("a.jsonl", "[1]", "line 1: is no JSON object"),
        ("a.jsonl", "", "hold no row"),
        ("a.csv", "uid,title", "neither .jsonl nor .parquet"), ("a.parquet", "no table", "cannot be read"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=says):
        read_context(tmp_path / name)


def test_texts_are_read_from_parquet_and_a_file_about_other_samples_is_refused(corpus, tmp_path, capsys):
    pq.write_table(pa.table({"uid": ["x", "x"], "alt_text": ["one", "two"], "n": [1, 2]}), tmp_path / "pages.parquet")
    assert [row["text"] for row in read_context(tmp_path / "pages.parquet")["x"]] == ["one", "two"]
    captioned(corpus, "five", {}, "--context", str(tmp_path / "pages.parquet"), ends=2)
    assert "is about none of the chosen samples" in " ".join(capsys.readouterr().err.split())


def test_each_text_is_told_once_in_the_order_of_a_page():
    attributes = json.dumps({"image_alt": "A  port", "page_title": "Ports", "surrounding_text": ["a port", "More."]})
    told = ({"kind": "caption", "text": "The port"},)
    assert [(row["kind"], row["text"]) for row in context_of(attributes, told)] == [
        ("title", "Ports"), ("alt_text", "A port"), ("caption", "The port"), ("text", "More."),
    ]  # fmt: skip
    assert context_of("no JSON") == context_of(None) == ()


def test_captions_and_pairs_know_the_caption_that_says_the_same_and_their_region(corpus):
    of_bridge, of_both = "A bridge is seen from above.", "The picture shows a river with a bridge."
    _, five = captioned(corpus, "five", {"captions": [of_bridge, of_both]}, "--tries", "1", ends=1)
    pair = {"question": "What is there?", "answer": "There is a bridge."}
    _, qa = captioned(corpus, "qa", {"pairs": [pair]}, "--tries", "1", ends=1)
    found = five | qa
    whole = f"{pair['question']} {pair['answer']}"
    assert found.keys() == {of_bridge, of_both, whole}
    assert all(row["parents"] == ["1" * 32] for row, *_ in found.values())
    apart = {row["caption_id"]: row for row in Corpus(corpus).table("instructions").to_pylist()}
    assert apart.keys() == {found[text][0]["caption_id"] for text in (of_bridge, whole)}
    row = apart[found[of_bridge][0]["caption_id"]]
    assert (row["uid"], row["region_id"], row["question"], row["answer"]) == (UID, "bridge-1", None, None)
    row = apart[found[whole][0]["caption_id"]]
    assert (row["region_id"], row["question"], row["answer"]) == ("bridge-1", pair["question"], pair["answer"])


def test_a_reply_that_repeats_the_facts_is_no_caption_and_is_counted(corpus, capsys):
    worded = "A river with a bridge over it."

    def answer(prompt, number):
        return json.dumps(
            {"caption": worded if "only repeats the facts" in prompt else "present: bridge; present: river"}
        )

    endpoint, found = captioned(corpus, "rewrite", answer)
    assert found.keys() == {worded}
    assert len(endpoint.prompts) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "1 text of the model only repeats the facts word for word and counts as no caption" in said
    lists = {"captions": ["River, bridge.", "present: bridge, present: river", "Facts: river; bridge"]}
    _, found = captioned(corpus, "five", lists, "--tries", "2", ends=1)
    assert not found
    streams = capsys.readouterr()
    assert "repeats-facts" in streams.out
    assert "6 texts of the model only repeat the facts" in " ".join(streams.err.split())


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("present: nodule (12 mm; laterality: left)", True), ("Nodule, 12 mm, left; no pleural effusion.", True),
        ("Facts: nodule (12 mm, left) and absent pleural effusion", True), ("- present: nodule 12 mm left", True),
        ("present: nodule", False), ("Nodule", False), ("No pleural effusion.", False), ("A 12 mm nodule.", False),
        ("Left nodule of 12 mm, without pleural effusion.", False), ("", False),
        ("Nodule, 12 mm, in the left lung", False),
        ("Nodule (12 mm; laterality: left) in the upper lobe.", False),
    ],
)  # fmt: skip
def test_which_texts_only_repeat_the_facts(text, repeats):
    told = ("present: nodule (12 mm; laterality: left)", "absent: pleural effusion")
    assert is_repetition(text, told) is repeats
