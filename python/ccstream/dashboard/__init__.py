"""The live dashboard: ``queries`` asks PostgreSQL, ``charts`` draws, ``page`` puts them together."""
