"""Figures and volumes of a study: functions take arrays and tables and return a matplotlib figure."""
