"""The command line: `usstats init | check | size | run | demo`.

Exit codes: 0 fine, 2 the user's input, 3 a result that cannot be trusted, 1 our bug.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from usstats.errors import FitError, ResampleError, UsstatsError

USER_INPUT, NOT_TRUSTWORTHY, OUR_BUG = 2, 3, 1

app = typer.Typer(
    help="Ultrasound deep-learning studies, from images and a covariate sheet to a manuscript.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]


@app.command()
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


@app.command()
def check(study: StudyFolder) -> None:
    """Report every problem of a study's tables and images in one pass."""
    from reports.check import check_study, describe_problems

    problems = check_study(study)
    out.print(describe_problems(problems), markup=False)
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(USER_INPUT)


@app.command()
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
) -> None:
    """Say how many patients a risk model needs for development and external validation."""
    import usstats

    for needed in (
        usstats.sample_size_development(parameters, prevalence, auc=auc),
        usstats.sample_size_validation(prevalence, auc),
    ):
        out.print(needed.summary(), markup=False)
        if have is not None:
            out.print(f"  {needed.assess(have)}", markup=False)


@app.command()
def run(
    study: StudyFolder,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Frozen image features instead of fine-tuning.")
    ] = False,
) -> None:
    """Carry a study from its images to the manuscript; go on where an earlier run stopped."""
    from reports.run import run_study

    report = run_study(study, quick=quick, console=out)
    out.print(f"Report: {report}", markup=False)


@app.command()
def demo(
    study: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to make it.")] = Path(
        "demo"
    ),
) -> None:
    """Make the synthetic NOA study and run it end to end."""
    from reports.run import run_study
    from reports.synthetic import ensure_noa_study

    ensure_noa_study(study)
    report = run_study(study, quick=False, console=out)
    out.print("Every patient and image of this study is SYNTHETIC.", markup=False)
    out.print(f"Report: {report}", markup=False)


def main() -> None:
    """Run the command line, turning what went wrong into a message and an exit code."""
    try:
        app(standalone_mode=True)
    except (FitError, ResampleError) as error:
        _stop(f"Not trustworthy: {error}", NOT_TRUSTWORTHY)
    except UsstatsError as error:
        _stop(f"Error: {error}", USER_INPUT)
    except ModuleNotFoundError as error:
        _stop(
            f"Error: this command needs the package {error.name!r}. "
            "Install the image part with: pip install 'usstats[dl]'",
            USER_INPUT,
        )
    except OSError as error:
        _stop(f"Error: {error.strerror or error}: {error.filename or ''}", OUR_BUG)
    except KeyboardInterrupt:
        _stop("Stopped. The same command goes on where this one left off.", 130)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        _stop(
            f"Internal error ({type(error).__name__} in {Path(where.filename).name}:"
            f"{where.lineno}). This is a bug in usstats; please report the command that led here.",
            OUR_BUG,
        )


def _stop(message: str, code: int) -> None:
    err.print(message, markup=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
