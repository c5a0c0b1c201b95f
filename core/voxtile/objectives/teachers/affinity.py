"""Affinities of a teacher, mimicked: how alike it finds each item and each of the others.

With teacher vectors x̄_i, ȳ_j, student vectors x_i, y_j and scales s̄, s, the divergence over rows is

    D(X → Y) = 1/B Σ_i Σ_j p̄_ij (log p̄_ij − log p_ij),   p_i = softmax_j(s·⟨x_i, y_j⟩),   p̄_i likewise

(MobileCLIP, Vasu et al., CVPR 2024, multi-modal distillation; TinyCLIP, Wu et al., ICCV 2023, affinity mimicking). The
spaces of teacher and student may differ in width. A slab of rows is held at a time, and computed again in the backward
pass.

Shape letters: R rows, C columns, D the student's width, E the teacher's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

SLAB = 256  # rows at a time


@dataclass(frozen=True)
class Affinity:
    """Scaled cosine similarities of rows with columns, not held.

    Attributes:
        rows: [R, D] normalised.
        columns: [C, D] normalised.
        scale: multiplier.
    """

    rows: Tensor
    columns: Tensor
    scale: Tensor

    def turned(self) -> Affinity:
        """The same with rows and columns exchanged."""
        return Affinity(self.columns, self.rows, self.scale)


def mutual_divergence(teacher: Affinity, student: Affinity) -> Tensor:
    """½ D(X → Y) + ½ D(Y → X)."""
    return 0.5 * (row_divergence(teacher, student) + row_divergence(teacher.turned(), student.turned()))


def row_divergence(teacher: Affinity, student: Affinity, *, among_themselves: bool = False) -> Tensor:
    """D(X → Y), in nats.

    Args:
        teacher: no gradient flows into it.
        student: of the same numbers of rows and columns.
        among_themselves: rows and columns are the same items; an item's likeness to itself then says nothing, and is
            left out.
    """
    count = len(student.rows)
    total = student.rows.new_zeros(())
    with torch.autocast(student.rows.device.type, enabled=False):
        for start in range(0, count, SLAB):
            part = slice(start, min(start + SLAB, count))
            total = total + checkpoint(
                _slab,
                teacher.scale.detach() * teacher.rows[part].detach(),
                teacher.columns.detach(),
                student.scale * student.rows[part],
                student.columns,
                start if among_themselves else None,
                use_reentrant=False,
                preserve_rng_state=False,
            )
    return total / max(1, count)


def _slab(teacher_rows: Tensor, teacher_columns: Tensor, rows: Tensor, columns: Tensor, own_from: int | None) -> Tensor:
    """Sum over some rows; in row r the column `own_from` + r is left out."""
    teacher, student = teacher_rows @ teacher_columns.T, rows @ columns.T
    if own_from is not None:
        own = torch.arange(len(rows), device=rows.device)
        lowest = torch.finfo(student.dtype).min  # not infinite: a lone item has no other, and its loss is 0
        teacher = teacher.index_put((own, own + own_from), teacher.new_tensor(lowest))
        student = student.index_put((own, own + own_from), student.new_tensor(lowest))
    log_teacher, log_student = teacher.log_softmax(1), student.log_softmax(1)
    return (log_teacher.exp() * (log_teacher - log_student)).sum()
