"""The C library's memory that stands beside a driver's: each page of it is one of its own."""

from vkmapctl import native
from vkmapctl.native import PAGE
from vkmapctl.worker.leaks import process_usage

SIZE = 64 << 20  # an mmap of its own


def test_every_page_is_there_before_anything_is_measured():
    """Pages that were never written are all one page of zeros, which counts for nobody: reading measures the cache."""
    before = process_usage()["rss_bytes"]
    with native.host_buffer(SIZE) as address:
        assert address % PAGE == 0
        assert process_usage()["rss_bytes"] - before >= SIZE - (1 << 20)
