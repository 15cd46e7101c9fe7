"""Gray and Doppler images meet by patient, side and view, and never by guess."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dl.data import ImageStudy
from dl.errors import ImageError
from dl.pairing import is_modality, pair_images, pairing_faults
from usstats.errors import ArgumentError, PairingError, SchemaError


def long_table(*, patients: int = 4, seed: int | None = None) -> pd.DataFrame:
    """A gray and a Doppler image of two sides in two views of every patient."""
    rows = [
        {
            "image_id": f"{patient}-{side}-{view}-{modality}",
            "patient_id": str(patient),
            "path": f"{patient}{side}{view}{modality}.png",
            "modality": modality,
            "side": side,
            "view": view,
            "roi": f"0 0 {patient + 1} 9" if modality == "doppler" else "",
            "label": patient % 2,
        }
        for patient in range(patients)
        for side in ("left", "right")
        for view in ("long", "trans")
        for modality in ("gray", "doppler")
    ]
    table = pd.DataFrame(rows)
    return table if seed is None else table.sample(frac=1, random_state=seed, ignore_index=True)


def naive_pairs(table: pd.DataFrame) -> dict[str, str | None]:
    """Every gray image by search through all rows."""
    found = {}
    for _, gray in table[table["modality"] == "gray"].iterrows():
        same = [
            other["path"]
            for _, other in table.iterrows()
            if other["modality"] == "doppler"
            and all(gray[name] == other[name] for name in ("patient_id", "side", "view"))
        ]
        found[gray["image_id"]] = same[0] if same else None
    return found


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_pairs_are_those_of_a_search_through_all_rows_in_any_order(seed):
    table = long_table(seed=seed)
    table = table.drop(index=table.index[table["modality"] == "doppler"][[0, 5]])
    pairs = pair_images(table)
    found = {
        name: None if pd.isna(path) else path
        for name, path in zip(pairs["image_id"], pairs["doppler_path"], strict=True)
    }
    assert found == naive_pairs(table)
    gray = table["image_id"][table["modality"] == "gray"].tolist()
    assert pairs["image_id"].tolist() == gray


def test_what_the_doppler_image_brings_is_its_own_and_a_missing_one_is_counted():
    table = long_table().drop(index=1)
    pairs = pair_images(table)
    assert pairs["doppler_path"].isna().sum() == 1
    study = ImageStudy(images=pairs, root=".")
    assert study.has_doppler.tolist() == [False] + [True] * 15
    assert pairs["doppler_image_id"].tolist()[1:3] == [
        "0-left-trans-doppler",
        "0-right-long-doppler",
    ]
    last = len(pairs) - 1
    assert study.region(last) is None
    assert study.region(last, "doppler").tolist() == [0, 0, 4, 9]


def test_capital_letters_and_blanks_do_not_part_a_pair():
    table = long_table(patients=1)
    table["side"] = ["left", " LEFT "] * 2 + ["Right", "right"] * 2
    assert pair_images(table)["doppler_path"].notna().all()


def test_patients_are_never_told_apart_loosely():
    table = long_table(patients=1).head(2).assign(patient_id=["p", "P"])
    with pytest.raises(SchemaError, match=r"2 identifiers differ in case, .* \(rows 0, 1, \.\.\."):
        pair_images(table)


def test_empty_cells_agree_with_empty_cells():
    table = long_table(patients=1).head(2).assign(view=[np.nan, ""])
    assert pair_images(table)["doppler_path"].tolist() == ["0leftlongdoppler.png"]


def test_bmode_is_a_gray_image():
    table = long_table().replace({"modality": {"gray": "bmode", "doppler": "Doppler"}})
    assert pair_images(table)["doppler_path"].notna().all()


def test_without_doppler_every_row_stays_and_none_is_paired():
    table = long_table().query("modality == 'gray'")
    pairs = pair_images(table)
    assert len(pairs) == 16
    assert pairs["doppler_path"].isna().all()


def changed(row: int, **values) -> pd.DataFrame:
    table = long_table()
    for name, value in values.items():
        table.loc[row, name] = value
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (changed(3, view="long"), "More than one Doppler image under one key: rows 0, 1, 3 "),
        (changed(2, view="long"), "more than one gray image to choose from: rows 0, 1, 2 "),
        (changed(1, side="middle"), "A Doppler image without its gray image: rows 1 "),
        (changed(1, patient_id="99"), "A Doppler image without its gray image: rows 1 "),
        (changed(1, label=1), "A pair under two labels: rows 0, 1 "),
        (changed(1, path="3rightlongdoppler.png"), "more than one row: rows 1, 29 "),
        (changed(1, path="0leftlonggray.png"), "more than one row: rows 0, 1 "),
    ],
)
def test_a_pair_that_is_not_clear_is_refused_with_its_rows(table, message):
    with pytest.raises(PairingError, match=message):
        pair_images(table)


def test_another_patients_doppler_is_refused_whatever_the_key():
    table = long_table().assign(examination=np.repeat(np.arange(16), 2))
    assert pair_images(table, by=["examination"])["doppler_path"].notna().all()
    table.loc[5, "patient_id"] = "3"
    with pytest.raises(PairingError, match="A pair of two patients: rows 4, 5 "):
        pair_images(table, by=["examination"])


def test_many_rows_are_counted_rather_than_listed():
    table = long_table().assign(modality="doppler")
    with pytest.raises(PairingError, match=r"rows 0, 1, 2, 3, 4 and 27 more \(counted from 0\)"):
        pair_images(table)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (long_table().drop(columns="view"), "`by`: the images table lacks view"),
        (changed(4, modality="elastography"), "`modality` must be one of .* rows 4 "),
        (changed(4, modality=None), "another word or none stands in rows 4 "),
        (long_table().drop(columns="path"), "lacks the column"),
        (changed(4, image_id="0-left-long-gray"), "`image_id` is repeated"),
    ],
)
def test_a_table_that_cannot_be_paired_is_refused(table, message):
    with pytest.raises(SchemaError, match=message):
        pair_images(table)


def test_no_key_at_all_is_refused():
    with pytest.raises(SchemaError, match="`by`: the images table lacks any name"):
        pair_images(long_table(), by=[])


def test_without_modality_doppler_is_found_by_its_colour(tmp_path):
    table = long_table()
    rng = np.random.default_rng(1)
    for path, modality in zip(table["path"], table["modality"], strict=True):
        pixels = np.repeat(rng.integers(0, 200, (30, 30, 1), dtype=np.uint8), 3, axis=2)
        if modality == "doppler":
            pixels[5:9, 5:9] = 220, 30, 10
        Image.fromarray(pixels).save(tmp_path / path)
    found = pair_images(table.drop(columns="modality"), root=tmp_path)
    pd.testing.assert_frame_equal(found, pair_images(table).drop(columns="modality"))
    with pytest.raises(ArgumentError, match="give their folder as `root`"):
        pair_images(table.drop(columns="modality"))
    (tmp_path / table["path"][3]).unlink()
    with pytest.raises(ImageError, match="row 3: "):
        pair_images(table.drop(columns="modality"), root=tmp_path)


def test_a_paired_table_is_not_paired_again():
    with pytest.raises(SchemaError, match="it is paired already"):
        pair_images(pair_images(long_table()))


def test_frames_of_one_loop_are_different_pictures():
    table = changed(1, path="0leftlonggray.png").assign(frame="")
    with pytest.raises(PairingError, match="more than one row: rows 0, 1 "):
        pair_images(table)
    table.loc[1, "frame"] = "7"
    pairs = pair_images(table)
    assert pairs["doppler_frame"].tolist()[:2] == ["7", ""]


def test_pairing_loads_no_torch():
    code = "import sys, dl.pairing, dl.doppler; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own interpreter


def test_all_faults_are_found_at_once_and_the_first_is_the_one_raised():
    table = long_table()
    table = pd.concat([table, table.iloc[[1]].assign(image_id="again")], ignore_index=True)
    table = table.drop(index=6).reset_index(drop=True)
    faults = {fault.code: fault for fault in pairing_faults(table)}
    assert list(faults) == ["doppler_twice", "doppler_unpaired", "doppler_shared"]
    assert faults["doppler_unpaired"].rows == (6,)
    assert faults["doppler_shared"].rows == (1, len(table) - 1)
    with pytest.raises(PairingError) as caught:
        pair_images(table)
    assert str(caught.value) == str(faults["doppler_twice"].error())
    assert pairing_faults(long_table()) == []


def test_gray_has_several_names_and_other_modalities_one():
    words = pd.Series(["gray", " B-Mode ", "doppler", "elastography", np.nan])
    assert is_modality(words, "bmode").tolist() == [True, True, False, False, False]
    assert is_modality(words, "Elastography").tolist() == [False, False, False, True, False]
