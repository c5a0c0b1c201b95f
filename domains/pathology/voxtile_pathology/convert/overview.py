"""The overview of a slide: its thumbnail with the masks that decided what is kept, and associated images on request."""

from __future__ import annotations

from typing import Any

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Mask, Row, Sample
from voxtile.corpus.schema import OVERVIEW
from voxtile.engine.task import Item, Outcome
from voxtile_datasets.intake.planner import SPLIT_SCHEME
from voxtile_pathology.annotations.regions import mask_region
from voxtile_pathology.convert.patches import encode
from voxtile_pathology.convert.plan import canonical
from voxtile_pathology.convert.settings import WsiSettings
from voxtile_pathology.slides.protocol import Picture, Slide
from voxtile_pathology.tissue.survey import TissueMap, map_tissue

TISSUE, FOLD, PEN = "tissue", "tissue fold", "pen mark"
_QUALITY = 85


def make_overview(slide: Slide, item: Item, settings: WsiSettings) -> Outcome:
    """Store a slide's thumbnail and its masks as regions (`tissue`, `tissue fold`, `blue pen mark`).

    Args:
        slide: open.
        item: from the plan.
        settings: of the conversion.

    Raises:
        SlideError: the slide cannot be read.
    """
    inputs = item.inputs
    mpp = (inputs["mpp"][0], inputs["mpp"][1])
    tissue = map_tissue(slide, mpp, settings.tissue.build(), settings.tissue_mpp)
    thumbnail = tissue.thumbnail
    uid = sample_uid(inputs["content"], "overview", f"mpp {settings.tissue_mpp:.8g}")
    attributes = {**inputs["attributes"], "counts": inputs["counts"], "tissue": settings.tissue.config()}
    row = _row(item, settings, uid, attributes)
    row |= {"mpp": list(thumbnail.mpp), "level0_box": _covered(thumbnail.picture, thumbnail.factor)}
    samples = [Sample(row, encode(thumbnail.picture, "jpg", _QUALITY))]
    samples += _associated(slide, item, settings)
    share = {"uid": uid, "name": "tissue_fraction", "value": round(float(tissue.tissue.mean()), 6), "producer": "wsi@1"}
    splits = [{"scheme": SPLIT_SCHEME, "subject": inputs["subject"], "split": inputs["split"]}]
    return Outcome(
        "used",
        samples=tuple(samples),
        tables={"splits": splits, "scores": [share]},
        masks=tuple(_masks(uid, tissue)),
    )


def _row(item: Item, settings: WsiSettings, uid: str, attributes: dict[str, Any]) -> Row:
    inputs = item.inputs
    return {
        "uid": uid,
        "subject": inputs["subject"],
        "study": inputs["study"],
        "kind": OVERVIEW,
        "modality": "SM",
        "axes": "YXC",
        "units": "a.u.",
        "source": item.source,
        "licence": settings.licence,
        "attributes": canonical(attributes),
    }


def _covered(picture: Picture, factor: tuple[float, float]) -> list[int]:
    """What the thumbnail covers; its last pixels may reach over the slide's edge."""
    return [0, 0, round(picture.shape[1] * factor[0]), round(picture.shape[0] * factor[1])]


def _masks(uid: str, tissue: TissueMap) -> list[Mask]:
    named = {TISSUE: tissue.tissue, FOLD: tissue.folds}
    named |= {f"{colour} {PEN}": mask for colour, mask in tissue.pens.items()}
    return [region for phrase, mask in named.items() if (region := mask_region(uid, phrase, mask, "wsi@1"))]


def _associated(slide: Slide, item: Item, settings: WsiSettings) -> list[Sample]:
    """Associated images that were asked for by name; nothing is stored otherwise."""
    samples = []
    for name in settings.associated:
        if name not in slide.associated:
            continue
        uid = sample_uid(item.inputs["content"], f"associated {name}")
        row = _row(item, settings, uid, {**item.inputs["attributes"], "associated": name})
        samples.append(Sample(row, encode(slide.associated_image(name), "jpg", _QUALITY)))
    return samples
