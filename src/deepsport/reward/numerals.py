"""The number an answer gives: the one number written in digits, or failing that the one English number word.

Two different numbers are no answer: "2 or 3" must not be right twice. Units are not converted, so the words around are not read.
"""

import re
import unicodedata

_DIGITS = re.compile(
    r"(?<![\w.,])(?<!\d[:/])(?:(?<![\d)])[-+])?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+)(?:e[-+]?\d+)?(?![\d]|[.,:/]\d)",
    re.IGNORECASE,
)
# fmt: off
_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
          "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
# fmt: on
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORD_VALUES = {word: value for value, word in enumerate(_SMALL)} | {word: 10 * n for n, word in enumerate(_TENS, start=2)}
_NUMBER_WORDS = re.compile(rf"\b(?:(?:{'|'.join(_TENS)})[\s-](?:{'|'.join(_SMALL[1:10])})|{'|'.join(_WORD_VALUES)})\b")


def read_number(text: str) -> float | None:
    """The one number in a text, or None if there is none or more than one. A comma groups thousands or marks decimals."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\N{MINUS SIGN}", "-")
    found = {_from_digits(match) for match in _DIGITS.findall(folded)}
    if not any(character.isdigit() for character in folded):
        found = {_from_words(match) for match in _NUMBER_WORDS.findall(folded)}
    return found.pop() if len(found) == 1 else None


def _from_digits(literal: str) -> float:
    grouped = re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?(e[-+]?\d+)?", literal)
    return float(literal.replace(",", "" if grouped else "."))


def _from_words(literal: str) -> float:
    return float(sum(_WORD_VALUES[word] for word in re.split(r"[\s-]", literal)))
