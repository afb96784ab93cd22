"""How rows add up to an outcome, how long a driver may be silent, and which validation messages count."""

import pytest
from builders import a_job

from vkmapctl.checks import registry
from vkmapctl.errors import CallFailed, Unsupported
from vkmapctl.figures import outcomes
from vkmapctl.model.base import Verdict
from vkmapctl.plans import patience
from vkmapctl.verify import _validated


@pytest.mark.parametrize(
    ("statuses", "outcome", "code"),
    [
        ([], "ok", 0),
        (["ok", "not-run"], "ok", 0),
        (["unsupported", "ok"], "unsupported", 3),
        (["failed", "unsupported"], "failed", 4),
        (["out-of-memory", "ok"], "out-of-memory", 3),
        (["out-of-memory", "unsupported"], "out-of-memory", 3),
        (["out-of-memory", "failed"], "failed", 4),
        (["lost", "out-of-memory"], "lost", 6),
        (["lost", "crashed", "ok", "hung"], "crashed", 6),
    ],
)
def test_the_worst_row_decides(statuses, outcome, code):
    assert outcomes.worst(statuses) == outcome
    assert outcomes.EXIT[outcomes.worst(statuses)] == code


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (
            CallFailed(
                "vkAllocateMemory failed: VK_ERROR_OUT_OF_DEVICE_MEMORY",
                call="vkAllocateMemory",
                result="VK_ERROR_OUT_OF_DEVICE_MEMORY",
            ),
            "out-of-memory",
        ),
        (
            CallFailed(
                "vkCreateDevice failed: VK_ERROR_DEVICE_LOST", call="vkCreateDevice", result="VK_ERROR_DEVICE_LOST"
            ),
            "lost",
        ),
        (
            CallFailed(
                "vkCreateDevice failed: VK_ERROR_INITIALIZATION_FAILED",
                call="vkCreateDevice",
                result="VK_ERROR_INITIALIZATION_FAILED",
            ),
            "failed",
        ),
        (Unsupported("no device"), "unsupported"),
    ],
)
def test_the_result_of_a_call_tells_its_status(error, status):
    assert outcomes.of_error(error) == status


def test_a_large_touch_may_take_longer():
    assert patience.for_job(a_job()) == pytest.approx(patience.BASE_SECONDS, abs=0.01)
    huge = a_job(allocation_size=16 << 30, touch="read")
    assert patience.for_job(huge) > (16 << 30) / 20e6, "a BAR is read at 20 MB/s"
    assert patience.for_job(a_job(allocation_size=1 << 30, live=16)) > patience.BASE_SECONDS + 16


def test_a_check_that_holds_but_used_vulkan_wrongly_fails():
    known = registry.load()
    wrong = "VUID-vkMapMemory2-memory-1: wrong"
    assert _validated(known["M1"], Verdict("pass"), [wrong]) == Verdict("fail", wrong)
    assert _validated(known["M1"], Verdict("crashed", "died"), [wrong]) == Verdict("crashed", "died")
    ours = "VUID-VkMemoryUnmapInfo-memory-07964: not mapped"
    assert _validated(known["R1"], Verdict("pass", "remark"), [ours]) == Verdict("pass", "remark")
    assert _validated(known["M1"], Verdict("pass"), [ours]).status == "fail"
