"""Runs in NannyML's own environment: answers one JSON request per line of stdin."""

import json
import os
import sys
import time
import warnings
from importlib.metadata import version

# Answers have the real stdout to themselves; what libraries print goes to stderr.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
warnings.simplefilter("ignore")

import pandas as pd  # noqa: E402
from nannyml import CBPE  # noqa: E402


def answer(what: object) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


answer({name: version(name) for name in ("nannyml", "pandas", "numpy")})
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "load":
        reference = pd.read_parquet("reference.parquet")
        analysis = pd.read_parquet("analysis.parquet")
        answer("loaded")
    elif request["do"] == "run":
        estimator = CBPE(
            problem_type="classification_binary",
            y_true="y_true",
            y_pred="y_pred",
            y_pred_proba="y_pred_proba",
            metrics=request["metrics"],
            chunk_size=request["chunk_size"],
        )
        start = time.perf_counter()
        estimator.fit(reference)
        fitted = time.perf_counter()
        result = estimator.estimate(analysis)
        done = time.perf_counter()
        answer({"fit": fitted - start, "estimate": done - fitted})
    else:
        frame = result.filter(period="analysis").to_df(multilevel=False)
        name = request["metric"]
        answer(
            {
                "value": frame[f"{name}_value"].tolist(),
                "error": frame[f"{name}_sampling_error"].tolist(),
            }
        )
