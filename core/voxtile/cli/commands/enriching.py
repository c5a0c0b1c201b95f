"""Commands that look at a corpus and add to it."""

from __future__ import annotations

from collections.abc import Mapping

from voxtile.cli.commands.members import captions, exports, of_domains, old_caption, subjects
from voxtile.cli.entries import ENRICH, Entry, Group
from voxtile.domain import Command

ENRICHING: Mapping[str, Entry | Group] = {
    "inspect": Entry(
        ENRICH,
        "inspect CORPUS [UID]",
        Command(
            "voxtile.stages.inspect.command:inspect_corpus",
            "counts, drop reasons, licences; as a page with pictures too",
            "voxtile inspect corpus --html report.html",
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
    "subjects": Group(
        ENRICH,
        "subjects make|find …",
        "who stands behind pseudonyms, in a table apart from the key",
        "voxtile subjects make corpus people.parquet --identifiers people.csv",
        "action",
        subjects,
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
    "retract": Entry(
        ENRICH,
        "retract CORPUS [--stage NAME]",
        Command(
            "voxtile.stages.upkeep.retract:retract_runs",
            "facts, captions and the like that runs added to samples, taken back",
            "voxtile retract corpus --stage labels",
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
        of_domains(lambda domain: domain.facts),
        adds=True,
        selector="--from",
    ),
    "score": Group(
        ENRICH,
        "score CORPUS --from NAME",
        "numbers about the samples, such as their stains",
        "voxtile score corpus --from stain",
        "source of scores",
        of_domains(lambda domain: domain.scores),
        adds=True,
        selector="--from",
    ),
    "describe": Group(
        ENRICH,
        "describe CORPUS --with NAME",
        "texts about samples: reports from facts, or a vision model's words",
        "voxtile describe corpus --with pathgen --base-url http://127.0.0.1:8000/v1 --model llava",
        "describer",
        of_domains(lambda domain: domain.describers),
        adds=True,
        selector="--with",
    ),
    "export": Group(
        ENRICH,
        "export MODEL|CORPUS OUT --to NAME",
        "a model for other libraries, with proof; features for other tools",
        "voxtile export last.ckpt out --to onnx --corpus corpus",
        "export",
        exports,
        selector="--to",
    ),
    "caption": Group(
        ENRICH,
        "caption NAME CORPUS",
        "texts from facts: wording banks, or a checked model",
        "voxtile caption template corpus",
        "way to caption",
        captions,
        old_form=old_caption,
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
            check="voxtile.cli.preflight:drafting",
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
}
