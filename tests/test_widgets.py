"""The session explorer: driven without a browser, with hostile words, and where widgets are missing."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import nbformat
import pandas as pd
import pytest

from recsys_lab import bookshop, datasets, widgets
from recsys_lab.environment import ROOT

NASTY = '<script>alert("x")</script> & <img src=x onerror="alert(1)">'
START = pd.Timestamp("2026-03-02 09:00", tz="UTC")


def log(*rows, items=(), shown=()):
    """A tiny shop: events (session, item, event, second), items (id, title), shown (list, item, place, clicked)."""
    events = pd.DataFrame(rows, columns=["session_id", "item_id", "event", "timestamp"])
    events["timestamp"] = START + pd.to_timedelta(events["timestamp"], unit="s")
    events["dwell_s"] = events["event"].eq("view").map({True: 12.0, False: None}).astype(float)
    tables = {"events": events}
    if items:
        tables["items"] = pd.DataFrame(items, columns=["item_id", "title"]).assign(author=NASTY, genre="poetry")
    if shown:
        lists = pd.DataFrame(shown, columns=["request_id", "item_id", "position", "clicked"])
        tables["impressions"] = lists.assign(session_id=1, timestamp=START - pd.Timedelta("1s"), explored=False)
    return tables


def parts(explorer):
    """Chooser, previous, next, slider, page."""
    chooser, line, page = explorer.children
    return chooser, *line.children, page


@pytest.fixture(scope="module")
def shop():
    return datasets.load("bookshop")


class Balanced(HTMLParser):
    """Notes the tags, and fails where one is closed that was not open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("br", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def words(text):
    return " ".join(" ".join(Balanced(text).words).split())


# ---- covers -------------------------------------------------------------------------------------------------------


def test_a_cover_is_the_same_every_time_and_says_what_it_is():
    first = widgets.cover("Pride and Prejudice", "Jane Austen", "classics")
    assert first == widgets.cover("Pride and Prejudice", "Jane Austen", "classics")
    assert 'role="img" aria-label="Book: Pride and Prejudice, Jane Austen, classics"' in first
    assert "classics" in words(first)
    assert widgets.cover("A", genre="poetry") != widgets.cover("A", genre="horror")
    assert 'style="display:block;width:96px;max-width:100%;height:auto"' in first  # in a narrow tile it shrinks


# ---- the explorer, driven -----------------------------------------------------------------------------------------


def test_next_previous_and_slider_move_through_a_session():
    tables = log((1, 7, "view", 0), (1, 8, "view", 20), (1, 8, "cart", 30), items=[(7, "Emma"), (8, "Dune")])
    _, before, after, slider, page = parts(widgets.session_explorer(tables, {"mine": 1}))
    assert "Event 1 of 3: looked at" in words(page.value)
    assert before.disabled
    assert not after.disabled
    after.click()
    assert slider.value == 2
    assert "20 s after the event before" in words(page.value)
    assert "stayed 12 s on the page" in words(page.value)
    slider.value = 3
    assert "Event 3 of 3: put into the cart" in words(page.value)
    assert "3 events, 2 books" in words(page.value)
    assert after.disabled
    before.click()
    before.click()
    before.click()
    assert slider.value == 1
    assert "1 event, 1 book" in words(page.value)


def test_choosing_another_session_starts_at_its_first_event():
    tables = log((1, 7, "view", 0), (1, 8, "view", 9), (2, 9, "view", 0), (3, 1, "view", 0), (3, 2, "view", 1))
    chooser, before, after, slider, page = parts(widgets.session_explorer(tables, {"a": 1, "b": 2, "c": 3}))
    slider.value = 2
    chooser.value = 1
    assert "Event 1 of 1" in words(page.value)
    assert slider.disabled
    assert before.disabled
    assert after.disabled
    slider.value = 2  # cannot be done by hand; nothing happens
    assert "Event 1 of 1" in words(page.value)
    chooser.value = 2
    assert (slider.value, slider.max, slider.disabled) == (1, 2, False)
    assert "item 1" in words(page.value)


def test_the_clicked_one_is_marked_by_a_word():
    shown = [(5, 7, 1, False), (5, 8, 2, True), (5, 9, 3, True)]
    tables = log((1, 8, "view", 0), (1, 8, "cart", 5), (1, 3, "view", 9), items=[(8, "Dune")], shown=shown)
    replay = widgets.Replay(tables, 1)
    assert "1 · not clicked" in words(replay.html(1))
    assert "2 · clicked now" in words(replay.html(1))
    assert "3 · clicked too" in words(replay.html(1))
    assert "The list" not in words(replay.html(2))  # a cart happens on the book's page
    assert "This book was not clicked in it" in words(replay.html(3))
    assert "clicked now" not in words(replay.html(3))


def test_a_session_without_impressions_says_so():
    assert "No list was shown" in words(widgets.Replay(log((1, 8, "view", 0)), 1).html(1))
    shown = [(5, 8, 1, False)]
    late = log((1, 8, "view", -60), (2, 8, "view", 0), shown=shown)
    assert "No list was shown" in words(widgets.Replay(late, 1).html(1))  # its only list came later
    assert "No list was shown" in words(widgets.Replay(late, 2).html(1))


def test_rows_that_arrived_late_stand_in_time_order():
    replay = widgets.Replay(log((1, 8, "view", 50), (1, 7, "view", 0)), 1)
    assert "item 7" in words(replay.html(1))


def test_hostile_words_stay_words():
    tables = log((1, 7, NASTY, 0), (1, 7, "view", 1), items=[(7, NASTY)], shown=[(5, 7, 1, True)])
    explorer = widgets.session_explorer(tables, {NASTY: 1})
    _, _, after, _, page = parts(explorer)
    after.click()
    for text in (page.value, widgets.Plain([widgets.Replay(tables, 1, NASTY)])._repr_html_()):
        found = Balanced(text)
        assert not {"script", "img"} & {tag for tag, _ in found.tags}
        assert NASTY.split("<img")[0].strip() in " ".join(found.words)


def test_a_log_without_times_users_or_titles():
    events = pd.DataFrame({"session_id": "s", "item_id": ["a", "b"], "event": "clickout_item", "order": [1, 0]})
    lists = pd.DataFrame({"session_id": "s", "request_id": 0, "item_id": ["b", "c"], "position": [1, 2]})
    lists["clicked"] = [True, False]
    replay = widgets.Replay({"events": events, "impressions": lists}, "s")
    assert "Event 1 of 2: clickout_item" in words(replay.html(1))
    assert "1 · clicked now" in words(replay.html(1))
    assert list(widgets.interesting(events)) == ["a long one"]
    with pytest.raises(ValueError, match="no session to show"):
        widgets.session_explorer({"events": events}, {})


def test_an_unknown_session_is_named():
    with pytest.raises(ValueError, match="session 99 has no events"):
        widgets.session_explorer(log((1, 8, "view", 0)), {"mine": 99})


# ---- the bookshop -------------------------------------------------------------------------------------------------


def test_the_shop_has_a_session_of_each_kind(shop):
    chosen = widgets.interesting(shop.events, shop.impressions)
    assert list(chosen) == ["with a purchase", "with a return", "a long one", "a single click", "a bot"]
    of = shop.events.groupby("session_id")["event"].agg(list)
    assert "purchase" in of[chosen["with a purchase"]]
    assert "return" in of[chosen["with a return"]]
    assert len(of[chosen["a single click"]]) == 1
    defects = bookshop.truth().defects
    machines = set(defects.loc[defects["defect"] == "bot", "event_id"])
    assert machines & set(shop.events.loc[shop.events["session_id"] == chosen["a bot"], "event_id"])
    assert chosen["a long one"] != chosen["a bot"]


def test_every_event_of_the_chosen_sessions_can_be_shown(shop):
    explorer = widgets.session_explorer(shop)
    chooser, _, after, slider, page = parts(explorer)
    for _, value in chooser.options:
        chooser.value = value
        Balanced(page.value)
        while not after.disabled:
            after.click()
        assert f"Event {slider.value} of" in page.value
        Balanced(page.value)


def test_a_page_stays_small(shop):
    chosen = widgets.interesting(shop.events)
    replay = widgets.Replay(shop.tables, chosen["a bot"])
    assert len(replay.html(len(replay))) < 40_000


# ---- where widgets are missing, and what is stored ------------------------------------------------------------------


def test_without_ipywidgets_there_is_a_plain_form(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    plain = widgets.session_explorer(log((1, 7, "view", 0), (1, 8, "view", 9)), {"mine": 1})
    assert isinstance(plain, widgets.Plain)
    assert "mine (session 1): 2 events" in repr(plain)
    assert "Event 2 of 2" in words(plain._repr_html_())


def test_importing_does_not_pull_in_ipywidgets():
    code = "import sys, recsys_lab.widgets; sys.exit('ipywidgets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("folder", ["solutions", "labs"])
def test_no_state_is_stored_in_the_lab(folder):
    for path in (ROOT / folder).glob("01_*.ipynb"):
        assert "widgets" not in nbformat.read(path, as_version=4).metadata
        assert "application/vnd.jupyter.widget" not in path.read_text(encoding="utf-8")


def test_only_what_both_generations_of_ipywidgets_have(shop):
    """Read from the source, since one generation is installed: nothing that 7.7 lacks."""
    source = (ROOT / "recsys_lab" / "widgets.py").read_text(encoding="utf-8")
    used = set(re.findall(r"ipywidgets\.(\w+)", source))
    assert used <= {"Button", "Dropdown", "HBox", "HTML", "IntSlider", "Layout", "VBox"}
    assert "tooltip" not in source
    assert "set_title" not in source
