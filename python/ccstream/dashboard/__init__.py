"""The live dashboard.

``dimensions`` names what can be filtered by, ``view`` is what a page is set to, ``custom`` a KPI of one's own, ``figures`` asks the engine, ``charts`` draws,
``sidebar`` and ``panels`` are the page's parts, ``broker`` watches Kafka, ``page`` puts them together.
"""
