"""Several networks that answer as one: as a module, or as tables of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import log_expit, logit
from torch import Tensor, nn

from dl.calibrators import Uncalibrated, class_log_odds
from dl.predictions import COLUMNS, ensemble_hash
from dl.uncertainty import expected_entropy, mutual_information, predictive_entropy
from usstats.errors import ArgumentError, LeakageError, PairingError, SchemaError

__all__ = ["DeepEnsemble", "ensemble_members", "ensemble_predictions", "uncertainty_frame"]

#: How the predictions of several models become one.
RULE = "mean log-odds over the models"
KEYS = ["patient_id", "image_id", "class"]
#: Probabilities of exactly 0 or 1 have no log-odds.
_SMALLEST = 1e-15


class DeepEnsemble(nn.Module):
    """Mean logit of networks trained from different starts or folds (Lakshminarayanan et al. 2017).

    Parameters
    ----------
    networks : iterable of Module
        Each returns logits (N, n_classes), or a tuple that begins with them, of the same inputs.

    Examples
    --------
    >>> ensemble = DeepEnsemble([nn.Linear(2, 1), nn.Linear(2, 1), nn.Linear(2, 1)])
    >>> x = torch.ones(4, 2)
    >>> ensemble(x).shape, ensemble.member_logits(x).shape
    (torch.Size([4, 1]), torch.Size([3, 4, 1]))
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        if not self.networks:
            msg = "`networks` is empty: an ensemble needs at least one network."
            raise ArgumentError(msg)

    def member_logits(self, *inputs: Any, **options: Any) -> Tensor:
        """Every network's logits, (n_networks, N, n_classes), for `dl.uncertainty`."""
        answers = [network(*inputs, **options) for network in self.networks]
        return torch.stack([y[0] if isinstance(y, tuple) else y for y in answers])

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """Mean logits, (N, n_classes)."""
        return self.member_logits(*inputs, **options).mean(dim=0)


def ensemble_members(sources: Sequence[pd.DataFrame | str | Path]) -> pd.DataFrame:
    """Predictions of several models for the same images, below each other.

    Parameters
    ----------
    sources : sequence of DataFrame or path
        Two or more predictions tables, their files, or folders of finished runs: other seeds,
        architectures or regions.

    Returns
    -------
    DataFrame
        The columns of a predictions table and `member`, 0 for the first source; every member's
        rows in the order of the first.

    Raises
    ------
    SchemaError
        A column is absent, or an image stands twice.
    LeakageError
        In-sample rows, or rows of several roles: an ensemble is out of fold only if all of its
        members are.
    PairingError
        Other images, or other folds for out-of-fold rows, than the first source has.
    """
    if isinstance(sources, pd.DataFrame | str | Path) or len(sources) < 2:
        msg = "`sources` must be two or more predictions tables, files or run folders."
        raise ArgumentError(msg)
    tables = [_read(source, f"sources[{i}]") for i, source in enumerate(sources)]
    roles = sorted({role for table in tables for role in table["role"].unique()})
    if len(roles) > 1 or roles == ["in_sample"]:
        msg = (
            f"`sources` hold the roles {', '.join(roles)}; an ensemble is made of out-of-fold "
            "predictions alone, or of external ones alone."
        )
        raise LeakageError(msg)
    first = tables[0]
    aligned = [_aligned(table, first, f"sources[{i}]") for i, table in enumerate(tables)]
    return pd.concat([table.assign(member=i) for i, table in enumerate(aligned)], ignore_index=True)


def ensemble_predictions(
    sources: Sequence[pd.DataFrame | str | Path] | pd.DataFrame, *, name: str = "ensemble"
) -> pd.DataFrame:
    """One predictions table of several models: the mean of their log-odds.

    Parameters
    ----------
    sources : as for `ensemble_members`, or its result, or that of `dl.predict.predict_members`
    name : str
        The column `model`.

    Returns
    -------
    DataFrame
        The columns of a predictions table. Out-of-fold rows stay out of fold, each with its
        fold. `logit` is the mean of the members' log-odds and `probability` its one sigmoid; of
        several classes, the mean of log-probabilities and its one softmax.
        `probability_calibrated` is that of the members' calibrated probabilities, averaged in
        the same way: each was fitted without the patient's own outcome. `model_hash` stands for
        the members' hashes in their order. The attributes `rule` and `members` (names) travel
        with the frame.

    Raises
    ------
    SchemaError, LeakageError, PairingError
        As `ensemble_members`.

    Examples
    --------
    >>> one = pd.DataFrame({"patient_id": ["a"], "image_id": ["a1"], "model": "m", "fold": [0],
    ...     "role": "out_of_fold", "class": "1", "logit": [0.0], "probability": [0.5],
    ...     "probability_calibrated": [0.5], "n_images": 1, "model_hash": "x"})
    >>> two = one.assign(logit=2.0, probability=0.88, probability_calibrated=0.88)
    >>> ensemble_predictions([one, two])["logit"].tolist()
    [1.0]
    """
    table = sources if isinstance(sources, pd.DataFrame) else ensemble_members(sources)
    members = [rows.reset_index(drop=True) for _, rows in table.groupby("member", sort=True)]
    first = members[0]
    own = np.stack([_odds(rows["logit"].to_numpy(float), rows) for rows in members])
    p = np.stack([rows["probability_calibrated"].to_numpy(float) for rows in members])
    clipped = np.clip(p, _SMALLEST, 1 - _SMALLEST)
    calibrated = np.stack([_odds(logit(each), first) for each in clipped])
    odds, probability = _combined(own.mean(axis=0))
    hashes = zip(*(rows["model_hash"].astype(str) for rows in members), strict=True)
    found = first.assign(
        model=name,
        logit=odds.ravel(),
        probability=probability.ravel(),
        probability_calibrated=_combined(calibrated.mean(axis=0))[1].ravel(),
        model_hash=[ensemble_hash(each) for each in hashes],
    )[list(COLUMNS)]
    found.attrs = {"rule": RULE, "members": [str(rows["model"].iloc[0]) for rows in members]}
    return found


def uncertainty_frame(members: pd.DataFrame) -> pd.DataFrame:
    """How uncertain an ensemble is of every image, and how much of that is disagreement.

    Parameters
    ----------
    members : DataFrame
        Of `ensemble_members` or `dl.predict.predict_members`.

    Returns
    -------
    DataFrame
        patient_id, image_id, role, n_members; in nats, of the uncalibrated probabilities:
        predictive_entropy (all there is), expected_entropy (aleatoric: what each member is unsure
        of by itself), mutual_information (epistemic: the rest). One row an image.

    Raises
    ------
    SchemaError
        A column is absent, or members have other rows than the first.

    Examples
    --------
    >>> table = pd.DataFrame({"patient_id": "a", "image_id": "a1", "class": "1", "role": "external",
    ...                       "logit": [3.0, -3.0], "member": [0, 1]})
    >>> uncertainty_frame(table)["mutual_information"].round(3).tolist()
    [0.502]
    """
    _require(members, [*KEYS, "role", "logit", "member"], "members")
    parts = [rows.reset_index(drop=True) for _, rows in members.groupby("member", sort=True)]
    first = parts[0]
    if not all(rows[KEYS].equals(first[KEYS]) for rows in parts):
        msg = "`members` must have the same images in the same order for every member."
        raise SchemaError(msg)
    logits = np.stack([_odds(rows["logit"].to_numpy(float), rows) for rows in parts])
    images = first.drop_duplicates("image_id")
    return pd.DataFrame(
        {
            "patient_id": images["patient_id"].to_numpy(),
            "image_id": images["image_id"].to_numpy(),
            "role": images["role"].to_numpy(),
            "n_members": len(parts),
            "predictive_entropy": predictive_entropy(logits),
            "expected_entropy": expected_entropy(logits),
            "mutual_information": mutual_information(logits),
        }
    )


def _read(source: pd.DataFrame | str | Path, name: str) -> pd.DataFrame:
    table = source
    if not isinstance(table, pd.DataFrame):
        path = Path(table)
        path = path / "predictions.csv" if path.is_dir() else path
        if not path.is_file():
            msg = f"`{name}`: {path} is absent; is the run finished?"
            raise SchemaError(msg)
        text = dict.fromkeys((*KEYS, "model", "role", "model_hash"), str)
        table = pd.read_csv(
            path,
            dtype={**text, "fold": "Int64"},
            keep_default_na=False,
            na_values={"fold": [""]},
            float_precision="round_trip",
        )
    _require(table, list(COLUMNS), name)
    repeated = table.duplicated(KEYS).sum()
    if repeated or table.empty:
        what = f"{repeated} repeated images" if repeated else "no rows"
        msg = f"`{name}` has {what}; one row an image (and class) of one model is expected."
        raise SchemaError(msg)
    return table


def _require(table: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    absent = [column for column in columns if column not in table]
    if absent:
        msg = f"`{name}` lacks the column(s) {', '.join(absent)} of a predictions table."
        raise SchemaError(msg)


def _aligned(table: pd.DataFrame, first: pd.DataFrame, name: str) -> pd.DataFrame:
    """In the order of the first; refused where it has other images or folds."""
    index = pd.MultiIndex.from_frame(table[KEYS].astype(str))
    wanted = pd.MultiIndex.from_frame(first[KEYS].astype(str))
    alien = len(index.symmetric_difference(wanted))
    if alien:
        msg = (
            f"`{name}` and `sources[0]` differ in {alien} rows of (patient, image, class); the "
            "models of an ensemble must have predicted the same images."
        )
        raise PairingError(msg)
    rows = table.iloc[index.get_indexer(wanted)].reset_index(drop=True)
    own, theirs = (
        t["fold"].astype("Int64").to_numpy(dtype=float, na_value=-1) for t in (rows, first)
    )
    if (own != theirs).any():
        msg = (
            f"`{name}` held {(own != theirs).sum()} of {len(rows)} rows out in other folds than "
            "`sources[0]`; train the models of an ensemble with the same `splits`."
        )
        raise PairingError(msg)
    return rows


def _odds(values: NDArray[np.float64], rows: pd.DataFrame) -> NDArray[np.float64]:
    """Log-odds of the event (n, 1), or log-probabilities of the classes (n, K)."""
    k = rows["class"].nunique()
    if k == 1:
        return values[:, None]
    n = len(rows) // k
    names = rows["class"].to_numpy().reshape(n, k) if n * k == len(rows) else None
    if names is None or (names != names[0]).any():
        msg = "Every image must have one row a class, in the same order of classes."
        raise SchemaError(msg)
    return log_expit(values).reshape(n, k)


def _combined(mean: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if mean.shape[1] == 1:
        return mean, Uncalibrated().apply(mean[:, 0])[:, None]
    return class_log_odds(mean), Uncalibrated().apply(mean)
