"""The plain loop's helper: devices, mixed precision, gradient accumulation, several processes."""
