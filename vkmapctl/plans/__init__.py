"""What to do: options and workload files, resolved against a device, laid out as the loop's steps. Nothing runs."""
