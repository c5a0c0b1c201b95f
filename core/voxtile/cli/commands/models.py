"""Commands that train models and evaluate them."""

from __future__ import annotations

from collections.abc import Mapping

from voxtile.cli.entries import MODEL, Entry
from voxtile.domain import Command


def _training(word: str, help_line: str) -> Entry:
    trained = "" if word == "fit" else " --ckpt_path last"
    example = f"voxtile {word} -c medical/ct --data.corpus corpus{trained}"
    return Entry(
        MODEL, f"{word} -c CONFIG …", Command("voxtile.cli.lightning:main", help_line, example), takes_argv=True
    )


MODELS: Mapping[str, Entry] = {
    "fit": _training("fit", "train a model; also as 'lightning fit'"),
    "validate": _training("validate", "losses and metrics on the validation split"),
    "test": _training("test", "the zero-shot report of a trained model"),
    "predict": _training("predict", "embeddings by a trained model as a Parquet table"),
    "embed": Entry(
        MODEL,
        "embed CORPUS MODEL",
        Command(
            "voxtile.stages.embed.command:embed_corpus",
            "vectors of all samples as a table, by any image model",
            "voxtile embed corpus timm:resnet50.a1_in1k",
            check="voxtile.cli.preflight:embedding",
        ),
        adds=True,
    ),
    "evaluate": Entry(
        MODEL,
        "evaluate MODEL TASK…",
        Command(
            "voxtile.evaluation.command:evaluate",
            "any model on any task: results.json, a table and a page",
            "voxtile evaluate last.ckpt medical/ct-findings --corpus corpus --out report",
        ),
    ),
    "compare": Entry(
        MODEL,
        "compare REPORT REPORT",
        Command(
            "voxtile.evaluation.comparison.command:compare",
            "two reports pair by pair: differences, intervals, p",
            "voxtile compare report-a report-b --out comparison",
            check="voxtile.cli.preflight:comparison",
        ),
    ),
    "ground": Entry(
        MODEL,
        'ground MODEL IMAGE "phrase"…',
        Command(
            "voxtile.stages.ground.command:ground",
            "where in an image a phrase is, in the image's own coordinates",
            'voxtile ground last.ckpt scan/ "pleural effusion" --out found',
            check="voxtile.cli.preflight:grounding",
        ),
    ),
    "report": Entry(
        MODEL,
        "report SCAN",
        Command(
            "voxtile.assist.command:report",
            "draft a report of a scan, with what each sentence rests on",
            "voxtile report scan/ --model last.ckpt",
            check="voxtile.cli.preflight:assisting",
        ),
    ),
    "draft": Entry(
        MODEL,
        "draft CORPUS MODEL",
        Command(
            "voxtile.assist.drafting.command:draft",
            "reports of a split, or answers to its questions, as a file to evaluate",
            "voxtile draft corpus last.ckpt --out drafts.parquet",
            check="voxtile.cli.preflight:drafting",
        ),
    ),
    "calibrate": Entry(
        MODEL,
        "calibrate CORPUS ANSWERS",
        Command(
            "voxtile.evaluation.kinds.answers.calibrate:calibrate",
            "below which confidence answers are withheld, from a validation split",
            "voxtile calibrate corpus answers.parquet --risk 0.1",
        ),
    ),
    "ask": Entry(
        MODEL,
        'ask SCAN… "question"',
        Command(
            "voxtile.assist.command:ask",
            "answer a question about a scan",
            'voxtile ask scan/ "Is there a pleural effusion?" --model last.ckpt',
            check="voxtile.cli.preflight:assisting",
        ),
    ),
    "chat": Entry(
        MODEL,
        "chat SCAN",
        Command(
            "voxtile.assist.command:chat",
            "talk about a scan, a question a line",
            "voxtile chat scan/ --model last.ckpt",
            check="voxtile.cli.preflight:assisting",
        ),
    ),
    "plan": Entry(
        MODEL,
        "plan CONFIG",
        Command(
            "voxtile.training.planning.command:plan",
            "memory and time of a config on a GPU, and the largest micro-batch",
            "voxtile plan medical/ct --gpu l4",
            check="voxtile.cli.preflight:planning",
        ),
    ),
}
