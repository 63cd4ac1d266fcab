"""The run's report as one page that needs no network: outcome, promises, pictures, what to do, how to check it."""
