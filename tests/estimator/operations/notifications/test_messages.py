import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.degradation.classification import classify_degradation
from estimator.degradation.kinds import KINDS
from estimator.operations.notifications.messages import VerdictChange, slack_message

CHANGE = VerdictChange(
    model="credit",
    segment="channel=online",
    metric="roc_auc",
    kind="gradual",
    previous="stable",
    chunk="2026-03-30",
    sentence="roc_auc declines gradually since 2026-03-09; probability 0.94",
    probability=0.94,
)


def texts_of(message):
    return [block["text"]["text"] for block in message["blocks"]]


def test_text_alone_has_everything_essential():
    message = slack_message([CHANGE], report="https://models.example.org/credit.html")
    for piece in (
        "credit",
        "roc_auc",
        "channel=online",
        "declines gradually since 2026-03-09; probability 0.94",
        "before: stable",
        "2026-03-30",
        "https://models.example.org/credit.html",
    ):
        assert piece in message["text"]
        assert any(piece in text for text in texts_of(message))


def test_the_metric_is_named_once():
    line = slack_message([CHANGE])["text"].splitlines()[1]
    assert line.count("roc_auc") == 1
    unusual = replace(CHANGE, sentence="down it goes")
    assert "roc_auc · channel=online: down it goes" in slack_message([unusual])["text"]


def test_a_return_to_stable_reads_as_good_news():
    stable = replace(
        CHANGE, kind="stable", previous="gradual", sentence="roc_auc is stable"
    )
    heading, line = slack_message([stable])["text"].splitlines()
    assert heading == "deadreckon: 1 all-clear"
    assert line.startswith("✅")
    assert "good news, the decline is over: is stable (before: gradual" in line
    assert "⚠" not in str(slack_message([stable]))


def test_declines_come_first_and_the_most_probable_on_top():
    changes = [
        replace(CHANGE, model="a", kind="recovered", probability=1.0),
        replace(CHANGE, model="b", probability=0.6),
        replace(CHANGE, model="c", probability=0.9),
        replace(CHANGE, model="d", kind="stable", previous="sudden"),
    ]
    heading, *lines = slack_message(changes)["text"].splitlines()
    assert heading == "deadreckon: 2 declines, 2 all-clears"
    assert [line.split()[1] for line in lines] == ["c", "b", "a", "d"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_either_a_decline_or_good_news(kind):
    text = slack_message([replace(CHANGE, kind=kind)])["text"]
    good = kind in ("stable", "recovered")
    assert ("1 all-clear" in text) == good
    assert ("1 decline" in text) != good


def test_the_sentence_of_a_real_verdict():
    rng = np.random.default_rng(0)
    values = 0.8 + rng.normal(0, 0.01, 30)
    values[20:] -= 0.05
    verdict = classify_degradation(values, np.full(30, 0.01), n_reference=10)
    sentence = str(replace(verdict, metric="accuracy"))
    change = replace(CHANGE, metric="accuracy", sentence=sentence)
    assert sentence.removeprefix("accuracy ") in slack_message([change])["text"]


def test_data_cannot_speak_slack():
    hostile = "<!channel> <https://evil.example|click> & Co\n✅ all is well"
    message = slack_message([replace(CHANGE, segment=hostile)])
    for text in (message["text"], texts_of(message)[1]):
        assert "<" not in text
        assert "&lt;!channel&gt; &lt;https://evil.example|click&gt; &amp; Co ✅" in text
    assert len(message["text"].splitlines()) == 2
    assert message["blocks"][1]["text"]["verbatim"] is True  # no @here, no links


def test_data_cannot_turn_the_direction_of_a_message():
    text = slack_message([replace(CHANGE, segment="a\u202egood\x1b[1m")])["text"]
    assert r"a\u202egood\x1b[1m" in text
    assert "\u202e" not in text


def test_the_report_is_a_link_that_its_address_cannot_leave():
    address = "https://x.example/a b?c=1&d=<2>|3#e%20f"
    link = texts_of(slack_message([CHANGE], report=address))[-1]
    match = re.fullmatch(r"<([^<>|]+)\|Open the report>", link)
    assert html.unescape(match[1]) == "https://x.example/a%20b?c=1&d=%3C2%3E%7C3#e%20f"
    path = texts_of(slack_message([CHANGE], report="/srv/report/index.html"))[-1]
    assert path == "Report: /srv/report/index.html"


def test_without_changes_there_is_no_message():
    with pytest.raises(ValueError, match="`changes` must hold at least one, got none"):
        slack_message([])


changes = st.builds(
    VerdictChange,
    model=st.text(min_size=1, max_size=50),
    segment=st.text(max_size=2_000),
    metric=st.sampled_from(["roc_auc", "f1"]),
    kind=st.sampled_from(KINDS),
    previous=st.sampled_from(KINDS),
    chunk=st.text(max_size=30),
    sentence=st.one_of(st.text(max_size=100), st.text("&<x ", min_size=2_000)),
    probability=st.floats(0, 1),
)


@given(st.lists(changes, min_size=1, max_size=4), st.integers(1, 40))
def test_limits_hold_and_nothing_is_lost_uncounted(some, times):
    message = slack_message(some * times, report="r" * 5_000)
    n = len(some) * times
    blocks = texts_of(message)
    lines = message["text"].split("\n")
    assert len(blocks) <= 50
    assert len(blocks[0]) <= 150
    for text in (message["text"], *blocks):
        assert 0 < len(text) <= 3_000
        without_entities = re.sub("&(amp|lt|gt);", "", text)
        assert not set("&<>") & set(without_entities)
    for items in (blocks[1:-1], lines[1:-1]):
        more = re.fullmatch("… and ([0-9]+) more", items[-1])
        shown = items[:-1] if more else items
        assert all(item.startswith(("✅", "⚠️")) for item in shown)
        assert len(shown) + (int(more[1]) if more else 0) == n
    json.loads(json.dumps(message))
