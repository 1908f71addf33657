"""What pytest leaves alone here."""

collect_ignore = ["elsewhere.py", "one_device.py"]
"""Importing them gives torch a second device for the rest of the process; `test_one_device.py` does so in one of its own."""
