"""The command line: one verb a step of the workflow, each a call of one function in ``igc.steps``.

Imports of the steps stay inside the verbs, so that ``igc --help`` and the light verbs do not wait for torch.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from igc.cli_bids import bids
from igc.cli_cluster import shards
from igc.cli_nsd import make_nsd
from igc.cli_options import (
    ConfigOption,
    DeviceOption,
    OutputFolder,
    OutputStore,
    ProgressOption,
    SamplesOption,
    SeedOption,
    SettingsOption,
    StudyOption,
    WorkersOption,
    chosen_entry,
    chosen_study,
    folder,
    folders,
    shown,
)
from igc.cli_results import fields, group
from igc.cli_status import give_signs, status
from igc.errors import ConfigError, IgcError, explain

__all__ = ["app", "main"]

INTERRUPTED = 130


def _told(error: OSError) -> str:
    """Describe what the system refused, for example because a disk is full, in the form of our own errors."""
    where = error.filename or "the system"
    remedy = "free some space, correct the path or its permissions, and run again; --debug shows where it happened"
    return explain(where, error.strerror or error, "a file or folder that can be used", remedy)


class _Guarded(TyperGroup):
    """A group of verbs that turns errors of the user and of the system into one line and exit status 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (IgcError, OSError) as error:
            # a closed pipe is no error of ours: the reader has seen enough
            if ctx.params.get("debug") or (not isinstance(error, IgcError) and error.errno == errno.EPIPE):
                raise
            typer.echo(f"error: {error if isinstance(error, IgcError) else _told(error)}", err=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted; run the same command again to go on", err=True)
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    cls=_Guarded,
    name="igc",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from igc import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Find the parts of the input that carry what lets a model predict its target, over a whole dataset."""
    from igc.steps.memory import use_one_heap

    use_one_heap()
    give_signs()


@app.command()
def methods() -> None:
    """List the attribution methods, with what each needs and promises.

    Example: igc methods
    """
    from igc.steps.methods import methods as step

    table = step()
    width = max(map(len, table.index))
    for name, method in table.iterrows():
        promises = {"score": "sums to the score", "one": "sums to 1"}.get(method["closes_to"], "no fixed sum")
        typer.echo(f"{name:<{width}}  {method['title']} (needs: {method['needs']}; {promises})")


@app.command()
def fetch(settings: SettingsOption = None, config: ConfigOption = None, study: StudyOption = None) -> None:
    """Download the raw data of a study, if its source says so.

    Example: igc fetch --config config/mnist.yaml --study mnist_full
    """
    from igc.config import DataSource, parse_block

    chosen, _ = chosen_study(settings, config, study)
    data = chosen.data if chosen else parse_block(DataSource, settings or "")
    from igc.steps.fetch import fetch as step

    step(data)


@app.command()
def preprocess(
    output: OutputStore,
    settings: SettingsOption = None,
    split: Annotated[str, typer.Option(help="The split block, beside --settings.")] = "{}",
    config: ConfigOption = None,
    study: StudyOption = None,
    title: Annotated[str, typer.Option(help="One line for the report, beside --settings.")] = "",
    seed: SeedOption = None,
) -> None:
    """Make the samples store of a study from its raw data.

    Example: igc preprocess --config config/config.yaml --study haxby --output results/haxby/samples.zarr
    """
    from igc.config import DataSource, Split, parse_block

    chosen, configured = chosen_study(settings, config, study)
    data = chosen.data if chosen else parse_block(DataSource, settings or "")
    held_out = chosen.split if chosen else parse_block(Split, split)
    from igc.steps.preprocess import preprocess as step

    step(
        data,
        held_out,
        seed=configured if seed is None else seed,
        output=folder(output),
        study=study or "study",
        title=chosen.title if chosen else title,
    )


@app.command()
def rois(
    samples: SamplesOption,
    output: OutputStore,
    settings: SettingsOption = None,
    config: ConfigOption = None,
    study: StudyOption = None,
    seed: SeedOption = None,
) -> None:
    """Define the ROI sets of a study.

    Example: igc rois --settings '{"rings": {"kind": "rings"}}' --samples samples.zarr --output rois.zarr
    """
    from igc.config import RoiSource, parse_block

    chosen, configured = chosen_study(settings, config, study)
    sets = chosen.rois if chosen else parse_block(dict[str, RoiSource], settings or "")
    from igc.steps.rois import define_rois

    define_rois(folder(samples), sets, folder(output), configured if seed is None else seed)


@app.command()
def train(
    samples: SamplesOption,
    output: OutputFolder,
    settings: SettingsOption = None,
    config: ConfigOption = None,
    study: StudyOption = None,
    model: Annotated[str | None, typer.Option(help="Name of the model, with --config.")] = None,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    scratch: Annotated[Path | None, typer.Option(help="Keep checkpoints here, to go on after an interruption.")] = None,
    rois: Annotated[Path | None, typer.Option(help="The ROI store, for banded ridge.")] = None,
    progress: ProgressOption = None,
) -> None:
    """Fit one model on every fold and score it on the held-out samples.

    Example: igc train --config config/config.yaml --study mnist --model cnn --samples samples.zarr --output cnn
    """
    from igc.config import ModelSettings, parse_block

    chosen, configured = chosen_study(settings, config, study)
    if chosen:
        block = chosen_entry(chosen.models, model, "--model", config or Path())
    else:
        block = parse_block(ModelSettings, settings or "")
    from igc.steps.train import train as step

    step(
        folder(samples),
        block,
        seed=configured if seed is None else seed,
        output=folder(output),
        device=device,
        scratch=scratch,
        progress=shown(progress),
        rois=None if rois is None else folder(rois),
    )


@app.command("fit-sampler")
def fit_sampler(
    samples: SamplesOption,
    output: OutputFolder,
    settings: SettingsOption = None,
    config: ConfigOption = None,
    study: StudyOption = None,
    sampler: Annotated[str | None, typer.Option(help="Name of the sampler, with --config.")] = None,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    scratch: Annotated[Path | None, typer.Option(help="Keep checkpoints here, to go on after an interruption.")] = None,
    progress: ProgressOption = None,
) -> None:
    """Fit what draws a part of an input given the rest, for every fold, and measure it on held-out samples.

    Example: igc fit-sampler --settings '{kind: gaussian}' --samples samples.zarr --output samplers/gaussian
    """
    from igc.config import SamplerSettings, parse_block

    chosen, configured = chosen_study(settings, config, study)
    if chosen:
        block = chosen_entry(chosen.samplers, sampler, "--sampler", config or Path())
    else:
        block = parse_block(SamplerSettings, settings or "")
    from igc.steps.samplers import fit_sampler as step

    step(
        folder(samples),
        block,
        folder(output),
        seed=configured if seed is None else seed,
        device=device,
        scratch=scratch,
        progress=shown(progress),
    )


@app.command()
def attribute(
    samples: SamplesOption,
    model: Annotated[Path, typer.Option(help="The model folder (or the model.json in it).")],
    output: OutputStore,
    settings: SettingsOption = None,
    config: ConfigOption = None,
    study: StudyOption = None,
    method: Annotated[str | None, typer.Option(help="Name of the method.")] = None,
    rois: Annotated[Path | None, typer.Option(help="The ROI store, for sums inside the stream.")] = None,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Keep partial states here, to go on after an interruption.")
    ] = None,
    share: Annotated[
        str | None, typer.Option(help="Compute only a share, such as 2/4, into --checkpoint; see igc merge.")
    ] = None,
    workers: WorkersOption = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a running Dask scheduler, such as tcp://127.0.0.1:8786.")
    ] = None,
    progress: ProgressOption = None,
) -> None:
    """Compute the dataset-wise map of one method for one model.

    Example: igc attribute --settings '{"points": 16}' --method igc --samples samples.zarr --model cnn --output igc.zarr
    """
    from igc.config import MethodSettings, parse_block

    chosen, configured = chosen_study(settings, config, study)
    if chosen:
        block = chosen_entry(chosen.methods, method, "--method", config or Path())
        if block.examples is None:
            block = block.model_copy(update={"examples": chosen.yardsticks.samples})
    else:
        block = parse_block(MethodSettings, settings or "")
    if block.method is None:
        block = block.model_copy(update={"method": method})
    if block.method == "given":
        from igc.steps.given import attribute_given

        places = (folder(samples), folder(model), block, folder(rois) if rois else None, folder(output))
        attribute_given(*places, configured if seed is None else seed, device, shown(progress))
        return
    from igc.steps.attribute import attribute_files

    attribute_files(
        samples=folder(samples),
        model=folder(model),
        settings=block,
        rois=folder(rois) if rois else None,
        output=folder(output),
        seed=configured if seed is None else seed,
        device=device,
        checkpoint=checkpoint,
        workers=workers,
        scheduler=scheduler,
        progress=shown(progress),
        share=_share(share),
    )


def _share(text: str | None) -> tuple[int, int] | None:
    """Return a share such as 2/4 as numbers."""
    if text is None:
        return None
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        raise ConfigError(explain("--share", repr(text), "two numbers such as 2/4", "correct the share"))
    return int(number), int(count)


@app.command()
def merge(
    shares: Annotated[list[Path], typer.Argument(help="The --checkpoint folders of all shares of one attribution.")],
    output: OutputStore,
    workers: WorkersOption = None,
    progress: ProgressOption = None,
) -> None:
    """Merge the shares of one attribution that were computed apart.

    Example: igc merge shares/1 shares/2 --output igc.zarr
    """
    from igc.steps.merge import merge as step

    step(shares, folder(output), workers=workers, progress=shown(progress))


@app.command()
def aggregate(
    attributions: Annotated[list[Path], typer.Argument(help="Attribution stores.")],
    output: OutputFolder,
    rois: Annotated[Path | None, typer.Option(help="The ROI store, for sizes and the sums of either sign.")] = None,
    samples: Annotated[Path | None, typer.Option(help="The samples store, for noise ceilings.")] = None,
) -> None:
    """Write the ROI table of each attribution, as <output>/<model>/<method>.tsv.

    Example: igc aggregate results/mnist/attributions/cnn-seed0/igc.zarr --output results/mnist/rois
    """
    from igc.steps.aggregate import aggregate as step

    stores = folders(attributions)
    tables = [output / store.parent.name / f"{store.stem}.tsv" for store in stores]
    step(stores, tables, folder(rois) if rois else None, folder(samples) if samples else None)


@app.command()
def yardsticks(
    attributions: Annotated[list[Path], typer.Argument(help="Attribution stores of one study.")],
    samples: SamplesOption,
    model: Annotated[list[Path], typer.Option(help="A model folder; give it once a model.")],
    output: OutputFolder,
    settings: SettingsOption = None,
    config: ConfigOption = None,
    study: StudyOption = None,
    rois: Annotated[Path | None, typer.Option(help="The ROI store, for options of methods that name a set.")] = None,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    progress: ProgressOption = None,
) -> None:
    """Judge all maps of models by what the models do when parts of their input are taken away.

    Example: igc yardsticks gradient_x_input.zarr igc.zarr --settings '{}' --samples samples.zarr --model cnn --output y
    """
    from igc.config import Yardsticks, parse_block

    chosen, configured = chosen_study(settings, config, study)
    block = chosen.yardsticks if chosen else parse_block(Yardsticks, settings or "")
    from igc.steps.yardsticks import judge_models

    judge_models(
        folder(samples),
        folders(model),
        folders(attributions),
        block,
        output,
        rois=folder(rois) if rois else None,
        seed=configured if seed is None else seed,
        device=device,
        progress=shown(progress),
    )


@app.command()
def compare(
    attributions: Annotated[list[Path], typer.Argument(help="Attribution stores of one study.")],
    samples: SamplesOption,
    output: OutputFolder,
    scores: Annotated[list[Path] | None, typer.Option(help="A model's scores.tsv; give it once a model.")] = None,
    yardsticks: Annotated[Path | None, typer.Option(help="The folder of tables that `igc yardsticks` wrote.")] = None,
    benchmarks: Annotated[Path | None, typer.Option(help="Snakemake's benchmarks of the study, for memory.")] = None,
) -> None:
    """Compare all maps of a study: agreement, closure, run time, recovery of a known truth, and all in one table.

    Example: igc compare igc.zarr naive_correlation.zarr --samples samples.zarr --output comparison
    """
    from igc.steps.compare import compare as step

    step(folder(samples), folders(attributions), scores or [], output, yardsticks, benchmarks)


@app.command()
def report(
    attributions: Annotated[list[Path], typer.Argument(help="Attribution stores of one study.")],
    samples: SamplesOption,
    output: Annotated[Path, typer.Option(help="The folder of the study; figures go to figures/ in it.")],
    rois: Annotated[Path | None, typer.Option(help="The ROI store.")] = None,
    model: Annotated[list[Path] | None, typer.Option(help="A model folder; give it once a model.")] = None,
    comparison: Annotated[Path | None, typer.Option(help="The folder of tables that `igc compare` wrote.")] = None,
) -> None:
    """Draw the figures of a study, and write maps as NIfTI where the samples are volumes.

    Example: igc report igc.zarr --samples samples.zarr --model cnn --output results/mnist
    """
    from igc.steps.report import report as step

    roi_store = folder(rois) if rois else None
    step(folder(samples), roi_store, folders(attributions), folders(model), comparison, output)


@app.command()
def explore(
    attributions: Annotated[list[Path], typer.Argument(help="Attribution stores in the folders of their studies.")],
    output: Annotated[Path, typer.Option(help="The page to write.")],
) -> None:
    """Write one page on which study, model, target and methods are chosen; it needs no network.

    Example: igc explore results/*/attributions/*/*.zarr --output results/explorer.html
    """
    from igc.steps.explore import explore as step

    step(folders(attributions), output)


@app.command()
def summarize(
    comparisons: Annotated[list[Path], typer.Argument(help="Folders of tables that `igc compare` wrote.")],
    output: OutputFolder,
) -> None:
    """Put every metric of every method of some studies into one table, and draw which methods come out ahead.

    Example: igc summarize results/*/comparison --output results
    """
    from igc.steps.summarize import summarize as step

    step(comparisons, output)


@app.command("config-schema")
def config_schema(
    output: Annotated[Path | None, typer.Option(help="Write it to this file; default: print it.")] = None,
) -> None:
    """Print the JSON schema of the configuration, generated from ``igc.config``.

    Example: igc config-schema --output workflow/schemas/config.schema.json
    """
    from igc.config import json_schema

    if output is None:
        typer.echo(json_schema(), nl=False)
        return
    from igc.store.atomic import write_text

    write_text(output, json_schema())


app.command("make-nsd")(make_nsd)
app.command()(fields)
app.command()(group)
app.command()(shards)
app.command()(status)
app.command()(bids)


def main() -> None:
    """Run the command line."""
    # accepted in any place: who sees an error appends the option to the same command
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    app(["--debug", *arguments] if len(arguments) < len(sys.argv) - 1 else arguments)
