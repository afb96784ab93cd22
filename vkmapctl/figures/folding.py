"""A sequence with its repeats folded, repeats within repeats too: the same sequence again, written shorter.

One pass, item by item, onto a stack: where the items on top are those beneath them once more, both become one repeat;
where they are the body of the repeat beneath them, it runs once more (compression of traces by regular sections: Noeth
et al., ScalaTrace, 2009). What could have come before is found by the last items alone, and told by rolling hashes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

NEAR = 16  # items: so short a period is looked for by its last item, a longer one by its last NEAR items
TRIES = 8  # earlier places where these were seen
_PRIME = (1 << 61) - 1
_BASE = 0x1D2E3F4A5B6C7D8
_MIX = 0x9E3779B97F4A7C15
_TIMES_BITS = 40


class Again(NamedTuple):
    """A body that runs so often."""

    times: int
    body: "Folded"


Folded = tuple[int | Again, ...]


def fold(items: Iterable[int]) -> Folded:
    """Folds items, which are numbers from 0 on. Takes a few us for each, whatever they are."""
    stack = _Stack()
    for item in items:
        stack.push(item)
        while stack.reduce():
            pass
    return stack.folded()


def unfold(folded: Folded) -> Iterator[int]:
    """The items again."""
    for one in folded:
        if isinstance(one, Again):
            for _ in range(one.times):
                yield from unfold(one.body)
        else:
            yield one


def length(folded: Folded) -> int:
    """Of the items, unfolded."""
    return sum(one.times * length(one.body) if isinstance(one, Again) else 1 for one in folded)


class _Stack:
    """What was folded so far. A repeat is a negative item, made of the number of its body and of its times.

    A height is a number of items. Lists by height have an entry for 0 too.
    """

    def __init__(self) -> None:
        self._items: list[int] = []
        self._bodies: list[tuple[int, ...]] = [()]  # so that no repeat is item 0
        self._numbers: dict[tuple[int, ...], int] = {}
        self._hashes = [0]  # by height: of all items
        self._powers = [1]
        self._top: dict[int, int] = {}  # the last height with this item on top
        self._below = [0]  # by height: the one before with the same item on top, or 0
        self._grams = [0]  # by height: a hash of the NEAR items on top
        self._gram_top: dict[int, int] = {}
        self._gram_below = [0]
        self._due: dict[int, list[int]] = {}  # repeats, by the height at which their body is there once more

    def push(self, item: int) -> None:
        self._items.append(item)
        hashes, height = self._hashes, len(self._items)
        found = (hashes[-1] * _BASE + item * _MIX + 1) % _PRIME
        hashes.append(found)
        if height == len(self._powers):
            self._powers.append(self._powers[-1] * _BASE % _PRIME)
        self._below.append(self._top.get(item, 0))
        self._top[item] = height
        gram = before = 0
        if height >= NEAR:
            gram = (found - hashes[height - NEAR] * self._powers[NEAR]) % _PRIME
            before = self._gram_top.get(gram, 0)
            self._gram_top[gram] = height
        self._grams.append(gram)
        self._gram_below.append(before)

    def _pop(self, count: int) -> None:
        for _ in range(count):
            _restore(self._top, self._items.pop(), self._below.pop())
            _restore(self._gram_top, self._grams.pop(), self._gram_below.pop())
        del self._hashes[-count:]

    def reduce(self) -> bool:
        """Folds what is on top into what is beneath it, if it can be."""
        height = len(self._items)
        if height in self._due and self._run_once_more(height):
            return True
        period = self._period(height)
        if period:
            self._begin_repeat(period)
        return period > 0

    def _run_once_more(self, height: int) -> bool:
        due = self._due[height]
        for place in tuple(due):
            count = height - place - 1
            if self._items[place] >= 0:
                due.remove(place)
                continue
            number, times = divmod(-self._items[place], 1 << _TIMES_BITS)
            if len(self._bodies[number]) == count and (*self._items[-count:],) == self._bodies[number]:
                self._pop(count + 1)
                self.push(-(number << _TIMES_BITS | times + 1))
                return True
        return False

    def _period(self, height: int) -> int:
        """Of so many items on top, which are those beneath them once more; 0 for none."""
        items, before = self._items, self._below[height]
        while before:
            period = height - before
            if period > NEAR or period > before:
                break
            if items[-period:] == items[before - period : before]:
                return period
            before = self._below[before]
        before = self._gram_below[height]
        for _ in range(TRIES):
            period = height - before
            if not before or period > before:
                break
            if period > NEAR and self._is_twice(height, period):
                return period
            before = self._gram_below[before]
        return 0

    def _is_twice(self, height: int, period: int) -> bool:
        hashes, power = self._hashes, self._powers[period]
        middle, low = height - period, height - 2 * period
        if (hashes[height] - hashes[middle] - (hashes[middle] - hashes[low]) * power) % _PRIME:
            return False
        return self._items[middle:] == self._items[low:middle]

    def _begin_repeat(self, period: int) -> None:
        body = (*self._items[-period:],)
        number = self._numbers.setdefault(body, len(self._bodies))
        if number == len(self._bodies):
            self._bodies.append(body)
        self._pop(2 * period)
        place = len(self._items)
        self.push(-(number << _TIMES_BITS | 2))
        due = self._due.setdefault(place + 1 + period, [])
        if place not in due:
            due.append(place)

    def folded(self) -> Folded:
        return _written(self._items, self._bodies)


def _restore(tops: dict[int, int], key: int, height: int) -> None:
    if height:
        tops[key] = height
    else:
        tops.pop(key, None)


def _written(items: Sequence[int], bodies: Sequence[tuple[int, ...]]) -> Folded:
    """The items with their repeats; two of a single item stay two items."""
    found: list[int | Again] = []
    for item in items:
        if item >= 0:
            found.append(item)
            continue
        number, times = divmod(-item, 1 << _TIMES_BITS)
        body = _written(bodies[number], bodies)
        found += body * 2 if times == 2 and len(body) == 1 else [Again(times, body)]
    return tuple(found)
