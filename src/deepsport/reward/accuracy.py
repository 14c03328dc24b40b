"""How right an answer is, in [0, 1], without a judge.

Free text is scored by the facts it must state, where these are known: each is right if it is named and nothing that contradicts
it is. Without facts only the reference itself is scored; any other wording is None, "not scored", because only a judge can say,
and a judge's silence is not a wrong answer. A missing answer is 0 for every kind.
"""

from typing import assert_never

from deepsport.records import Choice, FreeText, Gold, Number
from deepsport.reward.choice import named_options
from deepsport.reward.facts import share_right
from deepsport.reward.numerals import read_number
from deepsport.reward.wording import plain


def accuracy(gold: Gold, answer: str | None) -> float | None:
    """Share of the answer that is right, or None if only a judge could say."""
    if answer is None or not answer.strip():
        return 0.0
    match gold:
        case Choice():
            return float(named_options(gold.options, answer) == {gold.options.index(gold.answer)})
        case Number():
            return number_accuracy(gold, read_number(answer))
        case FreeText() if gold.facts:
            return share_right(gold.facts, answer)
        case FreeText():
            return 1.0 if plain(answer) and plain(answer) == plain(gold.answer) else None
    assert_never(gold)


def number_accuracy(gold: Number, value: float | None) -> float:
    """1 within the tolerance, 0.5 within twice the tolerance, else 0; no number is 0."""
    if value is None:
        return 0.0
    error = abs(value - gold.answer)
    slack = 1e-9 * max(1.0, abs(gold.answer))  # 0.3 - 0.1 is not 0.2 in binary
    if error <= gold.tolerance + slack:
        return 1.0
    return 0.5 if error <= 2 * gold.tolerance + slack else 0.0
