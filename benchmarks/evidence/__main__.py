"""What each objective is worth: with and without it, the same data, tower and number of steps, several seeds.

Trainings run the product's own module, data and trainer in this process on one thread, minutes for a study. The figures
are those of the test split, read once; --split val is for choosing settings. Results are small JSON files beside this
one, and `--table` writes docs/evidence.md from them.

Run: python benchmarks/evidence [--only NoiseAdaptive] [--seeds 3] [--work FOLDER] [--split test] [--table] [--command]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from command_check import check_command
from results import RESULTS, compared, file_of
from runs import Runs
from studies import STUDIES
from table import write_page


def main() -> None:
    """Run the studies that were asked for, and say what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="*", default=[], help="objectives, or how names of studies begin; all where left out"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("build/evidence"), help="folder for corpora and trainings")
    parser.add_argument("--split", default="test", choices=["val", "test"], help="val for choosing settings")
    parser.add_argument("--table", action="store_true", help="only write docs/evidence.md from the results")
    parser.add_argument("--command", action="store_true", help="only compare a training here with lightning fit")
    args = parser.parse_args()
    if args.table:
        write_page()
        return
    runs = Runs(args.work.resolve(), args.split)
    if args.command:
        print(check_command(runs, next(study for study in STUDIES if study.term == "Contrastive")))
        return
    for asked in args.only:
        if not any(study.name.startswith(asked) for study in STUDIES):
            raise SystemExit(f"no study of {asked}; there are {', '.join(sorted({s.term for s in STUDIES}))}")
    for study in STUDIES if not args.only else [s for s in STUDIES if s.name.startswith(tuple(args.only))]:
        found = compared(study, runs, args.seeds)
        low, high = found["difference"][1:]
        print(
            f"{study.name}: without {found['without']:.3f} {found['of_seeds']['without']}, with {found['with']:.3f} "
            f"{found['of_seeds']['with']}, {found['difference'][0]:+.3f} ({low:+.3f} to {high:+.3f}), "
            f"{found['verdict']}; time × {found['cost']:.2f} of {found['seconds']:.0f} s",
            flush=True,
        )
        if args.split == "test":
            RESULTS.mkdir(exist_ok=True)
            file_of(study).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
