"""One finished run that many tests look at and none may change."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from dl.crossval import cross_validate
from tests.dl.worlds import tiny_config, write_world


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("world")
    study, config = write_world(root / "images"), tiny_config(epochs=8)
    table = cross_validate(study, config, run_dir=root / "run", n_jobs=1)
    return SimpleNamespace(study=study, config=config, run_dir=root / "run", table=table)


@pytest.fixture
def run_copy(finished: SimpleNamespace, tmp_path: Path) -> SimpleNamespace:
    """A copy of the finished run to be damaged."""
    shutil.copytree(finished.run_dir, tmp_path / "run")
    return SimpleNamespace(**vars(finished) | {"run_dir": tmp_path / "run"})
