"""The bookshop in a real browser, as `recsys-lab demo` serves it: by mouse, keyboard, touch; without JavaScript too."""

import os
import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from ports import free_port, wait_for

from recsys_lab import datasets
from recsys_lab.serve import covers

pytestmark = pytest.mark.needs("browser")
NASTY = "<script>document.title='taken'</script>\"'><img src=x onerror=document.title='taken'>"
VIOLATIONS = "addEventListener('securitypolicyviolation', e => console.error('policy: ' + e.violatedDirective))"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Address of the running demo."""
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    command = [
        sys.executable,
        "-c",
        "import sys; from recsys_lab.cli import main; sys.exit(main())",
        "demo",
        "--no-browser",
        "--port",
        str(port),
    ]
    command += ["--session-store", str(folder / "sessions.db")]
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=log, stderr=log
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz", server, folder / "log.txt")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture
def visit(browser, shop):
    """Makes pages of new visitors; in the end none of them may have complained or asked another machine."""
    contexts, complaints, asked = [], [], set()

    def new(**settings):
        context = browser.new_context(base_url=shop, viewport={"width": 1280, "height": 900}, **settings)
        context.set_default_timeout(10_000)
        contexts.append(context)
        if settings.get("java_script_enabled", True):
            context.add_init_script(VIOLATIONS)
        page = context.new_page()
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        return page

    yield new
    for context in contexts:
        context.close()
    expected = "the server responded with a status of 404"  # what a page for an unknown number is
    assert [text for text in complaints if expected not in text] == []
    assert asked <= {urlsplit(shop).netloc}


def books(page, section: str) -> list[str]:
    """Numbers of the books in a section, in order."""
    links = page.locator(f"#{section} .card-title a").evaluate_all("links => links.map(a => a.getAttribute('href'))")
    return [re.match(r"/books/(\w+)", link)[1] for link in links]


def settled(page) -> None:
    """Wait until htmx has nothing under way."""
    page.wait_for_function("!document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')")


def quick_look(page, section: str, place: int) -> str:
    """Quick look at a book of a section; gives its number."""
    book = books(page, section)[place]
    page.locator(f"#{section} button[id^=look-]").nth(place).click()
    page.locator(f"#recent .card a[href^='/books/{book}?']").first.wait_for()
    return book


def test_three_clicks(visit):
    page = visit()
    page.goto("/")
    assert page.locator("#for-you-title").inner_text() == "Popular now"
    clicked = []
    for place in (0, 2, 4):
        page.goto("/")
        clicked.insert(0, books(page, "for-you")[place])
        page.locator("#for-you .card-title a").nth(place).click()
        page.wait_for_url(re.compile(rf"/books/{clicked[0]}\?"))
    page.get_by_role("link", name="Marginalia").click()
    assert books(page, "recent") == clicked
    assert page.locator("#for-you-title").inner_text() == "For you now"
    assert not set(clicked) & set(books(page, "for-you"))


def test_the_lists_move_without_a_reload(visit):
    page = visit()
    page.goto("/")
    page.evaluate("window.sameDocument = true")
    before = books(page, "for-you")
    first = quick_look(page, "for-you", 1)
    after = books(page, "for-you")
    assert books(page, "recent") == [first] and first not in after and after != before
    page.keyboard.press("Escape")
    second = quick_look(page, "for-you", 3)
    assert books(page, "recent") == [second, first]
    assert books(page, "for-you") != after
    assert "You looked at" in page.locator("#news").inner_text()
    assert page.locator("#news").get_attribute("aria-live") == "polite"
    page.locator("#look").get_by_role("button", name="Add to basket").click()
    page.locator("#basket-count", has_text="1").wait_for()
    assert page.evaluate("window.sameDocument") is True
    assert urlsplit(page.url).path == "/"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="What the machine saw").click()
    seen = page.locator("#machine-body")
    assert seen.locator("ol li").count() == 3
    assert "put in the basket" in seen.inner_text()


def test_the_back_button(visit):
    page = visit()
    page.goto("/")
    clicked = []
    for place in (1, 2):
        clicked.insert(0, books(page, "for-you")[place])
        page.locator("#for-you .card-title a").nth(place).click()
        page.wait_for_url(re.compile(rf"/books/{clicked[0]}\?"))
    page.go_back()
    page.wait_for_url(re.compile(rf"/books/{clicked[1]}\?"))
    page.go_forward()
    page.reload()
    page.go_back()
    page.go_back()
    page.wait_for_url(re.compile(r"/$"))
    assert books(page, "recent") == clicked  # back, forward and reload are no looks of their own
    page.get_by_role("button", name="What the machine saw").click()
    assert page.locator("#machine-body ol li").count() == 2


def test_search_while_typing(visit):
    page = visit()
    page.goto("/")
    field = page.get_by_role("searchbox", name="Search by title or author")
    field.press_sequentially("prejud", delay=15)
    page.locator("#hits a", has_text="Pride and Prejudice").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Pride and Prejudice"
    page.go_back()
    assert urlsplit(page.url).path == "/"
    page.goto("/search?q=emma")
    page.get_by_role("searchbox").fill("pride")
    page.locator("#results", has_text="Pride and Prejudice").wait_for()
    assert page.url.endswith("/search?q=pride")


def test_odd_searches(visit):
    page = visit()
    for query in ("", "   ", NASTY, "\"'`<>&", "x" * 10_000, "zzzz\x00qqqq"):
        page.goto("/")
        page.get_by_role("searchbox").focus()
        page.keyboard.insert_text(query)  # as if pasted
        if query.strip():
            page.locator("#hits > *").first.wait_for(state="attached")
        page.get_by_role("searchbox").press("Enter")
        page.wait_for_url(re.compile(r"/search"))
        assert page.title() == "Search · Marginalia"
        assert page.locator("#results").inner_text().strip()
        assert page.locator("script").count() == 1


def test_an_unknown_reader_and_a_known_one(visit):
    page = visit()
    page.goto("/users")
    page.get_by_label("Reader's number").fill("999999999")
    page.get_by_role("button", name="Look up").click()
    assert "Nobody has the number" in page.locator(".note").inner_text()
    assert page.locator("#popular-title").inner_text() == "Popular now"
    assert len(books(page, "popular")) > 3
    page.locator(".chip").first.click()
    number = page.get_by_role("heading", level=1).inner_text().removeprefix("Reader ")
    assert re.match(r"Segment \d+", page.locator("#segment-title").inner_text())
    page.get_by_role("button", name="Sign in as this reader").click()
    assert f"Reader {number}" in page.get_by_role("navigation", name="Shop").inner_text()


def test_two_visitors_do_not_see_each_other(visit):
    first, second = visit(), visit()
    first.goto("/")
    second.goto("/")
    looked = quick_look(first, "for-you", 1)
    second.reload()
    assert books(second, "recent") == []
    assert second.locator("#for-you-title").inner_text() == "Popular now"
    other = quick_look(second, "for-you", 2)
    first.reload()
    assert books(first, "recent") == [looked] != [other]


def test_the_basket_from_add_to_checkout(visit):
    page = visit()
    page.goto("/books/7?v=a")
    page.locator("#put-book-7").click()
    page.get_by_role("link", name="In your basket").click()
    page.wait_for_url(re.compile("/basket$"))
    page.evaluate("window.sameDocument = true")
    page.locator("#basket-part .shelf button").first.click()
    page.locator("#basket-count", has_text="2").wait_for()
    page.locator(".line button").first.click()
    page.locator("#basket-count", has_text="1").wait_for()
    assert page.locator(".line").count() == 1
    assert page.evaluate("window.sameDocument") is True
    page.get_by_role("button", name="Pretend to pay").click()
    assert "1 book bought" in page.locator(".note").inner_text()
    assert "Your basket is empty" in page.locator("#basket-part").inner_text()
    page.reload()
    page.get_by_role("button", name="What the machine saw").click()
    assert page.locator("#machine-body").inner_text().count("bought") == 1


def focused(page) -> dict:
    """What has the focus, and whether that can be seen."""
    return page.evaluate(
        """() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
        const form = e.closest('.search form'), f = form ? getComputedStyle(form) : s;
        const ring = x => x.outlineStyle !== 'none' && parseFloat(x.outlineWidth) >= 2;
        return {name: e.id || e.innerText || e.tagName, href: e.getAttribute('href') || '', ring: ring(s) || ring(f),
                inside: r.width > 0 && r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth}; }"""
    )


def tab_to(page, wanted, most: int = 60) -> None:
    """Go on with Tab until `wanted` is true of what has the focus; all that is passed must show it."""
    for _ in range(most):
        page.keyboard.press("Tab")
        here = focused(page)
        assert here["ring"] and here["inside"], here
        if wanted(here):
            return
    pytest.fail(f"not reached with {most} tabs; the last was {here}")


def test_by_keyboard_alone(visit):
    page = visit()
    page.goto("/")
    page.keyboard.press("Tab")
    assert focused(page)["name"] == "Skip to the content" and focused(page)["inside"]
    tab_to(page, lambda e: e["name"] == "q")
    page.keyboard.type("pride and", delay=15)
    page.locator("#hits a").first.wait_for()
    tab_to(page, lambda e: e["href"].startswith("/books/"))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/books/"))
    tab_to(page, lambda e: e["name"].startswith("put-book-"))
    page.keyboard.press("Enter")
    page.get_by_role("link", name="In your basket").wait_for()
    settled(page)
    assert "In your basket" in page.evaluate("document.activeElement.innerText")  # the focus is where the button was
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/basket$"))
    assert page.locator(".line").count() == 1


def test_why_and_quick_look_by_keyboard(visit):
    page = visit()
    page.goto("/books/7?v=a")
    page.goto("/")
    summary = page.locator("#for-you .card summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert "Proposed by:" in page.locator("#for-you .card .reason").first.inner_text()
    page.locator("#for-you .card button[id^=look-]").first.focus()
    page.keyboard.press("Enter")
    page.locator("#look-body h2").wait_for()
    page.wait_for_function("document.activeElement.matches('#look-body h2')")
    page.keyboard.press("Tab")
    assert page.evaluate("!!document.activeElement.closest('#look')")
    page.keyboard.press("Escape")
    assert not page.locator("#look").is_visible()


def test_without_javascript(visit):
    page = visit(java_script_enabled=False)
    page.goto("/")
    assert page.locator("button[id^=look-]").first.is_hidden()
    page.locator("#for-you .card-title a").nth(1).click()
    title = page.get_by_role("heading", level=1).inner_text()
    page.get_by_role("button", name="Add to basket").click()
    assert page.locator(".line .card-title").inner_text() == title
    page.locator("#basket-part .shelf button").first.click()
    assert page.locator(".line").count() == 2
    page.locator(".line button").first.click()
    page.get_by_role("button", name="Pretend to pay").click()
    assert "1 book bought" in page.locator(".note").inner_text()
    page.get_by_role("searchbox").fill("pride")
    page.keyboard.press("Enter")
    assert "Pride and Prejudice" in page.locator("#results").inner_text()
    page.goto("/")
    assert page.locator("#recent .card-title").inner_text() == title
    page.locator("#for-you .card summary").first.click()
    assert page.locator("#for-you .card .reason").first.is_visible()
    page.get_by_role("button", name="What the machine saw").click()
    page.get_by_role("button", name="Forget this visit").click()
    assert page.locator("#for-you-title").inner_text() == "Popular now"


def test_forget_this_visit(visit):
    page = visit()
    page.goto("/")
    quick_look(page, "for-you", 1)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="What the machine saw").click()
    page.get_by_role("button", name="Forget this visit").click()
    page.locator("#for-you-title", has_text="Popular now").wait_for()
    assert books(page, "recent") == []
    assert page.locator("#machine-body ol li").count() == 0


@pytest.mark.parametrize("width", [320, 800, 1440])
def test_nothing_stands_out_of_the_page(visit, width):
    page = visit(color_scheme="dark")
    page.set_viewport_size({"width": width, "height": 740})
    for address in ("/books/7?v=a", "/", "/search?q=the", "/users", "/users/999999999"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
    page.locator("#q").focus()
    page.get_by_role("button", name="What the machine saw").click()
    box = page.locator("#machine").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width + 1


def test_targets_are_large_enough_on_a_phone(visit):
    page = visit(has_touch=True)
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/books/7?v=a")
    small = page.locator("button:visible, .button:visible, .place:visible, summary:visible").evaluate_all(
        "all => all.map(e => [e.innerText, e.getBoundingClientRect()]).filter(([, r]) => r.height < 24 || r.width < 24)"
        ".map(([text]) => text)"
    )
    assert small == []


def test_titles_fit_their_covers(visit):
    """In the fonts of this very machine: no text of a cover reaches beyond it."""
    items = datasets.load("bookshop").items
    page = visit()
    page.set_content("".join(map(covers.cover, items["title"], items["author"], items["genre"])))
    assert page.locator("svg[role=img]").count() == len(items)
    beyond = page.evaluate(
        """() => [...document.querySelectorAll('text')].filter(t => { const b = t.getBBox();
        return b.x < 4 || b.y < 0 || b.x + b.width > 118 || b.y + b.height > 180; }).map(t => t.textContent)"""
    )
    assert beyond == []
