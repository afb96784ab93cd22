"""What of the loader's output is a complaint, in the words of 1.3.239 and of 1.4."""

import pytest

from vkmapctl.driver.loader_output import complaints, skips_a_driver, without_noise

NOISE = (
    "WARNING:          vkEnumerateInstanceLayerProperties: "
    'Unable to resolve symbol "" in implicit layer library "l.so"\n'
    "WARNING:          Driver \"intel_icd.json\" ignored because not selected by env var 'VK_LOADER_DRIVERS_SELECT'\n"
)
SKIPS = [
    "WARNING:          terminator_CreateInstance: Failed to CreateInstance in ICD 0.  Skipping ICD.",
    "WARNING | DRIVER: terminator_CreateInstance: Received return code -3 from call to vkCreateInstance in ICD "
    "/usr/lib/libvulkan_broken.so. Skipping this driver.",
]


def test_noise_is_left_out():
    assert without_noise(NOISE + "MESA: a word\n") == "MESA: a word"
    assert complaints(NOISE) == []


def test_an_error_is_told_once_and_on_one_line():
    error = (
        "ERROR:            loader_icd_scan: Failed loading library associated with ICD JSON /l.so. Ignoring this JSON\n"
    )
    assert complaints(NOISE + error + error) == [" ".join(error.split())]
    assert complaints(f"[Vulkan Loader] {error}") == [" ".join(error.split())]


@pytest.mark.parametrize("line", SKIPS)
def test_a_driver_that_is_skipped(line):
    assert skips_a_driver(f"{NOISE}{line}\n")
    assert complaints(f"{NOISE}{line}\n") == [" ".join(line.split())]


def test_a_layer_that_is_skipped_is_no_driver():
    assert not skips_a_driver("WARNING: loader_add_layer: Skipping layer")
