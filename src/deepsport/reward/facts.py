"""How much of a free answer is true, where the facts it must state are known.

All things that could have been said are looked for together, the longest first, so that "yellow card" says nothing of who wears
yellow. A fact is right if the answer names it and nothing that contradicts it.
"""

from collections.abc import Sequence

from deepsport.records import Fact
from deepsport.reward.choice import phrases_in
from deepsport.reward.wording import plain


def share_right(facts: Sequence[Fact], answer: str) -> float:
    """Share of the facts that the answer gets right."""
    phrases = list(dict.fromkeys(plain(option) for fact in facts for option in fact.options))
    said = {phrases[index] for index in phrases_in(phrases, plain(answer))}
    right = [said & {plain(option) for option in fact.options} == {plain(fact.answer)} for fact in facts]
    return sum(right) / len(right)
