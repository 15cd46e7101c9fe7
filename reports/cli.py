"""The command line: `usstats init | check | size | train | predict | run | report | ...`.

Exit codes: 0 fine, 2 the user's input, 3 a result that cannot be trusted, 1 our bug. Nothing heavy
is imported before a command needs it, so that `usstats --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from reports.exit_codes import NOT_TRUSTWORTHY, STOPPED, USER_INPUT, explained

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    help="Ultrasound deep-learning studies, from images and a covariate sheet to a manuscript.\n\n"
    "A study is a folder with study.yaml, patients.csv and images.csv. `usstats check` says what "
    "is wrong with it, `usstats run` does everything from the images to the report, and "
    "`usstats verify` proves afterwards that nothing was changed. Try `usstats demo` first.",
    epilog="Exit codes: 0 fine, 2 something to correct in your input, 3 a result that cannot be "
    "trusted, 1 a bug of ours.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON; everything else on stderr.")
]
Quick = Annotated[
    bool, typer.Option("--quick", help="Frozen image features instead of fine-tuning: minutes.")
]


@app.command(short_help="Turn a published data set into a study folder.")
def init(
    target: StudyFolder,
    source: Annotated[
        tuple[str, Path],
        typer.Option(
            "--from",
            metavar="RELEASE FOLDER",
            help="A public release and the folder it lies in, for example "
            "`breast-lesions-usg ../shared/data/breast`.",
        ),
    ],
    external: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the external images (default: the folder `busi` beside the release)."
        ),
    ] = None,
    *,
    no_external: Annotated[
        bool, typer.Option("--no-external", help="Leave the external images out.")
    ] = False,
) -> None:
    """Turn a published data set into a study folder."""
    from reports.importers import import_release

    release, folder = source
    report = import_release(
        release, folder, target, external=external, with_external=not no_external
    )
    out.print(report.summary(), markup=False)
    out.print(f"Next: usstats run {target}", markup=False)


@app.command(short_help="Say everything that is wrong with a study.")
def check(
    study: StudyFolder,
    *,
    methods: Annotated[
        bool,
        typer.Option(
            "--methods",
            help="Look for mistakes of method (rules R01 to R25) instead: leaks, selection, images "
            "counted as patients, tests, cut-offs, sizes. Exit code 3 if one makes a result "
            "untrustworthy.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say everything that is wrong with a study's tables and images, in one pass.

    Nothing is changed. Errors stop a run, warnings do not. With --methods: what a reviewer would
    find wrong with the study's methods, why, who says so, and how to put it right.
    """
    from dl.progress import console_progress, reporter
    from reports.check import check_study, describe_problems

    progress = console_progress()
    looking = reporter(progress, "reading images")
    try:
        if methods:
            _check_methods(study, looking, as_json=as_json)
            return
        problems = check_study(study, progress=looking)
    finally:
        progress.close()
    if as_json:
        _emit({"problems": [vars(problem) for problem in problems]})
    else:
        out.print(describe_problems(problems), markup=False)
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(USER_INPUT)


def _check_methods(study: Path, progress: Any, *, as_json: bool) -> None:
    """The findings; exit code 3 with an error among them, 2 for a study.yaml no run accepts."""
    from reports.methods_check import check_methods, describe_methods, methods_content
    from reports.study import load_study

    report = check_methods(study, progress=progress)
    if as_json:
        _emit(methods_content(report))
    else:
        out.print(describe_methods(report), markup=False)
    if not report.ok:
        raise typer.Exit(NOT_TRUSTWORTHY)
    load_study(study)


@app.command(short_help="Say how many patients a model needs.")
def size(
    *,
    parameters: Annotated[
        int,
        typer.Option(
            help="Candidate predictor parameters: a spline counts knots - 1, a factor levels - 1, "
            "the network's probability 1."
        ),
    ],
    prevalence: Annotated[float, typer.Option(help="Expected share of events, 0 to 1.")],
    auc: Annotated[float, typer.Option(help="Expected AUC of the model.")],
    have: Annotated[int | None, typer.Option(help="Patients the study has or can get.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say how many patients a risk model needs for development and external validation."""
    import usstats

    sizes = {
        "development": usstats.sample_size_development(parameters, prevalence, auc=auc),
        "external_validation": usstats.sample_size_validation(prevalence, auc),
    }
    if as_json:
        _emit({name: _size_content(needed, have) for name, needed in sizes.items()})
        return
    for needed in sizes.values():
        out.print(needed.summary(), markup=False)
        if have is not None:
            out.print(f"  {needed.assess(have)}", markup=False)


@app.command(short_help="Train the networks: out-of-fold probabilities.")
def train(study: StudyFolder, *, quick: Quick = False, as_json: AsJson = False) -> None:
    """Train the study's networks and write each patient's out-of-fold probability.

    Every patient is predicted by the network that had not seen any of his images. A run that was
    stopped goes on where it was.
    """
    from reports.run import train_study

    path = train_study(study, quick=quick, console=err if as_json else out)
    _done("Predictions", path, as_json=as_json)


@app.command(short_help="Predict new patients with the trained networks.")
def predict(
    study: StudyFolder,
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGES",
            help="Image files, folders of images, or one images table (CSV). Without any: the "
            "external cohorts of the study itself.",
        ),
    ] = None,
    *,
    network: Annotated[
        str | None, typer.Option(help="Name of the network (default: the one of the fusion).")
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option(help='Box of the lesion in every image: "left top right bottom" in pixels.'),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--out", help="Write the predictions table (CSV) here.")
    ] = None,
    quick: Quick = False,
    as_json: AsJson = False,
) -> None:
    """Predict new patients with the trained networks: the mean logit over all folds.

    Research use only; not for the care of a patient.
    """
    if not images:
        from reports.run import train_study

        path = train_study(study, quick=quick, external=True, console=err if as_json else out)
        _done("Predictions", path, as_json=as_json)
        return
    from reports.files import write_csv
    from reports.new_images import predict_images

    table = predict_images(study, images, network=network, roi=roi)
    if output is not None:
        write_csv(output, table)
    if as_json:
        _emit({"predictions": _records(table)})
        return
    shown = table[["image_id", "class", "probability", "probability_calibrated"]]
    out.print(shown.to_string(index=False, float_format="{:.3f}".format), markup=False)


@app.command(short_help="From images to manuscript; goes on after a stop.")
def run(study: StudyFolder, *, quick: Quick = False, as_json: AsJson = False) -> None:
    """Carry a study from its images to the manuscript; go on where an earlier run stopped."""
    from reports.run import run_study

    path = run_study(study, quick=quick, console=err if as_json else out)
    _done("Report", path, as_json=as_json)


@app.command(short_help="Write the report again from the saved results.")
def report(study: StudyFolder, *, as_json: AsJson = False) -> None:
    """Write figures, tables and report again from the saved results; nothing is computed."""
    from reports.run import rewrite_report

    path = rewrite_report(study, console=err if as_json else out)
    _done("Report", path, as_json=as_json)


@app.command(short_help="Write the nomogram calculator (HTML).")
def calculator(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY|MODEL.JSON", help="A study that has been run, or a model file."
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Where to write it (default: calculator.html beside the model)."
        ),
    ] = None,
    times: Annotated[
        list[float] | None,
        typer.Option(
            "--time",
            metavar="TIME",
            help="Time at which a survival model gives its risk; repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the nomogram calculator: one HTML file that opens from a disk or an e-mail."""
    from reports.model_file import model_path, read_model, write_model_calculator

    source = model_path(model)
    target = output or source.with_name("calculator.html")
    path = write_model_calculator(read_model(source), target, times=times)
    _done("Calculator", path, as_json=as_json)


@app.command("app", short_help="Serve the phone app of a trained network.")
def phone_app(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A study that has been run, or a finished run of networks."
        ),
    ],
    *,
    host: Annotated[
        str, typer.Option(help="Where to listen. The default is this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any that is free.")] = 8000,
    coverage: Annotated[
        float,
        typer.Option(
            help="Share of the development patients the networks answer for; nearest to the "
            'cut-off they say "unsure".'
        ),
    ] = 0.8,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the page in a browser.")
    ] = False,
) -> None:
    """Serve the phone app: photograph an image, crop it, read its probability and the nomogram.

    Images are read in memory and forgotten. Stop it with Ctrl-C. Research use only; not for the
    care of a patient.
    """
    from reports.app import serve

    serve(
        folder,
        host=host,
        port=port,
        coverage=coverage,
        open_browser=open_browser,
        say=lambda line: out.print(line, markup=False),
    )


@app.command(short_help="Prove that nothing of a run was changed.")
def verify(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A study that has been run, its run folder, or a report alone."
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Prove that nothing of a run was changed, and that its results give its tables.

    Every file is held against its hash, every cell of every table is made again from the saved
    results, every pointer of the checklists is followed. Exit code 3 when something differs.
    """
    from reports.verify import verify_run

    found = verify_run(folder)
    if as_json:
        _emit(found.to_dict())
    else:
        out.print(found.summary(), markup=False)
    if not found.holds:
        raise typer.Exit(NOT_TRUSTWORTHY)


@app.command(short_help="Make a synthetic study and run it.")
def demo(
    study: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to make it.")] = Path(
        "demo"
    ),
) -> None:
    """Make the synthetic NOA study and run it end to end."""
    from reports.run import run_study
    from reports.synthetic import ensure_noa_study

    ensure_noa_study(study)
    path = run_study(study, quick=False, console=out)
    out.print("Every patient and image of this study is SYNTHETIC.", markup=False)
    _done("Report", path, as_json=False)


def main() -> None:
    """Run the command line, turning what went wrong into a message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(standalone_mode=True)
    except SystemExit as stop:
        if stop.code == STOPPED:
            _stop("Stopped. The same command goes on where this one left off.", STOPPED)
        raise
    except Exception as error:
        _stop(*explained(error))


def _stop(message: str, code: int) -> None:
    err.print(message, markup=False)
    sys.exit(code)


def _done(what: str, path: Path, *, as_json: bool) -> None:
    """Say where the result lies."""
    if as_json:
        _emit({what.lower(): str(path)})
    else:
        out.print(f"{what}: {path}", markup=False)


def _emit(content: Any) -> None:
    """JSON on standard output, and nothing else."""
    from reports.files import json_text

    sys.stdout.write(json_text(content) + "\n")


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values, what is missing as null."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _size_content(needed: Any, have: int | None) -> dict[str, Any]:
    content = {
        "n": needed.n,
        "n_event": needed.n_event,
        "method": needed.method,
        "criteria": _records(needed.criteria),
    }
    if have is not None:
        content |= {"have": have, "shortfall": needed.shortfall(have)}
    return content


if __name__ == "__main__":
    main()
