"""Networks of a study that answer as one: the mean of their log-odds, as `dl.ensemble` has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from dl.onnx_network import OnnxNetwork, OnnxPrediction
from dl.predictions import ensemble_hash

__all__ = ["NetworkEnsemble", "mean_probability"]

Floats = NDArray[np.float64]
_SMALLEST = 1e-15


@dataclass(frozen=True, kw_only=True)
class NetworkEnsemble:
    """Two or more networks of the same folds.

    Attributes
    ----------
    name : str
    networks : tuple of OnnxNetwork
    """

    name: str
    networks: tuple[OnnxNetwork, ...]

    @property
    def looks_at_region(self) -> bool:
        """Whether one of them adds its margin around a box."""
        return any(network.preparation.region == "roi" for network in self.networks)

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of them together."""
        each = [network.facts for network in self.networks]
        if len(each) == 1:
            return each[0]
        return {
            "model": self.name,
            "architecture": " and ".join(dict.fromkeys(str(f["architecture"]) for f in each)),
            "rule": f"mean log-odds of {len(each)} networks, each the {each[0]['rule']}",
            "model_hash": ensemble_hash([str(f["model_hash"]) for f in each]),
        }

    def predict(self, image: Any, *, roi: Any = None) -> OnnxPrediction:
        """Their mean; member k is the mean of those that left fold k out.

        The map is that of the network named first.
        """
        answers = [network.predict(image, roi=roi) for network in self.networks]
        if len(answers) == 1:
            return answers[0]
        mean = np.mean([answer.logit for answer in answers], axis=0)
        return replace(
            answers[0],
            logit=mean,
            probability=expit(mean),
            probability_calibrated=mean_probability([a.probability_calibrated for a in answers]),
            members=mean_probability([answer.members for answer in answers]),
            model=self.name,
            model_hash=self.facts["model_hash"],
        )


def mean_probability(probabilities: Sequence[Floats]) -> Floats:
    """Probability of the mean log-odds.

    Examples
    --------
    >>> mean_probability([np.array([0.9]), np.array([0.1])])
    array([0.5])
    """
    if len(probabilities) == 1:
        return probabilities[0]
    odds = [logit(np.clip(p, _SMALLEST, 1 - _SMALLEST)) for p in probabilities]
    return np.asarray(expit(np.mean(odds, axis=0)))
