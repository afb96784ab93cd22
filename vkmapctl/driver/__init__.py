"""What lives in the child that holds the driver, and the parent's hold on it."""
