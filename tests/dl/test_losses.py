"""Losses against written-out definitions, their limits, and what a missing truth must not do."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from dl.losses import (
    MISSING,
    UncertaintyWeights,
    balanced_weights,
    binary_cross_entropy,
    cross_entropy,
    deep_supervision,
    dice_cross_entropy,
    focal,
    multitask_loss,
    pixel_cross_entropy,
    remove_prior_shift,
    soft_dice,
)
from usstats.errors import ArgumentError, OutcomeError, PairingError

LOGIT = torch.tensor([-3.0, -0.5, 0.0, 1.5, 40.0, -40.0], dtype=torch.float64)
TARGET = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
GENERATOR = torch.Generator().manual_seed(1)
LOGITS = 2 * torch.randn(8, 3, dtype=torch.float64, generator=GENERATOR)
LABELS = torch.tensor([0, 1, 2, 2, 1, 0, 2, 1])
WEIGHTS = (0.5, 1.0, 3.0)


# One logit


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.7, 2.5)])
def test_cross_entropy_is_its_definition(weights, smoothing):
    p = 1 / (1 + np.exp(-LOGIT.numpy()))
    target = TARGET.numpy() * (1 - smoothing) + smoothing / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [
            sum(t * np.log(q) for t, q in ((y, risk), (1 - y, 1 - risk)) if t > 0)
            for y, risk in zip(target[:4], p[:4], strict=True)
        ]
    w = np.where(TARGET.numpy()[:4] == 1, weights[1], weights[0])
    expected = pytest.approx(-np.mean(w * terms), rel=1e-12)
    options = {"weights": weights, "label_smoothing": smoothing}
    assert binary_cross_entropy(LOGIT[:4], TARGET[:4], **options).item() == expected
    assert cross_entropy(LOGIT[:4, None], TARGET[:4].long(), **options).item() == expected


def test_extreme_logits_stay_finite():
    assert binary_cross_entropy(-LOGIT[4:] * 100, TARGET[4:]).item() == pytest.approx(4000)
    far, labels = LOGIT[4:, None] * 1e4, TARGET[4:].long()
    for sign, expected in ((1, 0), (-1, 4e5)):
        assert cross_entropy(sign * far, labels).item() == pytest.approx(expected)
        assert focal(sign * far, labels).item() == pytest.approx(expected)


def test_the_best_constant_logit_answers_the_weighted_odds():
    """Weights multiply the odds by w1 / w0, which is what is shifted back after training."""
    y = torch.tensor([1.0] * 3 + [0.0] * 9, dtype=torch.float64)
    weights = balanced_weights(y.numpy())

    def loss(b: float) -> float:
        logit = torch.full((12,), b, dtype=torch.float64)
        return binary_cross_entropy(logit, y, weights=weights).item()

    best = minimize_scalar(loss, bracket=(-2, 2), tol=1e-9).x
    shifted = remove_prior_shift(torch.tensor([[best]]), weights).item()
    assert shifted == pytest.approx(np.log(3 / 9), abs=1e-6)


# Weights


def test_balanced_weights_keep_the_number_of_cases():
    low, high = balanced_weights([0] * 30 + [1] * 10)
    assert (30 * low, 10 * high) == pytest.approx((20, 20))
    three = balanced_weights([0] * 6 + [1] * 3 + [2] * 1, n_classes=3)
    assert np.multiply(three, [6, 3, 1]) == pytest.approx([10 / 3] * 3)


@pytest.mark.parametrize(("labels", "n"), [([0, 0], 2), ([0, 1], 3), ([0, 1, 2], 2)])
def test_weights_of_an_absent_class_are_refused(labels, n):
    with pytest.raises(OutcomeError, match=rf"each of the classes 0 to {n - 1}; the counts are"):
        balanced_weights(labels, n_classes=n)


def test_the_prior_of_several_classes_is_taken_out():
    """The best constant logits under weights, corrected, are the logarithms of the shares."""
    labels = torch.tensor([0] * 6 + [1] * 3 + [2] * 1)
    weights = balanced_weights(labels.numpy(), n_classes=3)

    def loss(b: np.ndarray) -> float:
        logits = torch.from_numpy(b).expand(10, 3)
        return cross_entropy(logits, labels, weights=weights).item()

    best = torch.from_numpy(minimize(loss, np.zeros(3), tol=1e-12).x)
    assert best.softmax(0).numpy() == pytest.approx([1 / 3] * 3, abs=1e-4)
    corrected = remove_prior_shift(best[None], weights).softmax(1)[0]
    assert corrected.numpy() == pytest.approx([0.6, 0.3, 0.1], abs=1e-4)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, math.inf), (1.0, 2.0, 3.0)])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ArgumentError, match="`weights` must be 2 positive numbers"):
        cross_entropy(LOGIT[:, None], TARGET.long(), weights=weights)


# Several classes


@pytest.mark.parametrize("smoothing", [0.0, 0.15])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_of_classes_is_its_definition(weights, smoothing):
    log_p = log_softmax(LOGITS.numpy(), axis=1)
    total = 0.0
    for row, label in enumerate(LABELS.tolist()):
        target = [smoothing / 3 + (1 - smoothing) * (k == label) for k in range(3)]
        weight = 1.0 if weights is None else weights[label]
        total -= weight * sum(t * value for t, value in zip(target, log_p[row], strict=True))
    got = cross_entropy(LOGITS, LABELS, weights=weights, label_smoothing=smoothing)
    assert got.item() == pytest.approx(total / 8, rel=1e-12)


def test_label_smoothing_agrees_with_torch():
    expected = torch.nn.functional.cross_entropy(LOGITS, LABELS, label_smoothing=0.1)
    torch.testing.assert_close(cross_entropy(LOGITS, LABELS, label_smoothing=0.1), expected)


def test_the_best_answer_to_smoothed_labels_is_smoothed():
    """The loss is least where p of the label is 1 - e + e / K."""

    def loss(s: float) -> float:
        logits = torch.tensor([[s, 0.0, 0.0]], dtype=torch.float64)
        return cross_entropy(logits, torch.tensor([0]), label_smoothing=0.3).item()

    best = minimize_scalar(loss, bracket=(0, 2), tol=1e-10).x
    p = math.exp(best) / (math.exp(best) + 2)
    assert p == pytest.approx(0.7 + 0.1, abs=1e-6)


@pytest.mark.parametrize("loss", [cross_entropy, partial(focal, gamma=1.7)])
def test_two_logits_are_their_difference(loss):
    two = LOGITS[:, :2]
    labels = LABELS % 2
    torch.testing.assert_close(loss(two, labels), loss(two[:, 1:] - two[:, :1], labels))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan])
def test_smoothing_out_of_range_is_refused(smoothing):
    with pytest.raises(ArgumentError, match=r"`label_smoothing` must lie in \[0, 1\)"):
        cross_entropy(LOGITS, LABELS, label_smoothing=smoothing)


# Focal loss


@pytest.mark.parametrize("alpha", [None, WEIGHTS])
@pytest.mark.parametrize("gamma", [0.5, 2.0, 3.0])
def test_focal_is_its_definition(alpha, gamma):
    p = np.exp(log_softmax(LOGITS.numpy(), axis=1))
    own = p[np.arange(8), LABELS.numpy()]
    w = np.ones(3) if alpha is None else np.array(alpha)
    expected = np.mean(-w[LABELS.numpy()] * (1 - own) ** gamma * np.log(own))
    got = focal(LOGITS, LABELS, gamma=gamma, alpha=alpha)
    assert got.item() == pytest.approx(expected, rel=1e-10)


def test_focal_of_a_single_logit_is_its_definition():
    s, y = LOGIT[:4], TARGET[:4]
    p = torch.sigmoid(s)
    own = torch.where(y == 1, p, 1 - p)
    weight = torch.where(y == 1, 0.25, 0.75)
    expected = (-weight * (1 - own) ** 2 * own.log()).mean()
    torch.testing.assert_close(focal(s[:, None], y.long(), gamma=2.0, alpha=0.25), expected)
    torch.testing.assert_close(focal(s[:, None], y.long(), alpha=(0.75, 0.25)), expected)


@pytest.mark.parametrize("alpha", [None, WEIGHTS])
def test_focal_without_gamma_is_cross_entropy(alpha):
    expected = cross_entropy(LOGITS, LABELS, weights=alpha)
    torch.testing.assert_close(focal(LOGITS, LABELS, gamma=0.0, alpha=alpha), expected)


def test_focal_turns_from_what_is_easy():
    values = [focal(torch.tensor([[3.0]]), torch.tensor([1]), gamma=g).item() for g in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[2] / values[0] == pytest.approx((1 - 1 / (1 + math.exp(-3))) ** 2, rel=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_the_gradient_of_certain_answers_is_finite(gamma):
    logits = torch.tensor([[50.0, 0.0], [-50.0, 0.0], [200.0, -200.0]], requires_grad=True)
    focal(logits, torch.tensor([0, 0, 0]), gamma=gamma).backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": -1.0}, "`gamma` must be 0 or more; got -1.0"),
        ({"gamma": math.nan}, "`gamma` must be 0 or more"),
        ({"alpha": 0.25}, "needs a single logit; got 0.25 for 3 logits"),
    ],
)
def test_impossible_focal_losses_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        focal(LOGITS, LABELS, **options)


# Missing truths


@pytest.mark.parametrize("loss", [cross_entropy, focal])
def test_rows_without_a_label_are_left_out(loss):
    labels = LABELS.clone()
    labels[::2] = MISSING
    logits = LOGITS.clone()
    logits[0] = math.nan
    torch.testing.assert_close(loss(logits, labels), loss(LOGITS[1::2], LABELS[1::2]))


@pytest.mark.parametrize("loss", [cross_entropy, focal])
def test_no_label_at_all_is_a_loss_and_a_gradient_of_zero(loss):
    logits = LOGITS.clone().requires_grad_()
    value = loss(logits, torch.full_like(LABELS, MISSING))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (LOGITS, LABELS[:5], PairingError, r"got \(8, 3\) and \(5,\)"),
        (LOGITS[:, 0], LABELS, PairingError, r"Logits must be \(N, n_classes\)"),
        (LOGITS, LABELS + 1, OutcomeError, r"classes 0 to 2, or -1 .*3 of 8 are not \(first: 3\)"),
        (LOGITS[:, :1], LABELS, OutcomeError, r"classes 0 to 1, .*3 of 8 are not \(first: 2\)"),
        (LOGITS, -2 - LABELS, OutcomeError, r"8 of 8 are not \(first: -2\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(logits, labels, error, message):
    with pytest.raises(error, match=message):
        cross_entropy(logits, labels)


def test_half_precision_is_widened():
    logits = LOGITS.to(torch.bfloat16)
    assert cross_entropy(logits, LABELS).dtype == torch.float32
    assert soft_dice(logits[:, :1, None, None], LABELS[:, None, None] % 2).dtype == torch.float32


# Masks


MASKS = torch.randint(0, 3, (4, 6, 5), generator=GENERATOR)
MASKS[1][MASKS[1] == 2] = 0
MAPS = torch.randn(4, 3, 6, 5, dtype=torch.float64, generator=GENERATOR)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_soft_dice_is_its_definition(weights, background):
    p = MAPS.softmax(dim=1).numpy()
    w = np.ones(3) if weights is None else np.array(weights)
    classes = range(0 if background else 1, 3)
    losses = []
    for image in range(4):
        terms = {}
        for k in classes:
            t = (MASKS[image] == k).numpy()
            overlap, areas = (p[image, k] * t).sum(), p[image, k].sum() + t.sum()
            terms[k] = 1 - (2 * overlap + 1.0) / (areas + 1.0)
        losses.append(sum(w[k] * terms[k] for k in classes) / sum(w[k] for k in classes))
    got = soft_dice(MAPS, MASKS, weights=weights, background=background)
    assert got.item() == pytest.approx(np.mean(losses), rel=1e-12)


def test_soft_dice_of_one_logit_is_that_of_the_region():
    one, masks = MAPS[:, :1], (MASKS > 0).long()
    p = one[:, 0].sigmoid()
    overlap = (p * masks).sum(dim=(1, 2))
    areas = p.sum(dim=(1, 2)) + masks.sum(dim=(1, 2))
    expected = (1 - (2 * overlap + 1) / (areas + 1)).mean()
    torch.testing.assert_close(soft_dice(one, masks), expected)
    two = torch.cat([torch.zeros_like(one), one], dim=1)
    torch.testing.assert_close(soft_dice(two, masks), expected)


def test_perfect_and_opposite_masks():
    masks = (MASKS > 0).long()
    sure = 100.0 * (2.0 * masks[:, None] - 1)
    assert soft_dice(sure, masks).item() == pytest.approx(0, abs=1e-6)
    assert dice_cross_entropy(sure, masks).item() == pytest.approx(0, abs=1e-6)
    assert soft_dice(-sure, masks, smooth=0.0).item() == pytest.approx(1)
    nothing = torch.zeros(2, 6, 5, dtype=torch.long)
    assert soft_dice(torch.full((2, 1, 6, 5), -100.0), nothing).item() == pytest.approx(0)


@pytest.mark.parametrize("n_logits", [1, 3])
def test_pixel_cross_entropy_agrees_with_torch(n_logits):
    weights = (0.5, 2.0, 1.5)[: max(n_logits, 2)]
    masks = MASKS if n_logits == 3 else (MASKS > 0).long()
    against = torch.cat([torch.zeros_like(MAPS[:, :1]), MAPS[:, :1]], dim=1)
    two = MAPS if n_logits == 3 else against
    raw = torch.nn.functional.cross_entropy(
        two, masks, weight=torch.tensor(weights).double(), reduction="none"
    )
    got = pixel_cross_entropy(MAPS[:, :n_logits], masks, weights=weights)
    torch.testing.assert_close(got, raw.mean())


def test_shares_of_dice_and_cross_entropy():
    got = dice_cross_entropy(MAPS, MASKS, dice=0.3, cross_entropy=2.0)
    torch.testing.assert_close(
        got, 0.3 * soft_dice(MAPS, MASKS) + 2 * pixel_cross_entropy(MAPS, MASKS)
    )
    with pytest.raises(ArgumentError, match="not both 0; got 0, 0"):
        dice_cross_entropy(MAPS, MASKS, dice=0, cross_entropy=0)


@pytest.mark.parametrize("loss", [soft_dice, pixel_cross_entropy, dice_cross_entropy])
def test_unknown_pixels_and_images_are_left_out(loss):
    """A letterbox's bars, and whole images, may be unknown."""
    masks = MASKS.clone()
    masks[:, :, 4:] = MISSING
    masks[2] = MISSING
    maps = MAPS.clone()
    maps[2] = math.nan
    known = [0, 1, 3]
    torch.testing.assert_close(loss(maps, masks), loss(MAPS[known][..., :4], MASKS[known][..., :4]))


@pytest.mark.parametrize("loss", [soft_dice, pixel_cross_entropy, dice_cross_entropy])
def test_no_mask_at_all_is_a_loss_and_a_gradient_of_zero(loss):
    maps = MAPS.clone().requires_grad_()
    value = loss(maps, torch.full_like(MASKS, MISSING))
    value.backward()
    assert value.item() == 0
    assert (maps.grad == 0).all()


@pytest.mark.parametrize(
    ("maps", "masks", "error", "message"),
    [
        (MAPS, MASKS[:, :3], PairingError, r"got \(4, 3, 6, 5\) and \(4, 3, 5\)"),
        (MAPS[:, 0], MASKS, PairingError, r"Logits must be \(N, classes, H, W\)"),
        (MAPS[:, :1], MASKS * 127, OutcomeError, r"`masks` must be classes 0 to 1.*first: 127|254"),
    ],
)
def test_masks_that_do_not_fit_are_refused(maps, masks, error, message):
    with pytest.raises(error, match=message):
        soft_dice(maps, masks)


# Several tasks


def test_a_mixed_batch_is_the_sum_of_its_tasks():
    labels, masks = LABELS[:4].clone(), MASKS.clone()
    labels[0], masks[3] = MISSING, MISSING
    found = multitask_loss((LOGITS[:4], MAPS), labels, masks, weights=(2.0, 0.5))
    classify = cross_entropy(LOGITS[1:4], labels[1:])
    segment = dice_cross_entropy(MAPS[:3], MASKS[:3])
    torch.testing.assert_close(found.total, 2 * classify + 0.5 * segment)
    torch.testing.assert_close((found.classify, found.segment), (classify, segment))


def test_other_losses_can_be_given():
    found = multitask_loss(
        (LOGITS[:4], MAPS), LABELS[:4], MASKS, classify=partial(focal, gamma=1.0), segment=soft_dice
    )
    torch.testing.assert_close(found.classify, focal(LOGITS[:4], LABELS[:4], gamma=1.0))
    torch.testing.assert_close(found.segment, soft_dice(MAPS, MASKS))


def test_uncertainty_weights_are_their_formula():
    weigh = UncertaintyWeights(2)
    with torch.no_grad():
        weigh.log_variance.copy_(torch.tensor([0.4, -1.0]))
    losses = [torch.tensor(2.0), torch.tensor(3.0)]
    expected = math.exp(-0.4) * 2 + 0.2 + math.exp(1.0) * 3 - 0.5
    assert weigh(losses, [True, True]).item() == pytest.approx(expected)
    assert weigh(losses, [False, True]).item() == pytest.approx(math.exp(1.0) * 3 - 0.5)


def test_the_best_uncertainty_weight_is_one_over_twice_the_loss():
    """d/ds (exp(-s) L + s / 2) = 0 at exp(-s) = 1 / (2 L)."""
    weigh = UncertaintyWeights(1)
    optimiser = torch.optim.Adam(weigh.parameters(), lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        weigh([torch.tensor(3.0)], [True]).backward()
        optimiser.step()
    assert math.exp(-weigh.log_variance.item()) == pytest.approx(1 / 6, rel=1e-3)


def test_deep_supervision_adds_the_mean_of_the_others():
    heads = [LOGITS, 2 * LOGITS, LOGITS.flip(1)]
    losses = [cross_entropy(each, LABELS) for each in heads]
    got = deep_supervision(heads, LABELS, share=0.4)
    torch.testing.assert_close(got, losses[0] + 0.2 * (losses[1] + losses[2]))
    torch.testing.assert_close(deep_supervision([LOGITS], LABELS), losses[0])
