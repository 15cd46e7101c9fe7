"""Frames in, manuscript tables out: the same cells in Word, HTML and CSV."""

from reports.tables.accuracy import accuracy_table, auc_table
from reports.tables.cohort import flow_table, table_one
from reports.tables.comparison import nested_table, truth_table
from reports.tables.model import equation_text, model_table, odds_ratio_table
from reports.tables.table import Table, footnote_mark
from reports.tables.validation import (
    calibration_table,
    centre_table,
    decision_table,
    external_table,
    performance_table,
)
from reports.tables.word import docx_bytes
from reports.tables.write import write_table

__all__ = [
    "Table",
    "accuracy_table",
    "auc_table",
    "calibration_table",
    "centre_table",
    "decision_table",
    "docx_bytes",
    "equation_text",
    "external_table",
    "flow_table",
    "footnote_mark",
    "model_table",
    "nested_table",
    "odds_ratio_table",
    "performance_table",
    "table_one",
    "truth_table",
    "write_table",
]
