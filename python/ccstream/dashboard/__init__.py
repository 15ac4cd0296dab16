"""The live dashboard.

``dimensions`` names what can be filtered by, ``custom`` is a KPI of one's own, ``view`` what a page is set to,
``figures`` asks the engine, ``charts`` draws, ``sidebar`` and ``panels`` are the page's parts, ``broker`` watches
Kafka, ``page`` puts them together.
"""
