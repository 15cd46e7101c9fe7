"""Do the maps depend on what was learned? The randomisation test of Adebayo et al. (2018)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from dl._explaining.layers import Target, class_logits, layer_name
from dl.cam import METHODS, new_cam
from dl.errors import InsensitiveMapWarning
from usstats._check import check_count, check_option, check_seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RandomisationCheck", "randomisation_check"]

#: Name of a map -> (N, H, W).
Maps = dict[str, NDArray[Any]]
#: Weights that are drawn anew together, with their names.
Group = list[tuple[str, nn.Parameter]]
ORDERS = ("cascading", "full")
#: A mean rank correlation with the maps of random weights above this is worth a warning.
THRESHOLD = 0.5


@dataclass(frozen=True, kw_only=True, repr=False)
class RandomisationCheck:
    """How alike the maps are before and after weights are drawn anew. By `randomisation_check`.

    Attributes
    ----------
    method, order : str
    threshold : float
        Of the warning; no test of anything.
    n, draws : int
        Images, and networks with random weights.
    seed : int
    """

    method: str
    order: str
    threshold: float
    n: int
    draws: int
    seed: int
    _table: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a step and map: step, map, randomised (the layer reached, from the head down),
        n_layers, estimate (mean Spearman correlation over images and draws), lowest, highest, n
        (images times draws) and n_undefined (those with a map of a single value)."""
        return self._table.copy()

    @property
    def correlation(self) -> float:
        """Mean rank correlation with the maps of a network whose every weight is random; of
        several maps the largest. NaN where each of those maps has a single value."""
        last = self._table[self._table["step"] == self._table["step"].max()]
        return float(last["estimate"].max())

    @property
    def passed(self) -> bool:
        """The maps changed: their correlation is not above the threshold."""
        return not self.correlation > self.threshold

    def plot(self, ax: Axes | None = None) -> Axes:
        """The correlation along the cascade, and its range over images."""
        from usstats.plots.cam import plot_randomisation

        return plot_randomisation(self._table, threshold=self.threshold, ax=ax)

    def summary(self) -> str:
        """The steps, and what they say."""
        steps = [
            f"  {row.map}, {row.n_layers} layers down to {row.randomised}: {row.estimate:.3f}"
            for row in self._table.itertuples()
        ]
        return "\n".join([repr(self)[1:-1], *steps])

    def __repr__(self) -> str:
        return (
            f"<randomisation check of {self.method}: rank correlation {self.correlation:.3f} with "
            f"random weights ({self.order}); n = {self.n} images, {self.draws} draws, seed "
            f"{self.seed}>"
        )


def randomisation_check(
    network: nn.Module,
    x: Tensor,
    *,
    method: str = "gradcam",
    toward: str | int | Sequence[int] | Tensor | None = None,
    layer: nn.Module | str | None = None,
    order: str = "cascading",
    steps: int = 8,
    draws: int = 4,
    threshold: float = THRESHOLD,
    seed: int = 0,
    **options: Any,
) -> RandomisationCheck:
    """Draw the weights anew and compare the maps with those of the trained network.

    A map that stays the same shows the image (edges, bright tissue) and not what was learned.

    Parameters
    ----------
    network : Module
        It is copied and stays as it is.
    x : (N, C, H, W) Tensor
        Some images; a few dozen will do.
    method : str
        One of `dl.cam.METHODS`.
    toward, layer
        As for the method; without `toward`, the class the trained network prefers throughout.
    order : {"cascading", "full"}
        From the head down to the first layer in `steps`, all drawn before staying random; or all
        at once.
    steps : int
    draws : int
        Networks with random weights, whose correlations are averaged: a single one, of a small
        network above all, may look at the right place by luck.
    threshold : float
        Rank correlation above which a warning is given.
    seed : int
    **options
        Of the method.

    Returns
    -------
    RandomisationCheck

    Warns
    -----
    InsensitiveMapWarning
        The maps of random weights are still like those of the trained network, or each of the
        network's own maps has a single value.

    Notes
    -----
    Weights of two or more axes are drawn from a normal distribution with their own root mean
    square, so that values neither die nor explode; biases, normalisation and filters that are not
    trained stay.

    References
    ----------
    Adebayo et al. (2018), NeurIPS 31, Sanity Checks for Saliency Maps.

    Examples
    --------
    >>> from dl.registry import build
    >>> _ = torch.manual_seed(1)
    >>> x = torch.rand(4, 1, 64, 64)
    >>> network = build("resnet18", n_classes=3, in_channels=1)
    >>> randomisation_check(network, x, steps=2, draws=2).frame()[["step", "n_layers"]]
       step  n_layers
    0     1        11
    1     2        21
    """
    check_option(method, METHODS, name="method")
    check_option(order, ORDERS, name="order")
    check_seed(seed)
    name = None if layer is None else layer_name(network, layer)
    clone = copy.deepcopy(network).eval()
    wanted = _fixed_target(clone, x, toward) if METHODS[method].has_class else None
    groups = _groups(clone, x, 1 if order == "full" else check_count(steps, name="steps"))

    def maps() -> Maps:
        with new_cam(method, clone, name, **options) as cam:
            return {key: found.cpu().numpy() for key, found in cam.maps(x, toward=wanted).items()}

    trained = maps()
    check = RandomisationCheck(
        method=method,
        order=order,
        threshold=threshold,
        n=len(x),
        draws=check_count(draws, name="draws"),
        seed=seed,
        _table=_compare(trained, list(_redrawn(groups, maps, draws, seed)), groups),
    )
    _warn(check, trained)
    return check


def _redrawn(
    groups: Sequence[Group], maps: Callable[[], Maps], draws: int, seed: int
) -> Iterator[list[Maps]]:
    """The maps after each group of weights was drawn anew, once a draw."""
    generator = torch.Generator().manual_seed(seed)
    learned = [[weight.detach().clone() for _, weight in group] for group in groups]
    for _ in range(draws):
        after = []
        for group in groups:
            for _, weight in group:
                _redraw(weight, generator)
            after.append(maps())
        yield after
        for group, values in zip(groups, learned, strict=True):
            for (_, weight), value in zip(group, values, strict=True):
                weight.data.copy_(value)


def _compare(
    trained: Maps, redrawn: Sequence[Sequence[Maps]], groups: Sequence[Group]
) -> pd.DataFrame:
    """One row a step and map."""
    rows, n_layers = [], 0
    for step, group in enumerate(groups):
        n_layers += len(group)
        for key, before in trained.items():
            after = np.stack([steps[step][key] for steps in redrawn])
            found = [
                _spearman(a, b) for random in after for a, b in zip(before, random, strict=True)
            ]
            row = {"step": step + 1, "map": key, "randomised": group[-1][0], "n_layers": n_layers}
            rows.append(row | _summary(np.array(found)))
    return pd.DataFrame(rows)


def _fixed_target(network: nn.Module, x: Tensor, toward: Any) -> Any:
    """The class of every image, so that random weights are asked for the same one."""
    with torch.no_grad():
        logits = class_logits(network, x)
    return toward if logits.shape[1] == 1 else Target.of(logits, toward).index


def _groups(network: nn.Module, x: Tensor, steps: int) -> list[Group]:
    """Weights from the head down, in the order in which an image last passes their modules."""
    names = {module: name for name, module in network.named_modules()}
    passed: dict[nn.Module, None] = {}

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        passed.pop(module, None)
        passed[module] = None

    hooks = [module.register_forward_hook(note) for module in names]
    try:
        with torch.no_grad():
            class_logits(network, x[:1])
    finally:
        for hook in hooks:
            hook.remove()
    weights = [
        (f"{names[module]}.{name}".lstrip("."), parameter)
        for module in reversed(passed)
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim > 1
    ]
    cuts = np.array_split(np.arange(len(weights)), min(steps, len(weights)))
    return [[weights[i] for i in part] for part in cuts]


@torch.no_grad()
def _redraw(weight: nn.Parameter, generator: torch.Generator) -> None:
    fresh = torch.randn(weight.shape, generator=generator).to(weight)
    weight.copy_(fresh * weight.square().mean().sqrt())


def _summary(found: NDArray[Any]) -> dict[str, Any]:
    known = found[np.isfinite(found)]
    low, high, mean = (
        (known.min(), known.max(), known.mean()) if known.size else (np.nan, np.nan, np.nan)
    )
    return {
        "estimate": float(mean),
        "lowest": float(low),
        "highest": float(high),
        "n": len(found),
        "n_undefined": int(len(found) - known.size),
    }


def _spearman(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Of two maps; NaN where one of them has a single value."""
    ranks = np.stack([rankdata(a.ravel()), rankdata(b.ravel())])
    ranks -= ranks.mean(axis=1, keepdims=True)
    spread = np.sqrt((ranks**2).sum(axis=1)).prod()
    return float(ranks[0] @ ranks[1] / spread) if spread > 0 else float("nan")


def _warn(check: RandomisationCheck, trained: Maps) -> None:
    if all(np.ptp(one) == 0 for maps in trained.values() for one in maps):
        msg = (
            f"Every {check.method} map of the network has a single value; whether it depends on "
            "the weights cannot be told. Ask for another class."
        )
    elif not check.passed:
        msg = (
            f"The {check.method} maps hardly depend on the weights: with random ones the mean rank "
            f"correlation is {check.correlation:.2f} (n = {check.n}, warned above "
            f"{check.threshold:g}). They show the image, not what the network learned."
        )
    else:
        return
    warnings.warn(msg, InsensitiveMapWarning, stacklevel=3)
