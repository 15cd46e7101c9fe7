"""A manifest says how files came to be, finds what changed, and names nobody."""

from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path

import pytest

from reports.files import atomic_write_text
from reports.manifest import MANIFEST_NAME, Manifest, make_manifest, verify
from usstats.errors import ArgumentError, SchemaError


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "run"
    atomic_write_text(tmp_path / "patients.csv", "patient_id\n1\n")
    atomic_write_text(folder / "a.csv", "a")
    atomic_write_text(folder / "deep" / "b.csv", "b")
    make_manifest(
        folder, inputs=[tmp_path / "patients.csv"], seeds={"bootstrap": 7}, details={"n_boot": 200}
    ).write(folder)
    return folder


def test_a_manifest_reads_back_as_it_was_written(run):
    found = Manifest.read(run)
    assert found.seeds == {"bootstrap": 7}
    assert set(found.outputs) == {"a.csv", "deep/b.csv"}
    assert set(found.inputs) == {"patients.csv"}
    assert {"numpy", "pandas"} <= set(found.packages)
    assert found.details == {"n_boot": 200}


def test_verify_names_each_file_that_is_not_as_it_was(run):
    assert verify(run) == []
    atomic_write_text(run / "a.csv", "other")
    (run / "deep" / "b.csv").unlink()
    atomic_write_text(run / "new.csv", "x")
    assert verify(run) == ["a.csv: changed", "deep/b.csv: missing", "new.csv: not in the manifest"]


def test_neither_user_nor_machine_nor_place_is_in_it(run):
    text = (run / MANIFEST_NAME).read_text("utf-8")
    content = json.loads(text)
    assert str(run.parent) not in text
    assert socket.gethostname() not in text
    assert getpass.getuser() not in map(str, content.values())
    assert not any(
        name.startswith(("/", "..")) for name in {**content["inputs"], **content["outputs"]}
    )


def test_a_file_outside_its_folder_is_refused(run, tmp_path):
    outside = atomic_write_text(tmp_path.parent / "outside.csv", "x")
    with pytest.raises(ArgumentError, match=r"'outside.csv' lies outside the folder"):
        make_manifest(run, inputs=[outside])


def test_a_folder_without_a_manifest_says_so(tmp_path):
    with pytest.raises(SchemaError, match=r"No manifest\.json in the folder"):
        verify(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"manifest_version": 99}, "has version 99"), ({"surprise": 1}, "does not have the fields")],
)
def test_a_manifest_of_another_kind_is_refused(run, change, message):
    content = json.loads((run / MANIFEST_NAME).read_text("utf-8")) | change
    atomic_write_text(run / MANIFEST_NAME, json.dumps(content))
    with pytest.raises(SchemaError, match=message):
        Manifest.read(run)
