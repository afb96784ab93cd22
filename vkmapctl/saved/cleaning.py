"""The strings of a JSON file, made fit to show before anything is made of them, so that none is left out."""

import json
import re
from contextlib import suppress

from vkmapctl.text import clean

LONGEST = 20_000  # characters
# A string to its end, or to that of the data; only one that may need cleaning is a group. Possessive, so that no data
# makes it look back.
_STRING = re.compile(rb'"[^"\\\x7f-\xff]{0,%d}+"|("(?:[^"\\]++|\\.)*+["\\]?)' % LONGEST, re.DOTALL)


def cleaned(data: bytes) -> bytes:
    """The same JSON with every string, keys among them, as text.clean makes it, of LONGEST characters at most.

    What is no JSON string is left for a reader to refuse.
    """
    pieces, done = [], 0
    for found in _STRING.finditer(data):
        if found[1] is not None:
            pieces += [data[done : found.start()], _cleaned(found[1])]
            done = found.end()
    return b"".join((*pieces, data[done:])) if pieces else data


def _cleaned(string: bytes) -> bytes:
    with suppress(ValueError):
        string = json.dumps(clean(json.loads(string.decode()), LONGEST), ensure_ascii=False).encode()
    return string
