"""What the first estimate after an installation waits for: the kernels it compiles."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
from numba.core import event

class Compiled(event.Listener):
    signatures = []
    def on_start(self, started):
        arguments = ", ".join(map(str, started.data["args"]))
        name = started.data["dispatcher"].py_func.__name__
        self.signatures.append(f"{name}({arguments})")
    def on_end(self, ended):
        pass

event.register("numba:compile", Compiled())

import numpy as np
import pandas as pd
from estimator import PerformanceEstimator

rng = np.random.default_rng(0)
score = rng.random(4_000)
frame = pd.DataFrame({"y_pred_proba": score, "y_true": rng.random(4_000) < score})
PerformanceEstimator(chunk=500).fit(frame).estimate(frame[["y_pred_proba"]])
print(*Compiled.signatures, sep="\\n")
"""


@pytest.mark.slow
def test_the_first_estimate_compiles_few_functions_and_no_text(tmp_path):
    """Numba formats the text of its errors in compiled code, which takes seconds.

    Whole-array assignments (``a[:] = b``, ``a *= 2``) and ``np.searchsorted`` in a
    kernel bring dozens of functions with them. They are counted, for seconds on a
    shared machine prove little.
    """
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("nothing is compiled")
    compiled = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert any(signature.startswith("soft_label_sums(") for signature in compiled)
    assert not [signature for signature in compiled if "unicode" in signature]
    assert len(compiled) <= 20, compiled
