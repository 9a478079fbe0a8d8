"""A SIMULATED class that stands in for a room: thirty of the shop's users pick the five books they like best.

Each picks one book after the other, always with probability ``softmax(DECIDED * p)`` over the books that are left,
where p is the true preference of that user in logits (Plackett-Luce model: Plackett, Applied Statistics 1975). Adding
Gumbel noise and sorting draws exactly that. `DECIDED` says how much more decided people are about the books they love
than about what to look at next; with 1 hardly any two of a class would share a book.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys_lab.bookshop.hidden import Truth

N_PEOPLE, N_PICKS = 30, 5
DECIDED = 3.0


def poll_class(truth: Truth, seed: int) -> pd.DataFrame:
    """Draw a class and what it picks.

    Parameters
    ----------
    truth : Truth
    seed : int
        The same seed gives the same class.

    Returns
    -------
    DataFrame
        `session_id` (a person, from 1), `item_id`, `event` ("view") and `order` (1 was picked first).
    """
    rng = np.random.default_rng(seed)
    users = rng.choice(truth.user_vocabulary.ids, size=N_PEOPLE, replace=False)
    wish = DECIDED * truth.preference(users) + rng.gumbel(size=(N_PEOPLE, truth.n_items))  # (n_people, n_items)
    picked = np.argsort(-wish, axis=1, kind="stable")[:, :N_PICKS]
    return pd.DataFrame(
        {
            "session_id": np.repeat(np.arange(1, N_PEOPLE + 1), N_PICKS),
            "item_id": truth.vocabulary.decode(picked.ravel()),
            "event": "view",
            "order": np.tile(np.arange(1, N_PICKS + 1), N_PEOPLE),
        }
    )
