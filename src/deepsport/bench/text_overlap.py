"""Word overlap of free answers with their references, as older work reports it: BLEU, chrF, ROUGE-L.

They are printed beside a judge's points and never instead: an answer with the wrong player and otherwise the same words overlaps
almost fully. BLEU and chrF are sacrebleu's; ROUGE-L is a longest common subsequence of words, which needs no package.
"""

import re
from collections.abc import Sequence
from statistics import fmean

_WORD = re.compile(r"[a-z0-9]+")


def bleu_and_chrf(answers: Sequence[str], references: Sequence[str]) -> tuple[float, float] | None:
    """Of the corpus, 0 to 100, with sacrebleu's default settings (Papineni 2002, Popovic 2015); None if it is not installed."""
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ModuleNotFoundError:
        return None
    known = [list(references)]
    return BLEU().corpus_score(list(answers), known).score, CHRF().corpus_score(list(answers), known).score


def rouge_l(answers: Sequence[str], references: Sequence[str]) -> float:
    """Mean F1 x 100 of the longest common subsequence of words, in lower case and without stems (Lin 2004)."""
    return 100 * fmean(_rouge_l(answer, reference) for answer, reference in zip(answers, references, strict=True))


def _rouge_l(answer: str, reference: str) -> float:
    said, meant = (_WORD.findall(text.lower()) for text in (answer, reference))
    shared = _common(said, meant)
    return 2 * shared / (len(said) + len(meant)) if shared else 0.0


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        above_left = 0
        for place, other in enumerate(b, start=1):
            above_left, row[place] = row[place], above_left + 1 if word == other else max(row[place], row[place - 1])
    return row[-1]
