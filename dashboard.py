"""Step 5 of the runbook: streamlit run dashboard.py. All the work is in ccstream.dashboard."""

from ccstream.dashboard.page import render

render()
