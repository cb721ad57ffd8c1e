"""The long form: ``python -m tests.fuzz TARGET --runs N`` with coverage (atheris) where that is installed.

``python -m tests.fuzz`` alone runs every target one after the other. Exit code 1 and the input on disk where something
other than the project's own errors comes out, an input takes over a second, or memory passes the bound. ``--coverage`` runs what an
earlier run kept (``.fuzz/TARGET``) once more and says which lines of the target's modules that reaches.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.coverage import reached
from tests.fuzz.mutations import inputs, seeds
from tests.fuzz.targets import TARGETS, run_one

_SHARES = {"package": 3, "signature": 3, "pdf": 0.01}  # a PDF takes a thousand times as long as a certificate
_MEMORY = 512 * 1024 * 1024
_MODULES = (
    "adapters.edxml",
    "adapters.pdf",
    "relay.model.codes",
    "relay.evidence",
    "relay.trust",
    "relay.directory",
)
_FOLLOWED = ("pyhanko.pdf_utils", "pyhanko.sign.validation", "pyhanko.sign.diff_analysis")
"""Of libraries: followed for the target that is made of them."""
_IMPORTING = ("tests.fuzz", "tests.support")  # the packages too: they hold their modules as attributes


def main() -> int:
    """Run one target, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS))
    parser.add_argument(
        "--runs",
        type=int,
        default=1_000_000,
        help="inputs for each target; package and signature take three times as many, pdf one of a hundred",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="without coverage, as the short form does")
    parser.add_argument(
        "--coverage", action="store_true", help="say what the inputs kept by the last run reach"
    )
    chosen = parser.parse_args()
    if chosen.coverage:
        for name in [chosen.target] if chosen.target else TARGETS:
            _tell_coverage(name)
        return 0
    if chosen.target is None:
        for name in TARGETS:
            runs = int(chosen.runs * _SHARES.get(name, 1))
            command = [
                sys.executable,
                "-m",
                "tests.fuzz",
                name,
                "--runs",
                str(runs),
                "--seed",
                str(chosen.seed),
            ]
            if subprocess.run([*command, *(["--plain"] if chosen.plain else [])], check=False).returncode:
                return 1
        return 0
    if chosen.plain or not _has_atheris():
        return plain(chosen.target, chosen.runs, chosen.seed)
    return covered(chosen.target, chosen.runs, chosen.seed)


def plain(name: str, runs: int, seed: int) -> int:
    """Run a number of inputs from a seed; leave the one that fails behind."""
    started, source = time.monotonic(), inputs(name, seed)
    for number in range(runs):
        data = next(source)
        try:
            run_one(TARGETS[name], data)
        except BaseException:
            path = Path(f"fuzz-{name}-{seed}-{number}.bin")
            path.write_bytes(data)
            print(f"{name}: input {number} of seed {seed} failed; it is in {path}", file=sys.stderr)
            raise
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    taken = time.monotonic() - started
    print(
        f"{name}: {runs} inputs in {taken:.0f} s, {runs / max(taken, 0.001):.0f}/s, {peak // 2**20} MiB at most"
    )
    return 1 if peak > _MEMORY else 0


def _tell_coverage(name: str) -> None:
    kept = sorted(Path(f".fuzz/{name}").glob("*"))
    inputs_kept = [path.read_bytes() for path in kept] or list(seeds(name))
    found = reached(name, TARGETS[name], inputs_kept)
    for one in found:
        print(f"{name}: {one.module}: {len(one.hit)} of {len(one.lines)} lines")
    lines, hit = sum(len(one.lines) for one in found), sum(len(one.hit) for one in found)
    print(f"{name}: {len(inputs_kept)} inputs reach {hit} of {lines} lines, {100 * hit / lines:.1f} %")


def _has_atheris() -> bool:
    try:
        import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        return False
    return True


def covered(name: str, runs: int, seed: int) -> int:
    """Run under atheris, with the coverage of the modules that are fuzzed as guide."""
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

    followed = (*_MODULES, *(_FOLLOWED if name == "pdf" else ()))
    with atheris.instrument_imports(include=list(followed)):
        for module in [one for one in sys.modules if one.startswith((*followed, *_IMPORTING))]:
            del sys.modules[module]
        from tests.fuzz import mutations
        from tests.fuzz.targets import TARGETS as INSTRUMENTED

        if name == "pdf":
            importlib.import_module("adapters.pdf.judge")  # which the target imports when it is first run
    folder = Path(f".fuzz/{name}")
    folder.mkdir(parents=True, exist_ok=True)
    for index, body in enumerate(mutations.seeds(name)):
        (folder / f"seed-{index}").write_bytes(body)
    target = INSTRUMENTED[name]
    flags = [
        f"-runs={runs}",
        f"-seed={seed}",
        "-timeout=30",  # of the clock, for what waits; `run_one` holds the processor's time to a second
        "-rss_limit_mb=512",
        f"-max_len={65536 if name in {'signature', 'pdf'} else 16384}",  # bulk that is cut out begins at 32 KiB
        str(folder),
    ]
    more = {}
    if name == "signature":

        def mutate(data: bytes, most: int, seed: int) -> bytes:
            if seed % 3 == 0:
                changed: bytes = atheris.Mutate(data, most)
                return changed
            return mutations.signature_mutated(data, most, seed)

        more["custom_mutator"] = mutate
    atheris.Setup([sys.argv[0], *flags], lambda data: run_one(target, data), **more)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
