"""Judging anew: the run's own files stay, nothing is paid for twice, and agreement is counted over the right pairs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deepsport.bench.judged.agreement import Agreement
from deepsport.bench.judged.labels import read_labels
from deepsport.bench.judged.rejudge import Rejudged, held_against_people, rejudge, slug_of
from deepsport.bench.result import VERDICTS, Judged, load_result
from deepsport.cli.rejudge import rejudge as command
from deepsport.durable import read_records
from deepsport.errors import BadConfig, BadRecord, RunError, Stopped
from deepsport.policy.openai import EndpointConfig
from deepsport.records import Episode, FreeText, StopReason
from deepsport.reward.judge import Unscored, scored, unscored
from deepsport.reward.rubric import prompt_version
from made_episodes import episode, question
from made_runs import made_run
from model_server import Act, ModelServer, Request, Say, error

app = typer.Typer()
app.command()(command)

SAVE = FreeText(answer="The keeper saves a low shot")
SAID = (
    "a low attempt, stopped by the keeper",
    "the shot is high and the keeper saves it",
    "a low shot is held",
    "a low shot, parried",
)


def episodes() -> list[Episode]:
    """Four free answers that only a reader can judge, a right and a wrong choice, no answer, and one that was lost."""
    free = [episode(said, [], question(f"f{place}", video=f"{place}.mp4", gold=SAVE)) for place, said in enumerate(SAID)]
    return [
        *free,
        episode("volley", [], question("c0", video="4.mp4")),
        episode("header", [], question("c1", video="5.mp4")),
        episode(None, [], question("n", video="6.mp4"), StopReason.FORMAT_ERROR),
        episode(None, [], question("l", video="7.mp4", gold=SAVE), StopReason.POLICY_ERROR),
    ]


def old(points: tuple[int | None, ...] = (10, 8, 2, None)) -> dict[str, object]:
    return {
        f"f{place}/0": unscored(Unscored.ABSTAINED, "unsure", "old/1") if n is None else scored(n, "so", "old/1")
        for place, n in enumerate(points)
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made_run(tmp_path / "run", episodes(), old()).folder  # type: ignore[arg-type]


def at(server: ModelServer, **settings: object) -> EndpointConfig:
    return EndpointConfig.model_validate({"model": "new", "base_url": server.url, "max_retries": 0, **settings})


def says(points: object) -> Say:
    return Say(text=json.dumps({"reason": "as the rubric says", "points": points}))


def by_answer(points: dict[str, object]) -> Callable[[Request], Act]:
    """Points by a word of the candidate."""

    def act(request: Request) -> Act:
        candidate = str(request.body["messages"][-1]["content"]).rsplit("candidate ===", 1)[1]
        return says(next((n for word, n in points.items() if word in candidate), None))

    return act


NEW = by_answer({"stopped": 9, "high": 3, "held": 2, "parried": 7, "volley": 10, "header": 6})


def anew(run: Path, script: Callable[[Request], Act] = NEW, **options: object) -> tuple[Rejudged, list[Request]]:
    with ModelServer(script) as server:
        return rejudge(run, at(server), **options), server.requests  # type: ignore[arg-type]


def own_files(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in ("config.toml", "episodes.jsonl", VERDICTS)}


def between(found: list[Agreement], first: str, second: str) -> Agreement:
    return next(one for one in found if (one.first, one.second) == (first, second))


NAME = f"new/{prompt_version()}"
FILE = f"verdicts-new-{prompt_version()}.jsonl"


def test_another_judge_scores_the_free_answers_and_nothing_else(run: Path):
    found, asked = anew(run)
    assert len(asked) == 4
    (after,), (before,) = found.report.systems.values(), found.before.systems.values()
    assert after.score == pytest.approx(100 * (0.9 + 0.3 + 0.2 + 0.7 + 1 + 0 + 0) / 7)
    assert before.score == pytest.approx(100 * (1.0 + 0.8 + 0.2 + 1 + 0 + 0) / 6)
    assert (after.judges, before.judges) == ((NAME,), ("old/1",))
    assert (after.unscored, before.unscored) == (1, 2)


def test_the_runs_own_files_stay_as_they_are(run: Path):
    before = own_files(run)
    anew(run, everything=True)
    assert own_files(run) == before


def test_its_verdicts_stand_in_a_file_of_their_own_that_others_can_count(run: Path):
    found, _ = anew(run)
    assert found.verdicts == run / FILE
    result = load_result(run, FILE)
    assert [score.accuracy for score in result.scores[:4]] == [0.9, 0.3, 0.2, 0.7]
    assert [score.model_dump_json() for score in result.scores] == (
        run / FILE.replace("verdicts", "scores")
    ).read_text().splitlines()
    assert (run / FILE.replace("verdicts", "report").replace("jsonl", "json")).read_text() == found.report.model_dump_json(
        indent=1
    ) + "\n"


def test_old_and_new_judge_are_compared_over_the_answers_that_both_judged(run: Path):
    found = between(anew(run)[0].agreements, "old/1", NAME)
    assert (found.n, found.n_first_silent, found.n_second_silent) == (3, 1, 0)
    assert found.exact == pytest.approx(1 / 3)
    assert found.bias == pytest.approx((1 + 5 + 0) / 3)
    assert (found.both_right, found.only_first_right, found.only_second_right, found.both_wrong) == (1, 1, 0, 1)


def test_a_judge_is_tested_against_rules_where_that_is_asked_for(run: Path):
    found, asked = anew(run, everything=True)
    assert len(asked) == 6
    rules = between(found.agreements, NAME, "rules")
    assert (rules.n, rules.both_right, rules.only_first_right, rules.bias) == (2, 1, 1, 3.0)
    (report,) = found.report.systems.values()
    assert report.score == pytest.approx(100 * (0.9 + 0.3 + 0.2 + 0.7 + 1 + 0 + 0) / 7)  # rules keep their answers


def test_nothing_is_asked_twice(run: Path):
    anew(run, everything=True)
    _, asked = anew(run, everything=True)
    assert asked == []


def test_a_run_that_was_cut_off_goes_on_and_ends_the_same(run: Path):
    whole, _ = anew(run)
    (report, verdicts) = (run / found for found in (FILE.replace("verdicts", "report").replace("jsonl", "json"), FILE))
    expected = report.read_bytes(), verdicts.read_bytes()
    lines = verdicts.read_bytes().splitlines(keepends=True)
    verdicts.write_bytes(lines[0] + lines[1][:40])  # torn by a kill
    again, asked = anew(run, lambda _: error(500, "must not be asked"))
    assert asked == []  # the replies were kept
    assert (report.read_bytes(), verdicts.read_bytes()) == expected
    assert again.report == whole.report


def test_a_judge_that_is_down_leaves_its_answers_unjudged_and_is_asked_again_later(run: Path):
    found, _ = anew(run, lambda _: error(500, "down"))
    (report,) = found.report.systems.values()
    assert report.score == pytest.approx(100 * 1 / 3)
    assert any("could not be reached" in why and n == 4 for why, n in found.unscored.items())
    later, asked = anew(run)
    assert len(asked) == 4
    (report,) = later.report.systems.values()
    assert report.unscored == 1


def test_verdicts_of_the_same_judge_are_taken_over_and_only_the_rest_is_asked(tmp_path: Path):
    known = {"f0/0": scored(9, "so", NAME), "f1/0": unscored(Unscored.UNJUDGED, "unjudged: down", NAME)}
    run = made_run(tmp_path / "run", episodes(), known).folder
    before = own_files(run)
    found, asked = anew(run)
    assert len(asked) == 3
    assert own_files(run) == before
    assert [one.verdict.points for one in read_records(run / FILE, Judged)] == [9, 3, 2, 7]
    assert not any(one.first == one.second for one in found.agreements)


def test_a_verdict_on_another_answer_counts_for_nobody(tmp_path: Path):
    run = made_run(tmp_path / "run", episodes(), {"f0/0": scored(9, "so", NAME)}).folder
    played = (run / "episodes.jsonl").read_text().replace(SAID[0], "another answer that is high")
    (run / "episodes.jsonl").write_text(played)
    found, asked = anew(run)
    assert len(asked) == 4
    assert [one.verdict.points for one in read_records(run / FILE, Judged)] == [3, 3, 2, 7]
    assert found.agreements == []


def test_an_old_verdict_on_another_answer_is_no_opinion_of_this_one(run: Path):
    played = (run / "episodes.jsonl").read_text().replace(SAID[0], "another answer that is high")
    (run / "episodes.jsonl").write_text(played)
    assert between(anew(run)[0].agreements, "old/1", NAME).n == 2


def test_a_file_of_another_judges_verdicts_is_not_written_into(run: Path):
    (run / FILE).write_bytes((run / VERDICTS).read_bytes())
    with pytest.raises(RunError, match="holds verdicts of 'old/1'"):
        anew(run)


def test_without_an_endpoint_the_judge_by_rule_judges(run: Path):
    found = rejudge(run, None)
    assert (found.judge, found.verdicts.name, found.usd) == ("offline/2", "verdicts-offline-2.jsonl", 0)
    (report,) = found.report.systems.values()
    assert (report.judges, report.unscored) == (("offline/2",), 5)  # it abstains from all four


def test_a_limit_of_cost_ends_it_and_what_is_finished_is_kept(run: Path):
    with ModelServer(NEW) as server:
        dear = at(server, reply_usd=1e5, max_reply_tokens=10, max_concurrent=1)  # $1 at most, $0.70 in fact
        with pytest.raises(Stopped, match="run it again with a higher --max-cost"):
            rejudge(run, dear, max_usd=2.2)
        assert len(server.requests) == 2
        found = rejudge(run, dear, max_usd=5.0)
        assert len(server.requests) == 4
    assert found.usd == pytest.approx(4 * 0.7)


def test_a_limit_of_cost_without_a_price_is_refused(run: Path):
    with ModelServer(NEW) as server, pytest.raises(BadConfig, match="limits nothing"):
        rejudge(run, at(server), max_usd=1.0)


def test_an_unfinished_run_is_judged_as_far_as_it_is(tmp_path: Path):
    run = made_run(tmp_path / "run", episodes()[:2]).folder
    found, asked = anew(run)
    assert (len(asked), len(found.agreements)) == (2, 0)


def test_a_folder_that_is_no_run_is_refused_and_left_alone(tmp_path: Path):
    with pytest.raises(BadRecord, match="holds no benchmark run"):
        rejudge(tmp_path / "nowhere", None)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("judge", "slug"),
    [("gpt/1a", "gpt-1a"), ("org/model:v2/1a", "org-model-v2-1a"), ("../../etc", "etc"), ("判事/1a", "1a"), ("///", "judge")],
)
def test_a_judges_name_makes_a_name_of_a_file_and_no_path(judge: str, slug: str):
    assert slug_of(judge) == slug


# People


def labels(run: Path, text: str) -> Path:
    path = run.parent / "labels.csv"
    path.write_text(text)
    return path


def test_people_are_held_against_rules_and_the_runs_judge_and_each_other(run: Path):
    path = labels(
        run,
        "question_id,points,labeller\nf0,10,ann\nf1,4,ann\nf2,2,ann\nc0,10,ann\nc1,0,ann\nf0,8,bob\nf1,4,bob\n",
    )
    found = held_against_people(load_result(run), read_labels(path))
    assert [(one.first, one.second, one.n) for one in found] == [
        ("rules", "labels by ann", 2),
        ("old/1", "labels by ann", 3),
        ("old/1", "labels by bob", 2),
        ("labels by ann", "labels by bob", 2),
    ]
    assert between(found, "rules", "labels by ann").exact == 1
    assert between(found, "old/1", "labels by ann").bias == pytest.approx(4 / 3)


def test_where_people_said_right_or_wrong_alone_points_are_compared_as_right_or_wrong(run: Path):
    path = labels(run, "question_id,right\nf0,yes\nf1,yes\nf2,no\nf3,yes\n")
    (found,) = held_against_people(load_result(run), read_labels(path))
    assert (found.second, found.n, found.n_first_silent, found.exact, found.kappa) == ("labels", 3, 1, 1.0, 1.0)


def test_labels_of_failures_alone_are_no_opinion_of_points(run: Path):
    path = labels(run, "question_id,failure\nc1,other\n")
    assert held_against_people(load_result(run), read_labels(path)) == []


def test_a_new_judge_is_held_against_people(run: Path):
    path = labels(run, "question_id,points\nf0,9\nf1,3\nf2,2\nf3,7\n")
    found = between(anew(run, labels=read_labels(path))[0].agreements, NAME, "labels")
    assert (found.n, found.exact, found.kappa) == (4, 1.0, 1.0)


# The command


def invoked(*arguments: object) -> tuple[int, str]:
    said = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    return said.exit_code, said.output


def test_the_command_judges_by_rule_if_nobody_is_named(run: Path):
    code, said = invoked(run)
    assert code == 0, said
    assert "66.7 as judged by old/1, 33.3 by offline/2" not in said  # the score is over what is scored
    assert "as judged by old/1" in said
    assert "verdicts-offline-2.jsonl: count these with --verdicts verdicts-offline-2.jsonl" in said
    assert "4 not scored: the judge abstained (offline/2)" in said


def test_the_command_asks_an_endpoint(run: Path):
    with ModelServer(NEW) as server:
        code, said = invoked(run, "--judge-endpoint", server.url, "--judge-model", "new", "--all")
    assert code == 0, said
    assert f"old/1 / {NAME}" in said
    assert f"{NAME} / rules" in said
    assert "2 of 3 (+1/+0)" in said


def test_the_command_with_labels_alone_judges_nothing(run: Path):
    before = sorted(file.name for file in run.iterdir())
    code, said = invoked(run, "--labels", labels(run, "question_id,points\nf0,9\nzz,1\n"))
    assert code == 0, said
    assert "2 labels, 0 rows without one, 0 said twice" in said
    assert "1 are about answers that this run does not hold: zz" in said
    assert "old/1 / labels" in said
    assert sorted(file.name for file in run.iterdir()) == before


def test_the_judge_of_the_runs_own_recipe_can_be_asked_again(tmp_path: Path):
    with ModelServer(NEW) as server:
        run = made_run(tmp_path / "run", episodes(), judge=at(server)).folder
        code, said = invoked(run, "--own")
        assert code == 0, said
        assert len(server.requests) == 4
    assert (run / FILE).is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge-model", "m"], "belong together"),
        (["--judge-endpoint", "http://localhost:1/v1"], "belong together"),
        (["--own", "--offline"], "name one judge"),
        (["--labels", "nowhere.csv"], "there is no such file"),
        (["--judge-endpoint", "ftp://x", "--judge-model", "m"], "not the address of an endpoint"),
    ],
)
def test_what_cannot_be_done_ends_the_command_with_one_line(run: Path, arguments: list[str], message: str):
    code, said = invoked(run, *arguments)
    assert code == 2
    assert message in said


def test_what_the_runs_own_judge_has_said_since_is_taken_over(tmp_path: Path):
    """Judged anew while the judge was down; then the run itself was completed."""
    run = made_run(tmp_path / "run", episodes()).folder
    anew(run, lambda _: error(500, "down"))
    said = [one.model_copy(update={"verdict": scored(4, "so", NAME)}) for one in read_records(run / FILE, Judged)]
    (run / VERDICTS).write_text("".join(f"{one.model_dump_json()}\n" for one in said))
    _, asked = anew(run)
    assert asked == []
    assert {one.verdict.points for one in read_records(run / FILE, Judged)} == {4}


def test_what_another_judge_said_of_ruled_answers_is_not_written_over(run: Path):
    anew(run, everything=True)
    (run / FILE).unlink()
    ruled = run / FILE.replace("verdicts", "ruled")
    ruled.write_text(ruled.read_text().replace('"judge":"new/', '"judge":"new-'))
    before = ruled.read_bytes()
    with pytest.raises(RunError, match=r"ruled-new-.* holds verdicts of 'new-"):
        anew(run, everything=True)
    assert ruled.read_bytes() == before
