"""The parts that pages are made of: functions that draw and return nothing."""
