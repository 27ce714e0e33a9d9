"""Pages in a headless Chromium: whole games by clicks and keys, beside LiteRT and the environments themselves."""

import dataclasses
import re
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from javascript import chromium, context

import jaxrl
from jaxrl.export import ExportError, to_page
from jaxrl.export.conversion import tflite
from jaxrl.export.javascript import program_of
from jaxrl.export.parity import Subject
from jaxrl.pytree import with_array_leaves
from jaxrl.web import page_source
from jaxrl.wrappers import TimeAware

pytestmark = pytest.mark.usefixtures("fast_compilation")
DATA = Path(__file__).parents[1] / "data"
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
LUCK = "Math.random = () => 0;"
"""A script with which both planes take the first place, and carts start at -0.05."""


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def stored(agent, name):
    params = {}
    with np.load(DATA / f"{name}.npz") as arrays:
        for path in arrays.files:
            layer, part = path.split(":")
            params.setdefault(layer, {})[part] = arrays[path]
    return jaxrl.Member(agent, 0, 0, params, {"diverged": np.zeros(1, bool)})


def planes():
    return stored(jaxrl.preset("plane-strike").agent(hidden=(128, 128)), "plane_strike_policy")


def balancer(**physics):
    return stored(jaxrl.DQN(jaxrl.make("CartPole-v1", **physics)), "cartpole_policy_plain")


def subject(member, kind):
    return Subject(member, kind, False)


def written(member, kind, path, **about):
    """A page that is not compared with the policy first, which takes its time."""
    about = {"seed": 0, "made_with": "jaxrl", **about}
    program = program_of(subject(member, kind))
    path.write_text(page_source(member.agent.env, type(member.agent).__name__, program, about))
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {
        "planes": written(planes(), "probabilities", folder / "planes.html"),
        "cart": written(balancer(), "q-values", folder / "cart.html"),
        "values": written(drawn_for_planes(), "q-values", folder / "values.html"),
    }


def drawn_for_planes():
    agent = jaxrl.DQN(jaxrl.make("PlaneStrike-v0"), hidden=(8,))
    shapes = jax.eval_shape(lambda key: agent.params(agent.init(key)), jax.random.key(0))
    generator = np.random.default_rng(0)
    params = jax.tree.map(lambda x: generator.uniform(-1, 1, x.shape).astype(x.dtype), shapes)
    return jaxrl.Member(agent, 0, 0, params, {"diverged": np.zeros(1, bool)})


def opened(tab, path):
    page = tab.new_page()
    page.goto(path.as_uri())
    return page


def wait_until(condition, seconds=20):
    """Polls, because the policy of the page's content allows Playwright no `wait_for_function`."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def of_cells(page, expression):
    """What JavaScript makes of each cell of the player's own sea."""
    return page.locator("#yours .cell").evaluate_all(f"(cells) => cells.map((cell) => {expression})")


@pytest.mark.parametrize("name", ["planes", "cart"])
def test_the_policy_of_a_page_equals_litert(browser, name, pages):
    pytest.importorskip("tensorflow")
    pytest.importorskip("ai_edge_litert")
    from jaxrl.export.tflite_file import PolicyFile

    kind, member = ("probabilities", planes()) if name == "planes" else ("q-values", balancer())
    made = subject(member, kind)
    obs = made.play(512, seed=9).spread(512).obs
    wanted = PolicyFile(tflite(made.function(member.params), made.inputs, True))(obs)
    with context(browser) as tab:
        given = opened(tab, pages[name]).evaluate(
            "(rows) => rows.map((row) => { const { action, ...outputs } = jaxrl.policy({ observation: row });"
            " return [action[0], Array.from(Object.values(outputs)[0])]; })",
            obs.reshape(512, -1).tolist(),
        )
    actions, outputs = zip(*given, strict=True)
    assert np.max(np.abs(np.asarray(outputs) - wanted)) <= 1e-5 * max(1, np.abs(wanted).max())
    act = jax.jit(lambda obs, mask: with_array_leaves(member.agent).act(member.params, (), obs, mask)[0])
    mask = obs.reshape(512, -1) == 0 if name == "planes" else None
    np.testing.assert_array_equal(actions, act(obs, mask))


def test_strikes_equal_those_of_the_environment(browser, pages):
    env, generator = with_array_leaves(jaxrl.make("PlaneStrike-v0")), np.random.default_rng(0)
    # Some cells twice; enough of them to end games.
    games = generator.permuted(np.concatenate([np.tile(np.arange(64), (120, 1)), np.zeros((120, 20), int)], 1), axis=1)
    assert len(env.placements) == 120

    def game(placement, cells):
        def strike(state, cell):
            state, step = env.step(state, cell, None)
            return state, (step.obs.reshape(-1), step.terminated)

        return jax.lax.scan(strike, env.begin(placement)[0], cells)[1]

    boards, ends = map(np.asarray, jax.jit(jax.vmap(game))(jnp.arange(120), games))
    script = """(games) => games.map((cells, placement) => {
      let { observation, ...state } = jaxrl.begin({ placement: [placement] });
      return cells.map((cell) => {
        let terminated;
        ({ observation, terminated, ...state } = jaxrl.step({ ...state, action: [cell] }));
        return [Array.from(observation), terminated[0]];
      });
    })"""
    with context(browser) as tab:
        page = opened(tab, pages["planes"])
        given = page.evaluate(script, games.tolist())
        cells = page.evaluate("jaxrl.setting.placements")
    np.testing.assert_array_equal([[step[0] for step in game] for game in given], boards)
    np.testing.assert_array_equal([[step[1] for step in game] for game in given], ends)
    assert ends.any(axis=1).all()
    np.testing.assert_array_equal(cells, [np.flatnonzero(plane) for plane in env.placements])


def test_pushes_equal_those_of_the_environment(browser, pages):
    generator = np.random.default_rng(0)
    states = generator.uniform(-1, 1, (512, 4)).astype(np.float32) * np.float32([3, 4, 0.4, 4])
    pushes, physics = generator.integers(0, 2, 512), generator.uniform([0.1, 0], [1.5, 30], (512, 2)).astype(np.float32)
    env = jaxrl.make("CartPole-v1")

    @jax.jit
    @jax.vmap
    def steps(state, push, physics):
        changed = dataclasses.replace(env, length=physics[0], gravity=physics[1])
        inside = jax.tree.unflatten(jax.tree.structure(env.reset(jax.random.key(0))[0]), list(state))
        step = changed.step(inside, push, None)[1]
        return step.obs, step.terminated

    script = """(rows) => rows.map(([state, push, [length, gravity]]) => {
      const named = Object.fromEntries(state.map((x, i) => [`state_${i}`, [x]]));
      const step = jaxrl.step({ ...named, action: [push], length: [length], gravity: [gravity] });
      return [Array.from(step.observation), step.terminated[0]];
    })"""
    with context(browser) as tab:
        rows = [[s.tolist(), int(p), n.tolist()] for s, p, n in zip(states, pushes, physics, strict=True)]
        given = opened(tab, pages["cart"]).evaluate(script, rows)
    obs, terminated = map(np.asarray, steps(states, pushes, physics))
    np.testing.assert_allclose([row[0] for row in given], obs, rtol=3e-6, atol=1e-6)
    np.testing.assert_array_equal([row[1] for row in given], terminated)
    assert 0.2 < terminated.mean() < 0.8


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


@pytest.mark.parametrize(("name", "word"), [("planes", r"agent \d+ percent"), ("values", r"agent values -?\d+\.\d\d")])
def test_the_heat_map_shows_what_the_agent_decides_by(browser, name, word, pages):
    with context(browser) as tab:
        page = opened(tab, pages[name])
        cells = page.locator("#yours .cell")
        assert set(cells.all_text_contents()) == {""}
        page.locator("#theirs .cell").nth(20).click()
        page.locator("#heat").check()
        heat = np.asarray(of_cells(page, "Number(cell.style.getPropertyValue('--heat'))"))
        assert sum(re.search(word, label) is not None for label in of_cells(page, "cell.ariaLabel")) == 63
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


def test_a_page_keeps_the_numbers_of_its_environment(browser, tmp_path):
    path = written(balancer(length=1.3, gravity=3.7, max_steps=120), "q-values", tmp_path / "cart.html")
    with context(browser) as tab:
        page = opened(tab, path)
        assert page.locator("#length-value").text_content() == "2.60 m"
        assert page.locator("#gravity-value").text_content() == "3.7 m/s²"
        assert page.locator("#limit").text_content() == "120"


@pytest.mark.parametrize("name", ["planes", "cart", "values"])
def test_a_page_needs_no_network_and_says_so_without_javascript(browser, name, pages):
    text = pages[name].read_text()
    assert not re.search(r"https?://|wss?://|\bsrc=|\bhref=|@import|\burl\(|\bfetch\(|\bimport\b", text)
    with context(browser, java_script_enabled=False, color_scheme="dark") as tab:
        requests = []
        tab.on("request", lambda request: requests.append(request.url))
        page = opened(tab, pages[name])
        assert "switched off in this browser" in page.locator("body").inner_text()
        assert requests == [pages[name].as_uri()]
    with context(browser) as tab:
        page = opened(tab, pages[name])
        assert "switched off in this browser" not in page.locator("body").inner_text()
        assert page.locator("html").get_attribute("lang") == "en"
        names = page.locator("button").evaluate_all(
            "(all) => all.map((button) => button.ariaLabel || button.innerText)"
        )
        assert len(names) >= 4
        assert all(names)


def test_names_are_escaped(tmp_path):
    name = "<img src=x onerror=alert(1)></script>"
    text = written(balancer(), "q-values", tmp_path / "cart.html", made_with=name, run=name).read_text()
    assert "<img" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;&lt;/script&gt;" in text
    assert text.count("</script>") == 1


def test_what_has_no_page_is_refused(tmp_path):
    log = {"diverged": np.zeros(1, bool)}

    def refuse(agent, complaint):
        with pytest.raises(ExportError, match=complaint):
            to_page(jaxrl.Member(agent, 0, 0, {}, log), tmp_path / "page")

    supported = "a page is for a policy of CartPole-v1 or PlaneStrike-v0, without wrappers, and this one plays "
    refuse(jaxrl.PPO(jaxrl.make("Pendulum-v1")), supported + "Pendulum")
    refuse(jaxrl.DQN(TimeAware(jaxrl.make("CartPole-v1"))), supported + ".*TimeAware")
    refuse(jaxrl.PPO(jaxrl.make("CartPoleNoVelocity-v1")), supported)
    refuse(jaxrl.DRQN(jaxrl.make("CartPole-v1")), "the policy of this DRQN has memory")
    assert not list(tmp_path.iterdir())


def test_nothing_else_is_overwritten(tmp_path):
    member = balancer()
    folder, file = tmp_path / "page", tmp_path / "mine.html"
    folder.mkdir()
    file.write_text("<p>mine")
    for path, complaint in (
        (folder, "is a folder: give the name of a file"),
        (file, "holds something else: give a file that is not there, or one of this kind by jaxrl"),
        (tmp_path / "page.tflite", r"must end in \.html or \.htm"),
    ):
        with pytest.raises(ExportError, match=complaint):
            to_page(member, path)
    assert file.read_text() == "<p>mine"
    assert sorted(x.name for x in tmp_path.rglob("*")) == ["mine.html", "page"]


def test_a_page_is_compared_with_the_policy_and_may_be_written_anew(tmp_path):
    for notes in ({"run": "first"}, {"run": "second"}):
        report = to_page(balancer(max_steps=20), tmp_path / "page", notes=notes)
    assert report.path == tmp_path / "page.html"
    assert (report.equal_actions, report.observations, report.output) == (1.0, 512, "q-values")
    assert report.greatest_difference <= 1e-5
    assert report.size == report.path.stat().st_size
    assert '"run": "second"' in report.path.read_text()
