"""Flags, groups of commands, progress and the terminal. Knows no Vulkan."""
