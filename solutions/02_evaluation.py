# %% [markdown]
# # Lab 02 · How do we know that it works?
#
# Two recommenders, one shop: which of them should go live? This lab builds the measurement that answers such a question,
# and shows how easily it gives the wrong answer.
#
# **You will be able to**
#
# - split a log by time, and say what a random split lets through,
# - compute recall, reciprocal rank and NDCG by hand,
# - evaluate a model click by click, with a rule for ties and the whole catalogue,
# - put an interval on every number, and tell a difference from luck,
# - name the two baselines that every model has to beat.
#
# **Time:** 50 minutes for the five core exercises and what stands between them. Parts marked *extra* come on top: the curve
# of chances in part 5, exercises 2.6 and 2.7, *Which k?*, *For whom does it work?* and the published lists of the real log.
# Cells that only draw need not be read. **Needs:** lab 01.

# %% tags=["setup"]
# The build puts the set-up here.

# %% [markdown]
# These are the tools of this lab. Every exercise ends in a line that checks your answer; `check.NAME.hint()` gives a hint,
# the next call the next one, and `check.NAME.solution()` our solution. Further down the lab uses `check.answers.NAME`: your
# function once it is right, ours until then. So you can go on reading at any point.

# %%
import math
import textwrap
from collections import Counter

import ipywidgets as widgets
import numpy as np
import pandas as pd

from recsys_lab import datasets, metrics, plots, split
from recsys_lab.checks import lab02 as check
from recsys_lab.cleaning import Cleaning
from recsys_lab.evaluate import evaluate
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models import AssociationRules, ItemKNN, Popularity, Recommender, SequentialRules, SessionPopularity
from recsys_lab.ranking import target_ranks

plots.style()

# %% [markdown]
# The shop of this lab is **simulated**: the books are real, the visitors and all that they do are invented. That is why
# it may be passed on, and why nothing you find in it is a fact about real shops. A real log comes at the end. As in lab
# 01, double fires and bots go first; sessions with one view ask for no prediction and go as well.

# %% tags=["check-output"]
shop = datasets.load("bookshop")
log = Cleaning(shop.events).drop_double_fires().drop_bots()
views = log.events[log.events["event"] == "view"]
views = views[views.groupby("session_id")["item_id"].transform("size") > 1]
catalogue = Vocabulary(shop.items["item_id"])
sessions = Sessions.from_frame(views, catalogue)
print(f"{len(sessions)} sessions, {sessions.n_clicks} views, {sessions.n_items} books")

# %% [markdown]
# ## 1. The past on one side, the future on the other
#
# A recommender works on clicks that come after those it learned from. So we pick a moment, train on the sessions that were
# over by then, and test on those that had not begun.
#
# **Predict:** some sessions are under way at that moment. Where do they belong?

# %%
moment = pd.Timestamp("2025-12-14 20:30", tz="UTC")

# %% [markdown]
# ### Exercise 2.1 · Split sessions by time
#
# *10 minutes, medium.* Write this split. A session under way at the moment is the trap: in train it brings clicks from the
# time of the test, in test it asks for clicks from the time of the training, and cut in two it does both.


# %%
def split_by_time(events, moment):
    """Split an event log into sessions that ended before `moment` and sessions that started at it or later.

    Parameters
    ----------
    events : DataFrame
        Columns `event_id`, `session_id`, `timestamp`; rows in any order.
    moment : Timestamp

    Returns
    -------
    train, test : DataFrame
        Rows of whole sessions. A session that is under way at `moment` is in neither.
    """
    # BEGIN SOLUTION
    times = events.groupby("session_id")["timestamp"]
    ends, starts = times.transform("max"), times.transform("min")
    return events[ends < moment], events[starts >= moment]
    # END SOLUTION


check.split_by_time(split_by_time)

# %% [markdown]
# Here are sessions around that moment, each in its part. The cell only draws.

# %%
times = views.groupby("session_id")["timestamp"]
near = times.agg(["min", "max"]).sort_values("min")
around = near[(near["max"] > moment - pd.Timedelta("40min")) & (near["min"] < moment + pd.Timedelta("40min"))]
across = (around["min"] < moment) & (around["max"] >= moment)
near = around[across | (np.arange(len(around)) % 4 == 0)]  # one in four will do, and all that are under way
figure, axes = plots.plt.subplots(figsize=(8.5, 4.5))
for y, (name, (start, end)) in enumerate(near.iterrows()):
    place = 0 if end < moment else 1 if start >= moment else 2
    clicks = (times.get_group(name) - moment).dt.total_seconds() / 60
    axes.plot(clicks, [y] * len(clicks), "os^"[place] + "-", color=plots.COLOURS[place])
    word = ("train", "test", "under way: neither")[place]
    axes.annotate(word, (clicks.max(), y), xytext=(8, 0), textcoords="offset points", va="center", fontsize=10)
axes.axvline(0, color="black", linestyle="--")
axes.set(xlabel="minutes from the chosen moment", ylabel="session", yticks=[], title="Sessions around one moment")
plots.show(
    figure, alt="Sessions as lines in time around a dashed moment: before it train, after it test, across it neither."
)

# %% [markdown]
# On the shop's log, with the last two weeks for testing, it gives the two parts that the rest of this lab uses.

# %% tags=["check-output"]
past, future = check.answers.split_by_time(views, moment)
train, test = Sessions.from_frame(past, catalogue), Sessions.from_frame(future, catalogue)
print(f"train {len(train)} sessions, test {len(test)}, neither {len(sessions) - len(train) - len(test)}")

# %% [markdown]
# ### What a random split lets through
#
# Much simpler code draws sessions for testing at random, or even single clicks. **Predict:** for a test click from the
# middle of the log, how much of a randomly drawn training part lies in its future?

# %%
report = split.leakage_report(sessions)
questions = ["test clicks from before\nthe training ends", "training clicks from after\nthe middle test click"]
questions += ["test sessions of which\ntraining has clicks", "test clicks on books first\nseen in training later on"]
figure, axes = plots.plt.subplots(figsize=(8.5, 4.5))
for i, (name, word) in enumerate(zip(report, ("by time", "random sessions", "random clicks"), strict=True)):
    bars = axes.barh(np.arange(4) + (i - 1) * 0.27, 100 * report[name], 0.25, label=word, hatch=("", "//", "..")[i])
    axes.bar_label(bars, [f"{word}: {value:.1f} %" for value in 100 * report[name]], padding=3, fontsize=10)
axes.set(yticks=range(4), yticklabels=questions, xlim=(0, 150), xticks=range(0, 101, 25), xlabel="share (%)")
axes.set_title("What training knows and should not")
axes.invert_yaxis()
plots.show(
    figure, alt="Bars of four kinds of leak for three splits: all are 0 % by time; random splits leak in nearly all."
)

# %% tags=["solution-only"]
from recsys_lab.records import record

record("lab02.leak.future", 100 * report.loc["train_clicks_after_test_click", "by_session"], "{:.1f} %")
record("lab02.leak.same_session", 100 * report.loc["test_sessions_also_in_train", "by_click"], "{:.1f} %")

# %% [markdown]
# With sessions drawn at random, {{ lab02.leak.future }} of the training lies in the future of the middle test click. With
# single clicks drawn at random, training has other clicks of {{ lab02.leak.same_session }} of the test sessions: the very
# sessions that it will be asked about.
#
# ### Does the leak pay?
#
# To find out fairly, the test sessions have to be the same and the amount of training too. We ask about sessions from the
# middle of the log, and train once on the past alone and once on as many sessions drawn from any time.

# %%
ordered = sessions.take(np.argsort(sessions.starts, kind="stable"))
n, rng = len(ordered), np.random.default_rng(0)
middle = np.arange(int(0.4 * n), int(0.6 * n))
asked = np.sort(rng.choice(middle, len(middle) // 2, replace=False))
before = np.flatnonzero(ordered.ends < ordered.starts[middle[0]])
others = np.setdiff1d(np.arange(n), asked)
any_time = np.sort(rng.choice(others, len(before), replace=False))
print(f"asked about {len(asked)} sessions; trained on {len(before)} from the past, or on {len(any_time)} from any time")

# %% [markdown]
# Four models from later labs will do as candidates; for now it is enough that each gives every book a score.
#
# - `Popularity`: what was viewed most, for everybody.
# - `AssociationRules`: what was viewed in the same sessions as the last book.
# - `SequentialRules`: what was viewed after it, the sooner the heavier.
# - `ItemKNN`: books that share many sessions with the last book, measured against how popular they are.
#
# `evaluate` asks them for the next book and counts how often it stands among their first 20: recall@20.


# %%
def from_leak(kind):
    """Recall@20 (in points) that training on any time adds to training on the past, for the same questions."""
    honest = evaluate(kind().fit(ordered.take(before)), ordered.take(asked), lists=False)
    leaky = evaluate(kind().fit(ordered.take(any_time)), ordered.take(asked), lists=False)
    return [kind.__name__, *(100 * x for x in leaky.compare(honest, "recall")[:3])]


gains = [from_leak(kind) for kind in (Popularity, ItemKNN, SequentialRules, AssociationRules)]

# %% [markdown]
# Two small helpers draw values with their intervals; part 6 tells where the intervals come from.


# %%
def row(name, values, groups=None):
    """A row for `dots`: mean and 95 % interval."""
    return [name, np.mean(values), *metrics.bootstrap_interval(values, groups)[:2]]


def dots(axes, rows, form="{:.3f}"):
    """Draw rows of (label, value, low, high), the first one on top."""
    for y, (_, value, low, high) in enumerate(rows):
        axes.plot([low, high], [y, y], color=plots.COLOURS[y % 7], linestyle="-")
        axes.plot(value, y, "o", color=plots.COLOURS[y % 7])
        axes.annotate(
            form.format(value), (value, y), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=10
        )
    axes.set(yticks=range(len(rows)), yticklabels=[row[0] for row in rows], ylim=(len(rows) - 0.5, -0.7))


# %% [markdown]
# **Predict:** will knowing the future help more or less than half a point of recall?

# %%
figure, axes = plots.plt.subplots(figsize=(7.5, 3.2))
dots(axes, gains, "{:+.1f}")
axes.axvline(0, color="black", linestyle="--")
axes.set(xlabel="recall@20 gained by the leak (percentage points, 95 % interval)", title="What the leak is worth")
plots.show(
    figure,
    alt="Gain in recall@20 from the leak, four models: three about a point and clear of zero, ItemKNN less and not clear.",
)

# %% tags=["solution-only"]
record("lab02.leak.gain", gains[3][1], "{:.1f}")
record("lab02.leak.gain_low", gains[3][2], "{:.1f}")
record("lab02.leak.gain_high", gains[3][3], "{:.1f}")

# %% [markdown]
# `AssociationRules` gains {{ lab02.leak.gain }} points ({{ lab02.leak.gain_low }} to {{ lab02.leak.gain_high }}) that no
# live shop would ever see. It does not look like much; wait until you see how far apart the best two models are. For `ItemKNN`
# the interval includes zero: here we cannot tell.
#
# ## 2. One list, three numbers
#
# A model answers with a list. Now put a number on it. All three of these metrics look only at *where* the right books
# stand.
#
# ### Exercise 2.2 · Recall of one list
#
# *5 minutes, easy.* Of the books that were right, which share stands in the first k places?


# %%
def recall_at_k(ranked, relevant, k):
    """Share of the relevant items that stand in the first k places.

    Parameters
    ----------
    ranked : list
        Items, best first, each one once.
    relevant : set
        At least one item.
    k : int

    Returns
    -------
    float
        ``recall_at_k([7, 3, 5, 9], {3, 8}, k=2)`` is 0.5: of 3 and 8, only 3 is there.
    """
    # BEGIN SOLUTION
    found = set(ranked[:k]) & set(relevant)
    return len(found) / len(relevant)
    # END SOLUTION


check.recall_at_k(recall_at_k)

# %% [markdown]
# ### Exercise 2.3 · Reciprocal rank
#
# *5 minutes, easy.* Recall does not care whether the book stands first or twentieth; the visitor does. One over the place
# says so: 1, 1/2, 1/3 and so on. Its mean over many questions is the MRR; MRR@20 counts places behind 20 as 0.


# %%
def reciprocal_rank(ranked, target):
    """1 / place of `target` in `ranked` (the first place is 1), 0.0 when it is absent.

    Parameters
    ----------
    ranked : list
        Items, best first, each one once.
    target : int

    Returns
    -------
    float
        ``reciprocal_rank([7, 3, 5], 3)`` is 0.5.
    """
    # BEGIN SOLUTION
    if target not in ranked:
        return 0.0
    return 1 / (ranked.index(target) + 1)
    # END SOLUTION


check.reciprocal_rank(reciprocal_rank)

# %% [markdown]
# ### Exercise 2.4 · NDCG of one list
#
# *10 minutes, medium.* NDCG is short for normalised discounted cumulative gain. When several books are right, each of them
# gains 1 / log2(place + 1). The sum is divided by that of the best list one could have made, so that 1 is always the top.


# %%
def ndcg_at_k(ranked, relevant, k):
    """Discounted gain of the first k places over that of the best possible list.

    Parameters
    ----------
    ranked : list
        Items, best first, each one once.
    relevant : set
        At least one item; all are equally good.
    k : int

    Returns
    -------
    float
        ``ndcg_at_k([5, 7, 3], {3}, k=3)`` is 0.5: 3 gains 1 / log2(3 + 1), the best list 1.
    """
    # BEGIN SOLUTION
    gain = sum(1 / math.log2(place + 1) for place, item in enumerate(ranked[:k], start=1) if item in relevant)
    best = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
    return gain / best
    # END SOLUTION


check.ndcg_at_k(ndcg_at_k)

# %% [markdown]
# What is a hit worth at each place? **Predict:** which of the three falls fastest between the first and the second place?

# %%
places, ranked = range(1, 26), list(range(1, 26))
curves = {
    "recall@20": [check.answers.recall_at_k(ranked, {place}, 20) for place in places],
    "NDCG@20": [check.answers.ndcg_at_k(ranked, {place}, 20) for place in places],
    "reciprocal rank, cut at 20": [check.answers.reciprocal_rank(ranked[:20], place) for place in places],
}
figure, axes = plots.plt.subplots()
for (name, values), at, dy in zip(curves.items(), (13, 9, 2), (-18, 12, -95), strict=True):
    (line,) = axes.plot(places, values, marker="o", markersize=4)
    spot = {"xytext": (0, dy), "textcoords": "offset points", "color": line.get_color()}
    axes.annotate(name, (at, values[at - 1]), **spot)
axes.set(xlabel="place of the right book", ylabel="value of the list", title="What a hit is worth", ylim=(-0.05, 1.08))
plots.show(
    figure, alt="Value of a hit by place: recall stays 1 up to 20, NDCG falls slowly, reciprocal rank falls at once."
)

# %% [markdown]
# ## 3. Click by click
#
# A session has no single right answer: after every click there is a next one. So we **reveal** it. The model sees the
# first view and is asked for the second; it sees two and is asked for the third; and so on. Every answer is ranked in the
# whole catalogue. Here is one session of the test part, and a model that learned from the train part.

# %%
rules = SequentialRules().fit(train)
by_rules = evaluate(rules, test)
titles = shop.items.set_index("item_id")["title"]
number = int(np.flatnonzero(test.lengths == 5)[3])
books = [textwrap.shorten(titles[i], 42, placeholder=" …") for i in catalogue.decode(test[number])]
ranks = by_rules.ranks[by_rules.sessions == number]

# %% [markdown]
# **Predict:** which of the four questions below is hardest for a model that knows only what was clicked after what?


# %%
def reveal(books, ranks):
    """Draw a session: one row a question, what the model sees on the left, what it is asked on the right."""
    figure, axes = plots.plt.subplots(figsize=(9.5, 1.25 * len(ranks) + 0.6))
    for step, rank in enumerate(ranks):
        for place, title in enumerate(books[: step + 2]):
            seen = place <= step
            look = {"boxstyle": "round", "facecolor": "#dcebf7" if seen else "white"}
            look |= {"edgecolor": plots.COLOURS[0 if seen else 1], "linestyle": "-" if seen else "--"}
            word = textwrap.fill(title, 16) + ("" if seen else f"\nasked: rank {rank:g}")
            weight = "normal" if seen else "bold"
            axes.text(place, -step, word, ha="center", va="center", fontsize=9, bbox=look, weight=weight)
    axes.set(xlim=(-0.6, len(books) - 0.4), ylim=(0.6 - len(ranks), 0.5), title="Seen (solid), and asked for (dashed)")
    axes.set(xticks=range(len(books)), xticklabels=[f"view {i + 1}" for i in range(len(books))])
    axes.set(yticks=[-i for i in range(len(ranks))], yticklabels=[f"question {i + 1}" for i in range(len(ranks))])
    axes.grid(False)
    return figure


alt = "A session revealed step by step: the books seen so far, and the rank of the next one. " + " → ".join(books)
plots.show(reveal(books, ranks), alt=alt)
print(f"hardest: question {ranks.argmax() + 1}, where the book that came next has rank {ranks.max():g}")

# %% [markdown]
# A half rank such as 9.5 is a tie, see part 4.
#
# Your metrics do for many sessions what the picture shows for one: make the list, look up what came next, take the mean
# over all questions. This is slow and plain; `evaluate` does it fast, and both have to agree.


# %% tags=["check-output"]
def by_hand(model, some):
    """Mean recall@20 and reciprocal rank of all questions of these sessions."""
    values = []
    for clicks in some:
        ids = catalogue.decode(clicks).tolist()
        for step in range(1, len(ids)):
            ranked = model.recommend(ids[:step], k=20).tolist()
            hit = check.answers.recall_at_k(ranked, {ids[step]}, 20)
            values.append((hit, check.answers.reciprocal_rank(ranked, ids[step])))
    return np.mean(values, axis=0)


few = test.part(0, 300)
fast = evaluate(rules, few)
print("by hand   recall@20 {:.3f}, MRR@20 {:.3f}".format(*by_hand(rules, few)))
print(f"evaluate  recall@20 {fast.recall:.3f}, MRR@20 {fast.mrr:.3f}")

# %% [markdown]
# ## 4. Ties
#
# Both agree, but one thing was settled in silence: how to place books with the same score. `recommend` broke ties by
# catalogue number, `evaluate` put the target in the middle; here that hardly moved the mean. But a catalogue number is an
# accident, and a metric should not hang on one.
#
# ### Exercise 2.5 · Rank with ties in the middle
#
# *8 minutes, medium.* Rank the target by counting, not by sorting: in the middle of its equals, which is what a random
# order would give on average.


# %%
def middle_rank(scores, target):
    """Rank of one item by its score, in the middle of the items that have the same score.

    Parameters
    ----------
    scores : ndarray of float, shape (n_items,)
        Higher is better.
    target : int
        Index of the item.

    Returns
    -------
    float
        From 1. ``middle_rank(np.array([0.9, 0.5, 0.5, 0.1]), 2)`` is 2.5: one item is above, one other is equal.
    """
    # BEGIN SOLUTION
    score = scores[target]
    higher = (scores > score).sum()
    equal_others = (scores == score).sum() - 1
    return float(1 + higher + equal_others / 2)
    # END SOLUTION


check.middle_rank(middle_rank)

# %% [markdown]
# Which models tie? A coarse one does: this one gives 1 to all books of the genre of the last view, and 0 to all others.


# %%
class SameGenre(Recommender):
    """All books of the last view's genre, and none before another."""

    def _fit(self, sessions, impressions):
        genre = shop.items.set_index("item_id")["genre"].loc[sessions.vocabulary.ids]
        self.genre_ = pd.factorize(genre)[0]

    def _score(self, sessions, rows):
        last = self.genre_[sessions.items[rows]]  # (n_rows,)
        return (self.genre_ == last[:, None]).astype(np.float32)  # (n_rows, n_items)


clicks = test.part(0, 1)
scores = SameGenre().fit(train).score(clicks)[0]
print(f"{(scores == 1).sum():g} books share the first place; the next one has rank", end=" ")
print(check.answers.middle_rank(scores, clicks.items[1]))

# %% [markdown]
# Now the same scores under three rules: the target first among its equals (optimistic), in their middle, or last
# (pessimistic). One model is new: `SessionPopularity` repeats what the session has seen; part 7 is about it.
#
# **Predict:** how much recall@20 can the coarse model gain from the rule alone?

# %%
kinds = (Popularity, SessionPopularity, ItemKNN, SequentialRules, AssociationRules)
models = {kind.__name__: kind().fit(train) for kind in kinds}
rule_names = ("pessimistic", "middle", "optimistic")
tied = {"SameGenre": SameGenre().fit(train), **models}
table = {name: [evaluate(model, test, ties=t, lists=False).recall for t in rule_names] for name, model in tied.items()}

# %% [markdown]
# The arrows run from the pessimistic rule to the optimistic one, with the middle on the way.


# %%
def draw_ties(table, title):
    """Draw recall@20 of each model under the three rules."""
    figure, axes = plots.plt.subplots(figsize=(8.0, 4.0))
    for y, values in enumerate(table.values()):
        axes.plot([values[0], values[2]], [y, y], color="grey", linestyle="-", linewidth=1)
        for value, name, mark, colour in zip(values, rule_names, "|o>", plots.COLOURS, strict=False):
            axes.plot(value, y, mark, ms=16 if mark == "|" else 7, color=colour, ls="", label=name if y == 0 else None)
        axes.annotate(f"{values[2] - values[0]:.3f}", (max(values), y), xytext=(10, -4), textcoords="offset points")
    axes.set(
        yticks=range(len(table)), yticklabels=table, xlabel="recall@20, and how far the rule moves it", title=title
    )
    axes.set(ylim=(len(table) - 0.5, -0.9), xlim=(-0.03, 1.05))
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=3, fontsize=10, handletextpad=0.2)
    return figure


alt = "Recall@20 of six models under three tie rules; SameGenre moves from 0 to near the top, the rules by some hundredths."
plots.show(draw_ties(table, "The same scores, three rules for ties"), alt=alt)

# %% tags=["solution-only"]
record("lab02.ties.genre_best", table["SameGenre"][2], "{:.2f}")
record("lab02.ties.genre_worst", table["SameGenre"][0], "{:.2f}")
record("lab02.ties.rules", table["SequentialRules"][2] - table["SequentialRules"][0], "{:.3f}")

# %% [markdown]
# `SameGenre` has a recall@20 of {{ lab02.ties.genre_best }} under the optimistic rule and of {{ lab02.ties.genre_worst }}
# under the other two: with so many books in first place, even their middle lies behind place 20. Nothing about the model
# changed. `SequentialRules`, an ordinary model, still moves by {{ lab02.ties.rules }}, because it gives 0 to every book that
# it never saw after the last one. So say which rule you use; this course uses the middle.
#
# ## 5. The whole catalogue, or a sample?
#
# Ranking 1,208 books is quick. With millions of items people save time: they rank the right one among 50 others drawn at
# random. Two **planted** models show what this does; we invent nothing but the rank that each gives the right book.
#
# - *Sharp* puts it among the first 10 in four questions of ten, and anywhere at all in the others.
# - *Steady* never does; it always puts it somewhere between place 21 and place 200.

# %%
n_books, n_asked, rng = 1208, 2000, np.random.default_rng(2)
anywhere = rng.integers(11, n_books + 1, n_asked)
sharp = np.where(rng.random(n_asked) < 0.4, rng.integers(1, 11, n_asked), anywhere)
steady = rng.integers(21, 201, n_asked)


def rank_in_sample(ranks, n_negatives=50, seed=0):
    """Rank among so many others, drawn at random: 1 + how many of the better books were drawn."""
    return 1 + np.random.default_rng(seed).hypergeometric(ranks - 1, n_books - ranks, n_negatives)


# %% [markdown]
# **Predict:** a shop shows ten books. Which of the two models should it take, and which does recall@10 prefer on the
# sample?


# %%
def full_and_sampled(full, sampled, title):
    """Draw the rows of two rankings side by side."""
    figure, (left, right) = plots.plt.subplots(1, 2, figsize=(9.0, 2.8), sharex=True, sharey=True)
    dots(left, full)
    dots(right, sampled)
    left.set(xlabel="recall@10, whole catalogue", title=title, xlim=(-0.12, 1.08))
    right.set(xlabel="recall@10 among 50 sampled and the target")
    return figure


planted = {"Sharp": sharp, "Steady": steady}
full = [row(name, ranks <= 10) for name, ranks in planted.items()]
sampled = [row(name, rank_in_sample(ranks) <= 10) for name, ranks in planted.items()]
alt = "Left, the whole catalogue: Sharp is far ahead, Steady at zero. Right, among 50 sampled: Steady is far ahead."
plots.show(full_and_sampled(full, sampled, "Two planted models"), alt=alt)

# %% tags=["solution-only"]
record("lab02.planted.sharp_full", full[0][1], "{:.2f}")
record("lab02.planted.steady_full", full[1][1], "{:.2f}")
record("lab02.planted.sharp_sampled", sampled[0][1], "{:.2f}")
record("lab02.planted.steady_sampled", sampled[1][1], "{:.2f}")

# %% [markdown]
# In the whole catalogue *Sharp* is right ({{ lab02.planted.sharp_full }} against {{ lab02.planted.steady_full }}). In the
# sample *Steady* wins ({{ lab02.planted.steady_sampled }} against {{ lab02.planted.sharp_sampled }}), although it never
# once put the right book among the first ten. More questions would not help: the sample measures something else.
#
# *Extra:* the next figure shows what. A book of a true rank reaches the first ten of a sample with some chance; a metric for ten
# places should drop to zero behind the tenth.

# %%
from scipy.stats import hypergeom

true_rank = np.arange(1, 501)
figure, axes = plots.plt.subplots()
for n_negatives, at in ((50, 250), (200, 52)):
    chance = hypergeom.cdf(9, n_books - 1, true_rank - 1, n_negatives)
    (line,) = axes.plot(true_rank, chance)
    spot = {"xytext": (8, 4), "textcoords": "offset points", "color": line.get_color()}
    axes.annotate(f"{n_negatives} sampled", (at, chance[at - 1]), **spot)
axes.plot(true_rank, true_rank <= 10)
note = {"xytext": (210, 0.86), "arrowprops": {"arrowstyle": "-", "color": plots.COLOURS[2]}, "color": plots.COLOURS[2]}
axes.annotate("whole catalogue: places 1 to 10, no more", (10, 0.86), **note)
axes.set(xlabel="true rank in the catalogue", ylabel="chance to be among the first ten", title="What a sample rewards")
plots.show(
    figure, alt="Chance of a hit by true rank: with 50 sampled it stays near 1 up to rank 100; in full it ends at 10."
)

# %% [markdown]
# It takes no invented ranks for this to happen. Here are two ordinary models on the shop: the same list for everybody, and
# the neighbours of the last book. Both are asked the same questions, in full and among 50 books that are really drawn.


# %%
def recall_in_sample(model, n_negatives=50, k=10, seed=0):
    """Whether the next book is among the first k of itself and so many others drawn at random, for each question."""
    rows = np.flatnonzero(test.positions[1:] > 0)
    targets, rng = test.items[rows + 1], np.random.default_rng(seed)
    drawn = rng.integers(test.n_items - 1, size=(len(rows), n_negatives))
    drawn += drawn >= targets[:, None]  # any book but the target
    candidates = np.column_stack([targets, drawn])
    scores = np.take_along_axis(model.score(test, rows), candidates, axis=1)  # (n_questions, 1 + n_negatives)
    return metrics.of_ranks(target_ranks(scores, np.zeros(len(rows))), "recall", k)


# %% [markdown]
# **Predict:** do best-sellers look better or worse on a sample of 50?

# %%
results = {name: evaluate(model, test) for name, model in models.items()}
asked_in = results["Popularity"].sessions
pair = ("ItemKNN", "Popularity")
full = [row(name, results[name].ranks <= 10, asked_in) for name in pair]
sampled = [row(name, recall_in_sample(models[name]), asked_in) for name in pair]
alt = (
    "Left, the whole catalogue: ItemKNN far ahead of Popularity. Right, among 50 sampled: Popularity ahead of ItemKNN."
)
plots.show(full_and_sampled(full, sampled, "Two ordinary models"), alt=alt)

# %% tags=["solution-only"]
record("lab02.sampled.knn_full", full[0][1], "{:.2f}")
record("lab02.sampled.pop_full", full[1][1], "{:.2f}")
record("lab02.sampled.knn", sampled[0][1], "{:.2f}")
record("lab02.sampled.pop", sampled[1][1], "{:.2f}")

# %% [markdown]
# In full, `ItemKNN` finds {{ lab02.sampled.knn_full }} of the books and `Popularity` {{ lab02.sampled.pop_full }}; on the
# sample it is {{ lab02.sampled.knn }} against {{ lab02.sampled.pop }}, with intervals that do not touch. Whoever trusted the
# sample would put the best-seller list live. Other sample sizes and metrics may happen to keep the order; nobody knows
# beforehand which (Krichene and Rendle, KDD 2020). If the catalogue is too large, ask fewer sessions, not fewer items.
#
# ## 6. How sure are we?
#
# Suppose 40 teams each ask *n* people, from the same shop and with the same model. **Predict:** how far do their results
# lie apart with 30 people each?

# %%
hits, n_test = results["AssociationRules"].values("recall"), len(test)
hit_sum, asked_sum = np.bincount(asked_in, hits, n_test), np.bincount(asked_in, minlength=n_test)
sizes, rng, spread = (10, 30, 100, 300, 1000), np.random.default_rng(3), {}
for size in sizes:
    drawn = [rng.choice(n_test, size, replace=False) for _ in range(40)]
    spread[size] = np.array([hit_sum[d].sum() / asked_sum[d].sum() for d in drawn])
figure, axes = plots.plt.subplots(figsize=(8.0, 4.0))
for place, found in enumerate(spread.values()):
    axes.plot(place + rng.uniform(-0.15, 0.15, 40), found, "o", markersize=4, color=plots.COLOURS[0])
    axes.annotate(f"{found.min():.3f} to {found.max():.3f}", (place, found.max() + 0.02), ha="center", fontsize=10)
axes.axhline(hits.mean(), color="black", linestyle="--")
axes.set(xticks=range(len(sizes)), xticklabels=sizes, xlabel="sessions asked", ylabel="recall@20", ylim=(None, 1.08))
axes.set_title("40 teams, the same model (dashed: all test sessions)")
plots.show(
    figure, alt="Results of 40 teams for growing numbers of sessions: wide apart with 10 or 30, close with 1,000."
)

# %% tags=["solution-only"]
record("lab02.spread.low", spread[30].min(), "{:.2f}")
record("lab02.spread.high", spread[30].max(), "{:.2f}")

# %% [markdown]
# With 30 sessions the teams report anything from {{ lab02.spread.low }} to {{ lab02.spread.high }}. A single team has only
# its own 30, and can still find out how unsure it is: draw 30 sessions from its 30 with replacement, many times over, and
# see how far the mean moves. That is the bootstrap.
#
# ### Exercise 2.6 · Bootstrap interval over sessions
#
# *Extra, 15 minutes, hard.* Draw whole sessions: the clicks of one person resemble each other.


# %%
def session_interval(values, sessions, n_draws, seed):
    """95 % bootstrap interval of the mean of `values`, drawing whole sessions with replacement.

    Parameters
    ----------
    values : ndarray of float, shape (n_clicks,)
        The metric of each click, such as its reciprocal rank.
    sessions : ndarray of int, shape (n_clicks,)
        The session of each click.
    n_draws : int
        How many times to draw.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    (low, high) : tuple of float
        The 2.5 % and 97.5 % quantiles of the means.
    """
    # BEGIN SOLUTION
    ids, number = np.unique(sessions, return_inverse=True)
    sums, sizes = np.bincount(number, values), np.bincount(number)
    rng, means = np.random.default_rng(seed), []
    for _ in range(n_draws):
        drawn = rng.integers(len(ids), size=len(ids))
        means.append(sums[drawn].sum() / sizes[drawn].sum())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
    # END SOLUTION


check.session_interval(session_interval)

# %% [markdown]
# How wide is the interval of the first 30 sessions, of the first 300, of all? To halve it takes four times as many.

# %%
for size in (30, 300, len(test)):
    mine = asked_in < size
    low, high = check.answers.session_interval(hits[mine], asked_in[mine], 1000, 0)
    print(f"{size:5} sessions: recall@20 {hits[mine].mean():.3f}, 95 % interval {low:.3f} to {high:.3f}")

# %% [markdown]
# Most often we do not want to know how good a model is but *which of two is better*. **Predict:** in 100 such trials with
# 30 people each, how often does the wrong model win?


# %%
def wrong_winner(better, worse, metric, size, n_trials=1000, seed=0):
    """Share of trials with `size` sessions in which the worse model comes out ahead; a draw counts half."""
    difference = results[better].values(metric) - results[worse].values(metric)
    per_session = np.bincount(asked_in, difference, n_test)
    rng = np.random.default_rng(seed)
    found = np.array([per_session[rng.choice(n_test, size, replace=False)].sum() for _ in range(n_trials)])
    return (found < -1e-9).mean() + (np.abs(found) <= 1e-9).mean() / 2


duels = [("SessionPopularity", "Popularity", "recall"), ("SequentialRules", "AssociationRules", "mrr")]
duels += [("AssociationRules", "ItemKNN", "recall")]
wrong = [[100 * wrong_winner(*duel, size) for size in sizes] for duel in duels]

# %% [markdown]
# In each of the three duels we know who is better: all test sessions together say so, and clearly. These are the
# differences within the same questions (*in pairs*, see below), with their intervals.

# %% tags=["check-output"]
for better, worse, metric in duels:
    gap = results[better].compare(results[worse], metric)
    print(f"{better} over {worse}, {metric}@20: {gap.difference:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})")

# %% [markdown]
# And so often a small trial prefers the other one:

# %%
figure, axes = plots.plt.subplots(figsize=(8.5, 4.2))
for (better, worse, metric), shares, (at, dy) in zip(duels, wrong, ((1, 12), (0, -72), (0, 16)), strict=True):
    (line,) = axes.plot(range(len(sizes)), shares, marker="o")
    name = f"{better} over\n{worse}, {'MRR' if metric == 'mrr' else metric}@20"
    spot = {"xytext": (8, dy), "textcoords": "offset points", "fontsize": 10, "va": "center", "color": line.get_color()}
    axes.annotate(name, (at, shares[at]), **spot)
axes.set(xticks=range(len(sizes)), xticklabels=sizes, xlabel="sessions asked", ylim=(-2, 55))
axes.set(ylabel="the wrong model wins (%)", title="How often would a small trial be wrong?")
plots.show(
    figure, alt="Share of trials won by the wrong model: with 30 sessions a third, a sixth and none in three duels."
)

# %% tags=["solution-only"]
record("lab02.duel.baselines", wrong[0][1], "{:.0f}")
record("lab02.duel.rules", wrong[1][1], "{:.0f}")

# %% [markdown]
# With 30 sessions, {{ lab02.duel.baselines }} of 100 trials prefer the weaker of the two baselines, and
# {{ lab02.duel.rules }} of 100 the rules that are weaker by MRR. Only where models lie worlds apart will 30 people do.
#
# ### Compare in pairs
#
# Two intervals that overlap do not show that two models are alike. Some sessions are hard for both; look at the
# *difference* within each session, and that drops out. Here are the two rules on the first 400 test sessions.

# %%
mine, duel = asked_in < 400, ("SequentialRules", "AssociationRules")
first, second = (results[name].values("mrr")[mine] for name in duel)
each = [row(name, values, asked_in[mine]) for name, values in zip(duel, (first, second), strict=True)]
paired = metrics.compare(first, second, asked_in[mine])
figure, (top, bottom) = plots.plt.subplots(2, 1, figsize=(7.5, 4.2), height_ratios=(2, 1))
dots(top, each)
top.set(xlabel="MRR@20 (95 % interval)", title="Each by itself")
dots(bottom, [["difference", *paired[:3]]], "{:+.3f}")
bottom.axvline(0, color="black", linestyle="--")
bottom.set(xlabel="difference of MRR@20 (95 % interval)", title="In pairs")
plots.show(
    figure, alt="MRR of two models with overlapping intervals; below, the paired difference, all of it above zero."
)

# %% [markdown]
# ## 7. The two baselines that nobody may skip
#
# *Popularity*: the same list for everybody. *SessionPopularity*: what this session has looked at already. Neither learns
# anything about how books go together, and a model that does not beat them has not either.
#
# ### Exercise 2.7 · Repeat what this session saw
#
# *Extra, 8 minutes, medium.* Write the second one.


# %%
def repeat_session(clicked, popularity):
    """Items that this session clicked, the most often clicked first; ties by popularity, the most popular first.

    Parameters
    ----------
    clicked : list
        Items in the order of the clicks; an item may be there several times.
    popularity : dict
        Clicks of every item in the training part; no two are alike.

    Returns
    -------
    list
        Each item once. ``repeat_session([4, 9, 4, 2], {2: 50, 4: 10, 9: 30})`` is ``[4, 2, 9]``.
    """
    # BEGIN SOLUTION
    clicks = Counter(clicked)
    return sorted(clicks, key=lambda item: (clicks[item], popularity[item]), reverse=True)
    # END SOLUTION


check.repeat_session(repeat_session)

# %% [markdown]
# All five models on the same test sessions, with intervals. **Predict:** which is second by MRR, which rewards the top of
# the list?

# %%
figure, both = plots.plt.subplots(1, 2, figsize=(9.5, 3.6), sharey=True)
for axes, metric, word in zip(both, ("recall", "mrr"), ("recall@20", "MRR@20"), strict=True):
    dots(axes, [row(name, result.values(metric), asked_in) for name, result in results.items()])
    axes.set(xlabel=f"{word} (95 % interval)", xlim=(0, None))
both[0].set_title("Five models on the simulated shop")
plots.show(
    figure, alt="Recall and MRR of five models: the two rules lead, ItemKNN follows, the two baselines are behind."
)

# %% tags=["solution-only"]
gap = results["AssociationRules"].compare(results["SequentialRules"], "recall")
assert 0 < 100 * gap.difference < 0.5, "the text says: less than half a point"
record("lab02.repeat.mrr", results["SessionPopularity"].mrr, "{:.2f}")
record("lab02.pop.mrr", results["Popularity"].mrr, "{:.2f}")
record("lab02.best.mrr", results["SequentialRules"].mrr, "{:.2f}")

# %% [markdown]
# By recall@20 the two best models are less than half a point apart. The leak of part 1 was worth {{ lab02.leak.gain }}: a
# careless split can move a model further than a better idea does. And look at MRR@20: merely repeating what the session
# saw has {{ lab02.repeat.mrr }}, popularity {{ lab02.pop.mrr }}, the best model {{ lab02.best.mrr }}. Against popularity
# alone, a model of little worth would look splendid.
#
# ### Which k? (extra)
#
# Recall depends on how many books you may show. Move the slider. **Predict:** which of the two rules leads at k = 1?


# %%
def bars_at(k):
    """Recall@k of every model as bars in HTML."""
    lines = []
    for name, result in sorted(results.items(), key=lambda pair: -(pair[1].ranks <= k).mean()):
        share = (result.ranks <= k).mean()
        bar = f'<div aria-hidden="true" style="background:#0072B2;height:12px;width:{300 * share:.0f}px"></div>'
        lines.append(f'<tr><td style="padding-right:10px">{name}</td><td>{share:.3f}</td><td>{bar}</td></tr>')
    head = f'<caption style="text-align:left;white-space:nowrap">recall@{k} on the simulated shop, the best first</caption>'
    return f"<table>{head}{''.join(lines)}</table>"


# %% [markdown]
# The slider redraws the bars each time it moves.


# %%
def k_slider():
    """A slider for k over the bars."""
    slider = widgets.IntSlider(20, 1, 50, description="k")
    picture = widgets.HTML(bars_at(20))
    slider.observe(lambda change: setattr(picture, "value", bars_at(change["new"])), "value")
    return widgets.VBox([slider, picture])


k_slider()

# %% [markdown]
# ### For whom does it work? (extra)
#
# A mean hides whom it is made of. Two cuts nearly always show something: by the number of views revealed, and by how
# popular the target is.

# %%
popularity = np.bincount(train.items, minlength=train.n_items)
figure, (left, right) = plots.plt.subplots(1, 2, figsize=(9.5, 4.0), sharey=True)
for name, (at, dy) in (("AssociationRules", (4, 8)), ("SessionPopularity", (5, 18)), ("Popularity", (6, -16))):
    by_place = results[name].by_position("recall", last=10)
    by_bin = results[name].by_popularity(popularity).query("popularity_bin > 0")
    (line,) = left.plot(by_place["revealed"], by_place["recall"], marker="o")
    right.plot(by_bin["popularity_bin"], by_bin["recall"], marker="o", color=line.get_color())
    spot = {"xytext": (0, dy), "textcoords": "offset points", "color": line.get_color(), "fontsize": 10}
    left.annotate(name, (at, by_place["recall"][at - 1]), **spot)
left.set(xlabel="views revealed (10: and more)", ylabel="recall@20", ylim=(-0.04, 1.04), title="By views revealed")
right.set(xlabel="a fifth of the training views each", title="By popularity of the target", xticks=range(1, 6))
right.set_xticklabels(["best-\nsellers", "2", "3", "4", "long\ntail"])
plots.show(
    figure,
    alt="Recall by views revealed and by popularity of the target: the rules fall for long sessions and rare books.",
)

# %% [markdown]
# On the right, the first group is a handful of best-sellers and the last one hundreds of rare books. `Popularity` finds
# the first group and nothing else; its mean says neither. In long sessions and for rare books the others fall. The
# repeating baseline is at its own best there: for rare books it draws level with the rules, in long sessions it closes in.
#
# ## The same on a real log
#
# `rsc15-100k` is a week of clicks of a real shop, cut by its publishers: the last day is the test part. Nothing in it is
# simulated, and its items have no titles. The stored pictures are enough to go on reading. If you want the log itself,
# `datasets.load("rsc15-100k")` in a new cell fetches it; then run the cells below again.
#
# First the ties. **Predict:** will the rule for ties move the models more than it did in the bookshop?


# %% tags=["real-log"]
def ties_on(real):
    """Recall@20 on a log with published parts, under three tie rules."""
    learn = real.sessions("train")
    later = real.sessions("test", learn.vocabulary)
    table = {}
    for kind in kinds:
        model = kind().fit(learn)
        table[kind.__name__] = [evaluate(model, later, ties=t, lists=False).recall for t in rule_names]
    return draw_ties(table, f"{real.name}: {len(later)} real test sessions")


alt = "Recall@20 of five models on a real log by tie rule: SequentialRules move most, past AssociationRules and back."
plots.real_log("rsc15-100k", ties_on, alt=alt, picture="lab02_ties")

# %% [markdown]
# Which of the two rules is better depends on the treatment of ties: under the optimistic rule one leads, under the other
# two rules the other. A table in a paper that does not say how it ranked equals cannot be compared with yours.
#
# ### Published lists (extra)
#
# Four published models come with this log, as the lists that they gave for its first test sessions: neighbours of the
# session (`vsknn`), association rules (`ar`), a neural network (`gru4rec`) and sequential rules (`sr`). We can put the
# intervals on them that a table of four numbers does not have. First, which next items did their lists hold?


# %% tags=["real-log"]
def published_hits(real):
    """Hit (1) or miss (0) at 20 of each published model, one row a question, and the question's session."""
    lists, asked = real.tables["reference_recommendations"], real.test.copy()
    asked["position"] = asked.groupby("session_id").cumcount() - 1  # asked after the click at this position
    keys, hits = ["session_id", "position"], {}
    questions = lists[keys].drop_duplicates().merge(asked[[*keys, "item_id"]], on=keys)
    for name, mine in lists[lists["rank"] <= 20].groupby("model"):
        found = questions.merge(mine, on=[*keys, "item_id"], how="left")["rank"].notna()
        hits[name] = found.to_numpy(float)
    best_first = sorted(hits, key=lambda name: -hits[name].mean())
    return {name: hits[name] for name in best_first}, questions["session_id"]


# %% [markdown]
# **Predict:** on about a hundred sessions, will the intervals of four serious models overlap? And their differences to
# the first one, taken in pairs: will they leave out zero?


# %% tags=["real-log"]
def published(real):
    """Draw recall@20 of the published lists, and the paired differences to the first one."""
    hits, asked = published_hits(real)
    first, *others = hits
    figure, (top, bottom) = plots.plt.subplots(2, 1, figsize=(8.0, 5.2), height_ratios=(4, 3))
    dots(top, [row(name, values, asked) for name, values in hits.items()])
    title = f"{real.name}: published lists, {len(asked)} questions of {asked.nunique()} sessions"
    top.set(xlabel="recall@20 (95 % interval)", title=title)
    pairs = [[f"{first} − {name}", *metrics.compare(hits[first], hits[name], asked)[:3]] for name in others]
    dots(bottom, pairs, "{:+.3f}")
    bottom.axvline(0, color="black", linestyle="--")
    bottom.set(xlabel="paired difference of recall@20 (95 % interval)")
    return figure


alt = (
    "Recall@20 of four published models: all intervals overlap. In pairs, vsknn is clear of sr and gru4rec, not of ar."
)
plots.real_log("rsc15-100k", published, alt=alt, picture="lab02_published")

# %% [markdown]
# One by one, all four intervals overlap, and one might call it luck. In pairs it is not all luck: `vsknn` is ahead of the
# sequential rules and of the neural network, while against the plain association rules the question stays open. A hundred
# sessions are enough for some differences and not for others, and only the interval tells you for which. Nor do the lists
# tell how they broke their ties, which in the figure before was worth as much as any of these differences.
#
# ## Three questions
#
# 1. A colleague draws test sessions at random and finds a recall@20 one point above yours, on the same log and with the
#    same model. What do you tell them?
# 2. A paper ranks the right item among 100 sampled ones, and its model leads clearly, with tiny intervals. Why do the
#    intervals not help?
# 3. On the log of a news site, `SessionPopularity` has a recall of nearly zero. Is the evaluation broken?
#
# <details><summary>Answers</summary>
#
# 1. Their training part holds sessions from after the ones they ask about, so it knows which books became popular later.
#    In a live shop that point does not exist. Split by time, then compare in pairs on the same sessions.
# 2. An interval says how far the number would move with other people. It does not say that the number measures the right
#    thing: the sample rewards being somewhat near the top, not being at it.
# 3. Not necessarily: people hardly read the same article twice, so there is nothing to repeat. A baseline tells you about
#    the log as well. First look whether repeats were removed before publication; then no model may repeat.
#
# </details>
#
# ## One step further
#
# In part 5 the 50 others were drawn evenly. Draw them by popularity instead, `rng.choice(test.n_items, p=popularity /
# popularity.sum(), ...)`, as many papers do. What becomes of `Popularity`, and which of the two samples would you have to
# apologise for?
#
# Here is how far you are:

# %%
check.progress()
