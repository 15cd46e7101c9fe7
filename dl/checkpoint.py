"""Weights and training states as safetensors beside JSON with a SHA-256; nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dl.errors import CheckpointError, ResumeError
from dl.fingerprint import sha256_file
from dl.storage import atomic_path, read_json, write_json

__all__ = [
    "load_weights",
    "model_hash",
    "read_tensors",
    "save_weights",
    "weights_identity",
    "write_tensors",
]

FORMAT = "usstats.weights/1"
_SHOWN = 3


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write tensors atomically and return the file's SHA-256."""
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(plain, temporary)
        digest = sha256_file(temporary)
    return digest


def read_tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """Read tensors whose file must have this SHA-256.

    Raises
    ------
    CheckpointError
        Absent, changed by a single bit, truncated, or not a safetensors file.
    """
    if not path.is_file():
        msg = f"{path}: the checkpoint is absent."
        raise CheckpointError(msg)
    if sha256_file(path) != sha256:
        msg = (
            f"{path}: the checkpoint is damaged or was replaced (its SHA-256 is not the one "
            "written with it). Train again, or restore the file."
        )
        raise CheckpointError(msg)
    try:
        return load_file(path)
    except SafetensorError:
        msg = f"{path}: not a safetensors file. Pickled checkpoints are never opened."
        raise CheckpointError(msg) from None


def save_weights(
    path: Path, network: nn.Module, *, architecture: str, facts: Mapping[str, Any]
) -> str:
    """Write a network's weights and, last, a JSON of the same name that describes them.

    Parameters
    ----------
    path : Path
        Ending in .safetensors.
    network : Module
    architecture : str
        Its registry name.
    facts : mapping
        Whatever else is worth keeping, in plain JSON types.

    Returns
    -------
    str
        The file's SHA-256.
    """
    digest = write_tensors(path, network.state_dict())
    content = {"format": FORMAT, "architecture": architecture, "sha256": digest, **facts}
    write_json(path.with_suffix(".json"), content)
    return digest


def load_weights(network: nn.Module, path: Path, *, architecture: str) -> dict[str, Any]:
    """Put saved weights into a network, all of them, and return what was written with them.

    Raises
    ------
    CheckpointError
        Damaged, of another architecture, with other tensors or shapes, or not finite.
    """
    facts = _describe(path)
    if facts.get("architecture") != architecture:
        msg = (
            f"{path}: holds the weights of {facts.get('architecture')!r}; the network is "
            f"{architecture!r}."
        )
        raise CheckpointError(msg)
    tensors = read_tensors(path, str(facts.get("sha256")))
    _check_tensors(path, tensors, network.state_dict())
    network.load_state_dict(tensors, strict=True)
    return facts


def weights_identity(weights: str | Path | None) -> str:
    """What tells one start from another: "None", "imagenet", or the SHA-256 of a file.

    Raises
    ------
    CheckpointError
        The file is absent.

    Examples
    --------
    >>> weights_identity("imagenet"), weights_identity(None)
    ('imagenet', 'None')
    """
    if weights is None or weights == "imagenet":
        return str(weights)
    path = Path(weights)
    if not path.is_file():
        msg = f"{path}: the weights file is absent."
        raise CheckpointError(msg)
    return sha256_file(path)


def model_hash(sha256: str) -> str:
    """The short name of a weights file in tables: the first 16 digits of its SHA-256."""
    return sha256[:16]


def _describe(path: Path) -> dict[str, Any]:
    if path.suffix != ".safetensors":
        msg = (
            f"{path}: only .safetensors checkpoints are opened; pickled ones can run code when "
            "they are loaded."
        )
        raise CheckpointError(msg)
    try:
        facts = read_json(path.with_suffix(".json"))
    except ResumeError:
        msg = f"{path}: the JSON that belongs to this checkpoint is absent or damaged."
        raise CheckpointError(msg) from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        msg = f"{path}: the JSON beside it is not of the format {FORMAT!r}."
        raise CheckpointError(msg)
    return facts


def _check_tensors(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    differing = sorted(set(found) ^ set(expected))
    differing += [
        name
        for name, tensor in expected.items()
        if name in found
        and (found[name].shape != tensor.shape or found[name].dtype != tensor.dtype)
    ]
    if differing:
        first = ", ".join(differing[:_SHOWN])
        msg = (
            f"{path}: {len(differing)} tensors are absent, unknown or of another shape or type "
            f"(first: {first}). The checkpoint belongs to another network, head or input."
        )
        raise CheckpointError(msg)
    broken = [name for name, tensor in found.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        msg = f"{path}: {len(broken)} tensors hold NaN or infinity (first: {broken[0]})."
        raise CheckpointError(msg)
