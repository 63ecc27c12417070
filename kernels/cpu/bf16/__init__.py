"""Products of factors rounded to bfloat16."""
