"""Process loops and the HTTP edge."""
