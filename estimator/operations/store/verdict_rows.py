"""Verdicts as rows of the store."""

import json
from collections.abc import Mapping

from estimator.degradation import verdict_json as verdict_file
from estimator.degradation.series import plain
from estimator.degradation.verdict import Degradation
from estimator.operations.store.schema import Row


def verdict_rows(
    verdicts: Mapping[str, Mapping[str, Degradation]],
    stored: Mapping[tuple[str, str], Row],
    as_of: int,
) -> list[Row]:
    """Return rows of verdicts that say something else than those stored."""
    rows = []
    for segment, by_metric in verdicts.items():
        for metric, verdict in by_metric.items():
            detail = json.dumps(verdict_file.to_json(verdict))
            old = stored.get((segment, metric))
            revision, since = 1, as_of
            if old is not None:
                if old["detail"] == detail:
                    continue
                onset = json.loads(old["detail"])["onset"]
                same = (old["kind"], onset) == (verdict.kind, plain(verdict.onset))
                revision = old["revision"] + (not same)
                since = old["as_of"] if same else as_of
            rows.append(
                {
                    "segment": segment,
                    "metric": metric,
                    "revision": revision,
                    "as_of": since,
                    "kind": verdict.kind,
                    "probability": verdict.probability,
                    "sentence": str(verdict),
                    "detail": detail,
                }
            )
    return rows
