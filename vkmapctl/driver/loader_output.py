"""What the Vulkan loader prints, among what a driver's process prints: which of it says that something is wrong."""

_NOISE = (
    'Unable to resolve symbol "" in implicit layer library',  # 1.3.239 about Mesa's device-select, as it must be
    "ignored because not selected by env var",  # as the user asked
)
_SKIPPED = "Skipping"
_PREFIX = "[Vulkan Loader] "  # 1.4.309 begins its lines so, 1.3.239 does not


def without_noise(text: str) -> str:
    """The lines that may mean something."""
    return "\n".join(line.rstrip() for line in text.splitlines() if not any(noise in line for noise in _NOISE)).strip()


def complaints(text: str) -> list[str]:
    """The loader's errors, and its warnings about a driver that it leaves out; each once, without its padding."""
    found = [" ".join(line.removeprefix(_PREFIX).split()) for line in without_noise(text).splitlines()]
    wrong = (line for line in found if line.startswith("ERROR") or skips_a_driver(line))
    return list(dict.fromkeys(wrong))


def skips_a_driver(text: str) -> bool:
    """Whether the loader says that it goes on without a driver whose vkCreateInstance failed."""
    return any(_SKIPPED in line and "CreateInstance" in line for line in text.splitlines())
