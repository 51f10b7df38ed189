"""How far a job is said to be, by a clock that the test turns."""

import pytest

from purity.run.progress import Done, Progress, duration


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def told(clock, work, every=0.0) -> list[tuple[str, float, float]]:
    said: list = []
    work(Progress(lambda *given: said.append(given), every, clock))
    return said


def test_time_left_is_that_of_all_loops_not_of_the_inner_one(clock):
    """Two parts of three batches of five steps of a second: at every step the rest of thirty is left."""

    def work(progress):
        for _ in progress(range(2)):
            for _ in progress(range(3)):
                for _ in progress(range(5)):
                    clock.now += 1

    said = told(clock, work)
    steps = [one for one in said if one[0].count(",") == 2]
    seconds = [k + 1 for k in range(30) if k < 29]  # the last step ends all
    assert [left for _, _, left in steps][: len(seconds)] == pytest.approx([30 - s for s in seconds])
    assert steps[0][0] == "1/2, 1/3, 1/5" and steps[17][0] == "2/2, 1/3, 3/5"
    assert said[-1][1:] == (1.0, 0.0)


def test_what_is_said_first_is_after_one_item_and_last_at_the_end(clock):
    def work(progress):
        for _ in progress(range(1000)):
            clock.now += 1

    said = told(clock, work, every=1e9)
    assert [at for at, _, _ in said] == ["1/1000", "1000/1000"]
    assert said[0][2] == pytest.approx(999)


def test_loops_of_one_item_tell_nothing(clock):
    def work(progress):
        for _ in progress(["the only part"]):
            for _ in progress(["the only batch"]):
                for _ in progress(range(4)):
                    clock.now += 1

    assert [at for at, _, _ in told(clock, work)] == ["1/4", "2/4", "3/4", "4/4"]


def test_an_inner_loop_that_is_left_early_leaves_the_outer_one_right(clock):
    def work(progress):
        for _ in progress(range(4)):
            for k in progress(range(100)):
                clock.now += 1
                if k == 1:
                    break

    said = [one for one in told(clock, work) if "," not in one[0]]
    assert [at for at, _, _ in said] == ["1/4", "2/4", "3/4", "4/4"]
    assert [left for _, _, left in said] == pytest.approx([6, 4, 2, 0])


def test_everything_is_passed_on_and_nothing_is_nothing(clock):
    progress = Progress(lambda *given: None, 0, clock)
    assert list(progress("abc")) == ["a", "b", "c"] and list(progress([])) == []


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (89, "89 s"), (120, "2 min"), (5400, "1.5 h"), (3 * 86400, "3.0 days")]
)
def test_a_duration_is_said_in_a_unit_of_its_size(seconds, said):
    assert duration(seconds) == said


def test_the_batch_that_was_chosen_is_chosen_again_by_a_job_of_the_same_kind_only(tmp_path):
    def done(code):
        return Done(tmp_path / "out.zarr.zip", {"code": code})

    assert done("a").batch() is None
    done("a").chose(96)
    assert done("a").batch() == 96 and done("b").batch() is None
    (done("a").place / "batch").write_text("9x")
    assert done("a").batch() is None
