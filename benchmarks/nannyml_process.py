"""NannyML in an environment of its own, driven over a pipe.

Its pandas is not ours, so it runs in a child process that stays alive: import and start
are paid once, outside of what is timed, and repetitions can be interleaved with ours.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CHILD = Path(__file__).with_name("nannyml_child.py")


class NannyML:
    """A child process that fits and runs CBPE on frames handed over as Parquet."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Self:
        # Telemetry is off where the variable exists, whatever its value (0.13.1,
        # `UsageLogger.log`); the folder has no .env file that could say otherwise.
        self._process = subprocess.Popen(  # noqa: S603 - the caller's own interpreter
            # As text, so that none of the files beside it can be imported by chance.
            [self._python, "-c", CHILD.read_text()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=self._folder.name,
            env=os.environ | {"NML_DISABLE_USAGE_LOGGING": "1"},
        )
        self.versions = self._ask()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    def load(self, reference: pd.DataFrame, analysis: pd.DataFrame) -> None:
        """Hand over both frames; columns y_pred_proba, y_pred, y_true."""
        for name, frame in (("reference", reference), ("analysis", analysis)):
            path = Path(self._folder.name) / f"{name}.parquet"
            frame.to_parquet(path, index=False)
        self._ask(do="load")

    def run(self, metrics: Sequence[str], chunk_size: int) -> dict[str, float]:
        """Return seconds of ``fit`` and ``estimate``."""
        return self._ask(do="run", metrics=list(metrics), chunk_size=chunk_size)

    def estimates(self, metric: str) -> pd.DataFrame:
        """Return value and sampling error of each analysis chunk of the last run."""
        return pd.DataFrame(self._ask(do="estimates", metric=metric))

    def values(
        self,
        reference: pd.DataFrame,
        production: pd.DataFrame,
        metrics: Sequence[str],
        chunk_size: int,
    ) -> NDArray[np.float64]:
        """Return the estimates of production's chunks; (n_chunks, n_metrics)."""
        columns = ["y_pred_proba", "y_pred", "y_true"]
        self.load(reference[columns], production[columns[:2]])
        self.run(metrics, chunk_size)
        by_metric = [self.estimates(metric)["value"] for metric in metrics]
        return np.stack(by_metric, axis=1).astype(np.float64)

    def _ask(self, **request: object) -> Any:
        if request:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            msg = (
                f"{self._python} ended without an answer. It must be an interpreter "
                "that can import nannyml (0.13.1 needs pandas < 3 and statsmodels)."
            )
            raise RuntimeError(msg)
        return json.loads(line)
