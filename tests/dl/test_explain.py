"""A development image is explained by the network that never met its patient."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dl.cam import GradCam, LinearCam, Occlusion, unit_map
from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.explain import cam_frame, explain
from dl.images import read_image, read_mask
from dl.inference import as_input
from dl.predict import predict
from dl.prepare import Preparation
from dl.run_folder import open_run
from tests.dl.worlds import (
    CLASSES,
    altered,
    lesion_image,
    tiny_config,
    write_classes,
    write_world,
)
from usstats import cam_overlap, cam_report
from usstats.errors import ArgumentError
from usstats.plots.cam import plot_cam_panels


def own_map(finished, row: int, fold: int, **side) -> np.ndarray:
    run = open_run(finished.run_dir)
    x = as_input(Preparation.of(run.config).views(read_image(finished.study.file(row)), None))
    with GradCam(run.network(fold)) as cam:
        return unit_map((cam(x, **side)[0] + cam(x.flip(-1), **side)[0].flip(-1)) / 2)


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


def test_a_development_file_under_another_name_is_explained_out_of_fold(finished):
    study = finished.study
    renamed = altered(study, patient_id=[f"X-{name}" for name in study.patients])
    (record,) = explain(finished.run_dir, renamed, ["P03-1"])
    (own,) = explain(finished.run_dir, study, ["P03-1"])
    assert record.fold == own.fold
    np.testing.assert_array_equal(record.cam, own.cam)


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
        "method",
        "toward",
        "probability",
        "energy_in_mask",
        "pointing_hit",
        "chance",
        "iou",
        "iou_chance",
        "model_hash",
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_unknown_image_is_refused(finished):
    with pytest.raises(ArgumentError, match="1 of 2 are not images of this study"):
        explain(finished.run_dir, finished.study, ["P00-0", "P99-0"])


# --------------------------------------------------------------------- methods, sides and layers


def test_against_the_event_the_other_map_is_shown(finished):
    (toward,) = explain(finished.run_dir, finished.study, ["P03-1"])
    (against,) = explain(finished.run_dir, finished.study, ["P03-1"], toward="non_event")
    assert (toward.toward, against.toward) == ("event", "non_event")
    assert toward.probability == against.probability
    row = finished.study.rows(["P03-1"])[0]
    own = own_map(finished, row, against.fold, toward="non_event")
    np.testing.assert_allclose(against.cam, own, atol=1e-5)
    assert np.abs(toward.cam - own).max() > 0.5


@pytest.mark.parametrize(
    ("method", "options"),
    [("gradcam++", {}), ("layercam", {"layer": "trunk.act"}), ("eigencam", {}), ("cam", {})],
)
def test_other_methods_and_layers(finished, method, options):
    (record,) = explain(finished.run_dir, finished.study, ["P03-1"], method=method, **options)
    assert (record.method, record.toward) == (method, "event")
    assert record.cam.max() == pytest.approx(1)
    assert repr(record).startswith(f"<{method} 32 x 32 toward event of the network of fold")


def test_an_occlusion_takes_its_options(finished):
    (record,) = explain(
        finished.run_dir, finished.study, ["P03-1"], method="occlusion", patch=8, stride=8
    )
    run = open_run(finished.run_dir)
    image = read_image(finished.study.file(finished.study.rows(["P03-1"])[0]))
    x = as_input(Preparation.of(run.config).views(image, None))
    with Occlusion(run.network(record.fold), patch=8, stride=8) as cam:
        own = unit_map((cam(x)[0] + cam(x.flip(-1))[0].flip(-1)) / 2)
    np.testing.assert_allclose(record.cam, own, atol=1e-5)
    assert len(np.unique(record.cam.round(6))) <= 16


def test_the_maps_of_a_study_are_reported_against_chance(finished):
    records = explain(finished.run_dir, finished.study, list(finished.study.images["image_id"]))
    report = cam_report(cam_frame(records))
    assert report.n_cluster == finished.study.images["patient_id"].nunique()
    rows = report.frame().set_index(["measure", "group"])["estimate"]
    assert rows["iou", "map"] == pytest.approx(np.mean([r.iou for r in records]))
    one = records[3]
    by_hand = cam_overlap(one.cam, one.mask)
    assert (one.iou, one.iou_chance) == (by_hand.iou, by_hand.iou_chance)
    figure = plot_cam_panels([one.panel("lesion\n0.83")])
    assert figure.axes[0].get_title(loc="left") == "lesion\n0.83"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"method": "saliency"}, "`method` must be one of 'gradcam'"),
        ({"toward": "malignant"}, "`toward` must be one of 'event', 'non_event'; got 'malignant'"),
        ({"method": "eigencam", "toward": "event"}, "`method` 'eigencam' knows no class"),
        ({"layer": "peak"}, "`layer` 'peak' is no part of the network"),
        ({"method": "gates"}, "has no gates"),
    ],
)
def test_what_cannot_be_drawn_is_refused(finished, asked, message):
    with pytest.raises(ArgumentError, match=message):
        explain(finished.run_dir, finished.study, ["P00-0"], **asked)


# ----------------------------------------------------------------------------- other kinds of run


def one_run(root, study, **values) -> SimpleNamespace:
    config = tiny_config(**({"epochs": 2, "folds": 2, "flip_views": False} | values))
    table = cross_validate(study, config, run_dir=root / "run", n_jobs=1)
    return SimpleNamespace(study=study, run_dir=root / "run", table=table, config=config)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    root = tmp_path_factory.mktemp("classes")
    return one_run(root, write_classes(root / "images", n=12), classes=CLASSES, folds=2, epochs=4)


def test_of_several_classes_one_is_explained_by_name(classes):
    x = classes.table.set_index(["image_id", "class"])
    images = ["Q00-0", "Q04-0", "Q05-1"]
    for name in CLASSES:
        for record in explain(classes.run_dir, classes.study, images, toward=name):
            row = x.loc[(record.image_id, name)]
            assert record.toward == name
            assert record.fold == row["fold"]
            assert record.probability == pytest.approx(row["probability"], abs=1e-5)
            assert record.logit == pytest.approx(row["logit"], abs=1e-4)
    run = open_run(classes.run_dir)
    pixels = read_image(classes.study.file(classes.study.rows(["Q05-1"])[0]))
    view = as_input(Preparation.of(run.config).views(pixels, None))
    with GradCam(run.network(record.fold)) as cam:
        np.testing.assert_allclose(record.cam, unit_map(cam(view, toward=2)[0]), atol=1e-5)


def test_without_a_name_the_predicted_class_is_explained(classes):
    images = list(classes.study.images["image_id"][:6])
    own = classes.table.sort_values("probability").drop_duplicates("image_id", keep="last")
    best = own.set_index("image_id")["class"]
    for method in ("gradcam", "eigencam"):
        records = explain(classes.run_dir, classes.study, images, method=method)
        assert [r.toward for r in records] == best[images].tolist()
    with pytest.raises(ArgumentError, match="`toward` must be one of 'layered', 'columnar'"):
        explain(classes.run_dir, classes.study, images, toward="event")


def test_a_frozen_network_of_several_margins_is_shown_at_the_middle_one(tmp_path):
    study = write_world(tmp_path / "images", n=10)
    frozen = one_run(tmp_path, study, route="frozen", region="roi", frozen_margins=(0.0, 0.2, 0.5))
    run, (record,) = open_run(frozen.run_dir), explain(frozen.run_dir, study, ["P03-1"])
    row = frozen.table.set_index("image_id").loc["P03-1"]
    assert record.logit == pytest.approx(row["logit"], abs=1e-4)
    preparation = Preparation.of(run.config)
    views = preparation.compose(preparation.read(study, study.rows(["P03-1"])[0]))
    np.testing.assert_array_equal(record.image, views[1, 0])
    with LinearCam(run.network(record.fold)) as cam:
        np.testing.assert_allclose(record.cam, unit_map(cam(as_input(views[1:2]))[0]), atol=1e-4)
    assert 0.1 < record.mask.mean() < 0.9


def write_pairs(root, n: int = 8) -> ImageStudy:
    """Gray images, and Doppler images for all patients but the last."""
    study, rng = write_world(root, n=n, per_patient=1), np.random.default_rng(5)
    files = []
    for i, name in enumerate(study.images["image_id"]):
        pixels, _ = lesion_image(rng, event=bool(i % 2))
        Image.fromarray(np.stack([pixels, pixels // 2, pixels // 4], -1)).save(
            root / f"{name}-d.png"
        )
        files.append(f"{name}-d.png" if i < n - 1 else "")
    return altered(study, doppler_path=files)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    plan = {"dim": 16, "heads": 2, "channels": [8, 8, 8, 8, 16], "scales": [1, 2]}
    values = {"architecture": "dual_aspp", "options": plan, "input_size": 64, "epochs": 1}
    return one_run(root, write_pairs(root / "images"), **values)


def test_of_a_pair_both_images_have_a_map_in_one_unit(pairs):
    with_doppler, without = explain(pairs.run_dir, pairs.study, ["P00-0", "P07-0"])
    second = with_doppler.second
    assert with_doppler.image.shape == (64, 64)
    assert second.image.shape == (64, 64, 3)
    assert second.mask.shape == second.cam.shape == with_doppler.cam.shape == (64, 64)
    assert max(second.cam.max(), with_doppler.cam.max()) == pytest.approx(1)
    run = open_run(pairs.run_dir)
    preparation = Preparation.of(run.config)
    views = preparation.compose(preparation.read(pairs.study, 0))
    with GradCam(run.network(with_doppler.fold)) as cam:
        maps = cam.maps(as_input(views))
    top = max(float(m.max()) for m in maps.values())
    np.testing.assert_allclose(with_doppler.cam, maps["gray"][0] / top, atol=1e-5)
    np.testing.assert_allclose(second.cam, maps["doppler"][0] / top, atol=1e-5)
    assert without.second is None
    table = pairs.table.set_index("image_id")
    assert without.logit == pytest.approx(table.loc["P07-0", "logit"], abs=1e-4)
    figure = plot_cam_panels([with_doppler.panel(), without.panel()])
    assert len(figure.axes) == 7
    with pytest.raises(ArgumentError, match="is explained at both encoders"):
        explain(pairs.run_dir, pairs.study, ["P00-0"], layer="network.gray")


def test_of_a_pair_each_image_is_covered_on_its_own(pairs):
    (record,) = explain(
        pairs.run_dir, pairs.study, ["P00-0"], method="occlusion", patch=32, stride=32
    )
    assert record.second.cam.shape == (64, 64)
    assert len(np.unique(record.cam.round(6))) <= 4


def test_of_two_tasks_the_class_is_explained_and_regions_are_one_mask(tmp_path):
    study = write_world(tmp_path / "images", n=8)
    for name in study.images["mask"]:
        inside = np.array(Image.open(tmp_path / "images" / name)) > 0
        inner = inside & (np.arange(48) < 24)
        Image.fromarray(inside.astype(np.uint8) + inner).save(tmp_path / "images" / name)
    options = {"encoder": "tiny", "widths": [8], "n_mask_classes": 3}
    run = one_run(tmp_path, study, architecture="multitask_unet", options=options, epochs=1)
    (record,) = explain(run.run_dir, study, ["P03-1"])
    labels = np.array(Image.open(tmp_path / "images" / "P03-1-mask.png"))
    assert record.chance == pytest.approx((labels > 0).mean(), abs=0.03)
    (exact,) = explain(run.run_dir, study, ["P03-1"], method="cam")
    np.testing.assert_allclose(record.cam, exact.cam, atol=1e-4)


def test_gates_are_explained_by_their_mean(tmp_path):
    study = write_world(tmp_path / "images", n=8)
    run = one_run(tmp_path, study, architecture="attention_resnet18", epochs=1)
    (record,) = explain(run.run_dir, study, ["P03-1"], method="gates")
    opened = open_run(run.run_dir)
    row = study.rows(["P03-1"])[0]
    x = as_input(Preparation.of(opened.config).views(read_image(study.file(row)), None))
    with torch.no_grad():
        parts = opened.network(record.fold).coefficients(x)
    mean = sum(torch.nn.functional.interpolate(a, (32, 32), mode="bilinear") for a in parts) / 2
    np.testing.assert_allclose(record.cam, unit_map(mean[0, 0]), atol=1e-5)


def test_a_network_without_a_class_is_refused(tmp_path):
    study = write_world(tmp_path / "images", n=6)
    options = {"encoder": "tiny", "widths": [8]}
    run = one_run(tmp_path, study, architecture="unet", options=options, epochs=1)
    with pytest.raises(ArgumentError, match="'unet' gives no class"):
        explain(run.run_dir, study, ["P03-1"])
    assert isinstance(cam_frame([]), pd.DataFrame)
