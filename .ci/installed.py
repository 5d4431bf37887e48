"""Check an installed wheel from outside the checkout: run by ``.ci/wheel``."""

import importlib
import subprocess
import sys
from pathlib import Path

HEAVY = ("pandas", "scipy", "sklearn", "numba", "lightgbm", "matplotlib", "pyarrow")


def require(condition: bool, rule: str) -> None:  # noqa: FBT001
    """End with ``rule`` where it does not hold."""
    if not condition:
        sys.exit(f"The installed wheel is wrong: {rule}.")


def main(checkout: Path) -> None:
    """Look at the files, at what is imported, and make a call."""
    for name in ("calibration", "estimator"):
        package = Path(str(importlib.import_module(name).__file__)).parent
        require(checkout not in package.parents, f"{name} is the wheel's")
        require((package / "py.typed").is_file(), f"{name} has py.typed")
        require(not (package.parent / "tests").exists(), "tests are not installed")

    program = (
        "import estimator.operations.commands.main, sys; "
        f"print(*[m for m in {HEAVY!r} if m in sys.modules])"
    )
    imported = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    require(not imported, f"the command line imports {imported} before it needs to")

    from estimator import PerformanceEstimator
    from estimator.simulation import simulate_credit_default

    world = simulate_credit_default("sudden", n_weeks=10, applications_per_week=500)
    estimator = PerformanceEstimator(timestamp="timestamp").fit(world.reference)
    frame = estimator.estimate(world.production).to_frame()
    auc = frame[(frame["metric"] == "roc_auc") & (frame["period"] == "analysis")]
    require(len(auc) == 10, "ten weeks are ten chunks")
    before, after = auc["value"].iloc[:4].mean(), auc["value"].iloc[4:].mean()
    require(before - after > 0.03, "a sudden decline is seen")
    sys.stdout.write(f"Estimated ROC AUC fell from {before:.3f} to {after:.3f}.\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
