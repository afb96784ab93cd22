"""Measuring, in the process that holds the driver: its memory, its addresses, the passes of the loop."""
