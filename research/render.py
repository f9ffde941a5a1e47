"""Execute the notebooks and render them as pages that need no network: `make research`.

python -m research.render
python -m research.render experiment --csv BankChurners.csv --splits 20 --trials 50
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter
from nbconvert.filters import strip_ansi
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from traitlets.config import Config

from include.errors import ChurnError
from include.settings import PROJECT
from research.customers import open_study

ROOM = Path(__file__).parent
NOTEBOOKS = ("experiment", "drift_study")
PROGRESS_BARS = "ignore:IProgress not found"  # by tqdm, which Optuna imports; nobody would see one
KERNEL = "python3"  # which Jupyter takes for the Python that runs this


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute and render; 1 when a cell fails, with its error, or the file cannot be used."""
    options = _parser().parse_args(arguments)
    csv = str(options.csv.resolve()) if options.csv else ""
    try:
        if csv:
            open_study(csv, sample_rows=0)
    except ChurnError as error:
        _tell(f"error: {error}")
        return 1
    given = {"csv": csv, **{n: v for n in BUDGETS if (v := getattr(options, n)) is not None}}
    chosen = options.notebooks or NOTEBOOKS
    options.out.mkdir(parents=True, exist_ok=True)
    for name in chosen:  # so that nobody takes an earlier page for this one
        page_of(options.out, name).unlink(missing_ok=True)
    return asyncio.run(_render_all(chosen, given, options.out))


BUDGETS = {
    "sample_rows": "made-up customers, where no file is given",
    "splits": "experiment: over how many splits a model is judged",
    "trials": "experiment: how many sets of hyperparameters the search tries",
    "days": "drift study: how many days each alarm rate is counted over",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m research.render", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("notebooks", nargs="*", type=_notebook, metavar="notebook")
    parser.add_argument("--csv", type=Path, help="real customers; without it made-up ones")
    parser.add_argument("--out", type=Path, default=PROJECT / "dist" / "research")
    for name, meaning in BUDGETS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=_at_least_two, help=meaning)
    return parser


def _notebook(name: str) -> str:
    if name not in NOTEBOOKS:
        raise argparse.ArgumentTypeError(f"expected {' or '.join(NOTEBOOKS)}, found {name}")
    return name


def _at_least_two(text: str) -> int:
    if (number := int(text)) < 2:
        raise argparse.ArgumentTypeError(f"at least 2 is needed, found {number}")
    return number


def read_notebook(name: str, given: dict[str, object]) -> NotebookNode:
    """A notebook from its text, with a cell behind its parameters that sets those given."""
    notebook = jupytext.read(ROOM / f"{name}.py")
    place = next(i for i, c in enumerate(notebook.cells) if "parameters" in _tags(c))
    known = {line.partition(" = ")[0] for line in notebook.cells[place].source.splitlines()}
    lines = [f"{each} = {value!r}" for each, value in given.items() if each in known]
    notebook.cells.insert(place + 1, new_code_cell("\n".join(lines)))
    return notebook


def page_of(folder: Path, name: str) -> Path:
    """Where a notebook's page lies."""
    return folder / f"{name}.html"


async def _render_all(names: Sequence[str], given: dict[str, object], folder: Path) -> int:
    # All at once: each has a kernel, that is a process, of its own.
    done = await asyncio.gather(*(_render(name, given, folder) for name in names))
    return 0 if all(done) else 1


async def _render(name: str, given: dict[str, object], folder: Path) -> bool:
    notebook, began = read_notebook(name, given), time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        # Nobody's own start-up files, history or style changes what comes out.
        private = {"IPYTHONDIR": home, "MPLCONFIGDIR": home, "PYTHONWARNINGS": PROGRESS_BARS}
        client = NotebookClient(
            notebook,
            kernel_name=KERNEL,
            timeout=None,
            config=_private(home),
            resources={"metadata": {"path": str(PROJECT)}},
            on_cell_execute=lambda cell, cell_index: _tell_section(name, notebook, cell_index),
        )
        try:
            await client.async_execute(env=os.environ | private)
        except (CellExecutionError, DeadKernelError) as error:
            _tell(f"{name}: a cell failed\n{strip_ansi(str(error))}")
            return False
    page_of(folder, name).write_text(_page(name, notebook), "utf-8")
    _tell(*_summary(notebook))
    _tell(f"{name}: {page_of(folder, name)}  ({time.monotonic() - began:.0f} s)")
    return True


def _private(home: str) -> Config:
    """A kernel that talks through sockets in its own folder, where no other user can listen."""
    kernel = {"transport": "ipc", "connection_file": f"{home}/kernel.json"}
    return Config({"AsyncKernelManager": kernel})


def _page(name: str, notebook: NotebookNode) -> str:
    title = next(c.source for c in notebook.cells if c.cell_type == "markdown").splitlines()[0]
    exporter = HTMLExporter(
        template_name="page",
        extra_template_basedirs=[str(ROOM)],
        embed_images=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    page, _ = exporter.from_notebook_node(
        notebook, resources={"metadata": {"name": title.lstrip("# ")}}
    )
    return str(page)


def _summary(notebook: NotebookNode) -> list[str]:
    """What the cells tagged `summary` showed, as text."""
    outputs = [each for cell in notebook.cells if "summary" in _tags(cell) for each in cell.outputs]
    return [each.data["text/plain"] for each in outputs if "data" in each]


def _tell_section(name: str, notebook: NotebookNode, place: int) -> None:
    """Say which section begins, where the cell is the first below its heading."""
    before = notebook.cells[place - 1]
    if before.cell_type == "markdown" and before.source.startswith("## "):
        _tell(f"{name}: {before.source.splitlines()[0].lstrip('# ')}")


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _tell(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
