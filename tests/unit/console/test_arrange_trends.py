"""The geometry and the words of charts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.arrange_trends import arrange_figure, arrange_heat, duration, percent
from console.choose_facets import choices, chosen
from console.compute_stats import Point
from console.count_mails import Count
from console.draw_charts import HIGH, WIDE, draw_line, label_times, round_up, stack_bars
from console.explain_status import MEANINGS, meaning
from console.read_activity import arrange_facets
from console.read_stats import Chart
from console.summarise_mail import summarise_mail
from contracts.statuses import Status

WORDS = ("delivered", "deferred", "failed")


@given(st.lists(st.dictionaries(st.sampled_from(WORDS), st.integers(0, 10**9), max_size=3), min_size=1, max_size=60))
def test_bars_stay_in_their_frame_and_what_is_there_is_seen(counts: list[dict[str, int]]) -> None:
    times = list(range(0, 60 * len(counts), 60))
    for bar, found in zip(stack_bars(times, dict(zip(times, counts, strict=True)), WORDS), counts, strict=True):
        assert bar.x >= 0 and bar.x + bar.width <= WIDE + 0.1 and bar.total == sum(found.values())
        assert {piece.name for piece in bar.pieces} == {name for name, mails in found.items() if mails}
        assert all(piece.height > 0 and piece.y >= 0 for piece in bar.pieces)


def test_a_line_breaks_where_nothing_is_known() -> None:
    lines = draw_line([1.0, 0.5, None, 0.0, None], 0.0, 1.0)
    assert lines == ["100.0,0.0 300.0,50.0", "633.3,100.0 766.7,100.0"]
    assert draw_line([], 0, 1) == [] and HIGH == 100


@pytest.mark.parametrize(("value", "top"), [(0, 1), (1, 1), (3, 5), (7, 10), (120, 200), (0.03, 0.05), (0.1, 0.1)])
def test_an_axis_ends_at_a_round_number(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)


def test_an_axis_of_time_has_few_labels() -> None:
    assert label_times([7]) == [7] and label_times(list(range(41))) == [0, 10, 20, 30, 40]


def test_numbers_are_short() -> None:
    assert [percent(one) for one in (None, 0, 0.8732, 1)] == ["–", "0 %", "87.3 %", "100 %"]
    assert [duration(one) for one in (None, 40, 2500, 180_000, 7_200_000)] == ["–", "40 ms", "2.5 s", "3 min", "2 h"]


def test_the_rarest_classes_are_one_part_together() -> None:
    counts = {f"class_{number}": 20 - number for number in range(12)}
    chart = Chart("bounces", 60, [0], [""], {(0, ""): Point(sum(counts.values()), counts)}, {})
    figure = arrange_figure(chart, None)
    assert len(figure.series) == 8 and figure.series[-1].label == "others" and figure.series[-1].asks == {}
    assert figure.series[0].asks == {"bounce_class": "class_0"} and figure.series[0].label == "class 0"
    assert figure.series[-1].total == str(sum(20 - number for number in range(7, 12)))


def test_a_chart_without_mail_is_empty_and_one_with_a_zero_is_not() -> None:
    nothing = Chart("delivery_rate", 60, [0, 60], [""], {}, {})
    assert arrange_figure(nothing, None).empty
    zero = Chart("delivery_rate", 60, [0, 60], [""], {(0, ""): Point(2, {"failed": 2}, 0.0)}, {"": Point(2, {}, 0.0)})
    assert not arrange_figure(zero, None).empty and arrange_figure(zero, None).series[0].total == "0 %"


def test_a_cell_is_darker_the_more_mails_have_trouble() -> None:
    counts = [
        Count(0, "a.example", "delivered", 98),
        Count(0, "a.example", "deferred", 2),
        Count(60, "a.example", "failed", 1),
    ]
    (row,) = arrange_heat(counts, [0, 60, 120], ["a.example"])
    assert [(cell["level"], cell["share"]) for cell in row["cells"]] == [(2, "2 %"), (5, "100 %"), (None, "–")]
    assert row["mails"] == 101


def test_a_value_is_shown_then_hidden_then_neither() -> None:
    parameters: dict[str, str | list[str]] = {"domain": "a.example"}
    states = []
    for _ in range(4):
        one = next(
            one
            for one in choices("domain", parameters, [("b.example", 3), ("a.example", 2)])
            if one.value == "b.example"
        )
        states.append((one.state, parameters.get("domain")))
        parameters["domain"] = one.then["domain"]
    assert states == [
        ("", "a.example"),
        ("included", "a.example,b.example"),
        ("excluded", ["a.example", "!b.example"]),
        ("", "a.example"),
    ]


def test_a_value_that_reads_like_a_filter_is_one_value() -> None:
    (one,) = choices("template", {}, [("!Hello, world", 1)])
    assert one.then["template"] == "*Hello* world" and chosen("*Hello* world") == (["*Hello* world"], [])
    (again,) = choices("template", {"template": "*Hello* world"}, [("!Hello, world", 1)])
    assert (again.value, again.state, again.count) == ("!Hello, world", "included", 1)


def test_what_is_chosen_can_be_taken_back_where_nothing_could_be_counted() -> None:
    (facet,) = arrange_facets({"domain": ["a.example", "!b.example"]}, None)
    assert [(one.value, one.state, one.count) for one in facet["choices"]] == [
        ("a.example", "included", None),
        ("b.example", "excluded", None),
    ]


def test_every_status_says_what_it_means() -> None:
    assert set(MEANINGS) == set(Status) and meaning("delivered") and not meaning("nonsense")
    assert meaning("rejected", "inbound") == "Refused, so that its sender was told."
    assert meaning("delivered", "outbound").startswith("The recipient's mail server took")


def test_a_summary_for_a_ticket_has_a_line_for_each_fact_and_no_more() -> None:
    item = {
        "status": "delivery_failed", "direction": "outbound", "late": False, "reason": "invalid_address", "host": "mx.x.example",
        "attempts": 1, "smtp_code": 550, "from_name": None, "from": "app@ours.example", "envelope_from": "", "recipient": "gone@x.example",
        "subject": "Hello\r\nForged: line\u202e", "received_at": "2026-11-03T12:00:00.000Z", "message_id": "a@b",
        "spf": "none", "bounce_class": None,
    }  # fmt: skip
    attempt = {
        "number": 1,
        "started_at": "2026-11-03T12:00:01.000Z",
        "host": "mx.x.example",
        "code": 550,
        "text": "5.1.1 No such\nuser",
    }
    lines = summarise_mail(item, [attempt], "http://console/mails/1").split("\n")
    assert lines[0].startswith("Bounced: mx.x.example") and "Subject: Hello  Forged: line\ufffd" in lines
    assert "Attempt 1, 3 November 2026, 12:00:01.000 UTC, mx.x.example: 550 5.1.1 No such user" in lines
    assert lines[-1] == "http://console/mails/1"
