"""The bookshop's pages without a browser: what they say, what they record, and whether everybody can read them."""

import dataclasses
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from recsys_lab.serve import views
from recsys_lab.serve.api import ServeSettings, make_app
from recsys_lab.serve.bundle import Bundle
from recsys_lab.serve.memory import open_store
from recsys_lab.serve.shop import Shop

CSS = Path(views.__file__).parent / "static" / "shop.css"
VOID = {"meta", "link", "input", "img", "br", "hr"}
NASTY = '<script>alert("x")</script>\'"&<img src=x onerror=alert(1)>'


# ---- reading a page -----------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """A page as a list of elements, each with its tag, attributes, words and the elements that it stands in."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.problems = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, [e["tag"] for e in self.open]

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "words": "", "within": list(self.open)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)
        for outer in element["within"]:
            outer["words"] += element["attrs"].get("alt") or ""

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag, tag

    def handle_data(self, data):
        for element in self.open:
            element["words"] += data

    def all(self, tag=None, **attrs):
        """Elements by tag and attributes."""
        attrs = {name.replace("_", "-"): value for name, value in attrs.items()}
        return [
            e
            for e in self.elements
            if tag in (None, e["tag"]) and all(e["attrs"].get(n) == value for n, value in attrs.items())
        ]

    def words(self, **attrs):
        """The words of the only element with these attributes, blanks made one."""
        (element,) = self.all(**attrs)
        return " ".join(element["words"].split())

    def books(self, section):
        """Ids of the books that a section links to, in order, each once."""
        links = [e["attrs"]["href"] for e in self.all("a") if any(o["attrs"].get("id") == section for o in e["within"])]
        found = [re.match(r"/books/(\w+)", link) for link in links]
        return list(dict.fromkeys(int(match[1]) for match in found if match))


# ---- colours ------------------------------------------------------------------------------------------------------


def schemes():
    """Custom properties of the light and the dark scheme."""
    text = re.sub(r"/\*.*?\*/", "", CSS.read_text(), flags=re.DOTALL)
    roots = re.findall(r":root\s*\{(.*?)\}", text, flags=re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+):\s*([^;]+);", root)) for root in roots)
    return {"light": light, "dark": {**light, **dark}}


def contrast(first, second):
    """Contrast ratio of two colours, WCAG 2.2."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


GROUNDS = ("paper", "surface", "sunk")
TEXTS = ("ink", "muted", "accent", "warn", "good")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_every_ground(scheme):
    colours = schemes()[scheme]
    for text in TEXTS:
        for ground in GROUNDS:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["accent-ink"], colours["accent"]) >= 4.5
    for mark in ("edge", "focus", "lamp"):  # borders of fields, focus, large numerals
        for ground in GROUNDS:
            assert contrast(colours[mark], colours[ground]) >= 3, (mark, ground)


def test_the_two_schemes_are_two_and_the_rules_name_no_colour_themselves():
    light, dark = schemes().values()
    assert contrast(light["paper"], dark["paper"]) > 12
    rules = re.sub(r":root\s*\{.*?\}", "", re.sub(r"/\*.*?\*/", "", CSS.read_text(), flags=re.DOTALL), flags=re.DOTALL)
    assert not re.findall(r"#[0-9a-f]{3,8}\b", rules)
    assert "url(" not in rules and "@import" not in rules  # nothing is fetched
    used = {text for text in re.findall(r"(?<![-\w])color: var\(--([\w-]+)\)", rules)}
    assert used <= {*TEXTS, "accent-ink", "lamp"}


def test_movement_only_where_it_is_wanted():
    text = CSS.read_text()
    calm = text[: text.index("@media (prefers-reduced-motion: no-preference)")]
    assert "transition" not in calm and "animation" not in calm


# ---- the shop -----------------------------------------------------------------------------------------------------


class Visitor:
    """A browser without scripts, and what the shop remembers of it."""

    def __init__(self, shop, app):
        self.shop, self.client = shop, TestClient(app, base_url="http://127.0.0.1")
        self.client.headers["Accept"] = "text/html"

    def session(self):
        """The visit as the store holds it."""
        return self.shop.session(self.client.cookies["visitor"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The shipped bookshop with its trained models."""
    store = open_store(tmp_path_factory.mktemp("pages") / "sessions.sqlite")
    shop = Shop(Bundle.obtain(), store, budget_ms=5_000)  # a busy machine is not what is tested here
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def app(shop):
    return make_app(shop, ServeSettings(allowance=(10_000, 1_000.0)))


@pytest.fixture
def visitor(shop, app):
    someone = Visitor(shop, app)
    someone.client.get("/users")
    return someone


@pytest.fixture
def other_visitor(shop, app):
    return Visitor(shop, app)


@pytest.fixture(scope="module")
def reader(shop):
    return shop.known_readers(1)[0]


# ---- the pages ----------------------------------------------------------------------------------------------------

ADDRESSES = [
    "/",
    "/search",
    "/search?q=emma",
    "/search?q=zzzzzzzzqqqq",
    "/books/7?v=a",
    "/books/999999999",
    "/basket",
    "/users",
    "/users/999999999",
    "/users/{reader}",
]


def get(client, address, **more):
    """A page, asked for as browsers do."""
    answer = client.get(address, headers={"Accept": "text/html", **more.pop("headers", {})}, **more)
    assert answer.headers["content-type"].startswith("text/html"), answer.text
    return Page(answer.text)


def views_of(shop, visitor):
    return list(visitor.session().clicks)


def assert_well_made(page, where):
    """What screen readers and a strict policy need of every page."""
    assert page.all("html")[0]["attrs"]["lang"] == "en-GB"
    assert page.words(**{"id": "main"}) and len(page.all("title")) == 1 and page.all("title")[0]["words"].strip()
    ids = [e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]]
    assert len(ids) == len(set(ids)), (where, [i for i in ids if ids.count(i) > 1])
    for tag in ("main", "header", "nav", "footer"):
        assert page.all(tag), (where, tag)
    assert len(page.all(role="search")) == 1
    navs = [e["attrs"].get("aria-label") for e in page.all("nav")]
    assert all(navs) and len(set(navs)) == len(navs)
    levels = [int(e["tag"][1]) for e in page.elements if re.fullmatch("h[1-6]", e["tag"]) and not in_sheet(e)]
    assert levels[0] == 1 and levels.count(1) == 1, (where, levels)
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (where, levels)
    for e in page.elements:
        assert_named(page, e, ids, where)


def in_sheet(element):
    return any("sheet" in (outer["attrs"].get("class") or "").split() for outer in element["within"])


def assert_named(page, e, ids, where):
    tag, attrs = e["tag"], e["attrs"]
    assert "style" not in attrs and not any(name.startswith("on") for name in attrs), (where, tag, attrs)
    assert tag != "style" and (tag != "script" or (attrs.get("src") == "/static/htmx.min.js" and not e["words"]))
    if tag == "img":
        hidden = any(o["attrs"].get("aria-hidden") == "true" for o in e["within"])
        beside_words = any(o["tag"] in ("a", "div") and o["words"].strip() for o in e["within"])
        assert attrs["alt"] or hidden or beside_words, (where, attrs)
    if tag == "svg":
        assert attrs.get("aria-hidden") == "true" or attrs.get("aria-label"), where
    if tag == "input" and attrs.get("type") != "hidden":
        assert page.all("label", **{"for": attrs["id"]}) or attrs.get("aria-label"), (where, attrs)
    if tag in ("a", "button", "summary") and attrs.get("aria-hidden") != "true":
        assert e["words"].strip() or attrs.get("aria-label"), (where, attrs)
    if tag == "a" and attrs.get("aria-hidden") == "true":
        assert attrs["tabindex"] == "-1"
    if tag == "section":
        assert attrs.get("aria-label") or attrs.get("aria-labelledby") in ids, (where, attrs)
    for name in ("for", "popovertarget", "aria-labelledby", "aria-controls"):
        assert attrs.get(name) is None or attrs[name] in ids, (where, name, attrs)
    for name in ("hx-target", "hx-include"):
        assert attrs.get(name, "this") == "this" or attrs[name].removeprefix("#") in ids, (where, name, attrs)


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_is_well_made(visitor, reader, address):
    assert_well_made(get(visitor.client, address.format(reader=reader)), address)
    for book in (11, 12, 13):
        visitor.client.get(f"/books/{book}?v=b")
    visitor.client.post("/basket", data={"item": "12"})
    assert_well_made(get(visitor.client, address.format(reader=reader)), address)


def test_a_new_visit_is_shown_what_is_popular_and_told_so(visitor):
    page = get(visitor.client, "/")
    assert page.words(id="for-you-title") == "Popular now"
    assert "have not looked at a book yet" in page.words(id="for-you")
    assert len(page.books("for-you")) == views.FOR_YOU
    assert page.books("recent") == [] and "Nothing yet" in page.words(id="recent")
    assert page.words(id="because") == ""
    assert page.books("trending")


def test_three_looks_make_the_three_recent_books_newest_first(visitor):
    for book in (11, 12, 13):
        get(visitor.client, f"/books/{book}?v=n")
    page = get(visitor.client, "/")
    assert page.books("recent") == [13, 12, 11]
    assert page.words(id="for-you-title") == "For you now"
    assert not {11, 12, 13} & set(page.books("for-you"))
    assert page.words(id="because").startswith("Because you viewed")
    machine = page.words(id="machine-body")
    titles = [visitor.shop.catalogue.get(book).title for book in (11, 12, 13)]
    places = [machine.index(f"looked at {title}") for title in titles]
    assert places == sorted(places)


def test_one_look_is_one_view_however_often_its_page_is_loaded(visitor):
    href = next(e["attrs"]["href"] for e in get(visitor.client, "/").all("a") if "/books/" in e["attrs"]["href"])
    book = int(re.match(r"/books/(\d+)", href)[1])
    for _ in range(3):
        get(visitor.client, href)
    assert views_of(visitor.shop, visitor) == [book]
    visitor.client.post(f"/_/look/{book}?v={href.split('v=')[1]}", data={"on": "home"})
    assert views_of(visitor.shop, visitor) == [book]  # the quick look before or after is the same look
    again = next(
        e["attrs"]["href"] for e in get(visitor.client, f"/search?q={book}").all("a") if "/books/" in e["attrs"]["href"]
    )
    get(visitor.client, f"/books/{book}?v={again.split('v=')[1]}")
    assert views_of(visitor.shop, visitor) == [book, book]  # a link of another page is another look


def test_an_address_without_a_nonce_counts_once_a_visit(visitor):
    for _ in range(2):
        get(visitor.client, "/books/7")
    assert views_of(visitor.shop, visitor) == [7]


@pytest.mark.parametrize("header", ["Sec-Purpose", "Purpose"])
def test_fetching_in_advance_is_not_looking(visitor, header):
    answer = visitor.client.get("/books/7?v=a", headers={header: "prefetch;prerender"})
    assert answer.status_code == 503 and answer.headers["cache-control"] == "no-store"
    assert views_of(visitor.shop, visitor) == []
    assert visitor.client.get("/books/7?v=a").status_code == 200
    assert views_of(visitor.shop, visitor) == [7]


def test_every_recommended_book_says_why(visitor):
    for book in (11, 12):
        get(visitor.client, f"/books/{book}?v=n")
    page = get(visitor.client, "/books/13?v=n")
    for section in ("for-you", "related"):
        reasons = [
            e["words"] for e in page.all("details") if any(outer["attrs"].get("id") == section for outer in e["within"])
        ]
        assert len(reasons) == len(page.books(section))
        assert all("Why am I seeing this?" in text and "Proposed by:" in text for text in reasons)


# ---- basket -------------------------------------------------------------------------------------------------------


def kinds(visitor):
    return [(e.event, e.item_id) for e in visitor.session().events if e.event != "view"]


def test_the_basket_without_javascript(visitor):
    client = visitor.client
    for _ in range(2):  # a doubled click is one
        answer = client.post("/basket", data={"item": "11"})
    assert answer.url.path == "/basket" and "Add to basket" not in answer.text
    client.post("/basket", data={"item": "12"})
    assert kinds(visitor) == [("cart", 11), ("cart", 12)]
    page = get(client, "/basket")
    price = sum(visitor.shop.catalogue.get(book).price for book in (11, 12))
    assert f"£{price:.2f}" in page.words(id="basket-part")
    assert page.words(id="basket-count") == "2 books"
    client.post("/basket/remove", data={"item": "11"})
    client.post("/basket/remove", data={"item": "11"})
    client.post("/basket", data={"item": "11"})  # taken out, and put in again
    assert kinds(visitor)[2:] == [("remove", 11), ("cart", 11)]
    thanks = client.post("/basket/checkout")
    assert "2 books bought" in thanks.text and "Your basket is empty" in thanks.text
    assert sorted(kinds(visitor)[4:]) == [("purchase", 11), ("purchase", 12)]
    client.post("/basket/checkout")
    assert len(kinds(visitor)) == 6


@pytest.mark.parametrize("item", ["", "999999999", NASTY, "x" * 5000, "-1", "1e3", "\x00"])
def test_what_the_shop_does_not_have_cannot_be_put_in(visitor, item):
    assert visitor.client.post("/basket", data={"item": item}).status_code == 200
    assert visitor.client.post("/_/basket", data={"item": item}).status_code == 404
    assert kinds(visitor) == []


# ---- fragments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "address"),
    [
        ("home", "/"),
        ("book", "/books/7?v=a"),
        ("basket", "/basket"),
        ("user", "/users"),
        ("search", "/search?q=a"),
        ("missing", "/books/999999999"),
    ],
)
@pytest.mark.parametrize("action", ["/_/look/12?v=z", "/_/basket"])
def test_a_fragment_changes_only_what_its_page_has(visitor, on, address, action):
    page = get(visitor.client, address)
    assert page.all("input", id="on-page")[0]["attrs"]["value"] == on
    here = {e["attrs"].get("id") for e in page.elements}
    fragment = Page(visitor.client.post(action, data={"on": on, "item": "12", "key": "look"}).text)
    swapped = {e["attrs"]["id"] for e in fragment.elements if "hx-swap-oob" in e["attrs"]}
    assert {"machine-body", "basket-count", "news"} <= swapped <= here
    if on != "user":
        assert "for-you" in swapped
    if on in ("home", "book", "basket"):
        assert "recent" in swapped


def test_a_quick_look_moves_the_lists(visitor):
    before = get(visitor.client, "/").books("for-you")
    fragment = Page(visitor.client.post(f"/_/look/{before[1]}?v=q", data={"on": "home"}).text)
    assert fragment.books("recent") == [before[1]]
    assert before[1] not in fragment.books("for-you") and fragment.books("for-you") != before
    assert "You looked at" in fragment.words(id="news")


# ---- search -------------------------------------------------------------------------------------------------------

QUERIES = [
    "",
    " ",
    NASTY,
    "'\"`",
    "x" * 3_000,
    "\x00",
    "%00",
    "a\x00b",
    "../../etc/passwd",
    "日本",
    "{{ 7*7 }}",
    "\u202e\ud83d",
]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
@pytest.mark.parametrize("address", ["/search", "/_/search", "/_/results"])
def test_search_takes_any_text(visitor, query, address):
    query = query.encode("utf-8", "replace").decode()
    answer = visitor.client.get(address, params={"q": query})
    assert answer.status_code == 200
    page = Page(answer.text)
    assert len(page.all("script")) == (address == "/search")
    assert not [e for e in page.elements if any(name.startswith("on") for name in e["attrs"])]
    assert len(answer.content) < 150_000
    assert "49" not in re.findall(r"for “(.*?)”", answer.text)


def test_search_finds_while_typing_and_says_when_there_is_nothing(visitor):
    hits = Page(visitor.client.get("/_/search?q=pride and prej").text)
    assert "Pride and Prejudice" in hits.all("a")[0]["words"]
    assert "Nothing resembles" in visitor.client.get("/_/search?q=zzzzzzqqqq").text
    results = visitor.client.get("/_/results", params={"q": "emma & co"})
    assert results.headers["hx-replace-url"] == "/search?q=emma%20%26%20co"
    assert visitor.client.get("/_/search?q=").text.strip() == ""


@pytest.mark.parametrize("address", ["/", "/books/7?v=b", "/basket", "/search?q=pride"])
def test_no_title_becomes_markup(visitor, shop, monkeypatch, address):
    item, get_item = shop.catalogue.get(7), shop.catalogue.get
    nasty = dataclasses.replace(item, title=NASTY, author=NASTY, genre=NASTY)
    visitor.client.get("/books/7?v=a")
    visitor.client.post("/basket", data={"item": "7"})
    monkeypatch.setattr(shop.catalogue, "get", lambda item_id: nasty if item_id == 7 else get_item(item_id))
    answer = visitor.client.get(address)
    page = Page(answer.text)
    assert NASTY.split("(")[0] in "".join(e["words"] for e in page.all("html"))  # it is there, as words
    assert len(page.all("script")) == 1
    assert {e["attrs"]["src"].split("/")[1] for e in page.all("img")} == {"static"}
    assert not [name for e in page.elements for name in e["attrs"] if name.startswith("on")]
    assert visitor.client.get("/static/covers/7.svg").text.count("<script") == 0


# ---- readers ------------------------------------------------------------------------------------------------------


def test_a_reader_s_page(visitor, reader):
    page = get(visitor.client, f"/users/{reader}")
    assert re.match(r"Segment \d+", page.words(id="segment-title"))
    assert page.books("would")
    dates = [e["attrs"]["datetime"] for e in page.all("time") if not in_sheet(e)]
    assert dates and dates == sorted(dates, reverse=True)
    assert visitor.session().events == ()  # looking somebody up is not a visit


@pytest.mark.parametrize("who", ["999999999", "nobody", NASTY.replace("/", ""), "x" * 3000])
def test_an_unknown_reader_gets_what_is_popular_and_is_told_so(visitor, who):
    answer = visitor.client.get("/users", params={"id": who}, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    page = Page(answer.text)
    assert "Nobody has the number" in answer.text and page.words(id="popular-title") == "Popular now"
    assert page.books("popular")
    assert len([e for e in page.all("a") if e["attrs"]["href"].startswith("/users/")]) >= 3  # examples
    assert len(page.all("script")) == 1


def test_signing_in_and_out(visitor, reader):
    client = visitor.client
    home = Page(client.post(f"/users/{reader}/sign-in").text)
    assert f"Reader {reader}" in home.all("nav")[0]["words"]
    assert home.words(id="for-you-title") == "For you now"
    client.get("/books/7?v=a")
    assert visitor.session().user_id == reader
    assert f"Reader {reader}" not in Page(client.post("/sign-out").text).all("nav")[0]["words"]
    assert client.post("/users/999999999/sign-in").status_code == 404


def test_the_same_address_answers_programs_in_json(visitor, reader):
    assert visitor.client.get(f"/users/{reader}", headers={"Accept": "application/json"}).json()


# ---- the visit ----------------------------------------------------------------------------------------------------


def test_forgetting_leaves_nothing(visitor, reader):
    visitor.client.post(f"/users/{reader}/sign-in")
    get(visitor.client, "/books/7?v=a")
    page = Page(visitor.client.post("/forget").text)
    assert visitor.session().events == ()
    assert page.words(id="for-you-title") == "Popular now" and page.books("recent") == []
    assert "not signed in" in page.words(id="machine-body")


def test_two_visitors_do_not_see_each_other(visitor, other_visitor):
    get(visitor.client, "/books/7?v=a")
    assert get(other_visitor.client, "/").books("recent") == []
    get(other_visitor.client, "/books/8?v=a")
    assert get(visitor.client, "/").books("recent") == [7]


def test_pages_are_not_kept_and_covers_are(visitor):
    assert visitor.client.get("/").headers["cache-control"] == "no-store"
    cover = visitor.client.get("/static/covers/7.svg")
    assert cover.headers["content-type"] == "image/svg+xml" and "max-age" in cover.headers["cache-control"]
    assert "set-cookie" not in cover.headers
    for wrong in (
        "/static/covers/999999999.svg",
        "/static/covers/..%2f..%2fetc%2fpasswd.svg",
        "/static/../pages.py",
        "/static/%2e%2e/pages.py",
    ):
        assert visitor.client.get(wrong).status_code == 404


def test_where_nothing_is_browsers_get_a_page_and_programs_a_problem(visitor):
    answer = visitor.client.get("/no/such/page", headers={"accept": "text/html"})
    assert answer.status_code == 404 and "no page at this address" in answer.text
    answer = visitor.client.get("/no/such/page", headers={"accept": "application/json"})
    assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"
