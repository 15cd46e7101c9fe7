"""Synthetic readings follow the law that says what is true of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import usstats
from reports.synthetic.readings import BILIARY_ATRESIA, TORSION, ReaderGroup


def test_readings_fit_their_table():
    readings = TORSION.draw(seed=1)
    assert not readings.duplicated(["reader", "case", "condition"]).any()
    assert readings["rating"].between(0, 100).all()
    assert len(readings) == 8 * 160 * 2
    assert readings.drop_duplicates(["case", "truth"])["case"].is_unique


def test_the_same_seed_draws_the_same_study():
    pd.testing.assert_frame_equal(TORSION.draw(seed=5), TORSION.draw(seed=5))
    assert not TORSION.draw(seed=5)["rating"].equals(TORSION.draw(seed=6)["rating"])


def test_half_of_the_readers_begin_with_the_network():
    readings = TORSION.draw(seed=1)
    first = readings[readings["session"] == 1].drop_duplicates("reader")["condition"]
    assert first.value_counts().to_dict() == {"unaided": 4, "aided": 4}


@pytest.mark.parametrize("law", [TORSION, BILIARY_ATRESIA], ids=["torsion", "biliary atresia"])
def test_aucs_of_many_readers_and_cases_are_the_true_ones(law):
    groups = {name: replace(group, size=40) for name, group in law.groups.items()}
    large = replace(law, n_event=1000, n_nonevent=1000, groups=groups)
    readings = large.draw(seed=3)
    truth = large.true_auc().set_index("experience")
    each = readings.groupby(["experience", "condition", "reader"])[["truth", "rating"]].apply(
        lambda part: usstats.auc(part["truth"], part["rating"]).estimate
    )
    found = each.groupby(level=["experience", "condition"]).mean()
    for (experience, condition), auc in found.items():
        assert auc == pytest.approx(truth.loc[experience, condition], abs=0.02)
    network = readings.drop_duplicates("case")
    assert usstats.auc(network["truth"], network["network"]).estimate == pytest.approx(
        law.network_auc, abs=0.015
    )


def test_a_network_nobody_trusts_changes_nothing():
    groups = {"expert": ReaderGroup(size=3, auc=0.85, trust=0.0)}
    law = replace(TORSION, groups=groups, trust_sd=0.0)
    truth = law.true_auc().set_index("experience")
    assert truth["difference"].abs().max() < 1e-12


def test_full_trust_makes_every_reader_the_network():
    groups = {"junior": ReaderGroup(size=3, auc=0.7, trust=1.0)}
    law = replace(TORSION, groups=groups, trust_sd=0.0)
    assert law.true_auc().set_index("experience").loc["junior", "aided"] == pytest.approx(0.92)
    readings = law.draw(seed=2)
    aided = readings[readings["condition"] == "aided"]
    ranks = aided.groupby("reader")[["rating", "network"]].apply(
        lambda part: np.corrcoef(part["rating"].rank(), part["network"].rank())[0, 1]
    )
    assert (ranks > 0.999).all()
