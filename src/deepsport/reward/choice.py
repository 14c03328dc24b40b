"""Which options of a closed question an answer names, by text or by letter.

Naming is counted, not guessed: an answer that names two options has not chosen, and one that only says what it was *not* has
named none. Options whose wording differs in nothing but punctuation are told apart by their exact text or by letter alone.
"""

import re
from collections.abc import Sequence

from deepsport.reward.wording import plain

# fmt: off
NEGATIONS = frozenset({"not", "no", "never", "neither", "nor", "without", "cannot", "cant", "isnt",
                        "wasnt", "arent", "werent", "dont", "doesnt", "didnt", "wont", "couldnt", "shouldnt"})
# fmt: on
_LEAD = re.compile(
    r"\W*(?:\b(?:so|the|my|final|correct|right|best|answer|option|choice|letter|is|its|it's|it|i|choose|pick)\b\W*)*?(?=\b[a-z]\b(?!['’-]\w))",
    re.IGNORECASE,
)
_LETTERS_ONLY = re.compile(r"[a-z](?:\W+(?:(?:or|and)\W+)?[a-z]\b)*\W*", re.IGNORECASE)
_LABEL = re.compile(r"\W*([a-z])(?:\s*[)\].:*]+|\s+[-–—]+\s)\s*(?=\S)", re.IGNORECASE)
_SPOKEN_LETTER = re.compile(r"\b(?:option|choice)\s*[(\[]?([a-z])\b(?!['’-]\w)", re.IGNORECASE)


def named_options(options: Sequence[str], answer: str) -> set[int]:
    """Indices of the options that the answer names; letters count from A. An answer equal to an option names that one only."""
    exact = [index for index, option in enumerate(options) if option.strip().casefold() == answer.strip().casefold()]
    if len(exact) == 1:
        return set(exact)
    plain_options = [plain(option) for option in _without_own_labels(options)]
    if "" in plain_options or len(set(plain_options)) < len(plain_options):
        return _by_letter(options, answer)
    if plain(answer) in plain_options:
        return {plain_options.index(plain(answer))}
    return _by_letter(options, answer) | _by_text(plain_options, plain(answer))


def _without_own_labels(options: Sequence[str]) -> list[str]:
    """The options, less labels "A) ", "B) ", ... that they carry themselves."""
    labels = [_LABEL.match(option) for option in options]
    if all(label and ord(label[1].upper()) - ord("A") == index for index, label in enumerate(labels)):
        return [option[label.end() :] for option, label in zip(options, labels, strict=True) if label]
    return list(options)


def _by_letter(options: Sequence[str], answer: str) -> set[int]:
    """Letters standing alone ("B", "(b)", "the answer is B", "B or C"), as a label ("B) header") or after "option"."""
    lead = _LEAD.match(answer)
    core = answer[lead.end() :] if lead else answer
    if _LETTERS_ONLY.fullmatch(core):
        letters = re.findall(r"\b[a-z]\b", core, re.IGNORECASE)
    else:
        letters = _SPOKEN_LETTER.findall(answer)
        # Options such as "A. Smith" look like labels themselves.
        if (label := _LABEL.match(core)) and not any(_LABEL.match(option) for option in _without_own_labels(options)):
            letters.append(label[1])
    indices = {ord(letter.upper()) - ord("A") for letter in letters}
    return {index for index in indices if 0 <= index < len(options)}


def phrases_in(phrases: Sequence[str], text: str) -> dict[int, int]:
    """Index -> first place of the phrases that stand in a text, the longest looked for first, so that "card" is not found again
    in "red card". All in plain words."""
    left, found = f" {text} ", dict[int, int]()
    for index in sorted(range(len(phrases)), key=lambda index: -len(phrases[index])):
        phrase = f" {phrases[index]} "
        if phrase in left:
            found[index] = left.index(phrase)
            while phrase in left:  # neighbours share a blank, so one pass may leave some
                left = left.replace(phrase, f" {'.' * (len(phrase) - 2)} ")
    return found


def _by_text(plain_options: Sequence[str], plain_answer: str) -> set[int]:
    """Options whose words stand in the answer, unless it says what was not."""
    found = phrases_in(plain_options, plain_answer)
    if len(found) == 1 and any(word in NEGATIONS for word in f" {plain_answer} "[: next(iter(found.values()))].split()):
        return set()
    return set(found)
