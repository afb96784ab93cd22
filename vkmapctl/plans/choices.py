"""The words that a flag or a key of a workload file may say. Imports nothing, so that `--help` is quick."""

APIS = ("auto", "core", "khr", "v1", "all")
TOUCHES = ("none", "first", "write", "read", "verify")
UNMAP_ORDERS = ("same", "reverse", "random")
