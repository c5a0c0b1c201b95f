"""`voxtile convert dicom` beside dcm2niix writing .nii.gz: wall-clock and processor time, start-up included.

Three inputs, made here from a seed: one series of 300 planes of 512², 2,000 series of six planes of 64², and one series
of six planes, of which all that is measured is start-up. Both use all processors (dcm2niix by pigz, where that is
installed; --zlib for its own compression), take turns, and write to a folder that is thrown away; ours includes
previews and de-identification. Run:
python benchmarks/dicom_speed.py --peer DCM2NIIX [--rounds 5] [--rounds-many 3] [--zlib]
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent))
from bench.recording import record

INPUTS = {"start-up": (1, 6, 64), "one series": (1, 300, 512), "2,000 series": (2000, 6, 64)}


def write_series(folder: Path, series: int, planes: int, size: int) -> None:
    """CT series of a body with lungs and noise; each has a folder and a study of its own, four a patient."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(planes * size)
    z, y, x = (np.linspace(-1, 1, n) for n in (planes, size, size))
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    hu = np.where((x / 0.85) ** 2 + (y / 0.6) ** 2 < 1, 40.0, -1000.0) + 0 * z
    hu = np.where((np.abs(x) - 0.4) ** 2 / 0.07 + y**2 / 0.12 + (z * 0.8) ** 2 < 1, -820.0, hu)
    noise = gaussian_filter(rng.normal(0, 50, hu.shape).astype(np.float32), (0, 0.6, 0.6))
    body = np.clip(hu + noise * np.where(hu > -999, 1.3, 0.3), -1024, 3000).round().astype(np.int16)
    common = {
        "SOPClassUID": CTImageStorage, "Modality": "CT", "PatientName": "Doe^Jane", "PatientSex": "F",
        "PatientBirthDate": "19600101", "StudyDate": "20200105", "SeriesDate": "20200105", "ContentDate": "20200105",
        "StudyTime": "101112", "SeriesTime": "101112", "ContentTime": "101113", "Manufacturer": "SIEMENS",
        "InstitutionName": "Hospital", "SeriesDescription": "Thorax 1.0 B30f", "BodyPartExamined": "CHEST",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SliceThickness": "1.0", "KVP": "120", "PatientPosition": "HFS",
        "ConvolutionKernel": "B30f", "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "AcquisitionNumber": "1",
        "PixelSpacing": [round(360 / size, 6)] * 2, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "Rows": size, "Columns": size, "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1,
        "RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "HU", "WindowCenter": "40", "WindowWidth": "400",
    }  # fmt: skip
    for number in range(series):
        target = folder / f"{number // 4:04d}" / f"{number:05d}"
        target.mkdir(parents=True)
        values = np.clip(body + rng.integers(-3, 4, body.shape, np.int16), -1024, 3000)
        root = f"1.2.826.0.1.3680043.8.498.{number + 1}"
        for k in range(planes):
            dataset = Dataset()
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            own = {
                "SOPInstanceUID": f"{root}.2.{k}", "StudyInstanceUID": f"{root}.0", "SeriesInstanceUID": f"{root}.1",
                "FrameOfReferenceUID": f"{root}.3", "PatientID": f"P{number // 4:05d}", "AccessionNumber": f"A{number}",
                "SeriesNumber": number % 4 + 1, "InstanceNumber": k + 1, "ImagePositionPatient": [-180, -180, k - 100],
            }  # fmt: skip
            for keyword, value in (common | own).items():
                setattr(dataset, keyword, value)
            dataset.PixelData = values[k].tobytes()
            dataset.save_as(target / f"{k + 1:04d}.dcm", enforce_file_format=True)


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds of a command by the clock, and of processor time with those of its children."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr or done.stdout)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(name: str, source: Path, out: Path, arguments: argparse.Namespace, rounds: int) -> None:
    """Print what each round took, and the medians with the ratio of speeds."""
    rows: list[tuple[float, ...]] = []
    for _ in range(rounds):
        taken: tuple[float, ...] = ()
        for which in ("dcm2niix", "voxtile"):
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            peer = [arguments.peer, "-z", "i" if arguments.zlib else "y", "-f", "%s_%j", "-o", str(out), str(source)]
            ours = [
                sys.executable,
                "-P",
                "-m",
                "voxtile.cli.main",
                "convert",
                "dicom",
                str(source),
                str(out / "corpus"),
            ]
            taken += measure(peer if which == "dcm2niix" else ours)
        rows.append(taken)
        print(f"  {name}: dcm2niix {taken[0]:.2f} s ({taken[1]:.2f} s of processor), "
              f"voxtile {taken[2]:.2f} s ({taken[3]:.2f} s), load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
    peer_s, peer_cpu, our_s, our_cpu = (statistics.median(column) for column in zip(*rows, strict=True))
    ratios = [row[0] / row[2] for row in rows]
    print(f"{name}: dcm2niix {peer_s:.2f} s ({peer_cpu:.2f} s), voxtile {our_s:.2f} s ({our_cpu:.2f} s); speed "
          f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), by processor time "
          f"{peer_cpu / our_cpu:.2f}", flush=True)  # fmt: skip
    record(
        f"the command convert dicom, {name}",
        peer="dcm2niix to .nii.gz",
        ratios=ratios,
        ours=our_s,
        theirs=peer_s,
        unit="s",
    )


def main() -> None:
    """Write the inputs and compare on each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True, help="the program dcm2niix")
    parser.add_argument("--rounds", type=int, default=5, help="for one series")
    parser.add_argument("--rounds-many", type=int, default=3, help="for 2,000 series")
    parser.add_argument("--zlib", action="store_true", help="dcm2niix compresses by itself, and not by pigz")
    parser.add_argument("--inputs", type=Path, help="where the inputs are kept, or written if they are not there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.inputs or Path(name)
        for title, shape in INPUTS.items():
            source = folder / "x".join(map(str, shape))
            rounds = arguments.rounds_many if shape[0] > 1 else arguments.rounds
            if rounds:
                if not source.is_dir():
                    write_series(source, *shape)
                compare(title, source, Path(name) / "out", arguments, rounds)


if __name__ == "__main__":
    main()
