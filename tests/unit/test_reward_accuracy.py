"""Answers are scored as a strict but literate person would score them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsport.records import Choice, Fact, FreeText, Number
from deepsport.reward.accuracy import accuracy
from deepsport.reward.choice import named_options
from deepsport.reward.numerals import read_number

KINDS = ("header", "volley", "penalty", "free kick")
WORDS = st.text("bcdfghjklm", min_size=2, max_size=8)
OPTIONS = st.lists(WORDS, min_size=2, max_size=6, unique=True).filter(
    lambda options: not any(a in b for a in options for b in options if a != b)
)


COMMENT = FreeText(
    answer="red header, yellow card, top corner",
    facts=(
        Fact(options=("red", "blue", "yellow", "white"), answer="red"),
        Fact(options=KINDS, answer="header"),
        Fact(options=("yellow card", "red card", "no card"), answer="yellow card"),
        Fact(options=("top corner", "low corner", "middle"), answer="top corner"),
    ),
)


def choice(answer: str, options: tuple[str, ...] = KINDS) -> Choice:
    return Choice(options=options, answer=answer)


@pytest.mark.parametrize(
    "answer",
    [
        *("volley", "Volley", "  VOLLEY.\n", "a volley", "The Volley!", "It was a volley.", "**volley**", "volley volley"),
        *("B", "b", "(b)", "[B]", "B.", "**B**", "option B", "Option (B)", "choice b", "it's B", "Answer: B", "The answer is B."),
        *("B) volley", "(B) volley", "B: volley", "b. Volley", "B - volley", "B volley", "final answer: (b) volley"),
        "I think option b because the ball never touched the ground",
    ],
)
def test_a_choice_is_right_by_its_text_or_its_letter(answer: str):
    assert accuracy(choice("volley"), answer) == 1.0


@pytest.mark.parametrize(
    "answer",
    ["", "   ", "?", "A", "C", "E", "B or C", "A and B", "B) header", "header or volley", "volley, not header", "Bvolley",
     "not a volley", "it wasn't a volley", "neither A nor B", "volleyball", "V-olley", "I cannot tell", ":", "<answer>"],
)  # fmt: skip
def test_an_answer_that_names_another_option_or_two_or_none_is_wrong(answer: str):
    assert accuracy(choice("volley"), answer) == 0.0


def test_an_option_inside_a_longer_one_is_not_named_by_it():
    options = ("card", "red card", "no card")
    assert accuracy(choice("red card", options), "it was a red card") == 1.0
    assert accuracy(choice("no card", options), "there was no card") == 1.0
    assert accuracy(choice("card", options), "it was a red card") == 0.0


def test_yes_and_no_survive_a_sentence_that_explains_them():
    assert accuracy(choice("no", ("yes", "no")), "No, it was not a foul.") == 1.0


def test_scores_and_signed_numbers_stay_apart():
    assert accuracy(choice("2-1", ("2-1", "1-2")), "It ended 2:1") == 1.0
    assert accuracy(choice("1", ("-1", "1")), "-1") == 0.0


def test_options_that_carry_their_own_letters_match_with_and_without_them():
    options = ("A) header", "B) volley")
    assert [accuracy(choice("B) volley", options), answer) for answer in ("B", "volley", "B) volley", "A) header")] == [
        1,
        1,
        1,
        0,
    ]


def test_an_initial_in_a_name_is_no_letter():
    assert accuracy(choice("A. Smith", ("J. Doe", "A. Smith")), "A. Smith scored") == 1.0


def test_options_without_letters_or_digits_are_told_apart_exactly():
    assert accuracy(choice("🟨", ("🟥", "🟨")), "🟨") == 1.0
    assert accuracy(choice("🟨", ("🟥", "🟨")), "🟥") == 0.0
    assert accuracy(choice("🟨", ("🟥", "🟨")), "B") == 1.0


def test_text_of_an_option_wins_over_a_letter():
    assert named_options(("B", "A"), "A") == {1}


@given(OPTIONS, st.data())
def test_exactly_one_option_is_right_however_it_is_written(options: list[str], data: st.DataObject):
    right = data.draw(st.sampled_from(options))
    letter = chr(ord("A") + options.index(right))
    written = data.draw(
        st.sampled_from([right, right.upper(), f"The {right}.", letter, f"({letter.lower()})", f"{letter}) {right}"])
    )
    scores = {option: accuracy(choice(option, tuple(options)), written) for option in options}
    assert scores == {option: float(option == right) for option in options}


@given(OPTIONS, st.sampled_from([" or ", ", ", " and ", " / ", "; "]))
def test_an_answer_naming_two_options_is_always_wrong(options: list[str], joint: str):
    for gold in options:
        assert accuracy(choice(gold, tuple(options)), options[0] + joint + options[1]) == 0.0


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("3.0 points", 3), ("three", 3), ("twenty-one goals", 21), ("-2.5", -2.5), ("\N{MINUS SIGN}2", -2), ("+4", 4),
     ("1,234", 1234), ("1,234,567.5", 1234567.5), ("9,5", 9.5), (".5 s", 0.5), ("1e3", 1000), ("3 (three)", 3),
     ("one of the 3", 3), ("2 and 2", 2), ("50%", 50), ("m/s2: 5", 5)],
)  # fmt: skip
def test_a_number_is_read_from_digits_or_from_words(text: str, value: float):
    assert read_number(text) == value


@pytest.mark.parametrize(
    "text", ["", "none", "2 or 3", "2-1", "12:30", "1/2", "0.1.2", "three or four", "3, 4", "H2O", "nan", "inf"]
)
def test_no_number_and_two_numbers_are_no_answer(text: str):
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("text", "score"),
    [("10", 1), ("10.5", 1), ("9.5", 1), ("10.6", 0.5), ("9", 0.5), ("11", 0.5), ("11.1", 0), ("8", 0), ("1e309", 0), ("?", 0)],
)
def test_a_number_is_right_within_the_tolerance_and_half_right_within_twice_that(text: str, score: float):
    assert accuracy(Number(answer=10, tolerance=0.5), text) == score


def test_binary_rounding_does_not_cost_the_tolerance():
    assert accuracy(Number(answer=0.3, tolerance=0.1), "0.4") == 1.0


@given(st.floats(-1e6, 1e6), st.floats(0, 1e3), st.floats(0, 1e4), st.floats(0, 1e4))
def test_a_number_further_off_never_scores_more(gold: float, tolerance: float, near: float, far: float):
    number = Number(answer=gold, tolerance=tolerance)
    scores = [accuracy(number, repr(gold + error)) for error in sorted((near, far))]
    assert scores[0] is not None
    assert scores[1] is not None
    assert scores[0] >= scores[1]


def test_free_text_is_right_if_equal_and_otherwise_left_to_a_judge():
    gold = FreeText(answer="The striker heads the ball in.")
    assert accuracy(gold, "the striker heads the ball in") == 1.0
    assert accuracy(gold, "A header by the forward.") is None
    assert accuracy(gold, ":") is None


@pytest.mark.parametrize(
    "answer",
    [
        COMMENT.answer,
        "What a goal! Red rises for the header and puts it into the top corner; a yellow card for the defender.",
        "TOP CORNER - HEADER - RED - YELLOW CARD",
        "red red header, yellow card, top corner, red",
    ],
)
def test_a_comment_is_right_in_any_wording_and_order_that_states_its_facts(answer: str):
    assert accuracy(COMMENT, answer) == 1.0


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("red header", 0.5),
        ("red header, red card, middle", 0.5),
        ("red", 0.25),
        ("blue volley, red card, middle", 0.0),
        ("a wonderful goal", 0.0),
    ],
)
def test_a_comment_that_is_half_right_is_worth_half(answer: str, score: float):
    assert accuracy(COMMENT, answer) == score


@pytest.mark.parametrize(
    ("answer", "score"),
    [("yellow card", 0.25), ("header, yellow card, top corner", 0.75), ("a red card for the volley", 0.0), ("yellow", 0.0)],
)
def test_the_colour_of_a_card_says_nothing_of_who_wears_it_nor_the_other_way_round(answer: str, score: float):
    assert accuracy(COMMENT, answer) == score


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("red and blue header, yellow card, top corner", 0.75),
        ("red header or volley, yellow card, top corner", 0.75),
        ("red header, yellow card and red card, top corner", 0.75),
        ("red header, yellow card, top corner, low corner, middle", 0.75),
        (", ".join(option for fact in COMMENT.facts for option in fact.options), 0.0),
    ],
)
def test_a_fact_that_is_named_beside_what_contradicts_it_is_lost(answer: str, score: float):
    assert accuracy(COMMENT, answer) == score


@pytest.mark.parametrize("answer", ["reddish headers, yellowish cards, top corners", "redheader"])
def test_a_fact_is_named_by_whole_words_only(answer: str):
    assert accuracy(COMMENT, answer) == 0.0


@given(st.lists(st.sampled_from([option for fact in COMMENT.facts for option in fact.options]), max_size=8))
def test_whatever_is_said_a_comment_is_worth_a_number_of_quarters(said: list[str]):
    wrong = [set(said) & set(fact.options) != {fact.answer} for fact in COMMENT.facts]
    assert accuracy(COMMENT, ", ".join(said)) == 1 - sum(wrong) / 4


@pytest.mark.parametrize("gold", [choice("volley"), Number(answer=3), FreeText(answer="x"), COMMENT])
@pytest.mark.parametrize("answer", [None, "", " \n"])
def test_no_answer_is_zero_for_every_kind(gold: Choice | Number | FreeText, answer: str | None):
    assert accuracy(gold, answer) == 0.0


@given(st.text())
def test_any_text_at_all_scores_between_zero_and_one(text: str):
    for gold in (choice("volley"), Number(answer=3, tolerance=1), COMMENT):
        score = accuracy(gold, text)
        assert score is not None
        assert 0 <= score <= 1


@pytest.mark.parametrize(
    "piece", [" ", "(", "a ", "a. ", "a or ", "no card ", "option ", "the answer is ", "1,111", "9", "- ", "'"]
)
def test_a_reply_of_a_fifth_of_a_megabyte_is_read_in_linear_time(piece: str):
    text = piece * (200_000 // len(piece)) + "!x"
    start = time.process_time()
    accuracy(choice("no card", ("card", "no card", "red card")), text)
    accuracy(Number(answer=1), text)
    accuracy(COMMENT, text)
    assert time.process_time() - start < 5  # about 0.1 s; a backtracking pattern would take hours
