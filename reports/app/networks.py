"""The networks of a run as one ONNX file beside it, written once and held against the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import usstats
from dl.onnx_network import OnnxNetwork
from reports.files import json_text, sha256_bytes, sha256_file, write_json
from usstats.errors import SchemaError

__all__ = ["read_record", "served_network", "write_record"]

NETWORK_FILE, RECORD_FILE = "network.onnx", "record.json"
#: Files of a run that its networks' answers depend on; fold.json holds the hash of the weights.
_PARTS = ("run.json", "calibration.json", "folds/*/fold.json")

Say = Callable[[str], None]


def served_network(run: Path, folder: Path, *, say: Say) -> OnnxNetwork:
    """Open the networks of a run, written anew where the run or the file is not what it was.

    Parameters
    ----------
    run : Path
        Of a finished `dl.crossval.cross_validate`.
    folder : Path
        Where the ONNX file and its record lie.
    say : callable

    Raises
    ------
    SchemaError
        Networks the app cannot show: of a pair of images, or without a class.
    ArgumentError, ExportError, CheckpointError, ResumeError
        As `dl.export.export_onnx`.
    """
    path, written = folder / NETWORK_FILE, read_record(folder)
    is_whole = (
        path.is_file()
        and written.get("run_sha256") == _digest(run)
        and written.get("onnx_sha256") == sha256_file(path)
    )
    if not is_whole:
        from dl.export import export_onnx

        say("Writing the networks for the app; this is done once ...")
        folder.mkdir(parents=True, exist_ok=True)
        export_onnx(run, path)
    network = OnnxNetwork(path)
    _check(network)
    return network


def _check(network: OnnxNetwork) -> None:
    blocks = [name for name, _ in network.preparation.blocks]
    if blocks != ["image"]:
        msg = f"The app reads one image at a time; this network takes {' and '.join(blocks)}."
        raise SchemaError(msg)
    if "members" not in network.outputs:
        msg = "The app shows a probability; this network only outlines regions."
        raise SchemaError(msg)


def read_record(folder: Path) -> dict[str, Any]:
    """What the app wrote of itself the last time; empty where there is nothing to trust."""
    try:
        content = json.loads((folder / RECORD_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_record(run: Path, folder: Path, network: OnnxNetwork, **facts: Any) -> None:
    """Write down what the app answers with, where that is new.

    Parameters
    ----------
    run, folder : Path
    network : OnnxNetwork
    **facts
        Cut-off, band, rule: whatever was fixed before the first image.
    """
    content = {
        "software": f"usstats {usstats.__version__}",
        "model_hash": network.facts["model_hash"],
        "onnx_sha256": sha256_file(network.path),
        "run_sha256": _digest(run),
        **facts,
    }
    if read_record(folder) != content:
        write_json(folder / RECORD_FILE, content)


def _digest(run: Path) -> str:
    files = [path for part in _PARTS for path in sorted(run.glob(part))]
    digests = {path.relative_to(run).as_posix(): sha256_file(path) for path in files}
    return sha256_bytes(json_text(digests, indent=None).encode("utf-8"))
