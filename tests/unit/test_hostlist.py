"""Host ranges as Slurm and ClusterShell read them; what is none, or names too many, is refused at once."""

import time

import pytest
from ClusterShell.NodeSet import NodeSet
from hypothesis import given
from hypothesis import strategies as some

from vkmapctl.hostlist import MOST_HOSTS, expand, fold


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("login", ["login"]),
        ("a,b , c", ["a", "b", "c"]),
        ("gpu[08-11]", ["gpu08", "gpu09", "gpu10", "gpu11"]),
        ("gpu[8-11]", ["gpu8", "gpu9", "gpu10", "gpu11"]),
        ("a[1-3,7]b[0-1]", ["a1b0", "a1b1", "a2b0", "a2b1", "a3b0", "a3b1", "a7b0", "a7b1"]),
        ("n[0-6/3]-ib,n0-ib", ["n0-ib", "n3-ib", "n6-ib"]),
        ("x[1,1-2]", ["x1", "x2"]),
    ],
)
def test_ranges(text, hosts):
    assert list(expand(text)) == hosts


@pytest.mark.parametrize(
    "text",
    ["", " ", ",", "a,,b", "gpu[", "gpu]1", "gpu[]", "gpu[1-]", "gpu[3-1]", "gpu[1-3/0]", "gpu[a-b]", "gpu[1[2]]",
     "../etc", ".hidden", "-w", "a b", "a/b", "a\0b", "ü", "gpu[1-2]\n;rm", "x" * 300],
)  # fmt: skip
def test_what_is_no_list_of_hosts(text):
    with pytest.raises(ValueError, match=r"\S"):
        expand(text)


@pytest.mark.parametrize("text", ["x[1-999999999]", "x[1-99999][1-99999]", ",".join(f"{a}[1-60000]" for a in "ab")])
def test_too_many_are_refused_before_any_is_made(text):
    begun = time.process_time()
    with pytest.raises(ValueError, match=f"more than {MOST_HOSTS:,} hosts"):
        expand(text)
    assert time.process_time() - begun < 5


def test_1250_hosts_fold_to_what_was_typed():
    assert fold(expand("gpu[0001-1250]")) == "gpu[0001-1250]"


NUMBERS = ["", "0", "7", "9", "10", "11", "007", "008", "099", "100", "123456789"]
NAMES = some.builds(
    "{}{}{}".format,
    some.sampled_from(["a", "gpu", "n1-"]),
    some.sampled_from(NUMBERS),
    some.sampled_from(["", "-ib", ".x"]),
)


@given(some.lists(NAMES, min_size=1))
def test_what_is_folded_expands_to_the_same_hosts(hosts):
    assert sorted(expand(fold(hosts))) == sorted(set(hosts))


@given(some.lists(NAMES, min_size=1))
def test_clustershell_reads_what_is_folded_alike(hosts):
    assert sorted(NodeSet(fold(hosts))) == sorted(set(hosts))
