"""`calibration` is a generic name: another package of it must not pass for ours."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_a_foreign_calibration_is_named(tmp_path):
    foreign = tmp_path / "calibration"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", "from estimator import PerformanceEstimator"],
        env=os.environ | {"PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "not deadreckon's own package" in done.stderr
    assert str(foreign) in done.stderr
