"""`check_env` finds what it promises: each code is proven by an environment that breaks just that."""

import time

import jax
import pytest
from broken_environments import BROKEN, FixedStart, LateDtype
from jax.experimental.compilation_cache import compilation_cache
from tiny_environments import Bonus, Luggage, Push, Walk

import jaxrl
from jaxrl.env_checker import CODES, EnvironmentCheckError, EnvironmentReport, check_env
from jaxrl.env_checker.context import COMPILER_OPTIONS

STEPS = 400  # of the rollouts in which something must happen


@pytest.fixture(scope="module", autouse=True)
def shared_compilations(tmp_path_factory):
    """Most of these environments differ in one method: the others are compiled once for all."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture
def hasty_compiler(monkeypatch):
    """Compiles in a quarter of the time, to code that nobody waits for here."""
    monkeypatch.setitem(COMPILER_OPTIONS, "xla_cpu_use_fusion_emitters", False)
    monkeypatch.setitem(COMPILER_OPTIONS, "xla_cpu_parallel_codegen_split_count", 1)


@pytest.mark.usefixtures("hasty_compiler")
@pytest.mark.parametrize(("code", "seen", "build"), BROKEN, ids=[build.__name__ for *_, build in BROKEN])
def test_a_broken_environment_gets_its_finding_and_no_other(code, seen, build):
    report = check_env(build(), raise_errors=False, steps=STEPS)
    assert {finding.code for finding in report.findings} == {code}, str(report)
    severity, remedy = CODES[code]
    assert any(seen in finding.message for finding in report.findings), str(report)
    for finding in report.findings:
        assert finding.severity == severity
        assert finding.message.endswith(remedy)
        assert len(finding.message.splitlines()) == 1


def test_every_code_is_proven():
    assert {code for code, *_ in BROKEN} == set(CODES)


@pytest.mark.parametrize("name", ["CartPole-v1", "CartPole-v0", "PlaneStrike-v0"])
def test_good_environments_get_no_finding_and_soon(name):
    begin = time.perf_counter()
    report = check_env(jaxrl.make(name), raise_errors=False)
    assert report.findings == ()
    assert report.skipped == ()
    assert time.perf_counter() - begin < 20  # about 2 s on 2 free cores


@pytest.mark.usefixtures("hasty_compiler")
@pytest.mark.parametrize("build", [Walk, Push, Bonus, Luggage])
def test_good_tiny_environments_get_no_finding(build):
    report = check_env(build())
    assert report == EnvironmentReport(build.__name__, ())
    assert str(report) == f"{build.__name__}: nothing found"


@pytest.mark.usefixtures("hasty_compiler")
def test_all_errors_are_in_one_exception():
    @jaxrl.pytree
    class Many(Walk):
        max_steps: int = jaxrl.static(default=0)

        def reward(self, state):
            return 1

        def over(self, state):
            return state.position[None] > 0

        def action_mask(self, state):
            return super().action_mask(state)[0]

    with pytest.warns(UserWarning, match="weak-type"), pytest.raises(EnvironmentCheckError) as caught:
        check_env(Many())
    report = caught.value.report
    assert isinstance(caught.value, ValueError)
    assert {f.code for f in report.errors} == {"max-steps", "reward-dtype", "flag-shape", "mask-shape"}
    assert [f.code for f in report.warnings] == ["weak-type"]
    assert all(str(finding) in str(caught.value) for finding in report.errors)
    assert "not checked because of the above: the first mask, a random rollout" in str(caught.value)


@pytest.mark.usefixtures("hasty_compiler")
def test_a_dtype_that_changes_at_the_second_step_is_found():
    report = check_env(LateDtype(), raise_errors=False)
    assert [finding.code for finding in report.findings] == ["weak-type", "state-dtype"]
    assert "state['luggage']['half'] changes from one step to the next, float16[] to float32[]" in str(report)


@pytest.mark.usefixtures("hasty_compiler")
def test_warnings_are_emitted_and_do_not_raise():
    with pytest.warns(UserWarning, match="FixedStart.*key-ignored"):
        report = check_env(FixedStart(), steps=STEPS)
    assert not report.errors


@pytest.mark.parametrize("steps", [0, -1])
def test_too_few_steps_are_refused(steps):
    with pytest.raises(ValueError, match=f"steps = {steps} must be at least 1"):
        check_env(Walk(), steps=steps)
