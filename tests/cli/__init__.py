"""The command ``fastmlp``: what it does, what it prints, how it ends, and what it leaves behind when it fails."""
