"""Games on pages in a headless Chromium: whole ones by clicks, taps and keys."""

import re

import numpy as np
import pytest
from javascript import context
from web_pages import LUCK, PHONE, opened, wait_until

import jaxrl

pytestmark = pytest.mark.usefixtures("fast_compilation")


def of_cells(page, expression):
    """What JavaScript makes of each cell of the player's sea."""
    return page.locator("#yours .cell").evaluate_all(f"(cells) => cells.map((cell) => {expression})")


def test_a_game_of_plane_strike_is_won_and_one_lost_by_clicks(browser, pages):
    first = np.flatnonzero(jaxrl.make("PlaneStrike-v0").placements[0]).tolist()
    with context(browser, **PHONE) as tab:
        tab.add_init_script(LUCK)
        page = opened(tab, pages["planes"])
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        theirs, status = page.locator("#theirs .cell"), page.locator("#status")
        assert status.text_content() == "Your turn: strike a cell of the agent\u2019s sea."
        for number, cell in enumerate(first, 1):
            assert page.locator("#theirs [data-plane]").count() == 0
            theirs.nth(cell).tap()
            assert page.locator("#theirs-hits").text_content() == f"You have hit {number} of 8"
        assert status.text_content().endswith("You have found the plane: you win!")
        assert page.locator("#theirs [data-plane]").count() == 8
        assert page.locator(".score").inner_text().split() == ["You", "1", ":", "0", "Agent"]
        theirs.nth(63).tap(force=True)
        assert theirs.nth(63).get_attribute("data-state") == "untried"

        page.locator("#new").tap()
        for struck, cell in enumerate((cell for cell in range(63, -1, -1) if cell not in first), 1):
            theirs.nth(cell).tap()
            theirs.nth(cell).tap(force=True)  # Once is enough.
            assert page.locator("#theirs [data-state=miss]").count() == struck
            mine = page.locator("#yours [data-state=miss], #yours [data-state=hit]").count()
            assert mine == struck
            if "wins" in status.text_content():
                break
        assert re.fullmatch(r"You missed at \w\d\. The agent hit at \w\d\. It has found .*", status.text_content())
        assert page.locator("#yours [data-state=hit][data-plane]").count() == 8
        assert page.locator(".score").inner_text().split() == ["You", "1", ":", "1", "Agent"]


def test_plane_strike_by_keys(browser, pages):
    with context(browser) as tab:
        page = opened(tab, pages["planes"])
        page.locator("#theirs .cell").first.focus()
        for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowUp", "ArrowLeft", "Enter"):
            page.keyboard.press(key)
        assert re.match(r"You (hit|missed) at B1\. The agent (hit|missed) at", page.locator("#status").text_content())
        label = page.locator("#theirs .cell").nth(1).get_attribute("aria-label")
        assert label in ("B1, hit", "B1, miss")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('.board').id") == "yours"


def test_a_plane_is_placed_before_the_first_strike_only(browser, pages):
    placements = {tuple(np.flatnonzero(plane)) for plane in jaxrl.make("PlaneStrike-v0").placements}
    with context(browser) as tab:
        page = opened(tab, pages["planes"])

        def plane():
            return tuple(i for i, planes in enumerate(of_cells(page, "'plane' in cell.dataset")) if planes)

        seen = {plane()}
        for cell in (0, 7, 56, 63, 27):
            for _ in range(4):
                page.locator("#turn").click()
                page.locator("#yours .cell").nth(cell).click()
                seen.add(plane())
            near = np.mean([[c // 8, c % 8] for c in plane()], axis=0)
            assert np.abs(near - [cell // 8, cell % 8]).max() < 2.5
        assert len(seen) >= 20
        for _ in range(10):
            page.locator("#shuffle").click()
            seen.add(plane())
        assert seen <= placements
        page.locator("#theirs .cell").first.click()
        assert not page.locator("#placing").is_visible()
        before = plane()
        page.locator("#yours .cell").nth(0 if before[0] > 20 else 63).click(force=True)
        assert plane() == before


@pytest.mark.parametrize(("name", "label"), [("planes", r"agent \d+ percent"), ("values", r"agent values -?\d+\.\d\d")])
def test_the_heat_map_shows_what_the_agent_decides_by(browser, name, label, pages):
    with context(browser) as tab:
        page = opened(tab, pages[name])
        cells = page.locator("#yours .cell")
        assert set(cells.all_text_contents()) == {""}
        page.locator("#theirs .cell").nth(20).click()
        page.locator("#heat").check()
        heat = np.asarray(of_cells(page, "Number(cell.style.getPropertyValue('--heat'))"))
        assert sum(re.search(label, text) is not None for text in of_cells(page, "cell.ariaLabel")) == 63
        hottest = int(heat.argmax())
        assert heat[hottest] == 1
        if name == "planes":
            assert 90 <= sum(int(text or 0) for text in cells.all_text_contents()) <= 105
        page.locator("#theirs .cell").nth(30).click()
        assert cells.nth(hottest).get_attribute("data-state") in ("hit", "miss")
        assert cells.nth(hottest).get_attribute("data-last") == ""
        page.locator("#heat").uncheck()
        assert set(cells.all_text_contents()) == {""}


def test_a_click_is_answered_within_50_milliseconds(browser, pages):
    """With the heat map and the layout after it."""
    script = """() => [...document.querySelectorAll('#theirs .cell')].slice(0, 30).map((cell) => {
      const before = performance.now();
      cell.click();
      document.body.getBoundingClientRect();
      return performance.now() - before;
    })"""
    assert pages["planes"].stat().st_size < 1_000_000
    with context(browser) as tab:
        page = opened(tab, pages["planes"])
        page.locator("#heat").check()
        assert np.median(page.evaluate(script)) < 50


def test_cart_pole_by_keys(browser, pages):
    with context(browser, viewport={"width": 1280, "height": 900}) as tab:
        page = opened(tab, pages["cart"])
        status = page.locator("#status")
        assert status.text_content() == "Push left or right to begin."
        for number, key in enumerate(("ArrowRight", "ArrowLeft", "d"), 1):
            page.keyboard.down(key)
            wait_until(lambda: page.locator("#status").text_content().startswith("It fell"))
            page.keyboard.up(key)
            steps = int(re.search(r"after (\d+) steps", status.text_content())[1])
            # A push that never changes makes the pole fall after 8 to 11 steps.
            assert 8 <= steps <= 11
            assert page.locator("#you-steps").text_content() == str(steps)
            angle = page.evaluate("document.querySelector('#you [data-part=pole]').getAttribute('transform')")
            assert (float(angle[7:].split()[0]) > 12) == (key == "ArrowLeft"), number
        assert "best" in page.locator("#you-record").text_content()


def test_cart_pole_beside_the_agent(browser, pages):
    with context(browser, **PHONE) as tab:
        page = opened(tab, pages["cart"])
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        wait_until(lambda: int(page.locator("#agent-steps").text_content()) > 40)
        page.locator("#pause").tap()
        steps = page.locator("#agent-steps").text_content()
        page.wait_for_timeout(150)
        assert page.locator("#agent-steps").text_content() == steps
        # The first push goes on.
        page.locator("#left").dispatch_event("pointerdown", {"pointerId": 1})
        wait_until(lambda: page.locator("#status").text_content().startswith("It fell"))
        assert page.locator("#pause").text_content() == "Pause"


def test_sliders_change_the_physics_for_both(browser, pages):
    with context(browser) as tab:
        tab.add_init_script(LUCK)
        page = opened(tab, pages["cart"])

        def set_slider(name, value):
            page.locator(f"#{name}").evaluate(
                "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", value
            )

        assert page.locator("#length-value").text_content() == "1.00 m"
        set_slider("length", 1.0)
        set_slider("gravity", 0.0)
        assert page.locator("#length-value").text_content() == "2.00 m"
        assert page.locator("#gravity-value").text_content() == "0.0 m/s²"
        rod = page.locator("#you [data-part=rod]")
        long = float(rod.get_attribute("y2"))
        page.locator("#trained").click()
        assert page.locator("#length-value").text_content() == "1.00 m"
        assert page.locator("#gravity-value").text_content() == "9.8 m/s²"
        assert long < float(rod.get_attribute("y2")) < 0
