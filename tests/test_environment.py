"""environment.yml, pyproject.toml and constraints.txt name the same packages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]

#: conda-forge splits or renames these.
CONDA_NAMES = {
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "pandera[pandas]": "pandera-pandas",
    "torch": "pytorch",
    "types-PyYAML": "types-pyyaml",
}


def _split(requirement: str) -> tuple[str, str]:
    name, bound = re.fullmatch(r"([A-Za-z0-9_.\-\[\]]+)(.*)", requirement).groups()
    return CONDA_NAMES.get(name, name), bound


#: Peers of `make bench`, which gives them an environment of their own, and extras nobody needs
#: for the two commands.
APART = {"bench", "monai", "timm"}


def _requirements(*, without: frozenset[str] | set[str] = frozenset()) -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    kept = [item for name, extra in extras.items() if name not in without for item in extra]
    return dict(_split(name) for name in project["dependencies"] + kept)


@pytest.fixture(scope="module")
def required() -> dict[str, str]:
    return _requirements()


def test_environment_yml_follows_pyproject():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    pip = next(item["pip"] for item in listed if isinstance(item, dict))
    names = [item for item in listed if isinstance(item, str) and item not in {"pip"}]
    names += [item for item in pip if not item.startswith("-e")]
    conda = dict(_split(name) for name in names)
    assert conda.pop("python") == "=3.11"
    assert conda == _requirements(without=APART)


def test_every_requirement_is_pinned(required):
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if "==" in line
    )
    back = {conda: pip for pip, conda in CONDA_NAMES.items()}
    pinned = {re.sub(r"[-_.]+", "-", name).lower() for name in pins}
    plain = {re.sub(r"\[.*\]", "", back.get(name, name)) for name in required}
    missing = {name for name in plain if re.sub(r"[-_.]+", "-", name).lower() not in pinned}
    assert not missing
    assert next(iter(pins)) == "torch"
