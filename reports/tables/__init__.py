"""Frames in, manuscript tables out: the same cells in Word, workbook, HTML, LaTeX and CSV."""

from reports.tables.accuracy import accuracy_table, auc_table
from reports.tables.cohort import flow_table, missing_table, table_one
from reports.tables.comparator import comparator_table
from reports.tables.comparison import nested_table, truth_table
from reports.tables.latex import latex_text
from reports.tables.model import equation_text, model_table, odds_ratio_table
from reports.tables.planning import Plan, sample_size_table
from reports.tables.readers import reader_effect_table, reader_table
from reports.tables.segmentation import segmentation_table
from reports.tables.spreadsheet import xlsx_bytes
from reports.tables.table import Table, footnote_mark
from reports.tables.validation import (
    calibration_table,
    centre_table,
    decision_table,
    external_table,
    performance_table,
)
from reports.tables.word import docx_bytes
from reports.tables.write import write_table, write_workbook

__all__ = [
    "Plan",
    "Table",
    "accuracy_table",
    "auc_table",
    "calibration_table",
    "centre_table",
    "comparator_table",
    "decision_table",
    "docx_bytes",
    "equation_text",
    "external_table",
    "flow_table",
    "footnote_mark",
    "latex_text",
    "missing_table",
    "model_table",
    "nested_table",
    "odds_ratio_table",
    "performance_table",
    "reader_effect_table",
    "reader_table",
    "sample_size_table",
    "segmentation_table",
    "table_one",
    "truth_table",
    "write_table",
    "write_workbook",
    "xlsx_bytes",
]
