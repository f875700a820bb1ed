"""What each event changes in the read models, and the queries over them."""
