# %% [markdown]
# # Lab 01 · Interaction signals
#
# What can a shop know about what you want? Almost only what you did: which pages you opened, how long you stayed, what
# you bought, what you sent back. This lab turns such a raw log into signals that a recommender can learn from, and asks
# of each signal how much it is worth.
#
# **You will be able to**
#
# - name what a shop can see, and say for each signal what it may mean and what else it may mean,
# - cut a raw event log into sessions, and find double fires and bots in it,
# - weigh views, carts, purchases and returns against each other, and measure whether the weights help,
# - say what "not clicked" tells, and what the place in a list has to do with it,
# - look at a new log and say which questions it cannot answer.
#
# **Time:** 50 minutes: four exercises (36 minutes) and the reading between them. Two exercises marked *extra* take
# 10 minutes more. **Needs:** Python and pandas, nothing else.

# %% tags=["setup"]
# The build puts the set-up here.

# %% [markdown]
# The tools of this lab. `check` looks at your answers, `plots` draws, and the rest is `recsys_lab`, the package of the
# course. Run this cell, then go on from cell to cell.

# %%
from collections import Counter

import numpy as np
import pandas as pd

from recsys_lab import bookshop, datasets, margins, plots, widgets
from recsys_lab.checks import lab01 as check
from recsys_lab.cleaning import Cleaning
from recsys_lab.interactions import Sessions

plots.style()

# %% [markdown]
# ## What a shop can see
#
# Few people rate what they buy. A rating is **explicit** feedback: somebody says what they think. Everything else is
# **implicit**: it was done for another purpose, and we read a meaning into it.
#
# | signal | may mean | may also mean |
# | :-- | :-- | :-- |
# | view: a page was opened | "this looks interesting" | a slip of the finger, a good cover, a machine |
# | dwell: time on the page | "I am reading this" | the tab stayed open over lunch |
# | cart: put into the cart | "I will probably buy it" | a list of things to remember |
# | purchase | "I want it" | a present for somebody else |
# | return: sent back | "I do not want it" | bought twice, arrived too late |
# | impression: it was shown | nothing yet | without it, "not clicked" has no meaning |
#
# Our log is that of a bookshop, and it is **simulated**: the books are real, but the visitors, their clicks and the
# prices are invented ([how it was made](../data/README.md)). The gain: the true preferences of these visitors are
# known, so that we can hold every signal against the truth. No real log allows that. At the end you look at two real ones.

# %% tags=["check-output"]
shop = datasets.load("bookshop")
events = shop.events
print(f"SIMULATED log: {len(events):,} events, {events['session_id'].nunique():,} sessions, {len(shop.items):,} books")
print(events["event"].value_counts().to_string(header=False))

# %% tags=["solution-only"]
from recsys_lab.records import record

for name, share in (("anonymous", events["user_id"].isna().mean()), ("views", (events["event"] == "view").mean())):
    record(f"lab01.{name}", 100 * share, "{:.0f} %")

# %% [markdown]
# {{ lab01.views }} of the events are views: what is cheap to do is done often. In {{ lab01.anonymous }} of the events
# nobody was signed in.
#
# Before any statistics, watch a few visitors (invented ones). Choose a session and go through it with *Next*, or put the slider into
# focus and use the arrow keys. **Predict first:** a visitor sees a list of six books. Which place in it is clicked most?

# %%
widgets.session_explorer(shop)

# %% [markdown]
# Look at the bot too: how can you tell, without its name? You will write the rule for that in exercise 1.3.
#
# ## From raw events to sessions
#
# A **session** is one visit: what belongs to one purpose. Many logs have no session numbers, only visitors and times.
# The usual rule: where a visitor pauses for long, a new session begins. How long is long? **Predict:** if you draw the
# pauses between one view and the next view of the same visitor, do you get one hump or two?

# %%
known = events[events["user_id"].notna() & (events["event"] != "return")]  # returns come days after the visit
views = known[known["event"] == "view"].sort_values(["user_id", "timestamp"])
pauses = views.groupby("user_id")["timestamp"].diff().dt.total_seconds().dropna()
TICKS = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 86400: "1 day", 864000: "10 days"}

figure, axes = plots.plt.subplots()
axes.hist(pauses.clip(lower=1), bins=np.logspace(0, 7, 71))
axes.axvline(1800, color="black", linestyle="--")
axes.text(2200, 2400, "30 minutes")
axes.set(xscale="log", xlabel="pause between two views of a visitor (logarithmic)", ylabel="number of pauses")
axes.set_xticks(list(TICKS), list(TICKS.values()))
axes.set_title("Two humps: within a visit, and between visits (simulated)")
alt = "Pauses between views: a high hump around a minute, a low one around days, little between; a line at 30 minutes."
plots.show(figure, alt)

# %% [markdown]
# Two humps with a valley between them: seconds and minutes within a visit, days between visits. Anything in the valley
# is a sensible limit. Thirty minutes is the web's old habit, and here it happens to be a good one. (The little peak
# before it comes from the simulator, which lets nobody stay on a page for more than 25 minutes. The one at a second is a
# riddle that you will solve in exercise 1.2.)
#
# ### Exercise 1.1 · From events to sessions
#
# *10 minutes, medium.* Number the sessions: a pause of more than `minutes` starts a new one, and two users never share
# one. The rows come in no particular order. Stuck? `check.sessionise.hint()` gives one hint after the other. Type it in
# a new cell below.


# %%
def sessionise(events, minutes):
    """Number the sessions: a pause of more than `minutes` minutes between a user's events starts a new one.

    Parameters
    ----------
    events : DataFrame
        Columns `event_id`, `user_id`, `timestamp`; rows in any order.
    minutes : float

    Returns
    -------
    Series
        A session number for each row of `events`. Which numbers they are does not matter, only that two rows have the
        same one if and only if they belong to the same session.
    """
    # BEGIN SOLUTION
    ordered = events.sort_values(["user_id", "timestamp"])
    new_user = ordered["user_id"] != ordered["user_id"].shift()
    long_pause = ordered["timestamp"].diff() > pd.Timedelta(minutes=minutes)
    return (new_user | long_pause).cumsum().reindex(events.index)
    # END SOLUTION


check.sessionise(sessionise)

# %% [markdown]
# Now the whole log. `check.answers.sessionise` is your function once it is right, and ours until then, so that the
# cells below always run. The simulated shop knows the true visits. **Predict:** are they hit better with a limit of 3
# minutes, of 30, or of 300?

# %% tags=["check-output"]
n_true = known["session_id"].nunique()
print(f"{n_true:,} true visits")
for limit in (3, 30, 300):
    found = check.answers.sessionise(known, limit)
    labelled = isinstance(found, pd.Series)
    numbers = found.reindex(known.index) if labelled else pd.Series(np.asarray(found), index=known.index)
    both = pd.DataFrame({"found": numbers, "true": known["session_id"]}).drop_duplicates()
    cut, glued = (both[name].duplicated(keep=False) for name in ("true", "found"))
    exact = (~cut & ~glued).sum()  # one session found for one true visit
    print(f"limit {limit:>3} minutes: {both['found'].nunique():,} sessions, {exact:,} of them exactly a visit")
    if limit == 30:
        share_exact, n_glued = 100 * exact / n_true, int(both["true"][glued].nunique())

# %% tags=["solution-only"]
for name, value, form in (("exact", share_exact, "{:.1f} %"), ("glued", n_glued, "{}")):
    record(f"lab01.sessions.{name}", value, form)

# %% [markdown]
# With 30 minutes, {{ lab01.sessions.exact }} of the visits come out exactly. The rest ({{ lab01.sessions.glued }} visits)
# were glued together, because somebody came back within half an hour for another purpose. A shorter limit cuts visits,
# a longer one glues more of them; no limit is right for everybody. From here on we use the shop's own `session_id`,
# which visitors who are not signed in have, too.
#
# ## What no person did on purpose
#
# ### Exercise 1.2 · Double fires
#
# *10 minutes, medium.* A nervous finger, or a script that is bound twice: the same event arrives again within a second,
# under another `event_id`. Drop those, and only those. Only the event directly before counts: with another event in
# between it is no double fire. **Predict:** why is `events.drop_duplicates(["session_id", "item_id", "event"])` not the
# answer?


# %%
def drop_double_fires(events):
    """Drop events that repeat the session's previous one (same item, same event) at most 1 second later.

    Parameters
    ----------
    events : DataFrame
        Columns `event_id`, `session_id`, `item_id`, `event`, `timestamp`; rows in any order.

    Returns
    -------
    DataFrame
        The rows that stay, unchanged. Of a double fire, the first event stays.
    """
    # BEGIN SOLUTION
    ordered = events.sort_values(["session_id", "timestamp"])
    before = ordered.shift()
    double = ordered["timestamp"] - before["timestamp"] <= pd.Timedelta("1s")
    for column in ("session_id", "item_id", "event"):
        double &= ordered[column] == before[column]
    return events[~double.reindex(events.index)]
    # END SOLUTION


check.drop_double_fires(drop_double_fires)

# %% [markdown]
# The defects of the simulated log were planted, so we know which events they are: `bookshop.truth().defects`. How does
# your rule do against them, and how would plain `drop_duplicates` have done?

# %% tags=["check-output"]
defects = bookshop.truth().defects
planted = set(defects.loc[defects["defect"] == "double_fire", "event_id"])
single = check.answers.drop_double_fires(events)
by_rule = set(events["event_id"]) - set(single["event_id"])
by_pandas = set(events.loc[events.duplicated(["session_id", "item_id", "event"]), "event_id"])
for name, dropped in (("the rule", by_rule), ("drop_duplicates", by_pandas)):
    print(f"{name}: drops {len(dropped):,}, of which double fires {len(dropped & planted):,} of {len(planted):,}")

# %% tags=["solution-only"]
for name, found in (("pandas", by_pandas), ("wrong", by_pandas - planted), ("missed", planted - by_rule)):
    record(f"lab01.doubles.{name}", len(found), "{:,}")

# %% [markdown]
# Of the {{ lab01.doubles.pandas }} events that `drop_duplicates` deletes, {{ lab01.doubles.wrong }} are no defect: people
# who came back to a book. That is one of the best signals there is. The rule misses {{ lab01.doubles.missed }} double
# fire, because another event got in between.
#
# ### Exercise 1.3 · Find the bots
#
# *8 minutes, medium.* Machines visit shops too. A session is suspicious if it is long **and** fast: at least
# `min_events` events, with a median pause of at most `max_gap` seconds.


# %%
def find_bots(events, min_events, max_gap):
    """Ids of the sessions with at least `min_events` events whose median pause is at most `max_gap` seconds.

    Parameters
    ----------
    events : DataFrame
        Columns `event_id`, `session_id`, `timestamp`; rows in any order.
    min_events : int
        At least 2.
    max_gap : float
        In seconds.

    Returns
    -------
    list or set
        Session ids, each one once.
    """
    # BEGIN SOLUTION
    ordered = events.sort_values("timestamp")
    pauses = ordered.groupby("session_id")["timestamp"].diff().dt.total_seconds()
    facts = pauses.groupby(ordered["session_id"]).agg(["size", "median"])
    return facts.index[(facts["size"] >= min_events) & (facts["median"] <= max_gap)].tolist()
    # END SOLUTION


check.find_bots(find_bots)

# %% [markdown]
# **Predict:** if you asked for 50 events only and not for speed, whom else would you throw out? The picture shows each
# session as a dot, and those that your rule finds as crosses; the line above it compares them with the planted bots.

# %% tags=["check-output"]
bots = set(check.answers.find_bots(single, 50, 2))
bot_events = set(defects.loc[defects["defect"] == "bot", "event_id"])
machines = set(events.loc[events["event_id"].isin(bot_events), "session_id"])
print(f"found {len(bots)} bots, planted {len(machines)}, in both {len(bots & machines)}")

ordered = single.sort_values(["session_id", "timestamp"])
gap = ordered.groupby("session_id")["timestamp"].diff().dt.total_seconds()
facts = gap.groupby(ordered["session_id"]).agg(["size", "median"]).query("size > 1")
figure, axes = plots.plt.subplots()
for rows, marker, size in ((facts.drop(bots), ".", 9), (facts.loc[list(bots)], "x", 70)):
    axes.scatter(rows["size"], rows["median"].clip(lower=0.3), marker=marker, s=size, alpha=0.6)
axes.plot([50, 50, 500], [0.3, 2, 2], color="black", linestyle="--")
for x, y, text in ((57, 2.5, "long and fast: bots"), (50, 85, "long and slow: patient readers")):
    axes.text(x, y, text)
axes.set(xscale="log", yscale="log", xlabel="events in the session", ylabel="median pause (s)", xlim=(1.7, 600))
axes.set_xticks([2, 5, 10, 50, 100, 400], [2, 5, 10, 50, 100, 400])
axes.set_yticks([1, 10, 100, 1000], [1, 10, 100, 1000])
axes.set_title("Sessions by length and speed (simulated)")
alt = "A cloud of sessions, few of them longer than 50 events and all of those slow; six crosses apart: long and fast."
plots.show(figure, alt)

# %% [markdown]
# In the package all this is one chain, `recsys_lab.cleaning.Cleaning`, and every step reports how many rows it took and
# why. A cleaning step that does not say what it removed is a place where results go wrong unseen.

# %% tags=["check-output"]
cleaning = Cleaning(events).drop_duplicates().drop_double_fires("1s").drop_bots(min_events=50, max_median_gap="2s")
log = cleaning.events
print(cleaning.report[["step", "rows_before", "rows_removed", "rows_after"]].to_string(index=False))

# %% tags=["solution-only"]
patient = set(facts.index[facts["size"] >= 50]) - machines
for name, value in (
    ("events", f"{100 * len(bot_events) / len(events):.1f} %"),
    ("sessions", len(machines)),
    ("people", len(patient)),
):
    record(f"lab01.bots.{name}", value)

# %% [markdown]
# The {{ lab01.bots.sessions }} machines wrote {{ lab01.bots.events }} of the log, each of them as much as dozens of visitors.
# By length alone, {{ lab01.bots.people }} patient readers would have gone with them: good customers, perhaps.
#
# ## What a signal is worth
#
# Now the truth helps. `truth.preference(users, items)` tells how much a visitor likes a book, in **logits**: one more
# multiplies the odds of a click by about 2.7. Odds are p / (1 - p): at 0 logits one examined book in two would be
# clicked, at -3 one in twenty, at 3 nineteen in twenty. The shop's click rates are far lower than that, because the
# simulator subtracts a constant (`click_bias`, see [data/README.md](../data/README.md)) and few places are looked at.
# Only differences matter here.
#
# **Predict:** who stays ten times as long on a page, how much more do they like the book? Much more, a little more, not
# at all?

# %%
truth = bookshop.truth()
seen = log[log["user_id"].notna() & (log["event"] == "view")]
liking = pd.Series(truth.preference(seen["user_id"].astype(int), seen["item_id"]), index=seen.index)
edges = [0, 3, 10, 30, 100, 300, 1600]
names = ["under 3 s", "3-10 s", "10-30 s", "30-100 s", "100-300 s", "longer"]
stay = pd.cut(seen["dwell_s"], edges, labels=names)
spread = liking.groupby(stay, observed=True).quantile([0.25, 0.5, 0.75]).unstack()

figure, axes = plots.plt.subplots()
axes.vlines(names, spread[0.25], spread[0.75], linewidth=12, alpha=0.3)
axes.plot(names, spread[0.5], "o", color=plots.COLOURS[0])
for place, middle in enumerate(spread[0.5]):
    axes.annotate(f"{middle:.1f}", (place, middle), (10, -4), textcoords="offset points")
axes.set(xlabel="time on the page", ylabel="true preference (logits)", xlim=(-0.4, 5.5))
axes.set_title("Dwell: medians, and the middle half of the views (simulated)")
alt = "The median preference rises slowly with the time on the page; the bars of the middle halves overlap widely."
plots.show(figure, alt)

# %% tags=["solution-only"]
for name, place in (("short", 0), ("long", -1)):
    record(f"lab01.dwell.{name}", spread[0.5].iloc[place], "{:.1f}")

# %% [markdown]
# A little: the median rises from {{ lab01.dwell.short }} to {{ lab01.dwell.long }} logits, and the bars (the middle half
# of the views) overlap almost entirely. The simulator put noise there on purpose; in a real shop long pages, fast readers
# and forgotten tabs do the same. Many real logs know only the time until the next click, so that the last page of a
# visit has no dwell at all.
#
# ### Exercise 1.4 · What is a view worth?
#
# *8 minutes, easy.* Give each of the five events a weight. A visitor's strength for a book is the sum of the weights of
# what happened. It is judged by the **AUC**: take a book that the visitor likes and one that they do not; how often has
# the liked one the higher strength? (Asked are visitors and books with at least two events.) Guessing gives 0.5, and
# plain counting, where every event weighs 1, is to be beaten. Correct is an AUC at least 0.01 above plain counting, with
# no positive weight for remove and return; all five keys are needed. Try out as many weightings as you like:
# `check.auc({"view": 1, ...})`. Have you thought of the signs?


# %%
def weights():
    """Weights of the five events that find what visitors like better than counting events does.

    Returns
    -------
    dict
        A number for each of view, cart, remove (out of the cart), purchase and return.
    """
    # BEGIN SOLUTION
    return {"view": 1.0, "cart": 4.0, "remove": -4.0, "purchase": 3.0, "return": -6.0}
    # END SOLUTION


check.weights(weights)

# %% [markdown]
# What the weights bring, beside two simple ways: counting all events, and looking at purchases only.

# %%
bought_only = {**dict.fromkeys(check.SIGNALS, 0), "purchase": 1}
ways = {"purchases only": bought_only, "plain counts": check.COUNTING, "the weights": check.answers.weights}
areas = pd.Series({name: check.auc(way) for name, way in ways.items()})

figure, axes = plots.plt.subplots(figsize=(7.5, 2.8))
bars = axes.barh(areas.index, areas - 0.5, left=0.5, color=[plots.COLOURS[5], plots.COLOURS[5], plots.COLOURS[0]])
axes.bar_label(bars, labels=[f"{area:.3f}" for area in areas], padding=4)
axes.set(xlim=(0.5, 0.65), xlabel="AUC against the true preference (0.5: guessing)")
axes.set_title("Weights find more of what people like (simulated)")
alt = "Three bars of the AUC, all below 0.65: purchases only have the least, plain counts more, the weights most."
plots.show(figure, alt)

# %% tags=["solution-only"]
for name, area in areas.items():
    record(f"lab01.auc.{name.split()[1] if name != 'purchases only' else 'purchases'}", area, "{:.3f}")

# %% [markdown]
# From {{ lab01.auc.counts }} to {{ lab01.auc.weights }}: a gain, and a modest one. People mostly click on what they like,
# so among clicked books little is left to tell apart. Purchases alone reach {{ lab01.auc.purchases }}: they say much,
# about few books. For a whole log, `recsys_lab.cleaning.signals` turns weighted events into strengths.
#
# ## What did not happen
#
# Returns are **negative** signals, and so, one would think, is a book that was shown and not clicked. For a tenth of the
# lists the shop drew the books at random (`explored`), so nobody's judgement is in what they show. **Predict** the order
# of these seven by true preference: bought and kept, left in the cart, taken out of the cart, sent back, only looked at,
# shown at random and not clicked, any book at all.

# %%
did = log[log["user_id"].notna()].groupby(["user_id", "item_id", "event"]).size().unstack(fill_value=0) > 0
steps = {
    "sent back": "return",
    "bought and kept": "purchase",
    "taken out of the cart": "remove",
    "left in the cart": "cart",
}
last = np.select([did[event] for event in steps.values()], list(steps), "only looked at")
fate = did.index.to_frame(index=False).assign(fate=last)

visitor = events.dropna(subset=["user_id"]).groupby("session_id")["user_id"].first()
random_lists = shop.impressions[shop.impressions["explored"]]
ignored = random_lists[~random_lists["clicked"]].assign(user_id=lambda shown: shown["session_id"].map(visitor))
ignored = ignored.dropna(subset=["user_id"]).assign(fate="shown, not clicked")
pairs = pd.concat([fate, ignored[["user_id", "item_id", "fate"]]])
pairs["liking"] = truth.preference(pairs["user_id"].astype(int), pairs["item_id"])
any_book = truth.preference(visitor.unique().astype(int)).mean()

# %% [markdown]
# Six dots and a line in a picture: a dot for each mean with its 95 % interval, and a dashed line for any book at all. A
# **95 % interval** says how much chance is in a number: if the log were drawn anew many times, about 95 of 100 such
# intervals would hold the true value; lab 02 tells how.

# %%
means = pairs.groupby("fate")["liking"].agg(["mean", "sem"]).sort_values("mean")

figure, axes = plots.plt.subplots(figsize=(7.5, 3.6))
axes.errorbar(means["mean"], means.index, xerr=1.96 * means["sem"], fmt="o", capsize=3)
for row, (mean, error) in enumerate(means.to_numpy()):
    axes.text(mean + 1.96 * error + 0.06, row, f"{mean:.2f}", va="center")
axes.axvline(any_book, color="black", linestyle="--")
axes.text(any_book + 0.05, len(means) - 1.2, f"any book: {any_book:.2f}")
axes.set(xlabel="true preference, mean (logits)", xlim=(0.8, 4.4), ylim=(-0.5, len(means) - 0.3))
axes.set_title("Even a book sent back is liked more than most (simulated)")
alt = "Shown and not clicked is as low as any book; looked at, taken out, sent back are far higher; in the cart and bought highest."
plots.show(figure, alt)

# %% tags=["solution-only"]
record("lab01.liking.any", any_book, "{:.2f}")
for key, name in zip(means.index[[0, 1, 3, 5]], ("ignored", "viewed", "back", "kept"), strict=True):
    record(f"lab01.liking.{name}", means.loc[key, "mean"], "{:.2f}")

# %% [markdown]
# Two surprises. A book that was **sent back** ({{ lab01.liking.back }}) is liked less than one that was kept
# ({{ lab01.liking.kept }}), but about as much as one that was only looked at ({{ lab01.liking.viewed }}), or more: so few
# returns are too few to tell. Somebody had chosen it, after all. So a return should take back what view, cart and
# purchase had given, not brand the book.
#
# And a book that was **shown and not clicked** ({{ lab01.liking.ignored }}) is liked as much as any book
# ({{ lab01.liking.any }}). Not clicking says next to nothing here. Why?
#
# ## Position bias
#
# A click needs two things: the visitor looks at the place, and the book appeals. Here is the click rate by place in the
# list, as a share of that of the first place. **Predict:** the shop puts what it thinks best on top. In which lists do
# the clicks fall off faster, in those or in the random ones?

# %%
lists = shop.impressions.groupby(["explored", "position"])["clicked"].agg(["mean", "size"])
random_rate, shop_rate = lists.loc[True, "mean"], lists.loc[False, "mean"]
error = 1.96 * np.sqrt(random_rate * (1 - random_rate) / lists.loc[True, "size"])
looked = pd.Series(truth.examination, index=random_rate.index)

figure, axes = plots.plt.subplots()
axes.plot(looked / looked[1], color="black")
axes.errorbar(random_rate.index, random_rate / random_rate[1], error / random_rate[1], fmt="oC0", capsize=3)
axes.plot(shop_rate / shop_rate[1], color=plots.COLOURS[1], marker="s", linestyle="--")
labels = {
    "who looks at the place (truth)": (2.5, 0.7, 2.9, 0.95),
    "clicks in random lists, 95 % interval": (4, 0.51, 3.5, 0.8),
}
for text, (x, y, x_text, y_text) in {**labels, "clicks in the shop's lists": (3, 0.49, 1.4, 0.25)}.items():
    axes.annotate(text, (x, y), (x_text, y_text), arrowprops={"arrowstyle": "-"})
axes.set(xlabel="place in the list", ylabel="relative to the first place", ylim=(0, 1.2))
axes.set_title("Clicks fall off faster in the shop's own lists (simulated)")
alt = "Falling curves over six places: random lists follow the truth to about a quarter, the shop's lists fall below both."
plots.show(figure, alt)

# %% tags=["solution-only"]
for name, curve in (("shop", shop_rate), ("random", random_rate), ("truth", looked)):
    record(f"lab01.position.{name}", curve[6] / curve[1], "{:.2f}")

# %% [markdown]
# At the sixth place the shop's own lists are down to {{ lab01.position.shop }} of the first, random lists to
# {{ lab01.position.random }}; the truth is {{ lab01.position.truth }}. The random lists are few, so their
# interval is wide, and the truth lies within it. In the shop's lists two causes are mixed: fewer people look, **and**
# worse books stand there. Only where chance drew the list does the place alone speak.
#
# So: of the books that were not clicked, how many had nobody looked at? The shop cannot see this; the simulation can.

# %% tags=["check-output"]
overlooked = 100 * (1 - looked) / (1 - random_rate)  # not looked at, as a share of what was not clicked
print("place   not clicked because nobody looked")
for place, share in overlooked.items():
    print(f"{place:>5}   {share:.0f} %")

# %% tags=["solution-only"]
for name, place in (("first", 1), ("last", 6)):
    record(f"lab01.overlooked.{name}", overlooked[place], "{:.0f} %")

# %% [markdown]
# At the last place, {{ lab01.overlooked.last }} of what was not clicked was never seen, at the first
# {{ lab01.overlooked.first }}. "Not clicked" is not "not liked". Who takes it for that teaches a model that books at the
# bottom are bad, and the model will put them there again.
#
# ## Repeats and the long tail
#
# ### Exercise 1.5 · How much of a session repeats?
#
# *Extra, 5 minutes, easy.* Which share of a session's clicks is on something clicked before?


# %%
def repeat_share(items):
    """Share of a session's clicks that are on an item clicked earlier in the session.

    Parameters
    ----------
    items : list
        Clicked items in time order, at least one.

    Returns
    -------
    float
        ``repeat_share([4, 9, 4, 4])`` is 0.5: the third and the fourth click repeat.
    """
    # BEGIN SOLUTION
    return (len(items) - len(set(items))) / len(items)
    # END SOLUTION


check.repeat_share(repeat_share)

# %% [markdown]
# ### Exercise 1.6 · The head and the long tail
#
# *Extra, 5 minutes, easy.* Which share of the clicks falls on the most clicked tenth of the items?


# %%
def head_share(items, top):
    """Share of the clicks that fall on the most clicked items.

    Parameters
    ----------
    items : list
        One item for each click.
    top : float
        Which share of the distinct items makes the head, such as 0.1; the number of items is rounded.

    Returns
    -------
    float
        With ten distinct items and ``top=0.1``, the clicks on the most clicked one over all clicks.
    """
    # BEGIN SOLUTION
    counts = sorted(Counter(items).values(), reverse=True)
    n_head = round(top * len(counts))
    return sum(counts[:n_head]) / len(items)
    # END SOLUTION


check.head_share(head_share)

# %% [markdown]
# Both on the cleaned log. **Predict:** which share of all views goes to a tenth of the books, and do longer sessions
# repeat more?

# %%
clicks = log[log["event"] == "view"].sort_values(["session_id", "timestamp"])
head = check.answers.head_share(clicks["item_id"].tolist(), 0.1)
baskets = clicks.groupby("session_id")["item_id"].agg(list)
repeating = baskets.map(check.answers.repeat_share).groupby(baskets.map(len).clip(upper=12)).mean().loc[2:]
curve = margins.popularity_curve(Sessions.from_frame(log).only("view"))

figure, (left, right) = plots.plt.subplots(1, 2, figsize=(10, 4))
left.plot(100 * curve.index, 100 * curve)
left.plot(10, 100 * head, "o", color="black")
left.annotate(f"10 % of the books:\n{100 * head:.0f} % of the views", (10, 100 * head), (24, 44))
left.set(xlabel="books, most viewed first (%)", ylabel="share of all views (%)", title="The long tail (simulated)")
right.bar(repeating.index, 100 * repeating)
right.set(xlabel="views in the session (12: and more)", ylabel="views that repeat (%)", title="Repeats (simulated)")
alt = "Left: a tenth of the books has more than half of the views. Right: longer sessions repeat more."
plots.show(figure, alt)

# %% tags=["solution-only"]
for name, share in (("head", head), ("repeats.short", repeating.iloc[0]), ("repeats.long", repeating.iloc[-1])):
    record(f"lab01.{name}", 100 * share, "{:.0f} %")

# %% [markdown]
# A tenth of the books has {{ lab01.head }} of the views, so "show what everybody looks at" is a hard rival for every
# model. And repeats are frequent: {{ lab01.repeats.short }} of the views in sessions of two,
# {{ lab01.repeats.long }} in the longest. You will meet both again in lab 02, as the two baselines that nobody may skip.
#
# ## The same on real logs
#
# Two real logs follow. Where one is not on your machine, you see the stored picture, and that is enough for this lab; most
# real logs may not be passed on. If you would like to have trivago's log itself, type
# `datasets.load("trivago-100k")` in a new cell: it fetches the log. Then run the picture's cell again.
#
# **RetailRocket** (an online shop, 2015): views, carts and purchases of 2,174 buyers. Look at the pauses and at the tail
# beside those of our shop. The pauses here are of all events, while the first picture of this lab was of views only.


# %% tags=["real-log"]
def draw_retailrocket(other):
    """Pauses between events of a visitor, and how visitors spread over items, beside the bookshop."""
    figure, (left, right) = plots.plt.subplots(1, 2, figsize=(10, 4))
    for name, table in (("RetailRocket", other.events), ("bookshop (simulated)", known)):
        times = table.sort_values(["user_id", "timestamp"]).groupby("user_id")["timestamp"]
        gaps = times.diff().dt.total_seconds().dropna().clip(lower=1)
        shares, edges = np.histogram(gaps, bins=np.logspace(0, 7, 50), weights=np.full(len(gaps), 100 / len(gaps)))
        left.plot(edges[:-1], shares, drawstyle="steps-post")
        fans = table.drop_duplicates(["user_id", "item_id"])["item_id"].value_counts()
        right.plot(100 * np.arange(1, len(fans) + 1) / len(fans), 100 * fans.cumsum() / fans.sum(), label=name)
    left.axvline(1800, color="black", linestyle=":")
    left.text(2200, 7.4, "30 min")
    left.set(xscale="log", xlabel="pause between a visitor's events", ylabel="share of the pauses (%)", title="Pauses")
    left.set_xticks([1, 60, 3600, 86400], ["1 s", "1 min", "1 h", "1 day"])
    right.set(xlabel="items, most visitors first (%)", ylabel="share of visitor-item pairs (%)", title="The long tail")
    right.legend(title="in both pictures")
    return figure


alt = "Left: RetailRocket's pauses are longer, and 30 minutes is on a slope, in no valley. Right: its tail is much longer."
plots.real_log("retailrocket-behaviours", draw_retailrocket, alt=alt, picture="lab01_retailrocket")

# %% [markdown]
# In RetailRocket, 30 minutes is no valley but a slope: the limit that was good for the bookshop cuts visits in two here.
# A part of that may be the table and not the people: repeated events were collapsed before it was published, so pauses
# look longer than they were.
#
# The right-hand panel starts with the items that have most visitors and adds up. RetailRocket's curve rises more slowly
# than the bookshop's: its tail is longer. Its most popular items have a smaller share of the visitors, and many items
# have only one, which is the straight piece at the end. About such items a recommender can learn little.
#
# **trivago** (hotel search, 2018): ten kinds of actions, and what was shown beside each click-out. **Predict:** which
# share of its events does our one-second rule for double fires take?


# %% tags=["real-log"]
def draw_trivago(other):
    """What the rule for double fires takes from each kind of action, and clicks by place in the list."""
    figure, (left, right) = plots.plt.subplots(1, 2, figsize=(10, 4))
    taken = Cleaning(other.events).drop_double_fires("1s").removed["drop_double_fires"]["event"]
    share = (100 * taken.value_counts() / other.events["event"].value_counts()).fillna(0).sort_values()
    bars = left.barh(share.index.str.replace("_", " "), share)
    left.bar_label(bars, fmt="%.0f", padding=3, fontsize=10)
    left.set(xlabel="taken by the rule (% of its events)", xlim=(0, 100))
    left.set_title(f"Double fires? {100 * len(taken) / len(other.events):.0f} % of all events")
    rate = other.impressions.groupby("position")["clicked"].mean().loc[:12]
    right.plot(rate / rate[1], marker="o", label="trivago")
    right.plot(shop_rate / shop_rate[1], marker="s", label="bookshop (simulated)")
    right.set(xlabel="place in the list", ylabel="clicks, relative to place 1", ylim=(0, 1.05), title="Clicks by place")
    right.legend()
    return figure


alt = "Left: the rule takes three of four image clicks, hardly anything else. Right: place 2 has a third of place 1's clicks."
plots.real_log("trivago-100k", draw_trivago, alt=alt, picture="lab01_trivago")

# %% [markdown]
# The rule that was right for the bookshop would delete about half of this log. Here times are whole seconds, and a gallery
# logs several pictures of one hotel in the same second: people swiping, no defect. **A cleaning rule belongs to a log.**
#
# On the right, clicks fall off much faster than in the bookshop: place 2 has a third of the clicks of place 1, and then a
# long tail follows. How much of that is the place, and how much the better hotels on top, this picture cannot tell.
#
# And some questions a log cannot answer at all. `require` asks it first, and says why not; better an error than a number
# that is wrong. (What each log lacks is known without having its rows, so this runs everywhere.) One word in its answers
# is new: a **propensity** is the probability with which the shop showed an item.

# %% tags=["check-output"]
for name, need in (
    ("retailrocket-behaviours", "repeats"),
    ("retailrocket-behaviours", "rates"),
    ("trivago-100k", "propensities"),
):
    entry = datasets.registry(name)
    try:
        datasets.Dataset(entry, tables={}, lacks=entry.lacks).require(need)
    except datasets.UnsupportedError as error:
        print(str(error).splitlines()[0], end="\n\n")

# %% [markdown]
# How far did you get? The table survives a restart of the kernel.

# %%
check.progress()

# %% [markdown]
# ## Three questions
#
# 1. A colleague cleans a log with `drop_duplicates(["session_id", "item_id"])` and then reports that nobody ever comes
#    back to a product. What happened, and which number of this lab shows it?
# 2. Your shop logs clicks, but not what was shown. Which questions of this lab can you no longer answer?
# 3. A book was shown 1,000 times at place 6 and never clicked; another one 1,000 times at place 1, and clicked three
#    times. Which one do people like less?
#
# <details><summary>Answers</summary>
#
# 1. The cleaning removed the repeats, so their absence says nothing about people. In exercise 1.2 the same kind of step
#    deleted {{ lab01.doubles.wrong }} events that were no defects. RetailRocket's rows were collapsed in this way before
#    they were published, which is why `require("repeats")` refuses.
# 2. Everything about what did not happen: click rates, position bias, whether a book was ignored or never offered. You
#    can still cut sessions, clean, weigh events and look at the tail.
# 3. Nobody can say from this alone. Place 6 is looked at {{ lab01.position.truth }} times as often as place 1: of a book
#    that gets three clicks at place 1 we would expect less than one there, and none at all is no surprise. Show both
#    at random places, often enough, and compare those.
#
# </details>
#
# ## One step further
#
# Random lists cost the shop something: they show books that few people want. Can position bias be had from **all** lists?
# Each row of `shop.impressions` has its `propensity`, the probability that this book stood there. Weigh every row with
# `1 / propensity`, capped at 1,000, and compute the weighted click rate by place: rows that the shop would rarely have shown then
# count for those that it did not show. How close do you get to the random lists, and what happens without the cap? This
# idea, inverse propensity weighting, comes back in the lab on bandits.
