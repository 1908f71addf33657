from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.parts.vision.network import Network
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.recipe import Architecture
from pipelines.parts.vision.shards import Shards


def net(dropout: float = 0.0) -> Network:
    return build(Architecture(width=4, dropout=dropout), 3, 1, seed=1).train()


def batch(rows: int = 10) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(rows, 1, 12, 12, generator=generator), torch.arange(rows) % 3


def compute(one: nn.Module, x: Tensor, label: Tensor) -> tuple[Tensor, int]:
    return functional.cross_entropy(one(x), label), len(label)


def gradients(one: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in one.parameters() if parameter.grad is not None]


def test_parts_add_up_to_the_gradient_of_the_whole_batch() -> None:
    """In evaluation mode, where rows know nothing of each other."""
    x, label = batch(11)  # parts of 4, 4 and 3 rows
    whole, split = net().eval(), net().eval()
    loss, _ = compute(whole, x, label)
    loss.backward()  # type: ignore[no-untyped-call]
    with Shards(split, 3) as shards:
        done = shards.gradient(compute, x, label)
    assert sum(part for part, _ in done) == pytest.approx(loss.item(), rel=1e-5)
    assert [rows for _, rows in done] == [4, 4, 3]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients(whole), gradients(split), strict=True))


def test_statistics_are_the_mean_of_the_parts() -> None:
    x, label = batch()
    split, halves = net(), [net(), net()]
    for half, some in zip(halves, x.tensor_split(2), strict=True):
        half(some)
    with Shards(split, 2) as shards:
        shards.gradient(compute, x, label)
        twin = shards.twins[0].state_dict()
    for name, found in split.state_dict().items():
        if "running" in name:
            expected = (halves[0].state_dict()[name] + halves[1].state_dict()[name]) / 2
            assert torch.allclose(found, expected, atol=1e-6)
            assert torch.equal(found, twin[name])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_number_of_threads_makes_no_difference(monkeypatch: pytest.MonkeyPatch, dropout: float) -> None:
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        torch.manual_seed(3)
        one = net(dropout)
        with Shards(one, 2) as shards:
            assert shards.workers == (1 if dropout else int(threads))
            shards.gradient(compute, *batch())
        found.append(gradients(one))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_twins_share_weights_and_hold_still_what_the_network_holds_still() -> None:
    one = net()
    with Shards(one, 2) as shards:
        frozen = one.depths()[0].eval().requires_grad_(False)
        shards.follow()
        before = {name: tensor.clone() for name, tensor in frozen.state_dict().items()}
        shards.gradient(compute, *batch())
        with torch.no_grad():
            one.head.weight.add_(1.0)
        assert torch.equal(shards.twins[0].state_dict()["head.weight"], one.head.weight)
        assert all(parameter.grad is None for parameter in frozen.parameters())
        assert all(torch.equal(tensor, before[name]) for name, tensor in frozen.state_dict().items())
        assert one.head.weight.grad is not None


def test_threads_of_others_are_as_before() -> None:
    before = torch.get_num_threads()
    with Shards(net(), 2):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_what_goes_wrong_in_a_part_is_told() -> None:
    def fails(one: nn.Module, x: Tensor, label: Tensor) -> tuple[Tensor, int]:
        raise ValueError("no such label")

    with Shards(net(), 2) as shards, pytest.raises(ValueError, match="no such label"):
        shards.gradient(fails, *batch())
