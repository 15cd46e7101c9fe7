"""Geometry of a batch: every channel and the masks of an image go the same way, in one resampling.

A grid (N, H, W, 2) says for every pixel of the result where in the source it comes from, x and y
from -1 (left or upper border) to 1. What comes from outside is 0: black, or an unknown mask.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

__all__ = ["affine", "degrees", "plain_grid", "projective_grid", "resample", "warp"]


def affine(
    *,
    angle: Tensor,
    size: Tensor,
    shift: Tensor,
    mirror: Tensor | None = None,
    shear: Tensor | None = None,
) -> Tensor:
    """Matrices (N, 2, 3) that mirror, shear, scale, rotate and shift.

    Parameters
    ----------
    angle : (N,) Tensor
        Radians.
    size : (N,) Tensor
        Above 1 the picture shrinks.
    shift : (N, 2) Tensor
        x and y, in halves of the side.
    mirror : (N,) Tensor, optional
        -1 mirrors left and right.
    shear : (N,) Tensor, optional
        Radians by which columns lean.

    Examples
    --------
    >>> affine(angle=torch.zeros(1), size=torch.ones(1), shift=torch.zeros(1, 2))
    tensor([[[1., -0., 0.],
             [0., 1., 0.]]])
    """
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    mirror = torch.ones_like(angle) if mirror is None else mirror
    rows = [[cos * mirror, -sin * mirror, shift[:, 0]], [sin, cos, shift[:, 1]]]
    theta = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    if shear is None:
        return theta
    lean = torch.eye(3, device=angle.device).repeat(len(angle), 1, 1)
    lean[:, 0, 1] = torch.tan(shear)
    return theta @ lean


def warp(images: Tensor, masks: Tensor | None, theta: Tensor) -> tuple[Tensor, Tensor | None]:
    """Move images and masks by affine matrices (N, 2, 3)."""
    grid = affine_grid(theta.to(images), list(images.shape), align_corners=False)
    return resample(images, masks, grid)


def resample(images: Tensor, masks: Tensor | None, grid: Tensor) -> tuple[Tensor, Tensor | None]:
    """Images bilinearly and masks by the nearest pixel at the places of a grid.

    Parameters
    ----------
    images : (N, C, H, W) Tensor
    masks : (N, H, W) int Tensor, optional
        -1 where unknown.
    grid : (N, H, W, 2) Tensor
    """
    moved = grid_sample(images, grid, align_corners=False)
    if masks is None:
        return moved, None
    shifted = (masks + 1)[:, None].to(images)  # 0, unknown, is what grid_sample finds outside
    nearest = grid_sample(shifted, grid, mode="nearest", align_corners=False)
    return moved, nearest[:, 0].round().to(masks.dtype) - 1


def plain_grid(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Homogeneous coordinates (H, W, 3) of the pixels' centres: x, y and 1."""
    height, width = shape[-2:]
    y = (torch.arange(height, device=like.device) * 2 + 1) / height - 1
    x = (torch.arange(width, device=like.device) * 2 + 1) / width - 1
    columns, rows = torch.meshgrid(x, y, indexing="xy")
    return torch.stack([columns, rows, torch.ones_like(rows)], dim=-1).to(like)


def projective_grid(matrix: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Grid of homographies (N, 3, 3): what a camera sees that does not face the picture squarely.

    Examples
    --------
    >>> projective_grid(torch.eye(3)[None], (1, 2))[0, 0].tolist()
    [[-0.5, 0.0], [0.5, 0.0]]
    """
    seen = torch.einsum("nij,hwj->nhwi", matrix, plain_grid(shape, matrix))
    return seen[..., :2] / seen[..., 2:].clamp_min(0.1)


def degrees(angle: Tensor) -> Tensor:
    """In radians."""
    return angle * (math.pi / 180)
