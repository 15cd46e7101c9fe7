"""What a trained network is, learned from and is worth, told from its run folder alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dl.card_measures import MEASURED, class_measures, mask_measures
from dl.errors import ResumeError
from dl.network import entry, layout_of, tasks_of
from dl.predict import ENSEMBLE_RULE
from dl.run_folder import Run, open_run
from dl.storage import read_json, write_json, write_text
from usstats.errors import ArgumentError

__all__ = ["NOTICE", "UNSTATED", "ModelCard", "model_card"]

FORMAT = "usstats.model_card/1"
NOTICE = (
    "Research use only. Not a medical device: not cleared or approved for diagnosis, treatment or "
    "any other use in the care of patients."
)
#: Stands where a run cannot know.
UNSTATED = "Author to state."
#: What only its authors know of a network, in the order of the card.
STATED = ("intended_use", "out_of_scope", "population", "acquisition", "ethics", "contact")
#: Fewer patients of either outcome make a calibration uncertain (Van Calster et al. 2016).
FEW = 100
#: Inside a line: emphasis, code, links, cells, formulas, and what becomes a link by itself.
_INLINE = re.compile(r"[\\`*_\[\]|~$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
#: At its beginning: headings, lists and rules.
_LEADING = re.compile(r"^(\d+(?=[.)](?:\s|$)))?([#+\-=.)])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True, kw_only=True, repr=False)
class ModelCard:
    """A model card (Mitchell et al. 2019); made by `model_card`.

    Attributes
    ----------
    content : dict
        Plain JSON types, at full precision: notice, model, stated, data, split, training,
        performance (rows of measures with intervals), calibration, limits, environment.
    """

    content: dict[str, Any]

    def frame(self) -> pd.DataFrame:
        """The measures: cohort, group, measure, estimate, interval, method and sizes."""
        return pd.DataFrame(self.content["performance"], columns=list(MEASURED))

    def markdown(self) -> str:
        """As text for people; names and texts from tables are shown, never obeyed."""
        return _markdown(self.content)

    def save(self, folder: str | Path) -> tuple[Path, Path]:
        """Write model_card.md and model_card.json into a folder, each whole or not at all."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        text, data = target / "model_card.md", target / "model_card.json"
        write_text(text, self.markdown())
        write_json(data, self.content)
        return text, data

    def __repr__(self) -> str:
        model, data = self.content["model"], self.content["data"]
        return (
            f"<ModelCard: {model['name']} {model['model_hash']}, {model['architecture']}; "
            f"{data['n_images']} images of {data['n_patients']} patients, "
            f"{len(self.content['performance'])} measures>"
        )


def model_card(
    run_dir: str | Path,
    *,
    intended_use: str | None = None,
    out_of_scope: str | None = None,
    population: str | None = None,
    acquisition: str | None = None,
    ethics: str | None = None,
    contact: str | None = None,
    limits: Sequence[str] = (),
    external: Mapping[str, pd.DataFrame] | None = None,
) -> ModelCard:
    """Write the card of a finished run.

    Everything comes from what the run recorded; what it cannot know is marked "Author to state."
    No patient's identifier, file name or outcome is in it.

    Parameters
    ----------
    run_dir : path
        Of a finished `cross_validate`.
    intended_use, out_of_scope, population, acquisition, ethics, contact : str, optional
        What the network is for and not for, who the patients were, with which scanners the images
        were made, approvals and consent, whom to ask.
    limits : sequence of str
        Beside those that the run shows.
    external : mapping of str to DataFrame, optional
        Name of a cohort -> its rows of `dl.predict.predict` with the outcome in a column `label`.

    Returns
    -------
    ModelCard

    Raises
    ------
    ResumeError
        The run is not finished, or damaged.
    ArgumentError
        A text is not text, or an external table has no outcomes.

    Notes
    -----
    AUC, calibration intercept and slope, O:E and Brier are of images with patient-clustered
    intervals, out of fold; before and after calibration.
    """
    given = (intended_use, out_of_scope, population, acquisition, ethics, contact)
    stated = dict(zip(STATED, given, strict=True))
    _check_texts({**stated, **{f"limits[{i}]": text for i, text in enumerate(limits)}})
    run = open_run(run_dir)
    performance = _performance(run, external or {})
    content = {
        "format": FORMAT,
        "notice": NOTICE,
        "model": _model(run),
        "stated": {name: text or UNSTATED for name, text in stated.items()},
        "data": _data(run),
        "split": _split(run),
        "training": _training(run),
        "performance": performance,
        "calibration": _calibration(run),
        "limits": [*_limits(run, external or {}), *limits],
        "environment": _environment(run),
    }
    return ModelCard(content=json.loads(json.dumps(content, allow_nan=False)))


def _check_texts(texts: Mapping[str, Any]) -> None:
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            msg = f"`{name}` must be text; got {type(text).__name__}."
            raise ArgumentError(msg)


def _model(run: Run) -> dict[str, Any]:
    config = run.config
    own = "/" not in config.architecture
    shape = layout_of(config.architecture, config.in_channels).blocks
    return {
        "name": config.name,
        "architecture": config.architecture,
        "origin": entry(config.architecture).origin if own else "",
        "tasks": list(tasks_of(config.architecture)),
        "classes": [config.positive] if config.classes is None else list(config.classes),
        "input": {
            "channels": dict(shape),
            "size": config.input_size,
            "region": config.region,
            "margins": list(config.margins),
        },
        "n_parameters": sum(p.numel() for p in run.network(0).parameters()),
        "starting_weights": _starting_weights(run),
        "n_networks": run.folds.n_folds,
        "rule": ENSEMBLE_RULE,
        "model_hash": run.ensemble_hash,
        "fold_hashes": [run.model_hash(fold) for fold in range(run.folds.n_folds)],
    }


def _starting_weights(run: Run) -> str:
    weights = run.config.weights
    if weights in (None, "imagenet"):
        return "random" if weights is None else "imagenet"
    return f"a file with SHA-256 {run.identity.get('weights', 'not recorded')}"


def _data(run: Run) -> dict[str, Any]:
    images = run.images
    names = run.config.classes or ("non-event", run.config.positive)
    per_patient = images.groupby("patient_id").size()
    counts = [
        {
            "class": name,
            "n_images": int((images["label"] == code).sum()),
            "n_patients": int(images.loc[images["label"] == code, "patient_id"].nunique()),
        }
        for code, name in enumerate(names)
    ]
    return {
        "n_images": len(images),
        "n_patients": len(per_patient),
        "images_per_patient": {
            "median": float(per_patient.median()),
            "largest": int(per_patient.max()),
        },
        "classes": counts,
        "n_unlabelled": int((images["label"] < 0).sum()),
        "n_masks": int((images["mask_sha256"] != "").sum()),
        "sha256": run.identity["data"],
    }


def _split(run: Run) -> dict[str, Any]:
    patients = run.images.drop_duplicates("patient_id")["fold"]
    sizes = patients.value_counts().sort_index()
    return {
        "kind": "cross-validation by patient; patients who share a picture share a fold",
        "n_folds": run.folds.n_folds,
        "patients_held_out": [int(n) for n in sizes],
        "selection": "on an inner tuning split of each fold's training patients",
        "tuning_fraction": run.config.tuning_fraction,
        "sha256": run.folds.hash,
    }


def _training(run: Run) -> dict[str, Any]:
    records = [run.fold_record(fold) for fold in range(run.folds.n_folds)]
    chosen = "penalty" if run.config.route == "frozen" else "best_epoch"
    return {
        "configuration": run.config.to_dict(),
        "sha256": run.identity["config"],
        "chosen": {chosen: [record.get(chosen) for record in records]},
    }


def _performance(run: Run, external: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    tasks, rows = tasks_of(run.config.architecture), []
    if "classify" in tasks:
        table = _predictions(run.folder / "predictions.csv")
        label = run.images.set_index("image_id")["label"]
        known = table.assign(label=table["image_id"].map(label).to_numpy())
        rows += class_measures(
            known[known["label"] >= 0], run.config.classes, cohort="development, out of fold"
        )
    if "segment" in tasks:
        masks = _predictions(run.folder / "masks.csv")
        rows += mask_measures(masks, cohort="development, out of fold", seed=run.config.seed)
    for name, table in external.items():
        if "label" not in table:
            msg = f"`external[{name!r}]` needs the outcome of every row in a column `label`."
            raise ArgumentError(msg)
        rows += class_measures(table, run.config.classes, cohort=name)
    return rows


def _predictions(path: Path) -> pd.DataFrame:
    if not path.is_file():
        msg = f"{path} is absent; the run is not finished. Run cross_validate again."
        raise ResumeError(msg)
    return pd.read_csv(
        path,
        dtype={"patient_id": str, "image_id": str, "class": str},
        keep_default_na=False,
        na_values={"fold": [""], "dice": [""]},
        float_precision="round_trip",
    )


def _calibration(run: Run) -> dict[str, Any]:
    if "classify" not in tasks_of(run.config.architecture):
        return {"kind": "none"}
    found = run.calibration.overall.to_dict()
    how = "fitted on out-of-fold logits; each fold's without the outcomes of its own patients"
    return found | {"how": how if found["kind"] != "none" else "as the network gives it"}


def _limits(run: Run, external: Mapping[str, pd.DataFrame]) -> list[str]:
    told = []
    counts = [group["n_patients"] for group in _data(run)["classes"]]
    if "classify" in tasks_of(run.config.architecture) and min(counts) < FEW:
        told.append(
            f"The smallest class has {min(counts)} patients, fewer than {FEW}: intervals are wide "
            "and the calibration is uncertain."
        )
    if not external:
        told.append(
            "Not evaluated in other patients than those it was developed with: the measures are "
            "of internal cross-validation."
        )
    told.append(
        f"The measures are of the {run.folds.n_folds} networks on the patients each had not seen; "
        "new patients get the mean of all of them."
    )
    if run.config.region == "roi":
        told.append("Needs the lesion's region; how well it was drawn was not varied.")
    return told


def _environment(run: Run) -> dict[str, str]:
    record = read_json(run.folder / "run.json")
    kept = {k: str(v) for k, v in record.items() if k not in ("format", "identity")}
    return {"format": str(record["format"]), **kept}


def _markdown(content: Mapping[str, Any]) -> str:
    model, data = content["model"], content["data"]
    parts = [f"# Model card: {_shown(model['name'])}", f"**{content['notice']}**"]
    for name, text in content["stated"].items():
        parts += [f"## {_title(name)}", _shown(text)]
    parts += ["## Model", _listed(model), "## Data", _listed(data)]
    parts += ["## Split", _listed(content["split"])]
    parts += ["## Performance", _table(content["performance"])]
    parts += ["## Calibration of probabilities", _listed(content["calibration"])]
    parts += ["## Limits", "\n".join(f"- {_shown(text)}" for text in content["limits"])]
    parts += ["## Training", _listed(content["training"])]
    parts += ["## Environment", _listed(content["environment"])]
    return "\n\n".join(parts) + "\n"


def _listed(content: Mapping[str, Any], indent: str = "") -> str:
    lines = []
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}- {_title(name)}:", _listed(value, indent + "  ")]
        else:
            lines.append(f"{indent}- {_title(name)}: {_shown(value)}")
    return "\n".join(line for line in lines if line)


def _title(name: str) -> str:
    return _shown(name.replace("_", " ").capitalize().replace("Sha256", "SHA-256"))


def _shown(value: Any) -> str:
    """One line in which nothing is Markdown or HTML."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        value = "; ".join(", ".join(f"{k} {v}" for k, v in each.items()) for each in value)
    elif isinstance(value, list | Mapping):
        value = ", ".join(map(str, value))
    text = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", str(value)).split())
    escaped = _INLINE.sub(r"\\\g<0>", text)
    if re.fullmatch(r"-?\d+(\.\d+)?", text) is None:
        escaped = _LEADING.sub(r"\1\\\2", escaped)
    return re.sub("[&<>]", lambda found: _HTML[found.group()], escaped) or "none"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "| cohort | group | measure | estimate (95 % interval) | images | events | patients |"
    lines = [head, "|" + "---|" * 7]
    for row in rows:
        sizes = (row["n"], row["n_event"], row["n_cluster"])
        cells = [row["cohort"], row["group"], row["measure"]]
        shown = [*map(_shown, cells), _estimate(row), *("" if n is None else str(n) for n in sizes)]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _estimate(row: Mapping[str, Any]) -> str:
    if row["estimate"] is None:
        return "not estimable"
    if row["conf_low"] is None:
        return f"{row['estimate']:.3f}"
    return f"{row['estimate']:.3f} ({row['conf_low']:.3f} to {row['conf_high']:.3f})"
