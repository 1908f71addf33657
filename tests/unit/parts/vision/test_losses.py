from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipelines.core.errors import ConfigError
from pipelines.parts.vision.losses import Loss, class_weights

torch.manual_seed(0)
LOGITS = torch.randn(40, 5) * 2
LABEL = torch.randint(0, 5, (40,))


def test_without_options_it_is_cross_entropy() -> None:
    assert float(Loss()(LOGITS, LABEL)) == pytest.approx(float(functional.cross_entropy(LOGITS, LABEL)))


def test_smoothing_and_weights_are_as_in_torch() -> None:
    smooth = functional.cross_entropy(LOGITS, LABEL, label_smoothing=0.1)
    assert float(Loss(smoothing=0.1)(LOGITS, LABEL)) == pytest.approx(float(smooth))
    weights = np.array([1, 2, 3, 0.5, 1], dtype=np.float32)
    weighted = functional.cross_entropy(LOGITS, LABEL, torch.from_numpy(weights), reduction="none").mean()
    assert float(Loss(weights)(LOGITS, LABEL)) == pytest.approx(float(weighted))


def test_a_batch_in_parts_has_the_loss_of_the_whole_batch() -> None:
    """Whoever divided by the weights of a part would count the rows of a part without rare ones more."""
    loss = Loss(class_weights(np.repeat([0, 1, 2], [90, 9, 1]), 3, "balanced"))
    logits, label = LOGITS[:, :3], LABEL % 3
    parts = zip(logits.tensor_split(3), label.tensor_split(3), strict=True)
    assert sum(float(loss(x, y)) * len(y) for x, y in parts) / len(label) == pytest.approx(float(loss(logits, label)))


def test_focus_counts_what_is_already_right_less() -> None:
    sure, unsure = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    zero = torch.tensor([0])
    p = 1 / (1 + np.exp(-4.0))
    assert float(Loss(focus=2)(sure, zero)) == pytest.approx(-((1 - p) ** 2) * np.log(p), rel=1e-3)
    kept = [float(Loss(focus=2)(one, zero) / Loss()(one, zero)) for one in (sure, unsure)]
    assert kept[0] < 0.001
    assert kept[1] == pytest.approx(0.25)


def test_focus_below_one_leaves_a_gradient_where_the_network_is_sure() -> None:
    sure = torch.tensor([[40.0, 0.0]], requires_grad=True)
    Loss(focus=0.5)(sure, torch.tensor([0])).backward()
    assert sure.grad is not None
    assert torch.isfinite(sure.grad).all()


def test_balanced_weights_make_all_classes_weigh_the_same() -> None:
    label = np.array([0] * 90 + [1] * 9 + [2])
    weights = class_weights(label, 3, "balanced")
    assert weights is not None
    assert weights[label].mean() == pytest.approx(1)
    assert [weights[one] * (label == one).sum() for one in range(3)] == pytest.approx([100 / 3] * 3)


def test_effective_weights_lie_between_none_and_balanced() -> None:
    label = np.repeat([0, 1], [20_000, 500])
    effective, balanced = class_weights(label, 2, "effective"), class_weights(label, 2, "balanced")
    assert effective is not None
    assert balanced is not None
    assert 1 < effective[1] / effective[0] < balanced[1] / balanced[0] == pytest.approx(40)
    assert effective[1] / effective[0] == pytest.approx((1 - 0.999**20_000) / (1 - 0.999**500), rel=1e-4)


def test_a_class_without_rows_has_a_finite_weight() -> None:
    weights = class_weights(np.array([0, 0, 1]), 3, "balanced")
    assert weights is not None
    assert np.isfinite(weights).all()


def test_no_weights_and_unknown_weights() -> None:
    assert class_weights(np.array([0, 1]), 2, "none") is None
    with pytest.raises(ConfigError, match="class weights 'balance' are not known; did you mean 'balanced'"):
        class_weights(np.array([0, 1]), 2, "balance")
