"""The rules of verdicts that chapters and the ledger share: on ideal, null and broken numbers."""

import math

import pytest

from vaelib.report import rules
from vaelib.report.verdicts import DID_NOT_HOLD, HELD, NOT_MEASURED, TOO_CLOSE

NAN = [math.nan] * 3


def near(value):
    return [value - 0.001, value, value + 0.001]


SCORES = {f"{name}_rank": near(0.9) for name in rules.KNOWN}
# Each rule by name, as a function of one list of numbers that is high where the claim holds, or low.
HIGH = {
    "common": lambda v: rules.common_scores(dict.fromkeys(SCORES, v)),
    "kept": lambda v: rules.kept("boots", "heel", {"kept_heel": v}),
    "clustered": lambda v: rules.clustered({"inside": v}),
    "sparse": lambda v: rules.sparse(v, near(0), near(0))[0],
    "sparser": lambda v: rules.sparse(near(0), v, near(0))[1],
    "sparser still": lambda v: rules.sparse(near(0), near(0), v)[2],
    "bends": lambda v: rules.flexibility([each - 0.5 for each in v], 64, 2000, longer=True),
    "regularizes": lambda v: rules.regularization([each - 0.5 for each in v], 500),
    "kl blurs": lambda v: rules.blur_by_kl({2: v})[0],
    "seeds apart": lambda v: rules.complexity([each - 0.5 for each in v], "64 units"),
    "memorizes": lambda v: rules.memorization([each - 0.5 for each in v], 256, 16, 500),
    "encoder": lambda v: rules.blame({"encoder": v, "decoder": near(0.5)}),
    "ahead of an autoencoder": lambda v: rules.generation({"told_ae": v, "told_vae": near(0.5)})[1],
    "one factor": lambda v: rules.interpretability({"apart": v, "apart_rank": v, "loss_45": v, "loss_0": v})[0],
    "its axes": lambda v: rules.interpretability({"apart": v, "apart_rank": v, "loss_45": v, "loss_0": v})[1],
    "diagonal": lambda v: rules.interpretability(
        {"apart": v, "apart_rank": v, "loss_45": v, "loss_0": near(0.5)[::-1]}
    )[2],
    **{
        key: lambda v, key=key, column=column: rules.axes(
            "boots", dict.fromkeys(("one", "one_rank", "apart", "apart_rank"), v) | {"as_numbered": v} | {column: v}
        )[key]
        for key, column in {"one": "one", "one, turned": "one_rank", "apart": "apart"}.items()
    },
}
LOW = {
    "read off": lambda v: rules.read_off({"misread": v}),
    "σ to zero": lambda v: rules.autoencoder({"sigma": v, "behind": v})[0],
    "level": lambda v: rules.autoencoder({"sigma": v, "behind": [10 * each for each in v]})[1],
    "pass": lambda v: rules.generation({"told_ae": v, "told_vae": v})[0],
    "blurred": lambda v: rules.blur({"sharp_drawn": v}),
}


@pytest.mark.parametrize("name", HIGH)
def test_rules_on_what_should_be_high(name):
    assert HIGH[name](near(0.95)).outcome == HELD
    assert HIGH[name](near(0.05)).outcome == DID_NOT_HOLD
    assert HIGH[name]([-40.0, 1.0, 40.0]).outcome == TOO_CLOSE
    assert (HIGH[name](NAN).outcome, HIGH[name](NAN).measured) == (None, NOT_MEASURED)


@pytest.mark.parametrize("name", LOW)
def test_rules_on_what_should_be_low(name):
    assert LOW[name](near(0.001)).outcome == HELD
    assert LOW[name](near(0.95)).outcome == DID_NOT_HOLD
    assert LOW[name]([-40.0, 1.0, 40.0]).outcome == TOO_CLOSE
    assert (LOW[name](NAN).outcome, LOW[name](NAN).measured) == (None, NOT_MEASURED)


def test_exchanged_axes_are_numbered_otherwise():
    numbers = dict.fromkeys(("one", "one_rank", "apart", "apart_rank"), near(0.9))
    found = [rules.axes("boots", numbers | {"as_numbered": near(sign)}) for sign in (0.9, -0.9)]
    assert [verdicts["numbered"].outcome for verdicts in found] == [HELD, DID_NOT_HOLD]


def test_an_infinite_kl_is_no_elbo():
    assert [rules.at_zero(finite).outcome for finite in (True, False)] == [HELD, DID_NOT_HOLD]


def test_verdicts_name_what_they_are_about():
    assert "ankle boots: the code keeps the shaft" in rules.kept("ankle boots", "shaft", {"kept_shaft": NAN}).claim
    assert "64 hidden units are worth on 2,000 images" in rules.flexibility(near(1), 64, 2000, longer=False).measured
    assert "four times as long" not in rules.flexibility(near(1), 64, 2000, longer=False).measured
    assert [verdict.claim[-6:] for verdict in rules.blur_by_kl({2: near(1), 50: near(1)})] == [" K = 2", "K = 50"]
