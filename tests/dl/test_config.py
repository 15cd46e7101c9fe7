"""A configuration goes to JSON and back, and nothing impossible gets in."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dl.config import AugmentConfig, TrainConfig
from dl.errors import ConfigError
from usstats.errors import SchemaError


@given(
    st.fixed_dictionaries(
        {"seed": st.integers(0, 2**63 - 1)},
        optional={
            "lr": st.floats(0, 10),
            "epochs": st.integers(1, 10_000),
            "weights": st.sampled_from([None, "imagenet", "a/b.safetensors"]),
            "name": st.text(min_size=1),
            "frozen_margins": st.lists(st.floats(0, 5) | st.integers(0, 5), min_size=1).map(tuple),
            "augment": st.builds(AugmentConfig, flip=st.floats(0, 1), rotate=st.integers(0, 180)),
        },
    )
)
def test_json_round_trip(values):
    config = TrainConfig(**values)
    again = TrainConfig.from_json(config.to_json())
    assert again == config
    assert again.digest == config.digest
    assert TrainConfig.from_dict(config.to_dict()) == config
    assert config.differences(again) == []


def test_equal_configurations_have_equal_digests():
    whole = TrainConfig(seed=1, lr=1, frozen_margins=(0, 1), frozen_penalties=(3, 10))
    decimal = TrainConfig(seed=1, lr=1.0, frozen_margins=(0.0, 1.0), frozen_penalties=(3.0, 10.0))
    assert whole == decimal
    assert whole.digest == decimal.digest
    assert whole.digest != decimal.changed(lr=2.0).digest


def test_differences_are_named():
    one = TrainConfig(seed=1)
    two = one.changed(lr=0.1, augment=AugmentConfig(flip=0.0))
    assert one.differences(two) == ["augment", "lr"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0.1}, "no field `learning_rate`; check the spelling"),
        ({"augment": {"flips": 1}}, "no field `augment.flips`"),
        ({"augment": {"flip": 1.5}}, "`augment.flip` must lie from 0 to 1; got 1.5"),
        ({"augment": {"rotate": "10"}}, "`augment.rotate` must be float; got '10'"),
        ({"augment": 3}, "`augment`"),
        ({"epochs": 0}, "`epochs` must lie from 1 to 10000; got 0"),
        ({"epochs": 2.0}, "`epochs` must be int; got 2.0"),
        ({"epochs": True}, "`epochs` must be int; got True"),
        ({"lr": "fast"}, "`lr` must be float; got 'fast'"),
        ({"lr": -1}, "`lr` must lie from"),
        ({"folds": 1}, "`folds` must lie from 2"),
        ({"route": "magic"}, "`route` must be one of 'finetune', 'frozen'; got 'magic'"),
        ({"region": "half"}, "`region` must be one of"),
        ({"loss": "hinge"}, "`loss` must be one of 'cross_entropy', 'focal'; got 'hinge'"),
        ({"frozen_margins": []}, "`frozen_margins`"),
        ({"frozen_margins": [-0.1]}, "`frozen_margins` must be 0 or more"),
        ({"frozen_penalties": [0]}, "`frozen_penalties` above 0"),
        ({"optimiser": "lion"}, "`optimiser` must be one of 'adamw', 'sgd', 'adam'; got 'lion'"),
        ({"schedule": "poly"}, "`schedule` must be one of 'cosine', 'constant', 'one_cycle', 's"),
        ({"momentum": 0.5}, "`momentum` belongs to optimiser=\"sgd\"; got optimiser='adamw'"),
        ({"optimiser": "sgd", "momentum": 1}, "`momentum` must lie from 0 to 0.9999"),
        ({"step_epochs": 3}, '`step_epochs` belongs to schedule="step"'),
        ({"step_factor": 0.5}, '`step_factor` belongs to schedule="step"'),
        ({"schedule": "step", "step_factor": 0}, "`step_factor` must lie from 1e-06 to 1"),
        ({"patience": -1}, "`patience` must lie from 0"),
        ({"ema": 1}, "`ema` must lie from 0 to 0.999999; got 1.0"),
        ({"precision": "half"}, "`precision` must be one of 'float32', 'bfloat16', 'float16'"),
        ({"precision": "float16"}, 'precision="float16" needs device="cuda"'),
        ({"device": "gpu"}, "`device` must be one of 'cpu', 'cuda', 'auto'; got 'gpu'"),
        ({"task_weights": "equal"}, "`task_weights` must be one of 'fixed', 'uncertainty'"),
        ({"calibration": "beta"}, "`calibration` must be one of 'temperature', 'platt'"),
        ({"tta": ["rotate", "rotate"]}, "`tta` must be different ones of 'rotate', 'scale', 'g"),
        ({"tta": ["mirror"]}, "got ['mirror']"),
        ({"tta": "rotate"}, "`tta` must be"),
        ({"route": "frozen", "ema": 0.9, "patience": 2}, "`patience`, `ema` would do nothing"),
        ({"warmup_epochs": 11}, "`warmup_epochs` must lie from 0 to 10"),
        ({"name": ""}, "must not be empty"),
        ({"weights": 3}, "`weights` must be"),
        ({"seed": -1}, "`seed` must lie from 0"),
        ({"seed": "1"}, "`seed` must be int"),
    ],
)
def test_what_is_impossible_is_refused(values, message):
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_json(json.dumps({"seed": 1} | values))
    assert message in str(caught.value)
    assert isinstance(caught.value, SchemaError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "must be an object; got list"),
        ("{}", "needs a `seed`"),
        ('{"seed": 1, "lr": NaN}', "`lr` must be float; got nan"),
        ('{"seed": 1, "lr": Infinity}', "`lr` must be float; got inf"),
        ('{"seed": 1, "frozen_margins": [NaN]}', "`frozen_margins`"),
        ('{"seed": 1, "lr": 0.1, "lr": 0.2}', "`lr` stands twice"),
    ],
)
def test_what_is_no_configuration_is_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_json(text)
    assert message in str(caught.value)


def test_options_of_training_survive_json_and_change_nothing_by_default():
    options = {
        "optimiser": "sgd",
        "momentum": 0.8,
        "schedule": "step",
        "step_epochs": 4,
        "patience": 3,
        "ema": 0.99,
        "precision": "float16",
        "device": "auto",
        "task_weights": "uncertainty",
        "policy": ((("rotate", 0.5, 4),), (("gain", 0.5, 0.1), ("blur", 1, 1))),
        "tta": ("rotate", "gain"),
        "calibration": "isotonic",
    }
    config = TrainConfig(seed=1, **options)
    assert TrainConfig.from_json(config.to_json()) == config
    assert hash(config) == hash(TrainConfig.from_json(config.to_json()))
    assert set(config.differences(TrainConfig(seed=1))) == set(options)
    plain = TrainConfig(seed=1)
    assert (plain.optimiser, plain.schedule, plain.precision) == ("adamw", "cosine", "float32")
    assert (plain.device, plain.ema, plain.patience, plain.tta) == ("cpu", 0.0, 0, ())
    assert (plain.policy, plain.task_weights) == (None, "fixed")


def test_margins_follow_route_and_region():
    config = TrainConfig(seed=1, roi_margin=0.4, frozen_margins=(0.0, 0.2))
    assert config.margins == (0.4,)
    assert config.changed(route="frozen").margins == (0.0, 0.2)
    assert config.changed(route="frozen", region="whole").margins == (0.0,)
    assert (config.in_channels, config.changed(colour="rgb").in_channels) == (1, 3)


def test_the_frozen_route_keeps_what_it_reads_and_forgets_what_only_training_reads():
    config = TrainConfig(
        seed=1, epochs=7, ema=0.5, loss="focal", tta=("gain",), calibration="platt", folds=4
    )
    frozen = config.frozen()
    assert (frozen.route, frozen.ema, frozen.epochs, frozen.loss) == (
        "frozen", 0.0, 10, "cross_entropy",
    )  # fmt: skip
    assert (frozen.tta, frozen.calibration, frozen.folds) == (("gain",), "platt", 4)
    assert frozen.architecture == config.architecture
    assert frozen == config.changed(epochs=3).frozen() == frozen.frozen()


def test_values_become_what_json_would_give_back(tmp_path):
    given = TrainConfig(
        seed=np.int64(3),
        folds=np.int32(4),
        lr=np.float32(0.5),
        classes=["a", "b"],
        tta=["gain"],
        weights=tmp_path / "start.safetensors",
    )
    assert (given.classes, given.tta) == (("a", "b"), ("gain",))
    assert given.weights == str(tmp_path / "start.safetensors")
    assert TrainConfig.from_json(given.to_json()) == given


def test_a_huge_learning_rate_is_left_to_the_loss_to_refuse():
    assert TrainConfig(seed=1, lr=1e6, head_lr=1e6).lr == 1e6
