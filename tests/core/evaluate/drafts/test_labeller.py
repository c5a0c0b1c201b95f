"""CheXbert's labels by weights of its form: as its heads give them report by report, and F1 as f1chexbert counts."""

import json
from functools import cache

import pytest
import torch
from drafted_cases import N, drafted, reference, run, values

from voxtile.errors import ConfigError, InputError
from voxtile.evaluation.tasks.file import load_task
from voxtile_datasets.report_reading.drafts import open_labeller
from voxtile_medical.reports.chexbert import FIVE, OBSERVATIONS

transformers = pytest.importorskip("transformers", reason="the extra huggingface is not installed")

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
         "max_position_embeddings": 512, "initializer_range": 1.0}  # fmt: skip
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "there", "is", "a", "no", "left", "right", "pleural",
         "effusion", "pneumothorax", "10", "30", "mm", "kidney", "stone", ".", "##s"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Random weights of a small BERT and 14 heads, as the published checkpoint holds those of a large one."""
    folder = tmp_path_factory.mktemp("chexbert")
    torch.manual_seed(0)
    bert = transformers.BertModel(transformers.BertConfig(**SMALL))
    state = {f"module.bert.{name}": value for name, value in bert.state_dict().items()}
    state["module.bert.embeddings.position_ids"] = torch.arange(512)[None]  # as older versions wrote it
    for number, name in enumerate(OBSERVATIONS):
        classes = 2 if name == "No Finding" else 4
        state[f"module.linear_heads.{number}.weight"] = torch.randn(classes, 16)
        state[f"module.linear_heads.{number}.bias"] = torch.zeros(classes)
    torch.save({"model_state_dict": state, "epoch": 1}, folder / "chexbert.pth")
    (folder / "config.json").write_text(json.dumps(SMALL))
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return folder


@cache
def opened(folder):
    state = torch.load(folder / "chexbert.pth", weights_only=True)["model_state_dict"]
    bert = transformers.BertModel(transformers.BertConfig(**SMALL)).eval()
    own = {name.removeprefix("module.bert."): value for name, value in state.items() if ".bert." in name}
    bert.load_state_dict({name: value for name, value in own.items() if "position_ids" not in name})
    return bert, [(state[f"module.linear_heads.{n}.weight"], state[f"module.linear_heads.{n}.bias"]) for n in range(14)]


@cache
def classes_of(folder, text):
    """As the paper has it: the state of [CLS], through a linear head for each observation."""
    bert, heads = opened(folder)
    pieces = text.lower().replace(".", " .").split()
    ids = [WORDS.index(one) if one in WORDS else 1 for one in ["[CLS]", *pieces[:510], "[SEP]"]]
    with torch.no_grad():
        first = bert(torch.tensor([ids]))[0][0, 0]
    return [int((weight @ first + bias).argmax()) for weight, bias in heads]


def test_labels_are_those_of_the_heads_however_many_reports_are_read_together(folder):
    texts = ["No  pneumothorax.\n", "", *(drafted(n) for n in range(20)), "There is a stone. " * 200]
    labeller = open_labeller("medical", "chexbert", folder)
    polarity = {1: "present", 2: "absent", 3: "present"}  # uncertain counts as there
    together = labeller(texts)
    for text, found in zip(texts, together, strict=True):
        named = zip(OBSERVATIONS, classes_of(folder, text), strict=True)
        assert found == {name: polarity[one] for name, one in named if one}, text[:40]
    assert len({str(found) for found in together}) > 3
    assert {polarity for found in together for polarity in found.values()} == {"present", "absent"}


def test_figures_are_those_of_scikit_learn_as_f1chexbert_calls_it(cases, make_model, tmp_path, folder):
    from sklearn.metrics import classification_report

    texts = [drafted(number) for number in range(N)]
    more = f"labeller: {{domain: medical, model: chexbert, weights: {folder}}}\n"
    evaluation = run(cases, make_model, tmp_path, texts, more)
    found = values(evaluation)

    def there(text, names):
        named = dict(zip(OBSERVATIONS, classes_of(folder, text), strict=True))
        return [int(named[name] in (1, 3)) for name in names]

    for prefix, names in (("chexbert", OBSERVATIONS), ("chexbert-5", FIVE)):
        true = [there(reference(number), names) for number in range(N)]
        said = [there(text, names) for text in texts]
        theirs = classification_report(true, said, target_names=list(names), output_dict=True, zero_division=0)
        for ours, key in (("f1", "f1-score"), ("precision", "precision"), ("recall", "recall")):
            assert found[f"label:{prefix}_{ours}", None] == pytest.approx(theirs["micro avg"][key]), (prefix, key)
        assert theirs["micro avg"]["f1-score"] < 0.99  # the drafts are not read as their references are
        for name in names if prefix == "chexbert" else ():
            if theirs[name]["support"] >= 10:
                assert found["label:chexbert_f1", name] == pytest.approx(theirs[name]["f1-score"])
    assert values(evaluation, "trivial", "own-reports")["label:chexbert_f1", None] == 1.0


def test_what_is_missing_or_is_no_checkpoint_is_one_sentence(folder, tmp_path):
    with pytest.raises(ConfigError, match="has a model 'radgraph' that labels reports; there are: chexbert of medical"):
        open_labeller("medical", "radgraph", folder)
    with pytest.raises(ConfigError, match="there is no folder"):
        open_labeller("medical", "chexbert", tmp_path / "none")
    (tmp_path / "chexbert.pth").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"has no 'vocab\.txt'"):
        open_labeller("medical", "chexbert", tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    with pytest.raises(InputError, match="is no checkpoint of CheXbert"):
        open_labeller("medical", "chexbert", tmp_path)
    (tmp_path / "d.csv").write_text("uid,text\n")
    (tmp_path / "t.yaml").write_text("kind: report-factuality\ndrafts: d.csv\nlabeller: {domain: medical}\n")
    with pytest.raises(ConfigError, match="at labeller: expected the keys domain, model and weights"):
        load_task(str(tmp_path / "t.yaml"))
