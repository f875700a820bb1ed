"""PostgreSQL, channels, templates and the client of insights: they implement the ports."""
