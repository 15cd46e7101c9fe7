"""Where the network looked: Grad-CAM of patients it had not seen, against the mask."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.files import atomic_write_bytes, write_csv
from reports.pipeline import Workspace
from reports.stages.model import read_patients
from reports.stages.network import image_table, network_folder

if TYPE_CHECKING:
    from dl.explain import CamRecord

#: Pictures of each kind on the panel: the sure hits, the sure passes, and the worst of the errors.
PER_KIND = 2


def explain_network(work: Workspace) -> None:
    """The maps' overlap with the mask for all development images, and a few maps for the panel."""
    from dl.data import ImageStudy
    from dl.explain import cam_frame
    from dl.explain import explain as explain_images

    study = work.study
    images = image_table(study, *study.config.cohorts.development)
    records = explain_images(
        network_folder(work, study.config.fusion.network),
        ImageStudy(images=images, root=study.root),
        list(images["image_id"]),
    )
    write_csv(work.folder / "overlap.csv", cam_frame(records))
    chosen = choose_images(read_patients(work, "development"), images)
    by_image = {record.image_id: record for record in records}
    files = [f"cam_{i + 1:02d}.npz" for i in range(len(chosen))]
    for name, image_id in zip(files, chosen["image_id"], strict=True):
        atomic_write_bytes(work.folder / name, npz_bytes(by_image[image_id]))
    write_csv(work.folder / "cam.csv", chosen.assign(file=files))


def choose_images(patients: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """First image of the surest right and the surest wrong patients of both classes."""
    right = np.where(patients["event"] == 1, patients["dl_prob"], 1 - patients["dl_prob"])
    ranked = patients.assign(right=right).sort_values(["right", "patient_id"])
    events, others = (ranked[ranked["event"] == label] for label in (1, 0))
    picks = [
        events.tail(PER_KIND).assign(kind="event, recognised"),
        others.tail(PER_KIND).assign(kind="no event, recognised"),
        events.head(PER_KIND).assign(kind="event, ranked lowest"),
        others.head(PER_KIND).assign(kind="no event, ranked highest"),
    ]
    chosen = pd.concat(picks)[["patient_id", "event", "dl_prob", "kind"]]
    first = images.drop_duplicates("patient_id")[["patient_id", "image_id"]]
    return chosen.merge(first, on="patient_id", validate="1:1")


def npz_bytes(record: CamRecord) -> bytes:
    """Image, map and mask as an archive of plain arrays, the same bytes every time."""
    arrays = {"image": record.image, "cam": record.cam}
    if record.mask is not None:
        arrays["mask"] = record.mask
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
