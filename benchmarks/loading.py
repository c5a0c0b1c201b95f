"""Our loader beside open_clip 3.3 with webdataset on the same JPEG files: images a second with two worker processes.

256-pixel JPEGs become normalised 224-pixel tensors by RandomResizedCrop(224, scale=(0.9, 1.0), bicubic). The peer runs
its own `open_clip_train.data.get_wds_dataset` with its own transform. Neither side tokenises: the peer gets a tokenizer
that returns zeros. Each measurement is a process of its own and the two take turns; the clock runs from the first batch
to the last, so neither pays for starting workers. Run: python benchmarks/loading.py [--images 6000] [--rounds 5]
"""

import argparse
import gc
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.append(str(Path(__file__).parent))
from bench.recording import installed, record

BATCH, WORKERS, SHARDS, SIZE = 64, 2, 4, 256


def photo(rng):
    """A picture with a spectrum like that of photographs: its JPEG takes about 25 KB at quality 90."""
    import numpy as np

    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE))) + 1 / SIZE
    noise = rng.standard_normal((3, SIZE, SIZE)) * 0.3 + rng.standard_normal((1, SIZE, SIZE))
    planes = np.fft.ifft2(np.fft.fft2(noise) / frequency**1.5).real
    planes = (planes - planes.mean()) / planes.std() * 50 + 127
    return np.clip(planes, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def write_data(folder: Path, images: int, caption=lambda number: f"picture number {number}") -> None:
    """The same JPEG bytes and captions as WebDataset shards for the peer and as a corpus for us."""
    import numpy as np
    import webdataset
    from PIL import Image

    from voxtile.corpus.identity import sample_uid
    from voxtile.corpus.records import Sample
    from voxtile.corpus.writer import JobWriter, new_corpus

    rng = np.random.default_rng(0)
    new_corpus(folder / "corpus")
    for shard in range(SHARDS):
        writer = JobWriter(folder / "corpus", f"job-{shard}")
        with webdataset.TarWriter(str(folder / f"{shard:06}.tar")) as tar:
            for number in range(shard, images, SHARDS):
                stream = io.BytesIO()
                Image.fromarray(photo(rng)).save(stream, "JPEG", quality=90)
                text, uid = caption(number), sample_uid(f"{number}")
                tar.write({"__key__": uid, "jpg": stream.getvalue(), "txt": text})
                writer.add(Sample({"uid": uid, "subject": uid, "kind": "image"}, stream.getvalue()))
                writer.add_rows("captions", [{"caption_id": uid, "uid": uid, "text": text, "kind": "raw"}])
                writer.add_rows("splits", [{"scheme": "default", "subject": uid, "split": "train"}])
        writer.publish()


def our_batches(folder: Path, images: int):
    from voxtile.data.datamodule import CorpusDataModule
    from voxtile.data.presets.image import ImagePreset

    data = CorpusDataModule(ImagePreset(), str(folder / "corpus"), batch_size=BATCH, num_workers=WORKERS)
    for batch in data.train_dataloader():
        yield batch.images


def peer_batches(folder: Path, images: int):
    import torch
    from open_clip.transform import image_transform
    from open_clip_train.data import get_wds_dataset

    settings = SimpleNamespace(
        train_data=str(folder / f"{{000000..{SHARDS - 1:06}}}.tar"),
        train_num_samples=images,
        train_data_upsampling_factors=None,
        dataset_resampled=False,
        seed=0,
        batch_size=BATCH,
        workers=WORKERS,
        world_size=1,
    )
    zeros = torch.zeros(1, 77, dtype=torch.long)
    info = get_wds_dataset(
        settings, image_transform(224, is_train=True), True, floor=True, tokenizer=lambda text: zeros
    )
    for batch, _ in info.dataloader:
        yield batch


def measure(side: str, folder: Path, images: int) -> tuple[float, float]:
    """Images a second from the first batch to the last, and milliseconds of CPU time an image over all processes."""
    batches = {"ours": our_batches, "peer": peer_batches}[side](folder, images)
    first = next(batches)
    assert tuple(first.shape) == (BATCH, 3, 224, 224)
    assert str(first.dtype) == "torch.float32"
    start, own, count = time.perf_counter(), time.process_time(), 0
    for batch in batches:
        count += len(batch)
    rate, own = count / (time.perf_counter() - start), time.process_time() - own
    del batches
    gc.collect()  # ends the workers, so that their time is counted
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return rate, 1e3 * (own / count + (children.ru_utime + children.ru_stime) / (count + BATCH))


def difference(folder: Path) -> float:
    """Mean absolute difference of the two sides' tensors for equal crops, in grey levels."""
    import numpy as np
    import torch
    from open_clip.transform import image_transform
    from PIL import Image
    from torchvision.transforms import RandomResizedCrop

    from voxtile.corpus.reader import Corpus
    from voxtile.corpus.view.view import compile_view
    from voxtile.data.presets import picture
    from voxtile.data.presets.image import ImagePreset

    view, preset, transform = (
        compile_view(Corpus(folder / "corpus")),
        ImagePreset(),
        image_transform(224, is_train=True),
    )
    total = []
    for row in range(32):
        source = view.source(view.entry(row))
        box = picture.random_resized_box((SIZE, SIZE), (0.9, 1.0), (0.75, 4 / 3), np.random.default_rng(row))
        RandomResizedCrop.get_params = staticmethod(lambda *_, box=box: tuple(box))
        theirs = transform(Image.open(io.BytesIO(source.encoded())))
        pixels, cut = picture.decode_scaled(source.encoded(), 3, (SIZE, SIZE), box, (224, 224))
        ours = preset.unpack(picture.resize(picture.crop(pixels, cut), (224, 224), "bicubic")[None])[0]
        total.append(((ours - theirs).abs() * 255 * torch.tensor(preset.std)[:, None, None]).mean().item())
    return statistics.mean(total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], Path(options.measure[1]), options.images)))
        return
    with tempfile.TemporaryDirectory(prefix="voxtile-loading-") as name:
        folder = Path(name)
        write_data(folder, options.images)
        print(f"equal crops differ by {difference(folder):.4f} grey levels on average")
        ratios, work, found = [], [], []
        for number in range(options.rounds):
            rates = {}
            for side in ("ours", "peer") if number % 2 else ("peer", "ours"):
                command = [sys.executable, "-W", "ignore", __file__, "--images", str(options.images)]
                done = subprocess.run([*command, "--measure", side, name], check=True, capture_output=True, text=True)
                rates[side] = json.loads(done.stdout.splitlines()[-1])
            (ours, ours_cpu), (peer, peer_cpu) = rates["ours"], rates["peer"]
            ratios.append(ours / peer)
            found.append((ours, peer))
            work.append(peer_cpu / ours_cpu)
            print(
                f"ours {ours:.0f} images/s ({ours_cpu:.2f} ms CPU an image), "
                f"open_clip {peer:.0f} images/s ({peer_cpu:.2f} ms CPU), ratio {ratios[-1]:.2f}"
            )
        print(f"CPU time ratio: median {statistics.median(work):.2f}, range {min(work):.2f} to {max(work):.2f}")
        print(f"ratio: median {statistics.median(ratios):.2f}, range {min(ratios):.2f} to {max(ratios):.2f}, aim 1.7")
        of_ours, of_peer = (statistics.median(side) for side in zip(*found, strict=True))
        record(
            "JPEG files to training batches of 224 pixels, two workers",
            peer="open_clip with webdataset",
            version=f"{installed('open_clip_torch')}, {installed('webdataset')}",
            ratios=ratios,
            ours=of_ours,
            theirs=of_peer,
            unit="images/s",
            aim=1.7,
        )


if __name__ == "__main__":
    main()
