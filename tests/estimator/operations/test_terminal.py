import pandas as pd

from estimator.operations.terminal import format_performance


def frame_of(**columns):
    defaults = {
        "segment": "",
        "period": ["reference", "analysis", "analysis"],
        "chunk": [0, 0, 1],
        "metric": "roc_auc",
        "n_rows": [2_000, 2_000, 150],
        "n_labels": [2_000, 2_000, 150],
        "value": [0.81, 0.8, 0.7],
        "lower": [0.81, 0.78, 0.65],
        "upper": [0.81, 0.82, 0.75],
        "realized": [0.81, float("nan"), float("nan")],
        "alert": [False, False, True],
        "trust": "good",
        "note": "",
    }
    return pd.DataFrame({**defaults, **columns})


def test_a_line_per_chunk():
    assert format_performance(frame_of()).splitlines() == [
        "chunk       rows                  roc_auc",
        "────────────────────────────────────────────",
        "reference  2,000                   0.8100",
        "0          2,000  0.8000 [0.7800, 0.8200]",
        "1            150  0.7000 [0.6500, 0.7500]  !",
    ]


def test_what_is_not_trusted_is_marked_and_explained():
    lines = format_performance(
        frame_of(trust=["good", "doubtful", "none"])
    ).splitlines()
    assert lines[3].endswith("0.8200]      ?")
    assert lines[4].endswith("0.7500]  !  ??")
    assert lines[-1] == (
        "? the estimate is doubtful; ?? no trust: do not act on the estimate"
    )


def test_realized_where_it_is_known_and_dashes_where_nothing_is():
    nan = float("nan")
    text = format_performance(
        frame_of(value=[0.8, 0.8, nan], lower=nan, upper=nan, realized=[0.8, 0.79, nan])
    )
    assert text.splitlines()[3].endswith("0.8000 [–, –]    0.7900")
    assert text.splitlines()[4].endswith("– [–, –]         –  !")


def test_metrics_that_do_not_fit_get_a_table_of_their_own():
    names = ["roc_auc", "accuracy", "f1", "precision", "recall"]
    frame = pd.concat([frame_of(metric=name) for name in names])
    lines = format_performance(frame, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    headings = [line.split()[2:] for line in lines if line.startswith("chunk")]
    assert [name for heading in headings for name in heading] == names


def test_segments_are_titled():
    frame = pd.concat([frame_of(), frame_of(segment="region=north")])
    blocks = format_performance(frame).split("\n\n")
    assert len(blocks) == 2
    assert blocks[1].startswith("segment region=north\nchunk")


def test_large_numbers_have_no_decimals():
    values = {"value": -12_345.6, "lower": -13_000.0, "upper": -11_000.0}
    text = format_performance(frame_of(metric="business_value", **values))
    assert "-12,346 [-13,000, -11,000]" in text


def test_notes_are_said_once_with_their_chunks():
    frame = pd.concat(
        [
            frame_of(note=["", "", "incomplete: 150 of 2000 rows"]),
            frame_of(
                metric="f1",
                note=["", "no score: 1", "incomplete: 150 of 2000 rows"],
            ),
        ]
    )
    notes = format_performance(frame).split("Notes:\n")[1].splitlines()
    assert notes == ["  incomplete: 150 of 2000 rows (1)", "  no score: 1 (f1, 0)"]
