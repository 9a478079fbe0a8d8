"""Lab 06, "The session model: GRU4Rec": the cell, the lanes, the losses, and tests that catch real mistakes."""

from __future__ import annotations

import numpy as np

from recsys_lab.bug_museum import (
    Answers,
    Exchanged,
    LeftPadded,
    Loss,
    NeverReset,
    RoundedAnswers,
    RoundedLoss,
    Shifted,
    StillDropping,
    TargetIsWrong,
    TargetUncorrected,
    WrongSign,
)
from recsys_lab.checks.exercise import Lab
from recsys_lab.checks.kinds import Array, Number, Verdict

lab = Lab("06", "The session model: GRU4Rec")
answers, progress, __getattr__ = lab.answers, lab.progress, lab.attribute


# 6.1 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "6.1",
    "A GRU cell",
    minutes=12,
    difficulty="medium",
    kind=Array(1, tolerance=1e-6),
    hints=(
        "First both products, with their biases: w_ih @ x + b comes from the click, w_hh @ h + c from the memory. Each "
        "has 3 · n_units numbers: a third for r, one for z, one for n. `b, c = biases` takes the two rows apart.",
        "np.split(numbers, 3) cuts them into the three. r and z are sigmoids of the sum of both parts.",
        "In n the memory's part, its bias included, is multiplied by r before it is added. Then tanh.",
        "The new state takes 1 - z of n and z of the old state.",
    ),
    explanation="With z near 1 a unit keeps what it knows, whatever was clicked; with z near 0 it starts afresh; and r "
    "says how much of the old state the new idea n may use. All three are learned. This is the form of "
    "torch.nn.GRUCell; the first paper on GRUs multiplies by r before the product instead of after it.",
)
def gru_cell(x, h, w_ih, w_hh, biases):
    """The state after one more click.

    Parameters
    ----------
    x : ndarray of float, shape (n_inputs,)
        Embedding of the clicked item.
    h : ndarray of float, shape (n_units,)
        The state before.
    w_ih, w_hh : ndarray of float, shape (3 * n_units, n_inputs) and (3 * n_units, n_units)
        W and U: rows for r first, then those for z, then those for n.
    biases : ndarray of float, shape (2, 3 * n_units)
        b in the first row, c in the second, in the same order.

    Returns
    -------
    ndarray of float, shape (n_units,)
        With all weights and biases 0, r = z = 0.5 and n = 0, so that the new state is h / 2.
    """
    b, c = biases
    from_click = np.split(w_ih @ x + b, 3)
    from_memory = np.split(w_hh @ h + c, 3)
    r = 1 / (1 + np.exp(-(from_click[0] + from_memory[0])))
    z = 1 / (1 + np.exp(-(from_click[1] + from_memory[1])))
    n = np.tanh(from_click[2] + r * from_memory[2])
    return (1 - z) * n + z * h


def _one_unit(w=(0.0, 0.0, 0.0), u=(0.0, 0.0, 0.0), b=(0.0, 0.0, 0.0), c=(0.0, 0.0, 0.0)):
    """Weights of a cell with one input and one unit."""
    return np.array(w)[:, None], np.array(u)[:, None], np.array([b, c], float)


gru_cell.case(
    *(np.array([1.0]), np.array([0.8]), *_one_unit()),
    expect=[0.4],
    because="all weights are 0, so r = z = 0.5 and n = 0: 0.5 · 0 + 0.5 · 0.8",
)
gru_cell.case(
    *(np.array([1.0]), np.array([0.8]), *_one_unit(b=(0, 30, 0), w=(0, 0, 5))),
    expect=[0.8],
    because="the bias of z is 30, so z = 1: the unit keeps its 0.8, whatever was clicked",
)
gru_cell.case(
    *(np.array([0.5]), np.array([0.8]), *_one_unit(w=(0, 0, 1), u=(0, 0, 7), b=(-30, -30, 0))),
    expect=[np.tanh(0.5)],
    because="r and z have a bias of -30, so both are 0: the new state is n = tanh(1 · 0.5), without a trace of h",
)
gru_cell.case(
    *(np.array([0.5]), np.array([0.8]), *_one_unit(u=(0, 0, 1), b=(30, -30, 0), c=(0, 0, -0.2))),
    expect=[np.tanh(0.6)],
    because="r = 1 and z = 0: the new state is n = tanh(0 + 1 · (1 · 0.8 - 0.2)) = tanh(0.6)",
)


@gru_cell.random_cases
def _cells(rng):
    cases = []
    for n_inputs, n in ((3, 2), (2, 4), (4, 4), (5, 3)):
        shapes = ((n_inputs,), (n,), (3 * n, n_inputs), (3 * n, n), (2, 3 * n))
        cases.append(tuple(rng.normal(size=shape) for shape in shapes))
    return cases


def _sigmoid(a):
    return 1 / (1 + np.exp(-a))


def _cell(x, h, w_ih, w_hh, biases, order=(0, 1, 2), gate=_sigmoid, idea=None, blend=None, squash=np.tanh):
    """A cell in which something may be otherwise."""
    i, m = np.split(w_ih @ x + biases[0], 3), np.split(w_hh @ h + biases[1], 3)
    i, m = [i[k] for k in order], [m[k] for k in order]
    r, z = gate(i[0] + m[0]), gate(i[1] + m[1])
    n = squash(idea(i[2], m[2], r) if idea else i[2] + r * m[2])
    return blend(z, n, h) if blend else (1 - z) * n + z * h


@gru_cell.mistake("z is the wrong way round: with z near 1 the cell keeps its old state, (1 - z) of the rest is new.")
def _swapped_blend(*args):
    return _cell(*args, blend=lambda z, n, h: z * n + (1 - z) * h)


@gru_cell.mistake("The gate r is missing: n uses all of the old state.")
def _no_reset_gate(*args):
    return _cell(*args, idea=lambda i, m, r: i + m)


@gru_cell.mistake("You multiply h by r before the product with U; here r multiplies what comes out of it.")
def _reset_before(x, h, w_ih, w_hh, biases):
    r, z = np.split(_sigmoid((w_ih @ x + w_hh @ h + biases.sum(0))[: 2 * len(h)]), 2)
    tail = slice(2 * len(h), None)
    n = np.tanh(w_ih[tail] @ x + w_hh[tail] @ (r * h) + biases.sum(0)[tail])
    return (1 - z) * n + z * h


@gru_cell.mistake("r multiplies the click's part as well; it only says how much of the memory is used.")
def _reset_all(*args):
    return _cell(*args, idea=lambda i, m, r: r * (i + m))


@gru_cell.mistake("r stands at the click's part; it belongs to the memory's.")
def _reset_click(*args):
    return _cell(*args, idea=lambda i, m, r: r * i + m)


@gru_cell.mistake("The bias c of n stands outside of r: in n, r multiplies U h + c.")
def _bias_outside(x, h, w_ih, w_hh, biases):
    c = biases[1, 2 * len(h) :]
    return _cell(x, h, w_ih, w_hh, biases, idea=lambda i, m, r: i + r * (m - c) + c)


@gru_cell.mistake("You cut the rows in another order: z stands first in your cell, and r second.")
def _z_first(*args):
    return _cell(*args, order=(1, 0, 2))


@gru_cell.mistake("You cut the rows in another order: n stands first in your cell.")
def _n_first(*args):
    return _cell(*args, order=(1, 2, 0))


@gru_cell.mistake("n has a sigmoid in your cell; it is a tanh, so that the state can be negative too.")
def _sigmoid_idea(*args):
    return _cell(*args, squash=_sigmoid)


@gru_cell.mistake("The tanh of n is missing: without it the state can grow without end.")
def _no_tanh(*args):
    return _cell(*args, squash=lambda a: a)


@gru_cell.mistake("Your gates are tanh; a gate is a sigmoid, between 0 (shut) and 1 (open).")
def _tanh_gates(*args):
    return _cell(*args, gate=np.tanh)


@gru_cell.mistake("Your sigmoid has exp(a) where exp(-a) belongs: the gates shut where they should open.")
def _exp_plus(*args):
    return _cell(*args, gate=lambda a: 1 / (1 + np.exp(a)))


@gru_cell.mistake("The biases of the memory, c, are nowhere in your answer.")
def _no_memory_bias(x, h, w_ih, w_hh, biases):
    return _cell(x, h, w_ih, w_hh, biases * [[1], [0]])


@gru_cell.mistake("There are no biases in your answer.")
def _no_bias(x, h, w_ih, w_hh, biases):
    return _cell(x, h, w_ih, w_hh, 0 * biases)


@gru_cell.mistake("You return n, the new idea; the state is a blend of n and of what it was before.")
def _only_idea(*args):
    return _cell(*args, blend=lambda z, n, h: n)


# 6.2 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "6.2",
    "Sessions side by side",
    minutes=18,
    difficulty="medium",
    kind=Array(2),
    hints=(
        "A session of four clicks gives three steps: from each click but the last to the click after it.",
        "Keep for each lane what is left of its session, as a list. As long as two clicks are left, the first of them "
        "is the one clicked and the second the target; afterwards drop the first.",
        "At each step, go through the lanes: if fewer than two clicks are left in a lane, take the next waiting "
        "session (and is_first is True), if there is one. Then add the lane's row, if it has two clicks.",
        "Go on while sessions are waiting or any lane has two clicks left. Sessions of one click never sit down.",
    ),
    explanation="Every step has as many rows as there are lanes, until the sessions run out: nothing is padded. Where "
    "is_first is True the lane's state is set to zero before the click is read, in that lane and in no other. "
    "recsys_lab.models.gru4rec_plain.session_parallel does the same as a generator.",
)
def side_by_side(sessions, n_lanes):
    """Rows (step, lane, clicked, target, is_first) of session-parallel batches, by step and then by lane.

    Parameters
    ----------
    sessions : list of list of int
        Item numbers. The first sessions take the lanes 0, 1, 2, ... in their order. Where a session has ended, the next
        waiting one takes its lane at the next step; of several free lanes, the lowest comes first. A session of a
        single click has no target and is passed over.
    n_lanes : int

    Returns
    -------
    list of tuple
        One row for each lane that has a session, at each step; is_first is True at a session's first click.
        ``side_by_side([[5, 6, 7], [8, 9]], 1)`` is
        ``[(0, 0, 5, 6, True), (1, 0, 6, 7, False), (2, 0, 8, 9, True)]``.
    """
    waiting = [list(session) for session in sessions if len(session) > 1]
    left, plan, step = [[] for _ in range(n_lanes)], [], 0
    while waiting or any(len(clicks) > 1 for clicks in left):
        for lane in range(n_lanes):
            is_first = len(left[lane]) < 2 and len(waiting) > 0
            if is_first:
                left[lane] = waiting.pop(0)
            if len(left[lane]) > 1:
                plan.append((step, lane, left[lane][0], left[lane][1], is_first))
                left[lane] = left[lane][1:]
        step += 1
    return plan


side_by_side.case(
    *([[5, 6, 7], [8, 9]], 1),
    expect=[(0, 0, 5, 6, True), (1, 0, 6, 7, False), (2, 0, 8, 9, True)],
    because="one lane: 5 → 6 and 6 → 7, then the next session, 8 → 9, with its first click. Never 7 → 8: that would go "
    "from one session into another",
)
side_by_side.case(
    *([[1, 2], [3, 4, 5], [6, 7]], 2),
    expect=[(0, 0, 1, 2, True), (0, 1, 3, 4, True), (1, 0, 6, 7, True), (1, 1, 4, 5, False)],
    because="the first session is over after one step; at step 1 lane 0 begins with 6 while lane 1 goes on: only lane "
    "0 has a first click there",
)
side_by_side.case(
    *([[1, 2], [3, 4], [5, 6, 7], [8, 9]], 2),
    expect=[(0, 0, 1, 2, True), (0, 1, 3, 4, True), (1, 0, 5, 6, True), (1, 1, 8, 9, True), (2, 0, 6, 7, False)],
    because="after one step both lanes are free: lane 0 gets the next session in the queue, lane 1 the one after it. "
    "At step 2 only lane 0 goes on",
)
side_by_side.case(
    *([[4], [1, 2, 3], [5]], 2),
    expect=[(0, 0, 1, 2, True), (1, 0, 2, 3, False)],
    because="sessions of one click are passed over, so [1, 2, 3] takes lane 0 and lane 1 has nobody",
)


@side_by_side.random_cases
def _sessions(rng):
    cases = [([[9, 8, 9, 8, 9, 7], [1, 2, 2], [3, 3, 4, 5], [6], [5, 4]], 3)]
    for n_lanes in (1, 2, 3, 4, 2):
        lengths = rng.integers(1, 6, 9)
        cases.append(([rng.integers(0, 10, n).tolist() for n in lengths] + [[1, 2, 3, 4, 5, 6]], n_lanes))
    return cases


def _lanes(sessions, n_lanes, *, mark=lambda fresh, step, last: fresh, wait=False, stop=False, gap=0, keep=1):
    """Side by side, with something otherwise."""
    waiting, left, rows, step = [list(s) for s in sessions if len(s) > keep], [[]] * n_lanes, [], 0
    pause = [0] * n_lanes
    while waiting or any(len(clicks) > 1 for clicks in left):
        all_done = not any(len(clicks) > 1 for clicks in left)
        for lane in range(n_lanes):
            fresh = len(left[lane]) < 2 and bool(waiting) and (all_done or not wait) and pause[lane] == 0
            pause[lane] = max(0, pause[lane] - 1)
            if fresh:
                left[lane] = waiting.pop(0)
            elif len(left[lane]) < 2 and not waiting and stop and step:
                return [row for row in rows if row[0] < step]
            if len(left[lane]) > 1:
                rows.append((step, lane, *left[lane][:2], mark(fresh, step, len(left[lane]) == 2)))
                left[lane] = left[lane][1:]
                pause[lane] = gap * (len(left[lane]) < 2)
        step += 1
    return rows


@side_by_side.mistake(
    "You go from the last click of a session to the first one of the next: nobody ever made that step."
)
def _across(sessions, n_lanes):
    queue, lanes = [s for s in sessions if len(s) > 1], [[] for _ in range(n_lanes)]
    for session in queue:
        min(lanes, key=len).extend((item, k == 0) for k, item in enumerate(session))
    longest = max(map(len, lanes))
    return [
        (t, b, lanes[b][t][0], lanes[b][t + 1][0], lanes[b][t][1])
        for t in range(longest)
        for b in range(n_lanes)
        if t + 1 < len(lanes[b])
    ]


@side_by_side.mistake(
    "is_first is True at step 0 only: a session that begins later would go on with a stranger's memory."
)
def _first_step_only(sessions, n_lanes):
    return _lanes(sessions, n_lanes, mark=lambda fresh, step, last: step == 0)


@side_by_side.mistake("is_first is never True, so no session ever starts with an empty memory.")
def _never_first(sessions, n_lanes):
    return _lanes(sessions, n_lanes, mark=lambda fresh, step, last: False)


@side_by_side.mistake("Your is_first marks the last step of a session; it marks the first.")
def _marks_last(sessions, n_lanes):
    return _lanes(sessions, n_lanes, mark=lambda fresh, step, last: last)


@side_by_side.mistake("Your is_first comes one step late: it marks the second click of a session instead of the first.")
def _second_click(sessions, n_lanes):
    rows = side_by_side.reference(sessions, n_lanes)
    begins = {row[:2] for row in rows if row[4]}
    return [(*row[:4], not row[4] and (row[0] - 1, row[1]) in begins) for row in rows]


@side_by_side.mistake("Your is_first comes one row late in its lane: it tells of the row before.")
def _mark_late(sessions, n_lanes):
    rows = side_by_side.reference(sessions, n_lanes)
    begins = {row[:2] for row in rows if row[4]}
    return [(*row[:4], (row[0] - 1, row[1]) in begins) for row in rows]


@side_by_side.mistake("is_first is True in every row: the memory would be emptied at each click, and nothing be kept.")
def _always_first(sessions, n_lanes):
    return _lanes(sessions, n_lanes, mark=lambda fresh, step, last: True)


@side_by_side.mistake(
    "You look up where the clicked item stands in its session. An item that is clicked twice is found at its first "
    "place both times: go by the place, not by the item."
)
def _by_item(sessions, n_lanes):
    kept, rows = [s for s in sessions if len(s) > 1], []
    places = [[(number, place) for place in range(len(s))] for number, s in enumerate(kept)]
    for step, lane, (number, place), _, _ in side_by_side.reference(places, n_lanes):
        s = kept[number]
        rows.append((step, lane, s[place], s[place + 1], s.index(s[place]) == 0))
    return rows


@side_by_side.mistake("You let the longest sessions sit down first; they come in the order of the list.")
def _longest_first(sessions, n_lanes):
    return side_by_side.reference(sorted(sessions, key=len, reverse=True), n_lanes)


@side_by_side.mistake("You let the shortest sessions sit down first; they come in the order of the list.")
def _shortest_first(sessions, n_lanes):
    return side_by_side.reference(sorted(sessions, key=len), n_lanes)


@side_by_side.mistake("You take the next session from the end of the list; the queue begins at its front.")
def _last_first(sessions, n_lanes):
    return side_by_side.reference(sessions[::-1], n_lanes)


@side_by_side.mistake("Of several free lanes, yours takes the highest first; the lowest comes first.")
def _highest_lane(sessions, n_lanes):
    rows = side_by_side.reference(sessions, n_lanes)
    return sorted((row[0], n_lanes - 1 - row[1], *row[2:]) for row in rows)


@side_by_side.mistake("Clicked and target are exchanged: the click comes first, what it leads to is the target.")
def _exchanged(sessions, n_lanes):
    return [(*row[:2], row[3], row[2], row[4]) for row in side_by_side.reference(sessions, n_lanes)]


@side_by_side.mistake("is_first is True in every lane as soon as one session begins: the others lose their memory.")
def _all_first(sessions, n_lanes):
    rows = side_by_side.reference(sessions, n_lanes)
    begins = {row[0] for row in rows if row[4]}
    return [(*row[:4], row[0] in begins) for row in rows]


@side_by_side.mistake("Your lanes wait until all of them are through; a free lane takes the next session at once.")
def _waits(sessions, n_lanes):
    return _lanes(sessions, n_lanes, wait=True)


@side_by_side.mistake("You stop when the first lane finds nobody waiting, and lose what is left in the other lanes.")
def _stops(sessions, n_lanes):
    return _lanes(sessions, n_lanes, stop=True)


@side_by_side.mistake("A lane stays empty for one step after each session: the next session begins one step too late.")
def _pauses(sessions, n_lanes):
    return _lanes(sessions, n_lanes, gap=1)


@side_by_side.mistake(
    "Sessions are dealt out to the lanes beforehand; who comes next sits down where a lane is free first."
)
def _dealt(sessions, n_lanes):
    rows, queue = [], [s for s in sessions if len(s) > 1]
    for lane in range(n_lanes):
        mine = side_by_side.reference(queue[lane::n_lanes], 1)
        rows += [(row[0], lane, *row[2:]) for row in mine]
    return sorted(rows)


@side_by_side.mistake("A session of a single click takes a lane for a step in your answer; it should be passed over.")
def _seats_singles(sessions, n_lanes):
    waiting, left, rows, step = [list(s) for s in sessions], [[] for _ in range(n_lanes)], [], 0
    while waiting or any(len(clicks) > 1 for clicks in left):
        for lane in range(n_lanes):
            fresh = len(left[lane]) < 2 and bool(waiting)
            left[lane] = waiting.pop(0) if fresh else left[lane]
            if len(left[lane]) > 1:
                rows.append((step, lane, *left[lane][:2], fresh))
                left[lane] = left[lane][1:]
        step += 1
    return rows


@side_by_side.mistake("Your target is the item clicked itself; it is the click after it.")
def _no_shift(sessions, n_lanes):
    return [(*row[:3], row[2], row[4]) for row in side_by_side.reference(sessions, n_lanes)]


@side_by_side.mistake(
    "The rows are right but sorted by lane; a batch is a step, so they come by step and then by lane."
)
def _by_lane(sessions, n_lanes):
    return sorted(side_by_side.reference(sessions, n_lanes), key=lambda row: (row[1], row[0]))


# 6.3 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "6.3",
    "Cross-entropy over a sample",
    minutes=8,
    difficulty="medium",
    kind=Number(),
    hints=(
        "Without a sample it would be minus the logarithm of a softmax: exp(score of the target) over the sum of all "
        "exp(score). Now the sum has the target and the negatives only.",
        "A negative that is the target is not wrong: leave it out. One that was drawn twice counts twice.",
        "Each wrong item stands for others that were not drawn: divide its exp(score) by how often it is expected. "
        "The target is there in any case, so nothing of it is divided.",
    ),
    explanation="Dividing exp(score) by the expectation is the same as taking its logarithm, log q, off the score: "
    "hence logQ correction. The sum over the sample is then, on average, the sum over the whole catalogue. Without it "
    "popular items, which are drawn most, are pushed down too far. Real code works with logarithms, so that exp "
    "cannot overflow.",
)
def sampled_loss(scores, target, negatives, expected):
    """Cross-entropy of one click over a sample of wrong items, with logQ correction.

    Parameters
    ----------
    scores : ndarray of float, shape (n_items,)
    target : int
        The item that was clicked next.
    negatives : list of int
        Items as they were drawn; the target may be among them, and an item may be there twice.
    expected : ndarray of float, shape (n_items,)
        How often each item is expected among the negatives.

    Returns
    -------
    float
        ``sampled_loss(np.zeros(4), 0, [1, 2], np.ones(4))`` is log 3 = 1.0986: three items with equal scores.
    """
    right = np.exp(scores[target])
    wrong = sum(np.exp(scores[j]) / expected[j] for j in negatives if j != target)
    return float(-np.log(right / (right + wrong)))


_even = np.ones(4)
sampled_loss.case(
    *(np.zeros(4), 0, [1, 2], _even),
    expect=np.log(3),
    because="three items with exp(0) = 1 each, all expected once: -log(1 / 3)",
)
sampled_loss.case(
    *(np.log([3.0, 1.0, 1.0, 9.0]), 0, [1, 2], _even),
    expect=np.log(5 / 3),
    because="exp gives 3 for the target and 1 for each wrong item: -log(3 / 5)",
)
sampled_loss.case(
    *(np.zeros(4), 0, [1, 2], np.array([9.0, 0.5, 0.5, 9.0])),
    expect=np.log(5),
    because="each wrong item is expected half a time, so it stands for two: -log(1 / (1 + 2 + 2)). The target's own "
    "expectation, 9, plays no part",
)
sampled_loss.case(
    *(np.zeros(4), 0, [1, 0, 2], _even),
    expect=np.log(3),
    because="the 0 that was drawn is the target, and the target is never wrong: -log(1 / 3) again",
)
sampled_loss.case(
    *(np.zeros(4), 0, [1, 1], _even),
    expect=np.log(3),
    because="item 1 was drawn twice and counts twice: -log(1 / 3)",
)


@sampled_loss.random_cases
def _clicks(rng):
    cases = []
    for _ in range(8):
        target = int(rng.integers(7))
        negatives = [target, *rng.integers(0, 7, 6).tolist(), target]
        cases.append((rng.normal(0, 1.5, 7), target, negatives, rng.uniform(0.2, 3, 7)))
    return cases


def _ce(scores, target, negatives, expected, *, weight=lambda e: 1 / e, counts=None, right=lambda e: 1.0):
    own = np.exp(scores[target]) * right(expected[target])
    wrong = [j for j in negatives if counts or j != target]
    return -np.log(own / (own + sum(np.exp(scores[j]) * weight(expected[j]) for j in wrong)))


@sampled_loss.mistake("The correction has the wrong sign: what is expected often has to count less, not more.")
def _wrong_sign(*args):
    return _ce(*args, weight=lambda e: e)


@sampled_loss.mistake("No correction: `expected` is nowhere in your answer.")
def _uncorrected(*args):
    return _ce(*args, weight=lambda e: 1.0)


@sampled_loss.mistake("The target counts as a wrong item where it was drawn as a negative.")
def _target_wrong(*args):
    return _ce(*args, counts=True)


@sampled_loss.mistake(
    "You correct the target too; it is there in any case, not by chance, so there is nothing to correct."
)
def _target_corrected(*args):
    return _ce(*args, right=lambda e: 1 / e)


@sampled_loss.mistake("You take `expected` itself off the score; it is its logarithm.")
def _no_log(*args):
    return _ce(*args, weight=lambda e: np.exp(-e))


@sampled_loss.mistake("An item that was drawn twice counts once in your answer.")
def _distinct(scores, target, negatives, expected):
    return _ce(scores, target, sorted(set(negatives)), expected)


@sampled_loss.mistake("Only one copy of the target is taken out; it may have been drawn more than once.")
def _one_copy(scores, target, negatives, expected):
    left = list(negatives)
    if target in left:
        left.remove(target)
    return _ce(scores, target, left, expected, counts=True)


@sampled_loss.mistake("You take the mean of the wrong items; it is their sum.")
def _mean_of_wrong(scores, target, negatives, expected):
    wrong = [np.exp(scores[j]) / expected[j] for j in negatives if j != target]
    return -np.log(np.exp(scores[target]) / (np.exp(scores[target]) + np.mean(wrong)))


@sampled_loss.mistake("The target is missing in the sum below the line: it belongs to the softmax.")
def _target_missing(scores, target, negatives, expected):
    return -np.log(np.exp(scores[target]) / sum(np.exp(scores[j]) / expected[j] for j in negatives if j != target))


@sampled_loss.mistake("The sign: a loss is minus the logarithm, so that it is small where the target's share is large.")
def _log_likelihood(*args):
    return -_ce(*args)


@sampled_loss.mistake("This is the target's share; the loss is minus its logarithm.")
def _share(*args):
    return np.exp(-_ce(*args))


@sampled_loss.mistake("Your sum goes over the whole catalogue; it should have the target and the negatives.")
def _whole_catalogue(scores, target, negatives, expected):
    return np.log(np.exp(scores).sum()) - scores[target]


# 6.4 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "6.4",
    "A test for answers",
    minutes=12,
    difficulty="medium",
    kind=Verdict(),
    hints=(
        "You do not know the right scores. But you know something about them: what should two ways to ask about the "
        "same session have in common?",
        "A session that is asked about alone has to get the same scores as in company of others: of longer ones, and "
        "of one that comes before it.",
        "Ask about all sessions at once, then about each by itself, and compare row by row. Sums of decimals differ in "
        "their last digits with the order of adding up: np.allclose forgives that, == does not.",
    ),
    explanation="One sentence, a session scores the same alone as in company, catches three mistakes of quite "
    "different kinds, without knowing one right score. Tests of this kind (of a property, not of a number) are the "
    "best there are for models that learn. The dropout is caught as well, since no two calls drop the same.",
)
def answers_are_sound(model, sessions):
    """Whether a model's answers are free from mistakes.

    Parameters
    ----------
    model : object
        ``model.score(sessions)`` is an ndarray, shape (n_sessions, n_items): scores of all items after the last click
        of each session. Items are numbers from 0 to 7. You may call it as often as you like, with whatever sessions
        you like.
    sessions : list of list of int
        Some sessions to ask about, not all of one length; none is empty. They are there for your use.

    Returns
    -------
    bool
        True for a sound model; False if sessions are padded on the left and read by a packed GRU, if a session does
        not start with an empty memory, if dropout is still active, or if company changes scores in any other way,
        even those of two items only.
    """
    together = model.score(sessions)
    alone = [model.score([session])[0] for session in sessions]
    return bool(np.allclose(together, alone, atol=1e-5))


_some = [[3, 1], [2, 5, 4, 1], [6, 0, 2]]
answers_are_sound.case(Answers(1), _some, expect=True, because="True: this model is sound")
answers_are_sound.case(
    *(StillDropping(2), _some),
    expect=False,
    because="False: dropout is active in this model, so that the same question gets another answer each time",
)
answers_are_sound.case(
    *(LeftPadded(3), _some),
    expect=False,
    because="False: this model pads on the left. Beside a longer session, a short one loses its last clicks",
)
answers_are_sound.case(
    *(NeverReset(4), _some),
    expect=False,
    because="False: in this model a session goes on with the memory of the one before it",
)
answers_are_sound.case(
    *(LeftPadded(6), [[3, 1], [2, 5], [6, 0, 2, 4]]),
    expect=False,
    because="False: this model pads on the left. The first two sessions are equally long: it shows beside the third",
)
answers_are_sound.case(
    *(Shifted(8), _some),
    expect=False,
    because="False: in this model all scores are lower by 0.5 as soon as two sessions are asked about together",
)
answers_are_sound.case(
    *(Exchanged(3), _some),
    expect=False,
    because="False: in this model two items have each other's scores in every session but the first",
)
answers_are_sound.case(
    *(RoundedAnswers(5), _some),
    expect=True,
    because="True: this model is sound. It works in single precision, so that sums differ in their seventh digit",
)


@answers_are_sound.random_cases
def _models(rng):
    cases, kinds = [], (RoundedAnswers, NeverReset, LeftPadded, Answers, StillDropping)
    for seed, kind in enumerate([*kinds, *kinds[::-1]], 10):
        lengths = (2, 5, 3, 1) if seed % 2 else (3, 1, 2, 6)  # the longest once in the middle, once at the end
        cases.append((kind(seed), [rng.integers(0, 8, n).tolist() for n in lengths]))
    cases += [(kind(32), [[1, 2, 3], [4, 5]]) for kind in (NeverReset, StillDropping)]  # the best item stays
    cases += [
        (LeftPadded(41), [[1, 2], [3, 0], [4]]),
        (LeftPadded(42), [[5, 1], [6, 2, 3], [7, 0]]),
    ]  # two of one length
    cases += [(Shifted(seed), _some) for seed in (50, 51)]  # down and up
    cases += [(Exchanged(seed), [[3, 1], [2, 5, 4], [6]]) for seed in (64, 66, 68, 70)]  # each item once
    return cases


def _alone(model, sessions):
    return np.array([model.score([session])[0] for session in sessions])


@answers_are_sound.mistake("Your test can never fail: it calls every model sound.")
def _never_fails(model, sessions):
    return True


@answers_are_sound.mistake("Your test always fails: it calls every model faulty.")
def _always_fails(model, sessions):
    return False


@answers_are_sound.mistake("The wrong way round: True means that the model is sound.")
def _verdict_swapped(model, sessions):
    return not answers_are_sound.reference(model, sessions)


@answers_are_sound.mistake(
    "You ask the same question twice. That catches the dropout, but the other two mistakes are made alike each time: "
    "ask about a session alone and in company."
)
def _asks_twice(model, sessions):
    return np.allclose(model.score(sessions), model.score(sessions), atol=1e-5)


@answers_are_sound.mistake(
    "You compare the first session only. Nothing comes before it, so a memory that was never emptied does not show."
)
def _first_only(model, sessions):
    return np.allclose(model.score(sessions)[0], model.score(sessions[:1])[0], atol=1e-5)


@answers_are_sound.mistake(
    "You compare the last session only. Where it is the longest, nothing is padded in its row, and padding goes unseen."
)
def _last_only(model, sessions):
    return np.allclose(model.score(sessions)[-1], model.score(sessions[-1:])[0], atol=1e-5)


@answers_are_sound.mistake(
    "Your sessions all have the same length. Then nothing is padded, and the left padding goes unseen."
)
def _one_length(model, sessions):
    cut = [session[:1] for session in sessions]
    return np.allclose(model.score(cut), _alone(model, cut), atol=1e-5)


@answers_are_sound.mistake(
    "You compare the first two sessions only. Where they are equally long nothing is padded, and padding goes unseen: "
    "compare all of them."
)
def _first_two(model, sessions):
    return np.allclose(model.score(sessions[:2]), _alone(model, sessions[:2]), atol=1e-5)


@answers_are_sound.mistake(
    "Both of your calls have the same longest session, so that a session is padded alike in both: ask about each alone."
)
def _turned_round(model, sessions):
    return np.allclose(model.score(sessions), model.score(sessions[::-1])[::-1], atol=1e-5)


@answers_are_sound.mistake("One equal score is enough in your test: all of them have to be equal.")
def _any_equal(model, sessions):
    return np.isclose(model.score(sessions), _alone(model, sessions), atol=1e-5).any()


@answers_are_sound.mistake(
    "You look in one direction only: scores that are *lower* in company pass. Take the difference without its sign."
)
def _only_higher(model, sessions):
    return (model.score(sessions) - _alone(model, sessions)).max() < 1e-4


@answers_are_sound.mistake(
    "You look in one direction only: scores that are *higher* in company pass. Take the difference without its sign."
)
def _only_lower(model, sessions):
    return (_alone(model, sessions) - model.score(sessions)).max() < 1e-4


@answers_are_sound.mistake("You compare the first item only; a mistake may be in any of them: compare all.")
def _one_item(model, sessions):
    return np.allclose(model.score(sessions)[:, 0], _alone(model, sessions)[:, 0], atol=1e-5)


@answers_are_sound.mistake(
    "You compare less than each score with its own: a sum, a mean, sorted scores or a single item. What is wrong "
    "elsewhere, or too high here and too low there, goes unseen.",
    when=lambda got, model, sessions: isinstance(model, Exchanged) and got,
)
def _only_sum(model, sessions):
    return np.isclose(model.score(sessions).sum(), _alone(model, sessions).sum(), atol=1e-4)


@answers_are_sound.mistake(
    "You compare only the order of the items. Scores that are all moved keep it: compare the scores."
)
def _only_order(model, sessions):
    return (model.score(sessions).argsort(1) == _alone(model, sessions).argsort(1)).all()


@answers_are_sound.mistake(
    "You ask for equality to the last digit. A sound model in single precision fails your test: it needs a tolerance.",
    when=lambda got, model, sessions: isinstance(model, RoundedAnswers),
)
def _exact(model, sessions):
    return (model.score(sessions) == _alone(model, sessions)).all()


@answers_are_sound.mistake(
    "You compare only the best item of each list, and a faulty model may well have the same one: compare all scores."
)
def _best_item(model, sessions):
    return (model.score(sessions).argmax(1) == _alone(model, sessions).argmax(1)).all()


# 6.5 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "6.5",
    "A test for a loss",
    minutes=8,
    difficulty="medium",
    extra=True,
    kind=Verdict(),
    hints=(
        "Two mistakes, two questions. What should happen to the loss when the target is drawn as a negative too? And "
        "when everything is expected twice as often?",
        "loss(scores, 0, [0, 1, 2], expected) and loss(scores, 0, [1, 2], expected) have to be equal. With 2 * "
        "expected, the wrong items weigh half, so that the loss has to be lower.",
        "Or take your own sampled_loss as the oracle. Then see to it that the target is among the negatives and that "
        "`expected` is not 1 everywhere: 1 / 1 is 1 with either sign.",
    ),
    explanation="Either way is good: properties need no second implementation, an oracle finds mistakes that you did "
    "not think of. What makes both work is the choice of inputs on which a mistake shows.",
)
def loss_is_sound(loss, scores):
    """Whether a sampled cross-entropy is free from mistakes.

    Parameters
    ----------
    loss : callable
        ``loss(scores, target, negatives, expected)`` is a number, as in exercise 6.3.
    scores : ndarray of float, shape (n_items,)
        Some scores to ask about, of six items; they are there for your use.

    Returns
    -------
    bool
        True for a sound loss; False if the correction has the wrong sign, or if the target counts as a wrong item
        where it was drawn.
    """
    expected = np.linspace(0.5, 3, len(scores))
    drawn, not_drawn = loss(scores, 0, [0, 1, 2], expected), loss(scores, 0, [1, 2], expected)
    halved = loss(scores, 0, [1, 2], 2 * expected)
    return bool(np.isclose(drawn, not_drawn, atol=1e-5) and halved < not_drawn)


_six = np.array([0.5, -1.0, 0.3, 1.2, -0.4, 0.0])
loss_is_sound.case(Loss(), _six, expect=True, because="True: this loss is sound")
loss_is_sound.case(
    *(WrongSign(), _six),
    expect=False,
    because="False: in this loss an item weighs more the more often it is expected",
)
loss_is_sound.case(
    *(TargetIsWrong(), _six),
    expect=False,
    because="False: this loss rises when the target happens to be drawn as a negative",
)
loss_is_sound.case(
    *(RoundedLoss(), _six),
    expect=True,
    because="True: this loss is sound. It works in single precision, so that it differs in the seventh digit",
)


@loss_is_sound.random_cases
def _losses(rng):
    kinds = (Loss, WrongSign, TargetIsWrong, RoundedLoss)
    more = [TargetUncorrected, *[RoundedLoss] * 8, TargetUncorrected]  # eight: a last digit may be equal by chance
    return [(kind(), rng.normal(size=6)) for kind in [*kinds, *kinds[::-1], *more]]


_UNEVEN = np.array([0.7, 2.0, 0.4, 1.5, 0.9, 3.0])
_DRAWN = [0, 1, 1, 3, 5]


@loss_is_sound.mistake("Your test can never fail: it calls every loss sound.")
def _loss_never_fails(loss, scores):
    return True


@loss_is_sound.mistake("Your test always fails: it calls every loss faulty.")
def _loss_always_fails(loss, scores):
    return False


@loss_is_sound.mistake("The wrong way round: True means that the loss is sound.")
def _loss_swapped(loss, scores):
    return not loss_is_sound.reference(loss, scores)


@loss_is_sound.mistake("The target is never among your negatives, so that nobody can see how it is counted.")
def _without_target(loss, scores):
    want = sampled_loss.reference(scores, 0, _DRAWN[1:], _UNEVEN)
    return np.isclose(loss(scores, 0, _DRAWN[1:], _UNEVEN), want, atol=1e-5)


@loss_is_sound.mistake(
    "The target is among your negatives, but expected so often that its weight is too small to be seen."
)
def _target_too_light(loss, scores):
    expected = np.array([1e6, *_UNEVEN[1:]])
    want = sampled_loss.reference(scores, 0, _DRAWN, expected)
    return np.isclose(loss(scores, 0, _DRAWN, expected), want, atol=1e-5)


@loss_is_sound.mistake(
    "Your inequality is the wrong way round: what is expected more often weighs less as a wrong item."
)
def _inequality_reversed(loss, scores):
    drawn, plain = loss(scores, 0, _DRAWN, _UNEVEN), loss(scores, 0, _DRAWN[1:], _UNEVEN)
    return np.isclose(drawn, plain, atol=1e-5) and loss(scores, 0, _DRAWN[1:], 2 * _UNEVEN) > plain


@loss_is_sound.mistake("Everything is expected once in your test. Then the sign of the correction does not show.")
def _expected_once(loss, scores):
    ones = np.ones(len(scores))
    return np.isclose(loss(scores, 0, _DRAWN, ones), sampled_loss.reference(scores, 0, _DRAWN, ones), atol=1e-5)


@loss_is_sound.mistake(
    "You ask for equality to the last digit. A sound loss in single precision fails your test: it needs a tolerance.",
    when=lambda got, loss, scores: isinstance(loss, RoundedLoss),
)
def _loss_exact(loss, scores):
    return loss(scores, 0, _DRAWN, _UNEVEN) == Loss()(scores, 0, _DRAWN, _UNEVEN)


# 6.6 -----------------------------------------------------------------------------------------------------------------


@lab.exercise(
    "6.6",
    "BPR-max",
    minutes=10,
    difficulty="hard",
    extra=True,
    kind=Number(),
    hints=(
        "First the wrong items: the negatives without the target. All sums go over them.",
        "s is the softmax of the scores of the wrong items alone, so that they add up to 1.",
        "Average the sigmoids of (target's score - wrong score) with the weights s, then take minus the logarithm: the "
        "logarithm stands outside of the sum.",
        "The second part averages the squared scores with the same weights, times bpreg.",
    ),
    explanation="The softmax picks out the wrong items with the highest scores, the only ones that endanger the "
    "target. Plain BPR averages over all, and of two thousand negatives nearly all have been beaten long ago: their "
    "gradient is zero, and the mean with it. That is why more negatives once made results worse.",
)
def bpr_max(scores, target, negatives, bpreg):
    """BPR-max of one click, with score regularisation.

    Parameters
    ----------
    scores : ndarray of float, shape (n_items,)
    target : int
        The item that was clicked next.
    negatives : list of int
        Items as they were drawn; the target may be among them, and an item may be there twice. At least one is wrong.
    bpreg : float
        Weight of the regularisation.

    Returns
    -------
    float
        ``bpr_max(np.zeros(3), 0, [1, 2], 1.0)`` is log 2 = 0.6931: no score is better than another, and none is large.
    """
    wrong = np.array([scores[j] for j in negatives if j != target])
    s = np.exp(wrong) / np.exp(wrong).sum()
    better = 1 / (1 + np.exp(-(scores[target] - wrong)))
    return float(-np.log((s * better).sum()) + bpreg * (s * wrong**2).sum())


bpr_max.case(
    *(np.zeros(3), 0, [1, 2], 1.0),
    expect=np.log(2),
    because="s = (1/2, 1/2) and both sigmoids are 1/2: -log(1/2). The squared scores are 0",
)
bpr_max.case(
    *(np.array([0.0, np.log(3), 0.0]), 0, [1, 2], 0.0),
    expect=-np.log(0.75 * 0.25 + 0.25 * 0.5),
    because="s = (3/4, 1/4); sigmoid(0 - log 3) = 1/4 and sigmoid(0) = 1/2: -log(3/4 · 1/4 + 1/4 · 1/2)",
)
bpr_max.case(
    *(np.array([2.0, 2.0]), 0, [1, 0], 0.5),
    expect=np.log(2) + 2,
    because="the 0 that was drawn is the target. One wrong item is left, with s = 1: -log(1/2) + 0.5 · 2²",
)


@bpr_max.random_cases
def _bpr_clicks(rng):
    cases = []
    for _ in range(8):
        target = int(rng.integers(6))
        drawn = [*rng.integers(0, 6, 5).tolist(), target, (target + 1) % 6]
        cases.append((rng.normal(0, 1.2, 6), target, drawn, float(rng.uniform(0.2, 2))))
    return cases


def _bprmax(scores, target, negatives, bpreg, *, keep=False, soft=True, outside=True, square=True, weigh=True, sign=1):
    wrong = np.array([scores[j] for j in negatives if keep or j != target])
    s = np.exp(wrong) / np.exp(wrong).sum() if soft else np.full(len(wrong), 1 / len(wrong))
    better = _sigmoid(sign * (scores[target] - wrong))
    first = -np.log((s * better).sum()) if outside else -(s * np.log(better)).sum()
    return first + bpreg * ((s if weigh else 1.0) * (wrong**2 if square else np.abs(wrong))).sum()


@bpr_max.mistake("The target counts as a wrong item where it was drawn as a negative.")
def _bpr_target(*args):
    return _bprmax(*args, keep=True)


@bpr_max.mistake("You average evenly over the wrong items: that is BPR. In BPR-max their softmax is the weight.")
def _bpr_even(*args):
    return _bprmax(*args, soft=False)


@bpr_max.mistake("The logarithm stands inside of your sum; it is taken once, of the weighted mean.")
def _bpr_inside(*args):
    return _bprmax(*args, outside=False)


@bpr_max.mistake("The difference is the wrong way round: the target's score should be the higher one.")
def _bpr_sign(*args):
    return _bprmax(*args, sign=-1)


@bpr_max.mistake("The squared scores are added up without their weights s.")
def _bpr_unweighted(*args):
    return _bprmax(*args, weigh=False)


@bpr_max.mistake("The regularisation is missing: bpreg is nowhere in your answer.")
def _bpr_plain(scores, target, negatives, bpreg):
    return _bprmax(scores, target, negatives, 0.0)


@bpr_max.mistake("Your softmax includes the target; it goes over the wrong items alone.")
def _bpr_soft_target(scores, target, negatives, bpreg):
    wrong = np.array([scores[j] for j in negatives if j != target])
    s = np.exp(wrong) / (np.exp(wrong).sum() + np.exp(scores[target]))
    return -np.log((s * _sigmoid(scores[target] - wrong)).sum()) + bpreg * (s * wrong**2).sum()


@bpr_max.mistake("The minus sign before the logarithm is missing.")
def _bpr_positive(scores, target, negatives, bpreg):
    return _bprmax(scores, target, negatives, bpreg) - 2 * _bprmax(scores, target, negatives, 0.0)
