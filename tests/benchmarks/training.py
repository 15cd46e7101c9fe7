"""Training, and the images it takes, against MONAI's loader and against doing things twice."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.testing import assert_array_equal
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import nn

from dl._training.fold import FoldTask
from dl._training.objective import Objective
from dl._training.optimisation import Learner
from dl.config import TrainConfig
from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.geometry import letterbox
from dl.images import read_image
from dl.inference import as_input, steady_torch
from dl.prepare import Preparation, PreparedImages, prepare
from dl.registry import build
from dl.train import _train_epoch
from tests.benchmarks.limits import Limit
from tests.benchmarks.measure import Work, resident_bytes
from tests.benchmarks.races import Race

SIDE = 128
BATCH = 16
TEN_THOUSAND = "from tests.benchmarks.training import prepare_many\nprepare_many(10_000)"


def written_study(folder: Path, n: int, *, shape: tuple[int, int], seed: int = 1) -> ImageStudy:
    """Smooth speckle as RGB files, as scanners export them; a label that means nothing."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        speckle = gaussian_filter(rng.gamma(2.0, 30.0, shape), 1.5).clip(0, 255).astype(np.uint8)
        Image.fromarray(speckle).convert("RGB").save(folder / f"{i}.png")
    names = [str(i) for i in range(n)]
    table = {"image_id": names, "patient_id": names, "path": [f"{name}.png" for name in names]}
    return ImageStudy(images=pd.DataFrame(table | {"label": np.arange(n) % 2}), root=folder)


@dataclass(frozen=True)
class Bench:
    """A prepared study of `n` images of the size of BrEaST-Lesions-USG."""

    n: int

    @cached_property
    def folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="usstats-bench-"))

    @cached_property
    def config(self) -> TrainConfig:
        return TrainConfig(
            seed=1, region="whole", input_size=SIDE, batch_size=BATCH, folds=2, epochs=2
        )

    @cached_property
    def study(self) -> ImageStudy:
        return written_study(self.folder, self.n, shape=(523, 620))

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @cached_property
    def prepared(self) -> PreparedImages:
        return prepare(self.study, Preparation.of(self.config), cache_dir=self.cache)

    def task(self) -> FoldTask:
        """Everything is trained on."""
        return FoldTask(
            config=self.config,
            fold=0,
            folder=self.folder,
            views=self.prepared.cache,
            rows=np.arange(self.n),
            labels=np.arange(self.n) % 2,
            groups=np.arange(self.n),
            is_tuning=np.zeros(self.n, dtype=bool),
            held_out_rows=np.empty(0, dtype=np.int64),
            identity={},
        )

    def run(self, route: str) -> None:
        """A whole cross-validation in a folder of its own."""
        with tempfile.TemporaryDirectory(dir=self.folder) as run_dir:
            if self.cache.is_dir():
                shutil.copytree(self.cache, Path(run_dir, "cache"))
            cross_validate(self.study, self.config.changed(route=route), run_dir=run_dir, n_jobs=1)
            if not self.cache.is_dir():
                shutil.copytree(Path(run_dir, "cache"), self.cache)


def epoch_and_monai() -> Race:
    torch.set_num_threads(1)
    bench = Bench(96)
    task = bench.task()
    network = build("efficientnet_lite0", n_classes=1, in_channels=1)
    learner = Learner(network.to(memory_format=torch.channels_last), bench.config)
    objective, views = Objective.of(bench.config, task.train_labels), task.load_views()

    def ours() -> None:
        with steady_torch(1):
            _train_epoch(learner, objective, task, views, 0)

    return Race(
        work="an epoch after the first, EfficientNet-Lite0, 96 images at 128 px",
        peer="MONAI Dataset and DataLoader, the same network",
        goal=1.8,
        ours=ours,
        theirs=monai_epoch(bench),
        agree=lambda: None,
        given="2.1",
    )


def monai_epoch(bench: Bench) -> Work:
    """The loop of MONAI's tutorials: decode, transform and collate, image by image."""
    from monai.data import DataLoader, Dataset
    from monai.transforms import (
        Compose,
        EnsureChannelFirstd,
        Lambdad,
        LoadImaged,
        RandAdjustContrastd,
        RandAffined,
        RandFlipd,
        Resized,
        ScaleIntensityd,
    )

    steps = [
        LoadImaged("image"),
        EnsureChannelFirstd("image"),
        ScaleIntensityd("image"),
        Lambdad("image", lambda image: image.mean(dim=0, keepdim=True)),
        Resized("image", (SIDE, SIDE)),
        RandFlipd("image", prob=0.5, spatial_axis=0),
        RandAffined("image", prob=1, rotate_range=0.17, scale_range=0.15, translate_range=10),
        RandAdjustContrastd("image", prob=1, gamma=(0.8, 1.25)),
    ]
    files = [
        {"image": str(bench.study.file(row)), "label": float(row % 2)} for row in range(bench.n)
    ]
    loader = DataLoader(Dataset(files, Compose(steps)), batch_size=BATCH, shuffle=True)
    network = build("efficientnet_lite0", n_classes=1, in_channels=1).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-4)
    loss_of = nn.BCEWithLogitsLoss()

    def epoch() -> None:
        for batch in loader:
            optimiser.zero_grad()
            loss = loss_of(network(batch["image"].as_tensor())[:, 0], batch["label"].float())
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()

    return epoch


def cached_and_decoded() -> Race:
    bench = Bench(32)
    rows = np.arange(bench.n)
    views = np.load(bench.prepared.cache, mmap_mode="r")

    def decode() -> np.ndarray:
        return np.stack([letterbox(gray(bench.study.file(row)), SIDE) for row in rows])[:, None]

    return Race(
        work="a batch of 32 prepared images as a tensor",
        peer="decoding the files and fitting them to 128 px",
        goal=50,
        ours=lambda: as_input(views[rows, 0]),
        theirs=lambda: as_input(decode()),
        agree=lambda: assert_array_equal(views[rows, 0], decode()),
        given="> 50",
    )


def gray(file: Path | None) -> np.ndarray:
    return np.asarray(Image.fromarray(read_image(file or "")).convert("L"))


def cached_features_and_fine_tuning() -> Race:
    bench = Bench(96)
    bench.run("frozen")
    return Race(
        work="cross-validation from cached features, 96 images, 2 folds",
        peer="fine-tuning for ten epochs",
        goal=50,
        ours=lambda: bench.run("frozen"),
        theirs=lambda: Bench.run(_ten_epochs(bench), "finetune"),
        agree=lambda: None,
        given="> 50",
    )


def _ten_epochs(bench: Bench) -> Bench:
    longer = Bench(bench.n)
    longer.__dict__.update(bench.__dict__, config=bench.config.changed(epochs=10))
    return longer


def limits() -> Iterator[Limit]:
    yield Limit(
        work="resident memory of 10,000 images read, cached and searched for copies",
        unit="GB",
        most=2.0,
        measured=lambda: resident_bytes(TEN_THOUSAND) / 1e9,
    )


def prepare_many(n: int) -> None:
    """Write, prepare and compare `n` images, then take every one of them as a tensor."""
    with tempfile.TemporaryDirectory() as folder:
        study = written_study(Path(folder), n, shape=(200, 240))
        config = TrainConfig(seed=1, region="whole", input_size=SIDE)
        prepared = prepare(study, Preparation.of(config), cache_dir=Path(folder) / "cache")
        prepared.duplicates()
        for start in range(0, n, BATCH):
            as_input(prepared.views[start : start + BATCH, 0])


#: Built one at a time, so that only one study is on the disk.
RACES = (epoch_and_monai, cached_and_decoded, cached_features_and_fine_tuning)
