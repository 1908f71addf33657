"""Unequal classes: three ways to fit a pipeline, none of which can touch a row it is not fitted on.

Weighting and resampling both live inside `fit`, so in cross-validation they see training folds only. A sampler acts
in fitting and never in prediction, so the fitted pipeline that is returned holds none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from pipelines.parts.tabular.metrics import Vector

Imbalance = Literal["none", "weights", "smotenc"]
"""`none`; `weights`: each class weighs the same in the loss; `smotenc`: synthetic minority rows until the classes are equal
(Chawla et al., JAIR 2002, the variant for mixed columns)."""


def fit(pipeline: Pipeline, frame: pd.DataFrame, y: Vector, how: Imbalance, seed: int) -> Pipeline:
    """Fit `pipeline`, whose steps are `impute`, `encode` and `model`, on the rows of `frame`; returns a fitted pipeline.

    Raises ValueError for an unknown `how`.
    """
    if how == "none":
        return pipeline.fit(frame, y)
    if how == "weights":
        return pipeline.fit(frame, y, model__sample_weight=balanced_weights(y))
    if how == "smotenc":
        return _fit_resampled(pipeline, frame, y, seed)
    raise ValueError(f"imbalance is none, weights or smotenc; found {how!r}")


def balanced_weights(y: Vector) -> Vector:
    """A weight for each row, so that both classes sum to the same and the mean is 1.

    >>> balanced_weights(np.array([0, 0, 0, 1])).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    counts = np.bincount(np.asarray(y, dtype=int), minlength=2)
    return np.asarray((len(y) / (2 * np.maximum(counts, 1)))[np.asarray(y, dtype=int)])


def sampler(frame: pd.DataFrame, seed: int) -> Any:
    """SMOTENC that takes every column that is not numeric as categorical."""
    from imblearn.over_sampling import SMOTENC

    return SMOTENC(categorical_features=list(frame.select_dtypes(exclude="number").columns), random_state=seed)


def _fit_resampled(pipeline: Pipeline, frame: pd.DataFrame, y: Vector, seed: int) -> Pipeline:
    """Resample between imputing (a sampler needs complete rows) and encoding (it needs categories as they are)."""
    from imblearn.pipeline import Pipeline as Resampling
    from sklearn.pipeline import Pipeline as Plain

    steps = list(pipeline.steps)
    fitted = Resampling([steps[0], ("sample", sampler(frame, seed)), *steps[1:]]).fit(frame, y)
    return Plain([(name, step) for name, step in fitted.steps if name != "sample"])
