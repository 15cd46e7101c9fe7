"""Policies as plain JSON: what is read, what is refused; it loads no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dl.config import TrainConfig
from dl.errors import ConfigError
from dl.policy import OPERATIONS, Operation, Policy, PolicySearch

PLAIN = [[["gain", 0.5, 0.1], ["shadow", 1.0, 0.4]], [["rotate", 0.25, 12]]]


def test_json_gives_a_policy_back():
    policy = Policy.of(PLAIN)
    assert Policy.from_json(policy.to_json()) == policy
    assert Policy.of(policy.plain) == policy
    assert Policy.of(policy) is policy
    assert len(policy) == 2
    assert policy.sub_policies[0][1] == Operation("shadow", 1.0, 0.4)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([], "at least one sub-policy"),
        ("gain", "must be a list of sub-policies; got str"),
        ({"gain": 1}, "must be a list of sub-policies; got dict"),
        ([["gain", 0.5, 0.1]], "sub-policy 0 .* must be a list of .name, probability, magnitude."),
        ([[["gain", 0.5]]], "sub-policy 0"),
        ([PLAIN[0], [[1, 0.5, 0.1]]], "sub-policy 1"),
        ([[]], r"hold 1 to 2 operations; these hold \[0\]"),
        ([[["gain", 0.5, 0.1]] * 3], r"hold 1 to 2 operations; these hold \[3\]"),
        ([[["sharpen", 0.5, 0.1]]], "unknown operation 'sharpen'; known are rotate, shear"),
        ([[["gain", 0, 0.1]]], "probability of 'gain' must lie above 0 and up to 1; got 0"),
        ([[["gain", 1.1, 0.1]]], "probability of 'gain'"),
        ([[["gain", True, 0.1]]], "probability of 'gain' .* got True"),
        ([[["gain", 0.5, 0.3]]], r"magnitude of 'gain' must lie from 0 to 0.2 \(share .* got 0.3"),
        ([[["gain", 0.5, -0.1]]], "magnitude of 'gain'"),
        ([[["gain", 0.5, "0.1"]]], "magnitude of 'gain' .* got '0.1'"),
        ([[["gain", 0.5, float("nan")]]], "magnitude of 'gain' .* got nan"),
    ],
)
def test_refused_policies(content, text):
    with pytest.raises(ConfigError, match=text):
        Policy.of(content)


def test_a_text_that_is_not_json_is_refused():
    with pytest.raises(ConfigError, match="not valid JSON"):
        Policy.from_json("[[")


def test_a_configuration_carries_a_policy_and_refuses_a_wrong_one():
    config = TrainConfig(seed=1, policy=Policy.of(PLAIN).plain)
    assert TrainConfig.from_json(config.to_json()) == config
    assert Policy.of(config.policy) == Policy.of(PLAIN)
    with pytest.raises(ConfigError, match="unknown operation"):
        TrainConfig(seed=1, policy=([["sharpen", 0.5, 0.1]],))


def test_a_configuration_carries_a_search():
    config = TrainConfig(seed=1, policy_search=PolicySearch(candidates=7, operations=("gain",)))
    assert TrainConfig.from_json(config.to_json()) == config
    assert config.digest != config.changed(policy_search=PolicySearch()).digest
    with pytest.raises(ConfigError, match="either a `policy` or a `policy_search`"):
        config.changed(policy=Policy.of(PLAIN).plain)
    with pytest.raises(ConfigError, match="`policy_search` would do nothing"):
        config.changed(route="frozen")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"inner_folds": 1}, "`policy_search.inner_folds` must lie from 2 to 20; got 1"),
        ({"candidates": 2.5}, "`policy_search.candidates` must be int; got 2.5"),
        ({"probability": 0.0}, "`policy_search.probability`"),
        ({"operations": ["gain", "sharpen"]}, r"some of rotate, .* got \['sharpen'\]"),
        ({"operations": []}, "`policy_search.operations` must be some of .* got none"),
        ({"trials": 3}, "no field `policy_search.trials`"),
    ],
)
def test_refused_searches(values, text):
    with pytest.raises(ConfigError, match=text):
        PolicySearch.from_dict(values)


def test_a_search_never_offers_the_identity_or_more_than_is_sane():
    assert all(0 < known.low < known.top for known in OPERATIONS.values())


def test_policies_are_read_without_torch():
    code = "import sys, dl.policy, dl.config; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
