"""Run every command that README and docs show, from an installed wheel, in empty folders outside the checkout.

    python benchmarks/docs_commands                     # builds the wheel, makes an environment, runs everything
    python benchmarks/docs_commands --venv PATH         # in an environment with the dependencies; the wheel is put in
    python benchmarks/docs_commands --only README.md    # pages or sections whose name begins so, and what they need
    python benchmarks/docs_commands --list              # what would be run, and as what; nothing is

Needs no package itself. VOXTILE_TEST_DATA names a folder of real files, which are used where they fit. What is slow on
a small machine is made small: the report says which command was run in place of which. Exit status 1 if one fails.
"""

from __future__ import annotations

import argparse
import sys
from itertools import chain
from pathlib import Path

from documented import Documented, documented
from environment import prepare
from everywhere import EVERYWHERE
from report import table
from scenes import SCENES
from stage import Outcome, Stage, mentioned, plan

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Run, print the table, and leave with status 1 if a command failed."""
    arguments = _arguments()
    commands = documented(ROOT)
    lost = sorted({c.place for c in commands if not c.inline and (c.page, c.section) not in SCENES})
    if lost:
        sys.exit(
            f"no plan for the commands of {', '.join(lost)}: add their sections to benchmarks/docs_commands/scenes.py"
        )
    mentions = [outcome for outcome in mentioned(commands, SCENES) if _chosen(outcome, tuple(arguments.only))]
    if arguments.list:
        _show(commands)
        return
    work = arguments.work.resolve()
    if work.exists() and any(work.iterdir()) and not arguments.keep:
        sys.exit(f"{work} is not empty; name another folder with --work, or go on in it with --keep")
    work.mkdir(parents=True, exist_ok=True)
    environment = prepare(ROOT, work, arguments.venv)
    stage = Stage(commands, environment, work, limit_s=arguments.limit)
    outcomes = []
    # The table is whole at any time: a run takes half an hour.
    for outcome in chain(stage.run(tuple(arguments.only)), mentions):
        outcomes.append(outcome)
        (arguments.out or work / "report.md").write_text(table(outcomes) + "\n", encoding="utf-8")
    print(table(outcomes))
    if any(outcome.failed for outcome in outcomes):
        sys.exit(1)


def _chosen(outcome: Outcome, only: tuple[str, ...]) -> bool:
    return not only or any(name.startswith(only) for name in (outcome.command.page, outcome.command.section))


def _show(commands: list[Documented]) -> None:
    for command, scene in plan(commands, SCENES):
        outcome = Outcome.planned(command, scene, EVERYWHERE)
        print(f"{command.place}\t{command.text}\t{outcome.skipped or outcome.run}")
    for outcome in mentioned(commands, SCENES):
        print(f"{outcome.command.place}\t{outcome.command.text}\t{outcome.skipped}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, help="an environment to use; its voxtile is replaced by the wheel")
    parser.add_argument("--work", type=Path, default=Path("/tmp/voxtile-docs-commands"), help="an empty folder")
    parser.add_argument("--keep", action="store_true", help="go on in the folder: what is there is used again")
    parser.add_argument("--only", nargs="*", default=[], help="pages or sections")
    parser.add_argument("--limit", type=float, default=900, help="seconds that one command may take")
    parser.add_argument("--out", type=Path, help="where the table is written; WORK/report.md when left out")
    parser.add_argument("--list", action="store_true", help="say what would be run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
