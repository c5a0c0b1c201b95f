"""The commands of `voxtile`: names, one line of help, an example, and where each one's function is.

Targets are strings, so that the table costs nothing to read and only the chosen command's module is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from voxtile.cli.entries import CORPUS, ENRICH, MODEL, SELF, Entry, Group
from voxtile.domain import Command, Domain, discover


def _of_domains(table: Callable[[Domain], Mapping[str, Command]]) -> Callable[[], Mapping[str, Command]]:
    def members() -> Mapping[str, Command]:
        domains, _ = discover()
        return {name: command for domain in domains.values() for name, command in table(domain).items()}

    return members


def _exports() -> Mapping[str, Command]:
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
        **_of_domains(lambda domain: domain.exports)(),
    }  # fmt: skip


def _imports() -> Mapping[str, Command]:
    ingest = "voxtile.stages.ingest.command"
    return {
        "wds": Command(f"{ingest}:import_wds", "WebDataset shards", "voxtile import wds pairs/ corpus"),
        "parquet": Command(
            f"{ingest}:import_parquet", "Parquet with image bytes", "voxtile import parquet p.parquet corpus"
        ),
        "csv": Command(f"{ingest}:import_csv", "a CSV of image paths and texts", "voxtile import csv pairs.csv corpus"),
    }


def _subjects() -> Mapping[str, Command]:
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


def _captions() -> Mapping[str, Command]:
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


def _old_caption(words: Sequence[str], ways: Mapping[str, Command]) -> tuple[str, list[str]]:
    from voxtile.cli.caption_form import way_and_words

    return way_and_words(words, ways)


def _training(word: str, help_line: str) -> Entry:
    trained = "" if word == "fit" else " --ckpt_path last"
    example = f"voxtile {word} -c medical/ct --data.corpus corpus{trained}"
    return Entry(
        MODEL, f"{word} -c CONFIG …", Command("voxtile.cli.lightning:main", help_line, example), takes_argv=True
    )


COMMANDS: Mapping[str, Entry | Group] = {
    "phantom": Group(
        CORPUS,
        "phantom NAME OUT",
        "write native files with known truth, to try everything without data",
        "voxtile phantom ct phantom --n 200",
        "phantom",
        _of_domains(lambda domain: domain.phantoms),
    ),
    "convert": Group(
        CORPUS,
        "convert NAME SOURCE CORPUS",
        "raw files to a corpus; run it again to resume",
        "voxtile convert dicom phantom/dicom corpus --reports phantom/reports.csv",
        "converter",
        _of_domains(lambda domain: domain.converters),
        adds=True,
        makes=True,
    ),
    "build": Group(
        CORPUS,
        "build NAME SOURCE CORPUS",
        "a public dataset as it is downloaded to a corpus",
        "voxtile build medmnist pneumoniamnist.npz corpus",
        "recipe",
        _of_domains(lambda domain: domain.recipes),
        adds=True,
        makes=True,
    ),
    "import": Group(
        CORPUS,
        "import NAME SOURCE CORPUS",
        "existing image-text pairs to a corpus; image bytes stay as they are",
        "voxtile import wds pairs/ corpus",
        "importer",
        _imports,
        adds=True,
        makes=True,
    ),
    "materialize": Entry(
        CORPUS,
        "materialize CORPUS OUT --preset P",
        Command(
            "voxtile.stages.materialize.command:materialize_corpus",
            "a derived corpus at a preset's resolution",
            "voxtile materialize corpus small --preset preset.yaml",
        ),
    ),
    "inspect": Entry(
        ENRICH,
        "inspect CORPUS [UID]",
        Command(
            "voxtile.stages.inspect.command:inspect_corpus",
            "counts, drop reasons, licences; as a page with pictures too",
            "voxtile inspect corpus --html report.html",
        ),
    ),
    "subjects": Group(
        ENRICH,
        "subjects make|find …",
        "who stands behind pseudonyms, in a table apart from the key",
        "voxtile subjects make corpus people.parquet --identifiers people.csv",
        "action",
        _subjects,
    ),
    "verify": Entry(
        ENRICH,
        "verify CORPUS",
        Command(
            "voxtile.stages.verify.command:verify_corpus", "check every byte against its hash", "voxtile verify corpus"
        ),
    ),
    "extract": Entry(
        ENRICH,
        "extract CORPUS UID --to KIND",
        Command(
            "voxtile.stages.extract:extract_sample",
            "one sample as a file for other programs",
            "voxtile extract corpus 0123456789abcdef0123456789abcdef --to nifti",
        ),
    ),
    "forget": Entry(
        ENRICH,
        "forget CORPUS… --subject ID",
        Command(
            "voxtile_datasets.forgetting.command:forget_subject",
            "a subject taken out for good, and the search that proves it",
            "voxtile forget corpus --subject 0123456789abcdef0123456789abcdef",
        ),
    ),
    "compact": Entry(
        ENRICH,
        "compact CORPUS",
        Command(
            "voxtile.stages.upkeep.compact:compact_corpus",
            "many small parts of tables into few files; views and runs stay valid",
            "voxtile compact corpus",
        ),
    ),
    "gc": Entry(
        ENRICH,
        "gc CORPUS",
        Command(
            "voxtile.stages.upkeep.garbage:collect_garbage",
            "what killed runs left and nothing names: listed, and removed",
            "voxtile gc corpus --dry-run",
        ),
    ),
    "migrate": Entry(
        ENRICH,
        "migrate CORPUS",
        Command(
            "voxtile.stages.upkeep.migrate:migrate_corpus",
            "a corpus of an older format version as it is written today",
            "voxtile migrate corpus",
        ),
    ),
    "push": Entry(
        ENRICH,
        "push CORPUS ADDRESS",
        Command(
            "voxtile.stages.push:push_corpus",
            "a corpus into an object store, beside what other machines put there",
            "voxtile push corpus s3://bucket/ct",
        ),
    ),
    "export-wds": Entry(
        ENRICH,
        "export-wds CORPUS OUT",
        Command(
            "voxtile_datasets.webdataset_export.command:export_wds",
            "pictures and chosen captions as WebDataset, for open_clip and others",
            "voxtile export-wds corpus pairs --split train,val --kinds rewrite=2,template",
        ),
    ),
    "export-geoparquet": Entry(
        ENRICH,
        "export-geoparquet CORPUS OUT",
        Command(
            "voxtile.stages.geoparquet:export_geoparquet",
            "footprints and splits as one file for QGIS and geopandas",
            "voxtile export-geoparquet corpus footprints.parquet",
        ),
    ),
    "facts": Group(
        ENRICH,
        "facts CORPUS --from NAME",
        "facts about the samples, from labels or what a domain offers",
        "voxtile facts corpus --from labels --labels phantom/labels.csv",
        "source of facts",
        _of_domains(lambda domain: domain.facts),
        adds=True,
        selector="--from",
    ),
    "score": Group(
        ENRICH,
        "score CORPUS --from NAME",
        "numbers about the samples, such as their stains",
        "voxtile score corpus --from stain",
        "source of scores",
        _of_domains(lambda domain: domain.scores),
        adds=True,
        selector="--from",
    ),
    "describe": Group(
        ENRICH,
        "describe CORPUS --with NAME",
        "texts about samples: reports from facts, or a vision model's words",
        "voxtile describe corpus --with pathgen --base-url http://127.0.0.1:8000/v1 --model llava",
        "describer",
        _of_domains(lambda domain: domain.describers),
        adds=True,
        selector="--with",
    ),
    "export": Group(
        ENRICH,
        "export MODEL|CORPUS OUT --to NAME",
        "a model for other libraries, with proof; features for other tools",
        "voxtile export last.ckpt out --to onnx --corpus corpus",
        "export",
        _exports,
        selector="--to",
    ),
    "caption": Group(
        ENRICH,
        "caption NAME CORPUS",
        "texts from facts: wording banks, or a checked model",
        "voxtile caption template corpus",
        "way to caption",
        _captions,
        old_form=_old_caption,
        adds=True,
        old_usage="voxtile caption CORPUS --provider NAME",
    ),
    "instruct": Entry(
        ENRICH,
        "instruct CORPUS",
        Command(
            "voxtile_datasets.instruct.command:instruct_corpus",
            "questions, reports and dialogues from facts, regions and texts",
            "voxtile instruct corpus --kinds report,presence,comparison",
        ),
        adds=True,
    ),
    "prefer": Entry(
        ENRICH,
        "prefer CORPUS MODEL",
        Command(
            "voxtile_datasets.preferences.command:prefer",
            "pairs of an assistant's drafts, of which the facts speak for one",
            "voxtile prefer corpus last.ckpt --samples 4",
        ),
        adds=True,
    ),
    "card": Entry(
        ENRICH,
        "card CORPUS OUT",
        Command(
            "voxtile_datasets.cards.command:write_card",
            "a data card: page, Markdown and Croissant",
            "voxtile card corpus corpus --name 'My CT scans' --creator 'Radiology, General Hospital'",
        ),
    ),
    "curate": Entry(
        ENRICH,
        "curate CORPUS… --view NAME",
        Command(
            "voxtile_datasets.curation.command:curate_corpus",
            "choose what is trained on: conditions, duplicates, balance, weights",
            "voxtile curate corpus --view good --where \"modality = 'CT'\" --dedup minhash --balance facts",
        ),
    ),
    "check": Entry(
        ENRICH,
        "check CORPUS",
        Command(
            "voxtile_datasets.captions.checker.command:check_captions",
            "what captions claim, compared with the facts: a verdict each",
            "voxtile check corpus",
        ),
        adds=True,
    ),
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
            "voxtile.assist.drafts:draft",
            "reports of a split, or answers to its questions, as a file to evaluate",
            "voxtile draft corpus last.ckpt --out drafts.parquet",
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
    "serve": Entry(
        ENRICH,
        "serve CORPUS…",
        Command(
            "voxtile.serve.command:serve_corpus",
            "a corpus in the browser: find samples, look at them, judge captions",
            "voxtile serve corpus --model last.ckpt",
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
    "doctor": Entry(
        SELF,
        "doctor",
        Command("voxtile.cli.doctor:doctor", "versions, codecs, processors, memory, GPU", "voxtile doctor"),
    ),
    "domains": Entry(
        SELF,
        "domains",
        Command("voxtile.cli.doctor:list_domains", "installed domains and what each one offers", "voxtile domains"),
    ),
    "new-domain": Entry(
        SELF,
        "new-domain NAME",
        Command(
            "voxtile.cli.new_domain.command:new_domain",
            "a package that adds a domain of your own, with its tests, to begin from",
            "voxtile new-domain microscopy",
        ),
    ),
    "completion": Entry(
        SELF,
        "completion SHELL",
        Command(
            "voxtile.cli.completion:print_script",
            "what makes bash, zsh or fish complete commands and options",
            "voxtile completion bash >> ~/.bashrc",
        ),
    ),
    "config": Entry(
        SELF,
        "config NAME",
        Command(
            "voxtile.cli.doctor:print_config_file", "print a training config", "voxtile config medical/ct > ct.yaml"
        ),
    ),
}
