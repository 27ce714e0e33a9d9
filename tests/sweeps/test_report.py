"""A sweep's page: what it says, its table, and that a browser draws it without asking any host."""

import base64
import gzip
import html.parser
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from plotly.offline import get_plotlyjs
from sweep_frames import SPACE, make_sweep

from jaxrl.report import score_text
from jaxrl.report.page import compressed_plotly
from jaxrl.sweeps import figures, report
from jaxrl.sweeps.report import trials_table, write_report

pytest.importorskip("pandas")
pytest.importorskip("plotly")
pytestmark = pytest.mark.filterwarnings("error")


def write(sweep, path, title="A sweep", summary=(("algorithm", "DQN"),), threshold=350.0):
    write_report(path, title=title, summary=list(summary), threshold=threshold, **vars(sweep))
    return path.read_text()


def without_plotly(page):
    assert page.count(compressed_plotly()) == 1
    return page.replace(compressed_plotly(), "")


def trials_of(sweep):
    return trials_table(sweep.ranking, sweep.space, sweep.values)


def drawings(page):
    return json.loads(re.search(r'id="drawings">(.*?)</script>', page)[1])["figures"]


class Elements(html.parser.HTMLParser):
    """The elements of a page, the rows of its table, and all that it says."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.rows, self.said = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        element = self.elements[-1][0] if self.elements else ""
        if element in ("td", "button") and self.rows:
            self.rows[-1][-1] += data.rstrip("\n")
        if element not in ("script", "style"):
            self.said += data.replace("\n", " ")


def test_the_page_stands_alone(tmp_path):
    page = write(make_sweep(), tmp_path / "report.html")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert len(page) < 2_100_000
    packed = base64.b64decode(re.search(r'id="plotly">([^<]*)</script>', page)[1])
    assert gzip.decompress(packed).decode() == get_plotlyjs()
    rest = without_plotly(page)
    found = Elements(rest)
    links = [attributes["href"] for _, attributes in found.elements if "href" in attributes]
    assert [link for link in links if not link.startswith("#")] == ["https://arxiv.org/abs/2108.13264"]
    names = {attributes["id"] for _, attributes in found.elements if "id" in attributes}
    assert {link[1:] for link in links if link.startswith("#")} <= names
    assert not any("src" in attributes or tag == "link" for tag, attributes in found.elements)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", rest)
    assert re.findall(r"https?://[^\"]*", rest) == ["https://arxiv.org/abs/2108.13264"]
    policy = next(attributes["content"] for tag, attributes in found.elements if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none';")
    assert "connect-src" not in policy
    config = json.loads(re.search(r'id="drawings">(.*?)</script>', rest)[1])["config"]
    assert config["showSendToCloud"] is False
    assert "95% bootstrap interval" in found.said
    assert "algorithm" in found.said


def test_the_page_says_which_trial_is_best_and_how_sure_that_is(tmp_path):
    sweep = make_sweep()
    best = sweep.ranking.iloc[0]
    said = Elements(without_plotly(write(sweep, tmp_path / "report.html"))).said
    assert f"Trial {best.trial} (learning_rate={best.learning_rate:.4g}, " in said
    interval = f"95% interval {score_text(best.low)} to {score_text(best.high)}, over 5 seeds"
    assert f"is the best: {score_text(best.score)}, {interval}" in said
    assert f"In {best.probability_best:.0%} of the bootstrap's draws" in said


def test_trials_stopped_early_are_hollow(tmp_path):
    sweep = make_sweep()
    sweep.ranking["rung"] = 1
    sweep.ranking.loc[[2, 5], ["steps", "rung"]] = [100, 0]
    symbols = figures.interval_figure(trials_of(sweep).head(6)).data[0].marker.symbol
    assert list(np.flatnonzero(symbols == "circle-open")) == [2, 5]
    found = Elements(without_plotly(write(sweep, tmp_path / "report.html")))
    assert "stopped early by successive halving" in found.said
    rung = found.rows[0].index("rung")
    assert [row[rung] for row in found.rows[1:]] == list(map(str, sweep.ranking.rung))


def test_pairs_of_ranges_are_coloured_dots(tmp_path):
    sweep = make_sweep(trials=50)
    scored = sweep.ranking.dropna(subset=["score"])[::-1]
    trials = trials_of(sweep).dropna(subset=["score"])
    limits = report.colour_limits(trials)
    figure = figures.pair_figure(trials, ("learning_rate", "hidden"), (True, False), limits)
    dots = figure.data[0]
    np.testing.assert_array_equal(dots.x, scored.learning_rate)
    np.testing.assert_array_equal(dots.marker.color, scored.score)
    assert dots.marker.cmax == scored.score.max()
    assert dots.marker.cmin == np.percentile(scored.score, 5)
    assert figure.layout.xaxis.type == "log"
    kinds = [drawing["data"][0]["type"] for drawing in drawings(write(sweep, tmp_path / "report.html")).values()]
    # The best, their curves, five marginals of which three have boxes, six pairs, and all at once.
    assert len(kinds) == 2 + 5 + 6 + 1
    assert kinds[-1] == "parcoords"
    assert kinds.count("box") == 3


def test_of_many_trials_some_are_drawn_and_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_MOST_DRAWN", 10)
    monkeypatch.setattr(report, "_MOST_ROWS", 15)
    sweep = make_sweep(trials=40)
    count = int(sweep.ranking.score.notna().sum())
    page = write(sweep, tmp_path / "report.html")
    shown = drawings(page)["parallel"]["data"][0]["dimensions"][-1]["values"]
    shown = np.frombuffer(base64.b64decode(shown["bdata"]), shown["dtype"])
    np.testing.assert_array_equal(shown[[-1, 0]], sweep.ranking.score.iloc[[0, count - 1]])
    assert len(shown) == 10
    found = Elements(without_plotly(page))
    assert found.said.count(f"Of {count} trials with a score 10 are drawn") == 2
    assert "These are the best 15 of 40." in found.said
    assert [row[1] for row in found.rows[1:]] == [str(trial) for trial in sweep.ranking.trial[:15]]


def test_the_table_holds_every_trial(tmp_path):
    sweep = make_sweep()
    page = without_plotly(write(sweep, tmp_path / "report.html"))
    found = Elements(page)
    head, *rows = found.rows
    assert head == [
        *["rank", "trial", "learning_rate", "discount", "batch_size", "double", "hidden", "score", "low", "high"],
        *["probability best", "area under curve", "steps to 350", "seeds", "diverged", "steps a seed", "seconds"],
    ]
    assert len(rows) == len(sweep.ranking) == 24
    for row, trial in zip(rows, sweep.ranking.itertuples(), strict=True):
        cells, seeds = dict(zip(head, row, strict=True)), sweep.results[sweep.results.trial == trial.trial]
        assert cells["trial"] == str(trial.trial)
        assert cells["learning_rate"] == f"{trial.learning_rate:.4g}"
        assert cells["score"] == score_text(trial.score)
        assert cells["area under curve"] == score_text(seeds.area_under_curve.mean())
        steps = np.median(seeds.steps_to_threshold.fillna(np.inf))
        assert cells["steps to 350"] == (f"{steps:,.0f}" if np.isfinite(steps) else "never")
        assert cells["diverged"] == (f"{trial.diverged} of 5" if trial.diverged else "0")
        assert cells["seconds"] == "7.5"
    marked = [tag for tag, attributes in found.elements if attributes.get("class") == "marked"]
    assert len(marked) == (sweep.ranking.diverged > 0).sum() > 0
    assert f'data-v="{float(sweep.ranking.learning_rate[0])!r}"' in page


ODD_SWEEPS = {
    "one trial": {"trials": 1, "learning_rate": [1e-3]},
    "one trial and seed": {"trials": 1, "seeds": 1, "learning_rate": [1e-3]},
    "two trials": {"trials": 2},
    "one seed": {"seeds": 1},
    "one axis": {"space": {"discount": SPACE["discount"]}},
    "one axis of categories": {"space": {"hidden": SPACE["hidden"]}},
    "one value": {"learning_rate": [1e-3] * 24, "hidden": [(64, 64)] * 24, "double": [False] * 24},
    "all diverged": {"learning_rate": np.full(24, 0.1)},
    "all diverged, one seed": {"learning_rate": np.full(24, 0.1), "seeds": 1},
    "none among numbers": {"batch_size": [None, 32, 64] * 8, "space": {"batch_size": [None, 64, 32]}},
    "many trials": {"trials": 300, "seeds": 2, "log_points": 2},
}


@pytest.mark.parametrize("name", ODD_SWEEPS)
def test_odd_sweeps(tmp_path, name):
    sweep = make_sweep(**ODD_SWEEPS[name])
    page = without_plotly(write(sweep, tmp_path / "report.html", threshold=None))
    found, drawn = Elements(page), drawings(page)
    assert len(found.rows) == len(sweep.ranking) + 1
    assert ("#pairs" in page) == (len(sweep.space) > 1)
    if "all diverged" in name:
        assert "No trial has a score" in found.said
        assert len(drawn) == 1  # what was learnt before
    if "seed" in name and "all diverged" not in name:
        assert "A trial has one seed" in found.said
        assert "low" not in found.rows[0]
    assert "steps to" not in page
    assert "nan" not in found.said.lower()


def test_the_best_that_lost_seeds_are_named(tmp_path):
    sweep = make_sweep()
    sweep.ranking["diverged"] = 0
    assert "<strong>Diverged:</strong>" not in write(sweep, tmp_path / "report.html")
    sweep.ranking.loc[0, "diverged"] = 2
    page = write(sweep, tmp_path / "report.html")
    best = sweep.ranking["trial"][0]
    assert f"Diverged: 2 of 5 seeds of trial {best}; a seed that diverged counts as less" in " ".join(
        Elements(page).said.split()
    )


def test_without_episodes_there_are_no_curves(tmp_path):
    sweep = make_sweep()
    sweep.curves["episode_return"] = np.nan
    page = without_plotly(write(sweep, tmp_path / "report.html"))
    assert "No episode ended in training" in page
    assert len(drawings(page)) == 1 + 5 + 6 + 1
    sweep.curves = sweep.curves.head(0)
    assert "No episode ended in training" in without_plotly(write(sweep, tmp_path / "report.html"))


EVIL = "<script>alert(1)</script>"


def test_what_comes_from_people_is_escaped(tmp_path):
    sweep = make_sweep(
        hidden=[EVIL, "a & b", "</script><b>"] * 8, space=SPACE | {"hidden": [EVIL, "a & b", "</script><b>"]}
    )
    page = without_plotly(write(sweep, tmp_path / "report.html", title=EVIL, summary=[(EVIL, EVIL)]))
    found = Elements(page)
    assert [tag for tag, _ in found.elements].count("script") == 3
    assert EVIL in found.said  # as text
    assert EVIL not in page
    assert any(EVIL in row for row in found.rows)
    drawn = drawings(page)
    texts = [annotation["text"] for annotation in drawn["intervals"]["layout"]["annotations"]]
    assert any("&lt;script&gt;" in text for text in texts)
    plain = [drawing for drawing in drawn.values() if drawing["data"][0]["type"] != "parcoords"]
    assert "<script" not in json.dumps(plain)  # parallel coordinates take their ticks as they are


def test_importing_the_report_imports_no_plotting():
    script = "import sys, jaxrl.sweeps.report; print(*{n.split('.')[0] for n in sys.modules})"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not {"plotly", "pandas", "matplotlib", "pyarrow"} & set(output.split())


def browse(page, folder):
    """The page as a browser has it after its scripts, which note errors and refused requests in <html>."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("needs Chromium")
    note = "document.documentElement.dataset.errors = (document.documentElement.dataset.errors ?? '')"
    listen = (
        f"<script>window.addEventListener('error', e => {{ {note} + e.message }});"
        f"document.addEventListener('securitypolicyviolation', e => {{ {note} + e.blockedURI }});</script>"
    )
    click = "<script>document.querySelectorAll('th button')[2].click()</script>"  # the first hyperparameter
    path = folder / "browsed.html"
    path.write_text(page.replace("<title>", listen + "<title>", 1).replace("</body>", click + "</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", f"--user-data-dir={folder / 'profile'}"]
    options += ["--window-size=1400,4000", "--virtual-time-budget=10000", "--dump-dom", path.as_uri()]
    return subprocess.run([browser, *options], capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.mark.parametrize("evil", [False, True])
def test_a_browser_draws_every_figure(tmp_path, evil):
    names = [EVIL if evil else "64-64", "128-128"]
    sweep = make_sweep(trials=30, hidden=names * 15, space=SPACE | {"hidden": names})
    page = write(sweep, tmp_path / "report.html")
    seen = browse(page, tmp_path)
    assert "data-errors" not in re.search(r"<html[^>]*>", seen)[0]
    places = re.findall(r'<div id="figure-[^"]+"[^>]*>', seen)
    assert len(places) == len(drawings(page)) == 14
    assert all("js-plotly-plot" in place for place in places)
    assert not re.search(r'id="figure-[^"]+"[^>]*>This figure', seen)
    assert len(re.findall(r'class="main-svg"', seen)) >= 14
    assert len(re.findall(r'class="xerror"', seen)) == 20
    assert 'class="axis-title"' in seen  # of parallel coordinates
    rates = [float(row[2]) for row in Elements(seen.split("<tbody>")[1].split("</tbody>")[0]).rows]
    assert rates == sorted(rates)
    assert len(rates) == 30
