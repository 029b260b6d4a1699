"""Steps of equal time: from measured times, and never in the middle of a cosine."""

import pytest

from deblur import recipes
from deblur.recipes import recipe
from deblur.reports import equal_time
from deblur.schedules import SCHEDULES


def rate(steps, recipe):
    """The rate of the last of so many steps, as a share of the first."""
    return SCHEDULES[recipe.schedule](1.0, steps - 1, steps, **recipe.schedule_args)


@pytest.mark.parametrize(
    ("steps", "completed"),
    [(1, 1), (8, 8), (9, 9), (26, 9), (27, 27), (62, 27), (63, 63), (75, 63), (134, 63), (135, 135), (1143, 1143)],
)
def test_a_rate_that_restarts_ends_with_a_whole_cosine(steps, completed):
    """After 1, 3, 7, 15, ... epochs of 9 steps."""
    assert equal_time.completed(steps, recipe("raidnet")) == completed


def test_it_ends_low_and_one_step_more_would_end_high():
    raidnet = recipe("raidnet")
    for steps in range(27, 300):
        found = equal_time.completed(steps, raidnet)
        assert rate(found, raidnet) <= 0.5
        assert rate(found + 1, raidnet) == 1


@pytest.mark.parametrize("name", ["attentive", "radn", "sgenet", "dmphn"])
def test_other_rates_end_with_the_training_whatever_its_length(name):
    assert [equal_time.completed(steps, recipe(name)) for steps in (1, 30, 75)] == [1, 30, 75]


@pytest.mark.parametrize("name", recipes.EQUAL_TIME)
def test_the_recorded_steps_are_such(name):
    steps = recipe(name, budget="time").steps
    assert steps == equal_time.completed(steps, recipe(name))


def test_steps_fit_into_the_time_in_which_the_fastest_does_a_row(monkeypatch, capsys):
    names = {"srn": 2.0, "raidnet": 3.0, "dmphn": 4.0}
    monkeypatch.setattr(recipes, "EQUAL_TIME", names)
    monkeypatch.setattr(equal_time.torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(equal_time, "step_of", lambda name: name)
    times = {name: [ms - 0.5, ms, ms + 1] for name, ms in names.items()}
    monkeypatch.setattr(equal_time.complexity, "time_calls", lambda calls, repeats: times if calls else {})
    equal_time.main()
    first, *rows = capsys.readouterr().out.splitlines()
    assert first.endswith(", 0.3 s each")
    assert [row.partition("  #")[0] for row in rows] == ['"srn": 130,', '"raidnet": 63,', '"dmphn": 65,']
