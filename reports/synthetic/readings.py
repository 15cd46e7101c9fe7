"""Readings of a reader study drawn from a law whose true AUCs are known.

What reader j makes of case k is normal given the truth t: mu_j t + c_k + e_jk, with c_k what
everybody sees in that case. The network sees mu_AI t + a_k, and a_k agrees with c_k. An aided
reader averages his own impression with the network's, giving it the weight he trusts it with:
still normal, so that every true AUC is Phi(separation / (sqrt(2) sd)), of each reader and, by
integration over the population he was drawn from, of readers like him.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit, ndtr, ndtri

__all__ = ["BILIARY_ATRESIA", "TORSION", "ReaderGroup", "ReaderLaw"]

Float = np.float64

CONDITIONS = ("unaided", "aided")
WASHOUT_DAYS = 28


@dataclass(frozen=True, kw_only=True)
class ReaderGroup:
    """Readers of one level of experience.

    Attributes
    ----------
    size : int
    auc : float
        Of the group's median reader, unaided.
    trust : float
        Mean weight given to the network's impression when it is shown.
    seconds : float
        Median reading time without the network.
    quicker : float
        Factor on the reading time with it.
    """

    size: int
    auc: float
    trust: float = 0.0
    seconds: float = 40.0
    quicker: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ReaderLaw:
    """A population of readers, cases and one network.

    Attributes
    ----------
    n_event, n_nonevent : int
        Cases with and without the disease.
    groups : mapping
        Experience -> ReaderGroup.
    network_auc : float
    shared : float
        Share of a reader's variance that all readers have in common.
    agreement : float
        Correlation of the network's error with that common part.
    memory : float
        Correlation of a reader's own error when he reads a case again.
    reader_sd, trust_sd : float
        Spread of readers within a group.
    """

    n_event: int
    n_nonevent: int
    groups: Mapping[str, ReaderGroup]
    network_auc: float
    shared: float = 0.5
    agreement: float = 0.5
    memory: float = 0.5
    reader_sd: float = 0.15
    trust_sd: float = 0.08

    def draw(self, *, seed: int, aided: bool = True) -> pd.DataFrame:
        """Draw one study.

        Parameters
        ----------
        seed : int
        aided : bool
            Whether every case is read a second time with the network, in counterbalanced order.

        Returns
        -------
        DataFrame
            Columns of readings.csv (reader, case, condition, rating 0-100, experience,
            reading_time in s, order, session), and truth, network (its score 0-1), washout (days).
        """
        rng = np.random.default_rng(seed)
        truth = np.repeat([1, 0], [self.n_event, self.n_nonevent])
        common = np.sqrt(self.shared) * rng.normal(size=len(truth))
        own = rng.normal(size=len(truth))
        seen = self.agreement * common / np.sqrt(self.shared)
        network = self._separation(self.network_auc) * truth
        network = network + seen + np.sqrt(1 - self.agreement**2) * own
        cases = pd.DataFrame({"case": _labels("C", len(truth)), "truth": truth})
        cases["network"] = ndtr(network - self._separation(self.network_auc) / 2).round(4)
        return self._read(rng, cases, network, common, aided=aided)

    def read(
        self, cases: pd.DataFrame, *, common: NDArray[Float], seed: int, aided: bool = True
    ) -> pd.DataFrame:
        """Let these readers read cases that exist, and see what a network said of them.

        Parameters
        ----------
        cases : DataFrame
            case, truth (0/1) and network (its probability).
        common : (n,) float
            What everybody sees in a case beyond its truth; standard normal.
        seed : int
        aided : bool

        Returns
        -------
        DataFrame
            As of `draw`. An aided reader weighs the network's logit after it was brought to his
            own scale: mean 0 without the disease, and a standard deviation of 1.
        """
        truth, score = cases["truth"].to_numpy(), logit(np.clip(cases["network"], 1e-6, 1 - 1e-6))
        means = np.array([score[truth == level].mean() for level in (0, 1)])
        network = (score - means[0]) / (score - means[truth]).std()
        shared = np.sqrt(self.shared) * common
        return self._read(np.random.default_rng(seed), cases, network, shared, aided=aided)

    def true_auc(self) -> pd.DataFrame:
        """The true AUCs of readers like these: experience, unaided, aided, difference.

        A last row `all` averages over the readers of the study's composition.
        """
        rows = [
            {"experience": name, "n_reader": group.size} | self._expected(group)
            for name, group in self.groups.items()
        ]
        table = pd.DataFrame(rows)
        weights = table["n_reader"] / table["n_reader"].sum()
        mean = {c: float(weights @ table[c]) for c in CONDITIONS}
        everyone = {"experience": "all", "n_reader": int(table["n_reader"].sum())} | mean
        table = pd.concat([table, pd.DataFrame([everyone])], ignore_index=True)
        return table.assign(difference=table["aided"] - table["unaided"])

    def _expected(self, group: ReaderGroup) -> dict[str, float]:
        """Mean of the AUC over the group's normal spread of skill and trust."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        weights = weights / weights.sum()
        skill = self._separation(group.auc) + self.reader_sd * nodes
        trust = np.clip(group.trust + self.trust_sd * nodes, 0, 1)
        unaided = float(weights @ self._auc(skill, np.zeros_like(skill)))
        aided = float(weights @ self._auc(skill[:, None], trust[None, :]) @ weights)
        return {"unaided": unaided, "aided": aided}

    def _auc(self, skill: NDArray[Float], trust: NDArray[Float]) -> NDArray[Float]:
        separation = (1 - trust) * skill + trust * self._separation(self.network_auc)
        covariance = self.agreement * np.sqrt(self.shared)
        variance = (1 - trust) ** 2 + trust**2 + 2 * trust * (1 - trust) * covariance
        return np.asarray(ndtr(separation / np.sqrt(2 * variance)))

    @staticmethod
    def _separation(auc: float) -> float:
        return float(np.sqrt(2) * ndtri(auc))

    def _read(
        self,
        rng: np.random.Generator,
        cases: pd.DataFrame,
        network: NDArray[Float],
        common: NDArray[Float],
        *,
        aided: bool,
    ) -> pd.DataFrame:
        parts = [
            self._readings(rng, cases, network, common, reader, group, aided=aided)
            for reader, group in enumerate(
                name for name, g in self.groups.items() for _ in range(g.size)
            )
        ]
        return pd.concat(parts, ignore_index=True)

    def _readings(
        self,
        rng: np.random.Generator,
        cases: pd.DataFrame,
        network: NDArray[Float],
        common: NDArray[Float],
        reader: int,
        experience: str,
        *,
        aided: bool,
    ) -> pd.DataFrame:
        group, n = self.groups[experience], len(cases)
        skill = self._separation(group.auc) + self.reader_sd * rng.normal()
        trust = float(np.clip(group.trust + self.trust_sd * rng.normal(), 0, 1))
        strict, hurry = 0.15 * rng.normal(), 0.2 * rng.normal()
        errors = rng.normal(size=(2, n))
        errors[1] = self.memory * errors[0] + np.sqrt(1 - self.memory**2) * errors[1]
        parts = []
        for i, condition in enumerate(CONDITIONS[: 1 + aided]):
            weight = trust if i else 0.0
            own = skill * cases["truth"] + common + np.sqrt(1 - self.shared) * errors[i]
            impression = (1 - weight) * own + weight * network - skill / 2 - strict
            pace = np.log(group.seconds * (group.quicker if i else 1.0)) + hurry
            parts.append(
                cases.assign(
                    reader=f"R{reader + 1:02d}",
                    condition=condition,
                    rating=np.round(100 * ndtr(impression)).astype(int),
                    experience=experience,
                    reading_time=np.exp(pace + 0.35 * rng.normal(size=n)).round(1),
                    session=1 + (i + reader) % 2 if aided else 1,
                    order=rng.permutation(n) + 1,
                    washout=WASHOUT_DAYS,
                )
            )
        return pd.concat(parts, ignore_index=True)


def _labels(prefix: str, n: int) -> list[str]:
    return [f"{prefix}{i + 1:03d}" for i in range(n)]


#: Four experts and four juniors read 160 boys with acute scrotum, without and with the network.
TORSION = ReaderLaw(
    n_event=60,
    n_nonevent=100,
    network_auc=0.92,
    groups=MappingProxyType(
        {
            "expert": ReaderGroup(size=4, auc=0.90, trust=0.25, seconds=35, quicker=0.95),
            "junior": ReaderGroup(size=4, auc=0.78, trust=0.50, seconds=55, quicker=0.75),
        }
    ),
)

#: Fourteen radiologists and an app on 180 infants with jaundice.
BILIARY_ATRESIA = ReaderLaw(
    n_event=80,
    n_nonevent=100,
    network_auc=0.93,
    reader_sd=0.30,
    groups=MappingProxyType(
        {
            "expert": ReaderGroup(size=5, auc=0.92),
            "general": ReaderGroup(size=9, auc=0.84),
        }
    ),
)
