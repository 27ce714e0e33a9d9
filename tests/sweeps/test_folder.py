"""The folder of a sweep: another sweep, damaged files, and changed ones are refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_run_directories import write_config
from small_runs import dqn
from small_sweeps import SPACE, sweep, timeless

import jaxrl

pytestmark = pytest.mark.usefixtures("fast_compilation")


def test_another_sweep_in_the_folder_is_refused_with_the_difference(whole, folder, tmp_path):
    out = shutil.copytree(folder / "whole", tmp_path / "copy")
    content = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    for change, words in [
        ({"space": {**SPACE, "double": [True, False]}}, "space.double"),
        ({"agent": dqn(discount=0.5)}, "discount: 0.99 there, 0.5 here"),
        ({"seeds": 3}, "seeds"),
        ({"keep": "all"}, "keep"),
        ({"steps": 240}, "iterations"),
    ]:
        with pytest.raises(jaxrl.RunDirectoryError, match=f"another sweep.*{words}"):
            sweep(**{"out": out, "keep": "best:3", **change})
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir()} == content
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(jaxrl.RunDirectoryError, match="holds other files"):
        sweep(out=tmp_path / "other")
    jaxrl.train(dqn(), 120, out=tmp_path / "run", progress=False)
    with pytest.raises(jaxrl.RunDirectoryError, match="is not of a sweep that this jaxrl knows"):
        sweep(out=tmp_path / "run")


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("name", ["results.parquet", "curves.parquet", "config.json", "checksums.json"])
def test_no_flipped_byte_gives_other_numbers(name, whole, folder, tmp_path):
    out = shutil.copytree(folder / "whole", tmp_path / "copy")
    content, found = (out / name).read_bytes(), []
    places = np.random.default_rng(0).integers(len(content), size=40)
    for place in places:
        (out / name).write_bytes(flipped(content, place))
        try:
            again = jaxrl.load(out)
            pd.testing.assert_frame_equal(again.table(), whole.table())
            pd.testing.assert_frame_equal(again.curves(), whole.curves())
            pd.testing.assert_frame_equal(again.ranking(), whole.ranking())
        except jaxrl.RunDirectoryError as error:
            found.append(str(error))
    # In JSON a space between two values may be another, and the spelling of a number.
    assert len(found) == 40 if name.endswith("parquet") else len(found) >= 20
    assert all(name in text for text in found)


@pytest.mark.parametrize("name", ["results.parquet", "curves.parquet", "params.npz", "checksums.json"])
def test_no_flipped_byte_of_a_batch_gives_other_numbers(name, under_way, tmp_path):
    out = shutil.copytree(under_way, tmp_path / "copy")
    batch = sorted((out / "batches").iterdir())[1]
    trial = int(pq.read_table(batch / "results.parquet")["trial"][0].as_py())
    content = (batch / name).read_bytes()
    for place in np.random.default_rng(0).integers(len(content), size=10):
        (batch / name).write_bytes(flipped(content, place))
        with pytest.raises(jaxrl.RunDirectoryError, match=rf"{batch}/{name} .*: remove {batch}, and run"):
            jaxrl.load(out).member(trial)  # Which also reads its curve.


def test_a_damaged_batch_is_trained_again_once_it_is_removed(under_way, tmp_path, whole):
    out = shutil.copytree(under_way, tmp_path / "copy")
    batch = sorted((out / "batches").iterdir())[1]
    (batch / "results.parquet").write_bytes(b"PAR1")
    with pytest.raises(jaxrl.RunDirectoryError, match=f"remove {batch}, and run the sweep again"):
        sweep(out=out, keep="best:3")
    shutil.rmtree(batch)
    pd.testing.assert_frame_equal(timeless(sweep(out=out, keep="best:3")), timeless(whole))


def test_batches_and_checkpoints_of_another_sweep_are_not_taken(under_way, tmp_path):
    out = shutil.copytree(under_way, tmp_path / "copy")
    other = tmp_path / "other"
    sweep(out=other, keep="best:1", agent=dqn(discount=0.5), space={"learning_rate": [1e-3]})
    (name,) = (path.name for path in (other / "batches").iterdir())
    shutil.rmtree(out / "batches" / name)
    shutil.copytree(other / "batches" / name, out / "batches" / name)
    with pytest.raises(jaxrl.RunDirectoryError, match="is of another run or sweep: remove"):
        jaxrl.load(out)


def test_a_changed_value_is_refused(whole, folder, tmp_path):
    out = shutil.copytree(folder / "whole", tmp_path / "copy")
    text = (out / "config.json").read_text()
    (out / "config.json").write_text(text.replace("0.03", "0.04"))
    for read in (lambda: jaxrl.load(out), lambda: sweep(out=out, keep="best:3")):
        with pytest.raises(jaxrl.RunDirectoryError, match=r"config\.json is damaged or was changed"):
            read()
    # Even with the right checksum, nothing on disk is of the other sweep.
    write_config(out, json.loads(text.replace("0.03", "0.04")))
    with pytest.raises(jaxrl.RunDirectoryError, match=r"checksums\.json is of another run or sweep: remove"):
        jaxrl.load(out)
    config = json.loads(text)
    for version in (3, 9):
        write_config(out, {**config, "format": f"jaxrl sweep, version {version}"})
        with pytest.raises(jaxrl.RunDirectoryError, match="not of a sweep that this jaxrl knows"):
            jaxrl.load(out)
