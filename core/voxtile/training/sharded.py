"""The strategy that shards weights, with checkpoints that say nothing of it.

A checkpoint holds the optimiser's state as one process alone would: whole tensors, numbered by `AdamW.groups`. Sharded
and whole parameters need groups of their own in a sharded run; they are put together on the way out and taken apart on
the way in, those of the learning-rate schedule too. So a run goes on with another strategy and number of processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, cast

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from voxtile.errors import ConfigError
from voxtile.training.checkpoint import Checkpoint, read_checkpoint
from voxtile.training.checks import check_group_sizes, check_groups, check_rates, check_weights, group_sizes
from voxtile.training.module import ContrastiveModule
from voxtile.training.optimisers import block_distances

_BY_GROUP = ("base_lrs", "_last_lr", "lr_lambdas")  # lists of torch's LambdaLR with an entry a group


class ShardedTowers(ModelParallelStrategy):
    """Towers sharded over all processes (PyTorch's FSDP2), one file a checkpoint.

    Args:
        ranks: processes of the run.
    """

    def __init__(self, ranks: int) -> None:
        super().__init__(data_parallel_size=ranks, tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        """Refuse what goes with whole weights alone, and let the processes find each other.

        Raises:
            ConfigError: the gradients are in fp16, whose scale PyTorch takes off whole or sharded ones, not both.
        """
        if getattr(self.precision_plugin, "scaler", None) is not None:
            raise ConfigError(
                "trainer.strategy fsdp2 cannot scale the gradients of trainer.precision 16-mixed; take bf16-mixed, or "
                "trainer.strategy ddp"
            )
        super().setup_environment()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The state as one process alone would have it, on the CPU of rank 0; empty in others."""
        groups = self._groups(optimizer)
        state = {}
        for number, parameter in enumerate(chain.from_iterable(groups)):
            held = {key: _whole(value) for key, value in optimizer.state.get(parameter, {}).items()}
            if held and self.global_rank == 0:
                state[number] = held
        if self.global_rank:
            return {}
        numbers = iter(range(sum(map(len, groups))))
        options = [optimizer.param_groups[own] for own in _firsts(optimizer, groups)]
        return {
            "state": state,
            "param_groups": [
                {**kept, "params": [next(numbers) for _ in group]} for kept, group in zip(options, groups, strict=True)
            ],
        }

    def save_checkpoint(self, checkpoint: Checkpoint, filepath: Any, storage_options: Any | None = None) -> None:  # noqa: ANN401
        """Write the schedule's lists, too, as those of one process alone."""
        if "lr_schedulers" in checkpoint:
            firsts = _firsts(self.optimizers[0], self._groups(self.optimizers[0]))
            schedules = [_relisted(saved, firsts) for saved in checkpoint["lr_schedulers"]]
            checkpoint = {**checkpoint, "lr_schedulers": schedules}
        super().save_checkpoint(checkpoint, filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> Checkpoint:  # noqa: ANN401
        """Load weights and the optimiser's state, whichever strategy wrote them; read safely, whatever is asked for.

        Raises:
            CheckpointError: the file is unsafe or damaged, or is of another model or optimiser.
        """
        assert self.model is not None
        checkpoint = read_checkpoint(self.broadcast(checkpoint_path), mapped=True)
        weights = checkpoint.pop("state_dict")
        check_weights(self.model.state_dict(), weights)
        set_model_state_dict(self.model, weights, options=StateDictOptions(full_state_dict=True))
        states = checkpoint.pop("optimizer_states", [])
        for optimizer, saved in zip(self.optimizers, states, strict=False):
            groups = self._groups(optimizer)
            self._load_optimizer(optimizer, groups, saved)
            of = {parameter: number for number, group in enumerate(groups) for parameter in group}
            sources = [of[group["params"][0]] for group in optimizer.param_groups]
            checkpoint["lr_schedulers"] = [
                _relisted(schedule, sources) if len(schedule["base_lrs"]) == len(groups) else schedule
                for schedule in checkpoint["lr_schedulers"]
            ]
        return checkpoint

    def _load_optimizer(
        self, optimizer: Optimizer, groups: Sequence[Sequence[nn.Parameter]], saved: Mapping[str, Any]
    ) -> None:
        numbers = [number for group in saved["param_groups"] for number in group["params"]]
        if numbers == list(range(len(numbers))):
            check_group_sizes([len(group) for group in groups], group_sizes(saved))
            numbered = list(chain.from_iterable(groups))
        else:  # as Lightning numbers them, and voxtile did at first
            check_groups(optimizer, group_sizes(saved))
            numbered = list(cast(nn.Module, self.model).parameters())
        number_of = {parameter: number for number, parameter in enumerate(numbered)}
        options = {number: group for group in saved["param_groups"] for number in group["params"]}
        state, own_groups, count = {}, [], 0
        for group in optimizer.param_groups:
            for own, parameter in enumerate(group["params"], count):
                if (number := number_of[parameter]) in saved["state"]:
                    state[own] = {key: _placed(value, parameter) for key, value in saved["state"][number].items()}
            own_numbers = list(range(count, count + len(group["params"])))
            kept = options[number_of[group["params"][0]]]
            check_rates([group], [kept])
            own_groups.append({**kept, "params": own_numbers})
            count += len(own_numbers)
        optimizer.load_state_dict({"state": state, "param_groups": own_groups})

    def _groups(self, optimizer: Optimizer) -> list[list[nn.Parameter]]:
        """The optimiser's parameters in the groups of one process alone."""
        module = cast(ContrastiveModule, self.lightning_module)
        optimizer_config = module.updates.optimizer
        held = {parameter for group in optimizer.param_groups for parameter in group["params"]}
        named = ((name, parameter) for name, parameter in module.named_parameters() if parameter in held)
        return list(
            optimizer_config.groups(named, block_distances(module.encoder, optimizer_config.layer_decay)).values()
        )


def _firsts(optimizer: Optimizer, groups: Sequence[Sequence[Tensor]]) -> list[int]:
    """For each group of one process alone, a group of the optimiser that has the same options."""
    of = {parameter: number for number, group in enumerate(optimizer.param_groups) for parameter in group["params"]}
    return [of[group[0]] for group in groups]


def _relisted(schedule: dict[str, Any], sources: Sequence[int]) -> dict[str, Any]:
    """The state of a schedule with lists for other groups, each as that of a source."""
    return schedule | {key: [schedule[key][own] for own in sources] for key in _BY_GROUP if key in schedule}


def _whole(value: Any) -> Any:  # noqa: ANN401 - whatever optimisers keep
    if isinstance(value, DTensor):
        value = value.full_tensor()  # all processes must ask
    return value.detach().cpu() if isinstance(value, Tensor) else value


def _placed(value: Any, parameter: Tensor) -> Any:  # noqa: ANN401 - whatever optimisers keep
    """A whole tensor sharded as its parameter; others, such as the count of steps, as they are."""
    if isinstance(parameter, DTensor) and isinstance(value, Tensor) and value.shape == parameter.shape:
        return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
    return value
