"""`voxtile curate` and `voxtile score`: what a view holds, how it is drawn, and what is refused."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.view.selection import Selection
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.presets.image import ImagePreset
from voxtile.errors import ConfigError
from voxtile.stages.verify.corpus import verify
from voxtile_datasets.curation.command import curate_corpus
from voxtile_datasets.curation.scores.clip import ClipScorer
from voxtile_datasets.curation.scores.learned import score_learned

SAMPLES = 60
WORDS = [
    "amber",
    "brook",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heath",
    "inlet",
    "jetty",
    "kelp",
    "lagoon",
    "marsh",
    "oasis",
    "plain",
    "quarry",
    "ridge",
]


def uid(n):
    return sample_uid(f"picture {n}")


def caption(n):
    return " ".join(np.random.default_rng(n).choice(WORDS, 12))


def picture(n):
    pixels = np.kron(np.random.default_rng(n).integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write(root, numbers, *, twins=(), job="job-0"):
    """Pictures with two captions, a fact, scores and vectors; `twins` maps a number to the one whose look it shares."""
    new_corpus(root)
    writer = JobWriter(root, job)
    twins = dict(twins)
    for n in numbers:
        like = twins.get(n, n)
        writer.add(
            Sample(
                {"uid": uid(n), "subject": f"s{n}", "kind": "image", "modality": "CT" if n % 3 else "MR"}, picture(like)
            )
        )
        for kind, text in (("raw", caption(like)), ("template", f"{caption(like + 1000)} {n}")):
            row = {"caption_id": f"{kind}{n:03}", "uid": uid(n), "text": text, "kind": kind, "lang": "en"}
            writer.add_rows("captions", [row])
        concept = "nodule" if n % 10 else "cyst"
        writer.add_rows("facts", [{"uid": uid(n), "concept": concept, "polarity": "present", "source": "labels@1"}])
        scores = [(uid(n), "sharp", n), (uid(n), "level", -1.0 if n == 5 else 1.0), (f"raw{n:03}", "clip", n / SAMPLES)]
        rows = [{"uid": u, "name": name, "value": float(value), "producer": "t@1"} for u, name, value in scores]
        writer.add_rows("scores", rows)
        vector = np.random.default_rng(like).normal(size=8) + (2.0 if like % 10 == 0 else 0.0)
        writer.add_rows("embeddings", [{"uid": uid(n), "model": "m", "vector": vector.astype(np.float16)}])
        split = ("train", "train", "train", "val", "test")[n % 5]
        writer.add_rows("splits", [{"scheme": "default", "subject": f"s{n}", "split": split}])
    writer.publish()
    return root


@pytest.fixture
def corpus(tmp_path):
    # 21 looks like 20 (both train), 26 like 23 (val), 31 like 29 (test); 33 (val) and 34 (test) look alike.
    return write(tmp_path / "corpus", range(SAMPLES), twins={21: 20, 26: 23, 31: 29, 34: 33})


def numbers(root, view="good"):
    opened = compile_view(Corpus(root), view)
    names = {uid(n): n for n in range(SAMPLES)}
    return sorted(names[opened.entry(row).uid] for row in range(len(opened)))


def held_out(n):
    return n % 5 > 2


def test_conditions_choose_samples_by_scores_and_captions_by_theirs(corpus):
    curate_corpus(corpus, view="good", where="sharp >= 10 AND modality = 'CT'", where_captions="clip > 0.5")
    assert numbers(corpus) == [n for n in range(31, SAMPLES) if n % 3]
    opened = compile_view(Corpus(corpus), "good")
    told = [opened.captions(opened.entry(row)) for row in range(len(opened))]
    assert {c.kind for own in told for c in own} == {"raw"}
    assert verify(corpus).problems == []


def test_duplicates_go_from_training_and_never_from_held_out_splits(corpus):
    curate_corpus(corpus, view="good", dedup="embedding:0.999")
    assert numbers(corpus) == [n for n in range(SAMPLES) if n not in (21, 26, 31)]
    curate_corpus(corpus, view="good", dedup="embedding:0.999", prefer="sharp")
    assert numbers(corpus) == [n for n in range(SAMPLES) if n not in (20, 26, 31)]
    curate_corpus(corpus, view="texts", dedup="text")
    opened = compile_view(Corpus(corpus), "texts")
    left = {c.text for row in range(len(opened)) for c in opened.captions(opened.entry(row))}
    assert caption(20) in left
    assert sum(opened.entry(row).caption_count for row in range(len(opened))) == 2 * SAMPLES - 3


def test_a_view_says_when_its_corpus_has_grown(corpus, capsys):
    def opened():
        capsys.readouterr()
        data = CorpusDataModule(ImagePreset(size=(8, 8)), str(corpus), view="good", batch_size=5)
        data.setup("fit")
        return len(compile_view(Corpus(corpus), "good")), capsys.readouterr().err

    curate_corpus(corpus, view="good", where="modality = 'CT'")
    chosen = sum(n % 3 > 0 for n in range(SAMPLES))
    assert opened() == (chosen, "")
    write(corpus, range(SAMPLES, SAMPLES + 5), job="job-1")
    said = "note: view 'good' was chosen from 60 samples and the corpus has 65 now; what is new is not in it until"
    for _ in range(2):  # compiled again, and opened again
        rows, err = opened()
        assert rows == chosen
        assert err.startswith(said)
    curate_corpus(corpus, view="good", where="modality = 'CT'")
    assert opened() == (sum(n % 3 > 0 for n in range(SAMPLES + 5)), "")


def test_nothing_stays_that_is_like_another_corpus(corpus, tmp_path):
    other = write(tmp_path / "benchmark", [100, 101], twins={100: 10, 101: 11})
    curate_corpus(corpus, view="good", where_captions="kind = 'raw'", dedup="minhash:0.9", against=str(other))
    assert {10, 11, 21, 26, 31}.isdisjoint(numbers(corpus))
    assert len(numbers(corpus)) == SAMPLES - 5


def test_balance_caps_what_training_sees_and_may_set_weights_instead(corpus):
    train = [n for n in range(SAMPLES) if not held_out(n)]
    rare = [n for n in train if n % 10 == 0]
    curate_corpus(corpus, view="good", balance="facts:6")
    kept = numbers(corpus)
    assert set(rare) <= set(kept)
    assert {n for n in range(SAMPLES) if held_out(n)} <= set(kept)
    assert len(kept) < SAMPLES - 10
    curate_corpus(corpus, view="weighted", balance="facts:6", as_weights=True)
    rows = pq.read_table(corpus / "views" / "weighted.selection" / "selection.parquet").to_pylist()
    weights = {row["uid"]: row["weight"] for row in rows}
    assert len(weights) == SAMPLES
    assert weights[uid(10)] == 1
    assert weights[uid(1)] == pytest.approx(6 / (len(train) - len(rare)))


def test_the_loader_draws_by_weight_and_only_chosen_captions(corpus):
    curate_corpus(corpus, view="good", where="level > 0", where_captions="kind = 'raw'", weight="sharp")
    data = CorpusDataModule(ImagePreset(size=(8, 8)), str(corpus), view="good", batch_size=5)
    loader = data.train_dataloader()
    train = [n for n in range(SAMPLES) if not held_out(n) and n != 5]
    expected = len(train) * np.array(train) / sum(train)
    texts = set()
    for _ in range(3):
        drawn = []
        for batch in loader:
            texts.update(batch.texts)
            drawn += batch.uids
        data.cursor.advance(0, last=True)
        counts = np.array([drawn.count(uid(n)) for n in train])
        assert counts.sum() == len(train)
        assert (counts >= np.floor(expected)).all()
        assert (counts <= np.ceil(expected)).all()  # 0 for the sample whose weight is 0
    assert texts <= {caption(n) for n in range(SAMPLES)}  # and no template


def test_a_mixture_gives_each_source_its_share(corpus):
    curate_corpus(corpus, view="good", mixture="modality:MR=3,CT=1")
    table = pq.read_table(corpus / "views" / "good.selection" / "selection.parquet").to_pylist()
    names = {uid(n): n for n in range(SAMPLES)}
    own = [(names[row["uid"]], row["weight"]) for row in table if not held_out(names[row["uid"]])]
    shares = {kind: sum(w for n, w in own if bool(n % 3) == kind) for kind in (True, False)}
    assert shares[False] / shares[True] == pytest.approx(3)
    assert sum(w for _, w in own) == pytest.approx(len(own))


def test_clusters_and_semdedup_work_on_stored_vectors(corpus):
    curate_corpus(corpus, view="good", clusters=4, per_cluster=2)
    assert sum(not held_out(n) for n in numbers(corpus)) <= 8
    curate_corpus(corpus, view="some", dedup="semdedup:0.001", clusters=3)
    left = numbers(corpus, "some")
    assert len({20, 21} & set(left)) == 1
    assert {26, 31}.isdisjoint(left)
    assert len(left) == SAMPLES - 3


def test_a_filter_learns_the_good_set(corpus, capsys):
    with pytest.raises(ConfigError, match="needs at least 10 of each"):
        score_learned(corpus, good="sharp < 3")
    score_learned(corpus, good="sharp < 30")
    curate_corpus(corpus, view="good", where="learned >= 0")
    assert len(numbers(corpus)) == SAMPLES
    assert "area under the curve" in capsys.readouterr().out


def test_clip_scores_are_cosines():
    class Texts:
        def encode_texts(self, texts):
            import torch

            return torch.tensor([[3.0, 4.0] if text == "a" else [1.0, 0.0] for text in texts])

    scorer = ClipScorer("m", Texts(), {"x": np.array([1, 0], np.float16)}, batch_size=2)
    rows = [{"uid": "x", "text": "a"}, {"uid": "x", "text": "b"}, {"uid": "y", "text": "a"}]
    assert scorer.score(None, rows) == [{"clip": pytest.approx(0.6)}, {"clip": pytest.approx(1.0)}, {}]


def test_scores_of_pictures_and_captions_become_columns(corpus):
    append_rows(corpus, "verdicts", "v", [{"caption_id": "raw007", "verdict": "contradicted", "checker": "c"}])
    for name in ("image", "text", "safety", "alignment"):
        assert main(["score", str(corpus), "--from", name, "--engine", "inline"]) == 0
    curate_corpus(
        corpus, view="good", where="contrast > 5", dedup="picture:2",
        where_captions="kind = 'raw' AND text_quality = 1 AND unsafe_words = 0 AND coalesce(alignment, 1) > 0",
    )  # fmt: skip
    assert numbers(corpus) == [n for n in range(SAMPLES) if n not in (7, 21, 26, 31)]
    assert verify(corpus).problems == []


def test_the_explanation_shows_counts_and_pictures_of_what_went(corpus, tmp_path):
    page = tmp_path / "page.html"
    curate_corpus(corpus, view="good", where="sharp > 9", dedup="embedding:0.999", explain=page, pictures=2)
    text = page.read_text()
    assert uid(21)[:12] in text
    assert uid(20)[:12] in text
    assert text.count("data:image/") == 2 + 2 * 2  # two of the condition; two pairs of the rule
    steps = Selection(corpus / "views" / "good.selection").about["steps"]
    assert [(step["name"], step["samples"]) for step in steps] == [("where", [60, 50]), ("dedup embedding", [50, 47])]


def test_a_view_is_the_same_twice_and_follows_its_selection(corpus):
    curate_corpus(corpus, view="good", where="sharp > 20", balance="facts:4")
    first = compile_view(Corpus(corpus), "good").key
    curate_corpus(corpus, view="good", where="sharp > 20", balance="facts:4")
    assert compile_view(Corpus(corpus), "good").key == first
    curate_corpus(corpus, view="good", where="sharp > 20")
    assert compile_view(Corpus(corpus), "good").key != first
    assert numbers(corpus) == list(range(21, SAMPLES))


@pytest.mark.cases(12)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"where": "uid IN (SELECT uid FROM read_parquet('/etc/x.parquet'))"}, "reads outside the corpus"),
        ({"where": "EXISTS (SELECT 1 FROM '/etc/passwd')"}, "no table of the corpus"),
        ({"where": "true); COPY samples TO 'x.csv'; SELECT (true"}, "another statement"),
        ({"where": "sharp >"}, "not a valid SQL condition"),
        ({"where": " "}, "--where is empty"),
        ({"where": "modalty = 'CT'"}, "no column 'modalty'; did you mean 'modality'"),
        ({"where": "sahrp > 3"}, "no column 'sahrp'; did you mean 'sharp'"),
        ({"where": "clip > 3"}, "'clip' is a score of captions; use it in --where-captions"),
        ({"where_captions": "sharp > 3"}, "'sharp' is a score of samples; use it in --where"),
        ({"where": "sharp > 1000"}, "no sample is left after 'where'"),
        ({"where_captions": "clip > 5"}, "no sample is left after 'where captions'"),
        ({"weight": "level"}, r"is -1 for 1 samples, such as .*weights are finite and not negative"),
        ({"weight": "sharp / 0 - sharp / 0"}, "is null or NaN for"),
        ({"weight": "0"}, "weight 0, so none could be drawn"),
        ({"dedup": "picture"}, "compares perceptual hashes.*--from image"),
        ({"dedup": "pictures"}, "no rule 'pictures'"),
        ({"dedup": "minhash:2"}, "Jaccard similarity of word pairs, from 0.3 to 1"),
        ({"dedup": "embedding", "embedding": "x"}, "no vectors of 'x'; there are those of m"),
        ({"balance": "place"}, "no sample has a footprint"),
        ({"balance": "organ"}, "there is no 'organ'"),
        ({"balance": "facts:0"}, "the cap '0' is no whole number"),
        ({"mixture": "modality=CT"}, "is not COLUMN:VALUE=SHARE"),
        ({"mixture": "modality:CT=1,PT=1"}, "no selected sample of 'modality' PT"),
        ({"mixture": "modality:CT=-1"}, "no positive number"),
        ({"against": "x"}, "--against compares by the rules"),
        ({"per_cluster": 2}, "say how many there are with --clusters"),
        ({"tail": 2.0}, "--tail is a share"),
        ({"scheme": "other"}, "no split scheme 'other'"),
        ({"view": "all"}, "takes everything"),
        ({"view": "a/b"}, "not a valid name"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(shared_corpus, options, said):
    with pytest.raises(ConfigError, match=said):
        curate_corpus(shared_corpus, **{"view": "bad", **options})
    assert not (shared_corpus / "views" / "bad.selection").exists()
    assert not (shared_corpus.parent / "x.csv").exists()


@pytest.fixture(scope="module")
def shared_corpus(tmp_path_factory):
    return write(tmp_path_factory.mktemp("bad") / "corpus", range(20))


def test_a_view_that_nobody_curated_is_refused(corpus, tmp_path):
    for folder in (None, tmp_path / "views"):
        with pytest.raises(ConfigError, match="no curated view 'good'; there are: none, make one with voxtile curate"):
            compile_view(Corpus(corpus), "good", folder=folder)
    assert len(compile_view(Corpus(corpus), "sharp", where="uid > '0'")) == SAMPLES
    curate_corpus(corpus, view="good", where="sharp > 20")
    assert len(compile_view(Corpus(corpus), "good", folder=tmp_path / "views")) < SAMPLES


def test_a_misspelt_view_or_another_scheme_is_refused(corpus):
    curate_corpus(corpus, view="good", where="sharp > 20")
    with pytest.raises(ConfigError, match="no curated view 'god'; there are: good"):
        compile_view(Corpus(corpus), "god")
    assert len(compile_view(Corpus(corpus), "all")) == SAMPLES
    rows = [{"scheme": "fold", "subject": f"s{n}", "split": "train"} for n in range(SAMPLES)]
    append_rows(corpus, "splits", "fold", rows)
    with pytest.raises(ConfigError, match="curated with the split scheme 'default', not 'fold'"):
        compile_view(Corpus(corpus), "good", scheme="fold")


def test_two_producers_of_one_score_must_be_told_apart(corpus):
    append_rows(corpus, "scores", "more", [{"uid": uid(3), "name": "sharp", "value": 9.0, "producer": "u@1"}])
    with pytest.raises(ConfigError, match=r'several producers gave the score .sharp.*"sharp@t@1", "sharp@u@1"'):
        curate_corpus(corpus, view="good", where="sharp > 1")
    curate_corpus(corpus, view="good", where='"sharp@u@1" > 1')
    assert numbers(corpus) == [3]


def test_the_command_says_what_each_step_left(corpus, capsys):
    assert main(["curate", str(corpus), "--view", "good", "--where", "sharp > 29", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "where" in out
    assert "30" in out
    assert not (corpus / "views" / "good").exists()
    assert main(["curate", str(corpus), "--view", "good", "--where", "nosuch = 1"]) == 2
    assert "no column 'nosuch'" in capsys.readouterr().err
    assert main(["curate", "--help"]) == 0
    assert "--where-captions" in capsys.readouterr().out
