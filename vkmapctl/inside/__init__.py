"""What lives in the process that holds the driver. Imports the standard library and the binding only."""
