"""The games of the home page: agents trained while the site is built, exported as pages to play with."""

from collections.abc import Callable
from pathlib import Path

import jaxrl
from jaxrl import export

GAMES = {
    "play-plane-strike": ("plane-strike", 1_000, "Plane Strike against the agent"),
    "play-cartpole": ("ppo-cartpole", 300, "CartPole beside the agent"),
}
"""The preset of each game, the iterations that it is trained here, and what one does."""

_FRAME = """\
<div class="game"><iframe src="{page}.html" title="{title}" loading="lazy"></iframe></div>
"""

_HOME = """\
## Play against what was trained

This game was written by `jaxrl export RUN page --format web`: plain JavaScript with the policy's weights in it, without
any network. The agent was trained for {iterations:,} updates while this site was built; its preset takes {whole:,}.

```{{raw}} html
{frame}
<p>In a window of its own: <a href="play-plane-strike.html">Plane Strike</a>,
<a href="play-cartpole.html">CartPole beside an agent</a>.</p>
```
"""

_BROWSER = """\
```sh
jaxrl export runs/planes page --format web      # page.html: play Plane Strike against the agent, or CartPole beside it
jaxrl export runs/first policy.mjs --format js  # the policy alone, of any environment, if it has no memory
```

The page is one file that needs no network and no server: weights, rules and pictures are in it, and it opens by a
double click. The rules and the physics are translated from the environment's own `step`. The [home page](index.md)
has one.

Browsers and Node.js import the module of JavaScript:

```js
import { act, outputs, inputs, about } from "./policy.mjs";

act([0.0, 0.1, 0.0, -0.1]); // the deterministic action; continuous ones inside their bounds
outputs([0.0, 0.1, 0.0, -0.1]); // Float32Array of what it decides by, as about.output says
```

Neither format needs the extra `export`. LiteRT.js runs the TFLite file.
"""

_WITHOUT = "LiteRT.js and TensorFlow.js run the TFLite file. This version of jaxrl writes no page to play with.\n"


def write_game_page(folder: Path, write: Callable[[Path, str], None]) -> None:
    """Writes `parts/game.md` for the home page, `parts/browser.md` for that on exports, and the games to `site`."""
    (folder / "site").mkdir(exist_ok=True)
    if not hasattr(export, "to_page"):
        write(folder / "parts" / "game.md", "")
        write(folder / "parts" / "browser.md", _WITHOUT)
        return
    for page, (preset, iterations, _) in GAMES.items():
        _export(folder / "site" / f"{page}.html", preset, iterations)
    name, iterations, title = GAMES["play-plane-strike"]
    frame = _FRAME.format(page="play-plane-strike", title=title)
    whole = jaxrl.preset(name).iterations
    write(folder / "parts" / "game.md", _HOME.format(frame=frame, iterations=iterations, whole=whole))
    write(folder / "parts" / "browser.md", _BROWSER)


def _export(path: Path, preset: str, iterations: int) -> None:
    """Trains and exports, unless the page is newer than the code that writes it."""
    newest = max(file.stat().st_mtime for file in (Path(jaxrl.__file__).parent / "web").iterdir())
    if not path.exists() or path.stat().st_mtime < newest:
        result = jaxrl.train(jaxrl.preset(preset).agent(), iterations=iterations, progress=False)
        export.to_page(result, path)
