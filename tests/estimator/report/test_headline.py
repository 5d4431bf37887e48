from dataclasses import replace

import numpy as np

from estimator.report.headline import compose_headline, severity


def test_the_headline_is_the_worst_and_all_others_follow(report, page):
    verdicts = report.verdicts[""]
    worst = max(verdicts.values(), key=severity)
    box = page.one("div", "headline")
    assert box.one("p", "what").text == str(worst).partition("; ")[0]
    assert "bad" in box.classes
    listed = page.one("ul", "glance").all("li")
    assert [li.one("a").text for li in listed] == list(report.performance.metrics)
    for li, metric in zip(listed, report.performance.metrics, strict=True):
        what = str(verdicts[metric]).partition("; ")[0].removeprefix(f"{metric} ")
        assert li.one("span", "said").text.startswith(what)
        assert page.by_id(li.one("a").attributes["href"][1:]).tag == "figure"
    first = page.one("div", "charts").all("figure")[0]
    assert first.one("h3").text == worst.metric


def test_stable_metrics_are_said_in_one_sentence(calm):
    verdicts = {"": calm.degradation()}
    assert {verdict.kind for verdict in verdicts[""].values()} == {"stable"}
    quiet = replace(calm, alert=np.zeros_like(calm.alert))
    headline = compose_headline(quiet, verdicts)
    assert (headline.tone, headline.text) == ("good", "Both metrics are stable")
    least = min(verdicts[""].values(), key=lambda verdict: verdict.probability)
    assert headline.details[0].startswith(f"the least sure, {least.metric}: ")


def test_an_alert_or_a_fallen_segment_is_said_even_if_all_is_stable(calm, segmented):
    alert = np.zeros_like(calm.alert)
    newest = np.flatnonzero((calm.segment == "") & (calm.period == "analysis"))[-1]
    alert[newest, 1] = True
    stable = calm.degradation()
    headline = compose_headline(replace(calm, alert=alert), {"": stable})
    assert headline.tone == "watch"
    assert headline.details[-1] == "Alert in the newest complete chunk, 11: accuracy"
    quiet = replace(calm, alert=np.zeros_like(alert))
    fallen = segmented.verdicts["region=north"]
    headline = compose_headline(quiet, {"": stable, "region=north": fallen})
    assert headline.tone == "watch"
    assert headline.details[-1].startswith("worst segment, region=north: ")


def test_without_verdicts_alerts_are_the_headline(calm):
    alert = np.zeros_like(calm.alert)
    quiet = compose_headline(replace(calm, alert=alert), {})
    assert (quiet.tone, quiet.text) == (
        "none",
        "No alert in the newest complete chunk, 11",
    )
    alert[np.flatnonzero(calm.segment == "")[-1], 0] = True
    loud = compose_headline(replace(calm, alert=alert), {})
    assert (loud.tone, loud.text) == (
        "watch",
        "Alert in the newest complete chunk, 11: roc_auc",
    )


def test_without_trust_in_the_newest_chunk_that_is_said_first(calm):
    overall = np.flatnonzero((calm.segment == "") & (calm.period == "analysis"))
    verdicts = {"": calm.degradation()}
    trusted = compose_headline(calm, verdicts)
    for lost, is_said in ((overall[-1], True), (overall[-2], False)):
        trust = np.full_like(calm.trust, "good")
        trust[lost] = "none"
        headline = compose_headline(replace(calm, trust=trust), verdicts)
        if not is_said:
            assert headline == trusted
            continue
        assert headline.text == (
            "No trust in the newest complete chunk, 11: do not act on its estimate"
        )
        assert headline.tone == "watch"
        assert headline.details == (trusted.text, *trusted.details)
