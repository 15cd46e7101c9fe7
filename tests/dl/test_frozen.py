"""The frozen route: a head that is linear, tuned inside, and not thrown by a rare feature."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from dl._training.frozen import _ridge_path, feature_table, fit_head
from dl.crossval import cross_validate
from dl.errors import ConfigError
from dl.prepare import Preparation, prepare
from dl.run_folder import open_run
from tests.dl.worlds import CLASSES, tiny_config, write_classes, write_world

N, WIDTH = 60, 90


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features wider than long whose first column carries the outcome, two images a patient."""
    rng = np.random.default_rng(3)
    y = np.repeat(rng.permutation(np.arange(N // 2) % 2), 2)
    x = rng.normal(size=(N, WIDTH)) * rng.uniform(0.2, 3, WIDTH)
    x[:, 0] += 2.5 * y
    return x, y, np.repeat(np.arange(N // 2), 2)


def test_ridge_path_is_the_ridge_fit_in_all_directions(table):
    x, y, _ = table
    scale = 1 / np.maximum(x.std(axis=0), np.median(x.std(axis=0)))
    z = (x - x.mean(axis=0)) * scale
    penalty = 20.0

    def loss(parameters):
        logit = z @ parameters[1:] + parameters[0]
        return np.logaddexp(0, np.where(y == 1, -logit, logit)).sum() + penalty / 2 * np.sum(
            parameters[1:] ** 2
        )

    naive = minimize(loss, np.zeros(WIDTH + 1), method="BFGS", options={"gtol": 1e-7}).x
    weight, bias = _ridge_path(x, y, (penalty,), tiny_config())[0]
    np.testing.assert_allclose(x @ weight + bias, z @ naive[1:] + naive[0], atol=1e-4)


def test_a_larger_penalty_gives_smaller_logits(table):
    x, y, _ = table
    path = _ridge_path(x, y, (1.0, 10.0, 100.0, 1000.0), tiny_config())
    spreads = [np.std(x @ weight) for weight, _ in path]
    assert all(first > second for first, second in pairwise(spreads))


def test_a_rare_feature_cannot_throw_a_new_image(table):
    """Zero in all training images but one, as ReLU features of a narrow study are."""
    x, y, _ = table
    rare = np.zeros((N, 1))
    rare[0] = 1e-3
    weight, bias = _ridge_path(np.hstack([x, rare]), y, (10.0,), tiny_config())[0]
    usual = np.zeros(WIDTH + 1)
    usual[:-1] = x.mean(axis=0)
    surprising = usual.copy()
    surprising[-1] = 3.0
    assert abs((surprising - usual) @ weight) < 0.1 * np.ptp(x @ weight[:-1])
    assert np.isfinite(bias)


def test_a_feature_without_spread_is_harmless(table):
    x, y, _ = table
    weight, bias = _ridge_path(np.hstack([x, np.ones((N, 1))]), y, (10.0,), tiny_config())[0]
    alone, alone_bias = _ridge_path(x, y, (10.0,), tiny_config())[0]
    with_it = np.hstack([x, np.ones((N, 1))]) @ weight + bias
    np.testing.assert_allclose(with_it, x @ alone + alone_bias, atol=0.05)


def test_the_penalty_has_the_smallest_inner_loss(table):
    head = fit_head(*table, tiny_config(), seed=1)
    assert head.inner_loss[head.penalty] == min(head.inner_loss.values())
    assert set(head.inner_loss) == set(tiny_config().frozen_penalties)


def test_noise_is_shrunk_to_the_prevalence():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(80, 200)), np.arange(80) % 4 == 0
    head = fit_head(x, y.astype(int), np.arange(80), tiny_config(), seed=1)
    new = rng.normal(size=(500, 200)) @ head.weight + head.bias
    assert head.penalty >= 1000
    assert np.mean(1 / (1 + np.exp(-new))) == pytest.approx(0.25, abs=0.08)


def test_class_weights_do_not_move_the_mean_probability(table):
    """Four times the weight on events, and the logit shifted back by its logarithm."""
    x, _, _ = table
    rng = np.random.default_rng(5)
    y = (rng.random(N) < 0.2).astype(int)
    plain, weighted = (
        _ridge_path(x, y, (3000.0,), tiny_config(class_weights=name))[0]
        for name in ("none", "balanced")
    )
    means = [np.mean(1 / (1 + np.exp(-(x @ w + b)))) for w, b in (plain, weighted)]
    assert means[1] == pytest.approx(means[0], abs=0.03)


@pytest.fixture(scope="module")
def three() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features whose first two columns carry one of three unevenly common classes."""
    rng = np.random.default_rng(6)
    of_patient = rng.permutation(np.repeat([0, 1, 2], [15, 9, 6]))
    y = np.repeat(of_patient, 2)
    x = rng.normal(size=(N, WIDTH)) * rng.uniform(0.2, 3, WIDTH)
    x[:, :2] += 2.5 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    return x, y, np.repeat(np.arange(N // 2), 2)


def test_several_classes_are_the_multinomial_ridge_fit(three):
    x, y, _ = three
    config, penalty = tiny_config(classes=CLASSES), 20.0
    scale = 1 / np.maximum(x.std(axis=0), np.median(x.std(axis=0)))
    z = (x - x.mean(axis=0)) * scale

    def loss(parameters):
        table = parameters.reshape(3, WIDTH + 1)
        log_p = log_softmax(z @ table[:, 1:].T + table[:, 0], axis=1)
        return -log_p[np.arange(N), y].sum() + penalty / 2 * np.sum(table[:, 1:] ** 2)

    def slope(parameters):
        table = parameters.reshape(3, WIDTH + 1)
        error = softmax(z @ table[:, 1:].T + table[:, 0], axis=1) - np.eye(3)[y]
        return np.column_stack([error.sum(axis=0), error.T @ z + penalty * table[:, 1:]]).ravel()

    naive = minimize(loss, np.zeros(3 * (WIDTH + 1)), jac=slope, method="BFGS").x.reshape(3, -1)
    weight, bias = _ridge_path(x, y, (penalty,), config)[0]
    assert (weight.shape, bias.shape) == ((WIDTH, 3), (3,))
    expected = softmax(z @ naive[:, 1:].T + naive[:, 0], axis=1)
    np.testing.assert_allclose(softmax(x @ weight + bias, axis=1), expected, atol=1e-4)


def test_two_declared_classes_are_the_two_classes(table):
    x, y, groups = table
    one = fit_head(x, y, groups, tiny_config(), seed=1)
    two = fit_head(x, y, groups, tiny_config(classes=("no", "yes")), seed=1)
    assert two.penalty == one.penalty
    logits = x @ two.weight + two.bias
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], x @ one.weight + one.bias, rtol=1e-9)


def test_class_weights_of_several_classes_are_taken_out(three):
    x, y, _ = three
    means = []
    for name in ("none", "balanced"):
        config = tiny_config(classes=CLASSES, class_weights=name)
        weight, bias = _ridge_path(x, y, (5000.0,), config)[0]
        means.append(softmax(x @ weight + bias, axis=1).mean(axis=0))
    np.testing.assert_allclose(means[0], [0.5, 0.3, 0.2], atol=0.01)
    np.testing.assert_allclose(means[1], means[0], atol=0.03)


def test_textures_are_told_apart_by_fixed_features(tmp_path):
    study = write_classes(tmp_path / "images", n=18)
    config = tiny_config(
        route="frozen", classes=CLASSES, architecture="efficientnet_lite0", weights="imagenet"
    )
    table = cross_validate(study, config, run_dir=tmp_path / "run", n_jobs=1)
    p = table.pivot(index="image_id", columns="class", values="probability")
    assert len(table) == 3 * len(study)
    truth = study.images.set_index("image_id")["label"]
    assert (p.idxmax(axis=1) == truth[p.index]).mean() > 0.9
    head = open_run(tmp_path / "run").network(0).head
    assert head.weight.shape[0] == 3


def test_a_network_without_features_is_refused(tmp_path):
    study = write_world(tmp_path / "images", n=6)
    config = tiny_config(route="frozen", architecture="dual_aspp", options={"dual": False})
    prepared = prepare(study, Preparation.of(config), cache_dir=tmp_path / "cache")
    with pytest.raises(ConfigError, match="'dual_aspp' has none"):
        feature_table(config, prepared.cache)


def test_features_come_from_the_cache_the_second_time(tmp_path, monkeypatch):
    study, config = write_world(tmp_path / "images", n=6), tiny_config(route="frozen")
    prepared = prepare(study, Preparation.of(config), cache_dir=tmp_path / "cache")
    first = feature_table(config, prepared.cache)
    monkeypatch.setattr("dl._training.frozen.features", None)
    np.testing.assert_array_equal(feature_table(config, prepared.cache), first)
    with pytest.raises(TypeError):
        feature_table(config.changed(flip_views=False), prepared.cache)
