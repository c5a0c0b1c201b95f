"""Trials of faults: every stage, disturbed in every way, ends with the bytes of an undisturbed run.

    python benchmarks/chaos [--trials 270] [--seed 0] [--out build/chaos] [--stage NAME] [--fault NAME]

A trial runs a command while a fault hits it (`disturbances.py`), runs it again without one until it is through, and
compares every file with those of an undisturbed run. The same seed gives the same trials; those that are in
OUT/trials.jsonl already are not run again.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from commands import Commands
from disturbances import DISTURBANCES
from injection import build_library
from stages import STAGES, Stage, prepare
from trial import Bench, Trial

# What these load takes longer than their work: the parent of all commands has it.
WARM = ("facts reports", "caption report", "caption fact")


def main() -> int:
    """Run what is left of the trials and print the table; 1 where one of them shows a fault of the product."""
    options = _options()
    pairs = [(stage, fault) for stage in STAGES for fault in DISTURBANCES]
    random.Random(options.seed).shuffle(pairs)
    chosen = [
        (number, *pairs[number % len(pairs)])
        for number in range(options.trials)
        if options.stage in pairs[number % len(pairs)][0].name and options.fault in pairs[number % len(pairs)][1]
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / "trials.jsonl"
    done = _read(record, options.seed)
    left = [trial for trial in chosen if trial[0] not in done]
    if left:
        _run(options.out.resolve(), left, record, options.seed)
    found = [trial for number, trial in sorted(_read(record, options.seed).items()) if number in {c[0] for c in chosen}]
    _print(found)
    (options.out / "chaos.json").write_text(json.dumps(_figures(found, options.seed), indent=1) + "\n")
    return 1 if any(trial.problems for trial in found) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=len(STAGES) * len(DISTURBANCES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/chaos"))
    parser.add_argument("--stage", default="", help="only stages whose name has this in it")
    parser.add_argument("--fault", default="", help="only faults whose name has this in it")
    return parser.parse_args()


def _run(out: Path, trials: Sequence[tuple[int, Stage, str]], record: Path, seed: int) -> None:
    commands = Commands(build_library(out), out / "said")
    try:
        bench = Bench(out, commands)
        _prepare(out, commands, bench, {stage.name for _, stage, _ in trials})
        for number, stage, fault in trials:
            rng = random.Random(f"{seed}-{number}-{stage.name}-{fault}")
            trial = bench.trial(number, stage, fault, DISTURBANCES[fault], rng)
            with record.open("a") as file:
                file.write(json.dumps({"seed": seed, **asdict(trial)}) + "\n")
            said = "; ".join(trial.problems)[:300] or "same bytes"
            took = f"{trial.seconds:6.1f} s {trial.processor_s:5.1f} s"
            print(f"{number:4} {stage.name:16} {fault:20} {trial.status:4} {took}  {said}", flush=True)
    finally:
        commands.close()


def _prepare(out: Path, commands: Commands, bench: Bench, names: set[str]) -> None:
    """Raw files and bases, once; and imports, so that a command of a trial costs none."""
    modules: set[str] = set()
    loaded = out / "modules.json"

    def run(folder: Path, argv: Sequence[object]) -> None:
        ended = commands.run(folder, argv, loaded)
        if ended.status:
            raise RuntimeError(f"preparing: {' '.join(map(str, argv))}: {ended.err[-2000:]}")
        learn(json.loads(loaded.read_text()))

    def learn(names: Sequence[str]) -> None:
        commands.load(names)  # what comes next need not import it any more
        modules.update(names)

    chosen = [stage for stage in STAGES if stage.name in names]
    ready = out / "imports.json"
    known = json.loads(ready.read_text()) if ready.exists() else {"stages": [], "modules": []}
    learn(known["modules"])
    prepare(out, chosen, run)
    for stage in chosen:
        if stage.name not in known["stages"]:
            bench.modules(stage, loaded, learn)
    stages = sorted({*known["stages"], *names})
    ready.write_text(json.dumps({"stages": stages, "modules": sorted(modules)}))
    for stage in chosen:
        if stage.name in WARM:
            bench.warm(stage)


def _read(record: Path, seed: int) -> dict[int, Trial]:
    found: dict[int, Trial] = {}
    for line in record.read_text().splitlines() if record.exists() else ():
        row = json.loads(line)
        if row.pop("seed") == seed:
            found[row["number"]] = Trial(**row)
    return found


def _print(trials: Sequence[Trial]) -> None:
    faults = list(DISTURBANCES)
    print(f"\n{'trials, and those that show':20}" + "".join(f"{stage.name.split()[-1][:8]:>9}" for stage in STAGES))
    for fault in faults:
        cells = []
        for stage in STAGES:
            own = [trial for trial in trials if (trial.fault, trial.stage) == (fault, stage.name)]
            bad = sum(bool(trial.problems) for trial in own)
            cells.append(f"{len(own)}!{bad}" if bad else f"{len(own) or '·'}")
        print(f"{fault:27}" + "".join(f"{cell:>9}" for cell in cells))
    bad = [trial for trial in trials if trial.problems]
    for trial in bad:
        print(f"trial {trial.number}, {trial.stage}, {trial.fault}, at {trial.at}: {trial.problems}")
    print(f"{len(trials)} trials, {sum(t.fired > 0 for t in trials)} of them hit, {len(bad)} show")


def _figures(trials: Sequence[Trial], seed: int) -> dict[str, object]:
    return {
        "seed": seed,
        "trials": len(trials),
        "hit": sum(trial.fired > 0 for trial in trials),
        "ended_by_signal": sum(trial.status < 0 for trial in trials),
        "refused_in_a_sentence": sum(trial.status > 0 for trial in trials),
        "repair_killed_too": sum(trial.twice for trial in trials),
        "went_through": sum(trial.status == 0 for trial in trials),
        "shown": sum(bool(trial.problems) for trial in trials),
        "seconds": round(sum(trial.seconds for trial in trials), 1),
        "processor_s": round(sum(trial.processor_s for trial in trials), 1),
        "finished": time.strftime("%Y-%m-%d"),
        "by_fault": {fault: sum(trial.fault == fault for trial in trials) for fault in DISTURBANCES},
        "by_stage": {stage.name: sum(trial.stage == stage.name for trial in trials) for stage in STAGES},
    }


if __name__ == "__main__":
    sys.exit(main())
