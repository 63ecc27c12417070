"""The general operations, for any network; each folder beside this one replaces some of them in its regime."""
