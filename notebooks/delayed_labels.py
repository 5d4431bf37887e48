# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # Delayed labels
#
# Labels arrive late, in pieces, and not at random. A `Monitor` keeps one number per
# chunk that begins as an estimate without labels, moves as they come, and ends as the
# truth, with an interval that shrinks to nothing on the way.

# %%
import pandas as pd

from estimator import Monitor, PerformanceEstimator
from estimator.simulation import simulate_credit_default

# %% [markdown]
# ## A lender whose applicants change
#
# After two fifths of the year default depends less on what is known of the applicants
# (concept drift). The scores do not move: only labels can tell. A default is known one
# to four months after the application, a repaid loan at its term of half a year.

# %%
world = simulate_credit_default("sudden", drift="concept_drift", random_state=0)
world

# %%
lag = world.labels.merge(world.production[["id", "timestamp"]], on="id")
days = (lag["labeled_at"] - lag["timestamp"]).dt.days
days.groupby(lag["y_true"]).describe()[["min", "50%", "max"]].round(0)

# %% [markdown]
# ## Night by night
#
# The reference says when its labels came (`labeled_at`): so the monitor knows from the
# first night how long the two classes take. One call per batch of predictions, one per
# batch of labels.

# %%
estimator = PerformanceEstimator(
    metrics=("roc_auc", "accuracy"),
    chunk="W",
    timestamp="timestamp",
    y_pred="y_pred",
    labeled_at="labeled_at",
).fit(world.reference)
monitor = Monitor(estimator, row_id="id")

night = pd.Timestamp("2025-01-12 23:59:59")
while night < world.labels["labeled_at"].max():
    week = pd.Timedelta(weeks=1)
    new = world.production["timestamp"].between(night - week, night, inclusive="right")
    came = world.labels["labeled_at"].between(night - week, night, inclusive="right")
    if new.any():
        monitor.add_predictions(world.production[new])
    monitor.add_labels(world.labels[came], now=night)
    night += week
monitor

# %% [markdown]
# `performance(as_of=...)` answers with what was known then. In the twentieth week the
# drift has begun, and nobody can know it: the labels that have come are of loans from
# before. What has come of the newest weeks are defaults alone; the metric over these
# rows would be far off (little arrows, where it lies out of sight).

# %%
start = pd.Timestamp("2025-01-05 23:59:59")
axes = monitor.performance(as_of=start + pd.Timedelta(weeks=20)).plot()

# %% [markdown]
# Ten weeks later early defaults tell that something has changed: of a loan four months
# old that has not defaulted the monitor knows that it hardly will. The newest weeks, of
# which no label has come, are corrected too: the shift of the calibration is tracked
# from week to week, and carried on.

# %%
axes = monitor.performance(as_of=start + pd.Timedelta(weeks=30)).plot()

# %%
axes = monitor.performance(as_of=start + pd.Timedelta(weeks=40)).plot()

# %% [markdown]
# Half a year later all labels are in, and the value is the realized metric.

# %%
final = monitor.performance()
axes = final.plot()

# %% [markdown]
# ## How far off, week by week
#
# Against the final realized value, over the chunks that still wait for labels:

# %%
truth = final.to_frame().set_index(["chunk", "metric"])["realized"]
rows = []
for weeks in (20, 30, 40, 50):
    known = monitor.performance(as_of=start + pd.Timedelta(weeks=weeks)).to_frame()
    known = known[
        (known["period"] == "analysis") & (known["n_labels"] < known["n_rows"])
    ]
    known = known.set_index(["chunk", "metric"])
    error = known[["value", "estimated", "realized"]].sub(truth[known.index], axis=0)
    rows.append(error.abs().groupby("metric").mean().assign(week=weeks))
errors = pd.concat(rows).set_index("week", append=True).round(4)
errors.rename(columns={"estimated": "no labels", "realized": "labelled rows only"})

# %% [markdown]
# ## Who is to blame
#
# What the estimate saw without labels is covariate shift; what only labels showed is
# concept drift. `residual_z` tests for the latter, and knows that labels which come
# first are a selection.

# %%
told = monitor.attribution(as_of=start + pd.Timedelta(weeks=40))
columns = ["chunk", "n_labels", "covariate_shift", "concept_drift", "residual_z"]
told[told["metric"] == "roc_auc"][columns].iloc[8:24].round(3)

# %% [markdown]
# ## When will we know
#
# How many labels have come, how many were to be expected at that age, and when the
# chunk will be mature:

# %%
arrival = monitor.label_arrival(as_of=start + pd.Timedelta(weeks=40))
arrival.iloc[[0, 10, 15, 20, 30, 39]].round({"share": 3, "expected_share": 3})
