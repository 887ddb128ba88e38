"""Kill processes of a running workflow at random, again and again, and compare the end with an unbroken run.

Run it from the root of a checkout: ``python benchmarks/soak.py --kills 200 --log soak.tsv``. It works in a temporary
folder, on a copy of the checkout, over a study of small images; with ``--brains`` two small brains come to it, so that
every rule of the workflow runs. With ``--warm`` jobs are forked from a process that has imported the package, so that
kills fall into their work and not into their imports; the unbroken run that they are compared with starts every job
anew. Its downloads come from a server of this script. Each kill is a SIGKILL: of any one process of the run (also of
Snakemake itself, whose jobs then go on without it), or of all of them at once, as when a node is lost. Whenever
Snakemake ends, the run is started again, as a user would: with ``--unlock`` first if it says that its folder is locked.
When a run has finished, its results are compared with those of the unbroken run, and thrown away.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import http.server
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import warm

from igc.data.idx import encode_idx
from igc.data.mnist import FILES

ROOT = Path(__file__).parents[1]
STUDY = """
seed: 5
studies:
  digits:
    title: Small digits from a server of this machine
    data: {kind: mnist, source: download, download_folder: resources/mnist}
    models:
      network: {kind: network, architecture: residual_mlp, arguments: {width: 8}, training: {epochs: 2}}
    samplers:
      pixels: {kind: gaussian}
    methods:
      igc: {points: 1, shards: 2, options: {side: outputs}}  # not the side that happens to be faster at the moment
      pmi: {samples: 20, options: {sampler: pixels, draws: 2}}
    rois:
      quadrants: {kind: quadrants}
    yardsticks: {samples: 20, steps: 3, subsets: 12, scored: 60, randomized: 1}
    fields: {models: [network], methods: [igc]}
"""
BRAINS = """
  first: &brain
    title: A brain that is made
    data: &made
      kind: nsd
      source: simulated
      folder: resources/brains
      recipe: {sessions: [1, 1], shared: 20, image_size: 16}
      statistics: [luminance]
      atlases: {areas: prf-visualrois}
    models:
      ridge: {kind: linear, alphas: [1.0, 100.0, 2], inner_folds: 2}
    methods:
      linear_igc: {}
    rois:
      areas: {kind: atlas, atlas: areas}
    yardsticks: {samples: 4, steps: 2, subsets: 12, scored: 12, randomized: 0}
  second:
    <<: *brain
    data: {<<: *made, subject: 2}
groups:
  brains: {studies: [first, second], missing_regions: true}
"""
# what a run measures of itself: times, rates and memory
MEASURED = {"seconds", "work_seconds", "evaluations_per_second", "peak_memory"}
SHOWS_TIMES = {"diagnostics.png", "verdict.png"}
MARKS = {".snakemake_timestamp"}  # of Snakemake: an empty file in a folder that a job made
PATIENCE = 600.0


# --- the study ------------------------------------------------------------------------------------------------------


def write_digits(folder):
    """Write the four files that the server holds, and return the digests of their contents."""
    digests = {}
    folder.mkdir()
    for name in FILES:
        rng = np.random.default_rng(len(name.split("-")[0]))  # images and labels of one set belong together
        labels = rng.permutation(np.arange(60, dtype=np.uint8) % 10)
        images = rng.integers(0, 60, (60, 8, 8), dtype=np.uint8)
        images[np.arange(60), labels % 8] += 150  # a bright row tells the digit
        content = encode_idx(images if "images" in name else labels)
        digests[name] = hashlib.sha256(content).hexdigest()
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    return digests


def make_checkout(folder, address, digests, brains=False):
    """Copy what a run needs, with the study as its configuration and the server in the place of the mirrors."""
    ignored = shutil.ignore_patterns("__pycache__", "samples")
    for name in ("igc", "workflow", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "profiles").symlink_to("workflow/profiles")
    shutil.copy(ROOT / "Snakefile", folder)
    with (folder / "Snakefile").open("a") as opened:  # the rules put the folder of Snakemake's Python first
        opened.write('\nif "IGC_SOAK_BIN" in os.environ:\n    put_first("PATH", os.environ["IGC_SOAK_BIN"])\n')
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(STUDY + BRAINS if brains else STUDY)
    with (folder / "igc" / "data" / "fetch.py").open("a") as opened:
        opened.write(f"\nMNIST_SHA256.update({digests!r})\n")
        opened.write(f"FETCHERS = {{'mnist': lambda data: fetch_mnist(data, ({address!r},))}}\n")


@contextlib.contextmanager
def serving(folder):
    """Serve the files of a folder on a free port of this machine."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, directory=str(folder), **named)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


# --- what is compared -----------------------------------------------------------------------------------------------


def bits(file):
    """Return a digest of a file without what the run measured of itself."""
    content = file.read_bytes() if file.name not in SHOWS_TIMES else b""
    if file.suffix == ".json":
        content = json.dumps(without_measures(json.loads(content)), sort_keys=True).encode()
    elif file.suffix in (".tsv", ".parquet"):
        table = pd.read_csv(file, sep="\t") if file.suffix == ".tsv" else pd.read_parquet(file)
        table = table.drop(columns=[name for name in table if name in MEASURED])
        if "metric" in table:
            table = table[~table["metric"].isin(MEASURED)]
        content = table.to_csv(sep="\t", index=False).encode()
    return hashlib.sha256(content).hexdigest()


def without_measures(value):
    if isinstance(value, dict):
        return {key: without_measures(inner) for key, inner in value.items() if key not in MEASURED}
    return [without_measures(inner) for inner in value] if isinstance(value, list) else value


def compared(folder):
    """Return the digest of every result; logs and Snakemake's own benchmarks are no results."""
    results = folder / "results"
    files = [file for file in sorted(results.rglob("*")) if file.is_file()]
    left_out = {"logs", "benchmarks", *MARKS}
    kept = [file for file in files if not left_out & set(file.relative_to(results).parts)]
    return {str(file.relative_to(results)): bits(file) for file in kept}


# --- running and killing --------------------------------------------------------------------------------------------


class Session:
    """The processes of one run, however often it is started; known by a word in their environment."""

    def __init__(self, folder):
        self.folder, self.mark = folder, f"soak-{os.getpid()}-{folder.parent.name}"
        self.log = folder.parent / "snakemake.log"
        self.process, self.jobs, self.more = None, None, {}
        self.quiet = silence_slurm(folder.parent / "quiet")

    def start(self, *arguments):
        """Start Snakemake."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "IGC_SOAK": self.mark, **self.more}
        environment["PATH"] = f"{self.quiet}{os.pathsep}{environment['PATH']}"
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        with self.log.open("w") as opened:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=opened, stderr=subprocess.STDOUT
            )
        return self.process

    def unbroken(self):
        """Run to the end and return the seconds it took."""
        started = time.monotonic()
        if self.start().wait() != 0:
            raise SystemExit(self.log.read_text())
        return time.monotonic() - started

    def members(self):
        """Return all processes that run, those too whose Snakemake is dead."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("IGC_SOAK") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        if self.jobs is not None:  # those that are forked have the environment of where they come from
            for file in self.jobs.iterdir():
                with contextlib.suppress(psutil.Error):
                    found.append(psutil.Process(int(file.name)))
        return found

    def named(self, process):
        """Say which part of a run a process is; nothing of what only stands in for a job."""
        if self.jobs is not None:
            with contextlib.suppress(OSError):
                return f"igc {(self.jobs / str(process.pid)).read_text()}"
        return described(process)

    def kill(self, chance):
        """Kill one process of the run, or all, and return what it was."""
        members = self.members()
        snakes = [process for process in members if process.pid == self.process.pid]
        others = [process for process in members if process.pid != self.process.pid and self.named(process)]
        if chance.random() < 0.15:
            victims, name = members, "all"
        elif snakes and chance.random() < (0.2 if others else 0.1):
            victims, name = snakes, "snakemake"
        else:
            victims = [chance.choice(others)] if others else []
            name = self.named(victims[0]) if victims else ""
        killed = 0
        for victim in victims:
            with contextlib.suppress(psutil.Error):
                victim.kill()
                killed += 1
        return name if killed else ""

    def rest(self):
        """Wait for what a dead Snakemake left behind."""
        end = time.monotonic() + PATIENCE
        while self.members() and time.monotonic() < end:
            time.sleep(0.2)


def described(process):
    """Say which part of a run a process is."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return "gone"
    if "-SE" in words[1:2]:
        return ""
    if words[1:3] == ["-m", "igc"]:
        return f"igc {words[3]}"
    if words and Path(words[0]).name in ("bash", "sh"):
        return "shell of a job"
    return "helper of a job" if words else "gone"


class Soak:
    """Counts, and the log of every event."""

    def __init__(self, options, place):
        self.kills, self.options, self.place = Counter(), options, place
        self.counts = Counter(starts=0, unlocks=0, rounds=0, collisions=0, differences=0, leftovers=0)
        self.chance, self.began = random.Random(options.seed), time.monotonic()
        self.rows = []

    def note(self, event, what):
        self.rows.append({"second": round(time.monotonic() - self.began, 1), "event": event, "what": what})
        pd.DataFrame(self.rows).to_csv(self.options.log, sep="\t", index=False)

    def over(self):
        late = time.monotonic() - self.began > 60 * self.options.minutes
        return late or self.kills.total() >= self.options.kills

    def attempt(self, session):
        """Start Snakemake once, kill at random until it ends, and return whether the run is finished."""
        self.counts["starts"] += 1
        beside, killed = bool(session.members()), False
        process = session.start()
        while process.poll() is None:
            pause = time.monotonic() + self.chance.expovariate(1 / self.options.every)
            while process.poll() is None and (self.over() or time.monotonic() < pause):
                time.sleep(0.1)
            if process.poll() is None and (name := session.kill(self.chance)):
                self.kills[name] += 1
                self.note("kill", name)
                killed = True
        if process.returncode == 0:
            return True
        told = session.log.read_text()
        if "LockException" in told:
            self.counts["unlocks"] += 1
            session.start("--unlock").wait()
        elif not killed and not beside:
            shutil.copy(session.log, self.options.log.with_suffix(".failure"))
            raise SystemExit(f"failed although nothing was killed:\n{told}")
        elif not killed:
            self.counts["collisions"] += 1
            self.note("failed beside a job without Snakemake", told.strip().splitlines()[-1])
        return False

    def round(self, session, expected):
        """Run to the end through all kills, compare, and throw the results away."""
        while not self.attempt(session):
            pass
        session.rest()
        found = compared(session.folder)
        wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        hidden = [path for path in session.folder.rglob(".*") if ".snakemake" not in path.parts]
        left = [path for path in hidden if path.name not in {*MARKS, ".bidsignore"}]
        self.counts.update(rounds=1, differences=len(wrong), leftovers=len(left))
        self.note("finished", f"{len(found)} files, different: {wrong or 'none'}, left over: {left or 'none'}")
        if wrong:
            shutil.copytree(session.folder / "results", self.options.log.with_suffix(f".round{self.counts['rounds']}"))
        empty(session.folder)

    def told(self):
        """Return the outcome as a table."""
        lines = [
            f"kills: {self.kills.total()} in {(time.monotonic() - self.began) / 60:.0f} minutes",
            *(f"  {name}: {count}" for name, count in self.kills.most_common()),
            *(f"{name}: {count}" for name, count in self.counts.items()),
        ]
        return "\n".join(lines)


def silence_slurm(folder):
    """Write a program that says that there is no SLURM: Snakemake asks at every start, and waits if none answers."""
    folder.mkdir()
    file = folder / "scontrol"
    file.write_text("#!/bin/sh\nexit 1\n")
    file.chmod(0o755)
    return folder


@contextlib.contextmanager
def warmed(session):
    """Start the process that jobs are forked from, and put what calls it in the place of Python."""
    place = session.folder.parent
    session.jobs = place / "jobs"
    session.jobs.mkdir()
    address = place / "warm.socket"
    warm.write_stand_in(place / "bin", address)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    command = [sys.executable, str(Path(warm.__file__)), str(address), str(session.jobs)]
    with subprocess.Popen(command, cwd=session.folder, env=environment) as process:
        while not address.exists() and process.poll() is None:
            time.sleep(0.1)
        session.more = {"IGC_SOAK_BIN": str(place / "bin")}
        try:
            yield
        finally:
            process.kill()


def empty(folder):
    """Throw away what a run has made."""
    for name in ("results", "resources"):
        shutil.rmtree(folder / name, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how often to kill")
    parser.add_argument("--minutes", type=float, default=50.0, help="kill no more after so long")
    parser.add_argument("--every", type=float, default=5.0, help="mean seconds between two kills")
    parser.add_argument("--seed", type=int, default=0, help="of victims and moments")
    parser.add_argument("--brains", action="store_true", help="run every rule, in three studies")
    parser.add_argument("--warm", action="store_true", help="fork jobs from a process that has imported the package")
    parser.add_argument("--log", type=Path, default=Path("soak.tsv"), help="a line an event")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        digests = write_digits(place / "server")
        with serving(place / "server") as address:
            (place / "run").mkdir()
            make_checkout(place / "run", address, digests, options.brains)
            session = Session(place / "run")
            seconds, expected = session.unbroken(), compared(session.folder)
            print(f"an unbroken run took {seconds:.0f} s and made {len(expected)} files", flush=True)
            empty(session.folder)
            soak = Soak(options, place)
            with warmed(session) if options.warm else contextlib.nullcontext():
                if options.warm:
                    seconds = session.unbroken()
                    differ = sum(compared(session.folder).get(name) != value for name, value in expected.items())
                    print(f"with forked jobs it took {seconds:.0f} s, and {differ} files differ", flush=True)
                    empty(session.folder)
                try:
                    while not soak.over():
                        soak.round(session, expected)
                finally:
                    print(soak.told())


if __name__ == "__main__":
    main()
