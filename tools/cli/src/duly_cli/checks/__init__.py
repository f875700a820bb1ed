"""What a run must prove: computed anew from the input and from what came out, with none of the services' own code."""
