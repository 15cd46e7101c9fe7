"""Where the network looked: Grad-CAM of patients it had not seen, against the mask."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.files import atomic_write_bytes, write_csv
from reports.pipeline import Workspace
from reports.stages.model import read_patients
from reports.stages.network import image_table

#: Pictures of each kind on the panel: the sure hits, the sure passes, and the worst of the errors.
PER_KIND = 2


def explain(work: Workspace) -> None:
    """Maps of all development images for the table, and of a few for the panel."""
    from dl.cam import explain as explain_images
    from dl.data import ImageStudy

    study = work.study
    images = image_table(study, *study.config.cohorts.development)
    chosen = choose_images(read_patients(work, "development"), images)
    records = explain_images(
        work.of("train") / study.config.fusion.network,
        ImageStudy(images=images, root=study.root),
        list(chosen["image_id"]),
    )
    rows = []
    for (_, row), record in zip(chosen.iterrows(), records, strict=True):
        name = f"cam_{len(rows) + 1:02d}.npz"
        atomic_write_bytes(work.folder / name, record.to_npz())
        rows.append({**row.to_dict(), **record.measures(), "file": name})
    write_csv(work.folder / "cam.csv", pd.DataFrame(rows))


def choose_images(patients: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """First image of the surest right and the surest wrong patients of both classes."""
    right = np.where(patients["event"] == 1, patients["dl_prob"], 1 - patients["dl_prob"])
    ranked = patients.assign(right=right).sort_values(["right", "patient_id"])
    picks = [
        ranked[ranked["event"] == 1].tail(PER_KIND).assign(kind="event, recognised"),
        ranked[ranked["event"] == 0].tail(PER_KIND).assign(kind="no event, recognised"),
        ranked[ranked["event"] == 1].head(PER_KIND).assign(kind="event, missed"),
        ranked[ranked["event"] == 0].head(PER_KIND).assign(kind="no event, false alarm"),
    ]
    chosen = pd.concat(picks)[["patient_id", "event", "dl_prob", "kind"]]
    first = images.drop_duplicates("patient_id")[["patient_id", "image_id"]]
    return chosen.merge(first, on="patient_id", validate="1:1")
