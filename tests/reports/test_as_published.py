"""The imitated studies commit the faults they are named for, each exactly."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from dl import registry
from dl.data import ImageStudy
from reports.synthetic.as_published import (
    Recipe,
    linear_stack,
    one_map,
    policies_as_published,
    put_aside,
    train_as_published,
)
from reports.synthetic.fetal_heart import FETAL_HEART
from reports.synthetic.skin import SKIN, SKIN_CLASSES
from reports.synthetic.small_network import SMALL, SMALL_GATED
from usstats.errors import ArgumentError


@pytest.fixture(scope="module")
def skin(tmp_path_factory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("skin")
    study = SKIN.draw(root / "images", n_patients=18, seed=1).study
    train, test = put_aside(study, share=0.3, seed=1, by="image")
    recipe = Recipe(
        architecture=SMALL_GATED, classes=SKIN_CLASSES, softmax_twice=True, epochs=3, input_size=32
    )
    sets = {"test": test, "train": train}
    training = train_as_published(train, sets, recipe, cache_dir=root / "cache")
    return SimpleNamespace(
        study=study, train=train, test=test, recipe=recipe, training=training, root=root
    )


def test_a_folder_of_images_shares_patients_and_one_of_patients_does_not(skin):
    whose = set(skin.train.images["patient_id"]) & set(skin.test.images["patient_id"])
    assert len(whose) > 3
    train, test = put_aside(skin.study, share=0.3, seed=1, by="patient")
    assert not set(train.images["patient_id"]) & set(test.images["patient_id"])
    assert len(train) + len(test) == len(skin.study)
    with pytest.raises(ArgumentError, match="by"):
        put_aside(skin.study, share=0.3, seed=1, by="clinic")


def test_the_chosen_epoch_is_the_best_on_what_judges(skin):
    history = skin.training.history
    assert history["epoch"].tolist() == [1, 2, 3]
    assert skin.training.epoch == history["epoch"][history["test"].idxmax()]
    table = skin.training.predictions["test"]
    right = table[list(SKIN_CLASSES)].idxmax(axis=1) == table["label"]
    assert right.mean() == pytest.approx(history["test"].max())
    assert "chosen by its accuracy" in repr(skin.training)


def test_the_kept_network_is_that_of_the_chosen_epoch(skin):
    again = train_as_published(
        skin.train, {"test": skin.test}, skin.recipe, cache_dir=skin.root / "cache"
    )
    first = skin.training.network.state_dict()
    assert all(
        torch.equal(first[name], tensor) for name, tensor in again.network.state_dict().items()
    )
    only = replace(skin.recipe, epochs=skin.training.epoch)
    short = train_as_published(skin.train, {"test": skin.test}, only, cache_dir=skin.root / "cache")
    assert all(
        torch.equal(first[name], tensor) for name, tensor in short.network.state_dict().items()
    )


def test_two_softmaxes_bound_the_probabilities(skin):
    values = skin.training.predictions["test"][list(SKIN_CLASSES)].to_numpy()
    np.testing.assert_allclose(values.sum(axis=1), 1)
    assert values.max() <= np.e / (np.e + 2) + 1e-12
    assert values.min() >= 1 / (1 + 2 * np.e) - 1e-12
    sure = np.array([[50.0, 0.0, 0.0]])
    assert skin.recipe.probabilities(sure)[0, 0] == pytest.approx(np.e / (np.e + 2))
    once = replace(skin.recipe, softmax_twice=False)
    assert once.probabilities(sure)[0, 0] == pytest.approx(1)


def test_the_loss_takes_the_softmax_for_logits(skin):
    answer, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    found = skin.recipe.loss(answer, labels, None)
    assert float(found) == pytest.approx(float(cross_entropy(answer.softmax(dim=1), labels)))


def test_policies_are_ranked_by_their_loss_on_the_judged_images(skin):
    found = policies_as_published(skin.training, skin.test, candidates=5, seed=2)
    assert found["loss"].is_monotonic_increasing
    assert found["probability"].between(0, 1).all()
    policy = tuple(found["sub_policy"].head(2))
    other = train_as_published(
        skin.train,
        {"test": skin.test},
        replace(skin.recipe, policy=policy, epochs=1),
        cache_dir=skin.root / "cache",
    )
    assert other.history["test"].between(0, 1).all()


def test_a_stack_without_activations_is_one_layer():
    torch.manual_seed(1)
    stack = linear_stack((20, 30, 10, 2), 0.6).eval()
    x = torch.randn(5, 20)
    single = one_map(stack)
    torch.testing.assert_close(single(x), stack(x), atol=1e-6, rtol=1e-5)
    assert sum(p.numel() for p in single.parameters()) == 42


def test_outlines_and_a_flat_head_are_trained_together(tmp_path):
    world = FETAL_HEART.draw(tmp_path / "hearts", n_patients=10, seed=1)
    rows = world.study.images.dropna(subset=["label", "mask"]).astype({"label": int})
    study = ImageStudy(images=rows, root=world.study.root)
    recipe = Recipe(
        architecture="multitask_unet",
        classes=("0", "1"),
        options={"encoder": SMALL, "widths": [8, 8], "n_mask_classes": 3},
        flat_head=(30, 10),
        epochs=2,
        input_size=32,
    )
    training = train_as_published(study, {"test": study}, recipe, cache_dir=tmp_path / "cache")
    assert len(training.network.head) == 6
    masks = training.masks(study)
    assert masks.shape == (len(study), 32, 32)
    assert set(np.unique(masks)) <= {0, 1, 2}


@pytest.mark.parametrize("name", [SMALL, SMALL_GATED])
def test_small_networks_answer_with_logits(name):
    network = registry.build(name, n_classes=3, in_channels=1)
    assert network(torch.rand(2, 1, 64, 64)).shape == (2, 3)
    assert sum(p.numel() for p in network.parameters()) < 100_000
