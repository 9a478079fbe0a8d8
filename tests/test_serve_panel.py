"""The bookshop as a panel in a notebook: driven without a browser; the same shop, the same lists."""

import re
import secrets
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import ipywidgets
import pytest

from recsys_lab.serve import panel
from recsys_lab.serve.bundle import Bundle
from recsys_lab.serve.memory import open_store
from recsys_lab.serve.shop import Shop

NASTY = '<script>alert("x")</script><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("panel") / "sessions.sqlite")
    shop = Shop(Bundle.obtain(), store, budget_ms=5_000)
    yield shop
    shop.close()


@pytest.fixture
def driven(shop):
    """A panel, with its parts by name."""
    return panel._Panel(ipywidgets, shop, f"test-{secrets.token_hex(8)}")


def shown(row):
    """Ids of the books in a row; none where it is hidden."""
    if row.box.layout.display == "none":
        return []
    return [t.card.item.item_id for t in row.tiles if t.card is not None and t.box.layout.display != "none"]


def tags(text):
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append((tag, dict(attrs)))
    parser.feed(text)
    return found


def test_a_new_visit_is_shown_what_is_popular_and_told_so(driven):
    assert "Popular now" in driven.for_you.head.value
    assert len(shown(driven.for_you)) == panel.N_FOR_YOU
    assert shown(driven.recent) == shown(driven.found) == []
    assert driven.put.disabled


def test_every_click_moves_the_lists(driven):
    clicked = []
    for place in (0, 2, 1):
        before = shown(driven.for_you)
        clicked.insert(0, before[place])
        driven.for_you.tiles[place].button.click()
        assert shown(driven.recent) == clicked
        assert shown(driven.for_you) != before and not set(clicked) & set(shown(driven.for_you))
    assert "For you now" in driven.for_you.head.value
    assert driven.machine.value.count("<li>") == 3


def test_the_list_is_the_one_of_the_service(driven, shop):
    driven.for_you.tiles[3].button.click()
    assert shown(driven.for_you) == list(shop.recommend(driven.visit.session_id, None, panel.N_FOR_YOU).ids)


def test_search_and_basket(driven, shop):
    driven.field.value = "pride and prej"
    first = driven.found.tiles[0]
    assert first.card.item.title == "Pride and Prejudice"
    first.button.click()
    driven.put.click()
    driven.put.click()
    assert shop.session(driven.visit.session_id).basket == (first.card.item.item_id,)
    assert "Basket: 1 book." in driven.status.value and driven.put.disabled
    driven.field.value = ""
    assert driven.found.box.layout.display == "none"


@pytest.mark.parametrize("text", [NASTY, "\x00", "x" * 10_000, "'\"", "zzzzzzqqqq"], ids=range(5))
def test_any_text_stays_text(driven, text):
    driven.field.value = text
    driven.reader.value = text
    for html in (driven.found.head.value, driven.status.value, driven.machine.value, driven.for_you.head.value):
        assert not {tag for tag, _ in tags(html)} & {"script", "img"}
    assert driven.visit.reader is None


def test_no_title_becomes_markup(driven, shop, monkeypatch):
    item = shop.catalogue.get(7)
    nasty = type(item)(**{n: getattr(item, n) for n in item.__slots__} | {"title": NASTY, "author": NASTY})
    get = shop.catalogue.get
    monkeypatch.setattr(shop.catalogue, "get", lambda item_id: nasty if item_id == 7 else get(item_id))
    driven.actions.view(driven.visit, 7, "n")
    driven.draw(f"You looked at {NASTY}.")
    values = [driven.status.value, driven.machine.value]
    values += [part.value for tile in driven.recent.tiles for part in (tile.picture, tile.note)]
    for value in values:
        assert not {tag for tag, _ in tags(value)} & {"script", "img"}
        assert not [name for _, attrs in tags(value) for name in attrs if name.startswith("on")]
    assert NASTY.split("<img")[0].replace("<", "&lt;").replace(">", "&gt;").split('"')[0] in driven.machine.value


def test_a_reader_and_nobody(driven, shop):
    reader = shop.known_readers(1)[0]
    driven.reader.value = str(reader)
    assert "For you now" in driven.for_you.head.value and f"reader {reader}" in driven.for_you.head.value
    driven.for_you.tiles[0].button.click()
    assert shop.session(driven.visit.session_id).user_id == reader


def test_forgetting_and_two_panels(driven, shop):
    other = panel._Panel(ipywidgets, shop, "another-panel")
    driven.for_you.tiles[0].button.click()
    other.draw("")
    assert shown(other.recent) == []
    driven.forget.click()
    assert shown(driven.recent) == [] and shop.session(driven.visit.session_id).events == ()
    assert "Popular now" in driven.for_you.head.value and driven.put.disabled


def test_a_long_visit_makes_no_new_widgets(driven, monkeypatch):
    driven.for_you.tiles[0].button.click()
    made, construct = [], ipywidgets.Widget.__init__

    def counted(self, **values):
        made.append(type(self))
        construct(self, **values)

    monkeypatch.setattr(ipywidgets.Widget, "__init__", counted)
    for _ in range(5):
        driven.for_you.tiles[0].button.click()
    assert made == []
    ipywidgets.HTML()
    assert made  # it would have been seen


def test_only_what_both_generations_of_ipywidgets_have():
    source = Path(panel.__file__).read_text()
    assert set(re.findall(r"\bw\.(\w+)\(", source)) <= {"HTML", "Button", "Layout", "VBox", "Box", "Text", "Accordion"}
    assert "titles=" not in source and "set_title(0," in source


def test_a_panel_needs_no_web_framework():
    code = (
        "import sys\n"
        "for name in ('fastapi', 'uvicorn', 'jinja2', 'starlette'): sys.modules[name] = None\n"
        "import recsys_lab.serve.panel"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
