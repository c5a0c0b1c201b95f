"""Configs for GPUs: nothing is trained here. Shapes, parameters and operations are counted without memory, against sums
written out by hand, and the memory that is planned fits the card that the config names."""

import math
import re
from functools import cache
from pathlib import Path

import pytest

from voxtile.assist.planning.language_sizes import PUBLISHED
from voxtile.data.presets.load import preset_from_config
from voxtile.domain import discover, resolve
from voxtile.training.config_bases import read_config
from voxtile.training.planning.command import Plan
from voxtile.training.planning.estimate import find_gpu, largest, memory
from voxtile.training.planning.measure import measure

CONFIGS = {
    f"{domain.name}/{name}": path
    for domain in discover()[0].values()
    for name, path in domain.production_configs().items()
}
ITEMS = 2


@cache
def config(name):
    return read_config(CONFIGS[name])


TOWERS = [name for name in CONFIGS if "answering" not in config(name)["model"]["objectives"]]
ASSISTANTS = [name for name in CONFIGS if name not in TOWERS]


@cache
def step(name):
    chosen = config(name)
    return measure(chosen["model"], preset_from_config(chosen["data"]["preset"]), items=ITEMS, texts=1)


def transformer(width, depth):
    """Parameters of blocks: four projections of attention, a perceptron of 4·width, two norms, with biases."""
    return depth * (12 * width**2 + 13 * width)


def work(tokens, width, depth):
    """Operations of blocks forward: two for each weight and token, and two products of tokens by tokens."""
    return depth * (2 * 12 * width**2 * tokens + 2 * 2 * tokens**2 * width)


def image(settings, channels):
    """Parameters, and operations forward, of a ViT."""
    width, depth = settings["width"], settings["depth"]
    size, patch = settings["size"], settings["patch"]
    axes = settings["dimensions"]
    size, patch = (v if isinstance(v, list) else [v] * axes for v in (size, patch))
    tokens = math.prod(s // p for s, p in zip(size, patch, strict=True))
    embedding = channels * math.prod(patch) * width
    parameters = transformer(width, depth) + embedding + tokens * width
    forward = work(tokens, width, depth) + 2 * tokens * embedding
    if settings.get("pooling") == "attention":  # a block whose one query leaves keys and values to compute
        parameters, forward = parameters + transformer(width, 1), forward + 2 * 2 * width**2 * tokens
    return parameters, forward


def text(settings):
    """Of a transformer over subwords."""
    width, context = settings["width"], settings["context"]
    parameters = transformer(width, settings["depth"]) + (settings["vocabulary"] + context) * width + 2 * width**2
    return parameters, work(context, width, settings["depth"])


# CLIP's ViT-B/16: 149.6 million parameters (open_clip's table), 86.2 of them for images; an image is 197 tokens.
CLIP_B16 = {"image": (86.2e6, work(197, 768, 12)), "text": (63.4e6, work(77, 512, 12))}


def expected(name):
    encoder, preset = config(name)["model"]["encoder"], config(name)["data"]["preset"]["init_args"]
    sides = []
    for side in ("image", "text"):
        tower = encoder[side]
        if isinstance(tower, str):
            sides.append(CLIP_B16[side])
        elif side == "image":
            channels = len(preset.get("bands") or preset.get("windows") or [0] * preset.get("channels", 3))
            sides.append(image(tower["init_args"], channels))
        else:
            sides.append(text(tower["init_args"]))
    return sum(p for p, _ in sides), sum(w for _, w in sides)


def test_every_domain_has_one_and_they_are_found_by_name():
    assert {name.partition("/")[0] for name in CONFIGS} >= {"medical", "pathology", "remote_sensing"}
    assert all(resolve(name, kind="config") == path for name, path in CONFIGS.items())
    assert not {path.stem for path in CONFIGS.values()} & {n for d in discover()[0].values() for n in d.configs()}


@pytest.mark.cases(1)
@pytest.mark.parametrize("name", TOWERS)
def test_parameters_and_operations_are_those_of_the_sum_by_hand(name):
    found, (parameters, forward) = step(name), expected(name)
    filters = config(name)["model"]["encoder"]["image"]
    made = isinstance(filters, dict) and "wavelengths_nm" in filters["init_args"]  # by a network of their own
    assert found.trained == found.parameters == pytest.approx(parameters, rel=0.1 if made else 0.03)
    # The cache of embeddings, forward, backward, which is worth two, and blocks again.
    passes = 5 if config(name)["model"]["recompute"] else 4
    assert found.operations / ITEMS == pytest.approx(passes * forward, rel=0.05)


@pytest.mark.cases(1)
@pytest.mark.parametrize("name", TOWERS)
def test_the_memory_that_is_planned_fits_the_card_that_it_names(name):
    chosen = config(name)
    assert chosen["data"]["batch_size"] == chosen["model"]["batch"]["global"]
    gigabytes = re.search(r"GPUs of (\d+) GB", " ".join(CONFIGS[name].read_text().split("\n")).replace("# ", ""))
    card = {"24": "l4", "40": "a100-40gb"}[gigabytes[1]]
    micro, few = chosen["model"]["batch"]["micro"], memory(step(name), averaged=False)
    each = (few.activations + few.inputs) / ITEMS
    assert few.total + (micro - ITEMS) * each < 0.95 * find_gpu(card).memory


@pytest.mark.sweep
@pytest.mark.parametrize("name", TOWERS)
def test_the_table_of_the_docs_is_what_is_planned(name):
    chosen, page = config(name), Path(__file__).parents[2] / "docs" / "production.md"
    row = next(line for line in page.read_text().splitlines() if line.startswith(f"| `{name}` "))
    cells = [float(re.sub(r"[^0-9.]", "", cell)) for cell in row.split("|")[3:-1]]
    preset = preset_from_config(chosen["data"]["preset"])

    def needed(count):
        return memory(measure(chosen["model"], preset, items=count, texts=1), averaged=False).total

    fits = [largest(needed, find_gpu(card)) for card in ("l4", "a100-40gb", "a100-80gb")]
    operations = step(name).operations / ITEMS / 1e9
    assert cells[:2] == pytest.approx([step(name).parameters / 1e6, operations], rel=0.01)
    assert cells[2:5] == pytest.approx(fits, rel=0.03)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_says_what_every_config_says(name):
    chosen = config(name)
    assert chosen["name"] == name.partition("/")[2]
    assert chosen["data"]["corpus"] is None
    assert chosen["mixed_precision"] is True
    for task in chosen["evaluate"]["tasks"]:
        assert resolve(task, kind="task").is_file()


CARDS = {"24": "l4", "40": "a100-40gb", "80": "a100-80gb"}


@pytest.mark.cases(1)
@pytest.mark.parametrize("name", ASSISTANTS)
def test_an_assistant_fits_the_card_that_its_config_names(name):
    text = CONFIGS[name].read_text()
    (gigabytes,) = re.findall(r"GPUs of (\d+) GB", text.replace("\n#", ""))
    (card,) = set(re.findall(rf"voxtile plan {name} --gpu (\S+)", text))
    assert card == CARDS[gigabytes]
    planned = Plan(name, card)
    found, total = planned.step(2), config(name)["data"]["batch_size"]
    sizes = PUBLISHED[config(name)["model"]["objectives"]["answering"]["init_args"]["language"]]
    assert 1e9 < sizes.parameters < 9e9
    assert sizes.parameters < found.parameters < 1.3 * sizes.parameters
    assert found.trained < 0.05 * found.parameters
    need, twice = planned.memory(2), planned.memory(4)
    each = (twice.activations - need.activations) / 2
    assert need.total + (total - 2) * each < 0.95 * find_gpu(card).memory
    assert need.weights >= 2 * sizes.parameters
