"""The functions of commands whose second word names one: those of the core, and where domains are asked for theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from voxtile.domain import Command, Domain, discover


def of_domains(table: Callable[[Domain], Mapping[str, Command]]) -> Callable[[], Mapping[str, Command]]:
    """Members that the installed domains bring."""

    def members() -> Mapping[str, Command]:
        domains, _ = discover()
        return {name: command for domain in domains.values() for name, command in table(domain).items()}

    return members


def exports() -> Mapping[str, Command]:
    """What `voxtile export` writes, by the name after `--to`."""
    command = "voxtile.export.command"
    models = {
        "open_clip": ("export_open_clip", "a checkpoint as a folder that open_clip loads"),
        "huggingface": ("export_hugging_face", "a checkpoint as a folder that transformers loads"),
        "onnx": ("export_onnx", "a checkpoint as ONNX graphs, any tower, also in 8 bits"),
    }
    assistant = "voxtile.assist.exporting.command:export_assistant"
    return {
        "assistant": Command(
            assistant, "a checkpoint that writes, as ONNX and for transformers or peft",
            "voxtile export last.ckpt out --to assistant --corpus corpus", check="voxtile.cli.preflight:export",
        ),
        **{
            name: Command(
                f"{command}:{target}", about, f"voxtile export last.ckpt out --to {name} --corpus corpus",
                check="voxtile.cli.preflight:export",
            )
            for name, (target, about) in models.items()
        },
        **of_domains(lambda domain: domain.exports)(),
    }  # fmt: skip


def imports() -> Mapping[str, Command]:
    """What `voxtile import` reads."""
    ingest = "voxtile.stages.ingest.command"
    return {
        "wds": Command(f"{ingest}:import_wds", "WebDataset shards", "voxtile import wds pairs/ corpus"),
        "parquet": Command(
            f"{ingest}:import_parquet", "Parquet with image bytes", "voxtile import parquet p.parquet corpus"
        ),
        "csv": Command(f"{ingest}:import_csv", "a CSV of image paths and texts", "voxtile import csv pairs.csv corpus"),
        **of_domains(lambda domain: domain.importers)(),
    }


def subjects() -> Mapping[str, Command]:
    """What `voxtile subjects` does."""
    command = "voxtile_datasets.intake.subjects_command"
    return {
        "make": Command(
            f"{command}:make_subject_table", "the table, from a list of people",
            "voxtile subjects make corpus people.parquet --identifiers people.csv",
        ),
        "find": Command(
            f"{command}:find_subjects", "who a pseudonym stands for, or what stands for somebody",
            "voxtile subjects find people.parquet 0123456789abcdef0123456789abcdef",
        ),
    }  # fmt: skip


def captions() -> Mapping[str, Command]:
    """Ways to caption."""
    command, example = "voxtile_datasets.captions.command", "voxtile caption"
    endpoint = "--provider openai --base-url http://127.0.0.1:8000/v1 --model M"
    return {
        "template": Command(
            f"{command}:caption_by_template", "sentences of wording banks, no model", f"{example} template corpus"
        ),
        "model": Command(
            f"{command}:caption_by_model", "a language model, here or at an endpoint, whose texts are checked",
            f"{example} model corpus {endpoint}",
        ),
        "bank": Command(
            "voxtile_datasets.captions.phrase_bank.command:make_bank",
            "wordings and descriptions that a model proposes, to edit, sign and compose from",
            f"{example} bank corpus --out phrases.yaml",
        ),
        "sign": Command(
            "voxtile_datasets.captions.phrase_bank.sign:sign_bank",
            "a specialist's name, day and mark beside lines of such a bank",
            f'{example} sign medical --by "A. Radiologist" --out signed.yaml',
        ),
        "checkpoint": Command(
            f"{command}:caption_by_checkpoint", "a model trained here to caption pictures, whose texts are checked",
            f"{example} checkpoint corpus --model last.ckpt",
        ),
    }  # fmt: skip


def old_caption(words: Sequence[str], ways: Mapping[str, Command]) -> tuple[str, list[str]]:
    """The way and the words of `voxtile caption CORPUS --provider NAME`, as it was called before."""
    from voxtile.cli.caption_form import way_and_words

    return way_and_words(words, ways)
