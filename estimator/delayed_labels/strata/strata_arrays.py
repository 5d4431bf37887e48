"""Learned strata as plain arrays, and back; trees as LightGBM's text."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from calibration.features.trees import read_trees, trees_to_arrays
from estimator.delayed_labels.strata.learned import SETTINGS, DelayStrata
from estimator.files.archive import Arrays, check_array, under
from estimator.frames.features import table_from_json, table_to_json


def strata_to_arrays(strata: DelayStrata) -> tuple[dict[str, object], Arrays]:
    """Take strata apart: what JSON can hold, and arrays."""
    header = {
        **table_to_json(strata.table),
        "n_trees": [len(trees) for trees in strata.trees],
    }
    arrays: Arrays = {"stratum": strata.stratum}
    for y in (0, 1):
        arrays[f"edges/{y}"] = strata.edges[y]
        trees = trees_to_arrays(strata.trees[y])
        arrays |= {f"class/{y}/{name}": values for name, values in trees.items()}
    return header, arrays


def strata_from_arrays(
    header: Mapping[str, Any] | None, arrays: Arrays
) -> DelayStrata | None:
    """Put together what `strata_to_arrays` took apart; None stays None.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a part is missing or does not fit the others.
    """
    if header is None:
        return None
    table = table_from_json(header)
    first, second = (arrays[f"edges/{y}"] for y in (0, 1))
    for y, edges in enumerate((first, second)):
        check_array(edges, f"edges/{y}", "f", (-1,))
        if not (np.diff(edges) > 0.0).all():
            msg = f"array 'edges/{y}' must rise"
            raise ValueError(msg)
    stratum = arrays["stratum"]
    check_array(stratum, "stratum", "i", (first.size + 1, second.size + 1))
    if not ((stratum >= 0) & (stratum < SETTINGS.most_strata)).all():
        msg = f"strata must be numbers from 0 to {SETTINGS.most_strata - 1}"
        raise ValueError(msg)
    negative, positive = (
        read_trees(under(arrays, f"class/{y}/"), n_trees, len(table.features))
        for y, n_trees in enumerate(header["n_trees"])
    )
    return DelayStrata(
        table=table,
        trees=(negative, positive),
        edges=(first, second),
        stratum=stratum.astype(np.int8),
    )
