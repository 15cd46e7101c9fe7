"""Trainings as they were published, done again on synthetic images to see what they cost.

Images are dealt without looking at whose they are, and the images that judge choose the epoch as
well. No stage and no command comes here, and `dl.crossval` offers none of it; the notebooks do it
on pictures whose truth is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor, nn

from dl._augmenting.operations import apply_policy
from dl._training.targets import mask_targets
from dl.data import ImageStudy
from dl.inference import as_input, logits, mask_logits, steady_torch
from dl.losses import dice_cross_entropy, focal
from dl.policy import OPERATIONS, Policy
from dl.prepare import Preparation, prepare
from dl.registry import build
from usstats._check import check_option

__all__ = [
    "Recipe",
    "SensitiveRecipe",
    "Training",
    "linear_stack",
    "one_map",
    "policies_as_published",
    "put_aside",
    "train_as_published",
]

HEAD_DROPOUT = 0.6
#: Of the running statistics: some networks' own is meant for a hundred times as many batches.
NORM_MOMENTUM = 0.1


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a published network was trained.

    Attributes
    ----------
    architecture : str
    classes : tuple of str
        Names of the labels, or "0" and "1".
    options : mapping
        Of the architecture. One with `n_mask_classes` segments as well.
    flat_head : tuple of int
        Widths of further linear layers in the head, without an activation between them.
    softmax_twice : bool
        The loss, which takes logits, is given probabilities; so is the final softmax.
    gamma : float
        Of the focal loss; 0 is cross-entropy.
    alpha : tuple of float, optional
        Its weights of the classes.
    policy : tuple
        Sub-policies of augmentation, as `dl.policy.Policy` reads them; none if empty.
    epochs, batch_size, input_size : int
    lr : float
    seed : int
    """

    architecture: str
    classes: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    flat_head: tuple[int, ...] = ()
    softmax_twice: bool = False
    gamma: float = 0.0
    alpha: tuple[float, ...] | None = None
    policy: tuple[Any, ...] = ()
    epochs: int = 10
    batch_size: int = 16
    input_size: int = 64
    lr: float = 1e-3
    seed: int = 1

    merit_name: ClassVar[str] = "accuracy"
    unit: ClassVar[str] = "image"

    @property
    def preparation(self) -> Preparation:
        """The whole image in gray."""
        return Preparation(
            region="whole", margins=(0.0,), input_size=self.input_size, colour="gray"
        )

    def network(self) -> nn.Module:
        """A new one, with random weights."""
        network = build(
            self.architecture, n_classes=len(self.classes), in_channels=1, **self.options
        )
        if self.flat_head:
            widths = (network.head.in_features, *self.flat_head, len(self.classes))
            network.head = linear_stack(widths, dropout=HEAD_DROPOUT)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = NORM_MOMENTUM
        return network

    def loss(self, answer: Any, labels: Tensor, masks: Tensor | None) -> Tensor:
        """Of the class, and of the mask where there is one."""
        classes, outlines = (answer, None) if isinstance(answer, Tensor) else answer
        given = classes.softmax(dim=1) if self.softmax_twice else classes
        total = focal(given, labels, gamma=self.gamma, alpha=self.alpha)
        if outlines is not None and masks is not None:
            total = total + dice_cross_entropy(outlines, masks, background=True)
        return total

    def merit(self, table: pd.DataFrame) -> float:
        """What chooses the epoch: the accuracy on the images of a table of predictions."""
        chosen = table[list(self.classes)].idxmax(axis=1)
        return float((chosen == table["label"].astype(str)).mean())

    def probabilities(self, answer: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the study calls probabilities."""
        once = softmax(answer, axis=1)
        return softmax(once, axis=1) if self.softmax_twice else once


@dataclass(frozen=True, kw_only=True)
class SensitiveRecipe(Recipe):
    """Of two classes; the epoch that finds most patients, where it is specific enough, is kept.

    Attributes
    ----------
    specificity : float
        The least that an epoch must have.
    """

    specificity: float = 0.85
    merit_name: ClassVar[str] = "sensitivity"
    unit: ClassVar[str] = "patient"

    def merit(self, table: pd.DataFrame) -> float:
        """Sensitivity of the patients' mean probability; less 1 where it is not specific enough."""
        means = table.groupby("patient_id")[["label", self.classes[1]]].mean()
        found, event = means[self.classes[1]] >= 0.5, means["label"].astype(int) == 1
        enough = (~found[~event]).mean() >= self.specificity
        return float(found[event].mean()) - (0 if enough else 1)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Training:
    """A network of the epoch that did best on the images that judge it.

    Attributes
    ----------
    recipe : Recipe
    network : Module
    epoch : int
        The chosen one, counted from 1.
    history : DataFrame
        epoch, and what chooses it (the accuracy, of most) on each set of images.
    predictions : mapping of name to DataFrame
        Of each set: image_id, patient_id, label, and a column a class with what the study calls
        its probability.
    cache_dir : Path
    """

    recipe: Recipe
    network: nn.Module
    epoch: int
    history: pd.DataFrame
    predictions: Mapping[str, pd.DataFrame]
    cache_dir: Path

    def __repr__(self) -> str:
        first = self.history.columns[1]
        best = self.history[first].max()
        return (
            f"<training as published: epoch {self.epoch} of {len(self.history)}, chosen by its "
            f"{self.recipe.merit_name} of {best:.3f} in {first!r}; unit: {self.recipe.unit}>"
        )

    def masks(self, study: ImageStudy) -> NDArray[np.int64]:
        """Most probable region of every pixel, (n, size, size)."""
        views = prepare(study, self.recipe.preparation, cache_dir=self.cache_dir).views
        answer = mask_logits(self.network, views, np.arange(len(study)), flip=False)
        return answer.argmax(dim=1).numpy()


def put_aside(
    study: ImageStudy, *, share: float, seed: int, by: str
) -> tuple[ImageStudy, ImageStudy]:
    """The images that train, and a random share of the images, or of the patients, put aside.

    Parameters
    ----------
    study : ImageStudy
    share : float
    seed : int
    by : {"image", "patient"}
    """
    check_option(by, ("image", "patient"), name="by")
    units = study.images["image_id" if by == "image" else "patient_id"]
    order = np.random.default_rng(seed).permutation(units.unique())
    aside = units.isin(order[: round(share * len(order))])
    train, test = (ImageStudy(images=study.images[m], root=study.root) for m in (~aside, aside))
    return train, test


def linear_stack(widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers with dropout before each and no activation between."""
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        parts += [nn.Dropout(dropout), nn.Linear(inputs, outputs)]
    return nn.Sequential(*parts)


@torch.no_grad()
def one_map(stack: nn.Sequential) -> nn.Linear:
    """The single linear layer that such a stack is.

    Examples
    --------
    >>> stack = linear_stack((6, 50, 20, 2), 0.6).eval()
    >>> x = torch.rand(3, 6)
    >>> bool(torch.allclose(one_map(stack)(x), stack(x), atol=1e-6))
    True
    """
    first, *others = (part for part in stack if isinstance(part, nn.Linear))
    weight, bias = first.weight, first.bias
    for layer in others:
        weight, bias = layer.weight @ weight, layer.weight @ bias + layer.bias
    single = nn.Linear(weight.shape[1], weight.shape[0])
    single.weight.copy_(weight)
    single.bias.copy_(bias)
    return single


def train_as_published(
    train: ImageStudy, judged: Mapping[str, ImageStudy], recipe: Recipe, *, cache_dir: Path
) -> Training:
    """Train, look at the judged images after every epoch, and keep the epoch they like best.

    Parameters
    ----------
    train : ImageStudy
        With a label, and a mask where the network segments, in every row.
    judged : mapping of name to ImageStudy
        The first one chooses the epoch; the others are only looked at.
    recipe : Recipe
    cache_dir : Path
    """
    sets = {name: _Images.load(study, recipe, cache_dir) for name, study in judged.items()}
    images = _Images.load(train, recipe, cache_dir, masks="n_mask_classes" in recipe.options)
    chooses, rows, best = next(iter(sets)), [], -np.inf
    with steady_torch(recipe.seed):
        network = recipe.network()
        optimiser = torch.optim.Adam(network.parameters(), lr=recipe.lr)
        for epoch in range(1, recipe.epochs + 1):
            _train_epoch(network, optimiser, images, recipe, epoch)
            tables = {name: each.judge(network, recipe) for name, each in sets.items()}
            right = {name: recipe.merit(table) for name, table in tables.items()}
            rows.append({"epoch": epoch, **right})
            if right[chooses] > best:
                best, chosen, predictions = right[chooses], epoch, tables
                kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        network.load_state_dict(kept)
    return Training(
        recipe=recipe,
        network=network.eval(),
        epoch=chosen,
        history=pd.DataFrame(rows),
        predictions=predictions,
        cache_dir=cache_dir,
    )


def policies_as_published(
    training: Training, test: ImageStudy, *, candidates: int, seed: int
) -> pd.DataFrame:
    """Random sub-policies with random probabilities, by the loss of changed test images.

    Every operation is tried at the largest magnitude that `dl.policy` allows, which is mild beside
    the published ones.

    Returns
    -------
    DataFrame
        The smallest loss first: operations, probability (the mean of its operations'), loss, and
        sub_policy in plain JSON types.
    """
    recipe, rng = training.recipe, np.random.default_rng(seed)
    images = _Images.load(test, recipe, training.cache_dir)
    x, labels = as_input(images.views[:, 0]), torch.from_numpy(images.labels)
    rows = []
    with steady_torch(seed), torch.no_grad():
        for number in range(candidates):
            names = rng.choice(list(OPERATIONS), 2, replace=False).tolist()
            chances = rng.uniform(0.01, 1, 2).tolist()
            tops = [OPERATIONS[name].top for name in names]
            steps = [list(step) for step in zip(names, chances, tops, strict=True)]
            generator = torch.Generator().manual_seed(1000 * seed + number)
            changed, _ = apply_policy(x, None, Policy.of([steps]), generator, None)
            loss = float(recipe.loss(training.network(changed), labels, None))
            found = {"operations": " + ".join(names), "probability": np.mean(chances), "loss": loss}
            rows.append(found | {"sub_policy": steps})
    return pd.DataFrame(rows).sort_values("loss", ignore_index=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Images:
    """Prepared images with their labels and, for training, their masks."""

    study: ImageStudy
    views: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: Tensor | None

    @classmethod
    def load(
        cls, study: ImageStudy, recipe: Recipe, cache_dir: Path, *, masks: bool = False
    ) -> _Images:
        prepared = prepare(study, recipe.preparation, cache_dir=cache_dir)
        targets = None
        if masks:
            path = mask_targets(
                study,
                recipe.preparation,
                images=prepared.sha256,
                cache_dir=cache_dir,
                n_classes=recipe.options["n_mask_classes"],
            )
            targets = torch.from_numpy(np.load(path, allow_pickle=False).astype(np.int64))
        labels = study.labels(list(recipe.classes))
        return cls(study=study, views=prepared.views, labels=labels, masks=targets)

    def judge(self, network: nn.Module, recipe: Recipe) -> pd.DataFrame:
        """Who the images are of, what they show, and what the network says."""
        answer = logits(network, self.views, np.arange(len(self.labels)), flip=False)
        table = self.study.images[["image_id", "patient_id", "label"]].copy()
        table[list(recipe.classes)] = recipe.probabilities(answer)
        return table


def _train_epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: _Images,
    recipe: Recipe,
    epoch: int,
) -> None:
    generator = torch.Generator().manual_seed(1000 * recipe.seed + epoch)
    order = torch.randperm(len(images.labels), generator=generator).numpy()
    network.train()
    for batch in np.array_split(order, max(1, round(len(order) / recipe.batch_size))):
        masks = None if images.masks is None else images.masks[torch.from_numpy(batch)]
        labels = torch.from_numpy(images.labels[batch])
        x = as_input(images.views[batch, 0])
        if recipe.policy:
            x, masks = apply_policy(x, masks, Policy.of(recipe.policy), generator, None)
        loss = recipe.loss(network(x), labels, masks)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
