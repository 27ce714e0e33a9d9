"""Pages in a headless Chromium beside LiteRT and the environments themselves; what is refused, and what is escaped."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from javascript import context
from web_pages import balancer, drawn_for_planes, opened, planes, written

import jaxrl
from jaxrl.export import ExportError, to_page
from jaxrl.export.conversion import tflite
from jaxrl.export.parity import Subject
from jaxrl.pytree import with_array_leaves
from jaxrl.wrappers import TimeAware

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.mark.parametrize("name", ["planes", "cart"])
def test_the_policy_of_a_page_equals_litert(browser, name, pages):
    pytest.importorskip("tensorflow")
    pytest.importorskip("ai_edge_litert")
    from jaxrl.export.tflite_file import PolicyFile

    kind, member = ("probabilities", planes()) if name == "planes" else ("q-values", balancer())
    made = Subject(member, kind, False)
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
    script = """(games) => JSON.stringify(games.map((cells, placement) => {
      let { observation, ...state } = jaxrl.begin({ placement: [placement] });
      return cells.map((cell) => {
        let terminated;
        ({ observation, terminated, ...state } = jaxrl.step({ ...state, action: [cell] }));
        return [Array.from(observation), terminated[0]];
      });
    }))"""
    with context(browser) as tab:
        page = opened(tab, pages["planes"])
        given = json.loads(page.evaluate(script, games.tolist()))
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


def test_a_page_keeps_the_numbers_of_its_environment(browser, tmp_path):
    path = written(balancer(length=1.3, gravity=3.7, max_steps=120), "q-values", tmp_path / "cart.html")
    with context(browser) as tab:
        page = opened(tab, path)
        assert page.locator("#length-value").text_content() == "2.60 m"
        assert page.locator("#gravity-value").text_content() == "3.7 m/s²"
        assert page.locator("#limit").text_content() == "120"
    env = {"size": 6, "placement": "published"}
    path = written(drawn_for_planes(**env), "q-values", tmp_path / "planes.html", exact_score=17.5)
    with context(browser) as tab:
        page = opened(tab, path)
        assert page.locator("#theirs .cell").count() == 36
        assert int(page.locator("#places").text_content()) == len(jaxrl.make("PlaneStrike-v0", **env).placements)
        for cell in range(36):
            page.locator("#theirs .cell").nth(cell).click(force=True)
        assert "win" in page.locator("#status").text_content()
        assert "Mean strikes\n17.50" in page.locator(".about").evaluate(
            "(details) => (details.open = true, details.innerText)"
        )


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
