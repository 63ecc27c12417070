"""The inference of what columns hold: numbers in many notations, dates and times, categories, missing values."""
