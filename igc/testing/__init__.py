"""Probe models, closed forms and the contract every attribution method must pass; for our tests and for yours.

Register your method, call :func:`igc.testing.contract.check_method` with its name, and it has earned the whole suite.
"""
