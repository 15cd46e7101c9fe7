"""Tables of several models become one that is as honest as they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit, softmax

from dl.crossval import cross_validate
from dl.ensemble import ensemble_members, ensemble_predictions, uncertainty_frame
from dl.predict import predict, predict_in_sample, predict_members
from dl.predictions import COLUMNS
from dl.uncertainty import expected_entropy, mutual_information, predictive_entropy
from tests.dl.worlds import tiny_config, write_world
from usstats import patient_probability
from usstats.errors import ArgumentError, LeakageError, PairingError, SchemaError

RNG = np.random.default_rng(6)


@pytest.fixture(scope="module")
def second(finished, tmp_path_factory) -> pd.DataFrame:
    """Another start, the same folds."""
    from dl.run_folder import open_run

    folder = tmp_path_factory.mktemp("second") / "run"
    splits = open_run(finished.run_dir).folds
    cross_validate(
        finished.study, tiny_config(seed=8, name="other"), run_dir=folder, splits=splits, n_jobs=1
    )
    return folder


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("x") / "images", n=6, seed=2, prefix="X")


def of_classes(seed: int, *, n: int = 5) -> pd.DataFrame:
    z = np.random.default_rng(seed).normal(0, 2, (n, 3))
    p = softmax(z, axis=1)
    rows = pd.DataFrame({"patient_id": [f"p{i}" for i in range(n)], "model": f"m{seed}"})
    table = rows.loc[rows.index.repeat(3)].reset_index(drop=True)
    return table.assign(
        image_id=table["patient_id"],
        fold=pd.array([0] * 3 * n, dtype="Int64"),
        role="out_of_fold",
        **{"class": ["a", "b", "c"] * n},
        logit=logit(p).ravel(),
        probability=p.ravel(),
        probability_calibrated=softmax(z / 2, axis=1).ravel(),
        n_images=1,
        model_hash=str(seed),
    )


def test_runs_become_one_table_that_is_still_out_of_fold(finished, second):
    table = ensemble_predictions([finished.run_dir, second], name="both")
    one, two = finished.table, ensemble_members([finished.table, second]).query("member == 1")
    assert tuple(table.columns) == COLUMNS
    mean = (one["logit"].to_numpy() + two["logit"].to_numpy()) / 2
    np.testing.assert_allclose(table["logit"], mean, atol=1e-12)
    np.testing.assert_allclose(table["probability"], expit(mean), rtol=1e-12)
    odds = [logit(t["probability_calibrated"].to_numpy()) for t in (one, two)]
    np.testing.assert_allclose(table["probability_calibrated"], expit(np.mean(odds, axis=0)))
    assert (table["fold"] == one["fold"]).all()
    assert set(table["role"]) == {"out_of_fold"}
    assert set(table["model"]) == {"both"}
    assert table.groupby("fold")["model_hash"].nunique().eq(1).all()
    assert table["model_hash"].nunique() == 3
    assert table.attrs == {"rule": "mean log-odds over the models", "members": ["network", "other"]}
    assert len(patient_probability(table)) == 24


def test_files_folders_and_tables_are_the_same(finished, second):
    a = ensemble_predictions([finished.run_dir, second])
    b = ensemble_predictions([finished.table, second / "predictions.csv"])
    pd.testing.assert_frame_equal(a.drop(columns="fold"), b.drop(columns="fold"), rtol=1e-12)


def test_the_order_of_rows_does_not_matter_and_that_of_models_only_to_the_hash(finished, second):
    table = ensemble_members([finished.table, second]).query("member == 1").drop(columns="member")
    shuffled = table.sample(frac=1, random_state=1)
    a = ensemble_predictions([finished.table, table])
    pd.testing.assert_frame_equal(ensemble_predictions([finished.table, shuffled]), a)
    b = ensemble_predictions([table, finished.table])
    np.testing.assert_allclose(a["logit"], b["logit"], rtol=1e-12)
    assert (a["model_hash"] != b["model_hash"]).all()


def test_an_ensemble_of_one_model_twice_is_the_model():
    one = of_classes(1)
    table = ensemble_predictions([one, one])
    for column in ("logit", "probability", "probability_calibrated"):
        np.testing.assert_allclose(table[column], one[column], rtol=1e-9)


def test_classes_have_the_one_softmax_of_the_mean_log_probability():
    tables = [of_classes(seed) for seed in (1, 2, 3)]
    found = ensemble_predictions(tables)
    log_p = np.mean([np.log(t["probability"].to_numpy().reshape(-1, 3)) for t in tables], axis=0)
    expected = softmax(log_p, axis=1)
    np.testing.assert_allclose(found["probability"].to_numpy().reshape(-1, 3), expected)
    np.testing.assert_allclose(found["logit"], logit(expected).ravel(), rtol=1e-9)
    calibrated = found["probability_calibrated"].to_numpy().reshape(-1, 3)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)


def test_other_folds_patients_roles_and_in_sample_rows_are_refused(finished, stranger):
    table = finished.table
    with pytest.raises(PairingError, match=r"`sources\[1\]` held 36 of 36 rows out in other folds"):
        ensemble_predictions([table, table.assign(fold=(table["fold"] + 1) % 3)])
    with pytest.raises(PairingError, match=r"`sources\[1\]` and `sources\[0\]` differ in 1 rows"):
        ensemble_predictions([table, table.iloc[:-1]])
    with pytest.raises(LeakageError, match="roles external, out_of_fold; an ensemble is made of"):
        ensemble_predictions([table, predict(finished.run_dir, stranger)])
    inside = predict_in_sample(finished.run_dir, finished.study)
    with pytest.raises(LeakageError, match="hold the roles in_sample"):
        ensemble_predictions([inside, inside])


def test_what_is_no_ensemble_is_refused(finished, tmp_path):
    with pytest.raises(ArgumentError, match="two or more predictions tables"):
        ensemble_predictions([finished.table])
    with pytest.raises(ArgumentError, match="two or more predictions tables"):
        ensemble_members(str(finished.run_dir))
    with pytest.raises(SchemaError, match=r"`sources\[1\]` lacks the column\(s\) logit"):
        ensemble_predictions([finished.table, finished.table.drop(columns="logit")])
    twice = pd.concat([finished.table, finished.table.iloc[:1]])
    with pytest.raises(SchemaError, match=r"`sources\[0\]` has 1 repeated images"):
        ensemble_predictions([twice, finished.table])
    with pytest.raises(SchemaError, match=r"predictions.csv is absent; is the run finished"):
        ensemble_predictions([finished.table, tmp_path])


# --- members and their disagreement ----------------------------------------------------------


def test_the_members_of_a_run_average_to_its_prediction(finished, stranger):
    members, table = (f(finished.run_dir, stranger) for f in (predict_members, predict))
    assert tuple(members.columns) == (*COLUMNS, "member")
    assert members["member"].value_counts().to_dict() == {0: 9, 1: 9, 2: 9}
    mean = members.groupby("image_id", sort=False)["logit"].mean()
    np.testing.assert_allclose(mean, table["logit"], rtol=1e-9)
    assert members.groupby("member")["model_hash"].nunique().eq(1).all()
    assert members["model_hash"].nunique() == 3
    joined = ensemble_predictions(members, name=table["model"].iloc[0])
    np.testing.assert_allclose(joined["logit"], table["logit"], rtol=1e-9)
    np.testing.assert_allclose(
        joined["probability_calibrated"], table["probability_calibrated"], rtol=1e-6
    )  # one temperature for all


def test_uncertainty_is_that_of_the_members(finished, stranger):
    members = predict_members(finished.run_dir, stranger)
    found = uncertainty_frame(members)
    logits = members.pivot_table(index="member", columns="image_id", values="logit", sort=False)
    np.testing.assert_allclose(found["predictive_entropy"], predictive_entropy(logits))
    np.testing.assert_allclose(found["expected_entropy"], expected_entropy(logits))
    np.testing.assert_allclose(found["mutual_information"], mutual_information(logits))
    total = found["expected_entropy"] + found["mutual_information"]
    np.testing.assert_allclose(total, found["predictive_entropy"])
    assert found["n_members"].eq(3).all()
    assert len(found) == len(stranger)


def test_uncertainty_of_classes_knows_the_softmax():
    tables = [of_classes(seed) for seed in (1, 2)]
    found = uncertainty_frame(ensemble_members(tables))
    p = np.stack([t["probability"].to_numpy().reshape(-1, 3) for t in tables])
    mean = p.mean(axis=0)
    np.testing.assert_allclose(found["predictive_entropy"], -(mean * np.log(mean)).sum(axis=1))
    agreeing = uncertainty_frame(ensemble_members([tables[0], tables[0]]))
    np.testing.assert_allclose(agreeing["mutual_information"], 0, atol=1e-12)


def test_members_of_other_rows_have_no_uncertainty(finished):
    members = ensemble_members([finished.table, finished.table])
    with pytest.raises(SchemaError, match="the same images in the same order for every member"):
        uncertainty_frame(members.iloc[:-1])
    with pytest.raises(SchemaError, match=r"`members` lacks the column\(s\) member"):
        uncertainty_frame(finished.table)
