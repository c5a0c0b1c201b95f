"""What was learned of a language model, in the formats of the libraries that load it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from safetensors.torch import save_file

from voxtile.assist.answering import Answering
from voxtile.assist.scratch import TrainedWords
from voxtile.errors import required

LANGUAGE, ADAPTER = "language", "adapter"


def write_language(answering: Answering, folder: Path) -> str:
    """Write a language model from scratch as a whole, and of a named one what was trained.

    Low-rank additions go to `adapter` as peft saves them, whose `PeftModel.from_pretrained` loads them onto the model
    that they were trained on. A named model of which blocks were trained goes to `language` as a whole.

    Args:
        answering: in evaluation mode, on the CPU.
        folder: of the export.

    Returns:
        in words what was written.

    Raises:
        MissingExtraError: peft is not installed.
    """
    model = cast(Any, answering.language.model)
    name = Path(answering.language.name).name  # a folder's path is told to nobody
    if any("lora_" in part for part, _ in model.named_parameters()):
        _write_adapter(answering, model, name, folder / ADAPTER)
        return f"`{ADAPTER}/`: low-rank additions to `{name}`, for peft"
    if answering.scratch is None and not answering.tuned:
        return f"nothing of the language model: it is `{name}` as it was"
    model.save_pretrained(folder / LANGUAGE)
    if isinstance(answering.language.words, TrainedWords):
        _write_words(answering.language.words, folder / LANGUAGE)
        return f"`{LANGUAGE}/`: the language model and its words, for transformers"
    return f"`{LANGUAGE}/`: `{name}` with the blocks that were trained, for transformers; its tokenizer is the same"


def _write_words(words: TrainedWords, folder: Path) -> None:
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    made = tokenizers.Tokenizer.from_str(words.to_json())
    named = {"pad_token": "<pad>", "bos_token": "<start>", "eos_token": "<end>"}
    PreTrainedTokenizerFast(tokenizer_object=made, **named).save_pretrained(folder)


def _write_adapter(answering: Answering, model: Any, name: str, folder: Path) -> None:  # noqa: ANN401
    with required("peft", "assist"):
        import peft
    tuning = answering.tuning
    layers = sorted(path for path, part in model.named_modules() if hasattr(part, "lora_A"))
    config = peft.LoraConfig(
        r=tuning.rank,
        lora_alpha=tuning.alpha,
        lora_dropout=tuning.dropout,
        target_modules=layers,
        bias="none",
        task_type="CAUSAL_LM",
        base_model_name_or_path=name,
        inference_mode=True,
    )
    folder.mkdir()
    config.save_pretrained(str(folder))
    weights = {
        f"base_model.model.{path.replace('.default.', '.')}": part.detach().contiguous()
        for path, part in model.named_parameters()
        if "lora_" in path
    }
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
