"""Shaped types shared by towers, objectives, loaders and evaluation.

Shape letters: B items of a batch, S samples (images) of a batch (S = B unless a study has several), T texts of a batch,
L tokens of a text, C channels, D embedding width, F facts, N tokens of an image, *G a 2D (Y, X) or 3D (Z, Y, X) grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from voxtile.distributed import Share


@dataclass
class Encoded:
    """What a tower returns.

    Attributes:
        pooled: [B, D_tower] one vector an item, before projection.
        tokens: [B, N, D_tower] local features, or None.
        grid: spatial shape of `tokens` ((Y, X) or (Z, Y, X), product = N) for images, or None.
        mask: [B, N] bool, True where a token is real, or None when all are.
        levels: [B, W_i, *G_i] feature maps of an image at several resolutions, finest first, or None.
        members: of items of several images what the tower gave of each, where that was asked for, without `tokens`.
    """

    pooled: Tensor
    tokens: Tensor | None = None
    grid: tuple[int, ...] | None = None
    mask: Tensor | None = None
    levels: tuple[Tensor, ...] | None = None
    members: Members | None = None

    def at(self, places: Tensor | slice) -> Encoded:
        """Some of the items, in this order: [R] int64, or a range of them as views."""
        return Encoded(
            self.pooled[places],
            None if self.tokens is None else self.tokens[places],
            self.grid,
            None if self.mask is None else self.mask[places],
            None if self.levels is None else tuple(level[places] for level in self.levels),
            None if self.members is None else self.members.of(places, len(self.pooled)),
        )


@dataclass
class Members:
    """What a tower gives of the images of items that have several.

    Attributes:
        encoded: of S images.
        item: [S] int64, item of each, in any order.
    """

    encoded: Encoded
    item: Tensor

    def of(self, places: Tensor | slice, items: int) -> Members:
        """The images of some of the items, which are counted anew.

        Args:
            places: [R] int64, bool [B] or a range, of items; none of them twice.
            items: B.
        """
        chosen = torch.arange(items, device=self.item.device)[places]
        number = torch.full((items,), -1, device=self.item.device)
        number[chosen] = torch.arange(len(chosen), device=self.item.device)
        kept = torch.nonzero(number[self.item] >= 0)[:, 0]
        return Members(self.encoded.at(kept), number[self.item[kept]])


@dataclass
class Regions:
    """Phrases about the items of a batch, and where in their images they are.

    Attributes:
        phrases: R texts.
        item: [R] int64, item of each.
        masks: [R, *G] in 0 to 1 on the model's grid, all 0 where the phrase has no target.
        boxed: [R] bool, True where only the box of the target is known, and `masks` fills it.
        weight: [R] float32 confidence in 0 to 1.
        encoded: the phrases as the text tower gives them, filled in by the module.
        embedded: [R, D] the same in the shared space, normalised; filled in by the module.
        names: R names of what is shown, where `phrases` words them; None where nothing asks for them.
    """

    phrases: list[str]
    item: Tensor
    masks: Tensor
    boxed: Tensor
    weight: Tensor
    encoded: Encoded | None = None
    embedded: Tensor | None = None
    names: list[str] | None = None

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Regions:
        """The same with every tensor changed."""
        return replace(
            self,
            item=change(self.item),
            masks=change(self.masks),
            boxed=change(self.boxed),
            weight=change(self.weight),
        )

    def of_items(self, items: Tensor | slice, count: int) -> Regions:
        """Those of some of the `count` items, counted as these are, see `Batch.select`."""
        places, item = _owned(self.item, items, count)
        return Regions(
            _at(self.phrases, places),
            item,
            self.masks[places],
            self.boxed[places],
            self.weight[places],
            None if self.encoded is None else self.encoded.at(places),
            None if self.embedded is None else self.embedded[places],
            _at(self.names, places),
        )


@dataclass
class OtherImages:
    """Images that dialogues show beside the items' own, as earlier examinations; each stands once an item.

    Attributes:
        images: [P, C, *G] float32, preprocessed as `Batch.images`.
        item: [P] int64, item whose dialogues show it; ascending.
        uids: of the P samples.
    """

    images: Tensor
    item: Tensor
    uids: list[str]

    def mapped(self, change: Callable[[Tensor], Tensor]) -> OtherImages:
        """The same with every tensor changed."""
        return replace(self, images=change(self.images), item=change(self.item))

    def of_items(self, items: Tensor | slice, count: int) -> OtherImages:
        """Those of some of the `count` items, counted as these are, see `Batch.select`."""
        places, item = _owned(self.item, items, count)
        return OtherImages(self.images[places], item, _at(self.uids, places))


@dataclass(frozen=True)
class Shown:
    """One of several images of a dialogue.

    Attributes:
        uid: of the sample.
        name: what the language model reads before it: "Image 1, 12 March 2024, prior".
    """

    uid: str
    name: str


@dataclass(frozen=True)
class Turn:
    """A question about the images of an item, and its answer.

    Attributes:
        question: what is asked, or what report is wanted.
        answer: what is to be said.
        kind: of the turn: report, presence, count, side, …
        shows: names of the regions that the answer points at, in its order.
        marks: ids of the regions that the question marks, in its order.
        images: in the first turn of a dialogue about several images these, in the order of the prompt; none where the
            item's own is all that is shown.
        pieces: what the answer is joined of, and how much the tokens of each count; all alike where empty.
    """

    question: str
    answer: str
    kind: str = ""
    shows: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    images: tuple[Shown, ...] = ()
    pieces: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Preferred:
    """Two answers to one request, of which the facts speak for the first.

    Attributes:
        question: what was asked for.
        chosen: the answer that the facts speak for.
        rejected: the other one.
        kind: corrected, shortened or kept.
    """

    question: str
    chosen: str
    rejected: str
    kind: str = ""


@dataclass
class ItemScales:
    """Logit scales and biases of the items of a batch, where these are of several sources.

    Attributes:
        scale: [B] multipliers of the cosine similarity (> 0).
        bias: [B], or None for a softmax-only model.
    """

    scale: Tensor
    bias: Tensor | None = None


RowsOf = Literal["items", "images", "texts"]

# What a field of `Batch` has a row for, by which `select` and its neighbours treat every field, also one added later.
_ITEMS, _IMAGES, _TEXTS, _NAMES, _SAMPLES, _REGIONS, _OTHERS = (
    MappingProxyType({"rows": rows}) for rows in ("items", "images", "texts", "names", "samples", "regions", "others")
)


@dataclass
class Batch:
    """What the loader hands to the module.

    Everything that varies in length is flattened with an owner index, and stands in the order of its owners.

    Attributes:
        images: [S, C, *G] float32, preprocessed by the preset.
        image_item: [S] int64, item to which each image belongs (arange where an item is a sample).
        texts: the T texts as strings; the module fills in `tokens` with the text tower's tokenizer.
        text_item: [T] int64, item to which each text belongs.
        study, subject: [B] int64 hashes of the item's study and subject (63-bit, never negative).
        text_hash: [T] int64 hash of the normalised text.
        facts: [B, F] int8, 1 present, 0 absent, -1 unknown; F = 0 where the view has none.
        fact_names: the F concepts, in order.
        uids: B uids (of the sample, or of the study's first sample).
        draws: [B] int64 global draw indices (the key of all randomness for the item).
        text_facts: [T, F] int8, what each text by itself states, as in `facts`; None where the loader does not know.
        text_kinds: kind of the caption that each text is of (raw, template, rewrite, …); None where the loader does not
            know.
        tokens: [T, L] int64, filled in by the module; 0 is padding.
        samples: the same images as items of their own, where studies are items and their samples have texts too: its
            texts, facts, hashes and uids are the samples', `images` is empty, and B = S.
        regions: phrases and where they are, for objectives that ground; None where `data.regions` is not set.
        image_days: [S] float32, days from the latest image of the item to each: 0 or less, NaN where its date is
            unknown; None where no date is known. Kept in float32 at any precision of the model.
        source: [B] int64, which of `source_names` each item is of; None where there is no mixture.
        source_names: the sources of the mixture.
        dialogues: of each item those that were drawn, each one or more turns; None where `data.dialogues` is not set.
        preferences: of each item the pairs that were drawn; None where `data.preferences` is not set.
        marked: regions that their questions mark, by id in `names`; None where `data.dialogues.marked` is not set.
        others: what dialogues show beside the items' own images; None where no dialogue of the batch shows more.

    Examples:
        >>> import torch
        >>> from voxtile.types import Batch
        >>> owner, facts = torch.tensor([0, 0, 1, 2]), torch.tensor([[1], [0], [-1]], dtype=torch.int8)  # -1: not known
        >>> batch = Batch(
        ...     images=torch.randn(3, 1, 16, 16), image_item=torch.arange(3),
        ...     texts=["a nodule", "of 8 mm", "no nodule", "MRI"], text_item=owner, text_hash=torch.arange(4),
        ...     study=torch.arange(3), subject=torch.tensor([7, 7, 8]),
        ...     facts=facts, fact_names=("nodule",), uids=["a", "b", "c"], draws=torch.arange(3),
        ... )
        >>> part = batch.select(torch.tensor([2, 0]))  # items, with all that is theirs
        >>> part.uids, part.texts, part.text_item
        (['c', 'a'], ['MRI', 'a nodule', 'of 8 mm'], tensor([0, 1, 1]))
    """

    images: Tensor = field(metadata=_IMAGES)
    image_item: Tensor = field(metadata=_IMAGES)
    texts: list[str] = field(metadata=_TEXTS)
    text_item: Tensor = field(metadata=_TEXTS)
    study: Tensor = field(metadata=_ITEMS)
    subject: Tensor = field(metadata=_ITEMS)
    text_hash: Tensor = field(metadata=_TEXTS)
    facts: Tensor = field(metadata=_ITEMS)
    fact_names: tuple[str, ...] = field(metadata=_NAMES)
    uids: list[str] = field(metadata=_ITEMS)
    draws: Tensor = field(metadata=_ITEMS)
    text_facts: Tensor | None = field(default=None, metadata=_TEXTS)
    text_kinds: list[str] | None = field(default=None, metadata=_TEXTS)
    tokens: Tensor | None = field(default=None, metadata=_TEXTS)
    samples: Batch | None = field(default=None, metadata=_SAMPLES)
    regions: Regions | None = field(default=None, metadata=_REGIONS)
    image_days: Tensor | None = field(default=None, metadata=_IMAGES)
    source: Tensor | None = field(default=None, metadata=_ITEMS)
    source_names: tuple[str, ...] = field(default=(), metadata=_NAMES)
    dialogues: list[tuple[tuple[Turn, ...], ...]] | None = field(default=None, metadata=_ITEMS)
    preferences: list[tuple[Preferred, ...]] | None = field(default=None, metadata=_ITEMS)
    marked: Regions | None = field(default=None, metadata=_REGIONS)
    others: OtherImages | None = field(default=None, metadata=_OTHERS)

    def __len__(self) -> int:
        return len(self.uids)

    def rows_of(self, what: RowsOf) -> dict[str, Any]:
        """Values of the fields with a row for each item, image or text, by name; None where a field is not known.

        `images` is empty, and has no rows, in a batch of samples.
        """
        return {f.name: getattr(self, f.name) for f in fields(self) if f.metadata["rows"] == what}

    def select(self, items: Tensor | slice) -> Batch:
        """Some of the items with all that is theirs: images, texts, facts, samples, regions and others.

        Args:
            items: places, [K] int64, in the order wanted; or [B] bool; or a range, whose rows are then views.

        Raises:
            ValueError: a mask is of another number of items.
        """
        if isinstance(items, Tensor) and items.dtype == torch.bool:
            if len(items) != len(self):
                raise ValueError(f"a mask of {len(items)} items cannot choose among {len(self)}")
            items = torch.nonzero(items).squeeze(1)
        images, image_item = _owned(self.image_item, items, len(self))
        texts, text_item = _owned(self.text_item, items, len(self))
        changed = {name: _at(value, items) for name, value in self.rows_of("items").items()}
        changed |= {name: _at(value, texts) for name, value in self.rows_of("texts").items()}
        changed |= {
            name: value if name == "images" and not len(value) else _at(value, images)
            for name, value in self.rows_of("images").items()
        }
        changed |= {
            "image_item": image_item,
            "text_item": text_item,
            "samples": None if self.samples is None else self.samples.select(images),
            "regions": None if self.regions is None else self.regions.of_items(items, len(self)),
            "marked": None if self.marked is None else self.marked.of_items(items, len(self)),
            "others": None if self.others is None else self.others.of_items(items, len(self)),
        }
        return replace(self, **changed)

    def with_texts(self, keep: Tensor) -> Batch:
        """The same items with some of their texts: [T] bool."""
        places = torch.nonzero(keep).squeeze(1)
        return replace(self, **{name: _at(value, places) for name, value in self.rows_of("texts").items()})

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The same batch with its tensors on a device."""
        return self.mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; torch's DataLoader calls this."""
        return self.mapped(Tensor.pin_memory)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with every tensor changed."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        if self.samples is not None:
            values["samples"] = self.samples.mapped(change)
        if self.regions is not None:
            values["regions"] = self.regions.mapped(change)
        if self.marked is not None:
            values["marked"] = self.marked.mapped(change)
        if self.others is not None:
            values["others"] = self.others.mapped(change)
        return Batch(**values)

    def with_facts(self, names: Sequence[str]) -> Batch:
        """The same items with some of their facts, in the order of `names`.

        Raises:
            ValueError: the batch knows no such fact.
        """
        columns = torch.tensor([self.fact_names.index(name) for name in names], device=self.facts.device)
        return replace(
            self,
            facts=self.facts[:, columns],
            fact_names=tuple(names),
            text_facts=None if self.text_facts is None else self.text_facts[:, columns],
        )


@dataclass
class Features:
    """What the module computes once and every objective reads.

    Attributes:
        image: [B, D] L2-normalised item embeddings.
        text: [T, D] L2-normalised text embeddings.
        logit_scale: scalar, already exponentiated (> 0); NaN where items have scales of their own, see `each`.
        logit_bias: scalar, or None for a softmax-only model; NaN likewise.
        image_encoded: the tower's own output per item, for objectives that need `pooled` or `tokens`.
        text_encoded: the text tower's own output.
        batch: where it came from (hashes, facts, owners).
        step: global optimiser step.
        samples: the same of `batch.samples`, where there are such and an objective needs them.
        share: which items this process encoded, where several train together; None in a single process.
        rows: [B, K] of objectives that compute something of each item (or region) by itself, see `Objective.rows`.
        each: scales and biases by item, where the batch is of several sources that have their own; else None.
        others_encoded: what the tower gives of `batch.others`, for `Objective.rows` that need `others`; else None.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import Contrastive
        >>> from voxtile.types import Features
        >>> features = Features.of_pairs(torch.eye(4), torch.eye(4), scale=1.0)
        >>> round(Contrastive()(features).item(), 4)  # log(e + 3) - 1
        0.7437
    """

    image: Tensor
    text: Tensor
    logit_scale: Tensor
    logit_bias: Tensor | None
    image_encoded: Encoded
    text_encoded: Encoded
    batch: Batch
    step: int = 0
    samples: Features | None = None
    share: Share | None = None
    rows: dict[Any, Tensor] = field(default_factory=dict)
    each: ItemScales | None = None
    others_encoded: Encoded | None = None

    @classmethod
    def of_pairs(
        cls,
        image: Tensor,
        text: Tensor,
        scale: float = 10.0,
        bias: float | None = None,
        *,
        image_encoded: Encoded | None = None,
        text_encoded: Encoded | None = None,
        **known: Any,  # noqa: ANN401 - fields of Batch
    ) -> Features:
        """Embeddings as an objective reads them, where a training loop of one's own has made them.

        Text j is of item j, and every item is a study and a subject of its own, unless `known` says otherwise.

        Args:
            image: [B, D], normalised here.
            text: [T, D], likewise.
            scale: multiplier of the cosine similarity.
            bias: added to it, for sigmoid objectives.
            image_encoded: what the image tower gave, for objectives that read more; the embeddings where left out.
            text_encoded: what the text tower gave, likewise.
            known: fields of `Batch`: `text_item`, ascending, where items have several texts or none, `facts` with
                `fact_names`, `images`, `tokens`, ….

        Raises:
            ValueError: T is not B, and no `text_item` says whose the texts are.
        """
        items, texts = len(image), len(text)
        if items != texts and "text_item" not in known:
            raise ValueError(f"{items} items and {texts} texts do not pair off; give text_item, the item of each text")
        own = torch.arange(items, device=image.device)
        fields_of_batch: dict[str, Any] = {
            "images": image.new_empty(0), "image_item": own, "texts": [f"text {n}" for n in range(texts)],
            "text_item": own, "study": own, "subject": own, "text_hash": torch.arange(texts, device=image.device),
            "facts": torch.empty(items, 0, dtype=torch.int8, device=image.device), "fact_names": (),
            "uids": [f"{n:032x}" for n in range(items)], "draws": own, **known,
        }  # fmt: skip
        image, text = normalize(image, dim=1), normalize(text, dim=1)
        return cls(
            image,
            text,
            image.new_tensor(scale),
            None if bias is None else image.new_tensor(bias),
            image_encoded or Encoded(image),
            text_encoded or Encoded(text),
            Batch(**fields_of_batch),
        )


def _at(rows: Any, places: Tensor | slice) -> Any:  # noqa: ANN401 - a tensor, a list, or None where it is not known
    """Rows at some places."""
    if isinstance(rows, list) and isinstance(places, Tensor):
        return [rows[place] for place in places.tolist()]
    return None if rows is None else rows[places]


def _owned(owners: Tensor, items: Tensor | slice, count: int) -> tuple[Tensor | slice, Tensor]:
    """Where the rows of some of `count` items are, and the new owner of each, counted as `items` are.

    Args:
        owners: [N] int64, ascending.
        items: see `Batch.select`; places, or a range.
        count: of all items.
    """
    if isinstance(items, slice):
        start, stop, _ = items.indices(count)
        first, last = torch.searchsorted(owners, torch.tensor([start, stop], device=owners.device)).tolist()
        return slice(first, last), owners[first:last] - start
    sizes = torch.bincount(owners, minlength=count)
    each, starts = sizes[items], (sizes.cumsum(0) - sizes)[items]
    new = torch.arange(len(items), device=owners.device).repeat_interleave(each)
    within = torch.arange(len(new), device=owners.device) - (each.cumsum(0) - each)[new]
    return starts[new] + within, new
