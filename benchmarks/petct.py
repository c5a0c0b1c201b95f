"""PET/CT end to end: phantom, conversion, facts, captions, `voxtile fit` and `voxtile test`, in minutes.

Prints the seconds, the study-level zero-shot AUROC of each finding beside the trivial baseline, and by how much a model
with both pictures beats one with CT alone and one with PET alone: the difference of the macro AUROC with its interval,
paired over the same draws of subjects.

Run: python benchmarks/petct.py [--seed 0] [--both-only] [-- further options of fit and test]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from commands import run

from voxtile.training.config_bases import read_config

SECONDS, AUROC, OVER_TRIVIAL = 600, 0.80, 0.05
TASK = "medical/petct-findings"


def config_with(roles: tuple[str, ...], folder: Path) -> Path:
    """The shipped config with some of its roles."""
    from voxtile.domain import resolve

    config = read_config(resolve("medical/petct", kind="config"))
    preset = config["data"]["preset"]["init_args"]
    preset["roles"] = {role: preset["roles"][role] for role in roles}
    channels = sum(max(1, len(role["windows"])) for role in preset["roles"].values())
    config["model"]["encoder"]["image"]["init_args"]["channels"] = channels
    config["name"] = "-".join(roles)
    path = folder / f"{config['name']}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def scores_of(folder: Path, name: str, corpus: str) -> Any:
    """The task's result for the newest checkpoint of a run."""
    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.kinds.zero_shot.run import run_task
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.tasks.file import load_task
    from voxtile.inference.load import load_model

    newest = max((folder / "runs").rglob(f"*{name}*/**/last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    return run_task(load_model(str(newest)), Corpus(Path(corpus)), load_task(TASK), Options())


def macro(result: Any, weights: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Macro AUROC for each draw of units [N, r]."""
    from sklearn.metrics import roc_auc_score

    values = np.full((weights.shape[1], result.labels.shape[1]), np.nan)
    for draw, weight in enumerate(weights.T):
        for column, labels in enumerate(result.labels.T):
            known = (labels >= 0) & (weight > 0)
            if len(set(labels[known].tolist())) == 2:
                values[draw, column] = roc_auc_score(labels[known], scores[known, column], sample_weight=weight[known])
    return np.nanmean(values, axis=1)


def compare(both: Any, other: Any, title: str) -> None:
    """Print the difference of the macro AUROC, paired over subjects."""
    from voxtile.evaluation.figures.bootstrap import SubjectBootstrap, normal_interval

    assert both.units.names == other.units.names
    draws = next(SubjectBootstrap(both.units.subjects, replicates=200, seed=0).weights())
    ours, theirs = (_model(result) for result in (both, other))
    one = np.ones((len(draws), 1))
    value = float(macro(both, one, ours)[0] - macro(other, one, theirs)[0])
    interval = normal_interval(value, macro(both, draws, ours) - macro(other, draws, theirs))
    print(f"both less {title}: macro AUROC {value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f}); bound above 0")


def _model(result: Any) -> np.ndarray:
    """Scores of the contrastive model: the first entry."""
    return np.asarray(next(iter(result.scores.values())))


def show(result: Any) -> None:
    """A line a figure: value, interval, positives."""
    for row in result.rows:
        if row.metric == "auroc" and row.value is not None:
            limits = "" if row.low is None else f" ({row.low:.3f} to {row.high:.3f})"
            print(f"auroc {row.class_name or row.average}, {row.model} {row.kind}: {row.value:.3f}{limits}; n {row.n}")


def main() -> None:
    """Train and test once, from nothing; then each picture alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the phantom; the shipped config has 0")
    parser.add_argument("--both-only", action="store_true", help="leave out the models of one picture")
    parser.add_argument("options", nargs="*", help="further options, after --")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        results = {}
        for roles in (("ct", "pt"),) if args.both_only else (("ct", "pt"), ("ct",), ("pt",)):
            config = config_with(roles, folder)
            common = ["-c", str(config), "--data.phantom.seed", str(args.seed), *args.options]
            fit = run(folder, "fit", *common)
            test = run(folder, "test", *common, "--ckpt_path", "last")
            print(
                f"{'-'.join(roles)}: fit {fit:.0f} s, test {test:.0f} s, together {fit + test:.0f} s (bound {SECONDS})"
            )
            corpus = next((folder / "cache").rglob("corpus.json")).parent
            results[roles] = scores_of(folder, "-".join(roles), str(corpus))
        print(f"bounds: macro AUROC {AUROC}, {OVER_TRIVIAL} above the trivial baseline")
        show(results["ct", "pt"])
        for roles, title in ((("ct",), "CT alone"), (("pt",), "PET alone")):
            if roles in results:
                compare(results["ct", "pt"], results[roles], title)


if __name__ == "__main__":
    main()
