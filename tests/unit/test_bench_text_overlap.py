"""Word overlap: hand-counted subsequences, and sacrebleu on sentences whose overlap is plain."""

import pytest

from deepsport.bench.text_overlap import bleu_and_chrf, rouge_l


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("a red header", "a red header", 100),
        ("police kill the gunman", "police killed the gunman", 75),  # Lin 2004, 3.1: a common subsequence of 3 of 4 words
        ("the gunman kill police", "police killed the gunman", 50),  # Lin 2004, 3.1: "the gunman"
        ("goal", "no goal was given", 40),
        ("Volley!", "volley", 100),
        ("", "volley", 0),
        ("header", "volley", 0),
    ],
)
def test_rouge_l_is_the_f1_of_the_longest_common_subsequence(answer: str, reference: str, f1: float):
    assert rouge_l([answer], [reference]) == pytest.approx(f1)


def test_rouge_l_of_several_is_the_mean():
    assert rouge_l(["goal", "volley"], ["no goal was given", "volley"]) == pytest.approx(70)


def test_bleu_and_chrf_are_full_for_equal_sentences_and_low_for_others():
    same = ["The forward in red heads the ball into the left corner."]
    full, none = bleu_and_chrf(same, same), bleu_and_chrf(["xyz"], same)
    assert full == pytest.approx((100, 100))
    assert none is not None
    assert max(none) < 5


def test_a_wrong_name_costs_little_overlap_which_is_why_overlap_decides_nothing():
    right = "the forward in red heads the ball into the left corner and the goal counts"
    wrong = right.replace("red", "blue")
    assert rouge_l([wrong], [right]) > 90
