"""The sections of README and docs whose commands are run.

A command is run as it stands wherever that is possible. Where it is not, the report shows what was run in its place.
"""

from __future__ import annotations

from scene import From, Phantom, Scene, Shell

CT = "README.md", "Your own CT scans"
WHERE = "README.md", "Where is it?"
CXR = "README.md", "Chest X-rays, real ones"
SLIDES = "README.md", "Whole slides"
TILES = "README.md", "Satellite and aerial scenes"
ASSIST = "docs/assist.md", "Train one"
CAPTIONER = "docs/caption-providers.md", "A model trained here"
EVALUATION = "docs/evaluation.md", "Evaluation"
TOKENS = "docs/evaluation.md", "Late interaction and matching"
DRAWN = "docs/pathology.md", "What you drew"
SLIDES_PAGE = "docs/pathology.md", "Slides to patches"
SCENES_PAGE = "docs/remote-sensing.md", "Satellite and aerial scenes"

LAST = "checkpoints/last.ckpt"
CT_MODEL, CT_CORPUS = From(CT, f"runs/ct/version_0/{LAST}"), From(CT, "corpus")
SLIDE_MODEL, SLIDE_CORPUS = From(SLIDES, f"runs/he/version_0/{LAST}"), From(SLIDES, "corpus")
XRAYS = From(CXR, "cxr")
SCAN = Phantom("ct", 100, "dicom/00003")

_BUILT = "voxtile build medmnist pneumoniamnist.npz corpus"

README = {
    CT: Scene(
        given={"SCANS": Phantom("ct", 100), "reports.csv": Phantom("ct", 100, "reports.csv")},
        spans=("voxtile config medical/ct > mine.yaml",),
    ),
    WHERE: Scene(
        given={"corpus": CT_CORPUS, "SCAN": SCAN},
        before={r"^voxtile ground": f"cp runs/ct-grounding/version_0/{LAST} last.ckpt"},
    ),
    CXR: Scene(given={"pneumoniamnist.npz": Shell("made xrays")}),
    SLIDES: Scene(
        given={
            "SLIDES": Phantom("he", 24, "slides"),
            "DRAWN": Phantom("he", 24, "annotations"),
            "reports.csv": Phantom("he", 24, "reports.csv"),
        },
        spans=("lightning fit -c pathology/he",),
    ),
    TILES: Scene(
        given={
            "PRODUCTS": Phantom("sentinel2", 20, "scenes"),
            "map.geojson": Phantom("sentinel2", 20, "map/map.geojson"),
        },
        run_as={r"region\.osm\.pbf": "map.geojson"},
    ),
    ("README.md", "Captions that can be trusted, and which of them to train on"): Scene(
        given={"corpus": CT_CORPUS, "last.ckpt": CT_MODEL},
        before={r"^voxtile export ": "rm -rf out"},  # the command before writes a folder of the same name
    ),
}

DOCS = {
    ASSIST: Scene(
        given={"scans": Phantom("ct", 100), "reports.csv": Phantom("ct", 100, "reports.csv")},
        run_as={r"^(lightning fit -c medical/ct.*)$": r"\1 --trainer.max_epochs 1"},
    ),
    ("docs/assist.md", "Ask it"): Scene(
        given={
            "scan": SCAN,
            "corpus": From(ASSIST, "corpus"),
            "last.ckpt": From(ASSIST, f"runs/ct-report/version_0/{LAST}"),
        },
        run_as={r"^(voxtile chat .*)$": r"echo 'Is there a fracture?' | \1"},
    ),
    ("docs/assist.md", "Several images and a prior"): Scene(
        skipped={r"^(voxtile|lightning) ": "needs a model of several images; test_assist.py asks one"},
    ),
    ("docs/assist.md", "Answers that point, questions that mark"): Scene(
        given={"corpus": From(ASSIST, "corpus")},
        skipped={r"^(voxtile (ask|report)|lightning) ": "needs a tower that grounds; test_assist_regions.py runs it"},
    ),
    ("docs/assist.md", "As a DICOM report"): Scene(
        given={"scan": SCAN, "last.ckpt": From(ASSIST, f"runs/ct-report/version_0/{LAST}")},
        exits={"dicom-sr": 2},  # so short a training may state no finding, which is refused
    ),
    ("docs/assist.md", "For other programs"): Scene(
        skipped={r"^voxtile serve": "serves until it is ended; tests/core/serve/assisting asks it"},
    ),
    ("docs/export.md", "An assistant"): Scene(
        given={"corpus": From(ASSIST, "corpus"), "last.ckpt": From(ASSIST, f"runs/ct-report/version_0/{LAST}")},
        spans=("voxtile export last.ckpt out --to assistant --corpus corpus",),
        exits={"--to assistant": 2},  # of one with connector.named; tests/core/export writes another
    ),
    ("docs/assist.md", "Tune it by preferences"): Scene(
        given={"corpus": From(ASSIST, "corpus"), "last.ckpt": From(ASSIST, f"runs/ct-report/version_0/{LAST}")},
        run_as={
            r"^(voxtile prefer .*)$": r"\1 --samples 1 --longest 64",
            r"^(lightning fit -c medical/ct-report-dpo.*)$": r"\1 --trainer.max_epochs 1",
        },
    ),
    ("docs/evaluation-checks.md", "Are answers right?"): Scene(
        given={
            "scan": SCAN,
            "corpus": From(ASSIST, "corpus"),
            "last.ckpt": From(ASSIST, f"runs/ct-report/version_0/{LAST}"),
        },
        run_as={  # so few scans have no ten subjects to validate by, and so short a training is mostly wrong
            r"--split val": "--split train --limit 20",
            r"--risk 0.1": "--risk 0.95 --split train",
        },
    ),
    ("docs/benchmarks.md", "CLIP_benchmark"): Scene(
        given={"corpus": XRAYS, "last.ckpt": From(CXR, f"runs/cxr/version_0/{LAST}")},
        run_as={r"--compat": "last.ckpt medical/pneumoniamnist --corpus corpus --out report --compat"},
        spans=("voxtile evaluate --compat clip-benchmark",),
    ),
    ("docs/benchmarks.md", "Plans and dry runs †"): Scene(
        given={"corpus": CT_CORPUS},
        run_as={r"CORPUS": "corpus"},
        spans=(
            "lightning fit -c medical/ct --print_config",
            "voxtile plan medical/ct",
            "voxtile check CORPUS --dry-run",
            "voxtile facts CORPUS --from reports --dry-run",
            "voxtile caption model CORPUS --provider local --dry-run",
        ),
    ),
    ("docs/benchmarks.md", "The code itself †"): Scene(
        spans=("voxtile evaluate --help", "lightning fit --help"),
    ),
    # What so small a model says of a picture may contradict the picture's labels, and is refused then.
    CAPTIONER: Scene(
        given={"corpus": XRAYS, "last.ckpt": Shell("made captioner")},
        run_as={r"--limit 4$": "--limit 16"},
        partly=(r"caption checkpoint",),
    ),
    ("docs/caption-providers.md", "Models that packages carry"): Scene(
        given={"corpus": CT_CORPUS},
        skipped={r"--model gemma-270m": "the command before it took this model, the only one here"},
    ),
    ("docs/caption-providers.md", "To try it"): Scene(
        given={"corpus": CT_CORPUS},
        run_as={r"^(python -m .*faulty_endpoint.*)$": r"(timeout 20 \1 || true) | head -n 1"},
        exits={r"--model practice": 1},  # it repeats the prompt, and no caption is made of that
    ),
    ("docs/captions.md", "Captions that can be checked and traced"): Scene(
        given={
            "pneumoniamnist.npz": Shell("made xrays"),
            "corpus": Shell(_BUILT),
            "last.ckpt": From(CAPTIONER, "last.ckpt"),
        },
        before={r"--provider replay": f"rm -r corpus && {_BUILT}"},  # the cache lies beside it, and stays
        spans=("voxtile caption model --help",),
        partly=(r"caption checkpoint",),
        run_as={
            r"(caption checkpoint .*)--limit 4$": r"\1--limit 16",
            r"(--provider replay) --model practice": r"\1 --limit 1",  # it holds the replies of one model
        },
    ),
    ("docs/captions.md", "Templates"): Scene(
        given={"corpus": CT_CORPUS},
        run_as={r"^(voxtile caption bank .*)--provider openai .*$": r"\1--provider local --concepts pneumothorax"},
    ),
    ("docs/cards-and-exports.md", "A data card"): Scene(given={"corpus": CT_CORPUS}),
    ("docs/cards-and-exports.md", "Pairs for other trainers"): Scene(
        given={"corpus": XRAYS},
        run_as={
            r"rewrite=2,template": "template",  # the corpus has no rewritten captions
            r"000041": "000000",
            r"412000": "16",
            r"--model ViT-B-32": "--model ViT-S-32-alt --batch-size 8 --workers 0 --epochs 1 --precision fp32",
        },
    ),
    ("docs/checking-captions.md", "Checking captions"): Scene(given={"corpus": CT_CORPUS}),
    ("docs/checking-captions.md", "How complete a caption is"): Scene(given={"corpus": CT_CORPUS}),
    ("docs/assist.md", "How good it is"): Scene(
        skipped={r"^voxtile draft": "needs an assistant; tests/integration/test_assist.py runs it"},
        spans=("voxtile draft corpus last.ckpt --out drafts.parquet",),
    ),
    ("docs/instruct.md", "Questions, reports and dialogues"): Scene(given={"corpus": CT_CORPUS}),
    ("docs/checking-captions.md", "A second opinion"): Scene(
        given={"corpus": Shell("made few corpus")},
        exits={r"--model practice": 1},  # it repeats the prompt, and no opinion is read from that
    ),
    ("docs/clusters.md", "Corpora and evaluations on Ray"): Scene(given={"phantom": Phantom("ct", 24)}),
    ("docs/corpus-life.md", "Studies that arrive later"): Scene(
        given={"corpus": CT_CORPUS}, spans=("voxtile gc corpus --release-lock",)
    ),
    ("docs/corpus-life.md", "What was wrong"): Scene(
        given={
            "corpus": CT_CORPUS,
            "corpus.sources.parquet": From(CT, "corpus.sources.parquet"),
            "labels.csv": Phantom("ct", 100, "labels.csv"),
            "SCANS": Phantom("ct", 100),
            "reports.csv": Phantom("ct", 100, "reports.csv"),
        },
        before={
            r"retract corpus$": "voxtile facts corpus --from labels --labels labels.csv",
            r"--replace-reports": "sed 's/[Nn]odule/mass/' reports.csv > corrected.csv",
        },
    ),
    ("docs/corpus-life.md", "Many small parts"): Scene(given={"corpus": CT_CORPUS}),
    ("docs/corpus-life.md", "An older format"): Scene(given={"corpus": CT_CORPUS}),
    ("docs/corpus-life.md", "What nothing names"): Scene(given={"corpus": CT_CORPUS}),
    ("docs/corpus.md", "A subject that is to be forgotten"): Scene(
        given={"corpus": CT_CORPUS},
        before={r"^voxtile forget .*--dry-run": "cp -r corpus small"},
        run_as={
            r"2ca75ff7ff92d0e9982b25d15b214d04|MRN4297632400000000": "$(made subject corpus)",
        },
    ),
    ("docs/explore.md", "Judge"): Scene(skipped={"reviews": "needs a reader; tests/core/serve runs the same"}),
    ("docs/explore.md", "Explore in the browser"): Scene(
        skipped={r"^voxtile serve": "serves until it is ended; tests/core/serve runs it in a browser"},
    ),
    **{
        ("docs/remote-corpora.md", section): Scene(
            skipped={r"s3://": "needs a bucket; tests/core/corpus/remote runs the same on a server of this machine"},
            spans=spans,
        )
        for section, spans in {
            "Corpora in object stores": (),
            "What happens": ("voxtile push s3://bucket/ct s3://bucket/ct",),
            "Putting a corpus there": ("voxtile push corpus s3://bucket/ct --release-claims 24",),
        }.items()
    },
    ("docs/figure-archives.md", "Figures of articles"): Scene(),
    ("docs/figure-archives.md", "Concepts"): Scene(
        given={
            "corpus": From(("docs/figure-archives.md", "Figures of articles"), "corpus"),
            "terms.csv": Shell(r"printf 'term,code,name\ndisc,X1,Disc\nbright cross,X2,Cross\n' > terms.csv"),
        },
    ),
    ("docs/figure-archives.md", "The same pictures"): Scene(
        given={"corpus": From(("docs/figure-archives.md", "Figures of articles"), "corpus")},
    ),
    ("docs/medical-sources.md", "DICOMweb"): Scene(),
    ("docs/corpus.md", "What you have from other tools"): Scene(
        given={"FOLDER": Shell("made shards"), "ROWS": Shell("made rows-of-pictures")},
        run_as={r"parquet FOLDER CORPUS$": "parquet ROWS of-rows", r"CORPUS$": "imported"},
        spans=("voxtile import wds FOLDER CORPUS", "voxtile import parquet FOLDER CORPUS"),
    ),
    ("docs/corpus.md", "Damage"): Scene(
        given={"corpus": CT_CORPUS},
        before={r"^voxtile verify": 'rm "$(ls corpus/tables/captions/*.parquet | head -n 1)"'},
        run_as={r"CORPUS": "corpus"},
        spans=("voxtile verify CORPUS --accept-missing",),
    ),
    ("docs/corpus.md", "Commands"): Scene(
        given={"corpus": From(TILES, "tiles"), "ct": CT_CORPUS},
        run_as={
            r"CORPUS \[--html PAGE\]": "corpus --html page.html",
            r"CORPUS OUT --preset": "ct OUT --preset",
            r"\bCORPUS\b": "corpus",
        },
        spans=(
            "voxtile inspect CORPUS [--html PAGE]",
            "voxtile inspect CORPUS --leakage",
            "voxtile export-geoparquet CORPUS OUT.parquet",
            "voxtile verify CORPUS",
            "voxtile materialize CORPUS OUT --preset medical/ct",
        ),
    ),
    ("docs/curation.md", "Curation: what a model is trained on"): Scene(
        given={"corpus": CT_CORPUS, "benchmark": Shell("made few benchmark")}
    ),
    ("docs/evaluation-checks.md", "Several models in one table"): Scene(
        given={
            "corpus": CT_CORPUS,
            "pictures": XRAYS,
            "exported": Shell("made exportable pictures"),
            "biomed-clip": Shell("voxtile export last.ckpt biomed-clip --to open_clip --corpus pictures"),
            "last.ckpt": CT_MODEL,
        },
    ),
    EVALUATION: Scene(given={"corpus": CT_CORPUS, "last.ckpt": CT_MODEL, "runs": From(CT, "runs")}),
    TOKENS: Scene(given={"corpus": CT_CORPUS, "last.ckpt": Shell("made tokens")}),
    ("docs/evaluation.md", "Which model is better?"): Scene(
        given={"report-a": From(EVALUATION, "report"), "report-b": From(TOKENS, "report")},
    ),
    ("docs/export.md", "Exporting a trained model"): Scene(
        given={"corpus": XRAYS, "last.ckpt": Shell("made exportable corpus")},
        before={r"^voxtile export ": "rm -rf out"},
    ),
    ("docs/grounding.md", "Grounding: where a phrase is"): Scene(
        given={"scan": SCAN},
        before={r"^voxtile ground": f"cp runs/ct-grounding/version_0/{LAST} last.ckpt"},
        run_as={r"(--data\.phantom\.n) 16": r"\1 40"},
    ),
    ("docs/grounding.md", "What `voxtile ground` writes"): Scene(
        given={
            "photograph.tif": Phantom("aerial", 40, "scenes/00000.tif"),
            "photograph.yaml": Phantom("aerial", 40, "scenes/00000.yaml"),
            "case.svs": Phantom("he", 24, "slides/HE000-00000.svs"),
            "scene.ckpt": Shell(
                "lightning fit -c remote_sensing/aerial-grounding --data.phantom.n 40 --trainer.max_epochs 1 && "
                f"cp runs/aerial-grounding/version_0/{LAST} scene.ckpt"
            ),
            "slide.ckpt": From(WHERE, f"runs/he-grounding/version_0/{LAST}"),
        },
        before={r"photograph\.tif": "cp scene.ckpt last.ckpt", r"case\.svs": "cp slide.ckpt last.ckpt"},
    ),
    ("docs/grounding.md", "Without training"): Scene(
        given={
            "scan": SCAN,
            "chest.dcm": Shell("made chest"),
            "more": Shell("voxtile phantom he more --n 24 --seed 7"),  # the model was trained on those of seed 0
            "corpus": Shell(
                "voxtile convert wsi more/slides corpus --annotations more/annotations --split-fractions 0.3,0.1,0.6"
            ),
            "facts": Shell("voxtile facts corpus --from annotations --annotations more/annotations"),
            "ct.ckpt": CT_MODEL,
            "slide.ckpt": SLIDE_MODEL,
            "tokens.ckpt": From(TOKENS, "last.ckpt"),
            "photograph.tif": Phantom("aerial", 40, "scenes/00000.tif"),
            "photograph.yaml": Phantom("aerial", 40, "scenes/00000.yaml"),
        },
        before={
            r"gradcam": "cp ct.ckpt last.ckpt",
            r"--method concepts": "cp tokens.ckpt last.ckpt",
            r"^voxtile evaluate": "cp slide.ckpt last.ckpt",
        },
    ),
    ("docs/medical-facts.md", "Masks and contours"): Scene(
        given={
            "SOURCE": Shell("mkdir SOURCE && cp -r ../inputs/ct-100/dicom ../inputs/ct-100/segmentations SOURCE"),
            "FOLDER": Phantom("ct", 100, "segmentations"),
            "volumes": Shell("made volumes"),
            "of-segmentations": Phantom("ct", 100, "README.txt"),
        },
        run_as={
            r"convert nifti SOURCE corpus": "convert nifti volumes nifti-corpus",
            r"convert nifti FOLDER corpus --datalist ": "convert nifti volumes listed-corpus --datalist volumes/",
        },
    ),
    ("docs/de-identification.md", "What is kept of a DICOM header"): Scene(
        given={"corpus": CT_CORPUS},
        run_as={
            r"^voxtile extract --to dicom$": "voxtile extract corpus $(made uid corpus) --to dicom --out extracted"
        },
        spans=("voxtile extract --to dicom",),
    ),
    ("docs/de-identification.md", "Who a subject is"): Scene(
        given={
            "corpus": CT_CORPUS,
            "corpus.sources.parquet": From(CT, "corpus.sources.parquet"),
            "list.csv": Phantom("ct", 100, "reports.csv"),
        },
        run_as={r"\bCORPUS\b": "corpus", r"\bSUBJECT$": "MRN4297632400000000"},
        spans=(
            "voxtile subjects make CORPUS people.parquet --identifiers list.csv",
            "voxtile subjects find people.parquet SUBJECT",
        ),
    ),
    ("docs/de-identification.md", "Text in pixels"): Scene(
        given={"SOURCE": SCAN},
        before={r"--find-text": 'pip install --quiet "$WHEEL[ocr]"'},
        spans=("voxtile convert dicom SOURCE corpus --find-text blank",),
    ),
    ("docs/de-identification.md", "Faces"): Scene(
        given={"SOURCE": SCAN}, spans=("voxtile convert dicom SOURCE corpus --deface",)
    ),
    ("docs/medical-facts.md", "Mentions"): Scene(),
    ("docs/medical-sources.md", "Results back"): Scene(
        given={"corpus": From(("docs/medical-facts.md", "Masks and contours"), "corpus")},
        before={r"--to dicom-seg": "mkdir -p results"},
        run_as={r" --originals scan": ""},  # the scan of another sample than the first one
    ),
    ("docs/medical-facts.md", "Measurements"): Scene(),
    ("docs/medical-facts.md", "Series and studies"): Scene(
        given={
            "corpus": CT_CORPUS,
            "timed": Shell("made two-volumes"),
            "times": Shell("voxtile convert dicom timed times"),
        },
        run_as={
            r"^voxtile extract CORPUS .* --series$": "voxtile extract times $(made uid times) --to nifti --series "
            "--out times.nii.gz"
        },
        spans=("voxtile facts corpus --from series", "voxtile extract CORPUS UID --to nifti --series"),
    ),
    ("docs/medical-facts.md", "MR"): Scene(),
    ("docs/medical-facts.md", "One study's page"): Scene(
        given={"corpus": CT_CORPUS}, spans=("voxtile inspect corpus UID --html page.html",)
    ),
    ("docs/medical-facts.md", "Captions of labelled sets"): Scene(
        given={
            "corpus": CT_CORPUS,
            "corpus.sources.parquet": From(CT, "corpus.sources.parquet"),
            "labels.csv": Phantom("ct", 100, "labels.csv"),
        },
        run_as={r"--from labels$": "--from labels --labels labels.csv"},
        spans=("voxtile facts corpus --from labels", "voxtile caption corpus --kind fact"),
    ),
    ("docs/medical-facts.md", "Reports"): Scene(given={"corpus": CT_CORPUS}),
    # The practice endpoint repeats the prompt, of which little is taken; what the rules read is added, since these
    # reports have not been read before.
    ("docs/medical-facts.md", "A language model beside the rules"): Scene(
        given={"corpus": From(("docs/medical-facts.md", "Measurements"), "corpus")},
        skipped={r"--provider local": "needs the extra qwen; the packaged model that is here only continues texts"},
    ),
    ("docs/objectives.md", "Doubtful captions"): Scene(
        given={"corpus": XRAYS},
        run_as={r"curate --weight": "curate corpus --view weighted --weight 2"},
        spans=("voxtile curate --weight",),
    ),
    ("docs/objectives.md", "Concepts and their patches"): Scene(
        given={"scan": SCAN, "last.ckpt": From(TOKENS, "last.ckpt")},
        run_as={r"ground --method": 'ground last.ckpt scan/ "pleural effusion" --out found --method'},
        spans=("voxtile ground --method attributes",),
    ),
    ("docs/objectives.md", "Distillation"): Scene(given={"corpus": XRAYS}),
    ("docs/objectives.md", "Images alone"): Scene(given={"corpus": XRAYS}),
    ("docs/osm-captions.md", "Captions from OpenStreetMap"): Scene(
        given={"scenes": Phantom("aerial", 40, "scenes"), "berlin.osm.pbf": Phantom("aerial", 40, "map/map.osm.pbf")},
    ),
    ("docs/pathology.md", "Pathology: from a folder of slides to a model"): Scene(),
    ("docs/pathology.md", "See it work without data"): Scene(),
    SLIDES_PAGE: Scene(
        given={"SLIDES": Phantom("he", 24, "slides"), "reports.csv": Phantom("he", 24, "reports.csv")},
    ),
    DRAWN: Scene(
        given={
            "SLIDES": Phantom("he", 24, "slides"),
            "ANNOTATIONS": Phantom("he", 24, "annotations"),
            "corpus": From(SLIDES_PAGE, "corpus"),
            "corpus.sources.parquet": From(SLIDES_PAGE, "corpus.sources.parquet"),
        },
    ),
    ("docs/pathology.md", "What reports state"): Scene(given={"corpus": SLIDE_CORPUS}),
    ("docs/pathology.md", "Stains"): Scene(given={"corpus": SLIDE_CORPUS}),
    ("docs/pathology.md", "Features of foundation models, and other tools"): Scene(
        given={
            "corpus": SLIDE_CORPUS,
            "corpus.sources.parquet": From(SLIDES, "corpus.sources.parquet"),
            "model": Shell("made vision-model"),
            "SLIDES": Phantom("he", 24, "slides"),
        },
        run_as={
            r"--(features|model) \./model": r'--\1 "$(made embedded corpus)"',
            r" PATCHES\b": ' "$(echo OUT/*overlap/patches)"',
            r" FEATURES ": ' "$(echo OUT/*overlap/features_*)" ',
        },
    ),
    ("docs/pathology.md", "Texts where there are no reports"): Scene(
        given={
            "corpus": From(("docs/pathology.md", "Features of foundation models, and other tools"), "corpus"),
            "model": Shell("made vision-model"),
        },
        run_as={r"--(features|model) \./model": r'--\1 "$(made embedded corpus)"'},
    ),
    ("docs/command-line.md", "Completion"): Scene(
        run_as={r"~/\.bashrc": "bashrc", r"~/\.zshrc": "zshrc", r"~/\.config/\S+$": "voxtile.fish"},
        spans=(
            "voxtile completion zsh >> ~/.zshrc",
            "voxtile completion fish > ~/.config/fish/completions/voxtile.fish",
        ),
    ),
    ("docs/pathology.md", "Train, and say how good it is"): Scene(given={"corpus": From(DRAWN, "corpus")}),
    ("docs/pathology.md", "Show where it is"): Scene(
        given={
            "case.svs": Phantom("he", 24, "slides/HE000-00000.svs"),
            "last.ckpt": From(WHERE, f"runs/he-grounding/version_0/{LAST}"),
        },
    ),
    ("docs/production.md", "Configs for GPUs"): Scene(),
    ("docs/python.md", "From Python"): Scene(),  # its blocks of Python are run by tests/integration/test_python_page.py
    ("docs/python.md", "A corpus"): Scene(run_as={r"KIND": "dicom"}, spans=("voxtile convert KIND --help",)),
    SCENES_PAGE: Scene(
        given={
            "PRODUCTS": Phantom("sentinel2", 20, "scenes"),
            "map.geojson": Phantom("sentinel2", 20, "map/map.geojson"),
        },
        run_as={
            r"region\.osm\.pbf": "map.geojson",
            r"^voxtile phantom aerial$": "voxtile phantom aerial aerial --n 12",
        },
        spans=("voxtile phantom sentinel2 out --n 20", "voxtile phantom aerial"),
    ),
    ("docs/remote-sensing.md", "Tiles"): Scene(
        given={"PRODUCTS": Phantom("sentinel2", 20, "scenes")},
        spans=("voxtile export-geoparquet corpus tiles.parquet",),
    ),
    ("docs/remote-sensing.md", "Texts"): Scene(
        given={
            "corpus": From(TILES, "tiles"),
            "map.geojson": Phantom("sentinel2", 20, "map/map.geojson"),
            "clc2018.tif": Phantom("sentinel2", 20, "landcover/00000.tif"),  # in WorldCover's classes
            "labels.geojson": Phantom("sentinel2", 20, "labels.geojson"),
            "cities.csv": Shell("printf 'name,lon,lat\\nMünchen,11.58,48.14\\n' > cities.csv"),
        },
        run_as={r"region\.osm\.pbf": "map.geojson", r"--legend corine": "--legend worldcover"},
        spans=(
            "voxtile facts corpus --from osm --osm region.osm.pbf",
            "voxtile facts corpus --from landcover --raster clc2018.tif --legend corine",
            "voxtile facts corpus --from metadata --gazetteer cities.csv",
            "voxtile facts corpus --from places --places labels.geojson",
        ),
    ),
    ("docs/remote-sensing.md", "Training"): Scene(
        given={"corpus": From(("docs/remote-sensing.md", "Texts"), "corpus")},
    ),
    ("docs/remote-sensing.md", "Public datasets"): Scene(
        skipped={r"BigEarthNetV2": "needs 100 GB of downloads", r"EuroSAT": "needs the download of 90 MB"},
        spans=("voxtile build --help",),
    ),
    ("docs/remote-sensing.md", "Photographs with class names"): Scene(
        given={"DOWNLOAD": Shell("made photographs"), "FOLDERS": Shell("cp -r DOWNLOAD/RSSCN7 FOLDERS")},
        run_as={r"^(voxtile build rsscn7 .*)$": r"\1 --split-fractions 0.2,0.1,0.7"},
    ),
    ("docs/tiles.md", "From scenes to tiles"): Scene(given={"products": Phantom("sentinel2", 20, "scenes")}),
    ("docs/models.md", "Published models"): Scene(
        skipped={r"hub:": "needs the weights, which are their authors'; the tests open files of the same layout"},
    ),
    ("docs/security.md", "Fuzzing"): Scene(),
    ("docs/security.md", "What an install consists of"): Scene(),
    ("docs/towers.md", "What is trained"): Scene(
        given={"corpus": XRAYS, "weights.pt": Shell("made timm")},
        run_as={r"(timm:\S+)$": r"\1/weights.pt"},  # the published weights would be downloaded
    ),
    ("docs/training.md", "Running a training"): Scene(
        given={"corpus": CT_CORPUS},
        run_as={r"(--ckpt_path last --trainer\.max_epochs) 1": r"\1 2"},
    ),
    ("docs/training.md", "A config of your own"): Scene(spans=("voxtile config medical/ct --expand",)),
    ("docs/training.md", "Batches and processes"): Scene(),
    ("docs/trust.md", "A planted backdoor"): Scene(),
    ("docs/trust.md", "What fine-tuning forgets"): Scene(),
    ("README.md", "voxtile"): Scene(),
}

SCENES = README | DOCS
