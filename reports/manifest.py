"""What stands beside every output: versions, seeds and hashes, and nothing about a person."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from reports.files import atomic_write_text, json_text, sha256_bytes, sha256_file
from usstats.errors import ArgumentError, SchemaError

__all__ = ["MANIFEST_NAME", "PACKAGES", "Manifest", "make_manifest", "verify"]

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 2
PACKAGES = (
    "usstats",
    "numpy",
    "scipy",
    "pandas",
    "statsmodels",
    "scikit-learn",
    "matplotlib",
    "pillow",
    "python-docx",
    "jinja2",
    "torch",
)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """How a folder's files came to be.

    Attributes
    ----------
    packages : mapping of str to str
        Name -> version; a package that is not installed is left out.
    python, system, machine : str
    seeds : mapping of str to int
    inputs, outputs : mapping of str to str
        Path below its folder, with `/` -> SHA-256.
    git_commit : str or None
    details : mapping
        Anything else a reader needs to repeat the run.
    """

    packages: Mapping[str, str]
    python: str
    system: str
    machine: str
    seeds: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    git_commit: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    manifest_version: int = MANIFEST_VERSION

    @property
    def text(self) -> str:
        """The manifest as its file: JSON with a digest of itself."""
        content = asdict(self)
        digest = sha256_bytes(json_text(content, indent=None).encode("utf-8"))
        return json_text({**content, "sha256": digest}) + "\n"

    def write(self, folder: str | Path) -> Path:
        """Write `manifest.json` into the folder; call it last."""
        return atomic_write_text(Path(folder) / MANIFEST_NAME, self.text)

    @classmethod
    def read(cls, folder: str | Path) -> Manifest:
        """Read a folder's manifest.

        Raises
        ------
        SchemaError
            There is none, it is damaged, or it was written by another version.
        """
        path = Path(folder) / MANIFEST_NAME
        if not path.is_file():
            msg = f"No {MANIFEST_NAME} in the folder {path.parent.name!r}: nothing to verify."
            raise SchemaError(msg)
        try:
            content = json.loads(path.read_text("utf-8"))
        except ValueError:
            msg = f"{MANIFEST_NAME} is damaged: it is no JSON text. Write the report again."
            raise SchemaError(msg) from None
        return cls(**_checked(content))


def make_manifest(
    folder: str | Path,
    *,
    inputs: Iterable[str | Path] = (),
    root: str | Path | None = None,
    outputs: Iterable[str | Path] | None = None,
    seeds: Mapping[str, int] | None = None,
    details: Mapping[str, Any] | None = None,
    packages: Sequence[str] = PACKAGES,
) -> Manifest:
    """Describe a folder of results.

    Parameters
    ----------
    folder : str or Path
        Where the outputs lie.
    inputs : iterable of str or Path
        Files the results were made from; they must lie below `root`.
    root : str or Path, optional
        By default the folder's parent.
    outputs : iterable of str or Path, optional
        By default every file in the folder but the manifest.
    seeds, details : mapping, optional
    packages : sequence of str

    Raises
    ------
    ArgumentError
        A file outside its folder: its path would say something about the machine.

    Examples
    --------
    >>> import tempfile
    >>> from reports.files import atomic_write_text
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = atomic_write_text(Path(folder) / "a.csv", "x")
    ...     _ = make_manifest(folder, seeds={"bootstrap": 1}).write(folder)
    ...     untouched = verify(folder)
    ...     _ = atomic_write_text(Path(folder) / "a.csv", "y")
    ...     print(untouched, verify(folder))
    [] ['a.csv: changed']
    """
    base = Path(folder)
    found = _files_in(base) if outputs is None else [Path(path) for path in outputs]
    above = base.resolve().parent if root is None else Path(root)
    return Manifest(
        packages=_versions(packages),
        python=platform.python_version(),
        system=platform.system(),
        machine=platform.machine(),
        seeds=dict(seeds or {}),
        inputs=_hashes([Path(path) for path in inputs], above),
        outputs=_hashes(found, base),
        git_commit=git_commit(),
        details=dict(details or {}),
    )


def verify(folder: str | Path) -> list[str]:
    """Return one line for each output that changed, went missing or was added.

    Parameters
    ----------
    folder : str or Path
        A folder with a manifest.
    """
    base = Path(folder)
    manifest = Manifest.read(base)
    lines = compared(manifest.outputs, _hashes(_files_in(base), base), record="the manifest")
    if (base / MANIFEST_NAME).read_bytes() != manifest.text.encode("utf-8"):
        lines.append(f"{MANIFEST_NAME}: changed")
    return sorted(lines)


def compared(expected: Mapping[str, str], found: Mapping[str, str], *, record: str) -> list[str]:
    """One line for each file whose hash is not as recorded.

    >>> compared({"a": "1", "b": "2"}, {"b": "3", "c": "4"}, record="the list")
    ['a: missing', 'b: changed', 'c: not in the list']
    """
    states = {
        "missing": expected.keys() - found.keys(),
        "changed": {
            name for name in expected.keys() & found.keys() if expected[name] != found[name]
        },
        f"not in {record}": found.keys() - expected.keys(),
    }
    return sorted(f"{name}: {state}" for state, names in states.items() for name in names)


def git_commit() -> str | None:
    """Commit of the source this software runs from, or None where there is no repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"],  # noqa: S607 - git from the user's path
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _checked(content: Any) -> dict[str, Any]:
    """The manifest's content, without its digest, if this version can read it."""
    known = {*Manifest.__dataclass_fields__, "sha256"}
    needed = {"packages", "outputs", "manifest_version"}
    fields = isinstance(content, dict) and needed <= content.keys() <= known
    if not fields or not all(isinstance(content.get(k, {}), dict) for k in ("inputs", "outputs")):
        msg = f"{MANIFEST_NAME} does not have the fields of a manifest; write it again."
        raise SchemaError(msg)
    found = content["manifest_version"]
    if found != MANIFEST_VERSION:
        msg = (
            f"{MANIFEST_NAME} has version {found}; this software reads {MANIFEST_VERSION}. "
            "Install a newer one, or write the report again with `usstats report`."
        )
        raise SchemaError(msg)
    return {key: value for key, value in content.items() if key != "sha256"}


def _files_in(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if path != folder / MANIFEST_NAME]


def _hashes(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """Relative path -> SHA-256."""
    return {_relative(path, root): sha256_file(path) for path in paths}


def _relative(path: Path, root: Path) -> str:
    absolute = path.resolve()
    if not absolute.is_relative_to(root.resolve()):
        msg = f"The file {path.name!r} lies outside the folder it is recorded in; give `root`."
        raise ArgumentError(msg)
    return PurePosixPath(absolute.relative_to(root.resolve())).as_posix()


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
