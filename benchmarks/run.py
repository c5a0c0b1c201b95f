"""All speed and memory benchmarks in turn, each beside its peer; training has scripts of its own."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = (
    ("loss.py",),
    ("loading.py",),
    ("crops.py",),
    ("dicom_conversion.py", "--peer", sys.executable),
    ("figures.py",),
    ("index.py",),
    ("tiles.py",),
    ("slides.py",),
    ("slide_memory.py",),
    ("measurements.py", "--labels", "10"),
)


def main() -> None:
    """Run each benchmark in a process of its own and leave with status 1 if any failed."""
    failed = []
    for script, *arguments in BENCHMARKS:
        print(f"\n== {script}", flush=True)
        if subprocess.run([sys.executable, "-P", str(HERE / script), *arguments], check=False).returncode:
            failed.append(script)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
