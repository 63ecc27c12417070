"""The constants of Philox4x32-10 (Salmon et al., SC 2011), by which every backend draws the same dropout masks."""

MULTIPLIER = (0xD2511F53, 0xCD9E8D57)
KEY_STEP = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and sqrt(3) - 1, as 32-bit fractions
ROUNDS = 10
