# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # What kind of decline is it?
#
# A threshold says that a chunk is bad. It does not say whether performance fell at once
# or crumbles, comes and goes with the season, was never right, or has long recovered.
# `classify_degradation` compares these shapes by their Bayes factors, and says how sure
# it is.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from estimator import (
    Monitor,
    PerformanceEstimator,
    anytime_alarm,
    classify_degradation,
    follow_degradation,
)
from estimator.simulation import simulate_credit_default

# %% [markdown]
# ## One series of each kind
#
# Twelve weeks of reference and thirty of production; each week's value has a standard
# error of 0.01. The dotted line is the fitted shape, affected weeks are shaded.

# %%
weeks = pd.date_range("2026-01-05", periods=42, freq="W-MON")
i, n_reference, error = np.arange(42), 12, np.full(42, 0.01)
shapes = {
    "stable": 0.0 * i,
    "sudden": 1.0 * (i >= 26),
    "gradual": np.clip((i - 17) / 24, 0, 1),
    "cyclical": (0.5 - 0.5 * np.cos(2 * np.pi * (i - 12) / 8)) * (i >= 12),
    "training_serving_skew": 1.0 * (i >= 12),
    "recovered": 1.0 * ((i >= 20) & (i < 27)),
}
rng = np.random.default_rng(1)
verdicts = {
    kind: classify_degradation(
        0.8 - 0.05 * shape + rng.normal(0, 0.01, 42),
        error,
        n_reference=n_reference,
        times=weeks,
    )
    for kind, shape in shapes.items()
}
figure, axes = plt.subplots(3, 2, figsize=(14, 10), layout="constrained")
for panel, verdict in zip(axes.flat, verdicts.values(), strict=True):
    verdict.plot(ax=panel)

# %% [markdown]
# Each row is what the verdict gives to the six kinds for one of these series.

# %%
pd.DataFrame({kind: v.probabilities for kind, v in verdicts.items()}).T.round(3)

# %% [markdown]
# ## Since when, how much, how sure
#
# All of it has an interval. A period comes in the units of the times. A season that the
# reference shows, too, is no decline: `season` says it.

# %%
sudden, cyclical = verdicts["sudden"], verdicts["cyclical"]
print(f"{sudden.onset:%Y-%m-%d}", [f"{t:%Y-%m-%d}" for t in sudden.onset_interval])
print(round(sudden.magnitude, 3), np.round(sudden.magnitude_interval, 3))
print(cyclical.period.days, [t.days for t in cyclical.period_interval], "days")

# %% [markdown]
# ## What must not fool it
#
# Two outliers are no incident. A calibration that may be off by 0.03 in all of
# production (`shared_error`) is no proof of skew. What goes up is an improvement.

# %%
calm = 0.8 + np.random.default_rng(2).normal(0, 0.01, 42)
outliers = calm - 0.08 * np.isin(i, [20, 33])
skew = calm - 0.04 * (i >= 12)
for values, options in (
    (outliers, {}),
    (skew, {}),
    (skew, {"shared_error": 0.03}),
    (calm + 0.05 * (i >= 26), {}),
):
    print(classify_degradation(values, error, n_reference=n_reference, **options))

# %% [markdown]
# ## From a model in production
#
# A lender's applicants change for eight weeks. Without any label the estimate shows the
# incident, and the verdict names it.

# %%
world = simulate_credit_default("recovered", random_state=0)
estimator = PerformanceEstimator(
    metrics=("roc_auc", "accuracy"),
    chunk="W",
    timestamp="timestamp",
    y_pred="y_pred",
    labeled_at="labeled_at",
).fit(world.reference)
performance = estimator.estimate(world.production)
axes = performance.plot(verdict=True)

# %% [markdown]
# ## Why: when labels come
#
# A `Monitor` splits each change into covariate shift, seen without labels, and concept
# drift, seen only with them. Here nothing but the meaning of the scores changes: the
# estimate is calm, and labels bring the verdict and its cause.

# %%
world = simulate_credit_default("sudden", drift="concept_drift", random_state=0)
monitor = Monitor(estimator, row_id="id")
monitor.add_predictions(world.production)
print(monitor.degradation()["roc_auc"])

# %%
monitor.add_labels(world.labels)
verdict = monitor.degradation()
print(verdict["roc_auc"])
axes = monitor.performance().plot("roc_auc", verdict=verdict)

# %% [markdown]
# ## Night after night
#
# A verdict on every new chunk would change its mind now and then. So a decline is
# announced once two verdicts running say that there is one, and its end likewise; a
# `Monitor` does the same, and keeps the history.

# %%
recovered = verdicts["recovered"].values
for said in follow_degradation(
    recovered, error, n_reference=n_reference, times=weeks
).history:
    print(f"{said.chunk:%Y-%m-%d}: {said.kind}, {said.probability:.2f}")

# %% [markdown]
# Whoever looks every night and wants at most one false alarm in a hundred series,
# however long they are, takes the anytime-valid alarm: its evidence may be looked at
# after every chunk. It says that something declines, not what.

# %%
alarm = anytime_alarm(recovered, error, n_reference=n_reference, times=weeks)
figure, panel = plt.subplots(figsize=(10, 2.6), layout="constrained")
panel.semilogy(weeks[n_reference:], alarm.e_values, color="#0072B2", marker="o", ms=4)
panel.axhline(1 / alarm.alpha, color="#D55E00", ls="--")
panel.set_ylabel("e-value")
panel.spines[["top", "right"]].set_visible(False)
print(f"alarm with the week of {alarm.chunk:%Y-%m-%d}")
