"""Inspects, verifies and measures Vulkan memory mapping."""

__version__ = "0.1.0"
