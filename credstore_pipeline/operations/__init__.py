"""Jobs that end the window, go back, or tidy up: ops and never assets, so that `*` cannot run them."""
