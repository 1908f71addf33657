"""A device beside the CPU that any machine has, and that is as strict as a GPU.

Its tensors keep their numbers on the CPU, so that results can be compared to the last bit; but an operation on tensors of both
devices is refused, as CUDA refuses it: so is a number on the CPU for a fused optimiser, a generator of the CPU for numbers on the
device, and pinned memory that is not the CPU's. It is torch's place for devices of others (PrivateUse1), filled in Python; mixed
precision is entered and changes nothing, and nothing of cuDNN is here. torch keeps it for the rest of a process.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default, aten._foreach_copy_.default}
"""Operations that take tensors of both devices."""
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
"""Operations whose indices may be on the CPU where the first argument is on the device; not the other way round."""


class _Module:
    """What torch asks of a device's module."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def _lazy_init(self) -> None:
        """Nothing to wait for."""

    def _is_in_bad_fork(self) -> bool:
        return False

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def manual_seed_all(self, seed: int) -> None:
        """It draws with the CPU's generators."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend("gpu", backend_module=_Module())
_autocast = torch.library.Library("_", "IMPL")
_autocast.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
GPU = torch.device("gpu", 0)


class WrongDevice(RuntimeError):
    """An operation that a real device would refuse."""


class _OnGPU(Tensor):
    """A tensor on the device; `inner` has its numbers."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> _OnGPU:
        made: Any = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype, device=GPU
        )
        made.inner = inner
        return made  # type: ignore[no-any-return]

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"_OnGPU({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class Elsewhere(TorchDispatchMode):
    """A span in which tensors can be made on the device and moved there, in the thread that enters it."""

    def __enter__(self) -> Any:
        self.before = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(…, device=…) moves its numbers where this mode sees it
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        torch._C._set_only_lift_cpu_tensors(self.before)
        super().__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class Workers(ThreadPoolExecutor):
    """Threads in which the device is known."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        def inside() -> Any:
            with Elsewhere():
                return fn(*args, **kwargs)

        return super().submit(inside)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation, on the CPU: refused where a device would refuse it, its results on the device where they belong there."""
    ours = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, _OnGPU)]
    target = None if kwargs.get("device") is None else torch.device(kwargs["device"])
    there = bool(ours) if target is None else target.type == GPU.type
    if ours and func not in COPIES:
        _refuse_strangers(func, args, kwargs)
    if there:
        _refuse_help_from_here(func, kwargs)
    if target is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    outer = {id(one.inner): one for one in ours}
    plain_args, plain_kwargs = tree_map(lambda one: one.inner if isinstance(one, _OnGPU) else one, (args, kwargs))
    out = func(*plain_args, **plain_kwargs)
    if not there:
        return out
    if func is aten.copy_.default and not isinstance(args[0], _OnGPU):
        return args[0]

    def wrapped(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        return outer[id(one)] if id(one) in outer else _OnGPU(one)  # what was changed in place stays the tensor it was

    return tree_map(wrapped, out)


def _refuse_strangers(func: Any, args: Any, kwargs: dict[str, Any]) -> None:
    """Tensors of the CPU beside ours; single numbers may be there, but for fused kernels."""
    bound = (args[0], args[2:]) if func in INDEXED and isinstance(args[0], _OnGPU) else (args, kwargs)
    apart = [one for one in tree_flatten(bound)[0] if isinstance(one, Tensor) and not isinstance(one, _OnGPU)]
    if strangers := [tuple(one.shape) for one in apart if one.dim() or func.name().startswith("aten::_fused")]:
        raise WrongDevice(f"{func.name()}: beside tensors on the device those on the CPU of shape {strangers}")


def _refuse_help_from_here(func: Any, kwargs: dict[str, Any]) -> None:
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type != GPU.type:
        raise WrongDevice(f"{func.name()}: a generator of the {generator.device.type} for numbers on the device")
    if kwargs.get("pin_memory"):
        raise WrongDevice(f"{func.name()}: only memory of the CPU can be pinned")
