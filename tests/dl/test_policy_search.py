"""Policy search: what harms is not chosen, what patients show is, held-out labels are unread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Generator, nn

from dl import policy_search
from dl._augmenting.operations import apply_policy
from dl._training.fold import FoldTask
from dl.config import AugmentConfig
from dl.crossval import cross_validate
from dl.errors import ConfigError, TrainingError
from dl.policy import Policy, PolicySearch
from dl.policy_search import found_policies, search_policy, with_policy
from dl.storage import read_json
from tests.dl.worlds import altered, tiny_config, write_world
from usstats.errors import ArgumentError, ResampleError
from usstats.splits import make_folds

QUICK = PolicySearch(
    inner_folds=2,
    candidates=12,
    rounds=2,
    chosen=3,
    operations=("gain", "rotate", "translate_x", "shadow", "speckle"),
)


def brightness_world(folder: Path, *, n: int = 48, images: int = 2) -> FoldTask:
    """The label is the level of the tissue, 0.14 apart; place, noise and shadows are anything.

    A gain of as much as the difference turns the label around.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(n) % 2, images)
    y, x = np.mgrid[:32, :32] / 32
    views = []
    for label in labels:
        disc = (x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.3, 0.7)) ** 2 < 0.03
        level = 0.42 + 0.14 * label - 0.25 * disc
        views.append(level * rng.normal(1, 0.12, (32, 32)))
    pixels = (np.clip(np.array(views), 0, 1) * 255).astype(np.uint8)[:, None, None]
    np.save(folder / "views.npy", pixels)
    patients = np.repeat(np.arange(n), images)
    return FoldTask(
        config=tiny_config(epochs=8, augment=AugmentConfig.none()),
        fold=0,
        folder=folder / "0",
        views=folder / "views.npy",
        rows=np.arange(len(labels)),
        labels=labels.astype(np.int64),
        groups=patients,
        is_tuning=patients % 6 < 2,
        held_out_rows=np.array([], dtype=np.int64),
        identity={"config": "c"},
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> policy_search.FoundPolicy:
    task = brightness_world(tmp_path_factory.mktemp("search") / "world")
    return search_policy(task, replace(QUICK, candidates=20))


def names(policy: Policy) -> set[str]:
    return {step.name for sub_policy in policy.sub_policies for step in sub_policy}


def test_what_destroys_the_label_is_not_chosen_and_what_patients_show_is(found):
    assert "gain" not in names(found.policy)
    assert names(found.policy) & {"translate_x", "rotate", "speckle"}
    table = found.frame()
    harmful = table["sub_policy"].str.contains("gain")
    assert table.loc[harmful, "excess"].min() > table.loc[table["chosen"], "excess"].max()


def test_the_policy_is_not_the_identity(found):
    """Minimising the loss over probabilities as well would end there."""
    rng = np.random.default_rng(2)
    x = torch.from_numpy(rng.uniform(0.2, 0.8, (64, 1, 32, 32)).astype(np.float32))
    y, _ = apply_policy(x, None, found.policy, Generator().manual_seed(1))
    moved = (y - x).abs().mean(dim=(1, 2, 3)) > 0.004
    assert 0.5 < float(moved.float().mean()) < 1
    table = found.frame()
    assert table.loc[table["chosen"], "change"].min() >= QUICK.least_change
    assert all(s.probability == 0.5 for sub in found.policy.sub_policies for s in sub)


def test_trials_tell_what_was_tried(found):
    table = found.frame()
    assert len(table) == 40
    assert table.groupby("inner_fold")["chosen"].sum().between(1, 3).all()
    assert set(table["rounds"]) == {1, 2}
    assert table["informative"].all()
    assert table.loc[table["chosen"], "rounds"].eq(2).all()
    best = table[table["rounds"] == 2].groupby("inner_fold")["log_loss"].idxmin()
    assert table.loc[best, "chosen"].all()


def test_a_search_is_repeatable_and_follows_its_seed(tmp_path, found):
    search = replace(QUICK, candidates=20)
    again = search_policy(brightness_world(tmp_path / "a"), search)
    assert again == found
    task = brightness_world(tmp_path / "b")
    other = search_policy(replace(task, config=task.config.changed(seed=8)), search)
    assert other.policy != found.policy


def test_children_are_trained_without_augmentation_and_without_their_patients(
    tmp_path, monkeypatch
):
    task = brightness_world(tmp_path / "w")
    task = replace(task, config=task.config.changed(augment=AugmentConfig(), epochs=4))
    seen: list[FoldTask] = []

    def spy(child: FoldTask) -> nn.Module:
        seen.append(child)
        return policy_search_train(child)

    policy_search_train = policy_search.train_fold
    monkeypatch.setattr(policy_search, "train_fold", spy)
    search_policy(task, replace(QUICK, candidates=3, epochs=2))
    assert len(seen) == 2
    judged = [set(child.held_out_rows.tolist()) for child in seen]
    assert not judged[0] & judged[1]
    assert judged[0] | judged[1] == set(task.train_rows.tolist())
    for child in seen:
        assert child.config.augment == AugmentConfig.none()
        assert child.config.policy is None
        assert child.config.epochs == 2
        patients = {int(task.groups[row]) for row in child.held_out_rows}
        assert not patients & set(child.groups[~child.is_tuning].tolist())
        assert child.tuning_rows.tolist() == task.tuning_rows.tolist()


def test_an_objective_that_could_choose_the_probability_would_choose_none():
    """E[loss] is linear in p: a harmful operation is best at p = 0, whatever it does."""

    class Mean(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.mean(dim=(1, 2, 3))[:, None] - 0.5) * 40

    n = 2000
    label = torch.arange(n) % 2
    x = (0.45 + 0.1 * label).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    losses = []
    for p in (0.25, 0.5, 1.0):
        policy = Policy.of([[["gain", p, 0.15]]])
        changed, _ = apply_policy(x, None, policy, Generator().manual_seed(1))
        losses.append(float(policy_search._log_losses(Mean()(changed), label).mean()))
    plain = float(policy_search._log_losses(Mean()(x), label).mean())
    excess = np.array(losses) - plain
    assert excess[2] > 0.5
    np.testing.assert_allclose(excess / excess[2], [0.25, 0.5, 1.0], atol=0.05)


def test_log_losses_are_those_of_the_class():
    z = torch.tensor([[2.0], [-1.0]])
    p = 1 / (1 + np.exp(-z.numpy()[:, 0]))
    expected = -np.log([p[0], 1 - p[1]])
    one = policy_search._log_losses(z, torch.tensor([1, 0])).numpy()
    np.testing.assert_allclose(one, expected, rtol=1e-6)
    both = torch.cat([torch.zeros_like(z), z], dim=1)
    two = policy_search._log_losses(both, torch.tensor([1, 0])).numpy()
    np.testing.assert_allclose(two, expected, rtol=1e-6)


def shuffled_held_out(labels: NDArray[np.int64], held_out: NDArray[np.bool_]) -> NDArray[np.int64]:
    changed = labels.copy()
    changed[held_out] = 1 - changed[held_out]
    return changed


def test_randomised_held_out_labels_give_the_same_policies_and_weights(tmp_path):
    search = replace(QUICK, candidates=3, rounds=1, chosen=1, epochs=1)
    config = tiny_config(epochs=1, folds=2, policy_search=search)
    study = write_world(tmp_path / "study", n=24)
    labels = study.images["label"].to_numpy()
    splits = make_folds(labels, study.patients, n_folds=2, seed=1)
    held_out = splits.lookup(study.patients) == 0
    other = altered(study, label=shuffled_held_out(labels, held_out))
    for name, world in (("one", study), ("two", other)):
        cross_validate(world, config, run_dir=tmp_path / name, splits=splits, n_jobs=1)
    one, two = (tmp_path / name / "folds" / "0" for name in ("one", "two"))
    hashes = [read_json(folder / "fold.json")["weights_sha256"] for folder in (one, two)]
    assert hashes[0] == hashes[1]
    assert not (one / "policy").exists()
    by_fold = [found_policies(tmp_path / name) for name in ("one", "two")]
    assert list(by_fold[0]) == [0, 1]
    assert by_fold[0][0] == by_fold[1][0]
    assert by_fold[0][1].trials != by_fold[1][1].trials


def test_a_fold_trains_with_the_policy_that_was_found(tmp_path, monkeypatch):
    task = brightness_world(tmp_path / "w")
    assert with_policy(task) is task
    searching = replace(
        task, config=task.config.changed(policy_search=replace(QUICK, candidates=3))
    )
    found = with_policy(searching)
    assert found.config.policy == Policy.of(found.config.policy).plain
    assert found.config.policy_search is None
    assert found.identity == task.identity

    def never(*_: object) -> None:
        pytest.fail("a policy that was found is searched again")

    monkeypatch.setattr(policy_search, "search_policy", never)
    assert with_policy(searching).config == found.config


def test_training_follows_the_policy(tmp_path):
    study = write_world(tmp_path / "study", n=12)
    config = tiny_config(epochs=1, folds=2, augment=AugmentConfig.none())
    runs = {
        name: cross_validate(
            study, config.changed(policy=policy), run_dir=tmp_path / name, n_jobs=1
        )
        for name, policy in {
            "none": None,
            "still": ([["gain", 1.0, 0.0]],),
            "gain": ([["gain", 1.0, 0.2]],),
        }.items()
    }
    assert runs["none"]["logit"].equals(runs["still"]["logit"])
    assert not runs["none"]["logit"].equals(runs["gain"]["logit"])


@pytest.mark.parametrize(
    ("values", "search", "error", "text"),
    [
        ({"tasks": ("segment",)}, {}, ConfigError, "only segments has none; leave `policy_search`"),
        (
            {},
            {"least_change": 1.0, "operations": ("blur",)},
            TrainingError,
            "No candidate changes the images by 1 of .* the largest change is",
        ),
        ({}, {"inner_folds": 20}, ResampleError, "16 with and 16 without .* for 20 parts"),
    ],
)
def test_refused_searches(tmp_path, values, search, error, text):
    task = replace(brightness_world(tmp_path / "w"), **values)
    with pytest.raises(error, match=text):
        search_policy(task, replace(QUICK, candidates=2, epochs=1, **search))


def test_a_run_without_a_search_has_no_policies(tmp_path):
    with pytest.raises(ArgumentError, match="holds no policy that was searched; train it with"):
        found_policies(tmp_path)


def test_a_child_that_recognises_nothing_is_named_so(tmp_path):
    task = brightness_world(tmp_path / "w")
    flat = np.load(task.views)
    flat[:] = 128 + np.random.default_rng(1).integers(-20, 20, flat.shape)
    np.save(task.views, flat)
    found = search_policy(task, replace(QUICK, candidates=3, rounds=1))
    assert not found.frame()["informative"].any()
