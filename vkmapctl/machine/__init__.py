"""The machine and this process, as the kernel tells. No Vulkan is here."""
