"""Every objective's gradient by four ways, as a table a rank; run as a script (see test_exactness.py).

The reference is dense, in float64, from the papers' equations with plain autograd. The tiled, the cached and the
two-process way run the product's own module on the same weights and batch. A case is (what makes the objective, its
dense loss from the objective and features, options): `cached: False` where a large batch refuses it, `project: False`
for towers that share a space, `each` images an item, `sources` for scales by source.

    PYTHONPATH=FOLDER python exactness.py RANKS FOLDER few|half|whole

Ways of several processes take most of the time: of half a case goes by two of them on random embeddings and by the
other two on aligned ones; of few each case goes by one, on one of the two, and of variants of an objective only the
first is made.
"""

import json
import multiprocessing
import sys
from dataclasses import replace
from pathlib import Path

import exactness_assist
import exactness_generative
import exactness_local
import exactness_pairs
import exactness_preference
import exactness_self
import exactness_sources
import exactness_views
import scale_use
import torch
import torch.distributed as dist
from exactness_model import ITEMS, MICRO, make_batch, make_module
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from voxtile.training.step.distributed import average_gradients, shard
from voxtile.training.step.large_batch import split_items

CASES = {
    **exactness_assist.CASES,
    **exactness_generative.CASES,
    **exactness_local.CASES,
    **exactness_pairs.CASES,
    **exactness_preference.CASES,
    **exactness_sources.CASES,
    **exactness_self.CASES,
    **exactness_views.CASES,
}


# Of variants of an objective the first; those of sources are told by what stands behind the comma alone.
FIRST = {name if name.startswith("Sources") else name.partition(",")[0]: name for name in reversed(CASES)}.values()
WAYS = {"random": ("ranks", "cached sharded"), "aligned": ("cached ranks", "sharded")}


def cases(which):
    """Of each batch of each case: its name, what makes it, whether it is aligned, and its ways of several processes."""
    chosen = CASES if which != "few" else {name: CASES[name] for name in FIRST}
    for number, (name, (make, dense, options)) in enumerate(chosen.items()):
        for aligned in (False, True):
            kind = "aligned" if aligned else "random"
            ways = [*sum(WAYS.values(), ())] if which == "whole" else [*WAYS[kind]]
            ways = [way for way in ways if options.get("cached", True) or "cached" not in way]
            if which == "few":
                if aligned != number % 2:
                    continue
                ways = [ways[number // 2 % len(ways)]]
            yield f"{name} | {kind}", make, dense, options, aligned, ways


def own_part(batch, rank, ranks):
    part = list(split_items(batch, ITEMS // ranks))[rank]
    if batch.samples is not None:
        part.samples = list(split_items(batch.samples, len(batch.samples) // ranks))[rank]
        part.samples.images = batch.images[:0]
    return part


def gradients(module, loss):
    loss.backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def errors(found, expected):
    """Norm-relative error of each tensor's gradient; where that should be nought, what there is instead."""
    made = {}
    for name in set(found) | set(expected):
        right = expected.get(name, torch.zeros(()))
        size = float(right.norm())
        made[name] = float((found.get(name, torch.zeros(())) - right).norm()) / (size if size > 1e-12 else 1)
    return made


def step(objective, batch, aligned, **settings):
    module = make_module(objective, batch, aligned, **settings)
    features = module.features(batch)
    return module, module.total(module.losses(features))


@torch.no_grad()
def held_out(module, batch, is_filler=False):
    """The loss of a batch that nothing is learned from."""
    module.eval()
    return float(module.total(module.losses(module.features(replace(batch, is_filler=is_filler)))))


def followed(module, plain):
    """Momentum copies after they have followed the weights of a sharded module, and of a plain one."""
    for each in (module, plain):
        each.objectives["it"].after_step(each.encoder, 1, 2)
    states = [each.objectives.state_dict() for each in (module, plain)]
    copies = [name for name in states[0] if ".kept." in name or ".teacher." in name]
    return ({f"after {name}": state[name].double() for name in copies} for state in states)


def alone(which):
    """The table of the ways of one process, and the gradients (and the loss held out) that all ways should give."""
    table, expected = {}, {}
    for key, make, dense, options, aligned, ways in cases(which):
        batch = make_batch(options.get("each", 1))
        settings = {"project": options.get("project", True), "sources": options.get("sources", False)}
        module = make_module(make(), batch, aligned, **settings)
        own = module.features(batch)
        expected[key] = gradients(module, dense(module.objectives["it"], own))
        row = table[key] = {"tiled": errors(gradients(*step(make(), batch, aligned, **settings)), expected[key])}
        if options.get("cached", True) and not (which == "few" and any("cached" in way for way in ways)):
            cached = gradients(*step(make(), batch, aligned, micro=MICRO, **settings))
            row["cached"] = errors(cached, expected[key])
        expected[f"{key} held out"] = held_out(make_module(make(), batch, aligned, **settings), batch)
    return table, expected


def together(rank, ranks, folder, which, table, expected):
    """Add the ways of several processes to the table, and write it."""
    dist.init_process_group("gloo", init_method=f"file://{folder / 'rendezvous'}", rank=rank, world_size=ranks)
    mesh = init_device_mesh("cpu", (ranks,))
    for key, make, _, options, aligned, ways in cases(which):
        whole = make_batch(options.get("each", 1))
        settings = {"project": options.get("project", True), "sources": options.get("sources", False)}
        own = whole if rank == 0 else own_part(whole, ITEMS - 1, ITEMS)  # one that counts for nothing
        loss = held_out(make_module(make(), whole, aligned, **settings), own, is_filler=rank > 0)
        right = expected[f"{key} held out"]
        table[key]["held out"] = {"loss": abs(loss - right) / max(1, abs(right))}
        for way in ways:
            module = make_module(make(), whole, aligned, micro=MICRO if "cached" in way else None, **settings)
            if "sharded" in way:
                shard(module.encoder, mesh)
            loss = module.total(module.losses(module.features(own_part(whole, rank, ranks))))
            loss.backward()
            average_gradients(module.parameters())
            found = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
            found = {n: g.full_tensor() if isinstance(g, DTensor) else g for n, g in found.items()}
            table[key][way] = errors(found, expected[key])
            if "sharded" in way:
                plain = make_module(make(), whole, aligned, **settings)
                table[key][way] |= errors(*followed(module, plain))
    dist.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps(table), encoding="utf-8")


def main(ranks, folder, which):
    """Exit status: that of the first process that failed. They are forked, since importing takes as long as a table."""
    torch.set_num_threads(1)
    fork = multiprocessing.get_context("fork")
    if which == "few":
        (folder / "scale use.json").write_text(json.dumps(scale_use.table(CASES)), encoding="utf-8")
    given = (ranks, folder, which, *alone(which))
    running = [fork.Process(target=together, args=(rank, *given)) for rank in range(ranks)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    return next((process.exitcode for process in running if process.exitcode), 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
