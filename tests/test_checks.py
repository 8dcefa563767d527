"""What checks let pass and what they refuse, with a message that names the argument, what was seen and the way out."""

import re

import pytest
import torch

from vaelib.checks import check_axes, check_finite, check_floating, check_numbers

CODES, LABELS = torch.zeros(5, 2), torch.zeros(5)


def test_axes_that_agree_pass():
    check_axes(codes=(CODES, "N", "K"), labels=(LABELS, "N"))
    check_axes(codes=(CODES, "N", 2))
    for leading in ((), (3,), (4, 3)):
        check_axes(images=(torch.zeros(*leading, 6), ..., 6))
    check_axes(none=(torch.zeros(0, 2), "N", "K"), nobody=(torch.zeros(0), "N"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"codes": (CODES, "N", "K"), "labels": (LABELS[:, None], "N")},
            "the shapes must be codes (N, K), labels (N,), on one device, not (5, 2) on cpu, (5, 1) on cpu",
        ),
        ({"codes": (CODES, "N", "K"), "labels": (LABELS[:1], "N")}, "not (5, 2) on cpu, (1,) on cpu"),
        ({"codes": (CODES, "N", "N")}, "the shapes must be codes (N, N), on one device, not (5, 2)"),
        ({"codes": (CODES, "N", 3)}, "codes (N, 3), on one device, not (5, 2)"),
        ({"codes": (CODES[None], "N", "K")}, "not (1, 5, 2)"),
        ({"codes": (CODES[0], "N", "K")}, "not (2,)"),
        ({"images": (torch.zeros(2, 3), ..., 6)}, "images (..., 6), on one device, not (2, 3)"),
        ({"images": (torch.tensor(1.0), ..., 6)}, "not ()"),
        ({"a": (CODES, "N", "K"), "b": (CODES.to("meta"), "M", "K")}, "not (5, 2) on cpu, (5, 2) on meta"),
    ],
)
def test_axes_that_do_not_agree_are_named(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_axes(**given)


@pytest.mark.parametrize(
    ("check", "passes", "refused", "message"),
    [
        (check_numbers, [1.0, torch.inf], [torch.nan, 1.0], "z must hold numbers, but 1 of its 2 are NaN: leave"),
        (check_numbers, [], [torch.nan], "1 of its 1"),
        (check_finite, [1.0, -2.0], [1.0, torch.inf], "1 of its 2 are NaN or infinite: leave these out"),
        (check_finite, [1], [torch.nan, torch.nan], "2 of its 2"),
        (check_finite, [True], [], "z must hold at least one number, not none, as of shape (0,)"),
        (check_floating, [1.0], [1], "z must be of a floating-point type, not torch.int64: convert it by .float()"),
    ],
)
def test_numbers_that_cannot_be_used_are_counted(check, passes, refused, message):
    check(z=torch.tensor(passes))
    with pytest.raises(ValueError, match=re.escape(message)):
        check(fine=LABELS, z=torch.tensor(refused))
