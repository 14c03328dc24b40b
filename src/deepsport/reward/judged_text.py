"""Text that others wrote, made fit to stand in a judge's prompt: it can be read, and it can be mistaken for nothing else.

No pattern is looked for, since any list of tags is one short. Instead no angle, square or curly bracket, no backquote and no line
break is left, in whatever Unicode disguise: without these there is no tag, no special token, no fence, no JSON and no heading.
The sections of a case are told apart by a code that is a hash of their content: the same case gives the same prompt, so that it
can be cached, and a text that holds its own hash cannot be written.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache

from deepsport.reward.judge import Section

MAX_JUDGED_CHARS = 4_000
"""Of one section. Commentary has a few hundred; the bound keeps padding from drowning the rest."""

MAX_SECTIONS = 80
"""Of one case: the thoughts of some 20 turns."""

# fmt: off
_ALIKE = {
    "‹": "<〈⟨〈❬❮❰˂ᐸ≪⟪«《ᚲ⦑𝈶",
    "›": ">〉⟩〉❭❯❱˃ᐳ≫⟫»》⦒𝈷",
    "(": "[{⟦【〔〖〘⁅⌈⌊❲❴⦃⦋⟬「『",
    ")": "]}⟧】〕〗〙⁆⌉⌋❳❵⦄⦌⟭」』",
    "'": "`ˋ‵",
    "|": "¦│∣ǀ❘⏐",
}
# fmt: on
_ANGLED = ("LESS-THAN", "LESS THAN", "GREATER-THAN", "GREATER THAN", "ANGLE")


def _stand_ins() -> Iterator[tuple[int, str]]:
    """Every sign that Unicode calls a bracket, or less or greater than, and what stands in for it."""
    for code in range(0x20000):  # beyond are ideographs, and what is hidden anyway
        name = unicodedata.name(chr(code), "")
        is_angled = any(part in name for part in _ANGLED)
        if "PARENTHES" in name or not (("BRACKET" in name and "ANGLE" not in name) or is_angled):
            continue
        if unicodedata.category(chr(code))[0] in "PSNM":
            closes = "RIGHT" in name or "GREATER" in name
            yield code, (")" if closes else "(") if not is_angled else ("›" if closes else "‹")


@cache
def _plain() -> dict[int, str]:
    listed = {ord(character): stand_in for stand_in, characters in _ALIKE.items() for character in characters}
    return {**dict(_stand_ins()), **listed, ord("‹"): "‹", ord("›"): "›"}


_HIDDEN = frozenset({"Cf", "Cs", "Co", "Cn"})
"""Zero-width and bidirectional marks, tag characters, halves of pairs, private and unassigned characters."""
_BLANKS = "\u2800\u3164\u1160\u115f\uffa0"
"""Letters and signs that nobody sees."""
_VARIATION = re.compile("[\u034f\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_RULE = re.compile(r"([=#~*_\-])\1{2,}")
"""Lines drawn in text: headings, fences, the mark of our sections."""


def neutralise(text: str, limit: int = MAX_JUDGED_CHARS) -> str:
    """The text on one line, without what prompts and replies are made of; cut behind `limit` characters, and marked so."""
    kept = _VARIATION.sub("", _seen(unicodedata.normalize("NFKC", _seen(text[: 4 * limit]))))
    line = _RULE.sub(r"\1", " ".join(kept.translate(_plain()).split()))
    if len(line) <= limit and len(text) <= 4 * limit:
        return line
    return f"{line[:limit].rstrip()} (cut: {len(text)} characters)"


def delimited(sections: Sequence[Section]) -> str:
    """Sections as the text of a prompt: each behind a line with the code and its name, and a last such line."""
    shown = [Section(section.name, neutralise(section.text)) for section in sections[:MAX_SECTIONS]]
    if len(sections) > MAX_SECTIONS:
        shown.append(Section("left out", f"{len(sections) - MAX_SECTIONS} more sections"))
    code = _code(shown)
    return "\n".join([*(f"=== {code} {section.name} ===\n{section.text}" for section in shown), f"=== {code} end ==="])


def _seen(text: str) -> str:
    """What a reader sees of a text; control characters become blanks, so that they still part words."""
    return "".join(map(_seen_character, text))


def _seen_character(character: str) -> str:
    if character in _BLANKS:
        return " "
    category = unicodedata.category(character)
    if category in _HIDDEN:
        return ""
    return " " if category == "Cc" else character


def _code(sections: Sequence[Section]) -> str:
    text = "\n".join(f"{section.name}\n{section.text}" for section in sections)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
