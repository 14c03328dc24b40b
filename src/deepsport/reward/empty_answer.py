"""Answers that say nothing: blank, punctuation, an opener without what it opens, the question over again, all options at once.

Such "master keys" talk some model judges into full points (Zhao et al., One Token to Fool LLM-as-a-Judge, arXiv:2507.08794), so
no judge of ours is asked about them: they get 0. An answer counts as one only if *nothing else* is in it, and never if it is the
reference or one of the options.
"""

from collections.abc import Iterable, Iterator

from deepsport.records import Choice, Question
from deepsport.reward.choice import named_options
from deepsport.reward.judged_text import neutralise
from deepsport.reward.wording import plain, words

# fmt: off
OPENERS = (
    "Solution", "The solution", "The solution is", "Here is the solution", "Here's the solution", "Solution process",
    "Step by step solution", "Answer", "An answer", "The answer", "The answer is", "The correct answer is", "Correct answer",
    "Final answer", "The final answer is", "My answer", "My answer is", "My final answer is", "Here is the answer",
    "Here's the answer", "Here is my answer", "Sure, here is the answer", "Response", "The response", "Question",
    "The question", "Reasoning", "My reasoning", "Explanation", "Analysis", "Conclusion", "In conclusion", "Think",
    "Thinking", "Thought", "Thoughts", "Thought process", "The thought process", "Thinking process", "Mental process",
    "Thought experiment", "Chain of thought", "Step by step", "Let's think", "Let's think step by step", "Let me think",
    "Let me think step by step", "Let's begin", "Let's start", "Let's see", "Let's solve this problem",
    "Let's solve this problem step by step", "Let's solve this step by step", "Let's solve it step by step",
    "Let's solve the problem step by step", "Let me solve this problem step by step", "Let me solve it step by step",
    "Let's do this step by step", "Let's work through this step by step", "Let's break this down",
    "Let's break it down step by step", "Let's analyze this step by step", "Let's analyse this step by step",
    "I will solve this step by step", "I will solve this problem step by step", "To solve this problem",
    "To answer this question", "We need to", "After careful consideration", "Let's go through it step by step", "Respuesta",
    "La respuesta es", "Solución", "La solución es", "Réponse", "La réponse est", "La solution est", "Antwort",
    "Die Antwort ist", "Lösung", "Die Lösung ist", "Resposta", "A resposta é", "Solução", "Risposta", "La risposta è",
    "Soluzione", "Antwoord", "Oplossing", "Svar", "Odpowiedź", "Rozwiązanie", "Cevap", "Çözüm", "Ответ", "Решение",
    "Відповідь", "الحل", "الجواب", "उत्तर", "हल", "解", "解答", "答", "答案", "解析", "思路", "思考过程", "思考過程",
    "解题过程", "让我们一步一步地思考", "让我们一步步思考", "让我们逐步解决这个问题", "かいせつ", "解説", "かいとう", "回答",
    "答え", "こたえ", "풀이", "해설", "답", "정답", "해결", "단계별로 생각해 봅시다",
)
# fmt: on
MAX_ANSWER_CHARS = 100_000
MIN_QUESTION_WORDS = 4
"""A shorter question ("Goal?") may well be answered in its own words."""

_JOINING = ("and", "or", "either", "both", "options", "option", "answer", "of", "above")


def says_nothing(answer: str, question: Question) -> str | None:
    """Why an answer to a question says nothing; None if it says something, right or wrong."""
    if answer.strip() and answer.strip().casefold() in _exact(question):
        return None
    said = plain(neutralise(answer, MAX_ANSWER_CHARS))
    if not said:
        return "the answer is blank or nothing but signs"
    if said in _meant(question):
        return None
    asked = [text for text in (question.text, question.text.partition(" Options: ")[0]) if len(words(text)) >= MIN_QUESTION_WORDS]
    closed = said.replace(" ", "")
    if chained(closed, {*_OPENERS, *_closed_up(asked)}):
        return "the answer is an opener that nothing follows" if chained(closed, _OPENERS) else "the answer repeats the question"
    return "the answer lists all options" if _lists_all(answer, question) else None


def chained(text: str, links: Iterable[str]) -> bool:
    """Whether a text is a chain of these links and nothing else."""
    by_sign, ends, waiting = dict[str, list[str]](), {0}, [0]
    for link in filter(None, links):
        by_sign.setdefault(link[0], []).append(link)
    while waiting:
        start = waiting.pop()
        fitting = (link for link in by_sign.get(text[start : start + 1], ()) if text.startswith(link, start))
        reached = {start + len(link) for link in fitting} - ends
        ends |= reached
        waiting += reached
    return len(text) in ends


def _closed_up(phrases: Iterable[str]) -> Iterator[str]:
    """Phrases as their words without blanks, with and without articles: a chain in a script without blanks is one word."""
    for phrase in phrases:
        yield "".join(words(phrase))
        yield plain(phrase).replace(" ", "")


_OPENERS = frozenset(_closed_up(OPENERS))


def _exact(question: Question) -> set[str]:
    """Answers that are the reference or an option to the letter: they may be nothing but signs."""
    gold = question.gold
    if gold is None:
        return set()
    texts = gold.options if isinstance(gold, Choice) else (str(gold.answer),)
    return {text.strip().casefold() for text in texts}


def _meant(question: Question) -> set[str]:
    """Answers that mean what they say, whatever they look like."""
    gold = question.gold
    if isinstance(gold, Choice):
        return set(map(plain, gold.options))
    return set() if gold is None else {plain(str(gold.answer))}


def _lists_all(answer: str, question: Question) -> bool:
    gold = question.gold
    if not isinstance(gold, Choice) or len(named_options(gold.options, answer)) < len(gold.options) or len(gold.options) < 2:
        return False
    letters = (chr(ord("a") + place) for place in range(min(26, len(gold.options))))
    return chained(f"{plain(answer)} ", (f"{word} " for word in (*map(plain, gold.options), *letters, *_JOINING)))
