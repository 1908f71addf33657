from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.core.errors import ConfigError, DataError, InfrastructureError
from pipelines.parts.vision import checkpoints
from pipelines.parts.vision import training as module
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.losses import Loss
from pipelines.parts.vision.network import Network
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.recipe import Architecture, Recipe
from pipelines.parts.vision.training import Group, Trained, judge, train
from tests.disk import small_disk
from tests.unit.parts.vision.stripes import stripes, training

QUICK = Recipe(epochs=3, batch=16, precision="float32", average=0.9, augmentation={"flip": 0.5, "shift": 1, "erase": 0.3})


def net(images: Images, seed: int = 7, **options: Any) -> Network:
    made = build(Architecture(**{"width": 4, **options}), 3, images.shape[0], seed)
    made.normalise(images.pixels)
    return made


def run(folder: Path, recipe: Recipe = QUICK, *, seed: int = 7, images: Images | None = None, **options: Any) -> Trained:
    """Train on stripes, validate on others."""
    images = stripes() if images is None else images
    return train(net(images, seed, **options), images, stripes(seed=1), recipe, training(folder, seed))


def weights(trained: Trained) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in trained.net.state_dict().values())


def flat(parameters: Iterable[nn.Parameter]) -> torch.Tensor:
    """All of them in one row, a copy."""
    return torch.cat([parameter.detach().flatten().clone() for parameter in parameters])


def changed(recipe: Recipe, **values: Any) -> Recipe:
    return Recipe.model_validate({**recipe.model_dump(), **values})


# what it learns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"optimiser": "adam", "rate": 0.01, "momentum": 0.9},
        {"schedule": "plateau", "warmup": 0.0},
        {"schedule": "constant", "clip": 1.0, "smoothing": 0.1},
        {"precision": "bfloat16"},
        {"average": 0.0},
        {"focus": 2.0, "sampler": "balanced", "weights": "effective"},
    ],
    ids=lambda values: "-".join(values) or "defaults",
)
def test_it_learns_the_stripes(tmp_path: Path, values: dict[str, Any]) -> None:
    trained = run(tmp_path, changed(QUICK, epochs=5, steps=12, **values))
    assert max(one["valid_accuracy"] for one in trained.curve) >= 0.95
    assert trained.facts["precision"] == values.get("precision", "float32")
    assert not trained.net.training


def test_the_curve_says_how_it_went(tmp_path: Path) -> None:
    said: list[tuple[int, int, str]] = []
    images = stripes()
    given = training(tmp_path, progress=lambda done, total, message: said.append((done, total, message)))
    trained = train(net(images), images, stripes(seed=1), QUICK, given)
    assert [one["epoch"] for one in trained.curve] == [1, 2, 3]
    assert {"rate", "loss", "accuracy", "valid_loss", "valid_accuracy", "images_per_second", "seconds"} < set(trained.curve[0])
    assert trained.curve[0]["loss"] > trained.curve[-1]["loss"]
    assert [done for done, _, _ in said] == [3, 6, 9]
    assert {total for _, total, _ in said} == {9}
    assert said[-1][2].startswith("epoch 3 of 3: loss 0.")
    assert said[-1][2].endswith(" images/s")


def test_long_epochs_report_on_the_way(tmp_path: Path) -> None:
    said: list[tuple[int, int, str]] = []
    images = stripes()
    given = training(tmp_path, progress=lambda done, total, message: said.append((done, total, message)))
    train(net(images), images, stripes(seed=1), changed(QUICK, epochs=1, steps=50), given)
    assert [done for done, _, _ in said] == [20, 40, 50]
    assert all(message.startswith("epoch 1 of 1") for _, _, message in said)


def judged(monkeypatch: pytest.MonkeyPatch, *accuracies: float) -> None:
    """Validation finds these accuracies, epoch by epoch."""
    left = list(accuracies)
    monkeypatch.setattr(module, "judge", lambda *given: (1.0, left.pop(0)))


def test_the_best_epoch_is_kept_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steady = changed(QUICK, epochs=4, schedule="constant", warmup=0.0)
    judged(monkeypatch, 0.5, 0.9, 0.9, 0.7)
    best = run(tmp_path, steady)
    assert best.facts["best_epoch"] == 2
    judged(monkeypatch, 0.5, 0.9)
    assert weights(best) == weights(run(tmp_path, changed(steady, epochs=2)))


def test_early_stopping_waits_for_its_patience(tmp_path: Path) -> None:
    trained = run(tmp_path, changed(QUICK, epochs=40, patience=2))
    assert len(trained.curve) == trained.facts["best_epoch"] + 2 < 40
    assert trained.facts["ended"] == "early: validation did not improve"


def test_the_moving_average_is_what_is_kept(tmp_path: Path) -> None:
    plain, averaged = (run(tmp_path, changed(QUICK, average=average)) for average in (0.0, 0.99))
    assert [one["loss"] for one in plain.curve] == [one["loss"] for one in averaged.curve]
    assert weights(plain) != weights(averaged)


def test_clipping_bounds_the_first_step(tmp_path: Path) -> None:
    one_step = changed(QUICK, epochs=1, batch=64, warmup=0.0, average=0.0, decay=0.0, momentum=0.0, rate=1.0)
    images = stripes()
    before = flat(net(images).parameters())
    far, near = (
        float((flat(run(tmp_path, changed(one_step, clip=clip)).net.parameters()) - before).norm()) for clip in (None, 0.01)
    )
    assert near == pytest.approx(0.01, rel=1e-3)
    assert far > 10 * near


def test_pictures_of_several_channels(tmp_path: Path) -> None:
    images = stripes(channels=3)
    trained = train(net(images), images, stripes(seed=1, channels=3), changed(QUICK, epochs=5, steps=12), training(tmp_path))
    assert trained.curve[-1]["valid_accuracy"] >= 0.95


# imbalance --------------------------------------------------------------------------------------------------------------


def test_imbalance_tools_find_the_rare_class(tmp_path: Path) -> None:
    """96 of 100 rows are of two classes, not easily told from the third: without a tool the rare one is hardly found."""
    rare, valid = stripes((120, 120, 10), bright=25), stripes((50, 50, 50), seed=1, bright=25)
    base = changed(QUICK, epochs=5, augmentation={}, rate=0.02, smoothing=0.0, shards=1)

    def recall(**values: Any) -> float:
        trained = train(net(rare), rare, valid, changed(base, **values), training(tmp_path))
        pixels = torch.from_numpy(valid.pixels[valid.label == 2])
        return judge(trained.net, pixels, torch.full((len(pixels),), 2))[1]

    tools: list[dict[str, Any]] = [{"weights": "balanced"}, {"weights": "effective"}, {"sampler": "balanced"}, {"focus": 2.0}]
    assert recall() < 0.3
    assert min(recall(**tool) for tool in tools) > 0.5


# the same again ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_inputs_give_the_same_weights(tmp_path: Path, precision: str) -> None:
    recipe = changed(QUICK, precision=precision)
    first = run(tmp_path / "one", recipe, dropout=0.2)
    torch.manual_seed(99)  # what others draw is of no influence
    np.random.default_rng(3)
    second = run(tmp_path / "two", recipe, dropout=0.2)
    assert weights(first) == weights(second)
    assert weights(run(tmp_path / "three", recipe, seed=8, dropout=0.2)) != weights(first)


def test_the_number_of_threads_makes_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for threads in (1, 2):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        trained = run(tmp_path / str(threads))
        assert trained.facts["threads"] == threads
        found.append(weights(trained))
    assert found[0] == found[1]


def test_training_leaves_the_generators_of_others_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def stop_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """Training is interrupted once so many epochs are on the disk."""
    save, seen = module._Loop.save, []

    def interrupted(self: Any) -> None:
        save(self)
        seen.append(self.progress.epoch)
        if self.progress.epoch == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(module._Loop, "save", interrupted)


RESUMED: Sequence[dict[str, Any]] = (
    {},
    {"optimiser": "adam", "rate": 0.01},
    {"schedule": "plateau", "wait": 1, "average": 0.0},
    {"precision": "bfloat16", "clip": 0.5},
    {"sampler": "balanced", "patience": 3},
)


@pytest.mark.parametrize("values", RESUMED, ids=lambda values: "-".join(values) or "defaults")
@pytest.mark.parametrize("epochs", [1, 3])
def test_an_interrupted_training_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], epochs: int
) -> None:
    recipe = changed(QUICK, epochs=4, **values)
    whole = run(tmp_path / "whole", recipe, dropout=0.2)
    with monkeypatch.context() as once:
        stop_after(once, epochs)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", recipe, dropout=0.2)
    resumed = run(tmp_path / "parts", recipe, dropout=0.2)
    assert weights(resumed) == weights(whole)
    timeless = [[{k: v for k, v in one.items() if "second" not in k} for one in trained.curve] for trained in (whole, resumed)]
    assert timeless[0] == timeless[1]


def test_a_finished_training_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path)
    monkeypatch.setattr(module._Loop, "epoch", lambda self: pytest.fail("an epoch was repeated"))
    assert weights(run(tmp_path)) == weights(first)


def test_other_inputs_never_meet_a_checkpoint(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, changed(QUICK, rate=0.05))
    run(tmp_path, seed=8)
    run(tmp_path, images=stripes(seed=5))
    assert len(list(tmp_path.glob("training-*.safetensors"))) == 4


# groups -----------------------------------------------------------------------------------------------------------------


def test_groups_learn_from_their_epoch_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = stripes()

    def moved(start: int, epochs: int) -> list[float]:
        made = net(images)
        parts = made.depths()
        before = [flat(part.parameters()) for part in parts]
        statistics = made.state_dict()["stages.0.1.running_mean"].clone()
        judged(monkeypatch, 0.5, 0.6)
        groups = [Group([parts[-1]]), Group(parts[1:-1], 0.1), Group([parts[0]], 0.1, start)]
        trained = train(made, images, stripes(seed=1), changed(QUICK, epochs=epochs, average=0.0), training(tmp_path), groups)
        held = torch.equal(trained.net.state_dict()["stages.0.1.running_mean"], statistics)
        assert held == (start >= epochs)
        after = [flat(part.parameters()) for part in trained.net.depths()]
        return [float((b - a).norm()) for a, b in zip(before, after, strict=True)]

    seen = [moved(start=2, epochs=2), moved(start=1, epochs=2)]
    assert seen[0][0] == 0
    assert seen[1][0] > 0
    assert all(distance > 0 for distances in seen for distance in distances[1:])


def body(made: Network) -> torch.Tensor:
    """All weights but the head's, in one row."""
    return flat(parameter for part in made.depths()[:-1] for parameter in part.parameters())


def test_a_slower_group_moves_less(tmp_path: Path) -> None:
    images = stripes()
    distances = []
    for scale in (1.0, 0.01):
        made = net(images)
        before = body(made)
        recipe = changed(QUICK, epochs=1, average=0.0, decay=0.0)
        groups = [Group([made.head]), Group(made.depths()[:-1], scale)]
        after = body(train(made, images, stripes(seed=1), recipe, training(tmp_path), groups).net)
        distances.append(float((after - before).norm()))
    assert distances[1] < 0.1 * distances[0]


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"mirrored": True}, {"resolution": 16}])
def test_networks_that_differ_in_no_weight_do_not_share_a_checkpoint(tmp_path: Path, options: dict[str, Any]) -> None:
    run(tmp_path, changed(QUICK, epochs=1))
    run(tmp_path, changed(QUICK, epochs=1), **options)
    assert len(list(tmp_path.glob("training-*"))) == 2


# what goes wrong --------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = changed(QUICK, epochs=4, shards=1)
    forward = Loss.forward

    def breaks(self: Any, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        breaks.calls += 1  # type: ignore[attr-defined]
        return forward(self, logits, label) * (math.nan if breaks.calls == 8 else 1.0)  # type: ignore[attr-defined]

    breaks.calls = 0  # type: ignore[attr-defined]
    with monkeypatch.context() as once:
        once.setattr(Loss, "forward", breaks)
        expected = (
            r"the loss is nan in epoch 3, step 2 of 3, at learning rate 0\.0\d+; the state after epoch 2 is kept in .*training-"
        )
        with pytest.raises(ConfigError, match=expected) as stopped:
            run(tmp_path, whole)
    assert "Lower rate, set clip (1.0 is a start), lengthen warmup or set precision: float32" in str(stopped.value)
    (file,) = tmp_path.glob("training-*.safetensors")
    tensors, state = checkpoints.load(file)
    assert state["epoch"] == 2
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    assert weights(run(tmp_path, whole)) == weights(run(tmp_path / "whole", whole))


def test_weights_spoilt_by_the_last_step_of_an_epoch_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, step = changed(QUICK, epochs=3, average=0.0), module._Loop.step

    def spoils(self: Any, rows: torch.Tensor, draws: torch.Generator) -> tuple[float, int]:
        done = step(self, rows, draws)
        if self.progress.step == 2 * self.steps:
            self.net.head.bias.data.fill_(math.nan)
        return done

    with monkeypatch.context() as once:
        once.setattr(module._Loop, "step", spoils)
        with pytest.raises(
            ConfigError, match=r"the loss is nan in epoch 2, on the validation images, .* after epoch 1 is kept in"
        ):
            run(tmp_path, whole)
    assert weights(run(tmp_path, whole)) == weights(run(tmp_path / "whole", whole))


def test_a_rate_that_is_far_too_high_ends_that_way(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the loss is (nan|inf) in epoch 1, step \d+ of 3.*; nothing is kept"):
        run(tmp_path, changed(QUICK, rate=1e30, warmup=0.0))


def test_no_room_for_a_checkpoint_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "100k") as disk, pytest.raises(InfrastructureError, match="the disk is full; free some"):
        run(disk)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run(tmp_path)
    (file,) = tmp_path.glob("training-*")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DataError, match=f"{file.name} is not a whole checkpoint .*; delete it and run again"):
        run(tmp_path)


def test_labels_out_of_range_and_empty_sets_are_refused(tmp_path: Path) -> None:
    images = stripes()
    with pytest.raises(DataError, match="expected labels from 0 to 2 in the training set, found 0 to 3"):
        run(tmp_path, images=stripes((10, 10, 10, 10)))
    with pytest.raises(DataError, match="expected labels from 0 to 2 in the validation set, found -1 to -1"):
        train(net(images), images, Images.of(images.pixels), QUICK, training(tmp_path))
    with pytest.raises(DataError, match="expected at least 2 training images, found 1"):
        run(tmp_path, images=images.take([0]))
    with pytest.raises(DataError, match="expected at least 1 validation images, found 0"):
        train(net(images), images, images.take([]), QUICK, training(tmp_path))
