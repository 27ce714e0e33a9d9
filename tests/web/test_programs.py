"""Functions of JAX in JavaScript, run by Node.js beside JAX: primitives, ways to move numbers, and networks."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from javascript import needs_node, run_program
from jax import lax

from jaxrl.networks.convolution import Convolutions
from jaxrl.networks.options import LayerOptions
from jaxrl.web import UnsupportedOperationError, traced
from jaxrl.web.primitives import REDUCTIONS
from jaxrl.web.program import Take
from jaxrl.web.source import literal

pytestmark = [needs_node, pytest.mark.usefixtures("fast_compilation")]


def assert_equal_in_javascript(function, inputs, folder, rtol=2e-7, atol=0.0):
    """Compares a function that gives arrays by name with JAX, for rows of inputs `[rows, ...]`."""
    program = traced(function, {name: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for name, x in inputs.items()})
    rows = [{name: x[row] for name, x in inputs.items()} for row in range(len(next(iter(inputs.values()))))]
    both = jax.jit(jax.vmap(lambda row: (function(*row.values()), program.evaluate(row))))(inputs)
    for number, given in enumerate(run_program(program, rows, folder)):
        wanted, evaluated = jax.tree.map(lambda x, n=number: x[n], both)
        assert set(given) == set(wanted)
        for name, array in wanted.items():
            assert (given[name].shape, given[name].dtype) == (array.shape, array.dtype), name
            np.testing.assert_allclose(given[name], array, rtol=rtol, atol=atol, err_msg=name)
        for name, array in evaluated.items():
            np.testing.assert_allclose(array, wanted[name], rtol=rtol, atol=atol, err_msg=name)


def inputs(**shapes):
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=(3, *shape)).astype(np.float32) for name, shape in shapes.items()}


def test_functions_of_floats(tmp_path):
    values = np.array([-3.5, -2.5, -1.5, -1.2, -0.5, -0.3, 0.0, 0.3, 0.5, 1.5, 2.5, 4.7], np.float32)

    def function(x, y):
        positive, small = jnp.abs(x) + 0.1, x / 5
        unary = (jnp.abs, jnp.ceil, jnp.floor, jnp.sign, jnp.round, jnp.square, jnp.isfinite, lax.neg, jnp.tanh)
        unary += (jnp.exp, jnp.exp2, jnp.expm1, jnp.sin, jnp.cos, jnp.sinh, jnp.cosh, jnp.arctan, jnp.arcsinh)
        unary += (jax.nn.sigmoid, jax.nn.softplus, jax.nn.relu, jax.nn.elu, jax.nn.gelu, jax.nn.silu, jax.nn.softmax)
        of_positive = (jnp.log, jnp.log1p, jnp.sqrt, lax.rsqrt, jnp.cbrt)
        of_small = (jnp.tan, jnp.arcsin, jnp.arccos, jnp.arctanh)
        binary = (jnp.add, jnp.subtract, jnp.multiply, jnp.maximum, jnp.minimum, jnp.arctan2, lax.rem)
        binary += (jnp.equal, jnp.not_equal, jnp.less, jnp.less_equal, jnp.greater, jnp.greater_equal)
        results = {f.__name__: f(x) for f in unary} | {f.__name__: f(positive) for f in of_positive}
        results |= {f.__name__: f(small) for f in of_small} | {f.__name__: f(x, y) for f in binary}
        results |= {
            "away": lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO),
            "third": x**3,
            "minus_second": positive**-2,
        }
        results |= {
            "power": positive**y,
            "quotient": x / positive,
            "clip": jnp.clip(x, -1, y),
            "acosh": jnp.arccosh(positive + 1),
        }
        return results | {"whole": x.astype(jnp.int32), "flag": x.astype(bool), "where": jnp.where(x > y, x, 2.0)}

    rows = {"x": np.stack([values, values[::-1]]), "y": np.stack([np.roll(values, 5), np.ones_like(values)])}
    assert_equal_in_javascript(function, rows, tmp_path, rtol=2e-6, atol=3e-7)


def test_numbers_that_are_not_finite(tmp_path):
    def function(x):
        return {
            "max": jnp.maximum(x, 0), "min": jnp.min(x), "finite": jnp.isfinite(x), "equal": x == x, "sum": jnp.sum(x),
            "constant": x + jnp.array([np.nan, np.inf, -np.inf, 1], jnp.float32), "infinite": jnp.full(4, jnp.inf) - x,
        }  # fmt: skip

    values = np.array([[np.nan, np.inf, -np.inf, 1], [1, 2, np.inf, 3]], np.float32)
    assert_equal_in_javascript(function, {"x": values}, tmp_path)


def test_whole_numbers_wrap_around(tmp_path):
    def function(x, y):
        u, n = x.astype(jnp.uint32), jnp.abs(y % 40)
        return {
            "add": x + y, "mul": x * y, "unsigned": u * jnp.uint32(2654435761), "and": x & y, "or": x | y, "xor": x ^ y,
            "not": ~x, "of_flags": ~(x > y) & (x < 5) | (y < 0), "div": lax.div(x, y), "rem": lax.rem(x, y), "neg": -x,
            "left": lax.shift_left(x, n), "right": lax.shift_right_logical(x, n), "max": jnp.max(x), "sum": jnp.sum(x),
            "arithmetic": lax.shift_right_arithmetic(x, n), "float": u.astype(jnp.float32), "byte": x.astype(jnp.uint8),
            "square": jnp.square(x), "sign": jnp.sign(x), "mean": jnp.mean(u.astype(jnp.uint8).astype(jnp.float32)),
        }  # fmt: skip

    numbers = np.array([[2**31 - 1, -7, 12345678, 3, -(2**31), 66], [1, 2, -3, 40, 5, 300]], np.int32)
    assert_equal_in_javascript(function, {"x": numbers, "y": np.roll(numbers, 1, axis=1)}, tmp_path)


def test_floats_beyond_the_whole_numbers_are_cut_off(tmp_path):
    rows = {"x": np.array([[3e9, -3e9, np.nan, 300.7, -0.5]], np.float32)}
    assert_equal_in_javascript(lambda x: {"i": x.astype(jnp.int32), "u": x.astype(jnp.uint32)}, rows, tmp_path)


def test_every_way_to_move_numbers(tmp_path):
    def function(x, y):
        return {
            "reshape": x.reshape(2, 6), "transpose": x.T, "row": x[1], "slice": x[:, 1:4:2], "reversed": x[::-1],
            "joined": jnp.concatenate([x, y, x]), "stacked": jnp.stack([x, y], axis=1), "tile": jnp.tile(x, (2, 2)),
            "padded": jnp.pad(x, ((1, 0), (2, 1)), constant_values=7.0),
            "inner": lax.pad(x, 0.0, ((0, 1, 2), (-1, 0, 0))),
            "split": jnp.split(x, 2, axis=1)[1], "broadcast": x[:, None] + y[None], "taken": x[:, np.array([3, 0, 0])],
            "set": lax.dynamic_update_slice(x, y[:1, :2], (1, 2)), "repeat": jnp.repeat(x, 2, axis=1), "same": x,
            "roll": jnp.roll(x, 1, axis=1), "constant": jnp.arange(5), "outer": jnp.outer(x[0], y[1]),
            "diagonal": jnp.diagonal(x),
        }  # fmt: skip

    assert_equal_in_javascript(function, inputs(x=(3, 4), y=(3, 4)), tmp_path)


def test_reductions(tmp_path):
    def function(x):
        return {
            "sum": x.sum(axis=1), "of_two": x.sum(axis=(0, 2)), "mean": x.mean(), "max": x.max(axis=0),
            "min": x.min(axis=-1), "prod": x.prod(axis=1), "any": (x > 1).any(axis=0), "all": (x > -1).all(axis=2),
            "argmax": jnp.argmax(x, axis=1), "argmin": jnp.argmin(x.reshape(-1)), "variance": x.var(axis=2),
            "logsumexp": jax.nn.logsumexp(x, axis=1),
        }  # fmt: skip

    assert_equal_in_javascript(function, inputs(x=(2, 3, 4)), tmp_path, rtol=1e-6, atol=1e-6)
    ties = {"x": np.array([[[[1, 3, 3]]]], np.float32)}
    assert_equal_in_javascript(lambda x: {"first": jnp.argmax(x, axis=2), "last": jnp.argmin(-x)}, ties, tmp_path)
    assert {f"reduce_{name}" for name in ("sum", "prod", "max", "min", "and", "or")} == set(REDUCTIONS)


def test_products(tmp_path):
    weights = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)

    def function(x, y):
        return {
            "vector": x[0] @ weights, "matrix": x @ weights, "batched": jnp.einsum("bij,bkj->bik", y, y),
            "inner": jnp.vdot(x, x), "outer": jnp.einsum("ij,bkl->jbl", x, y), "turned": weights.T @ x.T,
        }  # fmt: skip

    assert_equal_in_javascript(function, inputs(x=(3, 4), y=(2, 3, 4)), tmp_path, rtol=1e-5, atol=1e-5)


def test_a_convolutional_network(tmp_path):
    options = LayerOptions(
        channels=(4, 6), kernels=(3, 2), strides=(2, 1), layer_norm=True, activation="elu"
    )  # fmt: skip
    network = hk.without_apply_rng(hk.transform(lambda images: Convolutions(options)(images)))
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 8, 3)).astype(np.uint8)
    params = jax.jit(network.init)(jax.random.key(0), images)
    params = jax.tree.map(lambda x: x + 0.1, params)
    assert_equal_in_javascript(
        lambda image: {"features": network.apply(params, image[None])[0]}, {"image": images}, tmp_path, 1e-5, 1e-5
    )


def test_convolutions_with_padding_and_dilation(tmp_path):
    kernel = np.random.default_rng(1).normal(size=(3, 2, 3, 5)).astype(np.float32)

    def function(x):
        layout = ("NHWC", "HWIO", "NHWC")
        same = lax.conv_general_dilated(x[None], kernel, (1, 2), "SAME", dimension_numbers=layout)
        wide = lax.conv_general_dilated(
            x[None],
            kernel,
            (1, 1),
            ((2, 1), (0, 3)),
            lhs_dilation=(2, 1),
            rhs_dilation=(1, 2),
            dimension_numbers=layout,
        )
        first = lax.conv_general_dilated(x.T[None], kernel.T, (1, 1), "VALID")
        return {"same": same, "wide": wide, "channels_first": first}

    assert_equal_in_javascript(function, inputs(x=(5, 6, 3)), tmp_path, rtol=1e-5, atol=1e-5)


def test_rows_of_tables(tmp_path):
    table = np.random.default_rng(0).normal(size=(6, 2, 3)).astype(np.float32)

    def function(i, j):
        return {
            "row": jnp.asarray(table)[i[0]], "rows": jnp.take(table, i, axis=0, mode="clip"),
            "entries": jnp.asarray(table).at[i, :, j].get(mode="promise_in_bounds"),
            "slice": lax.dynamic_slice(table, (i[0], 0, j[0]), (2, 2, 2)),
        }  # fmt: skip

    rows = {"i": np.array([[0, 5, 3], [5, 2, 2]], np.int32), "j": np.array([[0, 1, 2], [2, 0, 1]], np.int32)}
    assert_equal_in_javascript(function, rows, tmp_path)
    outside = {"i": np.array([[9, -4]], np.int32)}
    assert_equal_in_javascript(lambda i: {"rows": jnp.take(table, i, axis=0, mode="clip")}, outside, tmp_path)


def test_what_depends_on_no_input_is_computed_before(tmp_path):
    weights = jnp.arange(12.0).reshape(3, 4)

    def function(x):
        return {"y": x @ jnp.tanh(weights).T[1:3].reshape(2, 3).T, "key": jax.random.normal(jax.random.key(0), (2,))}

    program = traced(function, {"x": jax.ShapeDtypeStruct((3,), jnp.float32)})
    assert [step.operation.kind for step in program.steps] == ["dot"]
    assert_equal_in_javascript(function, inputs(x=(3,)), tmp_path, rtol=1e-6, atol=1e-6)


def test_equal_operations_are_done_once_and_useless_ones_never():
    def function(x):
        jnp.cos(x)
        return {"a": jnp.sin(x) + 1, "b": jnp.sin(x) * 2, "c": x.reshape(2, 2)}

    program = traced(function, {"x": jax.ShapeDtypeStruct((4,), jnp.float32)})
    assert len(program.steps) == 3
    assert not any(isinstance(step.operation, Take) for step in program.steps)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda x: lax.fori_loop(0, 3, lambda i, y: y * x, x), "the operation scan is not translated to JavaScript"),
        (lambda x: lax.while_loop(lambda y: y[0] < 9, lambda y: y + 1, x), "the operation while is not translated"),
        (lambda x: lax.cond(x[0] > 0, jnp.sin, jnp.cos, x), "the operation cond is not translated"),
        (jnp.sort, "the operation sort is not translated"),
        (lambda x: x.astype(jnp.float16), "the operation convert_element_type has numbers of type float16; JavaScript"),
        (lambda x: jnp.take(x, x.astype(int)), "the operation gather in the mode"),
        (lambda x: jax.scipy.special.erf(x), "the operation erf is not translated"),
    ],
)
def test_an_operation_that_is_not_translated_is_named(function, complaint):
    with pytest.raises(UnsupportedOperationError, match=complaint):
        traced(lambda x: {"y": function(x)}, {"x": jax.ShapeDtypeStruct((4,), jnp.float32)})


def test_an_input_of_another_type_is_refused():
    with pytest.raises(UnsupportedOperationError, match="the input 'x' has numbers of type bfloat16"):
        traced(lambda x: {"y": x}, {"x": jax.ShapeDtypeStruct((4,), jnp.bfloat16)})


def test_plain_data_ends_no_script():
    assert literal({"name": "</script><!--"}) == '{"name": "\\u003c/script>\\u003c!--"}'
