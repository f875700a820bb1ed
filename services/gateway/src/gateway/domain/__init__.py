"""What a contact is and may become: pure."""
