"""Overlap of masks by image and by patient, and of evidence maps with masks."""

from usstats._overlap.cam import CamOverlap, CamReport, cam_overlap, cam_report
from usstats._overlap.masks import dice, hd95, iou, surface_distances
from usstats._overlap.report import OverlapReport, overlap_report

__all__ = [
    "CamOverlap",
    "CamReport",
    "OverlapReport",
    "cam_overlap",
    "cam_report",
    "dice",
    "hd95",
    "iou",
    "overlap_report",
    "surface_distances",
]
