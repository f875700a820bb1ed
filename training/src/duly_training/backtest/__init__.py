"""What a model fitted on the past would have said, day by day, of the time that followed."""
