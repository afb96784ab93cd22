"""Text from elsewhere is fit to show, whatever it holds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vkmapctl.saved.cleaning import LONGEST, cleaned
from vkmapctl.text import SIMILAR, clean, clean_lines, know_similar


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("NVIDIA™ H100 漢 é µ 😀", "NVIDIA™ H100 漢 é µ 😀"),
        ("\x1b]0;title\x07Red\x1b[2J", "?]0;title?Red?[2J"),
        ("a\r\nb\tc\u00a0d\u2028e", "a  b c d e"),
        ("\x00\x7f\x9b1m", "???1m"),
        ("user\u202egnp.exe\u2066\u200b", "user?gnp.exe??"),
        ("\ud800 \udcff", "? ?"),
        ("a" * 2000, "a" * 999 + "…"),
    ],
)
def test_what_is_shown(text, shown):
    assert clean(text) == shown


@given(st.text(), st.integers(1, 50))
def test_any_text(text, most):
    shown = clean(text, most)
    assert shown.isprintable()
    assert len(shown) <= most
    assert clean(shown, most) == shown
    shown.encode()


def test_each_line_of_output_for_itself():
    assert clean_lines(b"one\x1b[2J\r\ntwo\xff\n" + b"x" * 5000) == "one?[2J\ntwo\ufffd\n" + "x" * 999 + "…"


keys = st.text() | st.sampled_from(["\\", '"', "\\u0041", "\ud800", "\x1b", "a" * (LONGEST + 5)])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | keys,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
)


def with_clean_strings(node):
    match node:
        case str():
            return clean(node, LONGEST)
        case list():
            return [with_clean_strings(one) for one in node]
        case dict():
            return {clean(key, LONGEST): with_clean_strings(one) for key, one in node.items()}
    return node


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_every_string_of_a_file_is_cleaned_and_nothing_else(value, escapes, indent):
    data = json.dumps(value, ensure_ascii=escapes, indent=indent).encode("utf-8", "replace")
    assert json.loads(cleaned(data)) == with_clean_strings(json.loads(data))


@pytest.mark.parametrize(
    "data", [b'"' + rb"\"" * 500_000, b'"' * 1_000_001, b'"' + b"\\" * 1_000_001, b'"\xff"', b'"\\x"']
)
def test_what_is_no_json_is_left_as_it_is(data):
    assert cleaned(data) == data


def test_what_a_stream_lacks_is_replaced_by_what_looks_like_it():
    know_similar()
    assert "┌─┐│⣿⠀▚… é ™ 漢".encode("latin-1", SIMILAR) == "+-+|* *. é ? ?".encode("latin-1")
    assert "é─".encode("ascii", SIMILAR) == b"?-"
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", SIMILAR)
