"""docs/evidence.md, written from the results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from results import HELPS, RESULTS
from studies import STUDIES
from tried import TRIED

import voxtile.objectives

PAGE = RESULTS.parents[2] / "docs" / "evidence.md"
DOMAINS = RESULTS.parents[2] / "domains"
HEAD = """# What each objective is worth

Every row is one objective with and without it: the same pictures, captions, towers, steps and seeds, three seeds, on
one thread of a CPU. `python benchmarks/evidence` makes all of it (`--only TERM`, `--seeds N`), by the product's own
module, data and trainer; `--command` shows that `lightning fit` gives the same weights to the bit. The test split was
read once for each study (twice for `BackwardCompatible`, since a first run had taken a model's own index for the old
one); what had to be chosen was chosen on validation. The difference is paired by seed and by picture, with a 95 %
interval over both (`voxtile.evaluation.interval_over_seeds`); *time* is processor time of the training as a multiple
of the one without (– where that is none), taken on a busy machine, so that only large ratios mean anything. **helps**
and **harms** say that the interval leaves 0 out, and nothing about other sizes: runs are of some hundred steps on
captions that are composed of class names in three wordings and five frames. Where the figure says that a side comes
*after all pictures*, it has their steps on top.

Towers from scratch have 0.1 million parameters and see pictures of 28 to 48 pixels; *ImageNet features* are pooled
vectors of EfficientNet-Lite0 that stand still, with a projection of two layers learned over them; *ImageNet feature
maps* are its maps at strides 16 and 32 as 96 principal components, over which a tower of 0.15 million is learned.
*Components* are the first principal ones of those vectors, which are learned by heart later than all of the numbers.

Sets are real pictures. *Scenes* are 2,100 aerial photographs of RSSCN7 in seven classes (1,200 train, 700 test),
*X-rays* PneumoniaMNIST with its official test split, *mosaics* four scenes as one picture, whose caption tells what
is where: several findings in one image with known places, no photograph in two test mosaics. *Large mosaics* are
1,200 for training, of 192 pixels. Faults are planted in the training split alone.

"""
SITUATIONS = """## How the situations were chosen

An objective gets the situation that its paper speaks of, and where a first one showed nothing, further ones. They were
chosen on the validation split, most by one seed, of 200 scenes, 200 large mosaics (each scene held back is in four) or
524 X-rays; the figures are those, without and with.

"""
CONFIGS = """## What the shipped configs use

Each objective of a config with the verdicts of its rows above, and how many rows say so. Only the X-rays are a
config's own data, in patches of 7 pixels, not 4, and a sixth of its steps: `cxr-images` keeps `KoLeo`, of which no
difference was seen then, as a part of DINOv2's recipe, its weight 0.1. Elsewhere a term stays where it gives more
than the figure of its row: `FactHead`, `TextFactHead`, `FactMapHead` and `Grounding` give a classifier, a check of
texts, maps of findings and masks.
`FactHead` helped at ten times the contrastive term's weight; `ct`, `mr`, `petct` and `aerial` give it 40 or 60 times,
those in `production`, which no one has trained, as much as the contrastive term. What else helps is left out of
configs: `ConceptPatch` and `RegionAttribute` find places without outlines, and configs that show places have these;
none has captions known to be wrong (`MomentumDistillation`) or to speak of other pictures (`BagOfDescriptions`), a
teacher's vectors (`Distillation`), an old index (`BackwardCompatible`) or classes to keep (`PreserveZeroShot`).
Reports of CT and MR deny much, so that `TextAgreement` may suit `ct` and `mr` better than `TextFactHead`; that was
not run.

| config | objectives |
|---|---|"""
TOWERS = {
    "scene": "from scratch, 32²",
    "mosaic": "from scratch, 48²",
    "xray": "from scratch, 28²",
    "vectors": "ImageNet features",
    "native": "ImageNet features, 160²",
    "maps": "ImageNet feature maps, 192²",
    "components": "32 components of ImageNet features, 160²",
}
COLUMNS = ("objective", "set", "image tower", "figure", "without", "with", "difference (95 %)", "time", "verdict")


def page(results: Sequence[Mapping[str, Any]]) -> str:
    """The page as Markdown.

    Args:
        results: as `results.compared` made them.
    """
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    lines += [_row(found) for found in results]
    helped = sorted({found["term"] for found in results if found["verdict"] == HELPS})
    without = sorted(terms() - {found["term"] for found in results})
    said = [f"Shown to help somewhere, {len(helped)}: {_named(helped)}."]
    if without:
        said.append(f"Of these nothing is known yet, since no study was run to its end: {_named(without)}.")
    tried = "\n".join(f"- `{name}` {what}." for name, what in sorted(TRIED.items()))
    return "\n".join((HEAD + "\n".join(lines), "", "\n\n".join(said), "", SITUATIONS + tried, *_of_configs(results)))


def terms_of_configs() -> dict[str, list[str]]:
    """Objectives of each shipped config, by its name."""
    found = {}
    for path in sorted(DOMAINS.glob("*/**/*.yaml")):
        text = path.read_text(encoding="utf-8")
        if "voxtile.objectives." in text:
            named = set(_objectives(yaml.safe_load(text)))
            found[path.relative_to(DOMAINS).with_suffix("").as_posix()] = sorted(named)
    return found


def _objectives(settings: Any) -> Iterator[str]:
    """Names in `voxtile.objectives` of all class paths, however deep they are."""
    if isinstance(settings, Mapping):
        name = settings.get("class_path")
        if isinstance(name, str) and name.startswith("voxtile.objectives."):
            yield name.rpartition(".")[2]
    for value in settings.values() if isinstance(settings, Mapping) else settings if isinstance(settings, list) else ():
        yield from _objectives(value)


def _of_configs(results: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["", CONFIGS]
    for config, named in terms_of_configs().items():
        found = []
        for name in named:
            verdicts = [result["verdict"] for result in results if result["term"] == name]
            counted = [f"{verdict} ({verdicts.count(verdict)})" for verdict in sorted(set(verdicts))]
            found.append(f"`{name}`: {', '.join(counted) or 'no row'}")
        lines.append(f"| `{config}` | {'; '.join(found)} |")
    return [*lines, ""]


def terms() -> set[str]:
    """Objectives that voxtile offers."""
    offered = (getattr(voxtile.objectives, name) for name in voxtile.objectives.__all__)
    kinds = [kind for kind in offered if isinstance(kind, type) and issubclass(kind, voxtile.objectives.Objective)]
    return {kind.__name__ for kind in kinds} - {"Objective", "MomentumObjective"}


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _row(found: Mapping[str, Any]) -> str:
    mean, low, high = found["difference"]
    figure = found["metric"] + (f" ({found['sides']})" if found["sides"] else "")
    own = [asked.partition(":")[2] for asked in found["asked"]]
    if own[0].isdigit():
        figure += f"; {own[0]} %"
    if own[0] != own[1]:
        figure += f"; {own[0] or 'cosine'} against {own[1]}"
    verdict = f"**{found['verdict']}**" if found["verdict"] == HELPS else found["verdict"]
    cells = (
        f"`{found['term']}`", f"{found['set']} ({found['subjects']})", TOWERS[_preset(found)], figure,
        f"{found['without']:.3f}", f"{found['with']:.3f}",
        f"{mean:+.3f} ({low:+.3f} to {high:+.3f})", f"{found['cost']:.1f}" if found["seconds"] > 1 else "–", verdict,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _preset(found: Mapping[str, Any]) -> str:
    key = found["term"], found["set"], found["asked"][0]
    return next(study.with_.preset for study in STUDIES if (study.term, study.corpus, study.figure) == key)


def read() -> list[dict[str, Any]]:
    """All results, by term."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]


def write_page() -> None:
    """Write docs/evidence.md."""
    PAGE.write_text(page(read()), encoding="utf-8")
