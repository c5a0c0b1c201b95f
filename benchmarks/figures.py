"""Figures of PubMed Central to a corpus: articles a minute on packages of the sizes that PubMed Central has.

Each invented package holds an .nxml of about 120 kB, six figures (a JPEG of 700 to 1,500 pixels a side and a GIF
preview each), a PDF and a supplement, about 3 MB in all. Beside it stands what is usually done: unpack the package to
disk, read the captions by pubmed_parser (`python -m venv PEER && PEER/bin/pip install pubmed_parser pillow`), open
each picture by Pillow; it writes no corpus. Both sides run in processes of their own and take turns. Run:
python benchmarks/figures.py [--peer PEER/bin/python] [--articles 120] [--rounds 3]
"""

import argparse
import io
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parent))
from bench.recording import record
from commands import measure

OURS = """
import json, resource, sys, time, pathlib
import pyarrow.dataset
from voxtile_medical.figures.command import convert_figures
source, out, workers = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
started = time.perf_counter()
convert_figures(source, out / 'corpus', workers=workers)
seconds = time.perf_counter() - started
figures = pyarrow.dataset.dataset(out / 'corpus' / 'tables' / 'samples').count_rows()
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu = sum(each.ru_utime + each.ru_stime for each in used)
print(json.dumps({'figures': figures, 'seconds': seconds, 'cpu': cpu}))
"""
PEER = """
import json, pathlib, resource, sys, tarfile, time
import pubmed_parser
from PIL import Image
source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
started, figures = time.perf_counter(), 0
for package in sorted(source.glob('*.tar.gz')):
    with tarfile.open(package) as tar:
        tar.extractall(out, filter='data')
    folder = out / package.name.removesuffix('.tar.gz')
    for found in pubmed_parser.parse_pubmed_caption(str(next(folder.glob('*.nxml')))):
        with Image.open(folder / (found['graphic_ref'] + '.jpg')) as image:
            image.load()
        figures += bool(found['fig_caption'])
used = resource.getrusage(resource.RUSAGE_SELF)
cpu = used.ru_utime + used.ru_stime
print(json.dumps({'figures': figures, 'seconds': time.perf_counter() - started, 'cpu': cpu}))
"""


def write_packages(folder: Path, articles: int) -> int:
    """Write the packages; their bytes."""
    from voxtile_medical.phantom.articles.cases import packed_tar
    from voxtile_medical.phantom.articles.document import Document, cite, fig, graphic

    rng = np.random.default_rng(0)
    words = [f"w{number}ing" for number in range(3_000)]
    nbytes = 0
    for number in range(articles):
        pmcid = f"PMC{7_000_000 + number}"
        files = {}
        body = "".join(f"<p>{' '.join(rng.choice(words, 120))}.</p>" for _ in range(110))
        for figure in range(1, 7):
            width, height = int(rng.integers(700, 1_500)), int(rng.integers(600, 1_200))
            coarse = rng.integers(0, 255, (height // 8, width // 8, 3)).astype(np.uint8)
            picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
            noisy = np.asarray(picture, np.int16) + rng.normal(0, 7, (height, width, 3)).astype(np.int16)
            out = io.BytesIO()
            Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=85)
            files[f"{pmcid}/g{figure}.jpg"] = out.getvalue()
            preview = io.BytesIO()
            picture.resize((100, 80)).save(preview, "GIF")
            files[f"{pmcid}/g{figure}.gif"] = preview.getvalue()
            caption = f"<p>{' '.join(rng.choice(words, 60))}. (A) One view. (B) Another view.</p>"
            body += f"<p>As in {cite(f'F{figure}', f'Figure {figure}')} it is.</p>"
            body += fig(f"F{figure}", f"Figure {figure}", caption, graphic(f"g{figure}"))
        files[f"{pmcid}/a.nxml"] = Document(pmcid, "Invented", body).to_xml()
        files[f"{pmcid}/a.pdf"] = rng.bytes(900_000)
        files[f"{pmcid}/s1.docx"] = rng.bytes(300_000)
        data = packed_tar(files)
        (folder / f"{pmcid}.tar.gz").write_bytes(data)
        nbytes += len(data)
    return nbytes


def main() -> None:
    """Measure both sides in turn and print articles a minute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="python with pubmed_parser and pillow")
    parser.add_argument("--articles", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        nbytes = write_packages(Path(folder), options.articles)
        print(f"{options.articles} packages of {nbytes / options.articles / 1e6:.1f} MB")
        workers = {"one process": "1", f"{os.cpu_count()} processes": "0"}
        sides = {name: (sys.executable, OURS, folder, count) for name, count in workers.items()}
        if options.peer:
            sides["pubmed_parser"] = (options.peer, PEER, folder)
        found: dict[str, list[float]] = {name: [] for name in sides}
        cpu: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, call in sides.items():
                result = measure(*call)
                found[name].append(60 * options.articles / result["seconds"])
                cpu[name].append(1000 * result["cpu"] / options.articles)
        for name, rates in found.items():
            spread = f"({min(rates):.0f} to {max(rates):.0f})"
            spent = statistics.median(cpu[name])
            print(f"{name:>14}: {statistics.median(rates):6.0f} articles a minute {spread}, {spent:.0f} ms of CPU each")
        if options.peer:
            ours, theirs = found["one process"], found["pubmed_parser"]
            record(
                "articles to a corpus of figures, one process",
                peer="unpacking, pubmed_parser and Pillow, which write nothing",
                ratios=[own / peer for own, peer in zip(ours, theirs, strict=True)],
                ours=statistics.median(ours),
                theirs=statistics.median(theirs),
                unit="articles/min",
            )


if __name__ == "__main__":
    main()
