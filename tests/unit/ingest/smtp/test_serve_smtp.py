"""Which partition of the verdicts a receiver reads."""

from ingest.smtp.serve_smtp import verdict_partition


def test_receivers_without_a_name_are_spread() -> None:
    """Two of the same machine would otherwise read, and throw away, the other's verdicts."""
    assert {verdict_partition(None, 4) for _ in range(200)} == {0, 1, 2, 3}


def test_receivers_with_names_that_end_in_a_number_read_that_partition() -> None:
    assert [verdict_partition(f"smtp-{number}", 4) for number in (1, 2, 3, 4, 5)] == [1, 2, 3, 0, 1]
    assert {verdict_partition("receiver", 4) for _ in range(50)} == {sum(b"receiver") % 4}
