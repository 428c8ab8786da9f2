"""Parts that pages are put together from: functions that draw and return nothing."""
