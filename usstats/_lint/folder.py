"""A study folder on disk, read leniently: whatever is there becomes evidence."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from data_schema import SchemaError, load_strict_yaml
from usstats._lint.evidence import Evidence, Setting, Split, TrainedFold
from usstats._lint.objects import flattened, placed
from usstats._lint.sheets import ResultTable, Sheet
from usstats._lint.wording import in_words, is_result
from usstats._numbers import as_numbers

STUDY_FILE = "study.yaml"
TABLES = ("patients", "images", "predictions", "readings")
_MISSING = {"", "na", "n/a", "nan", "null", "none", "."}
_TEXT = ("patient_id", "image_id", "reader", "case", "cohort", "model", "model_hash", "sha256")
_LARGEST, _MOST_FILES, _MOST_OPTIONS = 5_000_000, 200_000, 400
_NOT_RESULTS = re.compile(
    r"^(patients|images|predictions|readings|splits|sources)\.csv$|^run/(train|predict|explain|truth)/|"
    r"^run/fuse/(?!shift)|instability|_(roc|curve|histogram)\.csv$|/risks\.csv$|_risks\.csv$"
)
#: Columns of a cut-off and how it was chosen.
_CUTOFF = {"criterion", "value"}
_NOT_OPTIONS = re.compile(r"(^|/)(truth|import|manifest|run|fold|weights|splits|figures)\.json$|"
                          r"^run/(stages|fit|report|draw|validate|explain)/|cache/")  # fmt: skip


def read_folder(root: Path) -> Evidence:
    """Everything the rules can use.

    Raises
    ------
    SchemaError
        No folder, no table in it, or a study.yaml or table that cannot be read.
    """
    if not root.is_dir():
        msg = f"There is no folder {root}. Give the folder that holds study.yaml."
        raise SchemaError(msg)
    config = load_strict_yaml(root / STUDY_FILE) if (root / STUDY_FILE).is_file() else {}
    if not isinstance(config, Mapping):
        msg = f"{STUDY_FILE} must hold keys and values."
        raise SchemaError(msg)
    files = tuple(_files(root))
    sheets = {name: _table(root, name, config) for name in TABLES}
    if not config and all(sheet is None for sheet in sheets.values()):
        msg = f"{root} holds neither {STUDY_FILE} nor a table such as patients.csv."
        raise SchemaError(msg)
    current = list(_training_folders(root, config))
    cohorts = [str(c) for c in _listed(config.get("cohorts", {}), "external")]
    return Evidence(
        config=config,
        patients=sheets["patients"],
        images=_with_content(root, sheets["images"]),
        predictions=sheets["predictions"],
        readings=sheets["readings"],
        fused=tuple(_fused(root)),
        splits=tuple(_splits(root, current)),
        folds=tuple(fold for name, folder in current for fold in _folds(root, name, folder)),
        results=tuple(_results(root, files, cohorts)),
        settings=tuple(_settings(root, files, config, current)),
        files=files,
    )


def _listed(content: Any, key: str) -> list[Any]:
    value = content.get(key, []) if isinstance(content, Mapping) else []
    return value if isinstance(value, list) else [value]


def _files(root: Path) -> Iterator[str]:
    """Paths below the folder; links are named and not followed."""
    count = 0
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        for name in sorted(names):
            count += 1
            if count > _MOST_FILES:
                return
            yield Path(folder, name).relative_to(root).as_posix()


def _table(root: Path, name: str, config: Mapping[str, Any]) -> Sheet | None:
    places = [root / f"{name}.csv"]
    if name == "predictions":
        own = root / "run" / "predict" / "predictions.csv"
        places = [own, *places] if config.get("networks") else [*places, own]
    path = next((p for p in places if p.is_file()), None)
    return None if path is None else read_sheet(path, path.relative_to(root).as_posix())


def read_sheet(path: Path, name: str) -> Sheet:
    """A CSV file with the line of every row; numbers where every cell is one.

    Raises
    ------
    SchemaError
        The file is no readable table.
    """
    from data_schema.reading import Dialect, read_grid

    grid, problems = read_grid(path, Dialect())
    if grid is None or not grid.lines:
        told = "; ".join(str(p) for p in problems if p.severity == "error")
        msg = f"{name} cannot be read: {told or 'it has no rows'}."
        raise SchemaError(msg)
    columns = {n: _typed(n, c) for n, c in zip(grid.names, grid.cells, strict=True)}
    return Sheet(name=name, frame=pd.DataFrame(columns), lines=grid.lines)


def _typed(name: str, cells: tuple[str, ...]) -> pd.Series[Any]:
    text = pd.Series([None if c.strip().lower() in _MISSING else c for c in cells], dtype=object)
    if name in _TEXT:
        return pd.Series([c if c.strip() else None for c in cells], dtype=object)
    numbers = as_numbers(text)
    return numbers if (numbers.notna() == text.notna()).all() else text


def _fused(root: Path) -> Iterator[Sheet]:
    for path in sorted((root / "run" / "fuse").glob("*.csv")):
        sheet = read_sheet(path, path.relative_to(root).as_posix())
        if sheet.has("patient_id", "dl_prob"):
            yield sheet


def _training_folders(root: Path, config: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """The folder of each network that the present run used."""
    train = root / "run" / "train"
    used = {name.split("/")[0] for name in _read_json(root / "run/stages/train.json", "outputs")}
    networks = config.get("networks") or {}
    for network in networks if isinstance(networks, Mapping) else ():
        pattern = re.compile(rf"{re.escape(str(network))}(-[0-9a-f]{{8}})?$")
        found = [
            p for p in sorted(train.glob(f"{network}*")) if p.is_dir() and pattern.match(p.name)
        ]
        chosen = [p for p in found if p.name in used] or found
        if len(chosen) == 1:
            yield str(network), chosen[0]


def _read_json(path: Path, *keys: str) -> Any:
    """A value of a JSON file; empty where there is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    for key in keys:
        content = content.get(key, {}) if isinstance(content, dict) else {}
    return content


def _splits(root: Path, current: list[tuple[str, Path]]) -> Iterator[Split]:
    if (root / "splits.csv").is_file():
        sheet = read_sheet(root / "splits.csv", "splits.csv")
        if sheet.has("patient_id", "fold"):
            known = sheet.frame.dropna(subset=["patient_id", "fold"])
            pairs = known[["patient_id", "fold"]].drop_duplicates()
            fold_of = {str(p): f for p, f in zip(pairs["patient_id"], pairs["fold"], strict=True)}
            yield Split(where="splits.csv", fold_of=fold_of, torn=len(pairs) - len(fold_of))
    for network, folder in current:
        patients = _fold_by_patient(_read_json(folder / "splits.json"))
        if patients:
            where = (folder / "splits.json").relative_to(root).as_posix()
            yield Split(where=where, network=network, fold_of=patients)


def _fold_by_patient(content: Any) -> dict[str, Any]:
    names, folds = (
        content.get(k, []) if isinstance(content, dict) else [] for k in ("patient_id", "fold")
    )
    return dict(zip(map(str, names), folds, strict=True)) if len(names) == len(folds) else {}


def _folds(root: Path, network: str, folder: Path) -> Iterator[TrainedFold]:
    images = folder / "images.csv"
    rows = pd.read_csv(images, dtype=str)["patient_id"].tolist() if images.is_file() else []
    for path in sorted((folder / "folds").glob("*/fold.json")):
        content = _read_json(path)
        parts = content.get("rows", {}) if isinstance(content, dict) else {}
        yield TrainedFold(
            where=path.relative_to(root).as_posix(),
            network=network,
            fold=int(content.get("fold", -1)),
            model_hash=str(content.get("weights_sha256", "")),
            patients={k: frozenset(rows[i] for i in v if i < len(rows)) for k, v in parts.items()},
            logged=_logged(path.with_name("log.jsonl")),
        )


def _logged(path: Path) -> frozenset[str]:
    """What was written down after every epoch."""
    try:
        first = path.read_text("utf-8").splitlines()[0]
        return frozenset(json.loads(first))
    except (OSError, ValueError, IndexError):
        return frozenset()


def _with_content(root: Path, images: Sheet | None) -> Sheet | None:
    """Which files hold the same bytes, as a column `picture`: only files of equal size are read."""
    if images is None or not images.has("image_id", "path"):
        return images
    paths = [_inside(root, cell) for cell in images.frame["path"]]
    sizes = pd.Series([-1 if p is None else p.stat().st_size for p in paths])
    alike = sizes.duplicated(keep=False) & (sizes >= 0)
    content: list[Any] = [
        hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and read else None
        for path, read in zip(paths, alike, strict=True)
    ]
    if not any(content):
        return images
    frame = images.frame.assign(picture=content)
    return Sheet(name=images.name, frame=frame, lines=images.lines)


def _inside(root: Path, cell: Any) -> Path | None:
    """The file a cell names; None where there is none, or where it lies outside the folder."""
    if not isinstance(cell, str) or "\x00" in cell or not (root / cell).is_file():
        return None
    path = (root / cell).resolve()
    return path if path.is_relative_to(root.resolve()) else None


def _results(root: Path, files: tuple[str, ...], cohorts: list[str]) -> Iterator[ResultTable]:
    for name in files:
        if name.endswith(".csv") and not _NOT_RESULTS.search(name):
            printed = "report/tables/" in name
            frame = _result_frame(root / name, printed=printed)
            if frame is not None:
                spoken = frame if printed else in_words(frame)
                yield _chosen(placed(name, spoken, cohorts, printed=printed))
        elif name.endswith("threshold.json"):
            chosen = _read_json(root / name)
            if isinstance(chosen, dict) and isinstance(chosen.get("value"), int | float):
                yield ResultTable(
                    name=name,
                    frame=pd.DataFrame([chosen]),
                    kind="Threshold",
                    scope="development",
                    facts=chosen,
                )


def _chosen(table: ResultTable) -> ResultTable:
    """A cut-off that was written as a table is one still."""
    if len(table.frame) != 1 or not table.has(*_CUTOFF):
        return table
    return replace(
        table, kind="Threshold", facts={str(k): v for k, v in table.frame.iloc[0].items()}
    )


def _result_frame(path: Path, *, printed: bool) -> pd.DataFrame | None:
    if path.is_symlink() or path.stat().st_size > _LARGEST:
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
        if not printed and not is_result(header) and not set(header) >= _CUTOFF:
            return None
        return pd.read_csv(path, keep_default_na=False, na_values=["", "nan", "NaN"])
    except (UnicodeDecodeError, csv.Error, ValueError):
        return None


def _settings(
    root: Path,
    files: tuple[str, ...],
    config: Mapping[str, Any],
    current: list[tuple[str, Path]],
) -> Iterator[Setting]:
    yield from (Setting(file=STUDY_FILE, key=k, value=v) for k, v in flattened(config))
    own = {(folder / "config.json").relative_to(root).as_posix() for _, folder in current}
    for name in files:
        old = name.startswith("run/train/") and name not in own
        if not name.endswith((".json", ".yaml", ".yml")) or name == STUDY_FILE or old:
            continue
        if _NOT_OPTIONS.search(name) or (root / name).stat().st_size > _LARGEST:
            continue
        values = list(flattened(_options(root / name)))
        if len(values) <= _MOST_OPTIONS:
            yield from (Setting(file=name, key=k, value=v) for k, v in values)


def _options(path: Path) -> Any:
    if path.suffix == ".json":
        return _read_json(path)
    try:
        return load_strict_yaml(path)
    except SchemaError:
        return {}
