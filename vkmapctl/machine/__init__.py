"""The machine and this process, as the kernel tells."""
