"""Lab 05, "Matrix factorisation": the matrix, one step of ALS, similar books, a new session, one step of BPR."""

from __future__ import annotations

import numbers

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from recsys_lab.checks.exercise import Lab
from recsys_lab.checks.kinds import Array, Ranking, Unreadable

lab = Lab("05", "Matrix factorisation")
answers, progress, __getattr__ = lab.answers, lab.progress, lab.attribute


class ItemNumbers(Ranking):
    """Item numbers in an order; they go on to index arrays, so 3.0 will not do."""

    words = "a list of item numbers"

    def read(self, result, args=()) -> tuple:
        """Return the numbers as a tuple; scores, which are not whole, pass: a diagnosis knows more about them."""
        values = super().read(result, args)
        for raw, value in zip(result, values, strict=True):
            raw = raw.item() if getattr(raw, "ndim", 1) == 0 else raw
            whole = not isinstance(value, bool) and isinstance(value, int) and value >= 0
            if whole and not isinstance(raw, numbers.Integral) and all(isinstance(v, int) for v in values):
                raise Unreadable(f"An item number came back as {raw!r}. Numbers of items are whole: make it int(...).")
        return values


# 5.1 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "5.1",
    "The user-item matrix",
    minutes=8,
    difficulty="easy",
    kind=Array(2),
    hints=(
        "Each line of the table fills one cell. In which row does it stand, and in which column? Not in those that the "
        "ids name, but where the ids stand in the two lists.",
        "pd.Index(users).get_indexer(strengths['user_id']) looks up the place of every user id in the list.",
        "csr_matrix((values, (rows, columns)), shape=(n_rows, n_columns)) builds the matrix. Leave the shape out, and "
        "books at the end of the list that nobody touched would be missing.",
    ),
    explanation="Rows are users and columns are items, as implicit has wanted it since its version 0.5; older "
    "tutorials have it the other way round. The shape is given because empty rows and columns have to be there too. "
    "recsys_lab.histories.user_items does the same for Sessions.",
)
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
    from scipy.sparse import csr_matrix

    rows = pd.Index(users).get_indexer(strengths["user_id"])
    columns = pd.Index(items).get_indexer(strengths["item_id"])
    values = strengths["strength"].to_numpy()
    return csr_matrix((values, (rows, columns)), shape=(len(users), len(items)))


def _strengths(*rows) -> pd.DataFrame:
    """A table of strengths; the row labels are not 0, 1, 2 on purpose."""
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "strength"])
    return frame.set_index(np.arange(len(frame)) * 10 + 5)


user_item_matrix.case(
    *(_strengths((7, 10, 2.0), (3, 20, 5.0), (3, 10, 1.0)), [7, 3], [20, 10, 30]),
    expect=[[0, 2, 0], [5, 1, 0]],
    because="user 7 is row 0 and has 2 for item 10, which is column 1; user 3 is row 1; nobody touched item 30, which "
    "is column 2 all the same: [[0, 2, 0], [5, 1, 0]]",
)
user_item_matrix.case(
    *(_strengths((1, 2, 4.0), (2, 1, 3.0)), [1, 2, 3], [1, 2]),
    expect=[[0, 4], [3, 0], [0, 0]],
    because="user 1 is row 0 and item 2 is column 1; user 3 did nothing and has an empty row: [[0, 4], [3, 0], [0, 0]]",
)
user_item_matrix.case(
    *(_strengths((8, 6, 2.0), (9, 5, 0.5)), [9, 8], [5, 6]),
    expect=[[0.5, 0], [0, 2]],
    because="user 9 is row 0 and item 5 is column 0, with half a point; user 8 is row 1: [[0.5, 0], [0, 2]]",
)


@user_item_matrix.random_cases
def _tables(rng):
    cases = []
    for n_users, n_items in ((4, 6), (6, 4), (5, 5)):
        users = rng.choice(90, n_users, replace=False).tolist()
        items = (100 + rng.choice(90, n_items, replace=False)).tolist()
        filled = rng.permutation((n_users - 1) * (n_items - 1))[: n_users + 3]  # the last user and item stay empty
        rows = [
            (users[cell // (n_items - 1)], items[cell % (n_items - 1)], float(rng.integers(1, 90)) / 10)
            for cell in filled
        ]
        cases.append((_strengths(*rows), users, items))
    return cases


@user_item_matrix.mistake("Your matrix lies on its side: rows are users and columns are items, you have it transposed.")
def _transposed(strengths, users, items):
    return user_item_matrix.reference(strengths, users, items).T


@user_item_matrix.mistake("Your matrix ends with the last row and column that has something in it: give its shape.")
def _no_shape(strengths, users, items):
    rows, columns = pd.Index(users).get_indexer(strengths.user_id), pd.Index(items).get_indexer(strengths.item_id)
    return csr_matrix((strengths.strength.to_numpy(), (rows, columns)))


@user_item_matrix.mistake(
    "Rows and columns are in the order of the sorted ids, and those without a strength are missing, as pivot has it."
)
def _pivoted(strengths, users, items):
    return strengths.pivot(index="user_id", columns="item_id", values="strength").fillna(0)


@user_item_matrix.mistake("Rows and columns are sorted by id; they have to follow the two lists.")
def _sorted(strengths, users, items):
    return user_item_matrix.reference(strengths, sorted(users), sorted(items))


@user_item_matrix.mistake("Your rows are sorted by user id; they have to follow the list of users.")
def _sorted_rows(strengths, users, items):
    return user_item_matrix.reference(strengths, sorted(users), items)


@user_item_matrix.mistake("Your columns are sorted by item id; they have to follow the list of items.")
def _sorted_columns(strengths, users, items):
    return user_item_matrix.reference(strengths, users, sorted(items))


@user_item_matrix.mistake(
    "You give csr_matrix the columns first and the rows second: the right order is (values, (rows, columns))."
)
def _exchanged(strengths, users, items):
    rows, columns = pd.Index(users).get_indexer(strengths.user_id), pd.Index(items).get_indexer(strengths.item_id)
    return csr_matrix((strengths.strength.to_numpy(), (columns, rows)), shape=(len(users), len(items)))


@user_item_matrix.mistake("You number the ids in the order in which they come in the table, not as in the two lists.")
def _factorized(strengths, users, items):
    rows, columns = pd.factorize(strengths.user_id)[0], pd.factorize(strengths.item_id)[0]
    return csr_matrix((strengths.strength.to_numpy(), (rows, columns)), shape=(len(users), len(items)))


@user_item_matrix.mistake("You take the ids themselves for row and column numbers: look up where they stand instead.")
def _ids_as_numbers(strengths, users, items):
    values = strengths.strength.to_numpy()
    return csr_matrix((values, (strengths.user_id, strengths.item_id)), shape=(len(users), len(items)))


@user_item_matrix.mistake(
    "Your matrix has another shape: one row for each user in the list and one column for each item in the list are "
    "needed, for those without a strength too.",
    when=lambda got, strengths, users, items: (len(got), len(got[0]) if got else 0) != (len(users), len(items)),
)
def _crosstab(strengths, users, items):
    return pd.crosstab(strengths.user_id, strengths.item_id)


@user_item_matrix.mistake("Every cell that is filled holds 1: where is the strength?")
def _ones(strengths, users, items):
    return user_item_matrix.reference(strengths.assign(strength=1.0), users, items)


@user_item_matrix.mistake(
    "The right cells are filled, but not with the strengths themselves: a strength of 0.5 is not 0 and not 1. Is there "
    "a dtype in your code that cuts them?",
    when=lambda got, *args: 0 < np.abs(np.array(got) - user_item_matrix.reference(*args).toarray()).max() < 1,
)
def _whole(strengths, users, items):
    return user_item_matrix.reference(strengths, users, items).astype(int)


# 5.2 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "5.2",
    "One half-step of ALS",
    minutes=12,
    difficulty="medium",
    kind=Array(1),
    hints=(
        "Two parts: a weight for every book (its confidence; 1 where nothing happened), and then the small system of "
        "equations, left · x = right.",
        "left: np.outer(y, y) of each book's vector y, times its weight, summed over all books; then, once, the "
        "regularization on the diagonal. right: each touched book's vector times its confidence, summed.",
        "The sum of weighted outer products is (item_vectors * weight[:, None]).T @ item_vectors. The diagonal is "
        "regularization * np.eye(n_factors).",
        "right is item_vectors.T @ confidence, because the empty cells have confidence 0 there. np.linalg.solve(left, "
        "right) gives the vector.",
    ),
    explanation="The empty cells are what makes this different from a regression on the clicked books alone: with a "
    "preference of 0 and a weight of 1 each they say 'most books are not for you'. implicit never builds that long "
    "sum: it computes Y'Y once for all users and adds (c - 1) y y' for the few books that a user has touched.",
)
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
    weight = np.where(confidence > 0, confidence, 1)  # (n_items,)
    left = (item_vectors * weight[:, None]).T @ item_vectors  # (n_factors, n_factors)
    left = left + regularization * np.eye(item_vectors.shape[1])
    right = item_vectors.T @ confidence  # (n_factors,)
    return np.linalg.solve(left, right)


user_vector.case(
    *(np.array([3.0, 0.0]), np.array([[1.0], [2.0]]), 1.0),
    expect=[0.375],
    because="left: 3 · 1 · 1 for the touched book, 1 · 2 · 2 for the other, 1 for the regularization, together 8; "
    "right: 3 · 1; 3 / 8 = 0.375",
)
user_vector.case(
    *(np.array([4.0, 0.0]), np.array([[1.0, 0.0], [0.0, 1.0]]), 1.0),
    expect=[0.8, 0.0],
    because="left is [[4 + 1, 0], [0, 1 + 1]] and right is [4, 0]: [4 / 5, 0 / 2] = [0.8, 0]",
)
user_vector.case(
    *(np.array([0.5, 2.5]), np.array([[1.0, 1.0], [1.0, -1.0]]), 3.0),
    expect=[0.4375, -0.1875],
    because="left is [[0.5 + 2.5 + 3, 0.5 - 2.5], [0.5 - 2.5, 0.5 + 2.5 + 3]] = [[6, -2], [-2, 6]], right is [0.5 + "
    "2.5, 0.5 - 2.5] = [3, -2]; [0.4375, -0.1875] solves both lines: 6 · 0.4375 + 2 · 0.1875 = 3 and -2 · 0.4375 - 6 · "
    "0.1875 = -2",
)
user_vector.case(
    *(np.array([0.0, 0.0, 0.0]), np.array([[1.0], [2.0], [3.0]]), 1.0),
    expect=[0.0],
    because="nothing was touched, so the right side is 0, and so is the vector",
)


@user_vector.random_cases
def _rows_of_confidences(rng):
    cases = []
    for n_items, n_factors in ((5, 2), (9, 3), (30, 8)):  # 8 as in the lab: eye(8) is right here and nowhere else
        confidence = np.where(rng.random(n_items) < 0.4, rng.choice([0.5, 2.5, 3.0, 7.5], n_items), 0.0)
        confidence[:3] = 2.5, 0.0, 0.5
        cases.append((confidence, rng.normal(size=(n_items, n_factors)).round(1), float(rng.integers(1, 5))))
    return cases


def _solved(confidence, item_vectors, regularization, weight=None, right=None, diagonal=None) -> np.ndarray:
    """The reference with one part exchanged."""
    weight = np.where(confidence > 0, confidence, 1) if weight is None else weight
    diagonal = regularization * np.eye(item_vectors.shape[1]) if diagonal is None else diagonal
    left = (item_vectors * weight[:, None]).T @ item_vectors + diagonal
    return np.linalg.lstsq(left, item_vectors.T @ (confidence if right is None else right), rcond=None)[0]


@user_vector.mistake(
    "The empty cells have no weight in your answer. They count with weight 1 each: "
    "that nothing happened says something."
)
def _clicked_only(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, regularization, weight=confidence)


@user_vector.mistake("There is no regularization in your answer.")
def _no_regularization(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, 0.0)


@user_vector.mistake("You add the regularization to every cell of the left side; it belongs on the diagonal only.")
def _everywhere(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, regularization, diagonal=regularization)


@user_vector.mistake(
    "Your right side leaves the confidence out: each touched book's vector counts with its confidence."
)
def _right_unweighted(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, regularization, right=confidence > 0)


@user_vector.mistake("Your left side leaves the confidence out: that is the plain sum over all books.")
def _left_unweighted(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, regularization, weight=np.ones(len(confidence)))


@user_vector.mistake(
    "Confidence is left out on both sides: this fits ones and zeros, and a purchase counts no more than a view."
)
def _unweighted(confidence, item_vectors, regularization):
    ones = np.ones(len(confidence))
    return _solved(confidence, item_vectors, regularization, weight=ones, right=confidence > 0)


@user_vector.mistake(
    "The confidence is in your right side twice: you want to reach the confidence itself. What is to be reached is 1."
)
def _rating(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, regularization, right=confidence**2)


@user_vector.mistake(
    "You weigh touched books with 1 + confidence, as the paper does. Here the confidence is all of the weight, as in "
    "implicit."
)
def _paper(confidence, item_vectors, regularization):
    right = np.where(confidence > 0, 1 + confidence, 0)
    return _solved(confidence, item_vectors, regularization, weight=1 + confidence, right=right)


@user_vector.mistake(
    "You weigh touched books with 1 + confidence on the left side; the confidence is all of the weight."
)
def _paper_left(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, regularization, weight=1 + confidence)


@user_vector.mistake("Your right side sums over all books; the empty cells have preference 0 and add nothing there.")
def _all_right(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, regularization, right=np.where(confidence > 0, confidence, 1))


@user_vector.mistake(
    "A confidence between 0 and 1 is not the 1 of an empty cell: what was touched, however weakly, keeps its own."
)
def _floored(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, regularization, weight=np.maximum(confidence, 1))


@user_vector.mistake("A book with a confidence of 0.5 was touched too: its preference is 1.")
def _from_one_on(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, regularization, right=confidence * (confidence >= 1))


@user_vector.mistake("You cut the confidences to whole numbers; 2.5 has to stay 2.5.")
def _cut(confidence, item_vectors, regularization):
    return _solved(confidence.astype(int), item_vectors, regularization)


def _outer(confidence, item_vectors, regularization, product) -> np.ndarray:
    """The reference with something else in the place of the outer product."""
    weight = np.where(confidence > 0, confidence, 1)
    left = regularization * np.eye(item_vectors.shape[1])
    left = left + sum(w * product(y) for w, y in zip(weight, item_vectors, strict=True))
    return np.linalg.solve(left, item_vectors.T @ confidence)


@user_vector.mistake(
    "Of one vector, y @ y.T is a single number and not a table: .T does nothing to it. The table of all products comes "
    "from np.outer."
)
def _inner_products(confidence, item_vectors, regularization):
    return _outer(confidence, item_vectors, regularization, lambda y: y @ y.T)


@user_vector.mistake("y * y multiplies each number by itself only; the table of all products comes from np.outer.")
def _squares(confidence, item_vectors, regularization):
    return _outer(confidence, item_vectors, regularization, lambda y: y * y)


@user_vector.mistake(
    "Your left side has nothing beside its diagonal: the products of two different factors are missing, and with them "
    "that factors depend on each other."
)
def _diagonal_only(confidence, item_vectors, regularization):
    return _outer(confidence, item_vectors, regularization, lambda y: np.diag(y * y))


@user_vector.mistake(
    "You add the regularization once for every book, inside the sum; it comes once, after it.",
)
def _once_a_book(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, regularization * len(confidence))


@user_vector.mistake("You add the regularization once for every touched book; here it comes once in all.")
def _once_a_touched_book(confidence, item_vectors, regularization):
    return _solved(confidence, item_vectors, regularization * (confidence > 0).sum())


@user_vector.mistake("It works with 8 factors only: take their number from item_vectors.shape[1].")
def _eye_of_8(confidence, item_vectors, regularization):
    weight = np.where(confidence > 0, confidence, 1)
    left = (item_vectors.T * weight) @ item_vectors + regularization * np.eye(8)
    return np.linalg.solve(left, item_vectors.T @ confidence)


@user_vector.mistake("These are the scores of all books, one for each; asked for is the user's vector.")
def _scores(confidence, item_vectors, regularization):
    return item_vectors @ _solved(confidence, item_vectors, regularization)


# 5.3 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "5.3",
    "Similar books",
    minutes=5,
    difficulty="easy",
    kind=ItemNumbers(),
    hints=(
        "The cosine of two vectors: their inner product, divided by both lengths. First make every vector length 1.",
        "unit = item_vectors / np.linalg.norm(item_vectors, axis=1, keepdims=True); then all cosines at once are one "
        "product of a matrix and a vector.",
        "np.argsort(-cosines) has the best first. Take the book itself out before you cut the list, and by its number: "
        "a book that points exactly the same way has cosine 1 too, and may stand first.",
    ),
    explanation="Popular books have long vectors. The inner product puts them near everything; the cosine looks at the "
    "direction alone. ALS has similar_items(item, k) for it.",
)
def similar_items(item, item_vectors, k):
    """The k items whose vectors have the highest cosine with that of `item`, best first, without the item itself.

    Parameters
    ----------
    item : int
        Number of the item: its vector is item_vectors[item].
    item_vectors : ndarray of float, shape (n_items, n_factors)
        No vector is zero.
    k : int
        Below n_items.

    Returns
    -------
    list of int
        Item numbers. ``similar_items(0, np.array([[1, 0], [9, 9], [2, 1]]), 1)`` is ``[2]``.
    """
    unit = item_vectors / np.linalg.norm(item_vectors, axis=1, keepdims=True)
    cosines = unit @ unit[item]
    cosines[item] = -np.inf
    return np.argsort(-cosines, kind="stable")[:k].tolist()


similar_items.case(
    *(0, np.array([[1.0, 0.0], [9.0, 9.0], [2.0, 1.0]]), 1),
    expect=[2],
    because="the cosine of 0 with 1 is 9 / (1 · 12.7) = 0.71, with 2 it is 2 / (1 · 2.24) = 0.89: [2]",
)
similar_items.case(
    *(1, np.array([[3.0, 0.0], [1.0, 0.1], [0.0, 1.0], [-1.0, 0.0]]), 3),
    expect=[0, 2, 3],
    because="0 points nearly the same way, 2 stands nearly at a right angle, 3 points away: [0, 2, 3]",
)
_SAME_WAY = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
similar_items.case(
    *(1, _SAME_WAY, 2),
    expect=[0, 3],
    because="0 points exactly the same way as 1 and has cosine 1, 3 has 0.71, 2 has 0: [0, 3]",
)
similar_items.case(
    *(0, _SAME_WAY, 2),
    expect=[1, 3],
    because="1 points exactly the same way as 0 and has cosine 1, 3 has 0.71, 2 has 0: [1, 3]",
)
similar_items.case(
    *(0, np.array([[1.0, 0.0], [-1.0, 0.0]]), 1),
    expect=[1],
    because="there is only one other; it points the opposite way, with a cosine of -1: [1]",
)
similar_items.case(
    *(0, np.array([[10.0, 0.0], [10.0, 1.0], [10.0, 0.6], [10.0, 0.3]]), 3),
    expect=[3, 2, 1],
    because="all point nearly the same way, with cosines of 0.9950, 0.9982 and 0.9996: [3, 2, 1]",
)


@similar_items.random_cases
def _vectors(rng):
    scale = np.exp(rng.normal(size=(12, 1)))
    return [(int(rng.integers(1, 11)), scale * rng.normal(size=(12, 3)).round(2), k) for k in (3, 5, 11, 4)]


def _cosines_with(item, item_vectors) -> np.ndarray:
    unit = item_vectors / np.linalg.norm(item_vectors, axis=1, keepdims=True)
    return unit @ unit[item]


def _nearest(item, scores, k) -> list[int]:
    scores = np.array(scores, dtype=float)
    scores[item] = -np.inf
    return np.argsort(-scores, kind="stable")[:k].tolist()


@similar_items.mistake(
    "You rank by the inner product, which favours long vectors. Divide by BOTH lengths for the cosine; dividing by one "
    "fixed length changes no order."
)
def _inner(item, item_vectors, k):
    return _nearest(item, item_vectors @ item_vectors[item], k)


@similar_items.mistake("You rank by distance: the cosine asks for the direction only, however long the vectors are.")
def _distance(item, item_vectors, k):
    return _nearest(item, -np.linalg.norm(item_vectors - item_vectors[item], axis=1), k)


@similar_items.mistake(
    "You drop the first of the list; that is not always the item itself: another may point exactly the same way. Take "
    "the item out by its number.",
    when=lambda got, item, vectors, k: item in got and sum(_cosines_with(item, vectors) > 1 - 1e-9) > 1,
)
def _first_dropped(item, item_vectors, k):
    return np.argsort(-_cosines_with(item, item_vectors), kind="stable")[1 : k + 1]


@similar_items.mistake(
    "Whatever has a cosine of nearly 1 is missing: you take the item out by its cosine. Others may have the same; take "
    "it out by its number.",
)
def _by_threshold(item, item_vectors, k):
    cosines = _cosines_with(item, item_vectors)
    return [i for i in np.argsort(-cosines, kind="stable") if cosines[i] < 0.9999][:k]


@similar_items.mistake(
    "You give the item itself the cosine -1; another one may have just that. Lower still is -np.inf."
)
def _minus_one(item, item_vectors, k):
    cosines = _cosines_with(item, item_vectors)
    cosines[item] = -1
    return np.argsort(-cosines, kind="stable")[:k]


@similar_items.mistake("You give the item itself the cosine 0, and others are below that. Lower than all is -np.inf.")
def _zero(item, item_vectors, k):
    cosines = _cosines_with(item, item_vectors)
    cosines[item] = 0
    return np.argsort(-cosines, kind="stable")[:k]


@similar_items.mistake("You round the cosines before you sort: items that differ in the third digit change places.")
def _rounded(item, item_vectors, k):
    return _nearest(item, _cosines_with(item, item_vectors).round(2), k)


@similar_items.mistake("You leave the sign out: an item that points the opposite way is the least similar one.")
def _unsigned(item, item_vectors, k):
    return _nearest(item, np.abs(_cosines_with(item, item_vectors)), k)


@similar_items.mistake(
    "Deleting the item moves up all those behind it: your numbers are places in the shortened list, not item numbers."
)
def _moved_up(item, item_vectors, k):
    return np.argsort(-np.delete(_cosines_with(item, item_vectors), item), kind="stable")[:k]


@similar_items.mistake("The item itself is in your list.", when=lambda got, item, vectors, k: item in got)
def _with_itself(item, item_vectors, k):
    return [item, *similar_items.reference(item, item_vectors, k - 1)]


@similar_items.mistake("Your list has one item too few: take the item itself out first, then cut.")
def _one_short(item, item_vectors, k):
    return similar_items.reference(item, item_vectors, k - 1) if k > 1 else []


@similar_items.mistake("Your list has one item too many.", when=lambda got, item, vectors, k: len(got) == k + 1)
def _one_long(item, item_vectors, k):
    return [item, *similar_items.reference(item, item_vectors, k)]


@similar_items.mistake("Your list begins with the least similar item: argsort goes upwards.")
def _worst_first(item, item_vectors, k):
    return similar_items.reference(item, item_vectors, len(item_vectors) - 1)[::-1][:k]


@similar_items.mistake("The right items, the worst of them first.")
def _upside_down(item, item_vectors, k):
    return similar_items.reference(item, item_vectors, k)[::-1]


@similar_items.mistake("You ignore k: all other items are in your list.")
def _all_items(item, item_vectors, k):
    return similar_items.reference(item, item_vectors, len(item_vectors) - 1)


@similar_items.mistake(
    "These are the cosines; asked for are the numbers of the items.",
    when=lambda got, *_: any(isinstance(x, float) or x < 0 for x in got),
)
def _cosines(item, item_vectors, k):
    return _cosines_with(item, item_vectors)[similar_items.reference(item, item_vectors, k)].tolist()


# 5.4 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "5.4",
    "Fold in a new session",
    minutes=10,
    difficulty="medium",
    kind=ItemNumbers(),
    hints=(
        "A session is a row of the matrix that came too late for the training. Count its clicks, turn the counts into "
        "confidences, then do what 5.2 does.",
        "np.bincount(clicked, minlength=n_items) counts the clicks on every item; alpha times that is the confidence.",
        "The score of an item is the inner product of its vector with the session's: item_vectors @ vector.",
        "Give the clicked items the score -np.inf, then np.argsort(-scores)[:k].",
    ),
    explanation="Nothing is learned anew: one small system of equations places somebody who came a second ago among "
    "books that were placed last night. ALS.score does this for every click of many sessions at once.",
)
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
        At most as many as are left without the clicked items.

    Returns
    -------
    list of int
        The items of the highest scores, best first, without those that were clicked.
        ``recommend_to_session([0], np.array([[1], [2], [-1], [3]]), 1, 10, 2)`` is ``[3, 1]``.
    """
    confidence = alpha * np.bincount(clicked, minlength=len(item_vectors))
    weight = np.where(confidence > 0, confidence, 1)
    left = (item_vectors * weight[:, None]).T @ item_vectors + regularization * np.eye(item_vectors.shape[1])
    vector = np.linalg.solve(left, item_vectors.T @ confidence)
    scores = item_vectors @ vector
    scores[clicked] = -np.inf
    return np.argsort(-scores, kind="stable")[:k].tolist()


recommend_to_session.case(
    *([0], np.array([[1.0], [2.0], [-1.0], [3.0]]), 1.0, 10.0, 2),
    expect=[3, 1],
    because="the session's one number x is above 0, because item 0 has a vector above 0. The scores are x, 2x, -x and "
    "3x; item 0 was clicked: [3, 1]",
)
_TWO_WAYS = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.1, 0.9]])
recommend_to_session.case(
    *([0, 1, 1], _TWO_WAYS, 1.0, 2.0, 2),
    expect=[3, 2],
    because="item 1 was clicked twice and item 0 once, so the vector leans to the second side, where item 3 is: [3, 2]",
)
recommend_to_session.case(
    *([0, 1, 0], _TWO_WAYS, 1.0, 2.0, 1),
    expect=[2],
    because="item 0 was clicked twice and item 1 once: the vector leans to the first side, where item 2 is: [2]",
)
recommend_to_session.case(
    *([0, 1, 1], np.array([[-1.0, 0.0], [3.0, 1.0], [1.0, 2.0], [0.0, 2.0], [2.0, 0.0]]), 4.0, 4.0, 3),
    expect=[2, 4, 3],
    because="the weights of the five are 4, 8, 1, 1, 1. left is [[85, 26], [26, 20]], with the 4 of the regularization "
    "on the diagonal; right is 4 · [-1, 0] + 8 · [3, 1] = [20, 8]. [0.1875, 0.15625] solves it, so items 2, 3 and 4 "
    "have the scores 0.5, 0.3125 and 0.375: [2, 4, 3]",
)
recommend_to_session.case(
    *([0], np.array([[1.0], [0.5], [-2.0]]), 1.0, 20.0, 2),
    expect=[1, 2],
    because="x is 20 / (20 + 0.25 + 4 + 1) = 0.79, so the scores of items 1 and 2 are 0.4 and -1.58; item 2 is "
    "the last, but nothing else is left: [1, 2]",
)


@recommend_to_session.random_cases
def _sessions(rng):
    cases = []
    for n_clicks, alpha in ((2, 2.5), (4, 0.4), (6, 4.0), (5, 0.4), (3, 2.5)):
        vectors = (rng.normal(size=(20, 4)) * np.exp(0.5 * rng.normal(size=(20, 1)))).round(2)
        clicked = rng.choice(20, n_clicks, replace=False).tolist()
        cases.append(([*clicked, clicked[0], clicked[0]], vectors, 2.0, alpha, 12))
    return cases


def _folded(clicked, item_vectors, regularization, alpha, k, **parts) -> list[int]:
    """The reference with one part exchanged."""
    counts = np.bincount(clicked, minlength=len(item_vectors))
    return _unclicked(clicked, item_vectors @ _solved(alpha * counts, item_vectors, regularization, **parts), k)


def _unclicked(clicked, scores, k) -> list[int]:
    scores = np.array(scores, dtype=float)
    scores[clicked] = -np.inf
    return np.argsort(-scores, kind="stable")[:k].tolist()


def _scored(clicked, item_vectors, regularization, alpha) -> np.ndarray:
    counts = np.bincount(clicked, minlength=len(item_vectors))
    return item_vectors @ _solved(alpha * counts, item_vectors, regularization)


@recommend_to_session.mistake(
    "You give clicked items the score -1, and others may be below that. Lower than all is -np.inf."
)
def _minus_one_clicked(clicked, item_vectors, regularization, alpha, k):
    scores = _scored(clicked, item_vectors, regularization, alpha)
    scores[clicked] = -1
    return np.argsort(-scores, kind="stable")[:k].tolist()


@recommend_to_session.mistake(
    "You give clicked items the score 0, and others are below that. Lower than all is -np.inf."
)
def _zero_clicked(clicked, item_vectors, regularization, alpha, k):
    scores = _scored(clicked, item_vectors, regularization, alpha)
    scores[clicked] = 0
    return np.argsort(-scores, kind="stable")[:k].tolist()


@recommend_to_session.mistake("You take out the last click only; all that were clicked have to go.")
def _last_excluded(clicked, item_vectors, regularization, alpha, k):
    return _unclicked(clicked[-1:], _scored(clicked, item_vectors, regularization, alpha), k)


@recommend_to_session.mistake(
    "Items that the session has clicked already are in your list.",
    when=lambda got, clicked, *_: bool(set(got) & set(clicked)),
)
def _with_clicked(clicked, item_vectors, regularization, alpha, k):
    return np.argsort(-_scored(clicked, item_vectors, regularization, alpha), kind="stable")[:k].tolist()


@recommend_to_session.mistake(
    "Your list is too short: take out what was clicked first, then cut it to k.",
    when=lambda got, clicked, vectors, regularization, alpha, k: len(got) < k,
)
def _cut_first(clicked, item_vectors, regularization, alpha, k):
    return [i for i in _with_clicked(clicked, item_vectors, regularization, alpha, k) if i not in clicked]


@recommend_to_session.mistake(
    "Deleting the clicked items moves up all those behind them: your numbers are places in the shortened list."
)
def _moved_up_clicked(clicked, item_vectors, regularization, alpha, k):
    scores = np.delete(_scored(clicked, item_vectors, regularization, alpha), clicked)
    return np.argsort(-scores, kind="stable")[:k].tolist()


@recommend_to_session.mistake(
    "These are the scores; asked for are the numbers of the items.",
    when=lambda got, *_: any(isinstance(x, float) or x < 0 for x in got),
)
def _scores_of_items(clicked, item_vectors, regularization, alpha, k):
    best = recommend_to_session.reference(clicked, item_vectors, regularization, alpha, k)
    return _scored(clicked, item_vectors, regularization, alpha)[best].tolist()


@recommend_to_session.mistake("The right items, the worst of them first.")
def _upside_down_session(clicked, item_vectors, regularization, alpha, k):
    return recommend_to_session.reference(clicked, item_vectors, regularization, alpha, k)[::-1]


@recommend_to_session.mistake("The confidence of an item with n clicks is alpha · n here, not 1 + alpha · n.")
def _one_more(clicked, item_vectors, regularization, alpha, k):
    counts = np.bincount(clicked, minlength=len(item_vectors))
    confidence = np.where(counts > 0, 1 + alpha * counts, 0)
    return _unclicked(clicked, item_vectors @ _solved(confidence, item_vectors, regularization), k)


@recommend_to_session.mistake(
    "A confidence below 1 is not the 1 of an item that was not clicked: alpha · n is all of the weight."
)
def _floored_session(clicked, item_vectors, regularization, alpha, k):
    confidence = alpha * np.bincount(clicked, minlength=len(item_vectors))
    return _folded(clicked, item_vectors, regularization, alpha, k, weight=np.maximum(confidence, 1))


@recommend_to_session.mistake("Your confidences are whole numbers: the array that you add alpha to cuts it off.")
def _whole_confidence(clicked, item_vectors, regularization, alpha, k):
    confidence = np.zeros(len(item_vectors), dtype=int)
    for item in clicked:
        confidence[item] += alpha
    return _unclicked(clicked, item_vectors @ _solved(confidence, item_vectors, regularization), k)


@recommend_to_session.mistake(
    "An item that was clicked twice counts once in your answer: the second click says something."
)
def _binary(clicked, item_vectors, regularization, alpha, k):
    return _folded(sorted(set(clicked)), item_vectors, regularization, alpha, k)


@recommend_to_session.mistake("You leave alpha out: a click has confidence alpha, not 1.")
def _no_alpha(clicked, item_vectors, regularization, alpha, k):
    return _folded(clicked, item_vectors, regularization, 1.0, k)


@recommend_to_session.mistake(
    "You take the mean of the clicked items' vectors: a fair guess, but not what ALS would solve."
)
def _mean(clicked, item_vectors, regularization, alpha, k):
    return _unclicked(clicked, item_vectors @ item_vectors[clicked].mean(axis=0), k)


@recommend_to_session.mistake("You take the last click only; ALS reads the whole session, whatever its order.")
def _last(clicked, item_vectors, regularization, alpha, k):
    counts = np.bincount(clicked[-1:], minlength=len(item_vectors))
    return _unclicked(clicked, item_vectors @ _solved(alpha * counts, item_vectors, regularization), k)


@recommend_to_session.mistake("Items that were not clicked have no weight in your answer; each of them counts with 1.")
def _only_clicked(clicked, item_vectors, regularization, alpha, k):
    confidence = alpha * np.bincount(clicked, minlength=len(item_vectors))
    return _folded(clicked, item_vectors, regularization, alpha, k, weight=confidence)


@recommend_to_session.mistake("There is no regularization in your answer.")
def _unregularized(clicked, item_vectors, regularization, alpha, k):
    return _folded(clicked, item_vectors, 0.0, alpha, k)


@recommend_to_session.mistake("Your list begins with the item of the lowest score: argsort goes upwards.")
def _lowest_first(clicked, item_vectors, regularization, alpha, k):
    n_left = len(item_vectors) - len(set(clicked))
    return recommend_to_session.reference(clicked, item_vectors, regularization, alpha, n_left)[::-1][:k]


@recommend_to_session.mistake("You ignore k: all items that are left are in your list.")
def _everything(clicked, item_vectors, regularization, alpha, k):
    return recommend_to_session.reference(clicked, item_vectors, regularization, alpha, len(item_vectors))[
        : len(item_vectors) - len(set(clicked))
    ]


# 5.5 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "5.5",
    "One step of BPR",
    minutes=10,
    difficulty="medium",
    extra=True,
    kind=Array(2),
    hints=(
        "First the pull: how far the pair still is from being right. It is 1/2 where both items score the same, near 0 "
        "where the liked one is far ahead, and near 1 where the other one is.",
        "pull = 1 / (1 + np.exp(user @ (liked - other))). The slope for the user is pull * (liked - other), for the "
        "liked item pull * user, for the other one -pull * user.",
        "Each vector gets learning_rate * (its slope - regularization * itself) added. Use the old user vector for "
        "all three: compute them before you overwrite any.",
    ),
    explanation="The derivative of ln σ(m) is 1 - σ(m) = σ(-m), which is the pull. A pair that is right by far hardly "
    "moves anything; a pair that is wrong moves all three vectors. implicit makes one such step for every filled "
    "cell in each iteration, each with an item drawn by chance.",
)
def bpr_step(user, liked, other, learning_rate, regularization):
    """One step uphill on ln σ(user · liked - user · other) - regularization / 2 · (all lengths squared).

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
    pull = 1 / (1 + np.exp(user @ (liked - other)))  # σ(-m)
    new_user = user + learning_rate * (pull * (liked - other) - regularization * user)
    new_liked = liked + learning_rate * (pull * user - regularization * liked)
    new_other = other + learning_rate * (-pull * user - regularization * other)
    return np.array([new_user, new_liked, new_other])


bpr_step.case(
    *(np.array([0.0, 0.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.1, 0.0),
    expect=[[0.05, -0.05], [1, 0], [0, 1]],
    because="both items score 0, so the pull is 1/2. The user moves by 0.1 · 1/2 · ([1, 0] - [0, 1]) = [0.05, -0.05]; "
    "the items move by 0.1 · 1/2 times the user, which is 0",
)
bpr_step.case(
    *(np.array([2.0]), np.array([1.0]), np.array([1.0]), 0.5, 0.1),
    expect=[[1.9], [1.45], [0.45]],
    because="the items score the same: the pull is 1/2. User: 2 + 0.5 · (0 - 0.1 · 2) = 1.9; liked: 1 + 0.5 · (1/2 · 2 "
    "- 0.1) = 1.45; other: 1 + 0.5 · (-1/2 · 2 - 0.1) = 0.45",
)


@bpr_step.random_cases
def _triples(rng):
    return [(*rng.normal(size=(3, n)).round(2), 0.2, 0.1) for n in (1, 2, 3, 4)]


def _stepped(user, liked, other, learning_rate, regularization, pull=None) -> np.ndarray:
    pull = 1 / (1 + np.exp(user @ (liked - other))) if pull is None else pull
    vectors, gradients = np.array([user, liked, other]), np.array([liked - other, user, -user])
    return vectors + learning_rate * (pull * gradients - regularization * vectors)


@bpr_step.mistake("You go downhill: the step is to make the liked item's lead larger.")
def _downhill(user, liked, other, learning_rate, regularization):
    return 2 * np.array([user, liked, other]) - _stepped(user, liked, other, learning_rate, regularization)


@bpr_step.mistake("Your pull grows where the pair is right already: it has to be σ(-m), not σ(m).")
def _wrong_pull(user, liked, other, learning_rate, regularization):
    pull = 1 / (1 + np.exp(-(user @ (liked - other))))
    return _stepped(user, liked, other, learning_rate, regularization, pull)


@bpr_step.mistake("Your pull is always 1: a pair that is right by far moves as much as one that is wrong.")
def _constant_pull(user, liked, other, learning_rate, regularization):
    return _stepped(user, liked, other, learning_rate, regularization, 1.0)


@bpr_step.mistake("There is no regularization in your answer.")
def _unbounded(user, liked, other, learning_rate, regularization):
    return _stepped(user, liked, other, learning_rate, 0.0)


@bpr_step.mistake("Your regularization makes the vectors longer; it has to pull them towards 0.")
def _longer(user, liked, other, learning_rate, regularization):
    return _stepped(user, liked, other, learning_rate, -regularization)


@bpr_step.mistake("The item that was not touched moves towards the user in your answer; it has to move away.")
def _both_near(user, liked, other, learning_rate, regularization):
    new = _stepped(user, liked, other, learning_rate, regularization)
    pull = 1 / (1 + np.exp(user @ (liked - other)))
    return np.array([new[0], new[1], other + learning_rate * (pull * user - regularization * other)])


@bpr_step.mistake("You move the items by the user's new vector; all three steps start from the old ones.")
def _one_by_one(user, liked, other, learning_rate, regularization):
    new = _stepped(user, liked, other, learning_rate, regularization)[0]
    pull = 1 / (1 + np.exp(user @ (liked - other)))
    return np.array(
        [
            new,
            liked + learning_rate * (pull * new - regularization * liked),
            other + learning_rate * (-pull * new - regularization * other),
        ]
    )


@bpr_step.mistake("Your regularization does not go through the learning rate: it shrinks the vectors by all of λ.")
def _unscaled(user, liked, other, learning_rate, regularization):
    return _stepped(user, liked, other, learning_rate, regularization / learning_rate)


@bpr_step.mistake("Your regularization is twice as strong: the derivative of λ / 2 · x² is λ x.")
def _doubled(user, liked, other, learning_rate, regularization):
    return _stepped(user, liked, other, learning_rate, 2 * regularization)


@bpr_step.mistake("Your regularization has half its strength: the derivative of λ / 2 · x² is λ x, without the 1/2.")
def _halved(user, liked, other, learning_rate, regularization):
    return _stepped(user, liked, other, learning_rate, regularization / 2)


@bpr_step.mistake("The last two vectors stand in the wrong order: user, liked, other.")
def _swapped(user, liked, other, learning_rate, regularization):
    return _stepped(user, liked, other, learning_rate, regularization)[[0, 2, 1]]


@bpr_step.mistake("These are the steps alone; asked for are the new vectors, old ones plus steps.")
def _steps_alone(user, liked, other, learning_rate, regularization):
    return _stepped(user, liked, other, learning_rate, regularization) - np.array([user, liked, other])


@bpr_step.mistake("These are the slopes; asked for are the new vectors: old ones plus learning rate times slope.")
def _slopes(user, liked, other, learning_rate, regularization):
    return _steps_alone(user, liked, other, learning_rate, regularization) / learning_rate


@bpr_step.mistake("The learning rate is missing in your answer: you go the whole slope.")
def _whole_slope(user, liked, other, learning_rate, regularization):
    return _stepped(user, liked, other, 1.0, regularization)


@bpr_step.mistake("Only the user moves in your answer; the two items learn as well.")
def _user_only(user, liked, other, learning_rate, regularization):
    return np.array([_stepped(user, liked, other, learning_rate, regularization)[0], liked, other])
