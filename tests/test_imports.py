"""The structure of the code: imports point one way, and importing jaxrl stays light."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxrl

ORDER = [
    *("_module_command", "arguments"),
    *("pytree", "validation", "random_bits", "spaces", "masks", "environment", "registry"),
    *("wrappers", "actors", "rollout", "storage"),
    *("rendering", "env_checker", "adapters"),
    *("text", "trust", "config", "statistics", "schedules", "optimizers", "distributions", "networks", "_rlax"),
    *("returns", "normalize"),
    *("losses", "lookup", "replay", "priorities", "devices", "agents", "presets"),
    *("loop", "evaluation", "periodic_evaluation", "train_config", "memory", "ties"),
    *("plan", "checkpoints", "provenance", "run_directory", "result"),
    *("web", "export", "progress", "blocks", "trainer", "report", "run_report", "charts", "training"),
    *("sweeps", "cli", "__main__"),
]
"""The modules and packages of the engine: each may import those before it."""
BEFORE_ENVIRONMENTS = ORDER[: ORDER.index("env_checker")]
AGENTS = [
    "base",
    "validation",
    "actor_critic",
    "collection",
    "minibatches",
    "on_policy",
    "replay_draws",
    "off_policy",
    "epsilon_greedy",
    "off_policy_actor",
    "soft",
    "a2c",
    "ppo",
    "dqn",
    "drqn",
    "q_learning",
    "reinforce",
    "sac",
    "td3",
    "__init__",
]
"""Those of `jaxrl.agents`, likewise."""
ROOT = Path(jaxrl.__file__).parent


def module(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_modules(file: Path) -> set[str]:
    """The modules and packages of jaxrl that a file imports, inside functions too."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names = [node.module or ""]
            if node.module == "jaxrl":
                names = [f"jaxrl.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        modules |= {name.split(".")[1] for name in names if name.startswith("jaxrl.")}
    return modules


ENGINE = sorted(f for f in ROOT.rglob("*.py") if module(f) not in ("envs", "__init__"))
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.py"))


def test_every_module_has_its_place():
    assert {module(file) for file in ENGINE} == set(ORDER)
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("file", ENGINE, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_one_way(file):
    own = module(file)
    assert imported_modules(file) <= set(ORDER[: ORDER.index(own) + 1])


@pytest.mark.parametrize("file", sorted((ROOT / "agents").glob("*.py")), ids=lambda f: f.name)
def test_imports_among_agents_point_one_way(file):
    """And no algorithm imports another one."""
    shared = AGENTS[: min(AGENTS.index(file.stem), AGENTS.index("a2c"))]
    allowed = AGENTS if file.stem == "__init__" else shared
    result = set(re.findall(r"^ *from jaxrl\.agents\.(\w+) import", file.read_text(), re.MULTILINE))
    assert result <= set(allowed)


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda f: f.name)
def test_environments_import_only_what_a_user_would(file):
    assert imported_modules(file) <= {*BEFORE_ENVIRONMENTS, "envs"}


def test_the_check_sees_imports_inside_functions(tmp_path):
    file = tmp_path / "module.py"
    file.write_text("def f():\n    from jaxrl import loop\n    import jaxrl.training\n")
    assert imported_modules(file) == {"loop", "training"}


def imports(file: Path, names: set[str]) -> set[str]:
    """The modules among `names` that a file imports when it runs, inside functions too."""
    tree = ast.parse(file.read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    result = set()
    for node in ast.walk(tree):
        if node not in typing_only and isinstance(node, ast.Import | ast.ImportFrom):
            parent = node.module if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                full = f"{parent}.{alias.name}".strip(".")
                result.add(full if full in names else parent)
    return result & names


def test_no_module_imports_itself_in_a_circle():
    files = {}
    for file in [*ENGINE, *ENVIRONMENTS, ROOT / "__init__.py"]:
        parts = ("jaxrl", *file.relative_to(ROOT).with_suffix("").parts)
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    names = set(files)
    graph = {name: imports(file, names) - {name} for name, file in files.items()}
    assert sum(map(len, graph.values())) > 500
    list(graphlib.TopologicalSorter(graph).static_order())  # Raises CycleError.
    loop = graphlib.TopologicalSorter(graph | {"jaxrl.pytree": {"jaxrl.training"}})
    with pytest.raises(graphlib.CycleError):
        list(loop.static_order())


def test_environments_refuse_another_import_name():
    code = "import importlib, sys; sys.path.insert(0, sys.argv[1]); importlib.import_module('envs')"
    arguments = [sys.executable, "-c", code, str(ROOT)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "import this package as jaxrl.envs, not as envs" in result.stderr


def test_importing_jaxrl_is_light():
    heavy = ("tensorflow", "matplotlib", "pandas", "rlax", "pyarrow", "PIL", "scipy")
    code = f"import jaxrl, sys; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
