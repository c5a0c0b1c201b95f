"""Late interaction and matching in tasks, against loops over the towers' own tokens and sorted lists."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from tests.core.evaluate.test_retrieval import expected
from tests.core.evaluate.test_single_label import CLASSES, pictures  # noqa: F401 - a fixture

from voxtile.cli.main import main
from voxtile.corpus.writer import JobWriter
from voxtile.data.presets.load import preset_from_config
from voxtile.evaluation.kinds.retrieval.ranking import Questions, find_places
from voxtile.evaluation.kinds.retrieval.reranking import Candidates, first_pairs, reordered
from voxtile.inference.load import load_model
from voxtile.training.checkpoint import AtomicCheckpointIO
from voxtile.training.module import ContrastiveModule

HOME = "voxtile.objectives"
TOWERS = {
    "image": {
        "class_path": "voxtile.models.ConvTower",
        "init_args": {"dimensions": 2, "channels": 3, "widths": [4, 8], "blocks": [1, 1], "width": 8},
    },
    "text": {
        "class_path": "voxtile.models.TextTransformer",
        "init_args": {"vocabulary": 300, "context": 16, "width": 8, "depth": 1, "heads": 1},
    },
    "embed_dim": 6,
}
PRESET = {
    "class_path": "voxtile.data.ImagePreset",
    "init_args": {"size": [8, 8], "mean": [0.5] * 3, "std": [0.25] * 3},
}
TERMS = {
    "contrastive": ("contrastive.Contrastive", {}),
    "tokens": ("token_wise.TokenWise", {}),
    "matching": ("image_text_matching.ImageTextMatching", {"width": 8, "heads": 2, "depth": 1, "dropout": 0.3}),
}
MULTILABEL = "kind: zero-shot-multilabel\nscorers: [late-interaction, matching]\nclasses:\n" + "".join(
    f"  {name}:\n    wordings:\n      - {{present: it is {name}, absent: no {name} here at all}}\n"
    f"      - {{present: '{name}', absent: nothing}}\n"
    for name in CLASSES
)
WHERE = "uid < 'u050'"
SINGLE = "kind: zero-shot-singlelabel\ntemplates: ['{}', 'a {} picture']\nclasses:\n" + "".join(
    f"  {name}: {{prompts: [{name}]}}\n" for name in CLASSES
)


def save(path, terms):
    """A random model trained with these terms, whose branches are not at zero."""
    torch.manual_seed(0)
    objectives = {name: {"class_path": f"{HOME}.{TERMS[name][0]}", "init_args": TERMS[name][1]} for name in terms}
    module = ContrastiveModule.from_config({"encoder": TOWERS, "objectives": objectives})
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    module.encoder.text.tokenizer.train([f"a {name} picture, no, nothing" for name in CLASSES])
    module.setup_objectives(())
    module.preset_config = PRESET
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    AtomicCheckpointIO().save_checkpoint(content, path)
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("model") / "m.ckpt", TERMS)


@pytest.fixture(scope="module")
def captioned(pictures):  # noqa: F811
    """The coloured pictures with a caption or two each; some are told of several."""
    writer = JobWriter(pictures.roots[0], "captions")
    for number in range(240):
        texts = [f"picture {number // 3}", *([f"a {CLASSES[number % 3]} one, {number}"] if number % 4 == 0 else [])]
        for place, text in enumerate(texts):
            row = {"caption_id": f"c{number}-{place}", "uid": f"u{number:03d}", "text": text, "kind": "raw"}
            writer.add_rows("captions", [row])
    writer.publish()
    return pictures


class Loops:
    """Scores by the formulas, a pair at a time, from the towers' own output."""

    def __init__(self, spec, corpus):
        self.model = load_model(spec)
        self.encoder = self.model.encoder
        self.terms = {type(term).__name__: term.eval() for term in self.model.objectives}
        self.rows = {row["uid"]: row for row in corpus.table("samples", with_root=True).to_pylist()}
        self.corpus, self.preset = corpus, preset_from_config(PRESET)

    def of_image(self, uid):
        image = self.preset(self.corpus.source(self.rows[uid]), None)[None]
        return self.encoder.encode_samples(image, tokens=True)

    def of_text(self, text):
        return self.encoder.encode_texts(self.encoder.text.tokenizer.encode([text])[0])

    def late(self, image, text):
        """(for the image, for the text)."""
        term = self.terms["TokenWise"]
        x = F.normalize(image[1].tokens[0] @ term.image_projection.weight.T, dim=1)
        y = F.normalize(text[1].tokens[0] @ term.text_projection.weight.T, dim=1)
        z = self.model.logit_scale * (x @ y.T).double()
        return z.max(1).values.mean().item(), z.max(0).values.mean().item()

    def matching(self, image, text):
        value = self.terms["ImageTextMatching"].match(image[1], text[1]).item()
        return value, value


def results(folder, corpus, spec, task, *more):
    (folder / "t.yaml").write_text(task)
    line = ["evaluate", spec, str(folder / "t.yaml"), "--corpus", str(corpus.roots[0]), "--out", str(folder / "out")]
    assert main([*line, "--bootstrap", "100", *more]) == 0
    return json.loads((folder / "out" / "results.json").read_text())["rows"]


@torch.no_grad()
def test_prompts_are_scored_by_the_formulas(model, pictures, tmp_path):  # noqa: F811
    """Scores of every unit, from the file that comparisons read; dropout is off."""
    import pyarrow.parquet as pq

    found = {}
    for kind, task, more in (("multi", MULTILABEL, []), ("single", SINGLE, ["--scorers", "matching,late-interaction"])):
        (tmp_path / kind).mkdir()
        rows = results(tmp_path / kind, pictures, model, task, *more)
        names = {row["model"] for row in rows}
        assert {"m.ckpt", "m.ckpt+late-interaction", "m.ckpt+matching"} <= names
        assert any(row["model"] == "m.ckpt+matching" and row["kind"] == "shuffled" for row in rows)
        found[kind] = pq.read_table(tmp_path / kind / "out" / "scores.parquet").to_pandas()
        page = (tmp_path / kind / "out" / "index.html").read_text()
        assert "Late interaction" in page
        assert "tells pairs that belong together" in page
    loops = Loops(model, pictures)
    for uid in sorted(set(found["multi"]["unit"]))[:2]:
        image = loops.of_image(uid)
        for scorer, score in (("late-interaction", loops.late), ("matching", loops.matching)):
            name = f"m.ckpt+{scorer}"
            logits = {}
            for color in CLASSES:
                pairs = ((f"it is {color}", f"no {color} here at all"), (color, "nothing"))
                each = [score(image, loops.of_text(one))[0] - score(image, loops.of_text(no))[0] for one, no in pairs]
                wanted = np.mean([1 / (1 + math.exp(-value)) for value in each])
                assert value(found["multi"], name, uid, color) == pytest.approx(wanted, abs=1e-5)
                logits[color] = np.mean([score(image, loops.of_text(t))[0] for t in (color, f"a {color} picture")])
            wanted = torch.tensor(list(logits.values())).softmax(0)
            for color, share in zip(CLASSES, wanted.tolist(), strict=True):
                assert value(found["single"], name, uid, color) == pytest.approx(share, abs=1e-5)


def value(frame, model, unit, name):
    part = frame[(frame["model"] == model) & (frame["unit"] == unit) & (frame["class"] == name)]
    assert len(part) == 1
    return float(part["score"].iloc[0])


@pytest.mark.cases(1)
@torch.no_grad()
@pytest.mark.parametrize("count", [7, 1000])
def test_the_first_candidates_are_ordered_anew(model, captioned, tmp_path, count):
    """Recall of both directions from whole sorted lists: the candidates by the formula, the others by the cosine."""
    rows = results(
        tmp_path, captioned, model, f"kind: retrieval\nrecall: [1, 5]\nwhere: {WHERE}\n",
        "--scorers", "late-interaction,matching", "--rerank", str(count),
    )  # fmt: skip
    loops = Loops(model, captioned)
    told = sorted(
        (row["uid"], row["text"]) for row in captioned.table("captions").to_pylist()
        if captioned.splits()[loops.rows[row["uid"]]["subject"]] == "test" and row["uid"] < "u050"
    )  # fmt: skip
    uids, texts = sorted({uid for uid, _ in told}), list(dict.fromkeys(text for _, text in told))
    images, said = [loops.of_image(uid) for uid in uids], [loops.of_text(text) for text in texts]
    cosine = torch.cat([x[0] for x in images]) @ torch.cat([y[0] for y in said]).T
    cosine = cosine.double().numpy()
    copies = np.array([sum(text == other for _, other in told) for text in texts])
    for scorer, score in (("late-interaction", loops.late), ("matching", loops.matching)):
        both = np.array([[score(x, y) for y in said] for x in images])  # [N, T, 2]
        of_images = [
            (anew(cosine[n], both[n, :, 0], count), np.array([told.count((uid, text)) for text in texts]), copies)
            for n, uid in enumerate(uids)
        ]
        of_texts = [
            (anew(cosine[:, texts.index(text)], both[:, texts.index(text), 1], count),
             np.array([int(uid == own) for own in uids]), np.ones(len(uids), int))
            for uid, text in told
        ]  # fmt: skip
        for direction, queries in (("image-to-text", of_images), ("text-to-image", of_texts)):
            wanted = np.mean([expected(*query, cutoffs=(1, 5)) for query in queries], axis=0)
            for k, figure in zip((1, 5), wanted, strict=True):
                (row,) = [
                    row for row in rows
                    if (row["model"], row["kind"], row["metric"], row["class"])
                    == (f"m.ckpt+{scorer}", "model", f"recall@{k}", f"{direction}/strict")
                ]  # fmt: skip
                assert row["value"] == pytest.approx(figure, abs=1e-9)


def anew(cosine, score, count):
    """One number an item, by which the list is sorted."""
    least = np.sort(cosine)[::-1][min(count, len(cosine)) - 1]
    levels = np.unique(np.round(score, 4), return_inverse=True)[1]
    return np.where(np.round(cosine, 9) >= np.round(least, 9), 10 + levels, cosine)


@given(st.integers(0, 10_000))
def test_places_are_those_of_sorted_lists_with_ties_and_copies(seed):
    rng = np.random.default_rng(seed)
    queries, gallery = rng.integers(-2, 3, (4, 3)) / 4.0, rng.integers(-2, 3, (9, 3)) / 4.0
    copies, count = rng.integers(1, 4, 9), int(rng.integers(1, 12))
    query = rng.integers(0, 4, 6)
    items = [rng.choice(9, int(rng.integers(1, 4)), replace=False) for _ in query]
    start = np.concatenate([[0], np.cumsum([len(part) for part in items])])
    item = np.concatenate(items)
    questions = Questions(query, start, item, copies[item])
    pairs = first_pairs(queries, gallery, count)
    score = rng.integers(0, 4, len(pairs[0])).astype(float)
    found = reordered(
        find_places(queries, gallery, copies, questions), questions, Candidates(*pairs, score, 9), copies
    ).recall((1, 3, 8))
    table = np.full((4, 9), -np.inf)
    table[pairs] = score
    for number, (own, wanted) in enumerate(zip(query, items, strict=True)):
        cosine = np.round(gallery @ queries[own], 9)
        assert np.isfinite(table[own]).sum() >= min(count, 9)
        assert cosine[np.isfinite(table[own])].min() >= np.sort(cosine)[::-1][min(count, 9) - 1]
        order = np.where(np.isfinite(table[own]), 10 + table[own], cosine)
        right = np.where(np.isin(np.arange(9), wanted), copies, 0)
        np.testing.assert_allclose(found[number], expected(order, right, copies, cutoffs=(1, 3, 8)), atol=1e-9)


@pytest.mark.parametrize(
    ("terms", "task", "more", "said"),
    [
        (["contrastive"], SINGLE, ["--scorers", "late-interaction"], "trained with the TokenWise objective"),
        (["contrastive", "tokens"], SINGLE, ["--scorers", "matching"], "trained with the ImageTextMatching objective"),
        (["contrastive"], SINGLE, ["--scorers", "late-interactions"], "did you mean 'late-interaction'?"),
        (["contrastive"], SINGLE, ["--rerank", "0"], "--rerank must be at least 1"),
        (["contrastive"], "kind: retrieval\nscorers: [itm]\n", [], "at scorers: there is no scorer 'itm'"),
        (["contrastive"], "kind: retrieval\nrerank: none\n", [], "expected a whole number above 0"),
    ],
)  # fmt: skip
def test_what_was_not_trained_is_refused(captioned, tmp_path, capsys, terms, task, more, said):
    spec = save(tmp_path / "m.ckpt", terms)
    (tmp_path / "t.yaml").write_text(task)
    line = ["evaluate", spec, str(tmp_path / "t.yaml"), "--corpus", str(captioned.roots[0]), "--out", str(tmp_path)]
    assert main([*line, *more]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_model_of_another_library_has_no_such_scores(captioned, tmp_path, capsys):
    from tests.core.evaluate.test_models_from_anywhere import _open_clip

    _open_clip(tmp_path / "oc")
    (tmp_path / "t.yaml").write_text(SINGLE)
    line = ["evaluate", str(tmp_path / "oc"), str(tmp_path / "t.yaml"), "--corpus", str(captioned.roots[0])]
    assert main([*line, "--out", str(tmp_path / "out"), "--scorers", "matching"]) == 2
    assert "has nothing to score pairs by matching with" in " ".join(capsys.readouterr().err.split())
