"""Bits of runs, of sweeps and of exports flip: the same numbers come back, or a clear refusal."""

import dataclasses
import functools
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import jaxrl
from tests.attack.jobs import JOBS, checksum, prepare
from tests.attack.kills import Moment, killed
from tests.attack.workers import Fall, Verdict, attacked, captured, forked
from tests.helpers.export_helpers import decided

_REFUSALS = (ValueError, TypeError, OSError)
_UNFINISHED = "unfinished-"
_STOPPED = {"train": 40, "halving": 60, "tpe": 60}
"""Jobs that are killed at these operations on files: a checkpoint is there, parked members, rounds of trials."""
_QUANTIZED = ("none", "float16", "int8")


@dataclasses.dataclass(frozen=True)
class Flip:
    """One case: a bit of a file of one of the folders, read by a way of reading."""

    corpus: str
    file: str
    place: int
    bit: int


def flips(count: int, rng: random.Random, folder: Path, watched: Path) -> Iterator[Verdict]:
    """Flips so many bits, each in a copy of its own."""
    corpora, cache = folder / "corpora", folder / "cache"
    pid = forked(functools.partial(_build, corpora, cache))
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("the folders to attack can't be made")
    for job, operation in _STOPPED.items():
        killed(job, corpora / f"{_UNFINISHED}{job}", cache, Moment(operation, 0.0))
    files = {
        name: sorted(p for p in (corpora / name).rglob("*") if p.is_file() and p.stat().st_size)
        for name in sorted(os.listdir(corpora))
    }
    # Every kind of file is as likely as any other, however many there are of it.
    kinds = sorted({(name, path.suffix, path.name) for name, paths in files.items() for path in paths})
    cases = []
    for number in range(count):
        name, _, kind = kinds[number % len(kinds)]
        path = rng.choice([path for path in files[name] if path.name == kind])
        place = rng.randrange(path.stat().st_size)
        cases.append(Flip(name, str(path.relative_to(corpora / name)), place, rng.randrange(8)))
    wanted: dict[str, list[str]] = {}
    yield from attacked("flips", cases, functools.partial(_flip, folder, wanted), watched)


def _build(corpora: Path, cache: Path) -> None:
    prepare(cache)
    for name, job in JOBS.items():
        job(corpora / name)
    from jaxrl.export import to_tflite

    (corpora / "exports").mkdir()
    policy = decided(jaxrl.PPO(jaxrl.make("CartPole-v1"), hidden=(64, 64)))
    for quantize in _QUANTIZED:
        to_tflite(policy, corpora / "exports" / f"{quantize}.tflite", quantize=quantize)


def _readings(corpus: str) -> list[Callable[[Path], str]]:
    if corpus == "exports":
        return [_outputs]
    job = JOBS[corpus.removeprefix(_UNFINISHED)]
    resume = lambda path: checksum(job(path))  # noqa: E731
    return [resume] if corpus.startswith(_UNFINISHED) else [lambda path: checksum(jaxrl.load(path)), resume]


def _outputs(path: Path) -> str:
    from jaxrl.export.tflite_file import PolicyFile

    files = [PolicyFile(path / f"{quantize}.tflite") for quantize in _QUANTIZED]
    obs = np.random.default_rng(0).uniform(-1, 1, (4, 1, 4)).astype(np.float32)
    return str([file.outputs_and_carry((), each)[0].tolist() for file in files for each in obs])


def _flip(folder: Path, wanted: dict[str, list[str]], case: Flip) -> str:
    readings = _readings(case.corpus)
    whole, copy = folder / "corpora" / case.corpus, folder / "copy"
    if case.corpus not in wanted:
        shutil.copytree(whole, copy)
        wanted[case.corpus] = [captured(functools.partial(read, copy))[0] for read in readings]
        shutil.rmtree(copy)
    outcomes = []
    for read, numbers in zip(readings, wanted[case.corpus], strict=True):
        shutil.copytree(whole, copy)
        content = bytearray((copy / case.file).read_bytes())
        content[case.place] ^= 1 << case.bit
        (copy / case.file).write_bytes(content)
        try:
            outcomes.append(_read(functools.partial(read, copy), numbers))
        finally:
            shutil.rmtree(copy)
    return ", ".join(outcomes)


def _read(read: Callable[[], Any], numbers: str) -> str:
    try:
        result, _ = captured(read)
    except _REFUSALS as error:
        if not str(error):
            raise Fall("traceback", f"{type(error).__name__} without a word") from error
        return "refused"
    if result != numbers:
        raise Fall("wrong numbers", "read without a word")
    return "same"
