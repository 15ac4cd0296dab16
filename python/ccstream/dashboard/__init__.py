"""Contains the live dashboard.

``dimensions`` converts values to their names on the page, ``custom`` defines the viewer's own KPIs, and ``view`` holds
the page's settings. ``figures`` queries the engine and ``charts`` describes the charts, which ``component`` draws in
the browser. ``sidebar``, ``timeline``, ``graphs``, ``panels`` and ``trust`` draw parts of the page, ``broker`` asks
Kafka for the topic's end, ``live`` assembles what is refreshed, and ``page`` all parts.
"""
