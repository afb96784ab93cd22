"""What to do: flags and workload files, resolved against a device, and laid out as the loop's steps."""
