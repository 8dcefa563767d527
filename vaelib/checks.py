"""Checks of what a function is given: axes that are named once and must agree, numbers that are numbers.

They return nothing: a call lets its arguments pass or raises. So none is part of the digests of `vaelib.deciding`.
"""

from types import EllipsisType

from torch import Tensor

Axis = str | int | EllipsisType


def check_axes(**given: tuple[Tensor, *tuple[Axis, ...]]) -> None:
    """Raise ValueError unless each tensor has the axes that stand behind it, and all lie on one device.

    `check_axes(codes=(codes, "N", "K"), labels=(labels, "N"))`: a letter is one size wherever it stands, a number that
    size, and `...` in front any axes.
    """
    sizes: dict[str, int] = {}
    fits = len({tensor.device for tensor, *_ in given.values()}) == 1
    for tensor, *axes in given.values():
        shape = tensor.shape
        if axes[0] is ...:
            axes = axes[1:]
            shape = shape[-len(axes) :]
        fits = fits and len(shape) == len(axes)
        for size, axis in zip(shape, axes, strict=False):
            fits = fits and size == (sizes.setdefault(axis, size) if isinstance(axis, str) else axis)
    if not fits:
        wanted = ", ".join(f"{name} ({_words(axes)})" for name, (_, *axes) in given.items())
        seen = ", ".join(f"{tuple(tensor.shape)} on {tensor.device}" for tensor, *_ in given.values())
        raise ValueError(f"the shapes must be {wanted}, on one device, not {seen}")


def _words(axes: list[Axis]) -> str:
    return ", ".join("..." if axis is ... else str(axis) for axis in axes) + "," * (len(axes) == 1)


def check_numbers(**given: Tensor) -> None:
    """Raise ValueError for NaN, of which no comparison holds, so that it would count as below everything."""
    for name, tensor in given.items():
        if n := int(tensor.isnan().sum()):
            raise ValueError(f"{name} must hold numbers, but {n} of its {tensor.numel()} are NaN: leave these out")


def check_finite(**given: Tensor) -> None:
    """Raise ValueError for tensors without a number, and for NaN and infinities, which cannot be ranked or averaged."""
    for name, tensor in given.items():
        if not tensor.numel():
            raise ValueError(f"{name} must hold at least one number, not none, as of shape {tuple(tensor.shape)}")
        if n := int((~tensor.isfinite()).sum()):
            raise ValueError(
                f"{name} must hold finite numbers, but {n} of its {tensor.numel()} are NaN or infinite: leave these out"
            )


def check_floating(**given: Tensor) -> None:
    """Raise ValueError for whole numbers and bytes, which would round what is computed from them, or wrap around."""
    for name, tensor in given.items():
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must be of a floating-point type, not {tensor.dtype}: convert it by .float()")
