"""The bins that the loop counts in, and the edges that the reader takes them for."""

from hypothesis import given
from hypothesis import strategies as st
from vkmapctl._loop import ffi, lib

from vkmapctl.model import bins
from vkmapctl.model.loop import CALLS
from vkmapctl.native import FOREVER, Results

BINS = lib.VKM_BINS
nanoseconds = st.one_of(st.integers(0, 300), st.integers(0, 1 << 42), st.integers(0, FOREVER >> 8))


def recorded(samples):
    histogram = ffi.new("struct vkm_histogram *")
    for ns in samples:
        lib.vkm_record(histogram, ns)
    return histogram


def figures(histogram):
    return (
        histogram.count, histogram.sum_ns, histogram.min_ns, histogram.max_ns, histogram.overflow,
        ffi.unpack(histogram.bins, BINS),
    )  # fmt: skip


def test_every_bin_begins_at_its_edge_and_ends_before_the_next():
    edges = [bins.edge(i) for i in range(BINS + 1)]
    assert edges[-1] == 1 << 40
    assert [lib.vkm_bin(edge) for edge in edges] == [*range(BINS), BINS]
    assert [lib.vkm_bin(edge - 1) for edge in edges[1:]] == list(range(BINS))


def test_a_bin_is_exact_below_128_ns_and_at_most_a_64th_wide_above():
    widths = [(bins.edge(i), bins.edge(i + 1) - bins.edge(i)) for i in range(BINS)]
    assert all(width == 1 for edge, width in widths if edge < 128)
    assert all(width * 64 <= edge for edge, width in widths if edge >= 128)


@given(st.integers(1 << 40, FOREVER))
def test_anything_from_18_minutes_on_overflows(ns):
    assert lib.vkm_bin(ns) == BINS


@given(st.lists(nanoseconds, max_size=50))
def test_recorded(samples):
    histogram = recorded(samples)
    assert histogram.count == len(samples)
    assert histogram.sum_ns == sum(samples)
    assert (histogram.min_ns, histogram.max_ns) == (min(samples, default=0), max(samples, default=0))
    assert histogram.overflow == sum(ns >= 1 << 40 for ns in samples)
    assert sum(ffi.unpack(histogram.bins, BINS)) + histogram.overflow == len(samples)


@given(st.lists(nanoseconds, max_size=20), st.lists(nanoseconds, max_size=20))
def test_merging_is_recording_all(some, others):
    merged = recorded(some)
    lib.vkm_merge(merged, recorded(others))
    assert figures(merged) == figures(recorded(some + others))


def test_results_merge_their_threads_and_name_the_edges():
    results = Results(3)
    for thread, samples in enumerate([[35, 36], [], [35, 200_000, 1 << 50]]):
        for ns in samples:
            lib.vkm_record(ffi.addressof(results.stats[thread], "calls", CALLS.index("map")), ns)
    found = results.histogram("map")
    assert (found.count, found.min_ns, found.max_ns, found.overflow) == (5, 35, 1 << 50, 1)
    assert [(edge, n) for edge, n in found.bins if edge < 128] == [(35, 2), (36, 1)]
    ((edge, n),) = found.bins[2:]
    assert n == 1
    assert edge <= 200_000 < edge * (1 + 1 / 64)
    assert results.histogram("unmap").bins == ()


def test_clearing_forgets_everything_but_a_stop():
    results = Results(2)
    lib.vkm_record(ffi.addressof(results.stats[1], "calls", CALLS.index("map")), 35)
    results.stats[0].rate_pairs = 7
    results.stop()
    results.clear()
    assert (results.histogram("map").count, results.total("rate_pairs")) == (0, 0)
    assert results.control.stop == 1


def test_a_bin_s_width_and_middle_follow_from_its_edge():
    for i in range(BINS - 1):
        begin, end = bins.edge(i), bins.edge(i + 1)
        assert bins.width(begin) == end - begin
        assert bins.middle(begin) == (begin if end - begin == 1 else (begin + end) / 2)
