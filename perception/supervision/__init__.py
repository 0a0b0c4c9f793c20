"""Starts the processes of a plan, watches them, starts them again and stops them."""
