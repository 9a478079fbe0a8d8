"""Right and wrong answers to the exercises of lab 05."""

import numpy as np
import pandas as pd
from proof import Proof
from scipy import sparse
from scipy.spatial.distance import cdist

PROOF: dict[str, Proof] = {}


def _matrix_by_loop(strengths, users, items, fill=0.0):
    matrix = np.full((len(users), len(items)), fill)
    for line in strengths.itertuples():
        matrix[users.index(line.user_id), items.index(line.item_id)] = line.strength
    return matrix


def _matrix_by_pivot(strengths, users, items):
    wide = strengths.pivot(index="user_id", columns="item_id", values="strength")
    return wide.reindex(index=users, columns=items).fillna(0)


def _matrix_by_maps(strengths, users, items):
    row, column = ({name: i for i, name in enumerate(ids)} for ids in (users, items))
    cells = (strengths["user_id"].map(row), strengths["item_id"].map(column))
    return sparse.coo_matrix((strengths["strength"], cells), shape=(len(users), len(items)))


def _matrix_with_zeros_written_down(strengths, users, items):
    dense = _matrix_by_loop(strengths, users, items)
    rows, columns = np.indices(dense.shape)
    return sparse.csr_matrix((dense.ravel(), (rows.ravel(), columns.ravel())))


def _matrix_exchanged(strengths, users, items):
    row, column = ({name: i for i, name in enumerate(ids)} for ids in (users, items))
    cells = (strengths["item_id"].map(column), strengths["user_id"].map(row))
    return sparse.coo_matrix((strengths["strength"], cells), shape=(len(users), len(items)))


PROOF["user_item_matrix"] = Proof(
    right=[
        *(_matrix_by_loop, _matrix_by_pivot, _matrix_by_maps, lambda *a: _matrix_by_maps(*a).tocsc()),
        *(_matrix_with_zeros_written_down, lambda *a: tuple(map(tuple, _matrix_by_loop(*a).tolist()))),
    ],
    wrong=[
        (lambda s, u, i: _matrix_by_loop(s, u, i).T, "transposed"),
        (lambda s, u, i: s.pivot_table(index="user_id", columns="item_id", values="strength", fill_value=0), "pivot"),
        (lambda s, u, i: _matrix_by_pivot(s, u, i[:-1]), "another shape"),
        (lambda s, u, i: _matrix_by_loop(s, sorted(u), sorted(i)), "sorted by id"),
        (lambda s, u, i: (_matrix_by_loop(s, u, i) > 0).astype(int), "where is the strength"),
        (lambda s, u, i: _matrix_by_loop(s, u, i, fill=np.nan), "nan"),
        (lambda s, u, i: sparse.csr_matrix((s.strength, (s.user_id, s.item_id)), shape=(len(u), len(i))), "the ids"),
        (lambda s, u, i: s, "Came"),
        (_matrix_exchanged, "columns first and the rows second"),
        (lambda s, u, i: _matrix_by_loop(s, sorted(u), i), "rows are sorted by user id"),
        (lambda s, u, i: _matrix_by_loop(s, u, sorted(i)), "columns are sorted by item id"),
        (lambda s, u, i: _matrix_by_loop(s, u, i).astype(int), "a dtype"),
        (lambda s, u, i: _matrix_by_loop(s, u, i).round(), "a dtype"),
        (lambda s, u, i: _matrix_by_loop(s, u, i).astype(np.float16), "a dtype"),
    ],
)


def _vector_by_loop(confidence, item_vectors, regularization, empty=1.0, reached=None, table=np.outer, diagonal=None):
    n_factors = item_vectors.shape[1]
    left = regularization * (np.identity(n_factors) if diagonal is None else diagonal)
    right = np.zeros(n_factors)
    for c, y in zip(confidence, item_vectors, strict=True):
        left = left + (c if c > 0 else empty) * table(y, y)
        right = right + (c if reached is None else reached(c)) * y
    return np.linalg.inv(left) @ right


def _vector_by_diag(confidence, item_vectors, regularization):
    weights = np.diag(np.maximum(confidence, (confidence == 0) * 1.0))
    left = item_vectors.T @ weights @ item_vectors + regularization * np.eye(item_vectors.shape[1])
    return np.linalg.solve(left, item_vectors.T @ weights @ (confidence > 0))


def _vector_by_least_squares(confidence, item_vectors, regularization):
    """Ridge regression as plain least squares with rows added for the regularization."""
    root = np.sqrt(np.where(confidence > 0, confidence, 1))
    n_factors = item_vectors.shape[1]
    rows = np.vstack([item_vectors * root[:, None], np.sqrt(regularization) * np.eye(n_factors)])
    wanted = np.append(root * (confidence > 0), np.zeros(n_factors))
    return np.linalg.lstsq(rows, wanted, rcond=None)[0].tolist()


def _vector_as_implicit(confidence, item_vectors, regularization):
    gram = item_vectors.T @ item_vectors
    touched = confidence > 0
    y, c = item_vectors[touched], confidence[touched]
    return np.linalg.solve(gram + (y.T * (c - 1)) @ y + regularization * np.eye(len(gram)), c @ y)


def _vector_floored(confidence, item_vectors, regularization):
    left = sum(max(c, 1) * np.outer(y, y) for c, y in zip(confidence, item_vectors, strict=True))
    return np.linalg.inv(left + regularization * np.eye(item_vectors.shape[1])) @ item_vectors.T @ confidence


PROOF["user_vector"] = Proof(
    right=[_vector_by_loop, _vector_by_diag, _vector_by_least_squares, _vector_as_implicit],
    wrong=[
        (lambda c, y, r: _vector_by_loop(c, y, r, empty=0.0), "The empty cells have no weight"),
        (lambda c, y, r: _vector_by_loop(c, y, 1e-9), "no regularization"),
        (lambda c, y, r: _vector_by_loop(c, y, r, reached=lambda c: c * c), "What is to be reached is 1"),
        (lambda c, y, r: _vector_by_loop(c, y, r, reached=lambda c: float(c > 0)), "right side leaves"),
        (lambda c, y, r: np.linalg.solve(y.T @ y + r * np.eye(y.shape[1]), y.T @ (c > 0)), "on both sides"),
        (lambda c, y, r: np.linalg.solve(y.T @ y + r * np.eye(y.shape[1]), y.T @ c), "left side leaves"),
        (lambda c, y, r: np.linalg.solve((y.T * np.where(c > 0, c, 1)) @ y + r, y.T @ c), "on the diagonal only"),
        (lambda c, y, r: y @ _vector_by_loop(c, y, r), "the scores of all books"),
        (lambda c, y, r: _vector_by_loop(c, y, r)[:, None], "one dimension"),
        (lambda c, y, r: y[c > 0].mean(axis=0) if (c > 0).any() else y[0] * 0, "Came"),
        (lambda c, y, r: _vector_by_loop(c, y, r, table=lambda a, b: a @ b.T), "single number"),
        (lambda c, y, r: _vector_by_loop(c, y, r, table=lambda a, b: a * b), "each number by itself only"),
        (lambda c, y, r: _vector_by_loop(c, y, r, table=lambda a, b: np.diag(a**2)), "nothing beside its diagonal"),
        (lambda c, y, r: _vector_by_loop(c, y, r * len(c)), "once for every book"),
        (lambda c, y, r: _vector_by_loop(c, y, r * np.count_nonzero(c)), "every touched book"),
        (lambda c, y, r: _vector_by_loop(c, y, r, diagonal=np.eye(8)), "item_vectors.shape[1]"),
        (_vector_floored, "however weakly"),
        (lambda c, y, r: _vector_by_loop(c, y, r, reached=lambda c: c if c >= 1 else 0), "was touched too"),
        (lambda c, y, r: _vector_by_loop([int(x) for x in c], y, r), "2.5 has to stay 2.5"),
    ],
)


def _cosines(item, vectors):
    return 1 - cdist(vectors[[item]], vectors, metric="cosine")[0]


def _similar_by_sorting(item, item_vectors, k):
    cosines = _cosines(item, item_vectors)
    others = [i for i in range(len(item_vectors)) if i != item]
    return sorted(others, key=lambda i: -cosines[i])[:k]


def _similar_by_angle(item, item_vectors, k):
    """Among vectors of length 1, near by distance is near by cosine."""
    unit = item_vectors / np.sqrt((item_vectors**2).sum(axis=1, keepdims=True))
    apart = pd.Series(((unit - unit[item]) ** 2).sum(axis=1)).drop(item)
    return apart.nsmallest(k).index


def _similar_by_products(item, item_vectors, k):
    lengths = np.linalg.norm(item_vectors, axis=1)
    return item_vectors @ item_vectors[item] / (lengths * lengths[item])


def _without_itself(item, cosines, k, low):
    cosines[item] = low
    return np.argsort(-cosines, kind="stable")[:k]


PROOF["similar_items"] = Proof(
    right=[
        *(_similar_by_sorting, _similar_by_angle),
        lambda i, v, k: _without_itself(i, _similar_by_products(i, v, k), k, -2),
        lambda i, v, k: [j.item() for j in np.argsort(-_similar_by_products(i, v, k)) if j != i][:k],
    ],
    wrong=[
        (lambda i, v, k: [j for j in np.argsort(-(v @ v[i])) if j != i][:k], "inner product"),
        (lambda i, v, k: [j for j in np.argsort(-(v @ v[i]) / np.linalg.norm(v[i])) if j != i][:k], "inner product"),
        (lambda i, v, k: np.argsort(-_cosines(i, v))[:k], "itself"),
        (lambda i, v, k: _similar_by_sorting(i, v, k - 1), "one item too few"),
        (lambda i, v, k: np.argsort(_cosines(i, v))[:k], "goes upwards"),
        (lambda i, v, k: _similar_by_sorting(i, v, k)[::-1], "worst of them first"),
        (lambda i, v, k: np.argsort(-_similar_by_products(i, v, k), kind="stable")[1 : k + 1], "drop the first"),
        (lambda i, v, k: np.argsort(_similar_by_products(i, v, k))[::-1][1 : k + 1], "drop the first"),
        (
            lambda i, v, k: [j for j in np.argsort(-_similar_by_products(i, v, k)) if _cosines(i, v)[j] < 0.9999][:k],
            "by its cosine",
        ),
        (lambda i, v, k: _without_itself(i, _similar_by_products(i, v, k), k, -1), "the cosine -1"),
        (lambda i, v, k: _without_itself(i, _similar_by_products(i, v, k), k, 0), "the cosine 0"),
        (lambda i, v, k: _without_itself(i, np.round(_cosines(i, v), 2), k, -9), "round the cosines"),
        (lambda i, v, k: _without_itself(i, abs(_similar_by_products(i, v, k)), k, -1), "the opposite way"),
        (lambda i, v, k: np.argsort(-np.delete(_cosines(i, v), i))[:k], "places in the shortened list"),
        (lambda i, v, k: [j for j in np.argsort(-_cosines(i, v)) if j != i][: k + 1], "one item too many"),
        (lambda i, v, k: np.array(_similar_by_sorting(i, v, k), dtype=float), "make it int"),
        (lambda i, v, k: _without_itself(i, -cdist(v[[i]], v)[0], k, -np.inf), "by distance"),
        (lambda i, v, k: np.sort(_cosines(i, v))[::-1][1 : k + 1], "These are the cosines"),
        (lambda i, v, k: set(_similar_by_sorting(i, v, k)), "no order"),
    ],
)


def _session_by_loop(clicked, item_vectors, regularization, alpha, k, solve=_vector_by_loop, counted=None):
    counts = np.zeros(len(item_vectors))
    for item in clicked if counted is None else counted(clicked):
        counts[item] += 1
    scores = item_vectors @ solve(alpha * counts, item_vectors, regularization)
    best = [int(i) for i in np.argsort(-scores, kind="stable") if i not in clicked]
    return best[:k]


def _session_with_clicked(clicked, item_vectors, regularization, alpha, k):
    counts = pd.Series(clicked).value_counts().reindex(range(len(item_vectors)), fill_value=0).to_numpy(float)
    return np.argsort(-(item_vectors @ _vector_as_implicit(alpha * counts, item_vectors, regularization)))[:k]


def _session_sentinel(clicked, item_vectors, regularization, alpha, k, low=-np.inf, cut=None):
    confidence = alpha * np.bincount(clicked, minlength=len(item_vectors))
    scores = item_vectors @ _vector_by_loop(confidence, item_vectors, regularization)
    if cut is not None:
        return cut(scores)
    scores[clicked] = low
    return np.argsort(-scores, kind="stable")[:k]


def _session_added_up(clicked, item_vectors, regularization, alpha, k, dtype=float, more=0):
    confidence = np.zeros(len(item_vectors), dtype=dtype)
    for item in clicked:
        confidence[item] += alpha
    confidence[np.unique(clicked)] += more
    scores = item_vectors @ _vector_as_implicit(confidence, item_vectors, regularization)
    return [i for i in np.argsort(-scores) if i not in clicked][:k]


def _only_clicked(c, y, r):
    return _vector_by_loop(c, y, r, empty=0.0)


PROOF["recommend_to_session"] = Proof(
    right=[
        *(_session_by_loop, lambda *args: pd.Series(_session_by_loop(*args, solve=_vector_as_implicit))),
        *(_session_sentinel, _session_added_up),
    ],
    wrong=[
        (_session_with_clicked, "has clicked already"),
        (lambda *args: _session_by_loop(*args, counted=set), "counts once"),
        (lambda s, y, r, a, k: _session_by_loop(s, y, r, 1, k), "leave alpha out"),
        (lambda *args: _session_by_loop(*args, counted=lambda s: s[-1:]), "last click only"),
        (lambda *args: _session_by_loop(*args, solve=_only_clicked), "have no weight"),
        (lambda s, y, r, a, k: _session_by_loop(s, y, 1e-9, a, k), "no regularization"),
        (lambda s, y, r, a, k: _session_by_loop(s, y, r, a, 99), "ignore k"),
        (
            lambda s, y, r, a, k: [i for i in np.argsort(-(y @ np.mean([y[j] for j in s], axis=0))) if i not in s][:k],
            "the mean of the clicked",
        ),
        (lambda s, y, r, a, k: _session_by_loop(s, y, r, a, 99)[::-1][:k], "lowest score"),
        (lambda *args: _session_sentinel(*args, low=-1), "the score -1"),
        (lambda *args: _session_sentinel(*args, low=0), "the score 0"),
        (lambda *args: _session_by_loop(*args)[::-1], "worst of them first"),
        (
            lambda s, *rest: _session_sentinel(
                s, *rest, cut=lambda scores: np.argsort(-np.delete(scores, list(set(s))))[: rest[-1]]
            ),
            "places in the shortened list",
        ),
        (lambda *args: _session_sentinel(*args, cut=lambda s: -np.sort(-s)[: args[-1]]), "These are the scores"),
        (lambda s, *rest: [i for i in _session_with_clicked(s, *rest) if i not in s], "too short"),
        (
            lambda s, *rest: _session_sentinel(
                s, *rest, cut=lambda scores: [i for i in np.argsort(-scores) if i != s[-1]][: rest[-1]]
            ),
            "the last click only",
        ),
        (lambda *args: _session_added_up(*args, more=1), "not 1 + alpha"),
        (lambda *args: _session_added_up(*args, dtype=int), "whole numbers"),
        (lambda *args: _session_by_loop(*args, solve=_vector_floored), "below 1"),
        (lambda *args: [float(i) for i in _session_by_loop(*args)], "make it int"),
    ],
)


def _step_by_numbers(user, liked, other, learning_rate, regularization):
    """The same gradients by central differences."""
    start, h = np.array([user, liked, other]), 1e-6

    def aim(x):
        margin = x[0] @ x[1] - x[0] @ x[2]
        return -np.log1p(np.exp(-margin)) - regularization / 2 * (x**2).sum()

    gradient = np.zeros_like(start)
    for place in np.ndindex(*start.shape):
        shift = np.zeros_like(start)
        shift[place] = h
        gradient[place] = (aim(start + shift) - aim(start - shift)) / (2 * h)
    return start + learning_rate * gradient


def _step_by_loop(user, liked, other, learning_rate, regularization, sign=1):
    margin = sum(u * (a - b) for u, a, b in zip(user, liked, other, strict=True))
    pull = 1 - 1 / (1 + np.exp(-sign * margin))
    a, b = learning_rate * pull, 1 - learning_rate * regularization
    return [
        [b * u + a * (i - j) for u, i, j in zip(user, liked, other, strict=True)],
        [b * i + a * u for u, i in zip(user, liked, strict=True)],
        [b * j - a * u for u, j in zip(user, other, strict=True)],
    ]


def _in_sequence(user, liked, other, learning_rate, regularization):
    pull = 1 / (1 + np.exp(user @ (liked - other)))
    user = user + learning_rate * (pull * (liked - other) - regularization * user)
    liked = liked + learning_rate * (pull * user - regularization * liked)
    return user, liked, other + learning_rate * (-pull * user - regularization * other)


PROOF["bpr_step"] = Proof(
    right=[_step_by_numbers, _step_by_loop],
    wrong=[
        (lambda u, i, j, lr, reg: _step_by_loop(u, i, j, -lr, reg), "You go downhill"),
        (lambda *args: _step_by_loop(*args, sign=-1), "grows where the pair is right"),
        (lambda u, i, j, lr, reg: _step_by_loop(u, i, j, lr, 0), "no regularization"),
        (lambda u, i, j, lr, reg: _step_by_loop(u, i, j, lr, -reg), "vectors longer"),
        (_in_sequence, "the user's new vector"),
        (lambda u, i, j, lr, reg: [_step_by_loop(u, i, j, lr, reg)[0], i, j], "Only the user moves"),
        (lambda *args: _step_by_loop(*args)[0], "numbers in rows and columns"),
        (lambda u, i, j, lr, reg: _step_by_loop(u, i, j, lr, reg / lr), "through the learning rate"),
        (lambda u, i, j, lr, reg: _step_by_loop(u, i, j, lr, reg + reg), "twice as strong"),
        (lambda u, i, j, lr, reg: _step_by_loop(u, i, j, lr, 0.5 * reg), "half its strength"),
        (lambda *args: [_step_by_loop(*args)[n] for n in (0, 2, 1)], "the wrong order"),
        (lambda *args: np.array(_step_by_loop(*args)) - np.array(args[:3]), "the steps alone"),
        (lambda *args: (np.array(_step_by_loop(*args)) - np.array(args[:3])) / args[3], "the slopes"),
        (lambda u, i, j, lr, reg: _step_by_loop(u, i, j, 1, reg), "learning rate is missing"),
    ],
)
