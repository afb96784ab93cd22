"""The geometry of histograms: exact below 128 ns, then 64 bins an octave, up to 2**40 ns (vkm_bin of the loop)."""

EXACT = 128  # ns
AN_OCTAVE = 64
HIGHEST = 1 << 40  # ns: no bin begins there or above


def edge(index: int) -> int:
    """Lower edge in ns of a bin."""
    if index < EXACT:
        return index
    return (AN_OCTAVE + index % AN_OCTAVE) << (index // AN_OCTAVE - 1)


def width(edge: int) -> int:
    """ns in the bin that begins at `edge`: at most 1/64 of it."""
    return 1 if edge < EXACT else 1 << (edge.bit_length() - EXACT.bit_length() + 1)


def middle(edge: int) -> float:
    """Representative value in ns of the bin that begins at `edge`: at most 1/128 from any value in it."""
    return float(edge) if edge < EXACT else edge + width(edge) / 2
