# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # Covariate shift
#
# An estimate from scores alone takes every row with a score for what such rows were in
# the reference. If a model does not know something that matters, and the mix of just
# that changes, it is wrong, though nothing about any single customer has changed. Name
# the features, and the estimate adapts.

# %%
import lightgbm as lgb
import numpy as np
import pandas as pd

from estimator import PerformanceEstimator

# %% [markdown]
# ## A lender with a new channel
#
# The model knows age and income. Online applicants default more often at the same
# score: the model was trained before there were any. They are a fifth of the reference,
# and become four fifths of production.

# %%
rng = np.random.default_rng(0)
WEEKS, PER_WEEK = 52, 2_000


def applications(n, online):
    """Draw applicants, of whom the share ``online`` comes through the new channel."""
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 70, n),
            "income": np.exp(rng.normal(8.0, 0.5, n)).round(),
            "channel": np.where(rng.random(n) < online, "online", "branch"),
        }
    )
    log_odds = (
        -1.2
        - 1.6 * (np.log(frame["income"]) - 8.0)
        - 0.04 * (frame["age"] - 45)
        + 1.3 * (frame["channel"] == "online")
    )
    return frame.assign(
        y_true=(rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(int)
    )


training = applications(40_000, online=0.0)
known = ["age", "income"]
model = lgb.LGBMClassifier(n_estimators=80, num_leaves=8, n_jobs=1, verbosity=-1)
model.fit(training[known], training["y_true"])

share = np.repeat(np.r_[np.full(26, 0.2), np.linspace(0.2, 0.8, 26)], PER_WEEK)
rows = applications(WEEKS * PER_WEEK, share)
rows["y_pred_proba"] = model.predict_proba(rows[known])[:, 1]
rows["time"] = pd.Timestamp("2025-01-06") + pd.to_timedelta(
    np.arange(len(rows)) * (7 * 24 * 60 / PER_WEEK), unit="min"
)
half = len(rows) // 2
reference, production = rows[:half], rows[half:]

# %% [markdown]
# ## From the score alone
#
# In orange the truth, which nobody knows yet. The estimate believes that all is well.

# %%
options = {"metrics": ["roc_auc", "accuracy"], "chunk": "W", "timestamp": "time"}
blind = PerformanceEstimator(method="cbpe", **options).fit(reference)
axes = blind.estimate(production).plot()

# %% [markdown]
# ## With features
#
# `method="auto"`, the default, blends the map of the score with two others: trees that
# know score and features, and a map fitted for each week to the reference rows that
# look like the week's (PAPE). How much of these counts, the reference says: nearly all
# where features explain its weeks, less where they drift otherwise.

# %%
features = ["age", "income", "channel"]
adapted = PerformanceEstimator(features=features, **options).fit(reference)
estimates = adapted.estimate(production)
axes = estimates.plot()

# %%
methods = {
    "cbpe": blind.estimate(production),
    "auto": estimates,
    **{
        name: PerformanceEstimator(method=name, features=features, **options)
        .fit(reference)
        .estimate(production)
        for name in ("feature_aware", "pape")
    },
}
errors = {}
for name, found in methods.items():
    weeks = found.to_frame().query("period == 'analysis'")
    away = weeks["estimated"] - weeks["realized"]
    errors[name] = np.sqrt((away**2).groupby(weeks["metric"]).mean())
pd.DataFrame(errors).round(4)  # root mean squared error

# %% [markdown]
# ## Far outside
#
# Then a service begins to send income in thousands. The reference has no such rows:
# nothing can be learned of them there. The estimate says so, names the feature that
# drives it, and widens its interval.

# %%
broken = production[-3 * PER_WEEK :].assign(income=lambda rows: rows["income"] / 1_000)
broken["y_pred_proba"] = model.predict_proba(broken[known])[:, 1]
said = adapted.estimate(broken).to_frame().query("metric == 'accuracy'")[-3:]
print(said["note"].iloc[-1])
said[["chunk", "estimated", "lower", "upper", "realized"]].round(3)
