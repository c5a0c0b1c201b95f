"""What holds for the commands of all sections: how they are made small, and which cannot be run."""

from __future__ import annotations

from scene import Scene

_ENDPOINT = "needs a language model behind that address: the practice endpoint repeats the prompt, which is refused"
EVERYWHERE = Scene(
    run_as={
        r"^pip install -e '\.\[(.*?)\]'$": r'pip install "$WHEEL[\1]"',
        r"^((?:lightning|voxtile) fit .*)$": r"\1 --trainer.max_epochs 1",
        r"^(lightning (?:fit|test) (?!.*--data\.corpus).*)$": r"\1 --data.phantom.n 16",
        # Figures of a test split as small as a tenth would be refused.
        r"^(voxtile convert (?:dicom|wsi|geotiff) .*)$": r"\1 --split-fractions 0.3,0.1,0.6",
        r"^(voxtile caption .*--provider local.*)$": r"\1 --limit 1",
        r"^(voxtile caption (?:checkpoint |.*--provider (?:checkpoint|openai)).*)$": r"\1 --limit 4",
        r"^(voxtile facts .*--reader model.*)$": r"\1 --limit 4",
        r"--base-url http://127\.0\.0\.1:(?:8000|PORT)/v1": "--base-url $ENDPOINT",
        r"--model (?:M|qwen3|llava)\b": "--model practice",
        r"hf:ORG/MODEL": "./model",
        r"open_clip:ViT-B-\d\d/openai": "open_clip:ViT-S-32-alt",
        r"timm:vit_large_patch14_dinov2": "timm:vit_tiny_patch16_224",
        r"\bUID\b": "$(made uid corpus)",
        r"(voxtile phantom \w+ \w+) --n \d+": r"\1 --n 12",
    },
    skipped={
        r"^make ": "a target of the checkout",
        r"^python benchmarks/": "a script of the checkout",
        r"^voxtile caption (?!bank).*--provider openai(?!.*(?:--dry-run|practice))": _ENDPOINT,
        r"--with pathgen": _ENDPOINT,
        r"^apt-get ": "the machine's own packages are not for a script to change",
        r"^pip install 'voxtile-": "README.md's first block is run so, with the path of the wheel",
        r"^pip install 'voxtile": "no package index holds voxtile; README.md installs its wheel with extras",
        r"^pip install -e '\.\[bench\]'": "brings peers of the checkout's scripts, by the network",
        r"benchmarks/ct_contrastive": "takes a file of the checkout",
        r"^voxtile build bigearthnet$": "needs the download; the suite builds an invented copy of its layout",
        r"https://pacs\.example": "needs a DICOMweb server; the suite runs one",
        r"--trainer\.devices": "needs several GPUs; a test of the suite runs two processes on the CPU",
    },
)
