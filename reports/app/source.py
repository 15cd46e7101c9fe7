"""Which networks, which nomogram and which words the app serves: read once from a finished run."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import usstats
from dl.onnx_network import OnnxNetwork, OnnxPrediction
from reports.app.band import COVERAGE, AbstentionBand, abstention_band
from reports.app.card import network_card
from reports.app.ensemble import NetworkEnsemble, mean_probability
from reports.app.networks import served_network, write_record
from reports.model_file import MODEL_FILE, StudyModel, read_model
from reports.new_images import trained_network, trained_route
from reports.stages.network import network_folder
from reports.study import DL_COLUMN, STUDY_FILE, Study, load_study
from reports.training import members_of
from usstats.errors import SchemaError
from usstats.fusion import patient_probability
from usstats.thresholds import choose_threshold

__all__ = ["AppRun", "ImageNetwork", "open_app"]

#: Holds the networks as ONNX and the record of cut-off and band; in a study beside its run, whose
#: every file `usstats verify` knows.
FOLDER = "app"
_TEXT: Mapping[Hashable, type[str]] = dict.fromkeys(("patient_id", "image_id", "sha256"), str)


class ImageNetwork(Protocol):
    """What the app asks of a network; `dl.onnx_network.OnnxNetwork` is one."""

    def predict(self, image: Any, *, roi: Any = None) -> OnnxPrediction:
        """Calibrated probabilities, those of the fold networks, and the evidence."""


@dataclass(frozen=True, kw_only=True)
class AppRun:
    """Everything the app answers with, and nothing about a patient.

    Attributes
    ----------
    network : ImageNetwork
    looks_at_region : bool
        The network adds its margin around the box; else the box is its image.
    n_networks : int
    aggregate : str
        How the images of a patient become one probability; a key of `usstats.fusion.AGGREGATES`.
    band : AbstentionBand
    title, event : str
        Of the page, and of what the probability is a probability of.
    synthetic : bool
    card : mapping of str to str
        What the page says about the networks.
    development_files : frozenset of str
        SHA-256 of the images the networks were trained on.
    model : StudyModel, optional
        The nomogram.
    """

    network: ImageNetwork
    looks_at_region: bool
    n_networks: int
    aggregate: str
    band: AbstentionBand
    title: str
    event: str
    synthetic: bool
    card: Mapping[str, str]
    development_files: frozenset[str]
    model: StudyModel | None = None

    @property
    def image_variable(self) -> str | None:
        """The variable of the nomogram that the images fill; None without one."""
        names = [] if self.model is None else list(self.model.fit.spec.variables)
        return DL_COLUMN if DL_COLUMN in names else None


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the parts of a run lie, and the study around its networks.

    Attributes
    ----------
    networks : tuple of Path
        Run folders: one, or those of an ensemble.
    """

    networks: tuple[Path, ...]
    app: Path
    study: Study | None = None

    @property
    def network(self) -> Path:
        """The run folder of the first."""
        return self.networks[0]

    @property
    def name(self) -> str:
        return self.study.config.fusion.network if self.study else self.network.name

    def app_of(self, network: Path) -> Path:
        """Where the ONNX file of a network lies."""
        return self.app if len(self.networks) == 1 else self.app / network.name

    @property
    def aggregate(self) -> str:
        return self.study.config.fusion.aggregate if self.study else "mean_logit"

    @property
    def model(self) -> StudyModel | None:
        path = self.study.run_dir / "report" / MODEL_FILE if self.study else None
        return read_model(path) if path is not None and path.is_file() else None

    def served(
        self, *, say: Callable[[str], None], band: AbstentionBand
    ) -> tuple[NetworkEnsemble, dict[str, str]]:
        """The networks, written as ONNX where they are not, and a warning for the card."""
        opened = [self._opened(run, say=say, band=band) for run in self.networks]
        networks = NetworkEnsemble(name=self.name, networks=tuple(opened))
        return networks, _stale(self.model, str(networks.facts["model_hash"]))

    def _opened(
        self, run: Path, *, say: Callable[[str], None], band: AbstentionBand
    ) -> OnnxNetwork:
        network = served_network(run, self.app_of(run), say=say)
        facts = {"aggregate": self.aggregate, "band": band.to_dict()}
        write_record(run, self.app_of(run), network, **facts)
        return network


def open_app(
    run: str | Path, *, coverage: float = COVERAGE, say: Callable[[str], None] = lambda line: None
) -> AppRun:
    """Open a run for the app; the networks are written as ONNX the first time.

    Parameters
    ----------
    run : str or Path
        A study that has been run, its run folder, or a finished run of `dl.crossval`.
    coverage : float
        Share of the development patients the networks answer for; the others are "unsure".
    say : callable
        Told what takes time.

    Returns
    -------
    AppRun

    Raises
    ------
    SchemaError
        No finished run, or one of networks the app cannot show.
    ArgumentError
        A package is missing, or `coverage` lies outside (0, 1].
    """
    place = _place(Path(run))
    y, p = _out_of_fold(place)
    rule = place.study.config.cutoff.model_dump() if place.study else {}
    band = abstention_band(y, p, cutoff=choose_threshold(y, p, **rule), coverage=coverage)
    network, stale = place.served(say=say, band=band)
    for line in stale.values():
        say(line)
    study = place.study.config if place.study else None
    return AppRun(
        network=network if len(network.networks) > 1 else network.networks[0],
        looks_at_region=network.looks_at_region,
        n_networks=len(list(place.network.glob("folds/*/fold.json"))),
        aggregate=place.aggregate,
        band=band,
        title=study.title if study else f"Images read by the network {network.facts['model']}",
        event=study.outcome.label if study else network.networks[0].classes[0],
        synthetic=study.synthetic if study else False,
        card=network_card(
            network.facts,
            auc=usstats.auc(y, p),
            band=band,
            aggregate=place.aggregate,
            population=", ".join(study.cohorts.development) if study else "",
            finished=place.network / "calibration.json",
        )
        | stale,
        development_files=frozenset().union(*(_images(run)["sha256"] for run in place.networks)),
        model=None if stale else place.model,
    )


def _stale(model: StudyModel | None, served: str) -> dict[str, str]:
    """What the card says of a nomogram that was fitted on the answers of other networks."""
    if model is None or model.network_hash in (None, served):
        return {}
    text = (
        f"Left out: {MODEL_FILE} was fitted with the networks {model.network_hash}, and these are "
        f"{served}. Run `usstats run` to bring it up to date."
    )
    return {"Nomogram": text}


def _place(run: Path) -> _Place:
    if (run / "run.json").is_file():
        return _Place(networks=(run,), app=run / FOLDER)
    root = next((path for path in (run, run.parent) if (path / STUDY_FILE).is_file()), None)
    if root is None:
        msg = (
            f"{run} is neither a study nor a finished run of networks. Name the folder with "
            f"{STUDY_FILE}, or the one with run.json."
        )
        raise SchemaError(msg)
    study = load_study(root)
    if not study.config.networks:
        msg = (
            "study.yaml declares no networks: the probabilities came with the study, and nothing "
            "here could read an image. `usstats calculator` writes the nomogram alone."
        )
        raise SchemaError(msg)
    return _Place(networks=_run_folders(study), app=study.root / FOLDER, study=study)


def _run_folders(study: Study) -> tuple[Path, ...]:
    """Of the network of the fusion, or of the members of its ensemble."""
    name = study.config.fusion.network
    if name not in study.config.ensembles:
        return (trained_network(study, name),)
    work = trained_route(study, name)
    return tuple(network_folder(work, member) for member in members_of(work.study, name))


def _out_of_fold(place: _Place) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Outcome and calibrated out-of-fold probability of every development patient."""
    tables = [
        pd.read_csv(_finished(run / "predictions.csv"), dtype=_TEXT) for run in place.networks
    ]
    predictions = tables[0]
    if len(predictions["class"].unique()) > 1:
        msg = "The app shows one probability; these networks know several classes. Use `predict`."
        raise SchemaError(msg)
    aligned = [table.set_index("image_id").loc[predictions["image_id"]] for table in tables]
    p = mean_probability([table["probability_calibrated"].to_numpy(float) for table in aligned])
    predictions = predictions.assign(probability_calibrated=p)
    patients = patient_probability(predictions, aggregate=place.aggregate, role="out_of_fold")
    labels = _images(place.network).drop_duplicates("patient_id").set_index("patient_id")["label"]
    y = patients["patient_id"].map(labels)
    return y.to_numpy(dtype=np.int64), patients["dl_prob"].to_numpy(dtype=float)


def _images(folder: Path) -> pd.DataFrame:
    return pd.read_csv(_finished(folder / "images.csv"), dtype=_TEXT, keep_default_na=False)


def _finished(path: Path) -> Path:
    if not path.is_file():
        msg = (
            f"{path.name} is absent in {path.parent}: the networks are not trained to the end, or "
            "give no class. Run the training again."
        )
        raise SchemaError(msg)
    return path
