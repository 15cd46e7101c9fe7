"""Search of an augmentation policy by density matching, inside the training part of one fold.

After Lim et al. (2019), Fast AutoAugment: a child network is trained on some of the patients
without augmentation; changes under which it still recognises the others leave images where the
training images are. What differs from the paper, and why, is said in `search_policy`.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from dl._augmenting.operations import apply_policy
from dl._networks.stacked import channel_layout
from dl._training.fold import FoldTask, epoch_seed
from dl._training.world import training_device
from dl.augment_config import AugmentConfig
from dl.channels import ChannelLayout
from dl.errors import TrainingError
from dl.inference import as_input, steady_torch
from dl.policy import OPERATIONS, Policy, PolicySearch
from dl.storage import read_json, write_json
from dl.train import train_fold
from usstats.errors import ArgumentError
from usstats.splits import make_folds

__all__ = ["FoundPolicy", "found_policies", "search_policy", "with_policy"]

#: What the random numbers are for, beside those of a fold; 3 chooses the tuning patients.
POLICY = 4
FILE, FOLDER = "policy.json", "policy"
BATCH = 32
#: A candidate is left out when it is this many standard errors worse than the best.
_CLEARLY = 2.0


@dataclass(frozen=True, kw_only=True)
class FoundPolicy:
    """A policy and the trials it was chosen from.

    Attributes
    ----------
    policy : Policy
    trials : tuple of dict
        One a candidate: inner_fold, sub_policy, rounds, log_loss, excess (over the unchanged
        images, at probability 1), change (share of the difference between two patients),
        informative (the child recognised the unchanged images better than their prevalence
        would; one that does not judges nothing), chosen.
    """

    policy: Policy
    trials: tuple[dict[str, Any], ...]

    def frame(self) -> pd.DataFrame:
        """The trials, one row each; `sub_policy` as JSON text."""
        rows = [t | {"sub_policy": json.dumps(t["sub_policy"])} for t in self.trials]
        return pd.DataFrame(rows)

    @classmethod
    def read(cls, file: Path) -> FoundPolicy:
        """What `with_policy` wrote."""
        content = read_json(file, needs=("policy", "trials"))
        return cls(policy=Policy.of(content["policy"]), trials=tuple(content["trials"]))


def search_policy(task: FoldTask, search: PolicySearch | None = None) -> FoundPolicy:
    """Search the changes that leave held-out training patients recognisable.

    Only the rows of `task` that train are used: they are dealt into inner folds by patient, and
    the child network of an inner fold is trained on the others, without augmentation, its epoch
    chosen on the task's tuning rows. The task holds no label of an outer held-out image.

    Parameters
    ----------
    task : FoldTask
        Of a network that classifies.
    search : PolicySearch, optional

    Returns
    -------
    FoundPolicy

    Raises
    ------
    ConfigError
        The network gives no class.
    ResampleError
        Fewer training patients of a class than inner folds.
    TrainingError
        No candidate changes the images enough.

    Notes
    -----
    The published objective, the mean loss of held-out images under a policy, is linear in an
    operation's probability p: (1 - p) times the loss of the unchanged image plus p times that of
    the changed one. Its minimum lies at p = 0 for whatever harms, and a search ends with policies
    that do next to nothing. Here p is not searched. Every candidate is judged at p = 1, must
    change the images visibly (magnitudes start at `OperationRange.low`, and the measured change
    must reach `least_change`), and candidates compete with each other, never with the identity;
    the policy that is found applies each operation with probability `search.probability`, so that
    networks see unchanged images too.

    Candidates are drawn at random and thinned by successive halving (Jamieson and Talwalkar 2016)
    with a factor of three. Of the last round, the `chosen` candidates of the smallest loss are
    taken, without those that are two standard errors (over patients, paired) worse than the best.

    References
    ----------
    Lim S, Kim I, Kim T, Kim C, Kim S (2019). Fast AutoAugment. NeurIPS 32.
    Jamieson K, Talwalkar A (2016). Non-stochastic best arm identification and hyperparameter
    optimization. AISTATS 51: 240-248.
    """
    search = search or PolicySearch()
    search.check_tasks(task.tasks)
    trials: list[_Trial] = []
    for inner, held_out in enumerate(_inner_folds(task, search)):
        network = train_fold(_child_task(task, search, inner, held_out))
        seed = epoch_seed(task.config, task.fold, POLICY, inner)
        with steady_torch(seed):
            judge = _Judge.of(network, task, held_out)
            trials += _halve(judge, _candidates(search, seed), search, inner=inner, seed=seed)
    chosen = [step for trial in trials if trial.chosen for step in trial.with_chance(search)]
    return FoundPolicy(policy=Policy.of(chosen), trials=tuple(t.record() for t in trials))


def with_policy(task: FoldTask) -> FoldTask:
    """The task with the policy that its configuration asks to be searched, if it does.

    The policy is written to policy.json in the fold's folder, and read from there when a run goes
    on.
    """
    search = task.config.policy_search
    if search is None:
        return task
    file = task.folder / FILE
    if not file.is_file() or read_json(file, needs=("identity",))["identity"] != task.identity:
        found = search_policy(task, search)
        content = {"policy": found.policy.plain, "trials": found.trials, "identity": task.identity}
        write_json(file, content)
        shutil.rmtree(task.folder / FOLDER)
    policy = FoundPolicy.read(file).policy
    return replace(task, config=task.config.changed(policy=policy.plain, policy_search=None))


def found_policies(run_dir: str | Path) -> dict[int, FoundPolicy]:
    """The policies of a run that searched them, by outer fold.

    Raises
    ------
    ArgumentError
        The run searched none, or has not come so far.
    """
    files = sorted(Path(run_dir).glob(f"folds/*/{FILE}"), key=lambda file: int(file.parent.name))
    if not files:
        msg = (
            f"{run_dir} holds no policy that was searched; train it with "
            "TrainConfig(policy_search=PolicySearch())."
        )
        raise ArgumentError(msg)
    return {int(file.parent.name): FoundPolicy.read(file) for file in files}


def _inner_folds(task: FoldTask, search: PolicySearch) -> list[NDArray[np.bool_]]:
    """For each inner fold which of `task.rows` it holds out: training rows with a label."""
    dealt = np.flatnonzero(~task.is_tuning & (task.labels >= 0))
    groups = task.groups[dealt]
    folds = make_folds(
        task.labels[dealt],
        groups,
        n_folds=search.inner_folds,
        seed=epoch_seed(task.config, task.fold, POLICY),
        n_classes=task.config.n_classes,
    )
    numbers = np.full(len(task.rows), -1)
    numbers[dealt] = folds.lookup(groups)
    return [numbers == inner for inner in range(search.inner_folds)]


def _child_task(
    task: FoldTask, search: PolicySearch, inner: int, held_out: NDArray[np.bool_]
) -> FoldTask:
    """The task without the patients of an inner fold, and without augmentation."""
    config = task.config
    epochs = search.epochs or config.epochs
    patients = np.isin(task.groups, task.groups[held_out])
    kept = ~patients | task.is_tuning
    return replace(
        task,
        config=config.changed(
            augment=AugmentConfig.none(),
            policy=None,
            policy_search=None,
            epochs=epochs,
            warmup_epochs=min(config.warmup_epochs, float(epochs)),
        ),
        folder=task.folder / FOLDER / str(inner),
        rows=task.rows[kept],
        labels=task.labels[kept],
        groups=task.groups[kept],
        is_tuning=task.is_tuning[kept],
        held_out_rows=task.rows[held_out],
        identity=task.identity | {"policy": f"inner fold {inner} of {search.inner_folds}"},
    )


def _candidates(search: PolicySearch, seed: int) -> list[list[list[Any]]]:
    """Random pairs of operations with magnitudes in their ranges, at probability 1."""
    rng = np.random.default_rng(seed)
    size = min(2, len(search.operations))
    pairs = [rng.permutation(search.operations)[:size] for _ in range(search.candidates)]
    return [[[str(name), 1.0, _magnitude(str(name), rng)] for name in pair] for pair in pairs]


def _magnitude(name: str, rng: np.random.Generator) -> float:
    span = OPERATIONS[name]
    return round(rng.uniform(span.low, span.top), 4)


@dataclass(kw_only=True, eq=False)
class _Trial:
    """A candidate, and what was seen of it: a row of patients' mean losses for every copy."""

    inner: int
    number: int
    steps: list[list[Any]]
    plain: NDArray[np.float64]
    entropy: float
    losses: list[NDArray[np.float64]] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    rounds: int = 0
    chosen: bool = False

    @property
    def by_patient(self) -> NDArray[np.float64]:
        """Mean over the copies."""
        return np.mean(self.losses, axis=0)

    @property
    def loss(self) -> float:
        """Mean over patients."""
        return float(self.by_patient.mean())

    @property
    def change(self) -> float:
        """Mean over the copies."""
        return float(np.mean(self.changes))

    def clearly_worse(self, best: _Trial) -> bool:
        """Than another one on the same patients."""
        more = self.by_patient - best.by_patient
        error = more.std(ddof=1) / math.sqrt(len(more)) if len(more) > 1 else 0.0
        return bool(more.mean() > _CLEARLY * error)

    def with_chance(self, search: PolicySearch) -> list[list[list[Any]]]:
        """The sub-policy, as a list of one, with the probability of the policy."""
        return [[[name, search.probability, size] for name, _, size in self.steps]]

    def record(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "inner_fold": self.inner,
            "sub_policy": self.steps,
            "rounds": self.rounds,
            "log_loss": self.loss,
            "excess": self.loss - float(self.plain.mean()),
            "change": self.change,
            "informative": bool(self.plain.mean() < self.entropy),
            "chosen": self.chosen,
        }


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """A child network and the images of the patients it never saw."""

    network: nn.Module
    images: Tensor
    labels: Tensor
    patients: NDArray[np.int64]
    layout: ChannelLayout
    apart: float

    @classmethod
    def of(cls, network: nn.Module, task: FoldTask, held_out: NDArray[np.bool_]) -> _Judge:
        device = training_device(task.config.device)
        images = as_input(task.load_views()[task.rows[held_out], 0]).to(device)
        _, patients = np.unique(task.groups[held_out], return_inverse=True)
        return cls(
            network=network.to(device).eval(),
            images=images,
            labels=torch.from_numpy(task.labels[held_out]).to(device),
            patients=patients,
            layout=channel_layout(task.config),
            apart=_distance_of_patients(images, patients),
        )

    @property
    def entropy(self) -> float:
        """Log-loss of who knows the classes' frequencies only."""
        shares = torch.bincount(self.labels).double() / len(self.labels)
        return float(-torch.xlogy(shares, shares).sum())

    @torch.no_grad()
    def losses(self, images: Tensor) -> NDArray[np.float64]:
        """Mean log-loss of every patient."""
        answer = getattr(self.network, "classify", self.network)
        parts = [answer(batch) for batch in images.split(BATCH)]
        each = _log_losses(torch.cat(parts).double(), self.labels).cpu().numpy()
        sums = np.bincount(self.patients, each)
        counts = np.bincount(self.patients)
        return np.asarray(sums / counts, dtype=np.float64)

    def look(self, trial: _Trial, generator: Generator) -> None:
        """Judge one more changed copy of every image."""
        policy = Policy.of([trial.steps])
        changed, _ = apply_policy(self.images, None, policy, generator, self.layout)
        trial.losses.append(self.losses(changed))
        trial.changes.append(float((changed - self.images).abs().mean()) / self.apart)


def _log_losses(answer: Tensor, labels: Tensor) -> Tensor:
    """Of every row; one logit is that of the event."""
    if answer.shape[1] > 1:
        return cross_entropy(answer, labels, reduction="none")
    return softplus(answer[:, 0]) - labels * answer[:, 0]


def _distance_of_patients(images: Tensor, patients: NDArray[np.int64]) -> float:
    """Mean absolute difference between an image and one of the next patient."""
    first = np.unique(patients, return_index=True)[1]
    other = images[torch.from_numpy(np.roll(first, -1)[patients])]
    return max(float((images - other).abs().mean()), 1e-6)


def _halve(
    judge: _Judge,
    candidates: Iterable[list[list[Any]]],
    search: PolicySearch,
    *,
    inner: int,
    seed: int,
) -> list[_Trial]:
    """All trials of an inner fold; the best of the last round are marked as chosen."""
    plain = judge.losses(judge.images)
    trials = [
        _Trial(inner=inner, number=number, steps=steps, plain=plain, entropy=judge.entropy)
        for number, steps in enumerate(candidates)
    ]
    left = trials
    for number in range(search.rounds):
        for trial in left:
            rng = np.random.default_rng([seed, trial.number, number])
            generator = Generator().manual_seed(int(rng.integers(2**63)))
            for _ in range(3**number):
                judge.look(trial, generator)
            trial.rounds += 1
        left = _best(left, search, n=max(math.ceil(len(left) / 3), search.chosen))
    for trial in left[: search.chosen]:
        trial.chosen = not trial.clearly_worse(left[0])
    return trials


def _best(trials: Sequence[_Trial], search: PolicySearch, n: int) -> list[_Trial]:
    """Those of the smallest loss among those that change the images."""
    visible = [trial for trial in trials if trial.change >= search.least_change]
    if not visible:
        most = max(trial.change for trial in trials)
        msg = (
            f"No candidate changes the images by {search.least_change:g} of the difference between "
            f"two patients; the largest change is {most:.3g}. Lower `policy_search.least_change` "
            "or allow other `operations`."
        )
        raise TrainingError(msg)
    return sorted(visible, key=lambda trial: trial.loss)[:n]
