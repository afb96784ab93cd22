"""The parent's hold on the driver's process: its messages, its end, and which drivers and layers are behind it.

What runs in that process: inside/, worker/.
"""
