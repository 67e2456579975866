"""The tensors of a training and the one step that changes them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from geolab.change.losses import Loss
from geolab.change.network import Network

AVERAGE = 0.99  # weight of the past in the running average of the weights
LONGEST_GRADIENT = 1.0  # norm to which gradients are clipped

Placed = TypeVar("Placed", Tensor, Network)
Tensors = dict[str, Tensor]


class Learner:
    """A network under training, the running average of its weights, and the optimizer.

    `average` is what is validated and kept: it is better than the last weights, and steadier.
    Half precision on CUDA, with the loss scaled so that small gradients survive.
    """

    def __init__(self, network: Network, *, loss: Loss, weight_decay: float, device: torch.device):
        self.device, self._loss = device, loss
        self.network = _placed(network, device).train()
        self.average = copy.deepcopy(self.network).eval()
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(),
            weight_decay=weight_decay,
            fused=True,
            lr=torch.tensor(0.0, device=device),
        )
        self._half = device.type == "cuda"
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._half)  # pyright: ignore[reportPrivateImportUsage]

    def step(self, number: int, before: Tensor, after: Tensor, label: Tensor, *, lr: float) -> float:
        """The loss before the step; the weights are those after it.

        number: of this step, from 1. before, after: [N, band, y, x] normalised; label: [N, y, x].
        """
        dates = [_placed(date, self.device) for date in (before, after)]
        with torch.autocast(self.device.type, dtype=torch.float16, enabled=self._half):
            logits = self.network(*dates)
        loss = self._loss(logits.float(), label.to(self.device))
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), LONGEST_GRADIENT)
        for group in self._optimizer.param_groups:
            group["lr"].fill_(lr)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._average(min(AVERAGE, (1 + number) / (10 + number)))
        return float(loss.detach())

    def _average(self, past: float) -> None:
        with torch.no_grad():
            mean, now = self.average.state_dict(), self.network.state_dict()
            for name, value in mean.items():
                if value.is_floating_point():
                    value.lerp_(now[name], 1 - past)

    def tensors(self) -> Tensors:
        """All that a checkpoint must hold."""
        kept = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        kept |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self._optimizer.state[parameter].items():
                kept[f"optimizer.{key}.{name}"] = value
        return kept

    def scaler_state(self) -> dict[str, Any]:
        """The loss scale; empty without half precision."""
        return self._scaler.state_dict()

    def restore(self, tensors: Mapping[str, Tensor], scaler_state: dict[str, Any]) -> None:
        """Go on from `tensors()`, in the memory layout that the optimizer's kernels expect."""
        for prefix, network in (("network.", self.network), ("average.", self.average)):
            network.load_state_dict(_below(prefix, tensors))
        for name, parameter in self.network.named_parameters():
            state = {key: tensors[f"optimizer.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            for key in ("exp_avg", "exp_avg_sq"):
                state[key] = torch.empty_like(parameter, requires_grad=False).copy_(state[key])
            state["step"] = state["step"].to(self.device)
            self._optimizer.state[parameter] = state
        if self._half:
            self._scaler.load_state_dict(scaler_state)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _placed(thing: Placed, device: torch.device) -> Placed:
    return thing.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue, reportReturnType]
