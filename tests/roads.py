"""Rendered roads whose lines are known: flat ground, a level camera, painted markings."""

import cv2
import numpy as np

W, H = 1280, 720
FOCAL, HEIGHT_M, HORIZON = 1060.0, 1.3, 340.0
"""62 degrees across at 1280 px."""


def at(line_m, ahead_m, curvature=0.0, yaw=0.0, horizon=HORIZON):
    """Return px of a line line_m to the right of the camera, at distances ahead: float64 (P, 2)."""
    ahead_m = np.asarray(ahead_m, np.float64)
    across = line_m + curvature * ahead_m**2 / 2 + yaw * ahead_m
    return np.column_stack([W / 2 + FOCAL * across / ahead_m, horizon + FOCAL * HEIGHT_M / ahead_m])


def road(
    lines,
    *,
    curvature=0.0,
    yaw=0.0,
    horizon=HORIZON,
    travelled=0.0,
    asphalt=95,
    paint=215,
    dash=(3.0, 9.0),
    noise=3.0,
    seed=0,
):
    """Return a picture, uint8 (H, W), of a road under a sky.

    lines: m to the right of the camera -> "solid" or "dashed". travelled: m, moves the dashes.
    """
    rng = np.random.default_rng(seed)
    picture = np.full((H, W), 180, np.float32)
    below = np.arange(H) > horizon
    picture[below] = asphalt
    edge = 6.0
    verge = asphalt * 0.75
    for side in (-1, 1):
        far = np.geomspace(3.0, 400.0, 200)
        line = at(side * edge, far, curvature, yaw, horizon)
        outside = np.vstack([line, [[W * (0.5 + side * 3), horizon], [W * (0.5 + side * 3), 9e3]]])
        cv2.fillPoly(picture, [np.round(outside).astype(np.int32)], verge)
    picture[~below] = 180
    mask = np.zeros((H, W), np.uint8)
    for line_m, kind in lines.items():
        spans = [(2.0, 150.0)]
        if kind == "dashed":
            period = sum(dash)
            first = -(travelled % period)
            spans = [(first + k * period, first + k * period + dash[0]) for k in range(20)]
        for near, far in spans:
            near = max(near, 2.0)
            if far > near + 0.2:
                steps = np.linspace(near, far, 40)
                left = at(line_m - 0.07, steps, curvature, yaw, horizon)
                right = at(line_m + 0.07, steps, curvature, yaw, horizon)
                shape = np.vstack([left, right[::-1]]) * 16
                cv2.fillPoly(mask, [shape.round().astype(np.int32)], 255, cv2.LINE_AA, 4)
    share = mask.astype(np.float32) / 255
    picture = picture * (1 - share) + paint * share
    picture += rng.normal(0, noise, picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def with_shadow(picture, depth=0.45):
    """Return the picture with the shadow of a tree and of a bridge on it."""
    dark = np.ones((H, W), np.float32)
    cv2.fillPoly(dark, [np.array([[0, 430], [760, 400], [900, 440], [300, 540], [0, 520]])], depth)
    cv2.fillPoly(dark, [np.array([[0, 600], [W, 585], [W, 640], [0, 660]])], depth)
    return (picture * dark).astype(np.uint8)
