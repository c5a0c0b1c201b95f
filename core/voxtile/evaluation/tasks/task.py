"""What an evaluation task is, as plain values: which samples, which labels, which prompts, which order of averaging."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

Unit: TypeAlias = Literal["sample", "study"]
Uncertain: TypeAlias = Literal["ignore", "positive", "negative"]
Averaged: TypeAlias = Literal["embeddings", "scores"]
Aggregated: TypeAlias = Literal["embeddings", "scores", "top-k", "attention"]
Polarity: TypeAlias = Literal["present", "absent"]

SHARED_KEYS = ("name", "title", "about", "kind", "unit", "split", "scheme", "where")
"""Keys that the file of every task may have."""


@dataclass(frozen=True)
class Wording:
    """One way to ask: a text for the presence of a finding and, in multi-label tasks, one for its absence."""

    present: str
    absent: str | None = None


@dataclass(frozen=True)
class TaskClass:
    """One class (multi-label: one finding).

    Attributes:
        name: what `results.json` calls it.
        title: what people read.
        concept: the concept of the corpus's facts that decides the label.
        when: the polarity of that concept that makes the label positive (`absent` for a class such as "normal").
        wordings: at least one.
    """

    name: str
    title: str
    concept: str
    when: Polarity
    wordings: tuple[Wording, ...]


@dataclass(frozen=True)
class Averaging:
    """Where the mean is taken at each level: over normalised embeddings (renormalised after), or over scores.

    Attributes:
        templates: the templates of one wording.
        wordings: the wordings of one class.
        samples: the samples of one study; scores also as the mean of the best few (`top-k`) or by attention.
        top_k: how many samples `top-k` takes; of several the one is kept that is best on validation.
    """

    templates: Averaged = "embeddings"
    wordings: Averaged = "scores"
    samples: Aggregated = "embeddings"
    top_k: tuple[int, ...] = ()


@dataclass(frozen=True)
class LabelRule:
    """How facts become labels.

    Attributes:
        uncertain: what a fact of polarity `uncertain` counts as.
        source: only facts whose `source` is this rule (`labels` also takes `labels@2`); None takes all.
        otherwise: sources that stand in for it, the first of which the corpus has facts about a class, so that a task
            with labels of its own can also be asked of a corpus that has none; every report says so.
        vocabulary: only scopes of this vocabulary decide what "not mentioned" means; None takes all.
    """

    uncertain: Uncertain = "ignore"
    source: str | None = None
    vocabulary: str | None = None
    otherwise: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every kind of task says.

    Attributes:
        name: e.g. `medical/ct-findings`.
        title: one line for people.
        kind: what is asked, as the entry point of the kind is called.
        unit: what is scored: a sample, or a study (all its samples together).
        where: SQL condition over the `samples` table, or None for all.
        split: the split that is reported unless the command says otherwise.
        scheme: the split scheme of the corpus.
        about: a sentence or two that the report prints.
    """

    name: str
    title: str
    kind: str
    unit: Unit
    where: str | None = None
    split: str = "test"
    scheme: str = "default"
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class EvaluationTask(Task):
    """A task with classes, as read from YAML: multi-label by present/absent pairs, or single-label by class prompts.

    Attributes:
        lends_classes: other tasks may take its classes and labels, by their key `of`.
        classes: in the order of the file; none where they are those of the corpus's vocabulary.
        templates: each with one `{}` that takes the wording.
        positive: in a binary single-label task the class whose score is reported, else None.
        labels: how facts become labels.
        averaging: the order of averaging.
        fact_head_ensemble: also report the mean of the contrastive score and the fact head's.
        robustness: changes of the images under which the model is tried again
            (`voxtile.evaluation.inputs.robustness`).
        subgroups: properties by which figures are split (`voxtile.evaluation.inputs.groups`).
        scorers: what also scores images with prompts, by the tokens of both (`voxtile.evaluation.pair_scores`).
    """

    lends_classes: ClassVar[bool] = True

    classes: tuple[TaskClass, ...]
    templates: tuple[str, ...] = ("{}",)
    positive: str | None = None
    labels: LabelRule = field(default_factory=LabelRule)
    averaging: Averaging = field(default_factory=Averaging)
    fact_head_ensemble: bool = False
    robustness: tuple[str, ...] = ()
    subgroups: tuple[str, ...] = ()
    scorers: tuple[str, ...] = ()

    @property
    def multilabel(self) -> bool:
        """Whether several classes can be positive at once."""
        return self.kind == "zero-shot-multilabel"

    @property
    def reported(self) -> tuple[TaskClass, ...]:
        """The classes that get figures: all, or only the positive one of a binary task."""
        if self.positive is None:
            return self.classes
        return tuple(c for c in self.classes if c.name == self.positive)

    @property
    def exclusive(self) -> bool:
        """Whether exactly one of three or more reported classes is right (a binary task reports one score)."""
        return not self.multilabel and self.positive is None
