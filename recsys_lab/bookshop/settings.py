"""Every number of the simulated shop, with its unit, in one place.

Genres, segments and seasons are tables below; everything else is a field of `Settings`. Logits are the unit of all
preferences: one more logit multiplies the odds of a click by 2.7.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The course's genres in families: books of one family attract the same visitors more often than chance.
FAMILIES = {
    "wonder": ("fantasy", "science fiction", "graphic novels"),
    "suspense": ("crime", "thriller", "horror"),
    "growing up": ("young adult", "children's"),
    "heart": ("romance", "humour"),
    "letters": (
        *("classics", "literary fiction", "world literature", "poetry and drama"),
        "historical fiction",
    ),
    "facts": ("biography", "history", "science", "ideas"),
    "practice": ("business", "food and travel"),
}

#: Segment -> share of all visitors, weight of each genre in its taste, hour of the day (UTC) around which it comes.
SEGMENTS = {
    "crime evenings": (0.16, {"crime": 1.0, "thriller": 0.8, "horror": 0.3}, 21.0),
    "other worlds": (0.15, {"fantasy": 1.0, "science fiction": 0.8, "graphic novels": 0.4}, 22.0),
    "classics shelf": (0.11, {"classics": 1.0, "poetry and drama": 0.6, "historical fiction": 0.5}, 17.0),
    "world readers": (0.13, {"world literature": 0.9, "literary fiction": 1.0, "biography": 0.3}, 20.0),
    "love and laughter": (0.14, {"romance": 1.0, "humour": 0.6, "young adult": 0.6}, 20.5),
    "family shelf": (0.12, {"children's": 1.0, "young adult": 0.3, "food and travel": 0.5}, 13.5),
    "curious minds": (0.11, {"science": 1.0, "history": 0.8, "ideas": 0.7}, 19.0),
    "getting ahead": (0.08, {"business": 1.0, "ideas": 0.6, "biography": 0.5}, 12.0),
}

#: Genres that people study, and for whom the Christmas and the Halloween season bring how many logits at their height.
STUDY_GENRES = ("science", "history", "ideas", "business", "classics", "poetry and drama")
CHRISTMAS = {
    **{"children's": 1.2, "food and travel": 0.8, "humour": 0.8, "graphic novels": 0.5},
    **{"biography": 0.7, "romance": 0.4},
}
HALLOWEEN = {"horror": 1.5}
INTENTS = ("own taste", "gift", "study", "more of the same")


@dataclass(frozen=True)
class Settings:
    """The shop's parameters.

    Attributes
    ----------
    first_day : str
        Day 0 of the log, a Monday (UTC).
    n_days : int
        Length of the log, days.
    n_users : int
        People with an account.
    n_factors : int
        Length of all taste and item vectors; they have norm 1.
    genre_weight, author_weight, item_noise : float
        Parts of an item's vector before it is normalised.
    second_genre : float
        Largest weight of a second genre of the same family in an item's vector; drawn from 0 up to it.
    user_noise : float
        Norm of a user's own part of the taste, beside the segment's part of norm 1.
    taste_scale : float
        Logits for a cosine of 1 between taste and item.
    quality_sd : float
        Standard deviation of the items' quality, logits.
    fame : float
        Logits between a genre's first and last book in the catalogue, which lists the best known first, roughly.
    activity_shape : float
        Shape of the gamma distribution of visits a user; small means that few users make many visits.
    price_sensitivity_mean, price_sensitivity_sd : float
        Logits that 10 more on the price take from putting a book into the cart: log-normal over users by mean and
        by standard deviation of the logarithm.
    signed_in : float
        Share of visits in which the shop knows the user; the others are anonymous.
    intents : tuple of float
        Shares of `INTENTS` in early October.
    gift_rise : float
        Share that gifts gain until Christmas, taken from own taste.
    need_noise : float
        Norm of what is particular to one visit, beside the intent's part of norm 1.
    drift : float
        Share by which each view pulls the visitor's focus towards the book.
    examination : tuple of float
        Probability that a visitor looks at each position of a list; its length is the number of slots.
    click_bias : float
        Logit of a click on an examined book of preference 0.
    fatigue : float
        Logits that each earlier showing in this session without a click takes away.
    seen_penalty : float
        Logits that a book already looked at in this session loses in lists and searches.
    search_sharpness : float
        Factor on the logits when a visitor searches the whole catalogue by himself.
    landing : float
        Share of visits that begin on a book's page (from a search engine) and not with a list.
    leave_shape : tuple of float
        Beta distribution over visits of the probability to leave where nothing in a list was clicked.
    leave_clicked : float
        Factor on it where something was clicked (and looked at).
    back : float
        Probability to go back to a book seen in this session, where nothing was clicked and the visitor stays.
    back_last : float
        Share of those who open the same book again; the others choose any seen one.
    follow : float
        Probability to look for the complement of a book just put into the cart, where no list shows it.
    max_pages : int
        A visit ends after so many pages.
    dwell_median, dwell_sd, dwell_slope : float
        Seconds, standard deviation of the logarithm, and change of the logarithm for one logit of preference.
    pause, pause_factor : float
        Probability that a visitor is called away while a page is open, and the factor on the dwell time then.
    look_median : float
        Seconds from one page to the next click beside the dwell time.
    cart_bias, cart_slope : float
        Logit of putting a viewed book of preference 0 into the cart, and its change with preference.
    complement_boost : float
        Logits that a complement gains in lists and for the cart while its partner is in the cart.
    remove_bias, remove_slope, checkout, return_bias, return_slope : float
        Logits of taking a book out of the cart and of sending it back, falling with preference by the slopes;
        probability that what is left in a cart is bought.
    return_days : tuple of int
        Earliest and latest day of a return after the purchase.
    n_next_volume, n_across : int
        Planted complements: pairs of volumes of one series (directed), pairs across genres (undirected).
    n_trends, trend_height, trend_days : int, float, float
        Single books that suddenly rise, by how many logits, and the days after which 37 % of it is left.
    n_arrivals, arrival_rise : int, float
        Books that the shop begins to stock on Mondays of the log, and the logits of their first week.
    christmas_visits : float
        Factor on the daily visits in the week before Christmas.
    exploration : float
        Share of the logging policy's lists that are a uniformly random choice of the stocked books.
    temperature : float
        Of its softmax, in units of its score; 0 would be deterministic.
    depth : int
        Candidates for each slot; the softmax looks no deeper.
    """

    first_day: str = "2025-10-06"
    n_days: int = 84
    n_users: int = 3000
    n_factors: int = 16
    genre_weight: float = 0.80
    author_weight: float = 0.45
    item_noise: float = 0.35
    second_genre: float = 0.35
    user_noise: float = 0.45
    taste_scale: float = 4.5
    quality_sd: float = 0.5
    fame: float = 2.4
    activity_shape: float = 0.8
    price_sensitivity_mean: float = 0.7
    price_sensitivity_sd: float = 0.5
    signed_in: float = 0.65
    intents: tuple[float, ...] = (0.66, 0.10, 0.12, 0.12)
    gift_rise: float = 0.25
    need_noise: float = 0.35
    drift: float = 0.25
    examination: tuple[float, ...] = (0.95, 0.75, 0.58, 0.45, 0.35, 0.28)
    click_bias: float = -6.1
    fatigue: float = 0.6
    seen_penalty: float = 1.0
    search_sharpness: float = 1.0
    landing: float = 0.5
    leave_shape: tuple[float, float] = (4.4, 4.8)
    leave_clicked: float = 0.9
    back: float = 0.75
    back_last: float = 0.6
    follow: float = 0.8
    max_pages: int = 60
    dwell_median: float = 24.0
    dwell_sd: float = 1.4
    dwell_slope: float = 0.15
    pause: float = 0.03
    pause_factor: float = 15.0
    look_median: float = 6.0
    cart_bias: float = -4.2
    cart_slope: float = 0.6
    complement_boost: float = 4.0
    remove_bias: float = -1.0
    remove_slope: float = 0.4
    checkout: float = 0.6
    return_bias: float = -1.6
    return_slope: float = 0.4
    return_days: tuple[int, int] = (3, 14)
    n_next_volume: int = 24
    n_across: int = 36
    n_trends: int = 14
    trend_height: float = 3.0
    trend_days: float = 5.0
    n_arrivals: int = 60
    arrival_rise: float = 1.0
    christmas_visits: float = 1.9
    exploration: float = 0.10
    temperature: float = 0.5
    depth: int = 15

    @property
    def n_slots(self) -> int:
        """Books in one list."""
        return len(self.examination)
