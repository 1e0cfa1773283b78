"""The HTML report in a real browser: controls, keyboard, themes, paper, and hostile text."""

import json

import pytest
from tests.report.browser import chromium
from tests.report.pages import (
    ATTACK,
    ATTACKS,
    LATEX,
    RIGHT_TO_LEFT,
    results,
    write,
    write_chats,
)

from bontea.curves import curve
from bontea.rollouts import read_rollouts

SHOWN = "return document.getElementById('chart-curves').data.map(t => t.visible ?? true)"
ROLES = "return document.getElementById('chart-curves').data.map(t => t.meta)"
pytestmark = pytest.mark.slow

DARK = "document.getElementById('chart-curves').layout.paper_bgcolor.includes('20')"
WIDE = "return [document.documentElement.scrollWidth, window.innerWidth]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def page(browser, folder):
    """Three models, one diagnosed. (`browser` first: without one nothing is computed.)"""
    return write(folder / "report.html", results(folder, ["start", "tea", "max_at_k"]))


@pytest.fixture(scope="module")
def hostile(browser, folder):
    names = [ATTACKS["model"], "m" * 200, *(f"a model with a long name {i}" for i in range(6))]
    given = results(folder, names, hostile=True, prompts=6, diagnosed=False)
    given["settings"] |= {ATTACK: ATTACK}
    return write(folder / f"{ATTACK[:8].replace('/', '')}%20#?.html", given)


@pytest.fixture
def opened(browser, page):
    """The page with every model shown, in the light theme of the system; loaded where needed."""
    if browser.run("return location.href") != page.resolve().as_uri():
        browser.open(page)
    browser.media(color_scheme="light")
    browser.resize(1200)
    yield browser
    browser.run(
        "document.activeElement.blur(); localStorage.clear();"
        "document.querySelector('input[value=auto]').click();"
        "document.querySelectorAll('input[type=checkbox]').forEach(b => b.checked || b.click());"
    )


def shown(browser, series):
    """Visibility of all traces of a series: one value, or they are out of step."""
    visible, metas = browser.run(SHOWN), browser.run(ROLES)
    (value,) = {v for v, meta in zip(visible, metas, strict=True) if meta["series"] == series}
    return value


def box(browser, series):
    return browser.driver.find_element(
        "css selector", f"input[data-chart='curves'][data-series='{series}']"
    )


# --- quiet and safe -----------------------------------------------------------------------------


def test_opens_without_errors_or_requests(browser, page):
    browser.console(), browser.requests()
    browser.open(page)
    assert browser.console() == []
    assert browser.run("return [window.refused, window.failed]") == [[], []]
    asked = browser.requests()
    assert asked[0].startswith("file://")
    assert {url.split(":")[0] for url in asked[1:]} <= {"data", "blob"}
    fetched = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in fetched if not name.startswith(("data:", "blob:"))] == []


def test_hostile_text_does_not_run(browser, hostile):
    browser.console(), browser.requests()
    browser.open(hostile)
    assert browser.console() == []
    assert browser.run("return [window.refused, window.failed]") == [[], []]
    assert browser.run("return typeof window.pwned") == "undefined"
    assert [url for url in browser.requests()[1:] if not url.startswith(("data:", "blob:"))] == []
    assert browser.run("return document.images.length") == 0
    assert ATTACK in browser.run("return document.getElementById('completions').textContent")
    legend = browser.run("return document.querySelector('#chart-curves .legendtext').textContent")
    assert legend == "<script>window.pwned=1</scrip…"
    hover = "document.querySelector('#chart-curves .hoverlayer').textContent"
    browser.run(
        "const data = document.getElementById('chart-curves').data;"
        "const curveNumber = data.findIndex(t => t.meta.role === 'line');"
        "Plotly.Fx.hover('chart-curves', [{curveNumber, pointNumber: 2}])"
    )
    browser.wait(f"{hover}.includes('<script>')")
    assert "best of 3" in browser.run(f"return {hover}")


def test_policy_stops_what_escaping_would_miss(browser, page):
    """The second wall, tested alone: markup put into the page by the test itself."""
    browser.open(page)
    browser.run(
        "document.body.insertAdjacentHTML('beforeend',"
        ' \'<img src="http://127.0.0.1:9/x.png" onerror="window.pwned = 1">\');'
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 2';"
        "document.body.append(s); fetch('http://127.0.0.1:9/').catch(() => {});"
    )
    browser.wait("window.refused.length >= 4")
    refused = {line.split()[0] for line in browser.run("return window.refused")}
    assert refused >= {"img-src", "script-src-elem", "script-src-attr", "connect-src"}
    assert browser.run("return typeof window.pwned") == "undefined"
    browser.console()


# --- completions of every kind ------------------------------------------------------------------

PILED = "Z" + "\u0335\u0321\u035c" * 300  # marks one over the other
WILD = f"{ATTACKS['completion']}\x1b[31mred\x1b[0m\x07\ud800{PILED} $x$ "
LONG = WILD + "<b>&" * 25_000 + "\n" * 500 + "<the end>"
FIND = (
    "const found = [...document.querySelectorAll('#completions .text')]"
    ".filter(e => e.textContent.includes(arguments[0]));"
)


@pytest.fixture(scope="module")
def chats(browser, folder):
    path = write_chats(folder / "chats.jsonl", image="A" * 50_000, long=LONG)
    rollouts = read_rollouts(path)
    given = {"sources": {"$\\frac{1}{2}$ \u202eleft": rollouts}}
    given["curves"] = {name: curve(r, method="jackknife") for name, r in given["sources"].items()}
    return write(folder / "chats.html", given | {"settings": {"date": "2026-01-01"}})


@pytest.fixture
def read(browser, chats):
    browser.console()
    browser.open(chats)
    yield browser
    assert browser.console() == []
    assert browser.run("return [window.refused, window.failed]") == [[], []]
    assert browser.run("return typeof window.pwned") == "undefined"


def test_completions_are_shown_as_they_are(read):
    assert chats_size(read) < 6e6
    shown = read.run("return document.getElementById('completions').textContent")
    assert 'assistant: search(query="weather", days=3)' in shown
    assert LATEX in shown
    assert RIGHT_TO_LEFT in shown
    assert "AAAA" not in shown
    assert "␛[31mred␛[0m␇�" in shown
    assert f"Show all {len(LONG):,} characters" in shown
    whole = read.run(FIND + "return found.map(e => e.textContent)", "<the end>")
    assert whole == [LONG.replace("\x1b", "␛").replace("\x07", "␇").replace("\x00", "␀")
                     .replace("\ud800", "�")]  # fmt: skip


def test_a_word_of_100_000_letters_opens(browser, folder):
    """Without a place to break, Chromium shapes all that is left again for every line: minutes."""
    path = folder / "endless.jsonl"
    row = {"prompt_id": 0, "completion": "A" * 100_000}
    path.write_text("".join(json.dumps(row | {"reward": j}) + "\n" for j in range(9)))
    rollouts = read_rollouts(path)
    curves = {"a": curve(rollouts, method="jackknife")}
    given = {"sources": {"a": rollouts}, "curves": curves, "settings": {}}
    browser.open(write(folder / "endless.html", given))
    browser.driver.set_script_timeout(30)
    opened = browser.run(
        "document.querySelectorAll('details').forEach(d => { d.open = true; });"
        "return [...document.querySelectorAll('.whole')].map(e =>"
        " [e.textContent.length, e.scrollHeight > e.clientHeight])"
    )
    assert opened == [[100_000, True]] * 3
    content, window = browser.run(WIDE)
    assert content <= window


def chats_size(browser):
    return browser.run("return document.documentElement.outerHTML.length")


def lefts(browser, text, line):
    """Where the first and the last letter of a line of a completion are drawn."""
    return browser.run(
        FIND + "const node = found[0].firstChild;"
        "const at = node.data.indexOf(arguments[1]);"
        "const place = i => { const r = document.createRange(); r.setStart(node, i);"
        " r.setEnd(node, i + 1); return r.getBoundingClientRect().left; };"
        "return [place(at), place(at + arguments[1].length - 1)];",
        text,
        line,
    )


def test_every_line_runs_in_its_own_direction(read):
    first, last = lefts(read, "שלום", "שלום, עולם!")
    assert first > last  # from the right, its exclamation mark at the left end
    first, last = lefts(read, "שלום", "Hello, world!")
    assert first < last


@pytest.mark.parametrize("width", [375, 1200])
def test_no_completion_leaves_its_box(read, width):
    read.resize(width)
    read.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    content, window = read.run(WIDE)
    assert content <= window
    boxes = read.run(
        "return [...document.querySelectorAll('#completions .whole')].map(e => ["
        "e.clientHeight <= innerHeight, e.scrollHeight > e.clientHeight, e.tabIndex,"
        " getComputedStyle(e).overflowY])"
    )
    assert [True, True, 0, "auto"] in boxes  # the long one scrolls inside, by keyboard as well
    # Letters with marks piled up are cut off at the edge of their box.
    styles = read.run(
        "return [...document.querySelectorAll('#completions .text:not(.whole)')]"
        ".map(e => getComputedStyle(e).overflow)"
    )
    assert set(styles) == {"clip"}
    read.run("document.querySelectorAll('details').forEach(d => { d.open = false; })")


# --- controls -----------------------------------------------------------------------------------


def test_check_box_shows_and_hides_a_model(opened):
    assert [shown(opened, i) for i in range(3)] == [True, True, True]
    box(opened, 1).click()
    assert [shown(opened, i) for i in range(3)] == [True, "legendonly", True]
    box(opened, 1).click()
    assert shown(opened, 1) is True


def test_plotly_legend_and_boxes_agree(opened):
    entry = opened.driver.find_elements("css selector", "#chart-curves .legendtoggle")[2]
    entry.click()
    data = "document.getElementById('chart-curves').data"
    opened.wait(f"{data}.some(t => t.meta.series === 2 && t.visible === 'legendonly')")
    assert shown(opened, 2) == "legendonly"
    assert [box(opened, i).is_selected() for i in range(3)] == [True, True, False]
    box(opened, 2).click()
    assert shown(opened, 2) is True


def test_hidden_stays_hidden_in_another_theme(opened):
    box(opened, 0).click()
    opened.driver.find_element("css selector", "input[value='dark']").click()
    assert [shown(opened, i) for i in range(3)] == ["legendonly", True, True]
    assert not box(opened, 0).is_selected()


def test_reset_zoom(opened):
    wide = "Number(document.getElementById('chart-curves').layout.xaxis.range[1])"
    whole = opened.run(f"return {wide}")
    opened.run("return Plotly.relayout('chart-curves', {'xaxis.range': [0, 1]}).then(() => 1)")
    assert opened.run(f"return {wide}") == 1
    opened.driver.find_element("css selector", "#controls-curves .reset").click()
    assert opened.run(f"return {wide}") == pytest.approx(whole)


def test_tab_reaches_every_control(opened, page):
    opened.open(page)  # Tab begins at the top of a page that was just opened
    wanted = opened.run(
        "window.wanted = [...document.querySelectorAll("
        "'a[href], button, input, summary, [tabindex=\"0\"]')].filter("
        "e => e.checkVisibility() && !(e.type === 'radio' && !e.checked));"
        "return window.wanted.map(e => e.outerHTML.slice(0, 80))"
    )
    reached, outlines = [], set()
    for _ in wanted:
        opened.driver.switch_to.active_element.send_keys(keys().TAB)
        index, outline = opened.run(
            "const e = document.activeElement;"
            "return [window.wanted.indexOf(e), getComputedStyle(e).outlineStyle]"
        )
        reached.append(index)
        outlines.add(outline)
    assert reached == list(range(len(wanted)))  # all of them, in the order of the page
    assert 'class="skip"' in wanted[0]
    for control in ('value="auto"', 'class="reset"', 'class="save"', "<summary", "checkbox"):
        assert any(control in html for html in wanted), control
    assert outlines == {"solid"}  # the focus is seen everywhere


def keys():
    from selenium.webdriver.common.keys import Keys

    return Keys


def test_space_works_a_check_box(opened):
    opened.run("document.querySelector('input[data-series=\"1\"]').focus()")
    opened.driver.switch_to.active_element.send_keys(keys().SPACE)
    assert shown(opened, 1) == "legendonly"


# --- appearance ---------------------------------------------------------------------------------


def test_the_page_never_scrolls_sideways(browser, page, hostile):
    for path in (hostile, page):
        browser.open(path, width=375, height=800)
        for width in (375, 320, 768, 1200):
            browser.resize(width)
            browser.wait(f"document.getElementById('chart-curves').layout.width <= {width}")
            content, window = browser.run(WIDE)
            assert content <= window == width
        browser.resize(375)
        browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        assert browser.run(WIDE) == [375, 375]
        browser.run("document.querySelectorAll('details').forEach(d => { d.open = false; })")


def test_charts_follow_the_window(opened):
    drawn = "document.querySelector('#chart-curves .main-svg').clientWidth"
    ticks = "return document.getElementById('chart-curves').layout.xaxis.ticktext"
    opened.wait(f"{drawn} > 900")
    assert opened.run(ticks) == [str(2**i) for i in range(9)]
    opened.resize(320)
    opened.wait(f"{drawn} < 320")
    assert opened.run(ticks) == ["1", "4", "16", "64", "256"]
    entries = "return document.querySelectorAll('#chart-curves .legendtoggle').length"
    assert opened.run(entries) == 0  # the check boxes are the legend of a phone
    opened.resize(1200)
    opened.wait(f"{drawn} > 900")
    assert opened.run(entries) == 3


def test_savings_are_drawn_on_a_phone(opened):
    opened.resize(375)
    chart = "document.getElementById('chart-savings3')"
    opened.wait(f"{chart}.layout && {chart}.layout.width <= 375")
    bars, markers, legend = (
        opened.run(f"return {chart}.querySelectorAll('{what}').length")
        for what in ("path.xerror", ".points path", ".legendtoggle")
    )
    points = opened.run(f"return {chart}.data.at(-1).x.length")
    assert bars == points >= 1
    assert markers > points
    assert legend == 2
    right = opened.run(
        f"return Math.max(...[...{chart}.querySelectorAll('path.xerror, .points path')]"
        ".map(e => e.getBoundingClientRect().right))"
    )
    assert right <= 375


def colours(browser):
    return browser.run(
        "const s = getComputedStyle(document.body);"
        "const d = document.getElementById('chart-curves');"
        "return [s.backgroundColor, s.color, d.layout.paper_bgcolor.replaceAll(' ', ''),"
        " d.data.at(-1).marker.color, d.layout.font.color]"
    )


def test_dark_and_light_follow_the_system(opened):
    opened.wait(f"!{DARK}")
    light = colours(opened)
    opened.media(color_scheme="dark")
    opened.wait(DARK)
    dark = colours(opened)
    assert light[0] == "rgb(255, 255, 255)"
    assert dark[0] == "rgb(20, 24, 29)"
    assert dark[2] == "rgba(20,24,29,1)"
    assert all(a != b for a, b in zip(light, dark, strict=True))


def test_a_chosen_theme_wins_and_is_remembered(opened, page):
    dark = "input[name='theme'][value='dark']"
    opened.driver.find_element("css selector", dark).click()
    chosen = colours(opened)
    assert chosen[0] == "rgb(20, 24, 29)"
    opened.open(page, color_scheme="light")
    assert colours(opened) == chosen
    assert opened.driver.find_element("css selector", dark).is_selected()
    opened.run("localStorage.clear()")


def test_motion_only_where_it_is_wanted(opened):
    behaviour = "return getComputedStyle(document.documentElement).scrollBehavior"
    opened.media(reduced_motion="reduce")
    assert opened.run(behaviour) == "auto"
    opened.media(reduced_motion="no-preference")
    assert opened.run(behaviour) == "smooth"


def test_prints_light_and_as_wide_as_the_paper(opened):
    browser = opened
    browser.media(color_scheme="dark")
    browser.wait(DARK)
    browser.run(
        "window.addEventListener('beforeprint', () => { const d ="
        " document.getElementById('chart-curves'); window.printed = [d.layout.width,"
        " d.layout.paper_bgcolor.replaceAll(' ', '')]; });"
    )
    screen = colours(browser)
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000
    assert browser.run("return window.printed") == [680, "rgba(255,255,255,1)"]
    assert colours(browser) == screen  # and back again
    browser.media("print", color_scheme="dark")
    hidden = [
        browser.run(f"return getComputedStyle(document.querySelector('{what}')).display")
        for what in ("nav", ".controls", ".skip", "details:not([open])")
    ]
    assert hidden == ["none"] * 4
    assert browser.run("return getComputedStyle(document.body).color") == "rgb(26, 31, 36)"
