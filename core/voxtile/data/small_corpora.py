"""What a corpus that is smaller than its config changes, and what it cannot give; each is said."""

from __future__ import annotations

from collections.abc import Mapping

from lightning.pytorch.utilities import rank_zero_only

from voxtile.console import note
from voxtile.errors import ConfigError


def fitting_batch(batch_size: int, items: int, ranks: int, split: str) -> int:
    """The batch size, or what there are items for where they are fewer; then a note says so.

    Args:
        batch_size: of the config, over all ranks.
        items: of an epoch.
        ranks: that share a batch equally.
        split: that is trained on, for messages.

    Raises:
        ConfigError: there is no second item, so that nothing could be compared with anything.
    """
    if items >= batch_size:
        return batch_size
    fitting = items - items % ranks
    if fitting < 2:
        raise ConfigError(
            f"the split '{split}' has {items} item{'s' * (items != 1)} for {ranks} process{'es' * (ranks != 1)}, and "
            "training compares items with each other; convert more, or give more subjects to it with --split-fractions"
        )
    rank_zero_only(note)(
        f"a batch holds {fitting} items and not {batch_size} (data.batch_size): the split '{split}' has {items} items; "
        "contrastive training on so few learns little that holds elsewhere"
    )
    return fitting


def say_missing(sizes: Mapping[str, int], names: Mapping[str, str]) -> None:
    """Say which splits nothing is in, since that shows only when a model is to be evaluated.

    Args:
        sizes: items by role (train, val, test).
        names: of the splits by role.
    """
    missing = [role for role in ("val", "test") if not sizes[role]]
    if not missing:
        return
    which = " and ".join(f"'{names[role]}'" for role in missing)
    lacks = {"val": "thresholds are not chosen", "test": "there is nothing to evaluate on"}
    rank_zero_only(note)(
        f"no sample of the corpus is in the split{'s' * (len(missing) > 1)} {which}, so that "
        f"{' and '.join(lacks[role] for role in missing)}; convert more subjects, or anew with --split-fractions or "
        "--splits"
    )
