"""A network in training: its optimiser, mixed precision and moving average, and their state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from dl._training.schedules import share
from dl._training.world import World
from dl.config import TrainConfig
from dl.errors import CheckpointError

__all__ = ["Learner", "WeightAverage", "new_optimiser"]

_PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def new_optimiser(
    network: nn.Module, config: TrainConfig, extra: Sequence[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """AdamW, Adam or SGD; biases and normalisation are not decayed, what is new learns faster.

    Parameters
    ----------
    network : Module
    config : TrainConfig
    extra : sequence of Parameter
        Of the loss rather than the network; they learn as fast as what is new.
    """
    parts = [getattr(network, name, None) for name in getattr(network, "new_parts", ("head",))]
    new = {parameter for part in parts if part is not None for parameter in part.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        peak = config.head_lr if parameter in new else config.lr
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((peak, decay), []).append(parameter)
    if extra:
        groups.setdefault((config.head_lr, 0.0), []).extend(extra)
    members = [
        {"params": parameters, "lr": peak, "peak_lr": peak, "weight_decay": decay}
        for (peak, decay), parameters in groups.items()
    ]
    if config.optimiser == "sgd":
        return torch.optim.SGD(members, momentum=config.momentum)
    return {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[config.optimiser](members)


class WeightAverage:
    """Exponential moving average of a network's weights and running statistics.

    The decay of the t-th step is min(decay, (1 + t) / (10 + t)), so that the start, which means
    nothing, is soon forgotten.

    Attributes
    ----------
    network : Module
        Holds the average; no gradient.

    Examples
    --------
    >>> network = nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(network, decay=0.9)
    >>> _ = network.weight.data.add_(11.0)
    >>> average.update(network)
    >>> round((network.weight - average.network.weight).item(), 3)  # 2 / 11 of the way is left
    2.0
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network).requires_grad_(requires_grad=False)
        self.steps = 0
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the weights after a step."""
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        now = network.state_dict()
        for name, mean in self.network.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(now[name], 1 - decay)
            else:
                mean.copy_(now[name])


class Learner:
    """A network with all that changes while it is trained.

    Parameters
    ----------
    network : Module
        On the device where it is trained.
    config : TrainConfig
    extra : Module, optional
        Learned parts of the loss; not part of the network.
    world : World
        The processes that train it together.

    Attributes
    ----------
    network : Module
    optimiser : Optimizer
    scaler : GradScaler
        Of float16; without effect in other precisions.
    average : WeightAverage or None
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        *,
        extra: nn.Module | None = None,
        world: World | None = None,
    ) -> None:
        self.network, self.config, self.extra = network, config, extra
        self.world = world or World()
        self.device = next(network.parameters()).device
        self._extra_parameters = [] if extra is None else list(extra.to(self.device).parameters())
        self.optimiser = new_optimiser(network, config, self._extra_parameters)
        half = config.precision == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        self.average = WeightAverage(network, config.ema) if config.ema > 0 else None
        self._wrapped = self.world.wrapped(network, self.device)

    @property
    def predictor(self) -> nn.Module:
        """The network that tuning and predictions use: the average, where there is one."""
        return self.network if self.average is None else self.average.network

    def answer(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits of a batch in float32; of several heads or tasks, a list of them."""
        own = x[self.world.part(len(x))].to(self.device)
        options = {"auxiliary": True} if _has_deep_heads(self.network) else {}
        dtype = _PRECISIONS.get(self.config.precision)
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            found = self._wrapped(own, **options)
        if isinstance(found, Tensor):
            return self.world.gathered(found.float(), len(x))
        return [self.world.gathered(part.float(), len(x)) for part in found]

    def step(self, loss: Tensor, progress: float) -> bool:
        """One step along the gradient; False, and no step, where it or the loss is not finite.

        A float16 gradient may overflow: the step is then left out and the scale of the loss
        halved, until the scale is 1 and there is nothing left to halve.

        Parameters
        ----------
        loss : Tensor
        progress : float
            Epochs that are over, for the learning rate.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = share(progress, self.config) * group["peak_lr"]
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        learned = [*self.network.parameters(), *self._extra_parameters]
        norm = nn.utils.clip_grad_norm_(learned, self.config.grad_clip)
        finite = math.isfinite(norm.item())
        overflow = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        if not math.isfinite(loss.item()) or not (finite or overflow):
            return False
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average is not None and finite:
            self.average.update(self.network)
        return True

    def tensors(self) -> dict[str, Tensor]:
        """All that a later process needs to go on with the same bits."""
        found = _prefixed("network", self.network.state_dict())
        for i, facts in self.optimiser.state_dict()["state"].items():
            known = {key: value for key, value in facts.items() if value is not None}
            found |= _prefixed(f"optimiser/{i}", known)
        if self.extra is not None:
            found |= _prefixed("extra", self.extra.state_dict())
        if self.average is not None:
            found |= _prefixed("average", self.average.network.state_dict())
            found["steps/average"] = torch.tensor(self.average.steps)
        if self.scaler.is_enabled():
            state = self.scaler.state_dict()
            found["scaler/scale"] = torch.tensor(state["scale"], dtype=torch.float64)
            found["scaler/growth"] = torch.tensor(state["_growth_tracker"])
        return found

    def restore(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """Copy values into the layouts training uses, so that the next step gives the same bits.

        Raises
        ------
        CheckpointError
            They do not fit; `where` says where they come from.
        """
        try:
            self.network.load_state_dict(_within("network", tensors), strict=True)
            if self.extra is not None:
                self.extra.load_state_dict(_within("extra", tensors), strict=True)
            if self.average is not None:
                self.average.network.load_state_dict(_within("average", tensors), strict=True)
                self.average.steps = int(tensors["steps/average"])
            self._restore_scaler(tensors)
            self._restore_optimiser(_within("optimiser", tensors))
        except (RuntimeError, KeyError, IndexError):
            msg = f"{where}: the checkpoint's tensors do not fit the network."
            raise CheckpointError(msg) from None

    def _restore_scaler(self, tensors: Mapping[str, Tensor]) -> None:
        if self.scaler.is_enabled():
            state = self.scaler.state_dict()
            state["scale"] = float(tensors["scaler/scale"])
            state["_growth_tracker"] = int(tensors["scaler/growth"])
            self.scaler.load_state_dict(state)

    def _restore_optimiser(self, tensors: Mapping[str, Tensor]) -> None:
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        for key, tensor in tensors.items():
            i, name = key.split("/")
            parameter = parameters[int(i)]
            like = tensor
            if tensor.shape == parameter.shape:
                like = torch.empty_like(parameter).copy_(tensor)
            self.optimiser.state[parameter][name] = like.detach()


def _has_deep_heads(network: nn.Module) -> bool:
    return getattr(network, "deep_heads", None) is not None


def _prefixed(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _within(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }
