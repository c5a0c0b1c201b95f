"""CheXbert's own labels, where its weights are at hand: a reader of reports that shares nothing with our rules.

CheXbert (Smit et al., EMNLP 2020) is BERT with a linear head for each of CheXpert's 14 observations. What its published
checkpoint says of a report is taken as it is; for F1 an observation counts as there where it is positive or uncertain,
as the package f1chexbert counts (Delbrouck et al., ACL Findings 2022).

Shape letters: B reports, L tokens, W width.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.errors import ConfigError, InputError
from voxtile.extras import missing_extra

if TYPE_CHECKING:
    import torch

OBSERVATIONS = (
    "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia",
    "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices", "No Finding",
)  # fmt: skip
"""In the order of the heads; the last has two classes, the others four."""

FIVE = ("Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion")
"""Those that papers report by themselves."""

WEIGHTS, WORDS, CONFIG = "chexbert.pth", "vocab.txt", "config.json"
_POLARITIES: Mapping[int, str] = {1: "present", 2: "absent", 3: "present"}  # 0: blank, 3: uncertain
_LONGEST = 512
_BATCH = 16


class CheXbert:
    """Reads reports by CheXbert's weights.

    Args:
        folder: with `chexbert.pth` as its authors publish it and `vocab.txt` of bert-base-uncased; with `config.json`
            where its BERT is of another size.

    Raises:
        InputError: a file is missing, or is not what it should be.
        MissingExtraError: transformers is not installed.
    """

    name: ClassVar[str] = "chexbert"
    parts: ClassVar[Mapping[str, Sequence[str]]] = {"chexbert-5": FIVE}

    def __init__(self, folder: Path) -> None:
        missing = next((name for name in (WEIGHTS, WORDS) if not (folder / name).is_file()), None)
        if missing is not None:
            raise InputError(
                f"'{folder}' has no '{missing}'; CheXbert needs its published checkpoint as {WEIGHTS} and the "
                f"{WORDS} of bert-base-uncased in one folder"
            )
        try:
            from transformers import BertConfig, BertModel, BertTokenizer
        except ImportError as error:
            raise missing_extra(error, __name__) or error from error
        from torch import nn

        config = folder / CONFIG
        self._words = BertTokenizer.from_pretrained(str(folder), do_lower_case=True, local_files_only=True)
        settings = BertConfig.from_json_file(config) if config.is_file() else BertConfig()
        self._model = nn.ModuleDict(
            {
                "bert": BertModel(settings),
                "linear_heads": nn.ModuleList(
                    [nn.Linear(settings.hidden_size, 2 if name == "No Finding" else 4) for name in OBSERVATIONS]
                ),
            }
        )
        self._take(folder / WEIGHTS)

    def __call__(self, texts: Sequence[str]) -> list[dict[str, str]]:
        """Observation → present or absent of each text; none of what it leaves blank.

        Args:
            texts: reports.
        """
        plain = [re.sub(r"\s+", " ", text).strip() for text in texts]
        order = sorted(range(len(plain)), key=lambda place: len(plain[place]))  # of a batch alike in length
        found: list[dict[str, str]] = [{} for _ in plain]
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            for place, classes in zip(part, self._classes([plain[place] for place in part]), strict=True):
                named = zip(OBSERVATIONS, classes, strict=True)
                found[place] = {name: _POLARITIES[one] for name, one in named if one}
        return found

    def _classes(self, texts: Sequence[str]) -> list[list[int]]:
        """[B][14] class of each observation."""
        import torch

        read = self._words(list(texts), padding=True, truncation=True, max_length=_LONGEST, return_tensors="pt")
        with torch.inference_mode():
            states = self._model["bert"](input_ids=read["input_ids"], attention_mask=read["attention_mask"])[0][:, 0]
            return torch.stack([head(states).argmax(1) for head in _heads(self._model)], 1).tolist()

    def _take(self, path: Path) -> None:
        """Take the weights of a file, in which no code is run."""
        import torch

        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            state = {
                re.sub(r"^module\.", "", name): value
                for name, value in content["model_state_dict"].items()
                if not name.endswith("embeddings.position_ids")  # older versions of transformers kept it
            }
            self._model.load_state_dict(state)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"'{path}' is no checkpoint of CheXbert ({reason}); download it again") from error
        self._model.eval()


def _heads(model: Any) -> Sequence[torch.nn.Module]:  # noqa: ANN401
    return list(model["linear_heads"])


def open_chexbert(folder: Path) -> CheXbert:
    """See `CheXbert`."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder '{folder}'; give one with {WEIGHTS} and {WORDS}")
    return CheXbert(folder)
