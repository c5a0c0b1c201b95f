"""Our DICOM conversion beside dicom2nifti on the same series: volumes a second, reading and writing included.

The series are phantom CT studies (classic, one file a slice) and, where the real test files are present, the CT, MR and
PET of `ibsi_sts_008` and the JPEG 2000 CT of `totalseg_ct_mr_labels`, each repeated. The peer runs in an environment of
its own (`python -m venv PEER && PEER/bin/pip install dicom2nifti pylibjpeg pylibjpeg-openjpeg`): one process, one call
for a series, .nii.gz as by default; series that it refuses are not counted. We run with one worker process for the
ratio, de-identification and previews included, and once more with one a processor. Each measurement is a process of its
own and they take turns; our clock includes planning and starting the worker. Run:
python benchmarks/dicom_conversion.py --peer PEER/bin/python [--studies 300] [--repeats 3] [--rounds 3]
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
from bench.recording import record
from commands import measure

REAL = ("ibsi_sts_008/dicom/CT/image", "ibsi_sts_008/dicom/MR_T1/image", "ibsi_sts_008/dicom/PET/image")
JPEG_2000 = "totalseg_ct_mr_labels/example_ct_dicom"

PEER = """
import json, logging, sys, time, pathlib, dicom2nifti
from dicom2nifti import convert_dicom
logging.disable(logging.CRITICAL)
source, out = map(pathlib.Path, sys.argv[1:])
started, volumes = time.perf_counter(), 0
for folder in sorted(p for p in source.rglob('*') if p.is_dir() and any(f.is_file() for f in p.iterdir())):
    try:
        convert_dicom.dicom_series_to_nifti(folder, out / f'{volumes}.nii.gz', reorient_nifti=False)
        volumes += 1
    except Exception as error:
        print(folder, repr(error), file=sys.stderr)
print(json.dumps({'volumes': volumes, 'seconds': time.perf_counter() - started}))
"""

OURS = """
import json, sys, time, pathlib
import pyarrow.dataset
from voxtile_medical.convert.dicom import convert_dicom
source, out, workers = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
started = time.perf_counter()
convert_dicom(source, out / 'corpus', workers=workers)
seconds = time.perf_counter() - started
volumes = pyarrow.dataset.dataset(out / 'corpus' / 'tables' / 'samples').count_rows()
print(json.dumps({'volumes': volumes, 'seconds': seconds}))
"""


def write_series(folder: Path, studies: int, repeats: int) -> None:
    """Phantom series and copies of the real ones; every copy is a series of its own."""
    import pydicom

    from voxtile_medical.phantom.ct.command import write_ct_phantom

    write_ct_phantom(folder / "phantom", n=studies, series="classic", segmentations=0)
    shutil.move(folder / "phantom" / "dicom", folder / "source")
    data = Path(os.environ.get("VOXTILE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "medical"
    for number, name in enumerate((*REAL, JPEG_2000)):
        for repeat in range(repeats if (data / name).is_dir() else 0):
            target = folder / "source" / f"real-{number}-{repeat}"
            target.mkdir()
            for path in sorted((data / name).iterdir()):
                dataset = pydicom.dcmread(path)
                dataset.SeriesInstanceUID = f"1.2.3.{number}.{repeat}"
                dataset.StudyInstanceUID = f"1.2.4.{number}.{repeat}"
                dataset.SOPClassUID = dataset.SOPClassUID or dataset.file_meta.MediaStorageSOPClassUID
                dataset.save_as(target / path.name)


def main() -> None:
    """Print volumes a second of each side and the ratio with its spread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True, help="python of an environment that has dicom2nifti")
    parser.add_argument("--studies", type=int, default=300, help="phantom series")
    parser.add_argument("--repeats", type=int, default=3, help="copies of each real series")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_series(folder, arguments.studies, arguments.repeats)
        source = str(folder / "source")
        ratios, found = [], []
        for number in range(arguments.rounds):
            peer = measure(arguments.peer, PEER, source)
            one = measure(sys.executable, OURS, source, "1")
            every = measure(sys.executable, OURS, source, "0")
            rates = [side["volumes"] / side["seconds"] for side in (peer, one, every)]
            ratios.append(rates[1] / rates[0])
            found.append(rates)
            peers, ours = int(peer["volumes"]), int(one["volumes"])
            print(
                f"round {number + 1}: dicom2nifti {rates[0]:.1f} volumes/s ({peers} volumes), voxtile {rates[1]:.1f} "
                f"with one worker, {rates[2]:.1f} with all ({ours} volumes); ratio {ratios[-1]:.2f}"
            )
    print(f"ratio with one worker: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
    record(
        "DICOM series to a corpus, one worker",
        peer="dicom2nifti to .nii.gz",
        ratios=ratios,
        ours=statistics.median(rates[1] for rates in found),
        theirs=statistics.median(rates[0] for rates in found),
        unit="volumes/s",
        aim=3,
    )


if __name__ == "__main__":
    main()
