"""Retrieval against brute force, scikit-learn, cases worked by hand and the real duplicates of RSICD and RSITMD."""

import io
import json
import tracemalloc

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from rich.console import Console
from scipy.stats import hypergeom
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.metrics import top_k_accuracy_score
from torch.nn import functional

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.image import ImagePreset
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.kinds.retrieval import ranking
from voxtile.evaluation.kinds.retrieval.pairs import Pairs, read_pairs
from voxtile.evaluation.kinds.retrieval.questions import image_to_text, joined_questions, shown_others, text_to_image
from voxtile.evaluation.kinds.retrieval.ranking import Questions, find_both, find_places
from voxtile.evaluation.kinds.retrieval.task import RetrievalTask
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task

CUTOFFS = (1, 5, 10)
TASK = RetrievalTask(name="t", title="T", kind="retrieval", unit="sample")
DIRECTIONS = {"text-to-image": text_to_image, "image-to-text": image_to_text}


def expected(similarity, right, copies, cutoffs=CUTOFFS):
    """Recall of one query by sorting everything: similarity [G], right copies [G] of copies [G]."""
    best = similarity[right > 0].max()
    above = copies[similarity > best].sum()
    tied, wanted = copies[similarity == best].sum(), right[similarity == best].sum()
    drawn = [min(max(k - above, 0), tied) for k in cutoffs]
    return [1 - hypergeom.pmf(0, tied, wanted, n) for n in drawn]


def units(count, subjects=None):
    names = tuple(f"u{i:05d}" for i in range(count))
    subjects = np.array(names if subjects is None else subjects)
    return Units(names, np.arange(count), subjects, names)


def random_pairs(rng, count, kinds):
    """Up to four captions a unit out of few texts, of which every second differs from its neighbour in case alone."""
    unit = np.sort(np.r_[np.arange(count), rng.integers(0, count, 2 * count)])
    texts = tuple(f"Text {i // 2}" if i % 2 else f"text {i // 2}" for i in range(kinds))
    used, text = np.unique(rng.integers(0, kinds, len(unit)), return_inverse=True)
    return Pairs(units(count), tuple(texts[i] for i in used), text, unit, np.unique(used // 2, return_inverse=True)[1])


def brute(pairs, images, texts, direction, rule, order=None):
    """[Z, K] from the matrix of all captions by all units; `order` says whose image each unit shows."""
    shown = images if order is None else images[order]
    similarity = np.round(texts @ shown.T, 9)
    rows = []
    if direction == "text-to-image":
        for text, own in zip(pairs.text, pairs.unit, strict=True):
            told = pairs.unit[pairs.group[pairs.text] == pairs.group[text]]
            right = np.isin(np.arange(len(shown)), [own] if rule == "strict" else told).astype(int)
            rows.append(expected(similarity[text], right, np.ones(len(shown), int)))
        return np.array(rows)
    for unit in range(len(shown)):
        own = pairs.unit == unit
        if rule == "tolerant":
            own = np.isin(pairs.group[pairs.text], pairs.group[pairs.text[own]])
        rows.append(expected(similarity[pairs.text, unit], own.astype(int), np.ones(len(own), int)))
    return np.array(rows)


def found(pairs, images, texts, direction, rule, order=None):
    asked = DIRECTIONS[direction](pairs, rule)
    if order is not None:
        asked = shown_others(asked, direction, order)
    sides = (texts, images) if direction == "text-to-image" else (images, texts)
    copies = np.ones(len(images), int) if direction == "text-to-image" else pairs.copies
    return find_places(*sides, copies, asked.questions).recall(CUTOFFS)[asked.of]


def unit_vectors(rng, count, width=3, levels=3):
    """Few levels, so that many similarities are equal."""
    vectors = rng.integers(-levels, levels + 1, (count, width)) + 0.0
    vectors[np.all(vectors == 0, axis=1)] = 1
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("rule", ["strict", "tolerant"])
@pytest.mark.parametrize("direction", sorted(DIRECTIONS))
def test_equals_brute_force_with_ties_duplicates_and_permuted_images(direction, rule, monkeypatch):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        pairs = random_pairs(rng, 40, 30)
        images, texts = unit_vectors(rng, 40), unit_vectors(rng, len(pairs.texts))
        order = rng.permutation(40)
        for strip in (4_000_000, 130):  # all at once, and a few rows at a time
            monkeypatch.setattr(ranking, "_STRIP", strip)
            for shown in (None, order):
                got = found(pairs, images, texts, direction, rule, shown)
                np.testing.assert_allclose(got, brute(pairs, images, texts, direction, rule, shown), atol=1e-12)


def test_by_hand_with_one_caption_told_of_two_images():
    pairs = Pairs(units(4), ("a pond .", "a road .", "a field ."), np.array([0, 0, 1, 2]), np.arange(4), np.arange(3))
    texts = np.eye(3)
    images = texts[[0, 0, 1, 2]]  # a perfect model: each image is its caption
    for direction in DIRECTIONS:
        strict = found(pairs, images, texts, direction, "strict")
        assert strict[:, 0].tolist() == [0.5, 0.5, 1, 1], "the two ponds cannot be told apart"
        assert strict[:, 1].tolist() == [1, 1, 1, 1]
        assert found(pairs, images, texts, direction, "tolerant")[:, 0].tolist() == [1, 1, 1, 1]


def test_a_blind_model_is_at_chance_whatever_the_order():
    pairs = Pairs(units(20), tuple(map(str, range(20))), np.arange(20), np.arange(20), np.arange(20))
    same = np.full((20, 4), 0.5)
    for direction in DIRECTIONS:
        np.testing.assert_allclose(found(pairs, same, same, direction, "strict"), [[1 / 20, 5 / 20, 10 / 20]] * 20)


def test_without_duplicates_it_is_top_k_accuracy():
    rng = np.random.default_rng(3)
    pairs = Pairs(units(60), tuple(map(str, range(60))), np.arange(60), np.arange(60), np.arange(60))
    images, texts = rng.normal(size=(60, 8)), rng.normal(size=(60, 8))
    images, texts = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, images + 0.6 * texts))
    for direction, scores in (("text-to-image", texts @ images.T), ("image-to-text", images @ texts.T)):
        got = found(pairs, images, texts, direction, "strict").mean(axis=0)
        want = [top_k_accuracy_score(np.arange(60), scores, k=k, labels=np.arange(60)) for k in CUTOFFS]
        np.testing.assert_allclose(got, want)
        assert 0.2 < got[0] < 1


def test_no_matrix_of_all_pairs_is_held(monkeypatch):
    monkeypatch.setattr(ranking, "_STRIP", 100_000)
    count = 2500
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(2, count, 4))
    one = np.arange(count + 1)
    asked = joined_questions([Questions(one[:-1], one, one[:-1], np.ones(count, int))] * 3)
    tracemalloc.start()
    find_places(texts, images, np.ones(count, int), asked)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6 < 8 * count**2 / 4, "all similarities would take 50 MB"


@pytest.fixture(scope="module")
def real(test_data):
    """Captions of RSICD's and RSITMD's test sets, in words of a hashed vocabulary; images as the mean of theirs."""
    tables = {}
    for name in ("rsicd", "rsitmd"):
        content = json.loads((test_data / f"remote_sensing/captions_rsicd_rsitmd/{name}_test.json").read_text())
        told = [image["caption"] for image in content][250:450]
        tables[name] = told
    return tables


@pytest.mark.parametrize("name", ["rsicd", "rsitmd"])
def test_real_duplicates(real, name, tmp_path):
    told = real[name]
    new_corpus(tmp_path / "corpus")
    writer, every = JobWriter(tmp_path / "corpus", "made"), units(len(told))
    rows = [
        {"caption_id": f"{uid}-{number}", "uid": uid, "text": text, "kind": "raw"}
        for uid, texts in zip(every.uids, told, strict=True)
        for number, text in enumerate(texts)
    ]
    writer.add_rows("captions", [*rows, {"caption_id": "x", "uid": "u00000", "text": "not this", "kind": "rewrite"}])
    writer.publish()
    pairs = read_pairs(Corpus(tmp_path / "corpus"), TASK, every)
    flat = [text for texts in told for text in texts]
    assert [pairs.texts[t] for t in pairs.text] == flat
    assert len(pairs.texts) == len(set(flat)) < len(flat), "captions are told more than once"
    folded = {" ".join(text.casefold().split()).strip(" .;,:!") for text in flat}
    assert len(np.unique(pairs.group)) == len(folded)
    words = HashingVectorizer(n_features=64, alternate_sign=False).transform(pairs.texts).toarray()
    images = np.stack([words[pairs.text[pairs.unit == unit][:2]].mean(axis=0) for unit in range(len(told))])
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    means = {}
    for direction in DIRECTIONS:
        for rule in ("strict", "tolerant"):
            got = found(pairs, images, words, direction, rule)
            np.testing.assert_allclose(got, brute(pairs, images, words, direction, rule), atol=1e-12)
            means[direction, rule] = got.mean(axis=0)
        assert (means[direction, "tolerant"] >= means[direction, "strict"] - 1e-12).all()
    gain = means["text-to-image", "tolerant"] - means["text-to-image", "strict"]
    assert gain[0] > 0, "duplicates of other images cost the strict rule"


COLOURS = ("red", "green", "blue")


class ColourModel:
    """Embeds the mean colour; a text is the colours that it names."""

    name, logit_scale, fact_names = "colours", 20.0, ()

    def __init__(self):
        self.preset = ImagePreset(size=(16, 16), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    def encode_images(self, images):
        return functional.normalize(images.mean(dim=(2, 3)), dim=1)

    def encode_texts(self, texts):
        return torch.tensor([[float(text.casefold().count(c)) for c in COLOURS] for text in texts]).add(1e-3)


def picture_corpus(root, count=160, shared=2, outside=None):
    """Pictures of one of 18 tints, two captions each, some told of several; `shared` pictures are of one subject.

    They lie in the folder `outside`, or in the corpus.
    """
    new_corpus(root)
    writer, rng = JobWriter(root, "made"), np.random.default_rng(1)
    tables = {"captions": [], "splits": []}
    for number in range(count):
        tint = rng.integers(0, 4, 3) + np.array([1, 0, 0])
        pixels = np.clip(rng.integers(0, 60, (16, 16, 3)) + 45 * tint, 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        uid, subject = f"u{number:03d}", f"p{number // shared}"
        row = {"uid": uid, "subject": subject, "study": f"s{number // 2}", "kind": "image", "modality": "RGB"}
        row |= {"units": None, "licence": "synthetic"}
        if outside is None:
            writer.add(Sample(row, buffer.getvalue()))
        else:
            (outside / f"{uid}.png").write_bytes(buffer.getvalue())
            reference = {"uri": (outside / f"{uid}.png").as_uri()}
            row |= {"codec": "ref", "axes": "YXC", "shape": [16, 16, 3], "dtype": "uint8"}
            writer.add(Sample(row | {"ref": json.dumps(reference)}, None))
        named = " ".join(word for word, times in zip(COLOURS, tint, strict=True) for word in [word] * int(times))
        texts = [f"{named} .", f"A picture of {named}"] if number % 10 else []
        tables["captions"] += [
            {"caption_id": f"{uid}{k}", "uid": uid, "text": text, "kind": "raw"} for k, text in enumerate(texts)
        ]
        if number % shared == 0:
            split = ("test", "train", "test", "val")[(number // shared) % 4]
            tables["splits"].append({"scheme": "default", "subject": subject, "split": split})
    for name, rows in tables.items():
        writer.add_rows(name, rows)
    writer.publish()
    return Corpus(root)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return picture_corpus(tmp_path_factory.mktemp("pictures") / "corpus")


def evaluated(corpus, folder, *, references=None, **task):
    (folder / "find.yaml").write_text(yaml.safe_dump({"kind": "retrieval"} | task))
    evaluation = evaluate_model(
        ColourModel(), "m", corpus, [str(folder / "find.yaml")], Options(replicates=200, batch_size=32)
    )
    console = Console(file=io.StringIO(), width=200)
    report(evaluation, folder, console, references=references)
    return evaluation.results[0], json.loads((folder / "results.json").read_text()), console.file.getvalue()


def test_pictures_outside_the_corpus_are_measured_and_not_shown(tmp_path, monkeypatch):
    monkeypatch.delenv("VOXTILE_REFERENCES", raising=False)
    outside = tmp_path / "outside"
    outside.mkdir()
    corpus = picture_corpus(tmp_path / "corpus", outside=outside)
    _, hidden, _ = evaluated(corpus, tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "data:image/jpeg" not in page
    assert page.count("is not copied into this page") == 1
    _, shown, _ = evaluated(corpus, tmp_path, references=outside)
    page = (tmp_path / "index.html").read_text()
    assert "data:image/jpeg" in page
    assert "is not copied" not in page
    assert hidden["rows"] == shown["rows"]


def test_a_run_from_pixels_to_the_page(pictures, tmp_path):
    result, written, printed = evaluated(pictures, tmp_path, title="Find it", about="A sentence.")
    rows = {(r["kind"], r["metric"], r["class"]): r for r in written["rows"]}
    assert len(rows) == len(written["rows"]) == 3 * 2 * 7
    assert {(r["average"], r["task"]) for r in written["rows"]} == {("none", "find"), ("macro", "find")}
    pairs = read_pairs(pictures, TASK, result.units)
    images = torch.stack([result.images.image(uid) for uid in result.units.names])
    model = ColourModel()
    shown = model.encode_images(images).double().numpy()
    texts = functional.normalize(model.encode_texts(pairs.texts).double(), dim=1).numpy()
    for direction in DIRECTIONS:
        for rule in ("strict", "tolerant"):
            values = brute(pairs, shown, texts, direction, rule)
            for column, k in enumerate(CUTOFFS):
                row = rows["model", f"recall@{k}", f"{direction}/{rule}"]
                assert row["value"] == pytest.approx(values[:, column].mean(), abs=1e-9)
                assert row["low"] < row["value"] <= row["high"]
                assert row["n"] == len(values)
    mean = np.mean([rows["model", f"recall@{k}", f"{d}/strict"]["value"] for k in CUTOFFS for d in DIRECTIONS])
    assert rows["model", "mean_recall", "strict"]["value"] == pytest.approx(mean)
    model_mean, simple, chance = (rows[kind, "mean_recall", "strict"] for kind in ("model", "trivial", "shuffled"))
    assert chance["high"] < simple["value"]
    assert chance["high"] < model_mean["low"]
    first = rows["shuffled", "recall@1", "text-to-image/strict"]["value"]
    assert first == pytest.approx(1 / len(pairs.units), abs=0.02)
    difference = written["differences"][0]
    assert (difference["metric"], difference["baseline"]) == ("mean_recall", "thumbnail-to-words")
    assert difference["value"] == pytest.approx(model_mean["value"] - simple["value"])
    assert written["provenance"]["tasks"]["find"]["captions"] == len(pairs.text)
    assert any("have no caption of this kind" in note["text"] for note in written["notes"])
    page = (tmp_path / "index.html").read_text()
    assert "A sentence." in page
    assert f"{model_mean['value']:.3f}" in page
    assert f"{model_mean['value']:.3f}" in printed
    assert "Not search in the world" in page
    assert "working point" not in page
    assert page.count("data:image/jpeg") >= 6


@pytest.mark.parametrize("asked", [False, True])
def test_texts_of_the_corpus_stand_in_the_page_only_where_that_is_asked_for(pictures, tmp_path, asked):
    (tmp_path / "find.yaml").write_text("kind: retrieval\n")
    options = Options(replicates=100, batch_size=32, show_texts=asked)
    evaluation = evaluate_model(ColourModel(), "m", pictures, [str(tmp_path / "find.yaml")], options)
    report(evaluation, tmp_path, Console(file=io.StringIO(), width=200))
    texts = {text for text in pictures.table("captions")["text"].to_pylist() if text.startswith("A picture of ")}
    for path in tmp_path.iterdir():
        if path.name == "find.yaml":
            continue
        content = path.read_bytes()
        held = [text for text in texts if text.encode() in content]
        assert bool(held) == (asked and path.name == "index.html"), (path.name, held[:3])
    page = (tmp_path / "index.html").read_text()
    assert ("--show-texts true" in page) is not asked
    assert ("a text of " in page) is not asked


def test_samples_of_a_study_share_their_report(pictures, tmp_path):
    twice = picture_corpus(tmp_path / "corpus", 80)
    writer = JobWriter(tmp_path / "corpus", "more")
    rows = [row | {"caption_id": f"{row['caption_id']}-again"} for row in twice.table("captions").to_pylist()]
    writer.add_rows("captions", rows)
    writer.publish()
    result, _, _ = evaluated(Corpus(tmp_path / "corpus"), tmp_path, unit="study", recall=[1])
    members = result.units.members()
    captions = {(row["uid"], row["text"]) for row in rows}
    told = {(name, text) for name, uids in members.items() for uid, text in captions if uid in uids}
    assert result.captions == len(told), "the same words count once a study"
    assert {len(uids) for uids in members.values()} == {2}, "two pictures a study"


def test_few_subjects_get_no_figure(tmp_path):
    result, written, _ = evaluated(picture_corpus(tmp_path / "corpus", 80, shared=10), tmp_path)
    assert {row["value"] for row in written["rows"]} == {None}
    assert "come from only" in result.notes[0]
    assert not written["differences"]


def test_without_captions_or_training_captions(pictures, tmp_path):
    with pytest.raises(EvaluationError, match=r"no sample of the split has a caption of the kind row; did you mean"):
        evaluated(pictures, tmp_path, captions=["row"])
    result, _, _ = evaluated(pictures, tmp_path, split="train")
    assert any(note.startswith("no trivial baseline") for note in result.notes)
    assert {row.kind for row in result.rows} == {"model", "shuffled"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"captions": "raw"}, r"at captions: expected a list of kinds such as \[raw\], found 'raw'"),
        ({"recall": [0, 5]}, r"at recall: expected a list of different whole numbers above 0"),
        ({"recall": [True]}, "at recall"),
        ({"recall": [5, 5]}, "at recall"),
        ({"recall": []}, "at recall"),
        ({"classes": {}}, "unknown key 'classes'"),
        ({"recal": [1]}, r"unknown key 'recal'; did you mean 'recall'\?"),
    ],
)
def test_task_files(tmp_path, change, said):
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump({"kind": "retrieval"} | change))
    with pytest.raises(ConfigError, match=said):
        load_task(str(path))


def test_defaults_of_a_task(tmp_path):
    (tmp_path / "t.yaml").write_text("kind: retrieval\nrecall: [10, 1]\n")
    task = load_task(str(tmp_path / "t.yaml"))
    assert (task.captions, task.recall, task.unit, task.split) == (("raw",), (1, 10), "sample", "test")


@pytest.mark.parametrize("kind", ["random", "blind", "near ties", "float32"])
def test_both_directions_at_once_are_exact_where_float32_is_not(kind, monkeypatch):
    """Similarities that differ by less than float32 can tell are told apart, equal ones are not."""
    rng = np.random.default_rng(7)
    pairs = random_pairs(rng, 60, 50)
    images, texts = unit_vectors(rng, 60, 16, 50), unit_vectors(rng, len(pairs.texts), 16, 50)
    if kind == "blind":
        images[:] = images[0]
    elif kind == "near ties":
        images = images[:1] + 3e-8 * rng.normal(size=images.shape)
        images /= np.linalg.norm(images, axis=1, keepdims=True)
        single = (texts.astype(np.float32) @ images.astype(np.float32).T).argmax(axis=1)
        wrong = (single != (texts @ images.T).argmax(axis=1)).mean()  # about a half, by the kernels of the processor
        assert wrong > 0.25, "float32 alone is at a loss"
    elif kind == "float32":
        images, texts = images.astype(np.float32), texts.astype(np.float32)
    monkeypatch.setattr(ranking, "_STRIP", 1000)
    for rule in ("strict", "tolerant"):
        asked = text_to_image(pairs, rule), image_to_text(pairs, rule)
        both = find_both(texts, images, pairs.copies, *(part.questions for part in asked))
        wide = images.astype(np.float64), texts.astype(np.float64)
        for direction, part, places in zip(DIRECTIONS, asked, both, strict=True):
            want = brute(pairs, *wide, direction, rule)
            np.testing.assert_allclose(places.recall(CUTOFFS)[part.of], want, atol=1e-12)
