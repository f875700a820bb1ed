"""The pure risk fold: state, features, hazard curves and scores."""
