# %% [markdown]
# # Lab 05 · Matrix factorisation
#
# A visitor has looked at fifteen books of twelve hundred. What of the others would they like? Neighbours compare lists
# of clicks. This lab gives every visitor and every book a short vector of numbers instead, so that likes become
# geometry; and it finds out when that is the best you can do, and when it is not.
#
# **You will be able to**
#
# - build a user-item matrix the right way round, and recognise the mess when it lies on its side,
# - write one half-step of ALS, and know what `implicit` does in the other fifteen iterations,
# - find similar books, and recommend to a session that began a second ago,
# - say why matrix factorisation is strong across visits and weak within one,
# - choose the number of factors and the regularisation without touching the test part.
#
# **Time:** 50 minutes: four core exercises (35 minutes) and the reading between them. Part 7 with exercise 5.5 is
# *extra*. **Needs:** labs 01 and 02.

# %% tags=["setup"]
# The build puts the set-up here.

# %% [markdown]
# The tools of this lab. `implicit` is a library for exactly this job; it works on many small matrices, for which the
# threads of the linear algebra underneath would only be in each other's way, hence the last line.

# %%
import html

import numpy as np
import pandas as pd
from implicit.cpu.als import AlternatingLeastSquares
from IPython.display import display
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recsys_lab import bookshop, datasets, metrics, plots, split
from recsys_lab.checks import lab05 as check
from recsys_lab.cleaning import Cleaning, signals
from recsys_lab.evaluate import evaluate
from recsys_lab.held_out import evaluate_held_out
from recsys_lab.histories import histories, hold_out, user_items
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.item_map import ItemMap, item_map
from recsys_lab.models import ALS, BPR, ItemKNN, Popularity, SequentialRules, SessionKNN
from recsys_lab.progress import bar
from recsys_lab.ranking import target_ranks, top_k
from recsys_lab.widgets import cover

plots.style()
limits = threadpool_limits(1, "blas")
# %% [markdown]
# The bookshop again: **simulated** visitors, real books. As in the labs before, double fires and bots go first, and the
# last two weeks are the test part. Two thirds of the events come from visitors who are signed in; they are our users.

# %% tags=["check-output"]
shop = datasets.load("bookshop")
events = Cleaning(shop.events).drop_double_fires().drop_bots().events
moment = pd.Timestamp("2025-12-14 20:30", tz="UTC")
signed_in = events.dropna(subset=["user_id"]).astype({"user_id": "int64"})
past = signed_in[signed_in["timestamp"] < moment]
books = shop.items["item_id"].tolist()
title, genre = (shop.items[column].to_numpy() for column in ("title", "genre"))
print(f"{len(past)} events by {past['user_id'].nunique()} users before {moment:%d %B}; {len(books)} books")

# %% [markdown]
# ## 1. The user-item matrix
#
# Lab 01 gave weights to views, carts, purchases and returns. Their sum says how strongly a user has shown interest in a
# book. Pairs whose sum is not above 0 (put into the cart and taken out again, or sent back) are left out here.

# %% tags=["check-output"]
weights = {"view": 1, "cart": 4, "remove": -4, "purchase": 3, "return": -6}
strengths = signals(past, weights)
strengths = strengths[strengths["strength"] > 0].reset_index(drop=True)
users = sorted(strengths["user_id"].unique())
print(f"{len(strengths)} pairs of a user and a book")
print(strengths.sample(3, random_state=1).to_string(index=False))

# %% [markdown]
# Such a table is a matrix, written down cell by cell: **one row for each user, one column for each book**, and 0 where
# nothing happened. Nearly all of it is 0. SciPy's `csr_matrix` keeps only the filled cells; it is built from three
# lists of the same length, the values, their rows and their columns: `csr_matrix((values, (rows, columns)), shape=(n,
# m))`.
#
# ### Exercise 5.1 · The user-item matrix
#
# *8 minutes, easy.* Build it. The ids are not row numbers: users[0] has row 0, whatever its id is.


# %%
def user_item_matrix(strengths, users, items):
    """The user-item matrix: one row for each user, one column for each item.

    Parameters
    ----------
    strengths : DataFrame
        Columns `user_id`, `item_id`, `strength`; every pair of ids at most once, rows in any order.
    users : list
        User ids: row 0 of the matrix belongs to users[0], and so on.
    items : list
        Item ids: column 0 belongs to items[0], and so on.

    Returns
    -------
    csr_matrix, shape (n_users, n_items)
        The strengths, 0 where there is none. With users [7, 3] and items [20, 10, 30], the line "user 3, item 20,
        strength 5" stands in row 1 and column 0.
    """
    # BEGIN SOLUTION
    rows = pd.Index(users).get_indexer(strengths["user_id"])
    columns = pd.Index(items).get_indexer(strengths["item_id"])
    values = strengths["strength"].to_numpy()
    return csr_matrix((values, (rows, columns)), shape=(len(users), len(items)))
    # END SOLUTION


check.user_item_matrix(user_item_matrix)

# %% [markdown]
# The whole shop, and its fullest corner: the 60 most active users and the 60 most popular books. **Predict:** how many
# of a hundred cells of the whole are filled, and how full is the corner?

# %% tags=["check-output"]
matrix = csr_matrix(check.answers.user_item_matrix(strengths, users, books), dtype="float32")
active = np.argsort(-np.diff(matrix.indptr), kind="stable")  # users, the most active first
popular = np.argsort(-np.bincount(matrix.indices, minlength=len(books)), kind="stable")  # books, the most popular first
corner = matrix[active[:60]][:, popular[:60]].toarray()
for word, part in (("whole", matrix), ("corner", corner)):
    n_rows, n_columns = part.shape
    print(f"{word}: {n_rows} rows, {n_columns} columns, {100 * (part > 0).sum() / (n_rows * n_columns):.1f} % filled")

figure, axes = plots.plt.subplots(figsize=(6.0, 5.0))
drawn = axes.imshow(np.where(corner > 0, corner, np.nan), vmax=12, interpolation="nearest")
figure.colorbar(drawn, ax=axes, label="strength (12: and more)", shrink=0.8)
axes.set(xlabel="books (columns), the most popular first", ylabel="users (rows), the most active first")
axes.set_title("The fullest corner of the matrix (simulated)")
axes.grid(False)
plots.show(figure, alt="A grid of 60 users and 60 books: even here most cells are empty, the filled ones scattered.")

# %% [markdown]
# ### The commonest mistake with this library
#
# `implicit` wants users in the rows. Until its version 0.5 it wanted them in the columns, and many tutorials on the web
# still say so. What if you follow one of those? We train on both.
#
# **Predict:** will `fit` complain about a matrix that lies on its side?


# %%
def trained(matrix):
    """implicit's ALS on a user-item matrix; what its settings mean is the rest of this lab."""
    model = AlternatingLeastSquares(
        factors=8, regularization=100, alpha=5, iterations=10, num_threads=1, random_state=0
    )
    model.fit(csr_matrix(matrix), show_progress=False)
    return model


right, wrong = trained(matrix), trained(matrix.T)
print("right: ", len(right.user_factors), "users,", len(right.item_factors), "books")
print("wrong: ", len(wrong.user_factors), "users,", len(wrong.item_factors), "books")
ids, scores = wrong.recommend(17, matrix[17], N=10)
print("columns recommended to row 17:", ids.tolist())

# %% tags=["solution-only"]
from recsys_lab.records import record

assert (len(right.user_factors), len(wrong.user_factors)) == matrix.shape
assert (ids >= len(books)).any()
record("lab05.transposed.no_books", int((ids >= len(books)).sum()))

# %% [markdown]
# Not a word: it takes the books for users and the users for books. {{ lab05.transposed.no_books }} of the ten "books"
# for the user in row 17 have numbers beyond the end of the catalogue; they are users. You notice this because our shop
# has more users than books. With fewer users every number is a book, with a real title. Let us look at such a shop:
# the first 1,000 users only. Since the visitors are simulated, we know how much each of them would like each book. For
# every list we take the mean **taste percentile**: 100 would be the one best book for this user, and 50 is what blind
# drawing gives.

# %%
fewer = matrix[:1000]
taste = bookshop.truth().preference(users[:1000]) - bookshop.truth().quality  # without what everybody likes
percentile = 100 * taste.argsort(axis=1).argsort(axis=1) / (len(books) - 1)  # (n_users, n_books)


def mean_percentile(lists):
    """Mean and 95 % interval over users of the taste percentile of their lists, shape (n_users, k)."""
    values = np.take_along_axis(percentile, lists, axis=1).mean(axis=1)
    return values.mean(), *metrics.bootstrap_interval(values)[:2]


def ten_books(model):
    """The ten books of the highest scores for each of the users, without those that they have touched."""
    scores = model.user_factors[:1000] @ model.item_factors.T
    scores[fewer[:, : scores.shape[1]].toarray() > 0] = -np.inf
    return top_k(scores, 10)


lists = {"right way round": ten_books(trained(fewer)), "on its side": ten_books(trained(fewer.T))}
lists["best-sellers"] = np.tile(popular[:10], (1000, 1))
print("on its side, row 17:", "; ".join(title[lists["on its side"][17][:3]]))

# %% [markdown]
# These are real titles, and nobody would suspect anything. **Predict:** how good are they, measured against the true
# taste?

# %%
figure, axes = plots.plt.subplots(figsize=(7.5, 2.9))
for y, found in enumerate(lists.values()):
    value, low, high = mean_percentile(found)
    axes.plot([low, high], [y, y], color=plots.COLOURS[y], linestyle="-")
    axes.plot(value, y, "os^"[y], color=plots.COLOURS[y])
    axes.annotate(f"{value:.0f}", (value, y), xytext=(-4, 8), textcoords="offset points", ha="right")
axes.axvline(50, color="black", linestyle="--")
axes.set(yticks=range(3), yticklabels=lists, ylim=(2.5, -0.8), xlabel="taste percentile of ten books (dashed: chance)")
axes.set_title("The same library, the same data (simulated)")
plots.show(
    figure, alt="Taste percentile: the right way round is far above 50, on its side and best-sellers are near 50."
)

# %% tags=["solution-only"]
found = {name: mean_percentile(value) for name, value in lists.items()}
assert found["right way round"][1] > 60
assert abs(found["on its side"][0] - 50) < 4
record("lab05.taste.right", found["right way round"][0], "{:.0f}")
record("lab05.taste.wrong", found["on its side"][0], "{:.0f}")
record("lab05.taste.popular", found["best-sellers"][0], "{:.0f}")

# %% [markdown]
# {{ lab05.taste.right }} against {{ lab05.taste.wrong }}: on its side, the model knows no more about anybody's taste
# than chance does, or than the best-seller list ({{ lab05.taste.popular }}). So check the shapes after every `fit`:
# `model.user_factors` has to have as many rows as you have users.
#
# ## 2. What ALS does
#
# Every user u gets a vector *x* and every book i a vector *y*, here of 8 numbers, the **factors**. Their inner product
# x · y (multiply number by number, add up) is the score: high if both point the same way. The numbers have no names;
# they are whatever explains the matrix best. Best means: a small sum, over **all** cells, of
#
# $$ c_{ui}\,(p_{ui} - x_u \cdot y_i)^2 \quad\text{plus}\quad \lambda\,(\text{all squared lengths}) $$
#
# - *p* is the **preference**: 1 where something happened, 0 in the empty cells.
# - *c* is the **confidence** that we have in it: `alpha` times the strength, and 1 in the empty cells. An empty cell
#   is a weak no: perhaps the user never saw the book.
# - *λ* is the **regularisation**. It keeps vectors short, so that a user with three clicks does not get a wild one.
#
# Both sides unknown, that is hard. But **hold all books still**, and each user is a small problem of its own: a weighted
# linear regression with one exact answer,
#
# $$ \Big(\sum_i c_i\, y_i y_i^T + \lambda I\Big)\, x = \sum_i c_i\, p_i\, y_i $$
#
# Then hold the users still and solve for the books, and so on in turns: *alternating least squares* (Hu, Koren and
# Volinsky, ICDM 2008). Solving for all users, or for all books, is a half-step.
#
# ### Exercise 5.2 · One half-step of ALS
#
# *12 minutes, medium.* Write it for one user. In the formula, $y_i y_i^T$ is the *outer product* of a book's vector
# with itself: the table of all products of two of its numbers. $I$ has ones on its diagonal and zeros elsewhere,
# `np.eye`. So the left side is a matrix of 8 rows and 8 columns, the right side a vector of 8 numbers;
# `np.linalg.solve(left, right)` gives x. Confidences come in ready, with 0 for the empty cells: their 1 is yours to
# put in.


# %%
def user_vector(confidence, item_vectors, regularization):
    """The best vector of one user, with the vectors of the items held still.

    Parameters
    ----------
    confidence : ndarray of float, shape (n_items,)
        Above 0 for what the user touched, 0 for everything else.
    item_vectors : ndarray of float, shape (n_items, n_factors)
    regularization : float

    Returns
    -------
    ndarray of float, shape (n_factors,)
        With one factor, confidence [3, 0], vectors [[1], [2]] and regularization 1 it is [0.375]: the left side is
        3 · 1 · 1 + 1 · 2 · 2 + 1 = 8, the right one 3 · 1 = 3.
    """
    # BEGIN SOLUTION
    weight = np.where(confidence > 0, confidence, 1)  # (n_items,)
    left = (item_vectors * weight[:, None]).T @ item_vectors  # (n_factors, n_factors)
    left = left + regularization * np.eye(item_vectors.shape[1])
    right = item_vectors.T @ confidence  # (n_factors,)
    return np.linalg.solve(left, right)
    # END SOLUTION


check.user_vector(user_vector)

# %% [markdown]
# That was all of ALS. The rest is a loop: users, books, users, books. A book's half-step is a user's with the matrix
# turned round.


# %%
def als_by_hand(confidence, users, items, regularization, n_rounds):
    """Half-steps in turns on a dense matrix of confidences; returns the vectors of users and items."""
    for _ in range(n_rounds):
        users = np.array([check.answers.user_vector(row, items, regularization) for row in confidence])
        items = np.array([check.answers.user_vector(row, users, regularization) for row in confidence.T])
    return users, items


# %% [markdown]
# Does it agree with the library? We take a small part of the shop, because plain Python is slow: the 150 most active
# users and the 100 most popular books. `implicit` begins with small random vectors; without an iteration it hands them
# over, so that both can start at the same point. `use_cg=False` makes it solve exactly, as we do.

# %% tags=["check-output"]
small = matrix[active[:150]][:, popular[:100]]
library = AlternatingLeastSquares(8, 10, alpha=5, use_cg=False, iterations=0, num_threads=1, random_state=0)
library.fit(small, show_progress=False)
start = library.user_factors.astype(float), library.item_factors.astype(float)
by_hand = als_by_hand(5.0 * small.toarray(), *start, regularization=10, n_rounds=8)
library.iterations = 8
library.fit(small, show_progress=False)
ours, theirs = by_hand[0] @ by_hand[1].T, library.user_factors @ library.item_factors.T
print(f"scores of user 0: ours {ours[0][:4].round(3)}, implicit's {theirs[0][:4].round(3)}")
print(f"largest difference among {ours.size} scores: {np.abs(ours - theirs).max():.3f}")

# %% tags=["solution-only"]
assert np.abs(ours - theirs).max() < 5e-4

# %% [markdown]
# They agree. `implicit` is faster, because it never touches the empty cells one by one: the sum over *all* books is
# the same for every user, so it is computed once, and only the few filled cells are corrected. Each half-step is the
# best one there is with the other side held still, so the sum can never rise.
#
# ## 3. Books as points
#
# A row of the matrix need not be a user. Take **sessions** as rows, and a book's vector says in which visits it turns
# up, rather than in whose life. For "which books go together", a visit is the better witness: it has one purpose.
# `ALS` is this course's thin coat around `implicit`: sessions go in, and it keeps the contract of all our models.

# %%
catalogue = Vocabulary(shop.items["item_id"])
views = Sessions.from_frame(events[events["event"] == "view"], catalogue).longer_than(1)
train, test, report = split.by_time(views, moment)
visits = ALS(factors=16, regularization=10, alpha=10, iterations=10).fit(train)
vectors = visits.item_factors_.astype(float)
print(visits.item_factors_.shape, "books,", visits.user_factors_.shape, "sessions")

# %% [markdown]
# ### Exercise 5.3 · Similar books
#
# *5 minutes, easy.* Two books are alike if their vectors point the same way, whatever their lengths: the **cosine** is
# the inner product divided by both lengths. Find the books that are most alike to one.


# %%
def similar_items(item, item_vectors, k):
    """The k items whose vectors have the highest cosine with that of `item`, best first, without the item itself.

    Parameters
    ----------
    item : int
        Number of the item: its vector is item_vectors[item].
    item_vectors : ndarray of float, shape (n_items, n_factors)
        No vector is zero.
    k : int

    Returns
    -------
    list of int
        Item numbers. ``similar_items(0, np.array([[1, 0], [9, 9], [2, 1]]), 1)`` is ``[2]``.
    """
    # BEGIN SOLUTION
    unit = item_vectors / np.linalg.norm(item_vectors, axis=1, keepdims=True)
    cosines = unit @ unit[item]
    cosines[item] = -np.inf
    return np.argsort(-cosines, kind="stable")[:k].tolist()
    # END SOLUTION


check.similar_items(similar_items)

# %% [markdown]
# Nobody told the model what the books are about. **Predict:** what will it put beside *Dune*?

# %%
known = np.flatnonzero(visits.learned_)  # books that were viewed in the training part
position = {name: place for place, name in enumerate(title[known])}
for name in ("Dune", "Emma", "Kitchen Confidential"):
    near = known[list(check.answers.similar_items(position[name], vectors[known], 4))]
    print(f"{name}: {'; '.join(title[near])}")

# %% [markdown]
# How much of this is chance, and why the cosine and not simply the inner product? Look at the ten nearest of every
# book. How many share its genre, and how many are among the 30 best-sellers?

# %% tags=["check-output"]
best_sellers = np.argsort(-visits.popularity_, kind="stable")[:30]
unit = vectors[known] / np.linalg.norm(vectors[known], axis=1, keepdims=True)
for word, rows in (("cosine", unit), ("inner product", vectors[known])):
    products = rows @ rows.T
    np.fill_diagonal(products, -np.inf)
    nearest = known[top_k(products, 10)]
    same = (genre[nearest] == genre[known][:, None]).mean()
    print(f"{word:13}  same genre {same:.2f}, best-sellers {np.isin(nearest, best_sellers).mean():.2f}")
print(f"chance         same genre {(genre[known] == genre[known][:, None]).mean():.2f}")

# %% [markdown]
# Popular books have long vectors, and the inner product rewards length: best-sellers stand near everything. That is
# right for a list of what somebody may like, and wrong for "more like this one".
#
# Here is the **map**: all books in the two directions in which their vectors differ most. Search a title, walk to a
# neighbour by its button, light up a genre, look from near. Near means near in all 16 numbers; the picture has room
# for two, so neighbours may look far apart. Find a book that stands among another genre. Is the label wrong, or the
# model?

# %%
item_map(vectors[known], shop.items.iloc[known], start="Dune")

# %% [markdown]
# ## 4. A session that began a second ago
#
# The training was last night. Somebody arrives now, and their clicks are in no matrix. No need to train again: a
# session is a row, the books have their vectors, and 5.2 solves for the one that is missing. This is called **folding
# in**.
#
# ### Exercise 5.4 · Fold in a new session
#
# *10 minutes, medium.* From clicks to a list. Your `user_vector`, or `check.answers.user_vector`, may help; or write
# it out.


# %%
def recommend_to_session(clicked, item_vectors, regularization, alpha, k):
    """The k best items for a session that was not in the training.

    Parameters
    ----------
    clicked : list of int
        Item numbers in the order of the clicks. An item may be there several times.
    item_vectors : ndarray of float, shape (n_items, n_factors)
        As ALS learned them.
    regularization : float
    alpha : float
        An item that was clicked n times has confidence alpha · n.
    k : int

    Returns
    -------
    list of int
        The items of the highest scores, best first, without those that were clicked.
        ``recommend_to_session([0], np.array([[1], [2], [-1], [3]]), 1, 10, 2)`` is ``[3, 1]``.
    """
    # BEGIN SOLUTION
    confidence = alpha * np.bincount(clicked, minlength=len(item_vectors))
    vector = check.answers.user_vector(confidence, item_vectors, regularization)
    scores = item_vectors @ vector
    scores[clicked] = -np.inf
    return np.argsort(-scores, kind="stable")[:k].tolist()
    # END SOLUTION


check.recommend_to_session(recommend_to_session)

# %% [markdown]
# A session of the test part, click by click, as covers: what was viewed, and what would be shown next. **Predict:**
# does the list after the third view depend on the order of the three?


# %%
def covers(rows):
    """Show rows of books as covers; `rows` is a list of (words, book numbers)."""
    parts = []
    for words, numbers in rows:
        pictures = [cover(title[i], shop.items["author"].iloc[i], genre[i]) for i in numbers]
        tiles = "".join(f'<div style="width:84px">{picture}</div>' for picture in pictures)
        head = f'<p style="margin:8px 0 2px"><strong>{html.escape(words)}</strong></p>'
        parts.append(f'{head}<div style="display:flex;flex-wrap:wrap;gap:6px">{tiles}</div>')
    text = "\n".join(f"{words}: {'; '.join(title[list(numbers)])}" for words, numbers in rows)
    return display({"text/html": "".join(parts), "text/plain": text}, raw=True)


session = next(
    clicks.tolist() for clicks in test if len(set(clicks)) == len(clicks) == 4 and len(set(genre[clicks])) == 2
)
rows = []
for n in (1, 2, 3):
    found = check.answers.recommend_to_session(session[:n], vectors, visits.regularization, visits.alpha, 5)
    rows += [(f"viewed, after click {n}", session[:n]), ("shown next", found)]
covers(rows)

# %% [markdown]
# No: the counts are the same in any order, so the vector is the same. What came last means no more to ALS than what
# came first. `ALS.score` and `ALS.recommend` do what you wrote, for many sessions at once.

# %% [markdown]
# ## 5. How many factors, how much regularisation?
#
# Now the other kind of row again: users, and their whole past. Will they come to view the books that we would show?
# The settings decide a lot, and they have to be chosen **without the test part**. So we cut the past once more: what
# users did up to two weeks before its end is there to learn from, and the new books of those two weeks are the
# *validation* part.


# %%
def histories_and_later(start, end):
    """All histories before `start`; those of users who came again before `end`; and what they viewed then."""
    before, later = signed_in[signed_in["timestamp"] < start], signed_in[signed_in["event"] == "view"]
    later = later[(later["timestamp"] >= start) & (later["timestamp"] < end)]
    later = later[later["user_id"].isin(before["user_id"])].drop_duplicates(["user_id", "item_id"])
    learn, hidden = (Sessions.from_frame(x.assign(session_id=x["user_id"]), catalogue) for x in (before, later))
    place = {user: number for number, user in enumerate(learn.session_ids)}
    return learn, learn.take(np.array([place[user] for user in hidden.session_ids])), hidden


learn, known_part, hidden = histories_and_later(moment - pd.Timedelta("14D"), moment)
print(f"{len(learn)} histories; {len(hidden)} users came again and viewed {hidden.n_clicks} books")

# %% [markdown]
# Sixteen fits. `by="user"` makes users the rows, and `weights` fills the matrix as in part 1 (a sum below 0 counts as
# a dislike). `evaluate_held_out` folds in each history, ranks all books that the user has not touched yet, and looks
# where the new ones stand: recall@20 is the share of them among the first 20. Beside it we keep the **coverage**, the
# share of the catalogue that stands in anybody's list.
#
# **Predict:** what will the lists look like with very strong regularisation?

# %%
factors, regularisations = (4, 8, 16, 32), (10, 30, 100, 300)
tried = {}
with bar(16, "fit and validate") as drawn:
    for n in factors:
        for strength in regularisations:
            model = ALS(n, strength, alpha=5, iterations=10, weights=weights, by="user").fit(learn)
            tried[n, strength] = evaluate_held_out(model, known_part, hidden)
            drawn.update()
(best_n, best_reg), best = max(tried.items(), key=lambda pair: pair[1].recall)

# %% [markdown]
# The star marks the best recall.

# %%
figure, both = plots.plt.subplots(1, 2, figsize=(8.5, 3.6), sharey=True)
for axes, measure in zip(both, ("recall", "coverage"), strict=True):
    grid = np.array([[getattr(tried[n, s], measure) for s in regularisations] for n in factors])
    axes.imshow(grid, aspect="auto")
    for (row, column), value in np.ndenumerate(grid):
        light = value < (grid.min() + grid.max()) / 2
        mark = "★ " if measure == "recall" and (factors[row], regularisations[column]) == (best_n, best_reg) else ""
        axes.text(column, row, f"{mark}{value:.3f}"[:7], ha="center", va="center", color="white" if light else "black")
    axes.set(xticks=range(4), xticklabels=regularisations, yticks=range(4), yticklabels=factors)
    axes.set(xlabel="regularisation", title="recall@20" if measure == "recall" else "coverage")
    axes.grid(False)
both[0].set_ylabel("factors")
plots.show(figure, alt="Recall and coverage for 16 settings: recall is best at few factors and medium regularisation.")

# %% tags=["solution-only"]
assert (best_n, best_reg) == (8, 100), (best_n, best_reg)
popular_model = Popularity().fit(learn)
on_validation = evaluate_held_out(popular_model, known_part, hidden)
record("lab05.best.factors", best_n)
record("lab05.best.regularization", best_reg)
record("lab05.best.recall", best.recall, "{:.3f}")
record("lab05.validation.popularity", on_validation.recall, "{:.3f}")
record("lab05.collapsed.coverage", tried[8, 300].coverage, "{:.2f}")
record("lab05.wide.recall", tried[32, 10].recall, "{:.3f}")
plain = {}
for n in factors:
    for reg in (3, 10, 30, 100):
        model = ALS(n, reg, alpha=5, iterations=10, by="user").fit(learn.only("view"))
        plain[n, reg] = evaluate_held_out(model, known_part.only("view"), hidden).recall
record("lab05.views_only.recall", max(plain.values()), "{:.3f}")

# %% [markdown]
# Down on the left the model learns the users' accidents by heart: {{ lab05.wide.recall }} with 32 factors and little
# regularisation. Far on the right everything is squeezed to the one thing that all users share, popularity; coverage
# falls to {{ lab05.collapsed.coverage }}. The best lies between, with {{ lab05.best.factors }} factors and a
# regularisation of {{ lab05.best.regularization }}: {{ lab05.best.recall }}, where popularity has
# {{ lab05.validation.popularity }}.
#
# Do lab 01's weights help? With views alone, and its own sixteen settings, the best is {{ lab05.views_only.recall }}.
# Weights are settings like any other: try them, and believe the validation part.
#
# ## 6. Strong across visits, weak within one
#
# The chosen settings, trained on the whole past, meet the test part. There are two questions. **Across visits:** from
# a user's past, which new books will they view in the next two weeks? **Within a visit:** after these clicks, what is
# the next one? Rules and neighbours from lab 04 stand beside ALS: `SequentialRules` and `SessionKNN` learn from
# visits, and `UserKNN` is `SessionKNN` with users as rows and their whole pasts as sessions.

# %%
learn, known_part, hidden = histories_and_later(moment, events["timestamp"].max() + pd.Timedelta("1s"))
tastes = ALS(best_n, best_reg, alpha=5, iterations=10, weights=weights, by="user").fit(learn)
by_visit = {"SequentialRules": SequentialRules().fit(train), "SessionKNN": SessionKNN().fit(train)}
by_visit["Popularity"] = Popularity().fit(train)
by_past = {"ALS": tastes, "UserKNN": SessionKNN("sknn").fit(learn)}  # the same neighbours, with whole pasts as rows
across = {name: evaluate_held_out(m, known_part, hidden) for name, m in {**by_past, **by_visit}.items()}
within = {"ALS": evaluate(visits, test)} | {name: evaluate(model, test) for name, model in by_visit.items()}

# %% [markdown]
# **Predict:** which model is best at which question? Within visits, ALS is the model of part 3: it has sessions as
# rows and folds in after every click.

# %%
figure, both = plots.plt.subplots(2, 1, figsize=(7.5, 5.4), height_ratios=(4, 5))
for axes, results, word in zip(
    both, (within, across), ("Within a visit (simulated)", "Across visits (simulated)"), strict=True
):
    for y, (name, result) in enumerate(results.items()):
        colour = plots.COLOURS[list(across).index(name)]
        low, high = result.interval("ndcg")[:2]
        axes.plot([low, high], [y, y], color=colour, linestyle="-")
        axes.plot(result.ndcg, y, "osD^v"[list(across).index(name)], color=colour)
        axes.annotate(f"{result.ndcg:.3f}", (result.ndcg, y), xytext=(0, 8), textcoords="offset points", ha="center")
    axes.set(yticks=range(len(results)), yticklabels=results, ylim=(len(results) - 0.5, -0.8), title=word)
    axes.set(xlabel="NDCG@20 (95 % interval)", xlim=(0, 1.15 * max(result.ndcg for result in results.values())))
plots.show(
    figure, alt="NDCG. Within a visit rules and neighbours of visits lead ALS; across visits they are far behind it."
)

# %% tags=["solution-only"]
for name in ("ALS", "SequentialRules", "SessionKNN"):
    record(f"lab05.within.{name.lower()}", within[name].ndcg, "{:.3f}")
for name, result in across.items():
    record(f"lab05.across.{name.lower()}", result.ndcg, "{:.3f}")
for rival in ("SequentialRules", "SessionKNN"):
    assert within[rival].compare(within["ALS"], "ndcg").low > 0, rival
    assert across["ALS"].compare(across[rival], "ndcg").low > 0, rival
over_popular = across["ALS"].compare(across["Popularity"], "ndcg")
assert across["UserKNN"].ndcg > across["ALS"].ndcg
assert over_popular.low < 0 < over_popular.high, "the text says that the log cannot tell"
record("lab05.across.gain", over_popular.difference, "{:+.3f}")
record("lab05.across.gain_low", over_popular.low, "{:+.3f}")
record("lab05.across.gain_high", over_popular.high, "{:+.3f}")
truth = bookshop.truth()
taste = truth.preference(known_part.session_ids) - truth.quality
percentile = 100 * taste.argsort(axis=1).argsort(axis=1) / (len(books) - 1)
have = user_items(known_part).toarray() > 0
for name, model in (("ALS", tastes), ("Popularity", by_visit["Popularity"])):
    scores = model.score(known_part, known_part.offsets[1:] - 1).copy()
    scores[have] = -np.inf
    record(f"lab05.percentile.{name.lower()}", np.take_along_axis(percentile, top_k(scores, 10), 1).mean(), "{:.0f}")

# %% [markdown]
# The order turns round. Within a visit rules and neighbours have {{ lab05.within.sequentialrules }} and
# {{ lab05.within.sessionknn }}, and ALS {{ lab05.within.als }}: for one thing, it does not know what came last. Across
# visits they have {{ lab05.across.sequentialrules }} and {{ lab05.across.sessionknn }}, and ALS
# {{ lab05.across.als }}: it weighs a whole past, where they look at its end. Neighbours read it too once whole pasts
# are their rows: `UserKNN` has {{ lab05.across.userknn }}, in this small shop a little more than ALS (on the real log
# below it is the other way round). What counts first is what you choose for a row.
#
# And popularity? It has {{ lab05.across.popularity }}. The paired difference of ALS to it is {{ lab05.across.gain }}
# ({{ lab05.across.gain_low }} to {{ lab05.across.gain_high }}); this log cannot tell them apart, because best-sellers
# stood in most of the lists that these visitors clicked on. The true taste can: the ten books of ALS are at percentile
# {{ lab05.percentile.als }}, those of popularity at {{ lab05.percentile.popularity }}. A log tells what was clicked,
# not what would have been liked.
#
# ### One person, two visits
#
# People have a taste, and a visit has a purpose. Visitor 233 reads classics, and in December came twice: once for
# themselves, once for a present. `tastes` knows the person and gives both visits **one** list. `SessionKNN` knows the
# visit.
#
# **Predict:** what was the present?

# %%
user = 233
number = tastes.user_vocabulary_.encode([user])[0]
own = tastes.item_factors_ @ tastes.user_factors_[number]
own[tastes.history_[number].indices] = -np.inf
rows = [("ALS: for this person, at any time", top_k(own, 5).tolist())]
for session in (20500, 22549):
    clicked = test[int(np.flatnonzero(test.session_ids == session)[0])]
    found = by_visit["SessionKNN"].recommend(catalogue.decode(clicked), k=5, exclude=catalogue.decode(clicked))
    rows += [("viewed in this visit", pd.unique(clicked).tolist())]
    rows += [("SessionKNN: after these views", catalogue.encode(found).tolist())]
covers(rows)

# %% tags=["solution-only"]
purposes = bookshop.truth().sessions.set_index("session_id").loc[[20500, 22549]]
assert purposes["intent"].tolist() == ["own taste", "gift"]
assert purposes["user_id"].tolist() == [233, 233]

# %% [markdown]
# One example proves nothing. The shop's truth knows why everybody came, so ask the next-view question for each
# purpose, of the signed-in visitors whom the training knows: what does the person's vector alone find, and what the
# visit?

# %%
of_user = np.append(tastes.user_vocabulary_.encode(test.user_vocabulary.ids), -1)  # its number in `tastes`, -1: new
visitors = test.take(of_user[test.users] >= 0)
purpose = bookshop.truth().sessions.set_index("session_id")["intent"].loc[visitors.session_ids].to_numpy()
by_als, by_knn = (evaluate(model, visitors) for model in (visits, by_visit["SessionKNN"]))
person = tastes.user_factors_[of_user[visitors.users[by_als.sessions]]]  # (n_questions, n_factors)
ranks = {"person, ALS": target_ranks(person @ tastes.item_factors_.T, by_als.targets)}
ranks |= {"visit, ALS": by_als.ranks, "visit, SessionKNN": by_knn.ranks}
found = {name: pd.Series(rank <= 20).groupby(purpose[by_als.sessions]).mean() for name, rank in ranks.items()}
table = pd.DataFrame(found).loc[["own taste", "more of the same", "study", "gift"]]

# %% [markdown]
# **Predict:** for which purpose does knowing the person help least?

# %%
figure, axes = plots.plt.subplots(figsize=(8.0, 4.0))
for y, (name, values) in enumerate(table.items()):
    places, hatch = np.arange(4) + (y - 1) * 0.27, ("", "//", "..")[y]
    bars = axes.barh(places, values, 0.25, hatch=hatch, color=plots.COLOURS[y])
    axes.bar_label(bars, [f"{name}: {value:.2f}" for value in values], padding=3, fontsize=10)
axes.set(yticks=range(4), yticklabels=table.index, xlim=(0, 1.25), xticks=[0, 0.25, 0.5, 0.75, 1])
axes.set(xlabel="recall@20 of the next view", title="The person or the visit? By what they came for (simulated)")
axes.invert_yaxis()
plots.show(
    figure, alt="Recall by purpose: the person alone finds little, least for study and gifts; the visit finds most."
)

# %% tags=["solution-only"]
record("lab05.person.own", table.loc["own taste", "person, ALS"], "{:.2f}")
record("lab05.person.gift", table.loc["gift", "person, ALS"], "{:.2f}")
record("lab05.visit.gift", table.loc["gift", "visit, SessionKNN"], "{:.2f}")
record("lab05.visit.own", table.loc["own taste", "visit, SessionKNN"], "{:.2f}")
assert (
    table.loc[["gift", "study"], "person, ALS"].max()
    < table.loc[["own taste", "more of the same"], "person, ALS"].min()
)

# %% [markdown]
# The person's vector finds {{ lab05.person.own }} of the next views when people follow their own taste, and
# {{ lab05.person.gift }} when they look for a present. For the neighbours of the visit it makes little difference
# ({{ lab05.visit.own }} and {{ lab05.visit.gift }}). So a shop wants both: the visit while somebody clicks, the person
# on the start page and in the newsletter, when there is no visit yet. The last section of this lab lets you try to
# join the two.
#
# ### Does everybody get a list of their own?
#
# Take pairs of users who have no book in common in their pasts. **Predict:** how many of their ten books are the same?

# %% tags=["check-output"]
scores = tastes.user_factors_ @ tastes.item_factors_.T
past_books = tastes.history_.toarray() != 0
scores[past_books] = -np.inf
tops, rng, shared = top_k(scores, 10), np.random.default_rng(0), []
busy = np.flatnonzero(past_books.sum(axis=1) >= 10)
while len(shared) < 200:
    one, other = rng.choice(busy, 2, replace=False)
    if not (past_books[one] & past_books[other]).any():
        shared.append(len(set(tops[one]) & set(tops[other])) / 10)
print(f"{len(shared)} pairs: half of them share at most {np.median(shared):.2f} of their ten books")

# %% tags=["solution-only"]
assert np.median(shared) < 0.2
record("lab05.shared.mean", 100 * np.mean(shared), "{:.0f} %")

# %% [markdown]
# On average they share {{ lab05.shared.mean }}; the best-seller list would share all.
#
# ## 7. BPR: a loss that only looks at order (extra)
#
# ALS wants ones and zeros. But a list is judged by its order alone. **BPR**, Bayesian personalised ranking (Rendle and
# others, UAI 2009), takes a user u, a book i that they touched and a book j that they did not, and asks only that i
# stands before j: it climbs
#
# $$ \ln \sigma(x_u \cdot y_i - x_u \cdot y_j) - \tfrac{\lambda}{2}\,(\text{the three squared lengths}), \qquad \sigma(m) = \frac{1}{1 + e^{-m}} $$
#
# one triple after the other, a small step each time. The slope of ln σ at the margin m is σ(-m): near 1 if the pair is
# wrong, near 0 if it is right by far. That is how hard the pair pulls.
#
# ### Exercise 5.5 · One step of BPR
#
# *Extra, 10 minutes, medium.* Write the step. The user goes towards i minus j, i goes towards the user, j goes away;
# each also shrinks a little.


# %%
def bpr_step(user, liked, other, learning_rate, regularization):
    """One step of gradient ascent on ln σ(user · liked - user · other) - regularization / 2 · (all lengths squared).

    Parameters
    ----------
    user, liked, other : ndarray of float, shape (n_factors,)
        Vectors of a user, of an item that the user touched, and of one that was drawn from the others.
    learning_rate, regularization : float

    Returns
    -------
    ndarray of float, shape (3, n_factors)
        The three new vectors: user, liked, other.
    """
    # BEGIN SOLUTION
    pull = 1 / (1 + np.exp(user @ (liked - other)))  # σ(-margin)
    new_user = user + learning_rate * (pull * (liked - other) - regularization * user)
    new_liked = liked + learning_rate * (pull * user - regularization * liked)
    new_other = other + learning_rate * (-pull * user - regularization * other)
    return np.array([new_user, new_liked, new_other])
    # END SOLUTION


check.bpr_step(bpr_step)

# %% [markdown]
# Thirty thousand such steps on the small shop of part 2, in plain Python. Beforehand the right book stands first in
# half of the pairs. **Predict:** and afterwards?

# %% tags=["check-output"]
touched, rng = small.toarray() > 0, np.random.default_rng(0)
user_rows, book_rows = np.nonzero(touched)
x, y = rng.normal(scale=0.1, size=(150, 8)), rng.normal(scale=0.1, size=(100, 8))


def share_right(x, y):
    """Share of pairs of a touched book and another one of the same user in which the touched one scores higher."""
    return np.mean([(s[t][:, None] > s[~t]).mean() for s, t in zip(x @ y.T, touched, strict=True) if t.any()])


before = share_right(x, y)
for cell in rng.integers(len(user_rows), size=30_000):
    u, i = user_rows[cell], book_rows[cell]
    j = rng.choice(np.flatnonzero(~touched[u]))
    x[u], y[i], y[j] = np.asarray(check.answers.bpr_step(x[u], y[i], y[j], 0.1, 0.01))
print(f"pairs in the right order: {before:.2f} before, {share_right(x, y):.2f} after")

# %% [markdown]
# `BPR` is the library's, in our coat. There is no equation to solve for a new session here; its vector is the mean of
# its books' vectors. How does it do beside ALS on both questions?

# %% tags=["check-output"]
settings = {"factors": 8, "learning_rate": 0.05, "iterations": 100}
print(f"within a visit  BPR {evaluate(BPR(**settings).fit(train), test).ndcg:.3f}  ALS {within['ALS'].ndcg:.3f}")
bpr = evaluate_held_out(BPR(**settings, by="user").fit(learn), known_part, hidden)
print(f"across visits   BPR {bpr.ndcg:.3f}  ALS {across['ALS'].ndcg:.3f}")

# %% tags=["solution-only"]
assert across["ALS"].compare(bpr, "ndcg").low > 0
assert across["Popularity"].compare(bpr, "ndcg").low > 0

# %% [markdown]
# Far behind, and across visits behind popularity too. One reason is how `implicit` draws j: from the clicks of all
# users, so mostly a best-seller. BPR learns to put those down, and these visitors view them. That is this shop, not a
# verdict; the next part has a log on which BPR is far ahead of popularity.
#
# ## The same on a real log
#
# `movielens-1m` has a million ratings of films; we take four and five stars as "liked", hide a fifth of everybody's
# films and ask for them. Nothing is simulated here. **Predict:** where will `SequentialRules` stand, which goes by the
# last film only?


# %% tags=["real-log"]
def films(real):
    """NDCG@20 of six models on hidden films."""
    known, hidden, _ = hold_out(histories(real.tables["ratings"], at_least=4))
    models = {"ALS": ALS(64, 10, alpha=5, iterations=10), "BPR": BPR(32, 0.05, iterations=40)}
    models |= {"UserKNN": SessionKNN("sknn"), "ItemKNN": ItemKNN(n_last=None)}
    models |= {"Popularity": Popularity(), "SequentialRules": SequentialRules()}
    figure, axes = plots.plt.subplots(figsize=(7.5, 3.8))
    for y, model in enumerate(models.values()):
        result = evaluate_held_out(model.fit(known), known, hidden)
        low, high = result.interval("ndcg")[:2]
        axes.plot([low, high], [y, y], color=plots.COLOURS[y], linestyle="-")
        axes.plot(result.ndcg, y, "os^Dvp"[y], color=plots.COLOURS[y])
        axes.annotate(f"{result.ndcg:.3f}", (result.ndcg, y), xytext=(0, 7), textcoords="offset points", ha="center")
    axes.set(yticks=range(6), yticklabels=models, ylim=(5.5, -0.8), xlim=(0, None), xlabel="NDCG@20 (95 % interval)")
    axes.set_title(f"{real.name}: hidden films of {len(result.users)} people")
    return figure


alt = "NDCG@20 on hidden films: ALS leads clearly, BPR, UserKNN and ItemKNN follow, then popularity; rules are last."
plots.real_log("movielens-1m", films, alt=alt, picture="lab05_movielens")

# %% [markdown]
# This is the home ground of matrix factorisation: long histories, and no visits. The order in which ratings stand in
# this log means little, so rules that live on it find next to nothing.
#
# `goodbooks-10k` has real readers of books with titles and shelves. Here is the map of the 1,000 most read ones, with
# three books and what stands nearest to them in all 64 numbers. Do you agree with these readers?


# %% tags=["real-log"]
def shelves(real):
    """The map of the most read books, with the neighbours of three of them in words."""
    model = ALS(64, 10, alpha=5, iterations=10).fit(histories(real.tables["ratings"], at_least=4))
    most = np.argsort(-model.popularity_, kind="stable")[:1000]
    table = real.tables["items"].set_index("item_id").loc[model.vocabulary_.ids[most]].reset_index()
    table["title"] = table["title"].str.replace(r" \(.*", "", regex=True)
    drawn = ItemMap(model.item_factors_[most], table, n_neighbours=4)
    figure, (axes, words) = plots.plt.subplots(2, 1, figsize=(8.0, 8.4), height_ratios=(3, 1.7))
    axes.plot(*drawn.flat.T, "o", color="lightgrey", markersize=4)
    for n, start in enumerate(("Dune", "Pride and Prejudice", "The Da Vinci Code")):
        item = next(i for i, name in enumerate(drawn.titles) if name == start)
        near = [i for i, _ in drawn.neighbours(item)]
        axes.plot(*drawn.flat[[item, *near]].T, "os^"[n], color=plots.COLOURS[n], label=start)
        listed = "\n".join(f"   {drawn.titles[i][:70]}" for i in near)
        words.text(
            n % 2 * 0.55,
            1 - n // 2 * 0.55,
            f"Nearest to {start}:\n{listed}",
            color=plots.COLOURS[n],
            va="top",
            fontsize=10,
        )
    axes.set(title=f"{real.name}: the 1,000 most read books", xticks=[], yticks=[])
    axes.legend(loc="best", fontsize=10)
    words.axis("off")
    return figure


alt = "A cloud of 1,000 books. The nearest ones of Dune, Pride and Prejudice and The Da Vinci Code are listed by title."
plots.real_log("goodbooks-10k", shelves, alt=alt, picture="lab05_goodbooks")

# %% [markdown]
# ## Three questions
#
# 1. A colleague's ALS recommends plausible titles, and its recall is that of chance. `fit` gave no warning. What do
#    you look at first?
# 2. A user with three purchases gets a long list of wild guesses, a user with two hundred a good one. Which setting do
#    you turn, and on which part of the log do you judge it?
# 3. Your shop's start page and its basket page each show six books. Which model goes where?
#
# <details><summary>Answers</summary>
#
# 1. The shapes: `user_factors` must have as many rows as there are users. A matrix on its side trains without a word,
#    and with fewer users than items every number it gives is an item.
# 2. The regularisation, upwards: it weighs most where there is little data. Judge it on a validation part cut off the
#    end of the training part. The test part answers one question, at the end.
# 3. On the start page nobody has clicked yet, and all you know is the person: ALS on the history. Before the basket
#    lies a visit with a purpose: rules or neighbours of the visit.
#
# </details>
#
# ## One step further
#
# A cheap way to put person and visit together: `ALS(..., by="user")` scores a known user by the history *and* the
# session. Evaluate it on `visitors` with several values of `alpha`, beside `visits`. Why does a long history drown a
# short visit, and how would you weigh the two?
#
# Here is how far you are:

# %%
check.progress()
