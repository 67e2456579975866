"""What is learnt, with the memory of its optimiser: rows that are moved, added and removed together.

Adam (Kingma and Ba, 2015) is selective: a Gaussian that the view does not show keeps its values and moments
(Mallick et al., Taming 3DGS, 2024). On the CPU one kernel updates values and moments in place.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numba import njit
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15


class Learnt:
    """Named tensors [N, ...] of one length, each with Adam's two moments of the same shape."""

    def __init__(self, values: Mapping[str, Tensor]):
        self.values = {name: value.detach().clone().contiguous() for name, value in values.items()}
        self.first = {name: torch.zeros_like(value) for name, value in self.values.items()}
        self.second = {name: torch.zeros_like(value) for name, value in self.values.items()}

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]

    def leaves(self) -> dict[str, Tensor]:
        """The values as leaves of a new graph; they share memory with the values."""
        return {name: value.detach().requires_grad_() for name, value in self.values.items()}

    def step(
        self,
        grads: Mapping[str, Tensor | None],
        rates: Mapping[str, float | Tensor],
        *,
        number: int,
        visible: Tensor | None = None,
    ) -> None:
        """One step of Adam. number: of the step, from 1. rates: by name, a number or one per last axis.

        visible: [N] bool, the rows that may change; None for all. A rate of 0 or no gradient changes nothing.
        """
        for name, grad in grads.items():
            if grad is None or name not in rates:
                continue
            value = self.values[name]
            columns = value[0].numel()
            rate = torch.as_tensor(rates[name], dtype=value.dtype).reshape(-1)
            rate = rate.expand(columns) if len(rate) == 1 else rate.repeat_interleave(columns // len(rate))
            shape = (len(value), columns)
            table, first, second = (t.view(shape) for t in (value, self.first[name], self.second[name]))
            grad = grad.reshape(shape)
            update(table, first, second, grad, rate.contiguous(), number=number, visible=visible)

    def keep(self, index: Tensor) -> None:
        """Leave only the rows of an index or mask, in its order."""
        for table in (self.values, self.first, self.second):
            for name, tensor in table.items():
                table[name] = tensor[index].contiguous()

    def append(self, rows: Mapping[str, Tensor]) -> None:
        """Add rows; their moments begin at zero."""
        for name, added in rows.items():
            self.values[name] = torch.cat([self.values[name], added])
            for table in (self.first, self.second):
                table[name] = torch.cat([table[name], torch.zeros_like(added)])

    def rows(self, index: Tensor) -> dict[str, Tensor]:
        return {name: value[index] for name, value in self.values.items()}

    def write(self, index: Tensor, rows: Mapping[str, Tensor]) -> None:
        """Replace values of rows; their moments stay."""
        for name, row in rows.items():
            self.values[name][index] = row

    def forget(self, index: Tensor | slice, names: tuple[str, ...] = ()) -> None:
        """Set moments of rows to zero, of all names or of some."""
        for table in (self.first, self.second):
            for name in names or tuple(table):
                table[name][index] = 0

    def widen(self, name: str, size: int) -> None:
        """Append zeros along the second axis until it has this size."""
        for table in (self.values, self.first, self.second):
            old = table[name]
            new = old.new_zeros((len(old), size, *old.shape[2:]))
            new[:, : old.shape[1]] = old
            table[name] = new

    def tensors(self) -> dict[str, Tensor]:
        """Everything, for a checkpoint."""
        parts = (("value", self.values), ("first", self.first), ("second", self.second))
        return {f"{part}.{name}": tensor for part, table in parts for name, tensor in table.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        parts = (("value", self.values), ("first", self.first), ("second", self.second))
        for part, table in parts:
            for name in table:
                table[name] = tensors[f"{part}.{name}"].contiguous()


def update(
    value: Tensor,
    first: Tensor,
    second: Tensor,
    grad: Tensor,
    rate: Tensor,
    *,
    number: int,
    visible: Tensor | None = None,
) -> None:
    """Adam on tables [N, D] in place, a rate for each column [D], on the visible rows."""
    fixed1, fixed2 = 1 - BETA1**number, 1 - BETA2**number
    if value.device.type == "cpu":
        seen = np.empty(0, np.bool_) if visible is None else visible.numpy()
        values, m, v = value.numpy(), first.numpy(), second.numpy()
        _adam(values, m, v, grad.contiguous().numpy(), rate.numpy(), seen, fixed1, fixed2)
    else:
        update_in_torch(value, first, second, grad, rate.to(value.device), (fixed1, fixed2), visible)


def update_in_torch(
    value: Tensor,
    first: Tensor,
    second: Tensor,
    grad: Tensor,
    rate: Tensor,
    fixed: tuple[float, float],
    visible: Tensor | None,
) -> None:
    """The same in torch, for other devices and as the slow twin."""
    new_first = torch.lerp(grad, first, BETA1)
    new_second = torch.lerp(grad * grad, second, BETA2)
    move = rate * (new_first / fixed[0]) / ((new_second / fixed[1]).sqrt() + EPSILON)
    if visible is not None:
        row = visible[:, None]
        new_first, new_second = torch.where(row, new_first, first), torch.where(row, new_second, second)
        move = torch.where(row, move, torch.zeros_like(move))
    value.sub_(move)
    first.copy_(new_first)
    second.copy_(new_second)


@njit(cache=True, nogil=True, error_model="numpy")
def _adam(value, first, second, grad, rate, visible, fixed1, fixed2):
    real = value.dtype.type
    b1, b2, c1, c2 = real(BETA1), real(BETA2), real(1 - BETA1), real(1 - BETA2)
    scale1, scale2, eps = real(1 / fixed1), real(1 / fixed2), real(EPSILON)
    for n in range(value.shape[0]):
        if visible.shape[0] > 0 and not visible[n]:
            continue
        p, m, v, g = value[n], first[n], second[n], grad[n]
        for d in range(value.shape[1]):
            m[d] = b1 * m[d] + c1 * g[d]
            v[d] = b2 * v[d] + c2 * g[d] * g[d]
            p[d] -= rate[d] * (m[d] * scale1) / (np.sqrt(v[d] * scale2) + eps)
