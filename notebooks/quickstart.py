# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # Quickstart
#
# A lender scores loan applications with a LightGBM model. Whether a loan is repaid is
# known half a year later. How good is the model **today**?
#
# `deadreckon` answers from the scores alone, with an interval, and checks itself
# against the labels when they come.

# %%
from estimator import PerformanceEstimator
from estimator.simulation import simulate_credit_default

# %% [markdown]
# ## Simulate
#
# A world whose truth is known: 26 weeks of labelled applications (the *reference*),
# then 40 weeks of production, in which a broker brings more and more applicants with a
# thin file. They are hard to tell apart, so the model's ROC AUC declines.

# %%
world = simulate_credit_default("gradual", random_state=0)
world

# %%
world.production.head(3)

# %% [markdown]
# There is no `y_true` in production. These labels exist, but later: a default is known
# after one to four months, a repaid loan at its term.

# %%
lag = world.labels.merge(world.production[["id", "timestamp"]], on="id")
days = (lag["labeled_at"] - lag["timestamp"]).dt.days
days.groupby(lag["y_true"]).describe().round(0)

# %% [markdown]
# ## Estimate
#
# `fit` learns on the reference what a score is worth: how often applicants with that
# score default, and how sure that is. `estimate` needs no labels.

# %%
estimator = PerformanceEstimator(
    metrics=("roc_auc", "accuracy"),
    chunk="W",
    timestamp="timestamp",
    y_pred="y_pred",
).fit(world.reference)
estimates = estimator.estimate(world.production)
estimates

# %% [markdown]
# ## Look
#
# The band is the 95 % prediction interval: where the metric will be once all labels of
# that week are in. A diamond is an alert: the performance behind the week lies beyond
# the threshold more probably than not.

# %%
axes = estimates.plot()

# %% [markdown]
# The same as a tidy frame, one row per chunk and metric:

# %%
frame = estimates.to_frame()
analysis = frame[(frame["period"] == "analysis") & (frame["metric"] == "roc_auc")]
analysis[["chunk", "n_rows", "value", "lower", "upper", "alert"]].tail(4).round(4)

# %% [markdown]
# ## Compare with the truth
#
# Half a year later the labels are in. They change no estimate: they only fill
# `realized`.

# %%
labelled = world.production.merge(world.labels[["id", "y_true"]], on="id")
compared = estimator.estimate(labelled)
axes = compared.plot("roc_auc")

# %%
frame = compared.to_frame()
rows = frame[frame["period"] == "analysis"]
inside = rows["realized"].between(rows["lower"], rows["upper"])
error = (rows["estimated"] - rows["realized"]).abs()
(
    rows.assign(inside=inside, error=error)
    .groupby("metric", sort=False)
    .agg(
        weeks=("chunk", "size"),
        realized_inside_interval=("inside", "mean"),
        mean_absolute_error=("error", "mean"),
    )
    .round(4)
)

# %% [markdown]
# The interval promises 95 % where the reference's calibration holds. Here it covers a
# little less: at the *same* middling score the broker's applicants default more often
# than those of the reference, and a map of the score alone cannot see that.

# %% [markdown]
# ## What it cannot see
#
# Scores tell of *who* applies. If the same applicants begin to **behave** differently
# (concept drift), nothing in the scores moves, and neither does an estimate without
# labels:

# %%
drifted = simulate_credit_default("sudden", drift="concept_drift", random_state=0)
labelled = drifted.production.merge(drifted.labels[["id", "y_true"]], on="id")
axes = estimator.fit(drifted.reference).estimate(labelled).plot("roc_auc")

# %% [markdown]
# Only labels show that. Let them correct the estimate as they arrive.
