"""Every comparison with another tool, each in a process of its own, and one page of what they found.

    python -P benchmarks/run.py [--quick] [--only NAME …] [--again [NAME …]] [--out build/bench] [--list]

Peers are installed by pip into environments of their own under OUT/venvs, once. What is finished is not run again by
the next call, unless --again asks for it; a comparison whose peer cannot be installed, or whose files are not there,
is refused by name and stands on the page with the reason. OUT/index.html is the page, OUT/results.json what is on it,
and OUT/logs what the scripts said. The short form (--quick) takes about a quarter of an hour on two idle cores; its
ratios are of smaller inputs and fewer rounds. Every script can be run by itself; its first lines say how.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
from bench.comparisons import COMPARISONS, Comparison
from bench.page import write_page
from bench.peers import PeerError, environment, program, version
from bench.recording import FOLDER

HERE = Path(__file__).parent
LIMIT_S = 5400


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not finished, write the page, and leave with status 1 if anything failed."""
    options = parsed(argv)
    if options.list:
        print("\n".join(f"{each.name:18}{each.script:24}{each.peer or ''}" for each in COMPARISONS))
        return
    chosen = [each for each in COMPARISONS if not options.only or each.name in options.only]
    if options.quick and not options.only:
        chosen = [each for each in chosen if each.quick is not None]
    for folder in ("results", "logs", "venvs"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    outcomes = []
    for number, each in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] {each.name}", end=" ", flush=True)
        outcome = kept(each, options) or run(each, options)
        outcomes.append(outcome)
        print(f"{outcome['state']}{': ' + outcome['reason'] if outcome['reason'] else ''}", flush=True)
        write_page(options.out)
    print(f"Open {options.out / 'index.html'}")
    if failed := [outcome["name"] for outcome in outcomes if outcome["state"] == "failed"]:
        sys.exit(f"failed: {', '.join(failed)}; see {options.out / 'logs'}")


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options; a name that is none is refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [each.name for each in COMPARISONS]
    parser.add_argument("--quick", action="store_true", help="smaller inputs and fewer rounds")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help="of --list")
    parser.add_argument(
        "--again", nargs="*", metavar="NAME", choices=names, help="run finished ones anew; all without a name"
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds of one comparison")
    parser.add_argument("--list", action="store_true", help="names, scripts and environments")
    return parser.parse_args(argv)


def command_of(each: Comparison, quick: bool) -> list[str]:
    """The script with its arguments, as the page shows it."""
    arguments = each.quick if quick and each.quick is not None else each.full
    return [each.script, *arguments]


def kept(each: Comparison, options: argparse.Namespace) -> dict | None:
    """What an earlier call found by the same command; None where it is to be run."""
    path = options.out / "results" / f"{each.name}.json"
    if options.again is not None and (not options.again or each.name in options.again):
        return None
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    same = found["state"] == "finished" and found["command"] == command_of(each, options.quick)
    return found | {"reason": "already there"} if same else None


def run(each: Comparison, options: argparse.Namespace) -> dict:
    """Run one and keep what it found, or why it did not."""
    outcome = {"name": each.name, "command": command_of(each, options.quick), "records": [], "quick": options.quick}
    started = time.monotonic()
    try:
        outcome |= measured(each, options)
    except PeerError as error:
        outcome |= {"state": "refused", "reason": str(error)}
    outcome["seconds"] = time.monotonic() - started
    path = options.out / "results" / f"{each.name}.json"
    path.with_suffix(".part").write_text(json.dumps(outcome, indent=1, ensure_ascii=False))
    path.with_suffix(".part").replace(path)
    return outcome


def measured(each: Comparison, options: argparse.Namespace) -> dict:
    """State, reason and records of a script that is run now."""
    if (missing := each.missing_data()) is not None:
        raise PeerError(missing)
    python, more, named = Path(sys.executable), [], None
    script, *arguments = command_of(each, options.quick)
    if each.data:
        arguments.insert(0, str(Path(os.environ["VOXTILE_TEST_DATA"]) / each.data[0]))
    if each.peer is not None:
        own = environment(each.peer, options.out.absolute() / "venvs")
        named = version(each.peer, own)
        python, more = (python, ["--peer", str(program(each.peer, own))]) if each.given else (own, [])
    with tempfile.TemporaryDirectory() as folder, (options.out / "logs" / f"{each.name}.txt").open("w") as log:
        command = [str(python), "-P", str(HERE / script), *arguments, *more]
        surroundings = {**os.environ, FOLDER: folder, "PATH": f"{python.parent}:{os.environ['PATH']}"}
        state, reason = ended(command, surroundings, log, options.limit)
        records = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))]
    for record in records:
        record["script"] = " ".join(command_of(each, options.quick))
        if "ratio" in record and record["version"] is None:
            record["version"] = named
    return {"state": state, "reason": reason, "records": records}


def ended(command: list[str], surroundings: dict[str, str], log, limit: float) -> tuple[str, str]:
    """How a script ended: its state, and the last thing that it said where it failed."""
    try:
        done = subprocess.run(
            command, env=surroundings, stdout=log, stderr=subprocess.STDOUT, check=False, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return "failed", f"not finished within {limit:g} s"
    if not done.returncode:
        return "finished", ""
    lines = Path(log.name).read_text(errors="replace").strip().splitlines()
    return "failed", (lines[-1] if lines else f"status {done.returncode}")[:300]


if __name__ == "__main__":
    main()
