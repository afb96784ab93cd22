"""Version numbers of Vulkan and of its drivers as text. Calls nothing."""


def version_text(version: int) -> str:
    """`1.4.305`, of VK_MAKE_API_VERSION without its variant."""
    return f"{version >> 22 & 0x7F}.{version >> 12 & 0x3FF}.{version & 0xFFF}"


def driver_version_text(driver_id: str, version: int) -> str:
    """VkPhysicalDeviceProperties::driverVersion, which a driver packs as it likes; most do as Vulkan's own versions.

    driver_id: VkDriverId without its prefix. By the driver and not by the vendor: Mesa drives NVIDIA's GPUs too.
    """
    if driver_id == "NVIDIA_PROPRIETARY":
        return f"{version >> 22}.{version >> 14 & 0xFF}.{version >> 6 & 0xFF}.{version & 0x3F}"
    if driver_id == "INTEL_PROPRIETARY_WINDOWS":
        return f"{version >> 14}.{version & 0x3FFF}"
    return f"{version >> 22}.{version >> 12 & 0x3FF}.{version & 0xFFF}"
