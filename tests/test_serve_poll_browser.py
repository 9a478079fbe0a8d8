"""The live poll in a real browser: a phone's page, with and without scripts, and the wall."""

import re

import pytest
from poll_server import Server

from recsys_lab import datasets

pytestmark = pytest.mark.needs("browser")
PHONE_SIZE = {"width": 360, "height": 740}
TARGET = 24  # pixels: least side of what is tapped (WCAG 2.2, 2.5.8)
CONTRAST = """
() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number)
  const linear = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4
  const light = colour => { const [r, g, b] = parts(colour).map(linear); return .2126 * r + .7152 * g + .0722 * b }
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor
      if ((parts(colour)[3] ?? 1) > 0) return colour
    }
    return "rgb(255, 255, 255)"
  }
  const hasText = e => [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())
  const shown = e => !e.closest("svg, .hush") && e.checkVisibility() && !e.disabled && hasText(e)
  return [...document.querySelectorAll("main *, header *")].filter(shown).map(e => {
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))]
    return [e.textContent.trim().slice(0, 40), (Math.max(a, b) + .05) / (Math.min(a, b) + .05)]
  }).filter(([, ratio]) => ratio < 4.5)
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("poll") / "poll.sqlite")
    server.file = server.log.name.replace(".log", ".sqlite")
    yield server
    server.end()


@pytest.fixture
def opened(browser, server):
    """Open pages that fail the test where a script raised or the browser complained."""
    contexts, complaints = [], []

    def open_page(path="/", size=PHONE_SIZE, **options):
        phone = size is PHONE_SIZE
        contexts.append(browser.new_context(viewport=size, has_touch=phone, is_mobile=phone, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(path if path.startswith("http") else f"http://127.0.0.1:{server.port}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [c for c in complaints if "status of 4" not in c] == []  # a refusal is shown as a page


def answers_in(server) -> list[list[int]]:
    try:
        events = datasets.load(f"poll:{server.file}").events
    except ValueError:
        return []
    return events.groupby("session_id")["item_id"].apply(list).tolist()


def settled(page) -> None:
    """Wait until no answer is on its way and the last one is in its place, with the focus where it belongs."""
    under_way = ".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added"
    page.wait_for_function("under_way => !document.querySelector(under_way)", arg=under_way)


def picked(page, n) -> None:
    page.wait_for_function("n => document.querySelectorAll('.poll-slots button').length == n", arg=n)
    settled(page)


def pick(page, query, nth=0) -> None:
    """Type a query and tap one of what is found."""
    before = page.locator(".poll-slots button").count()
    page.get_by_label("Find a book").fill(query)
    page.wait_for_function("q => document.querySelector('#found input[name=q]').value == q", arg=query)
    page.locator(".poll-book[aria-pressed=false]").nth(nth).tap()
    picked(page, before + 1)


def hand_in(page) -> None:
    page.get_by_role("button", name=re.compile("Hand in")).click()
    page.wait_for_url("**/answers")


def test_pick_five_hand_in_change_and_delete(opened, server):
    before = answers_in(server)
    page = opened()
    assert page.get_by_role("button", name="Hand in").is_disabled()
    for query in ("harry potter", "hobbit", "jane eyre", "sapiens", "emma"):
        pick(page, query)
    assert page.get_by_role("status").inner_text() == "5 of 5 picked: you can hand in."
    page.get_by_label("Find a book").fill("dune")
    page.locator(".poll-book[aria-pressed=false]").first.tap()
    page.locator(".poll-notice").wait_for()
    assert page.get_by_role("status").inner_text().startswith("5 books are the most")
    picked(page, 5)
    hand_in(page)
    assert page.locator(".poll-line").count() == 5
    (mine,) = [a for a in answers_in(server) if a not in before]
    page.go_back()  # and a second time, with what the phone still shows
    page.goto(f"http://127.0.0.1:{server.port}/")
    assert page.url.endswith("/answers")

    page.get_by_role("link", name="Change my answers").tap()
    picked(page, 5)
    page.get_by_role("button", name=re.compile("Take out")).first.tap()
    picked(page, 4)
    hand_in(page)
    assert mine[1:] in answers_in(server) and mine not in answers_in(server)

    page.locator("summary").tap()
    page.get_by_role("button", name="Yes, delete them").tap()
    page.get_by_role("heading", name="Deleted").wait_for()
    assert sorted(answers_in(server)) == sorted(before)
    page.get_by_role("link", name="Answer anew").tap()
    pick(page, "emma")
    hand_in(page)
    assert len(answers_in(server)) == len(before) + 1


def test_a_double_tap_counts_once(opened, server):
    page = opened()
    pick(page, "dracula")
    before = len(answers_in(server))
    page.get_by_role("button", name="Hand in 1 book").dblclick(no_wait_after=True)
    page.wait_for_url("**/answers")
    page.evaluate("fetch('/answers', {method: 'POST', body: new URLSearchParams({pick: 1})}).then(r => r.status)")
    assert len(answers_in(server)) == before + 1


def test_with_the_keyboard_alone(opened, server):
    page = opened()
    page.get_by_label("Find a book").focus()
    page.keyboard.type("frankenstein")
    page.locator(".poll-book").first.wait_for()
    with page.expect_response(re.compile("q=frankenstein")):
        page.keyboard.press("Enter")  # a search, not the first button of another form
    picked(page, 0)
    focused = "document.activeElement.getAttribute('{}')"
    for _ in range(3):
        page.keyboard.press("Tab")
        if page.evaluate(focused.format("name")) == "add":
            break
    item = page.evaluate(focused.format("value"))
    page.keyboard.press("Enter")
    picked(page, 1)
    assert page.evaluate(focused.format("value")) == item  # the focus stays, and the button now takes out again
    assert page.evaluate(focused.format("aria-pressed")) == "true"
    page.keyboard.press("Space")
    picked(page, 0)
    page.keyboard.press("Enter")
    picked(page, 1)
    taking_out = page.get_by_role("button", name=re.compile("Take out"))
    taking_out.focus()
    page.keyboard.press("Enter")
    picked(page, 0)
    page.wait_for_function("() => document.activeElement.className == 'poll-slots'")  # not lost at the top of the page
    assert page.get_by_role("status").inner_text() == "Nothing picked yet."


def test_back_takes_a_pick_back_and_reload_keeps_them(opened, server):
    page = opened()
    pick(page, "moby")
    pick(page, "hobbit")
    page.reload()
    picked(page, 2)
    page.go_back()
    picked(page, 1)


def test_what_is_typed_while_an_answer_is_on_its_way_is_not_lost(opened, server):
    page = opened()
    page.get_by_label("Find a book").fill("tolkien")
    page.locator(".poll-book").nth(2).wait_for()

    def late(route):
        page.wait_for_timeout(400)
        route.continue_()

    page.route(re.compile("add="), late)
    page.locator(".poll-book").first.tap()
    page.get_by_label("Find a book").fill("dracula")  # before the first book is there
    picked(page, 1)
    page.wait_for_function("() => document.querySelector('#found b')?.textContent.includes('Dracula')")
    assert page.get_by_label("Find a book").input_value() == "dracula"
    page.locator(".poll-book[aria-pressed=false]").first.tap()
    picked(page, 2)


def test_without_scripts_it_works_too(opened, server):
    page = opened(java_script_enabled=False)
    before = len(answers_in(server))
    page.get_by_label("Find a book").fill("tolkien")
    page.keyboard.press("Enter")
    page.locator("button[name=add]").first.tap()
    page.locator("button[name=add]").first.tap()
    hand_in(page)
    assert len(answers_in(server)) == before + 1
    page.locator("summary").tap()
    page.get_by_role("button", name="Yes, delete them").tap()
    page.get_by_role("heading", name="Deleted").wait_for()
    assert len(answers_in(server)) == before


def test_closed_while_somebody_is_still_picking(opened, server):
    wall = opened(server.presenter, {"width": 1280, "height": 720})
    assert "secret" not in wall.url
    phone, done = opened(), opened()
    pick(done, "emma")
    hand_in(done)
    pick(phone, "dracula")
    n = len(answers_in(server))
    wall.get_by_text(re.compile(rf"^{n}$")).wait_for()  # the count follows without a reload
    wall.get_by_role("button", name="Close the poll").click()
    wall.get_by_text("The poll is closed. Thank you.").wait_for()
    phone.get_by_role("button", name="Hand in 1 book").tap()
    phone.get_by_role("heading", name="The poll is closed").wait_for()
    done.reload()
    done.get_by_text("count as they are").wait_for()
    assert len(answers_in(server)) == n
    wall.get_by_role("button", name="Open it again").click()
    wall.locator(".poll-qr").wait_for()
    phone.goto(f"http://127.0.0.1:{server.port}/")
    pick(phone, "dracula")
    hand_in(phone)
    assert len(answers_in(server)) == n + 1
    wall.get_by_role("link", name="Show the room").click()
    wall.get_by_role("heading", name="What this room reads").wait_for()
    for chart in wall.locator("svg.chart").all():
        assert chart.get_attribute("aria-label")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_and_can_be_read(opened, server, scheme):
    phone = opened(color_scheme=scheme)
    pages = {"/": phone}
    pick(phone, "potter")
    for page in (phone, opened(server.presenter, {"width": 1280, "height": 720}, color_scheme=scheme)):
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(CONTRAST) == []
    for button in phone.locator("button:visible, a:visible:not(.skip), summary:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= TARGET, button.inner_text()
    hand = pages["/"].get_by_role("button", name="Hand in 1 book").bounding_box()
    assert hand["y"] + hand["height"] <= PHONE_SIZE["height"]  # always in sight, however long the list
    wall = page
    for part in (".poll-qr", ".poll-address", ".poll-left .button"):
        box = wall.locator(part).first.bounding_box()
        assert box["y"] + box["height"] <= 720, part
    assert wall.locator(".poll-qr").bounding_box()["width"] >= 400
    assert wall.evaluate("parseFloat(getComputedStyle(document.querySelector('.poll-address')).fontSize)") >= 28
    wall.goto(f"http://127.0.0.1:{server.port}/presenter/room")
    assert wall.evaluate(CONTRAST) == [] and wall.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_pages_ask_nobody_but_this_machine(opened, server):
    page = opened()
    pick(page, "emma")
    hosts = page.evaluate("performance.getEntriesByType('resource').map(entry => new URL(entry.name).hostname)")
    assert set(hosts) == {"127.0.0.1"}
