"""`duly dlq`: what could not be used, why, and the way back."""
