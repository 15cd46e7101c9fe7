"""A required sample size, what each criterion asks for, and what a study with fewer lacks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from usstats._check import check_count, check_inside


@dataclass(frozen=True, kw_only=True)
class SampleSize:
    """The number of patients the strictest criterion asks for.

    Attributes
    ----------
    purpose : str
        What the study is for: "development", "external validation", ...
    criteria : DataFrame
        One row a criterion, at full precision: `criterion`, what it asks for, and the assumed
        values it rests on.
    n : int
        Patients (or readings' cases) needed, rounded up.
    n_event : float or None
        Expected events among them.
    method : str
        The source of the criteria.

    Examples
    --------
    >>> import usstats
    >>> usstats.sample_size_development(6, 0.42, auc=0.85)
    <sample size, development: 375 patients, 157.5 events; Riley et al. 2020>
    """

    purpose: str
    criteria: pd.DataFrame
    n: int
    n_event: float | None
    method: str

    def frame(self) -> pd.DataFrame:
        """One row a criterion, and a last row with what is required."""
        last = {"criterion": "required", "n": self.n}
        if "n_event" in self.criteria:
            last["n_event"] = self.n_event
        return pd.concat([self.criteria, pd.DataFrame([last])], ignore_index=True)

    def shortfall(self, n: int) -> int:
        """Patients that a study of `n` lacks; 0 when it is large enough.

        Raises
        ------
        ArgumentError
        """
        return max(self.n - check_count(n, name="n"), 0)

    def assess(self, n: int) -> str:
        """One sentence for the authors of a study that has `n` patients."""
        missing = self.shortfall(n)
        if missing == 0:
            return f"{n} patients meet every criterion for {self.purpose} ({self.n} required)."
        unmet = self.criteria.loc[self.criteria["n"] > n, "criterion"].tolist()
        return (
            f"{n} patients are {missing} short of the {self.n} that {self.purpose} requires "
            f"(unmet: {', '.join(unmet)})."
        )

    def for_images(self, *, images_per_patient: float, icc: float, cv: float = 0.0) -> pd.DataFrame:
        """The same information from several images a patient: the size times the design effect.

        Returns
        -------
        DataFrame
            One row: design_effect, n_image, n_patient.
        """
        effect = design_effect(images_per_patient, icc, cv=cv)
        n_image = math.ceil(round(self.n * effect, 9))
        n_patient = math.ceil(round(n_image / images_per_patient, 9))
        return pd.DataFrame([{"design_effect": effect, "n_image": n_image, "n_patient": n_patient}])

    def summary(self) -> str:
        """The requirement and each criterion's own."""
        each = zip(self.criteria["criterion"], self.criteria["n"], strict=True)
        parts = "; ".join(f"{criterion} {n}" for criterion, n in each)
        return f"{self._headline()}: {parts}"

    def _headline(self) -> str:
        events = "" if self.n_event is None else f", {self.n_event:g} events"
        return f"sample size, {self.purpose}: {self.n} patients{events}; {self.method}"

    def __repr__(self) -> str:
        return f"<{self._headline()}>"


def design_effect(images_per_patient: float, icc: float, *, cv: float = 0.0) -> float:
    """How many times more images clustered in patients are needed than independent ones.

    Parameters
    ----------
    images_per_patient : float
        Mean number m of images a patient.
    icc : float
        Correlation of two images of one patient.
    cv : float
        Coefficient of variation of the number of images.

    Returns
    -------
    float
        1 + ((1 + cv^2) m - 1) icc.

    Raises
    ------
    ArgumentError

    References
    ----------
    Eldridge, Ashby and Kerry (2006), Int J Epidemiol 35:1292.

    Examples
    --------
    >>> round(design_effect(4, 0.5), 3)
    2.5
    """
    m = check_inside(images_per_patient, 1 - 1e-12, math.inf, name="images_per_patient")
    rho = check_inside(icc, -1e-12, 1 + 1e-12, name="icc")
    spread = check_inside(cv, -1e-12, math.inf, name="cv")
    return 1 + ((1 + spread**2) * m - 1) * rho


def required(
    purpose: str, criteria: list[dict[str, object]], *, method: str, event_rate: float | None
) -> SampleSize:
    """The largest `n` of the criteria, with the events it is expected to bring."""
    table = pd.DataFrame(criteria)
    n = int(table["n"].max())
    return SampleSize(
        purpose=purpose,
        criteria=table,
        n=n,
        n_event=None if event_rate is None else n * event_rate,
        method=method,
    )


def whole(n: float) -> int:
    """Round up, forgiving the last digits of a quotient that is whole."""
    return math.ceil(round(n, 9))
