"""Alerts: from the events of rules to an alert with a state, its store and its delivery.

Imports rules, sinks and below.
"""
