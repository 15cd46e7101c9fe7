"""A run in one file: without torch it says of a picture what `dl.predict` says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.errors import CheckpointError, ImageError, MaskError
from dl.export import export_onnx
from dl.images import read_image, read_mask
from dl.onnx_network import OnnxNetwork
from dl.predict import predict, predict_masks, predict_members
from dl.prepare import Preparation
from dl.run_folder import open_run
from tests.dl.worlds import CLASSES, SIDE, tiny_config, write_classes, write_world
from usstats.errors import ArgumentError

ROOT = Path(__file__).parents[2]


def exported(root: Path, study: ImageStudy, other: ImageStudy, **values: Any) -> SimpleNamespace:
    config = tiny_config(**values)
    cross_validate(study, config, run_dir=root / "run", n_jobs=1)
    written = export_onnx(root / "run", root / "run.onnx")
    network = OnnxNetwork(root / "run.onnx")
    return SimpleNamespace(run_dir=root / "run", written=written, network=network, other=other)


@pytest.fixture(scope="module")
def served(finished, tmp_path_factory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("served")
    other = write_world(root / "other", n=6, seed=2, prefix="X")
    written = export_onnx(finished.run_dir, root / "run.onnx")
    network = OnnxNetwork(root / "run.onnx")
    return SimpleNamespace(run_dir=finished.run_dir, written=written, network=network, other=other)


def check_against_torch(given: SimpleNamespace, *, with_roi: bool = False) -> None:
    """Every image of another cohort: the numbers of `predict` and `predict_members`."""
    table = predict(given.run_dir, given.other)
    members = predict_members(given.run_dir, given.other)
    for row, image_id in enumerate(given.other.images["image_id"]):
        roi = given.other.file(row, "mask") if with_roi else None
        found = given.network.predict(given.other.file(row), roi=roi)
        own = table[table["image_id"] == image_id]
        for column in ("logit", "probability", "probability_calibrated"):
            np.testing.assert_allclose(getattr(found, column), own[column], atol=2e-5)
        each = members[members["image_id"] == image_id].pivot_table(
            index="member", columns="class", values="probability_calibrated", sort=False
        )
        np.testing.assert_allclose(found.members, each.to_numpy(), atol=2e-5)
        assert found.classes == tuple(own["class"])
        assert found.model_hash == own["model_hash"].iloc[0]


def test_a_file_says_of_other_patients_what_the_run_says(served):
    check_against_torch(served)
    assert served.written.max_difference < 1e-4
    assert served.written.inputs == {"image": (None, 1, 32, 32)}
    assert served.network.outputs == ["logits", "members", "evidence"]


def test_the_file_says_what_it_is_and_nothing_of_the_machine(served):
    run, facts = open_run(served.run_dir), served.network.facts
    assert facts == served.written.facts
    assert facts["model_hash"] == run.ensemble_hash
    assert facts["calibration"] == run.calibration.overall.to_dict()
    assert served.network.calibrator == run.calibration.overall
    assert served.network.preparation == Preparation.of(run.config)
    assert str(served.run_dir) not in json.dumps(facts)


def test_pixels_and_files_give_the_same_answer(served):
    file = served.other.file(0)
    from_file = served.network.predict(file)
    from_pixels = served.network.predict(read_image(file))
    colour = np.repeat(read_image(file)[..., None], 3, axis=2)
    np.testing.assert_array_equal(from_file.members, from_pixels.members)
    np.testing.assert_allclose(served.network.predict(colour).members, from_pixels.members)
    p = served.network.probability(file)
    assert isinstance(p, float)
    assert p == from_file.probability_calibrated[0]


def test_the_range_over_the_networks_holds_their_mean(served):
    found = served.network.predict(served.other.file(1))
    assert found.low[0] < found.probability_calibrated[0] < found.high[0]
    assert found.members.shape == (3, 1)
    frame = found.frame()
    assert frame["low"].tolist() == found.low.tolist()
    assert frame[["class", "n_members"]].to_numpy().tolist() == [["1", 3]]
    assert "range over 3 fold networks; unit: image" in repr(found)


def test_the_mean_of_the_evidence_is_the_logit_up_to_a_constant(served):
    files = [served.other.file(row) for row in range(len(served.other))]
    found = [served.network.predict(file) for file in files]
    rest = [each.logit - each.evidence.mean(axis=(1, 2)) for each in found]
    np.testing.assert_allclose(np.ravel(rest), rest[0].item(), atol=1e-5)
    assert np.ptp([each.logit for each in found]) > 0.1


def test_heat_lies_on_the_pictures_own_pixels(served):
    wide = np.full((40, 100), 90, dtype=np.uint8)
    wide[:, :30] = read_image(served.other.file(1))[4:44, 8:38]
    heat = served.network.predict(wide).heat()
    assert heat.shape == (40, 100)
    assert heat.min() >= 0
    assert heat.max() in (0, 1)
    with pytest.raises(ArgumentError, match="`name` must be one of '1'; got 'mole'"):
        served.network.predict(wide).heat("mole")


def test_neither_torch_nor_matplotlib_is_loaded(served):
    code = (
        "import sys\nfrom dl.onnx_network import OnnxNetwork\n"
        f"print(OnnxNetwork({str(served.network.path)!r}).probability("
        f"{str(served.other.file(0))!r}))\n"
        "print([name for name in ('torch', 'matplotlib') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603
    p, loaded = done.stdout.split("\n")[:2]
    assert float(p) == served.network.probability(served.other.file(0))
    assert loaded == "[]"


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8)), np.zeros((8, 8, 4), np.uint8), np.zeros(8, np.uint8), [[0.5]]],
)
def test_what_is_no_picture_is_refused(served, image):
    with pytest.raises(ArgumentError, match=r"`image` must be uint8 \(H, W\) or \(H, W, 3\)"):
        served.network.predict(image)


def test_a_broken_file_is_refused(served, tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"x\.png"):
        served.network.predict(tmp_path / "x.png")


def test_a_network_alone_takes_arrays_only(served, tmp_path):
    from tests.dl.test_export import small_network

    export_onnx(small_network(), tmp_path / "alone.onnx", size=32, in_channels=1)
    alone = OnnxNetwork(tmp_path / "alone.onnx")
    assert alone.outputs == ["logits"]
    with pytest.raises(ArgumentError, match=r"does not say its preparation: .* a network alone"):
        alone.predict(served.other.file(0))
    with pytest.raises(ArgumentError, match="does not segment; use `predict`"):
        alone.outline(served.other.file(0))


# --- other kinds of runs ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_frozen_run_of_several_margins_shares_its_trunk(tmp_path):
    study = write_world(tmp_path / "images")
    other = write_world(tmp_path / "other", n=6, seed=2, prefix="X")
    given = exported(
        tmp_path, study, other, route="frozen", region="roi", frozen_margins=(0.1, 0.4)
    )
    check_against_torch(given, with_roi=True)
    size = sum(f.stat().st_size for f in (tmp_path / "run/folds").rglob("*.safetensors"))
    assert given.written.path.stat().st_size < size + 60_000
    with pytest.raises(MaskError, match="there is neither a mask nor a roi"):
        given.network.predict(other.file(0))
    box = np.array([20, 12, 40, 30])
    heat = given.network.predict(other.file(0), roi=box).heat()
    assert heat.shape == (SIDE, SIDE)
    assert not heat[:, :12].any()
    mask = read_mask(other.file(0, "mask"))
    by_mask = given.network.probability(other.file(0), roi=mask)
    assert by_mask == given.network.probability(other.file(0), roi=other.file(0, "mask"))


@pytest.mark.slow
def test_variants_and_a_line_of_platt_go_with_the_file(tmp_path):
    study = write_world(tmp_path / "images")
    other = write_world(tmp_path / "other", n=6, seed=2, prefix="X")
    tta = ("rotate", "scale", "gain")
    given = exported(tmp_path, study, other, tta=tta, calibration="platt")
    check_against_torch(given)
    assert given.network.calibrator.kind == "platt"


@pytest.mark.slow
def test_a_run_of_several_classes(tmp_path):
    study = write_classes(tmp_path / "images")
    other = write_classes(tmp_path / "other", n=6, seed=2, prefix="Y")
    given = exported(tmp_path, study, other, classes=CLASSES, calibration="isotonic")
    check_against_torch(given)
    found = given.network.predict(other.file(0))
    assert found.probability_calibrated.sum() == pytest.approx(1)
    assert given.network.probability(other.file(0)).shape == (3,)
    assert found.heat("plain").shape == (SIDE, SIDE)


def pairs(root: Path, *, n: int, seed: int, prefix: str) -> ImageStudy:
    """Gray speckle beside a Doppler image that is red in events; every third is missing."""
    rng, rows = np.random.default_rng(seed), []
    root.mkdir(parents=True)
    for i in range(n):
        name = f"{prefix}{i:02d}"
        Image.fromarray(rng.integers(0, 200, (SIDE, SIDE), dtype=np.uint8)).save(
            root / f"{name}.png"
        )
        flow = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
        flow[10:30, 10:30, 0 if i % 2 else 2] = rng.integers(100, 255, (20, 20))
        Image.fromarray(flow).save(root / f"{name}-d.png")
        rows.append((name, name, f"{name}.png", "" if i % 3 == 2 else f"{name}-d.png", i % 2))
    names = ["image_id", "patient_id", "path", "doppler_path", "label"]
    return ImageStudy(images=pd.DataFrame(rows, columns=names), root=root)


@pytest.mark.slow
def test_a_run_of_pairs_takes_both_pictures(tmp_path):
    study = pairs(tmp_path / "images", n=18, seed=1, prefix="P")
    other = pairs(tmp_path / "other", n=6, seed=2, prefix="X")
    options = {"dim": 16, "heads": 2, "channels": [8, 8, 8, 8, 16], "scales": [1, 2]}
    given = exported(tmp_path, study, other, architecture="dual_aspp", options=options, epochs=1)
    assert given.written.inputs == {"image": (None, 5, 32, 32)}
    assert given.network.outputs == ["logits", "members"]
    table = predict(given.run_dir, other)
    for row in range(len(other)):
        found = given.network.predict(other.file(row), doppler=other.file(row, "doppler_path"))
        assert found.logit[0] == pytest.approx(table["logit"][row], abs=2e-5)
    with pytest.raises(ArgumentError, match="gives no evidence map"):
        found.heat()


@pytest.mark.slow
def test_a_network_of_two_tasks_outlines_too(tmp_path):
    study = write_world(tmp_path / "images")
    other = write_world(tmp_path / "other", n=4, seed=2, prefix="X")
    options = {"encoder": "mobilenet_v2", "widths": [8, 8, 8, 8, 8]}
    given = exported(
        tmp_path, study, other, architecture="multitask_unet", options=options, epochs=1
    )
    assert given.network.outputs == ["logits", "mask", "members", "evidence"]
    check_against_torch(given)
    table = predict_masks(given.run_dir, other, folder=tmp_path / "masks")
    for row, file in enumerate(table["mask_file"]):
        p = given.network.outline(other.file(row))
        assert p.shape == (SIDE, SIDE)
        square = np.asarray(Image.open(tmp_path / "masks" / file)) / 255
        assert abs(p.mean() - square.mean()) < 0.02


def test_damaged_facts_are_refused(served, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(served.written.path)
    model.metadata_props[0].value = model.metadata_props[0].value[:-9]
    onnx.save(model, tmp_path / "cut.onnx")
    with pytest.raises(CheckpointError, match=r"cut\.onnx: what it says of its run is damaged"):
        OnnxNetwork(tmp_path / "cut.onnx")
