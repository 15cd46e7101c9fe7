"""A long validation that was killed goes on, and nobody else's replicates are taken for its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy import special

from usstats._validation.checkpoint import MANIFEST, SHARD
from usstats.errors import ResampleError
from usstats.imputation import fit_imputed, impute
from usstats.logistic import LogisticFit, fit_logistic
from usstats.optimism import validate
from usstats.recipe import Recipe
from usstats.resample import Resamples
from usstats.selection import BackwardElimination

N_BOOT = 2 * SHARD + 5


def cohort() -> tuple[pd.DataFrame, LogisticFit]:
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.normal(size=(140, 4)), columns=list("abcd"))
    data["y"] = (rng.random(140) < special.expit(data["a"])).astype(int)
    return data, fit_logistic("y ~ a + b", data)


@dataclass(frozen=True)
class Fragile:
    """Backward elimination that stops for good when a file says so."""

    file: str

    def __call__(self, copies, outcome, terms):  # type: ignore[no-untyped-def]
        path = Path(self.file)
        if path.exists():
            left = int(path.read_text())
            if left == 0:
                raise KeyboardInterrupt
            path.write_text(str(left - 1))
        return BackwardElimination()(copies, outcome, terms)


def recipe_of(path: Path) -> Recipe:
    return Recipe(formula="y ~ a + b + c + d", select=Fragile(str(path)))


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("stored", [False, True])
def test_progress_counts_the_replicates(tmp_path: Path, n_jobs: int, stored: bool) -> None:
    data, fit = cohort()
    heard: list[tuple[int, int]] = []
    validate(
        fit,
        data,
        n_boot=SHARD + 3,
        seed=1,
        recipe=recipe_of(tmp_path / "never"),
        n_jobs=n_jobs,
        checkpoint=tmp_path / "shards" if stored else None,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard == [(i + 1, SHARD + 3) for i in range(SHARD + 3)]


@pytest.mark.parametrize("after", [0, 3, SHARD + 7])
def test_a_killed_run_goes_on_with_the_same_digits(tmp_path: Path, after: int) -> None:
    data, fit = cohort()
    fuse, folder = tmp_path / "fuse", tmp_path / "replicates"
    recipe = recipe_of(fuse)
    whole = validate(fit, data, n_boot=N_BOOT, seed=1, recipe=recipe)
    fuse.write_text(str(after))
    with pytest.raises(KeyboardInterrupt):
        validate(fit, data, n_boot=N_BOOT, seed=1, recipe=recipe, checkpoint=folder)
    fuse.write_text(str(N_BOOT - after // SHARD * SHARD))
    again = validate(fit, data, n_boot=N_BOOT, seed=1, recipe=recipe, checkpoint=folder)
    assert fuse.read_text() == "0"
    pd.testing.assert_frame_equal(again.frame(), whole.frame())
    pd.testing.assert_frame_equal(again.replicates(), whole.replicates())
    pd.testing.assert_frame_equal(again.selection, whole.selection)
    assert not list(folder.glob("*.tmp"))


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    data, fit = cohort()
    fuse, recipe = tmp_path / "fuse", recipe_of(tmp_path / "fuse")
    options = {"seed": 1, "recipe": recipe, "checkpoint": tmp_path / "replicates"}
    validate(fit, data, n_boot=N_BOOT, **options)
    fuse.write_text("0")
    for method in ("bootstrap", "harrell", ".632+"):
        validate(fit, data, n_boot=N_BOOT, method=method, **options)
    fewer = validate(fit, data, n_boot=20, **options)
    fuse.write_text(str(100 - N_BOOT))
    more = validate(fit, data, n_boot=100, **options)
    fuse.unlink()
    plain = {"seed": 1, "recipe": recipe}
    pd.testing.assert_frame_equal(fewer.frame(), validate(fit, data, n_boot=20, **plain).frame())
    pd.testing.assert_frame_equal(more.frame(), validate(fit, data, n_boot=100, **plain).frame())


def test_workers_leave_the_same_files(tmp_path: Path) -> None:
    data, fit = cohort()
    frames = {}
    for n_jobs in (1, 2):
        folder = tmp_path / str(n_jobs)
        recipe = Recipe(formula="y ~ a + b + c + d", select=BackwardElimination())
        result = validate(
            fit, data, n_boot=20, seed=1, recipe=recipe, checkpoint=folder, n_jobs=n_jobs
        )
        frames[n_jobs] = result.frame()
    pd.testing.assert_frame_equal(frames[1], frames[2])
    for one in (tmp_path / "1").glob("*.npz"):
        first, second = np.load(one), np.load(tmp_path / "2" / one.name)
        assert set(first.files) == set(second.files)
        assert all((first[name] == second[name]).all() for name in first.files)


def test_failed_replicates_are_remembered_as_failed(tmp_path: Path) -> None:
    data, _ = cohort()
    data["level"] = np.where(np.arange(140) < 2, "rare", "common")
    data.loc[:1, "y"] = [0, 1]
    fit = fit_logistic("y ~ a + level", data)
    draws = np.tile(np.arange(140), (20, 1))
    draws[3] = np.arange(140) // 2 + 2
    options = {"resamples": draws, "recipe": Recipe(knots="refit"), "checkpoint": tmp_path / "r"}
    first, second = (validate(fit, data, **options) for _ in range(2))
    assert first.n_failed == second.n_failed == 1
    pd.testing.assert_frame_equal(first.frame(), second.frame())


def test_imputations_and_folds_resume_too(tmp_path: Path) -> None:
    data, _ = cohort()
    data.loc[np.random.default_rng(2).random(140) < 0.2, "a"] = None
    copies = impute(data, m=2, seed=1, outcome="y")
    fit = fit_imputed("y ~ a + b", copies)
    for method, n_boot in (("bootstrap", 18), ("crossvalidation", 5)):
        options = {"n_boot": n_boot, "seed": 2, "method": method}
        folder = tmp_path / method
        frames = [
            validate(fit, copies, **options, checkpoint=c).frame() for c in (None, folder, folder)
        ]
        pd.testing.assert_frame_equal(frames[0], frames[1])
        pd.testing.assert_frame_equal(frames[0], frames[2])


OTHERS = {
    "seeds": lambda d: (d, {"seed": 2}),
    "data": lambda d: (d.assign(d=d["d"] + 1e-12), {"seed": 1}),
    "steps": lambda d: (d, {"seed": 1, "recipe": Recipe(formula="y ~ a + b + c", knots="refit")}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_foreign_checkpoint_is_refused(tmp_path: Path, name: str) -> None:
    data, fit = cohort()
    recipe = Recipe(formula="y ~ a + b + c + d", knots="refit")
    validate(fit, data, n_boot=5, seed=1, recipe=recipe, checkpoint=tmp_path)
    table, options = OTHERS[name](data)
    with pytest.raises(ResampleError, match=f"holds replicates of other {name} than this valid"):
        validate(fit, table, n_boot=5, checkpoint=tmp_path, **{"recipe": recipe, **options})


def test_other_draws_are_refused(tmp_path: Path) -> None:
    data, fit = cohort()
    recipe = Recipe(knots="refit")
    first, other = (Resamples.draw(140, n_boot=5, seed=seed) for seed in (1, 2))
    validate(fit, data, resamples=first, recipe=recipe, checkpoint=tmp_path)
    with pytest.raises(ResampleError, match=r"replicate 0 in replicates_0+\.npz was drawn"):
        validate(fit, data, resamples=other, recipe=recipe, checkpoint=tmp_path)


def test_a_changed_step_is_another_recipe(tmp_path: Path) -> None:
    data, fit = cohort()
    steps = [lambda copies, outcome, terms: terms[:1], lambda copies, outcome, terms: terms[:2]]
    recipes = [Recipe(formula="y ~ a + b + c + d", select=step) for step in steps]
    validate(fit, data, n_boot=5, seed=1, recipe=recipes[0], checkpoint=tmp_path)
    validate(fit, data, n_boot=5, seed=1, recipe=recipes[0], checkpoint=tmp_path)
    with pytest.raises(ResampleError, match="other steps"):
        validate(fit, data, n_boot=5, seed=1, recipe=recipes[1], checkpoint=tmp_path)


def test_folders_of_something_else_and_damaged_files_are_refused(tmp_path: Path) -> None:
    data, fit = cohort()
    options = {"n_boot": 5, "seed": 1, "recipe": Recipe(knots="refit")}
    strange = tmp_path / "photos"
    strange.mkdir()
    (strange / "cat.jpg").write_bytes(b"miaow")
    with pytest.raises(ResampleError, match="is no folder of replicates; give a new one"):
        validate(fit, data, checkpoint=strange, **options)
    with pytest.raises(ResampleError, match="is no folder of replicates"):
        validate(fit, data, checkpoint=strange / "cat.jpg", **options)
    own = tmp_path / "own"
    validate(fit, data, checkpoint=own, **options)
    shard = own / "replicates_0000000.npz"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(ResampleError, match=r"replicates_0+\.npz is damaged; delete"):
        validate(fit, data, checkpoint=own, **options)
    (own / MANIFEST).write_text("[1, 2")
    with pytest.raises(ResampleError, match="is no folder of replicates"):
        validate(fit, data, checkpoint=own, **options)


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    data, fit = cohort()
    options = {"n_boot": 5, "seed": 1, "recipe": Recipe(knots="refit"), "checkpoint": tmp_path}
    validate(fit, data, **options)
    shard = tmp_path / "replicates_0000000.npz"
    with np.load(shard) as file:
        content = {name: file[name] for name in file.files}
    content["test_0"] = np.array([print], dtype=object)
    np.savez(shard, **content)
    with pytest.raises(ResampleError, match="is damaged"):
        validate(fit, data, **options)


def test_a_plain_model_leaves_its_manifest(tmp_path: Path) -> None:
    data, fit = cohort()
    validate(fit, data, n_boot=20, seed=1, checkpoint=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]
    assert json.loads((tmp_path / MANIFEST).read_text())["parts"]["seeds"] == "1"
    with pytest.raises(ResampleError, match="other seeds"):
        validate(fit, data, n_boot=20, seed=2, checkpoint=tmp_path)


SCRIPT = """
import sys
from tests.usstats.test_checkpoint import cohort, recipe_of
from pathlib import Path
from usstats.optimism import validate
data, fit = cohort()
recipe = recipe_of(Path("absent"))
validate(fit, data, n_boot=100_000, seed=1, recipe=recipe, checkpoint=sys.argv[1])
"""


def test_a_killed_process_leaves_whole_files(tmp_path: Path) -> None:
    folder = tmp_path / "replicates"
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    with subprocess.Popen(command, cwd=root, env=environment) as process:  # noqa: S603
        while not (folder / f"replicates_{2 * SHARD:07d}.npz").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    data, fit = cohort()
    recipe = recipe_of(Path("absent"))
    again = validate(fit, data, n_boot=N_BOOT, seed=1, recipe=recipe, checkpoint=folder)
    whole = validate(fit, data, n_boot=N_BOOT, seed=1, recipe=recipe)
    pd.testing.assert_frame_equal(again.frame(), whole.frame())


@pytest.mark.parametrize("backend", ["threading", "dask"])
def test_the_workers_may_be_those_of_another_backend(backend: str) -> None:
    data, fit = cohort()
    recipe = Recipe(formula="y ~ a + b + c + d", select=BackwardElimination())
    alone = validate(fit, data, n_boot=12, seed=1, recipe=recipe)
    if backend == "dask":
        client = pytest.importorskip("distributed").Client(processes=False, n_workers=2)
        with client, parallel_config(backend="dask"):
            together = validate(fit, data, n_boot=12, seed=1, recipe=recipe, n_jobs=-1)
    else:
        with parallel_config(backend="threading"):
            together = validate(fit, data, n_boot=12, seed=1, recipe=recipe, n_jobs=2)
    pd.testing.assert_frame_equal(alone.frame(), together.frame())
