"""Models by what a user calls them, for code that lies below what reads checkpoints and exports."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from voxtile.errors import ConfigError

if TYPE_CHECKING:
    from voxtile.models.protocol import EvaluationModel

ENTRY_POINT_GROUP = "voxtile.model_loaders"
_LOADER = "voxtile"


def open_model(source: str, trust_packages: Sequence[str] = ()) -> EvaluationModel:
    """The evaluation side of a model, on the CPU unless the loader chooses otherwise.

    The loader is found by its entry point, as plugins are: losses that follow another model take it so, and know
    nothing of the files that models come from.

    Args:
        source: as `voxtile evaluate` takes it: a checkpoint, an export, `open_clip:NAME/TAG`, a folder.
        trust_packages: packages of one's own whose classes a checkpoint or export may name.

    Raises:
        ConfigError: voxtile is not installed as a package, so that it has no entry points; or as the loader raises.
    """
    found = entry_points(group=ENTRY_POINT_GROUP, name=_LOADER)
    if not found:
        raise ConfigError(
            f"no loader of models is installed, so that '{source}' cannot be opened; install voxtile anew"
        )
    load = next(iter(found)).load()
    model: EvaluationModel = load(source, trust_packages) if trust_packages else load(source)
    return model
