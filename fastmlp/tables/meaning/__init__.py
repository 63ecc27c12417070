"""What columns hold: numbers in many notations, dates and times, categories, nothing."""
