# %% [markdown]
# # Lab 03 · Popularity done properly
#
# A list of best-sellers is the first recommender of nearly every shop, and often the last one that still works when all
# else fails: no history is needed, only counting. This lab counts well: what counts of late, what counts for whom, and
# what a rate is worth that rests on three views.
#
# **You will be able to**
#
# - say how good any list can be that is the same for everybody,
# - let old clicks fade, and measure whether that helps,
# - fit a prior for rates to a catalogue, and rank by the posterior mean or by a lower bound,
# - find a mistake that looks right in every table, by a test whose answer is known,
# - extra: say from how many sales on a model with vectors beats a well-kept count.
#
# **Time:** about 55 minutes for parts 1 to 6: 29 for the four core exercises, the rest for reading and looking. What is
# marked *extra* comes on top, as you like: the explorer, parts 7 and 8 with exercises 3.5 and 3.6, part 9, and the real
# logs, some 40 minutes in all. Cells that only draw need not be read. **Needs:** labs 01 and 02.

# %% tags=["setup"]
# The build puts the set-up here.

# %% [markdown]
# These are the tools of this lab. As before, `check.NAME.hint()` gives a hint and `check.NAME.solution()` our solution;
# `check.answers.NAME` is your function once it is right, ours until then.

# %%
import base64
import textwrap

import ipywidgets as widgets
import numpy as np
import pandas as pd
from scipy import stats

from recsys_lab import datasets, few_sales, metrics, plots, rates, split
from recsys_lab.checks import lab03 as check
from recsys_lab.cleaning import Cleaning
from recsys_lab.evaluate import evaluate
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models import BetaPopularity, Popularity, RecentPopularity, Recommender

plots.style()

# %% [markdown]
# The bookshop is **simulated**: real books, invented visitors. It is cleaned and cut by time as in lab 02: the last two
# weeks ask the questions.

# %% tags=["check-output"]
shop = datasets.load("bookshop")
log = Cleaning(shop.events).drop_double_fires().drop_bots().events
views = log[log["event"] == "view"]
titles = shop.items.set_index("item_id")["title"].map(lambda t: textwrap.shorten(t, 34, placeholder=" …"))
sessions = Sessions.from_frame(views, Vocabulary(shop.items["item_id"])).longer_than(1)
train, test, _ = split.by_time(sessions, test="14D")
print(f"train {len(train)} sessions, test {len(test)} sessions, {train.n_items} books")

# %% [markdown]
# ## 1. Counting, and how far it can go
#
# `Popularity` counts the views of each book in the training part and lists the most viewed ones, for everybody. As in lab
# 02, `evaluate` asks for every next view and looks whether it stands among the first 20: recall@20. Beside it stands a
# fortune-teller, who may look at the test part and choose the one list of 20 books that fits it best.
#
# **Predict:** how far ahead of plain counting is the fortune-teller, whose list is still the same for everybody?

# %% tags=["check-output"]
popular = Popularity().fit(train)
by_count = evaluate(popular, test)
low, high, _ = by_count.interval("recall")
asked = test.items[1:][test.positions[1:] > 0]  # every view but the first of its session is asked for
ceiling = np.sort(np.bincount(asked))[::-1][:20].sum() / len(asked)
print(f"recall@20 of the most viewed books: {by_count.recall:.3f} ({low:.3f} to {high:.3f})")
print(f"the best list that is the same for everybody: {ceiling:.3f}")
print("most viewed:", "; ".join(titles[popular.recommend([], k=3)]))

# %% tags=["solution-only"]
from recsys_lab.records import record

record("lab03.pop", by_count.recall, "{:.3f}")
record("lab03.ceiling", ceiling, "{:.3f}")
record("lab03.room", 100 * (ceiling - by_count.recall), "{:.1f}")
assert ceiling - by_count.recall < 0.02, "the text says that plain counting is near the ceiling"

# %% [markdown]
# {{ lab03.ceiling }} is a **ceiling**: no one list for everybody can pass it, since 20 books are only so many of the views.
# Plain counting reaches {{ lab03.pop }}, so in this shop {{ lab03.room }} points are all that cleverer counting can win.
# It is worth knowing that before one spends a month on it.
#
# ## 2. What counts of late
#
# Tastes move: a book is in the news, and a week later it is not. So let a view count less, the older it is. After one
# **half-life** it counts a half, after two a quarter. And what is older than a **window** does not count at all.
#
# ### Exercise 3.1 · A count that forgets
#
# *6 minutes, easy.* Count the views of one book this way.


# %%
def recent_count(ages, half_life, window):
    """Count the views of one book, an old one less than a new one.

    Parameters
    ----------
    ages : list of float
        How many days ago each view was, in any order; may be empty.
    half_life : float
        Days after which a view counts half.
    window : float
        A view that is more days ago than this counts nothing.

    Returns
    -------
    float
        ``recent_count([0, 7, 14, 40], half_life=7, window=30)`` is 1.75: 1 + 1/2 + 1/4, and 40 days are too long ago.
    """
    # BEGIN SOLUTION
    recent = [age for age in ages if age <= window]
    return sum(0.5 ** (age / half_life) for age in recent)
    # END SOLUTION


check.recent_count(recent_count)

# %% [markdown]
# Two books of the shop, day by day. The simulation knows that one of them came into the news on one day; the other is a
# steady seller. **Predict:** how long after the peak will the count that forgets have forgotten it?

# %%
day = (views["timestamp"] - views["timestamp"].min()).dt.total_seconds() / 86400
figure, both = plots.plt.subplots(1, 2, figsize=(8.5, 3.8), sharex=True)
moments, news, counts = np.arange(1, 84), (1042, "o", " (in the news)"), {}
for item, mark, more in (news, (353, "s", "")):
    of_book = day[views["item_id"] == item].to_numpy()
    counts[item] = [check.answers.recent_count((m - of_book[of_book <= m]).tolist(), 5, 60) for m in moments]
    so_far = [(of_book <= m).sum() for m in moments]
    both[0].plot(moments, so_far, label=titles[item] + more, marker=mark, markevery=12)
    both[1].plot(moments, counts[item], marker=mark, markevery=12)
both[0].set(title="All views so far", xlabel="day", ylabel="views")
both[1].set(title="Half-life 5 days, window 60 days", xlabel="day", ylabel="views, old ones weighed less")
figure.legend(loc="outside lower center", fontsize=10, ncols=2)
alt = "Left, counts of two books only grow. Right, with a half-life, the book in the news rises from day 57 and falls again."
plots.show(figure, alt)

# %% tags=["solution-only"]
fame = pd.Series(counts[1042], moments)
peak = fame.idxmax()
faded = fame.loc[peak:].lt(fame[56]).idxmax()
assert 57 <= peak < faded, "rises from day 57, and falls to where it was"
record("lab03.fame.peak", peak, "{:.0f}")
record("lab03.fame.days", faded - peak, "{:.0f}")

# %% [markdown]
# A plain count can only grow; it forgets nothing. The count that forgets has its peak on day {{ lab03.fame.peak }};
# {{ lab03.fame.days }} days later it is back where it was before the news: some half-lives, since views still come in.
# `RecentPopularity` does what your function does for the whole catalogue at once (with a window if you give it one).
#
# Does it help? Plain counting is the yardstick: we look at differences on the same questions, in percentage points of
# recall@20, with intervals (*in pairs*, as in lab 02). And which half-life? As in lab 02, a setting must not be chosen on
# the test part. So the last two weeks of the training part become a **validation part**: there we choose, and the test part
# says what the choice is worth.
#
# The next cell only measures and draws; you need not read it.


# %%
def gains(train, test, half_lives):
    """Recall@20 that each half-life adds to plain counting, in points: (label, gain, low, high)."""
    plain = evaluate(Popularity().fit(train), test, lists=False)
    rows = []
    for half_life in half_lives:
        found = evaluate(RecentPopularity(half_life).fit(train), test, lists=False)
        rows.append((half_life, *(100 * x for x in found.compare(plain, "recall")[:3])))
    return rows, plain.recall


def draw_gains(series, room, title):
    """Draw gains with their intervals, one series or two, and how much there is to gain at all."""
    figure, axes = plots.plt.subplots(figsize=(8.0, 3.8))
    for i, (name, rows) in enumerate(series.items()):
        shift, mark, left = 0.24 * i - 0.12 * (len(series) - 1), "os"[i], i + 1 < len(series)
        for x, (_, gain, low, high) in enumerate(rows):
            axes.plot([x + shift] * 2, [low, high], color=plots.COLOURS[i], linestyle="-")
            spot = {"xytext": (-5 if left else 5, 4), "textcoords": "offset points", "fontsize": 10}
            axes.annotate(f"{gain:+.1f}", (x + shift, gain), ha="right" if left else "left", **spot)
        gained = [row[1] for row in rows]
        axes.plot(np.arange(len(rows)) + shift, gained, mark, color=plots.COLOURS[i], linestyle="", label=name)
    axes.axhline(0, color="black", linestyle="--")
    axes.axhline(room, color=plots.COLOURS[5], linestyle="-.")
    spot = {"xytext": (20, -15), "textcoords": "offset points", "ha": "right", "fontsize": 11}
    axes.annotate("ceiling of any one list, test part", (len(rows) - 1, room), **spot)
    axes.set(xticks=range(len(rows)), xticklabels=[row[0] for row in rows], xlim=(-0.6, len(rows) - 0.2))
    axes.set(xlabel="half-life (D: days, h: hours)", ylabel="recall@20 gained (points)", title=title)
    if len(series) > 1:
        axes.legend(fontsize=10, loc="lower right")
    return figure


# %% [markdown]
# Six half-lives, from one day to two months. **Predict:** which one wins on the validation part, and will it win on the
# test part as well?

# %%
half_lives = ("1D", "3D", "7D", "14D", "30D", "60D")
learn, validation, _ = split.by_time(train, test="14D")
chosen_on, _ = gains(learn, validation, half_lives)
tested_on, plain = gains(train, test, half_lives)
series = {"validation: choose here": chosen_on, "test: what it is worth": tested_on}
alt = "Gain in recall@20 by half-life: 3 days is best on the validation part and near zero on the test part; 7 and 14 days gain on both."
plots.show(draw_gains(series, 100 * (ceiling - plain), "Recency in the simulated shop"), alt)

# %% tags=["solution-only"]
on_validation, on_test = ({row[0]: row[1:] for row in found} for found in (chosen_on, tested_on))
best = max(on_validation, key=lambda label: on_validation[label][0])
assert best == "3D", "the text says so"
assert max(on_test, key=lambda label: on_test[label][0]) == "7D"
assert on_test["3D"][1] < 0 < on_test["3D"][2], "nothing to speak of"
assert min(found[label][1] for found in (on_validation, on_test) for label in ("7D", "14D")) > 0, (
    "clear of zero in both"
)
same = [
    len(set(RecentPopularity(label).fit(train).recommend([], k=20)) & set(popular.recommend([], k=20)))
    for label in ("30D", "60D")
]
assert same == [20, 20], "the same 20 books"
assert on_test["30D"][0] == on_test["60D"][0] == 0
for name, found in (("validation", on_validation), ("test", on_test)):
    for label in ("3D", "7D", "14D"):
        record(f"lab03.recent.{name}.{label.lower()}", found[label][0], "{:.1f}")
record("lab03.recent.test.3d_from", on_test["3D"][1], "{:.1f}")
record("lab03.recent.test.3d_to", on_test["3D"][2], "{:.1f}")

# %% [markdown]
# On the validation part three days win, by {{ lab03.recent.validation.3d }} points. So chosen, they gain
# {{ lab03.recent.test.3d }} in the test part ({{ lab03.recent.test.3d_from }} to {{ lab03.recent.test.3d_to }}): nothing to
# speak of. A week would have gained {{ lab03.recent.test.7d }} there, but to know that we had to look at the test part. The
# best of six looks better than it is, on whichever part one picks it. What holds on both parts is less: with one week
# (+{{ lab03.recent.validation.7d }} and +{{ lab03.recent.test.7d }}) or two (+{{ lab03.recent.validation.14d }} and
# +{{ lab03.recent.test.14d }}) there is a gain, clear of zero, and small. (With 30 and 60 days the list has the same 20
# books as plain counting, so the gain in the test part is just zero, without an interval.)
#
# Was the simulated shop made that way, or are shops like that? The real log at the end has another answer.
#
# ## 3. What counts for whom
#
# The other way up: not one list for everybody, but one for each group. Groups can be of visitors (age, country) or of
# what they look at. Here it is the genre of the last viewed book: the most popular books of that genre first, then the
# rest. You need not follow this class: a book of the same genre gets the count of the best-seller on top of its own, so it
# stands before all others.


# %%
class GenrePopularity(Recommender):
    """The most viewed books of the last view's genre, then all others."""

    def __init__(self, shuffled=False):
        self.shuffled = shuffled

    def _fit(self, sessions, impressions):
        genre = pd.factorize(shop.items.set_index("item_id")["genre"].loc[sessions.vocabulary.ids])[0]
        self.genre_ = np.random.default_rng(0).permutation(genre) if self.shuffled else genre

    def _score(self, sessions, rows):
        same = self.genre_ == self.genre_[sessions.items[rows]][:, None]  # (n_rows, n_items)
        return (self.popularity_ + same * self.popularity_.max()).astype(np.float32)


# %% [markdown]
# To see what the genres do, and not merely the splitting, there is a control: the same with the genres shuffled among the
# books. **Predict:** will the control be better or worse than one list for everybody?

# %%
by_genre = {"one list": by_count, "by genre": evaluate(GenrePopularity().fit(train), test)}
by_genre["by shuffled genre"] = evaluate(GenrePopularity(shuffled=True).fit(train), test)


def dots(axes, rows, form="{:.3f}"):
    """Draw rows of (label, value, low, high), the first one on top."""
    for y, (_, value, low, high) in enumerate(rows):
        axes.plot([low, high], [y, y], color=plots.COLOURS[y % 7], linestyle="-")
        axes.plot(value, y, "o", color=plots.COLOURS[y % 7])
        spot = {"xytext": (0, 8), "textcoords": "offset points", "ha": "center", "fontsize": 11}
        axes.annotate(form.format(value), (value, y), bbox={"fc": "white", "ec": "none", "pad": 1}, **spot)
    axes.set(yticks=range(len(rows)), yticklabels=[row[0] for row in rows], ylim=(len(rows) - 0.5, -0.7))


figure, axes = plots.plt.subplots(figsize=(7.5, 2.8))
dots(axes, [(name, found.recall, *found.interval("recall")[:2]) for name, found in by_genre.items()])
axes.set(xlabel="recall@20 (95 % interval)", title="Popularity by genre, simulated shop", xlim=(0, 1))
plots.show(
    figure, "Recall@20: one list 0.2, popularity by genre of the last view nearly 0.8, by shuffled genre below 0.2."
)

# %% tags=["solution-only"]
record("lab03.genre", by_genre["by genre"].recall, "{:.2f}")
record("lab03.shuffled", by_genre["by shuffled genre"].recall, "{:.2f}")
assert by_genre["by shuffled genre"].recall < by_count.recall < 0.5 * by_genre["by genre"].recall
record("lab03.genre.size", shop.items["genre"].value_counts().median(), "{:.0f}")
control = by_genre["by shuffled genre"]
record("lab03.shuffled.mrr", control.mrr, "{:.3f}")
record("lab03.pop.mrr", by_count.mrr, "{:.3f}")
assert control.compare(by_count, "mrr").low > 0, "by MRR the control wins"
again = (test.items[1:] == test.items[:-1])[test.positions[1:] > 0]
record("lab03.again", 100 * again.mean(), "{:.0f} %")
assert (control.targets == asked).all()
assert control.values("mrr")[~again].mean() < by_count.values("mrr")[~again].mean()

# %% [markdown]
# By genre: {{ lab03.genre }}. By shuffled genre {{ lab03.shuffled }}, less than one list for all. A group that says nothing
# costs: its own {{ lab03.genre.size }} books come first, and the best-sellers of all the other groups are pushed out of the 20. A control keeps
# one honest also about the yardstick: by MRR the shuffled groups *win*, {{ lab03.shuffled.mrr }} to {{ lab03.pop.mrr }}. The
# book just viewed is in its own group, whatever the group, and {{ lab03.again }} of the next views are of that same book.
#
# Do not carry the {{ lab03.genre }} home: the simulation gives its visitors a genre to look for. The rules of lab 02, which
# know nothing of genres, do about as well, since the session itself shows what somebody is looking for. What groups of
# *people* bring, the end of this lab measures on real ones.
#
# ## 4. Rates: what are three views worth?
#
# A count says what is seen often. A shop also wants to know what is *bought* often by those who see it. So count, for
# each book, the sessions that viewed it, and those among them that put it into the cart. The first half of the log is
# what we know; the second half, `later`, will tell who was right.

# %% tags=["check-output"]
flags = log.assign(viewed=log["event"] == "view", carted=log["event"] == "cart")
pairs = flags.groupby(["session_id", "item_id"]).agg(
    viewed=("viewed", "any"), carted=("carted", "any"), when=("timestamp", "min")
)
pairs = pairs[pairs["viewed"]].reset_index()
first_half = pairs["when"] < log["timestamp"].min() + pd.Timedelta("42D")
names = {"sum": "carts", "size": "views"}
known = pairs[first_half].groupby("item_id")["carted"].agg(["sum", "size"]).rename(columns=names)
later = pairs[~first_half].groupby("item_id")["carted"].agg(["sum", "size"]).rename(columns=names)
known = known.loc[known.index.intersection(later.index)]
later = later.loc[known.index]
print(f"{len(known)} books, half of them with at most {known['views'].median():.0f} views")

# %% [markdown]
# The plain rate is carts / views. **Predict:** how many views do the books with the highest rates have?

# %%
known["rate"] = known["carts"] / known["views"]
figure, axes = plots.plt.subplots(figsize=(8.0, 4.0))
axes.plot(known["views"], known["rate"], "o", markersize=4, alpha=0.5)
axes.axhline(known["carts"].sum() / known["views"].sum(), color="black", linestyle="--")
axes.annotate("all books", (1.05, 0.225), fontsize=11)
axes.set(xscale="log", xlabel="sessions that viewed the book", ylabel="carts / views", title="Raw rates make a funnel")
axes.set(xticks=[1, 10, 100], xticklabels=[1, 10, 100])
plots.show(figure, "Raw cart rates by number of views: from 0 to 1 for books with few views, near 0.2 for many views.")
highest = known.sort_values("rate", ascending=False, kind="stable")["views"].head(20)
print("views of the 20 highest rates:", *highest)

# %% [markdown]
# The highest and the lowest rates belong to the least viewed books. That is not because they are the best and the worst:
# with two views, only 0, 1/2 and 1 can come out. (One of the twenty has 117 views. That book may well be good.)
#
# What we lack is what one knows before the first view: what cart rates are like in this shop.
#
# That is a **prior**: a distribution of rates. The usual one is the **Beta distribution**, with two numbers a and b. Read
# them as trials made before the first one: a that succeeded and b that did not. Its mean is a / (a + b), and the larger
# a + b, the narrower it is. The figure shows **densities**: where a curve is high, such rates are common.

# %%
figure, axes = plots.plt.subplots(figsize=(7.5, 3.4))
x = np.linspace(0.001, 0.999, 400)
for (a, b), (at, dy) in {(1, 1): (0.75, 6), (2, 8): (0.3, 14), (20, 80): (0.24, 8)}.items():
    (line,) = axes.plot(x, stats.beta.pdf(x, a, b))
    spot = {"xytext": (8, dy), "textcoords": "offset points", "color": line.get_color(), "fontsize": 11}
    axes.annotate(f"a = {a}, b = {b}", (at, stats.beta.pdf(at, a, b)), **spot)
axes.set(xlabel="rate", ylabel="density", title="Three Beta distributions")
plots.show(figure, "Densities: Beta(1, 1) is flat, Beta(2, 8) is broad about 0.2, Beta(20, 80) is narrow about 0.2.")

# %% [markdown]
# ### Exercise 3.2 · A prior from mean and variance
#
# *8 minutes, medium.* The catalogue itself tells which prior fits: take the one that has the mean and the variance of its
# rates (the *method of moments*). For a Beta distribution
#
# mean = a / (a + b) and variance = mean · (1 − mean) / (a + b + 1).
#
# Turn that round.


# %%
def beta_from_moments(mean, variance):
    """Find the Beta distribution that has this mean and this variance.

    Parameters
    ----------
    mean : float
        Between 0 and 1; ``mean = a / (a + b)``.
    variance : float
        ``variance = mean (1 - mean) / (a + b + 1)``.

    Returns
    -------
    (a, b) : tuple of float
        ``beta_from_moments(0.5, 0.05)`` is ``(2.0, 2.0)``: 0.25 / 0.05 = 5, so a + b is 4.
    """
    # BEGIN SOLUTION
    strength = mean * (1 - mean) / variance - 1
    return mean * strength, (1 - mean) * strength
    # END SOLUTION


check.beta_from_moments(beta_from_moments)

# %% [markdown]
# Now for the shop. Even if all books had the same rate, chance alone would spread the raw rates, by a variance of
# mean · (1 − mean) / views. Only what is left belongs into the prior, so we subtract it. We do so with the books that have
# at least 20 views. The package has two ways for all books: `fit_moments` weighs each book by its views, and
# `fit_likelihood` looks for the a and b under which what was counted is most likely (*maximum likelihood*).

# %% tags=["check-output"]
often = known[known["views"] >= 20]
mean, spread = often["rate"].mean(), often["rate"].var()
chance = (mean * (1 - mean) / often["views"]).mean()
priors = {
    "raw variance": check.answers.beta_from_moments(mean, spread),
    "without chance": check.answers.beta_from_moments(mean, spread - chance),
    "fit_moments": rates.fit_moments(known["carts"], known["views"]),
    "fit_likelihood": rates.fit_likelihood(known["carts"], known["views"]),
}
for name, (a, b) in priors.items():
    print(f"{name:15} a {a:4.1f}, b {b:4.1f}: mean {a / (a + b):.3f}, counts like {a + b:.0f} views")

# %% [markdown]
# They do not agree, since this catalogue is not quite a Beta distribution: much viewed books end in the cart more often,
# and their rates lie closer together. The first two know only those; the likelihood weighs the many small ones most.
#
# Which is right? The second half of the log will tell. For that we ask each prior what it makes of a book *after* the views
# of the first half. That is the **posterior mean**: the raw rate and the prior's mean, weighed by how many views each stands
# for. Take 2 carts of 3 views, and a prior that counts like 19 views with a mean of 0.16. The raw rate of 0.67 weighs 3, the
# prior 19: (3 · 0.67 + 19 · 0.16) / 22 = 0.23. (*Posterior* means after the views, as prior means before them.)

# %% [markdown]
# The later views judge by the **log-loss**: minus the logarithm of the probability that was given to what happened, on
# average. Who gave a cart 0.2 pays −log 0.2 = 1.61 if it comes and −log 0.8 = 0.22 if not. Lower is better; to be sure and
# wrong costs most. *No prior* is the raw rate: a rate of 0 would cost infinity when a cart comes, so we cut at 1 % and 99 %.
# *Flat* is a = b = 1, and *one rate* gives all books the same. The last prior is the yardstick; differences to it have
# intervals by resampling books.
#
# **Predict:** is the choice among the four fitted priors, or the choice between a fitted prior and none, the greater one?

# %%
p = {"no prior": known["rate"].clip(0.01, 0.99), "one rate": np.full(len(known), mean)}
for name, ab in {"flat": (1, 1), **priors}.items():
    p[name] = rates.posterior_mean(known["carts"], known["views"], ab)
n = later["views"].to_numpy()
lost = {name: -later["carts"] * np.log(q) - (n - later["carts"]) * np.log(1 - q) for name, q in p.items()}
losses = {name: values.sum() / n.sum() for name, values in lost.items()}
drawn = np.random.default_rng(0).integers(len(n), size=(1000, len(n)))  # 1,000 times the catalogue, drawn again


def more_loss(name, than="fit_likelihood"):
    """Log-loss above that of another prior: difference, and a 95 % interval."""
    more = (lost[name] - lost[than]).to_numpy()
    return more.sum() / n.sum(), *np.quantile(more[drawn].sum(axis=1) / n[drawn].sum(axis=1), (0.025, 0.975))


figure, axes = plots.plt.subplots(figsize=(7.5, 4.2))
others = [name for name in p if name != "fit_likelihood"]
dots(axes, [(f"{name} ({losses[name]:.4f})", *more_loss(name)) for name in others], "{:+.4f}")
axes.axvline(0, color="black", linestyle="--")
axes.set(xlabel=f"log-loss above that of fit_likelihood (dashed: {losses['fit_likelihood']:.4f})", xlim=(-0.002, 0.027))
axes.set_title("Who knew the later rates?")
alt = "Log-loss above fit_likelihood with intervals: no prior, one rate and flat are 0.013 to 0.02 worse, other fits under 0.005."
plots.show(figure, alt)

# %% tags=["solution-only"]
fitted = [losses[name] for name in priors]
record("lab03.loss.raw", losses["no prior"], "{:.3f}")
record("lab03.loss.mean", losses["one rate"], "{:.3f}")
record("lab03.loss.best", min(fitted), "{:.3f}")
record("lab03.loss.worst", max(fitted), "{:.3f}")
assert often["rate"].mean() > priors["fit_moments"].mean > priors["fit_likelihood"].mean, (
    "much viewed, more often carted"
)
assert priors["fit_moments"].strength > 1.5 * priors["fit_likelihood"].strength, "and closer together"
assert max(fitted) - min(fitted) < 0.005 < losses["flat"] - max(fitted)
assert more_loss("no prior", "one rate")[2] > 0, "no better than one rate for all"
assert all(0.012 < more_loss(name)[0] < 0.021 for name in ("no prior", "one rate", "flat")), "the alt text says so"
assert 117 in highest.to_numpy(), "one of the twenty has many views"
assert max(priors, key=losses.get) == "without chance"
fuss = more_loss("without chance")
assert fuss[1] > 0, "small but clear"
for name, value in zip(("fuss", "fuss_from", "fuss_to"), fuss, strict=True):
    record(f"lab03.loss.{name}", value, "{:.4f}")

# %% [markdown]
# Raw rates as they are would cost infinity. Even cut at 1 % and 99 % they are no better than one rate for all
# ({{ lab03.loss.raw }} and {{ lab03.loss.mean }}). With a fitted prior it is {{ lab03.loss.best }} to {{ lab03.loss.worst }}.
# So have one; which one matters less. The largest difference, between `without chance` and `fit_likelihood`, is small but
# clear: {{ lab03.loss.fuss }} ({{ lab03.loss.fuss_from }} to {{ lab03.loss.fuss_to }}). A prior from much viewed books does
# not quite suit the others. And a flat prior is not "neutral": it believes that rates of 0.9 are as common as rates of 0.1.
#
# Here is what the prior does. Books with few views move far, those with many stay. The cell only draws.

# %%
prior = priors["fit_likelihood"]
shown = known.sort_values("views").iloc[:: len(known) // 45].copy()
shown["mean"] = rates.posterior_mean(shown["carts"], shown["views"], prior)
figure, axes = plots.plt.subplots(figsize=(8.0, 4.0))
for x, (_, book) in enumerate(shown.iterrows()):
    axes.plot([x, x], [book["rate"], book["mean"]], color="grey", linestyle="-", linewidth=1)
axes.plot(range(len(shown)), shown["rate"], "o", markerfacecolor="white", label="raw rate")
axes.plot(range(len(shown)), shown["mean"], "o", label="posterior mean")
axes.axhline(prior.mean, color="black", linestyle="--", linewidth=1)
ticks = range(0, len(shown), 9)
axes.set(
    xticks=ticks,
    xticklabels=[f"{shown['views'].iloc[i]:.0f}" for i in ticks],
    xlabel="45 books, in order of their views (which the numbers are)",
)
axes.set(ylabel="cart rate", title="Pulled to the prior's mean (dashed)")
axes.legend(fontsize=11)
plots.show(
    figure, "Raw rates and posterior means of 45 books: the fewer the views, the further the mean moves to the prior's."
)

# %% [markdown]
# ## 5. Something is wrong here
#
# After carts and views, the whole posterior is a Beta distribution again. This function returns its two numbers. It was
# tried on some books, as you see below it.


# %%
def rate_of(carts, views, a, b):
    """Posterior of a cart rate, Beta(a, b); as found in the shop."""
    return a + carts, b + views


tested = known[known["rate"].between(0.05, 0.18) & (known["views"] > 40)].sort_values("rate")
for item in tested.index[:: len(tested) // 4]:
    carts, n = known.loc[item, ["carts", "views"]].astype(int)
    a, b = rate_of(carts, n, *prior)
    print(f"{carts:3} carts of {n:3} views: raw {carts / n:.2f}, posterior mean {a / (a + b):.2f}  {titles[item]}")

# %% [markdown]
# The means are near the raw rates, as they should be with so many views. Looks fine, does it not? It is not.
# The way to find out is a test whose answer is known beforehand. So we plant books: 101 books whose true rate we choose,
# from 0 to 1, with 500 views each.
#
# **Predict:** what should the figure look like if all were well?

# %%
rng = np.random.default_rng(1)
planted = np.linspace(0, 1, 101)
carts = rng.binomial(500, planted)
a, b = rate_of(carts, 500, 1, 1)
figure, axes = plots.plt.subplots(figsize=(5.5, 4.4))
axes.plot([0, 1], [0, 1], color="black", linestyle="--")
axes.plot(planted, a / (a + b), "o", markersize=4)
axes.set(
    xlabel="true rate (planted)", ylabel="posterior mean by rate_of", title="A test with a known answer", ylim=(0, 1)
)
plots.show(
    figure, "Posterior mean by the shop's function against the true rate: it bends away below the diagonal, 0.5 at 1."
)

# %% [markdown]
# ### Exercise 3.3 · Find the mistake, and mend it
#
# *7 minutes, medium.* What is wrong with `rate_of`? Think of one view: what should it do to a and b if it ended in the
# cart, and what if it did not? Then write it right.


# %%
def posterior(carts, views, a, b):
    """Return what is known of a book's cart rate after some views: a Beta distribution.

    Parameters
    ----------
    carts : int
        Views after which the book was put into the cart.
    views : int
        All views.
    a, b : float
        The prior, a Beta(a, b).

    Returns
    -------
    (a, b) : tuple of float
        The two parameters of the posterior. ``posterior(0, 0, 2, 8)`` is ``(2, 8)``: without a view, the prior.
    """
    # BEGIN SOLUTION
    return a + carts, b + views - carts
    # END SOLUTION


check.posterior(posterior)

# %% [markdown]
# How bad was it? From a posterior one takes a **credible interval**: it leaves out 2.5 % of the distribution below and 2.5 %
# above, so that the true rate lies in it with a probability of 95 %. For 2,000 planted books whose rates come from a known
# prior, we can count how often it does.

# %% tags=["check-output"]
rng = np.random.default_rng(2)
true_rate, n_views = rng.beta(2.4, 14, 2000), rng.integers(5, 400, 2000)
carts = rng.binomial(n_views, true_rate)
for name, function in (("rate_of", rate_of), ("posterior", check.answers.posterior)):
    a, b = np.transpose([function(c, n, 2.4, 14) for c, n in zip(carts, n_views, strict=True)])
    low, high = stats.beta.ppf(0.025, a, b), stats.beta.ppf(0.975, a, b)
    print(f"{name:9} {np.mean((low <= true_rate) & (true_rate <= high)):.1%} of the intervals hold the true rate")

# %% [markdown]
# An interval that is off says so at once when it is counted, even where the means look right. `recsys_lab.rates` has all
# of this: `posterior`, `posterior_mean`, `credible_interval`, `lower_bound`.
#
# ## 6. Rank by what is certain
#
# Ten carts of twenty views or one of one: which goes on top? The posterior mean answers already. More careful is the
# **lower bound**: the rate that a book exceeds with a probability of 95 %. It is high only where the rate is high *and*
# well known.
#
# ### Exercise 3.4 · Rank by what is certain
#
# *8 minutes, medium.* `scipy.stats.beta.ppf(q, a, b)` is the q-quantile of a Beta(a, b): the rate lies below it with
# probability q. It takes arrays.


# %%
def rank_by_lower_bound(carts, views, a, b):
    """Rank books by the cart rate that they exceed with a probability of 95 %.

    Parameters
    ----------
    carts, views : ndarray of int, shape (n_books,)
    a, b : float
        The prior, a Beta(a, b).

    Returns
    -------
    list or ndarray of int, shape (n_books,)
        Indices of the books, the highest bound first.
        ``rank_by_lower_bound(np.array([1, 60]), np.array([1, 100]), 1, 1)`` is ``[1, 0]``: 60 of 100 is almost certain
        to be more than 0.5, 1 of 1 may well be 0.3.
    """
    # BEGIN SOLUTION
    bounds = stats.beta.ppf(0.05, a + carts, b + views - carts)
    return np.argsort(-bounds, kind="stable")
    # END SOLUTION


check.rank_by_lower_bound(rank_by_lower_bound)

# %% [markdown]
# Four ways to choose the 20 books with the best cart rate, from what is known after the first half. The second half
# judges: it has the later cart rate of each (the interval is a bootstrap over the 20 books). For comparison, 20 books drawn
# blindly, 2,000 times: the dashed line is their mean, and 95 % of the draws lie in the grey band.
#
# **Predict:** which list is worst, and is the lower bound better than the mean?

# %%
carts, n_views = known["carts"].to_numpy(), known["views"].to_numpy()
orders = {
    "raw rate": np.argsort(-known["rate"].to_numpy(), kind="stable"),
    "number of carts": np.argsort(-carts, kind="stable"),
    "posterior mean": np.argsort(-rates.posterior_mean(carts, n_views, prior), kind="stable"),
    "lower bound": np.asarray(check.answers.rank_by_lower_bound(carts, n_views, *prior)),
}
tops = {name: later.iloc[order[:20]] for name, order in orders.items()}
later_rate = {name: (top["carts"] / top["views"]).to_numpy() for name, top in tops.items()}
every = (later["carts"] / later["views"]).to_numpy()
blind = np.random.default_rng(0).choice(every, (2000, 20)).mean(axis=1)
figure, axes = plots.plt.subplots(figsize=(7.5, 3.4))
dots(axes, [(name, r.mean(), *metrics.bootstrap_interval(r)[:2]) for name, r in later_rate.items()], "{:.2f}")
axes.axvline(every.mean(), color="black", linestyle="--")
axes.axvspan(*np.quantile(blind, (0.025, 0.975)), color="grey", alpha=0.25)
axes.set(xlabel="later cart rate of the 20 chosen (dashed, grey: 20 drawn blindly)", title="Who chose best?")
axes.set(xlim=(0, 0.5))
plots.show(
    figure,
    "Later cart rate of 20 books: by raw rate like a blind draw, by number of carts higher, by mean and bound highest.",
)
for name, order in orders.items():
    print(f"{name:16} median views of the chosen: {np.median(n_views[order[:20]]):.0f}")

# %% tags=["solution-only"]
means = {name: found.mean() for name, found in later_rate.items()}
record("lab03.top.raw", means["raw rate"], "{:.2f}")
record("lab03.top.mean", means["posterior mean"], "{:.2f}")
record("lab03.top.bound", means["lower bound"], "{:.2f}")
record("lab03.top.carts", means["number of carts"], "{:.2f}")
record("lab03.blind", every.mean(), "{:.2f}")
blind_from, blind_to = np.quantile(blind, (0.025, 0.975))
record("lab03.blind.low", blind_from, "{:.2f}")
record("lab03.blind.high", blind_to, "{:.2f}")
common = set(orders["posterior mean"][:20]) & set(orders["lower bound"][:20])
record("lab03.top.common", len(common), "{:.0f}")
start = pd.to_datetime(test.starts.min(), utc=True)
by_rate = BetaPopularity().fit(train, shop.impressions[shop.impressions["timestamp"] < start])
record("lab03.beta", evaluate(by_rate, test, lists=False).recall, "{:.3f}")
assert blind_from < means["raw rate"] < blind_to < means["number of carts"], "no better than blindly, and better"
middle = {name: np.median(n_views[order[:20]]) for name, order in orders.items()}
assert middle["lower bound"] >= middle["posterior mean"] > middle["raw rate"]
assert abs(means["lower bound"] - means["posterior mean"]) < 0.02 < means["posterior mean"] - means["number of carts"]

# %% [markdown]
# The 20 books with the best raw rate came to {{ lab03.top.raw }} later on, no better than 20 books drawn blindly
# ({{ lab03.blind }}, mostly {{ lab03.blind.low }} to {{ lab03.blind.high }}). Those with most carts came to
# {{ lab03.top.carts }}, those by posterior mean and by lower bound to {{ lab03.top.mean }} and {{ lab03.top.bound }}. Between
# mean and bound nothing can be decided here: {{ lab03.top.common }} of the 20 books are the same in both lists. A lower
# bound asks for evidence, so it is right for "our best books", where a mistake is embarrassing.
#
# The class `BetaPopularity` makes a model of it: `by="mean"`, `"lower_bound"` or `"thompson"`, with clicks among
# impressions (books shown) as successes among trials. Mind the question it answers: "what is liked by those who see it?",
# and not "what is viewed next?". For the latter we measured a recall@20 of {{ lab03.beta }}; plain counting has
# {{ lab03.pop }}.
#
# ### Explore (extra)
#
# Move the sliders: the posterior of one book, its interval, and the prior. How many views does it take until the prior
# no longer matters?


# %%
def explorer():
    """Two sliders over a picture of prior and posterior."""
    n = widgets.SelectionSlider(options=[0, 1, 2, 5, 10, 20, 50, 100, 200, 500], value=2, description="views")
    share = widgets.IntSlider(50, 0, 100, 10, description="in cart, %")
    picture, x = widgets.HTML(), np.linspace(0.001, 0.999, 500)

    def redraw(_=None):
        carts = int(n.value * share.value / 100 + 0.5)  # half a cart counts as one
        low, high = (end[0] for end in rates.credible_interval([carts], [n.value], prior))
        figure, axes = plots.plt.subplots(figsize=(7.0, 3.2))
        axes.plot(x, stats.beta.pdf(x, *prior), "--", color="grey", label="prior")
        axes.plot(x, stats.beta.pdf(x, prior.a + carts, prior.b + n.value - carts), "-", label="posterior")
        axes.axvspan(low, high, alpha=0.15, label="95 % interval")
        axes.set(xlabel="cart rate", yticks=[], title=f"{carts} carts of {n.value} views: {low:.2f} to {high:.2f}")
        axes.legend(fontsize=10)
        source = base64.b64encode(plots.png(figure)).decode()
        alt = f"Posterior after {carts} carts of {n.value} views: 95 % between {low:.2f} and {high:.2f}."
        picture.value = f'<img style="max-width: 100%" alt="{alt}" src="data:image/png;base64,{source}">'

    for slider in (n, share):
        slider.observe(redraw, "value")
    redraw()
    return widgets.VBox([n, share, picture])


explorer()

# %% [markdown]
# ## 7. Give the new book a chance (extra)
#
# A lower bound has its price: a new book, however good, starts at the bottom, is not shown, and so stays there. **Thompson
# sampling** decides by lot, and fairly. For every visitor it draws one rate for each book from its posterior and shows the
# book with the highest draw. What is well known draws close to its mean; what is new may draw anything.
#
# ### Exercise 3.5 · Chances to come first
#
# *Extra, 10 minutes, hard.* How often does each book come first?


# %%
def first_place_shares(a, b, n_draws, seed):
    """Share of Thompson rounds in which each book comes first.

    Parameters
    ----------
    a, b : ndarray of float, shape (n_books,)
        The posterior of each book is a Beta(a, b).
    n_draws : int
        How many rounds: in each one, a rate is drawn for every book from its posterior.
    seed : int
        The same seed gives the same shares.

    Returns
    -------
    list or ndarray of float, shape (n_books,)
        They add up to 1. Two books with the same posterior have about 0.5 each.
    """
    # BEGIN SOLUTION
    drawn = np.random.default_rng(seed).beta(a, b, size=(n_draws, len(a)))
    return np.bincount(drawn.argmax(axis=1), minlength=len(a)) / n_draws
    # END SOLUTION


check.first_place_shares(first_place_shares)

# %% [markdown]
# Nine books that are well known, with 200 views each and cart rates of 10 to 26 %, and one new book without a view.
# **Predict:** which book do the posterior mean and the lower bound show, always? And which share of the visitors sees the
# new one by Thompson draws: none, a tenth, a half?

# %%
carts = np.append(np.round(np.linspace(0.10, 0.26, 9) * 200), 0)
n_views = np.append(np.full(9, 200), 0)
a, b = prior.a + carts, prior.b + n_views - carts
shares = np.asarray(check.answers.first_place_shares(a, b, 10_000, 0))
always = {"posterior mean": (a / (a + b)).argmax(), "lower bound": stats.beta.ppf(0.05, a, b).argmax()}
figure, axes = plots.plt.subplots(figsize=(7.5, 3.4))
bars = axes.bar(range(10), 100 * shares, color=[plots.COLOURS[0]] * 9 + [plots.COLOURS[1]], hatch=[""] * 9 + ["//"])
axes.bar_label(bars, [f"{100 * share:.0f}" for share in shares], fontsize=10)
axes.set(xticks=range(10), xticklabels=[f"{c / 2:.0f} %" for c in carts[:9]] + ["new"], ylabel="shown to (%)")
axes.set(xlabel="cart rate so far", title="Thompson draws: who comes first, and how often")
plots.show(
    figure, "Share of rounds in which each book comes first: the best known ones most, the new book a fair share."
)
print("always shown by", *(f"{name}: the one with {carts[i] / 2:.0f} %." for name, i in always.items()))

# %% tags=["solution-only"]
record("lab03.thompson.new", 100 * shares[9], "{:.0f} %")
assert set(always.values()) == {8}
assert 0.1 < shares[9] < 0.6

# %% [markdown]
# Mean and lower bound always show the same book, so nothing is ever learned of the new one. Thompson draws show it to
# {{ lab03.thompson.new }} of the visitors: as often as, for all we know, it may be the best. If it is not, its share falls
# with every view. More on this where the course comes to bandits.
#
# ## 8. On the rise (extra)
#
# "Trending" lists answer yet another question: not what is viewed most, but what is viewed more than before. Two things go
# wrong with them, and you have met both: different spans of time, and rates from few views.
#
# ### Exercise 3.6 · What is on the rise
#
# *Extra, 8 minutes, medium.* How many times more than expected? The k is a prior once more.


# %%
def rise(recent, before, days_recent, days_before, k):
    """How many times more views a book has had of late than one would expect from the time before.

    Parameters
    ----------
    recent : int
        Views in the last `days_recent` days.
    before : int
        Views in the `days_before` days before those.
    days_recent, days_before : int
    k : float
        Added to the recent views and to the expected ones; draws books with few views towards 1.

    Returns
    -------
    float
        ``rise(30, 40, 7, 28, k=10)`` is 2.0: 10 views in 7 days were to be expected, and (30 + 10) / (10 + 10) is 2.
    """
    # BEGIN SOLUTION
    expected = before * days_recent / days_before
    return (recent + k) / (expected + k)
    # END SOLUTION


check.rise(rise)

# %% [markdown]
# The simulation put some books into the news, each on a day that we know. On day 61 two of them are fresh: from days 55
# and 57. **Predict:** where do they stand in the list with hardly any k, and where with k = 10?

# %% tags=["check-output"]
on_day = day.astype(int)
recent = views[(on_day >= 55) & (on_day < 62)].groupby("item_id").size().reindex(titles.index, fill_value=0)
before = views[on_day < 55].groupby("item_id").size().reindex(titles.index, fill_value=0)
for k in (0.1, 10):
    risen = pd.Series([check.answers.rise(r, b, 7, 55, k) for r, b in zip(recent, before, strict=True)], titles.index)
    place = risen.rank(ascending=False, method="first").astype(int)
    first = risen.sort_values(ascending=False, kind="stable").index[:10]
    print(
        f"k = {k}: the planted books at {place[27]} and {place[1042]}; views of the first ten {recent[first].tolist()}"
    )

# %% tags=["solution-only"]
assert {place[27], place[1042]} == {1, 2}, "the text says that both stand on top with k = 10"


class Rising(Popularity):
    """What is on the rise, for everybody: to see what such a list is worth for the next view."""

    def _popular(self):
        return self.rises_


def rising_recall(train, test, days, k=10):
    """Recall@20 of what has risen most in the last days of the training."""
    age, model = (train.times.max() - train.times) / 8.64e13, Rising().fit(train)
    recent, before = (np.bincount(train.items[which], minlength=train.n_items) for which in (age <= days, age > days))
    span = age.max() - days
    model.rises_ = np.array(
        [check.answers.rise(r, b, days, span, k) for r, b in zip(recent, before, strict=True)], np.float32
    )
    return evaluate(model, test, lists=False).recall


record("lab03.rising", rising_recall(train, test, 7), "{:.3f}")

# %% [markdown]
# With hardly any k the list is full of books with a handful of views; with k = 10 the two planted ones stand on top. As a
# list of what is viewed *next* it is poor all the same: we measured a recall@20 of {{ lab03.rising }} at the start of the
# test part, where plain counting has {{ lab03.pop }}. It is a shelf of its own, for people who want to know what is new.
#
# ## 9. Few similar products, very few sales (extra)
#
# A shop with twelve similar products has made 300 sales. Should it count, or use a model with vectors? In short: count, and
# go on counting until the other model wins on held-out sales. How to find out, and when the answer turns, is this part.
#
# We simulate such shops. The 200 customers of each belong to three **taste groups**, which no model is told: a group likes
# some products more and some less. So there is something to learn about each customer, but not much, for the products are
# similar. Two models see the same sales and say how likely each product is to be bought next.
#
# - **Beta**: one rate for each product, the same for all customers. A trial is a sale, a success a sale of this product. (To
#   twelve products a prior can hardly be fitted. So a and b have a weak prior themselves, a **hyperprior**, that keeps them
#   from growing without end.)
# - **ALS**: a few numbers, a **vector**, for each customer and each product; the product of the two vectors is the score. It
#   is matrix factorisation from the library `implicit`, and lab 05 builds one.

# %% [markdown]
# To be fair to both, four steps:
#
# 1. Scores become probabilities by a **softmax**: exp(score / t) of each product, divided by the sum over all products. The
#    **temperature** t says how far scores are believed: with a high one, all products are alike.
# 2. On 100 further sales, the validation sales, each model's temperature is chosen.
# 3. ALS has ten settings to choose from, on the same validation sales.
# 4. Then 3,000 held-out sales judge by log-loss, as in part 4. Knowing nothing costs log(12) = 2.48.
#
# And to be more than fair to ALS, crosses show it with the settings that did best on the 3,000 sales: in hindsight, which
# nobody has.
#
# **Predict:** in how many of 50 such shops is the Beta model better?

# %%
shops = [few_sales.compare(300, seed) for seed in range(50)]
lead = np.array([one.als - one.beta for one in shops])
hindsight = np.array([one.als_hindsight - one.beta for one in shops])
better = "log-loss of ALS minus Beta\n← ALS better    Beta better →"
figure, axes = plots.plt.subplots(figsize=(8.0, 4.0))
axes.plot(range(1, 51), lead[np.argsort(lead)], "o", label="ALS, settings by validation")
axes.plot(range(1, 51), hindsight[np.argsort(lead)], "x", label="ALS, best settings in hindsight")
axes.axhspan(*metrics.bootstrap_interval(lead)[:2], alpha=0.3, label="mean over shops by validation, 95 %")
axes.axhline(0, color="black", linestyle="--")
axes.set(xlabel="50 shops, in order", ylabel=better, title="300 sales: above zero, the Beta model wins")
axes.legend(fontsize=10)
wins = sum(lead > 0), sum(hindsight > 0)
plots.show(figure, f"Log-loss of ALS minus Beta for 50 shops of 300 sales: above zero in {wins[0]} of them.")
for won, against in zip(wins, ("by validation", "in hindsight"), strict=True):
    low, high = (end[0] for end in rates.credible_interval([won], [50], (1, 1)))
    print(f"The Beta model wins {won} of 50 shops against ALS {against}: of all such shops, {low:.0%} to {high:.0%}.")

# %% tags=["solution-only"]
twenty = [few_sales.compare(300, seed, n_customers=20) for seed in range(48)]
record("lab03.few.twenty", sum(one.beta < one.als for one in twenty), "{:.0f}")
assert sum(one.beta < one.als for one in twenty) < 0.7 * 48 * np.mean(lead > 0), "clearly smaller, says the answer"
record("lab03.few.won", wins[0], "{:.0f}")
record("lab03.few.hindsight", wins[1], "{:.0f}")
record("lab03.few.lead", lead.mean(), "{:.3f}")
record("lab03.few.lead_from", metrics.bootstrap_interval(lead).low, "{:.3f}")
record("lab03.few.lead_to", metrics.bootstrap_interval(lead).high, "{:.3f}")
assert metrics.bootstrap_interval(lead).low > 0
assert wins[1] > 25

# %% [markdown]
# It wins {{ lab03.few.won }} of 50, by {{ lab03.few.lead }} on average ({{ lab03.few.lead_from }} to
# {{ lab03.few.lead_to }}), and {{ lab03.few.hindsight }} even against the hindsight. With a sale and a half for each customer
# there is next to nothing to know about one, and a model that tries to know it learns noise.
#
# So when does ALS overtake? We let the shops sell more to the same customers, and compare with shops whose products
# *differ* more: 24 shops for each point, with the interval of their mean. This takes some ten seconds. **Predict:** at how
# many sales do the lines cross?

# %%
sizes = (100, 300, 600, 1000, 2000)
worlds = {"similar products": {}, "products that differ": {"taste_sd": 1.2}}
ahead = {}  # ALS minus Beta, shops by sizes
for name, options in worlds.items():
    table = np.array([[few_sales.compare(n, seed, **options) for n in sizes] for seed in range(24)])
    ahead[name] = table[:, :, 1] - table[:, :, 0]
figure, axes = plots.plt.subplots(figsize=(7.5, 4.2))
for i, (name, found) in enumerate(ahead.items()):
    at, middle = np.array(sizes) * (0.98 + 0.04 * i), found.mean(axis=0)
    ends = np.array([metrics.bootstrap_interval(column)[:2] for column in found.T])
    axes.errorbar(at, middle, np.abs(ends.T - middle), marker="os"[i], capsize=4, label=name)
axes.axhline(0, color="black", linestyle="--")
axes.set(xscale="log", xticks=sizes, xticklabels=sizes, xlabel="sales to learn from (200 customers)")
axes.set(ylabel=better, title="Below zero, ALS has overtaken")
axes.minorticks_off()
axes.legend(fontsize=11)
alt = "Log-loss of ALS minus Beta by sales, with intervals: crosses zero at hundreds of sales, sooner where products differ."
plots.show(figure, alt)

# %% tags=["solution-only"]


def crossings(found, n_draws=2000):
    """Sales at which ALS overtakes, where the mean line meets zero (in logarithms), by resampling shops: a 95 % range."""
    rng, met = np.random.default_rng(0), []
    for _ in range(n_draws):
        gap = found[rng.integers(len(found), size=len(found))].mean(axis=0)
        after = int(np.argmax(gap < 0))
        assert gap[0] > 0 > gap[after]
        pair = slice(after - 1, after + 1)
        met.append(np.exp(np.interp(0, -gap[pair], np.log(sizes[pair]))))
    return np.quantile(met, (0.025, 0.975))


low, high = crossings(ahead["similar products"])
record("lab03.few.cross_from", round(low, -2), "{:,.0f}")
record("lab03.few.cross_to", round(high, -2), "{:,.0f}")
record("lab03.few.each_from", low / 200, "{:.0f}")
record("lab03.few.each_to", high / 200, "{:.0f}")
other_low, other_high = crossings(ahead["products that differ"])
record("lab03.few.other_from", round(other_low, -1), "{:,.0f}")
record("lab03.few.other_to", round(other_high, -1), "{:,.0f}")
assert other_high < low, "sooner where products differ"

# %% [markdown]
# With similar products the lines cross somewhere between {{ lab03.few.cross_from }} and {{ lab03.few.cross_to }} sales, that
# is {{ lab03.few.each_from }} to {{ lab03.few.each_to }} for each customer; where products differ more, between
# {{ lab03.few.other_from }} and {{ lab03.few.other_to }}. These are 95 % ranges over the draw of 24 shops, and they are wide
# because shops differ: a single shop may lie far outside. No number holds for every shop, then. But the order of things
# does: count first, and count well; then let the model with vectors prove on held-out sales that it has overtaken.
#
# ## The same on real logs (extra)
#
# The stored pictures are enough to go on reading. `datasets.load("rsc15-100k")` in a new cell fetches a log; then run its
# cells again.
#
# **Recency.** `rsc15-100k` is a week of clicks of a real shop; the last day is the test part. **Predict:** will a
# half-life help more or less than in the simulated shop, and which will be best?


# %% tags=["real-log"]
found_there = {}  # numbers for the text, where the logs are


def recency_on(real):
    """Gain of half-lives on a log with published parts."""
    learn = real.sessions("train")
    later = real.sessions("test", learn.vocabulary)
    rows, plain = gains(learn, later, ("2h", "6h", "12h", "1D", "2D", "4D"))
    asked = later.items[1:][later.positions[1:] > 0]
    top = np.sort(np.bincount(asked[asked >= 0]))[::-1][:20].sum() / len(asked)
    found_there["recency"] = plain, top, rows
    return draw_gains({"test": rows}, 100 * (top - plain), f"Recency on {real.name}")


alt = "Gain in recall@20 by half-life on a real log: all are clear of zero, and the shorter the half-life the larger."
plots.real_log("rsc15-100k", recency_on, alt=alt, picture="lab03_recency")

# %% tags=["solution-only"]
if "recency" in found_there:
    plain, top, there = found_there["recency"]
    best = max(there, key=lambda row: row[1])
    assert best[0] == "2h", "the text says so"
    assert all(row[2] > 0 for row in there), "the alt text says so"
    assert [row[1] for row in there] == sorted((row[1] for row in there), reverse=True), "the shorter, the more"
    real = datasets.load("rsc15-100k", download=False)
    rising = record("lab03.real.rising", rising_recall(real.sessions("train"), real.sessions("test"), 1), "{:.3f}")
    assert rising > plain + 0.01, "better than plain counting, says the text"
    record("lab03.real.plain", plain, "{:.3f}")
    record("lab03.real.best", plain + best[1] / 100, "{:.3f}")
    record("lab03.real.ceiling", top, "{:.3f}")

# %% [markdown]
# In numbers: plain counting has a recall@20 of {{ lab03.real.plain }} there, a half-life of two hours {{ lab03.real.best }}, and the
# ceiling is {{ lab03.real.ceiling }}. What people look at changes within hours in that shop, which our simulated one does not
# have. (The test begins minutes after the training ends. A list that is made once a night would gain less.) The list of
# part 8, what has risen most on the last day, finds {{ lab03.real.rising }}: here even that is better than plain counting. (Two hours
# are the best of six on the test part, which flatters a little. But all six gain, and the shorter, the more.)
#
# **Rates.** `goodbooks-10k` has the ratings of a few thousand readers, and for each book how *all* readers of that site have
# rated it: millions. So there is something like a truth. A success is a rating of 4 or 5 stars. **Predict:** from how many
# ratings of our readers on is the raw rate as good as the posterior mean?


# %% tags=["real-log"]
def rates_on(real):
    """How far raw rates and posterior means lie from what all readers say."""
    stars = real.items.set_index("item_id")[[f"ratings_{i}" for i in range(1, 6)]]
    liked = (real.ratings["rating"] >= 4).groupby(real.ratings["item_id"]).agg(["sum", "size"])
    s, n, truth = liked["sum"], liked["size"], (stars.iloc[:, 3:].sum(axis=1) / stars.sum(axis=1))[liked.index]
    guess = {"raw rate": s / n, "posterior mean": rates.posterior_mean(s, n, rates.fit_likelihood(s, n))}
    bins = pd.cut(n, [0, 5, 15, 40, np.inf], labels=["1-5", "6-15", "16-40", "over 40"])
    error = {name: ((g - truth) ** 2).groupby(bins, observed=True).mean() ** 0.5 for name, g in guess.items()}
    best = {name: truth[pd.Series(g, s.index).nlargest(50).index].mean() for name, g in guess.items()}
    found_there["rates"] = error, best, truth.mean()
    figure, axes = plots.plt.subplots(figsize=(7.5, 3.6))
    for i, (name, values) in enumerate(error.items()):
        bars = axes.bar(np.arange(4) + i * 0.4 - 0.2, values, 0.38, label=name, hatch=("", "//")[i])
        axes.bar_label(bars, [f"{v:.2f}" for v in values], fontsize=10)
    axes.set(xticks=range(4), xticklabels=values.index, xlabel="ratings of the book", ylabel="error (root mean square)")
    axes.set_title(f"{real.name}: distance from what all readers say")
    axes.legend(fontsize=10)
    return figure


alt = "Error against what all readers say: raw rates err far more than posterior means where a book has few ratings."
plots.real_log("goodbooks-10k", rates_on, alt=alt, picture="lab03_rates")

# %% tags=["solution-only"]
if "rates" in found_there:
    error, best, average = found_there["rates"]
    assert (error["raw rate"] > error["posterior mean"]).all()
    assert best["raw rate"] < best["posterior mean"]
    record("lab03.real.raw_error", error["raw rate"].iloc[0], "{:.2f}")
    record("lab03.real.mean_error", error["posterior mean"].iloc[0], "{:.2f}")
    record("lab03.real.top_raw", 100 * best["raw rate"], "{:.0f} %")
    record("lab03.real.average", 100 * average, "{:.0f} %")
    record("lab03.real.top_mean", 100 * best["posterior mean"], "{:.0f} %")

# %% [markdown]
# With up to five ratings the raw rate errs by {{ lab03.real.raw_error }}, the posterior mean by {{ lab03.real.mean_error }};
# even above forty ratings the mean is no worse. We looked at the tops of the lists, too: the 50 "best" books by raw rate please {{ lab03.real.top_raw }} of all
# readers, those by posterior mean {{ lab03.real.top_mean }}, a book at random {{ lab03.real.average }}. (Part of the error no
# prior can mend: the readers in this sample are stricter than all readers together.)
#
# ### Groups of people
#
# `movielens-100k` knows the age, gender and occupation of each viewer. For each viewer the last fifth of the films is hidden,
# and each group gets its own list. Counts of small groups are drawn towards the whole, as a prior does. The control is eight
# groups drawn by lot. **Predict:** which of the groups helps most, and by how many points?


# %% tags=["real-log"]
def films_of(real):
    """0/1 tables, users by films: seen before, and hidden (the last fifth of each user's films)."""
    ratings = real.ratings.sort_values("timestamp", kind="stable")
    user, users = pd.factorize(ratings["user_id"])
    film, films = pd.factorize(ratings["item_id"])
    nth = ratings.groupby("user_id").cumcount().to_numpy()
    hidden = nth >= 0.8 * np.bincount(user)[user]
    tables = np.zeros((2, len(users), len(films)))
    tables[hidden.astype(int), user, film] = 1
    return tables[0], tables[1], real.users.set_index("user_id").loc[users]


def recall_by_group(seen, hidden, groups, k=20, strength=2000):
    """Recall@20 of every user, with one list for each group; films seen before are left out."""
    code = pd.factorize(groups)[0]
    counts = np.zeros((code.max() + 1, seen.shape[1]))
    np.add.at(counts, code, seen)
    whole = seen.sum(axis=0) / seen.sum()
    share = (counts + strength * whole) / (counts.sum(axis=1, keepdims=True) + strength)
    scores = np.where(seen > 0, -np.inf, share[code])
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(hidden, top, axis=1).sum(axis=1) / np.minimum(hidden.sum(axis=1), k)


# %% [markdown]
# Differences to one list for all, in pairs over the viewers:


# %% tags=["real-log"]
def groups_on(real):
    """Draw the gain of lists by group."""
    seen, hidden, people = films_of(real)
    age = pd.cut(people["age"], [0, 24, 34, 49, 99]).astype(str)
    by_lot = np.random.default_rng(0).integers(8, size=len(people))
    one = recall_by_group(seen, hidden, np.zeros(len(people)))
    groups = {
        "age (4 groups)": age,
        "gender": people["gender"],
        "occupation (21)": people["occupation"],
        "by lot (8)": by_lot,
    }
    rows = []
    for name, group in groups.items():
        gain = 100 * (recall_by_group(seen, hidden, group) - one)
        rows.append((name, gain.mean(), *metrics.bootstrap_interval(gain)[:2]))
    found_there["groups"] = one.mean(), rows
    figure, axes = plots.plt.subplots(figsize=(7.5, 3.4))
    dots(axes, rows, "{:+.1f}")
    axes.axvline(0, color="black", linestyle="--")
    axes.set(
        xlabel="recall@20 gained over one list for all (points, 95 % interval)", title=f"{real.name}: lists by group"
    )
    return figure


alt = "Gain in recall@20 by group of viewers: about one point by age and by gender, less by occupation, none by lot."
plots.real_log("movielens-100k", groups_on, alt=alt, picture="lab03_groups")

# %% tags=["solution-only"]
if "groups" in found_there:
    one_list, there = found_there["groups"]
    assert min(there[0][2], there[1][2]) > 0, "age and gender help"
    assert there[3][2] < 0 < there[3][3], "the lot does not"
    record("lab03.real.one_list", 100 * one_list, "{:.1f}")
    record("lab03.real.age", there[0][1], "{:.1f}")
    record("lab03.real.gender", there[1][1], "{:.1f}")

# %% [markdown]
# One list for all finds {{ lab03.real.one_list }} % of the hidden films. Lists by age gain {{ lab03.real.age }} points, by
# gender {{ lab03.real.gender }}: real, and nothing like the leap by genre in the simulated shop. Who people are says less
# here than one might hope. What they did just now may say more: the next labs are about that.
#
# ## Three questions
#
# 1. A shop's "best rated" page is full of products with one rating of five stars. Somebody proposes to hide all products
#    with fewer than 20 ratings. What is wrong with that, and what do you propose?
# 2. Your popularity list has a recall@20 of 0.18, and the ceiling of any one list is 0.19. Your colleague wants to try twelve
#    more half-lives. What do you say?
# 3. (If you read part 9.) There were 200 customers. Would the Beta model's lead at 300 sales be larger or smaller with 20?
#
# <details><summary>Answers</summary>
#
# 1. 20 is an accident: a product with 19 is hidden, and one with 20 is believed. A prior does it without a jump: rank by
#    the lower bound, or by the posterior mean where new products should have a chance.
# 2. At most one point is to be had, and part of that is luck. Whoever wants more needs lists that differ between visitors.
# 3. Smaller: that makes 15 sales for each customer instead of one and a half. It is not the number of sales that counts
#    but how much is known about each customer. Try `few_sales.compare(300, seed, n_customers=20)` for some seeds; with 48 of
#    them the Beta model won {{ lab03.few.twenty }}, about as often as ALS.
#
# </details>
#
# ## One step further
#
# In part 9 the models are rivals. Let them work together: add the log of the Beta model's rates to w times the scores of
# ALS (`few_sales.beta_scores`, `few_sales.als_scores`), and choose w on the validation sales. Where does the mixture beat
# both?
#
# Here is how far you are:

# %%
check.progress()
