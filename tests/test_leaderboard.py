"""The leaderboard goes on where it was broken off, measures again what is stale, and says in words what it found."""

import numpy as np
import pytest

from benchmarks import leaderboard, leaderboard_text, logs
from recsys_lab import models
from recsys_lab.interactions import Sessions

TWO = [
    leaderboard.Entry("Popularity", [models.Popularity()]),
    leaderboard.Entry("ItemKNN", leaderboard.grid(models.ItemKNN, shrinkage=[1, 1000])),
]


def tiny() -> logs.Parts:
    rng = np.random.default_rng(0)
    sessions = Sessions.from_lists([(rng.permutation(6)[:3] * 2 + s % 2).tolist() for s in range(200)])
    return logs.Parts(sessions.part(0, 150), sessions.part(150, 200))


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(leaderboard, "KEPT", tmp_path)
    monkeypatch.setitem(logs.LOGS, "tiny", tiny)
    return tmp_path


def go(**options):
    return leaderboard.run(["tiny"], TWO, options.get("fresh", False), False)


def test_what_is_kept_is_not_measured_again(kept, monkeypatch):
    first, left_out = go()
    assert set(first) == {("tiny", "Popularity"), ("tiny", "ItemKNN")} and not left_out
    monkeypatch.setattr(leaderboard, "measure", lambda *_: pytest.fail("measured again"))
    again, _ = go()
    for key, found in first.items():
        np.testing.assert_array_equal(found["values_mrr"], again[key]["values_mrr"])
        assert str(again[key]["setting"]) == found["setting"]


def test_the_better_setting_is_chosen_and_named(kept):
    found, _ = go()
    assert found["tiny", "ItemKNN"]["setting"] in ("shrinkage=1", "shrinkage=1000")
    assert found["tiny", "Popularity"]["setting"] == ""
    assert found["tiny", "ItemKNN"]["values_recall"].mean() >= found["tiny", "Popularity"]["values_recall"].mean()


@pytest.mark.parametrize("spoil", ["cut off", "another code", "gone"])
def test_what_is_stale_or_damaged_is_measured_again(kept, monkeypatch, spoil):
    go()
    path = kept / "tiny" / "Popularity.npz"
    if spoil == "cut off":
        path.write_bytes(path.read_bytes()[:100])
    elif spoil == "gone":
        path.unlink()
    else:
        monkeypatch.setattr(leaderboard, "code_of", lambda entry: "changed" + entry.name)
    measured = []
    real = leaderboard.measure
    monkeypatch.setattr(leaderboard, "measure", lambda e, p: (measured.append(e.name), real(e, p))[1])
    go()
    assert measured == (["Popularity", "ItemKNN"] if spoil == "another code" else ["Popularity"])


def test_a_break_loses_nothing_that_is_done(kept, monkeypatch):
    real = leaderboard.measure

    def breaks(entry, parts):
        if entry.name == "ItemKNN":
            raise KeyboardInterrupt
        return real(entry, parts)

    monkeypatch.setattr(leaderboard, "measure", breaks)
    with pytest.raises(KeyboardInterrupt):
        go()
    assert [path.name for path in (kept / "tiny").iterdir()] == ["Popularity.npz"]


def test_a_change_of_settings_is_a_change():
    other = leaderboard.Entry("ItemKNN", [models.ItemKNN(shrinkage=2)])
    assert leaderboard.code_of(TWO[1]) != leaderboard.code_of(other)
    assert leaderboard.code_of(TWO[1]) == leaderboard.code_of(TWO[1])


def results(**means) -> dict:
    """Values that differ from model to model by a constant, or by noise around the same mean for `noisy`."""
    base = np.random.default_rng(0).random(400)
    found = {}
    for model, shift in means.items():
        values = base + shift
        if model == "Noisy":
            noise = np.random.default_rng(1).normal(0, 0.5, 400)
            values = base + shift + noise - noise.mean()
        found["log", model] = {f"values_{m}": values for m in ("recall", "mrr", "ndcg")} | {"groups": np.arange(400)}
    return found


def test_the_words_name_the_first_and_who_is_level():
    found = results(Popularity=0.1, ItemKNN=0.05, Noisy=0.29, ALS=0.3)
    order = ["Popularity", "ItemKNN", "Noisy", "ALS"]
    assert leaderboard_text.verdict(found, "log", order, "mrr").endswith(", level with Noisy")
    assert leaderboard_text.verdict(found, "log", order, "mrr").startswith("ALS (")
    assert "Popularity" in leaderboard_text.simplest(found, "log", order)
    wins = leaderboard_text.simple_wins(found, order)
    assert "log: recall@20 Popularity" in wins and wins.rstrip().endswith("ahead of ItemKNN.")


def test_nowhere_is_said_too():
    found = results(Popularity=0.1, ALS=0.3)
    assert leaderboard_text.simple_wins(found, ["Popularity", "ALS"]).startswith("None of the four simplest")
