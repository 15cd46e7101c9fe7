"""A development image is explained by the network that never met its patient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dl.cam import GradCam, unit_map
from dl.data import ImageStudy
from dl.explain import cam_frame, explain
from dl.images import read_image, read_mask
from dl.inference import as_input
from dl.predict import predict
from dl.prepare import Preparation
from dl.run_folder import open_run
from tests.dl.worlds import altered, write_world
from usstats.errors import ArgumentError


def own_map(finished, row: int, fold: int) -> np.ndarray:
    run = open_run(finished.run_dir)
    x = as_input(Preparation.of(run.config).views(read_image(finished.study.file(row)), None))
    with GradCam(run.network(fold)) as cam:
        return unit_map((cam(x)[0] + cam(x.flip(-1))[0].flip(-1)) / 2)


def test_development_images_get_their_folds_own_network(finished):
    rows = [0, 7, 20, 3]
    wanted = finished.table.iloc[rows].reset_index(drop=True)
    records = explain(finished.run_dir, finished.study, wanted["image_id"].tolist())
    for row, record, expected in zip(rows, records, wanted.itertuples(), strict=True):
        assert (record.image_id, record.patient_id) == (expected.image_id, expected.patient_id)
        assert (record.fold, record.model_hash) == (expected.fold, expected.model_hash)
        assert record.logit == pytest.approx(expected.logit, abs=1e-5)
        np.testing.assert_allclose(record.cam, own_map(finished, row, record.fold), atol=1e-5)
        others = [own_map(finished, row, k) for k in range(3) if k != record.fold]
        assert any(np.abs(record.cam - other).max() > 0.01 for other in others)


def test_other_images_get_the_mean_over_all_networks(finished, tmp_path):
    other = write_world(tmp_path / "other", n=4, seed=3, prefix="X")
    (record,) = explain(finished.run_dir, other, ["X01-0"])
    table = predict(finished.run_dir, other).set_index("image_id")
    assert record.fold is None
    assert record.logit == pytest.approx(table.loc["X01-0", "logit"], abs=1e-5)
    assert record.model_hash == table.loc["X01-0", "model_hash"]
    assert "all folds" in repr(record)


def test_a_new_image_of_a_development_patient_gets_his_folds_network(finished, tmp_path):
    """All networks but one have met him; their mean would show what they remember."""
    other = write_world(tmp_path / "other", n=2, seed=3)
    new = altered(other, image_id=[f"new-{name}" for name in other.images["image_id"]])
    (record,) = explain(finished.run_dir, new, ["new-P01-0"])
    fold = finished.table.set_index("patient_id").loc["P01", "fold"]
    assert record.fold == fold.iloc[0]


def test_an_image_of_a_stranger_that_is_called_like_one_of_development(finished, tmp_path):
    other = write_world(tmp_path / "other", n=2, seed=3)
    stranger = altered(other, patient_id=[f"X-{name}" for name in other.patients])
    (record,) = explain(finished.run_dir, stranger, ["P01-0"])
    assert record.fold is None


def test_overlap_with_the_lesion_is_that_of_the_shown_square(finished):
    (record,) = explain(finished.run_dir, finished.study, ["P03-1"])
    assert record.mask.shape == record.cam.shape == record.image.shape == (32, 32)
    mask = read_mask(finished.study.root / "P03-1-mask.png")
    assert record.chance == pytest.approx(mask.mean(), abs=0.03)
    assert record.energy_in_mask == pytest.approx(
        record.cam[record.mask].sum() / record.cam.sum(), rel=1e-5
    )
    assert record.cam.max() == pytest.approx(1)


def test_without_a_mask_there_is_a_map_but_no_overlap(finished):
    study = ImageStudy(images=finished.study.images.drop(columns="mask"), root=finished.study.root)
    (record,) = explain(finished.run_dir, study, ["P03-1"])
    assert record.mask is None
    assert record.pointing_hit is None
    assert np.isnan(record.energy_in_mask)


def test_the_frame_has_a_row_an_image_and_torch_is_left_alone(finished):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    frame = cam_frame(explain(finished.run_dir, finished.study, ["P00-0", "P01-1"]))
    assert frame["image_id"].tolist() == ["P00-0", "P01-1"]
    assert list(frame.columns)[2:] == [
        "fold",
        "probability",
        "energy_in_mask",
        "pointing_hit",
        "chance",
        "model_hash",
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_unknown_image_is_refused(finished):
    with pytest.raises(ArgumentError, match="1 of 2 are not images of this study"):
        explain(finished.run_dir, finished.study, ["P00-0", "P99-0"])
