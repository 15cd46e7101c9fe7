"""Where the network looked: Grad-CAM of patients it had not seen, against the mask."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.files import atomic_write_bytes, write_csv, write_json
from reports.pipeline import Workspace
from reports.stages.model import read_patients
from reports.stages.network import development_images, network_folder
from reports.training import members_of

if TYPE_CHECKING:
    from dl.explain import CamRecord, SecondMap

#: Pictures of each kind on the panel: the sure hits, the sure passes, and the worst of the errors.
PER_KIND = 2


def explain_network(work: Workspace) -> None:
    """The maps' overlap with the mask for all development images, and a few maps for the panel.

    Of an ensemble, those of the member that is named first.
    """
    from dl.explain import cam_frame
    from dl.explain import explain as explain_images

    study = work.study
    name = members_of(study, study.config.fusion.network)[0]
    images = development_images(work, name)
    records = explain_images(network_folder(work, name), images, list(images.images["image_id"]))
    write_csv(work.folder / "overlap.csv", cam_frame(records))
    write_json(work.folder / "facts.json", {"network": name})
    pairs = any(record.second is not None for record in records)
    patients = read_patients(work, "development")
    chosen = choose_images(patients, images.images, per_kind=1 if pairs else PER_KIND)
    by_image = {record.image_id: record for record in records}
    rows = [
        {**row, "kind": f"{row['kind']}{seen}", "file": file}
        for i, row in enumerate(chosen.to_dict("records"))
        for file, seen in _write_maps(
            work.folder, f"cam_{i + 1:02d}", by_image[row["image_id"]]
        ).items()
    ]
    write_csv(work.folder / "cam.csv", pd.DataFrame(rows))


def _write_maps(folder: Path, name: str, record: CamRecord) -> dict[str, str]:
    """Files of an image's maps, of a pair the gray image's and the Doppler image's; their names."""
    atomic_write_bytes(folder / f"{name}.npz", npz_bytes(record))
    if record.second is None:
        return {f"{name}.npz": ""}
    atomic_write_bytes(folder / f"{name}_doppler.npz", npz_bytes(record.second))
    return {f"{name}.npz": ", gray", f"{name}_doppler.npz": ", Doppler"}


def choose_images(
    patients: pd.DataFrame, images: pd.DataFrame, *, per_kind: int = PER_KIND
) -> pd.DataFrame:
    """First image of the surest right and the surest wrong patients of both classes."""
    right = np.where(patients["event"] == 1, patients["dl_prob"], 1 - patients["dl_prob"])
    ranked = patients.assign(right=right).sort_values(["right", "patient_id"])
    events, others = (ranked[ranked["event"] == label] for label in (1, 0))
    picks = [
        events.tail(per_kind).assign(kind="event, recognised"),
        others.tail(per_kind).assign(kind="no event, recognised"),
        events.head(per_kind).assign(kind="event, ranked lowest"),
        others.head(per_kind).assign(kind="no event, ranked highest"),
    ]
    chosen = pd.concat(picks)[["patient_id", "event", "dl_prob", "kind"]]
    first = images.drop_duplicates("patient_id")[["patient_id", "image_id"]]
    return chosen.merge(first, on="patient_id", validate="1:1")


def npz_bytes(record: CamRecord | SecondMap) -> bytes:
    """Image, map and mask as an archive of plain arrays, the same bytes every time."""
    arrays = {"image": record.image, "cam": record.cam}
    if record.mask is not None:
        arrays["mask"] = record.mask
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
