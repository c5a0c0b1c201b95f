"""What objectives need of the data, checked before the first step: a term that finds nothing would be 0 all the way."""

from __future__ import annotations

from collections.abc import Mapping

from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective


def check_data(objectives: Mapping[str, Objective], data: object) -> None:
    """Refuse an objective whose texts, facts or evidence no item of the training split has.

    Args:
        objectives: by name.
        data: the datamodule; what it does not tell (`has_texts`, `fact_names`, `states_facts`, `contrasts_facts`,
            `region_phrases`) is not checked.

    Raises:
        ConfigError: names the objective, and what gives it what it needs.
    """
    reading = [name for name, objective in objectives.items() if objective.reads_texts]
    if reading and not getattr(data, "has_texts", True):
        raise ConfigError(
            f"no item of the training split has a text for the objective '{reading[0]}'; run 'voxtile caption', or "
            "train on images alone, by SelfDistillation and MaskedImage"
        )
    related = [name for name, objective in objectives.items() if objective.relates_by_facts]
    if related and not getattr(data, "fact_names", True):
        raise ConfigError(
            f"the objective '{related[0]}' relates items by their facts, and the corpus view has none; run 'voxtile "
            "facts' on the corpus, or take facts out of its positives and ignore"
        )
    stating = [name for name, objective in objectives.items() if objective.reads_evidence]
    if stating and not getattr(data, "states_facts", True):
        raise ConfigError(
            f"no text of the training split is known to state a fact, which the objective '{stating[0]}' needs; facts "
            "name single sentences as their evidence: set data.captions.unit to sentence, or first run 'voxtile facts "
            "--from reports' or 'voxtile caption'"
        )
    telling = [name for name, objective in objectives.items() if objective.contrasts_facts]
    if telling and not getattr(data, "contrasts_facts", True):
        raise ConfigError(
            f"no fact is there in some items of the training split and absent from others, which the objective "
            f"'{telling[0]}' tells apart; let silence mean absence (data.closed_facts), add facts that deny, or "
            "remove it"
        )
    naming = [name for name, objective in objectives.items() if objective.contrasts_phrases]
    if naming and (count := getattr(data, "region_phrases", 2)) < 2:
        raise ConfigError(
            f"the regions of the training split bear {count or 'no'} phrase{'' if count == 1 else 's'}, and the "
            f"objective '{naming[0]}' tells phrases apart; add regions of other phrases, or remove it"
        )
