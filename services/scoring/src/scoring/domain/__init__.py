"""What scoring decides on its own: whom a tick visits, when poison or silence means trouble."""
