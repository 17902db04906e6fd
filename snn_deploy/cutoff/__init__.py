"""The host beside the chip: monitor, cutoff rules, calibration."""
