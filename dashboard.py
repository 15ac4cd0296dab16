"""Draws the dashboard (step 5 of the runbook). The implementation is in ccstream.dashboard."""

from ccstream.dashboard.page import render

render()
