"""A credit-default world whose truth is known: data to try things on.

Everything that a real lender has is here (features, a LightGBM model trained on an
earlier period, its scores and decisions, labels that arrive late), and beside it what
no lender has: the true probability of default of every applicant.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.degradation.kinds import KINDS, Kind

if TYPE_CHECKING:
    import lightgbm as lgb

Floats = NDArray[np.float64]
Drift = Literal["covariate_shift", "concept_drift"]

FEATURES: Final = (
    "income",
    "debt_ratio",
    "account_age_months",
    "utilisation",
    "recent_inquiries",
    "late_payments",
    "employment",
)
EMPLOYMENT: Final = ("permanent", "self_employed", "temporary", "unemployed")
REGIONS: Final = ("north", "east", "south", "west")

APPROVAL_CUTOFF: Final = 0.3  # y_pred = 1: "will default", the application is declined
PRODUCTION_START: Final = pd.Timestamp("2025-01-06")  # a Monday
REFERENCE_WEEKS: Final = 26
TRAINING_ROWS: Final = 50_000
# The reference's last loan must have run its term before it can be called labelled.
MATURITY_WEEKS: Final = 30
CYCLE_WEEKS: Final = 13.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CreditDefaultWorld:
    """What `simulate_credit_default` hands back.

    Attributes
    ----------
    scenario : str
        What becomes of the model's performance in production.
    drift : str
        What brings it about: other applicants, or other behaviour.
    onset : Timestamp or None
        Start of the first week that differs from the reference; None if stable.
    reference : DataFrame
        Labelled period: ``id``, ``timestamp``, ``region``, the features,
        ``y_pred_proba``, ``y_pred``, ``y_true``, ``labeled_at``.
    production : DataFrame
        The weeks after it, as the model saw them: the same columns without the labels.
    labels : DataFrame
        ``id``, ``y_true``, ``labeled_at`` of every production row, by time of arrival.
    truth : DataFrame
        ``id``, ``probability`` (of default, given what is true of the applicant) and
        ``strength`` of the drift in [0, 1], for every production row.
    """

    scenario: Kind
    drift: Drift
    onset: pd.Timestamp | None
    reference: pd.DataFrame
    production: pd.DataFrame
    labels: pd.DataFrame
    truth: pd.DataFrame

    def __repr__(self) -> str:
        onset = "" if self.onset is None else f", from {self.onset:%Y-%m-%d}"
        return (
            f"<CreditDefaultWorld {self.scenario}{onset}: "
            f"{len(self.reference)} + {len(self.production)} rows>"
        )


def simulate_credit_default(
    scenario: Kind = "gradual",
    *,
    n_weeks: int = 40,
    applications_per_week: int = 2_000,
    drift: Drift = "covariate_shift",
    random_state: int | np.random.Generator | None = 0,
) -> CreditDefaultWorld:
    """Simulate a lender's scoring model from training into production.

    A LightGBM classifier is trained on 50,000 loans of an earlier period; 26 labelled
    weeks are the reference; after the last of them has matured, `n_weeks` of production
    follow. About one applicant in six defaults. A default is known 30 to 120 days
    after the application, a repaid loan at its term of about 180 days.

    Parameters
    ----------
    scenario : {"stable", "sudden", "gradual", "cyclical", "training_serving_skew", \
"recovered"}, default="gradual"
        ``"stable"``: nothing changes in production.
        ``"sudden"``: performance falls two fifths into production and stays low.
        ``"gradual"``: it falls from one fifth of production to its end.
        ``"cyclical"``: it falls and recovers every 13 weeks.
        ``"recovered"``: it falls two fifths into production and is back three fifths
        into it.
        ``"training_serving_skew"``: from the first production row on, the service sends
        ``utilisation`` in per cent, where the model was trained on a fraction. Nothing
        changes in the world, but the score loses that information, and with it the
        meaning that it had on the reference: an estimate without labels sees the scores
        move, and cannot see the whole loss.
    n_weeks : int, default=40
        Weeks of production, at least 1.
    applications_per_week : int, default=2000
        Rows per week, in the reference and in production, at least 1.
    drift : {"covariate_shift", "concept_drift"}, default="covariate_shift"
        What is behind sudden, gradual, cyclical and recovered; stable and skew have
        neither. ``"covariate_shift"``: a broker brings applicants with a thin file, who
        are all alike and hard to separate; P(y|x) stays, so the scores show it.
        ``"concept_drift"``: the applicants stay, but default depends less on what is
        known of them; only labels can show it.
    random_state : int, Generator or None, default=0
        Seed of everything, the client model included.

    Returns
    -------
    CreditDefaultWorld
        Frames as a lender would have them, and the truth.

    Raises
    ------
    ValueError
        If `scenario` or `drift` is unknown, or a size is below 1.

    Examples
    --------
    >>> world = simulate_credit_default("sudden", n_weeks=10, applications_per_week=50)
    >>> world
    <CreditDefaultWorld sudden, from 2025-02-03: 1300 + 500 rows>
    >>> world.labels.columns.to_list()
    ['id', 'y_true', 'labeled_at']
    """
    _check_choice("scenario", scenario, KINDS)
    _check_choice("drift", drift, get_args(Drift))
    _check_size("n_weeks", n_weeks)
    _check_size("applications_per_week", applications_per_week)

    rng = np.random.default_rng(random_state)
    model = _train_client_model(rng)

    reference_rows = REFERENCE_WEEKS * applications_per_week
    calm = np.zeros(reference_rows)
    reference = _applicants(calm, rng)
    start = PRODUCTION_START - pd.Timedelta(weeks=REFERENCE_WEEKS + MATURITY_WEEKS)
    reference.insert(
        0, "timestamp", _timestamps(start, REFERENCE_WEEKS, calm.size, rng)
    )
    _score(reference, model)
    defaulted = rng.random(calm.size) < _default_probability(reference)
    reference["y_true"] = defaulted.astype(np.int64)
    reference["labeled_at"] = _label_times(reference["timestamp"], defaulted, rng)
    reference.insert(0, "id", np.arange(reference_rows))

    start = PRODUCTION_START
    size = n_weeks * applications_per_week
    timestamps = _timestamps(start, n_weeks, size, rng)
    weeks = (timestamps - start) / pd.Timedelta(weeks=1)
    strength, onset_week = _strength(scenario, weeks.to_numpy(), n_weeks)
    shifted = drift == "covariate_shift" and scenario != "training_serving_skew"
    production = _applicants(strength if shifted else np.zeros(size), rng)
    production.insert(0, "timestamp", timestamps)
    probability = _default_probability(production)
    if drift == "concept_drift" and scenario != "training_serving_skew":
        probability = _loosen(probability, strength)
    defaulted = rng.random(size) < probability
    if scenario == "training_serving_skew":
        production["utilisation"] *= 100.0
    _score(production, model)
    ids = np.arange(reference_rows, reference_rows + size)
    production.insert(0, "id", ids)

    labels = pd.DataFrame(
        {
            "id": ids,
            "y_true": defaulted.astype(np.int64),
            "labeled_at": _label_times(production["timestamp"], defaulted, rng),
        }
    ).sort_values("labeled_at", kind="stable", ignore_index=True)
    truth = pd.DataFrame({"id": ids, "probability": probability, "strength": strength})
    onset = None if onset_week is None else start + pd.Timedelta(weeks=onset_week)
    return CreditDefaultWorld(
        scenario=scenario,
        drift=drift,
        onset=onset,
        reference=reference,
        production=production,
        labels=labels,
        truth=truth,
    )


def _strength(scenario: Kind, weeks: Floats, n_weeks: int) -> tuple[Floats, int | None]:
    """Return the drift's strength in [0, 1] per row, and the week it begins in."""
    if scenario == "sudden":
        onset = 2 * n_weeks // 5
        return (weeks >= onset).astype(np.float64), onset
    if scenario == "gradual":
        onset = n_weeks // 5
        return np.clip((weeks - onset) / (n_weeks - onset), 0.0, 1.0), onset
    if scenario == "cyclical":
        return 0.5 - 0.5 * np.cos(2 * np.pi * weeks / CYCLE_WEEKS), 0
    if scenario == "training_serving_skew":
        return np.ones(weeks.size), 0
    if scenario == "recovered":
        onset, end = 2 * n_weeks // 5, max(3 * n_weeks // 5, 2 * n_weeks // 5 + 1)
        return ((weeks >= onset) & (weeks < end)).astype(np.float64), onset
    return np.zeros(weeks.size), None


def _applicants(thin_file_share: Floats, rng: np.random.Generator) -> pd.DataFrame:
    """Draw applicants, of whom the given share (0.7 of it) comes through the broker.

    The broker's applicants lie in a small corner of the same feature space: short
    histories that leave little to tell one from the other.
    """
    n = thin_file_share.size
    thin = rng.random(n) < 0.7 * thin_file_share
    income = np.exp(rng.normal(np.where(thin, 7.55, 7.9), np.where(thin, 0.15, 0.5)))
    ties = np.where(thin, 14.0, 1.6)
    debt_ratio = rng.beta(0.32 * ties, 0.68 * ties)
    utilisation = rng.beta(0.45 * ties, 0.55 * ties)
    account_age = np.where(thin, rng.gamma(2.0, 5.0, n), rng.gamma(1.6, 45.0, n))
    employment = np.where(
        thin,
        rng.choice(4, n, p=(0.30, 0.10, 0.60, 0.0)),
        rng.choice(4, n, p=(0.62, 0.14, 0.17, 0.07)),
    )
    return pd.DataFrame(
        {
            "region": np.array(REGIONS)[rng.choice(4, n, p=(0.35, 0.3, 0.2, 0.15))],
            "income": income.round(0),
            "debt_ratio": debt_ratio.round(4),
            "account_age_months": np.floor(account_age),
            "utilisation": utilisation.round(4),
            "recent_inquiries": rng.poisson(np.where(thin, 1.0, 0.8)),
            "late_payments": rng.poisson(np.where(thin, 0.05, 0.4)),
            "employment": np.array(EMPLOYMENT)[employment],
        }
    )


def _default_probability(applicants: pd.DataFrame) -> Floats:
    """Return the true P(default | applicant)."""
    code = _employment_codes(applicants)
    debt = applicants["debt_ratio"].to_numpy()
    utilisation = applicants["utilisation"].to_numpy()
    logit = (
        -3.85
        - 0.85 * (np.log(applicants["income"].to_numpy()) - 7.9)
        + 2.2 * debt
        + 1.7 * utilisation
        + 1.2 * debt * utilisation
        - 0.55 * np.log1p(applicants["account_age_months"].to_numpy() / 48.0)
        + 0.22 * applicants["recent_inquiries"].to_numpy()
        + 0.60 * applicants["late_payments"].to_numpy()
        + np.array([0.0, 0.3, 0.55, 1.1])[code]
    )
    return cast(Floats, 1.0 / (1.0 + np.exp(-logit)))


def _loosen(probability: Floats, strength: Floats) -> Floats:
    """Pull the log odds towards their mean: what is known explains less."""
    logit = np.log(probability / (1.0 - probability))
    pulled = logit - 0.45 * strength * (logit - logit.mean())
    return cast(Floats, 1.0 / (1.0 + np.exp(-pulled)))


def _employment_codes(applicants: pd.DataFrame) -> NDArray[np.int64]:
    """Return the numbers of the employment types, in the order of `EMPLOYMENT`."""
    codes = pd.Categorical(applicants["employment"], categories=list(EMPLOYMENT)).codes
    return codes.astype(np.int64)


def _design(applicants: pd.DataFrame) -> Floats:
    """Return the model's input: `FEATURES` as numbers, employment as its code."""
    numeric = applicants[list(FEATURES[:-1])].to_numpy(dtype=np.float64)
    return np.column_stack([numeric, _employment_codes(applicants)])


def _train_client_model(rng: np.random.Generator) -> "lgb.Booster":
    """Fit the LightGBM model whose performance is to be watched."""
    import lightgbm as lgb  # heavy: only the simulation needs it here

    applicants = _applicants(np.zeros(TRAINING_ROWS), rng)
    defaulted = rng.random(TRAINING_ROWS) < _default_probability(applicants)
    data = lgb.Dataset(_design(applicants), label=defaulted.astype(np.float64))
    parameters = {
        "objective": "binary",
        "num_leaves": 8,
        "learning_rate": 0.06,
        "min_child_samples": 200,
        "num_threads": 1,
        "deterministic": True,
        "seed": int(rng.integers(2**31)),
        "verbosity": -1,
    }
    return lgb.train(parameters, data, num_boost_round=150)


def _score(applicants: pd.DataFrame, model: "lgb.Booster") -> None:
    """Add what the service answers: the score and the decision."""
    score = model.predict(_design(applicants), num_threads=1)
    applicants["y_pred_proba"] = np.asarray(score)
    declined = applicants["y_pred_proba"] >= APPROVAL_CUTOFF
    applicants["y_pred"] = declined.astype(np.int64)


def _timestamps(
    start: pd.Timestamp, n_weeks: int, size: int, rng: np.random.Generator
) -> pd.DatetimeIndex:
    """Draw the moment of each application, the same number in every week."""
    week = np.repeat(np.arange(n_weeks), size // n_weeks)
    seconds = np.sort(week * 604_800 + rng.integers(0, 604_800, size))
    return start + pd.to_timedelta(seconds, unit="s")


def _label_times(
    applied: pd.Series, defaulted: NDArray[np.bool_], rng: np.random.Generator
) -> pd.Series:
    """Return when each label is known: a default early, a repaid loan at its term."""
    days = np.where(
        defaulted,
        np.clip(30.0 + rng.gamma(2.0, 18.0, defaulted.size), 30.0, 120.0),
        rng.normal(180.0, 3.0, defaulted.size),
    )
    return applied + pd.to_timedelta((days * 86_400).round(), unit="s")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        msg = f"`{name}` must be one of {', '.join(choices)}, got {value!r}."
        raise ValueError(msg)


def _check_size(name: str, value: int) -> None:
    if value < 1:
        msg = f"`{name}` must be at least 1, got {value}."
        raise ValueError(msg)
