"""What visitors do: thousands of visits in lockstep, page by page.

On each page a list of K books is shown. A book i in slot p is clicked with probability

    P(click) = examination_p * sigmoid(click_bias + U)                     position-based model [1]_
    U = taste_scale * focus·x_i + quality_i + season, trend and novelty of the day
        - fatigue * (showings without a click) - seen_penalty * [viewed] + complement_boost * [wanted]

independently of the other slots; several clicked books are opened one after the other. Where nothing was clicked, the
visitor looks for the complement of what lies in the cart, leaves, goes back to a book seen before, or searches:
softmax(search_sharpness * U) over everything for sale. Each view pulls the focus towards the book. Time on the page and
the decision to put the book into the cart follow the visit's need, which does not drift:

    n = taste_scale * need·x_i + quality_i
    log dwell ~ Normal(log dwell_median + dwell_slope * n, dwell_sd)
    P(cart) = sigmoid(cart_bias + cart_slope * n - sensitivity * (price - 10) / 10
                      + complement_boost * [partner in cart])

.. [1] Craswell, Zoeter, Taylor and Ramsey, "An experimental comparison of click position-bias models" (WSDM 2008).
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from recsys_lab.bookshop import slates
from recsys_lab.bookshop.hidden import Truth
from recsys_lab.bookshop.policies import Context
from recsys_lab.bookshop.visitors import Streams, Visitors, softmax_draw

MS = 10**6  # nanoseconds; the shop's clock ticks in milliseconds


def sigmoid(logits):
    """Probability of a logit."""
    return 1 / (1 + np.exp(-logits))


class Block:
    """Visits that run in lockstep; arrays have one row a visit, "rows" are the numbers of those acting now.

    Parameters
    ----------
    truth : Truth
    people : Visitors
    streams : Streams
    first_session_id : int
    exploration, temperature : float
        See `recsys_lab.bookshop.slates`.
    """

    def __init__(self, truth: Truth, people: Visitors, streams: Streams, first_session_id, exploration, temperature):
        self.truth, self.people, self.streams, self.s = truth, people, streams, truth.settings
        self.exploration, self.temperature = exploration, temperature
        n, self.room = len(people), self.s.max_pages + 2 * self.s.n_slots
        self.session_ids = first_session_id + np.arange(n)
        self.daily, self.for_sale = truth.attraction(), truth.stocked()
        self.price = truth.items["price"].to_numpy()
        self.complement = truth.complement_of()
        self.partner = np.full(truth.n_items, -1)  # whose complement a book is
        self.partner[self.complement[self.complement >= 0]] = np.flatnonzero(self.complement >= 0)
        self.clock = people.start // MS
        self.here = np.ones(n, bool)
        self.focus = people.need.copy()
        self.items = np.full((n, self.room), -1, np.int32)
        self.view_times = np.zeros((n, self.room), np.int64)
        self.n_views = np.zeros(n, np.int64)
        self.viewed, self.in_cart = (np.zeros((n, truth.n_items), bool) for _ in range(2))
        self.ignored = np.zeros((n, truth.n_items), np.int8)  # showings without a click
        self.wanted = np.full(n, -1)  # complement that the visitor thinks of
        self.views, self.carts, self.lists = [], [], []

    def run(self, policy) -> Block:
        """Let all visitors come, look and leave; fills `views`, `carts` and `lists`."""
        moves = self.streams["moves"].random((len(self.people), 1))
        landing = np.flatnonzero(moves[:, 0] < self.s.landing)
        self._begin_page()
        self.view(landing, self.search(landing), slot=self.s.n_slots)
        for _ in range(self.s.max_pages):
            rows = np.flatnonzero(self.here)
            if len(rows) == 0:
                break
            self._begin_page()
            self.page(rows, policy)
            self.here &= self.n_views < self.s.max_pages
        return self

    def _begin_page(self) -> None:
        """Draw for all visits, here or gone, so that a number's place does not depend on who is still here."""
        n, k = len(self.people), self.s.n_slots
        draws = self.streams
        self.luck = SimpleNamespace(
            slate=draws["slates"].random((n, 1 + 2 * k)),
            click=draws["clicks"].random((n, k)),
            move=draws["moves"].random((n, 5)),
            search=draws["searches"].random(n),
            cart=draws["carts"].random((n, k + 1)),  # a page leads to at most k views from the list, or to one other
            dwell=draws["dwell"].standard_normal((n, k + 1, 2)),
            pause=draws["dwell"].random((n, k + 1)),
        )

    def page(self, rows: np.ndarray, policy) -> None:
        """Show each visitor a list; who clicks nothing moves on by himself or leaves."""
        stocked = self.for_sale[self.people.day[rows]]
        scores = np.asarray(policy(self.context(rows, policy)))
        if scores.shape != stocked.shape:
            raise ValueError(f"the policy gave scores of shape {scores.shape}; {stocked.shape} are needed.")
        shown, propensity, explored = slates.draw(
            *(scores, stocked, self.s.n_slots, self.exploration, self.temperature, self.s.depth),
            self.luck.slate[rows],
        )
        chance = self.truth.examination * sigmoid(self.s.click_bias + self.logits(rows, shown))
        clicked = self.luck.click[rows] < chance
        self.lists.append((rows, self.clock[rows], shown, propensity, explored, clicked))
        self.ignored[rows[:, None], shown] += ~clicked  # no book is twice in a list
        for slot in range(self.s.n_slots):
            self.view(rows[clicked[:, slot]], shown[clicked[:, slot], slot], slot)
        some = clicked.any(axis=1)
        has_enough = self.luck.move[rows, 1] < self.s.leave_clicked * self.people.leave[rows]
        self.here[rows[some & has_enough]] = False
        self.move(rows[~some])

    def logits(self, rows: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """U of the module's head for some items of each row, shape (n_rows, k), or for all, (n_rows, n_items)."""
        focus, x = self.s.taste_scale * self.focus[rows], self.truth.item_vectors
        if items is None:
            at = (rows, slice(None))
            logits = focus @ x.T + self.daily[self.people.day[rows]]
            logits[np.arange(len(rows)), self.wanted[rows]] += self.s.complement_boost * (self.wanted[rows] >= 0)
        else:
            at = (rows[:, None], items)
            logits = np.einsum("nf,nkf->nk", focus, x[items]) + self.daily[self.people.day[rows][:, None], items]
            logits += self.s.complement_boost * (items == self.wanted[rows][:, None])
        return logits - self.s.fatigue * self.ignored[at] - self.s.seen_penalty * self.viewed[at]

    def move(self, rows: np.ndarray) -> None:
        """Without a click: follow a complement, leave, go back, or search."""
        luck, s = self.luck.move[rows].T, self.s
        follows = (self.wanted[rows] >= 0) & (luck[0] < s.follow)
        leaves = ~follows & (luck[1] < self.people.leave[rows])
        backs = ~follows & ~leaves & (self.n_views[rows] > 0) & (luck[2] < s.back)
        searches = ~follows & ~leaves & ~backs
        any_seen = (luck[4] * self.n_views[rows]).astype(np.int64)
        place = np.where(luck[3] < s.back_last, self.n_views[rows] - 1, any_seen)
        target = np.where(backs, self.items[rows, place], self.wanted[rows])
        target[searches] = self.search(rows[searches])
        self.here[rows[leaves]] = False
        self.wanted[rows] = -1  # a thought that was not followed up is gone
        self.view(rows[~leaves], target[~leaves], slot=s.n_slots)

    def search(self, rows: np.ndarray) -> np.ndarray:
        """Choose a book from all that is for sale, int64, shape (n_rows,)."""
        logits = np.where(self.for_sale[self.people.day[rows]], self.s.search_sharpness * self.logits(rows), -np.inf)
        return softmax_draw(logits, self.luck.search[rows])

    def view(self, rows: np.ndarray, items: np.ndarray, slot: int) -> None:
        """Open a book's page: time passes, the focus moves, perhaps the book goes into the cart."""
        s, x = self.s, self.truth.item_vectors[items]
        need = s.taste_scale * np.einsum("nf,nf->n", self.people.need[rows], x) + self.truth.quality[items]
        look, dwell = self.luck.dwell[rows, slot].T
        self.clock[rows] += 1 + (1000 * s.look_median * np.exp(0.8 * look)).astype(np.int64)
        dwell = s.dwell_median * np.exp(s.dwell_slope * need + s.dwell_sd * dwell)
        dwell = np.clip(dwell * np.where(self.luck.pause[rows, slot] < s.pause, s.pause_factor, 1), 0.5, 1500)
        self.views.append((rows, items, self.clock[rows], dwell))
        self.items[rows, self.n_views[rows]] = items
        self.view_times[rows, self.n_views[rows]] = self.clock[rows] * MS
        self.n_views[rows] += 1
        self.viewed[rows, items] = True
        self.wanted[rows[self.wanted[rows] == items]] = -1
        self._pull(rows, x)
        self._consider(rows, items, need, self.clock[rows] + (600 * dwell).astype(np.int64), slot)
        self.clock[rows] += (1000 * dwell).astype(np.int64)

    def _pull(self, rows: np.ndarray, x: np.ndarray) -> None:
        focus = (1 - self.s.drift) * self.focus[rows] + self.s.drift * x
        self.focus[rows] = focus / np.linalg.norm(focus, axis=1, keepdims=True)

    def _consider(self, rows, items, need, time, slot) -> None:
        """Put the book into the cart or not; who does may think of its complement."""
        s, partner = self.s, self.partner[items]
        tempted = (partner >= 0) & self.in_cart[rows, partner]
        costs = self.truth.price_sensitivity[self.people.user[rows]] * (self.price[items] - 10) / 10
        chance = sigmoid(s.cart_bias + s.cart_slope * need - costs + s.complement_boost * tempted)
        takes = (self.luck.cart[rows, slot] < chance) & ~self.in_cart[rows, items]
        rows, items = rows[takes], items[takes]
        self.in_cart[rows, items] = True
        self.carts.append((rows, items, time[takes], need[takes]))
        other = self.complement[items]
        free = (other >= 0) & ~self.in_cart[rows, other] & self.for_sale[self.people.day[rows], other]
        self.wanted[rows[free]] = other[free]

    def context(self, rows: np.ndarray, policy) -> Context:
        """What the policy may know about the visitors who wait."""
        people, longest = self.people, max(1, self.n_views[rows].max())
        return Context(
            items=self.items[rows, :longest],
            lengths=self.n_views[rows],
            view_times=self.view_times[rows, :longest],
            times=self.clock[rows] * MS,
            days=people.day[rows],
            session_ids=self.session_ids[rows],
            users=np.where(people.signed_in[rows], people.user[rows], -1),
            stocked=self.for_sale[people.day[rows]],
            in_cart=self.in_cart[rows],
            catalogue=self.truth.items,
            vocabulary=self.truth.vocabulary,
            user_vocabulary=self.truth.user_vocabulary,
            _attraction=(lambda: self.logits(rows)) if getattr(policy, "needs_truth", False) else None,
        )

    def checkout(self) -> list[np.ndarray]:
        """Decide what happens to the carts.

        Returns
        -------
        list of ndarray, shape (n_carts,) each
            Visit, item, time of the cart event, removed, bought, sent back, and the times of these three (ms).
        """
        rows, items, time, need = (np.concatenate(parts) for parts in zip(*self.carts, strict=True))
        order = np.argsort(rows, kind="stable")
        rows, items, time, need = (a[order] for a in (rows, items, time, need))
        which = (np.arange(len(rows)) - np.searchsorted(rows, rows)) % 8  # so many carts of a visit draw apart
        s, n = self.s, len(self.people)
        luck, back = self.streams["checkout"].random((n, 8)), self.streams["returns"].random((n, 8, 2))[rows, which]
        buys, delay = (self.streams["checkout"].random(n)[rows] for _ in range(2))
        removed = luck[rows, which] < sigmoid(s.remove_bias - s.remove_slope * need)
        bought = ~removed & (buys < s.checkout)
        returned = bought & (back[:, 0] < sigmoid(s.return_bias - s.return_slope * need))
        removed_at = self.clock[rows] + 5_000 + 1_000 * which
        bought_at = self.clock[rows] + 30_000 + (90_000 * delay).astype(np.int64)
        first, last = s.return_days
        days = first + np.floor(back[:, 1] * (last - first + 1)).astype(np.int64)
        returned_at = bought_at + days * 86_400_000 + (back[:, 1] * 10**7).astype(np.int64)
        return [rows, items, time, removed, bought, returned, removed_at, bought_at, returned_at]
