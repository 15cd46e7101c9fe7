"""Hormones, volume and blood flow of azoospermic men, drawn from a law that is known exactly.

Given the outcome, the logarithms of the covariates and the latent severity that the pictures show
are jointly normal with one covariance matrix. Bayes' rule then makes the true risk exactly
logistic in these coordinates, for all of them and for any subset (Efron, JASA 1975;70:892-898),
and the best possible AUC is Phi(delta / sqrt(2)) with delta the Mahalanobis distance of the two
means. Every estimate of the software has a truth to be compared with.

Group medians stay near published ones, moved towards each other so that the two groups overlap:
FSH, LH and testosterone of 127 obstructive and 284 non-obstructive cases (PMID 36029050) and the
FSH limit of 7.6 IU/L (Schoor et al., J Urol 2002;167:197-200); inhibin B (Pierik et al., J Clin
Endocrinol Metab 1998;83:3110-3114); volume (Boeri et al., Asian J Androl 2021;23:501-509);
intratesticular velocities (Middleton et al., AJR 1989;153:293-297) and their resistive index, 0.54
with normal and 0.68 with pathological sperm counts (Pinggera et al., BJU Int 2008;101:722-726).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from usstats.errors import ArgumentError

__all__ = ["CENTRES", "LAW", "SEVERITY", "Law", "Marker", "draw_covariates", "hide_values"]

SEVERITY = "severity"
CENTRES: Mapping[str, float] = MappingProxyType({"north": 0.50, "south": 0.30, "west": 0.20})


@dataclass(frozen=True, kw_only=True)
class Marker:
    """One coordinate: its median in each outcome group, its spread, its written precision."""

    name: str
    oa: float
    noa: float
    sd: float
    decimals: int = 1
    log: bool = True

    def location(self, outcome: int) -> float:
        """Mean of the coordinate in an outcome group."""
        median = self.noa if outcome else self.oa
        return float(np.log(median)) if self.log else median

    def measured(self, coordinate: NDArray[np.float64]) -> NDArray[np.float64]:
        """The value a laboratory would report."""
        value = np.exp(coordinate) if self.log else coordinate
        return np.round(value, self.decimals)


MARKERS = (
    Marker(name=SEVERITY, oa=0.0, noa=1.65, sd=1.0, decimals=6, log=False),
    Marker(name="fsh", oa=5.0, noa=11.5, sd=0.72),
    Marker(name="lh", oa=4.6, noa=6.8, sd=0.48),
    Marker(name="testosterone", oa=14.6, noa=12.4, sd=0.36),
    Marker(name="inhibin_b", oa=130.0, noa=78.0, sd=0.55, decimals=0),
    Marker(name="testicular_volume", oa=16.0, noa=12.5, sd=0.28),
    Marker(name="psv", oa=9.6, noa=8.7, sd=0.26),
    Marker(name="edv", oa=3.9, noa=3.05, sd=0.30, decimals=2),
)

#: Correlations inside an outcome group; pairs not named are independent.
CORRELATIONS: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        (SEVERITY, "fsh"): 0.25,
        (SEVERITY, "lh"): 0.12,
        (SEVERITY, "inhibin_b"): -0.25,
        (SEVERITY, "testicular_volume"): -0.20,
        (SEVERITY, "edv"): -0.10,
        ("fsh", "lh"): 0.60,
        ("fsh", "testosterone"): -0.15,
        ("fsh", "inhibin_b"): -0.60,
        ("fsh", "testicular_volume"): -0.35,
        ("lh", "testosterone"): -0.20,
        ("lh", "inhibin_b"): -0.35,
        ("lh", "testicular_volume"): -0.20,
        ("testosterone", "testicular_volume"): 0.15,
        ("inhibin_b", "testicular_volume"): 0.35,
        ("testicular_volume", "psv"): 0.15,
        ("testicular_volume", "edv"): 0.20,
        ("psv", "edv"): 0.75,
    }
)


@dataclass(frozen=True, kw_only=True)
class Law:
    """Two normal laws with one covariance, and the share of events.

    Examples
    --------
    >>> round(LAW.auc(), 2), round(LAW.auc([SEVERITY]), 2), round(LAW.auc(["fsh"]), 2)
    (0.92, 0.88, 0.79)
    """

    prevalence: float = 0.65
    markers: tuple[Marker, ...] = MARKERS
    correlations: Mapping[tuple[str, str], float] = field(default_factory=lambda: CORRELATIONS)

    @property
    def names(self) -> list[str]:
        """The coordinates in their order."""
        return [marker.name for marker in self.markers]

    def mean(self, outcome: int) -> NDArray[np.float64]:
        """(k,) mean of the coordinates in an outcome group."""
        return np.array([marker.location(outcome) for marker in self.markers])

    def covariance(self) -> NDArray[np.float64]:
        """(k, k) covariance of the coordinates inside an outcome group."""
        sd = np.array([marker.sd for marker in self.markers])
        correlation = np.eye(len(sd))
        for (first, second), value in self.correlations.items():
            i, j = self.names.index(first), self.names.index(second)
            correlation[i, j] = correlation[j, i] = value
        return correlation * np.outer(sd, sd)

    def weights(self, names: Sequence[str] | None = None) -> tuple[float, NDArray[np.float64]]:
        """Intercept and slopes of the true risk's logit, given the named coordinates only."""
        keep = self._positions(names)
        mean_0, mean_1 = self.mean(0)[keep], self.mean(1)[keep]
        slopes = np.linalg.solve(self.covariance()[np.ix_(keep, keep)], mean_1 - mean_0)
        middle = (mean_0 + mean_1) / 2
        return float(logit(self.prevalence) - slopes @ middle), slopes

    def risk(
        self, coordinates: pd.DataFrame, names: Sequence[str] | None = None
    ) -> NDArray[np.float64]:
        """(n,) true probability of the event given the named coordinates."""
        chosen = list(names) if names is not None else self.names
        intercept, slopes = self.weights(chosen)
        return expit(intercept + coordinates[chosen].to_numpy(dtype=float) @ slopes)

    def auc(self, names: Sequence[str] | None = None) -> float:
        """The best AUC anybody can reach with the named coordinates."""
        keep = self._positions(names)
        apart = (self.mean(1) - self.mean(0))[keep]
        squared = apart @ np.linalg.solve(self.covariance()[np.ix_(keep, keep)], apart)
        return float(norm.cdf(np.sqrt(squared / 2)))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], pd.DataFrame]:
        """Outcomes (n,) of 0/1 and a frame of coordinates."""
        outcome = (rng.random(n) < self.prevalence).astype(np.int64)
        root = np.linalg.cholesky(self.covariance())
        means = np.where(outcome[:, None] == 1, self.mean(1), self.mean(0))
        coordinates = means + rng.standard_normal((n, len(self.markers))) @ root.T
        return outcome, pd.DataFrame(coordinates, columns=self.names)

    def _positions(self, names: Sequence[str] | None) -> list[int]:
        chosen = list(names) if names is not None else self.names
        unknown = [name for name in chosen if name not in self.names]
        if unknown or not chosen:
            offered = ", ".join(self.names)
            msg = f"`names` must be among {offered}; got {', '.join(unknown) or 'none'}."
            raise ArgumentError(msg)
        return [self.names.index(name) for name in chosen]


LAW = Law()


def draw_covariates(n: int, rng: np.random.Generator, *, law: Law = LAW) -> pd.DataFrame:
    """Patients with everything measured: outcome, centre, age, covariates, severity, true risk.

    Parameters
    ----------
    n
        Number of patients.
    rng
        Source of every draw.
    law
        The law they come from.

    Returns
    -------
    pandas.DataFrame
        One row a patient; `severity` and `true_risk` are what no investigator sees.
    """
    outcome, coordinates = law.draw(n, rng)
    measured = {
        marker.name: marker.measured(coordinates[marker.name].to_numpy())
        for marker in law.markers
        if marker.name != SEVERITY
    }
    patients = pd.DataFrame(
        {
            "outcome": np.where(outcome == 1, "NOA", "OA"),
            "centre": rng.choice(list(CENTRES), size=n, p=list(CENTRES.values())),
            "age": np.clip(np.round(rng.normal(32.5, 5.2, n)), 20, 55).astype(int),
            **measured,
        }
    )
    patients["ri"] = np.round((patients["psv"] - patients["edv"]) / patients["psv"], 2)
    patients[SEVERITY] = coordinates[SEVERITY].to_numpy()
    patients["true_risk"] = law.risk(coordinates)
    return patients


def hide_values(patients: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Leave values out at random given what is observed (MAR): centre, FSH and volume decide.

    Inhibin B is measured where FSH is high and hardly in the western centre; end-diastolic flow
    is lost in small testes, and with it the resistive index.
    """
    shown = patients.copy()
    log_fsh = np.log(patients["fsh"] / 8)
    log_volume = np.log(patients["testicular_volume"] / 13.5)
    centre = patients["centre"]
    chance = {
        "inhibin_b": expit(centre.map({"north": -1.8, "south": -1.0, "west": 0.3}) - 0.9 * log_fsh),
        "edv": expit(centre.map({"north": -2.7, "south": -2.0, "west": -2.3}) - 1.5 * log_volume),
        "testosterone": expit(centre.map({"north": -3.6, "south": -2.9, "west": -3.2})),
    }
    for name, probability in chance.items():
        shown.loc[rng.random(len(shown)) < probability, name] = np.nan
    shown.loc[shown["edv"].isna(), "ri"] = np.nan
    return shown
