"""Checklists: every item once, every pointer followed, the five most often missed always there."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from docx import Document

from reports.checklists import (
    GUIDELINES,
    Facts,
    fill,
    load_guideline,
    lost_pointers,
    reporting_tables,
)
from reports.checklists.fill import ANSWERS, STATES
from reports.checklists.items import read_guideline
from reports.checklists.pointers import Pointer, follow, parse_pointers, row_pointer
from reports.evidence import Evidence
from reports.files import atomic_write_text
from reports.study import load_study
from usstats.errors import SchemaError

FIVE = ("failure-analysis", "robustness", "sample-size", "annotation-quality", "code-and-data")


@pytest.fixture(scope="module")
def facts(small_run: Path) -> Facts:
    study = load_study(small_run)
    return Facts(study=study, evidence=Evidence(run_dir=study.run_dir))


@pytest.fixture(scope="module")
def tables(small_run: Path) -> dict[str, pd.DataFrame]:
    folder = small_run / "run" / "report" / "checklists"
    return {
        name: pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
        for name in GUIDELINES
    }


# The guidelines ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "main_items", "rows"),
    [("tripod_ai", 27, 52), ("claim_2024", 44, 44), ("stard_ai", 40, 48)],
)
def test_a_guideline_has_all_its_items_in_order(name, main_items, rows):
    numbers = [item.item for item in load_guideline(name).items]
    assert len(numbers) == rows
    whole = [int(re.match(r"\d+", number)[0]) for number in numbers]
    assert sorted(set(whole)) == list(range(1, main_items + 1))
    assert whole == sorted(whole)


def test_every_answer_asked_for_exists_and_every_answer_is_asked_for():
    asked = {item.answer for name in GUIDELINES for item in load_guideline(name).items}
    assert asked - {None} == set(ANSWERS)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ('{item: "1", section: Title, topic: Title, asks: "A title"}', "neither an answer nor"),
        ('{item: "1", section: Title, topic: Title, asks: "x y", answer: title, more: 1}', "more"),
        ('{item: "1aa", section: Title, topic: Title, asks: "x y", answer: title}', "items.0.item"),
    ],
)
def test_a_faulty_guideline_is_refused_with_its_place(tmp_path, item, message):
    path = atomic_write_text(
        tmp_path / "own.yaml",
        "id: own\nname: Own\ntitle: t\nsource: s\ndoi: 10.1000/x\nchecked: 2026-01-01\n"
        f"items:\n  - {item}\n",
    )
    with pytest.raises(SchemaError, match=message):
        read_guideline(path)


def test_an_item_that_occurs_twice_is_refused(tmp_path):
    one = '  - {item: "1", section: Title, topic: Title, asks: "x y", answer: title}\n'
    head = "id: own\nname: Own\ntitle: t\nsource: s\ndoi: 10.1000/x\nchecked: 2026-01-01\nitems:\n"
    path = atomic_write_text(tmp_path / "own.yaml", head + one + one)
    with pytest.raises(SchemaError, match="items that occur twice: 1"):
        read_guideline(path)


# Pointers ---------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    report = tmp_path / "run" / "report"
    atomic_write_text(report / "report.html", '<section id="methods"><table id="flow">')
    atomic_write_text(report / "model.json", '{"model": {"terms": [{"name": "x"}]}}')
    atomic_write_text(tmp_path / "study.yaml", "outcome:\n  column: y\n")
    atomic_write_text(tmp_path / "run" / "fit" / "a.csv", "cohort,x\nnorth (2),1\nsouth,2\n")
    return report, tmp_path


@pytest.mark.parametrize(
    "target",
    [
        "report.html",
        "report.html#methods",
        "model.json#model.terms.0.name",
        "study.yaml#outcome.column",
        row_pointer("fit/a", cohort="north (2)"),
        row_pointer("fit/a", cohort="south", x=2),
    ],
)
def test_a_pointer_that_leads_somewhere_is_followed(place, target):
    report, root = place
    follow(target, report=report, root=root)


@pytest.mark.parametrize(
    "target",
    [
        "tables/flow.csv",
        "report.html#method",
        "model.json#model.terms.1.name",
        "study.yaml#outcome.label",
        row_pointer("fit/a", cohort="north"),
        row_pointer("fit/a", cohort="south", x=1),
        row_pointer("fit/a", place="south"),
        "",
    ],
)
def test_a_pointer_that_leads_nowhere_is_refused(place, target):
    report, root = place
    with pytest.raises(SchemaError, match="The pointer"):
        follow(target, report=report, root=root)


def test_a_pointer_never_leaves_the_study(place):
    report, root = place
    (root.parent / "secret.csv").write_text("a\n")
    with pytest.raises(SchemaError, match="climbs out"):
        follow("../secret.csv", report=report, root=root)


def test_pointers_are_read_back_from_a_cell_as_they_were_printed():
    targets = ["tables/flow.csv", "report.html#a-b", row_pointer("fit/a", cohort="n (1); x,y=z")]
    printed = "; ".join(str(Pointer(t, label)) for t, label in zip(targets, "AB", strict=False))
    printed += f"; {Pointer(targets[2])}"
    assert parse_pointers(printed) == targets


# A finished run ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GUIDELINES)
def test_every_pointer_of_a_run_leads_somewhere(facts, tables, small_run, name):
    report = small_run / "run" / "report"
    declared = [target for entry in fill(load_guideline(name), facts) for target in entry.where]
    printed = [target for cell in tables[name]["Where"] for target in parse_pointers(cell)]
    assert printed == declared
    for target in printed:
        follow(target, report=report, root=small_run)
    assert lost_pointers(report, small_run) == []


@pytest.mark.parametrize("name", GUIDELINES)
def test_an_item_is_reported_with_a_pointer_or_left_to_the_author(tables, name):
    table = tables[name]
    assert set(table["Status"]) <= set(STATES)
    reported = table["Status"].isin(["reported", "partly reported"])
    assert (table.loc[reported, "Where"] != "").all()
    assert (table["Answer"] != "").all()
    left = table["Status"].isin(["author to state", "partly reported"])
    assert table.loc[left, "Answer"].str.contains("Author to state: ").all()
    assert not table.loc[~left, "Answer"].str.contains("Author to state").any()
    assert reported.sum() > len(table) / 2


@pytest.mark.parametrize("name", GUIDELINES)
def test_word_and_csv_have_the_same_cells(tables, small_run, name):
    path = small_run / "run" / "report" / "checklists" / f"{name}.docx"
    rows = [[cell.text for cell in row.cells] for row in Document(str(path)).tables[0].rows]
    assert rows[0] == list(tables[name].columns)
    assert rows[1:] == tables[name].to_numpy().tolist()


def test_the_five_most_often_missed_are_always_there(small_run):
    page = (small_run / "run" / "report" / "report.html").read_text("utf-8")
    for anchor in FIVE:
        section = re.search(rf'<section id="{anchor}".*?</section>', page, re.S)
        assert section, anchor
        assert len(re.sub(r"<[^>]+>|\s", "", section[0])) > 150, anchor


def test_the_report_leads_to_every_checklist(small_run):
    report = small_run / "run" / "report"
    page = (report / "report.html").read_text("utf-8")
    for name in GUIDELINES:
        assert f"checklists/{name}.docx" in page
        assert (report / "checklists" / f"{name}.docx").is_file()


def test_the_worst_errors_are_the_worst(small_run):
    """Found again by another way: a plain loop over the fused patients."""
    run = small_run / "run"
    failures = pd.read_csv(run / "examine" / "failures.csv")
    patients = pd.read_csv(run / "fuse" / "development.csv")
    for event, kind in ((1, "event, low risk"), (0, "no event, high risk")):
        wrong = [
            (abs(row.event - row.dl_prob), row.patient_id)
            for row in patients.itertuples()
            if row.event == event and abs(row.event - row.dl_prob) > 0.5
        ]
        expected = [patient for _, patient in sorted(wrong, reverse=True)[:3]]
        shown = failures[(failures["cohort"] == "development") & (failures["kind"] == kind)]
        assert list(shown["patient_id"]) == expected
    images = pd.read_csv(small_run / "images.csv").groupby("patient_id")["image_id"]
    for row in failures.itertuples():
        assert row.image_ids == "; ".join(images.get_group(row.patient_id))


def test_subgroups_add_up_to_their_cohort(small_run):
    groups = pd.read_csv(small_run / "run" / "examine" / "groups.csv")
    aucs = groups[groups["measure"] == "auc"]
    for _, part in aucs.groupby("cohort"):
        whole = part[part["by"] == "all patients"].iloc[0]
        for _, split in part[part["by"] == "images a patient"].groupby("by"):
            assert split["n"].sum() == whole["n"]
            assert split["n_event"].sum() == whole["n_event"]


def test_the_sample_size_is_that_of_the_criteria(small_run):
    import usstats

    sizes = pd.read_csv(small_run / "run" / "examine" / "sample_size.csv")
    auc = pd.read_csv(small_run / "run" / "validate" / "nomogram_auc.csv")["estimate"].iloc[0]
    flow = pd.read_csv(small_run / "run" / "describe" / "flow.csv")
    row = flow[(flow["cohort"] == "development") & (flow["step"] == "analysed")].iloc[0]
    needed = usstats.sample_size_development(5, row["n_event"] / row["n_patients"], auc=auc)
    found = sizes[(sizes["purpose"] == "development") & (sizes["criterion"] == "required")]
    assert int(found["n"].iloc[0]) == needed.n
    assert int(found["n_have"].iloc[0]) == row["n_patients"]


def test_tables_name_images_but_no_patient(facts, small_run):
    patients = set(facts.study.patients["patient_id"])
    for table in reporting_tables(facts.evidence):
        cells = {cell for row in table.rows for cell in row}
        assert not cells & patients, table.id


# Studies that lack something --------------------------------------------------------------------


def test_without_an_external_cohort_its_items_do_not_apply(small_run, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(small_run, folder, ignore=shutil.ignore_patterns("images", "masks", "report"))
    text = (folder / "study.yaml").read_text("utf-8")
    atomic_write_text(
        folder / "study.yaml", text.replace("external:\n  - prospective", "external: []")
    )
    study = load_study(folder)
    assert study.config.cohorts.external == []
    facts = Facts(study=study, evidence=Evidence(run_dir=study.run_dir))
    states = {e.item.item: e for e in fill(load_guideline("tripod_ai"), facts)}
    assert states["12g"].state == "not applicable"
    assert states["12g"].text == "There is no external cohort."
    assert not any("prospective" in target for e in states.values() for target in e.where)


def test_what_a_run_does_not_know_is_left_to_the_author(facts):
    states = {e.item.item: e for e in fill(load_guideline("tripod_ai"), facts)}
    assert states["17"].state == "author to state"
    assert states["17"].where == ()
    assert states["22"].state == "reported"


def test_a_broken_pointer_is_found(small_run, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(small_run, folder, ignore=shutil.ignore_patterns("images", "masks"))
    (folder / "run" / "report" / "tables" / "groups.csv").unlink()
    lost = lost_pointers(folder / "run" / "report", folder)
    assert any("item 14: The pointer 'tables/groups.csv'" in line for line in lost)


def test_nothing_is_said_of_centres_a_study_does_not_tell_apart(facts):
    """Items 12d and 23b of TRIPOD+AI are answered only where the results hold centres."""
    assert "each centre apart" in ANSWERS["heterogeneity_methods"](facts).text.text
    groups = facts.evidence.table("examine/groups")
    blind = Evidence(run_dir=facts.evidence.run_dir)
    blind._tables["examine/groups"] = groups[groups["by"] != "centre"]
    for name in ("heterogeneity_methods", "heterogeneity"):
        assert ANSWERS[name](replace(facts, evidence=blind)) is None
    said = ANSWERS["robustness"](replace(facts, evidence=blind)).text.text
    assert said == "Results by images a patient and age; explored, not planned."


def test_nothing_is_said_of_a_network_that_was_trained_elsewhere(facts):
    texts = [ANSWERS[name](facts).text.text for name in ("preparation", "imbalance")]
    assert "came with the study" in texts[0]
    assert "not known to the run" in texts[1]
