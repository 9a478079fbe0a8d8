"""Slides: what may stand in them, that they agree with the labs, and how every one of them looks in a browser."""

import re
import shutil

import pytest
from tiny_course import ROOT, SOURCE, edit, write_course

from recsys_lab import building, cli, slides, slides_figures, slides_marp
from recsys_lab import slides_drawings as drawings
from recsys_lab import slides_text as texts

DECKS = slides.decks(ROOT)
NAMES = [deck.name for deck in DECKS]
DRAWINGS = sorted(drawings.every())
LARGEST = 1_500_000
FRONT = "---\nmarp: true\ntheme: recsys-lab\nmath: mathjax\nlang: en\ntitle: Tiny\n---\n\n"
NOTE = "<!--\n2 min\nAsk: Who is there?\n-->\n"
QUESTIONS = """
# ## Three questions
#
# 1. Why {{ lab07.answer }}?
#
# <details><summary>Answers</summary>
#
# 1. Because of 42.
#
# </details>
#
# ## The end
"""
EXERCISE = "# ### Exercise 7.1 · Double\n"
LAB = SOURCE.replace("#\n# ## The end\n", "#" + QUESTIONS).replace(
    EXERCISE, f"{EXERCISE}#\n# *5 minutes, easy.* Twice.\n"
)
LAB = LAB.replace(
    'print("the same each time")',
    'print("the same each time")\n\n# %%\nfrom matplotlib import pyplot as plt\n\nfrom recsys_lab import plots\n\n'
    'figure, axes = plt.subplots()\naxes.plot([1, 2])\nplots.show(figure, "A rising line & more.")',
)


# ---- the committed decks -----------------------------------------------------------------------------------------


def test_slides_labs_and_pages_agree():
    assert slides.check(ROOT) == []


@pytest.mark.parametrize("deck", DECKS, ids=NAMES)
def test_a_deck_can_be_given_as_it_is(deck):
    _, parts = texts.split(deck.text)
    assert 10 <= len(parts) <= (18 if deck.number == "00" else 15)
    assert 25 <= sum(part.minutes for part in parts) <= 70
    assert deck.page.stat().st_size <= LARGEST
    page = texts.read(deck.page)
    assert not slides.OUTSIDE.search(page)
    notes = re.findall(r'<div class="bespoke-marp-note"[^>]*>(.*?)</div>', page, re.DOTALL)
    assert len(notes) == len(parts)
    assert all("Ask: " in note and " min" in note for note in notes)


@pytest.mark.parametrize("deck", DECKS, ids=NAMES)
def test_most_slides_show_a_picture(deck):
    _, parts = texts.split(deck.text)
    pictures = sum("{{ figure" in part.text or "{{ drawing" in part.text for part in parts)
    assert pictures >= 0.55 * len(parts)


def test_every_lab_that_is_built_has_its_deck_and_there_is_an_opening():
    from recsys_lab import sources

    wanted = {lab.name for lab in sources.labs(ROOT) if lab.solution.exists()}
    assert wanted <= set(NAMES)
    assert NAMES[0] == "00_opening"


# ---- what may stand in a slide -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "recall@20 of GRU4Rec and NDCG@5, V-SKNN2",
        "since 2013, in labs 01 and 02, exercise\n2.4, exercises 2.2 to 2.4, parts 7 to 9",
        "{{ lab07.answer }} of them",
        "1. one\n2. two",
        r"$x^2 + 3$ and `k=20`",
        "$$\n\\frac{1}{2}\n$$",
        "((30 minutes)) without a click",
        "((99 %)) they say\n\nSource: A. Author, 2015, page 12.",
        '<div style="flex: 2">two</div>',
        "[a](../labs/07_tiny.ipynb#part-3)",
        "$((2 + 3)) x$",
    ],
)
def test_digits_that_may_stand_there(text):
    assert texts.wrongs(f"{FRONT}# One\n\n{text}\n\n{NOTE}", "a pause of 30 minutes") == []


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("recall is 0.123", "0.123"),
        ("42 % of the views", "42"),
        ("1,208 books", "1,208"),
        ("+3.5 points", "3.5"),
        ("over 2015 times 7", "7"),
        ("2050 % more", "2050"),
        ("score@0.5", ".5"),
        ("seed2.75", "75"),
        ("on 12.", "12"),
    ],
)
def test_a_number_typed_by_hand_is_found(text, typed):
    found = texts.wrongs(f"{FRONT}# One\n\n{text}\n\n{NOTE}")
    assert len(found) == 1
    assert "slide 1" in found[0] and "typed by hand" in found[0] and typed.strip(".") in found[0]


def test_a_number_typed_into_the_notes_is_found():
    assert "'77' is typed by hand" in texts.wrongs(FRONT + "# One\n\n" + NOTE.replace("-->", "It is 77.\n-->"))[0]


def test_minutes_are_no_measured_number_but_only_on_their_line():
    assert texts.wrongs(FRONT + "# One\n\n" + NOTE) == []
    assert "'2' is typed" in texts.wrongs(FRONT + "# One\n\n" + NOTE.replace("2 min\n", "2 min\nafter 2 min more\n"))[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("# One\n\n" + NOTE.replace("2 min\n", ""), "'3 min'"),
        ("# One\n\n" + NOTE.replace("Ask: ", ""), "'Ask: ...?'"),
        ("# One\n\n" + NOTE.replace("there?", "there"), "'Ask: ...?'"),
        ("no heading\n\n" + NOTE, "one heading"),
        ("## One\n\n" + NOTE, "one heading"),
        (f"# One\n\n{NOTE}\n---\n\n# Two\n\n{NOTE}", "one heading"),
        (f"# One\n\n{NOTE}\n---\n\n## Two\n\n### Three\n\n{NOTE}", "one heading"),
        ("# One\n\n![](dot.png)\n\n" + NOTE, "no text in its place"),
        ('# One\n\n<img src="dot.png">\n\n' + NOTE, "no text in its place"),
        ("# One\n\n((31 minutes))\n\n" + NOTE, "31 is in no lab"),
    ],
)
def test_what_a_slide_lacks_is_said(source, message):
    assert any(message in line for line in texts.wrongs(FRONT + source, "30 minutes"))


@pytest.mark.parametrize("line", texts.FRONT)
def test_what_the_front_matter_lacks_is_said(line):
    front = "\n".join(kept for kept in FRONT.splitlines() if not kept.startswith(line))
    assert texts.wrongs(f"{front}\n\n# One\n\n{NOTE}") == [f"the front matter lacks '{line}'"]


def test_a_deck_without_front_matter_says_so():
    with pytest.raises(texts.SlideError, match="front matter"):
        texts.split("# One\n")


# ---- agreeing with the labs --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A course with one lab and one deck about it, both built; in the place of Marp stands a plain page."""
    root = write_course(tmp_path_factory.mktemp("course"), LAB)
    list(building.build(root))
    (root / "slides").mkdir()
    (root / "slides" / "theme.css").write_text("/* @theme recsys-lab */\n")
    parts = (
        "# Tiny\n\nIt is {{ lab07.answer }}.\n\n" + NOTE,
        "## A line\n\n{{ figure lab07 A rising line }}\n\n" + NOTE,
        "## Now you\n\n{{ exercises lab07 }}\n\n{{ questions lab07 }}\n\n"
        + NOTE.replace("-->", "{{ answers lab07 }}\n-->"),
    )
    (root / "slides" / "07_tiny.md").write_text(FRONT + "\n---\n\n".join(parts), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_LAB_CACHE", str(root / "cache"))
        patch.setattr(slides_marp, "page", plain_page)
        list(slides.build(root))
    return root


def plain_page(root, theme, text) -> str:
    return f"<html><head></head><body>{text}</body></html>\n"


@pytest.fixture
def course(built, tmp_path, monkeypatch):
    monkeypatch.setattr(slides_marp, "page", plain_page)
    monkeypatch.setenv("RECSYS_LAB_CACHE", str(built / "cache"))
    return shutil.copytree(built, tmp_path / "course")


def page_of(root) -> str:
    return (root / "slides" / "07_tiny.html").read_text(encoding="utf-8")


def test_a_deck_says_what_its_lab_says(course):
    page = page_of(course)
    assert "It is 42.1." in page
    assert re.search(
        r'<img alt="A rising line &amp; more." data-letters="[\d.]+" src="data:image/svg\+xml;base64,', page
    )
    assert "| 7.1 | Double | 5 minutes | easy |" in page
    assert "Why 42.1?" in page and "Because of 42." in page
    assert "{{" not in page
    assert slides.check(course) == []


def test_building_again_changes_nothing(course):
    before = page_of(course)
    assert list(slides.build(course)) == ["07_tiny: unchanged"]
    list(slides.build(course, again=True))
    assert page_of(course) == before


def test_a_figure_is_the_same_when_the_lab_is_executed_anew(course, tmp_path, monkeypatch):
    before = page_of(course)
    monkeypatch.setenv("RECSYS_LAB_CACHE", str(tmp_path / "empty"))
    list(slides.build(course, again=True))
    assert page_of(course) == before


def test_a_lab_that_says_something_else_now_makes_its_deck_stale(course):
    edit(course / "solutions" / "07_tiny.py", "42.123456789", "43.5")
    assert any("solutions/07_tiny.ipynb is stale" in line for line in slides.check(course))
    list(building.build(course))
    assert any("07_tiny.html is stale" in line for line in slides.check(course))
    list(slides.build(course))
    assert slides.check(course) == []
    assert "It is 43.5." in page_of(course)


def test_other_code_for_a_figure_makes_its_deck_stale(course):
    edit(course / "solutions" / "07_tiny.py", "axes.plot([1, 2])", "axes.plot([1, 3])")
    list(building.build(course))
    assert any("07_tiny.html is stale" in line for line in slides.check(course))


@pytest.mark.parametrize(("old", "new"), [("It is", "So it is"), ("Who is there?", "Who is not?")])
def test_another_text_makes_a_deck_stale(course, old, new):
    edit(course / "slides" / "07_tiny.md", old, new)
    assert any("07_tiny.html is stale" in line for line in slides.check(course))


def test_another_theme_makes_a_deck_stale(course):
    edit(course / "slides" / "theme.css", "@theme", "  @theme")
    assert any("07_tiny.html is stale" in line for line in slides.check(course))


def test_a_page_changed_by_hand_is_found(course):
    edit(course / "slides" / "07_tiny.html", "It is 42.1.", "It is 99.9.")
    assert slides.check(course) == ["slides/07_tiny.html was changed by hand"]


def test_a_record_changed_by_hand_is_found(course):
    edit(course / "solutions" / "07_tiny.ipynb", '"text": "42.1"', '"text": "99.9"')
    assert any("the records are not those" in line for line in slides.check(course))


def test_a_page_without_source_and_a_missing_page_are_found(course):
    (course / "slides" / "08_old.html").write_text("")
    (course / "slides" / "07_tiny.html").unlink()
    assert slides.check(course) == [
        "slides/07_tiny.html is missing",
        "slides/08_old.html: there is no slides/08_old.md",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lab07.answer }}.", "lab07.other }}.", "nothing is recorded as 'lab07.other'"),
        ("lab07.answer }}.", "lab09.answer }}.", "there is no lab 09"),
        ("A rising line }}", "A falling line }}", "no figure's text begins with 'A falling line'"),
        ("figure lab07", "figure", "has to name a lab"),
        ("{{ exercises lab07 }}", "{{ exercises lab08 }}", "there is no lab 08"),
        ("{{ exercises lab07 }}", "{{ drawing nothing }}", "no drawing 'nothing'; there are alternate"),
        ("It is {{", "It is 42.1, {{", "slide 1: '42.1' is typed by hand"),
    ],
)
def test_what_is_not_there_is_named(course, old, new, message):
    before = page_of(course)
    edit(course / "slides" / "07_tiny.md", old, new)
    with pytest.raises(ValueError, match=re.escape(message)):
        list(slides.build(course))
    assert page_of(course) == before


def test_a_page_that_would_load_something_is_refused(course, monkeypatch):
    with_font = "<html><head><style>a{background:url(https://fonts.example/a)}</style></head></html>"
    monkeypatch.setattr(slides_marp, "page", lambda *rest: with_font)
    with pytest.raises(texts.SlideError, match=r"load something from the network: url\(https"):
        list(slides.build(course, again=True))


def test_a_run_that_records_other_values_is_refused(course):
    lab = slides.decks(course)[0].labs["07"]
    stored = {"lab07.answer": {"value": 42.1235, "text": "42.1"}}
    slides_figures.same_run(lab, stored, stored)
    slides_figures.same_run(lab, {**stored, "lab07.real": {"value": 1, "text": "1"}}, stored)
    with pytest.raises(texts.SlideError, match=r"'lab07\.answer' comes out as 42\.2, the notebook has 42\.1"):
        slides_figures.same_run(lab, stored, {"lab07.answer": {"value": 42.2, "text": "42.2"}})
    with pytest.raises(texts.SlideError, match=r"'lab07\.new' comes out as 5, the notebook has nothing"):
        slides_figures.same_run(lab, stored, {**stored, "lab07.new": {"value": 5, "text": "5"}})


def test_the_command_checks_and_names_an_unknown_deck(course, monkeypatch, capsys):
    monkeypatch.setattr(cli, "ROOT", course)
    assert cli.main(["slides", "--check"]) == 0
    assert "all decks are up to date" in capsys.readouterr().out
    edit(course / "slides" / "07_tiny.md", "It is", "So it is")
    assert cli.main(["slides", "07", "--check"]) == 1
    assert "run: recsys-lab slides" in capsys.readouterr().out
    assert cli.main(["slides", "55"]) == 2
    assert "there is no slides/55_*.md (decks: 07)" in capsys.readouterr().err


def test_without_node_the_message_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_LAB_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(texts.SlideError, match="needs node and npm: install Node"):
        slides_marp.installed(ROOT)


@pytest.mark.needs("node")
def test_marp_makes_the_same_page_twice_and_takes_nothing_from_elsewhere():
    try:
        slides_marp.installed(ROOT)
    except texts.SlideError as error:
        pytest.skip(f"npm could not install Marp here: {error}")
    text = FRONT + "# One 😀\n\n$$ x^2 $$\n\n" + NOTE
    pages = [slides_marp.page(ROOT, ROOT / "slides" / "theme.css", text) for _ in range(2)]
    assert pages[0] == pages[1]
    assert not slides.OUTSIDE.search(pages[0])
    assert "😀" in pages[0] and "<mjx-container" in pages[0]


# ---- how they look -----------------------------------------------------------------------------------------------


#: All slides one below the other, each at its full size: what the scripts of a page hide is to be seen.
FLAT = """
svg[data-marpit-svg] { display: block !important; position: static !important; width: 1280px !important;
  height: 720px !important; opacity: 1 !important; content-visibility: visible !important; }
body, html, .bespoke-marp-parent { overflow: visible !important; position: static !important; height: auto !important; }
"""
LOOK = r"""
() => {
  const wrong = [];
  const parse = text => (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const luminance = c => c.slice(0, 3).map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > .99) return colour;
    }
    return [255, 255, 255];
  };
  const sections = [...document.querySelectorAll('svg[data-marpit-svg] section')];
  sections.forEach((section, index) => {
    const say = text => wrong.push(`slide ${index + 1}: ${text}`);
    const frame = section.getBoundingClientRect();
    if (section.scrollHeight > section.clientHeight + 1 || section.scrollWidth > section.clientWidth + 1)
      say('it overflows');
    const children = [...section.children].filter(e => getComputedStyle(e).position !== 'absolute');
    children.slice(1).forEach((child, i) => {
      const above = children[i].getBoundingClientRect().bottom;
      if (child.getBoundingClientRect().top < above - 1) say(`<${child.tagName}> lies over what is above it`);
    });
    const first = section.querySelector('h1, h2, h3, h4');
    const wanted = index === 0 ? 'H1' : 'H2';
    if (section.querySelectorAll('h1, h2, h3, h4').length !== 1 || first.tagName !== wanted) say('heading');
    const words = document.createTreeWalker(section, NodeFilter.SHOW_TEXT);
    for (let node = words.nextNode(); node; node = words.nextNode()) {
      if (!node.data.trim() || node.parentElement.closest('mjx-container, style, script')) continue;
      const style = getComputedStyle(node.parentElement), size = parseFloat(style.fontSize);
      const range = document.createRange();
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
      if (box.left < frame.left + 20 || box.right > frame.right - 20 || box.top < frame.top + 20
          || box.bottom > frame.bottom - 12) say(`"${node.data.trim()}" leaves the slide`);
      if (size < 20) say(`"${node.data.trim()}" is ${size}px`);
      const pair = [parse(style.color), ground(node.parentElement)].map(luminance).sort((a, b) => b - a);
      const contrast = (pair[0] + .05) / (pair[1] + .05);
      if (contrast < 4.5) say(`"${node.data.trim()}" has contrast ${contrast.toFixed(1)}`);
    }
    for (const math of section.querySelectorAll('mjx-container > svg')) {
      const box = math.getBoundingClientRect();
      if (box.right > frame.right - 30 || box.bottom > frame.bottom - 30) say('a formula leaves the slide');
      if (parseFloat(getComputedStyle(math.parentElement).fontSize) < 26) say('a formula is small');
    }
    for (const image of section.querySelectorAll('img')) {
      const box = image.getBoundingClientRect();
      if (!image.alt.trim() || !image.naturalWidth) say('an image without text or picture');
      if (box.bottom > frame.bottom - 30 || box.right > frame.right - 20) say('an image leaves the slide');
      const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
      const letters = scale * parseFloat(image.dataset.letters || 0);
      if (!(letters >= 16)) say(`the letters of "${image.alt.slice(0, 40)}" are ${letters.toFixed(1)}px`);
    }
  });
  return [sections.length, wrong];
}
"""


@pytest.mark.needs("browser")
@pytest.mark.parametrize("deck", DECKS, ids=NAMES)
def test_every_slide_looks_as_it_should(browser, deck):
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_content(re.sub(r"<script\b.*?</script>", "", texts.read(deck.page), flags=re.DOTALL))
    page.add_style_tag(content=FLAT)
    page.wait_for_function("[...document.images].every(image => image.complete)")
    count, wrong = page.evaluate(LOOK)
    page.close()
    assert wrong == []
    assert count == len(texts.split(deck.text)[1])


@pytest.mark.needs("browser")
def test_the_look_is_really_looked_at(browser):
    """Planted: small and pale letters, a picture without text, a slide too full, two headings."""
    bad = (
        '<svg data-marpit-svg viewBox="0 0 1280 720"><foreignObject width="1280" height="720">'
        '<section style="width:1280px;height:720px;background:#fff"><h1>One</h1><h2>Two</h2>'
        '<p style="font-size:12px">small</p><p style="color:#bbb;font-size:30px">pale</p>'
        '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><div style="height:900px">full</div>'
        '<p style="font-size:30px">outside</p><p style="margin-top:-80px;font-size:30px">over</p>'
        "</section></foreignObject></svg>"
    )
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_content(bad)
    page.add_style_tag(content=FLAT)
    wrong = "\n".join(page.evaluate(LOOK)[1])
    page.close()
    for words in ("it overflows", "is 12px", "contrast 1.9", "heading", "an image without text", '"outside" leaves'):
        assert words in wrong
    assert "<P> lies over what is above it" in wrong


@pytest.mark.needs("browser")
def test_keys_move_notes_show_and_nothing_is_loaded(browser):
    deck = DECKS[0]
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(deck.page.as_uri())
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**#2")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**#3")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**#2")
    with context.expect_page() as opened:
        page.keyboard.press("p")
    presenter = opened.value
    presenter.on("request", lambda request: asked.append(request.url))
    note = presenter.locator(".bespoke-marp-note.active")
    note.wait_for(timeout=10_000)
    assert "recsys-lab poll" in note.inner_text()
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:", "blob:"))] == []


BOARD = r"""
() => {
  const wrong = [];
  const rgb = text => (text.match(/[\d.]+/g) || []).map(Number);
  const luminance = c => c.slice(0, 3).map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  for (const board of document.querySelectorAll('div > svg')) {
    const frame = board.getBoundingClientRect(), name = board.parentElement.id, parts = [...board.children];
    parts.forEach((part, index) => {
      if (part.tagName !== 'text') return;
      const box = part.getBoundingClientRect(), words = part.textContent;
      const size = parseFloat(part.getAttribute('font-size'));
      if (size < 18) wrong.push(`${name}: "${words}" is ${size}px`);
      if (box.left < frame.left || box.right > frame.right || box.top < frame.top || box.bottom > frame.bottom)
        wrong.push(`${name}: "${words}" leaves the drawing`);
      const x = box.left + box.width / 2, y = box.top + box.height / 2;
      let ground = [255, 255, 255];
      parts.slice(0, index).forEach(below => {
        if (!['rect', 'circle'].includes(below.tagName)) return;
        const b = below.getBoundingClientRect(), fill = getComputedStyle(below).fill;
        if (fill !== 'none' && b.left <= x && x <= b.right && b.top <= y && y <= b.bottom) ground = rgb(fill);
      });
      const pair = [rgb(getComputedStyle(part).fill), ground].map(luminance).sort((a, b) => b - a);
      const contrast = (pair[0] + .05) / (pair[1] + .05);
      if (contrast < 4.5) wrong.push(`${name}: "${words}" has contrast ${contrast.toFixed(1)}`);
    });
    parts.forEach((one, i) => parts.slice(i + 1).forEach(other => {
      if (one.tagName !== 'text' || other.tagName !== 'text') return;
      const a = one.getBoundingClientRect(), b = other.getBoundingClientRect();
      const w = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (w > 2 && h > 8) wrong.push(`${name}: "${one.textContent}" and "${other.textContent}" overlap`);
    }));
  }
  return wrong;
}
"""


@pytest.mark.needs("browser")
def test_the_letters_of_every_drawing_can_be_read(browser):
    boards = "".join(f'<div id="{name}">{drawings.draw(name).svg()}</div>' for name in DRAWINGS)
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_content(f"<body style='background:#fff'>{boards}</body>")
    wrong = page.evaluate(BOARD)
    page.close()
    assert wrong == []


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_used_and_says_what_it_shows(name):
    assert len(drawings.draw(name).alt) > 30
    assert any(re.search(rf"\{{\{{ drawing {name}\b", deck.text) for deck in DECKS)
